//! A caller's body on its way in: counted, and on a public route, whose body nobody collects, bounded.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use crate::request::BoxError;

/// The body of a request.
pub(super) struct Arriving<B = Incoming> {
    body: B,
    taken: Arc<AtomicU64>,
    passing: Option<Passing>,
}

/// The bounds of a body that passes.
struct Passing {
    left: u64,
    time: Duration,
    /// Runs from the first time that the body is waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

/// Why a body that passes is not read on.
#[derive(Debug, thiserror::Error)]
enum TooMuch {
    #[error("the body is longer than allowed")]
    Bytes,
    #[error("the body took too long to arrive")]
    Time,
}

impl<B> Arriving<B> {
    /// Its bytes are added to `taken` as they come.
    pub(super) fn new(body: B, taken: Arc<AtomicU64>) -> Self {
        Self { body, taken, passing: None }
    }

    /// The same, with an error after so many bytes or so much time. Collected bodies have their own bounds.
    pub(super) fn bounded(self, bytes: usize, time: Duration) -> Self {
        let left = u64::try_from(bytes).unwrap_or(u64::MAX);
        Self { passing: Some(Passing { left, time, timer: None }), ..self }
    }
}

impl<B> Body for Arriving<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            return match &mut this.passing {
                Some(passing) => passing.poll_late(cx).map(|late| Some(Err(late.into()))),
                None => Poll::Pending,
            };
        };
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let bytes = data.len() as u64;
            this.taken.fetch_add(bytes, Ordering::Relaxed);
            if let Some(passing) = &mut this.passing {
                match passing.left.checked_sub(bytes) {
                    Some(left) => passing.left = left,
                    None => return Poll::Ready(Some(Err(TooMuch::Bytes.into()))),
                }
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Passing {
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<TooMuch> {
        let time = self.time;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(time)));
        timer.as_mut().poll(cx).map(|()| TooMuch::Time)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    fn pieces(
        pieces: &'static [&'static str],
        ends: bool,
    ) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let frames = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))));
        let tail: Vec<_> = if ends { Vec::new() } else { vec![()] };
        let tail =
            futures_util::StreamExt::filter_map(stream::iter(tail), |()| Box::pin(std::future::pending()));
        StreamBody::new(futures_util::StreamExt::chain(stream::iter(frames), tail))
    }

    #[tokio::test]
    async fn every_byte_is_counted() {
        let taken = Arc::<AtomicU64>::default();
        let body = Arriving::new(pieces(&["abc", "", "de"], true), Arc::clone(&taken));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abcde");
        assert_eq!(taken.load(Ordering::Relaxed), 5);
    }

    #[tokio::test]
    async fn a_passing_body_ends_at_its_bounds() {
        let collected = |ends, bytes, time| {
            let body = Arriving::new(pieces(&["abc", "de"], ends), Arc::default());
            async move { body.bounded(bytes, time).collect().await.map(|all| all.to_bytes()) }
        };
        let hour = Duration::from_secs(3600);
        assert_eq!(collected(true, 5, hour).await.unwrap(), "abcde");
        assert_eq!(collected(true, 4, hour).await.unwrap_err().to_string(), TooMuch::Bytes.to_string());
        assert_eq!(
            collected(false, 5, Duration::ZERO).await.unwrap_err().to_string(),
            TooMuch::Time.to_string()
        );
    }
}
