//! The second stage: whole tokens, found by the scan, while they lie in the slice and are plain. Whatever is unusual
//! (an escaped name, a long run of blanks, a token that the slice cuts, anything malformed) is left to `drive`, which
//! reads it byte by byte; so the two agree by construction on what is refused, and why.

use std::sync::Arc;

use super::super::automaton::{Act, Capture, Counted, NO_FIELD, Node, Program};
use super::super::output::Output;
use super::drive::BLANKS_KEPT;
use super::lexer::{Lex, NumberState, StringState, is_blank};
use super::machine::{Framing, Kind, Machine, Role, Step};
use super::routes::Trail;
use super::scan::{Tier, scan};
use super::text;

/// Most bytes that are scanned at once.
const WINDOW_BYTES: usize = 64 << 10;
/// Fewer bytes are not worth a scan.
const LEAST_BYTES: usize = 64;

/// The places of structural characters and opening quotes ahead.
#[derive(Debug)]
pub(crate) struct Ahead {
    tier: Tier,
    /// Places in the slice.
    index: Vec<u32>,
    /// The first place that has not been used.
    cursor: usize,
    /// What part of the slice was scanned.
    from: usize,
    to: usize,
}

impl Default for Ahead {
    fn default() -> Self {
        Self { tier: Tier::best(), index: Vec::new(), cursor: 0, from: 0, to: 0 }
    }
}

impl Ahead {
    /// Another slice comes.
    pub(crate) fn forget(&mut self) {
        (self.from, self.to) = (0, 0);
    }

    #[inline]
    fn place(&self, cursor: usize) -> Option<usize> {
        Some(self.from + *self.index.get(cursor)? as usize)
    }

    /// Makes the index reach `pos`; `false`: too little is left.
    fn aim(&mut self, pos: usize, end: usize, slice: &[u8]) -> bool {
        if pos < self.from || pos >= self.to {
            if end.saturating_sub(pos) < LEAST_BYTES {
                return false;
            }
            self.scan(pos, slice);
        }
        let before = self.cursor.checked_sub(1).and_then(|before| self.place(before));
        if before.is_some_and(|before| before >= pos) {
            let from = self.from;
            self.cursor = self.index.partition_point(|place| from + (*place as usize) < pos);
        }
        while self.place(self.cursor).is_some_and(|place| place < pos) {
            self.cursor += 1;
        }
        true
    }

    fn scan(&mut self, pos: usize, slice: &[u8]) {
        let window = slice.get(pos..slice.len().min(pos + WINDOW_BYTES)).unwrap_or_default();
        self.index.clear();
        let clean = scan(window, self.tier, &mut self.index).clean_to;
        let clean = window.get(..clean).unwrap_or_default();
        let whole = clean.get(..clean.len() - cut_character(clean)).unwrap_or_default();
        let valid = match simdutf8::basic::from_utf8(whole) {
            Ok(_) => whole.len(),
            Err(_) => simdutf8::compat::from_utf8(whole).map_or_else(|error| error.valid_up_to(), str::len),
        };
        let used = self.index.partition_point(|place| (*place as usize) < valid);
        self.index.truncate(used);
        self.cursor = 0;
        (self.from, self.to) = (pos, pos + valid);
    }
}

/// How many bytes at the end belong to a character that is not whole.
fn cut_character(bytes: &[u8]) -> usize {
    for (back, byte) in bytes.iter().rev().take(3).enumerate() {
        let length = match byte {
            0x80..=0xBF => continue,
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
            _ => 1,
        };
        return if length > back + 1 { back + 1 } else { 0 };
    }
    0
}

/// A value that lies in the slice whole.
#[derive(Clone, Copy, Debug)]
struct Whole {
    from: usize,
    to: usize,
    /// The structural character behind it.
    stop: usize,
    /// How many places of the index it takes, without `stop`.
    places: usize,
}

impl Machine {
    pub(crate) fn is_between_tokens(&self) -> bool {
        matches!(self.lex, Lex::Value | Lex::ValueOrEnd | Lex::Key | Lex::KeyOrEnd | Lex::After)
            && !self.kinds.is_empty()
    }

