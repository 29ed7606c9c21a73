//! Paths into JSON: RFC 9535 JSONPath, parsed by jsonpath-rust behind a guard, and the dotted form of policies.
//!
//! The dotted form is `contracts[*].amount`, `bank.account`, `lines[0].price`, `lines[-1].price`, `extra.*`,
//! `contacts[?@.type == "home"].phone`; a name that holds more
//! than letters, digits and `_ - $ @ # : /` stands in brackets as a JSON string: `["@odata.type"]`,
//! `address["street name"]`.

mod choice;
mod pattern;
#[cfg(test)]
mod tests;

use std::fmt;

use jsonpath_rust::parser::model::{Segment, Selector};
use jsonpath_rust::parser::parse_json_path;

#[cfg(any(test, fuzzing))]
pub(crate) use choice::Ambiguous;
pub use choice::{Choice, Filter};
pub(crate) use choice::{Hop, Query, Wanted};

/// A place, from the root of an answer or of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(pub Vec<Step>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// The member of an object with this (decoded) name.
    Name(Box<str>),
    /// Every element of an array: `[*]`.
    Elements,
    /// Every member of an object or element of an array: `.*` in JSONPath.
    Any,
    /// One element, from the front.
    Index(u64),
    /// Elements `start..end` by `step`, all from the front.
    Slice {
        /// First index.
        start: u64,
        /// Index after the last; `None`: to the end.
        end: Option<u64>,
        /// Stride, at least 1.
        step: u64,
    },
    /// Elements that only the whole array tells: `[-1]`, `[?@.type == "home"]`. For arrays only, like `[*]`.
    Chosen(Choice),
    /// The following step at any depth, here or below: `..`.
    Descend,
}

/// Why a path was refused, and where in its text (byte offset).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PathError {
    /// What is wrong, with help.
    pub message: String,
    /// Byte offset in the text.
    pub offset: usize,
}

/// Longest text of a path, in bytes.
const MAX_TEXT_BYTES: usize = 4096;
/// Most steps of a path.
const MAX_STEPS: usize = 128;

impl Path {
    /// Parses a JSONPath (`$.data[*]`, `$['@odata.type']`, `$..phone`). The wildcard in brackets, `[*]`, is taken
    /// for the elements of an array, as `Step::Elements`; `.*` is `Step::Any`. Several selectors in one bracket
    /// are refused, and so are filters beyond the subset of [`Filter`].
    pub fn parse_jsonpath(text: &str) -> Result<Self, PathError> {
        guard(text)?;
        let query = parse_json_path(text)
            .map_err(|error| refuse(parser_message(&error), parser_offset(text, &error)))?;
        let mut steps = Vec::new();
        let mut wildcards = Wildcards::of(text);
        for segment in &query.segments {
            push_segment(&mut steps, segment, &mut wildcards)?;
        }
        Self::bounded(steps)
    }

    /// Parses the dotted form of policies (`contracts[*].amount`, `["@odata.type"]`) with what only policies may
    /// say: `contacts[?@.type == "home"].phone`, `lines[-1].price`.
    pub fn parse_place(text: &str) -> Result<Self, PathError> {
        Self::parse_dotted(text, true)
    }

    /// Parses the dotted form as names of columns, parameters and pairs have it: whoever writes them may not let us
    /// evaluate filters.
    pub fn parse_field(text: &str) -> Result<Self, PathError> {
        Self::parse_dotted(text, false)
    }

