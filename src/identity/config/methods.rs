//! What the deployment says about callers who bring neither an API key nor a JWT.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Uri};
use ipnet::IpNet;

use crate::base::Secret;
use crate::rewrite::Path;

use super::{ClaimNames, KeyOwner};
use crate::identity::principal::Kind;

/// One authority over client certificates, and whom its certificates stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateAuthority {
    /// What it is called: the issuer of its principals, except for SPIFFE ids, whose issuer is their trust domain.
    pub name: Arc<str>,
    /// Its certificates, PEM.
    pub ca_file: PathBuf,
    /// Its revocation lists, PEM; one for every authority in a chain. Empty: nothing is ever revoked.
    pub crl_files: Vec<PathBuf>,
    /// What of a certificate names the caller.
    pub subject: CertificateName,
    /// Person or service.
    pub kind: Kind,
    /// Groups of everybody with such a certificate.
    pub groups: Vec<String>,
    /// Whether the organizational units of the subject are groups, too.
    pub unit_groups: bool,
    /// Whether such a certificate counts as a second factor: only where its key is in hardware behind a PIN.
    pub mfa: bool,
}

/// What of a certificate names the caller. Exactly one name of that kind must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// The SPIFFE id, of this trust domain.
    Spiffe {
        /// Such as `prod.example`.
        trust_domain: Arc<str>,
    },
    /// The URI among the alternative names.
    Uri,
    /// The host name among the alternative names.
    Dns,
    /// The e-mail address among the alternative names.
    Email,
    /// The common name of the subject.
    CommonName,
    /// All of the subject, as RFC 4514 writes it.
    Distinguished,
    /// Nothing: it opens the connection, and another credential names the caller.
    Nothing,
}

/// HTTP Basic (RFC 7617).
pub struct Passwords {
    /// Who has one.
    pub users: Vec<PasswordUser>,
    /// What failures lead to.
    pub throttle: Throttle,
    /// For how long a password that was right is taken without computing its hash again.
    pub remember: Duration,
    /// Hashes computed at the same time; each takes the memory that it says.
    pub parallel: usize,
}

/// A person with a password.
pub struct PasswordUser {
    /// What is typed.
    pub login: Arc<str>,
    /// The argon2 hash in PHC form, as `fieldgate keys hash` prints it.
    pub hash: Secret<String>,
    /// Whom it stands for.
    pub owner: KeyOwner,
}

/// How many wrong passwords are borne.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// By one login from one address. One address may fail ten times as often, one login from all addresses twenty
    /// times.
    pub failures: u32,
    /// Within this time.
    pub window: Duration,
}

/// Token introspection (RFC 7662): the issuer is asked about each token that is not a JWT of a known issuer.
pub struct Introspection {
    /// Who vouches.
    pub issuer: Arc<str>,
    /// The endpoint.
    pub url: Uri,
    /// Who the gateway is there.
    pub client_id: String,
    /// And its secret.
    pub client_secret: Secret<String>,
    /// A token must be meant for at least one of these. Empty: the answer need not say.
    pub audiences: Vec<String>,
    /// Certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Longest time for an answer.
    pub timeout: Duration,
    /// For how long an answer is believed: a revoked token is dead after this.
    pub remember: Duration,
    /// Which members mean what.
    pub claims: ClaimNames,
    /// By how much clocks may differ.
    pub skew: Duration,
}

/// A proxy in front that says who is calling.
#[derive(Clone, Debug)]
pub struct FrontProxy {
    /// Its addresses, as the connection shows them.
    pub peers: Vec<IpNet>,
    /// Its client certificates: authority and subject. If there are addresses, too, both must fit.
    pub certificates: Vec<(Arc<str>, Arc<str>)>,
    /// Who vouches: the issuer of its principals.
    pub issuer: Arc<str>,
    /// The header with the id.
    pub id: HeaderName,
    /// The header with a name for people to read.
    pub name: Option<HeaderName>,
    /// The header with the groups.
    pub groups: Option<HeaderName>,
    /// What stands between groups.
    pub separator: char,
    /// The header that tells of a second factor, and its values that do.
    pub mfa: Option<(HeaderName, Vec<String>)>,
}

/// Tokens of a system behind: it is asked whom one stands for.
#[derive(Clone, Debug)]
pub struct VendorTokens {
    /// What the tokens are called: the issuer of their principals.
    pub name: Arc<str>,
    /// The api that gets them, if it takes the caller's own credential; no other one does.
    pub api: Arc<str>,
    /// Where a caller puts one.
    pub carrier: TokenCarrier,
    /// The call that tells.
    pub url: Uri,
    /// Its body; with one it is a `POST` of JSON.
    pub body: Option<String>,
    /// Certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Where the answer has the id.
    pub id: Path,
    /// Ids that stand for nobody, such as that of a guest.
    pub nobody: Vec<String>,
    /// Where the answer has a name for people to read.
    pub display_name: Option<Path>,
    /// Where the answer has groups.
    pub groups: Vec<Path>,
    /// Longest time for an answer.
    pub timeout: Duration,
    /// For how long an answer is believed.
    pub remember: Duration,
    /// For how long a refusal is.
    pub remember_refusal: Duration,
}

/// Where a caller puts a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenCarrier {
    /// `Authorization`, with this scheme.
    Authorization(Arc<str>),
    /// A header of its own.
    Header(HeaderName),
    /// A cookie.
    Cookie(Arc<str>),
    /// A query parameter, which is taken out before anything else looks at the address.
    Query(Arc<str>),
}

impl Default for Throttle {
    fn default() -> Self {
        Self { failures: 5, window: Duration::from_secs(300) }
    }
}
