//! Calls to other services: HTTP/1.1 over TLS, no redirects, everything bounded.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// A service that is asked things.
#[derive(Clone)]
pub(super) struct Remote {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum RemoteError {
    #[error("not reached: {0}")]
    Unreachable(String),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("answer longer than {MAX_BODY} bytes")]
    TooLong,
}

impl Remote {
    /// `ca_file`: certificates to trust instead of the system's. `idle`: connections kept for the next call.
    pub(super) fn new(ca_file: Option<&Path>, timeout: Duration, idle: usize) -> Result<Self, String> {
        let tls = tls(roots(ca_file)?)?;
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(idle)
            .build(connector);
        Ok(Self { client, timeout })
    }

    /// Status and body of the answer. One time bounds all of it.
    pub(super) async fn call(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Vec<u8>), RemoteError> {
        let answered = tokio::time::timeout(self.timeout, self.answer(request)).await;
        answered.map_err(|_| RemoteError::Timeout(self.timeout))?
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Vec<u8>), RemoteError> {
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|error| RemoteError::Unreachable(causes(&error)))?;
        let status = answer.status();
        let mut body = answer.into_body();
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| RemoteError::Unreachable(causes(&error)))?;
            if let Ok(data) = frame.into_data() {
                if bytes.len() + data.len() > MAX_BODY {
                    return Err(RemoteError::TooLong);
                }
                bytes.extend_from_slice(&data);
            }
        }
        Ok((status, bytes))
    }
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = ca_file {
        let shown = file.display();
        let certificates = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| format!("`{shown}` cannot be read: {e}"))?;
        for certificate in certificates {
            roots.add(certificate).map_err(|e| format!("`{shown}` holds a certificate that is none: {e}"))?;
        }
        if roots.is_empty() {
            return Err(format!("`{shown}` holds no certificate"));
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    Ok(roots)
}

fn tls(roots: RootCertStore) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// An error with what caused it, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Longest answer.
const MAX_BODY: usize = 256 * 1024;

/// How long an unused connection is kept: less than servers keep theirs.
const IDLE: Duration = Duration::from_secs(4);
