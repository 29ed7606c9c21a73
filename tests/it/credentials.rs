//! The gateway's own credential for an upstream: it never comes back, whatever the upstream repeats.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::client::Answer;
use crate::support::gateway::{Gateway, MANAGER, SALES, Setup};
use crate::support::upstream::{Act, Framing, Received, Upstream, answer};

const TOKEN: &str = "s3rvice/token+0123456789=";
const JSON: &str = "Content-Type: application/json";

async fn before(upstream: &Upstream, credential: &str) -> Gateway {
    let setup = Setup::before(upstream).api(&format!("credential: {{ {credential} }}"));
    setup.start_with(|dir| std::fs::write(dir.join("token"), TOKEN).expect("a file")).await
}

fn shows(answer: &Answer) -> bool {
    let text = String::from_utf8_lossy(&answer.raw).replace("\\/", "/");
    let once = percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned();
    [text, once].iter().any(|text| text.contains(TOKEN) || text.contains("0123456789="))
}

/// An endpoint that repeats what it was sent, as debug pages, proxies and careless error handlers do.
fn echo(request: &Received, framing: Framing) -> Vec<Act> {
    let seen = request.header("authorization").or(request.header("x-service")).unwrap_or("none").to_owned();
    let seen = if seen == "none" { request.target.clone() } else { seen };
    let quoted = serde_json::to_string(&seen).expect("a text").replace('/', "\\/");
    let body = format!(
        r#"{{"data":{{"id":1,"owner_id":"li.na","name":{quoted},"phone":"13800000001","tags":[{quoted},"{}"]}}}}"#,
        percent_encoding::utf8_percent_encode(&seen, percent_encoding::NON_ALPHANUMERIC),
    );
    let header = format!("X-Seen: {seen}");
    answer("200 OK", &[JSON, &header, &format!("ETag: \"{seen}\"")], body.as_bytes(), framing)
}

#[tokio::test]
async fn i18_the_gateways_credential_is_in_no_answer() {
    for credential in [
        "prefix: 'Bearer ', secret: { file: token }",
        "header: X-Service, secret: { file: token }",
        "query: access_token, secret: { file: token }",
    ] {
        for framing in Framing::ALL {
            let upstream = Upstream::start(move |request| echo(request, framing)).await;
            let gateway = before(&upstream, credential).await;
            let got = gateway.get("/customers/1", &[MANAGER]).await;
            assert!(got.status == 200 && got.complete, "{credential} {framing:?}");
            assert!(!shows(&got), "{credential} {framing:?}: {}", got.text());
            assert_eq!(got.json()["data"]["phone"], "13800000001", "the rest is intact");
            let seen = upstream.only_request();
            let raw = String::from_utf8_lossy(&seen.raw).into_owned();
            assert!(
                raw.contains(TOKEN) || raw.contains("access_token=s3rvice"),
                "it was shown to the upstream"
            );

            // A public route's bytes pass, and only this does not.
            let open = gateway.get("/healthz", &["Accept-Encoding: gzip"]).await;
            assert!(open.status == 200 && open.complete && open.text().contains("13800000001"));
            assert!(!shows(&open), "{credential} {framing:?}: {}", open.text());
            let asked = upstream.received();
            assert_eq!(asked.last().expect("it was asked").header("accept-encoding"), Some("identity"));
        }
    }
}

#[tokio::test]
async fn i18_a_password_is_not_shown_decoded_either() {
    let upstream = Upstream::start(|_| {
        let body =
            br#"{"data":{"id":1,"owner_id":"li.na","name":"gate:p4ssword-0123","tags":["p4ssword-0123"]}}"#;
        answer("200 OK", &[JSON], body, Framing::Chunked(1))
    })
    .await;
    let setup = Setup::before(&upstream).api("credential: { prefix: 'Basic ', secret: { file: token } }");
    let pair = STANDARD.encode("gate:p4ssword-0123");
    let gateway = setup.start_with(|dir| std::fs::write(dir.join("token"), pair).expect("a file")).await;
    let got = gateway.get("/customers/1", &[SALES]).await;
    assert!(got.status == 200 && !got.holds("p4ssword"), "{}", got.text());
}

#[tokio::test]
async fn i18_what_cannot_be_looked_into_does_not_pass() {
    let upstream = Upstream::start(|_| {
        let mut coded = GzEncoder::new(Vec::new(), Compression::default());
        coded.write_all(TOKEN.as_bytes()).expect("memory");
        let coded = coded.finish().expect("memory");
        answer("200 OK", &["Content-Type: text/plain", "Content-Encoding: gzip"], &coded, Framing::Length)
    })
    .await;
    let gateway = before(&upstream, "secret: { file: token }").await;
    assert_eq!(gateway.get("/healthz", &["Accept-Encoding: gzip"]).await.status, 502);
}

