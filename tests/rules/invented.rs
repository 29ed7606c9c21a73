//! Policies, callers, records and bodies made up at random, and their words: conditions as CEL and as code, masks as
//! YAML and as code.

use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::tree::Tree;

pub(crate) type Place = Vec<&'static str>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Gives {
    Hide,
    /// By number in [`MASKS`], from the least revealing.
    Mask(usize),
    Show,
}

#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) fields: Vec<(Place, usize)>,
    pub(crate) relations: Vec<Place>,
    pub(crate) unknown_shown: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Pick {
    All,
    Label(usize),
    Place(Place),
}

#[derive(Clone, Debug)]
pub(crate) struct Permission {
    pub(crate) resource: usize,
    pub(crate) actions: Vec<&'static str>,
    pub(crate) condition: Option<Condition>,
    pub(crate) fields: Option<Vec<(Pick, Gives)>>,
    pub(crate) edit: Vec<Pick>,
    pub(crate) write_only: bool,
    pub(crate) query: Option<Vec<Pick>>,
}

#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) inherits: Vec<usize>,
    pub(crate) permissions: Vec<Permission>,
}

#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) role: usize,
    pub(crate) user: Option<&'static str>,
    pub(crate) group: Option<&'static str>,
    pub(crate) mfa: bool,
    pub(crate) last_day: Option<&'static str>,
    pub(crate) office_hours: bool,
    pub(crate) inside: bool,
}

/// Requires a second factor.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) action: Option<&'static str>,
    pub(crate) label: Option<usize>,
    pub(crate) field: Option<Place>,
}

#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) resources: [Resource; 2],
    pub(crate) roles: Vec<Role>,
    pub(crate) bindings: Vec<Binding>,
    pub(crate) guards: Vec<Guard>,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Refused,
    Missing,
    Cut,
    Body(Tree),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) text: &'static str,
    pub(crate) day: &'static str,
    pub(crate) in_office_hours: bool,
}

#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) id: &'static str,
    pub(crate) groups: Vec<&'static str>,
    pub(crate) region: Option<&'static str>,
    pub(crate) mfa: bool,
    pub(crate) inside: bool,
    pub(crate) moment: Moment,
}

/// Monday to Friday, 09:00 to 18:00, UTC.
const MOMENTS: [Moment; 4] = [
    Moment { text: "2026-12-31T10:00:00Z", day: "2026-12-31", in_office_hours: true },
    Moment { text: "2026-12-31T23:59:59Z", day: "2026-12-31", in_office_hours: false },
    Moment { text: "2027-01-01T09:00:00Z", day: "2027-01-01", in_office_hours: true },
    Moment { text: "2027-01-02T12:00:00Z", day: "2027-01-02", in_office_hours: false },
];

impl Caller {
    pub(crate) fn invent(dice: &mut Dice) -> Self {
        Self {
            id: dice.of(&["ann", "bob"]),
            groups: ["g0", "g1", "g2"].into_iter().filter(|_| !dice.chance(3)).collect(),
            region: dice.of(&[Some("east"), Some("west"), None]),
            mfa: !dice.chance(3),
            inside: !dice.chance(4),
            moment: dice.of(&MOMENTS),
        }
    }
}

