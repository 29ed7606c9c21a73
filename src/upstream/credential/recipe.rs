//! How a token is got: read, asked of a token endpoint, or given for a login.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use percent_encoding::utf8_percent_encode;
use serde_json::Value;
use tracing::warn;

use crate::base::Secret;
use crate::request::collect;

use super::{RESERVED, behind};
use crate::upstream::config::{
    Http2, Login, LoginBody, OAuth2, SecretReader, TokenAt, TokenSource, UpstreamConfig,
};
use crate::upstream::connect::Connector;
use crate::upstream::error::{SetupError, UpstreamError};
use crate::upstream::origin::Origin;

/// How a token is got.
pub(super) enum Recipe {
    Fixed(SecretReader),
    OAuth2(Box<OAuth2>, Asker),
    Login(Box<Login>, Origin, Asker),
}

/// The refresh token that was given last.
#[derive(Default)]
pub(super) struct Refresh {
    given: Option<Secret<String>>,
    /// Whether what was kept before the start has been looked at: it is tried once.
    looked: bool,
}

/// A token that was just got.
pub(super) struct Fresh {
    pub(super) value: Secret<String>,
    /// How long it is to be used.
    pub(super) lifetime: Option<Duration>,
}

/// Why there is none. What the other side said is not repeated: it may hold what it was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum RenewError {
    #[error("{0}")]
    Secret(String),
    #[error("the login cannot be written as a request")]
    Request,
    #[error("the login is not reached")]
    Unreachable,
    #[error("the login takes longer than {PATIENCE:?}")]
    Timeout,
    #[error("the login is answered with status {0}")]
    Status(StatusCode),
    #[error("the answer to the login is broken or longer than {MAX_BODY} bytes")]
    Broken,
    #[error("the answer to the login holds no token")]
    NoToken,
}

impl Recipe {
    pub(super) fn new(config: &UpstreamConfig, source: &TokenSource) -> Result<Self, SetupError> {
        match source {
            TokenSource::Fixed(secret) => Ok(Self::Fixed(secret.clone())),
            TokenSource::OAuth2(oauth2) => {
                // The gateway's certificate is for the upstream only.
                let own = config.bases.iter().any(|base| base.authority() == oauth2.token_url.authority());
                let config = UpstreamConfig {
                    trust: oauth2.trust.clone().unwrap_or_else(|| config.trust.clone()),
                    certificate: config.certificate.clone().filter(|_| own),
                    ..config.clone()
                };
                let asker = Asker::new(&config, &oauth2.token_url)?;
                Ok(Self::OAuth2(oauth2.clone(), asker))
            }
            TokenSource::Login(login) => {
                let base = config.bases.first().cloned().unwrap_or_default();
                let origin = Origin::new(config, &base)?;
                Ok(Self::Login(login.clone(), origin, Asker::new(config, &base)?))
            }
        }
    }

    pub(super) fn is_fixed(&self) -> bool {
        matches!(self, Self::Fixed(_))
    }

    /// Gets one. `refresh` is the refresh token that was given last, and takes the next.
    pub(super) async fn fetch(&self, refresh: &mut Refresh) -> Result<Fresh, RenewError> {
        match self {
            Self::Fixed(secret) => Ok(Fresh { value: read(secret).await?, lifetime: secret.again }),
            Self::OAuth2(oauth2, asker) => ask_provider(oauth2, asker, refresh).await,
            Self::Login(login, origin, asker) => log_in(login, origin, asker).await,
        }
    }
}

