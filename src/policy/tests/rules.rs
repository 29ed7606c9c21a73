//! "Rules of combination (the only ones)" of the policy language: each test quotes what it holds to.

use serde_json::json;

use super::*;

/// A policy over one small API; the roles are the test's.
fn over(roles: &str) -> Plan {
    plan(&format!("{BASE}{roles}"))
}

const BASE: &str = r#"
labels: [public, contact, identity]
resources:
  item:
    key: id
    fields:
      public: [id, name, owner, region, tags]
      contact: [phone, address.city, "lines[*].price"]
      identity: [card, bank, bank.branch]
    relations: { boss: person, "people[*]": person }
  person:
    key: id
    fields: { public: [id, name, team], contact: [phone] }
  loose: { key: id, fields: { public: [id] , contact: [phone] }, unknown: show }
apis:
  a:
    routes:
      - match: GET /items
        action: list
        resource: item
        records: $.data[*]
        envelope: { keep: [page, $.meta.next], total: $.total }
      - { match: "GET /items/{id}", action: read, resource: item, records: $.data }
      - { match: "PUT /items/{id}", action: update, resource: item, records: $.data }
      - { match: "POST /items", action: create, resource: item, records: $.data }
      - { match: GET /export, action: export, resource: item, records: "$[*]" }
      - { match: GET /loose, action: list, resource: loose, records: "$[*]" }
masks:
  ends: { keep: { first: 1, last: 1 } }
  more: { keep: { first: 2, last: 2 } }
bindings:
  - { role: a, groups: [a] }
  - { role: b, groups: [b] }
roles:
"#;

fn a() -> Who {
    who("me").groups(&["a"])
}

fn ab() -> Who {
    who("me").groups(&["a", "b"])
}

fn read(plan: &Plan, who: &Who, record: serde_json::Value) -> serde_json::Value {
    get(plan, who, "GET /items/1", json!({ "data": record }))["data"].clone()
}

fn list(plan: &Plan, who: &Who, records: serde_json::Value) -> serde_json::Value {
    get(plan, who, "GET /items", json!({ "data": records }))["data"].clone()
}

fn one(permission: &str) -> String {
    format!("  a: {{ permissions: [{permission}] }}\n  b: {{ permissions: [] }}\n")
}

// === 1 Default is no ===

/// "**Default is no**: no route, no permission, no label → nothing."
#[test]
fn rule_1_a_field_without_label_is_not_released() {
    let plan = over(&one("{ resource: item, actions: [read], fields: { show: ['*'] } }"));
    assert_eq!(read(&plan, &a(), json!({ "id": 1, "new": 2, "lines": [{ "cost": 3 }] })), json!({ "id": 1 }));
}

// === 2 Selectors ===

/// "A selector names a member and everything below it".
#[test]
fn rule_2_a_selector_names_everything_below() {
    let plan = over(&one("{ resource: item, actions: [read], fields: { show: [bank] } }"));
    let record = json!({ "bank": { "no": "1", "branch": { "x": [1] } }, "card": "2" });
    assert_eq!(read(&plan, &a(), record), json!({ "bank": { "no": "1", "branch": { "x": [1] } } }));
}

/// "a more specific one (a longer path beats a shorter, a path beats a label, a label beats `*`) decides for its part".
#[test]
fn rule_2_the_more_specific_selector_decides() {
    let record = json!({ "id": 1, "phone": "123", "bank": { "no": "1", "branch": "x" } });
    for (fields, expected) in [
        ("show: ['*'], hide: [contact]", json!({ "id": 1, "bank": { "no": "1", "branch": "x" } })),
        ("show: [phone], hide: [contact]", json!({ "phone": "123" })),
        ("show: [bank.branch], hide: [bank]", json!({ "bank": { "branch": "x" } })),
        ("show: [bank], hide: [bank.branch]", json!({ "bank": { "no": "1" } })),
        ("show: [identity], hide: [bank]", json!({})),
        ("mask: { '*': stars }, show: [contact]", json!({ "id": null, "phone": "123", "bank": null })),
    ] {
        let plan = over(&one(&format!("{{ resource: item, actions: [read], fields: {{ {fields} }} }}")));
        assert_eq!(read(&plan, &a(), record.clone()), expected, "{fields}");
    }
}

