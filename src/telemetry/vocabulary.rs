//! The label values that may appear: those the policy and the configuration declare, up to a cap.

use std::collections::BTreeSet;
use std::sync::Arc;

/// Names that may become label values. Anything else is counted as `other`, so that neither a caller nor an
/// upstream can make a new time series.
///
/// Names are remembered over reloads, because their series are; the caps hold for the life of the process.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// Routes as the policy writes them.
    pub routes: BTreeSet<Arc<str>>,
    /// Actions beside the fixed ones.
    pub actions: BTreeSet<Arc<str>>,
    /// Resources.
    pub resources: BTreeSet<Arc<str>>,
    /// Declared fields: resource and dotted path.
    pub fields: BTreeSet<(Arc<str>, Arc<str>)>,
    /// Limits.
    pub limits: BTreeSet<Arc<str>>,
    /// Apis, which are also the upstreams.
    pub apis: BTreeSet<Arc<str>>,
    /// Listeners.
    pub listeners: BTreeSet<Arc<str>>,
}

impl Vocabulary {
    /// Takes over the names of `other`, as far as the caps allow.
    pub(super) fn extend(&mut self, other: &Self) {
        fill(&mut self.routes, &other.routes, MAX_ROUTES);
        fill(&mut self.actions, &other.actions, MAX_ACTIONS);
        fill(&mut self.resources, &other.resources, MAX_RESOURCES);
        fill(&mut self.fields, &other.fields, MAX_FIELDS);
        fill(&mut self.limits, &other.limits, MAX_LIMITS);
        fill(&mut self.apis, &other.apis, MAX_APIS);
        fill(&mut self.listeners, &other.listeners, MAX_LISTENERS);
    }
}

fn fill<T: Ord + Clone>(known: &mut BTreeSet<T>, new: &BTreeSet<T>, cap: usize) {
    for name in new {
        if known.len() >= cap {
            return;
        }
        known.insert(name.clone());
    }
}

pub(super) const MAX_ROUTES: usize = 500;
pub(super) const MAX_ACTIONS: usize = 100;
pub(super) const MAX_RESOURCES: usize = 200;
pub(super) const MAX_FIELDS: usize = 2000;
pub(super) const MAX_LIMITS: usize = 200;
pub(super) const MAX_APIS: usize = 100;
pub(super) const MAX_LISTENERS: usize = 32;
