//! What each role may see, set, ask and do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::policy::{Action, ResourceFacts, RoleFacts, Survey};

use super::super::holders::{Holders, holders};
use super::super::reach::{Cause, FieldReach, Gives, Outcome, Reach, reach};
use super::{Change, ChangeKind, Side, code, names};

/// What kind of right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Right {
    See,
    /// The same place was masked, and is masked.
    SeeMasked,
    Set,
    Query,
    Do,
}

/// One right that is wider on one side, for one role, one place and one action.
struct Delta {
    right: Right,
    resource: Arc<str>,
    /// The field and its label; none for actions.
    field: Option<(String, Option<usize>)>,
    action: Action,
    from: String,
    to: String,
    places: BTreeSet<Arc<str>>,
}

/// One policy, looked at.
struct View<'v> {
    survey: Survey<'v>,
    roles: Vec<RoleFacts>,
    resources: Vec<ResourceFacts>,
    holders: BTreeMap<Arc<str>, Holders>,
}

impl<'v> View<'v> {
    fn of(side: Side<'v>) -> Self {
        let survey = side.plan.survey();
        let roles = survey.roles();
        let holders = holders(side.set, &roles);
        Self { resources: survey.resources(), roles, holders, survey }
    }

    fn reach(&self, role: &str) -> Reach {
        if self.roles.iter().any(|known| *known.name == *role) {
            reach(&self.survey, &self.resources, &[role])
        } else {
            Reach::default()
        }
    }
}

pub(super) fn changes(old: Side<'_>, new: Side<'_>) -> Vec<Change> {
    let (old, new) = (View::of(old), View::of(new));
    let names: BTreeSet<&Arc<str>> = old.roles.iter().chain(&new.roles).map(|role| &role.name).collect();
    let (mut gains, mut losses) = (Vec::new(), Vec::new());
    for role in names {
        let (before, after) = (old.reach(role), new.reach(role));
        gains.extend(wider(&before, &after, &new).into_iter().map(|delta| (role.clone(), delta)));
        losses.extend(wider(&after, &before, &old).into_iter().map(|delta| (role.clone(), delta)));
    }
    let mut changes = grouped(gains, &new, true);
    changes.extend(grouped(losses, &old, false));
    changes
}

/// Everything that `after` has and `before` has not. `view` is that of `after`.
fn wider(before: &Reach, after: &Reach, view: &View<'_>) -> Vec<Delta> {
    let mut deltas = Vec::new();
    for ((resource, action), causes) in &after.actions {
        let was = before.actions.get(&(resource.clone(), action.clone())).map_or(&[][..], Vec::as_slice);
        if let Some((from, to)) = wider_causes(was, causes, "no", "yes") {
            let places = places(causes);
            let (resource, action) = (resource.clone(), action.clone());
            deltas.push(Delta { right: Right::Do, resource, field: None, action, from, to, places });
        }
    }
    let none = FieldReach::default();
    for ((resource, path), is) in &after.fields {
        let was = before.fields.get(&(resource.clone(), path.clone())).unwrap_or(&none);
        let name = if path.is_root() { "everything nobody labelled".to_owned() } else { path.to_string() };
        let field = Some((name, view.survey.label_at(resource, path)));
        let mut push = |right, action: &Action, from, to, places| {
            let (resource, field, action) = (resource.clone(), field.clone(), action.clone());
            deltas.push(Delta { right, resource, field, action, from, to, places });
        };
        for (action, outcomes) in &is.read {
            let was = was.read.get(action).map_or(&[][..], Vec::as_slice);
            if reveals_more(was, outcomes) {
                let more = outcomes.iter().filter(|outcome| !covered(was, outcome));
                let masks = more.into_iter().all(|outcome| matches!(outcome.gives, Gives::Mask(_)));
                let masked_before = was.iter().any(|outcome| matches!(outcome.gives, Gives::Mask(_)));
                let right = if masks && masked_before { Right::SeeMasked } else { Right::See };
                let (from, mut to) = (seen(was), seen(outcomes));
                if from == to {
                    "the same, with a mask that reveals more".clone_into(&mut to);
                }
                let places = outcomes.iter().map(|outcome| outcome.cause.place.clone()).collect();
                push(right, action, from, to, places);
            }
        }
        for (action, causes) in &is.edit {
            let was = was.edit.get(action).map_or(&[][..], Vec::as_slice);
            if let Some((from, to)) = wider_causes(was, causes, "no", "yes") {
                push(Right::Set, action, from, to, places(causes));
            }
        }
        for action in is.query.difference(&was.query) {
            push(Right::Query, action, "no".to_owned(), "yes".to_owned(), BTreeSet::new());
        }
    }
    deltas
}

