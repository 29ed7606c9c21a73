//! Texts longer than the window that is scanned at once, read whole and byte by byte: the second way uses no scan.

use super::super::condition::ParamTable;
use super::super::{Csv, Format};
use super::support::*;

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % n as u64).expect("small")
    }

    fn pick<'c>(&mut self, choices: &[&'c str]) -> &'c str {
        choices[self.below(choices.len())]
    }

    fn text(&mut self) -> String {
        let longest = match self.below(300) {
            0 => 40_000,
            1..20 => 700,
            _ => 20,
        };
        let length = self.below(longest);
        (0..length)
            .map(|_| self.pick(&["a", "王", "\\\"", " ", ",", "{", "\\u00e9", "]", "😀", ":"]))
            .collect()
    }

    fn value(&mut self, depth: usize, into: &mut String) {
        match self.below(if depth == 0 { 6 } else { 9 }) {
            0 | 1 => into.push_str(&format!("\"{}\"", self.text())),
            2 => into.push_str(self.pick(&["0", "-1.5e3", "12345678", "123456789", "0.25", "-0"])),
            3 => into.push_str(self.pick(&["null", "true", "false"])),
            4 | 5 => into.push_str(&self.below(1_000_000).to_string()),
            6 => self.object(depth - 1, into),
            _ => {
                let length = self.below(4);
                self.list("[", "]", length, into, |dice, into| dice.value(depth - 1, into));
            }
        }
    }

    fn object(&mut self, depth: usize, into: &mut String) {
        let names = [
            "id",
            "name",
            "tags",
            "owner",
            "x",
            "list",
            "region",
            "\\u0069d",
            "Name",
            "long_name_of_a_member_that_nobody_learns",
        ];
        let length = self.below(9);
        self.list("{", "}", length, into, |dice, into| {
            let (name, gap) = (dice.pick(&names), dice.pick(&["", "", " ", "\n  "]));
            into.push_str(&format!("{gap}\"{name}\"{gap}:{gap}"));
            dice.value(depth, into);
        });
    }

    fn list(
        &mut self,
        open: &str,
        close: &str,
        length: usize,
        into: &mut String,
        one: impl Fn(&mut Self, &mut String),
    ) {
        into.push_str(open);
        for number in 0..length {
            into.push_str(if number > 0 { self.pick(&[",", ",", " , "]) } else { "" });
            one(self, into);
        }
        into.push_str(close);
    }
}

fn records(between: &str) -> String {
    let mut dice = Dice(0x1234_5678_9ABC);
    let mut text = String::new();
    while text.len() < 300_000 {
        let mut record = String::new();
        dice.object(3, &mut record);
        if between == "\n" {
            record = record.replace('\n', " ");
        }
        text.push_str(if text.is_empty() { "" } else { between });
        text.push_str(&record);
    }
    text
}

const SHOWN: [&str; 6] = ["id", "name", "tags", "owner.id", "owner.list", "list[*].x"];

#[test]
fn long_texts_are_rewritten_as_they_are_byte_by_byte() {
    let json = format!("[{}]", records(",\n"));
    for grants in [vec![grant(show(&SHOWN))], vec![open_grant(hide(&["id", "owner.name"]))]] {
        let plan = plan(Format::Json, many("$[*]"), vec![rule("c", grants)]);
        let given = rewrite(&plan, &no_params(), &json);
        assert_eq!(given.result, Ok(()));
        assert!(given.counts.released > 100, "{}", given.counts.released);
        for chunk in [1460, 4096, 16 << 10, (16 << 10) + 1, 64 << 10] {
            let cuts: Vec<usize> = (1..).map(|n| n * chunk).take_while(|at| *at < json.len()).collect();
            same(&given, &feed(&plan, &no_params(), json.as_bytes(), &cuts), &json, &cuts);
        }
    }
}

#[test]
fn long_texts_with_a_condition_are_rewritten_as_they_are_byte_by_byte() {
    let mut params = ParamTable::default();
    let region = grant_if("has(record.region) || has(record.owner.id)", &mut params, show(&SHOWN));
    let plan = plan(Format::Json, many("$[*]"), vec![rule("c", vec![region])]);
    let given = rewrite(&plan, &no_params(), &format!("[{}]", records(",\n")));
    assert_eq!(given.result, Ok(()));
    assert!(given.counts.released > 20, "{}", given.counts.released);
}

#[test]
fn long_lines_are_rewritten_as_they_are_byte_by_byte() {
    let plan = plan(Format::Ndjson, many("$[*]"), vec![rule("c", vec![grant(show(&SHOWN))])]);
    let given = rewrite(&plan, &no_params(), &records("\n"));
    assert_eq!(given.result, Ok(()));
    assert!(given.counts.released > 100);
}

#[test]
fn long_tables_are_rewritten_as_they_are_byte_by_byte() {
    let mut dice = Dice(0xFEED);
    let mut text = "id,name,secret,x\n".to_owned();
    while text.len() < 400_000 {
        let cell = |dice: &mut Dice| match dice.below(8) {
            0 => format!("\"{}\"", "a,\"\"b\r\n\t".repeat(dice.below(20))),
            1 => "\"\"".to_owned(),
            2 => {
                let most = if dice.below(100) == 0 { 4000 } else { 10 };
                "王\t芳".repeat(dice.below(most))
            }
            _ => dice.below(1_000_000_000).to_string(),
        };
        let cells: Vec<String> = (0..4).map(|_| cell(&mut dice)).collect();
        text.push_str(&cells.join(","));
        text.push_str(dice.pick(&["\n", "\r\n", "\n\n"]));
    }
    for delimiter in [b',', b';'] {
        let csv = Csv { delimiter, neutralise_formulas: true, headers: Default::default() };
        let table = if delimiter == b';' { text.replace(',', ";") } else { text.clone() };
        let plan =
            plan(Format::Csv(csv), many("$[*]"), vec![rule("c", vec![grant(show(&["id", "name", "x"]))])]);
        let given = rewrite(&plan, &no_params(), &table);
        assert_eq!(given.result, Ok(()));
        assert!(given.counts.released > 1000);
        assert!(given.out.len() > table.len() / 3);
    }
}
