//! Canonical JSON (RFC 8785): the one way a record is written, so that its hash can be computed again by anybody.
//!
//! [`Object`] writes records member by member in order; [`canonical`] brings any JSON value into the same form, for
//! checking lines read back.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write;

use serde_json::{Number, Value};

use crate::telemetry::clean;

/// The canonical form of a value: members sorted by UTF-16 code units, no white space, numbers as ECMAScript
/// writes them. `None` for a number that IEEE 754 cannot hold (RFC 8785, 3.2.2.3).
pub(super) fn canonical(value: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    write_value(&mut out, value)?;
    Some(out)
}

/// Writes a JSON object whose members are given in canonical order.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    last: &'static str,
    empty: bool,
}

impl<'o> Object<'o> {
    /// Writes one object to `out`.
    pub(super) fn write(out: &'o mut Vec<u8>, members: impl FnOnce(&mut Object<'_>)) {
        out.push(b'{');
        let mut object = Object { out, last: "", empty: true };
        members(&mut object);
        object.out.push(b'}');
    }

    /// A text.
    pub(super) fn text(&mut self, name: &'static str, text: &str) {
        self.name(name);
        write_text(self.out, text);
    }

    /// A text from outside, made safe and cut after `cap` characters.
    pub(super) fn clean(&mut self, name: &'static str, text: &str, cap: usize) {
        self.name(name);
        write_clean(self.out, text, cap);
    }

    /// Texts from outside, if there are any, made safe; each cut after `cap` characters, the list after
    /// `most` texts. Gives whether all were written.
    pub(super) fn cleaned<T: AsRef<str>>(
        &mut self,
        name: &'static str,
        texts: impl IntoIterator<Item = T>,
        cap: usize,
        most: usize,
    ) -> bool {
        let mut texts = texts.into_iter();
        let Some(first) = texts.next() else { return true };
        self.name(name);
        self.out.push(b'[');
        write_clean(self.out, first.as_ref(), cap);
        for text in texts.by_ref().take(most.saturating_sub(1)) {
            self.out.push(b',');
            write_clean(self.out, text.as_ref(), cap);
        }
        self.out.push(b']');
        texts.next().is_none()
    }

    /// What shows as text without anything that JSON escapes: a time, an id, an address.
    pub(super) fn shown(&mut self, name: &'static str, shown: impl Display) {
        self.name(name);
        // Writing to memory does not fail.
        let _ = write!(self.out, "\"{shown}\"");
    }

    /// A text, if there is one.
    pub(super) fn maybe(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// A whole number. Those that not every JSON reader can hold become the largest one it can.
    pub(super) fn number(&mut self, name: &'static str, number: u64) {
        self.name(name);
        // Writing to memory does not fail.
        let _ = write!(self.out, "{}", number.min(MAX_SAFE_INTEGER));
    }

    /// `true`, or nothing.
    pub(super) fn flag(&mut self, name: &'static str, set: bool) {
        if set {
            self.name(name);
            self.out.extend_from_slice(b"true");
        }
    }

    /// An object.
    pub(super) fn object(&mut self, name: &'static str, members: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        Object::write(self.out, members);
    }

    /// An object of texts from outside, if there are any, made safe. Names that are not plain are left out: their
    /// order could be disputed.
    pub(super) fn texts(&mut self, name: &'static str, texts: &BTreeMap<String, String>, cap: usize) {
        if texts.is_empty() {
            return;
        }
        self.name(name);
        self.out.push(b'{');
        let mut empty = true;
        for (name, text) in texts.iter().filter(|(name, _)| is_plain(name)) {
            if !std::mem::replace(&mut empty, false) {
                self.out.push(b',');
            }
            write_text(self.out, name);
            self.out.push(b':');
            write_clean(self.out, text, cap);
        }
        self.out.push(b'}');
    }

    fn name(&mut self, name: &'static str) {
        debug_assert!(self.empty || self.last < name, "`{name}` stands after `{}`", self.last);
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.last = name;
        // Names are ours and plain.
        debug_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "`{name}`");
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// Writes a JSON text as RFC 8785, 3.2.2.2 says.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(plain) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        let (before, from) = rest.split_at(plain);
        out.extend_from_slice(before);
        let Some((byte, after)) = from.split_first() else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            byte => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Writes a text from outside as [`clean`] makes it.
fn write_clean(out: &mut Vec<u8>, text: &str, cap: usize) {
    // Nearly all of them need nothing.
    if text.len() <= cap
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
    {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        write_text(out, &clean(text, cap));
    }
}

fn write_value(out: &mut Vec<u8>, value: &Value) -> Option<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(out, number)?,
        Value::String(text) => write_text(out, text),
        Value::Array(elements) => {
            out.push(b'[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(out, element)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (index, (name, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_text(out, name);
                out.push(b':');
                write_value(out, member)?;
            }
            out.push(b'}');
        }
    }
    Some(())
}

