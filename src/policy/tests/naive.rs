//! Random policies, callers and answers, judged by the compiler and engine and by a plain model written apart from
//! them: it knows nothing of ranks, rules, automata or caches, and follows the documentation sentence by sentence.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_rules_give_what_the_plain_model_gives(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let policy = Policy::random(&mut dice);
        let text = policy.yaml();
        let loaded = load(&text);
        let plan = loaded.plan.ok_or_else(|| TestCaseError::fail(format!("{text}\n{}", loaded.report.to_text(false))))?;
        for _ in 0..4 {
            let caller = Caller::random(&mut dice);
            let action = *dice.of(&["list", "export"]);
            let records: Vec<Value> = (0..dice.below(4)).map(|_| record(&mut dice)).collect();
            let expected = policy.answer(&caller, action, &records);
            let decided = decide(&plan, &caller.who(), &format!("GET /{action}"));
            let got = decided.map(|permit| {
                let (text, counts) = pass(&permit, &json!({ "data": records, "total": 99 }).to_string()).unwrap();
                (serde_json::from_str::<Value>(&text).unwrap(), counts.released)
            });
            match (got, expected) {
                (Err(reason), None) => {
                    prop_assert!(!matches!(reason, DenialReason::Target(_) | DenialReason::NoRoute));
                }
                (Ok((answer, released)), Some((data, total))) => {
                    prop_assert_eq!(&answer["data"], &Value::from(data), "{}\n{:?} {}\n{:#}", text, caller, action, Value::from(records));
                    prop_assert_eq!(&answer["total"], &json!(total));
                    prop_assert_eq!(released, answer["data"].as_array().unwrap().len() as u64);
                }
                (got, expected) => prop_assert!(false, "{:?} {:?}\n{}\n{:?} {}", got, expected, text, caller, action),
            }
        }
    }
}

// === the plain model ===

/// What a place gives; masks by how much they reveal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Gives {
    Nothing,
    Blank,
    Stars,
    Ends,
    All,
}

