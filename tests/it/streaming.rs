//! Answers while they stream: through at once, or cut, and never a byte that should not be.

use std::time::Duration;

use serde_json::json;

use crate::support::client::H2;
use crate::support::gateway::{FINANCE, MANAGER, SALES, Setup};
use crate::support::upstream::{Act, Framing, Gate, Upstream, answer, chunks};

const JSON_HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A record of Li Na's with something hidden in it; long enough that a few of them are not held together.
fn record(id: usize) -> String {
    let note = "n".repeat(2000);
    format!(
        r#"{{"id":{id},"name":"Ada","owner_id":"li.na","phone":"13800138000","canary":"CANARY","credit_limit":7,"note":"{note}"}}"#
    )
}

/// The beginning of a list, with so many records, in chunks.
fn beginning(records: usize) -> Vec<u8> {
    let mut body = r#"{"page":1,"data":["#.to_owned();
    for id in 0..records {
        body.push_str(if id == 0 { "" } else { "," });
        body.push_str(&record(id));
    }
    [JSON_HEAD.as_bytes(), &chunks(body.as_bytes(), 1 << 14)].concat()
}

#[tokio::test]
async fn the_first_byte_arrives_before_the_upstream_has_sent_its_last() {
    let gate = Gate::closed();
    let waiting = gate.clone();
    let upstream = Upstream::start(move |_| {
        let rest = [chunks(br#",{"id":9,"owner_id":"li.na"}]}"#, 1 << 14), b"0\r\n\r\n".to_vec()].concat();
        vec![Act::Send(beginning(400)), Act::Wait(waiting.clone()), Act::Send(rest)]
    })
    .await;
    let gateway = Setup::before(&upstream).start().await;
    let mut raw = gateway.connect().await;
    raw.send(format!("GET /customers HTTP/1.1\r\nHost: a\r\n{FINANCE}\r\n\r\n")).await;
    let first = raw.some().await;
    assert!(first.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&first));
    gate.open();
    let all = [first, raw_until_end(&mut raw).await].concat();
    let text = String::from_utf8_lossy(&all);
    assert!(text.ends_with("0\r\n\r\n") && text.contains("\"id\":9"), "the stream is whole");
    assert!(!text.contains("CANARY"));
    let records = gateway.end().await;
    assert_eq!((&records[0]["released"], &records[0]["outcome"]), (&json!(401), &json!("complete")));
}

/// Reads until the last chunk.
async fn raw_until_end(raw: &mut crate::support::client::Raw) -> Vec<u8> {
    let mut all = Vec::new();
    while !all.ends_with(b"0\r\n\r\n") {
        let more = raw.some().await;
        if more.is_empty() {
            break;
        }
        all.extend(more);
    }
    all
}

/// Answers that break before anything of them may go out.
fn broken_from_the_start() -> Vec<(&'static str, Vec<Act>)> {
    let whole = br#"{"data":[{"id":1,"owner_id":"li.na","phone":"1"}]}"#;
    let lie = ["Content-Type: application/json", "Content-Length: 20"];
    let short = answer("200 OK", &lie, whole, Framing::Close);
    vec![
        ("garbage", vec![Act::Send(b"\x16\x03\x01nonsense\r\n\r\n".to_vec()), Act::Close]),
        ("nothing", vec![Act::Close]),
        ("a reset", vec![Act::Reset]),
        ("a length shorter than the answer", short),
        (
            "malformed JSON",
            answer(
                "200 OK",
                &["Content-Type: application/json"],
                br#"{"data":[{"id":1,}]}"#,
                Framing::Length,
            ),
        ),
        (
            "truncated JSON",
            answer("200 OK", &["Content-Type: application/json"], br#"{"data":[{"id":1"#, Framing::Length),
        ),
        (
            "trailing data",
            answer("200 OK", &["Content-Type: application/json"], br#"{"data":[]}{"x":1}"#, Framing::Length),
        ),
        ("another type", answer("200 OK", &["Content-Type: text/html"], whole, Framing::Length)),
        ("no type", answer("200 OK", &[], whole, Framing::Length)),
        (
            "an unknown coding",
            answer(
                "200 OK",
                &["Content-Type: application/json", "Content-Encoding: compress"],
                whole,
                Framing::Length,
            ),
        ),
        (
            "two codings",
            answer(
                "200 OK",
                &["Content-Type: application/json", "Content-Encoding: gzip, gzip"],
                whole,
                Framing::Length,
            ),
        ),
        (
            "gzip that is none",
            answer(
                "200 OK",
                &["Content-Type: application/json", "Content-Encoding: gzip"],
                whole,
                Framing::Length,
            ),
        ),
        (
            "a part",
            answer(
                "206 Partial Content",
                &["Content-Type: application/json", "Content-Range: bytes 0-49/500"],
                whole,
                Framing::Length,
            ),
        ),
        (
            "a redirect",
            answer("302 Found", &["Location: http://internal/?token=CANARY"], b"", Framing::Length),
        ),
        (
            "an error with a secret",
            answer("500 Oops", &["Content-Type: text/plain"], b"CANARY", Framing::Length),
        ),
        (
            "a switch of protocols",
            vec![Act::Send(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nCANARY"
                    .to_vec(),
            )],
        ),
    ]
}

#[tokio::test]
async fn whatever_breaks_before_the_first_byte_is_a_clean_error() {
    for (name, acts) in broken_from_the_start() {
        let upstream = Upstream::start(move |_| acts.clone()).await;
        let gateway = Setup::before(&upstream).start().await;
        let answer = gateway.get("/customers", &[SALES]).await;
        assert_eq!(answer.status, 502, "{name}");
        assert!(answer.complete && answer.json()["error"]["code"] == "bad_gateway", "{name}");
        assert!(!answer.holds("CANARY") && !answer.holds("internal"), "{name}");
        let records = gateway.end().await;
        assert_eq!((records.len(), &records[0]["outcome"]), (1, &json!("refused")), "{name}");
    }
}

#[tokio::test]
async fn whatever_breaks_after_the_first_byte_cuts_the_stream() {
    let cases: Vec<(&str, Vec<Act>)> = vec![
        ("truncated", vec![Act::Close]),
        ("reset", vec![Act::Reset]),
        ("ended too early", vec![Act::Send(b"0\r\n\r\n".to_vec())]),
        ("malformed", vec![Act::Send([chunks(b",{\"id\":01}]}", 64), b"0\r\n\r\n".to_vec()].concat())]),
        ("a broken chunk", vec![Act::Send(b"zz\r\n".to_vec())]),
        (
            "a lone surrogate in a name",
            vec![Act::Send([chunks(br#",{"\ud800":1}]}"#, 64), b"0\r\n\r\n".to_vec()].concat())],
        ),
    ];
    for (name, acts) in cases {
        let upstream =
            Upstream::start(move |_| [vec![Act::Send(beginning(400))], acts.clone()].concat()).await;
        let gateway = Setup::before(&upstream).start().await;

        let answer = gateway.get("/customers", &[FINANCE]).await;
        assert_eq!(answer.status, 200, "{name}");
        assert!(!answer.complete, "{name}: the message must not look whole");
        assert!(!answer.holds("CANARY"), "{name}");
        assert!(
            serde_json::from_slice::<serde_json::Value>(&answer.body).is_err(),
            "{name}: no short JSON that parses"
        );

        let mut h2 = H2::connect(gateway.address).await;
        let answer = h2.get("/customers", &[("x-api-key", "finance-key-0000")]).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.complete), (200, false), "{name} over HTTP/2");
        assert!(!answer.text().contains("CANARY"), "{name}");

        assert_eq!(gateway.metric("fieldgate_streams_cut_total", "").await, 2.0, "{name}");
        let records = gateway.end().await;
        assert_eq!(records.len(), 2, "{name}");
        assert!(
            records.iter().all(|record| record["outcome"] == "cut" && record["released"].as_u64() > Some(0)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_gzip_bomb_is_cut_and_honest_gzip_is_read() {
    let bomb = format!(r#"{{"data":{{"id":1,"owner_id":"li.na","name":"{}"}}}}"#, "0".repeat(8 << 20));
    let honest = r#"{"data":{"id":1,"owner_id":"li.na","name":"Ada","secret":1}}"#;
    let upstream = Upstream::start(move |request| {
        let body = if request.target == "/customers/1" { bomb.as_str() } else { honest };
        let headers = ["Content-Type: application/json", "Content-Encoding: gzip"];
        answer("200 OK", &headers, &gzip(body.as_bytes()), Framing::Length)
    })
    .await;
    let gateway = Setup::before(&upstream).start().await;
    // No condition holds the record back, so nothing but the ratio stops it.
    let bomb = gateway.get("/customers/1", &[MANAGER]).await;
    assert!(bomb.status == 502 || !bomb.complete, "{}", bomb.status);
    let honest = gateway.get("/customers/2", &[SALES]).await;
    assert_eq!(honest.text(), r#"{"data":{"id":1,"owner_id":"li.na","name":"Ada"}}"#);
    let records = gateway.end().await;
    assert!(records[0].to_string().contains("bomb"), "{}", records[0]);
}

/// One gzip member.
fn gzip(text: &[u8]) -> Vec<u8> {
    use fieldgate::rewrite::codec::{Coding, Encoder};
    let mut encoder = Encoder::new(Coding::Gzip);
    let mut out = Vec::new();
    encoder.push(text, &mut out);
    encoder.finish(&mut out);
    out
}

#[tokio::test]
async fn an_answer_that_is_shorter_than_it_says_never_looks_whole() {
    let whole = br#"{"data":[{"id":1,"owner_id":"li.na","phone":"1"}]}"#;
    let upstream = Upstream::start(|_| {
        let lie = ["Content-Type: application/json", "Content-Length: 500"];
        answer("200 OK", &lie, whole, Framing::Close)
    })
    .await;
    let gateway = Setup::before(&upstream).start().await;
    let answer = gateway.get("/customers", &[SALES]).await;
    assert!(answer.status == 502 || !answer.complete);
    assert_ne!(gateway.end().await[0]["outcome"], "complete");
}

#[tokio::test]
async fn an_upstream_that_stalls_is_not_waited_for_longer_than_said() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/customers/1" => vec![Act::Stall],
        _ => vec![Act::Send(beginning(400)), Act::Stall],
    })
    .await;
    // Each is waited for by one bound that must end it, whatever else is slow meanwhile.
    let gateway = Setup::before(&upstream).api("timeouts: { first_byte: 100ms }").start().await;
    let never = gateway.get("/customers/1", &[SALES]).await;
    assert_eq!(never.status, 504);
    let gateway = Setup::before(&upstream).api("timeouts: { idle: 1s }").start().await;
    let midway = gateway.get("/customers", &[FINANCE]).await;
    assert_eq!((midway.status, midway.complete), (200, false));
}

#[tokio::test]
async fn no_answer_of_one_caller_reaches_another() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        // More than it announces, on a connection that could be used again.
        "/customers/1" => {
            let body = r#"{"data":{"id":1,"owner_id":"li.na"}}"#;
            let surplus = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{\"data\":{\"id\":9}}";
            vec![Act::Send(format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}{surplus}", body.len()).into_bytes())]
        }
        _ => answer("200 OK", &["Content-Type: application/json"], br#"{"data":{"id":2,"owner_id":"li.na"}}"#, Framing::Length),
    })
    .await;
    let gateway = Setup::before(&upstream).start().await;
    for _ in 0..5 {
        assert_eq!(gateway.get("/customers/1", &[SALES]).await.json()["data"]["id"], 1);
        assert_eq!(gateway.get("/customers/2", &[MANAGER]).await.json()["data"]["id"], 2);
    }
}

#[tokio::test]
async fn a_budget_is_charged_before_the_bytes_go_out() {
    let lines: String = (0..3000).map(|id| record(id) + "\n").collect();
    let whole = lines.clone();
    let upstream = Upstream::start(move |_| {
        answer("200 OK", &["Content-Type: application/x-ndjson"], whole.as_bytes(), Framing::Chunked(1 << 14))
    })
    .await;
    let limits = "limits:\n  - { name: export size, actions: [export], per: principal, records: 2500/day }\n";
    let gateway = Setup::before(&upstream).policy(limits).start().await;

    let cut = gateway.get("/export", &[MANAGER]).await;
    assert_eq!((cut.status, cut.complete), (200, false));
    let got = cut.text().lines().count();
    assert!((1..=2500).contains(&got), "{got} records went out");
    assert!(!cut.holds("CANARY"));

    let again = gateway.get("/export", &[MANAGER]).await;
    assert!(again.text().lines().count() + got <= 2500 || again.status == 429, "never more than the budget");
    let records = gateway.end().await;
    assert_eq!(records[0]["outcome"], "cut");
    assert!(records[0].to_string().contains("export size"));
}

#[tokio::test]
async fn a_budget_that_the_first_piece_exceeds_is_a_clean_429() {
    let upstream = Upstream::start(|_| {
        let list = r#"{"data":[{"id":1,"owner_id":"li.na"},{"id":2,"owner_id":"li.na"}]}"#;
        answer("200 OK", &["Content-Type: application/json"], list.as_bytes(), Framing::Length)
    })
    .await;
    let limits = "limits:\n  - { name: reading, per: principal, records: 1/day }\n";
    let gateway = Setup::before(&upstream).policy(limits).start().await;
    let answer = gateway.get("/customers", &[SALES]).await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.complete && answer.header("retry-after").is_some());
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_upstreams_work_and_is_recorded() {
    let upstream = Upstream::start(|_| vec![Act::Send(beginning(400)), Act::Stall]).await;
    let gateway = Setup::before(&upstream).start().await;
    let mut raw = gateway.connect().await;
    raw.send(format!("GET /customers HTTP/1.1\r\nHost: a\r\n{FINANCE}\r\n\r\n")).await;
    assert!(!raw.some().await.is_empty());
    drop(raw);
    // The upstream's connection is closed, not kept with half an answer in it.
    tokio::time::timeout(Duration::from_secs(20), upstream.departure()).await.expect("the upstream is left");
    let records = gateway.end().await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["outcome"], "aborted");
    assert!(records[0]["released"].as_u64() > Some(0));
}

#[tokio::test]
async fn any_framing_of_the_upstream_gives_the_same_answer_over_both_protocols() {
    let list = r#"{"data":[{"id":1,"owner_id":"li.na","name":"\u738b","phone":"1","x":1},{"id":2,"owner_id":"u9"}],"total":2}"#;
    let expected = r#"{"data":[{"id":1,"owner_id":"li.na","name":"\u738b","phone":"1"}],"total":1}"#;
    for framing in Framing::ALL {
        let acts = answer("200 OK", &["Content-Type: application/json"], list.as_bytes(), framing);
        let upstream = Upstream::start(move |_| acts.clone()).await;
        let gateway = Setup::before(&upstream).start().await;
        let http1 = gateway.get("/customers", &[SALES]).await;
        assert_eq!((http1.status, http1.text()), (200, expected), "{framing:?}");
        let mut h2 = H2::connect(gateway.address).await;
        let http2 = h2.get("/customers", &[("authorization", "Bearer sales-key-000000")]).await.unwrap();
        assert_eq!((http2.text(), http2.complete), (expected, true), "{framing:?}");
        assert_eq!(gateway.end().await.len(), 2);
    }
}
