//! The one credential of a request: where it stands, which scheme, which grammar.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method};
use percent_encoding::percent_decode;

use super::config::{Config, TokenCarrier};
use super::key_text::{self, KeyText};
use super::password::Login;
use super::unauthenticated::Unauthenticated;

/// What a caller wrote into a request.
pub(super) enum Credential<'h> {
    /// An API key in `X-Api-Key`.
    Key(&'h str),
    /// A bearer: an API key, a JWT, or an opaque token.
    Bearer(&'h str),
    /// HTTP Basic.
    Password(Login),
    /// A token of a system behind: which one, by its place in the configuration, and the token.
    Vendor(usize, Cow<'h, str>),
}

/// The credential of a request, if there is one, written as it must be. Two are refused, also if they are equal.
pub(super) fn only<'h>(config: &Config, head: &'h Parts) -> Result<Option<Credential<'h>>, Unauthenticated> {
    refuse_in_query(config, head.uri.query().unwrap_or_default())?;
    // All that is there counts, also what is not written as it must be.
    let mut found = Vec::with_capacity(1);
    found.extend(single(&head.headers, &AUTHORIZATION)?.map(|value| authorization(config, value)));
    found.extend(single(&head.headers, &API_KEY)?.map(|value| credential_text(value).map(Credential::Key)));
    for (n, vendor) in config.vendors.iter().enumerate() {
        let token = match &vendor.carrier {
            TokenCarrier::Authorization(_) => None,
            TokenCarrier::Header(name) => {
                single(&head.headers, name)?.map(|value| visible(value).map(Cow::Borrowed))
            }
            TokenCarrier::Cookie(name) => cookie(&head.headers, name)
                .transpose()
                .map(|token| same_site(head).and(token).map(Cow::Borrowed)),
            TokenCarrier::Query(name) => in_query(head.uri.query().unwrap_or_default(), name)
                .transpose()
                .map(|token| token.map(Cow::Owned)),
        };
        found.extend(token.map(|token| token.map(|token| Credential::Vendor(n, token))));
    }
    let credential = found.pop().transpose();
    if !found.is_empty() {
        return Err(Unauthenticated::Several);
    }
    match credential? {
        Some(credential) if credential.len() > config.max_credential_bytes => Err(Unauthenticated::Malformed),
        credential => Ok(credential),
    }
}

impl Credential<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Key(text) | Self::Bearer(text) => text.len(),
            Self::Vendor(_, token) => token.len(),
            // Bounded by its parser.
            Self::Password(_) => 0,
        }
    }

    /// What it is called where it was refused.
    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Key(_) => "api-key",
            Self::Bearer(_) => "bearer",
            Self::Password(_) => "basic",
            Self::Vendor(..) => "vendor-token",
        }
    }
}

/// `scheme SP value` (RFC 9110 section 11.4): the scheme in any case, exactly one space.
fn authorization<'h>(config: &Config, value: &'h [u8]) -> Result<Credential<'h>, Unauthenticated> {
    let space = value.iter().position(|&b| b == b' ').ok_or(Unauthenticated::Scheme)?;
    let (scheme, rest) = value.split_at(space);
    let rest = rest.get(1..).unwrap_or_default();
    let vendor = config.vendors.iter().position(|vendor| {
        matches!(&vendor.carrier, TokenCarrier::Authorization(known) if known.as_bytes().eq_ignore_ascii_case(scheme))
    });
    if scheme.eq_ignore_ascii_case(b"bearer") {
        // RFC 6750 section 2.1; some systems' bearers have other characters, too.
        let text = if vendor.is_some() { visible(rest)? } else { credential_text(rest)? };
        Ok(Credential::Bearer(text))
    } else if let Some(vendor) = vendor {
        Ok(Credential::Vendor(vendor, Cow::Borrowed(visible(rest)?)))
    } else if scheme.eq_ignore_ascii_case(b"basic") && config.passwords.is_some() {
        let text = credential_text(rest)?;
        Login::parse(text).map(Credential::Password).ok_or(Unauthenticated::Malformed)
    } else {
        Err(Unauthenticated::Scheme)
    }
}

/// One or more characters that can be seen and have no meaning in headers and cookies.
fn visible(value: &[u8]) -> Result<&str, Unauthenticated> {
    let fine = |b: &u8| b.is_ascii_graphic() && !b"\",;\\".contains(b);
    match std::str::from_utf8(value) {
        Ok(text) if !value.is_empty() && value.iter().all(fine) => Ok(text),
        _ => Err(Unauthenticated::Malformed),
    }
}

