//! The elements of an array, by which of the indexes, slices, filters at it cover them.
//!
//! A state is made for every combination that can occur: indexes and slices cover few different ones, of elements
//! counted from the end one takes a place at most, filters may coincide in every way.

use std::collections::BTreeSet;

use super::super::path::{Choice, Step};
use super::shape::StateId;

/// Where the elements of an array lead.
#[derive(Debug)]
pub(super) struct Elements {
    /// Indexes and slices, which are known while the array is read.
    plain: Box<[Step]>,
    /// What only the whole array tells.
    chosen: Box<[Choice]>,
    /// By combination, ascending: bits for the plain ones, above them for the chosen ones.
    states: Box<[(u64, StateId)]>,
}

/// More combinations than an automaton has states for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Elements {
    /// All lead to one state.
    pub(super) fn all(state: StateId) -> Self {
        Self { plain: [].into(), chosen: [].into(), states: [(0, state)].into() }
    }

    /// `go` makes the state for the elements that these steps cover.
    pub(super) fn compile<E: From<TooMany>>(
        steps: Vec<Step>,
        mut go: impl FnMut(&dyn Fn(&Step) -> bool) -> Result<StateId, E>,
    ) -> Result<Self, E> {
        let (mut plain, mut chosen) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Chosen(choice) => chosen.push(choice),
                step => plain.push(step),
            }
        }
        if plain.len() + chosen.len() > MAX_STEPS {
            return Err(TooMany.into());
        }
        let coverings = coverings(&plain)?;
        let choices = combinations(&chosen)?;
        if coverings.len() * choices.len() > MAX_COMBINATIONS {
            return Err(TooMany.into());
        }
        let mut states = Vec::new();
        for choice in &choices {
            for covering in &coverings {
                let bits = covering | choice << plain.len();
                let covered = |step: &Step| {
                    let number = match step {
                        Step::Chosen(choice) => {
                            chosen.iter().position(|other| other == choice).map(|at| at + plain.len())
                        }
                        step => plain.iter().position(|other| other == step),
                    };
                    number.is_some_and(|number| bits >> number & 1 == 1)
                };
                states.push((bits, go(&covered)?));
            }
        }
        states.sort_unstable();
        Ok(Self { plain: plain.into(), chosen: chosen.into(), states: states.into() })
    }

    /// The state of the element at an index; nothing passes where the choices matter and are not known.
    pub(super) fn at(&self, index: u64, choices: Option<u64>) -> StateId {
        if let [(_, state)] = *self.states {
            return state;
        }
        let choices = if self.chosen.is_empty() { Some(0) } else { choices };
        let bits = choices.map(|choices| covering(&self.plain, index) | choices << self.plain.len());
        let known = bits.and_then(|bits| self.states.binary_search_by_key(&bits, |(known, _)| *known).ok());
        known.and_then(|at| self.states.get(at)).map_or(super::FORBIDDEN, |(_, state)| *state)
    }

    pub(super) fn choices(&self) -> impl Iterator<Item = &Choice> {
        self.chosen.iter()
    }

    pub(super) fn states(&self) -> impl Iterator<Item = StateId> {
        self.states.iter().map(|(_, state)| *state)
    }
}

/// Whether an index or slice step covers an index.
pub(crate) fn covers(step: &Step, index: u64) -> bool {
    match step {
        Step::Index(at) => *at == index,
        Step::Slice { start, end, step } => {
            index >= *start
                && end.is_none_or(|end| index < end)
                && (index - start).is_multiple_of((*step).max(1))
        }
        Step::Elements | Step::Any => true,
        Step::Name(_) | Step::Chosen(_) | Step::Descend => false,
    }
}

fn covering(steps: &[Step], index: u64) -> u64 {
    steps.iter().enumerate().map(|(bit, step)| u64::from(covers(step, index)) << bit).sum()
}

/// Which combinations of indexes and slices occur: between two of their bounds they repeat.
fn coverings(steps: &[Step]) -> Result<Vec<u64>, TooMany> {
    let (mut bounds, mut period) = (BTreeSet::from([0]), 1u64);
    for step in steps {
        match step {
            Step::Index(at) => bounds.extend([*at, at.saturating_add(1)]),
            Step::Slice { start, end, step } => {
                bounds.extend([*start].into_iter().chain(*end));
                period = period.checked_mul(step / common(period, *step)).ok_or(TooMany)?;
            }
            Step::Name(_) | Step::Elements | Step::Any | Step::Chosen(_) | Step::Descend => {}
        }
    }
    if period > MAX_PERIOD {
        return Err(TooMany);
    }
    let mut found = BTreeSet::new();
    let next = bounds.iter().skip(1).copied().chain([u64::MAX]);
    for (from, to) in bounds.iter().copied().zip(next) {
        found.extend((from..to.min(from.saturating_add(period))).map(|index| covering(steps, index)));
    }
    Ok(found.into_iter().collect())
}

