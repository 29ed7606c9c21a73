//! What operators see: every metric there is says something once the thing it counts has happened.

use std::collections::BTreeMap;

use fieldgate::telemetry::names;
use serde_json::json;

use crate::support::gateway::{FINANCE, Gateway, MANAGER, POLICY, SALES, Setup};
use crate::support::upstream::{Act, Framing, Gate, Received, Upstream, answer, json as json_answer};

/// Families that nothing a caller or an upstream does can raise; the tests that do are named.
const RAISED_ELSEWHERE: &[&str] = &[
    "fieldgate_audit_failures_total", // disk::a07_…
    "fieldgate_audit_queued_records", // the audit's own tests; 0 between writes
    "fieldgate_audit_acts_waiting",   // the tests of the outbox; 0 soon after
    "fieldgate_frozen_principals",    // freezes::t05_…, as the next two
    "fieldgate_frozen_refusals_total",
    "fieldgate_limit_freezes_total",
    "fieldgate_key_set_fetches_total",           // the tests of token issuers
    "fieldgate_limit_failures_total",            // a store that fails
    "fieldgate_audit_suppressed_total",          // the last test of this file
    "fieldgate_identity_questions_total",        // the tests of introspection and vendor tokens
    "fieldgate_upstream_breaker_openings_total", // the upstream's own tests, as the next two
    "fieldgate_upstream_credential_renewals_total",
    "fieldgate_upstream_retries_total",
    "fieldgate_upstream_hosts_available", // these three are looked at once a second
    "fieldgate_upstream_requests_in_flight",
    "fieldgate_upstream_requests_pending",
    "fieldgate_shadow_decisions_total", // shadow::…, as the next two
    "fieldgate_shadow_fields_total",
    "fieldgate_shadow_policy_info",
    "fieldgate_log_lines_dropped_total", // telemetry's own tests: a target that blocks
];

const LIMITS: &str = r#"
limits:
  - { name: pace, roles: [finance], per: principal, requests: 3/hour }
  - { name: watch, roles: [manager], per: principal, requests: 1/hour, on_exceed: warn }
"#;

