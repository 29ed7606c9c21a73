use std::collections::VecDeque;
use std::future::poll_fn;

use super::*;

/// A socket that gives one piece a read.
struct Pieces(VecDeque<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(mut piece) = self.0.pop_front() {
            let rest = piece.split_off(piece.len().min(buf.remaining()));
            buf.put_slice(&piece);
            if !rest.is_empty() {
                self.0.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    text: String,
    refused: Option<(u64, Violation)>,
    broken: bool,
}

/// What hyper would see of `text` when it comes in pieces of `piece` bytes.
fn seen(text: &[u8], speaks: Speaks, piece: usize) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let pieces = text.chunks(piece).map(<[u8]>::to_vec).collect();
        let io = Pieces(pieces);
        let opened = if speaks == Speaks::Http2 { Opened::http2(io) } else { Opened::http1(io) };
        let mut strict = Strict::new(opened, HeadBounds::default());
        let verdict = strict.verdict();
        let (mut bytes, mut broken) = (Vec::new(), false);
        loop {
            let mut space = [0; 100];
            let mut buf = ReadBuf::new(&mut space);
            match poll_fn(|cx| Pin::new(&mut strict).poll_read(cx, &mut buf)).await {
                Ok(()) if buf.filled().is_empty() => break,
                Ok(()) => bytes.extend_from_slice(buf.filled()),
                Err(_) => {
                    broken = true;
                    break;
                }
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Seen { text, refused: verdict.refused.get().copied(), broken }
    })
}

fn any_cut(text: &str, speaks: Speaks) -> Seen {
    let whole = seen(text.as_bytes(), speaks, usize::MAX);
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(seen(text.as_bytes(), speaks, piece), whole, "in pieces of {piece}: {text:?}");
    }
    whole
}

fn passes(text: &str) {
    let seen = any_cut(text, Speaks::Http1);
    assert_eq!(seen, Seen { text: text.to_owned(), refused: None, broken: false });
}

fn refused(text: &str) -> Violation {
    let seen = any_cut(text, Speaks::Http1);
    assert!(
        seen.text.ends_with(std::str::from_utf8(STAND_IN).unwrap()),
        "{text:?} was seen as {:?}",
        seen.text
    );
    seen.refused.unwrap_or_else(|| panic!("{text:?} passed")).1
}

#[test]
fn well_formed_requests_pass_byte_for_byte() {
    passes("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    passes("GET /a?b=[c] HTTP/1.0\r\n\r\n");
    passes("\r\nGET / HTTP/1.1\r\nHost: [::1]:8080\r\nX: \t caf\u{e9} \r\n\r\n");
    passes("OPTIONS * HTTP/1.1\r\nhost: a:65535\r\n\r\n");
    passes("GET http://A.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n");
    passes("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n\r\n\n\n");
}

#[test]
fn pipelined_requests_are_followed_through_every_kind_of_body() {
    passes(concat!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /",
        "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\n",
        "5;name=\"v\"\r\nGET /\r\n00A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n",
        "\r\nGET /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "GET /4 HTTP/1.1\r\nHost: a\r\n\r\n",
    ));
}

#[test]
fn a_refused_head_is_replaced_in_its_place_and_nothing_follows_it() {
    let text = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n";
    let seen = any_cut(text, Speaks::Http1);
    assert_eq!(seen.refused, Some((1, Violation::Host)));
    assert!(seen.text.starts_with("GET /1 HTTP/1.1\r\n"), "{}", seen.text);
    assert!(!seen.text.contains("/2") && !seen.text.contains("/3"), "{}", seen.text);
}

#[test]
fn the_verdict_names_the_refused_request_by_its_number() {
    let verdict = Verdict::default();
    verdict.refused.set((1, Violation::Host)).unwrap();
    assert_eq!([verdict.next(), verdict.next(), verdict.next()], [None, Some(Violation::Host), None]);
}

#[test]
fn a_length_said_twice_or_two_ways_is_refused() {
    let with = |fields: &str| refused(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\nabcde"));
    assert_eq!(with("Content-Length: 5\r\nTransfer-Encoding: chunked"), Violation::TwoLengths);
    assert_eq!(with("Transfer-Encoding: chunked\r\nContent-Length: 5"), Violation::TwoLengths);
    assert_eq!(with("Content-Length: 0\r\nTransfer-Encoding: chunked"), Violation::TwoLengths);
    for length in
        ["5\r\nContent-Length: 5", "5\r\nContent-Length: 6", "5, 5", "+5", "-5", "5 5", "0x5", "05", "5.0"]
    {
        assert_eq!(with(&format!("Content-Length: {length}")), Violation::ContentLength, "{length}");
    }
    for length in ["", " ", "five", "9999999999999999999", "18446744073709551616", "\u{b2}"] {
        assert_eq!(with(&format!("Content-Length: {length}")), Violation::ContentLength, "{length}");
    }
    for coding in [
        ",chunked",
        "chunked,",
        "chunked, chunked",
        "gzip, chunked",
        "identity",
        "xchunked",
        "",
        "\"chunked\"",
    ] {
        assert_eq!(with(&format!("Transfer-Encoding: {coding}")), Violation::TransferEncoding, "{coding}");
    }
    assert_eq!(
        with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
        Violation::TransferEncoding
    );
    assert_eq!(with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), Violation::TransferEncoding);
    assert_eq!(with("Transfer-Encoding: \u{b}chunked"), Violation::FieldValue);
    assert_eq!(
        refused("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Violation::TransferEncoding
    );
}

#[test]
fn lines_end_in_crlf_and_nothing_else() {
    for text in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let violation = refused(text);
        assert!(matches!(violation, Violation::LineEnding | Violation::Method), "{text:?}: {violation}");
    }
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"), Violation::FieldValue);
    assert_eq!(refused("GET / HTTP/1.1\rHost: a\r\n\r\n"), Violation::Target);
}

