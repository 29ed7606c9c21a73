//! Lints that look at rules beside each other: what adds nothing, what nothing leads to, what protects less than it
//! seems to. Each says where, and what to do.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;

use crate::base::Diagnostic;
use crate::rewrite::mask::Strength;
use crate::rewrite::{Access, Path, Selector};

use super::assemble::access_at;
use super::model::{PermissionTable, ResourceId, RouteTable, Tables};
use super::operation::Action;
use super::router::Segment;
use super::source::{Documents, Mark};
use super::syntax::PolicySet;

/// Looks at the rules of a policy that has no mistakes.
pub(super) fn lint(documents: &Documents, set: &PolicySet, tables: &Tables) {
    let lint = Lint { documents, set, tables };
    lint.shadowed_permissions();
    lint.dead_permissions();
    lint.dead_routes();
    lint.weak_masks();
    lint.fields_shown_to_all();
    lint.unmasked_by_all();
    lint.constant_conditions();
}

/// The bindings that have ended.
pub(super) fn expired(documents: &Documents, set: &PolicySet, now: Timestamp) -> Vec<Diagnostic> {
    let ended = set.bindings.iter().filter_map(|binding| {
        let (day, mark) = binding.expires.as_ref()?;
        (day.end <= now).then_some((binding, *mark))
    });
    ended
        .map(|(binding, mark)| {
            let message =
                format!("this binding to `{}` has ended: nobody holds the role by it", binding.role.text);
            Diagnostic::warning("expired-binding", message)
                .help("remove it, or give it a new end")
                .at(documents.place(mark))
        })
        .collect()
}

struct Lint<'a> {
    documents: &'a Documents,
    set: &'a PolicySet,
    tables: &'a Tables,
}

