//! Number masks: ranges and multiples. Numbers come as JSON texts of any length.

use std::cmp::Ordering;

use crate::rewrite::condition::Value;

/// Ranges between ascending limits.
pub(super) struct Buckets {
    limits: Vec<(Box<str>, Value)>,
}

impl Buckets {
    /// Limits that are no numbers are left out; the specification has checked them.
    pub(super) fn new(limits: &[Box<str>]) -> Self {
        let limits = limits.iter().filter_map(|limit| Some((limit.clone(), Value::from_json(limit).ok()?)));
        Self { limits: limits.collect() }
    }

    /// `None` for a number beyond a double.
    pub(super) fn label(&self, number: &str) -> Option<String> {
        let value = Value::from_json(number).ok()?;
        for (index, (_, limit)) in self.limits.iter().enumerate() {
            if value.compare(limit).ok()? == Ordering::Less {
                return self.name(index);
            }
        }
        self.name(self.limits.len())
    }

    pub(super) fn could_have_written(&self, text: &str) -> bool {
        (0..=self.limits.len()).any(|index| self.name(index).as_deref() == Some(text))
    }

    /// The range below the limit of this index, and above the one before.
    fn name(&self, index: usize) -> Option<String> {
        let limit = |index: usize| self.limits.get(index).map(|(text, _)| text);
        Some(match (index.checked_sub(1).and_then(limit), limit(index)) {
            (None, Some(high)) => format!("<{high}"),
            (Some(low), Some(high)) => format!("{low}-{high}"),
            (Some(low), None) => format!(">={low}"),
            (None, None) => return None,
        })
    }
}

/// The nearest multiple of `unit`, halves away from zero; `None` for numbers beyond 10^30.
pub(super) fn round(number: &str, unit: u64) -> Option<String> {
    let unit = i128::from(unit);
    if let Ok(whole) = number.parse::<i128>()
        && whole.abs() < BEYOND
    {
        let up = if whole < 0 { -(unit / 2) } else { unit / 2 };
        // For odd units the half is no whole number, and cutting it off rounds to the nearest as well.
        return Some(((whole + up) / unit * unit).to_string());
    }
    let double: f64 = number.parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "what is rounded away is larger than what is lost")]
    let limit = BEYOND as f64;
    if double.is_nan() || double.abs() >= limit {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "what is rounded away is larger than what is lost")]
    let multiples = (double / unit as f64).round();
    #[expect(clippy::cast_possible_truncation, reason = "INVARIANT: below 10^30 in magnitude, checked above")]
    let multiples = multiples as i128;
    multiples.checked_mul(unit).map(|rounded| rounded.to_string())
}

/// Whether a number is a whole multiple of `unit`, however it is written, and as far as a client that reads numbers as
/// doubles would have kept it.
pub(super) fn is_multiple(number: &str, unit: u64) -> bool {
    let Some(rounded) = round(number, unit) else { return false };
    match (rounded.parse::<f64>(), number.parse::<f64>()) {
        (Ok(rounded), Ok(number)) => (rounded - number).abs() <= number.abs() * 1e-12,
        _ => false,
    }
}

/// Equal by value, as far as doubles tell: for recognising, near misses count as hits.
pub(super) fn equal(a: &str, b: &str) -> bool {
    matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b)) if a == b)
}

pub(super) fn is_less(a: &str, b: &str) -> bool {
    let (Ok(a), Ok(b)) = (Value::from_json(a), Value::from_json(b)) else { return false };
    a.compare(&b) == Ok(Ordering::Less)
}

const BEYOND: i128 = 1_000_000_000_000_000_000_000_000_000_000;
