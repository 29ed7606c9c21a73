#![expect(clippy::string_slice, reason = "a test may panic, and these texts are ASCII")]

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::base::ManualClock;
use crate::base::Secret;
use crate::identity::config::{self, StaticKey};
use crate::identity::principal::Kind;
use crate::identity::{NewKey, create_key, list_keys, revoke_key};
use crate::store::Act;

const NOW: i64 = 1_800_000_000;

fn owner() -> KeyOwner {
    KeyOwner {
        principal: "li.na".into(),
        groups: vec!["crm-sales".into()],
        roles: vec!["sales".into()],
        scopes: vec!["crm.read".into()],
        claims: json!({"region": "east"}).as_object().unwrap().clone(),
        ..KeyOwner::default()
    }
}

fn fixed(id: &str, text: &str) -> StaticKey {
    StaticKey {
        id: id.into(),
        key: Secret::new(text.to_owned()),
        owner: owner(),
        expires: None,
        disabled: false,
    }
}

struct Scene {
    clock: ManualClock,
    store: Store,
    keys: ApiKeys,
}

impl Scene {
    async fn new(fixed: Vec<StaticKey>) -> Self {
        let clock = ManualClock::at(Timestamp::from_second(NOW).unwrap());
        let store = Store::memory().await.unwrap();
        let keys = Self::gateway(fixed, &store, &clock);
        Self { clock, store, keys }
    }

    fn gateway(fixed: Vec<StaticKey>, store: &Store, clock: &ManualClock) -> ApiKeys {
        let config = Config { keys: fixed, ..Config::default() };
        assert_eq!(config.faults(), []);
        ApiKeys::new(&config, Some(store.clone()), Arc::new(clock.clone()))
    }

    async fn issue(&self, owner: KeyOwner, expires: Option<i64>) -> (String, String) {
        let expires = expires.map(|at| Timestamp::from_second(at).unwrap());
        let new = NewKey { name: "nightly".into(), owner, expires };
        let issued = create_key(&self.store, new, Act::for_tests(), self.clock.now()).await.unwrap();
        (issued.id, issued.text.expose().clone())
    }

    async fn judged(&self, text: &str) -> Result<Arc<Subject>, Unauthenticated> {
        self.keys.authenticate(text, "10.1.2.3".parse().unwrap()).await
    }

    async fn refusal(&self, text: &str) -> Unauthenticated {
        self.judged(text).await.map(|subject| subject.id.to_string()).unwrap_err()
    }
}

#[tokio::test]
async fn a_key_of_the_configuration_is_its_principal() {
    let scene = Scene::new(vec![fixed("sales", "demo-sales"), fixed("other", "demo-other")]).await;
    let subject = scene.judged("demo-sales").await.unwrap();
    assert_eq!((&*subject.issuer, &*subject.id), ("keys", "li.na"));
    assert_eq!(subject.credential.as_deref(), Some("sales"));
    assert_eq!(&*subject.groups[0], "crm-sales");
    assert_eq!(&*subject.roles[0], "sales");
    assert_eq!(subject.claims["region"], "east");
    assert_eq!(subject.claims["scopes"], json!(["crm.read"]));
    assert_eq!((subject.kind, subject.method, subject.mfa), (Kind::Person, Method::ApiKey, false));
    for wrong in ["demo-sale", "demo-salesx", "Demo-sales", "sales", "demo_sales", "x"] {
        assert_eq!(scene.refusal(wrong).await, Unauthenticated::UnknownKey, "{wrong}");
    }
}

#[tokio::test]
async fn a_key_of_the_store_is_its_principal() {
    let scene = Scene::new(Vec::new()).await;
    let (id, text) = scene.issue(KeyOwner { kind: Kind::Service, ..owner() }, None).await;
    let subject = scene.judged(&text).await.unwrap();
    assert_eq!((&*subject.issuer, &*subject.id, subject.kind), ("keys", "li.na", Kind::Service));
    assert_eq!(subject.credential.as_deref(), Some(id.as_str()));
    assert_eq!(subject.claims["scopes"], json!(["crm.read"]));
}

#[tokio::test]
async fn a_key_can_stand_for_somebody_whom_an_issuer_knows() {
    let scene = Scene::new(Vec::new()).await;
    let owner = KeyOwner { issuer: Some("https://id.example".into()), ..owner() };
    let (_, text) = scene.issue(owner, None).await;
    assert_eq!(&*scene.judged(&text).await.unwrap().issuer, "https://id.example");
}

