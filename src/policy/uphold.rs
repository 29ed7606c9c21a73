//! Whether a permit that was given earlier would be given again, as it was: asked while an answer is on its way.

use std::sync::Arc;

use jiff::Timestamp;

use crate::identity::Principal;

use super::operation::Operation;
use super::permit::Permit;
use super::plan::Plan;

impl Plan {
    /// Whether this plan, which may be a later one than the permit's, releases the same to the principal at `now`:
    /// the request is still permitted and its answer rewritten by equal rules. Names of permissions and limits may
    /// have changed. The values that conditions on records read stay those of the beginning.
    pub fn upholds(&self, permit: &Permit, principal: &Principal, now: Timestamp) -> bool {
        if permit.policy_version == self.version {
            return self.repeats(permit, permit.operation.route, principal, now);
        }
        // Routes are numbered anew in every plan. Of several that differ only in what they require of the request,
        // the one it came by is not known: all of them must agree.
        let facts = &permit.route;
        let mut known = self.tables.routes.iter().enumerate().filter(|(_, route)| {
            let its = &route.facts;
            its.name == facts.name
                && its.api == facts.api
                && its.public == facts.public
                && its.action == facts.action
                && its.resource == facts.resource
        });
        let Some((first, _)) = known.next() else { return false };
        self.repeats(permit, first, principal, now)
            && known.all(|(index, _)| self.repeats(permit, index, principal, now))
    }

    fn repeats(&self, permit: &Permit, route: usize, principal: &Principal, now: Timestamp) -> bool {
        let operation = Operation { route, ..Operation::clone(&permit.operation) };
        self.decide(principal, operation, now)
            .is_ok_and(|now| Arc::ptr_eq(&now.rewrite, &permit.rewrite) || now.rewrite == permit.rewrite)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{decide, noon, plan, who};

    const POLICY: &str = r#"
labels: [public, contact]
resources:
  customer:
    fields: { public: [id, name, region], contact: [phone] }
apis:
  crm:
    routes:
      - { match: GET /customers, action: list, resource: customer, records: "$.data[*]" }
masks:
  phone: { keep: { first: 3, last: 4 } }
roles:
  sales:
    permissions:
      - resource: customer
        actions: [list]
        records: record.region == principal.claims.region
        fields: { show: [public], mask: { phone: phone } }
bindings:
  - { role: sales, groups: [crm], hours: "12:00-12:30 Asia/Shanghai" }
"#;

    fn upheld_under(changed: &str) -> bool {
        let permit = decide(&plan(POLICY), &who("a").groups(&["crm"]), "GET /customers").unwrap();
        plan(changed).upholds(&permit, &who("a").groups(&["crm"]).principal(), noon())
    }

    #[test]
    fn a_permit_is_upheld_until_the_binding_behind_it_ends() {
        let (plan, caller) = (plan(POLICY), who("a").groups(&["crm"]));
        let permit = decide(&plan, &caller, "GET /customers").unwrap();
        let at = |minutes: u64| {
            plan.upholds(&permit, &caller.principal(), noon() + Duration::from_secs(minutes * 60))
        };
        assert!(at(0) && at(29) && !at(30));
        assert!(
            !plan.upholds(&permit, &who("a").principal(), noon()),
            "of somebody who holds no role any more"
        );
    }

    #[test]
    fn changes_that_do_not_touch_it_leave_it_upheld() {
        assert!(upheld_under(
            &POLICY.replace("labels: [public, contact]", "# other text\nlabels: [public, contact]")
        ));
        assert!(upheld_under(&POLICY.replace(
            "roles:\n",
            "roles:\n  other: { permissions: [{ resource: customer, actions: [list], fields: { show: [contact] } }] }\n"
        )));
        assert!(upheld_under(&POLICY.replace(
            "    permissions:\n      - resource: customer\n",
            "    permissions:\n      - { resource: customer, actions: [delete] }\n      - resource: customer\n"
        )));
        assert!(upheld_under(&POLICY.replace(
            "    routes:\n",
            "    routes:\n      - { match: GET /first, action: list, resource: customer, records: \"$.data[*]\" }\n"
        )));
    }

    #[test]
    fn every_change_of_what_is_released_ends_it() {
        let changes = [
            ("mask: { phone: phone }", "hide: [phone]"),
            ("first: 3, last: 4", "first: 0, last: 4"),
            ("show: [public]", "show: [id]"),
            ("record.region == principal.claims.region", "record.region == 'x'"),
            ("actions: [list]\n", "actions: [read]\n"),
            ("groups: [crm]", "groups: [others]"),
            ("action: list, resource", "action: export, resource"),
            ("match: GET /customers", "match: GET /clients"),
            ("$.data[*]", "$.rows[*]"),
            ("public: [id, name, region]", "public: [id, region]"),
        ];
        for (from, to) in changes {
            let changed = POLICY.replace(from, to);
            assert_ne!(changed, POLICY, "{from}");
            assert!(!upheld_under(&changed), "{from} -> {to}");
        }
        let guard = "guards:\n  - { name: g, on: { actions: [list] }, require: principal.mfa }\n";
        assert!(!upheld_under(&format!("{POLICY}{guard}")));
    }

    #[test]
    fn routes_that_differ_only_in_their_conditions_must_all_agree() {
        let two = POLICY.replace(
            "    routes:\n",
            "    routes:\n      - { match: GET /customers, when: { query v: \"1\" }, action: list, resource: customer, records: \"$.data[*]\" }\n",
        );
        assert!(upheld_under(&two));
        assert!(!upheld_under(
            &two.replace("records: \"$.data[*]\" }\n      - {", "records: \"$.x[*]\" }\n      - {")
        ));
    }
}
