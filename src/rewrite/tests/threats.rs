//! The threats of group J (JSON syntax), each under its name; group V is in `threats_values`. The secret is
//! `13800138000`; nothing of it may come out, and what may be seen comes out unchanged.

use std::sync::Arc;

use super::super::{CutReason, Format, Layout, Records, RewritePlan, RuleId, RuleRef};
use super::support::*;

/// Shows `id` and `name` of a single record.
pub(super) fn allow() -> Arc<RewritePlan> {
    plan(Format::Json, one("$"), vec![rule("c", vec![grant(show(&["id", "name"]))])])
}

/// Hides `Phone` of a single record and shows everything else.
fn deny() -> Arc<RewritePlan> {
    plan(Format::Json, one("$"), vec![rule("c", vec![open_grant(hide(&["Phone", "a/b"]))])])
}

/// The record comes out as `gives`, whole and for every cut, without the secret.
pub(super) fn gives(plan: &Arc<RewritePlan>, given: &str, gives: &str) {
    let text = out(plan, given);
    assert_eq!(text, gives, "{given}");
    assert!(!text.contains("1380013"), "{text}");
}

/// The answer is cut, and nothing of the secret came out before.
pub(super) fn closes(plan: &Arc<RewritePlan>, given: &[u8], reason: CutReason) {
    let all: Vec<usize> = (1..given.len()).collect();
    for cuts in [&[][..], &all] {
        let fed = feed(plan, &no_params(), given, cuts);
        assert_eq!(fed.result.map_err(|cut| cut.reason), Err(reason), "{}", String::from_utf8_lossy(given));
        assert!(!fed.out.contains("1380013"), "{}", fed.out);
    }
}

