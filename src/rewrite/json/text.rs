//! JSON texts: decoding what a rule must read, writing what a mask gives.

use std::ops::Range;

use super::super::mask::{Form, Mask, Scalar};

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
pub(crate) fn encode(text: &str, into: &mut String) {
    let from = into.len();
    into.push('"');
    into.push_str(text);
    close(from, into);
}

/// Makes the text behind the quote at `from` the rest of a JSON string.
fn close(from: usize, into: &mut String) {
    let special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
    let bytes = into.as_bytes().get(from + 1..).unwrap_or_default();
    // Counted instead of found: that takes many bytes at once.
    if bytes.iter().filter(|byte| special(byte)).count() > 0 {
        let text = into.split_off(from + 1);
        let mut rest = text.as_str();
        while let Some(at) = rest.bytes().position(|byte| special(&byte)) {
            into.push_str(rest.get(..at).unwrap_or_default());
            escape(rest.as_bytes().get(at).copied().unwrap_or_default(), into);
            rest = rest.get(at + 1..).unwrap_or_default();
        }
        into.push_str(rest);
    }
    into.push('"');
}

/// Writes the escape of a byte that has to be escaped.
fn escape(byte: u8, into: &mut String) {
    into.push('\\');
    match byte {
        b'"' | b'\\' => into.push(char::from(byte)),
        b'\n' => into.push('n'),
        b'\r' => into.push('r'),
        b'\t' => into.push('t'),
        control => {
            into.push_str("u00");
            for digit in [control >> 4, control & 15] {
                into.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
    }
}

/// What a mask makes of a scalar, as JSON. What cannot be read becomes `null`.
pub(crate) fn mask(mask: &Mask, raw: &[u8], into: &mut String) {
    let from = into.len();
    into.push('"');
    let form = match raw.first() {
        Some(b'"') => masked_text(mask, raw.get(1..raw.len() - 1).unwrap_or_default(), into),
        Some(b't') => mask.write(Scalar::Bool(true), into),
        Some(b'f') => mask.write(Scalar::Bool(false), into),
        Some(b'n') => mask.write(Scalar::Null, into),
        _ => std::str::from_utf8(raw).map_or(Form::Null, |number| mask.write(Scalar::Number(number), into)),
    };
    match form {
        Form::Text => close(from, into),
        Form::Pieces => into.push('"'),
        Form::Bare => drop(into.remove(from)),
        Form::Null => {
            into.truncate(from);
            into.push_str("null");
        }
    }
}

/// What a mask hides of a text of plain ASCII, and what it writes instead; the rest of the text passes as it stands.
#[inline]
pub(crate) fn covered<'m>(mask: &'m Mask, raw: &[u8]) -> Option<(Range<usize>, &'m [u8])> {
    let text = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let (hidden, fill) = mask.covers(text).filter(|_| is_unescaped_ascii(text))?;
    Some((hidden.start + 1..hidden.end + 1, fill))
}

/// Whether there is no backslash and nothing beyond ASCII.
#[inline]
fn is_unescaped_ascii(text: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (words, tail) = text.as_chunks::<8>();
    let special = |word: u64| {
        let backslash = word ^ (ONES * u64::from(b'\\'));
        (word | (backslash.wrapping_sub(ONES) & !backslash)) & HIGH
    };
    words.iter().fold(0, |found, word| found | special(u64::from_le_bytes(*word))) == 0
        && tail.iter().all(|byte| byte.is_ascii() && *byte != b'\\')
}

fn masked_text(mask: &Mask, raw: &[u8], into: &mut String) -> Form {
    if memchr::memchr(b'\\', raw).is_none() {
        return std::str::from_utf8(raw).map_or(Form::Null, |text| mask.write(Scalar::Text(text), into));
    }
    let form = decode_text(raw).map_or(Form::Null, |text| mask.write(Scalar::Text(&text), into));
    // What was escaped may have to be again.
    if form == Form::Pieces { Form::Text } else { form }
}

#[cfg(test)]
mod tests {
    use super::super::super::mask::{Keys, MaskSpec, Masks};
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
        let mut out = String::new();
        encode("a\"b\\c\n\u{1}王\u{7f}", &mut out);
        assert_eq!(out, "\"a\\\"b\\\\c\\n\\u0001王\u{7f}\"");
    }

    #[test]
    fn what_covers_a_text_gives_what_the_mask_writes() {
        let keep = |first, last, fill| MaskSpec::Keep { first, last, fill };
        let specs = [
            keep(3, 4, '*'),
            keep(0, 0, '#'),
            keep(1, 90, '*'),
            keep(2, 0, '"'),
            keep(2, 1, '\u{738b}'),
            MaskSpec::Email { keep_first: 0 },
            MaskSpec::Email { keep_first: 1 },
            MaskSpec::Email { keep_first: 4 },
            MaskSpec::Stars,
        ];
        let names: Vec<String> = (0..specs.len()).map(|number| format!("m{number}")).collect();
        let masks = Masks::build(names.iter().map(String::as_str).zip(&specs), &Keys::default()).unwrap();
        let (mut state, mut covers) = (0x5EED_u64, 0);
        let mut next = |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % n as u64).unwrap()
        };
        let signs: Vec<char> = (' '..='~').filter(|c| *c != '"').chain(['\u{738b}', '\u{7f}']).collect();
        for round in 0..60_000 {
            let common: Vec<char> = "ab1.@-_".chars().collect();
            let alphabet = if round % 3 == 0 { &signs } else { &common };
            let most = if round % 50 == 0 { 300 } else { 24 };
            let inner: String = (0..next(most)).map(|_| alphabet[next(alphabet.len())]).collect();
            let raw = format!("\"{}\"", inner.replace('\\', "\\\\"));
            let name = &names[next(names.len())];
            let by = masks.get(name).unwrap();
            let mut written = String::new();
            mask(by, raw.as_bytes(), &mut written);
            if let Some((hidden, fill)) = covered(by, raw.as_bytes()) {
                let fill = std::str::from_utf8(fill).unwrap();
                let pieces =
                    [raw.get(..hidden.start), Some(fill), raw.get(hidden.end..)].map(Option::unwrap).concat();
                assert_eq!(pieces, written, "{:?} of {raw}", by.spec());
                covers += 1;
            }
        }
        assert!(covers > 30_000, "{covers}");
    }
}
