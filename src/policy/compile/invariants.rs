//! Invariants: proved for everybody whom the bindings allow, or refuted by a counter-example.
//!
//! A principal holds any roles that its groups and its name may give it together; conditions of bindings, permissions
//! and guards are taken as possible, except where they can be decided from the roles alone. What such a principal gets
//! is put together by `assemble`, as for a request. Rights mostly add up, so that if everybody's roles together
//! break nothing, nobody's do. Otherwise sets of up to [`TOGETHER`] roles are tried, the smallest first: one that lets
//! the request through, one that gives the field, one the invariant is about. Roles that differ in nothing the
//! invariant could see are tried once.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::base::Diagnostic;
use crate::rewrite::condition::{Params, Predicate, Value};
use crate::rewrite::{Access, Format, Path, Selector};

use super::Compiler;
use super::selectors::{Pick, resolve};
use crate::policy::assemble::{Rights, access_at, assemble_in};
use crate::policy::model::{
    BindingTable, Bound, PermissionId, PermissionTable, ResourceId, RoleId, RouteTable, View,
};
use crate::policy::operation::Action;
use crate::policy::source::Word;
use crate::policy::syntax::Invariant;

/// What must never be possible, looked up.
struct Never {
    show: Places,
    mask: Places,
    edit: Places,
    unmask: Vec<Arc<str>>,
    actions: Vec<Action>,
    resources: Vec<ResourceId>,
    /// Only those who hold one of these; `None`: everybody.
    only: Option<BTreeSet<RoleId>>,
    except: BTreeSet<RoleId>,
}

/// Places by resource: those that are meant are `Show`.
type Places = BTreeMap<ResourceId, Vec<Selector>>;

/// What somebody can do, and by which permission.
struct Breach {
    does: String,
    route: Arc<str>,
    permission: Arc<str>,
}

/// Who can give a role.
#[derive(Default)]
struct Sources {
    users: BTreeSet<Arc<str>>,
    groups: BTreeSet<Arc<str>>,
    /// A binding that names nobody; or none at all: an API key may name the role.
    anybody: bool,
}

