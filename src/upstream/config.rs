//! How one upstream is reached.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method, StatusCode, Uri};

use crate::base::Secret;

/// One api's upstream, as `fieldgate.yaml` describes it.
#[derive(Clone)]
pub struct UpstreamConfig {
    /// The api, as the policy names it.
    pub api: Arc<str>,
    /// Its hosts: scheme, host, port and a path prefix (`https://crm.internal:8443/base`). They hold the same.
    pub bases: Vec<Uri>,
    /// The `Host` they are sent; `None`: that of the base.
    pub host: Option<Arc<str>>,
    /// Whose certificates are trusted.
    pub trust: Trust,
    /// What the gateway shows when the upstream asks for a certificate.
    pub certificate: Option<ClientCertificate>,
    /// Whether HTTP/2 is spoken.
    pub http2: Http2,
    /// How the gateway identifies itself.
    pub credentials: Credentials,
    /// The timeouts.
    pub timeouts: Timeouts,
    /// Requests in flight, from sending to the last byte of the answer.
    pub max_connections: usize,
    /// Requests waiting for one of those; the next is refused.
    pub max_pending: usize,
    /// What is sent a second time.
    pub retries: Retries,
    /// When a host is left alone.
    pub breaker: Breaker,
    /// How hosts are asked whether they are well; `None`: only requests tell.
    pub health: Option<HealthCheck>,
    /// Whether answers are asked for in `gzip`: worth it over a long line, a waste within one machine room.
    pub compression: bool,
    /// Whether answers may claim `Content-Encoding: gzip` and be plain (a fault of some servers, such as Tryton):
    /// then the first two bytes decide.
    pub sniff_gzip: bool,
}

impl UpstreamConfig {
    /// One host, and the usual for everything else.
    pub fn new(api: Arc<str>, base: Uri) -> Self {
        Self {
            api,
            bases: vec![base],
            host: None,
            trust: Trust::System,
            certificate: None,
            http2: Http2::Offered,
            credentials: Credentials::None,
            timeouts: Timeouts::default(),
            max_connections: 100,
            max_pending: 1_000,
            retries: Retries::default(),
            breaker: Breaker::default(),
            health: None,
            compression: false,
            sniff_gzip: false,
        }
    }
}

/// Whether HTTP/2 is spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2 {
    /// No.
    Never,
    /// Over TLS where both sides agree on it (ALPN).
    Offered,
    /// From the first byte, without TLS (RFC 9113 section 3.3).
    Known,
}

/// What is sent a second time: requests without a connection, and idempotent ones (RFC 9110 section 9.2.2) whose
/// connection broke before an answer began. A body that passes as it comes is never sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often one request may be sent again.
    pub attempts: u32,
    /// Of a hundred requests, how many may be sent again; a few more after a quiet time.
    pub budget_percent: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 1, budget_percent: 20 }
    }
}

/// When a host is left alone: after failures in a row, for a time that doubles while it does not recover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row: no connection, no answer in time, a broken answer, 502, 503, 504.
    pub failures: u32,
    /// How long it is left alone at first; then one request tries it.
    pub open: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, open: Duration::from_secs(10) }
    }
}

/// How a host is asked whether it is well: by `GET`, without credentials; a status below 400 says yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// Path and query.
    pub target: Uri,
    /// How often.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// After how many failures in a row a host gets no requests, until it is well again.
    pub failures: u32,
}

/// A certificate and its private key, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, followed by those above it.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
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
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Not at all.
    None,
    /// By the caller's own token, if it is one that may go there.
    Pass,
    /// By something secret of its own.
    Own {
        /// Where it comes from.
        source: TokenSource,
        /// Where requests carry it.
        put: Put,
        /// How the upstream says that it is no longer good.
        expired: Expired,
    },
}

/// Where a credential comes from.
#[derive(Clone, Debug)]
pub enum TokenSource {
    /// It is the secret.
    Fixed(SecretReader),
    /// RFC 6749: client credentials (section 4.4), or a refresh token (section 6).
    OAuth2(Box<OAuth2>),
    /// A login request.
    Login(Box<Login>),
}

/// A client of an OAuth 2.0 token endpoint.
#[derive(Clone, Debug)]
pub struct OAuth2 {
    /// The token endpoint.
    pub token_url: Uri,
    /// The client.
    pub client_id: Arc<str>,
    /// Its secret.
    pub client_secret: SecretReader,
    /// A refresh token; `None`: client credentials.
    pub refresh_token: Option<SecretReader>,
    /// Keeps the one that the provider gave last over a restart.
    pub keeper: Option<TokenKeeper>,
    /// What is asked for.
    pub scopes: Vec<Arc<str>>,
    /// Further parameters, such as `audience`.
    pub parameters: Vec<(Arc<str>, Arc<str>)>,
    /// Whose certificates are trusted there; `None`: those that are trusted for the upstream.
    pub trust: Option<Trust>,
    /// Whether client and secret stand in the body instead of `Authorization: Basic` (section 2.3.1).
    pub in_body: bool,
}

