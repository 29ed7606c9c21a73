//! Tokens: stronger ones on demand, opaque ones, and those of the system behind.

use std::path::Path;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::combined::{crm, identity};
use crate::support::gateway::{SALES, Setup};
use crate::support::upstream::{Act, Framing, Received, Upstream, answer, json as ok};

pub(super) const ISSUER: &str = "https://id.example";
const DATA: &str = r#"{"data":[{"id":1,"name":"Ada","owner_id":"li.na","phone":"13800138000"}],"total":1}"#;
const FAR: i64 = 4_000_000_000;

/// An issuer's key, and its JWK set.
pub(super) struct Signer(pub(super) EncodingKey);

impl Signer {
    pub(super) fn new() -> Self {
        let pair = rcgen::KeyPair::generate().unwrap();
        Self(EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap())
    }

    pub(super) fn jwks(&self) -> String {
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&self.0, Algorithm::ES256).unwrap()).unwrap();
        jwk["kid"] = "k1".into();
        json!({ "keys": [jwk] }).to_string()
    }

    fn bearer(&self, more: Value) -> String {
        let mut claims =
            json!({ "iss": ISSUER, "aud": "crm", "sub": "li.na", "groups": ["sales"], "exp": FAR });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::ES256) };
        format!("Authorization: Bearer {}", jsonwebtoken::encode(&header, &claims, &self.0).unwrap())
    }
}

pub(super) fn issuer(more: &str) -> String {
    format!(
        "  issuers:
    - {{ issuer: '{ISSUER}', audiences: [crm], algorithms: [ES256], keys: {{ file: jwks.json }}{more} }}\n"
    )
}

#[tokio::test]
async fn a_guard_asks_for_a_stronger_token_and_takes_it() {
    let upstream = Upstream::start(|_| ok(DATA)).await;
    let signer = Signer::new();
    let gateway = Setup::before(&upstream)
        .policy("guards:\n  - { name: strong, on: { actions: [list] }, require: principal.mfa, step_up: 'urn:acr:mfa' }\n")
        .identity(&issuer(", claims: { mfa_acr: ['urn:acr:mfa'], mfa_amr: [otp] }"))
        .start_with(|dir| std::fs::write(dir.join("jwks.json"), signer.jwks()).unwrap())
        .await;
    for weak in [json!({}), json!({"acr": "pwd"}), json!({"amr": ["pwd"]}), json!({"acr": ["urn:acr:mfa"]})] {
        let refused = gateway.get("/customers", &[&signer.bearer(weak)]).await;
        assert_eq!(refused.status, 401);
        let challenge = refused.header("www-authenticate").unwrap();
        assert!(
            challenge.starts_with("Bearer ") && challenge.contains("acr_values=\"urn:acr:mfa\""),
            "{challenge}"
        );
        assert!(challenge.contains("error=\"insufficient_user_authentication\""), "RFC 9470: {challenge}");
    }
    assert!(upstream.received().is_empty());
    for strong in [json!({"acr": "urn:acr:mfa"}), json!({"amr": ["pwd", "otp"]})] {
        assert_eq!(gateway.get("/customers", &[&signer.bearer(strong)]).await.status, 200);
    }
}

#[tokio::test]
async fn i24_a_token_found_good_is_refused_when_it_is_over_and_when_its_key_is_gone() {
    let upstream = Upstream::start(|_| ok(DATA)).await;
    let (signer, successor) = (Signer::new(), Signer::new());
    let gateway = Setup::before(&upstream)
        .identity(&issuer(""))
        .start_with(|dir| std::fs::write(dir.join("jwks.json"), signer.jwks()).unwrap())
        .await;
    let bearer = signer.bearer(json!({}));
    for _ in 0..3 {
        assert_eq!(gateway.get("/customers", &[&bearer]).await.status, 200);
    }
    std::fs::write(gateway.dir().join("jwks.json"), successor.jwks()).unwrap();
    gateway.reloader.reload(fieldgate::app::Why::Asked).await.unwrap();
    assert_eq!(gateway.get("/customers", &[&bearer]).await.status, 401);
    assert_eq!(gateway.get("/customers", &[&successor.bearer(json!({}))]).await.status, 200);
}

