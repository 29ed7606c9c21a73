//! What the deployment says about callers. `app` fills these types from `fieldgate.yaml`; nothing here reads files
//! except the CA and the key files that an issuer names.

mod check;
mod methods;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::Secret;

use super::key_text;
use super::principal::{Kind, Method, Subject};

pub use methods::{
    CertificateAuthority, CertificateName, FrontProxy, Introspection, PasswordUser, Passwords, Throttle,
    TokenCarrier, VendorTokens,
};

pub(super) use check::is_trust_domain;

/// Who may call, and how they say who they are.
pub struct Config {
    /// Keys written into the configuration, for a demo or a first try.
    pub keys: Vec<StaticKey>,
    /// How fresh the keys of the store are.
    pub stored_keys: StoredKeys,
    /// Issuers whose JWTs are accepted.
    pub issuers: Vec<Issuer>,
    /// Authorities over client certificates.
    pub authorities: Vec<CertificateAuthority>,
    /// HTTP Basic.
    pub passwords: Option<Passwords>,
    /// Where opaque tokens are asked about.
    pub introspection: Option<Introspection>,
    /// Proxies in front that say who is calling.
    pub front_proxies: Vec<FrontProxy>,
    /// Systems behind whose own tokens are taken.
    pub vendors: Vec<VendorTokens>,
    /// Peers whose `X-Forwarded-For` counts. The caller's address is the right-most one in it that is not itself in
    /// this list.
    pub trusted_proxies: Vec<IpNet>,
    /// Query parameters (folded to lower case) that would carry a credential: a request with one is refused. An
    /// upstream that wants such a parameter gets it from the gateway, not from the caller.
    pub refused_query_parameters: Vec<String>,
    /// Longest credential in bytes.
    pub max_credential_bytes: usize,
}

/// How fresh the keys of the store are.
#[derive(Clone, Copy, Debug)]
pub struct StoredKeys {
    /// A change (a revocation above all) is in force after at most this long.
    pub max_lag: Duration,
    /// While the store cannot be read, the keys last read stay valid for this long; then all are refused.
    pub max_stale: Duration,
}

/// A key written into the configuration.
pub struct StaticKey {
    /// What the audit calls it.
    pub id: Arc<str>,
    /// What the caller sends: at least 8 characters of `A-Z a-z 0-9 - _ ~ + /`. It should be a reference to a secret
    /// of 32 characters or more everywhere but in a demo.
    pub key: Secret<String>,
    /// Whom it stands for.
    pub owner: KeyOwner,
    /// From when it is refused.
    pub expires: Option<Timestamp>,
    /// Refused from now on.
    pub disabled: bool,
}

/// Whom a key stands for. Its JSON form is what the store keeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyOwner {
    /// The principal's id.
    pub principal: String,
    /// The issuer that vouches for this principal otherwise, so that a person's key and tokens count as one person.
    /// Without it: `keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// A name for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A person or a service.
    #[serde(default)]
    pub kind: Kind,
    /// Groups, as bindings name them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Roles given directly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What the key is for; conditions read it as `principal.claims.scopes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Claims that conditions may read.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// Where it may be used from; empty: anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<IpNet>,
    /// Counts as a second factor. Only for keys that are themselves held behind one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mfa: bool,
}

/// An issuer whose JWTs are accepted (OpenID Connect, RFC 9068).
#[derive(Clone)]
pub struct Issuer {
    /// Exactly what tokens say in `iss`.
    pub issuer: Arc<str>,
    /// A token must be meant for at least one of these (`aud`).
    pub audiences: Vec<String>,
    /// The algorithms that this issuer signs with. Nothing else is tried, whatever a token says.
    pub algorithms: Vec<Algorithm>,
    /// Where its keys come from.
    pub keys: KeySource,
    /// Certificates to trust instead of the system's, PEM, when its keys are fetched.
    pub ca_file: Option<PathBuf>,
    /// Fetch its keys without TLS although it is not on this machine. For closed networks only.
    pub allow_plain_http: bool,
    /// By how much clocks may differ.
    pub skew: Duration,
    /// Keys older than this are fetched again.
    pub refresh: Duration,
    /// Keys older than this are not used any more: how long an issuer may be out of reach.
    pub max_age: Duration,
    /// Between two fetches lies at least this, whatever tokens name as their key.
    pub cooldown: Duration,
    /// Which claims mean what.
    pub claims: ClaimNames,
}

