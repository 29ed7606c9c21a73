//! Which headers of an answer go on: those the route lists, and none otherwise. On a public route all that are no
//! concern of the connection, of sessions with the upstream, or of ways round the gateway.

use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LINK, VARY,
    X_CONTENT_TYPE_OPTIONS,
};

use crate::policy::RouteFacts;
use crate::upstream::UpstreamResponse;

use super::origin::Origins;
use super::veil::Veil;

/// The headers of a rewritten answer, besides its type and coding.
pub(super) fn governed(
    route: &RouteFacts,
    answer: &UpstreamResponse,
    origins: Option<&Origins>,
) -> HeaderMap {
    let mut headers = selected(answer, |name| {
        let listed = route.response_headers.iter().any(|listed| listed.as_ref() == name);
        listed && !NEVER_GOVERNED.contains(&name)
    });
    if let Some(origins) = origins.filter(|_| route.response_headers.iter().any(|listed| &**listed == "link"))
    {
        for value in answer.head().headers.get_all(LINK).iter().filter(|value| !repeats(answer, value)) {
            let turned = value.to_str().ok().and_then(|links| turned(links, origins));
            if let Some(turned) = turned.and_then(|links| HeaderValue::from_str(&links).ok()) {
                headers.append(LINK, turned);
            }
        }
    }
    // Different principals see different answers at one URL: no shared cache may keep one.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(VARY, HeaderValue::from_static("authorization, x-api-key, accept-encoding"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
}

/// Links (RFC 8288 section 3) with the upstream's URLs turned; `None` if one leads elsewhere.
fn turned(links: &str, origins: &Origins) -> Option<String> {
    let mut out = String::new();
    let mut rest = links;
    while let Some((before, after)) = rest.split_once('<') {
        let (target, behind) = after.split_once('>')?;
        let relative = target.starts_with('/') && !target.starts_with("//");
        let target = if relative { target.to_owned() } else { origins.turned(target)? };
        out.push_str(before);
        out.push('<');
        out.push_str(&target);
        out.push('>');
        rest = behind;
    }
    out.push_str(rest);
    Some(out)
}

/// The headers of a public route's answer.
pub(super) fn public(answer: &UpstreamResponse) -> HeaderMap {
    let mut headers = selected(answer, |_| true);
    let media_type = answer.head().headers.get(CONTENT_TYPE).filter(|value| !repeats(answer, value));
    if let Some(media_type) = media_type {
        headers.insert(CONTENT_TYPE, media_type.clone());
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
}

fn selected(answer: &UpstreamResponse, listed: impl Fn(&str) -> bool) -> HeaderMap {
    let given = &answer.head().headers;
    let named = named_by_connection(given);
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        if never(name) || named.contains(name) || !listed(name.as_str()) || repeats(answer, value) {
            continue;
        }
        if HOLDING_URLS.contains(&name.as_str()) {
            let local = value.to_str().ok().and_then(|url| answer.localised(url));
            if let Some(local) = local.and_then(|url| HeaderValue::from_str(&url).ok()) {
                headers.append(name, local);
            }
        } else {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// Whether a value repeats the gateway's own credential.
fn repeats(answer: &UpstreamResponse, value: &HeaderValue) -> bool {
    answer.reflections().is_some_and(|hidden| Veil::covers(hidden, value.as_bytes()))
}

fn never(name: &HeaderName) -> bool {
    NEVER.contains(&name.as_str()) || NEVER_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(CONNECTION).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

/// Rewritten to the gateway's origin; a foreign URL goes.
const HOLDING_URLS: &[&str] = &["location", "content-location"];

const NEVER: &[&str] = &[
    // Hop by hop (RFC 9110 section 7.6.1), and framing, which is made anew.
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    // The session between gateway and upstream.
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
    "authentication-info",
    "authorization",
    // Ways round the gateway, and orders to it.
    "alt-svc",
    "alt-used",
    "link",
    "refresh",
    "nel",
    "report-to",
    "reporting-endpoints",
    "sourcemap",
    "x-sourcemap",
    "x-sendfile",
    "x-reproxy-url",
    "strict-transport-security",
    "public-key-pins",
    "content-range",
    "accept-ranges",
    // Whose software, and where.
    "server",
    "via",
    "x-powered-by",
    "x-aspnet-version",
    "x-runtime",
    "x-backend-server",
    "x-served-by",
];
const NEVER_PREFIXES: &[&str] = &["x-accel-", "sec-websocket-", "access-control-"];

/// Not on a governed route, even where it lists them: they speak of the answer before it was rewritten.
const NEVER_GOVERNED: &[&str] = &[
    "content-type",
    "content-encoding",
    "content-md5",
    "content-digest",
    "repr-digest",
    "digest",
    "want-digest",
    "etag",
    "age",
    "cache-control",
    "expires",
    "pragma",
    "surrogate-control",
    "cdn-cache-control",
    "vary",
    "clear-site-data",
    "signature",
    "signature-input",
];
