//! The engine's innermost loop: members whose names were guessed rightly and whose values are whole scalars that pass,
//! go or are masked. Everything it needs is in locals; a member is judged whole before anything is done about it, and
//! whatever is not for here is left as it stands to [`Run::member`].

use super::super::automaton::Capture;
use super::super::output::Output;
use super::index::BLANKS_KEPT;
use super::lexer::Lex;
use super::members::{Parts, Run};
use super::routes::{Class, Do};

impl Run<'_> {
    /// Reads members; `false`: the object's last one was among them.
    #[inline(never)]
    pub(super) fn plain(&mut self, parts: &mut Parts<'_>, slice: &[u8], out: &mut impl Output) -> bool {
        let view = self.view;
        let base = view.base();
        let mut rest = view.rest(self.cursor);
        let (watching, silent) = (parts.hold.is_some(), self.silent);
        let may_drop = !self.closed || silent;
        let (mut pos, mut lex, mut mark, mut start) = (self.pos, self.lex, self.mark, self.start);
        let (mut emitted, mut last_kept) = (self.emitted, self.last_kept);
        let mut trail = self.trail;
        let names = parts.routes.names(&trail);
        while let (Some(name), [quote, _, third, fourth, ..]) = (names.get(trail.guess), rest) {
            let quote = base + *quote as usize;
            let Some(bytes) = view.chunk(quote) else { break };
            if !name.is(bytes) || (quote != pos && !view.only_blanks(0, pos, quote)) {
                break;
            }
            let close = quote + name.length + 3;
            let (mut from, mut first) = (close, view.byte(close));
            if first <= b' ' {
                from = view.past_blanks(close);
                first = view.byte(from);
            }
            let text = first == b'"';
            let stop = base + if text { *fourth } else { *third } as usize;
            let (ending, last) = (view.byte(stop), view.byte(stop - 1));
            let to = if last > b' ' { stop } else { view.before_blanks(from, stop) };
            let whole = if text {
                base + *third as usize == from && to > from + 1 && view.byte(to - 1) == b'"'
            } else {
                from < to && view.is_bare_scalar(from, to)
            };
            let bounded = from - close <= BLANKS_KEPT && stop - to <= BLANKS_KEPT;
            let class = match first {
                b'"' => Class::Text,
                b'n' => Class::Null,
                _ => Class::Bare,
            };
            let (act, counter) = name.todo.about(class);
            let ours = act != Do::Other
                && !(watching && name.todo.watched)
                && (act != Do::Drop || emitted || may_drop);
            if !(whole && bounded && ours && matches!(ending, b',' | b'}')) {
                break;
            }
            parts.tally.up(counter);
            if !silent {
                if name.todo.capture == Capture::Key {
                    parts.tally.bounded_key(view.text(from, to), parts.bounds);
                }
                match act {
                    Do::Drop => {
                        if mark < start {
                            (parts.emit.mark, parts.emit.kept) = (mark, start);
                            parts.emit.flush(slice, out);
                        }
                        last_kept = false;
                    }
                    Do::Mask(mask) => {
                        mark = parts.masking.write(mask, [mark, from, to], parts.emit, slice, out);
                        (emitted, last_kept) = (true, true);
                    }
                    Do::Keep | Do::Other => (emitted, last_kept) = (true, true),
                }
            }
            (trail.last, trail.guess) = (trail.guess, name.next);
            let over = ending == b'}';
            rest = rest.get(2 + usize::from(text) + usize::from(!over)..).unwrap_or_default();
            (pos, start, lex) = match over {
                true => (to, to, Lex::After),
                false => (stop + 1, stop + usize::from(!emitted), Lex::Key),
            };
            if !last_kept {
                mark = start;
            }
            if over {
                break;
            }
        }
        self.cursor = view.cursor(rest);
        (self.pos, self.lex, self.mark, self.start) = (pos, lex, mark, start);
        (self.emitted, self.last_kept, self.trail) = (emitted, last_kept, trail);
        lex != Lex::After
    }
}
