//! What the gateway gives away and wants back unread and unchanged.
//!
//! AES-256-GCM-SIV (RFC 8452) under a nonce that is itself a keyed hash of what is sealed: one text sealed twice for one
//! purpose gives one seal, so that callers can compare what they were given, and no state is needed. Two keys are known:
//! the first seals, both open, so that a key can be exchanged while what it sealed is still about.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroize;

use crate::base::Secret;

/// Seals and opens.
pub struct Seal {
    /// The first one seals.
    keys: Vec<Key>,
    lasting: bool,
}

/// Why a key is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It could be guessed.
    #[error("the key is shorter than {MIN_KEY_BYTES} bytes")]
    Short,
    /// The system has no randomness, or the library refuses the key.
    #[error("the key cannot be used")]
    Unusable,
}

struct Key {
    seals: LessSafeKey,
    names: Secret<Vec<u8>>,
}

impl Seal {
    /// Seals with `key`; opens what `previous` sealed, too.
    pub fn new(key: &Secret<String>, previous: Option<&Secret<String>>) -> Result<Self, SealError> {
        let keys = std::iter::once(key).chain(previous).map(|key| {
            let text = key.expose().as_bytes();
            if text.len() < MIN_KEY_BYTES { Err(SealError::Short) } else { Key::of(text) }
        });
        Ok(Self { keys: keys.collect::<Result<_, _>>()?, lasting: true })
    }

    /// With a key that nobody knows: nothing it seals is opened after the program's end.
    pub fn random() -> Result<Self, SealError> {
        let mut text = [0; 32];
        getrandom::fill(&mut text).map_err(|_| SealError::Unusable)?;
        let key = Key::of(&text);
        text.zeroize();
        Ok(Self { keys: vec![key?], lasting: false })
    }

    /// Whether its seals are opened after a restart, and by other gateways with the same key.
    pub fn is_lasting(&self) -> bool {
        self.lasting
    }

    /// Seals a text for a purpose: the parts of `bound` have to be the same when it is opened.
    pub fn seal(&self, bound: &[&[u8]], text: &[u8]) -> Option<Vec<u8>> {
        let key = self.keys.first()?;
        let bound = joined(bound);
        let nonce = key.name(&bound, text)?;
        let mut sealed = text.to_vec();
        let stated = Nonce::assume_unique_for_key(nonce);
        key.seals.seal_in_place_append_tag(stated, Aad::from(&bound), &mut sealed).ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    /// Opens a seal; `None` if it is none, was changed, or was made for another purpose.
    pub fn open(&self, bound: &[&[u8]], sealed: &[u8]) -> Option<Vec<u8>> {
        let bound = joined(bound);
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        self.keys.iter().find_map(|key| {
            let mut text = sealed.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let length = key.seals.open_in_place(nonce, Aad::from(&bound), &mut text).ok()?.len();
            text.truncate(length);
            Some(text)
        })
    }
}

impl Key {
    fn of(text: &[u8]) -> Result<Self, SealError> {
        let unusable = |_| SealError::Unusable;
        let mut sealing = derived(text, b"fieldgate seal").ok_or(SealError::Unusable)?;
        let seals = UnboundKey::new(&AES_256_GCM_SIV, &sealing).map(LessSafeKey::new).map_err(unusable)?;
        sealing.zeroize();
        let names = Secret::new(derived(text, b"fieldgate seal nonce").ok_or(SealError::Unusable)?);
        Ok(Self { seals, names })
    }

    /// The nonce for a text and its purpose.
    fn name(&self, bound: &[u8], text: &[u8]) -> Option<[u8; NONCE_LEN]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.names.expose()).ok()?;
        mac.update(&(bound.len() as u64).to_be_bytes());
        mac.update(bound);
        mac.update(text);
        mac.finalize().into_bytes().first_chunk().copied()
    }
}

fn derived(text: &[u8], purpose: &[u8]) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(text).ok()?;
    mac.update(purpose);
    Some(mac.finalize().into_bytes().to_vec())
}

/// The parts as one text that no other parts give.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let mut whole = Vec::new();
    for part in parts {
        whole.extend_from_slice(&(part.len() as u64).to_be_bytes());
        whole.extend_from_slice(part);
    }
    whole
}

/// A key of so many bytes is not guessed if it is random.
const MIN_KEY_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(letter: char) -> Secret<String> {
        Secret::new(letter.to_string().repeat(32))
    }

    #[test]
    fn what_is_sealed_opens_for_its_purpose_and_no_other() {
        let seal = Seal::new(&key('a'), None).unwrap();
        let sealed = seal.seal(&[b"x", b"yz"], b"text").unwrap();
        assert_eq!(seal.open(&[b"x", b"yz"], &sealed).as_deref(), Some(&b"text"[..]));
        for other in [&[&b"xy"[..], b"z"][..], &[b"x"], &[b"x", b"yz", b""], &[]] {
            assert_eq!(seal.open(other, &sealed), None, "{other:?}");
        }
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(seal.open(&[b"x", b"yz"], &changed), None, "byte {index}");
            assert_eq!(seal.open(&[b"x", b"yz"], &sealed[..index]), None, "cut at {index}");
        }
    }

    #[test]
    fn one_text_gives_one_seal_and_two_texts_give_two() {
        let seal = Seal::new(&key('a'), None).unwrap();
        assert_eq!(seal.seal(&[b"x"], b"text"), seal.seal(&[b"x"], b"text"));
        assert_ne!(seal.seal(&[b"x"], b"text"), seal.seal(&[b"y"], b"text"));
        let (one, two) = (seal.seal(&[b"x"], b"text").unwrap(), seal.seal(&[b"x"], b"texu").unwrap());
        assert_ne!(one[NONCE_LEN..NONCE_LEN + 3], two[NONCE_LEN..NONCE_LEN + 3], "no common beginning shows");
    }

    #[test]
    fn keys_are_exchanged_and_weak_ones_refused() {
        let old = Seal::new(&key('a'), None).unwrap();
        let sealed = old.seal(&[], b"text").unwrap();
        let both = Seal::new(&key('b'), Some(&key('a'))).unwrap();
        assert!(both.open(&[], &sealed).is_some());
        assert!(old.open(&[], &both.seal(&[], b"text").unwrap()).is_none(), "the new key seals");
        assert!(Seal::new(&key('b'), None).unwrap().open(&[], &sealed).is_none());
        assert!(Seal::random().unwrap().open(&[], &sealed).is_none());
        let short = Secret::new("a".repeat(MIN_KEY_BYTES - 1));
        assert_eq!(Seal::new(&short, None).err(), Some(SealError::Short));
        assert_eq!(Seal::new(&key('a'), Some(&short)).err(), Some(SealError::Short));
    }
}
