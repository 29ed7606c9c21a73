//! Containers: opened, walked member by member, closed.

use super::super::automaton::{Act, Capture, Decide, FORBIDDEN, PASSING, StateId};
use super::super::output::Output;
use super::super::plan::CutReason;
use super::lexer::Lex;
use super::machine::{Flow, Frame, Kind, Machine, Role, Step};
use super::text;

impl Machine {
    /// A container begins at `pos`.
    pub(crate) fn open(&mut self, kind: Kind, slice: &[u8], out: &mut impl Output) -> Step {
        if self.kinds.len() >= self.depth_limit {
            return Err(CutReason::Depth);
        }
        if self.skip.is_some() {
            self.enter(kind);
            return Ok(());
        }
        if let Some(forced) = self.forced.take() {
            return self.open_forced(forced, kind, slice, out);
        }
        let node = self.node();
        let act = match kind {
            Kind::Object => node.object,
            Kind::Array => node.array,
        };
        if node.capture == Capture::Slots {
            self.open_slot();
        }
        self.count(&node, act);
        if self.silent.is_some() {
            match act {
                Act::Walk | Act::DropCounting | Act::NullCounting => {
                    self.push_frame(kind, Role::Plain, self.child)
                }
                _ => self.skip = Some(self.kinds.len()),
            }
            self.enter(kind);
            return Ok(());
        }
        match self.in_row(act) {
            Act::Keep => {
                self.keep_member(self.pos, slice, out);
                self.skip_subtree(kind, Flow::Pass);
            }
            Act::Drop => {
                self.drop_member(slice, out);
                self.skip_subtree(kind, Flow::Discard);
            }
            Act::Mask(_) => {
                self.replace(b"null", slice, out);
                self.skip_subtree(kind, Flow::Discard);
            }
            Act::Walk => self.push_live(kind, Role::Plain, self.child, false, slice, out),
            Act::Open => self.push_live(kind, Role::Plain, self.child, true, slice, out),
            Act::DropCounting => {
                self.drop_member(slice, out);
                self.push_silent(kind, Role::Plain, self.child);
            }
            Act::NullCounting => {
                self.replace(b"null", slice, out);
                self.push_silent(kind, Role::Plain, self.child);
            }
            Act::Record(site) | Act::Row(site) | Act::Pair(site) => self.open_record(site, kind, slice, out),
            Act::Total => {
                self.total(slice, out);
                self.skip_subtree(kind, Flow::Discard);
            }
            Act::Unexpected | Act::NoRecord | Act::Embedded => return Err(CutReason::Shape),
        }
        Ok(())
    }

    pub(crate) fn skip_subtree(&mut self, kind: Kind, flow: Flow) {
        self.flow = flow;
        self.skip = Some(self.kinds.len());
        self.enter(kind);
    }

    /// Behind the opening bracket.
    fn enter(&mut self, kind: Kind) {
        self.kinds.push(kind);
        self.pos += 1;
        self.lex = match kind {
            Kind::Object => Lex::KeyOrEnd,
            Kind::Array => Lex::ValueOrEnd,
        };
    }

    fn push_frame(&mut self, kind: Kind, role: Role, state: StateId) {
        self.frames.push(Frame {
            state,
            kind,
            role,
            emitted: false,
            last_kept: true,
            filled: false,
            index: 0,
            start: 0,
            value: 0,
            trail: None,
        });
        if kind == Kind::Array {
            if self.programs.last().is_some_and(|program| program.shape.is_choosing(state)) {
                self.choices.open(self.frames.len(), self.base + self.pos as u64);
            }
            self.child = self.element(0);
        }
    }

    pub(crate) fn push_silent(&mut self, kind: Kind, role: Role, state: StateId) {
        self.flow = Flow::Discard;
        self.silent = Some(self.frames.len());
        self.push_frame(kind, role, state);
        self.enter(kind);
    }

    /// A container whose members are looked at: written as soon as something in it passes, or at once.
    pub(crate) fn push_live(
        &mut self,
        kind: Kind,
        role: Role,
        state: StateId,
        at_once: bool,
        slice: &[u8],
        out: &mut impl Output,
    ) {
        let value = self.emit.undecided(self.pos);
        self.push_frame(kind, role, state);
        self.enter(kind);
        if at_once {
            self.keep_text(self.pos, slice, out);
        }
        let start = self.emit.undecided(self.pos);
        if let Some(frame) = self.frames.last_mut() {
            (frame.start, frame.value) = (start, value);
        }
    }

    /// The state of an element of the innermost container.
    fn element(&self, index: u64) -> StateId {
        let (Some(frame), Some(program)) = (self.frames.last(), self.programs.last()) else {
            return FORBIDDEN;
        };
        if is_row(frame) {
            let column = usize::try_from(index).ok().and_then(|index| program.columns.get(index));
            return column.copied().unwrap_or(FORBIDDEN);
        }
        match program.shape.is_choosing(frame.state).then(|| self.choices.of(self.frames.len(), index)) {
            Some(Some(choices)) => program.shape.chosen(frame.state, index, choices),
            Some(None) | None => program.shape.element(frame.state, index),
        }
    }

    /// A member name is complete; `raw` is its text without quotes.
    pub(crate) fn key(&mut self, raw: &[u8]) -> Step {
        let mut scratch = std::mem::take(&mut self.scratch);
        let name = if self.string.escaped {
            text::decode(raw, &mut scratch).ok_or(CutReason::Encoding)?;
            scratch.as_slice()
        } else {
            raw
        };
        if self.skip.is_none() {
            self.member(name);
        }
        self.scratch = scratch;
        self.lex = Lex::Colon;
        Ok(())
    }

