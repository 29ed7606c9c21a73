//! Strict framing of HTTP/1 requests, before the HTTP library sees a byte of them.
//!
//! Two parties that disagree on where a request ends can be made to see different requests (request smuggling).
//! hyper is lenient where RFC 9112 lets it be, and in a few places where it does not: it takes a `Content-Length`
//! beside a `Transfer-Encoding`, `,chunked`, lines that end in a bare LF, HTTP/1.1 without `Host`. [`Strict`] sits
//! between the socket and hyper and lets bytes through only when they cannot be read in two ways.
//!
//! It follows the stream message by message: a head is held back, whole and bounded, until [`head`] has judged
//! it and said how its body is framed; body bytes pass as they come, counted or followed chunk by chunk in
//! [`chunked`], so that the next head of a kept or pipelined connection is found where hyper will look for it.
//!
//! **A refused head** is replaced by a plain request with `Connection: close`, after which nothing of the
//! connection is read any more. The pipeline recognises it by its number on the connection ([`Verdict::next`]) and
//! answers 400 like every other refusal: in order behind pipelined answers, with an audit record. **A broken body**
//! ends the stream with an error, which fails the reading of that body.
//!
//! HTTP/2 frames its messages itself; such a connection passes through untouched.

mod chunked;
mod head;
mod violation;

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use chunked::Chunked;

use super::opening::{Opened, Speaks};

pub use violation::Violation;

/// How long a request head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadBounds {
    /// Longest head, in bytes: request line and fields.
    pub head_bytes: usize,
    /// Longest request target, in bytes.
    pub target_bytes: usize,
    /// Most fields.
    pub fields: usize,
}

impl Default for HeadBounds {
    fn default() -> Self {
        Self { head_bytes: 32 << 10, target_bytes: 8 << 10, fields: 100 }
    }
}

/// What was found on a connection, for the one who answers its requests.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    refused: OnceLock<(u64, Violation)>,
    answered: AtomicU64,
}

impl Verdict {
    /// To be called once for each request of the connection, in order: why that request was refused, if it was.
    pub(super) fn next(&self) -> Option<Violation> {
        let number = self.answered.fetch_add(1, Ordering::Relaxed);
        self.refused.get().filter(|(refused, _)| *refused == number).map(|(_, violation)| *violation)
    }
}

/// A connection whose HTTP/1 requests are framed strictly.
pub(super) struct Strict<I> {
    io: I,
    framing: Framing,
    /// Bytes read and not yet handed on; the first `released` of them may be.
    held: BytesMut,
    released: usize,
    ending: Ending,
    verdict: Arc<Verdict>,
}

/// How far the connection is still read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Requests are read.
    Open,
    /// A head was refused: what follows is read and thrown away, so that the answer is not lost to a reset.
    Refused,
    /// A body broke its framing.
    Broken,
}

impl<I> Strict<I> {
    /// Wraps a connection. What was read to find out what it speaks is judged first.
    pub(super) fn new(opened: Opened<I>, bounds: HeadBounds) -> Self {
        let Opened { io, speaks, read } = opened;
        let state = match speaks {
            Speaks::Http1 => State::head(),
            Speaks::Http2 => State::Opaque,
        };
        let framing = Framing { state, bounds, heads: 0 };
        let mut strict = Self {
            io,
            framing,
            held: BytesMut::new(),
            released: 0,
            ending: Ending::Open,
            verdict: Arc::default(),
        };
        let passed = strict.judge(&read);
        strict.held = read;
        strict.settle(passed);
        strict
    }

    /// Where refusals are told.
    pub(super) fn verdict(&self) -> Arc<Verdict> {
        Arc::clone(&self.verdict)
    }

    /// Judges `input`: how many of its first bytes may be handed on. The rest is to be held or forgotten.
    fn judge(&mut self, input: &[u8]) -> usize {
        let mut passed = 0;
        while let Some(rest) = input.get(passed..).filter(|rest| !rest.is_empty()) {
            match self.framing.take(rest) {
                Step::Pass(bytes) => passed += bytes,
                Step::More => break,
                Step::Refuse(violation) => {
                    // Set only here, and nothing is judged afterwards: it cannot be set already.
                    let _ = self.verdict.refused.set((self.framing.heads, violation));
                    self.ending = Ending::Refused;
                    break;
                }
                Step::Broken => {
                    self.ending = Ending::Broken;
                    break;
                }
            }
        }
        passed
    }

    /// Puts what may be handed on in front, and the stand-in for a refused head behind it.
    fn settle(&mut self, passed: usize) {
        self.released = passed;
        if self.ending != Ending::Open {
            self.held.truncate(passed);
        }
        if self.ending == Ending::Refused {
            self.held.extend_from_slice(STAND_IN);
            self.released = self.held.len();
        }
    }

    /// Hands on what was released, as far as it fits.
    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) {
        let bytes = self.released.min(buf.remaining());
        if let Some(ready) = self.held.get(..bytes) {
            buf.put_slice(ready);
        }
        self.held.advance(bytes);
        self.released -= bytes;
        if self.held.is_empty() {
            // An idle connection holds no buffer.
            self.held = BytesMut::new();
        }
    }
}

