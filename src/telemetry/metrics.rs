//! The metrics themselves: one [`Metrics`] a process, updated by the stages, read by `/metrics`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use super::names::{self, Metric, label};
use super::vocabulary::Vocabulary;

mod shadow;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Permitted by the policy.
    Permitted,
    /// A public route: passed without a principal.
    Public,
    /// No principal: 401.
    Unauthenticated,
    /// Refused by the policy.
    Denied,
    /// Refused by a limit.
    Limited,
    /// The request itself was refused: its target, query, body or framing.
    Refused,
    /// Permitted, and then the upstream or Fieldgate failed before the answer began.
    Failed,
}

impl Decision {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Permitted,
        Self::Public,
        Self::Unauthenticated,
        Self::Denied,
        Self::Limited,
        Self::Refused,
        Self::Failed,
    ];

    /// The label value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Permitted => "permitted",
            Self::Public => "public",
            Self::Unauthenticated => "unauthenticated",
            Self::Denied => "denied",
            Self::Limited => "limited",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Why a request to an upstream failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamFailure {
    /// No connection.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// Too many requests are running already.
    Busy,
    /// It did not answer in time.
    Timeout,
    /// The connection ended early.
    Closed,
    /// It broke HTTP.
    Protocol,
    /// Its answer could not be screened.
    Unscreenable,
    /// None of its hosts is well.
    Open,
    /// There is no credential for it, or none that may be used.
    Credential,
}

impl UpstreamFailure {
    /// The label value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Busy => "busy",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::Unscreenable => "unscreenable",
            Self::Open => "open",
            Self::Credential => "credential",
        }
    }
}

/// Which connection bytes went over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Between callers and us.
    Downstream,
    /// Between us and upstreams.
    Upstream,
}

/// One request that ended.
#[derive(Clone, Copy, Debug)]
pub struct RequestSeen<'r> {
    /// The route as the policy writes it; `None` where none matched.
    pub route: Option<&'r str>,
    /// The action, where the route has one.
    pub action: Option<&'r str>,
    /// The status answered.
    pub status: u16,
    /// What was decided.
    pub decision: Decision,
    /// From the head to the last byte.
    pub duration: Duration,
}

/// Something counted in a gauge for as long as this lives.
#[derive(Debug)]
pub struct Gauged(IntGauge);

impl Gauged {
    fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Gauged {
    fn drop(&mut self) {
        self.0.dec();
    }
}

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

    // === Requests ===

    /// Counts a request as running until the result is dropped.
    pub fn request_begun(&self) -> Gauged {
        Gauged::new(self.requests_in_flight.clone())
    }

    /// A request ended.
    pub fn request(&self, seen: RequestSeen<'_>) {
        let known = self.known.load();
        let route = match seen.route {
            Some(route) if known.names.routes.contains(route) => route,
            Some(_) => label::OTHER,
            None => label::UNMATCHED,
        };
        let action = match seen.action {
            Some(action) if ACTIONS.contains(&action) || known.names.actions.contains(action) => action,
            Some(_) => label::OTHER,
            None => label::NONE,
        };
        let mut digits = [0; 3];
        let status = status_label(seen.status, &mut digits);
        self.requests.with_label_values(&[route, action, status, seen.decision.name()]).inc();
        self.request_duration.with_label_values(&[route]).observe(seen.duration.as_secs_f64());
    }

    /// An answer was ended unfinished by us.
    pub fn stream_cut(&self, reason: &'static str) {
        self.streams_cut.with_label_values(&[reason]).inc();
    }

    /// A caller went away before the last byte of its answer.
    pub fn stream_aborted(&self) {
        self.streams_aborted.inc();
    }

    /// Body bytes came in.
    pub fn received(&self, side: Side, bytes: u64) {
        on(&self.received, side).inc_by(bytes);
    }

    /// Body bytes went out.
    pub fn sent(&self, side: Side, bytes: u64) {
        on(&self.sent, side).inc_by(bytes);
    }

    // === Records and fields ===

