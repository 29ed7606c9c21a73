//! Why each record and each value of one answer is released, masked or withheld.
//!
//! Which permissions apply to a record is asked of the engine: it is given the record alone, and says whose conditions
//! it met. What an unmet guard hides, and what selectors give at a place, is asked of the plan.

mod apart;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::policy::{Permit, Plan, access_at};
use crate::rewrite::{
    Access, Csv, CutReason, Format, Grant, Layout, Path, RecordRule, Records, RewritePlan, Rewriter, RuleId,
    RuleRef, Step, csv_rows,
};

/// What became of one record, and by what.
#[derive(Clone, Debug)]
pub struct RecordVerdict {
    /// `$.data[3]`; below it for a related record.
    pub place: String,
    /// Its resource.
    pub resource: Arc<str>,
    /// Whether it is released.
    pub released: bool,
    /// The permissions that were considered.
    pub permissions: Vec<Considered>,
    /// Its values, in the order they stand.
    pub fields: Vec<FieldVerdict>,
    /// The related records in it.
    pub related: Vec<RecordVerdict>,
}

/// A permission that was considered for a record.
#[derive(Clone, Debug)]
pub struct Considered {
    /// Its name.
    pub name: Arc<str>,
    /// File and line.
    pub place: Option<Arc<str>>,
    /// The condition on the record; `None`: none.
    pub records: Option<Arc<str>>,
    /// Whether it applies to the record.
    pub applies: bool,
}

/// What becomes of one value.
#[derive(Clone, Debug)]
pub struct FieldVerdict {
    /// Where it stands in the record.
    pub path: String,
    /// What becomes of it.
    pub outcome: Outcome,
    /// What decided: permissions or guards, with file and line.
    pub by: Vec<(Arc<str>, Option<Arc<str>>)>,
    /// Where nobody labelled it: a field that is labelled and differs from it only by lists (`parts.sku`, where the answer
    /// has `parts[*].sku`).
    pub meant: Option<Arc<str>>,
}

/// What becomes of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passes.
    Shown,
    /// It is replaced by the named mask.
    Masked(Arc<str>),
    /// A guard that is not met hides it.
    Guarded,
    /// It is labelled, and none of the permissions that apply to the record gives it.
    NotGiven,
    /// Nobody labelled it.
    Unlabelled,
}

/// Why the records of an answer cannot be explained one by one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unexplained {
    /// It is not JSON.
    #[error("the answer is not JSON: {0}")]
    NotJson(String),
    /// Its rows cannot be told apart, or differ from its header.
    #[error("the answer is not a table with a header row: {0:?}")]
    NotTable(CutReason),
    /// Its records do not stand as objects or rows with a header.
    #[error("records of this format are not explained one by one")]
    Format,
    /// There are too many.
    #[error("more than {MOST_RECORDS} records")]
    TooMany,
}

/// Explains every record of an answer.
pub fn verdicts(plan: &Plan, permit: &Permit, answer: &[u8]) -> Result<Vec<RecordVerdict>, Unexplained> {
    let rewrite = permit.rewrite();
    let text = std::str::from_utf8(answer).map_err(|error| Unexplained::NotJson(error.to_string()))?;
    let text = text.trim_start_matches('\u{feff}');
    let one = |text: &str| -> Result<Box<RawValue>, Unexplained> {
        serde_json::from_str(text).map_err(|error| Unexplained::NotJson(error.to_string()))
    };
    let all = |texts: &mut dyn Iterator<Item = (String, String)>| {
        let texts = texts.take(MOST_RECORDS + 1);
        texts.map(|(place, text)| Ok((place, one(&text)?))).collect::<Result<Vec<_>, Unexplained>>()
    };
    let judge = Judge { plan, permit, rewrite };
    let (places, rule): (Vec<(String, Box<RawValue>)>, &RuleRef) =
        match (&rewrite.format, &rewrite.layout.records) {
            (_, Records::None) => return Ok(Vec::new()),
            (Format::Json, Records::One { at, rule } | Records::Many { at, rule }) => {
                let root = one(text)?;
                let found = at_path(&root, at)?.into_iter();
                (found.map(|(place, value)| (place, value.to_owned())).collect(), rule)
            }
            (Format::Ndjson, Records::Many { rule, .. }) => (all(&mut apart::lines(text))?, rule),
            (Format::JsonSeq, Records::Many { rule, .. }) => (all(&mut apart::sequence(text))?, rule),
            (Format::Sse, Records::Many { rule, .. }) => (all(&mut apart::events(text))?, rule),
            (Format::Csv(csv), Records::Many { rule, .. }) => return judge.table(csv, rule, text),
            _ => return Err(Unexplained::Format),
        };
    if places.len() > MOST_RECORDS {
        return Err(Unexplained::TooMany);
    }
    Ok(places.into_iter().filter_map(|(place, record)| judge.record(place, &record, rule, 0)).collect())
}

