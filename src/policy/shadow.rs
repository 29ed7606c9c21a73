//! What would have been decided otherwise: if the rules in shadow were in force, or another policy.
//!
//! Comes in: a request with what was decided about it. Goes out: what would have been different, by names only. The
//! second decision is made by the code that makes the first, nothing is sent under it, and whatever it says, the first
//! one stands. Where a difference depends on records, which are not looked at a second time, it is called possible.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::identity::Principal;
use crate::rewrite::{Access, Layout, Path, RecordRule, Records, RewritePlan, Selector};

use super::assemble::access_at;
use super::model::View;
use super::permit::{Bound, Denial, Permit, QueryRule, WriteRule};
use super::plan::Plan;

/// What would have decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShadowOf {
    /// The policy in force with its rules in shadow.
    Rules,
    /// Another policy beside it.
    Policy,
}

impl ShadowOf {
    /// The name in metrics and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Policy => "policy",
        }
    }
}

/// How far the decision would have been another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowEffect {
    /// Not at all.
    Same,
    /// It would have been refused.
    Refuse,
    /// It was refused, and would not have been.
    Allow,
    /// Other fields or records would have come out, or could have been set.
    Change,
    /// It cannot be said: the other policy would have had to read the body, or knows nothing of what is referred to.
    Unknown,
}

impl ShadowEffect {
    /// The name in metrics, records and tests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Refuse => "refuse",
            Self::Allow => "allow",
            Self::Change => "change",
            Self::Unknown => "unknown",
        }
    }
}

/// What would have been different about one request.
#[derive(Clone, Debug)]
pub struct Foreseen {
    /// What would have decided.
    pub of: ShadowOf,
    /// How far.
    pub effect: ShadowEffect,
    /// Why it would have been refused or, with [`ShadowEffect::Allow`], why it was.
    pub reason: Option<Arc<str>>,
    /// The rules in shadow that were considered, and guards in shadow that are not met.
    pub rules: Vec<Arc<str>>,
    /// The version of the policy that would have decided.
    pub version: Arc<str>,
    /// The api and action, where the policy in force has no route.
    pub about: Option<(Arc<str>, Arc<str>)>,
    /// The fields and records concerned.
    pub difference: Arc<Difference>,
}

/// What two sets of rights on a route differ in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Fields.
    pub fields: Vec<FieldChange>,
    /// Resources of which fewer, more or other records could be released.
    pub records: BTreeMap<Arc<str>, RecordsChange>,
    /// Whether more or less of what stands beside the records would pass.
    pub envelope: bool,
}

impl Difference {
    fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.records.is_empty() && !self.envelope
    }
}

/// A field that would have been treated otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// The resource.
    pub resource: Arc<str>,
    /// The field; `*` for what nobody labelled.
    pub field: Arc<str>,
    /// How it was treated.
    pub from: Treatment,
    /// How it would have been.
    pub to: Treatment,
    /// Whether that depends on the record.
    pub possible: bool,
}

/// What becomes of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It is not released.
    Hidden,
    /// It is replaced by this mask.
    Masked(Arc<str>),
    /// It is shown in clear.
    Shown,
    /// It may not be set.
    Fixed,
    /// It may be set.
    Editable,
}

impl std::fmt::Display for Treatment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hidden => f.write_str("hidden"),
            Self::Masked(mask) => write!(f, "masked as {mask}"),
            Self::Shown => f.write_str("shown"),
            Self::Fixed => f.write_str("not editable"),
            Self::Editable => f.write_str("editable"),
        }
    }
}

impl std::fmt::Display for FieldChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { resource, field, from, to, possible } = self;
        if from == to {
            return write!(f, "{resource}.{field}: {to} on other records");
        }
        write!(f, "{resource}.{field}: {from} -> {to}")?;
        if *possible { f.write_str(", on some records") } else { Ok(()) }
    }
}

/// How the records that could be released differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordsChange {
    /// Some would be withheld.
    Fewer,
    /// More could be released.
    More,
    /// Others.
    Other,
}

impl RecordsChange {
    /// The name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fewer => "fewer",
            Self::More => "more",
            Self::Other => "other",
        }
    }
}

/// A request that was decided about.
#[derive(Clone, Copy)]
pub struct Decided<'r> {
    /// Its head.
    pub head: &'r http::request::Parts,
    /// Its body, where that was read to decide.
    pub body: Option<&'r Bytes>,
    /// What it refers to, where that was looked up.
    pub recalled: Option<&'r Bound>,
    /// Who asks; `None` on a public route.
    pub principal: Option<&'r Principal>,
    /// When.
    pub now: Timestamp,
    /// What was decided.
    pub decision: Result<&'r Permit, &'r Denial>,
}

