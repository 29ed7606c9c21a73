//! Whole answers: the engine against the oracle, and against itself.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::super::condition::{ParamTable, Params};
use super::super::{Access, Records, RewritePlan, reference};
use super::plans::{Form, describe, params, random_plan};
use super::{Dice, Document, feed, same};

/// A random plan, and documents for it, sound and damaged.
pub(crate) fn agrees(form: Form, seed: u64) {
    let mut dice = Dice::new(seed);
    let (plan, params) = planned(form, &mut dice);
    for number in 0..6 {
        let of = Dice::new(seed.wrapping_add(number * 7919));
        let input = Document::random(of, &plan, false).into_bytes();
        check(&mut dice, &plan, &params, &input);
        let broken = broken(&mut dice, input);
        check(&mut dice, &plan, &params, &broken);
    }
}

/// What a fuzzer says: the plan's number, then a document as it stands, or the choices that make one.
pub(crate) fn fuzz(form: Form, data: &[u8]) {
    let Some(([mode, seed @ ..], rest)) = data.split_first_chunk::<5>() else { return };
    let seed = u64::from(u32::from_le_bytes(*seed));
    let (plan, params) = kept(form, seed);
    let mut dice = Dice::new(seed);
    let mut of = Dice::from_bytes(rest);
    match mode % 4 {
        0 => check(&mut dice, &plan, &params, rest),
        1 => check(&mut dice, &plan, &params, Document::random(of, &plan, false).as_bytes()),
        2 => {
            let document = Dice::new(of.below(1 << 32) as u64);
            let mut input = Document::random(document, &plan, false).into_bytes();
            for _ in 0..of.below(4) {
                input = broken(&mut of, input);
            }
            check(&mut dice, &plan, &params, &input);
        }
        _ => canary(form, seed << 32 | of.below(1 << 32) as u64),
    }
}

/// The plan of a number. Many cases in a row have the same one, and to compile its conditions takes longer than a case.
fn kept(form: Form, seed: u64) -> (Arc<RewritePlan>, Params) {
    type Plans = HashMap<(Form, u64), (Arc<RewritePlan>, Params)>;
    thread_local! { static PLANS: RefCell<Plans> = RefCell::default(); }
    PLANS.with_borrow_mut(|plans| {
        if plans.len() > 1000 {
            plans.clear();
        }
        plans.entry((form, seed)).or_insert_with(|| planned(form, &mut Dice::new(seed))).clone()
    })
}

fn planned(form: Form, dice: &mut Dice<'_>) -> (Arc<RewritePlan>, Params) {
    let mut table = ParamTable::default();
    let plan = Arc::new(random_plan(dice, form, &mut table));
    (plan, params(&table))
}

/// The engine gives what the oracle gives, for every cut of the input.
pub(super) fn check(dice: &mut Dice<'_>, plan: &Arc<RewritePlan>, params: &Params, input: &[u8]) {
    let whole = feed(plan, params, input, &[]);
    let expected = reference::rewrite(plan, params, input);
    let text = String::from_utf8_lossy(input);
    let context = || format!("{}\ninput: {text}\noutput: {}", describe(plan), whole.out);
    match (&expected, &whole.result) {
        (None, Err(_)) => {}
        (Some(answer), Ok(())) => {
            assert_eq!(
                reference::canonical(&plan.format, &whole.out).as_ref(),
                Some(&answer.text),
                "{}",
                context()
            );
            let counted = (whole.counts.released, whole.counts.withheld);
            assert_eq!(counted, (answer.released, answer.withheld), "{}", context());
        }
        _ => panic!("reference {expected:?}, engine {:?}: {}", whole.result, context()),
    }
    let all: Vec<usize> = (1..input.len()).collect();
    same(&whole, &feed(plan, params, input, &all), &text, &all);
    let mut cuts: Vec<usize> = (0..dice.below(6)).map(|_| dice.below(input.len() + 1)).collect();
    cuts.sort_unstable();
    same(&whole, &feed(plan, params, input, &cuts), &text, &cuts);
}

/// A document with one byte changed, added or gone, or its end gone.
fn broken(dice: &mut Dice<'_>, mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.is_empty() {
        return bytes;
    }
    let at = dice.below(bytes.len());
    match dice.below(4) {
        0 => bytes.truncate(at),
        1 => bytes[at] = dice.pick(b"{}[]:,\"\\0-e \n\r\x80\xe7\x01\x1etu"),
        2 => bytes.insert(at, dice.pick(b"{}[]:,\"\\0-e \n\r\x1e\xff\x00")),
        _ => drop(bytes.remove(at)),
    }
    bytes
}

/// A field nobody names, under plans that hide what nobody names: not one of its bytes comes out, whatever else is
/// broken.
pub(crate) fn canary(form: Form, seed: u64) {
    let mut dice = Dice::new(seed);
    let mut table = ParamTable::default();
    let mut plan = random_plan(&mut dice, form, &mut table);
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
    let input = Document::random(Dice::new(seed), &plan, true);
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
