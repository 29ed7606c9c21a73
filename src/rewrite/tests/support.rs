//! Plans in few words.

use std::sync::Arc;

use super::super::condition::{ParamTable, Params, Predicate};
pub(super) use super::super::trial::{Given, feed, path, same};
use super::super::{
    Access, Bounds, Format, Grant, Layout, RecordRule, Records, RewritePlan, RuleId, RuleRef, Selector,
};

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
    Params::default()
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

pub(super) fn out(plan: &Arc<RewritePlan>, input: &str) -> String {
    let given = rewrite(plan, &no_params(), input);
    given.result.unwrap_or_else(|cut| panic!("{input}: {cut}"));
    given.out
}

pub(super) fn cut(plan: &Arc<RewritePlan>, input: &str) -> super::super::CutReason {
    let given = rewrite(plan, &no_params(), input);
    given.result.expect_err(input).reason
}
