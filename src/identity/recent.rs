//! What was found out lately about credentials: bounded in number, each entry with its own end.
//!
//! Credentials stand in here only as keyed hashes, so nobody who reads the memory of a gateway finds one, and nobody
//! outside can choose where an entry lands.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::base::Secret;

/// A credential's name in memory.
pub(super) type Digest = [u8; 32];

/// Makes digests; of this process alone.
pub(super) struct Digests(Secret<[u8; 32]>);

/// Entries until their end, or until too many newer ones came.
///
/// Two generations: when the young one is full it becomes the old one, and the old one is forgotten. What is asked
/// for moves to the young one, so what is in use stays, and every step costs the same.
pub(super) struct Recent<V> {
    generations: Mutex<Generations<V>>,
    /// Entries of one generation.
    room: usize,
}

struct Generations<V> {
    young: HashMap<Digest, Entry<V>>,
    old: HashMap<Digest, Entry<V>>,
}

struct Entry<V> {
    value: V,
    /// Monotonic.
    until: Duration,
}

impl Digests {
    pub(super) fn new() -> Self {
        let mut key = [0_u8; 32];
        // Without random numbers digests are still one-way and without collisions; only guesses about where an
        // entry lands become possible.
        getrandom::fill(&mut key).ok();
        Self(Secret::new(key))
    }

    /// The digest of a sequence of texts; the same texts cut in other places have another one.
    #[expect(clippy::expect_used, reason = "INVARIANT: HMAC takes keys of any length")]
    pub(super) fn of(&self, parts: &[&[u8]]) -> Digest {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.0.expose()).expect("any length");
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl<V: Clone> Recent<V> {
    /// Keeps at most `most` entries.
    pub(super) fn new(most: usize) -> Self {
        let generations = Generations { young: HashMap::new(), old: HashMap::new() };
        Self { generations: Mutex::new(generations), room: (most / 2).max(1) }
    }

    pub(super) fn get(&self, key: &Digest, now: Duration) -> Option<V> {
        let mut all = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = all.young.get(key) {
            return (now < entry.until).then(|| entry.value.clone());
        }
        let entry = all.old.remove(key).filter(|entry| now < entry.until)?;
        let value = entry.value.clone();
        all.insert(*key, entry, self.room);
        Some(value)
    }

    /// Keeps an entry until a (monotonic) time, in place of the one before.
    pub(super) fn put(&self, key: Digest, value: V, until: Duration) {
        let mut all = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        all.old.remove(&key);
        all.insert(key, Entry { value, until }, self.room);
    }

    /// Changes an entry in one step: `change` sees the one in force and gives the next one and its end.
    pub(super) fn update<T>(
        &self,
        key: Digest,
        now: Duration,
        change: impl FnOnce(Option<V>) -> (V, Duration, T),
    ) -> T {
        let mut all = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.young.remove(&key).or_else(|| all.old.remove(&key));
        let before = before.filter(|entry| now < entry.until).map(|entry| entry.value);
        let (value, until, told) = change(before);
        all.insert(key, Entry { value, until }, self.room);
        told
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let all = self.generations.lock().unwrap();
        all.young.len() + all.old.len()
    }
}

impl<V> Generations<V> {
    fn insert(&mut self, key: Digest, entry: Entry<V>, room: usize) {
        if self.young.len() >= room && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> Digest {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&n.to_le_bytes());
        key
    }

    const NOW: Duration = Duration::from_secs(100);
    const LATER: Duration = Duration::from_secs(200);

    #[test]
    fn an_entry_is_found_until_its_end() {
        let recent = Recent::new(10);
        recent.put(key(1), "a", LATER);
        assert_eq!(recent.get(&key(1), NOW), Some("a"));
        assert_eq!(recent.get(&key(1), LATER), None);
        recent.put(key(1), "b", LATER);
        assert_eq!(recent.get(&key(1), NOW), Some("b"));
    }

    #[test]
    fn it_stays_within_its_bound_and_keeps_what_is_in_use() {
        let recent = Recent::new(100);
        recent.put(key(0), 0, LATER);
        for n in 1..10_000 {
            recent.put(key(n), n, LATER);
            assert_eq!(recent.get(&key(0), NOW), Some(0), "in use at {n}");
            assert!(recent.len() <= 101);
        }
        assert_eq!(recent.get(&key(1), NOW), None);
    }

    #[test]
    fn an_update_sees_what_is_in_force() {
        let recent = Recent::new(10);
        let count = |now| recent.update(key(1), now, |n: Option<u32>| (n.unwrap_or(0) + 1, LATER, n));
        assert_eq!((count(NOW), count(NOW), count(LATER)), (None, Some(1), None));
    }

    #[test]
    fn digests_know_where_texts_end() {
        let digests = Digests::new();
        assert_eq!(digests.of(&[b"a", b"b"]), digests.of(&[b"a", b"b"]));
        assert_ne!(digests.of(&[b"a", b"b"]), digests.of(&[b"ab"]));
        assert_ne!(digests.of(&[b"ab", b""]), digests.of(&[b"a", b"b"]));
        assert_ne!(digests.of(&[b"a"]), Digests::new().of(&[b"a"]));
    }
}
