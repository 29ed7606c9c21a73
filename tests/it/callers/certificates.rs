//! Client certificates over real TLS.

use std::path::Path;
use std::sync::Arc;

use fieldgate::app::Why;
use serde_json::json;

use crate::support::client::{H2, Raw};
use crate::support::gateway::{Gateway, SALES, Setup};
use crate::support::pki::{Authority, Identity};
use crate::support::upstream::{Upstream, json as answer};

const DATA: &str = r#"{"data":[{"id":1,"name":"Ada","owner_id":"li.na","phone":"13800138000"}],"total":1}"#;
const ETL: &str = "spiffe://prod.example/crm/etl";

/// A gateway with TLS by `server`, whose callers' certificates are `clients`'.
struct Scene {
    upstream: Upstream,
    server: Authority,
    clients: Authority,
    gateway: Gateway,
}

fn authority(subject: &str, more: &str) -> String {
    format!(
        "  certificates:\n    - {{ name: corp, ca: client-ca.pem, subject: {subject}, groups: [managers]{more} }}"
    )
}

fn write_server(dir: &Path, server: &Authority) {
    let identity = server.issue("127.0.0.1");
    std::fs::write(dir.join("cert.pem"), identity.certificate).unwrap();
    std::fs::write(dir.join("key.pem"), identity.key).unwrap();
}

impl Scene {
    async fn new(policy: &str, identity: &str) -> Self {
        Self::with(policy, identity, |_, _| {}).await
    }

    async fn with(policy: &str, identity: &str, add: impl FnOnce(&Path, &Authority)) -> Self {
        let upstream = Upstream::start(|_| answer(DATA)).await;
        let (server, clients) = (Authority::new(), Authority::new());
        let listener =
            format!("tls: {{ certificate: cert.pem, key: key.pem, client_certificates: {policy} }}");
        let setup = Setup::before(&upstream).listener(&listener).identity(identity);
        let gateway = setup
            .start_with(|dir| {
                write_server(dir, &server);
                std::fs::write(dir.join("client-ca.pem"), clients.pem()).unwrap();
                add(dir, &clients);
            })
            .await;
        Self { upstream, server, clients, gateway }
    }

    async fn spiffe(more: &str) -> Self {
        Self::new("required", &authority("spiffe, trust_domain: prod.example", more)).await
    }

    fn showing(&self, identity: &Identity) -> Arc<rustls::ClientConfig> {
        self.server.client_showing(identity, &["http/1.1"])
    }

    async fn connect(&self, identity: &Identity) -> Raw {
        Raw::connect_tls(self.gateway.address, self.showing(identity)).await
    }

    async fn status(&self, identity: &Identity) -> u16 {
        self.connect(identity).await.get("/customers", &[]).await.status
    }

    /// Whether a connection is refused before it carries a request.
    async fn is_shut_out(&self, tls: Arc<rustls::ClientConfig>) -> bool {
        let socket = tokio::net::TcpStream::connect(self.gateway.address).await.unwrap();
        let name = rustls::pki_types::ServerName::IpAddress(self.gateway.address.ip().into());
        // TLS 1.3: the client may be done before the server has looked at its certificate.
        let Ok(mut stream) = tokio_rustls::TlsConnector::from(tls).connect(name, socket).await else {
            return true;
        };
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let _closed = stream.write_all(b"GET /customers HTTP/1.1\r\nHost: gateway\r\n\r\n").await;
        !matches!(stream.read(&mut [0; 1]).await, Ok(1))
    }
}

#[tokio::test]
async fn a_workload_is_its_spiffe_id() {
    let scene = Scene::spiffe("").await;
    let etl = scene.clients.issue_spiffe(ETL);
    assert_eq!(scene.connect(&etl).await.get("/customers", &[]).await.json()["total"], 1);
    let mut h2 = H2::connect_tls(scene.gateway.address, scene.server.client_showing(&etl, &["h2"])).await;
    assert_eq!(h2.get("/customers", &[]).await.unwrap().status(), 200);
    let sent = scene.upstream.received();
    assert!(sent.iter().all(|sent| !String::from_utf8_lossy(&sent.raw).contains("spiffe")));
    let records = scene.gateway.end().await;
    assert_eq!(records.len(), 2);
    let principal = &records[0]["principal"];
    assert_eq!((&principal["issuer"], &principal["id"]), (&json!("spiffe://prod.example"), &json!(ETL)));
    assert_eq!((&principal["method"], &principal["kind"]), (&json!("certificate"), &json!("service")));
}

