//! Lints: a policy that can be served, and in which something is probably not meant.

use std::collections::BTreeMap;

use crate::base::{Diagnostic, Severity};
use crate::rewrite::{Access, Path};

use super::model::{PermissionTable, Tables, View};
use super::operation::Action;
use super::source::{Documents, Mark, did_you_mean};
use super::syntax::PolicySet;
use super::unmask;

/// Warns about what looks like a mistake.
pub(super) fn lint(documents: &Documents, set: &PolicySet, tables: &Tables) {
    // Beside errors, what looks odd may only be their consequence.
    let quiet = documents.has_errors();
    let lint = Lint { documents, set, tables, quiet };
    lint.labels();
    lint.roles();
    lint.permissions();
    lint.picked();
    lint.conditions();
    lint.scopes();
    lint.public_routes();
    lint.shadows();
    if !documents.has_errors() {
        super::lints::lint(documents, set, tables);
    }
}

struct Lint<'a> {
    documents: &'a Documents,
    set: &'a PolicySet,
    tables: &'a Tables,
    quiet: bool,
}

impl Lint<'_> {
    fn warn(&self, code: &'static str, message: String, help: &str, mark: Mark) {
        if self.quiet {
            return;
        }
        let diagnostic = Diagnostic::warning(code, message).at(self.documents.place(mark));
        self.documents.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
    }

    fn labels(&self) {
        for (index, label) in self.set.labels.iter().enumerate() {
            let used = self.tables.resources.iter().any(|r| r.fields.iter().any(|f| f.label == index));
            if !used {
                let message = format!("no field has the label `{}`", label.text);
                self.warn("unused-label", message, "", label.mark);
            }
        }
    }

    fn roles(&self) {
        let mut held = vec![false; self.tables.roles.len()];
        let bound = self.tables.bindings.iter().map(|binding| &binding.role);
        let inherited = self.tables.roles.iter().flat_map(|role| &role.inherits);
        let tested = self.set.tests.iter().flat_map(|test| &test.principal.roles);
        let tested = tested.filter_map(|name| self.tables.role_ids.get(&name.text));
        for id in bound.chain(inherited).chain(tested) {
            held.get_mut(*id as usize).into_iter().for_each(|held| *held = true);
        }
        for (role, held) in self.set.roles.iter().zip(held) {
            if !held {
                self.warn(
                    "unbound-role",
                    format!("nobody holds the role `{}`", role.name.text),
                    "add a binding, or remove the role; API keys can also name it",
                    role.name.mark,
                );
            }
        }
    }

    fn permissions(&self) {
        let mut used: BTreeMap<(usize, &Action), ()> = BTreeMap::new();
        for route in &self.tables.routes {
            let Some((action, _)) = &route.about else { continue };
            used.extend(route.resources().into_iter().map(|resource| ((resource, action), ())));
        }
        for permission in &self.tables.permissions {
            let releases = permission.access.iter().any(|s| !matches!(s.access, Access::Hide));
            let reads =
                permission.actions.iter().any(|a| matches!(a, Action::List | Action::Read | Action::Export));
            if reads && !releases && !permission.unknown_shown {
                let message = "this permission releases records without any field".to_owned();
                self.warn("shows-nothing", message, "add `fields: { show: … }`", permission.mark);
            }
            self.edits(permission);
            for action in &permission.actions {
                self.action(permission, action, used.contains_key(&(permission.resource, action)));
            }
        }
    }

    /// Places that pick elements, too many at one list: no automaton tells them all apart.
    fn picked(&self) {
        for (resource, table) in self.set.resources.iter().zip(&self.tables.resources) {
            let mine = table.permissions.iter().filter_map(|id| self.tables.permissions.get(*id as usize));
            let mut paths: Vec<Path> = table.fields.iter().map(|field| field.path.clone()).collect();
            paths
                .extend(mine.flat_map(|permission| &permission.access).map(|selector| selector.path.clone()));
            paths.sort_unstable();
            paths.dedup();
            if paths.iter().any(Path::is_narrow) && !super::assemble::is_followed(paths) {
                self.documents.error_with_help(
                    "too-many-picked",
                    format!("the fields of `{}` pick too many different elements of one list", table.name),
                    "at one list there may be six filters and slices from the end, and sixty indexes",
                    resource.name.mark,
                );
            }
        }
    }

    /// `edit` without sight of the field has no effect (rule 9).
    fn edits(&self, permission: &PermissionTable) {
        if permission.write_only {
            return;
        }
        // In shadow it is judged as if it were in force.
        let view = if permission.shadow { View::Shadow } else { View::Live };
        let mine = self.tables.permissions_in(view, &[permission.role]);
        for selector in permission.edit.iter().filter(|s| matches!(s.access, Access::Show)) {
            let seen = mine.iter().filter_map(|id| self.tables.permissions.get(*id as usize)).any(|other| {
                other.resource == permission.resource
                    && other
                        .access
                        .iter()
                        .any(|s| s.path.is_prefix_of(&selector.path) && matches!(s.access, Access::Show))
            });
            if !seen {
                self.documents.push(
                    Diagnostic::error(
                        "edit-without-show",
                        format!("`{}` may be edited and is not shown in clear", selector.path),
                    )
                    .help("show it as well, or say `write_only: true`")
                    .at(self.documents.place(permission.mark)),
                );
            }
            let decides = permission
                .deciding()
                .any(|slot| slot.is_prefix_of(&selector.path) || selector.path.is_prefix_of(slot));
            if decides && permission.actions.iter().any(super::compile::writes_one) {
                self.warn(
                    "edits-what-decides",
                    format!(
                        "the condition reads `{}`, so this permission does not let it be changed",
                        selector.path
                    ),
                    "a permission without that condition can",
                    permission.mark,
                );
            }
        }
    }

    /// A guard or limit on a misspelled action would silently guard and limit nothing.
    fn scopes(&self) {
        // What has no route: a guard on it is about the masks that roles may have turned back.
        let unmasks = self.tables.roles.iter().any(|role| !role.unmask.is_empty());
        let guards = self.set.guards.iter().flat_map(|guard| &guard.on.actions);
        let guards = guards.filter(|word| !(unmasks && word.as_str() == unmask::ACTION));
        let limits = self.set.limits.iter().flat_map(|limit| &limit.actions);
        let invariants = self.set.invariants.iter().flat_map(|invariant| &invariant.actions);
        for word in guards.chain(limits).chain(invariants) {
            let action = Action::of(&word.text);
            let routed =
                self.tables.routes.iter().any(|r| r.about.as_ref().is_some_and(|(a, _)| *a == action));
            if let (Action::Named(name), false) = (&action, routed) {
                self.unknown_action(format!("no route has the action `{name}`"), name, word.mark);
            }
        }
    }

    fn action(&self, permission: &PermissionTable, action: &Action, routed: bool) {
        if let (Action::Named(name), false) = (action, routed) {
            let message = format!("no route has the action `{name}` on this resource");
            self.unknown_action(message, name, permission.mark);
        }
    }

    fn unknown_action(&self, message: String, name: &str, mark: Mark) {
        let known: Vec<&str> = self
            .tables
            .routes
            .iter()
            .filter_map(|route| route.about.as_ref())
            .map(|(action, _)| action.name())
            .chain(["list", "read", "create", "update", "delete", "export"])
            .collect();
        let diagnostic = Diagnostic::error("unknown-action", message).at(self.documents.place(mark));
        let help = did_you_mean(name, known.iter().copied())
            .unwrap_or_else(|| "add a route with this action, or remove it".to_owned());
        self.documents.push(diagnostic.help(help));
    }

    fn conditions(&self) {
        for permission in &self.tables.permissions {
            let Some(table) = self.tables.resources.get(permission.resource) else { continue };
            for slot in permission.deciding() {
                let known = table.label_at(slot).is_some()
                    || table.fields.iter().any(|field| slot.is_prefix_of(&field.path))
                    || table.key.as_ref() == Some(slot)
                    || table
                        .relations
                        .iter()
                        .any(|(path, _)| path.is_prefix_of(slot) || slot.is_prefix_of(path));
                if !known {
                    let message =
                        format!("the condition reads `{slot}`, which `{}` does not list", table.name);
                    let fields = table.fields.iter().map(|field| field.text.as_ref());
                    let help = did_you_mean(&slot.to_string(), fields).unwrap_or_default();
                    self.warn("unlisted-field", message, &help, permission.mark);
                }
            }
        }
    }

    /// A rule in shadow is listed, as it has no effect however much it looks like one.
    fn shadows(&self) {
        let permissions = self.set.roles.iter().flat_map(|role| &role.permissions);
        let permissions = permissions.filter_map(|permission| Some(("permission", permission.shadow?)));
        let bindings = self.set.bindings.iter().filter_map(|binding| Some(("binding", binding.shadow?)));
        let guards = self.set.guards.iter().filter_map(|guard| Some(("guard", guard.shadow?)));
        for (what, mark) in permissions.chain(bindings).chain(guards) {
            let message = format!("in shadow: this {what} has no effect, what it would change is reported");
            let mut diagnostic =
                Diagnostic::warning("in-shadow", message).help("to put it in force, remove `mode`");
            diagnostic.severity = Severity::Note;
            self.documents.push(diagnostic.at(self.documents.place(mark)));
        }
    }

    /// policy.md: "A public route passes bytes untouched and is listed by `check` under that name."
    fn public_routes(&self) {
        for route in self.set.apis.iter().flat_map(|api| &api.routes).filter(|route| route.public) {
            let message = format!("public route: `{}` passes untouched, for everybody", route.pattern.text);
            let mut diagnostic = Diagnostic::warning("public-route", message);
            diagnostic.severity = Severity::Note;
            self.documents.push(diagnostic.at(self.documents.place(route.pattern.mark)));
        }
    }
}
