//! Member names as they come: records of one kind mostly have the same members in the same order, so the next name is
//! guessed from the last record and checked, and looked up only if the guess was wrong. With the name comes everything
//! that its state says.

use std::sync::Arc;

use super::super::automaton::{Act, Capture, Counted, NO_FIELD, Program, StateId};
use super::tally::{NO_COUNTER, Tally};

/// Most names learnt in one state.
const MAX_NAMES: usize = 128;
/// Most states that are learnt.
const MAX_STATES: usize = 64;
/// Longest name that is learnt: with its quotes and colon it fits in two words.
const MAX_NAME_BYTES: usize = 29;

/// What was learnt, by program and state.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    states: Vec<Learnt>,
}

#[derive(Debug)]
struct Learnt {
    program: Arc<Program>,
    state: StateId,
    names: Vec<Name>,
    /// The first name of the last object.
    first: usize,
}

/// A name that was learnt.
#[derive(Debug)]
pub(crate) struct Name {
    /// The raw name with its quotes and colon, and which bits of it count.
    text: [u128; 2],
    mask: [u128; 2],
    pub(crate) length: usize,
    pub(crate) todo: Todo,
    /// The name that came after it.
    pub(crate) next: usize,
}

/// Where in an object we are: the name before, and the next one by the last record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trail {
    learnt: usize,
    pub(crate) last: usize,
    pub(crate) guess: usize,
}

/// What a member's state says, ready for use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Todo {
    pub(crate) child: StateId,
    /// By [`Class`].
    pub(crate) acts: [Do; 5],
    /// By [`Class`]: which counter goes up.
    pub(crate) counters: [u32; 5],
    pub(crate) capture: Capture,
    /// On the way to a deciding value.
    pub(crate) watched: bool,
}

/// What is done with a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Do {
    Keep,
    Drop,
    Mask(u32),
    /// Something that takes more than a glance.
    Other,
}

/// Kinds of values, by their first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Text,
    Bare,
    Null,
    Object,
    Array,
}

const NOWHERE: usize = usize::MAX;

impl Class {
    #[inline(always)]
    pub(crate) fn of(first: u8) -> Self {
        match first {
            b'"' => Self::Text,
            b'{' => Self::Object,
            b'[' => Self::Array,
            b'n' => Self::Null,
            _ => Self::Bare,
        }
    }
}

impl Todo {
    /// What is done with a value, and which counter goes up.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "INVARIANT: there are as many classes as elements")]
    pub(crate) fn about(&self, class: Class) -> (Do, u32) {
        (self.acts[class as usize], self.counters[class as usize])
    }

    /// What `program` says about a state.
    pub(crate) fn of(program: &Program, child: StateId) -> Self {
        let node = program.node(child);
        let mut todo = Self {
            child,
            acts: [Do::Other; 5],
            counters: [NO_COUNTER; 5],
            capture: node.capture,
            watched: program.rule.is_none() && node.declared,
        };
        let acts = [node.text, node.other, node.null, node.object, node.array];
        for ((to, counter), (class, act)) in
            todo.acts.iter_mut().zip(&mut todo.counters).zip(acts.into_iter().enumerate())
        {
            *to = match act {
                Act::Keep => Do::Keep,
                Act::Drop => Do::Drop,
                Act::Mask(mask) if class < 3 => Do::Mask(mask),
                _ => Do::Other,
            };
            if program.rule.is_none() {
                continue;
            }
            if node.field != NO_FIELD {
                let hidden = act == Act::Drop && node.counts != Counted::No;
                *counter = Tally::counter(node.field, if hidden { Counted::Hidden } else { node.counts });
            } else if act == Act::Drop && node.container {
                // The place is noted as unknown.
                *to = Do::Other;
            }
        }
        todo
    }
}

impl Routes {
    /// The beginning of an object at a state.
    #[inline]
    pub(crate) fn enter(&mut self, program: &Arc<Program>, state: StateId) -> Trail {
        let known = self.states.iter().position(|l| l.state == state && Arc::ptr_eq(&l.program, program));
        let learnt = known.unwrap_or_else(|| {
            if self.states.len() >= MAX_STATES {
                return NOWHERE;
            }
            self.states.push(Learnt {
                program: Arc::clone(program),
                state,
                names: Vec::new(),
                first: NOWHERE,
            });
            self.states.len() - 1
        });
        let guess = self.states.get(learnt).map_or(NOWHERE, |learnt| learnt.first);
        Trail { learnt, last: NOWHERE, guess }
    }

