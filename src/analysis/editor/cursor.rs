//! What stands at a place of a text.

use std::ops::Range;
use std::sync::Arc;

use super::scan::{Part, Step, Token, scan};

/// What is being typed.
pub(super) struct Typed {
    /// The key or scalar up to the cursor; it may be empty.
    pub(super) token: Token,
    /// What a completion replaces: the whole of it, also what stands behind the cursor.
    pub(super) replaces: Range<usize>,
}

/// The key or scalar that a byte offset touches.
pub(super) fn under(text: &str, offset: usize) -> Option<Token> {
    let mut found = None;
    scan(text, false, &mut |token| {
        if token.range.start <= offset && offset <= token.range.end {
            found = Some(token);
        }
    });
    found
}

/// What is being typed at a byte offset.
pub(super) fn typed(text: &str, offset: usize) -> Option<Typed> {
    let before = text.get(..offset)?;
    if in_comment(before) {
        return None;
    }
    let mut last = None;
    scan(before, true, &mut |token| last = Some(token));
    let token = last.filter(|token: &Token| token.range.end == offset)?;
    let mut end = offset;
    if !token.text.is_empty() {
        scan(text, false, &mut |whole| {
            if whole.range.start == token.range.start {
                end = whole.range.end.max(offset);
            }
        });
    }
    let replaces = token.range.start..end;
    Some(Typed { token, replaces })
}

/// The keys that a mapping has, except the one that begins at an offset.
pub(super) fn keys_at(text: &str, path: &[Step], except: usize) -> Vec<Arc<str>> {
    let mut keys = Vec::new();
    scan(text, false, &mut |token| {
        if token.part == Part::Key && token.path == path && token.range.start != except {
            keys.push(token.text);
        }
    });
    keys
}

/// The texts at a member of a mapping: one, those of a list, or the values of a mapping in it under `map`.
pub(super) fn texts_at(text: &str, mapping: &[Step], names: &[&str]) -> Vec<Arc<str>> {
    let mut texts = Vec::new();
    scan(text, false, &mut |token| {
        let Some(rest) = token.path.strip_prefix(mapping) else { return };
        let named = matches!(rest.first(), Some(Step::Key(key)) if names.contains(&key.as_ref()));
        let inside = matches!(rest.get(1..), Some([] | [Step::Item(_)]))
            || matches!(rest.get(1..), Some([Step::Key(key), Step::Key(_)]) if key.as_ref() == "map");
        if token.part != Part::Key && named && inside && !token.text.is_empty() {
            texts.push(token.text);
        }
    });
    texts
}

/// Whether a comment has begun in the last line.
fn in_comment(before: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or("");
    let mut quote = None;
    let mut space = true;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '#') if space => return true,
            (None, '"' | '\'') if space => quote = Some(c),
            (None, _) => {}
        }
        space = c.is_whitespace() || matches!(c, '[' | '{' | ',');
    }
    false
}
