//! What an admitted request holds: its places among those running, and the counters that its answer is charged to.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::MutexGuard;

use crate::policy::{LimitRule, LimitUnit, OnExceed};

use super::concurrency::Place;
use super::counter::{Charged, Counter, Crossing, Demand, Refusal, State};
use super::fields::whole_seconds;
use super::{Limited, Notice, Remaining, Shared};

/// Leave to answer a request. It is charged before the bytes it pays for go out; dropping it ends the request.
pub struct Ticket {
    pub(super) shared: Arc<Shared>,
    pub(super) resource: Arc<str>,
    /// In the order in which counters are locked.
    pub(super) lines: Vec<Line>,
    pub(super) places: Vec<(Arc<LimitRule>, Place)>,
    pub(super) notices: Mutex<Vec<Notice>>,
    /// Of a batch: the tickets of its requests.
    pub(super) parts: Vec<Self>,
}

/// What is about to go out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Charge<'c> {
    /// How many records.
    pub records: u64,
    /// Their keys, as far as they are known. A record without one counts as a different one.
    pub keys: &'c [Box<str>],
    /// How many bytes.
    pub bytes: u64,
    /// Of a batch: the request that they are for.
    pub part: usize,
}

/// A limit that a request is charged to, and the counter of one of its subjects.
pub(super) struct Line {
    pub(super) rule: Arc<LimitRule>,
    pub(super) counter: Arc<Counter>,
    pub(super) fail_closed: bool,
}

/// A charge in the units of limits.
#[derive(Default)]
pub(super) struct Amounts {
    pub(super) requests: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Different records: the known ones, no one twice, and how many there are with those that are not known.
    pub(super) known: Vec<i64>,
    pub(super) different: u64,
}

impl Ticket {
    /// Charges what is about to go out to all limits, or to none: then nothing of it may go out.
    pub async fn charge(&self, charge: &Charge<'_>) -> Result<(), Limited> {
        let of = self.part(charge);
        let amounts = of.amounts(charge);
        let notices = self.shared.charge(&of.lines, &amounts).await?;
        self.note(notices);
        Ok(())
    }

    /// The same without waiting, for the usual case that what is needed is at hand. `None`: it must be waited for, with
    /// [`Ticket::charge`]; nothing was charged.
    pub fn try_charge(&self, charge: &Charge<'_>) -> Option<Result<(), Limited>> {
        let of = self.part(charge);
        let amounts = of.amounts(charge);
        Some(self.shared.try_charge(&of.lines, &amounts)?.map(|notices| self.note(notices)))
    }

    /// What remains of each limit now.
    pub fn remaining(&self) -> Vec<Remaining> {
        let now = self.shared.now();
        let mut shown: Vec<Remaining> = Vec::new();
        let places = self.places.iter().map(|(rule, place)| Remaining {
            limit: Arc::clone(&rule.name),
            unit: rule.unit,
            quota: rule.amount,
            window_secs: 0,
            remaining: rule.amount.saturating_sub(place.count()),
            reset_secs: 0,
        });
        let lines = self.lines.iter().map(|line| line.remaining(now)).chain(places);
        let inner = self.parts.iter().flat_map(Self::remaining);
        for next in lines.chain(inner) {
            // Several subjects of one limit: what the most used of them has left.
            match shown.iter_mut().find(|one| one.limit == next.limit && one.unit == next.unit) {
                Some(known) if next.remaining < known.remaining => *known = next,
                Some(_) => {}
                None => shown.push(next),
            }
        }
        shown
    }

    /// What became worth telling since this was last asked, for the record.
    pub fn notices(&self) -> Vec<Notice> {
        let mut notices = std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner));
        notices.extend(self.parts.iter().flat_map(Self::notices));
        notices
    }

    pub(super) fn note(&self, notices: Vec<Notice>) {
        if !notices.is_empty() {
            self.notices.lock().unwrap_or_else(PoisonError::into_inner).extend(notices);
        }
    }

    /// The ticket that a charge is for.
    fn part(&self, charge: &Charge<'_>) -> &Self {
        self.parts.get(charge.part).or(self.parts.last()).unwrap_or(self)
    }

    fn amounts(&self, charge: &Charge<'_>) -> Amounts {
        let mut known = Vec::new();
        let mut different = 0;
        if self.lines.iter().any(|line| line.rule.unit == LimitUnit::DistinctRecords) {
            known = charge.keys.iter().map(|key| self.shared.record_hash(&self.resource, key)).collect();
            known.sort_unstable();
            known.dedup();
            different = known.len() as u64 + charge.records.saturating_sub(charge.keys.len() as u64);
        }
        Amounts { requests: 0, records: charge.records, bytes: charge.bytes, known, different }
    }
}

