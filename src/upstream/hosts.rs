//! The hosts of one upstream: which of them gets the next request, and which are left alone.
//!
//! A host that fails several times in a row gets no requests for a while (a circuit breaker for each host); then one
//! request tries it, and if that fails the time doubles. Where health checks are configured, a host that does not pass
//! them gets none either. Of the hosts that are well the one with the fewest requests in flight is chosen, in turn
//! where several have as few. Where none is well the request is refused at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper_util::client::legacy::Client;

use crate::request::Outgoing;

use super::admission::Slot;
use super::config::Breaker;
use super::connect::Connector;

/// One host.
pub(super) struct Host {
    pub(super) client: Client<Connector, Outgoing>,
    /// For the log; it holds no credential.
    pub(super) name: String,
    in_flight: AtomicUsize,
    health: Mutex<Health>,
    breaker: Breaker,
}

/// How a host is.
#[derive(Debug, Default)]
struct Health {
    /// Failures of requests in a row.
    failures: u32,
    /// Until when it is left alone, and how often in a row that was begun.
    open: Option<(Duration, u32)>,
    /// Whether a request is trying it after that.
    trying: bool,
    /// Failures of checks in a row, and whether they are enough.
    unwell: u32,
    down: bool,
}

/// A request's place at the upstream and at its host; given back when dropped.
pub(super) struct Held {
    _slot: Slot,
    host: Arc<Host>,
}

impl Held {
    pub(super) fn new(slot: Slot, host: Arc<Host>) -> Self {
        host.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { _slot: slot, host }
    }

    /// The place, for another host.
    pub(super) fn elsewhere(self, host: Arc<Host>) -> Self {
        host.in_flight.fetch_add(1, Ordering::Relaxed);
        let mut held = self;
        let before = std::mem::replace(&mut held.host, host);
        before.in_flight.fetch_sub(1, Ordering::Relaxed);
        held
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.host.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A host that was chosen for one attempt. What became of it is said once; an attempt that is dropped says nothing.
pub(super) struct Attempt {
    pub(super) host: Arc<Host>,
    pub(super) index: usize,
    trying: bool,
}

impl Attempt {
    /// The host answered.
    pub(super) fn succeeded(&mut self) {
        self.trying = false;
        let mut health = self.host.health();
        let Health { unwell, down, .. } = *health;
        *health = Health { unwell, down, ..Health::default() };
    }

    /// The host failed. `true`: from now on it is left alone.
    pub(super) fn failed(&mut self, now: Duration) -> bool {
        self.trying = false;
        let breaker = self.host.breaker;
        let mut health = self.host.health();
        health.failures = health.failures.saturating_add(1);
        let tried = std::mem::take(&mut health.trying);
        let times = health.open.map_or(0, |(_, times)| times);
        if !tried && (health.failures < breaker.failures || health.open.is_some_and(|(until, _)| now < until))
        {
            return false;
        }
        let wait = breaker.open.saturating_mul(1 << times.min(MAX_DOUBLINGS));
        health.open = Some((now.saturating_add(wait), times.saturating_add(1)));
        true
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.trying {
            self.host.health().trying = false;
        }
    }
}

impl Host {
    pub(super) fn new(client: Client<Connector, Outgoing>, name: String, breaker: Breaker) -> Self {
        Self { client, name, in_flight: AtomicUsize::new(0), health: Mutex::default(), breaker }
    }

    /// A check of its health was passed or not. Gives whether it is down now, if that has changed.
    pub(super) fn checked(&self, well: bool, failures: u32) -> Option<bool> {
        let mut health = self.health();
        let before = health.down;
        if well {
            *health = Health { trying: health.trying, ..Health::default() };
        } else {
            health.unwell = health.unwell.saturating_add(1);
            health.down |= health.unwell >= failures;
        }
        (health.down != before).then_some(health.down)
    }

    /// Whether it gets requests.
    fn is_well(&self, now: Duration) -> bool {
        let health = self.health();
        !health.down && health.open.is_none_or(|(until, _)| now >= until && !health.trying)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All hosts of one upstream.
pub(super) struct Hosts {
    all: Vec<Arc<Host>>,
    turn: AtomicUsize,
}

impl Hosts {
    pub(super) fn new(all: Vec<Arc<Host>>) -> Self {
        Self { all, turn: AtomicUsize::new(0) }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Host>> {
        self.all.iter()
    }

    /// How many get requests.
    pub(super) fn well(&self, now: Duration) -> usize {
        self.all.iter().filter(|host| host.is_well(now)).count()
    }

    /// Chooses a host, one that was not tried yet where there is one.
    pub(super) fn choose(&self, now: Duration, tried: &[usize]) -> Option<Attempt> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.all.len();
        // Who is quicker gets the one request that tries a host; the other chooses anew.
        (0..=count).find_map(|_| {
            let in_turn = (0..count).map(|offset| first.wrapping_add(offset) % count);
            let (index, host) = in_turn
                .filter_map(|index| Some((index, self.all.get(index)?)))
                .filter(|(_, host)| host.is_well(now))
                .min_by_key(|(index, host)| {
                    (tried.contains(index), host.in_flight.load(Ordering::Relaxed))
                })?;
            let mut health = host.health();
            let trying = health.open.is_some();
            if trying && health.trying {
                return None;
            }
            health.trying = trying;
            drop(health);
            Some(Attempt { host: Arc::clone(host), index, trying })
        })
    }
}

/// The longest pause is this many doublings of the first.
const MAX_DOUBLINGS: u32 = 3;
