//! Random plans over a few names, so that selectors, conditions and documents meet.

use std::sync::Arc;

use super::super::condition::{ParamTable, Params, Predicate, Value};
use super::super::mask::{Keys, Mask, MaskSpec, Masks};
use super::super::{
    Access, Bounds, Csv, Format, Grant, Layout, Pairs, RecordRule, Records, RewritePlan, RuleId, RuleRef,
    Selector, Total, TotalOnHold,
};
use super::{Dice, path};

const PATHS: &[&str] = &[
    "a",
    "b",
    "c",
    "d",
    "a.b",
    "b.c",
    "b.a.c",
    "list",
    "list[*]",
    "list[*].a",
    "list[*].b.c",
    "list[0]",
    "list[1:3].b",
    "list[-1]",
    "list[?@.k == 1].a",
    "list[?@.a].b",
    "list[?@ > \"v5\"]",
    "list[-2:].a",
    "kids[?@.a == @.b || !@.k].a",
    "e.list[-1]",
    "$..d[-1]",
    "a.*",
    "*",
    "$..c",
    "$..b.c",
    "owner",
    "kids",
    "kids[*].a",
    "e",
    "e.a",
    "e.b.c",
    "attrs",
    "id",
    "k",
];
const PLAIN_PATHS: &[&str] =
    &["a", "b", "c", "a.b", "b.c", "list", "list[*].a", "list[0]", "e.a", "id", "b.a", "k"];
const CONDITIONS: &[&str] = &[
    "record.k == 1",
    "record.k > 1",
    "record.b.c == \"x\"",
    "has(record.c)",
    "record.id == principal.id",
    "record.a == null",
    "record.k == 2 || record.d == true",
    "\"t\" in record.list",
    "record.k == \"1\"",
    "record.a == \"x\" || record.id != \"u1\"",
];

fn masks(dice: &mut Dice<'_>, params: &mut ParamTable) -> Vec<Arc<Mask>> {
    let keep = |first, last| MaskSpec::Keep { first, last, fill: '*' };
    let specs = [("keep", keep(1, 1)), ("keep2", keep(2, 1)), ("round", MaskSpec::Round(10))];
    let masks =
        Masks::build(specs.iter().map(|(name, spec)| (*name, spec)), &Keys::default()).expect("masks");
    let named = |name: &str| Arc::clone(masks.get(name).expect("mask"));
    let mut all: Vec<Arc<Mask>> = ["keep", "keep2", "round", "stars", "blank"].map(named).into();
    if dice.one_in(3) {
        let when = Arc::new(Predicate::compile(dice.pick(CONDITIONS), params).expect("condition"));
        let (then, otherwise) = (named(dice.pick(&["keep", "stars"])), named(dice.pick(&["keep2", "blank"])));
        let mask = Mask::by_record("by_record", when, then, otherwise).expect("of two plain ones");
        all.push(Arc::new(mask));
    }
    all
}

fn access(dice: &mut Dice<'_>, masks: &[Arc<Mask>]) -> Access {
    match dice.below(10) {
        0..6 => Access::Show,
        6..8 => Access::Hide,
        _ => Access::Mask(Arc::clone(&masks[dice.below(masks.len())])),
    }
}

fn selectors(dice: &mut Dice<'_>, masks: &[Arc<Mask>], most: usize) -> Vec<Selector> {
    (0..dice.below(most + 1))
        .map(|_| {
            let paths = if dice.one_in(3) { PATHS } else { PLAIN_PATHS };
            let path = path(dice.pick(paths));
            let rank =
                u32::try_from(if dice.one_in(4) { dice.below(4) } else { path.steps().len() }).expect("rank");
            Selector { rank, path, access: access(dice, masks) }
        })
        .collect()
}

fn record_rule(dice: &mut Dice<'_>, number: usize, params: &mut ParamTable) -> RecordRule {
    let masks = masks(dice, params);
    let grants = (0..dice.below(4))
        .map(|n| Grant {
            when: dice
                .one_in(2)
                .then(|| Arc::new(Predicate::compile(dice.pick(CONDITIONS), params).expect("condition"))),
            fields: selectors(dice, &masks, 6),
            otherwise: if dice.one_in(4) { Access::Show } else { Access::Hide },
            name: format!("g{n}").into(),
        })
        .collect();
    let guards = (0..dice.below(2))
        .map(|_| {
            let mut guard = selectors(dice, &masks, 2);
            for selector in &mut guard {
                selector.access = if dice.one_in(3) { Access::Show } else { Access::Hide };
            }
            guard
        })
        .collect();
    let mut relations = Vec::new();
    for (place, other) in [("owner", 1), ("kids[*]", 2), ("b.owner", 2)] {
        if dice.one_in(3) {
            let cases = [("u".into(), RuleId(1)), ("v".into(), RuleId(2))].into();
            let by_type = RuleRef::ByType { at: path("meta.type"), cases };
            relations
                .push((path(place), if dice.one_in(3) { by_type } else { RuleRef::Fixed(RuleId(other)) }));
        }
    }
    RecordRule {
        name: format!("r{number}").into(),
        key: dice.one_in(2).then(|| path("id")),
        grants,
        guards,
        relations,
        embedded: if dice.one_in(4) { vec![path("e")] } else { Vec::new() },
        pairs: if dice.one_in(4) {
            vec![Pairs { at: path("attrs[*]"), name: "name".into(), value: "value".into() }]
        } else {
            Vec::new()
        },
    }
}

