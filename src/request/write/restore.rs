//! `on_uneditable: restore`: a body laid over the record as it is, so that what the caller may not set keeps its value.
//!
//! What may be set comes from the body, everything else from the record: hidden members that the caller never saw,
//! masked values that came back, members nobody labelled. What could only be guessed is refused: a list of which a
//! part may be set and the order may have changed, a value of another type in the place of a partly hidden container,
//! a masked value that is not the one this record is masked to.

use crate::policy::{Tree, WriteRule, access_at};
use crate::rewrite::mask::{Masked, Scalar};
use crate::rewrite::{Access, Grant, Path, Step};

use super::echo::{dotted, scalar};

/// A body being laid over a record.
pub(super) struct Merge<'r> {
    rule: &'r WriteRule,
    /// What lets places be set.
    grants: Vec<&'r Grant>,
    /// Whether the body is the whole record, so that what is absent would be erased.
    whole: bool,
    /// Places that cannot be laid over each other.
    pub(super) refused: Vec<Box<str>>,
    /// Masked values that came back and are not those of this record.
    pub(super) echoed: Vec<Box<str>>,
}

/// How much of a place may be set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settable {
    All,
    Some,
    Nothing,
}

impl<'r> Merge<'r> {
    pub(super) fn new(rule: &'r WriteRule, grants: Vec<&'r Grant>, whole: bool) -> Self {
        Self { rule, grants, whole, refused: Vec::new(), echoed: Vec::new() }
    }

    /// The record that may be sent.
    pub(super) fn record(&mut self, body: Vec<(Box<str>, Tree)>, before: &[(Box<str>, Tree)]) -> Tree {
        if self.whole {
            return self.members(&Path::default(), body, before);
        }
        // A part of the record: what is not in it stays as it is.
        let mut out = Vec::new();
        for (name, value) in body {
            let path = Path(vec![Step::Name(name.clone())]);
            let old = before.iter().find(|(known, _)| *known == name).map(|(_, old)| old);
            if self.settable(&path) != Settable::Nothing {
                out.extend(self.place(&path, Some(value), old).map(|value| (name, value)));
            }
        }
        Tree::Object(out)
    }

    fn members(&mut self, at: &Path, new: Vec<(Box<str>, Tree)>, old: &[(Box<str>, Tree)]) -> Tree {
        let below = |name: &str| {
            let mut steps = at.steps().to_vec();
            steps.push(Step::Name(name.into()));
            Path(steps)
        };
        let given: Vec<Box<str>> = new.iter().map(|(name, _)| name.clone()).collect();
        let mut out = Vec::new();
        for (name, value) in new {
            let was = old.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
            out.extend(self.place(&below(&name), Some(value), was).map(|value| (name, value)));
        }
        for (name, was) in old.iter().filter(|(name, _)| !given.contains(name)) {
            out.extend(self.place(&below(name), None, Some(was)).map(|value| (name.clone(), value)));
        }
        Tree::Object(out)
    }

    /// What is to stand at a place; `None`: nothing.
    fn place(&mut self, at: &Path, new: Option<Tree>, old: Option<&Tree>) -> Option<Tree> {
        match (self.settable(at), new) {
            (Settable::Nothing, _) => old.cloned(),
            (Settable::All, Some(new)) => self.written(at, new, old),
            (Settable::All, None) => old.filter(|_| self.is_blind(at)).cloned(),
            (Settable::Some, new) => self.laid_over(at, new, old),
        }
    }

    /// A place that may be set as a whole.
    fn written(&mut self, at: &Path, new: Tree, old: Option<&Tree>) -> Option<Tree> {
        if old == Some(&new) {
            return Some(new);
        }
        if self.is_echo(at, &new, old) {
            if old.is_some_and(|old| self.masked_to(at, old, &new)) {
                return old.cloned();
            }
            self.echoed.push(dotted(at));
            return old.cloned();
        }
        match (new, old) {
            (Tree::Object(new), Some(Tree::Object(old))) => Some(self.members(at, new, old)),
            (new @ (Tree::Object(_) | Tree::List(_)), _) => {
                let mut echoed = false;
                self.leaves(at, &new, &mut echoed);
                if echoed {
                    self.echoed.push(dotted(at));
                }
                Some(new)
            }
            (new, _) => Some(new),
        }
    }

    /// A place of which a part may be set.
    fn laid_over(&mut self, at: &Path, new: Option<Tree>, old: Option<&Tree>) -> Option<Tree> {
        match (new, old) {
            (None | Some(Tree::Null), old) => old.cloned(),
            (Some(Tree::Object(new)), Some(Tree::Object(old))) => Some(self.members(at, new, old)),
            (Some(Tree::Object(new)), None | Some(Tree::Null)) => Some(self.members(at, new, &[])),
            (Some(new @ Tree::List(_)), Some(old @ Tree::List(_))) => {
                // Which element is which cannot be known: only what leaves every one as it is can be restored.
                if !self.unchanged(at, &new, old) {
                    self.refused.push(dotted(at));
                }
                Some(old.clone())
            }
            (Some(_), old) => {
                self.refused.push(dotted(at));
                old.cloned()
            }
        }
    }