#[derive(Debug)]
struct Resource {
    name: &'static str,
    /// Path and label; no label: not declared.
    labels: Vec<(&'static str, Option<usize>)>,
    unknown_shown: bool,
}

#[derive(Debug)]
struct Permission {
    resource: usize,
    actions: Vec<&'static str>,
    condition: Option<usize>,
    /// Selector and what it gives; `None`: the permission has no `fields`.
    fields: Option<Vec<(String, Gives)>>,
}

#[derive(Debug)]
struct Guard {
    action: Option<&'static str>,
    label: Option<usize>,
}

#[derive(Debug)]
struct Policy {
    resources: [Resource; 2],
    /// Inherited roles and own permissions.
    roles: Vec<(Vec<usize>, Vec<Permission>)>,
    guards: Vec<Guard>,
}

#[derive(Clone, Debug)]
struct Caller {
    roles: Vec<usize>,
    mfa: bool,
}

/// Whether a condition is met.
type Met = fn(&Value) -> bool;

/// The conditions there are, as CEL and as code.
const CONDITIONS: [(&str, Met); 6] = [
    ("record.a == 1", |r| r["a"] == json!(1)),
    (r#"record.b == principal.id"#, |r| r["b"] == json!("me")),
    ("record.a >= 1", |r| r["a"].as_i64().is_some_and(|a| a >= 1)),
    (r#"record.c in ["x", "y"]"#, |r| r["c"] == json!("x") || r["c"] == json!("y")),
    (r#"record.zzz == "x" || record.a == 2"#, |r| r["zzz"] == json!("x") || r["a"] == json!(2)),
    (r#"!(record.b == "me")"#, |r| {
        r["b"].is_string() && r["b"] != json!("me") || r.get("b") == Some(&Value::Null)
    }),
];

/// Place and resource of related records, on the first resource.
const RELATIONS: [(&str, bool); 2] = [("rel", false), ("rels", true)];

impl Policy {
    /// The records released and the total, or `None` if the request is refused.
    fn answer(&self, caller: &Caller, action: &str, records: &[Value]) -> Option<(Vec<Value>, u64)> {
        let permissions = self.permissions(caller, 0, action);
        // "**Default is no**".
        if permissions.is_empty() {
            return None;
        }
        // "on actions → the request is refused".
        let refuses = |guard: &&Guard| guard.label.is_none() && guard.action.is_none_or(|a| a == action);
        if !caller.mfa && self.guards.iter().any(|guard| refuses(&guard)) {
            return None;
        }
        let judge = Judge { policy: self, caller, action };
        let released: Vec<_> =
            records.iter().filter_map(|record| judge.record(0, &permissions, record)).collect();
        // "as soon as one permission … has a condition and none without a condition also applies".
        let counted = permissions.iter().all(|permission| permission.condition.is_some());
        let total = if counted { released.len() as u64 } else { 99 };
        Some((released, total))
    }

    /// "Inheritance adds the parent's permissions."
    fn permissions(&self, caller: &Caller, resource: usize, action: &str) -> Vec<&Permission> {
        let mut held = [false; 8];
        let mut open = caller.roles.clone();
        while let Some(role) = open.pop() {
            if !std::mem::replace(&mut held[role], true) {
                open.extend(&self.roles[role].0);
            }
        }
        let roles = self.roles.iter().zip(held).filter(|(_, held)| *held);
        roles
            .flat_map(|((_, permissions), _)| permissions)
            .filter(|permission| permission.resource == resource && permission.actions.contains(&action))
            .collect()
    }
}

struct Judge<'p> {
    policy: &'p Policy,
    caller: &'p Caller,
    action: &'p str,
}

impl Judge<'_> {
    /// "A record is released if at least one of the principal's permissions … applies to it".
    fn record(&self, resource: usize, permissions: &[&Permission], record: &Value) -> Option<Value> {
        let members = record.as_object()?;
        let applies =
            |permission: &&&Permission| permission.condition.is_none_or(|c| CONDITIONS[c].1(record));
        let applying: Vec<&Permission> = permissions.iter().filter(applies).copied().collect();
        if applying.is_empty() {
            return None;
        }
        let mut out = Map::new();
        for (name, value) in members {
            out.extend(self.place(resource, &applying, name, value).map(|value| (name.clone(), value)));
        }
        Some(out.into())
    }

    fn place(&self, resource: usize, applying: &[&Permission], path: &str, value: &Value) -> Option<Value> {
        if resource == 0 && RELATIONS.iter().any(|(relation, _)| *relation == path) {
            return self.related(path, value);
        }
        let declared: Vec<&str> = self.policy.resources[resource].declared().collect();
        let object = declared.iter().any(|d| d.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')));
        let array = declared.iter().any(|d| d.strip_prefix(path).is_some_and(|rest| rest.starts_with("[*]")));
        let gives = self.gives(resource, applying, path);
        // "A mask on an object or array gives `null`" where nothing below says otherwise.
        let uniform = declared
            .iter()
            .filter(|d| {
                d.strip_prefix(path).is_some_and(|rest| rest.starts_with('.') || rest.starts_with("[*]"))
            })
            .all(|d| self.gives(resource, applying, d) == gives);
        match value {
            Value::Object(members) if !array || object => {
                if members.is_empty() || (uniform && !matches!(gives, Gives::All | Gives::Nothing)) {
                    return leaf(gives, value);
                }
                let kept: Map<_, _> = members
                    .iter()
                    .filter_map(|(name, value)| {
                        let value = self.place(resource, applying, &format!("{path}.{name}"), value)?;
                        Some((name.clone(), value))
                    })
                    .collect();
                (!kept.is_empty()).then(|| kept.into())
            }
            Value::Array(items) if !object || array => {
                if items.is_empty() || (uniform && !matches!(gives, Gives::All | Gives::Nothing)) {
                    return leaf(gives, value);
                }
                let kept: Vec<_> = items
                    .iter()
                    .filter_map(|item| self.place(resource, applying, &format!("{path}[*]"), item))
                    .collect();
                (!kept.is_empty()).then(|| kept.into())
            }
            Value::Object(_) | Value::Array(_) => None,
            // "where a container … was declared and a scalar stands, it is hidden".
            _ if object || array => None,
            scalar => leaf(gives, scalar),
        }
    }

    /// "A related record is judged by its own resource's permissions for `read` (else for this action)".
    fn related(&self, path: &str, value: &Value) -> Option<Value> {
        let mut permissions = self.policy.permissions(self.caller, 1, "read");
        if permissions.is_empty() {
            permissions = self.policy.permissions(self.caller, 1, self.action);
        }
        // "no permission on the related resource at all: the member is hidden".
        if permissions.is_empty() {
            return None;
        }
        if path == "rels" {
            let items = value.as_array()?;
            return Some(items.iter().filter_map(|item| self.record(1, &permissions, item)).collect());
        }
        // "Not released: dropped from an array, `null` as a single member".
        value.is_object().then(|| self.record(1, &permissions, value).unwrap_or(Value::Null))
    }

    /// "united per field: show beats mask beats hide. Of two masks the less revealing is applied", then the guards.
    fn gives(&self, resource: usize, applying: &[&Permission], path: &str) -> Gives {
        let table = &self.policy.resources[resource];
        let label = table.label(path);
        let guarded = !self.caller.mfa
            && self.policy.guards.iter().any(|guard| {
                guard.label.is_some() && guard.label == label && guard.action.is_none_or(|a| a == self.action)
            });
        if guarded {
            return Gives::Nothing;
        }
        let each: Vec<Gives> = applying.iter().map(|permission| permission.gives(table, path)).collect();
        if each.contains(&Gives::All) {
            return Gives::All;
        }
        each.into_iter().filter(|gives| *gives != Gives::Nothing).min().unwrap_or(Gives::Nothing)
    }
}

impl Permission {
    fn gives(&self, table: &Resource, path: &str) -> Gives {
        // "A permission with no `fields` releases no field."
        let Some(fields) = &self.fields else { return Gives::Nothing };
        let label = table.label(path);
        // "no label → nothing"; what `unknown: show` shows a selector that names it may still take away.
        let otherwise = match label {
            None if !table.unknown_shown => return Gives::Nothing,
            None => Gives::All,
            Some(_) => Gives::Nothing,
        };
        // "a longer path beats a shorter, a path beats a label, a label beats `*`".
        let specificity = |selector: &str| match label {
            Some(_) if selector == "*" => Some(0),
            Some(label) if selector == format!("l{label}") => Some(1),
            _ => below(path, selector).then(|| 2 + steps(selector)),
        };
        let best = fields.iter().filter_map(|(selector, _)| specificity(selector)).max();
        // "at equal specificity, hide beats mask beats show".
        fields
            .iter()
            .filter(|(selector, _)| specificity(selector) == best && best.is_some())
            .map(|(_, gives)| *gives)
            .min()
            .unwrap_or(otherwise)
    }
}

impl Resource {
    /// The label of the longest labelled path above or at a place.
    fn label(&self, path: &str) -> Option<usize> {
        let over = self.labels.iter().filter(|(labelled, label)| label.is_some() && below(path, labelled));
        over.max_by_key(|(labelled, _)| labelled.len()).and_then(|(_, label)| *label)
    }

    fn declared(&self) -> impl Iterator<Item = &'static str> {
        self.labels.iter().filter(|(_, label)| label.is_some()).map(|(path, _)| *path)
    }
}

fn below(path: &str, over: &str) -> bool {
    path.strip_prefix(over)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || rest.starts_with("[*]"))
}

