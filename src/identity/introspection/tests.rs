use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::base::{ManualClock, Secret};
use crate::identity::config::ClaimNames;
use crate::identity::principal::Kind;
use crate::identity::service::Service;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://id.example";

struct Scene {
    service: Service,
    clock: ManualClock,
    introspection: Introspection,
}

impl Scene {
    /// A token is answered by what stands in it: JSON members, or a status.
    async fn new(change: impl FnOnce(&mut config::Introspection)) -> Self {
        let service = Service::start(|asked| {
            let form: Vec<(&str, &str)> = asked.body.split('&').filter_map(|p| p.split_once('=')).collect();
            let token = form.iter().find(|(name, _)| *name == "token").unwrap().1;
            let token = percent_encoding::percent_decode_str(token).decode_utf8().unwrap().into_owned();
            match token.parse::<u16>() {
                Ok(status) => (status, "{}".to_owned()),
                Err(_) => (200, token),
            }
        })
        .await;
        let mut config = config::Introspection {
            issuer: ISSUER.into(),
            url: format!("{}/introspect", service.url).parse().unwrap(),
            client_id: "gate way".to_owned(),
            client_secret: Secret::new("s:e%cret".to_owned()),
            audiences: Vec::new(),
            ca_file: None,
            timeout: Duration::from_secs(5),
            remember: Duration::from_secs(10),
            claims: ClaimNames { mfa_acr: vec!["mfa".to_owned()], ..ClaimNames::default() },
            skew: Duration::from_secs(5),
        };
        change(&mut config);
        let clock = ManualClock::at(Timestamp::from_second(NOW).unwrap());
        let introspection = Introspection::new(&config, &Tools::for_tests(&clock)).unwrap();
        Self { service, clock, introspection }
    }

    async fn judged(&self, answer: &str) -> Result<Arc<Subject>, Unauthenticated> {
        self.introspection.authenticate(answer, None).await
    }

    async fn fault(&self, answer: &Value) -> TokenFault {
        match self.judged(&answer.to_string()).await {
            Err(Unauthenticated::Token(fault)) => fault,
            other => panic!("{:?}", other.map(|subject| subject.id.clone())),
        }
    }
}

#[tokio::test]
async fn the_issuer_says_who_a_token_stands_for() {
    let scene = Scene::new(|_| ()).await;
    let answer = json!({"active": true, "sub": "u7", "groups": ["sales"], "acr": "mfa", "scope": "a b", "exp": NOW + 60});
    let subject = scene.judged(&answer.to_string()).await.unwrap();
    assert_eq!((&*subject.issuer, &*subject.id, subject.mfa), (ISSUER, "u7", true));
    assert_eq!((subject.groups.len(), &subject.claims["scopes"]), (1, &json!(["a", "b"])));
    assert_eq!(subject.method, Method::Introspection);
    let asked = scene.service.asked().remove(0);
    assert_eq!(asked.line, "POST /introspect");
    assert!(asked.body.ends_with("&token_type_hint=access_token"));
    let basic =
        STANDARD.decode(asked.header("authorization").unwrap().strip_prefix("Basic ").unwrap()).unwrap();
    assert_eq!(basic, b"gate%20way:s%3Ae%25cret", "RFC 6749 section 2.3.1");
}

