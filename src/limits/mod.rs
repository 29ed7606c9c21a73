//! How much: requests, budgets in records, different records and bytes, concurrency.
//!
//! A permit comes in, a [`Ticket`] goes out, or [`Limited`]. While the answer streams, what is released is charged
//! to the ticket *before* its bytes go out, so a budget is never exceeded. Every limit is a sliding window: in no
//! stretch of time as long as the window is more given out than the limit says, whatever runs at the same time. A
//! `burst` also limits how many requests come at once (governor). Windows of an hour or more are kept in the store and
//! survive a restart, a crash and a clock that is set back; several gateways on one store share them. Shorter ones
//! are held by each gateway for itself.
//!
//! Whom a limit counts is taken from the verified identity alone, so nobody chooses a fresh counter.

mod caller;
mod concurrency;
mod counter;
mod fields;
mod ledger;
mod rate;
mod ticket;
mod window;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tracing::warn;

use crate::base::Clock;
use crate::policy::{Action, LimitRule, LimitUnit, OnExceed, Per, Permit};
use crate::store::{Store, StoreError};

pub use caller::Caller;
pub use fields::{rate_limit_fields, retry_after};
pub use ticket::{Charge, Ticket};

use concurrency::Running;
use counter::Counter;
use ledger::{Account, Ledger};
use rate::{Rate, Rates};
use ticket::{Amounts, Line};
use window::Window;

/// Why a request or a stream was stopped by a limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limit `{limit}` {}", if *.unavailable { "cannot be counted" } else { "exceeded" })]
pub struct Limited {
    /// The limit.
    pub limit: Arc<str>,
    /// When it is worth trying again.
    pub retry_after: Duration,
    /// Whether the counter itself failed (the store is down or full), not the caller.
    pub unavailable: bool,
    /// Whether whoever exceeded it is to be frozen.
    pub freezes: bool,
    /// The limit as it stands, for the answer's fields.
    pub remaining: Vec<Remaining>,
}

/// What remains, for the `RateLimit` and `RateLimit-Policy` fields (draft-ietf-httpapi-ratelimit-headers).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// The limit's name.
    pub limit: Arc<str>,
    /// What it counts.
    pub unit: LimitUnit,
    /// Its amount.
    pub quota: u64,
    /// Its window in seconds; 0 where it has none.
    pub window_secs: u64,
    /// What is left now.
    pub remaining: u64,
    /// Seconds until it is whole again; 0 if it is.
    pub reset_secs: u64,
}

/// A limit that has become worth telling about. It is logged when it happens, once until it has gone below again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The limit.
    pub limit: Arc<str>,
    /// All of it is used, not only the share from which a warning was asked for.
    pub used_up: bool,
    /// How much is used.
    pub used: u64,
    /// How much there is.
    pub amount: u64,
}

/// Bounds of the limits themselves.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Windows from this length on are kept in the store.
    pub durable_from: Duration,
    /// Most counters held in memory at a time. Beyond it, who has none yet is refused.
    pub max_counters: usize,
}

/// All counters of a gateway. They outlive policies: a policy that is loaded again goes on with the counters of the
/// limits that it still names, with the same unit, window and `per`; their amounts may change.
#[derive(Clone)]
pub struct Limits(Arc<Shared>);

/// What tickets and limits share.
struct Shared {
    config: Config,
    counters: Mutex<HashMap<CounterKey, Arc<Counter>>>,
    numbers: AtomicU64,
    rates: Rates,
    running: Running,
    ledger: Option<Arc<Ledger>>,
    record_key: Hmac<Sha256>,
    clock: Arc<dyn Clock>,
    /// Microseconds since 1970 at the monotonic clock's zero. From then on only the monotonic clock counts.
    epoch: i64,
    watcher: Watcher,
}

/// Is told of every notice, for metrics.
type Watcher = Box<dyn Fn(&Notice) + Send + Sync>;

#[derive(Clone, PartialEq, Eq, Hash)]
struct CounterKey {
    limit: Arc<str>,
    unit: LimitUnit,
    per: Per,
    window: Duration,
    subject: Arc<str>,
}

/// What of a permit matters here.
struct Scope<'p> {
    resource: Arc<str>,
    roles: &'p [Arc<str>],
    export: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { durable_from: Duration::from_secs(3600), max_counters: 1_000_000 }
    }
}

impl Limits {
    /// Sets the limits up. Without a store, no window survives a restart. `watcher` is told of every notice.
    pub async fn open(
        config: Config,
        store: Option<Store>,
        clock: Arc<dyn Clock>,
        watcher: impl Fn(&Notice) + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        let mut random = [0_u8; 32];
        getrandom::fill(&mut random).ok();
        let mut record_key: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        if let Some(store) = &store {
            record_key = store.setting_or(RECORD_KEY, &record_key).await?;
        }
        let monotonic = i64::try_from(clock.monotonic().as_micros()).unwrap_or(i64::MAX);
        Ok(Self(Arc::new(Shared {
            config,
            counters: Mutex::default(),
            numbers: AtomicU64::new(0),
            rates: Rates::new(Arc::clone(&clock)),
            running: Running::default(),
            ledger: store.map(|store| Arc::new(Ledger::new(store))),
            record_key: keyed(record_key.as_bytes()),
            epoch: clock.now().as_microsecond().saturating_sub(monotonic),
            clock,
            watcher: Box::new(watcher),
        })))
    }

