//! What a policy could give to holders of roles, whoever they are, whatever the request says and whatever the records
//! hold: for pictures, comparisons and proofs.
//!
//! The rights of a set of roles on a route are put together by the code that [`Plan::decide`] uses. Nothing here
//! decides about a request, and nothing here can be sent upstream.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::rewrite::{Access, Path, RewritePlan, Selector};

use super::assemble::assemble;
use super::model::{GuardTable, PermissionTable, RoleId, RouteTable};
use super::operation::Action;
use super::permit::{QueryRule, RouteFacts, WriteRule};
use super::plan::Plan;

/// A compiled policy, looked at as a whole.
pub struct Survey<'p> {
    plan: &'p Plan,
    permissions: HashMap<&'p str, &'p PermissionTable>,
}

/// A role and all it inherits from.
#[derive(Clone, Debug)]
pub struct RoleFacts {
    /// Its name.
    pub name: Arc<str>,
    /// Every role whose permissions it has too, nearest first.
    pub inherits: Vec<Arc<str>>,
    /// The masks its holders may have turned back, by its own word or by what it inherits.
    pub unmasks: Vec<Arc<str>>,
}

/// A record type and its labelled fields.
#[derive(Clone, Debug)]
pub struct ResourceFacts {
    /// Its name.
    pub name: Arc<str>,
    /// The fields, in the order they are written.
    pub fields: Vec<FieldFacts>,
}

/// A place with a label.
#[derive(Clone, Debug)]
pub struct FieldFacts {
    /// The place.
    pub path: Path,
    /// The place as text.
    pub text: Arc<str>,
    /// Index among [`Survey::labels`].
    pub label: usize,
}

/// A permission, as far as it is not about fields.
#[derive(Clone, Debug)]
pub struct PermissionFacts {
    /// `policy.yaml:17`.
    pub place: Arc<str>,
    /// The actions.
    pub actions: Vec<Action>,
    /// The condition on records, as it is written.
    pub when: Option<Arc<str>>,
}

/// A guard.
#[derive(Clone, Debug)]
pub struct GuardFacts {
    /// Its name.
    pub name: Arc<str>,
    /// `policy.yaml:80`.
    pub place: Arc<str>,
    /// The condition.
    pub require: Arc<str>,
    /// The actions it is about; empty: all.
    pub actions: Vec<Action>,
    /// The resources it is about; empty: all.
    pub resources: Vec<Arc<str>>,
    /// What it hides where it is not met, by resource; `None`: the request is refused.
    pub hides: Option<HashMap<Arc<str>, Vec<Selector>>>,
}

/// What a set of roles could get on one route.
pub struct RouteRights {
    /// The route.
    pub route: Arc<RouteFacts>,
    /// The action.
    pub action: Action,
    /// The resource.
    pub resource: Arc<str>,
    /// How answers are rewritten where every guard is met.
    pub rewrite: Arc<RewritePlan>,
    /// What a body may set.
    pub write: Option<Arc<WriteRule>>,
    /// What a query may name.
    pub query: Arc<QueryRule>,
    /// Whether answers hold records.
    pub answers: bool,
    /// The permissions that let the request through.
    pub permissions: Vec<Arc<str>>,
}

impl Plan {
    /// Looks at the policy as a whole.
    pub fn survey(&self) -> Survey<'_> {
        let permissions = self.tables.permissions.iter().map(|found| (found.name.as_ref(), found)).collect();
        Survey { plan: self, permissions }
    }
}

