use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::base::ManualClock;
use crate::identity::service::{Asked, Service};

struct Scene {
    service: Service,
    clock: ManualClock,
    vendor: Vendor,
}

fn tokens(url: &str) -> VendorTokens {
    let path = |text: &str| Path::parse_jsonpath(text).unwrap();
    VendorTokens {
        name: "crm.example".into(),
        api: "crm".into(),
        carrier: TokenCarrier::Authorization("Bearer".into()),
        url: format!("{url}/api/me").parse().unwrap(),
        body: None,
        ca_file: None,
        id: path("$.data.id"),
        nobody: vec!["0".to_owned()],
        display_name: Some(path("$.data.name")),
        groups: vec![path("$.data.role"), path("$.data.teams[*].key")],
        timeout: Duration::from_secs(5),
        remember: Duration::from_secs(60),
        remember_refusal: Duration::from_secs(5),
    }
}

impl Scene {
    async fn new(
        script: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static,
        change: impl FnOnce(&mut VendorTokens),
    ) -> Self {
        let service = Service::start(script).await;
        let mut config = tokens(&service.url);
        change(&mut config);
        let clock = ManualClock::at(Timestamp::from_second(1_800_000_000).unwrap());
        let vendor = Vendor::new(&config, "vendor_tokens[0]", &Tools::for_tests(&clock)).unwrap();
        Self { service, clock, vendor }
    }

    /// Every token gets this answer.
    async fn answering(status: u16, body: Value) -> Self {
        Self::new(move |_| (status, body.to_string()), |_| ()).await
    }

    async fn judged(&self, token: &str) -> Result<Arc<Subject>, Unauthenticated> {
        self.vendor.authenticate(token).await
    }
}

fn nobody() -> Unauthenticated {
    Unauthenticated::Vendor("crm.example".into())
}

#[tokio::test]
async fn the_system_says_who_a_token_stands_for() {
    let answer = json!({"data": {"id": 42, "name": "王芳", "role": "sales", "teams": [{"key": "east"}, {"key": 7}, {"key": null}]}});
    let scene = Scene::answering(200, answer).await;
    let subject = scene.judged("tok-1").await.unwrap();
    assert_eq!(
        (&*subject.issuer, &*subject.id, subject.name.as_deref()),
        ("crm.example", "42", Some("王芳"))
    );
    assert_eq!(subject.groups.iter().map(|group| &**group).collect::<Vec<_>>(), ["sales", "east", "7"]);
    assert_eq!((subject.method, subject.mfa), (Method::Vendor, false));
    let asked = scene.service.asked().remove(0);
    assert_eq!((asked.line.as_str(), asked.header("authorization")), ("GET /api/me", Some("Bearer tok-1")));
}

#[tokio::test]
async fn a_token_goes_where_its_system_looks_for_it() {
    type Case = (fn(&mut VendorTokens), &'static str, Option<(&'static str, &'static str)>);
    let cases: [Case; 4] = [
        (
            |t| t.carrier = TokenCarrier::Header("x-session".parse().unwrap()),
            "GET /api/me",
            Some(("x-session", "a+b")),
        ),
        (|t| t.carrier = TokenCarrier::Cookie("sid".into()), "GET /api/me", Some(("cookie", "sid=a+b"))),
        (|t| t.carrier = TokenCarrier::Query("access_token".into()), "GET /api/me?access_token=a%2Bb", None),
        (
            |t| t.body = Some(r#"{"method":"me"}"#.to_owned()),
            "POST /api/me",
            Some(("content-type", "application/json")),
        ),
    ];
    for (change, line, header) in cases {
        let scene = Scene::new(|_| (200, r#"{"data":{"id":"u1"}}"#.to_owned()), change).await;
        scene.judged("a+b").await.unwrap();
        let asked = scene.service.asked().remove(0);
        assert_eq!(asked.line, line);
        if let Some((name, value)) = header {
            assert_eq!(asked.header(name), Some(value));
        }
    }
}

#[tokio::test]
async fn i19_an_answer_that_names_nobody_clearly_names_nobody() {
    for answer in [
        json!({"code": "INVALID_TOKEN"}),
        json!({"data": {"id": null}}),
        json!({"data": {"id": ""}}),
        json!({"data": {"id": 0}}),
        json!({"data": {"id": "0"}}),
        json!({"data": {"id": -1}}),
        json!({"data": {"id": 1.5}}),
        json!({"data": {"id": ["u1"]}}),
        json!({"data": {"id": true}}),
        json!({"data": {"id": "a\nb"}}),
        json!({"data": {"id": "u1", "role": {"admin": true}}}),
        json!([{"data": {"id": "u1"}}]),
    ] {
        let scene = Scene::answering(200, answer.clone()).await;
        assert_eq!(scene.judged("t").await.map(drop), Err(nobody()), "{answer}");
    }
    let twice =
        Scene::new(|_| (200, r#"{"data":{"id":"u1"},"data":{"id":"admin"}}"#.to_owned()), |_| ()).await;
    assert_eq!(twice.judged("t").await.map(drop), Err(nobody()));
}

#[tokio::test]
async fn a_no_is_a_no_and_a_failure_is_not() {
    for status in [400, 401, 403] {
        assert_eq!(Scene::answering(status, json!({})).await.judged("t").await.map(drop), Err(nobody()));
    }
    for status in [301, 404, 429, 500, 503] {
        let answer = json!({"data": {"id": "u1"}});
        let refusal = Scene::answering(status, answer).await.judged("t").await.map(drop).unwrap_err();
        assert!(refusal.is_unavailable(), "{status}");
    }
}

#[tokio::test]
async fn i24_answers_are_bound_to_the_token_and_to_their_time() {
    let script = |asked: &Asked| match asked.header("authorization") {
        Some("Bearer good") => (200, r#"{"data":{"id":"u1"}}"#.to_owned()),
        Some("Bearer other") => (200, r#"{"data":{"id":"u2"}}"#.to_owned()),
        _ => (401, String::new()),
    };
    let scene = Scene::new(script, |_| ()).await;
    for _ in 0..3 {
        assert_eq!(&*scene.judged("good").await.unwrap().id, "u1");
        assert_eq!(&*scene.judged("other").await.unwrap().id, "u2");
        assert!(scene.judged("bad").await.is_err());
    }
    assert_eq!(scene.service.asked().len(), 3);
    scene.clock.advance(Duration::from_secs(5));
    assert!(scene.judged("bad").await.is_err());
    assert_eq!(scene.service.asked().len(), 4, "a refusal is asked about again");
    scene.clock.advance(Duration::from_secs(55));
    scene.judged("good").await.unwrap();
    assert_eq!(scene.service.asked().len(), 5);
}

#[tokio::test]
async fn a_hundred_callers_with_one_token_ask_once() {
    let scene = Arc::new(Scene::answering(200, json!({"data": {"id": "u1"}})).await);
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let scene = Arc::clone(&scene);
            tokio::spawn(async move { scene.judged("t").await.map(drop) })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), Ok(()));
    }
    assert_eq!(scene.service.asked().len(), 1);
}
