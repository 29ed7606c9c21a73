//! Invariants: "a sentence about the whole policy that `check` proves or refutes with a counter-example".

use super::*;

const HEAD: &str = r#"labels: [public, secret]
resources:
  item: { key: id, fields: { public: [id], secret: [cost, note] }, relations: { maker: person } }
  person: { fields: { public: [name], secret: [salary] } }
apis:
  shop:
    routes:
      - { match: GET /items, action: list, resource: item, records: "$[*]" }
      - { match: "GET /items/{id}", action: read, resource: item, records: $ }
      - { match: "PUT /items/{id}", action: update, resource: item, body: $, records: $ }
      - { match: GET /items/export, action: export, resource: item, records: "$[*]" }
"#;

const PEOPLE: &str = r#"roles:
  lister: { permissions: [{ resource: item, actions: [list], fields: { show: [public] } }] }
  payroll: { permissions: [{ resource: person, actions: [read], fields: { show: ["*"] } }] }
  exporter: { permissions: [{ resource: item, actions: [export], fields: { show: ["*"] } }] }
  temp: { permissions: [{ resource: item, actions: [list], fields: { show: [public], mask: { note: stars } } }] }
  junior: { inherits: [temp], permissions: [] }
  writer: { permissions: [{ resource: item, actions: [update], fields: { edit: [cost], write_only: true } }] }
bindings:
  - { role: lister, groups: [all] }
  - { role: payroll, groups: [hr] }
  - { role: exporter, groups: [analysts] }
  - { role: temp, users: [tim] }
  - { role: junior, users: [jo] }
  - { role: writer, groups: [clerks] }
"#;

/// What is said about an invariant, without its place.
fn judged(people: &str, never: &str) -> Vec<String> {
    let text = format!("{HEAD}{people}invariants: [{{ name: x, never: {never} }}]\n");
    let broken = load(&text).report;
    let all = broken.diagnostics().iter().filter(|found| found.code != "unbound-role");
    all.map(|found| {
        let place = found.related.first().map(|(place, why)| format!(" | {why} at {}", place.line));
        let help = found.help.clone().unwrap_or_default();
        format!(
            "{} | {help}{}",
            found.message.replace("the invariant `x` does not hold: ", ""),
            place.unwrap_or_default()
        )
    })
    .collect()
}

#[test]
fn what_no_role_can_do_is_proved() {
    assert!(judged(PEOPLE, "{ edit: [note] }").is_empty());
    assert!(judged(PEOPLE, "{ show: [secret], except_roles: [exporter, payroll] }").is_empty());
    assert!(judged(PEOPLE, "{ actions: [delete] }").is_empty());
}

#[test]
fn a_counter_example_names_role_action_field_and_permission() {
    assert_eq!(
        judged(PEOPLE, "{ show: [note] }"),
        [
            "role `exporter` sees `item.note` in clear | for example somebody in the group `analysts`, by `GET /items/export` | by `roles.exporter.permissions[0]` at 15"
        ]
    );
    assert_eq!(
        judged(PEOPLE, "{ edit: [item.cost] }").len(),
        1,
        "a path is relative to its resource: `item.cost` is nowhere"
    );
    assert!(
        judged(PEOPLE, "{ edit: [cost], resource: item }")[0].starts_with("role `writer` sets `item.cost`")
    );
}

/// Neither role shows it alone: one lets the request through, the other opens the related record.
#[test]
fn roles_that_are_harmless_alone_are_tried_together() {
    assert_eq!(
        judged(PEOPLE, "{ show: [salary], except_roles: [exporter] }"),
        [
            "whoever holds `lister` and `payroll` together sees `person.salary` in clear | for example somebody in the groups `all` and `hr`, by `GET /items` | by `roles.payroll.permissions[0]` at 14"
        ]
    );
}

#[test]
fn roles_of_different_people_do_not_come_together() {
    let apart = PEOPLE
        .replace("{ role: lister, groups: [all] }", "{ role: lister, users: [ann] }")
        .replace("{ role: payroll, groups: [hr] }", "{ role: payroll, users: [bob] }")
        .replace("{ role: writer, groups: [clerks] }", "{ role: writer, users: [cay] }");
    assert!(judged(&apart, "{ show: [salary], except_roles: [exporter, temp, junior] }").is_empty());
    let same = apart.replace("users: [bob]", "users: [bob, ann]");
    assert!(judged(&same, "{ show: [salary], except_roles: [exporter] }")[0].contains("the user `ann`"));
}

