//! The second stage: whole tokens, found by the scan, while they lie in the slice and are plain. Whatever is unusual
//! (an escaped name, a long run of blanks, a token that the slice cuts, anything malformed) is left to `drive`, which
//! reads it byte by byte; so the two agree by construction on what is refused, and why.

use super::super::output::Output;
use super::super::plan::CutReason;
use super::index::{BLANKS_KEPT, View};
use super::lexer::{Lex, StringState};
use super::machine::{Framing, Kind, Machine, Step};

/// Whether the next token was plain and has been read.
type Read = Result<bool, CutReason>;

impl Machine {
    pub(crate) fn is_between_tokens(&self) -> bool {
        matches!(self.lex, Lex::Value | Lex::ValueOrEnd | Lex::Key | Lex::KeyOrEnd | Lex::After)
            && !self.kinds.is_empty()
    }

    /// Reads whole tokens as long as that is possible.
    pub(crate) fn whole_tokens(&mut self, slice: &[u8], out: &mut impl Output) -> Step {
        while self.is_between_tokens() && self.ahead.aim(self.pos, self.end, slice) {
            if !self.whole_token(slice, out)? && !self.ahead.go_on(self.pos, self.end, slice) {
                break;
            }
        }
        Ok(())
    }

    /// Reads one token or more; `false`: the next one is not plain.
    fn whole_token(&mut self, slice: &[u8], out: &mut impl Output) -> Read {
        let Some(place) = self.ahead.place(self.ahead.cursor) else { return Ok(false) };
        if place >= self.end {
            return Ok(false);
        }
        if self.skip.is_some() {
            return Ok(self.skip_on(slice, out));
        }
        match self.lex {
            Lex::Value | Lex::ValueOrEnd => self.whole_value(place, slice, out),
            Lex::Key | Lex::KeyOrEnd | Lex::After
                if !self.view(slice).only_blanks(self.blanks, self.pos, place) =>
            {
                Ok(false)
            }
            Lex::Key | Lex::KeyOrEnd => match slice.get(place) {
                Some(b'"') if self.ahead.stuck != Some(self.ahead.cursor) && self.members(slice, out) => {
                    Ok(true)
                }
                Some(b'"') => self.whole_key(place, slice),
                Some(b'}') if self.lex == Lex::KeyOrEnd => self.whole_close(Kind::Object, place, slice, out),
                _ => Ok(false),
            },
            Lex::After => match slice.get(place) {
                Some(b',') => {
                    self.pos = place;
                    self.blanks = 0;
                    self.comma(slice, out)?;
                    self.pos = place + 1;
                    self.ahead.cursor += 1;
                    Ok(true)
                }
                Some(b'}') => self.whole_close(Kind::Object, place, slice, out),
                Some(b']') => self.whole_close(Kind::Array, place, slice, out),
                _ => Ok(false),
            },
            _ => Ok(false),
        }
    }

    /// The index for looking ahead.
    #[inline]
    pub(crate) fn view<'s>(&'s self, slice: &'s [u8]) -> View<'s> {
        let text = slice.get(..self.end).unwrap_or(slice);
        View::new(&self.ahead, text, self.framing == Framing::Lines, self.plan.bounds.number_bytes)
    }

    fn whole_close(&mut self, kind: Kind, place: usize, slice: &[u8], out: &mut impl Output) -> Read {
        self.pos = place;
        self.blanks = 0;
        self.close(kind, slice, out)?;
        Ok(true)
    }

    fn whole_key(&mut self, place: usize, slice: &[u8]) -> Read {
        let Some((raw, colon)) = self.view(slice).name(place, self.ahead.cursor) else { return Ok(false) };
        if raw.len() > self.plan.bounds.key_bytes {
            return Ok(false);
        }
        let raw = slice.get(place + 1..place + 1 + raw.len()).unwrap_or_default();
        self.blanks = 0;
        self.string = StringState::default();
        self.string.escaped = memchr::memchr(b'\\', raw).is_some();
        self.pos = place + raw.len() + 2;
        self.key(raw)?;
        self.pos = colon + 1;
        self.lex = Lex::Value;
        self.ahead.cursor += 2;
        Ok(true)
    }

    fn whole_value(&mut self, place: usize, slice: &[u8], out: &mut impl Output) -> Read {
        let view = self.view(slice);
        let from = view.past_blanks(self.pos);
        if self.blanks + from - self.pos > BLANKS_KEPT || from > place {
            return Ok(false);
        }
        let first = slice.get(from).copied().unwrap_or_default();
        if from == place && first == b']' && self.lex == Lex::ValueOrEnd {
            return self.whole_close(Kind::Array, place, slice, out);
        }
        let container = from == place && matches!(first, b'{' | b'[');
        let scalar = if container { None } else { view.scalar(from, self.ahead.cursor) };
        if !container && scalar.is_none() {
            return Ok(false);
        }
        if self.lex == Lex::ValueOrEnd
            && let Some(frame) = self.frames.last_mut()
        {
            frame.filled = true;
        }
        self.blanks = 0;
        self.pos = from;
        let Some(scalar) = scalar else {
            self.open(if first == b'{' { Kind::Object } else { Kind::Array }, slice, out)?;
            self.ahead.cursor += 1;
            return Ok(true);
        };
        self.begin_scalar(first, slice, out)?;
        self.pos = scalar.to;
        self.string.escaped = true;
        self.end_scalar(slice.get(scalar.from..scalar.to).unwrap_or_default(), slice, out)?;
        self.ahead.cursor = scalar.cursor;
        Ok(true)
    }
}
