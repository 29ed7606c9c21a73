//! Requests, and the records and fields of their answers.

use prometheus::IntCounter;

use super::seen::{Gauged, RequestSeen, Side};
use super::{FieldSeries, Metrics};
use crate::telemetry::names::label;

impl Metrics {
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

    pub(super) fn field_series(&self, resource: &str, field: &str) -> FieldSeries {
        let series = |access| self.fields.with_label_values(&[resource, field, access]);
        FieldSeries { shown: series("shown"), masked: series("masked"), hidden: series("hidden") }
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

fn on(counters: &[IntCounter; 2], side: Side) -> &IntCounter {
    let [downstream, upstream] = counters;
    match side {
        Side::Downstream => downstream,
        Side::Upstream => upstream,
    }
}

const ACTIONS: [&str; 6] = ["list", "read", "create", "update", "delete", "export"];
/// Those that gateways and their upstreams answer, and 499 for a caller who left before there was an answer.
const USUAL_STATUSES: [u16; 35] = [
    200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 408, 409, 410, 412,
    413, 414, 415, 422, 423, 428, 429, 431, 499, 500, 501, 502, 503, 504,
];

#[cfg(test)]
mod tests {
    use super::status_label;

    #[test]
    fn unusual_statuses_are_counted_by_their_class() {
        let mut digits = [0; 3];
        for (status, expected) in [
            (200, "200"),
            (429, "429"),
            (418, "4xx"),
            (299, "2xx"),
            (599, "5xx"),
            (0, "other"),
            (999, "other"),
        ] {
            assert_eq!(status_label(status, &mut digits), expected);
        }
    }
}
