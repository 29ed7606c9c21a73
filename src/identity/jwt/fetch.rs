//! Fetching an issuer's keys: HTTP/1.1 over TLS, no redirects, everything bounded.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tracing::warn;

use crate::identity::config::{Fault, Issuer, KeySource, check_url};

use super::jwks::KeySet;
use super::strict_json;

/// Gets the keys of one issuer.
pub(super) struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    start: Start,
    allow_plain_http: bool,
}

enum Start {
    Discovery(Uri),
    Keys(Uri),
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("not reached: {0}")]
    Unreachable(String),
    #[error("no answer within {FETCH_TIMEOUT:?}")]
    Timeout,
    #[error("answered with status {0}")]
    Status(StatusCode),
    #[error("answer longer than {MAX_BODY} bytes")]
    TooLong,
    #[error("answer is not the JSON that was expected")]
    Malformed,
    #[error("discovery speaks for another issuer")]
    OtherIssuer,
    #[error("{0}")]
    Address(String),
    #[error("no key that can be used")]
    NoKeys,
}

impl Fetcher {
    pub(super) fn new(issuer: &Issuer, path: &str) -> Result<Self, Fault> {
        let (member, url) = match &issuer.keys {
            KeySource::Url(url) => ("keys", url.clone()),
            // OpenID Connect Discovery 1.0 section 4.1: a slash at the end goes first.
            KeySource::Discovery | KeySource::Fixed(_) => {
                ("issuer", format!("{}{DISCOVERY}", issuer.issuer.trim_end_matches('/')))
            }
        };
        let uri = check_url(&url, issuer.allow_plain_http).map_err(|message| Fault {
            path: format!("{path}.{member}"),
            message,
            help: "use https, or say `allow_plain_http: true` on a closed network",
        })?;
        let roots = roots(issuer).map_err(|message| Fault {
            path: format!("{path}.ca_file"),
            message,
            help: "a file of PEM certificates that the gateway can read",
        })?;
        let tls = tls(roots).map_err(|message| Fault {
            path: path.to_owned(),
            message,
            help: "this is not expected; the TLS library cannot be set up",
        })?;
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        let start = match issuer.keys {
            KeySource::Url(_) => Start::Keys(uri),
            KeySource::Discovery | KeySource::Fixed(_) => Start::Discovery(uri),
        };
        Ok(Self { client, start, allow_plain_http: issuer.allow_plain_http })
    }

    /// Fetches the keys, by discovery if that is where they are named. One time bounds all of it.
    pub(super) async fn keys(&self, issuer: &str) -> Result<KeySet, FetchError> {
        let fetching = async {
            let uri = match &self.start {
                Start::Keys(uri) => uri.clone(),
                Start::Discovery(uri) => self.discover(uri.clone(), issuer).await?,
            };
            let body = self.get(uri).await?;
            let mut left_out = Vec::new();
            let keys = KeySet::parse(&body, &mut left_out).ok_or(FetchError::Malformed)?;
            for why in left_out {
                warn!(issuer, why, "key of the issuer left out");
            }
            if keys.is_empty() { Err(FetchError::NoKeys) } else { Ok(keys) }
        };
        tokio::time::timeout(FETCH_TIMEOUT, fetching).await.map_err(|_| FetchError::Timeout)?
    }

    /// The address of the keys. The document must speak for exactly this issuer (OpenID Connect Discovery 1.0 section
    /// 4.3).
    async fn discover(&self, uri: Uri, issuer: &str) -> Result<Uri, FetchError> {
        let document = strict_json::object(&self.get(uri).await?).ok_or(FetchError::Malformed)?;
        if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
            return Err(FetchError::OtherIssuer);
        }
        let keys = document.get("jwks_uri").and_then(Value::as_str).ok_or(FetchError::Malformed)?;
        check_url(keys, self.allow_plain_http).map_err(FetchError::Address)
    }

    async fn get(&self, uri: Uri) -> Result<Vec<u8>, FetchError> {
        let request = Request::get(uri)
            .header(http::header::ACCEPT, "application/json")
            .body(Empty::new())
            .map_err(|e| FetchError::Unreachable(e.to_string()))?;
        let answer = self.client.request(request).await.map_err(|e| FetchError::Unreachable(causes(&e)))?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        let mut body = answer.into_body();
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| FetchError::Unreachable(causes(&e)))?;
            if let Ok(data) = frame.into_data() {
                if bytes.len() + data.len() > MAX_BODY {
                    return Err(FetchError::TooLong);
                }
                bytes.extend_from_slice(&data);
            }
        }
        Ok(bytes)
    }
}

fn roots(issuer: &Issuer) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = &issuer.ca_file {
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

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Longest time for discovery and keys together.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest document.
const MAX_BODY: usize = 256 * 1024;
