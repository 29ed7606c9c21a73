//! Paths into JSON: RFC 9535 JSONPath, parsed by jsonpath-rust behind a guard, and the dotted form of policies.

/// A place, from the root of an answer or of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(pub Vec<Step>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// The member of an object with this (decoded) name.
    Name(Box<str>),
    /// Every element of an array: `[*]`.
    Elements,
    /// Every member of an object or element of an array: `.*` in JSONPath.
    Any,
    /// One element, from the front.
    Index(u64),
    /// Elements `start..end` by `step`, all from the front.
    Slice {
        /// First index.
        start: u64,
        /// Index after the last; `None`: to the end.
        end: Option<u64>,
        /// Stride, at least 1.
        step: u64,
    },
    /// The following step at any depth, here or below: `..`.
    Descend,
}

/// Why a path was refused, and where in its text (byte offset).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PathError {
    /// What is wrong, with help.
    pub message: String,
    /// Byte offset in the text.
    pub offset: usize,
}
