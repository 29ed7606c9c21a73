//! The narrowed batch: each of its requests narrowed as if it had come by itself, and all written again as one.

use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::Full;

use crate::identity::Presented;
use crate::policy::{InnerPermit, InnerRequest, Permit, Tree};

use super::apply::{made, target};
use super::{Applied, Outgoing, Refused, RequestBounds, UpstreamRequest, apply, headers, query};

/// Makes the request that goes upstream for a batch. `applied` is what the pre-reads of its requests gave, in order.
pub async fn apply_batch(
    permit: &Permit,
    applied: &[Option<Applied>],
    caller: &http::request::Parts,
    bounds: &RequestBounds,
) -> Result<UpstreamRequest, Refused> {
    let batch = permit.batch().ok_or(Refused::NotJudged)?;
    let operation = permit.operation();
    let given = operation.given().ok_or(Refused::NotJudged)?;
    let mut narrowed = headers::narrowed(permit, caller)?;
    let query = query::serialise(&query::guard(permit)?);
    let mut requests = Vec::with_capacity(batch.items().len());
    for (index, inner) in batch.items().iter().enumerate() {
        let applied = applied.get(index).and_then(Option::as_ref);
        let request = narrowed_one(inner, applied, bounds).await;
        requests.push(request.map_err(|why| Refused::Item { item: index + 1, why: Box::new(why) })?);
    }
    let tree = batch.write(given.tree(), requests).ok_or(Refused::NotJudged)?;
    narrowed.insert(CONTENT_TYPE, given.media_type().clone());
    let presented = caller.extensions.get::<Presented>().cloned();
    let body = Outgoing::Whole(given.write(&tree));
    made(operation.method(), target(operation.path(), &query)?, narrowed, body, presented)
}

async fn narrowed_one(
    inner: &InnerPermit,
    applied: Option<&Applied>,
    bounds: &RequestBounds,
) -> Result<InnerRequest, Refused> {
    let operation = inner.permit().operation();
    let mut request = Request::new(Full::new(inner.body().clone()));
    *request.method_mut() = operation.method().clone();
    if !inner.body().is_empty() {
        request.headers_mut().insert(CONTENT_TYPE, inner.content_type().clone());
    }
    let (head, body, _) = apply(inner.permit(), applied, request, bounds).await?.into_parts();
    let body = match body {
        Outgoing::Whole(bytes) => Some(Tree::parse(&bytes, bounds.depth).map_err(Refused::Body)?),
        Outgoing::Empty => None,
        // Only public routes pass bodies, and they are no part of a batch.
        Outgoing::Passing(_) => return Err(Refused::NotJudged),
    };
    let target = head.uri.path_and_query().map(ToString::to_string).ok_or(Refused::Target)?;
    Ok(InnerRequest { method: head.method, target, body })
}
