//! A compiled condition, evaluated. Borrowed values all the way: nothing is allocated for comparisons, `in`, text
//! tests and logic; only conversions and `lowerAscii` make new texts.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::tz::TimeZone;

use super::calculate::{Calculation, Conversion};
use super::params::Params;
use super::time::Part;
use super::value::{Slot, Value};

/// Why a condition, or a part of it, has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A member that does not occur.
    #[error("a member is missing")]
    Missing,
    /// A value of the wrong type.
    #[error("a value has the wrong type")]
    Type,
    /// Overflow, division by zero, an infinity, numbers too large to be told apart, an index beyond a list.
    #[error("a number is out of range")]
    Overflow,
    /// A text that is not what a conversion asks for.
    #[error("a text cannot be converted")]
    Conversion,
    /// A deciding member occurs twice or cannot be read.
    #[error("a member occurs twice or cannot be read")]
    Ambiguous,
    /// The evaluation took too many steps.
    #[error("the evaluation took too many steps")]
    Exhausted,
}

/// A part of a condition.
#[derive(Debug)]
pub(super) enum Node {
    Const(Value),
    /// What the record says, by index.
    Slot(usize),
    /// A value of the principal or the request, by index.
    Param(usize),
    /// The variable of a macro, counted from the innermost.
    Local(usize),
    Member(Box<Node>, Box<str>),
    Index(Box<[Node; 2]>),
    List(Box<[Node]>),
    Not(Box<Node>),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    If(Box<[Node; 3]>),
    Compare(Comparison, Box<[Node; 2]>),
    Calculate(Calculation, Box<[Node; 2]>),
    Negate(Box<Node>),
    In(Box<[Node; 2]>),
    /// `in` for a constant list of texts, so many that a table is worth its hash.
    InTexts(Box<Node>, HashSet<Arc<str>>),
    /// `has`, with the object that should hold the member, where that may be missing too: then CEL has an error.
    HasSlot {
        slot: usize,
        parent: Option<usize>,
    },
    HasParam {
        param: usize,
        parent: Option<usize>,
    },
    HasMember(Box<Node>, Box<str>),
    /// `exists` and `all`.
    Each {
        every: bool,
        range: Box<Node>,
        body: Box<Node>,
    },
    /// `exists_one`.
    One {
        range: Box<Node>,
        body: Box<Node>,
    },
    /// `map` and `filter`: the elements that meet `body`, each as `made` of it, or as it is.
    Collect {
        range: Box<Node>,
        body: Option<Box<Node>>,
        made: Option<Box<Node>>,
    },
    Test(TextTest, Box<[Node; 2]>),
    Matches(Box<Node>, regex::Regex),
    IpIn(Box<Node>, Box<[IpNet]>),
    Convert(Conversion, Box<Node>),
    Part(Part, TimeZone, Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

/// What a condition is evaluated over.
pub(super) struct Env<'e> {
    slots: &'e [Slot],
    params: &'e Params,
    steps: Cell<u32>,
}

/// The variables of the macros around a part, innermost first.
#[derive(Clone, Copy)]
struct Scope<'e> {
    value: &'e Value,
    outer: Option<&'e Scope<'e>>,
}

/// A value, borrowed where it stands somewhere already.
enum Out<'e> {
    Ref(&'e Value),
    Own(Value),
}

impl<'e> Env<'e> {
    pub(super) fn new(slots: &'e [Slot], params: &'e Params) -> Self {
        Self { slots, params, steps: Cell::new(MAX_STEPS) }
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.steps.get() == 0
    }

    fn spend(&self, steps: usize) -> Result<(), Fault> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.steps.get().checked_sub(steps));
        self.steps.set(left.unwrap_or(0));
        if self.is_exhausted() { Err(Fault::Exhausted) } else { Ok(()) }
    }

    #[inline]
    fn slot(&self, index: usize) -> Result<&'e Value, Fault> {
        match self.slots.get(index) {
            Some(Slot::Found(value)) => Ok(value),
            Some(Slot::Missing) | None => Err(Fault::Missing),
            Some(Slot::Ambiguous) => Err(Fault::Ambiguous),
        }
    }

    #[inline]
    fn param(&self, index: usize) -> Result<&'e Value, Fault> {
        self.params.get(index).ok_or(Fault::Missing)
    }
}

impl AsRef<Value> for Out<'_> {
    fn as_ref(&self) -> &Value {
        match self {
            Self::Ref(value) => value,
            Self::Own(value) => value,
        }
    }
}

