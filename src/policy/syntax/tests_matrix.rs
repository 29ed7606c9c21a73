//! Tests in the form of a matrix: principals × requests × what is expected of each pair.

use std::collections::BTreeMap;

use super::tests_section::{self, Answers, PolicyTest, TestExpectation, TestPrincipal, TestRequest};
use super::{Documents, Fields, Mark, Node, Value, Word, items, members, name_of, word};

/// What a named request is, and what the upstream answers to it.
type Asked = (TestRequest, Answers);

/// The tests of a matrix, one for each pair of a principal and a request.
pub(super) fn matrix(documents: &Documents, node: &Node) -> Vec<PolicyTest> {
    let Some(fields) = Fields::of(documents, node, "a matrix of tests") else { return Vec::new() };
    let name = fields.required("name").and_then(|node| name_of(documents, node));
    let at = tests_section::moment(documents, &fields);
    let principals: Vec<(&Word, Option<TestPrincipal>)> = fields
        .required("principals")
        .map(|node| members(documents, node, "`principals`"))
        .unwrap_or_default()
        .iter()
        .map(|(name, node)| (name, tests_section::principal(documents, node)))
        .collect();
    let requests: Vec<(&Word, Option<Asked>)> = fields
        .required("requests")
        .map(|node| members(documents, node, "`requests`"))
        .unwrap_or_default()
        .iter()
        .map(|(name, node)| (name, asked(documents, node)))
        .collect();
    let expectations = fields.required("expectations");
    let otherwise = fields.choice("otherwise", &[("denied", ())]);
    let mark = fields.mark();
    fields.finish();
    let (Some(name), Some(expectations)) = (name, expectations) else { return Vec::new() };
    if principals.len().saturating_mul(requests.len()) > MOST_PAIRS {
        let message = format!("more than {MOST_PAIRS} pairs of a principal and a request");
        documents.error("too-large", message, name.mark);
        return Vec::new();
    }
    let names = |all: &[&Word]| -> Vec<Word> { all.iter().map(|word| (*word).clone()).collect() };
    let known = (
        names(&principals.iter().map(|(name, _)| *name).collect::<Vec<_>>()),
        names(&requests.iter().map(|(name, _)| *name).collect::<Vec<_>>()),
    );
    let expected = expected(documents, expectations, &known);
    let mut tests = Vec::new();
    for (who, principal) in &principals {
        for (what, asked) in &requests {
            let pair = expected.get(&(who.as_str(), what.as_str()));
            let Some((at_mark, expect)) = pair.cloned().or_else(|| otherwise.map(|()| (name.mark, denied())))
            else {
                documents.error_with_help(
                    "nothing-expected",
                    format!("nothing is expected of `{}` on `{}`", who.text, what.text),
                    "add it to `expectations`, or write `otherwise: denied`",
                    name.mark,
                );
                continue;
            };
            let (Some(principal), Some((request, answers))) = (principal, asked) else { continue };
            let Answers { before, answer, status } = answers.clone();
            let text = format!("{}: {} × {}", name.text, who.text, what.text);
            tests.push(PolicyTest {
                name: Word { text: text.into(), mark: at_mark },
                mark,
                principal: principal.clone(),
                request: request.clone(),
                at,
                before,
                answer,
                answer_status: status,
                expect,
            });
        }
    }
    tests
}

fn denied() -> TestExpectation {
    TestExpectation { denied: Some(true), ..TestExpectation::default() }
}

fn asked(documents: &Documents, node: &Node) -> Option<Asked> {
    if !matches!(node.value, Value::Map(_)) {
        let line = word(documents, node)?;
        let request = TestRequest { line, headers: Vec::new(), body: None };
        return Some((request, Answers { before: None, answer: None, status: 200 }));
    }
    let fields = Fields::of(documents, node, "a request of a matrix")?;
    let request = tests_section::request_of(documents, &fields);
    let answers = tests_section::answers(documents, &fields);
    fields.finish();
    request.map(|request| (request, answers))
}

/// What is expected of each pair that is named.
fn expected<'n>(
    documents: &Documents,
    node: &'n Node,
    (principals, requests): &'n (Vec<Word>, Vec<Word>),
) -> BTreeMap<(&'n str, &'n str), (Mark, TestExpectation)> {
    let mut found: BTreeMap<(&str, &str), (Mark, TestExpectation)> = BTreeMap::new();
    for node in items(documents, node, "`expectations`") {
        let Some(fields) = Fields::of(documents, node, "an expectation") else { continue };
        let who = named(documents, &fields, ("principal", "principals"), principals);
        let what = named(documents, &fields, ("request", "requests"), requests);
        let expect = tests_section::expectation(documents, &fields);
        let mark = fields.start();
        fields.finish();
        for who in &who {
            for what in &what {
                if found.insert((who, what), (mark, expect.clone())).is_some() {
                    documents.error_with_help(
                        "expected-twice",
                        format!("something is expected of `{who}` on `{what}` already"),
                        "say it once for each pair",
                        mark,
                    );
                }
            }
        }
    }
    found
}

/// The names under a key, or all of them where it is not there.
fn named<'n>(
    documents: &Documents,
    fields: &Fields<'_>,
    (one, several): (&'static str, &'static str),
    known: &'n [Word],
) -> Vec<&'n str> {
    let said = [fields.texts(one), fields.texts(several)];
    if said.iter().all(Option::is_none) {
        return known.iter().map(Word::as_str).collect();
    }
    let said = said.into_iter().flatten().flatten();
    said.filter_map(|word| {
        let found = known.iter().find(|known| known.text == word.text).map(Word::as_str);
        if found.is_none() {
            let names = known.iter().map(Word::as_str);
            let help = super::did_you_mean(&word.text, names)
                .unwrap_or_else(|| format!("it is not among the matrix's `{one}s`"));
            documents.error_with_help(
                "unknown-name",
                format!("unknown {one} `{}`", word.text),
                help,
                word.mark,
            );
        }
        found
    })
    .collect()
}

/// Pairs of one matrix.
const MOST_PAIRS: usize = 10_000;
