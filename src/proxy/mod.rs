//! The pipeline: the whole life of a request on one screen.

mod listener;
mod patience;
mod reject;
mod strictness;
mod tls;

pub use listener::{ConnectionBounds, Handler, Life, Listener};
pub use reject::Reject;
pub use strictness::{HeadBounds, Speaks, Strict, Verdict, Violation};
pub use tls::{Certificate, TlsError, TlsFiles};
