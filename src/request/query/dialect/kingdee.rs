//! Filter and order texts of Kingdee K3Cloud: the condition of an SQL `WHERE`, and an `ORDER BY` list.
//!
//! ```text
//! or     = and { "or" and }
//! and    = not { "and" not }
//! not    = "not" not | "(" or ")" | test
//! test   = value sign value | field [ "not" ] "like" text | field [ "not" ] "in" "(" value { "," value } ")"
//!        | field "is" [ "not" ] "null" | field [ "not" ] "between" value "and" value
//! value  = field | number | text | "{ts" text "}" | "{d" text "}"
//! sign   = "=" | "<>" | "!=" | "<" | "<=" | ">" | ">="
//! order  = field [ "asc" | "desc" ] { "," field [ "asc" | "desc" ] }
//! ```
//!
//! No functions, no arithmetic, no selections within: none of them is needed to filter by a field, and each of them
//! is a way to ask about another one. Texts go on in brackets that say how they were read.

use crate::policy::QueryFields;

use super::Language;
use super::scan::{Token, tokens};

/// The dialect.
pub(super) struct Kingdee;

impl Language for Kingdee {
    fn filter(&self, fields: &QueryFields, text: &str) -> Option<String> {
        let mut parser = Parser::of(fields, text)?;
        if parser.rest.is_empty() {
            return Some(String::new());
        }
        let condition = parser.either(0)?;
        parser.rest.is_empty().then_some(condition)
    }

    fn order(&self, fields: &QueryFields, text: &str) -> Option<String> {
        let mut parser = Parser::of(fields, text)?;
        if parser.rest.is_empty() {
            return Some(String::new());
        }
        let mut keys = Vec::new();
        loop {
            let field = parser.field()?;
            let direction = ["asc", "desc"].into_iter().find(|word| parser.keyword(word));
            keys.push(
                direction.map_or_else(|| field.clone(), |word| format!("{field} {}", word.to_uppercase())),
            );
            if parser.rest.is_empty() {
                return Some(keys.join(","));
            }
            parser.sign(",")?;
        }
    }
}

struct Parser<'f> {
    fields: &'f QueryFields,
    /// In reverse.
    rest: Vec<Token>,
}

impl<'f> Parser<'f> {
    fn of(fields: &'f QueryFields, text: &str) -> Option<Self> {
        let mut rest = tokens(text, &SIGNS)?;
        rest.reverse();
        Some(Self { fields, rest })
    }

    fn either(&mut self, depth: usize) -> Option<String> {
        self.joined("or", depth, Self::both)
    }

    fn both(&mut self, depth: usize) -> Option<String> {
        self.joined("and", depth, Self::negated)
    }

    fn joined(
        &mut self,
        word: &str,
        depth: usize,
        part: fn(&mut Self, usize) -> Option<String>,
    ) -> Option<String> {
        let mut parts = vec![part(self, depth)?];
        while self.keyword(word) {
            parts.push(part(self, depth)?);
        }
        let one = parts.len() == 1;
        let text = parts.join(&format!(" {word} "));
        Some(if one { text } else { format!("({text})") })
    }

    fn negated(&mut self, depth: usize) -> Option<String> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.keyword("not") {
            return Some(format!("not ({})", self.negated(depth + 1)?));
        }
        if self.is_sign("(") {
            self.rest.pop();
            let inner = self.either(depth + 1)?;
            self.sign(")")?;
            return Some(format!("({inner})"));
        }
        self.test()
    }

    fn test(&mut self) -> Option<String> {
        let first = self.value()?;
        if let Some(Token::Sign(sign @ ("=" | "<>" | "!=" | "<=" | "<" | ">=" | ">"))) = self.rest.last() {
            let sign = *sign;
            self.rest.pop();
            return Some(format!("{first} {sign} {}", self.value()?));
        }
        if self.keyword("is") {
            let not = if self.keyword("not") { "not " } else { "" };
            return self.keyword("null").then(|| format!("{first} is {not}null"));
        }
        let not = if self.keyword("not") { "not " } else { "" };
        if self.keyword("like") {
            let Some(Token::Text(_)) = self.rest.last() else { return None };
            return Some(format!("{first} {not}like {}", self.value()?));
        }
        if self.keyword("between") {
            let low = self.value()?;
            let high = self.keyword("and").then(|| self.value()).flatten()?;
            return Some(format!("{first} {not}between {low} and {high}"));
        }
        if self.keyword("in") {
            self.sign("(")?;
            let mut values = vec![self.value()?];
            while self.is_sign(",") {
                self.rest.pop();
                values.push(self.value()?);
            }
            self.sign(")")?;
            return Some(format!("{first} {not}in ({})", values.join(",")));
        }
        None
    }

    fn value(&mut self) -> Option<String> {
        match self.rest.last()? {
            Token::Number(_) => match self.rest.pop()? {
                Token::Number(text) => Some(text),
                Token::Name(_) | Token::Text(_) | Token::Sign(_) => None,
            },
            Token::Text(_) => self.text(),
            Token::Sign("{") => {
                self.rest.pop();
                let kind = ["ts", "d"].into_iter().find(|word| self.keyword(word))?;
                let text = self.text()?;
                self.sign("}")?;
                Some(format!("{{{kind}{text}}}"))
            }
            Token::Name(_) => self.field(),
            Token::Sign(_) => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        match self.rest.pop()? {
            Token::Text(text) => Some(format!("'{}'", text.replace('\'', "''"))),
            Token::Name(_) | Token::Number(_) | Token::Sign(_) => None,
        }
    }

    fn field(&mut self) -> Option<String> {
        match self.rest.pop()? {
            Token::Name(name) => self.fields.queryable.contains(name.as_str()).then_some(name),
            Token::Number(_) | Token::Text(_) | Token::Sign(_) => None,
        }
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found = self.rest.last().is_some_and(|token| token.is(word));
        if found {
            self.rest.pop();
        }
        found
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.rest.last(), Some(Token::Sign(found)) if *found == sign)
    }

    fn sign(&mut self, sign: &str) -> Option<()> {
        let found = self.is_sign(sign);
        self.rest.pop();
        found.then_some(())
    }
}

