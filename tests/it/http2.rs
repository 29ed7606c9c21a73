//! HTTP/2 as attackers write it: frames by hand against a running gateway (S10, S11, S15). What is not answered is
//! reset or sent away, the upstream sees nothing of it, and other callers are served all the time.

use std::time::Duration;

use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, End, Frames, HEADERS, PING, PRIORITY, PROTOCOL_ERROR,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame,
};
use crate::support::gateway::{Gateway, MANAGER, SALES, Setup};
use crate::support::upstream::{Act, Gate, Upstream, chunks, json};

const ONE: &str = r#"{"data":{"id":1,"name":"Ada","owner_id":"li.na"}}"#;
const KEY: (&str, &str) = ("x-api-key", "sales-key-000000");
const GOOD: [(&str, &str); 5] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/customers/1"), KEY];

async fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::start(|_| json(ONE)).await;
    let gateway = Setup::before(&upstream).start().await;
    (upstream, gateway)
}

/// What becomes of a good request over HTTP/1.1 meanwhile.
async fn others_are_served(gateway: &Gateway) {
    assert_eq!(gateway.get("/customers/1", &[SALES]).await.status, 200, "other callers are served");
}

fn with(fields: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&GOOD, fields].concat()
}

/// Sends field blocks, each on a connection of its own; the upstream sees none of them.
async fn are_refused(cases: &[Vec<(&'static str, &'static str)>]) {
    let (upstream, gateway) = gateway().await;
    for fields in cases {
        let mut frames = Frames::connect(gateway.address, &[]).await;
        frames.request(1, fields).await;
        match frames.end_of(1).await {
            End::Reset { code: PROTOCOL_ERROR, body } => assert!(body.is_empty(), "{fields:?}"),
            End::GoneAway(code) => assert!(code != 0, "{fields:?}"),
            End::Answered { ok: false, .. } => {}
            other => panic!("{fields:?}: {other:?}"),
        }
    }
    assert!(upstream.received().is_empty(), "the upstream saw {:?}", upstream.received());
    others_are_served(&gateway).await;
}

