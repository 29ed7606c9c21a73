//! Writes laid over the record as it is, and errors of the upstream, over the wire.

use crate::support::gateway::{Gateway, POLICY, SALES, Setup};
use crate::support::upstream::{Framing, Received, Upstream, answer, json};

const RECORD: &str =
    r#"{"data":{"id":1,"owner_id":"li.na","name":"Ada","phone":"13800138000","credit_limit":5,"odd":1}}"#;
const KIND: &str = "Content-Type: application/json";

fn policy() -> String {
    POLICY
        .replace(
            "action: update, resource: customer, body: $,",
            "action: update, resource: customer, body: $, on_uneditable: restore,",
        )
        .replace(
            "  crm:\n",
            "  crm:\n    errors: { at: $.errcode, ok: [0], keep: [errcode], mask: { errmsg: stars } }\n",
        )
}

async fn start(
    script: impl Fn(&Received) -> Vec<crate::support::upstream::Act> + Send + Sync + 'static,
) -> (Gateway, Upstream) {
    let upstream = Upstream::start(script).await;
    (Setup::before(&upstream).with_policy(&policy()).start().await, upstream)
}

async fn put(gateway: &Gateway, headers: &[&str], body: &str) -> crate::support::client::Answer {
    let headers: Vec<&str> = [&[SALES, KIND], headers].concat();
    gateway.request("PUT", "/customers/1", &headers, Some(body)).await
}

fn tagged(
    tag: &'static str,
    status: &'static str,
) -> impl Fn(&Received) -> Vec<crate::support::upstream::Act> {
    move |request| {
        let tag = format!("ETag: {tag}");
        let status = if request.method == "GET" { "200 OK" } else { status };
        answer(status, &["Content-Type: application/json", &tag], RECORD.as_bytes(), Framing::Length)
    }
}

#[tokio::test]
async fn w01_a_masked_or_absent_field_is_not_overwritten() {
    let (gateway, upstream) = start(tagged("\"v1\"", "200 OK")).await;
    let done = put(&gateway, &[], r#"{"id":1,"name":"Eve","phone":"139","tags":["a"]}"#).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert!(!done.text().contains("credit_limit"), "the answer is rewritten as ever");
    let received = upstream.received();
    assert_eq!(received.iter().map(|request| request.method.as_str()).collect::<Vec<_>>(), ["GET", "PUT"]);
    let sent = received.last().expect("the write");
    assert_eq!(
        sent.text(),
        r#"{"id":1,"name":"Ada","phone":"139","tags":["a"],"owner_id":"li.na","credit_limit":5,"odd":1}"#
    );
    assert_eq!(sent.header("if-match"), Some("\"v1\""));
}

#[tokio::test]
async fn a_record_that_changed_meanwhile_is_a_conflict() {
    let (gateway, _upstream) = start(tagged("\"v1\"", "412 Precondition Failed")).await;
    let refused = put(&gateway, &[], r#"{"phone":"139"}"#).await;
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("the record was changed meanwhile"), "{}", refused.text());
}

#[tokio::test]
async fn a_weak_tag_is_no_condition() {
    let (gateway, upstream) = start(tagged("W/\"v1\"", "200 OK")).await;
    assert_eq!(put(&gateway, &[], r#"{"phone":"139"}"#).await.status, 200);
    assert_eq!(upstream.received().last().expect("the write").header("if-match"), None);
}

#[tokio::test]
async fn a_record_that_cannot_be_kept_is_not_written() {
    let twice = r#"{"data":{"id":1,"owner_id":"li.na","credit_limit":5,"credit_limit":6}}"#;
    let large = format!(r#"{{"data":{{"id":1,"owner_id":"li.na","odd":"{}"}}}}"#, "x".repeat(3 << 20));
    let cut = r#"{"data":{"id":1,"owner_id":"li.na""#.to_owned();
    let beside_an_error = r#"{"data":{"id":1,"owner_id":"li.na"},"errcode":3,"errmsg":"busy"}"#.to_owned();
    for record in [twice.to_owned(), large, cut, beside_an_error] {
        let (gateway, upstream) = start(move |_| json(&record)).await;
        let refused = put(&gateway, &[], r#"{"phone":"139"}"#).await;
        assert_eq!(refused.status, 502, "{}", refused.text());
        assert!(!refused.text().contains("credit_limit"));
        assert!(upstream.received().iter().all(|request| request.method == "GET"), "nothing was written");
    }
    let (gateway, upstream) = start(|_| json(r#"{"data":{"id":1,"owner_id":"xu.lan"}}"#)).await;
    assert_eq!(put(&gateway, &[], r#"{"phone":"139"}"#).await.status, 404, "somebody else's");
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test]
async fn v12_an_error_passes_as_far_as_it_is_declared() {
    let said =
        br#"{"errcode":40013,"errmsg":"no customer with phone 13800138000","record":{"credit_limit":5}}"#;
    let left = r#"{"errcode":40013,"errmsg":"***"}"#;
    for (status, given, body) in
        [("200 OK", 200, left), ("422 Unprocessable Content", 422, left), ("500 Oops", 502, left)]
    {
        let (gateway, _upstream) =
            start(move |_| answer(status, &["Content-Type: application/json"], said, Framing::Chunked(9)))
                .await;
        for target in ["/customers", "/customers/1"] {
            let answer = gateway.get(target, &[SALES]).await;
            assert_eq!((answer.status, answer.text()), (given, body), "{status} {target}");
            assert!(answer.complete);
        }
        assert!(gateway.end().await.iter().all(|record| record["outcome"] == "complete"));
    }
    for (status, given) in [("401 Unauthorized", 502), ("404 Not Found", 404)] {
        let (gateway, _upstream) =
            start(move |_| answer(status, &["Content-Type: application/json"], said, Framing::Length)).await;
        let answer = gateway.get("/customers/1", &[SALES]).await;
        assert_eq!(answer.status, given);
        assert!(!answer.text().contains("40013"));
    }
    // An answer that is none goes on as ever, however long it is.
    for count in [1, 3000] {
        let list = (0..count).map(|id| format!(r#"{{"id":{id},"owner_id":"li.na","phone":"13800138000"}}"#));
        let list = format!(r#"{{"errcode":0,"data":[{}]}}"#, list.collect::<Vec<_>>().join(","));
        let (gateway, _upstream) = start(move |_| json(&list)).await;
        let answer = gateway.get("/customers", &[SALES]).await;
        assert!(answer.complete && answer.text().matches("13800138000").count() == count);
    }
}
