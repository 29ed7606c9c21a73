//! From an upstream's answer to the caller's.

use std::sync::Arc;
use std::task::Poll;

use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::Body;

use crate::policy::{Action, ErrorShape, Permit, RouteFacts};
use crate::rewrite::charset::Charset;
use crate::rewrite::codec::Coding;
use crate::rewrite::{Counts, Cut, CutReason, Format, Records, RewritePlan, Rewriter};
use crate::upstream::UpstreamResponse;

use super::body::{Rewritten, StreamError};
use super::origin::Origins;
use super::screen::Screen;
use super::unscreenable::Unscreenable;
use super::{content, errors, headers};

/// What of the caller's request shapes the answer.
#[derive(Clone, Debug)]
pub struct ClientFacts {
    /// The method; an answer to `HEAD` has no body.
    pub method: Method,
    /// `Accept-Encoding`, all lines joined by commas.
    pub accept_encoding: Option<HeaderValue>,
    /// The gateway as the caller addressed it, such as `https://gate.example:9443`.
    pub origin: Option<Box<str>>,
}

impl ClientFacts {
    /// Takes them from a request's head.
    pub fn of(head: &http::request::Parts, tls: bool) -> Self {
        let lines: Vec<&[u8]> =
            head.headers.get_all(ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes).collect();
        let joined = lines.join(&b","[..]);
        let accept_encoding = (!lines.is_empty()).then(|| HeaderValue::from_bytes(&joined).ok()).flatten();
        let origin = host(head).map(|host| format!("{}://{host}", if tls { "https" } else { "http" }).into());
        Self { method: head.method.clone(), accept_encoding, origin }
    }
}

/// The host that the caller addressed, if it is plain enough to stand in any text.
fn host(head: &http::request::Parts) -> Option<&str> {
    let stated = head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    let host = head.uri.authority().map(http::uri::Authority::as_str).or(stated)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    (!host.is_empty() && host.chars().all(plain)).then_some(host)
}

/// Rewrites an answer. Waits for its first bytes, so that whatever goes wrong before them is a clean error; an
/// answer that is one record is held until it is known that the record is released.
pub async fn transform(
    permit: &Permit,
    answer: UpstreamResponse,
    client: &ClientFacts,
) -> Result<Response<Rewritten>, Unscreenable> {
    let route = permit.route();
    if route.public {
        return public(answer);
    }
    let answer = match (Passage::of(answer.status(), route), &route.errors) {
        (Err(Unscreenable::Status(status)), Some(shape)) if errors::may_pass(status) => {
            return own_error(permit, answer, client, shape, Unscreenable::Status(status)).await;
        }
        (Ok(Passage::Screened), Some(shape))
            if shape.told.is_some() && permit.rewrite().format == Format::Json =>
        {
            let mut answer = answer;
            match errors::read(permit, &mut answer).await? {
                Some(body) if errors::is_told(shape, &body) => {
                    let neutral = Unscreenable::OwnError;
                    return own_error(permit, answer, client, shape, neutral).await;
                }
                _ => answer,
            }
        }
        _ => answer,
    };
    match Passage::of(answer.status(), route)? {
        Passage::Bodiless => Ok(bodiless(answer.status(), route, &answer, Counts::default())),
        Passage::Screened => screened(permit, answer, client).await,
    }
}

