//! What holders of a set of roles may do on one route: everything that does not depend on the record or the request,
//! put together once and cached.

mod queries;
mod writes;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::rewrite::condition::Predicate;
use crate::rewrite::{
    Access, Bounds, Format, Grant, Layout, Path, RecordRule, Records, RewritePlan, RuleId, RuleRef, Selector,
    Step, Total, TotalOnHold,
};

use super::model::{PermissionId, PermissionTable, ResourceId, RoleId, RouteTable, RowColumns, Tables, View};
use super::operation::Action;
use super::permit::{LimitRule, LimitUnit, QueryRule, WriteRule};
use super::rows::RowRights;

use queries::query_rule;
use writes::{NoReader, pre_read, write_rule};

pub(super) use writes::write_plan_of;

/// The rights of a set of roles on one route.
#[derive(Debug)]
pub(super) struct Rights {
    pub(super) rewrite: Arc<RewritePlan>,
    /// Makes that plan anew where the request names the columns.
    pub(super) rows: Option<RowRights>,
    pub(super) write: Option<Arc<WriteRule>>,
    pub(super) query: Arc<QueryRule>,
    /// Releases the record before a write, read by the route's reader.
    pub(super) pre_read: Option<PreReadRights>,
    pub(super) limits: Arc<[Arc<LimitRule>]>,
    pub(super) rules: Arc<[Arc<str>]>,
    pub(super) roles: Arc<[Arc<str>]>,
    /// What its conditions and the route's guards read of principal and request.
    pub(super) reads: Vec<usize>,
}

/// Releases a record before a write.
#[derive(Clone, Debug)]
pub(super) struct PreReadRights {
    pub(super) plan: Arc<RewritePlan>,
    /// Whether the write needs the record itself.
    pub(super) keep: bool,
}

/// Puts the rights together. `None`: no permission covers the route's action and resource. `hiding` are the guards on
/// fields that are not met.
pub(super) fn assemble(
    tables: &Tables,
    route: &RouteTable,
    roles: &[RoleId],
    hiding: &[usize],
) -> Option<Rights> {
    assemble_in(View::Live, tables, route, roles, hiding)
}

/// The same, also by the rules in shadow.
pub(super) fn assemble_in(
    view: View,
    tables: &Tables,
    route: &RouteTable,
    roles: &[RoleId],
    hiding: &[usize],
) -> Option<Rights> {
    let (action, resource) = route.about.as_ref()?;
    let all = tables.permissions_in(view, roles);
    let subjects: Vec<Subject<'_>> =
        route.resources().into_iter().map(|id| (id, tables.about(&all, id, action).collect())).collect();
    let permissions: Vec<_> = subjects.iter().flat_map(|(_, permissions)| permissions).copied().collect();
    if permissions.is_empty() {
        return None;
    }
    let side = Side { tables, all: &all, action, hiding };
    let table = tables.resources.get(*resource)?;
    let pre_read = match pre_read(tables, route, table, &permissions) {
        Ok(rights) => rights,
        // A condition that cannot be judged before the write is not met.
        Err(NoReader) => return None,
    };
    let rules = side.rules(&subjects);
    // Of some type there may be records that are not released.
    let conditional = subjects
        .iter()
        .any(|(_, permissions)| permissions.iter().all(|permission| permission.when.is_some()));
    let limits = limits(tables, roles, route, action);
    let (rewrite, rows) = rewrite_plan(route, &subjects, rules, conditional, &limits);
    Some(Rights {
        rewrite: Arc::new(rewrite),
        rows,
        write: write_rule(&side, route, table, &permissions, pre_read.as_ref()).map(Arc::new),
        query: Arc::new(query_rule(&side, route, &subjects)),
        pre_read,
        limits,
        rules: permissions
            .iter()
            .map(|permission| permission.name.clone())
            .chain(
                route
                    .guards(view)
                    .filter_map(|guard| tables.guards.get(*guard))
                    .map(|guard| Arc::from(format!("guards.{}", guard.name))),
            )
            .collect(),
        roles: roles
            .iter()
            .filter_map(|id| tables.roles.get(*id as usize))
            .map(|role| role.name.clone())
            .collect(),
        reads: reads_of(
            all.iter()
                .filter_map(|id| tables.permissions.get(*id as usize)?.when.as_ref())
                .chain(route.guards(view).filter_map(|guard| Some(&tables.guards.get(*guard)?.require))),
        ),
    })
}

/// What conditions read of principal and request: sorted, each once.
pub(super) fn reads_of<'p>(conditions: impl Iterator<Item = &'p Arc<Predicate>>) -> Vec<usize> {
    let mut reads: Vec<usize> = conditions.flat_map(|condition| condition.reads()).copied().collect();
    reads.sort_unstable();
    reads.dedup();
    reads
}

