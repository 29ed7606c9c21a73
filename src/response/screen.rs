//! One answer being decoded, turned into UTF-8, rewritten and encoded while it streams.
//!
//! The upstream's body is pulled only when the caller's side asks for more, one piece at a time, and a piece that is
//! compressed is decoded in small slices: what waits here is at most what one slice grows to, besides the record
//! that the rewriter holds. An answer whose compression or text breaks yields what was decided before, and then the
//! error, for ever.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body;

use crate::policy::Remember;
use crate::rewrite::charset::{Charset, Transcoder};
use crate::rewrite::codec::{Coding, DecodeBounds, Decoder, Encoder};
use crate::rewrite::{Counts, Cut, CutReason, Format, Pieces, Rewriter};
use crate::upstream::UpstreamBody;

use super::body::StreamError;
use super::origin::{Origins, Turner};
use super::watch::Watch;

/// The stream of one answer.
pub(super) struct Screen {
    source: UpstreamBody,
    /// Taken from the source and not yet decoded.
    undecoded: Bytes,
    decoding: Decoding,
    /// Where the answer is not in UTF-8.
    transcoder: Option<Transcoder>,
    rewriter: Rewriter,
    pieces: Pieces,
    turner: Option<Turner>,
    watch: Option<Watch>,
    encoder: Option<Encoder>,
    /// Whether the answer is one text that a closing bracket ends.
    closes: bool,
    /// A closing bracket that might be the last: it goes out with what follows it, or when the answer has ended
    /// well. What is cut off can then never be taken for a whole text, whoever ignores that it was cut off.
    closing: Option<Bytes>,
    /// Whether a pause of the upstream is passed on at once: formats in which a line is worth something by itself.
    prompt: bool,
    /// Whether the encoder may hold back something.
    unflushed: bool,
    ready: VecDeque<Bytes>,
    ready_bytes: usize,
    read_bytes: u64,
    rewritten_bytes: u64,
    state: State,
}

enum Decoding {
    /// The first two bytes tell.
    Sniffing,
    Plain,
    Coded(Decoder),
}

enum State {
    Streaming,
    Complete,
    Broken(StreamError),
}

impl Screen {
    pub(super) fn new(source: UpstreamBody, coding: Coding, sniff: bool, rewriter: Rewriter) -> Self {
        let decoding = match coding {
            Coding::Identity => Decoding::Plain,
            Coding::Gzip if sniff => Decoding::Sniffing,
            coded => Decoding::Coded(Decoder::new(coded, DecodeBounds::default())),
        };
        Self {
            source,
            undecoded: Bytes::new(),
            decoding,
            transcoder: None,
            rewriter,
            pieces: Pieces::default(),
            turner: None,
            watch: None,
            encoder: None,
            closes: false,
            closing: None,
            prompt: false,
            unflushed: false,
            ready: VecDeque::new(),
            ready_bytes: 0,
            read_bytes: 0,
            rewritten_bytes: 0,
            state: State::Streaming,
        }
    }

    /// Turns what was decoded into UTF-8.
    pub(super) fn transcoded(mut self, charset: Charset) -> Self {
        self.transcoder = (!charset.is_utf_8()).then(|| Transcoder::new(charset));
        self
    }

    /// Encodes what comes out.
    pub(super) fn encoded(mut self, coding: Coding, format: &Format) -> Self {
        if coding != Coding::Identity {
            self.encoder = Some(Encoder::new(coding));
        }
        (self.closes, self.prompt) = match format {
            Format::Json => (true, false),
            Format::Ndjson | Format::JsonSeq | Format::Sse => (false, true),
            Format::Csv(_) => (false, false),
        };
        self
    }

    /// Points the upstream's URLs in what comes out back at the gateway.
    pub(super) fn turned(mut self, origins: Option<Origins>, format: &Format) -> Self {
        let json = !matches!(format, Format::Csv(_));
        self.turner = origins.map(|origins| Turner::new(origins, json));
        self
    }

    /// Watches what comes out for values that are remembered.
    pub(super) fn watched(mut self, remember: &[Remember]) -> Self {
        self.watch = Watch::of(remember);
        self
    }

