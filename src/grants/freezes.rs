//! Who is frozen: gets nothing, whatever the policy says.
//!
//! A freeze is kept in the store and held in memory, so that a request asks nobody. Every gateway reads changes twice a
//! second ([`Freezes::refresh`]); where they have not been read for [`STALE`] nobody is let in. A freeze that cannot be
//! written holds on the gateway that made it, which writes it when it can.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::{error, info, warn};

use crate::base::Clock;
use crate::identity::Principal;
use crate::limits::Limited;
use crate::store::{Act, Actor, FreezeRow, Store, StoreError};

/// Those who are frozen. Cheap to clone.
#[derive(Clone)]
pub struct Freezes(Arc<Shared>);

struct Shared {
    store: Store,
    clock: Arc<dyn Clock>,
    held: ArcSwap<Held>,
    /// Monotonic milliseconds at which the list was read last.
    read_at: AtomicU64,
    /// Freezes that are not written, with their acts.
    unwritten: Mutex<Vec<(FreezeRow, Act)>>,
    /// One reads or writes at a time, so that no list that was read earlier replaces a later one.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Held {
    /// The issuers by subject; an empty one stands for all.
    issuers: HashMap<Box<str>, Vec<Box<str>>>,
    revision: i64,
    count: usize,
}

/// Why a principal gets nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Barred {
    /// It is frozen.
    #[error("the principal is frozen")]
    Frozen,
    /// A limit has frozen it now.
    #[error("{0}: the principal is frozen")]
    Limit(Limited),
    /// Nobody knows whether it is: the list could not be read for too long.
    #[error("it cannot be read who is frozen")]
    Unknown,
}

impl Freezes {
    /// Reads who is frozen; without that nobody is served.
    pub async fn open(store: Store, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let freezes = Self(Arc::new(Shared {
            store,
            clock,
            held: ArcSwap::default(),
            read_at: AtomicU64::new(0),
            unwritten: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }));
        let _turn = freezes.0.turn.lock().await;
        freezes.read(None).await?;
        drop(_turn);
        Ok(freezes)
    }

    /// Lets a principal in, unless it is frozen.
    pub async fn admit(&self, principal: &Principal) -> Result<(), Barred> {
        if self.is_stale() {
            // Perhaps only nobody has looked: a machine that slept, a clock that jumped.
            self.refresh().await;
            if self.is_stale() {
                return Err(Barred::Unknown);
            }
        }
        if self.holds(principal) { Err(Barred::Frozen) } else { Ok(()) }
    }

    /// Whether a principal is frozen, as far as is known here and now.
    pub fn holds(&self, principal: &Principal) -> bool {
        let held = self.0.held.load();
        let issuers = held.issuers.get(principal.id());
        issuers.is_some_and(|issuers| {
            issuers.iter().any(|issuer| issuer.is_empty() || **issuer == *principal.issuer())
        })
    }

    /// Freezes a principal that has exceeded a limit. When this ends the freeze is in the store, or in an error it is
    /// not: then it holds here, and is written later.
    pub async fn freeze(&self, principal: &Principal, limited: Limited) -> Result<Barred, StoreError> {
        let now = self.0.clock.now();
        let limit = &limited.limit;
        let row = FreezeRow {
            issuer: principal.issuer().to_owned(),
            subject: principal.id().to_owned(),
            since: now.as_microsecond(),
            cause: format!("limit {limit}"),
            reason: String::new(),
        };
        let act = Act::new("freeze", Actor::gateway(), principal.id(), now)
            .with("issuer", principal.issuer())
            .with("limit", limit.as_ref());
        let _turn = self.0.turn.lock().await;
        if self.holds(principal) {
            return Ok(Barred::Limit(limited));
        }
        self.hold(&row);
        match self.0.store.freeze(&row, &act).await {
            Ok(_) => {
                info!(%limit, "principal frozen");
                Ok(Barred::Limit(limited))
            }
            Err(error) => {
                error!(%error, %limit, "a freeze cannot be written: it holds on this gateway only");
                let mut unwritten = self.unwritten();
                if unwritten.len() < MAX_UNWRITTEN {
                    unwritten.push((row, act));
                }
                Err(error)
            }
        }
    }