/// A resource of the route's records, and the permissions on it.
type Subject<'t> = (ResourceId, Vec<&'t PermissionTable>);

/// What all rules of one plan have in common.
struct Side<'t> {
    tables: &'t Tables,
    all: &'t [PermissionId],
    action: &'t Action,
    hiding: &'t [usize],
}

// === record rules ===

impl Side<'_> {
    /// The rules of the route's resources, then those of all resources that its records may hold.
    fn rules(&self, subjects: &[Subject<'_>]) -> Vec<RecordRule> {
        // Related records are judged by `read`, so a resource may need two rules: as the route's own and as related.
        let mut related = Related { first: subjects.len(), ids: BTreeMap::new(), waiting: Vec::new() };
        let mut rules = Vec::new();
        for (resource, permissions) in subjects {
            rules.extend(self.rule(*resource, permissions, &mut related));
        }
        let mut next = 0;
        while let Some(id) = related.waiting.get(next).copied() {
            next += 1;
            let permissions = self.related(id);
            rules.extend(self.rule(id, &permissions, &mut related));
        }
        rules
    }

    /// The permissions that judge a related record: those for `read`, else those for this action.
    fn related(&self, resource: ResourceId) -> Vec<&PermissionTable> {
        let reading: Vec<_> = self.tables.about(self.all, resource, &Action::Read).collect();
        if reading.is_empty() {
            self.tables.about(self.all, resource, self.action).collect()
        } else {
            reading
        }
    }

    fn rule(
        &self,
        resource: ResourceId,
        permissions: &[&PermissionTable],
        related: &mut Related,
    ) -> Option<RecordRule> {
        let table = self.tables.resources.get(resource)?;
        let relations = table
            .relations
            .iter()
            .map(|(path, target)| (path.clone(), RuleRef::Fixed(related.id(*target))))
            .collect();
        Some(RecordRule {
            name: table.name.clone(),
            key: table.key.clone(),
            grants: permissions.iter().map(|permission| grant(permission)).collect(),
            guards: self.guards(resource).cloned().collect(),
            relations,
            embedded: table.embedded.clone(),
            pairs: table.pairs.clone(),
        })
    }

    fn guards(&self, resource: ResourceId) -> impl Iterator<Item = &Vec<Selector>> {
        self.hiding
            .iter()
            .filter_map(|guard| self.tables.guards.get(*guard))
            .filter_map(move |guard| guard.hides.as_ref()?.get(&resource))
    }

    /// Whether a guard that is not met hides a place by itself, or with what it is in.
    fn guarded_above(&self, resource: ResourceId, path: &Path) -> bool {
        self.guards(resource).any(|selectors| {
            let above = selectors.iter().filter(|selector| selector.path.is_prefix_of(path));
            above.max_by_key(|selector| selector.rank).is_some_and(|s| matches!(s.access, Access::Hide))
        })
    }

    /// Whether a guard that is not met hides a place or something in it.
    fn guarded(&self, resource: ResourceId, path: &Path) -> bool {
        self.guards(resource).any(|selectors| !wholly_shown(selectors, path))
    }
}

/// The rules of related records: their numbers, and those still to be made.
struct Related {
    /// The number of the first one.
    first: usize,
    ids: BTreeMap<ResourceId, RuleId>,
    waiting: Vec<ResourceId>,
}

impl Related {
    fn id(&mut self, resource: ResourceId) -> RuleId {
        *self.ids.entry(resource).or_insert_with(|| {
            self.waiting.push(resource);
            RuleId(self.first + self.waiting.len() - 1)
        })
    }
}

fn grant(permission: &PermissionTable) -> Grant {
    Grant {
        when: permission.when.clone(),
        fields: permission.access.clone(),
        otherwise: if permission.unknown_shown { Access::Show } else { Access::Hide },
        name: permission.name.clone(),
    }
}

/// The access that selectors give at one place.
pub(super) fn access_at<'s>(selectors: &'s [Selector], path: &Path) -> &'s Access {
    selectors
        .iter()
        .filter(|selector| selector.path.is_prefix_of(path))
        .max_by_key(|selector| selector.rank)
        .map_or(&Access::Hide, |selector| &selector.access)
}

