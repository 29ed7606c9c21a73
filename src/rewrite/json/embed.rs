//! Text that holds JSON of its own: decoded, rewritten as a text of its own from the state where it stands, and
//! written back as a string. What is not JSON inside is hidden.

use std::sync::Arc;

use super::super::automaton::{FORBIDDEN, StateId};
use super::super::output::Output;
use super::super::path::Path;
use super::choose::Seen;
use super::machine::{Framing, Machine};
use super::tally::Tally;
use super::text::{decode_text, encode};

impl Machine {
    /// A text that holds JSON is complete; its member's text is pending.
    pub(crate) fn embedded(&mut self, raw: Option<&[u8]>, slice: &[u8], out: &mut impl Output) {
        let inner = raw.and_then(|raw| decode_text(raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?));
        let rewritten = inner.as_deref().and_then(|inner| self.rewrite_within(inner));
        match (rewritten, inner, raw) {
            (Some(rewritten), Some(inner), Some(raw)) if !rewritten.is_empty() => {
                self.keep_member(self.pos, slice, out);
                if rewritten == inner {
                    self.emit.write(raw, slice, out);
                } else {
                    let mut text = String::new();
                    encode(&rewritten, &mut text);
                    self.emit.write(text.as_bytes(), slice, out);
                }
            }
            (None, ..) => {
                self.drop_member(slice, out);
                let place = self.programs.last().and_then(|program| program.shape.state(self.child));
                self.tally.unknown(place.map_or(&Path::default(), |state| &state.place), None);
            }
            _ => self.drop_member(slice, out),
        }
    }

    /// `None`: not JSON. Empty: nothing in it may pass.
    fn rewrite_within(&mut self, inner: &str) -> Option<String> {
        self.within(inner, FORBIDDEN, Tally::default()).0?;
        let tally = std::mem::take(&mut self.tally);
        let (rewritten, tally) = self.within(inner, self.child, tally);
        self.tally = tally;
        rewritten.and_then(|bytes| String::from_utf8(bytes).ok())
    }

    fn within(&self, inner: &str, root: StateId, tally: Tally) -> (Option<Vec<u8>>, Tally) {
        let Some(program) = self.programs.last() else { return (None, tally) };
        let bytes = (tally.counts.bytes_in, tally.counts.bytes_out);
        let (plan, compiled) = (Arc::clone(&self.plan), Arc::clone(&self.compiled));
        let (params, at) = (self.params.clone(), (Arc::clone(program), root));
        let mut machine = Self::at(plan, compiled, params, Framing::Document, tally, at);
        machine.embedded = true;
        if root != FORBIDDEN {
            // It has been read once, so it is well-formed.
            let seen = Seen { program, value_bytes: self.plan.bounds.value_bytes };
            let blanks = inner.len() - inner.trim_ascii_start().len();
            let text = inner.as_bytes().get(blanks..).unwrap_or_default();
            machine.choices.resolve(seen, root, text, blanks as u64);
        }
        machine.depth_limit = self.depth_limit.saturating_sub(self.kinds.len() + 1);
        let mut out = Vec::new();
        let read = machine.push(inner.as_bytes(), &mut out).and_then(|()| machine.finish(&mut out));
        let kept = machine.root_kept;
        let mut tally = machine.tally;
        (tally.counts.bytes_in, tally.counts.bytes_out) = bytes;
        (read.ok().map(|()| if kept { out } else { Vec::new() }), tally)
    }
}
