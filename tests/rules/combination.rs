//! Rules 1 to 8 and 11 to 13: who gets what of which record. What is written and asked is in `writing`.

use serde_json::json;

use super::support::*;

// === 1 Default is no ===

/// "**Default is no**: no route, no permission, no label → nothing."
#[test]
fn rule_1_default_is_no() {
    let shown = may(&fields("show: ['*']"));
    assert_eq!(get(&shown, "GET /elsewhere", "{}"), "404 no route matches");
    assert_eq!(get(&shown, "POST /list", "{}"), "404 no route matches");
    assert_eq!(get(&shown, "GET /people", "[]"), "403 no permission for `list` on `person`");
    assert_eq!(
        ask(&shown, "GET /list").groups(&["h"]).answer(r#"{"data":[]}"#),
        "403 no permission for `list` on `customer`"
    );
    assert_eq!(one(&shown, r#"{"id":1,"new_field":2,"box":{"a":3,"c":4}}"#), r#"{"id":1,"box":{"a":3}}"#);
}

// === 2 Selectors ===

/// "A selector names a member and everything below it; a more specific one (a longer path beats a shorter, a path beats
/// a label, a label beats `*`) decides for its part."
#[test]
fn rule_2_the_more_specific_selector_decides() {
    let record = r#"{"id":1,"box":{"a":"abc","b":"abc"},"bank":{"x":[{"y":"abc"}]}}"#;
    for (access, left) in [
        ("show: [bank]", r#"{"bank":{"x":[{"y":"abc"}]}}"#),
        ("show: [box]", r#"{"box":{"a":"abc","b":"abc"}}"#),
        ("show: [box], hide: [box.a]", r#"{"box":{"b":"abc"}}"#),
        ("hide: [box], show: [box.a]", r#"{"box":{"a":"abc"}}"#),
        ("mask: { box: stars }, show: [box.b]", r#"{"box":{"a":"***","b":"abc"}}"#),
        ("show: [public], hide: [box]", r#"{"id":1}"#),
        ("hide: [public], show: [box.a]", r#"{"box":{"a":"abc"}}"#),
        ("show: [public], mask: { '*': stars }", r#"{"id":1,"box":{"a":"abc","b":"***"},"bank":null}"#),
        ("hide: ['*'], show: [public]", r#"{"id":1,"box":{"a":"abc"}}"#),
        ("show: ['*'], hide: [id]", r#"{"box":{"a":"abc","b":"abc"},"bank":{"x":[{"y":"abc"}]}}"#),
    ] {
        assert_eq!(one(&may(&fields(access)), record), left, "{access}");
    }
}

/// "`[*]` is every element."
#[test]
fn rule_2_brackets_are_every_element() {
    let plan = may(&fields(r#"show: ["lines[*].no"]"#));
    assert_eq!(
        one(&plan, r#"{"lines":[{"no":1,"price":9},{"price":9},{"no":2},{"no":[3]}]}"#),
        r#"{"lines":[{"no":1},{"no":2},{"no":[3]}]}"#
    );
}

/// "Within one permission, at equal specificity, hide beats mask beats show."
#[test]
fn rule_2_hide_beats_mask_beats_show() {
    for (access, left) in [
        ("show: [name, id], hide: [name], mask: { name: stars }", r#"{"id":1}"#),
        ("show: [name, id], mask: { name: stars }", r#"{"id":1,"name":"***"}"#),
        ("show: [public], hide: [public], mask: { public: stars }", "{}"),
        ("show: ['*'], mask: { '*': stars }", r#"{"id":null,"name":"***"}"#),
    ] {
        assert_eq!(one(&may(&fields(access)), r#"{"id":1,"name":"abc"}"#), left, "{access}");
    }
}

/// "`hide` only narrows its own permission; what nobody may see is a guard's business."
#[test]
fn rule_2_hide_narrows_only_its_own_permission() {
    let two = format!("{}, {}", fields("show: [public], hide: [name]"), fields("show: [name]"));
    assert_eq!(one(&may(&two), r#"{"id":1,"name":"abc"}"#), r#"{"id":1,"name":"abc"}"#);
    let guarded = plan(&format!(
        "{}guards: [{{ name: never, on: {{ resource: customer, fields: [name] }}, require: false }}]\n",
        role(&two)
    ));
    assert_eq!(one(&guarded, r#"{"id":1,"name":"abc"}"#), r#"{"id":1}"#);
}

/// "A permission with no `fields` releases no field."
#[test]
fn rule_2_no_fields_release_no_field() {
    let plan = may("{ resource: customer, actions: [list, read] }");
    assert_eq!(list(&plan, r#"[{"id":1},{"name":2}]"#), "[{},{}]");
    let loose = may("{ resource: loose, actions: [list] }");
    assert_eq!(get(&loose, "GET /loose", r#"[{"id":1,"odd":2}]"#), "[{}]");
}

// === 3 Records ===

const OWN_AND_REGION: &str = r#"
    { resource: customer, actions: [list, read], records: record.owner == principal.id, fields: { show: [id, phone], mask: { card: one } } },
    { resource: customer, actions: [list, read], records: record.region == "east", fields: { show: [name], mask: { phone: stars, card: two } } }"#;

/// "A record is released if at least one of the principal's permissions for this action and resource applies to it (has
/// no `records`, or its condition is true)."
#[test]
fn rule_3_a_record_needs_one_permission_that_applies() {
    let records =
        r#"[{"id":1,"owner":"u1"},{"id":2,"region":"east"},{"id":3,"owner":"u2","region":"west"},{"id":4}]"#;
    assert_eq!(list(&may(OWN_AND_REGION), records), r#"[{"id":1},{}]"#);
    let everybody = format!("{OWN_AND_REGION}, {{ resource: customer, actions: [list] }}");
    assert_eq!(list(&may(&everybody), records), r#"[{"id":1},{},{},{}]"#);
    // Only those for this action and this resource count.
    let others = "{ resource: customer, actions: [read], fields: { show: [id] } }, { resource: person, actions: [list] }";
    assert_eq!(list(&may(others), records), "403 no permission for `list` on `customer`");
}

/// "Those that apply to **this record** are united per field: show beats mask beats hide."
#[test]
fn rule_3_permissions_are_united_per_record() {
    let records = r#"[{"id":1,"name":"abc","phone":"123","owner":"u1","region":"east"},
        {"id":2,"name":"abc","phone":"123","owner":"u1"},{"id":3,"name":"abc","phone":"123","region":"east"}]"#;
    assert_eq!(
        list(&may(OWN_AND_REGION), records).split_whitespace().collect::<String>(),
        r#"[{"id":1,"name":"abc","phone":"123"},{"id":2,"phone":"123"},{"name":"abc","phone":"***"}]"#
    );
}

/// "Of two masks the less revealing is applied (each mask kind has a stated strength; a tie of different masks is a
/// `check` error)."
#[test]
fn rule_3_of_two_masks_the_less_revealing_is_applied() {
    let both = r#"{"card":"abcdef","owner":"u1","region":"east"}"#;
    assert_eq!(one(&may(OWN_AND_REGION), both), r#"{"card":"a****f"}"#);
    assert_eq!(one(&may(OWN_AND_REGION), r#"{"card":"abcdef","region":"east"}"#), r#"{"card":"ab**ef"}"#);
    let tie = "masks: { a: { keep: { first: 3, last: 1 } }, b: { keep: { first: 1, last: 3 } } }\n";
    let tied = format!(
        "{tie}{}",
        role(&format!("{}, {}", fields("mask: { card: a }"), fields("mask: { card: b }")))
    );
    assert!(says(&tied, "mask-tie"), "{:?}", said(&tied));
}

/// "A list drops the records not released; a single one that is not released is answered like one that does not exist."
#[test]
fn rule_3_records_that_are_not_released() {
    let plan = may(OWN_AND_REGION);
    assert_eq!(list(&plan, r#"[{"id":1,"owner":"u2"},{"id":2,"owner":"u1"},{"id":3}]"#), r#"[{"id":2}]"#);
    assert_eq!(one(&plan, r#"{"id":1,"owner":"u2"}"#), "404 replaced");
    assert_eq!(one(&plan, "null"), "404 replaced");
}

// === 4 Containers ===

/// "An object or array is kept if something in it is shown or masked, and holds just that; otherwise it goes."
#[test]
fn rule_4_containers_hold_what_is_released() {
    let plan = may(&fields(r#"show: [box.a], mask: { "lines[*].price": stars }"#));
    for (record, left) in [
        (
            r#"{"box":{"a":1,"b":2},"lines":[{"no":1,"price":"x"}]}"#,
            r#"{"box":{"a":1},"lines":[{"price":"***"}]}"#,
        ),
        (r#"{"box":{"b":2},"lines":[{"no":1},{"price":"x"}]}"#, r#"{"lines":[{"price":"***"}]}"#),
        (r#"{"box":{},"lines":[]}"#, "{}"),
        (r#"{"box":{"c":{"d":1}},"lines":[{}]}"#, "{}"),
    ] {
        assert_eq!(one(&plan, record), left, "{record}");
    }
    let shown = may(&fields("show: ['*']"));
    assert_eq!(
        one(&shown, r#"{"tags":[],"bank":{},"bank":{"x":{}}}"#),
        r#"{"tags":[],"bank":{},"bank":{"x":{}}}"#
    );
}

/// "A mask on an object or array gives `null`."
#[test]
fn rule_4_a_mask_on_a_container_gives_null() {
    for mask in ["stars", "one", "blank", "near", "zero", "mail"] {
        let plan = may(&fields(&format!("mask: {{ bank: {mask}, tags: {mask} }}")));
        assert_eq!(
            one(&plan, r#"{"bank":{"a":1},"tags":["x"],"tags":[],"bank":{}}"#),
            r#"{"bank":null,"tags":null,"tags":null,"bank":null}"#
        );
    }
}

/// "Masks keep the JSON type: text masks act on strings, number masks on numbers; on any other type the value becomes
/// `null` (never a string in a number's place)."
#[test]
fn rule_4_masks_keep_the_type() {
    for (mask, text, number) in [
        ("stars", r#""***""#, "null"),
        ("one", r#""a**d""#, "null"),
        ("mail", r#""***""#, "null"),
        ("near", "null", "12000"),
        ("zero", "null", "0"),
        ("blank", "null", "null"),
    ] {
        let plan = may(&fields(&format!("mask: {{ card: {mask} }}")));
        let left = one(&plan, r#"{"card":"abcd","card":12345.5,"card":true,"card":null}"#);
        assert_eq!(left, format!(r#"{{"card":{text},"card":{number},"card":null,"card":null}}"#), "{mask}");
    }
}

// === 5 Relations ===

const PERSON: &str = "{ resource: person, actions: [read], records: record.team == 'a', fields: { show: [id], mask: { phone: one } } }";

/// "A related record is judged by its own resource's permissions for `read` (else for this action), with its own
/// `records` condition; the parent's labels do not reach into it."
#[test]
fn rule_5_related_records_are_judged_by_their_own_permissions() {
    let record = r#"{"id":1,"phone":"0","boss":{"id":2,"name":"x","team":"a","phone":"12345","card":"y"}}"#;
    let both = |person: &str| may(&format!("{}, {person}", fields("show: [public, identity]")));
    assert_eq!(one(&both(PERSON), record), r#"{"id":1,"boss":{"id":2,"phone":"1***5"}}"#);
    let by_action = "{ resource: person, actions: [list], fields: { show: [name] } }";
    assert_eq!(list(&both(by_action), &format!("[{record}]")), r#"[{"id":1,"boss":{"name":"x"}}]"#);
    assert_eq!(
        one(&both(by_action), record),
        r#"{"id":1}"#,
        "nothing for `read`, and nothing for this action"
    );
    // Where there is one for `read`, the one for this action has no say.
    let two = format!("{PERSON}, {by_action}");
    assert_eq!(list(&both(&two), &format!("[{record}]")), r#"[{"id":1,"boss":{"id":2,"phone":"1***5"}}]"#);
}

/// "Not released: dropped from an array, `null` as a single member; no permission on the related resource at all: the
/// member is hidden."
#[test]
fn rule_5_related_records_that_are_not_released() {
    let record = r#"{"id":1,"boss":{"id":2,"team":"b"},"people":[{"id":3,"team":"b"},{"id":4,"team":"a"},5,[6],null]}"#;
    let with = may(&format!("{}, {PERSON}", fields("show: [id]")));
    assert_eq!(one(&with, record), r#"{"id":1,"boss":null,"people":[{"id":4}]}"#);
    assert_eq!(one(&with, r#"{"people":[{"id":3}]}"#), r#"{"people":[]}"#);
    assert_eq!(one(&may(&fields("show: ['*']")), record), r#"{"id":1}"#);
}

// === 6 Guards ===

/// "**Guards** come last and only take away: on actions → the request is refused (with the step-up challenge if named);
/// on labels or fields → those are hidden."
#[test]
fn rule_6_guards_only_take_away() {
    let guarded = |guard: &str| plan(&format!("{}guards: [{guard}]\n", role(&fields("show: ['*']"))));
    let actions =
        guarded("{ name: mfa first, on: { actions: [export] }, require: principal.mfa, step_up: mfa }");
    assert_eq!(ask(&actions, "GET /export").verdict(), "401 guard `mfa first` is not met");
    assert_eq!(ask(&actions, "GET /export").mfa().verdict(), "ok");
    assert_eq!(ask(&actions, "GET /list").verdict(), "ok");
    assert_eq!(
        ask(&actions, "GET /export").groups(&[]).mfa().verdict(),
        "403 no permission for `export` on `customer`"
    );
    let labels = guarded(
        r#"{ name: inside, on: { labels: [contact] }, require: 'ip_in(principal.ip, "10.0.0.0/8")' }"#,
    );
    let record = r#"{"data":{"id":1,"phone":"2","box":{"a":1,"b":2}}}"#;
    assert_eq!(get(&labels, "GET /one/1", record), r#"{"data":{"id":1,"box":{"a":1}}}"#);
    assert_eq!(ask(&labels, "GET /one/1").ip("10.1.2.3").answer(record), record);
    let fields = guarded("{ name: never, on: { resource: customer, fields: [box] }, require: false }");
    assert_eq!(get(&fields, "GET /one/1", record), r#"{"data":{"id":1,"phone":"2"}}"#);
}

/// "Several guards: all must hold."
#[test]
fn rule_6_several_guards_must_all_hold() {
    let plan = plan(&format!(
        "{}guards:\n  - {{ name: a, on: {{ labels: [contact] }}, require: principal.mfa }}\n  - {{ name: b, on: {{ labels: [contact] }}, require: principal.id == 'u1' }}\n",
        role(&fields("show: ['*']"))
    ));
    let record = r#"{"data":{"id":1,"phone":"2"}}"#;
    for (id, mfa, left) in
        [("u1", true, record), ("u1", false, r#"{"data":{"id":1}}"#), ("u2", true, r#"{"data":{"id":1}}"#)]
    {
        let asked = ask(&plan, "GET /one/1").by(id);
        let asked = if mfa { asked.mfa() } else { asked };
        assert_eq!(asked.answer(record), left, "{id} {mfa}");
    }
}

// === 7 Conditions ===

fn when(condition: &str) -> fieldgate::policy::Plan {
    may(&format!(
        "{{ resource: customer, actions: [list], records: '{condition}', fields: {{ show: [id] }} }}"
    ))
}

/// "`records`, `when`, `require` are CEL; `records` may read any field of the record, also hidden ones."
#[test]
fn rule_7_records_reads_hidden_fields() {
    let plan =
        when(r#"record.card.startsWith("11") && size(record.tags) > 1 && record.secret.deep[0].x == 1"#);
    let hit = r#"{"id":1,"card":"110","tags":["a","b"],"secret":{"deep":[{"x":1}]}}"#;
    assert_eq!(list(&plan, &format!(r#"[{hit},{{"id":2,"card":"220","tags":["a","b"]}}]"#)), r#"[{"id":1}]"#);
    let who = "roles: { r: { permissions: [{ resource: customer, actions: [list], fields: { show: [id] } }] } }\nbindings: [{ role: r, when: 'principal.claims.level >= 3 && request.method == \"GET\"' }]\n";
    let bound = super::support::plan(who);
    assert_eq!(ask(&bound, "GET /list").claims(json!({ "level": 3 })).verdict(), "ok");
    assert!(ask(&bound, "GET /list").claims(json!({ "level": 2 })).verdict().starts_with("403"));
}

/// "A condition that errs (missing member, wrong type) counts as not met, wherever it stands."
#[test]
fn rule_7_errors_are_not_met() {
    for (condition, record) in [
        ("record.owner == principal.id", r#"{"id":1}"#),
        ("!(record.owner == principal.id)", r#"{"id":1}"#),
        ("record.owner != principal.id", r#"{"id":1,"owner":7}"#),
        ("!(record.owner == principal.id)", r#"{"id":1,"owner":["u1"]}"#),
        ("record.n > 3", r#"{"id":1,"n":"5"}"#),
        ("!(record.n > 3)", r#"{"id":1,"n":"1"}"#),
        ("!(record.n > 3)", r#"{"id":1,"n":null}"#),
        ("!record.flag", r#"{"id":1,"flag":"false"}"#),
        ("record.name.startsWith(\"a\") == false", r#"{"id":1,"name":7}"#),
    ] {
        assert_eq!(list(&when(condition), &format!("[{record}]")), "[]", "{condition} on {record}");
    }
    let guard =
        "guards: [{ name: g, on: { actions: [list] }, require: '!(principal.claims.blocked == true)' }]\n";
    let guarded = plan(&format!("{}{guard}", role(&fields("show: [id]"))));
    assert_eq!(ask(&guarded, "GET /list").verdict(), "403 guard `g` is not met");
    assert_eq!(ask(&guarded, "GET /list").claims(json!({ "blocked": false })).verdict(), "ok");
    let bound = plan(
        &role(&fields("show: [id]"))
            .replace("groups: [g]", "groups: [g], when: '!(principal.claims.blocked == true)'"),
    );
    assert!(!ask(&bound, "GET /list").is_let_through());
}

/// "Text comparison is exact."
#[test]
fn rule_7_text_comparison_is_exact() {
    let plan = when(r#"record.name == "Ann" || record.name == "\u00e9""#);
    let records = r#"[{"id":1,"name":"ann"},{"id":2,"name":"Ann "},{"id":3,"name":"\u0041nn"},{"id":4,"name":"e\u0301"},{"id":5,"name":"é"},{"id":6,"name":"Ａnn"}]"#;
    assert_eq!(list(&plan, records), r#"[{"id":3},{"id":5}]"#);
}

/// "If a deciding member appears twice, the condition is not met."
#[test]
fn rule_7_a_deciding_member_twice() {
    for (condition, record) in [
        ("record.owner == principal.id", r#"{"id":1,"owner":"u1","owner":"u1"}"#),
        ("record.owner == principal.id", r#"{"id":1,"owner":"u1","own\u0065r":"u2"}"#),
        (r#"record.owner != "x""#, r#"{"id":1,"owner":"u1","owner":null}"#),
        ("!has(record.owner)", r#"{"id":1,"owner":"u1","owner":"u1"}"#),
        ("record.bank.x == 1", r#"{"id":1,"bank":{"x":1,"x":1}}"#),
        ("record.bank.x == 1", r#"{"id":1,"bank":{"x":1},"bank":{}}"#),
    ] {
        assert_eq!(list(&when(condition), &format!("[{record}]")), "[]", "{condition} {record}");
    }
    let other = list(&when("record.owner == principal.id"), r#"[{"id":1,"id":2,"owner":"u1"}]"#);
    assert_eq!(other, r#"[{"id":1,"id":2}]"#, "a member that does not decide");
}

// === 8 Roles ===

fn bound(bindings: &str) -> fieldgate::policy::Plan {
    plan(&format!("roles: {{ r: {{ permissions: [{}] }} }}\nbindings:\n{bindings}", fields("show: [id]")))
}

/// "Inheritance adds the parent's permissions."
#[test]
fn rule_8_inheritance_adds_permissions() {
    let plan = plan(&format!(
        "roles:\n  a: {{ permissions: [{}] }}\n  b: {{ inherits: [a], permissions: [{}] }}\n  c: {{ inherits: [b] }}\nbindings: [{{ role: c, groups: [g] }}, {{ role: a, groups: [h] }}]\n",
        fields("show: [id]"),
        fields("show: [name]")
    ));
    assert_eq!(one(&plan, r#"{"id":1,"name":2,"phone":3}"#), r#"{"id":1,"name":2}"#);
    assert_eq!(
        ask(&plan, "GET /one/1").groups(&["h"]).answer(r#"{"data":{"id":1,"name":2}}"#),
        r#"{"data":{"id":1}}"#
    );
}

/// "Bindings add roles; `users`, `groups` are alternatives; `when`, `expires`, `hours`, `networks` must all hold."
#[test]
fn rule_8_bindings() {
    let either = bound("  - { role: r, users: [ann], groups: [g] }\n");
    for (id, groups, verdict) in
        [("ann", [].as_slice(), true), ("bob", &["g"], true), ("bob", &["h"], false), ("Ann", &[], false)]
    {
        assert_eq!(ask(&either, "GET /list").by(id).groups(groups).is_let_through(), verdict, "{id}");
    }
    let all = bound(
        "  - { role: r, groups: [g], when: principal.mfa, expires: 2026-12-31, hours: 'mon-fri 09:00-18:00 Asia/Shanghai', networks: [10.0.0.0/8] }\n",
    );
    let noon = || ask(&all, "GET /list").ip("10.0.0.1").mfa();
    assert!(noon().is_let_through());
    assert!(!ask(&all, "GET /list").ip("10.0.0.1").is_let_through(), "when");
    assert!(!noon().at("2027-01-04T04:00:00Z").is_let_through(), "expires");
    assert!(!noon().at("2026-11-20T12:00:00Z").is_let_through(), "hours");
    assert!(!noon().at("2026-11-21T04:00:00Z").is_let_through(), "a Saturday");
    assert!(!noon().ip("11.0.0.1").is_let_through(), "networks");
    assert!(!noon().groups(&["h"]).is_let_through(), "neither user nor group");
}

/// "`expires: 2026-12-31` means through the end of that day, UTC unless a zone is named."
#[test]
fn rule_8_expiry() {
    for (expires, last, over) in [
        ("2026-12-31", "2026-12-31T23:59:59.999Z", "2027-01-01T00:00:00Z"),
        ("2026-12-31 Asia/Shanghai", "2026-12-31T15:59:59.999Z", "2026-12-31T16:00:00Z"),
    ] {
        let plan = bound(&format!("  - {{ role: r, groups: [g], expires: '{expires}' }}\n"));
        assert!(ask(&plan, "GET /list").at(last).is_let_through(), "{expires}");
        assert!(!ask(&plan, "GET /list").at(over).is_let_through(), "{expires}");
    }
}

// === 11 Envelope ===

/// "Members outside `records` pass only if the route keeps them."
#[test]
fn rule_11_the_envelope() {
    let plan = may(&fields("show: [id]"));
    let answer = r#"{"page":1,"sql":"x","meta":{"next":"n","debug":1},"p\u0061ge":2,"Page":3,"data":[{"id":1}],"links":[{"page":1}]}"#;
    assert_eq!(
        get(&plan, "GET /list", answer),
        r#"{"page":1,"meta":{"next":"n"},"p\u0061ge":2,"data":[{"id":1}]}"#
    );
}

/// "Where a `records` condition is in force, `total` becomes the number released (in this answer): exact when it comes
/// after the records or the answer is short enough to be held (`hold_for_total`, default 256 KiB); otherwise it is
/// removed or set to `null`, as the route says; where the condition was pushed into the upstream query, or there is
/// none, it passes."
#[test]
fn rule_11_totals() {
    let own = r#"{ resource: customer, actions: [list], records: record.owner == principal.id, fields: { show: [id, name] } }"#;
    let plan = may(own);
    let records = |padding: usize| {
        format!(
            r#""data":[{{"id":1,"owner":"u1","name":"{}"}},{{"id":2,"owner":"u2"}}]"#,
            "x".repeat(padding)
        )
    };
    let got = |plan: &fieldgate::policy::Plan, answer: String| {
        let left = get(plan, "GET /list", &answer).replace("x", "");
        assert_eq!(left.matches(r#""id":1,"name":"""#).count(), 1, "{left}");
        left.replace(r#""data":[{"id":1,"name":""}]"#, "DATA")
    };
    let after = |padding: usize| format!(r#"{{{},"total":99}}"#, records(padding));
    let before = |padding: usize| format!(r#"{{"total":99,{}}}"#, records(padding));
    assert_eq!(got(&plan, after(0)), r#"{DATA,"total":1}"#);
    assert_eq!(got(&plan, after(257 << 10)), r#"{DATA,"total":1}"#);
    assert_eq!(got(&plan, before(0)), r#"{"total":1,DATA}"#);
    assert_eq!(got(&plan, before(255 << 10)), r#"{"total":1,DATA}"#);
    assert_eq!(got(&plan, before(257 << 10)), r#"{"total":null,DATA}"#);
    let removing = alone(&format!(
        "labels: [p]\nresources: {{ customer: {{ fields: {{ p: [id, owner, name] }} }} }}\napis: {{ a: {{ routes: [{{ match: GET /list, action: list, resource: customer, records: '$.data[*]', envelope: {{ total: $.total, total_unknown: remove }}, hold_for_total: 1KiB }}] }} }}\n{}",
        role(own)
    ));
    assert_eq!(got(&removing, before(2 << 10)), "{DATA}");
    assert_eq!(got(&removing, before(500)), r#"{"total":1,DATA}"#);
    // No condition: nothing is left out, so the number tells nothing.
    let all = get(&may(&fields("show: [id]")), "GET /list", &before(0));
    assert_eq!(all, r#"{"total":99,"data":[{"id":1},{"id":2}]}"#);
}

// === 12 Names ===

/// "A key is compared after unescaping: exactly for showing and masking; folded (case, width, Unicode normalisation,
/// invisible characters) for hiding under `unknown: show`."
#[test]
fn rule_12_names() {
    let exact = may(&fields("show: [id], mask: { phone: one }"));
    let record = r#"{"\u0069d":1,"ID":2,"ｉd":3,"i\u200bd":4,"ph\u006Fne":"abc","Phone":"abc","id\u0000":5}"#;
    assert_eq!(one(&exact, record), r#"{"\u0069d":1,"ph\u006Fne":"a*c"}"#);
    let loose = may("{ resource: loose, actions: [list], fields: { show: [public] } }");
    let folded = r#"[{"id":1,"odd":2,"phone":3,"PHONE":3,"ｐhone":3,"p\u200bhone":3,"phon\u0065":3,"\u24c5hone":3,"box":{"a":1,"b":2,"B":2,"c":4}}]"#;
    assert_eq!(get(&loose, "GET /loose", folded), r#"[{"id":1,"odd":2,"box":{"a":1,"c":4}}]"#);
}

/// "Every duplicate of a key is judged."
#[test]
fn rule_12_every_duplicate_is_judged() {
    let plan = may(&fields("show: [id], mask: { phone: one }"));
    let record = r#"{"phone":"abc","id":1,"phone":"abd","card":1,"card":2,"phon\u0065":"abe","id":{"x":1}}"#;
    assert_eq!(one(&plan, record), r#"{"phone":"a*c","id":1,"phone":"a*d","phon\u0065":"a*e","id":{"x":1}}"#);
    assert_eq!(
        get(&plan, "GET /list", r#"{"data":[{"id":1,"card":2}],"data":[{"card":3,"id":4}]}"#),
        r#"{"data":[{"id":1}],"data":[{"id":4}]}"#
    );
}

// === 13 Errors of the upstream ===

/// "**Errors of the upstream** (status 400 and above, or the API's own error shape) pass only through the declared error
/// shape; otherwise they are replaced by the API's denial shape with a neutral text."
#[test]
fn rule_13_errors_of_the_upstream() {
    let plan = may(&fields("show: ['*']"));
    for status in [400, 401, 404, 409, 422, 500, 503] {
        let answer = ask(&plan, "GET /one/1")
            .status(status)
            .answer(r#"{"data":{"id":1},"error":"no phone 13800138000"}"#);
        assert_eq!(answer, format!("{status} replaced"));
    }
    // An error that comes with status 200 has no records where they are declared.
    assert_eq!(get(&plan, "GET /list", r#"{"errcode":40013,"errmsg":"no phone 13800138000"}"#), "{}");
    assert_eq!(
        get(&plan, "GET /one/1", r#"{"errcode":40013,"errmsg":"no phone 13800138000"}"#),
        "404 replaced"
    );
}
