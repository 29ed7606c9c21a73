//! The record of one request, as the pipeline writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::identity::{Kind, Peer, Principal};
use crate::limits::Limited;
use crate::policy::{BatchPermit, Denial, Foreseen, InnerPermit, Operation, Permit, RouteFacts};
use crate::rewrite::{Counts, FieldCount};

use super::log::Closing;
use super::pen::Pen;
use super::queue::{Content, Slot};

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
pub struct Record(Option<(Box<Draft>, Slot, Arc<Pen>)>);

/// Something that happened beside requests: a policy loaded, a key revoked.
#[derive(Clone, Debug)]
pub struct Event {
    pub(super) time: Timestamp,
    pub(super) kind: &'static str,
    pub(super) members: BTreeMap<&'static str, String>,
}

/// What is known about a request. Texts are kept as they came, as much of them as can be written; the writer makes
/// them safe.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) id: Uuid,
    pub(super) duty: Duty,
    pub(super) began: Duration,
    pub(super) duration: Duration,
    pub(super) time: Timestamp,
    pub(super) closed: Timestamp,
    pub(super) listener: Arc<str>,
    pub(super) peer: SocketAddr,
    pub(super) announced: Option<SocketAddr>,
    pub(super) tls: bool,
    pub(super) request: Option<Request>,
    pub(super) principal: Option<Who>,
    pub(super) route: Option<Arc<RouteFacts>>,
    pub(super) decision: Option<Uuid>,
    pub(super) policy_version: Option<Arc<str>>,
    pub(super) roles: Vec<Arc<str>>,
    pub(super) rules: Vec<Arc<str>>,
    /// The requests of a batch.
    pub(super) operations: Vec<Box<str>>,
    pub(super) limits: Vec<Arc<str>>,
    /// What rules and policies in shadow would have decided otherwise.
    pub(super) foreseen: Vec<Foreseen>,
    pub(super) answer: Answer,
    pub(super) status: Option<u16>,
    pub(super) upstream_status: Option<u16>,
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    pub(super) outcome: Outcome,
    /// Why the policy said no.
    pub(super) denial: Option<String>,
}

/// What was asked for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: http::Method,
    pub(super) path: Box<str>,
}

/// What an answer held.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) released: u64,
    pub(super) withheld: u64,
    /// As JSON text without quotes.
    pub(super) keys: Vec<Box<str>>,
    pub(super) more_keys: bool,
    pub(super) fields: BTreeMap<Arc<str>, FieldCount>,
    pub(super) unknown: BTreeSet<Box<str>>,
    pub(super) grants: BTreeSet<Arc<str>>,
}

/// The caller.
#[derive(Debug)]
pub(super) struct Who {
    pub(super) issuer: Box<str>,
    pub(super) id: Box<str>,
    pub(super) name: Option<Box<str>>,
    pub(super) kind: &'static str,
    pub(super) method: &'static str,
    pub(super) credential: Option<Box<str>>,
    pub(super) ip: IpAddr,
    pub(super) mfa: bool,
}

impl Record {
    pub(super) fn begin(slot: Slot, pen: Arc<Pen>, id: Uuid, peer: &Peer) -> Self {
        let draft = Draft {
            id,
            duty: Duty::Refuse,
            began: slot.clock().monotonic(),
            duration: Duration::ZERO,
            time: slot.clock().now(),
            closed: Timestamp::UNIX_EPOCH,
            listener: peer.listener.clone(),
            peer: peer.addr,
            announced: peer.announced,
            tls: peer.tls,
            request: None,
            principal: None,
            route: None,
            decision: None,
            policy_version: None,
            roles: Vec::new(),
            rules: Vec::new(),
            operations: Vec::new(),
            limits: Vec::new(),
            foreseen: Vec::new(),
            answer: Answer::default(),
            status: None,
            upstream_status: None,
            received_bytes: 0,
            sent_bytes: 0,
            outcome: Outcome::Aborted,
            denial: None,
        };
        Self(Some((Box::new(draft), slot, pen)))
    }

