//! Feeding the machine byte by byte: any cut of the input gives the same calls.

use super::super::output::Output;
use super::super::plan::{Cut, CutReason};
use super::emit;
use super::index::BLANKS_KEPT;
use super::lexer::{Lex, NumberState, StringState, is_blank, plain_characters};
use super::machine::{Flow, Framing, Kind, Machine, Step};

/// ASCII record separator (RFC 7464).
const RECORD_SEPARATOR: u8 = 0x1E;

impl Machine {
    /// Takes the next chunk.
    pub(crate) fn push(&mut self, chunk: &[u8], out: &mut impl Output) -> Result<(), Cut> {
        self.tally.counts.bytes_in += chunk.len() as u64;
        self.pos = 0;
        self.emit.skip_to(0);
        self.end = self.limit(chunk);
        if let Err(reason) = self.run(chunk, out) {
            let cut = self.cut(reason);
            self.emit.flush(chunk, out);
            return Err(cut);
        }
        self.seam(chunk, out);
        self.base += chunk.len() as u64;
        self.tally.counts.bytes_out = self.emit.bytes_out;
        Ok(())
    }

    /// Ends the answer.
    pub(crate) fn finish(&mut self, out: &mut impl Output) -> Result<(), Cut> {
        self.pos = 0;
        let ended = self.end_of_input(out);
        ended.map_err(|reason| self.cut(reason))?;
        self.settle_total(&[], out);
        self.tally.counts.bytes_out = self.emit.bytes_out;
        Ok(())
    }

    /// Brings the named counts up to date.
    pub(crate) fn settle(&mut self) {
        self.tally.counts.bytes_out = self.emit.bytes_out;
        self.tally.settle(&self.plan, &self.compiled);
    }

    fn end_of_input(&mut self, out: &mut impl Output) -> Step {
        if self.lex == Lex::InNumber && self.kinds.is_empty() {
            self.end_number(&[], out)?;
        }
        match (self.framing, self.lex) {
            (_, Lex::Done) => {
                if self.root_kept {
                    self.emit.pass(0, &[], out);
                }
                Ok(())
            }
            (Framing::Lines | Framing::Sequence, Lex::Start(0) | Lex::Value) if self.kinds.is_empty() => {
                if self.framing == Framing::Lines {
                    self.emit.pass(0, &[], out);
                }
                Ok(())
            }
            _ => Err(CutReason::Truncated),
        }
    }

    /// The slice ends: what is decided goes out, what is not is put by.
    pub(crate) fn seam(&mut self, slice: &[u8], out: &mut impl Output) {
        match self.flow {
            Flow::Pass => {
                self.emit.kept = slice.len();
                self.emit.flush(slice, out);
            }
            Flow::Discard => self.emit.flush(slice, out),
            Flow::Undecided => {
                let undecided = self.emit.undecided(slice.len());
                self.emit.cut_back(undecided, slice.len(), slice, out);
            }
        }
        self.emit.skip_to(0);
        let in_token = match self.lex {
            Lex::InKey | Lex::InNumber => true,
            Lex::InText | Lex::InWord(_) => self.collect,
            _ => false,
        };
        if in_token && !self.overflow {
            self.token.extend_from_slice(slice.get(self.token_start..).unwrap_or_default());
            let most = self.plan.bounds.value_bytes;
            if self.token.len() > most.max(self.plan.bounds.number_bytes) && self.lex == Lex::InText {
                self.overflow = true;
                self.token = Vec::new();
            }
        }
        self.token_start = 0;
        self.hold_over(slice);
        let hold = emit::Hold {
            bytes: self.plan.bounds.hold_for_total_bytes,
            total: self.plan.layout.total.as_ref(),
        };
        self.emit.check_hold(hold, out);
    }

    /// Reads the slice from `pos` to `end`.
    pub(crate) fn run(&mut self, slice: &[u8], out: &mut impl Output) -> Step {
        self.ahead.forget();
        while self.pos < self.end {
            if self.is_between_tokens() {
                self.whole_tokens(slice, out)?;
                if self.pos >= self.end {
                    break;
                }
            }
            let Some(byte) = slice.get(self.pos).copied() else { break };
            match self.lex {
                Lex::Start(seen) => self.start(seen, byte)?,
                Lex::InKey => self.in_key(slice)?,
                Lex::InText => self.in_text(slice, out)?,
                Lex::InNumber => self.in_number(byte, slice, out)?,
                Lex::InWord(rest) => self.in_word(rest, byte, slice, out)?,
                _ if is_blank(byte) => self.blank(byte, slice, out)?,
                _ => {
                    self.blanks = 0;
                    self.token(byte, slice, out)?;
                }
            }
        }
        if self.end < slice.len() { Err(CutReason::Record) } else { Ok(()) }
    }

