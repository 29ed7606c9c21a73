use super::super::tests::{load, noon};
use super::super::{Loaded, MaskKeys, Purpose};

const RESOURCES: &str = r#"
labels: [public, contact, identity]
resources:
  customer:
    key: id
    fields: { public: [id, name, region], contact: [phone], identity: [id_card] }
    relations: { owner: user }
  user: { fields: { public: [uid] } }
  order: { fields: { public: [oid] } }
apis:
  crm:
    routes:
      - { match: GET /customers, action: list, resource: customer, records: "$.data[*]" }
      - { match: "GET /customers/{id}", action: read, resource: customer, records: $ }
masks:
  ends: { keep: { first: 3, last: 4 } }
bindings:
  - { role: sales, groups: [sales] }
  - { role: other, groups: [other] }
"#;

/// Codes and places of the warnings of a policy, notes and other codes aside.
fn warned(codes: &[&str], more: &str) -> Vec<String> {
    let loaded = load(&format!("{RESOURCES}{more}"));
    assert!(!loaded.report.has_errors(), "{}", loaded.report.to_text(false));
    let skipped = RESOURCES.lines().count() as u32 + 1;
    let found = loaded.report.diagnostics().iter().filter(|found| codes.contains(&found.code));
    found
        .map(|found| {
            let line = found.place.as_ref().map_or(0, |place| place.line.saturating_sub(skipped));
            format!("{line} {}: {}", found.code, found.message)
        })
        .collect()
}

const OTHER: &str =
    "  other:\n    permissions:\n      - { resource: customer, actions: [read], fields: { show: [id] } }\n";

#[test]
fn a_permission_that_adds_nothing_is_shadowed() {
    let shadowed = |permissions: &str| {
        warned(
            &["shadowed-permission"],
            &format!(
                "roles:\n{OTHER}  base:\n    permissions:\n      - {{ resource: customer, actions: [list, read], fields: {{ show: [public], mask: {{ phone: ends }} }} }}\n  sales:\n    inherits: [base]\n    permissions:\n{permissions}"
            ),
        )
    };
    for adds_nothing in [
        "      - { resource: customer, actions: [read], fields: { show: [name] } }\n",
        "      - { resource: customer, actions: [read], fields: { mask: { phone: stars } } }\n",
        "      - { resource: customer, actions: [list, read], records: record.region == \"x\", fields: { show: [public] } }\n",
        "      - { resource: customer, actions: [read] }\n",
    ] {
        let found = shadowed(adds_nothing);
        assert_eq!(
            found,
            ["10 shadowed-permission: this permission adds nothing to `roles.base.permissions[0]`"],
            "{adds_nothing}"
        );
    }
    for adds_something in [
        "      - { resource: customer, actions: [read], fields: { show: [phone] } }\n",
        "      - { resource: customer, actions: [read], fields: { mask: { id_card: stars } } }\n",
        "      - { resource: user, actions: [read], fields: { show: [uid] } }\n",
        "      - { resource: customer, actions: [read], fields: { show: [name], query: [name] } }\n",
    ] {
        assert_eq!(shadowed(adds_something), Vec::<String>::new(), "{adds_something}");
    }
    let twice = "      - { resource: customer, actions: [read], records: record.region == \"x\", fields: { show: [phone] } }\n";
    let found = shadowed(&format!("{twice}{twice}"));
    assert_eq!(
        found,
        ["11 shadowed-permission: this permission adds nothing to `roles.sales.permissions[0]`"]
    );
    let narrower = "      - { resource: customer, actions: [read], records: record.region == \"x\", fields: { show: [phone] } }\n      - { resource: customer, actions: [read], records: record.region == \"y\", fields: { show: [phone] } }\n";
    assert_eq!(shadowed(narrower), Vec::<String>::new());
}

#[test]
fn what_nothing_leads_to_is_dead() {
    let codes = ["dead-permission", "dead-route"];
    let found = warned(
        &codes,
        &format!(
            "roles:\n{OTHER}  sales:\n    permissions:\n      - {{ resource: customer, actions: [update], fields: {{ show: [id] }} }}\n      - {{ resource: order, actions: [read], fields: {{ show: [oid] }} }}\n      - {{ resource: user, actions: [list], fields: {{ show: [uid] }} }}\n"
        ),
    );
    assert_eq!(
        found,
        [
            "6 dead-permission: no route leads to `update` of `customer`",
            "7 dead-permission: no route leads to `read` of `order`",
        ],
        "a user is reached inside of customers"
    );
    let roles = format!("roles:\n{OTHER}  sales: {{ inherits: [other] }}\n");
    let text = format!(
        "{}{roles}",
        RESOURCES.replace(
            "masks:",
            "      - { match: \"GET /customers/{key}\", action: read, resource: customer, records: $ }\nmasks:"
        )
    );
    let loaded = load(&text);
    let found: Vec<_> = loaded.report.diagnostics().iter().filter(|d| d.code == "dead-route").collect();
    assert_eq!(found.len(), usize::from(!loaded.report.has_errors()), "{}", loaded.report.to_text(false));
}

#[test]
fn a_mask_weaker_than_its_label_is_pointed_at() {
    let masks = |phone: &str, id_card: &str| {
        warned(
            &["weak-mask"],
            &format!(
                "roles:\n{OTHER}  sales:\n    permissions:\n      - {{ resource: customer, actions: [read], fields: {{ mask: {{ phone: {phone}, id_card: {id_card} }} }} }}\n"
            ),
        )
    };
    assert_eq!(
        masks("stars", "ends"),
        [
            "6 weak-mask: `id_card` is labelled `identity` and masked by `ends`, which reveals more than `stars` on \
          `phone`, labelled only `contact`"
        ]
    );
    assert_eq!(masks("ends", "stars"), Vec::<String>::new());
    assert_eq!(masks("ends", "ends"), Vec::<String>::new());
}

