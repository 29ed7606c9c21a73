//! Masks with their keys.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::base::{Diagnostic, Secret};
use crate::rewrite::mask::{Keys, Mask, MaskError, MaskSpec, Masks};

use super::source::{Documents, Mark, Node, Value};
use super::syntax::MaskDefinition;

/// Where keys for masks come from.
pub enum MaskKeys {
    /// The deployment's own. A mask whose key is not among them is an error.
    Given(Keys),
    /// Made up from their names, for these names only; any other is an error. For looking at a deployment's policy
    /// without its secrets.
    Named(Vec<Arc<str>>),
    /// Made up from their names: for looking at policies where the deployment's keys are not at hand. Pseudonyms come
    /// out differently from those that are served.
    Assumed,
}

/// Builds the built-in masks and those of the policy, and complains about what cannot be built.
pub(super) fn build_masks(
    documents: &Documents,
    definitions: &[&MaskDefinition],
    keys: &MaskKeys,
) -> HashMap<Arc<str>, Arc<Mask>> {
    let mut specs: Vec<(&str, MaskSpec)> = Vec::new();
    for written in definitions {
        // The digits of numbers in definitions are small; going over text keeps one reader of definitions.
        let json = serde_json::from_str(&written.definition.to_json()).unwrap_or_default();
        match MaskSpec::parse(&json) {
            Ok(spec) => specs.push((written.name.as_str(), spec)),
            Err(error) => complain(documents, written, &error),
        }
    }
    let assumed;
    let keys = match keys {
        MaskKeys::Given(keys) => keys,
        MaskKeys::Named(names) => {
            assumed = assume(names.iter().map(AsRef::as_ref));
            &assumed
        }
        MaskKeys::Assumed => {
            assumed = assume(specs.iter().filter_map(|(_, spec)| spec.key()));
            &assumed
        }
    };
    let mut broken = Vec::new();
    loop {
        let usable =
            specs.iter().filter(|(name, _)| !broken.contains(name)).map(|(name, spec)| (*name, spec));
        match Masks::build(usable, keys) {
            Ok(masks) => {
                return masks
                    .names()
                    .filter_map(|name| Some((Arc::from(name), masks.get(name)?.clone())))
                    .collect();
            }
            Err(errors) => {
                let before = broken.len();
                for (name, error) in errors {
                    let Some(written) = definitions.iter().find(|written| *written.name.text == *name) else {
                        continue;
                    };
                    complain(documents, written, &error);
                    broken.push(written.name.as_str());
                }
                // Every round takes at least one definition out, so this ends.
                if broken.len() == before {
                    return HashMap::new();
                }
            }
        }
    }
}

fn assume<'n>(names: impl Iterator<Item = &'n str>) -> Keys {
    let mut keys = Keys::default();
    for name in names {
        let key = Sha256::digest(format!("fieldgate assumed key {name}")).to_vec();
        keys.insert(name, Secret::new(key));
    }
    keys
}

fn complain(documents: &Documents, written: &MaskDefinition, error: &MaskError) {
    let mark = member(&written.definition, &error.path).unwrap_or(written.name.mark);
    let message = format!("mask `{}`: {}", written.name.text, error.message);
    let diagnostic = Diagnostic::error("bad-mask", message).at(documents.place(mark));
    documents.push(match &error.help {
        Some(help) => diagnostic.help(help.clone()),
        None => diagnostic,
    });
}

/// The place of the innermost part of a definition that a path of members leads to.
fn member(node: &Node, path: &[String]) -> Option<Mark> {
    let Some((first, rest)) = path.split_first() else { return Some(node.mark) };
    match &node.value {
        Value::Map(members) => {
            let (key, value) = members.iter().find(|(key, _)| key.as_str() == first)?;
            member(value, rest).or(Some(key.mark))
        }
        Value::List(items) => items.get(first.parse::<usize>().ok()?).and_then(|item| member(item, rest)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => Some(node.mark),
    }
}
