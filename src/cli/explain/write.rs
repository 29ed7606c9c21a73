//! Explanations for people.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::analysis::{Explanation, FieldExplanation, FieldVerdict, Outcome, RecordVerdict};
use crate::policy::{Foreseen, Plan, ShadowEffect};

/// What the policy could give, whatever the records hold.
pub(super) fn policy(
    explanation: &Explanation,
    unmasks: &BTreeMap<Arc<str>, Arc<str>>,
    out: &mut impl io::Write,
) -> io::Result<()> {
    writeln!(out, "{}", explanation.route)?;
    let roles: Vec<_> = explanation.roles.iter().map(AsRef::as_ref).collect();
    writeln!(out, "roles: {}", roles.join(", "))?;
    for (mask, role) in unmasks {
        writeln!(out, "may have values of `{mask}` turned back, by roles.{role}.unmask")?;
    }
    writeln!(out, "considered:")?;
    for (name, place) in &explanation.considered {
        writeln!(out, "  {name}{}", in_brackets(place.as_ref()))?;
    }
    let width = explanation.fields.iter().map(|field| field.name.chars().count()).max().unwrap_or(0);
    for field in &explanation.fields {
        for (index, line) in lines(field).iter().enumerate() {
            let name = if index == 0 { field.name.as_str() } else { "" };
            writeln!(out, "  {name:width$}  {line}")?;
        }
    }
    Ok(())
}

/// Why a request that the policy allows would not be sent, and what the route would have to say.
pub(super) fn refused(reason: &str, out: &mut impl io::Write) -> io::Result<()> {
    writeln!(out, "refused: {}", plain(reason))?;
    if let Some(help) = help(reason) {
        writeln!(out, "  {help}")?;
    }
    writeln!(out)
}

/// What a route says so that something like this is not refused.
pub(super) fn help(reason: &str) -> Option<&'static str> {
    HELP.iter().find(|(starts, _)| reason.starts_with(starts)).map(|(_, help)| *help)
}

/// What the rules in shadow would have made of it.
pub(super) fn shadow(foreseen: Option<&Foreseen>, plan: &Plan, out: &mut impl io::Write) -> io::Result<()> {
    let Some(found) = foreseen else { return Ok(()) };
    let says = match found.effect {
        ShadowEffect::Same => "the rules in shadow would change nothing",
        ShadowEffect::Refuse => "the rules in shadow would refuse it",
        ShadowEffect::Allow => "the rules in shadow would allow it",
        ShadowEffect::Change => "the rules in shadow would change what comes out",
        ShadowEffect::Unknown => "what the rules in shadow would make of it cannot be said",
    };
    let reason = found.reason.as_ref().filter(|_| found.effect == ShadowEffect::Refuse);
    writeln!(out, "{says}{}", reason.map_or_else(String::new, |reason| format!(": {reason}")))?;
    for name in &found.rules {
        writeln!(out, "  {name}{}", in_brackets(plan.place_of(name)))?;
    }
    for change in &found.difference.fields {
        writeln!(out, "  {}", plain(&change.to_string()))?;
    }
    for (resource, change) in &found.difference.records {
        writeln!(out, "  {resource}: {} records", change.name())?;
    }
    Ok(())
}

fn lines(field: &FieldExplanation) -> Vec<String> {
    if field.guarded {
        return vec!["hidden by a guard".to_owned()];
    }
    if field.reasons.is_empty() {
        return vec!["hidden: no permission releases it".to_owned()];
    }
    let reasons = field.reasons.iter().map(|reason| {
        let records = reason.records.as_ref().map_or_else(String::new, |records| format!(" where {records}"));
        format!("{} by {}{}{records}", reason.gives, reason.permission, in_brackets(reason.place.as_ref()))
    });
    reasons.collect()
}

/// What became of every record and value of one answer.
pub(super) fn records(records: &[RecordVerdict], out: &mut impl io::Write) -> io::Result<()> {
    if records.is_empty() {
        writeln!(out, "\nthe answer holds no records")?;
    }
    records.iter().try_for_each(|found| record(found, out))
}

fn record(record: &RecordVerdict, out: &mut impl io::Write) -> io::Result<()> {
    let fate = if record.released { "released" } else { "not released: no permission applies to it" };
    writeln!(out, "\n{} `{}`: {fate}", plain(&record.place), record.resource)?;
    for permission in &record.permissions {
        let records = permission.records.as_ref().map_or_else(String::new, |text| format!(" where {text}"));
        let applies = if permission.applies { "applies" } else { "not met" };
        writeln!(out, "  {applies}  {}{}{records}", permission.name, in_brackets(permission.place.as_ref()))?;
    }
    if record.released {
        let width = record.fields.iter().map(|field| plain(&field.path).chars().count()).max().unwrap_or(0);
        for field in &record.fields {
            writeln!(out, "    {:width$}  {}", plain(&field.path), verdict(field))?;
        }
    }
    record.related.iter().try_for_each(|related| self::record(related, out))
}

fn verdict(field: &FieldVerdict) -> String {
    let by: Vec<_> =
        field.by.iter().map(|(name, place)| format!("{name}{}", in_brackets(place.as_ref()))).collect();
    let by = by.join(", ");
    match &field.outcome {
        Outcome::Shown => format!("shown by {by}"),
        Outcome::Masked(mask) => format!("masked as `{mask}` by {by}"),
        Outcome::Guarded => format!("hidden by {by}"),
        Outcome::NotGiven if by.is_empty() => "hidden by default: no permission releases it".to_owned(),
        Outcome::NotGiven => {
            format!("hidden by default: {by} would release it, and does not apply to this record")
        }
        Outcome::Unlabelled => match &field.meant {
            Some(labelled) => {
                format!("hidden by default: nobody labelled it (`{labelled}` is labelled; lists need `[*]`)")
            }
            None => "hidden by default: nobody labelled it".to_owned(),
        },
    }
}

fn in_brackets(place: Option<&Arc<str>>) -> String {
    place.map_or_else(String::new, |place| format!(" ({place})"))
}

/// Names of members are the upstream's; the terminal sees text.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// By how reasons start.
const HELP: [(&str, &str); 4] = [
    (
        "query parameter",
        "a parameter is listed under `query` of the route: `select`, `sort`, `filter`, `search` or `page_size` if it names \
         or asks about fields (which must be shown in clear on every record), `pass` if it does neither",
    ),
    (
        "the operation takes no body",
        "a route whose body sets fields says where: `body: $`; one whose body asks says which parts, under `query`",
    ),
    ("the body's type", "a route reads bodies without a content type of JSON if it says `body_as`"),
    ("fields are not editable", "a permission lists what may be set under `fields: { edit: […] }`"),
];