impl Out<'_> {
    /// The memory of a text that was made here.
    fn own_bytes(&self) -> usize {
        match self {
            Self::Own(Value::Text(text)) => text.len(),
            Self::Own(_) | Self::Ref(_) => 0,
        }
    }

    fn into_value(self) -> Value {
        match self {
            Self::Ref(value) => value.clone(),
            Self::Own(value) => value,
        }
    }
}

impl Node {
    /// The truth value of a whole condition.
    pub(super) fn truth(&self, env: &Env<'_>) -> Result<bool, Fault> {
        self.test(env, None)
    }

    /// The value of a part that reads nothing, for folding constants.
    pub(super) fn fold(&self) -> Result<Value, Fault> {
        self.value(&Env::new(&[], &Params::default()), None).map(Out::into_value)
    }

    fn test(&self, env: &Env<'_>, scope: Option<&Scope<'_>>) -> Result<bool, Fault> {
        match self {
            Self::Not(part) => part.test(env, scope).map(|truth| !truth),
            Self::And(parts) => any_or_all(true, parts, |part| part.test(env, scope)),
            Self::Or(parts) => any_or_all(false, parts, |part| part.test(env, scope)),
            Self::If(parts) => {
                let [when, then, otherwise] = &**parts;
                if when.test(env, scope)? { then.test(env, scope) } else { otherwise.test(env, scope) }
            }
            Self::Compare(comparison, sides) => {
                let [a, b] = &**sides;
                match (a.leaf(env, scope), b.leaf(env, scope)) {
                    (Some(a), Some(b)) => comparison.holds(a?, b?, env),
                    _ => comparison.holds(a.value(env, scope)?.as_ref(), b.value(env, scope)?.as_ref(), env),
                }
            }
            Self::In(sides) => {
                let [wanted, list] = &**sides;
                is_in(wanted, list, env, scope)
            }
            Self::InTexts(part, texts) => match part.value(env, scope)?.as_ref() {
                Value::Text(text) => Ok(texts.contains(text)),
                Value::Null => Ok(false),
                _ => Err(Fault::Type),
            },
            Self::HasSlot { slot, parent } => match (env.slot(*slot), parent) {
                (Err(Fault::Missing), Some(parent)) => absent_from(env.slot(*parent)?),
                (found, _) => present(found),
            },
            Self::HasParam { param, parent } => match (env.param(*param), parent) {
                (Err(Fault::Missing), Some(parent)) => absent_from(env.param(*parent)?),
                (found, _) => present(found),
            },
            Self::HasMember(part, name) => match part.value(env, scope)?.as_ref() {
                map @ Value::Map(members) => {
                    env.spend(members.len())?;
                    Ok(map.member(name).is_ok())
                }
                _ => Err(Fault::Type),
            },
            Self::Each { every, range, body } => each(*every, range, body, env, scope),
            Self::One { range, body } => one(range, body, env, scope),
            Self::Test(test, sides) => {
                let (a, b) = both(sides, env, scope)?;
                let (text, part) = (as_text(a.as_ref())?, as_text(b.as_ref())?);
                env.spend(1 + text.len() / 64)?;
                Ok(test.holds(text, part))
            }
            Self::Matches(part, pattern) => {
                let value = part.value(env, scope)?;
                let text = as_text(value.as_ref())?;
                env.spend(1 + text.len() / 4)?;
                Ok(pattern.is_match(text))
            }
            Self::IpIn(part, networks) => {
                let value = part.value(env, scope)?;
                let ip: IpAddr = as_text(value.as_ref())?.parse().map_err(|_| Fault::Conversion)?;
                Ok(networks.iter().any(|network| network.contains(&ip.to_canonical())))
            }
            _ => match self.leaf(env, scope) {
                Some(value) => as_truth(value?),
                None => as_truth(self.value(env, scope)?.as_ref()),
            },
        }
    }

