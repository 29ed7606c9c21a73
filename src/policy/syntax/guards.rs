//! The sections `guards`, `limits`, `approvals`, `alerts` and `invariants`.

use super::units::{self, Rate};
use super::{Documents, Fields, Mark, Node, Word, condition, name_of};
use crate::policy::permit::{LimitUnit, Per};

/// A condition that must hold whatever the roles say.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Its name.
    pub name: Word,
    /// What it guards.
    pub on: GuardScope,
    /// The condition.
    pub require: Word,
    /// The stronger authentication that would satisfy it.
    pub step_up: Option<Word>,
    /// Where it says that it is in shadow.
    pub shadow: Option<Mark>,
}

/// What a guard is about: every given part must fit.
#[derive(Clone, Debug, Default)]
pub struct GuardScope {
    /// Where it stands.
    pub mark: Mark,
    /// Any of these actions.
    pub actions: Vec<Word>,
    /// Any of these resources.
    pub resources: Vec<Word>,
    /// Fields with these labels.
    pub labels: Vec<Word>,
    /// These fields.
    pub fields: Vec<Word>,
}

/// How much, per whom, per how long, and what happens then.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Its name.
    pub name: Word,
    /// Holders of any of these roles; empty: everybody.
    pub roles: Vec<Word>,
    /// These resources; empty: all.
    pub resources: Vec<Word>,
    /// These actions; empty: all.
    pub actions: Vec<Word>,
    /// Whom it counts.
    pub per: Per,
    /// What it counts, and how much of it.
    pub quotas: Vec<Quota>,
    /// How many requests at once.
    pub burst: Option<u64>,
    /// From which share on it warns.
    pub warn_at: Option<f64>,
    /// What happens beyond it.
    pub on_exceed: Exceed,
    /// Where that is written.
    pub on_exceed_mark: Option<Mark>,
    /// Whether requests are refused when the counter does not work.
    pub fail_closed: bool,
}

/// An amount of something.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// What is counted.
    pub unit: LimitUnit,
    /// How much, for how long.
    pub rate: Rate,
}

/// What happens beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceed {
    /// 429.
    Refuse,
    /// It passes with a warning.
    Warn,
    /// An approval is asked for.
    Approve,
    /// The principal is frozen.
    Freeze,
}

/// Which rights can be asked for.
#[derive(Clone, Debug)]
pub struct Approval {
    /// Its name.
    pub name: Word,
    /// What is covered: actions.
    pub actions: Vec<Word>,
    /// What is covered: resources.
    pub resources: Vec<Word>,
    /// Roles that may ask.
    pub requesters: Vec<Word>,
    /// The role that decides.
    pub approver: Option<Word>,
}

/// What is noticed and who is told.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Its name.
    pub name: Word,
}

/// Something that must never be possible.
#[derive(Clone, Debug)]
pub struct Invariant {
    /// Its name.
    pub name: Word,
    /// Fields shown in clear: labels or paths.
    pub show: Vec<Word>,
    /// Fields released at all, masked or in clear: labels or paths.
    pub mask: Vec<Word>,
    /// Fields set: labels or paths.
    pub edit: Vec<Word>,
    /// Values of these masks turned back.
    pub unmask: Vec<Word>,
    /// These actions allowed; beside fields: only on these actions.
    pub actions: Vec<Word>,
    /// Only for these resources; empty: all.
    pub resources: Vec<Word>,
    /// Only for holders of these roles; empty: all.
    pub roles: Vec<Word>,
    /// Not for holders of these roles.
    pub except_roles: Vec<Word>,
}

pub(super) fn guard(documents: &Documents, node: &Node) -> Option<Guard> {
    let fields = Fields::of(documents, node, "a guard")?;
    let name = fields.required("name").and_then(|node| name_of(documents, node));
    let on = fields.required("on").and_then(|node| scope(documents, node));
    let require = condition(&fields, "require");
    if require.is_none() && fields.node("require").is_none() {
        fields.required("require");
    }
    let step_up = fields.text("step_up");
    let shadow = super::shadow(&fields);
    fields.finish();
    Some(Guard { name: name?, on: on?, require: require?, step_up, shadow })
}

