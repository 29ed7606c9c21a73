use http::Request;

use super::*;

fn head(method: &str, lines: &[(&'static str, &'static str)]) -> request::Parts {
    let mut request = Request::builder().method(method).uri("/");
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn extra(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

fn passing(lines: &[(&'static str, &'static str)], extra_names: &[&str], public: bool) -> Vec<String> {
    let selected = selected(&head("GET", lines).headers, &extra(extra_names), public);
    let mut names: Vec<_> = selected.keys().map(|name| name.as_str().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn only_listed_headers_pass() {
    let lines = [
        ("accept", "text/html"),
        ("accept-language", "zh"),
        ("accept-encoding", "br"),
        ("user-agent", "curl"),
        ("x-custom", "1"),
        ("sforce-query-options", "batchSize=200"),
        ("referer", "https://a/?phone=1"),
        ("origin", "https://a"),
        ("cookie", "a=b"),
    ];
    assert_eq!(passing(&lines, &[], false), ["accept-language", "user-agent"]);
    let listed = passing(&lines, &["sforce-query-options", "x-other"], false);
    assert_eq!(listed, ["accept-language", "sforce-query-options", "user-agent"]);
    assert_eq!(passing(&lines, &[], true), ["accept", "accept-encoding", "accept-language", "user-agent"]);
}

/// S09, S14, I13, P13, R06, R13: not even a route's own list lets these through.
#[test]
fn some_headers_never_pass() {
    let never = [
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
        "proxy-authorization",
        "authorization",
        "cookie",
        "x-api-key",
        "host",
        "content-length",
        "x-forwarded-for",
        "x-forwarded-user",
        "forwarded",
        "x-real-ip",
        "x-user-id",
        "x-remote-user",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
        "range",
        "if-range",
        "accept-encoding",
        "via",
        "traceparent",
    ];
    let lines = never.map(|name| (name, "x"));
    assert!(passing(&lines, &never, false).is_empty());
    let public = passing(&lines, &never, true);
    assert_eq!(public, ["accept-encoding"]);
}

#[test]
fn what_connection_names_stays_behind() {
    let lines = [
        ("connection", "close, X-Listed"),
        ("connection", "accept-language"),
        ("x-listed", "1"),
        ("accept-language", "zh"),
        ("user-agent", "curl"),
    ];
    assert_eq!(passing(&lines, &["x-listed"], false), ["user-agent"]);
}

#[test]
fn names_with_underscores_are_other_names() {
    assert!(passing(&[("accept_language", "zh"), ("user_agent", "x")], &[], false).is_empty());
}

#[test]
fn a_switch_of_protocols_is_refused() {
    let refused = |protocol| {
        let lines = [("connection", "upgrade"), ("upgrade", protocol)];
        refuse_what_cannot_be_dropped(&head("GET", &lines), &[], false, false)
    };
    assert!(matches!(refused("websocket"), Err(Refused::Upgrade)));
    assert!(matches!(refused("h2c, websocket"), Err(Refused::Upgrade)));
    assert!(refused("h2c").is_ok());
}

#[test]
fn a_precondition_on_a_change_is_refused_where_it_would_be_lost() {
    for name in ["if-match", "if-none-match", "if-unmodified-since"] {
        let checked = |method, names: &[&str], public| {
            refuse_what_cannot_be_dropped(&head(method, &[(name, "x")]), &extra(names), public, false)
        };
        assert!(matches!(checked("PUT", &[], false), Err(Refused::Precondition(_))), "{name}");
        assert!(matches!(checked("POST", &["x-other"], false), Err(Refused::Precondition(_))), "{name}");
        assert!(checked("PUT", &[name], false).is_ok(), "{name}");
        assert!(checked("GET", &[], false).is_ok(), "{name}");
        assert!(checked("PUT", &[], true).is_ok(), "{name}");
    }
}

#[test]
fn every_format_asks_for_its_own_types() {
    assert_eq!(accepted(&Format::Json), "application/json");
    assert_eq!(accepted(&Format::Sse), "text/event-stream");
}
