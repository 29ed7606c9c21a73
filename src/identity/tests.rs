use std::net::SocketAddr;
use std::time::Duration;

use http::Request;
use jiff::Timestamp;

use super::*;
use crate::base::{ManualClock, Secret};

fn identity() -> Identity {
    let key = StaticKey {
        id: "sales".into(),
        key: Secret::new("demo-sales".to_owned()),
        owner: KeyOwner { principal: "li.na".into(), ..KeyOwner::default() },
        expires: None,
        disabled: false,
    };
    let config =
        Config { keys: vec![key], trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..Config::default() };
    let clock = ManualClock::at(Timestamp::from_second(1_800_000_000).unwrap());
    Identity::new(config, None, authorities(), Arc::new(Metrics::new()), Arc::new(clock))
        .unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn authorities() -> Arc<Authorities> {
    Authorities::new(AuthoritySet::read(&[]).unwrap())
}

async fn judged(peer: &str, headers: &[(&str, &str)]) -> Result<Principal, Unauthenticated> {
    let mut request = Request::builder().uri("/api/v1/customers?limit=5");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (mut head, ()) = request.body(()).unwrap().into_parts();
    let addr: SocketAddr = peer.parse().unwrap();
    let peer = Peer {
        addr,
        announced: None,
        listener: "main".into(),
        tls: false,
        server_name: None,
        certificate: None,
    };
    identity().authenticate(&peer, &mut head).await.map_err(|refusal| refusal.why)
}

#[tokio::test]
async fn a_key_makes_a_principal_with_the_callers_address() {
    for header in [("authorization", "Bearer demo-sales"), ("x-api-key", "demo-sales")] {
        let principal = judged("192.0.2.7:1234", &[header, ("x-forwarded-for", "10.9.9.9")]).await.unwrap();
        assert_eq!((principal.issuer(), principal.id()), ("keys", "li.na"));
        assert_eq!(principal.ip().to_string(), "192.0.2.7", "what the caller says of itself does not count");
    }
    let behind = [("x-api-key", "demo-sales"), ("x-forwarded-for", "203.0.113.9")];
    let principal = judged("10.0.0.1:1234", &behind).await.unwrap();
    assert_eq!(principal.ip().to_string(), "203.0.113.9");
}

#[tokio::test]
async fn i13_headers_that_name_a_person_name_nobody() {
    for name in ["x-forwarded-user", "x-remote-user", "remote-user", "x-user-id", "x-forwarded-email"] {
        let refusal = judged("10.0.0.1:1", &[(name, "admin")]).await.unwrap_err();
        assert_eq!(refusal, Unauthenticated::Missing, "{name}");
        let principal = judged("10.0.0.1:1", &[(name, "admin"), ("x-api-key", "demo-sales")]).await.unwrap();
        assert_eq!(principal.id(), "li.na");
    }
}

#[tokio::test]
async fn i15_a_good_key_beside_a_token_is_refused() {
    let both = [("authorization", "Bearer a.b.c"), ("x-api-key", "demo-sales")];
    assert_eq!(judged("192.0.2.7:1", &both).await.unwrap_err(), Unauthenticated::Several);
}

#[tokio::test]
async fn i19_whoever_presents_nothing_good_is_nobody() {
    assert_eq!(judged("127.0.0.1:1", &[]).await.unwrap_err(), Unauthenticated::Missing);
    let wrong = judged("127.0.0.1:1", &[("x-api-key", "demo-admin")]).await.unwrap_err();
    assert_eq!(wrong, Unauthenticated::UnknownKey);
    assert_ne!(wrong.challenge(), Unauthenticated::Missing.challenge());
}

#[test]
fn faults_in_the_configuration_are_all_named() {
    let key = |id: &str, text: &str, principal: &str| StaticKey {
        id: id.into(),
        key: Secret::new(text.to_owned()),
        owner: KeyOwner { principal: principal.into(), ..KeyOwner::default() },
        expires: None,
        disabled: false,
    };
    let config = Config {
        keys: vec![
            key("a", "short", "p"),
            key("b", "with space", "p"),
            key("c", "fg_looks-like-one", "p"),
            key("d", "long-enough", ""),
            key("d", "another-one", "p"),
            key("e", "another-one", "p"),
        ],
        issuers: vec![
            Issuer { audiences: Vec::new(), ..Issuer::new("https://a.example", "x") },
            Issuer { algorithms: Vec::new(), ..Issuer::new("https://a.example", "x") },
            Issuer::new("http://b.example", "x"),
            Issuer {
                keys: KeySource::Url("ftp://c.example".into()),
                ..Issuer::new("https://c.example", "x")
            },
            Issuer { max_age: Duration::ZERO, ..Issuer::new("https://d.example", "x") },
            Issuer { ca_file: Some("/no/such/file".into()), ..Issuer::new("https://e.example", "x") },
            Issuer { keys: KeySource::Fixed("{}".into()), ..Issuer::new("https://f.example", "x") },
            Issuer {
                claims: ClaimNames { groups: vec!["a..b".into()], ..ClaimNames::default() },
                ..Issuer::new("https://g.example", "x")
            },
        ],
        ..Config::default()
    };
    let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
    let faults =
        Identity::new(config, None, authorities(), Arc::new(Metrics::new()), Arc::new(clock)).err().unwrap();
    let mut places: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(
        places,
        [
            "issuers[0].audiences",
            "issuers[1].algorithms",
            "issuers[1].issuer",
            "issuers[2].issuer",
            "issuers[3].keys",
            "issuers[4].max_age",
            "issuers[5].ca_file",
            "issuers[6].keys",
            "issuers[7].claims",
            "keys[0].key",
            "keys[1].key",
            "keys[2].key",
            "keys[3].principal",
            "keys[4]",
            "keys[5]",
        ]
    );
    for fault in &faults {
        assert!(!fault.message.contains("another-one"), "a secret is never shown: {}", fault.message);
        assert!(!fault.help.is_empty());
    }
}