#[tokio::test]
async fn i18_links_lose_the_parameter_and_lead_to_the_public_address() {
    let port = std::sync::Arc::new(std::sync::OnceLock::new());
    let known = std::sync::Arc::clone(&port);
    let upstream = Upstream::start(move |_| {
        let own = format!("http://127.0.0.1:{}", known.get().expect("it listens"));
        let body = format!(
            r#"{{"data":{{"id":1,"owner_id":"li.na","name":"{own}/customers/2?access_token={TOKEN}&page=2"}}}}"#
        );
        let location = format!("Content-Location: {own}/customers/1?access_token={TOKEN}");
        answer("200 OK", &[JSON, &location], body.as_bytes(), Framing::Chunked(3))
    })
    .await;
    port.set(upstream.port()).expect("once");
    let policy = crate::support::gateway::POLICY.replace("  crm:\n", "  crm:\n    origin: rewrite\n");
    let setup = Setup::before(&upstream)
        .only(&policy)
        .listener("public_url: 'https://crm.example.com/'")
        .api("credential: { query: access_token, secret: { file: token } }");
    let gateway = setup.start_with(|dir| std::fs::write(dir.join("token"), TOKEN).expect("a file")).await;
    let got = gateway.get("/customers/1", &[SALES]).await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(got.json()["data"]["name"], "https://crm.example.com/customers/2?page=2");
    assert!(!shows(&got));
}

#[tokio::test]
async fn a_refresh_token_that_the_provider_exchanged_survives_a_restart() {
    let number = std::sync::atomic::AtomicUsize::new(0);
    // Each refresh token is good for one use, as RFC 9700 section 4.14.2 has it.
    let provider = Upstream::start(move |request| {
        let now = number.load(std::sync::atomic::Ordering::SeqCst);
        if !request.text().contains(&format!("refresh_token=refresh-{now}")) {
            return answer("400 Bad Request", &[JSON], br#"{"error":"invalid_grant"}"#, Framing::Length);
        }
        number.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let next = now + 1;
        let body = format!(r#"{{"access_token":"access-{next}","token_type":"Bearer","refresh_token":"refresh-{next}","expires_in":3600}}"#);
        answer("200 OK", &[JSON], body.as_bytes(), Framing::Length)
    })
    .await;
    let upstream = Upstream::start(|_| {
        answer("200 OK", &[JSON], br#"{"data":{"id":1,"owner_id":"li.na"}}"#, Framing::Length)
    })
    .await;
    let kept = tempfile::tempdir().expect("a directory");
    let state = kept.path().join("crm.state");
    let credential = format!(
        "credential: {{ oauth2: {{ token_url: '{}/token', client_id: gate, client_secret: {{ file: token }}, refresh_token: {{ file: refresh }}, refresh_state: '{}' }} }}",
        provider.url(),
        state.display(),
    );
    for expected in ["Bearer access-1", "Bearer access-2", "Bearer access-3"] {
        let setup = Setup::before(&upstream).api(&credential).config("sealing: { key: { file: seal } }\n");
        let gateway = setup
            .start_with(|dir| {
                for (name, text) in [("token", TOKEN), ("refresh", "refresh-0"), ("seal", &"k".repeat(32))] {
                    std::fs::write(dir.join(name), text).expect("a file");
                }
            })
            .await;
        assert_eq!(gateway.get("/customers/1", &[SALES]).await.status, 200);
        assert_eq!(upstream.received().last().expect("it was asked").header("authorization"), Some(expected));
        let raw = std::fs::read(&state).expect("it is kept");
        assert!(!String::from_utf8_lossy(&raw).contains("refresh-"), "it is sealed");
    }
    assert_eq!(provider.received().len(), 3, "none was refused");
}

/// HTTP/2 from the first byte, and what was asked over it.
#[tokio::test]
async fn an_upstream_without_tls_is_spoken_http2_to_where_that_is_known() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service =
                hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                    let over = format!("{:?} {}", request.version(), request.uri().path());
                    let body = format!(r#"{{"data":{{"id":1,"owner_id":"li.na","name":"{over}"}}}}"#);
                    let answer = http::Response::builder().header("content-type", "application/json");
                    answer.body(http_body_util::Full::new(bytes::Bytes::from(body)))
                });
            let io = hyper_util::rt::TokioIo::new(socket);
            let server = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
            tokio::spawn(server.serve_connection(io, service));
        }
    });
    let unused = Upstream::answering("").await;
    let setup = Setup::before(&unused).upstream(format!("http://{address}")).api("http2: prior_knowledge");
    let gateway = setup.start().await;
    for _ in 0..3 {
        let got = gateway.get("/customers/1", &[SALES]).await;
        assert_eq!(got.status, 200);
        assert_eq!(got.json()["data"]["name"], "HTTP/2.0 /customers/1");
    }
}
