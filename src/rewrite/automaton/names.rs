//! Member names to states: exact by a small hash table over the decoded bytes, folded for spellings that only look
//! different.

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{CodePointSetData, props::DefaultIgnorableCodePoint};

use super::shape::StateId;

/// An immutable table of names.
#[derive(Debug, Default)]
pub(crate) struct Names {
    entries: Box<[(Box<str>, StateId)]>,
    /// Indexes into `entries` plus one, by hash; a power of two long.
    slots: Box<[u32]>,
}

impl Names {
    /// Builds the table; names are distinct.
    pub(crate) fn new(entries: Vec<(Box<str>, StateId)>) -> Self {
        if entries.is_empty() {
            return Self::default();
        }
        let size = (entries.len() * 4).next_power_of_two();
        let mut slots = vec![0u32; size].into_boxed_slice();
        for (index, (name, _)) in entries.iter().enumerate() {
            let mut at = hash(name.as_bytes()) as usize & (size - 1);
            while let Some(slot) = slots.get_mut(at) {
                if *slot == 0 {
                    *slot = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
                    break;
                }
                at = (at + 1) & (size - 1);
            }
        }
        Self { entries: entries.into_boxed_slice(), slots }
    }

    /// The state of a decoded name.
    #[inline]
    pub(crate) fn find(&self, name: &[u8]) -> Option<StateId> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash(name) as usize & mask;
        loop {
            let index = (*self.slots.get(at)? as usize).checked_sub(1)?;
            let (entry, state) = self.entries.get(index)?;
            if entry.as_bytes() == name {
                return Some(*state);
            }
            at = (at + 1) & mask;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, StateId)> {
        self.entries.iter().map(|(name, state)| (name.as_ref(), *state))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Length, first and last eight bytes: names of one record seldom agree in all three, and the comparison that
/// follows decides.
#[inline]
fn hash(name: &[u8]) -> u64 {
    let word = |bytes: &[u8]| -> u64 {
        let mut word = [0u8; 8];
        for (to, from) in word.iter_mut().zip(bytes) {
            *to = *from;
        }
        u64::from_le_bytes(word)
    };
    let (first, last) = match name.first_chunk::<8>().zip(name.last_chunk::<8>()) {
        Some((first, last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        None => (word(name), 0),
    };
    let mixed = first.wrapping_mul(0x9E37_79B9_7F4A_7C15)
        ^ last.wrapping_mul(0xC2B2_AE3D_27D4_EB4F).rotate_left(31)
        ^ (name.len() as u64).wrapping_mul(0x1656_67B1_9E37_79F9);
    mixed ^ (mixed >> 32)
}

/// NFKC, default case folding, invisible characters removed: equal for names that a reader takes for one another.
pub(crate) fn fold(name: &str) -> String {
    let nfkc = ComposingNormalizerBorrowed::new_nfkc();
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let visible =
        |text: &str| text.chars().filter(|c| !ignorable.contains(*c) && !c.is_control()).collect::<String>();
    let once = nfkc.normalize(&visible(name)).into_owned();
    let folded = CaseMapper::new().fold_string(&once).into_owned();
    visible(&nfkc.normalize(&folded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_name_and_no_other() {
        let names: Vec<Box<str>> =
            (0..500).map(|i| format!("field_{i}{}", "x".repeat(i % 11)).into()).collect();
        let table = Names::new(names.iter().cloned().zip(1..).collect());
        for (name, state) in names.iter().zip(1..) {
            assert_eq!(table.find(name.as_bytes()), Some(state));
        }
        assert_eq!(table.find(b"field_500"), None);
        assert_eq!(table.find(b""), None);
        assert_eq!(Names::default().find(b"a"), None);
    }

    #[test]
    fn folds_case_width_normalisation_and_invisible_characters() {
        for variant in
            ["PHONE", "Phone", "ｐｈｏｎｅ", "p\u{200b}hone", "pho\u{ad}ne", "phone\u{feff}", "pho\u{0}ne"]
        {
            assert_eq!(fold(variant), "phone", "{variant:?}");
        }
        assert_eq!(fold("stra\u{df}e"), fold("STRASSE"));
        assert_eq!(fold("\u{e9}"), fold("E\u{301}"));
        assert_ne!(fold("рhone"), "phone", "a Cyrillic letter is another letter");
    }
}
