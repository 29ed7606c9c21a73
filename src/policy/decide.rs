//! A principal and an operation become a permit or a denial.
//!
//! In order: the roles the principal holds now; the guards on fields that are not met; the rights of those roles on
//! the route (cached); the guards on actions; the values for the conditions on records.

use std::sync::Arc;

use jiff::Timestamp;

use crate::base::fresh_id;
use crate::identity::Principal;
use crate::rewrite::condition::{Param, ParamRoot, Params, Value};
use crate::rewrite::{Access, Path};

use super::assemble::{Rights, access_at, assemble_in, reads_of};
use super::model::{BindingTerms, Bound, GuardTable, RoleId, RouteTable, View};
use super::operation::{Action, Operation};
use super::permit::{Denial, DenialReason, Permit, PreRead, QueryRule};
use super::plan::Plan;
use super::router::Segment;
use super::target;

impl Plan {
    /// Decides. The same code serves requests, policy tests, `apply` and `explain`.
    pub fn decide(
        &self,
        principal: &Principal,
        operation: Operation,
        now: Timestamp,
    ) -> Result<Permit, Denial> {
        self.decide_in(View::Live, principal, operation, now)
    }

    /// Decides as if the rules in shadow were in force, too. Nothing is sent under such a permit: it is compared.
    pub(super) fn decide_in(
        &self,
        view: View,
        principal: &Principal,
        operation: Operation,
        now: Timestamp,
    ) -> Result<Permit, Denial> {
        let route = self.table(operation.route).ok_or_else(|| self.denial(DenialReason::NoRoute))?;
        if route.facts.public {
            return self.pass_at(operation, now);
        }
        if let Some(batch) = &route.batch {
            return self.decide_batch((route, batch), view, principal, operation, now);
        }
        let asked = Asked { principal, action: None, request: Some((&operation, route)), now, view };
        let roles = self.roles(&asked);
        let guards =
            || route.guards(view).filter_map(|index| Some((*index, self.tables.guards.get(*index)?)));
        let read = self.bind(&asked, &roles, &reads_of(guards().map(|(_, guard)| &guard.require)));
        let met = |guard: &GuardTable| guard.require.is_met(&[], &read);
        let hiding: Vec<usize> = guards()
            .filter(|(_, guard)| guard.hides.is_some() && !met(guard))
            .map(|(index, _)| index)
            .collect();
        let Some(rights) = self.rights(&asked, &roles, &hiding) else {
            return Err(self.denial_on(route, no_permission(route)));
        };
        // Guards come last and only take away: whoever has no right is told so, not asked for a second factor.
        if let Some((_, guard)) = guards().find(|(_, guard)| guard.hides.is_none() && !met(guard)) {
            let reason = DenialReason::Guard { name: guard.name.clone(), step_up: guard.step_up.clone() };
            return Err(self.denial_on(route, reason));
        }
        let params = self.bind(&asked, &roles, &rights.reads);
        let columns = match (&rights.rows, &route.rows, route.about.as_ref()) {
            (Some(rows), Some(columns), Some((_, resource))) => {
                let table = self.tables.resources.get(*resource);
                let table = table.ok_or_else(|| self.denial_on(route, no_permission(route)))?;
                rows.asked(columns, table, &operation).map_err(|reason| self.denial_on(route, reason))?
            }
            _ => None,
        };
        let (rewrite, columns) = match columns {
            Some((plan, columns)) => (plan, Some(Arc::new(columns))),
            None => (rights.rewrite.clone(), None),
        };
        let pre_read = match (&rights.pre_read, route.reader.and_then(|reader| self.table(reader))) {
            (None, _) => None,
            (Some(read), Some(reader)) => Some(Arc::new(PreRead {
                method: http::Method::GET,
                path_and_query: fill(&reader.template, &operation),
                plan: read.plan.clone(),
                keep: read.keep,
            })),
            (Some(_), None) => return Err(self.denial_on(route, no_permission(route))),
        };
        Ok(Permit {
            id: fresh_id(now),
            policy_version: self.version.clone(),
            route: route.facts.clone(),
            operation: Arc::new(operation),
            roles: rights.roles.clone(),
            rewrite,
            columns,
            params,
            write: rights.write.clone(),
            query: rights.query.clone(),
            pre_read,
            limits: rights.limits.clone(),
            rules: rights.rules.clone(),
            batch: None,
        })
    }

