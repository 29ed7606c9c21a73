//! APIs and routes: templates, paths, request parts, query parameters.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::base::Diagnostic;
use crate::rewrite::Path;

use super::Compiler;
use crate::policy::model::{GuardTable, ResourceId, RouteTable, RouteWhen};
use crate::policy::operation::Action;
use crate::policy::permit::{DenialShape, RouteFacts, UneditableRule};
use crate::policy::router::{Router, Segment};
use crate::policy::source::{Mark, Word, did_you_mean};
use crate::policy::syntax::{Api, Format, PartKind, ResourceOf, Route, RoutePart, Uneditable, WhenPart};

/// Action and resource, and what the request must say for them; neither for a public route.
pub(super) type Target = (Option<(Action, ResourceId)>, Option<RouteWhen>);

impl Compiler<'_> {
    pub(super) fn routes(&mut self) -> Router {
        let set = self.set;
        let mut written = Vec::new();
        for api in &set.apis {
            let denial = Arc::new(self.denial_shape(api.denial.as_ref()));
            for route in &api.routes {
                for (table, ignore_case) in self.route(api, route, &denial) {
                    written.push((table, ignore_case, route.pattern.mark));
                }
            }
        }
        self.remembered_routes(&mut written);
        // Of one template, routes that require more are tried first.
        written.sort_by_key(|(table, _, _)| std::cmp::Reverse(table.when.len()));
        self.refuse_ambiguous(&written);
        let mut router = Router::new();
        for (index, (table, ignore_case, _)) in written.iter().enumerate() {
            router.add(&table.template, *ignore_case, index);
        }
        let marks: Vec<Mark> = written.iter().map(|(_, _, mark)| *mark).collect();
        self.tables.routes = written.into_iter().map(|(table, _, _)| table).collect();
        self.find_readers(&marks);
        self.guard_routes();
        router
    }

    /// Notes which guards may concern a route. Those on fields may also concern related records, so their resources
    /// do not matter here.
    fn guard_routes(&mut self) {
        for route in &mut self.tables.routes {
            let resources = route.resources();
            let Some((action, _)) = &route.about else { continue };
            let concerns = |guard: &GuardTable| {
                let action = guard.actions.is_empty() || guard.actions.contains(action);
                let resource =
                    guard.resources.is_empty() || guard.resources.iter().any(|id| resources.contains(id));
                action && (resource || guard.hides.is_some())
            };
            let guards = self.tables.guards.iter().enumerate();
            let concerning = guards.filter(|(_, guard)| concerns(guard));
            let (shadow, live): (Vec<_>, Vec<_>) = concerning.partition(|(_, guard)| guard.shadow);
            route.guards = live.into_iter().map(|(index, _)| index).collect();
            route.shadow_guards = shadow.into_iter().map(|(index, _)| index).collect();
        }
    }

    fn route(&mut self, api: &Api, route: &Route, denial: &Arc<DenialShape>) -> Vec<(RouteTable, bool)> {
        let parsed = self.pattern(&route.pattern);
        let when: Vec<_> = route.when.iter().filter_map(|when| self.when(when)).collect();
        let targets = self.targets(route);
        let Some((method, template)) = parsed else { return Vec::new() };
        self.check_params(route, &template);
        let mut tables = Vec::new();
        for (about, further) in targets {
            let mut when: Vec<_> = when.iter().map(clone_when).collect();
            when.extend(further);
            if let Some(table) = self.table(api, route, denial, &method, &template, about, when) {
                tables.push((table, route.ignore_case));
            }
        }
        tables
    }

    pub(super) fn pattern(&self, pattern: &Word) -> Option<(http::Method, Vec<Segment>)> {
        let Some((method, template)) = pattern.text.split_once(' ') else {
            self.documents.error_with_help(
                "bad-route",
                format!("`{}` is no method and path", pattern.text),
                "write `GET /path/{id}`",
                pattern.mark,
            );
            return None;
        };
        const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        if !METHODS.contains(&method) {
            let help = did_you_mean(&method.to_uppercase(), METHODS)
                .unwrap_or_else(|| format!("known are {}", METHODS.join(", ")));
            self.documents.error_with_help(
                "bad-route",
                format!("unknown method `{method}`"),
                help,
                self.documents.part(pattern, 0, method.len()),
            );
            return None;
        }
        let template = template.trim();
        match Segment::parse_template(template) {
            Ok(segments) => Some((method.parse().ok()?, segments)),
            Err((message, offset)) => {
                let start = pattern.text.len() - template.len();
                self.documents.error("bad-route", message, self.documents.part(pattern, start + offset, 1));
                None
            }
        }
    }

    pub(super) fn when(&self, when: &WhenPart) -> Option<RouteWhen> {
        self.request_part(&when.part, when.values.iter().map(|word| word.text.clone()).collect())
    }

    fn request_part(&self, part: &RoutePart, values: Vec<Arc<str>>) -> Option<RouteWhen> {
        let mut path = None;
        if part.kind == PartKind::Body {
            let parsed = self.jsonpath(&part.name)?;
            if !parsed.is_singular() {
                let message = format!("`{}` must name exactly one place", part.name.text);
                self.documents.error("bad-path", message, part.name.mark);
                return None;
            }
            path = Some(parsed);
        }
        let name = match part.kind {
            PartKind::Header => part.name.text.to_lowercase().into(),
            PartKind::Path | PartKind::Query | PartKind::Body => part.name.text.clone(),
        };
        Some(RouteWhen { kind: part.kind, name, path, values })
    }

    fn check_params(&self, route: &Route, template: &[Segment]) {
        let mapped = match &route.resource {
            Some(ResourceOf::Mapped { at, .. }) => Some(at),
            _ => None,
        };
        for part in route.when.iter().map(|when| &when.part).chain(mapped) {
            let known = Segment::params(template).any(|name| *name == part.name.text);
            if part.kind == PartKind::Path && !known {
                let message = format!("the path has no parameter `{}`", part.name.text);
                self.documents.error("unknown-name", message, part.name.mark);
            }
        }
    }

    /// Action and resource of a route, with what the request must say for it; several where the request names it.
    fn targets(&self, route: &Route) -> Vec<Target> {
        if route.public {
            if let Some(action) = &route.action {
                self.documents.error("public-with-action", "a public route has no action", action.mark);
            }
            if let Some(ResourceOf::Fixed(word)) = &route.resource {
                self.documents.error("public-with-resource", "a public route has no resource", word.mark);
            }
            return vec![(None, None)];
        }
        if route.is_batch {
            return vec![(None, None)];
        }
        let action = route.action.as_ref().and_then(|action| self.action(action));
        if route.action.is_none() && !matches!(route.resource, Some(ResourceOf::Remembered { .. })) {
            self.documents.error_with_help(
                "missing-key",
                "a route needs `action`",
                "a route anybody may use untouched says `public: true`",
                route.pattern.mark,
            );
        }
        match &route.resource {
            None if route.type_at.is_some() => self.subject(route, action),
            None => {
                self.documents.error("missing-key", "a route needs `resource`", route.pattern.mark);
                Vec::new()
            }
            // Added when it is known which routes remember what.
            Some(ResourceOf::Remembered { .. }) => Vec::new(),
            Some(ResourceOf::Fixed(word)) => {
                let resource = self.resource(word);
                action.zip(resource).map(|about| (Some(about), None)).into_iter().collect()
            }
            Some(ResourceOf::Mapped { at, map }) => {
                let mut by_resource: BTreeMap<ResourceId, Vec<Arc<str>>> = BTreeMap::new();
                for (text, word) in map {
                    if let Some(resource) = self.resource(word) {
                        by_resource.entry(resource).or_default().push(text.text.clone());
                    }
                }
                let Some(action) = action else { return Vec::new() };
                by_resource
                    .into_iter()
                    .filter_map(|(resource, values)| {
                        let when = self.request_part(at, values)?;
                        Some((Some((action.clone(), resource)), Some(when)))
                    })
                    .collect()
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one route, named once")]
    pub(super) fn table(
        &self,
        api: &Api,
        route: &Route,
        denial: &Arc<DenialShape>,
        method: &http::Method,
        template: &[Segment],
        about: Option<(Action, ResourceId)>,
        when: Vec<RouteWhen>,
    ) -> Option<RouteTable> {
        let batch = match (&route.batch, route.is_batch) {
            (Some(written), _) => Some(Arc::new(self.batch(route, written)?)),
            // What is wrong with it was said.
            (None, true) => return None,
            (None, false) => None,
        };
        let (records, rows) = self.records_at(route, about.as_ref())?;
        let types = about.as_ref().and_then(|(action, _)| self.record_types(route, action));
        if route.type_at.is_some() && types.is_none() {
            return None;
        }
        let lines = !matches!(route.format, Format::Json);
        if batch.is_none() {
            self.check_answer(route, about.as_ref(), records.as_ref(), lines);
        }
        let single = !lines && records.as_ref().is_some_and(|path| !path.is_list());
        let keep = route.envelope.keep.iter().filter_map(|word| self.kept(word, records.as_ref())).collect();
        let total = route.envelope.total.as_ref().and_then(|word| self.kept(word, records.as_ref()));
        let resource = about.as_ref().and_then(|(_, id)| self.tables.resources.get(*id));
        let facts = RouteFacts {
            name: route.pattern.text.clone(),
            api: api.name.text.clone(),
            resource: resource.map(|resource| resource.name.clone()),
            action: about.as_ref().map(|(action, _)| action.clone()),
            public: route.public,
            single,
            denial: denial.clone(),
            errors: api.errors.as_ref().map(|errors| Arc::new(self.error_shape(errors))),
            remember: self.remembers(route, records.as_ref(), about.as_ref()),
            rewrite_origin: api.rewrite_origin,
            body_as: self.body_forms(route),
            request_headers: self.passing_headers(route, &when),
            response_headers: self.headers(&route.response_headers),
        };
        let body = self.body(route, about.as_ref());
        if route.on_uneditable == Some(Uneditable::Restore) {
            self.check_restore(route, about.as_ref());
        }
        let format = self.answer_format(route, about.as_ref());
        let query = self.questions(route, about.as_ref(), &when, rows.as_ref());
        Some(RouteTable {
            facts: Arc::new(facts),
            method: method.clone(),
            template: template.to_vec(),
            reads_body: batch.is_some() || Self::body_is_asked(&query, &when),
            when,
            about,
            format,
            records,
            rows,
            types,
            recalls: None,
            batch,
            remembers_action: false,
            keep,
            total,
            remove_total: route.envelope.remove_total,
            hold_for_total: route.hold_for_total.and_then(|bytes| usize::try_from(bytes).ok()),
            body,
            on_uneditable: match route.on_uneditable {
                None | Some(Uneditable::Refuse) => UneditableRule::Refuse,
                Some(Uneditable::Strip) => UneditableRule::Strip,
                Some(Uneditable::Restore) => UneditableRule::Restore,
            },
            query,
            reader: None,
            guards: Vec::new(),
            shadow_guards: Vec::new(),
        })
    }

    fn check_answer(
        &self,
        route: &Route,
        about: Option<&(Action, ResourceId)>,
        records: Option<&Path>,
        lines: bool,
    ) {
        let Some((action, _)) = about else {
            if let Some(word) = &route.records {
                self.documents.error("public-with-records", "a public route passes untouched", word.mark);
            }
            return;
        };
        let csv = matches!(route.format, Format::Csv(_));
        if !csv && (!route.columns.is_empty() || route.neutralise_formulas) {
            let message = "`columns` and `neutralise_formulas` belong to `format: csv` and `format: tsv`";
            self.documents.error("not-separated", message, route.pattern.mark);
        }
        if lines {
            if let Some(word) = &route.records {
                self.warn("unused-records", "in this format each line is a record".into(), None, word.mark);
            }
            if let Some(word) = route.envelope.keep.first().or(route.envelope.total.as_ref()) {
                self.documents.error("no-envelope", "this format has no envelope", word.mark);
            }
            return;
        }
        let reads = matches!(action, Action::List | Action::Read | Action::Export);
        match (records, &route.records) {
            (None, _) if reads && route.rows.is_none() => self.warn(
                "nothing-released",
                "the route says not where the records are, so its answers are empty".into(),
                Some("add `records: $.data[*]` or where they stand".into()),
                route.pattern.mark,
            ),
            (Some(path), Some(word))
                if matches!(action, Action::List | Action::Export) && !path.is_list() =>
            {
                self.warn(
                    "list-as-single",
                    format!("`{}` names one record, and the action is `{action}`", word.text),
                    Some(format!("a list is `{}[*]`", word.text)),
                    word.mark,
                );
            }
            _ => {}
        }
    }

    /// A place of the envelope: a member of the root, or a JSONPath. It must not let a record through.
    fn kept(&self, word: &Word, records: Option<&Path>) -> Option<Path> {
        if matches!(word.text.as_ref(), "*" | "[*]") {
            let message = format!("`{}` keeps no member: `keep` names each one", word.text);
            let help = "list the members of the envelope, such as `[page, next]`";
            self.documents.error_with_help("keeps-everything", message, help, word.mark);
            return None;
        }
        let path = if word.text.starts_with('$') { self.jsonpath(word)? } else { Path::name(&word.text) };
        if !word.text.starts_with(['$', '@']) && word.text.contains('.') {
            self.warn(
                "dotted-member",
                format!("`{}` is a member of the root with a dot in its name", word.text),
                Some(format!("a member of a member is written `$.{}`", word.text)),
                word.mark,
            );
        }
        let over = records.is_some_and(|records| {
            let list = records.steps().strip_suffix(&[crate::rewrite::Step::Elements]);
            let root = Path(list.unwrap_or(records.steps()).to_vec());
            path.is_prefix_of(&root) || root.is_prefix_of(&path) || !plain(&path)
        });
        if over || path.is_root() {
            self.documents.error_with_help(
                "keeps-records",
                format!("`{}` would let records through unjudged", word.text),
                "keep single members beside the records",
                word.mark,
            );
            return None;
        }
        Some(path)
    }

    fn body(&self, route: &Route, about: Option<&(Action, ResourceId)>) -> Option<Path> {
        match (&route.body, about) {
            (Some(word), Some(_)) => self.jsonpath(word),
            (Some(word), None) => {
                self.documents.error("public-with-body", "a public route passes untouched", word.mark);
                None
            }
            (None, Some((Action::Create | Action::Update, _))) => Some(Path::default()),
            (None, _) => None,
        }
    }

    fn refuse_ambiguous(&self, routes: &[(RouteTable, bool, Mark)]) {
        let mut seen: HashMap<String, Mark> = HashMap::new();
        for (table, ignore_case, mark) in routes {
            let shape = Segment::shape(&table.template);
            let shape = if *ignore_case { shape.to_lowercase() } else { shape };
            let mut when: Vec<_> =
                table.when.iter().map(|w| format!("{:?} {}={:?}", w.kind, w.name, w.values)).collect();
            when.sort();
            let recalls = table.recalls.as_ref().map(|_| (&table.facts.resource, &table.facts.action));
            let key = format!("{} {ignore_case} {shape} {when:?} {recalls:?}", table.method);
            if let Some(first) = seen.insert(key, *mark) {
                self.documents.push(
                    Diagnostic::error("ambiguous-route", "two routes fit the same requests")
                        .help("let them differ in method, path or `when`")
                        .at(self.documents.place(*mark))
                        .related(self.documents.place(first), "the other one"),
                );
            }
        }
    }

    /// A write under a `records` condition needs the record as it is: found by the read route of the same api and
    /// resource whose parameters the write has too.
    fn find_readers(&mut self, marks: &[Mark]) {
        let mut readers = Vec::new();
        for table in &self.tables.routes {
            let found =
                table.about.as_ref().filter(|(action, _)| writes_one(action)).and_then(|(_, resource)| {
                    self.tables.routes.iter().position(|other| {
                        let same = other.facts.api == table.facts.api && other.method == http::Method::GET;
                        let reads = matches!(&other.about, Some((Action::Read, id)) if id == resource);
                        let has =
                            |name: &Arc<str>| Segment::params(&table.template).any(|known| known == name);
                        let params = Segment::params(&other.template).count();
                        same && reads
                            && other.facts.single
                            && params > 0
                            && Segment::params(&other.template).all(has)
                    })
                });
            readers.push(found);
        }
        for (index, reader) in readers.iter().enumerate() {
            let Some(table) = self.tables.routes.get_mut(index) else { continue };
            table.reader = *reader;
            let Some((action, resource)) = table.about.clone() else { continue };
            if let (None, UneditableRule::Restore, Some(mark)) =
                (reader, table.on_uneditable, marks.get(index))
            {
                self.documents.error_with_help(
                    "no-read-route",
                    "`on_uneditable: restore` lays the body over the record, and no route reads that first",
                    "add a `read` route of the same resource with the same path parameters",
                    *mark,
                );
                continue;
            }
            if reader.is_some() || !writes_one(&action) || table.method == http::Method::GET {
                continue;
            }
            let conditional = self.tables.permissions.iter().find(|permission| {
                permission.resource == resource
                    && permission.when.is_some()
                    && permission.actions.contains(&action)
            });
            if let (Some(permission), Some(mark)) = (conditional, marks.get(index)) {
                self.documents.push(
                    Diagnostic::error(
                        "no-read-route",
                        format!(
                            "`{action}` is allowed under a condition, and no route reads the record first"
                        ),
                    )
                    .help("add a `read` route of the same resource with the same path parameters")
                    .at(self.documents.place(*mark))
                    .related(self.documents.place(permission.mark), "the permission with the condition"),
                );
            }
        }
    }
}

/// Whether an action changes a record that is there already.
pub(in crate::policy) fn writes_one(action: &Action) -> bool {
    match action {
        Action::Update | Action::Delete | Action::Named(_) => true,
        Action::List | Action::Read | Action::Create | Action::Export => false,
    }
}

fn plain(path: &Path) -> bool {
    use crate::rewrite::Step;
    path.steps().iter().all(|step| !matches!(step, Step::Any | Step::Descend))
}

fn clone_when(when: &RouteWhen) -> RouteWhen {
    RouteWhen {
        kind: when.kind,
        name: when.name.clone(),
        path: when.path.clone(),
        values: when.values.clone(),
    }
}
