//! Roles with their permissions, and bindings.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use crate::base::Diagnostic;
use crate::rewrite::mask::Mask;
use crate::rewrite::{Access, Path, Selector};

use super::selectors::{Pick, resolve};
use super::{Compiler, Reads};
use crate::policy::model::{
    BindingTable, BindingTerms, Bound, PermissionId, PermissionTable, ResourceId, RoleId, RoleTable,
};
use crate::policy::source::Word;
use crate::policy::syntax::{FieldAccess, Permission};

impl Compiler<'_> {
    pub(super) fn roles(&mut self) {
        let set = self.set;
        for (index, role) in set.roles.iter().enumerate() {
            let id = RoleId::try_from(index).unwrap_or(RoleId::MAX);
            self.tables.role_ids.entry(role.name.text.clone()).or_insert(id);
        }
        for (index, role) in set.roles.iter().enumerate() {
            let inherits = role.inherits.iter().filter_map(|parent| self.role(parent)).collect();
            let (mut permissions, mut shadow) = (Vec::new(), Vec::new());
            for permission in &role.permissions {
                let into = if permission.shadow.is_some() { &mut shadow } else { &mut permissions };
                into.extend(self.permission(&role.name, index as RoleId, permission));
            }
            let unmask = role.unmask.iter().filter_map(|word| self.unmask(word)).collect();
            self.tables.roles.push(RoleTable {
                name: role.name.text.clone(),
                inherits,
                permissions,
                shadow,
                unmask,
            });
        }
        self.refuse_cycles();
    }

    /// The name of a mask that can be turned back.
    pub(super) fn unmask(&self, word: &Word) -> Option<Arc<str>> {
        let mask = self.mask(word)?;
        if !mask.turns_back() {
            self.documents.error_with_help(
                "not-reversible",
                format!("nothing turns back what the mask `{}` has written", word.text),
                "only masks of the kind `fpe` keep what they hide",
                word.mark,
            );
            return None;
        }
        Some(word.text.clone())
    }

    /// A role that inherits from itself, over however many others.
    fn refuse_cycles(&self) {
        let mut done: HashSet<RoleId> = HashSet::new();
        for start in 0..self.tables.roles.len() as RoleId {
            let mut path: Vec<(RoleId, usize)> = vec![(start, 0)];
            while let Some((id, next)) = path.last_mut() {
                let (id, at) = (*id, *next);
                *next += 1;
                let parent =
                    self.tables.roles.get(id as usize).and_then(|role| role.inherits.get(at)).copied();
                match parent {
                    None => {
                        done.insert(id);
                        path.pop();
                    }
                    Some(parent) if path.iter().any(|(open, _)| *open == parent) => {
                        self.report_cycle(&path, parent);
                    }
                    Some(parent) if !done.contains(&parent) => path.push((parent, 0)),
                    Some(_) => {}
                }
            }
        }
    }

    fn report_cycle(&self, path: &[(RoleId, usize)], back_to: RoleId) {
        let names: Vec<_> = path
            .iter()
            .map(|(id, _)| *id)
            .skip_while(|id| *id != back_to)
            .chain([back_to])
            .filter_map(|id| self.tables.roles.get(id as usize))
            .map(|role| format!("`{}`", role.name))
            .collect();
        if let Some(role) = self.set.roles.get(back_to as usize) {
            let message = format!("roles inherit in a circle: {}", names.join(" from "));
            self.documents.error("inheritance-cycle", message, role.name.mark);
        }
    }

    fn permission(&mut self, role: &Word, id: RoleId, permission: &Permission) -> Option<PermissionId> {
        let resource = self.resource(&permission.resource);
        let actions = self.actions(&permission.actions);
        let when = permission.records.as_ref().map(|records| self.condition(records, Reads::Record));
        let resource = resource?;
        let access = permission.fields.as_ref().map(|fields| self.access(fields, resource));
        // A condition that could not be compiled is an error; nothing is served then.
        let when = match when {
            Some(condition) => Some(condition?),
            None => None,
        };
        let table = self.tables.resources.get(resource)?;
        let Access3 { access, edit, query } = access.unwrap_or_else(|| Access3 {
            access: resolve(table, &[], &Access::Hide),
            edit: resolve(table, &[], &Access::Hide),
            query: None,
        });
        let fields = permission.fields.as_ref();
        let number = PermissionId::try_from(self.tables.permissions.len()).ok()?;
        let unknown_shown = table.unknown_shown && fields.is_some();
        self.tables.permissions.push(PermissionTable {
            name: format!("roles.{}.permissions[{}]", role.text, permission.index).into(),
            place: self.line_of(permission.mark),
            mark: fields.map_or(permission.mark, |fields| fields.mark),
            role: id,
            resource,
            actions,
            when,
            access,
            unknown_shown,
            edit,
            write_only: fields.is_some_and(|fields| fields.write_only),
            query,
            shadow: permission.shadow.is_some(),
        });
        if let Some(table) = self.tables.resources.get_mut(resource) {
            table.permissions.push(number);
        }
        Some(number)
    }

    fn access(&self, fields: &FieldAccess, resource: ResourceId) -> Access3 {
        let mut picks = Vec::new();
        let mut add = |word: &Word, access: Access| {
            if let Some(pick) = self.pick(word, resource) {
                picks.push((pick, access));
            }
        };
        for word in &fields.show {
            add(word, Access::Show);
        }
        for word in &fields.hide {
            add(word, Access::Hide);
        }
        for (word, name) in &fields.mask {
            match self.mask(name) {
                Some(mask) => add(word, Access::Mask(mask)),
                None => add(word, Access::Hide),
            }
        }
        let shown = |words: &[Word]| -> Vec<(Pick, Access)> {
            words.iter().filter_map(|word| Some((self.pick(word, resource)?, Access::Show))).collect()
        };
        for word in &fields.edit {
            if let Some(Pick::Place(path)) = self.pick(word, resource)
                && path.is_chosen()
            {
                self.documents.error_with_help(
                    "edit-chosen",
                    format!("`{}` cannot be edited by itself", word.text),
                    "which element a filter picks in a body is the caller's to say; let the whole list be edited",
                    word.mark,
                );
            }
        }
        let Some(table) = self.tables.resources.get(resource) else {
            return Access3 { access: Vec::new(), edit: Vec::new(), query: None };
        };
        Access3 {
            access: resolve(table, &picks, &Access::Hide),
            edit: resolve(table, &shown(&fields.edit), &Access::Hide),
            query: fields.query.as_ref().map(|words| resolve(table, &shown(words), &Access::Hide)),
        }
    }

    pub(super) fn bindings(&mut self) {
        let set = self.set;
        self.tables.bindings.reserve_exact(set.bindings.len());
        for binding in &set.bindings {
            let role = self.role(&binding.role);
            let when = binding.when.as_ref().map(|when| self.condition(when, Reads::Request));
            let when = match when {
                Some(None) => continue,
                Some(Some(predicate)) => Some(predicate),
                None => None,
            };
            let Some(role) = role else { continue };
            let free = when.is_none()
                && binding.issuer.is_none()
                && binding.expires.is_none()
                && binding.hours.is_empty()
                && binding.networks.is_empty();
            let terms = (!free).then(|| {
                Box::new(BindingTerms {
                    when,
                    issuer: binding.issuer.as_ref().map(|word| word.text.clone()),
                    expires: binding.expires.map(|(day, _)| day.end),
                    hours: binding.hours.clone(),
                    networks: binding.networks.clone(),
                })
            });
            let Ok(index) = u32::try_from(self.tables.bindings.len()) else { continue };
            self.tables.bindings.push(BindingTable { role, shadow: binding.shadow.is_some(), terms });
            let bound = &mut self.tables.bound;
            for user in &binding.users {
                Bound::add(&mut bound.by_user, &user.text, index);
            }
            for group in &binding.groups {
                Bound::add(&mut bound.by_group, &group.text, index);
            }
            if binding.users.is_empty() && binding.groups.is_empty() {
                bound.open.push(index);
            }
        }
    }

    /// Masks of one place that would be united and reveal equally much: nothing says which to apply.
    pub(super) fn refuse_mask_ties(&self) {
        for (id, resource) in self.tables.resources.iter().enumerate() {
            let permissions: Vec<&PermissionTable> = resource
                .permissions
                .iter()
                .filter_map(|permission| self.tables.permissions.get(*permission as usize))
                .collect();
            // Selectors also name places below labelled ones.
            let places: BTreeSet<&Path> = permissions
                .iter()
                .flat_map(|permission| &permission.access)
                .map(|selector| &selector.path)
                .collect();
            for place in places {
                let mut masks: Vec<(&Arc<Mask>, &PermissionTable)> = Vec::new();
                for permission in &permissions {
                    let Some(mask) = mask_at(&permission.access, place) else { continue };
                    if !masks.iter().any(|(known, _)| Arc::ptr_eq(known, mask)) {
                        masks.push((mask, permission));
                    }
                }
                self.refuse_ties_of(id, &place.to_string(), &masks);
            }
        }
    }

    fn refuse_ties_of(&self, resource: ResourceId, field: &str, masks: &[(&Arc<Mask>, &PermissionTable)]) {
        for (index, (mask, permission)) in masks.iter().enumerate() {
            for (other, first) in masks.iter().take(index) {
                let together = permission.actions.iter().any(|action| first.actions.contains(action));
                if !together || !mask.ties_with(other) {
                    continue;
                }
                let resource = self.tables.resources.get(resource).map_or("", |r| r.name.as_ref());
                self.documents.push(
                    Diagnostic::error(
                        "mask-tie",
                        format!(
                            "the masks `{}` and `{}` on `{resource}.{field}` reveal equally much",
                            other.name(),
                            mask.name()
                        ),
                    )
                    .help("a principal with both permissions would get neither: use one mask for the field")
                    .at(self.documents.place(permission.mark))
                    .related(self.documents.place(first.mark), "the other one"),
                );
            }
        }
    }
}

/// The three things a permission says about fields.
struct Access3 {
    access: Vec<Selector>,
    edit: Vec<Selector>,
    query: Option<Vec<Selector>>,
}

fn mask_at<'s>(selectors: &'s [Selector], path: &Path) -> Option<&'s Arc<Mask>> {
    let covering = selectors.iter().filter(|selector| selector.path.is_prefix_of(path));
    match &covering.max_by_key(|selector| selector.rank)?.access {
        Access::Mask(mask) => Some(mask),
        Access::Hide | Access::Show => None,
    }
}
