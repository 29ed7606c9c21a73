//! From an upstream's answer to the caller's.

use http::{HeaderValue, Method, Response};

use crate::policy::{Permit, PreRead};
use crate::upstream::UpstreamResponse;

use super::body::Rewritten;
use super::unscreenable::Unscreenable;

/// What of the caller's request shapes the answer.
#[derive(Clone, Debug)]
pub struct ClientFacts {
    /// The method; an answer to `HEAD` has no body.
    pub method: Method,
    /// `Accept-Encoding`, all lines joined by commas.
    pub accept_encoding: Option<HeaderValue>,
}

impl ClientFacts {
    /// Takes them from a request's head.
    pub fn of(head: &http::request::Parts) -> Self {
        let _ = head;
        todo!("wire")
    }
}

/// Rewrites an answer. Waits for its first bytes, so that whatever goes wrong before them is a clean error.
pub async fn transform(
    permit: &Permit,
    answer: UpstreamResponse,
    client: &ClientFacts,
) -> Result<Response<Rewritten>, Unscreenable> {
    let _ = (permit, answer, client);
    todo!("wire")
}

/// Whether the record read before a write is one that the write's permissions apply to. `Ok(false)` also where it
/// does not exist.
pub async fn judge(
    permit: &Permit,
    pre_read: &PreRead,
    answer: UpstreamResponse,
) -> Result<bool, Unscreenable> {
    let _ = (permit, pre_read, answer);
    todo!("wire")
}
