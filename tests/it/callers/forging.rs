//! Group I of the threats against a running gateway: tokens that somebody else made, or made over. Whatever is refused,
//! the upstream sees nothing of it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fieldgate::app::config::Config;
use fieldgate::app::{App, Sockets};
use fieldgate::base::{Clock as _, SystemClock};
use fieldgate::telemetry::Metrics;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::tokens::{ISSUER, Signer, issuer};
use crate::support::gateway::{Gateway, Setup};
use crate::support::upstream::{Framing, Upstream, answer, json as ok};

const DATA: &str =
    r#"{"data":[{"id":1,"name":"Ada","owner_id":"li.na","phone":"13800138000","credit_limit":9}],"total":1}"#;
const FAR: i64 = 4_000_000_000;

struct Stage {
    upstream: Upstream,
    gateway: Gateway,
    signer: Signer,
}

impl Stage {
    async fn new() -> Self {
        let (upstream, signer) = (Upstream::start(|_| ok(DATA)).await, Signer::new());
        let setup = Setup::before(&upstream).identity(&issuer(""));
        let gateway =
            setup.start_with(|dir| std::fs::write(dir.join("jwks.json"), signer.jwks()).unwrap()).await;
        Self { upstream, gateway, signer }
    }

    async fn status(&self, token: &str) -> u16 {
        self.gateway.get("/customers", &[&format!("Authorization: Bearer {token}")]).await.status
    }

    /// None of them comes in, and a good one still does.
    async fn are_refused(&self, tokens: impl IntoIterator<Item = String>) {
        for token in tokens {
            assert_eq!(self.status(&token).await, 401, "{token}");
        }
        assert!(self.upstream.received().is_empty());
        assert_eq!(self.status(&signed(&self.signer, &header(), &claims().to_string())).await, 200);
    }
}

fn header() -> String {
    json!({ "alg": "ES256", "typ": "JWT", "kid": "k1" }).to_string()
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": "crm", "sub": "li.na", "groups": ["sales"], "exp": FAR })
}

