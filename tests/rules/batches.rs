//! Requests that hold requests.

use fieldgate::policy::Plan;

use crate::support::{Ask, BASE, alone, ask, role, says};

const ROUTES: &str = r#"
      - match: POST /composite
        envelope: { keep: [errors] }
        batch: { items: "body $.reqs[*]", method: $.method, url: $.url, body: $.body, id: $.ref, headers: $.headers, base: /one/,
                 pass: [all, group], answers: "$.res[*]", answer: $.body, status: $.code, max: 4 }
      - match: POST /plain
        batch: { items: "body $[*]", method: $.method, url: $.url, answers: "$[*]", answer: $.result }
"#;
const OTHER: &str = r#"
  other:
    routes:
      - { match: GET /elsewhere, action: list, resource: customer, records: "$[*]" }
masks:
"#;

/// Sees and edits some of the customers.
const SELLER: &str = r#"
  { resource: customer, actions: [list, read, update], records: record.owner == principal.id, fields: { show: [id, name, owner], mask: { phone: one }, edit: [name] } },
  { resource: customer, actions: [create], fields: { show: [id, name], edit: [id, name] } }"#;

fn plan(rest: &str) -> Plan {
    let base =
        BASE.replace("\n    routes:\n", &format!("\n    routes:{ROUTES}")).replace("\nmasks:\n", OTHER);
    alone(&format!("{base}{}{rest}", role(SELLER)))
}

