//! The narrowed request.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Uri};
use http_body::Body;
use http_body_util::BodyExt;

use crate::identity::Presented;
use crate::policy::Permit;
use crate::rewrite::CutReason;
use crate::rewrite::codec::{Coding, DecodeBounds, Decoder};

use super::{
    Applied, BoxError, Outgoing, Refused, RequestBounds, UpstreamRequest, collect, headers, query, write,
};

/// Makes the request that goes upstream. The body is the operation's where the route judged it, otherwise it is
/// read from `request`. A public route's body passes as it comes. Where the permit has a pre-read, `applied` is what
/// it gave: without it nothing goes upstream.
pub async fn apply<B>(
    permit: &Permit,
    applied: Option<&Applied>,
    request: Request<B>,
    bounds: &RequestBounds,
) -> Result<UpstreamRequest, Refused>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    // Of a batch each request is narrowed by itself.
    if (permit.pre_read().is_some() && applied.is_none()) || permit.batch().is_some() {
        return Err(Refused::NotJudged);
    }
    let (caller, body) = request.into_parts();
    let operation = permit.operation();
    let public = permit.route().public;
    let mut narrowed = headers::narrowed(permit, &caller)?;
    let tag = applied.and_then(Applied::tag);
    if let Some(tag) = tag {
        headers::only_if(tag, &mut narrowed)?;
    }
    let body = if public {
        passing(body)
    } else {
        let body = match operation.body() {
            Some(body) => body.clone(),
            None => gather(&caller.headers, body, bounds).await?,
        };
        judged(permit, applied, &caller.headers, body, &mut narrowed, bounds)?
    };
    let query =
        if public { query::serialise(operation.query()) } else { query::serialise(&query::guard(permit)?) };
    let presented = caller.extensions.get::<Presented>().cloned();
    // Whether `HEAD` finds a record depends on the record, so the whole answer is asked for and judged.
    let method = match operation.method() {
        &Method::HEAD if !public => &Method::GET,
        method => method,
    };
    let request = made(method, target(operation.path(), &query)?, narrowed, body, presented)?;
    Ok(if tag.is_some() { request.conditional() } else { request })
}

/// The read that has to come before a write under a record condition; its answer goes to `response::judge`.
pub fn pre_read(permit: &Permit, caller: &Parts) -> Result<Option<UpstreamRequest>, Refused> {
    let Some(read) = permit.pre_read() else { return Ok(None) };
    let target = read.path_and_query.parse().map_err(|_| Refused::Target)?;
    let headers = headers::own(permit, &read.plan.format);
    made(&read.method, target, headers, Outgoing::Empty, caller.extensions.get::<Presented>().cloned())
        .map(Some)
}

pub(super) fn made(
    method: &Method,
    target: Uri,
    headers: HeaderMap,
    body: Outgoing,
    presented: Option<Presented>,
) -> Result<UpstreamRequest, Refused> {
    let mut request = Request::new(());
    *request.method_mut() = method.clone();
    *request.uri_mut() = target;
    *request.headers_mut() = headers;
    Ok(UpstreamRequest::new(request.into_parts().0, body, presented))
}

pub(super) fn target(path: &str, query: &str) -> Result<Uri, Refused> {
    let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    target.parse().map_err(|_| Refused::Target)
}

fn passing<B>(body: B) -> Outgoing
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if body.is_end_stream() {
        Outgoing::Empty
    } else {
        Outgoing::Passing(body.map_err(Into::into).boxed_unsync())
    }
}

/// The body that may be sent, with its type in `narrowed`.
fn judged(
    permit: &Permit,
    applied: Option<&Applied>,
    caller: &HeaderMap,
    body: Bytes,
    narrowed: &mut HeaderMap,
    bounds: &RequestBounds,
) -> Result<Outgoing, Refused> {
    if body.is_empty() {
        return Ok(Outgoing::Empty);
    }
    if permit.write().is_none() && permit.query().body.is_empty() {
        return Err(Refused::UnexpectedBody);
    }
    let given = match permit.operation().given() {
        Some(given) => given.clone(),
        None => permit.route().body_as.read(caller, &body, bounds.depth)?.into(),
    };
    narrowed.insert(CONTENT_TYPE, given.media_type().clone());
    let tree = match permit.write() {
        Some(rule) => {
            let by = (permit.operation().method(), permit.params());
            write::filter(rule, applied, by, given.tree(), bounds)?
        }
        None => query::body(permit, given.tree())?,
    };
    Ok(Outgoing::Whole(given.write(&tree)))
}

/// Reads a whole body, decoded.
pub async fn gather<B>(headers: &HeaderMap, body: B, bounds: &RequestBounds) -> Result<Bytes, Refused>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    decoded(headers, collect(body, bounds.body_bytes).await?, bounds)
}

/// A body that came compressed, within the same bound; it goes on plain.
fn decoded(caller: &HeaderMap, body: Bytes, bounds: &RequestBounds) -> Result<Bytes, Refused> {
    let mut codings = caller.get_all(CONTENT_ENCODING).iter();
    let coding = match (codings.next(), codings.next()) {
        (None, _) => return Ok(body),
        (Some(stated), None) => {
            stated.to_str().ok().and_then(|text| Coding::parse_content_encoding(text).ok())
        }
        (Some(_), Some(_)) => None,
    };
    let coding = coding.ok_or(Refused::MediaType("its coding is not known"))?;
    let mut plain = Vec::new();
    let most = DecodeBounds { bytes: bounds.body_bytes as u64, ..DecodeBounds::default() };
    let mut decoder = Decoder::new(coding, most);
    decoder
        .push(&body, &mut |piece| {
            plain.extend_from_slice(piece);
            Ok(())
        })
        .and_then(|()| decoder.finish())
        .map_err(|cut| {
            if cut.reason == CutReason::Bomb {
                Refused::TooLarge { limit: bounds.body_bytes }
            } else {
                Refused::Body("its compression is broken")
            }
        })?;
    Ok(plain.into())
}
