//! Which elements of the arrays in a held record its filters choose, and its steps that count from the end: found out
//! on the record's bytes before it is written, and looked up by the place of the array while it is.
//!
//! An element of which that cannot be said, because a deciding member occurs twice or cannot be read, is hidden whole.
//! So is every element of an array that nobody looked at beforehand.

use std::collections::BTreeMap;

use super::super::automaton::{FORBIDDEN, Program, StateId};
use super::super::condition::Slot;
use super::super::path::{Choice, Hop, Query, Wanted};
use super::lexer::is_blank;
use super::text::decode_text;

/// What was chosen, by array.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    /// By the offset of the array in the answer.
    known: BTreeMap<u64, Chosen>,
    /// The arrays around the current place, by the number of frames around them.
    open: Vec<(usize, Chosen)>,
}

/// What takes the elements of one array: they are many, and what takes them is mostly the same few things.
#[derive(Debug)]
struct Chosen {
    /// A bit for each choice; `None`: nobody can say.
    combinations: Vec<Option<u64>>,
    /// By element: which of the combinations.
    elements: Vec<u16>,
}

impl Chosen {
    fn push(&mut self, choices: Option<u64>) {
        let known = self.combinations.iter().rposition(|known| *known == choices);
        let number = known.unwrap_or_else(|| {
            self.combinations.push(choices);
            self.combinations.len() - 1
        });
        // Beyond what a number holds is no combination: such an element is hidden.
        self.elements.push(u16::try_from(number).unwrap_or(u16::MAX));
    }

    fn of(&self, index: u64) -> Option<u64> {
        let number = self.elements.get(usize::try_from(index).ok()?)?;
        self.combinations.get(usize::from(*number)).copied().flatten()
    }
}

impl Choices {
    /// Places before this offset will not be seen again.
    pub(crate) fn forget_before(&mut self, offset: u64) {
        if !self.known.is_empty() {
            self.known = self.known.split_off(&offset);
        }
    }

    /// An array begins, with so many frames around it.
    pub(crate) fn open(&mut self, frames: usize, offset: u64) {
        self.open.retain(|(other, _)| *other < frames);
        if let Some(chosen) = self.known.remove(&offset) {
            self.open.push((frames, chosen));
        }
    }

    /// What takes an element of the array with so many frames around it.
    pub(crate) fn of(&self, frames: usize, index: u64) -> Option<u64> {
        let (_, chosen) = self.open.iter().rev().find(|(open, _)| *open == frames)?;
        chosen.of(index)
    }

    /// Finds out what is chosen in a value at a state. The value is well-formed; `offset` is its place in the answer.
    pub(crate) fn resolve(&mut self, seen: Seen<'_>, state: StateId, raw: &[u8], offset: u64) {
        if !seen.program.shape.is_choosing(state) {
            return;
        }
        match raw.first() {
            Some(b'{') => {
                for (name, value) in members(raw) {
                    let Some(name) = decode_text(name) else { continue };
                    let to = seen.program.member(state, name.as_bytes());
                    self.resolve(seen, to, value.of(raw), offset + value.from as u64);
                }
            }
            Some(b'[') => self.resolve_array(seen, state, raw, offset),
            _ => {}
        }
    }

    fn resolve_array(&mut self, seen: Seen<'_>, state: StateId, raw: &[u8], offset: u64) {
        let shape = &seen.program.shape;
        let is_chosen = shape.choices(state).next().is_some();
        let length = if is_chosen { elements(raw).count() as u64 } else { 0 };
        let mut chosen = Chosen { combinations: Vec::new(), elements: Vec::new() };
        for (index, item) in (0..).zip(elements(raw)) {
            let mut look = |query: &Query, wanted| look(item.of(raw), query, wanted, seen.value_bytes);
            let takes = |(bit, choice): (usize, &Choice)| {
                choice.takes(index, length, &mut look).map(|takes| u64::from(takes) << bit)
            };
            let bits = shape.choices(state).enumerate().map(takes).sum::<Result<u64, _>>().ok();
            let to = bits.map_or(FORBIDDEN, |bits| shape.chosen(state, index, bits));
            self.resolve(seen, to, item.of(raw), offset + item.from as u64);
            if is_chosen {
                chosen.push(bits);
            }
        }
        if is_chosen {
            self.known.insert(offset, chosen);
        }
    }

    /// The same for a positional row, whose elements are columns.
    pub(crate) fn resolve_row(&mut self, seen: Seen<'_>, raw: &[u8], offset: u64) {
        for (column, item) in seen.program.columns.iter().zip(elements(raw)) {
            self.resolve(seen, *column, item.of(raw), offset + item.from as u64);
        }
    }

    /// The same for a name/value pair, whose value is at a state.
    pub(crate) fn resolve_pair(
        &mut self,
        seen: Seen<'_>,
        state: StateId,
        name: &str,
        raw: &[u8],
        offset: u64,
    ) {
        for (member, value) in members(raw) {
            if decode_text(member).as_deref() == Some(name) {
                self.resolve(seen, state, value.of(raw), offset + value.from as u64);
            }
        }
    }
}

/// What is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'p> {
    pub(crate) program: &'p Program,
    /// Longest value that a filter reads.
    pub(crate) value_bytes: usize,
}

