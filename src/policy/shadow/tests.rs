use super::*;
use crate::policy::tests::{Who, decide, decide_at, head, noon, plan, said, who};

const POLICY: &str = r#"
labels: [public, contact]
resources:
  customer:
    key: id
    fields: { public: [id, name, region], contact: [phone, email] }
apis:
  crm:
    routes:
      - { match: GET /customers, action: list, resource: customer, records: "$.data[*]", query: { filter: [name, phone] } }
      - { match: "GET /customers/{id}", action: read, resource: customer, records: $.data }
      - { match: "PUT /customers/{id}", action: update, resource: customer, records: $.data }
      - { match: GET /healthz, public: true }
masks:
  phone: { keep: { first: 3, last: 4 } }
roles:
  sales:
    permissions:
      - { resource: customer, actions: [list, read, update], fields: { show: [public], mask: { phone: phone }, edit: [name] } }
      #more
  guest: {}
bindings:
  - { role: sales, groups: [crm] }
  - { role: guest, groups: [guests] }
"#;

fn with(permission: &str) -> String {
    POLICY.replace("#more", &format!("- {{ resource: customer, mode: shadow, {permission} }}"))
}

fn foreseen_by(of: ShadowOf, asked: &Plan, live: &Plan, who: &Who, line: &str) -> Foreseen {
    let (head, principal) = (head(line), who.principal());
    let decision = decide_at(live, who, line, None, noon());
    let decided = Decided {
        head: &head,
        body: None,
        recalled: None,
        principal: Some(&principal),
        now: noon(),
        decision: decision.as_ref(),
    };
    asked.foresee(of, &decided, &asks)
}

/// What the query guard says, in short.
fn asks(permit: &Permit) -> Result<(), String> {
    let fields = &permit.query().fields.queryable;
    match permit.operation().query().iter().find(|(name, _)| !fields.contains(name.as_str())) {
        Some((name, _)) => Err(format!("`{name}` is not to be asked by")),
        None => Ok(()),
    }
}

fn foreseen(text: &str, who: &Who, line: &str) -> Foreseen {
    let plan = plan(text);
    foreseen_by(ShadowOf::Rules, &plan, &plan, who, line)
}

fn sales() -> Who {
    who("a").groups(&["crm"])
}

fn told(found: &Foreseen) -> (ShadowEffect, Vec<String>) {
    (found.effect, found.difference.fields.iter().map(ToString::to_string).collect())
}

#[test]
fn a_permission_in_shadow_gives_nothing_and_says_what_it_would_give() {
    let text = with("actions: [list], fields: { show: [phone] }");
    let live = decide(&plan(&text), &sales(), "GET /customers").unwrap();
    let without = decide(&plan(POLICY), &sales(), "GET /customers").unwrap();
    assert_eq!(live.rewrite(), without.rewrite());
    assert_eq!(live.rules(), without.rules());
    let found = foreseen(&text, &sales(), "GET /customers");
    let change = "customer.phone: masked as phone -> shown".to_owned();
    assert_eq!(told(&found), (ShadowEffect::Change, vec![change]));
    assert_eq!(found.rules, ["roles.sales.permissions[1]".into()]);
    assert_eq!(told(&foreseen(&text, &sales(), "GET /customers/1")), (ShadowEffect::Same, vec![]));
}

#[test]
fn what_depends_on_the_record_is_called_possible() {
    let text = with("actions: [list], records: record.region == 'x', fields: { show: [contact] }");
    let (effect, fields) = told(&foreseen(&text, &sales(), "GET /customers"));
    assert_eq!(effect, ShadowEffect::Change);
    assert_eq!(
        fields,
        [
            "customer.email: hidden -> shown, on some records",
            "customer.phone: masked as phone -> shown, on some records"
        ]
    );
}

#[test]
fn what_would_be_refused_and_allowed_is_told() {
    let guarded = format!(
        "{POLICY}guards:\n  - {{ name: office, on: {{ actions: [list] }}, require: principal.mfa, mode: shadow }}\n"
    );
    let found = foreseen(&guarded, &sales(), "GET /customers");
    assert_eq!(found.effect, ShadowEffect::Refuse);
    assert_eq!(found.reason.as_deref(), Some("guard `office` is not met"));
    assert_eq!(found.rules, ["guards.office".into()]);
    let met = foreseen(&guarded, &sales().mfa(), "GET /customers");
    assert_eq!((told(&met), met.rules.len()), ((ShadowEffect::Same, vec![]), 0));

    let bound = POLICY
        .replace("groups: [guests]", "groups: [guests] }\n  - { role: sales, groups: [guests], mode: shadow");
    let found = foreseen(&bound, &who("g").groups(&["guests"]), "GET /customers");
    assert_eq!(found.effect, ShadowEffect::Allow);
    assert!(decide(&plan(&bound), &who("g").groups(&["guests"]), "GET /customers").is_err());
}

