//! How much of a policy its tests try.

use std::sync::Arc;

use crate::policy::Loaded;
use crate::policy::source::Mark;

use super::examples::{ExampleResult, Seen};

/// What of a policy its tests try: every part, and whether one of them tried it.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Routes that a request matched.
    pub routes: Vec<Covered>,
    /// Permissions that let a request through or applied to a record.
    pub permissions: Vec<Covered>,
    /// Guards that took something away.
    pub guards: Vec<Covered>,
    /// Masks that replaced a value.
    pub masks: Vec<Covered>,
}

/// A part of a policy.
#[derive(Clone, Debug)]
pub struct Covered {
    /// Its name.
    pub name: Arc<str>,
    /// File and line.
    pub place: String,
    /// Whether a test tries it.
    pub covered: bool,
}

impl Coverage {
    /// The kinds of parts, by name.
    pub fn kinds(&self) -> [(&'static str, &[Covered]); 4] {
        [
            ("routes", &self.routes),
            ("permissions", &self.permissions),
            ("guards", &self.guards),
            ("masks", &self.masks),
        ]
    }
}

/// Finds out what the tests tried.
pub fn coverage(policy: &Loaded, results: &[ExampleResult]) -> Coverage {
    let tried = |of: &dyn Fn(&Seen) -> bool| results.iter().any(|result| of(&result.seen));
    let covered = |name: Arc<str>, mark: Mark, covered: bool| {
        let place = policy.place_of(mark);
        Covered { name, place: format!("{}:{}", place.file, place.line), covered }
    };
    let set = &policy.set;
    let routes = set.apis.iter().flat_map(|api| &api.routes).map(|route| {
        let name = &route.pattern.text;
        covered(name.clone(), route.pattern.mark, tried(&|seen| seen.route.as_ref() == Some(name)))
    });
    let permissions = set.roles.iter().flat_map(|role| role.permissions.iter().map(move |own| (role, own)));
    // A rule in shadow has no effect that a test could see.
    let permissions = permissions.filter(|(_, own)| own.shadow.is_none()).map(|(role, own)| {
        let name: Arc<str> = format!("roles.{}.permissions[{}]", role.name.text, own.index).into();
        let tried = tried(&|seen| seen.permissions.contains(&name));
        covered(name, own.mark, tried)
    });
    let guards = set.guards.iter().filter(|guard| guard.shadow.is_none()).map(|guard| {
        let name = &guard.name;
        covered(name.text.clone(), name.mark, tried(&|seen| seen.guards.contains(&name.text)))
    });
    let masks = set.masks.iter().map(|mask| {
        let name = &mask.name;
        covered(name.text.clone(), name.mark, tried(&|seen| seen.masks.contains(&name.text)))
    });
    Coverage {
        routes: routes.collect(),
        permissions: permissions.collect(),
        guards: guards.collect(),
        masks: masks.collect(),
    }
}
