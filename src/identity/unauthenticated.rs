//! Why somebody is nobody.

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
    /// A scheme other than `Bearer`.
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
    /// Bound to a key that the caller would have to prove to hold (RFC 7800), which a bearer does not.
    #[error("token is bound to a key")]
    Bound,
}

impl Unauthenticated {
    /// What the caller is told, whatever the reason.
    pub const PUBLIC: &'static str = "authentication required";

    /// The `WWW-Authenticate` field (RFC 6750 section 3): whether something was presented, not what was wrong.
    pub fn challenge(&self) -> &'static str {
        match self {
            Self::Missing => "Bearer realm=\"fieldgate\"",
            Self::Several
            | Self::InQuery
            | Self::Scheme
            | Self::Malformed
            | Self::UnknownKey
            | Self::Expired(_)
            | Self::Revoked(_)
            | Self::Network(_)
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
