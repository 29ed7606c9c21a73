//! All paths of one record type (or of the envelope) as one deterministic automaton, by subset construction.
//!
//! A state stands for all places that no path tells apart. It knows which selectors match there (a selector
//! matches its place and everything below it, so matches accumulate), which marks stand exactly there, and what
//! kinds of containers the paths declare. What a state *gives* depends on the grants that apply: see
//! [`Program`](super::Program).

use std::collections::{BTreeSet, HashMap};

use super::super::path::{Choice, Path, Step};
use super::elements::{Elements, TooMany};
use super::names::{Names, fold};

/// Names a state.
pub(crate) type StateId = u32;

/// The state whose places are always hidden.
pub(crate) const FORBIDDEN: StateId = 0;
/// The state of the root.
pub(crate) const ROOT: StateId = 1;

/// Most states of one automaton.
const MAX_STATES: usize = 1 << 14;

/// What a path is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Mark {
    /// A selector, by its number: matches here and below.
    Selector(u32),
    /// A related record, by its number.
    Relation(u32),
    /// The array that holds related records.
    RelationList(u32),
    /// Text that holds JSON.
    Embedded,
    /// An element of a list of name/value pairs.
    Pair(u32),
    /// The record's key.
    Key,
    /// A value that a condition or discriminator reads.
    Slot(u32),
    /// A record of the answer.
    Record,
    /// An object on the way to the records, whatever else of it is kept.
    WayObject,
    /// An array on the way to the records.
    WayArray,
    /// The array that holds the records.
    RecordList,
    /// The total.
    Total,
    /// The root of the answer, which no other place is like.
    Root,
}

/// One path and what it is there for.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) path: Path,
    pub(crate) mark: Mark,
    /// Whether its steps say which kind of container must stand.
    pub(crate) declares: bool,
}

/// Kinds of containers, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kinds {
    pub(crate) object: bool,
    pub(crate) array: bool,
}

impl Kinds {
    pub(crate) fn any(self) -> bool {
        self.object || self.array
    }
}

/// The automaton.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) states: Vec<State>,
    /// By state: whether elements are chosen there or below; empty: nowhere.
    choosing: Box<[bool]>,
}

/// One state.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) names: Names,
    /// Where every other member leads.
    pub(crate) other: StateId,
    /// Folded names to the states of the names that fold to them.
    pub(crate) folded: HashMap<Box<str>, Vec<StateId>>,
    elements: Elements,
    /// The selectors that match here, ascending.
    pub(crate) matched: Box<[u32]>,
    /// What stands exactly here, selectors too.
    pub(crate) marks: Box<[Mark]>,
    /// What the paths declare.
    pub(crate) kinds: Kinds,
    /// Whether any path reaches this place or covers it.
    pub(crate) declared: bool,
    /// One place it stands for.
    pub(crate) place: Path,
}

impl State {
    /// The deciding values that stand exactly here.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.marks.iter().filter_map(|mark| match mark {
            Mark::Slot(slot) => Some(*slot),
            _ => None,
        })
    }
}

/// The paths are too many or too intricate for one automaton.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the paths of one rule need more than {MAX_STATES} states, or tell too many groups of elements of one array apart"
)]
pub struct TooLarge;

impl From<TooMany> for TooLarge {
    fn from(_: TooMany) -> Self {
        Self
    }
}

impl Shape {
    /// Compiles patterns.
    pub(crate) fn compile(patterns: &[Pattern]) -> Result<Self, TooLarge> {
        Builder { patterns, known: HashMap::new(), keys: Vec::new(), places: Vec::new() }.build()
    }

    pub(crate) fn state(&self, id: StateId) -> Option<&State> {
        self.states.get(id as usize)
    }

    /// The state of the element with this index. Where elements are chosen, [`Shape::chosen`] knows it.
    pub(crate) fn element(&self, id: StateId, index: u64) -> StateId {
        self.state(id).map_or(FORBIDDEN, |state| state.elements.at(index, None))
    }

    /// The state of an element, of which it is known which choices of [`Shape::choices`] take it: a bit each.
    pub(crate) fn chosen(&self, id: StateId, index: u64, choices: u64) -> StateId {
        self.state(id).map_or(FORBIDDEN, |state| state.elements.at(index, Some(choices)))
    }

