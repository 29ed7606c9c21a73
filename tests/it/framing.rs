//! Requests that two readers could read differently (group S of the threats).

use crate::support::gateway::{SALES, Setup};
use crate::support::upstream::{self, Upstream};

const ONE: &str = r#"{"data":{"id":1,"name":"Ada","owner_id":"li.na"}}"#;

/// Every way to frame a request wrongly, with the status it is answered with.
const BROKEN: &[(&str, u16)] = &[
    (
        "POST /customers HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("POST /customers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", 400),
    (
        "POST /customers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("POST /customers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST /customers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    ("POST /customers HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    ("POST /customers HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na", 400),
    ("POST /customers HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", 400),
    ("POST /customers HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na", 400),
    ("GET /customers/1 HTTP/1.1\nHost: a\n\n", 400),
    ("GET /customers/1 HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
    ("GET /customers/1 HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400),
    ("GET /customers/1 HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
    ("GET /customers/1 HTTP/1.1\r\n\r\n", 400),
    ("GET /customers/1 HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    ("GET http://b/customers/1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /customers/1 HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    ("GET /customers/1 HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400),
    ("GET /customers/1 HTTP/1.1\r\nHost: a\r\n\u{e9}: b\r\n\r\n", 400),
    ("GET /customers/1 HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n", 400),
    ("GET /customers/1 HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
    ("GET  /customers/1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /customers/1#x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /customers/1 HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    ("GET /customers/1 HTTP/1.1\r\nHost: a\r\nExpect: 101-switching\r\n\r\n", 417),
];

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused_recorded_and_closed() {
    let upstream = Upstream::start(|_| upstream::json(ONE)).await;
    let gateway = Setup::before(&upstream).start().await;
    for (text, status) in BROKEN {
        let mut raw = gateway.connect().await;
        // What would be smuggled: it must never be answered.
        raw.send(format!("{text}GET /customers/1 HTTP/1.1\r\nHost: a\r\n{SALES}\r\n\r\n")).await;
        let answer = raw.answer(false).await.unwrap_or_else(|| panic!("no answer to {text:?}"));
        assert_eq!(answer.status, *status, "{text:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{text:?}");
        assert!(raw.rest().await.is_empty(), "something follows the refusal of {text:?}");
    }
    assert!(upstream.received().is_empty());
    let records = gateway.end().await;
    assert_eq!(records.len(), BROKEN.len(), "each refusal has its record");
    assert!(records.iter().all(|record| record["outcome"] == "refused"));
}

#[tokio::test]
async fn a_refused_head_is_answered_behind_the_requests_before_it() {
    let upstream = Upstream::start(|_| upstream::json(ONE)).await;
    let gateway = Setup::before(&upstream).start().await;
    let mut raw = gateway.connect().await;
    let good = format!("GET /customers/1 HTTP/1.1\r\nHost: a\r\n{SALES}\r\n\r\n");
    raw.send(format!("{good}{good}GET /customers/1 HTTP/1.1\r\n\r\n{good}")).await;
    let mut statuses = Vec::new();
    while let Some(answer) = raw.answer(false).await {
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [200, 200, 400]);
}

#[tokio::test]
async fn a_broken_body_is_refused_and_nothing_of_it_goes_on() {
    let upstream = Upstream::start(|_| upstream::json(ONE)).await;
    let gateway = Setup::before(&upstream).start().await;
    let head = format!(
        "PUT /customers/1 HTTP/1.1\r\nHost: a\r\n{}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        "Authorization: Bearer manager-key-0000"
    );
    for body in [
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
    ] {
        let mut raw = gateway.connect().await;
        raw.send(format!("{head}{body}GET /customers/1 HTTP/1.1\r\nHost: a\r\n{SALES}\r\n\r\n")).await;
        let answer = raw.answer(false).await.unwrap_or_else(|| panic!("no answer to {body:?}"));
        assert_eq!(answer.status, 400, "{body:?}");
        assert!(raw.rest().await.is_empty(), "something follows {body:?}");
    }
    assert!(!upstream.received().iter().any(|request| request.method == "PUT"));
}

#[tokio::test]
async fn a_good_body_in_chunks_goes_on_written_anew() {
    let upstream = Upstream::start(|_| upstream::json(ONE)).await;
    let gateway = Setup::before(&upstream).start().await;
    let mut raw = gateway.connect().await;
    raw.send(
        "PUT /customers/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer manager-key-0000\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\nConnection: X-Api-Key\r\nExpect: 100-continue\r\n\r\n\
         5;a=b\r\n{\"nam\r\n8\r\ne\":\"Ada\"\r\n1\r\n}\r\n0\r\nX-Api-Key: other\r\n\r\n",
    )
    .await;
    let answer = raw.answer(false).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = upstream.only_request();
    assert_eq!(sent.text(), r#"{"name":"Ada"}"#);
    assert_eq!(sent.header("content-length"), Some("14"));
    assert!(sent.header("transfer-encoding").is_none() && sent.header("x-api-key").is_none());
}

#[tokio::test]
async fn heads_beyond_their_bounds_are_refused() {
    let upstream = Upstream::start(|_| upstream::json(ONE)).await;
    let gateway =
        Setup::before(&upstream).config("bounds: { head: 4KiB, target: 1KiB, headers: 20 }\n").start().await;
    let long = gateway.get("/customers/1", &[SALES, &format!("X: {}", "y".repeat(5000))]).await;
    assert_eq!(long.status, 431);
    let many: Vec<String> = (0..21).map(|n| format!("X-{n}: y")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(gateway.get("/customers/1", &many).await.status, 431);
    assert_eq!(gateway.get(&format!("/{}", "a".repeat(2000)), &[SALES]).await.status, 414);
    assert_eq!(gateway.get("/customers/1", &[SALES]).await.status, 200);
}
