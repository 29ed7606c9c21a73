//! What one record's rule gives at a place, by matching every path against it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::super::automaton::fold;
use super::super::mask::Mask;
use super::super::path::{Path, Step};
use super::super::plan::{Access, RecordRule, Selector};
use super::place::{Loc, Place, below, is_over, leads, next};

/// What a place gives.
#[derive(Clone, Copy)]
pub(super) enum Given<'m> {
    Hide,
    Mask(&'m Mask),
    Show,
}

impl PartialEq for Given<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Hide, Self::Hide) | (Self::Show, Self::Show) => true,
            (Self::Mask(a), Self::Mask(b)) => std::ptr::eq(*a, *b),
            _ => false,
        }
    }
}

pub(super) fn given(access: &Access) -> Given<'_> {
    match access {
        Access::Hide => Given::Hide,
        Access::Mask(mask) => Given::Mask(mask),
        Access::Show => Given::Show,
    }
}

pub(super) fn less_revealing<'m>(a: &'m Mask, b: &'m Mask) -> Given<'m> {
    Given::Mask(if b.strength() < a.strength() { b } else { a })
}

/// The winner of one list of selectors at a place.
pub(super) fn winner<'r>(
    selectors: &'r [Selector],
    place: &[Loc],
    given: impl Fn(&'r Access) -> Given<'r>,
) -> Option<Given<'r>> {
    let over: Vec<&Selector> = selectors.iter().filter(|selector| is_over(&selector.path, place)).collect();
    let rank = over.iter().map(|selector| selector.rank).max()?;
    let best = over.iter().filter(|selector| selector.rank == rank).map(|selector| given(&selector.access));
    best.reduce(|a, b| match (a, b) {
        (Given::Hide, _) | (_, Given::Hide) => Given::Hide,
        (Given::Mask(a), Given::Mask(b)) => less_revealing(a, b),
        (mask @ Given::Mask(_), Given::Show) | (_, mask) => mask,
    })
}

/// One record being judged: its rule and the grants that apply.
pub(super) struct Record<'r> {
    pub(super) rule: &'r RecordRule,
    pub(super) grants: Vec<usize>,
    /// Of its masks that depend on the record: whether the condition is met, or nobody can say.
    pub(super) met: Vec<Option<bool>>,
    pub(super) known: Rc<Uniform>,
}

/// Places that are known to be uniform or not: to find out takes long.
pub(super) type Uniform = RefCell<HashMap<Place, bool>>;

impl<'r> Record<'r> {
    pub(super) fn guarded(&self, place: &[Loc]) -> bool {
        self.rule.guards.iter().any(|guard| winner(guard, place, given) == Some(Given::Hide))
    }

    /// What an access gives in this record.
    fn given(&self, access: &'r Access) -> Given<'r> {
        let by_record = match access {
            Access::Mask(mask) => {
                self.rule.masks_by_record().iter().position(|other| Arc::ptr_eq(other, mask))
            }
            Access::Hide | Access::Show => None,
        };
        match (access, by_record) {
            (Access::Mask(mask), Some(number)) => {
                let met = self.met.get(number).copied().flatten();
                mask.choice().map_or(Given::Hide, |choice| Given::Mask(choice.taken(met)))
            }
            (access, _) => given(access),
        }
    }

    pub(super) fn access(&self, place: &[Loc]) -> Given<'r> {
        if self.guarded(place) {
            return Given::Hide;
        }
        let grants = self.grants.iter().filter_map(|grant| self.rule.grants.get(*grant));
        let of = |access| self.given(access);
        let each = grants.map(|grant| winner(&grant.fields, place, of).unwrap_or(of(&grant.otherwise)));
        each.fold(Given::Hide, |a, b| match (a, b) {
            (Given::Show, _) | (_, Given::Show) => Given::Show,
            (Given::Mask(a), Given::Mask(b)) => less_revealing(a, b),
            (mask @ Given::Mask(_), Given::Hide) | (_, mask) => mask,
        })
    }

