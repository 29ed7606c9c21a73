//! Where counters are kept that survive a restart, and that several gateways share.
//!
//! This is the seam for other places than the store: whatever can compare and swap a counter together with the records
//! that it counts can stand here.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tracing::warn;

use crate::store::{SeenRecord, Store, StoreError};

use super::window::Slots;

/// The durable counters.
pub(super) struct Ledger {
    store: Store,
    /// Until when nothing is asked, after a failure: a store that does not answer must not hold up every request.
    rest_until: AtomicI64,
}

/// The name of a counter in the ledger.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) limit: Arc<str>,
    pub(super) subject: Arc<str>,
}

/// A counter as the ledger has it.
pub(super) struct Entry {
    pub(super) slots: Slots,
    version: i64,
}

/// The ledger cannot be read or written now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unavailable;

impl Ledger {
    pub(super) fn new(store: Store) -> Self {
        Self { store, rest_until: AtomicI64::new(i64::MIN) }
    }

    pub(super) async fn read(&self, account: &Account, now: i64) -> Result<Entry, Unavailable> {
        self.awake(now)?;
        let row = self.store.budget(&account.limit, &account.subject).await;
        let row = self.noted(row, now)?;
        let Some(slots) = Slots::read(&row.slots) else {
            warn!(limit = %account.limit, "a counter in the store cannot be read");
            return Err(Unavailable);
        };
        Ok(Entry { slots, version: row.version })
    }

    /// The records that count, by the slot they were last given in.
    pub(super) async fn seen(
        &self,
        account: &Account,
        after_slot: i64,
        cap: usize,
        now: i64,
    ) -> Result<HashMap<i64, i64>, Unavailable> {
        self.awake(now)?;
        let seen = self.store.seen_records(&account.limit, &account.subject, after_slot, cap).await;
        Ok(self.noted(seen, now)?.into_iter().map(|seen| (seen.record, seen.slot)).collect())
    }

    /// Replaces a counter as it was read, together with the records it counts: both or neither. `false`: somebody else
    /// has changed it.
    pub(super) async fn swap(
        &self,
        account: &Account,
        read: &Entry,
        slots: &Slots,
        seen: &HashMap<i64, i64>,
        expires_at: i64,
        now: i64,
    ) -> Result<bool, Unavailable> {
        self.awake(now)?;
        let seen: Vec<SeenRecord> =
            seen.iter().map(|(record, slot)| SeenRecord { record: *record, slot: *slot }).collect();
        let Account { limit, subject } = account;
        let swapped =
            self.store.swap_budget(limit, subject, read.version, &slots.write(), expires_at, &seen).await;
        self.noted(swapped, now)
    }

    /// Removes counters that no window can contain any more.
    pub(super) async fn prune(&self, now: i64) {
        if self.awake(now).is_ok() {
            self.noted(self.store.prune_budgets(now).await, now).ok();
        }
    }

    #[cfg(test)]
    pub(super) fn is_resting(&self, now: i64) -> bool {
        self.awake(now).is_err()
    }

    fn awake(&self, now: i64) -> Result<(), Unavailable> {
        if now < self.rest_until.load(Ordering::Relaxed) { Err(Unavailable) } else { Ok(()) }
    }

    fn noted<T>(&self, result: Result<T, StoreError>, now: i64) -> Result<T, Unavailable> {
        result.map_err(|error| {
            self.rest_until.store(now.saturating_add(REST_MICROS), Ordering::Relaxed);
            warn!(%error, "counters cannot be kept");
            Unavailable
        })
    }
}

/// How long a failing ledger is left alone.
const REST_MICROS: i64 = 1_000_000;
