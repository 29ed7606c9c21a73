//! What is learned about one request, told to the audit record, the metrics and the access log alike.
//!
//! The pipeline writes to an [`Account`] and never reads it back. It is closed exactly once: with a refusal, with
//! the last byte of an answer, or when it is dropped because the caller went away.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{REFERER, USER_AGENT};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Uri, Version};
use jiff::Timestamp;
use uuid::Uuid;

use crate::audit::{AuditError, Closing, Duty, KEYS_CAP, Outcome, Record};
use crate::base::Clock;
use crate::grants::Barred;
use crate::identity::{Peer, Principal};
use crate::limits::{Limited, Notice, Remaining};
use crate::policy::{DenialShape, Foreseen, Permit, RouteFacts, ShadowEffect, Treatment};
use crate::request::UpstreamRequest;
use crate::rewrite::Counts;
use crate::telemetry::names::label;
use crate::telemetry::{Access, AccessLog, Decision, Gauged, Metrics, RequestSeen, Side, UpstreamFailure};
use crate::upstream::{UpstreamError, UpstreamResponse};

use super::reject::Reject;

/// The account of one request.
pub(super) struct Account {
    /// `None` once it is closed.
    record: Option<Record>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    begun: Duration,
    route: Option<Arc<RouteFacts>>,
    decision: Decision,
    status: StatusCode,
    received: Arc<AtomicU64>,
    sent: u64,
    /// Body bytes sent upstream, besides those that pass as they come.
    asked: u64,
    counts: Counts,
    /// What rules and policies in shadow would have decided otherwise.
    foreseen: Vec<Foreseen>,
    line: Option<Box<Line>>,
    _in_flight: Gauged,
}

/// What only the access log tells.
struct Line {
    log: AccessLog,
    id: Uuid,
    time: Timestamp,
    ip: IpAddr,
    principal: Option<Box<str>>,
    method: Method,
    target: Uri,
    version: Version,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
}

impl Account {
    /// Opens the account of a request. `log` is the access log, if there is one.
    pub(super) fn open(
        id: Uuid,
        peer: &Peer,
        record: Record,
        log: Option<&AccessLog>,
        metrics: &Arc<Metrics>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let line = log.map(|log| {
            Box::new(Line {
                log: log.clone(),
                id,
                time: clock.now(),
                ip: peer.caller(),
                principal: None,
                method: Method::default(),
                target: Uri::default(),
                version: Version::default(),
                referer: None,
                user_agent: None,
            })
        });
        Self {
            record: Some(record),
            metrics: Arc::clone(metrics),
            clock: Arc::clone(clock),
            begun: clock.monotonic(),
            route: None,
            decision: Decision::Failed,
            // nginx's status for a caller who went away before there was an answer.
            status: StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            received: Arc::default(),
            sent: 0,
            asked: 0,
            counts: Counts::default(),
            foreseen: Vec::new(),
            line,
            _in_flight: metrics.request_begun(),
        }
    }

    /// The request as it came in.
    pub(super) fn request(&mut self, head: &Parts) {
        self.tell(|record| record.request(&head.method, head.uri.path()));
        if let Some(line) = &mut self.line {
            line.method = head.method.clone();
            line.target = head.uri.clone();
            line.version = head.version;
            line.referer = head.headers.get(REFERER).cloned();
            line.user_agent = head.headers.get(USER_AGENT).cloned();
        }
    }

    /// Who asks.
    pub(super) fn principal(&mut self, principal: &Principal) {
        self.metrics.authentication(principal.method().name(), true);
        self.tell(|record| record.principal(principal));
        if let Some(line) = &mut self.line {
            line.ip = principal.ip();
            line.principal = Some(principal.id().into());
        }
    }

    /// The route it matches.
    pub(super) fn route(&mut self, route: &Arc<RouteFacts>) {
        self.route = Some(Arc::clone(route));
        self.tell(|record| record.route(route));
    }

    /// The policy said yes.
    pub(super) fn permit(&mut self, permit: &Permit) {
        let public = permit.route().public;
        self.decision = if public { Decision::Public } else { Decision::Permitted };
        self.route = Some(Arc::clone(permit.route()));
        self.tell(|record| {
            record.permit(permit);
            record.duty(if public { Duty::Spool } else { Duty::Refuse });
        });
    }

    /// What was asked of rules and policies in shadow.
    pub(super) fn foreseen(&mut self, foreseen: Vec<Foreseen>) {
        for found in &foreseen {
            let route = self.route.as_ref();
            let action = route.and_then(|route| route.action.as_ref()).map(|action| action.name());
            let known = route.map(|route| (route.api.as_ref(), action.unwrap_or(label::NONE)));
            let other = found.about.as_ref().map(|(api, action)| (api.as_ref(), action.as_ref()));
            let (api, action) = known.or(other).unwrap_or((label::NONE, label::NONE));
            self.metrics.foreseen(api, action, found.of.name(), found.effect.name());
            self.metrics.fields_foreseen(found.difference.fields.iter().map(|change| {
                let access = match change.to {
                    Treatment::Hidden => "hidden",
                    Treatment::Masked(_) => "masked",
                    Treatment::Shown => "shown",
                    Treatment::Fixed => "fixed",
                    Treatment::Editable => "editable",
                };
                (change.resource.as_ref(), change.field.as_ref(), access)
            }));
        }
        self.foreseen = foreseen;
        self.foreseen.retain(|found| found.effect != ShadowEffect::Same);
        let foreseen = self.foreseen.clone();
        self.tell(|record| record.foreseen(foreseen));
    }

