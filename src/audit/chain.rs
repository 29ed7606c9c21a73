//! The chain: every line holds the hash of the line before it and its own.
//!
//! A line is the canonical JSON `{"hash":…,"previous":…,"record":{…},"sequence":…}`. Its hash is the SHA-256 of the
//! same object without `hash`, in lower-case hexadecimal; `previous` is the hash of the line with the sequence number
//! before, or 64 zeros for the first line of all.

use std::io::Write;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::canonical::{Object, canonical};

/// The hash of a line.
pub(super) type Hash = [u8; 64];

/// The end of a chain, where the next line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// Sequence number of the last line; 0 before the first.
    pub(super) sequence: u64,
    /// Hash of the last line.
    pub(super) hash: Hash,
}

/// A line read back, its hash found right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link<'l> {
    /// Its place in the chain.
    pub(super) sequence: u64,
    /// Its hash.
    pub(super) hash: Hash,
    /// The hash that it names as the one before.
    pub(super) previous: Hash,
    /// The JSON text of its record.
    pub(super) record: &'l str,
}

/// What is wrong with a single line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("it is not a line of an audit log")]
    Shape,
    #[error("its content does not match its hash")]
    Hash,
    #[error("it is not in canonical form")]
    Canonical,
}

impl Chain {
    /// The beginning.
    pub(super) const GENESIS: Self = Self { sequence: 0, hash: [b'0'; 64] };

    /// Appends the next line to `out`, with the record that `members` write, and moves on to it.
    pub(super) fn seal(&mut self, out: &mut Vec<u8>, members: impl FnOnce(&mut Object<'_>)) {
        let sequence = self.sequence.saturating_add(1);
        out.extend_from_slice(HASH);
        let hash_at = out.len();
        out.extend_from_slice(&[b'0'; 64]);
        out.extend_from_slice(b"\",");
        let hashed_from = out.len();
        out.extend_from_slice(PREVIOUS);
        out.extend_from_slice(&self.hash);
        out.extend_from_slice(RECORD);
        Object::write(out, members);
        out.extend_from_slice(SEQUENCE);
        // Writing to memory does not fail.
        let _ = write!(out, "{sequence}}}");
        let hash = hash(out.get(hashed_from..).unwrap_or_default());
        if let Some(place) = out.get_mut(hash_at..).and_then(|rest| rest.first_chunk_mut()) {
            *place = hash;
        }
        out.push(b'\n');
        *self = Self { sequence, hash };
    }
}

#[cfg(test)]
impl Chain {
    /// Appends a line whose record's text is given, as somebody does who forges a log.
    pub(super) fn seal_raw(&mut self, out: &mut Vec<u8>, record: &str) {
        let sequence = self.sequence + 1;
        let members = format!(
            "\"previous\":\"{}\",\"record\":{record},\"sequence\":{sequence}}}",
            hash_text(&self.hash)
        );
        *self = Self { sequence, hash: hash(members.as_bytes()) };
        out.extend_from_slice(format!("{{\"hash\":\"{}\",{members}\n", hash_text(&self.hash)).as_bytes());
    }
}

impl<'l> Link<'l> {
    /// Reads a line, without its line feed, and gives it as JSON too.
    pub(super) fn read(line: &'l [u8]) -> Result<(Self, Value), Fault> {
        let link = Self::parse(line).ok_or(Fault::Shape)?;
        let value: Value = serde_json::from_slice(line).map_err(|_| Fault::Shape)?;
        let hashed = line.get(HASH.len() + 64 + 2..).unwrap_or_default();
        if hash(hashed) != link.hash {
            return Err(Fault::Hash);
        }
        if canonical(&value).as_deref() != Some(line) {
            return Err(Fault::Canonical);
        }
        Ok((link, value))
    }

