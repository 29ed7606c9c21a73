//! Who may see a field, in a few lines: a column of the picture that `fieldgate matrix` draws.

use std::fmt::Write as _;

use crate::analysis::{About, Cell, Matrix, MatrixScope, matrix};

use super::{Desk, code};

/// Who may see the fields that `wanted` picks out of a resource, as a list in Markdown. `None`: that is not known.
pub(super) fn of_fields(
    desk: &Desk<'_>,
    resource: &str,
    wanted: &dyn Fn(&str, Option<&str>) -> bool,
) -> Option<String> {
    let sound = desk.sound?;
    let plan = sound.plan.as_ref()?;
    if sound.set.roles.len() > MAX_ROLES {
        return Some(format!("{} roles: ask `fieldgate matrix --resource`.\n", sound.set.roles.len()));
    }
    let scope = MatrixScope { resources: vec![resource.to_owned()], roles: Vec::new() };
    let picture = matrix(plan, &sound.set, &scope);
    let rows: Vec<(&str, &[Cell])> = picture
        .sections
        .iter()
        .flat_map(|section| &section.groups)
        .flat_map(|group| group.rows.iter().map(|row| (group.label.as_deref(), row)))
        .filter(|(label, row)| wanted(&row.field, *label))
        .map(|(_, row)| (row.field.as_str(), row.cells.as_slice()))
        .collect();
    if rows.is_empty() {
        return None;
    }
    let mut out = String::new();
    for (index, column) in picture.columns.iter().enumerate() {
        let cells: Vec<(&str, &Cell)> =
            rows.iter().filter_map(|(f, cells)| Some((*f, cells.get(index)?))).collect();
        if cells.iter().any(|(_, cell)| !cell.marks.is_empty() || cell.edit.is_some()) {
            let _ = writeln!(out, "- {} {}", code(&column.role), role(&picture, &cells));
        }
    }
    if out.is_empty() {
        out.push_str("Nobody sees it.\n");
    }
    if desk.stale {
        out.push_str("\n*As of the last version without mistakes.*\n");
    }
    Some(out)
}

/// What one role gets.
fn role(picture: &Matrix, cells: &[(&str, &Cell)]) -> String {
    if let [(_, cell)] = cells {
        return one(picture, cell);
    }
    let mut said: Vec<(String, Vec<String>)> = Vec::new();
    for (field, cell) in cells {
        let says = one(picture, cell);
        match said.iter_mut().find(|(known, _)| *known == says) {
            Some((_, fields)) => fields.push(code(field)),
            None => said.push((says, vec![code(field)])),
        }
    }
    let parts: Vec<_> = said.iter().map(|(says, fields)| format!("{says}: {}", fields.join(", "))).collect();
    parts.join("; ")
}

fn one(picture: &Matrix, cell: &Cell) -> String {
    let mut parts = Vec::new();
    for mark in &cell.marks {
        let what =
            mark.mask.as_ref().map_or("in clear".to_owned(), |mask| format!("masked as {}", code(mask)));
        parts.push(format!("{what}{}", notes(picture, &mark.notes)));
    }
    if parts.is_empty() {
        parts.push("hidden".to_owned());
    }
    let mut said = parts.join(", else ");
    said.push_str(&notes(picture, &cell.notes));
    if let Some(about) = &cell.edit {
        said.push_str(&format!("; may set it{}", notes(picture, about)));
    }
    if cell.query {
        said.push_str("; may query by it");
    }
    said
}

fn notes(picture: &Matrix, numbers: &[usize]) -> String {
    let found = numbers.iter().filter_map(|number| picture.notes.get(number.checked_sub(1)?));
    let mut conditions = Vec::new();
    let mut rest = String::new();
    for note in found {
        match &note.about {
            About::Condition(when) => conditions.push(code(when)),
            About::CreateOnly => rest.push_str(" in new records only"),
            About::Guard { name, require, refuses, .. } => {
                let does = if *refuses { "refused" } else { "hidden" };
                let _ = write!(rest, " ({does} unless {}: guard {})", code(require), code(name));
            }
            About::Exception { action, outcomes } => {
                let what: Vec<_> = outcomes
                    .iter()
                    .map(|(mask, when)| {
                        let what =
                            mask.as_ref().map_or("in clear".to_owned(), |m| format!("masked as {}", code(m)));
                        when.as_ref().map_or(what.clone(), |when| format!("{what} where {}", code(when)))
                    })
                    .collect();
                let what = if what.is_empty() { "hidden".to_owned() } else { what.join(", else ") };
                let _ = write!(rest, " (on {action}: {what})");
            }
        }
    }
    if !conditions.is_empty() {
        rest.insert_str(0, &format!(" where {}", conditions.join(" or ")));
    }
    rest
}

/// Of more roles no list is drawn while somebody waits.
const MAX_ROLES: usize = 300;
