use proptest::prelude::*;

use super::{Dice, Form, answers, charsets, codecs, conditions, paths};

/// A target, and what it does with a case.
type Target = (&'static str, fn(&[u8]));

const TARGETS: &[Target] = &[
    ("json", |data| answers::fuzz(Form::Json, data)),
    ("sse", |data| answers::fuzz(Form::Events, data)),
    ("csv", |data| answers::fuzz(Form::Table, data)),
    ("codecs", codecs::fuzz),
    ("charset", charsets::fuzz),
    ("path", paths::fuzz),
    ("conditions", conditions::fuzz),
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
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn conditions_agree_with_the_cel_interpreter(seed in any::<u64>()) {
        conditions::agrees(&mut Dice::new(seed));
    }

    #[test]
    fn paths_lead_where_the_standard_says(choices in prop::collection::vec(any::<u8>(), 1..9)) {
        paths::fuzz(&[&[1], &choices[..]].concat());
    }

    #[test]
    fn codecs_agree_with_other_readers(bytes in prop::collection::vec(any::<u8>(), 3..300)) {
        codecs::fuzz(&bytes);
    }

    #[test]
    fn charsets_agree_with_the_whole(bytes in prop::collection::vec(any::<u8>(), 2..100)) {
        charsets::fuzz(&bytes);
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
