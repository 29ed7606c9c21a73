//! A request that holds requests: each of them is read, routed and decided like one that comes by itself.
//!
//! Everything in the body has a declared meaning or the batch is refused, and so it is as soon as one of its requests
//! is: nothing of it is sent. What is sent is written again from what was judged. Requests that refer to one another
//! (`@{ref.id}`, `$1`) are refused, as what they name is only known upstream.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use jiff::Timestamp;

use crate::base::fresh_id;
use crate::identity::Principal;
use crate::rewrite::{Batch, BatchItem, Format, Neutral, Records, RewritePlan};

use super::model::{RouteTable, View};
use super::operation::{Action, Operation};
use super::permit::{Denial, DenialReason, Permit, QueryRule};
use super::plan::Plan;
use super::tree::Tree;

/// What a route knows of its batches.
#[derive(Debug)]
pub(super) struct BatchRoute {
    /// The names that lead to the list of requests.
    pub(super) items: Vec<Box<str>>,
    pub(super) method: Box<str>,
    pub(super) url: Box<str>,
    pub(super) body: Option<Box<str>>,
    pub(super) id: Option<Box<str>>,
    pub(super) headers: Option<Box<str>>,
    /// What stands before a target without a slash at its beginning.
    pub(super) base: Option<Box<str>>,
    /// Members of the body's root and of requests that pass.
    pub(super) pass: Vec<Box<str>>,
    pub(super) max: usize,
    /// The names that lead to the list of answers.
    pub(super) answers: Vec<Box<str>>,
    pub(super) answer: Box<str>,
    pub(super) status: Option<Box<str>>,
    pub(super) answer_id: Option<Box<str>>,
    /// Members of the answer's root that pass.
    pub(super) keep: Vec<Box<str>>,
}

/// The requests of a permitted batch.
#[derive(Clone, Debug)]
pub struct BatchPermit {
    /// In the order of the batch.
    items: Vec<InnerPermit>,
    route: Arc<BatchRoute>,
}

/// Leave for one request of a batch.
#[derive(Clone, Debug)]
pub struct InnerPermit {
    permit: Permit,
    body: Bytes,
    content_type: HeaderValue,
    /// How much of the canonical target the batch leaves out.
    based: usize,
}

/// What is sent of one request of a batch.
pub struct InnerRequest {
    /// Its method.
    pub method: Method,
    /// Path and query, written again.
    pub target: String,
    /// Its body, if it has one.
    pub body: Option<Tree>,
}

impl BatchPermit {
    /// The requests, in order.
    pub fn items(&self) -> &[InnerPermit] {
        &self.items
    }

    /// The batch that is sent in place of `given`. `None`: `given` is not what was judged.
    pub fn write(&self, given: &Tree, requests: Vec<InnerRequest>) -> Option<Tree> {
        let mut sent = given.clone();
        let list = self.route.items.iter().try_fold(&mut sent, |tree, name| member_mut(tree, name))?;
        let Tree::List(items) = list else { return None };
        if items.len() != requests.len() || items.len() != self.items.len() {
            return None;
        }
        for ((item, request), inner) in items.iter_mut().zip(requests).zip(&self.items) {
            *member_mut(item, &self.route.method)? = Tree::Text(request.method.as_str().into());
            *member_mut(item, &self.route.url)? = Tree::Text(request.target.get(inner.based..)?.into());
            if let Some(body) = self.route.body.as_ref().and_then(|name| member_mut(item, name)) {
                *body = request.body.unwrap_or(Tree::Null);
            }
        }
        Some(sent)
    }
}

impl InnerPermit {
    /// The leave.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The body as it was judged; empty where there is none.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Its content type.
    pub fn content_type(&self) -> &HeaderValue {
        &self.content_type
    }
}

fn member_mut<'t>(tree: &'t mut Tree, name: &str) -> Option<&'t mut Tree> {
    let Tree::Object(members) = tree else { return None };
    members.iter_mut().find(|(known, _)| **known == *name).map(|(_, value)| value)
}