    /// What chooses among the elements of an array.
    pub(crate) fn choices(&self, id: StateId) -> impl Iterator<Item = &Choice> {
        self.state(id).into_iter().flat_map(|state| state.elements.choices())
    }

    /// Whether elements are chosen at a state or below it.
    pub(crate) fn is_choosing(&self, id: StateId) -> bool {
        self.choosing.get(id as usize).copied().unwrap_or(false)
    }

    /// The state of a decoded name, exactly.
    #[inline]
    pub(crate) fn member(&self, id: StateId, name: &[u8]) -> StateId {
        match self.state(id) {
            Some(state) => state.names.find(name).unwrap_or(state.other),
            None => FORBIDDEN,
        }
    }

    /// The state of a place below `id`, for paths of names and indexes.
    pub(crate) fn follow(&self, id: StateId, path: &Path) -> Option<StateId> {
        path.steps().iter().try_fold(id, |state, step| match step {
            Step::Name(name) => Some(self.member(state, name.as_bytes())),
            Step::Index(index) => Some(self.element(state, *index)),
            Step::Elements | Step::Any | Step::Slice { .. } | Step::Chosen(_) | Step::Descend => None,
        })
    }

    /// Where one step from a state can lead.
    pub(crate) fn successors(&self, id: StateId) -> impl Iterator<Item = StateId> {
        self.state(id).into_iter().flat_map(|state| {
            state.names.iter().map(|(_, to)| to).chain([state.other]).chain(state.elements.states())
        })
    }

    /// Finds out where elements are chosen.
    fn choosing(mut self) -> Self {
        let here = |state: &State| state.elements.choices().next().is_some();
        if !self.states.iter().any(here) {
            return self;
        }
        let mut choosing: Vec<bool> = self.states.iter().map(here).collect();
        loop {
            let leads = |id: usize| {
                let id = StateId::try_from(id).unwrap_or(FORBIDDEN);
                self.successors(id).any(|to| choosing.get(to as usize).copied().unwrap_or(false))
            };
            let next: Vec<bool> =
                choosing.iter().enumerate().map(|(id, known)| *known || leads(id)).collect();
            if next == choosing {
                self.choosing = choosing.into();
                return self;
            }
            choosing = next;
        }
    }
}

/// A position in a pattern. `loose`: reached by `..`, so it declares nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Item {
    pattern: usize,
    at: usize,
    loose: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    items: BTreeSet<Item>,
    matched: BTreeSet<u32>,
    marks: BTreeSet<Mark>,
}

enum Move<'m> {
    Member(Option<&'m str>),
    Element(&'m dyn Fn(&Step) -> bool),
}

struct Builder<'p> {
    patterns: &'p [Pattern],
    known: HashMap<Key, StateId>,
    keys: Vec<Key>,
    places: Vec<Path>,
}