fn steps(path: &str) -> usize {
    1 + path.matches(['.', '[']).count()
}

/// "Masks keep the JSON type: text masks act on strings …; on any other type the value becomes `null`".
fn leaf(gives: Gives, value: &Value) -> Option<Value> {
    let text = value.as_str();
    match gives {
        Gives::Nothing => None,
        Gives::All => Some(value.clone()),
        Gives::Blank => Some(Value::Null),
        Gives::Stars => Some(text.map_or(Value::Null, |_| json!("***"))),
        Gives::Ends => Some(text.map_or(Value::Null, |text| {
            let chars: Vec<char> = text.chars().collect();
            let masked = |(at, c): (usize, &char)| {
                if chars.len() > 2 && (at == 0 || at + 1 == chars.len()) { *c } else { '*' }
            };
            chars.iter().enumerate().map(masked).collect::<String>().into()
        })),
    }
}

// === random policies, callers and records ===

struct Dice(u64);

impl Dice {
    /// SplitMix64.
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }

    fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    fn of<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.below(choices.len())]
    }
}

const PLACES: [&[&str]; 2] = [
    &["a", "b", "c", "box", "box.x", "box.y", "box.y.z", "list", "list[*].p", "list[*].q"],
    &["a", "b", "m", "n.o"],
];

