//! Members of an object that is filtered, as long as they and their values lie in the slice whole. A member is looked at
//! as a whole before anything is done about it, so whatever is not for here is left to the others as it stands. The
//! commonest members have a loop of their own (`plain`).

use std::sync::Arc;

use super::super::automaton::{Capture, Compiled, FORBIDDEN, Program, StateId};
use super::super::output::Output;
use super::super::path::Path;
use super::super::plan::Bounds;
use super::emit::Emit;
use super::hold::Hold;
use super::index::{BLANKS_KEPT, View, Whole};
use super::lexer::Lex;
use super::machine::{Framing, Kind, Machine, Role};
use super::routes::{Class, Do, Routes, Todo, Trail};
use super::skip::{At, Limits};
use super::tally::Tally;
use super::text;

/// Where the loop is.
pub(super) struct Run<'s> {
    pub(super) view: View<'s>,
    /// The state of the object.
    pub(super) state: StateId,
    /// Nothing passes here.
    pub(super) silent: bool,
    /// The object's own opener has not been written.
    pub(super) closed: bool,
    pub(super) trail: Trail,
    pub(super) cursor: usize,
    pub(super) pos: usize,
    pub(super) lex: Lex,
    /// The state of a container's value that has begun.
    pub(super) child: Option<StateId>,
    /// From here to `start`, all passes.
    pub(super) mark: usize,
    /// Where the current member's text starts.
    pub(super) start: usize,
    pub(super) emitted: bool,
    pub(super) last_kept: bool,
}

/// What the loop works on.
pub(super) struct Parts<'m> {
    program: &'m Arc<Program>,
    compiled: &'m Compiled,
    pub(super) bounds: &'m Bounds,
    depth_limit: usize,
    /// Offset of the slice in the answer.
    base: u64,
    pub(super) routes: &'m mut Routes,
    pub(super) emit: &'m mut Emit,
    pub(super) tally: &'m mut Tally,
    kinds: &'m mut Vec<Kind>,
    pub(super) masking: Masking<'m>,
    pub(super) hold: Option<&'m mut Hold>,
}

/// What masks need.
pub(super) struct Masking<'m> {
    compiled: &'m Compiled,
    value_bytes: usize,
    scratch: &'m mut String,
}

impl Machine {
    /// Reads members; `false`: the next one is not for here. Blanks before the first one have been looked at.
    #[inline(never)]
    pub(crate) fn members(&mut self, slice: &[u8], out: &mut impl Output) -> bool {
        let Some(frame) = self.frames.last().copied() else { return false };
        let plain =
            frame.kind == Kind::Object && matches!(frame.role, Role::Plain | Role::Record | Role::Probe);
        let (silent, closed) = (self.silent.is_some(), self.opened < self.frames.len());
        if !plain || !(silent || self.emit.pending.is_empty()) {
            return false;
        }
        let (Some(program), Some(pos)) = (self.programs.last(), self.ahead.place(self.ahead.cursor)) else {
            return false;
        };
        let text = slice.get(..self.end).unwrap_or(slice);
        let lines = self.framing == Framing::Lines;
        let mut run = Run {
            view: View::new(&self.ahead, text, lines, self.plan.bounds.number_bytes),
            state: frame.state,
            silent,
            closed,
            trail: frame.trail.unwrap_or_else(|| self.routes.enter(program, frame.state)),
            cursor: self.ahead.cursor,
            pos,
            lex: self.lex,
            child: None,
            mark: self.emit.mark,
            start: self.emit.kept + frame.start,
            emitted: frame.emitted,
            last_kept: frame.last_kept,
        };
        let mut parts = Parts {
            program,
            compiled: &self.compiled,
            bounds: &self.plan.bounds,
            depth_limit: self.depth_limit,
            base: self.base,
            routes: &mut self.routes,
            emit: &mut self.emit,
            tally: &mut self.tally,
            kinds: &mut self.kinds,
            masking: Masking {
                compiled: &self.compiled,
                value_bytes: self.plan.bounds.value_bytes,
                scratch: &mut self.masked,
            },
            hold: self.hold.as_mut(),
        };
        while run.plain(&mut parts, slice, out) && run.member(&mut parts, slice, out) {}
        let Run { trail, cursor, pos: to, lex, child, mark, start, emitted, last_kept, .. } = run;
        if let Some(frame) = self.frames.last_mut() {
            frame.trail = Some(trail);
        }
        // Whatever comes next, if it is a member it has been looked at.
        self.ahead.stuck = Some(cursor);
        if to == pos {
            return false;
        }
        (self.ahead.cursor, self.pos, self.lex, self.blanks) = (cursor, to, lex, 0);
        self.child = child.unwrap_or(FORBIDDEN);
        let settled = !silent && (!closed || emitted);
        if let Some(frame) = self.frames.last_mut() {
            (frame.emitted, frame.last_kept, frame.filled) = (emitted, last_kept, true);
            frame.start = if settled { 0 } else { frame.start };
        }
        if settled {
            (self.emit.mark, self.emit.kept) = (mark, start);
            if closed {
                self.open_up();
            }
        }
        true
    }
}

