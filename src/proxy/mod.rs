//! The pipeline: the whole life of a request on one screen.

mod reject;

pub use reject::Reject;