    /// Writes what could not be written, and reads what changed. Failures are logged.
    pub async fn refresh(&self) {
        let _turn = self.0.turn.lock().await;
        let waiting = self.unwritten().clone();
        for (row, act) in waiting {
            match self.0.store.freeze(&row, &act).await {
                Ok(_) => self.unwritten().retain(|(other, _)| *other != row),
                Err(error) => warn!(%error, "a freeze cannot be written"),
            }
        }
        if let Err(error) = self.read(Some(self.0.held.load().revision)).await {
            warn!(%error, "it cannot be read who is frozen");
        }
    }

    /// How many are frozen.
    pub fn count(&self) -> usize {
        self.0.held.load().count
    }

    /// Whether the list is too old to go by.
    pub fn is_stale(&self) -> bool {
        let read_at = self.0.read_at.load(Ordering::Acquire);
        self.millis().saturating_sub(read_at) >= u64::try_from(STALE.as_millis()).unwrap_or(u64::MAX)
    }

    /// Reads the list if it is not the one that is known. For whoever has the turn.
    async fn read(&self, known: Option<i64>) -> Result<(), StoreError> {
        let shared = &self.0;
        let started = self.millis();
        // The number first: what changes in between is read again the next time.
        let revision = shared.store.freezes_revision().await?;
        if known != Some(revision) {
            let mut held = Held { revision, ..Held::default() };
            shared.store.freezes().await?.iter().for_each(|row| held.add(row));
            self.unwritten().iter().for_each(|(row, _)| held.add(row));
            shared.held.store(Arc::new(held));
        }
        shared.read_at.store(started, Ordering::Release);
        Ok(())
    }

    /// Holds a freeze at once. For whoever has the turn.
    fn hold(&self, row: &FreezeRow) {
        let known = self.0.held.load();
        let mut held = Held { issuers: known.issuers.clone(), revision: known.revision, count: known.count };
        held.add(row);
        self.0.held.store(Arc::new(held));
    }

    fn unwritten(&self) -> std::sync::MutexGuard<'_, Vec<(FreezeRow, Act)>> {
        self.0.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.0.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Held {
    fn add(&mut self, row: &FreezeRow) {
        let issuers = self.issuers.entry(row.subject.as_str().into()).or_default();
        if !issuers.iter().any(|issuer| **issuer == *row.issuer) {
            issuers.push(row.issuer.as_str().into());
            self.count += 1;
        }
    }
}

/// While the list cannot be read, the one last read is gone by for this long.
const STALE: Duration = Duration::from_secs(60);

/// Freezes that wait to be written; whoever comes beyond is refused with each request that exceeds.
const MAX_UNWRITTEN: usize = 10_000;

#[cfg(test)]
mod tests {
    use crate::base::ManualClock;
    use crate::identity::Assumed;

    use super::*;

    fn principal(id: &str) -> Principal {
        Principal::assumed(Assumed {
            id: id.into(),
            name: None,
            groups: Vec::new(),
            roles: Vec::new(),
            claims: serde_json::Map::new(),
            ip: [10, 0, 0, 7].into(),
            mfa: false,
        })
    }

    fn limited() -> Limited {
        Limited {
            limit: "daily".into(),
            retry_after: Duration::ZERO,
            unavailable: false,
            freezes: true,
            remaining: Vec::new(),
        }
    }

    fn row(issuer: &str, subject: &str) -> FreezeRow {
        FreezeRow {
            issuer: issuer.into(),
            subject: subject.into(),
            since: 0,
            cause: "command".into(),
            reason: String::new(),
        }
    }

