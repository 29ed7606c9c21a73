//! The engine's rules one by one.

use super::super::condition::{ParamTable, Value};
use super::super::{
    Access, Bounds, CutReason, FieldCount, Format, Grant, Pairs, Path, Rewriter, RuleId, RuleRef, Total,
    TotalOnHold,
};
use super::support::*;

fn allow(fields: &[&str]) -> std::sync::Arc<super::super::RewritePlan> {
    plan(Format::Json, many("$.data[*]"), vec![rule("c", vec![grant(show(fields))])])
}

#[test]
fn shows_what_is_named_and_hides_the_rest() {
    let plan = allow(&["id", "name"]);
    assert_eq!(out(&plan, r#"{"data":[{"id":1,"x":2,"name":"a"}]}"#), r#"{"data":[{"id":1,"name":"a"}]}"#);
    assert_eq!(out(&plan, r#"{"data":[{"x":[{"id":3}],"id":1}]}"#), r#"{"data":[{"id":1}]}"#);
    assert_eq!(out(&plan, r#"{"data":[{"x":1},{}]}"#), r#"{"data":[{},{}]}"#);
    assert_eq!(out(&plan, r#"{"x":"y","data":[],"z":{"a":[1]}}"#), r#"{"data":[]}"#);
    assert_eq!(out(&plan, r#"{"data":[{"id":1},7,{"id":2},null,[{}]]}"#), r#"{"data":[{"id":1},{"id":2}]}"#);
}

#[test]
fn keeps_untouched_bytes_and_blanks() {
    let plan = allow(&["id", "a.b"]);
    let same = "\u{20} {\n  \"data\" : [\n {\"id\" : 1.50e+3 ,\n\t\"a\":{\"b\" : [ 1 , {\"x\" :\"\\u0041\"} ] } }\n ]\n}\n";
    assert_eq!(out(&plan, same), same);
    let dropped = "{\n  \"data\": [\n    {\n      \"x\": 1,\n      \"id\": 2,\n      \"y\": 3\n    }\n  ]\n}";
    assert_eq!(out(&plan, dropped), "{\n  \"data\": [\n    {\n      \"id\": 2\n    }\n  ]\n}");
}

#[test]
fn containers_live_by_what_is_in_them() {
    let plan = allow(&["bank.account", "list[*].x"]);
    let record = |inner: &str| format!("{{\"data\":[{{{inner}}}]}}");
    for (given, gives) in [
        (r#""bank":{"account":1,"iban":2}"#, r#""bank":{"account":1}"#),
        (r#""bank":{"iban":2}"#, ""),
        (r#""bank":{}"#, ""),
        (r#""bank":"account""#, ""),
        (r#""bank":[{"account":1}]"#, ""),
        (r#""list":[{"x":1,"y":2},{"y":2},3,{"x":4}]"#, r#""list":[{"x":1},{"x":4}]"#),
        (r#""list":[{"y":2}]"#, ""),
        (r#""list":{"x":1}"#, ""),
        (
            r#""bank":{"a":{}},"list":[],"bank":{"account":{"deep":[1]}}"#,
            r#""bank":{"account":{"deep":[1]}}"#,
        ),
    ] {
        assert_eq!(out(&plan, &record(given)), record(gives), "{given}");
    }
}

#[test]
fn unknown_show_hides_only_what_is_named_and_what_looks_like_it() {
    let fields = vec![open_grant(hide(&["phone", "bank.account"]))];
    let plan = plan(Format::Json, many("$[*]"), vec![rule("c", fields)]);
    assert_eq!(
        out(&plan, r#"[{"id":1,"phone":2,"bank":{"a":1,"account":2}}]"#),
        r#"[{"id":1,"bank":{"a":1}}]"#
    );
    assert_eq!(out(&plan, r#"[{"PHONE":1,"ph\u006fne":2,"p\u200bhone":3,"phones":4}]"#), r#"[{"phones":4}]"#);
    assert_eq!(out(&plan, r#"[{"BANK":{"account":2},"bank":{"Account":1}}]"#), "[{}]");
}

#[test]
fn an_answer_that_is_given_up_says_which_fields_it_held() {
    let rules = vec![rule("c", vec![grant(show(&["id"]))])];
    let mut rewriter = Rewriter::new(plan(Format::Json, many("$.d[*]"), rules), no_params());
    rewriter.push(br#"{"d":[{"id":1,"phone":"a"},{"id":2"#, &mut Vec::new()).unwrap();
    let counts = rewriter.take_counts();
    assert!(counts.fields.values().any(|field| field.shown > 0), "{counts:?}");
}

#[test]
fn conditions_decide_each_record_wherever_their_member_stands() {
    let mut params = ParamTable::default();
    let mine = grant_if("record.owner == principal.id", &mut params, show(&["id", "phone"]));
    let rules = vec![rule("c", vec![mine, grant_if("record.open", &mut params, show(&["id"]))])];
    let plan = plan(Format::Json, many("$.d[*]"), rules);
    let values = [Some(Value::Text("u1".into()))].into_iter().collect();
    let input = r#"{"d":[{"id":1,"phone":"a","owner":"u1"},{"id":2,"phone":"b","owner":"u2"},
        {"id":3,"phone":"c","open":true},{"id":4,"owner":"u1","phone":"d","owner":"u1"},{"id":5,"owner":"u\u0031"}]}"#;
    let given = rewrite(&plan, &values, input);
    assert_eq!(given.out, "{\"d\":[{\"id\":1,\"phone\":\"a\"},\n        {\"id\":3},{\"id\":5}]}");
    assert_eq!((given.counts.released, given.counts.withheld), (3, 2));
    assert_eq!(given.counts.fields["c.phone"], FieldCount { shown: 1, masked: 0, hidden: 1 });
}

#[test]
fn relations_are_judged_by_their_own_rule() {
    let mut params = ParamTable::default();
    let mut customer = rule("c", vec![grant(show(&["id"]))]);
    customer.relations =
        vec![(path("owner"), fixed(1)), (path("contacts[*]"), fixed(2)), (path("none"), fixed(3))];
    let user = rule("u", vec![grant(show(&["name"]))]);
    let contact = rule("k", vec![grant_if("record.open == true", &mut params, show(&["phone"]))]);
    let plan = plan(Format::Json, one("$"), vec![customer, user, contact, rule("n", vec![])]);
    assert_eq!(
        out(
            &plan,
            r#"{"id":1,"owner":{"name":"a","x":1},"contacts":[{"phone":1,"open":true},{"phone":2}],"none":{"id":1}}"#
        ),
        r#"{"id":1,"owner":{"name":"a"},"contacts":[{"phone":1}]}"#
    );
    assert_eq!(out(&plan, r#"{"contacts":[{"phone":1}, 3],"owner":null}"#), r#"{"contacts":[]}"#);
    assert_eq!(out(&plan, r#"{"contacts":{"phone":1},"owner":{"x":1}}"#), r#"{"owner":{}}"#);
}

#[test]
fn discriminators_choose_the_rule_even_when_they_come_last() {
    let cases = [("a".into(), RuleId(0)), ("b".into(), RuleId(1))].into();
    let mut layout = many("$[*]");
    layout.records = super::super::Records::Many {
        at: path("$[*]"),
        rule: RuleRef::ByType { at: path("meta.type"), cases },
    };
    let rules = vec![rule("a", vec![grant(show(&["x"]))]), rule("b", vec![grant(show(&["y"]))])];
    let plan = plan(Format::Json, layout, rules);
    assert_eq!(
        out(
            &plan,
            r#"[{"x":1,"y":2,"meta":{"type":"a"}},{"meta":{"type":"b"},"x":1,"y":2},{"x":1},{"x":1,"meta":{"type":"z"}},
            {"meta":{"type":"a","type":"a"},"x":1},{"meta":{"type":"a"},"x":1,"meta":{}},{"x":1,"meta":{"type":1}}]"#
        ),
        r#"[{"x":1},{"y":2}]"#
    );
}

#[test]
fn guards_take_away_whatever_is_granted() {
    let mut c = rule("c", vec![grant(show(&["id", "bank"])), open_grant(vec![])]);
    c.guards = vec![hide(&["bank.account", "ssn"])];
    let plan = plan(Format::Json, one("$"), vec![c]);
    assert_eq!(
        out(&plan, r#"{"ssn":1,"bank":{"account":1,"x":2},"id":3,"SSN":4}"#),
        r#"{"bank":{"x":2},"id":3}"#
    );
}

#[test]
fn totals_are_recounted_before_and_after_the_records() {
    let mut params = ParamTable::default();
    let total = |otherwise| {
        let mut layout = many("$.d[*]");
        layout.keep = vec![path("$.page")];
        layout.total = Some(Total { at: path("$.total"), recount: true, otherwise });
        layout
    };
    let rules = vec![rule("c", vec![grant_if("record.ok", &mut params, show(&["id"]))])];
    let bounds = Bounds { hold_for_total_bytes: 4096, ..Bounds::default() };
    let null = bounded(Format::Json, total(TotalOnHold::Null), rules.clone(), bounds.clone());
    let remove = bounded(Format::Json, total(TotalOnHold::Remove), rules, bounds);
    let d = r#""d":[{"id":1,"ok":true},{"id":2},{"id":3,"ok":true}]"#;
    let kept = r#""d":[{"id":1},{"id":3}]"#;
    for plan in [&null, &remove] {
        assert_eq!(
            out(plan, &format!("{{{d}, \"total\":99 ,\"page\":1}}")),
            format!("{{{kept}, \"total\":2 ,\"page\":1}}")
        );
        assert_eq!(
            out(plan, &format!("{{\"page\":1,\"total\":[99],{d}}}")),
            format!("{{\"page\":1,\"total\":2,{kept}}}")
        );
        assert_eq!(
            out(plan, &format!("{{ \"x\":1, \"total\":99 ,{d},\"total\":7}}")),
            format!("{{ \"total\":2 ,{kept},\"total\":2}}")
        );
        assert_eq!(out(plan, r#"{"total":5}"#), r#"{"total":0}"#);
    }
    let many = vec![r#"{"id":1,"ok":true}"#; 2000].join(",");
    let ids = vec![r#"{"id":1}"#; 2000].join(",");
    let big = format!("{{\"total\":5 ,\"d\":[{many}],\"total\":5}}");
    assert_eq!(out(&null, &big), format!("{{\"total\":null ,\"d\":[{ids}],\"total\":2000}}"));
    assert_eq!(out(&remove, &big), format!("{{\"d\":[{ids}],\"total\":2000}}"));
    let big = format!("{{\"page\":1,\"total\":5 ,\"d\":[{many}]}}");
    assert_eq!(out(&remove, &big), format!("{{\"page\":1,\"d\":[{ids}]}}"));
}

#[test]
fn positional_rows_lose_columns_and_ragged_ones_cut() {
    let mut params = ParamTable::default();
    let mut layout = many("$[*]");
    layout.records = super::super::Records::Rows {
        at: path("$[*]"),
        rule: RuleId(0),
        columns: vec![path("id"), path("secret"), path("phone"), path("owner")],
    };
    let grants = vec![
        grant_if("record.owner == 1", &mut params, show(&["id", "phone"])),
        grant_if("record.owner == 2", &mut params, show(&["id"])),
    ];
    let plan = plan(Format::Json, layout, vec![rule("c", grants)]);
    assert_eq!(out(&plan, r#"[[1,"s","p",1], [2,"s",{"a":1},2],[3,"s","p",3]]"#), r#"[[1,"p"], [2,null]]"#);
    assert_eq!(cut(&plan, r#"[[1,"s","p",1],[1,"s","p"]]"#), CutReason::Ragged);
    assert_eq!(cut(&plan, r#"[[1,"s","p",3,5]]"#), CutReason::Ragged);
    assert_eq!(cut(&plan, r#"[{"id":1}]"#), CutReason::Shape);
}

#[test]
fn pairs_and_embedded_texts_are_judged_by_the_field_they_hold() {
    let mut c = rule("c", vec![grant(show(&["phone", "data.phone", "bank.x"]))]);
    c.pairs = vec![Pairs { at: path("attrs[*]"), name: "name".into(), value: "value".into() }];
    c.embedded = vec![path("data")];
    let plan = plan(Format::Json, one("$"), vec![c]);
    let given = r#"{"attrs":[{"name":"phone","value":1,"old":2},{"value":3,"name":"ssn"},{"name":"phone","name":"phone"},4,
        {"value":{"x":1,"y":2},"z":1,"name":"bank"},{"name":"bank.x","value":5}]}"#;
    let gives = "{\"attrs\":[{\"name\":\"phone\",\"value\":1,\"old\":2},\n        {\"value\":{\"x\":1},\"name\":\"bank\"},{\"name\":\"bank.x\",\"value\":5}]}";
    assert_eq!(out(&plan, given), gives);
    assert_eq!(out(&plan, r#"{"attrs":[{"name":"ssn","value":1}]}"#), "{}");
    assert_eq!(out(&plan, r#"{"data":"{\"phone\":\"1\",\"ssn\":2}"}"#), r#"{"data":"{\"phone\":\"1\"}"}"#);
    assert_eq!(out(&plan, r#"{"data":"{\"phone\":\"\u0041\"}"}"#), r#"{"data":"{\"phone\":\"\u0041\"}"}"#);
    assert_eq!(out(&plan, r#"{"data":"{\"ssn\":2}"}"#), "{}");
    assert_eq!(out(&plan, r#"{"data":"phone","phone":1}"#), r#"{"phone":1}"#);
    assert_eq!(out(&plan, r#"{"data":{"phone":1,"x":2}}"#), r#"{"data":{"phone":1}}"#);
}

#[test]
fn a_single_record_passes_or_becomes_null_and_other_shapes_cut() {
    let mut params = ParamTable::default();
    let plan = plan(
        Format::Json,
        one("$.data"),
        vec![rule("c", vec![grant_if("record.ok", &mut params, show(&["id"]))])],
    );
    assert_eq!(out(&plan, r#"{"data":{"id":1,"ok":true}}"#), r#"{"data":{"id":1}}"#);
    let withheld = rewrite(&plan, &no_params(), r#"{"data":{"id":1,"ok":false}}"#);
    assert_eq!((withheld.out.as_str(), withheld.counts.withheld), (r#"{"data":null}"#, 1));
    let null = rewrite(&plan, &no_params(), r#"{"data":null}"#);
    assert_eq!((null.out.as_str(), null.counts.withheld), (r#"{"data":null}"#, 1));
    for other in [r#"{"data":[{"id":1}]}"#, r#"{"data":"x"}"#, "[]", "1", r#""x""#] {
        assert_eq!(cut(&plan, other), CutReason::Shape, "{other}");
    }
    let list = allow(&["id"]);
    for other in [r#"{"data":{"id":1}}"#, r#"{"data":null}"#, r#"{"data":"x"}"#, "[]", "null"] {
        assert_eq!(cut(&list, other), CutReason::Shape, "{other}");
    }
}

#[test]
fn lines_and_sequences_are_records_each() {
    let mut params = ParamTable::default();
    let rules = vec![rule("c", vec![grant_if("record.ok", &mut params, show(&["id"]))])];
    let lines = plan(Format::Ndjson, many("$.ignored[*]"), rules.clone());
    assert_eq!(
        out(
            &lines,
            "{\"id\":1,\"ok\":true}\n{\"id\":2}\n\n 7\r\n{\"ok\":true,\"id\":3} \r\n{\"id\":4,\"ok\":true}"
        ),
        "{\"id\":1}\n\n{\"id\":3} \r\n{\"id\":4}"
    );
    assert_eq!(cut(&lines, "{\"id\":1,\n\"ok\":true}\n"), CutReason::Malformed);
    assert_eq!(cut(&lines, "{\"id\":1} {\"id\":2}\n"), CutReason::Trailing);
    assert_eq!(cut(&lines, "{\"id\":1}\n{\"id"), CutReason::Truncated);
    let sequence = plan(Format::JsonSeq, many("$[*]"), rules);
    assert_eq!(
        out(
            &sequence,
            "\u{1e}{\"id\":1,\"ok\":true}\n\u{1e}{\"id\":2}\n\u{1e}3\n\u{1e}\u{1e}{\"ok\":true}\n"
        ),
        "\u{1e}{\"id\":1}\n\u{1e}{}\n"
    );
    assert_eq!(cut(&sequence, "{\"id\":1}\n"), CutReason::Malformed);
}

#[test]
fn what_is_not_strictly_json_is_cut() {
    let plan = allow(&["id"]);
    for (bad, reason) in [
        ("", CutReason::Truncated),
        (r#"{"data":[]"#, CutReason::Truncated),
        (r#"{"data":[]} x"#, CutReason::Trailing),
        (r#"{"data":[]}{}"#, CutReason::Trailing),
        (r#"{"data":[{"x":01}]}"#, CutReason::Malformed),
        (r#"{"data":[{"x":+1}]}"#, CutReason::Malformed),
        (r#"{"data":[{"x":NaN}]}"#, CutReason::Malformed),
        (r#"{"data":[{"x":1,}]}"#, CutReason::Malformed),
        (r#"{"data":[{"x":[1,]}]}"#, CutReason::Malformed),
        (r#"{"data":[{"x":[1}]]}"#, CutReason::Malformed),
        (r#"{"data":[{'x':1}]}"#, CutReason::Malformed),
        (r#"{"data":[{"x":1 /**/}]}"#, CutReason::Malformed),
        (r#"{"data":[{"x" 1}]}"#, CutReason::Malformed),
        ("{\"data\":[{\"x\":\"a\tb\"}]}", CutReason::Malformed),
        (r#"{"data":[{"x":{"\ud800":1}}]}"#, CutReason::Encoding),
        (r#"{"data":[{"id":{"\ud800":1}}]}"#, CutReason::Encoding),
        (r#"{"data":[{"x":truE}]}"#, CutReason::Malformed),
    ] {
        assert_eq!(cut(&plan, bad), reason, "{bad}");
    }
    assert_eq!(out(&plan, "\u{feff}{\"data\":[{\"id\":\"\\ud800\"}]}"), "{\"data\":[{\"id\":\"\\ud800\"}]}");
}

#[test]
fn every_bound_cuts_and_the_value_just_below_passes() {
    let bounds = Bounds { depth: 6, key_bytes: 8, number_bytes: 5, record_bytes: 60, ..Bounds::default() };
    let mut params = ParamTable::default();
    let held = vec![rule("c", vec![grant_if("record.id > 0", &mut params, show(&["id"]))])];
    let free = vec![rule("c", vec![grant(show(&["id"]))])];
    for rules in [held.clone(), free] {
        let plan = bounded(Format::Json, many("$.data[*]"), rules, bounds.clone());
        let record = |inner: &str| format!("{{\"data\":[{{\"id\":1,{inner}}}]}}");
        assert_eq!(out(&plan, &record("\"x\":[[[1]]]")), "{\"data\":[{\"id\":1}]}");
        assert_eq!(cut(&plan, &record("\"x\":[[[[1]]]]")), CutReason::Depth);
        assert_eq!(out(&plan, &record("\"x2345678\":1")), "{\"data\":[{\"id\":1}]}");
        assert_eq!(cut(&plan, &record("\"x23456789\":1")), CutReason::Key);
        assert_eq!(out(&plan, &record("\"x\":12345")), "{\"data\":[{\"id\":1}]}");
        assert_eq!(cut(&plan, &record("\"x\":123456")), CutReason::Number);
    }
    let plan = bounded(Format::Json, many("$.data[*]"), held, bounds);
    let of = |bytes: usize| format!("{{\"data\":[{{\"id\":1,\"x\":\"{}\"}}]}}", "y".repeat(bytes - 15));
    assert_eq!(out(&plan, &of(60)), "{\"data\":[{\"id\":1}]}");
    assert_eq!(cut(&plan, &of(61)), CutReason::Record);
}

#[test]
fn counts_name_fields_keys_grants_and_unknown_members() {
    let mut c = rule("c", vec![Grant { name: "roles.x".into(), ..grant(show(&["id", "bank.account"])) }]);
    c.key = Some(path("id"));
    c.guards = vec![hide(&["ssn"])];
    let plan = plan(Format::Json, many("$[*]"), vec![c]);
    let given = rewrite(
        &plan,
        &no_params(),
        r#"[{"id":"k1","bank":{"account":1,"q\u0000":1}},{"id":7,"ssn":1,"new.one":2,"bank":3}]"#,
    );
    let count = |shown, hidden| FieldCount { shown, masked: 0, hidden };
    assert_eq!(given.counts.fields["c.id"], count(2, 0));
    assert_eq!(given.counts.fields["c.bank.account"], count(1, 0));
    assert_eq!(given.counts.fields["c.ssn"], count(0, 1));
    assert_eq!(given.counts.keys, ["k1".into(), "7".into()]);
    assert_eq!(given.counts.grants.iter().map(|g| g.as_ref()).collect::<Vec<_>>(), ["roles.x"]);
    let unknown: Vec<&str> = given.counts.unknown.iter().map(|u| u.as_ref()).collect();
    assert_eq!(unknown, ["[\"new.one\"]", "bank", "bank[\"q\\u0000\"]"]);
    assert_eq!(given.counts.bytes_out, given.out.len() as u64);
}

#[test]
fn a_wholly_shown_record_passes_byte_for_byte() {
    let all = super::super::Selector { path: Path::default(), rank: 0, access: Access::Show };
    let plan = plan(Format::Json, many("$[*]"), vec![rule("c", vec![grant(vec![all])])]);
    let same = "[ {\"a\" : [ 1 , 2 ] , \"b\":{ } } ,\n{}]";
    assert_eq!(out(&plan, same), same);
}