    fn parse_dotted(text: &str, choosing: bool) -> Result<Self, PathError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(refuse(format!("path is longer than {MAX_TEXT_BYTES} bytes"), 0));
        }
        let mut fields = Fields { text, at: 0, choosing, steps: Vec::new() };
        fields.parse()?;
        Self::bounded(fields.steps)
    }

    /// A path of one member name.
    pub fn name(name: &str) -> Self {
        Self(vec![Step::Name(name.into())])
    }

    /// This path followed by `rest`.
    #[must_use]
    pub fn join(&self, rest: &Self) -> Self {
        Self(self.0.iter().chain(&rest.0).cloned().collect())
    }

    /// The dotted form of a member below it.
    pub(crate) fn dotted_below(&self, name: &str) -> String {
        let mut text = self.to_string();
        if !is_plain(name) {
            text.push_str(&Step::Name(name.into()).to_string());
            return text;
        }
        if self.0.last().is_some_and(|step| *step != Step::Descend) {
            text.push('.');
        }
        text.push_str(name);
        text
    }

    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether it names the root itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it ends in `[*]`: a list of records or related records.
    pub fn is_list(&self) -> bool {
        self.0.last() == Some(&Step::Elements)
    }

    /// Whether it names exactly one place: only names and indexes.
    pub fn is_singular(&self) -> bool {
        self.0.iter().all(|step| matches!(step, Step::Name(_) | Step::Index(_)))
    }

    /// Whether a step picks some elements of an array: an index, a slice, a filter.
    pub fn is_narrow(&self) -> bool {
        self.0.iter().any(Step::is_narrow)
    }

    /// Whether a step can only be followed on the held record: a filter, something counted from the end.
    pub fn is_chosen(&self) -> bool {
        self.0.iter().any(|step| matches!(step, Step::Chosen(_)))
    }

    /// The same with every element where it picks some.
    #[must_use]
    pub fn widened(&self) -> Self {
        let wide = |step: &Step| if step.is_narrow() { Step::Elements } else { step.clone() };
        Self(self.0.iter().map(wide).collect())
    }

    /// Whether everything at `other` is at or below this place, judged by the steps as they are written.
    pub fn is_prefix_of(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// The name of the first step, if it is one.
    pub fn first_name(&self) -> Option<&str> {
        match self.0.first() {
            Some(Step::Name(name)) => Some(name),
            _ => None,
        }
    }

    /// The same as JSONPath: `$.data[*]['@odata.type']`.
    pub fn to_jsonpath(&self) -> String {
        let mut text = String::from("$");
        for step in &self.0 {
            match step {
                Step::Name(name) if is_shorthand(name) && text.ends_with("..") => text.push_str(name),
                Step::Name(name) if is_shorthand(name) => {
                    text.push('.');
                    text.push_str(name);
                }
                Step::Any if text.ends_with("..") => text.push('*'),
                step => text.push_str(&step.to_string()),
            }
        }
        text
    }

    fn bounded(steps: Vec<Step>) -> Result<Self, PathError> {
        if steps.len() > MAX_STEPS {
            return Err(refuse(format!("path has more than {MAX_STEPS} steps"), 0));
        }
        Ok(Self(steps))
    }
}

impl Step {
    /// Whether it picks some elements of an array.
    pub fn is_narrow(&self) -> bool {
        match self {
            Self::Index(_) | Self::Slice { .. } | Self::Chosen(_) => true,
            Self::Name(_) | Self::Elements | Self::Any | Self::Descend => false,
        }
    }
}

impl fmt::Display for Path {
    /// The dotted form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut joined = true;
        for step in &self.0 {
            match step {
                Step::Name(name) if is_plain(name) => write!(f, "{}{name}", if joined { "" } else { "." })?,
                Step::Any if joined => f.write_str("*")?,
                step => step.fmt(f)?,
            }
            joined = *step == Step::Descend;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "[{}]", serde_json::Value::from(name.as_ref())),
            Self::Elements => f.write_str("[*]"),
            Self::Any => f.write_str(".*"),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Slice { start, end, step } => {
                write!(f, "[{start}:")?;
                end.map_or(Ok(()), |end| write!(f, "{end}"))?;
                if *step == 1 { f.write_str("]") } else { write!(f, ":{step}]") }
            }
            Self::Chosen(choice) => choice.fmt(f),
            Self::Descend => f.write_str(".."),
        }
    }
}

// === the JSONPath parser's guard ===

/// What jsonpath-rust lets through and RFC 9535 does not: blanks around the query and inside names.
fn guard(text: &str) -> Result<(), PathError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(refuse(format!("path is longer than {MAX_TEXT_BYTES} bytes"), 0));
    }
    if !text.starts_with('$') {
        return Err(refuse("path must start with `$`".into(), 0));
    }
    let (mut quote, mut escaped) = (None, false);
    let (mut last_name, mut blank) = (false, false);
    for (offset, c) in text.char_indices() {
        if let Some(open) = quote {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == open => quote = None,
                _ => {}
            }
            continue;
        }
        let is_name = c == '_' || c.is_ascii_alphanumeric() || !c.is_ascii();
        if is_name && last_name && blank {
            return Err(refuse("blank inside a name; quote the name: `['…']`".into(), offset));
        }
        blank = matches!(c, ' ' | '\t' | '\r' | '\n');
        if !blank {
            last_name = is_name;
        }
        quote = matches!(c, '\'' | '"').then_some(c);
    }
    if blank { Err(refuse("blank at the end of the path".into(), text.len() - 1)) } else { Ok(()) }
}

