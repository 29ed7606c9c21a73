//! Languages of filters and orders: one file for each.
//!
//! A dialect reads a text whole, finds every field it names, and writes the text again from what it read; what it does
//! not know is refused, never forwarded. To add one: a variant of [`Dialect`] with its name, a file here, and a line
//! in [`of`].

mod expand;
mod kingdee;
mod odata;
mod scan;

use crate::policy::{Dialect, QueryFields, QueryRule};
use crate::rewrite::RewritePlan;

use super::super::Refused;
use super::super::refused::shown;
use super::plain;

/// What a dialect does.
pub(super) trait Language {
    /// A filter, written again; `None`: it names a field that may not be queried, or cannot be read.
    fn filter(&self, fields: &QueryFields, text: &str) -> Option<String>;

    /// An order, likewise.
    fn order(&self, fields: &QueryFields, text: &str) -> Option<String>;

    /// What is asked of related records, likewise.
    fn expand(&self, _rule: &QueryRule, _text: &str) -> Option<String> {
        None
    }
}

/// The language of a dialect.
pub(super) fn of(dialect: Dialect) -> &'static dyn Language {
    match dialect {
        Dialect::Kingdee => &kingdee::Kingdee,
        Dialect::OData => &odata::OData,
    }
}

/// Judges query parameters, of which some are in a dialect.
pub(super) fn guard(
    dialect: Dialect,
    rule: &QueryRule,
    plan: &RewritePlan,
    query: &[(String, String)],
) -> Result<Vec<(String, String)>, Refused> {
    let language = of(dialect);
    let mut judged = Vec::with_capacity(query.len());
    for (name, value) in query {
        let once = query.iter().filter(|(other, _)| other == name).count() == 1;
        let kept = if rule.filter.iter().any(|known| **known == **name) {
            once.then(|| language.filter(&rule.fields, value)).flatten()
        } else if rule.sort.as_deref() == Some(name) {
            once.then(|| language.order(&rule.fields, value)).flatten()
        } else if rule.expand.as_deref() == Some(name) {
            once.then(|| language.expand(rule, value)).flatten()
        } else {
            Some(plain::judged(rule, plan, query, name, value)?)
        };
        judged.push((name.clone(), kept.ok_or_else(|| Refused::Query { parameter: shown(name) })?));
    }
    Ok(judged)
}
