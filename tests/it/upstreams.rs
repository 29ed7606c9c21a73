//! The gateway's own credentials and several hosts, in a whole gateway: what callers, operators and auditors see of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::gateway::{FINANCE, MANAGER, Setup};
use crate::support::upstream::{Act, Framing, Upstream, answer, json};

const ONE: &str = r#"{"data":{"id":1,"name":"Ada","owner_id":"li.na","phone":"13800138000"}}"#;
const LOGIN: &str = r#"credential: { login: { request: POST /login, form: { user: gate, password: "{{p}}" },
    secrets: { p: { file: password } }, token: cookie SESSION }, cookie: SESSION }"#;

/// Everything below a directory, as text.
fn files(dir: &std::path::Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.push_str(&files(&path));
        } else if path.file_name().is_some_and(|name| name != "password") {
            all.push_str(&String::from_utf8_lossy(&std::fs::read(&path).expect("a file")));
        }
    }
    all
}

#[tokio::test]
async fn what_the_gateway_shows_the_upstream_nobody_else_sees() {
    let logins = AtomicUsize::new(0);
    let crm = Upstream::start(move |request| match request.target.as_str() {
        "/login" => {
            let number = logins.fetch_add(1, Ordering::SeqCst);
            let cookie = format!("Set-Cookie: SESSION=canary-token-{number}; Path=/; HttpOnly");
            answer("302 Found", &[&cookie, "Location: /home"], b"canary-body", Framing::Length)
        }
        _ if request.header("cookie") != Some("SESSION=canary-token-0") => {
            answer("401 Unauthorized", &["X-Session: canary-token-0"], b"canary-body", Framing::Length)
        }
        _ => {
            let echo = request.header("cookie").unwrap_or_default().to_owned();
            answer(
                "200 OK",
                &["Content-Type: application/json", &format!("Set-Cookie: {echo}")],
                ONE.as_bytes(),
                Framing::Length,
            )
        }
    })
    .await;
    let setup =
        Setup::before(&crm).api(LOGIN).config("logs: { level: trace, access: { file: access.log } }\n");
    let gateway = setup
        .start_with(|dir| std::fs::write(dir.join("password"), "canary-password\n").expect("a file"))
        .await;
    for who in [FINANCE, MANAGER, FINANCE] {
        let caller = gateway.get("/customers/1", &[who, "Cookie: SESSION=callers"]).await;
        assert_eq!(caller.status, 200);
        assert!(!caller.holds("canary"), "{}", caller.text());
    }
    let seen = crm.received();
    let paths: Vec<_> = seen.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(paths, ["/login", "/customers/1", "/customers/1", "/customers/1"]);
    assert_eq!(seen[0].text(), "user=gate&password=canary-password");
    assert!(seen.iter().all(|request| !String::from_utf8_lossy(&request.raw).contains("callers")));

    let metrics = gateway.admin("/metrics").await;
    let ready = gateway.admin("/ready").await;
    assert!(!metrics.holds("canary") && !ready.holds("canary"));
    assert_eq!(gateway.metric("fieldgate_upstream_credential_renewals_total", "success").await, 1.0);
    let dir = gateway.dir().to_owned();
    let kept = files(&dir);
    assert!(
        kept.contains("/customers/1") && !kept.contains("canary"),
        "nothing in the audit and the access log"
    );
    assert_eq!(gateway.end().await.len(), 3);
}

#[tokio::test]
async fn an_upstream_without_a_credential_gets_nothing_and_the_caller_a_neutral_answer() {
    let crm = Upstream::start(|_| answer("403 Forbidden", &[], b"canary-reason", Framing::Length)).await;
    let gateway = Setup::before(&crm)
        .api(LOGIN)
        .start_with(|dir| std::fs::write(dir.join("password"), "canary-password").expect("a file"))
        .await;
    for _ in 0..3 {
        let caller = gateway.get("/customers/1", &[FINANCE]).await;
        assert_eq!(caller.status, 502);
        assert!(
            !caller.holds("canary") && !caller.holds("login") && !caller.holds("credential"),
            "{}",
            caller.text()
        );
    }
    assert_eq!(crm.received().len(), 1, "one login, no request");
    assert_eq!(gateway.metric("fieldgate_upstream_errors_total", "credential").await, 3.0);
    assert_eq!(gateway.end().await.len(), 3);
}

#[tokio::test]
async fn a_request_that_was_sent_again_is_one_request_in_the_audit() {
    let first = AtomicUsize::new(0);
    let crm = Upstream::start(move |_| match first.fetch_add(1, Ordering::SeqCst) {
        0 => vec![Act::Close],
        _ => json(ONE),
    })
    .await;
    let gateway = Setup::before(&crm).start().await;
    assert_eq!(gateway.get("/customers/1", &[FINANCE]).await.json()["data"]["phone"], "138****8000");
    assert_eq!(crm.received().len(), 2);
    assert_eq!(gateway.metric("fieldgate_upstream_retries_total", "broken").await, 1.0);
    let records = gateway.end().await;
    assert_eq!((records.len(), &records[0]["outcome"]), (1, &serde_json::json!("complete")));
}

#[tokio::test]
async fn a_caller_whose_login_would_hold_for_a_connection_is_refused() {
    let crm = Upstream::start(|_| json(ONE)).await;
    let gateway = Setup::before(&crm).api("credential: pass").start().await;
    let caller = gateway.get("/customers/1", &[FINANCE, "Authorization: NTLM TlRMTVNTUAAB"]).await;
    assert!(matches!(caller.status, 400 | 401 | 403), "{}", caller.status);
    assert!(crm.received().is_empty());
}
