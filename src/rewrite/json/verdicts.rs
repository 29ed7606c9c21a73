//! What was decided about records, by their deciding values as they stand: the same bytes under the same grants and the
//! same person are decided the same way, so most records of an export need no decision of their own.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::automaton::Program;

/// Most verdicts that are kept.
const MAX_VERDICTS: usize = 256;
/// Longest deciding values that are looked up, with their lengths.
const MAX_KEY_BYTES: usize = 96;
/// In place of a length.
const MISSING: u8 = u8::MAX;

/// Verdicts, and the values that are asked about.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    known: HashMap<Box<[u8]>, Option<Arc<Program>>>,
    key: Vec<u8>,
}

impl Verdicts {
    /// Asks about a record at `site` with these deciding values, in order. `false`: they are not for here, being too
    /// long or ambiguous.
    pub(crate) fn ask<'r>(
        &mut self,
        site: u32,
        values: impl Iterator<Item = Option<Option<&'r [u8]>>>,
    ) -> bool {
        self.key.clear();
        self.key.extend_from_slice(&site.to_le_bytes());
        for value in values {
            let Some(value) = value else { return false };
            let length = value.map_or(Ok(MISSING), |value| u8::try_from(value.len()));
            let (Ok(length), value) = (length, value.unwrap_or_default()) else { return false };
            if value.len() >= usize::from(MISSING) || self.key.len() + 1 + value.len() > MAX_KEY_BYTES {
                return false;
            }
            self.key.push(length);
            self.key.extend_from_slice(value);
        }
        true
    }

    /// What is known about the record that was asked about; `None` inside: it is not released.
    pub(crate) fn known(&self) -> Option<Option<Arc<Program>>> {
        self.known.get(self.key.as_slice()).cloned()
    }

    /// Remembers what was decided about it.
    pub(crate) fn learn(&mut self, verdict: Option<Arc<Program>>) {
        if self.known.len() < MAX_VERDICTS {
            self.known.insert(self.key.as_slice().into(), verdict);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_apart_whatever_they_hold() {
        let key = |site, values: &[Option<&[u8]>]| {
            let mut verdicts = Verdicts::default();
            let asked = verdicts.ask(site, values.iter().map(|value| Some(*value)));
            asked.then_some(verdicts.key)
        };
        let cases: &[(u32, &[Option<&[u8]>])] = &[
            (0, &[Some(b"ab"), Some(b"c")]),
            (0, &[Some(b"a"), Some(b"bc")]),
            (1, &[Some(b"a"), Some(b"bc")]),
            (0, &[Some(b"a"), None]),
            (0, &[None, Some(b"a")]),
            (0, &[Some(b""), Some(b"a")]),
            (0, &[Some(b"a\x01b"), Some(b"")]),
        ];
        let keys: Vec<_> = cases.iter().map(|(site, values)| key(*site, values).expect("short")).collect();
        for (number, one) in keys.iter().enumerate() {
            assert_eq!(keys.iter().position(|other| other == one), Some(number));
        }
        assert_eq!(key(0, &[Some(&[b'x'; 92])]), None);
        assert!(!Verdicts::default().ask(0, [None].into_iter()), "an ambiguous value is never looked up");
    }

    #[test]
    fn no_more_than_so_many_are_kept() {
        let mut verdicts = Verdicts::default();
        for number in 0..1000u32 {
            let value = number.to_string();
            assert!(verdicts.ask(0, [Some(Some(value.as_bytes()))].into_iter()));
            verdicts.learn(None);
        }
        assert_eq!(verdicts.known.len(), MAX_VERDICTS);
        assert!(verdicts.known().is_none());
    }
}
