//! JSON texts: decoding what a rule must read, writing what a mask gives.

use super::super::mask::{Mask, Masked, Scalar};

/// A raw string without its quotes, decoded (RFC 8259 section 7). `None` for a lone surrogate. The input has
/// passed the lexer, so its escapes are well-formed.
pub(crate) fn decode(raw: &[u8], into: &mut Vec<u8>) -> Option<()> {
    into.clear();
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (before, escape) = rest.split_at_checked(at)?;
        into.extend_from_slice(before);
        let (decoded, used) = escaped(escape)?;
        into.extend_from_slice(decoded.encode_utf8(&mut [0; 4]).as_bytes());
        rest = escape.get(used..)?;
    }
    into.extend_from_slice(rest);
    Some(())
}

/// Like [`decode`], as text.
pub(crate) fn decode_text(raw: &[u8]) -> Option<String> {
    let mut decoded = Vec::with_capacity(raw.len());
    decode(raw, &mut decoded)?;
    String::from_utf8(decoded).ok()
}

/// One escape: the character and the number of bytes it took.
fn escaped(escape: &[u8]) -> Option<(char, usize)> {
    Some(match escape.get(1)? {
        b'b' => ('\u{8}', 2),
        b'f' => ('\u{c}', 2),
        b'n' => ('\n', 2),
        b'r' => ('\r', 2),
        b't' => ('\t', 2),
        b'u' => {
            let high = unit(escape.get(2..6)?)?;
            match high {
                0xD800..=0xDBFF => {
                    if escape.get(6..8)? != b"\\u" {
                        return None;
                    }
                    let low = unit(escape.get(8..12)?)?;
                    let mut pair = char::decode_utf16([high, low]);
                    (pair.next()?.ok()?, 12)
                }
                _ => (char::from_u32(u32::from(high))?, 6),
            }
        }
        other => (char::from(*other), 2),
    })
}

fn unit(digits: &[u8]) -> Option<u16> {
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Writes a text as a JSON string.
pub(crate) fn encode(text: &str, into: &mut Vec<u8>) {
    into.push(b'"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => b"",
            _ => continue,
        };
        into.extend_from_slice(text.as_bytes().get(from..at).unwrap_or_default());
        if short.is_empty() {
            into.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
        } else {
            into.extend_from_slice(short);
        }
        from = at + 1;
    }
    into.extend_from_slice(text.as_bytes().get(from..).unwrap_or_default());
    into.push(b'"');
}

/// What a mask makes of a scalar, as JSON. What cannot be read becomes `null`.
pub(crate) fn mask(mask: &Mask, raw: &[u8], into: &mut Vec<u8>) {
    let masked = match raw.first() {
        Some(b'"') => masked_text(mask, raw.get(1..raw.len() - 1).unwrap_or_default()),
        Some(b't') => mask.apply(Scalar::Bool(true)),
        Some(b'f') => mask.apply(Scalar::Bool(false)),
        Some(b'n') => mask.apply(Scalar::Null),
        _ => std::str::from_utf8(raw).map_or(Masked::Null, |number| mask.apply(Scalar::Number(number))),
    };
    match masked {
        Masked::Null => into.extend_from_slice(b"null"),
        Masked::Bool(value) => into.extend_from_slice(if value { b"true" } else { b"false" }),
        Masked::Number(number) => into.extend_from_slice(number.as_bytes()),
        Masked::Text(text) => encode(&text, into),
    }
}

fn masked_text(mask: &Mask, raw: &[u8]) -> Masked {
    if memchr::memchr(b'\\', raw).is_none() {
        return std::str::from_utf8(raw).map_or(Masked::Null, |text| mask.apply(Scalar::Text(text)));
    }
    decode_text(raw).map_or(Masked::Null, |text| mask.apply(Scalar::Text(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_every_escape_and_refuses_lone_surrogates() {
        let raw = br#"a\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00\u0000z"#;
        assert_eq!(decode_text(raw).as_deref(), Some("a\"\\/\u{8}\u{c}\n\r\tA\u{e9}\u{1f600}\0z"));
        for lone in [&br"\ud800"[..], br"\udc00", br"\ud800x", br"\ud800\u0041", br"\ud800\n"] {
            assert_eq!(decode_text(lone), None);
        }
    }

    #[test]
    fn encodes_what_must_be_escaped() {
        let mut out = Vec::new();
        encode("a\"b\\c\n\u{1}王\u{7f}", &mut out);
        assert_eq!(String::from_utf8_lossy(&out), "\"a\\\"b\\\\c\\n\\u0001王\u{7f}\"");
    }
}