#[tokio::test]
async fn frames_by_hand_are_answered_when_they_are_right() {
    let (upstream, gateway) = gateway().await;
    let mut frames = Frames::connect(gateway.address, &[]).await;
    frames.request(1, &GOOD).await;
    assert_eq!(frames.end_of(1).await, End::Answered { ok: true, body: ONE.into() });
    // The field block may come in pieces, and the body with a length that is right.
    let fields = [
        (":method", "PUT"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/customers/1"),
        ("x-api-key", "manager-key-0000"),
        ("content-type", "application/json"),
        ("content-length", "13"),
        ("te", "trailers"),
    ];
    let block = block(&fields);
    let (first, rest) = block.split_at(20);
    frames.send(HEADERS, 0, 3, first).await;
    frames.send(CONTINUATION, END_HEADERS, 3, rest).await;
    frames.send(DATA, END_STREAM, 3, br#"{"name":"Bo"}"#).await;
    assert_eq!(frames.end_of(3).await, End::Answered { ok: true, body: ONE.into() });
    let put = upstream.received().pop().expect("the upstream was asked");
    assert_eq!((put.method.as_str(), put.text(), put.header("te")), ("PUT", r#"{"name":"Bo"}"#, None));
}

#[tokio::test]
async fn s10_what_would_be_framing_in_http1_is_refused() {
    are_refused(&[
        with(&[("transfer-encoding", "chunked")]),
        with(&[("connection", "keep-alive, x-api-key")]),
        with(&[("keep-alive", "1")]),
        with(&[("proxy-connection", "keep-alive")]),
        with(&[("upgrade", "h2c")]),
        with(&[("te", "gzip")]),
        with(&[("te", "trailers, deflate")]),
        with(&[("x", "a\r\nx-groups: managers")]),
        with(&[("x", "a\nb")]),
        with(&[("x", "a\0b")]),
        with(&[("x", "a\r")]),
        with(&[("x\r\ny", "a")]),
        with(&[("x: y\r\nz", "a")]),
        with(&[("x y", "a")]),
        with(&[("", "a")]),
        with(&[("X-Upper", "a")]),
        with(&[("x\u{e9}", "a")]),
        with(&[("content-length", "5")]),
        with(&[("content-length", "0"), ("content-length", "1")]),
        with(&[("content-length", "-1")]),
        with(&[("content-length", "0x0")]),
        with(&[("host", "b")]),
        with(&[("host", "a"), ("host", "a")]),
        with(&[("expect", "101-switching")]),
    ])
    .await;
}

#[tokio::test]
async fn s10_a_body_that_is_not_as_long_as_it_says_never_goes_on() {
    let (upstream, gateway) = gateway().await;
    for (length, body) in
        [("5", "{\"name\":\"Bo\"}"), ("100", "{\"name\":\"Bo\"}"), ("0", "GET / HTTP/1.1\r\n\r\n")]
    {
        let fields = [
            (":method", "PUT"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", "/customers/1"),
            ("x-api-key", "manager-key-0000"),
            ("content-type", "application/json"),
            ("content-length", length),
        ];
        let mut frames = Frames::connect(gateway.address, &[]).await;
        frames.send(HEADERS, END_HEADERS, 1, &block(&fields)).await;
        frames.send(DATA, END_STREAM, 1, body.as_bytes()).await;
        let end = frames.end_of(1).await;
        assert!(!matches!(end, End::Answered { ok: true, .. }), "{length}: {end:?}");
    }
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn s11_pseudo_fields_are_there_once_first_and_whole() {
    let [method, scheme, authority, path, key] = GOOD;
    are_refused(&[
        vec![scheme, authority, path, key],
        vec![method, authority, path, key],
        vec![method, scheme, authority, key],
        vec![method, scheme, path, key],
        vec![method, method, scheme, authority, path, key],
        vec![method, scheme, authority, path, path, key],
        vec![method, scheme, authority, authority, path, key],
        vec![method, scheme, authority, path, (":path", "/export"), key],
        vec![method, scheme, authority, key, path],
        with(&[(":path", "/export")]),
        with(&[(":status", "200")]),
        with(&[(":forged", "x")]),
        with(&[(":protocol", "websocket")]),
        vec![method, scheme, authority, (":path", ""), key],
        vec![method, scheme, authority, (":path", "customers/1"), key],
        vec![method, scheme, authority, (":path", "*"), key],
        vec![method, scheme, authority, (":path", "/customers/1 HTTP/1.1\r\nx: y"), key],
        vec![method, scheme, authority, (":path", "http://b/customers/1"), key],
        vec![method, scheme, authority, (":path", "/customers/1\0"), key],
        vec![method, scheme, (":authority", "u@a"), path, key],
        vec![method, scheme, (":authority", "a/b"), path, key],
        vec![method, scheme, (":authority", "a:65536"), path, key],
        vec![method, scheme, (":authority", "a, b"), path, key],
        vec![method, scheme, (":authority", "a\r\nx: y"), path, key],
        vec![(":method", "GET /export HTTP/1.1\r\nx: y"), scheme, authority, path, key],
        vec![(":method", "CONNECT"), authority, key],
        vec![(":method", "CONNECT"), scheme, authority, path, key],
        vec![(":method", "TRACE"), scheme, authority, path, key],
        vec![(":method", ""), scheme, authority, path, key],
    ])
    .await;
}

#[tokio::test]
async fn s11_what_the_library_drops_is_neither_judged_nor_sent() {
    let (upstream, gateway) = gateway().await;
    let mut fields = GOOD.to_vec();
    fields[3] = (":path", "/customers/1#/../../export");
    let mut frames = Frames::connect(gateway.address, &[]).await;
    frames.request(1, &fields).await;
    assert!(matches!(frames.end_of(1).await, End::Answered { ok: true, .. }));
    assert_eq!(upstream.only_request().target, "/customers/1", "no fragment goes on");

    fields[0] = (":method", "PUT");
    fields[3] = (":path", "/customers/1");
    fields[4] = ("x-api-key", "manager-key-0000");
    fields.push(("content-type", "application/json"));
    frames.send(HEADERS, END_HEADERS, 3, &block(&fields)).await;
    frames.send(DATA, 0, 3, br#"{"name":"Bo"}"#).await;
    frames.request(3, &[(":path", "/export"), ("x-groups", "managers")]).await;
    frames.end_of(3).await;
    for put in upstream.received().iter().skip(1) {
        assert_eq!((put.target.as_str(), put.text()), ("/customers/1", r#"{"name":"Bo"}"#));
        assert!(!String::from_utf8_lossy(&put.raw).contains("x-groups"), "no trailer goes on");
    }
}

#[tokio::test]
async fn s15_streams_broken_off_again_and_again_end_the_connection() {
    let gate = Gate::closed();
    let waiting = gate.clone();
    let upstream = Upstream::start(move |_| vec![Act::Wait(waiting.clone()), Act::Stall]).await;
    let gateway = Setup::before(&upstream).start().await;
    let mut frames = Frames::connect(gateway.address, &[]).await;
    let mut last = 1;
    // Each is under way before it is broken off, so that no bound on streams that wait to be taken is met.
    for stream in (1..4000).step_by(2) {
        last = stream;
        let ping = frame(PING, 0, 0, &u64::from(stream).to_be_bytes());
        let all = [frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&GOOD)), ping].concat();
        if !frames.raw(&all).await {
            break;
        }
        let mut open = false;
        while let Some(frame) = frames.next().await {
            if frame.kind == PING && frame.flags == 1 {
                open = true;
                break;
            }
        }
        if !open || !frames.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes()).await {
            break;
        }
    }
    assert!(last < 1000, "the connection took {} streams that were broken off", last / 2);
    assert!(gateway.metric("fieldgate_connections_refused_total", "http2").await >= 1.0);
    let records = gateway.end().await;
    assert!(records.iter().all(|record| record["outcome"] == "aborted"));
}

#[tokio::test]
async fn s15_resets_in_one_burst_end_the_connection() {
    let (_upstream, gateway) = gateway().await;
    let mut frames = Frames::connect(gateway.address, &[]).await;
    let mut burst = Vec::new();
    for stream in (1..20_000).step_by(2) {
        burst.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&GOOD)));
        burst.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    let (end, ()) = tokio::join!(async { Frames::connect(gateway.address, &[]).await }, async {
        let _closed = frames.raw(&burst).await;
    });
    let ended = async { while frames.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the connection ends");
    drop(end);
    others_are_served(&gateway).await;
    let served = gateway.metric("fieldgate_requests_total", "").await;
    assert!(served < 5000.0, "{served} of 10000 broken streams were begun");
}

#[tokio::test]
async fn s15_a_field_block_without_end_is_cut_off() {
    let (upstream, gateway) = gateway().await;
    let mut frames = Frames::connect(gateway.address, &[]).await;
    frames.send(HEADERS, END_STREAM, 1, &block(&GOOD)).await;
    let more = block(&[("x", &"y".repeat(1000))]);
    let mut sent = 0;
    let flooded = async {
        // Empty ones too: they cost the sender nothing.
        while frames.send(CONTINUATION, 0, 1, if sent % 2 == 0 { &more } else { &[] }).await {
            sent += 1;
            if sent > 100_000 {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), flooded).await.expect("the flood ends");
    assert!(sent <= 100_000, "the flood was taken");
    assert!(upstream.received().is_empty());
    others_are_served(&gateway).await;
}

#[tokio::test]
async fn s15_a_field_block_beyond_the_bound_is_refused() {
    let (upstream, gateway) = gateway().await;
    let long = "y".repeat(40_000);
    let mut fields = GOOD.to_vec();
    fields.push(("x", &long));
    let mut frames = Frames::connect(gateway.address, &[]).await;
    let block = block(&fields);
    let (first, rest) = block.split_at(16_000);
    frames.send(HEADERS, END_STREAM, 1, first).await;
    let (second, third) = rest.split_at(16_000);
    frames.send(CONTINUATION, 0, 1, second).await;
    frames.send(CONTINUATION, END_HEADERS, 1, third).await;
    let end = frames.end_of(1).await;
    assert!(!matches!(end, End::Answered { ok: true, .. }), "{end:?}");
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn s15_floods_of_small_frames_cost_nobody_else_anything() {
    let (_upstream, gateway) = gateway().await;
    let floods: [(&str, Vec<u8>); 5] = [
        ("settings", frame(SETTINGS, 0, 0, &[])),
        ("pings", frame(PING, 0, 0, &[0; 8])),
        ("priorities", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])),
        ("window updates", frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())),
        ("unknown frames", frame(99, 0, 0, &[0; 100])),
    ];
    for (name, one) in floods {
        let mut frames = Frames::connect(gateway.address, &[]).await;
        let many = one.repeat(1000);
        let flood = async {
            // Never reading the answers: what would wait to be written is bounded, or nobody reads on either.
            for _ in 0..20 {
                let sending = tokio::time::timeout(Duration::from_millis(100), frames.raw(&many)).await;
                if !matches!(sending, Ok(true)) {
                    break;
                }
            }
        };
        tokio::join!(flood, others_are_served(&gateway));
        others_are_served(&gateway).await;
        drop(frames);
        assert!(gateway.metric("fieldgate_requests_in_flight", "").await < 1.0, "{name}");
    }
}

#[tokio::test]
async fn s15_more_streams_than_allowed_are_refused_and_the_others_go_on() {
    let gate = Gate::closed();
    let waiting = gate.clone();
    let upstream = Upstream::start(move |_| [vec![Act::Wait(waiting.clone())], json(ONE)].concat()).await;
    let gateway = Setup::before(&upstream).config("bounds: { streams: 3 }\n").start().await;
    let mut frames = Frames::connect(gateway.address, &[]).await;
    for stream in [1, 3, 5, 7] {
        frames.request(stream, &GOOD).await;
    }
    // REFUSED_STREAM: nothing was done, it may be sent again (RFC 9113 section 8.7).
    assert_eq!(frames.end_of(7).await, End::Reset { code: 7, body: Vec::new() });
    for _ in 0..3 {
        gate.open();
    }
    let mut answered = 0;
    while answered < 3 {
        let frame = frames.next().await.expect("the connection goes on");
        answered += usize::from(frame.flags & END_STREAM != 0 && [DATA, HEADERS].contains(&frame.kind));
    }
    assert_eq!(upstream.received().len(), 3);
}

/// An export that is longer than any buffer.
fn export() -> Vec<Act> {
    let line = format!("{{\"id\":1,\"name\":\"{}\"}}\n", "n".repeat(1000));
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = chunks(line.repeat(2000).as_bytes(), 1 << 14);
    vec![Act::Send([head.as_bytes(), &body, b"0\r\n\r\n"].concat())]
}

#[tokio::test]
async fn s15_a_caller_that_never_opens_its_window_is_cut_and_its_other_streams_go_on() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/export" => export(),
        _ => json(ONE),
    })
    .await;
    let gateway = Setup::before(&upstream).config("bounds: { write_time: 200ms }\n").start().await;
    // SETTINGS_INITIAL_WINDOW_SIZE: 0 bytes on every stream.
    let mut frames = Frames::connect(gateway.address, &[(4, 0)]).await;
    let mut fields = GOOD;
    (fields[3], fields[4]) = ((":path", "/export"), ("x-api-key", "manager-key-0000"));
    frames.request(1, &fields).await;
    frames.request(3, &GOOD).await;
    frames.send(WINDOW_UPDATE, 0, 3, &1000_u32.to_be_bytes()).await;
    let (mut reset, mut answered) = (None, false);
    let both = async {
        while reset.is_none() || !answered {
            let frame = frames.next().await.expect("the connection goes on");
            match (frame.kind, frame.stream) {
                (RST_STREAM, 1) => reset = Some(frame.payload),
                (DATA | HEADERS, 3) => answered |= frame.flags & END_STREAM != 0,
                (DATA, 1) => assert!(frame.payload.is_empty(), "nothing fits a closed window"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), both).await.expect("the stream is reset");
    // The connection lives on.
    frames.request(5, &GOOD).await;
    frames.send(WINDOW_UPDATE, 0, 5, &1000_u32.to_be_bytes()).await;
    assert!(matches!(frames.end_of(5).await, End::Answered { ok: true, .. }));
    drop(frames);
    let records = gateway.end().await;
    let export = records.iter().find(|record| record["action"] == "export").expect("its record");
    assert_ne!(export["outcome"], "complete");
}

#[tokio::test]
async fn s15_a_connection_without_streams_is_not_kept() {
    let (_upstream, gateway) = {
        let upstream = Upstream::start(|_| json(ONE)).await;
        let gateway = Setup::before(&upstream)
            .config("bounds: { head_time: 100ms, handshake_time: 100ms }\n")
            .start()
            .await;
        (upstream, gateway)
    };
    let mut idle = Frames::connect(gateway.address, &[]).await;
    let ended = async { while idle.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the idle connection is closed");
    // Neither is one that sends half a field block.
    let mut half = Frames::connect(gateway.address, &[]).await;
    half.send(HEADERS, END_STREAM, 1, &block(&GOOD)).await;
    let ended = async { while half.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the slow connection is closed");
}

#[tokio::test]
async fn s12_an_upgrade_to_http2_is_not_made_and_goes_no_further() {
    let (upstream, gateway) = gateway().await;
    let answer = gateway
        .get(
            "/customers/1",
            &[
                MANAGER,
                "Connection: Upgrade, HTTP2-Settings",
                "Upgrade: h2c",
                "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
            ],
        )
        .await;
    assert_eq!(answer.status, 200, "an offer that is not taken changes nothing");
    let sent = upstream.only_request();
    assert!(sent.header("upgrade").is_none() && sent.header("http2-settings").is_none());
    assert!(sent.header("connection").is_none_or(|value| !value.to_ascii_lowercase().contains("upgrade")));
}