    pub(super) fn selectors(&self) -> impl Iterator<Item = &'r Path> {
        let grants = self.rule.grants.iter().flat_map(|grant| &grant.fields);
        grants.chain(self.rule.guards.iter().flatten()).map(|selector| &selector.path)
    }

    /// All paths that say what must stand somewhere.
    pub(super) fn declaring(&self) -> impl Iterator<Item = &'r Path> {
        let relations = self.rule.relations.iter().map(|(path, _)| path);
        self.selectors().chain(relations).chain(self.rule.pairs.iter().map(|pairs| &pairs.at))
    }

    pub(super) fn all_paths(&self) -> impl Iterator<Item = &'r Path> {
        self.declaring().chain(&self.rule.embedded).chain(&self.rule.key)
    }

    /// Whether every place at and below this one has the same access: tried out over all names that paths go on with,
    /// one that none does, and a few indexes, as deep as paths go.
    pub(super) fn uniform(&self, place: &[Loc]) -> bool {
        if let Some(known) = self.known.borrow().get(place) {
            return *known;
        }
        let uniform = self.tried_out(place);
        self.known.borrow_mut().insert(place.to_vec(), uniform);
        uniform
    }

    fn tried_out(&self, place: &[Loc]) -> bool {
        let longest = self.all_paths().map(|path| path.steps().len()).max().unwrap_or(0);
        self.uniform_from(place, self.access(place), longest + 1)
    }

    fn uniform_from(&self, place: &[Loc], access: Given<'_>, deeper: usize) -> bool {
        let special =
            self.rule.relations.iter().map(|(path, _)| path).chain(self.rule.pairs.iter().map(|p| &p.at));
        let list = |path: &Path| {
            path.is_list() && leads(path.steps().get(..path.steps().len() - 1).unwrap_or_default(), place)
        };
        let marked = special.clone().any(|path| leads(path.steps(), place))
            || self.rule.relations.iter().any(|(path, _)| list(path));
        let below_is = || {
            self.choices(place)
                .into_iter()
                .all(|loc| self.uniform_from(&below(place, loc), access, deeper - 1))
        };
        self.access(place) == access && !marked && (deeper == 0 || below_is())
    }

    /// One step for each that a path tells apart here, and one that none does.
    fn choices(&self, place: &[Loc]) -> Vec<Loc> {
        let steps: Vec<&Step> =
            self.all_paths().flat_map(|path| next(path, place)).map(|(step, _)| step).collect();
        if steps.is_empty() {
            return Vec::new();
        }
        let indexed = steps.iter().any(|step| matches!(step, Step::Index(_) | Step::Slice { .. }));
        let mut locs: Vec<Loc> = (0..if indexed { 5 } else { 1 }).map(Loc::Index).collect();
        locs = self.every_choice(place, locs);
        locs.push(Loc::Name("\u{1}".into()));
        for step in steps {
            if let Step::Name(name) = step
                && !locs.contains(&Loc::Name(name.to_string()))
            {
                locs.push(Loc::Name(name.to_string()));
            }
        }
        locs
    }

    /// Where a member leads: `None` if its name only looks like one that is not wholly shown.
    pub(super) fn member(&self, place: &[Loc], name: &str) -> Option<Place> {
        let there = below(place, Loc::Name(name.to_owned()));
        let names: Vec<&str> = self
            .all_paths()
            .flat_map(|path| next(path, place))
            .filter_map(|(step, _)| if let Step::Name(name) = step { Some(name.as_ref()) } else { None })
            .collect();
        if names.contains(&name) {
            return Some(there);
        }
        let alike = names.iter().filter(|other| fold(other) == fold(name));
        let shown = |other: &&&str| {
            let meant = below(place, Loc::Name((**other).to_owned()));
            self.access(&meant) == Given::Show && self.uniform(&meant)
        };
        alike.clone().all(|other| shown(&other)).then_some(there)
    }
}