async fn ask_provider(oauth2: &OAuth2, asker: &Asker, refresh: &mut Refresh) -> Result<Fresh, RenewError> {
    let secret = read(&oauth2.client_secret).await?;
    if !std::mem::replace(&mut refresh.looked, true)
        && let Some(keeper) = oauth2.keeper.clone()
    {
        let kept = tokio::task::spawn_blocking(move || keeper.load()).await;
        refresh.given = kept.map_err(|_| RenewError::Request)?;
    }
    // One that was given last is used once: if it fails, the next try is with the configured one.
    let token = match (refresh.given.take(), &oauth2.refresh_token) {
        (Some(given), Some(_)) => Some(given),
        (_, Some(configured)) => Some(read(configured).await?),
        (_, None) => None,
    };
    let mut form = Form::default();
    match &token {
        Some(token) => {
            form.add("grant_type", "refresh_token");
            form.add("refresh_token", token.expose());
        }
        None => form.add("grant_type", "client_credentials"),
    }
    if !oauth2.scopes.is_empty() {
        form.add("scope", &oauth2.scopes.join(" "));
    }
    oauth2.parameters.iter().for_each(|(name, value)| form.add(name, value));
    let mut request = Request::post(oauth2.token_url.clone());
    if oauth2.in_body {
        form.add("client_id", &oauth2.client_id);
        form.add("client_secret", secret.expose());
    } else {
        // RFC 6749 section 2.3.1: both are form-encoded first.
        let pair = Secret::new(format!("{}:{}", encoded(&oauth2.client_id), encoded(secret.expose())));
        let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair.expose())))
            .map_err(|_| RenewError::Request)?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let request = request
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, FORM)
        .body(Full::from(form.0.expose().clone()))
        .map_err(|_| RenewError::Request)?;
    let (head, body) = asker.ask(request).await?;
    if head.status != StatusCode::OK {
        return Err(RenewError::Status(head.status));
    }
    let answer: Value = serde_json::from_slice(&body).map_err(|_| RenewError::Broken)?;
    let is_bearer = |kind: &Value| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    if !answer.get("token_type").is_none_or(is_bearer) {
        return Err(RenewError::NoToken);
    }
    if token.is_some() {
        let next = answer.get("refresh_token").and_then(Value::as_str);
        // A provider that gives no new one lets the old one be used again.
        let next = next.map(|next| Secret::new(next.to_owned()));
        if let (Some(next), Some(keeper)) = (next.clone(), oauth2.keeper.clone()) {
            let kept = tokio::task::spawn_blocking(move || keeper.save(&next)).await;
            // The token is good for as long as the gateway runs.
            if let Ok(Err(reason)) = kept {
                warn!(%reason, "the refresh token is not kept for the next start");
            }
        }
        refresh.given = next.or(token);
    }
    let seconds = answer.get("expires_in");
    let seconds = seconds.and_then(|found| found.as_u64().or_else(|| found.as_str()?.parse().ok()));
    let lifetime = seconds.map(|seconds| {
        let all = Duration::from_secs(seconds.min(MAX_LIFETIME_SECS));
        // It is renewed before a request on its way meets its end.
        all.saturating_sub(MARGIN.min(all / 10))
    });
    Ok(Fresh { value: fit(answer.get("access_token"))?, lifetime })
}

