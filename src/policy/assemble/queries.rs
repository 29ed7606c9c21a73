//! What may be asked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::rewrite::{Access, Path, Step};

use super::super::model::{PermissionTable, ResourceId, ResourceTable, RouteTable};
use super::super::permit::{Meaning, QueryFields, QueryRule};
use super::{Side, Subject, access_at, narrowed, wholly_shown};

pub(super) fn query_rule(side: &Side<'_>, route: &RouteTable, subjects: &[Subject<'_>]) -> QueryRule {
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
