//! Compression, decoded and encoded while it streams, always capped (ratio and size).
//!
//! A [`Decoder`] takes the compressed answer in chunks of any size and hands out decoded pieces; whatever is not exactly
//! what the coding promises (a wrong checksum, bytes behind the end, an end too early, growth beyond the bounds) is a
//! [`Cut`](super::Cut), so that nothing passes unread. An [`Encoder`] is used only behind the rewriter. Memory is one
//! buffer of 64 KiB and the coding's window: 32 KiB for gzip and deflate, up to 16 MiB for br, up to 8 MiB for zstd
//! (RFC 9659), which is why upstreams are asked for gzip first.

mod coding;
mod decode;
mod encode;

#[cfg(test)]
mod tests;

pub use coding::{Coding, UnknownCoding};
pub use decode::{DecodeBounds, Decoder};
pub use encode::Encoder;

/// Largest piece handed out, and the size of the one buffer.
const PIECE_BYTES: usize = 64 << 10;