impl Plan {
    /// Decides all requests of a batch. The first one that is refused refuses it.
    pub(super) fn decide_batch(
        &self,
        (outer, route): (&RouteTable, &Arc<BatchRoute>),
        view: View,
        principal: &Principal,
        operation: Operation,
        now: Timestamp,
    ) -> Result<Permit, Denial> {
        let deny = |reason: DenialReason| self.denial_on(outer, reason);
        let Some(given) = operation.given.clone() else {
            return Err(deny(DenialReason::Target("the body holds no batch")));
        };
        let list = route.list(given.tree()).map_err(deny)?;
        let ids = route.ids(list).map_err(deny)?;
        let mut items = Vec::with_capacity(list.len());
        let mut reads = BTreeSet::new();
        for (index, item) in list.iter().enumerate() {
            let refused = |reason| deny(DenialReason::Item { item: index + 1, why: Box::new(reason) });
            let read = route.read(item, &ids).map_err(refused)?;
            let inner = self.inner((outer, view), principal, read, now).map_err(refused)?;
            // What the first of two changes makes of a record, the second is not judged by.
            if inner.permit.pre_read.as_ref().is_some_and(|read| !reads.insert(read.path_and_query.clone())) {
                return Err(refused(asked("a second change of one record")));
            }
            items.push(inner);
        }
        let rewrite = RewritePlan::of_batch(route.rewrite(&items, &ids));
        let mut rules: Vec<_> = items.iter().flat_map(|item| item.permit.rules.iter().cloned()).collect();
        rules.sort();
        rules.dedup();
        Ok(Permit {
            id: fresh_id(now),
            policy_version: self.version.clone(),
            route: outer.facts.clone(),
            operation: Arc::new(operation),
            roles: items.first().map(|item| item.permit.roles.clone()).unwrap_or_default(),
            rewrite: Arc::new(rewrite),
            columns: None,
            params: crate::rewrite::condition::Params::default(),
            write: None,
            query: Arc::new(QueryRule::default()),
            pre_read: None,
            limits: Arc::default(),
            rules: rules.into(),
            batch: Some(Arc::new(BatchPermit { items, route: Arc::clone(route) })),
        })
    }

    fn inner(
        &self,
        (outer, view): (&RouteTable, View),
        principal: &Principal,
        read: Read,
        now: Timestamp,
    ) -> Result<InnerPermit, DenialReason> {
        let Read { head, body, based } = read;
        let content_type = head.headers.get(CONTENT_TYPE).cloned();
        let reason = |denial: Denial| denial.reason;
        let operation = self.operation(&head, Some(body.clone())).map_err(reason)?;
        let route = self.table(operation.route).ok_or(DenialReason::NoRoute)?;
        // A batch within a batch, a route that judges nothing, and one of another system are no part of this one.
        if route.batch.is_some() || route.facts.public || route.facts.api != outer.facts.api {
            return Err(DenialReason::NoRoute);
        }
        let texts = operation.query.iter().flat_map(|(name, value)| [name, value]);
        if texts
            .chain([&operation.path])
            .chain(operation.params.iter().map(|(_, value)| value))
            .any(|text| text.contains(REFERENCE))
        {
            return Err(asked("a reference to another request"));
        }
        let permit = self.decide_in(view, principal, operation, now).map_err(reason)?;
        if permit.rewrite.format != Format::Json {
            return Err(asked("an answer that is no JSON"));
        }
        let content_type = content_type.unwrap_or(HeaderValue::from_static(JSON));
        Ok(InnerPermit { permit, body, content_type, based })
    }
}

/// A request of a batch, as it would have come by itself.
struct Read {
    head: http::request::Parts,
    body: Bytes,
    based: usize,
}

