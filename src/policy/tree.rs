//! A request body as a tree: strict RFC 8259, every number as its text, no member twice.
//!
//! Stricter than the grammar where parsers differ: no byte order mark, no lone surrogates, no two members of one
//! name (compared after unescaping), a stated depth. Whatever is accepted reads the same to every parser, and is
//! written again in one way.

use std::collections::HashSet;
use std::fmt::Write;

use crate::rewrite::{Path, Step};

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// As it stands in the body.
    Number(Box<str>),
    /// Decoded.
    Text(Box<str>),
    /// In order.
    List(Vec<Tree>),
    /// In order; the names decoded and different.
    Object(Vec<(Box<str>, Tree)>),
}

impl Tree {
    /// Parses a whole body.
    pub fn parse(body: &[u8], depth: usize) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(body).map_err(|_| "it is not utf-8")?;
        let mut parser = Parser { rest: text.as_bytes(), depth };
        parser.blank();
        let tree = parser.value()?;
        parser.blank();
        if parser.rest.is_empty() { Ok(tree) } else { Err("something follows its end") }
    }

    /// Writes it, without white space.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// What stands at a place that is one: names and indexes only.
    pub fn at(&self, path: &Path) -> Option<&Self> {
        path.steps().iter().try_fold(self, |tree, step| match (step, tree) {
            (Step::Name(name), Self::Object(members)) => {
                members.iter().find(|(known, _)| known == name).map(|(_, value)| value)
            }
            (Step::Index(index), Self::List(items)) => items.get(usize::try_from(*index).ok()?),
            _ => None,
        })
    }

    /// The same, to be replaced.
    pub fn at_mut(&mut self, path: &Path) -> Option<&mut Self> {
        path.steps().iter().try_fold(self, |tree, step| match (step, tree) {
            (Step::Name(name), Self::Object(members)) => {
                members.iter_mut().find(|(known, _)| known == name).map(|(_, value)| value)
            }
            (Step::Index(index), Self::List(items)) => items.get_mut(usize::try_from(*index).ok()?),
            _ => None,
        })
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(text) => out.push_str(text),
            Self::Text(text) => write_text(text, out),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    write_text(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' => {
                let _infallible = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

type Parsed<T> = Result<T, &'static str>;

/// Works on bytes that are known to be UTF-8.
struct Parser<'t> {
    rest: &'t [u8],
    /// Containers that may still be opened.
    depth: usize,
}

impl<'t> Parser<'t> {
    fn value(&mut self) -> Parsed<Tree> {
        match self.rest.first() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::list),
            Some(b'"') => self.text().map(Tree::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(Tree::Number),
            Some(b't') => self.word("true", Tree::Bool(true)),
            Some(b'f') => self.word("false", Tree::Bool(false)),
            Some(b'n') => self.word("null", Tree::Null),
            _ => Err(MALFORMED),
        }
    }

    fn nested(&mut self, container: fn(&mut Self) -> Parsed<Tree>) -> Parsed<Tree> {
        self.depth = self.depth.checked_sub(1).ok_or("it is nested too deeply")?;
        self.skip(1);
        self.blank();
        let tree = container(self)?;
        self.depth += 1;
        Ok(tree)
    }

    fn object(&mut self) -> Parsed<Tree> {
        let mut members: Vec<(Box<str>, Tree)> = Vec::new();
        if self.eat(b'}') {
            return Ok(Tree::Object(members));
        }
        loop {
            let name = self.text()?;
            self.blank();
            self.expect(b':')?;
            self.blank();
            members.push((name, self.value()?));
            self.blank();
            if !self.eat(b',') {
                break;
            }
            self.blank();
        }
        self.expect(b'}')?;
        let mut names = HashSet::with_capacity(members.len());
        let different = members.iter().all(|(name, _)| names.insert(name.as_ref()));
        if different { Ok(Tree::Object(members)) } else { Err("a member is named twice") }
    }

    fn list(&mut self) -> Parsed<Tree> {
        let mut items = Vec::new();
        if self.eat(b']') {
            return Ok(Tree::List(items));
        }
        loop {
            items.push(self.value()?);
            self.blank();
            if !self.eat(b',') {
                break;
            }
            self.blank();
        }
        self.expect(b']')?;
        Ok(Tree::List(items))
    }

    fn number(&mut self) -> Parsed<Box<str>> {
        let whole = self.rest;
        let _negative = self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _signed = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        let length = whole.len() - self.rest.len();
        if length > MAX_NUMBER_BYTES {
            return Err("a number is too long");
        }
        text_of(whole.get(..length))
    }

    fn digits(&mut self) -> Parsed<()> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.skip(digits);
        if digits > 0 { Ok(()) } else { Err(MALFORMED) }
    }

    fn text(&mut self) -> Parsed<Box<str>> {
        self.expect(b'"')?;
        let mut text = String::new();
        loop {
            let plain = self.rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count();
            text.push_str(&text_of(self.rest.get(..plain))?);
            self.skip(plain);
            match self.next()? {
                b'"' => return Ok(text.into()),
                b'\\' => text.push(self.escape()?),
                _ => return Err("a text holds a control character"),
            }
        }
    }

    fn escape(&mut self) -> Parsed<char> {
        Ok(match self.next()? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex()?;
                let paired = matches!(first, 0xd800..=0xdbff) && self.rest.starts_with(b"\\u");
                let units = if paired {
                    self.skip(2);
                    [first, self.hex()?]
                } else {
                    [first, 0]
                };
                let used = if paired { 2 } else { 1 };
                let mut decoded = char::decode_utf16(units.into_iter().take(used));
                match (decoded.next(), decoded.next()) {
                    (Some(Ok(c)), None) => c,
                    _ => return Err("a text holds half a character"),
                }
            }
            _ => return Err(MALFORMED),
        })
    }

    fn hex(&mut self) -> Parsed<u16> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = char::from(self.next()?).to_digit(16).ok_or(MALFORMED)?;
            unit = unit << 4 | digit;
        }
        u16::try_from(unit).map_err(|_| MALFORMED)
    }

    fn word(&mut self, word: &str, tree: Tree) -> Parsed<Tree> {
        self.rest = self.rest.strip_prefix(word.as_bytes()).ok_or(MALFORMED)?;
        Ok(tree)
    }

    fn blank(&mut self) {
        self.skip(self.rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count());
    }

    fn expect(&mut self, byte: u8) -> Parsed<()> {
        if self.eat(byte) { Ok(()) } else { Err(MALFORMED) }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        self.skip(usize::from(found));
        found
    }

    fn next(&mut self) -> Parsed<u8> {
        let (first, rest) = self.rest.split_first().ok_or(MALFORMED)?;
        self.rest = rest;
        Ok(*first)
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}

fn text_of(bytes: Option<&[u8]>) -> Parsed<Box<str>> {
    std::str::from_utf8(bytes.unwrap_or_default()).map(Into::into).map_err(|_| MALFORMED)
}

const MALFORMED: &str = "it is not valid json";
const MAX_NUMBER_BYTES: usize = 1 << 10;

#[cfg(test)]
mod tests;