#[test]
fn what_other_roles_add_counts_for_those_who_hold_one() {
    let said = judged(PEOPLE, "{ actions: [export], roles: [temp] }");
    assert!(
        said[0].starts_with("whoever holds `exporter` and `temp` together may `export` `item`"),
        "{said:?}"
    );
    let guard = "guards: [{ name: g, on: { actions: [export] }, require: '!(\"temp\" in principal.roles || \"junior\" in principal.roles)' }]\n";
    assert!(judged(&format!("{PEOPLE}{guard}"), "{ actions: [export], roles: [temp] }").is_empty());
    let maybe = guard.replace("!(", "principal.mfa || !(");
    assert!(!judged(&format!("{PEOPLE}{maybe}"), "{ actions: [export], roles: [temp] }").is_empty());
}

#[test]
fn masked_is_released_and_not_shown() {
    let never = |key: &str| format!("{{ {key}: [secret], roles: [temp], actions: [list], resource: item }}");
    assert!(judged(PEOPLE, &never("show")).is_empty());
    assert!(judged(PEOPLE, &never("mask"))[0].starts_with("role `temp` sees `item.note` at all"));
}

#[test]
fn a_guard_that_may_be_met_does_not_help_and_one_that_cannot_does() {
    let guard = |require: &str| {
        format!("{PEOPLE}guards: [{{ name: g, on: {{ labels: [secret] }}, require: {require} }}]\n")
    };
    assert!(!judged(&guard("principal.mfa"), "{ show: [cost] }").is_empty());
    let never = judged(&guard("'\"nobody\" in principal.roles'"), "{ show: [cost] }");
    assert!(never.is_empty(), "{never:?}");
}

#[test]
fn a_role_that_comes_with_an_excepted_one_is_excepted() {
    let tied = PEOPLE.replace("{ role: payroll, groups: [hr] }", "{ role: payroll, groups: [analysts] }");
    assert!(judged(&tied, "{ show: [cost], except_roles: [payroll] }").is_empty());
}

#[test]
fn a_field_that_is_nowhere_is_refused() {
    assert!(judged(PEOPLE, "{ show: [prise] }")[0].starts_with("unknown label `prise`"));
}

/// Resources in a chain, each record holding one of the next; a role of its own opens each, and only the last one holds
/// a secret.
fn chain(length: usize, more_roles: usize) -> String {
    let mut text = String::from("labels: [public, secret]\nresources:\n");
    for n in 0..length {
        let relation =
            if n + 1 < length { format!(", relations: {{ next: r{} }}", n + 1) } else { String::new() };
        text.push_str(&format!("  r{n}: {{ fields: {{ public: [id], secret: [cost] }}{relation} }}\n"));
    }
    text.push_str(
        "apis: { a: { routes: [{ match: GET /r, action: read, resource: r0, records: $ }] } }\nroles:\n",
    );
    for n in 0..length {
        let shown = if n + 1 < length { "id" } else { "cost" };
        text.push_str(&format!(
            "  opens{n}: {{ permissions: [{{ resource: r{n}, actions: [read], fields: {{ show: [{shown}] }} }}] }}\n"
        ));
    }
    for n in 0..more_roles {
        text.push_str(&format!(
            "  more{n}: {{ permissions: [{{ resource: r{}, actions: [read], records: record.id == {n}, fields: {{ show: [id] }} }}] }}\n",
            n % length
        ));
    }
    text.push_str("bindings:\n");
    (0..length).for_each(|n| text.push_str(&format!("  - {{ role: opens{n}, groups: [g{n}] }}\n")));
    (0..more_roles).for_each(|n| text.push_str(&format!("  - {{ role: more{n}, groups: [m{n}] }}\n")));
    text
}

fn judged_chain(text: &str) -> Vec<String> {
    let never = "invariants: [{ name: x, never: { show: [cost], resource: r5 } }]\n";
    let report = load(&format!("{text}{never}")).report;
    report
        .diagnostics()
        .iter()
        .filter(|d| d.code.starts_with("invariant"))
        .map(|d| d.message.clone())
        .collect()
}

