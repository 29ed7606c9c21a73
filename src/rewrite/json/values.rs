//! Scalars: what their state says is done when they begin, and finished when they end.

use super::super::automaton::{Act, Capture, Counted, NO_FIELD, Node};
use super::super::output::Output;
use super::super::plan::CutReason;
use super::emit::{self, TotalNow};
use super::lexer::Lex;
use super::machine::{Finish, Flow, Kind, Machine, Role, Step};
use super::text;

impl Machine {
    /// A scalar begins at `pos`.
    pub(crate) fn begin_scalar(&mut self, first: u8, slice: &[u8], out: &mut impl Output) -> Step {
        self.token_start = self.pos;
        self.token.clear();
        self.overflow = false;
        self.collect = false;
        self.finish = Finish::Nothing;
        if self.skip.is_some() {
            return Ok(());
        }
        let node = self.node();
        let act = match first {
            b'"' => node.text,
            b'n' => node.null,
            _ => node.other,
        };
        self.collect = node.capture == Capture::Key && self.silent.is_none();
        if node.capture == Capture::Slots {
            self.open_slot();
        }
        self.count(&node, act);
        if self.silent.is_some() {
            return Ok(());
        }
        let act = match act {
            Act::Embedded if self.embedded && self.frames.is_empty() => Act::Drop,
            act => self.in_row(act),
        };
        match act {
            Act::Keep => {
                self.keep_member(self.pos, slice, out);
                self.flow = Flow::Pass;
            }
            Act::Mask(mask) => {
                self.keep_member(self.pos, slice, out);
                self.flow = Flow::Discard;
                self.collect = true;
                self.finish = Finish::Mask(mask);
            }
            Act::Embedded => {
                self.set_aside(slice, out);
                self.collect = true;
                self.finish = Finish::Embedded;
            }
            Act::Total => self.total(slice, out),
            Act::NoRecord => {
                self.tally.counts.withheld += 1;
                self.keep_member(self.pos, slice, out);
                self.flow = Flow::Pass;
                self.records_over(slice, out);
            }
            Act::Unexpected => return Err(CutReason::Shape),
            Act::NullCounting => self.replace(b"null", slice, out),
            Act::Drop
            | Act::Walk
            | Act::DropCounting
            | Act::Open
            | Act::Record(_)
            | Act::Row(_)
            | Act::Pair(_) => {
                self.drop_member(slice, out);
                self.flow = Flow::Discard;
            }
        }
        Ok(())
    }

    /// In a positional row a hidden value leaves `null`, unless its column is gone from all rows.
    pub(crate) fn in_row(&self, act: Act) -> Act {
        let row = self.frames.last().filter(|frame| frame.role == Role::Row);
        match (act, row) {
            (Act::Drop, Some(row)) if !self.column_is_gone(row.index) => Act::NullCounting,
            (Act::DropCounting, Some(row)) if !self.column_is_gone(row.index) => Act::NullCounting,
            _ => act,
        }
    }

    fn column_is_gone(&self, index: u64) -> bool {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        self.compiled.gone_columns.get(index).copied().unwrap_or(true)
    }

    /// A scalar is complete; `raw` is its text if it was collected. `pos` is behind it.
    pub(crate) fn end_scalar(&mut self, raw: &[u8], slice: &[u8], out: &mut impl Output) -> Step {
        if self.skip.is_none() {
            if self.collect {
                let raw =
                    if self.overflow || raw.len() > self.plan.bounds.value_bytes { None } else { Some(raw) };
                self.collected(raw, slice, out)?;
            }
            self.end_value(slice, out);
        } else {
            self.lex = Lex::After;
        }
        Ok(())
    }

    fn collected(&mut self, raw: Option<&[u8]>, slice: &[u8], out: &mut impl Output) -> Step {
        if let Some(raw) = raw
            && self.node().capture == Capture::Key
        {
            self.tally.key(raw, self.plan.bounds.keys);
        }
        match std::mem::replace(&mut self.finish, Finish::Nothing) {
            Finish::Nothing => {}
            Finish::Mask(mask) => {
                self.masked.clear();
                match self.compiled.masks.get(mask).zip(raw) {
                    Some((mask, raw)) => text::mask(mask, raw, &mut self.masked),
                    None => self.masked.push_str("null"),
                }
                self.emit.write(self.masked.as_bytes(), slice, out);
            }
            Finish::Embedded => self.embedded(raw, slice, out),
        }
        Ok(())
    }

    /// A value has ended at `pos`.
    pub(crate) fn end_value(&mut self, slice: &[u8], out: &mut impl Output) {
        self.close_slot();
        match self.flow {
            Flow::Pass => self.emit.kept = self.pos,
            Flow::Discard => {
                self.emit.flush(slice, out);
                self.emit.skip_to(self.pos);
            }
            Flow::Undecided => {}
        }
        self.flow = if self.silent.is_some() { Flow::Discard } else { Flow::Undecided };
        self.lex = if self.kinds.is_empty() { Lex::Done } else { Lex::After };
    }

    pub(crate) fn count(&mut self, node: &Node, act: Act) {
        let Some(program) = self.programs.last().filter(|program| program.rule.is_some()) else { return };
        if node.field != NO_FIELD {
            let counted =
                if act == Act::Drop && node.counts != Counted::No { Counted::Hidden } else { node.counts };
            self.tally.field(node.field, counted);
        } else if (act == Act::Drop && node.container) || (!node.declared && self.in_array()) {
            let place = program.shape.state(self.child).map(|state| &state.place);
            self.tally.unknown(place.unwrap_or(&super::super::path::Path::default()), None);
        }
    }

    fn in_array(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.kind == Kind::Array)
    }

    /// The total's value begins here.
    pub(crate) fn total(&mut self, slice: &[u8], out: &mut impl Output) {
        let Some(total) = self.plan.layout.total.as_ref() else { return };
        let hold_bytes = self.plan.bounds.hold_for_total_bytes;
        match self.emit.total(total, hold_bytes) {
            TotalNow::Number => {
                let released = self.tally.counts.released.to_string();
                self.replace(released.as_bytes(), slice, out);
            }
            TotalNow::Null => self.replace(b"null", slice, out),
            TotalNow::Remove => {
                self.drop_member(slice, out);
                self.flow = Flow::Discard;
            }
            TotalNow::Hold => {
                let (start, comma) =
                    self.frames.last().map_or((0, false), |frame| (frame.start, frame.emitted));
                // The text around the member passes now; the member's own goes to where totals are held.
                let own = self.emit.undecided(self.pos) - start;
                self.set_aside(slice, out);
                let own =
                    self.emit.pending.split_off(self.emit.pending.len() - own.min(self.emit.pending.len()));
                self.keep_member(self.pos, slice, out);
                self.emit.hold_total(comma, slice, out);
                self.emit.write(&own, slice, out);
                self.emit.total_value(slice, out);
                self.flow = Flow::Discard;
            }
        }
    }

    /// The place of the records has been passed.
    pub(crate) fn records_over(&mut self, slice: &[u8], out: &mut impl Output) {
        if self.plan.layout.total.as_ref().is_some_and(|total| total.recount) {
            self.settle_total(slice, out);
        }
    }

    /// Totals are what was released until now.
    pub(crate) fn settle_total(&mut self, slice: &[u8], out: &mut impl Output) {
        let hold = emit::Hold {
            bytes: self.plan.bounds.hold_for_total_bytes,
            total: self.plan.layout.total.as_ref(),
        };
        self.emit.settle(self.tally.counts.released, hold, slice, out);
    }
}
