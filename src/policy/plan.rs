//! A compiled policy.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;

use crate::rewrite::condition::ParamTable;
use crate::rewrite::{Bounds, Format, Layout, Records, RewritePlan};

use super::assemble::Rights;
use super::body::{BodyFault, BodyForms};
use super::cache::Cache;
use super::model::{RouteTable, Tables};
use super::operation::Operation;
use super::permit::{
    Bound, Denial, DenialReason, DenialShape, LimitRule, LimitUnit, OnExceed, Per, Recall, RouteFacts,
};
use super::router::Router;
use super::shadow::Known;
use super::target::{self, Target};
use super::when::{self, Fits};

/// A compiled, immutable policy. One snapshot serves a request from beginning to end.
#[derive(Debug)]
pub struct Plan {
    pub(super) version: Arc<str>,
    pub(super) tables: Tables,
    pub(super) router: Router,
    pub(super) params: ParamTable,
    /// How refusals look before a route is known: those of the only api, where there is one.
    pub(super) shape: Option<Arc<DenialShape>>,
    /// Rights by route, roles and guards that hide.
    pub(super) rights: Cache<Option<Arc<Rights>>>,
    /// The same as if rules in shadow were in force; empty where none is.
    pub(super) shadow_rights: Cache<Option<Arc<Rights>>>,
    /// Whether any rule is in shadow.
    pub(super) has_shadow: bool,
    /// What differs between two sets of rights that were compared.
    pub(super) differences: Cache<Known>,
    /// The plan of answers that pass untouched.
    pub(super) nothing: Arc<RewritePlan>,
    /// What limits requests of public routes.
    pub(super) public_limits: Arc<[Arc<LimitRule>]>,
}

impl Plan {
    pub(super) fn new(version: Arc<str>, tables: Tables, router: Router, params: ParamTable) -> Self {
        let mut shapes = tables.routes.iter().map(|route| (&route.facts.api, &route.facts.denial));
        let shape = shapes
            .next()
            .filter(|(api, _)| tables.routes.iter().all(|route| route.facts.api == **api))
            .map(|(_, shape)| shape.clone());
        let layout = Layout { records: Records::None, keep: Vec::new(), total: None };
        let nothing = RewritePlan::new(Format::Json, layout, Vec::new(), Bounds::default());
        let public_limits = public_limits(&tables);
        let has_shadow = tables.has_shadow();
        Self {
            version,
            tables,
            router,
            params,
            shape,
            rights: Cache::new(CACHED_RIGHTS),
            shadow_rights: Cache::new(CACHED_RIGHTS),
            has_shadow,
            differences: Cache::new(CACHED_RIGHTS),
            nothing: Arc::new(nothing),
            public_limits,
        }
    }