#[test]
fn a_request_line_has_three_parts_and_no_byte_that_does_not_belong() {
    let line = |line: &str| refused(&format!("{line}\r\nHost: a\r\n\r\n"));
    for version in
        ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.1\t", "HTTP/01.1", "HTTP/1.10", ""]
    {
        assert_eq!(line(&format!("GET / {version}")), Violation::Version, "{version:?}");
    }
    for text in ["GET /", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", "GET /a b HTTP/1.1", "GET\t/ HTTP/1.1", "GET"]
    {
        let violation = line(text);
        assert!(matches!(violation, Violation::Target | Violation::Method), "{text:?}: {violation}");
    }
    for target in ["/a#b", "a", "*", "/\u{e9}", "/\u{7f}", "/\0", "ftp://a/", "http://", "http://u@a/"] {
        assert_eq!(line(&format!("GET {target} HTTP/1.1")), Violation::Target, "{target:?}");
    }
    assert_eq!(line("(GET) / HTTP/1.1"), Violation::Method);
    assert_eq!(line("\u{e9}ET / HTTP/1.1"), Violation::Method);
    assert_eq!(line(&format!("{} / HTTP/1.1", "G".repeat(33))), Violation::Method);
    assert_eq!(line(&format!("GET /{} HTTP/1.1", "a".repeat(8 << 10))), Violation::TargetLength);
    assert_eq!(refused("\u{16}\u{3}\u{1}\u{2}"), Violation::Method);
}

#[test]
fn field_names_are_tokens_and_values_hold_no_controls() {
    let field = |field: &str| refused(&format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n"));
    for name in
        ["X y: 1", "X : 1", " X: 1", "\tX: 1", ": 1", "X", "X\u{e9}: 1", "X\u{0}: 1", "X(: 1", "\"X\": 1"]
    {
        assert_eq!(field(name), Violation::FieldName, "{name:?}");
    }
    assert_eq!(field("X: a\r\n b"), Violation::FieldName);
    for value in ["\u{0}", "a\u{7f}", "a\u{1b}b", "a\u{b}"] {
        assert_eq!(field(&format!("X: {value}")), Violation::FieldValue, "{value:?}");
    }
    assert_eq!(field("Expect: 200-ok"), Violation::Expectation);
}

#[test]
fn there_is_one_host_and_it_is_the_targets() {
    assert_eq!(refused("GET / HTTP/1.1\r\nX: y\r\n\r\n"), Violation::Host);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), Violation::Host);
    assert_eq!(refused("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"), Violation::Host);
    for host in [
        "", "a b", "u@a", "a/b", "a:0", "a:65536", "a:", "a:b", "a,b", "a?b", "[::1", "[x]", "[::1]x", "a:+1",
    ] {
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), Violation::Host, "{host:?}");
    }
}

#[test]
fn a_head_beyond_its_bounds_is_refused() {
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(40 << 10));
    assert_eq!(refused(&long), Violation::HeadLength);
    assert_eq!(refused(&format!("{long}\r\n\r\n")), Violation::HeadLength);
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(100));
    assert_eq!(refused(&many), Violation::HeadLength);
}

#[test]
fn a_chunked_body_that_bends_the_grammar_is_broken_where_it_bends() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let long = format!("1;{}\r\n", "x".repeat(9 << 10));
    for body in [
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloX0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-1\r\n",
        "\r\n",
        "g\r\n",
        ";x\r\n",
        "5;x\nhello\r\n0\r\n\r\n",
        "5;\u{0}\r\nhello",
        "5\rhello",
        "0000000000000001\r\n",
        "fffffffffffffffff\r\n",
        "0\r\nX y: 1\r\n\r\n",
        "0\r\nX: 1\n\r\n",
        "0\r\n\n",
        "0\r\n: 1\r\n\r\n",
        long.as_str(),
    ] {
        let seen = any_cut_of_broken(&format!("{head}{body}"));
        assert!(seen.broken, "{body:?} passed");
        assert_eq!(seen.refused, None);
    }
}

/// How much of a broken body passes depends on the cuts; that it is broken does not.
fn any_cut_of_broken(text: &str) -> Seen {
    for piece in [1, 3, 64] {
        assert!(seen(text.as_bytes(), Speaks::Http1, piece).broken, "in pieces of {piece}: {text:?}");
    }
    seen(text.as_bytes(), Speaks::Http1, usize::MAX)
}

#[test]
fn http2_passes_only_where_it_is_spoken() {
    let text = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    assert_eq!(any_cut(text, Speaks::Http2).text, text);
    assert!(matches!(refused(text), Violation::Target | Violation::Version));
}

#[test]
fn what_was_read_before_is_judged_like_the_rest() {
    let (first, rest) =
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Le", "ngth: 2\r\n\r\nabGET / HTTP/1.1\r\n\r\n");
    let opened = Opened {
        io: Pieces([rest.as_bytes().to_vec()].into()),
        speaks: Speaks::Http1,
        read: BytesMut::from(first.as_bytes()),
    };
    let mut strict = Strict::new(opened, HeadBounds::default());
    let (verdict, mut text) = (strict.verdict(), String::new());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(tokio::io::AsyncReadExt::read_to_string(&mut strict, &mut text)).unwrap();
    assert!(text.starts_with(&format!("{first}ngth: 2\r\n\r\nab")), "{text}");
    assert_eq!(verdict.refused.get(), Some(&(1, Violation::Host)));
}
