//! Who holds which role.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::policy::syntax::{Binding, PolicySet};

use super::super::holders::holders;
use super::super::reach::{Gives, reach};
use super::{Change, ChangeKind, Side, code, names};

/// Whom a binding names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    User(Arc<str>),
    Group(Arc<str>),
    Everybody,
}

/// What must hold beside being named. Absent parts restrict nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Terms {
    when: Option<Arc<str>>,
    expires: Option<jiff::Timestamp>,
    hours: Vec<String>,
    networks: BTreeSet<ipnet::IpNet>,
}

type Bound = BTreeMap<(Arc<str>, Subject), BTreeSet<Terms>>;

pub(super) fn changes(old: Side<'_>, new: Side<'_>) -> Vec<Change> {
    let (before, after) = (bound(old.set), bound(new.set));
    let mut changes = given(&before, &after, new, true);
    changes.extend(given(&after, &before, old, false));
    changes.extend(unmasks(old, new, true));
    changes.extend(unmasks(new, old, false));
    changes
}

/// The masks that roles of `after` let be turned back and those of `before` do not. A role of another name is another
/// role.
fn unmasks(before: Side<'_>, after: Side<'_>, gains: bool) -> Vec<Change> {
    let known = before.plan.survey().roles();
    let roles = after.plan.survey().roles();
    let held = holders(after.set, &roles);
    let mut changes = Vec::new();
    for role in roles {
        let was = known.iter().find(|other| other.name == role.name);
        let new = role.unmasks.iter().filter(|mask| was.is_none_or(|was| !was.unmasks.contains(mask)));
        let masks: Vec<&str> = new.map(AsRef::as_ref).collect();
        if masks.is_empty() {
            continue;
        }
        let (kind, says) =
            if gains { (ChangeKind::Gain, "lets") } else { (ChangeKind::Loss, "no longer lets") };
        let says = format!("{says} role {} have values of {} turned back", code(&role.name), names(masks));
        let mut change = Change::plain(kind, UNMASKS, says);
        change.holders = held.get(&role.name).cloned();
        change.roles = vec![role.name];
        changes.push(change);
    }
    changes
}

fn bound(set: &PolicySet) -> Bound {
    let mut bound = Bound::new();
    for binding in set.bindings.iter().filter(|binding| binding.shadow.is_none()) {
        let subjects = binding.users.iter().map(|user| Subject::User(user.text.clone()));
        let mut subjects: Vec<_> =
            subjects.chain(binding.groups.iter().map(|group| Subject::Group(group.text.clone()))).collect();
        if subjects.is_empty() {
            subjects.push(Subject::Everybody);
        }
        for subject in subjects {
            bound.entry((binding.role.text.clone(), subject)).or_default().insert(terms(binding));
        }
    }
    bound
}

fn terms(binding: &Binding) -> Terms {
    Terms {
        when: binding.when.as_ref().map(|when| when.text.clone()).filter(|when| when.as_ref() != "true"),
        expires: binding.expires.map(|(day, _)| day.end),
        hours: binding.hours.iter().map(|hours| format!("{hours:?}")).collect(),
        networks: binding.networks.iter().copied().collect(),
    }
}

impl Terms {
    /// Whether everybody who meets `other` meets this.
    fn covers(&self, other: &Self) -> bool {
        let ends_later = self.expires.is_none_or(|end| other.expires.is_some_and(|other| other <= end));
        let networks = self.networks.is_empty()
            || (!other.networks.is_empty()
                && other.networks.iter().all(|net| self.networks.iter().any(|mine| mine.contains(net))));
        (self.when.is_none() || self.when == other.when)
            && ends_later
            && (self.hours.is_empty() || self.hours == other.hours)
            && networks
    }
}

/// What `after` gives and `before` does not: one sentence for a role whose holders are new, one for those who hold it
/// under fewer restrictions.
fn given(before: &Bound, after: &Bound, side: Side<'_>, gains: bool) -> Vec<Change> {
    let mut new: BTreeMap<&Arc<str>, Vec<&Subject>> = BTreeMap::new();
    let mut freer: BTreeMap<&Arc<str>, Vec<&Subject>> = BTreeMap::new();
    for (key, terms) in after {
        match before.get(key) {
            None => new.entry(&key.0).or_default().push(&key.1),
            Some(was) if terms.iter().all(|term| was.iter().any(|known| known.covers(term))) => {}
            Some(_) => freer.entry(&key.0).or_default().push(&key.1),
        }
    }
    let (kind, gives, frees) = if gains {
        (
            ChangeKind::Gain,
            "gives the role",
            "lifts restrictions (`when`, `expires`, `hours`, `networks`) on the role",
        )
    } else {
        (ChangeKind::Loss, "takes the role", "restricts (`when`, `expires`, `hours`, `networks`) the role")
    };
    let to = if gains { "to" } else { "from" };
    let say = |verb: &str, to: &str, role: &Arc<str>, subjects: &[&Subject]| {
        let says = format!("{verb} {} {to} {}", code(role), listed(subjects));
        let mut change = Change::plain(kind, weight(side, role), says);
        change.roles = vec![role.clone()];
        change.holders = holders(side.set, &side.plan.survey().roles()).remove(role);
        change
    };
    let news = new.iter().map(|(role, subjects)| say(gives, to, role, subjects));
    news.chain(freer.iter().map(|(role, subjects)| say(frees, "for", role, subjects))).collect()
}

fn listed(subjects: &[&Subject]) -> String {
    let (mut users, mut groups, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    for subject in subjects {
        match subject {
            Subject::User(user) => users.push(user.as_ref()),
            Subject::Group(group) => groups.push(group.as_ref()),
            Subject::Everybody => parts.push("everybody who meets a condition".to_owned()),
        }
    }
    if !groups.is_empty() {
        parts.push(format!("{} {}", if groups.len() == 1 { "group" } else { "groups" }, names(groups)));
    }
    if !users.is_empty() {
        let count = users.len();
        parts.push(format!("{count} {} {}", if count == 1 { "user" } else { "users" }, names(users)));
    }
    parts.join(" and ")
}

/// What a mask hides is shown again.
const UNMASKS: usize = 1_000;

/// A role weighs as much as the most guarded label it shows in clear.
fn weight(side: Side<'_>, role: &str) -> usize {
    let survey = side.plan.survey();
    let reach = reach(&survey, &survey.resources(), &[role]);
    let shown = reach.fields.iter().filter(|(_, field)| {
        field.read.values().flatten().any(|outcome| matches!(outcome.gives, Gives::Show))
    });
    let labels = shown.filter_map(|((resource, path), _)| survey.label_at(resource, path));
    labels.max().map_or(0, |label| label * 10 + 3)
}