fn batch(items: &str) -> Ask<'static> {
    ask(Box::leak(Box::new(plan(""))), "POST /composite").body(&format!(r#"{{"all":true,"reqs":[{items}]}}"#))
}

fn one(method: &str, url: &str) -> String {
    format!(r#"{{"method":"{method}","url":"{url}","ref":"a"}}"#)
}

/// Every request of a batch is canonicalised, routed and judged like one that comes by itself: guards, permissions,
/// queries, writes and limits.
#[test]
fn every_request_is_judged_and_written_again() {
    let sent = batch(
        r#"{"ref":"a","method":"get","url":"/list?fields=name,card&limit=999","group":["x",1]},
           { "url" : "7", "method":"PATCH", "body":{"name":"n","bank":"gone"}, "ref":2, "headers":{"Content-Type":"application/json"}}"#,
    )
    .before(r#"{"id":7,"owner":"u1"}"#)
    .sent();
    assert_eq!(
        sent,
        r#"{"all":true,"reqs":[{"ref":"a","method":"GET","url":"/list?fields=name%2Cid%2Cowner&limit=200","group":["x",1]},{"url":"7","method":"PATCH","body":{"name":"n"},"ref":2,"headers":{"Content-Type":"application/json"}}]}"#
    );
    let guard = "guards: [{ name: g, on: { actions: [list] }, require: principal.mfa, step_up: mfa }]\n";
    let plan = plan(guard);
    let list = format!(r#"{{"reqs":[{}]}}"#, one("GET", "/list"));
    assert_eq!(
        ask(&plan, "POST /composite").body(&list).verdict(),
        "401 request 1 of the batch: guard `g` is not met"
    );
    assert_eq!(ask(&plan, "POST /composite").body(&list).mfa().verdict(), "ok");
}

/// Each counts as a request, and its records count.
#[test]
fn every_request_has_the_limits_of_its_own() {
    let limits = "limits:\n  - { name: clicks, per: principal, requests: 9/min }\n  - { name: reading, actions: [list], per: principal, records: 9/day }\n";
    let plan = plan(limits);
    let asked = r#"{"reqs":[{"ref":"a","method":"GET","url":"/list"},{"ref":"b","method":"GET","url":"7"}]}"#;
    let permit = ask(&plan, "POST /composite").body(asked).permit();
    let names: Vec<Vec<String>> = permit
        .parts()
        .map(|part| part.limits().iter().map(|limit| limit.name.to_string()).collect())
        .collect();
    assert_eq!(names, [vec!["clicks", "reading"], vec!["clicks"]]);
    assert!(permit.limits().is_empty(), "the batch itself is none");
}

/// One that is refused refuses the whole batch, which says which one it was, and nothing is sent.
#[test]
fn one_refusal_refuses_all() {
    let after = |item: &str| batch(&format!("{},{item}", one("GET", "/list")));
    for (item, said) in [
        (r#"{"ref":"b","method":"DELETE","url":"/one/1"}"#, "403 request 2 of the batch: no permission"),
        (
            r#"{"ref":"b","method":"GET","url":"/list?phone=1"}"#,
            "403 request 2 of the batch: query parameter `phone`",
        ),
        (r#"{"ref":"b","method":"GET","url":"/list?order_by=phone"}"#, "403 request 2 of the batch: query"),
        (r#"{"ref":"b","method":"GET","url":"/list?secret=1"}"#, "403 request 2 of the batch: query"),
        (
            r#"{"ref":"b","method":"POST","url":"/one","body":{"id":1,"card":"x"}}"#,
            "403 request 2 of the batch: fields are not editable",
        ),
        (r#"{"ref":"b","method":"POST","url":"/one","body":{"name":"a**b"}}"#, "ok"),
        (
            r#"{"ref":"b","method":"GET","url":"/list","body":{"x":1}}"#,
            "400 request 2 of the batch: the operation takes no body",
        ),
        (r#"{"ref":"b","method":"GET","url":"/a/../list"}"#, "400 request 2 of the batch"),
        (r#"{"ref":"b","method":"GET","url":"/one/%2e%2e/list"}"#, "400 request 2 of the batch"),
        (r#"{"ref":"b","method":"GET","url":"/list;x"}"#, "400 request 2 of the batch"),
    ] {
        let verdict = after(item).verdict();
        assert!(verdict.starts_with(said), "{item}: {verdict}");
    }
    let foreign = batch(r#"{"ref":"a","method":"PUT","url":"/one/1","body":{"name":"n"}}"#);
    assert!(foreign.before(r#"{"id":1,"owner":"u2"}"#).verdict().starts_with("404"));
    let twice = r#"{"ref":"a","method":"PUT","url":"/one/1","body":{"name":"n"}},{"ref":"b","method":"PATCH","url":"1","body":{"name":"m"}}"#;
    assert!(batch(twice).before(r#"{"id":1,"owner":"u1"}"#).verdict().starts_with("403 request 2"));
}

/// A request to a public route, to none, to another api or to another batch refuses it, and so does a URL, or a
/// reference from one request to another.
#[test]
fn what_leads_elsewhere_refuses_the_batch() {
    for (method, url) in [
        ("GET", "/health"),
        ("GET", "/nowhere"),
        ("GET", "/elsewhere"),
        ("POST", "/composite"),
        ("POST", "/plain"),
        ("GET", "http://evil.example/list"),
        ("GET", "https://crm.example/list"),
        ("GET", "//evil.example/list"),
        ("GET", "../list"),
        ("GET", ""),
        ("GET", "/list#x"),
        ("GET", "/list\\\\x"),
        ("GET", "/one/@{b.id}"),
        ("GET", "/one/%40%7Bb.id%7D"),
        ("GET", "/list?name=@{b.card}"),
        ("GET", "/list?name=%40%7Bb.card%7D"),
        ("GET", "$a"),
        ("GET", "/$a"),
        ("GET", "/one/$a"),
        ("HEAD", "/list"),
        ("OPTIONS", "/list"),
        ("TRACE", "/list"),
        ("CONNECT", "/list"),
        ("GET /list", "/list"),
    ] {
        let verdict = batch(&one(method, url)).verdict();
        assert!(
            verdict.starts_with("403 request 1") || verdict.starts_with("400 request 1"),
            "{method} {url}: {verdict}"
        );
    }
    for name in ["@{a.card}", "$a", "$a/card", "x @{a.card}"] {
        let item = format!(r#"{{"ref":"a","method":"POST","url":"/one","body":{{"name":"{name}"}}}}"#);
        assert!(batch(&item).verdict().starts_with("403 request 1"), "{name}");
    }
    assert_eq!(batch(r#"{"ref":"a","method":"POST","url":"/one","body":{"name":"$5 {a}"}}"#).verdict(), "ok");
}

/// A member of the body or of a request that the route does not name refuses it.
#[test]
fn what_the_route_does_not_name_refuses_the_batch() {
    for item in [
        r#"{"ref":"a","method":"GET","url":"/list","richInput":{}}"#,
        r#"{"ref":"a","method":"GET","url":"/list","URL":"/one/1"}"#,
        r#"{"ref":"a","method":"GET","url":"/list","group":{"x":1}}"#,
        r#"{"ref":"a","method":"GET","url":"/list","headers":{"X-HTTP-Method-Override":"DELETE"}}"#,
        r#"{"ref":"a","method":"GET","url":"/list","headers":{"Accept":"text/csv"}}"#,
        r#"{"ref":"a","method":"GET","url":"/list","headers":{"Content-Type":["application/json"]}}"#,
        r#"{"ref":"a","method":"GET"}"#,
        r#"{"ref":"a","url":"/list"}"#,
        r#"{"ref":"a","method":1,"url":"/list"}"#,
        r#"{"method":"GET","url":"/list"}"#,
        r#"{"ref":"","method":"GET","url":"/list"}"#,
        r#"{"ref":null,"method":"GET","url":"/list"}"#,
        r#"{"ref":"a","method":"GET","url":"/list"},{"ref":"a","method":"GET","url":"/list"}"#,
        r#"{"ref":"1","method":"GET","url":"/list"},{"ref":1,"method":"GET","url":"/list"}"#,
        "7",
        "null",
        "",
    ] {
        let verdict = batch(item).verdict();
        assert!(verdict.starts_with('4'), "{item}: {verdict}");
    }
    let plan = plan("");
    let item = one("GET", "/list");
    for body in [
        format!(r#"{{"reqs":[{item}],"more":1}}"#),
        format!(r#"{{"reqs":[{item}],"all":{{"reqs":[]}}}}"#),
        format!(r#"{{"reqs":{item}}}"#),
        format!(r#"[{item}]"#),
        "{}".to_owned(),
        "[]".to_owned(),
        String::new(),
        format!(r#"{{"reqs":[{item}],"reqs":[{item}]}}"#),
    ] {
        assert!(ask(&plan, "POST /composite").body(&body).verdict().starts_with('4'), "{body}");
    }
    let body = format!(r#"{{"reqs":[{item}]}}"#);
    assert!(ask(&plan, "POST /composite?x=1").body(&body).verdict().starts_with('4'));
    assert!(
        ask(&plan, "POST /composite").typed("multipart/mixed; boundary=b", &body).verdict().starts_with('4')
    );
    assert!(ask(&plan, "POST /composite").untyped(&body).verdict().starts_with('4'));
    let five: Vec<_> = (0..5).map(|n| format!(r#"{{"ref":"r{n}","method":"GET","url":"/list"}}"#)).collect();
    assert!(batch(&five.join(",")).verdict().starts_with("403"));
    assert_eq!(batch(&five[..4].join(",")).verdict(), "ok");
}

/// Each answer is rewritten by the rules of its own request: by its id, or by its place where requests have none.
#[test]
fn each_answer_is_rewritten_by_its_own_rules() {
    let asked = r#"{"ref":"a","method":"GET","url":"/list"},{"ref":"b","method":"POST","url":"/one","body":{"name":"n"}}"#;
    let answer = r#"{"errors":false,"debug":"card","res":[
        {"ref":"b","code":201,"body":{"data":{"id":9,"name":"n","phone":"13800138000","card":"1"}},"headers":{"x":1}},
        {"ref":"a","body":{"total":2,"data":[{"id":1,"owner":"u1","phone":"13800138000","card":"1"},{"id":2,"owner":"u2","name":"x"}]},"code":200}]}"#;
    assert_eq!(
        batch(asked).answer(answer),
        r#"{"errors":false,"res":[{"ref":"b","code":201,"body":{"data":{"id":9,"name":"n"}}},{"ref":"a","body":{"total":1,"data":[{"id":1,"owner":"u1","phone":"1*********0"}]},"code":200}]}"#
    );
    let plan = plan("");
    let plain = |answer: &str| {
        let body = r#"[{"method":"GET","url":"/list"},{"method":"GET","url":"/one/1"}]"#;
        ask(&plan, "POST /plain").body(body).answer(answer)
    };
    assert_eq!(
        plain(
            r#"[{"result":{"data":[{"id":1,"owner":"u1","card":"1"}]}},{"result":{"data":{"id":1,"owner":"u1","card":"1"}}}]"#
        ),
        r#"[{"result":{"data":[{"id":1,"owner":"u1"}]}},{"result":{"data":{"id":1,"owner":"u1"}}}]"#
    );
    assert_eq!(plain(r#"[{"result":{"data":{"card":"1"}}},{"result":{}}]"#), "502 unexpected shape");
}

/// An inner answer that is an error gets a neutral text, and a single record that is not released is answered like one
/// that does not exist.
#[test]
fn errors_and_what_is_not_released_are_told_in_neutral_words() {
    let asked = one("GET", "/one/1");
    let gives = |answer: &str| batch(&asked).answer(&format!(r#"{{"res":[{answer}]}}"#));
    let absent = r#"{"res":[{"ref":"a","code":404,"body":{"no":"not_found","why":"not found"}}]}"#;
    assert_eq!(gives(r#"{"ref":"a","code":404,"body":{"m":"no card 110"}}"#), absent);
    assert_eq!(gives(r#"{"ref":"a","code":200,"body":{"data":{"id":1,"owner":"u2"}}}"#), absent);
    assert_eq!(gives(r#"{"ref":"a","code":200,"body":null}"#), absent);
    assert_eq!(
        gives(r#"{"body":[{"errorCode":"X","message":"no column card"}],"code":400,"ref":"a"}"#),
        r#"{"res":[{"ref":"a","code":400,"body":{"no":"bad_request","why":"the request was not accepted"}}]}"#
    );
}

/// Another number of answers than of requests ends the answer.
#[test]
fn as_many_answers_as_requests() {
    let asked = one("GET", "/list");
    let answer = r#"{"ref":"a","code":200,"body":{"data":[]}}"#;
    for list in [String::new(), format!("{answer},{answer}"), answer.replace("\"a\"", "\"b\"")] {
        let gives = batch(&asked).answer(&format!(r#"{{"res":[{list}]}}"#));
        assert_eq!(gives, "502 not one answer for each request of the batch", "{list}");
    }
}

/// A batch that is not described whole, or more than a batch, is no route.
#[test]
fn what_is_wrong_with_a_batch_is_said() {
    let route = |rest: &str| format!("apis: {{ s: {{ routes: [{{ match: POST /b, {rest} }}] }} }}\n");
    let whole = "items: 'body $.r[*]', method: $.m, url: $.u, answers: '$.a[*]', answer: $.b";
    assert!(!says(&route(&format!("batch: {{ {whole} }}")), "beside-batch"));
    for (text, code) in [
        (format!("batch: {{ {whole} }}, action: list, resource: customer"), "beside-batch"),
        (format!("batch: {{ {whole} }}, public: true"), "beside-batch"),
        ("batch: {}".to_owned(), "missing-key"),
        (format!("batch: {{ {} }}", whole.replace("body $.r", "query r")), "bad-request-part"),
        (format!("batch: {{ {} }}", whole.replace("'$.a[*]'", "$.a")), "bad-path"),
        (format!("batch: {{ {} }}", whole.replace("$.m", "$.m.x")), "bad-path"),
        (format!("batch: {{ {whole}, max: 0 }}"), "bad-value"),
        (format!("batch: {{ {whole}, max: 251 }}"), "bad-value"),
        (format!("batch: {{ {whole}, base: odata }}"), "bad-value"),
        (format!("batch: {{ {whole}, base: /a/../b/ }}"), "bad-value"),
        (format!("batch: {{ {whole}, id: $.m }}"), "duplicate-name"),
        (format!("batch: {{ {whole}, answer_id: $.i }}"), "answer-id-alone"),
    ] {
        assert!(says(&route(&text), code), "{text}: {:?}", crate::support::said(&route(&text)));
    }
}
