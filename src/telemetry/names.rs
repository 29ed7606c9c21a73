//! Every metric and label, once. Dashboards and alert rules under `deploy/` name only what stands here; a test
//! keeps that true. Labels have few values: never a person, a record or a free text.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations in buckets; gives `_bucket`, `_sum` and `_count` series.
    Histogram,
}

/// One metric: its name, labels and help text.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// `fieldgate_<noun>_<unit>[_total]`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels, in the order their values are given.
    pub labels: &'static [&'static str],
    /// What it says, for `# HELP` and the documentation.
    pub help: &'static str,
    /// Upper bounds of a histogram's buckets.
    pub buckets: &'static [f64],
}

/// Label names, and label values that stand for many.
pub mod label {
    /// A route as the policy writes it; [`UNMATCHED`] where none matched.
    pub const ROUTE: &str = "route";
    /// An action of the policy; [`NONE`] where there is none.
    pub const ACTION: &str = "action";
    /// An HTTP status that is registered, or its class (`4xx`).
    pub const STATUS: &str = "status";
    /// What became of a request: a [`Decision`](crate::telemetry::Decision).
    pub const DECISION: &str = "decision";
    /// A resource of the policy.
    pub const RESOURCE: &str = "resource";
    /// A declared field of a resource, dotted.
    pub const FIELD: &str = "field";
    /// What happened to a field: `shown`, `masked` or `hidden`.
    pub const ACCESS: &str = "access";
    /// What would have decided: `rules` in shadow, or another `policy`.
    pub const OF: &str = "of";
    /// How far it would have been another decision: `same`, `refuse`, `allow`, `change` or `unknown`.
    pub const EFFECT: &str = "effect";
    /// A limit of the policy.
    pub const LIMIT: &str = "limit";
    /// An api of the policy, which is also its upstream.
    pub const API: &str = "api";
    /// The kind of an error.
    pub const KIND: &str = "kind";
    /// Why something ended.
    pub const REASON: &str = "reason";
    /// A listener of the configuration.
    pub const LISTENER: &str = "listener";
    /// `downstream` (callers) or `upstream`.
    pub const SIDE: &str = "side";
    /// How a caller was authenticated, `none` where no credential was found.
    pub const METHOD: &str = "method";
    /// `success` or `failure`.
    pub const RESULT: &str = "result";
    /// How a request ended: an outcome of the audit.
    pub const OUTCOME: &str = "outcome";
    /// A version.
    pub const VERSION: &str = "version";
    /// The commit a binary was built from.
    pub const REVISION: &str = "revision";
    /// A log by name.
    pub const LOG: &str = "log";

    /// The value for a route where none matched.
    pub const UNMATCHED: &str = "unmatched";
    /// The value for whatever is not declared, or declared beyond the cap.
    pub const OTHER: &str = "other";
    /// The value where there is none.
    pub const NONE: &str = "none";
}

use label::{
    ACCESS, ACTION, API, DECISION, EFFECT, FIELD, KIND, LIMIT, LISTENER, LOG, METHOD, OF, OUTCOME, REASON,
    RESOURCE, RESULT, REVISION, ROUTE, SIDE, STATUS, VERSION,
};

/// Requests answered or refused.
pub const REQUESTS: Metric = counter(
    "fieldgate_requests_total",
    &[ROUTE, ACTION, STATUS, DECISION],
    "Requests by route, action, status and what was decided.",
);
/// From the request's head to the answer's last byte.
pub const REQUEST_DURATION: Metric = histogram(
    "fieldgate_request_duration_seconds",
    &[ROUTE],
    "Time from a request's head to the last byte of its answer.",
    SECONDS,
);
/// Requests being served.
pub const REQUESTS_IN_FLIGHT: Metric =
    gauge("fieldgate_requests_in_flight", &[], "Requests that have begun and not ended.");
/// Records given out.
pub const RECORDS_RELEASED: Metric =
    counter("fieldgate_records_released_total", &[RESOURCE], "Records released to callers.");
