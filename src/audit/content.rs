//! How a record is written: the members of its JSON object, in canonical order. `docs/audit.md` explains each.

use std::borrow::Cow;
use std::fmt::{self, Display};

use jiff::Timestamp;

use crate::policy::Foreseen;
use crate::rewrite::FieldCount;
use crate::store::Act;

use super::canonical::Object;
use super::record::{
    Answer, Draft, Event, LIST_CAP, NAME_CAP, Outcome, PATH_CAP, REASON_CAP, SHADOW_CAP, URL_CAP, Who,
};

/// A time as records write it: RFC 3339 in UTC, to the microsecond.
pub(super) struct Time(pub(super) Timestamp);

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}", self.0)
    }
}

impl Draft {
    /// Writes the members of a request's record.
    pub(super) fn write(&self, o: &mut Object<'_>) {
        let route = self.route.as_deref();
        let answer = &self.answer;
        if let Some(action) = route.and_then(|route| route.action.as_ref()) {
            o.clean("action", action.name(), NAME_CAP);
        }
        if let Some(client) = self.announced {
            o.shown("announced", client);
        }
        maybe(o, "api", route.map(|route| &*route.api), NAME_CAP);
        o.number("bytes_received", self.received_bytes);
        o.number("bytes_sent", self.sent_bytes);
        o.flag("capped", self.is_capped());
        o.shown("closed", Time(self.closed));
        if let Some(id) = self.decision {
            o.shown("decision", id);
        }
        o.number("duration_us", u64::try_from(self.duration.as_micros()).unwrap_or(u64::MAX));
        o.object("fields", |o| {
            names(o, "hidden", answer.fields_with(|count| count.hidden));
            names(o, "masked", answer.fields_with(|count| count.masked));
            names(o, "shown", answer.fields_with(|count| count.shown));
        });
        names(o, "grants", &answer.grants);
        o.shown("id", self.id);
        o.cleaned("keys", answer.keys.iter().map(|key| unescaped(key)), NAME_CAP, answer.keys.len());
        names(o, "limits", &self.limits);
        o.clean("listener", &self.listener, NAME_CAP);
        maybe(o, "method", self.request.as_ref().map(|request| request.method.as_str()), NAME_CAP);
        if !self.operations.is_empty() {
            o.cleaned("operations", &self.operations, NAME_CAP, LIST_CAP);
        }
        o.text("outcome", self.outcome.name());
        maybe(o, "path", self.request.as_ref().map(|request| &*request.path), PATH_CAP);
        o.shown("peer", self.peer);
        maybe(o, "policy_version", self.policy_version.as_deref(), NAME_CAP);
        if let Some(who) = &self.principal {
            o.object("principal", |o| who.write(o));
        }
        maybe(o, "reason", self.reason(), REASON_CAP);
        o.number("released", answer.released);
        maybe(o, "resource", route.and_then(|route| route.resource.as_deref()), NAME_CAP);
        names(o, "roles", &self.roles);
        maybe(o, "route", route.map(|route| &*route.name), PATH_CAP);
        names(o, "rules", &self.rules);
        if !self.foreseen.is_empty() {
            o.object("shadow", |o| {
                let mut foreseen: Vec<_> = self.foreseen.iter().collect();
                foreseen.sort_by_key(|found| found.of.name());
                for found in foreseen {
                    o.object(found.of.name(), |o| shadow(found, o));
                }
            });
        }
        if let Some(status) = self.status {
            o.number("status", status.into());
        }
        o.shown("time", Time(self.time));
        o.flag("tls", self.tls);
        o.text("type", REQUEST);
        names(o, "unknown_fields", &answer.unknown);
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

    /// Whether a list is shorter than what was seen.
    fn is_capped(&self) -> bool {
        let answer = &self.answer;
        let lists = [
            self.roles.len(),
            self.rules.len(),
            self.limits.len(),
            self.operations.len(),
            answer.unknown.len(),
            answer.grants.len(),
        ];
        let mut foreseen = self.foreseen.iter().flat_map(|found| {
            let difference = &found.difference;
            [found.rules.len(), difference.fields.len(), difference.records.len()]
        });
        answer.more_keys
            || lists.into_iter().any(|length| length > LIST_CAP)
            || foreseen.any(|length| length > SHADOW_CAP)
            || answer.fields.len() > LIST_CAP
                && [|c: &FieldCount| c.hidden, |c: &FieldCount| c.masked, |c: &FieldCount| c.shown]
                    .into_iter()
                    .any(|times| answer.fields_with(times).count() > LIST_CAP)
    }
}

impl Answer {
    /// The fields that `times` counts at least once.
    fn fields_with(&self, times: impl Fn(&FieldCount) -> u64) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(_, count)| times(count) > 0).map(|(name, _)| &**name)
    }
}

