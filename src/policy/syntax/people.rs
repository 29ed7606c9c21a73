//! The sections `masks`, `roles` and `bindings`.

use super::units::{self, Day, Hours};
use super::{Documents, Fields, Mark, Node, Value, Word, condition, items, members};
use crate::policy::source::words;

/// How values are replaced, under a name.
#[derive(Clone, Debug)]
pub struct MaskDefinition {
    /// Its name.
    pub name: Word,
    /// Kind and parameters.
    pub definition: Node,
}

/// A list of permissions.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its name.
    pub name: Word,
    /// The roles whose permissions it has too.
    pub inherits: Vec<Word>,
    /// Its own permissions.
    pub permissions: Vec<Permission>,
    /// The masks whose values its holders may have turned back.
    pub unmask: Vec<Word>,
}

/// What holders of a role may do with the records of a resource.
#[derive(Clone, Debug)]
pub struct Permission {
    /// Where it stands.
    pub mark: Mark,
    /// Its place among the permissions of the role, as it is written.
    pub index: usize,
    /// The resource.
    pub resource: Word,
    /// The actions.
    pub actions: Vec<Word>,
    /// The records it is about; `None`: all.
    pub records: Option<Word>,
    /// The fields; `None`: none.
    pub fields: Option<FieldAccess>,
    /// Where it says that it is in shadow.
    pub shadow: Option<Mark>,
}

/// What may be done with fields. Selectors are labels, paths or `*`.
#[derive(Clone, Debug, Default)]
pub struct FieldAccess {
    /// Where it stands.
    pub mark: Mark,
    /// Shown in clear.
    pub show: Vec<Word>,
    /// Selector and mask.
    pub mask: Vec<(Word, Word)>,
    /// Not released by this permission.
    pub hide: Vec<Word>,
    /// May be set.
    pub edit: Vec<Word>,
    /// May be filtered, sorted and grouped by; `None`: what is shown.
    pub query: Option<Vec<Word>>,
    /// Whether `edit` does without `show`.
    pub write_only: bool,
}

/// Which principals hold a role, and when.
#[derive(Clone, Debug)]
pub struct Binding {
    /// Where it stands.
    pub mark: Mark,
    /// The role.
    pub role: Word,
    /// Subjects that hold it.
    pub users: Vec<Word>,
    /// Who must vouch for them, where several identity providers do.
    pub issuer: Option<Word>,
    /// Groups whose members hold it.
    pub groups: Vec<Word>,
    /// A condition on principal and request.
    pub when: Option<Word>,
    /// The first moment at which it no longer holds.
    pub expires: Option<(Day, Mark)>,
    /// When it holds; any of them.
    pub hours: Vec<Hours>,
    /// From where it holds; any of them.
    pub networks: Vec<ipnet::IpNet>,
    /// Where it says that it is in shadow.
    pub shadow: Option<Mark>,
}

pub(super) fn role(documents: &Documents, name: &Word, node: &Node) -> Option<Role> {
    let fields = Fields::of(documents, node, "a role")?;
    let inherits = fields.texts("inherits").unwrap_or_default();
    let unmask = fields.texts("unmask").unwrap_or_default();
    let _description = fields.text("description");
    let mut permissions = Vec::new();
    if let Some(node) = fields.node("permissions") {
        for (index, item) in items(documents, node, "`permissions`").iter().enumerate() {
            permissions.extend(permission(documents, item, index));
        }
    }
    fields.finish();
    Some(Role { name: name.clone(), inherits, permissions, unmask })
}

fn permission(documents: &Documents, node: &Node, index: usize) -> Option<Permission> {
    let fields = Fields::of(documents, node, "a permission")?;
    let resource = fields.required_text("resource");
    let actions = fields.required("actions").map(|node| words(documents, node));
    if actions.as_ref().is_some_and(Vec::is_empty) {
        documents.error("missing-actions", "a permission names at least one action", fields.mark());
    }
    let records = condition(&fields, "records");
    let access = fields.node("fields").and_then(|node| access(documents, node));
    let shadow = super::shadow(&fields);
    let mark = fields.mark();
    fields.finish();
    Some(Permission { mark, index, resource: resource?, actions: actions?, records, fields: access, shadow })
}

fn access(documents: &Documents, node: &Node) -> Option<FieldAccess> {
    let fields = Fields::of(documents, node, "`fields`")?;
    let mut mask = Vec::new();
    if let Some(node) = fields.node("mask") {
        for (selector, name) in members(documents, node, "`mask`") {
            if let Some(name) = super::word(documents, name) {
                mask.push((selector.clone(), name));
            }
        }
    }
    let access = FieldAccess {
        mark: fields.mark(),
        show: fields.texts("show").unwrap_or_default(),
        mask,
        hide: fields.texts("hide").unwrap_or_default(),
        edit: fields.texts("edit").unwrap_or_default(),
        query: fields.texts("query"),
        write_only: fields.flag("write_only").unwrap_or(false),
    };
    fields.finish();
    Some(access)
}

pub(super) fn binding(documents: &Documents, node: &Node) -> Option<Binding> {
    let fields = Fields::of(documents, node, "a binding")?;
    let role = fields.required_text("role");
    let users = fields.texts("users");
    let groups = fields.texts("groups");
    let issuer = fields.text("issuer");
    let when = condition(&fields, "when");
    if users.is_none() && groups.is_none() && when.is_none() {
        documents.error_with_help(
            "nobody-bound",
            "a binding says who holds the role: `users`, `groups` or `when`",
            "for everybody who is authenticated write `when: true`",
            role.as_ref().map_or(node.mark, |role| role.mark),
        );
    }
    // An empty list names nobody, it does not lift the restriction.
    for key in ["users", "groups", "hours", "networks"] {
        if let Some(node) = fields.node(key)
            && matches!(&node.value, Value::List(items) if items.is_empty())
        {
            documents.error_with_help(
                "nobody-bound",
                format!("`{key}` is empty, so nobody would hold the role"),
                format!("name something in `{key}`, or remove it"),
                node.mark,
            );
        }
    }
    let expires = fields
        .text("expires")
        .and_then(|text| units::accept(documents, &text, Day::parse(&text.text)).map(|day| (day, text.mark)));
    let hours = fields
        .texts("hours")
        .unwrap_or_default()
        .iter()
        .filter_map(|text| units::accept(documents, text, Hours::parse(&text.text)))
        .collect();
    let networks = fields
        .texts("networks")
        .unwrap_or_default()
        .iter()
        .filter_map(|text| units::accept(documents, text, units::network(&text.text)))
        .collect();
    let shadow = super::shadow(&fields);
    let mark = fields.mark();
    fields.finish();
    Some(Binding {
        mark,
        role: role?,
        users: users.unwrap_or_default(),
        groups: groups.unwrap_or_default(),
        issuer,
        when,
        expires,
        hours,
        networks,
        shadow,
    })
}
