//! A token taken apart (RFC 7515 section 7.1): its parts, and what its header may say.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::identity::config::Algorithm;
use crate::identity::unauthenticated::TokenFault;

use crate::identity::strict_json;

/// A token whose form is right; nothing of it is believed yet.
pub(super) struct Token<'t> {
    algorithm: Algorithm,
    key_id: Option<String>,
    payload: Vec<u8>,
    signed: &'t str,
    signature: &'t str,
}

impl<'t> Token<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, TokenFault> {
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenFault::Encoding)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenFault::Encoding)?;
        if payload.contains('.') || decode(signature)?.is_empty() {
            return Err(TokenFault::Encoding);
        }
        let header = strict_json::object(&decode(header)?).ok_or(TokenFault::Json)?;
        refuse_members(&header)?;
        Ok(Self {
            algorithm: algorithm(&header)?,
            key_id: key_id(&header)?,
            payload: decode(payload)?,
            signed,
            signature,
        })
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The name of the signing key.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The claims as they were signed.
    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// What was signed.
    pub(super) fn signed(&self) -> &[u8] {
        self.signed.as_bytes()
    }

    /// The signature in base64url.
    pub(super) fn signature(&self) -> &str {
        self.signature
    }
}

/// The issuer that a text names which may be a JWT, unbelieved: decides only who judges it. `None`: it is no JWT at
/// all. An empty one: it is, and names none.
pub(in crate::identity) fn stated_issuer(text: &str) -> Option<String> {
    let (header, rest) = text.split_once('.')?;
    let (payload, _) = rest.split_once('.')?;
    // Less strict than the parser, so that what is nearly a JWT is judged as one.
    let header = URL_SAFE_NO_PAD.decode(header.trim_end_matches('=')).ok()?;
    if !header.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).unwrap_or_default();
    let claims = serde_json::from_slice::<Value>(&payload).unwrap_or_default();
    Some(claims.get("iss").and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// Base64url without padding, in the one way a text can be written (RFC 4648 sections 3.2, 3.3, 3.5).
pub(super) fn decode(part: &str) -> Result<Vec<u8>, TokenFault> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Encoding)
}

/// Members that change how the rest is read are not supported, so a token with one is refused (RFC 7515 section
/// 4.1.11); members that bring a key, or say where one is, are never believed.
fn refuse_members(header: &Map<String, Value>) -> Result<(), TokenFault> {
    match REFUSED.into_iter().find(|name| header.contains_key(*name)) {
        Some(name) => Err(TokenFault::Header(name)),
        None => Ok(()),
    }?;
    // RFC 7515 section 4.1.9, RFC 9068 section 2.1: an access token, or a plain JWT; not some other kind of token
    // that the same issuer signs with the same key.
    match header.get("typ") {
        None => Ok(()),
        Some(Value::String(typ)) if TYPES.contains(&typ.to_ascii_lowercase().as_str()) => Ok(()),
        Some(_) => Err(TokenFault::Header("typ")),
    }?;
    if header.contains_key("cty") { Err(TokenFault::Header("cty")) } else { Ok(()) }
}

fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, TokenFault> {
    let name = header.get("alg").and_then(Value::as_str).ok_or(TokenFault::Algorithm)?;
    Algorithm::parse(name).ok_or(TokenFault::Algorithm)
}

fn key_id(header: &Map<String, Value>) -> Result<Option<String>, TokenFault> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(id)) if !id.is_empty() && id.len() <= MAX_KEY_ID => Ok(Some(id.clone())),
        Some(_) => Err(TokenFault::Header("kid")),
    }
}

const REFUSED: [&str; 11] = ["crit", "b64", "zip", "enc", "epk", "p2s", "p2c", "jku", "jwk", "x5u", "x5c"];
const TYPES: [&str; 4] = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"];

/// Longest name of a key.
pub(super) const MAX_KEY_ID: usize = 256;
