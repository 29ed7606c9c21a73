//! Asking somebody else who a credential stands for: once for all who wait, remembered for a stated time.
//!
//! A question is a task of its own, so a caller who hangs up does not end it for the others. What could not be found
//! out is told to all who waited and then forgotten; a definite "no" is remembered apart from the "yes", so a flood
//! of made-up credentials pushes nobody out.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::base::Clock;
use crate::telemetry::Metrics;

use super::Tools;
use super::principal::{Method, Subject};
use super::recent::{Digest, Recent};
use super::unauthenticated::Unauthenticated;

/// Who a credential stands for, and for how much longer at most.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) subject: Arc<Subject>,
    /// What the credential itself says, if anything.
    pub(super) valid_for: Option<Duration>,
}

type Outcome = Result<Found, Unauthenticated>;

/// How long answers are remembered, and how much at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) positive: Duration,
    pub(super) negative: Duration,
    pub(super) most: usize,
    /// Questions under way at the same time.
    pub(super) questions: usize,
}

/// The questions of one method.
pub(super) struct Lookups {
    state: Arc<State>,
    method: Method,
    tasks: TaskTracker,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    memory: Memory,
}

struct State {
    good: Recent<Arc<Subject>>,
    bad: Recent<Unauthenticated>,
    under_way: Mutex<HashMap<Digest, watch::Receiver<Option<Outcome>>>>,
    asked: AtomicU64,
}

impl Lookups {
    /// `method` is whose questions these are.
    pub(super) fn new(method: Method, memory: Memory, tools: &Tools) -> Self {
        let state = State {
            good: Recent::new(memory.most),
            bad: Recent::new(memory.most),
            under_way: Mutex::default(),
            asked: AtomicU64::new(0),
        };
        let (clock, metrics) = (Arc::clone(&tools.clock), Arc::clone(&tools.metrics));
        Self { state: Arc::new(state), method, tasks: tools.tasks.clone(), clock, metrics, memory }
    }

    /// What is remembered of a credential, or else what `ask` finds out.
    pub(super) async fn find<F>(
        &self,
        key: Digest,
        ask: impl FnOnce() -> F,
    ) -> Result<Arc<Subject>, Unauthenticated>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let now = self.clock.monotonic();
        if let Some(subject) = self.state.good.get(&key, now) {
            return Ok(subject);
        }
        if let Some(refusal) = self.state.bad.get(&key, now) {
            return Err(refusal);
        }
        let mut answer = self.join_or_ask(key, now, ask)?;
        let answer = answer.wait_for(Option::is_some).await.ok().and_then(|told| (*told).clone());
        match answer {
            Some(outcome) => outcome.map(|found| found.subject),
            None => Err(Unauthenticated::Unavailable("the answer about a credential")),
        }
    }

    fn join_or_ask<F>(
        &self,
        key: Digest,
        now: Duration,
        ask: impl FnOnce() -> F,
    ) -> Result<watch::Receiver<Option<Outcome>>, Unauthenticated>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut under_way = self.state.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = under_way.get(&key) {
            return Ok(answer.clone());
        }
        if under_way.len() >= self.memory.questions {
            return Err(Unauthenticated::Unavailable("room for one more question about a credential"));
        }
        let (tell, answer) = watch::channel(None);
        under_way.insert(key, answer.clone());
        let ending = Ending { state: Arc::clone(&self.state), key };
        let (memory, question) = (self.memory, ask());
        let (metrics, method) = (Arc::clone(&self.metrics), self.method.name());
        self.state.asked.fetch_add(1, Ordering::Relaxed);
        self.tasks.spawn(async move {
            let outcome = question.await;
            metrics.identity_asked(method, outcome.as_ref().err().is_none_or(|no| !no.is_unavailable()));
            ending.state.remember(key, &outcome, memory, now);
            // The memory first, the list second: whoever comes in between finds one or the other.
            drop(ending);
            tell.send_replace(Some(outcome));
        });
        Ok(answer)
    }

    /// Questions asked so far.
    #[cfg(test)]
    pub(super) fn asked(&self) -> u64 {
        self.state.asked.load(Ordering::Relaxed)
    }
}

impl State {
    /// `asked`: when the question was asked; an answer is no younger than that.
    fn remember(&self, key: Digest, outcome: &Outcome, memory: Memory, asked: Duration) {
        match outcome {
            Ok(found) => {
                let kept = found.valid_for.map_or(memory.positive, |left| left.min(memory.positive));
                self.good.put(key, Arc::clone(&found.subject), asked.saturating_add(kept));
            }
            Err(refusal) if refusal.is_unavailable() => {}
            Err(refusal) => self.bad.put(key, refusal.clone(), asked.saturating_add(memory.negative)),
        }
    }
}

