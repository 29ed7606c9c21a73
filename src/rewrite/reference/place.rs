//! Concrete places, and which paths lead to them.

use super::super::automaton::covers;
use super::super::path::{Choice, Path, Step};

/// One step of a concrete place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Loc {
    Name(String),
    Index(u64),
    /// An element, where elements are chosen, and what takes it.
    Chosen(u64, Vec<Choice>),
}

pub(super) type Place = Vec<Loc>;

pub(super) fn below(place: &[Loc], loc: Loc) -> Place {
    place.iter().cloned().chain([loc]).collect()
}

/// Whether the steps lead exactly to the place.
pub(super) fn leads(steps: &[Step], place: &[Loc]) -> bool {
    match (steps.split_first(), place.split_first()) {
        (None, None) => true,
        (Some((Step::Descend, rest)), Some((_, deeper))) => leads(rest, place) || leads(steps, deeper),
        (Some((Step::Descend, rest)), None) => leads(rest, place),
        (Some((step, rest)), Some((loc, deeper))) => takes(step, loc) && leads(rest, deeper),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

pub(super) fn takes(step: &Step, loc: &Loc) -> bool {
    match (step, loc) {
        (Step::Name(name), Loc::Name(member)) => name.as_ref() == member,
        (Step::Any, Loc::Name(_)) => true,
        (Step::Chosen(choice), Loc::Chosen(_, taken)) => taken.contains(choice),
        (step, Loc::Index(index) | Loc::Chosen(index, _)) => covers(step, *index),
        (_, Loc::Name(_)) => false,
    }
}

/// Whether the path leads to the place or to something above it.
pub(super) fn is_over(path: &Path, place: &[Loc]) -> bool {
    (0..=place.len()).any(|length| leads(path.steps(), place.get(..length).unwrap_or_default()))
}

/// The steps that can come next at a place, and whether `..` stands before them.
pub(super) fn next<'p>(path: &'p Path, place: &[Loc]) -> Vec<(&'p Step, bool)> {
    let steps = path.steps();
    let at = |length: &usize| leads(steps.get(..*length).unwrap_or_default(), place);
    let step = |length: usize| {
        let loose = length > 0 && steps.get(length - 1) == Some(&Step::Descend);
        steps.get(length).map(|step| (step, loose))
    };
    (0..steps.len()).filter(at).filter_map(step).filter(|(step, _)| **step != Step::Descend).collect()
}

/// Which kinds of containers the paths declare at a place: object, array.
pub(super) fn declared<'p>(paths: impl Iterator<Item = &'p Path>, place: &[Loc]) -> (bool, bool) {
    let (mut object, mut array) = (false, false);
    for (step, _) in paths.flat_map(|path| next(path, place)).filter(|(_, loose)| !loose) {
        object |= matches!(step, Step::Name(_) | Step::Any);
        array |= !matches!(step, Step::Name(_));
    }
    (object, array)
}
