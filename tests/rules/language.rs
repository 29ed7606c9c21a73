//! What the language looks like, and what real APIs force it to say.

use fieldgate::policy::{Loaded, MaskKeys, Purpose};

use super::support::*;

/// "YAML, one JSON Schema for editors, unknown keys refused, every complaint with file, line, column, `$.path` and help."
#[test]
fn every_complaint_has_a_place_and_help() {
    let broken = [
        "roles: { r: { permisions: [] } }",
        "roles: { a: { inherits: [b] }, b: { inherits: [a] } }",
        "roles: { a: { inherits: [nobody] } }",
        "roles: [a]",
        "roles: { r: { permissions: [{ resource: customer, actions: [] }] } }",
        "roles: { r: { permissions: [{ resource: custmer, actions: [list] }] } }",
        "roles: { r: { permissions: [{ resource: customer, actions: [lst] }] } }",
        "roles: { r: { permissions: [{ resource: customer, actions: [list], records: 'record.a ==' }] } }",
        "roles: { r: { permissions: [{ resource: customer, actions: [list], records: 'true', fields: { show: [id] } }] } }",
        "roles: { r: { permissions: [{ resource: customer, actions: [list], fields: { show: [nope] } }] } }",
        "roles: { r: { permissions: [{ resource: customer, actions: [list], fields: { mask: { id: nope } } }] } }",
        "roles: { r: { permissions: [{ resource: customer, actions: [update], fields: { edit: [id] } }] } }",
        "roles: { r: {} }\nbindings: [{ role: r }]",
        "roles: { r: {} }\nbindings: [{ role: r, users: [x], expires: soon, hours: never, networks: [here] }]",
        "labels: [other, other]",
        "labels: [unused]",
        "labels: { a: b }",
        "resources: { a: { fields: { public: [x], contact: [x] } } }",
        "resources: { a: { fields: { public: [boss.name] }, relations: { boss: person } } }",
        "resources: { a: { fields: { public: ['a[', 'b..c'] }, key: 'x[*]' } }",
        "resources: { a: { fields: { nolabel: [x] }, relations: { b: nowhere }, unknown: maybe } }",
        "masks: { m: { blur: 3 }, n: { keep: { first: -1 } }, o: 5 }",
        "guards: [{ name: g, on: {}, require: true }]",
        "guards: [{ name: g, on: { labels: [nope] }, require: record.x == 1 }]",
        "guards: [{ on: { actions: [list] } }]",
        "limits: [{ name: l }, { name: m, per: all, records: many, burst: 3 }]",
        "invariants: [{ name: i, never: {} }]",
        "approvals: [{ name: a, covers: {}, approvers: { role: nobody } }]",
        "tests: [{ name: t, principal: { id: u }, request: GET /x }]",
        "reports: []",
        "apis: { b: { routes: [{ match: 'GET x{', action: list }] } }",
        "apis: { b: { routes: [{ match: GET /y, public: true, action: list, resource: customer, records: '$' }] } }",
        "apis: { b: { routes: [{ match: GET /y, action: list, resource: customer, records: 'data' , envelope: { keep: ['$['] } }] } }",
        "apis: { b: { routes: [{ match: GET /y, action: list, resource: customer, format: csv, envelope: { total: $.x } }] } }",
        "apis: { b: { routes: [{ match: GET /y, action: list, resource: customer, records: '$[*]', columns: { a: b } }] } }",
        "apis: { b: { denial: { status: 99, body: '{{x}}', content_type: \"a\\nb\" }, routes: [] } }",
        "apis: { b: { routes: [{ match: GET /y, action: list, resource: { at: path id, map: {} } }] } }",
        "apis: { b: { routes: [{ match: GET /y, action: list, resource: customer, records: '$[*]', request_headers: [cookie, 'a b'] }] } }",
        "a: [",
        "roles: { r: {}, r: {} }",
    ];
    let mut codes = std::collections::BTreeSet::new();
    for text in broken {
        let loaded = read(text);
        let found = loaded
            .report
            .diagnostics()
            .iter()
            .filter(|found| found.place.as_ref().is_none_or(|place| place.file.as_ref() == "p.yaml"));
        let mut any = false;
        for found in found {
            any = true;
            codes.insert(found.code);
            assert!(
                found.help.as_ref().is_some_and(|help| !help.is_empty()),
                "{text}\nno help: {} {}",
                found.code,
                found.message
            );
            let place = found.place.as_ref().unwrap_or_else(|| panic!("{text}\nno place: {}", found.message));
            assert!(place.line >= 1 && place.column >= 1 && place.path.starts_with('$'), "{text}\n{place:?}");
        }
        assert!(any, "nothing is said about {text}");
    }
    assert!(codes.len() >= 20, "{codes:?}");
    let schema: serde_json::Value = serde_json::from_str(fieldgate::analysis::POLICY_SCHEMA).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

const KINGDEE: &str = r#"
labels: [public, money]
resources:
  customer: { key: FNumber, fields: { public: [FNumber, FName], money: [FCredit] } }
  order:    { key: FNumber, fields: { public: [FNumber], money: [FAmount] } }
apis:
  kingdee:
    denial: { status: 200, body: '[[{"Result":{"ResponseStatus":{"IsSuccess":false,"ErrorCode":403,"Errors":[{"Message":{{message}}}]}}}]]' }
    routes:
      - match: POST /K3Cloud/Kingdee.BOS.WebApi.ServicesStub.DynamicFormService.ExecuteBillQuery.common.kdsvc
        ignore_case: true
        action: list
        resource: { at: body $.data.FormId, map: { BD_Customer: customer, SAL_SaleOrder: order } }   # not in the map: denied
        rows: { at: "$[*]", columns: { at: body $.data.FieldKeys, split: "," } }                     # arrays of arrays
        query: { dialect: kingdee, filter: body $.data.FilterString, sort: body $.data.OrderString, page_size: { at: body $.data.Limit, max: 2000 } }
roles: { r: { permissions: [{ resource: customer, actions: [list], fields: { show: [public] } }] } }
bindings: [{ role: r, groups: [g] }]
"#;

/// "Half of the systems that it was made for put the entity name, the columns or the operation in the request **body**, answer
/// denials with status 200, or hand out opaque cursors. So a route can say:" and in its example: "not in the map: denied",
/// "arrays of arrays".
#[test]
fn a_body_names_entity_columns_and_filter() {
    let plan = alone(KINGDEE);
    let line =
        "POST /k3cloud/kingdee.bos.webapi.servicesstub.dynamicformservice.executebillquery.common.kdsvc";
    let asked = |data: &str| ask(&plan, line).body(&format!(r#"{{"data":{{{data}}}}}"#));
    let rows = r#"[["C1","Ann"],["C2","Bob"]]"#;
    assert_eq!(asked(r#""FormId":"BD_Customer","FieldKeys":"FNumber,FName""#).answer(rows), rows);
    for (data, why) in [
        (r#""FormId":"SAL_SaleOrder","FieldKeys":"FNumber""#, "no permission on that resource"),
        (r#""FormId":"SEC_User","FieldKeys":"FNumber""#, "not in the map"),
        (r#""FormId":"BD_Customer","FieldKeys":"FNumber,FCredit""#, "a column that is hidden"),
        (
            r#""FormId":"BD_Customer","FieldKeys":"FNumber","FilterString":"FCredit > 5""#,
            "a filter by what is hidden",
        ),
        (
            r#""FormId":"BD_Customer","FieldKeys":"FNumber","OrderString":"FCredit desc""#,
            "an order by what is hidden",
        ),
        (
            r#""FormId":"BD_Customer","FieldKeys":"FNumber","FilterString":"1=1) or (FName like 'A%'""#,
            "no filter at all",
        ),
        (r#""FormId":"BD_Customer","FieldKeys":"FNumber","TopRowCount":1"#, "a part that nobody declared"),
    ] {
        assert!(!asked(data).passes(), "{why}");
    }
    let sent = asked(
        r#""FormId":"BD_Customer","FieldKeys":"FNumber","FilterString":"FName like 'A%'","Limit":99999"#,
    )
    .sent();
    assert!(sent.contains("like 'A%'") && sent.contains(r#""Limit":2000"#), "{sent}");
    assert!(
        asked(r#""FormId":"BD_Customer","FieldKeys":"FNumber""#)
            .answer(r#"[["C1","Ann","extra"]]"#)
            .starts_with("502")
    );
    // The refusal looks like one of the system's own.
    let denial = plan.routes().next().unwrap().denial.clone();
    assert_eq!(denial.status, Some(http::StatusCode::OK));
    assert!(denial.body.contains("IsSuccess"));
}

/// "Bodies … are declared": the forms that a route can name.
#[test]
fn bodies_in_other_forms() {
    let policy = |body_as: &str| {
        let at = if body_as == "form:data" { "$.data" } else { "$" };
        alone(&format!(
            "labels: [p]\nresources: {{ a: {{ fields: {{ p: [id, name] }} }} }}\n\
             apis: {{ t: {{ routes: [{{ match: POST /a, action: create, resource: a, body: {at}, body_as: '{body_as}' }}] }} }}\n\
             roles: {{ r: {{ permissions: [{{ resource: a, actions: [create], fields: {{ show: [p], edit: [name] }} }}] }} }}\n\
             bindings: [{{ role: r, groups: [g] }}]\n"
        ))
    };
    let sent =
        |body_as: &str, kind: &str, body: &str| ask(&policy(body_as), "POST /a").typed(kind, body).sent();
    let json = policy("json");
    assert_eq!(ask(&json, "POST /a").untyped(r#"{"name":"n"}"#).sent(), r#"{"name":"n"}"#);
    assert!(ask(&json, "POST /a").untyped(r#"{"name":"n","id":1}"#).sent().starts_with("403"));
    assert!(sent("json", "application/x-www-form-urlencoded", r#"{"name":"n"}"#).starts_with("415"));
    assert_eq!(
        sent("form:data", "application/x-www-form-urlencoded", "data=%7B%22name%22%3A%22n%22%7D"),
        "data=%7B%22name%22%3A%22n%22%7D"
    );
    assert!(
        sent("form:data", "application/x-www-form-urlencoded", "data=%7B%22id%22%3A1%7D").starts_with("403")
    );
    assert_eq!(sent("json-string", "application/json", r#""{\"name\":\"n\"}""#), r#""{\"name\":\"n\"}""#);
    assert!(sent("json-string", "application/json", r#""{\"id\":1}""#).starts_with("403"));
}

/// What is read and would be weaker if it were not enforced is not served.
#[test]
fn what_is_not_enforced_is_not_served() {
    let text = format!(
        "{}limits: [{{ name: x, per: principal, records: 5/day, on_exceed: freeze }}]\n",
        role(&fields("show: [id]"))
    );
    let served =
        Loaded::from_texts(&[("base.yaml", BASE), ("p.yaml", &text)], &MaskKeys::Assumed, Purpose::Serve);
    let found = complaints(&served);
    // Either it is served and bound to its principal, or it is refused with a reason.
    assert!(served.plan.is_some() || found.iter().any(|line| line.starts_with("not-enforced")), "{found:?}");
}