/// Tells `[*]` from `.*`, which the parser's model does not: the wildcards outside strings, in order.
struct Wildcards(std::vec::IntoIter<bool>);

impl Wildcards {
    fn of(text: &str) -> Self {
        let mut bracketed = Vec::new();
        let (mut quote, mut escaped, mut last) = (None, false, '$');
        for c in text.chars() {
            if let Some(open) = quote {
                match c {
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    c if c == open => quote = None,
                    _ => {}
                }
                continue;
            }
            match c {
                '\'' | '"' => quote = Some(c),
                '*' => bracketed.push(last == '['),
                _ => {}
            }
            if !matches!(c, ' ' | '\t' | '\r' | '\n') {
                last = c;
            }
        }
        Self(bracketed.into_iter())
    }

    fn step(&mut self) -> Step {
        if self.0.next().unwrap_or(false) { Step::Elements } else { Step::Any }
    }
}

fn push_segment(
    steps: &mut Vec<Step>,
    segment: &Segment,
    wildcards: &mut Wildcards,
) -> Result<(), PathError> {
    match segment {
        Segment::Descendant(inner) => {
            steps.push(Step::Descend);
            push_segment(steps, inner, wildcards)
        }
        Segment::Selector(selector) => {
            steps.push(selector_step(selector, wildcards)?);
            Ok(())
        }
        Segment::Selectors(_) => {
            Err(refuse("several selectors in one `[…]`; write one path for each".into(), 0))
        }
    }
}

fn selector_step(selector: &Selector, wildcards: &mut Wildcards) -> Result<Step, PathError> {
    let unsigned = |number: i64| u64::try_from(number).ok();
    match selector {
        Selector::Name(name) => Ok(Step::Name(name.as_str().into())),
        Selector::Wildcard => Ok(wildcards.step()),
        Selector::Index(index) => Ok(match unsigned(*index) {
            Some(index) => Step::Index(index),
            None => Step::Chosen(Choice::FromEnd(index.unsigned_abs())),
        }),
        Selector::Slice(start, end, step) => {
            let stride = step.unwrap_or(1);
            let forward = (unsigned(start.unwrap_or(0)), end.map(unsigned), unsigned(stride));
            match forward {
                (_, _, Some(0)) => Err(refuse("the step of a slice must not be 0".into(), 0)),
                (Some(start), None, Some(step)) => Ok(Step::Slice { start, end: None, step }),
                (Some(start), Some(Some(end)), Some(step)) => Ok(Step::Slice { start, end: Some(end), step }),
                _ => Ok(Step::Chosen(Choice::Span { start: *start, end: *end, step: stride })),
            }
        }
        Selector::Filter(filter) => match Filter::new(filter) {
            Ok(filter) => Ok(Step::Chosen(Choice::Filter(filter))),
            Err(message) => Err(refuse(message, 0)),
        },
    }
}

fn parser_message(error: &jsonpath_rust::parser::errors::JsonPathError) -> String {
    use jsonpath_rust::parser::errors::JsonPathError;
    match error {
        JsonPathError::PestError(error) => format!("not a JSONPath: {}", error.variant.message()),
        other => format!("not a JSONPath: {}", other.to_string().replace('\n', " ")),
    }
}

/// The parser's errors print as ` --> line:column`; their place type is of a crate that we do not name.
fn parser_offset(text: &str, error: &jsonpath_rust::parser::errors::JsonPathError) -> usize {
    let printed = error.to_string();
    let column = printed.split_once("--> 1:").and_then(|(_, rest)| {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<usize>().ok()
    });
    column
        .and_then(|column| text.char_indices().nth(column.saturating_sub(1)))
        .map_or(0, |(offset, _)| offset)
}

fn refuse(message: String, offset: usize) -> PathError {
    PathError { message, offset }
}

/// RFC 9535 member-name-shorthand.
fn is_shorthand(name: &str) -> bool {
    let first = |c: char| c == '_' || c.is_ascii_alphabetic() || !c.is_ascii();
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

// === the dotted form ===

/// Whether a name needs no quotes in the dotted form.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_plain_char)
}

fn is_plain_char(c: char) -> bool {
    match c {
        '_' | '-' | '$' | '@' | '#' | ':' | '/' => true,
        c if c.is_ascii() => c.is_ascii_alphanumeric(),
        c => !c.is_whitespace() && !c.is_control(),
    }
}