    /// Takes a line apart without checking its hash.
    pub(super) fn parse(line: &'l [u8]) -> Option<Self> {
        let (hash, rest) = line.strip_prefix(HASH)?.split_first_chunk()?;
        let (previous, rest) = rest.strip_prefix(b"\",")?.strip_prefix(PREVIOUS)?.split_first_chunk()?;
        let rest = std::str::from_utf8(rest.strip_prefix(RECORD)?.strip_suffix(b"}")?).ok()?;
        let (record, sequence) = rest.rsplit_once(std::str::from_utf8(SEQUENCE).ok()?)?;
        let hexadecimal = |hash: &Hash| hash.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !hexadecimal(hash) || !hexadecimal(previous) || !sequence.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Self { sequence: sequence.parse().ok()?, hash: *hash, previous: *previous, record })
    }
}

/// A hash as text.
pub(super) fn hash_text(hash: &Hash) -> &str {
    std::str::from_utf8(hash).unwrap_or_default()
}

/// Bytes in lower-case hexadecimal.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).map(char::from).collect()
}

/// The hexadecimal digit of a number below 16.
fn digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

/// The hash of a line whose members after `hash` are given.
fn hash(members: &[u8]) -> Hash {
    let digest = Sha256::new().chain_update(b"{").chain_update(members).finalize();
    let mut hash = [b'0'; 64];
    for (pair, byte) in hash.chunks_exact_mut(2).zip(digest) {
        if let [high, low] = pair {
            (*high, *low) = (digit(byte >> 4), digit(byte & 15));
        }
    }
    hash
}

const HASH: &[u8] = b"{\"hash\":\"";
const PREVIOUS: &[u8] = b"\"previous\":\"";
const RECORD: &[u8] = b"\",\"record\":";
const SEQUENCE: &[u8] = b",\"sequence\":";

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: u64) -> (Vec<u8>, Chain) {
        let (mut out, mut chain) = (Vec::new(), Chain::GENESIS);
        for n in 0..count {
            chain.seal(&mut out, |o| o.number("n", n));
        }
        (out, chain)
    }

    #[test]
    fn the_hash_is_the_sha256_of_the_line_without_it() {
        let (out, chain) = lines(1);
        let text = String::from_utf8(out).unwrap();
        let without =
            format!("{{\"previous\":\"{}\",\"record\":{{\"n\":0}},\"sequence\":1}}", "0".repeat(64));
        let digest = hexadecimal(&Sha256::digest(without.as_bytes()));
        assert_eq!(hash_text(&chain.hash), digest);
        assert_eq!(text, format!("{{\"hash\":\"{digest}\",{}\n", without.strip_prefix('{').unwrap()));
    }

    #[test]
    fn lines_read_back_name_the_line_before() {
        let (out, chain) = lines(3);
        let mut expected = Chain::GENESIS;
        for line in out.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let (link, _) = Link::read(line).unwrap();
            assert_eq!((link.sequence, link.previous), (expected.sequence + 1, expected.hash));
            expected = Chain { sequence: link.sequence, hash: link.hash };
        }
        assert_eq!(expected, chain);
    }

    #[test]
    fn every_single_byte_counts() {
        let (out, _) = lines(1);
        let line = out.strip_suffix(b"\n").unwrap();
        for at in 0..line.len() {
            for change in [1, 0x20, 0x80] {
                let mut edited = line.to_vec();
                edited[at] ^= change;
                assert!(Link::read(&edited).is_err(), "byte {at} changed by {change}");
            }
            let mut shorter = line.to_vec();
            shorter.remove(at);
            assert!(Link::read(&shorter).is_err(), "byte {at} removed");
            let mut longer = line.to_vec();
            longer.insert(at, b' ');
            assert!(Link::read(&longer).is_err(), "a blank before byte {at}");
        }
    }

    #[test]
    fn a10_a_line_that_two_readers_could_understand_differently_is_not_canonical() {
        let (mut out, mut chain) = (Vec::new(), Chain::GENESIS);
        // What only somebody who forges a chain would write, with hashes that fit.
        chain.seal_raw(&mut out, "{\"a\":\"x\",\"a\":\"y\"}");
        let line = out.strip_suffix(b"\n").unwrap();
        assert_eq!(Link::read(line).unwrap_err(), Fault::Canonical);
    }
}
