//! One upstream at a time, asked over real sockets.

mod credentials;
mod hosts;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::base::{Secret, SystemClock};
use crate::identity::Carried;
use crate::request::Outgoing;
use crate::telemetry::Metrics;

use super::answer::UpstreamResponse;
use super::config::tests::config;
use super::config::{
    Credentials, Expired, Http2, Put, SecretReader, Timeouts, TokenSource, Trust, UpstreamConfig,
};
use super::error::{Phase, UpstreamError};
use super::exchange::Upstream;
use super::pki::Authority;
use super::scripted::{self, Act, Framing, Gate, answer, json};

type Scripted = scripted::Upstream;

const SHORT: Duration = Duration::from_millis(20);

fn upstream(config: UpstreamConfig) -> Arc<Upstream> {
    let metrics = Arc::new(Metrics::new());
    Arc::new(Upstream::new(&config, Arc::new(SystemClock::new()), metrics).unwrap())
}

fn to(scripted: &Scripted) -> UpstreamConfig {
    config(&scripted.url())
}

fn request(method: &str, target: &str) -> Parts {
    Request::builder().method(method).uri(target).body(()).unwrap().into_parts().0
}

fn bearer() -> Carried {
    Carried::Header(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer caller"))
}

async fn get(upstream: &Upstream) -> Result<UpstreamResponse, UpstreamError> {
    upstream.exchange(request("GET", "/a"), Outgoing::Empty, None).await
}

async fn read(answer: UpstreamResponse) -> Result<Vec<u8>, UpstreamError> {
    let mut body = answer.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        bytes.extend_from_slice(&frame?.into_data().unwrap_or_default());
    }
    Ok(bytes)
}

async fn get_all(upstream: &Upstream) -> Result<Vec<u8>, UpstreamError> {
    read(get(upstream).await?).await
}

fn timeouts(timeouts: Timeouts, scripted: &Scripted) -> UpstreamConfig {
    UpstreamConfig { timeouts, ..to(scripted) }
}

