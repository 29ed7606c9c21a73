//! The section `tests`.

use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;

use super::{Documents, Fields, Mark, Node, Value, Word, name_of, word};
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
    pub before: Option<Node>,
    /// What the upstream answers.
    pub answer: Option<Node>,
    /// The status it answers with.
    pub answer_status: u16,
    /// What must come out.
    pub expect: TestExpectation,
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
    pub answer: Option<Node>,
    /// The status.
    pub status: Option<u16>,
    /// Whether the request is refused.
    pub denied: Option<bool>,
    /// The total of released records.
    pub released: Option<u64>,
}

pub(super) fn test(documents: &Documents, node: &Node) -> Option<PolicyTest> {
    let fields = Fields::of(documents, node, "a test")?;
    let name = fields.required("name").and_then(|node| name_of(documents, node));
    let principal = fields.required("principal").and_then(|node| principal(documents, node));
    let request = fields.required("request").and_then(|node| request(documents, node));
    let at = fields.text("at").and_then(|text| match text.text.parse::<Timestamp>() {
        Ok(at) => Some(at),
        Err(_) => {
            documents.error_with_help(
                "bad-value",
                format!("`{}` is not a moment", text.text),
                "write `2026-11-20T09:00:00Z`",
                text.mark,
            );
            None
        }
    });
    let status = |name: &'static str| {
        let node = fields.node(name)?;
        let status = number(documents, node)?;
        let status = u16::try_from(status).ok().filter(|status| (200..=599).contains(status));
        if status.is_none() {
            documents.error("bad-value", "a status lies between 200 and 599", node.mark);
        }
        status
    };
    let expect = TestExpectation {
        answer: fields.node("expect").cloned(),
        status: status("status"),
        denied: fields.flag("denied"),
        released: fields.number("released"),
    };
    if expect.answer.is_none()
        && expect.status.is_none()
        && expect.denied.is_none()
        && expect.released.is_none()
    {
        documents.error_with_help(
            "expects-nothing",
            "a test says what must come out",
            "give `expect`, `status`, `denied` or `released`",
            node.mark,
        );
    }
    let answer_status = status("answer_status").unwrap_or(200);
    let (before, answer) = (fields.node("before").cloned(), fields.node("answer").cloned());
    let mark = fields.mark();
    fields.finish();
    Some(PolicyTest {
        name: name?,
        mark,
        principal: principal?,
        request: request?,
        at,
        before,
        answer,
        answer_status,
        expect,
    })
}

fn principal(documents: &Documents, node: &Node) -> Option<TestPrincipal> {
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

fn request(documents: &Documents, node: &Node) -> Option<TestRequest> {
    if !matches!(node.value, Value::Map(_)) {
        return word(documents, node).map(|line| TestRequest { line, headers: Vec::new(), body: None });
    }
    let fields = Fields::of(documents, node, "a request")?;
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
    fields.finish();
    Some(TestRequest { line: line?, headers, body })
}