    /// Lets a request in, or says which limit does not. Of a batch, each request counts as one.
    pub async fn admit(&self, caller: &Caller<'_>, permit: &Permit) -> Result<Ticket, Limited> {
        let Some(batch) = permit.batch() else { return self.admit_one(caller, permit).await };
        let scope = Scope { resource: Arc::default(), roles: permit.roles(), export: false };
        let mut ticket = self.admit_under(&[], caller, scope).await?;
        // Each request counts, also when a later one is stopped.
        for inner in batch.items() {
            ticket.parts.push(self.admit_one(caller, inner.permit()).await?);
        }
        Ok(ticket)
    }

    async fn admit_one(&self, caller: &Caller<'_>, permit: &Permit) -> Result<Ticket, Limited> {
        let route = permit.route();
        let scope = Scope {
            resource: route.resource.clone().unwrap_or_default(),
            roles: permit.roles(),
            export: route.action == Some(Action::Export),
        };
        self.admit_under(permit.limits(), caller, scope).await
    }

    async fn admit_under(
        &self,
        rules: &[Arc<LimitRule>],
        caller: &Caller<'_>,
        scope: Scope<'_>,
    ) -> Result<Ticket, Limited> {
        let shared = &self.0;
        let mut ticket = Ticket {
            shared: Arc::clone(shared),
            resource: Arc::clone(&scope.resource),
            lines: Vec::new(),
            places: Vec::new(),
            notices: Mutex::default(),
            parts: Vec::new(),
        };
        for rule in rules {
            let fail_closed = rule.fail_closed || scope.export;
            for subject in caller.subjects(rule, scope.roles) {
                if rule.unit == LimitUnit::Concurrent {
                    shared.enter(rule, &subject, &mut ticket)?;
                    continue;
                }
                let counter = shared.counter(rule, &subject)?;
                if rule.unit == LimitUnit::Requests && rule.burst.is_some() {
                    shared.pace(rule, &subject)?;
                }
                ticket.lines.push(Line { rule: Arc::clone(rule), counter, fail_closed });
            }
        }
        // Two rules of one name would lock one counter twice: the tighter one counts.
        ticket.lines.sort_by_key(|line| (line.counter.number, line.rule.amount));
        ticket.lines.dedup_by_key(|line| line.counter.number);

        let one_request = Amounts { requests: 1, ..Amounts::default() };
        let notices = shared.charge(&ticket.lines, &one_request).await?;
        ticket.note(notices);
        shared.refuse_exhausted(&ticket.lines).await?;
        Ok(ticket)
    }

    /// Gives back what nobody uses, writes what is due, forgets what does not count: to be called every few seconds.
    /// Failures are logged.
    pub async fn tick(&self) {
        let now = self.0.now();
        for counter in self.0.all() {
            counter.settle(now, false).await;
        }
        self.0.forget_idle();
        self.0.rates.tidy();
        if let Some(ledger) = &self.0.ledger {
            ledger.prune(now).await;
        }
    }

    /// The end: gives back all that was reserved and not used.
    pub async fn close(&self) {
        let now = self.0.now();
        for counter in self.0.all() {
            counter.settle(now, true).await;
        }
    }
}

impl Shared {
    /// Microseconds since 1970 as the wall clock said at the start, and the monotonic clock ever since: who sets the
    /// clock back gets nothing back.
    fn now(&self) -> i64 {
        let monotonic = i64::try_from(self.clock.monotonic().as_micros()).unwrap_or(i64::MAX);
        self.epoch.saturating_add(monotonic)
    }

    fn enter(&self, rule: &Arc<LimitRule>, subject: &Arc<str>, ticket: &mut Ticket) -> Result<(), Limited> {
        let most = match rule.on_exceed {
            OnExceed::Refuse | OnExceed::Freeze => rule.amount,
            OnExceed::Warn => u64::MAX,
        };
        match self.running.enter(&rule.name, subject, most) {
            Ok((place, running)) => {
                if running > rule.amount {
                    let (limit, amount) = (Arc::clone(&rule.name), rule.amount);
                    let notice = Notice { limit, used_up: true, used: running, amount };
                    ticket.note(self.tell(vec![notice]));
                }
                ticket.places.push((Arc::clone(rule), place));
                Ok(())
            }
            Err(_) => Err(refused(rule, PLACE_RETRY, false)),
        }
    }

