//! Output of the engine: which bytes of the current slice pass, what is not decided yet, and the total that is
//! written before it is known.
//!
//! The bytes of a slice fall in three parts: up to `mark` they are settled, `mark..kept` will pass, from `kept` on
//! they are undecided. What was undecided when a slice ended, or lies before a dropped part, is in `pending`, which
//! comes before everything in `mark..`; so while `pending` holds something, `mark == kept`.

use super::super::output::Output;
use super::super::plan::{Total, TotalOnHold};

/// The seam between decided and undecided bytes.
#[derive(Debug, Default)]
pub(crate) struct Emit {
    pub(crate) pending: Vec<u8>,
    pub(crate) mark: usize,
    pub(crate) kept: usize,
    pub(crate) totals: Totals,
    pub(crate) bytes_out: u64,
}

/// The least that is held for a total, so that a struck total finds the comma after it.
const LEAST_HOLD_BYTES: usize = 2048;

/// Totals in front of the records they count, and what was written after them.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    held: Vec<u8>,
    places: Vec<TotalPlace>,
    /// The records are over, or the totals were given up.
    settled: Option<Settled>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    Known,
    GivenUp,
}

#[derive(Debug)]
struct TotalPlace {
    /// Where the member's text starts in `held`, with its comma if it has one.
    start: usize,
    /// Where its value belongs.
    value: usize,
    /// Whether the text starts with a comma.
    comma: bool,
}

/// How long totals may be held, and what they become then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold<'t> {
    pub(crate) bytes: usize,
    pub(crate) total: Option<&'t Total>,
}

/// What a total member becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TotalNow {
    Number,
    Null,
    Remove,
    Hold,
}

impl Emit {
    /// Bytes of the slice that are undecided, with what is pending.
    pub(crate) fn undecided(&self, at: usize) -> usize {
        self.pending.len() + at.saturating_sub(self.kept)
    }

    /// Writes what will pass.
    pub(crate) fn flush(&mut self, slice: &[u8], out: &mut impl Output) {
        if self.mark < self.kept {
            let range = self.mark..self.kept;
            if self.totals.places.is_empty() {
                self.bytes_out += range.len() as u64;
                out.keep(slice, range);
            } else {
                self.totals.held.extend_from_slice(slice.get(range).unwrap_or_default());
            }
            self.mark = self.kept;
        }
    }

    /// Everything up to `at` passes.
    #[inline]
    pub(crate) fn pass(&mut self, at: usize, slice: &[u8], out: &mut impl Output) {
        if !self.pending.is_empty() {
            self.flush(slice, out);
            let pending = std::mem::take(&mut self.pending);
            self.put(&pending, out);
            self.pending = pending;
            self.pending.clear();
        }
        self.kept = at;
    }

    /// Of what is undecided the first `length` bytes stay so, the rest up to `at` goes.
    pub(crate) fn cut_back(&mut self, length: usize, at: usize, slice: &[u8], out: &mut impl Output) {
        self.flush(slice, out);
        match length.checked_sub(self.pending.len()) {
            Some(0) => {}
            None => self.pending.truncate(length),
            Some(more) => {
                self.pending.extend_from_slice(slice.get(self.kept..self.kept + more).unwrap_or_default());
            }
        }
        self.skip_to(at);
    }

    /// Bytes before `at` that have not been passed or kept undecided go.
    #[inline]
    pub(crate) fn skip_to(&mut self, at: usize) {
        self.mark = at;
        self.kept = at;
    }

    /// New bytes, after all that passes.
    pub(crate) fn write(&mut self, bytes: &[u8], slice: &[u8], out: &mut impl Output) {
        self.flush(slice, out);
        self.put(bytes, out);
    }

    fn put(&mut self, bytes: &[u8], out: &mut impl Output) {
        if self.totals.places.is_empty() {
            self.bytes_out += bytes.len() as u64;
            out.write(bytes);
        } else {
            self.totals.held.extend_from_slice(bytes);
        }
    }

    /// What a total is replaced by where it stands.
    pub(crate) fn total(&self, total: &Total, hold_bytes: usize) -> TotalNow {
        match (self.totals.settled, total.otherwise) {
            (Some(Settled::Known), _) => TotalNow::Number,
            (None, _) if hold_bytes > 0 => TotalNow::Hold,
            (Some(Settled::GivenUp) | None, TotalOnHold::Null) => TotalNow::Null,
            (Some(Settled::GivenUp) | None, TotalOnHold::Remove) => TotalNow::Remove,
        }
    }

    /// Starts to hold: what is written from now on is the text of a total member, starting with a comma or not.
    /// Everything before must have been passed.
    pub(crate) fn hold_total(&mut self, comma: bool, slice: &[u8], out: &mut impl Output) {
        self.flush(slice, out);
        let start = self.totals.held.len();
        self.totals.places.push(TotalPlace { start, value: start, comma });
    }

    /// The member's text up to its value has been passed.
    pub(crate) fn total_value(&mut self, slice: &[u8], out: &mut impl Output) {
        self.flush(slice, out);
        let at = self.totals.held.len();
        if let Some(place) = self.totals.places.last_mut() {
            place.value = at;
        }
    }

    /// Gives the totals up if more is held than may be.
    pub(crate) fn check_hold(&mut self, hold: Hold<'_>, out: &mut impl Output) {
        let first = self.totals.places.first().map(|place| place.value);
        if first.is_some_and(|first| self.totals.held.len() - first > hold.bytes.max(LEAST_HOLD_BYTES)) {
            self.totals.settled = Some(Settled::GivenUp);
            let remove = hold.total.is_some_and(|total| total.otherwise == TotalOnHold::Remove);
            self.release(if remove { None } else { Some("null".into()) }, out);
        }
    }

    /// The records are over: totals are known.
    pub(crate) fn settle(&mut self, released: u64, hold: Hold<'_>, slice: &[u8], out: &mut impl Output) {
        self.flush(slice, out);
        self.check_hold(hold, out);
        self.totals.settled = Some(Settled::Known);
        self.release(Some(released.to_string()), out);
    }

    /// Writes what was held, with the totals' text, or without the members.
    fn release(&mut self, text: Option<String>, out: &mut impl Output) {
        let places = std::mem::take(&mut self.totals.places);
        let mut held = std::mem::take(&mut self.totals.held);
        for place in places.iter().rev() {
            match &text {
                Some(text) => drop(held.splice(place.value..place.value, text.bytes())),
                None => {
                    let after = held.get(place.value..).unwrap_or_default();
                    let blanks =
                        after.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')).count();
                    // As for every dropped member: blanks before a comma go with it, those before a bracket stay.
                    let end = match after.get(blanks) {
                        Some(b',') => place.value + blanks + usize::from(!place.comma),
                        _ => place.value,
                    };
                    drop(held.drain(place.start..end));
                }
            }
        }
        if !held.is_empty() {
            self.put(&held, out);
        }
        held.clear();
        self.totals.held = held;
    }
}