    /// A byte order mark is taken off (RFC 8259 section 8.1 lets a reader ignore it).
    fn start(&mut self, seen: u8, byte: u8) -> Step {
        const MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];
        if seen == 0 && byte != 0xEF {
            self.lex = Lex::Value;
            return if matches!(byte, 0xFE | 0xFF) { Err(CutReason::Encoding) } else { Ok(()) };
        }
        if MARK.get(usize::from(seen)) != Some(&byte) {
            return Err(CutReason::Encoding);
        }
        self.pos += 1;
        self.emit.skip_to(self.pos);
        self.lex = if seen == 2 { Lex::Value } else { Lex::Start(seen + 1) };
        Ok(())
    }

    /// A blank between tokens.
    fn blank(&mut self, byte: u8, slice: &[u8], out: &mut impl Output) -> Step {
        if byte == b'\n' && self.framing == Framing::Lines {
            return self.line_end(slice, out);
        }
        self.blanks += 1;
        if self.blanks > BLANKS_KEPT && self.flow == Flow::Undecided {
            let undecided = self.emit.undecided(self.pos);
            self.emit.cut_back(undecided, self.pos + 1, slice, out);
        }
        self.pos += 1;
        Ok(())
    }

    /// A line feed outside strings, where each line is a text.
    fn line_end(&mut self, slice: &[u8], out: &mut impl Output) -> Step {
        if !self.kinds.is_empty() {
            return Err(CutReason::Malformed);
        }
        self.pos += 1;
        self.blanks = 0;
        if self.lex == Lex::Done && !self.root_kept {
            self.emit.cut_back(0, self.pos, slice, out);
        } else {
            self.emit.pass(self.pos, slice, out);
        }
        self.next_text();
        Ok(())
    }

    fn next_text(&mut self) {
        self.lex = Lex::Value;
        self.child = super::super::automaton::ROOT;
        self.root_kept = false;
    }

    /// A record separator, where it starts each text.
    fn separator(&mut self, slice: &[u8], out: &mut impl Output) -> Step {
        if self.lex == Lex::Done && self.root_kept {
            self.emit.pass(self.pos, slice, out);
        } else {
            self.emit.cut_back(0, self.pos, slice, out);
        }
        self.next_text();
        self.separated = true;
        self.pos += 1;
        Ok(())
    }

    /// The first byte of a token.
    fn token(&mut self, byte: u8, slice: &[u8], out: &mut impl Output) -> Step {
        if byte == RECORD_SEPARATOR && self.framing == Framing::Sequence && self.kinds.is_empty() {
            return self.separator(slice, out);
        }
        match (self.lex, byte) {
            (Lex::Key | Lex::KeyOrEnd, b'"') => {
                self.lex = Lex::InKey;
                self.string = StringState::default();
                self.token.clear();
                self.overflow = false;
                self.pos += 1;
                self.token_start = self.pos;
                Ok(())
            }
            (Lex::Colon, b':') => {
                self.pos += 1;
                self.lex = Lex::Value;
                Ok(())
            }
            (Lex::After, b',') => {
                self.comma(slice, out)?;
                self.pos += 1;
                Ok(())
            }
            (Lex::After | Lex::KeyOrEnd, b'}') => self.close(Kind::Object, slice, out),
            (Lex::After | Lex::ValueOrEnd, b']') => self.close(Kind::Array, slice, out),
            (Lex::Value | Lex::ValueOrEnd, _) => self.value(byte, slice, out),
            (Lex::Done, _) => Err(CutReason::Trailing),
            _ => Err(CutReason::Malformed),
        }
    }

    /// The first byte of a value.
    fn value(&mut self, byte: u8, slice: &[u8], out: &mut impl Output) -> Step {
        if self.framing == Framing::Sequence && self.kinds.is_empty() && !self.separated {
            return Err(CutReason::Malformed);
        }
        let known = matches!(byte, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n');
        if !known {
            return Err(CutReason::Malformed);
        }
        if self.lex == Lex::ValueOrEnd
            && self.skip.is_none()
            && let Some(frame) = self.frames.last_mut()
        {
            frame.filled = true;
        }
        match byte {
            b'{' => return self.open(Kind::Object, slice, out),
            b'[' => return self.open(Kind::Array, slice, out),
            _ => self.begin_scalar(byte, slice, out)?,
        }
        self.pos += 1;
        self.lex = match byte {
            b'"' => {
                self.string = StringState::default();
                Lex::InText
            }
            b't' => Lex::InWord(b"rue"),
            b'f' => Lex::InWord(b"alse"),
            b'n' => Lex::InWord(b"ull"),
            digit => {
                self.number = NumberState::default().take(digit).unwrap_or_default();
                Lex::InNumber
            }
        };
        Ok(())
    }

    fn in_key(&mut self, slice: &[u8]) -> Step {
        while self.pos < self.end {
            let Some(byte) = slice.get(self.pos).copied() else { break };
            if self.string.take(byte)? {
                let (token, start, pos) = (std::mem::take(&mut self.token), self.token_start, self.pos);
                self.pos += 1;
                return self.with_token(token, start, pos, slice, |machine, raw| machine.key(raw));
            }
            self.pos += 1;
            if self.token.len() + self.pos - self.token_start > self.plan.bounds.key_bytes {
                return Err(CutReason::Key);
            }
        }
        Ok(())
    }

    fn in_text(&mut self, slice: &[u8], out: &mut impl Output) -> Step {
        while self.pos < self.end {
            if self.string.is_plain() {
                self.pos += plain_characters(slice.get(self.pos..self.end).unwrap_or_default());
            }
            let Some(byte) = slice.get(self.pos).copied().filter(|_| self.pos < self.end) else { break };
            let ends = self.string.take(byte)?;
            self.pos += 1;
            if ends {
                return self.token_end(slice, out);
            }
        }
        Ok(())
    }

    fn in_number(&mut self, byte: u8, slice: &[u8], out: &mut impl Output) -> Step {
        let mut byte = Some(byte);
        while let Some(next) = byte {
            let Some(next) = self.number.take(next) else { return self.end_number(slice, out) };
            self.number = next;
            self.pos += 1;
            if self.token.len() + self.pos - self.token_start > self.plan.bounds.number_bytes {
                return Err(CutReason::Number);
            }
            byte = slice.get(..self.end).unwrap_or(slice).get(self.pos).copied();
        }
        Ok(())
    }

    fn end_number(&mut self, slice: &[u8], out: &mut impl Output) -> Step {
        if !self.number.is_whole() {
            return Err(CutReason::Malformed);
        }
        self.token_end(slice, out)
    }

    fn in_word(&mut self, rest: &'static [u8], byte: u8, slice: &[u8], out: &mut impl Output) -> Step {
        match rest.split_first() {
            Some((expected, rest)) if *expected == byte => {
                self.pos += 1;
                self.lex = Lex::InWord(rest);
                if rest.is_empty() { self.token_end(slice, out) } else { Ok(()) }
            }
            _ => Err(CutReason::Malformed),
        }
    }

    /// A scalar ends at `pos`.
    fn token_end(&mut self, slice: &[u8], out: &mut impl Output) -> Step {
        if !self.collect {
            self.token.clear();
            return self.end_scalar(&[], slice, out);
        }
        let (token, start, pos) = (std::mem::take(&mut self.token), self.token_start, self.pos);
        self.with_token(token, start, pos, slice, |machine, raw| machine.end_scalar(raw, slice, out))
    }

    /// Calls with the whole token, part of which may have come in earlier slices.
    fn with_token(
        &mut self,
        mut token: Vec<u8>,
        start: usize,
        pos: usize,
        slice: &[u8],
        call: impl FnOnce(&mut Self, &[u8]) -> Step,
    ) -> Step {
        let here = slice.get(start..pos).unwrap_or_default();
        let result = if token.is_empty() {
            call(self, here)
        } else {
            token.extend_from_slice(here);
            call(self, &token)
        };
        token.clear();
        self.token = token;
        result
    }
}