#[test]
fn a_guarded_field_that_everybody_sees_is_pointed_at() {
    let code = ["shown-to-all"];
    let sales = |fields: &str, more: &str| {
        warned(
            &code,
            &format!(
                "roles:\n{OTHER}  sales:\n    permissions:\n      - {{ resource: customer, actions: [read], {more}fields: {{ show: [{fields}] }} }}\n"
            ),
        )
    };
    assert_eq!(sales("public, contact", ""), Vec::<String>::new(), "the other role does not see it");
    let both = format!("roles:\n{}  sales: {{ inherits: [other] }}\n", OTHER.replace("[id]", "[id, phone]"));
    let found = warned(&code, &both);
    assert_eq!(
        found,
        ["0 shown-to-all: `customer.phone` has the label `contact` and is shown in clear to every role"]
    );
    let everybody = "roles:\n  all:\n    permissions:\n      - { resource: customer, actions: [read], CONDITIONfields: { show: [id_card, id] } }\n  other: {}\n  sales: {}\n";
    let text = RESOURCES.replace("bindings:\n", "bindings:\n  - { role: all, when: true }\n");
    let free = load(&format!("{text}{}", everybody.replace("CONDITION", "")));
    let said: Vec<_> =
        free.report.diagnostics().iter().filter(|d| d.code == code[0]).map(|d| &d.message).collect();
    assert_eq!(
        said,
        [
            "`customer.id_card` has the label `identity` and is shown in clear to everybody who is authenticated"
        ]
    );
    let owner = everybody.replace("CONDITION", "records: record.region == principal.id, ");
    let own = load(&format!("{text}{owner}"));
    assert!(own.report.diagnostics().iter().all(|d| d.code != code[0]));
}

#[test]
fn conditions_that_nothing_matters_to_are_pointed_at() {
    let code = ["constant-condition"];
    let text = format!(
        "roles:\n{OTHER}  sales:\n    permissions:\n      - resource: customer\n        actions: [read]\n        records: record.region == \"a\" && 1 > 2\n        fields: {{ show: [id] }}\nguards:\n  - {{ name: g, on: {{ actions: [read] }}, require: '\"a\" in [\"a\"]' }}\n"
    );
    assert_eq!(
        warned(&code, &text),
        [
            "8 constant-condition: the condition is always false",
            "11 constant-condition: the condition is always true",
        ]
    );
    let bound = load(&format!(
        "{RESOURCES}  - {{ role: sales, when: true }}\n  - {{ role: other, when: 1 == 2 }}\nroles:\n{OTHER}  sales: {{ inherits: [other] }}\n"
    ));
    let lines: Vec<_> = bound
        .report
        .diagnostics()
        .iter()
        .filter(|d| d.code == code[0])
        .map(|d| d.place.as_ref().unwrap().path.clone())
        .collect();
    assert_eq!(lines, ["$.bindings[3].when"], "`when: true` says everybody");
}

#[test]
fn a_binding_that_has_ended_is_pointed_at() {
    let text = format!(
        "{RESOURCES}  - {{ role: other, users: [li], expires: 2026-11-19 }}\n  - {{ role: other, users: [wu], expires: 2026-11-20 }}\nroles:\n{OTHER}  sales: {{}}\n"
    );
    let loaded = Loaded::from_texts(&[("p.yaml", &text)], &MaskKeys::Assumed, Purpose::Check);
    let expired = loaded.expired(noon());
    assert_eq!(expired.len(), 1, "the day of the end still counts");
    assert_eq!(expired[0].place.as_ref().unwrap().path, "$.bindings[2].expires");
    assert_eq!(loaded.expired("2026-11-21T00:00:00Z".parse().unwrap()).len(), 2);
    assert_eq!(loaded.expired("2026-11-19T23:59:59Z".parse().unwrap()).len(), 0);
}

#[test]
fn nothing_is_said_beside_mistakes() {
    let loaded = load(&format!("{RESOURCES}roles:\n  sales: {{}}\n  other: {{ inherits: [gone] }}\n"));
    assert!(loaded.report.has_errors());
    assert!(loaded.report.diagnostics().iter().all(|found| !found.code.starts_with("dead")));
}

#[test]
fn a_mask_that_everybody_may_have_turned_back_hides_nothing() {
    let said = |bindings: &str| {
        let text = format!(
            "masks:\n  acct: {{ fpe: {{ key: k }} }}\nroles:\n  sales: {{ unmask: [acct] }}\n{OTHER}{bindings}"
        );
        let parts = [("a.yaml", RESOURCES), ("b.yaml", text.as_str())];
        let loaded = Loaded::from_texts(&parts, &MaskKeys::Assumed, Purpose::Serve);
        assert!(!loaded.report.has_errors(), "{}", loaded.report.to_text(false));
        let all = loaded.report.diagnostics().iter().filter(|found| found.code == "unmasked-by-all");
        all.map(|found| found.message.clone()).collect::<Vec<_>>()
    };
    assert!(said("").is_empty());
    assert_eq!(
        said("bindings:\n  - { role: sales, when: true }\n"),
        ["everybody who is authenticated may have values of `acct` turned back"]
    );
}
