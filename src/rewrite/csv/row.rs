//! One row of separated values (RFC 4180), read strictly: a quote opens a value only at its start and closes it only
//! before a delimiter or the end. What two readers could take apart differently is refused.

use std::borrow::Cow;

use super::super::plan::CutReason;

/// A value's place in its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// From and to, with the quotes.
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) quoted: bool,
    /// A quote inside it is doubled.
    pub(crate) doubled: bool,
}

/// Takes a row, without its line end, apart.
pub(crate) fn split(row: &[u8], delimiter: u8, cells: &mut Vec<Cell>) -> Result<(), CutReason> {
    cells.clear();
    let mut from = 0;
    loop {
        let rest = row.get(from..).unwrap_or_default();
        let cell = if rest.first() == Some(&b'"') { quoted(rest)? } else { plain(rest, delimiter)? };
        let to = from + cell.to;
        cells.push(Cell { from, to, ..cell });
        match row.get(to) {
            None => return Ok(()),
            Some(byte) if *byte == delimiter => from = to + 1,
            Some(_) => return Err(CutReason::Malformed),
        }
    }
}

fn plain(rest: &[u8], delimiter: u8) -> Result<Cell, CutReason> {
    let stop = |byte: &u8| *byte == delimiter || *byte == b'"' || *byte < 0x20;
    let mut to = 0;
    while let Some(at) = rest.get(to..).and_then(|tail| tail.iter().position(stop)) {
        to += at;
        match rest.get(to) {
            Some(byte) if *byte == delimiter => {
                return Ok(Cell { from: 0, to, quoted: false, doubled: false });
            }
            Some(b'\t') => to += 1,
            _ => return Err(CutReason::Malformed),
        }
    }
    Ok(Cell { from: 0, to: rest.len(), quoted: false, doubled: false })
}

fn quoted(rest: &[u8]) -> Result<Cell, CutReason> {
    let (mut at, mut doubled) = (1, false);
    loop {
        at += memchr::memchr(b'"', rest.get(at..).unwrap_or_default()).ok_or(CutReason::Malformed)? + 1;
        if rest.get(at) != Some(&b'"') {
            let inner = rest.get(1..at - 1).unwrap_or_default();
            let control = inner.iter().any(|b| *b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r'));
            let cell = Cell { from: 0, to: at, quoted: true, doubled };
            return if control { Err(CutReason::Malformed) } else { Ok(cell) };
        }
        doubled = true;
        at += 1;
    }
}

impl Cell {
    /// The raw bytes.
    pub(crate) fn raw<'r>(&self, row: &'r [u8]) -> &'r [u8] {
        row.get(self.from..self.to).unwrap_or_default()
    }

    /// The value: without quotes.
    pub(crate) fn text<'r>(&self, row: &'r [u8]) -> Cow<'r, str> {
        let raw = self.raw(row);
        let inner = if self.quoted { raw.get(1..raw.len() - 1).unwrap_or_default() } else { raw };
        let text = String::from_utf8_lossy(inner);
        if self.doubled { text.replace("\"\"", "\"").into() } else { text }
    }

    /// The first byte of the value.
    pub(crate) fn first(&self, row: &[u8]) -> Option<u8> {
        self.raw(row).get(usize::from(self.quoted)).copied()
    }
}

/// Writes a value, quoted where it must be.
pub(crate) fn write(text: &str, delimiter: u8, into: &mut Vec<u8>) {
    let must = |byte: u8| byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r');
    if text.bytes().any(must) {
        into.push(b'"');
        into.extend_from_slice(text.replace('"', "\"\"").as_bytes());
        into.push(b'"');
    } else {
        into.extend_from_slice(text.as_bytes());
    }
}

/// Whether a spreadsheet would take the value for a formula. Plain signed numbers are numbers.
pub(crate) fn is_formula(text: &str) -> bool {
    let starts = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_number = match number.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(number),
    };
    starts && !is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(row: &str) -> Result<Vec<String>, CutReason> {
        let mut cells = Vec::new();
        split(row.as_bytes(), b',', &mut cells)?;
        Ok(cells.iter().map(|cell| cell.text(row.as_bytes()).into_owned()).collect())
    }

    #[test]
    fn takes_rows_apart() {
        assert_eq!(texts("a,b"), Ok(vec!["a".into(), "b".into()]));
        assert_eq!(texts(""), Ok(vec![String::new()]));
        assert_eq!(texts(",\"\","), Ok(vec![String::new(); 3]));
        assert_eq!(texts("\"a,\"\"b\"\"\n\",c"), Ok(vec!["a,\"b\"\n".into(), "c".into()]));
    }

    #[test]
    fn refuses_what_readers_disagree_about() {
        for row in ["a\"b,c", "\"a\"b,c", "\"a", "\"a\" ,b", "a\rb", "a\0b", "\"a\u{1}\""] {
            assert_eq!(texts(row), Err(CutReason::Malformed), "{row:?}");
        }
    }

    #[test]
    fn knows_formulas_from_numbers() {
        for formula in ["=1+1", "+A1", "-A1", "@SUM(1)", "\t=1", "-1+1", "＝1", "-", "+1.x"] {
            assert!(is_formula(formula), "{formula}");
        }
        for plain in ["", "a=1", "-1", "+8613800138000", "-1.5", "1.5"] {
            assert!(!is_formula(plain), "{plain}");
        }
    }
}
