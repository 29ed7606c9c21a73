//! Group P of the threats: what a target, a method or a parameter could be taken for by somebody else. The canonical
//! form is judged and is what the upstream receives; whatever has two readings is refused.

use crate::support::gateway::{FINANCE, Gateway, MANAGER, SALES, Setup};
use crate::support::upstream::{self, Framing, Upstream, answer};

const ONE: &str = r#"{"data":{"id":1,"name":"Ada","owner_id":"li.na"}}"#;

async fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::start(|_| upstream::json(ONE)).await;
    // Public requests are not what is counted here.
    let limits = "limits:\n  - { name: all, per: all, requests: 100000/min }\n";
    let gateway = Setup::before(&upstream).policy(limits).start().await;
    (upstream, gateway)
}

/// Each target, raw, by somebody who may read single customers and by nobody: neither reaches the upstream.
async fn are_refused(targets: &[&str]) {
    let (upstream, gateway) = gateway().await;
    for target in targets {
        for who in [FINANCE, "X: y"] {
            let mut raw = gateway.connect().await;
            raw.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{who}\r\nConnection: close\r\n\r\n")).await;
            let answer = raw.answer(false).await.unwrap_or_else(|| panic!("no answer to {target:?}"));
            assert!((400..500).contains(&answer.status), "{target:?}: {}", answer.status);
            assert!(!answer.holds("Ada"), "{target:?}");
        }
    }
    assert!(upstream.received().is_empty(), "the upstream saw {:?}", upstream.received());
}

/// What the upstream is asked for, where it is asked at all.
async fn asked(target: &str) -> Option<String> {
    let (upstream, gateway) = gateway().await;
    let mut raw = gateway.connect().await;
    raw.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{MANAGER}\r\nConnection: close\r\n\r\n")).await;
    raw.answer(false).await.expect("an answer");
    upstream.received().pop().map(|request| request.target)
}

#[tokio::test]
async fn p01_dot_segments_are_refused() {
    are_refused(&[
        "/./customers/1",
        "/customers/./1",
        "/customers/../export",
        "/customers/1/..",
        "/customers/1/../1",
        "/../customers/1",
        "/customers/..",
        "/healthz/../customers/1",
        "/healthz/..%2fcustomers/1",
        "/customers/%2e%2e/export",
        "/customers/%2E./1",
        "/customers/.%2e/export",
        "/%2e/customers/1",
        "/customers/..;/export",
        "/customers/..%00/export",
        "/customers/%252e%252e/export",
        "/customers/..%5cexport",
        "/healthz/%2e%2e/customers/1",
        "/.../customers/1",
    ])
    .await;
}

#[tokio::test]
async fn p02_slashes_in_disguise_are_refused() {
    are_refused(&[
        "/customers%2f1",
        "/customers%2F1",
        "/customers%5c1",
        "/customers\\1",
        "/customers/1%2f..%2f2",
        "/customers/1%5C2",
        "/customers%252f1",
        "/healthz%2f..%2fcustomers%2f1",
        "/customers/%2f1",
        "/customers/a%2fb",
        "/%5ccustomers/1",
        "\\customers\\1",
        "/customers/%c0%af1",
        "/customers/%e0%80%af1",
        "/customers%ef%bc%8f1",
    ])
    .await;
}

#[tokio::test]
async fn p03_slashes_dots_and_blanks_at_the_edges_are_refused() {
    are_refused(&[
        "//customers/1",
        "/customers//1",
        "///customers/1",
        "/customers/1//",
        "/customers/1/",
        "/customers/",
        "/customers/1.",
        "/customers/1%20",
        "/customers/%201",
        "/customers/1%09",
        "/customers./1",
        "/customers%20/1",
        "/customers/1%00",
        "/customers/1%0a",
        "/customers/1%0d%0aX:%20y",
        "/customers/1%7f",
        "/customers/1..",
    ])
    .await;
}

#[tokio::test]
async fn p04_case_and_unicode_make_no_other_route() {
    are_refused(&[
        "/Customers/1",
        "/CUSTOMERS/1",
        "/EXPORT",
        "/Export",
        "/%45xport",
        "/expor%54",
        "/HEALTHZ",
        "/custom\u{435}rs/1",
        "/%ef%bd%83ustomers/1",
        "/customers\u{200b}/1",
        "/cu%c5%bftomers/1",
        "/customers%e2%80%8b/1",
        "/customers/%ff",
        "/customers/%ed%a0%80",
        "/customers/%c3%28",
        "/%u0063ustomers/1",
    ])
    .await;
    // What is only written another way is the same, and is sent in one way.
    assert_eq!(asked("/%63ustomers/%31").await.as_deref(), Some("/customers/1"));
    assert_eq!(asked("/customers/%e7%8e%8b").await.as_deref(), Some("/customers/%E7%8E%8B"));
}

