//! Who may do what, before any answer is seen.

use crate::policy::{LimitUnit, OnExceed};

use super::*;

fn example() -> Plan {
    plan(EXAMPLE)
}

fn no_permission(result: Result<Permit, DenialReason>) -> bool {
    matches!(result, Err(DenialReason::NoPermission { .. }))
}

#[test]
fn the_example_of_the_documentation_loads() {
    let loaded = load(EXAMPLE);
    let said = said(&loaded.report);
    assert!(loaded.plan.is_some(), "{said:#?}");
    assert_eq!(
        said,
        [
            "32:18 public-route public route: `GET /healthz` passes untouched, for everybody",
            "84:106 not-enforced `on_exceed: approve` is read and not enforced by this version: beyond the amount \
             requests are refused",
            "88:13 not-enforced the section `approvals` is read and not enforced by this version: nothing can be \
             asked for, and nothing is granted by it",
        ]
    );
}

/// "**Default is no**: no route, no permission, no label → nothing."
#[test]
fn default_is_no() {
    let plan = example();
    let sales = who("u1").groups(&["crm-sales"]);
    assert_eq!(decide(&plan, &sales, "GET /api/v1/orders").unwrap_err(), DenialReason::NoRoute);
    assert_eq!(decide(&plan, &sales, "DELETE /api/v1/customers/1").unwrap_err(), DenialReason::NoRoute);
    assert_eq!(decide(&plan, &sales, "GET /api/v1/customers/").unwrap_err(), DenialReason::NoRoute);
    assert!(no_permission(decide(&plan, &sales, "GET /api/v1/customers/export")));
    assert!(no_permission(decide(&plan, &who("nobody"), "GET /api/v1/customers")));
    assert!(decide(&plan, &sales, "GET /api/v1/customers").is_ok());
}

/// "`users`, `groups` are alternatives; `when`, `expires`, `hours`, `networks` must all hold."
#[test]
fn bindings_add_roles_while_all_their_terms_hold() {
    let plan = example();
    let line = "GET /api/v1/customers";
    let li = || who("ext.li").ip("10.1.2.3");
    let at = |who: &Who, now: &str| decide_at(&plan, who, line, None, now.parse().unwrap()).is_ok();
    assert!(at(&li(), "2026-11-20T04:00:00Z"));
    assert!(at(&who("ext.li").ip("::ffff:10.1.2.3"), "2026-11-20T04:00:00Z"), "IPv4 over an IPv6 socket");
    assert!(!at(&who("ext.li").ip("192.168.0.1"), "2026-11-20T04:00:00Z"), "network");
    assert!(!at(&who("EXT.LI").ip("10.1.2.3"), "2026-11-20T04:00:00Z"), "names are exact");
    assert!(!at(&li(), "2026-11-20T12:00:00Z"), "eight in the evening in Shanghai");
    assert!(!at(&li(), "2026-11-21T04:00:00Z"), "Saturday");
    assert!(at(&li(), "2026-12-31T04:00:00Z"), "the last day");
    assert!(!at(&li(), "2027-01-01T04:00:00Z"), "the day after");
    let finance = who("f").groups(&["finance"]);
    assert!(no_permission(decide(&plan, &finance, line)), "`when: principal.mfa`");
    assert!(decide(&plan, &who("f").groups(&["finance"]).mfa(), line).is_ok());
}

#[test]
fn roles_given_directly_count_and_unknown_ones_do_not() {
    let plan = example();
    let permit = decide(&plan, &who("k").roles(&["employee", "root"]), "GET /api/v1/customers").unwrap();
    assert_eq!(permit.roles().iter().map(AsRef::as_ref).collect::<Vec<_>>(), ["employee"]);
}

