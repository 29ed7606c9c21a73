//! What rules in shadow, and a policy in shadow, would have decided about a request. It is told of and has no effect.

use crate::policy::{Decided, Foreseen, ShadowOf};
use crate::request;

use super::Snapshot;

impl Snapshot {
    /// Asks everything that is in shadow; nothing where nothing is.
    pub(super) fn foresee(&self, decided: &Decided<'_>) -> Vec<Foreseen> {
        let rules = self.plan.has_shadow().then_some((ShadowOf::Rules, &self.plan));
        let policy = self.shadow.as_ref().map(|plan| (ShadowOf::Policy, plan));
        let asked = rules.into_iter().chain(policy);
        asked
            .map(|(of, plan)| {
                plan.foresee(of, decided, &|permit| {
                    request::asks(permit).map_err(|refused| refused.to_string())
                })
            })
            .collect()
    }
}
