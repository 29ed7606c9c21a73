//! The tables of a compiled policy: names have become indexes, texts have become paths, predicates and masks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::rewrite::condition::Predicate;
use crate::rewrite::mask::Mask;
use crate::rewrite::{Access, Format, Pairs, Path, Selector};

use super::batch::BatchRoute;
use super::operation::Action;
use super::permit::{BodyPart, Dialect, LimitRule, RouteFacts, UneditableRule};
use super::router::Segment;
use super::source::Mark;
use super::syntax::PartKind;
use super::syntax::units::Hours;

/// Index of a resource.
pub(super) type ResourceId = usize;
/// Index of a permission.
pub(super) type PermissionId = u32;
/// Index of a role.
pub(super) type RoleId = u32;

/// A record type.
#[derive(Debug)]
pub(super) struct ResourceTable {
    pub(super) name: Arc<str>,
    pub(super) key: Option<Path>,
    /// Every labelled place, in the order it is written.
    pub(super) fields: Vec<LabelledField>,
    pub(super) relations: Vec<(Path, ResourceId)>,
    /// Places whose text holds JSON.
    pub(super) embedded: Vec<Path>,
    pub(super) pairs: Vec<Pairs>,
    pub(super) unknown_shown: bool,
    /// The permissions on it.
    pub(super) permissions: Vec<PermissionId>,
}

impl ResourceTable {
    /// The label that holds at a place: that of the longest labelled path above or at it.
    pub(super) fn label_at(&self, path: &Path) -> Option<usize> {
        self.fields
            .iter()
            .filter(|field| field.path.is_prefix_of(path))
            .max_by_key(|field| field.path.steps().len())
            .map(|field| field.label)
    }
}

/// A place with a label.
#[derive(Debug)]
pub(super) struct LabelledField {
    pub(super) path: Path,
    pub(super) text: Arc<str>,
    /// Index among the labels.
    pub(super) label: usize,
}

/// A permission, ready to become a grant.
#[derive(Debug)]
pub(super) struct PermissionTable {
    /// `roles.sales.permissions[0]`.
    pub(super) name: Arc<str>,
    pub(super) mark: Mark,
    /// `policy.yaml:17`.
    pub(super) place: Arc<str>,
    pub(super) role: RoleId,
    pub(super) resource: ResourceId,
    pub(super) actions: Vec<Action>,
    pub(super) when: Option<Arc<Predicate>>,
    /// Access at every labelled place and every place a selector names.
    pub(super) access: Vec<Selector>,
    /// Whether members nobody labelled pass.
    pub(super) unknown_shown: bool,
    /// Places that may be set, as access: `Show` where they may.
    pub(super) edit: Vec<Selector>,
    pub(super) write_only: bool,
    /// Places that may be queried, where the permission says so itself.
    pub(super) query: Option<Vec<Selector>>,
    /// Whether it decides nothing.
    pub(super) shadow: bool,
}

/// Which rules are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// Those in force.
    Live,
    /// As if those in shadow were in force, too.
    Shadow,
}

impl PermissionTable {
    /// The members of the record that its condition and its masks depend on.
    pub(super) fn deciding(&self) -> impl Iterator<Item = &Path> {
        let masks = self.access.iter().filter_map(|selector| match &selector.access {
            Access::Mask(mask) => mask.choice(),
            Access::Hide | Access::Show => None,
        });
        let conditions = self.when.iter().chain(masks.map(|choice| &choice.when));
        conditions.flat_map(|when| when.slots())
    }
}

/// A role.
#[derive(Debug)]
pub(super) struct RoleTable {
    pub(super) name: Arc<str>,
    pub(super) inherits: Vec<RoleId>,
    /// Those in force.
    pub(super) permissions: Vec<PermissionId>,
    /// Those in shadow.
    pub(super) shadow: Vec<PermissionId>,
    /// The masks it lets be turned back.
    pub(super) unmask: Vec<Arc<str>>,
}

/// Who holds a role, and when. Users and groups are in the index of the plan.
#[derive(Debug)]
pub(super) struct BindingTable {
    pub(super) role: RoleId,
    /// Whether it decides nothing.
    pub(super) shadow: bool,
    /// What restricts it; most bindings have none.
    pub(super) terms: Option<Box<BindingTerms>>,
}

/// What must hold beside being named.
#[derive(Debug)]
pub(super) struct BindingTerms {
    /// Who vouches for the principal.
    pub(super) issuer: Option<Arc<str>>,
    pub(super) when: Option<Arc<Predicate>>,
    pub(super) expires: Option<Timestamp>,
    pub(super) hours: Vec<Hours>,
    pub(super) networks: Vec<IpNet>,
}

