//! The key `batch` of a route.

use super::routes::{PartKind, RoutePart, part};
use super::{Documents, Fields, Mark, Node, Word};

/// Where the requests of a batch stand in its body, and their answers in the answer.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Where it is written.
    pub mark: Mark,
    /// The list of requests in the body.
    pub items: Word,
    /// The member that holds a request's method.
    pub method: Word,
    /// Its target.
    pub url: Word,
    /// Its body.
    pub body: Option<Word>,
    /// What it is called.
    pub id: Option<Word>,
    /// Its headers.
    pub headers: Option<Word>,
    /// What stands before a target that does not begin with a slash.
    pub base: Option<Word>,
    /// Members of the body and of its requests that pass.
    pub pass: Vec<Word>,
    /// Most requests.
    pub max: Option<(u64, Mark)>,
    /// The list of answers in the answer.
    pub answers: Word,
    /// The member that holds an inner answer.
    pub answer: Word,
    /// Its status.
    pub status: Option<Word>,
    /// What the request it answers is called; without it, as in the request.
    pub answer_id: Option<Word>,
}

pub(super) fn batch(documents: &Documents, node: &Node) -> Option<Batch> {
    let fields = Fields::of(documents, node, "`batch`")?;
    let items = fields.required_text("items").and_then(|text| in_body(documents, &text));
    let method = fields.required_text("method");
    let url = fields.required_text("url");
    let answers = fields.required_text("answers");
    let answer = fields.required_text("answer");
    let max = fields
        .node("max")
        .and_then(|node| crate::policy::source::number(documents, node).map(|max| (max, node.mark)));
    let written = (
        fields.text("body"),
        fields.text("id"),
        fields.text("headers"),
        fields.text("base"),
        fields.texts("pass").unwrap_or_default(),
        fields.text("status"),
        fields.text("answer_id"),
    );
    fields.finish();
    let (body, id, headers, base, pass, status, answer_id) = written;
    Some(Batch {
        mark: node.mark,
        items: items?,
        method: method?,
        url: url?,
        body,
        id,
        headers,
        base,
        pass,
        max,
        answers: answers?,
        answer: answer?,
        status,
        answer_id,
    })
}

fn in_body(documents: &Documents, text: &Word) -> Option<Word> {
    match part(documents, text)? {
        RoutePart { kind: PartKind::Body, name } => Some(name),
        RoutePart { kind: PartKind::Path | PartKind::Query | PartKind::Header, .. } => {
            documents.error_with_help(
                "bad-request-part",
                "the requests of a batch stand in its body",
                "write `body $.PATH[*]`",
                text.mark,
            );
            None
        }
    }
}
