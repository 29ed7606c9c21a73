//! Policy files as they are written: every name with its place, nothing looked up yet.
//!
//! Sections merge by name over all files; a name given twice is an error that shows both places. Whether names
//! mean anything is the business of `check`.

mod batch;
mod guards;
mod people;
mod resources;
mod routes;
mod shapes;
mod tests_matrix;
mod tests_section;
pub(crate) mod units;

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::Diagnostic;

use super::source::{Documents, Fields, Mark, Node, Value, Word, did_you_mean, items, members, word};

pub use batch::Batch;
pub use guards::{Alert, Approval, Exceed, Guard, GuardScope, Invariant, Limit, Quota};
pub use people::{Binding, FieldAccess, MaskDefinition, Permission, Role};
pub use resources::Resource;
pub use routes::{
    Api, Denials, Envelope, Errors, Format, PartKind, ResourceOf, Route, RoutePart, Uneditable, WhenPart,
};
pub use shapes::{Asks, QueryParts, RowColumns, Rows, TypeAt};
pub use tests_section::{Body, PolicyTest, TestExpectation, TestPrincipal, TestRequest, Written};

/// Everything the policy files say.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    /// The data classifications, from the most open to the most guarded.
    pub labels: Vec<Word>,
    /// The record types.
    pub resources: Vec<Resource>,
    /// The upstream APIs.
    pub apis: Vec<Api>,
    /// The masks beside the built-in ones.
    pub masks: Vec<MaskDefinition>,
    /// The roles.
    pub roles: Vec<Role>,
    /// Who holds which role, and when.
    pub bindings: Vec<Binding>,
    /// What must hold whatever the roles say.
    pub guards: Vec<Guard>,
    /// How much.
    pub limits: Vec<Limit>,
    /// What can be asked for.
    pub approvals: Vec<Approval>,
    /// What is noticed.
    pub alerts: Vec<Alert>,
    /// What must never be possible.
    pub invariants: Vec<Invariant>,
    /// Examples that must hold.
    pub tests: Vec<PolicyTest>,
}

impl PolicySet {
    /// Takes in one file.
    pub fn add(&mut self, documents: &Documents, root: &Node) {
        if matches!(root.value, Value::Null) {
            return;
        }
        for (section, node) in members(documents, root, "a policy file") {
            match section.as_str() {
                "labels" => self.labels.extend(super::source::words(documents, node)),
                "resources" => {
                    extend(&mut self.resources, members(documents, node, "`resources`"), |(k, n)| {
                        resources::resource(documents, k, n)
                    })
                }
                "apis" => extend(&mut self.apis, members(documents, node, "`apis`"), |(k, n)| {
                    routes::api(documents, k, n)
                }),
                "masks" => extend(&mut self.masks, members(documents, node, "`masks`"), |(k, n)| {
                    Some(MaskDefinition { name: k.clone(), definition: n.clone() })
                }),
                "roles" => extend(&mut self.roles, members(documents, node, "`roles`"), |(k, n)| {
                    people::role(documents, k, n)
                }),
                "bindings" => {
                    extend(&mut self.bindings, items(documents, node, "`bindings`"), |n| {
                        people::binding(documents, n)
                    });
                }
                "guards" => {
                    extend(&mut self.guards, items(documents, node, "`guards`"), |n| {
                        guards::guard(documents, n)
                    });
                }
                "limits" => {
                    extend(&mut self.limits, items(documents, node, "`limits`"), |n| {
                        guards::limit(documents, n)
                    });
                }
                "approvals" => extend(&mut self.approvals, items(documents, node, "`approvals`"), |n| {
                    guards::approval(documents, n)
                }),
                "alerts" => {
                    extend(&mut self.alerts, items(documents, node, "`alerts`"), |n| {
                        guards::alert(documents, n)
                    });
                }
                "invariants" => extend(&mut self.invariants, items(documents, node, "`invariants`"), |n| {
                    guards::invariant(documents, n)
                }),
                "tests" => self.add_tests(documents, node),
                other => unknown_section(documents, other, section.mark),
            }
        }
    }

