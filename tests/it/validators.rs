//! Entity tags through the gateway: optimistic locking works, and no tag tells of what a caller does not see.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::gateway::{FINANCE, Gateway, MANAGER, SALES, Setup};
use crate::support::upstream::{Act, Framing, Received, Upstream, answer};

/// A system with one record, which keeps the conditions of RFC 9110 section 13 and counts versions in its tags.
async fn versioned() -> (Upstream, Arc<AtomicU32>) {
    let version = Arc::new(AtomicU32::new(1));
    let (counted, secret) = (Arc::clone(&version), "CANARY");
    let upstream = Upstream::start(move |request: &Received| {
        let tag = format!("\"{secret}-v{}\"", counted.load(Ordering::SeqCst));
        let holds = |name: &str| request.header(name).map(|list| list == "*" || list.contains(&tag));
        if holds("if-match") == Some(false) {
            return answer("412 Precondition Failed", &[], b"CANARY", Framing::Length);
        }
        let change = request.method == "PUT";
        if holds("if-none-match") == Some(true) {
            let status = if change { "412 Precondition Failed" } else { "304 Not Modified" };
            let head = format!("HTTP/1.1 {status}\r\nETag: {tag}\r\nContent-Length: 0\r\n\r\n");
            return vec![Act::Send(head.into_bytes())];
        }
        let tag = match change {
            true => format!("\"{secret}-v{}\"", counted.fetch_add(1, Ordering::SeqCst) + 1),
            false => tag,
        };
        let body =
            br#"{"data":{"id":1,"name":"Ada","owner_id":"li.na","phone":"13800000001","credit_limit":"9"}}"#;
        answer("200 OK", &["Content-Type: application/json", &format!("ETag: {tag}")], body, Framing::Length)
    })
    .await;
    (upstream, version)
}

async fn started() -> (Upstream, Arc<AtomicU32>, Gateway) {
    let (upstream, version) = versioned().await;
    let gateway = Setup::before(&upstream).start().await;
    (upstream, version, gateway)
}

async fn tag(gateway: &Gateway, who: &str) -> String {
    let got = gateway.get("/customers/1", &[who]).await;
    assert!(got.status == 200 && !got.holds("CANARY"), "{}", got.text());
    got.header("etag").expect("a tag").to_owned()
}

