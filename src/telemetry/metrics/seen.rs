//! What the stages say of a request, in types.

use std::time::Duration;

use prometheus::IntGauge;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Permitted by the policy.
    Permitted,
    /// A public route: passed without a principal.
    Public,
    /// No principal: 401.
    Unauthenticated,
    /// Refused by the policy.
    Denied,
    /// Refused by a limit.
    Limited,
    /// The request itself was refused: its target, query, body or framing.
    Refused,
    /// Permitted, and then the upstream or Fieldgate failed before the answer began.
    Failed,
}

impl Decision {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Permitted,
        Self::Public,
        Self::Unauthenticated,
        Self::Denied,
        Self::Limited,
        Self::Refused,
        Self::Failed,
    ];

    /// The label value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Permitted => "permitted",
            Self::Public => "public",
            Self::Unauthenticated => "unauthenticated",
            Self::Denied => "denied",
            Self::Limited => "limited",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Why a request to an upstream failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamFailure {
    /// No connection.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// Too many requests are running already.
    Busy,
    /// It did not answer in time.
    Timeout,
    /// The connection ended early.
    Closed,
    /// It broke HTTP.
    Protocol,
    /// Its answer could not be screened.
    Unscreenable,
    /// None of its hosts is well.
    Open,
    /// There is no credential for it, or none that may be used.
    Credential,
}

impl UpstreamFailure {
    /// The label value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Busy => "busy",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::Unscreenable => "unscreenable",
            Self::Open => "open",
            Self::Credential => "credential",
        }
    }
}

/// Which connection bytes went over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Between callers and us.
    Downstream,
    /// Between us and upstreams.
    Upstream,
}

/// One request that ended.
#[derive(Clone, Copy, Debug)]
pub struct RequestSeen<'r> {
    /// The route as the policy writes it; `None` where none matched.
    pub route: Option<&'r str>,
    /// The action, where the route has one.
    pub action: Option<&'r str>,
    /// The status answered.
    pub status: u16,
    /// What was decided.
    pub decision: Decision,
    /// From the head to the last byte.
    pub duration: Duration,
}

/// Something counted in a gauge for as long as this lives.
#[derive(Debug)]
pub struct Gauged(IntGauge);

impl Gauged {
    pub(super) fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Gauged {
    fn drop(&mut self) {
        self.0.dec();
    }
}
