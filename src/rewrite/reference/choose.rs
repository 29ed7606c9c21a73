//! Which elements are chosen: every choice asked about every element, on the tree.

use super::super::condition::{Slot, Value};
use super::super::path::{Choice, Hop, Query, Step, Wanted};
use super::Judge;
use super::access::Record;
use super::place::{Loc, next};
use super::tree::{Kind, Tree};

impl Record<'_> {
    /// What chooses among the elements of an array there.
    pub(super) fn choices_at(&self, place: &[Loc]) -> Vec<Choice> {
        let mut choices = Vec::new();
        for (step, _) in self.all_paths().flat_map(|path| next(path, place)) {
            if let Step::Chosen(choice) = step
                && !choices.contains(choice)
            {
                choices.push(choice.clone());
            }
        }
        choices
    }

    /// Every way in which elements there can be chosen.
    pub(super) fn every_choice(&self, place: &[Loc], plain: Vec<Loc>) -> Vec<Loc> {
        let choices = self.choices_at(place);
        if choices.is_empty() {
            return plain;
        }
        let mut all = Vec::new();
        for subset in 0..1usize << choices.len() {
            let taken: Vec<Choice> = choices
                .iter()
                .enumerate()
                .filter(|(number, _)| subset >> number & 1 == 1)
                .map(|(_, choice)| choice.clone())
                .collect();
            let from_end = taken.iter().filter(|choice| matches!(choice, Choice::FromEnd(_))).count();
            if from_end < 2 {
                all.extend((0..5).map(|index| Loc::Chosen(index, taken.clone())));
            }
        }
        all
    }
}

impl Judge<'_> {
    /// The places of the elements of an array; `None`: nobody can say.
    pub(super) fn elements(&self, record: &Record<'_>, items: &[Tree], place: &[Loc]) -> Vec<Option<Loc>> {
        let choices = record.choices_at(place);
        if choices.is_empty() {
            return (0..items.len() as u64).map(|index| Some(Loc::Index(index))).collect();
        }
        let limit = self.plan.bounds.value_bytes;
        let place = |(index, item): (u64, &Tree)| {
            let mut taken = Vec::new();
            for choice in &choices {
                let mut look = |query: &Query, wanted| at(item, &query.0, wanted, limit);
                if choice.takes(index, items.len() as u64, &mut look).ok()? {
                    taken.push(choice.clone());
                }
            }
            Some(Loc::Chosen(index, taken))
        };
        (0..).zip(items).map(place).collect()
    }
}

fn at(tree: &Tree, hops: &[Hop], wanted: Wanted, limit: usize) -> Slot {
    let Some((hop, rest)) = hops.split_first() else {
        return match wanted {
            Wanted::Presence => Slot::Found(Value::Null),
            Wanted::Value => Slot::read(tree.raw.as_bytes(), limit),
        };
    };
    let found: Vec<&Tree> = match (hop, &tree.kind) {
        (Hop::Name(name), Kind::Object(members)) => {
            members.iter().filter(|(_, member, _)| **member == **name).map(|(_, _, value)| value).collect()
        }
        (Hop::Index(index), Kind::Array(items)) => {
            let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let index = if *index < 0 { index + length } else { *index };
            usize::try_from(index).ok().and_then(|index| items.get(index)).into_iter().collect()
        }
        _ => Vec::new(),
    };
    match found.as_slice() {
        [] => Slot::Missing,
        [one] => at(one, rest, wanted, limit),
        _ => Slot::Ambiguous,
    }
}
