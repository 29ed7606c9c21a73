//! The pipeline: the whole life of a request on one screen, [`Gateway::exchange`].
//!
//! | step | takes → gives | may refuse with |
//! |---|---|---|
//! | listener, strictness | socket → `Peer`, request | close, 400, 431 |
//! | identity | → `Principal` | 401 |
//! | freezes | `Principal` → the same | 403 |
//! | policy | `Principal`, `Operation` → `Permit` | 403, 404 |
//! | limits | `Permit` → `Ticket` | 429 |
//! | request | `Permit`, request → narrowed request | 400, 403, 413, 415 |
//! | upstream | `&Permit`, request → `UpstreamResponse` | 502, 503, 504 |
//! | response | `Permit`, `UpstreamResponse` → answer that rewrites itself | 502 before the first byte, a cut after |
//! | stream, standing, account | each piece still allowed and charged, the record written before the last | 429, 503 before the first byte, a cut after |
//!
//! Comes in: requests. Goes out: answers, each with exactly one audit record. Without a permit nothing is sent
//! upstream; one snapshot of policy, identity and upstreams serves a request from beginning to end.

mod account;
mod announced;
mod arriving;
mod listener;
mod memo;
mod opening;
mod patience;
mod reject;
mod shadow;
mod standing;
mod stream;
mod streams;
mod strictness;
mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use uuid::Uuid;

use crate::audit::AuditLog;
use crate::base::{Clock, fresh_id};
use crate::grants::{Freezes, Memory};
use crate::identity::{Identity, Peer, Principal};
use crate::limits::{Caller, Limited, Limits, Ticket};
use crate::policy::{Decided, Permit, Plan, Seen};
use crate::request::{self, Applied, BoxError, Refused, RequestBounds, UpstreamRequest, View};
use crate::response::{self, ClientFacts, Rewritten, Unscreenable};
use crate::store::Seal;
use crate::telemetry::{AccessLog, Metrics};
use crate::upstream::{UpstreamResponse, Upstreams};

use account::Account;
use arriving::Arriving;
use memo::Memo;
use standing::{Standing, Stop, Under};

pub use announced::Announcers;
pub use listener::{ConnectionBounds, Handler, Life, Listener, Refusal};
pub use reject::Reject;
pub use standing::Lapsed;
pub use stream::{Answer, Unfinished};
pub use strictness::{HeadBounds, Violation};
pub use tls::{Certificate, TlsError, TlsFiles};

/// What decides about a request; exchanged as a whole, so that no request sees half of a change.
pub struct Snapshot {
    /// The policy.
    pub plan: Arc<Plan>,
    /// A policy that decides nothing and is asked what it would have decided.
    pub shadow: Option<Arc<Plan>>,
    /// Who callers are.
    pub identity: Arc<Identity>,
    /// The systems behind.
    pub upstreams: Upstreams,
    /// What request bodies may cost.
    pub bounds: RequestBounds,
    /// How long a request body may take to arrive.
    pub body_time: Duration,
    /// What callers are given to bring back.
    pub tokens: Arc<Tokens>,
    /// What callers know listeners by, where that is not what they connect to.
    pub public_urls: BTreeMap<Arc<str>, Box<str>>,
}

/// What callers are given to bring back.
pub struct Tokens {
    /// Seals it.
    pub seal: Arc<Seal>,
    /// The apis whose entity tags are withheld instead.
    pub withheld: BTreeSet<Arc<str>>,
}

