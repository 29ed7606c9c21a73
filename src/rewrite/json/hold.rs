//! Records whose own content decides: read to their end (bounded), judged, then rewritten by the program for the
//! grants that apply, or not released. A record that lies within one slice is read twice and not copied.

use std::sync::Arc;

use super::super::automaton::{Act, Counted};
use super::super::automaton::{
    Compiled, Decide, FORBIDDEN, PASSING, PairSite, Probe, Program, ROOT, StateId, Which,
};
use super::super::condition::Slot;
use super::super::output::Output;
use super::super::path::Path;
use super::choose::Seen;
use super::machine::{Flow, Kind, Machine, Role, Step};
use super::text::decode_text;

/// A record being read.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    site: u32,
    /// Where it starts in the slice; 0 once it goes over a seam.
    start: usize,
    /// Where it starts in the answer.
    offset: u64,
    /// It began in an earlier slice; what has come is in `held`.
    split: bool,
    /// The state where it stands.
    child: StateId,
    /// Deciding values that are being read: depth, state, offset.
    reading: Vec<(usize, StateId, u64)>,
    found: Vec<Found>,
    visited: Vec<bool>,
}

/// A deciding value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Missing,
    /// From and to, from the record's start.
    At(usize, usize),
    Ambiguous,
}

/// What was decided about the value that is read again.
#[derive(Debug)]
pub(crate) enum Forced {
    Record(Arc<Program>, u32),
    /// A name/value pair whose value is at this state.
    Pair(StateId, u32),
    Keep,
}

impl Hold {
    /// A deciding value stands at a state, from and to these offsets of the answer.
    pub(crate) fn note(&mut self, program: &Program, state: StateId, place: [u64; 2]) {
        let [from, to] = place.map(|at| usize::try_from(at - self.offset).unwrap_or(usize::MAX));
        for slot in program.shape.state(state).into_iter().flat_map(|state| state.slots()) {
            if let Some(found) = self.found.get_mut(slot as usize) {
                *found = if *found == Found::Missing { Found::At(from, to) } else { Found::Ambiguous };
            }
        }
    }

    /// The deciding values as they stand: `None` inside for one that is missing, nothing at all if one is ambiguous.
    fn values<'r>(&self, record: &'r [u8]) -> impl Iterator<Item = Option<Option<&'r [u8]>>> {
        self.found.iter().map(|found| match found {
            Found::Missing => Some(None),
            Found::At(from, to) => record.get(*from..*to).map(Some),
            Found::Ambiguous => None,
        })
    }

    /// A member of the probed record is reached; a second time, its values are ambiguous.
    pub(crate) fn visit(&mut self, state: StateId, compiled: &Compiled) {
        let under = match compiled.sites.get(self.site as usize).map(|site| &site.decide) {
            Some(Decide::Probe(probe)) => &probe.under,
            Some(Decide::Pair(pair)) => &pair.under,
            Some(Decide::Never | Decide::Always(_)) | None => return,
        };
        let (Some(visited), Some(slots)) = (self.visited.get_mut(state as usize), under.get(state as usize))
        else {
            return;
        };
        if std::mem::replace(visited, true) && state != FORBIDDEN {
            for slot in slots {
                if let Some(found) = self.found.get_mut(*slot as usize) {
                    *found = Found::Ambiguous;
                }
            }
        }
    }
}

impl Machine {
    /// How far a slice may be read: to the bound of the record that is held, or to its end.
    pub(crate) fn limit(&self, slice: &[u8]) -> usize {
        let most = self.plan.bounds.record_bytes;
        match &self.hold {
            Some(hold) if hold.split => slice.len().min(most.saturating_sub(self.held.len())),
            Some(hold) => slice.len().min(hold.start.saturating_add(most)),
            None => slice.len(),
        }
    }

    /// The slice ends within the held record.
    pub(crate) fn hold_over(&mut self, slice: &[u8]) {
        if let Some(hold) = &mut self.hold {
            self.held.extend_from_slice(slice.get(hold.start..).unwrap_or_default());
            hold.split = true;
            hold.start = 0;
        }
    }

