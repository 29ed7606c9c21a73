//! Positions as editors count them: lines from 0, columns in UTF-16 code units (LSP 3.17, position encoding `utf-16`).

use std::ops::Range;

use serde_json::{Value, json};

/// Where the lines of a text begin. `\n`, `\r\n` and `\r` end a line.
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let ends = memchr::memchr2_iter(b'\n', b'\r', bytes)
            .filter(|at| bytes.get(*at) == Some(&b'\n') || bytes.get(at + 1) != Some(&b'\n'));
        Self { text, starts: std::iter::once(0).chain(ends.map(|at| at + 1)).collect() }
    }

    /// The byte offset of a position. What lies behind the end of a line is the end of the line; what lies behind the
    /// last line is the end of the text.
    pub(super) fn offset(&self, line: u64, character: u64) -> usize {
        let Some(line) = usize::try_from(line).ok().filter(|line| *line < self.starts.len()) else {
            return self.text.len();
        };
        let mut offset = self.starts.get(line).copied().unwrap_or(0);
        let mut left = character;
        for c in self.text.get(offset..).unwrap_or("").chars() {
            let units = c.len_utf16() as u64;
            if matches!(c, '\n' | '\r') || left < units {
                break;
            }
            left -= units;
            offset += c.len_utf8();
        }
        offset
    }

    /// The position of a byte offset.
    pub(super) fn position(&self, offset: usize) -> Value {
        let line = self.line(offset);
        let start = self.starts.get(line).copied().unwrap_or(0);
        let units: usize = self.text.get(start..offset).unwrap_or("").chars().map(char::len_utf16).sum();
        json!({ "line": line, "character": units })
    }

    /// The number of the line that holds a byte offset.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    pub(super) fn range(&self, range: &Range<usize>) -> Value {
        json!({ "start": self.position(range.start), "end": self.position(range.end) })
    }

    /// The byte offset of a `Position`. `None`: it is none.
    pub(super) fn offset_of(&self, position: &Value) -> Option<usize> {
        Some(self.offset(position.get("line")?.as_u64()?, position.get("character")?.as_u64()?))
    }

    /// The bytes of a `Range`, also where its ends are swapped.
    pub(super) fn bytes_of(&self, range: &Value) -> Option<Range<usize>> {
        let (start, end) = (self.offset_of(range.get("start")?)?, self.offset_of(range.get("end")?)?);
        Some(start.min(end)..start.max(end))
    }
}

/// The bytes of a complaint's place, whose lines end with `\n` and whose columns are characters, both from 1.
pub(super) fn bytes_of_place(text: &str, line: u32, column: u32, length: u32) -> Range<usize> {
    let Some(skip) = (line as usize).checked_sub(1) else { return 0..0 };
    let start = match skip {
        0 => 0,
        _ => memchr::memchr_iter(b'\n', text.as_bytes()).nth(skip - 1).map_or(text.len(), |at| at + 1),
    };
    let written = text.get(start..).unwrap_or("").split(['\n', '\r']).next().unwrap_or("");
    let at = |characters: usize| written.char_indices().nth(characters).map_or(written.len(), |(at, _)| at);
    let first = (column as usize).saturating_sub(1);
    // Where only the start is known, its first character is underlined.
    start + at(first)..start + at(first + (length as usize).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_utf16_and_lines_end_in_three_ways() {
        let text = "a: 客户\r\nb😀c\rd\ne";
        let lines = Lines::of(text);
        for (line, character, rest) in [
            (0, 0, "a: 客户\r\nb😀c\rd\ne"),
            (0, 4, "户\r\nb😀c\rd\ne"),
            (0, 99, "\r\nb😀c\rd\ne"),
            (1, 3, "c\rd\ne"),
            (1, 2, "😀c\rd\ne"),
            (2, 0, "d\ne"),
            (3, 1, ""),
            (9, 0, ""),
            (u64::MAX, u64::MAX, ""),
        ] {
            assert_eq!(text.get(lines.offset(line, character)..), Some(rest), "{line}:{character}");
        }
        assert_eq!(lines.position(text.find('c').unwrap()), json!({ "line": 1, "character": 3 }));
        assert_eq!(lines.position(text.len()), json!({ "line": 3, "character": 1 }));
    }

    #[test]
    fn every_offset_comes_back() {
        let text = "客a😀\r\n\r\n名\n\n";
        let lines = Lines::of(text);
        for offset in (0..=text.len())
            .filter(|at| text.is_char_boundary(*at) && text.get(at - 1.min(*at)..*at) != Some("\r"))
        {
            assert_eq!(lines.offset_of(&lines.position(offset)), Some(offset), "{offset}");
        }
    }

    #[test]
    fn complaints_are_underlined_where_they_stand() {
        let text = "角色:\r\n  销售: { x: 1 }\n";
        assert_eq!(text.get(bytes_of_place(text, 2, 3, 2)), Some("销售"));
        assert_eq!(text.get(bytes_of_place(text, 2, 9, 0)), Some("x"));
        assert_eq!(bytes_of_place(text, 99, 1, 1), text.len()..text.len());
        assert_eq!(bytes_of_place(text, 0, 0, 0), 0..0);
    }
}
