use super::*;

fn parse(text: &str) -> (Option<Arc<Node>>, Report) {
    let mut documents = Documents::new();
    let node = documents.parse("a.yaml".into(), text.into());
    (node, documents.into_report())
}

#[test]
fn words_that_older_yaml_took_for_booleans_are_texts() {
    let (node, report) = parse("{a: on, b: yes, c: no, d: y, e: off, f: true, g: ~, h: 012, i: 1e3, j: .5}");
    assert!(!report.has_errors());
    let json = node.unwrap().to_json();
    assert_eq!(
        json,
        r#"{"a":"on","b":"yes","c":"no","d":"y","e":"off","f":true,"g":null,"h":12.0,"i":1e3,"j":0.5}"#
    );
}

#[test]
fn numbers_keep_their_digits_and_quoted_ones_are_texts() {
    let (node, _) = parse("[12345678901234567890123, 1.50, '7', \"8\", 0x1F, 2026-12-31]");
    assert_eq!(node.unwrap().to_json(), r#"[12345678901234567890123,1.50,"7","8",31,"2026-12-31"]"#);
}

#[test]
fn every_duplicate_key_is_reported_with_the_first_place() {
    let (node, report) = parse("a: 1\nb: 2\na: 3\nb: 4\n");
    assert!(node.is_none());
    let found: Vec<_> = report
        .diagnostics()
        .iter()
        .map(|d| (d.message.as_str(), d.place.as_ref().unwrap().line, d.related[0].0.line))
        .collect();
    assert_eq!(found, [("duplicate key `a`", 3, 1), ("duplicate key `b`", 4, 2)]);
}

#[test]
fn duplicates_are_found_in_long_mappings_too() {
    let mut text: String = (0..100).map(|n| format!("k{n}: {n}\n")).collect();
    text.push_str("k3: x\nk99: y\n");
    let (_, report) = parse(&text);
    let found: Vec<_> = report.diagnostics().iter().map(|d| d.related[0].0.line).collect();
    assert_eq!(found, [4, 100]);
}

#[test]
fn places_count_characters_and_name_the_path() {
    let mut documents = Documents::new();
    let node =
        documents.parse("ñ.yaml".into(), "rôles:\n  - { 销售: x, 'a b': [1, zwei] }\n".into()).unwrap();
    let Value::Map(top) = &node.value else { panic!() };
    let Value::List(items) = &top[0].1.value else { panic!() };
    let Value::Map(members) = &items[0].value else { panic!() };
    let Value::List(inner) = &members[1].1.value else { panic!() };
    let place = documents.place(inner[1].mark);
    assert_eq!((place.line, place.column, place.length), (2, 25, 4));
    assert_eq!(place.path, "$.rôles[0]['a b'][1]");
    assert_eq!(documents.place(members[0].0.mark).path, "$.rôles[0].销售");
}

#[test]
fn syntax_errors_have_a_place() {
    let (node, report) = parse("a: [1, 2\nb: 3\n");
    assert!(node.is_none());
    let diagnostic = &report.diagnostics()[0];
    assert_eq!(diagnostic.code, "bad-yaml");
    assert_eq!(diagnostic.place.as_ref().unwrap().line, 2);
}

#[test]
fn a_path_that_needs_quotes_is_explained() {
    let (_, report) = parse("- { records: $.data[*], x: 1 }\n");
    assert_eq!(
        report.diagnostics()[0].help.as_deref(),
        Some("inside `{ }` a path with `[*]` stands in quotes: `\"$.data[*]\"`")
    );
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (name, previous) in ["b", "c", "d", "e", "f", "g"].iter().zip(["a", "b", "c", "d", "e", "f"]) {
        let items = vec![format!("*{previous}"); 10].join(", ");
        text.push_str(&format!("{name}: &{name} [{items}]\n"));
    }
    let (node, report) = parse(&text);
    assert!(node.is_none());
    assert_eq!(report.diagnostics()[0].code, "too-many-aliases");
}

#[test]
fn nesting_and_size_are_bounded() {
    let (_, report) = parse(&format!("{}{}", "[".repeat(65), "]".repeat(65)));
    assert_eq!(report.diagnostics()[0].code, "too-deep");
    let bounds = SourceBounds { file_bytes: 8, nodes: 3, ..SourceBounds::default() };
    let mut documents = Documents::new().with_bounds(bounds);
    assert!(documents.parse("a".into(), "[1,2,3,4]".into()).is_none());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large.yaml");
    std::fs::write(&path, "a: 123456789").unwrap();
    assert!(documents.read(&path).is_none());
    let report = documents.into_report();
    let messages: Vec<_> = report.diagnostics().iter().map(|d| d.message.as_str()).collect();
    assert!(messages.iter().any(|m| m.contains("larger than 8 bytes")), "{messages:?}");
    assert!(messages.contains(&"more than 3 values in one file"), "{messages:?}");
}

#[test]
fn second_documents_merge_keys_and_tags_are_refused() {
    for (text, code) in [
        ("a: 1\n---\nb: 2\n", "several-documents"),
        ("a: &a {x: 1}\nb: {<<: *a}\n", "merge-key"),
        ("a: !secret x\n", "unknown-tag"),
        ("? [1]\n: x\n", "bad-key"),
    ] {
        let (node, report) = parse(text);
        assert!(node.is_none(), "{text}");
        assert_eq!(report.diagnostics()[0].code, code, "{text}");
    }
}

#[test]
fn a_key_nobody_asked_for_is_refused_with_a_suggestion() {
    let mut documents = Documents::new();
    let node = documents.parse("a.yaml".into(), "{ rolle: x, role: 3.5 }".into()).unwrap();
    let fields = Fields::of(&documents, &node, "a binding").unwrap();
    assert_eq!(fields.required_text("role").unwrap().as_str(), "3.5");
    assert_eq!(fields.texts("users").map(|users| users.len()), None);
    fields.finish();
    let report = documents.into_report();
    let diagnostic = &report.diagnostics()[0];
    assert_eq!(diagnostic.message, "unknown key `rolle` in a binding");
    assert_eq!(diagnostic.help.as_deref(), Some("did you mean `role`?"));
    assert_eq!(diagnostic.place.as_ref().unwrap().path, "$.rolle");
}

#[test]
fn a_part_of_a_text_is_found_inside_its_quotes() {
    let mut documents = Documents::new();
    let node = documents.parse("a.yaml".into(), "when: 'record.x == oops'".into()).unwrap();
    let fields = Fields::of(&documents, &node, "it").unwrap();
    let text = fields.text("when").unwrap();
    let place = documents.place(documents.part(&text, 12, 4));
    assert_eq!((place.column, place.length), (20, 4));
}
