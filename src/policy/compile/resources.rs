//! Resources: labelled places and relations.

use std::collections::HashMap;

use crate::base::Diagnostic;
use crate::rewrite::{Pairs, Path, Step};

use super::Compiler;
use crate::policy::model::{LabelledField, ResourceId, ResourceTable};
use crate::policy::source::{Mark, Word};
use crate::policy::syntax::Resource;

impl Compiler<'_> {
    pub(super) fn resources(&mut self) {
        let set = self.set;
        for (index, resource) in set.resources.iter().enumerate() {
            self.resource_ids.entry(resource.name.text.clone()).or_insert(index);
        }
        for resource in &set.resources {
            let table = self.resource_table(resource);
            self.tables.resources.push(table);
        }
    }

    fn resource_table(&self, resource: &Resource) -> ResourceTable {
        let key = resource.key.as_ref().and_then(|key| {
            let path = self.field_path(key)?;
            if !path.is_singular() {
                self.documents.error("bad-key-path", "the key of a record is one place", key.mark);
                return None;
            }
            Some(path)
        });
        let relations = self.relations(resource);
        let fields =
            self.labelled_fields(resource, &relations.iter().map(|(path, _)| path).collect::<Vec<_>>());
        ResourceTable {
            name: resource.name.text.clone(),
            key,
            embedded: self.embedded(resource, &fields),
            pairs: self.pairs(resource),
            fields,
            relations,
            unknown_shown: resource.unknown_shown,
            permissions: Vec::new(),
        }
    }

    /// Places of related records. One record has one rule, so no place may lie in another.
    fn relations(&self, resource: &Resource) -> Vec<(Path, ResourceId)> {
        let mut relations: Vec<(Path, ResourceId)> = Vec::new();
        let mut marks: Vec<Mark> = Vec::new();
        for (place, target) in &resource.relations {
            let (path, target) = (self.plain_place(place), self.resource(target));
            let (Some(path), Some(target)) = (path, target) else { continue };
            let crossing = relations.iter().enumerate().find(|(_, (known, _))| cross(known, &path));
            if let Some((at, (known, _))) = crossing {
                let message = format!("`{}` and `{known}` are related records in one place", place.text);
                let diagnostic = Diagnostic::error("crossing-relations", message)
                    .at(self.documents.place(place.mark))
                    .help("what lies in a related record is a relation of its own resource");
                let first = marks.get(at).map(|mark| self.documents.place(*mark));
                self.documents.push(match first {
                    Some(first) => diagnostic.related(first, "the other one"),
                    None => diagnostic,
                });
                continue;
            }
            marks.push(place.mark);
            relations.push((path, target));
        }
        relations
    }

    fn labelled_fields(&self, resource: &Resource, relations: &[&Path]) -> Vec<LabelledField> {
        let mut fields = Vec::new();
        let mut first: HashMap<Path, Mark> = HashMap::new();
        for (label, field) in &resource.fields {
            let (label_id, path) = (self.label(label), self.labelled_place(field));
            let (Some(label_id), Some(path)) = (label_id, path) else { continue };
            if let Some(relation) = relations.iter().find(|relation| relation.is_prefix_of(&path)) {
                self.documents.error_with_help(
                    "label-below-relation",
                    format!("`{}` lies in the related record `{relation}`", field.text),
                    "label it under its own resource: the rules of that resource decide",
                    field.mark,
                );
                continue;
            }
            if let Some(earlier) = first.insert(path.clone(), field.mark) {
                self.documents.push(
                    Diagnostic::error("labelled-twice", format!("`{}` has two labels", field.text))
                        .at(self.documents.place(field.mark))
                        .related(self.documents.place(earlier), "first labelled here"),
                );
                continue;
            }
            let text = path.to_string().into();
            fields.push(LabelledField { path, text, label: label_id });
        }
        fields
    }

    /// Places whose text holds JSON: something in them is labelled, or nothing would be looked for.
    fn embedded(&self, resource: &Resource, fields: &[LabelledField]) -> Vec<Path> {
        let mut places = Vec::new();
        for word in &resource.embedded {
            let Some(path) = self.plain_place(word) else { continue };
            let within = |field: &LabelledField| path.is_prefix_of(&field.path) && field.path != path;
            if !fields.iter().any(within) {
                self.documents.error_with_help(
                    "matches-nothing",
                    format!("no field in `{}` has a label", word.text),
                    format!("label what the JSON in it holds, such as `{}.name`", word.text),
                    word.mark,
                );
                continue;
            }
            places.push(path);
        }
        places
    }

    fn pairs(&self, resource: &Resource) -> Vec<Pairs> {
        let mut lists: Vec<Pairs> = Vec::new();
        for written in &resource.pairs {
            let Some(at) = self.plain_place(&written.at) else { continue };
            if !at.is_list() {
                self.documents.error_with_help(
                    "bad-path",
                    format!("`{}` is no list of pairs", written.at.text),
                    format!("write `{}[*]`", written.at.text),
                    written.at.mark,
                );
                continue;
            }
            if written.name.text == written.value.text {
                let message = "the name and the value of a pair are two members";
                self.documents.error("bad-value", message, written.value.mark);
                continue;
            }
            lists.push(Pairs {
                at,
                name: written.name.text.as_ref().into(),
                value: written.value.text.as_ref().into(),
            });
        }
        lists
    }

    /// A place of names, `[*]` and `.*`, and of elements that are picked; not the record itself.
    fn labelled_place(&self, word: &Word) -> Option<Path> {
        let path = self.field_place(word)?;
        if path.is_root() || path.steps().contains(&Step::Descend) {
            self.documents.error_with_help(
                "bad-path",
                format!("`{}` is no place of a field", word.text),
                "write names, `[*]` for the elements of a list, `[-1]` or `[?@.type == \"home\"]` for some",
                word.mark,
            );
            return None;
        }
        self.split_name(word);
        Some(path)
    }

    /// A place of names, `[*]` and `.*`, not the record itself.
    fn plain_place(&self, word: &Word) -> Option<Path> {
        let path = self.field_path(word)?;
        self.split_name(word);
        let plain =
            path.steps().iter().all(|step| matches!(step, Step::Name(_) | Step::Elements | Step::Any));
        if path.is_root() || !plain {
            self.documents.error_with_help(
                "bad-path",
                format!("`{}` is no place of a field", word.text),
                "write names and `[*]` for the elements of a list, such as `contracts[*].amount`",
                word.mark,
            );
            return None;
        }
        Some(path)
    }
}

impl Compiler<'_> {
    fn split_name(&self, word: &Word) {
        if word.text.contains("@odata.") && !word.text.contains('[') {
            self.warn(
                "split-name",
                format!("`{}` is a member of a member: the dot is not part of the name", word.text),
                Some(format!("write `[\"{}\"]` for one name", word.text)),
                word.mark,
            );
        }
    }
}

/// Whether one of two places can lie in the other.
fn cross(one: &Path, other: &Path) -> bool {
    one.steps().iter().zip(other.steps()).all(|(a, b)| a == b || *a == Step::Any || *b == Step::Any)
}
