//! Routes in depth: rows, record types, pairs, JSON in texts, forms of bodies, questions in bodies.

use bytes::Bytes;
use fieldgate::analysis::{Caller, admitted};
use fieldgate::policy::{Permit, Plan};
use fieldgate::rewrite::{Counts, Cut, Rewriter};
use serde_json::json;

use super::support::alone as plan;

struct Who(Caller);

fn who(id: &str) -> Who {
    Who(Caller {
        id: id.into(),
        groups: Vec::new(),
        roles: Vec::new(),
        claims: serde_json::Map::new(),
        name: None,
        ip: [127, 0, 0, 1].into(),
        mfa: false,
    })
}

impl Who {
    fn roles(mut self, roles: &[&str]) -> Self {
        self.0.roles = roles.iter().map(|role| (*role).into()).collect();
        self
    }
}

/// Decides, narrows, and gives what would be sent and the permit.
fn ask(
    plan: &Plan,
    who: &Who,
    line: &str,
    kind: Option<&str>,
    body: &str,
) -> Result<(String, String, Permit), String> {
    let (method, uri) = line.split_once(' ').unwrap();
    let mut request = http::Request::builder().method(method).uri(uri);
    if let Some(kind) = kind {
        request = request.header("content-type", kind);
    }
    let request = request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    let noon = "2026-11-20T04:00:00Z".parse().unwrap();
    let sent =
        admitted(plan, &who.0.principal(), request, None, noon).map_err(|refusal| refusal.to_string())?;
    Ok((sent.target, String::from_utf8(sent.body.to_vec()).unwrap(), sent.permit))
}

/// What a permit lets through of an answer.
fn pass(permit: &Permit, answer: &str) -> Result<(String, Counts), Cut> {
    let mut rewriter = Rewriter::new(permit.rewrite().clone(), permit.params().clone());
    let mut out = Vec::new();
    rewriter.push(answer.as_bytes(), &mut out)?;
    rewriter.finish(&mut out)?;
    Ok((String::from_utf8(out).unwrap(), rewriter.counts().clone()))
}

const JSON: Option<&str> = Some("application/json");
const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

/// policy.md, "Routes in depth": the Kingdee example.
const KINGDEE: &str = r#"
labels: [public, contact, money]
resources:
  customer: { key: FNumber, fields: { public: [FNumber, FName, FRegion], contact: [FTEL] } }
  order: { key: FBillNo, fields: { public: [FBillNo, FCUSTID.FName], contact: [FCUSTID.FTEL], money: [FAmount] } }
apis:
  kingdee:
    denial: { status: 200, body: '[[{"Result":{"ResponseStatus":{"IsSuccess":false,"ErrorCode":403,"Errors":[{"Message":{{message}}}]}}}]]' }
    routes:
      - match: POST /K3Cloud/Kingdee.BOS.WebApi.ServicesStub.DynamicFormService.ExecuteBillQuery.common.kdsvc
        ignore_case: true
        action: list
        body_as: [json, "form:data"]
        resource: { at: body $.data.FormId, map: { BD_Customer: customer, SAL_SaleOrder: order } }
        rows: { at: "$[*]", columns: { at: body $.data.FieldKeys, split: "," } }
        query:
          dialect: kingdee
          filter: body $.data.FilterString
          sort: body $.data.OrderString
          page_size: { at: body $.data.Limit, max: 2000 }
          pass: [body $.data.StartRow, body $.data.TopRowCount]
      - match: GET /fixed
        action: list
        resource: customer
        rows: { at: "$.result[*]", columns: [FNumber, FTEL, FName] }
      - match: GET /named
        action: list
        resource: customer
        rows: { at: "$[*]", columns: { at: query fields, split: ";", hidden: trim } }
masks: { tel: { keep: { first: 3, last: 4 } } }
roles:
  east:
    permissions:
      - { resource: customer, actions: [list], records: record.FRegion == "east", fields: { show: [FNumber, FName] } }
      - { resource: order, actions: [list], fields: { show: [public], mask: { contact: tel } } }
  all:
    permissions:
      - { resource: customer, actions: [list], fields: { show: ["*"] } }
"#;

