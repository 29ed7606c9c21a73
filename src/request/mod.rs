//! Under a permit: what of a caller's request may go upstream, written again from what was judged.
//!
//! Comes in: a [`Permit`](crate::policy::Permit) and the caller's request. Goes out: an [`UpstreamRequest`], or
//! [`Refused`]. The target is rebuilt from the permit's operation, headers pass by a stated list, query
//! parameters name only fields that the caller may query by, and a body holds only what the caller may set. It
//! never opens a connection.

mod apply;
mod asks;
mod batch;
mod collect;
mod headers;
mod outgoing;
mod query;
mod refused;
mod trace;
mod write;

pub use apply::{apply, gather, pre_read};
pub use asks::asks;
pub use batch::apply_batch;
pub use collect::collect;
pub use outgoing::{Applied, Outgoing, UpstreamRequest};
pub use refused::Refused;

/// What a request may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestBounds {
    /// Longest body that is collected.
    pub body_bytes: usize,
    /// Deepest nesting of a JSON body.
    pub depth: usize,
}

impl Default for RequestBounds {
    fn default() -> Self {
        Self { body_bytes: 1 << 20, depth: 128 }
    }
}

/// An error of a body, whatever its type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[cfg(test)]
mod tests;
