//! Tokens of a system behind, so that its callers keep their own logins: the system is asked "who am I" with the
//! token, and what it says is believed for a short time.
//!
//! The answer is bound to the token's hash and to the system: a token of one system is never shown to another.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::{Map, Value};
use tracing::warn;

use crate::rewrite::{Path, Step};

use super::Tools;
use super::claims::{MAX_GROUPS, MAX_NAME, MAX_SUBJECT, is_plain};
use super::config::{Fault, TokenCarrier, VendorTokens};
use super::lookups::{Found, Lookups, Memory};
use super::presented::Carried;
use super::principal::{Kind, Method, Subject};
use super::recent::Digests;
use super::remote::Remote;
use super::strict_json;
use super::unauthenticated::Unauthenticated;

/// The method of one system's tokens.
pub(super) struct Vendor {
    asker: Arc<Asker>,
    digests: Digests,
    lookups: Lookups,
}

struct Asker {
    config: VendorTokens,
    remote: Remote,
}

impl Vendor {
    pub(super) fn new(config: &VendorTokens, path: &str, tools: &Tools) -> Result<Self, Fault> {
        let remote =
            Remote::new(config.ca_file.as_deref(), config.timeout, IDLE_CONNECTIONS).map_err(|message| {
                Fault {
                    path: format!("{path}.ca_file"),
                    message,
                    help: "a file of PEM certificates that can be read",
                }
            })?;
        let memory = Memory {
            positive: config.remember,
            negative: config.remember_refusal,
            most: MAX_REMEMBERED,
            questions: MAX_QUESTIONS,
        };
        let asker = Asker { config: config.clone(), remote };
        let lookups = Lookups::new(Method::Vendor, memory, tools);
        Ok(Self { asker: Arc::new(asker), digests: Digests::new(), lookups })
    }

    /// Whether its tokens are bearers.
    pub(super) fn takes_bearers(&self) -> bool {
        matches!(&self.asker.config.carrier, TokenCarrier::Authorization(scheme) if scheme.eq_ignore_ascii_case("bearer"))
    }

    pub(super) fn config(&self) -> &VendorTokens {
        &self.asker.config
    }

    /// Whom a token stands for.
    pub(super) async fn authenticate(&self, token: &str) -> Result<Arc<Subject>, Unauthenticated> {
        let key = self.digests.of(&[token.as_bytes()]);
        self.lookups
            .find(key, || {
                let (asker, token) = (Arc::clone(&self.asker), token.to_owned());
                async move { asker.ask(&token).await }
            })
            .await
    }
}

impl Asker {
    async fn ask(&self, token: &str) -> Result<Found, Unauthenticated> {
        let (name, away) = (&self.config.name, || Unauthenticated::Unavailable("the system of the token"));
        let nobody = || Unauthenticated::Vendor(Arc::clone(name));
        let request = self.request(token).ok_or_else(nobody)?;
        match self.remote.call(request).await {
            Ok((StatusCode::OK, body)) => self.judge(&body).ok_or_else(nobody),
            Ok((StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST, _)) => {
                Err(nobody())
            }
            Ok((status, _)) => {
                warn!(system = %name, %status, "who a token stands for is not told");
                Err(away())
            }
            Err(error) => {
                warn!(system = %name, %error, "who a token stands for cannot be asked");
                Err(away())
            }
        }
    }

    fn request(&self, token: &str) -> Option<Request<Full<Bytes>>> {
        let mut uri = self.config.url.clone();
        let mut header = None;
        match Carried::new(&self.config.carrier, token)? {
            Carried::Header(name, value) => header = Some((name, value)),
            Carried::Query(pair) => uri = Carried::added_to(&uri, &pair)?,
        }
        let mut request = match &self.config.body {
            Some(_) => Request::post(uri).header(CONTENT_TYPE, "application/json"),
            None => Request::get(uri),
        }
        .header(ACCEPT, "application/json");
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        request
            .body(self.config.body.clone().map_or_else(Full::default, |body| Full::new(Bytes::from(body))))
            .ok()
    }

    /// Whom the answer names. Some systems answer 200 to a token that they do not know, with an error or a guest.
    fn judge(&self, body: &[u8]) -> Option<Found> {
        let answer = Value::Object(strict_json::object(body)?);
        let id = match places(&answer, &self.config.id).first()? {
            Value::String(text) if is_plain(text, MAX_SUBJECT) => text.clone(),
            Value::Number(number) if number.is_u64() => number.to_string(),
            _ => return None,
        };
        if self.config.nobody.contains(&id) {
            return None;
        }
        let name = self.config.display_name.as_ref().and_then(|path| places(&answer, path).first().copied());
        let name = name.and_then(Value::as_str).filter(|name| is_plain(name, MAX_NAME));
        let subject = Subject {
            issuer: Arc::clone(&self.config.name),
            id: id.into(),
            name: name.map(Into::into),
            kind: Kind::Person,
            groups: self.groups(&answer)?,
            roles: Vec::new(),
            claims: Map::new(),
            mfa: false,
            method: Method::Vendor,
            credential: None,
        };
        Some(Found { subject: Arc::new(subject), valid_for: None })
    }

    /// A group that cannot be read refuses: a condition that somebody is *not* in it must not be met by that.
    fn groups(&self, answer: &Value) -> Option<Vec<Arc<str>>> {
        let mut groups: Vec<Arc<str>> = Vec::new();
        for value in self.config.groups.iter().flat_map(|path| places(answer, path)) {
            let group: Arc<str> = match value {
                Value::String(text) if is_plain(text, MAX_NAME) => text.as_str().into(),
                Value::Number(number) if number.is_u64() => number.to_string().into(),
                Value::Null => continue,
                _ => return None,
            };
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        (groups.len() <= MAX_GROUPS).then_some(groups)
    }
}

/// The values at a path of names, indexes and `[*]`; bounded by the answer.
fn places<'v>(value: &'v Value, path: &Path) -> Vec<&'v Value> {
    let mut found = vec![value];
    for step in path.steps() {
        found = match step {
            Step::Name(name) => {
                found.into_iter().filter_map(|value| value.as_object()?.get(&**name)).collect()
            }
            Step::Index(at) => {
                let at = usize::try_from(*at).unwrap_or(usize::MAX);
                found.into_iter().filter_map(|value| value.as_array()?.get(at)).collect()
            }
            Step::Elements => {
                found.into_iter().filter_map(Value::as_array).flat_map(|elements| elements.iter()).collect()
            }
            Step::Any | Step::Slice { .. } | Step::Chosen(_) | Step::Descend => Vec::new(),
        };
    }
    found
}

/// Answers remembered, good and bad each.
const MAX_REMEMBERED: usize = 10_000;
/// Questions under way.
const MAX_QUESTIONS: usize = 64;
const IDLE_CONNECTIONS: usize = 8;

#[cfg(test)]
mod tests;
