//! Who may have values of a mask turned back.
//!
//! It is a right of roles, apart from what they see: no answer ever holds a value that was turned back. What decides is
//! what decides about requests: the roles held now, and the guards on the action [`ACTION`].

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::identity::Principal;
use crate::rewrite::mask::{Mask, Unturned};

use super::model::{GuardTable, RoleId, Tables};
use super::plan::Plan;

/// Leave to have values of one mask turned back.
#[derive(Debug)]
pub struct Unmask {
    mask: Arc<Mask>,
    by: Arc<str>,
    policy_version: Arc<str>,
}

/// Why there is no such leave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnmaskDenial {
    /// The policy has no such mask.
    #[error("the policy has no mask of that name")]
    NoMask,
    /// No role of the principal says so.
    #[error("no role of the principal may have it turned back")]
    NoRight,
    /// A guard on the action is not met.
    #[error("guard `{0}` is not met")]
    Guard(Arc<str>),
}

impl Plan {
    /// Decides whether a principal may have values of a mask turned back now.
    pub fn unmask(&self, principal: &Principal, mask: &str, now: Timestamp) -> Result<Unmask, UnmaskDenial> {
        let found = self.tables.masks.get(mask).ok_or(UnmaskDenial::NoMask)?;
        let (roles, params) = self.beside_requests(principal, ACTION, now);
        let by = self.tables.unmasks(&roles).remove(mask).ok_or(UnmaskDenial::NoRight)?;
        let unmet = |guard: &&GuardTable| guard.is_on_unmasking() && !guard.require.is_met(&[], &params);
        if let Some(guard) = self.tables.guards.iter().find(unmet) {
            return Err(UnmaskDenial::Guard(guard.name.clone()));
        }
        Ok(Unmask { mask: found.clone(), by, policy_version: self.version.clone() })
    }

    /// The mask of a name.
    #[cfg(test)]
    pub(crate) fn mask(&self, name: &str) -> Option<Arc<Mask>> {
        self.tables.masks.get(name).cloned()
    }

    /// The masks whose values a principal may have turned back now, each with the role that says so.
    pub fn unmasks(&self, principal: &Principal, now: Timestamp) -> BTreeMap<Arc<str>, Arc<str>> {
        let (roles, _) = self.beside_requests(principal, ACTION, now);
        let mut all = self.tables.unmasks(&roles);
        all.retain(|mask, _| self.unmask(principal, mask, now).is_ok());
        all
    }
}

impl Unmask {
    /// Turns a value back.
    pub fn turn_back(&self, masked: &str) -> Result<String, Unturned> {
        self.mask.turn_back(masked)
    }

    /// The role that gives the leave.
    pub fn by(&self) -> &Arc<str> {
        &self.by
    }

    /// The version of the policy that decided.
    pub fn policy_version(&self) -> &Arc<str> {
        &self.policy_version
    }
}

impl GuardTable {
    /// Whether it must hold for values to be turned back.
    pub(super) fn is_on_unmasking(&self) -> bool {
        !self.shadow && self.hides.is_none() && self.actions.iter().any(|action| action.name() == ACTION)
    }
}

impl Tables {
    /// The masks that holders of these roles, with what they inherit, may have turned back; each with the role that
    /// says so.
    pub(super) fn unmasks(&self, roles: &[RoleId]) -> BTreeMap<Arc<str>, Arc<str>> {
        let mut found = BTreeMap::new();
        let (mut seen, mut open) = (HashSet::new(), roles.to_vec());
        while let Some(id) = open.pop() {
            let Some(role) = self.roles.get(id as usize).filter(|_| seen.insert(id)) else { continue };
            for mask in &role.unmask {
                found.entry(mask.clone()).or_insert_with(|| role.name.clone());
            }
            open.extend(&role.inherits);
        }
        found
    }
}

/// The action that guards name.
pub(super) const ACTION: &str = "unmask";

#[cfg(test)]
mod tests {
    use super::super::tests::{noon, plan, who};
    use super::*;