fn crm(request: &Received, gate: &Gate) -> Vec<Act> {
    let kind = ["Content-Type: application/json"];
    match request.target.as_str() {
        "/customers/1" => json_answer(r#"{"data":{"id":1,"owner_id":"li.na","name":"Ada","odd":1}}"#),
        "/customers/2" => vec![Act::Close],
        "/customers/3" => [vec![Act::Wait(gate.clone())], json_answer(r#"{"data":{"id":3}}"#)].concat(),
        "/export" => {
            let lines: String =
                (0..3000).map(|id| format!("{{\"id\":{id},\"name\":\"{}\"}}\n", "n".repeat(99))).collect();
            let body = lines + "{broken";
            answer(
                "200 OK",
                &["Content-Type: application/x-ndjson"],
                body.as_bytes(),
                Framing::Chunked(1 << 14),
            )
        }
        "/healthz" => answer("200 OK", &["Content-Type: text/plain"], b"fine", Framing::Length),
        _ => answer(
            "200 OK",
            &kind,
            br#"{"data":[{"id":1,"owner_id":"li.na","phone":"13800138000"},{"id":2,"owner_id":"xu.lan"}]}"#,
            Framing::Chunked(7),
        ),
    }
}

/// The largest value of every family.
async fn families(gateway: &Gateway) -> BTreeMap<String, f64> {
    let page = gateway.admin("/metrics").await;
    let mut seen = BTreeMap::<String, f64>::new();
    for line in page.text().lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').expect("a sample");
        let name = series.split('{').next().expect("a name");
        let name = name.strip_suffix("_count").unwrap_or(name).to_owned();
        let value: f64 = value.parse().expect("a number");
        seen.entry(name).and_modify(|most| *most = most.max(value)).or_insert(value);
    }
    seen
}

#[tokio::test]
async fn every_metric_is_fed_by_what_it_counts() {
    let gate = Gate::closed();
    let inside = gate.clone();
    let upstream = Upstream::start(move |request| crm(request, &inside)).await;
    let gateway = Setup::before(&upstream).policy(LIMITS).config("").start().await;
    let kind = "Content-Type: application/json";

    assert_eq!(gateway.get("/healthz", &[]).await.status, 200);
    assert_eq!(gateway.get("/customers", &[]).await.status, 401);
    assert_eq!(gateway.get("/customers", &[SALES]).await.status, 200);
    assert_eq!(gateway.get("/customers", &[FINANCE]).await.status, 200);
    assert_eq!(gateway.get("/export", &[FINANCE]).await.status, 403);
    assert!(!gateway.get("/export", &[MANAGER]).await.complete);
    assert_eq!(gateway.get("/customers/2", &[SALES]).await.status, 502);
    let put = gateway.request("PUT", "/customers/1", &[MANAGER, kind], Some(r#"{"name":"Bo"}"#)).await;
    assert_eq!(put.status, 200, "{}", put.text());
    for _ in 0..3 {
        gateway.get("/customers/1", &[FINANCE]).await;
    }
    assert_eq!(gateway.get("/customers/1", &[FINANCE]).await.status, 429);
    gateway.connect().await.send("GET / HTTP/1.1\r\n\r\n").await;
    gateway.write_policy(&POLICY.replace("mask: { phone: phone }", "mask: { phone: fone }"));
    gateway.reloader.reload(fieldgate::app::Why::Asked).await.expect_err("it is no policy");
    gateway.write_policy(POLICY);
    gateway.reloader.reload(fieldgate::app::Why::Asked).await.unwrap_or_else(|_| panic!("it is one"));

    // One that goes away, while it is waited for.
    let mut waiting = gateway.connect().await;
    waiting.send(format!("GET /customers/3 HTTP/1.1\r\nHost: a\r\n{MANAGER}\r\n\r\n")).await;
    while upstream.received().iter().all(|request| request.target != "/customers/3") {
        upstream.arrival().await;
    }
    let during = families(&gateway).await;
    assert_eq!(during["fieldgate_requests_in_flight"], 1.0);
    drop(waiting);
    while families(&gateway).await["fieldgate_streams_aborted_total"] == 0.0 {
        tokio::task::yield_now().await;
    }

    let seen = families(&gateway).await;
    for metric in names::ALL {
        let fed = seen.get(metric.name).is_some_and(|value| *value > 0.0);
        let fed = fed || during.get(metric.name).is_some_and(|value| *value > 0.0);
        assert!(fed || RAISED_ELSEWHERE.contains(&metric.name), "`{}` is never fed", metric.name);
    }
    for name in names::PROCESS {
        assert!(seen.contains_key(*name), "`{name}` is missing");
    }
}

#[tokio::test]
async fn body_bytes_are_counted_on_both_sides_and_recorded() {
    let upstream =
        Upstream::start(|_| json_answer(r#"{"data":{"id":1,"name":"Ada","odd":"0123456789"}}"#)).await;
    let gateway = Setup::before(&upstream).start().await;
    let kind = "Content-Type: application/json";
    let put = gateway.request("PUT", "/customers/1", &[MANAGER, kind], Some(r#" {"name" : "Bo"} "#)).await;
    assert_eq!(put.text(), r#"{"data":{"id":1,"name":"Ada"}}"#);
    let sent = upstream.only_request().body.len();
    let refused = gateway.request("POST", "/healthz", &[], Some("0123456789")).await;
    assert_eq!(refused.status, 401, "the route is public for GET only");
    let bytes = async |name: &str, side: &str| gateway.metric(name, side).await;
    assert_eq!(bytes("fieldgate_received_bytes_total", "downstream").await, 17.0);
    assert_eq!(bytes("fieldgate_sent_bytes_total", "upstream").await, sent as f64);
    assert_eq!(bytes("fieldgate_received_bytes_total", "upstream").await, 49.0);
    assert_eq!(
        bytes("fieldgate_sent_bytes_total", "downstream").await,
        (put.body.len() + refused.body.len()) as f64
    );
    assert_eq!(gateway.metric("fieldgate_upstream_duration_seconds_count", "crm").await, 1.0);
    let records = gateway.end().await;
    assert_eq!(
        (&records[0]["bytes_received"], &records[0]["bytes_sent"]),
        (&json!(17), &json!(put.body.len()))
    );
}

#[tokio::test]
async fn more_requests_than_can_be_recorded_are_refused_and_counted() {
    let gate = Gate::closed();
    let inside = gate.clone();
    let upstream = Upstream::start(move |request| crm(request, &inside)).await;
    let gateway = Setup::before(&upstream).audit("max_in_flight: 1").start().await;
    let mut first = gateway.connect().await;
    first.send(format!("GET /customers/3 HTTP/1.1\r\nHost: a\r\n{MANAGER}\r\n\r\n")).await;
    upstream.arrival().await;
    let second = gateway.get("/customers/1", &[SALES]).await;
    assert_eq!((second.status, second.header("retry-after")), (503, Some("1")));
    assert_eq!(gateway.metric("fieldgate_audit_suppressed_total", "").await, 1.0);
    gate.open();
    assert_eq!(first.answer(false).await.expect("an answer").status, 200);
    assert_eq!(upstream.received().len(), 1);
}