    /// Reads whole tokens as long as that is possible.
    pub(crate) fn whole_tokens(&mut self, slice: &[u8], out: &mut impl Output) -> Step {
        while self.is_between_tokens() && self.ahead.aim(self.pos, self.end, slice) {
            if !self.whole_token(slice, out)? {
                break;
            }
        }
        Ok(())
    }

    /// Reads one token or more; `false`: the next one is not plain.
    fn whole_token(
        &mut self,
        slice: &[u8],
        out: &mut impl Output,
    ) -> Result<bool, super::super::plan::CutReason> {
        let Some(place) = self.ahead.place(self.ahead.cursor) else { return Ok(false) };
        if place >= self.end {
            return Ok(false);
        }
        if self.skip.is_some() {
            return Ok(self.skip_on(slice, out));
        }
        match self.lex {
            Lex::Value | Lex::ValueOrEnd => self.whole_value(place, slice, out),
            Lex::Key | Lex::KeyOrEnd | Lex::After if !self.only_blanks(self.pos, place, slice) => Ok(false),
            Lex::Key | Lex::KeyOrEnd => match slice.get(place) {
                Some(b'"') if self.members(slice, out)? => Ok(true),
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

    /// Whether there are only blanks, and not too many, between two places.
    #[inline]
    fn only_blanks(&self, from: usize, to: usize, slice: &[u8]) -> bool {
        from == to
            || (self.blanks + to.saturating_sub(from) <= BLANKS_KEPT
                && slice.get(from..to).is_some_and(|gap| gap.iter().all(|byte| self.is_blank(*byte))))
    }

    #[inline]
    fn is_blank(&self, byte: u8) -> bool {
        is_blank(byte) && (byte != b'\n' || self.framing != Framing::Lines)
    }

    /// The first byte at or after `from` that is no blank.
    #[inline]
    fn past_blanks(&self, mut from: usize, slice: &[u8]) -> usize {
        while slice.get(from).is_some_and(|byte| self.is_blank(*byte)) {
            from += 1;
        }
        from
    }

    /// Where what stands before the blanks in front of `stop` ends.
    #[inline]
    fn before_blanks(&self, from: usize, mut stop: usize, slice: &[u8]) -> usize {
        while stop > from && slice.get(stop - 1).is_some_and(|byte| self.is_blank(*byte)) {
            stop -= 1;
        }
        stop
    }

    fn whole_close(
        &mut self,
        kind: Kind,
        place: usize,
        slice: &[u8],
        out: &mut impl Output,
    ) -> Result<bool, super::super::plan::CutReason> {
        self.pos = place;
        self.blanks = 0;
        self.close(kind, slice, out)?;
        Ok(true)
    }

    fn whole_key(&mut self, place: usize, slice: &[u8]) -> Result<bool, super::super::plan::CutReason> {
        let Some(colon) = self.ahead.place(self.ahead.cursor + 1).filter(|colon| *colon < self.end) else {
            return Ok(false);
        };
        let end = self.before_blanks(place + 1, colon, slice);
        let Some(raw) = slice.get(place + 1..end).and_then(|text| text.strip_suffix(b"\"")) else {
            return Ok(false);
        };
        let fits = raw.len() <= self.plan.bounds.key_bytes && colon - end <= BLANKS_KEPT;
        if slice.get(colon) != Some(&b':') || !fits {
            return Ok(false);
        }
        self.blanks = 0;
        self.string = StringState::default();
        self.string.escaped = memchr::memchr(b'\\', raw).is_some();
        self.pos = end;
        self.key(raw)?;
        self.pos = colon + 1;
        self.lex = Lex::Value;
        self.ahead.cursor += 2;
        Ok(true)
    }

    /// The scalar at `from`, if it is whole and well-formed; `cursor` is the first place at or behind it.
    #[inline]
    fn scalar(&self, from: usize, cursor: usize, slice: &[u8]) -> Option<Whole> {
        let text = slice.get(from) == Some(&b'"');
        let places = usize::from(text);
        let stop = self.ahead.place(cursor + places).filter(|stop| *stop < self.end)?;
        let to = self.before_blanks(from, stop, slice);
        let good = if text {
            to > from + 1 && slice.get(to - 1) == Some(&b'"') && self.ahead.place(cursor) == Some(from)
        } else {
            to - from <= self.plan.bounds.number_bytes && slice.get(from..to).is_some_and(is_plain_scalar)
        };
        (good && stop - to <= BLANKS_KEPT).then_some(Whole { from, to, stop, places })
    }

    fn whole_value(
        &mut self,
        place: usize,
        slice: &[u8],
        out: &mut impl Output,
    ) -> Result<bool, super::super::plan::CutReason> {
        let from = self.past_blanks(self.pos, slice);
        if self.blanks + from - self.pos > BLANKS_KEPT || from > place {
            return Ok(false);
        }
        let first = slice.get(from).copied().unwrap_or_default();
        if from == place && first == b']' && self.lex == Lex::ValueOrEnd {
            return self.whole_close(Kind::Array, place, slice, out);
        }
        let container = from == place && matches!(first, b'{' | b'[');
        let scalar = if container { None } else { self.scalar(from, self.ahead.cursor, slice) };
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
        self.ahead.cursor += scalar.places;
        Ok(true)
    }

    // === subtrees that pass or go whole ===

    /// Reads on in a subtree that passes or goes whole, checking its grammar only.
    fn skip_on(&mut self, slice: &[u8], out: &mut impl Output) -> bool {
        let Some(depth) = self.skip else { return false };
        let (mut cursor, mut pos, mut lex) = (self.ahead.cursor, self.pos, self.lex);
        let start = cursor;
        let mut ended = false;
        while let Some(place) = self.ahead.place(cursor).filter(|place| *place < self.end) {
            let value = matches!(lex, Lex::Value | Lex::ValueOrEnd);
            let from = if value { self.past_blanks(pos, slice) } else { place };
            if from < place {
                let Some(scalar) = self.scalar(from, cursor, slice).filter(|_| value) else { break };
                (pos, lex) = (scalar.to, Lex::After);
                continue;
            }
            if from > place || !self.only_blanks(pos, place, slice) {
                break;
            }
            match (lex, slice.get(place)) {
                (Lex::After, Some(b',')) => {
                    lex = if self.kinds.last() == Some(&Kind::Object) { Lex::Key } else { Lex::Value };
                }
                (Lex::Key | Lex::KeyOrEnd, Some(b'"')) => {
                    let Some(colon) = self.skipped_name(place, cursor, slice) else { break };
                    (cursor, pos, lex) = (cursor + 2, colon + 1, Lex::Value);
                    continue;
                }
                (Lex::Value | Lex::ValueOrEnd, Some(b'"')) => {
                    let Some(scalar) = self.scalar(place, cursor, slice) else { break };
                    (cursor, pos, lex) = (cursor + 1, scalar.to, Lex::After);
                    continue;
                }
                (Lex::Value | Lex::ValueOrEnd, Some(bracket @ (b'{' | b'[')))
                    if self.kinds.len() < self.depth_limit =>
                {
                    let object = *bracket == b'{';
                    self.kinds.push(if object { Kind::Object } else { Kind::Array });
                    lex = if object { Lex::KeyOrEnd } else { Lex::ValueOrEnd };
                }
                (Lex::After | Lex::KeyOrEnd, Some(b'}')) if self.kinds.last() == Some(&Kind::Object) => {
                    lex = Lex::After
                }
                (Lex::After | Lex::ValueOrEnd, Some(b']')) if self.kinds.last() == Some(&Kind::Array) => {
                    lex = Lex::After
                }
                _ => break,
            }
            (cursor, pos) = (cursor + 1, place + 1);
            if matches!(slice.get(place), Some(b'}' | b']')) {
                self.kinds.pop();
                if self.kinds.len() == depth {
                    ended = true;
                    break;
                }
            }
        }
        let moved = cursor > start || pos > self.pos;
        if moved {
            self.blanks = 0;
        }
        (self.ahead.cursor, self.pos, self.lex) = (cursor, pos, lex);
        if ended {
            self.skip = None;
            self.end_value(slice, out);
        }
        moved
    }

    /// A plain member name in a skipped subtree: where its colon is.
    fn skipped_name(&self, place: usize, cursor: usize, slice: &[u8]) -> Option<usize> {
        let colon = self.ahead.place(cursor + 1).filter(|colon| *colon < self.end)?;
        let end = self.before_blanks(place + 1, colon, slice);
        let raw = slice.get(place + 1..end)?.strip_suffix(b"\"")?;
        let plain = memchr::memchr(b'\\', raw).is_none() && raw.len() <= self.plan.bounds.key_bytes;
        (plain && slice.get(colon) == Some(&b':') && colon - end <= BLANKS_KEPT).then_some(colon)
    }

    // === members of an object that is filtered ===

    /// Reads members with plain scalar values; `false`: the next one is not of that kind.
    fn members(
        &mut self,
        slice: &[u8],
        out: &mut impl Output,
    ) -> Result<bool, super::super::plan::CutReason> {
        let Some(frame) = self.frames.last().copied() else { return Ok(false) };
        let settled = self.emit.pending.is_empty() && self.opened == self.frames.len();
        let plain =
            matches!(frame.role, Role::Plain | Role::Record | Role::Probe) && frame.kind == Kind::Object;
        if !plain || (self.silent.is_none() && !settled) {
            return Ok(false);
        }
        let Some(program) = self.programs.pop() else { return Ok(false) };
        let trail = frame.trail.unwrap_or_else(|| self.routes.enter(&program, frame.state));
        let mut run = Run {
            trail,
            emitted: frame.emitted,
            last_kept: frame.last_kept,
            cursor: self.ahead.cursor,
            pos: self.pos,
            lex: self.lex,
            state: frame.state,
        };
        while self.member_ahead(&mut run, &program, slice, out) {}
        self.programs.push(program);
        let moved = run.pos > self.pos;
        if let Some(frame) = self.frames.last_mut() {
            frame.trail = Some(run.trail);
            if moved {
                self.blanks = 0;
                (frame.emitted, frame.last_kept, frame.filled) = (run.emitted, run.last_kept, true);
                frame.start = 0;
            }
        }
        (self.ahead.cursor, self.pos, self.lex) = (run.cursor, run.pos, run.lex);
        Ok(moved)
    }

    /// One member and what follows it; `false`: the run ends here.
    #[inline(always)]
    fn member_ahead(
        &mut self,
        run: &mut Run,
        program: &Arc<Program>,
        slice: &[u8],
        out: &mut impl Output,
    ) -> bool {
        let Some(quote) = self.ahead.place(run.cursor) else { return false };
        let Some(colon) = self.ahead.place(run.cursor + 1).filter(|colon| *colon < self.end) else {
            return false;
        };
        if (run.pos != quote && !self.only_blanks(run.pos, quote, slice)) || slice.get(quote) != Some(&b'"') {
            return false;
        }
        let trail = run.trail;
        let child = match self.routes.guess(&mut run.trail, slice, quote + 1) {
            Some((length, child)) if quote + length + 2 == colon => child,
            _ => {
                run.trail = trail;
                match self.look_up(run, program, quote, colon, slice) {
                    Some(child) => child,
                    None => return false,
                }
            }
        };
        let node = program.node(child);
        if node.declared && program.rule.is_none() && self.hold.is_some() {
            return false;
        }
        if node.capture != Capture::Nothing && !(node.capture == Capture::Key && self.keys_are_full()) {
            return false;
        }
        let from = if slice.get(colon + 1).is_some_and(|b| *b > b' ') {
            colon + 1
        } else {
            self.past_blanks(colon + 1, slice)
        };
        let first = slice.get(from).copied().unwrap_or_default();
        if from - colon > BLANKS_KEPT || matches!(first, b'{' | b'[') {
            if from - colon <= BLANKS_KEPT && from < self.end {
                // A container: its member is begun, the rest is not for here.
                self.child = child;
                (run.cursor, run.pos, run.lex) = (run.cursor + 2, from, Lex::Value);
            }
            return false;
        }
        let Some(value) = self.scalar(from, run.cursor + 2, slice) else { return false };
        let stop = slice.get(value.stop).copied().unwrap_or_default();
        if !matches!(stop, b',' | b'}') || !self.apply(run, node, program, first, value, slice, out) {
            return false;
        }
        if stop == b'}' {
            (run.cursor, run.pos, run.lex) = (run.cursor + 2 + value.places, value.to, Lex::After);
            return false;
        }
        if self.silent.is_none() {
            if run.last_kept {
                self.emit.kept = value.stop;
            } else {
                self.emit.skip_to(if run.emitted { value.stop } else { value.stop + 1 });
            }
        }
        (run.cursor, run.pos, run.lex) = (run.cursor + 3 + value.places, value.stop + 1, Lex::Key);
        true
    }

    fn keys_are_full(&self) -> bool {
        self.tally.counts.keys.len() >= self.plan.bounds.keys
    }

    /// A name that was not guessed.
    fn look_up(
        &mut self,
        run: &mut Run,
        program: &Arc<Program>,
        quote: usize,
        colon: usize,
        slice: &[u8],
    ) -> Option<u32> {
        let raw = slice.get(quote + 1..colon)?.strip_suffix(b"\"")?;
        let plain = raw.len() <= self.plan.bounds.key_bytes && memchr::memchr(b'\\', raw).is_none();
        if slice.get(colon) != Some(&b':') || !plain {
            return None;
        }
        let child = program.member(run.state, raw);
        let known = self.routes.learn(&mut run.trail, raw, child);
        if program.rule.is_some() && !known && !program.node(child).declared {
            let place = program.shape.state(run.state).map(|state| &state.place);
            self.tally.unknown(place.unwrap_or(&super::super::path::Path::default()), Some(raw));
        }
        Some(child)
    }

    /// Does to a scalar member what its state says; `false`: that is not for here.
    #[expect(clippy::too_many_arguments, reason = "the state of the loop is in locals for speed")]
    #[inline(always)]
    fn apply(
        &mut self,
        run: &mut Run,
        node: &Node,
        program: &Program,
        first: u8,
        value: Whole,
        slice: &[u8],
        out: &mut impl Output,
    ) -> bool {
        let act = match first {
            b'"' => node.text,
            b'n' => node.null,
            _ => node.other,
        };
        let silent = self.silent.is_some();
        if !silent && !matches!(act, Act::Keep | Act::Drop | Act::Mask(_)) {
            return false;
        }
        if program.rule.is_some() {
            if node.field != NO_FIELD {
                let hidden = act == Act::Drop && node.counts != Counted::No;
                self.tally.field(node.field, if hidden { Counted::Hidden } else { node.counts });
            } else if act == Act::Drop && node.container {
                return false;
            }
        }
        if silent {
            return true;
        }
        match act {
            Act::Keep => {
                self.emit.kept = value.to;
                (run.emitted, run.last_kept) = (true, true);
            }
            Act::Drop => {
                self.emit.flush(slice, out);
                self.emit.skip_to(value.to);
                run.last_kept = false;
            }
            Act::Mask(mask) => {
                self.emit.kept = value.from;
                self.write_masked(mask, slice.get(value.from..value.to).unwrap_or_default(), slice, out);
                self.emit.skip_to(value.to);
                (run.emitted, run.last_kept) = (true, true);
            }
            _ => {}
        }
        true
    }

    /// A masked scalar, behind what has been kept.
    pub(crate) fn write_masked(&mut self, mask: u32, raw: &[u8], slice: &[u8], out: &mut impl Output) {
        self.masked.clear();
        match self.compiled.masks.get(mask).filter(|_| raw.len() <= self.plan.bounds.value_bytes) {
            Some(mask) => text::mask(mask, raw, &mut self.masked),
            None => self.masked.push_str("null"),
        }
        self.emit.write(self.masked.as_bytes(), slice, out);
    }
}

/// A run of members.
struct Run {
    trail: Trail,
    emitted: bool,
    last_kept: bool,
    cursor: usize,
    pos: usize,
    lex: Lex,
    state: u32,
}

/// A number, `true`, `false` or `null`, whole.
#[inline]
fn is_plain_scalar(text: &[u8]) -> bool {
    match text.first() {
        Some(b't') => text == b"true",
        Some(b'f') => text == b"false",
        Some(b'n') => text == b"null",
        Some(b'1'..=b'9') if text.iter().all(u8::is_ascii_digit) => true,
        Some(_) => is_number(text),
        None => false,
    }
}

fn is_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let state = digits.iter().try_fold(NumberState::default(), |state, byte| state.take(*byte));
    state.is_some_and(NumberState::is_whole)
}