impl Lint<'_> {
    fn warning(&self, code: &'static str, message: String, help: &str, mark: Mark) -> Diagnostic {
        Diagnostic::warning(code, message).help(help).at(self.documents.place(mark))
    }

    fn warn(&self, code: &'static str, message: String, help: &str, mark: Mark) {
        self.documents.push(self.warning(code, message, help, mark));
    }

    // === permissions ===

    /// A permission that adds nothing to what its holders have by another one.
    fn shadowed_permissions(&self) {
        for (id, permission) in self.tables.permissions.iter().enumerate() {
            let held = self.tables.permissions_of(&[permission.role]);
            if held.len() > MOST_COMPARED {
                continue;
            }
            let others = held.iter().map(|other| *other as usize).filter(|other| *other != id);
            let by = others.filter_map(|other| Some((other, self.tables.permissions.get(other)?))).find(
                // Of two that are the same the later one is too much.
                |(other, table)| covers(table, permission) && (*other < id || !covers(permission, table)),
            );
            let Some((_, by)) = by else { continue };
            let message = format!("this permission adds nothing to `{}`", by.name);
            self.documents.push(
                self.warning(
                    "shadowed-permission",
                    message,
                    "remove it, or narrow the other one",
                    permission.mark,
                )
                .related(self.documents.place(by.mark), "gives the same and more"),
            );
        }
    }

    /// A permission that no route leads to, also not by way of a related record.
    fn dead_permissions(&self) {
        let routed: HashSet<(ResourceId, &Action)> =
            self.about().map(|(action, resource)| (*resource, action)).collect();
        let related = self.reached_as_related();
        for permission in &self.tables.permissions {
            let live = related.contains(&permission.resource)
                || permission.actions.iter().any(|action| routed.contains(&(permission.resource, action)));
            let Some(resource) = self.tables.resources.get(permission.resource).filter(|_| !live) else {
                continue;
            };
            let actions: Vec<_> = permission.actions.iter().map(|action| format!("`{action}`")).collect();
            let message = format!("no route leads to {} of `{}`", actions.join(" or "), resource.name);
            let help = "add a route, or remove the permission: it gives nothing";
            self.warn("dead-permission", message, help, permission.mark);
        }
    }

    fn about(&self) -> impl Iterator<Item = &(Action, ResourceId)> {
        self.tables.routes.iter().filter_map(|route| route.about.as_ref())
    }

    /// The resources whose records stand in those of resources with routes.
    fn reached_as_related(&self) -> HashSet<ResourceId> {
        let mut found: HashSet<ResourceId> = HashSet::new();
        let mut open: Vec<ResourceId> = self.about().map(|(_, resource)| *resource).collect();
        let mut seen: HashSet<ResourceId> = open.iter().copied().collect();
        while let Some(table) = open.pop().and_then(|id| self.tables.resources.get(id)) {
            for (_, target) in &table.relations {
                found.insert(*target);
                if seen.insert(*target) {
                    open.push(*target);
                }
            }
        }
        found
    }

    // === routes ===

    /// A route that an earlier one takes every request of.
    fn dead_routes(&self) {
        let written = self.set.apis.iter().flat_map(|api| &api.routes);
        let marks: Vec<_> = written.map(|route| (&route.pattern.text, route.pattern.mark)).collect();
        for (at, route) in self.tables.routes.iter().enumerate() {
            let earlier = self.tables.routes.iter().take(at);
            let mut earlier = earlier;
            let Some(first) = earlier.find(|first| takes_all(first, route)) else { continue };
            let mut of_name = marks.iter().filter(|(text, _)| **text == route.facts.name);
            let Some((_, mark)) = of_name.next_back() else { continue };
            let message = format!("`{}` takes every request of this route", first.facts.name);
            self.warn(
                "dead-route",
                message,
                "remove it, or say with `when` what sets the first one apart",
                *mark,
            );
        }
    }

    // === masks and fields ===

    /// A field that is guarded more than another one, and masked less by the same permission.
    fn weak_masks(&self) {
        for permission in &self.tables.permissions {
            let Some(resource) = self.tables.resources.get(permission.resource) else { continue };
            let masked: Vec<_> = resource
                .fields
                .iter()
                .filter_map(|field| match access_at(&permission.access, &field.path) {
                    Access::Mask(mask) => Some((field, mask)),
                    Access::Show | Access::Hide => None,
                })
                .collect();
            let weaker = masked.iter().find_map(|(guarded, weak)| {
                let opener = masked.iter().find(|(open, strong)| {
                    open.label < guarded.label && strong.strength() < weak.strength()
                })?;
                Some((guarded, weak, opener))
            });
            let Some((guarded, weak, (open, strong))) = weaker else { continue };
            let label = |index: usize| self.tables.labels.get(index).map_or("", AsRef::as_ref);
            let message = format!(
                "`{}` is labelled `{}` and masked by `{}`, which reveals more than `{}` on `{}`, labelled only `{}`",
                guarded.text,
                label(guarded.label),
                weak.name(),
                strong.name(),
                open.text,
                label(open.label),
            );
            let help = "give the field a mask that reveals less, such as `stars`";
            self.warn("weak-mask", message, help, permission.mark);
        }
    }

    /// A field that is guarded by its label, and that everybody or every role sees in clear.
    fn fields_shown_to_all(&self) {
        let everybody = self.held_by_everybody();
        let roles: BTreeSet<u32> = (0..self.tables.roles.len() as u32).collect();
        for (id, resource) in self.tables.resources.iter().enumerate() {
            let showing: Vec<&PermissionTable> = resource
                .permissions
                .iter()
                .filter_map(|id| self.tables.permissions.get(*id as usize))
                .filter(|permission| permission.when.is_none() && !permission.shadow && reads(permission))
                .collect();
            for field in resource.fields.iter().filter(|field| field.label > 0) {
                let shows = |permission: &&&PermissionTable| {
                    matches!(access_at(&permission.access, &field.path), Access::Show)
                };
                let by: Vec<_> = showing.iter().filter(shows).collect();
                let own: BTreeSet<u32> = by.iter().map(|permission| permission.role).collect();
                let to_everybody = by.iter().find(|permission| everybody.contains(&permission.role));
                let to_every_role = roles.len() > 1 && !own.is_empty() && self.with_heirs(&own) == roles;
                let (whom, permission) = match (to_everybody, by.first()) {
                    (Some(permission), _) => ("everybody who is authenticated", permission),
                    (None, Some(permission)) if to_every_role => ("every role", permission),
                    _ => continue,
                };
                let label = self.tables.labels.get(field.label).map_or("", AsRef::as_ref);
                let message = format!(
                    "`{}.{}` has the label `{label}` and is shown in clear to {whom}",
                    resource.name, field.text
                );
                let Some(mark) = self.mark_of(id, &field.text) else { continue };
                self.documents.push(
                    self.warning(
                        "shown-to-all",
                        message,
                        "show it to fewer, mask it, or label it as more open",
                        mark,
                    )
                    .related(self.documents.place(permission.mark), "shown here"),
                );
            }
        }
    }

    /// A mask that everybody may have turned back hides nothing.
    fn unmasked_by_all(&self) {
        let everybody = self.held_by_everybody();
        for (id, role) in self.set.roles.iter().enumerate() {
            let Some(mask) = role.unmask.first().filter(|_| everybody.contains(&(id as u32))) else {
                continue;
            };
            let message =
                format!("everybody who is authenticated may have values of `{}` turned back", mask.text);
            self.warn("unmasked-by-all", message, "give the right to a role that fewer hold", mask.mark);
        }
    }

    /// Roles that everybody holds, always, with those they inherit from.
    fn held_by_everybody(&self) -> HashSet<u32> {
        let bindings = self.tables.bound.open.iter().filter_map(|at| self.tables.bindings.get(*at as usize));
        let free = bindings.filter(|binding| {
            binding.terms.as_ref().is_none_or(|terms| {
                !binding.shadow
                    && terms.when.as_ref().is_none_or(|when| when.constant() == Some(true))
                    && terms.expires.is_none()
                    && terms.hours.is_empty()
                    && terms.networks.is_empty()
            })
        });
        let mut open: Vec<u32> = free.map(|binding| binding.role).collect();
        let mut found = HashSet::new();
        while let Some(id) = open.pop() {
            if found.insert(id) {
                open.extend(self.tables.roles.get(id as usize).into_iter().flat_map(|role| &role.inherits));
            }
        }
        found
    }

    /// Roles and all that inherit from one of them.
    fn with_heirs(&self, roles: &BTreeSet<u32>) -> BTreeSet<u32> {
        let mut found = roles.clone();
        loop {
            let before = found.len();
            for (id, role) in self.tables.roles.iter().enumerate() {
                if role.inherits.iter().any(|parent| found.contains(parent)) {
                    found.insert(id as u32);
                }
            }
            if found.len() == before {
                return found;
            }
        }
    }

    fn mark_of(&self, resource: ResourceId, field: &str) -> Option<Mark> {
        let fields = &self.set.resources.get(resource)?.fields;
        fields.iter().find(|(_, word)| word.as_str() == field).map(|(_, word)| word.mark)
    }

    // === conditions ===

    /// Conditions of permissions, bindings and guards that the record, the caller and the request do not matter to.
    /// `when: true` is the plain way to say "everybody".
    fn constant_conditions(&self) {
        let permissions = self.set.roles.iter().flat_map(|role| &role.permissions);
        let records = permissions.filter_map(|permission| permission.records.as_ref());
        let bindings = self.set.bindings.iter().filter_map(|binding| binding.when.as_ref());
        let bindings = bindings.filter(|when| when.as_str() != "true");
        let guards = self.set.guards.iter().map(|guard| &guard.require);
        for word in records.chain(bindings).chain(guards) {
            let Some(always) = self.tables.constants.get(&word.text) else { continue };
            let message = format!("the condition is always {always}");
            let help = if *always { "leave it out, if that is meant" } else { "it is never met" };
            self.warn("constant-condition", message, help, word.mark);
        }
    }
}