    fn pace(&self, rule: &LimitRule, subject: &Arc<str>) -> Result<(), Limited> {
        let rate = Rate {
            limit: Arc::clone(&rule.name),
            amount: rule.amount,
            window: rule.window,
            burst: rule.burst.unwrap_or(rule.amount),
        };
        match (self.rates.take(&rate, subject), rule.on_exceed) {
            (Ok(()), _) | (Err(_), OnExceed::Warn) => Ok(()),
            (Err(wait), OnExceed::Refuse | OnExceed::Freeze) => Err(refused(rule, wait, false)),
        }
    }

    fn counter(&self, rule: &LimitRule, subject: &Arc<str>) -> Result<Arc<Counter>, Limited> {
        let key = CounterKey {
            limit: Arc::clone(&rule.name),
            unit: rule.unit,
            per: rule.per,
            window: rule.window,
            subject: Arc::clone(subject),
        };
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = counters.get(&key) {
            return Ok(Arc::clone(known));
        }
        if counters.len() >= self.config.max_counters {
            return Err(refused(rule, PLACE_RETRY, true));
        }
        let durable = rule.window >= self.config.durable_from;
        let ledger = self.ledger.as_ref().filter(|_| durable).map(|l| (Arc::clone(l), key.account()));
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let counter = Arc::new(Counter::new(number, Window::new(rule.window), ledger));
        counters.insert(key, Arc::clone(&counter));
        Ok(counter)
    }

    /// Refuses at the door what could not be answered anyway. Different records are judged one by one: those given
    /// before may be given again.
    async fn refuse_exhausted(&self, lines: &[Line]) -> Result<(), Limited> {
        let amounts = Amounts::default();
        for line in lines {
            // Who is frozen for it has been about to get too much: a request that may give nothing is no such thing.
            if line.rule.on_exceed == OnExceed::Freeze {
                continue;
            }
            match line.rule.unit {
                LimitUnit::Records | LimitUnit::Bytes => {}
                LimitUnit::Requests | LimitUnit::DistinctRecords | LimitUnit::Concurrent => continue,
            }
            let mut state = line.counter.lock().await;
            let now = self.now();
            let left = line.counter.exhausted(&mut state, &line.demand(&amounts), now).await;
            left.map_err(|refusal| line.limited(refusal, now))?;
        }
        Ok(())
    }

    fn tell(&self, notices: Vec<Notice>) -> Vec<Notice> {
        for notice in &notices {
            let Notice { limit, used_up, used, amount } = notice;
            warn!(%limit, used_up, used, amount, "limit nearly or wholly used up");
            (self.watcher)(notice);
        }
        notices
    }

    fn all(&self) -> Vec<Arc<Counter>> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect()
    }

    fn forget_idle(&self) {
        let now = self.now();
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.retain(|_, counter| Arc::strong_count(counter) > 1 || !counter.is_idle(now));
        counters.shrink_to_fit();
    }

    /// A keyed hash: the store and a memory dump do not tell which records somebody read.
    fn record_hash(&self, resource: &str, key: &str) -> i64 {
        let mut mac = self.record_key.clone();
        mac.update(&(resource.len() as u64).to_be_bytes());
        mac.update(resource.as_bytes());
        mac.update(key.as_bytes());
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        bytes.iter().take(8).fold(0, |hash, byte| hash << 8 | i64::from(*byte))
    }
}

impl CounterKey {
    /// Its name in the store. The limit's own name comes last, so no name reads like another.
    fn account(&self) -> Account {
        let unit = match self.unit {
            LimitUnit::Requests => "requests",
            LimitUnit::Records => "records",
            LimitUnit::DistinctRecords => "distinct",
            LimitUnit::Bytes => "bytes",
            LimitUnit::Concurrent => "concurrent",
        };
        let per = match self.per {
            Per::Principal => "principal",
            Per::Role => "role",
            Per::Key => "key",
            Per::Ip => "ip",
            Per::All => "all",
        };
        let limit = format!("{unit} {per} {} {}", self.window.as_micros(), self.limit).into();
        Account { limit, subject: Arc::clone(&self.subject) }
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Limits")
    }
}

fn refused(rule: &LimitRule, retry_after: Duration, unavailable: bool) -> Limited {
    let windowed = rule.unit != LimitUnit::Concurrent;
    let wait = fields::whole_seconds(retry_after);
    let remaining = Remaining {
        limit: Arc::clone(&rule.name),
        unit: rule.unit,
        quota: rule.amount,
        window_secs: if windowed { fields::whole_seconds(rule.window) } else { 0 },
        remaining: 0,
        reset_secs: if windowed { wait } else { 0 },
    };
    let freezes = rule.on_exceed == OnExceed::Freeze && !unavailable;
    Limited { limit: Arc::clone(&rule.name), retry_after, unavailable, freezes, remaining: vec![remaining] }
}

#[expect(clippy::expect_used, reason = "INVARIANT: HMAC takes keys of any length")]
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("any length")
}

/// When to try again for a place among those running.
const PLACE_RETRY: Duration = Duration::from_secs(1);

/// The setting that holds the key of record hashes.
const RECORD_KEY: &str = "limits.record-key";

#[cfg(test)]
mod tests;
