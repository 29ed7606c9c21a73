//! What holders of a set of roles may do on one route: everything that does not depend on the record or the request,
//! put together once and cached.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::rewrite::condition::Predicate;
use crate::rewrite::mask::Mask;
use crate::rewrite::{
    Access, Bounds, Format, Grant, Layout, Path, RecordRule, Records, RewritePlan, RuleId, RuleRef, Selector,
    Step, Total, TotalOnHold,
};

use super::compile::writes_one;
use super::model::{
    PermissionId, PermissionTable, ResourceId, ResourceTable, RoleId, RouteTable, RowColumns, Tables, View,
};
use super::operation::Action;
use super::permit::{LimitRule, LimitUnit, Meaning, QueryFields, QueryRule, UneditableRule, WriteRule};
use super::rows::RowRights;

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

// === writes ===

/// A write is allowed under a condition, and nothing can read the record before it.
struct NoReader;

fn pre_read(
    tables: &Tables,
    route: &RouteTable,
    table: &ResourceTable,
    permissions: &[&PermissionTable],
) -> Result<Option<PreReadRights>, NoReader> {
    let Some((action, _)) = &route.about else { return Ok(None) };
    let safe = matches!(route.method, http::Method::GET | http::Method::HEAD | http::Method::OPTIONS);
    let always = permissions.iter().any(|permission| permission.when.is_none());
    let only_always = permissions.iter().all(|permission| permission.when.is_none());
    let decided = only_always || (always && route.body.is_none());
    let restores = route.body.is_some() && route.on_uneditable == UneditableRule::Restore;
    if safe || !writes_one(action) || (decided && !restores) {
        return Ok(None);
    }
    let keep = restores || (route.body.is_some() && moves(permissions));
    let reader = route.reader.and_then(|reader| tables.routes.get(reader)).ok_or(NoReader)?;
    let at = reader.records.clone().ok_or(NoReader)?;
    let grants = permissions
        .iter()
        .map(|permission| Grant {
            when: permission.when.clone(),
            fields: Vec::new(),
            otherwise: if keep { Access::Show } else { Access::Hide },
            name: permission.name.clone(),
        })
        .collect();
    let rule = RecordRule { key: table.key.clone(), grants, ..bare_rule(table) };
    Ok(Some(PreReadRights { plan: Arc::new(one_record(at, rule)), keep }))
}

fn one_record(at: Path, rule: RecordRule) -> RewritePlan {
    let records = Records::One { at, rule: RuleRef::Fixed(RuleId(0)) };
    let layout = Layout { records, keep: Vec::new(), total: None };
    RewritePlan::new(Format::Json, layout, vec![rule], Bounds::default())
}

/// Whether what one permission lets be set is what the condition of another one reads: a write can then move the record
/// out of reach of a permission that lets the rest of it be set.
fn moves(permissions: &[&PermissionTable]) -> bool {
    permissions.iter().any(|permission| {
        let others = permissions.iter().filter(|other| !std::ptr::eq(**other, *permission));
        others
            .flat_map(|other| &other.edit)
            .any(|selector| matches!(selector.access, Access::Show) && deciding(permission, &selector.path))
    })
}

fn write_rule(
    side: &Side<'_>,
    route: &RouteTable,
    table: &ResourceTable,
    permissions: &[&PermissionTable],
    pre_read: Option<&PreReadRights>,
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
    let whatever_applies =
        if pre_read.is_some() { vec![common(&grants, permissions)] } else { grants.clone() };
    let rule = bare_rule(table);
    let conditional = permissions.iter().any(|permission| permission.when.is_some());
    let after = pre_read.filter(|read| read.keep && conditional).map(|_| {
        let conditions = permissions.iter().map(|permission| Grant {
            when: permission.when.clone(),
            fields: Vec::new(),
            otherwise: Access::Hide,
            name: permission.name.clone(),
        });
        Arc::new(one_record(Path::default(), RecordRule { grants: conditions.collect(), ..bare_rule(table) }))
    });
    let record = Path(at.steps().strip_suffix(&[Step::Elements]).unwrap_or(at.steps()).to_vec());
    let passing = route.query.body.iter().filter(|part| part.meaning == Meaning::Pass);
    let beside = passing.filter(|part| !record.is_prefix_of(&part.path));
    let keep: Vec<Path> = beside.map(|part| part.path.clone()).collect();
    let write = WriteRule {
        plan: Arc::new(write_plan_of(&rule, at, &keep, whatever_applies)),
        on_uneditable: route.on_uneditable,
        masks: masks_shown(side, table),
        at: at.clone(),
        blind: permissions.iter().flat_map(|permission| blind(side, permission)).collect(),
        after,
        rule,
        keep,
        grants,
    };
    Some(write)
}

