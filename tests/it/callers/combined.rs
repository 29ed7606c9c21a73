//! Every way to be somebody, alone and two at a time.

use std::path::Path;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fieldgate::base::Secret;
use fieldgate::identity::hash_password;
use serde_json::json;

use crate::support::gateway::{Gateway, SALES, Setup};
use crate::support::upstream::{Act, Received, Upstream, json as answer};

const DATA: &str = r#"{"data":[{"id":1,"name":"Ada","owner_id":"li.na","phone":"13800138000"}],"total":1}"#;

/// `right`, hashed once.
pub(super) static HASH: LazyLock<String> =
    LazyLock::new(|| hash_password(&Secret::new("right".to_owned())).unwrap());

/// A CRM with logins of its own.
pub(super) fn crm(request: &Received) -> Vec<Act> {
    let shown = [
        request.header("authorization") == Some("Crm-Session good"),
        request.header("x-session") == Some("good"),
        request.header("cookie") == Some("sid=good"),
        request.target.ends_with("token=good"),
    ];
    match (request.target.split('?').next(), shown.contains(&true)) {
        (Some("/me"), true) => answer(r#"{"user":{"id":"li.na","teams":["sales"]}}"#),
        (Some("/me"), false) => {
            crate::support::upstream::answer("401 X", &[], b"", crate::support::upstream::Framing::Length)
        }
        _ => answer(DATA),
    }
}

fn vendor(name: &str, token: &str) -> String {
    format!(
        "    - {{ name: {name}, api: crm, token: {token}, who_am_i: {{ path: /me, id: $.user.id, groups: ['$.user.teams[*]'] }} }}\n"
    )
}

pub(super) fn identity(proxy: &str) -> String {
    let vendors = [
        vendor("by-scheme", "{ scheme: Crm-Session }"),
        vendor("by-header", "{ header: X-Session }"),
        vendor("by-cookie", "{ cookie: sid }"),
        vendor("by-query", "{ query: token }"),
    ];
    format!(
        "  basic:
    throttle: {{ failures: 3, window: 1h }}
    users:
      - {{ login: li.na, password: {{ file: hash }}, groups: [sales] }}
  front_proxies:
    - {{ peers: [{proxy}], issuer: 'https://sso.example', headers: {{ id: X-Sso-User, groups: X-Sso-Groups }} }}
  vendor_tokens:
{}",
        vendors.concat()
    )
}

async fn gateway(upstream: &Upstream, proxy: &str) -> Gateway {
    let add = |dir: &Path| std::fs::write(dir.join("hash"), &*HASH).unwrap();
    Setup::before(upstream).identity(&identity(proxy)).start_with(add).await
}

pub(super) fn basic(login: &str, password: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("{login}:{password}")))
}

/// What is put into a request: a line of the head, and what its query gets.
type Way = (&'static str, String, &'static str);

fn ways() -> Vec<Way> {
    vec![
        ("api-key", "X-Api-Key: sales-key-000000".to_owned(), ""),
        ("bearer", SALES.to_owned(), ""),
        ("basic", basic("li.na", "right"), ""),
        ("vendor scheme", "Authorization: Crm-Session good".to_owned(), ""),
        ("vendor header", "X-Session: good".to_owned(), ""),
        ("vendor cookie", "Cookie: theme=dark; sid=good".to_owned(), ""),
        ("vendor query", "X-None: 1".to_owned(), "&token=good"),
        ("front proxy", "X-Sso-User: li.na\r\nX-Sso-Groups: sales".to_owned(), ""),
    ]
}

