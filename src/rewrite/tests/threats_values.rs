//! The threats of group V (the value travels elsewhere than its field), each under its name; see `threats`, which holds
//! group J. The secret is `13800138000`.

use std::sync::Arc;

use super::super::condition::ParamTable;
use super::super::mask::{Detector, Keys, Mask, MaskSpec, Masks};
use super::super::{Access, CutReason, Format, Layout, Pairs, Records, RewritePlan, RuleId};
use super::support::*;
use super::threats::{allow, closes, gives};
use crate::base::Secret;

/// A mask under a key.
fn keyed(spec: &MaskSpec, key: &str) -> Arc<Mask> {
    let mut keys = Keys::default();
    keys.insert("k", Secret::new(key.repeat(32).into_bytes()));
    Arc::clone(Masks::build([("m", spec)], &keys).expect("mask").get("m").expect("mask"))
}

/// Shows `id` and masks one field of a single record.
fn masking(field: &str, mask: &Arc<Mask>) -> Arc<RewritePlan> {
    let fields = [show(&["id"]), vec![select(field, Access::Mask(Arc::clone(mask)))]].concat();
    plan(Format::Json, one("$"), vec![rule("c", vec![grant(fields)])])
}

fn scrub() -> Arc<Mask> {
    let detectors =
        vec![Detector::Phone, Detector::Email, Detector::IdCard, Detector::BankCard, Detector::Iban];
    keyed(&MaskSpec::Detect { detectors, with: "stars".into() }, "a")
}

#[test]
fn v01_v02_v04_v10_v13_unnamed_copies_are_hidden() {
    gives(
        &allow(),
        r#"{"id":1,"Phone@odata.type":"13800138000","phone_display":"13800138000","label":"x 13800138000","blob":"MTM4MDAxMzgwMDA=","history":[{"field":"Phone","old":"13800138000"}],"_score":13800138000}"#,
        r#"{"id":1}"#,
    );
}

