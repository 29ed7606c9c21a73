//! How much: requests (governor), budgets in records, distinct records and bytes, concurrency.
//!
//! A permit comes in, a [`Ticket`] goes out, or [`Limited`]. While the answer streams, what is released is charged
//! to the ticket *before* its bytes go out, so a budget is never exceeded. Counters are linearisable; the day and
//! week budgets survive a restart through `store`.

use std::sync::Arc;
use std::time::Duration;

/// Why a request or a stream was stopped by a limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limit `{limit}` exceeded")]
pub struct Limited {
    /// The limit.
    pub limit: Arc<str>,
    /// When it is worth trying again.
    pub retry_after: Duration,
    /// Whether the counter itself failed (the store is down or full), not the caller.
    pub unavailable: bool,
}

/// What remains, for the `RateLimit` and `RateLimit-Policy` fields (draft-ietf-httpapi-ratelimit-headers).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// The limit's name.
    pub limit: Arc<str>,
    /// Its amount.
    pub quota: u64,
    /// Its window in seconds.
    pub window_secs: u64,
    /// What is left now.
    pub remaining: u64,
    /// Seconds until it is whole again.
    pub reset_secs: u64,
}
