//! All upstreams, by api.

use std::sync::Arc;

use crate::base::Clock;
use crate::policy::Permit;
use crate::request::UpstreamRequest;

use super::answer::UpstreamResponse;
use super::config::UpstreamConfig;
use super::error::{SetupError, UpstreamError};

/// The upstreams of all apis. Cheap to clone.
#[derive(Clone)]
pub struct Upstreams {}

/// How busy one upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// The api.
    pub api: Arc<str>,
    /// Requests in flight.
    pub in_flight: usize,
    /// Requests waiting.
    pub pending: usize,
}

impl Upstreams {
    /// Sets up pools; opens no connection. Every mistake is reported.
    pub fn new(
        configs: impl IntoIterator<Item = UpstreamConfig>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Vec<SetupError>> {
        let _ = (configs, clock);
        todo!("wire")
    }

    /// Sends a request to the permit's api and waits for the head of the answer.
    pub async fn send(
        &self,
        permit: &Permit,
        request: UpstreamRequest,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let _ = (permit, request);
        todo!("wire")
    }

    /// How busy each upstream is, for metrics.
    pub fn load(&self) -> Vec<Load> {
        todo!("wire")
    }
}
