//! Rules in shadow, writes that restore and move records, and what passes of an api's own errors.

use super::support::*;

const CRM: &str = r#"
labels: [public, contact, secret]
resources:
  customer:
    key: id
    fields:
      public:  [id, name, owner, region, tags, "lines[*].no", box.a]
      contact: [phone, email]
      secret:  [card, "lines[*].price", box.b]
apis:
  crm:
    errors: { at: $.errcode, ok: [0], keep: [errcode], mask: { errmsg: stars } }
    routes:
      - { match: GET /list, action: list, resource: customer, records: "$.data[*]" }
      - { match: "GET /one/{id}", action: read, resource: customer, records: $.data }
      - { match: "PUT /one/{id}", action: update, resource: customer, records: $.data, on_uneditable: restore }
      - { match: "PATCH /one/{id}", action: update, resource: customer, records: $.data, on_uneditable: restore }
      - { match: "PUT /in/{id}", action: update, resource: customer, body: $.record, records: $.data, on_uneditable: restore }
      - { match: "PUT /plain/{id}", action: update, resource: customer, records: $.data }
masks:
  one: { keep: { first: 1, last: 1 } }
"#;

fn crm(permissions: &str) -> fieldgate::policy::Plan {
    alone(&format!("{CRM}{}", role(permissions)))
}

fn clerk() -> fieldgate::policy::Plan {
    crm(
        "{ resource: customer, actions: [read, update], fields: { show: [public, phone], mask: { card: one }, edit: [name, phone, tags] } }, \
         { resource: customer, actions: [list], fields: { mask: { phone: one } } }",
    )
}

const BEFORE: &str = r#"{"id":1,"name":"Ada","owner":"u1","tags":["a"],"phone":"13800138000","card":"6222021234567","email":"a@b.c","odd":{"x":1.50},"lines":[{"no":1,"price":5}]}"#;

// === Restoring ===

