//! Whether a running answer may go on: what it was begun under is asked again while it is under way.

use std::sync::Arc;
use std::time::Duration;

use crate::grants::Barred;
use crate::identity::Principal;
use crate::limits::Limited;
use crate::policy::{Action, Permit};
use crate::store::StoreError;

use super::stream::Unfinished;
use super::{Gateway, Reject, Snapshot};

/// What an answer was begun under.
pub(super) struct Standing {
    gateway: Arc<Gateway>,
    /// The snapshot that was asked last.
    asked: Arc<Snapshot>,
    /// When it is asked again without a change.
    due: Duration,
    under: Under,
}

/// Who was permitted what.
pub(super) struct Under {
    /// The caller.
    pub(super) principal: Principal,
    /// The leave it has.
    pub(super) permit: Permit,
}

/// Why an answer ends in the middle: its caller no longer has, or no longer has so much of, the right to it.
#[derive(Debug, thiserror::Error)]
#[error("the right it was begun under has ended")]
pub struct Lapsed;

impl Standing {
    pub(super) fn of(gateway: &Arc<Gateway>, at: Arc<Snapshot>, under: Under) -> Self {
        let due = gateway.clock.monotonic() + EVERY;
        Self { gateway: Arc::clone(gateway), asked: at, due, under }
    }

    /// Asked before every piece, and every [`WAKE`] while none comes: who is frozen gets nothing more. The rights are
    /// asked at once after a change of policy or configuration, otherwise [`EVERY`] so often, since bindings end by
    /// the clock. An answer is never continued under other rules than it began with; if they would be others now, in
    /// either direction, it ends.
    pub(super) fn holds(&mut self) -> Result<(), Unfinished> {
        let Under { principal, permit } = &self.under;
        if self.gateway.freezes.holds(principal) {
            return Err(Barred::Frozen.into());
        }
        let now = self.gateway.clock.monotonic();
        let current = self.gateway.snapshot.load();
        if now < self.due && Arc::ptr_eq(&current, &self.asked) {
            return Ok(());
        }
        // An answer that only tells of a change goes on: the change is made, and its caller learns so.
        let reading = |permit: &Permit| {
            matches!(permit.route().action, Some(Action::List | Action::Read | Action::Export))
        };
        let reads = permit.parts().any(reading);
        let stands = !reads
            || current.identity.upholds(principal)
                && current.plan.upholds(permit, principal, self.gateway.clock.now());
        if !stands {
            return Err(Lapsed.into());
        }
        self.due = now + EVERY;
        self.asked = Arc::clone(&current);
        Ok(())
    }

    /// A limit stops the answer.
    pub(super) async fn stopped(&self, limited: Limited) -> Unfinished {
        self.gateway.stopped(limited, Some(&self.under.principal)).await.into()
    }
}

/// What becomes of a request or an answer that a limit stops.
pub(super) enum Stop {
    /// That, and no more.
    Limited(Limited),
    /// Its principal is frozen.
    Frozen(Barred),
    /// Its principal is to be frozen, and that cannot be written.
    Unwritten(StoreError),
}

impl From<Stop> for Reject {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Limited(limited) => limited.into(),
            Stop::Frozen(barred) => barred.into(),
            Stop::Unwritten(error) => error.into(),
        }
    }
}

impl From<Stop> for Unfinished {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Limited(limited) => limited.into(),
            Stop::Frozen(barred) => barred.into(),
            Stop::Unwritten(error) => error.into(),
        }
    }
}

/// How long a right that has ended by the clock can go unnoticed.
const EVERY: Duration = Duration::from_secs(5);
/// How often an answer is looked after while nothing comes of it.
pub(super) const WAKE: Duration = Duration::from_secs(1);
