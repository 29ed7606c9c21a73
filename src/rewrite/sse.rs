//! Server-sent events (WHATWG HTML, section 9.2) whose data is a JSON record each. An event is held until its blank
//! line (bounded) and passes only with its record. `retry` passes if it is a number, `event` and `id` only if the plan
//! keeps members of these names; of a comment, the heartbeat passes without its text.

use std::sync::Arc;

use super::automaton::{Compiled, ROOT};
use super::condition::Params;
use super::json::{Framing, Machine, Tally};
use super::output::Output;
use super::path::Path;
use super::plan::{Cut, CutReason, RewritePlan};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Events being rewritten.
#[derive(Debug)]
pub(crate) struct SseEngine {
    plan: Arc<RewritePlan>,
    compiled: Arc<Compiled>,
    params: Params,
    pub(crate) tally: Tally,
    line: Vec<u8>,
    /// The byte before was a carriage return, which ended a line; a line feed now belongs to it.
    after_return: bool,
    event: Event,
    first: bool,
    offset: u64,
    bytes_out: u64,
}

/// The event that is being read.
#[derive(Debug, Default)]
struct Event {
    /// As it stands.
    raw: Vec<u8>,
    data: Option<Vec<u8>>,
    /// Lines that pass beside the data.
    others: Vec<u8>,
    comment: bool,
    /// A line of it goes.
    touched: bool,
}

impl SseEngine {
    pub(crate) fn new(plan: Arc<RewritePlan>, compiled: Arc<Compiled>, params: Params) -> Self {
        Self {
            tally: Tally::new(&plan, &compiled),
            plan,
            compiled,
            params,
            line: Vec::new(),
            after_return: false,
            event: Event::default(),
            first: true,
            offset: 0,
            bytes_out: 0,
        }
    }

    /// Takes the next chunk.
    pub(crate) fn push(&mut self, chunk: &[u8], out: &mut impl Output) -> Result<(), Cut> {
        self.tally.counts.bytes_in += chunk.len() as u64;
        for byte in chunk {
            self.byte(*byte, out)?;
            self.offset += 1;
        }
        self.tally.counts.bytes_out = self.bytes_out;
        Ok(())
    }

    /// Ends the answer. An event without its blank line is not complete.
    pub(crate) fn finish(&mut self, _out: &mut impl Output) -> Result<(), Cut> {
        let complete = self.line.is_empty() && self.event.raw.is_empty();
        if complete { Ok(()) } else { Err(self.cut(CutReason::Truncated)) }
    }

    /// Brings the named counts up to date.
    pub(crate) fn settle(&mut self) {
        self.tally.counts.bytes_out = self.bytes_out;
        self.tally.settle(&self.plan, &self.compiled);
    }

    fn cut(&self, reason: CutReason) -> Cut {
        Cut { reason, offset: self.offset }
    }

    fn byte(&mut self, byte: u8, out: &mut impl Output) -> Result<(), Cut> {
        let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        match byte {
            b'\n' if after_return => {
                if !self.event.raw.is_empty() {
                    self.event.raw.push(byte);
                }
                Ok(())
            }
            b'\n' | b'\r' => {
                let line = std::mem::take(&mut self.line);
                self.event.raw.extend_from_slice(&line);
                self.event.raw.push(byte);
                self.end_line(&line, out)
            }
            _ => {
                self.line.push(byte);
                let held = self.line.len() + self.event.raw.len();
                if held > self.plan.bounds.line_bytes { Err(self.cut(CutReason::Line)) } else { Ok(()) }
            }
        }
    }

    fn end_line(&mut self, line: &[u8], out: &mut impl Output) -> Result<(), Cut> {
        let mut line = line;
        if std::mem::replace(&mut self.first, false)
            && let Some(rest) = line.strip_prefix(BYTE_ORDER_MARK)
        {
            line = rest;
            self.event.touched = true;
        }
        if std::str::from_utf8(line).is_err() {
            return Err(self.cut(CutReason::Encoding));
        }
        if line.is_empty() {
            return self.dispatch(out);
        }
        let (name, value) = match memchr::memchr(b':', line) {
            Some(at) => (line.get(..at).unwrap_or_default(), line.get(at + 1..).unwrap_or_default()),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"" => (self.event.comment, self.event.touched) = (true, true),
            b"data" => match &mut self.event.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => self.event.data = Some(value.to_vec()),
            },
            name if self.passes(name, value) => {
                self.event.others.extend_from_slice(line);
                self.event.others.push(b'\n');
            }
            _ => self.event.touched = true,
        }
        Ok(())
    }

    fn passes(&self, name: &[u8], value: &[u8]) -> bool {
        let kept = |name: &str| self.plan.layout.keep.contains(&Path::name(name));
        match name {
            b"retry" => !value.is_empty() && value.iter().all(u8::is_ascii_digit),
            b"event" => kept("event"),
            b"id" => kept("id"),
            _ => false,
        }
    }

    /// The blank line has come.
    fn dispatch(&mut self, out: &mut impl Output) -> Result<(), Cut> {
        let event = std::mem::take(&mut self.event);
        let mut text = event.others.clone();
        match &event.data {
            Some(data) => match self.record(data)? {
                Some(record) if record == *data && !event.touched => text.clone_from(&event.raw),
                Some(record) => {
                    for line in record.split(|byte| *byte == b'\n') {
                        text.extend_from_slice(b"data: ");
                        text.extend_from_slice(line);
                        text.push(b'\n');
                    }
                    text.push(b'\n');
                }
                None => text.clear(),
            },
            None if event.comment || !text.is_empty() => {
                text.extend_from_slice(if event.comment { b":\n\n" } else { b"\n" });
            }
            None => {}
        }
        self.bytes_out += text.len() as u64;
        out.write(&text);
        Ok(())
    }

    /// The record of an event, rewritten; `None`: it does not pass.
    fn record(&mut self, data: &[u8]) -> Result<Option<Vec<u8>>, Cut> {
        let tally = std::mem::take(&mut self.tally);
        let bytes_in = tally.counts.bytes_in;
        let at = (Arc::clone(&self.compiled.layout), ROOT);
        let (plan, compiled, params) =
            (Arc::clone(&self.plan), Arc::clone(&self.compiled), self.params.clone());
        let mut machine = Machine::at(plan, compiled, params, Framing::Document, tally, at);
        let mut out = Vec::new();
        let read = machine.push(data, &mut out).and_then(|()| machine.finish(&mut out));
        let passes = machine.root_passes();
        self.tally = machine.tally;
        self.tally.counts.bytes_in = bytes_in;
        read.map_err(|cut| self.cut(cut.reason))?;
        Ok(passes.then_some(out))
    }
}
