//! OData version 4 (OASIS URL Conventions, section 5.1): `$filter` and `$orderby`, and `$expand` with both within.
//!
//! ```text
//! or       = and { "or" and }
//! and      = test { "and" test }
//! test     = "not" test | sum [ compare sum | "in" "(" sum { "," sum } ")" ]
//! sum      = term { ( "add" | "sub" ) term }
//! term     = value { ( "mul" | "div" | "divby" | "mod" ) value }
//! value    = "(" or ")" | literal | function "(" [ or { "," or } ] ")" | path
//! path     = [ variable "/" ] name { "/" name } [ "/" ( "any" | "all" ) "(" [ variable ":" or ] ")" ]
//! compare  = "eq" | "ne" | "gt" | "ge" | "lt" | "le" | "has"
//! ```
//!
//! A path names a field: `address/city` is `address.city`, and inside `contacts/any(c:c/phone eq '1')` `c/phone` is
//! `contacts[*].phone`. Every one of them must be a field to query by. `$it`, `$root`, parameters (`@p`), casts and
//! functions that are not listed are refused.

use crate::policy::{QueryFields, QueryRule};

use super::{Language, expand};

/// The dialect.
pub(super) struct OData;

impl Language for OData {
    fn expand(&self, rule: &QueryRule, text: &str) -> Option<String> {
        expand::judged(rule, text)
    }

    fn filter(&self, fields: &QueryFields, text: &str) -> Option<String> {
        let mut parser = Parser::of(fields, text)?;
        let condition = parser.either(0)?;
        parser.rest.is_empty().then_some(condition)
    }

    fn order(&self, fields: &QueryFields, text: &str) -> Option<String> {
        let mut parser = Parser::of(fields, text)?;
        let mut keys = Vec::new();
        loop {
            let names = parser.names()?;
            let field = parser.field(&names)?;
            let direction = ["asc", "desc"].into_iter().find(|word| parser.word(word));
            keys.push(direction.map_or_else(|| field.clone(), |word| format!("{field} {word}")));
            if parser.rest.is_empty() {
                return Some(keys.join(","));
            }
            if !parser.sign(',') {
                return None;
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    /// A number, date, time or GUID, as it stands.
    Plain(String),
    /// With its quotes.
    Text(String),
    Sign(char),
}

struct Parser<'f> {
    fields: &'f QueryFields,
    /// In reverse.
    rest: Vec<Token>,
    /// Lambda variables and the lists they run over.
    variables: Vec<(String, String)>,
}

impl<'f> Parser<'f> {
    fn of(fields: &'f QueryFields, text: &str) -> Option<Self> {
        let mut rest = tokens(text)?;
        rest.reverse();
        (!rest.is_empty()).then_some(Self { fields, rest, variables: Vec::new() })
    }

    fn either(&mut self, depth: usize) -> Option<String> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut text = self.both(depth)?;
        while self.word("or") {
            text = format!("({text} or {})", self.both(depth)?);
        }
        Some(text)
    }

    fn both(&mut self, depth: usize) -> Option<String> {
        let mut text = self.test(depth)?;
        while self.word("and") {
            text = format!("({text} and {})", self.test(depth)?);
        }
        Some(text)
    }

    fn test(&mut self, depth: usize) -> Option<String> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.word("not") {
            return Some(format!("not ({})", self.test(depth + 1)?));
        }
        let left = self.sum(depth)?;
        if let Some(compare) = COMPARE.into_iter().find(|word| self.word(word)) {
            return Some(format!("{left} {compare} {}", self.sum(depth)?));
        }
        if !self.word("in") {
            return Some(left);
        }
        if !self.sign('(') {
            return None;
        }
        let mut values = vec![self.sum(depth)?];
        while self.sign(',') {
            values.push(self.sum(depth)?);
        }
        self.sign(')').then(|| format!("{left} in ({})", values.join(",")))
    }

    fn sum(&mut self, depth: usize) -> Option<String> {
        let mut text = self.term(depth)?;
        while let Some(word) = ["add", "sub"].into_iter().find(|word| self.word(word)) {
            text = format!("({text} {word} {})", self.term(depth)?);
        }
        Some(text)
    }

    fn term(&mut self, depth: usize) -> Option<String> {
        let mut text = self.value(depth)?;
        while let Some(word) = ["mul", "divby", "div", "mod"].into_iter().find(|word| self.word(word)) {
            text = format!("({text} {word} {})", self.value(depth)?);
        }
        Some(text)
    }

    fn value(&mut self, depth: usize) -> Option<String> {
        match self.rest.last()? {
            Token::Sign('(') => {
                self.rest.pop();
                let inner = self.either(depth + 1)?;
                self.sign(')').then(|| format!("({inner})"))
            }
            Token::Plain(_) | Token::Text(_) => match self.rest.pop()? {
                Token::Plain(text) | Token::Text(text) => Some(text),
                Token::Name(_) | Token::Sign(_) => None,
            },
            Token::Name(name) => {
                let behind = self.rest.iter().rev().nth(1);
                if let Some(word) = ["null", "true", "false"].into_iter().find(|word| *word == name)
                    && !matches!(behind, Some(Token::Sign('/' | '(')))
                {
                    self.rest.pop();
                    return Some(word.to_owned());
                }
                if matches!(behind, Some(Token::Sign('('))) {
                    let function = FUNCTIONS.into_iter().find(|function| *function == name)?;
                    self.rest.truncate(self.rest.len().saturating_sub(2));
                    return Some(format!("{function}({})", self.arguments(depth)?));
                }
                self.path(depth)
            }
            Token::Sign(_) => None,
        }
    }

