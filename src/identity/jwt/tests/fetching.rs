//! Where keys come from: discovery, rotation, outages, hostile answers.

use std::sync::Arc;
use std::time::Duration;

use super::support::{Server, Signer};
use super::{EC, RSA, clock, with};
use crate::base::ManualClock;
use crate::identity::Tools;
use crate::identity::config::{Config, Issuer, KeySource};
use crate::identity::jwt::Tokens;
use crate::identity::unauthenticated::{TokenFault, Unauthenticated};
use serde_json::json;

const DISCOVERY: &str = "/.well-known/openid-configuration";

struct Scene {
    server: Server,
    clock: ManualClock,
    tokens: Tokens,
}

impl Scene {
    async fn new(change: impl FnOnce(&mut Issuer)) -> Self {
        Self::at(Server::plain().await, change)
    }

    fn at(server: Server, change: impl FnOnce(&mut Issuer)) -> Self {
        let mut issuer = Issuer::new(&server.url, "crm");
        change(&mut issuer);
        let clock = clock();
        let config = Config { issuers: vec![issuer], ..Config::default() };
        assert_eq!(config.faults(), []);
        let tokens = Tokens::new(&config, &Tools::for_tests(&clock)).unwrap_or_else(|f| panic!("{f:?}"));
        Self { server, clock, tokens }
    }

    async fn judged(&self, signer: &Signer) -> Result<(), Unauthenticated> {
        let token = signer.token(&with(json!({"iss": self.server.url, "exp": super::NOW + 1_000_000})));
        self.tokens.authenticate(&token, None).await.map(drop)
    }
}

const UNKNOWN: Result<(), Unauthenticated> = Err(Unauthenticated::Token(TokenFault::Key));
const UNREACHABLE: Result<(), Unauthenticated> = Err(Unauthenticated::Unavailable("the issuer of the token"));

#[tokio::test]
async fn keys_are_discovered_at_the_first_token() {
    let scene = Scene::new(|_| ()).await;
    scene.server.publish(&[&RSA, &EC]);
    assert_eq!(scene.server.asked(DISCOVERY), 0, "nothing is fetched before");
    assert_eq!(scene.judged(&RSA).await, Ok(()));
    assert_eq!(scene.judged(&EC).await, Ok(()));
    assert_eq!((scene.server.asked(DISCOVERY), scene.server.asked("/keys")), (1, 1));
}

#[tokio::test]
async fn keys_come_from_a_named_address_without_discovery() {
    let server = Server::plain().await;
    let url = format!("{}/jwks.json", server.url);
    let scene = Scene::at(server, |issuer| issuer.keys = KeySource::Url(url));
    scene.server.put("/jwks.json", &super::jwks(&[&RSA]));
    assert_eq!(scene.judged(&RSA).await, Ok(()));
    assert_eq!(scene.server.asked(DISCOVERY), 0);
}

#[tokio::test]
async fn keys_come_over_tls_only_from_whom_the_ca_file_vouches_for() {
    let folder = tempfile::tempdir().unwrap();
    let (server, ca) = Server::tls(folder.path()).await;
    server.publish(&[&RSA]);
    let trusting = Scene::at(server.clone(), |issuer| issuer.ca_file = Some(ca));
    assert_eq!(trusting.judged(&RSA).await, Ok(()));

    let (_, other_ca) = Server::tls(folder.path()).await;
    let distrusting = Scene::at(server.clone(), |issuer| issuer.ca_file = Some(other_ca));
    assert_eq!(distrusting.judged(&RSA).await, UNREACHABLE);
    let system = Scene::at(server, |_| ());
    assert_eq!(system.judged(&RSA).await, UNREACHABLE, "the system does not know this authority");
}

#[tokio::test]
async fn i03_unknown_keys_cause_one_fetch_in_a_cooldown() {
    let scene = Scene::new(|issuer| issuer.cooldown = Duration::from_secs(10)).await;
    scene.server.publish(&[&RSA]);
    assert_eq!(scene.judged(&RSA).await, Ok(()));
    scene.clock.advance(Duration::from_secs(11));
    for n in 0..50 {
        assert_eq!(scene.judged(&Signer::ec(&format!("junk-{n}"))).await, UNKNOWN);
    }
    assert_eq!(scene.server.asked("/keys"), 2);
    scene.clock.advance(Duration::from_secs(11));
    assert_eq!(scene.judged(&Signer::ec("junk")).await, UNKNOWN);
    assert_eq!(scene.server.asked("/keys"), 3);
    assert_eq!(scene.judged(&RSA).await, Ok(()), "known keys need no fetch");
}

