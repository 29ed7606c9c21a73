//! Two policies compared: who gains and who loses what, in words of the business, the most dangerous first.
//!
//! Rights are compared as [`reach`](super::reach) finds them, not as they are written: a permission that is moved,
//! split or said in other words makes no difference. A condition that is written anew is one that nobody can compare,
//! so it counts as a gain.

mod people;
mod protections;
mod rights;
mod routes;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::policy::syntax::PolicySet;
use crate::policy::{Action, Plan};

use super::holders::Holders;

/// What has changed, the most dangerous first.
#[derive(Clone, Debug)]
pub struct PolicyDiff {
    /// The version of the old policy.
    pub old: Arc<str>,
    /// The version of the new policy.
    pub new: Arc<str>,
    /// The changes.
    pub changes: Vec<Change>,
}

/// Kinds of changes, the most dangerous first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// Somebody may see, set, ask or do more.
    Gain,
    /// Something that protects is gone or reaches less far.
    Guard,
    /// A mask reveals more.
    Mask,
    /// More may be had in the same time.
    Limit,
    /// Something works differently, and nobody can say whether more is allowed.
    Unclear,
    /// Somebody may see, set, ask or do less; something protects better.
    Loss,
}

/// One change.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its kind.
    pub kind: ChangeKind,
    /// How dangerous it is among those of its kind.
    pub weight: usize,
    /// What happens: a sentence, names in backticks.
    pub says: String,
    /// The resource it is about.
    pub resource: Option<Arc<str>>,
    /// The label of the fields it is about.
    pub label: Option<Arc<str>>,
    /// The fields it is about.
    pub fields: Vec<String>,
    /// The roles it is about.
    pub roles: Vec<Arc<str>>,
    /// The actions it is about.
    pub actions: Vec<Action>,
    /// How it was.
    pub from: String,
    /// How it is.
    pub to: String,
    /// Who holds the roles.
    pub holders: Option<Holders>,
    /// Files and lines that make it so.
    pub places: BTreeSet<Arc<str>>,
}

/// One side of the comparison.
#[derive(Clone, Copy)]
pub struct Side<'s> {
    /// The policy as it is written.
    pub set: &'s PolicySet,
    /// The policy compiled.
    pub plan: &'s Plan,
}

/// Compares.
pub fn diff(old: Side<'_>, new: Side<'_>) -> PolicyDiff {
    let mut changes = rights::changes(old, new);
    changes.extend(people::changes(old, new));
    changes.extend(protections::changes(old, new));
    changes.extend(routes::changes(old, new));
    changes.sort_by(|a, b| {
        (a.kind, std::cmp::Reverse(a.weight), &a.says).cmp(&(b.kind, std::cmp::Reverse(b.weight), &b.says))
    });
    PolicyDiff { old: old.plan.version().clone(), new: new.plan.version().clone(), changes }
}

impl PolicyDiff {
    /// Whether anybody gains anything, or anything protects less.
    pub fn opens(&self) -> bool {
        self.changes.iter().any(|change| change.kind != ChangeKind::Loss)
    }
}

impl ChangeKind {
    /// The name that programs read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gain => "gain",
            Self::Guard => "guard",
            Self::Mask => "mask",
            Self::Limit => "limit",
            Self::Unclear => "unclear",
            Self::Loss => "loss",
        }
    }

    /// The heading that people read.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Gain => "Gains",
            Self::Guard => "Protection removed",
            Self::Mask => "Masks that reveal more",
            Self::Limit => "Limits raised",
            Self::Unclear => "Changed, to be read by a person",
            Self::Loss => "Losses",
        }
    }
}

impl Change {
    /// A change that says something and is about nothing in particular.
    fn plain(kind: ChangeKind, weight: usize, says: String) -> Self {
        Self {
            kind,
            weight,
            says,
            resource: None,
            label: None,
            fields: Vec::new(),
            roles: Vec::new(),
            actions: Vec::new(),
            from: String::new(),
            to: String::new(),
            holders: None,
            places: BTreeSet::new(),
        }
    }

    fn between(mut self, from: String, to: String) -> Self {
        (self.from, self.to) = (from, to);
        self
    }
}

/// Names in backticks, with commas; beyond a few, how many more.
fn names<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let all: Vec<String> = names.into_iter().map(code).collect();
    if all.len() <= NAMED {
        return all.join(", ");
    }
    let first: Vec<String> = all.iter().take(NAMED - 2).cloned().collect();
    format!("{} and {} more", first.join(", "), all.len() + 2 - NAMED)
}

/// A text of the policy in backticks, so that it cannot end them.
fn code(text: &str) -> String {
    let plain = |c: char| {
        if c == '`' {
            '´'
        } else if c.is_control() {
            '\u{fffd}'
        } else {
            c
        }
    };
    format!("`{}`", text.chars().map(plain).collect::<String>())
}

/// Names that are written out; more are counted.
const NAMED: usize = 12;

#[cfg(test)]
mod tests;
