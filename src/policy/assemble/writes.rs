//! What may be written, and what is read before.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::rewrite::mask::Mask;
use crate::rewrite::{
    Access, Bounds, Format, Grant, Layout, Path, RecordRule, Records, RewritePlan, RuleId, RuleRef, Selector,
    Step,
};

use super::super::compile::writes_one;
use super::super::model::{PermissionTable, ResourceTable, RouteTable, Tables};
use super::super::operation::Action;
use super::super::permit::{Meaning, UneditableRule, WriteRule};
use super::{PreReadRights, Side, access_at, narrowed, wholly_shown};

/// A write is allowed under a condition, and nothing can read the record before it.
pub(super) struct NoReader;

pub(super) fn pre_read(
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

pub(super) fn write_rule(
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
pub(in crate::policy) fn write_plan_of(
    rule: &RecordRule,
    at: &Path,
    keep: &[Path],
    grants: Vec<Grant>,
) -> RewritePlan {
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