    /// A value that stands somewhere already: most of what conditions compare, without the way through
    /// [`Node::value`].
    #[inline]
    fn leaf<'s>(&'s self, env: &Env<'s>, scope: Option<&Scope<'s>>) -> Option<Result<&'s Value, Fault>> {
        match self {
            Self::Const(value) => Some(Ok(value)),
            Self::Slot(index) => Some(env.slot(*index)),
            Self::Param(index) => Some(env.param(*index)),
            Self::Local(depth) => Some(local(*depth, scope)),
            _ => None,
        }
    }

    fn value<'s>(&'s self, env: &Env<'s>, scope: Option<&Scope<'s>>) -> Result<Out<'s>, Fault> {
        if let Some(leaf) = self.leaf(env, scope) {
            return leaf.map(Out::Ref);
        }
        Ok(match self {
            Self::Member(part, name) => {
                let part = part.value(env, scope)?;
                if let Value::Map(members) = part.as_ref() {
                    env.spend(members.len())?;
                }
                within(part, |value| value.member(name))?
            }
            Self::Index(parts) => {
                let (list, index) = both(parts, env, scope)?;
                within(list, |list| index_of(list, index.as_ref(), env))?
            }
            Self::List(parts) => {
                let elements = parts.iter().map(|part| part.value(env, scope).map(Out::into_value));
                Out::Own(Value::List(elements.collect::<Result<_, _>>()?))
            }
            Self::Collect { range, body, made } => {
                Out::Own(collect(range, body.as_deref(), made.as_deref(), env, scope)?)
            }
            Self::If(parts) => {
                let [when, then, otherwise] = &**parts;
                let branch = if when.test(env, scope)? { then } else { otherwise };
                branch.value(env, scope)?
            }
            Self::Calculate(calculation, sides) => {
                let (a, b) = both(sides, env, scope)?;
                Out::Own(calculation.of(a.as_ref(), b.as_ref())?)
            }
            Self::Negate(part) => {
                Out::Own(Calculation::Subtract.of(&Value::Int(0), part.value(env, scope)?.as_ref())?)
            }
            Self::Convert(conversion, part) => {
                let value = part.value(env, scope)?;
                if let Value::Text(text) = value.as_ref() {
                    env.spend(1 + text.len() / 64)?;
                }
                match conversion.of(value.as_ref())? {
                    Some(converted) => Out::Own(converted),
                    None => value,
                }
            }
            Self::Part(which, zone, part) => {
                Out::Own(Value::Int(which.of(part.value(env, scope)?.as_ref(), zone)?))
            }
            _ => Out::Own(Value::Bool(self.test(env, scope)?)),
        })
    }
}

fn both<'s>(
    sides: &'s [Node; 2],
    env: &Env<'s>,
    scope: Option<&Scope<'s>>,
) -> Result<(Out<'s>, Out<'s>), Fault> {
    let [a, b] = sides;
    Ok((a.value(env, scope)?, b.value(env, scope)?))
}

/// `&&` (`every`) and `||`: the deciding value decides wherever it stands; else an error, if there was one.
fn any_or_all<T>(
    every: bool,
    parts: impl IntoIterator<Item = T>,
    mut test: impl FnMut(T) -> Result<bool, Fault>,
) -> Result<bool, Fault> {
    let mut fault = None;
    for part in parts {
        match test(part) {
            Ok(truth) if truth != every => return Ok(truth),
            Ok(_) => {}
            Err(Fault::Exhausted) => return Err(Fault::Exhausted),
            Err(reason) => fault = Some(reason),
        }
    }
    fault.map_or(Ok(every), Err)
}

fn each(
    every: bool,
    range: &Node,
    body: &Node,
    env: &Env<'_>,
    scope: Option<&Scope<'_>>,
) -> Result<bool, Fault> {
    let range = range.value(env, scope)?;
    let test = |value: &Value| {
        env.spend(1)?;
        body.test(env, Some(&Scope { value, outer: scope }))
    };
    match range.as_ref() {
        Value::List(elements) => any_or_all(every, elements.iter(), test),
        Value::Map(members) => {
            any_or_all(every, members.iter(), |(name, _)| test(&Value::Text(Arc::clone(name))))
        }
        _ => Err(Fault::Type),
    }
}

