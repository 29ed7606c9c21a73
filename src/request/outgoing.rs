//! A request that may be sent upstream.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderValue;
use http::request::Parts;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;

use crate::identity::Presented;
use crate::policy::{PreRead, Tree};
use crate::rewrite::Records;

use super::{BoxError, Conditions, Refused, RequestBounds};

/// A request that was judged and written again; only this module makes one. Its target holds path and query, the
/// upstream adds its own origin.
pub struct UpstreamRequest {
    head: Parts,
    body: Outgoing,
    presented: Option<Presented>,
    conditional: bool,
    conditions: Conditions,
}

impl UpstreamRequest {
    pub(super) fn new(head: Parts, body: Outgoing, presented: Option<Presented>) -> Self {
        Self { head, body, presented, conditional: false, conditions: Conditions::default() }
    }

    pub(super) fn conditional(self) -> Self {
        Self { conditional: true, ..self }
    }

    /// Whether it is to be done only to the version of the record that was read before.
    pub fn is_conditional(&self) -> bool {
        self.conditional
    }

    /// Made conditional by its caller.
    pub(super) fn under(self, conditions: Conditions) -> Self {
        Self { conditions, ..self }
    }

    /// What the answer may say has not changed.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Method, path and query, headers.
    pub fn head(&self) -> &Parts {
        &self.head
    }

    /// How long its body is, where it is held whole; one that passes is counted while it comes.
    pub fn held_bytes(&self) -> u64 {
        match &self.body {
            Outgoing::Whole(bytes) => bytes.len() as u64,
            Outgoing::Empty | Outgoing::Passing(_) => 0,
        }
    }

    /// The parts, for the module that sends it. The last one is the caller's own credential, which goes on
    /// only to an upstream configured to take it.
    pub(crate) fn into_parts(self) -> (Parts, Outgoing, Option<Presented>) {
        (self.head, self.body, self.presented)
    }
}

/// The permissions that apply to a record which is about to be changed; evidence that it was read and released
/// under the [`PreRead`] of the permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    grants: BTreeSet<Arc<str>>,
    /// An error says why it cannot be read in one way.
    before: Option<Result<Tree, &'static str>>,
    tag: Option<HeaderValue>,
}

impl Applied {
    /// For `response::judge`, which reads the record. `released` is what the pre-read's plan let through, where that is
    /// kept.
    pub(crate) fn new(
        read: &PreRead,
        grants: BTreeSet<Arc<str>>,
        released: &[u8],
        tag: Option<HeaderValue>,
    ) -> Self {
        if !read.keep {
            return Self { grants, before: None, tag: None };
        }
        let before = Tree::parse(released, RequestBounds::default().depth).and_then(|answer| {
            let record = match &read.plan.layout.records {
                Records::One { at, .. } => answer.at(at),
                Records::None | Records::Many { .. } | Records::Rows { .. } => None,
            };
            record.cloned().ok_or("there is no record")
        });
        Self { grants, before: Some(before), tag: tag.filter(is_strong) }
    }

    /// Their names.
    pub fn grants(&self) -> &BTreeSet<Arc<str>> {
        &self.grants
    }

    /// The members of the record as it is.
    pub(super) fn before(&self) -> Result<&[(Box<str>, Tree)], Refused> {
        match &self.before {
            Some(Ok(Tree::Object(members))) => Ok(members),
            Some(Ok(_)) => Err(Refused::Before("it is no object")),
            Some(Err(reason)) => Err(Refused::Before(reason)),
            None => Err(Refused::NotJudged),
        }
    }

    /// The entity tag of the record as it is.
    pub(super) fn tag(&self) -> Option<&HeaderValue> {
        self.tag.as_ref()
    }
}

/// A weak tag never matches in a condition on a write (RFC 9110 section 13.1.1).
fn is_strong(tag: &HeaderValue) -> bool {
    let bytes = tag.as_bytes();
    bytes.len() > 2 && bytes.first() == Some(&b'"') && bytes.last() == Some(&b'"') && !bytes.contains(&b',')
}

/// The body of a request that goes upstream.
pub enum Outgoing {
    /// There is none.
    Empty,
    /// All of it, judged.
    Whole(Bytes),
    /// A public route's, passing as it comes.
    Passing(UnsyncBoxBody<Bytes, BoxError>),
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            whole @ Self::Whole(_) => match std::mem::replace(whole, Self::Empty) {
                Self::Whole(bytes) if !bytes.is_empty() => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Self::Whole(_) | Self::Empty | Self::Passing(_) => Poll::Ready(None),
            },
            Self::Passing(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Passing(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Passing(body) => body.size_hint(),
        }
    }
}
