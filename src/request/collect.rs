//! The only place that reads a whole body into memory.

use bytes::Bytes;
use http_body::Body;

use super::{BoxError, Refused};

/// Reads a body of at most `max_bytes`; trailers are dropped.
pub async fn collect<B>(body: B, max_bytes: usize) -> Result<Bytes, Refused>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let _ = (body, max_bytes);
    todo!("wire")
}
