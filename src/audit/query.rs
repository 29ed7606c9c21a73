//! Who saw what: the records of a log that fit a question, in order.
//!
//! Lines are read as they stand; whether they were changed is [`verify`](super::verify())'s business. A line that
//! cannot be read is counted, never skipped in silence, and so is a record that names fewer keys than it released
//! where a key is asked for.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use memchr::memmem;
use serde_json::Value;

use crate::telemetry::clean;

use super::canonical::write_text;
use super::chain::Link;
use super::content::{ADMINISTRATION, REQUEST};
use super::lines::{Line, Lines};
use super::record::{NAME_CAP, REASON_CAP};

/// What is asked for. Everything that is given must fit; a filter without anything fits every request and every act of
/// administration.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The caller: its id, its name, or the name of its credential.
    pub who: Option<String>,
    /// The route as the policy writes it, or a part of it.
    pub route: Option<String>,
    /// The action.
    pub action: Option<String>,
    /// The resource.
    pub resource: Option<String>,
    /// The key of a record that was released.
    pub key: Option<String>,
    /// A field that was released, shown or masked: `customer.phone`, or `phone` of any resource.
    pub field: Option<String>,
    /// How the request ended.
    pub outcome: Option<String>,
    /// The id of the request or of its decision.
    pub id: Option<String>,
    /// To what or whom an act of administration was done.
    pub target: Option<String>,
    /// Requests that began at this time or later.
    pub since: Option<Timestamp>,
    /// Requests that began before this time.
    pub until: Option<Timestamp>,
    /// Also what is neither a request nor an act of administration: starts and stops, repairs, policy changes. Without
    /// it they never fit.
    pub events: bool,
}

/// A record that fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Its number in the chain.
    pub sequence: u64,
    /// The record.
    pub record: Value,
    /// The whole line.
    pub line: String,
}

/// What a search left open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Lines that could not be read.
    pub unreadable: u64,
    /// Records that fit but for the key, and that released more records than they name.
    pub uncertain: u64,
}

/// A search through segments; gives the records that fit, in the log's order.
#[derive(Debug)]
pub struct Search {
    filter: Filter,
    /// Texts that a line must hold to fit, as JSON writes them: most lines are passed over by these alone.
    needles: Vec<Vec<u8>>,
    segments: std::vec::IntoIter<PathBuf>,
    lines: Option<Lines>,
    gaps: Gaps,
}

/// How a record fits.
enum Fit {
    Yes,
    No,
    /// It would if the key were among those it does not name.
    Perhaps,
}

impl Search {
    /// Begins a search.
    pub fn new(segments: Vec<PathBuf>, filter: Filter) -> Self {
        let filter = filter.cleaned();
        let needles = filter.needles();
        Self { filter, needles, segments: segments.into_iter(), lines: None, gaps: Gaps::default() }
    }

    /// What was left open so far.
    pub fn gaps(&self) -> Gaps {
        self.gaps
    }

    fn advance(&mut self) -> io::Result<Option<Match>> {
        loop {
            let Some(lines) = &mut self.lines else {
                let Some(path) = self.segments.next() else { return Ok(None) };
                self.lines = Some(Lines::open(&path)?);
                continue;
            };
            match lines.next()? {
                None => self.lines = None,
                Some((Line::Whole(line), _)) => {
                    if let Some(found) = judge(&self.filter, &self.needles, &mut self.gaps, line) {
                        return Ok(Some(found));
                    }
                }
                // Being written, or torn by a crash and repaired at the next start.
                Some((Line::Torn(_), _)) => {}
                Some((Line::TooLong, _)) => {
                    self.gaps.unreadable += 1;
                    self.lines = None;
                }
            }
        }
    }
}

impl Iterator for Search {
    type Item = io::Result<Match>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

impl Filter {
    /// Records hold cleaned texts, so what is looked for is cleaned too.
    fn cleaned(mut self) -> Self {
        let texts = [&mut self.who, &mut self.key, &mut self.field, &mut self.resource, &mut self.action];
        for text in texts.into_iter().flatten() {
            *text = clean(text, NAME_CAP);
        }
        if let Some(target) = &mut self.target {
            *target = clean(target, REASON_CAP);
        }
        self
    }