/// Bindings by whom they name.
#[derive(Debug, Default)]
pub(super) struct BindingIndex {
    pub(super) by_user: HashMap<Arc<str>, Bound>,
    pub(super) by_group: HashMap<Arc<str>, Bound>,
    /// Those that name nobody: their condition decides.
    pub(super) open: Vec<u32>,
}

/// The bindings that name somebody: for most of a million it is one.
#[derive(Debug)]
pub(super) enum Bound {
    One(u32),
    Several(Vec<u32>),
}

impl Bound {
    /// Adds a binding to those of a name.
    pub(super) fn add(index: &mut HashMap<Arc<str>, Self>, name: &Arc<str>, binding: u32) {
        match index.entry(name.clone()) {
            Entry::Vacant(free) => {
                free.insert(Self::One(binding));
            }
            Entry::Occupied(mut taken) => match taken.get_mut() {
                Self::One(first) => {
                    let both = vec![*first, binding];
                    taken.insert(Self::Several(both));
                }
                Self::Several(all) => all.push(binding),
            },
        }
    }

    /// The bindings, in the order they are written.
    pub(super) fn all(&self) -> &[u32] {
        match self {
            Self::One(binding) => std::slice::from_ref(binding),
            Self::Several(bindings) => bindings,
        }
    }
}

/// A guard.
#[derive(Debug)]
pub(super) struct GuardTable {
    pub(super) name: Arc<str>,
    pub(super) place: Arc<str>,
    /// Empty: all.
    pub(super) actions: Vec<Action>,
    /// Empty: all.
    pub(super) resources: Vec<ResourceId>,
    pub(super) require: Arc<Predicate>,
    pub(super) step_up: Option<Arc<str>>,
    /// What it hides, by resource; `None`: it refuses the request.
    pub(super) hides: Option<HashMap<ResourceId, Vec<Selector>>>,
    /// Whether it decides nothing.
    pub(super) shadow: bool,
}

/// A limit and whom it concerns.
#[derive(Debug)]
pub(super) struct LimitTable {
    pub(super) rule: Arc<LimitRule>,
    /// Empty: everybody.
    pub(super) roles: Vec<RoleId>,
    /// Empty: all.
    pub(super) resources: Vec<ResourceId>,
    /// Empty: all.
    pub(super) actions: Vec<Action>,
}

/// A requirement of a route on the request beside method and path.
#[derive(Debug)]
pub(super) struct RouteWhen {
    pub(super) kind: PartKind,
    /// Name of the parameter, query parameter or header.
    pub(super) name: Arc<str>,
    /// Place in the body.
    pub(super) path: Option<Path>,
    /// Any of these texts.
    pub(super) values: Vec<Arc<str>>,
}

/// A route.
#[derive(Debug)]
pub(super) struct RouteTable {
    pub(super) facts: Arc<RouteFacts>,
    pub(super) method: http::Method,
    pub(super) template: Vec<Segment>,
    pub(super) when: Vec<RouteWhen>,
    /// Action and resource; `None`: public, or a batch.
    pub(super) about: Option<(Action, ResourceId)>,
    pub(super) format: Format,
    /// Where the records are; `None`: nowhere.
    pub(super) records: Option<Path>,
    /// Whether they are positional rows.
    pub(super) rows: Option<RowColumns>,
    /// What tells records of several types apart.
    pub(super) types: Option<RecordTypes>,
    /// The value by which its resource is remembered.
    pub(super) recalls: Option<Recalls>,
    /// Where it is one of batches: what is known of them.
    pub(super) batch: Option<Arc<BatchRoute>>,
    /// Whether its action is the remembered one, too.
    pub(super) remembers_action: bool,
    /// Whether the body is judged before anything is decided.
    pub(super) reads_body: bool,
    pub(super) keep: Vec<Path>,
    pub(super) total: Option<Path>,
    pub(super) remove_total: bool,
    pub(super) hold_for_total: Option<usize>,
    /// Where the records are in the request body.
    pub(super) body: Option<Path>,
    pub(super) on_uneditable: UneditableRule,
    pub(super) query: RouteQuery,
    /// The route that reads the record this one writes.
    pub(super) reader: Option<usize>,
    /// The guards that may concern it.
    pub(super) guards: Vec<usize>,
    /// Those of them in shadow are here instead.
    pub(super) shadow_guards: Vec<usize>,
}

impl RouteTable {
    /// The guards that may concern it.
    pub(super) fn guards(&self, view: View) -> impl Iterator<Item = &usize> {
        let shadow = match view {
            View::Live => &[],
            View::Shadow => self.shadow_guards.as_slice(),
        };
        self.guards.iter().chain(shadow)
    }

