//! The head: how long the chain is and its last hash, kept beside it, so that cutting records off its end shows.
//!
//! The file has two slots of one line each, written in turn: a write that is torn by a power failure leaves the
//! other slot whole. With a key, heads and the first records of segments are signed (HMAC-SHA256): without the key
//! a chain computed anew cannot be given a head that fits.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::Value;
use sha2::Sha256;

use crate::base::Secret;

use super::canonical::Object;
use super::chain::{Chain, Hash, hash_text, hexadecimal};
use super::content::Time;

/// The end of a chain as its head file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) chain: Chain,
    pub(super) segment: u32,
    pub(super) time: String,
    pub(super) signature: Option<Signature>,
}

/// A signature and the key it was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) key: String,
    pub(super) mac: String,
}

/// Signs with a key.
pub(super) struct Signer {
    key: Secret<Vec<u8>>,
    id: String,
}

/// The head file, open for writing.
#[derive(Debug)]
pub(super) struct HeadFile {
    file: File,
    slot: u64,
}

impl Head {
    pub(super) fn new(chain: Chain, segment: u32, now: Timestamp, signer: Option<&Signer>) -> Self {
        let mut head = Self { chain, segment, time: Time(now).to_string(), signature: None };
        head.signature = signer.map(|signer| signer.sign(&head.message()));
        head
    }

    /// Whether the head is signed with this key and the signature is right.
    pub(super) fn is_signed_by(&self, signer: &Signer) -> bool {
        self.signature.as_ref().is_some_and(|signature| signer.verify(&self.message(), signature))
    }

    /// The newest head in a file that can be read; with a key, the newest that it signed.
    pub(super) fn read(path: &Path, signer: Option<&Signer>) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(File::open(path)?, SLOT_BYTES * 2), &mut bytes)?;
        Ok(bytes
            .split(|b| *b == b'\n')
            .filter_map(Self::parse)
            .filter(|head| signer.is_none_or(|signer| head.is_signed_by(signer)))
            .max_by_key(|head| head.chain.sequence))
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(line).ok()?;
        let text = |name| value.get(name).and_then(Value::as_str);
        let hash: Hash = text("hash")?.as_bytes().try_into().ok()?;
        let signature = match (text("key"), text("mac")) {
            (Some(key), Some(mac)) => Some(Signature { key: key.into(), mac: mac.into() }),
            _ => None,
        };
        Some(Self {
            chain: Chain { sequence: value.get("sequence")?.as_u64()?, hash },
            segment: value.get("segment")?.as_u64()?.try_into().ok()?,
            time: text("time")?.into(),
            signature,
        })
    }

    fn message(&self) -> String {
        let Chain { sequence, hash } = self.chain;
        format!("fieldgate head\n{sequence}\n{}\n{}\n{}", hash_text(&hash), self.segment, self.time)
    }

    fn line(&self) -> Vec<u8> {
        let mut line = Vec::new();
        Object::write(&mut line, |o| {
            o.text("hash", hash_text(&self.chain.hash));
            o.maybe("key", self.signature.as_ref().map(|s| s.key.as_str()));
            o.maybe("mac", self.signature.as_ref().map(|s| s.mac.as_str()));
            o.number("segment", self.segment.into());
            o.number("sequence", self.chain.sequence);
            o.text("time", &self.time);
        });
        line
    }
}