impl Run<'_> {
    /// One member and the comma behind it; `false`: the run ends here.
    #[inline(never)]
    fn member(&mut self, parts: &mut Parts<'_>, slice: &[u8], out: &mut impl Output) -> bool {
        let view = self.view;
        let Some([quote, _, third, fourth]) = view.places(self.cursor) else { return false };
        if quote != self.pos && !view.only_blanks(0, self.pos, quote) {
            return false;
        }
        let bytes = view.chunk(quote).copied().unwrap_or_else(|| view.last_chunk(quote));
        let before = self.trail;
        let mut looked_up = None;
        let (colon, todo) = match parts.routes.guess(&mut self.trail, &bytes) {
            Some((length, todo)) => (quote + length + 2, todo),
            None => match parts.look_up(self, quote) {
                Some((colon, todo)) => (colon, &*looked_up.insert(todo)),
                None => return false,
            },
        };
        let close = colon + 1;
        let from = if view.byte(close) > b' ' { close } else { view.past_blanks(close) };
        let class = Class::of(view.byte(from));
        let (act, counter) = todo.about(class);
        let (child, capture) = (todo.child, todo.capture);
        let watched = todo.watched && parts.hold.is_some();
        if from - close > BLANKS_KEPT {
            self.trail = before;
            return false;
        }
        let value = match class {
            Class::Text if third == from => view.string(from, fourth, self.cursor + 3),
            Class::Text => None,
            Class::Bare | Class::Null => view.bare(from, third, self.cursor + 2),
            Class::Object | Class::Array => {
                let skipped =
                    if watched || act == Do::Other { None } else { parts.skipped(self, from, class) };
                if skipped.is_none() && !watched && third == from {
                    // Its member has begun, the rest is not for here.
                    (self.child, self.cursor, self.pos, self.lex) =
                        (Some(child), self.cursor + 2, from, Lex::Value);
                    return false;
                }
                skipped
            }
        };
        let Some(value) = value else {
            self.trail = before;
            return false;
        };
        let stop = view.byte(value.stop);
        let alone = self.closed && !self.emitted && !self.silent && act == Do::Drop;
        if !matches!(stop, b',' | b'}') || act == Do::Other || alone {
            self.trail = before;
            return false;
        }
        if watched && let Some(hold) = &mut parts.hold {
            hold.visit(child, parts.compiled);
            if capture == Capture::Slots {
                hold.note(parts.program, child, [value.from, value.to].map(|at| parts.base + at as u64));
            }
        }
        parts.tally.up(counter);
        if !self.silent {
            if capture == Capture::Key && !matches!(class, Class::Object | Class::Array) {
                parts.tally.bounded_key(view.text(value.from, value.to), parts.bounds);
            }
            self.act(act, value, parts, slice, out);
        }
        if stop == b'}' {
            self.start = value.to;
            if !self.last_kept {
                self.mark = value.to;
            }
            (self.cursor, self.pos, self.lex) = (value.cursor, value.to, Lex::After);
            return false;
        }
        self.start = value.stop + usize::from(!self.emitted);
        if !self.last_kept {
            self.mark = self.start;
        }
        (self.cursor, self.pos, self.lex) = (value.cursor + 1, value.stop + 1, Lex::Key);
        true
    }

    /// Does what is to be done with a member's value.
    #[inline(always)]
    fn act(&mut self, act: Do, value: Whole, parts: &mut Parts<'_>, slice: &[u8], out: &mut impl Output) {
        match act {
            Do::Keep => (self.emitted, self.last_kept) = (true, true),
            Do::Drop => {
                if self.mark < self.start {
                    (parts.emit.mark, parts.emit.kept) = (self.mark, self.start);
                    parts.emit.flush(slice, out);
                }
                self.last_kept = false;
            }
            Do::Mask(mask) => {
                let Whole { from, to, .. } = value;
                self.mark = parts.masking.write(mask, [self.mark, from, to], parts.emit, slice, out);
                (self.emitted, self.last_kept) = (true, true);
            }
            Do::Other => {}
        }
    }
}

