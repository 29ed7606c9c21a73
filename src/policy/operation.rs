//! One request as the policy sees it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::body::RequestBody;

/// What a request does to a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Several records.
    List,
    /// One record.
    Read,
    /// A new record.
    Create,
    /// A changed record.
    Update,
    /// A removed record.
    Delete,
    /// Records in bulk.
    Export,
    /// An operation the policy names (`transfer`, `approve`).
    Named(Arc<str>),
}

impl Action {
    /// The action with a name.
    pub fn of(name: &str) -> Self {
        match name {
            "list" => Self::List,
            "read" => Self::Read,
            "create" => Self::Create,
            "update" => Self::Update,
            "delete" => Self::Delete,
            "export" => Self::Export,
            other => Self::Named(other.into()),
        }
    }

    /// The name policies use.
    pub fn name(&self) -> &str {
        match self {
            Self::List => "list",
            Self::Read => "read",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Export => "export",
            Self::Named(name) => name,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A request matched to a route. The path and query here are what was judged, and what is sent upstream: the
/// request is written again from them.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Index of the route in the plan.
    pub(super) route: usize,
    /// Upper-case method.
    pub(super) method: http::Method,
    /// Canonical path: decoded and encoded again, no dot segments, no empty segments.
    pub(super) path: String,
    /// Values of the template's parameters, decoded, in the template's order.
    pub(super) params: Vec<(Arc<str>, String)>,
    /// Query parameters, decoded, in order.
    pub(super) query: Vec<(String, String)>,
    /// The body, where the route judges it.
    pub(super) body: Option<Bytes>,
    /// What the body holds, where it could be read.
    pub(super) given: Option<Arc<RequestBody>>,
}

impl Operation {
    /// Upper-case method.
    pub fn method(&self) -> &http::Method {
        &self.method
    }

    /// Canonical path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Values of the path template's parameters, decoded.
    pub fn params(&self) -> &[(Arc<str>, String)] {
        &self.params
    }

    /// Query parameters, decoded, in order.
    pub fn query(&self) -> &[(String, String)] {
        &self.query
    }

    /// Path and query as they are sent upstream.
    pub fn path_and_query(&self) -> String {
        if self.query.is_empty() {
            return self.path.clone();
        }
        format!("{}?{}", self.path, super::target::write_query(&self.query))
    }

    /// The body, where the route judges it.
    pub fn body(&self) -> Option<&Bytes> {
        self.body.as_ref()
    }

    /// What that body holds.
    pub fn given(&self) -> Option<&Arc<RequestBody>> {
        self.given.as_ref()
    }
}
