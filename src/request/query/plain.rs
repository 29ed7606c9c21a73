//! Plain parameters: `fields=name,phone&sort=-created_at&status=active&limit=50`.
//!
//! * *select*: fields that the caller may not select are taken out, whether hidden or unknown; if none is left,
//!   refused. `*` and names ending in `.*` stay: the answer is narrowed anyway. What the records' conditions read
//!   is added.
//! * *sort*: every field must be queryable (`name`, `-name`, `+name`, `name asc`, `name:desc`, comma-separated).
//! * *filter*: the field of the parameter's name must be queryable.
//! * *page size*: a whole number from 1; above the largest allowed value it is lowered to that.
//! * *search* and *pass* parameters that the rule lists go on as they are.
//! * Everything else is refused. A parameter that is select, sort or page size may stand once only: upstreams
//!   differ in which of two they take.

use std::sync::Arc;

use crate::policy::{QueryFields, QueryRule};
use crate::rewrite::RewritePlan;

use super::super::Refused;
use super::super::refused::shown;
use super::select;

pub(super) fn guard(
    rule: &QueryRule,
    plan: &RewritePlan,
    query: &[(String, String)],
) -> Result<Vec<(String, String)>, Refused> {
    query.iter().map(|(name, value)| Ok((name.clone(), judged(rule, plan, query, name, value)?))).collect()
}

/// The value that goes on in place of `value`.
pub(super) fn judged(
    rule: &QueryRule,
    plan: &RewritePlan,
    query: &[(String, String)],
    name: &str,
    value: &str,
) -> Result<String, Refused> {
    let is = |parameter: &Option<Arc<str>>| parameter.as_deref() == Some(name);
    let listed = |parameters: &[Arc<str>]| parameters.iter().any(|parameter| parameter.as_ref() == name);
    let once = || query.iter().filter(|(other, _)| other == name).count() == 1;
    let page_size = rule.page_size.as_ref().filter(|(parameter, _)| parameter.as_ref() == name);

    let judged = if is(&rule.select) {
        once().then(|| selection(&rule.fields, plan, value)).flatten()
    } else if is(&rule.sort) {
        once().then(|| order(&rule.fields, value)).flatten()
    } else if let Some((_, largest)) = page_size {
        once().then(|| size(value, *largest)).flatten()
    } else if listed(&rule.filter) {
        rule.fields.queryable.contains(name).then(|| value.to_owned())
    } else if is(&rule.columns) {
        // The permit's columns take its place.
        once().then(|| value.to_owned())
    } else if listed(&rule.search) || listed(&rule.pass) {
        Some(value.to_owned())
    } else {
        None
    };
    judged.ok_or_else(|| Refused::Query { parameter: shown(name) })
}

pub(super) fn selection(fields: &QueryFields, plan: &RewritePlan, value: &str) -> Option<String> {
    let mut kept: Vec<String> = value
        .split(',')
        .map(str::trim)
        .filter(|name| is_selectable(fields, name))
        .map(str::to_owned)
        .collect();
    if kept.is_empty() {
        return None;
    }
    let asked_for = |place: &str| kept.iter().any(|name| covers(name, place) || covers(place, name));
    let deciding = select::deciding(plan, &asked_for);
    for name in deciding {
        if !kept.iter().any(|chosen| covers(chosen, &name)) {
            kept.push(name);
        }
    }
    Some(kept.join(","))
}

/// A declared field, something in it, or a container of declared fields; `*` for whatever there is.
pub(super) fn is_selectable(fields: &QueryFields, name: &str) -> bool {
    let mut stem = name;
    while let Some(shorter) = stem.strip_suffix(".*").or_else(|| (stem == "*").then_some("")) {
        stem = shorter;
    }
    if stem.is_empty() {
        return !name.is_empty();
    }
    fields.selectable.iter().any(|field| covers(field, stem) || covers(stem, field))
}

/// Whether `container` is `name` or something that `name` is in; by dotted names.
fn covers(container: &str, name: &str) -> bool {
    container == "*"
        || name.strip_prefix(container).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

pub(super) fn order(fields: &QueryFields, value: &str) -> Option<String> {
    let allowed = |key: &&str| sort_field(key).is_some_and(|field| fields.queryable.contains(field));
    let keys: Vec<&str> = value.split(',').map(str::trim).collect();
    keys.iter().all(allowed).then(|| keys.join(","))
}

fn sort_field(key: &str) -> Option<&str> {
    let key = key.strip_prefix(['-', '+']).unwrap_or(key);
    let Some((field, direction)) = key.split_once([' ', ':']) else { return Some(key) };
    let known = direction.eq_ignore_ascii_case("asc") || direction.eq_ignore_ascii_case("desc");
    known.then_some(field)
}

pub(super) fn size(value: &str, largest: u64) -> Option<String> {
    // Zero and negative sizes mean "all" to some upstreams.
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let size = if digits { value.parse::<u64>().unwrap_or(u64::MAX) } else { 0 };
    (size > 0).then(|| size.min(largest).to_string())
}

#[cfg(test)]
mod tests;
