//! How much of a policy its tests try.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::policy::source::Mark;
use crate::policy::{Loaded, Plan};
use crate::rewrite::Path;

use super::examples::{ExampleResult, Seen};
use super::verdicts::meant;

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
    /// Labelled fields that an answer held.
    pub fields: Vec<Covered>,
    /// Members of answers that nobody labelled, by resource and name, and a labelled field that was probably meant.
    pub unlabelled: Unlabelled,
}

/// Members that nobody labelled, by resource and name, and a labelled field that was probably meant.
pub(super) type Unlabelled = BTreeMap<(Arc<str>, Box<str>), Option<Arc<str>>>;

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
    pub fn kinds(&self) -> [(&'static str, &[Covered]); 5] {
        [
            ("routes", &self.routes),
            ("permissions", &self.permissions),
            ("guards", &self.guards),
            ("masks", &self.masks),
            ("fields", &self.fields),
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
    let fields =
        set.resources.iter().flat_map(|resource| resource.fields.iter().map(move |own| (resource, own)));
    let fields = fields.map(|(resource, (_, field))| {
        let name: Arc<str> = format!("{}.{}", resource.name.text, field.text).into();
        let tried = tried(&|seen| seen.fields.contains(&name));
        covered(name, field.mark, tried)
    });
    let unlabelled = results.iter().flat_map(|result| &result.seen.unlabelled);
    let unlabelled = unlabelled.map(|(resource, name)| {
        let meant = Path::parse_field(name).ok().and_then(|place| {
            let plan = policy.plan.as_ref()?;
            meant(plan, resource, &place).or_else(|| below(plan, resource, &place))
        });
        ((resource.clone(), name.clone()), meant)
    });
    Coverage {
        routes: routes.collect(),
        permissions: permissions.collect(),
        guards: guards.collect(),
        masks: masks.collect(),
        fields: fields.collect(),
        unlabelled: unlabelled.collect(),
    }
}

/// A labelled field below a member that nobody labelled: what stands there is no object.
fn below(plan: &Plan, resource: &str, place: &Path) -> Option<Arc<str>> {
    let resources = plan.survey().resources();
    let fields = &resources.iter().find(|known| *known.name == *resource)?.fields;
    fields.iter().find(|field| place.is_prefix_of(&field.path)).map(|field| field.text.clone())
}
