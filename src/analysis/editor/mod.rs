//! What an editor asks about a policy file while somebody types in it: what may stand here, what is this, where does it
//! come from.
//!
//! Comes in: a text, which may be broken, a byte offset in it, and the policy as the compiler read it ([`Desk`]). Goes
//! out: plain data. Names come from [`PolicySet`](crate::policy::syntax::PolicySet), who may see what from
//! [`matrix`](fn@super::matrix), keys and their descriptions from the JSON Schemas; only where in the text the cursor
//! stands is found out here ([`scan`]), because that must work while the text is no YAML.

mod complete;
mod cursor;
mod find;
mod hover;
mod keys;
mod outline;
mod refers;
mod scan;
mod sight;

use std::ops::Range;
use std::sync::Arc;

use crate::policy::Loaded;

pub use complete::complete;
pub use find::{definition, keys_of, text_of};
pub use hover::hover;
pub use outline::{Symbol, outline};

/// What is known beside the text itself.
#[derive(Clone, Copy)]
pub struct Desk<'d> {
    /// Whether the text is a policy; otherwise it is a deployment.
    pub is_policy: bool,
    /// The policy, as far as it can be read now.
    pub policy: Option<&'d Loaded>,
    /// The policy as it was when it last had no mistakes.
    pub sound: Option<&'d Loaded>,
    /// Whether something was changed since then.
    pub stale: bool,
    /// The names of the deployment's secrets.
    pub secrets: &'d [Arc<str>],
}

/// What a suggestion is, for the picture beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A key.
    Key,
    /// A word of the language.
    Word,
    /// A field.
    Field,
    /// A label.
    Label,
    /// A resource.
    Resource,
    /// A role or group.
    Role,
    /// A mask.
    Mask,
    /// An action, or a request.
    Action,
    /// A function or member in conditions.
    Function,
}

/// Something that may be typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// What it is called.
    pub name: String,
    /// What is written for it.
    pub text: String,
    /// What it is.
    pub sort: Sort,
    /// A few words about it.
    pub detail: String,
    /// More about it, in Markdown.
    pub docs: String,
}

/// What may be typed, and the bytes that it replaces.
#[derive(Clone, Debug, Default)]
pub struct Suggestions {
    /// The bytes it replaces.
    pub replaces: Range<usize>,
    /// What may be typed.
    pub items: Vec<Suggestion>,
}

/// What is to be known about what the cursor is on.
#[derive(Clone, Debug)]
pub struct Hover {
    /// The bytes it is about.
    pub range: Range<usize>,
    /// Markdown.
    pub markdown: String,
}

/// A text of a policy as Markdown: one line, in backticks.
fn code(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| match c {
            '`' => '´',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect();
    format!("`{plain}`")
}

#[cfg(test)]
mod tests;
