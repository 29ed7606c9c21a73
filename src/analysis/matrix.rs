//! Role × resource × field: what holders of each role, alone with what it inherits, see, set and query.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::policy::syntax::PolicySet;
use crate::policy::{Action, GuardFacts, Plan, ResourceFacts, RoleFacts, Survey, access_at};
use crate::rewrite::{Access, Path};

use super::holders::{Holders, holders};
use super::reach::{Cause, FieldReach, Gives, Outcome, Reach, reach};

/// What is asked for; empty lists: everything.
#[derive(Clone, Debug, Default)]
pub struct MatrixScope {
    /// Only these resources.
    pub resources: Vec<String>,
    /// Only these roles.
    pub roles: Vec<String>,
}

/// The picture, as data.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// The version of the policy.
    pub version: Arc<str>,
    /// One for every role.
    pub columns: Vec<Column>,
    /// One for every resource.
    pub sections: Vec<Section>,
    /// What the numbers mean: number 1 is the first.
    pub notes: Vec<Note>,
    /// Rules in shadow, which the picture does not show: name, and file and line.
    pub shadow: Vec<(Arc<str>, Option<Arc<str>>)>,
}

/// A role.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub role: Arc<str>,
    /// The roles it inherits from, nearest first.
    pub inherits: Vec<Arc<str>>,
    /// Who holds it.
    pub holders: Holders,
    /// The masks its holders may have turned back.
    pub unmasks: Vec<Arc<str>>,
}

/// A resource.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name.
    pub resource: Arc<str>,
    /// What each role may do with its records.
    pub actions: Vec<Vec<ActionMark>>,
    /// Its fields, by label, from the most open to the most guarded.
    pub groups: Vec<Group>,
}

/// An action that a role may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionMark {
    /// The action.
    pub action: Action,
    /// Numbers of the notes about it.
    pub notes: Vec<usize>,
}

/// The fields with one label.
#[derive(Clone, Debug)]
pub struct Group {
    /// The label; `None`: members that nobody labelled and that pass all the same.
    pub label: Option<Arc<str>>,
    /// Its place among the labels of the policy, 0 for the most open, and how many there are.
    pub rank: (usize, usize),
    /// The fields.
    pub rows: Vec<Row>,
}

/// A field.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its path.
    pub field: String,
    /// One for every role.
    pub cells: Vec<Cell>,
}

/// What one role gets of one field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// What a reader can get, the most revealing first; empty: hidden.
    pub marks: Vec<Mark>,
    /// Numbers of the notes about all of it.
    pub notes: Vec<usize>,
    /// Whether it may be set, with the numbers of the notes about that.
    pub edit: Option<Vec<usize>>,
    /// Whether queries may name it.
    pub query: bool,
}

/// One thing that a reader can get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The mask's name; `None`: shown in clear.
    pub mask: Option<String>,
    /// Numbers of the notes about it.
    pub notes: Vec<usize>,
}

/// A footnote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What is to be known.
    pub about: About,
    /// Files and lines.
    pub places: BTreeSet<Arc<str>>,
}

/// What a footnote says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// Only where this condition is met.
    Condition(Arc<str>),
    /// One action differs.
    Exception {
        /// The action.
        action: Action,
        /// What can be had on it: mask (`None`: in clear) and condition. Empty: nothing.
        outcomes: Vec<(Option<String>, Option<Arc<str>>)>,
    },
    /// Only a new record may have it.
    CreateOnly,
    /// A guard takes it away unless its condition is met.
    Guard {
        /// Its name.
        name: Arc<str>,
        /// Its condition.
        require: Arc<str>,
        /// On these actions; empty: all.
        actions: Vec<Action>,
        /// Whether it refuses the request; otherwise it hides the field.
        refuses: bool,
    },
}

/// Draws the picture.
pub fn matrix(plan: &Plan, set: &PolicySet, scope: &MatrixScope) -> Matrix {
    let survey = plan.survey();
    let wanted = |names: &[String], name: &str| names.is_empty() || names.iter().any(|known| known == name);
    let all_roles = survey.roles();
    let held = holders(set, &all_roles);
    let roles: Vec<RoleFacts> =
        all_roles.into_iter().filter(|role| wanted(&scope.roles, &role.name)).collect();
    let resources = survey.resources();
    let reaches: Vec<Reach> =
        roles.iter().map(|role| reach(&survey, &resources, &[role.name.as_ref()])).collect();
    let mut draw = Draw { survey: &survey, guards: survey.guards(), reaches: &reaches, notes: Vec::new() };
    let sections = resources
        .iter()
        .filter(|resource| wanted(&scope.resources, &resource.name))
        .map(|resource| draw.section(resource))
        .collect();
    let notes = draw.notes;
    let columns = roles
        .into_iter()
        .map(|role| Column {
            holders: held.get(&role.name).cloned().unwrap_or_default(),
            role: role.name,
            inherits: role.inherits,
            unmasks: role.unmasks,
        })
        .collect();
    Matrix { version: plan.version().clone(), columns, sections, notes, shadow: survey.in_shadow() }
}

