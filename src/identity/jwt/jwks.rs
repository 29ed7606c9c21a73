//! An issuer's keys (RFC 7517): which of them are fit to check tokens.

use std::sync::Arc;

use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use crate::identity::config::Algorithm;

use super::token::{MAX_KEY_ID, Token, decode};
use crate::identity::strict_json;

/// The usable keys of an issuer.
pub(super) struct KeySet(Vec<Arc<Key>>);

/// One public key.
pub(super) struct Key {
    id: Option<String>,
    kind: KeyKind,
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl KeySet {
    /// Reads a JWK Set. Keys that are not for signatures, of unknown kinds, too weak or private are left out and told
    /// in `left_out`. `None`: it is no JWK Set, or too long.
    pub(super) fn parse(text: &[u8], left_out: &mut Vec<&'static str>) -> Option<Self> {
        let set = strict_json::object(text)?;
        let listed = set.get("keys")?.as_array()?;
        if listed.len() > MAX_KEYS {
            return None;
        }
        let mut keys = Vec::new();
        for value in listed {
            match Key::parse(value.as_object()?) {
                Ok(key) => keys.push(Arc::new(key)),
                Err(why) => left_out.push(why),
            }
        }
        Some(Self(keys))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one key for a token. A token that names no key finds one only where there is no choice.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<Arc<Key>> {
        let mut fitting = self.0.iter().filter(|key| {
            key.kind == KeyKind::of(algorithm)
                && key.algorithm.is_none_or(|declared| declared == algorithm)
                && (id.is_none() || key.id.as_deref() == id)
        });
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Some(Arc::clone(key)),
            _ => None,
        }
    }
}

impl Key {
    fn parse(jwk: &Map<String, Value>) -> Result<Self, &'static str> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if jwk.contains_key("d") || jwk.contains_key("k") {
            return Err("private or secret key published");
        }
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return Err("not for signatures");
        }
        if let Some(operations) = jwk.get("key_ops") {
            let verifies = operations.as_array().is_some_and(|list| list.iter().any(|op| op == "verify"));
            if !verifies {
                return Err("not for signatures");
            }
        }
        let id = match jwk.get("kid") {
            None => None,
            Some(Value::String(id)) if !id.is_empty() && id.len() <= MAX_KEY_ID => Some(id.clone()),
            Some(_) => return Err("key id malformed"),
        };
        let (kind, key) = match (text("kty"), text("crv")) {
            (Some("RSA"), _) => (KeyKind::Rsa, rsa(text("n"), text("e"))?),
            (Some("EC"), Some("P-256")) => (KeyKind::P256, ec(text("x"), text("y"), 32)?),
            (Some("EC"), Some("P-384")) => (KeyKind::P384, ec(text("x"), text("y"), 48)?),
            (Some("OKP"), Some("Ed25519")) => (KeyKind::Ed25519, ed25519(text("x"))?),
            _ => return Err("kind of key not supported"),
        };
        let algorithm = match jwk.get("alg") {
            None => None,
            Some(name) => {
                let algorithm = name.as_str().and_then(Algorithm::parse).ok_or("algorithm not supported")?;
                if KeyKind::of(algorithm) != kind {
                    return Err("algorithm of another kind of key");
                }
                Some(algorithm)
            }
        };
        Ok(Self { id, kind, algorithm, key })
    }

    /// Whether this key made the token's signature.
    pub(super) fn verifies(&self, token: &Token<'_>) -> bool {
        let algorithm = token.algorithm();
        KeyKind::of(algorithm) == self.kind
            && jsonwebtoken::crypto::verify(token.signature(), token.signed(), &self.key, library(algorithm))
                .unwrap_or(false)
    }
}

impl KeyKind {
    fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => Self::Rsa,
            Algorithm::Es256 => Self::P256,
            Algorithm::Es384 => Self::P384,
            Algorithm::EdDsa => Self::Ed25519,
        }
    }
}

/// 2048 to 8192 bits (RFC 7518 section 3.3), an odd public exponent of at least 65537.
fn rsa(n: Option<&str>, e: Option<&str>) -> Result<DecodingKey, &'static str> {
    let (n, e) = (unsigned(n)?, unsigned(e)?);
    let bits = n.first().map_or(0, |top| n.len() * 8 - top.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err("RSA key weaker than 2048 bits, or longer than 8192");
    }
    let exponent = e.iter().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
    if e.len() > 4 || exponent < 65537 || exponent % 2 == 0 {
        return Err("RSA exponent weak");
    }
    Ok(DecodingKey::from_rsa_raw_components(&n, &e))
}

fn ec(x: Option<&str>, y: Option<&str>, length: usize) -> Result<DecodingKey, &'static str> {
    let point = (x.unwrap_or_default(), y.unwrap_or_default());
    let whole = |part: &str| decode(part).is_ok_and(|bytes| bytes.len() == length);
    if !whole(point.0) || !whole(point.1) {
        return Err("point malformed");
    }
    DecodingKey::from_ec_components(point.0, point.1).map_err(|_| "point malformed")
}

fn ed25519(x: Option<&str>) -> Result<DecodingKey, &'static str> {
    let x = x.unwrap_or_default();
    if decode(x).map_or(0, |bytes| bytes.len()) != 32 {
        return Err("point malformed");
    }
    DecodingKey::from_ed_components(x).map_err(|_| "point malformed")
}

/// A base64url number without leading zeros.
fn unsigned(text: Option<&str>) -> Result<Vec<u8>, &'static str> {
    let mut bytes = text.and_then(|t| decode(t).ok()).ok_or("RSA number malformed")?;
    let zeros = bytes.iter().take_while(|&&b| b == 0).count();
    bytes.drain(..zeros);
    Ok(bytes)
}

fn library(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Rs384 => jsonwebtoken::Algorithm::RS384,
        Algorithm::Rs512 => jsonwebtoken::Algorithm::RS512,
        Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::Ps384 => jsonwebtoken::Algorithm::PS384,
        Algorithm::Ps512 => jsonwebtoken::Algorithm::PS512,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Es384 => jsonwebtoken::Algorithm::ES384,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
    }
}

/// Most keys of one issuer.
const MAX_KEYS: usize = 100;
