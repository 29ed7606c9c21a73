//! Random policies, callers, requests, answers and bodies, judged by the program and by the plain model.

use std::fs;
use std::path::Path;

use fieldgate::policy::Plan;
use proptest::prelude::*;
use serde_json::json;

use super::answers::{body, record};
use super::dice::Dice;
use super::invented::{Caller, FILTERS, Outcome, Policy, written};
use super::naive::Model;
use super::support::{Ask, ask, complaints};
use super::tree::Tree;

/// The policy compiled; `None` where `check` has something against it.
fn compiled(policy: &Policy) -> Option<Plan> {
    let text = policy.text();
    let texts = [("p.yaml", text.as_str())];
    let keys = fieldgate::policy::MaskKeys::Assumed;
    let loaded = fieldgate::policy::Loaded::from_texts(&texts, &keys, fieldgate::policy::Purpose::Check);
    let said = complaints(&loaded);
    // The one thing that is made up and wrong now and then.
    assert!(
        loaded.plan.is_some() || said.iter().any(|line| line.starts_with("edit-without-show")),
        "{said:#?}\n{text}"
    );
    loaded.plan
}

fn asks<'p>(plan: &'p Plan, caller: &Caller, line: &str) -> Ask<'p> {
    let asked = ask(plan, line).by(caller.id).groups(&caller.groups).at(caller.moment.text);
    let asked = asked.ip(if caller.inside { "10.1.2.3" } else { "203.0.113.7" });
    let asked = if caller.mfa { asked.mfa() } else { asked };
    match caller.region {
        Some(region) => asked.claims(json!({ "region": region })),
        None => asked,
    }
}

/// What the program did, in the model's words.
fn outcome(answer: &str) -> Outcome {
    match answer {
        text if text.starts_with('{') => Outcome::Body(Tree::read(text)),
        "404 replaced" => Outcome::Missing,
        text if text.starts_with("502") => Outcome::Cut,
        _ => Outcome::Refused,
    }
}

fn expected(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Body(tree) => Outcome::Body(Tree::read(&tree.write())),
        other => other,
    }
}

/// The record when what a body holds has been set.
fn overlaid(before: &Tree, body: &Tree) -> Tree {
    let (Tree::Object(old), Tree::Object(new)) = (before, body) else { return body.clone() };
    let mut members = old.clone();
    for (name, value) in new {
        match members.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = overlaid(old, value),
            None => members.push((name.clone(), value.clone())),
        }
    }
    Tree::Object(members)
}