impl View<'_> {
    /// The text from `from` to before `stop`, which is at `cursor`.
    #[inline(always)]
    fn string(&self, from: usize, stop: usize, cursor: usize) -> Option<Whole> {
        let to = if self.byte(stop - 1) == b'"' { stop } else { self.before_blanks(from, stop) };
        let good = to > from + 1 && self.byte(to - 1) == b'"' && stop - to <= BLANKS_KEPT;
        good.then_some(Whole { from, to, stop, cursor })
    }

    /// The number, truth value or `null` from `from` to before `stop`, which is at `cursor`.
    #[inline(always)]
    fn bare(&self, from: usize, stop: usize, cursor: usize) -> Option<Whole> {
        let to = if self.byte(stop - 1) > b' ' { stop } else { self.before_blanks(from, stop) };
        let good = from < to && self.is_bare_scalar(from, to) && stop - to <= BLANKS_KEPT;
        good.then_some(Whole { from, to, stop, cursor })
    }
}

impl Parts<'_> {
    /// A name that was not guessed: where its colon is, and what is to be done.
    #[inline(never)]
    fn look_up(&mut self, run: &mut Run<'_>, quote: usize) -> Option<(usize, Todo)> {
        if run.view.byte(quote) != b'"' {
            return None;
        }
        let (raw, colon) = run.view.name(quote, run.cursor)?;
        if raw.len() > self.bounds.key_bytes || memchr::memchr(b'\\', raw).is_some() {
            return None;
        }
        let todo = Todo::of(self.program, self.program.member(run.state, raw));
        let known = self.routes.learn(&mut run.trail, raw, &todo);
        if self.program.rule.is_some() && !known && !self.program.node(todo.child).declared {
            let place = self.program.shape.state(run.state).map(|state| &state.place);
            self.tally.unknown(place.unwrap_or(&Path::default()), Some(raw));
        }
        Some((colon, todo))
    }

    /// The subtree at `from`, if it is plain and lies in the slice whole.
    fn skipped(&mut self, run: &Run<'_>, from: usize, class: Class) -> Option<Whole> {
        let depth = self.kinds.len();
        if depth >= self.depth_limit {
            return None;
        }
        let (kind, lex) = match class {
            Class::Object => (Kind::Object, Lex::KeyOrEnd),
            _ => (Kind::Array, Lex::ValueOrEnd),
        };
        let limits = Limits { depth, most: self.depth_limit, key_bytes: self.bounds.key_bytes };
        self.kinds.push(kind);
        let at = At { cursor: run.cursor + 3, pos: from + 1, lex };
        let (At { cursor, pos: to, .. }, ended) = run.view.skip(at, limits, self.kinds);
        self.kinds.truncate(depth);
        let stop = run.view.place(cursor).filter(|stop| ended && run.view.only_blanks(0, to, *stop))?;
        Some(Whole { from, to, stop, cursor })
    }
}

impl Masking<'_> {
    /// Writes what passes from `mark` on and what a mask makes of the scalar from `from` to `to`; where the input passes
    /// on.
    #[inline(never)]
    pub(super) fn write(
        &mut self,
        mask: u32,
        [mark, from, to]: [usize; 3],
        emit: &mut Emit,
        slice: &[u8],
        out: &mut impl Output,
    ) -> usize {
        let raw = slice.get(from..to).unwrap_or_default();
        let mask = self.compiled.masks.get(mask).filter(|_| raw.len() <= self.value_bytes);
        if let Some((hidden, fill)) = mask.and_then(|mask| text::covered(mask, raw)) {
            (emit.mark, emit.kept) = (mark, from + hidden.start);
            emit.write(fill, slice, out);
            return from + hidden.end;
        }
        self.scratch.clear();
        match mask {
            Some(mask) => text::mask(mask, raw, self.scratch),
            None => self.scratch.push_str("null"),
        }
        (emit.mark, emit.kept) = (mark, from);
        emit.write(self.scratch.as_bytes(), slice, out);
        to
    }
}
