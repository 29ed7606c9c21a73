//! What a narrowed selection must not lose: the members that decide about a record.
//!
//! A caller that selects `name` alone would get an answer in which a condition such as
//! `record.owner_id == principal.id` finds nothing, and so no record. The members that conditions, type
//! discriminators and record keys read are therefore asked for as well; the rewriter hides them again where the
//! caller may not see them.

use std::collections::BTreeSet;

use crate::rewrite::{Path, Records, RewritePlan, RuleId, RuleRef, Step};

/// The dotted names of the members that decide about the plan's records, and about those related records that the
/// selection asks for.
pub(super) fn deciding(plan: &RewritePlan, asked_for: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut walk = Walk { plan, asked_for, names: &mut names, open: Vec::new() };
    match &plan.layout.records {
        Records::None => {}
        Records::One { rule, .. } | Records::Many { rule, .. } => walk.reference(rule, &mut Vec::new()),
        // Rows have the columns the request names; a condition on another one is not met.
        Records::Rows { .. } => {}
    }
    names
}

struct Walk<'p> {
    plan: &'p RewritePlan,
    asked_for: &'p dyn Fn(&str) -> bool,
    names: &'p mut BTreeSet<String>,
    /// Rules being walked: a relation may lead back to its parent's type.
    open: Vec<RuleId>,
}

impl<'p> Walk<'p> {
    fn reference(&mut self, reference: &'p RuleRef, above: &mut Vec<&'p str>) {
        match reference {
            RuleRef::Fixed(rule) => self.rule(*rule, above),
            RuleRef::ByType { at, cases } => {
                self.name(above, at);
                for rule in cases.values() {
                    self.rule(*rule, above);
                }
            }
        }
    }

    fn rule(&mut self, id: RuleId, above: &mut Vec<&'p str>) {
        let Some(rule) = self.plan.rules.get(id.0) else { return };
        if self.open.contains(&id) {
            return;
        }
        self.open.push(id);
        for path in
            rule.key.iter().chain(rule.grants.iter().filter_map(|g| g.when.as_ref()).flat_map(|w| w.slots()))
        {
            self.name(above, path);
        }
        for (place, reference) in &rule.relations {
            let depth = above.len();
            above.extend(leading(place));
            if (self.asked_for)(&above.join(".")) {
                self.reference(reference, above);
            }
            above.truncate(depth);
        }
        self.open.pop();
    }

    fn name(&mut self, above: &[&str], path: &Path) {
        let names: Vec<&str> = above.iter().copied().chain(leading(path)).collect();
        if !names.is_empty() {
            self.names.insert(names.join("."));
        }
    }
}

/// The member names of a path, up to the first step that is none; elements of arrays have no name of their own.
fn leading(path: &Path) -> impl Iterator<Item = &str> {
    path.0.iter().filter(|step| !matches!(step, Step::Elements)).map_while(|step| match step {
        Step::Name(name) => Some(name.as_ref()),
        Step::Elements
        | Step::Any
        | Step::Index(_)
        | Step::Slice { .. }
        | Step::Chosen(_)
        | Step::Descend => None,
    })
}
