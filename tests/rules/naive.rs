//! The rules of combination as plainly as they can be said: no ranks, no automata, no caches. Written from
//! `docs/rules.md` alone; the sentences stand where they are followed.

use std::collections::BTreeSet;

use super::invented::{Caller, Condition, Gives, Guard, Outcome, Permission, Place, Policy, Resource};
use super::tree::{Tree, fold};

/// One caller doing one thing.
pub(crate) struct Model<'m> {
    pub(crate) policy: &'m Policy,
    pub(crate) caller: &'m Caller,
    pub(crate) action: &'static str,
}

impl<'m> Model<'m> {
    // "Bindings add roles; `users`, `groups` are alternatives; … must all hold. Inheritance adds the parent's permissions."
    fn permissions(&self, resource: usize, action: &str) -> Vec<&'m Permission> {
        let bound = self.policy.bindings.iter().filter(|binding| binding.holds(self.caller));
        let mut roles: BTreeSet<usize> = bound.map(|binding| binding.role).collect();
        let parents = |role: &usize| &self.policy.roles[*role].inherits;
        while let Some(parent) = roles.iter().flat_map(parents).find(|role| !roles.contains(role)) {
            roles.insert(*parent);
        }
        let all = roles.iter().flat_map(|role| &self.policy.roles[*role].permissions);
        all.filter(|p| p.resource == resource && p.actions.contains(&action)).collect()
    }

    fn guards(&self) -> impl Iterator<Item = &'m Guard> {
        let action = self.action;
        self.policy.guards.iter().filter(move |g| !self.caller.mfa && g.action.is_none_or(|a| a == action))
    }

    /// "**Default is no**"; "on actions → the request is refused".
    fn allowed(&self) -> Option<Vec<&'m Permission>> {
        let permissions = self.permissions(0, self.action);
        let refused = self.guards().any(|guard| guard.label.is_none() && guard.field.is_none());
        (!permissions.is_empty() && !refused).then_some(permissions)
    }

    pub(crate) fn answer(&self, status: u16, answer: &Tree) -> Outcome {
        // "Errors of the upstream … are replaced".
        let Some(permissions) = self.allowed().filter(|_| status < 400) else { return Outcome::Refused };
        let (mut out, mut released, one) = (Vec::new(), 0, self.action == "read");
        for (name, value) in answer.members() {
            let kept = match (name.as_str(), value) {
                // "A list drops the records not released"; "a list element that is not an object is dropped".
                ("data", Tree::List(items)) if !one => {
                    let record = |item| self.record(0, &permissions, item);
                    let items: Vec<_> = items.iter().filter_map(record).collect();
                    released += items.len();
                    Tree::List(items)
                }
                ("data", Tree::Object(_) | Tree::Null) if one => {
                    let Some(record) = self.record(0, &permissions, value) else { return Outcome::Missing };
                    released += 1;
                    record
                }
                // "where a list of records was declared and something else stands, the answer is refused".
                ("data", _) => return Outcome::Cut,
                // "Members outside `records` pass only if the route keeps them."
                ("page", _) => value.clone(),
                ("total", _) if !one => value.clone(),
                _ => continue,
            };
            out.push((name.clone(), kept));
        }
        // "in force … as soon as one permission … has a condition and none without a condition also applies".
        if permissions.iter().all(|permission| permission.condition.is_some()) {
            for (_, total) in out.iter_mut().filter(|(name, _)| name == "total") {
                *total = Tree::Number(released.to_string());
            }
        }
        if one && released == 0 { Outcome::Missing } else { Outcome::Body(Tree::Object(out)) }
    }

    /// "A record is released if at least one of the principal's permissions … applies to it".
    fn record(&self, resource: usize, permissions: &[&'m Permission], record: &Tree) -> Option<Tree> {
        let Tree::Object(members) = record else { return None };
        let mut applying = permissions.to_vec();
        applying.retain(|permission| self.applies(permission, record));
        let gives = |place: &[&str]| self.gives(resource, &applying, place);
        let side = Side { model: self, resource: Some(resource), gives: &gives };
        (!applying.is_empty()).then(|| Tree::Object(side.members(&[], members)))
    }

    /// "If a deciding member appears twice, the condition is not met." "A condition that errs … counts as not met".
    fn applies(&self, permission: &Permission, record: &Tree) -> bool {
        permission.condition.as_ref().is_none_or(|condition| {
            let twice = condition.places().iter().any(|place| record.is_twice(place));
            !twice && condition.holds(record, self.caller) == Some(true)
        })
    }

    /// "united per field: show beats mask beats hide. Of two masks the less revealing is applied"; "Guards come last".
    fn gives(&self, resource: usize, applying: &[&Permission], place: &[&str]) -> Gives {
        if self.guarded(resource, place) {
            return Gives::Hide;
        }
        let table = &self.policy.resources[resource];
        let each: Vec<_> = applying.iter().map(|permission| given(permission, table, place)).collect();
        let least = each.iter().filter(|gives| **gives != Gives::Hide).min().unwrap_or(&Gives::Hide);
        if each.contains(&Gives::Show) { Gives::Show } else { *least }
    }

    fn guarded(&self, resource: usize, place: &[&str]) -> bool {
        let label = self.policy.resources[resource].label(place);
        let field = |guard: &Guard| guard.field.as_ref().is_some_and(|field| place.starts_with(field));
        self.guards().any(|g| (g.label.is_some() && g.label == label) || (resource == 0 && field(g)))
    }

    /// "Filter, sort, … default to exactly what is shown in clear on **every** record the principal may list".
    pub(crate) fn may_ask(&self, place: &[&str]) -> Option<bool> {
        let permissions = self.allowed()?;
        let table = &self.policy.resources[0];
        let may = |permission: &&Permission| match &permission.query {
            Some(picks) => picks.iter().any(|pick| pick.covers(table, place).is_some()),
            None => given(permission, table, place) == Gives::Show,
        };
        let always = permissions.iter().any(|permission| permission.condition.is_none() && may(permission));
        Some((always || permissions.iter().all(may)) && !self.guarded(0, place))
    }

    /// What of a body is editable, given the record as it is (for a new one: as it comes) and, where that is known, as
    /// it will be.
    pub(crate) fn editable(&self, records: &[&Tree], body: &Tree) -> Option<Tree> {
        let (table, mut applying) = (&self.policy.resources[0], self.allowed()?);
        // "only if its condition is met by the record as it is and as it will be".
        applying.retain(|permission| records.iter().all(|record| self.applies(permission, record)));
        let seen = ["read", "list", self.action].map(|action| self.permissions(0, action)).concat();
        let may = |permission: &Permission, place: &[&str]| {
            // "`edit` needs `show` on the field, unless `write_only: true`": wherever the permission applies.
            let always = |p: &&&Permission| p.condition.is_none() || p.condition == permission.condition;
            let shown = seen.iter().filter(always).any(|p| given(p, table, place) == Gives::Show);
            let decides = |p: Place| place.starts_with(&p) || p.starts_with(place);
            let moves = permission.condition.iter().flat_map(Condition::places).any(decides);
            permission.edit.iter().any(|pick| pick.covers(table, place).is_some())
                && (permission.write_only || shown)
                && (self.action == "create" || !moves)
        };
        let free = |place: &[&str]| !self.guarded(0, place) && applying.iter().any(|p| may(p, place));
        let gives = |place: &[&str]| if free(place) { Gives::Show } else { Gives::Hide };
        let side = Side { model: self, resource: None, gives: &gives };
        (!applying.is_empty()).then(|| Tree::Object(side.members(&[], body.members())))
    }
}