fn names_twice(tree: &Tree) -> bool {
    match tree {
        Tree::Object(members) => members.iter().enumerate().any(|(at, (name, value))| {
            names_twice(value) || members[..at].iter().any(|(earlier, _)| earlier == name)
        }),
        Tree::List(items) => items.iter().any(names_twice),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Rules 1 to 8 and 11 to 13.
    #[test]
    fn answers_are_those_of_the_plain_model(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let policy = Policy::invent(&mut dice, false);
        let plan = compiled(&policy);
        prop_assume!(plan.is_some());
        let plan = plan.unwrap();
        for _ in 0..6 {
            let caller = Caller::invent(&mut dice);
            let (action, line) = dice.of(&[("list", "GET /list"), ("list", "GET /list"), ("export", "GET /export"), ("read", "GET /one/1")]);
            let single = action == "read";
            let data = match dice.below(10) {
                0 => Tree::Null,
                1 => Tree::text("east"),
                2 if !single => Tree::List(vec![record(&mut dice), Tree::Number("7".into()), Tree::Null, Tree::List(vec![record(&mut dice)])]),
                _ if single => record(&mut dice),
                _ => Tree::List((0..dice.below(4)).map(|_| record(&mut dice)).collect()),
            };
            let mut answer: Vec<(String, Tree)> = vec![("data".into(), data)];
            for (name, value) in [("page", Tree::Number("1".into())), ("total", Tree::Number("99".into())), ("sql", Tree::text("SELECT")), ("Page", Tree::Null), ("page", Tree::Object(vec![("deep".into(), Tree::Null)]))] {
                if dice.chance(2) {
                    let at = dice.below(answer.len() + 1);
                    answer.insert(at, (name.into(), value));
                }
            }
            let answer = Tree::Object(answer);
            let status = dice.of(&[200, 200, 200, 200, 200, 200, 200, 404, 500]);
            let model = Model { policy: &policy, caller: &caller, action };
            let wanted = expected(model.answer(status, &answer));
            let text = answer.escaped(&mut dice);
            let answered = asks(&plan, &caller, line).status(status).answer(&text);
            let got = if status < 400 { outcome(&answered) } else { Outcome::Refused };
            let opened = status >= 400 && answered.starts_with('{');
            prop_assert!(!opened, "an error passed: {}", answered);
            prop_assert_eq!(&got, &wanted, "{:?} {}\n{}\n{}\ngot  {:?}\nwant {:?}", caller, line, policy.text(), text, &got, &wanted);
        }
    }

    /// Rule 9.
    #[test]
    fn what_is_written_is_that_of_the_plain_model(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let policy = Policy::invent(&mut dice, true);
        let plan = compiled(&policy);
        prop_assume!(plan.is_some());
        let plan = plan.unwrap();
        for _ in 0..6 {
            let caller = Caller::invent(&mut dice);
            let (action, line) = dice.of(&[("update", "PUT /one/1"), ("update", "PATCH /one/1"), ("create", "POST /one"), ("create", "POST /new")]);
            let (before, body) = (record(&mut dice), body(&mut dice));
            let model = Model { policy: &policy, caller: &caller, action };
            let editable = model.editable(&[if action == "create" { &body } else { &before }], &body);
            let text = body.escaped(&mut dice);
            let sent = asks(&plan, &caller, line).before(&before.write()).body(&text).sent();
            let got = sent.starts_with('{').then(|| Tree::read(&sent));
            // A new record must meet the conditions as it is sent, also where something was taken out of it.
            let strips = |kept: &Tree| action != "create" || model.editable(&[kept], kept).as_ref() == Some(kept);
            let stays = |kept: &Tree| {
                action == "create" || model.editable(&[&before, &overlaid(&before, kept)], kept).as_ref() == Some(kept)
            };
            // What it will be is not known where what it is can be read in two ways.
            if sent.starts_with("502 ") {
                prop_assert!(names_twice(&before), "{}", before.write());
                continue;
            }
            let stripping = ["PATCH /one/1", "POST /new"].contains(&line);
            let wanted = editable.filter(|kept| *kept == body || (stripping && strips(kept))).filter(stays);
            prop_assert_eq!(&got, &wanted, "{:?} {}\n{}\nbefore {}\nbody {}\n{}", caller, line, policy.text(), before.write(), text, sent);
        }
    }

    /// Rule 9: "A masked value coming back is always recognised."
    #[test]
    fn what_was_shown_masked_is_never_saved(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let policy = Policy::invent(&mut dice, true);
        let plan = compiled(&policy);
        prop_assume!(plan.is_some());
        let plan = plan.unwrap();
        for _ in 0..6 {
            let (caller, before) = (Caller::invent(&mut dice), record(&mut dice));
            let before = Tree::read(&format!("{{{}}}", once(&before)));
            let shown = asks(&plan, &caller, "GET /one/1").answer(&format!(r#"{{"data":{}}}"#, before.write()));
            let Outcome::Body(Tree::Object(shown)) = outcome(&shown) else { continue };
            let Some((_, Tree::Object(shown))) = shown.into_iter().next() else { continue };
            for (name, value) in shown {
                let original = before.at(&[name.as_str()]);
                if original == Some(&value) || matches!(value, Tree::Object(_) | Tree::List(_)) {
                    continue;
                }
                let body = Tree::Object(vec![(name.clone(), value)]).write();
                for line in ["PUT /one/1", "PATCH /one/1"] {
                    let sent = asks(&plan, &caller, line).before(&before.write()).body(&body).sent();
                    let kept = sent.starts_with('{') && sent != "{}";
                    prop_assert!(!kept, "{:?}\n{}\n{} saved over {:?}", caller, policy.text(), sent, original);
                }
            }
        }
    }

    /// Rule 10.
    #[test]
    fn what_may_be_asked_is_that_of_the_plain_model(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let policy = Policy::invent(&mut dice, true);
        let plan = compiled(&policy);
        prop_assume!(plan.is_some());
        let plan = plan.unwrap();
        for _ in 0..3 {
            let caller = Caller::invent(&mut dice);
            let model = Model { policy: &policy, caller: &caller, action: "list" };
            for name in FILTERS {
                let place: Vec<&str> = name.split('.').collect();
                let known = policy.resources[0].declared().any(|declared| *declared == place);
                let wanted = model.may_ask(&place) == Some(true) && known;
                for line in [format!("GET /list?{name}=x"), format!("GET /list?sort=-{name}")] {
                    let got = asks(&plan, &caller, &line).passes();
                    prop_assert_eq!(got, wanted, "{:?} {}\n{}", caller, line, policy.text());
                }
            }
        }
    }
}

/// The members of a record, each name once.
fn once(record: &Tree) -> String {
    let Tree::Object(members) = record else { return String::new() };
    let mut seen: Vec<&str> = Vec::new();
    let mut out = Vec::new();
    for (name, value) in members {
        if !seen.contains(&name.as_str()) {
            seen.push(name);
            let member = Tree::Object(vec![(name.clone(), value.clone())]).write();
            out.push(member[1..member.len() - 1].to_owned());
        }
    }
    out.join(",")
}

#[test]
fn the_plain_model_is_short_and_stands_alone() {
    let source =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules/naive.rs")).unwrap();
    let code = source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    let lines = code.count();
    assert!(lines <= 200, "{lines} lines");
    assert!(!source.contains("fieldgate::"), "it uses nothing of the program");
    assert_eq!(written(&["list", "*", "p"]), "list[*].p");
}
