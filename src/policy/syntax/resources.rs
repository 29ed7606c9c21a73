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
    /// Places whose text holds JSON.
    pub embedded: Vec<Word>,
    /// Lists of name/value pairs.
    pub pairs: Vec<PairsAt>,
    /// Whether members nobody labelled pass (`unknown: show`).
    pub unknown_shown: bool,
}

/// A list of name/value pairs.
#[derive(Clone, Debug)]
pub struct PairsAt {
    /// The list.
    pub at: Word,
    /// The member that names the field.
    pub name: Word,
    /// The member that holds the value.
    pub value: Word,
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
    let embedded = fields.texts("embedded").unwrap_or_default();
    let mut pairs = Vec::new();
    if let Some(node) = fields.node("pairs") {
        pairs.extend(members(documents, node, "`pairs`").iter().filter_map(|(at, node)| {
            let fields = Fields::of(documents, node, "a list of pairs")?;
            let (name, value) = (fields.required_text("name"), fields.required_text("value"));
            fields.finish();
            Some(PairsAt { at: at.clone(), name: name?, value: value? })
        }));
    }
    let unknown_shown = fields.choice("unknown", &[("hide", false), ("show", true)]).unwrap_or(false);
    fields.finish();
    Some(Resource { name: name.clone(), key, fields: labelled, relations, embedded, pairs, unknown_shown })
}
