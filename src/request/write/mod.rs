//! The write filter: a body holds only what the caller may set, or it is refused.
//!
//! The body is parsed strictly (a member named twice is refused: the upstream might take the other one), written
//! again, and that text is passed through the engine under the rule's plan, so that bodies are judged by the very
//! code that judges answers. What the engine takes away is what was not editable; it is found by comparing what
//! went in with what came out, and so it does not matter why it was taken: hidden, unknown and undeclared members
//! are named alike.

mod compare;
mod echo;

use std::sync::Arc;

use crate::policy::{Tree, UneditableRule, WriteRule};
use crate::rewrite::condition::Params;
use crate::rewrite::{RewritePlan, Rewriter};

use super::{Applied, Refused, RequestBounds};

/// The body that may be sent in place of `body`. Where the record was read before, what may be set is what the
/// permissions that apply to it let be set.
pub(super) fn filter(
    rule: &WriteRule,
    applied: Option<&Applied>,
    params: &Params,
    given: &Tree,
    bounds: &RequestBounds,
) -> Result<Tree, Refused> {
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
            UneditableRule::Refuse => !taken.is_empty(),
            UneditableRule::Strip if taken.is_empty() => false,
            // What is left is what becomes a record: it must meet the conditions without what was taken out.
            UneditableRule::Strip => editable(&plan, params, &kept, bounds)? != (kept.clone(), false),
        };
    if refused { Err(Refused::NotEditable { fields: taken }) } else { Ok(kept) }
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