async fn log_in(login: &Login, origin: &Origin, asker: &Asker) -> Result<Fresh, RenewError> {
    let mut secrets = Vec::new();
    for (name, secret) in &login.secrets {
        secrets.push((format!("{{{{{name}}}}}"), read(secret).await?));
    }
    let filled = |text: &str| {
        let fill =
            |text: String, (place, secret): &(String, Secret<String>)| text.replace(place, secret.expose());
        secrets.iter().fold(text.to_owned(), fill)
    };
    let (kind, body) = match &login.body {
        LoginBody::Empty => (None, Secret::new(String::new())),
        LoginBody::Json(template) => {
            let mut value = template.clone();
            each_text(&mut value, &filled);
            (Some("application/json"), Secret::new(value.to_string()))
        }
        LoginBody::Form(pairs) => {
            let mut form = Form::default();
            pairs.iter().for_each(|(name, value)| form.add(name, &filled(value)));
            (Some(FORM), form.0)
        }
    };
    let target = origin.target(&login.target).map_err(|_: UpstreamError| RenewError::Request)?;
    let mut request =
        Request::builder().method(login.method.clone()).uri(target).header(ACCEPT, "application/json");
    if let Some(kind) = kind.filter(|_| login.method != Method::GET) {
        request = request.header(CONTENT_TYPE, kind);
    }
    let request = request.body(Full::from(body.expose().clone())).map_err(|_| RenewError::Request)?;
    let (head, body) = asker.ask(request).await?;
    // A login by form often answers with a redirect and a cookie.
    let redirected = head.status.is_redirection() && matches!(login.token, TokenAt::Cookie(_));
    if !head.status.is_success() && !redirected {
        return Err(RenewError::Status(head.status));
    }
    let value = match &login.token {
        TokenAt::Body(members) => {
            let answer: Value = serde_json::from_slice(&body).map_err(|_| RenewError::Broken)?;
            fit(behind(&answer, members))?
        }
        TokenAt::Header(name) => {
            let found = head.headers.get(name).and_then(|value| value.to_str().ok());
            fit(found.map(Value::from).as_ref())?
        }
        TokenAt::Cookie(name) => {
            let set = head.headers.get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
            let mut pairs = set.filter_map(|cookie| cookie.split(';').next()?.split_once('='));
            let found = pairs.find(|(known, _)| known.trim() == name).map(|(_, value)| value.trim());
            fit(found.map(Value::from).as_ref())?
        }
    };
    Ok(Fresh { value, lifetime: login.lifetime })
}

/// Reads a secret where that may block.
async fn read(secret: &SecretReader) -> Result<Secret<String>, RenewError> {
    let secret = secret.clone();
    let found = tokio::task::spawn_blocking(move || secret.read()).await;
    found.map_err(|_| RenewError::Request)?.map_err(RenewError::Secret)
}

/// A token that can be put somewhere.
fn fit(found: Option<&Value>) -> Result<Secret<String>, RenewError> {
    let text = found.and_then(Value::as_str).ok_or(RenewError::NoToken)?;
    let fits =
        !text.is_empty() && text.len() <= MAX_TOKEN && text.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    if fits { Ok(Secret::new(text.to_owned())) } else { Err(RenewError::NoToken) }
}

fn each_text(value: &mut Value, change: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Object(members) => members.values_mut().for_each(|member| each_text(member, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}

/// A form body; it holds secrets.
struct Form(Secret<String>);

impl Default for Form {
    fn default() -> Self {
        Self(Secret::new(String::new()))
    }
}

impl Form {
    fn add(&mut self, name: &str, value: &str) {
        let before = self.0.expose();
        let joint = if before.is_empty() { "" } else { "&" };
        self.0 = Secret::new(format!("{before}{joint}{}={}", encoded(name), encoded(value)));
    }
}

/// Asks a login or a token endpoint: no redirects, everything bounded.
pub(super) struct Asker {
    client: Client<Connector, Full<Bytes>>,
}

impl Asker {
    fn new(config: &UpstreamConfig, base: &Uri) -> Result<Self, SetupError> {
        // One request in a while: HTTP/1.1, and no connection is kept for it.
        let connector = Connector::new(config, base, Http2::Never)?;
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).set_host(true).build(connector);
        Ok(Self { client })
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<(http::response::Parts, Bytes), RenewError> {
        let asking = async {
            let answer = self.client.request(request).await.map_err(|_| RenewError::Unreachable)?;
            let (head, body) = answer.into_parts();
            let body = collect(body, MAX_BODY).await.map_err(|_| RenewError::Broken)?;
            Ok((head, body))
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or(Err(RenewError::Timeout))
    }
}

const FORM: &str = "application/x-www-form-urlencoded";
/// How long a login may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer to a login.
const MAX_BODY: usize = 64 << 10;
/// Longest token.
const MAX_TOKEN: usize = 16 << 10;
/// A token is renewed this long before its end, or a tenth of its time.
const MARGIN: Duration = Duration::from_secs(30);
/// No token is used longer than a year.
const MAX_LIFETIME_SECS: u64 = 365 * 24 * 3600;
