//! Deciding values: what a condition reads, parsed from text that the lexer has accepted.

use std::sync::Arc;

use super::super::condition::{Slot, Value};
use super::text::decode_text;

/// Deepest container that a condition reads.
const MAX_DEPTH: usize = 32;

/// What stands in `raw`, one JSON value; beyond `limit` bytes, or where it cannot be read, it is ambiguous.
pub(crate) fn slot(raw: &[u8], limit: usize) -> Slot {
    if raw.len() > limit {
        return Slot::Ambiguous;
    }
    let mut reader = Reader { raw, at: 0 };
    reader.value(MAX_DEPTH).map_or(Slot::Ambiguous, Slot::Found)
}

/// A number as conditions see it; `None` beyond the range of doubles.
pub(crate) fn number(text: &str) -> Option<Value> {
    if !text.contains(['.', 'e', 'E']) {
        if let Ok(int) = text.parse() {
            return Some(Value::Int(int));
        }
        if let Ok(uint) = text.parse() {
            return Some(Value::UInt(uint));
        }
    }
    text.parse().ok().filter(|double: &f64| double.is_finite()).map(Value::Double)
}

struct Reader<'r> {
    raw: &'r [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.raw.get(self.at) {
            self.at += 1;
        }
        self.raw.get(self.at).copied()
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        match self.peek()? {
            b'{' => self.map(depth.checked_sub(1)?),
            b'[' => self.list(depth.checked_sub(1)?),
            b'"' => self.text().map(|text| Value::Text(text.into())),
            b't' => self.word(4, Value::Bool(true)),
            b'f' => self.word(5, Value::Bool(false)),
            b'n' => self.word(4, Value::Null),
            _ => {
                let rest = self.raw.get(self.at..)?;
                let is_end = |b: &u8| matches!(b, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n' | b':');
                let end = rest.iter().position(is_end).unwrap_or(rest.len());
                self.at += end;
                number(std::str::from_utf8(rest.get(..end)?).ok()?)
            }
        }
    }

    fn word(&mut self, length: usize, value: Value) -> Option<Value> {
        self.at += length;
        Some(value)
    }

    fn text(&mut self) -> Option<String> {
        let start = self.at + 1;
        let mut at = start;
        loop {
            match self.raw.get(at)? {
                b'"' => break,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        decode_text(self.raw.get(start..at)?)
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut values = Vec::new();
        while self.peek()? != b']' {
            values.push(self.value(depth)?);
            if self.peek()? == b',' {
                self.at += 1;
            }
        }
        self.at += 1;
        Some(Value::List(values.into()))
    }

    /// An object; a name that occurs twice makes it unreadable.
    fn map(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut members: Vec<(Arc<str>, Value)> = Vec::new();
        while self.peek()? != b'}' {
            let name = self.text()?;
            if self.peek()? == b':' {
                self.at += 1;
            }
            let value = self.value(depth)?;
            members.push((name.into(), value));
            if self.peek()? == b',' {
                self.at += 1;
            }
        }
        self.at += 1;
        let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        let twice = names.windows(2).any(|pair| pair.first() == pair.last());
        (!twice).then(|| Value::Map(members.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_values_and_calls_the_rest_ambiguous() {
        let found = |raw: &str| slot(raw.as_bytes(), 100);
        assert_eq!(found("12"), Slot::Found(Value::Int(12)));
        assert_eq!(found("18446744073709551615"), Slot::Found(Value::UInt(u64::MAX)));
        assert_eq!(found("1.50"), Slot::Found(Value::Double(1.5)));
        assert_eq!(found("1e400"), Slot::Ambiguous);
        assert_eq!(found(r#""a\u0062""#), Slot::Found(Value::Text("ab".into())));
        assert_eq!(found(r#""\ud800""#), Slot::Ambiguous);
        assert_eq!(
            found("[1, true,null ]"),
            Slot::Found(Value::List([Value::Int(1), Value::Bool(true), Value::Null].into()))
        );
        assert_eq!(
            found(r#"{"a" : {} }"#),
            Slot::Found(Value::Map([("a".into(), Value::Map([].into()))].into()))
        );
        assert_eq!(found(r#"{"a":1,"\u0061":2}"#), Slot::Ambiguous);
        assert_eq!(found(&format!("\"{}\"", "x".repeat(100))), Slot::Ambiguous);
        assert_eq!(slot("[".repeat(40).as_bytes(), 100), Slot::Ambiguous);
    }
}
