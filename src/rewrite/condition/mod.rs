//! Conditions over records, principals and requests, compiled to a small tree over numbered places.
//!
//! [`Predicate`] evaluates over two arrays: *slots*, what the record says at the paths the condition names, and
//! *params*, the values of the principal and the request, bound once per request. Three-valued as in CEL: a missing
//! member or a wrong type is an error, `&&` and `||` absorb errors, and an error at the top means *not met*. A slot
//! whose path occurs twice in the record makes the whole condition not met.
//!
//! # The language
//!
//! CEL, in the subset listed here; everything else is refused when the policy is loaded.
//!
//! * Variables: `record` (any path; names that are no identifiers as `record["a b"]`), `principal` (`id name groups
//!   roles claims ip mfa method`), `request` (`method path query action resource time`).
//! * Literals: texts, whole numbers, doubles, `true`, `false`, `null`, lists.
//! * `&& || ! ?:`, `== != < <= > >=`, `in` (lists, members of an object, members of the record), `+ - * / %`.
//! * `has(record.a.b)`, which as in CEL is an error where `a` is missing (so `a` as a whole must be readable);
//!   `list.exists(x, …)`, `list.all(x, …)`, `list.exists_one(x, …)`, `list.filter(x, …)`, `list.map(x, …)`,
//!   `list.map(x, …, …)`.
//! * `size`, `startsWith`, `endsWith`, `contains`, `lowerAscii`, `upperAscii`, `matches` (linear, RE2 syntax, the
//!   pattern a constant), `int`, `double`, `string`, `timestamp`, `duration`, the `get…` parts of times and
//!   durations, and Fieldgate's own `ip_in(text, "10.0.0.0/8", …)`.
//!
//! # Where it is stricter or wider than CEL
//!
//! * `==` and `!=` between different types (other than `null`, which may be compared with anything) are errors, so
//!   that `record.owner != principal.id` does not become true because one of them is a number.
//! * Numbers compare by value, exactly for 64-bit whole numbers. Whole and other numbers may be mixed in arithmetic,
//!   because JSON does not tell `10` from `10.0`; overflow, division by zero and infinities are errors.
//! * Whole numbers beyond 64 bits are read as doubles; where two such are equal as doubles, comparing them is an error.
//! * One evaluation may take a bounded number of steps (nested `exists` over long lists), of which elements that `map`
//!   and `filter` keep count sixteen; beyond it is not met.

mod calculate;
mod compile;
mod evaluate;
mod functions;
mod json;
mod kind;
mod macros;
mod params;
mod parse;
mod possible;
mod time;
mod value;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::evaluate::{Env, Node};
use super::path::Path;

pub use evaluate::Fault;
pub use functions::function_uses;
pub use params::{Param, ParamRoot, ParamTable, Params};
pub use value::{Slot, Unreadable, Value};

/// A compiled condition.
#[derive(Clone, Debug)]
pub struct Predicate {
    source: Arc<str>,
    slots: Vec<Path>,
    params: Vec<Box<str>>,
    reads: Vec<usize>,
    root: Arc<Node>,
}

/// Equal conditions have equal texts, and so one meaning: what a text means does not depend on the plan.
impl PartialEq for Predicate {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Predicate {
    /// Compiles a condition in CEL. The variables are `record`, `principal` and `request`; the stated subset is
    /// listed in the module doc. Everything else is refused with its place.
    ///
    /// `params` is the table shared by all conditions of a plan: names such as `principal.claims.region` are
    /// looked up in it and appended if new; the index is what the predicate keeps.
    pub fn compile(source: &str, params: &mut ParamTable) -> Result<Self, ConditionError> {
        compile::compile(source, params)
    }

    /// The condition as it was written; equal texts are equal conditions.
    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// The places in the record that decide.
    pub fn slots(&self) -> &[Path] {
        &self.slots
    }

    /// The names of the parameters it reads.
    pub fn params(&self) -> &[Box<str>] {
        &self.params
    }

    /// Their indexes in the [`ParamTable`] it was compiled with, sorted.
    pub fn reads(&self) -> &[usize] {
        &self.reads
    }

    /// Whether it depends on the record; if not, `is_met(&[], params)` decides it once for a request.
    pub fn reads_record(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Whether it depends on the caller.
    pub fn reads_principal(&self) -> bool {
        self.params.iter().any(|name| name.starts_with("principal"))
    }

    /// Whether it depends on the request.
    pub fn reads_request(&self) -> bool {
        self.params.iter().any(|name| name.starts_with("request"))
    }

    /// What it always gives, if it depends on nothing.
    pub fn constant(&self) -> Option<bool> {
        match &*self.root {
            Node::Const(Value::Bool(always)) => Some(*always),
            _ => None,
        }
    }

    /// Whether the condition is met. `slots` in the order of [`Predicate::slots`], `params` of the
    /// [`ParamTable`] it was compiled with.
    pub fn is_met(&self, slots: &[Slot], params: &Params) -> bool {
        self.judge(slots, params) == Ok(true)
    }

    /// Like [`Predicate::is_met`], with the reason why it could not be decided.
    pub fn judge(&self, slots: &[Slot], params: &Params) -> Result<bool, Fault> {
        if slots.iter().any(|slot| matches!(slot, Slot::Ambiguous)) {
            return Err(Fault::Ambiguous);
        }
        let env = Env::new(slots, params);
        let truth = self.root.truth(&env);
        // Running out of steps is final: `||` must not absorb it.
        if env.is_exhausted() { Err(Fault::Exhausted) } else { truth }
    }
}

/// Why a condition was refused, and where in its text (byte offset).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConditionError {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Byte offset in the condition.
    pub offset: usize,
}
