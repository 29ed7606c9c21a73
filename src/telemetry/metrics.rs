//! The metrics themselves: one [`Metrics`] a process, updated by the stages, read by `/metrics`. What updates them stands
//! in the files below, by what it is about.

mod inside;
mod outside;
mod registry;
mod requests;
mod seen;
mod shadow;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use prometheus::{
    Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use self::registry::{counter, counters, gauge, gauges, histogram, histograms, register, timestamp};
use super::names;
use super::vocabulary::Vocabulary;

pub use self::seen::{Decision, Gauged, RequestSeen, Side, UpstreamFailure};

/// All metrics of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    known: ArcSwap<Known>,
    declaring: Mutex<()>,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    requests_in_flight: IntGauge,
    records_released: IntCounterVec,
    records_withheld: IntCounterVec,
    fields: IntCounterVec,
    unknown_fields: IntCounterVec,
    shadow_decisions: IntCounterVec,
    shadow_fields: IntCounterVec,
    shadow_policy_info: IntGaugeVec,
    limit_refusals: IntCounterVec,
    limit_warnings: IntCounterVec,
    limit_use: HistogramVec,
    limit_failures: IntCounterVec,
    upstream_first_byte: HistogramVec,
    upstream_duration: HistogramVec,
    upstream_errors: IntCounterVec,
    upstream_retries: IntCounterVec,
    upstream_credentials: IntCounterVec,
    upstream_left_alone: IntCounterVec,
    upstream_hosts: IntGaugeVec,
    upstream_in_flight: IntGaugeVec,
    upstream_pending: IntGaugeVec,
    policy_info: IntGaugeVec,
    policy_last_reload_success: IntGauge,
    policy_last_reload_success_time: Gauge,
    policy_reloads: IntCounterVec,
    streams_cut: IntCounterVec,
    streams_aborted: IntCounter,
    received: [IntCounter; 2],
    sent: [IntCounter; 2],
    connections_open: IntGaugeVec,
    connections: IntCounterVec,
    connections_refused: IntCounterVec,
    authentications: IntCounterVec,
    key_set_fetches: IntCounterVec,
    identity_questions: IntCounterVec,
    audit_records: IntCounterVec,
    audit_failures: IntCounter,
    audit_suppressed: IntCounter,
    audit_writable: IntGauge,
    audit_queued: IntGauge,
    audit_write_duration: Histogram,
    acts_waiting: IntGauge,
    frozen: IntGauge,
    freezes: IntCounterVec,
    frozen_refusals: IntCounter,
    log_lines_dropped: IntCounterVec,
}

/// The declared names, and the series of their fields at hand: an answer may touch a hundred of them.
#[derive(Debug, Default)]
struct Known {
    names: Vocabulary,
    fields: HashMap<Box<str>, FieldSeries>,
}

#[derive(Clone, Debug)]
struct FieldSeries {
    shown: IntCounter,
    masked: IntCounter,
    hidden: IntCounter,
}

