//! The request target, made unambiguous or refused.
//!
//! What is judged is what is sent: path and query are decoded once, checked, and written again from the decoded
//! form, so that no two readers (this one and the upstream) can take them for different things. What could be read
//! in two ways is refused, not repaired.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A target that could not be judged, and why: a constant text.
pub(super) type Unclear = &'static str;

/// A target as it was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The path's segments, decoded. A trailing slash gives an empty last segment.
    pub(super) segments: Vec<String>,
    /// The path, written again.
    pub(super) path: String,
    /// Query parameters, decoded, in order.
    pub(super) query: Vec<(String, String)>,
}

/// Reads path and query of a request (RFC 3986).
pub(super) fn read(uri: &http::Uri) -> Result<Target, Unclear> {
    let (path, query) = (uri.path(), uri.query());
    let segments = segments(path)?;
    let mut written = String::with_capacity(path.len());
    for segment in &segments {
        written.push('/');
        written.extend(utf8_percent_encode(segment, SEGMENT));
    }
    let query = query.map(self::query).transpose()?.unwrap_or_default();
    Ok(Target { segments, path: written, query })
}

/// Writes query parameters.
pub(super) fn write_query(query: &[(String, String)]) -> String {
    let mut out = String::new();
    for (index, (name, value)) in query.iter().enumerate() {
        if index > 0 {
            out.push('&');
        }
        out.extend(utf8_percent_encode(name, PARAMETER));
        out.push('=');
        out.extend(utf8_percent_encode(value, PARAMETER));
    }
    out
}

/// Writes one path segment.
pub(super) fn write_segment(segment: &str, out: &mut String) {
    out.extend(utf8_percent_encode(segment, SEGMENT));
}

/// Whether a path parameter is a key and nothing that an upstream could read more into: no alternate key
/// (`phone='138'`), no list of keys, no property or function (`$count`), no dot or blank that some servers drop.
pub(super) fn is_plain_name(value: &str) -> bool {
    !value.starts_with(['$', '@', '.', ' ', '~'])
        && !value.ends_with(['.', ' '])
        && !value.contains(['=', '(', ')', '\'', '"', ',', '*', '<', '>', '{', '}', '|', '^', '`'])
}

fn segments(path: &str) -> Result<Vec<String>, Unclear> {
    let Some(rest) = path.strip_prefix('/') else { return Err("the path does not start with a slash") };
    if path.len() > MAX_PATH_BYTES {
        return Err("the path is too long");
    }
    let count = memchr::memchr_iter(b'/', rest.as_bytes()).count() + 1;
    if count > MAX_SEGMENTS {
        return Err("the path has too many segments");
    }
    let mut segments = Vec::with_capacity(count);
    for (index, raw) in rest.split('/').enumerate() {
        if raw.is_empty() && index + 1 < count {
            return Err("the path has an empty segment");
        }
        segments.push(segment(raw)?);
    }
    Ok(segments)
}

fn segment(raw: &str) -> Result<String, Unclear> {
    let text = decode(raw, false)?;
    for c in text.chars() {
        match c {
            '/' => return Err("the path has an encoded slash"),
            '\\' => return Err("the path has a backslash"),
            // Matrix parameters (RFC 3986 section 3.3): some servers cut the segment here, others do not.
            ';' => return Err("the path has a semicolon"),
            '?' | '#' => return Err("the path has an encoded delimiter"),
            c if c.is_control() => return Err("the path has a control character"),
            // Invisible characters make two paths look like one and are dropped by some servers.
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                return Err("the path has an invisible character");
            }
            _ => {}
        }
    }
    // Dot segments, also with blanks or more dots, which some servers take for them.
    let dots = text.trim_matches(|c: char| c == ' ' || c == '.');
    if dots.is_empty() && text.contains('.') {
        return Err("the path has a dot segment");
    }
    Ok(text)
}

fn query(raw: &str) -> Result<Vec<(String, String)>, Unclear> {
    if raw.len() > MAX_QUERY_BYTES {
        return Err("the query is too long");
    }
    let mut parameters = Vec::new();
    for piece in raw.split('&').filter(|piece| !piece.is_empty()) {
        // Some servers split at semicolons, others do not.
        if has_open_semicolon(piece) {
            return Err("the query has a semicolon");
        }
        if parameters.len() >= MAX_PARAMETERS {
            return Err("the query has too many parameters");
        }
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let (name, value) = (decode(name, true)?, decode(value, true)?);
        if name.is_empty() {
            return Err("the query has a parameter without a name");
        }
        if name.chars().chain(value.chars()).any(char::is_control) {
            return Err("the query has a control character");
        }
        parameters.push((name, value));
    }
    Ok(parameters)
}

/// Whether a semicolon stands outside of round brackets. Within them it separates the options of one parameter
/// (OData, `$expand=owner($select=name;$top=5)`); it is sent escaped, so that nobody splits there.
fn has_open_semicolon(piece: &str) -> bool {
    let mut depth = 0_usize;
    piece.bytes().any(|byte| {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        byte == b';' && depth == 0
    })
}

