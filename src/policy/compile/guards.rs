//! Guards, limits, approvals and alerts.

use std::collections::HashMap;
use std::sync::Arc;

use crate::rewrite::{Access, Selector};

use super::selectors::{Pick, resolve};
use super::{Compiler, Reads};
use crate::policy::model::{GuardTable, LimitTable, ResourceId};
use crate::policy::permit::{LimitRule, LimitUnit, OnExceed, Per};
use crate::policy::syntax::{Exceed, Guard, Limit};

impl Compiler<'_> {
    pub(super) fn guards(&mut self) {
        let set = self.set;
        for guard in &set.guards {
            let require = self.condition(&guard.require, Reads::Request);
            let actions = self.actions(&guard.on.actions);
            let resources: Vec<_> =
                guard.on.resources.iter().filter_map(|word| self.resource(word)).collect();
            let hides_fields = !guard.on.labels.is_empty() || !guard.on.fields.is_empty();
            let hides = hides_fields.then(|| self.hidden_by(guard, &resources));
            let Some(require) = require else { continue };
            if hides_fields && guard.step_up.is_some() {
                self.warn(
                    "step-up-without-refusal",
                    "a guard on fields hides them and asks for nothing".into(),
                    Some("`step_up` works on guards that refuse: those on actions alone".into()),
                    guard.name.mark,
                );
            }
            self.tables.guards.push(GuardTable {
                name: guard.name.text.clone(),
                place: self.line_of(guard.on.mark),
                actions,
                resources,
                require,
                step_up: guard.step_up.as_ref().map(|word| word.text.clone()),
                hides,
                shadow: guard.shadow.is_some(),
            });
        }
    }

    /// What a guard hides, by resource: its fields, and every field with one of its labels.
    fn hidden_by(&self, guard: &Guard, scope: &[ResourceId]) -> HashMap<ResourceId, Vec<Selector>> {
        let labels: Vec<_> = guard
            .on
            .labels
            .iter()
            .filter_map(|word| {
                let label = self.label(word)?;
                let in_scope = |id: &usize| scope.is_empty() || scope.contains(id);
                let used = self.tables.resources.iter().enumerate().any(|(id, resource)| {
                    in_scope(&id) && resource.fields.iter().any(|field| field.label == label)
                });
                if !used {
                    let message = format!("no field it could guard has the label `{}`", word.text);
                    self.documents.error("matches-nothing", message, word.mark);
                }
                Some((Pick::Label(label), Access::Hide))
            })
            .collect();
        if let Some(field) = guard.on.fields.first().filter(|_| scope.is_empty()) {
            self.documents.error_with_help(
                "no-resource",
                "a guard on fields says of which resource",
                "add `resource: NAME`",
                field.mark,
            );
        }
        let mut hides = HashMap::new();
        for (id, resource) in self.tables.resources.iter().enumerate() {
            if !scope.is_empty() && !scope.contains(&id) {
                continue;
            }
            let mut picks = labels.clone();
            picks.extend(
                guard
                    .on
                    .fields
                    .iter()
                    .filter_map(|word| self.pick(word, id).map(|pick| (pick, Access::Hide))),
            );
            // What the guard does not name it leaves alone: `Show` never shows here, it only does not hide.
            let selectors = resolve(resource, &picks, &Access::Show);
            if selectors.iter().any(|selector| matches!(selector.access, Access::Hide)) {
                hides.insert(id, selectors);
            }
        }
        hides
    }

    pub(super) fn limits(&mut self) {
        let set = self.set;
        for limit in &set.limits {
            let roles: Vec<_> = limit.roles.iter().filter_map(|word| self.role(word)).collect();
            let resources: Vec<_> = limit.resources.iter().filter_map(|word| self.resource(word)).collect();
            let actions = self.actions(&limit.actions);
            let on_exceed = self.on_exceed(limit);
            for quota in &limit.quotas {
                let rule = LimitRule {
                    name: limit.name.text.clone(),
                    per: limit.per,
                    roles: limit.roles.iter().map(|word| word.text.clone()).collect(),
                    unit: quota.unit,
                    amount: quota.rate.amount,
                    window: quota.rate.window,
                    burst: limit.burst.filter(|_| quota.unit == LimitUnit::Requests),
                    warn_at: limit.warn_at,
                    on_exceed,
                    fail_closed: limit.fail_closed,
                };
                self.tables.limits.push(LimitTable {
                    rule: Arc::new(rule),
                    roles: roles.clone(),
                    resources: resources.clone(),
                    actions: actions.clone(),
                });
            }
            let counts_requests = limit.quotas.iter().any(|quota| quota.unit == LimitUnit::Requests);
            if limit.burst.is_some() && !counts_requests {
                let message = "`burst` belongs to `requests`".to_owned();
                self.warn("unused-burst", message, None, limit.name.mark);
            }
        }
    }

    fn on_exceed(&self, limit: &Limit) -> OnExceed {
        let mark = limit.on_exceed_mark.unwrap_or(limit.name.mark);
        match limit.on_exceed {
            Exceed::Refuse => OnExceed::Refuse,
            Exceed::Warn => OnExceed::Warn,
            Exceed::Approve => {
                self.not_enforced(
                    "`on_exceed: approve`",
                    "beyond the amount requests are refused",
                    false,
                    mark,
                );
                OnExceed::Refuse
            }
            Exceed::Freeze => {
                // Who comes last would pay for what others have used.
                if !matches!(limit.per, Per::Principal | Per::Key) {
                    self.documents.error_with_help(
                        "freezes-others",
                        "a limit that freezes counts each principal",
                        "write `per: principal` (or `key`); the one who exceeds is frozen, and nobody else",
                        mark,
                    );
                }
                OnExceed::Freeze
            }
        }
    }

    pub(super) fn approvals_and_alerts(&mut self) {
        let set = self.set;
        for approval in &set.approvals {
            approval.requesters.iter().chain(&approval.approver).for_each(|role| {
                self.role(role);
            });
            approval.resources.iter().for_each(|resource| {
                self.resource(resource);
            });
            self.actions(&approval.actions);
        }
        if let Some(approval) = set.approvals.first() {
            let then = "nothing can be asked for, and nothing is granted by it";
            self.not_enforced("the section `approvals`", then, false, approval.name.mark);
        }
        if let Some(alert) = set.alerts.first() {
            let then = "nothing is noticed and nobody is told";
            self.not_enforced("the section `alerts`", then, false, alert.name.mark);
        }
    }
}
