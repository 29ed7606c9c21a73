//! Whom a certificate stands for: exactly one name of the kind that its authority's callers are known by.

use std::fmt::Write as _;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use serde_json::{Map, Value, json};

use crate::identity::claims::{MAX_NAME, MAX_SUBJECT, is_plain};
use crate::identity::config::{CertificateAuthority, CertificateName, is_trust_domain};
use crate::identity::principal::{Method, Subject};
use crate::identity::unauthenticated::CertificateFault;

use super::der::{self, Written};

/// The subject of a certificate that this authority vouches for.
pub(super) fn subject(
    certificate: &CertificateDer<'_>,
    authority: &CertificateAuthority,
    fingerprint: &[u8; 32],
) -> Result<Option<Subject>, CertificateFault> {
    let written = der::read(certificate).ok_or(CertificateFault::Malformed)?;
    let Some((issuer, id)) = identity(&written, authority)? else { return Ok(None) };
    if !is_plain(&id, MAX_ID) {
        return Err(CertificateFault::Malformed);
    }
    let mut groups: Vec<Arc<str>> = authority.groups.iter().map(|group| group.as_str().into()).collect();
    if authority.unit_groups {
        let units = values(&written, ORGANIZATIONAL_UNIT);
        groups.extend(units.filter(|unit| is_plain(unit, MAX_NAME)).map(Into::into));
    }
    let name = values(&written, COMMON_NAME).next().filter(|name| is_plain(name, MAX_NAME)).map(Into::into);
    Ok(Some(Subject {
        issuer,
        id: id.into(),
        name,
        kind: authority.kind,
        groups,
        roles: Vec::new(),
        claims: claims(&written, fingerprint),
        mfa: authority.mfa,
        method: Method::Certificate,
        credential: Some(hex(&written.serial).into()),
    }))
}

/// Issuer and id.
fn identity(
    written: &Written,
    authority: &CertificateAuthority,
) -> Result<Option<(Arc<str>, String)>, CertificateFault> {
    let id = match &authority.subject {
        CertificateName::Nothing => return Ok(None),
        CertificateName::Spiffe { trust_domain } => {
            let id = only(&written.uris, "URI")?;
            let domain = spiffe_domain(&id).filter(|domain| *domain == &**trust_domain);
            let issuer = format!("spiffe://{}", domain.ok_or(CertificateFault::Spiffe)?);
            return Ok(Some((issuer.into(), id)));
        }
        CertificateName::Uri => only(&written.uris, "URI")?,
        CertificateName::Dns => only(&written.hosts, "host name")?.to_ascii_lowercase(),
        CertificateName::Email => only(&written.emails, "e-mail address")?,
        CertificateName::CommonName => {
            let all: Vec<String> = values(written, COMMON_NAME).map(str::to_owned).collect();
            only(&all, "common name")?
        }
        CertificateName::Distinguished if written.subject.is_empty() => {
            return Err(CertificateFault::Name("subject"));
        }
        CertificateName::Distinguished => distinguished(written),
    };
    Ok(Some((Arc::clone(&authority.name), id)))
}

/// The one name there is: of several, anybody could mean another one.
fn only(names: &[String], kind: &'static str) -> Result<String, CertificateFault> {
    match names {
        [one] if is_plain(one, MAX_ID) => Ok(one.clone()),
        _ => Err(CertificateFault::Name(kind)),
    }
}

/// The trust domain of a workload's SPIFFE id (SPIFFE ID specification, section 2); `None` if it is not one.
fn spiffe_domain(id: &str) -> Option<&str> {
    let (domain, path) = id.strip_prefix("spiffe://")?.split_once('/')?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let segment = |text: &str| !text.is_empty() && text != "." && text != ".." && text.bytes().all(allowed);
    (id.len() <= MAX_ID && is_trust_domain(domain) && path.split('/').all(segment)).then_some(domain)
}

fn values<'w>(written: &'w Written, attribute: &'static [u8]) -> impl Iterator<Item = &'w str> {
    written.subject.iter().filter(move |(id, _)| id == attribute).map(|(_, text)| text.as_str())
}