#[tokio::test]
async fn sends_the_judged_request_and_nothing_of_its_own_accord() {
    let crm = Scripted::start(|_| json("{}")).await;
    let upstream = upstream(UpstreamConfig {
        credentials: Credentials::Own {
            source: TokenSource::Fixed(SecretReader::new(|| Ok(Secret::new("service".to_owned())), None)),
            put: Put::Header(http::header::AUTHORIZATION, "Bearer ".into()),
            expired: Expired::default(),
        },
        ..config(&format!("{}/base", crm.url()))
    });
    let mut head = request("PUT", "/customers/%E5%90%8D?a=b%26c");
    head.headers.insert("x-kept", HeaderValue::from_static("1"));
    let body = Outgoing::Whole(Bytes::from_static(b"{\"a\":1}"));
    let caller = bearer();
    let answer = upstream.exchange(head, body, Some(caller)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(read(answer).await.unwrap(), b"{}");

    let mut seen = crm.only_request();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("PUT", "/base/customers/%E5%90%8D?a=b%26c"));
    assert_eq!(seen.text(), "{\"a\":1}");
    seen.headers.sort();
    let host = format!("127.0.0.1:{}", crm.port());
    let expected = [
        ("accept-encoding", "gzip"),
        ("authorization", "Bearer service"),
        ("content-length", "7"),
        ("host", &host),
        ("x-kept", "1"),
    ];
    assert_eq!(seen.headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn the_callers_credential_goes_on_only_where_that_is_configured() {
    let crm = Scripted::start(|_| json("{}")).await;
    for (credentials, expected) in [(Credentials::None, None), (Credentials::Pass, Some("Bearer caller"))] {
        let upstream = upstream(UpstreamConfig { credentials, ..to(&crm) });
        let caller = Some(bearer());
        upstream.exchange(request("GET", "/"), Outgoing::Empty, caller).await.unwrap();
        assert_eq!(crm.received().last().unwrap().header("authorization"), expected);
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    let crm = Scripted::start(|_| json("{}")).await;
    let upstream = upstream(to(&crm));
    for _ in 0..5 {
        get_all(&upstream).await.unwrap();
    }
    assert_eq!(crm.connections(), 1);
}

#[tokio::test]
async fn a_stated_host_is_sent_while_the_base_is_dialled() {
    let crm = Scripted::start(|_| json("{}")).await;
    let upstream = upstream(UpstreamConfig { host: Some("crm.example".into()), ..to(&crm) });
    get_all(&upstream).await.unwrap();
    assert_eq!(crm.only_request().header("host"), Some("crm.example"));
}

#[tokio::test]
async fn only_the_stated_authority_is_trusted() {
    let (own, foreign) = (Authority::new(), Authority::new());
    let crm = Scripted::start_tls(own.server(&[]), |_| json("{\"a\":1}")).await;
    let trusting =
        |pem: String| upstream(UpstreamConfig { trust: Trust::Pem(pem.into_bytes().into()), ..to(&crm) });
    assert_eq!(get_all(&trusting(own.pem())).await.unwrap(), b"{\"a\":1}");
    let refused = get_all(&trusting(foreign.pem())).await.unwrap_err();
    assert!(matches!(refused, UpstreamError::Connect(_)), "{refused}");
    assert_eq!(crm.received().len(), 1);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let crm = Scripted::start_tls(authority.issue("crm.example").server(&[]), |_| json("{}")).await;
    let trust = Trust::Pem(authority.pem().into_bytes().into());
    let refused = get_all(&upstream(UpstreamConfig { trust, ..to(&crm) })).await.unwrap_err();
    assert!(matches!(refused, UpstreamError::Connect(_)), "{refused}");
}

#[test]
fn authorities_that_cannot_be_read_are_a_mistake_of_the_configuration() {
    for trust in [
        Trust::File("/no/such/file".into()),
        Trust::Pem(Arc::from(&b""[..])),
        Trust::Pem(Arc::from(&b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"[..])),
    ] {
        let config = UpstreamConfig { trust, ..config("https://crm") };
        assert!(Upstream::new(&config, Arc::new(SystemClock::new()), Arc::new(Metrics::new())).is_err());
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let crm = Scripted::start(|_| answer("302 Found", &["Location: /b"], b"", Framing::Length)).await;
    assert_eq!(get(&upstream(to(&crm))).await.unwrap().status(), StatusCode::FOUND);
    assert_eq!(crm.received().len(), 1);
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_an_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let refused = get_all(&upstream(config(&url))).await.unwrap_err();
    assert!(matches!(refused, UpstreamError::Connect(_)), "{refused}");
}

#[tokio::test]
async fn a_handshake_that_stalls_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let trust = Trust::Pem(Authority::new().pem().into_bytes().into());
    let timeouts = Timeouts { connect: SHORT, ..Timeouts::default() };
    let refused = get_all(&upstream(UpstreamConfig { trust, timeouts, ..config(&url) })).await.unwrap_err();
    assert!(matches!(refused, UpstreamError::Timeout(Phase::Connect)), "{refused}");
}

#[tokio::test]
async fn an_answer_that_does_not_begin_is_given_up() {
    let crm = Scripted::start(|_| vec![Act::Send(b"HTTP/1.1 200 OK\r\nContent-".to_vec()), Act::Stall]).await;
    let upstream = upstream(timeouts(Timeouts { first_byte: SHORT, ..Timeouts::default() }, &crm));
    let refused = get_all(&upstream).await.unwrap_err();
    assert!(matches!(refused, UpstreamError::Timeout(Phase::FirstByte)), "{refused}");
    crm.departure().await;
    assert_eq!(upstream.load().in_flight, 0);
}

const BEGUN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345";

#[tokio::test]
async fn an_answer_that_stalls_is_given_up() {
    let crm = Scripted::start(|_| vec![Act::Send(BEGUN.into()), Act::Stall]).await;
    for (timeouts_of_it, phase) in [
        (Timeouts { idle: SHORT, ..Timeouts::default() }, Phase::Idle),
        (Timeouts { total: SHORT, ..Timeouts::default() }, Phase::Total),
    ] {
        let upstream = upstream(timeouts(timeouts_of_it, &crm));
        let refused = get_all(&upstream).await.unwrap_err();
        // A machine that is slow enough runs out of time before the head is read.
        let acceptable = [phase, Phase::FirstByte];
        assert!(matches!(refused, UpstreamError::Timeout(found) if acceptable.contains(&found)), "{refused}");
        crm.departure().await;
        assert_eq!(upstream.load().in_flight, 0);
    }
}

#[tokio::test]
async fn an_answer_that_trickles_on_is_given_up_at_the_total() {
    let endless = vec![Act::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())]
        .into_iter()
        .chain((0..1_000_000).map(|_| Act::Send(b"x".to_vec())))
        .collect::<Vec<_>>();
    let crm = Scripted::start(move |_| endless.clone()).await;
    let refused = get_all(&upstream(timeouts(Timeouts { total: SHORT, ..Timeouts::default() }, &crm)))
        .await
        .unwrap_err();
    assert!(matches!(refused, UpstreamError::Timeout(Phase::Total | Phase::FirstByte)), "{refused}");
}

#[tokio::test]
async fn an_answer_shorter_than_it_says_is_an_error() {
    for end in [Act::Close, Act::Reset] {
        for begun in [BEGUN, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"] {
            let end = end.clone();
            let crm = Scripted::start(move |_| vec![Act::Send(begun.into()), end.clone()]).await;
            let refused = get_all(&upstream(to(&crm))).await.unwrap_err();
            assert!(matches!(refused, UpstreamError::Broken(_)), "{refused}");
        }
    }
}

#[tokio::test]
async fn what_is_no_http_is_an_error() {
    for garbage in [
        "",
        "\r\n\r\n",
        "garbage\r\n\r\n",
        "{\"a\":1}",
        "HTTP/1.1 2OO OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n12345",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n12345",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n12345\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n1",
        "HTTP/1.1 200 OK\r\nA B: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\n folded: c\r\n\r\n",
        "HTTP/3.0 200 OK\r\n\r\n",
    ] {
        let crm = Scripted::start(move |_| vec![Act::Send(garbage.into()), Act::Close]).await;
        let refused = get_all(&upstream(to(&crm))).await.unwrap_err();
        assert!(matches!(refused, UpstreamError::Broken(_)), "{garbage:?}: {refused}");
    }
}

#[tokio::test]
async fn a_head_beyond_the_bounds_is_an_error() {
    let many = "A: b\r\n".repeat(101);
    let long = format!("A: {}\r\n", "b".repeat(256 << 10));
    for lines in [many, long] {
        let crm = Scripted::answering(format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n")).await;
        let refused = get_all(&upstream(to(&crm))).await.unwrap_err();
        assert!(matches!(refused, UpstreamError::Broken(_)), "{refused}");
    }
}

/// R24, R25: nothing of one answer is taken for the next.
#[tokio::test]
async fn surplus_bytes_never_become_the_next_answer() {
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    for (method, head) in [
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 43\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 43\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    ] {
        let crm = Scripted::start(move |request| {
            if request.target == "/first" {
                vec![Act::Send(format!("{head}{poison}").into_bytes())]
            } else {
                json("clean")
            }
        })
        .await;
        let upstream = upstream(to(&crm));
        for _ in 0..20 {
            let first = upstream.exchange(request(method, "/first"), Outgoing::Empty, None).await.unwrap();
            let first = read(first).await.unwrap();
            assert!(first.is_empty() || first == b"ok", "{head}");
            assert_eq!(get_all(&upstream).await.unwrap(), b"clean", "{head}");
        }
    }
}

/// R24: bytes that come late, when the connection might be in use again.
#[tokio::test]
async fn a_bodiless_answer_that_announces_a_body_ends_its_connection() {
    for (method, head) in [
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 43\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\n"),
    ] {
        let crm = Scripted::start(move |request| {
            if request.target == "/first" { vec![Act::Send(head.into())] } else { json("clean") }
        })
        .await;
        let upstream = upstream(to(&crm));
        let first = upstream.exchange(request(method, "/first"), Outgoing::Empty, None).await.unwrap();
        assert!(read(first).await.unwrap().is_empty());
        assert_eq!(get_all(&upstream).await.unwrap(), b"clean");
        assert_eq!(crm.connections(), 2, "{method} {head}");
    }
}

/// R25: what is left unread is never read by the next request.
#[tokio::test]
async fn an_answer_left_unread_ends_its_connection() {
    let crm = Scripted::start(|request| {
        if request.target == "/long" { vec![Act::Send(BEGUN.into()), Act::Stall] } else { json("clean") }
    })
    .await;
    let upstream = upstream(to(&crm));
    let abandoned = upstream.exchange(request("GET", "/long"), Outgoing::Empty, None).await.unwrap();
    drop(abandoned);
    assert_eq!(get_all(&upstream).await.unwrap(), b"clean");
    crm.departure().await;
}

/// W14: a request of which the upstream saw anything is not sent again.
#[tokio::test]
async fn w14_no_request_is_sent_twice() {
    for method in ["POST", "PUT", "PATCH", "DELETE", "GET"] {
        let crm = Scripted::start(move |request| match request.target.as_str() {
            "/first" => json("{}"),
            _ => vec![Act::Close],
        })
        .await;
        let upstream = upstream(to(&crm));
        // On a connection that has been used before, as well as on a new one.
        upstream
            .exchange(request("GET", "/first"), Outgoing::Empty, None)
            .await
            .map(read)
            .unwrap()
            .await
            .unwrap();
        for _ in 0..2 {
            let refused = upstream
                .exchange(request(method, "/second"), Outgoing::Whole(Bytes::from_static(b"{}")), None)
                .await;
            assert!(matches!(refused, Err(UpstreamError::Broken(_))));
        }
        assert_eq!(crm.received().len(), 3, "{method}");
    }
}

/// A connection the upstream closed while it was idle costs nothing but a new one.
#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced() {
    let crm = Scripted::start(|_| json("{}").into_iter().chain([Act::Close]).collect()).await;
    let upstream = upstream(to(&crm));
    for _ in 0..10 {
        get_all(&upstream).await.unwrap();
        crm.departure().await;
    }
    assert_eq!(crm.received().len(), 10);
}

#[tokio::test]
async fn a_slot_is_held_to_the_last_byte() {
    let gate = Gate::closed();
    let crm = Scripted::start({
        let gate = gate.clone();
        move |_| vec![Act::Send(BEGUN.into()), Act::Wait(gate.clone()), Act::Send(b"67890".to_vec())]
    })
    .await;
    let upstream = upstream(UpstreamConfig { max_connections: 1, ..to(&crm) });
    let slow = get(&upstream).await.unwrap();
    assert!(matches!(get(&upstream).await, Err(UpstreamError::Busy)));
    gate.open();
    assert_eq!(read(slow).await.unwrap(), b"1234567890");
    assert!(get(&upstream).await.is_ok());
}

#[tokio::test]
async fn a_callers_body_that_fails_is_the_callers_fault() {
    let crm = Scripted::start(|_| json("{}")).await;
    let broken = StreamBody::new(futures_util::stream::iter([
        Ok(Frame::data(Bytes::from_static(b"abc"))),
        Err(std::io::Error::other("gone")),
    ]));
    let body = Outgoing::Passing(broken.map_err(Into::into).boxed_unsync());
    let refused = upstream(to(&crm)).exchange(request("POST", "/"), body, None).await.err().unwrap();
    assert!(matches!(refused, UpstreamError::Request), "{refused}");
}

#[tokio::test]
async fn interim_answers_and_trailers_go_no_further() {
    let crm = Scripted::answering(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n\
         HTTP/1.1 200 Secret reason\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n",
    )
    .await;
    let answer = get(&upstream(to(&crm))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.head().extensions.is_empty());
    assert_eq!(read(answer).await.unwrap(), b"ok");
}

/// A server that speaks HTTP/2: tells what it saw in a header, sends some text, and ends the stream or resets it.
async fn start_h2(tls: Arc<rustls::ServerConfig>, text: &'static str, whole: bool) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = move |request: Request<Incoming>| async move {
        let seen = format!("{} {:?}", request.uri(), request.headers().get("host"));
        let mut frames = vec![Ok(Frame::data(Bytes::from_static(text.as_bytes())))];
        frames.extend((!whole).then(|| Err(std::io::Error::other("cut"))));
        let body = StreamBody::new(futures_util::stream::iter(frames));
        Ok::<_, std::convert::Infallible>(Response::builder().header("x-seen", seen).body(body).unwrap())
    };
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let tls = tokio_rustls::TlsAcceptor::from(Arc::clone(&tls));
            tokio::spawn(async move {
                let socket = TokioIo::new(tls.accept(socket).await.unwrap());
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _gone = server.serve_connection(socket, service_fn(answer)).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn http2_is_spoken_where_it_is_offered_and_configured() {
    let authority = Authority::new();
    let trust = Trust::Pem(authority.pem().into_bytes().into());
    let port = start_h2(authority.server(&["h2"]), "abc", true).await;
    let over_http2 = UpstreamConfig {
        trust: trust.clone(),
        http2: Http2::Offered,
        host: Some("crm.example".into()),
        ..config(&format!("https://127.0.0.1:{port}/base"))
    };
    let answer = get(&upstream(over_http2.clone())).await.unwrap();
    assert_eq!(answer.head().headers["x-seen"], "https://crm.example/base/a None");
    assert_eq!(read(answer).await.unwrap(), b"abc");
    let over_http1 = UpstreamConfig { http2: Http2::Never, ..over_http2 };
    assert!(get_all(&upstream(over_http1)).await.is_err());
}

#[tokio::test]
async fn a_reset_stream_is_no_end() {
    let authority = Authority::new();
    let trust = Trust::Pem(authority.pem().into_bytes().into());
    let port = start_h2(authority.server(&["h2"]), "abc", false).await;
    let upstream = upstream(UpstreamConfig {
        trust,
        http2: Http2::Offered,
        ..config(&format!("https://127.0.0.1:{port}"))
    });
    assert!(matches!(get_all(&upstream).await, Err(UpstreamError::Broken(_))));
}
