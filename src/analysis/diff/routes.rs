//! Routes and what of answers and queries passes beside the fields.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::policy::source::Word;
use crate::policy::syntax::{PolicySet, Resource, ResourceOf, Route};

use super::{Change, ChangeKind, Side, code, names};

pub(super) fn changes(old: Side<'_>, new: Side<'_>) -> Vec<Change> {
    let (before, after) = (routes(old.set), routes(new.set));
    let mut changes = Vec::new();
    for (key, route) in &after {
        match before.get(key) {
            None => changes.push(opened(key, route)),
            Some(was) => changes.extend(changed(key, was, route)),
        }
    }
    for (key, _) in before.iter().filter(|(key, _)| !after.contains_key(*key)) {
        changes.push(Change::plain(ChangeKind::Loss, 0, format!("closes the route {key}")));
    }
    for resource in &new.set.resources {
        let was = old.set.resources.iter().find(|other| other.name.text == resource.name.text);
        changes.extend(was.into_iter().flat_map(|was| nested(was, resource)));
    }
    changes
}

/// Routes by what picks them.
fn routes(set: &PolicySet) -> BTreeMap<String, &Route> {
    let mut routes = BTreeMap::new();
    for (api, route) in set.apis.iter().flat_map(|api| api.routes.iter().map(move |route| (api, route))) {
        let when: Vec<_> = route
            .when
            .iter()
            .map(|when| {
                let kind = format!("{:?}", when.part.kind).to_lowercase();
                code(&format!("{kind} {} {}", when.part.name.text, joined(&when.values)))
            })
            .collect();
        let when = if when.is_empty() { String::new() } else { format!(" with {}", when.join(", ")) };
        routes.insert(format!("{} of {}{when}", code(&route.pattern.text), code(&api.name.text)), route);
    }
    routes
}

fn opened(key: &str, route: &Route) -> Change {
    if route.public {
        return public(key);
    }
    let action = route.action.as_ref().map_or("", Word::as_str);
    let says = format!("opens the route {key} ({}) to everybody with a permission for it", code(action));
    Change::plain(ChangeKind::Gain, 1, says)
}

fn public(key: &str) -> Change {
    let says = format!("opens the route {key} to everybody, untouched and without a principal");
    Change::plain(ChangeKind::Gain, usize::MAX, says)
}

fn changed(key: &str, was: &Route, is: &Route) -> Vec<Change> {
    let mut changes = Vec::new();
    if is.public && !was.public {
        changes.push(public(key));
    }
    if was.public && !is.public {
        changes.push(Change::plain(ChangeKind::Loss, 0, format!("closes the route {key} to the public")));
    }
    let lists: [(&str, Vec<Word>, Vec<Word>); 4] = [
        ("members beside the records", was.envelope.keep.clone(), is.envelope.keep.clone()),
        ("query parameters that pass unread", passed(was), passed(is)),
        ("request headers", was.request_headers.clone(), is.request_headers.clone()),
        ("answer headers", was.response_headers.clone(), is.response_headers.clone()),
    ];
    for (what, was, is) in lists {
        for (kind, verb, more) in
            [(ChangeKind::Gain, "opens", added(&was, &is)), (ChangeKind::Loss, "closes", added(&is, &was))]
        {
            if !more.is_empty() {
                let says = format!("{verb} {what} on {key}: {}", names(more.iter().map(AsRef::as_ref)));
                changes.push(Change::plain(kind, 0, says));
            }
        }
    }
    changes.extend(page_size(key, was, is));
    let (before, after) = (facts(was), facts(is));
    for (name, from, to) in before.iter().zip(&after).map(|((name, from), (_, to))| (name, from, to)) {
        if from != to {
            let says = format!("changes `{name}` of {key}");
            let change = Change::plain(ChangeKind::Unclear, 0, says);
            changes.push(change.between(quoted(from), quoted(to)));
        }
    }
    changes
}