    /// The policy's version: a hash of its files.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// Every route, in no particular order.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<RouteFacts>> {
        self.tables.routes.iter().map(|route| &route.facts)
    }

    /// File and line of a permission or guard named in [`Permit::rules`](super::Permit::rules).
    pub fn place_of(&self, rule: &str) -> Option<&Arc<str>> {
        let guard = rule.strip_prefix("guards.");
        let permission = self.tables.permissions.iter().find(|permission| permission.name.as_ref() == rule);
        permission.map(|permission| &permission.place).or_else(|| {
            self.tables
                .guards
                .iter()
                .find(|known| Some(known.name.as_ref()) == guard)
                .map(|guard| &guard.place)
        })
    }

    /// The route of a request, before its body is read: `Ok(None)` where the body decides between routes.
    /// A target that cannot be judged or that no route matches is refused.
    pub fn route(&self, head: &http::request::Parts) -> Result<Option<Arc<RouteFacts>>, Denial> {
        let target = self.target(head)?;
        let mut request = when::Request::new(head, &target, None);
        match self.choose(head, &target, &mut request)? {
            Choice::Route(index) => Ok(self.table(index).map(|route| route.facts.clone())),
            Choice::BodyDecides | Choice::MemoryDecides(_) => Ok(None),
        }
    }

    /// What the head alone tells of a request, for what is asked next about the same head.
    pub fn see(&self, head: &http::request::Parts) -> Result<Seen, Denial> {
        let target = self.target(head)?;
        let choice = self.choose(head, &target, &mut when::Request::new(head, &target, None))?;
        Ok(Seen { target, choice })
    }

    /// Whether the route judges the body, so that it must be collected before [`Plan::operation`].
    pub fn needs_body(&self, head: &http::request::Parts) -> bool {
        self.see(head).is_ok_and(|seen| self.judges_body(&seen))
    }

    /// The same of a head that was seen.
    pub fn judges_body(&self, seen: &Seen) -> bool {
        match seen.choice {
            Choice::BodyDecides => true,
            Choice::MemoryDecides(index) | Choice::Route(index) => {
                self.table(index).is_some_and(|route| route.reads_body)
            }
        }
    }

    /// The request as the policy sees it.
    pub fn operation(&self, head: &http::request::Parts, body: Option<Bytes>) -> Result<Operation, Denial> {
        self.operation_of(head, self.see(head)?, body, None)
    }

    /// The value that a request refers to, where what it stands for decides about the route.
    pub fn recall(&self, head: &http::request::Parts, seen: &Seen) -> Option<Recall> {
        let Choice::MemoryDecides(index) = seen.choice else { return None };
        let route = self.table(index)?;
        let value = when::Request::new(head, &seen.target, None).referred(route).ok()??;
        let name = route.recalls.as_ref()?.name.clone();
        Some(Recall { api: route.facts.api.clone(), name, value })
    }

    /// The value that requests will refer to, in a text of an answer: the text itself or, where that is a URL, the
    /// part of it that a route which recalls the value reads.
    pub fn referred(&self, api: &str, name: &str, text: &str) -> Option<String> {
        if !text.starts_with('/') && !text.contains("://") {
            return Some(text.to_owned());
        }
        let uri: http::Uri = text.parse().ok()?;
        let head = http::Request::get(uri).body(()).ok()?.into_parts().0;
        let target = target::read(&head.uri).ok()?;
        self.router.find(&target.segments).into_iter().filter_map(|index| self.table(index)).find_map(
            |route| {
                let here = &*route.facts.api == api;
                route.recalls.as_ref().filter(|recalls| here && *recalls.name == *name)?;
                when::Request::new(&head, &target, None).referred(route).ok()?
            },
        )
    }

    /// The request as the policy sees it, where what it refers to stands for `recalled`. `seen` is of the same head.
    pub fn operation_of(
        &self,
        head: &http::request::Parts,
        seen: Seen,
        body: Option<Bytes>,
        recalled: Option<&Bound>,
    ) -> Result<Operation, Denial> {
        let Seen { target, choice } = seen;
        let mut request = when::Request::new(head, &target, body.as_ref()).recalling(recalled);
        let choice = match choice {
            // Neither the body nor what is remembered can change it: nothing before it has asked for them.
            known @ Choice::Route(_) => known,
            Choice::BodyDecides | Choice::MemoryDecides(_) => self.choose(head, &target, &mut request)?,
        };
        let index = match choice {
            Choice::Route(index) => index,
            Choice::BodyDecides => {
                return Err(self.unclear("the body is needed to know the route"));
            }
            // Nobody remembers it: as if there were no such thing.
            Choice::MemoryDecides(_) => return Err(self.denial(DenialReason::NoRoute)),
        };
        let route = self.table(index).ok_or_else(|| self.denial(DenialReason::NoRoute))?;
        let params: Vec<(Arc<str>, String)> = route
            .template
            .iter()
            .zip(&target.segments)
            .filter_map(|(segment, text)| segment.value(text))
            .map(|(name, value)| (name.clone(), value.to_owned()))
            .collect();
        if !params.iter().all(|(_, value)| target::is_plain_name(value)) {
            return Err(self.unclear("a parameter of the path is more than a name"));
        }
        let said = route.facts.body_as != BodyForms::default() || head.headers.contains_key(CONTENT_TYPE);
        let given = match request.given(&route.facts.body_as).filter(|_| route.reads_body && said) {
            Some(Ok(given)) => Some(given),
            // Refused as what it is when the body is to be sent.
            None | Some(Err(BodyFault::MediaType(_))) => None,
            Some(Err(BodyFault::Malformed(_))) if body.as_ref().is_none_or(Bytes::is_empty) => None,
            Some(Err(BodyFault::Malformed(reason))) => return Err(self.unclear(reason)),
        };
        Ok(Operation {
            route: index,
            method: head.method.clone(),
            path: target.path,
            params,
            query: target.query,
            body: body.filter(|_| route.reads_body),
            given,
        })
    }

    fn target(&self, head: &http::request::Parts) -> Result<Target, Denial> {
        target::read(&head.uri).map_err(|reason| self.unclear(reason))
    }

    /// The first route, the most specific template first, whose method and requirements fit.
    fn choose<'r>(
        &'r self,
        head: &http::request::Parts,
        target: &Target,
        request: &mut when::Request<'r>,
    ) -> Result<Choice, Denial> {
        let found = self.router.find(&target.segments);
        let own = |route: &RouteTable| route.method == head.method;
        // HEAD is GET without the body (RFC 9110 section 9.3.2), unless a route is written for it.
        let as_get = head.method == http::Method::HEAD
            && !found.iter().any(|index| self.table(*index).is_some_and(own));
        // What the request names is not there, and the api that would have it is known: it says no in its own way.
        let mut near = None;
        for index in found {
            let Some(route) = self.table(index) else { continue };
            if !(own(route) || (as_get && route.method == http::Method::GET)) {
                continue;
            }
            near.get_or_insert(route);
            match request.fits(route).map_err(|reason| self.unclear(reason))? {
                Fits::Yes => return Ok(Choice::Route(index)),
                Fits::BodyDecides => return Ok(Choice::BodyDecides),
                Fits::MemoryDecides => return Ok(Choice::MemoryDecides(index)),
                Fits::No => {}
            }
        }
        Err(near.map_or_else(
            || self.denial(DenialReason::NoRoute),
            |route| Denial { route: None, ..self.denial_on(route, DenialReason::NoRoute) },
        ))
    }

    pub(super) fn table(&self, index: usize) -> Option<&RouteTable> {
        self.tables.routes.get(index)
    }

    fn unclear(&self, reason: &'static str) -> Denial {
        self.denial(DenialReason::Target(reason))
    }

    pub(super) fn denial(&self, reason: DenialReason) -> Denial {
        Denial { reason, route: None, shape: self.shape.clone(), policy_version: self.version.clone() }
    }

    pub(super) fn denial_on(&self, route: &RouteTable, reason: DenialReason) -> Denial {
        Denial {
            reason,
            route: Some(route.facts.clone()),
            shape: Some(route.facts.denial.clone()),
            policy_version: self.version.clone(),
        }
    }
}

