//! The words that all forms of the picture share.

use std::sync::Arc;

use crate::analysis::{About, Note};

/// What a footnote says, in pieces: plain words, and texts of the policy.
pub(super) enum Piece<'n> {
    Words(String),
    Code(&'n str),
}

/// What a footnote says.
pub(super) fn pieces(note: &Note) -> Vec<Piece<'_>> {
    let words = |text: &str| Piece::Words(text.to_owned());
    match &note.about {
        About::Condition(when) => vec![words("where "), Piece::Code(when)],
        About::CreateOnly => vec![words("set in new records only")],
        About::Exception { action, outcomes } => {
            let mut pieces = vec![Piece::Words(format!("on {action}: "))];
            if outcomes.is_empty() {
                pieces.push(words("hidden"));
            }
            for (index, (mask, when)) in outcomes.iter().enumerate() {
                if index > 0 {
                    pieces.push(words(", else "));
                }
                match mask {
                    None => pieces.push(words("shown")),
                    Some(mask) => pieces.extend([words("masked as "), Piece::Code(mask)]),
                }
                if let Some(when) = when {
                    pieces.extend([words(" where "), Piece::Code(when)]);
                }
            }
            pieces
        }
        About::Guard { name, require, actions, refuses } => {
            let names: Vec<_> = actions.iter().map(ToString::to_string).collect();
            let on = if names.is_empty() { String::new() } else { format!(" on {}", names.join(", ")) };
            let does = if *refuses { "refused" } else { "hidden" };
            vec![
                Piece::Words(format!("{does}{on} unless ")),
                Piece::Code(require),
                words(" (guard: "),
                Piece::Words(name.to_string()),
                words(")"),
            ]
        }
    }
}

/// The same as one text; texts of the policy in backticks.
pub(super) fn sentence(note: &Note) -> String {
    pieces(note)
        .iter()
        .map(|piece| match piece {
            Piece::Words(text) => text.clone(),
            Piece::Code(text) => format!("`{text}`"),
        })
        .collect()
}

/// Where it stands, for people.
pub(super) fn places(note: &Note) -> String {
    let mut shown: Vec<&str> = note.places.iter().take(PLACES).map(AsRef::as_ref).collect();
    let more = format!("and {} more", note.places.len().saturating_sub(PLACES));
    if note.places.len() > PLACES {
        shown.push(&more);
    }
    shown.join(", ")
}

/// A rule in shadow, with file and line.
pub(super) fn in_shadow((name, place): &(Arc<str>, Option<Arc<str>>)) -> String {
    place.as_ref().map_or_else(|| name.to_string(), |place| format!("{name} ({place})"))
}

/// Whatever the policy's author wrote becomes one line without control characters.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Places listed with a note; more are counted.
const PLACES: usize = 6;
