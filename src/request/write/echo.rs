//! Masked values that come back: saving `138****8000` would overwrite the number it stands for.

use crate::policy::{Tree, WriteRule};
use crate::rewrite::mask::Scalar;
use crate::rewrite::{Path, Records, Step};

use super::super::refused::shown;

/// The dotted names of fields whose value a mask could have written that the caller may have been shown.
pub(super) fn masked(body: &Tree, rule: &WriteRule) -> Vec<Box<str>> {
    let mut found: Vec<Box<str>> = Vec::new();
    let mut records = Vec::new();
    match &rule.plan.layout.records {
        Records::One { at, .. } | Records::Many { at, .. } => {
            at_path(body, &at.0, &mut |tree| records.push(tree))
        }
        Records::None | Records::Rows { .. } => {}
    }
    let unfolded: Vec<Tree> = records.iter().map(|record| unfolded(record, rule)).collect();
    for (path, mask) in &rule.masks {
        let mut echoed = false;
        for record in &unfolded {
            at_path(record, &path.0, &mut |tree| {
                echoed |= scalar(tree).is_some_and(|value| mask.could_have_written(value));
            });
        }
        let name = dotted(path);
        if echoed && !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// A record with the JSON in its texts opened, and its name/value pairs as the fields they stand for.
fn unfolded(record: &Tree, rule: &WriteRule) -> Tree {
    let (pairs, embedded) = rule.shape();
    let mut record = record.clone();
    for place in embedded {
        each(&mut record, place.steps(), &mut |tree| {
            if let Some(inner) =
                tree.text().and_then(|text| Tree::parse(text.as_bytes(), EMBEDDED_DEPTH).ok())
            {
                *tree = inner;
            }
        });
    }
    let mut fields = Vec::new();
    for list in pairs {
        at_path(&record, list.at.steps(), &mut |pair| {
            let Tree::Object(members) = pair else { return };
            let member =
                |name: &str| members.iter().find(|(known, _)| **known == *name).map(|(_, tree)| tree);
            if let (Some(Tree::Text(name)), Some(value)) = (member(&list.name), member(&list.value)) {
                fields.push(nested(name, value.clone()));
            }
        });
    }
    for field in fields {
        // A field of the same name stands beside it: both are looked at.
        if let (Tree::Object(members), Tree::Object(field)) = (&mut record, field) {
            members.extend(field);
        }
    }
    record
}

/// A value under a dotted name.
fn nested(name: &str, value: Tree) -> Tree {
    let path = Path::parse_field(name).unwrap_or_else(|_| Path::name(name));
    path.steps().iter().rev().fold(value, |tree, step| match step {
        Step::Name(name) => Tree::Object(vec![(name.clone(), tree)]),
        Step::Elements
        | Step::Any
        | Step::Index(_)
        | Step::Slice { .. }
        | Step::Chosen(_)
        | Step::Descend => tree,
    })
}

fn each(tree: &mut Tree, path: &[Step], change: &mut impl FnMut(&mut Tree)) {
    let Some((step, rest)) = path.split_first() else { return change(tree) };
    match (step, tree) {
        (Step::Name(wanted), Tree::Object(members)) => {
            for (_, value) in members.iter_mut().filter(|(name, _)| name == wanted) {
                each(value, rest, change);
            }
        }
        (Step::Any, Tree::Object(members)) => {
            members.iter_mut().for_each(|(_, value)| each(value, rest, change));
        }
        (Step::Elements | Step::Any, Tree::List(items)) => {
            items.iter_mut().for_each(|item| each(item, rest, change));
        }
        _ => {}
    }
}

fn at_path<'t>(tree: &'t Tree, path: &[Step], visit: &mut impl FnMut(&'t Tree)) {
    let Some((step, rest)) = path.split_first() else { return visit(tree) };
    match (step, tree) {
        (Step::Name(wanted), Tree::Object(members)) => {
            for (_, value) in members.iter().filter(|(name, _)| name == wanted) {
                at_path(value, rest, visit);
            }
        }
        // Which element of a body a filter means is the caller's to say: all are looked at.
        (Step::Elements | Step::Any | Step::Chosen(_), Tree::List(items)) => {
            for item in items {
                at_path(item, rest, visit);
            }
        }
        (Step::Any, Tree::Object(members)) => {
            for (_, value) in members {
                at_path(value, rest, visit);
            }
        }
        (Step::Index(index), Tree::List(items)) => {
            let item = usize::try_from(*index).ok().and_then(|index| items.get(index));
            if let Some(item) = item {
                at_path(item, rest, visit);
            }
        }
        (Step::Slice { start, end, step }, Tree::List(items)) => {
            for (index, item) in (0u64..).zip(items) {
                let inside = index >= *start && end.is_none_or(|end| index < end);
                if inside && (index - start).is_multiple_of((*step).max(1)) {
                    at_path(item, rest, visit);
                }
            }
        }
        (Step::Descend, _) => {
            at_path(tree, rest, visit);
            match tree {
                Tree::List(items) => items.iter().for_each(|item| at_path(item, path, visit)),
                Tree::Object(members) => members.iter().for_each(|(_, value)| at_path(value, path, visit)),
                Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) => {}
            }
        }
        (
            Step::Name(_)
            | Step::Elements
            | Step::Any
            | Step::Index(_)
            | Step::Slice { .. }
            | Step::Chosen(_),
            _,
        ) => {}
    }
}

pub(super) fn scalar(tree: &Tree) -> Option<Scalar<'_>> {
    match tree {
        Tree::Null => Some(Scalar::Null),
        Tree::Bool(value) => Some(Scalar::Bool(*value)),
        Tree::Number(text) => Some(Scalar::Number(text)),
        Tree::Text(text) => Some(Scalar::Text(text)),
        Tree::List(_) | Tree::Object(_) => None,
    }
}

/// The policy's spelling without its array steps.
pub(super) fn dotted(path: &Path) -> Box<str> {
    let names = path.0.iter().filter_map(|step| match step {
        Step::Name(name) => Some(name.as_ref()),
        Step::Elements
        | Step::Any
        | Step::Index(_)
        | Step::Slice { .. }
        | Step::Chosen(_)
        | Step::Descend => None,
    });
    shown(&names.collect::<Vec<_>>().join("."))
}

const EMBEDDED_DEPTH: usize = 64;
