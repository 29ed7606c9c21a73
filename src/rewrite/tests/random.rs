//! Random plans, documents and cuts: the engine against the reference, and against itself.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::condition::{ParamTable, Predicate, Value};
use super::super::mask::{Keys, MaskSpec, Masks};
use super::super::{
    Access, Bounds, Format, Grant, Layout, Pairs, RecordRule, Records, RewritePlan, RuleId, RuleRef,
    Selector, Total, TotalOnHold, reference,
};
use super::support::{feed, path, same};

/// A small generator of choices, so that one number reproduces a case.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % n as u64).expect("small")
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

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
];

fn masks() -> Vec<Arc<super::super::mask::Mask>> {
    let keep = |first, last| MaskSpec::Keep { first, last, fill: '*' };
    let specs = [("keep", keep(1, 1)), ("keep2", keep(2, 1)), ("round", MaskSpec::Round(10))];
    let masks =
        Masks::build(specs.iter().map(|(name, spec)| (*name, spec)), &Keys::default()).expect("masks");
    ["keep", "keep2", "round", "stars", "blank"]
        .iter()
        .map(|name| Arc::clone(masks.get(name).expect("mask")))
        .collect()
}

fn access(dice: &mut Dice, masks: &[Arc<super::super::mask::Mask>]) -> Access {
    match dice.below(10) {
        0..6 => Access::Show,
        6..8 => Access::Hide,
        _ => Access::Mask(Arc::clone(&masks[dice.below(masks.len())])),
    }
}

