//! The key `batch` of a route: a request that holds requests.

use crate::rewrite::{Path, Step};

use super::Compiler;
use crate::policy::batch::BatchRoute;
use crate::policy::source::{Mark, Word};
use crate::policy::syntax::{Batch, Format, Route};
use crate::policy::target;

impl Compiler<'_> {
    /// What is known of the batch; complaints about it and about keys that have no meaning beside it.
    pub(super) fn batch(&self, route: &Route, written: &Batch) -> Option<BatchRoute> {
        self.refuse_beside_batch(route, written.mark);
        let member = |word: &Word| self.member(word);
        let optional = |word: &Option<Word>| match word {
            None => Some(None),
            Some(word) => member(word).map(Some),
        };
        let id = optional(&written.id);
        let answer_id = match (&written.answer_id, &id) {
            (Some(word), Some(Some(_))) => member(word).map(Some),
            (Some(word), _) => {
                let help = "say with `id` what the requests are called";
                let message = "answers have an id and requests have none";
                self.documents.error_with_help("answer-id-alone", message, help, word.mark);
                None
            }
            (None, id) => id.clone(),
        };
        let keep = route.envelope.keep.iter().map(|word| self.root_member(word)).collect::<Option<_>>();
        let batch = BatchRoute {
            items: self.list_of(&written.items)?,
            method: member(&written.method)?,
            url: member(&written.url)?,
            body: optional(&written.body)?,
            id: id?,
            headers: optional(&written.headers)?,
            base: self.base(written.base.as_ref())?,
            pass: written.pass.iter().map(|word| word.text.as_ref().into()).collect(),
            max: self.most(written.max)?,
            answers: self.list_of(&written.answers)?,
            answer: member(&written.answer)?,
            status: optional(&written.status)?,
            answer_id: answer_id?,
            keep: keep?,
        };
        self.refuse_two_meanings(written, &batch);
        Some(batch)
    }

    fn refuse_beside_batch(&self, route: &Route, mark: Mark) {
        let beside = [
            ("public", route.public),
            ("action", route.action.is_some()),
            ("resource", route.resource.is_some()),
            ("records", route.records.is_some()),
            ("rows", route.rows.is_some()),
            ("type_at", route.type_at.is_some()),
            ("body", route.body.is_some()),
            ("query", route.query.is_some()),
            ("remember", !route.remember.is_empty()),
            ("format", !matches!(route.format, Format::Json)),
            ("envelope.total", route.envelope.total.is_some()),
        ];
        for (key, _) in beside.iter().filter(|(_, given)| *given) {
            self.documents.error_with_help(
                "beside-batch",
                format!("`{key}` means nothing beside `batch`"),
                "each request in the batch is judged by the route it would come by itself",
                mark,
            );
        }
        let method = route.pattern.text.split(' ').next().unwrap_or_default();
        if !matches!(method, "POST" | "PUT" | "PATCH") {
            let message = format!("a `{method}` has no body for the requests of a batch");
            self.documents.error("bad-route", message, route.pattern.mark);
        }
    }

    /// `$.method`: one member.
    fn member(&self, word: &Word) -> Option<Box<str>> {
        let path = self.jsonpath(word)?;
        match path.steps() {
            [Step::Name(name)] => Some(name.clone()),
            _ => {
                let message = format!("`{}` is no member of a request or answer of the batch", word.text);
                self.documents.error_with_help("bad-path", message, "write `$.NAME`", word.mark);
                None
            }
        }
    }

    fn root_member(&self, word: &Word) -> Option<Box<str>> {
        let path = if word.text.starts_with('$') { self.jsonpath(word)? } else { Path::name(&word.text) };
        match path.steps() {
            [Step::Name(name)] => Some(name.clone()),
            _ => {
                let message = format!("`{}` is no member at the root", word.text);
                self.documents.error("bad-path", message, word.mark);
                None
            }
        }
    }

    /// `$.compositeRequest[*]`: the names that lead to a list.
    fn list_of(&self, word: &Word) -> Option<Vec<Box<str>>> {
        let path = self.jsonpath(word)?;
        let names = path.steps().strip_suffix(&[Step::Elements]).and_then(|steps| {
            let name = |step: &Step| match step {
                Step::Name(name) => Some(name.clone()),
                Step::Elements
                | Step::Any
                | Step::Index(_)
                | Step::Slice { .. }
                | Step::Chosen(_)
                | Step::Descend => None,
            };
            steps.iter().map(name).collect::<Option<Vec<_>>>()
        });
        if names.is_none() {
            let message = format!("`{}` names no list by its members", word.text);
            self.documents.error_with_help("bad-path", message, "write `$.NAME[*]`", word.mark);
        }
        names
    }

    fn base(&self, word: Option<&Word>) -> Option<Option<Box<str>>> {
        let Some(word) = word else { return Some(None) };
        let whole = word.text.starts_with('/') && word.text.ends_with('/');
        let canonical = word.text.parse().ok().and_then(|uri| target::read(&uri).ok());
        if !whole || canonical.is_none_or(|target| target.path != *word.text || !target.query.is_empty()) {
            let message = format!("`{}` is no beginning of a path", word.text);
            self.documents.error_with_help("bad-value", message, "write `/odata/`", word.mark);
            return None;
        }
        Some(Some(word.text.as_ref().into()))
    }

    fn most(&self, max: Option<(u64, Mark)>) -> Option<usize> {
        let Some((max, mark)) = max else { return Some(DEFAULT_ITEMS) };
        let most = usize::try_from(max).ok().filter(|max| (1..=MOST_ITEMS).contains(max));
        if most.is_none() {
            let message = format!("a batch holds between 1 and {MOST_ITEMS} requests");
            self.documents.error("bad-value", message, mark);
        }
        most
    }

    fn refuse_two_meanings(&self, written: &Batch, batch: &BatchRoute) {
        let request = [Some(&batch.method), Some(&batch.url), batch.body.as_ref(), batch.id.as_ref()];
        let request: Vec<_> =
            request.into_iter().flatten().chain(&batch.headers).chain(&batch.pass).collect();
        let answer = [Some(&batch.answer), batch.status.as_ref(), batch.answer_id.as_ref()];
        let answer: Vec<_> = answer.into_iter().flatten().collect();
        for names in [request, answer] {
            let mut sorted = names;
            sorted.sort();
            let twice = sorted.windows(2).find(|pair| pair.first() == pair.last());
            if let Some(name) = twice.and_then(|pair| pair.first()) {
                let message = format!("the member `{name}` means two things");
                self.documents.error("duplicate-name", message, written.mark);
            }
        }
    }
}

/// Most requests in a batch where the route does not say.
const DEFAULT_ITEMS: usize = 100;
/// Most that a route may allow.
const MOST_ITEMS: usize = 250;