#[tokio::test]
async fn i21_who_shows_no_certificate_or_a_strangers_has_no_connection() {
    let scene = Scene::spiffe("").await;
    assert!(scene.is_shut_out(scene.server.client(&["http/1.1"])).await, "none");
    let stranger = Authority::new().issue_spiffe(ETL);
    assert!(scene.is_shut_out(scene.showing(&stranger)).await, "another authority's");
    let over = scene.clients.issue_to(|params| {
        params.subject_alt_names.push(rcgen::SanType::URI(ETL.try_into().unwrap()));
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    assert!(scene.is_shut_out(scene.showing(&over)).await, "over");
    let for_servers = scene.clients.issue_to(|params| {
        params.subject_alt_names.push(rcgen::SanType::URI(ETL.try_into().unwrap()));
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert!(scene.is_shut_out(scene.showing(&for_servers)).await, "a server's");
    assert!(scene.upstream.received().is_empty());
}

#[tokio::test]
async fn i21_a_certificate_that_names_nobody_clearly_names_nobody() {
    let scene = Scene::spiffe("").await;
    let uris = |uris: &[&str]| {
        let names = uris.iter().map(|uri| rcgen::SanType::URI((*uri).try_into().unwrap()));
        scene.clients.issue_to(|params| params.subject_alt_names.extend(names))
    };
    for (what, certificate) in [
        ("another trust domain", uris(&["spiffe://test.example/crm/etl"])),
        ("two ids", uris(&[ETL, "spiffe://prod.example/admin"])),
        ("no workload", uris(&["spiffe://prod.example"])),
        ("no SPIFFE id", uris(&["https://prod.example/crm/etl"])),
        ("no name", scene.clients.issue_to(|_| ())),
    ] {
        assert_eq!(scene.status(&certificate).await, 401, "{what}");
    }
    assert!(scene.upstream.received().is_empty());

    let scene = Scene::new("required", &authority("common_name", "")).await;
    let named = |names: &[&str]| {
        scene.clients.issue_to(|params| {
            for name in names {
                params.distinguished_name.push(rcgen::DnType::CommonName, *name);
            }
        })
    };
    assert_eq!(scene.status(&named(&["etl"])).await, 200);
    assert_eq!(scene.status(&named(&["etl\0.evil"])).await, 401, "cut short by a NUL");
    assert_eq!(scene.status(&named(&[])).await, 401);
}

#[tokio::test]
async fn i21_revoked_means_the_next_request_on_open_connections_too() {
    let identity = authority("spiffe, trust_domain: prod.example", ", crl: [client.crl]");
    let none = |dir: &Path, clients: &Authority| {
        std::fs::write(dir.join("client.crl"), clients.revoke(&[], 2100)).unwrap();
    };
    let scene = Scene::with("required", &identity, none).await;
    let issue = |serial: u64| {
        scene.clients.issue_to(|params| {
            params.serial_number = Some(serial.into());
            params.subject_alt_names.push(rcgen::SanType::URI(ETL.try_into().unwrap()));
        })
    };
    let (good, leaver) = (issue(1), issue(2));
    let (mut stays, mut leaves) = (scene.connect(&good).await, scene.connect(&leaver).await);
    assert_eq!(stays.get("/customers", &[]).await.status, 200);
    assert_eq!(leaves.get("/customers", &[]).await.status, 200);

    let write = |text: String| std::fs::write(scene.gateway.dir().join("client.crl"), text).unwrap();
    write(scene.clients.revoke(&[2], 2100));
    scene.gateway.reloader.reload(Why::Asked).await.unwrap();
    assert_eq!(stays.get("/customers", &[]).await.status, 200);
    assert_eq!(leaves.get("/customers", &[]).await.status, 401);
    assert!(scene.is_shut_out(scene.showing(&leaver)).await);
    assert_eq!(scene.status(&good).await, 200);

    write("broken".to_owned());
    assert!(scene.gateway.reloader.reload(Why::Asked).await.is_err());
    assert_eq!(leaves.get("/customers", &[]).await.status, 401, "the last good list stays");
    assert_eq!(scene.status(&good).await, 200);

    write(scene.clients.revoke(&[], 2021));
    scene.gateway.reloader.reload(Why::Asked).await.unwrap();
    assert_eq!(stays.get("/customers", &[]).await.status, 401, "a list that is over vouches for nobody");
}

#[tokio::test]
async fn s17_no_session_and_no_connection_outlives_its_authority() {
    let scene = Scene::spiffe("").await;
    let etl = scene.clients.issue_spiffe(ETL);
    let tls = scene.showing(&etl);
    for _ in 0..2 {
        let socket = tokio::net::TcpStream::connect(scene.gateway.address).await.unwrap();
        let name = rustls::pki_types::ServerName::IpAddress(scene.gateway.address.ip().into());
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&tls));
        let mut stream = connector.connect(name, socket).await.unwrap();
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let request = "GET /customers HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        let _closed = stream.read_to_end(&mut all).await;
        assert!(all.starts_with(b"HTTP/1.1 200"));
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full));
    }
    let mut open = scene.connect(&etl).await;
    assert_eq!(open.get("/customers", &[]).await.status, 200);
    let successor = Authority::new();
    std::fs::write(scene.gateway.dir().join("client-ca.pem"), successor.pem()).unwrap();
    scene.gateway.reloader.reload(Why::Asked).await.unwrap();
    assert_eq!(open.get("/customers", &[]).await.status, 401);
    assert!(scene.is_shut_out(scene.showing(&etl)).await);
    assert_eq!(scene.status(&successor.issue_spiffe(ETL)).await, 200, "without a restart");
}