/// What later stages say about a permit for this very request: an error if they would refuse it.
pub type Asks<'a> = &'a dyn Fn(&Permit) -> Result<(), String>;

impl Plan {
    /// Whether any rule is in shadow.
    pub fn has_shadow(&self) -> bool {
        self.has_shadow
    }

    /// Says what this plan would have decided otherwise: as if its rules in shadow were in force or, as another policy
    /// than the one that decided, by its rules in force.
    pub fn foresee(&self, of: ShadowOf, decided: &Decided<'_>, asks: Asks<'_>) -> Foreseen {
        let mut foreseen = Foreseen {
            of,
            effect: ShadowEffect::Same,
            reason: None,
            rules: Vec::new(),
            version: self.version.clone(),
            about: None,
            difference: Arc::default(),
        };
        let Some(other) = self.decide_otherwise(of, decided) else {
            foreseen.effect = ShadowEffect::Unknown;
            return foreseen;
        };
        let refused = |decision: Result<&Permit, &Denial>| match decision {
            Ok(permit) => asks(permit).err().map(Arc::from),
            Err(denial) => Some(denial.reason.to_string().into()),
        };
        let other_facts = match &other {
            Ok(permit) => Some(permit.route()),
            Err(denial) => denial.route.as_ref(),
        };
        foreseen.about = other_facts.map(|route| {
            (route.api.clone(), route.action.as_ref().map_or("none", |action| action.name()).into())
        });
        foreseen.rules = self.in_shadow(of, &other, decided.decision);
        (foreseen.effect, foreseen.reason) = match (refused(decided.decision), refused(other.as_ref())) {
            (Some(_), Some(_)) => (ShadowEffect::Same, None),
            (None, Some(reason)) => (ShadowEffect::Refuse, Some(reason)),
            (Some(reason), None) => (ShadowEffect::Allow, Some(reason)),
            (None, None) => match (decided.decision, &other) {
                (Ok(live), Ok(other)) if live.route.public != other.route.public => {
                    (ShadowEffect::Change, Some("the route would be public".into()))
                }
                (Ok(live), Ok(other)) if !live.route.public => {
                    foreseen.difference = self.difference(live, other);
                    let same = foreseen.difference.is_empty();
                    (if same { ShadowEffect::Same } else { ShadowEffect::Change }, None)
                }
                _ => (ShadowEffect::Same, None),
            },
        };
        foreseen
    }

    /// The other decision; `None`: it cannot be made.
    fn decide_otherwise(&self, of: ShadowOf, decided: &Decided<'_>) -> Option<Result<Permit, Denial>> {
        let Decided { head, body, recalled, principal, now, .. } = *decided;
        let view = match of {
            ShadowOf::Rules => View::Shadow,
            ShadowOf::Policy => View::Live,
        };
        let seen = match self.see(head) {
            Ok(seen) => seen,
            Err(denial) => return Some(Err(denial)),
        };
        if of == ShadowOf::Policy
            && ((body.is_none() && self.judges_body(&seen))
                || (recalled.is_none() && self.recall(head, &seen).is_some()))
        {
            return None;
        }
        let operation = match self.operation_of(head, seen, body.cloned(), recalled) {
            Ok(operation) => operation,
            Err(denial) => return Some(Err(denial)),
        };
        match principal {
            Some(principal) => Some(self.decide_in(view, principal, operation, now)),
            // Who asks was not found out, as the route in force is public.
            None if self.table(operation.route).is_some_and(|route| !route.facts.public) => None,
            None => Some(self.pass(operation, now)),
        }
    }

    /// The rules in shadow that had a say.
    fn in_shadow(
        &self,
        of: ShadowOf,
        other: &Result<Permit, Denial>,
        live: Result<&Permit, &Denial>,
    ) -> Vec<Arc<str>> {
        if of == ShadowOf::Policy {
            return Vec::new();
        }
        let permit = match other {
            Ok(permit) => permit,
            Err(denial) => {
                let route = denial.route.as_ref();
                let guards = self.tables.guards.iter().filter(|guard| guard.shadow && route.is_some());
                let named = guards.filter(|guard| denial.is_by_guard(&guard.name));
                return named.map(|guard| format!("guards.{}", guard.name).into()).collect();
            }
        };
        let unmet = |name: &str| {
            let guard = self.tables.guards.iter().find(|guard| *guard.name == *name);
            guard.is_some_and(|guard| permit.parts().any(|part| !guard.require.is_met(&[], &part.params)))
        };
        let known: BTreeSet<&Arc<str>> = live.iter().flat_map(|permit| permit.rules.iter()).collect();
        let new = permit.rules.iter().filter(|rule| !known.contains(rule));
        new.filter(|rule| rule.strip_prefix("guards.").is_none_or(unmet)).cloned().collect()
    }