/// The subject as RFC 4514 writes it: the last part first.
fn distinguished(written: &Written) -> String {
    let mut out = String::new();
    for (id, text) in written.subject.iter().rev() {
        if !out.is_empty() {
            out.push(',');
        }
        match ATTRIBUTES.iter().find(|(known, _)| known == id) {
            Some((_, name)) => out.push_str(name),
            None => out.push_str(&dotted(id)),
        }
        out.push('=');
        let last = text.chars().count().saturating_sub(1);
        for (at, c) in text.chars().enumerate() {
            let at_edge = (at == 0 && matches!(c, ' ' | '#')) || (at == last && c == ' ');
            if at_edge || matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=') {
                out.push('\\');
            }
            out.push(c);
        }
    }
    out
}

/// What conditions may read, under `principal.claims.certificate`.
fn claims(written: &Written, fingerprint: &[u8; 32]) -> Map<String, Value> {
    let certificate = json!({
        "subject": distinguished(written),
        "serial": hex(&written.serial),
        "sha256": hex(fingerprint),
        "dns": written.hosts,
        "email": written.emails,
        "uri": written.uris,
    });
    Map::from_iter([("certificate".to_owned(), certificate)])
}

/// An object identifier with dots (X.690 section 8.19).
fn dotted(id: &[u8]) -> String {
    let mut numbers = Vec::new();
    let mut number = 0_u64;
    for &byte in id {
        number = number.saturating_mul(128).saturating_add(u64::from(byte & 0x7f));
        if byte & 0x80 == 0 {
            numbers.push(std::mem::take(&mut number));
        }
    }
    let mut out = String::new();
    for (at, number) in numbers.into_iter().enumerate() {
        if at == 0 {
            let first = (number / 40).min(2);
            let _infallible = write!(out, "{first}.{}", number - first * 40);
        } else {
            let _infallible = write!(out, ".{number}");
        }
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _infallible = write!(out, "{byte:02x}");
        out
    })
}

/// RFC 4514 section 3, and the e-mail address that old subjects have.
const ATTRIBUTES: [(&[u8], &str); 10] = [
    (COMMON_NAME, "CN"),
    (&[0x55, 0x04, 0x07], "L"),
    (&[0x55, 0x04, 0x08], "ST"),
    (&[0x55, 0x04, 0x0a], "O"),
    (ORGANIZATIONAL_UNIT, "OU"),
    (&[0x55, 0x04, 0x06], "C"),
    (&[0x55, 0x04, 0x09], "STREET"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01], "UID"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01], "emailAddress"),
];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATIONAL_UNIT: &[u8] = &[0x55, 0x04, 0x0b];

/// SPIFFE ids may be long.
const MAX_ID: usize = 2048;

const _: () = assert!(MAX_SUBJECT <= MAX_ID);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i21_only_a_workloads_spiffe_id_is_one() {
        assert_eq!(spiffe_domain("spiffe://prod.example/ns/sales/sa/etl"), Some("prod.example"));
        for bad in [
            "spiffe://prod.example",
            "spiffe://prod.example/",
            "spiffe:///etl",
            "spiffe://Prod.example/etl",
            "SPIFFE://prod.example/etl",
            "spiffe://prod.example/a//b",
            "spiffe://prod.example/a/../b",
            "spiffe://prod.example/a/",
            "spiffe://prod.example/a?b",
            "spiffe://prod.example/a#b",
            "spiffe://prod.example/a%2fb",
            "spiffe://user@prod.example/a",
            "spiffe://prod.example:443/a",
            "https://prod.example/a",
        ] {
            assert_eq!(spiffe_domain(bad), None, "{bad}");
        }
        assert_eq!(spiffe_domain(&format!("spiffe://a/{}", "b".repeat(MAX_ID))), None);
    }

    #[test]
    fn subjects_are_written_as_rfc_4514_has_it() {
        let pair = |id: &[u8], text: &str| (id.to_vec(), text.to_owned());
        let written = Written {
            subject: vec![
                pair(&[0x55, 0x04, 0x06], "CN"),
                pair(&[0x55, 0x04, 0x0a], "Acme, Inc. \"CRM\""),
                pair(COMMON_NAME, " #1=a+b\\ "),
                pair(&[0x2a, 0x03, 0x04], "x"),
            ],
            ..Written::default()
        };
        assert_eq!(distinguished(&written), r#"1.2.3.4=x,CN=\ #1\=a\+b\\\ ,O=Acme\, Inc. \"CRM\",C=CN"#);
    }
}
