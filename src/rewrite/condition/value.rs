//! Values in conditions, and how two of them compare.

use std::cmp::Ordering;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::evaluate::Fault;

/// A value in a condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number beyond `i64`.
    UInt(u64),
    /// Any other number; finite.
    Double(f64),
    /// A text.
    Text(Arc<str>),
    /// A list.
    List(Arc<[Value]>),
    /// An object; names in order of appearance, no duplicates.
    Map(Arc<[(Arc<str>, Value)]>),
    /// A point in time.
    Time(Timestamp),
    /// A length of time.
    Span(SignedDuration),
}

/// What the record says at one place.
#[derive(Clone, Debug, PartialEq)]
pub enum Slot {
    /// The place does not occur.
    Missing,
    /// It occurs once.
    Found(Value),
    /// It, or a container on the way to it, occurs more than once, or what stands there cannot be read (too long, too
    /// large a container, [`Unreadable`]): the condition is not met.
    Ambiguous,
}

/// A value that conditions cannot read: not JSON, nested too deeply, a member twice in one object, a number beyond
/// the range of a double, half a surrogate pair in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("value cannot be read by conditions")]
pub struct Unreadable;

impl Value {
    /// A text.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// A list of texts, such as groups and roles.
    pub fn texts<'t>(texts: impl IntoIterator<Item = &'t Arc<str>>) -> Self {
        Self::List(texts.into_iter().map(|text| Self::Text(Arc::clone(text))).collect())
    }

    /// A claim or another value that is already parsed.
    pub fn from_parsed(value: &serde_json::Value) -> Result<Self, Unreadable> {
        Ok(match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(truth) => Self::Bool(*truth),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(int), _, _) => Self::Int(int),
                (_, Some(uint), _) => Self::UInt(uint),
                (_, _, Some(double)) if double.is_finite() => Self::Double(double),
                _ => return Err(Unreadable),
            },
            serde_json::Value::String(text) => Self::text(text.as_str()),
            serde_json::Value::Array(elements) => {
                Self::List(elements.iter().map(Self::from_parsed).collect::<Result<_, _>>()?)
            }
            serde_json::Value::Object(members) => Self::Map(
                members
                    .iter()
                    .map(|(name, value)| Ok((name.as_str().into(), Self::from_parsed(value)?)))
                    .collect::<Result<_, _>>()?,
            ),
        })
    }

    /// The value that `path` leads to below already parsed members, such as claims: `None` where there is none, or
    /// none that conditions can read.
    pub fn below(members: &serde_json::Map<String, serde_json::Value>, path: &[Box<str>]) -> Option<Self> {
        let (first, rest) = path.split_first()?;
        let mut value = members.get(&**first)?;
        for name in rest {
            value = value.as_object()?.get(&**name)?;
        }
        Self::from_parsed(value).ok()
    }

    /// The member of an object.
    pub(super) fn member(&self, name: &str) -> Result<&Value, Fault> {
        match self {
            Self::Map(members) => members
                .iter()
                .find(|(known, _)| &**known == name)
                .map(|(_, value)| value)
                .ok_or(Fault::Missing),
            _ => Err(Fault::Type),
        }
    }

    /// `==`. Different types do not compare, except that `null` differs from everything else.
    pub(super) fn equals(&self, other: &Value) -> Result<bool, Fault> {
        match (self, other) {
            (Self::Null, Self::Null) => Ok(true),
            (Self::Null, _) | (_, Self::Null) => Ok(false),
            (Self::Text(a), Self::Text(b)) => Ok(a == b),
            (Self::Bool(a), Self::Bool(b)) => Ok(a == b),
            (Self::Time(a), Self::Time(b)) => Ok(a == b),
            (Self::Span(a), Self::Span(b)) => Ok(a == b),
            (Self::List(a), Self::List(b)) => lists_equal(a, b),
            (Self::Map(a), Self::Map(b)) => maps_equal(a, b),
            _ => Ok(compare_numbers(self, other)? == Ordering::Equal),
        }
    }

    /// `<` and the like. Only values of one type have an order.
    pub(in crate::rewrite) fn compare(&self, other: &Value) -> Result<Ordering, Fault> {
        match (self, other) {
            // Bytes of UTF-8 have the order of the characters.
            (Self::Text(a), Self::Text(b)) => Ok(a.as_bytes().cmp(b.as_bytes())),
            (Self::Bool(a), Self::Bool(b)) => Ok(a.cmp(b)),
            (Self::Time(a), Self::Time(b)) => Ok(a.cmp(b)),
            (Self::Span(a), Self::Span(b)) => Ok(a.cmp(b)),
            _ => compare_numbers(self, other),
        }
    }
}

