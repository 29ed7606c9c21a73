//! What stands around the records.

use super::super::condition::Slot;
use super::super::path::Path;
use super::super::plan::{Records, RuleRef};
use super::Judge;
use super::access::{Given, Record};
use super::place::{Loc, Place, below, declared, is_over, leads};
use super::tree::{Kind, Tree, emptied, read};

impl Judge<'_> {
    pub(super) fn envelope(&mut self, tree: &Tree) -> Option<String> {
        let kept = self.around(tree, &Vec::new())??;
        let released = self.released.to_string();
        Some(kept.print().replace(TOTAL, &released))
    }

    /// Outer `None`: cut. Inner `None`: it goes.
    pub(super) fn around(&mut self, tree: &Tree, place: &Place) -> Option<Option<Tree>> {
        let layout = &self.plan.layout;
        let (at, single) = match &layout.records {
            Records::None => (None, false),
            Records::One { at, .. } => (Some(at), true),
            Records::Many { at, .. } | Records::Rows { at, .. } => (Some(at), false),
        };
        if at.is_some_and(|at| leads(at.steps(), place)) {
            return self.answer_record(tree, single);
        }
        let on_way = at.is_some_and(|at| {
            (0..at.steps().len()).any(|n| leads(at.steps().get(..n).unwrap_or_default(), place))
        });
        let total = layout.total.as_ref().filter(|total| leads(total.at.steps(), place));
        if on_way {
            let (object, array) = declared(at.into_iter(), place);
            let right =
                matches!((&tree.kind, object, array), (Kind::Object(_), true, _) | (Kind::Array(_), _, true));
            return if right { self.members(tree, place).map(Some) } else { None };
        }
        if let Some(total) = total {
            let passes = matches!(tree.kind, Kind::Scalar).then(|| tree.clone());
            return Some(if total.recount { Some(Tree::scalar(TOTAL)) } else { passes });
        }
        let paths = layout.keep.iter().chain(layout.total.as_ref().map(|total| &total.at)).chain(at);
        let (object, array) = declared(paths, place);
        let shown = layout.keep.iter().any(|keep| is_over(keep, place));
        let fits = match &tree.kind {
            Kind::Scalar => !object && !array,
            Kind::Object(_) => object || !array,
            Kind::Array(_) => array || !object,
        };
        if place.is_empty() && !shown {
            return if matches!(tree.kind, Kind::Scalar) {
                None
            } else if fits {
                self.members(tree, place).map(Some)
            } else {
                Some(Some(Tree::made(emptied(&tree.kind))))
            };
        }
        if !fits {
            return Some(None);
        }
        if matches!(tree.kind, Kind::Scalar) || tree.is_empty() {
            return Some(shown.then(|| tree.clone()));
        }
        let rest = self.members(tree, place)?;
        Some((!rest.is_empty()).then_some(rest))
    }

    pub(super) fn members(&mut self, tree: &Tree, place: &Place) -> Option<Tree> {
        let kind = match &tree.kind {
            Kind::Scalar => return None,
            Kind::Array(items) => {
                let mut kept = Vec::new();
                for (item, index) in items.iter().zip(0..) {
                    kept.extend(self.around(item, &below(place, Loc::Index(index)))?);
                }
                Kind::Array(kept)
            }
            Kind::Object(members) => {
                let mut kept = Vec::new();
                for (raw, name, value) in members {
                    let value = self.around(value, &below(place, Loc::Name(name.clone())))?;
                    kept.extend(value.map(|value| (raw.clone(), name.clone(), value)));
                }
                Kind::Object(kept)
            }
        };
        Some(Tree::made(kind))
    }

    pub(super) fn answer_record(&mut self, tree: &Tree, single: bool) -> Option<Option<Tree>> {
        match (&self.plan.layout.records, &tree.kind) {
            (Records::Rows { rule, columns, .. }, Kind::Array(values)) => {
                if self.rule(rule.0).is_none_or(|rule| rule.grants.is_empty()) {
                    self.withheld += 1;
                    return Some(None);
                }
                if values.len() != columns.len() {
                    return None;
                }
                self.row(rule.0, columns, values, tree.raw.len())
            }
            (Records::One { rule, .. } | Records::Many { rule, .. }, Kind::Object(_)) => {
                let record = self.top(rule, tree)?;
                Some(record.or_else(|| single.then(|| Tree::scalar("null"))))
            }
            (Records::One { .. }, Kind::Scalar) if tree.raw == "null" => {
                self.withheld += 1;
                Some(Some(Tree::scalar("null")))
            }
            (Records::Many { .. }, _) => Some(None),
            _ => None,
        }
    }

    pub(super) fn top(&mut self, rule: &RuleRef, tree: &Tree) -> Option<Option<Tree>> {
        let record = self.record(rule, tree)?;
        if record.is_some() {
            self.released += 1
        } else {
            self.withheld += 1
        }
        Some(record)
    }

    pub(super) fn row(
        &mut self,
        rule: usize,
        columns: &[Path],
        values: &[Tree],
        length: usize,
    ) -> Option<Option<Tree>> {
        let number = rule;
        let rule = self.rule(number)?;
        if rule.is_held() && length > self.plan.bounds.record_bytes {
            return None;
        }
        let limit = self.plan.bounds.value_bytes;
        let slot = |path: &Path| {
            let mut found = Slot::Missing;
            for (column, value) in columns.iter().zip(values) {
                if let Some(rest) = path.steps().strip_prefix(column.steps()) {
                    found = if found == Slot::Missing { read(value, rest, limit) } else { Slot::Ambiguous };
                }
            }
            found
        };
        let (grants, met) = (self.applying(rule, slot), self.met(rule, slot));
        if grants.is_empty() {
            self.withheld += 1;
            return Some(None);
        }
        self.released += 1;
        let record = self.judged(number, grants, met)?;
        let all = self.judged(number, (0..rule.grants.len()).collect(), Vec::new())?;
        let mut kept = Vec::new();
        for (column, value) in columns.iter().zip(values) {
            let meant = |record: &Record<'_>| self.column(record, column);
            if meant(&all).is_none_or(|place| all.uniform(&place) && all.access(&place) == Given::Hide) {
                continue;
            }
            let cell = match self.column(&record, column) {
                Some(place) => self.value(&record, value, &place)?,
                None => None,
            };
            kept.push(cell.unwrap_or_else(|| Tree::scalar("null")));
        }
        Some(Some(Tree::made(Kind::Array(kept))))
    }
}

/// Stands for the total until it is known; no input can hold it.
const TOTAL: &str = "\u{0}total\u{0}";
