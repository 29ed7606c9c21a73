//! Writing what came out of tests where their expectations stand, and nothing else: the rest of the text stays as it
//! is, comments too.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::policy::Loaded;
use crate::policy::source::{Documents, Mark};
use crate::policy::syntax::{Body, PolicyTest, Written};

use super::examples::{Actual, ExampleResult};

/// What has to be written for the tests to hold.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// Files and what they hold then.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// How many expectations are written anew.
    pub expectations: usize,
    /// The tests that somebody has to look at, and why.
    pub by_hand: Vec<(Arc<str>, String)>,
}

/// Finds out what has to be written. `tests` are those that gave the `results`.
pub fn update(policy: &Loaded, tests: &[PolicyTest], results: &[ExampleResult]) -> Update {
    let mut update = Update::default();
    let mut edits: BTreeMap<(String, usize), (Range<usize>, String)> = BTreeMap::new();
    let shared = shared(tests, results);
    for (test, result) in tests.iter().zip(results).filter(|(_, result)| result.failure.is_some()) {
        if first_of(test).is_some_and(|first| shared.get(&first).is_some_and(|outcomes| outcomes.len() > 1)) {
            let why = "it shares its expectation with a test that comes out differently";
            update.by_hand.push((result.name.clone(), why.to_owned()));
            continue;
        }
        update.expectations += 1;
        match wanted(test, result) {
            Ok(Wanted::File(path, bytes)) => {
                update.files.insert(path, bytes);
            }
            Ok(Wanted::Text(places)) => {
                for (mark, value) in places {
                    let Some((file, range)) = policy.range_of(mark) else { continue };
                    let text = value.write(policy.place_of(mark).column.saturating_sub(1) as usize);
                    edits.insert((file.to_owned(), range.start), (range, text));
                }
            }
            Err(why) => {
                update.expectations -= 1;
                update.by_hand.push((result.name.clone(), why));
            }
        }
    }
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    // From the end of each file, so that what is still to come keeps its place.
    for ((file, _), (range, text)) in edits.into_iter().rev() {
        let known = policy.text_of(&file).unwrap_or_default();
        let written = texts.entry(file).or_insert_with(|| known.to_owned());
        if written.get(range.clone()).is_some() {
            written.replace_range(range, &text);
        }
    }
    for (file, text) in texts {
        // What could not be read again is not written.
        if Documents::new().parse(file.as_str().into(), text.as_str().into()).is_some() {
            update.files.insert(file.into(), text.into_bytes());
        } else {
            update.by_hand.push((file.into(), "the file could not be read any more".to_owned()));
        }
    }
    update
}

/// What comes out of the tests of each expectation; those of a matrix may share one.
fn shared(tests: &[PolicyTest], results: &[ExampleResult]) -> BTreeMap<Mark, BTreeSet<String>> {
    let mut outcomes: BTreeMap<Mark, BTreeSet<String>> = BTreeMap::new();
    for (test, result) in tests.iter().zip(results) {
        if let Some(first) = first_of(test) {
            outcomes.entry(first).or_default().insert(match &result.failure {
                None => String::new(),
                Some(_) => format!("{:?}", result.actual),
            });
        }
    }
    outcomes
}

/// Where what a test expects begins.
fn first_of(test: &PolicyTest) -> Option<Mark> {
    test.expect.written.iter().map(|written| written.entry).min()
}

enum Wanted {
    /// A file of its own.
    File(PathBuf, Vec<u8>),
    /// Values and entries of the policy's files.
    Text(Vec<(Mark, Piece)>),
}

