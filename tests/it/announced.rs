//! The PROXY protocol (versions 1 and 2): who may speak it, and what the announced address is used for.

use crate::support::client::Raw;
use crate::support::gateway::{Gateway, SALES, Setup};
use crate::support::upstream::{Framing, Upstream, answer};

const ONE: &[u8] = br#"{"data":{"id":1,"name":"Ada","owner_id":"li.na"}}"#;
/// Only for who calls from a network that nobody here is in.
const FAR: &str = "guards:\n  - { name: far, on: { actions: [read] }, require: 'ip_in(principal.ip, \"203.0.113.0/24\")' }\n";

async fn upstream() -> Upstream {
    Upstream::start(|_| answer("200 OK", &["Content-Type: application/json"], ONE, Framing::Length)).await
}

/// The answer to a request behind this header; `None` if there is none.
async fn behind(gateway: &Gateway, header: &[u8], more: &str) -> Option<u16> {
    let mut raw = Raw::connect(gateway.address).await;
    let request = format!("GET /customers/1 HTTP/1.1\r\nHost: gateway\r\n{SALES}\r\n{more}\r\n");
    raw.send([header, request.as_bytes()].concat()).await;
    raw.answer(false).await.map(|answer| answer.status)
}

fn version2(command: u8, address: [u8; 4]) -> Vec<u8> {
    let rest = [&address[..], &[10, 0, 0, 1, 0x12, 0x34, 1, 187], &[4, 0, 2, 9, 9]].concat();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, 0x11, 0, 17], &rest].concat()
}

#[tokio::test]
async fn i14_the_client_that_a_listed_balancer_announces_is_the_caller() {
    let upstream = upstream().await;
    let gateway = Setup::before(&upstream)
        .policy(FAR)
        .identity("  trusted_proxies: [127.0.0.0/8]\n")
        .listener("proxy_protocol: { from: [127.0.0.0/8] }")
        .start()
        .await;
    let far = "PROXY TCP4 203.0.113.9 10.0.0.1 4660 443\r\n";
    assert_eq!(behind(&gateway, far.as_bytes(), "").await, Some(200));
    assert_eq!(behind(&gateway, &version2(0x21, [203, 0, 113, 9]), "").await, Some(200));
    let near = "PROXY TCP4 198.51.100.9 10.0.0.1 4660 443\r\n";
    assert_eq!(behind(&gateway, near.as_bytes(), "").await, Some(403));
    // The balancer is trusted to announce, not to pass on what its clients write.
    let forged = "X-Forwarded-For: 203.0.113.9\r\n";
    assert_eq!(behind(&gateway, near.as_bytes(), forged).await, Some(403));
    // It speaks for itself.
    assert_eq!(behind(&gateway, &version2(0x20, [203, 0, 113, 9]), "").await, Some(403));
    assert_eq!(behind(&gateway, b"PROXY UNKNOWN\r\n", "").await, Some(403));
    assert_eq!(upstream.received().len(), 2);
    let records = gateway.end().await;
    assert_eq!(records[0]["announced"], "203.0.113.9:4660");
    assert_eq!(records[0]["principal"]["ip"], "203.0.113.9");
    assert!(records[0]["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(records[4]["announced"].is_null());
}

#[tokio::test]
async fn s05_a_listed_peer_that_announces_nobody_is_not_served() {
    let upstream = upstream().await;
    let gateway = Setup::before(&upstream).listener("proxy_protocol: { from: [127.0.0.0/8] }").start().await;
    for header in [
        &b""[..],
        b"PROXY TCP4 203.0.113.9 10.0.0.1 4660 443\n",
        b"PROXY TCP4 a b c d\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
    ] {
        assert_eq!(behind(&gateway, header, "").await, None, "{header:?}");
    }
    assert!(gateway.metric("fieldgate_connections_refused_total", "proxy_protocol").await >= 4.0);
    assert!(upstream.received().is_empty() && gateway.end().await.is_empty());
}

#[tokio::test]
async fn i14_nobody_else_announces_anybody() {
    let upstream = upstream().await;
    for listener in ["proxy_protocol: { from: [10.0.0.0/8] }", "http2: true"] {
        let gateway = Setup::before(&upstream).listener(listener).start().await;
        assert_eq!(behind(&gateway, b"", "").await, Some(200), "{listener}");
        let before = upstream.received().len();
        let one = behind(&gateway, b"PROXY TCP4 203.0.113.9 10.0.0.1 4660 443\r\n", "").await;
        let two = behind(&gateway, &version2(0x21, [203, 0, 113, 9]), "").await;
        assert!(one.is_none_or(|status| status == 400) && two.is_none_or(|status| status == 400));
        assert_eq!(upstream.received().len(), before, "{listener}");
    }
}

#[tokio::test]
async fn s15_a_header_that_does_not_come_ends_the_connection() {
    let gateway = Setup::before(&upstream().await)
        .listener("proxy_protocol: { from: [127.0.0.1] }")
        .config("bounds: { handshake_time: 50ms }\n")
        .start()
        .await;
    let mut raw = Raw::connect(gateway.address).await;
    raw.send(b"PROXY TCP4 203.0").await;
    assert!(raw.answer(false).await.is_none());
}
