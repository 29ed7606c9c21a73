//! What to do at every state of a [`Shape`], for one set of applying grants.

use std::sync::Arc;

use super::super::mask::Mask;
use super::super::path::{Path, Step};
use super::super::plan::{Access, RecordRule, Selector};
use super::shape::{FORBIDDEN, Mark, ROOT, Shape, State, StateId};

/// What happens with a value of one kind at one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// It passes, whole.
    Keep,
    /// It goes, whole.
    Drop,
    /// A scalar is masked; a container becomes `null`.
    Mask(u32),
    /// A container: what is below decides; it passes if something in it does.
    Walk,
    /// A container goes, and what is below is only counted.
    DropCounting,
    /// A container becomes `null`, and what is below is only counted.
    NullCounting,
    /// A container passes even if nothing in it does.
    Open,
    /// An object is a record under the rule of this site.
    Record(u32),
    /// `null` stands where one record was asked for.
    NoRecord,
    /// An array is a record: positional rows.
    Row(u32),
    /// An object is a name/value pair.
    Pair(u32),
    /// Text that holds JSON: the state decides inside it.
    Embedded,
    /// The total.
    Total,
    /// The answer is cut: something else was promised here.
    Unexpected,
}

/// No counter.
pub(crate) const NO_FIELD: u32 = u32::MAX;

/// What happens at one state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) text: Act,
    /// Numbers and truth values.
    pub(crate) other: Act,
    pub(crate) null: Act,
    pub(crate) object: Act,
    pub(crate) array: Act,
    /// An empty container that is walked.
    pub(crate) empty: Act,
    /// The field's counters, if the place is a field.
    pub(crate) field: u32,
    /// How the place's own value counts where it has the right kind.
    pub(crate) counts: Counted,
    /// The value is collected: a record's key or a deciding value.
    pub(crate) capture: Capture,
    /// Wholly shown.
    pub(crate) shown: bool,
    /// Wholly hidden.
    pub(crate) hidden: bool,
    pub(crate) declared: bool,
    /// The paths say which kind of container must stand here.
    pub(crate) container: bool,
    /// The records end with this array.
    pub(crate) ends_records: bool,
}

/// Which of a field's counters goes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Shown,
    Masked,
    Hidden,
    /// Not by itself: what stands below counts.
    No,
}

/// What is collected at a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capture {
    Nothing,
    Key,
    /// Deciding values: the state's marks say which.
    Slots,
}

/// The acts for all states.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) shape: Arc<Shape>,
    pub(crate) nodes: Vec<Node>,
    /// The record's rule; `None` for the envelope and for probes.
    pub(crate) rule: Option<usize>,
    /// The grants that apply, as numbers within the rule, and what the record decided of its masks.
    pub(crate) grants: Vec<usize>,
    /// For positional rows: the state of every column.
    pub(crate) columns: Vec<StateId>,
}

impl Program {
    #[inline]
    pub(crate) fn node(&self, state: StateId) -> &Node {
        match self.nodes.get(state as usize) {
            Some(node) => node,
            None if state == PASSING => &PASSING_NODE,
            None => &FORBIDDEN_NODE,
        }
    }

    /// The state of a decoded member name. A name that nobody named, but that reads like one somebody did, is
    /// hidden unless that one is wholly shown.
    #[inline]
    pub(crate) fn member(&self, state: StateId, name: &[u8]) -> StateId {
        let Some(from) = self.shape.state(state) else { return FORBIDDEN };
        match from.names.find(name) {
            Some(to) => to,
            None => self.unnamed(from, name),
        }
    }

    /// The state of the place that a column or a dotted name says: each name is compared like a member's, and what
    /// stands in a related record or in a name/value pair is not the parent's to decide.
    pub(crate) fn follow(&self, path: &Path) -> StateId {
        let mut state = ROOT;
        for step in path.steps() {
            if state == FORBIDDEN || self.is_foreign(state) {
                return FORBIDDEN;
            }
            state = match step {
                Step::Name(name) => self.member(state, name.as_bytes()),
                Step::Index(index) => self.shape.element(state, *index),
                Step::Elements | Step::Any | Step::Slice { .. } | Step::Chosen(_) | Step::Descend => {
                    FORBIDDEN
                }
            };
        }
        state
    }

    /// Whether something of its own stands here, decided elsewhere.
    fn is_foreign(&self, state: StateId) -> bool {
        let marks = self.shape.state(state).map(|state| &state.marks);
        marks.is_some_and(|marks| marks.iter().any(|mark| matches!(mark, Mark::Relation(_) | Mark::Pair(_))))
    }