/// Places that a permission lets be set and nothing shows.
fn blind<'t>(side: &Side<'t>, permission: &'t PermissionTable) -> Vec<Path> {
    let named = permission
        .edit
        .iter()
        .filter(|selector| permission.write_only && matches!(selector.access, Access::Show));
    named.map(|selector| &selector.path).filter(|path| !shown_with(side, permission, path)).cloned().collect()
}

/// The plan that a body passes: what may be set is shown, and what else passes is kept.
pub(super) fn write_plan_of(rule: &RecordRule, at: &Path, keep: &[Path], grants: Vec<Grant>) -> RewritePlan {
    let rule = RecordRule { grants, ..rule.clone() };
    let reference = RuleRef::Fixed(RuleId(0));
    let records = if at.is_list() {
        Records::Many { at: at.clone(), rule: reference }
    } else {
        Records::One { at: at.clone(), rule: reference }
    };
    let layout = Layout { records, keep: keep.to_vec(), total: None };
    RewritePlan::new(Format::Json, layout, vec![rule], Bounds::default())
}

/// The rule of a record that nothing is said about but its shape.
fn bare_rule(table: &ResourceTable) -> RecordRule {
    RecordRule {
        name: table.name.clone(),
        key: None,
        grants: Vec::new(),
        guards: Vec::new(),
        relations: Vec::new(),
        embedded: table.embedded.clone(),
        pairs: table.pairs.clone(),
    }
}

/// Where a permission lets values be set: where it says `edit` and the value is shown, too.
fn editable(side: &Side<'_>, permission: &PermissionTable, creates: bool) -> Vec<Selector> {
    // Which element of a body a filter picks is the caller's to say: those places go with the list they are in.
    let plain = permission.edit.iter().filter(|selector| !selector.path.is_chosen());
    plain
        .map(|selector| {
            let named =
                matches!(selector.access, Access::Show) && !narrowed(&permission.edit, &selector.path);
            let seen = permission.write_only || shown_with(side, permission, &selector.path);
            // Setting what a condition reads could move the record out of its reach or into it, or open a mask.
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
    permission.deciding().any(|slot| slot.is_prefix_of(path) || path.is_prefix_of(slot))
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
            // In a body nobody can say which elements a filter would choose.
            let path =
                if selector.path.is_chosen() { selector.path.widened() } else { selector.path.clone() };
            if !masks.iter().any(|(known, other)| *known == path && Arc::ptr_eq(other, mask)) {
                masks.push((path, mask.clone()));
            }
        }
    }
    masks
}

// === queries ===

