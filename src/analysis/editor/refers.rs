//! What the names in a policy refer to, by the place at which they stand.

use std::sync::Arc;

use super::cursor;
use super::scan::{Part, Step, Token};

/// What a name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A label.
    Label,
    /// A field of a resource.
    Field,
    /// A label, a field, or `*`.
    Selector,
    /// A resource.
    Resource,
    /// A role.
    Role,
    /// A mask.
    Mask,
    /// An action.
    Action,
    /// A group of principals.
    Group,
    /// An api.
    Api,
    /// A key in the deployment's `secrets`.
    Secret,
    /// Method and path of a request.
    Request,
    /// A condition, in which fields, and members of principal and request, are named.
    Condition,
}

/// What the key or scalar names. For one that has no colon yet, `part` says how it is taken.
pub(super) fn kind(path: &[Step], part: Part) -> Option<Kind> {
    let names: Vec<&str> = path
        .iter()
        .map(|step| match step {
            Step::Key(key) => key.as_ref(),
            Step::Item(_) => "#",
        })
        .collect();
    if part == Part::Key { of_key(&names) } else { of_value(&names) }
}

fn of_key(mapping: &[&str]) -> Option<Kind> {
    Some(match mapping {
        ["resources"] => Kind::Resource,
        ["roles"] => Kind::Role,
        ["masks"] => Kind::Mask,
        ["apis"] => Kind::Api,
        ["secrets"] => Kind::Secret,
        ["resources", _, "fields"] => Kind::Label,
        ["resources", _, "relations"] => Kind::Field,
        ["roles", _, "permissions", "#", "fields", "mask"] => Kind::Selector,
        _ => return None,
    })
}

fn of_value(path: &[&str]) -> Option<Kind> {
    let place = match path {
        [before @ .., "#"] => before,
        _ => path,
    };
    Some(match place {
        ["labels"] => Kind::Label,
        ["resources", _, "key"] | ["resources", _, "fields", _] => Kind::Field,
        ["resources", _, "relations", _] => Kind::Resource,
        ["apis", _, "routes", "#", rest @ ..] => return of_route(rest),
        ["masks", _, "hash" | "pseudonym" | "fpe", "key"] => Kind::Secret,
        ["masks", _, "with" | "then" | "else"] => Kind::Mask,
        ["masks", _, "when"] => Kind::Condition,
        ["roles", _, "inherits"] => Kind::Role,
        ["roles", _, "unmask"] | ["invariants", "#", "never", "unmask"] => Kind::Mask,
        ["roles", _, "permissions", "#", rest @ ..] => match rest {
            ["resource"] => Kind::Resource,
            ["actions"] => Kind::Action,
            ["records"] => Kind::Condition,
            ["fields", "show" | "hide" | "edit" | "query"] => Kind::Selector,
            ["fields", "mask", _] => Kind::Mask,
            _ => return None,
        },
        ["bindings", "#", "role"] => Kind::Role,
        ["bindings", "#", "groups"] => Kind::Group,
        ["bindings", "#", "when"] | ["guards", "#", "require"] => Kind::Condition,
        ["approvals", "#", "requesters"] | ["approvals", "#", "approvers", "role"] => Kind::Role,
        ["guards", "#", "on", name]
        | ["approvals", "#", "covers", name]
        | ["limits", "#", name]
        | ["invariants", "#", "never", name] => return of_scope(name),
        ["tests", "#", "principal", "roles"] => Kind::Role,
        ["tests", "#", "principal", "groups"] | ["identity", "keys", "#", "groups"] => Kind::Group,
        ["tests", "#", "request"] | ["tests", "#", "request", "line"] => Kind::Request,
        _ => return None,
    })
}

fn of_route(place: &[&str]) -> Option<Kind> {
    Some(match place {
        ["action"] => Kind::Action,
        ["resource"] | ["resource", "map", _] => Kind::Resource,
        ["columns", _] | ["query", "filter"] => Kind::Field,
        _ => return None,
    })
}

/// The keys of a guard's `on`, a limit, an invariant's `never` and an approval's `covers`.
fn of_scope(name: &str) -> Option<Kind> {
    Some(match name {
        "actions" => Kind::Action,
        "resource" | "resources" => Kind::Resource,
        "labels" => Kind::Label,
        "fields" => Kind::Field,
        "roles" | "except_roles" => Kind::Role,
        "show" | "mask" | "edit" => Kind::Selector,
        _ => return None,
    })
}

/// The resources that the fields and actions at a place belong to; none: any.
pub(super) fn resources(text: &str, token: &Token) -> Vec<Arc<str>> {
    let key = |at: usize| match token.path.get(at) {
        Some(Step::Key(key)) => Some(key),
        Some(Step::Item(_)) | None => None,
    };
    let holder = match (key(0).map(AsRef::as_ref), token.path.len()) {
        (Some("resources"), 2..) => return key(1).cloned().into_iter().collect(),
        (Some("roles" | "apis"), 4..) => 4,
        (Some("limits"), 2..) => 2,
        (Some("guards" | "invariants" | "approvals"), 3..) => 3,
        _ => return Vec::new(),
    };
    let mapping = token.path.get(..holder).unwrap_or_default();
    cursor::texts_at(text, mapping, &["resource", "resources"])
}

/// The dotted name in a condition around a byte offset of its text, as far as it is typed: `record.owner.na`.
pub(super) fn dotted(condition: &str, offset: usize, whole: bool) -> &str {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '[' | ']' | '*');
    let before = condition.get(..offset).unwrap_or("");
    let start = offset - before.chars().rev().take_while(|c| part(*c)).map(char::len_utf8).sum::<usize>();
    let behind = condition.get(offset..).unwrap_or("");
    let more =
        behind.chars().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum::<usize>();
    condition.get(start..if whole { offset + more } else { offset }).unwrap_or("")
}
