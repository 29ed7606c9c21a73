//! What may be typed at a place.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::policy::syntax::{PolicySet, ResourceOf};
use crate::rewrite::condition::{ParamRoot, function_uses};

use super::cursor::{self, Typed};
use super::keys::Book;
use super::refers::{self, Kind};
use super::scan::{Part, Step, Token};
use super::{Desk, Sort, Suggestion, Suggestions, code, keys};

/// What may be typed at a byte offset.
pub fn complete(desk: &Desk<'_>, text: &str, offset: usize) -> Suggestions {
    let Some(Typed { token, replaces }) = cursor::typed(text, offset) else { return Suggestions::default() };
    let mut found = Found { desk, items: Vec::new(), seen: BTreeSet::new() };
    let resources = refers::resources(text, &token);
    let used = |path: &[Step]| cursor::keys_at(text, path, token.range.start);
    let book = Book::of(desk.is_policy);
    if token.part != Part::Value && token.quote.is_none() {
        let used = used(&token.path);
        found.keys(
            keys::keys(book, &token.path)
                .into_iter()
                .filter(|key| !used.iter().any(|name| **name == *key.name)),
        );
    }
    let mut replaces = replaces;
    let empty = PolicySet::default();
    let set = desk.policy.map_or(&empty, |policy| &policy.set);
    if token.part != Part::Value
        && let Some(kind) = refers::kind(&token.path, Part::Key)
        && !matches!(kind, Kind::Resource | Kind::Role | Kind::Mask | Kind::Secret)
    {
        let used = used(&token.path);
        found.names(set, kind, &resources);
        found.items.retain(|item| !used.iter().any(|name| **name == *item.name));
        found.items.iter_mut().filter(|item| item.sort != Sort::Key).for_each(|item| {
            item.text = format!("{}: ", quoted(&item.name, &token));
        });
        return Suggestions { replaces, items: found.items };
    }
    if token.part != Part::Key {
        let kind = refers::kind(&token.path, Part::Value);
        if kind == Some(Kind::Condition) {
            let inside = offset.saturating_sub(token.range.start + usize::from(token.quote.is_some()));
            let name = refers::dotted(&token.text, inside.min(token.text.len()), false);
            replaces = offset.saturating_sub(name.len())..offset;
            found.condition(set, &resources, name, &token.path);
            return Suggestions { replaces, items: found.items };
        }
        if let Some(kind) = kind {
            found.names(set, kind, &resources);
        }
        keys::words(book, &token.path)
            .into_iter()
            .for_each(|word| found.add(&word, Sort::Word, "", String::new()));
        for item in found.items.iter_mut().filter(|item| item.sort != Sort::Key) {
            item.text = quoted(&item.name, &token);
        }
    }
    Suggestions { replaces, items: found.items }
}

struct Found<'d> {
    desk: &'d Desk<'d>,
    items: Vec<Suggestion>,
    seen: BTreeSet<String>,
}

