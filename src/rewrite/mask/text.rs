//! Text masks that look at one whole value: both ends, an e-mail address, a date.

use std::ops::Range;

use jiff::civil::Date;

use super::STARS;
use super::spec::DateUnit;

/// Both ends of a text, counted in characters (Unicode scalar values).
pub(super) struct Keep {
    first: usize,
    last: usize,
    fill: char,
    /// Many of the fill, if it is ASCII that JSON need not escape.
    many: Box<[u8]>,
}

/// The start of an address's local part, and its domain.
pub(super) struct Email {
    keep_first: usize,
}

impl Keep {
    pub(super) fn new(first: usize, last: usize, fill: char) -> Self {
        let plain = matches!(fill, ' '..='~') && !matches!(fill, '"' | '\\');
        let many = if plain { vec![fill as u8; MANY_FILLS].into_boxed_slice() } else { Box::default() };
        Self { first, last, fill, many }
    }

    /// What is hidden of so many ASCII characters, and the fill for it.
    #[inline]
    pub(super) fn covers(&self, count: usize) -> Option<(Range<usize>, &[u8])> {
        let hidden = self.hidden_of(count);
        Some((hidden.clone(), self.many.get(..hidden.len())?))
    }

    pub(super) fn write(&self, text: &str, into: &mut String) {
        let hidden = self.hidden(text);
        let byte = |index| {
            if text.is_ascii() {
                index
            } else {
                text.char_indices().nth(index).map_or(text.len(), |(at, _)| at)
            }
        };
        into.push_str(text.get(..byte(hidden.start)).unwrap_or_default());
        into.extend(std::iter::repeat_n(self.fill, hidden.len()));
        into.push_str(text.get(byte(hidden.end)..).unwrap_or_default());
    }

    /// Whether the fill stands in JSON as it is.
    pub(super) fn fills_plainly(&self) -> bool {
        self.fill >= ' ' && !matches!(self.fill, '"' | '\\')
    }

    /// All that is hidden is fill. The empty text is left as it is and so never stands for anything.
    pub(super) fn could_have_written(&self, text: &str) -> bool {
        let hidden = self.hidden(text);
        !hidden.is_empty() && text.chars().skip(hidden.start).take(hidden.len()).all(|c| c == self.fill)
    }

    pub(super) fn leaves_trace_in(&self, text: &str) -> bool {
        text.contains(self.fill)
    }

    fn hidden(&self, text: &str) -> Range<usize> {
        self.hidden_of(if text.is_ascii() { text.len() } else { text.chars().count() })
    }

    #[inline]
    fn hidden_of(&self, count: usize) -> Range<usize> {
        if count <= self.first.saturating_add(self.last) { 0..count } else { self.first..count - self.last }
    }
}

impl Email {
    pub(super) fn new(keep_first: usize) -> Self {
        Self { keep_first }
    }

    pub(super) fn write(&self, text: &str, into: &mut String) {
        let Some((local, domain)) = address(text) else { return into.push_str(STARS) };
        // Where the character behind the kept ones starts: there must be one.
        let kept = local.char_indices().nth(self.keep_first).map_or(0, |(at, _)| at);
        into.push_str(local.get(..kept).unwrap_or_default());
        into.push_str(STARS);
        into.push('@');
        into.push_str(domain);
    }

    /// What is hidden of an ASCII text.
    pub(super) fn covers(&self, ascii: &[u8]) -> Range<usize> {
        match ascii_address(ascii) {
            Some(at) => (if self.keep_first < at { self.keep_first } else { 0 })..at,
            None => 0..ascii.len(),
        }
    }

    pub(super) fn could_have_written(&self, text: &str) -> bool {
        if text == STARS {
            return true;
        }
        let Some((local, _)) = text.rsplit_once('@') else { return false };
        local.strip_suffix(STARS).is_some_and(|kept| {
            let kept = kept.chars().count();
            kept == 0 || kept == self.keep_first
        })
    }
}