/// Many roles alone make nothing undecided: where nobody can hold enough, that is a proof.
#[test]
fn many_roles_that_can_never_be_enough_are_proved() {
    let apart = chain(6, 24).replace("{ role: opens0, groups: [g0] }", "{ role: opens0, users: [ann] }");
    let apart = apart.replace("{ role: opens5, groups: [g5] }", "{ role: opens5, users: [bob] }");
    let apart =
        apart.replace("resource: r0, actions: [read], records", "resource: r1, actions: [read], records");
    assert_eq!(judged_chain(&apart), Vec::<String>::new());
}

/// A secret that is shown only to whoever holds five more roles, by a guard; and roles that are tried beside them.
fn locked(more_roles: usize) -> Vec<String> {
    let keys: Vec<_> = (0..5).map(|n| format!("\"key{n}\" in principal.roles")).collect();
    let mut roles = String::from(
        "roles:\n  base: { permissions: [{ resource: item, actions: [read], fields: { show: [cost] } }] }\n",
    );
    let mut bindings = String::from("bindings:\n  - { role: base, groups: [base] }\n");
    for n in 0..5 {
        roles.push_str(&format!("  key{n}: {{}}\n"));
        bindings.push_str(&format!("  - {{ role: key{n}, groups: [k{n}] }}\n"));
    }
    for n in 0..more_roles {
        roles.push_str(&format!(
            "  more{n}: {{ permissions: [{{ resource: item, actions: [read], records: record.id == {n}, fields: {{ show: [id] }} }}] }}\n"
        ));
        bindings.push_str(&format!("  - {{ role: more{n}, groups: [m{n}] }}\n"));
    }
    let guard =
        format!("guards: [{{ name: g, on: {{ actions: [read] }}, require: '{}' }}]\n", keys.join(" && "));
    judged(&format!("{roles}{bindings}{guard}"), "{ show: [cost], resource: item, actions: [read] }")
}

#[test]
fn what_only_many_roles_together_can_do_is_found() {
    let found = locked(0);
    let found: Vec<_> = found.iter().filter(|line| line.contains("whoever holds")).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("`base` and `key0`") && found[0].contains("`key4`"), "{found:?}");
}

/// What was not tried is not proved: it is an error, as a broken invariant is.
#[test]
fn an_invariant_about_too_many_combinations_is_undecided_not_proved() {
    let found = locked(24);
    assert!(found.iter().any(|line| line.contains("is about too many roles to be decided")), "{found:?}");
}

const DESKS: &str = r#"masks: { account: { fpe: { key: k } }, other: { fpe: { key: k } } }
roles:
  desk: { unmask: [account] }
  fraud: { inherits: [desk], permissions: [{ resource: item, actions: [list], fields: { show: [public] } }] }
  temp: { permissions: [{ resource: item, actions: [list], fields: { show: [public] } }] }
bindings:
  - { role: fraud, groups: [fraud] }
  - { role: temp, groups: [temps] }
  - { role: desk, users: [ann] }
"#;

#[test]
fn nobody_turns_back_what_nobody_must() {
    assert!(judged(DESKS, "{ unmask: [other] }").is_empty());
    assert!(judged(DESKS, "{ unmask: [account], except_roles: [desk, fraud] }").is_empty());
    assert_eq!(
        judged(DESKS, "{ unmask: [account], except_roles: [desk] }"),
        [
            "role `fraud` may have values of `account` turned back | for example somebody in the group `fraud`, by \
             `fieldgate unmask`"
        ]
    );
    let together = judged(DESKS, "{ unmask: [account], roles: [temp] }");
    assert!(
        together.len() == 1 && together[0].contains("whoever holds") && together[0].contains("`temp`"),
        "somebody may be in both groups: {together:?}"
    );
    let apart = DESKS.replace("groups: [temps]", "users: [tim]").replace("groups: [fraud]", "users: [eve]");
    assert!(judged(&apart, "{ unmask: [account], roles: [temp] }").is_empty(), "nobody is both");
    let never = "guards:\n  - { name: g, on: { actions: [unmask] }, require: \"false\" }\n";
    assert!(
        judged(&format!("{DESKS}{never}"), "{ unmask: [account] }")
            .iter()
            .all(|said| !said.contains("turned back"))
    );
    let wrong = judged(DESKS, "{ unmask: [stars] }");
    assert!(wrong.iter().any(|said| said.contains("nothing turns back")), "{wrong:?}");
    let beside = judged(DESKS, "{ unmask: [other], show: [public] }");
    assert!(beside.iter().any(|said| said.contains("in clear")), "fields are looked at beside: {beside:?}");
}
