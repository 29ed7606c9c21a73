//! Elements chosen by filters and from the end: what passes, and what is hidden because nobody can say.

use super::super::condition::ParamTable;
use super::super::plan::Bounds;
use super::super::{
    Access, CutReason, Format, Pairs, RecordRule, Records, RewritePlan, RuleId, RuleRef, reference,
};
use super::support::*;
use std::sync::Arc;

fn one_rule(fields: Vec<super::super::Selector>) -> Arc<RewritePlan> {
    plan(Format::Json, many("$[*]"), vec![rule("customer", vec![grant(fields)])])
}

/// The answer, which no cut changes and with which the oracle agrees.
fn answer(plan: &Arc<RewritePlan>, input: &str) -> String {
    let whole = feed(plan, &no_params(), input.as_bytes(), &[]);
    assert_eq!(whole.result, Ok(()), "{input}");
    let all: Vec<usize> = (1..input.len()).collect();
    same(&whole, &feed(plan, &no_params(), input.as_bytes(), &all), input, &all);
    let expected = reference::rewrite(plan, &no_params(), input.as_bytes()).expect("not cut").text;
    assert_eq!(reference::canonical(&plan.format, &whole.out).as_ref(), Some(&expected), "{input}");
    whole.out
}

#[test]
fn a_filter_tells_elements_apart_also_where_the_deciding_member_comes_last() {
    let plan = one_rule(show(&[r#"contacts[?@.type == "home"].phone"#, "contacts[*].type"]));
    let input = r#"[{"contacts":[{"phone":"1","type":"home"},{"type":"work","phone":"2"},{"phone":"3","type":"ho\u006de"}]}]"#;
    let expected =
        r#"[{"contacts":[{"phone":"1","type":"home"},{"type":"work"},{"phone":"3","type":"ho\u006de"}]}]"#;
    assert_eq!(answer(&plan, input), expected);
    assert_eq!(
        answer(&plan, r#"[{"contacts":[]},{"contacts":"home"},{"contacts":{"type":"home"}},{}]"#),
        "[{},{},{},{}]"
    );
}

#[test]
fn what_a_filter_hides_is_hidden_and_the_rest_passes() {
    let mut fields = show(&["contacts"]);
    fields.extend(hide(&["contacts[?@.private == true]", "contacts[-1].note", "contacts[::-2].x"]));
    let plan = one_rule(fields);
    let input = r#"[{"contacts":[{"n":1,"private":true},{"n":2,"x":5},{"n":3,"x":6,"note":"y"},{"n":4,"note":"z","x":7}]}]"#;
    assert_eq!(answer(&plan, input), r#"[{"contacts":[{"n":2},{"n":3,"x":6,"note":"y"},{"n":4}]}]"#);
}

#[test]
fn a_deciding_member_that_occurs_twice_or_cannot_be_read_hides_the_element() {
    for filter in ["@.a == 1", "@.a != 1", "!@.a", "@.a", "@.b || @.a == 1", "@.a.c == 1 || @.b"] {
        for access in [Access::Show, Access::Hide] {
            let mut fields = show(&["list"]);
            fields.push(select(&format!("list[?{filter}].s"), access));
            let plan = one_rule(fields);
            let input =
                r#"[{"list":[{"a":1,"s":"CANARY","a":1,"b":1},{"a":2,"s":"CANARY","\u0061":1,"b":1}]}]"#;
            assert_eq!(answer(&plan, input), r#"[{}]"#, "{filter}");
        }
    }
    for value in ["\"\\ud800\"", "1e999", r#"{"x":1,"x":1}"#] {
        let plan = one_rule([show(&["list"]), hide(&["list[?@.a == 1]"])].concat());
        let input = format!(r#"[{{"list":[{{"a":{value},"s":"CANARY"}},{{"a":2}}]}}]"#);
        assert_eq!(answer(&plan, &input), r#"[{"list":[{"a":2}]}]"#);
    }
    let plan = one_rule([show(&["list"]), hide(&["list[?@.a == \"x\"]"])].concat());
    let long = format!(r#"[{{"list":[{{"a":"{}"}},{{"a":"y"}}]}}]"#, "x".repeat(70_000));
    assert_eq!(answer(&plan, &long), r#"[{"list":[{"a":"y"}]}]"#);
    // A member that does not decide may occur twice.
    assert_eq!(
        answer(&plan, r#"[{"list":[{"a":"y","b":1,"b":2}]}]"#),
        r#"[{"list":[{"a":"y","b":1,"b":2}]}]"#
    );
}

#[test]
fn indexes_and_slices_count_from_the_end() {
    for (path, expected) in [
        ("l[-1]", "[5]"),
        ("l[-5]", "[1]"),
        ("l[-6]", ""),
        ("l[-2:]", "[4,5]"),
        ("l[:-3]", "[1,2]"),
        ("l[1:-1:2]", "[2,4]"),
        ("l[::-2]", "[1,3,5]"),
        ("l[-2:1:-1]", "[3,4]"),
        ("l[?@ > 3 && @ < 5]", "[4]"),
    ] {
        let expected = if expected.is_empty() { "[{}]".into() } else { format!(r#"[{{"l":{expected}}}]"#) };
        assert_eq!(answer(&one_rule(show(&[path])), r#"[{"l":[1,2,3,4,5]}]"#), expected, "{path}");
    }
    let many: Vec<String> = (0..40).map(|index| format!("l[{}]", index * 2)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(answer(&one_rule(show(&many)), r#"[{"l":[1,2,3,4,5]}]"#), r#"[{"l":[1,3,5]}]"#);
}

/// A related record is held by itself, within its parent or without.
#[test]
fn related_records_lists_of_lists_and_several_places_are_resolved() {
    let mut customer = rule("customer", vec![grant(show(&["id", "m[-1][?@.k]", "o.l[-1]"]))]);
    customer.relations = vec![(path("kids[*]"), fixed(1)), (path("boss"), fixed(1))];
    let contact = rule("contact", vec![grant(show(&["l[-1].v", r#"l[?@.k == "x"].w"#]))]);
    let input = r#"[{"kids":[{"l":[{"v":1,"w":1,"k":"x"},{"v":2,"w":2}]},{"l":[{"v":3}]}],"o":{"l":[1,2]},"boss":{"l":[{"w":4,"v":4},{"v":5}]},"m":[[{"k":1}],[{"k":2},{"j":3}]],"id":7}]"#;
    let expected = r#"[{"kids":[{"l":[{"w":1},{"v":2}]},{"l":[{"v":3}]}],"o":{"l":[2]},"boss":{"l":[{"v":5}]},"m":[[{"k":2}]],"id":7}]"#;
    let both = plan(Format::Json, many("$[*]"), vec![customer.clone(), contact.clone()]);
    assert_eq!(answer(&both, input), expected);
    let plain = RecordRule { grants: vec![grant(show(&["id"]))], ..customer };
    let related = plan(Format::Json, many("$[*]"), vec![plain, contact]);
    let expected = r#"[{"kids":[{"l":[{"w":1},{"v":2}]},{"l":[{"v":3}]}],"boss":{"l":[{"v":5}]},"id":7}]"#;
    assert_eq!(answer(&related, input), expected);
}

#[test]
fn text_that_holds_json_pairs_rows_and_lines_are_resolved_too() {
    let mut record = rule("r", vec![grant(show(&["e.l[-1]", "l[?@.k == 1].v"]))]);
    record.embedded = vec![path("e")];
    record.pairs = vec![Pairs { at: path("attrs[*]"), name: "name".into(), value: "value".into() }];
    let plan_of = |format, records| plan(format, records, vec![record.clone()]);
    let input = r#"[{"e":"{\"l\":[1,2]}","attrs":[{"value":[{"k":1,"v":3},{"k":2,"v":4}],"name":"l"}]}]"#;
    let expected = r#"[{"e":"{\"l\":[2]}","attrs":[{"value":[{"v":3}],"name":"l"}]}]"#;
    assert_eq!(answer(&plan_of(Format::Json, many("$[*]")), input), expected);
    let columns = vec![path("id"), path("l")];
    let records = Records::Rows { at: path("$[*]"), rule: RuleId(0), columns };
    let rows = plan_of(Format::Json, super::super::Layout { records, keep: Vec::new(), total: None });
    assert_eq!(answer(&rows, r#"[[1,[{"v":1,"k":1},{"v":2}]],[2,[]]]"#), r#"[[[{"v":1}]],[null]]"#);
    let line = r#"{"l":[{"v":1,"k":1},{"v":2}]}"#;
    assert_eq!(
        answer(&plan_of(Format::Ndjson, many("$[*]")), &format!("{line}\n{line}\n")),
        "{\"l\":[{\"v\":1}]}\n{\"l\":[{\"v\":1}]}\n"
    );
    assert_eq!(
        answer(&plan_of(Format::Sse, many("$[*]")), &format!("data: {line}\n\n")),
        "data: {\"l\":[{\"v\":1}]}\n\n"
    );
    assert_eq!(
        answer(&plan_of(Format::JsonSeq, many("$[*]")), &format!("\u{1e}{line}\n")),
        "\u{1e}{\"l\":[{\"v\":1}]}\n"
    );
}

/// A cell is not the list that it was taken from.
#[test]
fn columns_of_chosen_elements_are_hidden() {
    let csv = super::super::Csv { delimiter: b',', neutralise_formulas: false, headers: [].into() };
    let table =
        plan(Format::Csv(csv), many("$[*]"), vec![rule("r", vec![grant(show(&["id", "l[-1]", "l[*].v"]))])]);
    assert_eq!(answer(&table, "id,l[0],l[-1],l[0].v\n1,2,3,4\n"), "id\n1\n");
}

#[test]
fn a_record_that_is_held_for_a_filter_is_bounded() {
    let fields = show(&["l[-1]"]);
    let bounds = Bounds { record_bytes: 100, ..Bounds::default() };
    let plan = bounded(Format::Json, many("$[*]"), vec![rule("r", vec![grant(fields)])], bounds);
    let input = format!(r#"[{{"l":["{}"]}}]"#, "x".repeat(100));
    for cuts in [&[][..], &[20, 60]] {
        let given = feed(&plan, &no_params(), input.as_bytes(), cuts);
        assert_eq!((given.out.as_str(), given.result.unwrap_err().reason), ("[", CutReason::Record));
    }
}

/// Conditions, types and filters decide together, and nothing is carried over from one record to the next.
#[test]
fn conditions_and_filters_decide_about_the_same_record() {
    let mut params = ParamTable::default();
    let grants = vec![
        grant_if("record.k == 1", &mut params, show(&["l[-1]"])),
        grant_if("record.k >= 1", &mut params, show(&["l[0]", "k"])),
    ];
    let plan = plan(Format::Json, many("$[*]"), vec![rule("r", grants)]);
    let input = r#"[{"l":[1,2,3],"k":1},{"l":[4,5,6],"k":2},{"l":[7],"k":0},{"k":1,"l":[8,9]}]"#;
    assert_eq!(answer(&plan, input), r#"[{"l":[1,3],"k":1},{"l":[4],"k":2},{"k":1,"l":[8,9]}]"#);
    let cases = [("u".into(), RuleId(0))].into();
    let typed = RuleRef::ByType { at: path("t"), cases };
    let layout = super::super::Layout {
        records: Records::Many { at: path("$[*]"), rule: typed },
        keep: Vec::new(),
        total: None,
    };
    let plan = super::support::plan(Format::Json, layout, vec![rule("u", vec![grant(show(&["l[-1]"]))])]);
    assert_eq!(answer(&plan, r#"[{"l":[1,2],"t":"u"},{"l":[1,2],"t":"v"}]"#), r#"[{"l":[2]}]"#);
}
