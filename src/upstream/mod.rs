//! The systems behind: a pool of connections for each api, with its own trust, credentials, timeouts and caps.
//!
//! Comes in: a [`Permit`](crate::policy::Permit) and the request made under it. Goes out: an
//! [`UpstreamResponse`], which nothing but `response` can open, or [`UpstreamError`]. It never follows a
//! redirect, and a request of which a byte went out is never sent again.

mod admission;
mod answer;
mod config;
mod connect;
mod error;
mod exchange;
mod origin;
mod pool;

pub use answer::{UpstreamBody, UpstreamResponse};
pub use config::{Credentials, Timeouts, Trust, UpstreamConfig};
pub use error::{Phase, SetupError, UpstreamError};
pub use pool::{Load, Upstreams};

#[cfg(test)]
#[expect(dead_code, reason = "shared with the integration tests, which use the rest")]
#[path = "../../tests/it/support/pki.rs"]
mod pki;
#[cfg(test)]
#[expect(dead_code, reason = "shared with the integration tests, which use the rest")]
#[path = "../../tests/it/support/upstream.rs"]
mod scripted;
#[cfg(test)]
mod tests;