const QUERY: &str =
    "POST /k3cloud/kingdee.bos.webapi.servicesstub.dynamicformservice.ExecuteBillQuery.common.kdsvc";

#[test]
fn positional_rows_have_the_columns_that_the_request_names() {
    let plan = plan(KINGDEE);
    let east = who("e").roles(&["east"]);
    let body = r#"{"data":{"FormId":"BD_Customer","FieldKeys":"FName, FNumber","FilterString":"FName like 'a%'","Limit":9000}}"#;
    let (_, sent, permit) = ask(&plan, &east, QUERY, None, body).unwrap();
    assert_eq!(
        sent,
        r#"{"data":{"FormId":"BD_Customer","FieldKeys":"FName,FNumber,FRegion","FilterString":"FName like 'a%'","Limit":2000}}"#,
        "what the condition reads is asked for, too, and the page is capped"
    );
    let (text, counts) = pass(&permit, r#"[["a","1","east"],["b","2","west"]]"#).unwrap();
    assert_eq!(text, r#"[["a","1"]]"#, "and taken away again");
    assert_eq!((counts.released, counts.withheld), (1, 1));
    assert!(pass(&permit, r#"[["a","1"]]"#).is_err(), "a row with another number of values");

    let form =
        "data=%7B%22FormId%22%3A%22SAL_SaleOrder%22%2C%22FieldKeys%22%3A%22FBillNo%2CFCUSTID.FTEL%22%7D";
    let (_, sent, permit) = ask(&plan, &east, QUERY, FORM, form).unwrap();
    assert_eq!(sent, form);
    assert_eq!(pass(&permit, r#"[["S1","13800138000"]]"#).unwrap().0, r#"[["S1","138****8000"]]"#);
}

#[test]
fn a_column_that_may_not_be_seen_refuses_the_request() {
    let plan = plan(KINGDEE);
    let east = who("e").roles(&["east"]);
    let asked = |keys: &str| {
        let body = format!(r#"{{"data":{{"FormId":"BD_Customer","FieldKeys":{keys}}}}}"#);
        ask(&plan, &east, QUERY, JSON, &body).map(|_| ())
    };
    let refused = Err("`body $.data.FieldKeys` cannot be used as given".to_owned());
    assert_eq!(asked(r#""FNumber""#), Ok(()));
    assert_eq!(asked(r#"["FNumber","FName"]"#), Ok(()));
    for keys in [
        r#""FNumber,FTEL""#,
        r#""FNumber,FNothing""#,
        r#""FNumber as FTEL""#,
        r#""max(FTEL)""#,
        r#""FNumber,,FName""#,
        r#""*""#,
        r#""[\"FNumber\"]""#,
        r#""""#,
        "null",
        "{}",
        r#"["FNumber",1]"#,
        r#"["FNumber,FTEL"]"#,
    ] {
        assert_eq!(asked(keys), refused, "{keys}");
    }
    let many = format!("\"{}\"", vec!["FNumber"; 257].join(","));
    assert_eq!(asked(&many), refused, "the bound");
    assert_eq!(
        ask(&plan, &east, QUERY, JSON, r#"{"data":{"FormId":"BD_Customer"}}"#).map(|_| ()),
        refused,
        "no columns, no meaning"
    );
    assert!(
        ask(&plan, &east, QUERY, JSON, r#"{"data":{"FormId":"HR_Person","FieldKeys":"FName"}}"#).is_err()
    );
}

#[test]
fn what_nobody_declared_in_a_body_that_asks_is_refused() {
    let plan = plan(KINGDEE);
    let east = who("e").roles(&["east"]);
    for more in [
        r#""FilterString":"FTEL like '138%'""#,
        r#""FilterString":[{"FieldName":"FTEL"}]"#,
        r#""OrderString":"FTEL""#,
        r#""Limit":0"#,
        r#""SubSystemId":"""#,
        r#""x":{}"#,
        r#""StartRow":1}, "other":{"a":1"#,
    ] {
        let body = format!(r#"{{"data":{{"FormId":"BD_Customer","FieldKeys":"FNumber",{more}}}}}"#);
        assert!(ask(&plan, &east, QUERY, JSON, &body).is_err(), "{more}");
    }
}

#[test]
fn fixed_columns_and_columns_of_the_query() {
    let plan = plan(KINGDEE);
    let all = who("a").roles(&["all"]);
    let east = who("e").roles(&["east"]);
    let (_, _, permit) = ask(&plan, &all, "GET /fixed", None, "").unwrap();
    assert_eq!(
        pass(&permit, r#"{"result":[["1","t","a"]],"x":1}"#).unwrap().0,
        r#"{"result":[["1","t","a"]]}"#
    );
    let (uri, _, permit) = ask(&plan, &east, "GET /named?fields=FTEL%3BFName", None, "").unwrap();
    assert_eq!(uri, "/named?fields=FName%3BFRegion%3BFNumber", "trimmed; the key is asked for as well");
    assert_eq!(pass(&permit, r#"[["a","east","7"]]"#).unwrap().0, r#"[["a"]]"#);
    assert!(ask(&plan, &east, "GET /named?fields=FTEL", None, "").is_err(), "nothing is left");
    assert!(ask(&plan, &east, "GET /named?fields=FName&fields=FTEL", None, "").is_err());
    assert!(ask(&plan, &east, "GET /named", None, "").is_err());
}

/// policy.md, "Routes in depth": `type_at`.
const TYPED: &str = r#"
labels: [public, contact]
resources:
  account: { key: Id, fields: { public: [Id, Name], contact: [Phone] } }
  contact: { key: Id, fields: { public: [Id], contact: [Phone, Email] } }
  secret: { key: Id, fields: { public: [Id] } }
apis:
  sf:
    routes:
      - match: GET /query
        action: list
        records: $.records[*]
        envelope: { total: $.totalSize }
        type_at: { at: attributes.type, map: { Account: account, Contact: contact, Secret: secret } }
        query: { filter: [Id, Phone] }
      - { match: GET /own, action: list, records: "$[*]", type_at: kind }
roles:
  r:
    permissions:
      - { resource: account, actions: [list], fields: { show: [public, contact] } }
      - { resource: contact, actions: [list], records: record.Owner == principal.id, fields: { show: [Id, Email] } }
  other: { permissions: [{ resource: secret, actions: [read], fields: { show: [Id] } }] }
"#;

#[test]
fn each_record_is_judged_by_its_own_type_also_where_that_comes_last() {
    let plan = plan(TYPED);
    let (_, _, permit) = ask(&plan, &who("u1").roles(&["r"]), "GET /query", None, "").unwrap();
    let answer = r#"{"totalSize":5,"records":[
{"Id":"1","Phone":"p1","Email":"e1","attributes":{"type":"Account"}},
{"Id":"2","Phone":"p2","Email":"e2","Owner":"u1","attributes":{"type":"Contact"}},
{"Id":"3","Email":"e3","Owner":"u2","attributes":{"type":"Contact"}},
{"Id":"4","attributes":{"type":"Secret"}},
{"Id":"5","attributes":{"type":"Account","type":"Contact"}},
{"Id":"6"}]}"#;
    let (text, counts) = pass(&permit, answer).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        value,
        serde_json::json!({"totalSize": 2, "records": [{"Id": "1", "Phone": "p1"}, {"Id": "2", "Email": "e2"}]})
    );
    assert_eq!((counts.released, counts.withheld), (2, 4));
    assert!(ask(&plan, &who("u1").roles(&["other"]), "GET /query", None, "").is_err());
    let (_, _, permit) = ask(&plan, &who("u1").roles(&["r"]), "GET /own", None, "").unwrap();
    assert_eq!(
        pass(&permit, r#"[{"Id":1,"kind":"account"},{"Id":2,"kind":"Account"}]"#).unwrap().0,
        r#"[{"Id":1}]"#
    );
}

#[test]
fn a_question_must_be_allowed_for_every_type() {
    let plan = plan(TYPED);
    let who = who("u1").roles(&["r"]);
    assert!(ask(&plan, &who, "GET /query?Id=1", None, "").is_ok());
    assert!(ask(&plan, &who, "GET /query?Phone=1", None, "").is_err(), "hidden on contacts");
}

/// threats.md V03, V08.
const PAIRS: &str = r#"
labels: [public, contact]
resources:
  form:
    key: id
    fields: { public: [id, title, Reason, extra.note], contact: [Phone, extra.phone] }
    pairs: { "values[*]": { name: name, value: value } }
    embedded: [extra]
apis:
  d:
    routes:
      - { match: "GET /forms/{id}", action: read, resource: form, records: $ }
      - { match: "PUT /forms/{id}", action: update, resource: form, body: $, records: $ }
masks: { tel: { keep: { first: 3, last: 4 } } }
roles:
  clerk:
    permissions:
      - { resource: form, actions: [read, update], fields: { show: [public], edit: [title, Reason, extra.note] } }
  helper:
    permissions:
      - { resource: form, actions: [read, update], fields: { show: [public], mask: { contact: tel } } }
      - { resource: form, actions: [update], fields: { show: [contact], edit: [contact] } }
"#;

#[test]
fn pairs_and_json_in_texts_are_judged_as_the_fields_they_hold() {
    let plan = plan(PAIRS);
    let clerk = who("c").roles(&["clerk"]);
    let (_, _, permit) = ask(&plan, &clerk, "GET /forms/1", None, "").unwrap();
    let answer = r#"{"id":1,"values":[{"name":"Phone","value":"13800138000"},{"value":"why","name":"Reason"}],"extra":"{\"phone\":\"13800138000\",\"note\":\"n\"}"}"#;
    assert_eq!(
        pass(&permit, answer).unwrap().0,
        r#"{"id":1,"values":[{"value":"why","name":"Reason"}],"extra":"{\"note\":\"n\"}"}"#
    );
    let put = |body: &str| ask(&plan, &clerk, "PUT /forms/1", JSON, body).map(|(_, sent, _)| sent);
    let fine = r#"{"title":"t","values":[{"name":"Reason","value":"x"}],"extra":"{\"note\":\"n\"}"}"#;
    assert_eq!(put(fine).as_deref(), Ok(fine));
    assert!(put(r#"{"values":[{"name":"Phone","value":"1"}]}"#).is_err());
    assert!(put(r#"{"extra":"{\"phone\":\"1\"}"}"#).is_err());
}

/// policy.md rule 9: "A masked value coming back is always recognised."
#[test]
fn a_masked_value_is_recognised_in_pairs_and_in_texts_with_json() {
    let plan = plan(PAIRS);
    let helper = who("h").roles(&["helper"]);
    let put = |body: &str| ask(&plan, &helper, "PUT /forms/1", JSON, body).map(|(_, sent, _)| sent);
    for body in [
        r#"{"Phone":"138****8000"}"#,
        r#"{"values":[{"name":"Phone","value":"138****8000"}]}"#,
        r#"{"extra":"{\"phone\":\"138****8000\"}"}"#,
    ] {
        assert!(put(body).unwrap_err().contains("masked"), "{body}: {:?}", put(body));
    }
    assert!(put(r#"{"values":[{"name":"Phone","value":"13900139000"}]}"#).is_ok());
}

/// policy.md: "Bodies that may be form-encoded JSON, JSON inside a JSON string, or JSON without a Content-Type are
/// declared (`body_as: json | form:data | json-string`), never guessed."
const FORMS: &str = r#"
labels: [public, contact]
resources: { lead: { key: id, fields: { public: [id, name], contact: [phone] } } }
apis:
  z:
    routes:
      - { match: POST /plain, action: create, resource: lead, records: $ }
      - { match: POST /bare, action: create, resource: lead, body: "$.data[*]", body_as: json, records: $, query: { pass: body $.trigger } }
      - { match: POST /form, action: create, resource: lead, body_as: form, records: $ }
      - { match: POST /text, action: create, resource: lead, body_as: json-string, records: $ }
      - { match: POST /inner, action: update, resource: { at: body $.formid, map: { L: lead } }, body: $.data.Model, body_as: "json-string:$.data", records: $ }
      - { match: "GET /leads/{id}", action: read, resource: lead, records: $ }
roles:
  r: { permissions: [{ resource: lead, actions: [create, update], fields: { show: [public], edit: [name] } }] }
"#;

#[test]
fn a_body_is_read_as_declared_and_written_again_from_what_was_parsed() {
    let plan = plan(FORMS);
    let r = who("r").roles(&["r"]);
    let sent = |line: &str, kind, body: &str| ask(&plan, &r, line, kind, body).map(|(_, sent, _)| sent);
    assert!(sent("POST /plain", None, r#"{"name":"a"}"#).unwrap_err().contains("content type"));
    assert_eq!(sent("POST /plain", JSON, r#"{"name" :"a"}"#).as_deref(), Ok(r#"{"name":"a"}"#));
    assert!(sent("POST /plain", FORM, "name=a").is_err());

    let bare = r#"{"data":[{"name":"a"}],"trigger":["x"]}"#;
    assert_eq!(sent("POST /bare", None, bare).as_deref(), Ok(bare));
    assert!(sent("POST /bare", None, r#"{"data":[{"name":"a"}],"other":1}"#).is_err());
    assert!(sent("POST /bare", None, r#"{"data":[{"name":"a","phone":"1"}]}"#).is_err());

    assert_eq!(sent("POST /form", FORM, "name=a+b").as_deref(), Ok("name=a%20b"));
    assert!(sent("POST /form", FORM, "name=a&phone=1").unwrap_err().contains("`phone`"));
    assert!(sent("POST /form", FORM, "name=a&name=b").is_err());
    assert!(sent("POST /form", JSON, r#"{"name":"a"}"#).is_err());

    assert_eq!(sent("POST /text", JSON, r#""{\"name\":\"a\"}""#).as_deref(), Ok(r#""{\"name\":\"a\"}""#));
    assert!(sent("POST /text", JSON, r#""{\"phone\":\"a\"}""#).is_err());
    assert!(sent("POST /text", JSON, r#"{"name":"a"}"#).is_err());

    let inner = r#"{"formid":"L","data":"{\"Model\":{\"name\":\"a\"}}"}"#;
    assert_eq!(sent("POST /inner", JSON, inner).as_deref(), Ok(inner));
    assert!(sent("POST /inner", JSON, r#"{"formid":"L","data":"{\"Model\":{\"phone\":\"a\"}}"}"#).is_err());
    assert!(
        sent("POST /inner", JSON, r#"{"formid":"L","data":"{\"Model\":{},\"IsDeleteEntry\":true}"}"#)
            .is_err()
    );
}

#[test]
fn fields_may_be_named_in_lists_and_by_filter_parts() {
    let plan = plan(
        r#"
labels: [public, contact]
resources: { row: { key: id, fields: { public: [id, name], contact: [phone] } } }
apis:
  j:
    routes:
      - match: POST /list
        action: list
        resource: row
        records: $.data[*]
        query:
          select: body $.fields
          filter: "body $.filter.cond[*].field"
          sort: "body $.order"
          page_size: { at: body $.limit, max: 100 }
          pass: ["body $.filter.cond[*].value", "body $.filter.rel", body $.app_id]
roles: { r: { permissions: [{ resource: row, actions: [list], fields: { show: [public] } }] } }
"#,
    );
    let r = who("r").roles(&["r"]);
    let sent = |body: &str| ask(&plan, &r, "POST /list", JSON, body).map(|(_, sent, _)| sent);
    assert_eq!(
        sent(r#"{"app_id":"a","fields":["name","phone"],"filter":{"rel":"and","cond":[{"field":"name","value":["x"]}]},"limit":500,"order":"-id"}"#)
            .as_deref(),
        Ok(r#"{"app_id":"a","fields":["name","id"],"filter":{"rel":"and","cond":[{"field":"name","value":["x"]}]},"limit":100,"order":"-id"}"#)
    );
    for body in [
        r#"{"filter":{"cond":[{"field":"phone","value":["138"]}]}}"#,
        r#"{"filter":{"cond":[{"field":"name","value":1,"x":1}]}}"#,
        r#"{"order":"phone"}"#,
        r#"{"data_id":"1"}"#,
        r#"{"filter":{"cond":["phone"]}}"#,
        r#"[]"#,
        r#""x""#,
    ] {
        assert!(sent(body).is_err(), "{body}");
    }
}
