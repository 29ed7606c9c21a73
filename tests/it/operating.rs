//! What an operator does: reload, exchange certificates, drain, look.

use std::fs;
use std::time::Duration;

use fieldgate::app::Why;
use serde_json::json;

use crate::support::client::{H2, Raw};
use crate::support::gateway::{FINANCE, Gateway, MANAGER, POLICY, SALES, Setup};
use crate::support::pki::Authority;
use crate::support::upstream::{self, Act, Gate, Upstream};

const ONE: &str = r#"{"data":{"id":1,"name":"Ada","owner_id":"li.na","phone":"13800138000"}}"#;

async fn one_customer() -> Upstream {
    Upstream::start(|_| upstream::json(ONE)).await
}

async fn phone(gateway: &Gateway, who: &str) -> serde_json::Value {
    gateway.get("/customers/1", &[who]).await.json()["data"]["phone"].clone()
}

#[tokio::test]
async fn t10_a_changed_policy_is_in_force_after_a_reload() {
    let gateway = Setup::before(&one_customer().await).start().await;
    assert_eq!(phone(&gateway, FINANCE).await, "138****8000");
    let before = gateway.admin("/ready").await.json();
    gateway.write_policy(&POLICY.replace("{ first: 3, last: 4 }", "{ first: 0, last: 2 }"));
    gateway.reloader.reload(Why::Changed).await.unwrap_or_else(|report| panic!("{}", report.to_text(false)));
    assert_eq!(phone(&gateway, FINANCE).await, "*********00");
    let after = gateway.admin("/ready").await.json();
    assert_ne!(before["policy"]["version"], after["policy"]["version"]);
    let records = gateway.end().await;
    assert_eq!(records[0]["policy_version"], before["policy"]["version"]);
    assert_eq!(records[1]["policy_version"], after["policy"]["version"]);
}

#[tokio::test]
async fn a_changed_file_is_noticed_without_being_told() {
    let gateway = Setup::before(&one_customer().await).start().await;
    gateway.write_policy(&POLICY.replace("{ first: 3, last: 4 }", "{ first: 0, last: 2 }"));
    let noticed = async {
        while phone(&gateway, FINANCE).await != "*********00" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), noticed).await.expect("the change is noticed");
}

#[tokio::test]
async fn t04_a_broken_policy_changes_nothing_and_everybody_is_told() {
    let gateway = Setup::before(&one_customer().await).start().await;
    let good = gateway.admin("/ready").await.json()["policy"].clone();
    gateway.write_policy(&POLICY.replace("mask: { phone: phone }", "mask: { phone: fone }"));
    let report = gateway.reloader.reload(Why::Asked).await.expect_err("the mask does not exist");
    assert!(report.to_text(false).contains("fone"));
    assert_eq!(phone(&gateway, FINANCE).await, "138****8000");

    let ready = gateway.admin("/ready").await;
    assert_eq!((ready.status, &ready.json()["policy"]), (200, &good));
    let last = ready.json()["last_reload"].clone();
    assert_eq!(last["result"], "failure");
    assert!(last["reason"].as_str().unwrap().contains("crm.yaml:"), "{last}");
    assert_eq!(gateway.metric("fieldgate_policy_last_reload_success", "").await, 0.0);
    // The change of the file may have been noticed as well.
    assert!(gateway.metric("fieldgate_policy_reloads_total", "failure").await >= 1.0);

    gateway.write_policy(POLICY);
    gateway.reloader.reload(Why::Asked).await.unwrap_or_else(|report| panic!("{}", report.to_text(false)));
    assert_eq!(gateway.admin("/ready").await.json()["last_reload"]["result"], "success");
}

#[tokio::test]
async fn keys_and_upstreams_of_the_configuration_are_exchanged_too() {
    let (first, second) = (one_customer().await, one_customer().await);
    let gateway = Setup::before(&first).start().await;
    assert_eq!(gateway.get("/customers/1", &[SALES]).await.status, 200);
    let path = gateway.dir().join("fieldgate.yaml");
    let text = fs::read_to_string(&path).unwrap().replace(&first.url(), &second.url());
    fs::write(&path, text.replace("{ id: sales,", "{ id: sales, disabled: true,")).unwrap();
    gateway.reloader.reload(Why::Changed).await.unwrap_or_else(|report| panic!("{}", report.to_text(false)));
    assert_eq!(gateway.get("/customers/1", &[SALES]).await.status, 401);
    assert_eq!(gateway.get("/customers/1", &[MANAGER]).await.status, 200);
    assert_eq!((first.received().len(), second.received().len()), (1, 1));
}