    /// The guards that concern a permit of this plan, and whether each was met.
    pub fn guards_of(&self, permit: &Permit) -> Vec<(Arc<str>, bool)> {
        let route = self.table(permit.operation.route).into_iter();
        let guards = route.flat_map(|route| &route.guards).filter_map(|index| self.tables.guards.get(*index));
        guards.map(|guard| (guard.name.clone(), guard.require.is_met(&[], &permit.params))).collect()
    }

    /// The guards that are not met and hide a place of a resource under a permit of this plan, with file and line.
    pub fn hiding(&self, permit: &Permit, resource: &str, path: &Path) -> Vec<(Arc<str>, Arc<str>)> {
        let Some(id) = self.tables.resources.iter().position(|table| *table.name == *resource) else {
            return Vec::new();
        };
        let route = self.table(permit.operation.route).into_iter();
        let guards = route.flat_map(|route| &route.guards).filter_map(|index| self.tables.guards.get(*index));
        guards
            .filter(|guard| {
                let hides = guard.hides.as_ref().and_then(|hides| hides.get(&id));
                hides.is_some_and(|selectors| {
                    selectors.iter().any(|selector| selector.path.is_prefix_of(path))
                        && matches!(access_at(selectors, path), Access::Hide)
                }) && !guard.require.is_met(&[], &permit.params)
            })
            .map(|guard| (format!("guards.{}", guard.name).into(), guard.place.clone()))
            .collect()
    }

    /// The permissions on what a route is about, whoever holds them, with file and line.
    pub fn permissions_on(&self, action: &Action, resource: &str) -> Vec<(Arc<str>, Arc<str>)> {
        let resources = &self.tables.resources;
        let all =
            self.tables.permissions.iter().filter(|permission| !permission.shadow).filter(|permission| {
                resources.get(permission.resource).is_some_and(|table| *table.name == *resource)
                    && permission.actions.contains(action)
            });
        all.map(|permission| (permission.name.clone(), permission.place.clone())).collect()
    }

    /// Leave to pass a public route's request untouched, without a principal; limits count its address.
    pub fn pass(&self, operation: Operation, now: Timestamp) -> Result<Permit, Denial> {
        let route = self.table(operation.route).ok_or_else(|| self.denial(DenialReason::NoRoute))?;
        if route.facts.public {
            self.pass_at(operation, now)
        } else {
            Err(self.denial_on(route, no_permission(route)))
        }
    }

    fn pass_at(&self, operation: Operation, now: Timestamp) -> Result<Permit, Denial> {
        let route = self.table(operation.route).ok_or_else(|| self.denial(DenialReason::NoRoute))?;
        Ok(Permit {
            id: fresh_id(now),
            policy_version: self.version.clone(),
            route: route.facts.clone(),
            operation: Arc::new(operation),
            roles: Arc::default(),
            rewrite: self.nothing.clone(),
            columns: None,
            params: Params::default(),
            write: None,
            query: Arc::new(QueryRule::default()),
            pre_read: None,
            limits: self.public_limits.clone(),
            rules: Arc::default(),
            batch: None,
        })
    }

