use crate::policy::{Loaded, MaskKeys, Purpose};

use super::*;

fn results(text: &str) -> Vec<(String, Option<String>)> {
    let loaded = Loaded::from_texts(&[("p.yaml", text)], &MaskKeys::Assumed, Purpose::Serve);
    let Some(plan) = &loaded.plan else { panic!("{}", loaded.report.to_text(false)) };
    run_examples(plan, &loaded.set.tests, "2026-11-20T04:00:00Z".parse().unwrap())
        .into_iter()
        .map(|result| (result.name.to_string(), result.failure))
        .collect()
}

const POLICY: &str = r#"
labels: [public, private]
resources:
  note: { key: id, fields: { public: [id, title, owner], private: [text] } }
apis:
  notes:
    routes:
      - match: GET /notes
        action: list
        resource: note
        records: $.data[*]
        envelope: { total: $.total }
        query: { sort: order_by, filter: [title, text] }
      - { match: "GET /notes/{id}", action: read, resource: note, records: $ }
      - { match: "PATCH /notes/{id}", action: update, resource: note, records: $ }
      - { match: GET /lines, action: export, resource: note, format: ndjson }
roles:
  reader:
    permissions:
      - resource: note
        actions: [list, read, update, export]
        records: record.owner == principal.id
        fields: { show: [public], mask: { private: stars }, edit: [title] }
bindings: [{ role: reader, when: true }]
tests:
"#;

fn example(yaml: &str) -> Option<String> {
    let mut found = results(&format!("{POLICY}  - {{ name: it, principal: {{ id: a }}, {yaml} }}\n"));
    found.pop().unwrap().1
}

#[test]
fn an_answer_is_compared_whatever_the_order_of_members() {
    let ok = example(
        r#"request: GET /notes/1, answer: { id: 1, owner: a, text: x, odd: 1 }, expect: { text: "***", owner: a, id: 1 }"#,
    );
    assert_eq!(ok, None);
}

#[test]
fn a_failure_shows_what_differs() {
    let failure = example(
        r#"request: GET /notes/1, answer: { id: 1, owner: a, text: x }, expect: { id: 1, owner: a }"#,
    );
    assert_eq!(
        failure.unwrap(),
        "  {\n    \"id\": 1,\n-   \"owner\": \"a\"\n+   \"owner\": \"a\",\n+   \"text\": \"***\"\n  }\n"
    );
}

#[test]
fn refusals_have_a_status_and_a_reason() {
    assert_eq!(example("request: GET /other, denied: true"), None);
    assert_eq!(example("request: GET /other, status: 404"), None);
    let failure = example("request: GET /other, status: 403").unwrap();
    assert_eq!(failure, "the status is 404, not 403: no route matches");
    let failure = example("request: GET /other, expect: {}").unwrap();
    assert_eq!(failure, "it is refused: no route matches");
}

#[test]
fn what_is_allowed_is_not_denied() {
    let failure = example("request: GET /notes/1, answer: { owner: a }, denied: true").unwrap();
    assert_eq!(failure, "it is allowed");
    assert_eq!(example("request: GET /notes/1, answer: { owner: b }, denied: true"), None, "404");
    assert_eq!(example("request: GET /notes/1, answer: { owner: b }, status: 404"), None);
}

#[test]
fn queries_and_bodies_are_judged_too() {
    assert_eq!(example("request: GET /notes?order_by=title, status: 200"), None);
    assert_eq!(example("request: GET /notes?order_by=text, denied: true"), None);
    let patch = |body: &str, rest: &str| {
        example(&format!("request: {{ line: PATCH /notes/1, body: {body} }}, before: {{ owner: a }}, {rest}"))
    };
    assert_eq!(patch("{ title: x }", "answer: { owner: a }, expect: { owner: a }"), None);
    assert_eq!(patch("{ text: x }", "denied: true"), None);
    assert_eq!(patch("{ owner: b }", "denied: true"), None, "the condition reads it");
}

#[test]
fn a_write_under_a_condition_needs_the_record_before() {
    let line = "request: { line: PATCH /notes/1, body: { title: x } }";
    let failure = example(&format!("{line}, denied: true")).unwrap();
    assert!(failure.contains("`before`"), "{failure}");
    assert_eq!(example(&format!("{line}, before: {{ owner: b }}, status: 404")), None);
}

#[test]
fn lines_and_totals_and_upstream_errors() {
    let lines = r#"request: GET /lines, answer: "{\"owner\":\"a\",\"id\":1}\n{\"owner\":\"b\"}\n""#;
    assert_eq!(example(&format!(r#"{lines}, expect: "{{\"owner\":\"a\",\"id\":1}}\n""#)), None);
    assert_eq!(example(&format!("{lines}, released: 1")), None);
    let list = "request: GET /notes, answer: { data: [{ owner: a }, { owner: b }], total: 2, sql: x }";
    assert_eq!(example(&format!("{list}, expect: {{ data: [{{ owner: a }}], total: 1 }}")), None);
    let error = "request: GET /notes, answer: { data: [{ owner: a }] }, answer_status: 500";
    assert_eq!(example(&format!("{error}, status: 500")), None);
    assert!(example(&format!("{error}, expect: {{ data: [] }}")).unwrap().contains("replaced"));
    let broken = r#"request: GET /notes, answer: "{\"data\": [", status: 502"#;
    assert_eq!(example(broken), None);
}

/// The example of the documentation, word for word.
#[test]
fn the_documented_test_holds() {
    for (name, failure) in results(include_str!("../../policy/tests/example.yaml")) {
        assert_eq!(failure, None, "{name}");
    }
}

#[test]
fn the_example_of_the_reference_holds() {
    let text = include_str!("../../../docs/policy.md");
    let blocks: Vec<_> =
        text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let named: Vec<_> = blocks.iter().map(|block| ("docs/policy.md", *block)).collect();
    let loaded = Loaded::from_texts(&named, &MaskKeys::Assumed, Purpose::Serve);
    let plan = loaded.plan.unwrap();
    let results = run_examples(&plan, &loaded.set.tests, "2026-11-20T04:00:00Z".parse().unwrap());
    assert_eq!(results.len(), 1);
    assert_eq!(results[0].failure, None);
}
