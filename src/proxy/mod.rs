//! The pipeline: the whole life of a request on one screen.

mod reject;
mod strictness;

pub use reject::Reject;
pub use strictness::{HeadBounds, Speaks, Strict, Verdict, Violation};
