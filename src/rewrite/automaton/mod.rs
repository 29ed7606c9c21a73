//! A rewrite plan as automata: one [`Shape`] for each rule and one for the envelope, and [`Program`]s, the acts at
//! each of their states for a set of applying grants, made when a record first needs them.

mod elements;
mod names;
mod program;
mod shape;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::condition::{Params, Predicate, Slot};
use super::mask::Mask;
use super::path::{Path, Step};
use super::plan::{Columns, Format, RecordRule, Records, RewritePlan, RuleRef};

#[cfg(any(test, fuzzing))]
pub(crate) use elements::covers;
#[cfg(any(test, fuzzing))]
pub(crate) use names::fold;
pub(crate) use program::{Act, Capture, Counted, Masks, NO_FIELD, Node, PASSING, Program};
pub use shape::TooLarge;
pub(crate) use shape::{FORBIDDEN, ROOT, Shape, StateId};

use program::{Selectors, Source, layout_nodes, probe_nodes, record_nodes};
use shape::{Mark, Pattern};

/// Most programs kept for one rule; further sets of grants are compiled for their record and forgotten.
const MAX_PROGRAMS: usize = 1024;

/// A plan, compiled.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) layout: Arc<Program>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) sites: Vec<Site>,
    pub(crate) masks: Masks,
    /// The names of all counted fields.
    pub(crate) fields: Vec<Arc<str>>,
    /// For positional rows: columns that no set of grants could release.
    pub(crate) gone_columns: Vec<bool>,
}

/// A record type.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) shape: Arc<Shape>,
    selectors: Selectors,
    relations: Vec<Option<u32>>,
    relation_fields: Vec<u32>,
    pairs: Vec<u32>,
    fields: Vec<u32>,
    columns: Columns,
    programs: RwLock<HashMap<Vec<usize>, Arc<Program>>>,
}

/// A place where records stand: the answer's own, a relation's, name/value pairs.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) decide: Decide,
    /// Related records of a list are dropped, single ones become `null`; the same for the answer's own.
    pub(crate) list: bool,
    /// The answer's own records, which are counted.
    pub(crate) top: bool,
}

/// How a record at a site is decided.
#[derive(Debug)]
pub(crate) enum Decide {
    /// None is ever released.
    Never,
    /// All are, under the same grants of this rule.
    Always(usize),
    /// The record's own content decides.
    Probe(Probe),
    /// A name/value pair: its name decides.
    Pair(PairSite),
}

/// How name/value pairs are judged.
#[derive(Debug)]
pub(crate) struct PairSite {
    pub(crate) probe: Arc<Program>,
    pub(crate) under: Vec<Vec<u32>>,
    pub(crate) name: Box<str>,
    pub(crate) value: Box<str>,
}

/// What is read from a record to decide it.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) program: Arc<Program>,
    /// How many places are read.
    pub(crate) slots: usize,
    /// By state: the places that become ambiguous if it is reached twice.
    pub(crate) under: Vec<Vec<u32>>,
    pub(crate) which: Which,
}

/// Which rule a probed record is under.
#[derive(Debug)]
pub(crate) enum Which {
    Fixed(ProbedRule),
    /// By the text in slot 0.
    ByType(HashMap<Box<str>, ProbedRule>),
}

/// A rule, the conditions of its grants, and the probe's slots for each of them.
#[derive(Debug, Clone)]
pub(crate) struct ProbedRule {
    pub(crate) rule: usize,
    /// Each once, however many grants have it.
    pub(crate) conditions: Vec<(Arc<Predicate>, Vec<u32>)>,
    /// The condition of each grant; `None`: it always applies.
    pub(crate) grants: Vec<Option<usize>>,
    /// The masks that depend on the record, with the probe's slots for their conditions.
    pub(crate) masks: Vec<(Arc<Mask>, Vec<u32>)>,
}

impl ProbedRule {
    /// The grants that apply to a record, whose values `slot` knows by the numbers of the probe's slots; behind them,
    /// see [`branches`], which masks it gets. Nothing if no grant applies.
    pub(crate) fn applying(&self, slot: impl Fn(u32) -> Slot, params: &Params) -> Vec<usize> {
        let met: Vec<bool> = self
            .conditions
            .iter()
            .map(|(when, slots)| {
                let slots: Vec<Slot> = slots.iter().map(|number| slot(*number)).collect();
                when.is_met(&slots, params)
            })
            .collect();
        let applies =
            |when: &Option<usize>| when.is_none_or(|number| met.get(number).copied().unwrap_or(false));
        let grants = self.grants.iter().enumerate().filter(|(_, when)| applies(when));
        let mut applying: Vec<usize> = grants.map(|(number, _)| number).collect();
        if applying.is_empty() {
            return applying;
        }
        for (number, (mask, slots)) in self.masks.iter().enumerate() {
            let Some(choice) = mask.choice() else { continue };
            let slots: Vec<Slot> = slots.iter().map(|number| slot(*number)).collect();
            let taken = choice.taken(choice.when.judge(&slots, params).ok());
            applying.push(BRANCH + 2 * number + usize::from(Arc::ptr_eq(taken, &choice.then)));
        }
        applying
    }
}