/// The gateway.
pub struct Gateway {
    /// In force for requests that begin now.
    pub snapshot: ArcSwap<Snapshot>,
    /// Counters; they outlive snapshots.
    pub limits: Limits,
    /// Who gets nothing.
    pub freezes: Freezes,
    /// What answers gave callers to come back with.
    pub memory: Memory,
    /// Where every request is recorded.
    pub audit: AuditLog,
    /// The line a request.
    pub access: Option<AccessLog>,
    /// What operators watch.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// An answer at its first byte, with all that it needs on its way.
struct Begun {
    answer: Response<Rewritten>,
    ticket: Ticket,
    /// `None` on a public route.
    under: Option<Under>,
}

impl Gateway {
    /// A request's life, up to the first byte of its answer.
    async fn exchange(
        &self,
        at: &Snapshot,
        peer: &Peer,
        request: Request<Incoming>,
        account: &mut Account,
    ) -> Result<Begun, Reject> {
        let (mut head, body) = request.into_parts();
        account.request(&head);
        let body = Arriving::new(body, account.received());
        strictness::admit(&head, peer.server_name.as_deref())?;

        let route = at.plan.route(&head);
        if let Ok(Some(route)) = &route {
            account.route(route);
        }
        let principal = match &route {
            Ok(Some(route)) if route.public => {
                at.identity.pass(&mut head);
                None
            }
            // Before a missing route is told of: who is nobody learns nothing about routes.
            Ok(_) | Err(_) => Some(at.identity.authenticate(peer, &mut head).await?),
        };
        if let Some(principal) = &principal {
            account.principal(principal);
            // Before anything else is told: to who is frozen all is one.
            self.freezes.admit(principal).await?;
        }
        // Who it is from has left the head, so it is read anew.
        let seen = match route.and_then(|_| at.plan.see(&head)) {
            Ok(seen) => seen,
            Err(denial) => {
                let decision = Err(&denial);
                let (head, principal, now) = (&head, principal.as_ref(), self.clock.now());
                let decided = Decided { head, body: None, recalled: None, principal, now, decision };
                account.foreseen(at.foresee(&decided));
                return Err(denial.into());
            }
        };

        let (judged, body) = at.gather(&head, &seen, body, principal.is_none()).await?;
        let recalled = match (at.plan.recall(&head, &seen), &principal) {
            (Some(recall), Some(principal)) => {
                self.memory.recall(principal, &recall, at.plan.version()).await?
            }
            _ => None,
        };
        let (body_read, recalled_now, now) = (judged.clone(), recalled.as_ref(), self.clock.now());
        let operation = at.plan.operation_of(&head, seen, judged, recalled_now);
        let permit = operation.and_then(|operation| match &principal {
            Some(principal) => at.plan.decide(principal, operation, now),
            None => at.plan.pass(operation, now),
        });
        account.foreseen(at.foresee(&Decided {
            head: &head,
            body: body_read.as_ref(),
            recalled: recalled_now,
            principal: principal.as_ref(),
            now,
            decision: permit.as_ref(),
        }));
        let permit = permit?;
        if recalled.is_some_and(|bound| *bound.roles != *permit.roles()) {
            // What was given under other rules is not followed under these.
            return Err(Reject::NotReleased);
        }
        account.permit(&permit);
        account.ensure_writable()?;

        let caller = match &principal {
            Some(principal) => Caller::of(principal),
            None => Caller::anonymous(at.identity.address(peer, &head)?),
        };
        let ticket = match self.limits.admit(&caller, &permit).await {
            Ok(ticket) => ticket,
            Err(limited) => return Err(self.stopped(limited, principal.as_ref()).await.into()),
        };
        at.tokens.seen(principal.as_ref(), &permit, &mut head);
        let mut client = at.client(peer, &head);
        let narrowed = self.narrow(at, &permit, Request::from_parts(head, body)).await?;
        client.conditions = narrowed.conditions().clone();
        account.asks(&narrowed);
        let conditional = narrowed.is_conditional();
        let answer = self.ask(at, &permit, narrowed).await?;
        account.upstream(&answer);
        if conditional && answer.status() == StatusCode::PRECONDITION_FAILED {
            return Err(Unscreenable::Changed.into());
        }
        let answer = response::transform(&permit, answer, &client).await?;
        Ok(Begun { answer, ticket, under: principal.map(|principal| Under { principal, permit }) })
    }

    /// The request as it may be sent, after the reads that have to come before it.
    async fn narrow<B>(
        &self,
        at: &Snapshot,
        permit: &Permit,
        request: Request<B>,
    ) -> Result<UpstreamRequest, Reject>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let Some(batch) = permit.batch() else {
            let applied = self.pre_read(at, permit, &head).await?;
            let request = Request::from_parts(head, body);
            return at.in_time(request::apply(permit, applied.as_ref(), request, &at.bounds)).await;
        };
        let mut applied = Vec::with_capacity(batch.items().len());
        for (index, inner) in batch.items().iter().enumerate() {
            let read = self.pre_read(at, inner.permit(), &head).await;
            applied.push(read.map_err(|reject| reject.of_item(index + 1))?);
        }
        Ok(request::apply_batch(permit, &applied, &head, &at.bounds).await?)
    }

    /// A limit stops a request. Where it freezes, that is in the store before anybody is told.
    async fn stopped(&self, limited: Limited, principal: Option<&Principal>) -> Stop {
        match principal.filter(|_| limited.freezes) {
            None => Stop::Limited(limited),
            Some(principal) => match self.freezes.freeze(principal, limited).await {
                Ok(barred) => Stop::Frozen(barred),
                Err(error) => Stop::Unwritten(error),
            },
        }
    }

    /// Evidence that the permissions of a write apply to the record it is about, where they depend on it. A record
    /// they do not apply to is answered like one that does not exist.
    async fn pre_read(
        &self,
        at: &Snapshot,
        permit: &Permit,
        head: &Parts,
    ) -> Result<Option<Applied>, Reject> {
        let (Some(read), Some(rule)) = (request::pre_read(permit, head)?, permit.pre_read()) else {
            return Ok(None);
        };
        let current = self.ask(at, permit, read).await?;
        match response::judge(permit, rule, current).await? {
            Some(applied) => Ok(Some(applied)),
            None => Err(Reject::NotReleased),
        }
    }

    /// Asks the upstream; what it sends is metered.
    async fn ask(
        &self,
        at: &Snapshot,
        permit: &Permit,
        request: UpstreamRequest,
    ) -> Result<UpstreamResponse, Reject> {
        let answer = at.upstreams.send(permit, request).await?;
        Ok(answer.metered(&self.metrics, &permit.route().api))
    }