#[tokio::test]
async fn draining_finishes_what_has_begun_and_takes_nothing_new() {
    let gate = Gate::closed();
    let waiting = gate.clone();
    let upstream =
        Upstream::start(move |_| [vec![Act::Wait(waiting.clone())], upstream::json(ONE)].concat()).await;
    let mut gateway = Setup::before(&upstream).start().await;
    let mut idle = gateway.connect().await;
    let mut busy = gateway.connect().await;
    busy.send(format!("GET /customers/1 HTTP/1.1\r\nHost: a\r\n{SALES}\r\n\r\n")).await;
    upstream.arrival().await;
    gateway.tell_to_stop();
    assert!(idle.rest().await.is_empty(), "an idle connection is closed at once");
    while tokio::net::TcpStream::connect(gateway.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let ready = gateway.admin("/ready").await;
    assert_eq!((ready.status, &ready.json()["draining"]), (503, &json!(true)));
    gate.open();
    let answer = busy.answer(false).await.expect("the answer is finished");
    assert_eq!((answer.status, answer.complete), (200, true));
    assert!(busy.rest().await.is_empty());
    let records = gateway.end().await;
    assert_eq!((records.len(), &records[0]["outcome"]), (1, &json!("complete")));
}

#[tokio::test]
async fn draining_ends_at_its_deadline_and_what_was_cut_is_recorded() {
    let upstream = Upstream::start(|_| vec![Act::Stall]).await;
    let mut gateway = Setup::before(&upstream).config("drain: 50ms\n").start().await;
    let mut busy = gateway.connect().await;
    busy.send(format!("GET /customers/1 HTTP/1.1\r\nHost: a\r\n{SALES}\r\n\r\n")).await;
    upstream.arrival().await;
    gateway.tell_to_stop();
    let records = gateway.end().await;
    assert_eq!((records.len(), &records[0]["outcome"]), (1, &json!("aborted")));
    assert!(busy.rest().await.is_empty());
}

#[tokio::test]
async fn a_new_certificate_is_presented_to_new_connections_and_the_old_ones_go_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let upstream = one_customer().await;
    let setup = Setup::before(&upstream).listener("tls: { certificate: cert.pem, key: key.pem }");
    let write = |dir: &std::path::Path, authority: &Authority| {
        let identity = authority.issue("127.0.0.1");
        fs::write(dir.join("cert.pem"), identity.certificate).unwrap();
        fs::write(dir.join("key.pem"), identity.key).unwrap();
    };
    let gateway = setup.start_with(|dir| write(dir, &old)).await;
    let mut kept = Raw::connect_tls(gateway.address, old.client(&["http/1.1"])).await;
    assert_eq!(kept.get("/customers/1", &[SALES]).await.status, 200);
    let mut h2 = H2::connect_tls(gateway.address, old.client(&["h2"])).await;
    assert_eq!(h2.get("/customers/1", &[("x-api-key", "finance-key-0000")]).await.unwrap().status(), 200);

    write(gateway.dir(), &new);
    gateway.reloader.reload(Why::Changed).await.unwrap_or_else(|report| panic!("{}", report.to_text(false)));
    let mut fresh = Raw::connect_tls(gateway.address, new.client(&["http/1.1"])).await;
    assert_eq!(fresh.get("/customers/1", &[SALES]).await.status, 200);
    assert_eq!(kept.get("/customers/1", &[SALES]).await.status, 200);

    // A certificate that does not fit its key is not taken.
    fs::write(gateway.dir().join("key.pem"), old.issue("127.0.0.1").key).unwrap();
    gateway.reloader.reload(Why::Changed).await.expect_err("they do not fit");
    let mut still = Raw::connect_tls(gateway.address, new.client(&["http/1.1"])).await;
    assert_eq!(still.get("/customers/1", &[SALES]).await.status, 200);
}

#[tokio::test]
async fn http2_is_spoken_only_where_it_is_wanted() {
    let gateway = Setup::before(&one_customer().await).listener("http2: false").start().await;
    let mut raw = gateway.connect().await;
    raw.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0").await;
    let refusal = raw.answer(false).await.expect("an HTTP/1 refusal");
    assert!(matches!(refusal.status, 400 | 505), "{}", refusal.status);
}

#[tokio::test]
async fn the_admin_listener_shows_three_pages_and_no_names_of_people() {
    let gateway = Setup::before(&one_customer().await).start().await;
    assert_eq!(gateway.get("/customers/1", &[SALES]).await.status, 200);
    assert_eq!(gateway.admin("/healthz").await.status, 200);
    assert_eq!(gateway.admin("/").await.status, 404);
    let metrics = gateway.admin("/metrics").await;
    assert_eq!(metrics.header("cache-control"), Some("no-store"));
    for hidden in ["li.na", "sales-key", "13800138000"] {
        assert!(!metrics.holds(hidden), "{hidden}");
    }
    let labels = r#"action="read",decision="permitted",route="GET /customers/{id}",status="200""#;
    assert_eq!(gateway.metric("fieldgate_requests_total", labels).await, 1.0);
    assert_eq!(gateway.metric("fieldgate_records_released_total", "customer").await, 1.0);
    assert_eq!(gateway.metric("fieldgate_requests_in_flight", "").await, 0.0);
}

#[tokio::test]
async fn the_access_log_has_a_line_a_request_and_no_values() {
    let log = "logs: { access: { file: access.log, format: json } }\n";
    let gateway = Setup::before(&one_customer().await).config(log).start().await;
    gateway.get("/customers?name=Ada", &[MANAGER]).await;
    gateway.get("/customers/1", &[]).await;
    let path = gateway.dir().join("access.log");
    let lines = async {
        loop {
            let text = fs::read_to_string(&path).unwrap_or_default();
            if text.lines().count() == 2 {
                break text;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let text = tokio::time::timeout(Duration::from_secs(30), lines).await.expect("two lines");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["principal"], &lines[1]["status"]), (&json!("xu.lan"), &json!(401)));
    assert!(!text.contains("Ada"), "{text}");
}