    /// Up to the closing bracket, which is taken.
    fn arguments(&mut self, depth: usize) -> Option<String> {
        if self.sign(')') {
            return Some(String::new());
        }
        let mut arguments = vec![self.either(depth + 1)?];
        while self.sign(',') {
            arguments.push(self.either(depth + 1)?);
        }
        self.sign(')').then(|| arguments.join(","))
    }

    fn path(&mut self, depth: usize) -> Option<String> {
        let mut names = self.names()?;
        if !matches!(self.rest.last(), Some(Token::Sign('('))) {
            return self.field(&names);
        }
        let lambda = names.pop().filter(|name| matches!(name.as_str(), "any" | "all"))?;
        self.rest.pop();
        let (list, written) = (format!("{}[*]", self.dotted(&names)?), names.join("/"));
        if self.sign(')') {
            // Whether there are elements: a question about the list as a whole.
            let whole = list.strip_suffix("[*]").unwrap_or(&list);
            let known = self.is_queryable(whole) || self.is_queryable(&list);
            return (lambda == "any" && known).then(|| format!("{written}/any()"));
        }
        let Token::Name(variable) = self.rest.pop()? else { return None };
        let taken = self.variables.iter().any(|(known, _)| *known == variable);
        if taken || !self.sign(':') {
            return None;
        }
        self.variables.push((variable.clone(), list));
        let inner = self.either(depth + 1)?;
        self.variables.pop();
        self.sign(')').then(|| format!("{written}/{lambda}({variable}:{inner})"))
    }

    fn names(&mut self) -> Option<Vec<String>> {
        let mut names = Vec::new();
        loop {
            let Token::Name(name) = self.rest.pop()? else { return None };
            names.push(name);
            if !self.sign('/') {
                return Some(names);
            }
        }
    }

    /// The names as they are sent, if they are a field to query by.
    fn field(&self, names: &[String]) -> Option<String> {
        let place = self.dotted(names)?;
        // A variable by itself is an element of its list.
        let list = place.strip_suffix("[*]").filter(|_| names.len() == 1);
        let known = self.is_queryable(&place) || list.is_some_and(|list| self.is_queryable(list));
        known.then(|| names.join("/"))
    }

    fn dotted(&self, names: &[String]) -> Option<String> {
        let (first, below) = names.split_first()?;
        let variable = self.variables.iter().find(|(variable, _)| variable == first);
        let root = variable.map_or(first, |(_, list)| list);
        Some(below.iter().fold(root.clone(), |place, name| format!("{place}.{name}")))
    }

    fn is_queryable(&self, place: &str) -> bool {
        self.fields.queryable.contains(place)
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.rest.last(), Some(Token::Name(name)) if name == word);
        if found {
            self.rest.pop();
        }
        found
    }

    fn sign(&mut self, sign: char) -> bool {
        let found = self.rest.last() == Some(&Token::Sign(sign));
        if found {
            self.rest.pop();
        }
        found
    }
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    if text.len() > MAX_TEXT_BYTES {
        return None;
    }
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        let Some(first) = rest.chars().next() else { return Some(tokens) };
        if tokens.len() >= MAX_TOKENS {
            return None;
        }
        let within = |plain: fn(char) -> bool| rest.find(|c: char| !plain(c)).unwrap_or(rest.len());
        let (token, length) = match first {
            '\'' => {
                let length = quoted(rest)?;
                (Token::Text(rest.get(..length)?.to_owned()), length)
            }
            '(' | ')' | ',' | '/' | ':' => (Token::Sign(first), 1),
            c if c.is_ascii_digit() || c == '-' => {
                let length = within(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '+'));
                let literal = rest.get(..length)?;
                is_plain(literal).then(|| (Token::Plain(literal.to_owned()), length))?
            }
            c if c.is_alphabetic() || c == '_' => {
                let length = within(|c| c.is_alphanumeric() || c == '_');
                (Token::Name(rest.get(..length)?.to_owned()), length)
            }
            _ => return None,
        };
        tokens.push(token);
        rest = rest.get(length..)?;
    }
}

/// The length of a text in single quotes, where two of them stand for one.
fn quoted(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if chars.next_if(|(_, next)| *next == '\'').is_some() => {}
            '\'' => return Some(at + 1),
            c if c.is_control() => return None,
            _ => {}
        }
    }
    None
}

