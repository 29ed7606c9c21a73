//! Conditions, against the interpreter of the `cel` crate; and texts of all kinds, which must never panic.

use std::collections::HashMap;

use serde_json::{Value as Json, json};

use super::super::condition::{ParamTable, Predicate, Slot, Value};
use super::super::{Path, Step};
use super::Dice;

const NUMBERS: [&str; 11] = [
    "-3",
    "0",
    "1",
    "3",
    "record.i",
    "record.gone",
    "size(record.t)",
    "(record.i + 2)",
    "(record.i / (record.i - 1))",
    "(record.i % 2)",
    "9223372036854775807",
];
const TEXTS: [&str; 10] = [
    "'a'",
    "'ab'",
    "''",
    "record.t",
    "record.o.t",
    "record.o.gone",
    "record.l[0]",
    "record.l[7]",
    "principal.id",
    "principal.claims.gone",
];
const TRUTHS: [&str; 12] = [
    "record.b",
    "record.z == null",
    "record.t != null",
    "has(record.t)",
    "has(record.gone)",
    "has(record.o.t)",
    "has(record.o.gone)",
    "has(record.gone.t)",
    "has(principal.claims.gone)",
    "true",
    "false",
    "record.gone",
];
const ORDERS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

/// A condition as it stands, or put together so that CEL and Fieldgate mean the same by it.
pub(crate) fn fuzz(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    if mode % 2 == 0 {
        let text = String::from_utf8_lossy(rest);
        let record = record(&mut Dice::new(u64::from(*mode)));
        let mut table = ParamTable::default();
        if let Ok(predicate) = Predicate::compile(&text, &mut table) {
            is_met(&predicate, &table, &record);
        }
        let _ = Value::from_json(&text);
    } else {
        agrees(&mut Dice::from_bytes(rest));
    }
}

/// Fieldgate and the interpreter decide alike.
pub(crate) fn agrees(dice: &mut Dice<'_>) {
    let record = record(dice);
    let source = truth(dice, 4);
    let mut table = ParamTable::default();
    // What folding finds to err is refused at load; there is nothing to compare then.
    let Ok(predicate) = Predicate::compile(&source, &mut table) else { return };
    let mut context = cel::Context::default();
    context.add_variable_from_value("record", interpreted(&record));
    context.add_variable_from_value("principal", interpreted(&principal()));
    let expected = cel::Program::compile(&source).expect("it compiled").execute(&context);
    let expected = matches!(expected, Ok(cel::Value::Bool(true)));
    assert_eq!(is_met(&predicate, &table, &record), expected, "{source} over {record}");
}

fn principal() -> Json {
    json!({ "id": "ab", "claims": {} })
}

fn record(dice: &mut Dice<'_>) -> Json {
    let words = ["", "a", "b", "ab", "aab", "ba"];
    let list: Vec<&str> = (0..dice.below(3)).map(|_| dice.pick(&words)).collect();
    let number = [-3, -1, 0, 1, 2, 3][dice.below(6)];
    json!({ "i": number, "t": dice.pick(&words), "b": dice.one_in(2), "l": list, "z": null, "o": { "t": "ab" } })
}

/// Truth values over a record of known types: equality only between values of one type (or null), no arithmetic of
/// mixed numbers, none that leaves 64 bits with a sign (where Fieldgate goes on without one).
fn truth(dice: &mut Dice<'_>, deeper: usize) -> String {
    if deeper > 0 && dice.below(3) > 0 {
        let mut inner = || truth(dice, deeper - 1);
        let (a, b, c) = (inner(), inner(), inner());
        return match dice.below(4) {
            0 => format!("({a}) && ({b})"),
            1 => format!("({a}) || ({b})"),
            2 => format!("!({a})"),
            _ => format!("(({a}) ? ({b}) : ({c}))"),
        };
    }
    let (a, b) = (dice.pick(&TEXTS), dice.pick(&TEXTS));
    match dice.below(16) {
        10 => format!("record.l.exists_one(x, x == {a})"),
        11 => format!(
            "size(record.l.filter(x, x {} {a})) {} {}",
            dice.pick(&ORDERS),
            dice.pick(&ORDERS),
            dice.below(3)
        ),
        12 => format!("{a} in record.l.map(x, x + {b})"),
        13 => format!("record.l.map(x, x != {a}, size(x)).exists(n, n > {})", dice.below(3)),
        14 => format!("record.l.filter(x, record.l.exists_one(y, y == x)).all(x, x != {a})"),
        15 => format!("size(record.l.map(x, record.l.map(y, y + x).filter(z, z == {a}))) == size(record.l)"),
        0 => format!("{} {} {}", dice.pick(&NUMBERS), dice.pick(&ORDERS), dice.pick(&NUMBERS)),
        1 => format!("{a} {} {b}", dice.pick(&ORDERS)),
        2 => format!("{a} in ['x', {b}]"),
        3 => format!("{a} in record.{}", dice.pick(&["l", "o"])),
        4 => format!("record.l.exists(x, x == {a})"),
        5 => format!("record.l.all(x, x >= {a})"),
        6 => format!("{a}.startsWith({b})"),
        7 => format!("{a}.contains({b})"),
        8 => format!("{a}.matches('^a+b?$')"),
        _ => dice.pick(&TRUTHS).to_owned(),
    }
}

fn is_met(predicate: &Predicate, table: &ParamTable, record: &Json) -> bool {
    let principal = principal();
    let params = table.bind(|param| Value::below(principal.as_object().expect("object"), &param.path));
    let slots: Vec<Slot> = predicate.slots().iter().map(|path| slot(record, path)).collect();
    predicate.is_met(&slots, &params)
}

/// What the engine would find at a path.
pub(crate) fn slot(record: &Json, path: &Path) -> Slot {
    let mut value = record;
    for step in path.steps() {
        let Step::Name(name) = step else { panic!("conditions name members only") };
        match value.as_object().and_then(|object| object.get(&**name)) {
            Some(found) => value = found,
            None => return Slot::Missing,
        }
    }
    Value::from_parsed(value).map_or(Slot::Ambiguous, Slot::Found)
}

/// As the interpreter takes it; its own conversion makes small whole numbers unsigned, which CEL does not mix.
fn interpreted(value: &Json) -> cel::Value {
    match value {
        Json::Number(number) => cel::Value::Int(number.as_i64().expect("small")),
        Json::Array(list) => cel::Value::List(list.iter().map(interpreted).collect::<Vec<_>>().into()),
        Json::Object(map) => map
            .iter()
            .map(|(name, value)| (name.clone(), interpreted(value)))
            .collect::<HashMap<_, _>>()
            .into(),
        other => cel::to_value(other).expect("scalar"),
    }
}
