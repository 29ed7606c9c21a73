//! How a record is written: the members of its JSON object, in canonical order. `docs/audit.md` explains each.

use jiff::Timestamp;

use super::canonical::Object;
use super::record::{Draft, Event, Outcome, Who};

impl Draft {
    /// Writes the members of a request's record.
    pub(super) fn write(&self, o: &mut Object<'_>) {
        let route = self.route.as_deref();
        let answer = &self.answer;
        o.maybe("action", route.and_then(|r| r.action.as_ref()).map(|action| action.name()));
        o.maybe("api", route.map(|r| &*r.api));
        o.number("bytes_received", self.received_bytes);
        o.number("bytes_sent", self.sent_bytes);
        o.flag("capped", answer.capped || self.capped);
        o.text("closed", &time(self.closed));
        o.maybe("decision", self.decision.map(|id| id.to_string()).as_deref());
        o.number("duration_us", u64::try_from(self.duration.as_micros()).unwrap_or(u64::MAX));
        o.object("fields", |o| {
            o.texts("hidden", &answer.hidden);
            o.texts("masked", &answer.masked);
            o.texts("shown", &answer.shown);
        });
        o.texts("grants", &answer.grants);
        o.text("id", &self.id.to_string());
        o.texts("keys", &answer.keys);
        o.texts("limits", &self.limits);
        o.text("listener", &self.listener);
        o.maybe("method", self.request.as_ref().map(|r| r.method.as_str()));
        o.text("outcome", self.outcome.name());
        o.maybe("path", self.request.as_ref().map(|r| r.path.as_str()));
        o.text("peer", &self.peer.to_string());
        o.maybe("policy_version", self.policy_version.as_deref());
        if let Some(who) = &self.principal {
            o.object("principal", |o| who.write(o));
        }
        o.maybe("reason", self.reason());
        o.number("released", answer.released);
        o.maybe("resource", route.and_then(|r| r.resource.as_deref()));
        o.texts("roles", &self.roles);
        o.maybe("route", route.map(|r| &*r.name));
        o.texts("rules", &self.rules);
        if let Some(status) = self.status {
            o.number("status", status.into());
        }
        o.text("time", &time(self.time));
        o.flag("tls", self.tls);
        o.text("type", REQUEST);
        o.texts("unknown_fields", &answer.unknown);
        if let Some(status) = self.upstream_status {
            o.number("upstream_status", status.into());
        }
        o.number("withheld", answer.withheld);
    }

    fn reason(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Refused(reason) | Outcome::Cut(reason) => Some(reason),
            Outcome::Denied => self.denial.as_deref(),
            Outcome::Complete | Outcome::Aborted => None,
        }
    }
}

impl Who {
    fn write(&self, o: &mut Object<'_>) {
        o.maybe("credential", self.credential.as_deref());
        o.text("id", &self.id);
        o.text("ip", &self.ip.to_string());
        o.text("issuer", &self.issuer);
        o.text("kind", self.kind);
        o.text("method", self.method);
        o.flag("mfa", self.mfa);
        o.maybe("name", self.name.as_deref());
    }
}

impl Event {
    /// Writes the members of an event's record.
    pub(super) fn write(&self, o: &mut Object<'_>) {
        o.text("event", self.kind);
        o.object("facts", |o| {
            for (name, text) in &self.members {
                o.text(name, text);
            }
        });
        o.text("time", &time(self.time));
        o.text("type", EVENT);
    }
}

/// A time as records write it: RFC 3339 in UTC, to the microsecond.
pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// The type of a request's record.
pub(super) const REQUEST: &str = "request";
/// The type of an event's record.
pub(super) const EVENT: &str = "event";
/// Longest line, which bounds what reading back takes. The caps of records keep well below it.
pub(super) const MAX_LINE_BYTES: usize = 2 << 20;
