//! One counter: how much of one limit one subject has used.
//!
//! A counter that must survive a restart is charged from an allowance: a block that is written to the ledger *before*
//! any of it is used. So whatever the process dies of, the ledger never knows of less than was given out, and at most
//! one block (a sixty-fourth of the limit) counts that was not. What is left of a block goes back when its time slot
//! is over, when nobody has used it for a while, and at the end.
//!
//! Different records are counted once as long as they count: one that is given again moves to the present slot, so
//! that in no stretch as long as the window more different records are given than the limit says.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::sync::{Mutex, MutexGuard};

use super::ledger::{Account, Entry, Ledger, Unavailable};
use super::window::{Slots, Window, first};

/// One counter. Its state is locked through a whole charge, also while the ledger is asked.
pub(super) struct Counter {
    /// Counters are locked in the order of their numbers, so that two charges never wait for each other.
    pub(super) number: u64,
    window: Window,
    ledger: Option<(Arc<Ledger>, Account)>,
    state: Mutex<State>,
    used: AtomicU64,
    whole_at: AtomicI64,
}

/// What a counter holds.
#[derive(Default)]
pub(super) struct State {
    /// All that counts: of everybody as far as is known, with the allowance.
    slots: Slots,
    /// Reserved in `allowance_slot` and not yet used.
    allowance: u64,
    allowance_slot: i64,
    /// Changes that the ledger does not have yet. It may have to do without them: all of them are either in favour
    /// of the caller or were allowed while the ledger was out of reach.
    unsent: BTreeMap<i64, i64>,
    read_at: Option<i64>,
    /// A change was sent and its answer never came (it took too long, or the caller hung up): it may stand in the
    /// ledger or not.
    unsure: bool,
    touched_at: i64,
    /// Records that count, with the slot they count in.
    seen: HashMap<i64, i64>,
    unwritten: HashMap<i64, i64>,
}

/// What is asked of a counter.
#[derive(Clone, Copy)]
pub(super) struct Demand<'d> {
    /// How much; for different records, how many at most.
    pub(super) count: u64,
    /// For different records: those whose keys are known, no one twice.
    pub(super) records: Option<&'d [i64]>,
    /// How much there is.
    pub(super) amount: u64,
    /// Whether more is refused.
    pub(super) enforced: bool,
    /// Whether the charge is refused when the ledger cannot be asked.
    pub(super) fail_closed: bool,
}

/// Why a charge is refused. Nothing was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There would be room at this time; `None`: never.
    Exceeded(Option<i64>),
    /// The ledger cannot be asked.
    Unavailable,
}

/// What was charged, for taking it back.
#[derive(Default)]
pub(super) struct Charged {
    count: u64,
    fresh: Vec<i64>,
}

/// Something to be told about a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crossing {
    /// The share from which a warning was asked for.
    Warning,
    /// All of it.
    Limit,
}

/// What a demand comes to, given what is known of the records.
struct Need {
    count: u64,
    fresh: Vec<i64>,
    /// Known records that count in an earlier slot.
    moved: Vec<(i64, i64)>,
}

impl Counter {
    pub(super) fn new(number: u64, window: Window, ledger: Option<(Arc<Ledger>, Account)>) -> Self {
        let state = Mutex::default();
        Self { number, window, ledger, state, used: AtomicU64::new(0), whole_at: AtomicI64::new(i64::MIN) }
    }

