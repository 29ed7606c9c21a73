//! The section `tests`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use jiff::Timestamp;

use super::{Documents, Fields, Mark, Node, Value, Word, name_of, word};
use crate::policy::shadow::ShadowEffect;
use crate::policy::source::number;

/// An example that must hold: who asks for what, what the upstream answers, and what comes out.
#[derive(Clone, Debug)]
pub struct PolicyTest {
    /// Its name.
    pub name: Word,
    /// Where it stands.
    pub mark: Mark,
    /// Who asks.
    pub principal: TestPrincipal,
    /// For what.
    pub request: TestRequest,
    /// When.
    pub at: Option<Timestamp>,
    /// What the upstream answers to the read before a write under a condition.
    pub before: Option<Body>,
    /// What the upstream answers.
    pub answer: Option<Body>,
    /// The status it answers with.
    pub answer_status: u16,
    /// What must come out.
    pub expect: TestExpectation,
}

/// A body of a test.
#[derive(Clone, Debug)]
pub enum Body {
    /// As it is written: a text stands for itself, anything else for its JSON.
    Inline(Node),
    /// The bytes of a file.
    File(PathBuf),
}

/// A key of an expectation, for writing it anew.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// The key.
    pub key: &'static str,
    /// Key and value.
    pub entry: Mark,
    /// The value.
    pub value: Mark,
}

/// Who asks in a test.
#[derive(Clone, Debug)]
pub struct TestPrincipal {
    /// Subject.
    pub id: Word,
    /// Display name.
    pub name: Option<Word>,
    /// Groups.
    pub groups: Vec<Word>,
    /// Roles given directly.
    pub roles: Vec<Word>,
    /// Claims, as JSON.
    pub claims: Option<Node>,
    /// Address.
    pub ip: IpAddr,
    /// Whether a second factor was used.
    pub mfa: bool,
}

/// What is asked for in a test.
#[derive(Clone, Debug)]
pub struct TestRequest {
    /// Method and target: `GET /api/v1/customers/42?fields=name`.
    pub line: Word,
    /// Name and value.
    pub headers: Vec<(Word, Word)>,
    /// The body: JSON, or a text as it stands.
    pub body: Option<Node>,
}

/// What must come out of a test.
#[derive(Clone, Debug, Default)]
pub struct TestExpectation {
    /// The answer's body.
    pub answer: Option<Body>,
    /// The status.
    pub status: Option<u16>,
    /// Whether the request is refused.
    pub denied: Option<bool>,
    /// The total of released records.
    pub released: Option<u64>,
    /// What rules in shadow would have made of it.
    pub shadow: Option<ShadowEffect>,
    /// What of it is written, and where.
    pub written: Vec<Written>,
}

/// One item of the section: a test, or a matrix of them.
pub(super) fn tests(documents: &Documents, node: &Node) -> Vec<PolicyTest> {
    match &node.value {
        Value::Map(members) if members.iter().any(|(key, _)| key.as_str() == "principals") => {
            super::tests_matrix::matrix(documents, node)
        }
        _ => test(documents, node).into_iter().collect(),
    }
}

fn test(documents: &Documents, node: &Node) -> Option<PolicyTest> {
    let fields = Fields::of(documents, node, "a test")?;
    let name = fields.required("name").and_then(|node| name_of(documents, node));
    let principal = fields.required("principal").and_then(|node| principal(documents, node));
    let request = fields.required("request").and_then(|node| request(documents, node));
    let at = moment(documents, &fields);
    let expect = expectation(documents, &fields);
    let answers = answers(documents, &fields);
    let mark = fields.mark();
    fields.finish();
    let Answers { before, answer, status } = answers;
    Some(PolicyTest {
        name: name?,
        mark,
        principal: principal?,
        request: request?,
        at,
        before,
        answer,
        answer_status: status,
        expect,
    })
}

/// What the upstream answers.
#[derive(Clone)]
pub(super) struct Answers {
    pub(super) before: Option<Body>,
    pub(super) answer: Option<Body>,
    pub(super) status: u16,
}

pub(super) fn answers(documents: &Documents, fields: &Fields<'_>) -> Answers {
    Answers {
        before: body(documents, fields, "before", "before_file"),
        answer: body(documents, fields, "answer", "answer_file"),
        status: status(documents, fields, "answer_status").unwrap_or(200),
    }
}

pub(super) fn moment(documents: &Documents, fields: &Fields<'_>) -> Option<Timestamp> {
    let text = fields.text("at")?;
    let at = text.text.parse::<Timestamp>().ok();
    if at.is_none() {
        let message = format!("`{}` is not a moment", text.text);
        documents.error_with_help("bad-value", message, "write `2026-11-20T09:00:00Z`", text.mark);
    }
    at
}

