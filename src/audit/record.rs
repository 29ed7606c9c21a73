//! The record of one request, as the pipeline writes it.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::identity::{Peer, Principal};
use crate::limits::Limited;
use crate::policy::{Denial, Operation, Permit};
use crate::rewrite::Counts;

use super::log::{Closing, Slot};
use super::text::clean;

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole answer was given out.
    Complete,
    /// The policy said no.
    Denied,
    /// The request was refused before its answer began, for another reason than the policy: no principal, a limit,
    /// a request or an upstream answer that could not be judged. The reason is for the record, not for the caller.
    Refused(String),
    /// The answer was ended unfinished by us.
    Cut(String),
    /// The caller went away.
    Aborted,
}

impl Outcome {
    /// The name in the record and in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Denied => "denied",
            Self::Refused(_) => "refused",
            Self::Cut(_) => "cut",
            Self::Aborted => "aborted",
        }
    }
}

/// What an unwritten record means for its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duty {
    /// No answer is completed without its record: closing waits until it is written, and fails if it cannot be.
    #[default]
    Refuse,
    /// The answer goes on; the record waits in memory, within the queue's bound. For public routes.
    Spool,
}

/// One request. The pipeline writes what it learns; nobody reads it back. Dropping it unclosed records the request
/// as aborted, so that none is lost.
#[derive(Debug)]
pub struct Record(Option<Box<Draft>>);

/// Something that happened beside requests: a policy loaded, a key revoked.
#[derive(Clone, Debug)]
pub struct Event {
    pub(super) kind: &'static str,
    pub(super) members: Vec<(&'static str, String)>,
}

/// A record on its way: what is known and the place in the queue it is sure of.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) facts: Facts,
    pub(super) duty: Duty,
    pub(super) slot: Slot,
}

/// What is known about a request. Every text is clean and capped, every list is capped.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) id: String,
    pub(super) time: Timestamp,
    pub(super) closed: Timestamp,
    pub(super) duration_us: u64,
    pub(super) listener: String,
    pub(super) peer: String,
    pub(super) tls: bool,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) principal: Option<Who>,
    pub(super) api: Option<Arc<str>>,
    pub(super) route: Option<Arc<str>>,
    pub(super) action: Option<String>,
    pub(super) resource: Option<Arc<str>>,
    pub(super) decision: Option<String>,
    pub(super) policy_version: Option<Arc<str>>,
    pub(super) roles: Vec<String>,
    pub(super) rules: Vec<String>,
    pub(super) limits: Vec<String>,
    pub(super) answer: Answer,
    pub(super) status: u16,
    pub(super) upstream_status: Option<u16>,
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    pub(super) outcome: Option<Outcome>,
    pub(super) reason: Option<String>,
}

/// What an answer held.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) released: u64,
    pub(super) withheld: u64,
    pub(super) keys: Vec<String>,
    pub(super) shown: Vec<String>,
    pub(super) masked: Vec<String>,
    pub(super) hidden: Vec<String>,
    pub(super) unknown: Vec<String>,
    pub(super) grants: Vec<String>,
    pub(super) capped: bool,
}

/// The caller.
#[derive(Debug)]
pub(super) struct Who {
    pub(super) issuer: String,
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) kind: &'static str,
    pub(super) method: &'static str,
    pub(super) credential: Option<String>,
    pub(super) ip: IpAddr,
    pub(super) mfa: bool,
}
