//! The HTTP/2 streams of one connection: who does not read is not waited for, who breaks off again and again is
//! sent away, and a connection without a stream is not kept.
//!
//! hyper runs each stream as a task of its own, by an executor it is given: [`Streams`] is that executor. It wraps
//! the task, so that a stream can be dropped from outside, which resets it (RFC 9113 section 5.4.2) and leaves the
//! other streams of the connection alone. What the task waits for is told by [`Handed`], the body that it sends.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tracing::debug;

/// The streams of a connection. Clones are the same connection's.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    tally: Arc<Tally>,
    /// How long an answer's bytes may wait for the caller to take some.
    patience: Duration,
}

/// Why a connection is not served any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// No stream for as long as one may be waited for.
    Idle,
    /// Too many streams were broken off before they were answered (CVE-2023-44487).
    BrokenOff,
}

/// What happened on a connection.
#[derive(Debug, Default)]
struct Tally {
    begun: AtomicU64,
    ended: AtomicU64,
    broken_off: AtomicU64,
    changed: Notify,
}

/// What a stream's task waits for, as far as its body tells.
#[derive(Debug, Default)]
struct Stream {
    /// Counts the pieces handed over, from 1 for the head; 0 before there is an answer.
    handed: AtomicU64,
    /// How many of them were followed by the question for more: the reader has room.
    asked: AtomicU64,
}

tokio::task_local! {
    /// The stream whose task runs.
    static STREAM: Arc<Stream>;
}

/// An answer's body on its way into the HTTP library.
pub(super) struct Handed<B> {
    body: B,
    /// `None` on HTTP/1, where the socket tells whether the caller reads.
    stream: Option<Arc<Stream>>,
}

/// A stream's task under watch.
struct Watched<F> {
    task: Pin<Box<F>>,
    stream: Arc<Stream>,
    tally: Arc<Tally>,
    patience: Duration,
    /// Runs while the reader is waited for, for the piece of this number.
    waiting: Option<(u64, Pin<Box<Sleep>>)>,
}

impl Streams {
    pub(super) fn new(patience: Duration) -> Self {
        Self { tally: Arc::default(), patience }
    }

    /// Waits until the connection is not to be served any longer. `idle` is how long it may be without a stream.
    pub(super) async fn over(&self, idle: Duration) -> Over {
        loop {
            let changed = self.tally.changed.notified();
            let broken_off = self.tally.broken_off.load(Ordering::Acquire);
            let (begun, ended) =
                (self.tally.begun.load(Ordering::Acquire), self.tally.ended.load(Ordering::Acquire));
            // A caller that gives up now and then is an ordinary one.
            if broken_off > BROKEN_OFF && broken_off.saturating_mul(2) > begun {
                return Over::BrokenOff;
            }
            if begun > ended {
                changed.await;
            } else if timeout(idle, changed).await.is_err() {
                return Over::Idle;
            }
        }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let stream = Arc::<Stream>::default();
        self.tally.begun.fetch_add(1, Ordering::AcqRel);
        self.tally.changed.notify_one();
        let watched = Watched {
            task: Box::pin(task),
            stream: Arc::clone(&stream),
            tally: Arc::clone(&self.tally),
            patience: self.patience,
            waiting: None,
        };
        tokio::spawn(STREAM.scope(stream, watched));
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.task.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(piece) = this.stream.untaken() else {
            this.waiting = None;
            return Poll::Pending;
        };
        let patience = this.patience;
        let (number, waiting) = this.waiting.get_or_insert_with(|| (piece, Box::pin(sleep(patience))));
        if *number != piece {
            *number = piece;
            waiting.as_mut().reset(Instant::now() + patience);
        }
        let late = waiting.as_mut().poll(cx);
        if late.is_ready() {
            debug!("stream reset: the caller does not read");
        }
        late
    }
}

impl<F> Drop for Watched<F> {
    fn drop(&mut self) {
        if self.stream.handed.load(Ordering::Acquire) == 0 {
            self.tally.broken_off.fetch_add(1, Ordering::AcqRel);
        }
        self.tally.ended.fetch_add(1, Ordering::AcqRel);
        self.tally.changed.notify_one();
    }
}

impl Stream {
    /// The number of the piece that was handed over and not followed by the question for more.
    fn untaken(&self) -> Option<u64> {
        let handed = self.handed.load(Ordering::Acquire);
        (handed > self.asked.load(Ordering::Acquire)).then_some(handed)
    }
}

impl<B> Handed<B> {
    /// Hands an answer's body over, in the task of its stream if there is one.
    pub(super) fn new(body: B) -> Self {
        let stream = STREAM.try_with(Arc::clone).ok();
        if let Some(stream) = &stream {
            stream.handed.fetch_add(1, Ordering::AcqRel);
        }
        Self { body, stream }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Handed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        if let Some(stream) = &this.stream {
            stream.asked.store(stream.handed.load(Ordering::Acquire), Ordering::Release);
        }
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if let (Some(stream), Poll::Ready(Some(Ok(_)))) = (&this.stream, &frame) {
            stream.handed.fetch_add(1, Ordering::AcqRel);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Streams that may be broken off on one connection before it matters that they are most of them.
const BROKEN_OFF: u64 = 100;

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use http_body_util::{BodyExt, Full};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_stream_whose_answer_is_not_taken_ends_and_one_that_waits_for_its_answer_does_not() {
        let streams = Streams::new(Duration::ZERO);
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        streams.execute(async move {
            let _ended_when_dropped = ended;
            let _body = Handed::new(Full::new(Bytes::from_static(b"answer")));
            pending::<()>().await;
        });
        assert!(end.await.is_err(), "the task was dropped");

        let (ended, mut end) = tokio::sync::oneshot::channel::<()>();
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        streams.execute(async move {
            let _ended_when_dropped = ended;
            let mut body = Handed::new(Full::new(Bytes::from_static(b"answer")));
            while body.frame().await.is_some() {}
            go.send(()).unwrap();
            pending::<()>().await;
        });
        gone.await.unwrap();
        tokio::task::yield_now().await;
        assert!(end.try_recv().is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Empty));
    }

    #[tokio::test]
    async fn breaking_off_most_streams_ends_the_connection_and_some_does_not() {
        let streams = Streams::new(HOUR);
        for _ in 0..=BROKEN_OFF {
            streams.execute(ready(()));
        }
        assert_eq!(streams.over(HOUR).await, Over::BrokenOff);

        let streams = Streams::new(HOUR);
        for _ in 0..=BROKEN_OFF {
            streams.execute(ready(()));
            streams.execute(async { drop(Handed::new(Full::new(Bytes::new()))) });
        }
        assert_eq!(streams.over(Duration::ZERO).await, Over::Idle);
    }
}
