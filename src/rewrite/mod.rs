//! The engine: bytes in, bytes out. It knows no HTTP, no policy and no person.
//!
//! A [`RewritePlan`] says where the records of an answer are, what of the envelope around them may pass, and
//! for every record type which fields are shown, masked or hidden under which conditions. A [`Rewriter`] takes
//! the answer in chunks of any size and writes the rewritten answer: constant memory, bytes outside touched
//! values identical, and an error ([`Cut`]) for anything that is not strictly well-formed; whatever was written
//! before a cut is safe, and nothing follows it. A record is held back (bounded) only when a condition or a type
//! discriminator needs it.

pub mod charset;
pub mod codec;
pub mod condition;
pub mod mask;

mod automaton;
mod batch;
mod counts;
mod csv;
mod json;
mod output;
mod path;
mod plan;
#[cfg(any(test, fuzzing))]
mod reference;
mod rewriter;
mod scan;
mod sse;

pub use automaton::TooLarge;
pub use batch::{Batch, BatchItem, Neutral};
pub use counts::{Counts, FieldCount, Share};
pub(crate) use csv::rows as csv_rows;
pub use output::{Output, Pieces};
pub use path::{Choice, Filter, Path, PathError, Step};
pub use plan::{
    Access, Bounds, Columns, Csv, Cut, CutReason, Format, Grant, Layout, Pairs, RecordRule, Records,
    RewritePlan, RuleId, RuleRef, Selector, Total, TotalOnHold,
};
pub use rewriter::Rewriter;

#[cfg(test)]
mod tests;
#[cfg(any(test, fuzzing))]
pub(crate) mod trial;
