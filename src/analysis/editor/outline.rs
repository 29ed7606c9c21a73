//! The named parts of a file, for an editor's list of them.

use std::ops::Range;
use std::sync::Arc;

use super::Sort;
use super::scan::{Part, Step, Token, scan};

/// A named part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its name.
    pub name: Arc<str>,
    /// What it is.
    pub sort: Sort,
    /// All of it.
    pub range: Range<usize>,
    /// Its name in the text.
    pub name_range: Range<usize>,
    /// What is inside.
    pub inside: Vec<Symbol>,
}

/// The sections, and what has a name in them: members, and items with a `name`, `role` or `match`.
pub fn outline(text: &str) -> Vec<Symbol> {
    let mut sections: Vec<Symbol> = Vec::new();
    scan(text, false, &mut |token| match token.path.as_slice() {
        [] if token.part == Part::Key => {
            end(&mut sections, token.range.start);
            sections.push(symbol(&token, Sort::Key));
        }
        [Step::Key(section)] if token.part == Part::Key => {
            let sort = match section.as_ref() {
                "resources" => Sort::Resource,
                "roles" => Sort::Role,
                "masks" => Sort::Mask,
                _ => Sort::Key,
            };
            inside(&mut sections, &token, sort);
        }
        [Step::Key(_), Step::Item(_)] if token.part != Part::Key => {
            inside(&mut sections, &token, Sort::Label)
        }
        [Step::Key(_), Step::Item(_), Step::Key(key)] if matches!(key.as_ref(), "name" | "role") => {
            inside(&mut sections, &token, Sort::Word);
        }
        _ => {}
    });
    end(&mut sections, text.trim_end().len());
    sections
}

fn symbol(token: &Token, sort: Sort) -> Symbol {
    let range = token.range.clone();
    Symbol { name: token.text.clone(), sort, range: range.clone(), name_range: range, inside: Vec::new() }
}

/// Adds a part to the last section, which it makes longer.
fn inside(sections: &mut [Symbol], token: &Token, sort: Sort) {
    let Some(section) = sections.last_mut().filter(|_| !token.text.is_empty()) else { return };
    end(&mut section.inside, token.range.start);
    if section.inside.len() < MAX_SYMBOLS {
        section.inside.push(symbol(token, sort));
    }
}

/// The last part ends where the next one begins.
fn end(parts: &mut [Symbol], at: usize) {
    if let Some(last) = parts.last_mut() {
        last.range.end = at.max(last.range.end);
        end(&mut last.inside, at);
    }
}

/// More parts of one section are of no use in a list.
const MAX_SYMBOLS: usize = 20_000;