/// An error of the api as far as it is declared; otherwise `neutral`.
async fn own_error(
    permit: &Permit,
    mut answer: UpstreamResponse,
    client: &ClientFacts,
    shape: &ErrorShape,
    neutral: Unscreenable,
) -> Result<Response<Rewritten>, Unscreenable> {
    let status = match &neutral {
        Unscreenable::Status(_) => neutral.status(),
        // As the api tells of its errors.
        _ => answer.status(),
    };
    let Some(body) = errors::read(permit, &mut answer).await?.and_then(|body| errors::declared(shape, &body))
    else {
        return Err(neutral);
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let body = if client.method == Method::HEAD { Vec::new() } else { body };
    Ok(response(status, headers, Rewritten::whole(body.into())))
}

/// What an answer's status says about its body.
enum Passage {
    /// There is none, whatever follows (RFC 9110 sections 15.3.5, 15.3.6, 15.4.5).
    Bodiless,
    Screened,
}

impl Passage {
    fn of(status: StatusCode, route: &RouteFacts) -> Result<Self, Unscreenable> {
        // The caller's conditions go upstream only where the route lists them.
        let conditional = route.request_headers.iter().any(|name| name.starts_with("if-"));
        match status.as_u16() {
            200..=203 | 207 => Ok(Self::Screened),
            204 | 205 => Ok(Self::Bodiless),
            304 if conditional => Ok(Self::Bodiless),
            304 => Err(Unscreenable::Unexpected(status)),
            300..=399 => Err(Unscreenable::Redirect(status)),
            // A new record cannot be absent.
            400..=599
                if route.single
                    && route.action != Some(Action::Create)
                    && Unscreenable::is_absence(status) =>
            {
                Err(Unscreenable::Absent(status))
            }
            400..=599 => Err(Unscreenable::Status(status)),
            _ => Err(Unscreenable::Unexpected(status)),
        }
    }
}

async fn screened(
    permit: &Permit,
    answer: UpstreamResponse,
    client: &ClientFacts,
) -> Result<Response<Rewritten>, Unscreenable> {
    let (route, plan) = (permit.route(), permit.rewrite());
    let status = answer.status();
    let upstream_coding = content::coding(&answer.head().headers)?;
    let origins = match &client.origin {
        Some(own) if route.rewrite_origin => Some(Origins::new(answer.origins(), own.to_string())),
        // A caller that cannot be pointed back would be sent past the gateway.
        None if route.rewrite_origin => return Err(Unscreenable::Origin),
        _ => None,
    };
    let mut headers = headers::governed(route, &answer, origins.as_ref());
    let mut charset = Charset::UTF_8;
    if answer.head().headers.contains_key(CONTENT_TYPE) || !answer.body().is_end_stream() {
        let stated = content::media_type(&answer.head().headers, &plan.format)?;
        headers.insert(CONTENT_TYPE, stated.media_type);
        charset = stated.charset;
    }
    let coding = content::negotiated(upstream_coding, client.accept_encoding.as_ref());
    let mut screen = opened(plan, permit, answer, (upstream_coding, charset))
        .encoded(coding, &plan.format)
        .turned(origins, &plan.format)
        .watched(&route.remember);
    let wait = Wait::of(route, plan);
    begin(&mut screen, wait, plan).await?;

    if !screen.is_empty() {
        let counts = screen.counts();
        if wait == Wait::Release && counts.released == 0 {
            return Err(Unscreenable::NotReleased(Box::new(counts.clone())));
        }
        if screen.is_complete() && !screen.has_begun() {
            // Nothing is left, not even brackets.
            headers.remove(CONTENT_TYPE);
            return Ok(response(StatusCode::NO_CONTENT, headers, Rewritten::empty(counts.clone())));
        }
    }
    if coding != Coding::Identity && !(screen.is_complete() && screen.is_empty()) {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    // `HEAD` was asked as `GET`, so that it finds the same records; nothing of them is released.
    let body = if client.method == Method::HEAD {
        Rewritten::empty(Counts::default())
    } else {
        Rewritten::screened(screen)
    };
    Ok(response(status, headers, body))
}

pub(super) fn opened(
    plan: &Arc<RewritePlan>,
    permit: &Permit,
    answer: UpstreamResponse,
    (coding, charset): (Coding, Charset),
) -> Screen {
    let rewriter = Rewriter::new(Arc::clone(plan), permit.params().clone());
    let sniff = answer.sniff_gzip();
    Screen::new(answer.into_body(), coding, sniff, rewriter).transcoded(charset)
}

/// What is waited for before the head goes out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// The first bytes.
    Bytes,
    /// That the one record is released; if it is not, it is answered as if it did not exist.
    Release,
}

impl Wait {
    /// A change is done when its answer comes: it is told of with what is left of the answer, never as a failure.
    fn of(route: &RouteFacts, plan: &RewritePlan) -> Self {
        let reads = match &route.action {
            Some(Action::Create | Action::Update | Action::Delete | Action::Named(_)) => false,
            Some(Action::List | Action::Read | Action::Export) | None => true,
        };
        let has_records = match &plan.layout.records {
            Records::None => false,
            Records::One { .. } | Records::Many { .. } | Records::Rows { .. } => true,
        };
        if route.single && reads && has_records { Self::Release } else { Self::Bytes }
    }
}

/// Works until the answer may begin: as far as the upstream has sent, so that a short answer is rewritten whole.
async fn begin(screen: &mut Screen, wait: Wait, plan: &RewritePlan) -> Result<(), Unscreenable> {
    let longest = plan.bounds.record_bytes.saturating_add(plan.bounds.hold_for_total_bytes);
    std::future::poll_fn(|cx| {
        loop {
            if let Some(error) = screen.broken() {
                return Poll::Ready(Err(Unscreenable::before_the_head(error.clone(), screen.counts())));
            }
            if screen.is_complete() {
                return Poll::Ready(Ok(()));
            }
            let decided = match wait {
                Wait::Bytes => screen.has_begun(),
                Wait::Release => screen.counts().released > 0,
            };
            if decided && screen.ready_bytes() >= BEGUN_BYTES {
                return Poll::Ready(Ok(()));
            }
            if screen.ready_bytes() > longest {
                let cut = Cut { reason: CutReason::Record, offset: screen.counts().bytes_in };
                return Poll::Ready(Err(Unscreenable::before_the_head(
                    StreamError::Cut(cut),
                    screen.counts(),
                )));
            }
            if screen.poll_work(cx).is_pending() {
                return if decided { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
        }
    })
    .await
}

/// A public route's bytes pass untouched, whatever they are; only what belongs to the connection stays behind.
fn public(answer: UpstreamResponse) -> Result<Response<Rewritten>, Unscreenable> {
    let status = answer.status();
    content::transfer(&answer.head().headers)?;
    if matches!(status.as_u16(), 100..=199 | 206) {
        return Err(Unscreenable::Unexpected(status));
    }
    let headers = headers::public(&answer);
    if status.is_redirection()
        && status != StatusCode::NOT_MODIFIED
        && !headers.contains_key(http::header::LOCATION)
    {
        return Err(Unscreenable::Redirect(status));
    }
    Ok(response(status, headers, Rewritten::passing(answer.into_body())))
}

fn bodiless(
    status: StatusCode,
    route: &RouteFacts,
    answer: &UpstreamResponse,
    counts: Counts,
) -> Response<Rewritten> {
    response(status, headers::governed(route, answer, None), Rewritten::empty(counts))
}

fn response(status: StatusCode, headers: HeaderMap, body: Rewritten) -> Response<Rewritten> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// An answer that has come this far begins at once; shorter ones wait for what the upstream has already sent.
const BEGUN_BYTES: usize = 16 << 10;