impl Compiled {
    pub(crate) fn new(plan: &RewritePlan) -> Result<Self, TooLarge> {
        let mut compiler = Compiler { plan, masks: Masks::default(), fields: Vec::new(), sites: Vec::new() };
        let (records, columns) = match &plan.layout.records {
            Records::None => (None, None),
            Records::One { at, rule } => (Some((at, rule.clone(), true)), None),
            Records::Many { at, rule } => (Some((at, rule.clone(), false)), None),
            Records::Rows { at, rule, columns } => (Some((at, RuleRef::Fixed(*rule), false)), Some(columns)),
        };
        let single = records.as_ref().is_some_and(|(_, _, single)| *single) && !by_lines(&plan.format);
        let columns = columns.cloned().unwrap_or_default();
        let rows = matches!(plan.layout.records, Records::Rows { .. });
        if let Some((_, rule, _)) = &records {
            let decide = compiler.decide(rule, &columns)?;
            compiler.sites.push(Site { decide, list: !single, top: true });
        }
        let rules =
            plan.rules.iter().map(|rule| compiler.rule(rule, &columns)).collect::<Result<Vec<_>, _>>()?;
        let at = records.as_ref().map(|(at, _, single)| (*at, *single));
        let layout = compiler.layout(at, rows, single)?;
        let Compiler { masks, fields, sites, .. } = compiler;
        let mut compiled = Self { layout, rules, sites, masks, fields, gone_columns: Vec::new() };
        if let Records::Rows { rule, columns, .. } = &plan.layout.records {
            compiled.gone_columns = compiled.gone(rule.0, plan, columns);
        }
        Ok(compiled)
    }

    /// The program of a rule for a set of applying grants.
    pub(crate) fn program(&self, rule: usize, grants: &[usize]) -> Option<Arc<Program>> {
        let entry = self.rules.get(rule)?;
        if let Some(known) = entry.programs.read().unwrap_or_else(PoisonError::into_inner).get(grants) {
            return Some(Arc::clone(known));
        }
        let program = Arc::new(self.make(rule, entry, grants));
        let mut programs = entry.programs.write().unwrap_or_else(PoisonError::into_inner);
        if programs.len() < MAX_PROGRAMS {
            programs.insert(grants.to_vec(), Arc::clone(&program));
        }
        Some(program)
    }

    fn make(&self, rule: usize, entry: &Rule, grants: &[usize]) -> Program {
        let source = Source {
            selectors: &entry.selectors,
            masks: &self.masks,
            relations: &entry.relations,
            relation_fields: &entry.relation_fields,
            pairs: &entry.pairs,
            fields: &entry.fields,
        };
        let nodes = record_nodes(&entry.shape, grants, &source);
        let shape = Arc::clone(&entry.shape);
        let mut program =
            Program { shape, nodes, rule: Some(rule), grants: grants.to_vec(), columns: Vec::new() };
        program.columns = entry.columns.iter().map(|column| program.follow(column)).collect();
        program
    }

    /// Whether no set of grants could release something in a column: grants only add, so all of them together show
    /// the most.
    pub(crate) fn gone(&self, rule: usize, plan: &RewritePlan, columns: &[Path]) -> Vec<bool> {
        let grants: Vec<usize> = (0..plan.rules.get(rule).map_or(0, |rule| rule.grants.len())).collect();
        let Some(program) = self.program(rule, &grants) else { return vec![true; columns.len()] };
        let states = columns.iter().map(|column| program.follow(column));
        let hidden = |act: Act| matches!(act, Act::Drop | Act::DropCounting);
        states
            .map(|state| {
                let node = program.node(state);
                hidden(node.text) && hidden(node.other) && hidden(node.object) && hidden(node.array)
            })
            .collect()
    }
}