    fn unnamed(&self, from: &State, name: &[u8]) -> StateId {
        if from.names.is_empty() || self.node(from.other).hidden {
            return from.other;
        }
        let folded = super::names::fold(&String::from_utf8_lossy(name));
        match from.folded.get(folded.as_str()) {
            Some(meant) if !meant.iter().all(|state| self.node(*state).shown) => FORBIDDEN,
            Some(_) | None => from.other,
        }
    }
}

const FORBIDDEN_NODE: Node = Node {
    text: Act::Drop,
    other: Act::Drop,
    null: Act::Drop,
    object: Act::Drop,
    array: Act::Drop,
    empty: Act::Drop,
    field: NO_FIELD,
    counts: Counted::No,
    capture: Capture::Nothing,
    shown: false,
    hidden: true,
    declared: false,
    container: false,
    ends_records: false,
};

/// A state whose places always pass: the name in a name/value pair. No automaton has this many states.
pub(crate) const PASSING: StateId = StateId::MAX;

const PASSING_NODE: Node = Node {
    text: Act::Keep,
    other: Act::Keep,
    null: Act::Keep,
    object: Act::Keep,
    array: Act::Keep,
    empty: Act::Keep,
    shown: true,
    hidden: false,
    declared: true,
    ..FORBIDDEN_NODE
};

/// The access of one state, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    Hide,
    Mask(u32),
    Show,
}

impl Given {
    fn act(self) -> Act {
        match self {
            Self::Hide => Act::Drop,
            Self::Mask(mask) => Act::Mask(mask),
            Self::Show => Act::Keep,
        }
    }

    fn counted(self) -> Counted {
        match self {
            Self::Hide => Counted::Hidden,
            Self::Mask(_) => Counted::Masked,
            Self::Show => Counted::Shown,
        }
    }
}

/// All selectors of a rule in one numbering, and whose they are.
#[derive(Debug, Default)]
pub(crate) struct Selectors {
    entries: Vec<(Owner, u32, Given)>,
    otherwise: Vec<Given>,
    guards: usize,
    /// The masks that depend on the record: which one it is, not met and met.
    choices: Vec<ByRecord>,
}

/// A mask that depends on the record, and what stands for it.
#[derive(Clone, Debug)]
struct ByRecord {
    /// As it is numbered where the record has not been looked at: then it is the less revealing of the two.
    unknown: Given,
    taken: [Given; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Grant(usize),
    Guard(usize),
}

impl Selectors {
    /// Numbers the selectors of a rule in the order grants, guards; `visit` sees each.
    pub(crate) fn of(rule: &RecordRule, masks: &mut Masks, mut visit: impl FnMut(u32, &Selector)) -> Self {
        let mut all = Self { guards: rule.guards.len(), ..Self::default() };
        let mut add = |all: &mut Self, owner, selector: &Selector| {
            visit(u32::try_from(all.entries.len()).unwrap_or(u32::MAX), selector);
            all.entries.push((owner, selector.rank, masks.given(&selector.access)));
        };
        for (grant, fields) in rule.grants.iter().map(|grant| &grant.fields).enumerate() {
            fields.iter().for_each(|selector| add(&mut all, Owner::Grant(grant), selector));
        }
        for (guard, fields) in rule.guards.iter().enumerate() {
            fields.iter().for_each(|selector| add(&mut all, Owner::Guard(guard), selector));
        }
        all.otherwise = rule.grants.iter().map(|grant| masks.given(&grant.otherwise)).collect();
        for mask in rule.masks_by_record() {
            let Some(choice) = mask.choice() else { continue };
            let mut given = |mask: &Arc<Mask>| masks.given(&Access::Mask(Arc::clone(mask)));
            let taken = [given(&choice.otherwise), given(&choice.then)];
            all.choices.push(ByRecord { unknown: given(mask), taken });
        }
        all
    }

    /// The same with the masks that a record decides for.
    fn taken(&self, branches: impl Iterator<Item = (usize, bool)>) -> Self {
        let mut all = Self {
            entries: self.entries.clone(),
            otherwise: self.otherwise.clone(),
            guards: self.guards,
            choices: Vec::new(),
        };
        for (number, met) in branches {
            let Some(ByRecord { unknown, taken: [other, then] }) = self.choices.get(number) else { continue };
            let taken = if met { *then } else { *other };
            let entries = all.entries.iter_mut().map(|(_, _, given)| given);
            entries
                .chain(&mut all.otherwise)
                .filter(|given| *given == unknown)
                .for_each(|given| *given = taken);
        }
        all
    }