    /// Takes in a file that holds nothing but tests.
    pub fn add_test_file(&mut self, documents: &Documents, root: &Node) {
        if matches!(root.value, Value::Null) {
            return;
        }
        for (section, node) in members(documents, root, "a file of tests") {
            if section.as_str() == "tests" {
                self.add_tests(documents, node);
                continue;
            }
            documents.error_with_help(
                "unknown-section",
                format!("a file of tests does not hold `{}`", section.text),
                "it holds `tests` only: it is not read when the policy is served",
                section.mark,
            );
        }
    }

    fn add_tests(&mut self, documents: &Documents, node: &Node) {
        let items = items(documents, node, "`tests`");
        self.tests.extend(items.iter().flat_map(|item| tests_section::tests(documents, item)));
    }

    /// Complains about names given twice.
    pub fn refuse_duplicates(&self, documents: &Documents) {
        unique(documents, "label", self.labels.iter());
        unique(documents, "resource", self.resources.iter().map(|r| &r.name));
        unique(documents, "api", self.apis.iter().map(|a| &a.name));
        unique(documents, "mask", self.masks.iter().map(|m| &m.name));
        unique(documents, "role", self.roles.iter().map(|r| &r.name));
        unique(documents, "guard", self.guards.iter().map(|g| &g.name));
        unique(documents, "limit", self.limits.iter().map(|l| &l.name));
        unique(documents, "approval", self.approvals.iter().map(|a| &a.name));
        unique(documents, "alert", self.alerts.iter().map(|a| &a.name));
        unique(documents, "invariant", self.invariants.iter().map(|i| &i.name));
        unique(documents, "test", self.tests.iter().map(|t| &t.name));
    }
}

/// Complains where one of the names is given twice.
pub(super) fn unique<'w>(documents: &Documents, what: &str, names: impl Iterator<Item = &'w Word>) {
    let mut first: HashMap<&str, Mark> = HashMap::new();
    for name in names {
        match first.get(name.as_str()) {
            Some(earlier) => documents.push(
                Diagnostic::error("duplicate-name", format!("{what} `{}` is defined twice", name.text))
                    .at(documents.place(name.mark))
                    .related(documents.place(*earlier), "first defined here"),
            ),
            None => {
                first.insert(name.as_str(), name.mark);
            }
        }
    }
}

fn extend<T, N>(into: &mut Vec<T>, nodes: &[N], read: impl FnMut(&N) -> Option<T>) {
    into.extend(nodes.iter().filter_map(read));
}

fn unknown_section(documents: &Documents, name: &str, mark: Mark) {
    let help = did_you_mean(name, SECTIONS).unwrap_or_else(|| {
        let all: Vec<_> = SECTIONS.iter().map(|name| format!("`{name}`")).collect();
        format!("sections are {}; addresses and credentials belong into fieldgate.yaml", all.join(", "))
    });
    documents.error_with_help("unknown-section", format!("nobody reads the section `{name}`"), help, mark);
}

/// A condition as it is written.
fn condition(fields: &Fields<'_>, name: &'static str) -> Option<Word> {
    let node = fields.node(name)?;
    match &node.value {
        // `when: true` is a condition too, and the plain way to say "always".
        Value::Bool(value) => {
            Some(Word { text: Arc::from(if *value { "true" } else { "false" }), mark: node.mark })
        }
        _ => fields.text(name),
    }
}

/// Where `mode: shadow` is written: the rule decides nothing, and is asked what it would have decided.
fn shadow(fields: &Fields<'_>) -> Option<Mark> {
    let chosen = fields.choice("mode", &[("live", false), ("shadow", true)]);
    fields.node("mode").filter(|_| chosen == Some(true)).map(|node| node.mark)
}

/// A name that is free text for people, or a name others refer to: not empty, no control characters.
fn name_of(documents: &Documents, node: &Node) -> Option<Word> {
    let name = word(documents, node)?;
    if name.text.is_empty() || name.text.chars().any(char::is_control) {
        documents.error("bad-name", "a name is a line of text that is not empty", name.mark);
        return None;
    }
    Some(name)
}

/// The sections of a policy file.
const SECTIONS: [&str; 12] = [
    "labels",
    "resources",
    "apis",
    "masks",
    "roles",
    "bindings",
    "guards",
    "limits",
    "approvals",
    "alerts",
    "invariants",
    "tests",
];
