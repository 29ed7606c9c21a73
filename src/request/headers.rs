//! Which headers of a caller's request go upstream: a stated list and what the route adds, nothing else.
//!
//! Whatever the list says, some never go on: hop-by-hop headers and what `Connection` names (RFC 9110 section
//! 7.6.1), credentials, headers by which upstreams take somebody's word for who is calling, method overrides, and
//! what would make the answer something else than the whole of it (ranges) or readable by its size only.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, request};

use crate::policy::Permit;
use crate::rewrite::Format;

use super::{Conditions, Refused, View, trace};

/// The caller's headers that go on, and the gateway's own. Under a view its tokens are translated; without one nothing
/// is known that they could stand for.
pub(super) fn narrowed(
    permit: &Permit,
    caller: &request::Parts,
    view: Option<&View>,
) -> Result<(HeaderMap, Conditions), Refused> {
    let route = permit.route();
    refuse_what_cannot_be_dropped(caller, &route.request_headers, route.public, view.is_some())?;
    let mut headers = selected(&caller.headers, &route.request_headers, route.public);
    if !route.public {
        headers.entry(header::ACCEPT).or_insert_with(|| accepted(&permit.rewrite().format));
    }
    let conditions = match view.filter(|_| !route.public) {
        Some(view) => view.translate(caller, &mut headers)?,
        None => Conditions::default(),
    };
    stamp(&mut headers, permit, Some(&caller.headers));
    Ok((headers, conditions))
}

/// The headers of a request that the gateway makes of its own accord.
pub(super) fn own(permit: &Permit, format: &Format) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, accepted(format));
    stamp(&mut headers, permit, None);
    headers
}

/// Lets a write be done only to the version of the record that was read (RFC 9110 section 13.1.1). A caller that asks for
/// another version is refused.
pub(super) fn only_if(tag: &HeaderValue, headers: &mut HeaderMap) -> Result<(), Refused> {
    let mut asked = headers.get_all(header::IF_MATCH).iter().peekable();
    let fits = |value: &HeaderValue| {
        let mut tags = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        tags.any(|one| one == b"*" || one == tag.as_bytes())
    };
    if asked.peek().is_some() && !asked.any(fits) {
        return Err(Refused::Precondition("if-match"));
    }
    headers.insert(header::IF_MATCH, tag.clone());
    Ok(())
}

fn selected(caller: &HeaderMap, extra: &[Arc<str>], public: bool) -> HeaderMap {
    let named = named_by_connection(caller);
    let mut headers = HeaderMap::new();
    for (name, value) in caller {
        let listed = PASSING.contains(&name.as_str())
            || extra.iter().any(|extra| extra.as_ref() == name.as_str())
            || (public && PASSING_ON_PUBLIC_ROUTES.contains(&name.as_str()));
        if listed && !never(name, public) && !named.contains(name) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// Headers whose silent loss would change what the caller asked for.
fn refuse_what_cannot_be_dropped(
    caller: &request::Parts,
    extra: &[Arc<str>],
    public: bool,
    translated: bool,
) -> Result<(), Refused> {
    let mut upgrades = caller.headers.get_all(header::UPGRADE).iter();
    if upgrades.any(|protocol| protocol.to_str().is_ok_and(|text| !is_h2c(text))) {
        return Err(Refused::Upgrade);
    }
    // RFC 9110 section 13.1: the caller relies on an unsafe method not being done if the condition fails.
    let unsafe_method = !matches!(caller.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let listed = |name: &str| extra.iter().any(|extra| extra.as_ref() == name);
    // Section 13.1.4: beside `If-Match` the date does not count.
    let dated = !(translated && caller.headers.contains_key(header::IF_MATCH));
    let kept = |name: &str| if name == "if-unmodified-since" { !dated } else { translated };
    let lost =
        CONDITIONS.iter().find(|name| caller.headers.contains_key(**name) && !listed(name) && !kept(name));
    match lost {
        Some(name) if unsafe_method && !public => Err(Refused::Precondition(name)),
        _ => Ok(()),
    }
}

/// RFC 9113 section 3.1 has it obsolete; a server may ignore it, and every one of ours does.
fn is_h2c(protocols: &str) -> bool {
    protocols.split(',').all(|protocol| protocol.trim().eq_ignore_ascii_case("h2c"))
}

fn stamp(headers: &mut HeaderMap, permit: &Permit, caller: Option<&HeaderMap>) {
    headers.insert(header::VIA, VIA);
    let id = permit.id();
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(REQUEST_ID, value);
    }
    let parent = caller.and_then(|caller| caller.get(trace::TRACEPARENT));
    if let Ok(value) = HeaderValue::from_str(&trace::continued(parent, id)) {
        headers.insert(trace::TRACEPARENT, value);
    }
}

fn accepted(format: &Format) -> HeaderValue {
    HeaderValue::from_static(match format {
        Format::Json => "application/json",
        Format::Ndjson => "application/x-ndjson, application/jsonl",
        Format::JsonSeq => "application/json-seq",
        Format::Sse => "text/event-stream",
        Format::Csv(_) => "text/csv, text/tab-separated-values",
    })
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(header::CONNECTION).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

fn never(name: &HeaderName, public: bool) -> bool {
    let name = name.as_str();
    let negotiated = !public && name == "accept-encoding";
    negotiated || NEVER.contains(&name) || NEVER_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

const VIA: HeaderValue = HeaderValue::from_static("1.1 fieldgate");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const PASSING: &[&str] = &["accept-language", "user-agent"];
const PASSING_ON_PUBLIC_ROUTES: &[&str] = &[
    "accept",
    "accept-encoding",
    "content-type",
    "content-encoding",
    "content-language",
    "cache-control",
    // Its answers pass as they are, and so do their validators.
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
];
const CONDITIONS: &[&str] = &["if-match", "if-none-match", "if-unmodified-since"];

/// Not even where a route lists them.
const NEVER: &[&str] = &[
    // Hop by hop.
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "expect",
    "max-forwards",
    // Framing and routing are written anew.
    "content-length",
    "host",
    "via",
    "x-request-id",
    "traceparent",
    "tracestate",
    // Credentials go on by the upstream's configuration only.
    "authorization",
    "cookie",
    "cookie2",
    "x-api-key",
    // Parts of answers, and their sizes.
    "range",
    "if-range",
    // Who is calling, as told by the caller.
    "forwarded",
    "from",
    "client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-client-cert",
    "x-client-dn",
    "x-ssl-client-cert",
    "x-original-url",
    "x-original-host",
    "x-original-uri",
    "x-rewrite-url",
    "x-host",
    "x-remote-addr",
    "x-remote-user",
    "remote-user",
    "x-email",
    "x-groups",
    "x-roles",
    "x-authenticated-user",
    "x-authenticated-userid",
    "x-webauth-user",
    "x-consumer-username",
    // Another method than the one that was judged.
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-method",
    "_method",
];

const NEVER_PREFIXES: &[&str] = &[
    "x-forwarded-",
    "x-user",
    "x-auth-",
    "x-identity-",
    "x-principal",
    "x-ssl-",
    "x-envoy-",
    "sec-websocket-",
];

#[cfg(test)]
mod tests;
