//! What reaches the upstream.

use fieldgate::rewrite::codec::{Coding, Encoder};

use super::*;
use crate::support::upstream;

const FOUND: &str = r#"{"data":{"id":7,"owner_id":"seller"}}"#;

async fn stages() -> Stages {
    Stages::new(|request| {
        let list = request.target.starts_with("/customers?");
        upstream::json(if list { r#"{"data":[]}"# } else { FOUND })
    })
    .await
}

#[track_caller]
fn refused(answered: Result<Answered, Refusal>) -> Refused {
    match answered {
        Err(Refusal::Refused(refused)) => refused,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_request_is_written_again_from_what_was_judged() {
    let stages = stages().await;
    let request = Request::get("/customers?name=%E7%8E%8B+%26&limit=9000&page=2")
        .header("accept", "text/html")
        .header("accept-encoding", "br, zstd")
        .header("accept-language", "zh")
        .header("authorization", "Bearer caller")
        .header("cookie", "a=b")
        .header("x-forwarded-user", "root")
        .header("range", "bytes=0-1")
        .header("if-none-match", "\"a\"")
        .header("te", "trailers")
        .header("connection", "x-secret-hop")
        .header("x-secret-hop", "1")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .body(Full::default())
        .unwrap();
    stages.ask("manager", request).await.unwrap();
    let seen = stages.crm.only_request();
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("GET", "/customers?name=%E7%8E%8B%20%26&limit=50&page=2")
    );
    let mut names: Vec<_> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let expected =
        ["accept", "accept-encoding", "accept-language", "host", "traceparent", "via", "x-request-id"];
    assert_eq!(names, expected);
    assert_eq!(seen.header("accept"), Some("application/json"));
    assert_eq!(seen.header("accept-encoding"), Some("gzip"));
    assert_eq!(seen.header("via"), Some("1.1 fieldgate"));
    assert!(seen.header("traceparent").unwrap().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    assert!(!seen.header("traceparent").unwrap().contains("00f067aa0ba902b7"));
}

#[tokio::test]
async fn what_no_permission_covers_is_not_sent() {
    let stages = stages().await;
    for (who, request) in [
        ("reader", json("PUT", "/customers/7", "{}")),
        ("nobody", get("/customers/7")),
        ("manager", get("/debug")),
        ("manager", get("/customers/7/../8")),
    ] {
        let denied = stages.ask(who, request).await;
        assert!(
            matches!(&denied, Err(Refusal::Denied(denial)) if denial.policy_version.len() > 8),
            "{denied:?}"
        );
    }
    assert!(stages.crm.received().is_empty());
}

/// Q01, Q02, Q04: nothing that asks about a hidden field is sent, and the words are those for an unknown one.
#[tokio::test]
async fn questions_about_hidden_fields_are_not_asked() {
    let stages = stages().await;
    for query in
        ["phone=138", "order=phone", "order=-pin", "order=nothing", "fields=pin", "nothing=1", "q=138"]
    {
        refused(stages.get("reader", &format!("/customers?{query}")).await);
    }
    assert!(stages.crm.received().is_empty());
    let hidden = refused(stages.get("reader", "/customers?order=pin").await).public();
    let unknown = refused(stages.get("reader", "/customers?order=nix").await).public();
    assert_eq!(hidden, unknown);
}

/// What tells one route from another reaches the upstream, or it would take the request for another one.
#[tokio::test]
async fn what_decides_about_the_route_goes_on() {
    let stages = Stages::new(|_| upstream::json("[]")).await;
    stages.get("manager", "/bulk?kind=json").await.unwrap();
    assert_eq!(stages.crm.only_request().target, "/bulk?kind=json");
    let mut request = get("/bulk");
    request.headers_mut().insert("x-kind", "lines".parse().unwrap());
    let _other_format = stages.ask("manager", request).await;
    assert_eq!(stages.crm.received()[1].header("x-kind"), Some("lines"));
    assert!(stages.get("manager", "/bulk?kind=json&more=1").await.is_err());
    assert!(stages.get("manager", "/bulk").await.is_err());
}

#[tokio::test]
async fn a_selection_is_narrowed_and_keeps_what_decides() {
    let stages = stages().await;
    stages.get("seller", "/customers?fields=name,pin,nothing").await.unwrap();
    assert_eq!(stages.crm.only_request().target, "/customers?fields=name%2Cid%2Cowner_id");
}

#[tokio::test]
async fn head_is_asked_as_get() {
    let stages = stages().await;
    let request = Request::head("/customers/7").body(Full::default()).unwrap();
    let answered = stages.ask("reader", request).await.unwrap();
    assert_eq!(stages.crm.only_request().method, "GET");
    assert!(answered.body.is_empty());
    assert_eq!(answered.header("content-length"), None);
    assert_eq!(answered.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_write_reaches_the_upstream_as_it_was_judged() {
    let stages = stages().await;
    let body = " { \"name\" : \"\\u738b\" , \"phone\":\"13800138000\", \"tags\": [ 1.50 ] } ";
    stages.ask("manager", json("PUT", "/customers/7", body)).await.unwrap();
    let seen = stages.crm.only_request();
    assert_eq!(seen.text(), "{\"name\":\"王\",\"phone\":\"13800138000\",\"tags\":[1.50]}");
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("content-length"), Some(seen.body.len().to_string().as_str()));
}

/// W07: what may not be set is refused by name, hidden and unknown alike, at every depth.
#[tokio::test]
async fn fields_that_are_not_editable_are_refused_by_name() {
    let stages = stages().await;
    for (body, names) in [
        (r#"{"name":"x","pin":1}"#, "`pin`"),
        (r#"{"pin":1,"id":2,"no_such":3}"#, "`pin`, `id`, `no_such`"),
        (r#"{"Name":"x"}"#, "`Name`"),
        (r#"{"name":"x","bank":{"account":"1"}}"#, "`bank`"),
        (r#"{"name":"x","__proto__":{"phone":"1"}}"#, "`__proto__`"),
        (r#"{"p\u0069n":1}"#, "`pin`"),
    ] {
        let refused = refused(stages.ask("manager", json("PUT", "/customers/7", body)).await);
        assert_eq!(refused.status(), 403);
        assert_eq!(refused.public(), format!("fields are not editable: {names}"));
    }
    assert!(stages.crm.received().is_empty());
}

/// W08, W09: what could be read in two ways is not sent.
#[tokio::test]
async fn bodies_that_cannot_be_judged_are_refused() {
    let stages = stages().await;
    for body in
        ["{\"name\":1,\"name\":2}", "{\"name\":1", "[]", "1", "{\"name\":1}{}", "\u{feff}{\"name\":1}"]
    {
        let refused = refused(stages.ask("manager", json("PUT", "/customers/7", body)).await);
        assert_eq!(refused.status(), 400, "{body}");
    }
    for (name, value) in [
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-type", "text/xml"),
        ("content-type", "application/json-patch+json"),
        ("content-type", "application/json; charset=utf-16"),
        ("content-type", "multipart/form-data; boundary=x"),
        ("content-encoding", "compress"),
        ("content-encoding", "gzip, gzip"),
    ] {
        let mut request = json("PUT", "/customers/7", "{\"name\":1}");
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(refused(stages.ask("manager", request).await).status(), 415, "{value}");
    }
    let mut untyped = json("PUT", "/customers/7", "{\"name\":1}");
    untyped.headers_mut().remove("content-type");
    assert_eq!(refused(stages.ask("manager", untyped).await).status(), 415);
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(1 << 20));
    assert_eq!(refused(stages.ask("manager", json("PUT", "/customers/7", &long)).await).status(), 413);
    let deep = format!("{{\"tags\":{}{}}}", "[".repeat(200), "]".repeat(200));
    assert_eq!(refused(stages.ask("manager", json("PUT", "/customers/7", &deep)).await).status(), 400);
    assert!(stages.crm.received().is_empty());
}

#[tokio::test]
async fn a_compressed_body_is_judged_and_goes_on_plain() {
    let stages = stages().await;
    let compressed = |text: &str| {
        let mut encoder = Encoder::new(Coding::Gzip);
        let mut bytes = Vec::new();
        encoder.push(text.as_bytes(), &mut bytes);
        encoder.finish(&mut bytes);
        bytes
    };
    let put = |bytes: Vec<u8>| {
        let mut request = json("PUT", "/customers/7", "");
        request.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        request.map(|_| Full::new(Bytes::from(bytes)))
    };
    assert_eq!(refused(stages.ask("manager", put(compressed("{\"pin\":1}"))).await).status(), 403);
    assert_eq!(refused(stages.ask("manager", put(b"{\"name\":1}".to_vec())).await).status(), 400);
    let bomb = format!("{{\"name\":1{}}}", " ".repeat(2 << 20));
    assert_eq!(refused(stages.ask("manager", put(compressed(&bomb))).await).status(), 413);
    let long = format!("{{\"name\":\"{}\"}}", (0..400_000).map(|i| format!("{i:x}")).collect::<String>());
    assert_eq!(refused(stages.ask("manager", put(compressed(&long))).await).status(), 413);
    assert!(stages.crm.received().is_empty());
    stages.ask("manager", put(compressed("{\"name\":1}"))).await.unwrap();
    let seen = stages.crm.only_request();
    assert_eq!((seen.text(), seen.header("content-encoding")), ("{\"name\":1}", None));
}

/// W01: a masked value that comes back would overwrite what it stands for.
#[tokio::test]
async fn masked_values_that_come_back_are_refused() {
    let stages = stages().await;
    let body = r#"{"phone":"138****8000"}"#;
    let refused = refused(stages.ask("seller", json("PUT", "/customers/7", body)).await);
    assert_eq!(refused.public(), "masked values were sent back in: `phone`");
    // The record was read, but not written.
    let methods: Vec<_> = stages.crm.received().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["GET"]);
}

#[tokio::test]
async fn a_body_where_none_belongs_is_refused() {
    let stages = stages().await;
    for method in ["GET", "DELETE"] {
        let refused = refused(stages.ask("manager", json(method, "/customers/7", "{}")).await);
        assert!(matches!(refused, Refused::UnexpectedBody), "{refused}");
    }
    assert!(stages.crm.received().is_empty());
}

/// A write under a condition is sent only after the record was read and found to meet it.
#[tokio::test]
async fn a_conditional_write_reads_the_record_first() {
    let stages = stages().await;
    stages.ask("seller", json("PUT", "/customers/7", r#"{"name":"x"}"#)).await.unwrap();
    let seen = stages.crm.received();
    let order: Vec<_> = seen.iter().map(|r| (r.method.as_str(), r.target.as_str())).collect();
    assert_eq!(order, [("GET", "/customers/7"), ("PUT", "/customers/7")]);

    for current in [
        r#"{"data":{"id":7,"owner_id":"other"}}"#,
        r#"{"data":{"id":7}}"#,
        r#"{"data":{"id":7,"owner_id":"seller","owner_id":"seller"}}"#,
        r#"{"data":null}"#,
        r#"{}"#,
    ] {
        let stages = Stages::new(move |_| upstream::json(current)).await;
        let refused = stages.ask("seller", json("PUT", "/customers/7", r#"{"name":"x"}"#)).await;
        assert!(matches!(refused, Err(Refusal::NotReleased)), "{current}: {refused:?}");
        assert_eq!(stages.crm.only_request().method, "GET");
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_judged_is_not_changed() {
    for acts in [
        upstream::answer("404 Not Found", &[], b"", upstream::Framing::Length),
        upstream::answer("500 Oops", &[], b"", upstream::Framing::Length),
        upstream::answer("200 OK", &["Content-Type: text/html"], b"<p>", upstream::Framing::Length),
        upstream::json(r#"{"data":{"id":7,"owner_id":"seller""#),
        upstream::json(r#"{"data":[]}"#),
        vec![Act::Close],
    ] {
        let stages = Stages::new(move |_| acts.clone()).await;
        assert!(stages.ask("seller", json("DELETE", "/customers/7", "")).await.is_err());
        // A read whose connection broke may have been sent again; the change never.
        let seen = stages.crm.received();
        assert!((1..=2).contains(&seen.len()) && seen.iter().all(|request| request.method == "GET"));
    }
}

/// P13, S12, R23.
#[tokio::test]
async fn neither_method_nor_protocol_can_be_switched() {
    let stages = stages().await;
    let mut request = get("/customers/7");
    request.headers_mut().insert("x-http-method-override", "DELETE".parse().unwrap());
    stages.ask("reader", request).await.unwrap();
    let seen = stages.crm.only_request();
    assert_eq!((seen.method.as_str(), seen.header("x-http-method-override")), ("GET", None));

    let mut request = get("/customers/7");
    request.headers_mut().insert("connection", "upgrade".parse().unwrap());
    request.headers_mut().insert("upgrade", "websocket".parse().unwrap());
    assert!(matches!(refused(stages.ask("reader", request).await), Refused::Upgrade));
}

#[tokio::test]
async fn a_public_routes_request_passes_but_for_credentials_and_hops() {
    let stages = stages().await;
    let request = Request::post("/hook?a=b&a=c")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", "Bearer x")
        .header("cookie", "a=b")
        .header("connection", "close")
        .body(Full::new(Bytes::from_static(b"a=1&a=2")))
        .unwrap();
    stages.ask("nobody", request).await.unwrap();
    let seen = stages.crm.only_request();
    assert_eq!((seen.target.as_str(), seen.text()), ("/hook?a=b&a=c", "a=1&a=2"));
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    for name in ["authorization", "cookie", "connection"] {
        assert_eq!(seen.header(name), None);
    }
}