    /// Records of an answer.
    pub fn records(&self, resource: &str, released: u64, withheld: u64) {
        let known = self.known.load();
        let resource = known.names.resources.get(resource).map_or(label::OTHER, |r| r);
        if released > 0 {
            self.records_released.with_label_values(&[resource]).inc_by(released);
        }
        if withheld > 0 {
            self.records_withheld.with_label_values(&[resource]).inc_by(withheld);
        }
    }

    /// Fields of an answer's released records: `resource.field`, how often shown, masked, hidden.
    pub fn fields<'f>(&self, fields: impl IntoIterator<Item = (&'f str, u64, u64, u64)>) {
        let known = self.known.load();
        for (name, shown, masked, hidden) in fields {
            let other;
            let series = match known.fields.get(name) {
                Some(series) => series,
                None => {
                    let resource = name.split_once('.').map_or(name, |(resource, _)| resource);
                    let resource = known.names.resources.get(resource).map_or(label::OTHER, |r| r);
                    other = self.field_series(resource, label::OTHER);
                    &other
                }
            };
            series.shown.inc_by(shown);
            series.masked.inc_by(masked);
            series.hidden.inc_by(hidden);
        }
    }

    /// Undeclared members of an answer.
    pub fn unknown_fields(&self, resource: &str, names: u64) {
        let known = self.known.load();
        let resource = known.names.resources.get(resource).map_or(label::OTHER, |r| r);
        self.unknown_fields.with_label_values(&[resource]).inc_by(names);
    }

    // === Limits ===

    /// A limit refused a request or cut a stream.
    pub fn limit_refused(&self, limit: &str) {
        self.limit_refusals.with_label_values(&[self.limit(limit)]).inc();
    }

    /// A limit warned.
    pub fn limit_warned(&self, limit: &str) {
        self.limit_warnings.with_label_values(&[self.limit(limit)]).inc();
    }

    /// A limit's counter could not be read or written.
    pub fn limit_failed(&self, limit: &str) {
        self.limit_failures.with_label_values(&[self.limit(limit)]).inc();
    }

    /// A limit was charged and its caller has now used this share of it.
    pub fn limit_used(&self, limit: &str, share: f64) {
        self.limit_use.with_label_values(&[self.limit(limit)]).observe(share);
    }

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

    // === Policy ===

    /// A policy was loaded and is in force.
    pub fn policy_loaded(&self, version: &str, now: Timestamp) {
        self.policy_info.reset();
        self.policy_info.with_label_values(&[version]).set(1);
        self.policy_reloads.with_label_values(&[SUCCESS]).inc();
        self.policy_last_reload_success.set(1);
        self.policy_last_reload_success_time.set(now.as_duration().as_secs_f64());
    }

    /// A policy could not be loaded; the one before it stays.
    pub fn policy_rejected(&self) {
        self.policy_reloads.with_label_values(&[FAILURE]).inc();
        self.policy_last_reload_success.set(0);
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

    // === Audit and logs ===

    /// A record was written.
    pub fn audit_written(&self, outcome: &'static str) {
        self.audit_records.with_label_values(&[outcome]).inc();
    }

    /// A write of the audit took so long.
    pub fn audit_write(&self, took: Duration) {
        self.audit_write_duration.observe(took.as_secs_f64());
    }

    /// A write of the audit failed.
    pub fn audit_failed(&self) {
        self.audit_failures.inc();
    }

    /// A request was refused because the audit had no room for its record.
    pub fn audit_suppressed(&self) {
        self.audit_suppressed.inc();
    }

    /// Whether the audit takes records, and how many wait.
    pub fn audit_state(&self, writable: bool, queued: usize) {
        self.audit_writable.set(i64::from(writable));
        self.audit_queued.set(i64::try_from(queued).unwrap_or(i64::MAX));
    }

    /// Lines of a log were dropped.
    pub fn log_lines_dropped(&self, log: &'static str, lines: u64) {
        self.log_lines_dropped.with_label_values(&[log]).inc_by(lines);
    }

    // === Helpers ===

    fn limit<'n>(&self, name: &'n str) -> &'n str {
        if self.known.load().names.limits.contains(name) { name } else { label::OTHER }
    }

    fn api<'n>(&self, name: &'n str) -> &'n str {
        if self.known.load().names.apis.contains(name) { name } else { label::OTHER }
    }

    fn field_series(&self, resource: &str, field: &str) -> FieldSeries {
        let series = |access| self.fields.with_label_values(&[resource, field, access]);
        FieldSeries { shown: series("shown"), masked: series("masked"), hidden: series("hidden") }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The status itself if it is a usual one, else its class: an upstream cannot make a series for every number.
fn status_label(status: u16, digits: &mut [u8; 3]) -> &str {
    if !USUAL_STATUSES.contains(&status) {
        return match status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            5 => "5xx",
            _ => label::OTHER,
        };
    }
    let digit = |divisor: u16| u8::try_from(status / divisor % 10).map_or(b'?', |d| b'0' + d);
    *digits = [digit(100), digit(10), digit(1)];
    std::str::from_utf8(digits).unwrap_or(label::OTHER)
}

