//! "Fine print" of the policy language: each test quotes what it holds to.

use serde_json::json;

use super::*;

const POLICY: &str = r#"
labels: [public, contact]
resources:
  item: { key: id, fields: { public: [id, when, price, contracts], contact: [phone, "contracts[*].tel"] } }
apis:
  a:
    routes:
      - { match: GET /list, action: list, resource: item, records: "$.data[*]" }
      - { match: GET /one, action: read, resource: item, records: $.data }
      - { match: GET /lines, action: export, resource: item, format: ndjson }
      - { match: GET /csv, action: export, resource: item, format: csv }
masks:
  k: { keep: { first: 3, last: 4 } }
  c: { constant: "hidden" }
  m: { date: month }
  y: { date: year }
  b: { bucket: [10000, 100000] }
  r: { round: 1000 }
  e: { email: { keep_first: 1 } }
  h: { hash: { key: x, length: 16 } }
  p: { pseudonym: { key: x, length: 16 } }
roles:
  all: { permissions: [{ resource: item, actions: [list, read, export], FIELDS }] }
bindings: [{ role: all, when: true }]
"#;

fn with(fields: &str) -> Plan {
    plan(&POLICY.replace("FIELDS", fields))
}

fn one(plan: &Plan, record: serde_json::Value) -> serde_json::Value {
    get(plan, &who("x"), "GET /one", json!({ "data": record }))["data"].clone()
}

/// "**Mask spellings**: the built-ins `blank` (type-true null), `stars` (fixed `***`), `zero` need no entry under
/// `masks`; others are …".
#[test]
fn mask_spellings() {
    for (mask, value, expected) in [
        ("blank", json!("13800138000"), json!(null)),
        ("stars", json!("13800138000"), json!("***")),
        ("stars", json!(5), json!(null)),
        ("zero", json!(5), json!(0)),
        ("c", json!("x"), json!("hidden")),
        ("k", json!("13800138000"), json!("138****8000")),
        ("e", json!("li.na@example.com"), json!("l***@example.com")),
        ("m", json!("2024-05-17"), json!("2024-05")),
        ("y", json!("2024-05-17"), json!("2024")),
        ("b", json!(25000), json!("10000-100000")),
        ("r", json!(25499), json!(25000)),
    ] {
        let plan = with(&format!("fields: {{ mask: {{ phone: {mask} }} }}"));
        assert_eq!(one(&plan, json!({ "phone": value }))["phone"], expected, "{mask}");
    }
    for mask in ["h", "p"] {
        let plan = with(&format!("fields: {{ mask: {{ phone: {mask} }} }}"));
        let token = one(&plan, json!({ "phone": "1" }))["phone"].clone();
        assert_eq!(token.as_str().unwrap().chars().count(), 16, "{mask}");
        assert_eq!(token, one(&plan, json!({ "phone": "1" }))["phone"], "the same text, the same token");
    }
}

/// "**keep**: counts characters; keeps the length; a value not longer than `first + last` becomes all fill."
#[test]
fn keep_counts_characters() {
    let plan = with("fields: { mask: { phone: k } }");
    for (value, expected) in
        [("1234567", "*******"), ("12345678", "123*5678"), ("一二三四五六七八", "一二三*五六七八"), ("", "")]
    {
        assert_eq!(one(&plan, json!({ "phone": value }))["phone"], json!(expected));
    }
}

/// "a label on a container covers what is below unless a longer labelled path says otherwise".
#[test]
fn a_label_on_a_container_covers_what_is_below() {
    let record = json!({ "contracts": [{ "no": 1, "tel": "2" }, { "tel": "3" }] });
    let public = with("fields: { show: [public] }");
    assert_eq!(one(&public, record.clone()), json!({ "contracts": [{ "no": 1 }] }));
    let contact = with("fields: { show: [contact] }");
    assert_eq!(one(&contact, record), json!({ "contracts": [{ "tel": "2" }, { "tel": "3" }] }));
}

/// "`*` means every *labelled* field; a container in which nothing is released is absent".
#[test]
fn star_means_every_labelled_field() {
    let plan = with("fields: { show: ['*'] }");
    assert_eq!(one(&plan, json!({ "id": 1, "odd": 2, "box": { "id": 3 } })), json!({ "id": 1 }));
}

