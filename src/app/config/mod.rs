//! `fieldgate.yaml`, typed: addresses, certificates, upstreams, identity providers, store, audit, logs.
//!
//! Comes in: a YAML file. Goes out: a [`Config`] in which every value has been checked as far as that is possible
//! without opening anything, and a report of everything wrong with it, each complaint with its line. Paths are
//! relative to the file. Unknown keys are errors. A secret is named by environment variable or file, never written
//! down.

mod identity;
mod read;
mod secret;
mod units;
mod upstream;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Uri};

use crate::base::{Place, Report};
use crate::policy::source::Documents;
use crate::proxy::{Announcers, ConnectionBounds, TlsFiles};
use crate::request::RequestBounds;
use crate::upstream::{
    Breaker, ClientCertificate, Expired, HealthCheck, Http2, LoginBody, Put, Retries, Timeouts, TokenAt,
    Trust,
};

pub use identity::{IdentityConfig, Places};
pub use secret::{SecretAt, SecretSource};

/// A deployment.
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// Where callers come in, by name; at least one.
    pub listeners: Vec<ListenerConfig>,
    /// Where operators look, if anywhere.
    pub admin: Option<AdminConfig>,
    /// The systems behind, by the api's name in the policy.
    pub apis: Vec<ApiConfig>,
    /// Who callers are.
    pub identity: IdentityConfig,
    /// The directory of the policy's files.
    pub policies: PathBuf,
    /// The directory of a policy in shadow: it decides nothing, and what it would change is told.
    pub shadow_policies: Option<PathBuf>,
    /// Where [`Config::policies`] is named.
    pub policies_place: Place,
    /// What seals what callers are given to bring back; `None`: a key that nobody knows.
    pub sealing: Option<SealingConfig>,
    /// Keys that masks use, by the name the policy gives them.
    pub secrets: Vec<(Arc<str>, SecretSource)>,
    /// What survives a restart.
    pub store: StoreConfig,
    /// The audit log.
    pub audit: AuditConfig,
    /// The program's own log and the access log.
    pub logs: LogsConfig,
    /// What requests may cost.
    pub bounds: BoundsConfig,
    /// How long running requests may take to end when the gateway is told to stop.
    pub drain: Duration,
}

/// One listener.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Its name, for logs, metrics and the audit.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its certificate; `None`: plain.
    pub tls: Option<TlsFiles>,
    /// Whether HTTP/2 is spoken beside HTTP/1.1.
    pub http2: bool,
    /// The peers that speak the PROXY protocol.
    pub announcers: Announcers,
    /// What callers know it by, such as `https://crm.example.com`; `None`: what they connect to.
    pub public_url: Option<Box<str>>,
    /// Where it is described.
    pub place: Place,
}

/// The admin listener.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it is described.
    pub place: Place,
}

/// One api's upstream.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// The api, as the policy names it.
    pub name: Arc<str>,
    /// Its hosts: scheme, host, port and a path prefix.
    pub urls: Vec<Uri>,
    /// The `Host` it is sent.
    pub host: Option<Arc<str>>,
    /// Whose certificates are trusted.
    pub trust: Trust,
    /// What the gateway shows when it is asked for a certificate.
    pub certificate: Option<ClientCertificate>,
    /// Whether HTTP/2 is spoken to it.
    pub http2: Http2,
    /// Whether its entity tags are withheld from callers.
    pub withhold_etags: bool,
    /// How the gateway identifies itself.
    pub credential: CredentialConfig,
    /// The timeouts.
    pub timeouts: Timeouts,
    /// Requests in flight.
    pub max_connections: usize,
    /// Requests waiting.
    pub max_pending: usize,
    /// What is sent again.
    pub retries: Retries,
    /// When a host is left alone.
    pub breaker: Breaker,
    /// How hosts are asked whether they are well.
    pub health: Option<HealthCheck>,
    /// Whether a claim of gzip is checked against the first bytes.
    pub sniff_gzip: bool,
    /// Whether compressed answers are asked for.
    pub compression: bool,
    /// Where it is described.
    pub place: Place,
}

/// How the gateway identifies itself to an upstream.
#[derive(Clone, Debug)]
pub enum CredentialConfig {
    /// Not at all.
    None,
    /// By something secret of its own.
    Own {
        /// Where it comes from.
        source: Box<SourceConfig>,
        /// Where requests carry it.
        put: Put,
        /// How the upstream says that it is no longer good.
        expired: Expired,
    },
    /// By the caller's own `Authorization`.
    Pass,
}

/// Where a credential for an upstream comes from.
#[derive(Clone, Debug)]
pub enum SourceConfig {
    /// It is the secret.
    Fixed(SecretSource),
    /// A token endpoint.
    OAuth2(Box<OAuth2Config>),
    /// A login request.
    Login(Box<LoginConfig>),
}