/// Where an issuer's keys come from.
#[derive(Clone)]
pub enum KeySource {
    /// From `<issuer>/.well-known/openid-configuration`, and the `jwks_uri` there.
    Discovery,
    /// From this address.
    Url(String),
    /// These, a JWK Set as text. A key that is too weak keeps the gateway from starting.
    Fixed(String),
}

/// Which claims mean what. A name with dots is a path (`realm_access.roles`) unless it holds `://`; `\.` is a dot
/// within a name.
#[derive(Clone, Debug)]
pub struct ClaimNames {
    /// The name for people to read.
    pub name: String,
    /// Where groups are: texts, or lists of texts.
    pub groups: Vec<String>,
    /// Values of `amr` that mean a second factor (RFC 8176).
    pub mfa_amr: Vec<String>,
    /// Values of `acr` that mean a second factor.
    pub mfa_acr: Vec<String>,
}

/// A signature algorithm (RFC 7518, RFC 8037). There is no `none`, and nothing with a shared secret: with one, who
/// checks tokens could also make them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

/// Something in the configuration that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, such as `issuers[0].audiences`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: &'static str,
}

impl KeyOwner {
    /// The subject that a credential of this owner stands for.
    pub(super) fn subject(&self, method: Method, credential: Option<Arc<str>>) -> Subject {
        let mut claims = self.claims.clone();
        if !self.scopes.is_empty() {
            claims.insert("scopes".to_owned(), serde_json::Value::from(self.scopes.clone()));
        }
        Subject {
            issuer: self.issuer.as_deref().unwrap_or(KEYS).into(),
            id: self.principal.as_str().into(),
            name: self.name.as_deref().map(Into::into),
            kind: self.kind,
            groups: self.groups.iter().map(|g| g.as_str().into()).collect(),
            roles: self.roles.iter().map(|r| r.as_str().into()).collect(),
            claims,
            mfa: self.mfa,
            method,
            credential,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            stored_keys: StoredKeys::default(),
            issuers: Vec::new(),
            authorities: Vec::new(),
            passwords: None,
            introspection: None,
            front_proxies: Vec::new(),
            vendors: Vec::new(),
            trusted_proxies: Vec::new(),
            refused_query_parameters: CREDENTIAL_PARAMETERS.iter().map(|&name| name.to_owned()).collect(),
            max_credential_bytes: 16 * 1024,
        }
    }
}

impl Default for StoredKeys {
    fn default() -> Self {
        Self { max_lag: Duration::from_secs(1), max_stale: Duration::from_secs(60) }
    }
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            name: "name".to_owned(),
            groups: vec!["groups".to_owned()],
            mfa_amr: vec!["mfa".to_owned()],
            mfa_acr: Vec::new(),
        }
    }
}

impl Issuer {
    /// An issuer with discovery, the algorithms that most use, and the usual times.
    pub fn new(issuer: &str, audience: &str) -> Self {
        Self {
            issuer: issuer.into(),
            audiences: vec![audience.to_owned()],
            algorithms: vec![Algorithm::Rs256, Algorithm::Es256],
            keys: KeySource::Discovery,
            ca_file: None,
            allow_plain_http: false,
            skew: Duration::from_secs(60),
            refresh: Duration::from_secs(300),
            max_age: Duration::from_secs(3600),
            cooldown: Duration::from_secs(10),
            claims: ClaimNames::default(),
        }
    }
}

impl Algorithm {
    /// The algorithm that a token or a configuration names, exactly.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];
}