    /// The values to remember that have come out so far.
    pub(super) fn noticed(&self) -> &[(Arc<str>, String)] {
        self.watch.as_ref().map_or(&[], Watch::found)
    }

    /// What was released and withheld so far.
    pub(super) fn counts(&self) -> &Counts {
        self.rewriter.counts()
    }

    /// The same, for the last time.
    pub(super) fn take_counts(&mut self) -> Counts {
        self.rewriter.take_counts()
    }

    /// Whether the upstream sent nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        self.read_bytes == 0
    }

    /// Bytes that wait to be taken.
    pub(super) fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// Whether anything came out of the rewriter yet.
    pub(super) fn has_begun(&self) -> bool {
        self.rewritten_bytes > 0
    }

    /// Whether nothing more will become ready.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    /// Why it broke, if it did.
    pub(super) fn broken(&self) -> Option<&StreamError> {
        match &self.state {
            State::Broken(error) => Some(error),
            State::Streaming | State::Complete => None,
        }
    }

    /// Takes the next piece that is ready.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let piece = self.ready.pop_front()?;
        self.ready_bytes = self.ready_bytes.saturating_sub(piece.len());
        Some(piece)
    }

    /// Does some work: reads, or decodes and rewrites a slice of what was read. Pending only if the upstream is.
    pub(super) fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !matches!(self.state, State::Streaming) {
            return Poll::Ready(());
        }
        let step = if self.undecoded.is_empty() || self.is_undecided() {
            match self.poll_read(cx) {
                Poll::Ready(step) => step,
                Poll::Pending => {
                    return if self.flush() { Poll::Ready(()) } else { Poll::Pending };
                }
            }
        } else {
            self.screen().map_err(StreamError::Cut)
        };
        if let Err(error) = step {
            self.state = State::Broken(error);
        }
        Poll::Ready(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        match ready!(Pin::new(&mut self.source).poll_frame(cx)) {
            Some(Ok(frame)) => {
                // Trailers go no further.
                if let Ok(data) = frame.into_data() {
                    self.read_bytes = self.read_bytes.saturating_add(data.len() as u64);
                    self.undecoded = joined(std::mem::take(&mut self.undecoded), data);
                }
                Poll::Ready(Ok(()))
            }
            Some(Err(error)) => Poll::Ready(Err(StreamError::Upstream(error))),
            None => Poll::Ready(self.finish().map_err(StreamError::Cut)),
        }
    }

    /// Whether more has to be read before anything can be decoded.
    fn is_undecided(&self) -> bool {
        matches!(self.decoding, Decoding::Sniffing) && self.undecoded.len() < GZIP_MAGIC.len()
    }

    fn screen(&mut self) -> Result<(), Cut> {
        if matches!(self.decoding, Decoding::Sniffing) {
            self.decoding = if self.undecoded.starts_with(&GZIP_MAGIC) {
                Decoding::Coded(Decoder::new(Coding::Gzip, DecodeBounds::default()))
            } else {
                Decoding::Plain
            };
        }
        let result = match &mut self.decoding {
            Decoding::Sniffing | Decoding::Plain => {
                let chunk = std::mem::take(&mut self.undecoded);
                self.pieces.input(&chunk);
                rewrite(&mut self.transcoder, &mut self.rewriter, &chunk, &mut self.pieces)
            }
            Decoding::Coded(decoder) => {
                let slice = self.undecoded.split_to(self.undecoded.len().min(DECODED_SLICE_BYTES));
                let (transcoder, rewriter, pieces) =
                    (&mut self.transcoder, &mut self.rewriter, &mut self.pieces);
                let mut grown = 0_usize;
                decoder.push(&slice, &mut |piece| {
                    grown = grown.saturating_add(piece.len());
                    if grown > DECODED_BYTES_OF_A_SLICE {
                        let offset = rewriter.counts().bytes_in;
                        return Err(Cut { reason: CutReason::Bomb, offset });
                    }
                    rewrite(transcoder, rewriter, piece, pieces)
                })
            }
        };
        self.pass_on();
        result
    }

    fn finish(&mut self) -> Result<(), Cut> {
        if self.is_empty() {
            self.state = State::Complete;
            return Ok(());
        }
        if self.is_undecided() {
            // A single byte, or none: no gzip.
            self.decoding = Decoding::Plain;
            self.screen()?;
        }
        if let Decoding::Coded(decoder) = &mut self.decoding {
            decoder.finish()?;
        }
        let result = self.end_text();
        self.pass_on();
        result?;
        let held = self.turner.as_mut().map(Turner::finish).unwrap_or_default();
        if !held.is_empty() {
            self.encode(held);
        }
        if let Some(closing) = self.closing.take() {
            self.encode(closing);
        }
        if let Some(encoder) = &mut self.encoder {
            let mut end = Vec::new();
            encoder.finish(&mut end);
            self.offer(end.into());
        }
        self.state = State::Complete;
        Ok(())
    }

    fn end_text(&mut self) -> Result<(), Cut> {
        let (rewriter, pieces) = (&mut self.rewriter, &mut self.pieces);
        if let Some(transcoder) = &mut self.transcoder {
            transcoder.finish(&mut |piece| rewriter.push(piece, pieces))?;
        }
        rewriter.finish(pieces)
    }

    /// Moves what the rewriter wrote to what is ready.
    fn pass_on(&mut self) {
        let pieces: Vec<Bytes> = self.pieces.take().filter(|piece| !piece.is_empty()).collect();
        for mut piece in pieces {
            self.rewritten_bytes = self.rewritten_bytes.saturating_add(piece.len() as u64);
            if let Some(watch) = &mut self.watch {
                watch.push(&piece);
            }
            if let Some(turner) = &mut self.turner {
                piece = turner.push(&piece);
                if piece.is_empty() {
                    continue;
                }
            }
            if let Some(closing) = self.closing.take() {
                piece = self.joined_if_short(closing, piece);
            }
            if self.closes && matches!(piece.last(), Some(b'}' | b']')) {
                self.closing = Some(piece.split_off(piece.len().saturating_sub(1)));
            }
            self.encode(piece);
        }
    }

    /// A single byte is a wasteful piece; a long one is not copied for its sake.
    fn joined_if_short(&mut self, closing: Bytes, piece: Bytes) -> Bytes {
        if piece.len() < SHORT_PIECE_BYTES {
            joined(closing, piece)
        } else {
            self.encode(closing);
            piece
        }
    }

    fn encode(&mut self, piece: Bytes) {
        match &mut self.encoder {
            None => self.offer(piece),
            Some(encoder) => {
                let mut encoded = Vec::new();
                encoder.push(&piece, &mut encoded);
                self.unflushed = true;
                self.offer(encoded.into());
            }
        }
    }

    /// Lets go of what the encoder holds back while the upstream pauses; whether there was anything.
    fn flush(&mut self) -> bool {
        if !self.prompt || !self.unflushed {
            return false;
        }
        self.unflushed = false;
        let mut held = Vec::new();
        if let Some(encoder) = &mut self.encoder {
            encoder.flush(&mut held);
        }
        let found = !held.is_empty();
        self.offer(held.into());
        found
    }

    fn offer(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.ready_bytes = self.ready_bytes.saturating_add(piece.len());
            self.ready.push_back(piece);
        }
    }
}

/// Rewrites a decoded piece, turned into UTF-8 if it is not.
fn rewrite(
    transcoder: &mut Option<Transcoder>,
    rewriter: &mut Rewriter,
    piece: &[u8],
    pieces: &mut Pieces,
) -> Result<(), Cut> {
    match transcoder {
        Some(transcoder) => transcoder.push(piece, &mut |piece| rewriter.push(piece, pieces)),
        None => rewriter.push(piece, pieces),
    }
}

/// Two pieces as one; copies only in the rare case that both hold something.
fn joined(first: Bytes, second: Bytes) -> Bytes {
    if first.is_empty() { second } else { [first, second].concat().into() }
}

/// The two bytes every gzip member starts with (RFC 1952 section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const SHORT_PIECE_BYTES: usize = 4 << 10;
/// How much compressed input is decoded at a time.
const DECODED_SLICE_BYTES: usize = 1 << 10;
/// What that may grow to at once, however little the answer has grown before: gzip makes at most 1 MiB of it.
const DECODED_BYTES_OF_A_SLICE: usize = 8 << 20;