    /// A record, row or pair begins at `pos`.
    pub(crate) fn open_record(&mut self, site: u32, kind: Kind, slice: &[u8], out: &mut impl Output) {
        let compiled = Arc::clone(&self.compiled);
        match compiled.sites.get(site as usize).map(|site| &site.decide) {
            Some(Decide::Always(rule)) => match self.always(*rule) {
                Some(program) => self.begin_record(program, site, kind, slice, out),
                None => self.withhold_unread(site, kind, slice, out),
            },
            Some(Decide::Probe(Probe { program, slots, .. })) => {
                self.begin_hold(site, kind, program, *slots, slice, out)
            }
            Some(Decide::Pair(PairSite { probe, .. })) => self.begin_hold(site, kind, probe, 1, slice, out),
            Some(Decide::Never) | None => self.withhold_unread(site, kind, slice, out),
        }
    }

    /// The program for all grants of a rule, looked up once.
    fn always(&mut self, rule: usize) -> Option<Arc<Program>> {
        if let Some((_, program)) = self.always.iter().find(|(known, _)| *known == rule) {
            return Some(Arc::clone(program));
        }
        let all: Vec<usize> = (0..self.plan.rules.get(rule).map_or(0, |rule| rule.grants.len())).collect();
        let program = self.compiled.program(rule, &all)?;
        self.always.push((rule, Arc::clone(&program)));
        Some(program)
    }

    /// The program for some grants of a rule; the last one is at hand.
    fn program_for(&mut self, rule: usize, grants: &[usize]) -> Option<Arc<Program>> {
        if let Some(last) =
            self.last_program.as_ref().filter(|last| last.rule == Some(rule) && last.grants == grants)
        {
            return Some(Arc::clone(last));
        }
        let program = self.compiled.program(rule, grants)?;
        self.last_program = Some(Arc::clone(&program));
        Some(program)
    }

    fn begin_record(
        &mut self,
        program: Arc<Program>,
        site: u32,
        kind: Kind,
        slice: &[u8],
        out: &mut impl Output,
    ) {
        self.tally.applied(program.rule, &program.grants);
        let top = self.compiled.sites.get(site as usize).is_some_and(|site| site.top);
        self.tally.counts.released += u64::from(top);
        if kind == Kind::Object && program.node(ROOT).object == Act::Keep {
            self.keep_member(self.pos, slice, out);
            if self.at_single_record() {
                self.records_over(slice, out);
            }
            self.skip_subtree(kind, Flow::Pass);
            return;
        }
        self.programs.push(program);
        let role = if kind == Kind::Array { Role::Row } else { Role::Record };
        self.push_live(kind, role, ROOT, true, slice, out);
    }

    fn begin_hold(
        &mut self,
        site: u32,
        kind: Kind,
        program: &Arc<Program>,
        slots: usize,
        slice: &[u8],
        out: &mut impl Output,
    ) {
        self.set_aside(slice, out);
        let mut hold = std::mem::take(&mut self.spare);
        hold.reading.clear();
        hold.found.clear();
        hold.found.resize(slots, Found::Missing);
        hold.visited.clear();
        hold.visited.resize(program.nodes.len(), false);
        let offset = self.base + self.pos as u64;
        self.hold = Some(Hold { site, start: self.pos, offset, split: false, child: self.child, ..hold });
        self.end = self.limit(slice);
        self.programs.push(Arc::clone(program));
        self.push_silent(kind, Role::Probe, ROOT);
    }

    /// What is done about a value that was decided, read again from its first byte.
    pub(crate) fn open_forced(
        &mut self,
        forced: Forced,
        kind: Kind,
        slice: &[u8],
        out: &mut impl Output,
    ) -> Step {
        match forced {
            Forced::Record(program, site) => self.begin_record(program, site, kind, slice, out),
            Forced::Pair(value, site) => {
                self.push_live(kind, Role::Pair(value, site), FORBIDDEN, false, slice, out)
            }
            Forced::Keep => {
                self.keep_member(self.pos, slice, out);
                self.skip_subtree(kind, Flow::Pass);
            }
        }
        Ok(())
    }

