//! Steps that only the whole array tells: elements counted from the end, slices with such bounds, filters (RFC 9535
//! sections 2.3.3 to 2.3.5). The record is held, and they are evaluated on it.
//!
//! Of filters there is what can be said about one element with bounded work: tests that a place in it exists,
//! comparisons of places, literals and `length(…)`, `match` and `search` with a constant pattern, `!`, `&&`, `||`. A
//! place in a filter starts at the element (`@`) and is names and indexes. The rest is refused.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use jsonpath_rust::parser::model as parsed;

use super::super::condition::{Slot, Value};
use super::pattern;

/// Elements of an array that cannot be told while it is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Choice {
    /// One element, counted from the end; the last one is 1.
    FromEnd(u64),
    /// A slice with a bound that is counted from the end, or that goes backwards.
    Span {
        /// First index; negative: from the end.
        start: Option<i64>,
        /// Index after the last; negative: from the end.
        end: Option<i64>,
        /// Stride, not 0.
        step: i64,
    },
    /// The elements that meet a filter.
    Filter(Filter),
}

/// A filter. Two are equal if they print alike.
#[derive(Clone, Debug)]
pub struct Filter {
    text: Box<str>,
    test: Arc<Test>,
}

/// What is asked about an element.
#[derive(Debug)]
enum Test {
    Or(Vec<Test>),
    And(Vec<Test>),
    Not(Box<Test>),
    Exists(Query),
    Compare(Comparison, Operand, Operand),
    Matches { query: Query, pattern: Box<str>, whole: bool, regex: regex::Regex },
}

/// One place, from the element on.
#[derive(Debug)]
pub(crate) struct Query(pub(crate) Box<[Hop]>);

/// A step of a place in a filter.
#[derive(Debug)]
pub(crate) enum Hop {
    /// A member.
    Name(Box<str>),
    /// An element; negative: from the end.
    Index(i64),
}

#[derive(Debug)]
enum Operand {
    Literal(Value),
    Query(Query),
    Length(Query),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A deciding value occurs twice or cannot be read: nobody can say whether the element is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ambiguous;

/// What a filter wants to know of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Whether there is something: its value is not read.
    Presence,
    /// The value.
    Value,
}

impl Choice {
    /// Whether the element at `index` of `length` is meant; filters ask `look` for what stands in it.
    pub(crate) fn takes(
        &self,
        index: u64,
        length: u64,
        look: &mut dyn FnMut(&Query, Wanted) -> Slot,
    ) -> Result<bool, Ambiguous> {
        match self {
            Self::FromEnd(back) => Ok(length.checked_sub(*back) == Some(index)),
            Self::Span { start, end, step } => Ok(in_span(*start, *end, *step, index, length)),
            Self::Filter(filter) => filter.test.holds(look),
        }
    }
}

/// RFC 9535 section 2.3.4.2.2, for one index.
fn in_span(start: Option<i64>, end: Option<i64>, step: i64, index: u64, length: u64) -> bool {
    let (index, length, step) = (i128::from(index), i128::from(length), i128::from(step));
    let normal = |bound: i64| i128::from(bound) + if bound < 0 { length } else { 0 };
    if step > 0 {
        let lower = start.map_or(0, normal).clamp(0, length);
        let upper = end.map_or(length, normal).clamp(0, length);
        lower <= index && index < upper && (index - lower) % step == 0
    } else {
        let upper = start.map_or(length - 1, normal).clamp(-1, length - 1);
        let lower = end.map_or(-1, |end| normal(end).clamp(-1, length - 1));
        step != 0 && lower < index && index <= upper && (upper - index) % -step == 0
    }
}

