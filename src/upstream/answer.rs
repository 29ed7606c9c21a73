//! The raw answer. Nobody but `response` looks inside.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::response::Parts;
use http_body::{Body, Frame};

use super::error::UpstreamError;

/// An upstream's answer, unscreened.
pub struct UpstreamResponse {
    head: Parts,
    body: UpstreamBody,
    latency: Duration,
    sniff_gzip: bool,
}

impl UpstreamResponse {
    /// The upstream's status, for metrics.
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// Time from sending to the head of the answer.
    pub fn latency(&self) -> Duration {
        self.latency
    }

    /// Whether a claim of gzip is to be checked against the first bytes.
    pub(crate) fn sniff_gzip(&self) -> bool {
        self.sniff_gzip
    }

    /// Opens it.
    pub(crate) fn into_parts(self) -> (Parts, UpstreamBody) {
        (self.head, self.body)
    }
}

/// The body of an answer, under its timeouts; holds its connection slot until it is dropped.
pub struct UpstreamBody {}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let _ = cx;
        todo!("wire")
    }
}
