//! All upstreams, by api.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::Clock;
use crate::policy::Permit;
use crate::request::UpstreamRequest;
use crate::telemetry::Metrics;

use super::answer::UpstreamResponse;
use super::config::UpstreamConfig;
use super::error::{SetupError, UpstreamError};
use super::exchange::Upstream;

/// The upstreams of all apis. Cheap to clone.
#[derive(Clone)]
pub struct Upstreams {
    by_api: Arc<HashMap<Arc<str>, Upstream>>,
}

/// How busy one upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// The api.
    pub api: Arc<str>,
    /// Requests in flight.
    pub in_flight: usize,
    /// Requests waiting.
    pub pending: usize,
    /// Hosts that get requests.
    pub well: usize,
}

impl Upstreams {
    /// Sets up pools; opens no connection. Every mistake is reported.
    pub fn new(
        configs: impl IntoIterator<Item = UpstreamConfig>,
        clock: Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, Vec<SetupError>> {
        let mut by_api = HashMap::new();
        let mut mistakes = Vec::new();
        for config in configs {
            let api = Arc::clone(&config.api);
            match Upstream::new(&config, Arc::clone(&clock), Arc::clone(metrics)) {
                Ok(upstream) => {
                    if by_api.insert(Arc::clone(&api), upstream).is_some() {
                        mistakes.push(SetupError::Duplicate(api));
                    }
                }
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if mistakes.is_empty() { Ok(Self { by_api: Arc::new(by_api) }) } else { Err(mistakes) }
    }

    /// Sends a request to the permit's api and waits for the head of the answer. Dropping the future abandons
    /// the exchange and its connection.
    pub async fn send(
        &self,
        permit: &Permit,
        request: UpstreamRequest,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let api = &permit.route().api;
        let upstream = self.by_api.get(api).ok_or_else(|| UpstreamError::Unknown(Arc::clone(api)))?;
        let (head, body, authorization) = request.into_parts();
        upstream.exchange(head, body, authorization).await
    }

    /// Does what is due: health checks, and gauges. It is called every second or so.
    pub async fn tick(&self) {
        futures_util::future::join_all(self.by_api.values().map(Upstream::tick)).await;
    }

    /// How busy each upstream is, for metrics; sorted by api.
    pub fn load(&self) -> Vec<Load> {
        let mut load: Vec<Load> = self.by_api.values().map(Upstream::load).collect();
        load.sort_by(|a, b| a.api.cmp(&b.api));
        load
    }
}