/// The two parts of a text that is one plain address and nothing else: no quotes, no comment, no display name.
fn address(text: &str) -> Option<(&str, &str)> {
    let at = text.bytes().take(MAX_ADDRESS_BYTES).position(|byte| byte == b'@')?;
    let (local, domain) = (text.get(..at)?, text.get(at + 1..)?);
    let plain_local = |c: char| {
        let sign = matches!(
            c,
            '!' | '#'
                | '$'
                | '%'
                | '&'
                | '\''
                | '*'
                | '+'
                | '-'
                | '/'
                | '='
                | '?'
                | '^'
                | '_'
                | '`'
                | '{'
                | '|'
                | '}'
                | '~'
                | '.'
        );
        sign || c.is_alphanumeric()
    };
    // Labels are separated by dots, none is empty, and there are two at least.
    let (mut labels, mut empty) = (1, true);
    let plain_domain = |c: char| match c {
        '.' => {
            labels += 1;
            !std::mem::replace(&mut empty, true)
        }
        c => {
            empty = false;
            c == '-' || c.is_alphanumeric()
        }
    };
    let is_one = text.len() <= MAX_ADDRESS_BYTES
        && !local.is_empty()
        && local.chars().all(plain_local)
        && domain.chars().all(plain_domain)
        && labels > 1
        && !empty;
    is_one.then_some((local, domain))
}

/// Where the sign is in an ASCII text that is an address: as [`address`] says, a table look-up for each byte.
fn ascii_address(ascii: &[u8]) -> Option<usize> {
    let class = |byte: &u8| ADDRESS_BYTES.get(usize::from(*byte)).copied().unwrap_or_default();
    let at = ascii.iter().position(|byte| class(byte) & LOCAL == 0)?;
    let (sign, domain) = ascii.get(at..)?.split_first()?;
    if *sign != b'@' || at == 0 || ascii.len() > MAX_ADDRESS_BYTES {
        return None;
    }
    let (mut labels, mut empty) = (1, true);
    for byte in domain {
        let dot = *byte == b'.';
        if class(byte) & DOMAIN == 0 || (dot && empty) {
            return None;
        }
        labels += usize::from(dot);
        empty = dot;
    }
    (labels > 1 && !empty).then_some(at)
}

/// May stand before the sign, and behind it.
const LOCAL: u8 = 1;
const DOMAIN: u8 = 2;

/// ASCII characters of addresses.
#[expect(clippy::indexing_slicing, reason = "INVARIANT: below 128, and the compiler looks")]
const ADDRESS_BYTES: [u8; 128] = {
    let mut classes = [0; 128];
    let mut byte = 0u8;
    while byte < 128 {
        let both = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        let local = matches!(
            byte,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'/' | b'=' | b'?' | b'^'..=b'`' | b'{'..=b'~'
        );
        classes[byte as usize] = if both { LOCAL | DOMAIN } else { local as u8 };
        byte += 1;
    }
    classes
};

/// The year, or year and month, of an ISO 8601 date or date and time; also of what this mask has written.
pub(super) fn date(text: &str, unit: DateUnit) -> Option<String> {
    let (year, month) = year_and_month(text)?;
    Some(match unit {
        DateUnit::Year => format!("{year:04}"),
        DateUnit::Month => format!("{year:04}-{month:02}"),
    })
}

/// Whether a text is exactly what [`date`] writes.
pub(super) fn is_date(text: &str, unit: DateUnit) -> bool {
    match unit {
        DateUnit::Year => text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit()),
        DateUnit::Month => text.len() == 7 && date(text, unit).as_deref() == Some(text),
    }
}

fn year_and_month(text: &str) -> Option<(i16, i8)> {
    let field = |range: std::ops::Range<usize>| {
        let digits = text.get(range).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse::<i16>().ok()
    };
    let byte = |index: usize| text.as_bytes().get(index).copied();
    // Extended (2024-05-17), basic (20240517), or the month alone (2024-05).
    let (month, day, length) = match (byte(4)?, byte(7)) {
        (b'-', Some(b'-')) => (field(5..7)?, field(8..10)?, 10),
        (b'-', None) => (field(5..7)?, 1, 7),
        _ => (field(4..6)?, field(6..8)?, 8),
    };
    let time_follows = matches!(byte(length), Some(b'T' | b't' | b' '))
        && byte(length + 1).is_some_and(|byte| byte.is_ascii_digit())
        && text.len() <= MAX_DATE_BYTES;
    if text.len() != length && (length == 7 || !time_follows) {
        return None;
    }
    let date = Date::new(field(0..4)?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    Some((date.year(), date.month()))
}

/// The longest run of fills that is written at once.
const MANY_FILLS: usize = 64;

/// Longest address (RFC 5321 section 4.5.3.1).
const MAX_ADDRESS_BYTES: usize = 254;

/// Longest date and time with fraction, offset and zone name.
const MAX_DATE_BYTES: usize = 64;