impl Policy {
    fn random(dice: &mut Dice) -> Self {
        let resources = [0, 1].map(|index| {
            let mut labels: Vec<_> =
                PLACES[index].iter().map(|path| (*path, (!dice.chance(3)).then(|| dice.below(3)))).collect();
            // Every label is used, so that every selector matches something.
            labels.extend([("f0", Some(0)), ("f1", Some(1)), ("f2", Some(2))]);
            Resource { name: ["main", "other"][index], labels, unknown_shown: dice.chance(4) }
        });
        let roles = (0..4)
            .map(|role| {
                let inherits = (0..role).filter(|_| dice.chance(3)).collect();
                let permissions = (0..dice.below(3)).map(|_| Permission::random(dice, &resources)).collect();
                (inherits, permissions)
            })
            .collect();
        let guards = (0..dice.below(3))
            .map(|_| Guard {
                action: dice.chance(2).then(|| *dice.of(&["list", "export"])),
                label: (!dice.chance(4)).then(|| dice.below(3)),
            })
            .filter(|guard| guard.action.is_some() || guard.label.is_some())
            .collect();
        Self { resources, roles, guards }
    }

    fn yaml(&self) -> String {
        let mut text = String::from("labels: [l0, l1, l2]\nresources:\n");
        for resource in &self.resources {
            let fields: Vec<_> = (0..3)
                .map(|label| {
                    let paths: Vec<_> = resource
                        .labels
                        .iter()
                        .filter(|(_, l)| *l == Some(label))
                        .map(|(path, _)| format!("{path:?}"))
                        .collect();
                    format!("l{label}: [{}]", paths.join(", "))
                })
                .collect();
            let relations =
                if resource.name == "main" { "relations: { rel: other, \"rels[*]\": other }, " } else { "" };
            let unknown = if resource.unknown_shown { "show" } else { "hide" };
            text += &format!(
                "  {}: {{ {relations}unknown: {unknown}, fields: {{ {} }} }}\n",
                resource.name,
                fields.join(", ")
            );
        }
        text += "apis:\n  a:\n    routes:\n";
        for action in ["list", "export"] {
            text += &format!(
                "      - {{ match: GET /{action}, action: {action}, resource: main, records: \"$.data[*]\", envelope: {{ total: total }} }}\n"
            );
        }
        text += "masks: { ends: { keep: { first: 1, last: 1 } } }\nroles:\n";
        for (index, (inherits, permissions)) in self.roles.iter().enumerate() {
            let inherits: Vec<_> = inherits.iter().map(|role| format!("r{role}")).collect();
            text += &format!("  r{index}:\n    inherits: [{}]\n    permissions:\n", inherits.join(", "));
            for permission in permissions {
                text += &format!("      - {}\n", permission.yaml());
            }
        }
        text += "guards:\n";
        for (index, guard) in self.guards.iter().enumerate() {
            let mut on = Vec::new();
            on.extend(guard.action.map(|action| format!("actions: [{action}]")));
            on.extend(guard.label.map(|label| format!("labels: [l{label}]")));
            text +=
                &format!("  - {{ name: g{index}, on: {{ {} }}, require: principal.mfa }}\n", on.join(", "));
        }
        text
    }
}

impl Permission {
    fn random(dice: &mut Dice, resources: &[Resource; 2]) -> Self {
        let resource = usize::from(dice.chance(3));
        let mut actions: Vec<_> =
            ["list", "export", "read"].into_iter().filter(|_| !dice.chance(3)).collect();
        if actions.is_empty() {
            actions.push("list");
        }
        let mut selectors: Vec<String> = ["*", "l0", "l1", "l2"].map(str::to_owned).to_vec();
        for path in resources[resource].declared() {
            selectors.push(path.to_owned());
            if let Some((container, _)) = path.split_once(['.', '[']) {
                selectors.push(container.to_owned());
            }
        }
        let fields = (!dice.chance(8)).then(|| {
            let mut fields: Vec<(String, Gives)> = Vec::new();
            for _ in 0..dice.below(5) {
                let selector = dice.of(&selectors).clone();
                let gives = *dice.of(&[
                    Gives::All,
                    Gives::All,
                    Gives::Stars,
                    Gives::Ends,
                    Gives::Blank,
                    Gives::Nothing,
                ]);
                let masks = |gives: Gives| !matches!(gives, Gives::All | Gives::Nothing);
                // A selector has one mask.
                if !fields.iter().any(|(known, other)| *known == selector && masks(*other) && masks(gives)) {
                    fields.push((selector, gives));
                }
            }
            fields
        });
        let condition = dice.chance(2).then(|| dice.below(CONDITIONS.len()));
        Self { resource, actions, condition, fields }
    }