impl Line {
    pub(super) fn demand<'d>(&self, amounts: &'d Amounts) -> Demand<'d> {
        let (count, records) = match self.rule.unit {
            LimitUnit::Requests => (amounts.requests, None),
            LimitUnit::Records => (amounts.records, None),
            LimitUnit::DistinctRecords => (amounts.different, Some(amounts.known.as_slice())),
            LimitUnit::Bytes => (amounts.bytes, None),
            LimitUnit::Concurrent => (0, None),
        };
        let enforced = match self.rule.on_exceed {
            OnExceed::Refuse | OnExceed::Freeze => true,
            OnExceed::Warn => false,
        };
        Demand {
            count,
            records,
            amount: self.rule.amount,
            enforced,
            fail_closed: self.fail_closed && enforced,
        }
    }

    /// A refusal by this limit.
    pub(super) fn limited(&self, refusal: Refusal, now: i64) -> Limited {
        let wait = match refusal {
            Refusal::Exceeded(Some(at)) => {
                Duration::from_micros(u64::try_from(at.saturating_sub(now)).unwrap_or_default())
            }
            Refusal::Exceeded(None) => self.rule.window,
            Refusal::Unavailable => STORE_RETRY,
        };
        Limited {
            limit: Arc::clone(&self.rule.name),
            retry_after: wait,
            unavailable: refusal == Refusal::Unavailable,
            freezes: self.rule.on_exceed == OnExceed::Freeze && refusal != Refusal::Unavailable,
            remaining: vec![self.remaining(now)],
        }
    }

    pub(super) fn remaining(&self, now: i64) -> Remaining {
        let micros = self.counter.whole_at().saturating_sub(now);
        let reset = Duration::from_micros(u64::try_from(micros).unwrap_or_default());
        Remaining {
            limit: Arc::clone(&self.rule.name),
            unit: self.rule.unit,
            quota: self.rule.amount,
            window_secs: whole_seconds(self.rule.window),
            remaining: self.rule.amount.saturating_sub(self.counter.used()),
            reset_secs: whole_seconds(reset),
        }
    }

    fn notice(&self, charged: &Charged) -> Option<Notice> {
        let crossing = self.counter.crossing(charged, self.rule.amount, self.rule.warn_at)?;
        Some(Notice {
            limit: Arc::clone(&self.rule.name),
            used_up: crossing == Crossing::Limit,
            used: self.counter.used(),
            amount: self.rule.amount,
        })
    }
}

impl Shared {
    /// Charges all lines or none. The counters are locked in the order of their numbers and stay locked, so whatever is
    /// taken back was never seen. Who hangs up in between may stay charged for some.
    pub(super) async fn charge(&self, lines: &[Line], amounts: &Amounts) -> Result<Vec<Notice>, Limited> {
        let mut done = Done::default();
        let mut held = Vec::new();
        for line in lines.iter().filter(|line| line.demand(amounts).count > 0) {
            held.push((line, line.counter.lock().await));
        }
        let now = self.now();
        for (line, mut state) in held {
            match line.counter.charge(&mut state, &line.demand(amounts), now).await {
                Ok(charged) => done.0.push((line, state, charged)),
                Err(refusal) => {
                    done.take_back();
                    return Err(line.limited(refusal, now));
                }
            }
        }
        Ok(self.tell(done.notices()))
    }

    /// The same without waiting for anything.
    pub(super) fn try_charge(
        &self,
        lines: &[Line],
        amounts: &Amounts,
    ) -> Option<Result<Vec<Notice>, Limited>> {
        let mut done = Done::default();
        let mut held = Vec::new();
        for line in lines.iter().filter(|line| line.demand(amounts).count > 0) {
            held.push((line, line.counter.try_lock()?));
        }
        let now = self.now();
        for (line, mut state) in held {
            match line.counter.charge_now(&mut state, &line.demand(amounts), now) {
                Some(Ok(charged)) => done.0.push((line, state, charged)),
                Some(Err(refusal)) => {
                    done.take_back();
                    return Some(Err(line.limited(refusal, now)));
                }
                None => {
                    done.take_back();
                    return None;
                }
            }
        }
        Some(Ok(self.tell(done.notices())))
    }
}

/// What was charged so far, its counters still locked.
#[derive(Default)]
struct Done<'l>(Vec<(&'l Line, MutexGuard<'l, State>, Charged)>);

impl Done<'_> {
    fn take_back(self) {
        for (line, mut state, charged) in self.0 {
            line.counter.refund(&mut state, charged);
        }
    }

    fn notices(self) -> Vec<Notice> {
        self.0.into_iter().filter_map(|(line, _locked, charged)| line.notice(&charged)).collect()
    }
}

/// When to try again while the store is out of reach.
const STORE_RETRY: Duration = Duration::from_secs(5);