    /// The winner among the matching selectors of one owner: highest rank, then hide, mask, show.
    fn winner(&self, owner: Owner, matched: &[u32], masks: &Masks) -> Option<Given> {
        let mine =
            matched.iter().filter_map(|m| self.entries.get(*m as usize)).filter(|entry| entry.0 == owner);
        mine.fold(None, |best: Option<(u32, Given)>, (_, rank, given)| match best {
            Some((high, _)) if high > *rank => best,
            Some((high, other)) if high == *rank => Some((high, masks.narrower(other, *given))),
            Some(_) | None => Some((*rank, *given)),
        })
        .map(|(_, given)| given)
    }

    fn guarded(&self, matched: &[u32], masks: &Masks) -> bool {
        (0..self.guards).any(|guard| self.winner(Owner::Guard(guard), matched, masks) == Some(Given::Hide))
    }

    fn given(&self, grants: &[usize], matched: &[u32], masks: &Masks) -> Given {
        if self.guarded(matched, masks) {
            return Given::Hide;
        }
        grants.iter().fold(Given::Hide, |united, grant| {
            let otherwise = self.otherwise.get(*grant).copied().unwrap_or(Given::Hide);
            let given = self.winner(Owner::Grant(*grant), matched, masks).unwrap_or(otherwise);
            masks.wider(united, given)
        })
    }
}

/// The masks of a plan, each once.
#[derive(Debug, Default)]
pub(crate) struct Masks(Vec<Arc<Mask>>);

impl Masks {
    pub(crate) fn get(&self, mask: u32) -> Option<&Mask> {
        self.0.get(mask as usize).map(Arc::as_ref)
    }

    fn given(&mut self, access: &Access) -> Given {
        match access {
            Access::Hide => Given::Hide,
            Access::Show => Given::Show,
            Access::Mask(mask) => {
                let known = self.0.iter().position(|m| Arc::ptr_eq(m, mask));
                let index = known.unwrap_or_else(|| {
                    self.0.push(Arc::clone(mask));
                    self.0.len() - 1
                });
                Given::Mask(u32::try_from(index).unwrap_or(u32::MAX))
            }
        }
    }

    /// Of two masks the less revealing; a tie keeps the first.
    fn weaker(&self, a: u32, b: u32) -> Given {
        let strength = |mask| self.get(mask).map(Mask::strength);
        Given::Mask(if strength(b) < strength(a) { b } else { a })
    }

    fn narrower(&self, a: Given, b: Given) -> Given {
        match (a, b) {
            (Given::Hide, _) | (_, Given::Hide) => Given::Hide,
            (Given::Mask(a), Given::Mask(b)) => self.weaker(a, b),
            (mask @ Given::Mask(_), Given::Show) | (Given::Show, mask @ Given::Mask(_)) => mask,
            (Given::Show, Given::Show) => Given::Show,
        }
    }

    fn wider(&self, a: Given, b: Given) -> Given {
        match (a, b) {
            (Given::Show, _) | (_, Given::Show) => Given::Show,
            (Given::Mask(a), Given::Mask(b)) => self.weaker(a, b),
            (mask @ Given::Mask(_), Given::Hide) | (Given::Hide, mask @ Given::Mask(_)) => mask,
            (Given::Hide, Given::Hide) => Given::Hide,
        }
    }
}

/// Everything a program is made from beside the shape.
pub(crate) struct Source<'s> {
    pub(crate) selectors: &'s Selectors,
    pub(crate) masks: &'s Masks,
    /// By relation: its site, or `None` where no record of it is ever released.
    pub(crate) relations: &'s [Option<u32>],
    /// By relation, by pairs: the counters.
    pub(crate) relation_fields: &'s [u32],
    /// By pairs: the site.
    pub(crate) pairs: &'s [u32],
    /// By state: the field's counters.
    pub(crate) fields: &'s [u32],
}