fn result(succeeded: bool) -> &'static str {
    if succeeded { SUCCESS } else { FAILURE }
}

fn on(counters: &[IntCounter; 2], side: Side) -> &IntCounter {
    let [downstream, upstream] = counters;
    match side {
        Side::Downstream => downstream,
        Side::Upstream => upstream,
    }
}

fn sides(counters: &IntCounterVec) -> [IntCounter; 2] {
    [counters.with_label_values(&["downstream"]), counters.with_label_values(&["upstream"])]
}

fn counter(registry: &Registry, metric: &Metric) -> IntCounter {
    registered(registry, IntCounter::with_opts(opts(metric)))
}

fn counters(registry: &Registry, metric: &Metric) -> IntCounterVec {
    registered(registry, IntCounterVec::new(opts(metric), metric.labels))
}

fn gauge(registry: &Registry, metric: &Metric) -> IntGauge {
    registered(registry, IntGauge::with_opts(opts(metric)))
}

fn timestamp(registry: &Registry, metric: &Metric) -> Gauge {
    registered(registry, Gauge::with_opts(opts(metric)))
}

fn gauges(registry: &Registry, metric: &Metric) -> IntGaugeVec {
    registered(registry, IntGaugeVec::new(opts(metric), metric.labels))
}

fn histogram(registry: &Registry, metric: &Metric) -> Histogram {
    registered(registry, Histogram::with_opts(histogram_opts(metric)))
}

fn histograms(registry: &Registry, metric: &Metric) -> HistogramVec {
    registered(registry, HistogramVec::new(histogram_opts(metric), metric.labels))
}

fn opts(metric: &Metric) -> Opts {
    Opts::new(metric.name, metric.help)
}

fn histogram_opts(metric: &Metric) -> HistogramOpts {
    HistogramOpts::new(metric.name, metric.help).buckets(metric.buckets.to_vec())
}

#[expect(
    clippy::expect_used,
    reason = "INVARIANT: the table in `names` is valid and without duplicates; a test builds it"
)]
fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: prometheus::Result<C>) -> C {
    let collector = collector.expect("a valid metric");
    register(registry, collector.clone());
    collector
}

#[expect(
    clippy::expect_used,
    reason = "INVARIANT: the table in `names` is valid and without duplicates; a test builds it"
)]
fn register(registry: &Registry, collector: impl Collector + 'static) {
    registry.register(Box::new(collector)).expect("a metric of its own");
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
const REVISION: &str = match option_env!("FIELDGATE_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};
const SUCCESS: &str = "success";
const FAILURE: &str = "failure";
const ACTIONS: [&str; 6] = ["list", "read", "create", "update", "delete", "export"];
/// Those that gateways and their upstreams answer, and 499 for a caller who left before there was an answer.
const USUAL_STATUSES: [u16; 35] = [
    200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 408, 409, 410, 412,
    413, 414, 415, 422, 423, 428, 429, 431, 499, 500, 501, 502, 503, 504,
];

#[cfg(test)]
mod tests;
