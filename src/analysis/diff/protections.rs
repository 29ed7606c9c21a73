//! Guards, limits and invariants.

use std::collections::BTreeSet;

use crate::policy::source::Word;
use crate::policy::syntax::{Exceed, Invariant, Limit, PolicySet, Quota};
use crate::policy::{GuardFacts, LimitUnit};
use crate::rewrite::{Access, Path};

use super::{Change, ChangeKind, Side, code};

pub(super) fn changes(old: Side<'_>, new: Side<'_>) -> Vec<Change> {
    let (before, after) = (old.plan.survey().guards(), new.plan.survey().guards());
    let mut changes = guards(&before, &after, true);
    changes.extend(guards(&after, &before, false));
    changes.extend(requirements(&before, &after));
    changes.extend(limits(old.set, new.set, true));
    changes.extend(limits(new.set, old.set, false));
    changes.extend(invariants(old.set, new.set, true));
    changes.extend(invariants(new.set, old.set, false));
    changes
}

// === guards ===

/// Guards of `before` that `after` lacks, or that reach less far there.
fn guards(before: &[GuardFacts], after: &[GuardFacts], weaker: bool) -> Vec<Change> {
    let kind = if weaker { ChangeKind::Guard } else { ChangeKind::Loss };
    let mut changes = Vec::new();
    for guard in before {
        let says = match after.iter().find(|other| other.name == guard.name) {
            None if weaker => format!("removes the guard {} ({})", code(&guard.name), about(guard)),
            None => format!("adds the guard {} ({})", code(&guard.name), about(guard)),
            Some(other) if covers(other, guard) => continue,
            Some(_) if weaker => format!("narrows the guard {}", code(&guard.name)),
            Some(_) => format!("extends the guard {}", code(&guard.name)),
        };
        let mut change = Change::plain(kind, 2, says);
        change.places.insert(guard.place.clone());
        changes.push(change);
    }
    changes
}

fn about(guard: &GuardFacts) -> String {
    let does = if guard.hides.is_some() { "hides fields" } else { "refuses requests" };
    format!("{does} unless {}", code(&guard.require))
}