/// What is written at a place.
enum Piece {
    /// A value.
    Value(Value),
    /// A key and its value, where another key stood.
    Entry(&'static str, Value),
}

impl Piece {
    /// As YAML between brackets, from a column on.
    fn write(&self, column: usize) -> String {
        match self {
            Self::Value(value) => flow(value, column),
            Self::Entry(key, value) => format!("{key}: {}", flow(value, column + key.len() + 2)),
        }
    }
}

fn wanted(test: &PolicyTest, result: &ExampleResult) -> Result<Wanted, String> {
    let actual = result.actual.as_ref().ok_or("it could not be tried")?;
    let written = &test.expect.written;
    let entry = |key: &str| written.iter().find(|written| written.key == key);
    let by_hand = || Err("what it expects is of another kind: write it anew".to_owned());
    let mut places = Vec::new();
    let put_status = |places: &mut Vec<(Mark, Piece)>, status: u16| {
        places.extend(entry("status").map(|entry| (entry.value, Piece::Value(status.into()))));
    };
    match actual {
        Actual::Denied { status } => {
            put_status(&mut places, *status);
            let others: Vec<&Written> = ["expect", "released"].into_iter().filter_map(entry).collect();
            match (entry("denied"), others.as_slice()) {
                (Some(denied), []) => places.push((denied.value, Piece::Value(true.into()))),
                (None, [one]) => places.push((one.entry, Piece::Entry("denied", true.into()))),
                (None, []) if !places.is_empty() => {}
                _ => return by_hand(),
            }
        }
        Actual::Allowed { status, body, released } => {
            put_status(&mut places, *status);
            let body = body.as_deref();
            if let (Some(Body::File(path)), Some(body)) = (&test.expect.answer, body) {
                return Ok(Wanted::File(path.clone(), body.to_vec()));
            }
            places.extend(entry("released").map(|entry| (entry.value, Piece::Value((*released).into()))));
            match (entry("expect"), entry("denied"), body) {
                (Some(expect), _, Some(body)) => places.push((expect.value, Piece::Value(value_of(body)))),
                (Some(_), _, None) => return by_hand(),
                (None, Some(denied), Some(body)) if places.is_empty() && test.expect.denied == Some(true) => {
                    places.push((denied.entry, Piece::Entry("expect", value_of(body))));
                }
                (None, Some(denied), _) => places.push((denied.value, Piece::Value(false.into()))),
                (None, None, _) => {}
            }
        }
    }
    if places.is_empty() { by_hand() } else { Ok(Wanted::Text(places)) }
}

/// JSON as such, anything else as the text it is.
fn value_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned().into())
}

/// A value between brackets: on one line where it fits, else one line for each member.
fn flow(value: &Value, column: usize) -> String {
    let line = on_one_line(value);
    if column + line.chars().count() <= WIDTH {
        return line;
    }
    let inner = " ".repeat(column + 2);
    let (open, close, parts): (_, _, Vec<String>) = match value {
        Value::Object(members) if !members.is_empty() => {
            let member = |(key, value): (&String, &Value)| {
                let key = text(key);
                let value = flow(value, column + 4 + key.chars().count());
                format!("{key}: {value}")
            };
            ('{', '}', members.iter().map(member).collect())
        }
        Value::Array(items) if !items.is_empty() => {
            ('[', ']', items.iter().map(|item| flow(item, column + 2)).collect())
        }
        _ => return line,
    };
    format!("{open} {} {close}", parts.join(&format!(",\n{inner}")))
}

