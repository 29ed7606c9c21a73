//! Routes in depth, through a whole gateway.

use serde_json::json;

use crate::support::gateway::{FINANCE, MANAGER, SALES, Setup};
use crate::support::upstream::{Act, Received, Upstream};

const POLICY: &str = r#"
labels: [public, contact]
resources:
  customer: { key: FNumber, fields: { public: [FNumber, FName, FOwner, url], contact: [FTEL] } }
  lead: { key: id, fields: { public: [id, name], contact: [phone] } }
apis:
  crm:
    denial: { status: 200, body: '[[{"Result":{"ResponseStatus":{"IsSuccess":false,"Errors":[{"Message":{{message}}}]}}}]]' }
    origin: rewrite
    routes:
      - match: POST /K3Cloud/Query.common.kdsvc
        ignore_case: true
        action: list
        body_as: [json, "form:data"]
        resource: { at: body $.data.FormId, map: { BD_Customer: customer } }
        rows: { at: "$[*]", columns: { at: body $.data.FieldKeys, split: "," } }
        query: { dialect: kingdee, filter: body $.data.FilterString, page_size: { at: body $.data.Limit, max: 100 } }
      - { match: "GET /customers", action: list, resource: customer, records: "$.data[*]", response_headers: [location, link] }
      - { match: POST /leads, action: create, resource: lead, body_as: form, records: $ }
masks: { tel: { keep: { first: 3, last: 4 } } }
roles:
  sales:
    permissions:
      - { resource: customer, actions: [list], records: record.FOwner == principal.id, fields: { show: [FNumber, FName, url], mask: { contact: tel } } }
      - { resource: lead, actions: [create], fields: { show: [public], edit: [name] } }
bindings: [{ role: sales, groups: [sales] }]
"#;

fn answer(body: &str) -> Vec<Act> {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    vec![Act::Send(text.into_bytes())]
}

