//! The answer on its way out: every piece is charged before it goes, the record is written before the last one does.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use crate::audit::AuditError;
use crate::grants::Barred;
use crate::limits::{Charge, Limited, Ticket, rate_limit_fields};
use crate::response::{Rewritten, StreamError, Unscreenable};
use crate::rewrite::{Counts, Share};
use crate::store::StoreError;
use crate::telemetry::UpstreamFailure;

use super::account::{Account, failure};
use super::memo::Memo;
use super::reject::Reject;
use super::standing::{Lapsed, Standing, WAKE};

/// The body of an answer.
pub struct Answer(Kind);

enum Kind {
    /// A refusal.
    Whole(Full<Bytes>),
    /// An answer under a permit.
    Stream(Stream),
}

/// Why an answer is left unfinished. The text is for nobody: the caller sees a broken message.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    /// It could not be screened.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// A budget is used up.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// The right to it has ended.
    #[error(transparent)]
    Lapsed(#[from] Lapsed),
    /// Its principal is frozen.
    #[error(transparent)]
    Barred(#[from] Barred),
    /// What it gives to come back with could not be remembered.
    #[error(transparent)]
    Memory(#[from] StoreError),
    /// Its record could not be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// What an answer needs while it runs. Dropped before its end, it tells the account how far it came.
struct Carry {
    body: Rewritten,
    ticket: Ticket,
    standing: Option<Standing>,
    memo: Option<Memo>,
    charged: Charged,
    /// `None` once it is closed.
    account: Option<Account>,
}

/// How much of an answer's counts is charged.
#[derive(Default)]
struct Charged {
    records: u64,
    keys: usize,
    /// Of a batch: the shares that are charged whole, and how much of the next one.
    shares: usize,
    share: Share,
}

struct Stream {
    /// A piece that was charged and may go out.
    ready: Option<Bytes>,
    state: State,
}

enum State {
    /// More may come.
    Open(Box<Carry>),
    /// The next piece is being made and charged, or waits for the record.
    Working(Pin<Box<dyn Future<Output = Step> + Send>>),
    /// Nothing more comes.
    Ended,
}

/// What goes out next, and what is needed for what comes after; `None`: nothing does.
type Step = (Option<Result<Bytes, Unfinished>>, Option<Box<Carry>>);

/// Starts an answer: makes and charges its first piece and, if that is all of it, writes its record. Whatever goes
/// wrong until then is a clean refusal, for which the account is given back unless it is closed.
pub(super) async fn begin(
    response: Response<Rewritten>,
    ticket: Ticket,
    standing: Option<Standing>,
    memo: Option<Memo>,
    account: Account,
) -> Result<Response<Answer>, (Reject, Option<Account>)> {
    let (mut head, body) = response.into_parts();
    let charged = Charged::default();
    let mut carry = Box::new(Carry { body, ticket, standing, memo, charged, account: Some(account) });
    if let Some(memo) = &carry.memo
        && let Err(error) = memo.headers(&head.headers).await
    {
        return Err(carry.give_back(error.into()));
    }
    let piece = match carry.piece().await {
        Ok(piece) => piece,
        Err(unfinished) => return Err(carry.give_back(unfinished)),
    };
    if let Some(account) = &mut carry.account {
        account.begins(head.status);
    }
    if let Some((remaining, policy)) = rate_limit_fields(&carry.ticket.remaining()) {
        head.headers.insert("ratelimit-policy", policy);
        head.headers.insert("ratelimit", remaining);
    }
    let state = if carry.is_over(piece.as_ref()) {
        carry.finish().await.map_err(|error| (Reject::Audit(error), None))?;
        State::Ended
    } else {
        State::Open(carry)
    };
    Ok(Response::from_parts(head, Answer(Kind::Stream(Stream { ready: piece, state }))))
}

impl Answer {
    /// A refusal's body.
    pub(super) fn refusal(body: Full<Bytes>) -> Self {
        Self(Kind::Whole(body))
    }
}

impl Carry {
    /// The next piece, charged; `None` at the end. None goes out while its record could not be written.
    async fn piece(&mut self) -> Result<Option<Bytes>, Unfinished> {
        let piece = loop {
            match self.frame().await? {
                None => break None,
                // Trailers of an upstream are not passed on.
                Some(frame) => match frame.into_data() {
                    Ok(data) => break Some(data),
                    Err(_) => continue,
                },
            }
        };
        if let Some(account) = &self.account {
            account.ensure_writable()?;
        }
        if let Some(standing) = &mut self.standing {
            standing.holds()?;
        }
        if let Some(memo) = &mut self.memo {
            memo.values(self.body.noticed()).await?;
        }
        let bytes = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        if let Err(limited) = self.charge(bytes).await {
            return Err(match &self.standing {
                Some(standing) => standing.stopped(limited).await,
                None => limited.into(),
            });
        }
        if let Some(account) = &mut self.account {
            account.sends(bytes);
        }
        Ok(piece)
    }

    /// The next frame; an answer that may not go on ends also while none comes.
    async fn frame(&mut self) -> Result<Option<Frame<Bytes>>, Unfinished> {
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx));
            let Some(standing) = &mut self.standing else { return Ok(frame.await.transpose()?) };
            match tokio::time::timeout(WAKE, frame).await {
                Ok(frame) => return Ok(frame.transpose()?),
                Err(_) => standing.holds()?,
            }
        }
    }

    /// Charges what was decided since the last piece, and this one's bytes.
    async fn charge(&mut self, bytes: u64) -> Result<(), Limited> {
        if !self.body.counts().shares.is_empty() {
            return self.charge_shares().await;
        }
        let counts = self.body.counts();
        let keys = counts.keys.get(self.charged.keys..).unwrap_or_default();
        let records = counts.released.saturating_sub(self.charged.records);
        let charge = Charge { records, keys, bytes, part: 0 };
        match self.ticket.try_charge(&charge) {
            Some(charged) => charged?,
            None => self.ticket.charge(&charge).await?,
        }
        self.charged = Charged { records: counts.released, keys: counts.keys.len(), ..Charged::default() };
        if let Some(account) = &mut self.account {
            account.noticed(&self.ticket.notices());
        }
        Ok(())
    }

    /// Charges to each request of a batch what it got. Bytes are counted before they are encoded.
    async fn charge_shares(&mut self) -> Result<(), Limited> {
        let counts = self.body.counts();
        while let Some(share) = counts.shares.get(self.charged.shares) {
            let before = self.charged.share;
            let more = share.keys.saturating_sub(before.keys);
            let end = self.charged.keys.saturating_add(more);
            let charge = Charge {
                records: share.released.saturating_sub(before.released),
                keys: counts.keys.get(self.charged.keys..end).unwrap_or_default(),
                bytes: share.bytes.saturating_sub(before.bytes),
                part: share.item,
            };
            match self.ticket.try_charge(&charge) {
                Some(charged) => charged?,
                None => self.ticket.charge(&charge).await?,
            }
            self.charged.keys = end;
            if self.charged.shares + 1 == counts.shares.len() {
                self.charged.share = *share;
                break;
            }
            self.charged.share = Share::default();
            self.charged.shares += 1;
        }
        if let Some(account) = &mut self.account {
            account.noticed(&self.ticket.notices());
        }
        Ok(())
    }

    /// Whether nothing comes behind this piece.
    fn is_over(&self, piece: Option<&Bytes>) -> bool {
        piece.is_none() || self.body.is_end_stream()
    }

    /// Writes the record of a whole answer.
    async fn finish(&mut self) -> Result<(), AuditError> {
        let Some(mut account) = self.account.take() else { return Err(AuditError::Closed) };
        account.counts(self.body.take_counts());
        account.used(&self.ticket.remaining());
        match account.complete() {
            Some(closing) => closing.await.map(drop),
            None => Err(AuditError::Closed),
        }
    }

    async fn step(mut self: Box<Self>) -> Step {
        match self.piece().await {
            Ok(piece) if self.is_over(piece.as_ref()) => match self.finish().await {
                Ok(()) => (piece.map(Ok), None),
                Err(error) => (Some(Err(error.into())), None),
            },
            Ok(piece) => (piece.map(Ok), Some(self)),
            Err(unfinished) => {
                self.cut(&unfinished);
                (Some(Err(unfinished)), None)
            }
        }
    }

    /// What was given out of an answer that goes no further: of the piece that it ends with, nothing was.
    fn given(&mut self) -> Counts {
        let mut counts = self.body.take_counts();
        if counts.shares.is_empty() {
            counts.released = counts.released.min(self.charged.records);
            counts.keys.truncate(self.charged.keys);
        }
        counts
    }

    fn cut(&mut self, why: &Unfinished) {
        let Some(mut account) = self.account.take() else { return };
        account.counts(self.given());
        account.used(&self.ticket.remaining());
        match why {
            Unfinished::Stream(StreamError::Upstream(error)) => account.upstream_failed(failure(error)),
            Unfinished::Stream(StreamError::Cut(_)) => account.upstream_failed(UpstreamFailure::Unscreenable),
            Unfinished::Limited(limited) => account.limited(limited),
            Unfinished::Barred(barred) => account.barred(barred),
            Unfinished::Lapsed(_) | Unfinished::Memory(_) | Unfinished::Audit(_) => {}
        }
        account.cut(why.kind(), why.to_string());
    }

    /// Before the first byte a stream that cannot go on is a refusal.
    fn give_back(mut self: Box<Self>, why: Unfinished) -> (Reject, Option<Account>) {
        let counts = Box::new(self.body.counts().clone());
        let reject = match why {
            Unfinished::Stream(StreamError::Cut(cut)) => Unscreenable::Cut { cut, counts }.into(),
            Unfinished::Stream(StreamError::Upstream(error)) => error.into(),
            Unfinished::Limited(limited) => limited.into(),
            Unfinished::Lapsed(lapsed) => lapsed.into(),
            Unfinished::Barred(barred) => barred.into(),
            Unfinished::Memory(error) => error.into(),
            Unfinished::Audit(error) => error.into(),
        };
        (reject, self.account.take())
    }
}

