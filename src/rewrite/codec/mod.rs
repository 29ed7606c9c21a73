//! Compression, decoded and encoded while it streams, always capped (ratio and size).

use super::plan::Cut;

/// A content coding (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// No coding.
    Identity,
    /// `gzip`, also of several members.
    Gzip,
    /// `deflate`: zlib (RFC 1950) as it should be, or raw deflate as some servers send it.
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

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
pub struct Decoder {}

impl Decoder {
    /// A decoder for one answer.
    pub fn new(coding: Coding, bounds: DecodeBounds) -> Self {
        let _ = (coding, bounds);
        todo!("codec")
    }

    /// Decodes `input`, handing decoded pieces of at most 64 KiB to `sink`; an error of the sink ends it.
    pub fn push(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8]) -> Result<(), Cut>) -> Result<(), Cut> {
        let _ = (input, sink);
        todo!("codec")
    }

    /// Ends the answer; an incomplete one is a [`Cut`].
    pub fn finish(&mut self) -> Result<(), Cut> {
        todo!("codec")
    }
}

/// Encodes an answer chunk by chunk.
pub struct Encoder {}

impl Encoder {
    /// An encoder for one answer.
    pub fn new(coding: Coding) -> Self {
        let _ = coding;
        todo!("codec")
    }

    /// Encodes `input`; what is ready is appended to `out`.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let _ = (input, out);
        todo!("codec")
    }

    /// Makes everything pushed so far decodable by the reader (a sync flush).
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        let _ = out;
        todo!("codec")
    }

    /// Ends the answer.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let _ = out;
        todo!("codec")
    }
}
