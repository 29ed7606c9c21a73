//! Arithmetic and conversions in conditions: nothing wraps, nothing becomes an infinity.

use jiff::{SignedDuration, Timestamp};

use super::evaluate::Fault;
use super::time;
use super::value::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calculation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A function of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conversion {
    Size,
    Int,
    Double,
    String,
    Timestamp,
    Duration,
    LowerAscii,
    UpperAscii,
}

impl Calculation {
    /// The result; an error where CEL has none, or the numbers do not fit.
    pub(super) fn of(self, a: &Value, b: &Value) -> Result<Value, Fault> {
        match (a, b) {
            (Value::Time(_) | Value::Span(_), _) | (_, Value::Time(_) | Value::Span(_)) => {
                self.of_times(a, b)
            }
            (Value::Text(a), Value::Text(b)) if self == Self::Add => {
                if a.len() + b.len() > MAX_TEXT_BYTES {
                    return Err(Fault::Overflow);
                }
                Ok(Value::text([&**a, &**b].concat()))
            }
            (Value::Double(_), _) | (_, Value::Double(_)) => self.of_doubles(to_double(a)?, to_double(b)?),
            _ => self.of_wholes(to_whole(a)?, to_whole(b)?),
        }
    }

    /// Whole numbers are calculated in 128 bits, which cannot overflow here, and must fit 64 again.
    fn of_wholes(self, a: i128, b: i128) -> Result<Value, Fault> {
        let result = match self {
            Self::Add => a.checked_add(b),
            Self::Subtract => a.checked_sub(b),
            Self::Multiply => a.checked_mul(b),
            Self::Divide => a.checked_div(b),
            Self::Remainder => a.checked_rem(b),
        };
        whole(result.ok_or(Fault::Overflow)?)
    }

    fn of_doubles(self, a: f64, b: f64) -> Result<Value, Fault> {
        let result = match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
            Self::Remainder => return Err(Fault::Type),
        };
        if result.is_finite() { Ok(Value::Double(result)) } else { Err(Fault::Overflow) }
    }

    fn of_times(self, a: &Value, b: &Value) -> Result<Value, Fault> {
        let moved = |time: &Timestamp, span: SignedDuration| {
            let moved = time.checked_add(span).map_err(|_| Fault::Overflow)?;
            time::in_range(moved).map(Value::Time)
        };
        match (self, a, b) {
            (Self::Add, Value::Time(time), Value::Span(span))
            | (Self::Add, Value::Span(span), Value::Time(time)) => moved(time, *span),
            (Self::Subtract, Value::Time(time), Value::Span(span)) => {
                moved(time, span.checked_neg().ok_or(Fault::Overflow)?)
            }
            (Self::Subtract, Value::Time(a), Value::Time(b)) => Ok(Value::Span(a.duration_since(*b))),
            (Self::Add, Value::Span(a), Value::Span(b)) => {
                a.checked_add(*b).map(Value::Span).ok_or(Fault::Overflow)
            }
            (Self::Subtract, Value::Span(a), Value::Span(b)) => {
                a.checked_sub(*b).map(Value::Span).ok_or(Fault::Overflow)
            }
            _ => Err(Fault::Type),
        }
    }
}

impl Conversion {
    /// The converted value; `None` where it is `value` itself.
    pub(super) fn of(self, value: &Value) -> Result<Option<Value>, Fault> {
        Ok(Some(match (self, value) {
            (Self::Int, Value::Int(_) | Value::UInt(_))
            | (Self::Double, Value::Double(_))
            | (Self::String, Value::Text(_))
            | (Self::Timestamp, Value::Time(_))
            | (Self::Duration, Value::Span(_)) => return Ok(None),
            (Self::Size, value) => size(value)?,
            (Self::Int, Value::Double(double)) => truncated(*double)?,
            (Self::Int, Value::Text(text)) => Value::Int(text.parse().map_err(|_| Fault::Conversion)?),
            (Self::Int, Value::Time(time)) => Value::Int(time.as_second()),
            (Self::Double, Value::Text(text)) => match Value::from_number(text) {
                Ok(number) => Value::Double(to_double(&number)?),
                Err(_) => return Err(Fault::Conversion),
            },
            (Self::Double, number) => Value::Double(to_double(number)?),
            (Self::String, Value::Int(int)) => Value::text(int.to_string()),
            (Self::String, Value::UInt(uint)) => Value::text(uint.to_string()),
            (Self::String, Value::Bool(truth)) => Value::text(if *truth { "true" } else { "false" }),
            (Self::String, Value::Time(time)) => Value::text(time.to_string()),
            (Self::Timestamp, Value::Text(text)) => Value::Time(time::timestamp(text)?),
            (Self::Timestamp, Value::Int(seconds)) => {
                let time = Timestamp::from_second(*seconds).map_err(|_| Fault::Overflow)?;
                Value::Time(time::in_range(time)?)
            }
            (Self::Duration, Value::Text(text)) => Value::Span(time::duration(text)?),
            (Self::LowerAscii, Value::Text(text)) if text.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                Value::text(text.to_ascii_lowercase())
            }
            (Self::UpperAscii, Value::Text(text)) if text.bytes().any(|byte| byte.is_ascii_lowercase()) => {
                Value::text(text.to_ascii_uppercase())
            }
            (Self::LowerAscii | Self::UpperAscii, Value::Text(_)) => return Ok(None),
            (
                Self::Int
                | Self::String
                | Self::Timestamp
                | Self::Duration
                | Self::LowerAscii
                | Self::UpperAscii,
                _,
            ) => return Err(Fault::Type),
        }))
    }
}

fn size(value: &Value) -> Result<Value, Fault> {
    let size = match value {
        Value::Text(text) => text.chars().count(),
        Value::List(elements) => elements.len(),
        Value::Map(members) => members.len(),
        _ => return Err(Fault::Type),
    };
    i64::try_from(size).map(Value::Int).map_err(|_| Fault::Overflow)
}

fn truncated(double: f64) -> Result<Value, Fault> {
    if double.abs() >= 9_223_372_036_854_775_808.0 {
        return Err(Fault::Overflow);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "INVARIANT: below 2^63, and the fraction is to be dropped"
    )]
    Ok(Value::Int(double as i64))
}

fn whole(number: i128) -> Result<Value, Fault> {
    match (i64::try_from(number), u64::try_from(number)) {
        (Ok(int), _) => Ok(Value::Int(int)),
        (_, Ok(uint)) => Ok(Value::UInt(uint)),
        _ => Err(Fault::Overflow),
    }
}

fn to_whole(value: &Value) -> Result<i128, Fault> {
    match value {
        Value::Int(int) => Ok(i128::from(*int)),
        Value::UInt(uint) => Ok(i128::from(*uint)),
        _ => Err(Fault::Type),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a double is asked for; comparisons do not go this way")]
fn to_double(value: &Value) -> Result<f64, Fault> {
    match value {
        Value::Double(double) => Ok(*double),
        Value::Int(int) => Ok(*int as f64),
        Value::UInt(uint) => Ok(*uint as f64),
        _ => Err(Fault::Type),
    }
}

/// Longest text that `+` may make.
const MAX_TEXT_BYTES: usize = 64 << 10;
