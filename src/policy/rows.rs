//! Positional rows: what their values mean stands in the request, so the plan of the answer is made for the columns
//! that were asked for.
//!
//! A column is judged like a selected field. One that the principal may not see, or that is no declared field, refuses
//! the request, or is taken out where the route says so: positions are all the meaning there is, and a row that lost
//! a value unasked would give the next one its name. What the conditions read is asked for as well, behind what was
//! asked for, and taken away again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::rewrite::{
    Access, Bounds, Format, Layout, Path, RecordRule, Records, RewritePlan, RuleId, Selector, Step,
};

use super::assemble::access_at;
use super::model::{AskedAt, ResourceTable, RowColumns};
use super::operation::Operation;
use super::permit::{AskedColumns, DenialReason};
use super::tree::Tree;

/// What is known of rows before the columns are.
#[derive(Debug)]
pub(super) struct RowRights {
    at: Path,
    rules: Vec<RecordRule>,
    layout: Layout,
    bounds: Bounds,
    /// Plans by columns, those that were added last.
    plans: Mutex<HashMap<Wanted, Arc<RewritePlan>>>,
}

/// The columns of an answer: all of them, and how many at the end were added.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wanted {
    columns: Vec<Path>,
    added: usize,
}

impl RowRights {
    pub(super) fn new(at: Path, rules: Vec<RecordRule>, layout: Layout, bounds: Bounds) -> Self {
        Self { at, rules, layout, bounds, plans: Mutex::default() }
    }

    /// The plan for fixed columns.
    pub(super) fn fixed(&self, columns: &[Path]) -> RewritePlan {
        self.plan(&Wanted { columns: columns.to_vec(), added: 0 })
    }

    /// The plan for the columns that a request asks for, and what is asked for in their place.
    pub(super) fn asked(
        &self,
        columns: &RowColumns,
        table: &ResourceTable,
        operation: &Operation,
    ) -> Result<Option<(Arc<RewritePlan>, AskedColumns)>, DenialReason> {
        let RowColumns::Asked { at, split, trim } = columns else { return Ok(None) };
        let refused = || {
            let part = match at {
                AskedAt::Query(name) => name.clone(),
                AskedAt::Body(path) => Arc::from(format!("body {}", path.to_jsonpath())),
            };
            DenialReason::Asked { part }
        };
        let names = named(at, split, operation).filter(|names| names.len() <= MAX_COLUMNS);
        let mut columns = Vec::new();
        for name in names.ok_or_else(refused)? {
            match self.column(table, &name) {
                Some(path) => columns.push(path),
                None if *trim => {}
                None => return Err(refused()),
            }
        }
        if columns.is_empty() {
            return Err(refused());
        }
        let asked = columns.len();
        for path in self.deciding() {
            if !columns.iter().any(|column| column.is_prefix_of(&path)) {
                columns.push(path);
            }
        }
        let names = columns.iter().map(|path| path.to_string().into()).collect();
        let wanted = Wanted { added: columns.len() - asked, columns };
        Ok(Some((self.kept(wanted), AskedColumns { names, split: split.clone() })))
    }

    /// A declared field of which something may be seen, written in the one way it is written here.
    fn column(&self, table: &ResourceTable, name: &str) -> Option<Path> {
        let path = Path::parse_field(name).ok()?;
        let plain = path.steps().iter().all(|step| matches!(step, Step::Name(_)));
        if !plain || path.is_root() || path.to_string() != name {
            return None;
        }
        let rule = self.rules.first()?;
        let declared = table.label_at(&path).is_some();
        let shown = rule.grants.iter().any(|grant| {
            if declared {
                !matches!(access_at(&grant.fields, &path), Access::Hide)
            } else {
                matches!(grant.otherwise, Access::Show)
            }
        });
        let guarded = rule.guards.iter().any(|guard| matches!(access_at(guard, &path), Access::Hide));
        (shown && !guarded).then_some(path)
    }

    /// What the conditions of the rows, and their key, read.
    fn deciding(&self) -> Vec<Path> {
        let Some(rule) = self.rules.first() else { return Vec::new() };
        let slots = rule.grants.iter().filter_map(|grant| grant.when.as_ref()).flat_map(|when| when.slots());
        let mut found: Vec<Path> = Vec::new();
        for path in slots.chain(&rule.key) {
            let plain = path.steps().iter().all(|step| matches!(step, Step::Name(_)));
            if plain && !path.is_root() && !found.contains(path) {
                found.push(path.clone());
            }
        }
        found
    }

    fn kept(&self, wanted: Wanted) -> Arc<RewritePlan> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = plans.get(&wanted) {
            return known.clone();
        }
        // Columns in every order are no reason to grow.
        if plans.len() >= MAX_PLANS {
            plans.clear();
        }
        let made = Arc::new(self.plan(&wanted));
        plans.insert(wanted, made.clone());
        made
    }

    fn plan(&self, wanted: &Wanted) -> RewritePlan {
        let mut rules = self.rules.clone();
        let (asked, added) = wanted.columns.split_at(wanted.columns.len().saturating_sub(wanted.added));
        if let Some(rule) = rules.first_mut().filter(|_| !added.is_empty()) {
            rule.guards.push(only(asked, added));
        }
        let records = Records::Rows { at: self.at.clone(), rule: RuleId(0), columns: wanted.columns.clone() };
        let layout = Layout { records, ..self.layout.clone() };
        RewritePlan::new(Format::Json, layout, rules, self.bounds.clone())
    }
}

/// Hides what was added and not asked for.
fn only(asked: &[Path], added: &[Path]) -> Vec<Selector> {
    let rank = |path: &Path| u32::try_from(path.steps().len()).unwrap_or(u32::MAX);
    let selector = |path: &Path, access| Selector { path: path.clone(), rank: rank(path), access };
    let hidden = added.iter().map(|path| selector(path, Access::Hide));
    let shown = asked.iter().map(|path| selector(path, Access::Show));
    let everything = Selector { path: Path::default(), rank: 0, access: Access::Show };
    std::iter::once(everything).chain(hidden).chain(shown).collect()
}

fn named(at: &AskedAt, split: &str, operation: &Operation) -> Option<Vec<String>> {
    let apart = |text: &str| text.split(split).map(|name| name.trim().to_owned()).collect();
    match at {
        AskedAt::Query(name) => {
            let mut values = operation.query().iter().filter(|(known, _)| **known == **name);
            let (_, text) = values.next()?;
            values.next().is_none().then(|| apart(text))
        }
        AskedAt::Body(path) => match operation.given()?.tree().at(path)? {
            Tree::Text(text) => Some(apart(text)),
            Tree::List(items) => items.iter().map(|item| item.text().map(str::to_owned)).collect(),
            Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Object(_) => None,
        },
    }
}

const MAX_COLUMNS: usize = 256;
const MAX_PLANS: usize = 32;
