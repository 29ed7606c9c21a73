//! What happens inside: limits, policies, the audit, logs.

use std::time::Duration;

use jiff::Timestamp;

use super::{FAILURE, Metrics, SUCCESS};
use crate::telemetry::names::label;

impl Metrics {
    // === Limits ===

    /// A limit refused a request or cut a stream.
    pub fn limit_refused(&self, limit: &str) {
        self.limit_refusals.with_label_values(&[self.limit(limit)]).inc();
    }

    /// A limit warned.
    pub fn limit_warned(&self, limit: &str) {
        self.limit_warnings.with_label_values(&[self.limit(limit)]).inc();
    }

    /// A limit froze a principal.
    pub fn limit_froze(&self, limit: &str) {
        self.freezes.with_label_values(&[self.limit(limit)]).inc();
    }

    /// So many principals are frozen.
    pub fn frozen(&self, principals: usize) {
        self.frozen.set(i64::try_from(principals).unwrap_or(i64::MAX));
    }

    /// A frozen principal got nothing.
    pub fn frozen_refused(&self) {
        self.frozen_refusals.inc();
    }

    /// A limit's counter could not be read or written.
    pub fn limit_failed(&self, limit: &str) {
        self.limit_failures.with_label_values(&[self.limit(limit)]).inc();
    }

    /// A limit was charged and its caller has now used this share of it.
    pub fn limit_used(&self, limit: &str, share: f64) {
        self.limit_use.with_label_values(&[self.limit(limit)]).observe(share);
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

    // === Audit and logs ===

    /// A record was written.
    pub fn audit_written(&self, outcome: &'static str) {
        self.audit_records.with_label_values(&[outcome]).inc();
    }

    /// So many acts of administration wait to be recorded.
    pub fn acts_waiting(&self, waiting: u64) {
        self.acts_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
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

    fn limit<'n>(&self, name: &'n str) -> &'n str {
        if self.known.load().names.limits.contains(name) { name } else { label::OTHER }
    }
}