fn b64(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// Signed over whatever it says.
fn signed(signer: &Signer, header: &str, claims: &str) -> String {
    by(&signer.0, Algorithm::ES256, header, claims)
}

fn by(key: &EncodingKey, algorithm: Algorithm, header: &str, claims: &str) -> String {
    let message = format!("{}.{}", b64(header), b64(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn with(name: &str, value: Value) -> Value {
    let mut all = claims();
    all[name] = value;
    all
}

#[tokio::test]
async fn i01_a_running_gateway_refuses_alg_none() {
    let stage = Stage::new().await;
    let tokens = ["none", "None", "nOnE", "", "es256"].into_iter().flat_map(|alg| {
        let header = json!({ "alg": alg, "kid": "k1" }).to_string();
        let unsigned = format!("{}.{}.", b64(&header), b64(claims().to_string()));
        [unsigned.clone(), format!("{unsigned}AA"), signed(&stage.signer, &header, &claims().to_string())]
    });
    stage.are_refused(tokens.collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn i02_a_running_gateway_takes_no_public_key_for_a_secret() {
    let stage = Stage::new().await;
    let jwks = stage.signer.jwks();
    let key: Value = serde_json::from_str::<Value>(&jwks).unwrap()["keys"][0].clone();
    let secrets = [jwks.clone(), key.to_string(), key["x"].as_str().unwrap().to_owned(), String::new()];
    let tokens = secrets.iter().map(|secret| {
        let header = json!({ "alg": "HS256", "kid": "k1" }).to_string();
        by(&EncodingKey::from_secret(secret.as_bytes()), Algorithm::HS256, &header, &claims().to_string())
    });
    stage.are_refused(tokens.collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn i03_i11_a_running_gateway_fetches_keys_once_for_unknown_ones_and_keeps_the_last_good() {
    let signer = Signer::new();
    let jwks = signer.jwks();
    let down = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let broken = std::sync::Arc::clone(&down);
    let provider = Upstream::start(move |_| match broken.load(std::sync::atomic::Ordering::SeqCst) {
        false => ok(&jwks),
        true => answer("500 X", &[], b"", Framing::Length),
    })
    .await;
    let upstream = Upstream::start(|_| ok(DATA)).await;
    let identity = format!(
        "  issuers:
    - {{ issuer: '{ISSUER}', audiences: [crm], algorithms: [ES256], keys: {{ url: '{}/keys' }}, cooldown: 1h }}\n",
        provider.url()
    );
    let gateway = Setup::before(&upstream).identity(&identity).start().await;
    let stage = Stage { upstream, gateway, signer };
    let good = signed(&stage.signer, &header(), &claims().to_string());
    assert_eq!(stage.status(&good).await, 200);
    for kid in ["../../etc/passwd", "k1' OR '1'='1", "http://127.0.0.1/", "K1", "k2", "k3"] {
        let header = json!({ "alg": "ES256", "kid": kid }).to_string();
        assert_eq!(stage.status(&signed(&stage.signer, &header, &claims().to_string())).await, 401, "{kid}");
    }
    assert!(provider.received().len() <= 2, "{}", provider.received().len());
    down.store(true, std::sync::atomic::Ordering::SeqCst);
    let header = json!({ "alg": "ES256", "kid": "k4" }).to_string();
    assert_eq!(stage.status(&signed(&stage.signer, &header, &claims().to_string())).await, 401);
    let other = signed(&stage.signer, &self::header(), &with("jti", json!("2")).to_string());
    assert_eq!(stage.status(&other).await, 200, "the last good keys are kept");
    assert_eq!(stage.upstream.received().len(), 2, "the refused ones went nowhere");
}

#[tokio::test]
async fn i04_a_running_gateway_never_follows_or_uses_a_key_that_a_token_brings() {
    let stage = Stage::new().await;
    let other = Signer::new();
    let jwks = other.jwks();
    let canary = Upstream::start(move |_| ok(&jwks)).await;
    let jwk: Value = serde_json::from_str::<Value>(&other.jwks()).unwrap()["keys"][0].clone();
    let brought = [
        ("jku", json!(format!("{}/keys", canary.url()))),
        ("x5u", json!(format!("{}/keys", canary.url()))),
        ("jwk", jwk),
        ("x5c", json!([STANDARD.encode("certificate")])),
    ];
    let tokens = brought.iter().flat_map(|(name, value)| {
        let mut header: Value = serde_json::from_str(&header()).unwrap();
        header[*name] = value.clone();
        let (header, claims) = (header.to_string(), claims().to_string());
        [signed(&other, &header, &claims), signed(&stage.signer, &header, &claims)]
    });
    stage.are_refused(tokens.collect::<Vec<_>>()).await;
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn i05_i06_i07_a_running_gateway_reads_tokens_in_one_way_only() {
    let stage = Stage::new().await;
    let mut tokens = Vec::new();
    let members = [
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("typ", json!("at+jwe")),
    ];
    for (name, value) in members {
        let mut header: Value = serde_json::from_str(&header()).unwrap();
        header[name] = value;
        tokens.push(signed(&stage.signer, &header.to_string(), &claims().to_string()));
    }
    let text = claims().to_string();
    for odd in [
        text.replacen('{', r#"{"sub":"xu.lan","#, 1),
        text.replacen('{', r#"{"s\u0075b":"xu.lan","#, 1),
        text.replacen('{', r#"{"groups":["managers"],"#, 1),
        format!("{text}{{}}"),
        format!("[{text}]"),
        format!("\u{feff}{text}"),
        text.replace("4000000000", "NaN"),
    ] {
        tokens.push(signed(&stage.signer, &header(), &odd));
    }
    tokens.push(signed(&stage.signer, r#"{"alg":"ES256","kid":"k1","alg":"none"}"#, &text));
    let good = signed(&stage.signer, &header(), &text);
    let [head, body, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    tokens.extend([
        format!("{good}="),
        format!("{good}.{signature}"),
        format!("{head}.{body}={}.{signature}", ""),
        format!("{head}==.{body}.{signature}"),
        format!("{head}.{body}.{}", signature.replace(['-', '_'], "+")) + "+",
        format!("{head}.{body}.{}", STANDARD.encode(URL_SAFE_NO_PAD.decode(signature).unwrap())),
        format!("{head}.{body}."),
        format!("{head}.{body}"),
        format!(".{body}.{signature}"),
        format!("{body}.{head}.{signature}"),
        format!(
            "{}.{}.{}.{}.{}",
            b64(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#),
            b64("k"),
            b64("iv"),
            b64(&good),
            b64("tag")
        ),
    ]);
    stage.are_refused(tokens).await;
}

#[tokio::test]
async fn i08_i09_a_running_gateway_holds_tokens_to_their_time_audience_and_issuer() {
    let stage = Stage::new().await;
    let now = SystemClock::new().now().as_second();
    let bad = [
        with("exp", json!(now - 3600)),
        with("exp", Value::Null),
        with("exp", json!("4000000000")),
        with("nbf", json!(now + 3600)),
        with("iat", json!(now + 3600)),
        with("aud", json!("erp")),
        with("aud", json!("crm ")),
        with("aud", json!(["erp", "CRM"])),
        with("aud", Value::Null),
        with("iss", json!("https://id.example/")),
        with("iss", json!("https://ID.example")),
        with("iss", json!("https://evil.example")),
        with("iss", json!([ISSUER])),
        with("sub", Value::Null),
        with("sub", json!("")),
        with("sub", json!(7)),
    ];
    let tokens = bad.iter().map(|claims| signed(&stage.signer, &header(), &claims.to_string()));
    stage.are_refused(tokens.collect::<Vec<_>>()).await;
    let late = with("exp", json!(now - 20));
    assert_eq!(
        stage.status(&signed(&stage.signer, &header(), &late.to_string())).await,
        200,
        "within the skew"
    );
}

#[tokio::test]
async fn i10_a_running_gateway_opens_each_issuers_tokens_with_its_own_keys() {
    let (one, two) = (Signer::new(), Signer::new());
    let upstream = Upstream::start(|_| ok(DATA)).await;
    let second =
        issuer("").replace("  issuers:\n", "").replace(ISSUER, "https://two.example").replace("jwks", "two");
    let gateway = Setup::before(&upstream)
        .identity(&format!("{}{second}", issuer("")))
        .start_with(|dir| {
            std::fs::write(dir.join("jwks.json"), one.jwks()).unwrap();
            std::fs::write(dir.join("two.json"), two.jwks()).unwrap();
        })
        .await;
    let stage = Stage { upstream, gateway, signer: one };
    let foreign = signed(&two, &header(), &claims().to_string());
    let other = signed(&stage.signer, &header(), &with("iss", json!("https://two.example")).to_string());
    stage.are_refused([foreign, other]).await;
}

#[tokio::test]
async fn i12_a_gateway_with_a_weak_key_does_not_start() {
    let upstream = Upstream::start(|_| ok(DATA)).await;
    let mut modulus = vec![0xc5; 128];
    modulus[127] = 1;
    let jwk = json!({ "kty": "RSA", "kid": "k1", "n": b64(&modulus), "e": "AQAB" });
    let setup = Setup::before(&upstream).identity(&issuer("").replace("ES256", "RS256"));
    let (dir, path) = setup.write();
    std::fs::write(dir.path().join("jwks.json"), json!({ "keys": [jwk] }).to_string()).unwrap();
    let (config, _) = Config::load(&path);
    let clock = std::sync::Arc::new(SystemClock::new());
    let metrics = std::sync::Arc::new(Metrics::new());
    let started =
        App::start(config.expect("good but for its keys"), Sockets::default(), clock, metrics).await;
    assert!(started.is_err(), "a key of 1024 bits");
}

#[tokio::test]
async fn i20_two_roles_see_each_record_as_both_say_and_a_guard_still_denies() {
    let upstream = Upstream::start(|_| {
        let own = r#"{"id":1,"name":"Ada","owner_id":"li.na","phone":"13800138000","credit_limit":9}"#;
        ok(&format!(r#"{{"data":[{own},{}],"total":2}}"#, own.replace("li.na", "u9")))
    })
    .await;
    let signer = Signer::new();
    let gateway = Setup::before(&upstream)
        .policy("guards:\n  - { name: no-boss, on: { actions: [list] }, require: '!(\"boss\" in principal.groups)' }\n")
        .identity(&issuer(""))
        .start_with(|dir| std::fs::write(dir.join("jwks.json"), signer.jwks()).unwrap())
        .await;
    let bearer = |groups: Value| {
        format!("Authorization: Bearer {}", signed(&signer, &header(), &with("groups", groups).to_string()))
    };
    let got = gateway.get("/customers", &[&bearer(json!(["sales", "finance"]))]).await;
    let seen = got.json();
    assert_eq!(seen["data"][0]["phone"], "13800138000", "its own: as sales");
    assert_eq!(seen["data"][1]["phone"], "138****8000", "somebody else's: as finance");
    assert_eq!(seen["data"][1]["credit_limit"], 9);
    assert_eq!(gateway.get("/customers", &[&bearer(json!(["sales", "finance", "boss"]))]).await.status, 403);
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test]
async fn i22_a_running_gateway_refuses_every_wrong_key_alike() {
    let stage = Stage::new().await;
    let mut answers = Vec::new();
    for line in [
        "Authorization: Bearer sales-key-000001",
        "Authorization: Bearer nosuch-key-00000",
        "Authorization: Bearer x",
        "X-Api-Key: finance-key-0001",
        "X-Api-Key: fg_0123456789ab_0000000000000000000000000000000000000000000",
    ] {
        let got = stage.gateway.get("/customers", &[line]).await;
        let id = got.header("x-request-id").expect("an id").to_owned();
        let head = got.headers.iter().filter(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date"));
        answers.push((got.status, head.cloned().collect::<Vec<_>>(), got.text().replace(&id, "ID")));
    }
    assert!(answers.iter().all(|other| other.0 == 401 && *other == answers[0]), "{answers:?}");
    assert!(stage.upstream.received().is_empty());
}
