//! The first stage's result for what lies ahead in the slice: the places of structural characters and opening quotes in
//! a window that holds nothing but valid UTF-8 and well-formed strings.

use super::super::scan::{Tier, prefetch, scan};
use super::lexer::{is_blank, is_scalar};

/// Most bytes that are scanned at once: they and their index fit in the first-level cache together.
pub(crate) const WINDOW_BYTES: usize = 16 << 10;
/// What is asked for before a scan, where the slice is new; and how much the processor fetches at once.
const HEAD_BYTES: usize = 2 << 10;
const LINE_BYTES: usize = 64;
/// Places that a member takes, with what stands behind it.
const MEMBER_PLACES: usize = 4;
/// Fewer bytes are not worth a scan.
const LEAST_BYTES: usize = 64;
/// Longest run of blanks that is kept in containers that are filtered; the rest of a longer run goes.
pub(crate) const BLANKS_KEPT: usize = 1024;

/// The places of structural characters and opening quotes ahead.
#[derive(Debug)]
pub(crate) struct Ahead {
    tier: Tier,
    /// Places in the slice.
    index: Vec<u32>,
    /// The first place that has not been used.
    pub(crate) cursor: usize,
    /// The place of a member that is not plain.
    pub(crate) stuck: Option<usize>,
    /// What part of the slice was scanned.
    from: usize,
    to: usize,
}

impl Default for Ahead {
    fn default() -> Self {
        Self { tier: Tier::best(), index: Vec::new(), cursor: 0, stuck: None, from: 0, to: 0 }
    }
}

impl Ahead {
    /// Another slice comes.
    pub(crate) fn forget(&mut self) {
        (self.from, self.to, self.stuck) = (0, 0, None);
    }

    #[inline]
    pub(crate) fn place(&self, cursor: usize) -> Option<usize> {
        Some(self.from + *self.index.get(cursor)? as usize)
    }

    /// Makes the index reach `pos`; `false`: too little is left.
    #[inline]
    pub(crate) fn aim(&mut self, pos: usize, end: usize, slice: &[u8]) -> bool {
        if pos < self.from || pos >= self.to {
            if end.saturating_sub(pos) < LEAST_BYTES {
                return false;
            }
            self.scan(pos, slice);
        }
        let at = (pos - self.from) as u32;
        let aims = |place: Option<&u32>| place.is_some_and(|place| *place >= at);
        let (this, before) = (self.index.get(self.cursor), self.index.get(self.cursor.wrapping_sub(1)));
        if !aims(this) || aims(before) {
            self.cursor = self.index.partition_point(|place| *place < at);
        }
        true
    }

    /// Scans anew from `pos`, if the index has run out there before the slice; `false`: that would not help.
    pub(crate) fn go_on(&mut self, pos: usize, end: usize, slice: &[u8]) -> bool {
        let ran_out = self.cursor + MEMBER_PLACES > self.index.len();
        // Where little was used up, another scan would find little more: a long run of blanks would be scanned again
        // for every blank.
        let more = ran_out && pos >= self.from + WINDOW_BYTES / 4 && self.to < end;
        if more {
            self.scan(pos, slice);
        }
        more
    }

    fn scan(&mut self, pos: usize, slice: &[u8]) {
        let window = slice.get(pos..slice.len().min(pos + WINDOW_BYTES)).unwrap_or_default();
        for line in (0..HEAD_BYTES).step_by(LINE_BYTES) {
            prefetch(window, line);
        }
        (self.stuck, self.cursor) = (None, 0);
        self.index.clear();
        let clean = scan(window, self.tier, &mut self.index).clean_to;
        let clean = window.get(..clean).unwrap_or_default();
        let whole = clean.get(..clean.len() - cut_character(clean)).unwrap_or_default();
        let valid = match simdutf8::basic::from_utf8(whole) {
            Ok(_) => whole.len(),
            Err(_) => simdutf8::compat::from_utf8(whole).map_or_else(|error| error.valid_up_to(), str::len),
        };
        while self.index.pop_if(|place| *place as usize >= valid).is_some() {}
        (self.from, self.to) = (pos, pos + valid);
    }
}

/// How many bytes at the end belong to a character that is not whole.
fn cut_character(bytes: &[u8]) -> usize {
    for (back, byte) in bytes.iter().rev().take(3).enumerate() {
        let length = match byte {
            0x80..=0xBF => continue,
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
            _ => 1,
        };
        return if length > back + 1 { back + 1 } else { 0 };
    }
    0
}

/// The index over the part of the slice that may be read, for looking ahead without changing anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'s> {
    /// The slice as far as it may be read.
    text: &'s [u8],
    index: &'s [u32],
    /// Where the index starts in the slice.
    from: usize,
    /// A line feed ends a text.
    lines: bool,
    number_bytes: usize,
}

