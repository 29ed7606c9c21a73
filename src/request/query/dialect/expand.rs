//! `$expand` of OData version 4 (OASIS URL Conventions, section 5.1.3): related records with the records.
//!
//! ```text
//! expand  = item { "," item }
//! item    = name [ "(" option { ";" option } ")" ]
//! option  = "$select=" names | "$filter=" or | "$orderby=" keys | "$expand=" expand | "$top=" number | "$skip=" number
//! ```
//!
//! A name is a relation of the resource whose records are released by some right. Its options are judged like those of
//! the query itself, by the rights on the related resource: fields are selected from those released, what conditions
//! read is added, a filter or order names only fields to query by. A path, `*`, `$ref`, `$count`, `$levels`, `$search`,
//! `$apply` and `$compute` are refused, and so is an option given twice.

use crate::policy::{QueryFields, QueryRule};

use super::super::plain;
use super::Language;
use super::odata::OData;

/// The text that goes on in place of `text`.
pub(super) fn judged(rule: &QueryRule, text: &str) -> Option<String> {
    if text.len() > MAX_TEXT_BYTES {
        return None;
    }
    Judge { rule, items: 0 }.expand(&rule.fields, text, 0)
}

struct Judge<'r> {
    rule: &'r QueryRule,
    /// Relations named so far.
    items: usize,
}

impl Judge<'_> {
    fn expand(&mut self, fields: &QueryFields, text: &str, depth: usize) -> Option<String> {
        if depth >= MAX_DEPTH {
            return None;
        }
        let mut written: Vec<String> = Vec::new();
        let mut names = Vec::new();
        for item in split(text, ',')? {
            self.items += 1;
            let item = item.trim();
            let (name, options) = match item.split_once('(') {
                Some((name, rest)) => (name.trim_end(), Some(rest.strip_suffix(')')?)),
                None => (item, None),
            };
            if self.items > MAX_ITEMS || names.contains(&name) {
                return None;
            }
            names.push(name);
            let related = fields.relations.get(name).and_then(|at| self.rule.related.get(*at))?;
            written.push(match options {
                Some(options) => format!("{name}({})", self.options(related, options, depth)?),
                None => name.to_owned(),
            });
        }
        Some(written.join(","))
    }

    fn options(&mut self, fields: &QueryFields, text: &str, depth: usize) -> Option<String> {
        let mut written = Vec::new();
        let mut names = Vec::new();
        for option in split(text, ';')? {
            let (name, value) = option.split_once('=')?;
            let (name, value) = (name.trim(), value.trim());
            if names.contains(&name) {
                return None;
            }
            names.push(name);
            let most = self.rule.page_size.as_ref().map_or(u64::MAX, |(_, most)| *most);
            let judged = match name {
                "$select" => select(fields, value),
                "$filter" => OData.filter(fields, value),
                "$orderby" => OData.order(fields, value),
                "$expand" => self.expand(fields, value, depth + 1),
                "$top" => plain::size(value, most),
                "$skip" => value.parse::<u32>().ok().map(|count| count.to_string()),
                _ => None,
            };
            written.push(format!("{name}={}", judged?));
        }
        Some(written.join(";"))
    }
}

/// Fields that are not released are taken out, whether hidden or unknown; with none left it is refused.
fn select(fields: &QueryFields, value: &str) -> Option<String> {
    let mut kept: Vec<&str> = Vec::new();
    for name in value.split(',').map(str::trim) {
        // A name, or a path of names: brackets, quotes and signs belong to other options.
        let plain =
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '/' | '.'));
        if !plain && name != "*" {
            return None;
        }
        if plain::is_selectable(fields, &name.replace('/', ".")) && !kept.contains(&name) {
            kept.push(name);
        }
    }
    if kept.is_empty() {
        return None;
    }
    if !kept.contains(&"*") {
        let needed = fields.needs.iter().map(AsRef::as_ref);
        let missing: Vec<_> = needed.filter(|name| !kept.contains(name)).collect();
        kept.extend(missing);
    }
    Some(kept.join(","))
}

