//! API keys: those of the configuration and those of the store.
//!
//! How long a refusal takes says nothing about which keys exist: a key of the configuration is looked up by a keyed
//! hash of all of it, one of the store by its public id, and then its secret's hash is compared in constant time,
//! also when there is no such id. Only who holds the secret learns that a key has expired or is revoked.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ipnet::IpNet;
use subtle::ConstantTimeEq;

use crate::base::Clock;
use crate::store::Store;

use super::config::{Config, KeyOwner};
use super::key_text::{self, KeyText};
use super::principal::{Method, Subject};
use super::recent::Digests;
use super::stored_keys::StoredKeys;
use super::unauthenticated::Unauthenticated;

/// The method of API keys.
pub(super) struct ApiKeys {
    fixed: HashMap<[u8; 32], KnownKey>,
    digests: Digests,
    stored: Option<StoredKeys>,
    clock: Arc<dyn Clock>,
}

/// A key and whom it stands for.
pub(super) struct KnownKey {
    pub(super) id: Arc<str>,
    pub(super) hash: [u8; 32],
    pub(super) subject: Arc<Subject>,
    pub(super) networks: Vec<IpNet>,
    /// Microseconds since 1970.
    pub(super) expires_at: Option<i64>,
    pub(super) revoked: bool,
    /// When it was last used, and what of that is written.
    pub(super) last_used: AtomicI64,
    pub(super) written: AtomicI64,
}

impl ApiKeys {
    pub(super) fn new(config: &Config, store: Option<Store>, clock: Arc<dyn Clock>) -> Self {
        let digests = Digests::new();
        let fixed = config
            .keys
            .iter()
            .map(|key| {
                let hash = digests.of(&[key.key.expose().as_bytes()]);
                let mut known = KnownKey::new(Arc::clone(&key.id), hash, &key.owner);
                known.expires_at = key.expires.map(|at| at.as_microsecond());
                known.revoked = key.disabled;
                (hash, known)
            })
            .collect();
        let stored = store.map(|store| StoredKeys::new(store, config.stored_keys, Arc::clone(&clock)));
        Self { fixed, digests, stored, clock }
    }

    /// Whom the key stands for.
    pub(super) async fn authenticate(&self, text: &str, ip: IpAddr) -> Result<Arc<Subject>, Unauthenticated> {
        if let Some(parts) = KeyText::parse(text)
            && let Some(stored) = &self.stored
        {
            let found = stored.find(parts.id).await?;
            let expected = found.as_ref().map_or([0; 32], |key| key.hash);
            let proved: bool = parts.hash().ct_eq(&expected).into();
            return match found {
                Some(key) if proved => self.admit(&key, ip),
                _ => Err(Unauthenticated::UnknownKey),
            };
        }
        let hash = self.digests.of(&[text.as_bytes()]);
        let key = self.fixed.get(&hash).ok_or(Unauthenticated::UnknownKey)?;
        self.admit(key, ip)
    }

    /// Whether a text is a key of ours, or is written like one.
    pub(super) fn knows(&self, text: &str) -> bool {
        // No key of the configuration has a dot: most bearers need no look.
        let may_be = !text.contains('.') && !self.fixed.is_empty();
        text.starts_with(key_text::PREFIX)
            || may_be && self.fixed.contains_key(&self.digests.of(&[text.as_bytes()]))
    }

    /// What a proved key is checked for.
    fn admit(&self, key: &KnownKey, ip: IpAddr) -> Result<Arc<Subject>, Unauthenticated> {
        let now = self.clock.now().as_microsecond();
        if key.revoked {
            return Err(Unauthenticated::Revoked(key.id.to_string()));
        }
        if key.expires_at.is_some_and(|at| at <= now) {
            return Err(Unauthenticated::Expired(key.id.to_string()));
        }
        if !key.networks.is_empty() && !key.networks.iter().any(|net| net.contains(&ip)) {
            return Err(Unauthenticated::Network(key.id.to_string()));
        }
        key.last_used.store(now, Ordering::Relaxed);
        Ok(Arc::clone(&key.subject))
    }

    /// Whether a key that was good is still one, as far as is known here and now.
    pub(super) fn upholds(&self, id: &str) -> bool {
        let now = self.clock.now().as_microsecond();
        let stands = |key: &KnownKey| !key.revoked && key.expires_at.is_none_or(|at| at > now);
        match (self.fixed.values().find(|key| *key.id == *id), &self.stored) {
            (Some(key), _) => stands(key),
            (None, Some(stored)) => stored.known(id).is_none_or(|key| key.is_some_and(|key| stands(&key))),
            (None, None) => false,
        }
    }

    /// Reads what changed in the store, if it was not read lately.
    pub(super) async fn refresh(&self) {
        if let Some(stored) = &self.stored {
            stored.refresh().await;
        }
    }

    pub(super) async fn write_last_uses(&self) {
        if let Some(stored) = &self.stored {
            stored.write_last_uses().await;
        }
    }
}

impl KnownKey {
    pub(super) fn new(id: Arc<str>, hash: [u8; 32], owner: &KeyOwner) -> Self {
        let subject = Arc::new(owner.subject(Method::ApiKey, Some(Arc::clone(&id))));
        Self {
            id,
            hash,
            subject,
            networks: owner.networks.clone(),
            expires_at: None,
            revoked: false,
            last_used: AtomicI64::new(0),
            written: AtomicI64::new(0),
        }
    }
}

#[cfg(test)]
mod tests;
