//! Identity by the word of a proxy in front: only from peers that the configuration names, by their address or their
//! client certificate. From anybody else the headers mean nothing, and they never go upstream.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use serde_json::Map;

use super::claims::{MAX_GROUPS, MAX_NAME, MAX_SUBJECT, is_plain};
use super::config::FrontProxy;
use super::principal::{Kind, Method, Subject};
use super::unauthenticated::Unauthenticated;

impl FrontProxy {
    /// Whether the other end of a connection is this proxy. `certificate`: authority and subject of the one shown.
    pub(super) fn is(&self, peer: IpAddr, certificate: Option<(&str, &str)>) -> bool {
        let by_address = self.peers.iter().any(|net| net.contains(&peer));
        let by_certificate = certificate.is_some_and(|shown| {
            self.certificates.iter().any(|(authority, id)| (&**authority, &**id) == shown)
        });
        match (self.peers.is_empty(), self.certificates.is_empty()) {
            (false, false) => by_address && by_certificate,
            (false, true) => by_address,
            (true, _) => by_certificate,
        }
    }

    /// Whether it says who is calling.
    pub(super) fn speaks(&self, headers: &HeaderMap) -> bool {
        headers.contains_key(&self.id)
    }

    /// Who is calling, as it says. A header that cannot be read, or stands there twice, refuses.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Arc<Subject>, Unauthenticated> {
        let unread = |name: &HeaderName| Unauthenticated::Header(name.as_str().into());
        let id = one(headers, &self.id)?.filter(|id| is_plain(id, MAX_SUBJECT));
        let id = id.ok_or_else(|| unread(&self.id))?;
        let mut groups: Vec<Arc<str>> = Vec::new();
        if let Some(name) = &self.groups {
            let listed = one(headers, name)?.unwrap_or_default();
            for group in listed.split(self.separator).map(str::trim).filter(|group| !group.is_empty()) {
                if !is_plain(group, MAX_NAME) || groups.len() >= MAX_GROUPS {
                    return Err(unread(name));
                }
                if !groups.iter().any(|known| **known == *group) {
                    groups.push(group.into());
                }
            }
        }
        let name = match &self.name {
            Some(name) => one(headers, name)?.filter(|text| is_plain(text, MAX_NAME)),
            None => None,
        };
        let mfa = match &self.mfa {
            Some((name, values)) => one(headers, name)?.is_some_and(|told| values.iter().any(|v| v == told)),
            None => false,
        };
        Ok(Arc::new(Subject {
            issuer: Arc::clone(&self.issuer),
            id: id.into(),
            name: name.map(Into::into),
            kind: Kind::Person,
            groups,
            roles: Vec::new(),
            claims: Map::new(),
            mfa,
            method: Method::FrontProxy,
            credential: None,
        }))
    }

    /// The headers by which it speaks.
    pub(super) fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        let mfa = self.mfa.as_ref().map(|(name, _)| name);
        [Some(&self.id), self.name.as_ref(), self.groups.as_ref(), mfa].into_iter().flatten()
    }
}

/// The text of a header that may stand at most once.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Unauthenticated> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    let text = first.map(|value| std::str::from_utf8(value.as_bytes())).transpose();
    match (text, second) {
        (Ok(text), None) => Ok(text.map(str::trim)),
        _ => Err(Unauthenticated::Header(name.as_str().into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy() -> FrontProxy {
        FrontProxy {
            peers: vec!["10.0.0.0/24".parse().unwrap()],
            certificates: Vec::new(),
            issuer: "https://sso.example".into(),
            id: HeaderName::from_static("x-sso-user"),
            name: Some(HeaderName::from_static("x-sso-name")),
            groups: Some(HeaderName::from_static("x-sso-groups")),
            separator: ',',
            mfa: Some((HeaderName::from_static("x-sso-acr"), vec!["mfa".to_owned()])),
        }
    }

    fn told(lines: &[(&str, &[u8])]) -> Result<Arc<Subject>, Unauthenticated> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, http::HeaderValue::from_bytes(value).unwrap());
        }
        proxy().caller(&headers)
    }

    #[test]
    fn it_says_who_in_which_groups_and_by_how_many_factors() {
        let caller = told(&[
            ("x-sso-user", b"li.na"),
            ("x-sso-name", "王芳".as_bytes()),
            ("x-sso-groups", b"crm-sales, all,,all"),
            ("x-sso-acr", b"mfa"),
        ])
        .unwrap();
        assert_eq!((&*caller.issuer, &*caller.id), ("https://sso.example", "li.na"));
        assert_eq!(caller.name.as_deref(), Some("王芳"));
        assert_eq!(caller.groups.iter().map(|g| &**g).collect::<Vec<_>>(), ["crm-sales", "all"]);
        assert!(caller.mfa);
        assert!(!told(&[("x-sso-user", b"li.na"), ("x-sso-acr", b"mfa2")]).unwrap().mfa);
    }

    #[test]
    fn s14_a_header_twice_or_unreadable_refuses() {
        let user: (&str, &[u8]) = ("x-sso-user", b"li.na");
        let cases: [&[(&str, &[u8])]; 6] = [
            &[user, ("x-sso-user", b"admin")],
            &[("x-sso-user", b"")],
            &[("x-sso-user", b"\xff")],
            &[user, ("x-sso-groups", b"a"), ("x-sso-groups", b"admins")],
            &[user, ("x-sso-groups", b"a,\xff")],
            &[user, ("x-sso-acr", b"mfa"), ("x-sso-acr", b"pwd")],
        ];
        for lines in cases {
            assert!(matches!(told(lines), Err(Unauthenticated::Header(_))), "{lines:?}");
        }
        let long = vec![b'a'; MAX_SUBJECT + 1];
        assert!(told(&[("x-sso-user", &long)]).is_err());
    }

    #[test]
    fn i13_only_the_named_peer_is_the_proxy() {
        let (near, far) = ("10.0.0.7".parse().unwrap(), "10.0.1.7".parse().unwrap());
        let shown = Some(("prod", "spiffe://prod.example/front"));
        assert!(proxy().is(near, None) && !proxy().is(far, None) && !proxy().is(far, shown));
        let by_certificate = FrontProxy {
            peers: Vec::new(),
            certificates: vec![("prod".into(), "spiffe://prod.example/front".into())],
            ..proxy()
        };
        assert!(by_certificate.is(far, shown) && !by_certificate.is(far, None));
        assert!(!by_certificate.is(far, Some(("partners", "spiffe://prod.example/front"))));
        let by_both = FrontProxy { peers: proxy().peers, ..by_certificate };
        assert!(by_both.is(near, shown) && !by_both.is(near, None) && !by_both.is(far, shown));
    }
}
