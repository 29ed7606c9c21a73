//! Records, and what of them remains.

use std::rc::Rc;

use super::super::condition::{Slot, Value};
use super::super::path::{Path, Step};
use super::super::plan::{Grant, Pairs, RecordRule, RuleRef};
use super::Judge;
use super::access::{Given, Record};
use super::place::{Loc, Place, below, declared, is_over, leads, next};
use super::tree::{Kind, Tree, emptied, parse_within, read};

impl<'j> Judge<'j> {
    /// Outer `None`: cut. Inner `None`: not released.
    pub(super) fn record(&mut self, rule: &RuleRef, tree: &Tree) -> Option<Option<Tree>> {
        let conditional = |rule: usize| self.rule(rule).is_some_and(RecordRule::is_held);
        let any = |rule: usize| self.rule(rule).is_some_and(|rule| !rule.grants.is_empty());
        let held = match rule {
            RuleRef::Fixed(rule) => conditional(rule.0),
            RuleRef::ByType { cases, .. } => cases.values().any(|rule| any(rule.0)),
        };
        if held && tree.raw.len() > self.plan.bounds.record_bytes {
            return None;
        }
        let rule = match rule {
            RuleRef::Fixed(rule) => Some(rule.0),
            RuleRef::ByType { at, cases } => {
                self.type_of(tree, at).and_then(|name| cases.get(name.as_str())).map(|r| r.0)
            }
        };
        let Some(rule) = rule.filter(|rule| self.rule(*rule).is_some()) else { return Some(None) };
        let grants =
            self.applying(self.rule(rule)?, |path| read(tree, path.steps(), self.plan.bounds.value_bytes));
        if grants.is_empty() {
            return Some(None);
        }
        let met = self.met(self.rule(rule)?, |path| read(tree, path.steps(), self.plan.bounds.value_bytes));
        let record = self.judged(rule, grants, met)?;
        let kept = self.children(&record, tree, &Vec::new())?;
        Some(Some(kept.unwrap_or(Tree::made(emptied(&tree.kind)))))
    }