#[test]
fn j01_j02_escaped_keys_are_compared_decoded() {
    gives(&deny(), r#"{"Ph\u006fne":"13800138000","id":1}"#, r#"{"id":1}"#);
    gives(&deny(), r#"{"\u0050\u0068\u006F\u006e\u0065":"13800138000","id":1}"#, r#"{"id":1}"#);
    gives(&allow(), r#"{"Ph\u006fne":"13800138000","\u0069\u0064":1}"#, r#"{"\u0069\u0064":1}"#);
}

#[test]
fn j03_an_escaped_solidus_is_a_solidus() {
    gives(&deny(), r#"{"a\/b":"13800138000","id":1}"#, r#"{"id":1}"#);
}

#[test]
fn j04_j05_every_duplicate_is_judged() {
    gives(&deny(), r#"{"Phone":1,"id":1,"Phone":"13800138000"}"#, r#"{"id":1}"#);
    let nested = plan(Format::Json, one("$"), vec![rule("c", vec![open_grant(hide(&["x.Phone"]))])]);
    gives(&nested, r#"{"x":{"a":1},"x":{"Phone":"13800138000","b":2}}"#, r#"{"x":{"a":1},"x":{"b":2}}"#);
}

fn by_type() -> Arc<RewritePlan> {
    let cases = [("open".into(), RuleId(0)), ("shut".into(), RuleId(1))].into();
    let records = Records::Many { at: path("$[*]"), rule: RuleRef::ByType { at: path("type"), cases } };
    let rules = vec![rule("o", vec![grant(show(&["phone"]))]), rule("s", vec![grant(show(&["id"]))])];
    plan(Format::Json, Layout { records, keep: Vec::new(), total: None }, rules)
}

#[test]
fn j06_a_duplicate_discriminator_removes_the_record() {
    gives(
        &by_type(),
        r#"[{"type":"shut","phone":"13800138000","type":"open"},{"type":"open","phone":1}]"#,
        r#"[{"phone":1}]"#,
    );
}

#[test]
fn j07_j08_nothing_comes_out_before_its_filter_is_decided() {
    gives(&by_type(), r#"[{"phone":"13800138000","id":1,"type":"shut"}]"#, r#"[{"id":1}]"#);
    gives(
        &by_type(),
        r#"[{"phone":"13800138000"},{"phone":"13800138000","type":"other"},{"phone":"13800138000","type":null}]"#,
        "[]",
    );
    let open = by_type();
    let half = feed(&open, &no_params(), br#"[{"phone":"13800138000","type":"op"#, &[]);
    assert_eq!(half.out, "[", "undecided text stays inside");
}

#[test]
fn j09_j10_j11_other_spellings_of_a_hidden_name_are_hidden() {
    let plan = deny();
    gives(&plan, r#"{"phone":"13800138000","PHONE":"13800138000","id":1}"#, r#"{"id":1}"#);
    gives(
        &plan,
        "{\"Ｐｈｏｎｅ\":\"13800138000\",\"Pho\u{200d}ne\":\"13800138000\",\"id\":1}",
        r#"{"id":1}"#,
    );
    gives(&allow(), "{\"Рhone\":\"13800138000\",\"ID\":\"13800138000\",\"id\":1}", r#"{"id":1}"#);
    let accents =
        super::support::plan(Format::Json, one("$"), vec![rule("c", vec![open_grant(hide(&["café"]))])]);
    gives(&accents, "{\"cafe\u{301}\":\"13800138000\",\"id\":1}", r#"{"id":1}"#);
}

#[test]
fn j12_a_nul_does_not_end_a_name_and_is_escaped_in_the_counts() {
    let given = rewrite(&allow(), &no_params(), r#"{"id\u0000x":"13800138000","id":1}"#);
    assert_eq!(given.out, r#"{"id":1}"#);
    assert!(given.counts.unknown.iter().all(|name| !name.contains('\0') && name.contains("\\u0000")));
    gives(&deny(), r#"{"Phone\u0000":"13800138000","id":1}"#, r#"{"id":1}"#);
}

#[test]
fn j13_j14_lone_surrogates_cut_in_names_and_pass_in_values() {
    closes(&deny(), br#"{"\ud800":1,"Phone":"13800138000"}"#, CutReason::Encoding);
    gives(&allow(), r#"{"id":"\udc00\ud800x"}"#, r#"{"id":"\udc00\ud800x"}"#);
}

#[test]
fn j15_j16_invalid_and_overlong_utf8_is_cut() {
    for bad in [&b"\xff"[..], b"\xc0\xaf", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe7\x8e"]
    {
        for (before, after) in
            [("{\"id\":\"", "\"}"), ("{\"x\":\"", "\"}"), ("{\"", "\":1}"), ("{\"x\":[{\"y\":\"", "\"}]}")]
        {
            closes(&allow(), &[before.as_bytes(), bad, after.as_bytes()].concat(), CutReason::Encoding);
        }
    }
}

#[test]
fn j17_j18_a_byte_order_mark_goes_and_foreign_charsets_cut() {
    gives(&allow(), "\u{feff}{\"id\":1,\"Phone\":\"13800138000\"}", "{\"id\":1}");
    let utf16: Vec<u8> = "{\"id\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    closes(&allow(), &utf16, CutReason::Malformed);
    closes(&allow(), &[&[0xFF, 0xFE][..], &utf16].concat(), CutReason::Encoding);
    closes(&allow(), b"{\"id\":\"\xcd\xf5\"}", CutReason::Encoding);
}

#[test]
fn j19_j20_numbers_are_those_of_the_grammar_and_keep_every_digit() {
    for bad in ["NaN", "Infinity", "-Infinity", "0x10", "+1", ".5", "01", "1.", "1e", "--1", "1_0"] {
        for name in ["id", "x"] {
            closes(&allow(), format!("{{\"{name}\":{bad}}}").as_bytes(), CutReason::Malformed);
        }
    }
    let same = r#"{"id":123456789012345678901234567890.10e-400}"#;
    gives(&allow(), same, same);
}

#[test]
fn j21_j22_depth_passes_at_the_bound_and_cuts_beyond() {
    let nested =
        |name: &str, depth: usize| format!("{{\"{name}\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    gives(&allow(), &nested("id", 127), &nested("id", 127));
    gives(&allow(), &nested("x", 127), "{}");
    closes(&allow(), nested("id", 128).as_bytes(), CutReason::Depth);
    closes(&allow(), nested("x", 128).as_bytes(), CutReason::Depth);
    closes(&allow(), "[".repeat(100_000).as_bytes(), CutReason::Shape);
}

#[test]
fn j23_trailing_data_is_cut_and_never_passed() {
    closes(&allow(), br#"{"id":1}{"Phone":"13800138000"}"#, CutReason::Trailing);
    closes(&allow(), br#"{"id":1} 13800138000"#, CutReason::Trailing);
}

#[test]
fn j24_lines_and_sequences_are_filtered_one_by_one() {
    let lines = plan(Format::Ndjson, many("$[*]"), vec![rule("c", vec![grant(show(&["id"]))])]);
    gives(
        &lines,
        "{\"id\":1,\"Phone\":\"13800138000\"}\n\"13800138000\"\n{\"id\":2}\n",
        "{\"id\":1}\n{\"id\":2}\n",
    );
    let sequence = plan(Format::JsonSeq, many("$[*]"), vec![rule("c", vec![grant(show(&["id"]))])]);
    gives(
        &sequence,
        "\u{1e}{\"id\":1,\"Phone\":\"13800138000\"}\n\u{1e}\"13800138000\"\n",
        "\u{1e}{\"id\":1}\n",
    );
}

#[test]
fn j25_j26_j27_what_only_lenient_parsers_read_is_cut() {
    for bad in [
        "{\"id\":1/*x*/}",
        "{\"id\":1}//x",
        "{\"id\":1,}",
        "{'id':1}",
        "{id:1}",
        ")]}',\n{\"id\":1}",
        "while(1);{\"id\":1}",
        "cb({\"id\":1})",
        "{\"id\":1;}",
        "{\"id\" 1}",
        "{,\"id\":1}",
        "{\"id\":1,,\"x\":2}",
        "{\"id\":1 \"x\":2}",
        "\u{a0}{\"id\":1}",
        "{\"id\":1\u{2028}}",
    ] {
        let fed = feed(&allow(), &no_params(), bad.as_bytes(), &[]);
        assert!(fed.result.is_err(), "{bad}");
    }
}

#[test]
fn j28_any_cut_gives_the_same() {
    // `out` feeds every text whole, byte by byte, and in two pieces cut at every place.
    let plan = allow();
    let text = "{\"\\u0069d\":\"\\ud83d\\ude00王\\n\",\"x\":\"\\\\\\\"13800138000\",\"name\":-1.5e+10,\"y\":[true,false,null]}";
    gives(&plan, text, "{\"\\u0069d\":\"\\ud83d\\ude00王\\n\",\"name\":-1.5e+10}");
}

#[test]
fn j29_long_names_cut_and_long_values_flow() {
    closes(&allow(), format!("{{\"{}\":1}}", "k".repeat(2000)).as_bytes(), CutReason::Key);
    let long = format!("{{\"id\":\"{}\"}}", "v".repeat(300_000));
    let chunks: Vec<usize> = (1..long.len()).step_by(1000).collect();
    assert_eq!(feed(&allow(), &no_params(), long.as_bytes(), &chunks).out, long);
    let hidden = long.replace("id", "zz");
    assert_eq!(feed(&allow(), &no_params(), hidden.as_bytes(), &chunks).out, "{}");
}

#[test]
fn j30_a_truncated_answer_is_never_repaired() {
    let whole = r#"{"id":1,"name":"x","Phone":"13800138000"}"#;
    for length in 0..whole.len() {
        let fed = feed(&allow(), &no_params(), &whole.as_bytes()[..length], &[]);
        assert_eq!(fed.result.map_err(|cut| cut.reason), Err(CutReason::Truncated), "{length}");
        assert!(!fed.out.ends_with('}') && !fed.out.contains("138"), "{}", fed.out);
    }
}

#[test]
fn j31_raw_control_characters_in_strings_are_cut() {
    for control in 0..0x20u8 {
        for name in ["id", "x"] {
            closes(
                &allow(),
                &[format!("{{\"{name}\":\"a").as_bytes(), &[control], b"\"}"].concat(),
                CutReason::Malformed,
            );
        }
    }
    gives(&allow(), "{\"id\":\"\u{7f}\u{80}\"}", "{\"id\":\"\u{7f}\u{80}\"}");
}

#[test]
fn j32_odd_roots_are_cut_and_empty_containers_stay() {
    for root in ["\"13800138000\"", "13800138000", "true"] {
        closes(&allow(), root.as_bytes(), CutReason::Shape);
    }
    gives(&allow(), "{}", "{}");
    let list = plan(Format::Json, many("$[*]"), vec![rule("c", vec![grant(show(&["id"]))])]);
    gives(&list, "[]", "[]");
    closes(&list, b"{\"id\":\"13800138000\"}", CutReason::Shape);
}

#[test]
fn j33_j34_j35_names_that_mean_something_elsewhere_are_names() {
    let nested = plan(Format::Json, one("$"), vec![rule("c", vec![grant(show(&["a.b", "list[*].x"]))])]);
    gives(&nested, r#"{"a.b":"13800138000","a":{"b":1}}"#, r#"{"a":{"b":1}}"#);
    gives(&nested, r#"{"list[0].x":"13800138000","list":{"0":{"x":"13800138000"}}}"#, "{}");
    gives(
        &nested,
        r#"{"__proto__":{"a":{"b":"13800138000"}},"constructor":"13800138000","":"13800138000","*":"13800138000"}"#,
        "{}",
    );
    gives(&nested, r#"{"deep":{"a":{"b":"13800138000"}},"$":{"a":{"b":"13800138000"}}}"#, "{}");
}
