//! Whether a request fits what a route requires beside method and path.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;

use super::body::{BodyFault, BodyForms, RequestBody};
use super::model::{RouteTable, RouteWhen};
use super::operation::Action;
use super::permit::Bound;
use super::syntax::PartKind;
use super::target::{Target, Unclear};
use super::tree::Tree;

/// Whether a route fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fits {
    /// It fits.
    Yes,
    /// It does not.
    No,
    /// The body, which was not given, decides.
    BodyDecides,
    /// What is remembered, which was not given, decides.
    MemoryDecides,
}

/// A request being compared with routes; its body is parsed once for each way of reading it, and only when a route
/// reads it.
pub(super) struct Request<'r> {
    head: &'r http::request::Parts,
    target: &'r Target,
    body: Option<&'r Bytes>,
    /// What the value that the request refers to stands for.
    recalled: Option<&'r Bound>,
    read: Vec<(&'r BodyForms, Result<Arc<RequestBody>, BodyFault>)>,
}

impl<'r> Request<'r> {
    pub(super) fn new(head: &'r http::request::Parts, target: &'r Target, body: Option<&'r Bytes>) -> Self {
        Self { head, target, body, recalled: None, read: Vec::new() }
    }

    pub(super) fn recalling(mut self, recalled: Option<&'r Bound>) -> Self {
        self.recalled = recalled;
        self
    }

    /// Compares. What can be read in two ways is refused: the upstream might read it in the other.
    pub(super) fn fits(&mut self, route: &'r RouteTable) -> Result<Fits, Unclear> {
        let (of_body, others): (Vec<_>, Vec<_>) =
            route.when.iter().partition(|when| when.kind == PartKind::Body);
        for when in others {
            let value = self.outside_body(when, route)?;
            if !value.is_some_and(|value| is_one_of(when, &value)) {
                return Ok(Fits::No);
            }
        }
        match (&route.recalls, self.recalled) {
            (None, _) => {}
            (Some(_), None) => return Ok(Fits::MemoryDecides),
            (Some(_), Some(bound)) => {
                let action = route.facts.action.as_ref().map(Action::name);
                let same = route.facts.resource.as_ref() == Some(&bound.resource);
                // A route with an action of its own says so in `about`; the others take the remembered one.
                if !same || (route.remembers_action && action != Some(&*bound.action)) {
                    return Ok(Fits::No);
                }
            }
        }
        if of_body.is_empty() {
            return Ok(Fits::Yes);
        }
        let given = match self.given(&route.facts.body_as) {
            None => return Ok(Fits::BodyDecides),
            Some(Ok(given)) => given,
            // Another route may be the one for bodies of this type.
            Some(Err(BodyFault::MediaType(_))) => return Ok(Fits::No),
            Some(Err(BodyFault::Malformed(reason))) => return Err(reason),
        };
        for when in of_body {
            let text = when.path.as_ref().and_then(|path| given.tree().at(path)).and_then(Tree::text);
            if !text.is_some_and(|text| is_one_of(when, text)) {
                return Ok(Fits::No);
            }
        }
        Ok(Fits::Yes)
    }

    /// What the body holds, read in a declared way; `None`: there is no body yet.
    pub(super) fn given(&mut self, forms: &'r BodyForms) -> Option<Result<Arc<RequestBody>, BodyFault>> {
        let body = self.body?;
        if let Some((_, known)) = self.read.iter().find(|(known, _)| *known == forms) {
            return Some(known.clone());
        }
        // The route is found for a body that does not say its type; that it may not be sent so is said later.
        let silent = *forms == BodyForms::default() && !self.head.headers.contains_key(CONTENT_TYPE);
        let read = if silent {
            BodyForms::json().read(&self.head.headers, body, MAX_DEPTH)
        } else {
            forms.read(&self.head.headers, body, MAX_DEPTH)
        };
        let read = read.map(Arc::new);
        self.read.push((forms, read.clone()));
        Some(read)
    }

    /// The value by which a route's resource is remembered.
    pub(super) fn referred(&self, route: &'r RouteTable) -> Result<Option<String>, Unclear> {
        let Some(recalls) = &route.recalls else { return Ok(None) };
        let when =
            RouteWhen { kind: recalls.kind, name: recalls.part.clone(), path: None, values: Vec::new() };
        Ok(self.outside_body(&when, route)?.map(Cow::into_owned))
    }

    fn outside_body(&self, when: &RouteWhen, route: &RouteTable) -> Result<Option<Cow<'r, str>>, Unclear> {
        match when.kind {
            PartKind::Path => Ok(route
                .template
                .iter()
                .zip(&self.target.segments)
                .filter_map(|(segment, text)| segment.value(text))
                .find(|(name, _)| **name == when.name)
                .map(|(_, value)| Cow::Borrowed(value))),
            PartKind::Query => {
                let mut values = self.target.query.iter().filter(|(name, _)| *name == *when.name);
                let first = values.next();
                if values.next().is_some() {
                    return Err("a deciding query parameter is given twice");
                }
                Ok(first.map(|(_, value)| Cow::Borrowed(value.as_str())))
            }
            PartKind::Header => {
                let mut values = self.head.headers.get_all(when.name.as_ref()).iter();
                let first = values.next();
                if values.next().is_some() {
                    return Err("a deciding header is given twice");
                }
                let text = first.map(|value| value.to_str()).transpose();
                text.map(|text| text.map(Cow::Borrowed)).map_err(|_| "a deciding header is not plain text")
            }
            PartKind::Body => Ok(None),
        }
    }
}

fn is_one_of(when: &RouteWhen, value: &str) -> bool {
    when.values.iter().any(|wanted| wanted.as_ref() == value)
}

/// Deepest nesting of a body that is judged before anything is decided.
const MAX_DEPTH: usize = 128;
