//! Types as far as they are known when a condition is compiled.

use super::calculate::Calculation;
use super::evaluate::Comparison;
use super::value::Value;

/// What is known of a part's type before it is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Any,
    Null,
    Bool,
    Number,
    Text,
    List,
    Map,
    Time,
    Span,
}

impl Kind {
    /// What calculating with two kinds gives, if anything.
    pub(super) fn calculated(calculation: Calculation, a: Self, b: Self) -> Option<Self> {
        Some(match (calculation, a, b) {
            (Calculation::Add, Self::Text, Self::Text) => Self::Text,
            (_, Self::Number, Self::Number) => Self::Number,
            (Calculation::Subtract, Self::Time, Self::Time) => Self::Span,
            (Calculation::Add | Calculation::Subtract, Self::Time, Self::Span) => Self::Time,
            (Calculation::Add, Self::Span, Self::Time) => Self::Time,
            (Calculation::Add | Calculation::Subtract, Self::Span, Self::Span) => Self::Span,
            (_, Self::Any, known) | (_, known, Self::Any) if known.can_calculate(calculation) => Self::Any,
            _ => return None,
        })
    }

    /// Whether a comparison of two kinds can ever have a value.
    pub(super) fn compares_with(self, other: Self, comparison: Comparison) -> bool {
        let equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        match (self, other) {
            (Self::Null, _) | (_, Self::Null) => equality,
            (Self::List | Self::Map, _) | (_, Self::List | Self::Map) if !equality => false,
            (a, b) => a == b || a == Self::Any || b == Self::Any,
        }
    }

    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Int(_) | Value::UInt(_) | Value::Double(_) => Self::Number,
            Value::Text(_) => Self::Text,
            Value::List(_) => Self::List,
            Value::Map(_) => Self::Map,
            Value::Time(_) => Self::Time,
            Value::Span(_) => Self::Span,
        }
    }

    /// For messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Null => "null",
            Self::Bool => "a truth value",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Map => "an object",
            Self::Time => "a time",
            Self::Span => "a duration",
        }
    }

    fn can_calculate(self, calculation: Calculation) -> bool {
        match self {
            Self::Any | Self::Number => true,
            Self::Text => calculation == Calculation::Add,
            Self::Time | Self::Span => matches!(calculation, Calculation::Add | Calculation::Subtract),
            Self::Null | Self::Bool | Self::List | Self::Map => false,
        }
    }
}
