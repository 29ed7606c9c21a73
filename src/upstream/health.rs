//! Asking hosts whether they are well.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Uri};
use http_body_util::BodyExt as _;

use crate::request::Outgoing;

use super::config::HealthCheck;
use super::hosts::Host;

/// The checks of one upstream's hosts.
pub(super) struct Checks {
    check: HealthCheck,
    /// When the next ones are due, in milliseconds of the clock's monotonic scale.
    due: AtomicU64,
}

impl Checks {
    pub(super) fn new(check: HealthCheck) -> Self {
        Self { check, due: AtomicU64::new(0) }
    }

    pub(super) fn check(&self) -> &HealthCheck {
        &self.check
    }

    /// Whether it is time; the next time begins then.
    pub(super) fn are_due(&self, now: Duration) -> bool {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (now, next) = (milliseconds(now), milliseconds(now.saturating_add(self.check.every)));
        let due = |due: u64| (now >= due).then_some(next);
        self.due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok()
    }

    /// Asks one host; `target` is on its origin.
    pub(super) async fn ask(&self, host: &Host, target: Uri, timeout: Duration) -> bool {
        let Ok(request) = Request::get(target).body(Outgoing::Empty) else { return false };
        let asking = async {
            let Ok(answer) = host.client.request(request).await else { return false };
            let well = answer.status().as_u16() < 400;
            // Its body is of no interest; a short one is read, so that the connection can be used again.
            let body = http_body_util::Limited::new(answer.into_body(), MAX_BODY);
            let _rest = body.collect().await;
            well
        };
        tokio::time::timeout(timeout, asking).await.unwrap_or(false)
    }
}

const MAX_BODY: usize = 64 << 10;
