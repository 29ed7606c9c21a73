//! Requests that hold requests, through a whole gateway.

use serde_json::json;

use crate::support::gateway::{FINANCE, MANAGER, SALES, Setup};
use crate::support::upstream::{self, Act, Framing, Received, Upstream, answer};

const BATCH: &str = r#"
      - match: POST /composite
        envelope: { keep: [hasErrors] }
        batch: { items: "body $.compositeRequest[*]", method: $.method, url: $.url, body: $.body, id: $.referenceId, pass: [allOrNone],
                 answers: "$.compositeResponse[*]", answer: $.body, status: $.httpStatusCode }
"#;
const JSON: &str = "Content-Type: application/json";
const ONE: &str =
    r#"{"data":{"id":1,"name":"Ada","owner_id":"li.na","phone":"13800138000","credit_limit":5}}"#;
const ANSWERS: &str = r#"{"compositeResponse":[
  {"body":{"data":[{"id":1,"name":"Ada","owner_id":"li.na","phone":"13800138000","secret":1},{"id":2,"owner_id":"xu.lan","phone":"13900139000"}],"total":2},"httpHeaders":{"X-Card":"110"},"httpStatusCode":200,"referenceId":"all"},
  {"body":[{"message":"no column card in 13800138000","errorCode":"INVALID_FIELD"}],"httpHeaders":{},"httpStatusCode":400,"referenceId":"one"}],"hasErrors":true,"debug":"13800138000"}"#;

fn crm(request: &Received) -> Vec<Act> {
    match (request.method.as_str(), request.target.as_str()) {
        ("POST", "/composite") => upstream::json(ANSWERS),
        ("GET", "/customers/1") => upstream::json(ONE),
        _ => answer("404 Not Found", &["Content-Type: text/plain"], b"no such customer", Framing::Length),
    }
}

fn setup(upstream: &Upstream) -> Setup {
    let policy = crate::support::gateway::POLICY.replace("\n    routes:\n", &format!("\n    routes:{BATCH}"));
    Setup::before(upstream).only(&policy)
}

fn asked(second: &str) -> String {
    format!(
        r#"{{ "allOrNone" : false, "compositeRequest":[{{"method":"GET","url":"/customers?limit=999","referenceId":"all"}},{{"referenceId":"one",{second}}}]}}"#
    )
}

#[tokio::test]
async fn a_batch_is_judged_sent_and_rewritten_by_its_parts() {
    let upstream = Upstream::start(crm).await;
    let gateway = setup(&upstream).start().await;
    let body = asked(r#""method":"PUT","url":"/customers/1","body":{"phone":"13812345678"}"#);
    let answer = gateway.request("POST", "/composite", &[SALES, JSON], Some(&body)).await;
    assert_eq!(answer.status, 200);
    let error = &answer.json()["compositeResponse"][1];
    assert_eq!((&error["httpStatusCode"], &error["referenceId"]), (&json!(400), &json!("one")));
    assert_eq!(
        answer.json()["compositeResponse"][0],
        json!({
            "body": { "data": [{ "id": 1, "name": "Ada", "owner_id": "li.na", "phone": "13800138000" }], "total": 1 },
            "httpStatusCode": 200,
            "referenceId": "all",
        })
    );
    assert!(
        !answer.holds("column")
            && !answer.holds("secret")
            && !answer.holds("debug")
            && !answer.holds("X-Card")
    );
    let received = upstream.received();
    // The record is read before it is changed.
    assert_eq!(
        received.iter().map(|one| one.target.as_str()).collect::<Vec<_>>(),
        ["/customers/1", "/composite"]
    );
    assert_eq!(
        received[1].text(),
        r#"{"allOrNone":false,"compositeRequest":[{"method":"GET","url":"/customers?limit=200","referenceId":"all"},{"referenceId":"one","method":"PUT","url":"/customers/1","body":{"phone":"13812345678"}}]}"#
    );
    let records = gateway.end().await;
    assert_eq!(records.len(), 1);
    assert_eq!(
        records[0]["operations"],
        json!(["list customer GET /customers", "update customer PUT /customers/1"])
    );
    assert_eq!((&records[0]["released"], &records[0]["withheld"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn a_refused_request_refuses_the_batch_and_nothing_is_sent() {
    let upstream = Upstream::start(crm).await;
    let gateway = setup(&upstream).start().await;
    for (second, status, said) in [
        (r#""method":"DELETE","url":"/customers/1""#, 403, "request 2 of the batch: not allowed"),
        (r#""method":"GET","url":"/nowhere""#, 403, "request 2 of the batch: not allowed"),
        (r#""method":"GET","url":"/healthz""#, 403, "request 2 of the batch: not allowed"),
        (
            r#""method":"PUT","url":"/customers/9","body":{"phone":"1"}"#,
            404,
            "request 2 of the batch: not found",
        ),
        (r#""method":"GET","url":"/customers?phone=1","x":1"#, 403, "request 2 of the batch: `x`"),
        (r#""method":"GET","url":"/customers/@{all.id}""#, 403, "request 2 of the batch: `a reference"),
    ] {
        let answer = gateway.request("POST", "/composite", &[SALES, JSON], Some(&asked(second))).await;
        assert_eq!(answer.status, status, "{second}: {}", answer.text());
        assert!(answer.holds(said), "{second}: {}", answer.text());
    }
    assert!(!upstream.received().iter().any(|received| received.target == "/composite"));
}

/// threats.md R11.
#[tokio::test]
async fn batches_in_multipart_are_refused_and_cut() {
    let upstream = Upstream::start(|_: &Received| {
        answer("200 OK", &["Content-Type: multipart/mixed; boundary=b"], ANSWERS.as_bytes(), Framing::Length)
    })
    .await;
    let gateway = setup(&upstream).start().await;
    let body = asked(r#""method":"GET","url":"/customers/1""#);
    let multipart = "Content-Type: multipart/mixed; boundary=b";
    let refused = gateway.request("POST", "/composite", &[MANAGER, multipart], Some(&body)).await;
    assert!((400..500).contains(&refused.status), "{}", refused.status);
    assert!(upstream.received().is_empty());
    let answered = gateway.request("POST", "/composite", &[MANAGER, JSON], Some(&body)).await;
    assert_eq!(answered.status, 502);
    assert!(!answered.holds("13800138000"));
}

#[tokio::test]
async fn requests_and_records_of_a_batch_count_for_their_own_limits() {
    let upstream = Upstream::start(crm).await;
    let limits = r#"
limits:
  - { name: clicks, roles: [finance], per: principal, requests: 5/day }
  - { name: reading, roles: [manager], actions: [list], per: principal, records: 3/day }
"#;
    let gateway = setup(&upstream).policy(limits).start().await;
    let body = asked(r#""method":"GET","url":"/customers/1""#);
    let ask = async |who: &str| gateway.request("POST", "/composite", &[who, JSON], Some(&body)).await.status;
    assert_eq!(
        (ask(FINANCE).await, ask(FINANCE).await, ask(FINANCE).await),
        (200, 200, 429),
        "two at a time"
    );
    assert_eq!((ask(MANAGER).await, ask(MANAGER).await), (200, 429), "two records at a time");
}