impl BatchRoute {
    /// The requests, and nothing else that was not declared.
    fn list<'t>(&self, given: &'t Tree) -> Result<&'t [Tree], DenialReason> {
        let mut tree = given;
        for (level, name) in self.items.iter().enumerate() {
            let Tree::Object(members) = tree else { return Err(NO_BATCH) };
            for (known, value) in members.iter().filter(|(known, _)| known != name) {
                if level > 0 || !self.pass.contains(known) || !is_plain(value) {
                    return Err(asked(known));
                }
            }
            let found = members.iter().find(|(known, _)| known == name);
            tree = found.map(|(_, value)| value).ok_or(NO_BATCH)?;
        }
        match tree {
            Tree::List(items) if items.len() > self.max => Err(asked("more requests than a batch may hold")),
            Tree::List(items) if !items.is_empty() => Ok(items),
            _ => Err(NO_BATCH),
        }
    }

    /// What the requests are called: each one something, all different.
    fn ids(&self, items: &[Tree]) -> Result<Vec<Option<Box<str>>>, DenialReason> {
        let Some(member) = &self.id else { return Ok(vec![None; items.len()]) };
        let mut known = BTreeSet::new();
        let mut ids = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let id = match value(item, member) {
                Some(Tree::Text(id) | Tree::Number(id)) if !id.is_empty() && id.len() <= MAX_ID_BYTES => {
                    Some(id.clone())
                }
                _ => None,
            };
            let id = id.filter(|id| known.insert(id.clone()));
            let refused = || DenialReason::Item { item: index + 1, why: Box::new(asked(member)) };
            ids.push(Some(id.ok_or_else(refused)?));
        }
        Ok(ids)
    }

    fn read(&self, item: &Tree, ids: &[Option<Box<str>>]) -> Result<Read, DenialReason> {
        let Tree::Object(members) = item else { return Err(NO_BATCH) };
        for (name, value) in members {
            let declared = [Some(&self.method), Some(&self.url), self.body.as_ref(), self.id.as_ref()];
            let declared = declared.into_iter().flatten().chain(&self.headers).any(|known| known == name);
            let passes = declared || (self.pass.contains(name) && is_plain(value));
            if !passes {
                return Err(asked(name));
            }
        }
        if refers(item, ids) {
            return Err(asked("a reference to another request"));
        }
        let method = value(item, &self.method).and_then(Tree::text).and_then(method);
        let method = method.ok_or_else(|| asked(&self.method))?;
        let url = value(item, &self.url).and_then(Tree::text).ok_or_else(|| asked(&self.url))?;
        let (target, based) = self.target(url, ids).ok_or_else(|| asked(&self.url))?;
        let mut request = http::Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = target;
        let body = match self.body.as_ref().and_then(|name| value(item, name)) {
            None | Some(Tree::Null) => Bytes::new(),
            Some(body) => {
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
                body.to_json().into()
            }
        };
        if let Some(headers) = self.headers.as_ref().and_then(|name| value(item, name)) {
            judge_headers(headers)?;
        }
        Ok(Read { head: request.into_parts().0, body, based })
    }

    /// The target of a request, and how much of it stands in `base`: a path of this api, not a URL.
    fn target(&self, url: &str, ids: &[Option<Box<str>>]) -> Option<(http::Uri, usize)> {
        // What is behind a `#` never arrives (RFC 9110 section 7.1), and here it would not be judged.
        let odd = url.contains(['#', '\\']) || url.contains("://") || url.starts_with("//");
        let named = |segment: &str| segment.strip_prefix('$').is_some_and(|rest| is_id(rest, ids));
        if odd || url.split(['/', '?']).any(named) {
            return None;
        }
        if url.starts_with('/') {
            return Some((url.parse().ok()?, 0));
        }
        let base = self.base.as_ref()?;
        // Dots lead out of the base; they are refused when the target is read, too.
        Some((format!("{base}{url}").parse().ok()?, base.len()))
    }

    fn rewrite(&self, items: &[InnerPermit], ids: &[Option<Box<str>>]) -> Batch {
        let mut shapes: Vec<(&InnerPermit, Arc<Neutral>)> = Vec::new();
        let items = items.iter().zip(ids).map(|(item, id)| {
            let known = shapes
                .iter()
                .find(|(first, _)| Arc::ptr_eq(&first.permit.route.denial, &item.permit.route.denial));
            let neutral = known.map(|(_, neutral)| Arc::clone(neutral));
            let neutral = neutral.unwrap_or_else(|| {
                let made = Arc::new(neutral_of(&item.permit));
                shapes.push((item, Arc::clone(&made)));
                made
            });
            let route = &item.permit.route;
            let reads = match &route.action {
                Some(Action::Create | Action::Update | Action::Delete | Action::Named(_)) => false,
                Some(Action::List | Action::Read | Action::Export) | None => true,
            };
            let records = match &item.permit.rewrite.layout.records {
                Records::None => false,
                Records::One { .. } | Records::Many { .. } | Records::Rows { .. } => true,
            };
            BatchItem {
                plan: item.permit.rewrite.clone(),
                params: item.permit.params.clone(),
                id: id.clone(),
                single: route.single && reads && records,
                absence: route.single && route.action != Some(Action::Create),
                neutral,
            }
        });
        let items = items.collect();
        Batch {
            answers: self.answers.clone(),
            answer: self.answer.clone(),
            status: self.status.clone(),
            id: self.answer_id.clone(),
            keep: self.keep.clone(),
            items,
            held_bytes: HELD_BYTES,
        }
    }
}