/// The acts of a record's states for a set of grants.
pub(crate) fn record_nodes(shape: &Shape, grants: &[usize], source: &Source<'_>) -> Vec<Node> {
    let taken = source.selectors.taken(super::branches(grants));
    let given: Vec<Given> =
        shape.states.iter().map(|s| taken.given(grants, &s.matched, source.masks)).collect();
    let facts = Facts::of(shape, &given, source.fields);
    let mut nodes = vec![FORBIDDEN_NODE];
    for (id, state) in (ROOT..).zip(shape.states.iter().skip(1)) {
        let given = given.get(id as usize).copied().unwrap_or(Given::Hide);
        let mut node = plain_node(state, given, facts.uniform(id), facts.deep(id));
        node.field = source.fields.get(id as usize).copied().unwrap_or(NO_FIELD);
        let guarded = source.selectors.guarded(&state.matched, source.masks);
        for mark in &state.marks {
            special(&mut node, *mark, guarded, source);
        }
        if state.marks.contains(&Mark::Embedded) {
            node.text = match (facts.uniform(id), given) {
                (true, given) => given.act(),
                (false, _) => Act::Embedded,
            };
            if facts.uniform(id) && facts.deep(id) && given == Given::Show {
                node.text = Act::Embedded;
            }
        }
        nodes.push(node);
    }
    nodes
}

fn plain_node(state: &State, given: Given, uniform: bool, deep: bool) -> Node {
    let container = match (uniform, deep, given) {
        (true, false, given) => given.act(),
        (true, true, Given::Hide) => Act::DropCounting,
        (true, true, Given::Mask(_)) => Act::NullCounting,
        (true, true, Given::Show) | (false, _, _) => Act::Walk,
    };
    // Where a container is declared, nothing of another kind passes.
    let only = state.kinds.any();
    let scalar = if only { Act::Drop } else { given.act() };
    Node {
        text: scalar,
        other: scalar,
        null: scalar,
        object: if only && !state.kinds.object { Act::Drop } else { container },
        array: if only && !state.kinds.array { Act::Drop } else { container },
        empty: given.act(),
        counts: given.counted(),
        shown: uniform && given == Given::Show,
        hidden: uniform && given == Given::Hide,
        declared: state.declared,
        container: only,
        ..FORBIDDEN_NODE
    }
}

fn special(node: &mut Node, mark: Mark, guarded: bool, source: &Source<'_>) {
    let scalars = |node: &mut Node, act: Act| (node.text, node.other, node.null) = (act, act, act);
    match mark {
        Mark::Relation(relation) => {
            let site = source.relations.get(relation as usize).copied().flatten().filter(|_| !guarded);
            scalars(node, Act::Drop);
            node.array = Act::Drop;
            node.object = site.map_or(Act::Drop, Act::Record);
            node.field = source.relation_fields.get(relation as usize).copied().unwrap_or(NO_FIELD);
            node.counts = if site.is_some() { Counted::No } else { Counted::Hidden };
        }
        Mark::RelationList(relation) => {
            let open = source.relations.get(relation as usize).copied().flatten().is_some() && !guarded;
            scalars(node, Act::Drop);
            node.object = Act::Drop;
            node.array = if open { Act::Open } else { Act::Drop };
            node.empty = node.array;
            node.field = source.relation_fields.get(relation as usize).copied().unwrap_or(NO_FIELD);
            node.counts = if open { Counted::No } else { Counted::Hidden };
        }
        Mark::Pair(pairs) => {
            let site = source.pairs.get(pairs as usize).copied().filter(|_| !guarded);
            scalars(node, Act::Drop);
            node.array = Act::Drop;
            node.object = site.map_or(Act::Drop, Act::Pair);
            node.counts = Counted::No;
        }
        Mark::Key => node.capture = Capture::Key,
        Mark::Slot(_) => node.capture = Capture::Slots,
        Mark::Embedded
        | Mark::Selector(_)
        | Mark::Record
        | Mark::WayObject
        | Mark::WayArray
        | Mark::RecordList
        | Mark::Total
        | Mark::Root => {}
    }
}

/// Whether all places at and below a state have one access, and whether anything below must be looked at anyway.
struct Facts {
    uniform: Vec<bool>,
    deep: Vec<bool>,
}