#[tokio::test]
async fn i15_a_certificate_beside_another_credential_is_refused_unless_it_names_nobody() {
    let scene = Scene::new("optional", &authority("spiffe, trust_domain: prod.example", "")).await;
    let etl = scene.clients.issue_spiffe(ETL);
    assert_eq!(scene.status(&etl).await, 200);
    assert_eq!(scene.connect(&etl).await.get("/customers", &[SALES]).await.status, 401);
    let mut without = Raw::connect_tls(scene.gateway.address, scene.server.client(&["http/1.1"])).await;
    assert_eq!(without.get("/customers", &[]).await.status, 401);
    assert_eq!(without.get("/customers", &[SALES]).await.status, 200);

    let scene = Scene::new("required", &authority("nothing", "")).await;
    let laptop = scene.clients.issue_to(|_| ());
    let mut connection = scene.connect(&laptop).await;
    assert_eq!(connection.get("/customers", &[]).await.status, 401);
    assert_eq!(connection.get("/customers", &[SALES]).await.status, 200);
    assert_eq!(scene.gateway.end().await[1]["principal"]["id"], "li.na");
}

#[tokio::test]
async fn i13_a_front_proxy_is_known_by_its_certificate() {
    let identity = authority("spiffe, trust_domain: prod.example", "")
        + "\n  front_proxies:
    - issuer: https://sso.example
      certificates: [{ authority: corp, id: 'spiffe://prod.example/front' }]
      headers: { id: X-Sso-User, groups: X-Sso-Groups }";
    let scene = Scene::new("optional", &identity).await;
    let front = scene.clients.issue_spiffe("spiffe://prod.example/front");
    let user = ["X-Sso-User: li.na", "X-Sso-Groups: sales"];
    let mut proxied = scene.connect(&front).await;
    assert_eq!(proxied.get("/customers", &user).await.status, 200);
    assert_eq!(proxied.get("/customers", &[]).await.status, 401, "a proxy is not its callers");
    assert_eq!(proxied.get("/customers", &[SALES]).await.status, 200, "a caller's own key comes through it");
    assert_eq!(proxied.get("/customers", &[user[0], SALES]).await.status, 401);
    let etl = scene.clients.issue_spiffe(ETL);
    assert_eq!(scene.connect(&etl).await.get("/customers", &user).await.status, 200, "as itself");
    let sent = scene.upstream.received();
    assert!(
        sent.iter().all(|sent| sent.header("x-sso-user").is_none() && sent.header("x-sso-groups").is_none())
    );
    let records = scene.gateway.end().await;
    assert_eq!(records[0]["principal"]["issuer"], "https://sso.example");
    assert_eq!(records[0]["principal"]["method"], "front-proxy");
    assert_eq!(records[4]["principal"]["id"], ETL);
}