impl Compiler<'_> {
    pub(super) fn invariants(&self) {
        let set = self.set;
        let looked_up: Vec<_> = set.invariants.iter().map(|found| (found, self.never(found))).collect();
        // Beside other mistakes, a proof would be about a policy that nobody serves.
        if self.documents.has_errors() || looked_up.is_empty() {
            return;
        }
        let sources = self.sources();
        for (invariant, never) in &looked_up {
            self.prove(invariant, never, &sources);
        }
        if !self.tables.has_shadow() || self.documents.has_errors() {
            return;
        }
        // What holds now is also asked of the day on which the rules in shadow are put in force.
        self.proving.set(View::Shadow);
        let sources = self.sources();
        for (invariant, never) in &looked_up {
            self.prove(invariant, never, &sources);
        }
        self.proving.set(View::Live);
    }

    // === looking up ===

    fn never(&self, invariant: &Invariant) -> Never {
        let resources: Vec<_> = invariant.resources.iter().filter_map(|word| self.resource(word)).collect();
        let roles = |words: &[Word]| words.iter().filter_map(|word| self.role(word)).collect::<BTreeSet<_>>();
        let named = roles(&invariant.roles);
        let heirs = |id: &RoleId| self.above(*id).iter().any(|role| named.contains(role));
        let all = 0..self.tables.roles.len() as RoleId;
        Never {
            show: self.meant(&invariant.show, &resources),
            mask: self.meant(&invariant.mask, &resources),
            edit: self.meant(&invariant.edit, &resources),
            unmask: invariant.unmask.iter().filter_map(|word| self.unmask(word)).collect(),
            actions: self.actions(&invariant.actions),
            only: (!invariant.roles.is_empty()).then(|| all.filter(heirs).collect()),
            except: roles(&invariant.except_roles),
            resources,
        }
    }

    /// A role and all it inherits from.
    fn above(&self, id: RoleId) -> HashSet<RoleId> {
        let mut seen = HashSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(self.tables.roles.get(id as usize).into_iter().flat_map(|role| &role.inherits));
            }
        }
        seen
    }

    /// The places that labels and paths mean, in the resources named or, if none is, in all.
    fn meant(&self, words: &[Word], scope: &[ResourceId]) -> Places {
        let mut picks: BTreeMap<ResourceId, Vec<(Pick, Access)>> = BTreeMap::new();
        for word in words {
            let mut found = false;
            for (id, table) in self.tables.resources.iter().enumerate() {
                if !scope.is_empty() && !scope.contains(&id) {
                    continue;
                }
                let pick = match self.label_ids.get(&word.text) {
                    Some(label) => {
                        table.fields.iter().any(|field| field.label == *label).then_some(Pick::Label(*label))
                    }
                    None => Path::parse_place(&word.text).ok().and_then(|path| {
                        let below = table.fields.iter().any(|field| path.is_prefix_of(&field.path));
                        (below || table.label_at(&path).is_some()).then_some(Pick::Place(path))
                    }),
                };
                if let Some(pick) = pick {
                    found = true;
                    picks.entry(id).or_default().push((pick, Access::Show));
                }
            }
            if !found {
                self.unknown("label", word, self.tables.labels.iter().map(AsRef::as_ref));
            }
        }
        picks
            .into_iter()
            .filter_map(|(id, picks)| {
                Some((id, resolve(self.tables.resources.get(id)?, &picks, &Access::Hide)))
            })
            .collect()
    }

    // === who can hold what ===

    /// A binding, if it is of the rules that are looked at.
    fn binding(&self, index: u32) -> Option<&BindingTable> {
        let live = self.proving.get() == View::Live;
        self.tables.bindings.get(index as usize).filter(|binding| !(live && binding.shadow))
    }

    fn sources(&self) -> Vec<Sources> {
        let mut sources: Vec<Sources> = self.tables.roles.iter().map(|_| Sources::default()).collect();
        let role_of = |index: &u32| self.binding(*index).map(|binding| binding.role as usize);
        let bound = &self.tables.bound;
        for (user, indexes) in &bound.by_user {
            for role in indexes.all().iter().filter_map(role_of) {
                sources.get_mut(role).into_iter().for_each(|found| found.users.extend([user.clone()]));
            }
        }
        for (group, indexes) in &bound.by_group {
            for role in indexes.all().iter().filter_map(role_of) {
                sources.get_mut(role).into_iter().for_each(|found| found.groups.extend([group.clone()]));
            }
        }
        for role in bound.open.iter().filter_map(role_of) {
            sources.get_mut(role).into_iter().for_each(|found| found.anybody = true);
        }
        for found in &mut sources {
            found.anybody |= found.users.is_empty() && found.groups.is_empty();
        }
        sources
    }

    /// Roles that everybody holds, always.
    fn always(&self) -> BTreeSet<RoleId> {
        let bindings = self.tables.bound.open.iter().filter_map(|index| self.binding(*index));
        let free = bindings.filter(|binding| {
            binding.terms.as_ref().is_none_or(|terms| {
                terms.when.as_ref().is_none_or(|when| when.constant() == Some(true))
                    && terms.expires.is_none()
                    && terms.hours.is_empty()
                    && terms.networks.is_empty()
            })
        });
        free.map(|binding| binding.role).collect()
    }

    /// The roles that whoever is in a group has in any case.
    fn given_with(&self, group: &str) -> BTreeSet<RoleId> {
        let indexes = self.tables.bound.by_group.get(group).into_iter().flat_map(Bound::all);
        let bindings = indexes.filter_map(|index| self.binding(*index));
        bindings.filter(|binding| binding.terms.is_none()).map(|binding| binding.role).collect()
    }

    /// One way to hold these roles together without one that is excepted: in words, and all roles that come with it.
    fn way(&self, set: &[RoleId], never: &Never, sources: &[Sources]) -> Option<(String, BTreeSet<RoleId>)> {
        let mut roles: BTreeSet<RoleId> = set.iter().copied().chain(self.always()).collect();
        let (mut groups, mut only_users): (BTreeSet<&str>, Vec<&BTreeSet<Arc<str>>>) = Default::default();
        for role in set {
            let found = sources.get(*role as usize)?;
            let harmless = |group: &&Arc<str>| self.given_with(group).is_disjoint(&never.except);
            if found.anybody {
                continue;
            }
            match found.groups.iter().find(harmless) {
                Some(group) => {
                    groups.insert(group);
                    roles.extend(self.given_with(group));
                }
                None => only_users.push(&found.users),
            }
        }
        let mut common = only_users.first().map_or_else(BTreeSet::new, |users| users.iter().collect());
        common.retain(|user| only_users.iter().all(|users| users.contains(*user)));
        if common.is_empty() && !only_users.is_empty() {
            return None;
        }
        let mut who =
            common.first().map_or_else(|| "somebody".to_owned(), |user| format!("the user `{user}`"));
        if !groups.is_empty() {
            let names: Vec<_> = groups.iter().map(|group| format!("`{group}`")).collect();
            let word = if names.len() == 1 { "group" } else { "groups" };
            who.push_str(&format!(" in the {word} {}", names.join(" and ")));
        }
        roles.is_disjoint(&never.except).then_some((who, roles))
    }

    // === the search ===

    fn prove(&self, invariant: &Invariant, never: &Never, sources: &[Sources]) {
        let everybody: Vec<RoleId> =
            (0..self.tables.roles.len() as RoleId).filter(|id| !never.except.contains(id)).collect();
        if self.breach(never, &everybody, &Params::default()).is_none() && !self.has_writes_without_reader() {
            return;
        }
        let candidates = self.candidates(never, &everybody, sources);
        let mut tried = 0_usize;
        for size in 1..=candidates.len() {
            // Small sets first, for the sake of the example; the many large ones only if they may matter.
            if size > TOGETHER && self.ruled_out(never, &candidates, sources) {
                return;
            }
            for set in Sets::of(&candidates, size) {
                tried += 1;
                if tried > MOST_SETS {
                    if !self.ruled_out(never, &candidates, sources) {
                        self.undecided(invariant);
                    }
                    return;
                }
                let Some((who, roles)) = self.way(&set, never, sources) else { continue };
                if never.only.as_ref().is_some_and(|only| only.is_disjoint(&roles)) {
                    continue;
                }
                let roles: Vec<RoleId> = roles.into_iter().collect();
                if let Some(breach) = self.breach(never, &roles, &self.known(&roles)) {
                    self.refute(invariant, &set, &who, &breach);
                    return;
                }
            }
        }
    }

    /// Not every combination was tried, so nothing is proved.
    fn undecided(&self, invariant: &Invariant) {
        if self.proving.get() == View::Shadow {
            return;
        }
        self.documents.error_with_help(
            "invariant-undecided",
            format!("the invariant `{}` is about too many roles to be decided", invariant.name.text),
            "name `roles`, or say it for one resource at a time",
            invariant.name.mark,
        );
    }

    /// Whether not even those who hold as much as anybody can hold could do it, if every condition could be met:
    /// then no smaller set of roles can, as roles only add.
    fn ruled_out(&self, never: &Never, candidates: &[RoleId], sources: &[Sources]) -> bool {
        if self.has_writes_without_reader() {
            return false;
        }
        // Groups come together for anybody; beside them somebody holds what names them as a user.
        let (mut shared, mut of_user): (BTreeSet<RoleId>, BTreeMap<&str, BTreeSet<RoleId>>) =
            Default::default();
        shared.extend(self.always());
        for role in candidates {
            let Some(found) = sources.get(*role as usize) else { return false };
            if found.anybody || !found.groups.is_empty() {
                shared.insert(*role);
                continue;
            }
            for user in &found.users {
                of_user.entry(user).or_default().insert(*role);
            }
        }
        let mut largest: BTreeSet<BTreeSet<RoleId>> = of_user.into_values().collect();
        largest.insert(BTreeSet::new());
        largest.len() <= MOST_SETS
            && largest.iter().all(|own| {
                let roles: Vec<RoleId> = shared.union(own).copied().collect();
                self.breach(never, &roles, &Params::default()).is_none()
            })
    }

    /// Adding a role can close a write that cannot be judged before it is sent; then the whole proves nothing.
    fn has_writes_without_reader(&self) -> bool {
        self.tables.routes.iter().any(|route| {
            route.reader.is_none()
                && route.about.as_ref().is_some_and(|(action, _)| super::writes_one(action))
        })
    }

    /// One role of each sort that could matter.
    fn candidates(&self, never: &Never, roles: &[RoleId], sources: &[Sources]) -> Vec<RoleId> {
        let concerned = self.concerned(never);
        let guards: Vec<&str> =
            self.tables.guards.iter().map(|guard| guard.require.source().as_ref()).collect();
        let mut sorts: HashSet<(Vec<PermissionId>, bool, Option<RoleId>)> = HashSet::new();
        let mut found = Vec::new();
        for id in roles {
            let Some(role) = self.tables.roles.get(*id as usize) else { continue };
            let mut permissions = self.tables.permissions_in(self.proving.get(), &[*id]);
            permissions.retain(|id| {
                let table = self.tables.permissions.get(*id as usize);
                table.is_some_and(|table| concerned.contains(&table.resource))
            });
            let only = never.only.as_ref().is_some_and(|only| only.contains(id));
            let unmasks = self.unmasked(never, &[*id]).is_some();
            let named = guards.iter().any(|text| text.contains(role.name.as_ref()));
            let easy =
                sources.get(*id as usize).is_some_and(|found| found.anybody || !found.groups.is_empty());
            if permissions.is_empty() && !only && !named && !unmasks {
                continue;
            }
            if sorts.insert((permissions, only, (named || unmasks || !easy).then_some(*id))) {
                found.push(*id);
            }
        }
        found
    }

    /// The resources the invariant is about and all from which their records can be reached.
    fn concerned(&self, never: &Never) -> HashSet<ResourceId> {
        let mut found: HashSet<ResourceId> = [&never.show, &never.mask, &never.edit]
            .into_iter()
            .flat_map(|places| places.keys().copied())
            .collect();
        if found.is_empty() && never.is_about_masks_alone() {
            return found;
        }
        if found.is_empty() {
            let all = 0..self.tables.resources.len();
            return all.filter(|id| never.resources.is_empty() || never.resources.contains(id)).collect();
        }
        loop {
            let before = found.len();
            for (id, table) in self.tables.resources.iter().enumerate() {
                if table.relations.iter().any(|(_, target)| found.contains(target)) {
                    found.insert(id);
                }
            }
            if found.len() == before {
                return found;
            }
        }
    }

    fn refute(&self, invariant: &Invariant, set: &[RoleId], who: &str, breach: &Breach) {
        let names: Vec<_> = set
            .iter()
            .filter_map(|id| self.tables.roles.get(*id as usize))
            .map(|role| format!("`{}`", role.name))
            .collect();
        let whose = match names.as_slice() {
            [one] => format!("role {one}"),
            several => format!("whoever holds {} together", several.join(" and ")),
        };
        let (name, does) = (&invariant.name.text, &breach.does);
        let found = match self.proving.get() {
            View::Live => Diagnostic::error(
                "invariant-broken",
                format!("the invariant `{name}` does not hold: {whose} {does}"),
            ),
            View::Shadow => Diagnostic::warning(
                "invariant-broken-in-shadow",
                format!(
                    "with the rules in shadow in force the invariant `{name}` would not hold: {whose} {does}"
                ),
            ),
        };
        let mut found = found
            .at(self.documents.place(invariant.name.mark))
            .help(format!("for example {who}, by `{}`", breach.route));
        let tables = &self.tables.permissions;
        if let Some(table) = tables.iter().find(|table| table.name == breach.permission) {
            found = found.related(self.documents.place(table.mark), format!("by `{}`", table.name));
        }
        self.documents.push(found);
    }

    // === what roles can do together ===

    /// The values that conditions read and that follow from the roles.
    fn known(&self, roles: &[RoleId]) -> Params {
        let names = roles.iter().filter_map(|id| self.tables.roles.get(*id as usize)).map(|role| &role.name);
        let roles = Value::texts(names);
        let value = |name: &str| (name == "principal.roles").then(|| roles.clone());
        self.params.names().iter().map(|name| value(name)).collect()
    }

    /// The first thing that must never be possible and is, for a principal who holds exactly these roles and of
    /// whom no more than `known` is known.
    fn breach(&self, never: &Never, roles: &[RoleId], known: &Params) -> Option<Breach> {
        let possible = |when: &Predicate| when.could_be_met(known);
        let guarded =
            || self.tables.guards.iter().any(|guard| guard.is_on_unmasking() && !possible(&guard.require));
        if let Some((mask, role)) = self.unmasked(never, roles).filter(|_| !guarded()) {
            let does = format!("may have values of `{mask}` turned back");
            let permission = format!("roles.{role}.unmask").into();
            return Some(Breach { does, route: UNMASK.into(), permission });
        }
        if never.is_about_masks_alone() {
            return None;
        }
        self.tables.routes.iter().find_map(|route| {
            let (action, _) = route.about.as_ref()?;
            let view = self.proving.get();
            let guards = || route.guards(view).filter_map(|i| Some((*i, self.tables.guards.get(*i)?)));
            if guards().any(|(_, guard)| guard.hides.is_none() && !possible(&guard.require)) {
                return None;
            }
            let hiding = guards().filter(|(_, guard)| guard.hides.is_some() && !possible(&guard.require));
            let hiding: Vec<usize> = hiding.map(|(index, _)| index).collect();
            let rights = assemble_in(view, &self.tables, route, roles, &hiding)?;
            // Some record can be had only if the condition of some permission can be met.
            let on_action = never.actions.is_empty() || never.actions.contains(action);
            let no_fields = never.show.is_empty() && never.mask.is_empty() && never.edit.is_empty();
            if no_fields {
                let (permission, resource) = rights.rules.iter().find_map(|name| {
                    let table = self.permission_named(name)?;
                    let in_scope = never.resources.is_empty() || never.resources.contains(&table.resource);
                    let can_be = table.when.as_ref().is_none_or(|when| possible(when));
                    (in_scope && can_be).then(|| (name.clone(), table.resource))
                })?;
                let table = self.tables.resources.get(resource)?;
                let does = format!("may `{action}` `{}`", table.name);
                let route = route.facts.name.clone();
                return on_action.then_some(Breach { does, route, permission });
            }
            let some = rights.rules.iter().filter_map(|name| self.permission_named(name));
            let some =
                some.map(|table| &table.when).any(|when| when.as_ref().is_none_or(|when| possible(when)));
            (on_action && some).then(|| self.field_breach(never, route, &rights, &possible)).flatten()
        })
    }

    /// A mask that must never be turned back and that these roles let be, with the role that says so.
    fn unmasked(&self, never: &Never, roles: &[RoleId]) -> Option<(Arc<str>, Arc<str>)> {
        if never.unmask.is_empty() {
            return None;
        }
        self.tables.unmasks(roles).into_iter().find(|(mask, _)| never.unmask.contains(mask))
    }

    fn field_breach(
        &self,
        never: &Never,
        route: &RouteTable,
        rights: &Rights,
        possible: &dyn Fn(&Predicate) -> bool,
    ) -> Option<Breach> {
        let found = |does: String, permission: &Arc<str>| Breach {
            does,
            route: route.facts.name.clone(),
            permission: permission.clone(),
        };
        let answers = route.records.is_some() || route.format != Format::Json;
        for rule in rights.rewrite.rules.iter().filter(|_| answers) {
            let id = self.tables.resources.iter().position(|table| table.name == rule.name)?;
            let grants =
                rule.grants.iter().filter(|grant| grant.when.as_ref().is_none_or(|when| possible(when)));
            for grant in grants {
                for (places, masked) in [(&never.show, false), (&never.mask, true)] {
                    let Some(meant) = places.get(&id) else { continue };
                    let path = common(meant, &grant.fields).find(|path| {
                        let guarded =
                            rule.guards.iter().any(|hides| matches!(access_at(hides, path), Access::Hide));
                        let released = match access_at(&grant.fields, path) {
                            Access::Show => true,
                            Access::Mask(_) => masked,
                            Access::Hide => false,
                        };
                        released && !guarded
                    });
                    if let Some(path) = path {
                        let how = if masked { "at all" } else { "in clear" };
                        return Some(found(format!("sees `{}.{path}` {how}", rule.name), &grant.name));
                    }
                }
            }
        }
        let write = rights.write.as_ref()?;
        let (_, resource) = route.about.as_ref()?;
        let meant = never.edit.get(resource)?;
        rights.rules.iter().find_map(|name| {
            let table = self.permission_named(name)?;
            if !table.when.as_ref().is_none_or(|when| possible(when)) {
                return None;
            }
            let plan = write.narrowed(&BTreeSet::from([name.clone()]));
            let fields = &plan.rules.first()?.grants.first()?.fields;
            let path = common(meant, fields).find(|path| matches!(access_at(fields, path), Access::Show))?;
            Some(found(format!("sets `{}.{path}`", route.facts.resource.as_deref()?), name))
        })
    }

    fn permission_named(&self, name: &Arc<str>) -> Option<&PermissionTable> {
        self.tables.permissions.iter().find(|table| table.name == *name)
    }
}

