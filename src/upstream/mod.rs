//! The systems behind: a pool of connections for each api, with its own trust, credentials, timeouts and caps.
//!
//! Comes in: a [`Permit`](crate::policy::Permit) and the request made under it. Goes out: an
//! [`UpstreamResponse`], which nothing but `response` can open, or [`UpstreamError`]. It never follows a
//! redirect and never sends a request twice.

mod answer;
mod config;
mod error;
mod pool;

pub use answer::{UpstreamBody, UpstreamResponse};
pub use config::{Credentials, Timeouts, Trust, UpstreamConfig};
pub use error::{Phase, SetupError, UpstreamError};
pub use pool::{Load, Upstreams};