/// "`[*]` is every element."
#[test]
fn rule_2_brackets_name_every_element() {
    let plan = over(&one("{ resource: item, actions: [read], fields: { show: [\"lines[*].price\"] } }"));
    let record = json!({ "lines": [{ "price": 1, "cost": 2 }, { "cost": 3 }, { "price": 4 }] });
    assert_eq!(read(&plan, &a(), record), json!({ "lines": [{ "price": 1 }, { "price": 4 }] }));
}

/// "Within one permission, at equal specificity, hide beats mask beats show."
#[test]
fn rule_2_at_equal_specificity_hide_beats_mask_beats_show() {
    for (fields, expected) in [
        ("show: [phone], mask: { phone: stars }", json!({ "phone": "***" })),
        ("show: [phone], mask: { phone: stars }, hide: [phone]", json!({})),
        ("show: [contact], hide: [contact]", json!({})),
        ("show: ['*'], mask: { '*': stars }", json!({ "phone": "***" })),
    ] {
        let plan = over(&one(&format!("{{ resource: item, actions: [read], fields: {{ {fields} }} }}")));
        assert_eq!(read(&plan, &a(), json!({ "phone": "123" })), expected, "{fields}");
    }
}

/// "`hide` only narrows its own permission; what nobody may see is a guard's business."
#[test]
fn rule_2_hide_only_narrows_its_own_permission() {
    let plan = over(
        "  a: { permissions: [{ resource: item, actions: [read], fields: { show: [public], hide: [name] } }] }\n  \
         b: { permissions: [{ resource: item, actions: [read], fields: { show: [name] } }] }\n",
    );
    assert_eq!(read(&plan, &a(), json!({ "id": 1, "name": "x" })), json!({ "id": 1 }));
    assert_eq!(read(&plan, &ab(), json!({ "id": 1, "name": "x" })), json!({ "id": 1, "name": "x" }));
}

/// "A permission with no `fields` releases no field."
#[test]
fn rule_2_a_permission_without_fields_releases_no_field() {
    let plan = over(&one("{ resource: item, actions: [read, list] }, { resource: loose, actions: [list] }"));
    assert_eq!(read(&plan, &a(), json!({ "id": 1 })), json!({}));
    assert_eq!(
        get(&plan, &a(), "GET /loose", json!([{ "id": 1, "x": 2 }])),
        json!([{}]),
        "also under `unknown: show`"
    );
}

// === 3 Records ===

const OWN_AND_REGION: &str = r#"
  a:
    permissions:
      - resource: item
        actions: [list, read]
        records: record.owner == principal.id
        fields: { show: [public, phone] }
      - resource: item
        actions: [list, read]
        records: record.region == principal.claims.region
        fields: { show: [id], mask: { phone: ends, card: more } }
  b:
    permissions:
      - { resource: item, actions: [list, read], records: record.name == "open", fields: { mask: { phone: more, card: ends } } }
"#;

/// "A record is released if at least one of the principal's permissions for this action and resource applies to it …
/// Those that apply to **this record** are united per field: show beats mask beats hide."
#[test]
fn rule_3_permissions_are_united_per_record() {
    let plan = over(OWN_AND_REGION);
    let me = a().claims(json!({ "region": "east" }));
    let record = |owner: &str, region: &str| json!({ "id": 1, "phone": "12345", "card": "98765", "owner": owner, "region": region });
    assert_eq!(
        list(
            &plan,
            &me,
            json!([record("me", "west"), record("you", "east"), record("me", "east"), record("you", "west")])
        ),
        json!([
            { "id": 1, "phone": "12345", "owner": "me", "region": "west" },
            { "id": 1, "phone": "1***5", "card": "98*65" },
            { "id": 1, "phone": "12345", "card": "98*65", "owner": "me", "region": "east" },
        ])
    );
}

