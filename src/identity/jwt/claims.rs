//! The claims of a token: whom it is for, when it holds, whom it stands for.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::identity::principal::{Kind, Method, Subject};
use crate::identity::unauthenticated::TokenFault;

use super::names::Names;
use super::strict_json;

/// Claims as the token writes them. Believed only after the signature was checked.
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    pub(super) fn parse(payload: &[u8]) -> Result<Self, TokenFault> {
        strict_json::object(payload).map(Self).ok_or(TokenFault::Json)
    }

    /// Who says to have made the token; decides whose keys are tried.
    pub(super) fn issuer(&self) -> Result<&str, TokenFault> {
        self.0.get("iss").and_then(Value::as_str).ok_or(TokenFault::Claim("iss"))
    }

    /// Whether it is meant for one of the audiences and holds now (RFC 7519 section 4.1).
    pub(super) fn check(&self, audiences: &[String], skew: i128, now: Timestamp) -> Result<(), TokenFault> {
        if self.0.contains_key("cnf") {
            return Err(TokenFault::Bound);
        }
        if !self.audience()?.iter().any(|aud| audiences.iter().any(|ours| ours == aud)) {
            return Err(TokenFault::Audience);
        }
        let now = i128::from(now.as_microsecond());
        let expires = self.time("exp")?.ok_or(TokenFault::Claim("exp"))?;
        if expires + skew <= now {
            return Err(TokenFault::Expired);
        }
        let earliest = self.time("nbf")?.into_iter().chain(self.time("iat")?).max();
        if earliest.is_some_and(|start| start - skew > now) { Err(TokenFault::NotYetValid) } else { Ok(()) }
    }

    /// Whom it stands for.
    pub(super) fn subject(self, issuer: &Arc<str>, names: &Names) -> Result<Subject, TokenFault> {
        let id = self.0.get("sub").and_then(Value::as_str).filter(|id| is_plain(id, MAX_SUBJECT));
        let id: Arc<str> = id.ok_or(TokenFault::Claim("sub"))?.into();
        let name = names.name.find(&self.0).and_then(Value::as_str).filter(|name| is_plain(name, MAX_NAME));
        let credential = self.0.get("jti").and_then(Value::as_str).filter(|jti| is_plain(jti, MAX_NAME));
        Ok(Subject {
            issuer: Arc::clone(issuer),
            name: name.map(Into::into),
            kind: self.kind(&id),
            groups: self.groups(names)?,
            roles: Vec::new(),
            mfa: self.second_factor(names),
            method: Method::Jwt,
            credential: credential.map(Into::into),
            id,
            claims: with_scopes(self.0),
        })
    }

    fn audience(&self) -> Result<Vec<&str>, TokenFault> {
        texts(self.0.get("aud")).filter(|list| !list.is_empty()).ok_or(TokenFault::Claim("aud"))
    }

    /// A NumericDate in microseconds.
    fn time(&self, claim: &'static str) -> Result<Option<i128>, TokenFault> {
        let Some(value) = self.0.get(claim) else { return Ok(None) };
        let seconds = value.as_f64().filter(|s| s.abs() <= YEAR_9999).ok_or(TokenFault::Claim(claim))?;
        Ok(Some(match value.as_i64() {
            Some(whole) => i128::from(whole) * 1_000_000,
            #[expect(clippy::cast_possible_truncation, reason = "the filter above bounds it")]
            None => (seconds * 1e6) as i128,
        }))
    }

    /// A list that is not made of texts refuses the token: a condition that somebody is *not* in a group must not be
    /// met because the group could not be read.
    fn groups(&self, names: &Names) -> Result<Vec<Arc<str>>, TokenFault> {
        let mut groups: Vec<Arc<str>> = Vec::new();
        for path in &names.groups {
            let Some(value) = path.find(&self.0) else { continue };
            let found = texts(Some(value)).ok_or(TokenFault::Claim("groups"))?;
            for group in found {
                if !groups.iter().any(|known| **known == *group) {
                    groups.push(group.into());
                }
            }
        }
        if groups.len() > MAX_GROUPS { Err(TokenFault::Claim("groups")) } else { Ok(groups) }
    }

    fn second_factor(&self, names: &Names) -> bool {
        let amr = texts(self.0.get("amr")).unwrap_or_default();
        let acr = self.0.get("acr").and_then(Value::as_str);
        amr.iter().any(|method| names.mfa_amr.iter().any(|wanted| wanted == method))
            || names.mfa_acr.iter().any(|wanted| acr == Some(wanted.as_str()))
    }

    /// A token that a program got for itself names itself as the subject (RFC 9068 section 2.2).
    fn kind(&self, id: &str) -> Kind {
        let itself = |claim: &str| self.0.get(claim).and_then(Value::as_str) == Some(id);
        if itself("client_id") || itself("azp") { Kind::Service } else { Kind::Person }
    }
}

/// Beside `scope`, a text with spaces (RFC 9068), conditions find the list `scopes`, as API keys have it.
fn with_scopes(mut claims: Map<String, Value>) -> Map<String, Value> {
    if let Some(scope) = claims.get("scope").and_then(Value::as_str) {
        let list: Vec<Value> = scope.split(' ').filter(|s| !s.is_empty()).map(Into::into).collect();
        claims.insert("scopes".to_owned(), Value::Array(list));
    }
    claims
}

/// A text or a list of texts.
fn texts(value: Option<&Value>) -> Option<Vec<&str>> {
    match value? {
        Value::String(one) => Some(vec![one]),
        Value::Array(many) => many.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

fn is_plain(text: &str, max: usize) -> bool {
    !text.is_empty() && text.len() <= max && !text.chars().any(char::is_control)
}

/// OpenID Connect allows 255.
const MAX_SUBJECT: usize = 255;
const MAX_NAME: usize = 255;
const MAX_GROUPS: usize = 1_000;
const YEAR_9999: f64 = 253_402_300_799.0;
