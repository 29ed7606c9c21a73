//! What `/ready` says; kept up to date by whoever loads policies and ends the program.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::audit::AuditError;
use crate::grants::Freezes;

/// The policy in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its version.
    pub version: Arc<str>,
    /// Since when.
    pub at: Timestamp,
}

/// How the last attempt to load the policy and certificates ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// When it was.
    pub at: Timestamp,
    /// What is wrong, if it failed: the first complaint, with its file and line.
    pub failure: Option<String>,
}

/// The state of the program.
#[derive(Debug, Default)]
pub struct Status {
    policy: Mutex<(Option<Loaded>, Option<Reload>)>,
    draining: AtomicBool,
}

impl Status {
    /// A policy is in force.
    pub fn loaded(&self, loaded: Loaded) {
        let reload = Reload { at: loaded.at, failure: None };
        *self.policy() = (Some(loaded), Some(reload));
    }

    /// A policy could not be loaded; the one in force stays.
    pub fn reload_failed(&self, at: Timestamp, failure: String) {
        self.policy().1 = Some(Reload { at, failure: Some(failure) });
    }

    /// No new requests are taken.
    pub fn draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether it is ready, and why; `audit` is what stands against writing records. While it is not known who is frozen
    /// nobody is served.
    pub fn describe(&self, audit: Result<(), AuditError>, freezes: &Freezes) -> (bool, Value) {
        let draining = self.draining.load(Ordering::Relaxed);
        let (loaded, reload) = self.policy().clone();
        let known = !freezes.is_stale();
        let ready = loaded.is_some() && !draining && audit.is_ok() && known;
        let policy =
            loaded.map(|loaded| json!({ "version": *loaded.version, "loaded_at": loaded.at.to_string() }));
        let reload = reload.map(|reload| match reload.failure {
            None => json!({ "at": reload.at.to_string(), "result": "success" }),
            Some(reason) => json!({ "at": reload.at.to_string(), "result": "failure", "reason": reason }),
        });
        let audit = match audit {
            Ok(()) => json!({ "writable": true }),
            Err(error) => json!({ "writable": false, "reason": error.to_string() }),
        };
        let state = json!({
            "ready": ready,
            "draining": draining,
            "audit": audit,
            "freezes": { "principals": freezes.count(), "known": known },
            "policy": policy,
            "last_reload": reload,
        });
        (ready, state)
    }

    fn policy(&self) -> MutexGuard<'_, (Option<Loaded>, Option<Reload>)> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
