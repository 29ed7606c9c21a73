//! What was delivered is what counts, however an answer ends, and what is written down about it holds no values.

use std::path::Path;

use crate::support::client::Raw;
use crate::support::gateway::{MANAGER, SALES, Setup};
use crate::support::upstream::{Act, Framing, Upstream, answer, json};

fn lines(count: usize) -> String {
    (0..count)
        .map(|id| format!("{{\"id\":{id},\"name\":\"{:0>100}\",\"secret\":\"CANARY\"}}\n", id))
        .collect()
}

const NDJSON: &str = "Content-Type: application/x-ndjson";
const LIMIT: &str = "limits:\n  - { name: a day, actions: [export], per: principal, records: 610/day }\n";

/// An upstream that sends 600 records, and then does this.
async fn breaking_off(then: Act) -> Upstream {
    Upstream::start(move |_| {
        let head = format!("HTTP/1.1 200 OK\r\n{NDJSON}\r\nContent-Length: 999999\r\n\r\n");
        vec![Act::Send(head.into_bytes()), Act::Send(lines(600).into_bytes()), then.clone()]
    })
    .await
}

/// Both requests of a day together got no more than the limit, and the first one's part was counted.
async fn holds_the_limit(upstream: Upstream, leave: bool) {
    let gateway = Setup::before(&upstream).policy(LIMIT).start().await;
    let mut raw = Raw::connect(gateway.address).await;
    if leave {
        raw.send(format!("GET /export HTTP/1.1\r\nHost: a\r\n{MANAGER}\r\n\r\n")).await;
        assert!(!raw.some().await.is_empty());
        drop(raw);
        tokio::time::timeout(std::time::Duration::from_secs(20), upstream.departure())
            .await
            .expect("it is left");
    } else {
        let got = raw.get("/export", &[MANAGER]).await;
        assert!(!got.complete && !got.holds("CANARY"));
    }
    let again = gateway.get("/export", &[MANAGER]).await;
    assert!(again.status == 429 || !again.complete);
    let records = gateway.end().await;
    let released: Vec<u64> = records.iter().map(|record| record["released"].as_u64().unwrap_or(0)).collect();
    assert_eq!(released.len(), 2, "one record each");
    assert!(released[0] > 0 && released[0] <= 600 && released.iter().sum::<u64>() <= 610, "{released:?}");
    assert_eq!(records[0]["outcome"], if leave { "aborted" } else { "cut" });
}

#[tokio::test]
async fn e06_what_was_delivered_before_the_caller_left_is_counted_and_recorded() {
    holds_the_limit(breaking_off(Act::Stall).await, true).await;
}

#[tokio::test]
async fn e07_what_was_delivered_before_the_upstream_failed_is_counted_once() {
    holds_the_limit(breaking_off(Act::Close).await, false).await;
    holds_the_limit(breaking_off(Act::Reset).await, false).await;
}

fn everything_below(dir: &Path) -> String {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.map(|path| String::from_utf8_lossy(&std::fs::read(path).expect("a file")).into_owned()).collect()
}

#[tokio::test]
async fn a09_no_credential_and_no_value_is_in_the_audit() {
    let upstream = Upstream::start(|_| {
        json(r#"{"data":{"id":1,"name":"VALUE-1","owner_id":"li.na","phone":"13800001111","secret":"VALUE-2"}}"#)
    })
    .await;
    let gateway = Setup::before(&upstream).start().await;
    let dir = gateway.dir().join("audit");
    assert_ne!(gateway.get("/customers/1?token=VALUE-3", &[SALES]).await.status, 200);
    assert_eq!(
        gateway.get("/customers/1", &[SALES, "Cookie: VALUE-4", "X-Extra: VALUE-5"]).await.status,
        200
    );
    let kind = "Content-Type: application/json";
    let body = Some(r#"{"phone":"13900002222","tags":["VALUE-6"]}"#);
    assert_eq!(gateway.request("PUT", "/customers/1", &[SALES, kind], body).await.status, 200);
    gateway.get("/customers?name=VALUE-7", &[MANAGER]).await;
    gateway.get("/customers/1", &["Authorization: Bearer VALUE-8"]).await;
    let kept = dir.clone();
    // The files go with the gateway, so they are read while it runs; its last record is awaited by asking for one more.
    gateway.get("/customers/1", &[SALES]).await;
    let text = everything_below(&kept);
    assert!(text.contains("li.na") && !text.contains("VALUE-"), "{text}");
    for value in ["13800001111", "13900002222", "sales-key-000000", "manager-key-0000"] {
        assert!(!text.contains(value), "{value}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a13_only_the_gateways_own_user_reads_the_audit() {
    use std::os::unix::fs::PermissionsExt as _;
    let upstream = Upstream::start(|_| json(r#"{"data":{"id":1,"owner_id":"li.na"}}"#)).await;
    let gateway = Setup::before(&upstream).start().await;
    gateway.get("/customers/1", &[SALES]).await;
    for entry in std::fs::read_dir(gateway.dir().join("audit")).expect("a directory") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("its mode").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", entry.path().display());
    }
    for page in ["/audit", "/audit/0.jsonl", "/records"] {
        assert_eq!(gateway.admin(page).await.status, 404, "{page}");
    }
}

#[tokio::test]
async fn q12_a_question_about_what_is_hidden_is_refused_before_anything_is_asked() {
    let upstream = Upstream::start(|_| answer("200 OK", &[], b"", Framing::Length)).await;
    let gateway = Setup::before(&upstream).start().await;
    let mut answers = Vec::new();
    // 100 pairs: hidden values that are there, that are not, and fields that nobody has.
    for index in 0..100 {
        for target in [format!("/customers?credit_limit={index}"), format!("/customers?nosuch_limit={index}")]
        {
            let got = gateway.get(&target, &[SALES]).await;
            let id = got.header("x-request-id").expect("an id").to_owned();
            answers.push((
                got.status,
                got.text().replace(&id, "").replace("nosuch_limit", "credit_limit"),
                got.headers.len(),
            ));
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    // No time of the upstream's, which knows the data, is in any of them.
    assert!(upstream.received().is_empty());
}