impl Survey<'_> {
    /// The labels, from the most open to the most guarded.
    pub fn labels(&self) -> &[Arc<str>] {
        &self.plan.tables.labels
    }

    /// The roles, in the order they are written.
    pub fn roles(&self) -> Vec<RoleFacts> {
        let roles = &self.plan.tables.roles;
        (0..roles.len() as RoleId)
            .filter_map(|id| {
                let name = roles.get(id as usize)?.name.clone();
                let unmasks = self.plan.tables.unmasks(&[id]).into_keys().collect();
                Some(RoleFacts { name, inherits: self.above(id), unmasks })
            })
            .collect()
    }

    /// The roles that a role inherits from, over however many others.
    fn above(&self, id: RoleId) -> Vec<Arc<str>> {
        let roles = &self.plan.tables.roles;
        let mut seen = HashSet::from([id]);
        let mut names = Vec::new();
        let mut open = std::collections::VecDeque::from([id]);
        while let Some(role) = open.pop_front().and_then(|id| roles.get(id as usize)) {
            for parent in role.inherits.iter().filter(|parent| seen.insert(**parent)) {
                names.extend(roles.get(*parent as usize).map(|role| role.name.clone()));
                open.push_back(*parent);
            }
        }
        names
    }

    /// The resources, in the order they are written.
    pub fn resources(&self) -> Vec<ResourceFacts> {
        let facts = |table: &super::model::ResourceTable| ResourceFacts {
            name: table.name.clone(),
            fields: table
                .fields
                .iter()
                .map(|field| FieldFacts {
                    path: field.path.clone(),
                    text: field.text.clone(),
                    label: field.label,
                })
                .collect(),
        };
        self.plan.tables.resources.iter().map(facts).collect()
    }

    /// The label that holds at a place of a resource, as an index among [`Survey::labels`].
    pub fn label_at(&self, resource: &str, path: &Path) -> Option<usize> {
        self.plan.tables.resources.iter().find(|table| *table.name == *resource)?.label_at(path)
    }

    /// Rules in shadow, which decide nothing: what they are called, and file and line where that is known.
    pub fn in_shadow(&self) -> Vec<(Arc<str>, Option<Arc<str>>)> {
        let tables = &self.plan.tables;
        let permissions = tables.permissions.iter().filter(|permission| permission.shadow);
        let permissions = permissions.map(|found| (found.name.clone(), Some(found.place.clone())));
        let guards = tables.guards.iter().filter(|guard| guard.shadow);
        let guards = guards.map(|guard| (format!("guards.{}", guard.name).into(), Some(guard.place.clone())));
        let bindings = tables.bindings.iter().filter(|binding| binding.shadow);
        let roles = bindings.filter_map(|binding| tables.roles.get(binding.role as usize));
        let bindings = roles.map(|role| (format!("a binding to {}", role.name).into(), None));
        permissions.chain(guards).chain(bindings).collect()
    }

    /// The guards in force, in the order they are written.
    pub fn guards(&self) -> Vec<GuardFacts> {
        self.plan.tables.guards.iter().filter(|guard| !guard.shadow).map(|guard| self.guard(guard)).collect()
    }

    fn guard(&self, guard: &GuardTable) -> GuardFacts {
        let resources = &self.plan.tables.resources;
        let name = |id: &usize| resources.get(*id).map(|resource| resource.name.clone());
        let hides = guard.hides.as_ref().map(|hides| {
            hides.iter().filter_map(|(id, selectors)| Some((name(id)?, selectors.clone()))).collect()
        });
        GuardFacts {
            name: guard.name.clone(),
            place: guard.place.clone(),
            require: guard.require.source().clone(),
            actions: guard.actions.clone(),
            resources: guard.resources.iter().filter_map(name).collect(),
            hides,
        }
    }

    /// A permission by the name that [`Grant::name`](crate::rewrite::Grant::name) gives.
    pub fn permission(&self, name: &str) -> Option<PermissionFacts> {
        self.permissions.get(name).map(|table| PermissionFacts {
            place: table.place.clone(),
            actions: table.actions.clone(),
            when: table.when.as_ref().map(|when| when.source().clone()),
        })
    }

    /// What holders of exactly these roles could get, route by route, where every guard is met. Routes on which they
    /// have no right are left out.
    pub fn rights(&self, roles: &[&str]) -> Vec<RouteRights> {
        let ids = &self.plan.tables.role_ids;
        let mut roles: Vec<RoleId> = roles.iter().filter_map(|name| ids.get(*name).copied()).collect();
        roles.sort_unstable();
        roles.dedup();
        let held = self.plan.tables.permissions_of(&roles);
        let about: HashSet<_> = held
            .iter()
            .filter_map(|id| self.plan.tables.permissions.get(*id as usize))
            .flat_map(|permission| permission.actions.iter().map(|action| (action, permission.resource)))
            .collect();
        let routes = self.plan.tables.routes.iter();
        routes
            .filter(|route| {
                route.about.as_ref().is_some_and(|(a, _)| {
                    route.resources().into_iter().any(|resource| about.contains(&(a, resource)))
                })
            })
            .filter_map(|route| self.on_route(route, &roles))
            .collect()
    }

    fn on_route(&self, route: &RouteTable, roles: &[RoleId]) -> Option<RouteRights> {
        let (action, _) = route.about.as_ref()?;
        let resource = route.facts.resource.clone()?;
        let rights = assemble(&self.plan.tables, route, roles, &[])?;
        Some(RouteRights {
            route: route.facts.clone(),
            action: action.clone(),
            resource,
            answers: route.records.is_some() || route.format != crate::rewrite::Format::Json,
            permissions: rights
                .rules
                .iter()
                .filter(|rule| self.permissions.contains_key(rule.as_ref()))
                .cloned()
                .collect(),
            rewrite: rights.rewrite,
            write: rights.write,
            query: rights.query,
        })
    }
}

/// The access that selectors give at one place; what none of them covers is hidden.
pub fn access_at<'s>(selectors: &'s [Selector], path: &Path) -> &'s Access {
    super::assemble::access_at(selectors, path)
}