#[tokio::test]
async fn p05_matrix_parameters_are_refused() {
    are_refused(&[
        "/customers;x=y/1",
        "/customers/1;x=y",
        "/customers/;x/1",
        "/customers;/1",
        "/customers/1;jsessionid=a",
        "/healthz;/../customers/1",
        "/customers/1%3bx=y",
        ";/customers/1",
    ])
    .await;
}

#[tokio::test]
async fn p06_a_suffix_of_a_key_is_part_of_the_key() {
    // The same record under the same rules, whatever the upstream makes of it.
    assert_eq!(asked("/customers/1.json").await.as_deref(), Some("/customers/1.json"));
    let upstream = Upstream::start(|_| {
        answer("200 OK", &["Content-Type: text/xml"], b"<phone>CANARY</phone>", Framing::Length)
    })
    .await;
    let gateway = Setup::before(&upstream).start().await;
    let xml = gateway.get("/customers/1.xml", &[MANAGER]).await;
    assert!(xml.status == 502 && !xml.holds("CANARY"));
}

#[tokio::test]
async fn p06_suffixes_and_versions_are_no_routes() {
    are_refused(&[
        "/customers.json",
        "/customers.csv",
        "/customers/1/edit",
        "/v2/customers/1",
        "/api/customers/1",
        "/customers/1/contacts",
        "/export.csv",
        "/export/",
        "/customers/1/x.js",
    ])
    .await;
}

#[tokio::test]
async fn p07_properties_of_a_record_are_no_routes() {
    are_refused(&[
        "/customers/1/phone",
        "/customers/1/phone/$value",
        "/customers/1/$value",
        "/customers/$count",
        "/customers/$metadata",
        "/customers/1/$links",
        "/customers/1/$ref",
        "/customers/$batch",
    ])
    .await;
}

#[tokio::test]
async fn p08_alternate_keys_are_refused() {
    are_refused(&[
        "/customers(1)",
        "/customers('1')",
        "/customers(phone='138')",
        "/customers/phone=138",
        "/customers/(phone='13800138000')",
        "/customers/@phone:138",
        "/customers/phone%3D138",
        "/customers/External__c/7",
        "/customers/1,2",
        "/customers/*",
    ])
    .await;
}

