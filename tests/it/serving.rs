//! The main job, end to end: the same answers through different eyes.

use serde_json::json;

use crate::support::gateway::{FINANCE, MANAGER, NOBODY, POLICY, SALES, Setup};
use crate::support::pki::Authority;
use crate::support::upstream::{self, Act, Framing, Received, Upstream, answer};

const CUSTOMERS: &str = r#"{"data":[
 {"id":1,"name":"王芳","owner_id":"li.na","phone":"13800138000","email":"w@a.cn","credit_limit":12345678901234567890,"tags":[],"secret":1},
 {"id":2,"name":"Ada","owner_id":"xu.lan","phone":"13900139000","email":"a@b.cn","credit_limit":1.50,"tags":["vip"]}
],"page":1,"total":2,"debug":"phone=13800138000"}"#;

const ONE: &str =
    r#"{"data":{"id":1,"name":"Ada","owner_id":"li.na","phone":"13800138000","credit_limit":5}}"#;
const FOREIGN: &str =
    r#"{"data":{"id":2,"name":"Bob","owner_id":"xu.lan","phone":"13900139000","credit_limit":6}}"#;

/// A CRM with two customers, the first of them Li Na's.
fn crm(request: &Received) -> Vec<Act> {
    match (request.method.as_str(), request.target.as_str()) {
        ("GET", target) if target.starts_with("/customers?") => upstream::json(CUSTOMERS),
        ("GET", "/customers") => upstream::json(CUSTOMERS),
        ("GET" | "PUT", "/customers/1") => upstream::json(ONE),
        ("GET" | "PUT", "/customers/2") => upstream::json(FOREIGN),
        ("POST", "/customers") => upstream::json(ONE),
        ("DELETE", "/customers/1") => answer("204 No Content", &[], b"", Framing::Length),
        ("GET", "/healthz") => answer("200 OK", &["Content-Type: text/plain"], b"fine", Framing::Length),
        _ => answer("404 Not Found", &["Content-Type: text/plain"], b"no such customer", Framing::Length),
    }
}

#[tokio::test]
async fn the_same_list_is_seen_through_different_eyes() {
    let upstream = Upstream::start(crm).await;
    let gateway = Setup::before(&upstream).start().await;

    let sales = gateway.get("/customers", &[SALES]).await;
    assert_eq!(sales.status, 200);
    assert_eq!(
        sales.json(),
        json!({
            "data": [{ "id": 1, "name": "王芳", "owner_id": "li.na", "phone": "13800138000", "email": "w@a.cn", "tags": [] }],
            "page": 1,
            "total": 1,
        })
    );

    let finance = gateway.get("/customers", &[FINANCE]).await;
    assert_eq!(finance.json()["data"][0]["phone"], "138****8000");
    assert_eq!(finance.json()["data"][0].get("email"), None);
    assert!(finance.holds("12345678901234567890") && finance.holds("1.50"), "numbers keep their digits");
    assert_eq!(finance.json()["total"], 2);

    let manager = gateway.get("/customers", &[MANAGER]).await;
    assert_eq!(manager.json()["data"].as_array().unwrap().len(), 2);
    assert!(!manager.holds("secret") && !manager.holds("debug"), "what nobody labelled is hidden");

    let records = gateway.end().await;
    assert_eq!(records.len(), 3);
    assert_eq!(records[0]["principal"]["id"], "li.na");
    assert_eq!((&records[0]["released"], &records[0]["withheld"]), (&json!(1), &json!(1)));
    assert_eq!(records[0]["outcome"], "complete");
    assert!(
        !records.iter().any(|record| record.to_string().contains("13800138000")),
        "no values in the audit"
    );
}

#[tokio::test]
async fn nobody_gets_anything_and_learns_nothing_about_routes() {
    let upstream = Upstream::start(crm).await;
    let gateway = Setup::before(&upstream).start().await;
    for target in ["/customers", "/customers/1", "/no/such/route"] {
        let answer = gateway.get(target, &[]).await;
        assert_eq!(answer.status, 401, "{target}");
        assert!(answer.header("www-authenticate").is_some());
        assert_eq!(gateway.get(target, &["Authorization: Bearer wrong-key-00000000"]).await.status, 401);
        assert_eq!(gateway.get(target, &[SALES, FINANCE]).await.status, 401, "two credentials are none");
    }
    let denied = gateway.get("/customers", &[NOBODY]).await;
    assert_eq!(denied.status, 403);
    assert!(!denied.holds("customer"), "the reason stays inside: {}", denied.text());
    assert!(upstream.received().is_empty(), "no permit, no upstream call");
    assert_eq!(gateway.end().await.len(), 10);
}

