//! Encoding in pieces.

use std::io;

use compression_codecs::brotli::params::EncoderParams;
use compression_codecs::core::Level;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::flate::params::FlateEncoderParams;
use compression_codecs::zstd::params::CParameter;
use compression_codecs::{BrotliEncoder, EncodeV2, GzipEncoder, ZlibEncoder, ZstdEncoder};

use super::{Coding, PIECE_BYTES};

/// Encodes an answer chunk by chunk.
pub struct Encoder {
    state: State,
    buffer: Vec<u8>,
}

enum State {
    Plain,
    Encoding(Box<dyn EncodeV2 + Send>),
    /// Ended, or failed: nothing more is written. An encoding that failed has no end, so no reader takes it for whole.
    Over,
}

impl Encoder {
    /// An encoder for one answer, with settings for answers made on the way: fast, with small windows.
    pub fn new(coding: Coding) -> Self {
        let state = match coding {
            Coding::Identity => State::Plain,
            Coding::Gzip => State::Encoding(Box::new(GzipEncoder::new(flate_level()))),
            Coding::Deflate => State::Encoding(Box::new(ZlibEncoder::new(flate_level()))),
            Coding::Brotli => {
                let params = EncoderParams::default().quality(Level::Precise(4)).window_size(18).text_mode();
                State::Encoding(Box::new(BrotliEncoder::new(params)))
            }
            Coding::Zstd => {
                State::Encoding(Box::new(ZstdEncoder::new_with_params(3, &[CParameter::window_log(18)])))
            }
        };
        Self { state, buffer: Vec::new() }
    }

    /// Encodes `input`; what is ready is appended to `out`. Behind [`Encoder::finish`] it does nothing.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        if let State::Plain = self.state {
            out.extend_from_slice(input);
            return;
        }
        let mut source = PartialBuffer::new(input);
        while !source.unwritten().is_empty() {
            let before = source.written_len();
            let written = self.step(out, |encoder, piece| encoder.encode(&mut source, piece).map(|()| false));
            if source.written_len() == before && !matches!(written, Some((1.., _))) {
                self.state = State::Over;
                return;
            }
        }
    }

    /// Makes everything pushed so far decodable by the reader (a sync flush).
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        while let Some((_, false)) = self.step(out, |encoder, piece| encoder.flush(piece)) {}
    }

    /// Ends the answer.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        while let Some((_, false)) = self.step(out, |encoder, piece| encoder.finish(piece)) {}
        self.state = State::Over;
    }

    /// One call of the encoder with an empty buffer: how much it wrote, and what it said. `None` without an encoder;
    /// one that fails is dropped.
    fn step(
        &mut self,
        out: &mut Vec<u8>,
        call: impl FnOnce(&mut dyn EncodeV2, &mut WriteBuffer<'_>) -> io::Result<bool>,
    ) -> Option<(usize, bool)> {
        let State::Encoding(encoder) = &mut self.state else { return None };
        self.buffer.resize(PIECE_BYTES, 0);
        let mut piece = WriteBuffer::new_initialized(&mut self.buffer);
        let said = call(&mut **encoder, &mut piece);
        out.extend_from_slice(piece.written());
        match said {
            Ok(done) => Some((piece.written_len(), done)),
            Err(_) => {
                self.state = State::Over;
                None
            }
        }
    }
}

fn flate_level() -> FlateEncoderParams {
    Level::Precise(5).into()
}
