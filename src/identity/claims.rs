//! What an issuer says about a token, in a JWT or when asked about it: whom it is for, when it holds, whom it
//! stands for.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::claim_names::Names;
use super::principal::{Kind, Method, Subject};
use super::strict_json;
use super::unauthenticated::TokenFault;

/// Claims as they are written. Believed only after the signature was checked, or if the issuer itself was asked.
pub(super) struct Claims(Map<String, Value>);

/// The SHA-256 of the caller's client certificate, if it showed one.
pub(super) type Proof<'p> = Option<&'p [u8; 32]>;

impl Claims {
    pub(super) fn parse(payload: &[u8]) -> Result<Self, TokenFault> {
        strict_json::object(payload).map(Self).ok_or(TokenFault::Json)
    }

    /// A member.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Who says to have made the token; decides whose keys are tried.
    pub(super) fn issuer(&self) -> Result<&str, TokenFault> {
        self.0.get("iss").and_then(Value::as_str).ok_or(TokenFault::Claim("iss"))
    }

    /// Whether it is meant for one of the audiences (RFC 7519 section 4.1.3).
    pub(super) fn check_audience(&self, audiences: &[String]) -> Result<(), TokenFault> {
        let meant = self.audience()?.iter().any(|aud| audiences.iter().any(|ours| ours == aud));
        if meant { Ok(()) } else { Err(TokenFault::Audience) }
    }

    /// Whether it holds now (RFC 7519 sections 4.1.4 to 4.1.6). Gives its end in microseconds, if it has one.
    pub(super) fn check_times(&self, skew: i128, now: Timestamp) -> Result<Option<i128>, TokenFault> {
        let now = i128::from(now.as_microsecond());
        let end = self.time("exp")?.map(|end| end + skew);
        if end.is_some_and(|end| end <= now) {
            return Err(TokenFault::Expired);
        }
        let earliest = self.time("nbf")?.into_iter().chain(self.time("iat")?).max();
        if earliest.is_some_and(|start| start - skew > now) { Err(TokenFault::NotYetValid) } else { Ok(end) }
    }

    /// Whether the caller may use it: one that is bound to a certificate (RFC 8705 section 3) only with that, one
    /// that is bound to anything else not at all, since nothing else is proved here. Tells whether it is bound.
    pub(super) fn check_binding(&self, proof: Proof<'_>) -> Result<bool, TokenFault> {
        let Some(binding) = self.0.get("cnf") else { return Ok(false) };
        let thumbprint = match binding.as_object() {
            Some(members) if members.len() == 1 => members.get("x5t#S256").and_then(Value::as_str),
            _ => None,
        };
        let shown = proof.map(|digest| URL_SAFE_NO_PAD.encode(digest));
        if thumbprint.is_some() && thumbprint == shown.as_deref() { Ok(true) } else { Err(TokenFault::Bound) }
    }

    /// Whom it stands for.
    pub(super) fn subject(
        self,
        issuer: &Arc<str>,
        names: &Names,
        method: Method,
    ) -> Result<Subject, TokenFault> {
        let id: Arc<str> = self.id(method)?.into();
        let name = names.name.find(&self.0).and_then(Value::as_str).filter(|name| is_plain(name, MAX_NAME));
        let credential = self.0.get("jti").and_then(Value::as_str).filter(|jti| is_plain(jti, MAX_NAME));
        Ok(Subject {
            issuer: Arc::clone(issuer),
            name: name.map(Into::into),
            kind: self.kind(&id),
            groups: self.groups(names)?,
            roles: Vec::new(),
            mfa: self.second_factor(names),
            method,
            credential: credential.map(Into::into),
            id,
            claims: with_scopes(self.0),
        })
    }

    /// `sub`. Where an issuer is asked about a token that a program got for itself, it may name the program alone
    /// (RFC 7662 section 2.2); a person cannot be called like that.
    fn id(&self, method: Method) -> Result<String, TokenFault> {
        let plain = |claim: &str| {
            self.0
                .get(claim)
                .and_then(Value::as_str)
                .filter(|id| is_plain(id, MAX_SUBJECT))
                .map(str::to_owned)
        };
        if method != Method::Introspection {
            return plain("sub").ok_or(TokenFault::Claim("sub"));
        }
        match plain("sub") {
            Some(id) if id.starts_with(CLIENT) => Err(TokenFault::Claim("sub")),
            Some(id) => Ok(id),
            None if self.0.contains_key("sub") => Err(TokenFault::Claim("sub")),
            None => plain("client_id").map(|id| format!("{CLIENT}{id}")).ok_or(TokenFault::Claim("sub")),
        }
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
        let itself = |claim: &str| {
            let named = self.0.get(claim).and_then(Value::as_str);
            named.is_some() && (named == Some(id) || named == id.strip_prefix(CLIENT))
        };
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

pub(super) fn is_plain(text: &str, max: usize) -> bool {
    !text.is_empty() && text.len() <= max && !text.chars().any(char::is_control)
}

/// What the id of a program begins with that has no `sub`.
const CLIENT: &str = "client:";
/// OpenID Connect allows 255.
pub(super) const MAX_SUBJECT: usize = 255;
pub(super) const MAX_NAME: usize = 255;
pub(super) const MAX_GROUPS: usize = 1_000;
const YEAR_9999: f64 = 253_402_300_799.0;
