//! The one credential of a request: which header, which scheme, which grammar.

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode;

use super::config::Config;
use super::key_text::{self, KeyText};
use super::unauthenticated::Unauthenticated;

/// What a caller presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credential<'h> {
    /// An API key, in `X-Api-Key` or as a bearer.
    Key(&'h str),
    /// Something with dots, as a bearer: a JWT or nothing.
    Token(&'h str),
}

/// The credential of a request, if there is exactly one, in a header, written as it must be.
pub(super) fn only<'h>(config: &Config, head: &'h Parts) -> Result<Credential<'h>, Unauthenticated> {
    refuse_in_query(config, head.uri.query().unwrap_or_default())?;
    let bearer = single(&head.headers, &AUTHORIZATION)?;
    let key = single(&head.headers, &API_KEY)?;
    let credential = match (bearer, key) {
        (None, None) => return Err(Unauthenticated::Missing),
        (Some(_), Some(_)) => return Err(Unauthenticated::Several),
        (Some(value), None) => bearer_token(value)?,
        (None, Some(value)) => {
            let text = credential_text(value)?;
            if text.contains('.') {
                return Err(Unauthenticated::UnknownKey);
            }
            Credential::Key(text)
        }
    };
    let (Credential::Key(text) | Credential::Token(text)) = credential;
    if text.len() > config.max_credential_bytes { Err(Unauthenticated::Malformed) } else { Ok(credential) }
}

/// A header that may stand at most once, even with equal values.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h [u8]>, Unauthenticated> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(http::HeaderValue::as_bytes)),
        (_, Some(_)) => Err(Unauthenticated::Several),
    }
}

/// `Bearer SP token68` (RFC 6750 section 2.1): the scheme in any case (RFC 9110 section 11.1), exactly one space.
fn bearer_token(value: &[u8]) -> Result<Credential<'_>, Unauthenticated> {
    let space = value.iter().position(|&b| b == b' ').ok_or(Unauthenticated::Scheme)?;
    let (scheme, rest) = value.split_at(space);
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(Unauthenticated::Scheme);
    }
    let text = credential_text(rest.get(1..).unwrap_or_default())?;
    Ok(if text.contains('.') { Credential::Token(text) } else { Credential::Key(text) })
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
    let carries_one = query.split(['&', ';']).any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(name).trim().to_lowercase();
        config.refused_query_parameters.contains(&name) || KeyText::parse(decoded(value).trim()).is_some()
    });
    if carries_one { Err(Unauthenticated::InQuery) } else { Ok(()) }
}

fn decoded(text: &str) -> String {
    let spaced: Vec<u8> = text.bytes().map(|b| if b == b'+' { b' ' } else { b }).collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

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
        only(&Config::default(), &head).map(|credential| format!("{credential:?}"))
    }

    fn authorization(value: &str) -> Result<String, Unauthenticated> {
        judged("/", &[("authorization", value.as_bytes())])
    }

    #[test]
    fn takes_a_bearer_or_an_api_key() {
        assert_eq!(authorization("Bearer demo-sales").unwrap(), r#"Key("demo-sales")"#);
        assert_eq!(authorization("bEARER a.b.c").unwrap(), r#"Token("a.b.c")"#);
        assert_eq!(authorization("Bearer QUJD==").unwrap(), r#"Key("QUJD==")"#);
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
        assert_eq!(judged("/", &[("x-api-key", b"a.b.c")]), Err(Unauthenticated::UnknownKey));
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