/// "Guards come last and only take away: on actions → the request is refused (with the step-up challenge if named)".
#[test]
fn a_guard_on_actions_refuses_with_its_challenge() {
    let text = EXAMPLE.replace("groups: [finance], when: principal.mfa", "groups: [finance]");
    let plan = plan(&text);
    let line = "GET /api/v1/customers/export";
    let finance = who("f").groups(&["finance"]);
    match decide(&plan, &finance, line).unwrap_err() {
        DenialReason::Guard { name, step_up } => {
            assert_eq!(name.as_ref(), "exports need a second factor");
            assert_eq!(step_up.as_deref(), Some("mfa"));
        }
        other => panic!("{other}"),
    }
    assert!(decide(&plan, &who("f").groups(&["finance"]).mfa(), line).is_ok());
    assert!(decide(&plan, &finance, "GET /api/v1/customers").is_ok(), "other actions are not guarded");
    assert!(
        no_permission(decide(&plan, &who("s").groups(&["crm-sales"]), line)),
        "no step-up without a right"
    );
}

/// "A condition that errs (missing member, wrong type) counts as not met, wherever it stands."
#[test]
fn a_guard_whose_condition_errs_is_not_met() {
    let text = EXAMPLE.replace("require: principal.mfa,", "require: principal.claims.factor == 2,");
    let plan = plan(&text);
    let line = "GET /api/v1/customers/export";
    let finance = |claims| who("f").groups(&["finance"]).mfa().claims(claims);
    assert!(decide(&plan, &finance(serde_json::json!({ "factor": 2 })), line).is_ok());
    for claims in
        [serde_json::json!({}), serde_json::json!({ "factor": "2" }), serde_json::json!({ "factor": null })]
    {
        let denied = decide(&plan, &finance(claims), line);
        assert!(matches!(denied, Err(DenialReason::Guard { .. })));
    }
}

#[test]
fn limits_apply_by_role_resource_and_action() {
    let plan = example();
    let names = |who: &Who, line: &str| -> Vec<(String, LimitUnit)> {
        let permit = decide(&plan, who, line).unwrap();
        permit.limits().iter().map(|limit| (limit.name.to_string(), limit.unit)).collect()
    };
    let sales = who("s").groups(&["crm-sales"]);
    assert_eq!(
        names(&sales, "GET /api/v1/customers"),
        [("daily reading".into(), LimitUnit::DistinctRecords), ("clicks".into(), LimitUnit::Requests)]
    );
    let finance = who("f").groups(&["finance"]).mfa();
    assert_eq!(
        names(&finance, "GET /api/v1/customers/export"),
        [
            ("export size".into(), LimitUnit::Records),
            ("export size".into(), LimitUnit::Concurrent),
            ("clicks".into(), LimitUnit::Requests)
        ]
    );
    let permit = decide(&plan, &finance, "GET /api/v1/customers/export").unwrap();
    assert_eq!(permit.limits()[0].on_exceed, OnExceed::Refuse, "not weaker than `approve`");
    assert_eq!(permit.limits()[2].burst, Some(40));
}

/// "**Queries.** Filter, sort, group, search default to exactly what is shown in clear on **every** record the
/// principal may list".
#[test]
fn only_what_is_shown_on_every_record_may_be_queried() {
    let plan = example();
    let fields = |who: &Who| decide(&plan, who, "GET /api/v1/customers").unwrap().query().fields.clone();
    let sales = fields(&who("s").groups(&["crm-sales"]).ip("10.0.0.1"));
    assert!(sales.queryable.contains("name"), "shown by `employee`, always");
    assert!(!sales.queryable.contains("phone"), "shown on one's own customers only");
    assert!(!sales.queryable.contains("id_card"), "masked");
    assert!(sales.selectable.contains("phone") && sales.selectable.contains("id_card"));
    assert!(!sales.selectable.contains("credit_limit"));
    let finance = fields(&who("f").groups(&["finance"]).mfa());
    assert!(finance.queryable.contains("contracts[*].amount") && !finance.queryable.contains("name"));
    assert!(finance.selectable.contains("contracts"), "a container of something released");
    let outside = fields(&who("s").groups(&["crm-sales"]));
    assert!(!outside.selectable.contains("id_card"), "hidden by the guard on the label");
}

#[test]
fn the_query_rule_carries_the_routes_parameters() {
    let plan = example();
    let permit =
        decide(&plan, &who("s").groups(&["crm-sales"]), "GET /api/v1/customers?limit=5&limit=6").unwrap();
    let rule = permit.query();
    assert_eq!(rule.select.as_deref(), Some("fields"));
    assert_eq!(rule.sort.as_deref(), Some("order_by"));
    assert_eq!(rule.page_size, Some(("limit".into(), 200)));
    assert_eq!(permit.operation().query().len(), 2, "every occurrence is there to be judged");
    assert_eq!(permit.operation().path_and_query(), "/api/v1/customers?limit=5&limit=6");
}

