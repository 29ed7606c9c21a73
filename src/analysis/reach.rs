//! How far roles reach: what holders of a set of roles could get of every field, by action, with the conditions under
//! which they do. [`matrix`](mod@super::matrix) and [`diff`](mod@super::diff) are views of this.
//!
//! Guards are taken as met and conditions as possible.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::policy::{Action, ResourceFacts, RouteRights, Survey, access_at};
use crate::rewrite::mask::{Mask, Strength};
use crate::rewrite::{Access, Grant, Path, RecordRule};

/// When and by what something holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cause {
    /// The condition on the record; `None`: always.
    pub(super) when: Option<Arc<str>>,
    /// File and line of the permission.
    pub(super) place: Arc<str>,
}

/// What becomes of a value.
#[derive(Clone, Debug)]
pub(super) enum Gives {
    /// It passes.
    Show,
    /// It is replaced.
    Mask(Arc<Mask>),
}

/// One thing that can become of a value.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// What becomes of it.
    pub(super) gives: Gives,
    /// When, and by what.
    pub(super) cause: Cause,
}

/// How far roles reach at one place.
#[derive(Clone, Debug, Default)]
pub(super) struct FieldReach {
    /// What its value can become, by action; only what makes a difference, the most revealing first.
    pub(super) read: BTreeMap<Action, Vec<Outcome>>,
    /// When it may be set, by action.
    pub(super) edit: BTreeMap<Action, Vec<Cause>>,
    /// The actions whose queries may name it.
    pub(super) query: BTreeSet<Action>,
}

/// A resource and a place in it. The root of the record stands for every member that nobody labelled.
pub(super) type Field = (Arc<str>, Path);

/// How far a set of roles reaches.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach {
    /// What may be done with records, and when.
    pub(super) actions: BTreeMap<(Arc<str>, Action), Vec<Cause>>,
    /// The actions whose answers hold records of a resource, also as related ones.
    pub(super) answers: BTreeSet<(Arc<str>, Action)>,
    /// What may be done with fields.
    pub(super) fields: BTreeMap<Field, FieldReach>,
}

impl Gives {
    /// What it reveals, for comparisons: a mask less than showing, of two masks the stronger less.
    pub(super) fn revealing(&self) -> (u8, Option<Strength>) {
        match self {
            Self::Mask(mask) => (0, Some(mask.strength())),
            Self::Show => (1, None),
        }
    }

    /// Whether both are the same in their effect; two masks of different names may be.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Show, Self::Show) => true,
            (Self::Mask(mine), Self::Mask(other)) => mine.spec() == other.spec(),
            (Self::Show, Self::Mask(_)) | (Self::Mask(_), Self::Show) => false,
        }
    }
}

/// Finds out how far holders of exactly these roles reach.
pub(super) fn reach(survey: &Survey<'_>, resources: &[ResourceFacts], roles: &[&str]) -> Reach {
    let mut reach = Reach::default();
    for rights in survey.rights(roles) {
        reach.action(survey, &rights);
        if rights.answers {
            for (index, rule) in rights.rewrite.rules.iter().enumerate() {
                let action = judged_by(survey, rule, index == 0, &rights.action);
                if !rule.grants.is_empty() {
                    reach.answers.insert((rule.name.clone(), action.clone()));
                }
                reach.read(survey, resources, rule, &action);
            }
        }
        reach.edit(survey, &rights);
        reach.query(resources, &rights);
    }
    for field in reach.fields.values_mut() {
        field.read.values_mut().for_each(|outcomes| *outcomes = deciding(std::mem::take(outcomes)));
        field.edit.values_mut().for_each(|causes| *causes = widest(std::mem::take(causes)));
    }
    reach.actions.values_mut().for_each(|causes| *causes = widest(std::mem::take(causes)));
    reach
}

impl Reach {
    fn action(&mut self, survey: &Survey<'_>, rights: &RouteRights) {
        let causes = self.actions.entry((rights.resource.clone(), rights.action.clone())).or_default();
        causes.extend(rights.permissions.iter().filter_map(|name| cause(survey, name)));
    }

    fn read(&mut self, survey: &Survey<'_>, resources: &[ResourceFacts], rule: &RecordRule, action: &Action) {
        let places = places(resources, rule);
        for grant in &rule.grants {
            let Some(cause) = cause(survey, &grant.name) else { continue };
            for path in &places {
                let gives = match access_at(&grant.fields, path) {
                    Access::Show => Gives::Show,
                    Access::Mask(mask) => Gives::Mask(mask.clone()),
                    Access::Hide => continue,
                };
                self.outcome(rule, path, action, Outcome { gives, cause: cause.clone() });
            }
            if matches!(grant.otherwise, Access::Show) {
                let outcome = Outcome { gives: Gives::Show, cause };
                self.outcome(rule, &Path::default(), action, outcome);
            }
        }
    }