struct Judge<'a> {
    plan: &'a Plan,
    permit: &'a Permit,
    rewrite: &'a Arc<RewritePlan>,
}

impl Judge<'_> {
    /// The rows of a table. The engine is given each below its header.
    fn table(&self, csv: &Csv, rule: &RuleRef, text: &str) -> Result<Vec<RecordVerdict>, Unexplained> {
        let mut rows = csv_rows(text.as_bytes(), csv);
        let Some(header) = rows.next() else { return Ok(Vec::new()) };
        let (head, names) = header.map_err(Unexplained::NotTable)?;
        let columns: Vec<Path> = names.iter().map(|name| csv.column(name)).collect();
        let mut found = Vec::new();
        for row in rows {
            let (line, values) = row.map_err(Unexplained::NotTable)?;
            if columns.len() > 1 && values.iter().all(String::is_empty) && values.len() == 1 {
                continue;
            }
            if values.len() != columns.len() {
                return Err(Unexplained::NotTable(CutReason::Ragged));
            }
            if found.len() == MOST_RECORDS {
                return Err(Unexplained::TooMany);
            }
            let place = format!("row {}", found.len() + 1);
            let Some(rule) = self.rule_of(rule, &apart::object(&columns, &values)) else { continue };
            let applied = self.counted(self.rewrite, &[head, line]);
            let values = columns.iter().take(MOST_LEAVES).cloned().collect();
            found.push(self.judged(place, rule, &applied, values, Vec::new()));
        }
        Ok(found)
    }

    /// `None`: what stands there is no record.
    fn record(
        &self,
        place: String,
        record: &RawValue,
        rule: &RuleRef,
        depth: usize,
    ) -> Option<RecordVerdict> {
        let value: Value = serde_json::from_str(record.get()).ok()?;
        if !value.is_object() || depth > MOST_NESTED {
            return None;
        }
        let rule = self.rule_of(rule, &value)?;
        let applied = self.applied(rule, record);
        let (mut related, mut relations) = (Vec::new(), Vec::new());
        for (at, target) in &rule.relations {
            relations.push(at);
            for (below, record) in at_path(record, at).unwrap_or_default() {
                let below = below.trim_start_matches('$');
                related.extend(self.record(format!("{place}{below}"), record, target, depth + 1));
            }
        }
        let mut leaves = Vec::new();
        leaves_of(&value, &mut Vec::new(), &mut leaves);
        let fields = rule.grants.iter().flat_map(|grant| &grant.fields).map(|selector| &selector.path);
        let chosen: BTreeSet<&Path> = fields.filter(|path| path.is_chosen()).collect();
        let some = chosen_leaves(&leaves, chosen);
        leaves.extend(some);
        leaves.retain(|path| !relations.iter().any(|relation| relation.is_prefix_of(path)));
        Some(self.judged(place, rule, &applied, leaves, related))
    }

    /// What becomes of a record's values under the permissions that apply to it.
    fn judged(
        &self,
        place: String,
        rule: &RecordRule,
        applied: &BTreeSet<Arc<str>>,
        values: Vec<Path>,
        related: Vec<RecordVerdict>,
    ) -> RecordVerdict {
        let permissions = rule.grants.iter().map(|grant| Considered {
            name: grant.name.clone(),
            place: self.plan.place_of(&grant.name).cloned(),
            records: grant.when.as_ref().map(|when| when.source().clone()),
            applies: applied.contains(&grant.name),
        });
        let applying: Vec<&Grant> =
            rule.grants.iter().filter(|grant| applied.contains(&grant.name)).collect();
        RecordVerdict {
            place,
            resource: rule.name.clone(),
            released: !applying.is_empty(),
            permissions: permissions.collect(),
            fields: values.iter().map(|path| self.field(rule, &applying, path)).collect(),
            related,
        }
    }

    fn rule_of(&self, rule: &RuleRef, record: &Value) -> Option<&RecordRule> {
        let id = match rule {
            RuleRef::Fixed(id) => *id,
            RuleRef::ByType { at, cases } => {
                let mut value = record;
                for step in at.steps() {
                    let Step::Name(name) = step else { return None };
                    value = value.get(name.as_ref())?;
                }
                *cases.get(value.as_str()?)?
            }
        };
        self.rewrite.rules.get(id.0)
    }

    /// The permissions that apply to a record: those that the engine counts when it is given this one alone.
    fn applied(&self, rule: &RecordRule, record: &RawValue) -> BTreeSet<Arc<str>> {
        let alone = RecordRule { relations: Vec::new(), ..rule.clone() };
        let records = Records::One { at: Path::default(), rule: RuleRef::Fixed(RuleId(0)) };
        let layout = Layout { records, keep: Vec::new(), total: None };
        let plan = RewritePlan::new(Format::Json, layout, vec![alone], self.rewrite.bounds.clone());
        self.counted(&Arc::new(plan), &[record.get().as_bytes()])
    }

    /// What the engine counts for an answer; none, if it cuts it.
    fn counted(&self, plan: &Arc<RewritePlan>, answer: &[&[u8]]) -> BTreeSet<Arc<str>> {
        let mut rewriter = Rewriter::new(Arc::clone(plan), self.permit.params().clone());
        let mut out = Vec::new();
        let pushed = answer.iter().try_for_each(|part| rewriter.push(part, &mut out));
        let done = pushed.and_then(|()| rewriter.finish(&mut out));
        if done.is_ok() { rewriter.counts().grants.clone() } else { BTreeSet::new() }
    }

    fn field(&self, rule: &RecordRule, applying: &[&Grant], path: &Path) -> FieldVerdict {
        let verdict = |outcome, by| FieldVerdict { path: path.to_string(), outcome, by, meant: None };
        let guards = self.plan.hiding(self.permit, &rule.name, path);
        if !guards.is_empty() {
            let by = guards.into_iter().map(|(name, place)| (name, Some(place))).collect();
            return verdict(Outcome::Guarded, by);
        }
        let given = |grant: &Grant| {
            let covered = grant.fields.iter().any(|selector| selector.path.is_prefix_of(path));
            if covered { access_at(&grant.fields, path).clone() } else { grant.otherwise.clone() }
        };
        let place = |grant: &&&Grant| (grant.name.clone(), self.plan.place_of(&grant.name).cloned());
        let showing: Vec<_> =
            applying.iter().filter(|grant| matches!(given(grant), Access::Show)).map(|g| place(&g)).collect();
        if !showing.is_empty() {
            return verdict(Outcome::Shown, showing);
        }
        let masks = applying.iter().filter_map(|grant| match given(grant) {
            Access::Mask(mask) => Some((mask, place(&grant))),
            Access::Show | Access::Hide => None,
        });
        if let Some((mask, by)) = masks.min_by_key(|(mask, _)| mask.strength()) {
            return verdict(Outcome::Masked(mask.name().into()), vec![by]);
        }
        let labelled = self.plan.survey().label_at(&rule.name, path).is_some();
        // Who would give it, if its condition were met.
        let would = rule.grants.iter().filter(|grant| !matches!(given(grant), Access::Hide));
        let by = would.map(|grant| place(&&grant)).collect();
        if labelled {
            return verdict(Outcome::NotGiven, by);
        }
        FieldVerdict { meant: meant(self.plan, &rule.name, path), ..verdict(Outcome::Unlabelled, by) }
    }
}