    fn needles(&self) -> Vec<Vec<u8>> {
        let whole = [&self.who, &self.action, &self.resource, &self.outcome, &self.id, &self.target];
        let needles = whole.into_iter().flatten().map(|text| {
            let mut needle = Vec::new();
            write_text(&mut needle, text);
            needle
        });
        needles.collect()
    }

    fn fits(&self, record: &Value) -> Fit {
        let text = |name: &str| record.get(name).and_then(Value::as_str);
        if text("type") == Some(ADMINISTRATION) {
            return if self.fits_act(record) { Fit::Yes } else { Fit::No };
        }
        if self.target.is_some() {
            return Fit::No;
        }
        if text("type") != Some(REQUEST) {
            return if self.events && self.is_open() && self.is_in_time(record) { Fit::Yes } else { Fit::No };
        }
        let is =
            |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
        let who = |name: &str| record.get("principal").and_then(|p| p.get(name)).and_then(Value::as_str);
        let fits = self.is_in_time(record)
            && (self.who.is_none()
                || ["id", "name", "credential"].iter().any(|name| is(&self.who, who(name))))
            && self.route.as_ref().is_none_or(|part| text("route").is_some_and(|route| route.contains(part)))
            && is(&self.action, text("action"))
            && is(&self.resource, text("resource"))
            && is(&self.outcome, text("outcome"))
            && (is(&self.id, text("id")) || is(&self.id, text("decision")))
            && self.field.as_ref().is_none_or(|field| released_field(record, field));
        match &self.key {
            _ if !fits => Fit::No,
            None => Fit::Yes,
            Some(key) => released_key(record, key),
        }
    }

    /// Acts fit what is asked of them, and never what only requests have.
    fn fits_act(&self, record: &Value) -> bool {
        let text = |name: &str| record.get(name).and_then(Value::as_str);
        let within = |object: &str, name: &str| record.get(object)?.get(name)?.as_str();
        let who = [within("actor", "user"), within("actor", "login"), within("facts", "principal")];
        let of_requests = [&self.route, &self.resource, &self.key, &self.field, &self.outcome];
        let is =
            |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
        of_requests.iter().all(|asked| asked.is_none())
            && self.is_in_time(record)
            && who.into_iter().any(|who| is(&self.who, who))
            && is(&self.action, text("action"))
            && is(&self.id, text("id"))
            && is(&self.target, text("target"))
    }

    /// Whether nothing is asked for that only requests have.
    fn is_open(&self) -> bool {
        let asked = [
            &self.who,
            &self.route,
            &self.action,
            &self.resource,
            &self.key,
            &self.field,
            &self.outcome,
            &self.id,
            &self.target,
        ];
        asked.iter().all(|text| text.is_none())
    }

    fn is_in_time(&self, record: &Value) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let time = record.get("time").and_then(Value::as_str).and_then(|time| time.parse::<Timestamp>().ok());
        time.is_some_and(|time| {
            self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
        })
    }
}

fn judge(filter: &Filter, needles: &[Vec<u8>], gaps: &mut Gaps, line: &[u8]) -> Option<Match> {
    let Some(link) = Link::parse(line) else {
        gaps.unreadable += 1;
        return None;
    };
    if !needles.iter().all(|needle| memmem::find(line, needle).is_some()) {
        return None;
    }
    let Ok(record) = serde_json::from_str::<Value>(link.record) else {
        gaps.unreadable += 1;
        return None;
    };
    match filter.fits(&record) {
        Fit::No => None,
        Fit::Perhaps => {
            gaps.uncertain += 1;
            None
        }
        Fit::Yes => {
            let line = String::from_utf8_lossy(line).into_owned();
            Some(Match { sequence: link.sequence, record, line })
        }
    }
}

fn released_field(record: &Value, wanted: &str) -> bool {
    let Some(fields) = record.get("fields") else { return false };
    ["shown", "masked"].iter().filter_map(|list| fields.get(list)?.as_array()).flatten().any(|field| {
        field.as_str().is_some_and(|field| {
            field == wanted || field.split_once('.').is_some_and(|(_, path)| path == wanted)
        })
    })
}

fn released_key(record: &Value, wanted: &str) -> Fit {
    let keys = record.get("keys").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let released = record.get("released").and_then(Value::as_u64).unwrap_or(0);
    if keys.iter().any(|key| key.as_str() == Some(wanted)) {
        Fit::Yes
    } else if released > keys.len() as u64 {
        Fit::Perhaps
    } else {
        Fit::No
    }
}

#[cfg(test)]
mod tests;