    async fn opened(store: &Store) -> (Freezes, ManualClock) {
        let clock = ManualClock::at("2026-03-01T08:00:00Z".parse().unwrap());
        (Freezes::open(store.clone(), Arc::new(clock.clone())).await.unwrap(), clock)
    }

    #[tokio::test]
    async fn t07_a_freeze_is_in_the_store_with_its_act_before_anything_is_said() {
        let store = Store::memory().await.unwrap();
        let (freezes, _) = opened(&store).await;
        freezes.admit(&principal("a")).await.unwrap();
        let barred = freezes.freeze(&principal("a"), limited()).await.unwrap();
        assert_eq!(barred.to_string(), "limit `daily` exceeded: the principal is frozen");
        assert_eq!(store.freezes().await.unwrap()[0].cause, "limit daily");
        let acts = store.acts(10).await.unwrap();
        let act = acts[0].act.as_ref().unwrap();
        assert_eq!((act.action.as_str(), act.target.as_str()), ("freeze", "a"));
        assert_eq!(act.facts["limit"], "daily");
        assert_eq!(freezes.admit(&principal("a")).await, Err(Barred::Frozen));
        freezes.admit(&principal("b")).await.unwrap();
        freezes.freeze(&principal("a"), limited()).await.unwrap();
        assert_eq!((store.acts(10).await.unwrap().len(), freezes.count()), (1, 1), "once");

        let (again, _) = opened(&store).await;
        assert_eq!(again.admit(&principal("a")).await, Err(Barred::Frozen), "a restart changes nothing");
    }

    #[tokio::test]
    async fn what_others_freeze_and_lift_is_seen_after_a_refresh() {
        let store = Store::memory().await.unwrap();
        let (freezes, _) = opened(&store).await;
        let who = principal("a");
        for (issuer, meant) in [(who.issuer(), true), ("", true), ("https://other", false)] {
            assert!(store.freeze(&row(issuer, "a"), &Act::for_tests()).await.unwrap());
            freezes.refresh().await;
            assert_eq!((freezes.holds(&who), freezes.count()), (meant, 1), "{issuer}");
            assert!(!freezes.holds(&principal("aa")));
            assert!(store.unfreeze(issuer, "a", &Act::for_tests()).await.unwrap());
            freezes.refresh().await;
            assert_eq!((freezes.holds(&who), freezes.count()), (false, 0), "{issuer}");
            for waiting in store.acts(10).await.unwrap() {
                store.act_recorded(&waiting.id).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_freeze_that_cannot_be_written_holds_and_is_written_later() {
        let store = Store::memory().await.unwrap();
        let (freezes, _) = opened(&store).await;
        store.break_freezes(true).await;
        assert!(freezes.freeze(&principal("a"), limited()).await.is_err());
        assert_eq!(freezes.admit(&principal("a")).await, Err(Barred::Frozen));
        freezes.refresh().await;
        assert!(freezes.holds(&principal("a")));
        store.break_freezes(false).await;
        freezes.refresh().await;
        assert_eq!(store.freezes().await.unwrap().len(), 1);
        assert_eq!(store.count_acts().await.unwrap(), 1);
        assert!(freezes.holds(&principal("a")) && freezes.unwritten().is_empty());
    }

    #[tokio::test]
    async fn nobody_is_let_in_when_the_list_is_too_old_and_cannot_be_read() {
        let store = Store::memory().await.unwrap();
        let (freezes, clock) = opened(&store).await;
        clock.advance(STALE);
        freezes.admit(&principal("a")).await.expect("it could be read again");
        store.close().await;
        clock.advance(STALE - Duration::from_secs(1));
        freezes.admit(&principal("a")).await.unwrap();
        clock.advance(Duration::from_secs(1));
        assert_eq!(freezes.admit(&principal("a")).await, Err(Barred::Unknown));
        assert!(freezes.is_stale());
        let (broken, _) = (Freezes::open(store, Arc::new(clock)).await, ());
        assert!(broken.is_err(), "without the list nobody is served at all");
    }
}
