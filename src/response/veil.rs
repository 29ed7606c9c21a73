//! What the gateway shows the upstream never comes back: endpoints that repeat their request, error texts, links.
//!
//! A scanner over what goes out. It finds the credential as it stands, and in the spellings that JSON and URLs have for
//! its characters, also where a piece ends in the middle of it: what might become it is held back. In its place stand
//! asterisks, as many as it had bytes there, so that no framing changes.

use std::sync::Arc;

use bytes::Bytes;
use memchr::{memchr2_iter, memmem};
use tracing::warn;

use crate::upstream::Reflections;

/// The scanner of one answer.
pub(super) struct Veil {
    hidden: Arc<Reflections>,
    held: Vec<u8>,
    told: bool,
}

/// How a credential stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Not.
    No,
    /// As far as there is anything.
    Begun,
    /// To this place.
    Whole(usize),
}

impl Veil {
    pub(super) fn new(hidden: Arc<Reflections>) -> Self {
        Self { hidden, held: Vec::new(), told: false }
    }

    /// Whether a text holds the credential.
    pub(super) fn covers(hidden: &Reflections, text: &[u8]) -> bool {
        hidden.texts().any(|needle| {
            let mut places = candidates(text, needle).into_iter();
            places.any(|at| matches!(found(text, at, needle), Found::Whole(_)))
        })
    }

    /// Bytes that wait for what follows.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// The next piece, as far as it is decided.
    pub(super) fn push(&mut self, piece: Bytes) -> Bytes {
        let joined = (!self.held.is_empty()).then(|| [&self.held[..], &piece].concat());
        let text = joined.as_deref().unwrap_or(&piece);
        let mut spans = Vec::new();
        let mut end = text.len();
        for needle in self.hidden.texts() {
            for at in candidates(text, needle) {
                match found(text, at, needle) {
                    Found::No => {}
                    Found::Begun => end = end.min(at),
                    Found::Whole(to) => spans.push((at, to)),
                }
            }
        }
        if spans.is_empty() && end == text.len() {
            self.held.clear();
            return joined.map_or(piece, Bytes::from);
        }
        // One that is whole is decided, whatever begins within it.
        let whole = spans.iter().filter(|(at, to)| *at < end && *to > end).map(|(_, to)| *to).max();
        let end = whole.unwrap_or(end);
        let mut out = text.get(..end).unwrap_or_default().to_vec();
        for (at, to) in spans.into_iter().filter(|(_, to)| *to <= end) {
            if let Some(span) = out.get_mut(at..to) {
                span.fill(b'*');
            }
            self.tell();
        }
        self.held = text.get(end..).unwrap_or_default().to_vec();
        out.into()
    }

    /// What was held back, and became nothing.
    pub(super) fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held).into()
    }

    fn tell(&mut self) {
        if !std::mem::replace(&mut self.told, true) {
            warn!(api = %self.hidden.api(), "an answer repeated the gateway's own credential: it was blanked");
        }
    }
}

/// Where the credential may stand: wherever its first bytes do, or something is written otherwise than it is, and at the
/// end, where there may be more.
fn candidates(text: &[u8], needle: &[u8]) -> Vec<usize> {
    let first = needle.get(..FIRST_BYTES).unwrap_or(needle);
    let mut places: Vec<usize> = memmem::find_iter(text, first).collect();
    let possible = |at: &usize| {
        text.get(*at).is_some_and(|byte| needle.first() == Some(byte) || matches!(byte, b'\\' | b'%'))
    };
    for escape in memchr2_iter(b'\\', b'%', text) {
        places.extend((escape.saturating_sub(FIRST_BYTES - 1)..=escape).filter(possible));
    }
    places.extend((text.len().saturating_sub(FIRST_BYTES - 1)..text.len()).filter(possible));
    places.sort_unstable();
    places.dedup();
    places
}

/// Compares, one character after the other.
fn found(text: &[u8], at: usize, needle: &[u8]) -> Found {
    let mut at = at;
    for wanted in needle {
        match character(text, at, *wanted) {
            Found::Whole(next) => at = next,
            other => return other,
        }
    }
    Found::Whole(at)
}

/// One character: plain, `%2b`, or behind backslashes, also as `\u002b`; more than one backslash where JSON is a text in
/// JSON.
fn character(text: &[u8], at: usize, wanted: u8) -> Found {
    let Some(byte) = text.get(at) else { return Found::Begun };
    match byte {
        byte if *byte == wanted => Found::Whole(at + 1),
        b'%' => hexadecimal(text, at + 1, 2, wanted),
        b'\\' => {
            let run = text.iter().skip(at).take(MAX_BACKSLASHES).take_while(|byte| **byte == b'\\').count();
            match text.get(at + run) {
                None => Found::Begun,
                Some(byte) if *byte == wanted && *byte != b'u' => Found::Whole(at + run + 1),
                Some(b'u') => hexadecimal(text, at + run + 1, 4, wanted),
                Some(_) => Found::No,
            }
        }
        _ => Found::No,
    }
}

