//! Where a name comes from.

use std::ops::Range;
use std::sync::Arc;

use crate::base::Place;
use crate::policy::source::Word;
use crate::policy::syntax::PolicySet;

use super::refers::{self, Kind};
use super::scan::{Part, Step, Token, scan};
use super::{Desk, cursor};

/// Where the name at a byte offset is defined. A secret is defined in the deployment, where [`keys_of`] finds it; it is
/// given as a place without a file.
pub fn definition(desk: &Desk<'_>, text: &str, offset: usize) -> Vec<Place> {
    let Some(policy) = desk.policy else { return Vec::new() };
    let Some(token) = cursor::under(text, offset) else { return Vec::new() };
    let Some((kind, name)) = meant(&token, offset) else { return Vec::new() };
    if kind == Kind::Secret {
        return vec![Place { file: "".into(), line: 0, column: 0, length: 0, path: name }];
    }
    let resources = refers::resources(text, &token);
    let words = defined(&policy.set, kind, &name, &|resource| {
        resources.is_empty() || resources.iter().any(|known| **known == *resource)
    });
    words.into_iter().map(|word| policy.place_of(word.mark)).collect()
}

/// The keys of a mapping that a path of keys leads to, such as `secrets`, with their bytes.
pub fn keys_of(text: &str, mapping: &[&str]) -> Vec<(Arc<str>, Range<usize>)> {
    let mut found = Vec::new();
    scan(text, false, &mut |token| {
        if token.part == Part::Key && leads_to(&token, mapping) {
            found.push((token.text, token.range));
        }
    });
    found
}

/// The text that a path of keys leads to, such as `policies`.
pub fn text_of(text: &str, path: &[&str]) -> Option<Arc<str>> {
    let mut found = None;
    scan(text, false, &mut |token| {
        if found.is_none() && token.part != Part::Key && leads_to(&token, path) {
            found = Some(token.text);
        }
    });
    found
}

fn leads_to(token: &Token, path: &[&str]) -> bool {
    token.path.len() == path.len()
        && token.path.iter().zip(path).all(|(step, key)| matches!(step, Step::Key(k) if **k == **key))
}

/// What a key or scalar names at a byte offset, and the name.
pub(super) fn meant(token: &Token, offset: usize) -> Option<(Kind, String)> {
    let kind = refers::kind(&token.path, token.part)
        .or_else(|| (token.part == Part::Open).then(|| refers::kind(&token.path, Part::Key)).flatten())?;
    if kind != Kind::Condition {
        return Some((kind, token.text.to_string()));
    }
    let inside = offset.saturating_sub(token.range.start + usize::from(token.quote.is_some()));
    let name = refers::dotted(&token.text, inside, true);
    name.strip_prefix("record.").map(|field| (Kind::Field, field.to_owned()))
}

/// The words that define a name.
pub(super) fn defined<'p>(
    set: &'p PolicySet,
    kind: Kind,
    name: &str,
    in_scope: &dyn Fn(&str) -> bool,
) -> Vec<&'p Word> {
    let is = |word: &&Word| word.as_str() == name;
    let routes = || set.apis.iter().flat_map(|api| &api.routes);
    match kind {
        Kind::Label => set.labels.iter().filter(is).collect(),
        Kind::Field => fields(set, name, in_scope),
        Kind::Selector => {
            let labels: Vec<_> = set.labels.iter().filter(is).collect();
            if labels.is_empty() { fields(set, name, in_scope) } else { labels }
        }
        Kind::Resource => set.resources.iter().map(|resource| &resource.name).filter(is).collect(),
        Kind::Role => set.roles.iter().map(|role| &role.name).filter(is).collect(),
        Kind::Mask => set.masks.iter().map(|mask| &mask.name).filter(is).collect(),
        Kind::Api => set.apis.iter().map(|api| &api.name).filter(is).collect(),
        Kind::Group => set.bindings.iter().flat_map(|binding| &binding.groups).filter(is).collect(),
        Kind::Action => routes()
            .filter(|route| match &route.resource {
                Some(crate::policy::syntax::ResourceOf::Fixed(resource)) => in_scope(resource.as_str()),
                _ => true,
            })
            .filter_map(|route| route.action.as_ref())
            .filter(is)
            .collect(),
        Kind::Request => {
            routes().map(|route| &route.pattern).filter(|route| fits(route.as_str(), name)).collect()
        }
        Kind::Secret | Kind::Condition => Vec::new(),
    }
}

/// The field itself; else the nearest labelled place above it, whose label covers it; a relation.
fn fields<'p>(set: &'p PolicySet, name: &str, in_scope: &dyn Fn(&str) -> bool) -> Vec<&'p Word> {
    let mut found = Vec::new();
    for resource in set.resources.iter().filter(|resource| in_scope(resource.name.as_str())) {
        let places = resource.fields.iter().map(|(_, field)| field);
        let places = places.chain(resource.relations.iter().map(|(place, _)| place));
        let above = places.filter(|place| {
            let rest = name.strip_prefix(place.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        });
        found.extend(above.max_by_key(|place| place.text.len()));
    }
    found
}

/// Whether a request could be one of a route, as far as method and segments tell. Which one it is in the end is for
/// [`Plan::operation`](crate::policy::Plan::operation).
fn fits(template: &str, request: &str) -> bool {
    let path = request.split(['?', '#']).next().unwrap_or("");
    let (mut wanted, mut given) = (template.split(['/', ' ']), path.split(['/', ' ']));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given || wanted.starts_with('{') => {}
            _ => return false,
        }
    }
}
