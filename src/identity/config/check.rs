//! What cannot be right about the methods of [`super::methods`], without touching files or the network.

use crate::rewrite::{Path, Step};

use super::methods::{CertificateName, TokenCarrier};
use super::{Config, Fault, check_url, fault};

impl Config {
    pub(super) fn check_methods(&self, faults: &mut Vec<Fault>) {
        self.check_authorities(faults);
        self.check_introspection(faults);
        self.check_front_proxies(faults);
        self.check_vendors(faults);
        self.check_clashes(faults);
    }

    fn check_authorities(&self, faults: &mut Vec<Fault>) {
        for (n, authority) in self.authorities.iter().enumerate() {
            let path = |member: &str| format!("certificates[{n}].{member}");
            let earlier = self.authorities.iter().take(n);
            if earlier.clone().any(|other| other.name == authority.name) {
                faults.push(fault(
                    path("name"),
                    format!("`{}` stands here twice", authority.name),
                    "one entry an authority; its file may hold several certificates",
                ));
            }
            if let CertificateName::Spiffe { trust_domain } = &authority.subject {
                if !is_trust_domain(trust_domain) {
                    faults.push(fault(
                        path("trust_domain"),
                        format!("`{trust_domain}` is not a trust domain"),
                        "lower case letters, digits and `. - _`, such as `prod.example`",
                    ));
                }
                let same = |other: &super::CertificateAuthority| matches!(&other.subject, CertificateName::Spiffe { trust_domain: known } if known == trust_domain);
                if earlier.clone().any(same) {
                    faults.push(fault(
                        path("trust_domain"),
                        format!("trust domain `{trust_domain}` has two authorities"),
                        "put the certificates of both into one file",
                    ));
                }
            }
        }
    }

    fn check_introspection(&self, faults: &mut Vec<Fault>) {
        let Some(introspection) = &self.introspection else { return };
        if let Err(message) = check_url(&introspection.url.to_string(), false) {
            faults.push(fault(
                "introspection.url".to_owned(),
                message,
                "use https: tokens and the gateway's secret go there",
            ));
        }
        if introspection.client_id.is_empty() {
            faults.push(fault(
                "introspection.client_id".to_owned(),
                "the gateway has no name at the endpoint".to_owned(),
                "RFC 7662 section 2.1: who may ask must be known there",
            ));
        }
    }

    fn check_front_proxies(&self, faults: &mut Vec<Fault>) {
        for (n, proxy) in self.front_proxies.iter().enumerate() {
            let path = |member: &str| format!("front_proxies[{n}].{member}");
            if proxy.peers.is_empty() && proxy.certificates.is_empty() {
                faults.push(fault(
                    path("peers"),
                    "anybody could say to be this proxy".to_owned(),
                    "name its addresses in `peers`, its certificates in `certificates`, or both",
                ));
            }
            if proxy.peers.iter().any(|net| net.prefix_len() == 0) {
                faults.push(fault(
                    path("peers"),
                    "every address there is could be this proxy".to_owned(),
                    "name the addresses of the proxy alone",
                ));
            }
            for (authority, id) in &proxy.certificates {
                if !self.authorities.iter().any(|known| known.name == *authority) {
                    faults.push(fault(
                        path("certificates"),
                        format!("`{id}` is of authority `{authority}`, which is not in `certificates`"),
                        "add the authority, or correct its name",
                    ));
                }
            }
            let mfa = proxy.mfa.as_ref().map(|(name, _)| name);
            for name in
                [Some(&proxy.id), proxy.name.as_ref(), proxy.groups.as_ref(), mfa].into_iter().flatten()
            {
                if OWN_HEADERS.contains(&name.as_str()) {
                    faults.push(fault(
                        path("id"),
                        format!("`{name}` has another meaning already"),
                        "use a header that nothing else uses, such as `X-Forwarded-User`",
                    ));
                }
            }
        }
    }

