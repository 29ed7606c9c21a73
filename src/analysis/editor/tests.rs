use super::*;
use crate::policy::{MaskKeys, Purpose};

const POLICY: &str = r#"labels: [public, contact, 财务]
resources:
  customer:
    key: id
    fields:
      public: [id, name]
      contact: [phone, "contracts[*].amount"]
      财务: [信用额度]
    relations: { owner: user }
  user:
    fields: { public: [id, mail] }
apis:
  crm:
    routes:
      - { match: "GET /customers/{id}", action: read, resource: customer, records: $ }
      - { match: "POST /customers/{id}/share", action: share, resource: customer, records: $ }
      - { match: "GET /users/{id}", action: read, resource: user, records: $ }
masks:
  phone: { keep: { first: 3, last: 4 } }
roles:
  employee:
    permissions:
      - { resource: customer, actions: [read], fields: { show: [public] } }
  sales:
    inherits: [employee]
    permissions:
      - resource: customer
        actions: [read]
        records: record.name == principal.id
        fields: { mask: { phone: phone } }
bindings:
  - { role: sales, groups: [crm-sales] }
"#;

fn policy() -> Loaded {
    let policy = Loaded::from_texts(&[("p.yaml", POLICY)], &MaskKeys::Assumed, Purpose::Check);
    assert!(policy.plan.is_some(), "{}", policy.report.to_text(false));
    policy
}

fn desk<'d>(policy: &'d Loaded, secrets: &'d [Arc<str>]) -> Desk<'d> {
    Desk { is_policy: true, policy: Some(policy), sound: Some(policy), stale: false, secrets }
}

/// The names offered at `‸` in a text.
fn offered(text: &str) -> Vec<String> {
    let at = text.find('‸').unwrap();
    let policy = policy();
    let found = complete(&desk(&policy, &["mask-key".into()]), &text.replace('‸', ""), at);
    found.items.into_iter().map(|item| item.name).collect()
}

/// What a text becomes when a name is chosen at `‸`.
fn chosen(text: &str, name: &str) -> String {
    let at = text.find('‸').unwrap();
    let policy = policy();
    let mut text = text.replace('‸', "");
    let found = complete(&desk(&policy, &[]), &text, at);
    let item = found.items.iter().find(|item| item.name == name).unwrap();
    text.replace_range(found.replaces, &item.text);
    text
}

const PERMISSION: &str = "roles:\n  r:\n    permissions:\n      - resource: customer\n";

#[test]
fn names_are_offered_where_they_may_stand() {
    let there =
        |text: &str, name: &str| assert!(offered(text).iter().any(|known| known == name), "{text} {name}");
    let only = |text: &str, names: &[&str]| assert_eq!(offered(text), names, "{text}");
    only("bindings:\n  - role: ‸", &["employee", "sales"]);
    only("bindings:\n  - { role: sales, groups: [cr‸", &["crm-sales"]);
    only("roles:\n  x:\n    inherits: [employee, ‸]", &["employee", "sales"]);
    only("resources:\n  c:\n    fields:\n      ‸", &["public", "contact", "财务"]);
    only("resources:\n  c:\n    relations:\n      owner: ‸", &["customer", "user"]);
    only("resources:\n  c:\n    unknown: ‸", &["hide", "show"]);
    only("masks:\n  t: { hash: { key: ‸", &["mask-key"]);
    there("masks:\n  t: ‸", "stars");
    there("masks:\n  t:\n    ke‸", "keep");
    there(&format!("{PERMISSION}        actions: [‸"), "share");
    there(&format!("{PERMISSION}        fields: {{ show: [public, ‸"), "信用额度");
    there(&format!("{PERMISSION}        fields: {{ mask: {{ phone: ‸"), "stars");
    there(&format!("{PERMISSION}        fields:\n          mask:\n            ph‸"), "phone");
    there("tests:\n  - request: ‸", "GET /customers/{id}");
    there("guards:\n  - on: { labels: [‸", "财务");
    there("invariants:\n  - never: { except_roles: ‸", "sales");
    let fields = offered(&format!("{PERMISSION}        fields: {{ show: [‸"));
    assert!(!fields.contains(&"mail".to_owned()), "fields of other resources are not offered: {fields:?}");
}

#[test]
fn keys_come_from_the_schema_without_those_that_are_there() {
    let keys = offered(&format!("{PERMISSION}        ‸\n        fields: {{}}\n"));
    assert!(keys.contains(&"actions".to_owned()) && keys.contains(&"records".to_owned()), "{keys:?}");
    assert!(!keys.contains(&"resource".to_owned()) && !keys.contains(&"fields".to_owned()), "{keys:?}");
    assert!(offered("‸").contains(&"roles".to_owned()));
    assert!(offered("roles: {}\nal‸").contains(&"alerts".to_owned()));
    assert!(offered("# ‸").is_empty() && offered("roles: # a‸").is_empty());
}

