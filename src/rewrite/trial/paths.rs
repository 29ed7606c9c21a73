//! Paths: what is read prints as what it was, leads where RFC 9535 says (as jsonpath-rust evaluates it), and the automaton
//! follows it to the same places.

use std::collections::BTreeSet;

use jsonpath_rust::JsonPath as _;
use serde_json::Value;

use super::super::{Path, Step, automaton, reference};
use super::Dice;

const DOCUMENTS: [&str; 3] = [
    r#"{"a":{"b":[1,{"a":2,"c":[[3]]},[4,5,6,7]],"c":null},"b":"x","list":[{"a":1},{"b":{"a":[]}},3,{"a":{}}]}"#,
    r#"[[0,1,2,3,4,5,6,7,8,9,10],{"a":[{"a":{"a":1}}],"*":2,"a b":3,"客户":{"b":4}},"x"]"#,
    r#"{"":{"'":1,"\"":{"a":2},"\\":[true]},"length":[0],"@x":{"$":{"b":1}}}"#,
];
const PIECES: [&str; 40] = [
    "$",
    ".a",
    ".b",
    ".c",
    "..a",
    "..b",
    "..*",
    "..[0]",
    "..[*]",
    ".*",
    "[*]",
    "[0]",
    "[1]",
    "[-1]",
    "[1:]",
    "[:2]",
    "[::2]",
    "[1:9:3]",
    "['a']",
    "[\"b\"]",
    "['a b']",
    "['\\u0061']",
    "[\"'\"]",
    "['\\'']",
    "['']",
    ".list",
    ".客户",
    "['*']",
    "[ 0 ]",
    " ",
    "\t",
    "['a','b']",
    "[?@.a]",
    "[0,1]",
    "a",
    "[",
    "]",
    "'",
    ".length",
    "[01]",
];

/// A path as it stands, or put together from pieces of paths.
pub(crate) fn fuzz(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    let text = if mode % 2 == 0 {
        String::from_utf8_lossy(rest).into_owned()
    } else {
        let mut dice = Dice::from_bytes(rest);
        let pieces: String = (0..dice.below(7)).map(|_| dice.pick(&PIECES)).collect();
        format!("${pieces}")
    };
    check(&text);
}

fn check(text: &str) {
    if let Ok(path) = Path::parse_field(text) {
        assert_eq!(Path::parse_field(&path.to_string()).as_ref(), Ok(&path), "{text:?}");
        assert_eq!(Path::parse_jsonpath(&path.to_jsonpath()).as_ref(), Ok(&path), "{text:?}");
    }
    let Ok(path) = Path::parse_jsonpath(text) else { return };
    assert_eq!(Path::parse_jsonpath(&path.to_jsonpath()).as_ref(), Ok(&path), "{text:?}");
    // The wildcard in brackets is for arrays only here.
    let any =
        path.steps().iter().map(|step| if *step == Step::Elements { &Step::Any } else { step }).cloned();
    let any = Path(any.collect());
    for document in DOCUMENTS {
        let value: Value = serde_json::from_str(document).expect(document);
        let found = value.query_with_path(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let theirs: BTreeSet<String> = found.into_iter().map(|found| found.path()).collect();
        let mut ours = BTreeSet::new();
        places(&value, &mut Vec::new(), &mut |place, printed| {
            let leads = reference::leads(&path, place);
            if let Some(automaton) = automaton::leads(&path, &Path(place.to_vec())) {
                assert_eq!(automaton, leads, "{text:?} at {printed}");
            }
            if reference::leads(&any, place) {
                ours.insert(printed);
            }
        });
        assert_eq!(ours, theirs, "{text:?} in {document}");
    }
}

/// The places of a document that a path leads to, as normalized paths.
#[cfg(test)]
pub(crate) fn found(path: &Path, document: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    places(document, &mut Vec::new(), &mut |place, printed| {
        if reference::leads(path, place) {
            found.insert(printed);
        }
    });
    found
}

fn escaped(c: char) -> String {
    match c {
        '\'' | '\\' => format!("\\{c}"),
        '\u{8}' => "\\b".into(),
        '\t' => "\\t".into(),
        '\n' => "\\n".into(),
        '\u{c}' => "\\f".into(),
        '\r' => "\\r".into(),
        '\0'..='\u{1f}' => format!("\\u{:04x}", u32::from(c)),
        c => c.into(),
    }
}

/// Every place in a document, as steps and as a normalized path (RFC 9535 section 2.7).
fn places(value: &Value, place: &mut Vec<Step>, visit: &mut dyn FnMut(&[Step], String)) {
    let printed: String = place
        .iter()
        .map(|step| match step {
            Step::Name(name) => format!("['{}']", name.chars().map(escaped).collect::<String>()),
            step => step.to_string(),
        })
        .collect();
    visit(place, format!("${printed}"));
    let below: Vec<(Step, &Value)> = match value {
        Value::Array(items) => {
            items.iter().zip(0..).map(|(item, index)| (Step::Index(index), item)).collect()
        }
        Value::Object(members) => {
            members.iter().map(|(name, value)| (Step::Name(name.as_str().into()), value)).collect()
        }
        _ => Vec::new(),
    };
    for (step, value) in below {
        place.push(step);
        places(value, place, visit);
        place.pop();
    }
}
