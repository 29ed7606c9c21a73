//! The body that rewrites itself while it streams.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};

use crate::rewrite::{Counts, Cut};
use crate::upstream::UpstreamError;

/// An answer on its way to the caller. [`Rewritten::counts`] always covers every byte that has been given out, so
/// that whoever polls it can charge a frame before it goes on; a frame that is not to go on is dropped with the
/// body. After an error nothing follows, and the message has to be left unfinished.
pub struct Rewritten {}

/// How far a body has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not at its end yet; when the body is dropped now, the caller went away or somebody stopped it.
    Open,
    /// All of it was given out.
    Complete,
    /// It was cut, for this reason (a [`CutReason`](crate::rewrite::CutReason) or an upstream error, by name).
    Cut(&'static str),
}

/// Why a stream was cut.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StreamError {
    /// By the engine.
    #[error("answer cut: {0}")]
    Cut(#[from] Cut),
    /// By the upstream.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

impl Rewritten {
    /// What was released and withheld so far.
    pub fn counts(&self) -> &Counts {
        todo!("wire")
    }

    /// How far it has come.
    pub fn outcome(&self) -> Outcome {
        todo!("wire")
    }
}

impl Body for Rewritten {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        let _ = cx;
        todo!("wire")
    }
}
