//! The query guard: parameters that name fields may name only those the caller may query by.
//!
//! One file for each dialect. A parameter that nobody declared is refused, and so is a field the caller may not
//! query by, in the same words as one that does not exist: the answer says nothing about hidden fields.

mod body;
mod dialect;
mod plain;
mod select;

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::policy::Permit;

use super::Refused;

pub(super) use body::guard as body;

/// The query that goes upstream: judged, and written again.
pub(super) fn guard(permit: &Permit) -> Result<Vec<(String, String)>, Refused> {
    let (rule, query) = (permit.query(), permit.operation().query());
    let mut judged = match rule.dialect {
        None => plain::guard(rule, permit.rewrite(), query),
        Some(named) => dialect::guard(named, rule, permit.rewrite(), query),
    }?;
    if let (Some(name), Some(columns)) = (&rule.columns, permit.columns()) {
        for (_, value) in judged.iter_mut().filter(|(known, _)| **known == **name) {
            *value = columns.names.join(&*columns.split);
        }
    }
    Ok(judged)
}

/// A query as it stands in a target, without the question mark. Everything but unreserved characters (RFC 3986
/// section 2.3) is escaped, so that it reads the same to every parser.
pub(super) fn serialise(query: &[(String, String)]) -> String {
    let mut text = String::new();
    for (name, value) in query {
        let separator = if text.is_empty() { "" } else { "&" };
        let (name, value) = (utf8_percent_encode(name, ESCAPED), utf8_percent_encode(value, ESCAPED));
        let _infallible = write!(text, "{separator}{name}={value}");
    }
    text
}

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_written_so_that_it_can_be_read_in_one_way_only() {
        let query = [("a b".to_owned(), "1&c=2;+%".to_owned()), ("名".to_owned(), String::new())];
        assert_eq!(serialise(&query), "a%20b=1%26c%3D2%3B%2B%25&%E5%90%8D=");
        assert_eq!(serialise(&[]), "");
    }
}
