use std::sync::Arc;

use super::super::condition::Params;
use super::super::counts::Share;
use super::super::path::Path;
use super::super::plan::{
    Access, Bounds, CutReason, Format, Grant, Layout, Records, RuleId, RuleRef, Selector,
};
use super::super::{Counts, Cut, RecordRule, Rewriter};
use super::*;

fn rules(shown: &[&str]) -> Vec<RecordRule> {
    let fields = shown.iter().map(|name| Selector { path: Path::name(name), rank: 1, access: Access::Show });
    let grant = Grant { when: None, fields: fields.collect(), otherwise: Access::Hide, name: "g".into() };
    vec![RecordRule {
        name: "r".into(),
        key: Some(Path::name("id")),
        grants: vec![grant],
        guards: Vec::new(),
        relations: Vec::new(),
        embedded: Vec::new(),
        pairs: Vec::new(),
    }]
}

fn item(id: Option<&str>, single: bool, shown: &[&str]) -> BatchItem {
    let rule = RuleRef::Fixed(RuleId(0));
    let records = if single {
        Records::One { at: Path::default(), rule }
    } else {
        Records::Many { at: Path::parse_jsonpath("$.rows[*]").unwrap(), rule }
    };
    let layout = Layout { records, keep: Vec::new(), total: None };
    let neutral = Neutral {
        status: None,
        absent: r#"{"no":"absent"}"#.into(),
        refused: r#"{"no":"refused"}"#.into(),
        failed: r#"{"no":"failed"}"#.into(),
    };
    BatchItem {
        plan: Arc::new(RewritePlan::new(Format::Json, layout, rules(shown), Bounds::default())),
        params: Params::default(),
        id: id.map(Box::from),
        single,
        absence: single,
        neutral: Arc::new(neutral),
    }
}

fn batch(items: Vec<BatchItem>) -> Batch {
    Batch {
        answers: vec!["list".into()],
        answer: "body".into(),
        status: Some("status".into()),
        id: items.first().and_then(|item| item.id.as_ref()).map(|_| "id".into()),
        keep: vec!["errors".into()],
        items,
        held_bytes: 4_000,
    }
}

fn fed(batch: &Batch, text: &str, piece: usize) -> (String, Result<(), Cut>, Counts) {
    let mut rewriter = Rewriter::new(Arc::new(RewritePlan::of_batch(batch.clone())), Params::default());
    let mut out = Vec::new();
    let mut pieces = text.as_bytes().chunks(piece);
    let result =
        pieces.try_for_each(|piece| rewriter.push(piece, &mut out)).and_then(|()| rewriter.finish(&mut out));
    (String::from_utf8(out).unwrap(), result, rewriter.settle().clone())
}

/// The same at every seam.
fn rewritten(batch: &Batch, text: &str) -> (String, Result<(), CutReason>, Counts) {
    let (out, result, counts) = fed(batch, text, text.len().max(1));
    for piece in 1..text.len() {
        let again = fed(batch, text, piece);
        let why = |result: &Result<(), Cut>| result.clone().err().map(|cut| cut.reason);
        assert_eq!(why(&again.1), why(&result), "{piece} {text}");
        if result.is_ok() {
            assert_eq!((&again.0, &again.2), (&out, &counts), "{piece} {text}");
        }
        assert!(!again.0.contains("secret"), "{piece} {}", again.0);
    }
    assert!(!out.contains("secret"), "{out}");
    (out, result.map_err(|cut| cut.reason), counts)
}

fn two() -> Batch {
    batch(vec![item(Some("a"), false, &["id", "name"]), item(Some("b"), true, &["id", "phone"])])
}

#[test]
fn every_answer_is_rewritten_by_the_plan_of_its_own_request() {
    let text = r#" {"errors":false,"secret":{"secret":1},"list": [
        {"id":"a","status":200,"body":{"rows":[{"id":1,"name":"n","phone":"secret"},{"id":2,"secret":"}]"}]},"secret":"secret"},
        {"body":{"id":3,"name":"secret","phone":"1"},"headers":{"x":"secret"},"status":200,"id":"b"} ] } "#;
    let (out, result, counts) = rewritten(&two(), text);
    result.unwrap();
    assert_eq!(
        out,
        r#"{"errors":false,"list":[{"id":"a","status":200,"body":{"rows":[{"id":1,"name":"n"},{"id":2}]}},{"body":{"id":3,"phone":"1"},"status":200,"id":"b"}]}"#
    );
    assert_eq!((counts.released, counts.keys.len()), (3, 3));
    assert_eq!(counts.bytes_out, out.len() as u64);
    let shares: Vec<_> = counts.shares.iter().map(|share| (share.item, share.released, share.keys)).collect();
    assert_eq!(shares, [(0, 2, 2), (1, 1, 1)]);
    let sum: u64 = counts.shares.iter().map(|Share { bytes, .. }| bytes).sum();
    assert_eq!(sum, out.len() as u64 - r#"{"errors":false,"list":[]}"#.len() as u64);
    assert_eq!(counts.fields["r.id"].shown, 3);
}

