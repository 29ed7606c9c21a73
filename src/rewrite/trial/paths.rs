//! Paths: what is read prints as what it was, leads where RFC 9535 says (as jsonpath-rust evaluates it), and the automaton
//! follows it to the same places.

use std::collections::BTreeSet;

use jsonpath_rust::JsonPath as _;
use serde_json::Value;

use super::super::condition::Slot;
use super::super::path::{Ambiguous, Hop, Query, Wanted};
use super::super::{Choice, Path, Step, automaton, reference};
use super::Dice;

const DOCUMENTS: [&str; 3] = [
    r#"{"a":{"b":[1,{"a":2,"c":[[3]]},[4,5,6,7]],"c":null},"b":"x","list":[{"a":1},{"b":{"a":[]}},3,{"a":{}}]}"#,
    r#"[[0,1,2,3,4,5,6,7,8,9,10],{"a":[{"a":{"a":1}}],"*":2,"a b":3,"客户":{"b":4}},"x"]"#,
    r#"{"":{"'":1,"\"":{"a":2},"\\":[true]},"length":[0],"@x":{"$":{"b":1}}}"#,
];
const PIECES: [&str; 52] = [
    "[-2]",
    "[-2:]",
    "[:-1]",
    "[::-1]",
    "[?@.a]",
    "[?@ == 1]",
    "[?@.a > 1 || !@.b]",
    "[?length(@) > 2 && @ != null]",
    "[?match(@, '[a-x].?')]",
    "[?@[0] <= @[-1]]",
    "[?@.* == 1]",
    "[?@.a in [1]]",
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
        assert_eq!(Path::parse_place(text).as_ref(), Ok(&path), "{text:?}");
    }
    if let Ok(path) = Path::parse_place(text) {
        assert_eq!(Path::parse_place(&path.to_string()).as_ref(), Ok(&path), "{text:?}");
        assert_eq!(Path::parse_jsonpath(&path.to_jsonpath()).as_ref(), Ok(&path), "{text:?}");
    }
    let Ok(path) = Path::parse_jsonpath(text) else { return };
    assert_eq!(Path::parse_jsonpath(&path.to_jsonpath()).as_ref(), Ok(&path), "{text:?}");
    // The wildcard in brackets is for arrays only here.
    for document in DOCUMENTS {
        let value: Value = serde_json::from_str(document).expect(document);
        let answers = value.query_with_path(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let theirs: BTreeSet<String> = answers.into_iter().map(|answer| answer.path()).collect();
        places(&value, &mut Vec::new(), &mut |place, printed| {
            let leads = reference::leads(&path, place);
            if let Some(automaton) = automaton::leads(&path, &Path(place.to_vec())) {
                assert_eq!(automaton, leads, "{text:?} at {printed}");
            }
        });
        if let Ok(ours) = found(&path, &value) {
            assert_eq!(ours, theirs, "{text:?} in {document}");
        }
    }
}

/// The places of a document that a path leads to, as normalized paths, with `[*]` and filters for members too, as in
/// the standard. An error where a filter cannot say.
pub(crate) fn found(path: &Path, document: &Value) -> Result<BTreeSet<String>, Ambiguous> {
    let mut found = BTreeSet::new();
    follow(path.steps(), document, "$".into(), &mut found)?;
    Ok(found)
}

fn follow(
    steps: &[Step],
    value: &Value,
    place: String,
    found: &mut BTreeSet<String>,
) -> Result<(), Ambiguous> {
    let Some((step, rest)) = steps.split_first() else {
        found.insert(place);
        return Ok(());
    };
    if *step == Step::Descend {
        follow(rest, value, place.clone(), found)?;
    }
    let length = value.as_array().map_or(0, Vec::len) as u64;
    for (loc, printed, below) in children(value) {
        let mut look = |query: &Query, wanted| look(below, query, wanted);
        let (takes, rest) = match (step, &loc) {
            (Step::Descend, _) => (true, steps),
            (Step::Elements | Step::Any, _) => (true, rest),
            (Step::Chosen(choice @ Choice::Filter(_)), _) => (choice.takes(0, length, &mut look)?, rest),
            (Step::Chosen(choice), Step::Index(index)) => (choice.takes(*index, length, &mut look)?, rest),
            (Step::Name(_), loc) => (step == loc, rest),
            (step, Step::Index(index)) => (automaton::covers(step, *index), rest),
            _ => (false, rest),
        };
        if takes {
            follow(rest, below, format!("{place}{printed}"), found)?;
        }
    }
    Ok(())
}

/// What a filter reads in a value.
fn look(value: &Value, query: &Query, wanted: Wanted) -> Slot {
    let mut at = value;
    for hop in &query.0 {
        let next = match hop {
            Hop::Name(name) => at.get(name.as_ref()),
            Hop::Index(index) => {
                let length = at.as_array().map_or(0, Vec::len) as i64;
                usize::try_from(if *index < 0 { index + length } else { *index }).ok().and_then(|i| at.get(i))
            }
        };
        let Some(next) = next else { return Slot::Missing };
        at = next;
    }
    match wanted {
        Wanted::Presence => Slot::Found(super::super::condition::Value::Null),
        Wanted::Value => Slot::read(at.to_string().as_bytes(), usize::MAX),
    }
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
            Step::Name(name) => printed_name(name),
            step => step.to_string(),
        })
        .collect();
    visit(place, format!("${printed}"));
    for (step, _, value) in children(value) {
        place.push(step);
        places(value, place, visit);
        place.pop();
    }
}

/// What stands in a container: as a step, as a normalized path prints it, and its value.
fn children(value: &Value) -> Vec<(Step, String, &Value)> {
    match value {
        Value::Array(items) => items
            .iter()
            .zip(0..)
            .map(|(item, index)| (Step::Index(index), format!("[{index}]"), item))
            .collect(),
        Value::Object(members) => {
            let member = |(name, value)| -> (Step, String, _) {
                let name: &String = name;
                (Step::Name(name.as_str().into()), printed_name(name), value)
            };
            members.iter().map(member).collect()
        }
        _ => Vec::new(),
    }
}

fn printed_name(name: &str) -> String {
    format!("['{}']", name.chars().map(escaped).collect::<String>())
}