fn on_one_line(value: &Value) -> String {
    match value {
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members: Vec<_> =
                members.iter().map(|(key, value)| format!("{}: {}", text(key), on_one_line(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(on_one_line).collect();
            format!("[{}]", items.join(", "))
        }
        Value::String(plain) => text(plain),
        other => other.to_string(),
    }
}

/// Without quotes where nobody could take it for anything else. The escapes of JSON are among those of YAML.
fn text(text: &str) -> String {
    let word = text.starts_with(char::is_alphabetic)
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
        && !["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_lowercase().as_str());
    if word { text.to_owned() } else { Value::from(text).to_string() }
}

/// Lines are broken beyond this column.
const WIDTH: usize = 110;

#[cfg(test)]
mod tests {
    use super::super::run_examples;
    use super::*;
    use crate::policy::{MaskKeys, Purpose};

    const POLICY: &str = r#"# the policy
labels: [public, private]
resources:
  note: { key: id, fields: { public: [id, title], private: [text] } }
apis:
  notes:
    routes:
      - { match: "GET /notes/{id}", action: read, resource: note, records: $ }
roles:
  reader: { permissions: [{ resource: note, actions: [read], fields: { show: [public] } }] }
bindings: [{ role: reader, users: [a] }]
tests:
"#;

    fn run(text: &str) -> (Loaded, Vec<ExampleResult>) {
        let policy = Loaded::from_texts(&[("p.yaml", text)], &MaskKeys::Assumed, Purpose::Check);
        let Some(plan) = &policy.plan else { panic!("{}", policy.report.to_text(false)) };
        let results = run_examples(plan, &policy.set.tests, "2026-11-20T04:00:00Z".parse().unwrap());
        (policy, results)
    }

    /// The tests after an update, which then hold.
    fn updated(tests: &str) -> String {
        let (policy, results) = run(&format!("{POLICY}{tests}"));
        let update = update(&policy, &policy.set.tests, &results);
        assert_eq!(update.by_hand, []);
        let text = String::from_utf8(update.files.values().next().unwrap().clone()).unwrap();
        let (_, again) = run(&text);
        assert!(again.iter().all(|result| result.failure.is_none()), "{text}\n{again:?}");
        text.strip_prefix(POLICY).unwrap().to_owned()
    }

    #[test]
    fn only_the_expectation_is_written_anew() {
        let tests = "  # why\n  - name: it   # kept\n    principal: { id: a }\n    request: GET /notes/1\n    answer: { id: 1, title: \"x: y\", text: z }\n    expect:   # what\n      id: 2\n      odd: 1\n    status: 201   # kept too\n  # end\n";
        let expected = "  # why\n  - name: it   # kept\n    principal: { id: a }\n    request: GET /notes/1\n    answer: { id: 1, title: \"x: y\", text: z }\n    expect:   # what\n      { id: 1, title: \"x: y\" }\n    status: 200   # kept too\n  # end\n";
        assert_eq!(updated(tests), expected);
    }

    #[test]
    fn another_kind_of_outcome_takes_the_place_of_the_key() {
        let test = |who: &str, expect: &str| {
            format!(
                "  - {{ name: it, principal: {{ id: {who} }}, request: GET /notes/1, answer: {{ id: 1 }}, {expect} }}\n"
            )
        };
        assert_eq!(updated(&test("b", "expect: { id: 1 }")), test("b", "denied: true"));
        assert_eq!(updated(&test("a", "denied: true")), test("a", "expect: { id: 1 }"));
        assert_eq!(updated(&test("a", "released: 3")), test("a", "released: 1"));
        assert_eq!(updated(&test("b", "status: 200")), test("b", "status: 403"));
    }

    #[test]
    fn what_several_tests_share_is_left_to_people() {
        let tests = "  - name: m\n    principals: { a: { id: a }, b: { id: b } }\n    requests:\n      r: { line: GET /notes/1, answer: { id: 1 } }\n    expectations:\n      - { expect: { id: 2 } }\n";
        let (policy, results) = run(&format!("{POLICY}{tests}"));
        let update = update(&policy, &policy.set.tests, &results);
        assert_eq!((update.by_hand.len(), update.files.len()), (2, 0), "{update:?}");
    }

    #[test]
    fn long_values_are_broken_and_odd_texts_quoted() {
        let long: Vec<Value> = (0..60).map(|n| Value::from(format!("value {n}"))).collect();
        let value = serde_json::json!({ "on": "yes", "a b": null, "list": long, "n": 12345678901234567u64 });
        let text = format!("x:\n  {}\n", flow(&value, 2));
        let mut documents = Documents::new();
        let root = documents.parse("t".into(), text.as_str().into()).unwrap();
        let read: Value = serde_json::from_str(&root.to_json()).unwrap();
        assert_eq!(read["x"], value, "{text}");
    }
}
