//! Masks under a key that keep equal values equal: hash and pseudonym.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// HMAC-SHA-256 (RFC 2104, FIPS 180-4) in hexadecimal digits.
pub(super) struct Hash {
    keyed: Hmac<Sha256>,
    length: usize,
}

/// A token drawn from an alphabet by HMAC-SHA-256.
pub(super) struct Pseudonym {
    keyed: Hmac<Sha256>,
    alphabet: Vec<char>,
    length: usize,
    prefix: String,
}

impl Hash {
    pub(super) fn new(key: &[u8], length: usize) -> Self {
        Self { keyed: keyed(key), length }
    }

    pub(super) fn of(&self, text: &str) -> String {
        let mut mac = self.keyed.clone();
        mac.update(text.as_bytes());
        let digits = mac.finalize().into_bytes();
        let digits = digits.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.take(self.length).filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
    }

    pub(super) fn could_have_written(&self, text: &str) -> bool {
        text.len() == self.length && text.bytes().all(is_hex)
    }

    pub(super) fn leaves_trace_in(&self, text: &str) -> bool {
        text.as_bytes().split(|byte| !is_hex(*byte)).any(|run| run.len() >= self.length)
    }
}

impl Pseudonym {
    pub(super) fn new(key: &[u8], length: usize, alphabet: &str, version: Option<&str>) -> Self {
        let prefix = version.map(|version| format!("{version}.")).unwrap_or_default();
        Self { keyed: keyed(key), alphabet: alphabet.chars().collect(), length, prefix }
    }

    /// Bytes of the stream `HMAC(key, label ‖ counter ‖ text)`, those that would favour some characters left out, name
    /// the characters. The label keeps tokens apart from hashes under the same key.
    pub(super) fn of(&self, text: &str) -> String {
        let mut token = self.prefix.clone();
        let size = self.alphabet.len();
        let fair = 256 - 256 % size;
        let bytes = (0_u32..).flat_map(|counter| {
            let mut mac = self.keyed.clone();
            mac.update(PSEUDONYM_LABEL);
            mac.update(&counter.to_be_bytes());
            mac.update(text.as_bytes());
            mac.finalize().into_bytes()
        });
        let characters = bytes
            .map(usize::from)
            .filter(|byte| *byte < fair)
            .filter_map(|byte| self.alphabet.get(byte % size));
        token.extend(characters.take(self.length));
        token
    }

    pub(super) fn could_have_written(&self, text: &str) -> bool {
        text.strip_prefix(&*self.prefix).is_some_and(|token| {
            token.chars().count() == self.length && token.chars().all(|c| self.alphabet.contains(&c))
        })
    }

    pub(super) fn leaves_trace_in(&self, text: &str) -> bool {
        let mut run = 0;
        text.contains(&self.prefix)
            && text.chars().any(|c| {
                run = if self.alphabet.contains(&c) { run + 1 } else { 0 };
                run >= self.length
            })
    }
}

#[expect(clippy::expect_used, reason = "INVARIANT: HMAC takes keys of every length (RFC 2104)")]
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("any key length")
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

const PSEUDONYM_LABEL: &[u8] = b"fieldgate pseudonym 1\0";
