//! What becomes of the upstream's answer.

use fieldgate::rewrite::CutReason;
use fieldgate::rewrite::codec::{Coding, DecodeBounds, Decoder, Encoder};
use http::StatusCode;

use super::*;
use crate::support::upstream::{Framing, Gate, answer, chunks, json as answer_json};

const JSON: &str = "Content-Type: application/json";
const ONE: &str =
    r#"{"data":{"id":7,"name":"王芳","owner_id":"li","phone":"13800138000","pin":"4711"},"secret":"4711"}"#;
const MANY: &str = r#"{"page":1,"total":2,"data":[{"id":7,"name":"a","owner_id":"own","pin":"4711"},{"id":8,"name":"b","owner_id":"li","pin":"4712"}],"sum":4711}"#;

async fn answering(acts: Vec<Act>) -> Stages {
    Stages::new(move |_| acts.clone()).await
}

async fn answering_with(status: &str, headers: &[&str], body: &str) -> Stages {
    answering(answer(status, headers, body.as_bytes(), Framing::Length)).await
}

async fn unscreenable(stages: &Stages, target: &str) -> Unscreenable {
    match stages.get("reader", target).await {
        Err(Refusal::Unscreenable(unscreenable)) => unscreenable,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_framing_gives_the_same_answer() {
    for framing in Framing::ALL {
        let stages = answering(answer("200 OK", &[JSON], ONE.as_bytes(), framing)).await;
        let seller = stages.get("seller", "/customers/7").await.unwrap();
        assert_eq!(
            seller.whole(),
            r#"{"data":{"id":7,"name":"王芳","owner_id":"li","phone":"138****8000"}}"#
        );
        assert_eq!((seller.counts.released, seller.counts.withheld), (1, 0));
        let reader = stages.get("reader", "/customers/7").await.unwrap();
        assert_eq!(reader.whole(), r#"{"data":{"id":7,"name":"王芳","owner_id":"li"}}"#);
        let stages = answering(answer("200 OK", &[JSON], MANY.as_bytes(), framing)).await;
        let reader = stages.get("reader", "/customers").await.unwrap();
        assert_eq!(
            reader.whole(),
            r#"{"page":1,"total":2,"data":[{"id":7,"name":"a","owner_id":"own"},{"id":8,"name":"b","owner_id":"li"}]}"#
        );
        let own = stages.get("own", "/customers").await.unwrap();
        assert_eq!(own.whole(), r#"{"page":1,"total":1,"data":[{"id":7,"name":"a","owner_id":"own"}]}"#);
    }
}

#[tokio::test]
async fn the_length_of_a_short_answer_is_that_of_the_rewritten_one() {
    let stages = answering_with("200 OK", &[JSON], ONE).await;
    let answered = stages.get("reader", "/customers/7").await.unwrap();
    assert_eq!(answered.length, Some(answered.body.len() as u64));
    assert_eq!(answered.header("content-length"), None);
}

#[tokio::test]
async fn lines_are_records() {
    let body = "{\"id\":7,\"owner_id\":\"own\",\"pin\":1}\n{\"id\":8,\"owner_id\":\"li\",\"pin\":2}\n";
    let stages = answering_with("200 OK", &["Content-Type: application/x-ndjson"], body).await;
    let own = stages.get("own", "/lines").await.unwrap();
    assert_eq!(own.whole(), "{\"id\":7,\"owner_id\":\"own\"}\n");
    assert_eq!(own.header("content-type"), Some("application/x-ndjson"));
    assert_eq!((own.counts.released, own.counts.withheld), (1, 1));
}

/// J18 (D10): a charset that is declared is turned into UTF-8, whatever the coding and the framing.
#[tokio::test]
async fn declared_charsets_come_out_as_utf_8() {
    let utf_16 = |to_bytes: fn(u16) -> [u8; 2]| ONE.encode_utf16().flat_map(to_bytes).collect::<Vec<u8>>();
    let gbk = ONE.as_bytes().to_vec();
    let name = gbk.windows(6).position(|window| window == "王芳".as_bytes()).unwrap();
    let gbk = [&gbk[..name], b"\xcd\xf5\xb7\xbc", &gbk[name + 6..]].concat();
    for (charset, body) in [
        ("GBK", gbk.clone()),
        ("gb18030", gbk),
        ("utf-16le", utf_16(u16::to_le_bytes)),
        ("UTF-16", utf_16(u16::to_be_bytes)),
        ("utf-32be", ONE.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect()),
    ] {
        let line = format!("Content-Type: application/json; charset={charset}");
        for framing in Framing::ALL {
            for coding in [Coding::Identity, Coding::Gzip] {
                let (body, header) = match coding {
                    Coding::Identity => (body.clone(), "X-Plain: 1"),
                    _ => (encoded(Coding::Gzip, &body), "Content-Encoding: gzip"),
                };
                let stages = answering(answer("200 OK", &[&line, header], &body, framing)).await;
                let reader = stages.get("reader", "/customers/7").await.unwrap();
                assert_eq!(
                    reader.whole(),
                    r#"{"data":{"id":7,"name":"王芳","owner_id":"li"}}"#,
                    "{charset} {framing:?} {coding:?}"
                );
                assert_eq!(reader.header("content-type"), Some("application/json"));
            }
        }
    }
}

/// J18: bytes that are not in the charset they are declared to be in.
#[tokio::test]
async fn a_charset_that_lies_is_refused() {
    for (charset, body) in [
        ("utf-16", ONE.as_bytes().to_vec()),
        ("gbk", b"{\"data\":{\"name\":\"\xff\xff4711\"}}".to_vec()),
        ("utf-16le", b"{\0\"\0\x00\xd8\"\0}\0".to_vec()),
        ("utf-32", ONE.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        ("utf-16be", ONE.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("utf-8", b"{\"data\":{\"name\":\"\xcd\xf5\"}}".to_vec()),
    ] {
        let line = format!("Content-Type: application/json; charset={charset}");
        let stages = answering(answer("200 OK", &[&line], &body, Framing::Length)).await;
        let refused = unscreenable(&stages, "/customers/7").await;
        assert_eq!(refused.status(), StatusCode::BAD_GATEWAY, "{charset}: {refused}");
    }
}

/// R08, R09, R10, R11, R12, J27: only what is stated to be the route's format is read.
#[tokio::test]
async fn other_types_are_refused_on_a_protected_route() {
    for line in [
        "Content-Type: text/html",
        "Content-Type: application/javascript",
        "Content-Type: application/octet-stream",
        "Content-Type: application/x-ndjson",
        "Content-Type: text/csv",
        "Content-Type: text/event-stream",
        "Content-Type: multipart/mixed; boundary=x",
        "Content-Type: application/json; charset=utf-7",
        "Content-Type: application/json; charset=utf-8; charset=gbk",
        "Content-Type: application/json\r\nContent-Type: text/html",
        "X-No: type",
    ] {
        let stages = answering_with("200 OK", &[line], ONE).await;
        let refused = unscreenable(&stages, "/customers/7").await;
        assert!(matches!(refused, Unscreenable::ContentType(_)), "{line}: {refused}");
        assert_eq!(refused.status(), StatusCode::BAD_GATEWAY);
    }
    let stages = answering_with("200 OK", &["Content-Type: application/vnd.4711+json"], ONE).await;
    let answered = stages.get("reader", "/customers/7").await.unwrap();
    assert_eq!(answered.header("content-type"), Some("application/json"));
}

/// R02, R07.
#[tokio::test]
async fn codings_that_are_not_known_are_refused() {
    for lines in [
        &[JSON, "Content-Encoding: compress"][..],
        &[JSON, "Content-Encoding: gzip, gzip"],
        &[JSON, "Content-Encoding: gzip", "Content-Encoding: gzip"],
        &[JSON, "Content-Encoding: br, identity"],
    ] {
        let stages = answering_with("200 OK", lines, ONE).await;
        let refused = unscreenable(&stages, "/customers/7").await;
        assert!(matches!(refused, Unscreenable::Coding(_)), "{lines:?}: {refused}");
    }
    let chunked = chunks(ONE.as_bytes(), 10);
    for transfer in ["gzip, chunked", "chunked\r\nContent-Length: 5"] {
        let mut bytes =
            format!("HTTP/1.1 200 OK\r\n{JSON}\r\nTransfer-Encoding: {transfer}\r\n\r\n").into_bytes();
        bytes.extend_from_slice(&chunked);
        bytes.extend_from_slice(b"0\r\n\r\n");
        let stages = answering(vec![Act::Send(bytes)]).await;
        let refused = unscreenable(&stages, "/customers/7").await;
        assert!(matches!(refused, Unscreenable::Coding(_)), "{transfer}: {refused}");
        assert!(stages.get("nobody", "/status").await.is_err(), "{transfer}");
    }
}

/// R13, R14, R20, R23 and statuses that say nothing.
#[tokio::test]
async fn other_statuses_than_those_of_whole_answers_are_refused() {
    for (status, headers) in [
        ("206 Partial Content", "Content-Range: bytes 0-1/4711"),
        ("226 IM Used", "IM: feed"),
        ("299 Odd", "X: y"),
        ("301 Moved", "Location: https://crm.internal/4711"),
        ("302 Found", "Location: /4711"),
        ("303 See Other", "Location: //evil.example"),
        ("304 Not Modified", "ETag: \"4711\""),
        ("307 Temporary Redirect", "Location: /4711"),
        ("600 Odd", "X: y"),
        ("999 Odd", "X: y"),
    ] {
        let stages = answering_with(status, &[JSON, headers], "{}").await;
        let refused = unscreenable(&stages, "/customers/7").await;
        assert_eq!(refused.status(), StatusCode::BAD_GATEWAY, "{status}");
        assert!(!refused.public().contains("4711"));
        assert_eq!(stages.crm.received().len(), 1, "{status}");
    }
    let switching =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n4711";
    let stages = answering(vec![Act::Send(switching.into()), Act::Stall]).await;
    assert!(stages.get("reader", "/customers/7").await.is_err());
    assert!(stages.get("nobody", "/status").await.is_err());
}

/// R26, V12: no text of an upstream's error goes on, only what its status means to the caller.
#[tokio::test]
async fn an_upstreams_error_is_told_by_its_status_alone() {
    for (upstreams, given) in [
        ("400 Bad", 400),
        ("401 Unauthorized", 502),
        ("407 Proxy", 502),
        ("409 Conflict", 409),
        ("418 Odd", 418),
        ("422 Unprocessable", 422),
        ("429 Slow down", 429),
        ("431 Long", 502),
        ("500 Oops", 502),
        ("501 Not yet", 502),
        ("503 Busy", 503),
        ("504 Slow", 504),
        ("511 Log in", 502),
    ] {
        let stages = answering_with(upstreams, &[JSON, "X-Why: 4711"], ONE).await;
        let refused = unscreenable(&stages, "/customers/7").await;
        assert!(matches!(refused, Unscreenable::Status(_)), "{upstreams}");
        assert_eq!(refused.status().as_u16(), given, "{upstreams}");
        assert!(refused.counts().is_none());
    }
}

/// R16-R19, R21, R22, R27.
#[tokio::test]
async fn only_the_gateways_own_headers_go_on() {
    let lines = [
        JSON,
        "Content-Language: zh",
        "Set-Cookie: session=4711",
        "ETag: \"4711\"",
        "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT",
        "Digest: sha-256=4711",
        "Content-MD5: 4711",
        "Repr-Digest: sha-256=:4711:",
        "X-Total-Count: 4711",
        "Link: <https://crm.internal/?after=4711>; rel=next",
        "Content-Location: /4711",
        "Location: /4711",
        "Cache-Control: public, max-age=600",
        "Age: 3",
        "Server: crm/4711",
        "X-Powered-By: 4711",
        "Alt-Svc: h3=\":443\"",
        "Access-Control-Allow-Origin: *",
        "Connection: X-Hop",
        "X-Hop: 4711",
        "Keep-Alive: timeout=5",
    ];
    let stages = answering(answer("200 4711", &lines, ONE.as_bytes(), Framing::Length)).await;
    let answered = stages.get("reader", "/customers/7").await.unwrap();
    let mut names: Vec<_> = answered.head.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["cache-control", "content-type", "vary", "x-content-type-options"]);
    assert_eq!(answered.header("cache-control"), Some("private, no-store"));
    assert!(answered.head.extensions.is_empty(), "the reason phrase is the upstream's text");
}

#[tokio::test]
async fn a_withheld_record_is_answered_like_an_absent_one() {
    for framing in Framing::ALL {
        for body in [
            ONE,
            r#"{"data":{"id":7}}"#,
            r#"{"data":null}"#,
            r#"{"secret":4711}"#,
            r#"{}"#,
            r#"{"data":{"owner_id":"own","owner_id":"own"}}"#,
        ] {
            let stages = answering(answer("200 OK", &[JSON], body.as_bytes(), framing)).await;
            let refused = stages.get("own", "/customers/7").await;
            let Err(Refusal::Unscreenable(refused)) = refused else { panic!("{body}: {refused:?}") };
            assert!(matches!(refused, Unscreenable::NotReleased(_)), "{body}: {refused}");
            assert_eq!((refused.status(), refused.public()), (StatusCode::NOT_FOUND, "not found"));
            assert_eq!(refused.counts().unwrap().released, 0);
        }
    }
}

/// Some systems say 403 for a record that is not there; were that kept, it would tell absent from withheld.
#[tokio::test]
async fn an_absent_record_is_answered_like_a_withheld_one() {
    for status in ["403 Forbidden", "404 Not Found", "410 Gone"] {
        let stages = answering_with(status, &[JSON], ONE).await;
        let refused = unscreenable(&stages, "/customers/7").await;
        assert!(matches!(refused, Unscreenable::Absent(_)), "{status}");
        assert_eq!((refused.status(), refused.public()), (StatusCode::NOT_FOUND, "not found"));
        let written = stages.ask("own", json("DELETE", "/customers/7", "")).await;
        assert!(matches!(written, Err(Refusal::NotReleased)), "{status}: {written:?}");
        let listed = unscreenable(&stages, "/customers").await;
        assert!(matches!(listed, Unscreenable::Status(_)), "{status}: a list is not absent");
    }
}

/// What is done is done: a change whose result the caller may not see is not reported as a failure.
#[tokio::test]
async fn a_change_whose_result_is_withheld_is_answered_without_it() {
    let stages = Stages::new(|request| {
        let owner = if request.method == "GET" { "own" } else { "li" };
        answer_json(&format!(
            r#"{{"data":{{"id":7,"owner_id":"{owner}","pin":4711}},"deleted":true,"pin":4711}}"#
        ))
    })
    .await;
    let answered = stages.ask("own", json("DELETE", "/customers/7", "")).await.unwrap();
    assert_eq!(answered.head.status, StatusCode::OK);
    assert_eq!(answered.whole(), r#"{"data":null,"deleted":true}"#);
    assert_eq!(answered.counts.withheld, 1);
}

#[tokio::test]
async fn an_answer_without_a_body_stays_without() {
    for (status, body) in [("204 No Content", ""), ("204 No Content", "4711"), ("205 Reset", "")] {
        let stages = answering_with(status, &[], body).await;
        let answered = stages.get("reader", "/customers/7").await.unwrap();
        assert_eq!(answered.head.status.as_str(), status.split(' ').next().unwrap());
        assert_eq!(answered.whole(), "");
    }
    for framing in [Framing::Length, Framing::Chunked(1), Framing::Close] {
        let stages = answering(answer("200 OK", &[JSON], b"", framing)).await;
        let answered = stages.get("reader", "/customers").await.unwrap();
        assert_eq!((answered.whole(), answered.length), ("", Some(0)));
    }
    let stages = answering_with("201 Created", &[], "").await;
    let answered = stages.ask("manager", json("POST", "/customers", "{\"name\":\"x\"}")).await.unwrap();
    assert_eq!((answered.head.status, answered.whole()), (StatusCode::CREATED, ""));
}

/// J-cases before the first byte: a clean error, and nothing of the answer.
#[tokio::test]
async fn what_breaks_before_the_first_byte_is_a_clean_error() {
    for body in [
        "{\"data\":{\"id\":7,\"pin\":4711}",
        "{\"data\":{\"id\":7,}}",
        "{\"data\":[{\"id\":7}]}",
        "\u{1}4711",
        "nonsense",
        "<html>4711",
        ")]}',\n{}",
        "{\"data\":{\"id\":NaN}}",
        "{\"data\":{\"id\":7}}4711",
    ] {
        let stages = answering_with("200 OK", &[JSON], body).await;
        let refused = unscreenable(&stages, "/customers/7").await;
        assert!(matches!(refused, Unscreenable::Cut { .. }), "{body}: {refused}");
        assert_eq!(refused.status(), StatusCode::BAD_GATEWAY);
    }
}

/// J30, J23: what breaks later is cut, and never looks whole.
#[tokio::test]
async fn what_breaks_later_is_cut() {
    let record = r#"{"id":7,"name":"a","pin":"4711"},"#;
    let begun = format!(r#"{{"page":1,"data":[{}"#, record.repeat(10_000));
    for (rest, end) in [
        ("{\"id\":8}", Act::Close),
        ("{\"id\":8}", Act::Reset),
        ("]", Act::Close),
        ("{\"id\":8}]}4711", Act::Close),
        ("{\"id\":8}]}{\"data\":[]}", Act::Close),
        ("nonsense]}", Act::Close),
        ("{\"id\":8},]}", Act::Close),
    ] {
        let body = format!("{begun}{rest}");
        let head = format!("HTTP/1.1 200 OK\r\n{JSON}\r\nConnection: close\r\n\r\n");
        let stages = answering(vec![Act::Send(format!("{head}{body}").into_bytes()), end]).await;
        let answered = stages.get("reader", "/customers").await.unwrap();
        assert!(answered.cut.is_some(), "{rest}");
        assert!(matches!(answered.outcome, Outcome::Cut(_)), "{rest}");
        assert!(!answered.text().contains("4711"));
        assert!(answered.counts.released > 0);
        assert!(serde_json::from_slice::<serde_json::Value>(&answered.body).is_err(), "{rest}");
    }
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_reported_as_such() {
    let stages = answering(vec![Act::Close]).await;
    let refused = stages.get("reader", "/customers/7").await;
    assert!(matches!(refused, Err(Refusal::Upstream(UpstreamError::Broken(_)))), "{refused:?}");
}

#[tokio::test]
async fn a_lie_about_the_length_is_cut_or_refused() {
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\n{JSON}\r\nContent-Length: {length}\r\n\r\n");
    // Too long: the rest never comes.
    let bytes = format!("{}{ONE}", head(ONE.len() + 1)).into_bytes();
    let stages = answering(vec![Act::Send(bytes), Act::Close]).await;
    match stages.get("reader", "/customers/7").await {
        Ok(answered) => {
            assert!(answered.cut.is_some());
            assert!(serde_json::from_slice::<serde_json::Value>(&answered.body).is_err());
        }
        Err(refusal) => assert!(matches!(refusal, Refusal::Unscreenable(_)), "{refusal:?}"),
    }
    // Too short: what stands behind it is not the answer's.
    let bytes = format!("{}{ONE}", head(ONE.len() - 1)).into_bytes();
    let stages = answering(vec![Act::Send(bytes)]).await;
    assert!(matches!(unscreenable(&stages, "/customers/7").await, Unscreenable::Cut { .. }));
}

#[tokio::test]
async fn the_first_byte_goes_out_before_the_last_has_come() {
    let gate = Gate::closed();
    let script = {
        let gate = gate.clone();
        move |_: &crate::support::upstream::Received| {
            let head = format!("HTTP/1.1 200 OK\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n");
            let first = chunks(br#"{"data":[{"id":7,"pin":4711},"#, 100);
            let last = [chunks(br#"{"id":8,"pin":4711}]}"#, 100), b"0\r\n\r\n".to_vec()].concat();
            vec![Act::Send(head.into_bytes()), Act::Send(first), Act::Wait(gate.clone()), Act::Send(last)]
        }
    };
    let stages = Stages::new(script).await;
    let permit = {
        let (head, ()) = Request::get("/customers").body(()).unwrap().into_parts();
        let operation = stages.plan.operation(&head, None).unwrap();
        stages.plan.decide(&principal("reader"), operation, stages.clock.now()).unwrap()
    };
    let bounds = RequestBounds::default();
    let request = narrowing::apply(&permit, None, get("/customers"), &bounds).await.unwrap();
    let answer = stages.upstreams.send(&permit, request).await.unwrap();
    let client = ClientFacts::of(&get("/customers").into_parts().0, false);
    let mut body = screening::transform(&permit, answer, &client).await.unwrap().into_body();
    assert_eq!(body.size_hint().exact(), None);
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    // A bracket that might be the last one waits for what follows.
    assert_eq!(first, r#"{"data":[{"id":7"#);
    // Counted before it was given out, so that it can be charged.
    assert_eq!(body.counts().released, 1);
    assert_eq!(body.outcome(), Outcome::Open);
    gate.open();
    let mut rest = Vec::new();
    while let Some(frame) = body.frame().await {
        rest.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    assert_eq!(rest, br#"},{"id":8}]}"#);
    assert_eq!((body.counts().released, body.outcome()), (2, Outcome::Complete));
}

#[tokio::test]
async fn an_envelope_that_never_comes_to_the_record_is_given_up() {
    let endless = format!(r#"{{"x":"{}","data":{{"id":7}}}}"#, "x".repeat(4 << 20));
    let stages = answering_with("200 OK", &[JSON], &endless).await;
    // Dropped members cost nothing.
    assert_eq!(stages.get("reader", "/customers/7").await.unwrap().whole(), r#"{"data":{"id":7}}"#);
    let held = format!(r#"{{"data":{{"id":7,"name":"{}","owner_id":"own"}}}}"#, "x".repeat(2 << 20));
    let stages = answering_with("200 OK", &[JSON], &held).await;
    let refused = stages.get("own", "/customers/7").await;
    assert!(matches!(refused, Err(Refusal::Unscreenable(Unscreenable::Cut { .. }))), "{refused:?}");
}

#[tokio::test]
async fn a_public_routes_bytes_pass_untouched() {
    let bytes: Vec<u8> = (0..=255).collect();
    for framing in Framing::ALL {
        let lines = [
            "Content-Type: image/x-icon",
            "Content-Encoding: odd",
            "ETag: \"a\"",
            "Cache-Control: public",
            "Set-Cookie: a=b",
            "Server: crm",
            "Alt-Svc: h3=\":443\"",
            "Connection: X-Hop",
            "X-Hop: 1",
            "X-Kept: 1",
        ];
        let stages = answering(answer("418 Odd", &lines, &bytes, framing)).await;
        let answered = stages.get("nobody", "/status").await.unwrap();
        assert_eq!(answered.head.status, StatusCode::IM_A_TEAPOT);
        assert_eq!(answered.body, bytes);
        assert_eq!(answered.outcome, Outcome::Complete);
        assert_eq!(answered.counts.bytes_out, bytes.len() as u64);
        let mut names: Vec<_> = answered.head.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        let expected =
            ["cache-control", "content-encoding", "content-type", "etag", "x-content-type-options", "x-kept"];
        assert_eq!(names, expected);
    }
}

/// R20: a public route may redirect, but only on the gateway.
#[tokio::test]
async fn a_public_redirect_stays_on_the_gateway() {
    let own = Stages::new(|request| {
        let host = request.header("host").unwrap().to_owned();
        answer("302 Found", &[&format!("Location: http://{host}/login?a=b")], b"", Framing::Length)
    })
    .await;
    let answered = own.get("nobody", "/status").await.unwrap();
    assert_eq!(answered.header("location"), Some("/login?a=b"));
    for foreign in ["https://evil.example/", "//evil.example/", "relative"] {
        let line = format!("Location: {foreign}");
        let stages = answering_with("302 Found", &[&line], "").await;
        let refused = stages.get("nobody", "/status").await;
        assert!(
            matches!(refused, Err(Refusal::Unscreenable(Unscreenable::Redirect(_)))),
            "{foreign}: {refused:?}"
        );
    }
}

// === codings ===

const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

fn encoded(coding: Coding, text: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new(coding);
    let mut bytes = Vec::new();
    encoder.push(text, &mut bytes);
    encoder.finish(&mut bytes);
    bytes
}

fn decoded(coding: Coding, bytes: &[u8]) -> String {
    let mut decoder = Decoder::new(coding, DecodeBounds::default());
    let mut text = Vec::new();
    decoder
        .push(bytes, &mut |piece| {
            text.extend_from_slice(piece);
            Ok(())
        })
        .unwrap();
    decoder.finish().unwrap();
    String::from_utf8(text).unwrap()
}

async fn sending(coding: &str, bytes: &[u8], framing: Framing) -> Stages {
    let line = format!("Content-Encoding: {coding}");
    answering(answer("200 OK", &[JSON, &line], bytes, framing)).await
}

fn get_accepting(target: &str, accepted: &str) -> Request<Full<Bytes>> {
    Request::get(target).header("accept-encoding", accepted).body(Full::default()).unwrap()
}

/// R01, R06.
#[tokio::test]
async fn coded_answers_are_read_and_coded_again_for_who_takes_that() {
    let given = r#"{"data":{"id":7,"name":"王芳","owner_id":"li"}}"#;
    for coding in CODINGS {
        let bytes = encoded(coding, ONE.as_bytes());
        for framing in Framing::ALL {
            let stages = sending(coding.name(), &bytes, framing).await;
            let plain = stages.get("reader", "/customers/7").await.unwrap();
            assert_eq!((plain.whole(), plain.header("content-encoding")), (given, None));
            for wanted in CODINGS {
                let request = get_accepting("/customers/7", wanted.name());
                let answered = stages.ask("reader", request).await.unwrap();
                assert_eq!(answered.outcome, Outcome::Complete);
                assert_eq!(answered.header("content-encoding"), Some(wanted.name()));
                assert_eq!(decoded(wanted, &answered.body), given);
            }
            let asked: Vec<_> = stages
                .crm
                .received()
                .iter()
                .map(|r| r.header("accept-encoding").unwrap().to_owned())
                .collect();
            assert!(asked.iter().all(|asked| asked == "gzip"), "{asked:?}");
        }
    }
}

#[tokio::test]
async fn a_plain_answer_stays_plain() {
    let stages = answering_with("200 OK", &[JSON], ONE).await;
    let answered = stages.ask("reader", get_accepting("/customers/7", "gzip")).await.unwrap();
    assert_eq!(answered.header("content-encoding"), None);
    assert!(answered.whole().starts_with('{'));
}

/// R03, R04: what is not exactly what it says is not read.
#[tokio::test]
async fn lying_and_broken_codings_are_refused() {
    let gzip = encoded(Coding::Gzip, ONE.as_bytes());
    let mut bad_sum = gzip.clone();
    let sum = bad_sum.len() - 8;
    bad_sum[sum] ^= 1;
    let truncated = gzip[..gzip.len() - 1].to_vec();
    let followed = [gzip.clone(), b"garbage".to_vec()].concat();
    let zlib = encoded(Coding::Deflate, ONE.as_bytes());
    for (coding, bytes) in [
        ("gzip", ONE.as_bytes().to_vec()),
        ("br", ONE.as_bytes().to_vec()),
        ("zstd", ONE.as_bytes().to_vec()),
        ("deflate", ONE.as_bytes().to_vec()),
        ("gzip", zlib),
        ("gzip", bad_sum),
        ("gzip", truncated),
        ("gzip", followed),
        ("identity", gzip.clone()),
        ("br", gzip.clone()),
    ] {
        for framing in [Framing::Length, Framing::Close] {
            let stages = sending(coding, &bytes, framing).await;
            match stages.get("reader", "/customers/7").await {
                Err(Refusal::Unscreenable(Unscreenable::Cut { .. })) => {}
                // Where the end comes in another packet the answer has begun.
                Ok(answered) => assert!(answered.cut.is_some(), "{coding}"),
                Err(other) => panic!("{coding}: {other:?}"),
            }
        }
    }
    let members =
        [encoded(Coding::Gzip, &ONE.as_bytes()[..20]), encoded(Coding::Gzip, &ONE.as_bytes()[20..])];
    let stages = sending("gzip", &members.concat(), Framing::Chunked(1)).await;
    assert!(stages.get("reader", "/customers/7").await.unwrap().whole().contains("王芳"));
}

/// R03, as one server is known to do it: a claim of gzip over plain JSON, believed to be either only where the
/// configuration says so.
#[tokio::test]
async fn a_false_claim_of_gzip_is_forgiven_where_that_is_configured() {
    for framing in Framing::ALL {
        for bytes in [ONE.as_bytes().to_vec(), encoded(Coding::Gzip, ONE.as_bytes())] {
            let acts = answer("200 OK", &[JSON, "Content-Encoding: gzip"], &bytes, framing);
            let crm = Upstream::start(move |_| acts.clone()).await;
            let stages = Stages::with(crm, |config| config.sniff_gzip = true);
            let answered = stages.get("reader", "/customers/7").await.unwrap();
            assert_eq!(answered.whole(), r#"{"data":{"id":7,"name":"王芳","owner_id":"li"}}"#);
        }
        for bytes in [&b"\x1f"[..], b"\x1f\x8b", b"\x1fx", b"x"] {
            let acts = answer("200 OK", &[JSON, "Content-Encoding: gzip"], bytes, framing);
            let crm = Upstream::start(move |_| acts.clone()).await;
            let stages = Stages::with(crm, |config| config.sniff_gzip = true);
            let refused = stages.get("reader", "/customers/7").await;
            assert!(
                matches!(refused, Err(Refusal::Unscreenable(Unscreenable::Cut { .. }))),
                "{bytes:?}: {refused:?}"
            );
        }
    }
}

/// R05: a bomb costs what it is allowed to, and no more.
#[tokio::test]
async fn a_bomb_is_cut() {
    for coding in CODINGS {
        let padded = format!("{{\"data\":{{\"id\":7{}}}}}", " ".repeat(32 << 20));
        let bytes = encoded(coding, padded.as_bytes());
        let stages = sending(coding.name(), &bytes, Framing::Length).await;
        let cut = match stages.get("reader", "/customers/7").await {
            Err(Refusal::Unscreenable(Unscreenable::Cut { cut, .. })) => cut,
            Ok(Answered { cut: Some(StreamError::Cut(cut)), .. }) => cut,
            other => panic!("{coding:?}: {other:?}"),
        };
        assert_eq!(cut.reason, CutReason::Bomb, "{coding:?}");
    }
}

/// R05: what an answer did not grow at first it may not grow at once.
#[tokio::test]
async fn a_late_bomb_is_cut() {
    let noise: String = (0..60_000_u32).map(|i| format!("{:x}", i.wrapping_mul(2_654_435_761))).collect();
    let padded = format!("{{\"x\":\"{noise}\",\"data\":{{\"id\":7{}}}}}", " ".repeat(32 << 20));
    let bytes = encoded(Coding::Brotli, padded.as_bytes());
    let stages = sending("br", &bytes, Framing::Length).await;
    match stages.get("reader", "/customers/7").await {
        Err(Refusal::Unscreenable(Unscreenable::Cut { cut, .. })) => assert_eq!(cut.reason, CutReason::Bomb),
        other => panic!("{other:?}"),
    }
}

/// R29: what is withheld leaves no trace in sizes.
#[tokio::test]
async fn hidden_values_do_not_show_in_the_size() {
    let mut sizes = std::collections::BTreeSet::new();
    for pin in ["1", "4711", "王芳13800138000", &"x".repeat(5000)] {
        let body = format!(r#"{{"data":{{"id":7,"name":"王芳","pin":"{pin}","phone":"13800138000"}}}}"#);
        for framing in Framing::ALL {
            let stages = sending("gzip", &encoded(Coding::Gzip, body.as_bytes()), framing).await;
            let answered = stages.ask("reader", get_accepting("/customers/7", "gzip")).await.unwrap();
            sizes.insert((answered.body.len(), answered.head.headers.len(), answered.counts.released));
        }
    }
    assert_eq!(sizes.len(), 1, "{sizes:?}");
}
