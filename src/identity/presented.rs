//! What becomes of a credential after it was judged: it leaves the request, together with everything else by which a
//! caller could say who it is. Only a token that is not the gateway's own may go upstream, and only to an upstream that
//! is configured to take it.

use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::config::{Config, TokenCarrier};
use super::credential::{self, API_KEY};

/// A caller's own credential, for an upstream that takes it.
#[derive(Clone, Debug)]
pub struct Presented {
    /// The only api that gets it; `None`: any that takes callers' credentials.
    api: Option<Arc<str>>,
    carried: Carried,
}

/// A credential, where its system looks for it.
#[derive(Clone)]
pub enum Carried {
    /// In a header.
    Header(HeaderName, HeaderValue),
    /// In the query: `name=value`, encoded.
    Query(Arc<str>),
}

impl Presented {
    /// The caller's `Authorization`, as it stands.
    pub(super) fn authorization(headers: &HeaderMap) -> Option<Self> {
        let mut value = headers.get(AUTHORIZATION)?.clone();
        value.set_sensitive(true);
        Some(Self { api: None, carried: Carried::Header(AUTHORIZATION, value) })
    }

    /// A token of the system behind this api.
    pub(super) fn of_api(api: &Arc<str>, carrier: &TokenCarrier, token: &str) -> Option<Self> {
        Some(Self { api: Some(Arc::clone(api)), carried: Carried::new(carrier, token)? })
    }

    /// The credential, if it may go to this api.
    pub fn to(&self, api: &str) -> Option<&Carried> {
        self.api.as_deref().is_none_or(|only| only == api).then_some(&self.carried)
    }
}

impl Carried {
    /// Puts a token where its system looks for it.
    pub(super) fn new(carrier: &TokenCarrier, token: &str) -> Option<Self> {
        let (name, value) = match carrier {
            TokenCarrier::Authorization(scheme) => (AUTHORIZATION, format!("{scheme} {token}")),
            TokenCarrier::Header(name) => (name.clone(), token.to_owned()),
            TokenCarrier::Cookie(name) => (COOKIE, format!("{name}={token}")),
            TokenCarrier::Query(name) => {
                let encoded = |text| utf8_percent_encode(text, QUERY);
                return Some(Self::Query(format!("{}={}", encoded(name), encoded(token)).into()));
            }
        };
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some(Self::Header(name, value))
    }

    /// The same address with this in its query.
    pub fn added_to(uri: &Uri, pair: &str) -> Option<Uri> {
        let sign = if uri.query().is_some() { '&' } else { '?' };
        format!("{uri}{sign}{pair}").parse().ok()
    }
}

impl std::fmt::Debug for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Carried(…)")
    }
}

/// Takes out of a request everything by which a caller could say who it is, and keeps what may go upstream.
pub(super) fn conceal(config: &Config, head: &mut Parts, kept: Option<Presented>) {
    let mut identity: Vec<&HeaderName> =
        config.front_proxies.iter().flat_map(|proxy| proxy.headers()).collect();
    let mut parameters: Vec<&str> = Vec::new();
    for vendor in &config.vendors {
        match &vendor.carrier {
            TokenCarrier::Header(name) => identity.push(name),
            TokenCarrier::Query(name) => parameters.push(name),
            // Cookies go on from nobody.
            TokenCarrier::Authorization(_) | TokenCarrier::Cookie(_) => {}
        }
    }
    let key = API_KEY;
    identity.extend([&AUTHORIZATION, &key]);
    let is_identity =
        |name: &HeaderName| identity.iter().any(|known| mistaken(known.as_str(), name.as_str()));
    let gone: Vec<HeaderName> = head.headers.keys().filter(|name| is_identity(name)).cloned().collect();
    for name in gone {
        head.headers.remove(&name);
    }
    if !parameters.is_empty() {
        without(&mut head.uri, |name| parameters.contains(&name));
    }
    if let Some(kept) = kept {
        head.extensions.insert(kept);
    }
}

/// Whether two header names are the same to a server that takes an underscore for a hyphen.
fn mistaken(a: &str, b: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
    a.len() == b.len() && a.bytes().map(plain).eq(b.bytes().map(plain))
}

/// Takes parameters out of a query; the others stay as they were written.
fn without(uri: &mut Uri, gone: impl Fn(&str) -> bool) {
    let Some(query) = uri.query() else { return };
    let left: Vec<&str> = query.split('&').filter(|pair| !gone(&credential::parameter(pair).0)).collect();
    let target =
        if left.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), left.join("&")) };
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).unwrap_or(PathAndQuery::from_static("/")));
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn left(uri: &str, names: &[&str]) -> String {
        let mut uri: Uri = uri.parse().unwrap();
        without(&mut uri, |name| names.contains(&name));
        uri.to_string()
    }

    #[test]
    fn i17_a_token_leaves_the_address_and_the_rest_stays_as_it_was() {
        assert_eq!(left("/a?b=%20c&token=x&d", &["token"]), "/a?b=%20c&d");
        assert_eq!(left("/a?t%6fken=x", &["token"]), "/a");
        assert_eq!(left("http://h/a?token=x&token=y&tokens=z", &["token"]), "http://h/a?tokens=z");
        assert_eq!(left("/a", &["token"]), "/a");
        assert_eq!(left("/a?b=c&&d", &["token"]), "/a?b=c&&d");
    }

    #[test]
    fn s14_underscores_hide_no_identity_header() {
        let request = Request::get("/")
            .header("authorization", "Bearer x")
            .header("x_api_key", "x")
            .header("x-api-key", "x")
            .header("x-api-keys", "kept");
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        conceal(&Config::default(), &mut head, None);
        let names: Vec<&str> = head.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-api-keys"]);
    }

    #[test]
    fn a_token_goes_to_the_api_of_its_system_alone() {
        let carrier = TokenCarrier::Header(HeaderName::from_static("x-session"));
        let presented = Presented::of_api(&"crm".into(), &carrier, "t").unwrap();
        assert!(presented.to("crm").is_some() && presented.to("erp").is_none());
        assert!(!format!("{presented:?}").contains("t\""), "never shown");
        assert!(Presented::of_api(&"crm".into(), &carrier, "a\nb").is_none());
        let query = Carried::new(&TokenCarrier::Query("a b".into()), "x&y=z").unwrap();
        let Carried::Query(pair) = query else { panic!("in the query") };
        assert_eq!(Carried::added_to(&"/p?q=1".parse().unwrap(), &pair).unwrap(), "/p?q=1&a%20b=x%26y%3Dz");
    }
}