/// Writes a number as ECMAScript's `Number::toString` does (ECMA-262, 6.1.6.1.20), which RFC 8785 prescribes.
fn write_number(out: &mut Vec<u8>, number: &Number) -> Option<()> {
    let value = number.as_f64().filter(|value| value.is_finite())?;
    if value == 0.0 {
        out.push(b'0');
        return Some(());
    }
    if value < 0.0 {
        out.push(b'-');
    }
    // serde_json writes the shortest digits that read back as the same number and of two equally near ones the
    // even, as ECMAScript demands (Rust's own formatting breaks such ties the other way); only the layout differs.
    let shortest = Number::from_f64(value.abs())?.to_string();
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let point =
        i32::try_from(whole.len()).ok()? - i32::try_from(leading).ok()? + exponent.parse::<i32>().ok()?;
    let digits = digits.trim_matches('0');
    let count = i32::try_from(digits.len()).ok()?;
    let text = if count <= point && point <= 21 {
        format!("{digits}{}", zeros(point - count))
    } else if 0 < point && point <= 21 {
        let (whole, fraction) = digits.split_at_checked(usize::try_from(point).ok()?)?;
        format!("{whole}.{fraction}")
    } else if -6 < point && point <= 0 {
        format!("0.{}{digits}", zeros(-point))
    } else {
        let sign = if point > 0 { '+' } else { '-' };
        let power = (point - 1).unsigned_abs();
        match digits.split_at_checked(1)? {
            (first, "") => format!("{first}e{sign}{power}"),
            (first, rest) => format!("{first}.{rest}e{sign}{power}"),
        }
    };
    out.extend_from_slice(text.as_bytes());
    Some(())
}

fn zeros(count: i32) -> String {
    "0".repeat(usize::try_from(count).unwrap_or(0))
}

/// The largest whole number that every JSON reader holds exactly (2^53 - 1).
const MAX_SAFE_INTEGER: u64 = 9_007_199_254_740_991;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::value::RawValue;

    use super::*;

    fn canonical_text(json: &str) -> String {
        String::from_utf8(canonical(&serde_json::from_str(json).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn numbers_are_written_as_in_rfc_8785_appendix_b() {
        for (bits, expected) in [
            (0x0000000000000000_u64, "0"),
            (0x8000000000000000, "0"),
            (0x0000000000000001, "5e-324"),
            (0x8000000000000001, "-5e-324"),
            (0x7fefffffffffffff, "1.7976931348623157e+308"),
            (0xffefffffffffffff, "-1.7976931348623157e+308"),
            (0x4340000000000000, "9007199254740992"),
            (0xc340000000000000, "-9007199254740992"),
            (0x4430000000000000, "295147905179352830000"),
            (0x44b52d02c7e14af5, "9.999999999999997e+22"),
            (0x44b52d02c7e14af6, "1e+23"),
            (0x44b52d02c7e14af7, "1.0000000000000001e+23"),
            (0x444b1ae4d6e2ef4e, "999999999999999700000"),
            (0x444b1ae4d6e2ef4f, "999999999999999900000"),
            (0x444b1ae4d6e2ef50, "1e+21"),
            (0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"),
            (0x3eb0c6f7a0b5ed8d, "0.000001"),
            (0x41b3de4355555553, "333333333.3333332"),
            (0x41b3de4355555554, "333333333.33333325"),
            (0x41b3de4355555555, "333333333.3333333"),
            (0x41b3de4355555556, "333333333.3333334"),
            (0x41b3de4355555557, "333333333.33333343"),
            (0xbecbf647612f3696, "-0.0000033333333333333333"),
            (0x43143ff3c1cb0959, "1424953923781206.2"),
        ] {
            let number = Number::from_f64(f64::from_bits(bits)).unwrap();
            let mut out = Vec::new();
            write_number(&mut out, &number).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{bits:016x}");
        }
    }

    #[test]
    fn members_are_sorted_by_utf16_code_units_and_text_is_escaped_as_little_as_possible() {
        // RFC 8785, 3.2.3 and 3.2.2.2
        assert_eq!(
            canonical_text(r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}"
        );
        assert_eq!(
            canonical_text(r#" [ "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/" ] "#),
            r#"["€$\u000f\nA'B\"\\\\\"/"]"#
        );
    }

    /// Reads JSON with exact numbers, which serde_json's own reader gives only by a feature that nothing else needs.
    fn exact(json: &RawValue) -> Value {
        let text = json.get();
        match text.as_bytes()[0] {
            b'{' => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap();
                members.into_iter().map(|(name, member)| (name, exact(member))).collect()
            }
            b'[' => serde_json::from_str::<Vec<&RawValue>>(text).unwrap().into_iter().map(exact).collect(),
            b'-' | b'0'..=b'9' => text.parse::<f64>().unwrap().into(),
            _ => serde_json::from_str(text).unwrap(),
        }
    }

    #[test]
    fn the_published_vectors_come_out_as_published() {
        let suite = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../shared/suites/json-canonicalization/testdata");
        let Ok(inputs) = std::fs::read_dir(suite.join("input")) else { return };
        for input in inputs {
            let input = input.unwrap();
            let json = std::fs::read_to_string(input.path()).unwrap();
            let expected = std::fs::read_to_string(suite.join("output").join(input.file_name())).unwrap();
            let form = canonical(&exact(serde_json::from_str(&json).unwrap())).unwrap();
            assert_eq!(String::from_utf8(form).unwrap(), expected.trim_end(), "{:?}", input.file_name());
        }
    }

    #[test]
    fn an_object_written_in_order_is_its_own_canonical_form() {
        let mut out = Vec::new();
        Object::write(&mut out, |o| {
            assert!(o.cleaned("a", ["x\"\n", "王"], 9, 9));
            assert!(o.cleaned("b", [""; 0], 9, 9));
            assert!(!o.cleaned("bb", ["aaaaaaa", "b", "c"], 5, 2));
            o.flag("c", false);
            o.object("d", |o| o.number("n", u64::MAX));
            o.maybe("e", None);
            o.flag("f", true);
            o.text("g", "\u{1}\u{7f}");
        });
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "{\"a\":[\"x\\\"\\\\u{a}\",\"王\"],\"bb\":[\"aaaaa…\",\"b\"],\"d\":{\"n\":9007199254740991},\"f\":true,\"g\":\"\\u0001\u{7f}\"}"
        );
        assert_eq!(canonical_text(&text), text);
    }
}