    pub(super) fn rule(&self, rule: usize) -> Option<&'j RecordRule> {
        self.plan.rules.get(rule)
    }

    /// The place that a column or a dotted name means; `None` if it only looks like one that is not wholly shown, or
    /// leads into a related record or a name/value pair.
    pub(super) fn column(&self, record: &Record<'_>, column: &Path) -> Option<Place> {
        let mut place = Place::new();
        for step in column.steps() {
            let relations = record.rule.relations.iter().map(|(path, _)| path);
            let mut foreign = relations.chain(record.rule.pairs.iter().map(|pairs| &pairs.at));
            if foreign.any(|path| leads(path.steps(), &place)) {
                return None;
            }
            place = match step {
                Step::Name(name) => record.member(&place, name)?,
                Step::Index(_) if !record.choices_at(&place).is_empty() => return None,
                Step::Index(index) => below(&place, Loc::Index(*index)),
                Step::Elements | Step::Any | Step::Slice { .. } | Step::Chosen(_) | Step::Descend => {
                    return None;
                }
            };
        }
        Some(place)
    }

    /// A record under some grants of a rule.
    pub(super) fn judged(
        &self,
        number: usize,
        grants: Vec<usize>,
        met: Vec<Option<bool>>,
    ) -> Option<Record<'j>> {
        let mut known = self.uniform.borrow_mut();
        let known = Rc::clone(known.entry((number, grants.clone(), met.clone())).or_default());
        Some(Record { rule: self.rule(number)?, grants, met, known })
    }

    /// What a record says of the masks that depend on it.
    pub(super) fn met(&self, rule: &RecordRule, slot: impl Fn(&Path) -> Slot) -> Vec<Option<bool>> {
        let choices = rule.masks_by_record();
        let conditions = choices.iter().filter_map(|mask| mask.choice()).map(|choice| &choice.when);
        conditions
            .map(|when| {
                let slots: Vec<Slot> = when.slots().iter().map(&slot).collect();
                when.judge(&slots, self.params).ok()
            })
            .collect()
    }

    fn type_of(&self, tree: &Tree, at: &Path) -> Option<String> {
        match read(tree, at.steps(), self.plan.bounds.value_bytes) {
            Slot::Found(Value::Text(name)) => Some(name.to_string()),
            _ => None,
        }
    }

    pub(super) fn applying(&self, rule: &RecordRule, slot: impl Fn(&Path) -> Slot) -> Vec<usize> {
        let met = |grant: &Grant| {
            grant.when.as_ref().is_none_or(|when| {
                let slots: Vec<Slot> = when.slots().iter().map(&slot).collect();
                when.is_met(&slots, self.params)
            })
        };
        rule.grants.iter().enumerate().filter(|(_, grant)| met(grant)).map(|(number, _)| number).collect()
    }

    pub(super) fn value(&mut self, record: &Record<'_>, tree: &Tree, place: &Place) -> Option<Option<Tree>> {
        for (path, rule) in &record.rule.relations {
            let list =
                path.steps().split_last().filter(|(last, _)| **last == Step::Elements).map(|(_, list)| list);
            if leads(path.steps(), place) {
                return self.related(record, rule, tree, place, list.is_some());
            }
            if list.is_some_and(|list| leads(list, place)) {
                return self.related_list(record, rule, tree, place);
            }
        }
        if let Some(pairs) = record.rule.pairs.iter().find(|pairs| leads(pairs.at.steps(), place)) {
            return if record.guarded(place) { Some(None) } else { self.pair(record, pairs, tree) };
        }
        let access = record.access(place);
        let (object, array) = declared(record.declaring(), place);
        if record.rule.embedded.iter().any(|path| leads(path.steps(), place)) && tree.raw.starts_with('"') {
            return self.embedded(record, tree, place);
        }
        match &tree.kind {
            Kind::Scalar if object || array => Some(None),
            Kind::Object(_) if array && !object => Some(None),
            Kind::Array(_) if object && !array => Some(None),
            Kind::Scalar => Some(self.leaf(access, tree)),
            Kind::Object(_) | Kind::Array(_) => match access {
                Given::Mask(_) if record.uniform(place) => Some(Some(Tree::scalar("null"))),
                access if tree.is_empty() => Some(self.leaf(access, tree)),
                _ => self.children(record, tree, place),
            },
        }
    }

    pub(super) fn leaf(&self, access: Given<'_>, tree: &Tree) -> Option<Tree> {
        match access {
            Given::Hide => None,
            Given::Show => Some(tree.clone()),
            Given::Mask(_) if !matches!(tree.kind, Kind::Scalar) => Some(Tree::scalar("null")),
            Given::Mask(_) if tree.raw.len() > self.plan.bounds.value_bytes => Some(Tree::scalar("null")),
            Given::Mask(mask) => {
                let mut out = String::new();
                super::super::json::mask(mask, tree.raw.as_bytes(), &mut out);
                Some(Tree::scalar(out))
            }
        }
    }

    /// What remains of a container; `None` inside if nothing does.
    pub(super) fn children(
        &mut self,
        record: &Record<'_>,
        tree: &Tree,
        place: &Place,
    ) -> Option<Option<Tree>> {
        let kind = match &tree.kind {
            Kind::Scalar => return Some(None),
            Kind::Array(items) => {
                let mut kept = Vec::new();
                for (item, loc) in items.iter().zip(self.elements(record, items, place)) {
                    let Some(loc) = loc else { continue };
                    kept.extend(self.value(record, item, &below(place, loc))?);
                }
                Kind::Array(kept)
            }
            Kind::Object(members) => {
                let mut kept = Vec::new();
                for (raw, name, value) in members {
                    let Some(there) = record.member(place, name) else { continue };
                    let value = self.value(record, value, &there)?;
                    kept.extend(value.map(|value| (raw.clone(), name.clone(), value)));
                }
                Kind::Object(kept)
            }
        };
        let tree = Tree::made(kind);
        Some((!tree.is_empty()).then_some(tree))
    }

    pub(super) fn reachable(&self, rule: &RuleRef) -> bool {
        let granted = |rule: usize| self.rule(rule).is_some_and(|rule| !rule.grants.is_empty());
        match rule {
            RuleRef::Fixed(rule) => granted(rule.0),
            RuleRef::ByType { cases, .. } => cases.values().any(|rule| granted(rule.0)),
        }
    }

    pub(super) fn related(
        &mut self,
        record: &Record<'_>,
        rule: &RuleRef,
        tree: &Tree,
        place: &Place,
        list: bool,
    ) -> Option<Option<Tree>> {
        if !matches!(tree.kind, Kind::Object(_)) || !self.reachable(rule) || record.guarded(place) {
            return Some(None);
        }
        let related = self.record(rule, tree)?;
        Some(related.or_else(|| (!list).then(|| Tree::scalar("null"))))
    }

    pub(super) fn related_list(
        &mut self,
        record: &Record<'_>,
        rule: &RuleRef,
        tree: &Tree,
        place: &Place,
    ) -> Option<Option<Tree>> {
        let Kind::Array(_) = &tree.kind else { return Some(None) };
        if !self.reachable(rule) || record.guarded(place) {
            return Some(None);
        }
        let kept = self.children(record, tree, place)?;
        Some(Some(kept.unwrap_or(Tree::made(Kind::Array(Vec::new())))))
    }

    pub(super) fn pair(&mut self, record: &Record<'_>, pairs: &Pairs, tree: &Tree) -> Option<Option<Tree>> {
        let Kind::Object(members) = &tree.kind else { return Some(None) };
        if tree.raw.len() > self.plan.bounds.record_bytes {
            return None;
        }
        let mut names = members.iter().filter(|(_, name, _)| *name == *pairs.name);
        let (Some((_, _, name)), None) = (names.next(), names.next()) else { return Some(None) };
        let limit = self.plan.bounds.value_bytes;
        let Some(name) = name.text().filter(|_| name.raw.len() <= limit + 2) else { return Some(None) };
        let mut field = record.member(&[], &name);
        let is_declared = |place: &Place| {
            record.selectors().any(|path| is_over(path, place))
                || record.all_paths().any(|path| leads(path.steps(), place))
                || record.declaring().any(|path| next(path, place).iter().any(|(_, loose)| !loose))
        };
        if !field.as_ref().is_some_and(is_declared)
            && let Ok(path) = Path::parse_field(&name)
        {
            field = match self.column(record, &path) {
                Some(longer) if !is_declared(&longer) => field,
                longer => longer,
            };
        }
        let Some(field) = field else { return Some(None) };
        let (object, array) = declared(record.declaring(), &field);
        let flat = !object && !array && record.uniform(&field);
        match record.access(&field) {
            Given::Hide if record.uniform(&field) => return Some(None),
            Given::Show if flat && !self.declared_below(record, &field) => return Some(Some(tree.clone())),
            _ => {}
        }
        let mut kept = Vec::new();
        for (raw, name, value) in members {
            let value = if *name == *pairs.value {
                self.value(record, value, &field)?
            } else {
                (*name == *pairs.name).then(|| value.clone())
            };
            kept.extend(value.map(|value| (raw.clone(), name.clone(), value)));
        }
        Some((!kept.is_empty()).then_some(Tree::made(Kind::Object(kept))))
    }

    /// Whether any path goes on below a place: then what is below is looked at one by one.
    pub(super) fn declared_below(&self, record: &Record<'_>, place: &Place) -> bool {
        record.all_paths().any(|path| !next(path, place).is_empty() || path.steps().contains(&Step::Descend))
    }

    pub(super) fn embedded(
        &mut self,
        record: &Record<'_>,
        tree: &Tree,
        place: &Place,
    ) -> Option<Option<Tree>> {
        let access = record.access(place);
        let (object, array) = declared(record.declaring(), place);
        let below = object || array || self.declared_below(record, place);
        if record.uniform(place) && !(access == Given::Show && below) {
            return Some(self.leaf(access, tree));
        }
        if tree.raw.len() > self.plan.bounds.value_bytes {
            return Some(None);
        }
        let room = tree.room.saturating_sub(1);
        let inner = tree.text().and_then(|inner| parse_within(&inner, self.plan, room));
        let Some(inner) = inner else { return Some(None) };
        let kept = match &inner.kind {
            Kind::Scalar if inner.raw.starts_with('"') => None,
            _ => self.value(record, &inner, place)?,
        };
        Some(kept.map(|kept| {
            if kept.print() == inner.print() {
                return tree.clone();
            }
            let mut out = String::new();
            super::super::json::encode(&kept.print(), &mut out);
            Tree::scalar(out)
        }))
    }
}
