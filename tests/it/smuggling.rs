//! Group S of the threats over HTTP/1, attack by attack with raw bytes: what could be read in two ways is refused,
//! the connection ends there, nothing that was smuggled behind it is answered, and the upstream sees none of it.

use crate::support::client::Raw;
use crate::support::gateway::{Gateway, MANAGER, SALES, Setup};
use crate::support::upstream::{self, Act, Framing, Received, Upstream, answer};

const ONE: &str = r#"{"data":{"id":1,"name":"Ada","owner_id":"li.na"}}"#;
const JSON: &str = "Content-Type: application/json";

async fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::start(|_| upstream::json(ONE)).await;
    let gateway = Setup::before(&upstream).start().await;
    (upstream, gateway)
}

/// A request by its own right, for standing behind another.
fn good() -> String {
    format!("GET /customers/1 HTTP/1.1\r\nHost: a\r\n{SALES}\r\n\r\n")
}

/// A write with these header lines and body bytes.
fn put(lines: &str, body: &str) -> Vec<u8> {
    format!("PUT /customers/1 HTTP/1.1\r\nHost: a\r\n{MANAGER}\r\n{JSON}\r\n{lines}\r\n\r\n{body}")
        .into_bytes()
}

/// Sends each with a good request behind it, in one piece and byte by byte, on connections of their own.
async fn are_refused(attacks: Vec<Vec<u8>>) {
    let (upstream, gateway) = gateway().await;
    let count = attacks.len();
    for attack in attacks {
        let shown = String::from_utf8_lossy(&attack).into_owned();
        let mut raw = gateway.connect().await;
        raw.send([&attack[..], good().as_bytes()].concat()).await;
        let answer = raw.answer(false).await.unwrap_or_else(|| panic!("no answer to {shown:?}"));
        assert!((400..600).contains(&answer.status), "{}: {shown:?}", answer.status);
        assert_eq!(answer.header("connection"), Some("close"), "{shown:?}");
        assert!(raw.rest().await.is_empty(), "something follows the refusal of {shown:?}");
    }
    assert!(upstream.received().is_empty(), "the upstream saw {:?}", upstream.received());
    let records = gateway.end().await;
    assert_eq!(records.len(), count, "each has its one record");
    assert!(records.iter().all(|record| record["outcome"] == "refused"));
}

#[tokio::test]
async fn s01_a_length_beside_chunks_is_refused() {
    let smuggled = "0\r\n\r\nGET /export HTTP/1.1\r\nHost: a\r\n\r\n";
    are_refused(vec![
        put("Content-Length: 5\r\nTransfer-Encoding: chunked", smuggled),
        put("Transfer-Encoding: chunked\r\nContent-Length: 50", smuggled),
        put("Content-Length: 0\r\nTransfer-Encoding: chunked", smuggled),
        put("content-length: 5\r\ntransfer-encoding: CHUNKED", smuggled),
        put("Content-Length: 5\r\nX: y\r\nTransfer-Encoding:chunked", smuggled),
        put("Content-Length:\r\nTransfer-Encoding: chunked", smuggled),
    ])
    .await;
}

