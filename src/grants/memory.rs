//! Cursors and jobs: what an answer gave a principal to come back with.
//!
//! A value that a route `remember`s is kept under a hash of the principal, the api, its name, itself, and the version
//! of the policy, with the resource and action it was given for and the roles that were held. Whoever comes back with
//! it must be the same principal under the same policy with the same roles; for everybody else it does not exist. What
//! is judged then is the remembered resource, by the rules of the route that is asked.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::base::Clock;
use crate::identity::Principal;
use crate::policy::{Bound, Permit, Recall};
use crate::store::{RememberedRow, Store, StoreError};

/// What is remembered, in the store. Cheap to clone.
#[derive(Clone)]
pub struct Memory {
    store: Store,
    clock: Arc<dyn Clock>,
}

/// What a value stands for.
#[derive(Serialize, Deserialize)]
struct Held {
    resource: String,
    action: String,
    roles: Vec<String>,
}

impl Memory {
    /// Over a store.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// What a value stands for to this principal under this version of the policy, if it was given to it.
    pub async fn recall(
        &self,
        principal: &Principal,
        recall: &Recall,
        policy_version: &str,
    ) -> Result<Option<Bound>, StoreError> {
        if recall.value.len() > MAX_VALUE_BYTES {
            return Ok(None);
        }
        let id = hash(principal, &[policy_version, &recall.api, &recall.name, &recall.value]);
        let found = self.store.remembered(&id, self.now()).await?;
        let held = found.and_then(|text| serde_json::from_str::<Held>(&text).ok());
        Ok(held.map(|held| Bound {
            resource: held.resource.into(),
            action: held.action.into(),
            roles: held.roles.into_iter().map(Arc::from).collect(),
        }))
    }

    /// Remembers a value that an answer under a permit holds.
    pub async fn keep(
        &self,
        principal: &Principal,
        permit: &Permit,
        name: &str,
        value: &str,
    ) -> Result<(), StoreError> {
        let route = permit.route();
        let (Some(resource), Some(action)) = (&route.resource, &route.action) else { return Ok(()) };
        // No cursor is that long: it cannot be followed then.
        if value.is_empty() || value.len() > MAX_VALUE_BYTES {
            return Ok(());
        }
        let held = Held {
            resource: resource.to_string(),
            action: action.name().to_owned(),
            roles: permit.roles().iter().map(ToString::to_string).collect(),
        };
        let Ok(bound) = serde_json::to_string(&held) else { return Ok(()) };
        let now = self.now();
        let row = RememberedRow {
            id: hash(principal, &[permit.policy_version(), &route.api, name, value]),
            owner: hash(principal, &[]),
            bound,
            expires_at: now.saturating_add(i64::try_from(LIFE.as_micros()).unwrap_or(i64::MAX)),
        };
        self.store.remember(&row, now).await
    }

    fn now(&self) -> i64 {
        self.clock.now().as_microsecond()
    }
}

/// Each part with its length, so that no two lists read alike.
fn hash(principal: &Principal, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in [principal.issuer(), principal.id()].iter().chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How long a value may be followed.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_VALUE_BYTES: usize = 4 << 10;
