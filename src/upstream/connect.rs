//! TCP and TLS to one upstream, under one timeout.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower::{BoxError, Service};

use super::config::{ClientCertificate, Http2, Trust, UpstreamConfig};
use super::error::SetupError;

/// Opens connections to one upstream, whatever the target of a request says.
#[derive(Clone)]
pub(super) struct Connector {
    inner: HttpsConnector<HttpConnector>,
    base: Uri,
    timeout: Duration,
}

/// The connection was not there in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection in time")]
pub(super) struct ConnectTimeout;

impl Connector {
    /// Opens connections to `base` as the configuration says. The reason of an error is for the operator.
    pub(super) fn new(config: &UpstreamConfig, base: &Uri, http2: Http2) -> Result<Self, SetupError> {
        let api = || Arc::clone(&config.api);
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        let encrypted = base.scheme() == Some(&http::uri::Scheme::HTTPS);
        // A plain upstream needs no roots, and a machine without any must still reach it.
        let roots = if encrypted {
            roots(&config.trust).map_err(|reason| SetupError::Trust { api: api(), reason })?
        } else {
            RootCertStore::empty()
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| SetupError::Trust { api: api(), reason: error.to_string() })?
            .with_root_certificates(roots);
        let tls = match &config.certificate {
            Some(files) if encrypted => {
                identified(tls, files).map_err(|reason| SetupError::Certificate { api: api(), reason })?
            }
            _ => tls.with_no_client_auth(),
        };
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
        let builder = if encrypted { builder.https_only() } else { builder.https_or_http() };
        let inner = match http2 {
            Http2::Never => builder.enable_http1().wrap_connector(tcp),
            Http2::Offered => builder.enable_all_versions().wrap_connector(tcp),
            Http2::Known => builder.enable_http2().wrap_connector(tcp),
        };
        Ok(Self { inner, base: base.clone(), timeout: config.timeouts.connect })
    }
}

fn identified(
    tls: rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>,
    files: &ClientCertificate,
) -> Result<ClientConfig, String> {
    let wrong =
        |file: &std::path::Path, error: &dyn std::fmt::Display| format!("`{}`: {error}", file.display());
    let pem = std::fs::read(&files.certificate).map_err(|error| wrong(&files.certificate, &error))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| wrong(&files.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, &error))?;
    tls.with_client_auth_cert(chain, key).map_err(|error| error.to_string())
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, _target: Uri) -> Self::Future {
        let dialing = self.inner.call(self.base.clone());
        let timeout = self.timeout;
        Box::pin(async move {
            tokio::time::timeout(timeout, dialing).await.unwrap_or_else(|_| Err(ConnectTimeout.into()))
        })
    }
}

fn roots(trust: &Trust) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    let mut add = |certificate: CertificateDer<'static>| {
        store.add(certificate).map_err(|error| format!("not a certificate authority: {error}"))
    };
    match trust {
        // The machine's store holds what others put there: what cannot be used is passed over.
        Trust::System => {
            for certificate in rustls_native_certs::load_native_certs().certs {
                let _unusable = add(certificate);
            }
        }
        Trust::File(path) => {
            let file = path.display();
            let pem = std::fs::read(path).map_err(|error| format!("`{file}`: {error}"))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                add(certificate.map_err(|error| format!("`{file}`: {error}"))?)?;
            }
        }
        Trust::Pem(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                add(certificate.map_err(|error| error.to_string())?)?;
            }
        }
    }
    if store.is_empty() { Err("there is none".to_owned()) } else { Ok(store) }
}

const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