/// Which formats a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// JSON, lines of it, sequences.
    Json,
    Events,
    Table,
}

pub(crate) fn random_plan(dice: &mut Dice<'_>, form: Form, params: &mut ParamTable) -> RewritePlan {
    let rules: Vec<RecordRule> = (0..3).map(|number| record_rule(dice, number, params)).collect();
    let cases = [("u".into(), RuleId(0)), ("v".into(), RuleId(1))].into();
    let rule = if dice.one_in(5) {
        RuleRef::ByType { at: path("meta.type"), cases }
    } else {
        RuleRef::Fixed(RuleId(0))
    };
    let records = match dice.below(9) {
        0..8 if form != Form::Json => Records::Many { at: path("$[*]"), rule },
        0 => Records::None,
        1 => Records::One { at: path("$"), rule },
        2 => Records::One { at: path("$.data"), rule },
        3 => Records::Many { at: path("$[*]"), rule },
        4 => Records::Many { at: path("$.x[*].data[*]"), rule },
        5 => {
            let columns = ["id", "a", "b.c", "k", "list", "zz"].iter().map(|column| path(column)).collect();
            Records::Rows { at: path("$.data[*]"), rule: RuleId(0), columns }
        }
        _ => Records::Many { at: path("$.data[*]"), rule },
    };
    let keep = ["$.page", "$.next.url", "$.x", "$..y", "$.next", "$.id", "$.event"];
    let total = dice.one_in(3).then(|| Total {
        at: path("$.total"),
        recount: !dice.one_in(4),
        otherwise: TotalOnHold::Null,
    });
    let layout =
        Layout { records, keep: (0..dice.below(3)).map(|_| path(dice.pick(&keep))).collect(), total };
    let rows = matches!(layout.records, Records::Rows { .. });
    let format = match form {
        Form::Json if rows => Format::Json,
        Form::Json => [Format::Ndjson, Format::JsonSeq].get(dice.below(10)).cloned().unwrap_or(Format::Json),
        Form::Events => Format::Sse,
        Form::Table => Format::Csv(Csv {
            delimiter: dice.pick(b",,;\t"),
            neutralise_formulas: dice.one_in(2),
            headers: [("Phone, Nr".into(), path("a")), ("B".into(), path("b.c"))].into(),
        }),
    };
    let bounds = Bounds {
        depth: if dice.one_in(10) { 6 } else { 128 },
        value_bytes: if dice.one_in(5) { 12 } else { 64 << 10 },
        record_bytes: if dice.one_in(10) { 200 } else { 1 << 20 },
        ..Bounds::default()
    };
    RewritePlan::new(format, layout, rules, bounds)
}
/// Every parameter is the text `u1`.
pub(crate) fn params(table: &ParamTable) -> Params {
    table.names().iter().map(|_| Some(Value::Text("u1".into()))).collect()
}
/// A plan in few lines.
pub(crate) fn describe(plan: &RewritePlan) -> String {
    let selectors = |list: &[Selector]| -> String {
        let one = |s: &Selector| {
            let access = match &s.access {
                Access::Show => "show".into(),
                Access::Hide => "hide".into(),
                Access::Mask(mask) => format!("mask {}", mask.name()),
            };
            format!("{}@{} {access}; ", s.path.to_jsonpath(), s.rank)
        };
        list.iter().map(one).collect()
    };
    let mut text = format!(
        "{:?}\n{:?} {:?} total {:?} {:?}\n",
        plan.bounds, plan.format, plan.layout.records, plan.layout.total, plan.layout.keep
    );
    for rule in &plan.rules {
        text += &format!(
            "rule {} embedded {} pairs {} relations {:?}\n",
            rule.name,
            rule.embedded.len(),
            rule.pairs.len(),
            rule.relations.iter().map(|(p, r)| format!("{p} {r:?}")).collect::<Vec<_>>()
        );
        for grant in &rule.grants {
            let when =
                grant.when.as_ref().map(|w| w.slots().iter().map(ToString::to_string).collect::<Vec<_>>());
            text += &format!(
                "  grant when {when:?} otherwise {} : {}\n",
                matches!(grant.otherwise, Access::Show),
                selectors(&grant.fields)
            );
        }
        for guard in &rule.guards {
            text += &format!("  guard {}\n", selectors(guard));
        }
    }
    text
}