#[test]
fn v03_json_in_a_text_is_rewritten_within() {
    let mut c = rule("c", vec![grant(show(&["data.id"]))]);
    c.embedded = vec![path("data")];
    let plan = plan(Format::Json, one("$"), vec![c]);
    gives(&plan, r#"{"data":"{\"id\":1,\"Phone\":\"13800138000\"}"}"#, r#"{"data":"{\"id\":1}"}"#);
    gives(&plan, r#"{"data":"{\"id\":1,\"Phone\":\"13800138000\""}"#, "{}");
    gives(&plan, r#"{"data":"13800138000"}"#, "{}");
}

#[test]
fn v06_v07_positional_rows_lose_the_column_and_ragged_rows_cut() {
    let records =
        Records::Rows { at: path("$.rows[*]"), rule: RuleId(0), columns: vec![path("phone"), path("id")] };
    let layout = Layout { records, keep: Vec::new(), total: None };
    let plan = plan(Format::Json, layout, vec![rule("c", vec![grant(show(&["id"]))])]);
    gives(
        &plan,
        r#"{"columns":["phone","id"],"rows":[["13800138000",1],["13800138000",2]]}"#,
        r#"{"rows":[[1],[2]]}"#,
    );
    closes(&plan, br#"{"rows":[["13800138000"]]}"#, CutReason::Ragged);
    closes(&plan, br#"{"rows":[["13800138000",1,"13800138000"]]}"#, CutReason::Ragged);
}

#[test]
fn v08_v09_pairs_go_whole_and_data_as_names_is_hidden() {
    let mut c = rule("c", vec![grant(show(&["id"]))]);
    c.pairs = vec![Pairs { at: path("fields[*]"), name: "name".into(), value: "value".into() }];
    let plan = plan(Format::Json, one("$"), vec![c]);
    gives(
        &plan,
        r#"{"fields":[{"name":"Phone","value":"13800138000"},{"value":1,"name":"id"}]}"#,
        r#"{"fields":[{"value":1,"name":"id"}]}"#,
    );
    gives(
        &plan,
        r#"{"fields":[{"name":"id","name":"Phone","value":"13800138000"}],"13800138000":{"id":1}}"#,
        "{}",
    );
}

#[test]
fn v15_a_value_is_masked_the_same_wherever_a_rule_masks_it() {
    let mask =
        super::super::mask::Masks::build([], &super::super::mask::Keys::default()).expect("built-in masks");
    let stars = Arc::clone(mask.get("stars").expect("stars"));
    let fields =
        ["phone", "list[*].phone"].map(|place| select(place, super::super::Access::Mask(Arc::clone(&stars))));
    let plan = plan(Format::Json, one("$"), vec![rule("c", vec![grant(fields.into())])]);
    gives(
        &plan,
        r#"{"phone":"13800138000","list":[{"phone":"13800138000"},{"phone":13800138000}],"phone":{"x":"13800138000"}}"#,
        r#"{"phone":"***","list":[{"phone":"***"},{"phone":null}],"phone":null}"#,
    );
}

#[test]
fn v18_related_records_are_under_their_own_rule_at_any_depth() {
    let mut params = ParamTable::default();
    let mut user = rule("u", vec![grant_if("record.open == true", &mut params, show(&["id"]))]);
    user.relations = vec![(path("boss"), fixed(0))];
    let plan = plan(Format::Json, one("$"), vec![user]);
    gives(
        &plan,
        r#"{"id":1,"open":true,"boss":{"id":2,"open":true,"phone":"13800138000","boss":{"id":"13800138000","open":false}}}"#,
        r#"{"id":1,"boss":{"id":2,"boss":null}}"#,
    );
}

/// Free text is covered only where a mask looks for values in it: elsewhere it is shown or hidden whole.
#[test]
fn v05_free_text_is_scrubbed_where_the_plan_says_so() {
    let notes = masking("notes", &scrub());
    gives(
        &notes,
        r#"{"notes":"call 13800138000 or x@example.com","id":1}"#,
        r#"{"notes":"call *** or ***","id":1}"#,
    );
    gives(&notes, r#"{"notes":"call 138\u00300138\u003000"}"#, r#"{"notes":"call ***"}"#);
    gives(&notes, r#"{"notes":["13800138000"],"id":1}"#, r#"{"notes":null,"id":1}"#);
    gives(&allow(), r#"{"notes":"call 13800138000","id":1}"#, r#"{"id":1}"#);
}

/// `gives` feeds the text byte by byte and cut at every place; here the chunks are as large as a network's.
#[test]
fn v05_no_token_is_split_at_a_chunk_seam() {
    let notes = masking("notes", &scrub());
    for before in [1400, 1440, 1449, 4090, 8185] {
        let text = format!("{{\"notes\":\"{} 13800138000 \",\"id\":1}}", "x".repeat(before));
        for size in [1, 7, 1460, 4096] {
            let cuts: Vec<usize> = (size..text.len()).step_by(size).collect();
            let fed = feed(&notes, &no_params(), text.as_bytes(), &cuts);
            assert_eq!(fed.result, Ok(()));
            assert!(fed.out.contains(" *** ") && !fed.out.contains("138"), "{before} {size}");
        }
    }
}

/// A text that is too long to be looked through goes, it is not passed unread.
#[test]
fn v05_text_beyond_the_bound_becomes_null() {
    let notes = masking("notes", &scrub());
    let text = format!("{{\"notes\":\"{} 13800138000\",\"id\":1}}", "x".repeat(64 << 10));
    let fed = feed(&notes, &no_params(), text.as_bytes(), &[10, 40_000]);
    assert_eq!(fed.out, r#"{"notes":null,"id":1}"#);
}

#[test]
fn v11_an_id_that_embeds_the_value_is_tokenised() {
    let spec = MaskSpec::Pseudonym {
        key: "k".into(),
        length: 16,
        alphabet: "abcdefghjkmnpqrstuvwxyz23456789".into(),
        version: None,
    };
    let mask = keyed(&spec, "a");
    let plan = masking("ref", &mask);
    let token = |value: &str| {
        let text = out(&plan, &format!("{{\"ref\":\"{value}\"}}"));
        assert!(!text.contains("138"), "{text}");
        text
    };
    assert_eq!(token("C-13800138000"), token("C-13800138000"), "the same person, the same token");
    assert_ne!(token("C-13800138000"), token("C-13800138001"));
    gives(&allow(), r#"{"ref":"C-13800138000","id":1}"#, r#"{"id":1}"#);
}

#[test]
fn v14_facets_and_suggestions_go_with_the_envelope() {
    let records = Records::Many { at: path("$.hits.data[*]"), rule: fixed(0) };
    let layout = Layout { records, keep: vec![path("$.page")], total: None };
    let plan = plan(Format::Json, layout, vec![rule("c", vec![grant(show(&["id"]))])]);
    gives(
        &plan,
        r#"{"page":1,"facets":{"phone":{"13800138000":2}},"hits":{"max":13800138000,"data":[{"id":1,"_highlight":{"phone":["13800138000"]}}],"suggest":["13800138000"]},"aggregations":[{"key":"13800138000"}]}"#,
        r#"{"page":1,"hits":{"data":[{"id":1}]}}"#,
    );
}

#[test]
fn v16_a_mask_of_fixed_width_says_nothing_of_the_value() {
    let stars =
        masking("phone", Masks::build([], &Keys::default()).expect("masks").get("stars").expect("stars"));
    for value in ["", "1", "13800138000", "+86 138 0013 8000 ext. 9", "王"] {
        gives(&stars, &format!("{{\"phone\":\"{value}\"}}"), r#"{"phone":"***"}"#);
    }
    // The type rule: a mask of texts makes `null` of everything else.
    for value in ["13800138000", "true", "null", "[\"13800138000\"]", "{\"x\":13800138000}"] {
        gives(&stars, &format!("{{\"phone\":{value}}}"), r#"{"phone":null}"#);
    }
    // What keeps ends keeps nothing of a value that is no longer than its ends.
    let keep = masking("phone", &keyed(&MaskSpec::Keep { first: 3, last: 4, fill: '*' }, "a"));
    gives(&keep, r#"{"phone":"1380013"}"#, r#"{"phone":"*******"}"#);
}

#[test]
fn v17_tokens_depend_on_the_key_and_are_no_bare_hash() {
    use sha2::Digest as _;
    let spec = MaskSpec::Hash { key: "k".into(), length: 32 };
    let [first, second] =
        ["a", "b"].map(|key| out(&masking("phone", &keyed(&spec, key)), r#"{"phone":"13800138000"}"#));
    assert_ne!(first, second);
    let bare: String =
        sha2::Sha256::digest(b"13800138000").iter().map(|byte| format!("{byte:02x}")).collect();
    let token = first.split('"').nth(3).expect("token");
    assert!(!bare.contains(token.get(..8).expect("long")), "{token}");
}