/// The pieces between separators that stand in no bracket and no text. `None`: a bracket or a text is not closed.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut pieces, mut from, mut depth, mut quoted) = (Vec::new(), 0, 0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            // Two quotes in a text stand for one: it ends and begins again.
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            c if c == separator && depth == 0 => {
                pieces.push(text.get(from..at)?);
                from = at + c.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(text.get(from..)?);
    (depth == 0 && !quoted).then_some(pieces)
}

const MAX_TEXT_BYTES: usize = 16 << 10;
/// Deepest expansion within expansions.
const MAX_DEPTH: usize = 3;
/// Most relations named in one text.
const MAX_ITEMS: usize = 32;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Customers with an owner and contacts; the owner has a boss, who is a person, too.
    fn rule() -> QueryRule {
        let texts = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
        let relations =
            |names: &[(&str, usize)]| names.iter().map(|(name, at)| (Arc::from(*name), *at)).collect();
        let person = QueryFields {
            queryable: texts(&["name"]),
            selectable: texts(&["name", "phone", "boss"]),
            relations: relations(&[("boss", 0)]),
            needs: texts(&["team"]),
        };
        let contact =
            QueryFields { queryable: texts(&["id"]), selectable: texts(&["id"]), ..Default::default() };
        let fields =
            QueryFields { relations: relations(&[("owner", 0), ("contacts", 1)]), ..Default::default() };
        QueryRule {
            fields: Arc::new(fields),
            related: vec![Arc::new(person), Arc::new(contact)],
            page_size: Some(("$top".into(), 50)),
            ..QueryRule::default()
        }
    }

    #[test]
    fn related_records_are_asked_for_under_their_own_rights() {
        for (given, written) in [
            ("owner", "owner"),
            ("owner,contacts", "owner,contacts"),
            ("owner($select=name,salary)", "owner($select=name,team)"),
            ("owner($select=*)", "owner($select=*)"),
            (
                "owner($filter=name eq 'a;b,(''c';$orderby=name desc;$top=900;$skip=5),contacts($select=id)",
                "owner($filter=name eq 'a;b,(''c';$orderby=name desc;$top=50;$skip=5),contacts($select=id)",
            ),
            (
                "owner($expand=boss($expand=boss($select=name)))",
                "owner($expand=boss($expand=boss($select=name,team)))",
            ),
        ] {
            assert_eq!(judged(&rule(), given).as_deref(), Some(written), "{given}");
            assert!(judged(&rule(), written).is_some(), "{written}");
        }
    }

    /// threats.md Q06, Q07, Q22.
    #[test]
    fn what_is_hidden_or_not_read_is_refused() {
        for text in [
            "",
            "*",
            "boss",
            "Owner",
            "owner/boss",
            "owner/$ref",
            "owner/$count",
            "contacts/any(c:c/phone eq '1')",
            "owner()",
            "owner($select=salary)",
            "owner($select=)",
            "owner($select=name;$select=phone)",
            "owner($filter=phone eq '1')",
            "owner($filter=salary gt 1)",
            "owner($filter=startswith(phone,'1'))",
            "owner($filter=boss/salary gt 1)",
            "owner($orderby=phone)",
            "contacts($orderby=name)",
            "contacts($expand=owner)",
            "owner($expand=owner)",
            "owner($expand=boss($filter=phone eq '1'))",
            "owner($expand=boss($expand=boss($expand=boss)))",
            "owner($count=true)",
            "owner($levels=max)",
            "owner($levels=2)",
            "owner($search=x)",
            "owner($apply=aggregate(salary with max as m))",
            "owner($compute=salary as s)",
            "owner(select=name)",
            "owner($Select=name)",
            "owner($top=0)",
            "owner($top=-1)",
            "owner($skip=x)",
            "owner($select=name",
            "owner$select=name)",
            "owner($select=name))",
            "owner($filter=name eq 'a)",
            "owner($select=name)(x)",
            "owner($select=name)x",
            "owner,owner",
            "owner,",
            ",owner",
            "owner($select=name;)",
            "owner;contacts",
        ] {
            assert_eq!(judged(&rule(), text), None, "{text}");
        }
        assert!(judged(&rule(), &format!("owner($filter=name eq '{}')", "a".repeat(20_000))).is_none());
        assert!(judged(&rule(), &vec!["owner"; 40].join(",")).is_none());
    }
}
