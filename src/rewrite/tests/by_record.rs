//! Masks that depend on another member of the record.

use std::sync::Arc;

use super::super::condition::{ParamTable, Predicate};
use super::super::mask::{Keys, Mask, MaskSpec, Masks, Scalar};
use super::super::{Access, Csv, Format, RewritePlan, reference};
use super::support::*;

/// A mask of a condition: `138****8000` where it is met, `***` where it is not.
fn mask(when: &str, names: [&str; 2], params: &mut ParamTable) -> Arc<Mask> {
    let keep = MaskSpec::Keep { first: 3, last: 4, fill: '*' };
    let masks = Masks::build([("phone", &keep)], &Keys::default()).expect("masks");
    let [then, otherwise] = names.map(|name| Arc::clone(masks.get(name).expect(name)));
    let when = Arc::new(Predicate::compile(when, params).expect(when));
    Arc::new(Mask::by_record("phone_by_country", when, then, otherwise).expect("of two plain ones"))
}

fn masked(when: &str, names: [&str; 2], format: Format) -> Arc<RewritePlan> {
    let access = Access::Mask(mask(when, names, &mut ParamTable::default()));
    let mut fields = show(&["id"]);
    fields.push(select("phone", access));
    plan(format, many("$[*]"), vec![rule("customer", vec![grant(fields)])])
}

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
fn each_record_decides_which_mask_it_gets() {
    let plan = masked("record.country == \"CN\"", ["phone", "stars"], Format::Json);
    let input =
        r#"[{"id":1,"phone":"13800138000","country":"CN"},{"country":"DE","phone":"13800138000","id":2}]"#;
    assert_eq!(answer(&plan, input), r#"[{"id":1,"phone":"138****8000"},{"phone":"***","id":2}]"#);
    let csv = Csv { delimiter: b',', neutralise_formulas: false, headers: [].into() };
    let table = masked("record.country == \"CN\"", ["phone", "stars"], Format::Csv(csv));
    let input = "phone,country\n13800138000,CN\n13800138000,DE\n";
    assert_eq!(answer(&table, input), "phone\n138****8000\n***\n");
    let lines = masked("record.country == \"CN\"", ["phone", "stars"], Format::Ndjson);
    assert_eq!(answer(&lines, "{\"phone\":\"13800138000\"}\n"), "{\"phone\":\"***\"}\n");
}

/// Missing, of the wrong type, twice: whichever way the condition is written.
#[test]
fn a_condition_without_a_value_takes_the_less_revealing_mask() {
    for (when, names) in
        [("record.open == true", ["phone", "stars"]), ("record.closed == true", ["stars", "phone"])]
    {
        let plan = masked(when, names, Format::Json);
        for record in [
            r#"{"phone":"13800138000"}"#,
            r#"{"phone":"13800138000","open":"yes","closed":"no"}"#,
            r#"{"open":true,"closed":false,"phone":"13800138000","open":false,"closed":true}"#,
            r#"{"open":1e999,"closed":1e999,"phone":"13800138000"}"#,
        ] {
            assert_eq!(answer(&plan, &format!("[{record}]")), r#"[{"phone":"***"}]"#, "{when} {record}");
        }
    }
}

/// Of two permissions' masks the less revealing one of this record is applied.
#[test]
fn strength_is_that_of_the_mask_which_the_record_takes() {
    let mut params = ParamTable::default();
    let by_country = mask("record.country == \"CN\"", ["phone", "stars"], &mut params);
    let wide = MaskSpec::Keep { first: 4, last: 4, fill: '*' };
    let wide = Masks::build([("wide", &wide)], &Keys::default()).expect("masks");
    let wide = Access::Mask(Arc::clone(wide.get("wide").expect("mask")));
    let grants = [Access::Mask(by_country), wide].map(|access| grant(vec![select("phone", access)])).into();
    let plan = plan(Format::Json, many("$[*]"), vec![rule("customer", grants)]);
    let input = r#"[{"country":"CN","phone":"13800138000"},{"country":"DE","phone":"13800138000"},{"phone":"13800138000"}]"#;
    assert_eq!(answer(&plan, input), r#"[{"phone":"138****8000"},{"phone":"***"},{"phone":"***"}]"#);
}

#[test]
fn a_mask_that_comes_back_is_recognised_whichever_it_was() {
    let mask = mask("record.a == 1", ["phone", "stars"], &mut ParamTable::default());
    assert!(mask.could_have_written(Scalar::Text("138****8000")));
    assert!(mask.could_have_written(Scalar::Text("***")));
    assert!(!mask.could_have_written(Scalar::Text("13800138000")));
    let choice = mask.choice().expect("a choice");
    assert_eq!(mask.strength(), choice.then.strength());
    assert!(Mask::by_record("x", choice.when.clone(), mask.clone(), choice.then.clone()).is_none());
}
