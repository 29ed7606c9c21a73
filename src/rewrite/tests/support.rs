//! Plans in few words, and a rewriter fed in pieces.

use std::sync::Arc;

use super::super::condition::{ParamTable, Params, Predicate, Value};
use super::super::{
    Access, Bounds, Counts, Cut, Format, Grant, Layout, Path, RecordRule, Records, RewritePlan, Rewriter,
    RuleId, RuleRef, Selector,
};

pub(super) fn path(text: &str) -> Path {
    if text.starts_with('$') {
        Path::parse_jsonpath(text).expect(text)
    } else if text.is_empty() {
        Path::default()
    } else {
        Path::parse_field(text).expect(text)
    }
}

/// A selector whose rank is the length of its path.
pub(super) fn select(place: &str, access: Access) -> Selector {
    let path = path(place);
    Selector { rank: u32::try_from(path.steps().len()).expect("rank"), path, access }
}

pub(super) fn show(places: &[&str]) -> Vec<Selector> {
    places.iter().map(|place| select(place, Access::Show)).collect()
}

pub(super) fn hide(places: &[&str]) -> Vec<Selector> {
    places.iter().map(|place| select(place, Access::Hide)).collect()
}

pub(super) fn grant(fields: Vec<Selector>) -> Grant {
    Grant { when: None, fields, otherwise: Access::Hide, name: "g".into() }
}

/// A grant under which unknown members are shown.
pub(super) fn open_grant(fields: Vec<Selector>) -> Grant {
    Grant { otherwise: Access::Show, ..grant(fields) }
}

pub(super) fn grant_if(condition: &str, params: &mut ParamTable, fields: Vec<Selector>) -> Grant {
    let when = Predicate::compile(condition, params).expect(condition);
    Grant { when: Some(Arc::new(when)), ..grant(fields) }
}

pub(super) fn rule(name: &str, grants: Vec<Grant>) -> RecordRule {
    RecordRule {
        name: name.into(),
        key: None,
        grants,
        guards: Vec::new(),
        relations: Vec::new(),
        embedded: Vec::new(),
        pairs: Vec::new(),
    }
}

pub(super) fn fixed(rule: usize) -> RuleRef {
    RuleRef::Fixed(RuleId(rule))
}

pub(super) fn many(at: &str) -> Layout {
    let records = Records::Many { at: path(at), rule: fixed(0) };
    Layout { records, keep: Vec::new(), total: None }
}

pub(super) fn one(at: &str) -> Layout {
    let records = Records::One { at: path(at), rule: fixed(0) };
    Layout { records, keep: Vec::new(), total: None }
}

pub(super) fn plan(format: Format, layout: Layout, rules: Vec<RecordRule>) -> Arc<RewritePlan> {
    bounded(format, layout, rules, Bounds::default())
}

pub(super) fn bounded(
    format: Format,
    layout: Layout,
    rules: Vec<RecordRule>,
    bounds: Bounds,
) -> Arc<RewritePlan> {
    Arc::new(RewritePlan::new(format, layout, rules, bounds))
}

pub(super) fn no_params() -> Params {
    Vec::<Option<Value>>::new().into()
}

/// What a rewriter gave.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Given {
    pub(super) out: String,
    pub(super) result: Result<(), Cut>,
    pub(super) counts: Counts,
}

/// Feeds `input` cut at `cuts`.
pub(super) fn feed(plan: &Arc<RewritePlan>, params: &Params, input: &[u8], cuts: &[usize]) -> Given {
    let mut rewriter = Rewriter::new(Arc::clone(plan), Arc::clone(params));
    let mut out = Vec::new();
    let mut run = || {
        let mut from = 0;
        for to in cuts.iter().copied().chain([input.len()]) {
            rewriter.push(&input[from..to], &mut out)?;
            from = to;
        }
        rewriter.finish(&mut out)
    };
    let result = run();
    let counts = rewriter.settle().clone();
    Given { out: String::from_utf8_lossy(&out).into_owned(), result, counts }
}

/// Feeds `input` whole, byte by byte and in two pieces at every place; the output must be the same.
pub(super) fn rewrite(plan: &Arc<RewritePlan>, params: &Params, input: &str) -> Given {
    let whole = feed(plan, params, input.as_bytes(), &[]);
    let all: Vec<usize> = (1..input.len()).collect();
    same(&whole, &feed(plan, params, input.as_bytes(), &all), input, &all);
    if input.len() < 2000 {
        for cut in 1..input.len() {
            same(&whole, &feed(plan, params, input.as_bytes(), &[cut]), input, &[cut]);
        }
    }
    whole
}

/// Cuts give the same output; where the answer is cut, what came before may differ in length only.
pub(super) fn same(whole: &Given, pieces: &Given, input: &str, cuts: &[usize]) {
    if whole.result.is_ok() {
        let shown: String = input.chars().take(400).collect();
        let few = cuts.get(..cuts.len().min(40));
        let first = whole.out.bytes().zip(pieces.out.bytes()).position(|(a, b)| a != b);
        let around = |text: &str| -> String {
            text.chars().take(first.unwrap_or(0) + 40).skip(first.unwrap_or(0).saturating_sub(40)).collect()
        };
        assert!(
            whole.out == pieces.out,
            "{shown} cut at {few:?}: at {first:?} {} or {}",
            around(&whole.out),
            around(&pieces.out)
        );
        assert_eq!(whole.result, pieces.result, "{shown} cut at {few:?}");
        assert_eq!(whole.counts, pieces.counts, "{shown} cut at {few:?}");
    } else {
        assert_eq!(whole.result, pieces.result, "{input} cut at {cuts:?}");
        let prefix = whole.out.starts_with(&pieces.out) || pieces.out.starts_with(&whole.out);
        assert!(prefix, "{input} cut at {cuts:?}: {} and {}", whole.out, pieces.out);
    }
}

pub(super) fn out(plan: &Arc<RewritePlan>, input: &str) -> String {
    let given = rewrite(plan, &no_params(), input);
    given.result.unwrap_or_else(|cut| panic!("{input}: {cut}"));
    given.out
}

pub(super) fn cut(plan: &Arc<RewritePlan>, input: &str) -> super::super::CutReason {
    let given = rewrite(plan, &no_params(), input);
    given.result.expect_err(input).reason
}
