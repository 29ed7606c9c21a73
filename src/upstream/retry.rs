//! What may be sent a second time, and how often.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::Method;
use http::header::{IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use http::request::Parts;

use crate::request::Outgoing;

use super::config::Retries;
use super::error::{Phase, UpstreamError};

/// Lets a share of requests be sent again, so that an upstream in trouble does not get all of them twice.
pub(super) struct Budget {
    share: u32,
    /// In hundredths of a retry.
    left: AtomicU32,
}

impl Budget {
    pub(super) fn new(retries: Retries) -> Self {
        let share = retries.budget_percent.min(100);
        let left = if share == 0 { 0 } else { SAVED };
        Self { share, left: AtomicU32::new(left) }
    }

    /// A request was sent for the first time.
    pub(super) fn earn(&self) {
        let more = |left: u32| Some(left.saturating_add(self.share).min(SAVED));
        if self.share > 0 {
            let _always = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        }
    }

    /// Takes one retry, if one is left.
    pub(super) fn spend(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(RETRY)).is_ok()
    }
}

/// A request that can be sent more than once.
pub(super) struct Replay {
    head: Parts,
    body: Option<Bytes>,
}

impl Replay {
    /// `None`: its body passes as it comes, and is gone once it was sent.
    pub(super) fn of(head: &Parts, body: &Outgoing) -> Option<Self> {
        let body = match body {
            Outgoing::Empty => None,
            Outgoing::Whole(bytes) => Some(bytes.clone()),
            Outgoing::Passing(_) => return None,
        };
        Some(Self { head: head.clone(), body })
    }

    pub(super) fn request(&self) -> (Parts, Outgoing) {
        (self.head.clone(), self.body.clone().map_or(Outgoing::Empty, Outgoing::Whole))
    }

    /// RFC 9110 section 9.2.2.
    pub(super) fn is_idempotent(&self) -> bool {
        let safe = self.head.method.is_safe();
        safe || matches!(self.head.method, Method::PUT | Method::DELETE)
    }

    /// A change under a condition is not the same when it is made twice: what it did the first time fails the condition
    /// (RFC 9110 section 13.1.1).
    fn is_conditional_change(&self) -> bool {
        let names = [IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE];
        !self.head.method.is_safe() && names.iter().any(|name| self.head.headers.contains_key(name))
    }

    /// Whether this failure leaves the request as good as not sent.
    pub(super) fn survives(&self, error: &UpstreamError) -> bool {
        match error {
            UpstreamError::Connect(_) | UpstreamError::Timeout(Phase::Connect) => true,
            UpstreamError::Broken(_) => self.is_idempotent() && !self.is_conditional_change(),
            // An answer that was waited for once is not worth waiting for twice.
            UpstreamError::Timeout(Phase::FirstByte | Phase::Idle | Phase::Total)
            | UpstreamError::Unknown(_)
            | UpstreamError::Busy
            | UpstreamError::Open
            | UpstreamError::Credential(_)
            | UpstreamError::ConnectionBound
            | UpstreamError::Request => false,
        }
    }
}

const RETRY: u32 = 100;
/// Ten retries may be saved up.
const SAVED: u32 = 10 * RETRY;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_requests_may_be_sent_again() {
        let budget = Budget::new(Retries { attempts: 1, budget_percent: 20 });
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
        (0..50).for_each(|_| budget.earn());
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
        (0..4).for_each(|_| budget.earn());
        assert!(!budget.spend());
        budget.earn();
        assert!(budget.spend() && !budget.spend());
    }

    #[test]
    fn without_a_budget_nothing_is_sent_again() {
        let budget = Budget::new(Retries { attempts: 9, budget_percent: 0 });
        (0..1000).for_each(|_| budget.earn());
        assert!(!budget.spend());
    }
}