#[tokio::test]
async fn i22_every_wrong_key_is_refused_alike() {
    let scene = Scene::new(vec![fixed("sales", "demo-sales")]).await;
    let (id, text) = scene.issue(owner(), None).await;
    let (_, second) = scene.issue(owner(), None).await;
    let secret_of_second = second.rsplit_once('_').unwrap().1;
    let last = if text.ends_with('a') { 'b' } else { 'a' };
    for wrong in [
        format!("{}{last}", &text[..text.len() - 1]),
        format!("fg_{id}_{secret_of_second}"),
        format!("fg_{}_{secret_of_second}", "a".repeat(12)),
        format!("fg_{id}_"),
        format!("fg_{id}"),
        text.to_uppercase(),
        text.replace("fg_", ""),
    ] {
        assert_eq!(scene.refusal(&wrong).await, Unauthenticated::UnknownKey, "{wrong}");
        assert_eq!(scene.refusal(&wrong).await.challenge(), Unauthenticated::UnknownKey.challenge());
    }
    // Whether it has expired is told to nobody but who holds it, and outside not even to them.
    let (id, expired) = scene.issue(owner(), Some(NOW + 1)).await;
    scene.clock.advance(Duration::from_secs(2));
    assert_eq!(scene.refusal(&expired).await, Unauthenticated::Expired(id.clone()));
    assert_eq!(scene.refusal(&format!("fg_{id}_{secret_of_second}")).await, Unauthenticated::UnknownKey);
    assert_eq!(Unauthenticated::Expired(id).challenge(), Unauthenticated::UnknownKey.challenge());
}

#[tokio::test]
async fn an_expired_key_is_refused_from_that_moment() {
    let mut of_config = fixed("sales", "demo-sales");
    of_config.expires = Some(Timestamp::from_second(NOW + 10).unwrap());
    let scene = Scene::new(vec![of_config]).await;
    let (id, text) = scene.issue(owner(), Some(NOW + 10)).await;
    scene.clock.advance(Duration::from_secs(9));
    assert!(scene.judged(&text).await.is_ok() && scene.judged("demo-sales").await.is_ok());
    scene.clock.advance(Duration::from_secs(1));
    assert_eq!(scene.refusal(&text).await, Unauthenticated::Expired(id));
    assert_eq!(scene.refusal("demo-sales").await, Unauthenticated::Expired("sales".into()));
}

#[tokio::test]
async fn a_key_works_from_its_networks_only() {
    let nets = |net: &str| KeyOwner { networks: vec![net.parse().unwrap()], ..owner() };
    let scene = Scene::new(Vec::new()).await;
    let (_, inside) = scene.issue(nets("10.0.0.0/8"), None).await;
    let (id, outside) = scene.issue(nets("192.0.2.0/24"), None).await;
    assert!(scene.judged(&inside).await.is_ok());
    assert_eq!(scene.refusal(&outside).await, Unauthenticated::Network(id));
}

#[tokio::test]
async fn a_disabled_key_of_the_configuration_is_refused() {
    let mut key = fixed("sales", "demo-sales");
    key.disabled = true;
    let scene = Scene::new(vec![key]).await;
    assert_eq!(scene.refusal("demo-sales").await, Unauthenticated::Revoked("sales".into()));
}

#[tokio::test]
async fn i24_a_revocation_is_in_force_after_the_stated_lag_on_every_gateway() {
    let scene = Scene::new(Vec::new()).await;
    let second = Scene::gateway(Vec::new(), &scene.store, &scene.clock);
    let (id, text) = scene.issue(owner(), None).await;
    let ip = "10.1.2.3".parse().unwrap();
    assert!(scene.judged(&text).await.is_ok() && second.authenticate(&text, ip).await.is_ok());
    assert!(revoke_key(&scene.store, &id, Act::for_tests(), scene.clock.now()).await.unwrap());
    scene.clock.advance(Duration::from_millis(1000));
    assert_eq!(scene.refusal(&text).await, Unauthenticated::Revoked(id.clone()));
    assert_eq!(second.authenticate(&text, ip).await.err(), Some(Unauthenticated::Revoked(id)));
}

#[tokio::test]
async fn i24_without_a_lag_the_next_request_is_refused() {
    let scene = Scene::new(Vec::new()).await;
    let config = Config {
        stored_keys: config::StoredKeys { max_lag: Duration::ZERO, ..config::StoredKeys::default() },
        ..Config::default()
    };
    let strict = ApiKeys::new(&config, Some(scene.store.clone()), Arc::new(scene.clock.clone()));
    let (id, text) = scene.issue(owner(), None).await;
    let ip = "10.1.2.3".parse().unwrap();
    assert!(strict.authenticate(&text, ip).await.is_ok());
    revoke_key(&scene.store, &id, Act::for_tests(), scene.clock.now()).await.unwrap();
    assert_eq!(strict.authenticate(&text, ip).await.err(), Some(Unauthenticated::Revoked(id)));
}

#[tokio::test]
async fn a_new_key_works_after_the_lag_without_a_restart() {
    let scene = Scene::new(Vec::new()).await;
    let (_, first) = scene.issue(owner(), None).await;
    assert!(scene.judged(&first).await.is_ok());
    let (_, second) = scene.issue(owner(), None).await;
    scene.clock.advance(Duration::from_secs(1));
    assert!(scene.judged(&second).await.is_ok());
}