/// A cookie (RFC 6265 section 4.2), which may stand at most once.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Unauthenticated> {
    let mut found = None;
    for line in headers.get_all(COOKIE) {
        for pair in line.as_bytes().split(|&b| b == b';') {
            let at = pair.iter().position(|&b| b == b'=').unwrap_or(pair.len());
            let (key, value) = pair.split_at(at);
            if key.trim_ascii() != name.as_bytes() {
                continue;
            }
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            let value = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
            if found.replace(visible(value)?).is_some() {
                return Err(Unauthenticated::Several);
            }
        }
    }
    Ok(found)
}

/// A browser sends cookies along whoever made it call. A call that changes something counts only if the browser does
/// not say that another site made it (Fetch Metadata, Origin).
fn same_site(head: &Parts) -> Result<(), Unauthenticated> {
    if matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name: &HeaderName| head.headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(&HOST).or_else(|| head.uri.authority().map(|authority| authority.as_str()));
    let fine = match (text(&FETCH_SITE), text(&ORIGIN)) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => origin.split_once("://").map(|(_, origin)| origin) == host,
        (None, None) => true,
    };
    if fine { Ok(()) } else { Err(Unauthenticated::CrossSite) }
}

/// A query parameter, which may stand at most once.
fn in_query(query: &str, name: &str) -> Result<Option<String>, Unauthenticated> {
    let mut found = None;
    for pair in query.split('&') {
        let (key, value) = parameter(pair);
        if key != name {
            continue;
        }
        visible(value.as_bytes())?;
        if found.replace(value).is_some() {
            return Err(Unauthenticated::Several);
        }
    }
    Ok(found)
}

/// Name and value of a parameter, decoded.
pub(super) fn parameter(pair: &str) -> (String, String) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (decoded(name), decoded(value))
}

/// A header that may stand at most once, even with equal values.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h [u8]>, Unauthenticated> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(http::HeaderValue::as_bytes)),
        (_, Some(_)) => Err(Unauthenticated::Several),
    }
}

/// One or more token characters, `=` only at the end.
fn credential_text(value: &[u8]) -> Result<&str, Unauthenticated> {
    let text = std::str::from_utf8(value).map_err(|_| Unauthenticated::Malformed)?;
    let body = text.trim_end_matches('=');
    let allowed = !body.is_empty() && body.bytes().all(|b| key_text::is_credential_byte(b) && b != b'=');
    if allowed { Ok(text) } else { Err(Unauthenticated::Malformed) }
}

/// Addresses end up in logs and histories, so a credential in one is refused even beside a good one.
fn refuse_in_query(config: &Config, query: &str) -> Result<(), Unauthenticated> {
    let declared = |name: &str| {
        config.vendors.iter().any(|v| matches!(&v.carrier, TokenCarrier::Query(known) if **known == *name))
    };
    let carries_one = query.split(['&', ';']).any(|pair| {
        let (name, value) = parameter(pair);
        let refused = config.refused_query_parameters.contains(&name.trim().to_lowercase());
        (refused && !declared(&name)) || KeyText::parse(value.trim()).is_some()
    });
    if carries_one { Err(Unauthenticated::InQuery) } else { Ok(()) }
}