/// A labelled field of a resource that differs from a place only by lists, and so does not mean it.
pub(super) fn meant(plan: &Plan, resource: &str, path: &Path) -> Option<Arc<str>> {
    let plain = |path: &Path| {
        let steps = path.steps().iter().filter(|step| !matches!(step, Step::Elements));
        Path(steps.cloned().collect())
    };
    let place = plain(path);
    let resources = plan.survey().resources();
    let fields = &resources.iter().find(|known| *known.name == *resource)?.fields;
    let same = fields.iter().find(|field| plain(&field.path).is_prefix_of(&place));
    same.filter(|field| !field.path.is_prefix_of(path)).map(|field| field.text.clone())
}

/// The values at a path, each with its place; members given twice are seen once.
fn at_path<'r>(root: &'r RawValue, path: &Path) -> Result<Vec<(String, &'r RawValue)>, Unexplained> {
    let mut found = vec![("$".to_owned(), root)];
    for step in path.steps() {
        let mut next = Vec::new();
        for (place, value) in found {
            match step {
                Step::Name(name) => {
                    let members: BTreeMap<String, &RawValue> =
                        serde_json::from_str(value.get()).unwrap_or_default();
                    next.extend(members.get(name.as_ref()).map(|value| (format!("{place}.{name}"), *value)));
                }
                Step::Elements => {
                    let items: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
                    if items.len() > MOST_RECORDS {
                        return Err(Unexplained::TooMany);
                    }
                    let items = items.into_iter().enumerate();
                    next.extend(items.map(|(at, value)| (format!("{place}[{at}]"), value)));
                }
                Step::Index(_) | Step::Any | Step::Slice { .. } | Step::Chosen(_) | Step::Descend => {
                    return Err(Unexplained::Format);
                }
            }
        }
        found = next;
    }
    Ok(found)
}

