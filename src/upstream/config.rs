//! How one upstream is reached.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Uri};

use crate::base::Secret;

/// One api's upstream, as `fieldgate.yaml` describes it.
#[derive(Clone)]
pub struct UpstreamConfig {
    /// The api, as the policy names it.
    pub api: Arc<str>,
    /// Scheme, host, port and a path prefix (`https://crm.internal:8443/base`).
    pub base: Uri,
    /// The `Host` it is sent; `None`: that of `base`.
    pub host: Option<Arc<str>>,
    /// Whose certificates are trusted.
    pub trust: Trust,
    /// Whether HTTP/2 is offered by ALPN (https only).
    pub http2: bool,
    /// How the gateway identifies itself.
    pub credentials: Credentials,
    /// The timeouts.
    pub timeouts: Timeouts,
    /// Requests in flight, from sending to the last byte of the answer.
    pub max_connections: usize,
    /// Requests waiting for one of those; the next is refused.
    pub max_pending: usize,
    /// Whether answers are asked for in `gzip`: worth it over a long line, a waste within one machine room.
    pub compression: bool,
    /// Whether answers may claim `Content-Encoding: gzip` and be plain (a fault of some servers, such as Tryton):
    /// then the first two bytes decide.
    pub sniff_gzip: bool,
}

/// Whose certificates are trusted.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// The machine's certificate authorities.
    #[default]
    System,
    /// Those of this PEM file, and no others.
    File(PathBuf),
    /// Those of this PEM text, and no others.
    Pem(Arc<[u8]>),
}

/// How the gateway identifies itself to the upstream. The caller's own credentials never go on, unless `Pass`.
#[derive(Clone)]
pub enum Credentials {
    /// Not at all.
    None,
    /// A header.
    Header {
        /// Its name.
        name: HeaderName,
        /// Its value, such as `Bearer …`.
        value: Secret<String>,
    },
    /// By the caller's own token, if it is one that may go there.
    Pass,
}

/// How long each phase may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Waiting for a free connection slot.
    pub pending: Duration,
    /// Name resolution, TCP and TLS.
    pub connect: Duration,
    /// From sending until the head of the answer.
    pub first_byte: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
    /// All of it.
    pub total: Duration,
    /// How long an unused connection is kept; less than the upstream keeps it, or a request may meet the closing
    /// connection. Five seconds are the default of several servers.
    pub keep_alive: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            pending: Duration::from_secs(1),
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            total: Duration::from_secs(3600),
            keep_alive: Duration::from_secs(4),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::upstream) fn config(base: &str) -> UpstreamConfig {
        UpstreamConfig {
            api: "crm".into(),
            base: base.parse().unwrap(),
            host: None,
            trust: Trust::System,
            http2: false,
            credentials: Credentials::None,
            timeouts: Timeouts::default(),
            max_connections: 8,
            max_pending: 0,
            compression: true,
            sniff_gzip: false,
        }
    }
}