#[tokio::test]
async fn while_the_store_is_down_the_last_keys_hold_for_the_stated_time() {
    let scene = Scene::new(vec![fixed("sales", "demo-sales")]).await;
    let (_, text) = scene.issue(owner(), None).await;
    assert!(scene.judged(&text).await.is_ok());
    scene.store.close().await;
    scene.clock.advance(Duration::from_secs(59));
    assert!(scene.judged(&text).await.is_ok());
    scene.clock.advance(Duration::from_secs(1));
    let refusal = scene.refusal(&text).await;
    assert!(refusal.is_unavailable(), "{refusal}");
    assert!(scene.judged("demo-sales").await.is_ok(), "a key of the configuration needs no store");
}

#[tokio::test]
async fn a_store_that_was_never_read_opens_nothing() {
    let scene = Scene::new(Vec::new()).await;
    let (_, text) = scene.issue(owner(), None).await;
    scene.store.close().await;
    assert!(scene.refusal(&text).await.is_unavailable());
}

#[tokio::test]
async fn a_row_that_cannot_be_understood_opens_nothing() {
    let scene = Scene::new(Vec::new()).await;
    let key = crate::identity::key_text::generate().unwrap();
    let row = crate::store::KeyRow {
        id: key.id.clone(),
        hash: key.hash.to_vec(),
        name: "x".into(),
        details: r#"{"principal":"li.na","only_on_sundays":true}"#.into(),
        created_at: 0,
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
        revision: 0,
    };
    scene.store.add_key(&row, &Act::for_tests()).await.unwrap();
    assert_eq!(scene.refusal(key.text.expose()).await, Unauthenticated::UnknownKey);
    assert!(list_keys(&scene.store).await.unwrap()[0].owner.is_none());
}

#[tokio::test]
async fn the_last_use_is_written_later() {
    let scene = Scene::new(Vec::new()).await;
    let (_, text) = scene.issue(owner(), None).await;
    let last_used = async || list_keys(&scene.store).await.unwrap()[0].last_used.map(|at| at.as_second());
    scene.judged(&text).await.unwrap();
    assert_eq!(last_used().await, None, "not while a request waits");
    scene.keys.write_last_uses().await;
    assert_eq!(last_used().await, Some(NOW));
    scene.clock.advance(Duration::from_secs(30));
    scene.judged(&text).await.unwrap();
    scene.keys.write_last_uses().await;
    assert_eq!(last_used().await, Some(NOW), "not for less than a minute");
    scene.clock.advance(Duration::from_secs(31));
    scene.judged(&text).await.unwrap();
    scene.keys.write_last_uses().await;
    assert_eq!(last_used().await, Some(NOW + 61));

    // What was used before a revocation is known after it.
    scene.clock.advance(Duration::from_secs(100));
    scene.judged(&text).await.unwrap();
    let id = list_keys(&scene.store).await.unwrap()[0].id.clone();
    revoke_key(&scene.store, &id, Act::for_tests(), scene.clock.now()).await.unwrap();
    scene.clock.advance(Duration::from_secs(1));
    assert!(scene.judged(&text).await.is_err());
    scene.keys.write_last_uses().await;
    assert_eq!(last_used().await, Some(NOW + 161));
}

#[tokio::test]
async fn the_store_holds_no_secret() {
    let scene = Scene::new(Vec::new()).await;
    let (_, text) = scene.issue(owner(), None).await;
    let secret = text.rsplit_once('_').unwrap().1;
    let rows = format!("{:?}", scene.store.keys_since(0).await.unwrap());
    assert!(!rows.contains(secret) && !rows.contains(&secret[..12]));
}

#[tokio::test]
async fn keys_that_make_no_sense_are_not_made() {
    let scene = Scene::new(Vec::new()).await;
    let make = async |name: &str, principal: &str, groups: &[&str], expires: Option<i64>| {
        let owner = KeyOwner {
            principal: principal.into(),
            groups: groups.iter().map(|&g| g.into()).collect(),
            ..KeyOwner::default()
        };
        let expires = expires.map(|at| Timestamp::from_second(at).unwrap());
        create_key(
            &scene.store,
            NewKey { name: name.into(), owner, expires },
            Act::for_tests(),
            scene.clock.now(),
        )
        .await
        .map(drop)
    };
    assert!(make("n", "p", &["g"], Some(NOW + 1)).await.is_ok());
    for (name, principal, groups, expires) in [
        ("", "p", &[][..], None),
        ("n", "", &[][..], None),
        ("n\n", "p", &[][..], None),
        ("n", "p\u{1b}[2J", &[][..], None),
        ("n", "p", &["g", ""][..], None),
        ("n", "p", &[][..], Some(NOW)),
    ] {
        assert!(make(name, principal, groups, expires).await.is_err(), "{name:?} {principal:?} {groups:?}");
    }
    assert!(make("n", &"x".repeat(257), &[], None).await.is_err());
}