fn scope(documents: &Documents, node: &Node) -> Option<GuardScope> {
    let fields = Fields::of(documents, node, "`on`")?;
    let mut resources = fields.texts("resources").unwrap_or_default();
    resources.extend(fields.text("resource"));
    let scope = GuardScope {
        mark: fields.mark(),
        actions: fields.texts("actions").unwrap_or_default(),
        resources,
        labels: fields.texts("labels").unwrap_or_default(),
        fields: fields.texts("fields").unwrap_or_default(),
    };
    fields.finish();
    if scope.actions.is_empty()
        && scope.labels.is_empty()
        && scope.fields.is_empty()
        && scope.resources.is_empty()
    {
        documents.error_with_help(
            "guards-nothing",
            "a guard says what it guards",
            "name `actions`, `resources`, `labels` or `fields`",
            node.mark,
        );
        return None;
    }
    Some(scope)
}

pub(super) fn limit(documents: &Documents, node: &Node) -> Option<Limit> {
    let fields = Fields::of(documents, node, "a limit")?;
    let name = fields.required("name").and_then(|node| name_of(documents, node));
    let mut resources = fields.texts("resources").unwrap_or_default();
    resources.extend(fields.text("resource"));
    let per = fields.choice(
        "per",
        &[
            ("principal", Per::Principal),
            ("role", Per::Role),
            ("key", Per::Key),
            ("ip", Per::Ip),
            ("all", Per::All),
        ],
    );
    if per.is_none() && fields.node("per").is_none() {
        fields.required("per");
    }
    let quotas = quotas(documents, &fields);
    let written = ["requests", "records", "distinct_records", "bytes", "concurrent"];
    if written.iter().all(|key| fields.node(key).is_none()) {
        documents.error_with_help(
            "counts-nothing",
            "a limit says what it counts",
            "give `requests`, `records`, `distinct_records`, `bytes` or `concurrent`",
            name.as_ref().map_or(node.mark, |name| name.mark),
        );
    }
    let exceed = [
        ("refuse", Exceed::Refuse),
        ("warn", Exceed::Warn),
        ("approve", Exceed::Approve),
        ("freeze", Exceed::Freeze),
    ];
    let limit = Limit {
        name: name.clone().unwrap_or_else(|| Word { text: "".into(), mark: node.mark }),
        roles: fields.texts("roles").unwrap_or_default(),
        resources,
        actions: fields.texts("actions").unwrap_or_default(),
        per: per.unwrap_or(Per::Principal),
        quotas,
        burst: fields.number("burst"),
        warn_at: fields
            .text("warn_at")
            .and_then(|text| units::accept(documents, &text, units::share(&text.text))),
        on_exceed: fields.choice("on_exceed", &exceed).unwrap_or(Exceed::Refuse),
        on_exceed_mark: fields.node("on_exceed").map(|node| node.mark),
        fail_closed: fields.choice("on_failure", &[("refuse", true), ("pass", false)]).unwrap_or(true),
    };
    fields.finish();
    name.map(|_| limit)
}

fn quotas(documents: &Documents, fields: &Fields<'_>) -> Vec<Quota> {
    let mut quotas = Vec::new();
    for (key, unit) in [
        ("requests", LimitUnit::Requests),
        ("records", LimitUnit::Records),
        ("distinct_records", LimitUnit::DistinctRecords),
    ] {
        if let Some(text) = fields.text(key) {
            let rate = units::accept(documents, &text, Rate::parse(&text.text));
            quotas.extend(rate.map(|rate| Quota { unit, rate }));
        }
    }
    if let Some(text) = fields.text("bytes") {
        quotas.extend(
            units::accept(documents, &text, bytes(&text.text))
                .map(|rate| Quota { unit: LimitUnit::Bytes, rate }),
        );
    }
    if let Some(amount) = fields.number("concurrent") {
        let rate = Rate { amount, window: std::time::Duration::ZERO };
        quotas.push(Quota { unit: LimitUnit::Concurrent, rate });
    }
    quotas
}

