//! Why each declared field of a route's resource is shown, masked or hidden.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::policy::{Permit, Plan};
use crate::rewrite::{Access, Path, RecordRule, Selector};

/// What a principal gets on a route, field by field.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The route.
    pub route: Arc<str>,
    /// The roles held.
    pub roles: Vec<Arc<str>>,
    /// Name, file and line of everything that was considered.
    pub considered: Vec<(Arc<str>, Option<Arc<str>>)>,
    /// The fields, in the order of their paths; related records under their own names.
    pub fields: Vec<FieldExplanation>,
}

/// What decides one field.
#[derive(Clone, Debug)]
pub struct FieldExplanation {
    /// `customer.phone`.
    pub name: String,
    /// What permissions give, the most revealing first. Empty: nothing releases it.
    pub reasons: Vec<Reason>,
    /// Whether a guard hides it whatever they give.
    pub guarded: bool,
}

/// What one permission gives to a field.
#[derive(Clone, Debug)]
pub struct Reason {
    /// `shown` or `masked as phone`.
    pub gives: String,
    /// The permission.
    pub permission: Arc<str>,
    /// Its file and line.
    pub place: Option<Arc<str>>,
    /// The records it is about; `None`: all.
    pub records: Option<Arc<str>>,
}

/// Explains a permit.
pub fn explain(plan: &Plan, permit: &Permit) -> Explanation {
    let considered = permit.rules().iter().map(|rule| (rule.clone(), plan.place_of(rule).cloned())).collect();
    let mut fields = Vec::new();
    for rule in permit.parts().flat_map(|permit| &permit.rewrite().rules) {
        fields.extend(of_rule(plan, rule));
    }
    Explanation { route: permit.route().name.clone(), roles: permit.roles().to_vec(), considered, fields }
}

fn of_rule(plan: &Plan, rule: &RecordRule) -> Vec<FieldExplanation> {
    let mut places: BTreeMap<&Path, Vec<(u8, Reason)>> = BTreeMap::new();
    for grant in &rule.grants {
        for selector in &grant.fields {
            let reasons = places.entry(&selector.path).or_default();
            let (rank, gives) = match &selector.access {
                Access::Show => (0, "shown".to_owned()),
                Access::Mask(mask) => (1, format!("masked as `{}`", mask.name())),
                Access::Hide => continue,
            };
            let reason = Reason {
                gives,
                permission: grant.name.clone(),
                place: plan.place_of(&grant.name).cloned(),
                records: grant.when.as_ref().map(|when| when.source().clone()),
            };
            reasons.push((rank, reason));
        }
    }
    places
        .into_iter()
        .map(|(path, mut reasons)| {
            reasons.sort_by_key(|(rank, _)| *rank);
            FieldExplanation {
                name: format!("{}.{path}", rule.name),
                reasons: reasons.into_iter().map(|(_, reason)| reason).collect(),
                guarded: rule.guards.iter().any(|selectors| hides(selectors, path)),
            }
        })
        .collect()
}

fn hides(selectors: &[Selector], path: &Path) -> bool {
    selectors
        .iter()
        .filter(|selector| selector.path.is_prefix_of(path))
        .max_by_key(|selector| selector.rank)
        .is_some_and(|selector| matches!(selector.access, Access::Hide))
}
