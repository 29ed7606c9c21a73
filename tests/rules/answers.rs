//! Records and bodies made up at random: odd names, duplicates, values of the wrong kind.

use super::dice::Dice;
use super::tree::Tree;

const KNOWN: [&str; 10] = ["a", "b", "n", "c", "box", "list", "rel", "rels", "f0", "f1"];
const ODD: [&str; 6] = ["A", "ｂ", "new", "B\u{200b}ox", "LIST", "c\u{ad}"];

/// A record, or what stands in its place.
pub(crate) fn record(dice: &mut Dice) -> Tree {
    let mut members = Vec::new();
    for _ in 0..2 + dice.below(9) {
        let name = if dice.chance(6) { dice.of(&ODD) } else { dice.of(&KNOWN) };
        members.push((name.to_owned(), value(dice, name, 3)));
    }
    Tree::Object(members)
}

fn value(dice: &mut Dice, name: &str, depth: usize) -> Tree {
    if depth == 0 || dice.chance(8) {
        return scalar(dice);
    }
    let object = |dice: &mut Dice, names: &[&str]| {
        let count = dice.below(names.len() + 1);
        let names: Vec<_> = (0..count).map(|_| dice.of(names).to_owned()).collect();
        Tree::Object(
            names
                .into_iter()
                .map(|name| {
                    let value = value(dice, &name, depth - 1);
                    (name, value)
                })
                .collect(),
        )
    };
    match name {
        "box" => object(dice, &["x", "y", "z", "X", "new"]),
        "y" => object(dice, &["z", "Z", "w"]),
        "list" => Tree::List(
            (0..dice.below(4))
                .map(|_| if dice.chance(6) { scalar(dice) } else { object(dice, &["p", "q", "P"]) })
                .collect(),
        ),
        "rel" => object(dice, &["a", "b", "n", "c", "new", "f0"]),
        "rels" => {
            Tree::List(
                (0..dice.below(4))
                    .map(|_| {
                        if dice.chance(6) { scalar(dice) } else { object(dice, &["a", "b", "n", "c", "new"]) }
                    })
                    .collect(),
            )
        }
        _ if dice.chance(8) => object(dice, &["x", "a", "deep"]),
        _ if dice.chance(12) => Tree::List(vec![scalar(dice), scalar(dice)]),
        _ => scalar(dice),
    }
}

fn scalar(dice: &mut Dice) -> Tree {
    match dice.below(8) {
        0 => Tree::Null,
        1 => Tree::Bool(dice.chance(2)),
        2 | 3 => Tree::Number(dice.of(&["7", "3", "250", "12345", "-60", "99.5"]).to_owned()),
        4 => Tree::text(dice.of(&["ann", "bob"])),
        5 => Tree::text(dice.of(&["east", "west"])),
        _ => Tree::text(dice.of(&["2024-05-17", "li@example.com", "13800138000", "王小芳", "", "a\"b\\c\n"])),
    }
}

/// A body: no member twice, and no value that a mask could have written.
pub(crate) fn body(dice: &mut Dice) -> Tree {
    let plain = |dice: &mut Dice| match dice.below(4) {
        0 => Tree::Number("7.25".to_owned()),
        1 => Tree::Bool(true),
        2 => Tree::text(dice.of(&["ann", "bob"])),
        _ => Tree::text(dice.of(&["east", "west", "Li Na"])),
    };
    let mut members = Vec::new();
    for name in ["a", "b", "n", "c", "f0", "f1", "f2", "new"] {
        if dice.chance(4) {
            members.push((name.to_owned(), plain(dice)));
        }
    }
    let object = |dice: &mut Dice, names: &[&str]| {
        Tree::Object(
            names
                .iter()
                .filter(|_| dice.chance(2))
                .map(|name| ((*name).to_owned(), Tree::text("east")))
                .collect(),
        )
    };
    if dice.chance(4) {
        members.push(("box".to_owned(), object(dice, &["x", "new"])));
    }
    if dice.chance(6) {
        members.push((
            "list".to_owned(),
            Tree::List((0..dice.below(3)).map(|_| object(dice, &["p", "q"])).collect()),
        ));
    }
    Tree::Object(members)
}
