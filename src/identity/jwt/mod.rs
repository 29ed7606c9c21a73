//! JWT bearer tokens (RFC 7519, RFC 8725, RFC 9068) of the issuers that the configuration names.
//!
//! What is checked, in this order: three parts of canonical base64url; header and claims strict JSON without a
//! member twice; nothing in the header that changes how the token is to be read or brings its own key; the issuer,
//! exactly; the algorithm, one that this issuer is said to use; a key that this issuer publishes, of that algorithm's
//! kind; the signature; then audience and times. Which key is tried never depends on anything but the issuer, the
//! algorithm and the key's name.

mod claims;
mod fetch;
mod issuer_keys;
mod jwks;
mod names;
mod strict_json;
mod token;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::base::Clock;

use super::config::{Config, Fault};
use super::principal::Subject;
use super::unauthenticated::{TokenFault, Unauthenticated};

use claims::Claims;
use issuer_keys::IssuerKeys;
use names::Names;
use token::Token;

/// The method of JWTs.
pub(super) struct Tokens {
    issuers: Vec<Trusted>,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
}

struct Trusted {
    issuer: Arc<str>,
    audiences: Vec<String>,
    algorithms: Vec<super::config::Algorithm>,
    skew_micros: i128,
    names: Names,
    keys: Arc<IssuerKeys>,
}

impl Tokens {
    /// How many fetches of keys succeeded and failed since this was last asked.
    pub(super) fn take_fetches(&self) -> (u64, u64) {
        let each = self.issuers.iter().map(|trusted| trusted.keys.take_fetches());
        each.fold((0, 0), |(all, lost), (succeeded, failed)| (all + succeeded, lost + failed))
    }

    /// Sets the issuers up; fetches nothing.
    pub(super) fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut issuers = Vec::new();
        let tasks = TaskTracker::new();
        for (n, issuer) in config.issuers.iter().enumerate() {
            let path = format!("issuers[{n}]");
            let names = Names::new(&issuer.claims).map_err(|claim| Fault {
                path: format!("{path}.claims"),
                message: format!("`{claim}` is not the name of a claim"),
                help: "a name, or names joined by dots",
            });
            match (names, IssuerKeys::new(issuer, &path, Arc::clone(&clock), tasks.clone())) {
                (Ok(names), Ok(keys)) => issuers.push(Trusted {
                    issuer: Arc::clone(&issuer.issuer),
                    audiences: issuer.audiences.clone(),
                    algorithms: issuer.algorithms.clone(),
                    skew_micros: i128::try_from(issuer.skew.as_micros()).unwrap_or(i128::MAX / 4),
                    names,
                    keys,
                }),
                (names, keys) => faults.extend(names.err().into_iter().chain(keys.err())),
            }
        }
        if faults.is_empty() { Ok(Self { issuers, clock, tasks }) } else { Err(faults) }
    }

    /// No issuer: every token is refused.
    pub(super) fn none(clock: Arc<dyn Clock>) -> Self {
        Self { issuers: Vec::new(), clock, tasks: TaskTracker::new() }
    }

    /// Whom a token stands for.
    pub(super) async fn authenticate(&self, text: &str) -> Result<Arc<Subject>, Unauthenticated> {
        let token = Token::parse(text)?;
        let claims = Claims::parse(token.payload())?;
        let issuer = claims.issuer()?;
        let trusted = self.issuers.iter().find(|t| *t.issuer == *issuer).ok_or(TokenFault::Issuer)?;
        if !trusted.algorithms.contains(&token.algorithm()) {
            return Err(TokenFault::Algorithm.into());
        }
        let key = trusted.keys.find(token.key_id(), token.algorithm()).await?;
        if !key.verifies(&token) {
            return Err(TokenFault::Signature.into());
        }
        claims.check(&trusted.audiences, trusted.skew_micros, self.clock.now())?;
        Ok(Arc::new(claims.subject(&trusted.issuer, &trusted.names)?))
    }

    /// Fetches the keys of issuers where they are missing or old.
    pub(super) async fn refresh_due(&self) {
        for trusted in &self.issuers {
            trusted.keys.refresh_if_due().await;
        }
    }

    /// Waits for fetches that are under way; each is bounded in time.
    pub(super) async fn settle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests;
