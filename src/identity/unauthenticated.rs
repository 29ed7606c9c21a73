//! Why somebody is nobody.

use std::sync::Arc;
use std::time::Duration;

/// Why a request has no principal. The caller is told [`Unauthenticated::PUBLIC`] whatever the reason is; the
/// reason goes to the record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// No credential.
    #[error("no credential")]
    Missing,
    /// More than one credential, also if they are equal.
    #[error("more than one credential")]
    Several,
    /// A credential in the address.
    #[error("credential in the query")]
    InQuery,
    /// A cookie that a browser sent along because another site made it call.
    #[error("cookie sent on behalf of another site")]
    CrossSite,
    /// A scheme that nothing here takes.
    #[error("unsupported authentication scheme")]
    Scheme,
    /// Not the grammar of RFC 6750, or too long.
    #[error("malformed credential")]
    Malformed,
    /// No such API key, or the secret is wrong.
    #[error("unknown key")]
    UnknownKey,
    /// The key is over.
    #[error("key `{0}` has expired")]
    Expired(String),
    /// The key was revoked or disabled.
    #[error("key `{0}` is revoked")]
    Revoked(String),
    /// The key is not meant for this address.
    #[error("key `{0}` is not meant for this network")]
    Network(String),
    /// Nobody has this login, or the password is wrong.
    #[error("unknown login or wrong password")]
    Password,
    /// Too many wrong passwords; when to come back.
    #[error("too many wrong passwords")]
    Throttled(Duration),
    /// The client certificate is refused.
    #[error("certificate refused: {0}")]
    Certificate(#[from] CertificateFault),
    /// A front proxy's header cannot be read.
    #[error("identity header `{0}` cannot be read")]
    Header(Box<str>),
    /// The system behind does not know the token, or does not say whom it stands for.
    #[error("system `{0}` knows nobody by this token")]
    Vendor(Arc<str>),
    /// The token is refused.
    #[error("token refused: {0}")]
    Token(#[from] TokenFault),
    /// A trusted proxy wrote an address that cannot be read.
    #[error("forwarded address cannot be read")]
    Forwarded,
    /// Whether it is somebody cannot be found out now: the store or the issuer cannot be reached.
    #[error("{0} cannot be reached")]
    Unavailable(&'static str),
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Not three parts of canonical base64url.
    #[error("not three parts of base64url")]
    Encoding,
    /// A header or claims that are no plain JSON object; also a member twice.
    #[error("not a JSON object, or a member twice")]
    Json,
    /// A header member that is not supported or never accepted.
    #[error("header member `{0}` refused")]
    Header(&'static str),
    /// An algorithm that this issuer does not use.
    #[error("algorithm not allowed")]
    Algorithm,
    /// Nobody whose tokens are accepted.
    #[error("issuer not known")]
    Issuer,
    /// The issuer has no such key.
    #[error("signing key not known")]
    Key,
    /// The signature is wrong.
    #[error("signature wrong")]
    Signature,
    /// For somebody else.
    #[error("audience is another")]
    Audience,
    /// Over.
    #[error("expired")]
    Expired,
    /// Not yet valid, or issued in the future.
    #[error("not yet valid")]
    NotYetValid,
    /// A claim that is missing or not of its type.
    #[error("claim `{0}` missing or malformed")]
    Claim(&'static str),
    /// The issuer says that it is not, or no longer, in force.
    #[error("not active")]
    Inactive,
    /// Bound to a key that the caller would have to prove to hold (RFC 7800), which a bearer does not.
    #[error("token is bound to a key")]
    Bound,
}

/// Why a client certificate stands for nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// No authority vouches for it now: it is not one of theirs, or is over, or revoked.
    #[error("no authority vouches for it: {0}")]
    NotVouched(Arc<str>),
    /// It does not have exactly one name of the kind that its authority's callers are known by.
    #[error("it has no single {0}")]
    Name(&'static str),
    /// Its SPIFFE id is malformed, or of another trust domain.
    #[error("its SPIFFE id is malformed or of another trust domain")]
    Spiffe,
    /// It cannot be read.
    #[error("it cannot be read")]
    Malformed,
}

/// A refused request: why, and how it could be made again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    /// The reason, for the record.
    pub why: Unauthenticated,
    /// The method that was tried, for metrics: `none` where nothing was presented.
    pub method: &'static str,
    /// Whether passwords are taken here.
    pub(super) passwords: bool,
}

impl Refusal {
    /// The `WWW-Authenticate` fields (RFC 9110 section 11.6.1): every scheme that is taken here.
    pub fn challenges(&self) -> impl Iterator<Item = &'static str> {
        let basic = self.passwords.then_some("Basic realm=\"fieldgate\", charset=\"UTF-8\"");
        std::iter::once(self.why.challenge()).chain(basic)
    }

    /// Whether it is our fault rather than the caller's: 503 instead of 401.
    pub fn is_unavailable(&self) -> bool {
        self.why.is_unavailable()
    }

    /// When to come back, where coming at once is useless: 429 instead of 401.
    pub fn throttled(&self) -> Option<Duration> {
        match self.why {
            Unauthenticated::Throttled(wait) => Some(wait),
            _ => None,
        }
    }
}

impl Unauthenticated {
    /// What the caller is told, whatever the reason.
    pub const PUBLIC: &'static str = "authentication required";

    /// The `WWW-Authenticate` field (RFC 6750 section 3): whether something was presented, not what was wrong.
    pub(super) fn challenge(&self) -> &'static str {
        match self {
            Self::Missing => "Bearer realm=\"fieldgate\"",
            Self::Several
            | Self::InQuery
            | Self::CrossSite
            | Self::Scheme
            | Self::Malformed
            | Self::UnknownKey
            | Self::Expired(_)
            | Self::Revoked(_)
            | Self::Network(_)
            | Self::Password
            | Self::Throttled(_)
            | Self::Certificate(_)
            | Self::Header(_)
            | Self::Vendor(_)
            | Self::Token(_)
            | Self::Forwarded
            | Self::Unavailable(_) => "Bearer realm=\"fieldgate\", error=\"invalid_token\"",
        }
    }

    /// Whether it is our fault rather than the caller's: 503 instead of 401.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
