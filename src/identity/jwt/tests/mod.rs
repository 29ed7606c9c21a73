mod fetching;
mod forging;
mod support;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Tokens;
use crate::base::ManualClock;
use crate::identity::Tools;
use crate::identity::config::{Algorithm, Config, Issuer, KeySource};
use crate::identity::principal::{Kind, Method, Subject};
use crate::identity::unauthenticated::{TokenFault, Unauthenticated};

use support::{EC, OTHER_RSA, RSA, Signer, b64, jwks};

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://id.example/";

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_second(NOW).unwrap())
}

/// An issuer with two keys in the configuration.
fn issuer() -> Issuer {
    Issuer { keys: KeySource::Fixed(jwks(&[&RSA, &EC])), ..Issuer::new(ISSUER, "crm") }
}

fn tokens(issuers: Vec<Issuer>) -> Tokens {
    let config = Config { issuers, ..Config::default() };
    assert_eq!(config.faults(), []);
    Tokens::new(&config, &Tools::for_tests(&clock())).map_err(|faults| format!("{faults:?}")).unwrap()
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "crm", "sub": "u7", "exp": NOW + 300, "iat": NOW - 10})
}

fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

async fn judged(token: &str) -> Result<Arc<Subject>, Unauthenticated> {
    tokens(vec![issuer()]).authenticate(token, None).await
}

async fn refusal(token: &str) -> Unauthenticated {
    judged(token).await.map(|subject| subject.id.to_string()).unwrap_err()
}