/// Whether the engine can tell these places of a record apart.
pub(super) fn is_followed(paths: Vec<Path>) -> bool {
    let show = |path| Selector { path, rank: 0, access: Access::Show };
    let fields = paths.into_iter().map(show).collect();
    let grant = Grant { when: None, fields, otherwise: Access::Hide, name: "all".into() };
    let rule = RecordRule {
        name: "record".into(),
        key: None,
        grants: vec![grant],
        guards: Vec::new(),
        relations: Vec::new(),
        embedded: Vec::new(),
        pairs: Vec::new(),
    };
    let records = Records::Many { at: Path(vec![Step::Elements]), rule: RuleRef::Fixed(RuleId(0)) };
    let layout = Layout { records, keep: Vec::new(), total: None };
    RewritePlan::new(Format::Json, layout, vec![rule], Bounds::default()).check().is_ok()
}

/// Whether a place and everything in it is shown in clear.
fn wholly_shown(selectors: &[Selector], path: &Path) -> bool {
    matches!(access_at(selectors, path), Access::Show)
        && selectors
            .iter()
            .filter(|selector| path.is_prefix_of(&selector.path))
            .all(|selector| matches!(selector.access, Access::Show))
        && !narrowed(selectors, path)
}

/// Whether some of the elements that a place goes through are chosen by a filter, or from the end, and not shown.
fn narrowed(selectors: &[Selector], path: &Path) -> bool {
    let wide = path.widened();
    selectors
        .iter()
        .filter(|selector| selector.path.is_chosen() && !matches!(selector.access, Access::Show))
        .any(|selector| wide.is_prefix_of(&selector.path.widened()))
}

// === the answer ===

fn rewrite_plan(
    route: &RouteTable,
    subjects: &[Subject<'_>],
    rules: Vec<RecordRule>,
    conditional: bool,
    limits: &[Arc<LimitRule>],
) -> (RewritePlan, Option<RowRights>) {
    let rule = reference(route, subjects);
    let records = match &route.records {
        _ if route.format != Format::Json => Records::Many { at: Path(vec![Step::Elements]), rule },
        None => Records::None,
        Some(at) if at.is_list() => Records::Many { at: at.clone(), rule },
        Some(at) => Records::One { at: at.clone(), rule },
    };
    let total = route.total.clone().map(|at| Total {
        at,
        recount: conditional,
        otherwise: if route.remove_total { TotalOnHold::Remove } else { TotalOnHold::Null },
    });
    let layout = Layout { records, keep: route.keep.clone(), total };
    let bounds = bounds(route, limits);
    match (&route.rows, &route.records) {
        (Some(columns), Some(at)) => {
            let rows = RowRights::new(at.clone(), rules, layout, bounds);
            let fixed = match columns {
                RowColumns::Fixed(columns) => columns.as_slice(),
                // Until the request says which, a row may have no values.
                RowColumns::Asked { .. } => &[],
            };
            (rows.fixed(fixed), Some(rows))
        }
        _ => (RewritePlan::new(route.format.clone(), layout, rules, bounds), None),
    }
}

/// The rule that a record of the route is under.
fn reference(route: &RouteTable, subjects: &[Subject<'_>]) -> RuleRef {
    let Some(types) = &route.types else { return RuleRef::Fixed(RuleId(0)) };
    let rule = |id: &ResourceId| subjects.iter().position(|(known, _)| known == id).map(RuleId);
    let cases = types.cases.iter().filter_map(|(text, id)| Some((text.clone(), rule(id)?))).collect();
    RuleRef::ByType { at: types.at.clone(), cases }
}

fn bounds(route: &RouteTable, limits: &[Arc<LimitRule>]) -> Bounds {
    let default = Bounds::default();
    // The audit is content with a few keys. To count different records, as many must be known by their keys as the
    // limit allows; those behind them count as different ones anyway.
    let counted = limits.iter().filter(|limit| limit.unit == LimitUnit::DistinctRecords);
    let keys = counted.map(|limit| usize::try_from(limit.amount).unwrap_or(usize::MAX)).max();
    Bounds {
        hold_for_total_bytes: route.hold_for_total.unwrap_or(default.hold_for_total_bytes),
        keys: keys.map_or(default.keys, |keys| keys.clamp(default.keys, MAX_COUNTED_KEYS)),
        ..default
    }
}

// === limits ===

fn limits(tables: &Tables, roles: &[RoleId], route: &RouteTable, action: &Action) -> Arc<[Arc<LimitRule>]> {
    let resources = route.resources();
    let concerns = |id: &ResourceId| resources.contains(id);
    tables
        .limits
        .iter()
        .filter(|limit| limit.roles.is_empty() || limit.roles.iter().any(|role| roles.contains(role)))
        .filter(|limit| limit.resources.is_empty() || limit.resources.iter().any(concerns))
        .filter(|limit| limit.actions.is_empty() || limit.actions.contains(action))
        .map(|limit| limit.rule.clone())
        .collect()
}

/// Most keys of one answer that are held for counting.
const MAX_COUNTED_KEYS: usize = 100_000;