    /// Whether everything that may be set below a place is as it is.
    fn unchanged(&self, at: &Path, new: &Tree, old: &Tree) -> bool {
        match self.settable(at) {
            Settable::Nothing => true,
            Settable::All => new == old,
            Settable::Some => match (new, old) {
                (Tree::Object(new), Tree::Object(old)) => {
                    let find = |members: &[(Box<str>, Tree)], name: &str| {
                        members.iter().position(|(known, _)| **known == *name)
                    };
                    new.iter().chain(old).all(|(name, _)| {
                        let mut steps = at.steps().to_vec();
                        steps.push(Step::Name(name.clone()));
                        let below = Path(steps);
                        let new = find(new, name).and_then(|at| new.get(at)).map(|(_, value)| value);
                        let old = find(old, name).and_then(|at| old.get(at)).map(|(_, value)| value);
                        match (new, old) {
                            (Some(new), Some(old)) => self.unchanged(&below, new, old),
                            (Some(_), None) => false,
                            // What the caller was not shown is not in its body.
                            (None, _) => self.settable(&below) == Settable::Nothing,
                        }
                    })
                }
                (Tree::List(new), Tree::List(old)) => {
                    let mut steps = at.steps().to_vec();
                    steps.push(Step::Elements);
                    let each = Path(steps);
                    new.len() == old.len()
                        && new.iter().zip(old).all(|(new, old)| self.unchanged(&each, new, old))
                }
                (new, old) => new == old,
            },
        }
    }

    fn settable(&self, at: &Path) -> Settable {
        let by = |grant: &&&Grant| {
            let own = matches!(access_at(&grant.fields, at), Access::Show);
            let below = || grant.fields.iter().filter(|selector| at.is_prefix_of(&selector.path));
            let shown = |access: &Access| matches!(access, Access::Show);
            if own && below().all(|selector| shown(&selector.access)) {
                Settable::All
            } else if !own && !below().any(|selector| shown(&selector.access)) {
                Settable::Nothing
            } else {
                Settable::Some
            }
        };
        let each: Vec<Settable> = self.grants.iter().map(|grant| by(&grant)).collect();
        if each.contains(&Settable::All) {
            Settable::All
        } else if each.iter().all(|settable| *settable == Settable::Nothing) {
            Settable::Nothing
        } else {
            Settable::Some
        }
    }

    /// Whether the caller sets a place without seeing it, so that its absence says nothing.
    fn is_blind(&self, at: &Path) -> bool {
        self.rule.blind.iter().any(|blind| blind.is_prefix_of(at) || at.is_prefix_of(blind))
    }

    // === masked values ===

    fn masks(&self, at: &Path) -> impl Iterator<Item = &crate::rewrite::mask::Mask> {
        let covering = self.rule.masks.iter().filter(move |(path, _)| path.is_prefix_of(at));
        covering.map(|(_, mask)| mask.as_ref())
    }

    fn is_echo(&self, at: &Path, new: &Tree, old: Option<&Tree>) -> bool {
        let Some(value) = scalar(new) else { return false };
        // A masked container is `null`.
        let emptied = matches!(value, Scalar::Null) && matches!(old, Some(Tree::Object(_) | Tree::List(_)));
        self.masks(at).any(|mask| emptied || mask.could_have_written(value))
    }

    /// Whether a mask that the caller may have been shown makes `masked` of the value as it is.
    fn masked_to(&self, at: &Path, old: &Tree, masked: &Tree) -> bool {
        self.masks(at).any(|mask| {
            let made = scalar(old).map_or(Tree::Null, |value| match mask.apply(value) {
                Masked::Null => Tree::Null,
                Masked::Number(text) => Tree::Number(text.into()),
                Masked::Text(text) => Tree::Text(text.into()),
                Masked::Bool(value) => Tree::Bool(value),
            });
            made == *masked
        })
    }

    /// Looks for masked values in something new.
    fn leaves(&self, at: &Path, tree: &Tree, echoed: &mut bool) {
        let below = |step: Step| {
            let mut steps = at.steps().to_vec();
            steps.push(step);
            Path(steps)
        };
        match tree {
            Tree::Object(members) => members
                .iter()
                .for_each(|(name, value)| self.leaves(&below(Step::Name(name.clone())), value, echoed)),
            Tree::List(items) => {
                items.iter().for_each(|item| self.leaves(&below(Step::Elements), item, echoed));
            }
            // A new `null` hides nothing.
            Tree::Null => {}
            leaf @ (Tree::Bool(_) | Tree::Number(_) | Tree::Text(_)) => {
                *echoed |= self.is_echo(at, leaf, None);
            }
        }
    }
}