/// A value that lies in the slice whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// The structural character behind it.
    pub(crate) stop: usize,
    /// Where that is in the index.
    pub(crate) cursor: usize,
}

impl<'s> View<'s> {
    /// `text` ends where reading has to.
    pub(crate) fn new(ahead: &'s Ahead, text: &'s [u8], lines: bool, number_bytes: usize) -> Self {
        Self { text, index: &ahead.index, from: ahead.from, lines, number_bytes }
    }

    #[inline(always)]
    pub(crate) fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or_default()
    }

    #[inline(always)]
    pub(crate) fn text(&self, from: usize, to: usize) -> &'s [u8] {
        self.text.get(from..to).unwrap_or_default()
    }

    /// The 32 bytes from `at` on.
    #[inline(always)]
    pub(crate) fn chunk(&self, at: usize) -> Option<&'s [u8; 32]> {
        self.text.get(at..)?.first_chunk()
    }

    /// Like [`Self::chunk`], with zeros behind the end.
    #[cold]
    pub(crate) fn last_chunk(&self, at: usize) -> [u8; 32] {
        let mut chunk = [0; 32];
        chunk.iter_mut().zip(self.text.get(at..).unwrap_or_default()).for_each(|(to, from)| *to = *from);
        chunk
    }

    /// What the places of the index are counted from.
    #[inline(always)]
    pub(crate) fn base(&self) -> usize {
        self.from
    }

    /// The index from a place on.
    #[inline(always)]
    pub(crate) fn rest(&self, cursor: usize) -> &'s [u32] {
        self.index.get(cursor..).unwrap_or_default()
    }

    /// The number of the place where this rest begins.
    #[inline(always)]
    pub(crate) fn cursor(&self, rest: &[u32]) -> usize {
        self.index.len() - rest.len()
    }

    /// A place by its number.
    #[inline(always)]
    pub(crate) fn place(&self, cursor: usize) -> Option<usize> {
        let place = self.from + *self.index.get(cursor)? as usize;
        (place < self.text.len()).then_some(place)
    }

    /// Four places in a row.
    #[inline(always)]
    pub(crate) fn places(&self, cursor: usize) -> Option<[usize; 4]> {
        let [a, b, c, d]: [u32; 4] = *self.index.get(cursor..)?.first_chunk()?;
        let last = self.from + d as usize;
        let places = [self.from + a as usize, self.from + b as usize, self.from + c as usize, last];
        (last < self.text.len()).then_some(places)
    }

    #[inline(always)]
    pub(crate) fn is_blank(&self, byte: u8) -> bool {
        is_blank(byte) && (byte != b'\n' || !self.lines)
    }

    /// Whether there are only blanks, and not too many with `before`, between two places.
    #[inline(always)]
    pub(crate) fn only_blanks(&self, before: usize, from: usize, to: usize) -> bool {
        from == to
            || (before + to.saturating_sub(from) <= BLANKS_KEPT
                && self.text.get(from..to).is_some_and(|gap| gap.iter().all(|byte| self.is_blank(*byte))))
    }

    /// The first byte at or after `from` that is no blank.
    #[inline(always)]
    pub(crate) fn past_blanks(&self, mut from: usize) -> usize {
        while self.text.get(from).is_some_and(|byte| self.is_blank(*byte)) {
            from += 1;
        }
        from
    }

    /// Where what stands before the blanks in front of `stop` ends.
    #[inline(always)]
    pub(crate) fn before_blanks(&self, from: usize, mut stop: usize) -> usize {
        while stop > from && self.text.get(stop - 1).is_some_and(|byte| self.is_blank(*byte)) {
            stop -= 1;
        }
        stop
    }

    /// The member name whose opening quote is at `quote`, raw and without quotes, and where its colon is, if it is whole.
    pub(crate) fn name(&self, quote: usize, cursor: usize) -> Option<(&'s [u8], usize)> {
        let colon = self.place(cursor + 1)?;
        let end = self.before_blanks(quote + 1, colon);
        let raw = self.text.get(quote + 1..end)?.strip_suffix(b"\"")?;
        (self.byte(colon) == b':' && colon - end <= BLANKS_KEPT).then_some((raw, colon))
    }

    /// The scalar at `from`, if it is whole and well-formed; `cursor` is the first place at or behind it.
    #[inline]
    pub(crate) fn scalar(&self, from: usize, cursor: usize) -> Option<Whole> {
        let first = self.byte(from);
        let text = first == b'"';
        let cursor = cursor + usize::from(text);
        let stop = self.place(cursor)?;
        let to = self.before_blanks(from, stop);
        let good = if text {
            to > from + 1 && self.byte(to - 1) == b'"' && self.place(cursor - 1) == Some(from)
        } else {
            self.is_bare_scalar(from, to)
        };
        (good && stop - to <= BLANKS_KEPT).then_some(Whole { from, to, stop, cursor })
    }

    /// Whether a number, `true`, `false` or `null` stands there.
    #[inline(always)]
    pub(crate) fn is_bare_scalar(&self, from: usize, to: usize) -> bool {
        let length = to.saturating_sub(from);
        let head = self.text.get(from..).and_then(|text| text.first_chunk::<8>());
        let short = head.is_some_and(|head| is_short_integer(u64::from_le_bytes(*head), length));
        (short && length <= self.number_bytes) || self.is_other_scalar(from, to)
    }

    #[inline(never)]
    fn is_other_scalar(&self, from: usize, to: usize) -> bool {
        let text = self.text.get(from..to).unwrap_or_default();
        if text.len() > self.number_bytes {
            return false;
        }
        if text.first().is_some_and(u8::is_ascii_lowercase) {
            return matches!(text, b"true" | b"false" | b"null");
        }
        let head = self.text.get(from..).and_then(|text| text.first_chunk::<16>());
        head.is_some_and(|head| is_short_number(u128::from_le_bytes(*head), text.len())) || is_scalar(text)
    }
}

