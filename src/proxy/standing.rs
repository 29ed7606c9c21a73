//! Whether a running answer may go on: what it was begun under is asked again while it is under way.

use std::sync::Arc;
use std::time::Duration;

use crate::identity::Principal;
use crate::policy::{Action, Permit};

use super::{Gateway, Snapshot};

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
    /// `None` for an answer that only tells of a change: the change is made, and its caller learns so.
    pub(super) fn of(gateway: &Arc<Gateway>, at: Arc<Snapshot>, under: Under) -> Option<Self> {
        let reading = |permit: &Permit| {
            matches!(permit.route().action, Some(Action::List | Action::Read | Action::Export))
        };
        let reads = under.permit.parts().any(reading);
        reads.then(|| Self {
            gateway: Arc::clone(gateway),
            asked: at,
            due: gateway.clock.monotonic() + EVERY,
            under,
        })
    }

    /// Asked before every piece: at once after a change of policy or configuration, otherwise [`EVERY`] so often,
    /// since bindings end by the clock. An answer is never continued under other rules than it began with; if they
    /// would be others now, in either direction, it ends.
    pub(super) fn holds(&mut self) -> Result<(), Lapsed> {
        let now = self.gateway.clock.monotonic();
        let current = self.gateway.snapshot.load();
        if now < self.due && Arc::ptr_eq(&current, &self.asked) {
            return Ok(());
        }
        let Under { principal, permit } = &self.under;
        let stands = current.identity.upholds(principal)
            && current.plan.upholds(permit, principal, self.gateway.clock.now());
        if !stands {
            return Err(Lapsed);
        }
        self.due = now + EVERY;
        self.asked = Arc::clone(&current);
        Ok(())
    }
}

/// How long a right that has ended by the clock can go unnoticed.
const EVERY: Duration = Duration::from_secs(5);
