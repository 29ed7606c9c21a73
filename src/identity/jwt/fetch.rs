//! Fetching an issuer's keys: HTTP/1.1 over TLS, no redirects, everything bounded.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::Full;
use serde_json::Value;
use tracing::warn;

use crate::identity::config::{Fault, Issuer, KeySource, check_url};
use crate::identity::remote::{Remote, RemoteError};
use crate::identity::strict_json;

use super::jwks::KeySet;

/// Gets the keys of one issuer.
pub(super) struct Fetcher {
    remote: Remote,
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
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error("no answer within {FETCH_TIMEOUT:?}")]
    Timeout,
    #[error("answered with status {0}")]
    Status(StatusCode),
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
        let remote = Remote::new(issuer.ca_file.as_deref(), FETCH_TIMEOUT, 0).map_err(|message| Fault {
            path: format!("{path}.ca_file"),
            message,
            help: "a file of PEM certificates that the gateway can read",
        })?;
        let start = match issuer.keys {
            KeySource::Url(_) => Start::Keys(uri),
            KeySource::Discovery | KeySource::Fixed(_) => Start::Discovery(uri),
        };
        Ok(Self { remote, start, allow_plain_http: issuer.allow_plain_http })
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
            .body(Full::<Bytes>::default())
            .map_err(|e| FetchError::Address(e.to_string()))?;
        match self.remote.call(request).await? {
            (StatusCode::OK, body) => Ok(body),
            (status, _) => Err(FetchError::Status(status)),
        }
    }
}

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Longest time for discovery and keys together.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