/// What a record decided of the masks of its rule: the number of a mask, and whether it is the one for a condition that
/// is met.
pub(crate) fn branches(applying: &[usize]) -> impl Iterator<Item = (usize, bool)> {
    let decided = applying.iter().filter_map(|number| number.checked_sub(BRANCH));
    decided.map(|number| (number / 2, number % 2 == 1))
}

/// Numbers from here on are decisions about masks, two for each; below are grants.
const BRANCH: usize = usize::MAX / 2;

/// The state of each column, by its exact name: for what conditions read.
pub(crate) fn columns_of(shape: &Shape, columns: &[Path]) -> Vec<StateId> {
    columns.iter().map(|column| shape.follow(ROOT, column).unwrap_or(FORBIDDEN)).collect()
}

/// Formats that have no envelope.
pub(crate) fn by_lines(format: &Format) -> bool {
    match format {
        Format::Json => false,
        Format::Ndjson | Format::JsonSeq | Format::Sse | Format::Csv(_) => true,
    }
}

struct Compiler<'p> {
    plan: &'p RewritePlan,
    masks: Masks,
    fields: Vec<Arc<str>>,
    sites: Vec<Site>,
}

impl Compiler<'_> {
    fn site(&mut self, site: Site) -> u32 {
        self.sites.push(site);
        index(self.sites.len() - 1)
    }

    fn field(&mut self, rule: &RecordRule, path: &Path) -> u32 {
        let name = format!("{}.{path}", rule.name);
        let known = self.fields.iter().position(|field| field.as_ref() == name);
        index(known.unwrap_or_else(|| {
            self.fields.push(name.into());
            self.fields.len() - 1
        }))
    }

    fn rule(&mut self, rule: &RecordRule, columns: &Columns) -> Result<Rule, TooLarge> {
        let mut patterns = Vec::new();
        let selectors = Selectors::of(rule, &mut self.masks, |number, selector| {
            patterns.push(Pattern {
                path: selector.path.clone(),
                mark: Mark::Selector(number),
                declares: true,
            });
        });
        let selector_count = patterns.len();
        let (mut relations, mut relation_fields) = (Vec::new(), Vec::new());
        for (path, rule_ref) in &rule.relations {
            let number = index(relations.len());
            patterns.push(Pattern { path: path.clone(), mark: Mark::Relation(number), declares: true });
            if let Some((Step::Elements, list)) = path.steps().split_last() {
                let list = Path(list.to_vec());
                patterns.push(Pattern { path: list, mark: Mark::RelationList(number), declares: true });
            }
            let site = match self.decide(rule_ref, &Vec::new())? {
                Decide::Never => None,
                decide => Some(self.site(Site { decide, list: path.is_list(), top: false })),
            };
            relations.push(site);
            relation_fields.push(self.field(rule, path));
        }
        let mut pairs = Vec::new();
        for pair in &rule.pairs {
            patterns.push(Pattern {
                path: pair.at.clone(),
                mark: Mark::Pair(index(pairs.len())),
                declares: true,
            });
            let (probe, under) = probe_program(&[Path::name(&pair.name)], &Vec::new())?;
            let (name, value) = (pair.name.clone(), pair.value.clone());
            let decide = Decide::Pair(PairSite { probe, under, name, value });
            pairs.push(self.site(Site { decide, list: true, top: false }));
        }
        let exact = |path: &Path, mark| Pattern { path: path.clone(), mark, declares: false };
        patterns.extend(rule.embedded.iter().map(|path| exact(path, Mark::Embedded)));
        patterns.extend(rule.key.iter().map(|path| exact(path, Mark::Key)));
        let shape = Arc::new(Shape::compile(&patterns)?);
        let fields = self.fields_of(rule, &shape, patterns.get(..selector_count).unwrap_or_default());
        Ok(Rule {
            shape,
            selectors,
            relations,
            relation_fields,
            pairs,
            fields,
            columns: columns.clone(),
            programs: RwLock::new(HashMap::new()),
        })
    }

    /// By state: the field that a selector names exactly there; of several the one that says most.
    fn fields_of(&mut self, rule: &RecordRule, shape: &Shape, selectors: &[Pattern]) -> Vec<u32> {
        let names = |path: &Path| path.steps().iter().filter(|step| matches!(step, Step::Name(_))).count();
        let by_state = |state: &shape::State| {
            let exact = state.marks.iter().filter_map(|mark| match mark {
                Mark::Selector(selector) => selectors.get(*selector as usize).map(|pattern| &pattern.path),
                _ => None,
            });
            exact
                .filter(|path| !path.is_root())
                .max_by_key(|path| (names(path), std::cmp::Reverse((*path).clone())))
        };
        shape.states.iter().map(|s| by_state(s).map_or(NO_FIELD, |path| self.field(rule, path))).collect()
    }

    fn decide(&self, rule_ref: &RuleRef, columns: &Columns) -> Result<Decide, TooLarge> {
        let grants =
            |rule: usize| self.plan.rules.get(rule).map(|rule| rule.grants.as_slice()).unwrap_or_default();
        match rule_ref {
            RuleRef::Fixed(rule) if grants(rule.0).is_empty() => Ok(Decide::Never),
            RuleRef::Fixed(rule) if self.plan.rules.get(rule.0).is_some_and(|rule| !rule.is_held()) => {
                Ok(Decide::Always(rule.0))
            }
            RuleRef::Fixed(rule) => {
                let mut slots = Vec::new();
                let which = Which::Fixed(self.probed(rule.0, &mut slots));
                self.probe(slots, which, columns)
            }
            RuleRef::ByType { cases, .. } if cases.values().all(|rule| grants(rule.0).is_empty()) => {
                Ok(Decide::Never)
            }
            RuleRef::ByType { at, cases } => {
                let mut slots = vec![at.clone()];
                let cases = cases
                    .iter()
                    .map(|(name, rule)| (name.clone(), self.probed(rule.0, &mut slots)))
                    .collect();
                self.probe(slots, Which::ByType(cases), columns)
            }
        }
    }

    fn probe(&self, slots: Vec<Path>, which: Which, columns: &Columns) -> Result<Decide, TooLarge> {
        let (program, under) = probe_program(&slots, columns)?;
        Ok(Decide::Probe(Probe { program, slots: slots.len(), under, which }))
    }

    /// A rule's conditions, their places added to `slots`.
    fn probed(&self, rule: usize, slots: &mut Vec<Path>) -> ProbedRule {
        let mut slot = |path: &Path| {
            let known = slots.iter().position(|known| known == path);
            index(known.unwrap_or_else(|| {
                slots.push(path.clone());
                slots.len() - 1
            }))
        };
        let mut conditions: Vec<(Arc<Predicate>, Vec<u32>)> = Vec::new();
        let grants = self.plan.rules.get(rule).map(|rule| rule.grants.as_slice()).unwrap_or_default();
        let grants = grants
            .iter()
            .map(|grant| {
                let when = grant.when.as_ref()?;
                let known = conditions.iter().position(|(known, _)| Arc::ptr_eq(known, when));
                Some(known.unwrap_or_else(|| {
                    conditions.push((when.clone(), when.slots().iter().map(&mut slot).collect()));
                    conditions.len() - 1
                }))
            })
            .collect();
        let masks = self.plan.rules.get(rule).map(RecordRule::masks_by_record).unwrap_or_default();
        let masks = masks.into_iter().filter_map(|mask| {
            let slots = mask.choice()?.when.slots().iter().map(&mut slot).collect();
            Some((Arc::clone(mask), slots))
        });
        let masks = masks.collect();
        ProbedRule { rule, conditions, grants, masks }
    }

    fn layout(
        &mut self,
        records: Option<(&Path, bool)>,
        rows: bool,
        single: bool,
    ) -> Result<Arc<Program>, TooLarge> {
        let layout = &self.plan.layout;
        let mut patterns = Vec::new();
        let mut add = |path: Path, mark, declares| patterns.push(Pattern { path, mark, declares });
        if by_lines(&self.plan.format) {
            if records.is_some() {
                add(Path::default(), Mark::Record, false);
            }
            let shape = Arc::new(Shape::compile(&patterns)?);
            // Without records, nothing passes: every line is dropped.
            let nodes = if records.is_some() { layout_nodes(&shape, false, rows, false) } else { Vec::new() };
            return Ok(Arc::new(Program {
                shape,
                nodes,
                rule: None,
                grants: Vec::new(),
                columns: Vec::new(),
            }));
        }
        add(Path::default(), Mark::Root, false);
        for (number, path) in layout.keep.iter().enumerate() {
            add(path.clone(), Mark::Selector(index(number)), true);
        }
        if let Some(total) = &layout.total {
            add(total.at.clone(), Mark::Total, true);
        }
        if let Some((at, _)) = records {
            add(at.clone(), Mark::Record, true);
            let steps = at.steps();
            let certain = steps.iter().take_while(|step| !matches!(step, Step::Any | Step::Descend)).count();
            for (length, step) in steps.iter().take(certain).enumerate() {
                let way = if matches!(step, Step::Name(_)) { Mark::WayObject } else { Mark::WayArray };
                add(Path(steps.iter().take(length).cloned().collect()), way, true);
            }
            if let Some((_, list)) = steps.split_last().filter(|_| !single) {
                add(Path(list.to_vec()), Mark::RecordList, true);
            }
        }
        let recount = layout.total.as_ref().is_some_and(|total| total.recount);
        let shape = Arc::new(Shape::compile(&patterns)?);
        let nodes = layout_nodes(&shape, recount, rows, single);
        Ok(Arc::new(Program { shape, nodes, rule: None, grants: Vec::new(), columns: Vec::new() }))
    }
}