#[tokio::test]
async fn every_way_alone_is_somebody_and_nothing_of_it_goes_upstream() {
    let upstream = Upstream::start(crm).await;
    let gateway = gateway(&upstream, "127.0.0.1").await;
    for (name, line, query) in ways() {
        let got = gateway.get(&format!("/customers?limit=5{query}"), &[&line]).await;
        assert_eq!((got.status, got.json()["total"].clone()), (200, json!(1)), "{name}: {}", got.text());
    }
    for sent in upstream.received().iter().filter(|sent| !sent.target.starts_with("/me")) {
        let raw = String::from_utf8_lossy(&sent.raw).to_lowercase();
        assert_eq!(sent.target, "/customers?limit=5");
        for gone in ["good", "sales-key", "basic", "sso", "session", "cookie", "api-key"] {
            assert!(!raw.contains(gone), "{gone}: {raw}");
        }
    }
    let records = gateway.end().await;
    let methods: Vec<&str> = records.iter().map(|r| r["principal"]["method"].as_str().unwrap()).collect();
    assert_eq!(methods[..3], ["api-key", "api-key", "basic"]);
    assert_eq!(methods[3..], ["vendor-token", "vendor-token", "vendor-token", "vendor-token", "front-proxy"]);
    let issuers: Vec<&str> = records.iter().map(|r| r["principal"]["issuer"].as_str().unwrap()).collect();
    assert_eq!(issuers[3..], ["by-scheme", "by-header", "by-cookie", "by-query", "https://sso.example"]);
    assert!(records.iter().all(|record| !record.to_string().contains("good")), "no token in the audit");
}

#[tokio::test]
async fn i15_every_two_of_them_are_refused() {
    let upstream = Upstream::start(crm).await;
    let gateway = gateway(&upstream, "127.0.0.1").await;
    let ways = ways();
    for (first, line, query) in &ways {
        for (second, other, more) in &ways {
            // One way twice is a pair, too; a parameter twice stands in one line.
            let target = format!("/customers?limit=5{query}{more}");
            let got = gateway.get(&target, &[line, other]).await;
            assert_eq!(got.status, 401, "{first} and {second}: {}", got.text());
        }
    }
    assert!(upstream.received().is_empty(), "nobody is asked about what is refused anyway");
}

#[tokio::test]
async fn i13_identity_headers_of_anybody_else_say_nothing() {
    let upstream = Upstream::start(crm).await;
    let gateway = gateway(&upstream, "10.9.9.9").await;
    let claims = ["X-Sso-User: xu.lan", "X-Sso-Groups: managers"];
    assert_eq!(gateway.get("/customers", &claims).await.status, 401);
    let forwarded = ["X-Sso-User: xu.lan", "X-Forwarded-For: 10.9.9.9"];
    assert_eq!(gateway.get("/customers", &forwarded).await.status, 401, "an address that is only told");
    let beside = gateway.get("/customers", &[claims[0], claims[1], "X_Sso_User: xu.lan", SALES]).await;
    assert_eq!(beside.json()["total"], 1, "as whom the key stands for");
    let sent = upstream.only_request();
    assert!(!String::from_utf8_lossy(&sent.raw).to_lowercase().contains("sso"));
    assert_eq!(gateway.end().await[2]["principal"]["id"], "li.na");
}

#[tokio::test]
async fn i16_a_refusal_names_the_schemes_and_guessing_ends_in_429() {
    let upstream = Upstream::start(crm).await;
    let gateway = gateway(&upstream, "127.0.0.1").await;
    let nobody = gateway.get("/customers", &[]).await;
    let challenges: Vec<&str> = nobody
        .headers
        .iter()
        .filter(|(name, _)| name == "www-authenticate")
        .map(|(_, v)| v.as_str())
        .collect();
    assert_eq!(challenges, ["Bearer realm=\"fieldgate\"", "Basic realm=\"fieldgate\", charset=\"UTF-8\""]);
    for login in ["li.na", "nobody"] {
        for _ in 0..3 {
            assert_eq!(gateway.get("/customers", &[&basic(login, "wrong")]).await.status, 401);
        }
        let stopped = gateway.get("/customers", &[&basic(login, "right")]).await;
        assert_eq!(stopped.status, 429, "{login}");
        assert!(stopped.header("retry-after").unwrap().parse::<u64>().unwrap() > 3_000);
        assert!(stopped.header("www-authenticate").is_none());
    }
    for bad in ["Basic", "Basic ", "Basic !!!", "Basic bGkubmE=", "Basic bGkubmE6cmlnaHQ= x", "Digest a=b"] {
        assert_eq!(gateway.get("/customers", &[&format!("Authorization: {bad}")]).await.status, 401, "{bad}");
    }
    assert!(gateway.metric("fieldgate_authentications_total", "method=\"basic\"").await >= 8.0);
    assert!(upstream.received().is_empty());
}
