//! What the gateway shows an upstream: got once for all, renewed, replayed once, and seen by nobody else.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::base::ManualClock;
use crate::upstream::config::{Login, LoginBody, OAuth2, TokenAt};
use crate::upstream::scripted::Received;

use super::*;

const SECRET: &str = "canary-pässwort\"{&";

fn secret() -> SecretReader {
    SecretReader::new(|| Ok(Secret::new(SECRET.to_owned())), None)
}

fn clock() -> ManualClock {
    ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap())
}

struct Asked {
    upstream: Arc<Upstream>,
    clock: ManualClock,
    metrics: Arc<Metrics>,
}

fn asked(crm: &Scripted, source: TokenSource, put: Put, expired: Expired) -> Asked {
    let (clock, metrics) = (clock(), Arc::new(Metrics::new()));
    let config = UpstreamConfig {
        credentials: Credentials::Own { source, put, expired },
        max_connections: 100,
        ..to(crm)
    };
    let upstream = Upstream::new(&config, Arc::new(clock.clone()), Arc::clone(&metrics)).unwrap();
    Asked { upstream: Arc::new(upstream), clock, metrics }
}

fn bearer() -> Put {
    Put::Header(http::header::AUTHORIZATION, "Bearer ".into())
}

fn login() -> TokenSource {
    TokenSource::Login(Box::new(Login {
        method: http::Method::POST,
        target: "/login".parse().unwrap(),
        body: LoginBody::Json(
            serde_json::json!({ "user": "gate", "deep": [{ "password": "{{password}}" }] }),
        ),
        secrets: vec![("password".into(), secret())],
        token: TokenAt::Body(vec!["data".into(), "token".into()]),
        lifetime: Some(Duration::from_secs(600)),
    }))
}