const SIGNS: [&str; 12] = ["<>", "!=", "<=", ">=", "<", ">", "=", "(", ")", ",", "{", "}"];
/// Deepest nesting of brackets and negations.
const MAX_DEPTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> QueryFields {
        let queryable = ["FNumber", "FName", "FCreateDate", "FCUSTID.FName", "or_no", "FAmount"];
        QueryFields { queryable: queryable.into_iter().map(Into::into).collect(), ..QueryFields::default() }
    }

    fn filter(text: &str) -> Option<String> {
        Kingdee.filter(&fields(), text)
    }

    #[test]
    fn conditions_are_read_whole_and_written_again() {
        for (given, written) in [
            ("", ""),
            ("FName='a'", "FName = 'a'"),
            ("FName like '%王''s%'", "FName like '%王''s%'"),
            ("fname='a' ", ""),
            (
                "FAmount>=-1.50 AND FName<>'x' or FNumber in ('1',2)",
                "((FAmount >= -1.50 and FName <> 'x') or FNumber in ('1',2))",
            ),
            ("NOT (FName is not null)", "not ((FName is not null))"),
            (
                "FCreateDate between {ts'2024-01-01 00:00:00'} and {d'2024-02-01'}",
                "FCreateDate between {ts'2024-01-01 00:00:00'} and {d'2024-02-01'}",
            ),
            ("FCUSTID.FName not like 'a'", "FCUSTID.FName not like 'a'"),
            ("FName = FNumber", "FName = FNumber"),
        ] {
            let expected = (given != "fname='a' ").then(|| written.to_owned());
            assert_eq!(filter(given), expected, "{given}");
            if let Some(once) = filter(given) {
                assert!(filter(&once).is_some(), "{once}");
            }
        }
    }

    /// threats.md Q01-Q06, Q19, Q22.
    #[test]
    fn hidden_fields_and_what_is_not_understood_are_refused_alike() {
        for text in [
            "FTEL like '138%'",
            "FName='a' or FTEL='1'",
            "FName='a' -- and FTEL='1'",
            "FName='a' /* */ or 1=1",
            "FName='a'; drop table x",
            "lower(FTEL)='a'",
            "lower(FName)='a'",
            "FName = (select FTEL from t)",
            "exists (select 1)",
            "FName='a",
            "FName=\"FTEL\"",
            "[FTEL]='1'",
            "FName+FTEL='1'",
            "FName='a' and",
            "and FName='a'",
            "FName",
            "FName like FTEL",
            "FName in (FTEL)",
            "FName between 'a' and FTEL",
            "FName='a'\u{0}",
            "FName=0x41",
            "FName=1e5",
            "FCUSTID.FTEL='1'",
            "case when FName='a' then 1 else 0 end = 1",
            "FName = 'a' collate x",
            "(FName='a'",
            "FName='a')",
        ] {
            assert_eq!(filter(text), None, "{text}");
        }
        assert!(filter(&format!("{}FName='a'{}", "(".repeat(33), ")".repeat(33))).is_none());
        assert!(filter(&format!("{}FName='a'{}", "(".repeat(30), ")".repeat(30))).is_some());
        assert!(filter(&format!("FName='{}'", "a".repeat(20_000))).is_none());
    }

    #[test]
    fn orders_name_only_queryable_fields() {
        let order = |text: &str| Kingdee.order(&fields(), text);
        assert_eq!(order("FNumber asc, FName DESC").as_deref(), Some("FNumber ASC,FName DESC"));
        assert_eq!(order(" ").as_deref(), Some(""));
        for text in ["FTEL", "FName,FTEL desc", "FName,", "FName up", "len(FName)", "1", "FName; x"] {
            assert_eq!(order(text), None, "{text}");
        }
    }
}