impl Metrics {
    /// A fresh set, everything at zero. Every process and every test has its own.
    pub fn new() -> Self {
        let registry = Registry::new();
        let r = &registry;
        let received = counters(r, &names::RECEIVED_BYTES);
        let sent = counters(r, &names::SENT_BYTES);
        let build_info = gauges(r, &names::BUILD_INFO);
        build_info.with_label_values(&[VERSION, REVISION]).set(1);
        let metrics = Self {
            known: ArcSwap::default(),
            declaring: Mutex::new(()),
            requests: counters(r, &names::REQUESTS),
            request_duration: histograms(r, &names::REQUEST_DURATION),
            requests_in_flight: gauge(r, &names::REQUESTS_IN_FLIGHT),
            records_released: counters(r, &names::RECORDS_RELEASED),
            records_withheld: counters(r, &names::RECORDS_WITHHELD),
            fields: counters(r, &names::FIELDS),
            unknown_fields: counters(r, &names::UNKNOWN_FIELDS),
            shadow_decisions: counters(r, &names::SHADOW_DECISIONS),
            shadow_fields: counters(r, &names::SHADOW_FIELDS),
            shadow_policy_info: gauges(r, &names::SHADOW_POLICY_INFO),
            limit_refusals: counters(r, &names::LIMIT_REFUSALS),
            limit_warnings: counters(r, &names::LIMIT_WARNINGS),
            limit_use: histograms(r, &names::LIMIT_USE),
            limit_failures: counters(r, &names::LIMIT_FAILURES),
            upstream_first_byte: histograms(r, &names::UPSTREAM_FIRST_BYTE),
            upstream_duration: histograms(r, &names::UPSTREAM_DURATION),
            upstream_errors: counters(r, &names::UPSTREAM_ERRORS),
            upstream_retries: counters(r, &names::UPSTREAM_RETRIES),
            upstream_credentials: counters(r, &names::UPSTREAM_CREDENTIALS),
            upstream_left_alone: counters(r, &names::UPSTREAM_LEFT_ALONE),
            upstream_hosts: gauges(r, &names::UPSTREAM_HOSTS),
            upstream_in_flight: gauges(r, &names::UPSTREAM_IN_FLIGHT),
            upstream_pending: gauges(r, &names::UPSTREAM_PENDING),
            policy_info: gauges(r, &names::POLICY_INFO),
            policy_last_reload_success: gauge(r, &names::POLICY_LAST_RELOAD_SUCCESS),
            policy_last_reload_success_time: timestamp(r, &names::POLICY_LAST_RELOAD_SUCCESS_TIME),
            policy_reloads: counters(r, &names::POLICY_RELOADS),
            streams_cut: counters(r, &names::STREAMS_CUT),
            streams_aborted: counter(r, &names::STREAMS_ABORTED),
            received: sides(&received),
            sent: sides(&sent),
            connections_open: gauges(r, &names::CONNECTIONS_OPEN),
            connections: counters(r, &names::CONNECTIONS),
            connections_refused: counters(r, &names::CONNECTIONS_REFUSED),
            authentications: counters(r, &names::AUTHENTICATIONS),
            key_set_fetches: counters(r, &names::KEY_SET_FETCHES),
            identity_questions: counters(r, &names::IDENTITY_QUESTIONS),
            audit_records: counters(r, &names::AUDIT_RECORDS),
            audit_failures: counter(r, &names::AUDIT_FAILURES),
            audit_suppressed: counter(r, &names::AUDIT_SUPPRESSED),
            audit_writable: gauge(r, &names::AUDIT_WRITABLE),
            audit_queued: gauge(r, &names::AUDIT_QUEUED),
            audit_write_duration: histogram(r, &names::AUDIT_WRITE_DURATION),
            acts_waiting: gauge(r, &names::ACTS_WAITING),
            frozen: gauge(r, &names::FROZEN),
            freezes: counters(r, &names::FREEZES),
            frozen_refusals: counter(r, &names::FROZEN_REFUSALS),
            log_lines_dropped: counters(r, &names::LOG_LINES_DROPPED),
            registry,
        };
        #[cfg(target_os = "linux")]
        register(&metrics.registry, prometheus::process_collector::ProcessCollector::for_self());
        metrics
    }

    /// Adds the names that a policy and its configuration declare, when they are loaded. Names from before stay
    /// known; beyond the caps a name is counted as `other`.
    pub fn declare(&self, vocabulary: &Vocabulary) {
        let _one_at_a_time = self.declaring.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = self.known.load().names.clone();
        names.extend(vocabulary);
        let fields = names
            .fields
            .iter()
            .map(|(resource, field)| {
                (format!("{resource}.{field}").into(), self.field_series(resource, field))
            })
            .collect();
        self.known.store(Arc::new(Known { names, fields }));
    }

    /// Everything as `/metrics` serves it; its content type is [`Metrics::CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    /// The content type of [`Metrics::encode`].
    pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn sides(counters: &IntCounterVec) -> [IntCounter; 2] {
    [counters.with_label_values(&["downstream"]), counters.with_label_values(&["upstream"])]
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
const REVISION: &str = match option_env!("FIELDGATE_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};
const SUCCESS: &str = "success";
const FAILURE: &str = "failure";

#[cfg(test)]
mod tests;
