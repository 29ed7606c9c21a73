//! How many requests at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Who runs how many requests, by limit and subject.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<Mutex<HashMap<Name, u64>>>);

/// A limit and a subject.
type Name = (Arc<str>, Arc<str>);

/// One running request; dropping it ends it.
pub(super) struct Place {
    running: Running,
    key: Name,
}

impl Running {
    /// Takes a place if fewer than `most` are taken; with the number that then run.
    pub(super) fn enter(&self, limit: &Arc<str>, subject: &Arc<str>, most: u64) -> Result<(Place, u64), u64> {
        let key = (Arc::clone(limit), Arc::clone(subject));
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.get(&key).copied().unwrap_or_default();
        if count >= most {
            return Err(count);
        }
        held.insert(key.clone(), count + 1);
        Ok((Place { running: self.clone(), key }, count + 1))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Place {
    /// How many run now, this one among them.
    pub(super) fn count(&self) -> u64 {
        let held = self.running.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&self.key).copied().unwrap_or_default()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.running.0.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => {
                held.remove(&self.key);
            }
        }
    }
}
