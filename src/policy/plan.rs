//! A compiled policy.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::identity::Principal;

use super::operation::Operation;
use super::permit::{Denial, Permit, RouteFacts};

/// A compiled, immutable policy. One snapshot serves a request from beginning to end.
#[derive(Debug)]
pub struct Plan {
    version: Arc<str>,
}

impl Plan {
    /// The policy's version: a hash of its files.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// The route of a request, before its body is read: `Ok(None)` where the body decides between routes.
    /// A target that cannot be judged or that no route matches is refused.
    pub fn route(&self, head: &http::request::Parts) -> Result<Option<Arc<RouteFacts>>, Denial> {
        let _ = head;
        todo!("policy")
    }

    /// Whether the route judges the body, so that it must be collected before [`Plan::operation`].
    pub fn needs_body(&self, head: &http::request::Parts) -> bool {
        let _ = head;
        todo!("policy")
    }

    /// The request as the policy sees it.
    pub fn operation(&self, head: &http::request::Parts, body: Option<Bytes>) -> Result<Operation, Denial> {
        let _ = (head, body);
        todo!("policy")
    }

    /// Decides. The same code serves requests, policy tests, `apply` and `explain`.
    pub fn decide(
        &self,
        principal: &Principal,
        operation: Operation,
        now: Timestamp,
    ) -> Result<Permit, Denial> {
        let _ = (principal, operation, now);
        todo!("policy")
    }

    /// Leave to pass a public route's request untouched, without a principal.
    pub fn pass(&self, operation: Operation) -> Result<Permit, Denial> {
        let _ = operation;
        todo!("policy")
    }
}