#[test]
fn conditions_know_the_fields_and_the_members_of_principal_and_request() {
    let condition = |typed: &str| offered(&format!("{PERMISSION}        records: {typed}"));
    assert!(condition("record.ph‸").contains(&"record.phone".to_owned()));
    assert!(condition("record.x == principal.‸").contains(&"principal.groups".to_owned()));
    assert!(condition("'!ip‸").contains(&"ip_in".to_owned()));
    assert!(!offered("guards:\n  - require: rec‸").contains(&"record".to_owned()), "guards have no record");
    assert_eq!(
        chosen(&format!("{PERMISSION}        records: 'record.x == principal.gr‸'"), "principal.groups"),
        format!("{PERMISSION}        records: 'record.x == principal.groups'")
    );
}

#[test]
fn what_is_chosen_is_written_as_yaml_wants_it() {
    let show = format!("{PERMISSION}        fields: {{ show: [");
    assert_eq!(chosen(&format!("{show}‸"), "contracts[*].amount"), format!("{show}\"contracts[*].amount\""));
    assert_eq!(
        chosen(&format!("{show}\"con‸"), "contracts[*].amount"),
        format!("{show}\"contracts[*].amount\"")
    );
    assert_eq!(chosen(&format!("{show}‸"), "*"), format!("{show}\"*\""));
    assert_eq!(chosen(&format!("{show}con‸ta]"), "contact"), format!("{show}contact]"));
    assert_eq!(chosen(&format!("{show}信‸"), "信用额度"), format!("{show}信用额度"));
    assert_eq!(chosen("ro‸", "roles"), "roles: ");
}

#[test]
fn hovering_says_who_may_see_a_field() {
    let policy = policy();
    let says = |needle: &str| {
        let at = POLICY.find(needle).unwrap() + needle.len() - 1;
        hover(&desk(&policy, &[]), POLICY, at).map(|hover| hover.markdown).unwrap_or_default()
    };
    let phone = says("contact: [phone");
    assert!(phone.contains("Field `phone` of `customer`, label `contact`"), "{phone}");
    assert!(phone.contains("- `sales` masked as `phone` where `record.name == principal.id`"), "{phone}");
    assert!(!phone.contains("employee"), "{phone}");
    assert!(says("财务: [信用额度").contains("Nobody sees it."));
    let label = says("labels: [public");
    assert!(label.contains("Label `public`, 1 of 3") && label.contains("`employee` in clear"), "{label}");
    assert!(says("inherits: [employee").contains("read on `customer`"));
    assert!(says("  - { role: sales").contains("held by the group `crm-sales`"));
    assert!(says("records: record.name").contains("Field `name` of `customer`"));
    assert!(says("    key").contains("names records in limits"), "{}", says("    key"));
    assert!(says("mask: { phone: phone").contains("\"first\":3"));
}

#[test]
fn definitions_are_found() {
    let policy = policy();
    let line = |needle: &str| {
        let at = POLICY.find(needle).unwrap() + needle.len() - 1;
        let places = definition(&desk(&policy, &[]), POLICY, at);
        places
            .iter()
            .map(|place| POLICY.lines().nth(place.line as usize - 1).unwrap().trim())
            .collect::<Vec<_>>()
    };
    assert_eq!(line("bindings:\n  - { role: sales"), ["sales:"]);
    assert_eq!(line("inherits: [employee"), ["employee:"]);
    assert_eq!(line("owner: user"), ["user:"]);
    assert_eq!(line("fields: { show: [public"), ["labels: [public, contact, 财务]"]);
    assert_eq!(line("mask: { phone"), ["contact: [phone, \"contracts[*].amount\"]"]);
    assert_eq!(line("mask: { phone: phone"), ["phone: { keep: { first: 3, last: 4 } }"]);
    assert_eq!(line("- resource: customer"), ["customer:"]);
    assert_eq!(line("records: record.name"), ["public: [id, name]"]);
    assert_eq!(line("actions: [read").len(), 1, "of routes on this resource only");
}

#[test]
fn what_is_not_known_yet_does_no_harm() {
    let desk = Desk { is_policy: true, policy: None, sound: None, stale: true, secrets: &[] };
    assert!(hover(&desk, "roles: {", 3).is_some_and(|hover| hover.markdown.contains("Who may do what")));
    assert!(definition(&desk, POLICY, 200).is_empty());
    assert!(complete(&desk, "", 0).items.iter().any(|item| item.name == "roles"));
    assert!(complete(&desk, "电", 1).items.is_empty(), "inside a character");
    assert!(complete(&desk, "a", 9).items.is_empty(), "behind the end");
}

#[test]
fn the_outline_names_sections_and_what_is_in_them() {
    let outline = outline(POLICY);
    let names: Vec<_> = outline.iter().map(|section| section.name.as_ref()).collect();
    assert_eq!(names, ["labels", "resources", "apis", "masks", "roles", "bindings"]);
    let inside: Vec<_> =
        outline.iter().flat_map(|section| &section.inside).map(|part| part.name.as_ref()).collect();
    assert_eq!(
        inside,
        ["public", "contact", "财务", "customer", "user", "crm", "phone", "employee", "sales", "sales"]
    );
    for section in &outline {
        assert!(
            section
                .inside
                .iter()
                .all(|part| section.range.start <= part.range.start && part.range.end <= section.range.end)
        );
    }
}
