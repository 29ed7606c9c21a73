//! The authorities over client certificates: read from files, exchanged while connections go on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};

use crate::identity::config::CertificateAuthority;
use crate::identity::unauthenticated::CertificateFault;

use super::Certified;
use super::names;

/// The authorities in force.
pub struct Authorities(ArcSwap<AuthoritySet>);

/// Authorities as their files had them.
pub struct AuthoritySet {
    version: u64,
    authorities: Vec<Authority>,
}

struct Authority {
    config: CertificateAuthority,
    certificates: Vec<CertificateDer<'static>>,
    revocations: Vec<CertificateRevocationListDer<'static>>,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// Whether a listener's callers show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientPolicy {
    /// They may.
    Optional,
    /// They must: without one there is no connection.
    Required,
}

/// Why authorities cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct AuthorityError {
    /// Which one, by its place in the configuration.
    pub index: usize,
    /// What is wrong.
    pub message: String,
}

impl Authorities {
    /// With these in force.
    pub fn new(set: AuthoritySet) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(set)))
    }

    /// Puts others in force, also for connections that are open. The same ones change nothing.
    pub fn replace(&self, set: AuthoritySet) {
        if !self.0.load().same(&set) {
            self.0.store(Arc::new(set));
        }
    }

    /// Reads the files of those in force again. On an error the last good ones stay.
    pub fn reload(&self) -> Result<(), Vec<AuthorityError>> {
        let configs: Vec<CertificateAuthority> =
            self.0.load().authorities.iter().map(|authority| authority.config.clone()).collect();
        self.replace(AuthoritySet::read(&configs)?);
        Ok(())
    }

    pub(super) fn current(&self) -> Arc<AuthoritySet> {
        self.0.load_full()
    }

    /// What a listener checks client certificates with.
    pub fn verifier(self: &Arc<Self>, policy: ClientPolicy) -> Arc<dyn ClientCertVerifier> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Arc::new(Verifier { authorities: Arc::clone(self), policy, provider })
    }
}

impl AuthoritySet {
    /// Reads the files. All that is wrong is told.
    pub fn read(configs: &[CertificateAuthority]) -> Result<Self, Vec<AuthorityError>> {
        static VERSIONS: AtomicU64 = AtomicU64::new(0);
        let mut authorities = Vec::new();
        let mut wrong = Vec::new();
        for (index, config) in configs.iter().enumerate() {
            match Authority::read(config) {
                Ok(authority) => authorities.push(authority),
                Err(message) => wrong.push(AuthorityError { index, message }),
            }
        }
        let version = VERSIONS.fetch_add(1, Ordering::Relaxed);
        if wrong.is_empty() { Ok(Self { version, authorities }) } else { Err(wrong) }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    fn same(&self, other: &Self) -> bool {
        self.authorities.len() == other.authorities.len()
            && self.authorities.iter().zip(&other.authorities).all(|(a, b)| {
                a.config == b.config && a.certificates == b.certificates && a.revocations == b.revocations
            })
    }

    /// Whom a certificate stands for.
    pub(super) fn judge(
        &self,
        end: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        fingerprint: &[u8; 32],
        now: Timestamp,
    ) -> Result<Arc<Certified>, CertificateFault> {
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let authority = self.vouching(end, rest, time);
        let authority = authority.map_err(|e| CertificateFault::NotVouched(e.to_string().into()))?;
        let subject = names::subject(end, &authority.config, fingerprint)?.map(Arc::new);
        Ok(Arc::new(Certified { authority: Arc::clone(&authority.config.name), subject }))
    }

    /// The first authority that vouches for a certificate, or the reason of the one that came closest.
    fn vouching(
        &self,
        end: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<&Authority, Error> {
        let mut closest = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        for authority in &self.authorities {
            match authority.verifier.verify_client_cert(end, rest, now) {
                Ok(_) => return Ok(authority),
                Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {}
                Err(error) => closest = error,
            }
        }
        Err(closest)
    }
}

impl Authority {
    fn read(config: &CertificateAuthority) -> Result<Self, String> {
        let unreadable = |file: &Path, error: &dyn fmt::Display| {
            format!("authority `{}`: `{}` cannot be read: {error}", config.name, file.display())
        };
        let certificates = CertificateDer::pem_file_iter(&config.ca_file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unreadable(&config.ca_file, &error))?;
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|error| unreadable(&config.ca_file, &error))?;
        }
        if roots.is_empty() {
            return Err(unreadable(&config.ca_file, &"there is no certificate in it"));
        }
        let mut revocations = Vec::new();
        for file in &config.crl_files {
            let found = CertificateRevocationListDer::pem_file_iter(file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| unreadable(file, &error))?;
            if found.is_empty() {
                return Err(unreadable(file, &"there is no revocation list in it"));
            }
            revocations.extend(found);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // Strict where lists are named: a certificate of whose authority there is none is refused, and a list that is
        // over is no list.
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .with_crls(revocations.iter().cloned())
            .enforce_revocation_expiration()
            .build()
            .map_err(|error| format!("authority `{}` cannot be used: {error}", config.name))?;
        Ok(Self { config: config.clone(), certificates, revocations, verifier })
    }
}

/// Checks certificates at the handshake, by the authorities that are in force then.
#[derive(Debug)]
struct Verifier {
    authorities: Arc<Authorities>,
    policy: ClientPolicy,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.policy == ClientPolicy::Required
    }

    /// None: the authorities may be exchanged, and callers know which certificate is for here.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.authorities.current().vouching(end_entity, intermediates, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl CertificateAuthority {
    /// The files it is read from.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.ca_file).chain(&self.crl_files)
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorities").finish_non_exhaustive()
    }
}