/// "**Restoring**: `on_uneditable: restore` lays the body over the record as it is, which is read first: what may not be
/// set keeps its value, also where the body leaves it out, sends `null` or sends its masked form."
#[test]
fn what_may_not_be_set_keeps_its_value() {
    let plan = clerk();
    let kept = r#""card":"6222021234567","owner":"u1","email":"a@b.c","odd":{"x":1.50},"lines":[{"no":1,"price":5}]}"#;
    let put = |body: &str| ask(&plan, "PUT /one/1").before(BEFORE).body(body).sent();
    // W01: what came back masked, what was not shown, what nobody labelled.
    assert_eq!(
        put(r#"{"id":1,"name":"Bo","phone":"139","tags":[],"card":"6***********7"}"#),
        format!(r#"{{"id":1,"name":"Bo","phone":"139","tags":[],{kept}"#)
    );
    // W02: what was shown as `null`, or is sent as such.
    assert_eq!(put(r#"{"id":1,"name":"Bo","card":null}"#), format!(r#"{{"id":1,"name":"Bo",{kept}"#));
    // W07: what it must not set at all, and what is not there.
    assert_eq!(
        put(r#"{"id":9,"name":"Bo","owner":"me","card":"1","odd":{"x":2,"y":3},"admin":true,"lines":[]}"#),
        r#"{"id":1,"name":"Bo","owner":"u1","card":"6222021234567","odd":{"x":1.50},"lines":[{"no":1,"price":5}],"email":"a@b.c"}"#
    );
    // What it was shown and may set is gone when it is left out of the whole record.
    assert!(!put(r#"{"name":"Bo"}"#).contains("tags"));
    assert_eq!(
        ask(&plan, "PUT /in/1").before(BEFORE).body(r#"{"record":{"name":"Bo"}}"#).sent(),
        format!(
            r#"{{"record":{{"name":"Bo","id":1,"owner":"u1",{}}}"#,
            &kept.replace(r#""owner":"u1","#, "")
        )
    );
}

/// "With `PATCH` what is not in the body stays out of it."
#[test]
fn a_part_of_a_record_stays_a_part() {
    let plan = clerk();
    let patch = |body: &str| ask(&plan, "PATCH /one/1").before(BEFORE).body(body).sent();
    assert_eq!(
        patch(r#"{"name":"Bo","card":"6***********7","owner":"me","admin":true}"#),
        r#"{"name":"Bo"}"#
    );
    assert_eq!(patch("{}"), "{}");
}

/// "A masked value of a field that may be set is put back if this record is masked to it, and refused if not."
#[test]
fn a_masked_value_that_comes_back_is_put_back() {
    let plan = clerk();
    let put = |phone: &str| {
        ask(&plan, "PATCH /one/1").before(BEFORE).body(&format!(r#"{{"phone":"{phone}"}}"#)).sent()
    };
    assert_eq!(put("1*********0"), r#"{"phone":"13800138000"}"#);
    assert_eq!(put("1*********9"), "403 masked values were sent back in: `phone`");
    assert_eq!(put("13900139000"), r#"{"phone":"13900139000"}"#);
}

/// "What could only be guessed is refused: elements of a list of which a part may be set, if any of that changed; another
/// type in the place of a partly hidden container; a record that is not one JSON object without a member named twice."
#[test]
fn what_could_only_be_guessed_is_refused() {
    let plan = crm(
        "{ resource: customer, actions: [read, update], fields: { show: [public], edit: [name, \"lines[*].no\", box.a] } }",
    );
    let before =
        r#"{"id":1,"name":"Ada","lines":[{"no":1,"price":5},{"no":2,"price":7}],"box":{"a":1,"b":2}}"#;
    let put = |body: &str| ask(&plan, "PATCH /one/1").before(before).body(body).sent();
    let lines = r#""lines":[{"no":1,"price":5},{"no":2,"price":7}]"#;
    assert_eq!(put(r#"{"lines":[{"no":1},{"no":2}]}"#), format!("{{{lines}}}"));
    for changed in [
        r#"[{"no":2},{"no":1}]"#,
        r#"[{"no":1}]"#,
        r#"[{"no":1},{"no":2},{"no":3}]"#,
        r#"[{"no":1},{}]"#,
        "1",
        "{}",
    ] {
        let answer = put(&format!(r#"{{"lines":{changed}}}"#));
        assert!(answer.starts_with("403 fields are not editable: `lines`"), "{changed}: {answer}");
    }
    assert_eq!(put(r#"{"box":{"a":9,"b":9,"c":9}}"#), r#"{"box":{"a":9,"b":2}}"#);
    assert_eq!(put(r#"{"box":null}"#), r#"{"box":{"a":1,"b":2}}"#);
    assert_eq!(put(r#"{"box":[]}"#), "403 fields are not editable: `box`");
    for before in [r#"{"id":1,"name":"A","name":"B"}"#, "[]", "null", r#"{"id":1,"#] {
        let refused = ask(&plan, "PATCH /one/1").before(before).body(r#"{"name":"x"}"#).sent();
        assert!(refused.starts_with("404 ") || refused.starts_with("502 "), "{before}: {refused}");
    }
    assert!(
        ask(&plan, "PUT /in/1").before(before).body(r#"{"record":{},"beside":1}"#).sent().starts_with("403")
    );
    assert!(ask(&plan, "PUT /in/1").before(before).body(r#"{"record":[]}"#).sent().starts_with("400"));
    assert!(ask(&plan, "PUT /in/1").before(before).body("{}").sent().starts_with("400"));
}

/// "What is set without being shown stays where it is not sent."
#[test]
fn what_is_set_blindly_stays() {
    let plan = crm(
        "{ resource: customer, actions: [read, update], fields: { show: [id, name], edit: [name, card], write_only: true } }",
    );
    let put = |body: &str| {
        ask(&plan, "PUT /one/1").before(r#"{"id":1,"name":"Ada","card":"622"}"#).body(body).sent()
    };
    assert_eq!(put(r#"{"name":"Bo"}"#), r#"{"name":"Bo","id":1,"card":"622"}"#);
    assert_eq!(put(r#"{"name":"Bo","card":"7"}"#), r#"{"name":"Bo","card":"7","id":1}"#);
}

/// "A route that could not restore is a `check` error."
#[test]
fn a_route_that_could_not_restore_is_an_error() {
    let with = |from: &str, to: &str| {
        let text = CRM.replace(from, to);
        assert_ne!(text, CRM);
        let text = format!(
            "{text}{}",
            role("{ resource: customer, actions: [read, update], fields: { show: [public], edit: [name] } }")
        );
        let loaded = fieldgate::policy::Loaded::from_texts(
            &[("p.yaml", &text)],
            &fieldgate::policy::MaskKeys::Assumed,
            fieldgate::policy::Purpose::Check,
        );
        complaints(&loaded).join("\n")
    };
    let put = "match: \"PUT /one/{id}\", action: update, resource: customer,";
    assert!(with("match: \"GET /one/{id}\"", "match: \"GET /one/{key}\"").contains("no-read-route "));
    for (from, to) in [
        (put, "match: POST /one, action: create, resource: customer,"),
        (put, "match: \"PUT /one/{id}\", action: update, resource: customer, body_as: form,"),
        ("body: $.record,", "body: \"$.records[*]\","),
        ("    key: id\n", "    key: id\n    pairs: { \"more[*]\": { name: n, value: v } }\n"),
    ] {
        assert!(with(from, to).contains("cannot-restore "), "{to}: {}", with(from, to));
    }
}

// === Moves ===

/// "**Moves**: a permission lets a field be set only if its condition is met by the record as it is and as it will be."
#[test]
fn w11_a_condition_holds_before_and_after_the_write() {
    let plan = crm(
        "{ resource: customer, actions: [read, update], records: record.region == 'x', fields: { show: [public], edit: [owner] } }, \
         { resource: customer, actions: [read, update], records: record.owner == principal.id, fields: { show: [public], edit: [region, name] } }",
    );
    let before = r#"{"id":1,"name":"Ada","owner":"u1","region":"x"}"#;
    for path in ["plain", "one"] {
        let line = format!("PUT /{path}/1");
        let put = |before: &str, body: &str| ask(&plan, &line).before(before).body(body).verdict();
        let whole = |owner: &str, region: &str, name: &str| {
            if path == "plain" {
                let mut parts = Vec::new();
                for (member, value, was) in
                    [("owner", owner, "u1"), ("region", region, "x"), ("name", name, "Ada")]
                {
                    if value != was {
                        parts.push(format!(r#""{member}":"{value}""#));
                    }
                }
                format!("{{{}}}", parts.join(","))
            } else {
                format!(r#"{{"id":1,"owner":"{owner}","region":"{region}","name":"{name}"}}"#)
            }
        };
        // One of the permissions goes on applying, and lets it be set.
        assert_eq!(put(before, &whole("u2", "x", "Ada")), "ok", "{path}");
        assert_eq!(put(before, &whole("u1", "y", "Ada")), "ok", "{path}");
        assert_eq!(put(before, &whole("u1", "x", "Bo")), "ok", "{path}");
        // Neither would.
        let moved = put(before, &whole("u2", "y", "Ada"));
        assert_eq!(moved, "403 no permission would apply to the record after the change", "{path}");
        // The one that lets the name be set would not.
        assert!(put(before, &whole("u2", "x", "Bo")).starts_with("403 "), "{path}");
        // It does not apply before, either.
        assert!(
            put(r#"{"id":1,"name":"A","owner":"u9","region":"y"}"#, &whole("u1", "y", "A"))
                .starts_with("404 ")
        );
    }
}

// === Errors ===

/// "**Own errors**: `errors` of an api names the places of its errors that pass, some masked; `at` is the place that tells
/// an error with a good status from an answer, and `ok` what stands there in an answer." "Only single values pass, and
/// nothing of an error that is longer than 64 KiB, is not JSON or names a member twice."
#[test]
fn of_own_errors_passes_what_is_declared() {
    let plan = clerk();
    let told = r#"{"errcode":40013,"errmsg":"no phone 13800138000","data":{"id":1},"phone":"13800138000"}"#;
    let left = r#"{"errcode":40013,"errmsg":"***"}"#;
    for status in [400, 409, 422, 500, 503] {
        assert_eq!(ask(&plan, "GET /one/1").status(status).answer(told), left);
    }
    assert_eq!(get(&plan, "GET /one/1", told), left);
    assert_eq!(get(&plan, "GET /list", told), left);
    // It is no error, or nobody knows.
    assert_eq!(
        get(&plan, "GET /one/1", r#"{"errcode":0,"data":{"id":1,"email":"e"}}"#),
        r#"{"data":{"id":1}}"#
    );
    assert_eq!(get(&plan, "GET /list", r#"{"data":[]}"#), r#"{"data":[]}"#);
    for body in [
        r#"{"errmsg":{"phone":"138"}}"#,
        "no phone 13800138000",
        r#"{"errcode":1,"errcode":2}"#,
        r#"{"other":1}"#,
        "",
    ] {
        assert_eq!(ask(&plan, "GET /one/1").status(422).answer(body), "422 replaced", "{body}");
    }
}

/// "An error that says whether a record exists is answered like one that is not released."
#[test]
fn v12_errors_do_not_say_whether_a_record_exists() {
    let plan = clerk();
    for status in [403, 404, 410] {
        let answer = ask(&plan, "GET /one/1").status(status).answer(r#"{"errcode":7,"errmsg":"deleted"}"#);
        assert_eq!(answer, format!("{status} replaced"));
    }
}

// === Shadow ===

/// "**Shadow**: a permission, a binding or a guard in `mode: shadow` decides nothing; what all of them together would have
/// changed is told by names, never by values, and as possible where it depends on the record."
#[test]
fn what_is_in_shadow_decides_nothing() {
    let live = "{ resource: customer, actions: [list, read], fields: { show: [id, phone] } }";
    let shadowed = format!(
        "{}guards: [{{ name: g, on: {{ actions: [read] }}, require: principal.mfa, mode: shadow }}, {{ name: h, on: {{ labels: [contact] }}, require: principal.mfa, mode: shadow }}]\n",
        role(&format!("{live}, {{ resource: customer, actions: [list, delete], mode: shadow, fields: {{ show: ['*'] }} }}"))
            .replace("groups: [g] }]", "groups: [g] }, { role: r, groups: [other], mode: shadow }]")
    );
    let (plain, shadow) = (alone(&format!("{CRM}{}", role(live))), alone(&format!("{CRM}{shadowed}")));
    for line in ["GET /list", "GET /one/1", "GET /list?odd=1"] {
        for groups in [&["g"][..], &["other"], &["g", "other"]] {
            let answer = |plan| {
                ask(plan, line)
                    .groups(groups)
                    .answer(r#"{"data":{"id":1,"name":"n","phone":"p","card":"c"}}"#)
            };
            assert_eq!(answer(&plain), answer(&shadow), "{line} {groups:?}");
        }
    }
    let told = "tests: [{ name: t, principal: { id: u1, groups: [g] }, request: GET /one/1, shadow: refuse }, \
                { name: u, principal: { id: u1, groups: [g] }, request: GET /list, shadow: change }, \
                { name: v, principal: { id: u1, groups: [other] }, request: GET /list, shadow: allow }, \
                { name: w, principal: { id: u1, groups: [none] }, request: GET /list, shadow: same }]\n";
    let loaded = fieldgate::policy::Loaded::from_texts(
        &[("p.yaml", &format!("{CRM}{shadowed}{told}"))],
        &fieldgate::policy::MaskKeys::Assumed,
        fieldgate::policy::Purpose::Check,
    );
    let now = "2026-11-20T04:00:00Z".parse().unwrap();
    for result in fieldgate::analysis::run_examples(&loaded.plan.unwrap(), &loaded.set.tests, now) {
        assert_eq!(result.failure, None, "{}", result.name);
    }
}