    /// An error while the record of a protected request could not be written: nothing is asked of an upstream then,
    /// and nothing more of an answer goes out.
    pub(super) fn ensure_writable(&self) -> Result<(), AuditError> {
        self.record.as_ref().map_or(Err(AuditError::Closed), Record::ensure_writable)
    }

    /// Counts the bytes of the request's body.
    pub(super) fn received(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.received)
    }

    /// This goes upstream.
    pub(super) fn asks(&mut self, request: &UpstreamRequest) {
        self.asked = request.held_bytes();
    }

    /// The upstream answered.
    pub(super) fn upstream(&mut self, answer: &UpstreamResponse) {
        if let Some(route) = &self.route {
            self.metrics.upstream_answered(&route.api, answer.latency());
        }
        let status = answer.status();
        self.tell(|record| record.upstream_status(status));
    }

    /// The answer begins with this status.
    pub(super) fn begins(&mut self, status: StatusCode) {
        self.status = status;
        self.tell(|record| record.status(status));
    }

    /// Bytes of the answer go out.
    pub(super) fn sends(&mut self, bytes: u64) {
        self.sent += bytes;
    }

    /// A limit stopped the answer.
    pub(super) fn limited(&mut self, limited: &Limited) {
        if limited.unavailable {
            self.metrics.limit_failed(&limited.limit);
        }
        self.metrics.limit_refused(&limited.limit);
        self.tell(|record| record.limit(limited));
    }

    /// The principal is frozen, now or already.
    pub(super) fn barred(&mut self, barred: &Barred) {
        match barred {
            Barred::Frozen => self.metrics.frozen_refused(),
            Barred::Limit(limited) => {
                self.metrics.limit_froze(&limited.limit);
                self.limited(limited);
            }
            Barred::Unknown => {}
        }
    }

    /// Limits have become worth telling about; their own module has logged it.
    pub(super) fn noticed(&mut self, notices: &[Notice]) {
        for notice in notices {
            let limit = Arc::clone(&notice.limit);
            let (retry_after, remaining) = (Duration::ZERO, Vec::new());
            let limited = Limited { limit, retry_after, unavailable: false, freezes: false, remaining };
            self.tell(|record| record.limit(&limited));
        }
    }

    /// How much of its limits the caller has used when its answer ends.
    pub(super) fn used(&mut self, remaining: &[Remaining]) {
        for limit in remaining.iter().filter(|limit| limit.quota > 0) {
            let used = limit.quota.saturating_sub(limit.remaining);
            self.metrics.limit_used(&limit.limit, used as f64 / limit.quota as f64);
        }
    }

    /// What the answer held so far.
    pub(super) fn counts(&mut self, mut counts: Counts) {
        // A budget of different records may know far more of them.
        counts.keys.truncate(KEYS_CAP + 1);
        counts.shares = Vec::new();
        self.counts = counts;
    }

    /// The shape of refusals, where the api is known.
    pub(super) fn shape(&self) -> Option<Arc<DenialShape>> {
        self.route.as_ref().map(|route| Arc::clone(&route.denial))
    }

    /// The request is refused, and its answer has this status and length.
    pub(super) fn refused(mut self, reject: &Reject, status: StatusCode, bytes: u64) -> Option<Closing> {
        self.decision = reject.decision();
        self.status = status;
        self.sent = bytes;
        self.note(reject);
        self.tell(|record| record.status(status));
        let outcome = match reject {
            Reject::Denied(denial) => {
                self.tell(|record| record.denial(denial));
                Outcome::Denied
            }
            Reject::NotReleased => Outcome::Denied,
            Reject::Framing(_)
            | Reject::Unauthenticated(_)
            | Reject::Limited(_)
            | Reject::Refused(_)
            | Reject::Slow
            | Reject::Lapsed(_)
            | Reject::Upstream(_)
            | Reject::Unscreenable(_)
            | Reject::Barred(_)
            | Reject::Memory(_)
            | Reject::Audit(_) => Outcome::Refused(reject.to_string()),
        };
        self.close(outcome)
    }

    /// All of the answer is about to have gone out.
    pub(super) fn complete(mut self) -> Option<Closing> {
        self.close(Outcome::Complete)
    }

    /// The answer is ended unfinished. `kind` is the reason for the metrics, `why` that for the record.
    pub(super) fn cut(mut self, kind: &'static str, why: String) {
        self.metrics.stream_cut(kind);
        // The caller sees an unfinished answer whether or not this is written: nobody waits for it.
        let _written = self.close(Outcome::Cut(why));
    }

    /// What a refusal means for the metrics of its stage.
    fn note(&mut self, reject: &Reject) {
        match reject {
            Reject::Unauthenticated(error) => {
                self.metrics.authentication(error.method, false);
            }
            Reject::Denied(denial) => {
                if let (None, Some(route)) = (&self.route, &denial.route) {
                    self.route(&Arc::clone(route));
                }
            }
            Reject::Limited(limited) => self.limited(&limited.clone()),
            Reject::Barred(barred) => self.barred(&barred.clone()),
            Reject::Upstream(error) => self.upstream_failed(failure(error)),
            Reject::Unscreenable(error) => {
                if let Some(counts) = error.counts() {
                    self.counts(counts.clone());
                }
            }
            Reject::Framing(_)
            | Reject::Refused(_)
            | Reject::Slow
            | Reject::NotReleased
            | Reject::Lapsed(_)
            | Reject::Memory(_)
            | Reject::Audit(_) => {}
        }
    }

    /// The upstream gave no whole answer.
    pub(super) fn upstream_failed(&mut self, failure: UpstreamFailure) {
        if let Some(route) = &self.route {
            self.metrics.upstream_failed(&route.api, failure);
        }
    }

    /// `None`: it is closed already, which nobody can do, since closing takes the account.
    fn close(&mut self, outcome: Outcome) -> Option<Closing> {
        let mut record = self.record.take()?;
        self.count();
        self.log(outcome.name());
        record.counts(std::mem::take(&mut self.counts));
        record.bytes(self.received.load(Ordering::Relaxed), self.sent);
        record.outcome(outcome);
        Some(record.close())
    }

    fn count(&self) {
        let route = self.route.as_deref();
        self.metrics.request(RequestSeen {
            route: route.map(|route| route.name.as_ref()),
            action: route.and_then(|route| route.action.as_ref()).map(|action| action.name()),
            status: self.status.as_u16(),
            decision: self.decision,
            duration: self.clock.monotonic().saturating_sub(self.begun),
        });
        let received = self.received.load(Ordering::Relaxed);
        self.metrics.received(Side::Downstream, received);
        self.metrics.sent(Side::Downstream, self.sent);
        let passed = if self.decision == Decision::Public { received } else { 0 };
        self.metrics.sent(Side::Upstream, self.asked.saturating_add(passed));
        if let Some(resource) = route.and_then(|route| route.resource.as_deref()) {
            let counts = &self.counts;
            self.metrics.records(resource, counts.released, counts.withheld);
            self.metrics.fields(
                counts.fields.iter().map(|(name, of)| (name.as_ref(), of.shown, of.masked, of.hidden)),
            );
            self.metrics.unknown_fields(resource, counts.unknown.len() as u64);
        }
    }

    fn log(&self, outcome: &'static str) {
        let Some(line) = &self.line else { return };
        let told = self.foreseen.iter().map(|found| format!("{} {}", found.of.name(), found.effect.name()));
        let shadow = (!self.foreseen.is_empty()).then(|| told.collect::<Vec<_>>().join(", "));
        line.log.write(&Access {
            id: line.id,
            time: line.time,
            ip: line.ip,
            principal: line.principal.as_deref(),
            method: line.method.as_str(),
            target: line.target.path_and_query().map_or("/", |target| target.as_str()),
            version: line.version,
            route: self.route.as_ref().map(|route| route.name.as_ref()),
            status: self.status.as_u16(),
            bytes_sent: self.sent,
            duration: self.clock.monotonic().saturating_sub(self.begun),
            outcome,
            shadow: shadow.as_deref(),
            referer: text(line.referer.as_ref()),
            user_agent: text(line.user_agent.as_ref()),
        });
    }

    fn tell(&mut self, tell: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            tell(record);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if self.record.is_some() {
            self.metrics.stream_aborted();
            // Nobody is left to wait for it.
            let _written = self.close(Outcome::Aborted);
        }
    }
}

/// A field that is text; whatever else it holds is not logged.
fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|value| value.to_str().ok())
}

/// The kind of an upstream's failure, for metrics.
pub(super) fn failure(error: &UpstreamError) -> UpstreamFailure {
    match error {
        UpstreamError::Unknown(_) | UpstreamError::Connect(_) => UpstreamFailure::Connect,
        UpstreamError::Busy => UpstreamFailure::Busy,
        UpstreamError::Open => UpstreamFailure::Open,
        UpstreamError::Credential(_) | UpstreamError::ConnectionBound => UpstreamFailure::Credential,
        UpstreamError::Timeout(_) => UpstreamFailure::Timeout,
        UpstreamError::Broken(_) => UpstreamFailure::Protocol,
        UpstreamError::Request => UpstreamFailure::Closed,
    }
}