impl Found<'_> {
    fn add(&mut self, name: &str, sort: Sort, detail: &str, docs: String) {
        if self.items.len() < MAX_ITEMS && self.seen.insert(name.to_owned()) {
            let (name, detail) = (name.to_owned(), detail.to_owned());
            self.items.push(Suggestion { text: name.clone(), name, sort, detail, docs });
        }
    }

    fn keys(&mut self, keys: impl Iterator<Item = keys::Key>) {
        for key in keys {
            self.add(key.name, Sort::Key, "", key.docs);
            if let Some(item) = self.items.last_mut() {
                item.text = format!("{}: ", key.name);
            }
        }
    }

    /// The names of a kind.
    fn names(&mut self, set: &PolicySet, kind: Kind, resources: &[Arc<str>]) {
        match kind {
            Kind::Label => self.labels(set),
            Kind::Field => self.fields(set, resources),
            Kind::Selector => {
                self.labels(set);
                self.fields(set, resources);
                self.add("*", Sort::Word, "every labelled field", String::new());
            }
            Kind::Resource => {
                for resource in &set.resources {
                    let fields = format!("{} fields", resource.fields.len());
                    self.add(resource.name.as_str(), Sort::Resource, &fields, String::new());
                }
            }
            Kind::Role => {
                for role in &set.roles {
                    let inherits: Vec<_> = role.inherits.iter().map(|parent| parent.as_str()).collect();
                    let inherits = if inherits.is_empty() {
                        String::new()
                    } else {
                        format!("inherits {}", inherits.join(", "))
                    };
                    self.add(role.name.as_str(), Sort::Role, &inherits, String::new());
                }
            }
            Kind::Mask => {
                for mask in &set.masks {
                    self.add(mask.name.as_str(), Sort::Mask, &mask.definition.to_json(), String::new());
                }
                for (name, what) in BUILT_IN {
                    self.add(name, Sort::Mask, what, String::new());
                }
            }
            Kind::Action => self.actions(set, resources),
            Kind::Group => {
                for binding in &set.bindings {
                    let role = format!("holds {}", binding.role.text);
                    binding
                        .groups
                        .iter()
                        .for_each(|group| self.add(group.as_str(), Sort::Role, &role, String::new()));
                }
            }
            Kind::Api => {
                set.apis.iter().for_each(|api| {
                    self.add(api.name.as_str(), Sort::Word, "api of the policy", String::new())
                });
            }
            Kind::Secret => {
                let secrets = self.desk.secrets;
                secrets
                    .iter()
                    .for_each(|name| self.add(name, Sort::Word, "secret of the deployment", String::new()));
            }
            Kind::Request => {
                for route in set.apis.iter().flat_map(|api| &api.routes) {
                    let action = route.action.as_ref().map_or("public", |action| action.as_str());
                    self.add(route.pattern.as_str(), Sort::Action, action, String::new());
                }
            }
            Kind::Condition => {}
        }
    }

    fn labels(&mut self, set: &PolicySet) {
        for (index, label) in set.labels.iter().enumerate() {
            let rank = format!("label {} of {}", index + 1, set.labels.len());
            self.add(label.as_str(), Sort::Label, &rank, String::new());
        }
    }

    fn fields(&mut self, set: &PolicySet, resources: &[Arc<str>]) {
        for resource in set.resources.iter().filter(|known| among(resources, known.name.as_str())) {
            for (label, field) in &resource.fields {
                let docs = format!("Label {} of {}.", code(&label.text), code(&resource.name.text));
                self.add(field.as_str(), Sort::Field, &label.text, docs);
            }
        }
    }

    fn actions(&mut self, set: &PolicySet, resources: &[Arc<str>]) {
        for route in set.apis.iter().flat_map(|api| &api.routes) {
            let here = match &route.resource {
                Some(ResourceOf::Fixed(resource)) => among(resources, resource.as_str()),
                Some(ResourceOf::Mapped { map, .. }) => {
                    map.iter().any(|(_, resource)| among(resources, resource.as_str()))
                }
                Some(ResourceOf::Remembered { .. }) | None => true,
            };
            if let Some(action) = route.action.as_ref().filter(|_| here) {
                self.add(action.as_str(), Sort::Action, &route.pattern.text, String::new());
            }
        }
        for action in ACTIONS {
            self.add(action, Sort::Action, "", String::new());
        }
    }

    /// What may stand in a condition behind what is typed of a name.
    fn condition(&mut self, set: &PolicySet, resources: &[Arc<str>], typed: &str, path: &[Step]) {
        let on_records = matches!(path.first(), Some(Step::Key(section)) if section.as_ref() == "roles");
        if typed.starts_with("record.") {
            for resource in set.resources.iter().filter(|known| among(resources, known.name.as_str())) {
                for (label, field) in resource.fields.iter().filter(|(_, field)| !field.text.contains('[')) {
                    self.add(&format!("record.{}", field.text), Sort::Field, &label.text, String::new());
                }
            }
            return;
        }
        for root in [ParamRoot::Principal, ParamRoot::Request] {
            if typed.starts_with(root.name()) {
                for member in root.members() {
                    self.add(&format!("{}.{member}", root.name()), Sort::Function, "", String::new());
                }
            }
            self.add(root.name(), Sort::Function, root.members().join(", ").as_str(), String::new());
        }
        if on_records {
            self.add(
                "record",
                Sort::Function,
                "the record, also fields the caller does not see",
                String::new(),
            );
        }
        for (name, usage) in function_uses() {
            self.add(name, Sort::Function, usage, String::new());
        }
    }
}

fn among(resources: &[Arc<str>], name: &str) -> bool {
    resources.is_empty() || resources.iter().any(|known| **known == *name)
}

/// A name as it has to be written where it stands.
fn quoted(name: &str, token: &Token) -> String {
    if let Some(quote) = token.quote.map(char::from) {
        return format!("{quote}{name}{quote}");
    }
    let special = |c: char| matches!(c, '[' | ']' | '{' | '}' | ',') && token.in_flow;
    let first = |c: char| "[]{},#&*!|>'\"%@`-?:".contains(c);
    let plain = !name.contains(special)
        && !name.starts_with(first)
        && !name.contains(": ")
        && !name.contains(" #")
        && !name.ends_with(':')
        && !matches!(name, "" | "~" | "null" | "Null" | "NULL");
    // `true` and `false` are offered where a truth value stands.
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")) }
}

/// Masks that need no entry.
const BUILT_IN: [(&str, &str); 3] =
    [("blank", "null"), ("stars", "***, whatever the length"), ("zero", "0 in a number's place")];

/// The actions of the language; others are named by routes.
const ACTIONS: [&str; 6] = ["list", "read", "create", "update", "delete", "export"];

/// More suggestions are of no use.
const MAX_ITEMS: usize = 5_000;