fn status(documents: &Documents, fields: &Fields<'_>, name: &'static str) -> Option<u16> {
    let node = fields.node(name)?;
    let status = number(documents, node)?;
    let status = u16::try_from(status).ok().filter(|status| (200..=599).contains(status));
    if status.is_none() {
        documents.error("bad-value", "a status lies between 200 and 599", node.mark);
    }
    status
}

/// A body that is written here, or the file that holds it.
fn body(
    documents: &Documents,
    fields: &Fields<'_>,
    inline: &'static str,
    file: &'static str,
) -> Option<Body> {
    let (here, named) = (fields.entry(inline), fields.text(file));
    if let (Some((key, _)), Some(_)) = (here, &named) {
        let message = format!("give either `{inline}` or `{file}`");
        documents.error("said-twice", message, key.mark);
    }
    let Some(named) = named else { return here.map(|(_, node)| Body::Inline(node.clone())) };
    match documents.beside(&named) {
        Some(path) => Some(Body::File(path)),
        None => {
            documents.error_with_help(
                "bad-file",
                format!("`{}` is not a file below the policy", named.text),
                "name it relative to this file, without `..`",
                named.mark,
            );
            None
        }
    }
}

pub(super) fn expectation(documents: &Documents, fields: &Fields<'_>) -> TestExpectation {
    let expect = TestExpectation {
        answer: body(documents, fields, "expect", "expect_file"),
        status: status(documents, fields, "status"),
        denied: fields.flag("denied"),
        released: fields.number("released"),
        shadow: fields.choice(
            "shadow",
            &[
                ("same", ShadowEffect::Same),
                ("refuse", ShadowEffect::Refuse),
                ("allow", ShadowEffect::Allow),
                ("change", ShadowEffect::Change),
            ],
        ),
        written: ["expect", "status", "denied", "released"]
            .into_iter()
            .filter_map(|key| {
                let (word, node) = fields.entry(key)?;
                let value = node.mark;
                Some(Written { key, entry: word.mark.to(value), value })
            })
            .collect(),
    };
    let nothing = expect.answer.is_none()
        && expect.status.is_none()
        && expect.denied.is_none()
        && expect.released.is_none()
        && expect.shadow.is_none();
    if nothing {
        documents.error_with_help(
            "expects-nothing",
            "a test says what must come out",
            "give `expect`, `status`, `denied`, `released` or `shadow`",
            fields.mark(),
        );
    }
    expect
}

pub(super) fn principal(documents: &Documents, node: &Node) -> Option<TestPrincipal> {
    let fields = Fields::of(documents, node, "a principal")?;
    let id = fields.required_text("id");
    let claims = fields.node("claims").cloned();
    if let Some(node) = claims.as_ref().filter(|node| !matches!(node.value, Value::Map(_))) {
        let message = format!("`claims` is a mapping, not {}", node.value.kind());
        documents.error("wrong-type", message, node.mark);
    }
    let ip = fields.text("ip").and_then(|text| match text.text.parse() {
        Ok(ip) => Some(ip),
        Err(_) => {
            documents.error("bad-value", format!("`{}` is not an address", text.text), text.mark);
            None
        }
    });
    let principal = TestPrincipal {
        id: id.clone().unwrap_or_else(|| Word { text: "".into(), mark: node.mark }),
        name: fields.text("name"),
        groups: fields.texts("groups").unwrap_or_default(),
        roles: fields.texts("roles").unwrap_or_default(),
        claims,
        ip: ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        mfa: fields.flag("mfa").unwrap_or(false),
    };
    fields.finish();
    id.map(|_| principal)
}

pub(super) fn request(documents: &Documents, node: &Node) -> Option<TestRequest> {
    if !matches!(node.value, Value::Map(_)) {
        return word(documents, node).map(|line| TestRequest { line, headers: Vec::new(), body: None });
    }
    let fields = Fields::of(documents, node, "a request")?;
    let request = request_of(documents, &fields);
    fields.finish();
    request
}

pub(super) fn request_of(documents: &Documents, fields: &Fields<'_>) -> Option<TestRequest> {
    let line = fields.required_text("line");
    let mut headers = Vec::new();
    if let Some(node) = fields.node("headers") {
        for (name, value) in super::members(documents, node, "`headers`") {
            if let Some(value) = word(documents, value) {
                headers.push((name.clone(), value));
            }
        }
    }
    let body = fields.node("body").cloned();
    Some(TestRequest { line: line?, headers, body })
}
