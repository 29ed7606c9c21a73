//! The example of the rules, word for word, and what the comments in it promise.

use fieldgate::analysis::run_examples;
use fieldgate::base::Secret;
use fieldgate::policy::{Loaded, MaskKeys, Plan, Purpose};
use fieldgate::rewrite::mask::Keys;

use super::support::*;

/// What the example leaves to other files.
const BESIDE: &str = r#"
resources:
  user: { key: id, fields: { public: [id, name] } }
  contact: { key: id, fields: { public: [id, name], contact: [phone] } }
roles:
  hr: { permissions: [{ resource: customer, actions: [read], fields: { show: [identity] } }] }
  contractor: { permissions: [{ resource: customer, actions: [list], fields: { show: [public] } }] }
  finance_manager: { permissions: [{ resource: customer, actions: [list], fields: { show: [public] } }] }
bindings:
  - { role: hr, groups: [hr] }
  - { role: contractor, groups: [contractors] }
  - { role: finance_manager, groups: [finance-managers] }
guards:
  - { name: contractors stay out, on: { actions: [export] }, require: '!("contractor" in principal.roles)' }
"#;

/// The example as it stands in the rules.
fn written() -> String {
    let page = include_str!("../../docs/rules.md");
    let example = page.split_once("## By example").unwrap().1.split_once("```yaml\n").unwrap().1;
    example.split_once("```").unwrap().0.to_owned()
}

fn loaded(more: &str, keys: &MaskKeys) -> Loaded {
    let example = written();
    let texts = [("example.yaml", example.as_str()), ("beside.yaml", BESIDE), ("more.yaml", more)];
    Loaded::from_texts(&texts, keys, Purpose::Check)
}

fn example(more: &str) -> Plan {
    let loaded = loaded(more, &MaskKeys::Assumed);
    let report = loaded.report.to_text(false);
    loaded.plan.unwrap_or_else(|| panic!("{report}"))
}

/// "Policy files are the product's face: a security engineer reads them in a review, an auditor in a meeting. This page
/// fixes the model and the look; details that it leaves open are the implementer's, in the same spirit." What it looks
/// like, and that "colleagues' customers: only a masked phone" is what colleagues get.
#[test]
fn the_example_is_a_policy_and_does_what_its_comments_say() {
    let plan = example("");
    let own = r#"{"data":{"id":42,"owner_id":"u7","region":"west","phone":"13800138000","id_card":"11010119900307123X","credit_limit":5,"new_field":1}}"#;
    let sales =
        |id: &str| ask(&plan, "GET /api/v1/customers/42").by(id).groups(&["crm-sales"]).ip("10.0.0.1");
    assert_eq!(
        sales("u7").answer(own),
        r#"{"data":{"id":42,"owner_id":"u7","region":"west","phone":"13800138000","id_card":"110***********123X"}}"#
    );
    let colleague = serde_json::json!({ "region": "west" });
    assert_eq!(
        sales("u8").claims(colleague).answer(own),
        r#"{"data":{"id":42,"owner_id":"u7","region":"west","phone":"138****8000"}}"#
    );
    let finance = |line| ask(&plan, line).groups(&["finance"]);
    assert!(
        finance("GET /api/v1/customers/42").verdict().starts_with("403"),
        "the role is bound `when: principal.mfa`"
    );
    assert_eq!(
        finance("GET /api/v1/customers/42").mfa().answer(own),
        r#"{"data":{"id":42,"owner_id":"u7","region":"west","credit_limit":5}}"#
    );
    assert_eq!(
        finance("GET /api/v1/customers?phone=138").mfa().verdict(),
        "403 query parameter `phone` cannot be used as given"
    );
}

#[test]
fn the_tests_of_the_example_hold() {
    let loaded = loaded("", &MaskKeys::Assumed);
    let now = "2026-11-20T04:00:00Z".parse().unwrap();
    let results = run_examples(loaded.plan.as_ref().unwrap(), &loaded.set.tests, now);
    assert_eq!(results.len(), 1);
    assert_eq!(results[0].failure, None);
}

/// "from the most open to the most guarded"
#[test]
fn the_order_of_labels_means_something() {
    let masked = |masks: &str| role(&fields(&format!("show: [id], mask: {{ {masks} }}")));
    assert!(says(&masked("phone: stars, card: one"), "weak-mask"), "what is more guarded is masked less");
    assert!(!says(&masked("phone: one, card: stars"), "weak-mask"));
    let to_all = |label: &str| {
        format!(
            "{}guards: []\n",
            role(&fields(&format!("show: [{label}]"))).replace("groups: [g]", "when: true")
        )
    };
    assert!(says(&to_all("contact"), "shown-to-all"), "{:?}", said(&to_all("contact")));
    assert!(!says(&to_all("public"), "shown-to-all"), "the most open label is for everybody");
}

