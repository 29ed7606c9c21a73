//! Processor time of this thread, so that what else runs on the machine does not count as ours.
#![expect(clippy::disallowed_methods, reason = "a bench measures the machine's own time")]

use std::time::{Duration, Instant};

/// How long `work` kept a processor busy.
pub(crate) fn spent(work: impl FnOnce()) -> Duration {
    let (wall, busy) = (Instant::now(), busy());
    work();
    match (busy, self::busy()) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => wall.elapsed(),
    }
}

/// From the scheduler's account of this thread (Linux); elsewhere wall time must do.
fn busy() -> Option<Duration> {
    // The account is brought up to date when the thread gives way.
    std::thread::yield_now();
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    account.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
