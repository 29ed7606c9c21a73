//! What goes wrong upstream.

use std::sync::Arc;

use http::StatusCode;

/// Why the upstream gave no (whole) answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The api has no upstream in the configuration.
    #[error("no upstream is configured for api `{0}`")]
    Unknown(Arc<str>),
    /// All connections are busy and enough requests are waiting.
    #[error("too many requests in flight")]
    Busy,
    /// No host is well.
    #[error("every host failed lately and is left alone")]
    Open,
    /// The gateway has no credential for it.
    #[error("no credential: {0}")]
    Credential(Arc<str>),
    /// The caller's credential would hold for a whole connection, which others share.
    #[error("the caller's credential is bound to a connection")]
    ConnectionBound,
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(Arc<str>),
    /// It took too long.
    #[error("timed out: {0}")]
    Timeout(Phase),
    /// The answer breaks HTTP, or ended before its end.
    #[error("broken answer: {0}")]
    Broken(Arc<str>),
    /// The caller's own body failed while it was passed on.
    #[error("the caller's body failed")]
    Request,
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Phase {
    /// Connecting.
    #[error("connect")]
    Connect,
    /// The head of the answer.
    #[error("first byte")]
    FirstByte,
    /// The next piece of the answer.
    #[error("idle")]
    Idle,
    /// The whole exchange.
    #[error("total")]
    Total,
}

impl UpstreamError {
    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unknown(_) | Self::Connect(_) | Self::Credential(_) | Self::Broken(_) => {
                StatusCode::BAD_GATEWAY
            }
            Self::Busy | Self::Open => StatusCode::SERVICE_UNAVAILABLE,
            Self::ConnectionBound => StatusCode::FORBIDDEN,
            Self::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Request => StatusCode::BAD_REQUEST,
        }
    }

    /// The text for the caller: a constant.
    pub fn public(&self) -> &'static str {
        match self {
            Self::Unknown(_) | Self::Connect(_) | Self::Open | Self::Credential(_) => {
                "the system behind the gateway cannot be reached"
            }
            Self::Broken(_) => "the system behind the gateway gave no valid answer",
            Self::Busy => "the system behind the gateway is busy",
            Self::ConnectionBound => "this way to log in is not supported",
            Self::Timeout(_) => "the system behind the gateway took too long",
            Self::Request => "the body could not be read",
        }
    }

    /// A stable name for metrics and the audit.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown",
            Self::Busy => "busy",
            Self::Open => "open",
            Self::Credential(_) => "credential",
            Self::ConnectionBound => "connection_bound",
            Self::Connect(_) => "connect",
            Self::Timeout(_) => "timeout",
            Self::Broken(_) => "broken",
            Self::Request => "request",
        }
    }
}

/// Why an upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The base URL is not `http://` or `https://` with a host, or has a query.
    #[error("api `{api}`: `{base}` is not an http or https base url")]
    Base {
        /// The api.
        api: Arc<str>,
        /// The URL.
        base: String,
    },
    /// Certificate authorities that cannot be read.
    #[error("api `{api}`: certificate authorities cannot be read: {reason}")]
    Trust {
        /// The api.
        api: Arc<str>,
        /// Why.
        reason: String,
    },
    /// A client certificate that cannot be used.
    #[error("api `{api}`: the client certificate cannot be used: {reason}")]
    Certificate {
        /// The api.
        api: Arc<str>,
        /// Why.
        reason: String,
    },
    /// A value that cannot stand in a header.
    #[error("api `{api}`: the {what} cannot stand in a header")]
    Header {
        /// The api.
        api: Arc<str>,
        /// Which value.
        what: &'static str,
    },
    /// Two upstreams for one api.
    #[error("api `{0}` has two upstreams")]
    Duplicate(Arc<str>),
}
