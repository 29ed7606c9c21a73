//! One request to one upstream, and the head of its answer.

use std::error::Error;
use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::base::{Clock, Secret};
use crate::identity::Carried;
use crate::request::Outgoing;

use super::admission::Admission;
use super::answer::{UpstreamBody, UpstreamResponse};
use super::config::{Credentials, Timeouts, UpstreamConfig};
use super::connect::{ConnectTimeout, Connector};
use super::error::{Phase, SetupError, UpstreamError};
use super::origin::Origin;
use super::pool::Load;

/// One api's upstream, ready to be asked.
pub(super) struct Upstream {
    client: Client<Connector, Outgoing>,
    admission: Admission,
    origin: Arc<Origin>,
    credentials: Credential,
    timeouts: Timeouts,
    accept_encoding: HeaderValue,
    sniff_gzip: bool,
    clock: Arc<dyn Clock>,
}

/// What it is sent by way of credentials.
enum Credential {
    None,
    /// Kept as a [`Secret`], which is wiped; made a header value for each request.
    Header(HeaderName, Secret<String>),
    Pass,
}

impl Upstream {
    pub(super) fn new(config: UpstreamConfig, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        let connector = Connector::new(&config)
            .map_err(|reason| SetupError::Trust { api: Arc::clone(&config.api), reason })?;
        let origin = Arc::new(Origin::new(&config)?);
        let admission = Admission::new(config.max_connections, config.max_pending, config.timeouts.pending);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.timeouts.keep_alive)
            .pool_max_idle_per_host(config.max_connections)
            .http1_max_buf_size(READ_BUFFER_BYTES)
            .http1_max_headers(MAX_HEADERS)
            .http2_max_header_list_size(MAX_HEADER_LIST_BYTES)
            .http2_initial_stream_window_size(HTTP2_WINDOW_BYTES)
            .set_host(true)
            // "Canceled" is a request of which no byte was written, because its idle connection had been closed:
            // such a one may go out on another connection whatever its method. Nothing else is sent again.
            .retry_canceled_requests(true)
            .build(connector);
        let credentials = Credential::new(&config)?;
        let accept_encoding = HeaderValue::from_static(if config.compression { "gzip" } else { "identity" });
        let UpstreamConfig { timeouts, sniff_gzip, .. } = config;
        Ok(Self { client, admission, origin, credentials, timeouts, accept_encoding, sniff_gzip, clock })
    }

    /// `presented` is the caller's own credential.
    pub(super) async fn exchange(
        &self,
        head: Parts,
        body: Outgoing,
        presented: Option<Carried>,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let started = self.clock.monotonic();
        let slot = self.admission.enter().await?;
        let mut request = Request::from_parts(self.addressed(head, presented)?, body);
        let is_head = request.method() == Method::HEAD;
        let connection = capture_connection(&mut request);
        let patience = self.timeouts.first_byte.min(self.timeouts.total);
        let answer = tokio::time::timeout(patience, self.client.request(request))
            .await
            .map_err(|_| UpstreamError::Timeout(Phase::FirstByte))?
            .map_err(|error| explain(&error))?;
        let (mut head, body) = answer.into_parts();
        if is_head || has_impossible_body(&head) {
            // RFC 9112 section 6.3: such an answer has no body, whatever it says. What an upstream sends in spite
            // of that would be read as the answer to the next request.
            if let Some(connection) = connection.connection_metadata().as_ref() {
                connection.poison();
            }
        }
        // The reason phrase is the upstream's text, too.
        head.extensions = http::Extensions::new();
        let now = self.clock.monotonic();
        let deadline = started.saturating_add(self.timeouts.total);
        let latency = now.saturating_sub(started);
        let body = UpstreamBody::new(body, slot, Arc::clone(&self.clock), self.timeouts.idle, deadline);
        Ok(UpstreamResponse::new(head, body, latency, Arc::clone(&self.origin), self.sniff_gzip))
    }

    pub(super) fn load(&self, api: &Arc<str>) -> Load {
        Load {
            api: Arc::clone(api),
            in_flight: self.admission.in_flight(),
            pending: self.admission.pending(),
        }
    }

    /// The head with this upstream's origin and credentials.
    fn addressed(&self, mut head: Parts, presented: Option<Carried>) -> Result<Parts, UpstreamError> {
        head.uri = self.origin.target(&head.uri)?;
        // Only a public route's caller chooses the coding: nobody here looks inside its answer.
        head.headers.entry(ACCEPT_ENCODING).or_insert_with(|| self.accept_encoding.clone());
        match &self.credentials {
            Credential::None => {}
            Credential::Header(name, secret) => {
                let mut value = HeaderValue::from_str(secret.expose())
                    .map_err(|_| UpstreamError::Broken("credential cannot stand in a header".into()))?;
                value.set_sensitive(true);
                head.headers.insert(name, value);
            }
            Credential::Pass => match presented {
                Some(Carried::Header(name, value)) => {
                    head.headers.insert(name, value);
                }
                Some(Carried::Query(pair)) => {
                    head.uri = Carried::added_to(&head.uri, &pair).ok_or(UpstreamError::Request)?;
                }
                None => {}
            },
        }
        Ok(head)
    }
}

impl Credential {
    fn new(config: &UpstreamConfig) -> Result<Self, SetupError> {
        match &config.credentials {
            Credentials::None => Ok(Self::None),
            Credentials::Pass => Ok(Self::Pass),
            Credentials::Header { name, value } => match HeaderValue::from_str(value.expose()) {
                Ok(_) => Ok(Self::Header(name.clone(), value.clone())),
                Err(_) => Err(SetupError::Header { api: Arc::clone(&config.api), what: "credential" }),
            },
        }
    }
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
const MAX_HEADER_LIST_BYTES: u32 = 64 << 10;
/// What one HTTP/2 stream may send ahead of a slow caller.
const HTTP2_WINDOW_BYTES: u32 = 128 << 10;