    /// Answers a request, whatever becomes of it, closes its account, and tells the caller its id.
    async fn handle(
        self: &Arc<Self>,
        peer: &Peer,
        violation: Option<Violation>,
        request: Request<Incoming>,
    ) -> Response<Answer> {
        let id = fresh_id(self.clock.now());
        let mut response = match self.audit.begin(id, peer) {
            Ok(record) => {
                let log = self.access.as_ref();
                let account = Account::open(id, peer, record, log, &self.metrics, &self.clock);
                self.recorded(id, peer, violation, request, account).await
            }
            Err(error) => refuse(&error.into(), None, id).await,
        };
        if let Ok(id) = HeaderValue::try_from(id.to_string()) {
            response.headers_mut().insert("x-request-id", id);
        }
        response
    }

    async fn recorded(
        self: &Arc<Self>,
        id: Uuid,
        peer: &Peer,
        violation: Option<Violation>,
        request: Request<Incoming>,
        mut account: Account,
    ) -> Response<Answer> {
        let snapshot = self.snapshot.load_full();
        let exchanged = match violation {
            Some(violation) => Err(violation.into()),
            None => self.exchange(&snapshot, peer, request, &mut account).await,
        };
        let begun = match exchanged {
            Ok(Begun { answer, ticket, under }) => {
                let memo = under.as_ref().and_then(|under| {
                    Memo::of(&self.memory, &snapshot.plan, &under.principal, &under.permit)
                });
                let standing = under.map(|under| Standing::of(self, snapshot, under));
                stream::begin(answer, ticket, standing, memo, account).await
            }
            Err(reject) => Err((reject, Some(account))),
        };
        match begun {
            Ok(answer) => answer,
            Err((reject, account)) => refuse(&reject, account, id).await,
        }
    }
}

impl Handler for Gateway {
    type Body = Answer;

    async fn answer(
        self: Arc<Self>,
        peer: Arc<Peer>,
        violation: Option<Violation>,
        request: Request<Incoming>,
    ) -> Response<Answer> {
        self.handle(&peer, violation, request).await
    }

    fn refused(&self, why: Refusal) {
        self.metrics.connection_refused(why.name());
    }

    fn connected(&self, listener: &str) -> impl Send + 'static {
        self.metrics.connection(listener)
    }
}

impl Tokens {
    /// Notes whose view the request is under, where its api gives validators.
    fn seen(&self, principal: Option<&Principal>, permit: &Permit, head: &mut Parts) {
        if let Some(principal) = principal.filter(|_| !self.withheld.contains(&permit.route().api)) {
            head.extensions.insert(Arc::new(View::of(&self.seal, principal, permit)));
        }
    }
}

impl Snapshot {
    /// What of a request shapes its answer.
    fn client(&self, peer: &Peer, head: &Parts) -> ClientFacts {
        let facts = ClientFacts::of(head, peer.tls);
        let known = self.public_urls.get(&peer.listener).cloned();
        ClientFacts { origin: known.or(facts.origin.clone()), ..facts }
    }

    /// Reads the body where the route judges it; the rest of the pipeline then finds it in the operation.
    async fn gather(
        &self,
        head: &Parts,
        seen: &Seen,
        body: Arriving,
        public: bool,
    ) -> Result<(Option<Bytes>, Either<Arriving, Empty<Bytes>>), Reject> {
        if !self.plan.judges_body(seen) {
            let body = if public { self.passing(body)? } else { body };
            return Ok((None, Either::Left(body)));
        }
        let judged = self.in_time(request::gather(&head.headers, body, &self.bounds)).await?;
        Ok((Some(judged), Either::Right(Empty::new())))
    }

    /// A public route's body goes on as it comes, within the bounds of all bodies. One that announces more is refused
    /// unread.
    fn passing(&self, body: Arriving) -> Result<Arriving, Reject> {
        let limit = self.bounds.body_bytes;
        if usize::try_from(body.size_hint().lower()).map_or(true, |least| least > limit) {
            return Err(Refused::TooLarge { limit }.into());
        }
        Ok(body.bounded(limit, self.body_time))
    }

    /// A caller that sends its body drop by drop is not waited for.
    async fn in_time<T>(&self, reading: impl Future<Output = Result<T, Refused>>) -> Result<T, Reject> {
        match tokio::time::timeout(self.body_time, reading).await {
            Ok(read) => Ok(read?),
            Err(_) => Err(Reject::Slow),
        }
    }
}

/// Answers with a refusal; the record is written first. One that cannot be written is no reason to refuse a refusal.
async fn refuse(reject: &Reject, account: Option<Account>, id: Uuid) -> Response<Answer> {
    let shape = account.as_ref().and_then(Account::shape);
    let response = reject.answer(shape.as_deref().or(reject.shape()), id);
    let bytes = response.body().size_hint().exact().unwrap_or_default();
    if let Some(closing) = account.and_then(|account| account.refused(reject, response.status(), bytes)) {
        let _written = closing.await;
    }
    response.map(Answer::refusal)
}
