//! Where the engine writes: ranges of the input, and the few bytes that are new.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Takes the rewritten answer piece by piece, in order.
pub trait Output {
    /// `chunk[range]` of the chunk being pushed passes as it is.
    fn keep(&mut self, chunk: &[u8], range: Range<usize>);
    /// New bytes.
    fn write(&mut self, bytes: &[u8]);
}

impl Output for Vec<u8> {
    fn keep(&mut self, chunk: &[u8], range: Range<usize>) {
        if let Some(bytes) = chunk.get(range) {
            self.extend_from_slice(bytes);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Output as shared slices: long ranges of the input are not copied, short ones are gathered.
#[derive(Debug, Default)]
pub struct Pieces {
    input: Bytes,
    gathered: BytesMut,
    ready: Vec<Bytes>,
}

/// Most memory that is taken at once for what is gathered.
const GATHER_BYTES: usize = 64 << 10;

/// Ranges shorter than this are copied: a shared slice costs an atomic and a vectored write entry.
const SHARE_FROM_BYTES: usize = 4096;

impl Pieces {
    /// Names the chunk that the next [`Output::keep`] calls refer to; it must be the one that is pushed.
    pub fn input(&mut self, chunk: &Bytes) {
        self.input = chunk.clone();
        // Once for the chunk, where it would grow and be copied again and again.
        self.gathered.reserve(chunk.len().min(GATHER_BYTES));
    }

    /// What was written since the last call, in order.
    pub fn take(&mut self) -> impl Iterator<Item = Bytes> + '_ {
        self.flush();
        self.input = Bytes::new();
        self.ready.drain(..)
    }

    fn flush(&mut self) {
        if !self.gathered.is_empty() {
            self.ready.push(self.gathered.split().freeze());
        }
    }
}

impl Output for Pieces {
    fn keep(&mut self, chunk: &[u8], range: Range<usize>) {
        let shared = range.len() >= SHARE_FROM_BYTES
            && chunk.as_ptr() == self.input.as_ptr()
            && range.end <= self.input.len();
        if shared {
            self.flush();
            self.ready.push(self.input.slice(range));
        } else if let Some(bytes) = chunk.get(range) {
            self.gathered.extend_from_slice(bytes);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.gathered.extend_from_slice(bytes);
    }
}