const CHANGE: Option<&str> = Some(r#"{"phone":"13900000002"}"#);

async fn put(gateway: &Gateway, who: &str, condition: &str) -> u16 {
    let kind = "Content-Type: application/json";
    let got = gateway.request("PUT", "/customers/1", &[who, kind, condition], CHANGE).await;
    assert!(!got.holds("CANARY"));
    got.status
}

#[tokio::test]
async fn r16_optimistic_locking_works_through_tokens() {
    let (upstream, version, gateway) = started().await;
    let mine = tag(&gateway, MANAGER).await;
    let theirs = tag(&gateway, MANAGER).await;
    assert_eq!(mine, theirs, "nothing has changed");
    assert_eq!(put(&gateway, MANAGER, &format!("If-Match: {mine}")).await, 200);
    assert_eq!(upstream.received().last().unwrap().header("if-match"), Some("\"CANARY-v1\""));
    assert_eq!(put(&gateway, MANAGER, &format!("If-Match: {theirs}")).await, 412, "somebody was first");
    assert_eq!(version.load(Ordering::SeqCst), 2, "one change was made");
    assert_ne!(tag(&gateway, MANAGER).await, mine);
    assert_eq!(put(&gateway, MANAGER, "If-Match: *").await, 200);
    assert_eq!(put(&gateway, MANAGER, "If-None-Match: *").await, 412);
    assert_eq!(version.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn r16_what_is_not_the_callers_own_token_never_reaches_the_upstream() {
    let (upstream, version, gateway) = started().await;
    let (sales, manager, finance) =
        (tag(&gateway, SALES).await, tag(&gateway, MANAGER).await, tag(&gateway, FINANCE).await);
    assert!(sales != manager && manager != finance && sales != finance, "each has its own");
    let before = upstream.received().len();
    let forged = manager.replace(char::is_alphanumeric, "A");
    for tag in [&sales, &finance, &forged, "\"CANARY-v1\"", "W/\"CANARY-v1\"", "CANARY-v1", "\"\""] {
        assert_eq!(put(&gateway, MANAGER, &format!("If-Match: {tag}")).await, 412, "{tag}");
        assert_eq!(put(&gateway, MANAGER, &format!("If-None-Match: {tag}")).await, 412, "{tag}");
    }
    assert_eq!(upstream.received().len(), before, "none of them was sent on");
    for tag in [&sales, &finance, &forged, "\"CANARY-v1\"", "*"] {
        let got = gateway.get("/customers/1", &[MANAGER, &format!("If-None-Match: {tag}")]).await;
        assert_eq!((got.status, got.header("etag")), (200, Some(manager.as_str())), "{tag}");
    }
    assert!(upstream.received().iter().all(|request| request.header("if-none-match").is_none()));
    assert_eq!(version.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn r16_nothing_has_changed_for_the_same_view_only() {
    let (upstream, version, gateway) = started().await;
    let before = tag(&gateway, SALES).await;
    let condition = format!("If-None-Match: {before}");
    let got = gateway.get("/customers/1", &[SALES, &condition]).await;
    assert_eq!((got.status, got.header("etag"), got.body.len()), (304, Some(before.as_str()), 0));
    let mut raw = gateway.connect().await;
    let head = raw.request("HEAD", "/customers/1", &[SALES, &condition], None).await;
    assert_eq!(head.status, 304);
    // The date does not count beside a tag, whether or not the tag is understood.
    let dated = ["If-Modified-Since: Sat, 21 Nov 2026 00:00:00 GMT", "If-None-Match: \"x\"", SALES];
    assert_eq!(gateway.get("/customers/1", &dated).await.status, 200);
    assert_eq!(upstream.received().last().unwrap().header("if-modified-since"), None);

    let text = std::fs::read_to_string(gateway.dir().join("policies/crm.yaml")).unwrap();
    let narrower =
        text.replacen("show: [public, contact], edit: [phone, tags]", "show: [public], edit: [tags]", 1);
    assert_ne!(narrower, text);
    gateway.write_policy(&narrower);
    gateway.reloader.reload(fieldgate::app::Why::Asked).await.expect("a good policy");
    let got = gateway.get("/customers/1", &[SALES, &condition]).await;
    assert!(got.status == 200 && !got.holds("13800000001"), "the view has changed");
    let after = got.header("etag").unwrap().to_owned();
    assert_ne!(after, before);
    let condition = format!("If-None-Match: {after}");
    assert_eq!(gateway.get("/customers/1", &[SALES, &condition]).await.status, 304, "a reload keeps the key");
    version.store(7, Ordering::SeqCst);
    assert_eq!(gateway.get("/customers/1", &[SALES, &condition]).await.status, 200);
}

#[tokio::test]
async fn e13_an_answer_304_is_counted_like_any_other() {
    let (_upstream, _version, gateway) = started().await;
    let given = tag(&gateway, MANAGER).await;
    let condition = format!("If-None-Match: {given}");
    for _ in 0..3 {
        assert_eq!(gateway.get("/customers/1", &[MANAGER, &condition]).await.status, 304);
    }
    let records = gateway.end().await;
    assert_eq!(records.len(), 4);
    assert!(records.iter().skip(1).all(|record| record["status"] == 304 && record["released"] == 0));
}

#[tokio::test]
async fn tokens_outlive_the_gateway_where_it_has_a_key_and_an_exchange_of_it() {
    let (upstream, _version) = versioned().await;
    let with = async |sealing: &str| {
        let setup = Setup::before(&upstream).config(&format!("sealing: {{ {sealing} }}\n"));
        setup
            .start_with(|dir| {
                for (name, letter) in [("one", "1"), ("two", "2")] {
                    std::fs::write(dir.join(name), letter.repeat(40)).unwrap();
                }
            })
            .await
    };
    let given = tag(&with("key: { file: one }").await, MANAGER).await;
    assert_eq!(tag(&with("key: { file: one }").await, MANAGER).await, given);
    let exchanged = with("key: { file: two }, previous_key: { file: one }").await;
    assert_ne!(tag(&exchanged, MANAGER).await, given);
    assert_eq!(put(&exchanged, MANAGER, &format!("If-Match: {given}")).await, 200);
    let other = with("key: { file: two }").await;
    assert_eq!(put(&other, MANAGER, &format!("If-Match: {given}")).await, 412);
}

#[tokio::test]
async fn where_tags_are_withheld_a_precondition_is_refused() {
    let (upstream, _version) = versioned().await;
    let gateway = Setup::before(&upstream).api("etags: withheld").start().await;
    let got = gateway.get("/customers/1", &[MANAGER]).await;
    assert!(got.status == 200 && got.header("etag").is_none());
    assert_eq!(put(&gateway, MANAGER, "If-Match: *").await, 412);
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test]
async fn r16_two_tags_or_none_are_no_tag() {
    let json = "Content-Type: application/json";
    let body = br#"{"data":{"id":1,"owner_id":"li.na"}}"#;
    for tags in [
        &["ETag: \"CANARY\"", "ETag: \"CANARY\""][..],
        &["ETag: CANARY"],
        &["ETag: \"CAN ARY\""],
        &["ETag: "],
    ] {
        let lines = [&[json], tags].concat();
        let upstream = Upstream::start(move |_| answer("200 OK", &lines, body, Framing::Length)).await;
        let gateway = Setup::before(&upstream).start().await;
        let got = gateway.get("/customers/1", &[SALES]).await;
        assert_eq!((got.status, got.header("etag")), (200, None), "{tags:?}");
    }
}
