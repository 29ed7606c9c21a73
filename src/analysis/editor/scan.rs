//! Where everything stands in a text that may be broken: an editor asks while somebody types, when the YAML parser can
//! only say that the text is wrong.
//!
//! Comes in: any text. Goes out: every key and scalar with the path at which it stands, in order, as far as
//! indentation and brackets tell. It never refuses and never decides what a policy means; what the compiler reads is
//! read by [`Documents`](crate::policy::source::Documents) alone. A list or quote that was not closed ends where a
//! line begins that cannot belong to it: one indented no deeper than the member that holds it (YAML 1.2.2 section 6.1).

use std::ops::Range;
use std::sync::Arc;

/// One step from the root of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A member.
    Key(Arc<str>),
    /// An item.
    Item(usize),
}

/// What a scalar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A key of the mapping at the path.
    Key,
    /// The value at the path.
    Value,
    /// The value at the path, or the first key of a mapping there: no colon has been typed yet.
    Open,
}

/// A key or scalar.
#[derive(Clone, Debug)]
pub(super) struct Token {
    /// Its bytes, with its quotes.
    pub(super) range: Range<usize>,
    /// What it says; escapes stay as they are written.
    pub(super) text: Arc<str>,
    /// How it is quoted.
    pub(super) quote: Option<u8>,
    /// What it is.
    pub(super) part: Part,
    /// Where it stands: for a key, the mapping.
    pub(super) path: Vec<Step>,
    /// Whether it stands inside `[ ]` or `{ }`.
    pub(super) in_flow: bool,
}

/// All keys and scalars. With `hole` the text is what stands before a cursor, and where nothing has been typed there
/// an empty one is the last.
pub(super) fn scan(text: &str, hole: bool, see: &mut dyn FnMut(Token)) {
    let mut scanner = Scanner { text, at: 0, line: 0, blocks: Vec::new(), flow: Vec::new(), hole, see };
    scanner.run();
}

/// A mapping or list written by indentation.
struct Block {
    indent: usize,
    within: Within,
}

enum Within {
    Map(Option<Arc<str>>),
    List(usize),
}

struct Scanner<'s> {
    text: &'s str,
    at: usize,
    /// Where the line begins.
    line: usize,
    blocks: Vec<Block>,
    flow: Vec<Within>,
    hole: bool,
    see: &'s mut dyn FnMut(Token),
}

/// A quoted or plain scalar that was read.
struct Scalar {
    range: Range<usize>,
    text: Arc<str>,
    quote: Option<u8>,
}

