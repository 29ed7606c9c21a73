//! Masks: how a value is replaced. One row of one table for each kind: name, parameters, strength, doc, test.

use std::fmt;

/// A JSON scalar as a mask sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'v> {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A number, as its text stands in the answer.
    Number(&'v str),
    /// A text, decoded.
    Text(&'v str),
}

/// What a masked value becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Masked {
    /// `null`.
    Null,
    /// A number, as JSON text.
    Number(String),
    /// A text, decoded; the engine escapes it.
    Text(String),
    /// `true` or `false` (only by a constant).
    Bool(bool),
}

/// A mask, ready to apply. Cheap to share; holds its key where it needs one.
pub struct Mask {
    name: Box<str>,
}

/// What a mask reveals; the lower, the less. Ordered by kind first, by parameters within a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Strength {
    /// The kind's place in: blank, stars, constant, hash, pseudonym, fpe, bucket, round, date, detect, email, keep.
    pub kind: u8,
    /// Within the kind: more is more revealing.
    pub within: u64,
}

impl Mask {
    /// The name the policy gives it (`phone`), or that of the built-in (`blank`, `stars`, `zero`).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How much it reveals.
    pub fn strength(&self) -> Strength {
        todo!("masks")
    }

    /// What `value` becomes. Keeps the type: text masks act on texts, number masks on numbers, anything else
    /// becomes `null`.
    pub fn apply(&self, value: Scalar<'_>) -> Masked {
        let _ = value;
        todo!("masks")
    }

    /// Whether `value` could have been written by this mask: used to recognise a masked value that is sent back.
    pub fn could_have_written(&self, value: Scalar<'_>) -> bool {
        let _ = value;
        todo!("masks")
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mask").field("name", &self.name).finish_non_exhaustive()
    }
}
