//! Rules 9 and 10, and what of a request is judged and sent: what may be set, and what may be asked.

use super::support::*;

fn writer(fields: &str) -> fieldgate::policy::Plan {
    may(&format!("{{ resource: customer, actions: [list, read, update, create], fields: {{ {fields} }} }}"))
}

// === 9 Writes ===

/// "`edit` needs `show` on the field, unless `write_only: true`."
#[test]
fn rule_9_edit_needs_show() {
    let plan = writer("show: [name, phone], edit: [name, phone]");
    assert_eq!(
        ask(&plan, "PUT /one/1").body(r#"{"name":"n","phone":"p"}"#).sent(),
        r#"{"name":"n","phone":"p"}"#
    );
    let blind = role("{ resource: customer, actions: [update], fields: { show: [name], edit: [card] } }");
    assert!(says(&blind, "edit-without-show"));
    let masked =
        role("{ resource: customer, actions: [update], fields: { mask: { card: one }, edit: [card] } }");
    assert!(says(&masked, "edit-without-show"));
    let write_only = writer("show: [name], edit: [card], write_only: true");
    assert_eq!(ask(&write_only, "PUT /one/1").body(r#"{"card":"c"}"#).sent(), r#"{"card":"c"}"#);
    // What a guard hides from this caller is not shown, so it is not set either.
    let guarded = super::support::plan(&format!(
        "{}guards: [{{ name: g, on: {{ labels: [contact] }}, require: principal.mfa }}]\n",
        role(
            "{ resource: customer, actions: [update], fields: { show: [name, phone], edit: [name, phone] } }"
        )
    ));
    assert!(ask(&guarded, "PUT /one/1").body(r#"{"phone":"p"}"#).verdict().starts_with("403"));
    assert_eq!(ask(&guarded, "PUT /one/1").mfa().body(r#"{"phone":"p"}"#).verdict(), "ok");
}

/// "What is not editable: `on_uneditable: refuse | strip | restore` (default refuse, naming the fields)."
#[test]
fn rule_9_what_is_not_editable() {
    let plan = writer("show: [name, phone], edit: [name]");
    let body = r#"{"name":"n","phone":"p","admin":true,"box":{"a":1}}"#;
    assert_eq!(
        ask(&plan, "PUT /one/1").body(body).verdict(),
        "403 fields are not editable: `phone`, `admin`, `box`"
    );
    assert_eq!(ask(&plan, "PATCH /one/1").body(body).sent(), r#"{"name":"n"}"#);
    let deep = writer(r#"show: [public], edit: ["lines[*].no", box.a]"#);
    assert_eq!(
        ask(&deep, "PUT /one/1")
            .body(r#"{"lines":[{"no":1},{"no":2,"price":3}],"box":{"a":1,"b":2}}"#)
            .verdict(),
        "403 fields are not editable: `lines.price`, `box.b`"
    );
    assert!(ask(&deep, "PUT /one/1").body(r#"[{"name":"n"}]"#).verdict().starts_with("40"), "no object");
}

/// Rule 9 on a record: what may be set is what the permissions that apply to it as it is let be set, and a record that
/// none applies to is answered like one that does not exist.
#[test]
fn rule_9_the_record_before_decides() {
    let plan = may(
        r#"{ resource: customer, actions: [read, update], records: record.owner == principal.id, fields: { show: [name, phone, owner], edit: [name, phone, owner] } },
           { resource: customer, actions: [read, update], records: record.region == "east", fields: { show: [name], edit: [name] } }"#,
    );
    let put = |before: &str, body: &str| ask(&plan, "PUT /one/1").before(before).body(body).sent();
    let (name, phone) = (r#"{"name":"n"}"#, r#"{"phone":"p"}"#);
    assert_eq!(put(r#"{"owner":"u1"}"#, phone), phone);
    assert_eq!(put(r#"{"region":"east"}"#, name), name);
    assert_eq!(put(r#"{"region":"east"}"#, phone), "403 fields are not editable: `phone`");
    for before in [r#"{"owner":"u2"}"#, "null", "{}", r#"{"owner":"u1","owner":"u1"}"#] {
        assert!(put(before, name).starts_with("404"), "{before}");
    }
    // What the condition reads cannot be changed under it: the record would leave its reach, or another one enter.
    assert_eq!(put(r#"{"owner":"u1"}"#, r#"{"owner":"u2"}"#), "403 fields are not editable: `owner`");
}

/// "A masked value coming back is always recognised."
#[test]
fn rule_9_a_masked_value_is_recognised() {
    // In clear for own customers, masked for those of the region: the mask may have been what the caller saw.
    let plan = may(
        r#"{ resource: customer, actions: [list, read, update], fields: { show: [name, phone, email], edit: [name, phone, email] } },
           { resource: customer, actions: [list, read], fields: { mask: { phone: one, email: mail, amount: near } } }"#,
    );
    for (body, verdict) in [
        (r#"{"phone":"1*********0"}"#, "403 masked values were sent back in: `phone`"),
        (r#"{"phone":"\u0031*********0"}"#, "403 masked values were sent back in: `phone`"),
        (r#"{"phone":"***"}"#, "403 masked values were sent back in: `phone`"),
        (r#"{"email":"l***@example.com"}"#, "403 masked values were sent back in: `email`"),
        (r#"{"phone":null}"#, "403 masked values were sent back in: `phone`"),
        (r#"{"phone":"13800138000","email":"li@example.com"}"#, "ok"),
        (r#"{"name":"***"}"#, "ok"),
    ] {
        assert_eq!(ask(&plan, "PUT /one/1").body(body).verdict(), verdict, "{body}");
    }
}

// === 10 Queries ===

/// "Filter, sort, group, search default to exactly what is shown in clear on **every** record the principal may list;
/// anything else is refused, as it would answer questions about hidden values."
#[test]
fn rule_10_queries() {
    let plan = may(
        r#"{ resource: customer, actions: [list], records: record.owner == principal.id, fields: { show: [public, phone] } },
           { resource: customer, actions: [list], records: record.region == "east", fields: { show: [id, name], mask: { phone: one } } }"#,
    );
    let refused = |parameter: &str| format!("403 query parameter `{parameter}` cannot be used as given");
    for (query, verdict) in [
        ("name=x", "ok".to_owned()),
        ("order_by=-name,id", "ok".to_owned()),
        ("status=x", refused("status")),
        ("phone=138", refused("phone")),
        ("card=110", refused("card")),
        ("order_by=phone", refused("order_by")),
        ("order_by=name,-phone", refused("order_by")),
        ("order_by=nonsense", refused("order_by")),
        ("q=x", refused("q")),
        ("group_by=name", refused("group_by")),
        ("name=x&Name=y", refused("Name")),
    ] {
        assert_eq!(ask(&plan, &format!("GET /list?{query}")).verdict(), verdict, "{query}");
    }
    let everything = may(&fields("show: ['*']"));
    assert_eq!(ask(&everything, "GET /list?q=x&card=1&order_by=phone").verdict(), "ok");
    let own_words = may(&fields("show: [public], query: [id]"));
    assert_eq!(ask(&own_words, "GET /list?order_by=id").verdict(), "ok");
    assert_eq!(ask(&own_words, "GET /list?order_by=name").verdict(), refused("order_by"));
    let guarded = plan_with_guard();
    assert_eq!(ask(&guarded, "GET /list?phone=1").verdict(), refused("phone"));
    assert_eq!(ask(&guarded, "GET /list?phone=1").mfa().verdict(), "ok");
}

fn plan_with_guard() -> fieldgate::policy::Plan {
    plan(&format!(
        "{}guards: [{{ name: g, on: {{ labels: [contact] }}, require: principal.mfa }}]\n",
        role(&fields("show: ['*']"))
    ))
}

// === Parts of a request ===

/// A policy whose route and resource are named by parts of the request.
fn named(part: &str, route: &str) -> fieldgate::policy::Plan {
    alone(&format!(
        "labels: [p, q]\nresources: {{ a: {{ fields: {{ p: [id], q: [x] }} }}, b: {{ fields: {{ p: [id], q: [x] }} }} }}\n\
         apis: {{ t: {{ routes: [{{ match: '{route}', action: list, records: '$[*]', query: {{ pass: [kind] }}, resource: {{ at: '{part}', map: {{ A: a, B: b }} }} }}] }} }}\n\
         roles: {{ r: {{ permissions: [{{ resource: a, actions: [list], fields: {{ show: [p] }} }}, {{ resource: b, actions: [list], fields: {{ show: ['*'] }} }}] }} }}\n\
         bindings: [{{ role: r, groups: [g] }}]\n"
    ))
}

/// "A request part is `path name`, `query name`, `header name`, `body <JSONPath>` or, for XML bodies, `body <element
/// path>`."
#[test]
fn parts_of_a_request() {
    let answer = r#"[{"id":1,"x":2}]"#;
    let (a, b) = (r#"[{"id":1}]"#, answer);
    let path = named("path kind", "GET /of/{kind}");
    assert_eq!(get(&path, "GET /of/A", answer), a);
    assert_eq!(get(&path, "GET /of/B", answer), b);
    assert_eq!(get(&path, "GET /of/C", answer), "404 no route matches");
    let query = named("query kind", "GET /q");
    assert_eq!(get(&query, "GET /q?kind=A", answer), a);
    assert_eq!(get(&query, "GET /q?kind=B", answer), b);
    assert!(get(&query, "GET /q?kind=B&kind=A", answer).starts_with("400"));
    assert_eq!(get(&query, "GET /q", answer), "404 no route matches");
    let header = named("header x-kind", "GET /h");
    assert_eq!(ask(&header, "GET /h").header("x-kind", "A").answer(answer), a);
    assert!(
        ask(&header, "GET /h").header("x-kind", "A").header("x-kind", "B").answer(answer).starts_with("400")
    );
    let body = named("body $.data.FormId", "POST /b");
    assert_eq!(ask(&body, "POST /b").body(r#"{"data":{"FormId":"A"}}"#).answer(answer), a);
    assert_eq!(ask(&body, "POST /b").body(r#"{"data":{"F\u006frmId":"B"}}"#).answer(answer), b);
    for hostile in [
        r#"{"data":{"FormId":"B","FormId":"A"}}"#,
        r#"{"data":{"FormId":"B"},"data":{}}"#,
        "{",
        r#"{"data":{"FormId":"B"}} x"#,
    ] {
        assert!(ask(&body, "POST /b").body(hostile).answer(answer).starts_with("400"), "{hostile}");
    }
    assert_eq!(
        ask(&body, "POST /b").body(r#"{"data":{"FormId":["A"]}}"#).answer(answer),
        "404 no route matches"
    );
}

/// "Bodies that may be form-encoded JSON, JSON inside a JSON string, or JSON without a Content-Type are declared
/// (`body_as: json | form:data | json-string`), never guessed."
#[test]
fn bodies_are_declared_and_never_guessed() {
    let plan = writer("show: [name], edit: [name]");
    for (kind, body) in [
        ("application/x-www-form-urlencoded", "data=%7B%22name%22%3A%22n%22%7D"),
        ("application/x-www-form-urlencoded", r#"{"name":"n"}"#),
        ("text/plain", r#"{"name":"n"}"#),
        ("text/json-ish", r#"{"name":"n"}"#),
        ("multipart/form-data; boundary=x", r#"{"name":"n"}"#),
        ("application/json; charset=gbk", r#"{"name":"n"}"#),
        ("application/json-patch+json", r#"[{"op":"replace","path":"/phone","value":"1"}]"#),
    ] {
        assert!(ask(&plan, "PUT /one/1").typed(kind, body).verdict().starts_with("415"), "{kind}");
    }
    let quoted = r#""{\"name\":\"n\"}""#;
    assert!(ask(&plan, "PUT /one/1").body(quoted).verdict().starts_with("40"), "a text is no record");
    assert_eq!(ask(&plan, "PUT /one/1").typed("application/vnd.crm+json", r#"{"name":"n"}"#).verdict(), "ok");
}

/// "What the route judged is what is sent: the request is written again from what was parsed."
#[test]
fn what_was_judged_is_what_is_sent() {
    let plan = writer("show: [name, phone], edit: [name, phone]");
    let body = "{ \"n\\u0061me\" : \"\\u0041\\/\" ,\n \"phone\":1.50e0 }";
    assert_eq!(ask(&plan, "PUT /one/1").body(body).sent(), r#"{"name":"A/","phone":1.50e0}"#);
    assert_eq!(ask(&plan, "GET /list?n%61me=%41&limit=5000").sent(), "/list?name=A&limit=200");
    assert_eq!(ask(&plan, "GET /one/%41%20b").sent(), "/one/A%20b");
    let judged = named("body $.kind", "POST /b");
    assert_eq!(ask(&judged, "POST /b").body(r#"{ "kind" : "\u0041" }"#).sent(), r#"{"kind":"A"}"#);
    for twice in [r#"{"name":"a","name":"b"}"#, r#"{"name":"a","n\u0061me":"b"}"#] {
        assert!(ask(&plan, "PUT /one/1").body(twice).verdict().starts_with("400"), "{twice}");
    }
}