/// Records not given out.
pub const RECORDS_WITHHELD: Metric = counter(
    "fieldgate_records_withheld_total",
    &[RESOURCE],
    "Records in upstream answers that were not released.",
);
/// Fields of released records.
pub const FIELDS: Metric = counter(
    "fieldgate_fields_total",
    &[RESOURCE, FIELD, ACCESS],
    "Fields of released records by what happened to them: shown, masked or hidden.",
);
/// Members nobody declared.
pub const UNKNOWN_FIELDS: Metric = counter(
    "fieldgate_unknown_fields_total",
    &[RESOURCE],
    "Different undeclared member names seen in an answer, summed over answers; their names are in the audit.",
);
/// Requests that rules or a policy in shadow were asked about.
pub const SHADOW_DECISIONS: Metric = counter(
    "fieldgate_shadow_decisions_total",
    &[API, ACTION, OF, EFFECT],
    "Requests by what rules or a policy in shadow would have made of them; nothing of it has an effect.",
);
/// Fields that they would have treated otherwise.
pub const SHADOW_FIELDS: Metric = counter(
    "fieldgate_shadow_fields_total",
    &[RESOURCE, FIELD, ACCESS],
    "Requests on which rules or a policy in shadow would have treated a field otherwise, by how.",
);
/// The policy in shadow.
pub const SHADOW_POLICY_INFO: Metric = gauge(
    "fieldgate_shadow_policy_info",
    &[VERSION],
    "1 for the version of the policy in shadow; nothing where there is none or it does not pass `check`.",
);
/// Requests refused or streams cut by a limit.
pub const LIMIT_REFUSALS: Metric =
    counter("fieldgate_limit_refusals_total", &[LIMIT], "Requests refused or streams cut by a limit.");
/// Requests over a limit that only warns, or past its warning share.
pub const LIMIT_WARNINGS: Metric = counter(
    "fieldgate_limit_warnings_total",
    &[LIMIT],
    "Requests that went past a limit's warning share, or past a limit that only warns.",
);
/// Share of a limit used.
pub const LIMIT_USE: Metric = histogram(
    "fieldgate_limit_use_ratio",
    &[LIMIT],
    "Share of a limit that its caller had used when an answer under it ended (1 is all of it).",
    SHARES,
);
/// Limit counters that could not be read or written.
pub const LIMIT_FAILURES: Metric = counter(
    "fieldgate_limit_failures_total",
    &[LIMIT],
    "Charges that failed because the counter's store did.",
);
/// Until the head of the upstream's answer.
pub const UPSTREAM_FIRST_BYTE: Metric = histogram(
    "fieldgate_upstream_first_byte_seconds",
    &[API],
    "Time from sending a request upstream to the head of its answer.",
    SECONDS,
);
/// Until the end of the upstream's answer.
pub const UPSTREAM_DURATION: Metric = histogram(
    "fieldgate_upstream_duration_seconds",
    &[API],
    "Time from sending a request upstream to the end of its answer.",
    SECONDS,
);
/// Upstream requests that failed.
pub const UPSTREAM_ERRORS: Metric =
    counter("fieldgate_upstream_errors_total", &[API, KIND], "Upstream requests that failed, by kind.");
/// Requests sent to an upstream again.
pub const UPSTREAM_RETRIES: Metric = counter(
    "fieldgate_upstream_retries_total",
    &[API, REASON],
    "Requests sent to an upstream again, by why: connect, timeout, broken, or expired (the credential).",
);
/// Credentials for upstreams fetched.
pub const UPSTREAM_CREDENTIALS: Metric = counter(
    "fieldgate_upstream_credential_renewals_total",
    &[API, RESULT],
    "Times a credential for an upstream was fetched, by result.",
);
/// Hosts left alone.
pub const UPSTREAM_LEFT_ALONE: Metric = counter(
    "fieldgate_upstream_breaker_openings_total",
    &[API],
    "Times a host of an upstream failed so often in a row that it was left alone for a while.",
);
/// Hosts that get requests.
pub const UPSTREAM_HOSTS: Metric =
    gauge("fieldgate_upstream_hosts_available", &[API], "Hosts of an upstream that get requests.");
/// Requests under way to an upstream.
pub const UPSTREAM_IN_FLIGHT: Metric = gauge(
    "fieldgate_upstream_requests_in_flight",
    &[API],
    "Requests to an upstream whose answer has not ended, seen every second.",
);
/// Requests waiting for an upstream.
pub const UPSTREAM_PENDING: Metric = gauge(
    "fieldgate_upstream_requests_pending",
    &[API],
    "Requests that wait for a free place at an upstream, seen every second.",
);
/// The policy in force.
pub const POLICY_INFO: Metric =
    gauge("fieldgate_policy_info", &[VERSION], "1 for the version of the policy that is in force.");