fn decoded(text: &str) -> String {
    let spaced: Vec<u8> = text.bytes().map(|b| if b == b'+' { b' ' } else { b }).collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
pub(super) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn judged(uri: &str, headers: &[(&str, &[u8])]) -> Result<String, Unauthenticated> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, http::HeaderValue::from_bytes(value).unwrap());
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let found = only(&Config::default(), &head)?.ok_or(Unauthenticated::Missing)?;
        Ok(shown(&found))
    }

    fn shown(credential: &Credential<'_>) -> String {
        match credential {
            Credential::Key(text) => format!("Key({text:?})"),
            Credential::Bearer(text) => format!("Bearer({text:?})"),
            Credential::Password(_) => "Password".to_owned(),
            Credential::Vendor(n, token) => format!("Vendor({n}, {token:?})"),
        }
    }

    fn authorization(value: &str) -> Result<String, Unauthenticated> {
        judged("/", &[("authorization", value.as_bytes())])
    }

    #[test]
    fn takes_a_bearer_or_an_api_key() {
        assert_eq!(authorization("Bearer demo-sales").unwrap(), r#"Bearer("demo-sales")"#);
        assert_eq!(authorization("bEARER a.b.c").unwrap(), r#"Bearer("a.b.c")"#);
        assert_eq!(authorization("Bearer QUJD==").unwrap(), r#"Bearer("QUJD==")"#);
        assert_eq!(judged("/", &[("x-api-key", b"demo-sales")]).unwrap(), r#"Key("demo-sales")"#);
    }

    #[test]
    fn i15_two_credentials_are_refused_even_if_equal() {
        for headers in [
            [("authorization", "Bearer a"), ("x-api-key", "a")],
            [("authorization", "Bearer a"), ("authorization", "Bearer a")],
            [("authorization", "Bearer a"), ("authorization", "Basic YTpi")],
            [("x-api-key", "a"), ("x-api-key", "b")],
            [("authorization", "Bearer a"), ("x-api-key", "")],
        ] {
            let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
            assert_eq!(judged("/", &headers), Err(Unauthenticated::Several), "{headers:?}");
        }
    }

    #[test]
    fn i16_only_the_stated_grammar_is_a_bearer() {
        for value in ["", "Bearer", "Basic YTpi", "Bearerx", "Bearer\ta", "Token a", "\"Bearer\" a", "a.b.c"]
        {
            assert_eq!(authorization(value), Err(Unauthenticated::Scheme), "{value:?}");
        }
        for value in [
            "Bearer  a",
            "Bearer a b",
            "Bearer a,b",
            "Bearer a, Bearer b",
            "Bearer \ta",
            "Bearer a\t",
            "Bearer \"a\"",
            "Bearer =",
            "Bearer a=b",
            "Bearer a%2e",
            "Bearer ä",
        ] {
            assert_eq!(authorization(value), Err(Unauthenticated::Malformed), "{value:?}");
        }
        assert_eq!(judged("/", &[("x-api-key", b"")]), Err(Unauthenticated::Malformed));
        assert_eq!(judged("/", &[("x-api-key", b"Bearer a")]), Err(Unauthenticated::Malformed));
        assert_eq!(judged("/", &[("x-api-key", b"\xff")]), Err(Unauthenticated::Malformed));
    }

    #[test]
    fn a_credential_longer_than_its_bound_is_refused() {
        let bound = Config::default().max_credential_bytes;
        assert!(authorization(&format!("Bearer {}", "a".repeat(bound))).is_ok());
        assert_eq!(
            authorization(&format!("Bearer {}", "a".repeat(bound + 1))),
            Err(Unauthenticated::Malformed)
        );
    }

    #[test]
    fn i17_a_credential_in_the_query_is_refused_beside_a_good_one_too() {
        let key = format!("fg_{}_{}", "a".repeat(12), "b".repeat(52));
        for query in [
            "access_token=x",
            "a=1&Access_Token=x",
            "a=1;api_key=x",
            "access%5Ftoken=x",
            "%20api-key+=x",
            "apikey",
            "x-api-key=",
            &format!("note={key}"),
            &format!("note=%20{}", key.replace('f', "%66")),
        ] {
            let got = judged(&format!("/a?{query}"), &[("authorization", b"Bearer demo-sales")]);
            assert_eq!(got, Err(Unauthenticated::InQuery), "{query}");
        }
        assert!(judged("/a?token_type=1&key=7", &[("authorization", b"Bearer demo-sales")]).is_ok());
    }

    proptest::proptest! {
        /// Whatever comes: no panic, and what is taken is one header's text in the stated grammar.
        #[test]
        fn any_bytes_are_judged(
            scheme in "(Bearer|bearer|Basic|) {0,2}",
            value in proptest::collection::vec(0x20_u8..=0xff, 0..40),
            query in "[a-z_%0-9=&;+]{0,40}",
        ) {
            let value: Vec<u8> = value.into_iter().filter(|b| *b != 0x7f).collect();
            let bearer = [scheme.as_bytes(), &value].concat();
            if let Ok(taken) = judged(&format!("/?{query}"), &[("authorization", &bearer)]) {
                let text = String::from_utf8(value).unwrap();
                proptest::prop_assert!(!text.is_empty() && taken.contains(text.trim_start()));
                proptest::prop_assert!(scheme.eq_ignore_ascii_case("bearer "));
            }
        }
    }

    #[test]
    fn i19_no_credential_is_nobody() {
        assert_eq!(judged("/", &[]), Err(Unauthenticated::Missing));
        assert_eq!(judged("/", &[("cookie", b"session=1")]), Err(Unauthenticated::Missing));
    }
}