fn compare_numbers(a: &Value, b: &Value) -> Result<Ordering, Fault> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(a.cmp(b)),
        (Value::UInt(a), Value::UInt(b)) => Ok(a.cmp(b)),
        (Value::Int(a), Value::UInt(b)) => Ok(i128::from(*a).cmp(&i128::from(*b))),
        (Value::UInt(a), Value::Int(b)) => Ok(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Int(a), Value::Double(b)) => compare_whole(i128::from(*a), *b),
        (Value::UInt(a), Value::Double(b)) => compare_whole(i128::from(*a), *b),
        (Value::Double(a), Value::Int(b)) => compare_whole(i128::from(*b), *a).map(Ordering::reverse),
        (Value::Double(a), Value::UInt(b)) => compare_whole(i128::from(*b), *a).map(Ordering::reverse),
        (Value::Double(a), Value::Double(b)) => match a.partial_cmp(b).ok_or(Fault::Type)? {
            // Both may stand for whole numbers that differ in digits a double does not hold.
            Ordering::Equal if a.abs() >= BEYOND_64_BITS => Err(Fault::Overflow),
            order => Ok(order),
        },
        _ => Err(Fault::Type),
    }
}

/// Compares by value, without rounding the whole number to a double.
fn compare_whole(whole: i128, double: f64) -> Result<Ordering, Fault> {
    if double.is_nan() {
        return Err(Fault::Type);
    }
    if double.abs() >= BEYOND_64_BITS {
        return Ok(if double > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "INVARIANT: below 2^64, an i128 holds the whole part"
    )]
    let floor = double.floor() as i128;
    Ok(match whole.cmp(&floor) {
        Ordering::Equal if double > double.floor() => Ordering::Less,
        order => order,
    })
}

/// Unequal as soon as one pair is; an error only if all other pairs are equal.
fn lists_equal(a: &[Value], b: &[Value]) -> Result<bool, Fault> {
    if a.len() != b.len() {
        return Ok(false);
    }
    all_equal(a.iter().zip(b))
}

fn maps_equal(a: &[(Arc<str>, Value)], b: &[(Arc<str>, Value)]) -> Result<bool, Fault> {
    let sorted = |map: &[(Arc<str>, Value)]| {
        let mut members: Vec<_> = map.iter().map(|(name, value)| (Arc::clone(name), value.clone())).collect();
        members.sort_by(|a, b| a.0.cmp(&b.0));
        members
    };
    let (a, b) = (sorted(a), sorted(b));
    if a.len() != b.len() || a.iter().zip(&b).any(|(a, b)| a.0 != b.0) {
        return Ok(false);
    }
    all_equal(a.iter().map(|(_, value)| value).zip(b.iter().map(|(_, value)| value)))
}

fn all_equal<'v>(pairs: impl Iterator<Item = (&'v Value, &'v Value)>) -> Result<bool, Fault> {
    let mut fault = None;
    for (a, b) in pairs {
        match a.equals(b) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(reason) => fault = Some(reason),
        }
    }
    fault.map_or(Ok(true), Err)
}

/// 2^64.
const BEYOND_64_BITS: f64 = 18_446_744_073_709_551_616.0;