/// A number, a date or time, or a GUID: starts with a digit or a sign before one, and holds nothing that could be a
/// name of its own.
fn is_plain(literal: &str) -> bool {
    let number = literal.parse::<f64>().is_ok() && literal.bytes().any(|byte| byte.is_ascii_digit());
    let guid = literal.len() == 36
        && literal.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    let moment = literal.starts_with(|c: char| c.is_ascii_digit())
        && literal
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b'+' | b'T' | b'Z'));
    number || guid || moment
}

const COMPARE: [&str; 7] = ["eq", "ne", "gt", "ge", "lt", "le", "has"];
const FUNCTIONS: [&str; 23] = [
    "contains",
    "startswith",
    "endswith",
    "tolower",
    "toupper",
    "trim",
    "length",
    "indexof",
    "substring",
    "concat",
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "second",
    "date",
    "time",
    "now",
    "round",
    "floor",
    "ceiling",
    "fractionalseconds",
];
const MAX_TEXT_BYTES: usize = 16 << 10;
const MAX_TOKENS: usize = 2_048;
/// Deepest nesting of brackets, functions and negations.
const MAX_DEPTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> QueryFields {
        let queryable = ["Name", "Age", "Created", "address.city", "tags", "contacts[*].name", "ids[*]"];
        QueryFields { queryable: queryable.into_iter().map(Into::into).collect(), ..QueryFields::default() }
    }

    fn filter(text: &str) -> Option<String> {
        OData.filter(&fields(), text)
    }

    #[test]
    fn filters_are_read_whole_and_written_again() {
        for (given, written) in [
            ("Name eq 'a''b'", "Name eq 'a''b'"),
            ("Name eq 'a' or Age gt -1.5 and Age lt 3e2", "(Name eq 'a' or (Age gt -1.5 and Age lt 3e2))"),
            ("not contains(tolower(Name),'x')", "not (contains(tolower(Name),'x'))"),
            ("address/city ne null", "address/city ne null"),
            ("Created ge 2024-01-01T00:00:00.5Z", "Created ge 2024-01-01T00:00:00.5Z"),
            ("Age in (1, 2)", "Age in (1,2)"),
            ("Age add 2 mul 3 eq 7", "(Age add (2 mul 3)) eq 7"),
            ("tags/any(t:t eq 'x')", "tags/any(t:t eq 'x')"),
            ("tags/any()", "tags/any()"),
            ("ids/all(i:i gt 1)", "ids/all(i:i gt 1)"),
            (
                "contacts/any(c: c/name eq 'x' and Name eq c/name)",
                "contacts/any(c:(c/name eq 'x' and Name eq c/name))",
            ),
            ("year(Created) eq 2024", "year(Created) eq 2024"),
            ("Name eq 01234567-89ab-cdef-0123-456789abcdef", "Name eq 01234567-89ab-cdef-0123-456789abcdef"),
        ] {
            assert_eq!(filter(given).as_deref(), Some(written), "{given}");
            assert!(filter(written).is_some(), "{written}");
        }
    }

    /// threats.md Q01-Q07, Q22.
    #[test]
    fn hidden_fields_and_what_is_not_understood_are_refused_alike() {
        for text in [
            "",
            "Phone eq '1'",
            "contains(Phone,'1')",
            "startswith(concat(Name,Phone),'a1')",
            "Name eq Phone",
            "Name eq 'a' or length(Phone) gt 3",
            "contacts/any(c:c/phone eq '1')",
            "contacts/any(c:startswith(c/phone,'1'))",
            "contacts/any(c:Phone eq '1')",
            "contacts/any()",
            "contacts/any(c:contacts/any(c:c/name eq 'x'))",
            "address/zip eq '1'",
            "address eq null",
            "owner/salary gt 1",
            "$it/Phone eq '1'",
            "Name eq @p",
            "cast(Phone,Edm.String) eq '1'",
            "isof(Name,'x')",
            "geo.distance(Name,Phone) lt 1",
            "Name/Phone eq '1'",
            "Name eq 'a'; Phone eq '1'",
            "Name eq 'a",
            "(Name eq 'a'",
            "Name eq 'a')",
            "Name eq",
            "eq 'a'",
            "Name EQ 'a'",
            "Name eq 1x",
            "Name eq 'a' Phone",
            "tags/any(t:t eq 'x' and t/secret eq 1)",
            "null/any()",
        ] {
            assert_eq!(filter(text), None, "{text}");
        }
        assert!(filter(&format!("{}Age eq 1{}", "(".repeat(40), ")".repeat(40))).is_none());
        assert!(filter(&format!("{}Age eq 1{}", "(".repeat(20), ")".repeat(20))).is_some());
        assert!(filter(&format!("{}Age eq 1", "not ".repeat(40))).is_none());
        assert!(filter(&format!("Name eq '{}'", "a".repeat(20_000))).is_none());
    }

    #[test]
    fn orders_name_only_queryable_fields() {
        let order = |text: &str| OData.order(&fields(), text);
        assert_eq!(order("Name desc, address/city").as_deref(), Some("Name desc,address/city"));
        for text in ["", "Phone", "Name,Phone desc", "Name,", "Name down", "length(Name)", "tags/any()", "1"]
        {
            assert_eq!(order(text), None, "{text}");
        }
    }
}
