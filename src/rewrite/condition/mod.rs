//! Conditions over records, principals and requests, compiled to a small tree over numbered places.
//!
//! [`Predicate`] evaluates over two arrays: *slots*, what the record says at the paths the condition names, and
//! *params*, the values of the principal and the request, bound once per request. Three-valued as in CEL: a missing
//! member or a wrong type is an error, `&&` and `||` absorb errors, and an error at the top means *not met*. A slot
//! whose path occurs twice in the record makes the whole condition not met.

use std::sync::Arc;

use super::path::Path;

/// A value in a condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number beyond `i64`.
    UInt(u64),
    /// Any other number; finite.
    Double(f64),
    /// A text.
    Text(Arc<str>),
    /// A list.
    List(Arc<[Value]>),
    /// An object; names in order of appearance, no duplicates.
    Map(Arc<[(Arc<str>, Value)]>),
    /// A point in time.
    Time(jiff::Timestamp),
    /// A length of time.
    Span(jiff::SignedDuration),
}

/// What the record says at one place.
#[derive(Clone, Debug, PartialEq)]
pub enum Slot {
    /// The place does not occur.
    Missing,
    /// It occurs once.
    Found(Value),
    /// It occurs more than once, or what stands there cannot be read (too long, too large a container): the
    /// condition is not met.
    Ambiguous,
}

/// The values of the principal and the request that conditions name, in the order of [`Predicate::params`].
pub type Params = Arc<[Option<Value>]>;

/// A compiled condition.
#[derive(Clone, Debug)]
pub struct Predicate {
    slots: Vec<Path>,
    params: Vec<Box<str>>,
}

impl Predicate {
    /// Compiles a condition in CEL. The variables are `record`, `principal` and `request`; the stated subset is
    /// listed in the module doc of `condition/compile.rs`. Everything else is refused with its place.
    ///
    /// `params` is the table shared by all conditions of a plan: names such as `principal.claims.region` are
    /// looked up in it and appended if new; the index is what the predicate keeps.
    pub fn compile(source: &str, params: &mut ParamTable) -> Result<Self, ConditionError> {
        let _ = (source, params);
        todo!("conditions")
    }

    /// The places in the record that decide.
    pub fn slots(&self) -> &[Path] {
        &self.slots
    }

    /// The names of the parameters it reads.
    pub fn params(&self) -> &[Box<str>] {
        &self.params
    }

    /// Whether the condition is met. `slots` in the order of [`Predicate::slots`].
    pub fn is_met(&self, slots: &[Slot], params: &[Option<Value>]) -> bool {
        let _ = (slots, params);
        todo!("conditions")
    }
}

/// The names of all parameters that the conditions of one plan read, each once.
#[derive(Clone, Debug, Default)]
pub struct ParamTable {
    names: Vec<Box<str>>,
}

impl ParamTable {
    /// The names (`principal.id`, `principal.claims.region`, `request.method` …), in order of index.
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// The index of a name, added if new.
    pub fn index(&mut self, name: &str) -> usize {
        if let Some(found) = self.names.iter().position(|n| n.as_ref() == name) {
            return found;
        }
        self.names.push(name.into());
        self.names.len() - 1
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