    /// The request as it came in; [`Record::operation`] replaces its path by the one that was judged. A query is
    /// not recorded.
    pub fn request(&mut self, method: &http::Method, path: &str) {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let request = Request { method: method.clone(), path: kept(path, PATH_CAP) };
        self.set(|d| d.request = Some(request));
    }

    /// Who asks.
    pub fn principal(&mut self, principal: &Principal) {
        let who = Who {
            issuer: kept(principal.issuer(), URL_CAP),
            id: kept(principal.id(), NAME_CAP),
            name: principal.name().map(|name| kept(name, NAME_CAP)),
            kind: match principal.kind() {
                Kind::Person => "person",
                Kind::Service => "service",
            },
            method: principal.method().name(),
            credential: principal.credential().map(|name| kept(name, NAME_CAP)),
            ip: principal.ip(),
            mfa: principal.mfa(),
        };
        self.set(|d| d.principal = Some(who));
    }

    /// The route that the request matched, known before it is decided.
    pub fn route(&mut self, route: &Arc<RouteFacts>) {
        let route = route.clone();
        self.set(|d| d.route = Some(route));
    }

    /// The request as the policy sees it.
    pub fn operation(&mut self, operation: &Operation) {
        self.request(operation.method(), operation.path());
    }

    /// The policy said yes.
    pub fn permit(&mut self, permit: &Permit) {
        self.operation(permit.operation());
        self.route(permit.route());
        self.set(|d| {
            d.decision = Some(permit.id());
            d.policy_version = Some(permit.policy_version().clone());
            d.roles = permit.roles().iter().take(LIST_CAP + 1).cloned().collect();
            d.operations = permit.batch().map(operations).unwrap_or_default();
            d.rules = permit.rules().iter().take(LIST_CAP + 1).cloned().collect();
        });
    }

    /// The policy said no; the outcome becomes [`Outcome::Denied`].
    pub fn denial(&mut self, denial: &Denial) {
        let reason = kept(&denial.reason.to_string(), REASON_CAP).into();
        self.set(|d| {
            d.route = denial.route.clone().or_else(|| d.route.take());
            d.policy_version = Some(denial.policy_version.clone());
            d.outcome = Outcome::Denied;
            d.denial = Some(reason);
        });
    }

    /// What rules and policies in shadow would have decided otherwise.
    pub fn foreseen(&mut self, foreseen: Vec<Foreseen>) {
        self.set(|d| d.foreseen = foreseen);
    }

    /// A limit refused the request, or cut its answer, or only warned: its name is kept.
    pub fn limit(&mut self, limited: &Limited) {
        self.set(|d| {
            if d.limits.len() <= LIST_CAP {
                d.limits.push(limited.limit.clone());
            }
        });
    }

    /// What the answer held so far; replaces what was said before.
    pub fn counts(&mut self, counts: Counts) {
        let Counts { released, withheld, mut keys, fields, unknown, grants, .. } = counts;
        let more_keys = keys.len() > KEYS_CAP;
        keys.truncate(KEYS_CAP);
        for key in keys.iter_mut().filter(|key| key.len() > KEY_CAP) {
            *key = kept(key, KEY_CAP);
        }
        let answer = Answer { released, withheld, keys, more_keys, fields, unknown, grants };
        self.set(|d| d.answer = answer);
    }

    /// The status answered.
    pub fn status(&mut self, status: http::StatusCode) {
        self.set(|d| d.status = Some(status.as_u16()));
    }

    /// The status that the upstream answered.
    pub fn upstream_status(&mut self, status: http::StatusCode) {
        self.set(|d| d.upstream_status = Some(status.as_u16()));
    }

    /// Body bytes received from the caller and sent to it so far.
    pub fn bytes(&mut self, received: u64, sent: u64) {
        self.set(|d| (d.received_bytes, d.sent_bytes) = (received, sent));
    }

    /// What it means if this record cannot be written.
    pub fn duty(&mut self, duty: Duty) {
        self.set(|d| d.duty = duty);
    }

