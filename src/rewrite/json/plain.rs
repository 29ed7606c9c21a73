//! The engine's innermost loop: members whose names were guessed rightly and whose values are whole scalars that pass,
//! go or are masked. What it needs is in a few locals; a member is judged whole before anything is done about it, and
//! whatever is not for here is left as it stands to [`Run::member`].

use super::super::automaton::Capture;
use super::super::output::Output;
use super::super::scan::prefetch;
use super::index::{BLANKS_KEPT, View, WINDOW_BYTES};
use super::lexer::Lex;
use super::members::{Parts, Run};
use super::routes::{Class, Do};

impl Run<'_> {
    /// Reads members; `false`: the object's last one was among them.
    #[inline(always)]
    pub(super) fn plain(&mut self, parts: &mut Parts<'_>, slice: &[u8], out: &mut impl Output) -> bool {
        match self.silent {
            true => self.plain_members::<false, true>(parts, slice, out),
            false => self.plain_members::<false, false>(parts, slice, out),
        }
        if self.lex != Lex::After && self.is_roomy() {
            match self.silent {
                true => self.plain_members::<true, true>(parts, slice, out),
                false => self.plain_members::<true, false>(parts, slice, out),
            }
        }
        self.lex != Lex::After
    }

    /// Whether there are blanks around the next member's name.
    #[inline(always)]
    fn is_roomy(&self) -> bool {
        let colon = self.view.place(self.cursor + 1).unwrap_or_default();
        self.view.byte(self.pos) <= b' ' || self.view.byte(colon + 1) <= b' '
    }

    /// With blanks around them if `ROOMY`; nothing passes if `SILENT`.
    #[inline(never)]
    #[expect(clippy::too_many_lines, reason = "one loop whose state has to stay in registers")]
    fn plain_members<const ROOMY: bool, const SILENT: bool>(
        &mut self,
        parts: &mut Parts<'_>,
        slice: &[u8],
        out: &mut impl Output,
    ) {
        let view = self.view;
        let before = view.rest(self.cursor);
        let (mut rest, mut pos, mut mark, mut start) = (before, self.pos, self.mark, self.start);
        let (mut kept, mut over) = (self.last_kept, false);
        // A member's text starts with the comma before it, once another one has passed.
        let mut lead = usize::from(!self.emitted);
        let (mut last, mut guess) = (self.trail.last, self.trail.guess);
        let watching = parts.hold.is_some();
        let names = parts.routes.names(&self.trail);
        while let (Some(name), [quote, _, third, fourth, ..]) = (names.get(guess), rest) {
            let quote = view.base() + *quote as usize;
            let Some(bytes) = view.chunk(quote) else { break };
            if !name.is(bytes) || (quote != pos && !(ROOMY && view.only_blanks(0, pos, quote))) {
                break;
            }
            let close = quote + name.length + 3;
            let mut from = close;
            if ROOMY {
                from = view.past_blanks(close);
            }
            let first = view.byte(from);
            let (stop, act, counter, used);
            if first == b'"' {
                stop = view.base() + *fourth as usize;
                let to = view.end::<ROOMY>(from, stop);
                if view.base() + *third as usize != from || to <= from + 1 || view.byte(to - 1) != b'"' {
                    break;
                }
                ((act, counter), used) = (name.todo.about(Class::Text), 4);
            } else {
                stop = view.base() + *third as usize;
                let to = view.end::<ROOMY>(from, stop);
                if from >= to || !view.is_bare_scalar(from, to) {
                    break;
                }
                let class = if first == b'n' { Class::Null } else { Class::Bare };
                ((act, counter), used) = (name.todo.about(class), 3);
            }
            let ending = view.byte(stop);
            let far = ROOMY && (from - close).max(stop - view.end::<ROOMY>(from, stop)) > BLANKS_KEPT;
            if act == Do::Other || !matches!(ending, b',' | b'}') || far || (watching && name.todo.watched) {
                break;
            }
            if !SILENT && act == Do::Drop && lead > 0 && self.closed {
                break;
            }
            parts.tally.up(counter);
            prefetch(slice, pos + WINDOW_BYTES);
            if !SILENT {
                let to = view.end::<ROOMY>(from, stop);
                if name.todo.capture == Capture::Key {
                    parts.tally.bounded_key(view.text(from, to), parts.bounds);
                }
                match act {
                    Do::Keep | Do::Other => (kept, lead) = (true, 0),
                    Do::Drop => {
                        if mark < start {
                            (parts.emit.mark, parts.emit.kept) = (mark, start);
                            parts.emit.flush(slice, out);
                        }
                        mark = if ending == b',' { stop + lead } else { to };
                        kept = false;
                    }
                    Do::Mask(mask) => {
                        mark = parts.masking.write(mask, [mark, from, to], parts.emit, slice, out);
                        (kept, lead) = (true, 0);
                    }
                }
            }
            (last, guess, pos) = (guess, name.next, stop + 1);
            if ending != b',' {
                // The cursor stays at the bracket, and blanks before it are its own.
                pos = view.end::<ROOMY>(from, stop);
                start = pos;
                rest = rest.get(used - 1..).unwrap_or_default();
                over = true;
                break;
            }
            start = stop + lead;
            rest = rest.get(used..).unwrap_or_default();
        }
        if rest.len() == before.len() {
            return;
        }
        (self.trail.last, self.trail.guess) = (last, guess);
        (self.mark, self.start, self.last_kept, self.emitted) = (mark, start, kept, lead == 0);
        (self.cursor, self.pos) = (view.cursor(rest), pos);
        self.lex = if over { Lex::After } else { Lex::Key };
    }
}

impl View<'_> {
    /// Where what stands before `stop` ends.
    #[inline(always)]
    fn end<const ROOMY: bool>(&self, from: usize, stop: usize) -> usize {
        if ROOMY { self.before_blanks(from, stop) } else { stop }
    }
}
