//! Rows that lie in a chunk whole, found by the scan: the places of delimiters, quotes and control characters ahead.
//! Whatever is malformed, or goes over the end of the chunk, is left to `row`, which reads byte by byte.

use super::super::scan::{Tier, marks};
use super::row::Cell;

/// Most bytes that are scanned at once.
const WINDOW_BYTES: usize = 64 << 10;

/// The marks of a part of the chunk.
#[derive(Debug)]
pub(super) struct Marks {
    tier: Tier,
    /// Places from `from` on.
    index: Vec<u32>,
    /// The first place that has not been used.
    cursor: usize,
    /// What part of the chunk was scanned.
    from: usize,
    to: usize,
}

impl Default for Marks {
    fn default() -> Self {
        Self { tier: Tier::best(), index: Vec::new(), cursor: 0, from: 0, to: 0 }
    }
}

impl Marks {
    /// Another chunk comes.
    pub(super) fn forget(&mut self) {
        (self.from, self.to, self.cursor) = (0, 0, 0);
        self.index.clear();
    }

    /// Takes the row that starts at `start` apart, if it ends in the chunk, before `most` bytes, and is well-formed:
    /// where it ends, behind its line feed, and where its text ends. The cells are counted from `start`.
    pub(super) fn row(
        &mut self,
        chunk: &[u8],
        start: usize,
        delimiter: u8,
        most: usize,
        cells: &mut Vec<Cell>,
    ) -> Option<usize> {
        if start >= self.from && start < self.to {
            self.aim(start);
            if let Some(end) = self.apart(chunk, start, delimiter, cells) {
                return (end - start <= most).then_some(end);
            }
            if self.to == chunk.len() || start == self.from {
                return None;
            }
        }
        self.index.clear();
        let window = chunk.get(start..chunk.len().min(start + WINDOW_BYTES)).unwrap_or_default();
        marks(window, delimiter, self.tier, &mut self.index);
        (self.from, self.to, self.cursor) = (start, start + window.len(), 0);
        self.apart(chunk, start, delimiter, cells).filter(|end| end - start <= most)
    }

    /// Goes on to the first place at or behind `start`.
    fn aim(&mut self, start: usize) {
        let before = self.cursor.checked_sub(1).and_then(|before| self.place(before));
        if before.is_some_and(|before| before >= start) {
            let from = self.from;
            self.cursor = self.index.partition_point(|place| from + (*place as usize) < start);
        }
        while self.place(self.cursor).is_some_and(|place| place < start) {
            self.cursor += 1;
        }
    }

    #[inline(always)]
    fn place(&self, cursor: usize) -> Option<usize> {
        Some(self.from + *self.index.get(cursor)? as usize)
    }

    /// As [`row::split`](super::row::split) does, from mark to mark.
    fn apart(&mut self, chunk: &[u8], start: usize, delimiter: u8, cells: &mut Vec<Cell>) -> Option<usize> {
        cells.clear();
        let (mut cursor, mut from) = (self.cursor, start);
        loop {
            let mut at = self.place(cursor)?;
            let mut cell = Cell { from: from - start, to: 0, quoted: false, doubled: false };
            if at == from && chunk.get(at) == Some(&b'"') {
                (cursor, cell.doubled) = self.quoted(chunk, cursor, delimiter)?;
                cell.quoted = true;
                at = self.place(cursor)?;
            } else {
                while delimiter != b'\t' && chunk.get(at) == Some(&b'\t') {
                    cursor += 1;
                    at = self.place(cursor)?;
                }
            }
            cell.to = at - start;
            cells.push(cell);
            cursor += 1;
            let end = match chunk.get(at).copied()? {
                byte if byte == delimiter => {
                    from = at + 1;
                    continue;
                }
                b'\n' => at + 1,
                b'\r' if self.place(cursor) == Some(at + 1) && chunk.get(at + 1) == Some(&b'\n') => {
                    cursor += 1;
                    at + 2
                }
                _ => return None,
            };
            self.cursor = cursor;
            return Some(end);
        }
    }

    /// A quoted value that starts at a mark: the mark behind its closing quote, and whether a quote in it is doubled.
    fn quoted(&self, chunk: &[u8], mut cursor: usize, delimiter: u8) -> Option<(usize, bool)> {
        let mut doubled = false;
        loop {
            cursor += 1;
            let at = self.place(cursor)?;
            match chunk.get(at).copied()? {
                b'"' => {
                    // A delimiter, a line end or another quote follows at once: each of them is a mark.
                    cursor += 1;
                    if self.place(cursor)? != at + 1 {
                        return None;
                    }
                    if chunk.get(at + 1) != Some(&b'"') {
                        return Some((cursor, doubled));
                    }
                    doubled = true;
                }
                b'\t' | b'\n' | b'\r' => {}
                byte if byte == delimiter && byte >= b' ' => {}
                _ => return None,
            }
        }
    }
}
