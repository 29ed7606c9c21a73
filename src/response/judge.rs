//! The record read before a write.

use std::future::poll_fn;
use std::task::Poll;

use http::StatusCode;
use http::header::ETAG;

use crate::policy::{Permit, PreRead};
use crate::request::Applied;
use crate::rewrite::{Cut, CutReason};
use crate::upstream::UpstreamResponse;

use super::body::StreamError;
use super::transform::opened;
use super::unscreenable::Unscreenable;
use super::{content, errors};

/// The write's permissions that apply to the record as it is now. `None`: there are none, or it does not exist.
/// Nothing of it is kept unless the write needs it; then no more of it than its bound.
pub async fn judge(
    permit: &Permit,
    pre_read: &PreRead,
    mut answer: UpstreamResponse,
) -> Result<Option<Applied>, Unscreenable> {
    let status = answer.status();
    match status {
        StatusCode::OK => {}
        status if Unscreenable::is_absence(status) => return Ok(None),
        status if status.is_client_error() || status.is_server_error() => {
            return Err(Unscreenable::Status(status));
        }
        status => return Err(Unscreenable::Unexpected(status)),
    }
    if let Some(shape) = permit.route().errors.as_ref().filter(|shape| shape.told.is_some())
        && let Some(body) = errors::read(permit, &mut answer).await?
        && errors::is_told(shape, &body)
    {
        // What stands beside an error is not the record.
        return Err(Unscreenable::OwnError);
    }
    let plan = &pre_read.plan;
    let headers = &answer.head().headers;
    let coding = content::coding(headers)?;
    let charset = content::media_type(headers, &plan.format)?.charset;
    let mut tags = headers.get_all(ETAG).iter();
    let tag = tags.next().filter(|_| tags.next().is_none()).cloned();
    let mut screen = opened(plan, permit, answer, (coding, charset));
    let mut kept = Vec::new();
    let most = plan.bounds.record_bytes.saturating_add(plan.bounds.hold_for_total_bytes) as u64;
    poll_fn(|cx| {
        loop {
            while let Some(piece) = screen.take() {
                if pre_read.keep {
                    kept.extend_from_slice(&piece);
                }
            }
            let counts = screen.counts();
            if let Some(error) = screen.broken() {
                return Poll::Ready(Err(Unscreenable::before_the_head(error.clone(), counts)));
            }
            if screen.is_complete() {
                let released = counts.released > 0 && counts.withheld == 0;
                if !released {
                    return Poll::Ready(Ok(None));
                }
                let applied = Applied::new(pre_read, counts.grants.clone(), &kept, tag.clone());
                return Poll::Ready(Ok(Some(applied)));
            }
            if counts.bytes_in > most {
                let cut = Cut { reason: CutReason::Record, offset: counts.bytes_in };
                return Poll::Ready(Err(Unscreenable::before_the_head(StreamError::Cut(cut), counts)));
            }
            if screen.poll_work(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}