async fn fault(claims: &Value) -> TokenFault {
    match refusal(&RSA.token(claims)).await {
        Unauthenticated::Token(fault) => fault,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_good_token_is_somebody() {
    let token = RSA.token(&with(json!({
        "name": "Li Na", "jti": "t-1", "groups": ["crm-sales", "crm-sales", "all"], "region": "east",
        "amr": ["pwd", "mfa"], "scope": "crm.read crm.write",
    })));
    let subject = judged(&token).await.unwrap();
    assert_eq!((&*subject.issuer, &*subject.id), (ISSUER, "u7"));
    assert_eq!(subject.name.as_deref(), Some("Li Na"));
    assert_eq!(subject.groups.iter().map(|g| &**g).collect::<Vec<_>>(), ["crm-sales", "all"]);
    assert_eq!(subject.credential.as_deref(), Some("t-1"));
    assert_eq!((subject.kind, subject.method, subject.mfa), (Kind::Person, Method::Jwt, true));
    assert_eq!(subject.claims["region"], "east");
    assert_eq!(subject.claims["scopes"], json!(["crm.read", "crm.write"]));
    assert!(subject.roles.is_empty());
}

#[tokio::test]
async fn each_allowed_algorithm_is_checked_with_a_key_of_its_kind() {
    use jsonwebtoken::Algorithm as Library;
    for (signer, algorithm) in [
        (RSA.signing(Library::RS256), Algorithm::Rs256),
        (RSA.signing(Library::RS384), Algorithm::Rs384),
        (RSA.signing(Library::RS512), Algorithm::Rs512),
        (RSA.signing(Library::PS256), Algorithm::Ps256),
        (RSA.signing(Library::PS384), Algorithm::Ps384),
        (RSA.signing(Library::PS512), Algorithm::Ps512),
        (Signer::ec("ec"), Algorithm::Es256),
        (Signer::ec384("ec"), Algorithm::Es384),
        (Signer::ed("ed"), Algorithm::EdDsa),
    ] {
        let mut issuer = Issuer { keys: KeySource::Fixed(jwks(&[&signer])), ..issuer() };
        issuer.algorithms = vec![algorithm];
        let only_this = tokens(vec![issuer]);
        let good = only_this.authenticate(&signer.token(&claims()), None).await;
        assert!(good.is_ok(), "{}", algorithm.name());

        let mut others = self::issuer();
        others.keys = KeySource::Fixed(jwks(&[&signer]));
        others.algorithms = Algorithm::ALL.into_iter().filter(|other| *other != algorithm).collect();
        let refused = tokens(vec![others]).authenticate(&signer.token(&claims()), None).await.err();
        assert_eq!(refused, Some(TokenFault::Algorithm.into()), "{}", algorithm.name());
    }
}

#[tokio::test]
async fn groups_come_from_all_their_claims() {
    let mut issuer = issuer();
    issuer.claims.groups =
        vec!["realm_access.roles".into(), "https://x.example/groups".into(), "team".into()];
    let tokens = tokens(vec![issuer]);
    let claims = with(json!({
        "realm_access": {"roles": ["a", "b"]}, "https://x.example/groups": "b", "team": ["c"], "groups": ["no"],
    }));
    let subject = tokens.authenticate(&RSA.token(&claims), None).await.unwrap();
    assert_eq!(subject.groups.iter().map(|g| &**g).collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[tokio::test]
async fn groups_that_cannot_be_read_refuse_the_token() {
    for groups in [json!([1]), json!({"a": 1}), json!(["a", null]), json!(7), json!(vec!["g"; 1])] {
        let got = judged(&RSA.token(&with(json!({ "groups": groups })))).await;
        assert_eq!(got.is_ok(), groups == json!(["g"]), "{groups}");
    }
    let many: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
    assert_eq!(fault(&with(json!({ "groups": many }))).await, TokenFault::Claim("groups"));
}

#[tokio::test]
async fn a_second_factor_is_what_the_configuration_says() {
    let mut issuer = issuer();
    issuer.claims.mfa_acr = vec!["urn:two".into()];
    let tokens = tokens(vec![issuer]);
    for (claims, expected) in [
        (json!({}), false),
        (json!({"amr": ["pwd"]}), false),
        (json!({"amr": "mfa"}), true),
        (json!({"amr": ["MFA"]}), false),
        (json!({"amr": ["mfa", 1]}), false),
        (json!({"acr": "urn:two"}), true),
        (json!({"acr": "urn:one"}), false),
        (json!({"mfa": true}), false),
    ] {
        let subject = tokens.authenticate(&RSA.token(&with(claims.clone())), None).await.unwrap();
        assert_eq!(subject.mfa, expected, "{claims}");
    }
}

#[tokio::test]
async fn a_program_that_got_its_own_token_is_a_service() {
    let subject = judged(&RSA.token(&with(json!({"sub": "etl", "client_id": "etl"})))).await.unwrap();
    assert_eq!(subject.kind, Kind::Service);
}

#[tokio::test]
async fn i08_only_the_stated_skew_is_forgiven() {
    for (claims, expected) in [
        (with(json!({"exp": NOW - 59})), None),
        (with(json!({"exp": NOW - 60})), Some(TokenFault::Expired)),
        (with(json!({"exp": NOW as f64 - 59.5})), None),
        (with(json!({"exp": NOW as f64 - 60.5})), Some(TokenFault::Expired)),
        (with(json!({"exp": 0})), Some(TokenFault::Expired)),
        (with(json!({"exp": -1})), Some(TokenFault::Expired)),
        (with(json!({"exp": u64::MAX})), Some(TokenFault::Claim("exp"))),
        (with(json!({"exp": 1e300})), Some(TokenFault::Claim("exp"))),
        (with(json!({"exp": (NOW + 300).to_string()})), Some(TokenFault::Claim("exp"))),
        (with(json!({"exp": null})), Some(TokenFault::Claim("exp"))),
        (without("exp"), Some(TokenFault::Claim("exp"))),
        (with(json!({"nbf": NOW + 60})), None),
        (with(json!({"nbf": NOW + 61})), Some(TokenFault::NotYetValid)),
        (with(json!({"nbf": "soon"})), Some(TokenFault::Claim("nbf"))),
        (with(json!({"iat": NOW + 61})), Some(TokenFault::NotYetValid)),
        (with(json!({"iat": [NOW]})), Some(TokenFault::Claim("iat"))),
        (without("iat"), None),
    ] {
        let got = judged(&RSA.token(&claims)).await.err();
        assert_eq!(got, expected.map(Into::into), "{claims}");
    }
}

#[tokio::test]
async fn i08_time_goes_on_for_a_token_that_was_good() {
    let clock = clock();
    let config = Config { issuers: vec![issuer()], ..Config::default() };
    let tokens =
        Tokens::new(&config, &Tools::for_tests(&clock)).unwrap_or_else(|_| panic!("good configuration"));
    let token = RSA.token(&claims());
    assert!(tokens.authenticate(&token, None).await.is_ok());
    clock.advance(Duration::from_secs(360));
    assert_eq!(tokens.authenticate(&token, None).await.err(), Some(TokenFault::Expired.into()));
}

#[tokio::test]
async fn i09_audience_and_issuer_are_compared_exactly() {
    for aud in [json!("other"), json!(["a", "b"]), json!("CRM"), json!("crm "), json!("")] {
        assert_eq!(fault(&with(json!({ "aud": aud }))).await, TokenFault::Audience, "{aud}");
    }
    for aud in [json!([]), json!(null), json!(["crm", 1]), json!({"crm": 1})] {
        assert_eq!(fault(&with(json!({ "aud": aud }))).await, TokenFault::Claim("aud"), "{aud}");
    }
    assert_eq!(fault(&without("aud")).await, TokenFault::Claim("aud"));
    assert!(judged(&RSA.token(&with(json!({"aud": ["x", "crm"]})))).await.is_ok());

    for iss in ["https://id.example", "https://ID.example/", "https://id.example//", "id.example", "", "keys"]
    {
        assert_eq!(fault(&with(json!({ "iss": iss }))).await, TokenFault::Issuer, "{iss}");
    }
    for iss in [json!([ISSUER]), json!(null), json!(1)] {
        assert_eq!(fault(&with(json!({ "iss": iss }))).await, TokenFault::Claim("iss"), "{iss}");
    }
}

#[tokio::test]
async fn i09_the_subject_is_a_plain_text_and_nothing_stands_in_for_it() {
    for sub in [json!(""), json!(7), json!(null), json!("a\nb"), json!("a\u{0}"), json!("x".repeat(256))] {
        assert_eq!(fault(&with(json!({ "sub": sub }))).await, TokenFault::Claim("sub"), "{sub}");
    }
    let nobody =
        json!({"iss": ISSUER, "aud": "crm", "exp": NOW + 9, "preferred_username": "admin", "email": "a@b"});
    assert_eq!(fault(&nobody).await, TokenFault::Claim("sub"));
}

#[tokio::test]
async fn i10_each_issuers_keys_open_its_own_tokens_only() {
    let second = "https://other.example";
    let other = Issuer { keys: KeySource::Fixed(jwks(&[&OTHER_RSA])), ..Issuer::new(second, "crm") };
    let tokens = tokens(vec![issuer(), other]);
    let as_second = with(json!({ "iss": second }));
    assert!(tokens.authenticate(&OTHER_RSA.token(&as_second), None).await.is_ok());
    for token in [RSA.token(&as_second), OTHER_RSA.token(&claims())] {
        assert_eq!(tokens.authenticate(&token, None).await.err(), Some(TokenFault::Signature.into()));
    }
    let subject = tokens.authenticate(&OTHER_RSA.token(&as_second), None).await.unwrap();
    assert_eq!((&*subject.issuer, &*subject.id), (second, "u7"), "the same subject of another issuer");
}

#[tokio::test]
async fn i19_without_issuers_every_token_is_refused() {
    let tokens = Tokens::none(&Tools::for_tests(&clock()));
    assert_eq!(tokens.authenticate(&RSA.token(&claims()), None).await.err(), Some(TokenFault::Issuer.into()));
}

#[tokio::test]
async fn a_token_bound_to_a_key_is_not_a_bearer() {
    assert_eq!(fault(&with(json!({"cnf": {"jkt": "x"}}))).await, TokenFault::Bound);
}

#[test]
fn i12_weak_keys_in_the_configuration_refuse_the_start() {
    let weak = |key: Value| {
        let fixed = json!({"keys": [key]}).to_string();
        let config = Config {
            issuers: vec![Issuer { keys: KeySource::Fixed(fixed), ..issuer() }],
            ..Config::default()
        };
        let faults = Tokens::new(&config, &Tools::for_tests(&clock())).err();
        faults.map(|faults| (faults[0].path.clone(), faults[0].message.clone()))
    };
    let n = |bytes: usize, top: u8| {
        let mut n = vec![0xff; bytes];
        n[0] = top;
        b64(n)
    };
    let good = n(256, 0x80);
    assert_eq!(weak(json!({"kty": "RSA", "n": good, "e": "AQAB"})), None);
    for (key, why) in [
        (json!({"kty": "RSA", "n": n(128, 0x80), "e": "AQAB"}), "weaker"),
        (json!({"kty": "RSA", "n": n(256, 0x7f), "e": "AQAB"}), "weaker"),
        (json!({"kty": "RSA", "n": n(257, 0x00), "e": "AQAB"}), ""),
        (json!({"kty": "RSA", "n": n(1025, 0x80), "e": "AQAB"}), "longer"),
        (json!({"kty": "RSA", "n": good, "e": "Aw"}), "exponent"),
        (json!({"kty": "RSA", "n": good, "e": "AQ"}), "exponent"),
        (json!({"kty": "RSA", "n": good, "e": "AQAA"}), "exponent"),
        (json!({"kty": "RSA", "n": good, "e": b64([1, 0, 0, 0, 1])}), "exponent"),
        (json!({"kty": "RSA", "n": good}), "malformed"),
        (json!({"kty": "RSA", "n": good, "e": "AQAB", "d": "AA"}), "private"),
        (json!({"kty": "RSA", "n": good, "e": "AQAB", "use": "enc"}), "signatures"),
        (json!({"kty": "RSA", "n": good, "e": "AQAB", "key_ops": ["encrypt"]}), "signatures"),
        (json!({"kty": "RSA", "n": good, "e": "AQAB", "alg": "ES256"}), "another kind"),
        (json!({"kty": "RSA", "n": good, "e": "AQAB", "alg": "none"}), "not supported"),
        (json!({"kty": "oct", "k": "c2VjcmV0"}), "secret"),
        (json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}), "point"),
        (json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}), "not supported"),
        (json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"}), "point"),
    ] {
        match weak(key.clone()) {
            Some((path, message)) => {
                assert_eq!(path, "issuers[0].keys");
                assert!(!why.is_empty() && message.contains(why), "{key}: {message}");
            }
            None => assert!(why.is_empty(), "{key} was taken"),
        }
    }
    assert!(weak(json!("text")).is_some());
}

#[tokio::test]
async fn s17_a_token_bound_to_a_certificate_is_good_with_that_alone_and_is_not_remembered() {
    let print = [7_u8; 32];
    let token = RSA.token(&with(json!({"cnf": {"x5t#S256": b64(print)}})));
    let tokens = tokens(vec![issuer()]);
    for _ in 0..2 {
        assert!(tokens.authenticate(&token, Some(&print)).await.is_ok());
        for other in [None, Some(&[8; 32])] {
            let refused = tokens.authenticate(&token, other).await.err();
            assert_eq!(refused, Some(TokenFault::Bound.into()));
        }
    }
    let both = RSA.token(&with(json!({"cnf": {"x5t#S256": b64(print), "jkt": "x"}})));
    assert_eq!(tokens.authenticate(&both, Some(&print)).await.err(), Some(TokenFault::Bound.into()));
}