impl Test {
    /// Everything is looked at, also where a part decides already: a part that is ambiguous makes the whole so.
    fn holds(&self, look: &mut dyn FnMut(&Query, Wanted) -> Slot) -> Result<bool, Ambiguous> {
        match self {
            Self::Or(parts) => parts.iter().try_fold(false, |any, part| Ok(part.holds(look)? || any)),
            Self::And(parts) => parts.iter().try_fold(true, |all, part| Ok(part.holds(look)? && all)),
            Self::Not(part) => Ok(!part.holds(look)?),
            Self::Exists(query) => Ok(found(look(query, Wanted::Presence))?.is_some()),
            Self::Compare(comparison, a, b) => {
                let (a, b) = (a.value(look)?, b.value(look)?);
                comparison.holds(a.as_ref(), b.as_ref())
            }
            Self::Matches { query, regex, .. } => match found(look(query, Wanted::Value))? {
                Some(Value::Text(text)) => Ok(regex.is_match(&text)),
                Some(_) | None => Ok(false),
            },
        }
    }
}

fn found(slot: Slot) -> Result<Option<Value>, Ambiguous> {
    match slot {
        Slot::Missing => Ok(None),
        Slot::Found(value) => Ok(Some(value)),
        Slot::Ambiguous => Err(Ambiguous),
    }
}

impl Operand {
    fn value(&self, look: &mut dyn FnMut(&Query, Wanted) -> Slot) -> Result<Option<Value>, Ambiguous> {
        Ok(match self {
            Self::Literal(value) => Some(value.clone()),
            Self::Query(query) => found(look(query, Wanted::Value))?,
            Self::Length(query) => {
                let length = match found(look(query, Wanted::Value))? {
                    Some(Value::Text(text)) => Some(text.chars().count()),
                    Some(Value::List(elements)) => Some(elements.len()),
                    Some(Value::Map(members)) => Some(members.len()),
                    Some(_) | None => None,
                };
                length.map(|length| Value::UInt(length as u64))
            }
        })
    }
}

