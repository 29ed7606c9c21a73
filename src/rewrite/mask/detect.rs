//! Masks inside free text: pieces are found, each is masked, what stands between stays.

use std::ops::Range;
use std::sync::Arc;

use super::spec::Detector;
use super::{Mask, Masked, STARS, Scalar, digits};

/// What is looked for, and the mask for what is found.
pub(super) struct Detection {
    detectors: Vec<Detector>,
    with: Arc<Mask>,
}

impl Detection {
    pub(super) fn new(detectors: &[Detector], with: Arc<Mask>) -> Self {
        Self { detectors: detectors.to_vec(), with }
    }

    pub(super) fn mask(&self, text: &str) -> String {
        let mut masked = String::with_capacity(text.len());
        let mut done = 0;
        for span in self.spans(text) {
            masked.push_str(text.get(done..span.start).unwrap_or_default());
            match self.with.apply(Scalar::Text(text.get(span.clone()).unwrap_or_default())) {
                Masked::Text(piece) => masked.push_str(&piece),
                Masked::Null | Masked::Number(_) | Masked::Bool(_) => masked.push_str(STARS),
            }
            done = span.end;
        }
        masked.push_str(text.get(done..).unwrap_or_default());
        masked
    }

    /// A text in which nothing was found passes as it is, and coming back it changes nothing.
    pub(super) fn could_have_written(&self, text: &str) -> bool {
        text.contains(STARS) || self.with.leaves_trace_in(text)
    }

    /// Fewer detectors reveal more; then what the inner mask reveals.
    pub(super) fn revealed(&self) -> u64 {
        let missing = u64::try_from(Detector::ALL.len().saturating_sub(self.detectors.len())).unwrap_or(0);
        let inner = self.with.strength();
        missing << 32 | u64::from(inner.kind) << 24 | inner.within.min((1 << 24) - 1)
    }

    /// The pieces found, in order, overlapping ones joined.
    fn spans(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        digits::find(text, &self.detectors, &mut found);
        if self.detectors.contains(&Detector::Email) {
            emails(text, &mut found);
        }
        if self.detectors.contains(&Detector::Iban) {
            ibans(text, &mut found);
        }
        found.sort_unstable_by_key(|span| span.start);
        let mut joined: Vec<Range<usize>> = Vec::with_capacity(found.len());
        for span in found {
            match joined.last_mut() {
                Some(last) if span.start < last.end => last.end = last.end.max(span.end),
                _ => joined.push(span),
            }
        }
        joined
    }
}

/// Addresses around every `@`: at most 64 characters before (the usual ones: `/` and the like separate), a domain with a dot behind.
fn emails(text: &str, found: &mut Vec<Range<usize>>) {
    for (at, sign) in text.char_indices().filter(|(_, c)| matches!(c, '@' | '＠')) {
        let (before, behind) =
            (text.get(..at).unwrap_or_default(), text.get(at + sign.len_utf8()..).unwrap_or_default());
        let local = before.bytes().rev().take(64).take_while(|byte| is_local(*byte)).count();
        let domain = behind.bytes().take(253).take_while(|byte| is_domain(*byte)).count();
        let domain = behind.get(..domain).unwrap_or_default().trim_end_matches(['.', '-']);
        if local > 0 && domain.contains('.') && !domain.starts_with('.') {
            found.push(at - local..at + sign.len_utf8() + domain.len());
        }
    }
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".%+-_'".contains(&byte)
}

fn is_domain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')
}

/// Two letters, two check digits, 11 to 30 letters and digits with single spaces anywhere, and the checksum of
/// ISO 7064 MOD 97-10. Of several lengths that pass, the longest.
fn ibans(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut after_word = false;
    for (start, byte) in bytes.iter().enumerate() {
        let starts_word = !after_word;
        after_word = byte.is_ascii_alphanumeric();
        if let (true, Some([a, b, c, d])) = (starts_word, bytes.get(start..start + 4))
            && a.is_ascii_alphabetic()
            && b.is_ascii_alphabetic()
            && c.is_ascii_digit()
            && d.is_ascii_digit()
            && let Some(end) = iban_end(bytes, start)
        {
            found.push(start..end);
        }
    }
}

fn iban_end(bytes: &[u8], start: usize) -> Option<usize> {
    // The checksum takes the first four characters last.
    let head = bytes.get(start..start + 4)?;
    let (mut account, mut count, mut end, mut longest) = (0, 0, start + 4, None);
    while count < 30 {
        match bytes.get(end) {
            Some(b' ') if bytes.get(end + 1).is_some_and(u8::is_ascii_alphanumeric) => {
                end += 1;
                continue;
            }
            Some(byte) if byte.is_ascii_alphanumeric() => account = modulo(account, *byte),
            _ => break,
        }
        count += 1;
        end += 1;
        let ends_word = !bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
        if count >= 11 && ends_word && head.iter().fold(account, |sum, byte| modulo(sum, *byte)) == 1 {
            longest = Some(end);
        }
    }
    longest
}

/// Appends a digit, or a letter as two digits (A is 10), to a number modulo 97.
fn modulo(number: u32, byte: u8) -> u32 {
    match char::from(byte).to_digit(36) {
        Some(digit @ 0..=9) => (number * 10 + digit) % 97,
        Some(letter) => (number * 100 + letter) % 97,
        None => number,
    }
}
