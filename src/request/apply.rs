//! The narrowed request.

use bytes::Bytes;
use http::Request;
use http_body::Body;

use crate::policy::Permit;

use super::{BoxError, Refused, RequestBounds, UpstreamRequest};

/// Makes the request that goes upstream. The body is the operation's where the route judged it, otherwise it is
/// read from `request`.
pub async fn apply<B>(
    permit: &Permit,
    request: Request<B>,
    bounds: &RequestBounds,
) -> Result<UpstreamRequest, Refused>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let _ = (permit, request, bounds);
    todo!("wire")
}

/// The read that has to come before a write under a record condition; its answer goes to `response::judge`.
pub fn pre_read(permit: &Permit) -> Option<UpstreamRequest> {
    let _ = permit;
    todo!("wire")
}
