//! The keys of policy and deployment files and what is to be known about them: the JSON Schemas that `fieldgate schema`
//! prints.

use std::sync::LazyLock;

use serde_json::Value;

use crate::analysis::{CONFIG_SCHEMA, POLICY_SCHEMA};

use super::scan::Step;

/// A key that may stand somewhere.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) docs: String,
}

/// What is known about a kind of file.
#[derive(Clone, Copy)]
pub(super) struct Book(&'static Value);

impl Book {
    /// The keys of a policy, or else of a deployment.
    pub(super) fn of(is_policy: bool) -> Self {
        Self(if is_policy { &POLICY } else { &CONFIG })
    }
}

/// The keys that a mapping at a place may have.
pub(super) fn keys(book: Book, mapping: &[Step]) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for schema in at(book, mapping) {
        for (name, member) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if !keys.iter().any(|known| known.name == name) {
                keys.push(Key { name, docs: docs(book, member) });
            }
        }
    }
    keys
}

/// The words that may stand at a place, where only some may.
pub(super) fn words(book: Book, path: &[Step]) -> Vec<String> {
    let mut words = Vec::new();
    for schema in at(book, path) {
        for value in schema.get("enum").and_then(Value::as_array).into_iter().flatten() {
            words.extend(value.as_str().map(str::to_owned));
        }
        let types = schema.get("type").map(|kind| kind.to_string()).unwrap_or_default();
        if types.contains("boolean") && !types.contains("string") {
            words.extend(["true".to_owned(), "false".to_owned()]);
        }
    }
    words
}

/// What is to be known about a key of a mapping.
pub(super) fn docs_of(book: Book, mapping: &[Step], name: &str) -> Option<String> {
    let found = at(book, mapping).into_iter().find_map(|schema| schema.get("properties")?.get(name))?;
    Some(docs(book, found)).filter(|docs| !docs.is_empty())
}

fn docs(book: Book, schema: &Value) -> String {
    let described = std::iter::once(schema).chain(alternatives(book, schema));
    let mut docs = described
        .filter_map(|schema| schema.get("description")?.as_str())
        .next()
        .unwrap_or_default()
        .to_owned();
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        let words: Vec<_> = words.iter().map(|word| format!("`{}`", plain(word))).collect();
        docs.push_str(&format!("\n\nOne of {}.", words.join(", ")));
    }
    if let Some(default) = schema.get("default") {
        docs.push_str(&format!("\n\nDefault: `{}`.", plain(default)));
    }
    let examples = schema.get("examples").and_then(Value::as_array).into_iter().flatten();
    let examples: Vec<_> = examples.take(EXAMPLES).map(|example| format!("`{}`", plain(example))).collect();
    if !examples.is_empty() {
        docs.push_str(&format!("\n\nFor example {}.", examples.join(", ")));
    }
    docs
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The schemas that hold at a place.
fn at(book: Book, path: &[Step]) -> Vec<&'static Value> {
    let mut here = alternatives(book, book.0);
    for step in path {
        let mut next = Vec::new();
        for schema in here {
            let below = match step {
                Step::Item(_) => schema.get("items"),
                Step::Key(key) => schema
                    .get("properties")
                    .and_then(|members| members.get(key.as_ref()))
                    .or_else(|| schema.get("additionalProperties").filter(|more| more.is_object())),
            };
            next.extend(below.map(|below| alternatives(book, below)).into_iter().flatten());
        }
        here = next;
    }
    here
}

/// The schema itself, or those it refers to.
fn alternatives(book: Book, schema: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    let mut open = vec![schema];
    // Definitions do not refer to themselves without a step down; the bound keeps a slip from running forever.
    while let Some(schema) = open.pop().filter(|_| found.len() < MAX_ALTERNATIVES) {
        if let Some(name) =
            schema.get("$ref").and_then(Value::as_str).and_then(|at| at.strip_prefix("#/$defs/"))
        {
            open.extend(book.0.get("$defs").and_then(|all| all.get(name)));
        }
        for among in ["anyOf", "oneOf", "allOf"] {
            open.extend(schema.get(among).and_then(Value::as_array).into_iter().flatten());
        }
        found.push(schema);
    }
    found
}

/// A schema that is no JSON fails the tests; here it would mean no help with keys.
static POLICY: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(POLICY_SCHEMA).unwrap_or_default());
static CONFIG: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(CONFIG_SCHEMA).unwrap_or_default());

const MAX_ALTERNATIVES: usize = 64;
const EXAMPLES: usize = 3;
