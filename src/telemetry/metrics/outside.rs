//! Who is on the other end: upstreams, connections, callers.

use std::time::Duration;

use super::seen::{Gauged, UpstreamFailure};
use super::{FAILURE, Metrics, SUCCESS};
use crate::telemetry::names::label;

impl Metrics {
    // === Upstreams ===

    /// The head of an upstream's answer came.
    pub fn upstream_answered(&self, api: &str, after: Duration) {
        self.upstream_first_byte.with_label_values(&[self.api(api)]).observe(after.as_secs_f64());
    }

    /// The last byte of an upstream's answer came.
    pub fn upstream_finished(&self, api: &str, after: Duration) {
        self.upstream_duration.with_label_values(&[self.api(api)]).observe(after.as_secs_f64());
    }

    /// A request to an upstream failed.
    pub fn upstream_failed(&self, api: &str, failure: UpstreamFailure) {
        self.upstream_errors.with_label_values(&[self.api(api), failure.name()]).inc();
    }

    /// A request is sent to an upstream again; `reason` is one of a few constants.
    pub fn upstream_retried(&self, api: &str, reason: &'static str) {
        self.upstream_retries.with_label_values(&[self.api(api), reason]).inc();
    }

    /// A credential for an upstream was fetched, or could not be.
    pub fn upstream_credential(&self, api: &str, fetched: bool) {
        let result = if fetched { "success" } else { "failure" };
        self.upstream_credentials.with_label_values(&[self.api(api), result]).inc();
    }

    /// A host of an upstream is left alone for a while.
    pub fn upstream_left_alone(&self, api: &str) {
        self.upstream_left_alone.with_label_values(&[self.api(api)]).inc();
    }

    /// How busy an upstream is, and how many of its hosts get requests.
    pub fn upstream_load(&self, api: &str, in_flight: usize, pending: usize, hosts: usize) {
        let api = self.api(api);
        let gauges = [
            (&self.upstream_in_flight, in_flight),
            (&self.upstream_pending, pending),
            (&self.upstream_hosts, hosts),
        ];
        for (gauge, value) in gauges {
            gauge.with_label_values(&[api]).set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    // === Connections and callers ===

    /// A connection was accepted; it counts as open until the result is dropped.
    pub fn connection(&self, listener: &str) -> Gauged {
        let known = self.known.load();
        let listener = known.names.listeners.get(listener).map_or(label::OTHER, |l| l);
        self.connections.with_label_values(&[listener]).inc();
        Gauged::new(self.connections_open.with_label_values(&[listener]))
    }

    /// The listener closed a connection for what came over it.
    pub fn connection_refused(&self, reason: &'static str) {
        self.connections_refused.with_label_values(&[reason]).inc();
    }

    /// A caller was authenticated by `method`, or was not.
    pub fn authentication(&self, method: &'static str, succeeded: bool) {
        self.authentications.with_label_values(&[method, result(succeeded)]).inc();
    }

    /// The keys of a token issuer were fetched, or could not be.
    pub fn key_set_fetched(&self, succeeded: bool) {
        self.key_set_fetches.with_label_values(&[result(succeeded)]).inc();
    }

    /// An issuer or a system was asked whom a token stands for, and answered or did not.
    pub fn identity_asked(&self, method: &'static str, answered: bool) {
        self.identity_questions.with_label_values(&[method, result(answered)]).inc();
    }

    fn api<'n>(&self, name: &'n str) -> &'n str {
        if self.known.load().names.apis.contains(name) { name } else { label::OTHER }
    }
}

fn result(succeeded: bool) -> &'static str {
    if succeeded { SUCCESS } else { FAILURE }
}