impl Comparison {
    /// RFC 9535 section 2.3.5.2.2; `None` is Nothing.
    fn holds(self, a: Option<&Value>, b: Option<&Value>) -> Result<bool, Ambiguous> {
        match self {
            Self::Equal => equal(a, b),
            Self::NotEqual => Ok(!equal(a, b)?),
            Self::Less => less(a, b),
            Self::LessOrEqual => Ok(less(a, b)? | equal(a, b)?),
            Self::Greater => less(b, a),
            Self::GreaterOrEqual => Ok(less(b, a)? | equal(a, b)?),
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

fn equal(a: Option<&Value>, b: Option<&Value>) -> Result<bool, Ambiguous> {
    match (a, b) {
        (Some(Value::List(a)), Some(Value::List(b))) => {
            let mut pairs = a.iter().zip(b.iter());
            let same = |all: bool, (a, b)| Ok(equal(Some(a), Some(b))? && all);
            Ok(pairs.try_fold(true, same)? && a.len() == b.len())
        }
        (Some(Value::Map(a)), Some(Value::Map(b))) => {
            let mut all = a.len() == b.len();
            for (name, value) in a.iter() {
                let other = b.iter().find(|(other, _)| other == name).map(|(_, value)| value);
                all &= equal(Some(value), other)?;
            }
            Ok(all)
        }
        (Some(a), Some(b)) if is_number(a) && is_number(b) => Ok(order(a, b)? == Ordering::Equal),
        (Some(a), Some(b)) => Ok(a == b),
        (a, b) => Ok(a.is_none() && b.is_none()),
    }
}

fn less(a: Option<&Value>, b: Option<&Value>) -> Result<bool, Ambiguous> {
    match (a, b) {
        (Some(Value::Text(a)), Some(Value::Text(b))) => Ok(a < b),
        (Some(a), Some(b)) if is_number(a) && is_number(b) => Ok(order(a, b)? == Ordering::Less),
        _ => Ok(false),
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::UInt(_) | Value::Double(_))
}

/// By value; two numbers too large to be told apart are ambiguous.
fn order(a: &Value, b: &Value) -> Result<Ordering, Ambiguous> {
    a.compare(b).map_err(|_| Ambiguous)
}

// === from the parser ===

impl Filter {
    /// What the parser read, if it is within the subset; else the reason why not.
    pub(super) fn new(filter: &parsed::Filter) -> Result<Self, String> {
        let test = any_of(filter)?;
        Ok(Self { text: test.to_string().into(), test: Arc::new(test) })
    }
}

fn any_of(filter: &parsed::Filter) -> Result<Test, String> {
    let all = |parts: &[parsed::Filter]| parts.iter().map(any_of).collect::<Result<Vec<_>, _>>();
    Ok(match filter {
        parsed::Filter::Or(parts) => Test::Or(all(parts)?),
        parsed::Filter::And(parts) => Test::And(all(parts)?),
        parsed::Filter::Atom(atom) => {
            let (test, not) = match atom {
                parsed::FilterAtom::Filter { expr, not } => (any_of(expr)?, *not),
                parsed::FilterAtom::Test { expr, not } => (test_of(expr)?, *not),
                parsed::FilterAtom::Comparison(comparison) => (comparison_of(comparison)?, false),
            };
            if not { Test::Not(Box::new(test)) } else { test }
        }
    })
}

fn test_of(test: &parsed::Test) -> Result<Test, String> {
    match test {
        parsed::Test::RelQuery(segments) => Ok(Test::Exists(query_of(segments)?)),
        parsed::Test::AbsQuery(_) => Err(FROM_THE_ROOT.into()),
        parsed::Test::Function(function) => match &**function {
            parsed::TestFunction::Match(text, pattern) => matches_of(text, pattern, true),
            parsed::TestFunction::Search(text, pattern) => matches_of(text, pattern, false),
            other => Err(format!("`{}` is not true or false", name_of(other))),
        },
    }
}

fn matches_of(text: &parsed::FnArg, pattern: &parsed::FnArg, whole: bool) -> Result<Test, String> {
    let parsed::FnArg::Literal(parsed::Literal::String(pattern)) = pattern else {
        return Err("the pattern of `match` and `search` in a filter is a constant text".into());
    };
    let regex = pattern::compile(pattern, whole)?;
    Ok(Test::Matches { query: argument(text)?, pattern: pattern.as_str().into(), whole, regex })
}

fn argument(argument: &parsed::FnArg) -> Result<Query, String> {
    match argument {
        parsed::FnArg::Test(test) => match &**test {
            parsed::Test::RelQuery(segments) => query_of(segments),
            parsed::Test::AbsQuery(_) => Err(FROM_THE_ROOT.into()),
            parsed::Test::Function(function) => {
                Err(format!("`{}` as an argument is not supported in filters", name_of(function)))
            }
        },
        parsed::FnArg::Literal(_) | parsed::FnArg::Filter(_) => {
            Err("the argument of a function in a filter names a place: `@.name`".into())
        }
    }
}

fn comparison_of(comparison: &parsed::Comparison) -> Result<Test, String> {
    use parsed::Comparison as C;
    let (sign, a, b) = match comparison {
        C::Eq(a, b) => (Comparison::Equal, a, b),
        C::Ne(a, b) => (Comparison::NotEqual, a, b),
        C::Gt(a, b) => (Comparison::Greater, a, b),
        C::Gte(a, b) => (Comparison::GreaterOrEqual, a, b),
        C::Lt(a, b) => (Comparison::Less, a, b),
        C::Lte(a, b) => (Comparison::LessOrEqual, a, b),
    };
    Ok(Test::Compare(sign, operand(a)?, operand(b)?))
}

fn operand(comparable: &parsed::Comparable) -> Result<Operand, String> {
    match comparable {
        parsed::Comparable::Literal(literal) => literal_of(literal).map(Operand::Literal),
        parsed::Comparable::SingularQuery(parsed::SingularQuery::Root(_)) => Err(FROM_THE_ROOT.into()),
        parsed::Comparable::SingularQuery(parsed::SingularQuery::Current(segments)) => {
            let hop = |segment: &parsed::SingularQuerySegment| match segment {
                parsed::SingularQuerySegment::Index(index) => Hop::Index(*index),
                parsed::SingularQuerySegment::Name(name) => Hop::Name(name.as_str().into()),
            };
            Ok(Operand::Query(Query(segments.iter().map(hop).collect())))
        }
        parsed::Comparable::Function(parsed::TestFunction::Length(of)) => Ok(Operand::Length(argument(of)?)),
        parsed::Comparable::Function(other) => {
            Err(format!("`{}` cannot be compared in filters; `length` can", name_of(other)))
        }
    }
}

fn literal_of(literal: &parsed::Literal) -> Result<Value, String> {
    Ok(match literal {
        parsed::Literal::Int(int) => Value::Int(*int),
        parsed::Literal::Float(double) if double.is_finite() => Value::Double(*double),
        parsed::Literal::Float(_) => return Err("a number in a filter is out of range".into()),
        parsed::Literal::String(text) => Value::text(text.as_str()),
        parsed::Literal::Bool(truth) => Value::Bool(*truth),
        parsed::Literal::Null => Value::Null,
    })
}

fn query_of(segments: &[parsed::Segment]) -> Result<Query, String> {
    let hop = |segment: &parsed::Segment| match segment {
        parsed::Segment::Selector(parsed::Selector::Name(name)) => Ok(Hop::Name(name.as_str().into())),
        parsed::Segment::Selector(parsed::Selector::Index(index)) => Ok(Hop::Index(*index)),
        parsed::Segment::Selector(_) | parsed::Segment::Selectors(_) | parsed::Segment::Descendant(_) => {
            Err("a place in a filter is names and indexes: `@.name`, `@.list[0]`".to_owned())
        }
    };
    segments.iter().map(hop).collect::<Result<_, _>>().map(Query)
}

fn name_of(function: &parsed::TestFunction) -> &str {
    match function {
        parsed::TestFunction::Custom(name, _) => name,
        parsed::TestFunction::Length(_) => "length",
        parsed::TestFunction::Value(_) => "value",
        parsed::TestFunction::Count(_) => "count",
        parsed::TestFunction::Search(..) => "search",
        parsed::TestFunction::Match(..) => "match",
    }
}

const FROM_THE_ROOT: &str = "a filter looks at the element (`@`); for the record (`$`) use a condition";

// === printing ===

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromEnd(back) => write!(f, "[-{back}]"),
            Self::Span { start, end, step } => {
                f.write_str("[")?;
                start.map_or(Ok(()), |start| write!(f, "{start}"))?;
                f.write_str(":")?;
                end.map_or(Ok(()), |end| write!(f, "{end}"))?;
                if *step == 1 { f.write_str("]") } else { write!(f, ":{step}]") }
            }
            Self::Filter(filter) => write!(f, "[?{}]", filter.text),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |parts: &[Self], sign: &str| -> String {
            let part = |part: &Self| match part {
                Self::Or(_) | Self::And(_) => format!("({part})"),
                _ => part.to_string(),
            };
            parts.iter().map(part).collect::<Vec<_>>().join(sign)
        };
        match self {
            Self::Or(parts) => f.write_str(&joined(parts, " || ")),
            Self::And(parts) => f.write_str(&joined(parts, " && ")),
            Self::Not(part) => match &**part {
                Self::Exists(_) | Self::Matches { .. } => write!(f, "!{part}"),
                _ => write!(f, "!({part})"),
            },
            Self::Exists(query) => query.fmt(f),
            Self::Compare(sign, a, b) => write!(f, "{a} {} {b}", sign.sign()),
            Self::Matches { query, pattern, whole, .. } => {
                let name = if *whole { "match" } else { "search" };
                write!(f, "{name}({query}, {})", quoted(pattern))
            }
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(Value::Text(text)) => f.write_str(&quoted(text)),
            Self::Literal(Value::Int(int)) => write!(f, "{int}"),
            // With its point or exponent, so that it is read as the same kind of number again.
            Self::Literal(Value::Double(double)) => write!(f, "{double:e}"),
            Self::Literal(Value::Bool(truth)) => write!(f, "{truth}"),
            Self::Literal(_) => f.write_str("null"),
            Self::Query(query) => query.fmt(f),
            Self::Length(query) => write!(f, "length({query})"),
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("@")?;
        for hop in &self.0 {
            match hop {
                Hop::Name(name) if super::is_shorthand(name) => write!(f, ".{name}")?,
                Hop::Name(name) => write!(f, "[{}]", quoted(name))?,
                Hop::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

// === equal as printed ===

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Filter {}

impl std::hash::Hash for Filter {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for Filter {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Filter {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}