    /// How it ended. Unless something is said, it was aborted.
    pub fn outcome(&mut self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Refused(reason) => Outcome::Refused(kept(&reason, REASON_CAP).into()),
            Outcome::Cut(reason) => Outcome::Cut(kept(&reason, REASON_CAP).into()),
            plain @ (Outcome::Complete | Outcome::Denied | Outcome::Aborted) => plain,
        };
        self.set(|d| d.outcome = outcome);
    }

    /// An error if this record could not be written now, and [`Duty::Refuse`] is its duty: what a running answer is
    /// cut with before it gives out more.
    pub fn ensure_writable(&self) -> Result<(), super::AuditError> {
        match &self.0 {
            Some((draft, slot, _)) if draft.duty == Duty::Refuse => slot.ensure_writable(),
            Some(_) => Ok(()),
            None => Err(super::AuditError::Closed),
        }
    }

    /// Closes the record. The answer's last byte may go out only after the result is `Ok`; on an error the answer
    /// must be cut, and the record, which is kept and written when it can be, will say so.
    pub fn close(mut self) -> Closing {
        self.enqueue(true)
    }

    fn enqueue(&mut self, wait: bool) -> Closing {
        let Some((mut draft, slot, pen)) = self.0.take() else {
            return Closing::at_once(Err(super::AuditError::Closed));
        };
        draft.closed = slot.clock().now();
        draft.duration = slot.clock().monotonic().saturating_sub(draft.began);
        let wait = wait && draft.duty == Duty::Refuse;
        slot.enqueue(Content::Request(draft), wait.then_some(&pen))
    }

    fn set(&mut self, set: impl FnOnce(&mut Draft)) {
        if let Some((draft, ..)) = &mut self.0 {
            set(draft);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.0.is_some() {
            let _not_waited_for = self.enqueue(false);
        }
    }
}

impl Event {
    /// Something of a kind, such as `policy`.
    pub fn new(kind: &'static str, now: Timestamp) -> Self {
        Self { time: now, kind, members: BTreeMap::new() }
    }

    /// Adds a fact about it.
    #[must_use]
    pub fn with(mut self, name: &'static str, text: &str) -> Self {
        self.members.insert(name, kept(text, REASON_CAP).into());
        self
    }
}

/// What each request of a batch does: action, resource, method and path.
fn operations(batch: &BatchPermit) -> Vec<Box<str>> {
    let text = |inner: &InnerPermit| {
        let (route, operation) = (inner.permit().route(), inner.permit().operation());
        let action = route.action.as_ref().map_or("", |action| action.name());
        let resource = route.resource.as_deref().unwrap_or_default();
        let text = format!("{action} {resource} {} {}", operation.method(), operation.path());
        kept(&text, NAME_CAP)
    };
    batch.items().iter().take(LIST_CAP + 1).map(text).collect()
}

/// As much of a text as can be written if at most `cap` characters are, and one more, which shows that it was longer.
fn kept(text: &str, cap: usize) -> Box<str> {
    if text.len() <= cap {
        return text.into();
    }
    let end = text.char_indices().nth(cap + 1).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or_default().into()
}

/// Longest name: of a principal, a role, a field, a record key. Characters, as all caps here.
pub(super) const NAME_CAP: usize = 128;
/// Longest path.
pub(super) const PATH_CAP: usize = 512;
/// Longest issuer.
pub(super) const URL_CAP: usize = 256;
/// Longest reason.
pub(super) const REASON_CAP: usize = 512;
/// Longest list of names.
pub(super) const LIST_CAP: usize = 256;
/// Longest list of what rules or a policy in shadow would have changed.
pub(super) const SHADOW_CAP: usize = 64;
/// How many record keys are kept; their number is kept in any case.
pub const KEYS_CAP: usize = 100;
/// As much of a record key as is kept before it is unescaped: an escape takes up to six characters.
const KEY_CAP: usize = NAME_CAP * 6;

#[cfg(test)]
mod tests;
