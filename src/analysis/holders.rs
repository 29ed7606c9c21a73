//! Who holds a role by the bindings of a policy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::policy::RoleFacts;
use crate::policy::syntax::PolicySet;

/// Whom bindings give a role, itself or by way of one that inherits from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// Users named one by one.
    pub users: BTreeSet<Arc<str>>,
    /// Groups.
    pub groups: BTreeSet<Arc<str>>,
    /// Bindings that name nobody, so that a condition alone decides.
    pub open: usize,
}

impl Holders {
    /// Takes in those of another role.
    pub fn extend(&mut self, other: &Self) {
        self.users.extend(other.users.iter().cloned());
        self.groups.extend(other.groups.iter().cloned());
        self.open += other.open;
    }

    /// `43 users and the group crm-sales`; `nobody`.
    pub fn sentence(&self) -> String {
        let mut parts = Vec::new();
        match self.users.len() {
            0 => {}
            1 => parts.push("1 bound user".to_owned()),
            count => parts.push(format!("{count} bound users")),
        }
        let groups: Vec<_> =
            self.groups.iter().take(NAMED).map(|group| format!("`{}`", group.replace('`', "´"))).collect();
        match self.groups.len() {
            0 => {}
            1 => parts.push(format!("the group {}", groups.join(""))),
            count if count <= NAMED => parts.push(format!("the groups {}", groups.join(", "))),
            count => parts.push(format!("{count} groups")),
        }
        if self.open > 0 {
            parts.push("everybody who meets a condition".to_owned());
        }
        if parts.is_empty() { "nobody bound".to_owned() } else { parts.join(", ") }
    }
}

/// The holders of every role, by name. Holding a role means having the rights of all it inherits from.
pub(super) fn holders(set: &PolicySet, roles: &[RoleFacts]) -> BTreeMap<Arc<str>, Holders> {
    let mut direct: BTreeMap<&str, Holders> = BTreeMap::new();
    for binding in set.bindings.iter().filter(|binding| binding.shadow.is_none()) {
        let held = direct.entry(binding.role.as_str()).or_default();
        held.users.extend(binding.users.iter().map(|user| user.text.clone()));
        held.groups.extend(binding.groups.iter().map(|group| group.text.clone()));
        held.open += usize::from(binding.users.is_empty() && binding.groups.is_empty());
    }
    let mut all: BTreeMap<Arc<str>, Holders> = BTreeMap::new();
    for role in roles {
        let Some(held) = direct.get(role.name.as_ref()) else {
            all.entry(role.name.clone()).or_default();
            continue;
        };
        for name in std::iter::once(&role.name).chain(&role.inherits) {
            all.entry(name.clone()).or_default().extend(held);
        }
    }
    all
}

/// Groups that are named; more are counted.
const NAMED: usize = 3;