#[tokio::test]
async fn s02_a_transfer_encoding_in_disguise_is_refused() {
    let mut attacks: Vec<Vec<u8>> = [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: ch\u{fc}nked",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding:",
        "Transfer-Encoding: identity",
        "\u{a0}Transfer-Encoding: chunked",
        "Transfer-Encoding\0: chunked",
    ]
    .iter()
    .map(|lines| put(lines, "0\r\n\r\n"))
    .collect();
    attacks.push(
        format!(
            "PUT /customers/1 HTTP/1.0\r\nHost: a\r\n{MANAGER}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        )
        .into_bytes(),
    );
    are_refused(attacks).await;
}

#[tokio::test]
async fn s03_a_length_that_is_no_plain_number_is_refused() {
    let lengths = [
        "1\r\nContent-Length: 2",
        "2\r\nContent-Length: 2",
        "2, 2",
        "2,3",
        "+2",
        "-2",
        "-0",
        "0x2",
        "2.0",
        "2e0",
        "02",
        "2 ",
        "",
        " ",
        "2 2",
        "2;",
        "\"2\"",
        "18446744073709551616",
        "9223372036854775808",
        "99999999999999999999999",
        "\u{b2}",
        "2\t2",
        "2_0",
        "Infinity",
        "2\0",
    ];
    let mut attacks: Vec<_> =
        lengths.iter().map(|length| put(&format!("Content-Length: {length}"), "{}")).collect();
    // Trailing blanks are no part of a value (RFC 9110 section 5.5): this one is in order.
    attacks.remove(11);
    attacks.push(put("Content-Length : 2", "{}"));
    attacks.push(put("Content-Length\u{b}: 2", "{}"));
    are_refused(attacks).await;
}

#[tokio::test]
async fn s04_chunks_that_bend_the_grammar_end_the_connection_and_go_nowhere() {
    let (upstream, gateway) = gateway().await;
    for body in [
        "2 \r\n{}\r\n0\r\n\r\n",
        " 2\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "+2\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "2\n{}\r\n0\r\n\r\n",
        "2\r{}\r\n0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
        "2\r\n{}\n0\r\n\r\n",
        "2\r\n{}XX0\r\n\r\n",
        "2\r\n{}\r\n0\n\r\n",
        "2\r\n{}\r\n0\r\n\n",
        "\r\n{}\r\n0\r\n\r\n",
        "10000000000000002\r\n{}\r\n0\r\n\r\n",
        "ffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        "2;\n\r\n{}\r\n0\r\n\r\n",
        "2;a=\0\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}\r\n0\r\nX y: z\r\n\r\n",
        "2\r\n{}\r\n0\r\n: z\r\n\r\n",
        "2\r\n{}\r\n0\r\n folded\r\n\r\n",
        "2\r\n{}\r\ng\r\n\r\n",
        "2_0\r\n{}\r\n0\r\n\r\n",
    ] {
        let mut raw = gateway.connect().await;
        raw.send([&put("Transfer-Encoding: chunked", body)[..], good().as_bytes()].concat()).await;
        let answer = raw.answer(false).await.unwrap_or_else(|| panic!("no answer to {body:?}"));
        assert_eq!(answer.status, 400, "{body:?}");
        assert!(raw.rest().await.is_empty(), "something follows {body:?}");
    }
    // Neither a flood of extensions nor one of trailers is read to its end.
    for flood in [
        format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "a".repeat(100_000)),
        format!("2\r\n{{}}\r\n0\r\n{}\r\n", "x: y\r\n".repeat(20_000)),
    ] {
        let mut raw = gateway.connect().await;
        raw.send(put("Transfer-Encoding: chunked", &flood)).await;
        assert!(raw.answer(false).await.is_none_or(|answer| answer.status == 400));
    }
    assert!(upstream.received().is_empty(), "the upstream saw {:?}", upstream.received());
}

#[tokio::test]
async fn s05_lines_that_end_or_begin_oddly_are_refused() {
    let line = |line: &str| {
        format!("GET /customers/1 HTTP/1.1\r\nHost: a\r\n{SALES}\r\n{line}\r\n\r\n").into_bytes()
    };
    let mut attacks: Vec<_> = [
        "X: a\r\n folded",
        "X: a\r\n\tfolded",
        "X: a\rY: b",
        "X: a\nY: b",
        "X: a\0",
        "X: a\u{7f}",
        "X\0: a",
        "X y: a",
        "X : a",
        ": a",
        "X",
        "(X): a",
        "X\u{e9}: a",
        "\u{1}X: a",
        "X\n: a",
    ]
    .iter()
    .map(|one| line(one))
    .collect();
    attacks.extend([
        format!("GET /customers/1 HTTP/1.1\nHost: a\n{SALES}\n\n").into_bytes(),
        format!("GET /customers/1 HTTP/1.1\r\nHost: a\r\n{SALES}\n\r\n").into_bytes(),
        format!("GET /customers/1 HTTP/1.1\r\nHost: a\r\n{SALES}\r\n\n").into_bytes(),
        format!("\r\n\r\n\r\nGET /customers/1 HTTP/1.1\r\nHost: a\r\n{SALES}\r\n\r\n").into_bytes(),
        format!(" GET /customers/1 HTTP/1.1\r\nHost: a\r\n{SALES}\r\n\r\n").into_bytes(),
        b"\xef\xbb\xbfGET /customers/1 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
    ]);
    are_refused(attacks).await;
}