#[test]
fn a_guard_on_fields_in_shadow_says_what_would_vanish() {
    let text = format!(
        "{POLICY}guards:\n  - {{ name: office, on: {{ labels: [contact] }}, require: principal.mfa, mode: shadow }}\n"
    );
    let found = foreseen(&text, &sales(), "GET /customers");
    let change = "customer.phone: masked as phone -> hidden".to_owned();
    assert_eq!(told(&found), (ShadowEffect::Change, vec![change]));
    assert_eq!(found.rules, ["guards.office".into()]);
}

#[test]
fn a_question_that_would_be_allowed_is_told() {
    let text = with("actions: [list], fields: { show: [phone] }");
    assert_eq!(foreseen(&text, &sales(), "GET /customers?phone=1").effect, ShadowEffect::Allow);
    assert_eq!(foreseen(&text, &sales(), "GET /customers?email=1").effect, ShadowEffect::Same);
}

#[test]
fn what_could_be_set_is_told() {
    let text = with("actions: [update], fields: { show: [phone], edit: [phone] }");
    let (_, fields) = told(&foreseen(&text, &sales(), "PUT /customers/1"));
    assert!(fields.contains(&"customer.phone: not editable -> editable".to_owned()), "{fields:?}");
}

#[test]
fn another_policy_is_asked_by_its_rules_in_force() {
    let live = plan(POLICY);
    let next = |text: &str| plan(text);
    let tighter = next(&POLICY.replace("mask: { phone: phone }", "hide: [phone]"));
    let found = foreseen_by(ShadowOf::Policy, &tighter, &live, &sales(), "GET /customers");
    let change = "customer.phone: masked as phone -> hidden".to_owned();
    assert_eq!(told(&found), (ShadowEffect::Change, vec![change]));
    assert_eq!(found.version, *tighter.version());

    let gone = next(&POLICY.replace("GET /customers,", "GET /clients,"));
    let found = foreseen_by(ShadowOf::Policy, &gone, &live, &sales(), "GET /customers");
    assert_eq!((found.effect, found.reason.as_deref()), (ShadowEffect::Refuse, Some("no route matches")));
    let found = foreseen_by(ShadowOf::Policy, &gone, &live, &sales(), "GET /clients");
    assert_eq!(found.effect, ShadowEffect::Allow);

    let fewer = next(&POLICY.replace(
        "actions: [list, read, update], ",
        "actions: [list, read, update], records: record.region == 'x', ",
    ));
    let found = foreseen_by(ShadowOf::Policy, &fewer, &live, &sales(), "GET /customers");
    assert_eq!(found.effect, ShadowEffect::Change);
    assert_eq!(found.difference.records.get("customer"), Some(&RecordsChange::Fewer));

    let shadowed = next(&with("actions: [list], fields: { show: [phone] }"));
    let found = foreseen_by(ShadowOf::Policy, &shadowed, &live, &sales(), "GET /customers");
    assert_eq!(found.effect, ShadowEffect::Same, "what is in shadow there decides nothing there either");
    let found = foreseen_by(ShadowOf::Policy, &live, &live, &sales(), "GET /customers");
    assert_eq!(found.effect, ShadowEffect::Same);
}

#[test]
fn a_body_that_was_not_read_is_not_guessed() {
    let other = POLICY.replace("GET /customers, action", "GET /customers, when: { body $.kind: x }, action");
    let found = foreseen_by(ShadowOf::Policy, &plan(&other), &plan(POLICY), &sales(), "GET /customers");
    assert_eq!(found.effect, ShadowEffect::Unknown);
}

#[test]
fn check_lists_what_is_in_shadow() {
    let loaded = crate::policy::tests::load(&with("actions: [list], fields: { show: [phone] }"));
    let said = said(&loaded.report);
    assert!(
        said.iter().any(|line| line.contains("in-shadow in shadow: this permission has no effect")),
        "{said:?}"
    );
}

#[test]
fn nothing_in_shadow_costs_nothing() {
    assert!(!plan(POLICY).has_shadow());
    assert!(plan(&with("actions: [list], fields: { show: [phone] }")).has_shadow());
}

#[test]
fn an_invariant_that_would_break_is_a_warning() {
    let text = with("actions: [list], fields: { show: [phone] }")
        + "invariants:\n  - { name: phones stay masked, never: { show: [phone] } }\n";
    let loaded = crate::policy::tests::load(&text);
    assert!(!loaded.report.has_errors(), "{}", loaded.report.to_text(false));
    let said = said(&loaded.report);
    assert!(
        said.iter().any(|line| line.contains("invariant-broken-in-shadow with the rules in shadow")),
        "{said:?}"
    );
    let live = text.replace("mode: shadow, ", "");
    assert!(crate::policy::tests::load(&live).report.has_errors());
}

#[test]
fn a_binding_in_shadow_excuses_nobody() {
    let text = format!(
        "{POLICY}  - {{ role: guest, when: true, mode: shadow }}\n\
         invariants:\n  - {{ name: n, never: {{ mask: [phone], except_roles: [guest] }} }}\n"
    );
    assert!(
        crate::policy::tests::load(&text).report.has_errors(),
        "it is masked to sales, who are no guests"
    );
}