/// A login request, as a recipe.
#[derive(Clone, Debug)]
pub struct Login {
    /// The method.
    pub method: Method,
    /// Path and query below the first base.
    pub target: Uri,
    /// The body; `{{name}}` in its texts is replaced by a secret.
    pub body: LoginBody,
    /// The secrets, by name.
    pub secrets: Vec<(Arc<str>, SecretReader)>,
    /// Where the token stands in the answer.
    pub token: TokenAt,
    /// How long the token is used; `None`: until it counts as expired.
    pub lifetime: Option<Duration>,
}

/// The body of a login request.
#[derive(Clone, Debug)]
pub enum LoginBody {
    /// There is none.
    Empty,
    /// JSON.
    Json(serde_json::Value),
    /// A form.
    Form(Vec<(String, String)>),
}

/// Where a token stands in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenAt {
    /// In its JSON body, behind these members.
    Body(Vec<String>),
    /// In a header.
    Header(HeaderName),
    /// In a cookie that it sets.
    Cookie(String),
}

/// Where requests carry a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// In a header, behind a prefix such as `Bearer `.
    Header(HeaderName, Arc<str>),
    /// In a cookie.
    Cookie(Arc<str>),
    /// In a query parameter.
    Query(Arc<str>),
}

/// How an upstream says that a token is no longer good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// By one of these statuses.
    pub statuses: Vec<StatusCode>,
    /// By one of these values behind members of a short JSON answer.
    pub body: Option<(Vec<String>, Vec<serde_json::Value>)>,
}

impl Default for Expired {
    fn default() -> Self {
        Self { statuses: vec![StatusCode::UNAUTHORIZED], body: None }
    }
}

/// Reads a secret from where it is, now and again. What it gives is never shown.
#[derive(Clone)]
pub struct SecretReader {
    read: Arc<dyn Fn() -> Result<Secret<String>, String> + Send + Sync>,
    /// After what time it is read again.
    pub(super) again: Option<Duration>,
}

impl SecretReader {
    /// `read` may block; the text of its error is for the operator and holds nothing secret.
    pub fn new(
        read: impl Fn() -> Result<Secret<String>, String> + Send + Sync + 'static,
        again: Option<Duration>,
    ) -> Self {
        Self { read: Arc::new(read), again }
    }

    /// Reads it.
    pub fn read(&self) -> Result<Secret<String>, String> {
        (self.read)()
    }
}

type Load = dyn Fn() -> Option<Secret<String>> + Send + Sync;
type Save = dyn Fn(&Secret<String>) -> Result<(), String> + Send + Sync;

/// Keeps a refresh token that the provider exchanges: the one in the configuration is worthless afterwards.
#[derive(Clone)]
pub struct TokenKeeper {
    load: Arc<Load>,
    save: Arc<Save>,
}

impl TokenKeeper {
    /// Both may block; the text of the error is for the operator and holds nothing secret.
    pub fn new(
        load: impl Fn() -> Option<Secret<String>> + Send + Sync + 'static,
        save: impl Fn(&Secret<String>) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self { load: Arc::new(load), save: Arc::new(save) }
    }

    /// The one that was kept last, if there is one.
    pub fn load(&self) -> Option<Secret<String>> {
        (self.load)()
    }

    /// Keeps one.
    pub fn save(&self, token: &Secret<String>) -> Result<(), String> {
        (self.save)(token)
    }
}

impl fmt::Debug for TokenKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKeeper")
    }
}

impl fmt::Debug for SecretReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretReader")
    }
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
            http2: Http2::Never,
            max_connections: 8,
            max_pending: 0,
            compression: true,
            retries: Retries { attempts: 0, budget_percent: 0 },
            ..UpstreamConfig::new("crm".into(), base.parse().unwrap())
        }
    }

    #[test]
    fn secrets_do_not_show_in_descriptions() {
        let secret = SecretReader::new(|| Ok(Secret::new("canary".to_owned())), None);
        let credentials = Credentials::Own {
            source: TokenSource::Fixed(secret),
            put: Put::Cookie("sid".into()),
            expired: Expired::default(),
        };
        assert!(!format!("{credentials:?}").contains("canary"));
    }
}
