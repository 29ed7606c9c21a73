//! A connection whose reader has to take something now and then, and that shows when it ends too early.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// Fails a write that found no taker for `limit`. A caller that asks for an export and reads none of it would
/// otherwise hold a connection, an upstream connection and a record for ever.
///
/// Reading has no limit here: how long a request may take to arrive depends on where in the request one is, which
/// the HTTP library and the collector of bodies know.
///
/// An HTTP/1.0 answer of unknown length ends with its connection (RFC 1945 section 7.2.2): one that was cut off would
/// look whole. Such a connection is reset, unless it was shut down in good order.
pub(super) struct Patient<I: Severable> {
    io: I,
    limit: Duration,
    unframed: Arc<AtomicBool>,
    shut: bool,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

/// A connection that can be reset.
pub(super) trait Severable {
    /// Makes its end a reset.
    fn sever(&self);
}

impl Severable for TcpStream {
    fn sever(&self) {
        // An error means that the connection has gone already.
        let _gone = self.set_zero_linger();
    }
}

impl<I: Severable> Patient<I> {
    pub(super) fn new(io: I, limit: Duration) -> Self {
        Self { io, limit, unframed: Arc::default(), shut: false, waiting: None }
    }

    /// To be set when an answer begins that ends with the connection.
    pub(super) fn unframed(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.unframed)
    }

    /// Watches the outcome of a write.
    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.waiting = None;
            return outcome;
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        match waiting.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<I: AsyncRead + Severable + Unpin> AsyncRead for Patient<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Severable + Unpin> AsyncWrite for Patient<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(cx, buf);
        self.watch(cx, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_flush(cx);
        self.watch(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_shutdown(cx);
        self.shut |= matches!(outcome, Poll::Ready(Ok(())));
        self.watch(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.watch(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

impl<I: Severable> Drop for Patient<I> {
    fn drop(&mut self) {
        if self.unframed.load(Ordering::Acquire) && !self.shut {
            self.io.sever();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    impl Severable for tokio::io::DuplexStream {
        fn sever(&self) {}
    }

    #[tokio::test]
    async fn a_write_that_nobody_takes_fails_after_its_limit() {
        let (near, _far) = duplex(4);
        let mut near = Patient::new(near, Duration::ZERO);
        near.write_all(b"full").await.unwrap();
        let error = near.write_all(b"more").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn every_byte_taken_starts_the_limit_anew() {
        let (near, mut far) = duplex(4);
        let mut near = Patient::new(near, Duration::from_secs(3600));
        near.write_all(b"full").await.unwrap();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut near).poll_write(&mut cx, b"more").is_pending());
        assert!(near.waiting.is_some());
        far.read_exact(&mut [0; 1]).await.unwrap();
        assert!(Pin::new(&mut near).poll_write(&mut cx, b"more").is_ready());
        assert!(near.waiting.is_none());
    }
}