impl Builder<'_> {
    fn build(mut self) -> Result<Shape, TooLarge> {
        let forbidden = State {
            names: Names::default(),
            other: FORBIDDEN,
            folded: HashMap::new(),
            elements: Elements::all(FORBIDDEN),
            matched: [].into(),
            marks: [].into(),
            kinds: Kinds::default(),
            declared: true,
            place: Path::default(),
        };
        let mut states = vec![forbidden];
        let mut start = Key::default();
        for pattern in 0..self.patterns.len() {
            self.enter(&mut start, pattern, 0);
        }
        self.id(start, Path::default())?;
        while let Some(key) = self.keys.get(states.len() - 1).cloned() {
            let place = self.places.get(states.len() - 1).cloned().unwrap_or_default();
            states.push(self.state(&key, place)?);
        }
        Ok(Shape { states, choosing: [].into() }.choosing())
    }

    /// Puts a pattern's position into a key, with everything `..` lets it reach.
    fn enter(&self, key: &mut Key, pattern: usize, at: usize) {
        let Some(entry) = self.patterns.get(pattern) else { return };
        match entry.path.steps().get(at) {
            None => {
                key.marks.insert(entry.mark);
                if let Mark::Selector(selector) = entry.mark {
                    key.matched.insert(selector);
                }
            }
            Some(step) => {
                key.items.insert(Item { pattern, at, loose: false });
                if *step == Step::Descend {
                    key.items.insert(Item { pattern, at: at + 1, loose: true });
                }
            }
        }
    }

    fn id(&mut self, mut key: Key, place: Path) -> Result<StateId, TooLarge> {
        // What stands below a record is decided by the record's own rule.
        if key.marks.iter().any(|mark| matches!(mark, Mark::Relation(_) | Mark::Record | Mark::Pair(_))) {
            key.items.clear();
        }
        if let Some(id) = self.known.get(&key) {
            return Ok(*id);
        }
        if self.keys.len() >= MAX_STATES {
            return Err(TooLarge);
        }
        self.keys.push(key.clone());
        self.places.push(place);
        let id = StateId::try_from(self.keys.len()).map_err(|_| TooLarge)?;
        self.known.insert(key, id);
        Ok(id)
    }

    fn step(&self, item: Item) -> Option<&Step> {
        self.patterns.get(item.pattern)?.path.steps().get(item.at)
    }

    fn go(&mut self, from: &Key, to: &Move<'_>, place: Path) -> Result<StateId, TooLarge> {
        let mut key = Key { matched: from.matched.clone(), ..Key::default() };
        for item in &from.items {
            let Some(step) = self.step(*item) else { continue };
            let taken = match (step, to) {
                (Step::Descend, _) => {
                    self.enter(&mut key, item.pattern, item.at);
                    false
                }
                (Step::Any, _) => true,
                (Step::Name(name), Move::Member(Some(member))) => name.as_ref() == *member,
                (Step::Elements, Move::Element(_)) => true,
                (Step::Index(_) | Step::Slice { .. } | Step::Chosen(_), Move::Element(covered)) => {
                    covered(step)
                }
                (
                    Step::Name(_) | Step::Elements | Step::Index(_) | Step::Slice { .. } | Step::Chosen(_),
                    _,
                ) => false,
            };
            if taken {
                self.enter(&mut key, item.pattern, item.at + 1);
            }
        }
        self.id(key, place)
    }

    fn state(&mut self, key: &Key, place: Path) -> Result<State, TooLarge> {
        let mut names = BTreeSet::new();
        let mut indexed = Vec::new();
        let mut kinds = Kinds::default();
        for item in &key.items {
            let declares = !item.loose && self.patterns.get(item.pattern).is_some_and(|p| p.declares);
            let Some(step) = self.step(*item) else { continue };
            match step {
                Step::Name(name) => {
                    names.insert(name.clone());
                    kinds.object |= declares;
                }
                Step::Elements => kinds.array |= declares,
                Step::Index(_) | Step::Slice { .. } | Step::Chosen(_) => {
                    if !indexed.contains(step) {
                        indexed.push(step.clone());
                    }
                    kinds.array |= declares;
                }
                Step::Any => {
                    kinds.object |= declares;
                    kinds.array |= declares;
                }
                Step::Descend => {}
            }
        }
        let below = |step: Step| place.join(&Path(vec![step]));
        let mut table = Vec::new();
        let mut folded: HashMap<Box<str>, Vec<StateId>> = HashMap::new();
        for name in names {
            let state = self.go(key, &Move::Member(Some(&name)), below(Step::Name(name.clone())))?;
            folded.entry(fold(&name).into()).or_default().push(state);
            table.push((name, state));
        }
        let other = self.go(key, &Move::Member(None), below(Step::Any))?;
        let elements = self.elements(key, indexed, &below(Step::Elements))?;
        Ok(State {
            names: Names::new(table),
            other,
            folded,
            elements,
            matched: key.matched.iter().copied().collect(),
            marks: key.marks.iter().copied().collect(),
            kinds,
            declared: !key.matched.is_empty() || !key.marks.is_empty() || self.declares(key),
            place,
        })
    }

    /// Whether a path that says where it goes (not `..`) goes on below.
    fn declares(&self, key: &Key) -> bool {
        let declares = |item: &Item| self.patterns.get(item.pattern).is_some_and(|p| p.declares);
        key.items.iter().any(|item| !item.loose && declares(item) && self.step(*item) != Some(&Step::Descend))
    }

    fn elements(&mut self, key: &Key, steps: Vec<Step>, place: &Path) -> Result<Elements, TooLarge> {
        Elements::compile(steps, |covered| self.go(key, &Move::Element(covered), place.clone()))
    }
}
