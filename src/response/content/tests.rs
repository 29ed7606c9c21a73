use std::collections::HashMap;

use super::*;
use crate::rewrite::Csv;

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

fn typed(value: &'static str, format: &Format) -> Option<String> {
    let stated = media_type(&headers(&[("content-type", value)]), format).ok()?;
    Some(stated.media_type.to_str().unwrap().to_owned())
}

fn csv(delimiter: u8) -> Format {
    Format::Csv(Csv { delimiter, neutralise_formulas: false, headers: HashMap::new() })
}

#[test]
fn json_in_its_spellings_is_taken_as_json() {
    for (stated, given) in [
        ("application/json", "application/json"),
        ("Application/JSON; Charset=\"UTF-8\"", "application/json"),
        ("application/json;charset=utf8", "application/json"),
        ("application/json;odata.metadata=minimal;odata.streaming=true", "application/json"),
        ("text/json", "application/json"),
        ("application/hal+json", "application/hal+json"),
        ("application/vnd.api+json", "application/vnd.api+json"),
        ("application/vnd.13800138000.v2+json", "application/json"),
    ] {
        assert_eq!(typed(stated, &Format::Json).as_deref(), Some(given), "{stated}");
    }
}

#[test]
fn anything_else_on_a_json_route_is_refused() {
    for stated in [
        "text/html",
        "text/plain",
        "text/javascript",
        "application/javascript",
        "application/xml",
        "application/octet-stream",
        "application/json-seq",
        "application/x-ndjson",
        "application/geo+json-seq",
        "application/jsonp",
        "application/x-json",
        "image/x+json",
        "multipart/mixed; boundary=x",
        "text/csv",
        "text/event-stream",
        "application/json; charset=utf-7",
        "application/json; charset=",
        "application/json; charset=utf-8; charset=utf-16le",
        "application/json; charset=utf-16; charset=utf-16le",
        "application/json, text/html",
        "application/json text/html",
        "json",
        "/json",
        "*/*",
        "",
    ] {
        assert_eq!(typed(stated, &Format::Json), None, "{stated}");
    }
    assert!(media_type(&HeaderMap::new(), &Format::Json).is_err());
    let twice = headers(&[("content-type", "application/json"), ("content-type", "application/json")]);
    assert!(media_type(&twice, &Format::Json).is_err());
}

#[test]
fn every_format_has_its_own_types() {
    assert_eq!(typed("application/jsonl", &Format::Ndjson).as_deref(), Some("application/jsonl"));
    assert_eq!(typed("application/json", &Format::Ndjson), None);
    assert_eq!(typed("application/json-seq", &Format::JsonSeq).as_deref(), Some("application/json-seq"));
    assert_eq!(typed("text/event-stream; charset=utf-8", &Format::Sse).as_deref(), Some("text/event-stream"));
    assert_eq!(typed("text/csv; header=present", &csv(b',')).as_deref(), Some("text/csv; charset=utf-8"));
    assert_eq!(
        typed("text/csv; charset=gb18030", &csv(b',')).as_deref(),
        Some("text/csv; charset=utf-8"),
        "what goes out is UTF-8"
    );
    assert_eq!(typed("text/event-stream; charset=gbk", &Format::Sse), None);
    assert_eq!(typed("text/tab-separated-values", &csv(b',')), None);
    assert!(typed("text/tab-separated-values", &csv(b'\t')).is_some());
    assert_eq!(typed("application/vnd.ms-excel", &csv(b',')), None);
}

#[test]
fn a_stated_charset_is_taken_and_never_passed_on() {
    let of =
        |value| media_type(&headers(&[("content-type", value)]), &Format::Json).map(|stated| stated.charset);
    for (value, label) in [
        ("application/json", "utf-8"),
        ("application/json; charset=ISO-8859-1", "latin1"),
        ("application/json; charset=\"gb2312\"", "gbk"),
        ("application/json; charset=gbk; charset=GB2312", "gbk"),
        ("application/json; charset=utf-16", "utf-16"),
        ("application/json; charset=us-ascii; charset=utf8", "utf-8"),
    ] {
        assert_eq!(of(value).unwrap(), Charset::parse(label).unwrap(), "{value}");
    }
    assert_eq!(typed("application/json; charset=big5", &Format::Json).as_deref(), Some("application/json"));
}

#[test]
fn one_known_coding_is_taken() {
    for (stated, coding_of_it) in [
        ("gzip", Coding::Gzip),
        (" X-GZIP ", Coding::Gzip),
        ("deflate", Coding::Deflate),
        ("br", Coding::Brotli),
        ("zstd", Coding::Zstd),
        ("identity", Coding::Identity),
    ] {
        assert_eq!(coding(&headers(&[("content-encoding", stated)])).unwrap(), coding_of_it, "{stated}");
    }
    assert_eq!(coding(&HeaderMap::new()).unwrap(), Coding::Identity);
}

#[test]
fn unknown_and_stacked_codings_are_refused() {
    for stated in ["gzip, gzip", "gzip, br", "identity, gzip", "compress", "aes128gcm", "gzip;q=1"] {
        assert!(coding(&headers(&[("content-encoding", stated)])).is_err(), "{stated}");
    }
    let twice = headers(&[("content-encoding", "gzip"), ("content-encoding", "gzip")]);
    assert!(coding(&twice).is_err());
}

#[test]
fn transfer_codings_other_than_chunked_are_refused() {
    assert!(coding(&headers(&[("transfer-encoding", "Chunked")])).is_ok());
    for stated in ["gzip, chunked", "gzip", "chunked, chunked", "identity", "chunked;x=y"] {
        assert!(coding(&headers(&[("transfer-encoding", stated)])).is_err(), "{stated}");
    }
    let both = headers(&[("transfer-encoding", "chunked"), ("content-length", "5")]);
    assert!(coding(&both).is_err());
}

#[test]
fn what_came_coded_goes_on_coded_to_those_who_take_it() {
    let after = |accepted: &'static str| negotiated(Coding::Gzip, Some(&HeaderValue::from_static(accepted)));
    assert_eq!(after("gzip, deflate"), Coding::Gzip);
    assert_eq!(after("gzip;q=0.5, br;q=0.1"), Coding::Gzip);
    assert_eq!(after("identity, gzip;q=0"), Coding::Identity);
    assert_eq!(after("identity;q=0"), Coding::Identity);
    assert_eq!(negotiated(Coding::Gzip, None), Coding::Identity);
    assert_eq!(negotiated(Coding::Identity, Some(&HeaderValue::from_static("gzip"))), Coding::Identity);
}