#[tokio::test]
async fn s06_request_lines_that_are_none_are_refused() {
    let with = |line: &str| format!("{line}\r\nHost: a\r\n{SALES}\r\n\r\n").into_bytes();
    are_refused(
        [
            "GET  /customers/1 HTTP/1.1",
            "GET /customers/1  HTTP/1.1",
            "GET\t/customers/1\tHTTP/1.1",
            "GET /customers/1 HTTP/1.1 ",
            "GET /customers/1 HTTP/1.1 x",
            "GET /customers/1",
            "GET HTTP/1.1",
            "GET",
            "GET /customers/1 http/1.1",
            "GET /customers/1 HTTP/1.2",
            "GET /customers/1 HTTP/2.0",
            "GET /customers/1 HTTP/0.9",
            "GET /customers/1 HTTP/11",
            "GET /customers/1 HTTP/1.10",
            "GET /customers/1 HTTPS/1.1",
            "GET /customers/1 XHTTP/1.1",
            "GET customers/1 HTTP/1.1",
            "GET /customers/1\u{7f} HTTP/1.1",
            "GET /customers/\u{e9} HTTP/1.1",
            "GET /customers/1#x HTTP/1.1",
            "GET /customers/1\0 HTTP/1.1",
            "GET /customers/1\r HTTP/1.1",
            "G\0T /customers/1 HTTP/1.1",
            "G(T) /customers/1 HTTP/1.1",
            "GET * HTTP/1.1",
            "CONNECT /customers/1 HTTP/1.1",
            "GET a:80 HTTP/1.1",
            "GET ftp://a/customers/1 HTTP/1.1",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA /customers/1 HTTP/1.1",
        ]
        .iter()
        .map(|line| with(line))
        .collect(),
    )
    .await;
}

#[tokio::test]
async fn s07_one_plain_host_is_named_or_the_request_is_refused() {
    let with =
        |target: &str, hosts: &str| format!("GET {target} HTTP/1.1\r\n{hosts}{SALES}\r\n\r\n").into_bytes();
    let mut attacks: Vec<_> = [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nhost: b\r\n",
        "Host: a/b\r\n",
        "Host: u@a\r\n",
        "Host: u:p@a\r\n",
        "Host: a:0\r\n",
        "Host: a:65536\r\n",
        "Host: a:8x\r\n",
        "Host: a:-1\r\n",
        "Host: a:80:80\r\n",
        "Host: a b\r\n",
        "Host: a,b\r\n",
        "Host: a?x\r\n",
        "Host: a#x\r\n",
        "Host: a\\b\r\n",
        "Host: [::1\r\n",
        "Host: [::g]\r\n",
        "Host: ::1\r\n",
        "Host: http://a\r\n",
        "Host: \u{e9}\r\n",
        "Host: a%00\r\n",
        "Host:\r\n",
    ]
    .iter()
    .map(|hosts| with("/customers/1", hosts))
    .collect();
    attacks.push(with("http://b/customers/1", "Host: a\r\n"));
    attacks.push(with("http://u@a/customers/1", "Host: a\r\n"));
    attacks.push(with("http://a:0/customers/1", "Host: a:0\r\n"));
    attacks.push(with("http:///customers/1", "Host: a\r\n"));
    are_refused(attacks).await;
}