    fn rights(&self, asked: &Asked<'_>, roles: &[RoleId], hiding: &[usize]) -> Option<Arc<Rights>> {
        let Asked { view, .. } = *asked;
        let (operation, route) = asked.request?;
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let mut key = Vec::with_capacity(2 + roles.len() + hiding.len());
        key.extend([number(operation.route), number(roles.len())]);
        key.extend(roles);
        key.extend(hiding.iter().map(|guard| number(*guard)));
        let known = match view {
            View::Live => &self.rights,
            View::Shadow => &self.shadow_rights,
        };
        known.get_or_make(&key, || assemble_in(view, &self.tables, route, roles, hiding).map(Arc::new))
    }

    /// The roles a principal holds now, sorted, each once.
    fn roles(&self, asked: &Asked<'_>) -> Vec<RoleId> {
        let principal = asked.principal;
        let mut roles: Vec<RoleId> =
            principal.roles().iter().filter_map(|name| self.tables.role_ids.get(name).copied()).collect();
        let bound = &self.tables.bound;
        let named = bound.by_user.get(principal.id()).into_iter();
        let named = named.chain(principal.groups().iter().filter_map(|group| bound.by_group.get(group)));
        for index in named.flat_map(Bound::all).chain(&bound.open) {
            let Some(binding) = self.tables.bindings.get(*index as usize) else { continue };
            if binding.shadow && asked.view == View::Live {
                continue;
            }
            let holds = binding.terms.as_ref().is_none_or(|terms| {
                terms_hold(terms, asked)
                    && terms.when.as_ref().is_none_or(|when| {
                        // They see the roles given directly: the others are what is being found out.
                        let direct = Direct(principal.roles());
                        when.is_met(&[], &self.bind_with(asked, &direct, when.reads()))
                    })
            });
            if holds {
                roles.push(binding.role);
            }
        }
        roles.sort_unstable();
        roles.dedup();
        roles
    }

    /// The roles a principal holds now, and what guards on turning masks back read: there is no request.
    pub(super) fn beside_requests(
        &self,
        principal: &Principal,
        action: &str,
        now: Timestamp,
    ) -> (Vec<RoleId>, Params) {
        let asked = Asked { principal, action: Some(action), request: None, now, view: View::Live };
        let roles = self.roles(&asked);
        let guards = self.tables.guards.iter().filter(|guard| guard.is_on_unmasking());
        let params = self.bind(&asked, &roles, &reads_of(guards.map(|guard| &guard.require)));
        (roles, params)
    }

    /// The values of principal and request that some conditions read, however many others the policy has.
    fn bind(&self, asked: &Asked<'_>, roles: &[RoleId], reads: &[usize]) -> Params {
        self.bind_with(asked, &Held { plan: self, roles }, reads)
    }

    fn bind_with(&self, asked: &Asked<'_>, roles: &dyn RoleNames, reads: &[usize]) -> Params {
        self.params.bind_some(reads, |param| match param.root {
            ParamRoot::Principal => of_principal(asked.principal, param, roles),
            ParamRoot::Request => of_request(asked, param),
        })
    }
}

/// Who asks for what, when.
struct Asked<'a> {
    principal: &'a Principal,
    /// What is to be done where there is no request.
    action: Option<&'a str>,
    request: Option<(&'a Operation, &'a RouteTable)>,
    now: Timestamp,
    view: View,
}

/// The roles that conditions see.
trait RoleNames {
    fn value(&self) -> Value;
}

struct Direct<'r>(&'r [Arc<str>]);

impl RoleNames for Direct<'_> {
    fn value(&self) -> Value {
        Value::texts(self.0)
    }
}

struct Held<'r> {
    plan: &'r Plan,
    roles: &'r [RoleId],
}

impl RoleNames for Held<'_> {
    fn value(&self) -> Value {
        let tables = &self.plan.tables;
        Value::texts(self.roles.iter().filter_map(|id| tables.roles.get(*id as usize)).map(|role| &role.name))
    }
}