impl HeadFile {
    /// Opens the file for writing, making it and its room if needed: later writes need no space.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        if file.metadata()?.len() != SLOT_BYTES * 2 {
            file.set_len(SLOT_BYTES * 2)?;
            let mut blank = vec![b' '; usize::try_from(SLOT_BYTES).unwrap_or_default()];
            if let Some(last) = blank.last_mut() {
                *last = b'\n';
            }
            file.write_all_at(&blank, 0)?;
            file.write_all_at(&blank, SLOT_BYTES)?;
        }
        Ok(Self { file, slot: 0 })
    }

    /// Replaces the older of the two heads.
    pub(super) fn write(&mut self, head: &Head) -> io::Result<()> {
        let mut line = head.line();
        line.resize(usize::try_from(SLOT_BYTES - 1).unwrap_or_default(), b' ');
        line.push(b'\n');
        self.file.write_all_at(&line, self.slot * SLOT_BYTES)?;
        self.slot = 1 - self.slot;
        Ok(())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    pub(super) fn try_clone(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

impl Signer {
    pub(super) fn new(key: Secret<Vec<u8>>) -> Self {
        let mut signer = Self { key, id: String::new() };
        signer.id = signer.mac("fieldgate audit key").chars().take(16).collect();
        signer
    }

    /// Names the key without giving it away.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn sign(&self, message: &str) -> Signature {
        Signature { key: self.id.clone(), mac: self.mac(message) }
    }

    pub(super) fn verify(&self, message: &str, signature: &Signature) -> bool {
        let expected = self.mac(message);
        signature.key == self.id
            && bool::from(subtle::ConstantTimeEq::ct_eq(expected.as_bytes(), signature.mac.as_bytes()))
    }

    #[expect(clippy::expect_used, reason = "INVARIANT: HMAC takes keys of any length")]
    fn mac(&self, message: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose()).expect("a key of any length");
        mac.update(message.as_bytes());
        hexadecimal(&mac.finalize().into_bytes())
    }
}

/// What is signed of a segment's first record: everything before it, by the last hash.
pub(super) fn segment_message(segment: u32, before: &Chain) -> String {
    format!("fieldgate segment\n{}\n{}\n{segment}", before.sequence, hash_text(&before.hash))
}

/// A slot is one sector, which disks write whole or not at all.
const SLOT_BYTES: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(sequence: u64) -> Chain {
        Chain { sequence, hash: [b'a'; 64] }
    }

    fn head(sequence: u64, signer: Option<&Signer>) -> Head {
        Head::new(chain(sequence), 1, Timestamp::UNIX_EPOCH, signer)
    }

    fn signer(key: &str) -> Signer {
        Signer::new(Secret::new(key.into()))
    }

    #[test]
    fn the_newest_of_both_slots_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.head");
        let mut file = HeadFile::open(&path).unwrap();
        assert_eq!(Head::read(&path, None).unwrap(), None);
        for sequence in 1..=3 {
            file.write(&head(sequence, None)).unwrap();
            assert_eq!(Head::read(&path, None).unwrap(), Some(head(sequence, None)));
        }
    }

    #[test]
    fn a_torn_slot_leaves_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.head");
        let mut file = HeadFile::open(&path).unwrap();
        file.write(&head(7, None)).unwrap();
        file.write(&head(8, None)).unwrap();
        file.file.write_all_at(b"\0\0\0\0{{{", SLOT_BYTES).unwrap();
        assert_eq!(Head::read(&path, None).unwrap(), Some(head(7, None)));
    }

    #[test]
    fn with_a_key_only_what_it_signed_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.head");
        let (ours, other) = (signer("ours"), signer("other"));
        let mut file = HeadFile::open(&path).unwrap();
        file.write(&head(7, Some(&ours))).unwrap();
        file.write(&head(9, Some(&other))).unwrap();
        assert_eq!(Head::read(&path, Some(&ours)).unwrap(), Some(head(7, Some(&ours))));
        let forged = Head { chain: chain(8), ..head(7, Some(&ours)) };
        assert!(!forged.is_signed_by(&ours));
        file.write(&head(9, None)).unwrap();
        assert_eq!(Head::read(&path, Some(&ours)).unwrap(), None);
    }

    #[test]
    fn a_signed_head_fits_its_slot() {
        let mut longest = head(u64::MAX, Some(&signer("k")));
        longest.segment = u32::MAX;
        assert!(longest.line().len() < usize::try_from(SLOT_BYTES).unwrap());
    }
}
