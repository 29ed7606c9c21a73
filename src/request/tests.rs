//! Questions in dialects, bindings by issuer, and complaints about routes in depth.

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::Full;

use super::{RequestBounds, UpstreamRequest};
use crate::policy::tests::{Who, decide, load, noon, plan, said, who};
use crate::policy::{Permit, Plan};

/// Decides, narrows, and gives what would be sent and the permit.
fn ask(
    plan: &Plan,
    who: &Who,
    line: &str,
    kind: Option<&str>,
    body: &str,
) -> Result<(String, String, Permit), String> {
    let (method, uri) = line.split_once(' ').unwrap();
    let mut request = http::Request::builder().method(method).uri(uri);
    if let Some(kind) = kind {
        request = request.header("content-type", kind);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
    let (head, full) = request.into_parts();
    let judged = plan.needs_body(&head).then(|| Bytes::copy_from_slice(body.as_bytes()));
    let operation = plan.operation(&head, judged).map_err(|denial| denial.reason.to_string())?;
    let permit =
        plan.decide(&who.principal(), operation, noon()).map_err(|denial| denial.reason.to_string())?;
    let request = http::Request::from_parts(head, full);
    let sent: UpstreamRequest = super::apply(&permit, None, request, &RequestBounds::default())
        .now_or_never()
        .unwrap()
        .map_err(|refused| refused.to_string())?;
    let (head, body, _) = sent.into_parts();
    let body = super::collect(body, 1 << 20).now_or_never().unwrap().unwrap();
    Ok((head.uri.to_string(), String::from_utf8(body.to_vec()).unwrap(), permit))
}

#[test]
fn a_binding_may_name_who_vouches() {
    let text = |issuer: &str| {
        format!(
            "labels: [l]\nresources: {{ c: {{ fields: {{ l: [id] }} }} }}\napis: {{ a: {{ routes: [{{ match: GET /c, action: list, resource: c, records: '$[*]' }}] }} }}\nroles: {{ r: {{ permissions: [{{ resource: c, actions: [list], fields: {{ show: [l] }} }}] }} }}\nbindings: [{{ role: r, users: [u], issuer: {issuer} }}]\n"
        )
    };
    assert!(decide(&plan(&text("assumed")), &who("u"), "GET /c").is_ok());
    assert!(decide(&plan(&text("https://other")), &who("u"), "GET /c").is_err());
}

#[test]
fn requirements_and_envelopes_that_say_nothing_are_errors() {
    let complaint = |route: &str| {
        let text = format!(
            "labels: [l]\nresources: {{ c: {{ key: id, fields: {{ l: [id] }} }} }}\napis:\n  a:\n    routes:\n      - {{ match: GET /x, action: list, resource: c, records: '$[*]', {route} }}\n"
        );
        said(&load(&text).report).join("\n")
    };
    assert!(complaint("when: {}").contains("`when` requires nothing"));
    assert!(complaint("when: null").contains("`when` requires nothing"));
    assert!(complaint("when: { query q: [] }").contains("no text could meet"));
    assert!(complaint("envelope: { keep: ['*'] }").contains("keeps no member"));
    assert!(complaint("remember: { c: $.next }").contains("does not pass"));
    assert!(complaint("remember: { c: header x-next }").contains("does not pass"));
    let said = said(
        &load("labels: [l]\nresources: { c: { fields: { l: ['@odata.type', \"['@odata.id']\"] } } }\n")
            .report,
    )
    .join("\n");
    assert!(said.contains("split-name `@odata.type`") && !said.contains("odata.id"), "{said}");
    let missing = "labels: [l]\nresources: { c: { fields: { l: [id] } } }\napis: { a: { routes: [{ match: 'GET /x/{c}', resource: { remembered: c }, records: $ }] } }\n";
    assert!(
        crate::policy::tests::said(&load(missing).report)
            .join("\n")
            .contains("no route of this api remembers `c`")
    );
}

#[test]
fn odata_options_are_judged_and_the_undeclared_ones_refused() {
    let plan = plan(
        r#"
labels: [public, contact]
resources: { row: { key: id, fields: { public: [id, name, "tags[*]"], contact: [phone] } } }
apis:
  o:
    routes:
      - match: GET /rows
        action: list
        resource: row
        records: $.value[*]
        query: { dialect: odata, filter: $filter, sort: $orderby, select: $select, page_size: { param: $top, max: 50 }, pass: [$skip] }
roles: { r: { permissions: [{ resource: row, actions: [list], fields: { show: [public] } }] } }
"#,
    );
    let r = who("r").roles(&["r"]);
    let sent = |query: &str| ask(&plan, &r, &format!("GET /rows?{query}"), None, "").map(|(uri, _, _)| uri);
    assert_eq!(
        sent("$filter=name%20eq%20'a'&$orderby=id%20desc&$top=500&$skip=5").as_deref(),
        Ok("/rows?%24filter=name%20eq%20%27a%27&%24orderby=id%20desc&%24top=50&%24skip=5")
    );
    assert!(sent("$filter=tags/any(t:t%20eq%20'x')").is_ok());
    for query in [
        "$filter=startswith(phone,'138')",
        "$filter=id%20eq%201&$filter=name%20eq%20'a'",
        "$orderby=phone",
        "$expand=owner",
        "$apply=groupby((phone))",
        "$count=true",
        "$search=138",
        "$compute=phone%20as%20p",
    ] {
        assert!(sent(query).is_err(), "{query}");
    }
}
