//! Group R of the threats: codings and formats of answers that a gateway could misread.

use fieldgate::rewrite::codec::{Coding, Encoder};

use crate::support::client::Answer;
use crate::support::gateway::{POLICY, SALES, Setup};
use crate::support::upstream::{Framing, Upstream, answer};

const ONE: &str = r#"{"data":{"id":1,"name":"Ada","owner_id":"li.na","secret":"CANARY"}}"#;
const SEEN: &str = r#"{"data":{"id":1,"name":"Ada","owner_id":"li.na"}}"#;

fn coded(coding: Coding, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(coding);
    encoder.push(text.as_bytes(), &mut out);
    encoder.finish(&mut out);
    out
}

async fn asked(
    target: &'static str,
    policy: &str,
    lines: Vec<String>,
    body: Vec<u8>,
    framing: Framing,
) -> Answer {
    let upstream = Upstream::start(move |_| {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        answer("200 OK", &lines, &body, framing)
    })
    .await;
    let gateway = Setup::before(&upstream).api("compression: true").only(policy).start().await;
    let got = gateway.get(target, &[SALES]).await;
    assert!(!got.holds("CANARY"), "{}", String::from_utf8_lossy(&got.raw));
    assert_eq!(upstream.received().len(), 1);
    assert_eq!(gateway.end().await.len(), 1, "one record");
    got
}

async fn one(lines: &[&str], body: &[u8], framing: Framing) -> Answer {
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    asked("/customers/1", POLICY, lines, body.to_vec(), framing).await
}

const JSON: &str = "Content-Type: application/json";

#[tokio::test]
async fn r01_every_coding_is_read_and_what_is_hidden_goes() {
    for (name, coding) in
        [("gzip", Coding::Gzip), ("deflate", Coding::Deflate), ("br", Coding::Brotli), ("zstd", Coding::Zstd)]
    {
        for framing in Framing::ALL {
            let got = one(&[JSON, &format!("Content-Encoding: {name}")], &coded(coding, ONE), framing).await;
            assert_eq!((got.status, got.text()), (200, SEEN), "{name} {framing:?}");
            assert!(got.complete && got.header("content-encoding").is_none());
        }
    }
}

#[tokio::test]
async fn r04_members_checksums_and_what_follows_them_are_all_read_or_closed() {
    let gzip = |text: &str| coded(Coding::Gzip, text);
    let (first, second) = ONE.split_at(30);
    let whole = gzip(ONE);
    let mut wrong_sum = whole.clone();
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 1;
    let mut wrong_length = whole.clone();
    let at = wrong_length.len() - 1;
    wrong_length[at] ^= 1;
    let zlib = coded(Coding::Deflate, ONE);
    let raw = zlib[2..zlib.len() - 4].to_vec();
    let cases = [
        ("two members", "gzip", [gzip(first), gzip(second)].concat(), Some(true)),
        (
            "a member of something else",
            "gzip",
            [whole.clone(), gzip("{\"secret\":\"CANARY\"}")].concat(),
            Some(false),
        ),
        ("garbage behind", "gzip", [&whole[..], b"CANARY"].concat(), Some(false)),
        ("plain text behind", "gzip", [&whole[..], ONE.as_bytes()].concat(), Some(false)),
        ("a wrong sum", "gzip", wrong_sum, Some(false)),
        ("a wrong length", "gzip", wrong_length, Some(false)),
        ("cut short", "gzip", whole[..whole.len() - 3].to_vec(), Some(false)),
        ("a flag of the future", "gzip", [&whole[..3], &[0xe0], &whole[4..]].concat(), Some(false)),
        ("zlib", "deflate", zlib, Some(true)),
        // Some servers send it so; either way nothing hidden comes out.
        ("deflate without zlib", "deflate", raw, None),
        ("plain, said to be deflate", "deflate", ONE.as_bytes().to_vec(), Some(false)),
    ];
    for (what, name, body, reads) in cases {
        for framing in [Framing::Length, Framing::Chunked(1), Framing::Close] {
            let got = one(&[JSON, &format!("Content-Encoding: {name}")], &body, framing).await;
            let read = got.status == 200 && got.complete;
            assert!(!read || got.text() == SEEN, "{what} {framing:?}: {}", got.text());
            assert!(reads.is_none_or(|reads| reads == read), "{what} {framing:?}: {}", got.status);
        }
    }
}

#[tokio::test]
async fn r11_an_answer_in_parts_is_closed() {
    let part = format!("--b\r\nContent-Type: application/json\r\n\r\n{ONE}\r\n--b--\r\n");
    let http = format!(
        "--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 200 OK\r\n{JSON}\r\n\r\n{ONE}\r\n--b--\r\n"
    );
    for kind in [
        "multipart/mixed; boundary=b",
        "multipart/form-data; boundary=b",
        "multipart/byteranges; boundary=b",
        "multipart/related; boundary=b; type=\"application/json\"",
        "application/json, multipart/mixed",
        "message/http",
    ] {
        for body in [&part, &http] {
            for framing in Framing::ALL {
                let got = one(&[&format!("Content-Type: {kind}")], body.as_bytes(), framing).await;
                assert_eq!(got.status, 502, "{kind} {framing:?}");
            }
        }
    }
    // Said to be JSON, it is none.
    let got = one(&[JSON], part.as_bytes(), Framing::Length).await;
    assert!(got.status == 502 || !got.complete);
}

#[tokio::test]
async fn r12_events_are_filtered_where_a_route_has_them_and_closed_elsewhere() {
    let record = r#"{"id":1,"name":"Ada","owner_id":"li.na","secret":"CANARY"}"#;
    let other = r#"{"id":2,"name":"Bob","owner_id":"u9","secret":"CANARY"}"#;
    let events = format!("event: CANARY\nid: CANARY\ndata: {record}\n\n: CANARY\ndata: {other}\n\n");
    let kind = "Content-Type: text/event-stream";
    for framing in Framing::ALL {
        let got = one(&[kind], events.as_bytes(), framing).await;
        assert_eq!(got.status, 502, "{framing:?}");
        let policy = POLICY.replace(
            "      - { match: GET /healthz",
            "      - { match: GET /events, action: list, resource: customer, format: sse }\n      - { match: GET /healthz",
        );
        let got =
            asked("/events", &policy, vec![kind.to_owned()], events.clone().into_bytes(), framing).await;
        assert_eq!(got.status, 200, "{framing:?}");
        assert!(got.text().contains(r#"{"id":1,"name":"Ada","owner_id":"li.na"}"#), "{}", got.text());
        assert!(!got.text().contains("Bob"));
    }
}