impl Scanner<'_> {
    fn run(&mut self) {
        while self.at < self.text.len() && self.blocks.len() < MAX_DEPTH {
            self.line = self.at;
            self.skip_spaces();
            match self.peek(0) {
                None if self.hole => self.hole_in_line(),
                None | Some(b'\n' | b'\r' | b'#') => {}
                Some(b'-' | b'.') if self.at == self.line && self.is_document_mark() => {}
                Some(_) => self.node(),
            }
            self.skip_line();
        }
        let fresh_line = self.text.is_empty() || self.text.ends_with('\n');
        if self.hole && fresh_line {
            self.line = self.text.len();
            self.hole_in_line();
        }
    }

    // === lines ===

    /// What stands in a line behind its indentation: dashes, keys, a value.
    fn node(&mut self) {
        loop {
            let column = self.at - self.line;
            if self.peek(0) == Some(b'-') && self.ends_word(1) {
                self.dash(column);
                self.at += 1;
                self.skip_spaces();
                match self.peek(0) {
                    None if self.hole => return self.emit_hole(Part::Open),
                    None | Some(b'\n' | b'\r' | b'#') => return,
                    Some(_) if self.blocks.len() < MAX_DEPTH => continue,
                    Some(_) => return,
                }
            }
            self.skip_properties();
            match self.key() {
                Some(key) => {
                    self.member(column, key);
                    self.skip_spaces();
                    self.value(column);
                }
                None => self.alone(column),
            }
            return;
        }
    }

    fn dash(&mut self, column: usize) {
        self.leave(column, false);
        match self.blocks.last_mut() {
            Some(Block { indent, within: Within::List(index) }) if *indent == column => *index += 1,
            _ => self.blocks.push(Block { indent: column, within: Within::List(0) }),
        }
    }

    fn member(&mut self, column: usize, key: Scalar) {
        self.enter_map(column);
        self.name_member(None);
        let name = key.text.clone();
        self.emit(key, Part::Key);
        self.name_member(Some(name));
    }

    fn name_member(&mut self, name: Option<Arc<str>>) {
        if let Some(Block { within: Within::Map(key), .. }) = self.blocks.last_mut() {
            *key = name;
        }
    }

    fn enter_map(&mut self, column: usize) {
        self.leave(column, true);
        let known = matches!(
            self.blocks.last(),
            Some(Block { indent, within: Within::Map(_) }) if *indent == column
        );
        if !known {
            self.blocks.push(Block { indent: column, within: Within::Map(None) });
        }
    }

    /// Leaves the blocks that end before a column; `key`: also a list at it, whose items begin with dashes.
    fn leave(&mut self, column: usize, key: bool) {
        while self.blocks.last().is_some_and(|block| {
            block.indent > column
                || (key && block.indent == column && matches!(block.within, Within::List(_)))
        }) {
            self.blocks.pop();
        }
    }

    /// The value of a member, on its line.
    fn value(&mut self, indent: usize) {
        self.skip_properties();
        match self.peek(0) {
            None if self.hole => self.emit_hole(Part::Value),
            None | Some(b'\n' | b'\r' | b'#') => {}
            Some(b'|' | b'>') => self.skip_block_scalar(indent),
            Some(_) => self.flow_or_scalar(Some(indent), Part::Value),
        }
    }

    /// A scalar, or a list or mapping in brackets, that is no key and stands on a line of its own or behind a dash.
    fn alone(&mut self, column: usize) {
        let owner = self.blocks.iter().rev().map(|block| block.indent).find(|indent| *indent < column);
        match self.peek(0) {
            Some(b'[' | b'{') => {
                self.leave(column, false);
                self.flow_or_scalar(owner, Part::Value);
            }
            Some(b'|' | b'>') => self.skip_block_scalar(owner.unwrap_or(0)),
            _ => {
                let part = self.place_at(column);
                self.flow_or_scalar(owner, part);
            }
        }
    }

    /// Leaves what a line at this column does not belong to; says what something there may be.
    fn place_at(&mut self, column: usize) -> Part {
        self.leave(column, false);
        // Behind a dash on the same line the list is the innermost, with a smaller indent.
        let beside = self.blocks.last().is_some_and(|block| block.indent == column);
        if beside && self.blocks.len() > 1 && matches!(self.blocks.last(), Some(b) if is_list(b)) {
            // A list at the column of the member that holds it: what has no dash is that member's neighbour.
            let below = self.blocks.len() - 2;
            if self.blocks.get(below).is_some_and(|block| block.indent == column) {
                self.blocks.pop();
            }
        }
        match self.blocks.last_mut() {
            None => {
                self.blocks.push(Block { indent: column, within: Within::Map(None) });
                Part::Key
            }
            Some(Block { indent, within: Within::Map(key) }) if *indent == column => {
                *key = None;
                Part::Key
            }
            Some(_) => Part::Open,
        }
    }

    fn hole_in_line(&mut self) {
        self.at = self.text.len();
        let part = self.place_at(self.at - self.line);
        self.emit_hole(part);
    }

    fn skip_block_scalar(&mut self, owner: usize) {
        self.skip_line();
        while self.at < self.text.len() {
            let rest = self.rest();
            let indent = rest.len() - rest.trim_start_matches(' ').len();
            if indent <= owner && !rest.get(indent..).unwrap_or("").starts_with(['\n', '\r']) {
                break;
            }
            self.skip_line();
        }
        // The caller skips the rest of a line: stand at the end of the last one.
        if self.at < self.text.len() || self.text.ends_with('\n') {
            self.at = self.at.saturating_sub(1);
        }
    }

    // === brackets ===

    fn flow_or_scalar(&mut self, owner: Option<usize>, part: Part) {
        if !matches!(self.peek(0), Some(b'[' | b'{')) {
            if let Some(scalar) = self.scalar(owner) {
                self.emit(scalar, part);
            }
            return;
        }
        while let Some(byte) = self.peek(0) {
            match byte {
                b' ' | b'\t' => self.at += 1,
                b'\n' | b'\r' => match self.next_in_flow(owner) {
                    Some(next) => self.at = next,
                    None => break,
                },
                b'#' if self.behind_space() => self.skip_to_line_end(),
                b'[' if self.flow.len() < MAX_DEPTH => self.open(Within::List(0)),
                b'{' if self.flow.len() < MAX_DEPTH => self.open(Within::Map(None)),
                b'[' | b'{' => break,
                b']' | b'}' => {
                    self.at += 1;
                    self.flow.pop();
                    if self.flow.is_empty() {
                        return;
                    }
                }
                b',' => {
                    self.at += 1;
                    match self.flow.last_mut() {
                        Some(Within::Map(key)) => *key = None,
                        Some(Within::List(index)) => *index += 1,
                        None => break,
                    }
                }
                b':' => self.at += 1,
                _ => self.in_flow(owner),
            }
        }
        if self.at >= self.text.len() && self.hole && !self.touches_token() {
            let part = self.flow_part();
            self.emit_hole(part);
        }
        self.flow.clear();
    }

    fn open(&mut self, within: Within) {
        self.at += 1;
        self.flow.push(within);
    }

    fn in_flow(&mut self, owner: Option<usize>) {
        let part = self.flow_part();
        let Some(scalar) = self.scalar(owner) else {
            self.at += self.rest().chars().next().map_or(1, char::len_utf8);
            return;
        };
        let name = scalar.text.clone();
        self.emit(scalar, part);
        if let (Part::Key, Some(Within::Map(key))) = (part, self.flow.last_mut()) {
            *key = Some(name);
        }
    }

    fn flow_part(&self) -> Part {
        if matches!(self.flow.last(), Some(Within::Map(None))) { Part::Key } else { Part::Value }
    }

    /// Where the next line begins that holds something, if it can be inside the brackets.
    fn next_in_flow(&self, owner: Option<usize>) -> Option<usize> {
        let mut next = self.at;
        loop {
            let rest = self.text.get(next..).unwrap_or("");
            let line = memchr::memchr(b'\n', rest.as_bytes()).map_or(self.text.len(), |at| next + at + 1);
            let rest = self.text.get(line..).unwrap_or("");
            let inner = rest.trim_start_matches(' ');
            let indent = rest.len() - inner.len();
            let blank = inner.starts_with(['\n', '\r']);
            if blank {
                next = line + indent;
                continue;
            }
            // An empty rest is where the cursor is, or the end.
            let inside = owner.is_none_or(|owner| indent > owner) || inner.starts_with([']', '}']);
            return inside.then_some(line);
        }
    }

    // === scalars ===

    fn key(&mut self) -> Option<Scalar> {
        let start = self.at;
        let scalar = match self.peek(0)? {
            b'[' | b'{' | b']' | b'}' | b',' | b'|' | b'>' | b'*' => None,
            b'"' | b'\'' => self.line_quoted().filter(|_| {
                self.skip_spaces();
                self.peek(0) == Some(b':') && self.ends_word(1)
            }),
            _ => {
                while self.peek(0).is_some_and(|byte| !self.ends_key(byte)) {
                    self.at += 1;
                }
                (self.peek(0) == Some(b':')).then(|| self.plain_from(start))
            }
        };
        if scalar.is_some() {
            self.at += 1;
        } else {
            self.at = start;
        }
        scalar
    }

    fn ends_key(&self, byte: u8) -> bool {
        match byte {
            b'\n' | b'\r' => true,
            b':' => self.ends_word(1),
            b'#' => self.behind_space(),
            _ => false,
        }
    }

    fn scalar(&mut self, owner: Option<usize>) -> Option<Scalar> {
        let start = self.at;
        if matches!(self.peek(0)?, b'"' | b'\'') {
            return Some(self.quoted(owner));
        }
        let flow = !self.flow.is_empty();
        while let Some(byte) = self.peek(0) {
            let ends = match byte {
                b'\n' | b'\r' => true,
                b'#' => self.behind_space() && self.at > start,
                b',' | b'[' | b']' | b'{' | b'}' => flow,
                b':' => flow && self.ends_word(1),
                _ => false,
            };
            if ends {
                break;
            }
            self.at += 1;
        }
        (self.at > start).then(|| self.plain_from(start))
    }

    fn plain_from(&self, start: usize) -> Scalar {
        let written = self.text.get(start..self.at).unwrap_or("");
        // Before a cursor a space at the end counts: a condition goes on behind it.
        let whole = self.hole && self.at == self.text.len();
        let text = if whole { written } else { written.trim_end() };
        Scalar { range: start..start + text.len(), text: text.into(), quote: None }
    }

    /// A quoted scalar that ends in its line.
    fn line_quoted(&mut self) -> Option<Scalar> {
        let line = self.rest().lines().next().unwrap_or("");
        let end = closing(line)?;
        Some(self.take_quoted(end, true))
    }

    fn quoted(&mut self, owner: Option<usize>) -> Scalar {
        let rest = self.rest();
        if let Some(end) = closing(rest) {
            let inside = rest.get(..end).unwrap_or("");
            let stays = |line: &str| {
                let indent = line.len() - line.trim_start_matches(' ').len();
                line.trim().is_empty() || owner.is_none_or(|owner| indent > owner)
            };
            if inside.lines().skip(1).all(stays) {
                return self.take_quoted(end, true);
            }
        }
        let line = rest.lines().next().unwrap_or("").len();
        self.take_quoted(line, false)
    }

    /// Takes a quoted scalar of so many bytes, without or with the quote at its end.
    fn take_quoted(&mut self, end: usize, closed: bool) -> Scalar {
        let quote = self.peek(0);
        let range = self.at..self.at + end;
        let inside = range.start + 1..if closed { range.end.saturating_sub(1) } else { range.end };
        let text = self.text.get(inside).unwrap_or("").into();
        self.at = range.end;
        Scalar { range, text, quote }
    }

    // === characters ===

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    /// Whether a space, bracket or the line's end follows.
    fn ends_word(&self, ahead: usize) -> bool {
        match self.peek(ahead) {
            None | Some(b' ' | b'\t' | b'\n' | b'\r') => true,
            Some(byte) => !self.flow.is_empty() && matches!(byte, b',' | b'[' | b']' | b'{' | b'}'),
        }
    }

    fn behind_space(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.text.as_bytes().get(at));
        before.is_none_or(u8::is_ascii_whitespace)
    }

    fn touches_token(&self) -> bool {
        let before = self.text.as_bytes().last().copied().unwrap_or(b' ');
        !before.is_ascii_whitespace() && !matches!(before, b',' | b'[' | b'{' | b':')
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(0), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Anchors and tags.
    fn skip_properties(&mut self) {
        while matches!(self.peek(0), Some(b'&' | b'!')) {
            while !self.ends_word(0) {
                self.at += 1;
            }
            self.skip_spaces();
        }
    }

    fn skip_to_line_end(&mut self) {
        self.at = memchr::memchr(b'\n', self.rest().as_bytes()).map_or(self.text.len(), |at| self.at + at);
    }

    fn skip_line(&mut self) {
        self.skip_to_line_end();
        self.at = (self.at + 1).min(self.text.len());
    }

    fn is_document_mark(&self) -> bool {
        (self.rest().starts_with("---") || self.rest().starts_with("...")) && self.ends_word(3)
    }

    // === what was found ===

    fn path(&self) -> Vec<Step> {
        let blocks = self.blocks.iter().map(|block| &block.within);
        blocks
            .chain(&self.flow)
            .filter_map(|within| match within {
                Within::Map(key) => key.clone().map(Step::Key),
                Within::List(index) => Some(Step::Item(*index)),
            })
            .collect()
    }

    fn emit(&mut self, scalar: Scalar, part: Part) {
        let Scalar { range, text, quote } = scalar;
        let token = Token { range, text, quote, part, path: self.path(), in_flow: !self.flow.is_empty() };
        (self.see)(token);
    }

    fn emit_hole(&mut self, part: Part) {
        self.hole = false;
        let end = self.text.len();
        self.emit(Scalar { range: end..end, text: "".into(), quote: None }, part);
    }
}

fn is_list(block: &Block) -> bool {
    matches!(block.within, Within::List(_))
}

/// Where a quoted scalar at the beginning of a text ends.
fn closing(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate();
    let (_, quote) = bytes.next()?;
    let mut escaped = false;
    let mut bytes = bytes.peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quote == b'"' => escaped = true,
            _ if byte != quote => {}
            b'\'' if bytes.peek().is_some_and(|(_, next)| *next == b'\'') => {
                bytes.next();
            }
            _ => return Some(at + 1),
        }
    }
    None
}

/// Deeper texts are not looked at: the compiler refuses them.
const MAX_DEPTH: usize = 64;

#[cfg(test)]
mod tests;