impl Drop for Carry {
    fn drop(&mut self) {
        if self.account.is_none() {
            return;
        }
        let given = self.given();
        if let Some(account) = &mut self.account {
            account.counts(given);
            account.used(&self.ticket.remaining());
        }
    }
}

impl Unfinished {
    /// A stable name for metrics.
    fn kind(&self) -> &'static str {
        match self {
            Self::Stream(error) => error.name(),
            Self::Limited(_) => "limit",
            Self::Lapsed(_) => "lapsed",
            Self::Barred(_) => "frozen",
            Self::Memory(_) => "memory",
            Self::Audit(_) => "audit",
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Unfinished;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Unfinished>>> {
        match &mut self.get_mut().0 {
            Kind::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Kind::Stream(stream) => {
                stream.poll_piece(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(body) => body.is_end_stream(),
            Kind::Stream(stream) => stream.ready.is_none() && matches!(stream.state, State::Ended),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(body) => body.size_hint(),
            Kind::Stream(stream) => stream.size_hint(),
        }
    }
}

impl Stream {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Unfinished>>> {
        if let Some(ready) = self.ready.take() {
            return Poll::Ready(Some(Ok(ready)));
        }
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Open(carry) => self.state = State::Working(Box::pin(carry.step())),
                State::Working(mut step) => {
                    let Poll::Ready((piece, carry)) = step.as_mut().poll(cx) else {
                        self.state = State::Working(step);
                        return Poll::Pending;
                    };
                    self.state = carry.map_or(State::Ended, State::Open);
                    if piece.is_some() {
                        return Poll::Ready(piece);
                    }
                }
            }
        }
    }

    /// Known where the whole answer is made already.
    fn size_hint(&self) -> SizeHint {
        let ready = self.ready.as_ref().map_or(0, |ready| ready.len() as u64);
        let behind = match &self.state {
            State::Ended => Some(0),
            State::Open(carry) => carry.body.size_hint().exact(),
            State::Working(_) => None,
        };
        behind.map_or_else(SizeHint::default, |behind| SizeHint::with_exact(ready + behind))
    }
}
