//! The section `resources`.

use super::{Documents, Fields, Node, Word, members};
use crate::policy::source::words;

/// A record type.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its name.
    pub name: Word,
    /// Where the record's key stands.
    pub key: Option<Word>,
    /// Label and field, for every field.
    pub fields: Vec<(Word, Word)>,
    /// Place and resource of related records.
    pub relations: Vec<(Word, Word)>,
    /// Whether members nobody labelled pass (`unknown: show`).
    pub unknown_shown: bool,
}

pub(super) fn resource(documents: &Documents, name: &Word, node: &Node) -> Option<Resource> {
    let fields = Fields::of(documents, node, "a resource")?;
    let key = fields.text("key");
    let mut labelled = Vec::new();
    if let Some(node) = fields.node("fields") {
        for (label, paths) in members(documents, node, "`fields`") {
            labelled.extend(words(documents, paths).into_iter().map(|path| (label.clone(), path)));
        }
    }
    let mut relations = Vec::new();
    if let Some(node) = fields.node("relations") {
        for (path, target) in members(documents, node, "`relations`") {
            if let Some(target) = super::word(documents, target) {
                relations.push((path.clone(), target));
            }
        }
    }
    let unknown_shown = fields.choice("unknown", &[("hide", false), ("show", true)]).unwrap_or(false);
    fields.finish();
    Some(Resource { name: name.clone(), key, fields: labelled, relations, unknown_shown })
}
