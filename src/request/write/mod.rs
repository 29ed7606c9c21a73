//! The write filter: a body holds only what the caller may set, or it is refused.
//!
//! The body is parsed strictly (a member named twice is refused: the upstream might take the other one), written
//! again, and that text is passed through the engine under the rule's plan, so that bodies are judged by the very
//! code that judges answers. What the engine takes away is what was not editable; it is found by comparing what
//! went in with what came out, and so it does not matter why it was taken: hidden, unknown and undeclared members
//! are named alike.

mod compare;
mod echo;
mod restore;

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;

use crate::policy::{Tree, UneditableRule, WriteRule};
use crate::rewrite::condition::Params;
use crate::rewrite::{RewritePlan, Rewriter, Step};

use super::{Applied, Refused, RequestBounds};

use restore::Merge;

/// The body that may be sent in place of `body`. Where the record was read before, what may be set is what the
/// permissions that apply to it, as it is and as it will be, let be set.
pub(super) fn filter(
    rule: &WriteRule,
    applied: Option<&Applied>,
    (method, params): (&Method, &Params),
    given: &Tree,
    bounds: &RequestBounds,
) -> Result<Tree, Refused> {
    if rule.on_uneditable == UneditableRule::Restore {
        return restored(rule, applied, (method, params), given, bounds);
    }
    let echoed = echo::masked(given, rule);
    if !echoed.is_empty() {
        return Err(Refused::MaskedValue { fields: echoed });
    }
    let plan = match applied {
        Some(applied) => Arc::new(rule.narrowed(applied.grants())),
        None => Arc::clone(&rule.plan),
    };
    let (kept, withheld) = editable(&plan, params, given, bounds)?;
    let taken = compare::missing(given, &kept);
    // A record outside the rule's conditions is no field that could be left out.
    let refused = withheld
        || match rule.on_uneditable {
            UneditableRule::Refuse | UneditableRule::Restore => !taken.is_empty(),
            UneditableRule::Strip if taken.is_empty() => false,
            // What is left is what becomes a record: it must meet the conditions without what was taken out.
            UneditableRule::Strip => editable(&plan, params, &kept, bounds)? != (kept.clone(), false),
        };
    if refused {
        return Err(Refused::NotEditable { fields: taken });
    }
    let (Some(applied), Some(after)) = (applied, &rule.after) else { return Ok(kept) };
    // A write may move the record out of reach of a permission that lets another field be set.
    let Tree::Object(record) = kept.at(&rule.at).ok_or(Refused::NotJudged)? else { return Err(SHAPE) };
    if !decides(after, record) {
        return Ok(kept);
    }
    let staying = staying(rule, applied, params, &overlaid(applied.before()?, record))?;
    if staying != *applied.grants() {
        let (still, withheld) = editable(&Arc::new(rule.narrowed(&staying)), params, &kept, bounds)?;
        if withheld || still != kept {
            return Err(Refused::NotEditable { fields: compare::missing(&kept, &still) });
        }
    }
    Ok(kept)
}