    /// The resources its records may be of.
    pub(super) fn resources(&self) -> Vec<ResourceId> {
        match (&self.types, &self.about) {
            (Some(types), Some(_)) => {
                let mut ids: Vec<_> = types.cases.iter().map(|(_, id)| *id).collect();
                ids.sort_unstable();
                ids.dedup();
                ids
            }
            (None, Some((_, id))) => vec![*id],
            (_, None) => Vec::new(),
        }
    }
}

/// What the values of a positional row mean.
#[derive(Clone, Debug)]
pub(super) enum RowColumns {
    /// These fields.
    Fixed(Vec<Path>),
    /// The fields that the request names.
    Asked { at: AskedAt, split: Box<str>, trim: bool },
}

/// A value that a request refers to.
#[derive(Clone, Debug)]
pub(super) struct Recalls {
    /// What it was remembered as.
    pub(super) name: Arc<str>,
    /// The path or query parameter that holds it.
    pub(super) kind: PartKind,
    pub(super) part: Arc<str>,
}

/// Where a request names columns.
#[derive(Clone, Debug)]
pub(super) enum AskedAt {
    Query(Arc<str>),
    Body(Path),
}

/// Record types by the text that names them.
#[derive(Clone, Debug)]
pub(super) struct RecordTypes {
    /// Where it stands in the record.
    pub(super) at: Path,
    pub(super) cases: Vec<(Box<str>, ResourceId)>,
}

/// What query parameters of a route mean.
#[derive(Debug, Default)]
pub(super) struct RouteQuery {
    pub(super) select: Option<Arc<str>>,
    pub(super) sort: Option<Arc<str>>,
    pub(super) filter: Vec<Arc<str>>,
    pub(super) search: Vec<Arc<str>>,
    pub(super) page_size: Option<(Arc<str>, u64)>,
    pub(super) pass: Vec<Arc<str>>,
    /// The parameter that asks for related records.
    pub(super) expand: Option<Arc<str>>,
    /// The parameter that names the columns of positional rows.
    pub(super) columns: Option<Arc<str>>,
    /// Parts of the body that ask, or that were judged otherwise.
    pub(super) body: Vec<BodyPart>,
    pub(super) dialect: Option<Dialect>,
}

impl RouteQuery {
    /// Every parameter that means something.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let page_size = self.page_size.iter().map(|(name, _)| name);
        let lists = self.filter.iter().chain(&self.search).chain(&self.pass);
        self.select
            .iter()
            .chain(&self.sort)
            .chain(&self.expand)
            .chain(&self.columns)
            .chain(page_size)
            .chain(lists)
    }
}

/// The tables of a policy.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) labels: Vec<Arc<str>>,
    pub(super) resources: Vec<ResourceTable>,
    pub(super) masks: HashMap<Arc<str>, Arc<Mask>>,
    pub(super) roles: Vec<RoleTable>,
    pub(super) role_ids: HashMap<Arc<str>, RoleId>,
    pub(super) permissions: Vec<PermissionTable>,
    pub(super) bindings: Vec<BindingTable>,
    pub(super) bound: BindingIndex,
    pub(super) guards: Vec<GuardTable>,
    pub(super) limits: Vec<LimitTable>,
    pub(super) routes: Vec<RouteTable>,
    /// Conditions that nothing matters to, and what they always give.
    pub(super) constants: HashMap<Arc<str>, bool>,
}

impl Tables {
    /// The permissions of roles and of all they inherit from, each once, in the order of the policy.
    pub(super) fn permissions_of(&self, roles: &[RoleId]) -> Vec<PermissionId> {
        self.permissions_in(View::Live, roles)
    }

    /// The same, also of those in shadow.
    pub(super) fn permissions_in(&self, view: View, roles: &[RoleId]) -> Vec<PermissionId> {
        let mut seen = std::collections::HashSet::new();
        let mut open: Vec<RoleId> = roles.to_vec();
        let mut found = Vec::new();
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            if let Some(role) = self.roles.get(id as usize) {
                open.extend(&role.inherits);
                found.extend(&role.permissions);
                if view == View::Shadow {
                    found.extend(&role.shadow);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether any rule is in shadow.
    pub(super) fn has_shadow(&self) -> bool {
        self.permissions.iter().any(|permission| permission.shadow)
            || self.guards.iter().any(|guard| guard.shadow)
            || self.bindings.iter().any(|binding| binding.shadow)
    }

    /// Those of the permissions that are about an action on a resource.
    pub(super) fn about<'t>(
        &'t self,
        permissions: &'t [PermissionId],
        resource: ResourceId,
        action: &'t Action,
    ) -> impl Iterator<Item = &'t PermissionTable> + 't {
        permissions
            .iter()
            .filter_map(|id| self.permissions.get(*id as usize))
            .filter(move |permission| permission.resource == resource && permission.actions.contains(action))
    }
}
