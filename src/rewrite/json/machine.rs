//! The engine proper: a stack of live containers, each at a state of its record's automaton, and what happens when
//! values, members and containers begin and end. Where the tokens come from is the business of `drive`.

use std::sync::Arc;

use super::super::automaton::{
    Act, Capture, Compiled, Counted, Decide, FORBIDDEN, NO_FIELD, Node, PASSING, Program, ROOT, StateId,
};
use super::super::condition::Params;
use super::super::output::Output;
use super::super::plan::{Cut, CutReason, RewritePlan};
use super::ahead::Ahead;
use super::emit::{self, Emit, TotalNow};
use super::hold::{Forced, Hold};
use super::lexer::{Lex, NumberState, StringState};
use super::routes::{Routes, Trail};
use super::tally::Tally;
use super::text;

/// How texts follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// One text.
    Document,
    /// One a line.
    Lines,
    /// Each after a record separator (RFC 7464).
    Sequence,
}

/// Object or array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
}

/// What a live container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Part of a record or of the envelope.
    Plain,
    /// A record; its program ends with it.
    Record,
    /// A positional row: its elements are the columns.
    Row,
    /// A name/value pair; the state of its value, and its site.
    Pair(StateId, u32),
    /// A record that is read to be decided.
    Probe,
}

/// A live container.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) state: StateId,
    pub(crate) kind: Kind,
    pub(crate) role: Role,
    /// A member of it has passed.
    pub(crate) emitted: bool,
    /// The member before has passed.
    pub(crate) last_kept: bool,
    /// It has a member.
    pub(crate) filled: bool,
    /// Index of the current element.
    pub(crate) index: u64,
    /// Undecided bytes before the current member's text.
    pub(crate) start: usize,
    /// Undecided bytes before this container's own value.
    pub(crate) value: usize,
    /// Where its member names are guessed.
    pub(crate) trail: Option<Trail>,
}

/// What becomes of the bytes that flow by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Undecided,
    Pass,
    Discard,
}

/// What is done with a scalar when it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Nothing,
    Mask(u32),
    Embedded,
}

/// One JSON answer, or a stream of records, being rewritten.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) plan: Arc<RewritePlan>,
    pub(crate) compiled: Arc<Compiled>,
    pub(crate) params: Params,
    pub(crate) framing: Framing,
    pub(crate) depth_limit: usize,
    /// Inside a text that holds JSON.
    pub(crate) embedded: bool,
    /// A record separator has come before the current text.
    pub(crate) separated: bool,
    pub(crate) lex: Lex,
    pub(crate) string: StringState,
    pub(crate) number: NumberState,
    /// Blanks since the last token.
    pub(crate) blanks: usize,
    /// The bytes of a token that began in an earlier slice.
    pub(crate) token: Vec<u8>,
    /// Where the current token starts in the slice.
    pub(crate) token_start: usize,
    /// The current token is kept in whole for its end.
    pub(crate) collect: bool,
    /// It was too long for that.
    pub(crate) overflow: bool,
    pub(crate) finish: Finish,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) frames: Vec<Frame>,
    /// Frames whose openers have been written.
    pub(crate) opened: usize,
    pub(crate) programs: Vec<Arc<Program>>,
    /// The state of the next value.
    pub(crate) child: StateId,
    /// Inside a subtree that is kept or dropped whole: the depth where it ends.
    pub(crate) skip: Option<usize>,
    /// Inside a subtree that is only counted or probed: the number of frames around it.
    pub(crate) silent: Option<usize>,
    pub(crate) flow: Flow,
    pub(crate) emit: Emit,
    pub(crate) tally: Tally,
    /// Whether the current root value passes.
    pub(crate) root_kept: bool,
    pub(crate) hold: Option<Hold>,
    /// The record being held, where it began in an earlier slice.
    pub(crate) held: Vec<u8>,
    pub(crate) forced: Option<Forced>,
    /// Offset of the slice in the answer.
    pub(crate) base: u64,
    pub(crate) pos: usize,
    /// How far the slice may be read: to its end, or to the bound of a held record.
    pub(crate) end: usize,
    /// Where member names are decoded.
    pub(crate) scratch: Vec<u8>,
    /// Where masked values are made.
    pub(crate) masked: String,
    /// By rule: the program for all its grants.
    pub(crate) always: Vec<(usize, Arc<Program>)>,
    pub(crate) last_program: Option<Arc<Program>>,
    pub(crate) ahead: Ahead,
    pub(crate) routes: Routes,
}

/// The answer is cut here.
pub(crate) type Step = Result<(), CutReason>;

impl Machine {
    pub(crate) fn new(
        plan: Arc<RewritePlan>,
        compiled: Arc<Compiled>,
        params: Params,
        framing: Framing,
    ) -> Self {
        let tally = Tally::new(&plan, &compiled);
        let layout = Arc::clone(&compiled.layout);
        let mut machine = Self::at(plan, compiled, params, framing, tally, (layout, ROOT));
        machine.lex = Lex::Start(0);
        machine
    }

