//! Ids of requests and decisions.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use uuid::{Builder, Uuid};

/// An id of its own. It sorts by time (RFC 9562 section 5.7). Its random part comes from a counter under a key drawn
/// once by the process: ids name requests and decisions and are no secrets, and a system call for each would cost more
/// than the decision.
pub fn fresh_id(now: Timestamp) -> Uuid {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let (high, low) = (KEY.hash_one(count), KEY.hash_one((count, 1_u8)));
    let mut random = [0_u8; 10];
    let bytes = high.to_be_bytes().into_iter().chain(low.to_be_bytes());
    random.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_different_and_sort_by_time() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let many: HashSet<Uuid> = (0..10_000).map(|_| fresh_id(at(1))).collect();
        assert_eq!(many.len(), 10_000);
        assert!(many.iter().all(|id| *id < fresh_id(at(2)) && id.get_version_num() == 7));
    }
}