/// Whether whoever holds `by` has everything that `permission` gives.
fn covers(by: &PermissionTable, permission: &PermissionTable) -> bool {
    let condition = |table: &PermissionTable| table.when.as_ref().map(|when| when.source().clone());
    let applies = by.when.is_none() || condition(by) == condition(permission);
    let shown = |selectors: &[Selector], path: &Path| matches!(access_at(selectors, path), Access::Show);
    let all = |mine: &[Selector], other: &[Selector], holds: &dyn Fn(&Path) -> bool| {
        mine.iter().chain(other).all(|selector| holds(&selector.path))
    };
    by.resource == permission.resource
        && applies
        && permission.actions.iter().all(|action| by.actions.contains(action))
        && (by.unknown_shown || !permission.unknown_shown)
        && (by.write_only || !permission.write_only)
        && by.query.is_none() == permission.query.is_none()
        && all(&by.access, &permission.access, &|path| {
            revealing(access_at(&by.access, path)) >= revealing(access_at(&permission.access, path))
        })
        && all(&by.edit, &permission.edit, &|path| shown(&by.edit, path) || !shown(&permission.edit, path))
        && by
            .query
            .as_ref()
            .zip(permission.query.as_ref())
            .is_none_or(|(by, mine)| all(by, mine, &|path| shown(by, path) || !shown(mine, path)))
}

fn revealing(access: &Access) -> (u8, Option<Strength>) {
    match access {
        Access::Hide => (0, None),
        Access::Mask(mask) => (1, Some(mask.strength())),
        Access::Show => (2, None),
    }
}

fn reads(permission: &PermissionTable) -> bool {
    permission.actions.iter().any(|action| matches!(action, Action::List | Action::Read | Action::Export))
}

/// Whether `first`, which is asked first, fits every request that `route` fits.
fn takes_all(first: &RouteTable, route: &RouteTable) -> bool {
    let same = |(a, b): (&Segment, &Segment)| match (a, b) {
        (Segment::Text(a), Segment::Text(b)) => a == b,
        (Segment::Param { before: a, after: x, .. }, Segment::Param { before: b, after: y, .. }) => {
            a == b && x == y
        }
        (Segment::Text(_), Segment::Param { .. }) | (Segment::Param { .. }, Segment::Text(_)) => false,
    };
    first.method == route.method
        && first.when.is_empty()
        && first.template.len() == route.template.len()
        && first.template.iter().zip(&route.template).all(same)
}

/// Permissions of one role that are compared with each other.
const MOST_COMPARED: usize = 300;

#[cfg(test)]
mod tests;