    /// What was learnt about the object.
    #[inline(always)]
    pub(crate) fn names(&self, trail: &Trail) -> &[Name] {
        self.states.get(trail.learnt).map(|learnt| learnt.names.as_slice()).unwrap_or_default()
    }

    /// The guess for the name whose opening quote is the first of `bytes`: its length and what to do, if it is right.
    /// The name is followed by its quote and a colon.
    #[inline(always)]
    pub(crate) fn guess(&self, trail: &mut Trail, bytes: &[u8; 32]) -> Option<(usize, &Todo)> {
        let name = self.states.get(trail.learnt)?.names.get(trail.guess)?;
        if !name.is(bytes) {
            return None;
        }
        (trail.last, trail.guess) = (trail.guess, name.next);
        Some((name.length, &name.todo))
    }

    /// A name was read without a guess; the state it leads to if it has been learnt.
    pub(crate) fn follow(&self, trail: &mut Trail, name: &[u8]) -> Option<StateId> {
        let learnt = self.states.get(trail.learnt);
        let found = learnt.and_then(|learnt| {
            let guessed = learnt.names.get(trail.guess).filter(|guessed| guessed.reads(name));
            let place = match guessed {
                Some(_) => trail.guess,
                None => learnt.names.iter().position(|known| known.reads(name))?,
            };
            let known = learnt.names.get(place)?;
            Some((place, known.next, known.todo.child))
        });
        (trail.last, trail.guess) = found.map_or((NOWHERE, NOWHERE), |(place, next, _)| (place, next));
        found.map(|(_, _, child)| child)
    }

    /// Remembers that this name came next. `true`: it was known before.
    pub(crate) fn learn(&mut self, trail: &mut Trail, name: &[u8], todo: &Todo) -> bool {
        let Some(learnt) = self.states.get_mut(trail.learnt) else { return false };
        let whole = Name::new(name, *todo);
        let found = whole.as_ref().and_then(|whole| {
            let same = |known: &Name| known.text == whole.text && known.length == whole.length;
            learnt.names.iter().position(same)
        });
        let place = match (found, whole) {
            (Some(place), _) => place,
            (None, Some(whole)) if learnt.names.len() < MAX_NAMES => {
                learnt.names.push(whole);
                learnt.names.len() - 1
            }
            _ => {
                (trail.last, trail.guess) = (NOWHERE, NOWHERE);
                return false;
            }
        };
        match learnt.names.get_mut(trail.last) {
            Some(last) => last.next = place,
            None if trail.guess == learnt.first => learnt.first = place,
            None => {}
        }
        let next = learnt.names.get(place).map_or(NOWHERE, |name| name.next);
        (trail.last, trail.guess) = (place, next);
        found.is_some()
    }
}

impl Name {
    /// `None`: too long.
    fn new(name: &[u8], todo: Todo) -> Option<Self> {
        if name.len() > MAX_NAME_BYTES {
            return None;
        }
        let (mut text, mut mask) = ([0u8; 32], [0u8; 32]);
        let whole = b"\"".iter().chain(name).chain(b"\":");
        for ((text, mask), byte) in text.iter_mut().zip(&mut mask).zip(whole) {
            (*text, *mask) = (*byte, 0xFF);
        }
        Some(Self { text: words(&text), mask: words(&mask), length: name.len(), todo, next: NOWHERE })
    }

    fn reads(&self, name: &[u8]) -> bool {
        let text = self.text.map(u128::to_le_bytes);
        self.length == name.len() && text.as_flattened().get(1..=name.len()) == Some(name)
    }

    /// Whether the bytes start with it.
    #[inline(always)]
    pub(crate) fn is(&self, bytes: &[u8; 32]) -> bool {
        let [low, high] = words(bytes);
        let ([text_low, text_high], [mask_low, mask_high]) = (self.text, self.mask);
        ((low ^ text_low) & mask_low) | ((high ^ text_high) & mask_high) == 0
    }
}

#[inline(always)]
fn words(bytes: &[u8; 32]) -> [u128; 2] {
    let (low, high) = bytes.split_at(16);
    let word = |half: &[u8]| half.first_chunk().map_or(0, |half| u128::from_le_bytes(*half));
    [word(low), word(high)]
}
