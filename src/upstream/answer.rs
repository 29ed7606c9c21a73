//! The raw answer. Nobody but `response` looks inside.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::response::Parts;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::base::Clock;
use crate::telemetry::{Metrics, Side};

use super::credential::{Reflections, without_parameter};
use super::error::{Phase, UpstreamError};
use super::hosts::Held;
use super::origin::Origin;

/// An upstream's answer, unscreened.
pub struct UpstreamResponse {
    head: Parts,
    body: UpstreamBody,
    latency: Duration,
    origins: Arc<[Origin]>,
    own_parameter: Option<Arc<str>>,
    reflections: Option<Arc<Reflections>>,
    sniff_gzip: bool,
}

impl UpstreamResponse {
    pub(super) fn new(
        head: Parts,
        body: UpstreamBody,
        latency: Duration,
        origins: Arc<[Origin]>,
        sniff_gzip: bool,
    ) -> Self {
        Self { head, body, latency, origins, own_parameter: None, reflections: None, sniff_gzip }
    }

    /// Names the query parameter that carries the gateway's credential, which upstreams repeat in links, and what the
    /// credential would be seen as.
    pub(super) fn hide(&mut self, parameter: Option<Arc<str>>, reflections: Arc<Reflections>) {
        self.own_parameter = parameter;
        self.reflections = Some(reflections);
    }

    /// What the gateway's own credential would be seen as, if it showed one.
    pub(crate) fn reflections(&self) -> Option<&Arc<Reflections>> {
        self.reflections.as_ref()
    }

    /// The query parameter that carries it.
    pub(crate) fn own_parameter(&self) -> Option<&Arc<str>> {
        self.own_parameter.as_ref()
    }

    /// The upstream's status, for metrics.
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// Time from sending to the head of the answer, waiting for a slot included.
    pub fn latency(&self) -> Duration {
        self.latency
    }

    /// Counts what comes of its body, and when it has come to its end.
    #[must_use]
    pub fn metered(mut self, metrics: &Arc<Metrics>, api: &Arc<str>) -> Self {
        let began = self.body.clock.monotonic().saturating_sub(self.latency);
        let (metrics, api) = (Arc::clone(metrics), Arc::clone(api));
        self.body.meter = Some(Meter { metrics, api, began, bytes: 0 });
        self
    }

    /// Whether a claim of gzip is to be checked against the first bytes.
    pub(crate) fn sniff_gzip(&self) -> bool {
        self.sniff_gzip
    }

    /// Its head.
    pub(crate) fn head(&self) -> &Parts {
        &self.head
    }

    /// A URL of the upstream as path and query on the gateway's own origin; `None` for every other URL.
    pub(crate) fn localised(&self, url: &str) -> Option<String> {
        let local = self.origins.iter().find_map(|origin| origin.localised(url))?;
        match &self.own_parameter {
            Some(name) => without_parameter(&local, name),
            None => Some(local),
        }
    }

    /// What absolute URLs of the upstream begin with.
    pub(crate) fn origins(&self) -> Vec<String> {
        self.origins.iter().flat_map(Origin::spellings).collect()
    }

    /// Its body, if it is no longer than `most`; it is there still.
    pub(crate) async fn peek(&mut self, most: usize) -> Result<Option<Bytes>, UpstreamError> {
        self.body.peek(most).await
    }

    /// Its body, to ask whether there is one.
    pub(crate) fn body(&self) -> &UpstreamBody {
        &self.body
    }

    /// Opens it.
    pub(crate) fn into_body(self) -> UpstreamBody {
        self.body
    }
}

/// The body of an answer, under its timeouts; holds its connection slot until its end or until it is dropped. A
/// body that ends before its stated length is an error, never an end.
pub struct UpstreamBody {
    /// What was read already, to see whether the credential was good.
    first: Option<Bytes>,
    inner: Incoming,
    held: Option<Held>,
    clock: Arc<dyn Clock>,
    idle: Duration,
    deadline: Duration,
    timer: Option<(Pin<Box<Sleep>>, Phase)>,
    meter: Option<Meter>,
}

/// Counts a body.
struct Meter {
    metrics: Arc<Metrics>,
    api: Arc<str>,
    /// When its request was sent, on the clock's monotonic scale.
    began: Duration,
    bytes: u64,
}

impl UpstreamBody {
    /// `deadline` is on `clock`'s monotonic scale.
    pub(super) fn new(inner: Incoming, clock: Arc<dyn Clock>, idle: Duration, deadline: Duration) -> Self {
        Self { first: None, inner, held: None, clock, idle, deadline, timer: None, meter: None }
    }

    /// Keeps its place at the upstream until its end.
    pub(super) fn hold(&mut self, held: Held) {
        self.held = Some(held).filter(|_| !self.inner.is_end_stream());
    }

    /// Reads the beginning of a body, as much as `most` bytes or all of it; it is given out again. `None`: it is
    /// longer.
    pub(super) async fn peek(&mut self, most: usize) -> Result<Option<Bytes>, UpstreamError> {
        let mut first = BytesMut::new();
        let whole = loop {
            match std::future::poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await {
                None => break true,
                Some(frame) => {
                    let Ok(data) = frame?.into_data() else { break true };
                    first.extend_from_slice(&data);
                    if first.len() > most {
                        break false;
                    }
                }
            }
        };
        let first = first.freeze();
        self.first = Some(first.clone()).filter(|first| !first.is_empty());
        Ok(whole.then_some(first))
    }

    /// Waits for the timer that runs while the upstream is silent, starting it if needed. It measures the
    /// upstream only: it starts when a piece is asked for and not there, so a slow caller does not trip it.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<UpstreamError> {
        let (timer, phase) = self.timer.get_or_insert_with(|| {
            let left = self.deadline.saturating_sub(self.clock.monotonic());
            let phase = if left < self.idle { Phase::Total } else { Phase::Idle };
            (Box::pin(tokio::time::sleep(left.min(self.idle))), phase)
        });
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(UpstreamError::Timeout(*phase))
    }

    /// Reports the end, once.
    fn finished(&mut self) {
        if let Some(meter) = self.meter.take() {
            meter.metrics.received(Side::Upstream, meter.bytes);
            let took = self.clock.monotonic().saturating_sub(meter.began);
            meter.metrics.upstream_finished(&meter.api, took);
        }
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        if self.inner.is_end_stream() {
            // Nobody asked whether more would come.
            self.finished();
        } else if let Some(meter) = self.meter.take() {
            meter.metrics.received(Side::Upstream, meter.bytes);
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            if let Some(meter) = &mut this.meter {
                meter.bytes = meter.bytes.saturating_add(first.len() as u64);
            }
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.timer = None;
                if let (Some(meter), Some(data)) = (&mut this.meter, frame.data_ref()) {
                    meter.bytes = meter.bytes.saturating_add(data.len() as u64);
                }
                if this.clock.monotonic() >= this.deadline {
                    return Poll::Ready(Some(Err(UpstreamError::Timeout(Phase::Total))));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(UpstreamError::broken(&error)))),
            Poll::Ready(None) => {
                this.held = None;
                this.finished();
                Poll::Ready(None)
            }
            Poll::Pending => this.poll_timer(cx).map(|error| Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        let first = self.first.as_ref().map_or(0, Bytes::len) as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint.set_lower(hint.lower().saturating_add(first));
        hint
    }
}