impl Who {
    fn write(&self, o: &mut Object<'_>) {
        maybe(o, "credential", self.credential.as_deref(), NAME_CAP);
        o.clean("id", &self.id, NAME_CAP);
        o.shown("ip", self.ip);
        o.clean("issuer", &self.issuer, URL_CAP);
        o.text("kind", self.kind);
        o.text("method", self.method);
        o.flag("mfa", self.mfa);
        maybe(o, "name", self.name.as_deref(), NAME_CAP);
    }
}

impl Event {
    /// Writes the members of an event's record.
    pub(super) fn write(&self, o: &mut Object<'_>) {
        o.text("event", self.kind);
        o.object("facts", |o| {
            for (name, text) in &self.members {
                o.clean(name, text, REASON_CAP);
            }
        });
        o.shown("time", Time(self.time));
        o.text("type", EVENT);
    }
}

/// What rules or a policy in shadow would have decided otherwise: names, never values.
fn shadow(found: &Foreseen, o: &mut Object<'_>) {
    let difference = &found.difference;
    o.text("effect", found.effect.name());
    o.flag("envelope", difference.envelope);
    let names = |o: &mut Object<'_>, name, names: Vec<String>| o.cleaned(name, names, NAME_CAP, SHADOW_CAP);
    names(o, "fields", difference.fields.iter().take(SHADOW_CAP).map(ToString::to_string).collect());
    maybe(o, "reason", found.reason.as_deref(), REASON_CAP);
    let records = difference.records.iter().take(SHADOW_CAP);
    names(o, "records", records.map(|(name, change)| format!("{name}: {}", change.name())).collect());
    names(o, "rules", found.rules.iter().take(SHADOW_CAP).map(ToString::to_string).collect());
    o.clean("version", &found.version, NAME_CAP);
}

/// Writes the members of an act's record; `now` is when it is recorded.
pub(super) fn write_act(act: &Act, now: Timestamp, o: &mut Object<'_>) {
    o.clean("action", &act.action, NAME_CAP);
    o.object("actor", |o| {
        o.clean("host", &act.actor.host, NAME_CAP);
        maybe(o, "login", act.actor.login.as_deref(), NAME_CAP);
        o.clean("user", &act.actor.user, NAME_CAP);
    });
    o.texts("facts", &act.facts, REASON_CAP);
    o.shown("id", act.id);
    maybe(o, "reason", act.reason.as_deref(), REASON_CAP);
    o.shown("recorded", Time(now));
    o.clean("target", &act.target, REASON_CAP);
    o.shown("time", Time(act.time));
    o.text("type", ADMINISTRATION);
    o.cleaned("values", &act.values, NAME_CAP, LIST_CAP);
}

fn maybe(o: &mut Object<'_>, name: &'static str, text: Option<&str>, cap: usize) {
    if let Some(text) = text {
        o.clean(name, text, cap);
    }
}

fn names<T: AsRef<str>>(o: &mut Object<'_>, name: &'static str, names: impl IntoIterator<Item = T>) {
    o.cleaned(name, names, NAME_CAP, LIST_CAP);
}

/// A record key, which comes as JSON text without quotes, as the text it means.
fn unescaped(key: &str) -> Cow<'_, str> {
    if !key.contains('\\') {
        return key.into();
    }
    serde_json::from_str(&format!("\"{key}\"")).map_or(key.into(), Cow::Owned)
}

/// The type of a request's record.
pub(super) const REQUEST: &str = "request";
/// The type of an event's record.
pub(super) const EVENT: &str = "event";
/// The type of the record of an act of administration.
pub(super) const ADMINISTRATION: &str = "administration";
/// Longest line, which bounds what reading back takes. The caps of records keep well below it.
pub(super) const MAX_LINE_BYTES: usize = 2 << 20;