struct Draw<'d> {
    survey: &'d Survey<'d>,
    guards: Vec<GuardFacts>,
    reaches: &'d [Reach],
    notes: Vec<Note>,
}

impl Draw<'_> {
    fn section(&mut self, resource: &ResourceFacts) -> Section {
        let reaches = self.reaches;
        let actions = reaches.iter().map(|reach| self.actions(&resource.name, reach)).collect();
        let mut rows: BTreeMap<Option<usize>, Vec<Row>> = BTreeMap::new();
        for path in self.places(resource) {
            let label = self.survey.label_at(&resource.name, &path);
            let cells: Vec<Cell> = reaches.iter().map(|reach| self.cell(resource, &path, reach)).collect();
            let field = if path.is_root() { UNLABELLED.to_owned() } else { path.to_string() };
            rows.entry(label).or_default().push(Row { field, cells });
        }
        let labels = self.survey.labels();
        let groups = rows
            .into_iter()
            .map(|(label, rows)| Group {
                label: label.and_then(|index| labels.get(index)).cloned(),
                // What nobody labelled may be anything.
                rank: (label.unwrap_or(labels.len().saturating_sub(1)), labels.len()),
                rows,
            })
            .collect();
        Section { resource: resource.name.clone(), actions, groups }
    }

    /// The labelled places as they are written, each followed by the places below it that permissions name; then, if
    /// any of them passes, what nobody labelled.
    fn places(&self, resource: &ResourceFacts) -> Vec<Path> {
        let reached: BTreeSet<&Path> = self
            .reaches
            .iter()
            .flat_map(|reach| reach.fields.keys())
            .filter(|(name, _)| *name == resource.name)
            .map(|(_, path)| path)
            .collect();
        let declared: BTreeSet<&Path> = resource.fields.iter().map(|field| &field.path).collect();
        let mut places: Vec<Path> = Vec::new();
        for field in &resource.fields {
            places.push(field.path.clone());
            let owner = |path: &Path| {
                let above = resource.fields.iter().filter(|other| other.path.is_prefix_of(path));
                above.max_by_key(|other| other.path.steps().len()).is_some_and(|o| o.path == field.path)
            };
            let below = reached.iter().filter(|path| !declared.contains(**path) && owner(path));
            places.extend(below.map(|path| (*path).clone()));
        }
        places.extend(reached.iter().filter(|path| path.is_root()).map(|path| (*path).clone()));
        places
    }

    fn actions(&mut self, resource: &Arc<str>, reach: &Reach) -> Vec<ActionMark> {
        let mut marks = Vec::new();
        for ((_, action), causes) in reach.actions.iter().filter(|((name, _), _)| name == resource) {
            let mut notes = self.conditions(causes);
            for index in 0..self.guards.len() {
                notes.extend(self.refusal(index, resource, action));
            }
            marks.push(ActionMark { action: action.clone(), notes });
        }
        marks
    }

    /// The note about a guard that may refuse an action.
    fn refusal(&mut self, index: usize, resource: &Arc<str>, action: &Action) -> Option<usize> {
        let guard = self.guards.get(index)?;
        let concerns = guard.hides.is_none()
            && (guard.actions.is_empty() || guard.actions.contains(action))
            && (guard.resources.is_empty() || guard.resources.contains(resource));
        let (name, require, place) = (guard.name.clone(), guard.require.clone(), guard.place.clone());
        concerns.then(|| {
            self.note(About::Guard { name, require, actions: Vec::new(), refuses: true }, Some(place))
        })
    }

    fn cell(&mut self, resource: &ResourceFacts, path: &Path, reach: &Reach) -> Cell {
        let Some(field) = reach.fields.get(&(resource.name.clone(), path.clone())) else {
            return Cell::default();
        };
        let main = main_action(&resource.name, reach);
        let usual = main.and_then(|action| field.read.get(action)).map_or(&[][..], Vec::as_slice);
        let marks = usual.iter().map(|outcome| self.mark(outcome)).collect();
        let mut notes = Vec::new();
        for (_, action) in reach.answers.iter().filter(|(name, _)| *name == resource.name) {
            let here = field.read.get(action).map_or(&[][..], Vec::as_slice);
            if Some(action) != main && is_exception(action, here, usual) {
                notes.push(self.exception(action, here));
            }
        }
        let released: BTreeSet<&Action> = field.read.keys().collect();
        for index in 0..self.guards.len() {
            notes.extend(self.hiding(index, &resource.name, path, &released));
        }
        let edit = (!field.edit.is_empty()).then(|| self.edit(field));
        Cell { marks, notes, edit, query: !field.query.is_empty() }
    }

    fn mark(&mut self, outcome: &Outcome) -> Mark {
        let notes = self.conditions(std::slice::from_ref(&outcome.cause));
        Mark { mask: mask_name(&outcome.gives), notes }
    }

    fn exception(&mut self, action: &Action, outcomes: &[Outcome]) -> usize {
        let places: Vec<_> = outcomes.iter().map(|outcome| outcome.cause.place.clone()).collect();
        let outcomes =
            outcomes.iter().map(|o| (mask_name(&o.gives), o.cause.when.clone())).collect::<Vec<_>>();
        self.note(About::Exception { action: action.clone(), outcomes }, places)
    }

    fn edit(&mut self, field: &FieldReach) -> Vec<usize> {
        let always = field.edit.values().flatten().any(|cause| cause.when.is_none());
        let causes: Vec<Cause> = field.edit.values().flatten().cloned().collect();
        let mut notes = if always { Vec::new() } else { self.conditions(&causes) };
        if field.edit.keys().all(|action| *action == Action::Create) {
            notes.push(self.note(About::CreateOnly, causes.into_iter().map(|cause| cause.place)));
        }
        notes
    }

    /// The note about a guard that may hide a place on one of the actions that release it.
    fn hiding(
        &mut self,
        i: usize,
        resource: &str,
        path: &Path,
        released: &BTreeSet<&Action>,
    ) -> Option<usize> {
        let guard = self.guards.get(i)?;
        let hides = guard.hides.as_ref()?.get(resource)?;
        let concerns = guard.actions.is_empty() || guard.actions.iter().any(|a| released.contains(a));
        if released.is_empty() || !concerns || !matches!(access_at(hides, path), Access::Hide) {
            return None;
        }
        // What covers nothing of the guard is hidden for `access_at`, too.
        hides.iter().find(|selector| selector.path.is_prefix_of(path))?;
        let place = guard.place.clone();
        let about = About::Guard {
            name: guard.name.clone(),
            require: guard.require.clone(),
            actions: guard.actions.clone(),
            refuses: false,
        };
        Some(self.note(about, Some(place)))
    }

    fn conditions(&mut self, causes: &[Cause]) -> Vec<usize> {
        let mut notes = Vec::new();
        for cause in causes {
            if let Some(when) = &cause.when {
                notes.push(self.note(About::Condition(when.clone()), Some(cause.place.clone())));
            }
        }
        notes.sort_unstable();
        notes.dedup();
        notes
    }

    /// The number of a note; equal ones share it.
    fn note(&mut self, about: About, places: impl IntoIterator<Item = Arc<str>>) -> usize {
        if let Some(index) = self.notes.iter().position(|note| note.about == about) {
            if let Some(note) = self.notes.get_mut(index) {
                note.places.extend(places);
            }
            return index + 1;
        }
        self.notes.push(Note { about, places: places.into_iter().collect() });
        self.notes.len()
    }
}

