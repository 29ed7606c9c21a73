//! A bounded cache from short sequences of numbers to what was put together for them.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// Values by key. Reading takes a shared lock; when it is full, half of it goes.
#[derive(Debug)]
pub(super) struct Cache<V> {
    entries: RwLock<HashMap<Box<[u32]>, V>>,
    capacity: usize,
}

impl<V: Clone> Cache<V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: RwLock::default(), capacity }
    }

    /// The value for a key, made and kept if it is new.
    pub(super) fn get_or_make(&self, key: &[u32], make: impl FnOnce() -> V) -> V {
        if let Some(found) = self.entries.read().unwrap_or_else(PoisonError::into_inner).get(key) {
            return found.clone();
        }
        let made = make();
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.capacity {
            let mut keep = false;
            entries.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
        entries.insert(key.into(), made.clone());
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_once_and_the_size_is_bounded() {
        let cache = Cache::new(8);
        assert_eq!(cache.get_or_make(&[1], || 1), 1);
        assert_eq!(cache.get_or_make(&[1], || 2), 1);
        for key in 0..100 {
            cache.get_or_make(&[key], || key);
        }
        assert!(cache.entries.read().unwrap().len() <= 8);
    }
}