/// Calls for every element of a list, every name of an object. Unlike `exists` and `all`, the other macros absorb no
/// error.
fn over(
    range: &Node,
    env: &Env<'_>,
    scope: Option<&Scope<'_>>,
    mut visit: impl FnMut(&Value, &Scope<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let range = range.value(env, scope)?;
    let mut visit = |value: &Value| {
        env.spend(1)?;
        visit(value, &Scope { value, outer: scope })
    };
    match range.as_ref() {
        Value::List(elements) => elements.iter().try_for_each(&mut visit),
        Value::Map(members) => members.iter().try_for_each(|(name, _)| visit(&Value::Text(Arc::clone(name)))),
        _ => Err(Fault::Type),
    }
}

fn one(range: &Node, body: &Node, env: &Env<'_>, scope: Option<&Scope<'_>>) -> Result<bool, Fault> {
    let mut met = 0usize;
    over(range, env, scope, |_, scope| {
        met += usize::from(body.test(env, Some(scope))?);
        Ok(())
    })?;
    Ok(met == 1)
}

fn collect(
    range: &Node,
    body: Option<&Node>,
    made: Option<&Node>,
    env: &Env<'_>,
    scope: Option<&Scope<'_>>,
) -> Result<Value, Fault> {
    let mut all = Vec::new();
    over(range, env, scope, |value, scope| {
        if body.map_or(Ok(true), |body| body.test(env, Some(scope)))? {
            let element = match made {
                Some(made) => made.value(env, Some(scope))?,
                None => Out::Ref(value),
            };
            // What is kept costs memory as well as time.
            env.spend(STEPS_PER_ELEMENT + element.own_bytes() / BYTES_PER_STEP)?;
            all.push(element.into_value());
        }
        Ok(())
    })?;
    Ok(Value::List(all.into()))
}

/// `in`: true if an element is equal; else an error if one could not be compared.
fn is_in(wanted: &Node, list: &Node, env: &Env<'_>, scope: Option<&Scope<'_>>) -> Result<bool, Fault> {
    let wanted = wanted.value(env, scope)?;
    let wanted = wanted.as_ref();
    if let Node::List(parts) = list {
        return any_or_all(false, parts, |part| {
            Comparison::Equal.holds(wanted, part.value(env, scope)?.as_ref(), env)
        });
    }
    match list.value(env, scope)?.as_ref() {
        Value::List(elements) => {
            env.spend(1 + elements.len() / 4)?;
            any_or_all(false, elements.iter(), |element| wanted.equals(element))
        }
        map @ Value::Map(members) => {
            env.spend(1 + members.len() / 4)?;
            Ok(map.member(as_text(wanted)?).is_ok())
        }
        _ => Err(Fault::Type),
    }
}

fn index_of<'v>(list: &'v Value, index: &Value, env: &Env<'_>) -> Result<&'v Value, Fault> {
    match (list, index) {
        (Value::List(elements), Value::Int(index)) => {
            usize::try_from(*index).ok().and_then(|index| elements.get(index)).ok_or(Fault::Overflow)
        }
        (Value::Map(members), Value::Text(name)) => {
            env.spend(members.len())?;
            list.member(name)
        }
        _ => Err(Fault::Type),
    }
}

fn local<'s>(depth: usize, mut scope: Option<&Scope<'s>>) -> Result<&'s Value, Fault> {
    for _ in 0..depth {
        scope = scope.and_then(|scope| scope.outer);
    }
    scope.map(|scope| scope.value).ok_or(Fault::Missing)
}

/// A part of a value: borrowed if the value was.
fn within<'s>(
    value: Out<'s>,
    part: impl for<'v> FnOnce(&'v Value) -> Result<&'v Value, Fault>,
) -> Result<Out<'s>, Fault> {
    Ok(match value {
        Out::Ref(value) => Out::Ref(part(value)?),
        Out::Own(value) => Out::Own(part(&value)?.clone()),
    })
}

fn present(found: Result<&Value, Fault>) -> Result<bool, Fault> {
    match found {
        Ok(_) => Ok(true),
        Err(Fault::Missing) => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// A member was not found: `has` is false if there is an object that could have it.
fn absent_from(parent: &Value) -> Result<bool, Fault> {
    match parent {
        Value::Map(_) => Ok(false),
        _ => Err(Fault::Type),
    }
}

fn as_truth(value: &Value) -> Result<bool, Fault> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        _ => Err(Fault::Type),
    }
}

fn as_text(value: &Value) -> Result<&str, Fault> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err(Fault::Type),
    }
}

impl Comparison {
    fn holds(self, a: &Value, b: &Value, env: &Env<'_>) -> Result<bool, Fault> {
        if let (Value::Text(a), Value::Text(b)) = (a, b) {
            env.spend(a.len().min(b.len()) / 256)?;
        }
        match self {
            Self::Equal => a.equals(b),
            Self::NotEqual => a.equals(b).map(|equal| !equal),
            Self::Less => Ok(a.compare(b)? == Ordering::Less),
            Self::LessOrEqual => Ok(a.compare(b)? != Ordering::Greater),
            Self::Greater => Ok(a.compare(b)? == Ordering::Greater),
            Self::GreaterOrEqual => Ok(a.compare(b)? != Ordering::Less),
        }
    }
}

impl TextTest {
    fn holds(self, text: &str, part: &str) -> bool {
        match self {
            Self::StartsWith => text.starts_with(part),
            Self::EndsWith => text.ends_with(part),
            Self::Contains => memchr::memmem::find(text.as_bytes(), part.as_bytes()).is_some(),
        }
    }
}

/// What one evaluation may cost: a step is an element of a list tried, or some 64 bytes of text searched.
const MAX_STEPS: u32 = 1 << 20;
/// What an element that `map` or `filter` keeps counts for: all that one evaluation keeps stays within a few megabytes.
const STEPS_PER_ELEMENT: usize = 16;
/// Bytes of a text in such an element that count as much as a step.
const BYTES_PER_STEP: usize = 8;