/// "nested records, under their own resource's rules (labelled there)"
#[test]
fn nested_records_are_under_their_own_rules() {
    let clerk = r#"
roles:
  clerk:
    permissions:
      - { resource: customer, actions: [read], fields: { show: [public, contact] } }
      - { resource: contact, actions: [read], records: record.phone != "1", fields: { show: [public] } }
bindings: [{ role: clerk, groups: [clerks] }]
"#;
    let answer = r#"{"data":{"id":1,"phone":"9","owner":{"id":2,"name":"x"},"contacts":[{"id":3,"phone":"2"},{"id":4,"phone":"1"}]}}"#;
    assert_eq!(
        ask(&example(clerk), "GET /api/v1/customers/1").groups(&["clerks"]).answer(answer),
        r#"{"data":{"id":1,"phone":"9","contacts":[{"id":3}]}}"#,
        "contacts by their own permission and label, no owner without one"
    );
    for label in ["owner.name", r#""contacts[*].phone""#] {
        let labelled = written().replace("public:    [id,", &format!("public:    [{label}, id,"));
        let loaded = Loaded::from_texts(&[("p.yaml", &labelled)], &MaskKeys::Assumed, Purpose::Check);
        assert!(loaded.plan.is_none(), "{label} is labelled at its own resource only");
    }
}

/// "default: a field nobody labelled is hidden and reported; `show` for a careful start"
#[test]
fn what_nobody_labelled_is_hidden_and_reported() {
    let record = r#"{"data":{"id":1,"new":{"a":1},"NEW":2}}"#;
    // Said or not said, it is the same.
    for unknown in ["    unknown: hide ", "    # not said "] {
        let text = written().replacen("    unknown: hide ", unknown, 1);
        let texts = [("example.yaml", text.as_str()), ("beside.yaml", BESIDE)];
        let plan = Loaded::from_texts(&texts, &MaskKeys::Assumed, Purpose::Check).plan.unwrap();
        let asked = || ask(&plan, "GET /api/v1/customers/1").by("ext.x").groups(&["hr", "finance"]).mfa();
        assert_eq!(asked().answer(record), r#"{"data":{"id":1}}"#, "{unknown}");
        let reported: Vec<_> = asked().counts(record).unknown.into_iter().collect();
        assert_eq!(reported, ["NEW".into(), "new".into()], "{unknown}");
    }
    let careful = may("{ resource: loose, actions: [list], fields: { show: [public] } }");
    assert_eq!(get(&careful, "GET /loose", r#"[{"id":1,"new":2,"phone":"3"}]"#), r#"[{"id":1,"new":2}]"#);
    assert_eq!(
        ask(&careful, "GET /loose").counts(r#"[{"id":1,"new":2}]"#).unknown.len(),
        1,
        "still reported"
    );
}

/// "no route, no way through"
#[test]
fn without_a_route_nobody_gets_through() {
    let plan = example("");
    let everybody = ["crm-sales", "finance", "hr", "contractors", "finance-managers"];
    for line in [
        "GET /api/v1/debug",
        "GET /api/v1/customers/42/contacts",
        "GET /api/v1/customers/",
        "GET /api/v1",
        "GET /",
        "POST /api/v1/customers",
        "DELETE /api/v1/customers/42",
        "PATCH /api/v1/customers/42",
        "OPTIONS /api/v1/customers",
        "POST /healthz",
    ] {
        assert_eq!(ask(&plan, line).groups(&everybody).mfa().verdict(), "404 no route matches", "{line}");
    }
}

/// What the masks write: "138****8000", "l***@example.com".
#[test]
fn masks_write_what_their_comments_say() {
    let colleague = serde_json::json!({ "region": "west" });
    let plan = example("");
    let asked = ask(&plan, "GET /api/v1/customers/42").by("u8").groups(&["crm-sales"]).claims(colleague);
    assert_eq!(
        asked.answer(r#"{"data":{"region":"west","phone":"13800138000","email":"li.na@example.com"}}"#),
        r#"{"data":{"region":"west","phone":"138****8000","email":"l***@example.com"}}"#
    );
}

/// "same person, same token, in every system"
#[test]
fn a_pseudonym_is_the_same_in_every_system() {
    let erp = r#"
resources: { order: { key: id, fields: { public: [id, buyer] } } }
apis: { erp: { routes: [{ match: "GET /erp/orders/{id}", action: read, resource: order, records: $ }] } }
roles:
  analyst:
    permissions:
      - { resource: customer, actions: [read], fields: { show: [id], mask: { name: token } } }
      - { resource: order, actions: [read], fields: { show: [id], mask: { buyer: token } } }
bindings: [{ role: analyst, groups: [analysts] }]
"#;
    let tokens = |key: &str, person: &str| {
        let mut keys = Keys::default();
        keys.insert("mask-key", Secret::new(key.as_bytes().to_vec()));
        let plan = loaded(erp, &MaskKeys::Given(keys)).plan.unwrap();
        let token = |line: &str, answer: String, at: &str| {
            let answer = ask(&plan, line).groups(&["analysts"]).answer(&answer);
            let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
            answer.pointer(at).unwrap().as_str().unwrap().to_owned()
        };
        let customer = format!(r#"{{"data":{{"id":1,"name":"{person}"}}}}"#);
        let order = format!(r#"{{"id":7,"buyer":"{person}"}}"#);
        (
            token("GET /api/v1/customers/1", customer, "/data/name"),
            token("GET /erp/orders/7", order, "/buyer"),
        )
    };
    let key = "0123456789abcdef0123456789abcdef";
    let (in_crm, in_erp) = tokens(key, "王芳");
    assert_eq!(in_crm, in_erp);
    assert!(in_crm.chars().count() == 16 && !in_crm.contains('王'), "{in_crm}");
    assert_eq!(tokens(key, "王芳").0, in_crm, "another installation with the same key");
    assert_ne!(tokens(key, "李娜").0, in_crm, "another person");
    assert_ne!(
        tokens("another key, another key, another!", "王芳").0,
        in_crm,
        "without the key nobody can tell"
    );
}
