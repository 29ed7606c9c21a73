//! JWT bearer tokens (RFC 7519, RFC 8725, RFC 9068) of the issuers that the configuration names.
//!
//! What is checked, in this order: three parts of canonical base64url; header and claims strict JSON without a
//! member twice; nothing in the header that changes how the token is to be read or brings its own key; the issuer,
//! exactly; the algorithm, one that this issuer is said to use; a key that this issuer publishes, of that algorithm's
//! kind; the signature; then audience, times and binding. Which key is tried never depends on anything but the issuer, the
//! algorithm and the key's name.
//!
//! A token that was found good is remembered by its keyed hash until it is over, or until its issuer's keys are
//! fetched again: then its signature is checked again.

mod fetch;
mod issuer_keys;
mod jwks;
mod token;

use std::sync::Arc;
use std::time::Duration;

use crate::base::Clock;

use super::Tools;
use super::claim_names::Names;
use super::claims::{Claims, Proof};
use super::config::{Config, Fault};
use super::principal::{Method, Subject};
use super::recent::{Digest, Digests, Recent};
use super::unauthenticated::{TokenFault, Unauthenticated};

use issuer_keys::IssuerKeys;
use token::Token;

pub(super) use token::stated_issuer;

/// The method of JWTs.
pub(super) struct Tokens {
    issuers: Vec<Trusted>,
    clock: Arc<dyn Clock>,
    digests: Digests,
    verified: Recent<Verified>,
}

/// A token that was found good.
#[derive(Clone)]
struct Verified {
    subject: Arc<Subject>,
    /// The issuer, as an index.
    issuer: usize,
    /// The keys that its signature was checked with.
    keys: u64,
    /// From when it is over, in microseconds.
    end: i128,
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
    /// Sets the issuers up; fetches nothing.
    pub(super) fn new(config: &Config, tools: &Tools) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut issuers = Vec::new();
        for (n, issuer) in config.issuers.iter().enumerate() {
            let path = format!("issuers[{n}]");
            let names = Names::new(&issuer.claims).map_err(|claim| Fault {
                path: format!("{path}.claims"),
                message: format!("`{claim}` is not the name of a claim"),
                help: "a name, or names joined by dots",
            });
            match (names, IssuerKeys::new(issuer, &path, tools)) {
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
        if faults.is_empty() { Ok(Self { issuers, ..Self::none(tools) }) } else { Err(faults) }
    }

    /// No issuer: every token is refused.
    pub(super) fn none(tools: &Tools) -> Self {
        let (digests, verified) = (Digests::new(), Recent::new(MAX_VERIFIED));
        Self { issuers: Vec::new(), clock: Arc::clone(&tools.clock), digests, verified }
    }

    /// Whether this is one of the issuers.
    pub(super) fn knows(&self, issuer: &str) -> bool {
        self.issuers.iter().any(|trusted| *trusted.issuer == *issuer)
    }

    /// Whom a token stands for.
    pub(super) async fn authenticate(
        &self,
        text: &str,
        proof: Proof<'_>,
    ) -> Result<Arc<Subject>, Unauthenticated> {
        let digest = self.digests.of(&[text.as_bytes()]);
        match self.remembered(&digest) {
            Some(subject) => Ok(subject),
            None => self.verify(text, digest, proof).await,
        }
    }

    async fn verify(
        &self,
        text: &str,
        digest: Digest,
        proof: Proof<'_>,
    ) -> Result<Arc<Subject>, Unauthenticated> {
        let token = Token::parse(text)?;
        let claims = Claims::parse(token.payload())?;
        let stated = claims.issuer()?;
        let known = self.issuers.iter().enumerate().find(|(_, trusted)| *trusted.issuer == *stated);
        let (issuer, trusted) = known.ok_or(TokenFault::Issuer)?;
        if !trusted.algorithms.contains(&token.algorithm()) {
            return Err(TokenFault::Algorithm.into());
        }
        let (key, keys) = trusted.keys.find(token.key_id(), token.algorithm()).await?;
        if !key.verifies(&token) {
            return Err(TokenFault::Signature.into());
        }
        claims.check_audience(&trusted.audiences)?;
        let now = self.clock.now();
        let end = claims.check_times(trusted.skew_micros, now)?.ok_or(TokenFault::Claim("exp"))?;
        let bound = claims.check_binding(proof)?;
        let subject = Arc::new(claims.subject(&trusted.issuer, &trusted.names, Method::Jwt)?);
        if !bound {
            let left = u64::try_from(end - i128::from(now.as_microsecond())).unwrap_or(0);
            let until = self.clock.monotonic().saturating_add(Duration::from_micros(left));
            let verified = Verified { subject: Arc::clone(&subject), issuer, keys, end };
            self.verified.put(digest, verified, until);
        }
        Ok(subject)
    }

    /// A token that was found good before, by keys that are still those of its issuer.
    fn remembered(&self, digest: &Digest) -> Option<Arc<Subject>> {
        let verified = self.verified.get(digest, self.clock.monotonic())?;
        let keys = self.issuers.get(verified.issuer)?.keys.version();
        // Both clocks: one may have been set in between.
        let in_time = i128::from(self.clock.now().as_microsecond()) < verified.end;
        (in_time && keys == Some(verified.keys)).then_some(verified.subject)
    }

    /// Fetches the keys of issuers where they are missing or old.
    pub(super) async fn refresh_due(&self) {
        for trusted in &self.issuers {
            trusted.keys.refresh_if_due().await;
        }
    }
}

/// Tokens that are remembered.
const MAX_VERIFIED: usize = 20_000;

#[cfg(test)]
mod tests;