    /// All differences of the requests in a batch. Both are about the same requests, unless one is no batch.
    fn difference_of_batches(&self, live: &Permit, other: &Permit) -> Difference {
        let mut all = Difference::default();
        for (live, other) in live.parts().zip(other.parts()) {
            let found = self.difference(live, other);
            let new = found.fields.iter().filter(|change| !all.fields.contains(change));
            let new: Vec<_> = new.cloned().collect();
            all.fields.extend(new);
            all.records.extend(found.records.clone());
            all.envelope |= found.envelope;
        }
        all.envelope |= live.batch.is_some() != other.batch.is_some();
        all
    }

    fn difference(&self, live: &Permit, other: &Permit) -> Arc<Difference> {
        if live.batch.is_some() || other.batch.is_some() {
            return Arc::new(self.difference_of_batches(live, other));
        }
        let compare = || Arc::new(compared(live, other));
        if live.columns.is_some() || other.columns.is_some() {
            // Its plan was made for this request.
            return compare();
        }
        let numbers = |rule: &Arc<QueryRule>| {
            let address = Arc::as_ptr(rule).addr() as u64;
            [address as u32, (address >> 32) as u32]
        };
        let key = [numbers(&live.query), numbers(&other.query)].concat();
        let make = || Known { difference: compare(), _held: (live.query.clone(), other.query.clone()) };
        self.differences.get_or_make(&key, make).difference
    }
}

/// A difference that was found. What it is found by, the addresses of rights, is held with it: an address that is free
/// again could be that of others.
#[derive(Clone, Debug)]
pub(super) struct Known {
    difference: Arc<Difference>,
    _held: (Arc<QueryRule>, Arc<QueryRule>),
}

// === comparing ===

fn compared(live: &Permit, other: &Permit) -> Difference {
    let mut difference = Difference::default();
    let (before, after) = (by_name(&live.rewrite), by_name(&other.rewrite));
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for name in names {
        let (was, is) = (before.get(name).copied(), after.get(name).copied());
        let resource = name.0;
        difference.fields.extend(fields(resource, was, is));
        // Whether related records are released shows in the fields that hold them.
        if let Some(change) = records(was, is) {
            difference.records.entry(resource.clone()).or_insert(change);
        }
    }
    edits(live, other, &mut difference.fields);
    difference.fields.dedup();
    difference.envelope = live.rewrite.format != other.rewrite.format
        || beside(&live.rewrite.layout) != beside(&other.rewrite.layout);
    difference
}

/// The rules of a plan by resource; a resource may have two, as the route's own and as related.
fn by_name(plan: &RewritePlan) -> BTreeMap<(&Arc<str>, usize), &RecordRule> {
    let mut found = BTreeMap::new();
    for rule in &plan.rules {
        let count = (0..).find(|count| !found.contains_key(&(&rule.name, *count))).unwrap_or(0);
        found.insert((&rule.name, count), rule);
    }
    found
}

fn beside(layout: &Layout) -> (&[Path], bool, Option<&Path>) {
    let records = !matches!(layout.records, Records::None);
    (&layout.keep, records, layout.total.as_ref().map(|total| &total.at))
}

/// What grants give at a place: by which condition, and what.
type Given<'p> = Vec<(Option<&'p Arc<str>>, &'p Access)>;

fn fields(resource: &Arc<str>, was: Option<&RecordRule>, is: Option<&RecordRule>) -> Vec<FieldChange> {
    let rules = || was.iter().chain(is.iter());
    let granted = rules().flat_map(|rule| &rule.grants).flat_map(|grant| &grant.fields);
    let guarded = rules().flat_map(|rule| &rule.guards).flatten();
    let places: BTreeSet<&Path> = granted.chain(guarded).map(|selector| &selector.path).collect();
    let labelled = places.into_iter().filter_map(|path| {
        let at = |rule: Option<&RecordRule>| -> (Treatment, bool) { treated(&given(rule, path)) };
        let same = given(was, path) == given(is, path);
        (!same).then(|| (path.to_string(), at(was), at(is)))
    });
    let unlabelled = (otherwise(was) != otherwise(is))
        .then(|| ("*".to_owned(), treated(&otherwise(was)), treated(&otherwise(is))));
    let changes = labelled.chain(unlabelled);
    changes
        .take(MOST_FIELDS)
        .map(|(field, (from, depends), (to, would_depend))| FieldChange {
            resource: resource.clone(),
            field: field.into(),
            from,
            to,
            possible: depends || would_depend,
        })
        .collect()
}