/// Decodes percent escapes once. What would decode again is refused: a server behind may do it.
pub(super) fn decode(raw: &str, plus_is_blank: bool) -> Result<String, Unclear> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'%' => {
                let (Some(high), Some(low)) = (hex(rest.first()), hex(rest.get(1))) else {
                    return Err("the target has a broken escape");
                };
                bytes.push(high << 4 | low);
                rest = rest.get(2..).unwrap_or_default();
            }
            b'+' if plus_is_blank => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| "the target is not UTF-8")?;
    if !plus_is_blank && has_escape(&text) {
        return Err("the path is escaped twice");
    }
    Ok(text)
}

fn has_escape(text: &str) -> bool {
    memchr::memchr_iter(b'%', text.as_bytes()).any(|at| {
        let digits = text.as_bytes().get(at + 1..at + 3).unwrap_or_default();
        digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit)
    })
}

fn hex(byte: Option<&u8>) -> Option<u8> {
    (*byte? as char).to_digit(16).map(|digit| digit as u8)
}

/// Longest path.
const MAX_PATH_BYTES: usize = 8 << 10;
/// Longest query.
const MAX_QUERY_BYTES: usize = 16 << 10;
/// Most path segments.
const MAX_SEGMENTS: usize = 64;
/// Most query parameters.
const MAX_PARAMETERS: usize = 256;

/// Characters escaped in a path segment: all but `pchar` of RFC 3986 section 3.3.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');
/// Characters escaped in a query parameter: all but the unreserved ones and those common in names and values.
const PARAMETER: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b',')
    .remove(b':')
    .remove(b'@')
    .remove(b'/')
    .remove(b'[')
    .remove(b']');

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_text(target: &str) -> Result<Target, Unclear> {
        read(&target.parse().unwrap())
    }

    #[test]
    fn a_plain_target_is_read_and_written_again() {
        let target = read_text("/api/v1/customers/%e7%8e%8b%20x?fields=id,name&q=a%26b+c&flag").unwrap();
        assert_eq!(target.segments, ["api", "v1", "customers", "王 x"]);
        assert_eq!(target.path, "/api/v1/customers/%E7%8E%8B%20x");
        let query: Vec<_> = target.query.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(query, [("fields", "id,name"), ("q", "a&b c"), ("flag", "")]);
        assert_eq!(write_query(&target.query), "fields=id,name&q=a%26b%20c&flag=");
    }

    /// threats.md P01-P05, P10, P12.
    #[test]
    fn what_two_readers_could_take_for_two_things_is_refused() {
        for target in [
            "/a/../b",
            "/a/./b",
            "/a/..",
            "/a/%2e%2e/b",
            "/a/%2E./b",
            "/a/.%2e",
            "/...",
            "/a/..%20",
            "/a/%20.",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a%5Cb",
            "/a//b",
            "//a",
            "/a//",
            "/a;x=1/b",
            "/a%3bx",
            "/a;",
            "/a/..;/b",
            "/a%00",
            "/a%0ab",
            "/a%7f",
            "/a%3fb",
            "/a%23b",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%ff",
            "/a%c0%af",
            "/a%252e%252e",
            "/a%252f",
            "/a%e2%80%8b",
            "/a%ef%bb%bf",
            "/a?x=1;y=2",
            "/a?x=(1);y=2",
            "/a?x=(1&y=2;z)",
            "/a?x=)(1);y=2",
            "/a?x=%ff",
            "/a?x=%0a",
            "/a?=1",
            "/a?%00=1",
            "/a?x=%",
            "*",
        ] {
            assert!(read_text(target).is_err(), "{target} gave {:?}", read_text(target));
        }
    }

    #[test]
    fn harmless_odd_targets_pass() {
        for target in [
            "/",
            "/a/",
            "/a.json",
            "/.well-known/x",
            "/a%20b",
            "/100%25",
            "/a:b@c",
            "/a?x=a%252fb",
            "/a?&&x=1&",
            "/a?x=y(a;b)",
        ] {
            assert!(read_text(target).is_ok(), "{target}");
        }
        assert_eq!(read_text("/a/").unwrap().segments, ["a", ""]);
    }

    #[test]
    fn every_bound_is_kept() {
        assert!(read_text(&format!("/{}", "a".repeat(MAX_PATH_BYTES))).is_err());
        assert!(read_text(&"/a".repeat(MAX_SEGMENTS + 1)).is_err());
        assert!(read_text(&format!("/a?{}", "x=1&".repeat(MAX_PARAMETERS + 1))).is_err());
        assert!(read_text(&format!("/a?x={}", "a".repeat(MAX_QUERY_BYTES))).is_err());
    }

    proptest! {
        /// What was written again reads as the same target: judged and sent are one.
        #[test]
        fn writing_and_reading_again_changes_nothing(text in "[ -~]{0,40}") {
            if let Ok(uri) = format!("/{text}").parse::<http::Uri>()
                && let Ok(target) = read(&uri)
            {
                    let again = format!("{}?{}", target.path, write_query(&target.query));
                    let again = read(&again.parse().unwrap()).unwrap();
                    prop_assert_eq!(&again.segments, &target.segments);
                    prop_assert_eq!(&again.query, &target.query);
                    prop_assert_eq!(&again.path, &target.path);
            }
        }
    }
}