fn index(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Whether the automaton of a path leads to a place, which is given as names and indexes; `None` if it has none.
#[cfg(any(test, fuzzing))]
pub(crate) fn leads(path: &Path, place: &Path) -> Option<bool> {
    let pattern = Pattern { path: path.clone(), mark: Mark::Selector(0), declares: true };
    let shape = Shape::compile(&[pattern]).ok()?;
    let state = shape.follow(ROOT, place).and_then(|state| shape.state(state))?;
    Some(state.marks.contains(&Mark::Selector(0)))
}

/// A probe for some places, and by state which of them are ambiguous if it is reached twice.
fn probe_program(slots: &[Path], columns: &Columns) -> Result<(Arc<Program>, Vec<Vec<u32>>), TooLarge> {
    let pattern = |(number, path): (usize, &Path)| Pattern {
        path: path.clone(),
        mark: Mark::Slot(index(number)),
        declares: false,
    };
    let patterns: Vec<Pattern> = slots.iter().enumerate().map(pattern).collect();
    let shape = Arc::new(Shape::compile(&patterns)?);
    let nodes = probe_nodes(&shape);
    let under = (FORBIDDEN..).take(shape.states.len()).map(|id| slots_under(&shape, id)).collect();
    let columns = columns_of(&shape, columns);
    Ok((Arc::new(Program { shape, nodes, rule: None, grants: Vec::new(), columns }), under))
}

/// The slots at and below a state.
fn slots_under(shape: &Shape, id: StateId) -> Vec<u32> {
    let (mut seen, mut next, mut slots) = (vec![id], vec![id], Vec::new());
    while let Some(at) = next.pop() {
        for mark in shape.state(at).into_iter().flat_map(|state| state.marks.iter()) {
            if let Mark::Slot(slot) = mark {
                slots.push(*slot);
            }
        }
        for to in shape.successors(at) {
            if !seen.contains(&to) {
                seen.push(to);
                next.push(to);
            }
        }
    }
    slots
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::condition::{ParamTable, Value};
    use super::super::{Access, Bounds, Grant, Layout, RuleId};
    use super::*;

    /// docs/rules.md: "what depends on the record costs one evaluation per distinct condition per record".
    #[test]
    fn a_condition_is_judged_once_however_many_grants_have_it() {
        let mut params = ParamTable::default();
        let mut condition = |text: &str| Some(Arc::new(Predicate::compile(text, &mut params).unwrap()));
        let (first, second) = (condition("record.a == 1"), condition("record.a == 2 || record.b == 1"));
        let whens = [first.clone(), second.clone(), None, first.clone(), second, first];
        let grants =
            whens.map(|when| Grant { when, fields: Vec::new(), otherwise: Access::Show, name: "g".into() });
        let rule = RecordRule {
            name: "r".into(),
            key: None,
            grants: grants.into(),
            guards: Vec::new(),
            relations: Vec::new(),
            embedded: Vec::new(),
            pairs: Vec::new(),
        };
        let at = Path(vec![Step::Elements]);
        let records = Records::Many { at, rule: RuleRef::Fixed(RuleId(0)) };
        let layout = Layout { records, keep: Vec::new(), total: None };
        let plan = RewritePlan::new(Format::Json, layout, vec![rule], Bounds::default());
        let compiled = plan.compiled().unwrap();
        let Decide::Probe(Probe { which: Which::Fixed(rule), .. }) = &compiled.sites[0].decide else {
            panic!("it depends on the record")
        };
        let reads = Cell::new(0);
        let slot = |number: u32| {
            reads.set(reads.get() + 1);
            if number == 0 { Slot::Found(Value::Int(1)) } else { Slot::Missing }
        };
        assert_eq!(rule.applying(slot, &Params::default()), [0, 2, 3, 5]);
        assert_eq!(reads.get(), 3, "`a` for each of the two, and `b`");
    }
}