#[tokio::test]
async fn i03_a_crowd_with_an_unknown_key_causes_one_fetch() {
    let scene = Arc::new(Scene::new(|_| ()).await);
    scene.server.publish(&[&RSA]);
    let crowd: Vec<_> = (0..40)
        .map(|_| {
            let scene = Arc::clone(&scene);
            tokio::spawn(async move { scene.judged(&RSA).await })
        })
        .collect();
    for one in crowd {
        assert_eq!(one.await.unwrap(), Ok(()), "all of them wait for the one fetch");
    }
    assert_eq!(scene.server.asked("/keys"), 1);
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_end_the_fetch() {
    let scene = Scene::new(|_| ()).await;
    scene.server.publish(&[&RSA]);
    let mut hanging_up = Box::pin(scene.judged(&RSA));
    // Polled once: the fetch has begun, the answer is not there. Then dropped.
    let first = futures_util::poll!(&mut hanging_up);
    assert!(first.is_pending());
    drop(hanging_up);
    assert_eq!(scene.judged(&RSA).await, Ok(()), "within the cooldown, from the fetch that went on");
    assert_eq!(scene.server.asked("/keys"), 1);
}

#[tokio::test]
async fn i11_a_new_key_is_found_at_once_and_an_old_one_goes_with_the_refresh() {
    let scene = Scene::new(|_| ()).await;
    scene.server.publish(&[&RSA]);
    assert_eq!(scene.judged(&RSA).await, Ok(()));
    scene.clock.advance(Duration::from_secs(30));
    scene.server.publish(&[&EC]);
    assert_eq!(scene.judged(&RSA).await, Ok(()), "not looked at again yet");
    assert_eq!(scene.judged(&EC).await, Ok(()), "the unknown key is fetched");
    assert_eq!(scene.judged(&RSA).await, UNKNOWN, "what the issuer has withdrawn is over");

    scene.server.publish(&[&RSA]);
    scene.tokens.refresh_due().await;
    assert_eq!(scene.server.asked("/keys"), 2, "not due");
    scene.clock.advance(Duration::from_secs(300));
    scene.tokens.refresh_due().await;
    assert_eq!(scene.server.asked("/keys"), 3);
    assert_eq!(scene.judged(&EC).await, UNKNOWN);
    assert_eq!(scene.judged(&RSA).await, Ok(()));
}

#[tokio::test]
async fn i11_the_last_good_keys_stay_until_they_are_too_old() {
    let bad_answers: [(&str, Vec<u8>); 12] = [
        ("/keys", b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n".to_vec()),
        ("/keys", b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"keys\":[]}".to_vec()),
        ("/keys", b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnull".to_vec()),
        ("/keys", b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"keys\":[],\"keys\":1}".to_vec()),
        ("/keys", b"HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{\"keys\":".to_vec()),
        ("/keys", b"garbage\r\n\r\n".to_vec()),
        ("/keys", Vec::new()),
        ("/keys", b"HTTP/1.1 302 Found\r\nlocation: /moved\r\ncontent-length: 0\r\n\r\n".to_vec()),
        ("/keys", [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b' '; 300 * 1024]].concat()),
        (DISCOVERY, b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec()),
        (DISCOVERY, ok(r#"{"issuer":"https://evil.example","jwks_uri":"http://localhost/keys"}"#)),
        (DISCOVERY, ok(r#"{"jwks_uri":"http://localhost/keys"}"#)),
    ];
    for (path, answer) in bad_answers {
        let scene = Scene::new(|_| ()).await;
        scene.server.publish(&[&RSA]);
        assert_eq!(scene.judged(&RSA).await, Ok(()));
        let shown = String::from_utf8_lossy(&answer).into_owned();
        scene.server.put_raw(path, answer);
        scene.server.put("/moved", &super::jwks(&[&EC]));
        for _ in 0..11 {
            scene.clock.advance(Duration::from_secs(300));
            scene.tokens.refresh_due().await;
            assert_eq!(scene.judged(&RSA).await, Ok(()), "{shown}");
        }
        assert_eq!(scene.judged(&EC).await, UNKNOWN);
        scene.clock.advance(Duration::from_secs(300));
        assert_eq!(scene.judged(&RSA).await, UNREACHABLE, "{shown}");
        assert_eq!(scene.server.asked("/moved"), 0, "no redirect is followed");

        scene.server.publish(&[&RSA]);
        scene.clock.advance(Duration::from_secs(11));
        assert_eq!(scene.judged(&RSA).await, Ok(()), "back again");
    }
}

#[tokio::test]
async fn an_issuer_that_stalls_is_waited_for_no_longer_than_stated() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://localhost:{}/keys", listener.local_addr().unwrap().port());
    let scene = Scene::at(Server::plain().await, |issuer| issuer.keys = KeySource::Url(url));
    let stalling = tokio::spawn(async move {
        // Taken and never answered, until the other side gives up.
        let (mut socket, _) = listener.accept().await.unwrap();
        tokio::io::copy(&mut socket, &mut tokio::io::sink()).await.ok();
    });
    assert_eq!(scene.judged(&RSA).await, UNREACHABLE);
    stalling.await.unwrap();
}

#[tokio::test]
async fn an_issuer_that_was_never_reached_refuses_and_recovers() {
    let scene = Scene::new(|_| ()).await;
    assert_eq!(scene.judged(&RSA).await, UNREACHABLE);
    assert_eq!(scene.judged(&RSA).await, UNREACHABLE);
    assert_eq!(scene.server.asked(DISCOVERY), 1, "the cooldown holds here too");
    scene.server.publish(&[&RSA]);
    scene.clock.advance(Duration::from_secs(10));
    scene.tokens.refresh_due().await;
    assert_eq!(scene.judged(&RSA).await, Ok(()));
}

#[tokio::test]
async fn i12_weak_keys_that_are_fetched_are_left_out() {
    let scene = Scene::new(|_| ()).await;
    scene.server.publish(&[&RSA]);
    let mut weak = RSA.jwk();
    weak["n"] = json!(super::b64([0xff; 128]));
    weak["kid"] = json!("weak");
    let shared = json!({"kty": "oct", "kid": "shared", "k": "c2VjcmV0", "alg": "HS256"});
    scene.server.put("/keys", &json!({"keys": [weak, shared, RSA.jwk()]}).to_string());
    assert_eq!(scene.judged(&RSA).await, Ok(()));
}

#[tokio::test]
async fn discovery_names_no_address_without_tls() {
    let scene = Scene::new(|_| ()).await;
    let document = json!({"issuer": scene.server.url, "jwks_uri": "http://keys.example/keys"});
    scene.server.put(DISCOVERY, &document.to_string());
    assert_eq!(scene.judged(&RSA).await, UNREACHABLE);
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn i24_a_remembered_token_is_over_when_it_says_so_and_when_its_key_is_withdrawn() {
    let scene = Scene::new(|issuer| issuer.refresh = Duration::from_secs(10)).await;
    scene.server.publish(&[&RSA]);
    let token = |end: i64| RSA.token(&with(json!({"iss": scene.server.url, "exp": super::NOW + end})));
    let (short, long) = (token(5), token(1_000_000));
    let judged = async |token: &str| scene.tokens.authenticate(token, None).await;
    let first = judged(&long).await.unwrap();
    assert!(Arc::ptr_eq(&first, &judged(&long).await.unwrap()), "remembered");
    assert!(judged(&short).await.is_ok());
    scene.clock.advance(Duration::from_secs(65));
    assert_eq!(judged(&short).await.err(), Some(TokenFault::Expired.into()), "after its end and the skew");
    assert!(judged(&long).await.is_ok());

    scene.server.publish(&[&EC]);
    scene.tokens.refresh_due().await;
    assert_eq!(judged(&long).await.err(), Some(TokenFault::Key.into()), "its key is withdrawn");
    assert_eq!(scene.judged(&EC).await, Ok(()));
}

#[tokio::test]
async fn i11_a_remembered_token_does_not_outlive_the_age_of_the_keys() {
    let scene = Scene::new(|issuer| issuer.max_age = Duration::from_secs(600)).await;
    scene.server.publish(&[&RSA]);
    assert_eq!(scene.judged(&RSA).await, Ok(()));
    scene.server.put_raw("/keys", b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n".to_vec());
    scene.clock.advance(Duration::from_secs(599));
    scene.tokens.refresh_due().await;
    assert_eq!(scene.judged(&RSA).await, Ok(()));
    scene.clock.advance(Duration::from_secs(1));
    assert_eq!(scene.judged(&RSA).await, UNREACHABLE);
}
