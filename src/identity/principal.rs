//! The authenticated caller and the connection it came over.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::certificate::PeerCertificate;

/// The other end of a connection, as the listener saw it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Who is connected.
    pub addr: SocketAddr,
    /// For whom it says to be connected, where it is a balancer that is listed for that (PROXY protocol).
    pub announced: Option<SocketAddr>,
    /// Name of the listener it came in by.
    pub listener: Arc<str>,
    /// Whether the connection is TLS.
    pub tls: bool,
    /// The host that the TLS handshake named.
    pub server_name: Option<Arc<str>>,
    /// The certificate that the caller showed and has the key of.
    pub certificate: Option<Arc<PeerCertificate>>,
}

impl Peer {
    /// Who calls: the announced client, or whoever is connected. A peer is trusted by [`Peer::addr`] only.
    pub fn caller(&self) -> IpAddr {
        self.announced.unwrap_or(self.addr).ip().to_canonical()
    }
}

/// How a principal was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// An API key of Fieldgate's own.
    ApiKey,
    /// A JWT bearer token.
    Jwt,
    /// A token that its issuer was asked about (RFC 7662).
    Introspection,
    /// A client certificate.
    Certificate,
    /// HTTP Basic.
    Password,
    /// The word of a proxy in front.
    FrontProxy,
    /// A token of a system behind, which was asked about it.
    Vendor,
    /// Named by a policy test, `apply` or `explain`; never by a request.
    Assumed,
}

impl Method {
    /// The name conditions and the audit use.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiKey => "api-key",
            Self::Jwt => "jwt",
            Self::Introspection => "introspection",
            Self::Certificate => "certificate",
            Self::Password => "basic",
            Self::FrontProxy => "front-proxy",
            Self::Vendor => "vendor-token",
            Self::Assumed => "assumed",
        }
    }
}

/// A person or a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A human being.
    #[default]
    Person,
    /// A service account.
    Service,
}

/// The authenticated caller. Its identity is `(issuer, id)`, never the name. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Principal {
    subject: Arc<Subject>,
    ip: IpAddr,
    /// The certificate it was authenticated by, if that is how.
    certificate: Option<Arc<PeerCertificate>>,
}

/// Everything of a principal that does not change from one request to the next, so that a key's is made once.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) issuer: Arc<str>,
    pub(super) id: Arc<str>,
    pub(super) name: Option<Arc<str>>,
    pub(super) kind: Kind,
    pub(super) groups: Vec<Arc<str>>,
    pub(super) roles: Vec<Arc<str>>,
    pub(super) claims: serde_json::Map<String, serde_json::Value>,
    pub(super) mfa: bool,
    pub(super) method: Method,
    pub(super) credential: Option<Arc<str>>,
}

#[cfg(test)]
impl Subject {
    pub(super) fn for_tests(id: &str) -> Self {
        Self {
            issuer: "tests".into(),
            id: id.into(),
            name: None,
            kind: Kind::Person,
            groups: Vec::new(),
            roles: Vec::new(),
            claims: serde_json::Map::new(),
            mfa: false,
            method: Method::Assumed,
            credential: None,
        }
    }
}

/// The parts of a principal that policy tests, `apply` and `explain` describe ([`Principal::assumed`]).
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
        let Assumed { id, name, groups, roles, claims, ip, mfa } = parts;
        let issuer = "assumed".into();
        let (kind, method) = (Kind::Person, Method::Assumed);
        let subject =
            Subject { issuer, id, name, kind, groups, roles, claims, mfa, method, credential: None };
        Self::new(Arc::new(subject), ip)
    }

    pub(super) fn new(subject: Arc<Subject>, ip: IpAddr) -> Self {
        Self { subject, ip, certificate: None }
    }

    /// The same, with the certificate that it was authenticated by.
    pub(super) fn by_certificate(self, certificate: Option<Arc<PeerCertificate>>) -> Self {
        Self { certificate, ..self }
    }

    pub(super) fn certificate(&self) -> Option<&Arc<PeerCertificate>> {
        self.certificate.as_ref()
    }

    /// Who vouches for it: the issuer URL of a token; `keys` for an API key, unless it stands for somebody whom an
    /// issuer vouches for.
    pub fn issuer(&self) -> &str {
        &self.subject.issuer
    }

    /// The subject; unique within the issuer.
    pub fn id(&self) -> &str {
        &self.subject.id
    }

    /// A name for people to read; decides nothing.
    pub fn name(&self) -> Option<&str> {
        self.subject.name.as_deref()
    }

    /// Person or service.
    pub fn kind(&self) -> Kind {
        self.subject.kind
    }

    /// Groups, as bindings name them.
    pub fn groups(&self) -> &[Arc<str>] {
        &self.subject.groups
    }

    /// Roles given directly, beside those from bindings.
    pub fn roles(&self) -> &[Arc<str>] {
        &self.subject.roles
    }

    /// Claims that conditions may read.
    pub fn claims(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.subject.claims
    }

    /// The caller's address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Whether a second factor was used.
    pub fn mfa(&self) -> bool {
        self.subject.mfa
    }

    /// How it was authenticated.
    pub fn method(&self) -> Method {
        self.subject.method
    }

    /// A name of the credential for the audit (a key's id, a token's `jti`), never the credential.
    pub fn credential(&self) -> Option<&str> {
        self.subject.credential.as_deref()
    }
}