impl Config {
    /// Everything that cannot be right, without touching files or the network.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.check_keys(&mut faults);
        for (n, issuer) in self.issuers.iter().enumerate() {
            issuer.check(&format!("issuers[{n}]"), &mut faults);
            if self.issuers.iter().take(n).any(|other| other.issuer == issuer.issuer) {
                faults.push(fault(
                    format!("issuers[{n}].issuer"),
                    format!("`{}` stands here twice", issuer.issuer),
                    "one entry an issuer; `audiences` takes several",
                ));
            }
        }
        self.check_methods(&mut faults);
        faults
    }

    fn check_keys(&self, faults: &mut Vec<Fault>) {
        for (n, key) in self.keys.iter().enumerate() {
            let text = key.key.expose();
            if text.len() < MIN_STATIC_KEY || !text.bytes().all(key_text::is_static_byte) {
                faults.push(fault(
                    format!("keys[{n}].key"),
                    "the key is shorter than 8 characters or has one that cannot be sent".to_owned(),
                    "use 32 or more characters of `A-Z a-z 0-9 - _ ~ + /`",
                ));
            }
            if text.starts_with(key_text::PREFIX) {
                faults.push(fault(
                    format!("keys[{n}].key"),
                    "a key of the configuration looks like one of the store".to_owned(),
                    "keys that start with `fg_` are made by `fieldgate keys create`",
                ));
            }
            if key.owner.principal.is_empty() {
                faults.push(fault(
                    format!("keys[{n}].principal"),
                    format!("key `{}` stands for nobody", key.id),
                    "name the principal",
                ));
            }
            let earlier = self.keys.iter().take(n);
            if earlier.clone().any(|other| other.id == key.id)
                || earlier.clone().any(|other| other.key.expose() == text)
            {
                faults.push(fault(
                    format!("keys[{n}]"),
                    format!("key `{}` stands here twice", key.id),
                    "every key has its own id and its own secret",
                ));
            }
        }
    }
}

impl Issuer {
    fn check(&self, path: &str, faults: &mut Vec<Fault>) {
        let mut complain = |member: &str, message: String, help| {
            faults.push(fault(format!("{path}.{member}"), message, help));
        };
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            complain(
                "audiences",
                format!("`{}` has no audience", self.issuer),
                "name what tokens for this API say in `aud`; without it, tokens for any other program would be accepted",
            );
        }
        if self.algorithms.is_empty() {
            complain("algorithms", format!("`{}` has no algorithm", self.issuer), "for example [RS256]");
        }
        if let Err(message) = check_url(&self.issuer, true) {
            complain("issuer", message, "the issuer is an https URL, exactly as its tokens write it");
        }
        let url = match &self.keys {
            KeySource::Discovery => Some(("issuer", self.issuer.as_ref())),
            KeySource::Url(url) => Some(("keys", url.as_str())),
            KeySource::Fixed(_) => None,
        };
        if let Some((member, url)) = url
            && let Err(message) = check_url(url, self.allow_plain_http)
        {
            complain(member, message, "use https, or say `allow_plain_http: true` on a closed network");
        }
        if self.max_age < self.refresh {
            complain(
                "max_age",
                "keys would be too old before they are fetched again".to_owned(),
                "make `max_age` several times `refresh`",
            );
        }
    }
}

/// Whether something may be fetched from there: https, or http on this machine.
pub(super) fn check_url(url: &str, allow_plain_http: bool) -> Result<http::Uri, String> {
    let uri: http::Uri = url.parse().map_err(|_| format!("`{url}` is not an address"))?;
    let Some(host) = uri.host() else { return Err(format!("`{url}` names no host")) };
    let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if local || allow_plain_http => Ok(uri),
        _ => Err(format!("`{url}` is not an https address")),
    }
}

fn fault(path: String, message: String, help: &'static str) -> Fault {
    Fault { path, message, help }
}

/// Who vouches where the gateway itself does.
const KEYS: &str = "keys";

/// Shorter keys are guessed.
const MIN_STATIC_KEY: usize = 8;

/// Names under which clients are known to put credentials into a query.
const CREDENTIAL_PARAMETERS: [&str; 8] =
    ["access_token", "id_token", "api_key", "apikey", "api-key", "x-api-key", "authorization", "bearer"];
