//! Group R of the threats: what an upstream's answer carries beside its records, over both protocols. `CANARY` stands
//! for what must not come out, anywhere in the bytes.

use serde_json::json;

use crate::support::client::{Answer, H2};
use crate::support::gateway::{FINANCE, Gateway, MANAGER, SALES, Setup};
use crate::support::upstream::{Act, Framing, Received, Upstream, answer};

const ONE: &str = r#"{"data":{"id":1,"name":"Ada","owner_id":"li.na","secret":"CANARY"}}"#;
const SEEN: &str = r#"{"data":{"id":1,"name":"Ada","owner_id":"li.na"}}"#;
const JSON: &str = "Content-Type: application/json";

async fn behind(script: impl Fn(&Received) -> Vec<Act> + Send + Sync + 'static) -> (Upstream, Gateway) {
    let upstream = Upstream::start(script).await;
    let gateway = Setup::before(&upstream).start().await;
    (upstream, gateway)
}

/// The answer to one whose head has these lines, in every framing; over HTTP/2 nothing of it comes out either.
async fn with_head(status: &'static str, lines: &'static [&'static str], body: &'static [u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for framing in Framing::ALL {
        let (_upstream, gateway) = behind(move |_| answer(status, lines, body, framing)).await;
        let over_http1 = gateway.get("/customers/1", &[SALES]).await;
        assert!(
            !over_http1.holds("CANARY"),
            "{status} {lines:?} {framing:?}: {}",
            String::from_utf8_lossy(&over_http1.raw)
        );
        let mut h2 = H2::connect(gateway.address).await;
        if let Ok(over_http2) = h2.get("/customers/1", &[("x-api-key", "sales-key-000000")]).await {
            let text = format!("{:?}{}", over_http2.head, String::from_utf8_lossy(&over_http2.body));
            assert!(!text.contains("CANARY"), "{status} {lines:?} {framing:?}: {text}");
            assert_eq!(over_http2.status().as_u16(), over_http1.status, "{status} {lines:?} {framing:?}");
        }
        assert_eq!(gateway.end().await.len(), 2, "one record each");
        answers.push(over_http1);
    }
    answers
}

async fn are_closed(heads: &[(&'static str, &'static [&'static str])], body: &'static [u8]) {
    for (status, lines) in heads {
        for answer in with_head(status, lines, body).await {
            assert!(answer.status == 502 || !answer.complete, "{status} {lines:?}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn r02_r03_a_coding_that_is_unknown_stacked_or_a_lie_is_closed() {
    are_closed(
        &[
            ("200 OK", &[JSON, "Content-Encoding: compress"]),
            ("200 OK", &[JSON, "Content-Encoding: gzip, br"]),
            ("200 OK", &[JSON, "Content-Encoding: gzip\r\nContent-Encoding: gzip"]),
            ("200 OK", &[JSON, "Content-Encoding: x-unknown"]),
            ("200 OK", &[JSON, "Content-Encoding: gzip"]),
            ("200 OK", &[JSON, "Content-Encoding: br"]),
            ("200 OK", &[JSON, "Content-Encoding: zstd"]),
            ("200 OK", &[JSON, "Content-Encoding: deflate"]),
            ("200 OK", &[JSON, "Content-Encoding: gzip;q=1"]),
        ],
        ONE.as_bytes(),
    )
    .await;
}

#[tokio::test]
async fn r06_the_gateway_says_itself_which_codings_it_reads() {
    let (upstream, gateway) = behind(|_| answer("200 OK", &[JSON], ONE.as_bytes(), Framing::Length)).await;
    for accepted in ["br, zstd, gzip", "identity;q=0, exi", "*", "compress"] {
        let got = gateway.get("/customers/1", &[SALES, &format!("Accept-Encoding: {accepted}")]).await;
        assert!(got.status == 200 || got.status == 406, "{accepted}: {}", got.status);
        let sent = upstream.received().pop().expect("it was asked");
        assert!(matches!(sent.header("accept-encoding"), Some("gzip" | "identity")), "{:?}", sent.headers);
    }
}

#[tokio::test]
async fn r07_a_transfer_coding_beside_chunks_is_closed() {
    let (_upstream, gateway) = behind(|_| {
        let head = format!("HTTP/1.1 200 OK\r\n{JSON}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n");
        let chunk = format!("{:x}\r\n{ONE}\r\n0\r\n\r\n", ONE.len());
        vec![Act::Send([head, chunk].concat().into_bytes()), Act::Close]
    })
    .await;
    let got = gateway.get("/customers/1", &[SALES]).await;
    assert!(!got.holds("CANARY") && (got.status == 502 || got.text() == SEEN), "{}", got.status);
}

#[tokio::test]
async fn r08_r10_a_type_that_is_not_screened_is_closed() {
    are_closed(
        &[
            ("200 OK", &[]),
            ("200 OK", &["Content-Type: text/html"]),
            ("200 OK", &["Content-Type: text/plain"]),
            ("200 OK", &["Content-Type: application/octet-stream"]),
            ("200 OK", &["Content-Type: text/csv"]),
            ("200 OK", &["Content-Type: application/xml"]),
            ("200 OK", &["Content-Type: text/javascript"]),
            ("200 OK", &["Content-Type: application/javascript"]),
            ("200 OK", &["Content-Type: application/pdf"]),
            ("200 OK", &["Content-Type: multipart/mixed; boundary=x"]),
            ("200 OK", &["Content-Type: text/event-stream"]),
            ("200 OK", &["Content-Type: application/jsonx"]),
            ("200 OK", &["Content-Type: application/json", "Content-Type: text/html"]),
            ("200 OK", &["Content-Type: json"]),
            ("200 OK", &["Content-Type: "]),
        ],
        ONE.as_bytes(),
    )
    .await;
}

#[tokio::test]
async fn r09_vendor_types_of_json_are_json() {
    for kind in ["application/problem+json", "application/vnd.crm.v2+json", "APPLICATION/JSON; Charset=UTF-8"]
    {
        let (_upstream, gateway) = behind(move |_| {
            answer("200 OK", &[&format!("Content-Type: {kind}")], ONE.as_bytes(), Framing::Length)
        })
        .await;
        let got = gateway.get("/customers/1", &[SALES]).await;
        assert_eq!((got.status, got.text()), (200, SEEN), "{kind}");
    }
}

#[tokio::test]
async fn r13_r14_no_part_is_asked_for_and_none_is_passed_on() {
    let (upstream, gateway) = behind(|_| {
        answer(
            "200 OK",
            &[JSON, "Accept-Ranges: bytes", "Content-Range: bytes 0-9/71"],
            ONE.as_bytes(),
            Framing::Length,
        )
    })
    .await;
    for line in ["Range: bytes=0-9", "Range: bytes=70-", "If-Range: \"x\"", "Range: items=0-1"] {
        let got = gateway.get("/customers/1", &[SALES, line]).await;
        assert_eq!((got.status, got.text()), (200, SEEN), "{line}");
        assert!(got.header("accept-ranges").is_none() && got.header("content-range").is_none());
        let sent = upstream.received().pop().expect("it was asked");
        assert!(sent.header("range").is_none() && sent.header("if-range").is_none());
    }
    are_closed(&[("206 Partial Content", &[JSON, "Content-Range: bytes 0-70/500"])], ONE.as_bytes()).await;
    for got in
        with_head("416 Range Not Satisfiable", &[JSON, "Content-Range: bytes */CANARY"], ONE.as_bytes()).await
    {
        assert!(got.status == 416 && got.header("content-range").is_none());
    }
}

#[tokio::test]
async fn r15_the_size_of_an_answer_to_head_is_never_that_of_the_original() {
    let (upstream, gateway) = behind(|_| answer("200 OK", &[JSON], ONE.as_bytes(), Framing::Length)).await;
    let mut raw = gateway.connect().await;
    let head = raw.request("HEAD", "/customers/1", &[SALES], None).await;
    assert_eq!(head.status, 200);
    assert!(head.header("content-length").is_none_or(|length| length != ONE.len().to_string()));
    // What another caller does not see is not there for HEAD either.
    let (_upstream, other) =
        behind(|_| answer("200 OK", &[JSON], br#"{"data":{"id":1,"owner_id":"u9"}}"#, Framing::Length)).await;
    let mut raw = other.connect().await;
    assert_eq!(raw.request("HEAD", "/customers/1", &[SALES], None).await.status, 404);
    assert_eq!(upstream.only_request().method, "GET");
}

#[tokio::test]
async fn r16_to_r22_headers_that_tell_of_the_original_stay_behind() {
    let lines: &[&str] = &[
        JSON,
        "ETag: \"CANARY\"",
        "Last-Modified: CANARY",
        "Content-MD5: CANARY",
        "Digest: sha-256=CANARY",
        "Content-Digest: sha-256=:CANARY:",
        "Repr-Digest: sha-256=:CANARY:",
        "X-Total-Count: CANARY",
        "X-User-Phone: CANARY",
        "Set-Cookie: session=CANARY",
        "Set-Cookie2: session=CANARY",
        "WWW-Authenticate: Basic realm=CANARY",
        "Authorization: CANARY",
        "Location: http://internal/CANARY",
        "Content-Location: http://internal/CANARY",
        "Link: <http://internal/CANARY>; rel=next",
        "Refresh: 0; url=http://internal/CANARY",
        "Server: CANARY",
        "X-Powered-By: CANARY",
        "Via: 1.1 CANARY",
        "Warning: 199 CANARY",
        "Alt-Svc: h2=\"CANARY:443\"",
        "X-Sendfile: /CANARY",
        "X-Accel-Redirect: /CANARY",
        "Access-Control-Allow-Origin: https://CANARY",
        "Content-Disposition: attachment; filename=CANARY.json",
        "Connection: X-Secret",
        "X-Secret: CANARY",
        "Trailer: X-Checksum",
        "Server-Timing: CANARY",
        "X-Request-Id: CANARY",
        "Cache-Control: public, max-age=3600",
        "Expires: Thu, 01 Jan 2099 00:00:00 GMT",
        "Vary: Accept",
        "Age: 5",
    ];
    for got in with_head("200 OK", lines, ONE.as_bytes()).await {
        assert_eq!((got.status, got.text()), (200, SEEN));
        // R27: no cache between us and the caller may keep it for somebody else.
        assert_eq!(got.header("cache-control"), Some("private, no-store"));
        assert!(got.header("expires").is_none() && got.header("age").is_none());
        // In its place stands a token that is the caller's own.
        assert!(got.header("etag").is_some_and(|tag| tag.len() > 100));
    }
}

#[tokio::test]
async fn r20_redirects_are_neither_followed_nor_passed_on() {
    let canary =
        Upstream::start(|_| answer("200 OK", &[JSON], b"{\"data\":{\"name\":\"CANARY\"}}", Framing::Length))
            .await;
    let target = canary.url();
    for status in
        ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent", "300 Multiple"]
    {
        let location = format!("Location: {target}/customers/1?token=CANARY");
        let (_upstream, gateway) =
            behind(move |_| answer(status, &[JSON, &location], b"CANARY", Framing::Length)).await;
        let got = gateway.get("/customers/1", &[SALES]).await;
        assert_eq!(got.status, 502, "{status}");
        assert!(!got.holds("CANARY") && got.header("location").is_none(), "{status}");
    }
    assert!(canary.received().is_empty(), "nobody went there");
}

#[tokio::test]
async fn r22_trailers_and_interim_answers_stay_behind() {
    let (_upstream, gateway) = behind(|_| {
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: </CANARY>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\nX: CANARY\r\n\r\n";
        let head = format!("HTTP/1.1 200 OK\r\n{JSON}\r\nTrailer: X-Phone\r\nTransfer-Encoding: chunked\r\n\r\n");
        let body = format!("{:x}\r\n{ONE}\r\n0\r\nX-Phone: CANARY\r\nSet-Cookie: CANARY\r\n\r\n", ONE.len());
        vec![Act::Send([interim, &head, &body].concat().into_bytes())]
    })
    .await;
    let mut raw = gateway.connect().await;
    raw.send(format!(
        "GET /customers/1 HTTP/1.1\r\nHost: a\r\n{SALES}\r\nTE: trailers\r\nConnection: close\r\n\r\n"
    ))
    .await;
    let all = String::from_utf8_lossy(&raw.rest().await).into_owned();
    assert!(all.starts_with("HTTP/1.1 200") && all.contains("\"Ada\"") && !all.contains("CANARY"), "{all}");
}

#[tokio::test]
async fn r23_no_protocol_is_switched() {
    let (upstream, gateway) = behind(|_| {
        vec![Act::Send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nCANARY"
                .to_vec(),
        )]
    })
    .await;
    let websocket = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    for protocol in ["websocket", "h2c, websocket", "TLS/1.0", "connect-udp"] {
        let upgrade = format!("Upgrade: {protocol}");
        let got =
            gateway.get("/customers/1", &[SALES, websocket[0], &upgrade, websocket[2], websocket[3]]).await;
        assert_eq!(got.status, 400, "{protocol}");
    }
    assert!(upstream.received().is_empty(), "no upgrade goes upstream");
    let got = gateway.get("/customers/1", &[SALES]).await;
    assert!(got.status == 502 && !got.holds("CANARY"), "nor is one taken that nobody asked for");
}

#[tokio::test]
async fn r24_r25_what_follows_an_answer_is_nobodys() {
    let surplus = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 35\r\n\r\n{\"data\":{\"id\":9,\"owner_id\":\"CANARY\"}}";
    let odd: [(&str, &str); 4] = [
        ("DELETE", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"),
    ];
    for (method, text) in odd {
        let (_upstream, gateway) = behind(move |request| {
            if request.target == "/customers/1" {
                vec![Act::Send([text.as_bytes(), surplus].concat())]
            } else {
                answer("200 OK", &[JSON], SEEN.as_bytes(), Framing::Length)
            }
        })
        .await;
        for _ in 0..5 {
            let mut raw = gateway.connect().await;
            raw.request(method, "/customers/1", &[MANAGER], None).await;
            let next = gateway.get("/customers/2", &[SALES]).await;
            assert_eq!((next.status, next.text()), (200, SEEN), "after {method} {text:?}");
        }
    }
}

#[tokio::test]
async fn r26_errors_of_the_upstream_keep_their_status_and_lose_their_text() {
    for status in [
        "400 Bad",
        "401 Who",
        "402 Pay",
        "403 No",
        "404 None",
        "405 Not",
        "409 Conflict",
        "410 Gone",
        "412 Pre",
        "422 Field phone 138 CANARY",
        "429 Slow",
        "500 Oops",
        "503 Down",
        "599 Odd",
        "418 Tea",
    ] {
        let (_upstream, gateway) = behind(move |_| {
            answer(
                status,
                &[JSON, "X-Error: CANARY"],
                br#"{"message":"phone CANARY is taken","data":{"phone":"CANARY"}}"#,
                Framing::Length,
            )
        })
        .await;
        let got = gateway.get("/customers", &[SALES]).await;
        assert!(got.status >= 400 && !got.holds("CANARY"), "{status}: {}", got.status);
    }
}

#[tokio::test]
async fn r28_no_path_that_looks_like_a_file_gets_a_cacheable_answer() {
    let (_upstream, gateway) = behind(|_| {
        answer("200 OK", &[JSON, "Cache-Control: public, max-age=99"], ONE.as_bytes(), Framing::Length)
    })
    .await;
    for target in [
        "/customers/1.css",
        "/customers/1.js?x",
        "/customers/1/a.css",
        "/customers/1%3fa.css",
        "/customers/1;a.css",
        "/customers/1%0aa.css",
    ] {
        let got = gateway.get(target, &[SALES]).await;
        let kept = got.header("cache-control").unwrap_or_default();
        assert!(kept.contains("no-store"), "{target}: {kept}");
    }
}

#[tokio::test]
async fn r29_answers_that_differ_in_what_is_hidden_are_equal_to_the_byte() {
    let with = |secret: &str| {
        format!(
            r#"{{"data":[{{"id":1,"owner_id":"li.na","name":"Ada","secret":"{secret}","credit_limit":5}},{{"id":2,"owner_id":"u9","name":"{secret}"}}],"total":2}}"#
        )
    };
    type Answered = (Vec<(String, String)>, Vec<u8>);
    let mut seen: Vec<Answered> = Vec::new();
    for secret in ["Ada", "AdaAdaAdaAdaAdaAdaAdaAda", "\u{738b}\u{82b3}x9!"] {
        let body = with(secret);
        let (_upstream, gateway) =
            behind(move |_| answer("200 OK", &[JSON], body.as_bytes(), Framing::Length)).await;
        for coding in ["identity", "gzip"] {
            let got = gateway.get("/customers", &[SALES, &format!("Accept-Encoding: {coding}")]).await;
            assert_eq!(got.status, 200);
            let mut headers = got.headers.clone();
            headers.retain(|(name, _)| name != "date" && name != "x-request-id");
            seen.push((headers, got.body));
        }
    }
    assert!(seen.chunks(2).all(|pair| pair == &seen[..2]), "O3");
}

#[tokio::test]
async fn i13_i18_names_and_credentials_of_the_caller_go_no_further() {
    let (upstream, gateway) = behind(|request| {
        // An upstream that echoes what it was sent.
        let text = String::from_utf8_lossy(&request.raw).into_owned();
        let body =
            json!({ "data": { "id": 1, "owner_id": "li.na", "name": "Ada", "echo": text } }).to_string();
        answer("200 OK", &[JSON, "X-Echo: CANARY"], body.as_bytes(), Framing::Length)
    })
    .await;
    let forged = [
        SALES,
        "X-Remote-User: xu.lan",
        "X-Forwarded-User: xu.lan",
        "X-Auth-Request-Email: xu.lan",
        "X-Forwarded-For: 10.9.8.7",
        "Forwarded: for=10.9.8.7",
        "X-Real-Ip: 10.9.8.7",
        "X-Client-Cert: xu.lan",
        "Cookie: session=xu.lan",
        "X-Principal: xu.lan",
        "X-Consumer-Username: xu.lan",
    ];
    let got = gateway.get("/customers/1", &forged).await;
    assert_eq!(got.json(), json!({ "data": { "id": 1, "name": "Ada", "owner_id": "li.na" } }));
    let sent = String::from_utf8_lossy(&upstream.only_request().raw).into_owned();
    for kept in ["xu.lan", "10.9.8.7", "sales-key"] {
        assert!(!sent.contains(kept), "{kept}: {sent}");
    }
    let records = gateway.end().await;
    assert_eq!(
        (&records[0]["principal"]["id"], &records[0]["principal"]["ip"]),
        (&json!("li.na"), &json!("127.0.0.1"))
    );
}

#[tokio::test]
async fn i15_i17_i19_two_credentials_one_in_the_url_or_none_are_nobody() {
    let (upstream, gateway) = behind(|_| answer("200 OK", &[JSON], ONE.as_bytes(), Framing::Length)).await;
    let basic = "Authorization: Basic bGkubmE6c2FsZXMta2V5LTAwMDAwMA==";
    for lines in [
        &[SALES, FINANCE][..],
        &[SALES, basic],
        &[],
        &["Authorization: Bearer"],
        &["Authorization: Bearer  sales-key-000000"],
        &["Authorization: sales-key-000000"],
        &["X-Api-Key: "],
        &["Authorization: Bearer sales-key-000000, Bearer manager-key-0000"],
        &[basic],
    ] {
        let got = gateway.get("/customers/1", lines).await;
        assert_eq!(got.status, 401, "{lines:?}");
        assert!(!got.holds("-key-0000"), "no credential is echoed");
    }
    for target in ["/customers/1?api_key=sales-key-000000", "/customers/1?access_token=sales-key-000000"] {
        assert_eq!(gateway.get(target, &[]).await.status, 401, "{target}");
        assert!(gateway.get(target, &[MANAGER]).await.status >= 400, "{target}");
    }
    assert!(upstream.received().is_empty());
    for record in gateway.end().await {
        assert!(!record.to_string().contains("sales-key"), "{record}");
    }
}
