//! Results of tests for people and for programs.

use std::io;

use serde_json::{Value, json};

use crate::analysis::{Coverage, Covered, ExampleResult};
use crate::policy::Loaded;

/// One line for a test that holds, the difference for one that does not.
pub(super) fn text(
    policy: &Loaded,
    results: &[ExampleResult],
    colour: bool,
    out: &mut impl io::Write,
) -> io::Result<()> {
    let paint = |code: &str, text: &str| match colour {
        true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        false => text.to_owned(),
    };
    let mut failed = 0_usize;
    for result in results {
        let name = one_line(&result.name);
        let Some(failure) = &result.failure else {
            writeln!(out, "{}    {name}", paint("32", "ok"))?;
            continue;
        };
        failed += 1;
        writeln!(out, "{}  {name} ({})", paint("1;31", "FAIL"), policy.place_of(result.mark))?;
        if failure.lines().any(|line| line.starts_with(['-', '+'])) {
            writeln!(out, "      {}  {}", paint("31", "- expected"), paint("32", "+ what comes out"))?;
        }
        for line in failure.lines() {
            let line = one_line(line);
            let painted = match line.chars().next() {
                Some('-') => paint("31", &line),
                Some('+') => paint("32", &line),
                _ => line,
            };
            writeln!(out, "      {painted}")?;
        }
    }
    writeln!(out, "{} passed, {failed} failed", results.len() - failed)
}

/// Shares, then everything that no test tries.
pub(super) fn coverage(coverage: &Coverage, out: &mut impl io::Write) -> io::Result<()> {
    writeln!(out, "\ncoverage")?;
    for (kind, parts) in coverage.kinds() {
        let tried = parts.iter().filter(|part| part.covered).count();
        let share = (tried * 100).checked_div(parts.len()).unwrap_or(100);
        writeln!(out, "  {kind:<12} {tried:>5} of {:<5} {share:>3} %", parts.len())?;
    }
    for (kind, parts) in coverage.kinds() {
        let untried: Vec<_> = parts.iter().filter(|part| !part.covered).collect();
        if untried.is_empty() {
            continue;
        }
        writeln!(out, "  {kind} that no test tries")?;
        for part in untried.iter().take(LISTED) {
            writeln!(out, "    {}  {}", one_line(&part.name), part.place)?;
        }
        if untried.len() > LISTED {
            writeln!(out, "    and {} more", untried.len() - LISTED)?;
        }
    }
    if !coverage.unlabelled.is_empty() {
        writeln!(out, "  members of answers that nobody labelled: hidden")?;
    }
    for ((resource, name), meant) in coverage.unlabelled.iter().take(LISTED) {
        let meant = meant.as_ref().map_or_else(String::new, |field| {
            format!("  (`{}` is labelled; lists need `[*]`)", one_line(field))
        });
        writeln!(out, "    {}.{}{meant}", one_line(resource), one_line(name))?;
    }
    if coverage.unlabelled.len() > LISTED {
        writeln!(out, "    and {} more", coverage.unlabelled.len() - LISTED)?;
    }
    Ok(())
}

/// Everything as one JSON value.
pub(super) fn json(policy: &Loaded, results: &[ExampleResult], coverage: Option<&Coverage>) -> Value {
    let tests: Vec<_> = results
        .iter()
        .map(|result| {
            let place = policy.place_of(result.mark);
            json!({
                "name": result.name.as_ref(),
                "file": place.file.as_ref(),
                "line": place.line,
                "ok": result.failure.is_none(),
                "failure": result.failure,
            })
        })
        .collect();
    let failed = results.iter().filter(|result| result.failure.is_some()).count();
    let mut all = json!({ "passed": results.len() - failed, "failed": failed, "tests": tests });
    if let (Some(coverage), Some(members)) = (coverage, all.as_object_mut()) {
        let part = |part: &Covered| json!({ "name": part.name.as_ref(), "place": part.place, "covered": part.covered });
        let kinds = coverage.kinds().into_iter();
        let kinds = kinds.map(|(kind, parts)| (kind.to_owned(), parts.iter().map(part).collect()));
        let unlabelled = coverage.unlabelled.keys().map(|(resource, name)| format!("{resource}.{name}"));
        let unlabelled = ("unlabelled".to_owned(), unlabelled.collect());
        members.insert("coverage".to_owned(), Value::Object(kinds.chain([unlabelled]).collect()));
    }
    all
}