/// "where a list of records was declared and something else stands, the answer is refused; a list element that is not
/// an object is dropped."
#[test]
fn where_something_else_stands() {
    let plan = with("fields: { show: [public] }");
    let permit = decide(&plan, &who("x"), "GET /list").unwrap();
    for answer in [r#"{"data":{"id":1}}"#, r#"{"data":"x"}"#, r#"{"data":null}"#] {
        assert!(pass(&permit, answer).is_err(), "{answer}");
    }
    assert_eq!(
        pass(&permit, r#"{"data":[1,{"id":2},"x",[{"id":3}],null]}"#).unwrap().0,
        r#"{"data":[{"id":2}]}"#
    );
}

/// "**A permission that applies but shows nothing** releases the record as `{}` and counts it. A released list stays an
/// array, also when empty."
#[test]
fn a_permission_that_shows_nothing() {
    let plan = with("fields: {}");
    let permit = decide(&plan, &who("x"), "GET /list").unwrap();
    let (text, counts) = pass(&permit, r#"{"data":[{"id":1},{"id":2}]}"#).unwrap();
    assert_eq!((text.as_str(), counts.released), (r#"{"data":[{},{}]}"#, 2));
    assert_eq!(pass(&permit, r#"{"data":[]}"#).unwrap().0, r#"{"data":[]}"#);
}

/// "`request` has `method path query action resource time`".
#[test]
fn conditions_read_the_request() {
    for (condition, line, met) in [
        (r#"request.method == "GET""#, "GET /list", true),
        (r#"request.path == "/list""#, "GET /list", true),
        (r#"request.query.a == "1""#, "GET /list?a=1", true),
        (r#"request.query.a == "1""#, "GET /list?a=1&a=1", false),
        (r#"request.query.a == "1""#, "GET /list", false),
        (r#"!(request.query.a == "2")"#, "GET /list", false),
        (r#"request.action == "list""#, "GET /list", true),
        (r#"request.resource == "item""#, "GET /list", true),
        (r#"request.time < timestamp("2027-01-01T00:00:00Z")"#, "GET /list", true),
    ] {
        let plan = with(&format!("records: '{condition}', fields: {{ show: [id] }}"));
        let out = get(&plan, &who("x"), line, json!({ "data": [{ "id": 1 }] }));
        assert_eq!(out["data"].as_array().unwrap().len() == 1, met, "{condition} {line}");
    }
}

/// "`principal`: the authenticated caller: `id, name, groups, roles, claims, ip, mfa, method`".
#[test]
fn conditions_read_the_principal() {
    let me = || {
        who("me")
            .groups(&["g"])
            .roles(&["all"])
            .claims(json!({ "a": { "b": [1] }, "x y": 2 }))
            .mfa()
            .ip("10.1.1.1")
    };
    for condition in [
        r#"principal.id == "me""#,
        r#""g" in principal.groups"#,
        r#""all" in principal.roles"#,
        "1 in principal.claims.a.b",
        r#"principal.claims["x y"] == 2"#,
        r#"ip_in(principal.ip, "10.0.0.0/8")"#,
        "principal.mfa",
        r#"principal.method == "assumed""#,
        r#"principal.issuer == "assumed""#,
    ] {
        let plan = with(&format!("records: '{condition}', fields: {{ show: [id] }}"));
        let out = get(&plan, &me(), "GET /list", json!({ "data": [{ "id": 1 }] }));
        assert_eq!(out, json!({ "data": [{ "id": 1 }] }), "{condition}");
    }
}

/// "**NDJSON, CSV**: each line or row is one record; there is no envelope."
#[test]
fn lines_are_records() {
    let plan = with("fields: { show: [id], mask: { phone: k } }");
    let permit = decide(&plan, &who("x"), "GET /lines").unwrap();
    let (text, counts) = pass(&permit, "{\"id\":1,\"x\":2}\n{\"phone\":\"13800138000\"}\n").unwrap();
    assert_eq!((text.as_str(), counts.released), ("{\"id\":1}\n{\"phone\":\"138****8000\"}\n", 2));
}

/// A header that is no field path is mapped by the route; one that is neither is unknown and hidden.
#[test]
fn csv_rows_are_records() {
    let text = POLICY
        .replace("format: csv }", "format: csv, columns: { Telephone: phone }, neutralise_formulas: true }");
    let plan = plan(&text.replace("FIELDS", "fields: { show: [public], mask: { phone: k } }"));
    let permit = decide(&plan, &who("x"), "GET /csv").unwrap();
    let (text, counts) = pass(&permit, "id,Telephone,cost\r\n1,13800138000,9\r\n=2,x,8\r\n").unwrap();
    assert_eq!((text.as_str(), counts.released), ("id,Telephone\r\n1,138****8000\r\n'=2,*\r\n", 2));
}

/// "**YAML 1.2**: `on`, `yes`, `no`, `y` are strings."
#[test]
fn yaml_1_2() {
    let text =
        POLICY.replace("FIELDS", "fields: { show: [y] }").replace("public: [id,", "public: [y, on, id,");
    assert_eq!(one(&plan(&text), json!({ "y": 1, "on": 2 })), json!({ "y": 1 }));
}