/// `10MiB/day`: a size, then the window of a rate.
fn bytes(text: &str) -> Result<Rate, units::BadUnit> {
    match text.split_once('/') {
        Some((size, window)) => {
            let amount = units::size(size.trim())?;
            Rate::parse(&format!("1/{window}")).map(|rate| Rate { amount, ..rate })
        }
        None => Rate::parse(text),
    }
}

pub(super) fn approval(documents: &Documents, node: &Node) -> Option<Approval> {
    let fields = Fields::of(documents, node, "an approval")?;
    let name = fields.required("name").and_then(|node| name_of(documents, node));
    let (mut actions, mut resources) = (Vec::new(), Vec::new());
    if let Some(covers) = fields.required("covers").and_then(|node| Fields::of(documents, node, "`covers`")) {
        actions = covers.texts("actions").unwrap_or_default();
        resources = covers.texts("resources").unwrap_or_default();
        resources.extend(covers.text("resource"));
        covers.node("fields");
        covers.node("records");
        covers.finish();
    }
    let mut approver = None;
    if let Some(by) = fields.required("approvers").and_then(|node| Fields::of(documents, node, "`approvers`"))
    {
        approver = by.required_text("role");
        by.number("count");
        by.finish();
    }
    let requesters = fields.texts("requesters").unwrap_or_default();
    if let Some(text) = fields.text("max_duration") {
        units::accept(documents, &text, units::duration(&text.text));
    }
    fields.number("max_records");
    fields.choice("reason", &[("required", ()), ("optional", ())]);
    fields.text("ticket");
    fields.finish();
    Some(Approval { name: name?, actions, resources, requesters, approver })
}

/// Only the name is read: the grammar of alerts comes with what sends them, and `check` says that until then an alert
/// has no effect. So keys are not judged here.
pub(super) fn alert(documents: &Documents, node: &Node) -> Option<Alert> {
    let fields = Fields::of(documents, node, "an alert")?;
    let name = fields.required("name").and_then(|node| name_of(documents, node));
    name.map(|name| Alert { name })
}

pub(super) fn invariant(documents: &Documents, node: &Node) -> Option<Invariant> {
    let fields = Fields::of(documents, node, "an invariant")?;
    let name = fields.required("name").and_then(|node| name_of(documents, node));
    let never = fields.required("never").and_then(|node| Fields::of(documents, node, "`never`"));
    fields.finish();
    let never = never?;
    let mut resources = never.texts("resources").unwrap_or_default();
    resources.extend(never.text("resource"));
    let invariant = Invariant {
        name: name.clone().unwrap_or_else(|| Word { text: "".into(), mark: node.mark }),
        show: never.texts("show").unwrap_or_default(),
        mask: never.texts("mask").unwrap_or_default(),
        edit: never.texts("edit").unwrap_or_default(),
        unmask: never.texts("unmask").unwrap_or_default(),
        actions: never.texts("actions").unwrap_or_default(),
        resources,
        roles: never.texts("roles").unwrap_or_default(),
        except_roles: never.texts("except_roles").unwrap_or_default(),
    };
    never.finish();
    let fields = [&invariant.show, &invariant.mask, &invariant.edit, &invariant.unmask];
    if fields.iter().all(|words| words.is_empty()) && invariant.actions.is_empty() {
        documents.error_with_help(
            "forbids-nothing",
            "an invariant says what must never be possible",
            "name `show`, `mask`, `edit`, `unmask` or `actions`",
            node.mark,
        );
    }
    name.map(|_| invariant)
}
