//! One request and the answer to it, through the code that serves.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, StatusCode};
use http_body_util::Full;
use jiff::Timestamp;

use crate::identity::{Assumed, Principal};
use crate::policy::{Decided, Denial, Foreseen, Permit, Plan, ShadowOf};
use crate::request::{Applied, Outgoing, Refused, RequestBounds, apply, apply_batch, asks};
use crate::response::{declared, is_told};
use crate::rewrite::condition::Params;
use crate::rewrite::{Counts, Cut, RewritePlan, Rewriter};

/// A principal that somebody describes.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Subject.
    pub id: Arc<str>,
    /// Groups.
    pub groups: Vec<Arc<str>>,
    /// Roles given directly.
    pub roles: Vec<Arc<str>>,
    /// Claims.
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// Display name.
    pub name: Option<Arc<str>>,
    /// Address.
    pub ip: IpAddr,
    /// Whether a second factor was used.
    pub mfa: bool,
}

impl Caller {
    /// The principal.
    pub fn principal(&self) -> Principal {
        let Self { id, groups, roles, claims, name, ip, mfa } = self.clone();
        Principal::assumed(Assumed { id, name, groups, roles, claims, ip, mfa })
    }
}

/// Why a request would not be sent.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The policy refuses it.
    #[error("{}", .0.reason)]
    Denied(Denial),
    /// The permit does not cover what the request asks for or sets.
    #[error("{0}")]
    Refused(Refused),
    /// The record that is read before a write is not one the write's permissions apply to.
    #[error("no permission applies to the record as it is before the write")]
    NotReleased,
    /// The record is read before a write, and what the upstream answers to that is not known.
    #[error("the record is read before this write: say what the upstream answers to that")]
    NothingBefore,
}

impl Refusal {
    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Denied(denial) => {
                denial.shape.as_ref().and_then(|shape| shape.status).unwrap_or_else(|| denial.reason.status())
            }
            Self::Refused(refused) => refused.status(),
            Self::NotReleased | Self::NothingBefore => StatusCode::NOT_FOUND,
        }
    }
}

/// An answer that was rewritten.
#[derive(Clone, Debug)]
pub struct Screened {
    /// The status.
    pub status: StatusCode,
    /// The body; `None` where it is replaced by one of the gateway's own.
    pub body: Option<Vec<u8>>,
    /// What was released and withheld.
    pub counts: Counts,
    /// Why the body is not complete.
    pub cut: Option<Cut>,
}

/// A request that may be sent, as it would reach the upstream.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// The decision.
    pub permit: Permit,
    /// Its method.
    pub method: http::Method,
    /// Its path and query.
    pub target: String,
    /// Its body.
    pub body: Bytes,
}

/// Decides a request, also what its query and body may name. `before` is what the upstream answers to the read that
/// comes before a write under a condition.
pub fn admit(
    plan: &Plan,
    principal: &Principal,
    request: Request<Bytes>,
    before: Option<&[u8]>,
    now: Timestamp,
) -> Result<Permit, Refusal> {
    admitted(plan, principal, request, before, now).map(|admitted| admitted.permit)
}

/// The same, with what would be sent.
pub fn admitted(
    plan: &Plan,
    principal: &Principal,
    request: Request<Bytes>,
    before: Option<&[u8]>,
    now: Timestamp,
) -> Result<Admitted, Refusal> {
    let (head, body) = request.into_parts();
    let judged = plan.needs_body(&head).then(|| body.clone());
    let operation = plan.operation(&head, judged).map_err(Refusal::Denied)?;
    let permit = plan.decide(principal, operation, now).map_err(Refusal::Denied)?;
    let applied =
        permit.parts().map(|permit| pre_read(permit, before)).collect::<Result<Vec<_>, Refusal>>()?;
    let bounds = RequestBounds::default();
    // The body is here already, so nothing is waited for.
    let request = if permit.batch().is_some() {
        apply_batch(&permit, &applied, &head, &bounds).now_or_never()
    } else {
        let request = Request::from_parts(head, Full::new(body));
        apply(&permit, applied.first().and_then(Option::as_ref), request, &bounds).now_or_never()
    };
    let request = request.unwrap_or(Err(Refused::NotJudged)).map_err(Refusal::Refused)?;
    let (head, body, _) = request.into_parts();
    let body = match body {
        Outgoing::Whole(body) => body,
        // A public route's body is passed as it comes, and nobody looks at it here.
        Outgoing::Empty | Outgoing::Passing(_) => Bytes::new(),
    };
    Ok(Admitted { permit, method: head.method, target: head.uri.to_string(), body })
}