/// A client of an OAuth 2.0 token endpoint.
#[derive(Clone, Debug)]
pub struct OAuth2Config {
    /// The token endpoint.
    pub token_url: Uri,
    /// The client.
    pub client_id: Arc<str>,
    /// Its secret.
    pub client_secret: SecretSource,
    /// A refresh token.
    pub refresh_token: Option<SecretSource>,
    /// The file that keeps the one the provider gave last.
    pub refresh_state: Option<PathBuf>,
    /// What is asked for.
    pub scopes: Vec<Arc<str>>,
    /// Further parameters.
    pub parameters: Vec<(Arc<str>, Arc<str>)>,
    /// Whose certificates are trusted there; `None`: as for the upstream.
    pub trust: Option<Trust>,
    /// Whether client and secret stand in the body.
    pub in_body: bool,
}

/// A login request.
#[derive(Clone, Debug)]
pub struct LoginConfig {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: Uri,
    /// The body.
    pub body: LoginBody,
    /// The secrets in it, by name.
    pub secrets: Vec<(Arc<str>, SecretSource)>,
    /// Where the token stands in the answer.
    pub token: TokenAt,
    /// How long it is used.
    pub lifetime: Option<Duration>,
}

/// What seals what callers are given to bring back.
#[derive(Clone, Debug)]
pub struct SealingConfig {
    /// Seals and opens.
    pub key: SecretSource,
    /// Opens what was sealed before the key was exchanged.
    pub previous_key: Option<SecretSource>,
}

/// Where the store is.
#[derive(Clone, Debug)]
pub enum StoreConfig {
    /// In memory: gone at the end.
    Memory,
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL URL, which holds a password.
    Url(SecretSource),
}

/// The audit log.
#[derive(Clone, Debug)]
pub struct AuditConfig {
    /// The directory of its files.
    pub dir: PathBuf,
    /// When a file is closed and the next one begun.
    pub segment_bytes: u64,
    /// When records are forced to the disk.
    pub sync: SyncConfig,
    /// Signs the chain.
    pub key: Option<SecretSource>,
    /// Requests whose records may be under way.
    pub max_in_flight: usize,
}

/// When audit records are forced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncConfig {
    /// When the system does.
    Never,
    /// Before the answer's last byte.
    Always,
    /// At least this often.
    Every(Duration),
}

/// Logs.
#[derive(Clone, Debug)]
pub struct LogsConfig {
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,fieldgate::proxy=debug`.
    pub level: Arc<str>,
    /// Whether the log is JSON lines.
    pub json: bool,
    /// The access log, if there is one.
    pub access: Option<AccessLogConfig>,
}

/// The access log.
#[derive(Clone, Debug)]
pub struct AccessLogConfig {
    /// A file; `None`: standard output.
    pub file: Option<PathBuf>,
    /// JSON lines, or the combined format.
    pub json: bool,
}

/// What requests may cost.
#[derive(Clone, Debug)]
pub struct BoundsConfig {
    /// Connections and heads.
    pub connection: ConnectionBounds,
    /// Bodies.
    pub request: RequestBounds,
    /// How long a body may take to arrive.
    pub body_time: Duration,
}

impl Default for BoundsConfig {
    fn default() -> Self {
        Self {
            connection: ConnectionBounds::default(),
            request: RequestBounds::default(),
            body_time: Duration::from_secs(60),
        }
    }
}

impl Config {
    /// Reads a configuration file. `None`: the report says what is wrong with it.
    pub fn load(path: &Path) -> (Option<Self>, Report) {
        let mut documents = Documents::new();
        let node = documents.read(path);
        let config = node.and_then(|node| read::config(&documents, path, &node));
        let report = documents.into_report();
        (config.filter(|_| !report.has_errors()), report)
    }

    /// Reads a configuration from a text, as if it stood in the file `path`.
    pub fn parse(path: &Path, text: &str) -> (Option<Self>, Report) {
        let mut documents = Documents::new();
        let node = documents.parse(path.display().to_string().into(), text.into());
        let config = node.and_then(|node| read::config(&documents, path, &node));
        let report = documents.into_report();
        (config.filter(|_| !report.has_errors()), report)
    }

    /// Directories whose changes may change what is served: those of the file, the policy and the certificates.
    pub fn watched(&self) -> Vec<PathBuf> {
        let folder = |file: &Path| match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let certificates = self.listeners.iter().filter_map(|listener| listener.tls.as_ref());
        let mut all: Vec<_> = certificates.map(|tls| folder(&tls.certificate)).collect();
        let authorities = self.identity.authorities();
        all.extend(authorities.iter().flat_map(|authority| authority.files()).map(|file| folder(file)));
        all.extend([folder(&self.file), self.policies.clone()]);
        all.extend(self.shadow_policies.clone());
        all.sort();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests;