/// The action that the picture is of: reading one record, else listing, else whatever there is.
fn main_action<'r>(resource: &str, reach: &'r Reach) -> Option<&'r Action> {
    let mut answers = reach.answers.iter().filter(|(name, _)| **name == *resource).map(|(_, action)| action);
    let first = answers.clone().next();
    answers
        .clone()
        .find(|action| **action == Action::Read)
        .or_else(|| answers.find(|action| **action == Action::List).or(first))
}

/// Whether an action is worth a note beside the usual one: listing and exporting wherever they differ, others (which
/// answer with the record they changed) only where they give more.
fn is_exception(action: &Action, here: &[Outcome], usual: &[Outcome]) -> bool {
    let known = |one: &Outcome, all: &[Outcome]| {
        all.iter().any(|other| other.gives.equals(&one.gives) && other.cause.when == one.cause.when)
    };
    let more = here.iter().any(|outcome| !known(outcome, usual));
    match action {
        Action::List | Action::Read | Action::Export => {
            more || usual.iter().any(|outcome| !known(outcome, here))
        }
        Action::Create | Action::Update | Action::Delete | Action::Named(_) => more,
    }
}

fn mask_name(gives: &Gives) -> Option<String> {
    match gives {
        Gives::Show => None,
        Gives::Mask(mask) => Some(mask.name().to_owned()),
    }
}

/// How members nobody labelled are called.
const UNLABELLED: &str = "(everything else)";

#[cfg(test)]
mod tests;