/// The texts for answers that are not passed on, in the api's own shape.
fn neutral_of(permit: &Permit) -> Neutral {
    let shape = &permit.route.denial;
    let text = |status: StatusCode, message: &str| -> Box<str> {
        let text = shape.filled(status, message, permit.id);
        let json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        if json { text.into() } else { "null".into() }
    };
    Neutral {
        status: shape.status.map(|status| status.as_u16()),
        absent: text(StatusCode::NOT_FOUND, "not found"),
        refused: text(StatusCode::BAD_REQUEST, "the request was not accepted"),
        failed: text(StatusCode::BAD_GATEWAY, "the system behind the gateway reported an error"),
    }
}

fn method(text: &str) -> Option<Method> {
    let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    known.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(text))
}

/// Headers of an inner request say that its body and its answer are JSON, and nothing else.
fn judge_headers(headers: &Tree) -> Result<(), DenialReason> {
    let Tree::Object(headers) = headers else { return Err(NO_BATCH) };
    for (name, value) in headers {
        let json = value.text().is_some_and(|text| {
            let known = text.parse::<mime::Mime>().ok();
            known.is_some_and(|known| known.essence_str() == JSON)
        });
        let plain = name.eq_ignore_ascii_case("content-type") || name.eq_ignore_ascii_case("accept");
        if !plain || !json {
            return Err(asked(name));
        }
    }
    Ok(())
}

/// Whether a text in a request refers to another one.
fn refers(tree: &Tree, ids: &[Option<Box<str>>]) -> bool {
    match tree {
        Tree::Text(text) => {
            let first = text.split('/').next().and_then(|first| first.strip_prefix('$'));
            text.contains(REFERENCE) || first.is_some_and(|id| is_id(id, ids))
        }
        Tree::List(items) => items.iter().any(|item| refers(item, ids)),
        Tree::Object(members) => {
            members.iter().any(|(name, value)| name.contains(REFERENCE) || refers(value, ids))
        }
        Tree::Null | Tree::Bool(_) | Tree::Number(_) => false,
    }
}

fn is_id(text: &str, ids: &[Option<Box<str>>]) -> bool {
    ids.iter().flatten().any(|id| **id == *text)
}

/// A scalar, or a list of scalars.
fn is_plain(tree: &Tree) -> bool {
    let scalar = |tree: &Tree| !matches!(tree, Tree::List(_) | Tree::Object(_));
    match tree {
        Tree::List(items) => items.iter().all(scalar),
        Tree::Object(_) => false,
        Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) => true,
    }
}

fn value<'t>(tree: &'t Tree, name: &str) -> Option<&'t Tree> {
    let Tree::Object(members) = tree else { return None };
    members.iter().find(|(known, _)| **known == *name).map(|(_, value)| value)
}

fn asked(part: &str) -> DenialReason {
    let shown: String = part.chars().take(MAX_SHOWN_CHARS).flat_map(char::escape_debug).collect();
    DenialReason::Asked { part: shown.into() }
}

const NO_BATCH: DenialReason = DenialReason::Target("the body holds no batch");
/// How references begin that Salesforce puts values in place of.
const REFERENCE: &str = "@{";
const JSON: &str = "application/json";
const MAX_ID_BYTES: usize = 256;
const MAX_SHOWN_CHARS: usize = 64;
/// Most that is held of one rewritten answer until its status and id are known.
const HELD_BYTES: usize = 4 << 20;
