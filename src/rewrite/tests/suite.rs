//! The JSON parsing suite and the JSONPath compliance suite, where they are at hand: next to the repository, in
//! `shared/suites`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::trial::paths;
use super::super::{Format, Layout, Path, Records};
use super::support::{feed, no_params, path, plan};

#[test]
fn the_parsing_suite_passes_whole_and_byte_by_byte() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/suites/JSONTestSuite/test_parsing");
    let Ok(files) = std::fs::read_dir(folder) else {
        println!("skipped: {folder} is not there");
        return;
    };
    let layout = Layout { records: Records::None, keep: vec![path("$")], total: None };
    let plan = plan(Format::Json, layout, Vec::new());
    let mut seen = 0;
    for file in files {
        let file = file.expect("file");
        let name = file.file_name().into_string().expect("name");
        let input = std::fs::read(file.path()).expect("input");
        let whole = feed(&plan, &no_params(), &input, &[]);
        let all: Vec<usize> = (1..input.len()).collect();
        let pieces = feed(&plan, &no_params(), &input, &all);
        assert_eq!(whole.result.is_ok(), pieces.result.is_ok(), "{name}");
        match name.as_bytes()[0] {
            b'y' => {
                assert_eq!(whole.result, Ok(()), "{name}");
                let text = String::from_utf8(input).expect(&name);
                assert_eq!(whole.out, text.strip_prefix('\u{feff}').unwrap_or(&text), "{name}");
                assert_eq!(whole.out, pieces.out, "{name}");
            }
            b'n' => assert!(whole.result.is_err(), "{name}: {}", whole.out),
            _ => {}
        }
        seen += 1;
    }
    assert!(seen > 300, "{seen} files");
}

/// What of the suite cannot be followed is refused, for one of the reasons that `docs/fail-closed.md` lists;
/// everything else leads where the suite says.
#[test]
fn the_jsonpath_suite_leads_where_it_says_or_is_refused_for_a_stated_reason() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/suites/jsonpath-cts/cts.json");
    let Ok(text) = std::fs::read_to_string(file) else {
        println!("skipped: {file} is not there");
        return;
    };
    let suite: Value = serde_json::from_str(&text).expect("suite");
    let (mut led, mut refused) = (0, 0);
    for test in suite["tests"].as_array().expect("tests") {
        let selector = test["selector"].as_str().expect("selector");
        let parsed = Path::parse_jsonpath(selector);
        if test["invalid_selector"] == true {
            assert!(parsed.is_err(), "{selector:?} is invalid and was read as {parsed:?}");
            continue;
        }
        match parsed {
            Ok(path) => {
                let (one, several) = (&test["result_paths"], &test["results_paths"]);
                let expected = if one.is_array() { one } else { &several[0] };
                let expected = expected.as_array().expect(selector).iter();
                let expected: BTreeSet<&str> = expected.map(|path| path.as_str().expect("path")).collect();
                let found = paths::found(&path, &test["document"]).expect(selector);
                assert_eq!(
                    found.iter().map(String::as_str).collect::<BTreeSet<_>>(),
                    expected,
                    "{selector:?}"
                );
                led += 1;
            }
            Err(error) => {
                let stated = REFUSED.iter().any(|reason| error.message.contains(reason));
                assert!(stated, "{selector:?}: {}", error.message);
                refused += 1;
            }
        }
    }
    assert_eq!((led, refused), (387, 69), "the page `docs/fail-closed.md` says what is refused");
}

const REFUSED: [&str; 10] = [
    "as an argument is not supported in filters",
    "several selectors in one",
    "the step of a slice must not be 0",
    "blank ",
    "a filter looks at the element",
    "a place in a filter is names and indexes",
    "cannot be compared in filters",
    "the argument of a function in a filter",
    "the pattern of `match` and `search`",
    "no escape of RFC 9485 patterns",
];