// === conditions ===

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    Text(&'static str),
    Id,
    Region,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    Equals(Place, Operand),
    IsNull(Place),
    AtLeast(Place, i32),
    Has(&'static str),
    Not(Box<Condition>),
    Both(Box<Condition>, Box<Condition>),
    Either(Box<Condition>, Box<Condition>),
}

impl Condition {
    fn invent(dice: &mut Dice, depth: usize) -> Self {
        let place = dice.of(&[vec!["a"], vec!["b"], vec!["n"], vec!["box", "x"]]);
        let inner = |dice: &mut Dice| Box::new(Self::invent(dice, depth - 1));
        match dice.below(if depth == 0 { 4 } else { 7 }) {
            0 => Self::Equals(place, dice.of(&[Operand::Text("east"), Operand::Id, Operand::Region])),
            1 => Self::IsNull(place),
            2 => Self::AtLeast(place, 7),
            3 => Self::Has(dice.of(&["a", "b", "n"])),
            4 => Self::Not(inner(dice)),
            5 => Self::Both(inner(dice), inner(dice)),
            _ => Self::Either(inner(dice), inner(dice)),
        }
    }

    fn cel(&self) -> String {
        match self {
            Self::Equals(place, operand) => {
                let operand = match operand {
                    Operand::Text(text) => format!("{text:?}"),
                    Operand::Id => "principal.id".to_owned(),
                    Operand::Region => "principal.claims.region".to_owned(),
                };
                format!("record.{} == {operand}", place.join("."))
            }
            Self::IsNull(place) => format!("record.{} == null", place.join(".")),
            Self::AtLeast(place, number) => format!("record.{} >= {number}", place.join(".")),
            Self::Has(name) => format!("has(record.{name})"),
            Self::Not(inner) => format!("!({})", inner.cel()),
            Self::Both(a, b) => format!("({}) && ({})", a.cel(), b.cel()),
            Self::Either(a, b) => format!("({}) || ({})", a.cel(), b.cel()),
        }
    }

    /// What it reads of the record.
    pub(crate) fn places(&self) -> Vec<Place> {
        match self {
            Self::Equals(place, _) | Self::IsNull(place) | Self::AtLeast(place, _) => vec![place.clone()],
            Self::Has(name) => vec![vec![name]],
            Self::Not(inner) => inner.places(),
            Self::Both(a, b) | Self::Either(a, b) => [a.places(), b.places()].concat(),
        }
    }

    /// `None`: it errs. "… except where CEL's `||` and `&&` absorb it; `null` is comparable".
    pub(crate) fn holds(&self, record: &Tree, caller: &Caller) -> Option<bool> {
        match self {
            Self::Equals(place, operand) => {
                let wanted = match operand {
                    Operand::Text(text) => text,
                    Operand::Id => caller.id,
                    Operand::Region => caller.region?,
                };
                match record.at(place)? {
                    Tree::Text(is) => Some(is == wanted),
                    Tree::Null => Some(false),
                    _ => None,
                }
            }
            Self::IsNull(place) => Some(*record.at(place)? == Tree::Null),
            Self::AtLeast(place, number) => match record.at(place)? {
                Tree::Number(is) => Some(is.parse::<f64>().unwrap() >= f64::from(*number)),
                _ => None,
            },
            Self::Has(name) => Some(record.at(&[name]).is_some()),
            Self::Not(inner) => inner.holds(record, caller).map(|holds| !holds),
            Self::Both(a, b) => match (a.holds(record, caller), b.holds(record, caller)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (a, b) => a.and(b),
            },
            Self::Either(a, b) => match (a.holds(record, caller), b.holds(record, caller)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (a, b) => a.and(b),
            },
        }
    }
}

// === masks ===

type Text = fn(&str) -> Option<String>;
type Number = fn(f64) -> Tree;

/// Name, definition, and what becomes of texts and numbers; from the least to the most revealing.
const MASKS: [(&str, &str, Text, Number); 9] = [
    ("blank", "", |_| None, |_| Tree::Null),
    ("stars", "", |_| Some("***".to_owned()), |_| Tree::Null),
    ("word", r#"{"constant":"hidden"}"#, |_| Some("hidden".to_owned()), |_| Tree::Null),
    (
        "band",
        r#"{"bucket":[10,1000]}"#,
        |_| None,
        |n| {
            Tree::text(if n < 10.0 {
                "<10"
            } else if n < 1000.0 {
                "10-1000"
            } else {
                ">=1000"
            })
        },
    ),
    ("near", r#"{"round":100}"#, |_| None, |n| Tree::Number(((n / 100.0).round() as i64 * 100).to_string())),
    (
        "month",
        r#"{"date":"month"}"#,
        |t| (t.len() == 10 && t.starts_with("20")).then(|| t[..7].to_owned()),
        |_| Tree::Null,
    ),
    (
        "mail",
        r#"{"email":{"keep_first":1}}"#,
        |t| match t.split_once('@') {
            Some((local, domain)) => Some(format!("{}***@{domain}", &local[..1])),
            None => Some("***".to_owned()),
        },
        |_| Tree::Null,
    ),
    ("ends", r#"{"keep":{"first":1,"last":1}}"#, |t| Some(keep(t, 1, 1)), |_| Tree::Null),
    ("more", r#"{"keep":{"first":3,"last":4}}"#, |t| Some(keep(t, 3, 4)), |_| Tree::Null),
];

fn keep(text: &str, first: usize, last: usize) -> String {
    let length = text.chars().count();
    let kept = |at: usize| length > first + last && (at < first || at + last >= length);
    text.chars().enumerate().map(|(at, c)| if kept(at) { c } else { '*' }).collect()
}

impl Gives {
    /// "Masks keep the JSON type …; on any other type the value becomes `null`"; "on an object or array gives `null`".
    pub(crate) fn apply(self, value: &Tree) -> Option<Tree> {
        match (self, value) {
            (Self::Hide, _) => None,
            (Self::Show, _) => Some(value.clone()),
            (Self::Mask(number), Tree::Text(text)) => {
                Some(MASKS[number].2(text).map_or(Tree::Null, Tree::Text))
            }
            (Self::Mask(number), Tree::Number(text)) => Some(MASKS[number].3(text.parse().unwrap())),
            (Self::Mask(_), _) => Some(Tree::Null),
        }
    }
}

// === policies ===

const LABELS: [&str; 3] = ["l0", "l1", "l2"];
const ACTIONS: [&str; 5] = ["list", "read", "export", "update", "create"];

impl Resource {
    pub(crate) fn declared(&self) -> impl Iterator<Item = &Place> {
        self.fields.iter().map(|(place, _)| place)
    }

    /// "a label on a container covers what is below unless a longer labelled path says otherwise".
    pub(crate) fn label(&self, place: &[&str]) -> Option<usize> {
        let over = self.fields.iter().filter(|(field, _)| place.starts_with(field));
        over.max_by_key(|(field, _)| field.len()).map(|(_, label)| *label)
    }

    fn invent(dice: &mut Dice, main: bool, containers: bool) -> Self {
        let mut places: Vec<Place> = vec![vec!["a"], vec!["b"], vec!["n"], vec!["c"]];
        if main {
            places.extend([
                vec!["box", "x"],
                vec!["box", "y", "z"],
                vec!["list", "*", "p"],
                vec!["list", "*", "q"],
            ]);
            if containers {
                places.extend([vec!["box"], vec!["list"], vec!["box", "y"]]);
            }
        }
        places.retain(|_| !dice.chance(4));
        // Every label names something, so that every selector does.
        places.extend([vec!["f0"], vec!["f1"], vec!["f2"]]);
        let label = |place: &Place, dice: &mut Dice| match place[0] {
            "f0" => 0,
            "f1" => 1,
            "f2" => 2,
            _ => dice.below(3),
        };
        let fields = places.into_iter().map(|place| (place.clone(), label(&place, dice))).collect();
        let relations = if main { vec![vec!["rel"], vec!["rels", "*"]] } else { Vec::new() };
        Self { fields, relations, unknown_shown: containers && dice.chance(4) }
    }

    fn pick(&self, dice: &mut Dice) -> Pick {
        match dice.below(8) {
            0 => Pick::All,
            1..4 => Pick::Label(dice.below(3)),
            _ => {
                let place = dice.of(&self.fields).0;
                let length = if dice.chance(3) { 1 } else { place.len() };
                Pick::Place(place[..length].to_vec())
            }
        }
    }
}

impl Permission {
    fn invent(dice: &mut Dice, resources: &[Resource; 2], writes: bool) -> Self {
        let resource = usize::from(dice.chance(4));
        let table = &resources[resource];
        let mut fields: Vec<(Pick, Gives)> = (0..dice.below(5))
            .map(|_| {
                (
                    table.pick(dice),
                    match dice.below(5) {
                        0 => Gives::Hide,
                        1 | 2 => Gives::Mask(dice.below(MASKS.len())),
                        _ => Gives::Show,
                    },
                )
            })
            .collect();
        let leaf = |dice: &mut Dice| {
            if dice.chance(3) { Pick::Label(dice.below(3)) } else { Pick::Place(dice.of(&table.fields).0) }
        };
        let edit: Vec<Pick> =
            (0..if writes && resource == 0 { dice.below(4) } else { 0 }).map(|_| leaf(dice)).collect();
        let write_only = dice.chance(4);
        if !write_only {
            fields.extend(edit.iter().map(|pick| (pick.clone(), Gives::Show)));
        }
        let mut masked = Vec::new();
        // A mapping has a key once.
        fields.retain(|(pick, gives)| {
            !matches!(gives, Gives::Mask(_)) || {
                let key = pick.text();
                !masked.contains(&key) && {
                    masked.push(key);
                    true
                }
            }
        });
        let query = dice.chance(6).then(|| vec![leaf(dice)]);
        // Without the section there is nothing of it.
        let none = fields.is_empty() && edit.is_empty() && query.is_none();
        Self {
            resource,
            actions: ACTIONS.into_iter().filter(|_| !dice.chance(3)).chain(["read"]).collect(),
            condition: (!dice.chance(3)).then(|| Condition::invent(dice, 2)),
            query,
            fields: (!none || !dice.chance(3)).then_some(fields),
            edit,
            write_only,
        }
    }

    fn json(&self) -> Value {
        let mut out = json!({ "resource": NAMES[self.resource], "actions": self.actions });
        if let Some(condition) = &self.condition {
            out["records"] = json!(condition.cel());
        }
        let texts = |picks: &[Pick]| picks.iter().map(Pick::text).collect::<Vec<_>>();
        if let Some(fields) = &self.fields {
            let of = |wanted: Gives| {
                let picks = fields.iter().filter(|(_, gives)| *gives == wanted);
                json!(picks.map(|(pick, _)| pick.text()).collect::<Vec<_>>())
            };
            let masks: Map<_, _> = fields
                .iter()
                .filter_map(|(pick, gives)| match gives {
                    Gives::Mask(number) => Some((pick.text(), json!(MASKS[*number].0))),
                    _ => None,
                })
                .collect();
            out["fields"] = json!({ "show": of(Gives::Show), "hide": of(Gives::Hide), "mask": masks, "edit": texts(&self.edit), "write_only": self.write_only });
            if let Some(query) = &self.query {
                out["fields"]["query"] = json!(texts(query));
            }
        }
        out
    }
}

const NAMES: [&str; 2] = ["main", "other"];

impl Pick {
    /// How specific it is at a place; `None`: it does not name it. "`*` means every *labelled* field".
    pub(crate) fn covers(&self, table: &Resource, place: &[&str]) -> Option<usize> {
        match self {
            Self::All => table.label(place).map(|_| 0),
            Self::Label(label) => (table.label(place) == Some(*label)).then_some(1),
            Self::Place(above) => place.starts_with(above).then_some(1 + above.len()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::All => "*".to_owned(),
            Self::Label(label) => LABELS[*label].to_owned(),
            Self::Place(place) => written(place),
        }
    }
}

/// `list[*].p`.
pub(crate) fn written(place: &[&str]) -> String {
    place.join(".").replace(".*", "[*]")
}

impl Policy {
    /// `writes`: no labels on containers, and permissions that edit.
    pub(crate) fn invent(dice: &mut Dice, writes: bool) -> Self {
        let resources = [true, false].map(|main| Resource::invent(dice, main, !writes));
        let roles = (0..4)
            .map(|role| Role {
                inherits: (0..role).filter(|_| dice.chance(3)).collect(),
                permissions: (0..dice.below(3))
                    .map(|_| Permission::invent(dice, &resources, writes))
                    .collect(),
            })
            .collect();
        let bindings = (0..4)
            .map(|role| Binding {
                role,
                user: dice.of(&[None, None, Some("ann")]),
                group: Some(["g0", "g1", "g2", "g0"][role]),
                mfa: dice.chance(6),
                last_day: dice.of(&[None, None, Some("2026-12-31"), Some("2027-01-01")]),
                office_hours: dice.chance(8),
                inside: dice.chance(6),
            })
            .collect();
        let guards = (0..2)
            .filter_map(|_| {
                let action = dice.of(&[None, Some("export"), Some("list"), Some("update")]);
                match dice.below(6) {
                    0 => Some(Guard { action, label: Some(dice.below(3)), field: None }),
                    1 => Some(Guard { action, label: None, field: Some(dice.of(&resources[0].fields).0) }),
                    2 => action.map(|action| Guard { action: Some(action), label: None, field: None }),
                    _ => None,
                }
            })
            .collect();
        Self { resources, roles, bindings, guards }
    }

    /// As it is written. YAML reads JSON.
    pub(crate) fn text(&self) -> String {
        let mut resources = Map::new();
        for (name, table) in NAMES.iter().zip(&self.resources) {
            let mut fields = Map::new();
            for (label, label_name) in LABELS.iter().enumerate() {
                let of: Vec<_> =
                    table.fields.iter().filter(|(_, l)| *l == label).map(|(p, _)| written(p)).collect();
                fields.insert((*label_name).to_owned(), json!(of));
            }
            let relations: Map<_, _> =
                table.relations.iter().map(|place| (written(place), json!("other"))).collect();
            let unknown = if table.unknown_shown { "show" } else { "hide" };
            resources.insert(
                (*name).to_owned(),
                json!({ "fields": fields, "relations": relations, "unknown": unknown }),
            );
        }
        let roles: Map<_, _> = self
            .roles
            .iter()
            .enumerate()
            .map(|(number, role)| {
                let inherits: Vec<_> = role.inherits.iter().map(|parent| format!("r{parent}")).collect();
                let permissions: Vec<_> = role.permissions.iter().map(Permission::json).collect();
                (format!("r{number}"), json!({ "inherits": inherits, "permissions": permissions }))
            })
            .collect();
        let masks: Map<_, _> = MASKS
            .iter()
            .filter(|mask| !mask.1.is_empty())
            .map(|mask| (mask.0.to_owned(), serde_json::from_str(mask.1).unwrap()))
            .collect();
        let guards: Vec<_> = self
            .guards
            .iter()
            .enumerate()
            .map(|(number, guard)| {
                let mut on = Map::new();
                on.extend(guard.action.map(|action| ("actions".to_owned(), json!([action]))));
                on.extend(guard.label.map(|label| ("labels".to_owned(), json!([LABELS[label]]))));
                if let Some(field) = &guard.field {
                    on.insert("resource".to_owned(), json!("main"));
                    on.insert("fields".to_owned(), json!([written(field)]));
                }
                json!({ "name": format!("g{number}"), "on": on, "require": "principal.mfa" })
            })
            .collect();
        let declared = |name: &str| self.resources[0].declared().any(|place| written(place) == name);
        let filters: Vec<_> = FILTERS.into_iter().filter(|name| declared(name)).collect();
        json!({
            "labels": LABELS, "resources": resources, "roles": roles, "masks": masks, "guards": guards,
            "bindings": self.bindings.iter().map(Binding::json).collect::<Vec<_>>(),
            "apis": { "api": { "routes": [
                { "match": "GET /list", "action": "list", "resource": "main", "records": "$.data[*]", "envelope": { "keep": ["page"], "total": "$.total" },
                  "query": { "select": "fields", "sort": "sort", "filter": filters } },
                { "match": "GET /export", "action": "export", "resource": "main", "records": "$.data[*]", "envelope": { "keep": ["page"], "total": "$.total" } },
                { "match": "GET /one/{id}", "action": "read", "resource": "main", "records": "$.data", "envelope": { "keep": ["page"] } },
                { "match": "PUT /one/{id}", "action": "update", "resource": "main", "body": "$" },
                { "match": "PATCH /one/{id}", "action": "update", "resource": "main", "body": "$", "on_uneditable": "strip" },
                { "match": "POST /one", "action": "create", "resource": "main", "body": "$" },
                { "match": "POST /new", "action": "create", "resource": "main", "body": "$", "on_uneditable": "strip" },
            ] } },
        })
        .to_string()
    }
}

/// Parameters that filter.
pub(crate) const FILTERS: [&str; 7] = ["a", "b", "n", "c", "f0", "box.x", "nobody"];

impl Binding {
    /// "`users`, `groups` are alternatives; `when`, `expires`, `hours`, `networks` must all hold."
    pub(crate) fn holds(&self, caller: &Caller) -> bool {
        let named =
            self.user == Some(caller.id) || self.group.is_some_and(|group| caller.groups.contains(&group));
        let in_time = self.last_day.is_none_or(|day| caller.moment.day <= day);
        let at_work = !self.office_hours || caller.moment.in_office_hours;
        named && (!self.mfa || caller.mfa) && in_time && at_work && (!self.inside || caller.inside)
    }

    fn json(&self) -> Value {
        let mut out = json!({ "role": format!("r{}", self.role), "groups": self.group.into_iter().collect::<Vec<_>>() });
        if let Some(user) = self.user {
            out["users"] = json!([user]);
        }
        if self.mfa {
            out["when"] = json!("principal.mfa");
        }
        if let Some(day) = self.last_day {
            out["expires"] = json!(day);
        }
        if self.office_hours {
            out["hours"] = json!("mon-fri 09:00-18:00");
        }
        if self.inside {
            out["networks"] = json!(["10.0.0.0/8"]);
        }
        out
    }
}