impl<I: AsyncRead + Unpin> Strict<I> {
    /// Reads on into the held bytes; `false` at the end of the connection.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let read = ready!(tokio_util::io::poll_read_buf(Pin::new(&mut self.io), cx, &mut self.held))?;
        if read == 0 {
            return Poll::Ready(Ok(false));
        }
        let held = self.held.split();
        let passed = self.judge(&held);
        self.held = held;
        self.settle(passed);
        Poll::Ready(Ok(true))
    }

    /// Reads straight into the reader's buffer; only what may not pass yet is copied aside.
    fn poll_straight(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let Some(read) = buf.filled().get(before..).filter(|read| !read.is_empty()) else {
            return Poll::Ready(Ok(false));
        };
        let passed = self.judge(read);
        if let Some(rest) = read.get(passed..).filter(|rest| !rest.is_empty()) {
            self.held.extend_from_slice(rest);
            self.settle(0);
        }
        buf.set_filled(before + passed);
        Poll::Ready(Ok(true))
    }

    /// Throws away what still comes.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut waste = [0; 1024];
        let mut waste = ReadBuf::new(&mut waste);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut waste))?;
        Poll::Ready(Ok(!waste.filled().is_empty()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Strict<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.framing.state, State::Opaque) && this.held.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let before = buf.filled().len();
        while buf.filled().len() == before {
            if this.released > 0 {
                this.hand_on(buf);
                break;
            }
            let open = match this.ending {
                Ending::Broken => {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "broken request body",
                    )));
                }
                Ending::Refused => ready!(this.poll_discard(cx))?,
                Ending::Open if this.held.is_empty() => ready!(this.poll_straight(cx, buf))?,
                Ending::Open => ready!(this.poll_more(cx))?,
            };
            if !open {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Strict<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// What is checked of every head, in whatever version of HTTP it came. For HTTP/1 the rest was checked in its bytes;
/// for HTTP/2 it is what the frames leave open (RFC 9113 section 8.3.1). A connection that was opened for one host, as
/// the TLS handshake says, serves no other (RFC 9110 section 7.4).
pub(super) fn admit(head: &http::request::Parts, opened_for: Option<&str>) -> Result<(), Violation> {
    if matches!(head.method, http::Method::CONNECT | http::Method::TRACE) {
        return Err(Violation::Tunnel);
    }
    if head.version == http::Version::HTTP_2 {
        head::judge_parts(head)?;
    }
    match opened_for {
        Some(name) if !head::is_for(head, name) => Err(Violation::Misdirected),
        Some(_) | None => Ok(()),
    }
}

/// Where in the stream of requests we are.
struct Framing {
    state: State,
    bounds: HeadBounds,
    /// Heads passed so far: the number of the next request.
    heads: u64,
}

enum State {
    /// Before or in a head, of which the first `scanned` bytes were looked at and `line` is where its last line
    /// starts. `skipped`: an empty line stood before it.
    Head { scanned: usize, line: usize, skipped: bool },
    /// In a body with so many bytes to come.
    Length(u64),
    /// In a chunked body.
    Chunked(Chunked),
    /// HTTP/2.
    Opaque,
}

impl State {
    fn head() -> Self {
        Self::Head { scanned: 0, line: 0, skipped: false }
    }
}

enum Step {
    /// The first bytes are in order.
    Pass(usize),
    /// Undecided: the same bytes are to come again with more behind them.
    More,
    /// The head is refused.
    Refuse(Violation),
    /// The body breaks its framing.
    Broken,
}

impl Framing {
    /// Judges the beginning of `input`, which is not empty and starts where the last [`Step::Pass`] ended.
    fn take(&mut self, input: &[u8]) -> Step {
        match &mut self.state {
            State::Opaque => Step::Pass(input.len()),
            State::Head { .. } => self.head(input),
            State::Length(left) => {
                let bytes = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= bytes as u64;
                if *left == 0 {
                    self.state = State::head();
                }
                Step::Pass(bytes)
            }
            State::Chunked(body) => match body.take(input) {
                chunked::Step::Inside => Step::Pass(input.len()),
                chunked::Step::Ends(bytes) => {
                    self.state = State::head();
                    Step::Pass(bytes)
                }
                chunked::Step::Broken => Step::Broken,
            },
        }
    }

    fn head(&mut self, input: &[u8]) -> Step {
        let State::Head { scanned, line, skipped } = &mut self.state else { return Step::Broken };
        if input.first().is_some_and(|first| !head::is_token_byte(*first) && *first != b'\r') {
            return Step::Refuse(Violation::Method);
        }
        while let Some(found) = input.get(*scanned..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let feed = *scanned + found;
            let Some((b'\r', text)) = input.get(*line..feed).and_then(<[u8]>::split_last) else {
                return Step::Refuse(Violation::LineEnding);
            };
            match (text.is_empty(), *line) {
                (false, _) => (*scanned, *line) = (feed + 1, feed + 1),
                (true, 0) if *skipped => return Step::Refuse(Violation::LineEnding),
                (true, 0) => {
                    // One empty line before a request is forgiven (RFC 9112 section 2.2), a second is not.
                    self.state = State::Head { scanned: 0, line: 0, skipped: true };
                    return Step::Pass(feed + 1);
                }
                (true, lines) => return self.judge_head(input.get(..lines).unwrap_or_default(), feed + 1),
            }
        }
        *scanned = input.len();
        if input.len() > self.bounds.head_bytes { Step::Refuse(Violation::HeadLength) } else { Step::More }
    }

    /// `lines` is the whole head without the empty line that ends it at `end`.
    fn judge_head(&mut self, lines: &[u8], end: usize) -> Step {
        if end > self.bounds.head_bytes {
            return Step::Refuse(Violation::HeadLength);
        }
        match head::judge(lines, &self.bounds) {
            Ok(body) => {
                self.heads += 1;
                self.state = match body {
                    head::Body::None => State::head(),
                    head::Body::Length(bytes) => State::Length(bytes),
                    head::Body::Chunked => State::Chunked(Chunked::default()),
                };
                Step::Pass(end)
            }
            Err(violation) => Step::Refuse(violation),
        }
    }
}

/// What the HTTP library is given in a refused head's place.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused.invalid\r\nconnection: close\r\n\r\n";

#[cfg(test)]
mod tests;