    // === deciding values ===

    /// A deciding value begins at `pos`.
    pub(crate) fn open_slot(&mut self) {
        if let Some(hold) = &mut self.hold {
            hold.reading.push((self.kinds.len(), self.child, self.base + self.pos as u64 - hold.offset));
        }
    }

    /// A value ended at `pos`; if it is the one being read, its place is known.
    pub(crate) fn close_slot(&mut self) {
        let (depth, at) = (self.kinds.len(), self.base + self.pos as u64);
        let (Some(hold), Some(program)) = (&mut self.hold, self.programs.last()) else { return };
        let Some((_, state, from)) = hold.reading.pop_if(|(open, ..)| *open == depth) else { return };
        hold.note(program, state, [hold.offset + from, at]);
    }

    // === the decision ===

    /// The held record has ended at `pos`.
    pub(crate) fn decide(&mut self, slice: &[u8], out: &mut impl Output) -> Step {
        let Some(hold) = self.hold.take() else { return Ok(()) };
        self.programs.pop();
        self.silent = None;
        self.emit.flush(slice, out);
        self.emit.skip_to(self.pos);
        self.flow = Flow::Undecided;
        self.child = hold.child;
        self.end = slice.len();
        let mut held = std::mem::take(&mut self.held);
        if hold.split {
            held.extend_from_slice(slice.get(..self.pos).unwrap_or_default());
        }
        let record = if hold.split { &held } else { slice.get(hold.start..self.pos).unwrap_or_default() };
        self.forced = self.judged(&hold, record);
        self.choose(&hold, record);
        let end = self.pos;
        match (self.forced.is_some(), hold.split) {
            (false, _) => {
                self.withhold(hold.site, slice, out);
                self.flow = Flow::Discard;
                self.end_value(slice, out);
            }
            (true, false) => self.again(hold.start),
            (true, true) => {
                let base = std::mem::replace(&mut self.base, hold.offset);
                self.again(0);
                self.end = held.len();
                self.run(&held, out)?;
                self.seam(&held, out);
                self.ahead.forget();
                self.base = base;
                self.pos = end;
                self.end = slice.len();
                self.emit.skip_to(end);
            }
        }
        held.clear();
        self.held = held;
        self.spare = hold;
        Ok(())
    }

    /// What was decided about a record with the same deciding values, or else what is decided now.
    fn judged(&mut self, hold: &Hold, record: &[u8]) -> Option<Forced> {
        let probe = matches!(
            self.compiled.sites.get(hold.site as usize).map(|site| &site.decide),
            Some(Decide::Probe(_))
        );
        if !probe || !self.verdicts.ask(hold.site, hold.values(record)) {
            return self.judge(hold, record);
        }
        let program = match self.verdicts.known() {
            Some(program) => program,
            None => {
                let program = match self.judge(hold, record) {
                    Some(Forced::Record(program, _)) => Some(program),
                    _ => None,
                };
                self.verdicts.learn(program.clone());
                program
            }
        };
        program.map(|program| Forced::Record(program, hold.site))
    }

    /// Finds out what is chosen in a record that is going to be written.
    fn choose(&mut self, hold: &Hold, record: &[u8]) {
        let (program, pair) = match &self.forced {
            Some(Forced::Record(program, _)) => (program, None),
            Some(Forced::Pair(state, _)) => match self.programs.last() {
                Some(program) => (program, Some(*state)),
                None => return,
            },
            Some(Forced::Keep) | None => return,
        };
        let seen = Seen { program, value_bytes: self.plan.bounds.value_bytes };
        match (pair, self.compiled.sites.get(hold.site as usize).map(|site| &site.decide)) {
            (Some(state), Some(Decide::Pair(PairSite { value, .. }))) => {
                self.choices.resolve_pair(seen, state, value, record, hold.offset);
            }
            _ if !program.shape.is_choosing(ROOT) => {}
            _ => {
                self.choices.forget_before(hold.offset);
                if record.first() == Some(&b'[') {
                    self.choices.resolve_row(seen, record, hold.offset);
                } else {
                    self.choices.resolve(seen, ROOT, record, hold.offset);
                }
            }
        }
    }