/// Whether the last load of the policy succeeded.
pub const POLICY_LAST_RELOAD_SUCCESS: Metric = gauge(
    "fieldgate_policy_last_reload_success",
    &[],
    "1 if the last load of the policy succeeded, 0 if the policy before it stays in force.",
);
/// When a policy was last loaded.
pub const POLICY_LAST_RELOAD_SUCCESS_TIME: Metric = gauge(
    "fieldgate_policy_last_reload_success_timestamp_seconds",
    &[],
    "When a policy was last loaded successfully, in Unix time.",
);
/// Loads of the policy.
pub const POLICY_RELOADS: Metric =
    counter("fieldgate_policy_reloads_total", &[RESULT], "Loads of the policy by result.");
/// Answers ended unfinished by us.
pub const STREAMS_CUT: Metric = counter(
    "fieldgate_streams_cut_total",
    &[REASON],
    "Answers ended unfinished because the rest could not be screened, charged or recorded.",
);
/// Answers whose caller left.
pub const STREAMS_ABORTED: Metric =
    counter("fieldgate_streams_aborted_total", &[], "Answers whose caller went away before the last byte.");
/// Bytes taken in.
pub const RECEIVED_BYTES: Metric = counter(
    "fieldgate_received_bytes_total",
    &[SIDE],
    "Body bytes received from callers and from upstreams.",
);
/// Bytes given out.
pub const SENT_BYTES: Metric =
    counter("fieldgate_sent_bytes_total", &[SIDE], "Body bytes sent to callers and to upstreams.");
/// Connections open now.
pub const CONNECTIONS_OPEN: Metric =
    gauge("fieldgate_connections_open", &[LISTENER], "Connections of callers that are open.");
/// Connections accepted.
pub const CONNECTIONS: Metric =
    counter("fieldgate_connections_total", &[LISTENER], "Connections of callers that were accepted.");
/// Connections closed for what came over them.
pub const CONNECTIONS_REFUSED: Metric = counter(
    "fieldgate_connections_refused_total",
    &[REASON],
    "Connections closed by the listener: too many, failed handshake, malformed or slow request head.",
);
/// Attempts to authenticate.
pub const AUTHENTICATIONS: Metric = counter(
    "fieldgate_authentications_total",
    &[METHOD, RESULT],
    "Callers authenticated or refused, by method.",
);
/// Fetches of token issuers' keys.
pub const KEY_SET_FETCHES: Metric =
    counter("fieldgate_key_set_fetches_total", &[RESULT], "Fetches of the key sets of token issuers.");
/// Questions about opaque tokens.
pub const IDENTITY_QUESTIONS: Metric = counter(
    "fieldgate_identity_questions_total",
    &[METHOD, RESULT],
    "Questions to issuers and systems about whom a token stands for; a failure is no answer, not a no.",
);
/// Audit records written.
pub const AUDIT_RECORDS: Metric =
    counter("fieldgate_audit_records_total", &[OUTCOME], "Audit records written, by how the request ended.");
/// Failed audit writes.
pub const AUDIT_FAILURES: Metric = counter(
    "fieldgate_audit_failures_total",
    &[],
    "Writes to the audit log that failed and were tried again.",
);
/// Acts of administration that are in the store and not in the audit.
pub const ACTS_WAITING: Metric = gauge(
    "fieldgate_audit_acts_waiting",
    &[],
    "Acts of administration that wait in the store to be written to the audit.",
);
/// Principals that are frozen.
pub const FROZEN: Metric = gauge(
    "fieldgate_frozen_principals",
    &[],
    "Principals that are frozen: they get nothing until it is lifted.",
);
/// Freezes by limits.
pub const FREEZES: Metric =
    counter("fieldgate_limit_freezes_total", &[LIMIT], "Principals that a limit has frozen.");