#[tokio::test]
async fn s08_pipelined_requests_are_judged_each_by_its_own_credentials_and_answered_in_order() {
    let upstream = Upstream::start(|request: &Received| {
        let id = request.target.rsplit('/').next().unwrap_or_default();
        upstream::json(&format!(r#"{{"data":{{"id":{id},"owner_id":"li.na","name":"{id}"}}}}"#))
    })
    .await;
    let gateway = Setup::before(&upstream).start().await;
    let get = |id: u32, who: &str| format!("GET /customers/{id} HTTP/1.1\r\nHost: a\r\n{who}\r\n\r\n");
    let mut raw = gateway.connect().await;
    let people = [SALES, "X: y", MANAGER, "Authorization: Bearer wrong-key-00000000", SALES, "X: y"];
    let all: String = people.iter().zip(1..).map(|(who, id)| get(id, who)).collect();
    raw.send(all).await;
    for (who, id) in people.iter().zip(1..) {
        let answer = raw.answer(false).await.expect("an answer");
        let known = [SALES, MANAGER].contains(who);
        assert_eq!(answer.status, if known { 200 } else { 401 }, "request {id}");
        if known {
            assert_eq!(answer.json()["data"]["id"], id, "in their order");
        }
    }
    let asked: Vec<String> = upstream.received().into_iter().map(|request| request.target).collect();
    assert_eq!(asked, ["/customers/1", "/customers/3", "/customers/5"]);
}

#[tokio::test]
async fn s09_connection_names_headers_of_the_caller_only() {
    let (upstream, gateway) = gateway().await;
    let own = "Connection: close, X-Request-Id, Traceparent, Via, Host, Accept, Accept-Encoding, Authorization, User-Agent, Content-Length";
    let answer = gateway.get("/customers/1", &[SALES, own, "User-Agent: curl", "Accept-Language: zh"]).await;
    assert_eq!(answer.status, 200);
    let sent = upstream.only_request();
    for kept in ["x-request-id", "traceparent", "via", "host", "accept", "accept-encoding"] {
        assert!(sent.header(kept).is_some(), "{kept} is the gateway's own");
    }
    assert_eq!(sent.header("user-agent"), None, "named by the caller, gone");
    assert_eq!(sent.header("accept-language"), Some("zh"));
    for hop in [
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "proxy-authorization",
        "proxy-connection",
        "transfer-encoding",
    ] {
        assert_eq!(sent.header(hop), None, "{hop}");
    }
}

#[tokio::test]
async fn s09_hop_by_hop_headers_go_no_further() {
    let (upstream, gateway) = gateway().await;
    let lines = [
        SALES,
        "Keep-Alive: 5",
        "TE: trailers",
        "Trailer: X",
        "Proxy-Authorization: Basic eDp5",
        "Proxy-Connection: keep-alive",
        "Max-Forwards: 3",
    ];
    assert_eq!(gateway.get("/customers/1", &lines).await.status, 200);
    let sent = upstream.only_request();
    for line in &lines[1..] {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        assert_eq!(sent.header(&name), None, "{name}");
    }
}

#[tokio::test]
async fn s13_an_expectation_is_met_or_refused_and_never_passed_on() {
    let (upstream, gateway) = gateway().await;
    // Without a body there is nothing to wait for.
    let answer = gateway.get("/customers/1", &[SALES, "Expect: 100-continue"]).await;
    assert_eq!(answer.status, 200);
    // The body is asked for only where the request is let in: a caller who is nobody sends it for nothing.
    let mut raw = gateway.connect().await;
    raw.send("PUT /customers/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        .await;
    let refused = raw.some().await;
    assert!(refused.starts_with(b"HTTP/1.1 401"), "{}", String::from_utf8_lossy(&refused));
    // What follows the refusal is not taken for a request, nor the body that was announced.
    raw.send(format!("{{}}{}", good())).await;
    let rest = String::from_utf8_lossy(&raw.rest().await).into_owned();
    assert!(rest.matches("HTTP/1.1 ").count() <= 1, "{rest}");
    assert!(!rest.contains("HTTP/1.1 400"), "{rest}");

    let mut raw = gateway.connect().await;
    let head = format!(
        "PUT /customers/1 HTTP/1.1\r\nHost: a\r\n{MANAGER}\r\n{JSON}\r\nContent-Length: 13\r\nExpect: 100-continue\r\n\r\n"
    );
    raw.send(head).await;
    let go_on = raw.some().await;
    assert!(go_on.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&go_on));
    raw.send(r#"{"name":"Bo"}"#).await;
    assert_eq!(raw.answer(false).await.expect("an answer").status, 200);
    assert!(upstream.received().iter().all(|request| request.header("expect").is_none()));

    for other in ["200-ok", "100-continue, x", "", "100-continue\r\nExpect: 100-continue"] {
        let refused = gateway.get("/customers/1", &[SALES, &format!("Expect: {other}")]).await;
        assert!(matches!(refused.status, 417 | 200), "{other:?}: {}", refused.status);
    }
    assert!(upstream.received().iter().all(|request| request.header("expect").is_none()));
}

#[tokio::test]
async fn s14_names_that_read_like_others_do_not_stand_in_for_them() {
    let (upstream, gateway) = gateway().await;
    let lines = [
        SALES,
        "X_Api_Key: manager-key-0000",
        "X_Request_Id: forged",
        "X_Forwarded_For: 10.0.0.1",
        "Content_Length: 5",
        "Transfer_Encoding: chunked",
        "X-User: xu.lan",
        "X-Remote-User: xu.lan",
        "Remote-User: xu.lan",
        "X-Groups: managers",
    ];
    let answer = gateway.get("/customers/1", &lines).await;
    assert_eq!(answer.status, 200);
    let sent = upstream.only_request();
    assert!(sent.headers.iter().all(|(name, _)| !name.contains('_')), "{:?}", sent.headers);
    let text = String::from_utf8_lossy(&sent.raw).into_owned();
    for forged in ["forged", "xu.lan", "managers", "10.0.0.1", "manager-key"] {
        assert!(!text.contains(forged), "{forged}: {text}");
    }
    // Two of what may stand once are none.
    for twice in [[SALES, MANAGER], [SALES, SALES]] {
        assert_eq!(gateway.get("/customers/1", &twice).await.status, 401);
    }
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test]
async fn s16_what_a_caller_leaves_behind_never_reaches_the_next() {
    let upstream = Upstream::start(|request: &Received| match request.target.as_str() {
        "/customers/7" => {
            let body = format!(r#"{{"data":{{"id":7,"owner_id":"li.na","name":"{}"}}}}"#, "x".repeat(1 << 20));
            answer("200 OK", &["Content-Type: application/json"], body.as_bytes(), Framing::Length)
        }
        "/customers/8" => {
            let late = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 32\r\n\r\n{\"data\":{\"id\":9,\"name\":\"CANARY\"}}";
            let mut acts = upstream::json(r#"{"data":{"id":8,"owner_id":"li.na"}}"#);
            acts.push(Act::Send(late.as_bytes().to_vec()));
            acts
        }
        _ => upstream::json(ONE),
    })
    .await;
    let gateway = Setup::before(&upstream).start().await;
    for _ in 0..5 {
        // One goes away in the middle of its answer, one gets more than was asked for.
        let mut raw = Raw::connect(gateway.address).await;
        raw.send(format!("GET /customers/7 HTTP/1.1\r\nHost: a\r\n{MANAGER}\r\n\r\n")).await;
        assert!(!raw.some().await.is_empty());
        drop(raw);
        assert_eq!(gateway.get("/customers/8", &[SALES]).await.json()["data"]["id"], 8);
        let next = gateway.get("/customers/1", &[SALES]).await;
        assert_eq!((next.status, next.text()), (200, ONE));
    }
    // The rest of a body that was refused is no request either.
    let mut raw = gateway.connect().await;
    let body = good();
    raw.send(format!(
        "PUT /nowhere HTTP/1.1\r\nHost: a\r\n{MANAGER}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
    .await;
    assert_eq!(raw.answer(false).await.expect("an answer").status, 404);
    raw.send("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let before = upstream.received().iter().filter(|request| request.target == "/customers/1").count();
    let rest = String::from_utf8_lossy(&raw.rest().await).into_owned();
    assert_eq!(rest.matches("HTTP/1.1 ").count(), 1, "{rest}");
    let received = upstream.received();
    assert_eq!(received.last().map(|request| request.target.as_str()), Some("/healthz"));
    assert_eq!(received.iter().filter(|request| request.target == "/customers/1").count(), before);
}
