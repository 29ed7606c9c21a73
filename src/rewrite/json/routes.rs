//! Member names as they come: records of one kind mostly have the same members in the same order, so the next name is
//! guessed from the last record and checked, and looked up only if the guess was wrong.

use std::sync::Arc;

use super::super::automaton::{Program, StateId};

/// Most names learnt in one state.
const MAX_NAMES: usize = 128;
/// Most states that are learnt.
const MAX_STATES: usize = 64;
/// Longest name that is learnt: with its closing quote and colon it fits in two words.
const MAX_NAME_BYTES: usize = 30;

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

#[derive(Debug)]
struct Name {
    /// The raw name with closing quote and colon, and which bits of it count.
    text: [u128; 2],
    mask: [u128; 2],
    length: usize,
    child: StateId,
    /// The name that came after it.
    next: usize,
}

/// Where in an object we are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trail {
    learnt: usize,
    last: Option<usize>,
}

const NOWHERE: usize = usize::MAX;

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
        Trail { learnt, last: None }
    }

    /// The guess for the name whose text starts at `at`: its length and where it leads, if it is right. The name is
    /// followed by its quote and a colon.
    #[inline]
    pub(crate) fn guess(&self, trail: &mut Trail, slice: &[u8], at: usize) -> Option<(usize, StateId)> {
        let learnt = self.states.get(trail.learnt)?;
        let guessed = match trail.last {
            Some(last) => learnt.names.get(last)?.next,
            None => learnt.first,
        };
        let name = learnt.names.get(guessed)?;
        let bytes: &[u8; 32] = slice.get(at..)?.first_chunk()?;
        if !name.is(bytes) {
            return None;
        }
        trail.last = Some(guessed);
        Some((name.length, name.child))
    }

    /// Remembers that this name came next. `true`: it was known before.
    pub(crate) fn learn(&mut self, trail: &mut Trail, name: &[u8], child: StateId) -> bool {
        let Some(learnt) = self.states.get_mut(trail.learnt) else { return false };
        if name.len() > MAX_NAME_BYTES {
            trail.last = None;
            return false;
        }
        let mut padded = [0u8; 32];
        if let Some(to) = padded.get_mut(..name.len()) {
            to.copy_from_slice(name);
        }
        let found = learnt.names.iter().position(|known| known.length == name.len() && known.starts(&padded));
        let known = found.is_some();
        let place = match found {
            Some(place) => place,
            None if learnt.names.len() < MAX_NAMES => {
                learnt.names.push(Name::new(name, child));
                learnt.names.len() - 1
            }
            None => {
                trail.last = None;
                return false;
            }
        };
        match trail.last.and_then(|last| learnt.names.get_mut(last)) {
            Some(last) => last.next = place,
            None => learnt.first = place,
        }
        trail.last = Some(place);
        known
    }
}

impl Name {
    fn new(name: &[u8], child: StateId) -> Self {
        let (mut text, mut mask) = ([0u8; 32], [0u8; 32]);
        for ((text, mask), byte) in text.iter_mut().zip(&mut mask).zip(name.iter().chain(b"\":")) {
            (*text, *mask) = (*byte, 0xFF);
        }
        Self { text: words(&text), mask: words(&mask), length: name.len(), child, next: NOWHERE }
    }

    #[inline]
    fn is(&self, bytes: &[u8; 32]) -> bool {
        let [low, high] = words(bytes);
        let ([text_low, text_high], [mask_low, mask_high]) = (self.text, self.mask);
        ((low ^ text_low) & mask_low) | ((high ^ text_high) & mask_high) == 0
    }

    /// Whether it is the name at the start of `padded`, which has no quote and colon.
    fn starts(&self, padded: &[u8; 32]) -> bool {
        let mut whole = *padded;
        for (to, from) in whole.iter_mut().skip(self.length).zip(b"\":") {
            *to = *from;
        }
        self.is(&whole)
    }
}

#[inline]
fn words(bytes: &[u8; 32]) -> [u128; 2] {
    let (low, high) = bytes.split_at(16);
    let word = |half: &[u8]| half.first_chunk().map_or(0, |half| u128::from_le_bytes(*half));
    [word(low), word(high)]
}
