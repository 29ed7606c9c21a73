//! The section `apis`.

use super::batch::{Batch, batch};
use super::shapes::{QueryParts, Rows, TypeAt, query, rows, type_at};
use super::units;
use super::{Documents, Fields, Mark, Node, Value, Word, items, members, word};
use crate::policy::source::words;

/// One upstream HTTP API.
#[derive(Clone, Debug)]
pub struct Api {
    /// Its name, by which `fieldgate.yaml` gives it an address.
    pub name: Word,
    /// How it says no.
    pub denial: Option<Denials>,
    /// What of its errors passes.
    pub errors: Option<Errors>,
    /// What it can do.
    pub routes: Vec<Route>,
    /// Whether absolute URLs in answers point back at the gateway.
    pub rewrite_origin: bool,
}

/// How an api reports errors, and what of that passes.
#[derive(Clone, Debug)]
pub struct Errors {
    /// The place that tells an error from an answer where the status does not.
    pub at: Option<Word>,
    /// What stands there in an answer that is none.
    pub ok: Vec<Node>,
    /// Members that pass, or JSONPaths.
    pub keep: Vec<Word>,
    /// Members that pass masked, and the masks.
    pub mask: Vec<(Word, Word)>,
}

/// How an api says no.
#[derive(Clone, Debug)]
pub struct Denials {
    /// The status for every denial.
    pub status: Option<(u64, Mark)>,
    /// The template of the body.
    pub body: Option<Word>,
    /// The content type of the body.
    pub content_type: Option<Word>,
}

/// What one kind of request means.
#[derive(Clone, Debug)]
pub struct Route {
    /// Where it stands.
    pub mark: Mark,
    /// Method and path template.
    pub pattern: Word,
    /// Whether the letters of the template match in any case.
    pub ignore_case: bool,
    /// Further requirements on the request.
    pub when: Vec<WhenPart>,
    /// Whether anybody may use it, untouched.
    pub public: bool,
    /// The action.
    pub action: Option<Word>,
    /// The resource.
    pub resource: Option<ResourceOf>,
    /// Where the records are in the answer.
    pub records: Option<Word>,
    /// Where they are as positional rows.
    pub rows: Option<Rows>,
    /// What tells records of several types apart.
    pub type_at: Option<TypeAt>,
    /// How the body holds its JSON.
    pub body_as: Vec<Word>,
    /// What of the rest may pass.
    pub envelope: Envelope,
    /// Longest answer held for an exact total, in bytes.
    pub hold_for_total: Option<u64>,
    /// Where the records are in the request's body.
    pub body: Option<Word>,
    /// What happens with fields that may not be set.
    pub on_uneditable: Option<Uneditable>,
    /// What query parameters mean.
    pub query: Option<QueryParts>,
    /// The format of the answer.
    pub format: Format,
    /// In separated values: header text and field, where they differ.
    pub columns: Vec<(Word, Word)>,
    /// In separated values: whether what a spreadsheet takes for a formula gets an apostrophe in front.
    pub neutralise_formulas: bool,
    /// Request headers that pass.
    pub request_headers: Vec<Word>,
    /// Answer headers that pass.
    pub response_headers: Vec<Word>,
    /// What of the answer later requests refer to: name and place.
    pub remember: Vec<(Word, Word)>,
    /// Where its requests hold requests.
    pub batch: Option<Batch>,
    /// Whether `batch` is written, readable or not.
    pub is_batch: bool,
}

/// What happens with a field that may not be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uneditable {
    /// The request is refused.
    Refuse,
    /// The field is taken out.
    Strip,
    /// The old value is put in its place.
    Restore,
}

/// A part of a request.
#[derive(Clone, Debug)]
pub struct RoutePart {
    /// Which part.
    pub kind: PartKind,
    /// Its name, or the path in the body.
    pub name: Word,
}

/// The kinds of request parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PartKind {
    /// A parameter of the path template.
    Path,
    /// A query parameter.
    Query,
    /// A header.
    Header,
    /// A place in a JSON body.
    Body,
}

/// A request part and the texts it may be.
#[derive(Clone, Debug)]
pub struct WhenPart {
    /// The part.
    pub part: RoutePart,
    /// Any of these.
    pub values: Vec<Word>,
}