fn hexadecimal(text: &[u8], at: usize, digits: usize, wanted: u8) -> Found {
    let spelled = format!("{wanted:0digits$x}");
    let there = text.get(at..).unwrap_or_default();
    let there = there.get(..digits).unwrap_or(there);
    match spelled.as_bytes().get(..there.len()) {
        Some(begun) if begun.eq_ignore_ascii_case(there) => {
            if there.len() == digits {
                Found::Whole(at + digits)
            } else {
                Found::Begun
            }
        }
        _ => Found::No,
    }
}

/// So many first bytes are looked for at once.
const FIRST_BYTES: usize = 4;
/// JSON in JSON in JSON.
const MAX_BACKSLASHES: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "tok/en+\"Canary=42";

    fn veil() -> Veil {
        Veil::new(Arc::new(Reflections::assumed("crm", &[TOKEN, "password-1"])))
    }

    fn through(text: &[u8], piece: usize) -> String {
        let mut veil = veil();
        let mut out = Vec::new();
        for chunk in text.chunks(piece) {
            out.extend_from_slice(&veil.push(Bytes::copy_from_slice(chunk)));
        }
        out.extend_from_slice(&veil.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn i18_the_credential_is_blanked_in_every_spelling_and_at_every_seam() {
        let spelled = |each: fn(char) -> String| TOKEN.chars().map(each).collect::<String>();
        let spellings = [
            TOKEN.to_owned(),
            TOKEN.replace('"', "\\\""),
            TOKEN.replace('/', "\\/").replace('"', "\\\""),
            TOKEN.replace('+', "\\u002B").replace('"', "\\u0022"),
            TOKEN.replace('/', "%2F").replace('+', "%2b").replace('=', "%3D").replace('"', "%22"),
            TOKEN.replace('/', "\\\\/").replace('"', "\\\\\\\""),
            spelled(|c| format!("\\u{:04x}", u32::from(c))),
            spelled(|c| format!("%{:02X}", u32::from(c))),
            "password-1".to_owned(),
        ];
        for spelling in spellings {
            let text = format!("{{\"a\":\"to tok/e Bearer {spelling}{spelling}, t\\u00e9 50% \\\\\"}}");
            let stars = "*".repeat(2 * spelling.len());
            let expected = format!("{{\"a\":\"to tok/e Bearer {stars}, t\\u00e9 50% \\\\\"}}");
            for piece in 1..=text.len() {
                assert_eq!(through(text.as_bytes(), piece), expected, "pieces of {piece}");
            }
            assert!(Veil::covers(&Reflections::assumed("crm", &[TOKEN, "password-1"]), text.as_bytes()));
        }
    }

    #[test]
    fn what_only_begins_like_it_passes() {
        for text in
            ["tok/en+\"Canary=4", "tok/en+\"Canary=4\\", "%", "\\u00", "tok/en+\"Canary=43", "t%6f", ""]
        {
            for piece in 1..=text.len().max(1) {
                assert_eq!(through(text.as_bytes(), piece), text, "pieces of {piece}");
            }
            assert!(!Veil::covers(&Reflections::assumed("crm", &[TOKEN]), text.as_bytes()));
        }
    }

    #[test]
    fn untouched_pieces_are_not_copied() {
        let piece = Bytes::from_static(b"{\"a\":\"nothing of it\"}");
        assert_eq!(veil().push(piece.clone()).as_ptr(), piece.as_ptr());
    }

    proptest! {
        #[test]
        fn any_seam_gives_the_same_and_never_the_credential(
            parts in prop::collection::vec(prop::sample::select(vec![
                "tok/", "en+\"", "Canary=42", "t", "\\", "%", "\\u0074", "ok\\/en%2B\\\"Canary=42", "pass", "word-1", "x",
            ]), 0..12),
            piece in 1_usize..9,
        ) {
            let text = parts.concat();
            let whole = through(text.as_bytes(), text.len().max(1));
            prop_assert_eq!(&whole, &through(text.as_bytes(), piece));
            prop_assert!(!whole.contains(TOKEN) && !whole.contains("password-1"));
            prop_assert_eq!(whole.len(), text.len());
        }
    }
}
