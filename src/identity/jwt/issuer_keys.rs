//! The keys of one issuer: fetched, held, fetched again.
//!
//! Requests are served from the set last fetched. A key that a token names and the set does not have is looked for
//! once: one fetch, and no other before the cooldown is over, whatever tokens say. While the issuer cannot be reached
//! the last good set stays in use until it is too old; then its tokens are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::base::Clock;
use crate::identity::Tools;
use crate::identity::config::{Algorithm, Fault, Issuer, KeySource};
use crate::identity::unauthenticated::{TokenFault, Unauthenticated};
use crate::telemetry::Metrics;

use super::fetch::Fetcher;
use super::jwks::{Key, KeySet};

/// The keys of one issuer.
pub(super) struct IssuerKeys {
    issuer: Arc<str>,
    held: ArcSwapOption<Held>,
    fetcher: Option<Fetcher>,
    /// When a fetch was last begun. Held while one runs, so that there is one at a time.
    last_fetch: Arc<Mutex<Option<Duration>>>,
    tasks: TaskTracker,
    metrics: Arc<Metrics>,
    fetched: AtomicU64,
    refresh: Duration,
    max_age: Duration,
    cooldown: Duration,
    clock: Arc<dyn Clock>,
}

struct Held {
    keys: KeySet,
    /// Another one for every set.
    version: u64,
    /// Monotonic. `None`: part of the configuration, never old.
    fetched: Option<Duration>,
}

impl IssuerKeys {
    /// Nothing is fetched yet.
    pub(super) fn new(issuer: &Issuer, path: &str, tools: &Tools) -> Result<Arc<Self>, Fault> {
        let fault = |message, help| Fault { path: format!("{path}.keys"), message, help };
        let (held, fetcher) = match &issuer.keys {
            KeySource::Fixed(text) => {
                let mut left_out = Vec::new();
                let keys = KeySet::parse(text.as_bytes(), &mut left_out);
                let keys = keys.ok_or_else(|| fault("not a JWK Set".to_owned(), "see RFC 7517 section 5"))?;
                if let Some(why) = left_out.first() {
                    let message = format!("a key of `{}` cannot be used: {why}", issuer.issuer);
                    return Err(fault(message, "RSA of 2048 bits or more, P-256, P-384 or Ed25519"));
                }
                (Some(Arc::new(Held { keys, version: 0, fetched: None })), None)
            }
            KeySource::Discovery | KeySource::Url(_) => (None, Some(Fetcher::new(issuer, path)?)),
        };
        Ok(Arc::new(Self {
            issuer: Arc::clone(&issuer.issuer),
            held: ArcSwapOption::new(held),
            fetcher,
            last_fetch: Arc::default(),
            tasks: tools.tasks.clone(),
            metrics: Arc::clone(&tools.metrics),
            fetched: AtomicU64::new(0),
            refresh: issuer.refresh,
            max_age: issuer.max_age,
            cooldown: issuer.cooldown,
            clock: Arc::clone(&tools.clock),
        }))
    }

    /// The key for a token, fetched if need be, and the version of the set it is of.
    pub(super) async fn find(
        self: &Arc<Self>,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<(Arc<Key>, u64), Unauthenticated> {
        let known = self.usable();
        let found = known.as_ref().and_then(|held| Some((held.keys.find(id, algorithm)?, held.version)));
        if let Some(found) = found {
            return Ok(found);
        }
        if self.fetcher.is_some() {
            self.fetch(known).await;
        }
        let held = self.usable().ok_or(Unauthenticated::Unavailable("the issuer of the token"))?;
        let key = held.keys.find(id, algorithm).ok_or(TokenFault::Key)?;
        Ok((key, held.version))
    }

    /// Which set of keys is in use; `None`: there is none.
    pub(super) fn version(&self) -> Option<u64> {
        self.usable().map(|held| held.version)
    }

    /// Fetches the keys if there are none or they are old.
    pub(super) async fn refresh_if_due(self: &Arc<Self>) {
        let held = self.held.load_full();
        let due = held.as_ref().is_none_or(|held| self.age(held).is_some_and(|age| age >= self.refresh));
        if due {
            self.fetch(held).await;
        }
    }

    /// The keys, unless they are too old.
    fn usable(&self) -> Option<Arc<Held>> {
        self.held.load_full().filter(|held| self.age(held).is_none_or(|age| age < self.max_age))
    }

    fn age(&self, held: &Held) -> Option<Duration> {
        Some(self.clock.monotonic().saturating_sub(held.fetched?))
    }

    /// Fetches, unless somebody has since `known` was looked at, or the cooldown is not over. The fetch is a task of
    /// its own: a caller who hangs up does not end it, or anybody could use up the cooldowns with nothing fetched.
    async fn fetch(self: &Arc<Self>, known: Option<Arc<Held>>) {
        let Ok(last) = Arc::clone(&self.last_fetch).try_lock_owned() else {
            // Somebody is fetching: what they find is what this caller is after.
            drop(self.last_fetch.lock().await);
            return;
        };
        let now = self.clock.monotonic();
        let changed = match (self.usable(), known) {
            (Some(held), Some(known)) => !Arc::ptr_eq(&held, &known),
            (Some(_), None) => true,
            (None, _) => false,
        };
        if changed || last.is_some_and(|at| now.saturating_sub(at) < self.cooldown) {
            return;
        }
        let this = Arc::clone(self);
        self.tasks.spawn(async move { this.fetch_now(last, now).await }).await.ok();
    }

    async fn fetch_now(&self, mut last: OwnedMutexGuard<Option<Duration>>, now: Duration) {
        *last = Some(now);
        let Some(fetcher) = &self.fetcher else { return };
        let fetched = fetcher.keys(&self.issuer).await;
        self.metrics.key_set_fetched(fetched.is_ok());
        match fetched {
            Ok(keys) => {
                info!(issuer = %self.issuer, "keys of the issuer fetched");
                let version = self.fetched.fetch_add(1, Ordering::Relaxed) + 1;
                self.held.store(Some(Arc::new(Held { keys, version, fetched: Some(now) })));
            }
            Err(error) => warn!(issuer = %self.issuer, %error, "keys of the issuer cannot be fetched"),
        }
    }
}
