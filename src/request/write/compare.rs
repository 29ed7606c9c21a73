//! What the engine took out of a body, by the names the caller gave it.

use crate::policy::Tree;

use super::super::refused::shown;

/// The dotted names of what is in `given` and not, or not the same, in `kept`; the first of each branch, each once,
/// and no more than a stated number of them.
pub(super) fn missing(given: &Tree, kept: &Tree) -> Vec<Box<str>> {
    let mut found = Vec::new();
    collect(given, kept, &mut Vec::new(), &mut found);
    found
}

fn collect<'t>(given: &'t Tree, kept: &Tree, place: &mut Vec<&'t str>, found: &mut Vec<Box<str>>) {
    match (given, kept) {
        (Tree::Object(given), Tree::Object(kept)) => {
            // The engine keeps the order, so the next one kept is the one given or stands further on.
            let mut kept = kept.iter().peekable();
            for (name, value) in given {
                place.push(name);
                match kept.next_if(|(other, _)| other == name) {
                    Some((_, other)) => collect(value, other, place, found),
                    None => report(place, found),
                }
                place.pop();
            }
        }
        (Tree::List(given), Tree::List(kept)) if given.len() == kept.len() => {
            for (given, kept) in given.iter().zip(kept) {
                collect(given, kept, place, found);
            }
        }
        (given, kept) if given == kept => {}
        _ => report(place, found),
    }
}

fn report(place: &[&str], found: &mut Vec<Box<str>>) {
    let name = if place.is_empty() { "$".into() } else { shown(&place.join(".")) };
    if found.len() < MAX_NAMES && !found.contains(&name) {
        found.push(name);
    }
}

const MAX_NAMES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn missing_in(given: &str, kept: &str) -> Vec<Box<str>> {
        let tree = |text: &str| Tree::parse(text.as_bytes(), 16).unwrap();
        missing(&tree(given), &tree(kept))
    }

    #[test]
    fn names_what_went_away() {
        let given = r#"{"a":1,"b":{"c":1,"d":2},"e":[{"f":1,"g":2},{"f":1,"g":3}],"h":{}}"#;
        assert!(missing_in(given, given).is_empty());
        let kept = r#"{"b":{"d":2},"e":[{"f":1},{"f":1}]}"#;
        assert_eq!(missing_in(given, kept), ["a", "b.c", "e.g", "h"].map(Box::from));
    }

    #[test]
    fn a_list_that_lost_an_element_is_named_whole() {
        assert_eq!(missing_in(r#"{"a":[1,2]}"#, r#"{"a":[2]}"#), ["a".into()]);
        assert_eq!(missing_in("[1,2]", "[2]"), ["$".into()]);
    }

    #[test]
    fn a_value_that_changed_is_named() {
        assert_eq!(missing_in(r#"{"a":"x"}"#, r#"{"a":null}"#), ["a".into()]);
    }

    #[test]
    fn names_no_more_than_the_bound() {
        let given = format!("{{{}}}", (0..100).map(|i| format!("\"{i}\":1")).collect::<Vec<_>>().join(","));
        assert_eq!(missing_in(&given, "{}").len(), MAX_NAMES);
    }
}
