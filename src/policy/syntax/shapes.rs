//! Keys of a route for APIs that are not plain: positional rows, records of several types, bodies that hold JSON in
//! their own way, and what query parts mean.

use super::routes::{PartKind, RoutePart, part};
use super::{Documents, Fields, Node, Value, Word, members, word};
use crate::policy::source::words;

/// Positional rows.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Where they stand in the answer.
    pub at: Word,
    /// What their values mean.
    pub columns: RowColumns,
}

/// Where the columns of positional rows are named.
#[derive(Clone, Debug)]
pub enum RowColumns {
    /// Here.
    Fixed(Vec<Word>),
    /// By the request.
    Asked {
        /// The part of the request.
        at: RoutePart,
        /// What stands between them.
        split: Option<Word>,
        /// Whether a column that may not be seen is taken out instead of refusing the request.
        trim: bool,
    },
}

/// A discriminator inside the records.
#[derive(Clone, Debug)]
pub struct TypeAt {
    /// Its place, relative to the record.
    pub at: Word,
    /// Text and resource; empty: the text is the name of a resource.
    pub map: Vec<(Word, Word)>,
}

/// What query parameters, and parts of the body that ask, mean.
#[derive(Clone, Debug, Default)]
pub struct QueryParts {
    /// The language of filters, where there is one.
    pub dialect: Option<Word>,
    /// Lists the wanted fields.
    pub select: Option<Word>,
    /// Names the sorting fields.
    pub sort: Option<Word>,
    /// Parameters named like the field they filter by; with a dialect, those that hold its filters.
    pub filter: Vec<Word>,
    /// Free-text search.
    pub search: Vec<Word>,
    /// The page size: parameter and largest value.
    pub page_size: Option<(Word, u64)>,
    /// Asks for related records, in a dialect.
    pub expand: Option<Word>,
    /// Parameters that pass unread.
    pub pass: Vec<Word>,
    /// The same in the body.
    pub body: Vec<(Word, Asks)>,
}

/// What a place in the body asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Fields.
    Select,
    /// An order.
    Sort,
    /// A filter.
    Filter,
    /// A search.
    Search,
    /// At most so many records.
    PageSize(u64),
    /// Nothing about fields.
    Pass,
}

pub(super) fn rows(documents: &Documents, node: &Node) -> Option<Rows> {
    let fields = Fields::of(documents, node, "`rows`")?;
    let at = fields.required_text("at");
    let columns = fields.required("columns").and_then(|node| columns(documents, node));
    fields.finish();
    Some(Rows { at: at?, columns: columns? })
}

fn columns(documents: &Documents, node: &Node) -> Option<RowColumns> {
    if !matches!(node.value, Value::Map(_)) {
        return Some(RowColumns::Fixed(words(documents, node)));
    }
    let fields = Fields::of(documents, node, "`columns`")?;
    let at = fields.required_text("at").and_then(|text| part(documents, &text));
    let split = fields.text("split");
    let trim = fields.choice("hidden", &[("refuse", false), ("trim", true)]).unwrap_or(false);
    fields.finish();
    Some(RowColumns::Asked { at: at?, split, trim })
}

pub(super) fn type_at(documents: &Documents, node: &Node) -> Option<TypeAt> {
    if !matches!(node.value, Value::Map(_)) {
        return word(documents, node).map(|at| TypeAt { at, map: Vec::new() });
    }
    let fields = Fields::of(documents, node, "`type_at`")?;
    let at = fields.required_text("at");
    let mut map = Vec::new();
    if let Some(node) = fields.required("map") {
        for (text, resource) in members(documents, node, "`map`") {
            map.extend(word(documents, resource).map(|resource| (text.clone(), resource)));
        }
    }
    fields.finish();
    Some(TypeAt { at: at?, map })
}

pub(super) fn query(documents: &Documents, node: &Node) -> Option<QueryParts> {
    let fields = Fields::of(documents, node, "`query`")?;
    let mut parts = QueryParts { dialect: fields.text("dialect"), ..QueryParts::default() };
    let mut body = Vec::new();
    let mut one = |name: &'static str, asks: Asks| {
        fields.text(name).and_then(|word| place(documents, word, asks, &mut body))
    };
    parts.select = one("select", Asks::Select);
    parts.sort = one("sort", Asks::Sort);
    let mut many = |name: &'static str, asks: Asks| {
        let words = fields.texts(name).unwrap_or_default();
        words.into_iter().filter_map(|word| place(documents, word, asks, &mut body)).collect()
    };
    parts.filter = many("filter", Asks::Filter);
    parts.search = many("search", Asks::Search);
    parts.pass = many("pass", Asks::Pass);
    parts.expand = fields.text("expand");
    parts.page_size = fields.node("page_size").and_then(|node| page_size(documents, node, &mut body));
    parts.body = body;
    fields.finish();
    Some(parts)
}

fn page_size(documents: &Documents, node: &Node, body: &mut Vec<(Word, Asks)>) -> Option<(Word, u64)> {
    let fields = Fields::of(documents, node, "`page_size`")?;
    let at = fields.text("at");
    let param = if at.is_some() { at } else { fields.required_text("param") };
    let max = fields.required("max").and_then(|node| crate::policy::source::number(documents, node));
    fields.finish();
    let (param, max) = (param?, max?);
    place(documents, param, Asks::PageSize(max), body).map(|param| (param, max))
}

/// The name of a query parameter; a place in the body goes to `body`.
fn place(documents: &Documents, text: Word, asks: Asks, body: &mut Vec<(Word, Asks)>) -> Option<Word> {
    let in_words = ["body ", "query ", "path ", "header "].iter().any(|kind| text.text.starts_with(kind));
    if !in_words {
        return Some(text);
    }
    let part = part(documents, &text)?;
    match part.kind {
        PartKind::Query => Some(part.name),
        PartKind::Body => {
            body.push((part.name, asks));
            None
        }
        PartKind::Path | PartKind::Header => {
            documents.error_with_help(
                "bad-request-part",
                format!("`{}` cannot ask for records", text.text),
                "name a query parameter, or `body $.PATH`",
                text.mark,
            );
            None
        }
    }
}