struct Fields<'t> {
    text: &'t str,
    at: usize,
    /// Whether filters and elements counted from the end may be named.
    choosing: bool,
    steps: Vec<Step>,
}

impl<'t> Fields<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn parse(&mut self) -> Result<(), PathError> {
        self.named()?;
        while !self.rest().is_empty() {
            match self.rest().as_bytes().first() {
                Some(b'[') => self.bracket()?,
                Some(b'.') => {
                    self.at += 1;
                    self.named()?;
                }
                _ => {
                    let c = self.rest().chars().next().unwrap_or_default();
                    let message =
                        format!("`{}` in a field path; quote such a name: `[\"…\"]`", c.escape_default());
                    return Err(refuse(message, self.at));
                }
            }
        }
        Ok(())
    }

    fn named(&mut self) -> Result<(), PathError> {
        let rest = self.rest();
        if rest.starts_with('[') {
            return self.bracket();
        }
        if rest.starts_with('*') {
            self.at += 1;
            self.steps.push(Step::Any);
            return Ok(());
        }
        let end = rest.find(|c| !is_plain_char(c)).unwrap_or(rest.len());
        let (name, _) = rest.split_at(end);
        if name.is_empty() {
            return Err(refuse("a field name is missing".into(), self.at));
        }
        self.at += end;
        self.steps.push(Step::Name(name.into()));
        Ok(())
    }

    fn bracket(&mut self) -> Result<(), PathError> {
        let open = self.at;
        self.at += 1;
        let rest = self.rest();
        let step = if rest.starts_with('"') {
            let mut texts = serde_json::Deserializer::from_str(rest).into_iter::<String>();
            let name =
                texts.next().and_then(Result::ok).ok_or_else(|| refuse("broken quoted name".into(), open))?;
            self.at += texts.byte_offset();
            Step::Name(name.into())
        } else if rest.starts_with('\'') {
            let (name, used) =
                single_quoted(rest).ok_or_else(|| refuse("broken quoted name".into(), open))?;
            self.at += used;
            Step::Name(name.into())
        } else {
            let end = bracket_end(rest).ok_or_else(|| refuse("`[` without `]`".into(), open))?;
            let (inner, _) = rest.split_at(end);
            self.at += end;
            bracket_step(inner, self.choosing, open)?
        };
        if !self.rest().starts_with(']') {
            return Err(refuse("`]` expected".into(), self.at));
        }
        self.at += 1;
        self.steps.push(step);
        Ok(())
    }
}

/// A name in single quotes (RFC 9535 section 2.3.1.1), and the bytes it took.
fn single_quoted(rest: &str) -> Option<(String, usize)> {
    let mut json = String::from("\"");
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => {
                json.push('"');
                return serde_json::from_str(&json).ok().map(|name| (name, at + 1));
            }
            '"' => json.push_str("\\\""),
            '\\' => match chars.next()?.1 {
                '\'' => json.push('\''),
                other => json.extend(['\\', other]),
            },
            c => json.push(c),
        }
    }
    None
}

/// Where the bracket that is open at the start of `rest` is closed.
fn bracket_end(rest: &str) -> Option<usize> {
    let (mut quote, mut escaped, mut open) = (None, false, 1usize);
    for (offset, c) in rest.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(close), c) if c == close => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => open += 1,
            (None, ']') if open == 1 => return Some(offset),
            (None, ']') => open -= 1,
            (None, _) => {}
        }
    }
    None
}

/// What stands in a bracket, if it is no name: as in JSONPath.
fn bracket_step(inner: &str, choosing: bool, open: usize) -> Result<Step, PathError> {
    let message = || format!("`[{inner}]` is not `[*]`, an index, a slice or a quoted name");
    let plain = inner.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'*'));
    if !plain && !choosing {
        return Err(refuse(message(), open));
    }
    let path = Path::parse_jsonpath(&format!("$[{inner}]"));
    match path.as_ref().map(|path| path.steps()) {
        Ok([step @ (Step::Elements | Step::Index(_) | Step::Slice { .. } | Step::Chosen(_))]) => {
            Ok(step.clone())
        }
        Err(error) if !error.message.starts_with("not a JSONPath") => {
            Err(refuse(error.message.clone(), open))
        }
        Ok(_) | Err(_) if choosing => {
            Err(refuse(format!("{}, nor a filter `[?@.name == …]`", message()), open))
        }
        Ok(_) | Err(_) => Err(refuse(message(), open)),
    }
}