/// Takes a question off the list, however it ends.
struct Ending {
    state: Arc<State>,
    key: Digest,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let mut under_way = self.state.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tokio::sync::oneshot;

    use super::*;
    use crate::base::ManualClock;
    use crate::identity::unauthenticated::TokenFault;

    fn scene(questions: usize) -> (Arc<Lookups>, ManualClock) {
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        let memory = Memory {
            positive: Duration::from_secs(10),
            negative: Duration::from_secs(2),
            most: 100,
            questions,
        };
        (Arc::new(Lookups::new(Method::Vendor, memory, &Tools::for_tests(&clock))), clock)
    }

    fn found(valid_for: Option<u64>) -> Outcome {
        let subject = Arc::new(Subject::for_tests("u1"));
        Ok(Found { subject, valid_for: valid_for.map(Duration::from_secs) })
    }

    #[tokio::test]
    async fn an_answer_is_remembered_for_its_time_and_no_longer_than_the_credential() {
        let (lookups, clock) = scene(9);
        for (key, lifetime, remembered) in
            [([1; 32], None, 10), ([2; 32], Some(3), 3), ([3; 32], Some(99), 10)]
        {
            let before = lookups.asked();
            for _ in 0..3 {
                lookups.find(key, || async move { found(lifetime) }).await.unwrap();
            }
            assert_eq!(lookups.asked() - before, 1);
            clock.advance(Duration::from_secs(remembered));
            lookups.find(key, || async move { found(lifetime) }).await.unwrap();
            assert_eq!(lookups.asked() - before, 2);
        }
    }

    #[tokio::test]
    async fn a_no_is_remembered_shortly_and_a_failure_not_at_all() {
        let (lookups, clock) = scene(9);
        let no = || Err(Unauthenticated::Token(TokenFault::Inactive));
        for _ in 0..3 {
            assert!(lookups.find([1; 32], || async move { no() }).await.is_err());
        }
        assert_eq!(lookups.asked(), 1);
        clock.advance(Duration::from_secs(2));
        assert!(lookups.find([1; 32], || async move { found(None) }).await.is_ok());
        for _ in 0..3 {
            let gone = Err(Unauthenticated::Unavailable("it"));
            assert!(lookups.find([2; 32], || async move { gone }).await.is_err());
        }
        assert_eq!(lookups.asked(), 5);
    }

    #[tokio::test]
    async fn all_who_wait_share_one_question_also_when_the_first_hangs_up() {
        let (lookups, _) = scene(9);
        let (answer, asked) = oneshot::channel::<()>();
        let first = {
            let lookups = Arc::clone(&lookups);
            tokio::spawn(async move {
                let ask = || async move {
                    asked.await.unwrap();
                    found(None)
                };
                lookups.find([1; 32], ask).await.map(drop)
            })
        };
        while lookups.asked() == 0 {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = (0..50)
            .map(|_| {
                let lookups = Arc::clone(&lookups);
                tokio::spawn(async move {
                    lookups.find([1; 32], || async { panic!("asked twice") }).await.map(drop)
                })
            })
            .collect();
        tokio::task::yield_now().await;
        first.abort();
        answer.send(()).unwrap();
        for other in others {
            assert_eq!(other.await.unwrap(), Ok(()));
        }
        assert_eq!(lookups.asked(), 1);
    }

    #[tokio::test]
    async fn no_more_questions_than_the_bound_are_under_way() {
        let (lookups, _) = scene(2);
        for key in [1, 2] {
            let lookups = Arc::clone(&lookups);
            tokio::spawn(async move { lookups.find([key; 32], std::future::pending).await.map(drop) });
        }
        while lookups.asked() < 2 {
            tokio::task::yield_now().await;
        }
        let refusal = lookups.find([3; 32], || async { found(None) }).await.map(drop).unwrap_err();
        assert!(refusal.is_unavailable());
    }

    #[tokio::test]
    async fn a_question_that_breaks_off_refuses_and_is_asked_again() {
        let (lookups, _) = scene(9);
        let broken = lookups.find([1; 32], || async { panic!("as a test") }).await.map(drop);
        assert!(broken.unwrap_err().is_unavailable());
        assert!(lookups.find([1; 32], || async { found(None) }).await.is_ok());
    }
}