/// One record: its resource (`None`: a body, where nothing is related) and what each place gives.
struct Side<'s> {
    model: &'s Model<'s>,
    resource: Option<usize>,
    gives: &'s dyn Fn(&[&str]) -> Gives,
}

impl Side<'_> {
    fn members(&self, above: &[&str], members: &[(String, Tree)]) -> Vec<(String, Tree)> {
        // "Every duplicate of a key is judged."
        let judged = members.iter().map(|(name, value)| {
            let place = [above, &[name.as_str()]].concat();
            self.place(&place, value).map(|value| (name.clone(), value))
        });
        judged.flatten().collect()
    }

    fn place(&self, place: &[&str], value: &Tree) -> Option<Tree> {
        let table = &self.model.policy.resources[self.resource.unwrap_or(0)];
        let relations = self.resource.map(|_| table.relations.as_slice()).unwrap_or_default();
        if let Some(list) = relations.iter().find(|r| r.starts_with(place)).map(|r| r.len() > place.len()) {
            return self.model.related(list, value);
        }
        let inside = |declared: &&Place| declared.len() > place.len() && declared.starts_with(place);
        let below: Vec<&Place> = table.declared().filter(inside).collect();
        let array = below.iter().any(|declared| declared[place.len()] == "*");
        let object = below.iter().any(|declared| declared[place.len()] != "*");
        // "where a container … was declared and a scalar stands, it is hidden"; "`[*]` is for arrays only".
        let fits = match value {
            Tree::Object(_) => object || !array,
            Tree::List(_) => array || !object,
            _ => !array && !object,
        };
        // "folded … for hiding under `unknown: show`".
        if !fits || (self.resource.is_some() && self.is_disguised(table, place, &below)) {
            return None;
        }
        // "A mask on an object or array gives `null`", unless something below is given otherwise.
        let gives = (self.gives)(place);
        let masked = matches!(gives, Gives::Mask(_)) && below.iter().all(|d| (self.gives)(d) == gives);
        if value.is_empty() || masked || below.is_empty() {
            return gives.apply(value);
        }
        // "An object or array is kept if something in it is shown or masked, and holds just that; otherwise it goes."
        let element = [place, &["*"]].concat();
        let kept = match value {
            Tree::List(items) => Tree::List(items.iter().filter_map(|i| self.place(&element, i)).collect()),
            _ => Tree::Object(self.members(place, value.members())),
        };
        (!kept.is_empty()).then_some(kept)
    }

    /// Whether a name that nobody named is one in disguise that is not wholly shown: where unknown names pass, and below
    /// a container whose label covers them.
    fn is_disguised(&self, table: &Resource, place: &[&str], below: &[&Place]) -> bool {
        let Some((name, above)) = place.split_last() else { return false };
        let named = *name == "*" || !below.is_empty() || table.declared().any(|declared| declared == place);
        let shown = |place: &[&str]| (self.gives)(place) == Gives::Show;
        let meant =
            |d: &&Place| d.len() > above.len() && d.starts_with(above) && fold(d[above.len()]) == fold(name);
        let hidden = |d: &Place| !shown(&d[..place.len()]) || !shown(d) || table.relations.contains(d);
        !named && table.declared().chain(&table.relations).filter(meant).any(hidden)
    }
}

