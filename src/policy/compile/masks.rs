//! Masks: those of one value, and those that depend on the record.

use std::sync::Arc;

use crate::rewrite::mask::{KINDS, Mask};

use super::{Compiler, Reads};
use crate::policy::keys;
use crate::policy::source::{Fields, Value, Word};
use crate::policy::syntax::MaskDefinition;

impl Compiler<'_> {
    pub(super) fn masks(&mut self) {
        let set = self.set;
        let (by_record, plain): (Vec<_>, Vec<_>) = set.masks.iter().partition(|mask| is_by_record(mask));
        self.tables.masks = keys::build_masks(self.documents, &plain, self.keys);
        let made: Vec<_> = by_record.into_iter().filter_map(|written| self.by_record(written)).collect();
        self.tables.masks.extend(made);
    }

    /// `{ when: CONDITION, then: MASK, else: MASK }`.
    fn by_record(&mut self, written: &MaskDefinition) -> Option<(Arc<str>, Arc<Mask>)> {
        let fields = Fields::of(self.documents, &written.definition, "a mask by record")?;
        let when = fields.required_text("when");
        let (then, otherwise) = (fields.required_text("then"), fields.required_text("else"));
        fields.finish();
        let name = &written.name;
        if self.tables.masks.contains_key(&name.text) {
            let message = format!("mask `{0}`: `{0}` is built in and cannot be defined again", name.text);
            self.documents.error("bad-mask", message, name.mark);
            return None;
        }
        let when = self.condition(&when?, Reads::Record);
        let branches = self.branch(&then?).zip(self.branch(&otherwise?));
        let (when, (then, otherwise)) = when.zip(branches)?;
        let mask = Mask::by_record(&name.text, when, then, otherwise)?;
        Some((name.text.clone(), Arc::new(mask)))
    }

    /// A mask of one value: what another one may turn out to be.
    fn branch(&self, word: &Word) -> Option<Arc<Mask>> {
        let written = self.set.masks.iter().find(|mask| mask.name.text == word.text);
        if written.is_some_and(is_by_record) {
            let message = format!("mask `{}` depends on the record itself", word.text);
            let help = "put both conditions into one, or label the fields apart";
            self.documents.error_with_help("bad-mask", message, help, word.mark);
            return None;
        }
        self.mask(word)
    }

    pub(super) fn mask(&self, word: &Word) -> Option<Arc<Mask>> {
        let found = self.tables.masks.get(&word.text).cloned();
        // A mask that is defined and could not be built was complained about there.
        let defined = self.set.masks.iter().any(|mask| mask.name.text == word.text);
        let kind = KINDS.iter().find(|kind| kind.name == word.as_str());
        match (found.is_none() && !defined, kind.and_then(|kind| kind.examples.first())) {
            (true, Some(example)) => self.documents.error_with_help(
                "unknown-mask",
                format!("unknown mask `{}`", word.text),
                format!("it is a kind of mask: write `{}: {}` under `masks`", word.text, example.mask),
                word.mark,
            ),
            (true, None) => self.unknown("mask", word, self.tables.masks.keys().map(AsRef::as_ref)),
            (false, _) => {}
        }
        found
    }
}

fn is_by_record(mask: &MaskDefinition) -> bool {
    match &mask.definition.value {
        Value::Map(members) => members.iter().any(|(key, _)| key.as_str() == "when"),
        _ => false,
    }
}
