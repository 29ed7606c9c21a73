//! Files as written become tables: every name is looked up, every path, condition, mask and unit is parsed, and
//! whatever cannot be served is complained about at its place. All complaints are collected, none stops the rest.

mod answers;
mod batch;
mod errors;
mod guards;
mod invariants;
mod masks;
mod people;
mod remember;
mod resources;
mod restore;
mod routes;
mod selectors;
mod shapes;

pub(super) use routes::writes_one;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::base::Diagnostic;
use crate::rewrite::condition::{ParamTable, Params, Predicate};
use crate::rewrite::{Path, PathError};

use super::keys::MaskKeys;
use super::model::{ResourceId, RoleId, Tables, View};
use super::operation::Action;
use super::router::Router;
use super::source::{Documents, Mark, Word, did_you_mean};
use super::syntax::PolicySet;

/// What a policy is loaded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be looked at: what this version cannot enforce is a warning, and the route or rule is left out so that it
    /// allows nothing.
    Check,
    /// To be served: a rule that would silently be weaker than it is written is an error.
    Serve,
}

/// What compiling gives: tables, the router and the parameters of all conditions.
pub(super) struct Compiled {
    pub(super) tables: Tables,
    pub(super) router: Router,
    pub(super) params: ParamTable,
}

/// Compiles a policy. Complaints are in the report of the documents; the result is usable only if none is an error.
pub(super) fn compile(documents: &Documents, set: &PolicySet, keys: &MaskKeys, purpose: Purpose) -> Compiled {
    let mut compiler = Compiler {
        documents,
        set,
        keys,
        purpose,
        tables: Tables::default(),
        params: ParamTable::default(),
        conditions: HashMap::new(),
        resource_ids: HashMap::new(),
        label_ids: HashMap::new(),
        proving: Cell::new(View::Live),
    };
    compiler.labels();
    compiler.resources();
    compiler.masks();
    compiler.roles();
    compiler.refuse_mask_ties();
    compiler.bindings();
    compiler.guards();
    compiler.limits();
    let router = compiler.routes();
    compiler.approvals_and_alerts();
    compiler.invariants();
    Compiled { tables: compiler.tables, router, params: compiler.params }
}

struct Compiler<'a> {
    documents: &'a Documents,
    set: &'a PolicySet,
    keys: &'a MaskKeys,
    purpose: Purpose,
    tables: Tables,
    params: ParamTable,
    conditions: HashMap<Arc<str>, Option<Arc<Predicate>>>,
    resource_ids: HashMap<Arc<str>, ResourceId>,
    label_ids: HashMap<Arc<str>, usize>,
    /// The rules that invariants are proved of.
    proving: Cell<View>,
}

/// Where a condition stands, which decides what it may read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// Record, principal and request.
    Record,
    /// Principal and request.
    Request,
}

