//! Decoding in pieces, strictly and within bounds.

use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::zstd::params::DParameter;
use compression_codecs::{BrotliDecoder, DecodeV2, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};

use crate::rewrite::plan::{Cut, CutReason};

use super::{Coding, PIECE_BYTES};

/// What a decoded answer may grow to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeBounds {
    /// Largest ratio of decoded to encoded bytes, judged after the first 64 KiB decoded.
    pub ratio: u64,
    /// Largest decoded size; `u64::MAX` for none.
    pub bytes: u64,
}

impl Default for DecodeBounds {
    fn default() -> Self {
        Self { ratio: 1_000, bytes: u64::MAX }
    }
}

/// Decodes an answer chunk by chunk.
pub struct Decoder {
    state: State,
    bounds: DecodeBounds,
    buffer: Vec<u8>,
    /// Encoded bytes consumed.
    taken: u64,
    /// Decoded bytes handed out.
    given: u64,
}

enum State {
    /// No coding.
    Plain,
    /// `deflate`, until its first two bytes tell which kind it is.
    Sniff(Vec<u8>),
    /// Inside a stream.
    Within(Stream),
    /// Behind the end of a stream, where only another one may begin, of the codings that allow it.
    Ended(Stream),
    /// Cut; nothing more is decoded.
    Failed(Cut),
}

struct Stream {
    decoder: Box<dyn DecodeV2 + Send>,
    /// How another stream may begin behind this one.
    next: Next,
    /// Bytes of its header seen so far, up to [`GZIP_FLAGS_AT`] and the flags themselves.
    header: usize,
    /// What a zstd frame states about itself, and what it came to.
    frame: Frame,
}

/// A zstd frame, whose stated size the codec does not compare in every case: not where the last block is empty.
#[derive(Default)]
struct Frame {
    /// The first bytes of it, up to [`ZSTD_HEADER_BYTES`].
    start: Vec<u8>,
    /// Decoded bytes.
    made: u64,
}

#[derive(Clone, Copy)]
enum Next {
    /// gzip: another member (RFC 1952 section 2.2).
    Member,
    /// zstd: another frame, also one to be skipped (RFC 8878 section 3).
    Frame,
    /// Nothing may follow.
    Nothing,
}