#[tokio::test]
async fn i09_what_is_inactive_over_foreign_or_unclear_is_refused() {
    let scene = Scene::new(|config| config.audiences = vec!["crm".to_owned()]).await;
    let good = json!({"active": true, "sub": "u7", "aud": ["crm"]});
    assert!(scene.judged(&good.to_string()).await.is_ok());
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        changed
    };
    assert_eq!(scene.fault(&json!({"active": false})).await, TokenFault::Inactive);
    for active in [json!("true"), json!(1), json!(null)] {
        assert_eq!(scene.fault(&with("active", active)).await, TokenFault::Claim("active"));
    }
    assert_eq!(scene.fault(&with("aud", json!("erp"))).await, TokenFault::Audience);
    assert_eq!(scene.fault(&json!({"active": true, "sub": "u7"})).await, TokenFault::Claim("aud"));
    assert_eq!(scene.fault(&with("iss", json!("https://other.example"))).await, TokenFault::Issuer);
    assert_eq!(scene.fault(&with("exp", json!(NOW - 5))).await, TokenFault::Expired);
    assert_eq!(scene.fault(&with("nbf", json!(NOW + 6))).await, TokenFault::NotYetValid);
    assert_eq!(scene.fault(&with("cnf", json!({"jkt": "x"}))).await, TokenFault::Bound);
    assert_eq!(
        scene.fault(&with("token_type", json!("refresh_token"))).await,
        TokenFault::Claim("token_type")
    );
    assert_eq!(scene.fault(&with("sub", json!(7))).await, TokenFault::Claim("sub"));
    assert_eq!(scene.fault(&with("sub", json!("client:etl"))).await, TokenFault::Claim("sub"));
    let twice = r#"{"active":true,"sub":"u7","sub":"admin","aud":"crm"}"#;
    assert_eq!(scene.judged(twice).await.map(drop), Err(TokenFault::Json.into()));
}

#[tokio::test]
async fn a_programs_own_token_stands_for_the_program() {
    let scene = Scene::new(|_| ()).await;
    let subject = scene.judged(r#"{"active":true,"client_id":"etl"}"#).await.unwrap();
    assert_eq!((&*subject.id, subject.kind), ("client:etl", Kind::Service));
    assert_eq!(scene.fault(&json!({"active": true})).await, TokenFault::Claim("sub"));
}

#[tokio::test]
async fn i24_an_answer_is_believed_for_its_time_and_not_beyond_the_tokens_end() {
    let scene = Scene::new(|_| ()).await;
    let long = json!({"active": true, "sub": "u7", "exp": NOW + 600}).to_string();
    let short = json!({"active": true, "sub": "u8", "exp": NOW - 2}).to_string();
    for _ in 0..5 {
        scene.judged(&long).await.unwrap();
        scene.judged(&short).await.unwrap();
    }
    assert_eq!(scene.service.asked().len(), 2);
    scene.clock.advance(Duration::from_secs(3));
    assert_eq!(scene.judged(&short).await.map(drop), Err(TokenFault::Expired.into()));
    scene.judged(&long).await.unwrap();
    assert_eq!(scene.service.asked().len(), 3, "the other one is remembered");
    scene.clock.advance(Duration::from_secs(7));
    scene.judged(&long).await.unwrap();
    assert_eq!(scene.service.asked().len(), 4);
}

#[tokio::test]
async fn i19_while_the_issuer_is_out_of_order_nobody_is_anybody() {
    let scene = Scene::new(|_| ()).await;
    for status in ["500", "401", "302", "204"] {
        assert!(scene.judged(status).await.unwrap_err().is_unavailable(), "{status}");
    }
    let asked = scene.service.asked().len();
    assert!(scene.judged("500").await.is_err());
    assert_eq!(scene.service.asked().len(), asked + 1, "a failure is not remembered");
    let gone = Scene::new(|config| config.url = "http://127.0.0.1:9/introspect".parse().unwrap()).await;
    assert!(gone.judged(r#"{"active":true,"sub":"u7"}"#).await.unwrap_err().is_unavailable());
    let huge = format!(r#"{{"active":true,"sub":"u7","x":"{}"}}"#, "a".repeat(300_000));
    assert!(scene.judged(&huge).await.unwrap_err().is_unavailable());
}

#[tokio::test]
async fn s17_a_token_bound_to_a_certificate_needs_it() {
    let scene = Scene::new(|_| ()).await;
    let print = [7_u8; 32];
    let thumbprint = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(print);
    let answer = json!({"active": true, "sub": "u7", "cnf": {"x5t#S256": thumbprint}}).to_string();
    assert!(scene.introspection.authenticate(&answer, Some(&print)).await.is_ok());
    for other in [None, Some(&[8; 32])] {
        let refused = scene.introspection.authenticate(&answer, other).await.map(drop);
        assert_eq!(refused, Err(TokenFault::Bound.into()), "what is remembered is for its certificate alone");
    }
}
