//! Client certificates: which authorities vouch, and whom a certificate stands for.
//!
//! The same [`Authorities`] judge at the handshake and afterwards. A connection may live long and a TLS session may be
//! resumed, so a certificate is judged again whenever authorities or revocation lists were read again, and every few
//! seconds for its end: what is revoked or over makes the next request nobody's, on old connections, too.

mod authorities;
mod der;
mod names;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};

use crate::base::Clock;

use super::principal::Subject;
use super::unauthenticated::CertificateFault;

pub use authorities::{Authorities, AuthorityError, AuthoritySet, ClientPolicy};

/// The certificate that the other end of a connection showed, with its chain. It has the key: the handshake said so.
pub struct PeerCertificate {
    chain: Vec<CertificateDer<'static>>,
    fingerprint: [u8; 32],
    judged: ArcSwapOption<Judged>,
}

/// What was found out about a certificate, and when.
struct Judged {
    /// The authorities that were asked.
    version: u64,
    /// Monotonic.
    at: Duration,
    found: Result<Arc<Certified>, CertificateFault>,
}

/// A certificate that an authority vouches for.
#[derive(Debug)]
pub(super) struct Certified {
    /// The authority, as the configuration calls it.
    pub(super) authority: Arc<str>,
    /// Whom it stands for; `None`: it opens the connection and names nobody.
    pub(super) subject: Option<Arc<Subject>>,
}

impl PeerCertificate {
    /// The caller's own certificate first, as TLS has it; `None` if there is none.
    pub fn new(chain: &[CertificateDer<'_>]) -> Option<Arc<Self>> {
        let chain: Vec<CertificateDer<'static>> =
            chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        let fingerprint = Sha256::digest(chain.first()?).into();
        Some(Arc::new(Self { chain, fingerprint, judged: ArcSwapOption::empty() }))
    }

    /// The SHA-256 of the caller's certificate.
    pub(super) fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// Whom it stands for now.
    pub(super) fn judge(
        &self,
        authorities: &Authorities,
        clock: &dyn Clock,
    ) -> Result<Arc<Certified>, CertificateFault> {
        let now = clock.monotonic();
        let set = authorities.current();
        if let Some(known) = &*self.judged.load()
            && known.version == set.version()
            && now.saturating_sub(known.at) < JUDGED_AGAIN
        {
            return known.found.clone();
        }
        let (end, rest) = self.chain.split_first().ok_or(CertificateFault::Malformed)?;
        let found = set.judge(end, rest, &self.fingerprint, clock.now());
        let judged = Judged { version: set.version(), at: now, found: found.clone() };
        self.judged.store(Some(Arc::new(judged)));
        found
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerCertificate").finish_non_exhaustive()
    }
}

/// How long a certificate's end may go unnoticed on an open connection.
const JUDGED_AGAIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