impl Compiler<'_> {
    fn labels(&mut self) {
        for (index, label) in self.set.labels.iter().enumerate() {
            self.label_ids.insert(label.text.clone(), index);
            self.tables.labels.push(label.text.clone());
        }
    }

    /// Compiles a condition; equal texts share one predicate, which the engine evaluates once per record.
    fn condition(&mut self, word: &Word, reads: Reads) -> Option<Arc<Predicate>> {
        let predicate = match self.conditions.get(&word.text) {
            Some(known) => known.clone(),
            None => {
                let compiled = self.compile_condition(word);
                self.conditions.insert(word.text.clone(), compiled.clone());
                compiled
            }
        }?;
        if reads == Reads::Request && !predicate.slots().is_empty() {
            self.documents.error_with_help(
                "record-not-known",
                "this condition is decided before there is a record",
                "read `principal` and `request` only",
                word.mark,
            );
            return None;
        }
        Some(predicate)
    }

    fn compile_condition(&mut self, word: &Word) -> Option<Arc<Predicate>> {
        match Predicate::compile(&word.text, &mut self.params) {
            Ok(predicate) => {
                let never = || (!predicate.could_be_met(&Params::default())).then_some(false);
                if let Some(always) = predicate.constant().or_else(never) {
                    self.tables.constants.insert(word.text.clone(), always);
                }
                Some(Arc::new(predicate))
            }
            Err(error) => {
                let mark = self.documents.part(word, error.offset, 1);
                let diagnostic =
                    Diagnostic::error("bad-condition", error.message).at(self.documents.place(mark));
                self.documents.push(match error.help {
                    Some(help) => diagnostic.help(help),
                    None => diagnostic,
                });
                None
            }
        }
    }

    fn resource(&self, word: &Word) -> Option<ResourceId> {
        let found = self.resource_ids.get(&word.text).copied();
        if found.is_none() {
            self.unknown("resource", word, self.set.resources.iter().map(|r| r.name.as_str()));
        }
        found
    }

    fn role(&self, word: &Word) -> Option<RoleId> {
        let found = self.tables.role_ids.get(&word.text).copied();
        if found.is_none() {
            self.unknown("role", word, self.set.roles.iter().map(|r| r.name.as_str()));
        }
        found
    }

    fn label(&self, word: &Word) -> Option<usize> {
        let found = self.label_ids.get(&word.text).copied();
        if found.is_none() {
            self.unknown("label", word, self.set.labels.iter().map(Word::as_str));
        }
        found
    }

    fn unknown<'c>(&self, what: &str, word: &Word, known: impl Iterator<Item = &'c str> + Clone) {
        let code = match what {
            "resource" => "unknown-resource",
            "role" => "unknown-role",
            "label" => "unknown-label",
            "mask" => "unknown-mask",
            _ => "unknown-name",
        };
        let help = did_you_mean(&word.text, known.clone()).unwrap_or_else(|| listed(what, known));
        self.documents.error_with_help(code, format!("unknown {what} `{}`", word.text), help, word.mark);
    }

    /// A JSONPath from the root of an answer or body.
    fn jsonpath(&self, word: &Word) -> Option<Path> {
        let path = self.path(word, Path::parse_jsonpath(&word.text))?;
        if path.is_chosen() {
            self.documents.error_with_help(
                "chosen-elements",
                format!("`{}` picks elements by a filter or from the end", word.text),
                "only the fields of a resource may: the record is held for it; for whole records write a \
                 `records` condition",
                word.mark,
            );
            return None;
        }
        Some(path)
    }

    /// A field path, relative to a record; `$.x` is taken too, for a field named like a label.
    fn field_path(&self, word: &Word) -> Option<Path> {
        if word.text.starts_with('$') {
            self.jsonpath(word)
        } else {
            self.path(word, Path::parse_field(&word.text))
        }
    }

    /// The place of a field, of which elements may be chosen: `contacts[?@.type == "home"].phone`.
    fn field_place(&self, word: &Word) -> Option<Path> {
        let parse = if word.text.starts_with('$') { Path::parse_jsonpath } else { Path::parse_place };
        self.path(word, parse(&word.text))
    }

    fn path(&self, word: &Word, parsed: Result<Path, PathError>) -> Option<Path> {
        match parsed {
            Ok(path) => Some(path),
            Err(error) => {
                let mark = self.documents.part(word, error.offset, 1);
                self.documents.error("bad-path", error.message, mark);
                None
            }
        }
    }

    /// Says that something is read and not enforced. `weaker`: what is served would allow more than is written.
    fn not_enforced(&self, what: &str, then: &str, weaker: bool, mark: Mark) {
        let message = format!("{what} is read and not enforced by this version: {then}");
        let diagnostic = match (self.purpose, weaker) {
            (Purpose::Serve, true) => Diagnostic::error("not-enforced", message),
            (Purpose::Check, true) => Diagnostic::warning("not-enforced", message)
                .help("`serve` refuses to start with it, as it would allow more than is written"),
            (_, false) => Diagnostic::warning("not-enforced", message),
        };
        self.documents.push(diagnostic.at(self.documents.place(mark)));
    }

    fn warn(&self, code: &'static str, message: String, help: Option<String>, mark: Mark) {
        let diagnostic = Diagnostic::warning(code, message).at(self.documents.place(mark));
        self.documents.push(match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
    }

    /// `policy.yaml:17`.
    fn line_of(&self, mark: Mark) -> Arc<str> {
        let place = self.documents.place_without_path(mark);
        format!("{}:{}", place.file, place.line).into()
    }

    fn action(&self, word: &Word) -> Option<Action> {
        let plain = !word.text.is_empty()
            && word
                .text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
        if !plain {
            self.documents.error_with_help(
                "bad-action",
                format!("`{}` is no name for an action", word.text),
                "write lower-case letters, digits, `_` and `-`",
                word.mark,
            );
            return None;
        }
        Some(Action::of(&word.text))
    }

    fn actions(&self, words: &[Word]) -> Vec<Action> {
        let mut actions: Vec<_> = words.iter().filter_map(|word| self.action(word)).collect();
        actions.sort();
        actions.dedup();
        actions
    }
}

fn listed<'c>(what: &str, known: impl Iterator<Item = &'c str>) -> String {
    let names: Vec<_> = known.take(LISTED).map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        format!("no {what} is declared")
    } else {
        format!("declared: {}", names.join(", "))
    }
}

/// Names listed in a help line.
const LISTED: usize = 12;