    fn yaml(&self) -> String {
        let resource = ["main", "other"][self.resource];
        let mut text = format!("{{ resource: {resource}, actions: [{}]", self.actions.join(", "));
        if let Some(condition) = self.condition {
            text += &format!(", records: '{}'", CONDITIONS[condition].0);
        }
        if let Some(fields) = &self.fields {
            let listed = |wanted: Gives| {
                let selectors: Vec<_> = fields
                    .iter()
                    .filter(|(_, gives)| *gives == wanted)
                    .map(|(s, _)| format!("{s:?}"))
                    .collect();
                selectors.join(", ")
            };
            let masks: Vec<_> = fields
                .iter()
                .filter_map(|(selector, gives)| {
                    let mask = match gives {
                        Gives::Blank => "blank",
                        Gives::Stars => "stars",
                        Gives::Ends => "ends",
                        Gives::Nothing | Gives::All => return None,
                    };
                    Some(format!("{selector:?}: {mask}"))
                })
                .collect();
            text += &format!(
                ", fields: {{ show: [{}], hide: [{}], mask: {{ {} }} }}",
                listed(Gives::All),
                listed(Gives::Nothing),
                masks.join(", ")
            );
        }
        text + " }"
    }
}

impl Caller {
    fn random(dice: &mut Dice) -> Self {
        Self { roles: (0..4).filter(|_| dice.chance(2)).collect(), mfa: dice.chance(2) }
    }

    fn who(&self) -> Who {
        let names: Vec<String> = self.roles.iter().map(|role| format!("r{role}")).collect();
        let who = who("me").roles(&names.iter().map(String::as_str).collect::<Vec<_>>());
        if self.mfa { who.mfa() } else { who }
    }
}

fn record(dice: &mut Dice) -> Value {
    if dice.chance(12) {
        return scalar(dice);
    }
    let mut members = Map::new();
    for name in ["a", "b", "c", "f0", "f1", "zzz"] {
        if !dice.chance(4) {
            members.insert(name.into(), scalar(dice));
        }
    }
    let nested = object(dice, &["x", "w"]);
    let mut box_ = object(dice, &["x", "y", "w"]);
    if dice.chance(2) {
        box_.insert("y".into(), json!({ "z": scalar(dice), "w": scalar(dice) }));
    }
    members.insert("box".into(), odd(dice, box_.into()));
    let items: Vec<Value> = (0..dice.below(3))
        .map(|_| {
            let item = object(dice, &["p", "q", "w"]);
            odd(dice, item.into())
        })
        .collect();
    members.insert("list".into(), odd(dice, items.into()));
    members.insert("new".into(), odd(dice, nested.into()));
    let other = |dice: &mut Dice| {
        let mut other = object(dice, &["a", "b", "m", "f0", "f1", "w"]);
        other.insert("n".into(), object(dice, &["o", "w"]).into());
        odd(dice, other.into())
    };
    members.insert("rel".into(), other(dice));
    let related: Vec<Value> = (0..dice.below(3)).map(|_| other(dice)).collect();
    members.insert("rels".into(), odd(dice, related.into()));
    members.into()
}

fn object(dice: &mut Dice, names: &[&str]) -> Map<String, Value> {
    let mut members = Map::new();
    for name in names {
        if !dice.chance(4) {
            members.insert((*name).into(), scalar(dice));
        }
    }
    members
}

/// Sometimes something else than was declared.
fn odd(dice: &mut Dice, value: Value) -> Value {
    if dice.chance(6) {
        dice.of(&[json!(1), json!("x"), Value::Null, json!([]), json!({}), json!([1]), json!({ "w": 1 })])
            .clone()
    } else {
        value
    }
}

fn scalar(dice: &mut Dice) -> Value {
    dice.of(&[
        json!(0),
        json!(1),
        json!(2),
        json!("me"),
        json!("x"),
        json!("hello"),
        Value::Null,
        json!(true),
        json!([]),
        json!({}),
        json!([1, "long text"]),
        json!({ "w": "text" }),
    ])
    .clone()
}
