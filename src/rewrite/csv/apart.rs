//! A whole text of separated values taken apart, for those that explain an answer: rows end and values are read as the
//! engine reads them.

use super::super::path::Path;
use super::super::plan::{Csv, CutReason};
use super::row;

/// A row: the line with its end, and its values.
pub(crate) type Line<'t> = (&'t [u8], Vec<String>);

/// The rows of a text, the header first.
pub(crate) fn rows<'t>(text: &'t [u8], csv: &Csv) -> impl Iterator<Item = Result<Line<'t>, CutReason>> {
    let delimiter = csv.delimiter;
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut quoted = false;
        let mut ends = memchr::memchr2_iter(b'"', b'\n', rest).filter(|at| {
            let is_quote = rest.get(*at) == Some(&b'"');
            quoted ^= is_quote;
            !is_quote && !quoted
        });
        let end = ends.next().map_or(rest.len(), |at| at + 1);
        let (line, behind) = rest.split_at_checked(end).filter(|(line, _)| !line.is_empty())?;
        rest = behind;
        let text = line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
        let mut cells = Vec::new();
        let split = row::split(text, delimiter, &mut cells);
        Some(split.map(|()| (line, cells.iter().map(|cell| cell.text(line).into_owned()).collect())))
    })
}

impl Csv {
    /// The field that a header names.
    pub(crate) fn column(&self, header: &str) -> Path {
        let named = self.headers.get(header).cloned();
        named.or_else(|| Path::parse_field(header).ok()).unwrap_or_else(|| Path::name(header))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn csv() -> Csv {
        let headers = HashMap::from([("Owner".into(), Path::name("owner"))]);
        Csv { delimiter: b',', neutralise_formulas: false, headers }
    }

    #[test]
    fn rows_end_where_no_quote_is_open() {
        let text = b"id,Owner\r\n1,\"a\n\"\"b\"\"\"\n\n2,c";
        let found: Vec<_> = rows(text, &csv()).map(|row| row.unwrap().1.join("|")).collect();
        assert_eq!(found, ["id|Owner", "1|a\n\"b\"", "", "2|c"]);
        let lines: usize = rows(text, &csv()).map(|row| row.unwrap().0.len()).sum();
        assert_eq!(lines, text.len());
        assert_eq!(rows(b"", &csv()).count(), 0);
    }

    #[test]
    fn what_readers_disagree_about_is_an_error() {
        for text in ["a\"b,c\n", "\"a\" ,b\n", "\"open\n1,2\n"] {
            assert!(rows(text.as_bytes(), &csv()).any(|row| row.is_err()), "{text}");
        }
    }

    #[test]
    fn headers_name_fields() {
        let csv = csv();
        assert_eq!(csv.column("Owner"), Path::name("owner"));
        assert_eq!(csv.column("bank.account").to_string(), "bank.account");
        assert_eq!(csv.column("What, this?").steps().len(), 1);
    }
}