    fn outcome(&mut self, rule: &RecordRule, path: &Path, action: &Action, outcome: Outcome) {
        let field = self.fields.entry((rule.name.clone(), path.clone())).or_default();
        field.read.entry(action.clone()).or_default().push(outcome);
    }

    fn edit(&mut self, survey: &Survey<'_>, rights: &RouteRights) {
        let Some(write) = &rights.write else { return };
        for name in &rights.permissions {
            let plan = write.narrowed(&BTreeSet::from([name.clone()]));
            let Some(cause) = cause(survey, name) else { continue };
            let fields = plan.rules.iter().flat_map(|rule| &rule.grants).flat_map(|grant| &grant.fields);
            for selector in fields.filter(|selector| matches!(selector.access, Access::Show)) {
                let field = (rights.resource.clone(), selector.path.clone());
                let causes = self.fields.entry(field).or_default().edit.entry(rights.action.clone());
                causes.or_default().push(cause.clone());
            }
        }
    }

    fn query(&mut self, resources: &[ResourceFacts], rights: &RouteRights) {
        let query = &rights.query;
        let Some(resource) = resources.iter().find(|resource| resource.name == rights.resource) else {
            return;
        };
        for field in resource.fields.iter().filter(|field| query.fields.queryable.contains(&field.text)) {
            let searched = !query.search.is_empty();
            if query.sort.is_some() || searched || query.filter.contains(&field.text) {
                let field = (rights.resource.clone(), field.path.clone());
                self.fields.entry(field).or_default().query.insert(rights.action.clone());
            }
        }
    }
}

fn cause(survey: &Survey<'_>, permission: &str) -> Option<Cause> {
    survey.permission(permission).map(|facts| Cause { when: facts.when, place: facts.place })
}

/// The action that the permissions of a rule are about: related records are judged by `read`, where there is a right
/// to it.
fn judged_by(survey: &Survey<'_>, rule: &RecordRule, own: bool, action: &Action) -> Action {
    let reads = |grant: &Grant| {
        survey.permission(&grant.name).is_some_and(|permission| permission.actions.contains(&Action::Read))
    };
    if !own && rule.grants.iter().any(reads) { Action::Read } else { action.clone() }
}

/// The labelled places of a rule's resource and every other place that a permission names.
fn places(resources: &[ResourceFacts], rule: &RecordRule) -> BTreeSet<Path> {
    let declared = resources.iter().filter(|resource| resource.name == rule.name);
    let declared = declared.flat_map(|resource| &resource.fields).map(|field| &field.path);
    let named = rule.grants.iter().flat_map(|grant| &grant.fields).map(|selector| &selector.path);
    declared.chain(named).cloned().collect()
}

/// Only what makes a difference: what is shown always is not masked as well, and of masks that apply together the
/// least revealing is applied (rule 3 of combination).
fn deciding(outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let (shown, masked): (Vec<_>, Vec<_>) =
        outcomes.into_iter().partition(|outcome| matches!(outcome.gives, Gives::Show));
    let mut shown = unlike(shown);
    if let Some(always) = shown.iter().position(|outcome| outcome.cause.when.is_none()) {
        return vec![shown.swap_remove(always)];
    }
    let mut masked = masked;
    masked.sort_by_key(|outcome| outcome.gives.revealing());
    let floor = masked.iter().find(|outcome| outcome.cause.when.is_none()).map(|o| o.gives.revealing());
    let mut kept: Vec<Outcome> = Vec::new();
    for outcome in masked {
        let condition = &outcome.cause.when;
        let above_floor = floor.as_ref().is_some_and(|floor| {
            outcome.gives.revealing() > *floor || (outcome.gives.revealing() == *floor && condition.is_some())
        });
        let shown_then = shown.iter().any(|other| other.cause.when == *condition);
        let less_revealing = kept.iter().any(|other| other.cause.when == *condition);
        if !above_floor && !shown_then && !less_revealing {
            kept.push(outcome);
        }
    }
    kept.reverse();
    shown.extend(kept);
    shown
}

/// Each condition once.
fn unlike(outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let mut kept: Vec<Outcome> = Vec::new();
    for outcome in outcomes {
        if !kept.iter().any(|known| known.cause.when == outcome.cause.when) {
            kept.push(outcome);
        }
    }
    kept
}

/// Each condition once; none where one of them is none.
fn widest(causes: Vec<Cause>) -> Vec<Cause> {
    if let Some(always) = causes.iter().find(|cause| cause.when.is_none()) {
        return vec![always.clone()];
    }
    let mut kept: Vec<Cause> = Vec::new();
    for cause in causes {
        if !kept.iter().any(|known| known.when == cause.when) {
            kept.push(cause);
        }
    }
    kept
}
