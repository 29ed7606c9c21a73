//! Fields that pick elements of a list, and masks that depend on the record.

use super::support::*;

/// [`BASE`] with a list of contacts of which the private ones, and the last price, are told apart.
const PICKING: &str = r#"
labels: [public, contact, identity]
resources:
  customer:
    key: id
    fields:
      public: [id, "contacts[*].type", "lines[*].price", "first[0]", "first[1:3].x"]
      contact: ["contacts[*].phone", country, phone]
      identity: ["contacts[?@.type == 'private'].phone", "lines[-1].price"]
    relations: { boss: person }
  person:
    key: id
    fields: { public: [id], contact: ["mails[?@.main == true].address"] }
apis:
  crm:
    denial: { body: '{"no":{{code}},"why":{{message}}}' }
    routes:
      - match: GET /list
        action: list
        resource: customer
        records: $.data[*]
        query: { filter: ["contacts[*].phone", "lines[*].price", "lines[-1].price"], select: fields }
      - { match: "PUT /one/{id}", action: update, resource: customer, body: $, records: $.data }
      - { match: GET /lines, action: list, resource: customer, format: ndjson }
masks:
  one: { keep: { first: 3, last: 4 } }
  two: { keep: { first: 1, last: 1 } }
  by_country: { when: 'record.country == "CN"', then: one, else: stars }
"#;

fn picking(permissions: &str) -> fieldgate::policy::Plan {
    alone(&format!("{PICKING}{}", role(permissions)))
}