/// Requests of frozen principals.
pub const FROZEN_REFUSALS: Metric = counter(
    "fieldgate_frozen_refusals_total",
    &[],
    "Requests refused and streams cut because their principal is frozen.",
);
/// Requests refused because nothing could be recorded.
pub const AUDIT_SUPPRESSED: Metric = counter(
    "fieldgate_audit_suppressed_total",
    &[],
    "Requests refused without a record of their own because the audit queue was full; their number is recorded.",
);
/// Whether the audit can be written.
pub const AUDIT_WRITABLE: Metric = gauge(
    "fieldgate_audit_writable",
    &[],
    "1 if the audit log takes records; at 0 protected requests are refused.",
);
/// Records waiting.
pub const AUDIT_QUEUED: Metric =
    gauge("fieldgate_audit_queued_records", &[], "Audit records waiting to be written.");
/// Time of one audit write.
pub const AUDIT_WRITE_DURATION: Metric = histogram(
    "fieldgate_audit_write_duration_seconds",
    &[],
    "Time of one write of the audit log, which may hold many records.",
    SECONDS,
);
/// Log lines dropped.
pub const LOG_LINES_DROPPED: Metric =
    counter("fieldgate_log_lines_dropped_total", &[LOG], "Log lines dropped because their queue was full.");
/// The binary.
pub const BUILD_INFO: Metric =
    gauge("fieldgate_build_info", &[VERSION, REVISION], "1; the labels name the binary that runs.");

/// All of Fieldgate's own metrics.
pub const ALL: &[Metric] = &[
    REQUESTS,
    REQUEST_DURATION,
    REQUESTS_IN_FLIGHT,
    RECORDS_RELEASED,
    RECORDS_WITHHELD,
    FIELDS,
    UNKNOWN_FIELDS,
    SHADOW_DECISIONS,
    SHADOW_FIELDS,
    SHADOW_POLICY_INFO,
    LIMIT_REFUSALS,
    LIMIT_WARNINGS,
    LIMIT_USE,
    LIMIT_FAILURES,
    UPSTREAM_FIRST_BYTE,
    UPSTREAM_DURATION,
    UPSTREAM_ERRORS,
    UPSTREAM_RETRIES,
    UPSTREAM_CREDENTIALS,
    UPSTREAM_LEFT_ALONE,
    UPSTREAM_HOSTS,
    UPSTREAM_IN_FLIGHT,
    UPSTREAM_PENDING,
    POLICY_INFO,
    POLICY_LAST_RELOAD_SUCCESS,
    POLICY_LAST_RELOAD_SUCCESS_TIME,
    POLICY_RELOADS,
    STREAMS_CUT,
    STREAMS_ABORTED,
    RECEIVED_BYTES,
    SENT_BYTES,
    CONNECTIONS_OPEN,
    CONNECTIONS,
    CONNECTIONS_REFUSED,
    AUTHENTICATIONS,
    KEY_SET_FETCHES,
    IDENTITY_QUESTIONS,
    AUDIT_RECORDS,
    AUDIT_FAILURES,
    AUDIT_SUPPRESSED,
    AUDIT_WRITABLE,
    AUDIT_QUEUED,
    AUDIT_WRITE_DURATION,
    ACTS_WAITING,
    FROZEN,
    FREEZES,
    FROZEN_REFUSALS,
    LOG_LINES_DROPPED,
    BUILD_INFO,
];

/// Metrics of the process itself, which the prometheus crate names (on Linux).
pub const PROCESS: &[&str] = &[
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
    "process_virtual_memory_bytes",
];

/// From a tenth of a millisecond to the longest export worth telling apart.
const SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0, 120.0,
];
const SHARES: &[f64] = &[0.1, 0.25, 0.5, 0.75, 0.8, 0.9, 0.95, 1.0];

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help, buckets: &[] }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help, buckets: &[] }
}

const fn histogram(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    buckets: &'static [f64],
) -> Metric {
    Metric { name, kind: Kind::Histogram, labels, help, buckets }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_follow_the_scheme() {
        let mut seen = BTreeSet::new();
        for metric in ALL {
            assert!(seen.insert(metric.name), "`{}` stands twice", metric.name);
            assert!(metric.name.starts_with("fieldgate_"), "{}", metric.name);
            assert!(
                metric.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{}",
                metric.name
            );
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
            assert_eq!(metric.buckets.is_empty(), metric.kind != Kind::Histogram, "{}", metric.name);
        }
    }
}
