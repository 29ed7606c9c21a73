//! Callers that are slow, many, or speak HTTP/1.0: each is bounded by something that is stated. The bounds are set
//! low and waited for; nothing here depends on how fast anything is.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::Raw;
use crate::support::gateway::{Gateway, MANAGER, SALES, Setup};
use crate::support::pki::Authority;
use crate::support::upstream::{Act, Framing, Gate, Upstream, answer, chunks, json};

const ONE: &str = r#"{"data":{"id":1,"name":"Ada","owner_id":"li.na"}}"#;

async fn one_customer() -> Upstream {
    Upstream::start(|_| json(ONE)).await
}

/// Everything up to the end, and whether the end was one in good order and no reset.
async fn all(socket: &mut TcpStream) -> (String, bool) {
    let (mut read, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    let ended = async {
        loop {
            match socket.read(&mut buffer).await {
                Ok(0) => break true,
                Ok(count) => read.extend_from_slice(&buffer[..count]),
                Err(_) => break false,
            }
        }
    };
    let orderly = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the connection ends");
    (String::from_utf8(read).expect("text"), orderly)
}

async fn open(gateway: &Gateway, text: &str) -> TcpStream {
    let mut socket = TcpStream::connect(gateway.address).await.expect("a listener");
    socket.write_all(text.as_bytes()).await.expect("an open socket");
    socket
}

#[tokio::test]
async fn s15_a_body_that_does_not_come_is_refused_with_408_and_goes_nowhere() {
    let upstream = one_customer().await;
    let gateway = Setup::before(&upstream).config("bounds: { body_time: 100ms }\n").start().await;
    let head =
        format!("PUT /customers/1 HTTP/1.1\r\nHost: a\r\n{MANAGER}\r\nContent-Type: application/json\r\n");
    for body in
        ["Content-Length: 13\r\n\r\n{\"name\"", "Transfer-Encoding: chunked\r\n\r\n7\r\n{\"name\"\r\n"]
    {
        let (answer, _) = all(&mut open(&gateway, &format!("{head}{body}")).await).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    }
    assert!(upstream.received().is_empty());
    let records = gateway.end().await;
    assert!(records.len() == 2 && records.iter().all(|record| record["status"] == 408), "{records:?}");
}

#[tokio::test]
async fn s15_a_head_that_does_not_come_ends_the_connection() {
    let upstream = one_customer().await;
    let gateway = Setup::before(&upstream).config("bounds: { head_time: 100ms }\n").start().await;
    let good = format!("GET /customers/1 HTTP/1.1\r\nHost: a\r\n{SALES}\r\n\r\n");
    for (text, answers) in [
        ("", 0),
        ("GET /customers/1 HTTP/1.1\r\n", 0),
        ("PRI * HTTP/2.0\r\n", 0),
        // Kept alive, and then nothing more, or half of the next.
        (good.as_str(), 1),
        (&format!("{good}GET /cust"), 1),
    ] {
        let (answer, _) = all(&mut open(&gateway, text).await).await;
        assert_eq!(answer.matches("HTTP/1.1 200").count(), answers, "{text:?}: {answer}");
    }
    assert!(gateway.metric("fieldgate_connections_refused_total", "head_time").await >= 1.0);
}

#[tokio::test]
async fn s17_a_handshake_that_does_not_come_ends_the_connection() {
    let authority = Authority::new();
    let upstream = one_customer().await;
    let gateway = Setup::before(&upstream)
        .listener("tls: { certificate: cert.pem, key: key.pem }")
        .config("bounds: { handshake_time: 100ms }\n")
        .start_with(|dir| {
            let identity = authority.issue("127.0.0.1");
            std::fs::write(dir.join("cert.pem"), identity.certificate).unwrap();
            std::fs::write(dir.join("key.pem"), identity.key).unwrap();
        })
        .await;
    assert_eq!(all(&mut open(&gateway, "").await).await.0, "");
    assert_eq!(gateway.metric("fieldgate_connections_refused_total", "handshake_time").await, 1.0);
    // Neither does one that is none: no request in the clear is answered on a listener with TLS.
    let mut plain = open(&gateway, &format!("GET /customers/1 HTTP/1.1\r\nHost: a\r\n{SALES}\r\n\r\n")).await;
    let mut read = Vec::new();
    let _reset_or_closed = plain.read_to_end(&mut read).await;
    assert!(!read.windows(4).any(|window| window == b"HTTP"), "{read:?}");
    assert_eq!(gateway.metric("fieldgate_connections_refused_total", "\"handshake\"").await, 1.0);
    let mut good = Raw::connect_tls(gateway.address, authority.client(&[])).await;
    assert_eq!(good.get("/customers/1", &[SALES]).await.status, 200);
}

#[tokio::test]
async fn s15_connections_beyond_the_bound_wait_until_one_ends() {
    let gate = Gate::closed();
    let waiting = gate.clone();
    let upstream = Upstream::start(move |request| match request.target.as_str() {
        "/customers/2" => [vec![Act::Wait(waiting.clone())], json(ONE)].concat(),
        _ => json(ONE),
    })
    .await;
    let gateway = Setup::before(&upstream).config("bounds: { connections: 2 }\n").start().await;
    let busy = format!("GET /customers/2 HTTP/1.1\r\nHost: a\r\n{MANAGER}\r\nConnection: close\r\n\r\n");
    let (first, second) = (open(&gateway, &busy).await, open(&gateway, &busy).await);
    upstream.arrival().await;
    upstream.arrival().await;
    let third = open(&gateway, &busy.replace("customers/2", "customers/1")).await;
    assert_eq!(gateway.metric("fieldgate_connections_open", "public").await, 2.0);
    assert_eq!(upstream.received().len(), 2, "the third is not taken");
    gate.open();
    gate.open();
    for mut socket in [first, second, third] {
        assert!(all(&mut socket).await.0.starts_with("HTTP/1.1 200"));
    }
}

/// A list that streams, with its end under the test's control.
async fn streaming(rest: Vec<Act>) -> Upstream {
    Upstream::start(move |_| {
        let line = format!("{{\"id\":1,\"name\":\"{}\"}}\n", "n".repeat(1000));
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
        let begun = [head.as_bytes(), &chunks(line.repeat(200).as_bytes(), 1 << 14)].concat();
        [vec![Act::Send(begun)], rest.clone()].concat()
    })
    .await
}

const EXPORT: &str = "GET /export HTTP/1.0\r\nAuthorization: Bearer manager-key-0000\r\n\r\n";

#[tokio::test]
async fn an_answer_to_http_1_0_that_is_whole_ends_in_good_order() {
    let gateway = Setup::before(&streaming(vec![Act::Send(b"0\r\n\r\n".to_vec())]).await).start().await;
    let (text, orderly) = all(&mut open(&gateway, EXPORT).await).await;
    assert!(text.starts_with("HTTP/1.0 200") && orderly, "{}", text.lines().next().unwrap_or_default());
    assert!(!text.to_ascii_lowercase().contains("transfer-encoding"));
    assert_eq!(text.matches("{\"id\":1").count(), 200);

    let gateway = Setup::before(&one_customer().await).start().await;
    let (text, orderly) = all(&mut open(&gateway, &EXPORT.replace("export", "customers/1")).await).await;
    assert!(orderly && text.ends_with(ONE) && text.contains("content-length: 49"), "{text}");
}

#[tokio::test]
async fn an_answer_to_http_1_0_that_is_cut_ends_with_a_reset() {
    for (name, rest) in [
        ("closed", vec![Act::Close]),
        ("reset", vec![Act::Reset]),
        ("broken", vec![Act::Send([chunks(b"{\"id\":01}\n", 64), b"0\r\n\r\n".to_vec()].concat())]),
    ] {
        let gateway = Setup::before(&streaming(rest).await).start().await;
        let (_, orderly) = all(&mut open(&gateway, EXPORT).await).await;
        assert!(!orderly, "{name}: without a length, only a reset tells that something is missing");
        assert_eq!(gateway.end().await[0]["outcome"], "cut", "{name}");
    }
}

#[tokio::test]
async fn an_answer_to_http_1_0_that_a_drain_cuts_ends_with_a_reset() {
    let mut gateway = Setup::before(&streaming(vec![Act::Stall]).await).config("drain: 50ms\n").start().await;
    let mut socket = open(&gateway, EXPORT).await;
    socket.readable().await.expect("an open socket");
    gateway.tell_to_stop();
    let (text, orderly) = all(&mut socket).await;
    assert!(text.starts_with("HTTP/1.0 200") && !orderly);
}

#[tokio::test]
async fn a_public_routes_body_is_bounded_in_bytes_and_time() {
    let upstream =
        Upstream::start(|_| answer("200 OK", &["Content-Type: text/plain"], b"in", Framing::Length)).await;
    let setup = || {
        let policy = crate::support::gateway::POLICY
            .replace("match: GET /healthz, public", "match: POST /login, public");
        (Setup::before(&upstream).with_policy(&policy), "POST /login HTTP/1.1\r\nHost: a\r\n")
    };
    let (small, head) = setup();
    let gateway = small.config("bounds: { body: 1KiB }\n").start().await;
    assert_eq!(gateway.request("POST", "/login", &[], Some("me")).await.status, 200);
    assert_eq!(upstream.only_request().text(), "me");
    assert_eq!(gateway.request("POST", "/login", &[], Some(&"x".repeat(1025))).await.status, 413);
    let chunked = chunks("x".repeat(1025).as_bytes(), 100);
    let text =
        format!("{head}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", String::from_utf8_lossy(&chunked));
    let (answer, _) = all(&mut open(&gateway, &text).await).await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");

    let (slow, head) = setup();
    let gateway = slow.config("bounds: { body_time: 100ms }\n").start().await;
    let (answer, _) = all(&mut open(&gateway, &format!("{head}Content-Length: 5\r\n\r\nx")).await).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(upstream.received().len(), 1, "no body that was not whole was taken for one");
}