/// The greatest common divisor.
fn common(a: u64, b: u64) -> u64 {
    if b == 0 { a.max(1) } else { common(b, a % b) }
}

/// Which combinations of choices occur.
fn combinations(chosen: &[Choice]) -> Result<Vec<u64>, TooMany> {
    let single = |choice: &Choice| matches!(choice, Choice::FromEnd(_));
    let bits = |wanted: bool| {
        let of = chosen.iter().enumerate().filter(move |(_, choice)| single(choice) == wanted);
        of.map(|(number, _)| 1u64 << number).collect::<Vec<_>>()
    };
    let (one, any) = (bits(true), bits(false));
    if any.len() > MAX_FREE {
        return Err(TooMany);
    }
    let mut all = Vec::new();
    for subset in 0..1usize << any.len() {
        let of = any.iter().enumerate().filter(|(number, _)| subset >> number & 1 == 1);
        let free: u64 = of.map(|(_, bit)| *bit).sum();
        all.push(free);
        all.extend(one.iter().map(|bit| free | bit));
    }
    Ok(all)
}

/// Most different indexes, slices and choices at one array.
const MAX_STEPS: usize = 60;
/// Most filters, and slices counted from the end, at one array: they may coincide in every way.
const MAX_FREE: usize = 6;
/// Most combinations at one array.
const MAX_COMBINATIONS: usize = 4096;
/// Longest period of the strides of slices at one array.
const MAX_PERIOD: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::super::super::path::Path;
    use super::*;

    fn steps(texts: &[&str]) -> Vec<Step> {
        let step = |text: &&str| Path::parse_jsonpath(&format!("$[{text}]")).expect("path").0.remove(0);
        texts.iter().map(step).collect()
    }

    fn compile(texts: &[&str]) -> Result<Elements, TooMany> {
        let mut made = 0;
        Elements::compile(steps(texts), |_| {
            made += 1;
            Ok(made)
        })
    }

    #[test]
    fn every_index_has_the_state_of_its_covering() {
        let texts = ["0", "3", "7", "2:9", "4:", "1::3", ":20:4", "9007199254740991", "5", "6", "8"];
        let all = steps(&texts);
        let mut wanted = Vec::new();
        let elements = Elements::compile::<TooMany>(steps(&texts), |covered| {
            let bits: u64 = all.iter().enumerate().map(|(bit, step)| u64::from(covered(step)) << bit).sum();
            wanted.push(bits);
            Ok(u32::try_from(wanted.len()).expect("few"))
        })
        .expect("few");
        for index in (0..300).chain([9_007_199_254_740_990, 9_007_199_254_740_991, u64::MAX - 1]) {
            let state = elements.at(index, None) as usize;
            assert_eq!(wanted[state - 1], covering(&all, index), "{index}");
        }
    }

    #[test]
    fn too_many_combinations_are_refused_and_many_indexes_are_not() {
        let many: Vec<String> = (0..60).map(|index| (index * 7).to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(compile(&many).is_ok());
        assert_eq!(compile(&[&many[..], &["1"]].concat()).err(), Some(TooMany));
        assert_eq!(compile(&["::7", "::11", "::13", "::17"]).err(), Some(TooMany));
        let filters = ["?@.a", "?@.b", "?@.c", "?@.d", "?@.e", "?@.f", "?@.g"];
        assert!(compile(&filters[..6]).is_ok());
        assert_eq!(compile(&filters).err(), Some(TooMany));
        assert_eq!(compile(&[&filters[..6], &many[..59]].concat()).err(), Some(TooMany));
        assert!(compile(&["-1", "-2", "-3", "-4", "-5", "-6", "-7", "-8", "0"]).is_ok());
    }

    #[test]
    fn what_is_chosen_and_not_known_is_forbidden() {
        let elements = compile(&["-1", "0"]).expect("few");
        assert_eq!(elements.at(0, None), super::super::FORBIDDEN);
        assert_ne!(elements.at(0, Some(1)), elements.at(0, Some(0)));
        assert_ne!(elements.at(1, Some(1)), elements.at(0, Some(1)));
    }
}
