//! The authenticated caller and the connection it came over.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The other end of a connection, as the listener saw it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Address of the caller.
    pub addr: SocketAddr,
    /// Name of the listener it came in by.
    pub listener: Arc<str>,
    /// Whether the connection is TLS.
    pub tls: bool,
}

/// How a principal was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// An API key of Fieldgate's own.
    ApiKey,
    /// A JWT bearer token.
    Jwt,
    /// Named by a policy test, `apply` or `explain`; never by a request.
    Assumed,
}

impl Method {
    /// The name conditions and the audit use.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiKey => "api-key",
            Self::Jwt => "jwt",
            Self::Assumed => "assumed",
        }
    }
}

/// A person or a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A human being.
    Person,
    /// A service account.
    Service,
}

/// The authenticated caller. Its identity is `(issuer, id)`, never the name.
#[derive(Clone, Debug)]
pub struct Principal {
    issuer: Arc<str>,
    id: Arc<str>,
    name: Option<Arc<str>>,
    kind: Kind,
    groups: Vec<Arc<str>>,
    roles: Vec<Arc<str>>,
    claims: serde_json::Map<String, serde_json::Value>,
    ip: IpAddr,
    mfa: bool,
    method: Method,
    credential: Option<Arc<str>>,
}

/// The parts of a principal, for the methods of this module and for policy tests ([`Principal::assumed`]).
#[derive(Clone, Debug)]
pub struct Assumed {
    /// Subject.
    pub id: Arc<str>,
    /// Display name.
    pub name: Option<Arc<str>>,
    /// Groups, as bindings name them.
    pub groups: Vec<Arc<str>>,
    /// Roles given directly (by an API key), beside those from bindings.
    pub roles: Vec<Arc<str>>,
    /// Claims that conditions may read.
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// Address.
    pub ip: IpAddr,
    /// Whether a second factor was used.
    pub mfa: bool,
}

impl Principal {
    /// A principal that somebody describes instead of authenticating: for policy tests, `apply` and `explain`.
    pub fn assumed(parts: Assumed) -> Self {
        Self::new("assumed".into(), Kind::Person, Method::Assumed, None, parts)
    }

    pub(super) fn new(
        issuer: Arc<str>,
        kind: Kind,
        method: Method,
        credential: Option<Arc<str>>,
        parts: Assumed,
    ) -> Self {
        let Assumed { id, name, groups, roles, claims, ip, mfa } = parts;
        Self { issuer, id, name, kind, groups, roles, claims, ip, mfa, method, credential }
    }

    /// Who vouches for it: the issuer URL of a token, `keys` for API keys.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The subject; unique within the issuer.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A name for people to read; decides nothing.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Person or service.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Groups, as bindings name them.
    pub fn groups(&self) -> &[Arc<str>] {
        &self.groups
    }

    /// Roles given directly, beside those from bindings.
    pub fn roles(&self) -> &[Arc<str>] {
        &self.roles
    }

    /// Claims that conditions may read.
    pub fn claims(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.claims
    }

    /// The caller's address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Whether a second factor was used.
    pub fn mfa(&self) -> bool {
        self.mfa
    }

    /// How it was authenticated.
    pub fn method(&self) -> Method {
        self.method
    }

    /// A name of the credential for the audit (a key's id, a token's `jti`), never the credential.
    pub fn credential(&self) -> Option<&str> {
        self.credential.as_deref()
    }
}