fn page_size(key: &str, was: &Route, is: &Route) -> Option<Change> {
    let size = |route: &Route| Some(route.query.as_ref()?.page_size.as_ref()?.1);
    let (from, to) = (size(was), size(is));
    // Without a page size the parameter is refused altogether.
    let (kind, verb) = match (from, to) {
        (Some(from), Some(to)) if to > from => (ChangeKind::Limit, "raises"),
        (None, Some(_)) => (ChangeKind::Limit, "allows to choose"),
        (Some(from), Some(to)) if to < from => (ChangeKind::Loss, "lowers"),
        (Some(_), None) => (ChangeKind::Loss, "no longer allows to choose"),
        (Some(_), Some(_)) | (None, None) => return None,
    };
    let text = |size: Option<u64>| size.map_or_else(|| "the upstream's".to_owned(), |size| size.to_string());
    Some(Change::plain(kind, 0, format!("{verb} the page size of {key}")).between(text(from), text(to)))
}

fn passed(route: &Route) -> Vec<Word> {
    route.query.as_ref().map(|query| query.pass.clone()).unwrap_or_default()
}

fn added(was: &[Word], is: &[Word]) -> BTreeSet<Arc<str>> {
    let known: BTreeSet<&str> = was.iter().map(Word::as_str).collect();
    is.iter().filter(|word| !known.contains(word.as_str())).map(|word| word.text.clone()).collect()
}

/// What a route says beside what is compared elsewhere: the rights on it and the lists above.
fn facts(route: &Route) -> Vec<(&'static str, String)> {
    let word = |word: &Option<Word>| word.as_ref().map_or_else(String::new, |word| word.text.to_string());
    let resource = match &route.resource {
        None => String::new(),
        Some(ResourceOf::Fixed(name)) => name.text.to_string(),
        Some(ResourceOf::Mapped { at, map }) => {
            let cases: Vec<_> =
                map.iter().map(|(text, name)| format!("{}={}", text.text, name.text)).collect();
            format!("{:?} {}: {}", at.kind, at.name.text, cases.join(", "))
        }
        Some(ResourceOf::Remembered { name, .. }) => format!("remembered `{}`", name.text),
    };
    let columns: Vec<_> =
        route.columns.iter().map(|(header, field)| format!("{}={}", header.text, field.text)).collect();
    vec![
        ("action", word(&route.action)),
        ("resource", resource),
        ("records", word(&route.records)),
        ("body", word(&route.body)),
        ("format", format!("{:?}", route.format).to_lowercase()),
        ("total", word(&route.envelope.total)),
        ("on_uneditable", format!("{:?}", route.on_uneditable).to_lowercase()),
        ("ignore_case", route.ignore_case.to_string()),
        ("columns", columns.join(", ")),
        ("neutralise_formulas", route.neutralise_formulas.to_string()),
    ]
}

fn quoted(text: &str) -> String {
    if text.is_empty() || text == "none" { "nothing".to_owned() } else { code(text) }
}

fn joined(words: &[Word]) -> String {
    words.iter().map(Word::as_str).collect::<Vec<_>>().join("|")
}

/// Related records that come along, or no longer do.
fn nested(was: &Resource, is: &Resource) -> Vec<Change> {
    let pairs = |resource: &Resource| -> BTreeSet<(Arc<str>, Arc<str>)> {
        resource.relations.iter().map(|(path, target)| (path.text.clone(), target.text.clone())).collect()
    };
    let (before, after) = (pairs(was), pairs(is));
    let name = code(&is.name.text);
    let say = |kind, verb: &str, (path, target): &(Arc<str>, Arc<str>)| {
        Change::plain(
            kind,
            1,
            format!("{verb} {} of {name}: related records of {}", code(path), code(target)),
        )
    };
    let opened = after.difference(&before).map(|pair| say(ChangeKind::Gain, "opens", pair));
    let mut changes: Vec<_> = opened.collect();
    changes.extend(before.difference(&after).map(|pair| say(ChangeKind::Loss, "closes", pair)));
    let key = |resource: &Resource| resource.key.as_ref().map(|key| key.text.clone());
    if key(was) != key(is) {
        let says = format!("changes the key of {name}, by which records are counted and audited");
        changes.push(Change::plain(ChangeKind::Unclear, 0, says));
    }
    changes
}