/// The paths of all values that hold no others, each once, in the order they stand.
fn leaves_of(value: &Value, steps: &mut Vec<Step>, found: &mut Vec<Path>) {
    match value {
        Value::Object(members) if !members.is_empty() && steps.len() < MOST_NESTED => {
            for (name, value) in members {
                steps.push(Step::Name(name.as_str().into()));
                leaves_of(value, steps, found);
                steps.pop();
            }
        }
        Value::Array(items) if !items.is_empty() && steps.len() < MOST_NESTED => {
            steps.push(Step::Elements);
            items.iter().for_each(|item| leaves_of(item, steps, found));
            steps.pop();
        }
        _ => {
            let path = Path(steps.clone());
            if found.len() < MOST_LEAVES && !found.contains(&path) {
                found.push(path);
            }
        }
    }
}

/// The leaves again, in the elements that selectors choose.
fn chosen_leaves(leaves: &[Path], chosen: BTreeSet<&Path>) -> Vec<Path> {
    let mut found = Vec::new();
    for path in chosen {
        let wide = path.widened();
        for leaf in leaves.iter().filter(|leaf| wide.is_prefix_of(leaf)) {
            let rest = leaf.steps().get(path.steps().len()..).unwrap_or_default();
            found.push(path.join(&Path(rest.to_vec())));
        }
    }
    found
}

/// Records of one answer that are explained.
const MOST_RECORDS: usize = 1_000;
/// Values of one record that are explained.
const MOST_LEAVES: usize = 2_000;
/// Nesting that is followed.
const MOST_NESTED: usize = 64;

#[cfg(test)]
mod tests;
