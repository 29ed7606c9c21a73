//! The keys of the store, held in memory: a request costs no query, and nobody can make the gateway ask the
//! database for keys that do not exist.
//!
//! Every change of a key has a revision; once in [`config::StoredKeys::max_lag`] the changes after the last known
//! revision are read. So a revocation is in force after that time at the latest, on every gateway.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::{error, warn};

use crate::base::Clock;
use crate::store::{KeyRow, Store};

use super::api_key::KnownKey;
use super::config;
use super::unauthenticated::Unauthenticated;

/// The keys of the store.
pub(super) struct StoredKeys {
    store: Store,
    bounds: config::StoredKeys,
    clock: Arc<dyn Clock>,
    held: ArcSwap<Held>,
    /// Monotonic milliseconds plus one; 0: never.
    read_at: AtomicU64,
    tried_at: AtomicU64,
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Held {
    by_id: HashMap<Arc<str>, Arc<KnownKey>>,
    revision: i64,
}

impl StoredKeys {
    pub(super) fn new(store: Store, bounds: config::StoredKeys, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            bounds,
            clock,
            held: ArcSwap::default(),
            read_at: AtomicU64::new(0),
            tried_at: AtomicU64::new(0),
            reading: tokio::sync::Mutex::new(()),
        }
    }

    /// The key with this id as last read; `None`: nothing was read yet.
    pub(super) fn known(&self, id: &str) -> Option<Option<Arc<KnownKey>>> {
        (self.read_at.load(Ordering::Acquire) != 0).then(|| self.held.load().by_id.get(id).cloned())
    }

    /// Reads what changed, if that is due.
    pub(super) async fn refresh(&self) {
        if !self.within(&self.read_at, self.bounds.max_lag) {
            self.read_changes().await;
        }
    }

    /// The key with this id, no older than the stated lag.
    pub(super) async fn find(&self, id: &str) -> Result<Option<Arc<KnownKey>>, Unauthenticated> {
        if !self.within(&self.read_at, self.bounds.max_lag) {
            self.read_changes().await;
        }
        if self.within(&self.read_at, self.bounds.max_stale.max(self.bounds.max_lag)) {
            Ok(self.held.load().by_id.get(id).cloned())
        } else {
            Err(Unauthenticated::Unavailable("the store of keys"))
        }
    }

    /// Reads what changed; one request does it, the others wait for it. After a failure it is left alone for as long
    /// as a lag.
    async fn read_changes(&self) {
        let _one_at_a_time = self.reading.lock().await;
        let lag = self.bounds.max_lag;
        if self.within(&self.read_at, lag) || self.within(&self.tried_at, lag) {
            return;
        }
        let started = self.millis();
        let held = self.held.load_full();
        match self.store.keys_since(held.revision).await {
            Ok(rows) => {
                if !rows.is_empty() {
                    self.held.store(Arc::new(held.with(&rows)));
                }
                self.read_at.store(started, Ordering::Release);
            }
            // Noted after the failure, not before the attempt: a caller who hangs up in between delays nobody.
            Err(error) => {
                self.tried_at.store(started, Ordering::Release);
                warn!(%error, "keys cannot be read");
            }
        }
    }

    /// Writes when keys were last used, where that is newer than what is written.
    pub(super) async fn write_last_uses(&self) {
        let held = self.held.load_full();
        let used: Vec<(&Arc<KnownKey>, i64)> = held
            .by_id
            .values()
            .map(|key| (key, key.last_used.load(Ordering::Relaxed)))
            .filter(|(key, at)| at.saturating_sub(key.written.load(Ordering::Relaxed)) > LAST_USE_STEP)
            .collect();
        if used.is_empty() {
            return;
        }
        let rows: Vec<(String, i64)> = used.iter().map(|(key, at)| (key.id.to_string(), *at)).collect();
        match self.store.touch_keys(&rows).await {
            Ok(()) => used.iter().for_each(|(key, at)| key.written.store(*at, Ordering::Relaxed)),
            Err(error) => warn!(%error, "last uses of keys cannot be written"),
        }
    }

    fn within(&self, since: &AtomicU64, time: Duration) -> bool {
        let since = since.load(Ordering::Acquire);
        let limit = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        since != 0 && self.millis().saturating_sub(since) < limit
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }
}

impl Held {
    fn with(&self, rows: &[KeyRow]) -> Self {
        let mut by_id = self.by_id.clone();
        let mut revision = self.revision;
        for row in rows {
            revision = revision.max(row.revision);
            match known(row) {
                Some(key) => {
                    if let Some(before) = by_id.get(&key.id) {
                        key.last_used.fetch_max(before.last_used.load(Ordering::Relaxed), Ordering::Relaxed);
                    }
                    by_id.insert(Arc::clone(&key.id), Arc::new(key));
                }
                None => {
                    // What cannot be understood opens nothing.
                    error!(key = %row.id, "key in the store cannot be read");
                    by_id.remove(row.id.as_str());
                }
            }
        }
        Self { by_id, revision }
    }
}

fn known(row: &KeyRow) -> Option<KnownKey> {
    let owner: config::KeyOwner = serde_json::from_str(&row.details).ok()?;
    let hash: [u8; 32] = row.hash.as_slice().try_into().ok()?;
    let mut key = KnownKey::new(row.id.as_str().into(), hash, &owner);
    key.expires_at = row.expires_at;
    key.revoked = row.revoked_at.is_some();
    let used = row.last_used_at.unwrap_or_default();
    key.last_used = used.into();
    key.written = used.into();
    Some(key)
}

/// A last use is written again when it is newer by this many microseconds.
const LAST_USE_STEP: i64 = 60_000_000;