impl Model<'_> {
    /// "judged by its own resource's permissions for `read` (else for this action), with its own `records` condition".
    fn related(&self, list: bool, value: &Tree) -> Option<Tree> {
        let reading = self.permissions(1, "read");
        let permissions = if reading.is_empty() { self.permissions(1, self.action) } else { reading };
        // "no permission on the related resource at all: the member is hidden".
        match value {
            _ if permissions.is_empty() => None,
            Tree::List(items) if list => {
                Some(Tree::List(items.iter().filter_map(|item| self.record(1, &permissions, item)).collect()))
            }
            // "Not released: dropped from an array, `null` as a single member".
            Tree::Object(_) if !list => Some(self.record(1, &permissions, value).unwrap_or(Tree::Null)),
            _ => None,
        }
    }
}

/// What one permission gives: "a longer path beats a shorter, a path beats a label, a label beats `*`"; "at equal
/// specificity, hide beats mask beats show"; "A permission with no `fields` releases no field."
fn given(permission: &Permission, table: &Resource, place: &[&str]) -> Gives {
    let Some(fields) = &permission.fields else { return Gives::Hide };
    let unknown = table.label(place).is_none();
    if unknown && !table.unknown_shown {
        return Gives::Hide;
    }
    let named = fields.iter().filter_map(|(pick, gives)| Some((pick.covers(table, place)?, *gives)));
    let best = named.max_by_key(|(specificity, gives)| (*specificity, std::cmp::Reverse(*gives)));
    best.map_or(if unknown { Gives::Show } else { Gives::Hide }, |(_, gives)| gives)
}