    const POLICY: &str = r#"
labels: [public]
resources:
  customer: { fields: { public: [id, account] } }
apis:
  crm:
    routes:
      - { match: GET /customers, action: list, resource: customer, records: "$.data[*]" }
masks:
  account: { fpe: { key: mask-key } }
roles:
  desk: { unmask: [account] }
  fraud:
    inherits: [desk]
    permissions:
      - { resource: customer, actions: [list], fields: { mask: { account: account } } }
  sales:
    permissions:
      - { resource: customer, actions: [list], fields: { show: [public] } }
bindings:
  - { role: fraud, groups: [fraud], hours: "12:00-12:30 Asia/Shanghai", networks: [10.0.0.0/8] }
  - { role: sales, groups: [sales] }
"#;

    fn by(policy: &str, caller: &super::super::tests::Who) -> Result<Arc<str>, UnmaskDenial> {
        plan(policy).unmask(&caller.principal(), "account", noon()).map(|leave| leave.by().clone())
    }

    #[test]
    fn who_holds_the_role_now_may_and_nobody_else() {
        let fraud = who("a").groups(&["fraud"]).ip("10.1.1.1");
        assert_eq!(by(POLICY, &fraud).as_deref(), Ok("desk"), "inherited");
        assert_eq!(by(POLICY, &who("a").groups(&["sales"])), Err(UnmaskDenial::NoRight), "who sees it all");
        assert_eq!(by(POLICY, &who("a").groups(&["fraud"]).ip("192.0.2.1")), Err(UnmaskDenial::NoRight));
        assert_eq!(
            by(&POLICY.replace("12:00-12:30", "11:00-11:30"), &fraud),
            Err(UnmaskDenial::NoRight),
            "after hours"
        );
        let plan = plan(POLICY);
        let leave = plan.unmask(&fraud.principal(), "other", noon());
        assert_eq!(leave.unwrap_err(), UnmaskDenial::NoMask);
        assert_eq!(plan.unmask(&fraud.principal(), "blank", noon()).unwrap_err(), UnmaskDenial::NoRight);
        assert_eq!(plan.unmasks(&fraud.principal(), noon()).len(), 1);
    }

    #[test]
    fn a_guard_on_the_action_must_hold() {
        let guarded = format!(
            "{POLICY}guards:\n  - {{ name: second, on: {{ actions: [unmask] }}, require: principal.mfa && request.action == \"unmask\" }}\n"
        );
        let fraud = || who("a").groups(&["fraud"]).ip("10.1.1.1");
        assert_eq!(by(&guarded, &fraud()), Err(UnmaskDenial::Guard("second".into())));
        assert_eq!(by(&guarded, &fraud().mfa()).as_deref(), Ok("desk"));
        let other = guarded.replace("actions: [unmask]", "actions: [list]");
        assert_eq!(by(&other, &fraud()).as_deref(), Ok("desk"));
        let by_path =
            guarded.replace("principal.mfa && request.action == \"unmask\"", "request.path == \"\"");
        assert!(by(&by_path, &fraud().mfa()).is_err(), "there is no request: what reads it is not met");
    }

    #[test]
    fn what_was_masked_comes_back_and_what_was_not_does_not() {
        let fraud = who("a").groups(&["fraud"]).ip("10.1.1.1").principal();
        let plan = plan(POLICY);
        let leave = plan.unmask(&fraud, "account", noon()).unwrap();
        let mask = &plan.tables.masks["account"];
        let crate::rewrite::mask::Masked::Text(masked) =
            mask.apply(crate::rewrite::mask::Scalar::Text("6222 0212-3456"))
        else {
            panic!("a text")
        };
        assert_eq!(leave.turn_back(&masked).as_deref(), Ok("6222 0212-3456"));
        assert_eq!(leave.turn_back("6222x"), Err(Unturned::Character('x')));
        assert_eq!(leave.turn_back("12 345"), Err(Unturned::Short(5, 6)));
        assert_eq!(leave.turn_back(""), Err(Unturned::Short(0, 6)));
        assert_eq!(leave.turn_back(&"1".repeat(129)), Err(Unturned::Long(128)));
    }
}