fn terms_hold(terms: &BindingTerms, asked: &Asked<'_>) -> bool {
    let ip = canonical(asked.principal.ip());
    terms.issuer.as_ref().is_none_or(|issuer| **issuer == *asked.principal.issuer())
        && terms.expires.is_none_or(|end| asked.now < end)
        && (terms.hours.is_empty() || terms.hours.iter().any(|hours| hours.contain(asked.now)))
        && (terms.networks.is_empty() || terms.networks.iter().any(|network| network.contains(&ip)))
}

/// An IPv4 address that came over an IPv6 socket is an IPv4 address (RFC 4291 section 2.5.5.2).
fn canonical(ip: std::net::IpAddr) -> std::net::IpAddr {
    ip.to_canonical()
}

fn of_principal(principal: &Principal, param: &Param, roles: &dyn RoleNames) -> Option<Value> {
    let (first, below) = param.path.split_first()?;
    if first.as_ref() == "claims" {
        return if below.is_empty() {
            Value::from_parsed(&serde_json::Value::Object(principal.claims().clone())).ok()
        } else {
            Value::below(principal.claims(), below)
        };
    }
    if !below.is_empty() {
        return None;
    }
    match first.as_ref() {
        "id" => Some(Value::text(principal.id())),
        "name" => principal.name().map(Value::text),
        "groups" => Some(Value::texts(principal.groups())),
        "roles" => Some(roles.value()),
        "ip" => Some(Value::text(canonical(principal.ip()).to_string())),
        "mfa" => Some(Value::Bool(principal.mfa())),
        "method" => Some(Value::text(principal.method().name())),
        "issuer" => Some(Value::text(principal.issuer())),
        _ => None,
    }
}

fn of_request(asked: &Asked<'_>, param: &Param) -> Option<Value> {
    let (first, below) = param.path.split_first()?;
    match (first.as_ref(), below, asked.action) {
        ("time", [], _) => return Some(Value::Time(asked.now)),
        ("action", [], Some(action)) => return Some(Value::text(action)),
        _ => {}
    }
    // Conditions on a request are not met where there is none.
    let (operation, route) = asked.request?;
    match (first.as_ref(), below) {
        ("method", []) => Some(Value::text(operation.method().as_str())),
        ("path", []) => Some(Value::text(operation.path())),
        ("query", []) => {
            let mut members: Vec<(Arc<str>, Value)> = Vec::new();
            for (name, value) in operation.query() {
                if members.iter().any(|(known, _)| known.as_ref() == name) {
                    return None;
                }
                members.push((name.as_str().into(), Value::text(value.as_str())));
            }
            Some(Value::Map(members.into()))
        }
        ("query", [name]) => {
            let mut values = operation.query().iter().filter(|(known, _)| **known == **name);
            let first = values.next()?;
            // Given twice: nobody knows which one the upstream takes.
            if values.next().is_some() { None } else { Some(Value::text(first.1.as_str())) }
        }
        ("action", []) => route.about.as_ref().map(|(action, _)| Value::text(action.name())),
        ("resource", []) => route.facts.resource.as_ref().map(|name| Value::Text(name.clone())),
        _ => None,
    }
}

fn no_permission(route: &RouteTable) -> DenialReason {
    match (&route.about, &route.facts.resource) {
        (Some((action, _)), Some(resource)) => {
            DenialReason::NoPermission { action: action.clone(), resource: resource.clone() }
        }
        _ => DenialReason::NoRoute,
    }
}

/// The reader's path with the parameters of the write.
fn fill(template: &[Segment], operation: &Operation) -> String {
    let mut path = String::new();
    for segment in template {
        path.push('/');
        match segment {
            Segment::Text(text) => target::write_segment(text, &mut path),
            Segment::Param { before, name, after } => {
                target::write_segment(before, &mut path);
                if let Some((_, value)) = operation.params().iter().find(|(known, _)| known == name) {
                    target::write_segment(value, &mut path);
                }
                target::write_segment(after, &mut path);
            }
        }
    }
    path
}