/// Names and answers are whatever the policy's author wrote; the terminal sees text.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Parts of one kind that are named in the text.
const LISTED: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{coverage as covered, run_examples};
    use crate::policy::{MaskKeys, Purpose};

    const POLICY: &str = r#"
labels: [public, private]
masks: { ends: { keep: { first: 1, last: 1 } }, never: stars }
resources:
  note: { key: id, fields: { public: [id, title], private: [text, more] } }
apis:
  notes:
    routes:
      - { match: "GET /notes/{id}", action: read, resource: note, records: $ }
      - { match: "GET /notes", action: list, resource: note, records: "$[*]" }
roles:
  reader:
    permissions:
      - { resource: note, actions: [read], fields: { show: [public], mask: { text: ends } } }
      - { resource: note, actions: [read], records: record.title == principal.id, fields: { show: [more] } }
      - { resource: note, actions: [list], fields: { show: [public], mask: { text: never } } }
bindings: [{ role: reader, when: true }]
guards:
  - { name: second factor, on: { actions: [list] }, require: principal.mfa }
  - { name: inside, on: { labels: [private] }, require: principal.id != "out" }
tests:
  - { name: good, principal: { id: a }, request: GET /notes/1, answer: { id: 1, title: x, text: abc }, expect: { id: 1, title: x, text: a*c } }
  - { name: bad, principal: { id: a }, request: GET /notes/1, answer: { id: 1, title: x }, expect: { id: 2, title: x } }
  - { name: refused, principal: { id: a }, request: GET /notes, denied: true }
"#;

    fn results() -> (Loaded, Vec<ExampleResult>) {
        let policy = Loaded::from_texts(&[("p.yaml", POLICY)], &MaskKeys::Assumed, Purpose::Check);
        let Some(plan) = &policy.plan else { panic!("{}", policy.report.to_text(false)) };
        let results = run_examples(plan, &policy.set.tests, "2026-11-20T04:00:00Z".parse().unwrap());
        (policy, results)
    }

    fn written(colour: bool) -> String {
        let (policy, results) = results();
        let mut out = Vec::new();
        text(&policy, &results, colour, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_failure_shows_the_difference_and_where_the_test_stands() {
        assert_eq!(
            written(false),
            "ok    good\nFAIL  bad (p.yaml:23:13)\n      - expected  + what comes out\n        {\n      -   \"id\": \
             2,\n      +   \"id\": 1,\n          \"title\": \"x\"\n        }\nok    refused\n2 passed, 1 failed\n"
        );
        let painted = written(true);
        assert!(painted.contains("\u{1b}[31m-   \"id\": 2,\u{1b}[0m"), "{painted}");
        assert!(painted.contains("\u{1b}[32m+   \"id\": 1,\u{1b}[0m"), "{painted}");
    }

    #[test]
    fn coverage_names_what_no_test_tries() {
        let (policy, results) = results();
        let coverage = covered(&policy, &results);
        let mut out = Vec::new();
        super::coverage(&coverage, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\ncoverage\n  routes           2 of 2     100 %\n  permissions      1 of 3      33 %\n  guards           \
             1 of 2      50 %\n  masks            1 of 2      50 %\n  fields           3 of 4      75 %\n  permissions that no test tries\n    \
             roles.reader.permissions[1]  p.yaml:15\n    roles.reader.permissions[2]  p.yaml:16\n  guards that no test \
             tries\n    inside  p.yaml:20\n  masks that no test tries\n    never  p.yaml:3\n  fields that no test tries\n    note.more  p.yaml:5\n"
        );
        let all = json(&policy, &results, Some(&coverage));
        assert_eq!((&all["passed"], &all["failed"]), (&2.into(), &1.into()));
        assert_eq!(
            all["coverage"]["masks"][0],
            json!({ "name": "ends", "place": "p.yaml:3", "covered": true })
        );
        assert_eq!(all["tests"][1]["line"], 23);
    }
}
