//! Who asks: a connection's peer and the request's credentials become a [`Principal`], or 401. One file per method.
//!
//! Only this module makes a `Principal`. Exactly one credential decides: two in one request are refused, never
//! united, and none is no one. What a request says about itself (addresses, names) counts only where a peer that
//! the configuration names has said it. Tokens are judged here and nowhere else: pinned algorithms, keys from the
//! issuer alone, strict JSON and base64.

mod api_key;
mod config;
mod credential;
mod forwarded;
mod issued_keys;
mod jwt;
mod key_text;
mod principal;
mod stored_keys;
mod unauthenticated;

use std::net::IpAddr;
use std::sync::Arc;

use crate::base::Clock;
use crate::store::Store;

pub use config::{Algorithm, ClaimNames, Config, Fault, Issuer, KeyOwner, KeySource, StaticKey, StoredKeys};
pub use issued_keys::{IssueError, IssuedKey, KeySummary, NewKey, create_key, list_keys, revoke_key};
pub use principal::{Assumed, Kind, Method, Peer, Principal};

pub use unauthenticated::{TokenFault, Unauthenticated};

use api_key::ApiKeys;
use credential::Credential;
use jwt::Tokens;

/// All the ways to be somebody.
pub struct Identity {
    config: Config,
    keys: ApiKeys,
    tokens: Tokens,
}

impl Identity {
    /// Checks the configuration and sets up its methods; nothing is fetched yet. `store` holds the keys that
    /// `fieldgate keys` made; without one there are only those of the configuration.
    pub fn new(config: Config, store: Option<Store>, clock: Arc<dyn Clock>) -> Result<Self, Vec<Fault>> {
        let mut faults = config.faults();
        let tokens = Tokens::new(&config, Arc::clone(&clock)).unwrap_or_else(|found| {
            faults.extend(found);
            faults.sort_by(|a, b| (&a.path, &a.message).cmp(&(&b.path, &b.message)));
            faults.dedup();
            Tokens::none(Arc::clone(&clock))
        });
        let keys = ApiKeys::new(&config, store, clock);
        if faults.is_empty() { Ok(Self { config, keys, tokens }) } else { Err(faults) }
    }

    /// Who sent this request. Reads the head alone, so nothing of a body is waited for.
    pub async fn authenticate(
        &self,
        peer: &Peer,
        head: &http::request::Parts,
    ) -> Result<Principal, Unauthenticated> {
        let ip = forwarded::client_ip(peer.addr.ip(), &self.config.trusted_proxies, &head.headers)?;
        let subject = match credential::only(&self.config, head)? {
            Credential::Key(text) => self.keys.authenticate(text, ip).await?,
            Credential::Token(text) => self.tokens.authenticate(text).await?,
        };
        Ok(Principal::new(subject, ip))
    }

    /// The address of a caller who need not be anybody; that of a trusted proxy is replaced by what it says.
    pub fn address(&self, peer: &Peer, head: &http::request::Parts) -> Result<IpAddr, Unauthenticated> {
        forwarded::client_ip(peer.addr.ip(), &self.config.trusted_proxies, &head.headers)
    }

    /// Fetches what is missing or old (issuers' keys) and writes what is due (last uses): to be called every few
    /// seconds. Failures are logged: the last good keys stay until their time is over.
    pub async fn tick(&self) {
        self.tokens.refresh_due().await;
        self.keys.write_last_uses().await;
    }

    /// How many fetches of issuers' keys succeeded and failed since this was last asked, for metrics.
    pub fn take_key_fetches(&self) -> (u64, u64) {
        self.tokens.take_fetches()
    }

    /// The end: writes the last uses of keys and waits for fetches that are under way (seconds at most).
    pub async fn close(&self) {
        self.keys.write_last_uses().await;
        self.tokens.settle().await;
    }
}

#[cfg(test)]
mod tests;