/// What stands at a place in an element.
fn look(element: &[u8], query: &Query, wanted: Wanted, value_bytes: usize) -> Slot {
    let mut at = element;
    for hop in &query.0 {
        let found = match (hop, at.first()) {
            (Hop::Name(name), Some(b'{')) => {
                let mut named = members(at).filter(|(member, _)| is_name(member, name));
                match (named.next(), named.next()) {
                    (Some((_, value)), None) => Some(value),
                    (Some(_), Some(_)) => return Slot::Ambiguous,
                    (None, _) => None,
                }
            }
            (Hop::Index(index), Some(b'[')) => match usize::try_from(*index) {
                Ok(index) => elements(at).nth(index),
                Err(_) => {
                    let back = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
                    elements(at).count().checked_sub(back).and_then(|index| elements(at).nth(index))
                }
            },
            _ => None,
        };
        let Some(found) = found else { return Slot::Missing };
        at = found.of(at);
    }
    match wanted {
        Wanted::Presence => Slot::Found(super::super::condition::Value::Null),
        Wanted::Value => Slot::read(at, value_bytes),
    }
}

fn is_name(raw: &[u8], name: &str) -> bool {
    raw == name.as_bytes()
        || (raw.contains(&b'\\') && decode_text(raw).is_some_and(|decoded| decoded == name))
}

// === well-formed JSON, walked ===

/// Where a value stands in its container.
#[derive(Clone, Copy, Debug)]
struct Range {
    from: usize,
    to: usize,
}

impl Range {
    fn of(self, raw: &[u8]) -> &[u8] {
        raw.get(self.from..self.to).unwrap_or_default()
    }
}

/// The elements of an array.
fn elements(raw: &[u8]) -> impl Iterator<Item = Range> {
    let mut at = 1;
    std::iter::from_fn(move || {
        let from = past(raw, at, b",");
        let to = value_end(raw, from);
        at = to;
        (from < to).then_some(Range { from, to })
    })
}

/// The members of an object: names as they stand, without quotes.
fn members(raw: &[u8]) -> impl Iterator<Item = (&[u8], Range)> {
    let mut at = 1;
    std::iter::from_fn(move || {
        let quote = past(raw, at, b",");
        let end = value_end(raw, quote);
        let name = raw.get(quote + 1..end.checked_sub(1)?)?;
        let from = past(raw, end, b":");
        let to = value_end(raw, from);
        at = to;
        (from < to).then_some((name, Range { from, to }))
    })
}

/// Behind blanks and these.
fn past(raw: &[u8], mut at: usize, marks: &[u8]) -> usize {
    while raw.get(at).is_some_and(|byte| is_blank(*byte) || marks.contains(byte)) {
        at += 1;
    }
    at
}

/// Where the value that begins at `from` ends; `from` itself where none does.
fn value_end(raw: &[u8], from: usize) -> usize {
    let (mut at, mut open) = (from, 0usize);
    while let Some(byte) = raw.get(at) {
        match byte {
            b'"' => at = text_end(raw, at),
            b'{' | b'[' => {
                open += 1;
                at += 1;
            }
            b'}' | b']' if open == 0 => return at,
            b'}' | b']' => {
                open -= 1;
                at += 1;
            }
            b',' | b':' if open == 0 => return at,
            byte if open == 0 && is_blank(*byte) => return at,
            _ => {
                at += 1;
                continue;
            }
        }
        if open == 0 {
            return at;
        }
    }
    at
}

/// Behind the closing quote of the text that begins at `quote`.
fn text_end(raw: &[u8], quote: usize) -> usize {
    let mut at = quote + 1;
    while let Some(found) = memchr::memchr2(b'"', b'\\', raw.get(at..).unwrap_or_default()) {
        at += found;
        match raw.get(at) {
            Some(b'"') => return at + 1,
            _ => at += 2,
        }
    }
    raw.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_walked_value_by_value() {
        let raw = br#"[ 1 ,"a]\"" , {"x" : [ 2 ]} ,null,[] ]"#;
        let found: Vec<&str> =
            elements(raw).map(|range| std::str::from_utf8(range.of(raw)).expect("text")).collect();
        assert_eq!(found, ["1", r#""a]\"""#, r#"{"x" : [ 2 ]}"#, "null", "[]"]);
        assert_eq!(elements(b"[]").count() + elements(b"[ ]").count() + members(b"{ }").count(), 0);
        let raw = br#"{ "a" : 1,"b\"":{"c":[]} , "":"x" }"#;
        let found: Vec<(&[u8], &[u8])> = members(raw).map(|(name, range)| (name, range.of(raw))).collect();
        let expected: [(&[u8], &[u8]); 3] = [(b"a", b"1"), (br#"b\""#, br#"{"c":[]}"#), (b"", br#""x""#)];
        assert_eq!(found, expected);
    }

    #[test]
    fn whatever_the_bytes_are_the_walk_ends() {
        for raw in
            [&b"["[..], b"{", b"[1", b"{\"a", b"{\"a\"", b"{\"a\":", b"[\"\\", b"[,,]", b"{:}", b"[}", b""]
        {
            assert!(elements(raw).count() + members(raw).count() < 9);
        }
    }
}