#[test]
fn answers_with_ids_may_come_in_any_order_and_each_under_its_own_plan() {
    let text = r#"{"list":[{"id":"b","status":200,"body":{"id":3,"name":"secret","phone":"1"}},{"id":"a","status":"200","body":{"rows":[{"phone":"secret","name":"n"}]}}]}"#;
    let (out, result, _) = rewritten(&two(), text);
    result.unwrap();
    assert_eq!(
        out,
        r#"{"list":[{"id":"b","status":200,"body":{"id":3,"phone":"1"}},{"id":"a","status":"200","body":{"rows":[{"name":"n"}]}}]}"#
    );
}

#[test]
fn an_inner_error_gets_a_neutral_text_wherever_its_status_stands() {
    let after = r#"{"body":[{"message":"secret column","errorCode":"X"}],"status":400,"id":"a"}"#;
    let before = r#"{"id":"b","status":404,"body":{"id":3,"phone":"secret"}}"#;
    let (out, result, counts) = rewritten(&two(), &format!(r#"{{"list":[{after},{before}]}}"#));
    result.unwrap();
    assert_eq!(
        out,
        r#"{"list":[{"id":"a","status":400,"body":{"no":"refused"}},{"id":"b","status":404,"body":{"no":"absent"}}]}"#
    );
    assert_eq!(counts.released, 0);
    for (status, body) in
        [(401, "502,\"body\":{\"no\":\"failed\"}"), (500, "502,\"body\":{\"no\":\"failed\"}")]
    {
        let one = batch(vec![item(None, false, &["id"])]);
        let text = format!(r#"{{"list":[{{"status":{status},"body":"secret"}}]}}"#);
        let (out, result, _) = rewritten(&one, &text);
        result.unwrap();
        assert_eq!(out, format!(r#"{{"list":[{{"status":{body}}}]}}"#));
    }
}

#[test]
fn a_single_record_that_is_not_released_is_answered_like_one_that_does_not_exist() {
    let mut hidden = item(None, true, &["id"]);
    let mut plan = RewritePlan::clone(&hidden.plan);
    plan.rules[0].grants.clear();
    hidden.plan = Arc::new(plan);
    let not_released =
        rewritten(&batch(vec![hidden.clone()]), r#"{"list":[{"status":200,"body":{"id":"secret"}}]}"#);
    let absent =
        rewritten(&batch(vec![hidden.clone()]), r#"{"list":[{"status":404,"body":{"m":"secret"}}]}"#);
    let nothing = rewritten(&batch(vec![hidden]), r#"{"list":[{"status":200,"body":null}]}"#);
    assert_eq!(not_released.0, r#"{"list":[{"status":404,"body":{"no":"absent"}}]}"#);
    assert_eq!((&not_released.0, &not_released.0), (&absent.0, &nothing.0));
}

#[test]
fn a_change_without_a_text_is_told_as_it_is() {
    let one = batch(vec![item(None, false, &["id"])]);
    for text in [r#"{"list":[{"status":204,"body":null}]}"#, r#"{"list":[{"status":204}]}"#] {
        let (out, result, _) = rewritten(&one, text);
        result.unwrap();
        assert_eq!(out, text);
    }
}

#[test]
fn not_one_answer_for_each_request_is_cut() {
    let b = |id: &str| format!(r#"{{"id":"{id}","status":200,"body":{{"rows":[{{"phone":"secret"}}]}}}}"#);
    let late = |id: &str| format!(r#"{{"body":{{"rows":[{{"phone":"secret"}}]}},"status":200,"id":"{id}"}}"#);
    for list in [
        String::new(),
        b("a"),
        format!("{},{}", b("a"), b("a")),
        format!("{},{}", b("b"), b("b")),
        format!("{},{}", b("a"), b("c")),
        format!("{},{},{}", b("a"), r#"{"id":"b","status":200,"body":{"id":1}}"#, b("a")),
        format!("{},{}", late("b"), late("a")),
        r#"{"status":200,"body":{}},{"status":200,"body":{}}"#.to_owned(),
        r#"{"id":null,"status":200,"body":{}}"#.to_owned(),
    ] {
        let (_, result, _) = rewritten(&two(), &format!(r#"{{"list":[{list}]}}"#));
        assert_eq!(result, Err(CutReason::Items), "{list}");
    }
    for text in [r"{}", r#"{"lists":[]}"#, r#"{"a":{"list":[]}}"#] {
        assert_eq!(rewritten(&two(), text).1, Err(CutReason::Items), "{text}");
    }
}

#[test]
fn what_has_not_the_declared_shape_is_cut() {
    let one = batch(vec![item(None, false, &["id"])]);
    for text in [
        r#"{"list":{"status":200}}"#,
        r#"{"list":null}"#,
        r#"{"list":["secret"]}"#,
        r#"{"list":[null]}"#,
        r#"{"list":[{"body":{}}]}"#,
        r#"{"list":[{"status":{},"body":{}}]}"#,
        r#"{"list":[{"status":2e2,"body":{}}]}"#,
        r#"{"list":[{"status":"x","body":{}}]}"#,
        r#"{"list":[{"status":200,"status":500,"body":{}}]}"#,
        r#"{"list":[{"status":200,"body":{},"body":{"rows":[{"id":"secret"}]}}]}"#,
        r#"{"list":[{"status":200,"\u0062ody":{},"body":{"rows":[]}}]}"#,
        r#"{"list":[{"status":200,"body":{}}],"list":[{"status":200,"body":{}}]}"#,
        r#"[{"status":200,"body":{}}]"#,
        r#""secret""#,
        r#"{"list":[{"status":200,"body":"secret"}]}"#,
        r#"{"list":[{"status":200,"body":{"rows":"secret"}}]}"#,
    ] {
        assert_eq!(rewritten(&one, text).1, Err(CutReason::Shape), "{text}");
    }
}

#[test]
fn what_breaks_the_grammar_is_cut_also_in_what_is_left_out() {
    let one = batch(vec![item(None, false, &["id"])]);
    for text in [
        r#"{"list":[{"status":200,"x":[01],"body":{}}]}"#,
        r#"{"list":[{"status":200,"x":{"a" 1},"body":{}}]}"#,
        r#"{"list":[{"status":200 "body":{}}]}"#,
        r#"{"list":[{"status":200,"body":{}}]},"#,
        r#"{"list":[{"status":200,"body":{}}]}{}"#,
        r#"{"list":[{"status":200,"body":{}}"#,
        "{\"list\":[{\"status\":200,\"x\":\"\u{1}\",\"body\":{}}]}",
        "",
    ] {
        assert!(rewritten(&one, text).1.is_err(), "{text}");
    }
    let deep = format!(r#"{{"x":{}{},"list":[]}}"#, "[".repeat(200), "]".repeat(200));
    assert_eq!(fed(&one, &deep, 7).1.unwrap_err().reason, CutReason::Depth);
}

#[test]
fn what_is_held_is_bounded_and_what_need_not_be_streams() {
    let rows = vec![r#"{"id":1}"#; 1_000].join(",");
    let one = batch(vec![item(None, false, &["id"])]);
    let late = format!(r#"{{"list":[{{"body":{{"rows":[{rows}]}},"status":200}}]}}"#);
    assert_eq!(fed(&one, &late, 64).1.unwrap_err().reason, CutReason::Record);
    let early = format!(r#"{{"list":[{{"status":200,"body":{{"rows":[{rows}]}}}}]}}"#);
    let mut rewriter = Rewriter::new(Arc::new(RewritePlan::of_batch(one)), Params::default());
    let mut out = Vec::new();
    rewriter.push(&early.as_bytes()[..early.len() / 2], &mut out).unwrap();
    assert!(out.len() > early.len() / 3, "{}", out.len());
    assert!(rewriter.counts().released > 300);
    assert_eq!(rewriter.counts().shares[0].released, rewriter.counts().released);
}

#[test]
fn the_list_may_be_the_root_or_lie_deeper() {
    let mut one = batch(vec![item(None, false, &["id"])]);
    one.answers.clear();
    let (out, result, _) = rewritten(&one, r#"[{"status":200,"body":{"rows":[{"id":1,"x":"secret"}]}}]"#);
    result.unwrap();
    assert_eq!(out, r#"[{"status":200,"body":{"rows":[{"id":1}]}}]"#);
    one.answers = vec!["a".into(), "b".into()];
    let text = r#"{"a":{"secret":[1],"b":[{"status":200,"body":{"rows":[]}}],"z":1},"errors":[1]}"#;
    let (out, result, _) = rewritten(&one, text);
    result.unwrap();
    assert_eq!(out, r#"{"a":{"b":[{"status":200,"body":{"rows":[]}}]}}"#);
}
