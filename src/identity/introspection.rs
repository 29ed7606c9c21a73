//! Opaque tokens: their issuer is asked (RFC 7662), and what it says is believed for a short time.
//!
//! While the issuer does not answer, tokens it was not asked about lately are refused as "cannot be found out": 503,
//! never a guess.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tracing::warn;

use crate::base::Clock;

use super::Tools;
use super::claim_names::Names;
use super::claims::{Claims, Proof};
use super::config::{self, Fault};
use super::lookups::{Found, Lookups, Memory};
use super::principal::{Method, Subject};
use super::recent::Digests;
use super::remote::Remote;
use super::unauthenticated::{TokenFault, Unauthenticated};

/// The method of opaque tokens.
pub(super) struct Introspection {
    asker: Arc<Asker>,
    digests: Digests,
    lookups: Lookups,
}

struct Asker {
    issuer: Arc<str>,
    remote: Remote,
    url: Uri,
    authorization: HeaderValue,
    audiences: Vec<String>,
    names: Names,
    skew_micros: i128,
    clock: Arc<dyn Clock>,
}

impl Introspection {
    pub(super) fn new(config: &config::Introspection, tools: &Tools) -> Result<Self, Fault> {
        let fault = |member: &str, message: String, help| Fault {
            path: format!("introspection.{member}"),
            message,
            help,
        };
        let remote = Remote::new(config.ca_file.as_deref(), config.timeout, IDLE_CONNECTIONS)
            .map_err(|message| fault("ca_file", message, "a file of PEM certificates that can be read"))?;
        let names = Names::new(&config.claims).map_err(|claim| {
            let message = format!("`{claim}` is not the name of a claim");
            fault("claims", message, "a name, or names joined by dots")
        })?;
        let mut authorization =
            HeaderValue::try_from(basic(&config.client_id, config.client_secret.expose()))
                .map_err(|error| fault("client_id", error.to_string(), "letters, digits and punctuation"))?;
        authorization.set_sensitive(true);
        let memory = Memory {
            positive: config.remember,
            negative: config.remember,
            most: MAX_REMEMBERED,
            questions: MAX_QUESTIONS,
        };
        let asker = Asker {
            issuer: Arc::clone(&config.issuer),
            remote,
            url: config.url.clone(),
            authorization,
            audiences: config.audiences.clone(),
            names,
            skew_micros: i128::try_from(config.skew.as_micros()).unwrap_or(i128::MAX / 4),
            clock: Arc::clone(&tools.clock),
        };
        let lookups = Lookups::new(Method::Introspection, memory, tools);
        Ok(Self { asker: Arc::new(asker), digests: Digests::new(), lookups })
    }

    /// Whose tokens these are.
    pub(super) fn issuer(&self) -> &str {
        &self.asker.issuer
    }

    /// Whom a token stands for.
    pub(super) async fn authenticate(
        &self,
        text: &str,
        proof: Proof<'_>,
    ) -> Result<Arc<Subject>, Unauthenticated> {
        // Whoever shows another certificate asks another question: the answer may depend on it.
        let shown = proof.map_or(&[][..], |digest| digest);
        let key = self.digests.of(&[text.as_bytes(), shown]);
        self.lookups
            .find(key, || {
                let (asker, text, proof) = (Arc::clone(&self.asker), text.to_owned(), proof.copied());
                async move { asker.ask(&text, proof.as_ref()).await }
            })
            .await
    }
}

impl Asker {
    async fn ask(&self, token: &str, proof: Proof<'_>) -> Result<Found, Unauthenticated> {
        let away = || Unauthenticated::Unavailable("the issuer of the token");
        let form = format!("token={}&token_type_hint=access_token", utf8_percent_encode(token, FORM));
        let request = Request::post(self.url.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(AUTHORIZATION, self.authorization.clone())
            .body(Full::new(Bytes::from(form)))
            .map_err(|_| away())?;
        match self.remote.call(request).await {
            Ok((StatusCode::OK, body)) => Ok(self.judge(&body, proof)?),
            // Also 401: it is the gateway that is not known there, and no token is to blame.
            Ok((status, _)) => {
                warn!(issuer = %self.issuer, %status, "token introspection refused");
                Err(away())
            }
            Err(error) => {
                warn!(issuer = %self.issuer, %error, "token introspection failed");
                Err(away())
            }
        }
    }

    /// RFC 7662 section 2.2.
    fn judge(&self, body: &[u8], proof: Proof<'_>) -> Result<Found, TokenFault> {
        let claims = Claims::parse(body)?;
        match claims.get("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Err(TokenFault::Inactive),
            _ => return Err(TokenFault::Claim("active")),
        }
        if claims.get("iss").is_some() && claims.issuer()? != &*self.issuer {
            return Err(TokenFault::Issuer);
        }
        // A refresh token is no access token, though a careless endpoint calls it active.
        if let Some(kind) = claims.get("token_type") {
            let bearer =
                kind.as_str().is_some_and(|kind| ACCESS_TYPES.iter().any(|t| kind.eq_ignore_ascii_case(t)));
            if !bearer {
                return Err(TokenFault::Claim("token_type"));
            }
        }
        if !self.audiences.is_empty() {
            claims.check_audience(&self.audiences)?;
        }
        let now = self.clock.now();
        let end = claims.check_times(self.skew_micros, now)?;
        claims.check_binding(proof)?;
        let left = |end: i128| u64::try_from(end - i128::from(now.as_microsecond())).unwrap_or(0);
        let valid_for = end.map(|end| Duration::from_micros(left(end)));
        let subject = Arc::new(claims.subject(&self.issuer, &self.names, Method::Introspection)?);
        Ok(Found { subject, valid_for })
    }
}

/// RFC 6749 section 2.3.1: both parts are form-encoded first.
fn basic(id: &str, secret: &str) -> String {
    let (id, secret) = (utf8_percent_encode(id, FORM), utf8_percent_encode(secret, FORM));
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*');

/// What access tokens are called, in the order of how common that is.
const ACCESS_TYPES: [&str; 3] = ["bearer", "access_token", "urn:ietf:params:oauth:token-type:access_token"];

/// Answers remembered, good and bad each.
const MAX_REMEMBERED: usize = 10_000;
/// Questions under way.
const MAX_QUESTIONS: usize = 64;
const IDLE_CONNECTIONS: usize = 8;

#[cfg(test)]
mod tests;