impl Facts {
    fn of(shape: &Shape, given: &[Given], fields: &[u32]) -> Self {
        let marked = |state: &State| state.marks.iter().any(|mark| !matches!(mark, Mark::Selector(_)));
        let mut uniform: Vec<bool> = shape
            .states
            .iter()
            .map(|state| {
                !state
                    .marks
                    .iter()
                    .any(|m| !matches!(m, Mark::Selector(_) | Mark::Embedded | Mark::Key | Mark::Root))
            })
            .collect();
        let mut deep: Vec<bool> = shape.states.iter().map(|state| state.kinds.any()).collect();
        let looked_at = |id: StateId| {
            shape.state(id).is_some_and(marked)
                || fields.get(id as usize).is_some_and(|field| *field != NO_FIELD)
        };
        loop {
            let mut changed = false;
            for (id, index) in (FORBIDDEN..).zip(0..shape.states.len()) {
                let at = |list: &[bool], id: StateId| list.get(id as usize).copied().unwrap_or(false);
                let same = |to: StateId| given.get(to as usize) == given.get(index) && at(&uniform, to);
                let now_uniform = at(&uniform, id) && shape.successors(id).all(same);
                let now_deep = at(&deep, id) || shape.successors(id).any(|to| at(&deep, to) || looked_at(to));
                changed |= now_uniform != at(&uniform, id) || now_deep != at(&deep, id);
                if let (Some(u), Some(d)) = (uniform.get_mut(index), deep.get_mut(index)) {
                    (*u, *d) = (now_uniform, now_deep);
                }
            }
            if !changed {
                return Self { uniform, deep };
            }
        }
    }

    fn uniform(&self, id: StateId) -> bool {
        self.uniform.get(id as usize).copied().unwrap_or(false)
    }

    fn deep(&self, id: StateId) -> bool {
        self.deep.get(id as usize).copied().unwrap_or(true)
    }
}

/// The acts of the envelope.
pub(crate) fn layout_nodes(shape: &Shape, total: bool, rows: bool, single: bool) -> Vec<Node> {
    let given: Vec<Given> =
        shape.states.iter().map(|s| if s.matched.is_empty() { Given::Hide } else { Given::Show }).collect();
    let facts = Facts::of(shape, &given, &[]);
    let mut nodes = vec![FORBIDDEN_NODE];
    for (id, state) in (ROOT..).zip(shape.states.iter().skip(1)) {
        let given = given.get(id as usize).copied().unwrap_or(Given::Hide);
        let mut node = plain_node(state, given, facts.uniform(id), facts.deep(id));
        node.counts = Counted::No;
        node.declared = true;
        let has = |mark| state.marks.contains(&mark);
        let way = (has(Mark::WayObject), has(Mark::WayArray));
        if id == ROOT && !node.shown && way == (false, false) && !has(Mark::Record) {
            // The root passes as a container; a bare value there was not kept.
            (node.text, node.other, node.null) = (Act::Unexpected, Act::Unexpected, Act::Unexpected);
            let open = |act: Act| if act == Act::Keep { Act::Keep } else { Act::Open };
            (node.object, node.array, node.empty) = (open(node.object), open(node.array), Act::Keep);
        }
        if has(Mark::Total) {
            // A total that passes is a number or its text; whatever else stands there was not kept.
            let (scalar, container) = if total { (Act::Total, Act::Total) } else { (Act::Keep, Act::Drop) };
            (node.text, node.other, node.null) = (scalar, scalar, scalar);
            (node.object, node.array) = (container, container);
        }
        if way != (false, false) {
            let open = |stands: bool| if stands { Act::Open } else { Act::Unexpected };
            (node.text, node.other, node.null) = (Act::Unexpected, Act::Unexpected, Act::Unexpected);
            (node.object, node.array) = (open(way.0), open(way.1));
            node.ends_records = has(Mark::RecordList);
        }
        if has(Mark::Record) {
            record_node(&mut node, rows, single);
        }
        nodes.push(node);
    }
    nodes
}

fn record_node(node: &mut Node, rows: bool, single: bool) {
    let other = if single || rows { Act::Unexpected } else { Act::Drop };
    (node.text, node.other, node.null) = (other, other, if single { Act::NoRecord } else { other });
    (node.object, node.array) = if rows { (other, Act::Row(0)) } else { (Act::Record(0), other) };
    node.ends_records = single;
}

/// The acts of a probe: nothing passes, deciding values are collected.
pub(crate) fn probe_nodes(shape: &Shape) -> Vec<Node> {
    let leads = |id: StateId| shape.successors(id).any(|to| to != id && to != FORBIDDEN) || id == ROOT;
    let mut nodes = vec![FORBIDDEN_NODE];
    for (id, state) in (ROOT..).zip(shape.states.iter().skip(1)) {
        let container = if leads(id) { Act::DropCounting } else { Act::Drop };
        let reads = state.marks.iter().any(|mark| matches!(mark, Mark::Slot(_)));
        nodes.push(Node {
            object: container,
            array: container,
            capture: if reads { Capture::Slots } else { Capture::Nothing },
            declared: reads || leads(id),
            ..FORBIDDEN_NODE
        });
    }
    nodes
}