fn given<'p>(rule: Option<&'p RecordRule>, path: &Path) -> Given<'p> {
    let Some(rule) = rule else { return Vec::new() };
    if rule.guards.iter().any(|guard| matches!(access_at(guard, path), Access::Hide)) {
        return Vec::new();
    }
    reduced(rule.grants.iter().map(|grant| {
        let covered = grant.fields.iter().any(|selector| selector.path.is_prefix_of(path));
        let access = if covered { access_at(&grant.fields, path) } else { &grant.otherwise };
        (grant.when.as_ref().map(|when| when.source()), access)
    }))
}

fn otherwise(rule: Option<&RecordRule>) -> Given<'_> {
    let grants = rule.into_iter().flat_map(|rule| &rule.grants);
    reduced(grants.map(|grant| (grant.when.as_ref().map(|when| when.source()), &grant.otherwise)))
}

/// Without what makes no difference, and in one order.
fn reduced<'p>(given: impl Iterator<Item = (Option<&'p Arc<str>>, &'p Access)>) -> Given<'p> {
    let mut found: Given<'p> = Vec::new();
    for one in given.filter(|(_, access)| !matches!(access, Access::Hide)) {
        if matches!(one, (None, Access::Show)) {
            return vec![one];
        }
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found.sort_by_key(|(when, access)| (*when, matches!(access, Access::Show)));
    found
}

/// The most that is given, and whether that depends on the record.
fn treated(given: &Given<'_>) -> (Treatment, bool) {
    let depends = given.iter().any(|(when, _)| when.is_some());
    let masks = given.iter().filter_map(|(_, access)| match access {
        Access::Mask(mask) => Some(mask),
        Access::Show | Access::Hide => None,
    });
    let most = if given.iter().any(|(_, access)| matches!(access, Access::Show)) {
        Treatment::Shown
    } else {
        let weakest = masks.min_by_key(|mask| mask.strength());
        weakest.map_or(Treatment::Hidden, |mask| Treatment::Masked(mask.name().into()))
    };
    (most, depends)
}

fn records(was: Option<&RecordRule>, is: Option<&RecordRule>) -> Option<RecordsChange> {
    let (was, is) = (released(was?), released(is?));
    match (was, is) {
        (None, None) => None,
        (None, Some(_)) => Some(RecordsChange::Fewer),
        (Some(_), None) => Some(RecordsChange::More),
        (Some(was), Some(is)) if was == is => None,
        (Some(was), Some(is)) if is.is_subset(&was) => Some(RecordsChange::Fewer),
        (Some(was), Some(is)) if was.is_subset(&is) => Some(RecordsChange::More),
        (Some(_), Some(_)) => Some(RecordsChange::Other),
    }
}

/// The conditions under which a record is released; `None`: always.
fn released(rule: &RecordRule) -> Option<BTreeSet<&Arc<str>>> {
    rule.grants.iter().map(|grant| grant.when.as_ref().map(|when| when.source())).collect()
}

/// Fields that a body may set under one permit and not under the other, whichever permissions apply to the record.
fn edits(live: &Permit, other: &Permit, changes: &mut Vec<FieldChange>) {
    let (Some(was), Some(is)) = (&live.write, &other.write) else { return };
    let resource = live.route.resource.clone().unwrap_or_default();
    let places: BTreeSet<&Path> =
        [was, is].iter().flat_map(|rule| &rule.grants).flat_map(|g| &g.fields).map(|s| &s.path).collect();
    let settable = |rule: &WriteRule, path: &Path| -> Option<bool> {
        let allows = |fields: &[Selector]| matches!(access_at(fields, path), Access::Show);
        let any = rule.grants.iter().any(|grant| allows(&grant.fields));
        let always = rule.plan.rules.iter().flat_map(|rule| &rule.grants).any(|grant| allows(&grant.fields));
        any.then_some(always)
    };
    for path in places.into_iter().take(MOST_FIELDS) {
        let (was, is) = (settable(was, path), settable(is, path));
        if was == is {
            continue;
        }
        let of = |settable: Option<bool>| settable.map_or(Treatment::Fixed, |_| Treatment::Editable);
        changes.push(FieldChange {
            resource: resource.clone(),
            field: path.to_string().into(),
            from: of(was),
            to: of(is),
            possible: was == Some(false) || is == Some(false),
        });
    }
}

/// Fields of one resource that are told of.
const MOST_FIELDS: usize = 256;

#[cfg(test)]
mod tests;