/// Where a route's resource comes from.
#[derive(Clone, Debug)]
pub enum ResourceOf {
    /// Always this one.
    Fixed(Word),
    /// The request says it; what is not in the map is denied.
    Mapped {
        /// Where the request says it.
        at: RoutePart,
        /// Text and resource.
        map: Vec<(Word, Word)>,
    },
    /// From an earlier answer.
    Remembered {
        /// What it was remembered as.
        name: Word,
        /// Where the request says it; without it, the parameter of that name.
        at: Option<RoutePart>,
    },
}

/// What of an answer outside the records may pass.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// Members of the root, or JSONPaths.
    pub keep: Vec<Word>,
    /// Where the number of records stands.
    pub total: Option<Word>,
    /// Whether a total that would have to be known too early is removed instead of set to `null`.
    pub remove_total: bool,
}

/// The format of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// A JSON text a line.
    Ndjson,
    /// JSON text sequences.
    JsonSeq,
    /// Server-sent events.
    Sse,
    /// Separated values: delimiter.
    Csv(u8),
}

pub(super) fn api(documents: &Documents, name: &Word, node: &Node) -> Option<Api> {
    let fields = Fields::of(documents, node, "an api")?;
    let denial = fields.node("denial").and_then(|node| denials(documents, node));
    let errors = fields.node("errors").and_then(|node| errors(documents, node));
    let rewrite_origin = fields.choice("origin", &[("keep", false), ("rewrite", true)]).unwrap_or(false);
    let mut routes = Vec::new();
    if let Some(node) = fields.node("routes") {
        routes.extend(items(documents, node, "`routes`").iter().filter_map(|item| route(documents, item)));
    }
    fields.finish();
    Some(Api { name: name.clone(), denial, errors, routes, rewrite_origin })
}

fn errors(documents: &Documents, node: &Node) -> Option<Errors> {
    let fields = Fields::of(documents, node, "`errors`")?;
    let ok = match fields.node("ok") {
        Some(Node { value: Value::List(items), .. }) => items.clone(),
        other => other.cloned().into_iter().collect(),
    };
    let mut mask = Vec::new();
    if let Some(node) = fields.node("mask") {
        for (place, name) in members(documents, node, "`mask`") {
            mask.extend(word(documents, name).map(|name| (place.clone(), name)));
        }
    }
    let keep = fields.texts("keep").unwrap_or_default();
    let errors = Errors { at: fields.text("at"), ok, keep, mask };
    fields.finish();
    Some(errors)
}

fn denials(documents: &Documents, node: &Node) -> Option<Denials> {
    let fields = Fields::of(documents, node, "`denial`")?;
    let status = fields
        .node("status")
        .and_then(|node| crate::policy::source::number(documents, node).map(|status| (status, node.mark)));
    let denials = Denials { status, body: fields.text("body"), content_type: fields.text("content_type") };
    fields.finish();
    Some(denials)
}

fn route(documents: &Documents, node: &Node) -> Option<Route> {
    let fields = Fields::of(documents, node, "a route")?;
    let pattern = fields.required_text("match");
    let query = fields.node("query").and_then(|node| query(documents, node));
    let hold_for_total = fields
        .text("hold_for_total")
        .and_then(|text| units::accept(documents, &text, units::size(&text.text)));
    let route = Route {
        mark: fields.mark(),
        pattern: pattern.clone().unwrap_or_else(|| Word { text: "".into(), mark: node.mark }),
        ignore_case: fields.flag("ignore_case").unwrap_or(false),
        when: fields.node("when").map(|node| when(documents, node)).unwrap_or_default(),
        public: fields.flag("public").unwrap_or(false),
        action: fields.text("action"),
        resource: fields.node("resource").and_then(|node| resource_of(documents, node)),
        records: fields.text("records"),
        rows: fields.node("rows").and_then(|node| rows(documents, node)),
        type_at: fields.node("type_at").and_then(|node| type_at(documents, node)),
        body_as: fields.texts("body_as").unwrap_or_default(),
        envelope: fields.node("envelope").and_then(|node| envelope(documents, node)).unwrap_or_default(),
        hold_for_total,
        body: fields.text("body"),
        on_uneditable: fields.choice(
            "on_uneditable",
            &[("refuse", Uneditable::Refuse), ("strip", Uneditable::Strip), ("restore", Uneditable::Restore)],
        ),
        query,
        format: format(&fields),
        columns: fields.node("columns").map(|node| columns(documents, node)).unwrap_or_default(),
        neutralise_formulas: fields.flag("neutralise_formulas").unwrap_or(false),
        request_headers: fields.texts("request_headers").unwrap_or_default(),
        response_headers: fields.texts("response_headers").unwrap_or_default(),
        remember: fields.node("remember").map(|node| remember(documents, node)).unwrap_or_default(),
        batch: fields.node("batch").and_then(|node| batch(documents, node)),
        is_batch: fields.entry("batch").is_some(),
    };
    fields.finish();
    pattern.map(|_| route)
}

