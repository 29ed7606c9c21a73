//! The only way from an upstream's answer to a caller's: [`transform()`].
//!
//! Comes in: a [`Permit`](crate::policy::Permit) and an [`UpstreamResponse`](crate::upstream::UpstreamResponse).
//! Goes out: a response whose body rewrites itself while it streams, or [`Unscreenable`], while nothing has been
//! sent yet. Whatever cannot be decoded, parsed or bounded is not passed on.

mod body;
mod content;
mod errors;
mod headers;
mod judge;
mod origin;
mod screen;
mod transform;
mod unscreenable;
mod veil;
mod watch;

pub use body::{Outcome, Rewritten, StreamError};
pub use content::{Stated, media_type};
pub use errors::{declared, is_told};
pub use judge::judge;
pub use transform::{ClientFacts, transform};
pub use unscreenable::Unscreenable;