fn seen(fields: &str, record: &str) -> String {
    let plan = picking(&format!(
        "{{ resource: customer, actions: [list, read], fields: {{ {fields} }} }}, {{ resource: person, actions: [read], fields: {{ show: [contact] }} }}"
    ));
    let answer = get(&plan, "GET /list", &format!(r#"{{"data":[{record}]}}"#));
    let line = get(&plan, "GET /lines", &format!("{record}\n"));
    let left = answer.strip_prefix(r#"{"data":["#).unwrap().strip_suffix("]}").unwrap().to_owned();
    assert_eq!(line, format!("{left}\n"), "each line is a record");
    left
}

/// "**Picked elements**: a labelled field may pick elements of a list by index, slice or filter, also from the end:
/// `lines[0]`, `lines[1:3].price`, `lines[-1].price`, `contacts[?@.type == "home"].phone`; of two paths of one length the
/// one with more such steps decides."
#[test]
fn some_elements_have_a_label_of_their_own() {
    let record = r#"{"contacts":[{"phone":"1","type":"private"},{"type":"work","phone":"2"}],"lines":[{"price":1},{"price":2}]}"#;
    assert_eq!(
        seen("show: [public, contact]", record),
        r#"{"contacts":[{"type":"private"},{"type":"work","phone":"2"}],"lines":[{"price":1}]}"#
    );
    assert_eq!(seen("show: [identity]", record), r#"{"contacts":[{"phone":"1"}],"lines":[{"price":2}]}"#);
    assert_eq!(seen(r#"show: ["lines[-1].price"]"#, record), r#"{"lines":[{"price":2}]}"#);
    assert_eq!(
        seen(r#"show: [contact, identity], mask: { "contacts[?@.type == 'private'].phone": two }"#, record),
        r#"{"contacts":[{"phone":"*"},{"phone":"2"}],"lines":[{"price":2}]}"#
    );
    assert_eq!(
        seen("show: [public]", r#"{"first":[1,{"x":2},{"x":3},{"x":4}]}"#),
        r#"{"first":[1,{"x":2},{"x":3}]}"#
    );
    let boss = r#"{"boss":{"mails":[{"address":"a","main":false},{"address":"b","main":true}]}}"#;
    assert_eq!(seen("show: [public]", boss), r#"{"boss":{"mails":[{"address":"b"}]}}"#);
    assert!(
        says(&role(&fields(r#"show: ["lines[-2].price"]"#)), "matches-nothing"),
        "only as it is declared"
    );
}

/// "An element of which nobody can say whether it is picked, because a deciding member appears twice or cannot be
/// read, is hidden whole."
#[test]
fn an_element_that_nobody_can_tell_is_hidden() {
    let twice = r#"{"contacts":[{"type":"work","phone":"1","type":"private"},{"type":"work","phone":"2"}]}"#;
    assert_eq!(
        seen("show: [public, contact, identity]", twice),
        r#"{"contacts":[{"type":"work","phone":"2"}]}"#
    );
    let broken = r#"{"contacts":[{"type":"\ud800","phone":"1"}],"lines":[]}"#;
    assert_eq!(seen("show: [public, contact, identity]", broken), "{}");
}

/// "What is picked by a filter or from the end can be neither edited nor queried by itself; the list that it is in
/// can, where all of it may be." "Only the fields of a resource pick elements so: relations, records and envelopes do
/// not."
#[test]
fn picked_elements_are_read_only() {
    let may = |fields: &str| {
        picking(&format!("{{ resource: customer, actions: [list, update], fields: {{ {fields} }} }}"))
    };
    let part = may("show: [public, contact], edit: [contact, public]");
    assert!(ask(&part, "PUT /one/7").body(r#"{"contacts":[{"phone":"1"}]}"#).verdict().contains("contacts"));
    assert!(ask(&part, "PUT /one/7").body(r#"{"lines":[{"price":1}]}"#).verdict().contains("lines"));
    assert!(ask(&part, "PUT /one/7").body(r#"{"phone":"1"}"#).passes());
    let whole = may("show: [public, contact, identity], edit: [contact, public, identity]");
    assert!(ask(&whole, "PUT /one/7").body(r#"{"contacts":[{"phone":"1","type":"private"}]}"#).passes());
    for (plan, name, passes) in [
        (&part, "lines[*].price", false),
        (&whole, "lines[*].price", true),
        (&whole, "lines[-1].price", false),
        (&part, "contacts[*].phone", false),
        (&whole, "contacts[*].phone", true),
    ] {
        let line = format!("GET /list?{}=1", name.replace('[', "%5B").replace(']', "%5D"));
        assert_eq!(ask(plan, &line).passes(), passes, "{name}");
    }
    let edit = role(&fields(r#"show: [public], edit: ["lines[-1].price"]"#));
    let read = fieldgate::policy::Loaded::from_texts(
        &[("p.yaml", &format!("{PICKING}{edit}"))],
        &fieldgate::policy::MaskKeys::Assumed,
        fieldgate::policy::Purpose::Check,
    );
    assert!(complaints(&read).iter().any(|line| line.starts_with("edit-chosen ")), "{:?}", complaints(&read));
    let filters: Vec<_> = (0..7).map(|n| format!("'a[?@.b == {n}]'")).collect();
    for (count, fits) in [(6, true), (7, false)] {
        let text =
            format!("resources: {{ x: {{ fields: {{ public: [{}] }} }} }}\n", filters[..count].join(", "));
        assert_eq!(says(&text, "too-many-picked"), !fits, "{count}");
    }
    for (at, text) in [
        ("relations", "resources: { x: { relations: { \"a[?@.b == 1]\": person } } }\n"),
        ("key", "resources: { x: { key: \"a[-1]\", fields: { public: [id] } } }\n"),
        (
            "records",
            "apis: { y: { routes: [{ match: GET /y, action: list, resource: person, records: \"$.data[?@.ok]\" }] } }\n",
        ),
        (
            "total",
            "apis: { y: { routes: [{ match: GET /y, action: list, resource: person, records: \"$.data[*]\", envelope: { total: \"$.t[-1]\" } }] } }\n",
        ),
        ("unions and the like", "resources: { x: { fields: { public: [\"a[?@.b == $.c]\"] } } }\n"),
    ] {
        let said = said(text);
        let told =
            said.iter().any(|line| line.starts_with("chosen-elements ") || line.starts_with("bad-path "));
        assert!(told, "{at}: {said:?}");
    }
}

/// "**Masks by record**: `{ when: CONDITION, then: MASK, else: MASK }` is the one mask on records for which the
/// condition is met, the other where it is not, and the less revealing of the two where it has no value." "Its
/// strength is that of the mask which the record takes."
#[test]
fn a_mask_may_depend_on_another_field() {
    let phone = |record: &str| seen("mask: { phone: by_country }", record);
    assert_eq!(phone(r#"{"phone":"13800138000","country":"CN"}"#), r#"{"phone":"138****8000"}"#);
    assert_eq!(phone(r#"{"phone":"13800138000","country":"DE"}"#), r#"{"phone":"***"}"#);
    for unclear in [r#""country":5"#, r#""x":1"#, r#""country":"CN","country":"CN""#] {
        assert_eq!(
            phone(&format!(r#"{{"phone":"13800138000",{unclear}}}"#)),
            r#"{"phone":"***"}"#,
            "{unclear}"
        );
    }
    let both = picking(
        "{ resource: customer, actions: [list], fields: { mask: { phone: by_country } } }, { resource: customer, actions: [list], fields: { mask: { phone: two } } }",
    );
    let records =
        r#"{"data":[{"phone":"13800138000","country":"CN"},{"phone":"13800138000","country":"DE"}]}"#;
    assert_eq!(
        get(&both, "GET /list", records),
        r#"{"data":[{"phone":"1*********0"},{"phone":"***"}]}"#,
        "of two masks the less revealing one of this record"
    );
}

/// "What its condition reads cannot be changed by a permission that masks with it." "Neither of the two may be one by
/// record itself."
#[test]
fn what_a_mask_depends_on_does_not_open_it() {
    let plan = picking(
        "{ resource: customer, actions: [list, update], fields: { show: [country, public], mask: { phone: by_country }, edit: [country, id] } }",
    );
    assert!(ask(&plan, "PUT /one/7").body(r#"{"country":"CN"}"#).verdict().contains("country"));
    assert!(ask(&plan, "PUT /one/7").body(r#"{"id":7}"#).passes());
    let masks = |text: &str| said(&format!("masks: {{ {text} }}\n"));
    for (text, code) in [
        (
            "a: { when: 'true', then: one, else: stars }, b: { when: 'true', then: a, else: stars }",
            "bad-mask ",
        ),
        ("a: { when: 'record.x ==', then: one, else: stars }", "bad-condition "),
        ("a: { when: 'record.x == 1', then: onne, else: stars }", "unknown-mask "),
        ("a: { when: 'record.x == 1', then: one }", "missing-key "),
        ("a: { when: 'record.x == 1', then: one, else: stars, otherwise: one }", "unknown-key "),
        ("stars: { when: 'record.x == 1', then: one, else: blank }", "bad-mask "),
    ] {
        assert!(masks(text).iter().any(|line| line.starts_with(code)), "{text}: {:?}", masks(text));
    }
}
