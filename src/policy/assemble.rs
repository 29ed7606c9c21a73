//! What holders of a set of roles may do on one route: everything that does not depend on the record or the request,
//! put together once and cached.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::rewrite::mask::Mask;
use crate::rewrite::{
    Access, Bounds, Format, Grant, Layout, Path, RecordRule, Records, RewritePlan, RuleId, RuleRef, Selector,
    Step, Total, TotalOnHold,
};

use super::compile::writes_one;
use super::model::{PermissionId, PermissionTable, ResourceId, ResourceTable, RoleId, RouteTable, Tables};
use super::operation::Action;
use super::permit::{LimitRule, LimitUnit, QueryFields, QueryRule, UneditableRule, WriteRule};

/// The rights of a set of roles on one route.
#[derive(Debug)]
pub(super) struct Rights {
    pub(super) rewrite: Arc<RewritePlan>,
    pub(super) write: Option<Arc<WriteRule>>,
    pub(super) query: Arc<QueryRule>,
    /// Releases the record before a write, read by the route's reader.
    pub(super) pre_read: Option<Arc<RewritePlan>>,
    pub(super) limits: Arc<[Arc<LimitRule>]>,
    pub(super) rules: Arc<[Arc<str>]>,
    pub(super) roles: Arc<[Arc<str>]>,
}

/// Puts the rights together. `None`: no permission covers the route's action and resource. `hiding` are the guards on
/// fields that are not met.
pub(super) fn assemble(
    tables: &Tables,
    route: &RouteTable,
    roles: &[RoleId],
    hiding: &[usize],
) -> Option<Rights> {
    let (action, resource) = route.about.as_ref()?;
    let all = tables.permissions_of(roles);
    let permissions: Vec<_> = tables.about(&all, *resource, action).collect();
    if permissions.is_empty() {
        return None;
    }
    let side = Side { tables, all: &all, action, hiding };
    let table = tables.resources.get(*resource)?;
    let pre_read = match pre_read(tables, route, table, &permissions) {
        Ok(plan) => plan.map(Arc::new),
        // A condition that cannot be judged before the write is not met.
        Err(NoReader) => return None,
    };
    let rules = side.rules(*resource, &permissions);
    let conditional = permissions.iter().all(|permission| permission.when.is_some());
    let limits = limits(tables, roles, action, *resource);
    Some(Rights {
        rewrite: Arc::new(rewrite_plan(route, rules, conditional, &limits)),
        write: write_rule(&side, route, table, &permissions, pre_read.is_some()).map(Arc::new),
        query: Arc::new(query_rule(&side, route, *resource, &permissions)),
        pre_read,
        limits,
        rules: permissions
            .iter()
            .map(|permission| permission.name.clone())
            .chain(
                route
                    .guards
                    .iter()
                    .filter_map(|guard| tables.guards.get(*guard))
                    .map(|guard| Arc::from(format!("guards.{}", guard.name))),
            )
            .collect(),
        roles: roles
            .iter()
            .filter_map(|id| tables.roles.get(*id as usize))
            .map(|role| role.name.clone())
            .collect(),
    })
}

/// What all rules of one plan have in common.
struct Side<'t> {
    tables: &'t Tables,
    all: &'t [PermissionId],
    action: &'t Action,
    hiding: &'t [usize],
}

// === record rules ===

