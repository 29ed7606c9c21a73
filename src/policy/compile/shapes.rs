//! Rows, record types, forms of bodies, and what a request may ask: the keys of routes in front of APIs that are not
//! plain.

use std::collections::HashMap;

use crate::base::Diagnostic;
use crate::rewrite::{Path, Step};

use super::Compiler;
use super::routes::Target;
use crate::policy::body::{BodyForm, BodyForms};
use crate::policy::model::{
    AskedAt, RecordTypes, ResourceId, ResourceTable, RouteQuery, RouteWhen, RowColumns,
};
use crate::policy::operation::Action;
use crate::policy::permit::{BodyPart, Dialect, Meaning};
use crate::policy::source::{Mark, Word, did_you_mean};
use crate::policy::syntax::{Asks, Format, PartKind, QueryParts, Route, RowColumns as WrittenColumns};

impl Compiler<'_> {
    /// Where the records of a route are; with `rows`, they are positional.
    pub(super) fn records_at(
        &self,
        route: &Route,
        about: Option<&(Action, ResourceId)>,
    ) -> Option<(Option<Path>, Option<RowColumns>)> {
        let Some(rows) = &route.rows else {
            return match &route.records {
                Some(word) => Some((Some(self.jsonpath(word)?), None)),
                None => Some((None, None)),
            };
        };
        if let Some(word) = &route.records {
            let help = "`rows` says itself where the rows are";
            self.documents.error_with_help("records-twice", "`rows` and `records`", help, word.mark);
        }
        if !matches!(route.format, Format::Json) {
            self.documents.error("rows-of-lines", "`rows` belong to `format: json`", rows.at.mark);
        }
        if let Some(types) = &route.type_at {
            let message = "a positional row has no type: `rows` and `type_at` exclude each other";
            self.documents.error("typed-rows", message, types.at.mark);
        }
        let at = self.jsonpath(&rows.at)?;
        if !at.is_list() {
            let help = format!("write `{}[*]`", rows.at.text);
            let message = format!("`{}` names no list of rows", rows.at.text);
            self.documents.error_with_help("bad-path", message, help, rows.at.mark);
            return None;
        }
        let table = about.and_then(|(_, id)| self.tables.resources.get(*id));
        let columns = self.columns(&rows.columns, table, rows.at.mark)?;
        Some((Some(at), Some(columns)))
    }

    fn columns(
        &self,
        written: &WrittenColumns,
        table: Option<&ResourceTable>,
        mark: Mark,
    ) -> Option<RowColumns> {
        match written {
            WrittenColumns::Fixed(words) => {
                if words.is_empty() {
                    self.documents.error("bad-value", "rows without columns", mark);
                }
                let mut columns = Vec::new();
                for word in words {
                    let path = self.field_path(word)?;
                    if !path.steps().iter().all(|step| matches!(step, Step::Name(_))) || path.is_root() {
                        let message = format!("`{}` is no place of one value", word.text);
                        self.documents.error("bad-path", message, word.mark);
                        return None;
                    }
                    columns.push(path);
                }
                Some(RowColumns::Fixed(columns))
            }
            WrittenColumns::Asked { at, split, trim } => {
                let asked = match at.kind {
                    PartKind::Query => AskedAt::Query(at.name.text.clone()),
                    PartKind::Body => AskedAt::Body(self.one_place(&at.name)?),
                    PartKind::Path | PartKind::Header => {
                        self.documents.error_with_help(
                            "bad-request-part",
                            "columns are named in the query or in the body",
                            "write `query NAME` or `body $.PATH`",
                            at.name.mark,
                        );
                        return None;
                    }
                };
                let split = split.as_ref().map_or(",", |word| word.text.as_ref());
                if split.is_empty() || table.is_none() {
                    self.documents.error("bad-value", "columns are split at a text that is not empty", mark);
                    return None;
                }
                Some(RowColumns::Asked { at: asked, split: split.into(), trim: *trim })
            }
        }
    }

    fn one_place(&self, word: &Word) -> Option<Path> {
        let path = self.jsonpath(word)?;
        if path.is_singular() && !path.is_root() {
            return Some(path);
        }
        let message = format!("`{}` must name exactly one place", word.text);
        self.documents.error("bad-path", message, word.mark);
        None
    }

    /// Text and resource of records that say their type; without a map, the text is the resource's name.
    pub(super) fn record_types(&self, route: &Route, action: &Action) -> Option<RecordTypes> {
        let written = route.type_at.as_ref()?;
        let at = self.field_path(&written.at)?;
        if !at.is_singular() || at.is_root() {
            let message = format!("`{}` must name exactly one place in the record", written.at.text);
            self.documents.error("bad-path", message, written.at.mark);
            return None;
        }
        if super::writes_one(action) || *action == Action::Create {
            self.documents.error_with_help(
                "typed-write",
                format!("`{action}` is about one type of records"),
                "name it with `resource: { at: …, map: … }`",
                written.at.mark,
            );
            return None;
        }
        let cases: Vec<_> = if written.map.is_empty() {
            let named = |(id, table): (usize, &ResourceTable)| (table.name.as_ref().into(), id);
            self.tables.resources.iter().enumerate().map(named).collect()
        } else {
            let case = |(text, word): &(Word, Word)| Some((text.text.as_ref().into(), self.resource(word)?));
            written.map.iter().filter_map(case).collect()
        };
        (!cases.is_empty()).then_some(RecordTypes { at, cases })
    }

    pub(super) fn body_forms(&self, route: &Route) -> BodyForms {
        let mut forms = Vec::new();
        for word in &route.body_as {
            let form = match word.text.split_once(':') {
                None => match word.text.as_ref() {
                    "json" => Some(BodyForm::Json),
                    "json-string" => Some(BodyForm::JsonString),
                    "form" => Some(BodyForm::Form),
                    _ => None,
                },
                Some(("form", name)) if !name.is_empty() => Some(BodyForm::FormJson(name.into())),
                Some(("json-string", path)) if path.starts_with('$') => {
                    let path = Word { text: path.into(), mark: word.mark };
                    match self.one_place(&path) {
                        Some(path) => Some(BodyForm::JsonStringAt(path)),
                        None => continue,
                    }
                }
                Some(_) => None,
            };
            let Some(form) = form else {
                let known = ["json", "json-string", "form"];
                let help = did_you_mean(&word.text, known).unwrap_or_else(|| {
                    "it is `json`, `json-string`, `json-string:$.PATH`, `form` or `form:FIELD`".to_owned()
                });
                let message = format!("unknown form of a body `{}`", word.text);
                self.documents.error_with_help("unknown-value", message, help, word.mark);
                continue;
            };
            let is_form = |form: &BodyForm| matches!(form, BodyForm::Form | BodyForm::FormJson(_));
            if forms.iter().any(|known| is_form(known) == is_form(&form)) {
                let message = "two forms that one content type stands for: nobody could tell them apart";
                self.documents.error("ambiguous-body", message, word.mark);
                continue;
            }
            forms.push(form);
        }
        BodyForms(forms)
    }

    /// What a request may ask. What was judged when the route was found, and the columns of rows, may be there too.
    pub(super) fn questions(
        &self,
        route: &Route,
        about: Option<&(Action, ResourceId)>,
        when: &[RouteWhen],
        columns: Option<&RowColumns>,
    ) -> RouteQuery {
        let mut query = route.query.as_ref().map(|parts| self.query(parts, about)).unwrap_or_default();
        let mut judged: Vec<_> =
            when.iter().filter_map(|when| when.path.clone()).map(|path| (path, Meaning::Pass)).collect();
        match columns {
            Some(RowColumns::Asked { at: AskedAt::Body(path), .. }) => {
                judged.push((path.clone(), Meaning::Columns));
            }
            Some(RowColumns::Asked { at: AskedAt::Query(name), .. }) => query.columns = Some(name.clone()),
            Some(RowColumns::Fixed(_)) | None => {}
        }
        for (path, meaning) in judged {
            if !query.body.iter().any(|part| part.path == path) {
                query.body.push(BodyPart { path, meaning });
            }
        }
        // What decides about a route goes on, or the upstream would take the request for another.
        let judged = when.iter().filter(|when| when.kind == PartKind::Query).map(|when| when.name.clone());
        let judged: Vec<_> = judged.filter(|name| !query.names().any(|known| known == name)).collect();
        query.pass.extend(judged);
        query
    }

    fn query(&self, parts: &QueryParts, about: Option<&(Action, ResourceId)>) -> RouteQuery {
        let resource = about.and_then(|(_, id)| self.tables.resources.get(*id));
        let dialect = parts.dialect.as_ref().and_then(|word| self.dialect(word));
        self.check_options(parts, dialect);
        for word in parts.filter.iter().filter(|_| parts.dialect.is_none()) {
            let Some(resource) = resource else { break };
            let known = resource.fields.iter().any(|field| field.text == word.text);
            if !known {
                let message = format!("`{}` is no declared field of `{}`", word.text, resource.name);
                let help = did_you_mean(&word.text, resource.fields.iter().map(|f| f.text.as_ref()))
                    .unwrap_or_else(|| "a filter parameter is named like the field it filters by".into());
                self.documents.error_with_help("matches-nothing", message, help, word.mark);
            }
        }
        let texts = |words: &[Word]| words.iter().map(|word| word.text.clone()).collect();
        let named = parts.select.iter().chain(&parts.sort).chain(&parts.search);
        let named =
            named.chain(&parts.expand).chain(parts.page_size.iter().map(|(word, _)| word)).chain(&parts.pass);
        crate::policy::syntax::unique(self.documents, "query parameter", named.chain(&parts.filter));
        RouteQuery {
            select: parts.select.as_ref().map(|word| word.text.clone()),
            sort: parts.sort.as_ref().map(|word| word.text.clone()),
            filter: texts(&parts.filter),
            search: texts(&parts.search),
            page_size: parts.page_size.as_ref().map(|(word, max)| (word.text.clone(), *max)),
            pass: texts(&parts.pass),
            expand: parts.expand.as_ref().map(|word| word.text.clone()),
            columns: None,
            body: self.body_parts(&parts.body),
            dialect,
        }
    }

    /// Options of OData that name fields or compute with them are read, or do not pass.
    fn check_options(&self, parts: &QueryParts, dialect: Option<Dialect>) {
        if let (Some(word), false) = (&parts.expand, dialect == Some(Dialect::OData)) {
            let help = "write `dialect: odata`, or leave it out: related records are judged in any case";
            let message = "`expand` is read in the dialect `odata` only";
            self.documents.error_with_help("expand-unread", message, help, word.mark);
        }
        for word in parts.pass.iter().filter(|_| dialect == Some(Dialect::OData)) {
            let option = word.text.trim_start_matches('$').to_ascii_lowercase();
            if ASKING.contains(&option.as_str()) {
                let message = format!("`{}` asks about fields and would pass unread", word.text);
                let help = "`filter`, `sort`, `select` and `expand` are judged; the others are refused";
                self.documents.error_with_help("passes-unread", message, help, word.mark);
            }
        }
    }

    fn body_parts(&self, written: &[(Word, Asks)]) -> Vec<BodyPart> {
        let mut first: HashMap<Path, Mark> = HashMap::new();
        let mut parts = Vec::new();
        for (word, asks) in written {
            let Some(path) = self.jsonpath(word) else { continue };
            let plain = path
                .steps()
                .iter()
                .all(|step| matches!(step, Step::Name(_) | Step::Index(_) | Step::Elements));
            if !plain || path.is_root() {
                let message = format!("`{}` is no place in a body", word.text);
                self.documents.error("bad-path", message, word.mark);
                continue;
            }
            if let Some(earlier) = first.insert(path.clone(), word.mark) {
                self.documents.push(
                    Diagnostic::error("duplicate-name", format!("`{}` means two things", word.text))
                        .at(self.documents.place(word.mark))
                        .related(self.documents.place(earlier), "the other one"),
                );
            }
            let meaning = match asks {
                Asks::Select => Meaning::Select,
                Asks::Sort => Meaning::Sort,
                Asks::Filter => Meaning::Filter,
                Asks::Search => Meaning::Search,
                Asks::PageSize(most) => Meaning::PageSize(*most),
                Asks::Pass => Meaning::Pass,
            };
            parts.push(BodyPart { path, meaning });
        }
        parts
    }

    fn dialect(&self, word: &Word) -> Option<Dialect> {
        let found = Dialect::ALL.into_iter().find(|dialect| dialect.name() == word.text.as_ref());
        if found.is_none() {
            let names = Dialect::ALL.map(Dialect::name);
            let help = did_you_mean(&word.text, names).unwrap_or_else(|| {
                let all: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                format!("known are {}; without one no filter text passes", all.join(", "))
            });
            let message = format!("unknown query dialect `{}`", word.text);
            self.documents.error_with_help("unknown-dialect", message, help, word.mark);
        }
        found
    }

    /// Whether the body says what has to be known before the request can be decided.
    pub(super) fn body_is_asked(query: &RouteQuery, when: &[RouteWhen]) -> bool {
        when.iter().any(|when| when.kind == PartKind::Body)
            || query.body.iter().any(|part| part.meaning != Meaning::Pass)
    }

    /// Action and resource of a route whose records say their type: the first of them stands for all.
    pub(super) fn subject(&self, route: &Route, action: Option<Action>) -> Vec<Target> {
        let about = action.and_then(|action| {
            let types = self.record_types(route, &action)?;
            let (_, id) = types.cases.first()?;
            Some((action, *id))
        });
        about.map(|about| (Some(about), None)).into_iter().collect()
    }
}

/// Options of OData that name fields.
const ASKING: [&str; 8] = ["apply", "compute", "expand", "filter", "levels", "orderby", "search", "select"];