fn remember(documents: &Documents, node: &Node) -> Vec<(Word, Word)> {
    members(documents, node, "`remember`")
        .iter()
        .filter_map(|(name, place)| Some((name.clone(), word(documents, place)?)))
        .collect()
}

fn columns(documents: &Documents, node: &Node) -> Vec<(Word, Word)> {
    members(documents, node, "`columns`")
        .iter()
        .filter_map(|(header, field)| Some((header.clone(), word(documents, field)?)))
        .collect()
}

fn format(fields: &Fields<'_>) -> Format {
    let chosen = fields.choice(
        "format",
        &[("json", 0_u8), ("ndjson", 1), ("json-seq", 2), ("sse", 3), ("csv", b','), ("tsv", b'\t')],
    );
    match chosen {
        None | Some(0) => Format::Json,
        Some(1) => Format::Ndjson,
        Some(2) => Format::JsonSeq,
        Some(3) => Format::Sse,
        Some(delimiter) => Format::Csv(delimiter),
    }
}

fn when(documents: &Documents, node: &Node) -> Vec<WhenPart> {
    if matches!(&node.value, Value::Null) || matches!(&node.value, Value::Map(members) if members.is_empty())
    {
        documents.error_with_help(
            "empty-condition",
            "`when` requires nothing",
            "say what the request must have, such as `{ query format: json }`, or remove it",
            node.mark,
        );
    }
    let mut parts = Vec::new();
    for (key, value) in members(documents, node, "`when` of a route") {
        if let Some(part) = part(documents, key) {
            let values = words(documents, value);
            if values.is_empty() {
                documents.error("empty-condition", "no text could meet this requirement", key.mark);
            }
            parts.push(WhenPart { part, values });
        }
    }
    parts
}

fn resource_of(documents: &Documents, node: &Node) -> Option<ResourceOf> {
    if !matches!(node.value, Value::Map(_)) {
        return word(documents, node).map(ResourceOf::Fixed);
    }
    let fields = Fields::of(documents, node, "`resource`")?;
    if let Some(name) = fields.text("remembered") {
        let at = fields.text("at").and_then(|text| part(documents, &text));
        fields.finish();
        return Some(ResourceOf::Remembered { name, at });
    }
    let at = fields.required_text("at").and_then(|text| part(documents, &text));
    let mut map = Vec::new();
    if let Some(node) = fields.required("map") {
        for (text, resource) in members(documents, node, "`map`") {
            if let Some(resource) = word(documents, resource) {
                map.push((text.clone(), resource));
            }
        }
    }
    fields.finish();
    Some(ResourceOf::Mapped { at: at?, map })
}

/// `path id`, `query q`, `header X-Module`, `body $.method`.
pub(super) fn part(documents: &Documents, text: &Word) -> Option<RoutePart> {
    const KINDS: [(&str, PartKind); 4] = [
        ("path", PartKind::Path),
        ("query", PartKind::Query),
        ("header", PartKind::Header),
        ("body", PartKind::Body),
    ];
    let found = text.text.split_once(' ').and_then(|(kind, name)| {
        let (_, kind) = KINDS.iter().find(|(word, _)| *word == kind)?;
        let name = name.trim();
        (!name.is_empty())
            .then(|| RoutePart { kind: *kind, name: Word { text: name.into(), mark: text.mark } })
    });
    if found.is_none() {
        documents.error_with_help(
            "bad-request-part",
            format!("`{}` is no part of a request", text.text),
            "write `path NAME`, `query NAME`, `header NAME` or `body $.PATH`",
            text.mark,
        );
    }
    found
}

fn envelope(documents: &Documents, node: &Node) -> Option<Envelope> {
    let fields = Fields::of(documents, node, "`envelope`")?;
    let keep = fields.texts("keep").unwrap_or_default();
    let total = fields.text("total");
    let remove_total = fields.choice("total_unknown", &[("null", false), ("remove", true)]).unwrap_or(false);
    fields.finish();
    Some(Envelope { keep, total, remove_total })
}