fn kingdee(received: &Received) -> Vec<Act> {
    match received.target.as_str() {
        "/customers" => {
            let host = received.header("host").unwrap();
            let body = format!(
                r#"{{"data":[{{"FOwner":"li.na","FName":"see http:\/\/{host}\/x","url":"http://{host}/a/1","FTEL":"http://{host}"}},{{"url":"http://{host}/2"}}]}}"#
            );
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLocation: http://{host}/b\r\nLink: <http://{host}/c?page=2>; rel=next\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            // Cut in the middle of an origin.
            let (first, second) = body.split_at(body.find("/a/1").unwrap() - 3);
            vec![Act::Send(head.into_bytes()), Act::Send(first.into()), Act::Send(second.into())]
        }
        "/leads" => answer(r#"{"id":1,"name":"a","phone":"13800138000"}"#),
        _ => answer(r#"[["a","13800138000","li.na","7"],["b","13900139000","xu.lan","8"]]"#),
    }
}

#[tokio::test]
async fn a_query_in_the_body_gets_the_rows_it_may_see() {
    let upstream = Upstream::start(kingdee).await;
    let gateway = Setup::before(&upstream).only(POLICY).start().await;
    let ask = async |who: &str, kind: &str, body: &str| {
        gateway.request("POST", "/k3cloud/query.common.kdsvc", &[who, kind], Some(body)).await
    };
    let json = "Content-Type: application/json";
    let body = r#"{"data": {"FormId":"BD_Customer","FieldKeys":"FName,FTEL","FilterString":"FName='a'","Limit":9999}}"#;
    let rows = ask(SALES, json, body).await;
    assert_eq!((rows.status, rows.text()), (200, r#"[["a","138****8000"]]"#));
    assert_eq!(
        upstream.received().pop().unwrap().text(),
        r#"{"data":{"FormId":"BD_Customer","FieldKeys":"FName,FTEL,FOwner,FNumber","FilterString":"FName = 'a'","Limit":100}}"#
    );
    let form = "data=%7B%22FormId%22%3A%22BD_Customer%22%2C%22FieldKeys%22%3A%22FName%2CFTEL%22%7D";
    assert_eq!(ask(SALES, "Content-Type: application/x-www-form-urlencoded", form).await.text(), rows.text());

    let before = upstream.received().len();
    for body in [
        r#"{"data":{"FormId":"BD_Customer","FieldKeys":"FName","FilterString":"FTEL like '138%'"}}"#,
        r#"{"data":{"FormId":"BD_Customer","FieldKeys":"FSecret"}}"#,
        r#"{"data":{"FormId":"BD_Customer","FieldKeys":"FName","TopRowCount":1}}"#,
        r#"{"data":{"FormId":"BD_Customer","FormId":"BD_Customer","FieldKeys":"FName"}}"#,
        r#"{"data":{"FormId":"HR_Person","FieldKeys":"FName"}}"#,
    ] {
        let refused = ask(SALES, json, body).await;
        assert_eq!(refused.status, 200, "the api's own denial: {body} {}", refused.text());
        assert_eq!(refused.json()[0][0]["Result"]["ResponseStatus"]["IsSuccess"], json!(false), "{body}");
    }
    assert_eq!(upstream.received().len(), before, "none of these went upstream");
    let records = gateway.end().await;
    assert_eq!(records.len(), 7);
}

/// "absolute URLs in answers point back at the gateway"
#[tokio::test]
async fn urls_of_the_upstream_point_back_at_the_gateway() {
    let upstream = Upstream::start(kingdee).await;
    let gateway = Setup::before(&upstream).only(POLICY).start().await;
    let found = gateway.get("/customers", &[SALES]).await;
    let own = found.json()["data"][0]["url"].as_str().unwrap().trim_end_matches("/a/1").to_owned();
    let there = upstream.url();
    assert!(own.starts_with("http://") && own != there, "{own}");
    assert_eq!(found.json()["data"][0]["FName"], format!("see {own}/x"));
    assert!(!found.holds(there.trim_start_matches("http://")), "{}", found.text());
    assert_eq!(found.header("location"), Some("/b"));
    assert_eq!(found.header("link"), Some(format!("<{own}/c?page=2>; rel=next").as_str()));
}

#[tokio::test]
async fn a_form_sets_only_what_may_be_edited() {
    let upstream = Upstream::start(kingdee).await;
    let gateway = Setup::before(&upstream).only(POLICY).start().await;
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let post =
        async |who: &str, body: &str| gateway.request("POST", "/leads", &[who, kind], Some(body)).await;
    let made = post(SALES, "name=a+b%26c").await;
    assert_eq!(made.text(), r#"{"id":1,"name":"a"}"#);
    let sent = upstream.received().pop().unwrap();
    assert_eq!(
        (sent.text(), sent.header("content-type")),
        ("name=a%20b%26c", Some("application/x-www-form-urlencoded"))
    );
    let before = upstream.received().len();
    for body in ["name=a&phone=1", "name=a&name=b", "owner=x", "name=a;phone=1", "%6eame=a&name=b"] {
        assert!(post(SALES, body).await.holds("IsSuccess"), "{body}");
    }
    assert!(post(FINANCE, "name=a").await.holds("IsSuccess"));
    assert!(post(MANAGER, "name=a").await.holds("IsSuccess"));
    assert_eq!(upstream.received().len(), before);
}

const CURSORS: &str = r#"
labels: [public, contact]
resources:
  account: { key: id, fields: { public: [id], contact: [phone] } }
  lead: { key: id, fields: { public: [id] } }
apis:
  crm:
    routes:
      - match: GET /query
        action: list
        resource: { at: query of, map: { account: account, lead: lead } }
        records: $.records[*]
        envelope: { keep: [next, job] }
        remember: { cursor: $.next, job: $.job }
      - match: "GET /query/{cursor}"
        resource: { remembered: cursor }
        records: $.records[*]
        envelope: { keep: [next] }
        remember: { cursor: $.next }
      - { match: GET /results, action: export, resource: { remembered: job, at: query id }, records: "$.records[*]" }
masks: { tel: { keep: { first: 3, last: 4 } } }
roles:
  sales: { permissions: [{ resource: account, actions: [list], fields: { show: [public], mask: { contact: tel } } }] }
  manager:
    permissions:
      - { resource: account, actions: [list, export], fields: { show: [public, contact] } }
      - { resource: lead, actions: [list], fields: { show: [public] } }
bindings:
  - { role: sales, groups: [sales] }
  - { role: manager, groups: [managers] }
"#;

fn pages(received: &Received) -> Vec<Act> {
    let next = match received.target.as_str() {
        "/query?of=account" => r#""next":"/query/01g-2000","job":7501706047321704235000,"#,
        "/query/01g-2000" => r#""next":"/query/01g-4000?x=1","#,
        _ => "",
    };
    answer(&format!(r#"{{{next}"records":[{{"id":"1","phone":"13800138000"}}]}}"#))
}

/// "same principal, same rules"
#[tokio::test]
async fn a_cursor_is_followed_by_whom_it_was_given_to_under_the_same_rules() {
    let upstream = Upstream::start(pages).await;
    let gateway = Setup::before(&upstream).only(CURSORS).start().await;
    assert_eq!(gateway.get("/query/01g-2000", &[SALES]).await.status, 404, "not given yet");
    let first = gateway.get("/query?of=account", &[SALES]).await;
    assert_eq!(first.json()["next"], "/query/01g-2000");
    let second = gateway.get("/query/01g-2000", &[SALES]).await;
    assert_eq!(
        (second.status, second.json()),
        (200, json!({"next": "/query/01g-4000?x=1", "records": [{"id": "1", "phone": "138****8000"}]}))
    );
    assert_eq!(gateway.get("/query/01g-4000", &[SALES]).await.status, 200, "the page after that");
    let before = upstream.received().len();
    assert_eq!(gateway.get("/query/01g-2000", &[MANAGER]).await.status, 404, "somebody else's");
    assert_eq!(gateway.get("/query/01g-2001", &[SALES]).await.status, 404, "guessed");
    assert_eq!(gateway.get("/results?id=7501706047321704235000", &[MANAGER]).await.status, 404);
    assert_eq!(
        gateway.get("/results?id=7501706047321704235000", &[SALES]).await.status,
        403,
        "its own, no right"
    );
    assert_eq!(upstream.received().len(), before, "none of these went upstream");

    gateway.get("/query?of=account", &[MANAGER]).await;
    let result = gateway.get("/results?id=7501706047321704235000", &[MANAGER]).await;
    assert_eq!(result.json(), json!({"records": [{"id": "1", "phone": "13800138000"}]}));
    assert_eq!(gateway.get("/results?id=75&id=7501706047321704235000", &[MANAGER]).await.status, 404);
}