    pub(super) async fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().await
    }

    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        self.state.try_lock().ok()
    }

    /// How much was used when the counter was last looked at.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// When nothing counts any more, as far as was known then.
    pub(super) fn whole_at(&self) -> i64 {
        self.whole_at.load(Ordering::Relaxed)
    }

    /// Charges without asking the ledger; `None` if it must be asked.
    pub(super) fn charge_now(
        &self,
        state: &mut State,
        demand: &Demand<'_>,
        now: i64,
    ) -> Option<Result<Charged, Refusal>> {
        let slot = self.advance(state, now);
        state.touched_at = now;
        if self.ledger.is_some() && (state.read_at.is_none() || state.unsure) {
            return None;
        }
        let need = state.need(demand, slot);
        let known_full = || {
            let lately = state.read_at.is_some_and(|at| now.saturating_sub(at) < RECHECK_MICROS);
            lately && demand.enforced && !state.fits(&need, demand.amount, slot)
        };
        if self.ledger.is_none() || state.allowance >= need.count || known_full() {
            Some(self.charge_locally(state, demand, need, slot))
        } else {
            None
        }
    }

    /// Charges; asks the ledger where it must.
    pub(super) async fn charge(
        &self,
        state: &mut State,
        demand: &Demand<'_>,
        now: i64,
    ) -> Result<Charged, Refusal> {
        let loaded = self.load(state, now, demand.records.is_some()).await;
        if loaded.is_ok()
            && let Some(done) = self.charge_now(state, demand, now)
        {
            return done;
        }
        let slot = self.advance(state, now);
        let need = state.need(demand, slot);
        let reserved = match loaded {
            Ok(()) => self.reserve(state, demand, &need, now).await,
            Err(Unavailable) => Err(Refusal::Unavailable),
        };
        match reserved {
            Ok(()) => Ok(self.consume(state, need, slot)),
            Err(Refusal::Unavailable) if !demand.fail_closed => {
                self.charge_locally(state, demand, need, slot)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Whether nothing is left, before anything is charged.
    pub(super) async fn exhausted(
        &self,
        state: &mut State,
        demand: &Demand<'_>,
        now: i64,
    ) -> Result<(), Refusal> {
        let known = self.load(state, now, demand.records.is_some()).await;
        self.advance(state, now);
        if known.is_err() && demand.fail_closed {
            return Err(Refusal::Unavailable);
        }
        let slot = self.window.slot(now);
        if !demand.enforced || state.used(slot) < demand.amount {
            return Ok(());
        }
        // Another gateway may have given something back.
        let stale = state.read_at.is_some_and(|at| now.saturating_sub(at) >= RECHECK_MICROS);
        if stale && known.is_ok() {
            self.read(state, now).await.ok();
        }
        if state.used(slot) < demand.amount { Ok(()) } else { Err(self.exceeded(state, demand, 1, slot)) }
    }

    /// Takes back what was charged while the lock has been held ever since.
    pub(super) fn refund(&self, state: &mut State, charged: Charged) {
        state.allowance = state.allowance.saturating_add(charged.count);
        for record in charged.fresh {
            state.seen.remove(&record);
            state.unwritten.remove(&record);
        }
        if self.ledger.is_none() {
            state.drop_allowance();
            state.unsent.clear();
        }
        self.publish(state, state.allowance_slot);
    }

    /// What is to be told after a charge: the mark that it went over.
    pub(super) fn crossing(&self, charged: &Charged, amount: u64, warn_at: Option<f64>) -> Option<Crossing> {
        let after = self.used();
        let before = after.saturating_sub(charged.count);
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
        let near = |used: u64| warn_at.is_some_and(|share| used as f64 >= share * amount as f64);
        if before < amount && after >= amount {
            Some(Crossing::Limit)
        } else if !near(before) && near(after) {
            Some(Crossing::Warning)
        } else {
            None
        }
    }

    /// Gives back what nobody has used for a while, and writes what the ledger does not have. With `all`: at once.
    pub(super) async fn settle(&self, now: i64, all: bool) {
        let mut state = self.lock().await;
        let slot = self.advance(&mut state, now);
        if all || now.saturating_sub(state.touched_at) >= IDLE_MICROS {
            state.drop_allowance();
        }
        let Some((ledger, account)) = &self.ledger else {
            state.unsent.clear();
            return;
        };
        if self.load(&mut state, now, false).await.is_err()
            || (state.unsent.is_empty() && state.unwritten.is_empty())
        {
            return;
        }
        for _ in 0..MAX_TRIES {
            let Ok(read) = ledger.read(account, now).await else { return };
            let mut merged = read.slots.clone();
            merged.apply(&state.unsent);
            merged.prune(slot);
            let expires_at = self.expiry(&merged, slot);
            state.unsure = true;
            let Ok(swapped) = ledger.swap(account, &read, &merged, &state.unwritten, expires_at, now).await
            else {
                return;
            };
            state.unsure = false;
            if swapped {
                state.written(merged, now);
                self.publish(&state, slot);
                return;
            }
        }
    }

    /// Whether it can be forgotten: it holds nothing that the ledger does not, or nothing at all.
    pub(super) fn is_idle(&self, now: i64) -> bool {
        let Some(mut state) = self.try_lock() else { return false };
        let slot = self.advance(&mut state, now);
        let settled = state.allowance == 0 && state.unsent.is_empty() && state.unwritten.is_empty();
        let at_rest = now.saturating_sub(state.touched_at) >= IDLE_MICROS;
        settled && at_rest && (self.ledger.is_some() || state.slots.total(slot) == 0)
    }

    /// Comes into the present slot.
    fn advance(&self, state: &mut State, now: i64) -> i64 {
        let slot = self.window.slot(now);
        if state.allowance_slot != slot {
            state.drop_allowance();
            state.allowance_slot = slot;
            state.slots.prune(slot);
            state.unsent = state.unsent.split_off(&first(slot));
            state.seen.retain(|_, seen| *seen >= first(slot));
            state.unwritten.retain(|_, seen| *seen >= first(slot));
            self.publish(state, slot);
        }
        slot
    }

    /// Charges what is reserved already, or what needs no reservation.
    fn charge_locally(
        &self,
        state: &mut State,
        demand: &Demand<'_>,
        need: Need,
        slot: i64,
    ) -> Result<Charged, Refusal> {
        if demand.enforced && !state.fits(&need, demand.amount, slot) {
            let wanted = need.count.saturating_sub(need.moved.len() as u64);
            return Err(self.exceeded(state, demand, wanted, slot));
        }
        let lack = need.count.saturating_sub(state.allowance);
        for (record, old) in &need.moved {
            state.change(*old, -1);
            state.seen.insert(*record, slot);
            state.unwritten.insert(*record, slot);
        }
        state.change(slot, i64::try_from(lack).unwrap_or(i64::MAX));
        state.allowance = state.allowance.saturating_add(lack);
        let charged = self.consume(state, need, slot);
        if self.ledger.is_none() {
            state.unsent.clear();
            state.unwritten.clear();
        }
        Ok(charged)
    }

    /// Uses the allowance.
    fn consume(&self, state: &mut State, need: Need, slot: i64) -> Charged {
        state.allowance = state.allowance.saturating_sub(need.count);
        for record in &need.fresh {
            if state.seen.len() < MAX_REMEMBERED {
                state.seen.insert(*record, slot);
                if self.ledger.is_some() {
                    state.unwritten.insert(*record, slot);
                }
            }
        }
        self.publish(state, slot);
        // A moved record stays moved when a charge is taken back: it then counts longer, never shorter.
        let moved = need.moved.len() as u64;
        Charged { count: need.count.saturating_sub(moved), fresh: need.fresh }
    }

    /// Writes a block to the ledger, and with it everything that it does not have.
    async fn reserve(
        &self,
        state: &mut State,
        demand: &Demand<'_>,
        need: &Need,
        now: i64,
    ) -> Result<(), Refusal> {
        let Some((ledger, account)) = &self.ledger else { return Ok(()) };
        let slot = self.window.slot(now);
        let lack = need.count.saturating_sub(state.allowance);
        for _ in 0..MAX_TRIES {
            let read = ledger.read(account, now).await?;
            let mut merged = read.slots.clone();
            merged.apply(&state.unsent);
            merged.prune(slot);
            let held = merged.clone();
            need.moved.iter().for_each(|(_, old)| merged.take(*old, 1));
            let room =
                if demand.enforced { demand.amount.saturating_sub(merged.total(slot)) } else { u64::MAX };
            if room < lack {
                state.slots = held;
                state.read_at = Some(now);
                self.publish(state, slot);
                let wanted = need.count.saturating_sub(need.moved.len() as u64);
                return Err(self.exceeded(state, demand, wanted, slot));
            }
            let taken = lack.max(demand.amount / BLOCKS).min(room);
            merged.add(slot, taken);
            let mut records = state.unwritten.clone();
            records.extend(need.moved.iter().map(|(record, _)| (*record, slot)));
            let expires_at = self.expiry(&merged, slot);
            state.unsure = true;
            let swapped = ledger.swap(account, &read, &merged, &records, expires_at, now).await?;
            state.unsure = false;
            if swapped {
                state.written(merged, now);
                state.seen.extend(need.moved.iter().map(|(record, _)| (*record, slot)));
                state.allowance = state.allowance.saturating_add(taken);
                return Ok(());
            }
        }
        Err(Refusal::Unavailable)
    }

    /// Reads the counter from the ledger the first time, and when it is not sure what stands there. Then it takes for
    /// written whatever makes the counter higher, and for lost whatever would make it lower.
    async fn load(&self, state: &mut State, now: i64, records: bool) -> Result<(), Unavailable> {
        let Some((ledger, account)) = &self.ledger else { return Ok(()) };
        if state.read_at.is_some() && !state.unsure {
            return Ok(());
        }
        if records || !state.seen.is_empty() {
            let since = first(self.window.slot(now)).saturating_sub(1);
            for (record, slot) in ledger.seen(account, since, MAX_REMEMBERED, now).await? {
                let known = state.seen.entry(record).or_insert(slot);
                *known = slot.max(*known);
            }
        }
        if state.unsure {
            state.unsent.retain(|_, by| *by > 0);
            // It may have been spent on records that were moved.
            state.allowance = 0;
        }
        self.read(state, now).await?;
        state.unsure = false;
        Ok(())
    }

    /// Reads the counter from the ledger.
    async fn read(&self, state: &mut State, now: i64) -> Result<(), Unavailable> {
        let Some((ledger, account)) = &self.ledger else { return Ok(()) };
        let Entry { slots, .. } = ledger.read(account, now).await?;
        let slot = self.window.slot(now);
        state.slots = slots;
        state.slots.apply(&state.unsent);
        state.slots.prune(slot);
        state.read_at = Some(now);
        self.publish(state, slot);
        Ok(())
    }

    fn exceeded(&self, state: &State, demand: &Demand<'_>, wanted: u64, slot: i64) -> Refusal {
        let amount = demand.amount.saturating_add(state.allowance);
        Refusal::Exceeded(state.slots.makes_room(slot, wanted, amount).map(|slot| self.window.end_of(slot)))
    }

    fn expiry(&self, slots: &Slots, slot: i64) -> i64 {
        self.window.end_of(slots.last().unwrap_or(slot).max(slot))
    }

    fn publish(&self, state: &State, slot: i64) {
        self.used.store(state.used(slot), Ordering::Relaxed);
        let whole_at = state.slots.last().map_or(i64::MIN, |last| self.window.end_of(last));
        self.whole_at.store(whole_at, Ordering::Relaxed);
    }
}

impl State {
    fn used(&self, slot: i64) -> u64 {
        self.slots.total(slot).saturating_sub(self.allowance)
    }

    fn need(&self, demand: &Demand<'_>, slot: i64) -> Need {
        let Some(records) = demand.records else {
            return Need { count: demand.count, fresh: Vec::new(), moved: Vec::new() };
        };
        let mut fresh = Vec::new();
        let mut moved = Vec::new();
        for record in records {
            match self.seen.get(record) {
                None => fresh.push(*record),
                Some(old) if *old < slot => moved.push((*record, *old)),
                Some(_) => {}
            }
        }
        // A record whose key is not known may be any: it counts as a different one.
        let nameless = demand.count.saturating_sub(records.len() as u64);
        let count = nameless + (fresh.len() + moved.len()) as u64;
        Need { count, fresh, moved }
    }

    /// Whether all of it may be used.
    fn fits(&self, need: &Need, amount: u64, slot: i64) -> bool {
        let more = need.count.saturating_sub(need.moved.len() as u64);
        self.used(slot).saturating_add(more) <= amount
    }

    /// The ledger has everything now.
    fn written(&mut self, slots: Slots, now: i64) {
        self.slots = slots;
        self.unsent.clear();
        self.unwritten.clear();
        self.read_at = Some(now);
    }

    fn drop_allowance(&mut self) {
        let unused = std::mem::take(&mut self.allowance);
        self.change(self.allowance_slot, -i64::try_from(unused).unwrap_or(i64::MAX));
    }

    fn change(&mut self, slot: i64, by: i64) {
        if by == 0 {
            return;
        }
        let size = by.unsigned_abs();
        if by > 0 {
            self.slots.add(slot, size)
        } else {
            self.slots.take(slot, size)
        }
        let unsent = self.unsent.entry(slot).or_default();
        *unsent = unsent.saturating_add(by);
        if *unsent == 0 {
            self.unsent.remove(&slot);
        }
    }
}

impl From<Unavailable> for Refusal {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

/// A block is a limit divided by this.
const BLOCKS: u64 = 64;

/// How often a change is tried against others who change the same counter.
const MAX_TRIES: usize = 32;

/// How long a counter that was full when it was read is taken to be full.
const RECHECK_MICROS: i64 = 1_000_000;

/// From when a counter is at rest.
const IDLE_MICROS: i64 = 30_000_000;

/// Most records that one counter remembers; further ones count each time they are given.
const MAX_REMEMBERED: usize = 100_000;
