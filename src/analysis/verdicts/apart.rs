//! Answers of several records taken apart, each record with its place.

use serde_json::{Map, Value};

use crate::rewrite::{Path, Step};

/// Lines that are not empty.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (String, String)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate();
    lines.map(|(at, line)| (format!("line {}", at + 1), line.to_owned()))
}

/// The texts of a JSON text sequence (RFC 7464): each behind a record separator.
pub(super) fn sequence(text: &str) -> impl Iterator<Item = (String, String)> {
    let texts = text.split('\u{1e}').map(str::trim).filter(|text| !text.is_empty()).enumerate();
    texts.map(|(at, text)| (format!("text {}", at + 1), text.to_owned()))
}

/// The data of server-sent events (WHATWG HTML, section 9.2). What has no blank line behind it is no event, and an event
/// without data no record.
pub(super) fn events(text: &str) -> impl Iterator<Item = (String, String)> {
    let (mut lines, mut number) = (text.split('\n'), 0);
    let mut pending: Vec<String> = Vec::new();
    std::iter::from_fn(move || {
        loop {
            let mut data: Option<String> = None;
            loop {
                if pending.is_empty() {
                    // A carriage return alone ends a line, too.
                    let line = lines.next()?;
                    let line = line.strip_suffix('\r').unwrap_or(line);
                    pending = line.split('\r').rev().map(str::to_owned).collect();
                }
                let Some(line) = pending.pop() else { continue };
                if line.is_empty() {
                    break;
                }
                let (name, value) = line.split_once(':').unwrap_or((&line, ""));
                if name == "data" {
                    let value = value.strip_prefix(' ').unwrap_or(value);
                    data = Some(data.map_or_else(|| value.to_owned(), |data| format!("{data}\n{value}")));
                }
            }
            if let Some(data) = data {
                number += 1;
                return Some((format!("event {number}"), data));
            }
        }
    })
}

/// A row as an object, as far as its columns name members: for finding its type.
pub(super) fn object(columns: &[Path], values: &[String]) -> Value {
    let mut root = Map::new();
    columns.iter().zip(values).for_each(|(column, value)| put(&mut root, column.steps(), value));
    Value::Object(root)
}

fn put(members: &mut Map<String, Value>, way: &[Step], value: &str) {
    match way {
        [Step::Name(name)] => {
            members.insert(name.to_string(), value.into());
        }
        [Step::Name(name), below @ ..] => {
            let inner = members.entry(name.as_ref()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put(inner, below, value);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> Vec<String> {
        events(text).map(|(_, data)| data).collect()
    }

    #[test]
    fn events_are_read_as_browsers_read_them() {
        assert_eq!(data("data: {\ndata: }\n\n: ping\n\nevent: x\ndata:1\n\ndata: cut"), ["{\n}", "1"]);
        assert_eq!(data("data: a\r\n\r\ndata: b\r\rdata\n\n"), ["a", "b", ""]);
        assert_eq!(data(""), Vec::<String>::new());
        assert_eq!(events("\n\ndata: x\n\n").next().unwrap().0, "event 1");
    }

    #[test]
    fn a_row_is_an_object() {
        let columns = ["kind", "a.b", "a.c", "[*].x", "a"].map(|text| Path::parse_field(text).unwrap());
        let values = ["k", "1", "2", "3", "4"].map(str::to_owned);
        assert_eq!(object(&columns, &values), serde_json::json!({ "kind": "k", "a": "4" }));
        assert_eq!(
            object(&columns[..3], &values),
            serde_json::json!({ "kind": "k", "a": { "b": "1", "c": "2" } })
        );
    }
}