/// A system that gives the tokens `t1`, `t2` … for logins, and takes those above `revoked`.
fn session_system(
    stale: &'static str,
    revoked: &Arc<AtomicUsize>,
) -> impl Fn(&Received) -> Vec<Act> + Send + Sync + 'static {
    let (logins, revoked) = (AtomicUsize::new(0), Arc::clone(revoked));
    move |request| {
        if request.target == "/login" {
            let number = logins.fetch_add(1, Ordering::SeqCst) + 1;
            return json(&format!(r#"{{"data":{{"token":"t{number}"}}}}"#));
        }
        let shown: Option<usize> =
            request.header("authorization").and_then(|shown| shown.strip_prefix("Bearer t")?.parse().ok());
        match shown {
            Some(number) if number > revoked.load(Ordering::SeqCst) => json(r#"{"ok":1}"#),
            _ if stale.is_empty() => answer("401 Unauthorized", &[], b"{}", Framing::Length),
            _ => json(stale),
        }
    }
}

async fn ask(asked: &Asked, method: &str) -> Result<(u16, Vec<u8>), UpstreamError> {
    let answer = asked.upstream.exchange(request(method, "/a"), Outgoing::Empty, None).await?;
    Ok((answer.status().as_u16(), read(answer).await?))
}

fn logins(crm: &Scripted) -> usize {
    crm.received().iter().filter(|request| request.target == "/login").count()
}

#[tokio::test]
async fn one_login_serves_all_and_is_repeated_when_its_time_is_over() {
    let crm = Scripted::start(session_system("", &Arc::default())).await;
    let asked = asked(&crm, login(), bearer(), Expired::default());
    let all = (0..30).map(|_| ask(&asked, "GET"));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.unwrap(), (200, br#"{"ok":1}"#.to_vec()));
    }
    assert_eq!(logins(&crm), 1);
    let first = crm.received().into_iter().find(|request| request.target == "/login").unwrap();
    let body: serde_json::Value = serde_json::from_slice(&first.body).unwrap();
    assert_eq!(body, serde_json::json!({ "user": "gate", "deep": [{ "password": SECRET }] }));

    asked.clock.advance(Duration::from_secs(601));
    assert_eq!(ask(&asked, "POST").await.unwrap().0, 200);
    assert_eq!(logins(&crm), 2);
}

#[tokio::test]
async fn a_login_that_is_over_is_renewed_once_and_idempotent_requests_are_asked_once_more() {
    for stale in ["", r#"{"code":"40014"}"#] {
        let revoked = Arc::new(AtomicUsize::new(0));
        let crm = Scripted::start(session_system(stale, &revoked)).await;
        let expired = Expired { body: Some((vec!["code".into()], vec![40014.into()])), ..Expired::default() };
        let asked = asked(&crm, login(), bearer(), expired);
        assert_eq!(ask(&asked, "GET").await.unwrap().1, br#"{"ok":1}"#);
        asked.clock.advance(Duration::from_secs(60));
        revoked.store(1, Ordering::SeqCst);
        let all = (0..20).map(|_| ask(&asked, "GET"));
        for answer in futures_util::future::join_all(all).await {
            assert_eq!(answer.unwrap().1, br#"{"ok":1}"#, "{stale}");
        }
        assert_eq!(logins(&crm), 2, "one renewal for everybody");
        // Nothing that is fetched helps: the answer goes on, and the login is left alone for a moment.
        revoked.store(99, Ordering::SeqCst);
        asked.clock.advance(Duration::from_secs(60));
        for _ in 0..5 {
            let (status, body) = ask(&asked, "GET").await.unwrap();
            assert!(status == 401 || body == stale.as_bytes());
        }
        assert_eq!(logins(&crm), 3);
        assert!(asked.metrics.encode().contains("fieldgate_upstream_credential_renewals_total"));
    }
}

#[tokio::test]
async fn what_is_not_idempotent_is_not_asked_again_but_the_next_one_has_a_new_login() {
    let tokens = Arc::new(AtomicUsize::new(0));
    let crm = Scripted::start({
        let tokens = Arc::clone(&tokens);
        move |request| {
            if request.target == "/login" {
                let number = tokens.fetch_add(1, Ordering::SeqCst) + 1;
                return json(&format!(r#"{{"data":{{"token":"t{number}"}}}}"#));
            }
            let good = request.header("authorization") != Some("Bearer t1");
            answer(if good { "200 OK" } else { "401 Unauthorized" }, &[], b"{}", Framing::Length)
        }
    })
    .await;
    let asked = asked(&crm, login(), bearer(), Expired::default());
    asked.upstream.exchange(request("GET", "/young"), Outgoing::Empty, None).await.unwrap();
    assert_eq!(logins(&crm), 1, "a login a moment old is not doubted");
    asked.clock.advance(Duration::from_secs(60));
    assert_eq!(ask(&asked, "POST").await.unwrap().0, 401);
    assert_eq!(
        crm.received().iter().filter(|request| request.method == "POST" && request.target == "/a").count(),
        1
    );
    assert_eq!(ask(&asked, "POST").await.unwrap().0, 200);
    assert_eq!(logins(&crm), 2);
}

#[tokio::test]
async fn a_login_that_fails_is_not_tried_by_every_request() {
    let crm = Scripted::start(|_| answer("403 Forbidden", &[], SECRET.as_bytes(), Framing::Length)).await;
    let asked = asked(&crm, login(), bearer(), Expired::default());
    for wait in [0, 1, 2] {
        asked.clock.advance(Duration::from_secs(wait));
        let before = logins(&crm);
        for _ in 0..10 {
            let refused = ask(&asked, "GET").await.unwrap_err();
            assert!(matches!(&refused, UpstreamError::Credential(why) if why.contains("403")), "{refused}");
            assert!(!refused.to_string().contains("canary") && !refused.public().contains("403"));
        }
        assert_eq!(logins(&crm), before + 1, "once, and again only after a pause");
    }
    assert_eq!(crm.received().len(), logins(&crm), "without a credential nothing else goes out");
}

#[tokio::test]
async fn answers_that_hold_no_token_are_no_login() {
    for body in [
        "",
        "[]",
        r#"{"data":{}}"#,
        r#"{"data":{"token":7}}"#,
        r#"{"data":{"token":"a\r\nX: y"}}"#,
        r#"{"data":{"token":""}}"#,
    ] {
        let crm = Scripted::start(move |_| json(body)).await;
        let asked = asked(&crm, login(), bearer(), Expired::default());
        assert!(matches!(ask(&asked, "GET").await, Err(UpstreamError::Credential(_))), "{body}");
    }
    let endless = format!(r#"{{"data":{{"token":"{}"}}}}"#, "x".repeat(100_000));
    let crm = Scripted::start(move |_| json(&endless)).await;
    assert!(ask(&asked(&crm, login(), bearer(), Expired::default()), "GET").await.is_err());
}

#[tokio::test]
async fn tokens_come_from_token_endpoints_with_both_grants() {
    let issuer = Scripted::start(|request| {
        let number = if request.text().contains("next-1") { 2 } else { 1 };
        json(&format!(r#"{{"access_token":"a{number}","token_type":"bearer","expires_in":"300","refresh_token":"next-{number}"}}"#))
    })
    .await;
    let crm = Scripted::start(|_| json("{}")).await;
    let oauth2 = |refresh: bool, in_body| {
        TokenSource::OAuth2(Box::new(OAuth2 {
            keeper: None,
            token_url: format!("{}/token", issuer.url()).parse().unwrap(),
            client_id: "gate way".into(),
            client_secret: secret(),
            refresh_token: refresh.then(|| SecretReader::new(|| Ok(Secret::new("first".to_owned())), None)),
            scopes: vec!["read".into(), "write".into()],
            parameters: vec![("audience".into(), "crm".into())],
            trust: None,
            in_body,
        }))
    };
    let machine = asked(&crm, oauth2(false, false), bearer(), Expired::default());
    for _ in 0..3 {
        assert_eq!(ask(&machine, "GET").await.unwrap().0, 200);
    }
    let seen = issuer.only_request();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/token"));
    assert_eq!(seen.text(), "grant_type=client_credentials&scope=read%20write&audience=crm");
    let basic = "Basic Z2F0ZSUyMHdheTpjYW5hcnktcCVDMyVBNHNzd29ydCUyMiU3QiUyNg==";
    assert_eq!(seen.header("authorization"), Some(basic));
    assert_eq!(crm.received()[0].header("authorization"), Some("Bearer a1"));
    // Renewed a tenth of its time before its end.
    machine.clock.advance(Duration::from_secs(269));
    ask(&machine, "GET").await.unwrap();
    assert_eq!(issuer.received().len(), 1);
    machine.clock.advance(Duration::from_secs(1));
    ask(&machine, "GET").await.unwrap();
    assert_eq!(issuer.received().len(), 2);

    let person = asked(&crm, oauth2(true, true), bearer(), Expired::default());
    ask(&person, "GET").await.unwrap();
    let text = issuer.received()[2].text().to_owned();
    assert!(text.starts_with("grant_type=refresh_token&refresh_token=first&"), "{text}");
    assert!(text.contains("&client_id=gate%20way&client_secret=canary"), "{text}");
    person.clock.advance(Duration::from_secs(300));
    ask(&person, "GET").await.unwrap();
    assert!(issuer.received()[3].text().contains("refresh_token=next-1"), "the one it was given last");
    assert_eq!(crm.received().last().unwrap().header("authorization"), Some("Bearer a2"));
}

#[tokio::test]
async fn a_secret_that_changes_is_read_again_and_one_that_cannot_be_read_stays() {
    let held: Arc<Mutex<Result<&str, &str>>> = Arc::new(Mutex::new(Ok("one")));
    let reader = {
        let held = Arc::clone(&held);
        let read =
            move || held.lock().unwrap().map(|text| Secret::new(text.to_owned())).map_err(str::to_owned);
        SecretReader::new(read, Some(Duration::from_secs(10)))
    };
    let crm = Scripted::start(|request| {
        let good = request.header("cookie") == Some("sid=two");
        answer(if good { "200 OK" } else { "401 Unauthorized" }, &[], b"", Framing::Length)
    })
    .await;
    let asked = asked(&crm, TokenSource::Fixed(reader), Put::Cookie("sid".into()), Expired::default());
    assert_eq!(ask(&asked, "GET").await.unwrap().0, 401);
    asked.clock.advance(Duration::from_secs(6));
    assert_eq!(ask(&asked, "GET").await.unwrap().0, 401);
    assert_eq!(crm.received().len(), 2, "the same secret is not shown twice");
    *held.lock().unwrap() = Ok("two");
    asked.clock.advance(Duration::from_secs(6));
    assert_eq!(ask(&asked, "GET").await.unwrap().0, 200, "read again because it was refused, and shown");
    *held.lock().unwrap() = Err("gone");
    asked.clock.advance(Duration::from_secs(60));
    assert_eq!(ask(&asked, "GET").await.unwrap().0, 200);
}

#[tokio::test]
async fn a_token_in_the_query_takes_the_place_of_the_callers() {
    let crm = Scripted::start(|_| json("{}")).await;
    let source = TokenSource::Fixed(SecretReader::new(|| Ok(Secret::new("own".to_owned())), None));
    let asked = asked(&crm, source, Put::Query("access_token".into()), Expired::default());
    let head = request("GET", "/a?x=1&access_token=callers");
    asked.upstream.exchange(head, Outgoing::Empty, None).await.unwrap();
    assert_eq!(crm.only_request().target, "/a?x=1&access_token=own");
}

#[tokio::test]
async fn a_login_for_a_connection_is_refused_because_callers_share_connections() {
    let crm = Scripted::start(|_| {
        answer("401 Unauthorized", &["WWW-Authenticate: NTLM TlRMTVNTUAAC"], b"{}", Framing::Length)
    })
    .await;
    let upstream = upstream(UpstreamConfig { credentials: Credentials::Pass, ..to(&crm) });
    for scheme in ["NTLM TlRMTVNTUAAB", "negotiate YII=", "Kerberos x"] {
        let value = HeaderValue::from_str(scheme).unwrap();
        let caller = Some(Carried::Header(http::header::AUTHORIZATION, value));
        let refused = upstream.exchange(request("GET", "/"), Outgoing::Empty, caller).await.err().unwrap();
        assert!(
            matches!(refused, UpstreamError::ConnectionBound) && refused.status() == StatusCode::FORBIDDEN
        );
    }
    assert!(crm.received().is_empty());
    for _ in 0..2 {
        let caller = Some(super::bearer());
        let answer = upstream.exchange(request("GET", "/"), Outgoing::Empty, caller).await.unwrap();
        read(answer).await.unwrap();
    }
    assert_eq!(crm.connections(), 2, "a connection on which a login has begun is for nobody else");
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn secrets_and_tokens_are_in_no_log_no_metric_and_no_error() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let turn = AtomicUsize::new(0);
    let crm = Scripted::start(move |request| {
        match (request.target.as_str(), turn.fetch_add(1, Ordering::SeqCst)) {
            ("/login", 0..3) => json(r#"{"data":{"token":"canary-token"}}"#),
            ("/login", _) => answer("500 canary-reason", &[], b"canary-body", Framing::Length),
            (_, number) if number % 2 == 0 => {
                vec![Act::Send(b"HTTP/1.1 canary\r\n\r\n".to_vec()), Act::Close]
            }
            _ => answer("401 Unauthorized", &[], b"canary-body", Framing::Length),
        }
    })
    .await;
    let asked = asked(&crm, login(), bearer(), Expired::default());
    let mut said = String::new();
    for _ in 0..6 {
        asked.clock.advance(Duration::from_secs(700));
        if let Err(error) = ask(&asked, "GET").await {
            said.push_str(&format!("{error} {error:?} {}", error.public()));
        }
    }
    said.push_str(&asked.metrics.encode());
    said.push_str(std::str::from_utf8(&log.0.lock().unwrap()).unwrap());
    assert!(said.contains("no credential"), "something was logged: {said}");
    // What the upstream sends as its status line is the upstream's, and is named by hyper without its text.
    assert!(!said.contains("canary") && !said.contains("Y2FuYXJ5"), "{said}");
}