fn query_rule(side: &Side<'_>, route: &RouteTable, subjects: &[Subject<'_>]) -> QueryRule {
    let mut fields: Option<QueryFields> = None;
    let mut everything = true;
    let mut ids = Vec::new();
    for (resource, permissions) in subjects.iter().filter(|(_, permissions)| !permissions.is_empty()) {
        let Some(table) = side.tables.resources.get(*resource) else { continue };
        let mut of_one = query_fields(side, *resource, table, permissions);
        if route.query.expand.is_some() {
            of_one.relations = relations(side, *resource, &mut ids);
        }
        everything &= table.fields.iter().all(|field| of_one.queryable.contains(&field.text));
        fields = Some(match fields {
            None => of_one,
            // A question is put to the records of every type.
            Some(known) => QueryFields {
                relations: common_relations(known.relations, &of_one.relations),
                needs: known.needs.union(&of_one.needs).cloned().collect(),
                queryable: known.queryable.intersection(&of_one.queryable).cloned().collect(),
                selectable: known.selectable.union(&of_one.selectable).cloned().collect(),
            },
        });
    }
    let query = &route.query;
    QueryRule {
        select: query.select.clone(),
        sort: query.sort.clone(),
        filter: query.filter.clone(),
        search: if everything { query.search.clone() } else { Vec::new() },
        page_size: query.page_size.clone(),
        pass: query.pass.clone(),
        columns: query.columns.clone(),
        expand: query.expand.clone(),
        related: related_fields(side, ids),
        body: query
            .body
            .iter()
            .filter(|part| everything || part.meaning != Meaning::Search)
            .cloned()
            .collect(),
        dialect: query.dialect,
        fields: Arc::new(fields.unwrap_or_default()),
    }
}

/// The relations of a resource that its records may be asked for with: those under whose rules anything is released.
/// `ids` are the resources met so far.
fn relations(side: &Side<'_>, resource: ResourceId, ids: &mut Vec<ResourceId>) -> BTreeMap<Arc<str>, usize> {
    let table = side.tables.resources.get(resource);
    let open = table
        .into_iter()
        .flat_map(|table| &table.relations)
        .filter(|(path, target)| !side.related(*target).is_empty() && !side.guarded_above(resource, path));
    open.filter_map(|(path, target)| {
        let list = path.steps().strip_suffix(&[Step::Elements]).unwrap_or(path.steps());
        let [Step::Name(name)] = list else { return None };
        let at = ids.iter().position(|id| id == target).unwrap_or_else(|| {
            ids.push(*target);
            ids.len() - 1
        });
        Some((name.as_ref().into(), at))
    })
    .collect()
}

/// What may be asked of the related records, and of those related to them: by the rights that they are released by.
fn related_fields(side: &Side<'_>, mut ids: Vec<ResourceId>) -> Vec<Arc<QueryFields>> {
    let mut related = Vec::new();
    while let Some(id) = ids.get(related.len()).copied() {
        let permissions = side.related(id);
        let fields = side.tables.resources.get(id).map(|table| {
            let mut fields = query_fields(side, id, table, &permissions);
            fields.relations = relations(side, id, &mut ids);
            let slots = permissions.iter().filter_map(|permission| permission.when.as_ref());
            let read = slots.flat_map(|when| when.slots()).chain(&table.key);
            let first = read.filter_map(|path| match path.steps().first() {
                Some(Step::Name(name)) => Some(Arc::from(name.as_ref())),
                _ => None,
            });
            fields.needs = first.collect();
            fields
        });
        related.push(Arc::new(fields.unwrap_or_default()));
    }
    related
}

fn common_relations(
    known: BTreeMap<Arc<str>, usize>,
    others: &BTreeMap<Arc<str>, usize>,
) -> BTreeMap<Arc<str>, usize> {
    known.into_iter().filter(|(name, at)| others.get(name) == Some(at)).collect()
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
            Some(query) => matches!(access_at(query, path), Access::Show) && !narrowed(query, path),
            None => wholly_shown(&permission.access, path),
        };
        // On every record that may be listed: by a permission that always applies, or by every one that may.
        let always = permissions.iter().any(|permission| permission.when.is_none() && may(permission));
        let always = always || permissions.iter().all(|permission| may(permission));
        if always && !path.is_chosen() {
            fields.queryable.insert(text.clone());
        }
        let released = permissions.iter().any(|p| !matches!(access_at(&p.access, path), Access::Hide));
        if released {
            let wide = if path.is_chosen() { path.widened().to_string().into() } else { text };
            fields.selectable.insert(wide);
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
