//! The grammar of RFC 8259, one byte at a time, resumable at every byte. The small machines inside tokens: strings
//! with their escapes and UTF-8, numbers, words.

use super::super::plan::CutReason;

/// What may come next, between tokens, or the token that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lex {
    /// The first bytes, where a byte order mark is taken off: so many of its bytes have come.
    Start(u8),
    /// A value.
    Value,
    /// A value or `]`.
    ValueOrEnd,
    /// A member name.
    Key,
    /// A member name or `}`.
    KeyOrEnd,
    /// `:`.
    Colon,
    /// `,` or the end of the container.
    After,
    /// Nothing: the text is over.
    Done,
    /// In a member name.
    InKey,
    /// In a text.
    InText,
    /// In a number.
    InNumber,
    /// In `true`, `false` or `null`: the bytes still to come.
    InWord(&'static [u8]),
}

/// Inside a string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StringState {
    escape: Escape,
    utf8: Utf8,
    /// An escape occurred.
    pub(crate) escaped: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    Backslash,
    /// This many hexadecimal digits are still to come.
    Hex(u8),
}

/// Inside a UTF-8 sequence (RFC 3629 section 4): how many bytes are to come, and the range of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Utf8 {
    more: u8,
    low: u8,
    high: u8,
}

impl Default for Utf8 {
    fn default() -> Self {
        Self { more: 0, low: 0x80, high: 0xBF }
    }
}

impl StringState {
    /// Takes a byte of a string; `true`: it was the closing quote.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> Result<bool, CutReason> {
        if self.utf8.more > 0 {
            if byte < self.utf8.low || byte > self.utf8.high {
                return Err(CutReason::Encoding);
            }
            self.utf8 = Utf8 { more: self.utf8.more - 1, ..Utf8::default() };
            return Ok(false);
        }
        match (self.escape, byte) {
            (Escape::Hex(digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.escape = if digits > 1 { Escape::Hex(digits - 1) } else { Escape::None };
            }
            (Escape::Backslash, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.escape = Escape::None
            }
            (Escape::Backslash, b'u') => self.escape = Escape::Hex(4),
            (Escape::Hex(_) | Escape::Backslash, _) | (Escape::None, 0..0x20) => {
                return Err(CutReason::Malformed);
            }
            (Escape::None, b'"') => return Ok(true),
            (Escape::None, b'\\') => {
                self.escape = Escape::Backslash;
                self.escaped = true;
            }
            (Escape::None, 0x20..0x80) => {}
            (Escape::None, lead) => self.utf8 = sequence(lead).ok_or(CutReason::Encoding)?,
        }
        Ok(false)
    }

    /// Whether plain bytes may be skipped over.
    pub(crate) fn is_plain(&self) -> bool {
        self.escape == Escape::None && self.utf8.more == 0
    }
}

fn sequence(lead: u8) -> Option<Utf8> {
    let (more, low, high) = match lead {
        0xC2..=0xDF => (1, 0x80, 0xBF),
        0xE0 => (2, 0xA0, 0xBF),
        0xE1..=0xEC | 0xEE..=0xEF => (2, 0x80, 0xBF),
        0xED => (2, 0x80, 0x9F),
        0xF0 => (3, 0x90, 0xBF),
        0xF1..=0xF3 => (3, 0x80, 0xBF),
        0xF4 => (3, 0x80, 0x8F),
        _ => return None,
    };
    Some(Utf8 { more, low, high })
}

/// Inside a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum NumberState {
    /// Nothing or the sign.
    #[default]
    Sign,
    Zero,
    Int,
    Dot,
    Fraction,
    E,
    ExponentSign,
    Exponent,
}

impl NumberState {
    /// The state after a byte; `None`: the byte is not part of the number.
    pub(crate) fn take(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Sign, b'0') => Self::Zero,
            (Self::Sign, b'1'..=b'9') | (Self::Int, b'0'..=b'9') => Self::Int,
            (Self::Zero | Self::Int, b'.') => Self::Dot,
            (Self::Dot | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Int | Self::Fraction, b'e' | b'E') => Self::E,
            (Self::E, b'+' | b'-') => Self::ExponentSign,
            (Self::E | Self::ExponentSign | Self::Exponent, b'0'..=b'9') => Self::Exponent,
            _ => return None,
        })
    }

    /// Whether a number may end here.
    pub(crate) fn is_whole(self) -> bool {
        matches!(self, Self::Zero | Self::Int | Self::Fraction | Self::Exponent)
    }
}

