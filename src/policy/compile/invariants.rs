//! Invariants: proved, or refuted by naming the role and the permission that break them.
//!
//! Rights only add up over roles, and the condition of a guard may always hold, so some principal can do a thing if and
//! only if a single role, with what it inherits, can: combinations of roles need not be tried. Conditions on records
//! are taken as possible.

use crate::base::Diagnostic;
use crate::rewrite::{Access, Selector};

use super::Compiler;
use crate::policy::model::{PermissionTable, ResourceId, RoleId};
use crate::policy::operation::Action;
use crate::policy::source::Word;
use crate::policy::syntax::Invariant;

/// What must never be possible, looked up.
struct Never {
    show: Vec<usize>,
    edit: Vec<usize>,
    actions: Vec<Action>,
    resources: Vec<ResourceId>,
}

impl Compiler<'_> {
    pub(super) fn invariants(&self) {
        for invariant in &self.set.invariants {
            let labels =
                |words: &[Word]| words.iter().filter_map(|word| self.label(word)).collect::<Vec<_>>();
            let never = Never {
                show: labels(&invariant.show),
                edit: labels(&invariant.edit),
                actions: self.actions(&invariant.actions),
                resources: invariant.resources.iter().filter_map(|word| self.resource(word)).collect(),
            };
            let only: Vec<_> = invariant.roles.iter().filter_map(|word| self.role(word)).collect();
            let not: Vec<_> = invariant.except_roles.iter().filter_map(|word| self.role(word)).collect();
            for id in 0..self.tables.roles.len() as RoleId {
                let meant = (invariant.roles.is_empty() || only.contains(&id)) && !not.contains(&id);
                if meant {
                    self.hold(invariant, &never, id);
                }
            }
        }
    }

    /// Complains about the first permission of a role that breaks an invariant.
    fn hold(&self, invariant: &Invariant, never: &Never, role: RoleId) {
        let Some(name) = self.tables.roles.get(role as usize).map(|role| &role.name) else { return };
        for id in self.tables.permissions_of(&[role]) {
            let Some(permission) = self.tables.permissions.get(id as usize) else { continue };
            if !never.resources.is_empty() && !never.resources.contains(&permission.resource) {
                continue;
            }
            if let Some(does) = self.breaks(never, permission) {
                let message =
                    format!("the invariant `{}` does not hold: role `{name}` {does}", invariant.name.text);
                self.documents.push(
                    Diagnostic::error("invariant-broken", message)
                        .at(self.documents.place(invariant.name.mark))
                        .related(self.documents.place(permission.mark), "by this permission"),
                );
                return;
            }
        }
    }

    fn breaks(&self, never: &Never, permission: &PermissionTable) -> Option<String> {
        let table = self.tables.resources.get(permission.resource)?;
        let with = |selectors: &[Selector], labels: &[usize]| {
            selectors
                .iter()
                .filter(|selector| matches!(selector.access, Access::Show))
                .find(|selector| table.label_at(&selector.path).is_some_and(|label| labels.contains(&label)))
                .map(|selector| selector.path.to_string())
        };
        if let Some(field) = with(&permission.access, &never.show) {
            return Some(format!("sees `{}.{field}` in clear", table.name));
        }
        if let Some(field) = with(&permission.edit, &never.edit) {
            return Some(format!("sets `{}.{field}`", table.name));
        }
        let action = permission.actions.iter().find(|action| never.actions.contains(action))?;
        Some(format!("may `{action}` `{}`", table.name))
    }
}