    fn member(&mut self, name: &[u8]) {
        let (Some(frame), Some(program)) = (self.frames.last_mut(), self.programs.last()) else { return };
        frame.filled = true;
        let learnt = frame.trail.as_mut().and_then(|trail| self.routes.follow(trail, name));
        if let Role::Pair(value, site) = frame.role {
            self.child = match self.compiled.sites.get(site as usize).map(|site| &site.decide) {
                Some(Decide::Pair(pair)) if pair.value.as_bytes() == name => value,
                Some(Decide::Pair(pair)) if pair.name.as_bytes() == name => PASSING,
                _ => FORBIDDEN,
            };
            return;
        }
        self.child = learnt.unwrap_or_else(|| program.member(frame.state, name));
        if program.rule.is_some() {
            // What has been learnt has been noted.
            if learnt.is_none() && !program.node(self.child).declared {
                let place = program.shape.state(frame.state).map(|state| &state.place);
                self.tally.unknown(place.unwrap_or(&super::super::path::Path::default()), Some(name));
            }
        } else if let Some(hold) = &mut self.hold {
            hold.visit(self.child, &self.compiled);
        }
    }

    /// A comma at `pos`.
    pub(crate) fn comma(&mut self, slice: &[u8], out: &mut impl Output) -> Step {
        let kind = self.kinds.last().copied().ok_or(CutReason::Malformed)?;
        self.lex = if kind == Kind::Object { Lex::Key } else { Lex::Value };
        if self.skip.is_some() {
            return Ok(());
        }
        if self.silent.is_none() {
            let Some(frame) = self.frames.last().copied() else { return Err(CutReason::Malformed) };
            if frame.last_kept {
                self.keep_text(self.pos, slice, out);
            } else {
                self.emit.cut_back(frame.start, self.pos, slice, out);
            }
            if !frame.emitted {
                self.emit.flush(slice, out);
                self.emit.skip_to(self.pos + 1);
            }
        }
        let start = self.emit.undecided(self.pos);
        let Some(frame) = self.frames.last_mut() else { return Err(CutReason::Malformed) };
        frame.start = start;
        frame.index += 1;
        let (kind, index) = (frame.kind, frame.index);
        if kind == Kind::Array {
            self.child = self.element(index);
            self.ragged(index)?;
        }
        Ok(())
    }

    /// A row with more values than columns.
    fn ragged(&self, index: u64) -> Step {
        let columns = self.programs.last().map_or(0, |program| program.columns.len()) as u64;
        if self.frames.last().is_some_and(is_row) && index >= columns {
            Err(CutReason::Ragged)
        } else {
            Ok(())
        }
    }

    /// A closing bracket at `pos`.
    pub(crate) fn close(&mut self, kind: Kind, slice: &[u8], out: &mut impl Output) -> Step {
        if self.kinds.pop() != Some(kind) {
            return Err(CutReason::Malformed);
        }
        self.pos += 1;
        match self.skip {
            Some(depth) if depth == self.kinds.len() => {
                self.skip = None;
                self.end_value(slice, out);
                return Ok(());
            }
            Some(_) => {
                self.lex = Lex::After;
                return Ok(());
            }
            None => {}
        }
        let frame = self.frames.pop().ok_or(CutReason::Malformed)?;
        if is_row(&frame) {
            self.whole_row(&frame)?;
        }
        if frame.role == Role::Probe {
            self.opened = self.opened.min(self.frames.len());
            return self.decide(slice, out);
        }
        if let Some(silent) = self.silent {
            if silent == self.frames.len() {
                self.silent = None;
            }
            self.end_value(slice, out);
            return Ok(());
        }
        self.close_live(&frame, slice, out);
        self.end_value(slice, out);
        Ok(())
    }

    fn close_live(&mut self, frame: &Frame, slice: &[u8], out: &mut impl Output) {
        let node = self.programs.last().map(|program| *program.node(frame.state));
        let empty = node.map_or(Act::Drop, |node| node.empty);
        if self.opened > self.frames.len() {
            self.emit.pass(self.pos, slice, out);
            self.opened = self.frames.len();
        } else {
            let gives = if frame.filled { Act::Drop } else { empty };
            match self.in_row(gives) {
                Act::Keep => self.keep_member(self.pos, slice, out),
                Act::Mask(_) | Act::NullCounting => {
                    self.emit.cut_back(frame.value, self.pos, slice, out);
                    self.keep_member(self.pos, slice, out);
                    self.emit.write(b"null", slice, out);
                }
                _ => self.drop_member(slice, out),
            }
        }
        match frame.role {
            Role::Record | Role::Row => {
                self.programs.pop();
                if self.at_single_record() {
                    self.records_over(slice, out);
                }
            }
            Role::Plain if node.is_some_and(|node| node.ends_records) => self.records_over(slice, out),
            Role::Plain | Role::Pair(..) | Role::Probe => {}
        }
    }

    /// Whether the value that ends is the answer's one record.
    pub(crate) fn at_single_record(&self) -> bool {
        self.programs.len() == 1 && self.compiled.sites.first().is_some_and(|site| site.top && !site.list)
    }

    fn whole_row(&self, frame: &Frame) -> Step {
        let columns = self.programs.last().map_or(0, |program| program.columns.len()) as u64;
        let values = if frame.filled { frame.index + 1 } else { 0 };
        if values == columns { Ok(()) } else { Err(CutReason::Ragged) }
    }
}

/// Whether a container is a positional row, being read or being written.
fn is_row(frame: &Frame) -> bool {
    frame.kind == Kind::Array && matches!(frame.role, Role::Row | Role::Probe)
}
