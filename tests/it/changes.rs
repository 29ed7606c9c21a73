//! Time and changes: what a right is worth once it has ended, on connections and answers that go on (threats T).

use std::time::Duration;

use fieldgate::app::Why;
use fieldgate::base::ManualClock;
use serde_json::json;

use crate::support::client::Raw;
use crate::support::gateway::{FINANCE, Gateway, MANAGER, POLICY, SALES, Setup};
use crate::support::upstream::{self, Act, Gate, Upstream, chunks};

const ONE: &str = r#"{"data":{"id":1,"name":"Ada","owner_id":"li.na","phone":"13800138000"}}"#;

/// An upstream whose list comes in two parts, the second when the gate opens.
async fn list_in_two_parts(gate: &Gate) -> Upstream {
    let waiting = gate.clone();
    Upstream::start(move |_| {
        let record = |id: usize| {
            let filler = "x".repeat(3000);
            format!(r#"{{"id":{id},"owner_id":"li.na","phone":"13800138000","name":"{filler}"}}"#)
        };
        let list = (0..200).map(record).collect::<Vec<_>>().join(",");
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let first = [head.as_bytes(), &chunks(format!(r#"{{"data":[{list}"#).as_bytes(), 1 << 14)].concat();
        let second =
            [chunks(format!(",{}]}}", record(200)).as_bytes(), 1 << 14), b"0\r\n\r\n".to_vec()].concat();
        vec![Act::Send(first), Act::Wait(waiting.clone()), Act::Send(second)]
    })
    .await
}

/// Asks for the list and reads some of it.
async fn begin(gateway: &Gateway, who: &str) -> (Raw, Vec<u8>) {
    let mut raw = gateway.connect().await;
    raw.send(format!("GET /customers HTTP/1.1\r\nHost: a\r\n{who}\r\nConnection: close\r\n\r\n")).await;
    let begun = raw.some().await;
    assert!(begun.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&begun));
    (raw, begun)
}

async fn change(gateway: &Gateway, policy: &str) {
    gateway.write_policy(policy);
    gateway.reloader.reload(Why::Changed).await.unwrap_or_else(|report| panic!("{}", report.to_text(false)));
}

/// Lets the rest come. Whether the answer came to its end; all of its text.
async fn finish(gate: &Gate, raw: (Raw, Vec<u8>)) -> (bool, String) {
    let (mut raw, mut all) = raw;
    gate.open();
    all.extend(raw.rest().await);
    (all.ends_with(b"0\r\n\r\n"), String::from_utf8_lossy(&all).into_owned())
}

#[tokio::test]
async fn t01_a_grant_that_expires_in_the_middle_ends_the_answer() {
    for terms in ["expires: \"2026-11-20T05:00:00Z\"", "hours: \"mon-fri 09:00-13:00 Asia/Shanghai\""] {
        let gate = Gate::closed();
        let upstream = list_in_two_parts(&gate).await;
        let clock = ManualClock::at("2026-11-20T04:59:55Z".parse().unwrap());
        let gateway = Setup::before(&upstream).clock(clock.clone()).start().await;
        let bound = POLICY.replace(
            "{ role: finance, groups: [finance] }",
            &format!("{{ role: finance, groups: [finance], {terms} }}"),
        );
        change(&gateway, &bound).await;
        let (ends, lasts) = (begin(&gateway, FINANCE).await, begin(&gateway, MANAGER).await);
        clock.advance(Duration::from_secs(6));
        gate.open();
        let (whole, text) = finish(&gate, ends).await;
        assert!(!whole && !text.contains("\"id\":200"), "{terms}");
        let (whole, text) = finish(&gate, lasts).await;
        assert!(whole && text.contains("\"id\":200"), "somebody else's answer goes on");
        assert_eq!(gateway.get("/customers", &[FINANCE]).await.status, 403);
        let records = gateway.end().await;
        let cut = records.iter().find(|record| record["outcome"] == "cut").expect("its record");
        assert_eq!(cut["reason"], "the right it was begun under has ended");
    }
}

#[tokio::test]
async fn t02_a_role_that_is_taken_away_is_gone_on_the_next_request_of_a_connection() {
    let upstream = Upstream::start(|_| upstream::json(ONE)).await;
    let gateway = Setup::before(&upstream).start().await;
    let mut raw = gateway.connect().await;
    assert_eq!(raw.get("/customers/1", &[FINANCE]).await.status, 200);
    change(
        &gateway,
        &POLICY.replace("{ role: finance, groups: [finance] }", "{ role: finance, groups: [others] }"),
    )
    .await;
    assert_eq!(raw.get("/customers/1", &[FINANCE]).await.status, 403);
    assert_eq!(raw.get("/customers/1", &[SALES]).await.status, 200);
    assert_eq!(upstream.received().len(), 2);
}

#[tokio::test]
async fn t03_a_changed_policy_ends_the_answers_that_it_changes() {
    let changes = [
        ("a tighter mask", "{ first: 3, last: 4 }", "{ first: 0, last: 2 }", false),
        ("less shown", "show: [public, financial], mask", "show: [financial], mask", false),
        ("no role", "groups: [finance]", "groups: [others]", false),
        ("no route", "match: GET /customers\n", "match: GET /clients\n", false),
        ("somebody else's rights", "edit: [phone, tags]", "edit: [tags]", true),
    ];
    for (what, from, to, goes_on) in changes {
        let gate = Gate::closed();
        let gateway = Setup::before(&list_in_two_parts(&gate).await).start().await;
        let version = gateway.admin("/ready").await.json()["policy"]["version"].clone();
        let begun = begin(&gateway, FINANCE).await;
        change(&gateway, &POLICY.replace(from, to)).await;
        let (whole, text) = finish(&gate, begun).await;
        assert_eq!((whole, text.contains("\"id\":200")), (goes_on, goes_on), "{what}");
        assert!(
            text.contains("138****8000") && !text.contains("*********00"),
            "{what}: one answer, one policy"
        );
        let records = gateway.end().await;
        assert_eq!(
            records[0]["policy_version"], version,
            "{what}: the record names the policy it began with"
        );
        assert_eq!(records[0]["outcome"], if goes_on { "complete" } else { "cut" }, "{what}");
    }
}

#[tokio::test]
async fn t09_no_decision_outlives_the_policy_it_was_made_by() {
    let upstream = Upstream::start(|_| upstream::json(ONE)).await;
    let gateway = Setup::before(&upstream).start().await;
    for (first, last, phone) in
        [(0, 2, "*********00"), (3, 4, "138****8000"), (1, 1, "1*********0"), (3, 4, "138****8000")]
    {
        change(
            &gateway,
            &POLICY.replace("{ first: 3, last: 4 }", &format!("{{ first: {first}, last: {last} }}")),
        )
        .await;
        let answer = gateway.get("/customers/1", &[FINANCE]).await.json();
        assert_eq!(answer["data"]["phone"], phone);
    }
}

#[tokio::test]
async fn t08_a_field_that_appears_in_the_upstream_is_hidden_and_reported() {
    let drifted = ONE.replace("\"phone\"", "\"new_field\":\"13900139000\",\"phone\"");
    let upstream = Upstream::start(move |_| upstream::json(&drifted)).await;
    let gateway = Setup::before(&upstream).start().await;
    let answer = gateway.get("/customers/1", &[MANAGER]).await;
    assert_eq!(answer.json(), serde_json::from_str::<serde_json::Value>(ONE).unwrap());
    assert_eq!(gateway.metric("fieldgate_unknown_fields_total", "customer").await, 1.0);
    let records = gateway.end().await;
    assert_eq!(records[0]["unknown_fields"], json!(["new_field"]), "{}", records[0]);
}