/// How many bytes at the start of a string's rest are ASCII and mean nothing but themselves.
pub(crate) fn plain_length(rest: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // Exact for the lowest byte that has it; a borrow may mark bytes above that one.
    let below = |word: u64, least: u64| word.wrapping_sub(ONES * least) & !word;
    let (words, tail) = rest.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let special = (quote | backslash | below(word, 0x20) | word) & HIGH;
        if special != 0 {
            return number * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let plain = |byte: &u8| matches!(byte, 0x20..0x80) && !matches!(byte, b'"' | b'\\');
    rest.len() - tail.len() + tail.iter().take_while(|byte| plain(byte)).count()
}

/// How many bytes at the start of a string's rest are whole characters that mean nothing but themselves.
pub(crate) fn plain_characters(rest: &[u8]) -> usize {
    let ascii = plain_length(rest);
    if rest.get(ascii).is_none_or(u8::is_ascii) {
        return ascii;
    }
    let rest = rest.get(ascii..).unwrap_or_default();
    let run = rest.get(..memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len())).unwrap_or_default();
    let run = run.get(..run.iter().position(|byte| *byte < 0x20).unwrap_or(run.len())).unwrap_or_default();
    ascii + simdutf8::compat::from_utf8(run).map_or_else(|error| error.valid_up_to(), str::len)
}

pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// A number, `true`, `false` or `null`, whole.
#[inline]
pub(crate) fn is_scalar(text: &[u8]) -> bool {
    match text.first() {
        Some(b't') => text == b"true",
        Some(b'f') => text == b"false",
        Some(b'n') => text == b"null",
        Some(_) => is_number(text),
        None => false,
    }
}

/// A whole number (RFC 8259 section 6); says the same as [`NumberState`] byte by byte.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text.first() == Some(&b'0')) {
        return false;
    }
    let mut rest = text.get(whole..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = fraction.get(length..).unwrap_or_default();
    }
    match rest {
        [] => true,
        [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] => {
            !exponent.is_empty() && digits(exponent) == exponent.len()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_ends_where_a_byte_means_more_than_itself() {
        for special in 0..=255u8 {
            let plain = matches!(special, 0x20..0x80) && !matches!(special, b'"' | b'\\');
            for before in 0..20usize {
                for after in [&b""[..], b"\"", b"\x1f!\"", b"abcdefghij", b"\x80\x00\x21\x5d\x23"] {
                    let mut text = b"a!#[] ~\x7f".repeat(3)[..before].to_vec();
                    text.push(special);
                    text.extend_from_slice(after);
                    let one_by_one = text
                        .iter()
                        .take_while(|byte| matches!(byte, 0x20..0x80) && !matches!(byte, b'"' | b'\\'));
                    assert_eq!(plain_length(&text), one_by_one.count(), "{text:?}");
                    assert!(plain || plain_length(&text) == before);
                }
            }
        }
    }

    #[test]
    fn whole_numbers_are_those_that_the_byte_machine_reads() {
        let alphabet = b"019-+.eEa";
        for length in 0..=6u32 {
            for number in 0..alphabet.len().pow(length) {
                let text: Vec<u8> =
                    (0..length).map(|i| alphabet[number / alphabet.len().pow(i) % alphabet.len()]).collect();
                // The sign is taken where a number begins.
                let digits = text.strip_prefix(b"-").unwrap_or(&text);
                let state = digits.iter().try_fold(NumberState::default(), |state, byte| state.take(*byte));
                assert_eq!(is_number(&text), state.is_some_and(NumberState::is_whole), "{text:?}");
            }
        }
    }

    fn reads(text: &[u8]) -> bool {
        let mut state = StringState::default();
        let all: Result<Vec<bool>, _> = text.iter().map(|byte| state.take(*byte)).collect();
        all.is_ok_and(|ends| ends.iter().rposition(|end| *end) == Some(text.len() - 1))
    }

    #[test]
    fn strings_follow_the_grammar() {
        for good in ["\"", "a\"", "\\u00e9\\n\\/\"", "王😀\"", "\u{7f}\""] {
            assert!(reads(good.as_bytes()), "{good}");
        }
        for bad in [
            &b"\x1f\""[..],
            b"\\x\"",
            b"\\u12g4\"",
            b"\xc0\xaf\"",
            b"\xed\xa0\x80\"",
            b"\xf4\x90\x80\x80\"",
            b"\xff\"",
            b"\xe7\"",
            b"a",
        ] {
            assert!(!reads(bad), "{bad:?}");
        }
    }

    #[test]
    fn utf8_agrees_with_the_standard_library_for_all_two_byte_and_many_longer_sequences() {
        for first in 0x80..=0xFFu8 {
            for second in 0x20..=0xFFu8 {
                for tail in [&b""[..], b"\x80", b"\x80\x80", b"\xbf\xbf", b"a"] {
                    let mut text = vec![first, second];
                    text.extend_from_slice(tail);
                    text.retain(|b| !matches!(b, b'"' | b'\\'));
                    let valid = std::str::from_utf8(&text).is_ok();
                    text.push(b'"');
                    assert_eq!(reads(&text), valid, "{text:?}");
                }
            }
        }
    }
}
