//! The systems behind: a pool of connections for each api, with its own trust, credentials, timeouts and caps.
//!
//! Comes in: a [`Permit`](crate::policy::Permit) and the request made under it. Goes out: an
//! [`UpstreamResponse`], which nothing but `response` can open, or [`UpstreamError`]. It never follows a
//! redirect, and sends a request again only where that cannot do anything twice ([`Retries`]).

mod admission;
mod answer;
mod config;
mod connect;
mod credential;
mod error;
mod exchange;
mod health;
mod hosts;
mod origin;
mod pool;
mod retry;

pub use answer::{UpstreamBody, UpstreamResponse};
pub use config::{
    Breaker, ClientCertificate, Credentials, Expired, HealthCheck, Http2, Login, LoginBody, OAuth2, Put,
    Retries, SecretReader, Timeouts, TokenAt, TokenKeeper, TokenSource, Trust, UpstreamConfig,
};
pub use credential::Reflections;
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