/// Whether the first `length` bytes of the word (up to all eight) are digits, and no zero leads.
#[inline(always)]
fn is_short_integer(word: u64, length: usize) -> bool {
    if length == 0 || length > 8 {
        return false;
    }
    let shift = 64 - 8 * length;
    let digits = (word << shift) ^ (0x3030_3030_3030_3030 << shift);
    let over_nine = (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080;
    over_nine == 0 && (length == 1 || word & 0xFF != u64::from(b'0'))
}

/// Whether the first `length` of the sixteen bytes are a number without sign and exponent.
#[inline(always)]
fn is_short_number(bytes: u128, length: usize) -> bool {
    const ZEROS: u128 = 0x3030_3030_3030_3030_3030_3030_3030_3030;
    const OVER_NINE: u128 = 0x7676_7676_7676_7676_7676_7676_7676_7676;
    const HIGH: u128 = 0x8080_8080_8080_8080_8080_8080_8080_8080;
    if length == 0 || length > 16 {
        return false;
    }
    // The bytes that count are moved to the top, zeros below them read as digits.
    let shift = 128 - 8 * length;
    let digits = (bytes ^ ZEROS) << shift;
    // What carries over to the next byte is marked itself, so a single mark is always true.
    let others = (digits.wrapping_add(OVER_NINE) | digits) & HIGH;
    let second = (bytes >> 8) as u8;
    let leads = bytes as u8 != b'0' || length == 1;
    if others == 0 {
        return leads;
    }
    let place = (others.trailing_zeros() as usize - shift) / 8;
    others & (others - 1) == 0
        && (bytes >> (8 * place)) as u8 == b'.'
        && place > 0
        && place + 1 < length
        && (leads || second == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_are_those_of_the_grammar() {
        let alphabet = b"0123456789.-./:;ae \x00\xff\xb0\xae";
        let mut dice = 0x5EED_u64;
        let mut found = 0;
        for round in 0..400_000usize {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            let many = if round % 4 == 0 { alphabet.len() } else { 11 };
            let mut text: Vec<u8> = (0..16).map(|i| alphabet[(dice >> (i * 4)) as usize % many]).collect();
            if round % 3 == 0 {
                text.iter_mut().skip(1).filter(|byte| **byte == b'.').skip(1).for_each(|byte| *byte = b'7');
            }
            let length = (dice >> 40) as usize % 18;
            let bytes = u128::from_le_bytes(text[..16].try_into().expect("sixteen"));
            let read = text.get(..length).unwrap_or_default();
            let signed = read.iter().any(|byte| matches!(byte, b'-' | b'e'));
            let good = is_scalar(read) && !signed;
            found += usize::from(good);
            assert_eq!(is_short_number(bytes, length), good, "{text:?} {length}");
        }
        assert!(found > 10_000, "{found}");
        for (text, length, good) in [
            (b"1234567812345678", 16, true),
            (b"0,\"a\":12        ", 1, true),
            (b"0134567812345678", 16, false),
            (b"0.4567812345678e", 15, true),
            (b"00.5            ", 4, false),
            (b"1.              ", 2, false),
            (b".1              ", 2, false),
            (b"1.2.3           ", 5, false),
            (b"10.25           ", 5, true),
        ] {
            assert_eq!(is_short_number(u128::from_le_bytes(*text), length), good, "{text:?}");
        }
    }
}
