//! A sliding window, counted in time slots.
//!
//! A window has sixty slots. What is charged in a slot counts until the sixty-first slot after it begins, so it counts
//! for at least the length of the window and at most a sixtieth longer: in no stretch of time as long as the window is
//! more charged than the limit, wherever the stretch begins. (A window that starts anew at midnight lets twice the
//! limit pass around midnight.)

use std::collections::BTreeMap;
use std::time::Duration;

/// The slots of a window length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    slot_micros: i64,
}

/// How much counts in which slot. Slots ahead of now count too: they were charged before the clock was set back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slots(BTreeMap<i64, u64>);

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        let slot = length.as_micros().div_ceil(SLOTS.unsigned_abs().into()).max(1);
        Self { slot_micros: i64::try_from(slot).unwrap_or(i64::MAX / 1_000) }
    }

    /// The slot of a time in microseconds.
    pub(super) fn slot(self, at: i64) -> i64 {
        at.div_euclid(self.slot_micros)
    }

    /// When what is charged in a slot has ceased to count.
    pub(super) fn end_of(self, slot: i64) -> i64 {
        slot.saturating_add(SLOTS + 1).saturating_mul(self.slot_micros)
    }
}

impl Slots {
    /// All that counts in the slot `now`.
    pub(super) fn total(&self, now: i64) -> u64 {
        self.0.range(first(now)..).fold(0, |sum: u64, (_, count)| sum.saturating_add(*count))
    }

    pub(super) fn add(&mut self, slot: i64, count: u64) {
        if count > 0 {
            let held = self.0.entry(slot).or_default();
            *held = held.saturating_add(count);
        }
    }

    pub(super) fn take(&mut self, slot: i64, count: u64) {
        if let Some(held) = self.0.get_mut(&slot) {
            *held = held.saturating_sub(count);
            if *held == 0 {
                self.0.remove(&slot);
            }
        }
    }

    /// Applies changes up and down.
    pub(super) fn apply(&mut self, changes: &BTreeMap<i64, i64>) {
        for (slot, change) in changes {
            let size = change.unsigned_abs();
            if *change > 0 { self.add(*slot, size) } else { self.take(*slot, size) }
        }
    }

    /// Forgets what does not count any more.
    pub(super) fn prune(&mut self, now: i64) {
        if self.0.first_key_value().is_some_and(|(slot, _)| *slot < first(now)) {
            self.0 = self.0.split_off(&first(now));
        }
    }

    /// The first slot whose end makes room for `wanted` under `amount`; `None` if nothing ever does.
    pub(super) fn makes_room(&self, now: i64, wanted: u64, amount: u64) -> Option<i64> {
        let mut total = self.total(now);
        self.0.range(first(now)..).find_map(|(slot, count)| {
            total = total.saturating_sub(*count);
            (total.saturating_add(wanted) <= amount).then_some(*slot)
        })
    }

    /// The last slot in which something counts.
    pub(super) fn last(&self) -> Option<i64> {
        self.0.last_key_value().map(|(slot, _)| *slot)
    }

    /// As the store keeps them: `slot:count,slot:count`.
    pub(super) fn write(&self) -> String {
        let pairs: Vec<String> = self.0.iter().map(|(slot, count)| format!("{slot}:{count}")).collect();
        pairs.join(",")
    }

    /// Reads what [`Slots::write`] wrote; `None` for anything else.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut slots = Self::default();
        for pair in text.split(',').filter(|_| !text.is_empty()) {
            let (slot, count) = pair.split_once(':')?;
            slots.add(slot.parse().ok()?, count.parse().ok()?);
        }
        (slots.0.len() <= MAX_SLOTS).then_some(slots)
    }
}

/// The first slot that counts in the slot `now`.
pub(super) fn first(now: i64) -> i64 {
    now.saturating_sub(SLOTS)
}

const SLOTS: i64 = 60;

/// Sixty-one that count, and some ahead of a clock that was set back.
const MAX_SLOTS: usize = 500;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_charged_counts_for_the_whole_window_and_at_most_a_sixtieth_longer() {
        let window = Window::new(Duration::from_secs(60));
        for start in [0, 1, 999_999, 1_000_000, -1, 1_234_567_890] {
            let mut slots = Slots::default();
            slots.add(window.slot(start), 1);
            let counts = |after: i64| slots.total(window.slot(start + after)) == 1;
            assert!(counts(0) && counts(59_999_999), "{start}");
            assert!(!counts(61_000_000), "{start}");
            let end = window.end_of(window.slot(start));
            assert_eq!(slots.total(window.slot(end - 1)), 1);
            assert_eq!(slots.total(window.slot(end)), 0);
        }
    }

    #[test]
    fn slots_are_read_back() {
        let mut slots = Slots::default();
        assert_eq!(Slots::read(&slots.write()), Some(slots.clone()));
        slots.add(-3, 1);
        slots.add(29_000_000, u64::MAX);
        assert_eq!(Slots::read(&slots.write()), Some(slots));
        for bad in ["x", "1", "1:", ":1", "1:-1", "1:1,", "1:1,,2:2", "1:1 ", "1:99999999999999999999"] {
            assert_eq!(Slots::read(bad), None, "{bad}");
        }
        let long: Vec<String> = (0..501).map(|n| format!("{n}:1")).collect();
        assert_eq!(Slots::read(&long.join(",")), None);
    }

    #[test]
    fn room_comes_with_the_end_of_the_slots_that_fill_it() {
        let mut slots = Slots::default();
        slots.add(10, 3);
        slots.add(20, 2);
        assert_eq!(slots.makes_room(30, 1, 5), Some(10));
        assert_eq!(slots.makes_room(30, 3, 5), Some(10));
        assert_eq!(slots.makes_room(30, 4, 5), Some(20));
        assert_eq!(slots.makes_room(30, 6, 5), None);
        assert_eq!(slots.last(), Some(20));
    }

    proptest! {
        /// The law of the module, against a list of all charges.
        #[test]
        fn no_stretch_holds_more_than_the_limit(
            steps in proptest::collection::vec((0_i64..20_000_000, 1_u64..5), 1..200),
        ) {
            let (length, amount) = (60_000_000, 10);
            let window = Window::new(Duration::from_micros(60_000_000));
            let mut slots = Slots::default();
            let mut charged: Vec<(i64, u64)> = Vec::new();
            let mut at = 0;
            for (wait, wanted) in steps {
                at += wait;
                let now = window.slot(at);
                slots.prune(now);
                if slots.total(now) + wanted <= amount {
                    slots.add(now, wanted);
                    charged.push((at, wanted));
                } else {
                    let longest: u64 =
                        charged.iter().filter(|(t, _)| at - t < length + length / 60).map(|(_, n)| n).sum();
                    prop_assert!(longest + wanted > amount, "refused although there was room");
                }
                let within: u64 = charged.iter().filter(|(t, _)| at - t < length).map(|(_, n)| n).sum();
                prop_assert!(within <= amount);
            }
        }
    }
}
