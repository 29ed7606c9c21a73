use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::*;

struct Caller {
    crm: Crm,
    client: Client<HttpConnector, Full<Bytes>>,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

impl Caller {
    async fn new() -> Self {
        let crm = Crm::start(Secret::new("s3cret".to_owned()), 200).expect("a port");
        Self { crm, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut req = Request::builder().method(method).uri(format!("http://{}{target}", self.crm.addr()));
        for (name, value) in headers {
            req = req.header(*name, *value);
        }
        let req = req.body(Full::new(Bytes::from(body.to_owned()))).expect("a request");
        let (head, mut incoming) = self.client.request(req).await.expect("an answer").into_parts();
        let mut body = Vec::new();
        while let Some(frame) = incoming.frame().await {
            body.extend_from_slice(&frame.expect("whole").into_data().unwrap_or_default());
        }
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    async fn call(&self, method: &str, target: &str, body: &str) -> Answer {
        self.send(method, target, &[("authorization", "Bearer s3cret")], body).await
    }
}

#[tokio::test]
async fn it_answers_nobody_without_the_secret() {
    let caller = Caller::new().await;
    for headers in [vec![], vec![("authorization", "Bearer s3cre")], vec![("authorization", "Basic s3cret")]]
    {
        let answer = caller.send("GET", "/api/v1/customers/42", &headers, "").await;
        assert_eq!(answer.status, 401);
        assert!(!String::from_utf8_lossy(&answer.body).contains("13800138000"));
    }
    assert_eq!(caller.send("GET", "/healthz", &[], "").await.status, 200);
}

#[tokio::test]
async fn a_list_has_pages_and_a_total() {
    let caller = Caller::new().await;
    let list = caller.call("GET", "/api/v1/customers?limit=5&page=2&order_by=-id", "").await;
    let list = list.json();
    assert_eq!(list["total"], 200);
    let ids: Vec<u64> =
        list["data"].as_array().expect("data").iter().filter_map(|record| record["id"].as_u64()).collect();
    assert_eq!(ids, [195, 194, 193, 192, 191]);
}

#[tokio::test]
async fn what_is_written_can_be_read_again() {
    let caller = Caller::new().await;
    let new = caller.call("POST", "/api/v1/customers", r#"{"name":"Acme","phone":"1"}"#).await;
    assert_eq!((new.status, new.json()["data"]["id"].as_u64()), (201, Some(201)));
    assert_eq!(caller.call("PATCH", "/api/v1/customers/201", r#"{"phone":"2"}"#).await.status, 200);
    let read = caller.call("GET", "/api/v1/customers/201", "").await.json();
    assert_eq!((&read["data"]["name"], &read["data"]["phone"]), (&json!("Acme"), &json!("2")));
    assert_eq!(caller.call("DELETE", "/api/v1/customers/201", "").await.status, 200);
    assert_eq!(caller.call("GET", "/api/v1/customers/201", "").await.status, 404);
}

#[tokio::test]
async fn its_errors_repeat_what_they_should_not() {
    let caller = Caller::new().await;
    let answer = caller.call("PUT", "/api/v1/customers/42", r#"{"phone":138}"#).await;
    assert_eq!(answer.status, 422);
    assert!(answer.json()["message"].as_str().expect("text").contains("王芳"));
    let answer = caller.call("POST", "/api/v1/customers", "{\"phone\":\"13800138000\"").await;
    assert_eq!(answer.status, 400);
    assert!(answer.json()["message"].as_str().expect("text").contains("13800138000"));
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused() {
    let caller = Caller::new().await;
    let body = format!("{{\"name\":\"{}\"}}", "x".repeat(MAX_BODY_BYTES));
    assert_eq!(caller.call("POST", "/api/v1/customers", &body).await.status, 413);
}

#[tokio::test]
async fn it_compresses_when_asked() {
    use std::io::Read;
    let caller = Caller::new().await;
    for target in ["/api/v1/customers/42", "/api/v1/customers/export?format=json"] {
        let headers = [("authorization", "Bearer s3cret"), ("accept-encoding", "br;q=1, gzip;q=0.5")];
        let answer = caller.send("GET", target, &headers, "").await;
        assert_eq!(answer.headers[CONTENT_ENCODING], "gzip");
        let mut decoder = crate::rewrite::codec::Decoder::new(Coding::Gzip, Default::default());
        let mut text = Vec::new();
        let mut sink = |piece: &[u8]| {
            text.extend_from_slice(piece);
            Ok(())
        };
        decoder.push(&answer.body, &mut sink).expect("gzip");
        let mut body = text.as_slice();
        let mut start = [0; 8];
        body.read_exact(&mut start).expect("something");
        assert_eq!(&start, b"{\"data\":");
    }
    let answer = caller
        .send(
            "GET",
            "/api/v1/customers/42",
            &[("authorization", "Bearer s3cret"), ("accept-encoding", "gzip;q=0")],
            "",
        )
        .await;
    assert!(!answer.headers.contains_key(CONTENT_ENCODING));
}

#[tokio::test]
async fn the_first_bytes_of_an_export_come_before_the_last_are_made() {
    let crm = Crm::start(Secret::new("s3cret".to_owned()), 50_000).expect("a port");
    let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let req = Request::get(format!("http://{}/api/v1/customers/export?format=json", crm.addr()))
        .header("authorization", "Bearer s3cret")
        .body(Empty::new())
        .expect("a request");
    let mut body = client.request(req).await.expect("an answer").into_body();
    let first = body.frame().await.expect("a frame").expect("whole").into_data().expect("data");
    assert!(first.starts_with(b"{\"data\":["));
    // The CRM is stopped in the middle: had it been finished, the rest would still arrive.
    drop(crm);
    let mut rest = first.len();
    let broken = loop {
        match body.frame().await {
            Some(Ok(frame)) => rest += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(broken, "the answer was complete after {rest} bytes");
}