/// Whether a guard is about everything that another one is about.
fn covers(wide: &GuardFacts, narrow: &GuardFacts) -> bool {
    let all = |wide: &[_], narrow: &[_]| {
        wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(|one| wide.contains(one)))
    };
    let actions = wide.actions.is_empty()
        || (!narrow.actions.is_empty() && narrow.actions.iter().all(|action| wide.actions.contains(action)));
    match (&wide.hides, &narrow.hides) {
        (None, None) => actions && all(&wide.resources, &narrow.resources),
        (Some(_), Some(_)) => actions && hidden(narrow).is_subset(&hidden(wide)),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn hidden(guard: &GuardFacts) -> BTreeSet<(&str, &Path)> {
    let each = guard.hides.iter().flatten().flat_map(|(resource, selectors)| {
        let hidden = selectors.iter().filter(|selector| matches!(selector.access, Access::Hide));
        hidden.map(|selector| (resource.as_ref(), &selector.path))
    });
    each.collect()
}

fn requirements(before: &[GuardFacts], after: &[GuardFacts]) -> Vec<Change> {
    let mut changes = Vec::new();
    for guard in after {
        let Some(was) = before.iter().find(|other| other.name == guard.name) else { continue };
        if was.require != guard.require {
            let says = format!("changes what the guard {} requires", code(&guard.name));
            let mut change =
                Change::plain(ChangeKind::Guard, 1, says).between(code(&was.require), code(&guard.require));
            change.places.insert(guard.place.clone());
            changes.push(change);
        }
    }
    changes
}

// === limits ===

/// Limits of `before` under which less could be had than under those of `after`.
fn limits(before: &PolicySet, after: &PolicySet, looser: bool) -> Vec<Change> {
    let kind = if looser { ChangeKind::Limit } else { ChangeKind::Loss };
    let mut changes = Vec::new();
    for limit in &before.limits {
        let name = code(limit.name.as_str());
        let Some(other) = after.limits.iter().find(|other| other.name.text == limit.name.text) else {
            let verb = if looser { "removes" } else { "adds" };
            changes.push(Change::plain(kind, 2, format!("{verb} the limit {name}")));
            continue;
        };
        for quota in &limit.quotas {
            let same = other.quotas.iter().find(|one| one.unit == quota.unit);
            if same.is_some_and(|same| !more(same, quota)) {
                continue;
            }
            let (verb, unit) = (if looser { "raises" } else { "lowers" }, unit(quota.unit));
            let (was, is) = (rate(quota), same.map_or_else(|| "no limit".to_owned(), rate));
            let (from, to) = if looser { (was, is) } else { (is, was) };
            let says = format!("{verb} the limit {name} of {unit}");
            changes.push(Change::plain(kind, 1, says).between(from, to));
        }
        if !as_strict(other, limit) {
            let verb = if looser { "loosens" } else { "tightens" };
            let says = format!("{verb} whom the limit {name} concerns or what happens beyond it");
            changes.push(Change::plain(kind, 0, says));
        }
    }
    changes
}

fn more(one: &Quota, other: &Quota) -> bool {
    if one.unit == LimitUnit::Concurrent {
        return one.rate.amount > other.rate.amount;
    }
    let times = |quota: &Quota, window: &Quota| {
        u128::from(quota.rate.amount).saturating_mul(window.rate.window.as_millis())
    };
    // A longer window with the same rate lets more be had at once.
    times(one, other) > times(other, one) || one.rate.amount > other.rate.amount
}

fn as_strict(limit: &Limit, other: &Limit) -> bool {
    let texts = |words: &[Word]| words.iter().map(|word| word.text.clone()).collect::<BTreeSet<_>>();
    let covers = |wide: &[Word], narrow: &[Word]| {
        wide.is_empty() || (!narrow.is_empty() && texts(narrow).is_subset(&texts(wide)))
    };
    let severity = |exceed: Exceed| match exceed {
        Exceed::Warn => 0,
        Exceed::Approve => 1,
        Exceed::Refuse => 2,
        Exceed::Freeze => 3,
    };
    covers(&limit.roles, &other.roles)
        && covers(&limit.resources, &other.resources)
        && covers(&limit.actions, &other.actions)
        && limit.per == other.per
        && severity(limit.on_exceed) >= severity(other.on_exceed)
        && limit.fail_closed >= other.fail_closed
        && limit.burst.unwrap_or(0) <= other.burst.unwrap_or(0)
}

fn rate(quota: &Quota) -> String {
    if quota.unit == LimitUnit::Concurrent {
        return format!("{} at once", quota.rate.amount);
    }
    let seconds = quota.rate.window.as_secs();
    let units = [(604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (count, name) = units
        .iter()
        .find(|(length, _)| seconds.is_multiple_of(*length))
        .map_or((seconds, "second"), |(length, name)| (seconds / length, name));
    match count {
        1 => format!("{} a {name}", quota.rate.amount),
        count => format!("{} in {count} {name}s", quota.rate.amount),
    }
}

fn unit(unit: LimitUnit) -> &'static str {
    match unit {
        LimitUnit::Requests => "requests",
        LimitUnit::Records => "records",
        LimitUnit::DistinctRecords => "distinct records",
        LimitUnit::Bytes => "bytes",
        LimitUnit::Concurrent => "requests at the same time",
    }
}

// === invariants ===

fn invariants(before: &PolicySet, after: &PolicySet, weaker: bool) -> Vec<Change> {
    let kind = if weaker { ChangeKind::Guard } else { ChangeKind::Loss };
    let mut changes = Vec::new();
    for invariant in &before.invariants {
        let says = match after.invariants.iter().find(|other| other.name.text == invariant.name.text) {
            None if weaker => format!("drops the invariant {}", code(&invariant.name.text)),
            None => format!("adds the invariant {}", code(&invariant.name.text)),
            Some(other) if weaker && promise(other) != promise(invariant) => {
                format!("changes the invariant {}", code(&invariant.name.text))
            }
            Some(_) => continue,
        };
        changes.push(Change::plain(kind, 0, says));
    }
    changes
}

fn promise(invariant: &Invariant) -> Vec<BTreeSet<String>> {
    let parts = [
        &invariant.show,
        &invariant.mask,
        &invariant.edit,
        &invariant.actions,
        &invariant.resources,
        &invariant.roles,
        &invariant.except_roles,
    ];
    parts.map(|words| words.iter().map(|word| word.text.to_string()).collect()).to_vec()
}
