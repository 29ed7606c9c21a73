//! Formats that are made of lines.

use super::super::condition::ParamTable;
use super::super::{Bounds, Csv, CutReason, FieldCount, Format, Path, RewritePlan};
use super::support::*;

fn csv(neutralise_formulas: bool) -> Format {
    let headers = [("Phone Number".into(), Path::name("phone"))].into();
    Format::Csv(Csv { delimiter: b',', neutralise_formulas, headers })
}

fn customers(format: Format) -> std::sync::Arc<RewritePlan> {
    let mut params = ParamTable::default();
    let mut c = rule(
        "c",
        vec![
            grant_if(r#"record.region == "east""#, &mut params, show(&["id", "phone", "bank.account"])),
            grant_if(r#"record.region == "west""#, &mut params, show(&["id"])),
        ],
    );
    c.key = Some(path("id"));
    plan(format, many("$[*]"), vec![c])
}

#[test]
fn csv_drops_columns_rows_and_cells() {
    let plan = customers(csv(false));
    let given = rewrite(
        &plan,
        &no_params(),
        "id,secret,Phone Number,region,bank.account\r\n1,s,\"1,3\"\"8\",east,b\r\n2,s,139,west,b\r\n3,s,137,north,b\r\n\r\n4,\"s\n\",\"\",east,",
    );
    assert_eq!(given.result, Ok(()));
    assert_eq!(given.out, "id,Phone Number,bank.account\r\n1,\"1,3\"\"8\",b\r\n2,,\r\n4,\"\",");
    assert_eq!((given.counts.released, given.counts.withheld), (3, 1));
    assert_eq!(given.counts.fields["c.phone"], FieldCount { shown: 2, masked: 0, hidden: 1 });
    assert_eq!(given.counts.keys, ["1".into(), "2".into(), "4".into()]);
    assert!(given.counts.unknown.contains("secret"));
}

#[test]
fn csv_that_readers_disagree_about_is_cut() {
    let plan = customers(csv(false));
    for (bad, reason) in [
        ("id,region\n1\n", CutReason::Ragged),
        ("id,region\n1,east,3\n", CutReason::Ragged),
        ("id,region\n\"1,east\n", CutReason::Truncated),
        ("id,region\n1\"2\",east\n", CutReason::Malformed),
        ("id,region\n\"1\"2,east\n", CutReason::Malformed),
        ("id,region\r1,east\r", CutReason::Malformed),
    ] {
        assert_eq!(cut(&plan, bad), reason, "{bad:?}");
    }
    let bad = feed(&plan, &no_params(), b"id,region\n\xff,east\n", &[]);
    assert_eq!(bad.result.expect_err("cut").reason, CutReason::Encoding);
    assert_eq!(out(&plan, ""), "");
    assert_eq!(out(&plan, "secret,region\n1,east\n"), "");
}

#[test]
fn csv_loses_its_byte_order_mark_like_json() {
    let plan = customers(csv(false));
    assert_eq!(out(&plan, "\u{feff}id,region\n1,east\n"), "id\n1\n");
    assert_eq!(out(&plan, "\u{feff}\"id\",region\n1,east\n"), "\"id\"\n1\n");
}

/// A line with nothing on it would be no record to most readers.
#[test]
fn csv_keeps_a_record_whose_only_cell_is_empty() {
    let plan = customers(csv(false));
    let given = "Phone Number,region\n1,east\n,east\n2,west\n";
    assert_eq!(out(&plan, given), "Phone Number\n1\n\"\"\n\"\"\n");
}

#[test]
fn csv_that_deciding_columns_repeat_releases_nothing() {
    let plan = customers(csv(false));
    assert_eq!(out(&plan, "id,region,region\n1,east,west\n"), "id\n");
}

#[test]
fn e12_formulas_get_an_apostrophe_where_the_plan_says_so() {
    let plan = customers(csv(true));
    assert_eq!(
        out(&plan, "id,Phone Number,region\n=1+1,-5,east\n\"@a,\"\"b\",+86138,east\n"),
        "id,Phone Number\n'=1+1,-5\n\"'@a,\"\"b\",+86138\n"
    );
}

#[test]
fn csv_columns_reach_into_related_records() {
    let mut c = rule("c", vec![grant(show(&["id"]))]);
    c.relations = vec![(path("owner"), fixed(1))];
    let plan = plan(csv(false), many("$[*]"), vec![c, rule("u", vec![grant(show(&["name"]))])]);
    assert_eq!(out(&plan, "id,owner.name,owner.phone\n1,a,2\n"), "id,owner.name\n1,a\n");
}

#[test]
fn long_rows_and_events_are_cut() {
    let bounds = Bounds { line_bytes: 40, ..Bounds::default() };
    let rules = vec![rule("c", vec![grant(show(&["id"]))])];
    let rows = bounded(csv(false), many("$[*]"), rules.clone(), bounds.clone());
    let row = |bytes: usize| format!("id,x\n1,{}\n", "y".repeat(bytes - 3));
    assert_eq!(out(&rows, &row(40)), "id\n1\n");
    assert_eq!(cut(&rows, &row(41)), CutReason::Line);
    let events = bounded(Format::Sse, many("$[*]"), rules, bounds);
    let event = |bytes: usize| format!("data: {{\"id\":\"{}\"}}\n\n", "y".repeat(bytes - 15));
    assert_eq!(out(&events, &event(40)), event(40));
    assert_eq!(cut(&events, &event(42)), CutReason::Line);
}

#[test]
fn events_pass_with_their_records() {
    let plan = customers(Format::Sse);
    assert_eq!(
        out(
            &plan,
            ": ping\n\nretry: 3000\n\nevent: x\nid: 13800138000\ndata: {\"id\":1,\ndata:  \"region\":\"east\",\"s\":1}\n\ndata:{\"id\":2}\r\n\r\ndata: 5\r\rdata:{\"id\":3,\"region\":\"west\"}\n\n"
        ),
        ":\n\nretry: 3000\n\ndata: {\"id\":1}\n\ndata: {\"id\":3}\n\n"
    );
    assert_eq!(cut(&plan, "data: [DONE]\n\n"), CutReason::Malformed);
    assert_eq!(cut(&plan, "data: {\"id\":1}\n"), CutReason::Truncated);
}