#[tokio::test]
async fn p09_the_upstream_is_chosen_by_configuration_alone() {
    let (upstream, gateway) = gateway().await;
    let other = Upstream::start(|_| upstream::json(r#"{"data":{"name":"CANARY"}}"#)).await;
    let host = format!("127.0.0.1:{}", other.port());
    for text in [
        format!("GET http://{host}/customers/1 HTTP/1.1\r\nHost: {host}\r\n{SALES}\r\n\r\n"),
        format!("GET /customers/1 HTTP/1.1\r\nHost: {host}\r\n{SALES}\r\n\r\n"),
        format!(
            "GET /customers/1 HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: {host}\r\nForwarded: host={host}\r\nX-Original-Host: {host}\r\n{SALES}\r\n\r\n"
        ),
        format!("GET https://{host}/customers/1 HTTP/1.1\r\nHost: {host}\r\n{SALES}\r\n\r\n"),
    ] {
        let mut raw = gateway.connect().await;
        raw.send(&text).await;
        let answer = raw.answer(false).await.expect("an answer");
        assert!(!answer.holds("CANARY"), "{text}");
    }
    let mut raw = gateway.connect().await;
    raw.send(format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n{SALES}\r\n\r\n")).await;
    assert_eq!(raw.answer(false).await.expect("an answer").status, 501);
    assert!(raw.rest().await.is_empty(), "no tunnel is open");
    assert!(other.received().is_empty(), "no open proxy");
    for request in upstream.received() {
        assert_eq!(request.header("host"), Some(upstream.url().trim_start_matches("http://")));
        assert!(!String::from_utf8_lossy(&request.raw).contains(&host), "{:?}", request.headers);
    }
}

#[tokio::test]
async fn p10_a_fragment_or_a_mark_out_of_place_is_refused() {
    are_refused(&[
        "/customers/1#/export",
        "/customers/1%23x",
        "/export%3fx=/customers/1",
        "/customers/1%3f",
        "/customers/1%3Flimit=1",
        "/#",
        "/customers/1#?x",
    ])
    .await;
}

#[tokio::test]
async fn p11_every_occurrence_of_a_parameter_is_judged() {
    are_refused(&[
        "/customers?order_by=name&order_by=email",
        "/customers?order_by=email&order_by=name",
        "/customers?name=a&email=b",
        "/customers?order_by=name&order%5Fby=email",
        "/customers?order_by=name&ORDER_BY=email",
        "/customers?order_by[]=email",
        "/customers?order_by[0]=email",
        "/customers?limit=10&limit=100000",
    ])
    .await;
}

#[tokio::test]
async fn p11_a_selection_is_cut_to_what_may_be_seen_and_sent_as_it_was_judged() {
    let (upstream, gateway) = gateway().await;
    for target in ["/customers?fields=id,email", "/customers?fields=id%2Cemail", "/customers?fields=email,id"]
    {
        gateway.get(target, &[FINANCE]).await;
        let sent = upstream.received().pop().expect("it was asked");
        assert!(!sent.target.contains("email"), "{target}: {}", sent.target);
    }
}

#[tokio::test]
async fn p12_parameters_with_two_readings_are_refused() {
    are_refused(&[
        "/customers?name=%",
        "/customers?name=%2",
        "/customers?name=%zz",
        "/customers?name=%ff",
        "/customers?name=%00",
        "/customers?name=a;order_by=email",
        "/customers?name=a%26order_by=email;x",
        "/customers?%6frder_by=email",
        "/customers?name=%u0041",
        "/customers?=x",
        "/customers?nosuch=1",
        "/customers?callback=f",
    ])
    .await;
    assert_eq!(
        asked("/customers?name=%41da+L&fields=id").await.as_deref(),
        Some("/customers?name=Ada%20L&fields=id")
    );
}

#[tokio::test]
async fn p13_no_header_or_parameter_makes_another_method_of_it() {
    let (upstream, gateway) = gateway().await;
    for line in [
        "X-HTTP-Method-Override: DELETE",
        "X-HTTP-Method: DELETE",
        "X-Method-Override: DELETE",
        "X-Method: PUT",
        "_method: DELETE",
    ] {
        let answer = gateway.get("/customers/1", &[MANAGER, line]).await;
        assert_eq!(answer.status, 200, "{line}");
        let sent = upstream.received().pop().expect("it was asked");
        assert_eq!(sent.method, "GET");
        assert!(!String::from_utf8_lossy(&sent.raw).contains("DELETE") && sent.header("x-method").is_none());
    }
    let before = upstream.received().len();
    for target in [
        "/customers/1?_method=DELETE",
        "/customers?_method=delete",
        "/customers/1?X-HTTP-Method-Override=DELETE",
    ] {
        assert!(gateway.get(target, &[MANAGER]).await.status >= 400, "{target}");
    }
    assert_eq!(upstream.received().len(), before);
}

#[tokio::test]
async fn p14_a_body_where_none_belongs_asks_for_nothing() {
    let (upstream, gateway) = gateway().await;
    let kind = "Content-Type: application/json";
    for (method, body) in
        [("GET", r#"{"query":{"phone":"138"}}"#), ("HEAD", "{}"), ("DELETE", r#"{"ids":[1,2,3]}"#)]
    {
        let mut raw = gateway.connect().await;
        let length = body.len();
        raw.send(format!("{method} /customers/1 HTTP/1.1\r\nHost: a\r\n{MANAGER}\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{body}")).await;
        let answer = raw.answer(method == "HEAD").await.expect("an answer");
        assert!((400..500).contains(&answer.status), "{method}: {}", answer.status);
    }
    for method in ["QUERY", "SEARCH", "REPORT", "PROPFIND"] {
        let answer = gateway.request(method, "/customers", &[MANAGER, kind], Some("{}")).await;
        assert!((400..600).contains(&answer.status), "{method}");
    }
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn p15_odd_methods_are_refused_and_nothing_is_echoed() {
    let (upstream, gateway) = gateway().await;
    for method in
        ["TRACE", "TRACK", "DEBUG", "PATCH", "get", "Get", "OPTIONS", "MOVE", "COPY", "PRI", "BREW", "X"]
    {
        let mut raw = gateway.connect().await;
        raw.send(format!(
            "{method} /customers/1 HTTP/1.1\r\nHost: a\r\n{MANAGER}\r\nX: CANARY\r\nConnection: close\r\n\r\n"
        ))
        .await;
        let answer = raw.answer(false).await.expect("an answer");
        assert!((400..600).contains(&answer.status), "{method}: {}", answer.status);
        assert!(!answer.holds("CANARY") && !answer.holds("manager-key"), "{method}");
    }
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn p16_urls_in_parameters_are_not_followed() {
    are_refused(&[
        "/customers?next=http://internal/",
        "/customers?url=http://169.254.169.254/",
        "/customers?page=http://x/",
        "/customers?cursor=abc",
        "/services/data/query/01g-2000",
        "/customers/next/abc",
    ])
    .await;
}

#[tokio::test]
async fn p17_what_has_no_route_has_no_way_through() {
    are_refused(&[
        "/",
        "/index.html",
        "/favicon.ico",
        "/robots.txt",
        "/static/app.js",
        "/admin",
        "/metrics",
        "/ready",
        "/.git/config",
        "/uploads/1.pdf",
        "/customersx",
        "/customer",
        "/customers/1/2",
        "/healthz/x",
        "/server-status",
        "/actuator/env",
        "*",
    ])
    .await;
}
