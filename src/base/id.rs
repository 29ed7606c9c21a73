//! Ids of requests and decisions.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use uuid::{Builder, Uuid};

/// An id of its own. It sorts by time (RFC 9562 section 5.7) and, within a millisecond of one process, in the order in
/// which it was made: a counter follows the time (section 6.2, method 1). The rest comes from that counter under a key
/// drawn once by the process: ids name requests and decisions and are no secrets, and a system call for each would cost
/// more than the decision.
pub fn fresh_id(now: Timestamp) -> Uuid {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let (high, low) = (KEY.hash_one(count), KEY.hash_one((count, 1_u8)));
    let mut random = [0_u8; 10];
    let bytes = high.to_be_bytes().into_iter().chain(low.to_be_bytes());
    random.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    // 26 bits behind the time, between which the version and the variant stand: 4, 8, 6 and 8 of them.
    let counted = [22, 14, 8, 0].map(|shift| (count >> shift).to_be_bytes()[7]);
    random.iter_mut().zip(counted).for_each(|(to, from)| *to = from);
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
        let made: Vec<Uuid> = (0..10_000).map(|_| fresh_id(at(3))).collect();
        assert!(made.is_sorted(), "in the order in which they were made");
    }
}
