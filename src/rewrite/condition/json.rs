//! The JSON text of one value in a record, read for a condition.
//!
//! Not built on a JSON library's own value, because those round numbers, keep the last of two equal members, or both.

use std::collections::HashSet;
use std::sync::Arc;

use super::value::{Slot, Unreadable, Value};

impl Slot {
    /// What stands in `raw`, one JSON value; beyond `limit` bytes, or where it cannot be read, it is ambiguous.
    pub(in crate::rewrite) fn read(raw: &[u8], limit: usize) -> Self {
        if raw.len() > limit {
            return Self::Ambiguous;
        }
        let text = std::str::from_utf8(raw).map_err(|_| Unreadable);
        text.and_then(Value::from_json).map_or(Self::Ambiguous, Self::Found)
    }
}

impl Value {
    /// Reads a JSON text. Strict RFC 8259; containers nested more than 32 deep, members that occur twice, numbers
    /// beyond a double and texts with half a surrogate pair are [`Unreadable`]. The caller bounds the length.
    pub fn from_json(text: &str) -> Result<Self, Unreadable> {
        let mut reader = Reader { text, at: 0 };
        reader.blank();
        let value = reader.value(MAX_DEPTH)?;
        reader.blank();
        if reader.at == text.len() { Ok(value) } else { Err(Unreadable) }
    }

    /// Reads the text of a JSON number.
    pub(super) fn from_number(text: &str) -> Result<Self, Unreadable> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let starts_well = match digits.as_bytes() {
            [b'0'] | [b'0', b'.' | b'e' | b'E', ..] => true,
            [first, ..] => (b'1'..=b'9').contains(first),
            [] => false,
        };
        if !starts_well || digits.ends_with('.') || digits.contains(".e") || digits.contains(".E") {
            return Err(Unreadable);
        }
        if let Ok(int) = text.parse() {
            return Ok(Self::Int(int));
        }
        if let Ok(uint) = text.parse() {
            return Ok(Self::UInt(uint));
        }
        match text.parse::<f64>() {
            Ok(double) if double.is_finite() => Ok(Self::Double(double)),
            _ => Err(Unreadable),
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn value(&mut self, depth: usize) -> Result<Value, Unreadable> {
        match self.peek().ok_or(Unreadable)? {
            b'"' => Ok(Value::Text(self.string()?)),
            b'{' => self.object(depth.checked_sub(1).ok_or(Unreadable)?),
            b'[' => self.array(depth.checked_sub(1).ok_or(Unreadable)?),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            _ => Value::from_number(
                self.take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')),
            ),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Unreadable> {
        let mut members: Vec<(Arc<str>, Value)> = Vec::new();
        let mut names = HashSet::new();
        self.items(b'}', |reader| {
            let name = if reader.peek() == Some(b'"') { reader.string()? } else { return Err(Unreadable) };
            if !names.insert(Arc::clone(&name)) {
                return Err(Unreadable);
            }
            reader.blank();
            reader.expect(b':')?;
            reader.blank();
            members.push((name, reader.value(depth)?));
            Ok(())
        })?;
        Ok(Value::Map(members.into()))
    }

    fn array(&mut self, depth: usize) -> Result<Value, Unreadable> {
        let mut elements = Vec::new();
        self.items(b']', |reader| {
            elements.push(reader.value(depth)?);
            Ok(())
        })?;
        Ok(Value::List(elements.into()))
    }

    /// What stands between the opening bracket here and `close`, separated by commas.
    fn items(
        &mut self,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        self.at += 1;
        self.blank();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            self.blank();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Unreadable),
            }
            self.blank();
        }
    }

    fn string(&mut self) -> Result<Arc<str>, Unreadable> {
        let start = self.at;
        self.at += 1;
        let mut escaped = false;
        loop {
            self.take_while(|byte| byte != b'"' && byte != b'\\' && byte >= b' ');
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                _ => return Err(Unreadable),
            }
        }
        self.at += 1;
        let quoted = self.text.get(start..self.at).ok_or(Unreadable)?;
        if escaped {
            let decoded: String = serde_json::from_str(quoted).map_err(|_| Unreadable)?;
            return Ok(decoded.into());
        }
        Ok(quoted.trim_matches('"').into())
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Unreadable> {
        match self.text.get(self.at..self.at + word.len()) {
            Some(found) if found == word => {
                self.at += word.len();
                Ok(value)
            }
            _ => Err(Unreadable),
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Unreadable> {
        if self.peek() != Some(byte) {
            return Err(Unreadable);
        }
        self.at += 1;
        Ok(())
    }

    fn blank(&mut self) {
        self.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    }

    fn take_while(&mut self, holds: impl Fn(u8) -> bool) -> &'t str {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| !holds(*byte)).unwrap_or(rest.len());
        let start = self.at;
        self.at += length;
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// Deepest nesting of containers in one value that a condition looks at.
const MAX_DEPTH: usize = 32;
