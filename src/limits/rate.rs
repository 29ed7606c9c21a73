//! How many requests at once: the generic cell rate algorithm, by governor, for limits with a `burst`.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::base::Clock;

/// One limiter for each rate, with a cell for each subject.
pub(super) struct Rates {
    limiters: Mutex<HashMap<Rate, Arc<Limiter>>>,
    clock: GovernorClock,
}

/// A rate as a policy writes it. A policy that changes one of these starts anew.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Rate {
    pub(super) limit: Arc<str>,
    pub(super) amount: u64,
    pub(super) window: Duration,
    pub(super) burst: u64,
}

type Limiter = RateLimiter<Arc<str>, DashMapStateStore<Arc<str>>, GovernorClock, NoOpMiddleware<Duration>>;

#[derive(Clone)]
struct GovernorClock(Arc<dyn Clock>);

impl clock::Clock for GovernorClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

impl std::fmt::Debug for GovernorClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GovernorClock")
    }
}

impl Rates {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { limiters: Mutex::default(), clock: GovernorClock(clock) }
    }

    /// Takes one request, or says how long to wait. Whoever comes here has a counter, whose number is bounded.
    pub(super) fn take(&self, rate: &Rate, subject: &Arc<str>) -> Result<(), Duration> {
        let quota = rate.quota().ok_or(rate.window)?;
        let limiter = {
            let mut limiters = self.limiters.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = limiters.get(rate) {
                Arc::clone(known)
            } else {
                let made = Arc::new(RateLimiter::dashmap_with_clock(quota, self.clock.clone()));
                limiters.insert(rate.clone(), Arc::clone(&made));
                made
            }
        };
        let now = clock::Clock::now(&self.clock);
        limiter.check_key(subject).map_err(|until| until.wait_time_from(now))
    }

    /// Forgets the subjects whose cells are as good as new, and limiters without subjects.
    pub(super) fn tidy(&self) {
        let mut limiters = self.limiters.lock().unwrap_or_else(PoisonError::into_inner);
        limiters.retain(|_, limiter| {
            limiter.retain_recent();
            limiter.shrink_to_fit();
            !limiter.is_empty()
        });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let limiters = self.limiters.lock().unwrap_or_else(PoisonError::into_inner);
        limiters.values().map(|limiter| limiter.len()).sum()
    }
}

impl Rate {
    /// `None` where nothing ever passes.
    fn quota(&self) -> Option<Quota> {
        let amount = u128::from(self.amount);
        let nanos = self.window.as_nanos().checked_div(amount)?.max(1);
        let period = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let burst = NonZeroU32::new(u32::try_from(self.burst).unwrap_or(u32::MAX))?;
        Some(Quota::with_period(period)?.allow_burst(burst))
    }
}