impl Never {
    /// Whether it is about no request at all.
    fn is_about_masks_alone(&self) -> bool {
        let places = [&self.show, &self.mask, &self.edit];
        !self.unmask.is_empty() && self.actions.is_empty() && places.iter().all(|places| places.is_empty())
    }
}

/// Every place that one of the lists names and that is meant.
fn common<'s>(meant: &'s [Selector], fields: &'s [Selector]) -> impl Iterator<Item = &'s Path> {
    let all = meant.iter().chain(fields).map(|selector| &selector.path);
    all.filter(|path| matches!(access_at(meant, path), Access::Show))
}

/// All subsets of a size, in order.
struct Sets<'s> {
    from: &'s [RoleId],
    at: Option<Vec<usize>>,
}

impl<'s> Sets<'s> {
    fn of(from: &'s [RoleId], size: usize) -> Self {
        Self { from, at: (size <= from.len()).then(|| (0..size).collect()) }
    }
}

impl Iterator for Sets<'_> {
    type Item = Vec<RoleId>;

    fn next(&mut self) -> Option<Vec<RoleId>> {
        let at = self.at.as_mut()?;
        let set = at.iter().filter_map(|index| self.from.get(*index).copied()).collect();
        let size = at.len();
        // The last position that can still move on moves on, those behind it follow close.
        let movable = (0..size)
            .rev()
            .find(|place| at.get(*place).is_some_and(|index| index + (size - place) < self.from.len()));
        match movable {
            None => self.at = None,
            Some(place) => {
                let start = at.get(place).copied().unwrap_or(0) + 1;
                at.iter_mut().skip(place).enumerate().for_each(|(offset, index)| *index = start + offset);
            }
        }
        Some(set)
    }
}

/// By what values are turned back.
const UNMASK: &str = "fieldgate unmask";
/// Roles that are tried together before it is asked whether larger sets can matter.
const TOGETHER: usize = 4;
/// Sets that are tried for one invariant.
const MOST_SETS: usize = 20_000;
