//! Counting while records are rewritten: cheap per value, made into [`Counts`] when somebody asks.

use std::sync::Arc;

use super::super::automaton::{Compiled, Counted, NO_FIELD};
use super::super::counts::{Counts, FieldCount};
use super::super::path::Path;
use super::super::plan::{Bounds, RewritePlan};

/// Counters of one field.
const COUNTERS: usize = 3;
/// Counts nothing.
pub(crate) const NO_COUNTER: u32 = u32::MAX;
/// Most unknown names that are kept.
const MAX_UNKNOWN: usize = 32;
/// Longest unknown name that is kept, in characters.
const MAX_UNKNOWN_CHARS: usize = 64;
/// Longest record key that is kept, in raw bytes.
const MAX_KEY_BYTES: usize = 256;

/// Running counts of one answer.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    /// Three for each field: shown, masked, hidden.
    fields: Vec<u64>,
    /// By rule and grant: whether it applied to a released record.
    applied: Vec<Vec<bool>>,
    /// Members that nobody declared and that have been noted, so that the same one costs nothing again.
    noted: Vec<(Path, Option<Box<[u8]>>)>,
}

impl Tally {
    pub(crate) fn new(plan: &RewritePlan, compiled: &Compiled) -> Self {
        Self {
            counts: Counts::default(),
            fields: vec![0; compiled.fields.len() * COUNTERS],
            noted: Vec::new(),
            applied: plan.rules.iter().map(|rule| vec![false; rule.grants.len()]).collect(),
        }
    }

    /// The counter of a field.
    pub(crate) fn counter(field: u32, counted: Counted) -> u32 {
        let which = match counted {
            Counted::Shown => 0,
            Counted::Masked => 1,
            Counted::Hidden => 2,
            Counted::No => return NO_COUNTER,
        };
        if field == NO_FIELD { NO_COUNTER } else { field * COUNTERS as u32 + which }
    }

    /// Counts one up.
    #[inline(always)]
    pub(crate) fn up(&mut self, counter: u32) {
        if let Some(counter) = self.fields.get_mut(counter as usize) {
            *counter += 1;
        }
    }

    #[inline]
    pub(crate) fn field(&mut self, field: u32, counted: Counted) {
        self.up(Self::counter(field, counted));
    }

    pub(crate) fn applied(&mut self, rule: Option<usize>, grants: &[usize]) {
        if let Some(applied) = rule.and_then(|rule| self.applied.get_mut(rule)) {
            for grant in grants {
                if let Some(seen) = applied.get_mut(*grant) {
                    *seen = true;
                }
            }
        }
    }

    /// A record's key as it stands, quotes and all.
    pub(crate) fn key(&mut self, raw: &[u8], most: usize) {
        if self.counts.keys.len() < most && raw.len() <= MAX_KEY_BYTES {
            let text = raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\"")).unwrap_or(raw);
            self.counts.keys.push(String::from_utf8_lossy(text).into());
        }
    }

    /// A record's key that stands in the slice.
    pub(crate) fn bounded_key(&mut self, raw: &[u8], bounds: &Bounds) {
        if raw.len() <= bounds.value_bytes {
            self.key(raw, bounds.keys);
        }
    }

    /// A member that nobody declared, by its decoded name below `place`.
    pub(crate) fn unknown(&mut self, place: &Path, name: Option<&[u8]>) {
        let same = |(known, of): &(Path, Option<Box<[u8]>>)| of.as_deref() == name && known == place;
        if self.noted.len() >= MAX_UNKNOWN || self.noted.iter().any(same) {
            return;
        }
        self.noted.push((place.clone(), name.map(Into::into)));
        let text = match name {
            Some(name) => place.dotted_below(&String::from_utf8_lossy(name)),
            None => place.to_string(),
        };
        // Nearly all of them need nothing.
        let plain = text.len() <= MAX_UNKNOWN_CHARS && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let escaped =
            if plain { text } else { text.chars().flat_map(escape).take(MAX_UNKNOWN_CHARS).collect() };
        if !self.counts.unknown.contains(escaped.as_str()) {
            self.counts.unknown.insert(escaped.into());
        }
    }

    /// Brings the named counts up to date.
    pub(crate) fn settle(&mut self, plan: &RewritePlan, compiled: &Compiled) {
        let counted = compiled.fields.iter().zip(self.fields.as_chunks::<COUNTERS>().0);
        self.counts.fields = counted
            .filter(|(_, [shown, masked, hidden])| shown + masked + hidden > 0)
            .map(|(name, [shown, masked, hidden])| {
                (Arc::clone(name), FieldCount { shown: *shown, masked: *masked, hidden: *hidden })
            })
            .collect();
        for (rule, applied) in plan.rules.iter().zip(&self.applied) {
            for (grant, _) in rule.grants.iter().zip(applied).filter(|(_, applied)| **applied) {
                self.counts.grants.insert(Arc::clone(&grant.name));
            }
        }
    }
}

/// Paths print with quotes and backslashes in order; what is left are invisible characters.
fn escape(c: char) -> impl Iterator<Item = char> {
    let plain = matches!(c, '"' | '\'' | '\\');
    plain.then_some(c).into_iter().chain((!plain).then(|| c.escape_debug()).into_iter().flatten())
}