/// Both sides in words, if the second is not within the first.
fn wider_causes(was: &[Cause], is: &[Cause], no: &str, yes: &str) -> Option<(String, String)> {
    let covered = |cause: &Cause| was.iter().any(|known| known.when.is_none() || known.when == cause.when);
    if is.iter().all(covered) {
        return None;
    }
    let words = |causes: &[Cause]| match causes {
        [] => no.to_owned(),
        causes => {
            let each: Vec<_> = causes.iter().map(|cause| qualified(yes, cause.when.as_ref())).collect();
            each.join(" or ")
        }
    };
    Some((words(was), words(is)))
}

/// Whether anything of a value can be had that could not be had before.
fn reveals_more(was: &[Outcome], is: &[Outcome]) -> bool {
    if !is.iter().all(|outcome| covered(was, outcome)) {
        return true;
    }
    // Of masks that apply together the least revealing is applied: without it, the others come through.
    let floor_gone = |gone: &Outcome| {
        let stays = is.iter().any(|outcome| {
            outcome.gives.revealing() <= gone.gives.revealing()
                && (outcome.cause.when.is_none() || outcome.cause.when == gone.cause.when)
        });
        !stays && is.iter().any(|outcome| outcome.gives.revealing() > gone.gives.revealing())
    };
    was.iter().filter(|outcome| matches!(outcome.gives, Gives::Mask(_))).any(floor_gone)
        && !was.iter().any(|outcome| matches!(outcome.gives, Gives::Show) && outcome.cause.when.is_none())
}

/// Whether something as revealing could be had before, wherever it can be had now.
fn covered(was: &[Outcome], outcome: &Outcome) -> bool {
    was.iter().any(|known| {
        (known.cause.when.is_none() || known.cause.when == outcome.cause.when)
            && known.gives.revealing() >= outcome.gives.revealing()
    })
}

fn seen(outcomes: &[Outcome]) -> String {
    let one = |outcome: &Outcome| {
        let gives = match &outcome.gives {
            Gives::Show => "in clear".to_owned(),
            Gives::Mask(mask) => format!("masked as {}", code(mask.name())),
        };
        qualified(&gives, outcome.cause.when.as_ref())
    };
    if outcomes.is_empty() {
        return "hidden".to_owned();
    }
    outcomes.iter().map(one).collect::<Vec<_>>().join(" or ")
}

fn qualified(text: &str, when: Option<&Arc<str>>) -> String {
    when.map_or_else(|| text.to_owned(), |when| format!("{text} where {}", code(when)))
}

fn places(causes: &[Cause]) -> BTreeSet<Arc<str>> {
    causes.iter().map(|cause| cause.place.clone()).collect()
}

/// What must be alike so that changes become one sentence.
type Alike = (Right, Arc<str>, Option<usize>, String, String);

/// What one sentence says, but for the roles.
type Said = (Alike, BTreeSet<Action>, Vec<String>);

/// What is alike, with what is put together and the places it comes from.
type Merged<K, V> = BTreeMap<K, (V, BTreeSet<Arc<str>>)>;

/// One sentence for all actions, fields and roles for which the same happens.
fn grouped(deltas: Vec<(Arc<str>, Delta)>, view: &View<'_>, gains: bool) -> Vec<Change> {
    let mut by_place: Merged<(Alike, Arc<str>, Option<String>), BTreeSet<Action>> = Merged::new();
    for (role, delta) in deltas {
        let (field, label) = delta.field.map_or((None, None), |(field, label)| (Some(field), label));
        // Of actions the sentence names one: each is another right.
        let alike = (delta.right, delta.resource, label, delta.from, delta.to);
        let entry = by_place.entry((alike, role, field)).or_default();
        entry.0.insert(delta.action);
        entry.1.extend(delta.places);
    }
    let mut by_fields: Merged<(Alike, Arc<str>, BTreeSet<Action>), Vec<String>> = Merged::new();
    for ((alike, role, field), (actions, places)) in by_place {
        let entry = by_fields.entry((alike, role, actions)).or_default();
        entry.0.extend(field);
        entry.1.extend(places);
    }
    let mut by_roles: Merged<Said, Vec<Arc<str>>> = Merged::new();
    for ((alike, role, actions), (fields, places)) in by_fields {
        let entry = by_roles.entry((alike, actions, fields)).or_default();
        entry.0.push(role);
        entry.1.extend(places);
    }
    by_roles
        .into_iter()
        .map(|((alike, actions, fields), (roles, places))| {
            let mut change = change(alike, actions.into_iter().collect(), fields, roles, view, gains);
            change.places = places;
            change
        })
        .collect()
}