impl Decoder {
    /// A decoder for one answer.
    pub fn new(coding: Coding, bounds: DecodeBounds) -> Self {
        let within = |decoder: Box<dyn DecodeV2 + Send>, next| State::Within(Stream::new(decoder, next));
        let state = match coding {
            Coding::Identity => State::Plain,
            Coding::Gzip => within(Box::new(GzipDecoder::new()), Next::Member),
            Coding::Deflate => State::Sniff(Vec::with_capacity(2)),
            Coding::Brotli => within(Box::new(BrotliDecoder::new()), Next::Nothing),
            Coding::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
                within(Box::new(ZstdDecoder::new_with_params(&[window])), Next::Frame)
            }
        };
        Self { state, bounds, buffer: Vec::new(), taken: 0, given: 0 }
    }

    /// Decodes `input`, handing decoded pieces of at most 64 KiB to `sink`; an error of the sink ends it.
    pub fn push(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8]) -> Result<(), Cut>) -> Result<(), Cut> {
        let decoded = self.decode(input, sink);
        if let Err(cut) = &decoded {
            self.state = State::Failed(cut.clone());
        }
        decoded
    }

    /// Ends the answer; an incomplete one is a [`Cut`].
    pub fn finish(&mut self) -> Result<(), Cut> {
        match &self.state {
            State::Plain | State::Ended(_) => Ok(()),
            State::Sniff(_) | State::Within(_) => {
                let cut = self.cut(CutReason::Truncated);
                self.state = State::Failed(cut.clone());
                Err(cut)
            }
            State::Failed(cut) => Err(cut.clone()),
        }
    }

    /// Memory held besides the coding's window.
    #[cfg(test)]
    pub(super) fn buffered(&self) -> usize {
        self.buffer.capacity()
    }

    fn decode(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8]) -> Result<(), Cut>) -> Result<(), Cut> {
        let mut input = input;
        while !input.is_empty() {
            match std::mem::replace(&mut self.state, State::Plain) {
                State::Plain => return self.pass(input, sink),
                State::Failed(cut) => return Err(cut),
                State::Sniff(mut start) => {
                    let missing = 2_usize.saturating_sub(start.len());
                    let (first, rest) = input.split_at(missing.min(input.len()));
                    start.extend_from_slice(first);
                    input = rest;
                    if start.len() < 2 {
                        self.state = State::Sniff(start);
                        return Ok(());
                    }
                    let stream = Stream::new(deflate(&start), Next::Nothing);
                    self.run(stream, &start, sink)?;
                }
                State::Ended(stream) => self.state = State::Within(self.restarted(stream)?),
                State::Within(stream) => input = self.run(stream, input, sink)?,
            }
        }
        Ok(())
    }

    /// Decodes up to the end of `input` or of the stream, and gives back what is left.
    fn run<'i>(
        &mut self,
        mut stream: Stream,
        input: &'i [u8],
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Cut>,
    ) -> Result<&'i [u8], Cut> {
        if stream.has_reserved_flags(input) {
            return Err(self.cut(CutReason::Compression));
        }
        let mut source = PartialBuffer::new(input);
        self.buffer.resize(PIECE_BYTES, 0);
        loop {
            let before = source.written_len();
            let mut piece = WriteBuffer::new_initialized(&mut self.buffer);
            let probing = source.unwritten().is_empty();
            let ended = stream.decoder.decode(&mut source, &mut piece);
            let (length, is_full) = (piece.written_len(), piece.has_no_spare_space());
            let consumed = source.written_len() - before;
            self.taken = self.taken.saturating_add(u64::try_from(consumed).unwrap_or(u64::MAX));
            if matches!(stream.next, Next::Frame) {
                stream.frame.note(source.written().get(before..).unwrap_or_default(), length);
            }
            self.give(length, sink)?;
            match ended {
                Ok(true) if stream.frame.lied() => return Err(self.cut(CutReason::Compression)),
                Ok(true) => {
                    self.state = State::Ended(stream);
                    return Ok(input.get(source.written_len()..).unwrap_or_default());
                }
                // A full buffer may have more behind it, also without input: asked for until it is not full.
                Ok(false) if is_full => {}
                Ok(false) if source.unwritten().is_empty() => break,
                Ok(false) if consumed == 0 && length == 0 => return Err(self.cut(CutReason::Compression)),
                Ok(false) => {}
                // Without input "no progress" is no error, and a real one shows again with the next byte or at the end.
                // A zstd decoder says the former without an error, and forgets the latter.
                Err(_) if probing && !matches!(stream.next, Next::Frame) => break,
                Err(_) => return Err(self.cut(CutReason::Compression)),
            }
        }
        self.state = State::Within(stream);
        Ok(&[])
    }

    /// Hands out the first `length` bytes of the buffer, unless the answer has grown beyond its bounds.
    fn give(&mut self, length: usize, sink: &mut dyn FnMut(&[u8]) -> Result<(), Cut>) -> Result<(), Cut> {
        if length == 0 {
            return Ok(());
        }
        let grown = self.given.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        let judged = grown > JUDGED_FROM_BYTES;
        if grown > self.bounds.bytes || (judged && grown > self.taken.saturating_mul(self.bounds.ratio)) {
            return Err(self.cut(CutReason::Bomb));
        }
        self.given = grown;
        sink(self.buffer.get(..length).unwrap_or_default())
    }

    /// Without a coding only the size is bounded.
    fn pass(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8]) -> Result<(), Cut>) -> Result<(), Cut> {
        for piece in input.chunks(PIECE_BYTES) {
            let grown = self.given.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            if grown > self.bounds.bytes {
                return Err(self.cut(CutReason::Bomb));
            }
            self.given = grown;
            sink(piece)?;
        }
        Ok(())
    }

    /// Ready for another stream; whether it is one, its first bytes tell.
    fn restarted(&self, mut stream: Stream) -> Result<Stream, Cut> {
        match stream.next {
            Next::Nothing => Err(self.cut(CutReason::Compression)),
            Next::Member | Next::Frame => match stream.decoder.reinit() {
                Ok(()) => {
                    stream.header = 0;
                    stream.frame = Frame::default();
                    Ok(stream)
                }
                Err(_) => Err(self.cut(CutReason::Compression)),
            },
        }
    }

    fn cut(&self, reason: CutReason) -> Cut {
        Cut { reason, offset: self.given }
    }
}