/// "Of two masks the less revealing is applied".
#[test]
fn rule_3_of_two_masks_the_less_revealing_is_applied() {
    let plan = over(OWN_AND_REGION);
    let me = ab().claims(json!({ "region": "east" }));
    let record = json!({ "id": 1, "phone": "12345", "card": "98765", "owner": "you", "region": "east", "name": "open" });
    assert_eq!(read(&plan, &me, record), json!({ "id": 1, "phone": "1***5", "card": "9***5" }));
}

/// "A list drops the records not released; a single one that is not released is answered like one that does not exist."
#[test]
fn rule_3_records_not_released() {
    let plan = over(OWN_AND_REGION);
    assert_eq!(list(&plan, &a(), json!([{ "owner": "you" }, { "owner": "me" }])), json!([{ "owner": "me" }]));
    let permit = decide(&plan, &a(), "GET /items/1").unwrap();
    assert!(permit.route().single);
    let (_, counts) = pass(&permit, r#"{"data":{"owner":"you"}}"#).unwrap();
    assert_eq!((counts.released, counts.withheld), (0, 1));
}

// === 4 Containers ===

/// "An object or array is kept if something in it is shown or masked, and holds just that; otherwise it goes. A mask on
/// an object or array gives `null`."
#[test]
fn rule_4_containers() {
    let plan = over(&one(
        "{ resource: item, actions: [read], fields: { show: [address.city], mask: { bank: ends } } }",
    ));
    let record = json!({ "address": { "city": "x", "street": "y" }, "bank": { "no": "1" }, "lines": [{ "price": 1 }] });
    assert_eq!(read(&plan, &a(), record), json!({ "address": { "city": "x" }, "bank": null }));
    assert_eq!(read(&plan, &a(), json!({ "address": { "street": "y" } })), json!({}));
}

/// "Masks keep the JSON type: … on any other type the value becomes `null` (never a string in a number's place)."
#[test]
fn rule_4_masks_keep_the_type() {
    let plan =
        over(&one("{ resource: item, actions: [read], fields: { mask: { contact: ends, public: zero } } }"));
    assert_eq!(
        read(&plan, &a(), json!({ "phone": 13800138000_u64, "id": 7, "name": "x", "tags": true })),
        json!({ "phone": null, "id": 0, "name": null, "tags": null })
    );
}

// === 5 Relations ===

const RELATED: &str = r#"
  a:
    permissions:
      - { resource: item, actions: [list, read, export], fields: { show: ['*'] } }
      - { resource: person, actions: [read], records: record.team == "red", fields: { show: [name], mask: { phone: ends } } }
  b:
    permissions:
      - { resource: person, actions: [export], fields: { show: [id] } }
"#;

/// "A related record is judged by its own resource's permissions for `read` (else for this action), with its own
/// `records` condition; the parent's labels do not reach into it. Not released: dropped from an array, `null` as a
/// single member; no permission on the related resource at all: the member is hidden."
#[test]
fn rule_5_relations() {
    let plan = over(RELATED);
    let person = |team: &str| json!({ "id": 1, "name": "n", "team": team, "phone": "123" });
    let shown = json!({ "name": "n", "phone": "1*3" });
    let record = json!({ "id": 1, "boss": person("blue"), "people": [person("red"), person("blue"), 5] });
    assert_eq!(read(&plan, &a(), record), json!({ "id": 1, "boss": null, "people": [shown] }));
    assert_eq!(read(&plan, &a(), json!({ "boss": person("red") })), json!({ "boss": shown }));
    assert_eq!(read(&plan, &a(), json!({ "people": [person("blue")] })), json!({ "people": [] }));
    let none = over(&one("{ resource: item, actions: [read], fields: { show: ['*'] } }"));
    assert_eq!(
        read(&none, &a(), json!({ "id": 1, "boss": person("red"), "people": [person("red")] })),
        json!({ "id": 1 })
    );
}

/// "for `read` (else for this action)": with permissions for both, `read` alone judges.
#[test]
fn rule_5_read_comes_first_and_this_action_else() {
    let plan = over(&RELATED.replace("b:", "b: { inherits: [] }\n  c:").replace("  b: { inherits: [] }\n", "  b:\n    permissions:\n      - { resource: item, actions: [export], fields: { show: [id] } }\n      - { resource: person, actions: [export], fields: { show: [id] } }\n"));
    let answer = json!([{ "id": 1, "boss": { "id": 2, "team": "red", "name": "n" } }]);
    let b = who("me").groups(&["b"]);
    assert_eq!(get(&plan, &b, "GET /export", answer.clone()), json!([{ "id": 1, "boss": { "id": 2 } }]));
    assert_eq!(get(&plan, &ab(), "GET /export", answer), json!([{ "id": 1, "boss": { "name": "n" } }]));
}

// === 6 Guards ===

fn guarded(guards: &str) -> Plan {
    over(&format!("{RELATED}guards:\n{guards}"))
}

/// "**Guards** come last and only take away: … on labels or fields → those are hidden. Several guards: all must hold."
#[test]
fn rule_6_guards_hide_labels_and_fields() {
    let plan = guarded(
        "  - { name: g1, on: { labels: [contact] }, require: principal.mfa }\n  \
         - { name: g2, on: { resource: item, fields: [bank.branch, name] }, require: principal.claims.office }\n",
    );
    let record = json!({ "id": 1, "name": "n", "phone": "123", "bank": { "no": "1", "branch": "x" }, "address": { "city": "c" } });
    let office = json!({ "office": true });
    assert_eq!(read(&plan, &a(), record.clone()), json!({ "id": 1, "bank": { "no": "1" } }));
    assert_eq!(
        read(&plan, &a().mfa(), record.clone()),
        json!({ "id": 1, "phone": "123", "bank": { "no": "1" }, "address": { "city": "c" } })
    );
    assert_eq!(
        read(&plan, &a().claims(office.clone()), record.clone()),
        json!({ "id": 1, "name": "n", "bank": { "no": "1", "branch": "x" } })
    );
    assert_eq!(read(&plan, &a().mfa().claims(office), record.clone()), record);
}

/// "Guards … on labels hide (they do not mask), also inside related records".
#[test]
fn rule_6_guards_reach_into_related_records() {
    let plan = guarded("  - { name: g, on: { labels: [contact] }, require: principal.mfa }\n");
    let record = json!({ "boss": { "team": "red", "name": "n", "phone": "123" } });
    assert_eq!(read(&plan, &a(), record.clone()), json!({ "boss": { "name": "n" } }));
    assert_eq!(read(&plan, &a().mfa(), record), json!({ "boss": { "name": "n", "phone": "1*3" } }));
}

/// A guard on actions and labels hides the labels in those actions, and nothing else.
#[test]
fn rule_6_actions_narrow_a_guard_on_labels() {
    let plan = guarded("  - { name: g, on: { actions: [list], labels: [contact] }, require: 'false' }\n");
    assert_eq!(list(&plan, &a(), json!([{ "id": 1, "phone": "1" }])), json!([{ "id": 1 }]));
    assert_eq!(read(&plan, &a(), json!({ "id": 1, "phone": "1" })), json!({ "id": 1, "phone": "1" }));
}

// === 7 Conditions ===

fn when(condition: &str) -> Plan {
    over(&one(&format!(
        "{{ resource: item, actions: [list], records: '{condition}', fields: {{ show: [id] }} }}"
    )))
}

/// "`records` may read any field of the record, also hidden ones."
#[test]
fn rule_7_hidden_fields_decide_also_when_they_come_last() {
    let plan = when("record.secret == 1");
    assert_eq!(
        list(&plan, &a(), json!([{ "id": 1, "secret": 1 }, { "secret": 2, "id": 2 }])),
        json!([{ "id": 1 }])
    );
}

/// "A condition that errs (missing member, wrong type) counts as not met, wherever it stands. Text comparison is exact."
#[test]
fn rule_7_errors_are_not_met_and_texts_are_exact() {
    let plan = when(r#"record.owner == "me""#);
    let records = json!([{ "id": 1 }, { "id": 2, "owner": 5 }, { "id": 3, "owner": null }, { "id": 4, "owner": "ME" },
        { "id": 5, "owner": "me " }, { "id": 6, "owner": "me" }, { "id": 7, "owner": ["me"] }]);
    assert_eq!(list(&plan, &a(), records), json!([{ "id": 6 }]));
    let negated = when(r#"!(record.owner == "you")"#);
    assert_eq!(list(&negated, &a(), json!([{ "id": 1 }, { "id": 2, "owner": "me" }])), json!([{ "id": 2 }]));
}

/// "If a deciding member appears twice, the condition is not met."
#[test]
fn rule_7_a_deciding_member_that_appears_twice() {
    let plan = when(r#"record.owner == "me""#);
    let permit = decide(&plan, &a(), "GET /items").unwrap();
    let twice = r#"{"data":[{"id":1,"owner":"me","owner":"me"},{"id":2,"owner":"me","\u006fwner":"you"},{"id":3,"owner":"me"}]}"#;
    assert_eq!(pass(&permit, twice).unwrap().0, r#"{"data":[{"id":3}]}"#);
}

// === 8 Roles ===

/// "Inheritance adds the parent's permissions."
#[test]
fn rule_8_inheritance_adds_permissions() {
    let plan = over(
        "  a: { inherits: [b, c], permissions: [{ resource: item, actions: [read], fields: { show: [id] } }] }\n  \
         b: { inherits: [c], permissions: [{ resource: item, actions: [read], fields: { show: [name] } }] }\n  \
         c: { permissions: [{ resource: item, actions: [read], fields: { show: [phone] } }] }\n",
    );
    let record = json!({ "id": 1, "name": "n", "phone": "p", "card": "c" });
    assert_eq!(read(&plan, &a(), record.clone()), json!({ "id": 1, "name": "n", "phone": "p" }));
    assert_eq!(read(&plan, &who("x").groups(&["b"]), record), json!({ "name": "n", "phone": "p" }));
}

// === 9 Writes ===

fn writable(fields: &str, records: &str) -> Plan {
    over(&one(&format!(
        "{{ resource: item, actions: [update, create, read], {records} fields: {{ {fields} }} }}"
    )))
}

fn settable(plan: &Plan, line: &str, body: serde_json::Value) -> serde_json::Value {
    let permit = decide(plan, &a(), line).unwrap();
    let write = permit.write().unwrap();
    let mut rewriter = Rewriter::new(write.plan.clone(), permit.params().clone());
    let mut out = Vec::new();
    rewriter.push(body.to_string().as_bytes(), &mut out).unwrap();
    rewriter.finish(&mut out).unwrap();
    if rewriter.counts().released == 0 {
        return serde_json::Value::Null;
    }
    serde_json::from_slice(&out).unwrap()
}

/// "`edit` needs `show` on the field, unless `write_only: true`."
#[test]
fn rule_9_edit_needs_show() {
    let body = json!({ "name": "n", "phone": "p", "card": "c", "new": 1, "boss": { "id": 1 } });
    let plan = writable("show: [name, phone], edit: [name, phone]", "");
    assert_eq!(settable(&plan, "PUT /items/1", body.clone()), json!({ "name": "n", "phone": "p" }));
    let blind = writable("show: [name], edit: [card], write_only: true", "");
    assert_eq!(settable(&blind, "PUT /items/1", body.clone()), json!({ "card": "c" }));
    let masked = load(&format!(
        "{BASE}{}",
        one("{ resource: item, actions: [update], fields: { mask: { phone: ends }, edit: [phone] } }")
    ));
    assert!(masked.plan.is_none(), "said by `check`");
}

/// "A masked value coming back is always recognised": every mask the principal may have been shown is known.
#[test]
fn rule_9_the_masks_shown_are_known() {
    let plan = writable("show: [name, phone], mask: { card: ends, bank: more }, edit: [name, phone]", "");
    let permit = decide(&plan, &a(), "PUT /items/1").unwrap();
    let masks: Vec<_> =
        permit.write().unwrap().masks.iter().map(|(path, mask)| format!("{path} {}", mask.name())).collect();
    assert_eq!(masks, ["card ends", "bank more", "bank.branch more"]);
}

/// Under a condition: a new record must meet it, and what it reads cannot be changed on an old one.
#[test]
fn rule_9_writes_under_a_condition() {
    let plan = writable("show: [name, owner], edit: [name, owner]", "records: record.owner == principal.id,");
    let body = |owner: &str| json!({ "name": "n", "owner": owner });
    assert_eq!(settable(&plan, "POST /items", body("me")), body("me"));
    assert_eq!(settable(&plan, "POST /items", body("you")), serde_json::Value::Null);
    assert_eq!(settable(&plan, "PUT /items/1", body("me")), json!({ "name": "n" }));
}

/// Before the record is read, only what every permission that may apply lets be set; after it, what those do.
#[test]
fn rule_9_the_record_narrows_what_may_be_set() {
    let plan = over(
        "  a:\n    permissions:\n      - { resource: item, actions: [read, update], records: record.owner == 'me', fields: { show: [name, phone], edit: [name, phone] } }\n      - { resource: item, actions: [read, update], records: record.region == 'east', fields: { show: [name], edit: [name] } }\n  b: { permissions: [] }\n",
    );
    let body = json!({ "name": "n", "phone": "p" });
    assert_eq!(settable(&plan, "PUT /items/1", body.clone()), json!({ "name": "n" }));
    let permit = decide(&plan, &a(), "PUT /items/1").unwrap();
    let applied = ["roles.a.permissions[0]".into()].into();
    let narrowed = Arc::new(permit.write().unwrap().narrowed(&applied));
    let mut rewriter = Rewriter::new(narrowed, permit.params().clone());
    let mut out = Vec::new();
    rewriter.push(body.to_string().as_bytes(), &mut out).unwrap();
    rewriter.finish(&mut out).unwrap();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&out).unwrap(), body);
}

// === 10 Queries ===

/// "**Queries.** Filter, sort, group, search default to exactly what is shown in clear on **every** record".
#[test]
fn rule_10_queryable_is_what_is_shown_on_every_record() {
    let fields =
        |roles: &str, who: &Who| decide(&over(roles), who, "GET /items").unwrap().query().fields.clone();
    let both = fields(OWN_AND_REGION, &a());
    assert!(
        both.queryable.contains("id")
            && !both.queryable.contains("phone")
            && !both.queryable.contains("name")
    );
    let single = fields(
        &one(
            "{ resource: item, actions: [list], records: record.owner == principal.id, fields: { show: [phone] } }",
        ),
        &a(),
    );
    assert!(single.queryable.contains("phone"), "the only permission: on every record it releases");
    let explicit =
        fields(&one("{ resource: item, actions: [list], fields: { show: [id, phone], query: [id] } }"), &a());
    assert!(explicit.queryable.contains("id") && !explicit.queryable.contains("phone"));
    let part = fields(
        &one("{ resource: item, actions: [list], fields: { show: [bank], hide: [bank.branch] } }"),
        &a(),
    );
    assert!(!part.queryable.contains("bank"), "a part of it is hidden");
}

// === 11 Envelope ===

/// "Members outside `records` pass only if the route keeps them."
#[test]
fn rule_11_only_what_is_kept_passes() {
    let plan = over(&one("{ resource: item, actions: [list], fields: { show: [id] } }"));
    let answer = json!({ "page": 2, "sql": "x", "meta": { "next": "n", "debug": 1 }, "total": 9, "data": [{ "id": 1 }] });
    assert_eq!(
        get(&plan, &a(), "GET /items", answer),
        json!({ "page": 2, "meta": { "next": "n" }, "total": 9, "data": [{ "id": 1 }] })
    );
}

/// "Where a `records` condition is in force, `total` becomes the number released (in this answer) …; where … there is
/// none, it passes."
#[test]
fn rule_11_totals() {
    let answer = json!({ "total": 9, "data": [{ "id": 1, "owner": "me" }, { "id": 2, "owner": "you" }] });
    let conditional = over(&one(
        "{ resource: item, actions: [list], records: record.owner == principal.id, fields: { show: [id] } }",
    ));
    assert_eq!(
        get(&conditional, &a(), "GET /items", answer.clone()),
        json!({ "total": 1, "data": [{ "id": 1 }] })
    );
    // "as soon as one permission … has a condition and none without a condition also applies"
    let both = over(&one(
        "{ resource: item, actions: [list], records: record.owner == principal.id, fields: { show: [id] } }, { resource: item, actions: [list], fields: { show: [id] } }",
    ));
    assert_eq!(get(&both, &a(), "GET /items", answer)["total"], json!(9));
}

// === 12 Names ===

/// "A key is compared after unescaping: exactly for showing and masking; … Every duplicate of a key is judged."
#[test]
fn rule_12_names() {
    let plan =
        over(&one("{ resource: item, actions: [list], fields: { show: [id], mask: { phone: ends } } }"));
    let permit = decide(&plan, &a(), "GET /items").unwrap();
    let answer =
        r#"{"data":[{"\u0069d":1,"ID":2,"phone":"123","phone":"456","ph\u006fne":"789","\uff50hone":"x"}]}"#;
    assert_eq!(
        pass(&permit, answer).unwrap().0,
        r#"{"data":[{"\u0069d":1,"phone":"1*3","phone":"4*6","ph\u006fne":"7*9"}]}"#
    );
}

/// "folded (case, width, Unicode normalisation, invisible characters) for hiding under `unknown: show`".
#[test]
fn rule_12_folded_for_hiding_under_unknown_show() {
    let plan = over(&one("{ resource: loose, actions: [list], fields: { show: [id] } }"));
    let permit = decide(&plan, &a(), "GET /loose").unwrap();
    let answer = r#"[{"id":1,"phone":"1","Phone":"2","ｐｈｏｎｅ":"3","pho\u200bne":"4","other":5}]"#;
    assert_eq!(pass(&permit, answer).unwrap().0, r#"[{"id":1,"other":5}]"#);
}

/// Rule 2, "a selector names a member and everything below it": also what nobody labelled there, where that is shown.
#[test]
fn what_a_selector_takes_away_under_unknown_show_goes_with_all_that_is_below() {
    const LOOSE: &str = r#"
labels: [public, guarded]
resources: { item: { fields: { public: [id], guarded: [bank.account] }, unknown: show } }
apis: { a: { routes: [{ match: GET /loose, action: list, resource: item, records: "$[*]" }] } }
roles: { all: { permissions: [{ resource: item, actions: [list], fields: FIELDS }] } }
bindings: [{ role: all, when: true }]
GUARDS
"#;
    let answer = r#"[{"id":1,"bank":{"account":"2","iban":"3"},"Bank":{"iban":"3"},"other":4}]"#;
    let guard = "guards: [{ name: g, on: { resource: item, fields: [bank] }, require: principal.mfa }]";
    for (fields, guards, expected) in [
        ("{ show: [public], hide: [bank] }", "", r#"[{"id":1,"other":4}]"#),
        ("{ show: ['*'] }", guard, r#"[{"id":1,"other":4}]"#),
        ("{ show: [public], mask: { bank: stars } }", "", r#"[{"id":1,"bank":null,"other":4}]"#),
        (
            "{ show: [public, bank.account], hide: [bank] }",
            "",
            r#"[{"id":1,"bank":{"account":"2"},"other":4}]"#,
        ),
    ] {
        let plan = plan(&LOOSE.replace("FIELDS", fields).replace("GUARDS", guards));
        let permit = decide(&plan, &a(), "GET /loose").unwrap();
        assert_eq!(pass(&permit, answer).unwrap().0, expected, "{fields}");
    }
}