/// An identity provider that knows one opaque token.
fn provider(request: &Received) -> Vec<Act> {
    match request.text() {
        form if form.starts_with("token=opaque-1&") => {
            ok(&json!({"active": true, "sub": "li.na", "groups": ["sales"], "exp": FAR}).to_string())
        }
        form if form.starts_with("token=broken") => answer("500 X", &[], b"", Framing::Length),
        _ => ok(r#"{"active":false}"#),
    }
}

#[tokio::test]
async fn i19_opaque_tokens_are_asked_about_and_no_answer_is_no_access() {
    let upstream = Upstream::start(|_| ok(DATA)).await;
    let idp = Upstream::start(provider).await;
    let signer = Signer::new();
    let introspection = format!(
        "  introspection: {{ issuer: '{ISSUER}', url: '{}/introspect', client_id: gateway, client_secret: {{ file: secret }} }}\n",
        idp.url()
    );
    let gateway = Setup::before(&upstream)
        .identity(&(issuer("") + &introspection))
        .start_with(|dir: &Path| {
            std::fs::write(dir.join("jwks.json"), signer.jwks()).unwrap();
            std::fs::write(dir.join("secret"), "s3cret-s3cret").unwrap();
        })
        .await;
    let status =
        async |token: &str| gateway.get("/customers", &[&format!("Authorization: Bearer {token}")]).await;
    assert_eq!(status("opaque-1").await.json()["total"], 1);
    assert_eq!(status("opaque-1").await.status, 200);
    assert_eq!(status("opaque-2").await.status, 401);
    let broken = status("broken").await;
    assert_eq!((broken.status, broken.header("retry-after").is_some()), (503, true));
    assert_eq!(idp.received().len(), 3, "the good one once");

    // What is not the issuer's to judge is not shown to it.
    assert_eq!(gateway.get("/customers", &[SALES]).await.status, 200, "an API key");
    assert_eq!(gateway.get("/customers", &[&signer.bearer(json!({}))]).await.status, 200, "its own JWT");
    let forged = Signer::new().bearer(json!({}));
    assert_eq!(gateway.get("/customers", &[&forged]).await.status, 401, "a forged one is not asked about");
    let foreign = signer.bearer(json!({"iss": "https://other.example"}));
    assert_eq!(gateway.get("/customers", &[&foreign]).await.status, 401);
    let none = "Authorization: Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL290aGVyIn0.";
    assert_eq!(gateway.get("/customers", &[none]).await.status, 401);
    assert_eq!(idp.received().len(), 3);
    assert_eq!(upstream.received().len(), 4);
    let records = gateway.end().await;
    assert_eq!(records[0]["principal"]["method"], "introspection");
    assert!(records.iter().all(|record| !record.to_string().contains("opaque-1")));
}

#[tokio::test]
async fn a_callers_own_login_reaches_its_system_and_no_key_of_ours_does() {
    let upstream = Upstream::start(crm).await;
    let add = |dir: &Path| std::fs::write(dir.join("hash"), &*super::combined::HASH).unwrap();
    let gateway = Setup::before(&upstream)
        .api("credential: pass")
        .identity(&identity("10.9.9.9"))
        .start_with(add)
        .await;
    type Expected = (&'static str, &'static str, Option<(&'static str, &'static str)>);
    let cases: [Expected; 4] = [
        ("Authorization: Crm-Session good", "", Some(("authorization", "Crm-Session good"))),
        ("X-Session: good", "", Some(("x-session", "good"))),
        ("Cookie: theme=dark; sid=good", "", Some(("cookie", "sid=good"))),
        ("X-None: 1", "&token=good", None),
    ];
    for (line, query, expected) in cases {
        assert_eq!(gateway.get(&format!("/customers?limit=5{query}"), &[line]).await.status, 200, "{line}");
        let sent = upstream.received().pop().unwrap();
        match expected {
            Some((name, value)) => {
                assert_eq!((sent.target.as_str(), sent.header(name)), ("/customers?limit=5", Some(value)));
            }
            None => assert_eq!(sent.target, "/customers?limit=5&token=good"),
        }
    }
    for own in
        [SALES.to_owned(), "X-Api-Key: sales-key-000000".to_owned(), super::combined::basic("li.na", "right")]
    {
        assert_eq!(gateway.get("/customers", &[&own]).await.status, 200);
        let sent = String::from_utf8_lossy(&upstream.received().pop().unwrap().raw).to_lowercase();
        assert!(
            !sent.contains("authorization") && !sent.contains("sales-key") && !sent.contains("basic"),
            "{sent}"
        );
    }
    let put = async |line: &str| {
        let lines = ["Cookie: sid=good", "Content-Type: application/json", line];
        gateway.request("PUT", "/customers/1", &lines, Some(r#"{"phone":"1"}"#)).await.status
    };
    for cross in [
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Origin: https://evil.example",
        "Origin: null",
    ] {
        assert_eq!(put(cross).await, 401, "M01 {cross}");
    }
    assert_ne!(put("Sec-Fetch-Site: same-origin").await, 401);
    assert_ne!(put("Origin: http://gateway").await, 401);
    let asked = upstream.received().len();
    for bad in ["Authorization: Crm-Session bad", "X-Session: bad", "Cookie: sid=bad"] {
        assert_eq!(gateway.get("/customers", &[bad]).await.status, 401, "{bad}");
    }
    assert_eq!(upstream.received().len(), asked + 3, "only who it is was asked");
    assert_eq!(gateway.get("/customers", &["Cookie: sid=good; sid=bad"]).await.status, 401);
    assert_eq!(gateway.get("/customers?token=good&token=good", &[]).await.status, 401);
}