#[tokio::test]
async fn a_record_of_somebody_else_does_not_exist() {
    let upstream = Upstream::start(crm).await;
    let gateway = Setup::before(&upstream).start().await;
    assert_eq!(gateway.get("/customers/1", &[SALES]).await.status, 200);
    let foreign = gateway.get("/customers/2", &[SALES]).await;
    let absent = gateway.get("/customers/3", &[SALES]).await;
    assert_eq!((foreign.status, absent.status), (404, 404));
    let message = |answer: &crate::support::client::Answer| {
        (answer.json()["error"]["code"].clone(), answer.json()["error"]["message"].clone())
    };
    assert_eq!(message(&foreign), message(&absent));
    assert_eq!(foreign.body.len(), absent.body.len());
    assert!(!absent.holds("no such customer"), "the upstream's error text stays inside");
    let names = |answer: &crate::support::client::Answer| {
        answer.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&foreign), names(&absent));
}

#[tokio::test]
async fn writes_touch_only_what_may_be_edited() {
    let upstream = Upstream::start(crm).await;
    let gateway = Setup::before(&upstream).start().await;
    let put = async |target: &str, who: &str, body: &str| {
        gateway.request("PUT", target, &[who, "Content-Type: application/json"], Some(body)).await
    };

    let good = put("/customers/1", SALES, r#"{"phone":"13811111111"}"#).await;
    assert_eq!(good.status, 200, "{}", good.text());
    let sent = upstream.received().pop().unwrap();
    assert_eq!((sent.method.as_str(), sent.text()), ("PUT", r#"{"phone":"13811111111"}"#));
    assert!(sent.header("authorization").is_none(), "a caller's credential does not go on");

    let seen = upstream.received().len();
    let uneditable = put("/customers/1", SALES, r#"{"name":"X"}"#).await;
    assert_eq!(uneditable.status, 403);
    assert!(uneditable.holds("name"));
    let foreign = put("/customers/2", SALES, r#"{"phone":"13811111111"}"#).await;
    assert_eq!(foreign.status, 404, "{}", foreign.text());
    let finance = put("/customers/1", FINANCE, r#"{"phone":"138****8000"}"#).await;
    assert_eq!(finance.status, 403);
    let puts = upstream.received().iter().skip(seen).filter(|request| request.method == "PUT").count();
    assert_eq!(puts, 0, "refused writes never reach the upstream");

    let deleted = gateway.request("DELETE", "/customers/1", &[MANAGER], None).await;
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    assert_eq!(gateway.request("DELETE", "/customers/1", &[SALES], None).await.status, 403);
}

#[tokio::test]
async fn hidden_fields_cannot_be_asked_about() {
    let upstream = Upstream::start(crm).await;
    let gateway = Setup::before(&upstream).start().await;
    assert_eq!(gateway.get("/customers?phone=13800138000", &[MANAGER]).await.status, 200);
    let hidden = gateway.get("/customers?phone=13800138000", &[FINANCE]).await;
    let sorted = gateway.get("/customers?order_by=phone", &[FINANCE]).await;
    let unknown = gateway.get("/customers?nonsense=1", &[FINANCE]).await;
    assert_eq!((hidden.status, sorted.status, unknown.status), (403, 403, 403));
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test]
async fn a_head_is_a_get_without_its_body_and_without_a_length_that_tells() {
    let upstream = Upstream::start(crm).await;
    let gateway = Setup::before(&upstream).start().await;
    let head = gateway.request("HEAD", "/customers", &[SALES], None).await;
    let get = gateway.get("/customers", &[SALES]).await;
    assert_eq!((head.status, get.status), (200, 200));
    if let Some(length) = head.header("content-length") {
        assert_eq!(length, get.body.len().to_string(), "only the length of what is released may show");
    }
    assert_eq!(gateway.request("HEAD", "/customers/2", &[SALES], None).await.status, 404);
}

#[tokio::test]
async fn a_public_route_passes_untouched_and_anonymously() {
    let upstream = Upstream::start(crm).await;
    let gateway = Setup::before(&upstream).start().await;
    let page = gateway.get("/healthz", &[]).await;
    assert_eq!((page.status, page.text()), (200, "fine"));
    assert_eq!(gateway.request("POST", "/healthz", &[SALES], Some("x")).await.status, 404);
    let records = gateway.end().await;
    assert_eq!(records.len(), 2);
    assert_eq!(records[0]["outcome"], "complete");
}

#[tokio::test]
async fn methods_that_open_tunnels_or_echo_are_refused() {
    let upstream = Upstream::start(crm).await;
    let gateway = Setup::before(&upstream).start().await;
    let trace = gateway.request("TRACE", "/customers", &[SALES, "X-Secret: echo"], None).await;
    assert_eq!(trace.status, 501);
    assert!(!trace.holds("echo"));
    let mut raw = gateway.connect().await;
    raw.send("CONNECT internal:22 HTTP/1.1\r\nHost: internal:22\r\n\r\n").await;
    assert_eq!(raw.answer(false).await.unwrap().status, 501);
    let upgrade = gateway
        .get("/customers", &[SALES, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"])
        .await;
    assert_eq!(upgrade.status, 400, "{}", upgrade.text());
    assert_eq!(gateway.request("PATCH", "/customers", &[SALES], None).await.status, 404);
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn limits_answer_429_with_when_to_come_back() {
    let upstream = Upstream::start(crm).await;
    let limits = "limits:\n  - { name: clicks, per: principal, requests: 2/hour }\n";
    let gateway = Setup::before(&upstream).policy(limits).start().await;
    for _ in 0..2 {
        let answer = gateway.get("/customers", &[SALES]).await;
        assert_eq!(answer.status, 200);
        assert!(
            answer.header("ratelimit").is_some_and(|field| field.starts_with("\"clicks\";r=")),
            "{:?}",
            answer.headers
        );
    }
    let limited = gateway.get("/customers", &[SALES]).await;
    assert_eq!(limited.status, 429);
    assert!(limited.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().unwrap() > 0));
    assert_eq!(gateway.get("/customers", &[FINANCE]).await.status, 200, "others are not affected");
    assert!(gateway.metric("fieldgate_limit_refusals_total", "clicks").await >= 1.0);
}

#[tokio::test]
async fn pipelined_requests_are_each_judged_by_their_own_credential_in_order() {
    let upstream = Upstream::start(crm).await;
    let gateway = Setup::before(&upstream).start().await;
    let mut raw = gateway.connect().await;
    let get = |target: &str, who: &str| format!("GET {target} HTTP/1.1\r\nHost: gateway\r\n{who}\r\n\r\n");
    raw.send(get("/customers/1", SALES) + &get("/customers/2", SALES) + &get("/customers/2", MANAGER)).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(raw.answer(false).await.unwrap().status);
    }
    assert_eq!(statuses, [200, 404, 200]);
}

#[test]
fn the_policy_of_these_tests_is_a_good_one() {
    use fieldgate::policy::{Loaded, MaskKeys, Purpose};
    let loaded = Loaded::from_texts(&[("crm.yaml", POLICY)], &MaskKeys::Assumed, Purpose::Serve);
    assert!(loaded.plan.is_some(), "{}", loaded.report.to_text(false));
}

#[tokio::test]
async fn an_https_upstream_is_trusted_by_its_own_authority_only() {
    let authority = Authority::new();
    let upstream = Upstream::start_tls(authority.server(&["http/1.1"]), crm).await;
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();

    let trusting = Setup::before(&upstream).api(&format!("ca: '{}'", ca.display())).start().await;
    assert_eq!(trusting.get("/customers/1", &[SALES]).await.status, 200);

    std::fs::write(&ca, Authority::new().pem()).unwrap();
    let wary = Setup::before(&upstream).api(&format!("ca: '{}'", ca.display())).start().await;
    assert_eq!(wary.get("/customers/1", &[SALES]).await.status, 502);
    assert_eq!(upstream.received().len(), 1, "nothing is said to a stranger");
}