fn change(
    (right, resource, label, from, to): Alike,
    actions: Vec<Action>,
    fields: Vec<String>,
    roles: Vec<Arc<str>>,
    view: &View<'_>,
    gains: bool,
) -> Change {
    let labels = view.survey.labels();
    let mut held = Holders::default();
    for role in &roles {
        view.holders.get(role).into_iter().for_each(|holders| held.extend(holders));
    }
    let kind = match (gains, right) {
        (false, _) => ChangeKind::Loss,
        (true, Right::SeeMasked) => ChangeKind::Mask,
        (true, Right::See | Right::Set | Right::Query | Right::Do) => ChangeKind::Gain,
    };
    let label_name = label.and_then(|label| labels.get(label)).cloned();
    let says = sentence(right, &resource, label_name.as_deref(), &fields, &actions, &roles, gains);
    let weight = match right {
        Right::Do => actions.iter().map(|action| weight_of(action, labels.len())).max().unwrap_or(0),
        // Members that nobody labelled may be anything.
        Right::See | Right::SeeMasked | Right::Set | Right::Query => {
            let clear = usize::from(to.contains("in clear"));
            let what = if right == Right::See { 1 + clear } else { 0 };
            label.map_or(labels.len() * 10 + 4, |label| label * 10 + what)
        }
    };
    // A loss is what the old policy had beyond the new one.
    let (from, to) = if gains { (from, to) } else { (to, from) };
    Change {
        kind,
        weight,
        says,
        label: label_name,
        resource: Some(resource),
        fields,
        roles,
        actions,
        from,
        to,
        holders: Some(held),
        places: BTreeSet::new(),
    }
}

/// Exports and deletions weigh as much as the most guarded label.
fn weight_of(action: &Action, labels: usize) -> usize {
    match action {
        Action::Export => labels * 10 + 3,
        Action::Delete => labels * 10 + 2,
        Action::Create | Action::Update | Action::Named(_) => 6,
        Action::List | Action::Read => 5,
    }
}

fn sentence(
    right: Right,
    resource: &str,
    label: Option<&str>,
    fields: &[String],
    actions: &[Action],
    roles: &[Arc<str>],
    gains: bool,
) -> String {
    let whom = if roles.len() == 1 { "role" } else { "roles" };
    let whom = format!("{whom} {}", names(roles.iter().map(AsRef::as_ref)));
    let on: Vec<_> = actions.iter().map(Action::name).collect();
    let on = on.join(", ");
    let what = format!("{} of {}", names(fields.iter().map(String::as_str)), code(resource));
    let what = label.map_or_else(|| what.clone(), |label| format!("{what} (label {})", code(label)));
    match (right, gains) {
        (Right::See, true) => format!("opens {what} to {whom} on {on}"),
        (Right::See, false) => format!("closes {what} to {whom} on {on}"),
        (Right::SeeMasked, true) => format!("masks less of {what} for {whom} on {on}"),
        (Right::SeeMasked, false) => format!("masks more of {what} for {whom} on {on}"),
        (Right::Set, true) => format!("lets {whom} set {what} on {on}"),
        (Right::Set, false) => format!("no longer lets {whom} set {what} on {on}"),
        (Right::Query, true) => format!("lets {whom} filter or sort by {what} on {on}"),
        (Right::Query, false) => format!("no longer lets {whom} filter or sort by {what} on {on}"),
        (Right::Do, true) => format!("lets {whom} {on} {}", code(resource)),
        (Right::Do, false) => format!("no longer lets {whom} {on} {}", code(resource)),
    }
}
