//! What the oracle and the fuzz targets found, each as a case of its own.

use super::super::{
    Access, Bounds, Csv, CutReason, Format, Layout, Pairs, Path, Records, RuleId, RuleRef, reference,
};
use super::support::*;

fn table() -> Format {
    Format::Csv(Csv { delimiter: b',', neutralise_formulas: false, headers: [].into() })
}

/// Headers were compared exactly, also where everything unnamed is shown.
#[test]
fn a_column_that_reads_like_a_hidden_one_is_hidden() {
    let plan =
        plan(table(), many("$[*]"), vec![rule("c", vec![open_grant(hide(&["phone", "bank.account"]))])]);
    assert_eq!(
        out(
            &plan,
            "id,PHONE,ｐhone,pho\u{200d}ne,Bank.Account\n1,13800138000,13800138000,13800138000,13800138000\n"
        ),
        "id\n1\n"
    );
}

/// Below a relation that the columns cannot follow, the parent's own selectors decided.
#[test]
fn a_column_of_a_related_record_is_never_the_parents_to_show() {
    let by_type = RuleRef::ByType { at: path("type"), cases: [("u".into(), RuleId(1))].into() };
    for related in [by_type, fixed(1), fixed(2)] {
        let mut c = rule("c", vec![open_grant(Vec::new())]);
        c.relations = vec![(path("owner"), related.clone()), (path("kids[*]"), related)];
        let rules = vec![c, rule("u", vec![grant(show(&["name"]))]), rule("n", Vec::new())];
        let plan = plan(table(), many("$[*]"), rules);
        let given =
            out(&plan, "id,owner.phone,kids[0].phone,owner,kids\n1,13800138000,13800138000,1380,1380\n");
        assert_eq!(given, "id\n1\n");
    }
}

/// The same for the columns of positional rows.
#[test]
fn a_row_column_that_reads_like_a_hidden_one_or_is_related_is_hidden() {
    let columns = ["id", "PHONE", "owner.phone"].map(path).to_vec();
    let records = Records::Rows { at: path("$[*]"), rule: RuleId(0), columns };
    let mut c = rule("c", vec![open_grant(hide(&["phone"]))]);
    c.relations = vec![(path("owner"), fixed(1))];
    let layout = Layout { records, keep: Vec::new(), total: None };
    let plan = plan(Format::Json, layout, vec![c, rule("u", Vec::new())]);
    assert_eq!(out(&plan, r#"[[1,"13800138000","13800138000"]]"#), "[[1]]");
}

/// And for the dotted names of name/value pairs.
#[test]
fn a_pair_whose_dotted_name_reads_like_a_hidden_one_or_is_related_goes() {
    let mut c = rule("c", vec![open_grant(hide(&["bank.account"]))]);
    c.relations = vec![(path("owner"), fixed(1))];
    c.pairs = vec![Pairs { at: path("fields[*]"), name: "name".into(), value: "value".into() }];
    let plan = plan(Format::Json, one("$"), vec![c, rule("u", Vec::new())]);
    assert_eq!(
        out(
            &plan,
            r#"{"fields":[{"name":"Bank.Account","value":"1380"},{"name":"owner.phone","value":"1380"},{"name":"x.y","value":1}]}"#
        ),
        r#"{"fields":[{"name":"x.y","value":1}]}"#
    );
}

/// JSON inside a text is as deep as the text that holds it, and no deeper than the bound in all.
#[test]
fn json_in_a_text_shares_the_depth_bound() {
    let mut c = rule("c", vec![grant(vec![select("data.a", Access::Show)])]);
    c.embedded = vec![path("data")];
    let bounds = Bounds { depth: 4, ..Bounds::default() };
    let plan = bounded(Format::Json, many("$[*]"), vec![c], bounds);
    let fits = r#"[{"data":"{\"a\":1}"}]"#;
    assert_eq!(out(&plan, fits), fits);
    assert_eq!(out(&plan, r#"[{"data":"{\"a\":1,\"b\":[]}"}]"#), "[{}]");
}

/// A type of row that is never released said the names of columns that only related records show.
#[test]
fn a_type_of_row_without_grants_shows_no_column() {
    let mut shut = rule("s", Vec::new());
    shut.relations = vec![(path("owner"), fixed(1))];
    let cases = [("open".into(), RuleId(1)), ("shut".into(), RuleId(0))].into();
    let records = Records::Many { at: path("$[*]"), rule: RuleRef::ByType { at: path("type"), cases } };
    let layout = Layout { records, keep: Vec::new(), total: None };
    let plan = plan(table(), layout, vec![shut, rule("u", vec![grant(show(&["name"]))])]);
    assert_eq!(out(&plan, "type,name,owner.name\nshut,1380,1380\nopen,x,1380\n"), "name\nx\n");
}

/// An object passed, emptied or with what the envelope keeps, where a list of records was promised.
#[test]
fn what_is_kept_of_the_envelope_does_not_say_what_stands_around_the_records() {
    let records = Records::Many { at: path("$[*]"), rule: fixed(0) };
    let layout = Layout { records, keep: vec![path("$.page")], total: None };
    let plan = plan(Format::Json, layout, vec![rule("c", vec![grant(show(&["id"]))])]);
    assert_eq!(cut(&plan, "{}"), CutReason::Shape);
    assert_eq!(cut(&plan, r#"{"page":"13800138000"}"#), CutReason::Shape);
    assert_eq!(out(&plan, r#"[{"id":1,"page":2}]"#), r#"[{"id":1}]"#);
}

/// A text in the place of a related record was taken for something inside it.
#[test]
fn a_column_in_the_place_of_a_related_record_is_dropped() {
    let mut c = rule("c", vec![grant(show(&["id"]))]);
    c.relations = vec![(path("owner"), fixed(1))];
    let plan = plan(table(), many("$[*]"), vec![c, rule("u", vec![open_grant(Vec::new())])]);
    assert_eq!(out(&plan, "id,owner,owner.name\n1,13800138000,x\n"), "id,owner.name\n1,x\n");
}

/// The dotted form took indexes that JSONPath refuses.
#[test]
fn an_index_is_one_that_jsonpath_has_too() {
    for text in ["a[07]", "a[00]", "a[9007199254740992]", "a[799009949447092543]", "a[01:2]", "a[1:02]"] {
        assert!(Path::parse_field(text).is_err(), "{text}");
    }
    for text in ["a[0]", "a[9007199254740991]", "a[0:9007199254740991]"] {
        let path = path(text);
        assert_eq!(Path::parse_jsonpath(&path.to_jsonpath()).as_ref(), Ok(&path), "{text}");
    }
}

/// A guard that counts from the end made the oracle wait for records that nothing releases.
#[test]
fn a_record_that_nothing_releases_is_not_waited_for() {
    let mut r = rule("r", Vec::new());
    r.guards = vec![hide(&["l[-1]"])];
    let bounds = Bounds { record_bytes: 20, ..Bounds::default() };
    let plan = bounded(Format::Json, many("$[*]"), vec![r], bounds);
    let input = format!(r#"[{{"l":["{}"]}}]"#, "x".repeat(100));
    assert_eq!(out(&plan, &input), "[]");
    assert!(reference::rewrite(&plan, &no_params(), input.as_bytes()).is_some());
}
