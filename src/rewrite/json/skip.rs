//! Subtrees that pass or go whole: only their grammar is checked.

use super::super::output::Output;
use super::index::{BLANKS_KEPT, View};
use super::lexer::Lex;
use super::machine::{Kind, Machine};

/// How far reading has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) cursor: usize,
    pub(crate) pos: usize,
    pub(crate) lex: Lex,
}

/// What bounds a subtree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Containers around it.
    pub(crate) depth: usize,
    /// Most containers within one another.
    pub(crate) most: usize,
    pub(crate) key_bytes: usize,
}

impl Machine {
    /// Reads on in a subtree that passes or goes whole.
    pub(crate) fn skip_on(&mut self, slice: &[u8], out: &mut impl Output) -> bool {
        let Some(depth) = self.skip else { return false };
        let limits = Limits { depth, most: self.depth_limit, key_bytes: self.plan.bounds.key_bytes };
        let before = At { cursor: self.ahead.cursor, pos: self.pos, lex: self.lex };
        let mut kinds = std::mem::take(&mut self.kinds);
        let (at, ended) = self.view(slice).skip(before, limits, &mut kinds);
        self.kinds = kinds;
        let moved = at.cursor > before.cursor || at.pos > before.pos;
        if moved {
            self.blanks = 0;
        }
        (self.ahead.cursor, self.pos, self.lex) = (at.cursor, at.pos, at.lex);
        if ended {
            self.skip = None;
            self.end_value(slice, out);
        }
        moved
    }
}

impl View<'_> {
    /// Reads on until the subtree ends (`true`) or what comes next is not plain.
    #[inline]
    pub(crate) fn skip(&self, from: At, limits: Limits, kinds: &mut Vec<Kind>) -> (At, bool) {
        let At { mut cursor, mut pos, mut lex } = from;
        while let Some(place) = self.place(cursor) {
            let value = matches!(lex, Lex::Value | Lex::ValueOrEnd);
            let from = if value { self.past_blanks(pos) } else { place };
            if from < place {
                let Some(scalar) = self.scalar(from, cursor).filter(|_| value && from - pos <= BLANKS_KEPT)
                else {
                    break;
                };
                (pos, lex) = (scalar.to, Lex::After);
                continue;
            }
            if from > place || !self.only_blanks(0, pos, place) {
                break;
            }
            match (lex, self.byte(place)) {
                (Lex::After, b',') => {
                    lex = if kinds.last() == Some(&Kind::Object) { Lex::Key } else { Lex::Value };
                }
                (Lex::Key | Lex::KeyOrEnd, b'"') => {
                    let Some(colon) = self.skipped_name(place, cursor, limits.key_bytes) else { break };
                    (cursor, pos, lex) = (cursor + 2, colon + 1, Lex::Value);
                    continue;
                }
                (Lex::Value | Lex::ValueOrEnd, b'"') => {
                    let Some(scalar) = self.scalar(place, cursor) else { break };
                    (cursor, pos, lex) = (scalar.cursor, scalar.to, Lex::After);
                    continue;
                }
                (Lex::Value | Lex::ValueOrEnd, bracket @ (b'{' | b'[')) if kinds.len() < limits.most => {
                    let object = bracket == b'{';
                    kinds.push(if object { Kind::Object } else { Kind::Array });
                    lex = if object { Lex::KeyOrEnd } else { Lex::ValueOrEnd };
                }
                (Lex::After | Lex::KeyOrEnd, b'}') if kinds.last() == Some(&Kind::Object) => lex = Lex::After,
                (Lex::After | Lex::ValueOrEnd, b']') if kinds.last() == Some(&Kind::Array) => {
                    lex = Lex::After
                }
                _ => break,
            }
            (cursor, pos) = (cursor + 1, place + 1);
            if matches!(self.byte(place), b'}' | b']') {
                kinds.pop();
                if kinds.len() == limits.depth {
                    return (At { cursor, pos, lex }, true);
                }
            }
        }
        (At { cursor, pos, lex }, false)
    }

    /// A plain member name in a skipped subtree: where its colon is.
    #[inline]
    fn skipped_name(&self, place: usize, cursor: usize, key_bytes: usize) -> Option<usize> {
        let (raw, colon) = self.name(place, cursor)?;
        (memchr::memchr(b'\\', raw).is_none() && raw.len() <= key_bytes).then_some(colon)
    }
}
