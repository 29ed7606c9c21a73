use proptest::prelude::*;

use super::{Form, answers};

/// A target, and what it does with a case.
type Target = (&'static str, fn(&[u8]));

const TARGETS: &[Target] = &[
    ("json", |data| answers::fuzz(Form::Json, data)),
    ("sse", |data| answers::fuzz(Form::Events, data)),
    ("csv", |data| answers::fuzz(Form::Table, data)),
];

/// Every case that a fuzzer found worth keeping.
#[test]
fn the_kept_cases_of_the_fuzz_targets_hold() {
    for (target, fuzz) in TARGETS {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
        let cases: Vec<_> =
            std::fs::read_dir(&folder).expect(target).map(|case| case.expect("case").path()).collect();
        assert!(cases.len() >= 3, "{target} has {} kept cases", cases.len());
        for case in cases {
            println!("{}", case.display());
            fuzz(&std::fs::read(case).expect("case"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_agrees_with_the_reference_for_every_cut(seed in any::<u64>()) {
        answers::agrees(Form::Json, seed);
    }

    #[test]
    fn events_agree_with_the_reference_for_every_cut(seed in any::<u64>()) {
        answers::agrees(Form::Events, seed);
    }

    #[test]
    fn tables_agree_with_the_reference_for_every_cut(seed in any::<u64>()) {
        answers::agrees(Form::Table, seed);
    }

    #[test]
    fn no_bytes_make_a_fuzz_target_fail(bytes in prop::collection::vec(any::<u8>(), 5..200)) {
        for (_, fuzz) in TARGETS {
            fuzz(&bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn no_byte_of_a_hidden_value_comes_out(seed in any::<u64>()) {
        for form in [Form::Json, Form::Events, Form::Table] {
            answers::canary(form, seed);
        }
    }
}
