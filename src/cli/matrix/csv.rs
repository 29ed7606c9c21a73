//! The picture as comma-separated values (RFC 4180): one line for every resource, field and role.

use std::collections::BTreeSet;

use crate::analysis::{Cell, Matrix};

use super::words::{one_line, sentence};

/// Draws it. Fields of actions are named `may list` and so on, as in the other forms.
pub(super) fn draw(matrix: &Matrix) -> String {
    let mut out = String::from("resource,label,field,role,sees,sets,queries,notes\r\n");
    for section in &matrix.sections {
        for action in super::text::actions(section) {
            for (column, marks) in matrix.columns.iter().zip(&section.actions) {
                let mark = marks.iter().find(|mark| mark.action == *action);
                let notes = mark.map_or_else(String::new, |mark| notes(matrix, &mark.notes));
                let may = if mark.is_some() { "yes" } else { "no" };
                line(
                    &[&section.resource, "", &format!("may {action}"), &column.role, may, "", "", &notes],
                    &mut out,
                );
            }
        }
        for group in &section.groups {
            for row in &group.rows {
                for (column, cell) in matrix.columns.iter().zip(&row.cells) {
                    let label = group.label.as_deref().unwrap_or("");
                    let (sets, queries) = (set(matrix, cell), if cell.query { "yes" } else { "no" });
                    let first: [&str; 4] = [&section.resource, label, &row.field, &column.role];
                    let rest: [&str; 4] = [&sees(matrix, cell), &sets, queries, &notes(matrix, &cell.notes)];
                    line(&[first, rest].concat(), &mut out);
                }
            }
        }
    }
    let masks: BTreeSet<&str> =
        matrix.columns.iter().flat_map(|column| &column.unmasks).map(AsRef::as_ref).collect();
    for mask in masks {
        for column in &matrix.columns {
            let may = if column.unmasks.iter().any(|known| **known == *mask) { "yes" } else { "no" };
            line(&["", "", &format!("may unmask {mask}"), &column.role, may, "", "", ""], &mut out);
        }
    }
    out
}

fn sees(matrix: &Matrix, cell: &Cell) -> String {
    if cell.marks.is_empty() {
        return "hide".to_owned();
    }
    let one = |mark: &crate::analysis::Mark| {
        let gives = mark.mask.as_ref().map_or_else(|| "show".to_owned(), |mask| format!("mask {mask}"));
        qualified(gives, &notes(matrix, &mark.notes))
    };
    cell.marks.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn set(matrix: &Matrix, cell: &Cell) -> String {
    cell.edit
        .as_ref()
        .map_or_else(|| "no".to_owned(), |edit| qualified("yes".to_owned(), &notes(matrix, edit)))
}

fn qualified(text: String, notes: &str) -> String {
    if notes.is_empty() { text } else { format!("{text} {notes}") }
}

fn notes(matrix: &Matrix, numbers: &[usize]) -> String {
    let texts = numbers.iter().filter_map(|number| matrix.notes.get(number.checked_sub(1)?)).map(sentence);
    texts.collect::<Vec<_>>().join("; ")
}

fn line(values: &[&str], out: &mut String) {
    let texts: Vec<String> = values.iter().map(|value| quoted(&one_line(value))).collect();
    out.push_str(&texts.join(","));
    out.push_str("\r\n");
}

/// A value that a spreadsheet would take for a formula gets an apostrophe in front.
fn quoted(value: &str) -> String {
    let formula = value.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let value = if formula { format!("'{value}") } else { value.to_owned() };
    if value.contains(['"', ',', '\n', '\r', '\'']) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value
    }
}