/// A request's head, read by [`Plan::see`].
#[derive(Debug)]
pub struct Seen {
    target: Target,
    choice: Choice,
}

#[derive(Clone, Copy, Debug)]
enum Choice {
    Route(usize),
    BodyDecides,
    /// The first route that what is remembered decides about.
    MemoryDecides(usize),
}

/// The limits of public routes, whose callers are known by their address alone: those that the policy narrows to no
/// role, resource or action. If none of them counts requests, [`PUBLIC_REQUESTS`] does.
fn public_limits(tables: &Tables) -> Arc<[Arc<LimitRule>]> {
    let all = tables
        .limits
        .iter()
        .filter(|limit| limit.roles.is_empty() && limit.resources.is_empty() && limit.actions.is_empty());
    let mut rules: Vec<_> = all.map(|limit| limit.rule.clone()).collect();
    if !rules.iter().any(|rule| rule.unit == LimitUnit::Requests) {
        rules.push(Arc::new(LimitRule {
            name: PUBLIC_REQUESTS.into(),
            per: Per::Ip,
            roles: Arc::default(),
            unit: LimitUnit::Requests,
            amount: 600,
            window: Duration::from_secs(60),
            burst: Some(100),
            warn_at: None,
            on_exceed: OnExceed::Refuse,
            fail_closed: false,
        }));
    }
    rules.into()
}

/// The limit of public routes where the policy has none: 600 requests a minute and address, 100 at once.
pub const PUBLIC_REQUESTS: &str = "public routes";

/// Sets of rights that are kept; beyond, the oldest half goes.
const CACHED_RIGHTS: usize = 8_192;