fn selectors(dice: &mut Dice, masks: &[Arc<super::super::mask::Mask>], most: usize) -> Vec<Selector> {
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

fn record_rule(dice: &mut Dice, number: usize, params: &mut ParamTable) -> RecordRule {
    let masks = masks();
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

pub(super) fn random_plan(dice: &mut Dice, params: &mut ParamTable) -> RewritePlan {
    let rules: Vec<RecordRule> = (0..3).map(|number| record_rule(dice, number, params)).collect();
    let cases = [("u".into(), RuleId(0)), ("v".into(), RuleId(1))].into();
    let rule = if dice.one_in(5) {
        RuleRef::ByType { at: path("meta.type"), cases }
    } else {
        RuleRef::Fixed(RuleId(0))
    };
    let records = match dice.below(9) {
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
    let keep = ["$.page", "$.next.url", "$.x", "$..y", "$.next"];
    let total = dice.one_in(3).then(|| Total {
        at: path("$.total"),
        recount: !dice.one_in(4),
        otherwise: TotalOnHold::Null,
    });
    let layout =
        Layout { records, keep: (0..dice.below(3)).map(|_| path(dice.pick(&keep))).collect(), total };
    let rows = matches!(layout.records, Records::Rows { .. });
    let format = if dice.one_in(8) && !rows { Format::Ndjson } else { Format::Json };
    let bounds = Bounds {
        depth: if dice.one_in(10) { 6 } else { 128 },
        value_bytes: if dice.one_in(5) { 12 } else { 64 << 10 },
        record_bytes: if dice.one_in(10) { 200 } else { 1 << 20 },
        ..Bounds::default()
    };
    RewritePlan::new(format, layout, rules, bounds)
}

pub(super) struct Document {
    dice: Dice,
    pub(super) text: String,
    line: bool,
    /// Fields that are shown hold scalars.
    flat: bool,
}

impl Document {
    pub(super) fn random(seed: u64, plan: &RewritePlan, flat: bool) -> String {
        let mut document =
            Self { dice: Dice::new(seed), text: String::new(), line: plan.format == Format::Ndjson, flat };
        if document.line {
            for _ in 0..document.dice.below(5) {
                document.record(3);
                document.text.push('\n');
            }
        } else {
            document.envelope(plan);
        }
        document.text
    }

    fn blank(&mut self) {
        let blanks: &[&str] = if self.line { &["", "", " "] } else { &["", "", "", " ", "\n  ", "\t"] };
        let blank = self.dice.pick(blanks);
        self.text.push_str(blank);
    }

    fn envelope(&mut self, plan: &RewritePlan) {
        match &plan.layout.records {
            Records::One { at, .. } if at.is_root() => self.record(4),
            Records::Many { at, .. } if at.steps().len() == 1 => self.list(|d| d.maybe_record(), 4),
            Records::Many { at, .. } if at.steps().len() > 2 => self.object(|d| {
                d.member("x", |d| d.list(|d| d.object(|d| d.data(false)), 3));
            }),
            Records::One { .. } => self.object(|d| d.data(true)),
            Records::Rows { .. } => self.object(|d| d.member("data", |d| d.list(Self::row, 4))),
            _ => self.object(|d| d.data(false)),
        }
    }

    fn data(&mut self, single: bool) {
        let names = ["page", "total", "next", "x", "zz", "y"];
        for _ in 0..self.dice.below(3) {
            let name = self.dice.pick(&names);
            self.member(name, |d| d.value(2));
        }
        if !self.dice.one_in(12) {
            self.member("data", |d| if single { d.maybe_record() } else { d.list(Self::maybe_record, 4) });
        }
        for _ in 0..self.dice.below(3) {
            let name = self.dice.pick(&names);
            self.member(name, |d| d.value(2));
        }
    }

    fn row(&mut self) {
        let count = if self.dice.one_in(40) { 5 } else { 6 };
        self.text.push('[');
        for number in 0..count {
            if number > 0 {
                self.text.push(',');
            }
            self.blank();
            self.value(2);
        }
        self.text.push(']');
    }

    fn list(&mut self, item: impl Fn(&mut Self), most: usize) {
        self.text.push('[');
        for number in 0..self.dice.below(most + 1) {
            if number > 0 {
                self.blank();
                self.text.push(',');
            }
            self.blank();
            item(self);
        }
        self.blank();
        self.text.push(']');
    }

    fn object(&mut self, members: impl Fn(&mut Self)) {
        self.text.push('{');
        let start = self.text.len();
        members(self);
        if self.text.get(start..).is_some_and(|members| members.starts_with(',')) {
            self.text.remove(start);
        }
        self.blank();
        self.text.push('}');
    }

    fn member(&mut self, name: &str, value: impl Fn(&mut Self)) {
        self.text.push(',');
        self.blank();
        self.text.push('"');
        for c in name.chars() {
            if self.dice.one_in(25) {
                self.text.push_str(&format!("\\u{:04x}", u32::from(c)));
            } else {
                self.text.push(c);
            }
        }
        self.text.push('"');
        self.blank();
        self.text.push(':');
        self.blank();
        value(self);
        self.blank();
    }

    fn maybe_record(&mut self) {
        if self.dice.one_in(12) { self.value(2) } else { self.record(3) }
    }

    fn record(&mut self, depth: usize) {
        self.object(|d| {
            let names = [
                "id", "a", "b", "c", "d", "k", "list", "e", "owner", "kids", "attrs", "meta", "zz", "A",
                "ｂ", "C", "x\\n", "k", "meta",
            ];
            for _ in 0..d.dice.below(9) {
                let name = d.dice.pick(&names);
                d.member(name, |d| d.field(name, depth));
            }
        });
    }

    fn field(&mut self, name: &str, depth: usize) {
        if matches!(name, "id" | "k") && self.flat {
            return self.value(0);
        }
        if depth == 0 || self.dice.one_in(8) {
            return self.value(depth);
        }
        match name {
            "owner" => self.record(depth - 1),
            "kids" => self.list(|d| if d.dice.one_in(8) { d.value(1) } else { d.record(depth - 1) }, 3),
            "meta" => self.object(|d| {
                d.member("type", |d| {
                    d.text.push_str(d.dice.pick(&["\"u\"", "\"v\"", "\"\\u0075\"", "\"w\"", "1"]))
                });
            }),
            "attrs" => self.list(Self::pair, 3),
            "e" => self.embedded(),
            "k" => self.text.push_str(self.dice.pick(&["1", "2", "3", "1.0", "0.5e1"])),
            "list" => self.list(|d| d.value(depth - 1), 4),
            "a" | "b" if self.dice.one_in(2) => self.record(depth - 1),
            _ => self.value(depth - 1),
        }
    }

    fn pair(&mut self) {
        let name = self
            .dice
            .pick(&["\"a\"", "\"b\"", "\"b.c\"", "\"zz\"", "\"A\"", "5", "\"id\"", "\"list\"", "\"c\""]);
        self.object(|d| {
            if d.dice.one_in(2) {
                d.member("value", |d| d.value(2));
            }
            d.member("name", |d| d.text.push_str(name));
            for _ in 0..d.dice.below(2) {
                let extra = d.dice.pick(&["value", "old", "name", "value"]);
                d.member(extra, |d| d.value(1));
            }
        });
    }

    fn embedded(&mut self) {
        let mut inner = Self {
            dice: Dice::new(self.dice.below(1 << 30) as u64),
            text: String::new(),
            line: false,
            flat: self.flat,
        };
        if inner.dice.one_in(8) {
            inner.text.push_str("not json")
        } else {
            inner.record(2)
        }
        let text = reference::compact(&inner.text).unwrap_or(inner.text);
        super::super::json::encode(&text, &mut self.text);
    }

    fn value(&mut self, depth: usize) {
        match self.dice.below(if depth == 0 { 12 } else { 16 }) {
            0 => self.text.push_str("null"),
            1 => self.text.push_str("true"),
            2 => self.text.push_str("false"),
            3 => self.text.push_str(self.dice.pick(&[
                "0",
                "-1.50",
                "12345678901234567890123",
                "1E+2",
                "2",
                "1",
            ])),
            4 => self.text.push_str("\"x\""),
            5 => self.text.push_str(self.dice.pick(&[
                "\"\"",
                "\"t\"",
                "\"\\ud83d\\ude00\"",
                "\"\\ud800\"",
                "\"a\\\"b\\\\\"",
                "\"u1\"",
            ])),
            6 => self.text.push_str("\"王小明13800138000\""),
            7 => self.text.push_str(self.dice.pick(&["{}", "[]", "{ }", "[ ]"])),
            8..12 => {
                let number = self.dice.below(1000);
                self.text.push_str(&format!("\"v{number}x\""));
            }
            12 | 13 => self.list(|d| d.value(depth - 1), 3),
            _ => self.record(depth - 1),
        }
    }
}

fn params(table: &ParamTable) -> super::super::condition::Params {
    table.names().iter().map(|_| Some(Value::Text("u1".into()))).collect::<Vec<_>>().into()
}

/// A plan in few lines.
fn describe(plan: &RewritePlan) -> String {
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

fn compacted(text: &str) -> Option<String> {
    reference::compact(text)
}

fn check(seed: u64) {
    let mut dice = Dice::new(seed);
    let mut table = ParamTable::default();
    let plan = Arc::new(random_plan(&mut dice, &mut table));
    let params = params(&table);
    for number in 0..6 {
        let input = Document::random(seed.wrapping_add(number * 7919), &plan, false);
        let whole = feed(&plan, &params, input.as_bytes(), &[]);
        let expected = reference::rewrite(&plan, &params, input.as_bytes());
        let context = || {
            format!(
                "seed {seed} document {number}\n{}\ninput: {input}\noutput: {}",
                describe(&plan),
                whole.out
            )
        };
        match (&expected, &whole.result) {
            (None, Err(_)) => {}
            (Some(answer), Ok(())) => {
                let given: Option<String> = if plan.format == Format::Ndjson {
                    whole.out.lines().map(|line| compacted(line).map(|line| line + "\n")).collect()
                } else {
                    compacted(&whole.out)
                };
                assert_eq!(given.as_deref(), Some(answer.text.as_str()), "{}", context());
                assert_eq!(
                    (whole.counts.released, whole.counts.withheld),
                    (answer.released, answer.withheld),
                    "{}",
                    context()
                );
            }
            _ => panic!("reference {expected:?}, engine {:?}: {}", whole.result, context()),
        }
        let all: Vec<usize> = (1..input.len()).collect();
        same(&whole, &feed(&plan, &params, input.as_bytes(), &all), &input, &all);
        let mut cuts: Vec<usize> = (0..dice.below(6)).map(|_| dice.below(input.len() + 1)).collect();
        cuts.sort_unstable();
        same(&whole, &feed(&plan, &params, input.as_bytes(), &cuts), &input, &cuts);
        broken(&mut dice, &plan, &params, &input);
    }
}

/// A damaged document is cut by both, or passes both, and the same for every cut.
fn broken(dice: &mut Dice, plan: &Arc<RewritePlan>, params: &super::super::condition::Params, input: &str) {
    let mut bytes = input.as_bytes().to_vec();
    if bytes.is_empty() {
        return;
    }
    let at = dice.below(bytes.len());
    match dice.below(4) {
        0 => bytes.truncate(at),
        1 => bytes[at] = dice.pick(b"{}[]:,\"\\0-e \n\x80\xe7\x01tu"),
        2 => bytes.insert(at, dice.pick(b"{}[]:,\"\\0-e \n\xff\x00")),
        _ => drop(bytes.remove(at)),
    }
    let whole = feed(plan, params, &bytes, &[]);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let all: Vec<usize> = (1..bytes.len()).collect();
    same(&whole, &feed(plan, params, &bytes, &all), &text, &all);
    let cut = [dice.below(bytes.len() + 1)];
    same(&whole, &feed(plan, params, &bytes, &cut), &text, &cut);
    if plan.format == Format::Json {
        let expected = reference::rewrite(plan, params, &bytes);
        assert_eq!(
            expected.is_some(),
            whole.result.is_ok(),
            "{text}\n{}\n{:?}",
            describe(plan),
            whole.result
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_agrees_with_the_reference_for_every_cut(seed in any::<u64>()) {
        check(seed);
    }
}

/// A field nobody names, under plans that hide what nobody names: not one of its bytes comes out, whatever else is
/// broken.
fn canary(seed: u64) {
    let mut dice = Dice::new(seed);
    let mut table = ParamTable::default();
    let mut plan = random_plan(&mut dice, &mut table);
    plan.layout.keep.clear();
    if matches!(plan.layout.records, Records::Rows { .. }) {
        return;
    }
    for rule in &mut plan.rules {
        for grant in &mut rule.grants {
            grant.otherwise = Access::Hide;
            grant.fields.retain(|s| s.path.is_singular() && !s.path.to_string().contains("secret"));
            grant.fields.retain(|s| matches!(s.path.to_string().as_str(), "id" | "k"));
        }
        rule.pairs.clear();
    }
    let plan = Arc::new(RewritePlan::new(
        plan.format.clone(),
        plan.layout.clone(),
        plan.rules.clone(),
        plan.bounds.clone(),
    ));
    let input = Document::random(seed, &plan, true);
    let mut bytes: Vec<u8> = Vec::new();
    for (at, byte) in input.bytes().enumerate() {
        bytes.push(byte);
        if byte == b'{' && !input.get(at + 1..).is_some_and(|rest| rest.trim_start().starts_with('}')) {
            bytes.extend_from_slice(
                b"\"secret\":\"CANARY\",\"s\\u0065cret\":[\"CANARY\",{\"id\":\"CANARY\"}],",
            );
        }
    }
    let cuts: Vec<usize> = (1..bytes.len()).filter(|_| dice.one_in(3)).collect();
    for bytes in [bytes.clone(), bytes[..dice.below(bytes.len() + 1)].to_vec()] {
        let cuts: Vec<usize> = cuts.iter().copied().filter(|cut| *cut < bytes.len()).collect();
        for cuts in [&[][..], &cuts] {
            let given = feed(&plan, &params(&table), &bytes, cuts);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(
                !given.out.contains("CAN") && !given.out.contains("secret"),
                "{}\n{text}\n{}",
                describe(&plan),
                given.out
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn no_byte_of_a_hidden_value_comes_out(seed in any::<u64>()) {
        canary(seed);
    }
}
