//! What is to be known about what the cursor is on.

use std::fmt::Write as _;

use crate::analysis::holders::holders;
use crate::policy::Loaded;

use super::find::{defined, meant};
use super::keys::Book;
use super::refers::{self, Kind};
use super::scan::{Part, Token};
use super::{Desk, Hover, code, cursor, keys, sight};

/// What is to be known about what stands at a byte offset.
pub fn hover(desk: &Desk<'_>, text: &str, offset: usize) -> Option<Hover> {
    let token = cursor::under(text, offset)?;
    let mut markdown = String::new();
    if let (Some((kind, name)), Some(policy)) = (meant(&token, offset), desk.policy) {
        about(desk, policy, text, &token, kind, &name, &mut markdown);
    }
    if markdown.is_empty() && token.part != Part::Value {
        markdown.push_str(&keys::docs_of(Book::of(desk.is_policy), &token.path, &token.text)?);
    }
    (!markdown.is_empty()).then_some(Hover { range: token.range, markdown })
}

fn about(
    desk: &Desk<'_>,
    policy: &Loaded,
    text: &str,
    token: &Token,
    kind: Kind,
    name: &str,
    out: &mut String,
) {
    let set = &policy.set;
    let resources = refers::resources(text, token);
    let in_scope =
        |resource: &str| resources.is_empty() || resources.iter().any(|known| **known == *resource);
    let is_label = set.labels.iter().any(|label| label.as_str() == name);
    match kind {
        Kind::Label => label(desk, policy, name, &|_| true, out),
        Kind::Selector if is_label => label(desk, policy, name, &in_scope, out),
        Kind::Selector | Kind::Field => field(desk, policy, name, &in_scope, out),
        Kind::Resource => resource(policy, name, out),
        Kind::Role => role(desk, policy, name, out),
        Kind::Mask => {
            if let Some(mask) = set.masks.iter().find(|mask| mask.name.as_str() == name) {
                let _ = writeln!(out, "Mask {}: {}", code(name), code(&mask.definition.to_json()));
            }
        }
        Kind::Action | Kind::Request => {
            for word in defined(set, kind, name, &in_scope).into_iter().take(MAX_LINES) {
                let _ = writeln!(out, "- {}", code(word.as_str()));
            }
            for route in set.apis.iter().flat_map(|api| &api.routes).filter(|_| kind == Kind::Action) {
                if route.action.as_ref().is_some_and(|action| action.as_str() == name) {
                    let line = format!("- {}\n", code(route.pattern.as_str()));
                    if !out.contains(&line) && out.lines().count() < MAX_LINES {
                        out.push_str(&line);
                    }
                }
            }
        }
        Kind::Group => {
            let held = set.bindings.iter().filter(|b| b.groups.iter().any(|group| group.as_str() == name));
            let roles: Vec<_> = held.map(|binding| code(binding.role.as_str())).collect();
            if !roles.is_empty() {
                let _ = writeln!(out, "Group {}: holds {}", code(name), roles.join(", "));
            }
        }
        Kind::Api | Kind::Secret | Kind::Condition => {}
    }
}

fn field(desk: &Desk<'_>, policy: &Loaded, name: &str, in_scope: &dyn Fn(&str) -> bool, out: &mut String) {
    for resource in policy.set.resources.iter().filter(|resource| in_scope(resource.name.as_str())) {
        let Some((label, _)) = resource.fields.iter().find(|(_, field)| field.as_str() == name) else {
            continue;
        };
        let of = code(resource.name.as_str());
        let _ = writeln!(out, "Field {} of {of}, label {}\n", code(name), code(label.as_str()));
        let wanted = |field: &str, _: Option<&str>| field == name;
        out.push_str(&sight::of_fields(desk, resource.name.as_str(), &wanted).unwrap_or_default());
    }
}

fn label(desk: &Desk<'_>, policy: &Loaded, name: &str, in_scope: &dyn Fn(&str) -> bool, out: &mut String) {
    let labels = &policy.set.labels;
    let Some(rank) = labels.iter().position(|label| label.as_str() == name) else { return };
    let _ = writeln!(out, "Label {}, {} of {} from the most open\n", code(name), rank + 1, labels.len());
    for resource in policy.set.resources.iter().filter(|resource| in_scope(resource.name.as_str())) {
        let fields: Vec<_> = resource
            .fields
            .iter()
            .filter(|(label, _)| label.as_str() == name)
            .map(|(_, field)| code(field.as_str()))
            .collect();
        if fields.is_empty() {
            continue;
        }
        let _ = writeln!(out, "{}: {}\n", code(resource.name.as_str()), fields.join(", "));
        let wanted = |_: &str, label: Option<&str>| label == Some(name);
        out.push_str(&sight::of_fields(desk, resource.name.as_str(), &wanted).unwrap_or_default());
        out.push('\n');
    }
}

fn resource(policy: &Loaded, name: &str, out: &mut String) {
    let set = &policy.set;
    let Some(resource) = set.resources.iter().find(|resource| resource.name.as_str() == name) else { return };
    let _ = writeln!(out, "Resource {}\n", code(name));
    for label in &set.labels {
        let fields = resource.fields.iter().filter(|(of, _)| of.text == label.text);
        let fields: Vec<_> = fields.map(|(_, field)| code(field.as_str())).collect();
        if !fields.is_empty() {
            let _ = writeln!(out, "- {}: {}", code(label.as_str()), fields.join(", "));
        }
    }
    for (place, target) in &resource.relations {
        let _ = writeln!(out, "- {} holds {}", code(place.as_str()), code(target.as_str()));
    }
}

fn role(desk: &Desk<'_>, policy: &Loaded, name: &str, out: &mut String) {
    let Some(role) = policy.set.roles.iter().find(|role| role.name.as_str() == name) else { return };
    let _ = writeln!(out, "Role {}\n", code(name));
    if !role.inherits.is_empty() {
        let parents: Vec<_> = role.inherits.iter().map(|parent| code(parent.as_str())).collect();
        let _ = writeln!(out, "- inherits {}", parents.join(", "));
    }
    for permission in role.permissions.iter().take(MAX_LINES) {
        let actions: Vec<_> = permission.actions.iter().map(|action| action.as_str()).collect();
        let when = permission
            .records
            .as_ref()
            .map_or(String::new(), |when| format!(" where {}", code(when.as_str())));
        let _ = writeln!(out, "- {} on {}{when}", actions.join(", "), code(permission.resource.as_str()));
    }
    if !role.unmask.is_empty() {
        let masks: Vec<_> = role.unmask.iter().map(|mask| code(mask.as_str())).collect();
        let _ = writeln!(out, "- may have turned back {}", masks.join(", "));
    }
    let sound = desk.sound.and_then(|sound| Some((sound.plan.as_ref()?, sound)));
    if let Some((plan, sound)) = sound.filter(|(_, sound)| sound.set.roles.len() <= MAX_ROLES) {
        let held = holders(&sound.set, &plan.survey().roles());
        if let Some(held) = held.get(name) {
            let _ = writeln!(out, "- held by {}", held.sentence());
        }
    }
}

/// Longer lists are cut.
const MAX_LINES: usize = 40;

/// Of more roles the holders are not counted while somebody waits.
const MAX_ROLES: usize = 10_000;