    /// A machine whose root is at a state of a program.
    pub(crate) fn at(
        plan: Arc<RewritePlan>,
        compiled: Arc<Compiled>,
        params: Params,
        framing: Framing,
        tally: Tally,
        (program, root): (Arc<Program>, StateId),
    ) -> Self {
        Self {
            depth_limit: plan.bounds.depth,
            plan,
            compiled,
            params,
            framing,
            embedded: false,
            separated: false,
            lex: Lex::Value,
            string: StringState::default(),
            number: NumberState::default(),
            blanks: 0,
            token: Vec::new(),
            token_start: 0,
            collect: false,
            overflow: false,
            finish: Finish::Nothing,
            kinds: Vec::new(),
            frames: Vec::new(),
            opened: 0,
            programs: vec![program],
            child: root,
            skip: None,
            silent: None,
            flow: Flow::Undecided,
            emit: Emit::default(),
            tally,
            root_kept: false,
            hold: None,
            held: Vec::new(),
            forced: None,
            base: 0,
            pos: 0,
            end: 0,
            scratch: Vec::new(),
            masked: String::new(),
            always: Vec::new(),
            last_program: None,
            ahead: Ahead::default(),
            routes: Routes::default(),
        }
    }

    /// Whether the current root value passes.
    pub(crate) fn root_passes(&self) -> bool {
        self.root_kept
    }

    pub(crate) fn cut(&self, reason: CutReason) -> Cut {
        Cut { reason, offset: self.base + self.pos as u64 }
    }

    pub(crate) fn node(&self) -> Node {
        match self.programs.last() {
            Some(program) => *program.node(self.child),
            None => *self.compiled.layout.node(FORBIDDEN),
        }
    }

    // === what passes and what goes ===

    /// The text of the current member passes up to `at`, and with it everything around it that was undecided.
    pub(crate) fn keep_member(&mut self, at: usize, slice: &[u8], out: &mut impl Output) {
        match self.frames.last_mut() {
            Some(frame) => (frame.emitted, frame.last_kept) = (true, true),
            None => self.root_kept = true,
        }
        self.keep_text(at, slice, out);
    }

    fn keep_text(&mut self, at: usize, slice: &[u8], out: &mut impl Output) {
        if self.flow == Flow::Discard {
            // Nothing that was discarded on the way here may come back.
            self.emit.flush(slice, out);
            self.emit.skip_to(at);
        }
        self.emit.pass(at, slice, out);
        if self.opened < self.frames.len() {
            if self.opened == 0 {
                self.root_kept = true;
            }
            let parents = self.opened.saturating_sub(1)..self.frames.len() - 1;
            for frame in self.frames.get_mut(parents).unwrap_or_default() {
                (frame.emitted, frame.last_kept) = (true, true);
            }
            self.opened = self.frames.len();
        }
    }

    /// The text of the current member goes, as far as it has come.
    pub(crate) fn drop_member(&mut self, slice: &[u8], out: &mut impl Output) {
        let start = match self.frames.last_mut() {
            Some(frame) => {
                frame.last_kept = false;
                frame.start
            }
            None => {
                self.root_kept = false;
                0
            }
        };
        self.emit.cut_back(start, self.pos, slice, out);
    }

    /// The undecided text stays so, apart from the slice, and what follows is discarded.
    pub(crate) fn set_aside(&mut self, slice: &[u8], out: &mut impl Output) {
        let length = self.emit.undecided(self.pos);
        self.emit.cut_back(length, self.pos, slice, out);
        self.flow = Flow::Discard;
    }

    /// `bytes` stand in the place of the value that begins or ends here; the member's text before it passes.
    pub(crate) fn replace(&mut self, bytes: &[u8], slice: &[u8], out: &mut impl Output) {
        self.keep_member(self.pos, slice, out);
        self.emit.write(bytes, slice, out);
        self.flow = Flow::Discard;
    }

    // === values ===

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
    fn in_row(&self, act: Act) -> Act {
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

    fn count(&mut self, node: &Node, act: Act) {
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
    fn total(&mut self, slice: &[u8], out: &mut impl Output) {
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

    // === containers ===

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
        program.shape.element(frame.state, index)
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
        if let Role::Pair(value, site) = frame.role {
            self.child = match self.compiled.sites.get(site as usize).map(|site| &site.decide) {
                Some(Decide::Pair(pair)) if pair.value.as_bytes() == name => value,
                Some(Decide::Pair(pair)) if pair.name.as_bytes() == name => PASSING,
                _ => FORBIDDEN,
            };
            return;
        }
        self.child = program.member(frame.state, name);
        if program.rule.is_some() {
            if !program.node(self.child).declared {
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