/// "HEAD is GET": the body is what differs, so its route is that of GET.
#[test]
fn head_is_judged_as_get() {
    let plan = example();
    let sales = who("s").groups(&["crm-sales"]);
    let permit = decide(&plan, &sales, "HEAD /api/v1/customers/42").unwrap();
    assert_eq!(permit.route().name.as_ref(), "GET /api/v1/customers/{id}");
    assert_eq!(permit.operation().method(), http::Method::HEAD);
}

/// "A public route passes bytes untouched".
#[test]
fn a_public_route_needs_no_principal() {
    let plan = example();
    let operation = plan.operation(&head("GET /healthz"), None).unwrap();
    let permit = plan.pass(operation, noon()).unwrap();
    assert!(permit.route().public);
    let protected = plan.operation(&head("GET /api/v1/customers"), None).unwrap();
    assert!(plan.pass(protected, noon()).is_err());
}

/// A write under a `records` condition first reads the record, by the read route and with the same key.
#[test]
fn a_conditional_write_reads_the_record_first() {
    let plan = example();
    let sales = who("s").groups(&["crm-sales"]);
    let permit = decide(&plan, &sales, "PUT /api/v1/customers/a%20b").unwrap();
    let pre_read = permit.pre_read().unwrap();
    assert_eq!(pre_read.path_and_query, "/api/v1/customers/a%20b");
    assert!(permit.write().is_some());
    let hr = decide(&plan, &who("h").groups(&["hr"]), "GET /api/v1/customers/1").unwrap();
    assert!(hr.pre_read().is_none() && hr.write().is_none());
}

/// threats.md P01-P05.
#[test]
fn a_target_that_is_not_clear_is_refused() {
    let plan = example();
    for target in
        ["/api/v1/../v1/customers", "/api/v1//customers", "/api/v1/customers%2f1", "/api/v1/customers;x"]
    {
        let denied = decide(&plan, &who("s").groups(&["crm-sales"]), &format!("GET {target}"));
        assert!(matches!(denied, Err(DenialReason::Target(_))), "{target}");
    }
}

const BODY: &str = r#"
labels: [public]
resources:
  party: { key: id, fields: { public: [id, name] } }
  order: { key: id, fields: { public: [id, no] } }
apis:
  rpc:
    routes:
      - { match: "POST /{db}/rpc/", when: { body $.method: "party.search" }, action: list, resource: party, records: "$.result[*]" }
      - match: POST /query
        ignore_case: true
        action: list
        resource: { at: body $.data.FormId, map: { BD_Customer: party, SAL_Order: order } }
        records: $[*]
      - { match: "GET /items/{collection}", action: list, resource: { at: path collection, map: { parties: party } }, records: "$.data[*]" }
      - { match: GET /q, when: { query entity: [party, parties] }, action: list, resource: party, records: "$.data[*]" }
      - { match: GET /h, when: { header X-Module: party }, action: list, resource: party, records: "$.data[*]" }
roles:
  all:
    permissions:
      - { resource: party, actions: [list], fields: { show: [public] } }
bindings: [{ role: all, when: true }]
"#;