/// The body laid over the record as it is.
fn restored(
    rule: &WriteRule,
    applied: Option<&Applied>,
    (method, params): (&Method, &Params),
    given: &Tree,
    bounds: &RequestBounds,
) -> Result<Tree, Refused> {
    let applied = applied.ok_or(Refused::NotJudged)?;
    let old = applied.before()?;
    let mut beside = given.clone();
    let record = beside.at_mut(&rule.at).ok_or(SHAPE)?;
    let Tree::Object(new) = std::mem::replace(record, Tree::Object(Vec::new())) else { return Err(SHAPE) };
    // What stands beside the record belongs to nothing that could be restored.
    let plan = Arc::new(rule.narrowed(applied.grants()));
    let (mut kept, withheld) = editable(&plan, params, &beside, bounds)?;
    let taken = compare::missing(&beside, &kept);
    if withheld || !taken.is_empty() {
        return Err(Refused::NotEditable { fields: taken });
    }
    let whole = method != Method::PATCH;
    let lay = |grants: &BTreeSet<Arc<str>>| {
        let mut merge = Merge::new(rule, rule.grants(grants).collect(), whole);
        let merged = merge.record(new.clone(), old);
        match (merge.refused.is_empty(), merge.echoed.is_empty()) {
            (false, _) => Err(Refused::NotEditable { fields: named(merge.refused) }),
            (true, false) => Err(Refused::MaskedValue { fields: named(merge.echoed) }),
            (true, true) => Ok(merged),
        }
    };
    let merged = lay(applied.grants())?;
    let after = match &merged {
        Tree::Object(members) if !whole => overlaid(old, members),
        whole => whole.clone(),
    };
    let staying = staying(rule, applied, params, &after)?;
    if staying != *applied.grants() && lay(&staying)? != merged {
        return Err(Refused::Moves);
    }
    *kept.at_mut(&rule.at).ok_or(SHAPE)? = merged;
    Ok(kept)
}

fn named(mut fields: Vec<Box<str>>) -> Vec<Box<str>> {
    fields.dedup();
    fields.truncate(MAX_NAMES);
    fields
}

/// Those of the permissions that apply to the record as it is, which also apply to it as it will be.
fn staying(
    rule: &WriteRule,
    applied: &Applied,
    params: &Params,
    after: &Tree,
) -> Result<BTreeSet<Arc<str>>, Refused> {
    let Some(plan) = &rule.after else { return Ok(applied.grants().clone()) };
    let mut rewriter = Rewriter::new(Arc::clone(plan), params.clone());
    let mut out = Vec::new();
    let cut = |_| SHAPE;
    rewriter.push(after.to_json().as_bytes(), &mut out).map_err(cut)?;
    rewriter.finish(&mut out).map_err(cut)?;
    let still: BTreeSet<_> = applied.grants().intersection(&rewriter.counts().grants).cloned().collect();
    if still.is_empty() { Err(Refused::Moves) } else { Ok(still) }
}

/// Whether members of a body are of what the conditions read.
fn decides(conditions: &RewritePlan, body: &[(Box<str>, Tree)]) -> bool {
    let grants = conditions.rules.iter().flat_map(|rule| &rule.grants);
    let mut slots = grants.filter_map(|grant| grant.when.as_ref()).flat_map(|when| when.slots());
    slots.any(|slot| match slot.steps().first() {
        Some(Step::Name(read)) => body.iter().any(|(name, _)| name == read),
        _ => true,
    })
}

/// A record as it will be where only what a body holds is changed.
fn overlaid(before: &[(Box<str>, Tree)], body: &[(Box<str>, Tree)]) -> Tree {
    let mut members = before.to_vec();
    for (name, value) in body {
        match members.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => {
                *old = match (&*old, value) {
                    (Tree::Object(old), Tree::Object(new)) => overlaid(old, new),
                    (_, new) => new.clone(),
                };
            }
            None => members.push((name.clone(), value.clone())),
        }
    }
    Tree::Object(members)
}

/// What the plan lets be set, and whether a record is not among those it is about.
fn editable(
    plan: &Arc<RewritePlan>,
    params: &Params,
    given: &Tree,
    bounds: &RequestBounds,
) -> Result<(Tree, bool), Refused> {
    let cut = |_| Refused::Body("it has not the declared shape");
    let mut out = Vec::new();
    let mut rewriter = Rewriter::new(Arc::clone(plan), params.clone());
    rewriter.push(given.to_json().as_bytes(), &mut out).map_err(cut)?;
    rewriter.finish(&mut out).map_err(cut)?;
    let kept = Tree::parse(&out, bounds.depth).map_err(Refused::Body)?;
    Ok((kept, rewriter.counts().withheld > 0))
}

const SHAPE: Refused = Refused::Body("it has not the declared shape");
const MAX_NAMES: usize = 16;
