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
    // Some servers take an underscore for a hyphen.
    let is_identity = |name: &HeaderName| {
        let plain = name.as_str().replace('_', "-");
        identity.iter().any(|known| known.as_str().replace('_', "-") == plain)
    };
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