#[test]
fn the_body_decides_where_the_route_says_so() {
    let plan = plan(BODY);
    let any = who("x");
    let ask = |line: &str, body: &str| decide_at(&plan, &any, line, Some(body), noon()).map_err(|d| d.reason);
    assert!(plan.needs_body(&head("POST /db/rpc/")) && !plan.needs_body(&head("GET /q?entity=party")));
    assert!(plan.route(&head("POST /query")).unwrap().is_none());
    assert!(ask("POST /db/rpc/", r#"{"method":"party.search","params":[]}"#).is_ok());
    assert_eq!(ask("POST /db/rpc/", r#"{"method":"party.delete"}"#).unwrap_err(), DenialReason::NoRoute);
    assert!(ask("POST /QUERY", r#"{"data":{"FormId":"BD_Customer"}}"#).is_ok());
    assert!(no_permission(ask("POST /query", r#"{"data":{"FormId":"SAL_Order"}}"#)), "another resource");
    assert_eq!(ask("POST /query", r#"{"data":{"FormId":"HR_Person"}}"#).unwrap_err(), DenialReason::NoRoute);
    for body in [
        r#"{"data":{"FormId":"BD_Customer","FormId":"SAL_Order"}}"#,
        r#"{"data":{"FormId":"BD_Customer"},"\u0064ata":{}}"#,
        r#"{"data":{"FormId":"BD_Customer"}} {}"#,
        "FormId=BD_Customer",
        "",
    ] {
        assert!(matches!(ask("POST /query", body), Err(DenialReason::Target(_))), "{body}");
    }
}

#[test]
fn path_query_and_header_can_name_the_resource() {
    let plan = plan(BODY);
    let ask = |line: &str| decide(&plan, &who("x"), line);
    assert!(ask("GET /items/parties").is_ok());
    assert_eq!(ask("GET /items/users").unwrap_err(), DenialReason::NoRoute);
    assert!(ask("GET /q?entity=parties").is_ok());
    assert_eq!(ask("GET /q?entity=person").unwrap_err(), DenialReason::NoRoute);
    assert!(matches!(ask("GET /q?entity=party&entity=person"), Err(DenialReason::Target(_))));
    let mut two = head("GET /h");
    two.headers.append("x-module", "party".parse().unwrap());
    assert!(plan.operation(&two, None).is_ok());
    two.headers.append("x-module", "person".parse().unwrap());
    assert!(matches!(plan.operation(&two, None).unwrap_err().reason, DenialReason::Target(_)));
}

#[test]
fn rules_considered_are_named_with_their_place() {
    let plan = example();
    let permit = decide(&plan, &who("s").groups(&["crm-sales"]), "GET /api/v1/customers/1").unwrap();
    let names: Vec<_> = permit.rules().iter().map(AsRef::as_ref).collect();
    assert_eq!(
        names,
        [
            "roles.employee.permissions[0]",
            "roles.sales.permissions[0]",
            "roles.sales.permissions[1]",
            "guards.identity numbers stay in the office"
        ]
    );
    assert_eq!(plan.place_of(names[1]).unwrap().as_ref(), "p.yaml:51");
    assert_eq!(plan.place_of(names[3]).unwrap().as_ref(), "p.yaml:80");
}

#[test]
fn the_version_names_the_texts() {
    assert_eq!(example().version(), example().version());
    assert_ne!(example().version(), plan(&format!("{EXAMPLE}\n# changed")).version());
}

#[test]
fn what_decides_the_route_passes_upstream() {
    let plan = plan(BODY);
    let permit = decide(&plan, &who("x"), "GET /q?entity=party").unwrap();
    assert_eq!(permit.query().pass, ["entity".into()]);
    let mut header = head("GET /h");
    header.headers.append("x-module", "party".parse().unwrap());
    let operation = plan.operation(&header, None).unwrap();
    let permit = plan.decide(&who("x").principal(), operation, noon()).unwrap();
    assert_eq!(permit.route().request_headers, ["x-module".into()]);
}

/// The blocks of the language reference are one policy, and it is right.
#[test]
fn the_reference_is_a_policy() {
    let text = include_str!("../../../docs/policy.md");
    let blocks: Vec<_> =
        text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 7);
    let named: Vec<_> = blocks.iter().map(|block| ("docs/policy.md", *block)).collect();
    let loaded = Loaded::from_texts(&named, &MaskKeys::Assumed, Purpose::Serve);
    let said = said(&loaded.report);
    assert!(loaded.plan.is_some(), "{said:#?}");
    assert!(said.iter().all(|line| line.contains("public-route") || line.contains("in-shadow")), "{said:#?}");
    let sections: std::collections::BTreeSet<_> = blocks
        .iter()
        .flat_map(|block| block.lines())
        .filter(|line| line.ends_with(':') && !line.starts_with(' '))
        .collect();
    assert_eq!(sections.len(), 9, "{sections:?}");
}
