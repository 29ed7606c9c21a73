//! The body of an answer on its way to the caller.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::rewrite::{Counts, Cut};
use crate::upstream::{UpstreamBody, UpstreamError};

use super::screen::Screen;

/// An answer on its way to the caller. [`Rewritten::counts`] always covers every byte that has been given out, so
/// that whoever polls it can charge a frame before it goes on; a frame that is not to go on is dropped with the
/// body. After an error nothing follows, and the message has to be left unfinished.
pub struct Rewritten(Kind);

enum Kind {
    /// Nothing, with what was decided about what is left out (an answer to `HEAD`).
    Empty(Box<Counts>),
    /// An error of the upstream, as far as it is declared.
    Whole { body: Option<Bytes>, counts: Box<Counts> },
    /// Rewritten while it streams.
    Screened(Box<Screen>),
    /// A public route's, untouched.
    Passing { source: Box<UpstreamBody>, counts: Box<Counts>, outcome: Outcome },
}

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
    pub(super) fn empty(counts: Counts) -> Self {
        Self(Kind::Empty(Box::new(counts)))
    }

    pub(super) fn whole(body: Bytes) -> Self {
        let counts = Box::new(Counts { bytes_out: body.len() as u64, ..Counts::default() });
        Self(Kind::Whole { body: Some(body).filter(|body| !body.is_empty()), counts })
    }

    pub(super) fn screened(screen: Screen) -> Self {
        Self(Kind::Screened(Box::new(screen)))
    }

    pub(super) fn passing(source: UpstreamBody) -> Self {
        let counts = Box::default();
        Self(Kind::Passing { source: Box::new(source), counts, outcome: Outcome::Open })
    }

    /// What was released and withheld so far.
    pub fn counts(&self) -> &Counts {
        match &self.0 {
            Kind::Empty(counts) | Kind::Whole { counts, .. } | Kind::Passing { counts, .. } => counts,
            Kind::Screened(screen) => screen.counts(),
        }
    }

    /// The same, for the last time.
    pub fn take_counts(&mut self) -> Counts {
        match &mut self.0 {
            Kind::Empty(counts) | Kind::Whole { counts, .. } | Kind::Passing { counts, .. } => {
                std::mem::take(&mut **counts)
            }
            Kind::Screened(screen) => screen.take_counts(),
        }
    }

    /// Names and values to be remembered before what was given out so far goes on.
    pub fn noticed(&self) -> &[(Arc<str>, String)] {
        match &self.0 {
            Kind::Screened(screen) => screen.noticed(),
            Kind::Empty(_) | Kind::Whole { .. } | Kind::Passing { .. } => &[],
        }
    }

    /// How far it has come.
    pub fn outcome(&self) -> Outcome {
        match &self.0 {
            Kind::Empty(_) | Kind::Whole { body: None, .. } => Outcome::Complete,
            Kind::Whole { body: Some(_), .. } => Outcome::Open,
            Kind::Passing { outcome, .. } => outcome.clone(),
            Kind::Screened(screen) if screen.ready_bytes() > 0 => Outcome::Open,
            Kind::Screened(screen) => match screen.broken() {
                Some(error) => Outcome::Cut(error.name()),
                None if screen.is_complete() => Outcome::Complete,
                None => Outcome::Open,
            },
        }
    }
}

impl StreamError {
    /// A stable name for metrics and the audit.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cut(cut) => cut.reason.name(),
            Self::Upstream(error) => error.name(),
        }
    }
}

impl Body for Rewritten {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        let frame = match &mut self.get_mut().0 {
            Kind::Empty(_) => None,
            Kind::Whole { body, .. } => body.take().map(Ok),
            Kind::Screened(screen) => ready!(poll_screened(screen, cx)),
            Kind::Passing { source, counts, outcome } => ready!(poll_passing(source, counts, outcome, cx)),
        };
        Poll::Ready(frame.map(|frame| frame.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty(_) => true,
            Kind::Whole { body, .. } => body.is_none(),
            Kind::Screened(screen) => screen.is_complete() && screen.ready_bytes() == 0,
            Kind::Passing { source, .. } => source.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty(_) => SizeHint::with_exact(0),
            Kind::Whole { body, .. } => SizeHint::with_exact(body.as_ref().map_or(0, Bytes::len) as u64),
            // Known for short answers, which are rewritten before the head goes out.
            Kind::Screened(screen) if screen.is_complete() => {
                SizeHint::with_exact(screen.ready_bytes() as u64)
            }
            Kind::Screened(_) => SizeHint::default(),
            Kind::Passing { source, .. } => source.size_hint(),
        }
    }
}

fn poll_screened(screen: &mut Screen, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StreamError>>> {
    loop {
        if let Some(piece) = screen.take() {
            return Poll::Ready(Some(Ok(piece)));
        }
        if let Some(error) = screen.broken() {
            return Poll::Ready(Some(Err(error.clone())));
        }
        if screen.is_complete() {
            return Poll::Ready(None);
        }
        ready!(screen.poll_work(cx));
    }
}

fn poll_passing(
    source: &mut UpstreamBody,
    counts: &mut Counts,
    outcome: &mut Outcome,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, StreamError>>> {
    loop {
        match ready!(Pin::new(&mut *source).poll_frame(cx)) {
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                let length = data.len() as u64;
                counts.bytes_in = counts.bytes_in.saturating_add(length);
                counts.bytes_out = counts.bytes_out.saturating_add(length);
                return Poll::Ready(Some(Ok(data)));
            }
            Some(Err(error)) => {
                *outcome = Outcome::Cut(error.name());
                return Poll::Ready(Some(Err(StreamError::Upstream(error))));
            }
            None => {
                *outcome = Outcome::Complete;
                return Poll::Ready(None);
            }
        }
    }
}