/// What the read before a write gives, where there is one. All writes of a batch are told the same.
fn pre_read(permit: &Permit, before: Option<&[u8]>) -> Result<Option<Applied>, Refusal> {
    let Some(read) = permit.pre_read() else { return Ok(None) };
    let before = before.ok_or(Refusal::NothingBefore)?;
    if permit.route().errors.as_ref().is_some_and(|shape| is_told(shape, before)) {
        return Err(Refusal::NotReleased);
    }
    let screened = rewrite(&read.plan, permit.params(), before);
    let released = screened.cut.is_none() && screened.counts.released > 0 && screened.counts.withheld == 0;
    if !released {
        return Err(Refusal::NotReleased);
    }
    let kept = screened.body.unwrap_or_default();
    Ok(Some(Applied::new(read, screened.counts.grants, &kept, None)))
}

/// What the rules in shadow would have made of a request.
pub fn foresee(plan: &Plan, principal: &Principal, request: &Request<Bytes>, now: Timestamp) -> Foreseen {
    let (head, body) = request.clone().into_parts();
    let body = plan.needs_body(&head).then_some(body);
    let decision =
        plan.operation(&head, body.clone()).and_then(|operation| plan.decide(principal, operation, now));
    let decided = Decided {
        head: &head,
        body: body.as_ref(),
        recalled: None,
        principal: Some(principal),
        now,
        decision: decision.as_ref(),
    };
    plan.foresee(ShadowOf::Rules, &decided, &|permit| asks(permit).map_err(|refused| refused.to_string()))
}

/// Rewrites an answer as it would be served.
pub fn screen(permit: &Permit, status: StatusCode, answer: &[u8]) -> Screened {
    if permit.route().public {
        return Screened { status, body: Some(answer.to_vec()), counts: Counts::default(), cut: None };
    }
    let errors = permit.route().errors.as_ref();
    let told = status.is_success() && errors.is_some_and(|shape| is_told(shape, answer));
    if !status.is_success() || told {
        // Errors of the upstream are replaced but for what is declared: their texts may hold values.
        let absent = permit.route().single && matches!(status.as_u16(), 403 | 404 | 410);
        let body = errors.filter(|_| !absent).and_then(|shape| declared(shape, answer));
        let status = if told && body.is_none() { StatusCode::BAD_GATEWAY } else { status };
        return Screened { status, body, counts: Counts::default(), cut: None };
    }
    let mut screened = rewrite(permit.rewrite(), permit.params(), answer);
    screened.status = status;
    if screened.cut.is_some() {
        screened.status = StatusCode::BAD_GATEWAY;
        screened.body = None;
    } else if permit.route().single && screened.counts.released == 0 {
        screened.status = StatusCode::NOT_FOUND;
        screened.body = None;
    }
    screened
}

fn rewrite(plan: &Arc<RewritePlan>, params: &Params, answer: &[u8]) -> Screened {
    let mut rewriter = Rewriter::new(plan.clone(), params.clone());
    let mut body = Vec::with_capacity(answer.len());
    let done = rewriter.push(answer, &mut body).and_then(|()| rewriter.finish(&mut body));
    Screened { status: StatusCode::OK, body: Some(body), counts: rewriter.counts().clone(), cut: done.err() }
}
