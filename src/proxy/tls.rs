//! TLS towards callers: one certificate a listener, exchanged while connections go on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::identity::{Authorities, ClientPolicy};

/// Where a listener's certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and its chain, PEM, the listener's own first.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
    /// Whether callers show a certificate; `None`: they are not asked for one.
    pub clients: Option<ClientPolicy>,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or holds no PEM of the kind.
    #[error("cannot read `{}`: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// The key is of an unknown kind, or is not the certificate's.
    #[error("certificate `{}` and its key cannot be used: {source}", certificate.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// A certificate that is read again on [`Certificate::reload`]; handshakes under way keep the one they began with.
pub struct Certificate {
    files: TlsFiles,
    current: ArcSwap<CertifiedKey>,
    /// Who vouches for callers' certificates.
    authorities: Arc<Authorities>,
}

impl Certificate {
    /// Reads the files.
    pub fn load(files: TlsFiles, authorities: Arc<Authorities>) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from_pointee(read(&files)?);
        Ok(Arc::new(Self { files, current, authorities }))
    }

    /// Reads the files again. On an error the last good certificate stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(read(&self.files)?));
        Ok(())
    }

    /// The files it is read from.
    pub fn files(&self) -> &TlsFiles {
        &self.files
    }

    /// A server configuration that presents it: TLS 1.2 and 1.3, no early data, HTTP/2 by ALPN where wanted.
    pub fn server_config(self: &Arc<Self>, http2: bool) -> Arc<ServerConfig> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Self>::clone(self);
        let builder = ServerConfig::builder();
        let mut config = match self.files.clients {
            None => builder.with_no_client_auth().with_cert_resolver(resolver),
            Some(policy) => {
                let verifier = self.authorities.verifier(policy);
                let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(resolver);
                // Every connection proves anew who opens it: no session outlives a revocation.
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
                config
            }
        };
        config.alpn_protocols = match http2 {
            true => vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()],
            false => vec![ALPN_HTTP1.to_vec()],
        };
        Arc::new(config)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .map_err(|source| unreadable(&files.certificate, source))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| unreadable(&files.key, source))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, key, &provider)
        .map_err(|source| TlsError::Unusable { certificate: files.certificate.clone(), source })
}

fn unreadable(file: &Path, source: rustls::pki_types::pem::Error) -> TlsError {
    TlsError::Unreadable { file: file.to_owned(), source }
}

/// RFC 9113 section 3.3.
pub(super) const ALPN_HTTP2: &[u8] = b"h2";

/// RFC 7301 section 6.
const ALPN_HTTP1: &[u8] = b"http/1.1";