impl Frame {
    /// It goes on with these bytes, which came to `made` decoded ones.
    fn note(&mut self, bytes: &[u8], made: usize) {
        let missing = ZSTD_HEADER_BYTES.saturating_sub(self.start.len());
        self.start.extend_from_slice(bytes.get(..missing.min(bytes.len())).unwrap_or_default());
        self.made = self.made.saturating_add(u64::try_from(made).unwrap_or(u64::MAX));
    }

    /// Whether it states another size than it has.
    fn lied(&self) -> bool {
        self.stated().is_some_and(|stated| stated != self.made)
    }

    /// The size in its header, if it is a frame with one (RFC 8878 section 3.1.1.1).
    fn stated(&self) -> Option<u64> {
        let (descriptor, rest) = self.start.strip_prefix(&ZSTD_MAGIC)?.split_first()?;
        let single = descriptor & 0x20 != 0;
        let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 3))?;
        let length = match (descriptor >> 6, single) {
            (0, false) => return None,
            (0, true) => 1,
            (1, _) => 2,
            (2, _) => 4,
            _ => 8,
        };
        let field = rest.get(usize::from(!single) + dictionary..)?.get(..length)?;
        let value = field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        Some(if length == 2 { value + 256 } else { value })
    }
}

impl Stream {
    fn new(decoder: Box<dyn DecodeV2 + Send>, next: Next) -> Self {
        Self { decoder, next, header: 0, frame: Frame::default() }
    }

    /// Whether the header of a gzip member has a flag set that must be zero: "such a bit could indicate the presence of
    /// a new field that would cause subsequent data to be interpreted incorrectly" (RFC 1952 section 2.3.1.2). The
    /// codec passes over them.
    fn has_reserved_flags(&mut self, input: &[u8]) -> bool {
        let Next::Member = self.next else { return false };
        let unseen = (GZIP_FLAGS_AT + 1).saturating_sub(self.header);
        let flags = input.get(GZIP_FLAGS_AT.saturating_sub(self.header)).filter(|_| unseen > 0);
        let reserved = flags.is_some_and(|flags| flags & GZIP_RESERVED != 0);
        self.header += unseen.min(input.len());
        reserved
    }
}

/// zlib where the first two bytes are its header (RFC 1950 section 2.2), raw deflate (RFC 1951) otherwise. A raw stream
/// that starts like a zlib header would be a stored block with stray bits in its padding, which no encoder writes.
fn deflate(start: &[u8]) -> Box<dyn DecodeV2 + Send> {
    match start {
        [method, flags]
            if method & 0x0f == 8
                && method >> 4 <= 7
                && (u16::from(*method) << 8 | u16::from(*flags)).is_multiple_of(31) =>
        {
            Box::new(ZlibDecoder::new())
        }
        _ => Box::new(DeflateDecoder::new()),
    }
}

/// The ratio is judged from here on: small answers compress well.
const JUDGED_FROM_BYTES: u64 = 64 << 10;

/// Where the flags stand in the header of a gzip member, and those that are reserved.
const GZIP_FLAGS_AT: usize = 3;
const GZIP_RESERVED: u8 = 0b1110_0000;

/// How a zstd frame that holds data begins, and the most bytes of its header.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const ZSTD_HEADER_BYTES: usize = 18;

/// Windows of at most 8 MiB (RFC 9659 section 3).
const ZSTD_WINDOW_LOG: u32 = 23;