    fn again(&mut self, from: usize) {
        self.pos = from;
        self.emit.skip_to(from);
        self.lex = super::lexer::Lex::Value;
    }

    fn judge(&mut self, hold: &Hold, record: &[u8]) -> Option<Forced> {
        let compiled = Arc::clone(&self.compiled);
        let limit = self.plan.bounds.value_bytes;
        let slot = |slot: u32| match hold.found.get(slot as usize) {
            Some(Found::At(from, to)) => {
                record.get(*from..*to).map_or(Slot::Ambiguous, |raw| Slot::read(raw, limit))
            }
            Some(Found::Missing) => Slot::Missing,
            Some(Found::Ambiguous) | None => Slot::Ambiguous,
        };
        let text = |slot: u32| match hold.found.get(slot as usize) {
            Some(Found::At(from, to)) => record
                .get(*from..*to)
                .and_then(|raw| raw.strip_prefix(b"\"")?.strip_suffix(b"\""))
                .filter(|raw| raw.len() <= limit)
                .and_then(decode_text),
            Some(Found::Missing | Found::Ambiguous) | None => None,
        };
        match &compiled.sites.get(hold.site as usize)?.decide {
            Decide::Probe(probe) => {
                let rule = match &probe.which {
                    Which::Fixed(rule) => rule,
                    Which::ByType(cases) => cases.get(text(0)?.as_str())?,
                };
                let grants = rule.applying(slot, &self.params);
                if grants.is_empty() {
                    return None;
                }
                Some(Forced::Record(self.program_for(rule.rule, &grants)?, hold.site))
            }
            Decide::Pair(_) => self.judge_pair(&text(0)?, hold.site),
            Decide::Never | Decide::Always(_) => None,
        }
    }

    /// A pair is judged as the member of the record that its name says, or as the place with that dotted path.
    fn judge_pair(&mut self, name: &str, site: u32) -> Option<Forced> {
        let program = Arc::clone(self.programs.last()?);
        let mut state = program.member(ROOT, name.as_bytes());
        if !program.node(state).declared {
            let longer = Path::parse_field(name).ok().map(|path| program.follow(&path));
            if let Some(longer) = longer.filter(|to| *to == FORBIDDEN || program.node(*to).declared) {
                state = longer;
            } else {
                self.tally.unknown(&Path::default(), Some(name.as_bytes()));
            }
        }
        let node = program.node(state);
        if (node.text, node.object, node.array) == (Act::Keep, Act::Keep, Act::Keep) {
            self.tally.field(node.field, node.counts);
            return Some(Forced::Keep);
        }
        if node.hidden {
            self.tally.field(node.field, Counted::Hidden);
            return None;
        }
        Some(Forced::Pair(if state == PASSING { FORBIDDEN } else { state }, site))
    }

    // === not released ===

    /// A record that begins at `pos` is not released.
    fn withhold_unread(&mut self, site: u32, kind: Kind, slice: &[u8], out: &mut impl Output) {
        self.withhold(site, slice, out);
        self.skip_subtree(kind, Flow::Discard);
    }

    fn withhold(&mut self, site: u32, slice: &[u8], out: &mut impl Output) {
        let compiled = Arc::clone(&self.compiled);
        let Some(entry) = compiled.sites.get(site as usize) else { return };
        if entry.top {
            self.tally.counts.withheld += 1;
        } else {
            let node = self.node();
            self.tally.field(node.field, Counted::Hidden);
        }
        if entry.list {
            self.drop_member(slice, out);
        } else {
            self.replace(b"null", slice, out);
        }
        if entry.top && !entry.list {
            self.records_over(slice, out);
        }
    }
}