    fn check_vendors(&self, faults: &mut Vec<Fault>) {
        for (n, vendor) in self.vendors.iter().enumerate() {
            let path = |member: &str| format!("vendor_tokens[{n}].{member}");
            if self.vendors.iter().take(n).any(|other| other.name == vendor.name) {
                faults.push(fault(
                    path("name"),
                    format!("`{}` stands here twice", vendor.name),
                    "its principals would be mistaken for those of the other",
                ));
            }
            if self.issuers.iter().any(|issuer| issuer.issuer == vendor.name) {
                faults.push(fault(
                    path("name"),
                    format!("`{}` is an issuer of tokens", vendor.name),
                    "whoever vouches is part of who somebody is: give the system a name of its own",
                ));
            }
            if let TokenCarrier::Header(name) = &vendor.carrier
                && OWN_HEADERS.contains(&name.as_str())
            {
                faults.push(fault(
                    path("token"),
                    format!("`{name}` has another meaning already"),
                    "for `Authorization` name the `scheme`, for a cookie the `cookie`",
                ));
            }
            for place in std::iter::once(&vendor.id).chain(&vendor.display_name).chain(&vendor.groups) {
                if !is_plain(place) {
                    faults.push(fault(
                        path("id"),
                        format!("`{}` is more than names, indexes and `[*]`", place.to_jsonpath()),
                        "such as `$.user.id` and `$.user.groups[*].name`",
                    ));
                }
            }
            if !vendor.id.is_singular() {
                faults.push(fault(
                    path("id"),
                    format!("`{}` could be several places", vendor.id.to_jsonpath()),
                    "an id stands in one place, such as `$.user.id`",
                ));
            }
        }
    }

    /// Two methods that would be asked about the same credential.
    fn check_clashes(&self, faults: &mut Vec<Fault>) {
        let scheme = |name: &str| {
            self.vendors.iter().position(|vendor| {
                matches!(&vendor.carrier, TokenCarrier::Authorization(known) if known.eq_ignore_ascii_case(name))
            })
        };
        if let (Some(n), true) = (scheme("bearer"), self.introspection.is_some()) {
            faults.push(fault(
                format!("vendor_tokens[{n}].token"),
                "bearer tokens that are no JWTs would be shown to the issuer and to the system".to_owned(),
                "keep one of `introspection` and a `vendor_tokens` with bearers",
            ));
        }
        if let (Some(n), true) = (scheme("basic"), self.passwords.is_some()) {
            faults.push(fault(
                format!("vendor_tokens[{n}].token"),
                "passwords would be judged here and by the system".to_owned(),
                "keep one of `basic` and a `vendor_tokens` with scheme Basic",
            ));
        }
        for (n, vendor) in self.vendors.iter().enumerate() {
            if self.vendors.iter().take(n).any(|other| same_place(&other.carrier, &vendor.carrier)) {
                faults.push(fault(
                    format!("vendor_tokens[{n}].token"),
                    format!("tokens of `{}` stand where those of another system do", vendor.name),
                    "a token would be shown to a system that it is not of",
                ));
            }
        }
    }
}

fn same_place(a: &TokenCarrier, b: &TokenCarrier) -> bool {
    match (a, b) {
        (TokenCarrier::Authorization(a), TokenCarrier::Authorization(b)) => a.eq_ignore_ascii_case(b),
        _ => a == b,
    }
}

fn is_plain(path: &Path) -> bool {
    let plain = |step: &Step| matches!(step, Step::Name(_) | Step::Index(_) | Step::Elements);
    !path.is_root() && path.steps().iter().all(plain)
}

/// SPIFFE ID specification, section 2.1.
pub(in crate::identity) fn is_trust_domain(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    !text.is_empty() && text.len() <= 255 && text.bytes().all(allowed)
}

/// Headers that cannot be given another meaning.
const OWN_HEADERS: [&str; 12] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "x-forwarded-for",
    "forwarded",
    "via",
];
