//! One request to one upstream, and the head of its answer.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode, Uri, response};
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tracing::{info, warn};

use crate::base::Clock;
use crate::identity::Carried;
use crate::request::Outgoing;
use crate::telemetry::Metrics;

use super::admission::Admission;
use super::answer::{UpstreamBody, UpstreamResponse};
use super::config::{Credentials, HealthCheck, Http2, Retries, Timeouts, UpstreamConfig};
use super::connect::{ConnectTimeout, Connector};
use super::credential::{Keyring, Token, says_expired};
use super::error::{Phase, SetupError, UpstreamError};
use super::health::Checks;
use super::hosts::{Attempt, Held, Host, Hosts};
use super::origin::Origin;
use super::pool::Load;
use super::retry::{Budget, Replay};

/// One api's upstream, ready to be asked.
pub(super) struct Upstream {
    api: Arc<str>,
    hosts: Hosts,
    /// The hosts' addresses, in their order.
    origins: Arc<[Origin]>,
    admission: Admission,
    credentials: Credential,
    timeouts: Timeouts,
    retries: Retries,
    budget: Budget,
    checks: Option<Checks>,
    accept_encoding: HeaderValue,
    sniff_gzip: bool,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// What it is sent by way of credentials.
enum Credential {
    None,
    Own(Box<Keyring>),
    Pass,
}

/// The head of an answer, and its body under its timeouts.
type Answered = (response::Parts, UpstreamBody);

impl Upstream {
    pub(super) fn new(
        config: &UpstreamConfig,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SetupError> {
        let mut hosts = Vec::new();
        let mut origins = Vec::new();
        for base in &config.bases {
            origins.push(Origin::new(config, base)?);
            let client = client(config, Connector::new(config, base, config.http2)?);
            let name = base.authority().map_or("", |authority| authority.as_str()).to_owned();
            hosts.push(Arc::new(Host::new(client, name, config.breaker)));
        }
        if hosts.is_empty() {
            return Err(SetupError::Base { api: Arc::clone(&config.api), base: String::new() });
        }
        let credentials = match &config.credentials {
            Credentials::None => Credential::None,
            Credentials::Pass => Credential::Pass,
            Credentials::Own { source, put, expired } => {
                let (clock, metrics) = (Arc::clone(&clock), Arc::clone(&metrics));
                Credential::Own(Box::new(Keyring::new(config, source, put, expired, clock, metrics)?))
            }
        };
        let UpstreamConfig { max_connections, max_pending, .. } = *config;
        Ok(Self {
            api: Arc::clone(&config.api),
            hosts: Hosts::new(hosts),
            origins: origins.into(),
            admission: Admission::new(max_connections, max_pending, config.timeouts.pending),
            credentials,
            timeouts: config.timeouts.clone(),
            retries: config.retries,
            budget: Budget::new(config.retries),
            checks: config.health.clone().map(Checks::new),
            accept_encoding: HeaderValue::from_static(if config.compression { "gzip" } else { "identity" }),
            sniff_gzip: config.sniff_gzip,
            clock,
            metrics,
        })
    }

    /// `presented` is the caller's own credential.
    pub(super) async fn exchange(
        &self,
        head: Parts,
        body: Outgoing,
        presented: Option<Carried>,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let started = self.clock.monotonic();
        let deadline = started.saturating_add(self.timeouts.total);
        let head = self.prepared(head, presented)?;
        let slot = self.admission.enter().await?;
        let mut attempt = self.hosts.choose(started, &[]).ok_or(UpstreamError::Open)?;
        let mut held = Held::new(slot, Arc::clone(&attempt.host));
        let mut token = match &self.credentials {
            Credential::Own(keyring) => Some(keyring.current().await?),
            Credential::None | Credential::Pass => None,
        };
        self.budget.earn();
        let replay = Replay::of(&head, &body);
        let mut request = Some((head, body));
        let (mut retries, mut renewed, mut tried) = (self.retries.attempts, false, Vec::new());
        loop {
            let again = || replay.as_ref().map(Replay::request);
            let (head, body) = request.take().or_else(again).ok_or(UpstreamError::Request)?;
            let outcome = self.once(&mut attempt, head, body, token.as_deref(), deadline).await;
            match outcome {
                Ok((head, mut body)) => {
                    if !renewed
                        && let Some(other) = self.other_token(token.as_deref(), &head, &mut body).await?
                    {
                        renewed = true;
                        token = Some(other);
                        if replay.as_ref().is_some_and(Replay::is_idempotent) {
                            self.metrics.upstream_retried(&self.api, "expired");
                            continue;
                        }
                    }
                    body.hold(held);
                    let latency = self.clock.monotonic().saturating_sub(started);
                    let origins = Arc::clone(&self.origins);
                    let mut answer = UpstreamResponse::new(head, body, latency, origins, self.sniff_gzip);
                    if let (Credential::Own(keyring), Some(token)) = (&self.credentials, token.as_deref()) {
                        answer.hide(keyring.parameter(), Keyring::reflections(token));
                    }
                    return Ok(answer);
                }
                Err(error) => {
                    let may = replay.as_ref().is_some_and(|replay| replay.survives(&error));
                    let now = self.clock.monotonic();
                    if !may || retries == 0 || now >= deadline || !self.budget.spend() {
                        return Err(error);
                    }
                    retries -= 1;
                    tried.push(attempt.index);
                    // Where no other host is well, the failure itself says more.
                    let Some(next) = self.hosts.choose(now, &tried) else { return Err(error) };
                    held = held.elsewhere(Arc::clone(&next.host));
                    attempt = next;
                    self.metrics.upstream_retried(&self.api, error.name());
                }
            }
        }
    }

    /// Sends a request to one host and waits for the head of the answer.
    async fn once(
        &self,
        attempt: &mut Attempt,
        mut head: Parts,
        body: Outgoing,
        token: Option<&Token>,
        deadline: Duration,
    ) -> Result<Answered, UpstreamError> {
        let origin = self.origins.get(attempt.index).ok_or(UpstreamError::Open)?;
        head.uri = origin.target(&head.uri)?;
        if let (Credential::Own(keyring), Some(token)) = (&self.credentials, token) {
            let (path, host) = (head.uri.clone().into_parts(), head.uri.clone());
            head.uri = path.path_and_query.map(Uri::from).unwrap_or_default();
            keyring.show(token, &mut head)?;
            head.uri = on(&host, &head.uri).ok_or(UpstreamError::Open)?;
        }
        let mut request = Request::from_parts(head, body);
        let is_head = request.method() == Method::HEAD;
        let connection = capture_connection(&mut request);
        let left = deadline.saturating_sub(self.clock.monotonic());
        let asking =
            tokio::time::timeout(self.timeouts.first_byte.min(left), attempt.host.client.request(request));
        let answer = match asking.await {
            Err(_) => Err(UpstreamError::Timeout(Phase::FirstByte)),
            Ok(answer) => answer.map_err(|error| explain(&error)),
        };
        self.judge(attempt, answer.as_ref().map(|answer| answer.status()));
        let (mut head, body) = answer?.into_parts();
        if is_head || has_impossible_body(&head) || is_connection_bound(&head) {
            // RFC 9112 section 6.3: such an answer has no body, whatever it says. What an upstream sends in spite
            // of that would be read as the answer to the next request. And a connection on which somebody begins to
            // log in (RFC 4559) is not for others.
            if let Some(connection) = connection.connection_metadata().as_ref() {
                connection.poison();
            }
        }
        // The reason phrase is the upstream's text, too.
        head.extensions = http::Extensions::new();
        Ok((head, UpstreamBody::new(body, Arc::clone(&self.clock), self.timeouts.idle, deadline)))
    }

    /// Tells the host's breaker what became of an attempt.
    fn judge(&self, attempt: &mut Attempt, outcome: Result<StatusCode, &UpstreamError>) {
        let failed = match outcome {
            Ok(status) => matches!(
                status,
                StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
            ),
            // The caller's fault says nothing about the host.
            Err(UpstreamError::Request) => return,
            Err(_) => true,
        };
        if !failed {
            attempt.succeeded();
        } else if attempt.failed(self.clock.monotonic()) {
            warn!(api = %self.api, host = %attempt.host.name, "upstream host failed repeatedly and is left alone");
            self.metrics.upstream_left_alone(&self.api);
        }
    }

    /// Another token, if an answer says that this one is no longer good and there is one.
    async fn other_token(
        &self,
        token: Option<&Token>,
        head: &response::Parts,
        body: &mut UpstreamBody,
    ) -> Result<Option<Arc<Token>>, UpstreamError> {
        let (Credential::Own(keyring), Some(token)) = (&self.credentials, token) else { return Ok(None) };
        let mut expired = keyring.expired.statuses.contains(&head.status);
        if let (Some((members, values)), false) = (&keyring.expired.body, expired)
            && is_short(head)
            && let Some(first) = body.peek(MAX_EXPIRED_BODY).await?
        {
            expired = says_expired(&first, members, values);
        }
        Ok(if expired { keyring.other(token).await } else { None })
    }

    pub(super) fn load(&self) -> Load {
        Load {
            api: Arc::clone(&self.api),
            in_flight: self.admission.in_flight(),
            pending: self.admission.pending(),
            well: self.hosts.well(self.clock.monotonic()),
        }
    }

    /// Checks the health of hosts, where that is due, and shows how busy it is.
    pub(super) async fn tick(&self) {
        let now = self.clock.monotonic();
        if let Some(checks) = self.checks.as_ref().filter(|checks| checks.are_due(now)) {
            let HealthCheck { timeout, failures, target, .. } = checks.check();
            let all = self.hosts.iter().zip(self.origins.iter()).map(|(host, origin)| async move {
                let well = match origin.target(target) {
                    Ok(target) => checks.ask(host, target, *timeout).await,
                    Err(_) => false,
                };
                match host.checked(well, *failures) {
                    Some(true) => warn!(api = %self.api, host = %host.name, "upstream host does not pass its health check"),
                    Some(false) => info!(api = %self.api, host = %host.name, "upstream host passes its health check again"),
                    None => {}
                }
            });
            futures_util::future::join_all(all).await;
        }
        let load = self.load();
        self.metrics.upstream_load(&self.api, load.in_flight, load.pending, load.well);
    }

    /// The head with what does not depend on the host.
    fn prepared(&self, mut head: Parts, presented: Option<Carried>) -> Result<Parts, UpstreamError> {
        // Only a public route's caller chooses the coding, and only where nobody here looks inside its answer.
        if matches!(self.credentials, Credential::Own(_)) && head.headers.contains_key(ACCEPT_ENCODING) {
            head.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        head.headers.entry(ACCEPT_ENCODING).or_insert_with(|| self.accept_encoding.clone());
        match (&self.credentials, presented) {
            (Credential::Pass, Some(Carried::Header(name, mut value))) => {
                if name == AUTHORIZATION && names_bound_scheme(&value) {
                    return Err(UpstreamError::ConnectionBound);
                }
                value.set_sensitive(true);
                head.headers.insert(name, value);
            }
            (Credential::Pass, Some(Carried::Query(pair))) => {
                head.uri = Carried::added_to(&head.uri, &pair).ok_or(UpstreamError::Request)?;
            }
            (Credential::Pass, None) | (Credential::None | Credential::Own(_), _) => {}
        }
        Ok(head)
    }
}

fn client(config: &UpstreamConfig, connector: Connector) -> Client<Connector, Outgoing> {
    let mut builder = Client::builder(TokioExecutor::new());
    if config.http2 == Http2::Known {
        builder.http2_only(true);
    }
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(config.timeouts.keep_alive)
        .pool_max_idle_per_host(config.max_connections)
        .http1_max_buf_size(READ_BUFFER_BYTES)
        .http1_max_headers(MAX_HEADERS)
        .http2_max_header_list_size(MAX_HEADER_LIST_BYTES)
        .http2_initial_stream_window_size(HTTP2_WINDOW_BYTES)
        .set_host(true)
        // "Canceled" is a request of which no byte was written, because its idle connection had been closed: such a
        // one may go out on another connection whatever its method.
        .retry_canceled_requests(true)
        .build(connector)
}

/// Path and query of one URI on the origin of another.
fn on(host: &Uri, target: &Uri) -> Option<Uri> {
    let mut parts = host.clone().into_parts();
    parts.path_and_query = target.path_and_query().cloned();
    Uri::from_parts(parts).ok()
}

/// Whether a body is worth a look for a word about the credential.
fn is_short(head: &response::Parts) -> bool {
    let length =
        head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    length.is_some_and(|length| length <= MAX_EXPIRED_BODY) && !head.headers.contains_key(CONTENT_ENCODING)
}

/// Whether an answer asks for a login that holds for the connection.
fn is_connection_bound(head: &response::Parts) -> bool {
    head.headers.get_all(WWW_AUTHENTICATE).iter().any(names_bound_scheme)
}

/// NTLM, Negotiate and Kerberos authenticate the connection (RFC 4559 section 6), which the gateway shares among
/// callers.
fn names_bound_scheme(value: &HeaderValue) -> bool {
    let scheme =
        value.as_bytes().split(|byte| matches!(byte, b' ' | b'\t' | b',')).find(|word| !word.is_empty());
    let scheme = scheme.unwrap_or_default();
    ["ntlm", "negotiate", "kerberos"].iter().any(|bound| scheme.eq_ignore_ascii_case(bound.as_bytes()))
}

impl UpstreamError {
    /// An error of hyper while a body is read.
    pub(super) fn broken(error: &hyper::Error) -> Self {
        Self::Broken(chain(error).into())
    }
}

/// Whether an answer that has no body by definition announces one.
fn has_impossible_body(head: &http::response::Parts) -> bool {
    let bodiless = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    bodiless
        && (head.headers.contains_key(TRANSFER_ENCODING)
            || head.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0"))
}

fn explain(error: &ClientError) -> UpstreamError {
    if causes(error).any(|cause| cause.is::<ConnectTimeout>()) {
        return UpstreamError::Timeout(Phase::Connect);
    }
    if error.is_connect() {
        return UpstreamError::Connect(chain(error).into());
    }
    if causes(error).any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_user)) {
        return UpstreamError::Request;
    }
    UpstreamError::Broken(chain(error).into())
}

/// An error with its causes, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for cause in causes(error) {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause.to_string());
    }
    text
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&cause| cause.source())
}

/// hyper's read buffer grows with the answer; this caps it, at the price of one more read per 64 KiB.
const READ_BUFFER_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 100;
/// Longest answer that is read for a word about the credential before it goes on.
const MAX_EXPIRED_BODY: usize = 8 << 10;
const MAX_HEADER_LIST_BYTES: u32 = 64 << 10;
/// What one HTTP/2 stream may send ahead of a slow caller.
const HTTP2_WINDOW_BYTES: u32 = 128 << 10;
