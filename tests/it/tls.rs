//! S17 of the threats: what TLS could be made to say beside the request. The certificate and refusals of clients are in
//! `callers::certificates`, slow handshakes in `slowness`.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::gateway::{Gateway, SALES, Setup};
use crate::support::pki::Authority;
use crate::support::upstream::{Upstream, json};

const ONE: &str = r#"{"data":{"id":1,"name":"Ada","owner_id":"li.na"}}"#;

async fn started() -> (Upstream, Gateway, Authority) {
    let (upstream, authority) = (Upstream::start(|_| json(ONE)).await, Authority::new());
    let server = authority.issue("gate.example");
    let setup = Setup::before(&upstream).listener("tls: { certificate: cert.pem, key: key.pem }");
    let gateway = setup
        .start_with(|dir| {
            std::fs::write(dir.join("cert.pem"), server.certificate).unwrap();
            std::fs::write(dir.join("key.pem"), server.key).unwrap();
        })
        .await;
    (upstream, gateway, authority)
}

type Connection = tokio_rustls::client::TlsStream<TcpStream>;

async fn connect(gateway: &Gateway, tls: &Arc<rustls::ClientConfig>) -> Connection {
    let name = ServerName::try_from("gate.example").unwrap();
    let socket = TcpStream::connect(gateway.address).await.unwrap();
    tokio_rustls::TlsConnector::from(Arc::clone(tls)).connect(name, socket).await.unwrap()
}

/// The status of a request for a host over a connection for `gate.example`.
async fn status(gateway: &Gateway, tls: &Arc<rustls::ClientConfig>, target: &str, host: &str) -> String {
    let mut connection = connect(gateway, tls).await;
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{SALES}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    let _closed = connection.read_to_end(&mut all).await;
    String::from_utf8_lossy(&all).split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn s17_a_host_that_the_handshake_did_not_name_is_misdirected() {
    let (upstream, gateway, authority) = started().await;
    let tls = authority.client(&["http/1.1"]);
    for host in ["gate.example", "GATE.example", "gate.example:8443", "gate.example."] {
        assert_eq!(status(&gateway, &tls, "/customers/1", host).await, "200", "{host}");
    }
    let good = upstream.received().len();
    for host in ["other.example", "gate.example.evil", "127.0.0.1", "[::1]", "example"] {
        assert_eq!(status(&gateway, &tls, "/customers/1", host).await, "421", "{host}");
    }
    let absolute = status(&gateway, &tls, "http://other.example/customers/1", "other.example").await;
    assert_eq!(absolute, "421");
    assert_eq!(upstream.received().len(), good, "the upstream saw none of them");
    assert_eq!(gateway.end().await.len(), good + 6, "each has its record");
}

#[tokio::test]
async fn s17_no_data_comes_early_and_nothing_is_said_in_old_versions() {
    let (upstream, gateway, authority) = started().await;
    let mut early = Arc::unwrap_or_clone(authority.client(&["http/1.1"]));
    early.enable_early_data = true;
    let early = Arc::new(early);
    for _ in 0..3 {
        assert_eq!(status(&gateway, &early, "/customers/1", "gate.example").await, "200");
        // A ticket that allowed it would make room for it before the handshake.
        let name = ServerName::try_from("gate.example").unwrap();
        let mut again = rustls::ClientConnection::new(Arc::clone(&early), name).unwrap();
        assert!(again.early_data().is_none());
    }
    let seen = upstream.received().len();
    // ClientHellos of TLS 1.1 and 1.0, and of SSL 2: an alert or nothing, and never a request.
    for version in [0x02, 0x01, 0x00] {
        let mut hello = vec![3, version];
        hello.extend_from_slice(&[7; 32]);
        hello.extend_from_slice(&[0, 0, 4, 0xc0, 0x13, 0x00, 0x2f, 1, 0]);
        let length = u16::try_from(hello.len()).unwrap().to_be_bytes();
        let record =
            [&[22, 3, 1, 0, u8::try_from(hello.len() + 4).unwrap(), 1, 0][..], &length, &hello].concat();
        let mut socket = TcpStream::connect(gateway.address).await.unwrap();
        socket.write_all(&record).await.unwrap();
        let mut all = Vec::new();
        let _closed = socket.read_to_end(&mut all).await;
        assert!(all.first().is_none_or(|kind| *kind == 21), "{all:?}");
    }
    let mut plain = TcpStream::connect(gateway.address).await.unwrap();
    let request = format!("GET /customers/1 HTTP/1.1\r\nHost: gate.example\r\n{SALES}\r\n\r\n");
    plain.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    let _closed = plain.read_to_end(&mut all).await;
    assert!(!all.starts_with(b"HTTP"), "there is no HTTP without TLS on this port");
    assert_eq!(upstream.received().len(), seen);
}

#[tokio::test]
async fn s17_a_resumed_session_brings_no_identity_with_it() {
    let (upstream, gateway, authority) = started().await;
    let tls = authority.client(&["http/1.1"]);
    assert_eq!(status(&gateway, &tls, "/customers/1", "gate.example").await, "200");
    let mut again = connect(&gateway, &tls).await;
    again
        .write_all(b"GET /customers/1 HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut all = Vec::new();
    let _closed = again.read_to_end(&mut all).await;
    assert!(all.starts_with(b"HTTP/1.1 401"), "whoever comes back says again who it is");
    assert_eq!(upstream.received().len(), 1);
}
