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

/// The names of the tests that a matrix becomes and what is wrong with them; or the complaints.
fn matrix(yaml: &str) -> Result<Vec<(String, Option<String>)>, Vec<String>> {
    let text = format!("{POLICY}{yaml}");
    let loaded = Loaded::from_texts(&[("p.yaml", &text)], &MaskKeys::Assumed, Purpose::Check);
    match loaded.plan {
        Some(_) => Ok(results(&text)),
        None => Err(loaded.report.diagnostics().iter().map(|found| found.message.clone()).collect()),
    }
}

const MATRIX: &str = r#"
  - name: by caller
    at: 2026-11-20T04:00:00Z
    principals:
      ann: { id: a }
      ben: { id: b }
    requests:
      one: { line: GET /notes/1, answer: { id: 1, owner: a, text: x } }
      export: GET /lines
    expectations:
      - { principal: ann, request: one, expect: { id: 1, owner: a, text: "***" } }
      - { principals: [ben], request: one, denied: true }
      - { request: export, status: 200 }
"#;

#[test]
fn a_matrix_is_a_test_for_every_pair() {
    let found = matrix(MATRIX).unwrap();
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "by caller: ann × one",
            "by caller: ann × export",
            "by caller: ben × one",
            "by caller: ben × export"
        ]
    );
    // The first record is Ann's; Ben is told that there is none.
    assert!(found.iter().all(|(_, failure)| failure.is_none()), "{found:?}");
    let wrong = MATRIX.replace("text: \"***\" }", "text: x }");
    let found = matrix(&wrong).unwrap();
    assert_eq!(found.iter().filter(|(_, failure)| failure.is_some()).count(), 1);
}

#[test]
fn every_pair_of_a_matrix_is_expected_once() {
    let gone = MATRIX.replace("      - { request: export, status: 200 }\n", "");
    assert_eq!(
        matrix(&gone),
        Err(vec![
            "nothing is expected of `ann` on `export`".into(),
            "nothing is expected of `ben` on `export`".into()
        ])
    );
    // What nobody speaks of must then be refused.
    let otherwise = format!("{gone}    otherwise: denied\n");
    let failed = matrix(&otherwise).unwrap().into_iter().filter(|(_, failure)| failure.is_some());
    assert_eq!(failed.count(), 2);
    let twice = format!("{MATRIX}      - {{ principal: ann, request: export, denied: true }}\n");
    assert_eq!(matrix(&twice), Err(vec!["something is expected of `ann` on `export` already".into()]));
    let unknown = MATRIX.replace("principals: [ben]", "principals: [bem]");
    let said = matrix(&unknown).unwrap_err();
    assert!(said.contains(&"unknown principal `bem`".to_owned()), "{said:?}");
}

#[test]
fn a_matrix_has_a_bound() {
    let many = |what: &str, count: usize, is: &str| -> String {
        (0..count).map(|n| format!("      {what}{n}: {is}\n")).collect()
    };
    let text = format!(
        "  - name: large\n    principals:\n{}    requests:\n{}    expectations: [{{ denied: true }}]\n",
        many("p", 101, "{ id: a }"),
        many("r", 100, "GET /notes")
    );
    assert_eq!(matrix(&text), Err(vec!["more than 10000 pairs of a principal and a request".into()]));
}

/// A folder with a policy and files beside it.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn tests_and_answers_stand_in_files_of_their_own() {
    let policy = POLICY.strip_suffix("tests:\n").unwrap();
    let test = |name: &str, file: &str| {
        format!(
            "tests:\n  - {{ name: {name}, principal: {{ id: a }}, request: GET /notes/1, answer_file: {file}, \
             expect_file: answers/one.out.json }}\n"
        )
    };
    let folder = folder(&[
        ("policy.yaml", policy),
        ("notes_test.yaml", &test("beside", "answers/one.json")),
        ("tests/more.yaml", &test("below", "gone.json")),
        ("answers/one.json", r#"{"id":1,"owner":"a","text":"x"}"#),
        ("answers/one.out.json", r#"{ "text": "***", "id": 1, "owner": "a" }"#),
    ]);
    let paths = [folder.path().to_owned()];
    let loaded = Loaded::read(&paths, &MaskKeys::Assumed, Purpose::Check);
    let Some(plan) = &loaded.plan else { panic!("{}", loaded.report.to_text(false)) };
    let found = run_examples(plan, &loaded.set.tests, "2026-11-20T04:00:00Z".parse().unwrap());
    let by_name = |name: &str| found.iter().find(|result| &*result.name == name).unwrap();
    assert_eq!(by_name("beside").failure, None);
    assert!(by_name("below").failure.as_ref().unwrap().contains("gone.json`: No such file"), "{found:?}");
    // Tests have no part in what is served.
    let served = Loaded::read(&paths, &MaskKeys::Assumed, Purpose::Serve);
    assert!(served.set.tests.is_empty());
    assert_eq!(served.plan.unwrap().version(), plan.version());
    std::fs::write(folder.path().join("notes_test.yaml"), "roles: {}\n").unwrap();
    let loaded = Loaded::read(&paths, &MaskKeys::Assumed, Purpose::Check);
    assert!(loaded.report.to_text(false).contains("a file of tests does not hold `roles`"));
}

#[test]
fn a_file_outside_of_the_policy_is_not_read() {
    for outside in ["/etc/passwd", "../x.json", "a/../../x.json", "."] {
        let found = matrix(&format!(
            "  - {{ name: it, principal: {{ id: a }}, request: GET /notes/1, answer_file: {outside}, released: 1 }}\n"
        ));
        assert_eq!(found, Err(vec![format!("`{outside}` is not a file below the policy")]));
    }
}