impl Side<'_> {
    /// The rule of the route's resource, then those of all resources that its records may hold.
    fn rules(&self, resource: ResourceId, permissions: &[&PermissionTable]) -> Vec<RecordRule> {
        // Related records are judged by `read`, so a resource may need two rules: as the route's own and as related.
        let mut related: BTreeMap<ResourceId, RuleId> = BTreeMap::new();
        let mut waiting: Vec<ResourceId> = Vec::new();
        let mut rules = Vec::new();
        rules.extend(self.rule(resource, permissions, &mut related, &mut waiting));
        let mut next = 0;
        while let Some(id) = waiting.get(next).copied() {
            next += 1;
            let permissions = self.related(id);
            rules.extend(self.rule(id, &permissions, &mut related, &mut waiting));
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
        related: &mut BTreeMap<ResourceId, RuleId>,
        waiting: &mut Vec<ResourceId>,
    ) -> Option<RecordRule> {
        let table = self.tables.resources.get(resource)?;
        let relations = table
            .relations
            .iter()
            .map(|(path, target)| {
                let id = *related.entry(*target).or_insert_with(|| {
                    waiting.push(*target);
                    RuleId(waiting.len())
                });
                (path.clone(), RuleRef::Fixed(id))
            })
            .collect();
        Some(RecordRule {
            name: table.name.clone(),
            key: table.key.clone(),
            grants: permissions.iter().map(|permission| grant(permission)).collect(),
            guards: self.guards(resource).cloned().collect(),
            relations,
            embedded: Vec::new(),
            pairs: Vec::new(),
        })
    }

    fn guards(&self, resource: ResourceId) -> impl Iterator<Item = &Vec<Selector>> {
        self.hiding
            .iter()
            .filter_map(|guard| self.tables.guards.get(*guard))
            .filter_map(move |guard| guard.hides.as_ref()?.get(&resource))
    }

    /// Whether a guard that is not met hides a place or something in it.
    fn guarded(&self, resource: ResourceId, path: &Path) -> bool {
        self.guards(resource).any(|selectors| !wholly_shown(selectors, path))
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

/// Whether a place and everything in it is shown in clear.
fn wholly_shown(selectors: &[Selector], path: &Path) -> bool {
    matches!(access_at(selectors, path), Access::Show)
        && selectors
            .iter()
            .filter(|selector| path.is_prefix_of(&selector.path))
            .all(|selector| matches!(selector.access, Access::Show))
}

// === the answer ===

fn rewrite_plan(
    route: &RouteTable,
    rules: Vec<RecordRule>,
    conditional: bool,
    limits: &[Arc<LimitRule>],
) -> RewritePlan {
    let rule = RuleRef::Fixed(RuleId(0));
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
    RewritePlan::new(route.format.clone(), layout, rules, bounds(route, limits))
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

// === writes ===

/// A write is allowed under a condition, and nothing can read the record before it.
struct NoReader;

fn pre_read(
    tables: &Tables,
    route: &RouteTable,
    table: &ResourceTable,
    permissions: &[&PermissionTable],
) -> Result<Option<RewritePlan>, NoReader> {
    let Some((action, _)) = &route.about else { return Ok(None) };
    let safe = matches!(route.method, http::Method::GET | http::Method::HEAD | http::Method::OPTIONS);
    let always = permissions.iter().any(|permission| permission.when.is_none());
    let only_always = permissions.iter().all(|permission| permission.when.is_none());
    let decided = only_always || (always && route.body.is_none());
    if safe || !writes_one(action) || decided {
        return Ok(None);
    }
    let reader = route.reader.and_then(|reader| tables.routes.get(reader)).ok_or(NoReader)?;
    let at = reader.records.clone().ok_or(NoReader)?;
    let grants = permissions
        .iter()
        .map(|permission| Grant {
            when: permission.when.clone(),
            fields: Vec::new(),
            otherwise: Access::Hide,
            name: permission.name.clone(),
        })
        .collect();
    let rule = RecordRule {
        name: table.name.clone(),
        key: table.key.clone(),
        grants,
        guards: Vec::new(),
        relations: Vec::new(),
        embedded: Vec::new(),
        pairs: Vec::new(),
    };
    let records = Records::One { at, rule: RuleRef::Fixed(RuleId(0)) };
    let layout = Layout { records, keep: Vec::new(), total: None };
    Ok(Some(RewritePlan::new(Format::Json, layout, vec![rule], Bounds::default())))
}

fn write_rule(
    side: &Side<'_>,
    route: &RouteTable,
    table: &ResourceTable,
    permissions: &[&PermissionTable],
    pre_read: bool,
) -> Option<WriteRule> {
    let at = route.body.as_ref()?;
    let creates = matches!(&route.about, Some((Action::Create, _)));
    let grants: Vec<Grant> = permissions
        .iter()
        .map(|permission| Grant {
            // A new record must meet the condition; one that is there was judged by the read before.
            when: permission.when.clone().filter(|_| creates),
            fields: editable(side, permission, creates),
            otherwise: Access::Hide,
            name: permission.name.clone(),
        })
        .collect();
    let whatever_applies = if pre_read { vec![common(&grants, permissions)] } else { grants.clone() };
    let write = WriteRule {
        plan: Arc::new(write_plan(table, at, whatever_applies)),
        on_uneditable: route.on_uneditable,
        masks: masks_shown(side, table),
        resource: table.name.clone(),
        at: at.clone(),
        grants,
    };
    debug_assert!(matches!(write.on_uneditable, UneditableRule::Refuse | UneditableRule::Strip));
    Some(write)
}

/// The plan that a body passes: what may be set is shown.
pub(super) fn write_plan_of(resource: &Arc<str>, at: &Path, grants: Vec<Grant>) -> RewritePlan {
    let rule = RecordRule {
        name: resource.clone(),
        key: None,
        grants,
        guards: Vec::new(),
        relations: Vec::new(),
        embedded: Vec::new(),
        pairs: Vec::new(),
    };
    let reference = RuleRef::Fixed(RuleId(0));
    let records = if at.is_list() {
        Records::Many { at: at.clone(), rule: reference }
    } else {
        Records::One { at: at.clone(), rule: reference }
    };
    let layout = Layout { records, keep: Vec::new(), total: None };
    RewritePlan::new(Format::Json, layout, vec![rule], Bounds::default())
}

fn write_plan(table: &ResourceTable, at: &Path, grants: Vec<Grant>) -> RewritePlan {
    write_plan_of(&table.name, at, grants)
}

/// Where a permission lets values be set: where it says `edit` and the value is shown, too.
fn editable(side: &Side<'_>, permission: &PermissionTable, creates: bool) -> Vec<Selector> {
    permission
        .edit
        .iter()
        .map(|selector| {
            let named = matches!(selector.access, Access::Show);
            let seen = permission.write_only || shown_with(side, permission, &selector.path);
            // Setting what the condition reads could move the record out of its reach, or into it.
            let decides = !creates && deciding(permission, &selector.path);
            let guarded = side.guarded(permission.resource, &selector.path);
            let access = if named && seen && !decides && !guarded { Access::Show } else { Access::Hide };
            Selector { access, ..selector.clone() }
        })
        .collect()
}

/// Whether a place is shown in clear wherever a permission applies: by itself, by one without a condition, or by one
/// with the same condition, for this action or for reading.
fn shown_with(side: &Side<'_>, permission: &PermissionTable, path: &Path) -> bool {
    let condition = |p: &PermissionTable| p.when.as_ref().map(|when| when.source().clone());
    let mine = condition(permission);
    side.all.iter().filter_map(|id| side.tables.permissions.get(*id as usize)).any(|other| {
        let about = other.resource == permission.resource
            && other.actions.iter().any(|a| a == side.action || matches!(a, Action::Read | Action::List));
        let applies = condition(other).is_none() || condition(other) == mine;
        about && applies && wholly_shown(&other.access, path)
    })
}

fn deciding(permission: &PermissionTable, path: &Path) -> bool {
    permission.when.as_ref().is_some_and(|when| {
        when.slots().iter().any(|slot| slot.is_prefix_of(path) || path.is_prefix_of(slot))
    })
}

/// What may be set whichever of the permissions turn out to apply to the record.
fn common(grants: &[Grant], permissions: &[&PermissionTable]) -> Grant {
    let always: Vec<&Grant> =
        grants.iter().zip(permissions).filter(|(_, p)| p.when.is_none()).map(|(grant, _)| grant).collect();
    let places: BTreeSet<&Path> = grants.iter().flat_map(|grant| &grant.fields).map(|s| &s.path).collect();
    let fields = places
        .into_iter()
        .map(|path| {
            let by = |grant: &Grant| matches!(access_at(&grant.fields, path), Access::Show);
            let free = always.iter().any(|grant| by(grant)) || (always.is_empty() && grants.iter().all(by));
            Selector {
                path: path.clone(),
                rank: u32::try_from(path.steps().len()).unwrap_or(u32::MAX),
                access: if free { Access::Show } else { Access::Hide },
            }
        })
        .collect();
    Grant { when: None, fields, otherwise: Access::Hide, name: "edit".into() }
}

/// Every mask the principal may have been shown on a resource.
fn masks_shown(side: &Side<'_>, table: &ResourceTable) -> Vec<(Path, Arc<Mask>)> {
    let mut masks: Vec<(Path, Arc<Mask>)> = Vec::new();
    let mine: BTreeSet<_> = side.all.iter().collect();
    for permission in table.permissions.iter().filter(|id| mine.contains(id)) {
        let Some(permission) = side.tables.permissions.get(*permission as usize) else { continue };
        for selector in &permission.access {
            let Access::Mask(mask) = &selector.access else { continue };
            let known = masks.iter().any(|(path, known)| *path == selector.path && Arc::ptr_eq(known, mask));
            if !known {
                masks.push((selector.path.clone(), mask.clone()));
            }
        }
    }
    masks
}

// === queries ===

fn query_rule(
    side: &Side<'_>,
    route: &RouteTable,
    resource: ResourceId,
    permissions: &[&PermissionTable],
) -> QueryRule {
    let fields =
        side.tables.resources.get(resource).map(|table| query_fields(side, resource, table, permissions));
    let fields = fields.unwrap_or_default();
    let everything = side
        .tables
        .resources
        .get(resource)
        .is_some_and(|table| table.fields.iter().all(|field| fields.queryable.contains(&field.text)));
    let query = &route.query;
    QueryRule {
        select: query.select.clone(),
        sort: query.sort.clone(),
        filter: query.filter.clone(),
        search: if everything { query.search.clone() } else { Vec::new() },
        page_size: query.page_size.clone(),
        pass: query.pass.clone(),
        fields: Arc::new(fields),
    }
}

fn query_fields(
    side: &Side<'_>,
    resource: ResourceId,
    table: &ResourceTable,
    permissions: &[&PermissionTable],
) -> QueryFields {
    let mut fields = QueryFields::default();
    let mut texts: HashMap<&Path, Arc<str>> = HashMap::new();
    for field in &table.fields {
        texts.insert(&field.path, field.text.clone());
    }
    let named = permissions.iter().flat_map(|permission| &permission.access).map(|selector| &selector.path);
    let places: BTreeSet<&Path> = named.collect();
    for path in places {
        if side.guarded(resource, path) {
            continue;
        }
        let text = texts.get(path).cloned().unwrap_or_else(|| path.to_string().into());
        let may = |permission: &PermissionTable| match &permission.query {
            Some(query) => matches!(access_at(query, path), Access::Show),
            None => wholly_shown(&permission.access, path),
        };
        // On every record that may be listed: by a permission that always applies, or by every one that may.
        let always = permissions.iter().any(|permission| permission.when.is_none() && may(permission));
        if always || permissions.iter().all(|permission| may(permission)) {
            fields.queryable.insert(text.clone());
        }
        let released = permissions.iter().any(|p| !matches!(access_at(&p.access, path), Access::Hide));
        if released {
            fields.selectable.insert(text);
            for length in 1..path.steps().len() {
                let above = path.steps().get(..length).map(|steps| Path(steps.to_vec()).to_string());
                fields.selectable.extend(above.map(Arc::from));
            }
        }
    }
    for (path, target) in &table.relations {
        if !side.related(*target).is_empty() {
            let list = path.steps().strip_suffix(&[Step::Elements]).unwrap_or(path.steps());
            fields.selectable.insert(Path(list.to_vec()).to_string().into());
        }
    }
    fields
}

// === limits ===

fn limits(tables: &Tables, roles: &[RoleId], action: &Action, resource: ResourceId) -> Arc<[Arc<LimitRule>]> {
    tables
        .limits
        .iter()
        .filter(|limit| limit.roles.is_empty() || limit.roles.iter().any(|role| roles.contains(role)))
        .filter(|limit| limit.resources.is_empty() || limit.resources.contains(&resource))
        .filter(|limit| limit.actions.is_empty() || limit.actions.contains(action))
        .map(|limit| limit.rule.clone())
        .collect()
}

/// Most keys of one answer that are held for counting.
const MAX_COUNTED_KEYS: usize = 100_000;
