//! Random documents that nearly fit a plan.

use super::super::{Format, Records, RewritePlan, reference};
use super::Dice;

pub(crate) struct Document<'d> {
    dice: Dice<'d>,
    text: String,
    line: bool,
    /// Fields that are shown hold scalars; what stands beside records and columns is a canary.
    flat: bool,
}

impl<'d> Document<'d> {
    /// A document for a plan.
    pub(crate) fn random(dice: Dice<'d>, plan: &RewritePlan, flat: bool) -> String {
        let mut document = Self {
            dice,
            text: String::new(),
            line: matches!(plan.format, Format::Ndjson | Format::Sse),
            flat,
        };
        match &plan.format {
            Format::Json => document.envelope(plan),
            Format::Ndjson => {
                for _ in 0..document.dice.below(5) {
                    document.record(3);
                    document.text.push('\n');
                }
            }
            Format::JsonSeq => {
                for _ in 0..document.dice.below(5) {
                    document.text.push('\u{1e}');
                    document.maybe_record();
                    document.text.push_str(document.dice.pick(&["\n", "", "\r\n", " \n\n"]));
                }
            }
            Format::Sse => document.events(),
            Format::Csv(csv) => document.table(char::from(csv.delimiter)),
        }
        document.text
    }

    fn events(&mut self) {
        let end = self.dice.pick(&["\n", "\r\n", "\r"]);
        for _ in 0..self.dice.below(5) {
            if self.flat {
                self.text
                    .push_str(&format!("id: CANARY{end}: CANARY{end}CANARY: secret{end}event: CANARY{end}"));
            }
            for _ in 0..self.dice.below(3) {
                let other = self.dice.pick(&[
                    "id: 7",
                    "event: x",
                    "event",
                    ": ping",
                    ":",
                    "retry: 10",
                    "retry:x",
                    "x: y",
                    "id:a b ",
                ]);
                self.text.push_str(other);
                self.text.push_str(end);
            }
            if !self.dice.one_in(5) {
                self.text.push_str(self.dice.pick(&["data: ", "data:", "data:  "]));
                self.maybe_record();
                self.text.push_str(end);
            }
            if self.dice.one_in(6) {
                self.text.push_str("data: ");
                self.text.push_str(end);
            }
            self.text.push_str(end);
        }
    }

    fn table(&mut self, delimiter: char) {
        const COLUMNS: &[&str] = &[
            "id",
            "a",
            "b.c",
            "k",
            "list",
            "zz",
            "A",
            "ｂ",
            "owner.a",
            "owner.id",
            "OWNER.a",
            "kids[*].a",
            "kids[0].a",
            "e",
            "b.owner.a",
            "b.owner.k",
            "meta.type",
            "list[0]",
            "Phone, Nr",
            "B",
            "b",
            "attrs",
            "attrs[0].value",
            "owner",
            "c",
            "d",
            "b.C",
            "\"quoted\"",
            "",
            "=x",
            "a.b",
            "e.a",
        ];
        let end = self.dice.pick(&["\n", "\r\n"]);
        let count = 1 + self.dice.below(6);
        let columns: Vec<&str> = (0..count).map(|_| self.dice.pick(COLUMNS)).collect();
        self.line_of(&columns, "secret", delimiter, end);
        for _ in 0..self.dice.below(5) {
            let cells: Vec<&str> = columns.iter().map(|column| self.cell(column)).collect();
            let length = if self.dice.one_in(40) { 1 } else { count };
            self.line_of(&cells[..length], "CANARY", delimiter, end);
            if self.dice.one_in(10) {
                self.text.push_str(end);
            }
        }
    }

    fn cell(&mut self, column: &str) -> &'static str {
        match column {
            "meta.type" => self.dice.pick(&["u", "v", "w", ""]),
            "k" => self.dice.pick(&["1", "2", "1.0", ""]),
            "id" => self.dice.pick(&["u1", "7", "u2"]),
            _ => self.dice.pick(&[
                "x",
                "",
                "王小明13800138000",
                "=1+1",
                "+5",
                "-1.50",
                "@x",
                "a,b;c\td",
                "a\"b",
                "two\nlines",
                "\ttab",
                " ",
                "t",
                "＝x",
                "12345",
                "true",
                "null",
                "{}",
                "v123x",
                "-",
                "=\"1\"",
            ]),
        }
    }

    fn line_of(&mut self, cells: &[&str], canary: &'static str, delimiter: char, end: &str) {
        let cells: Vec<&str> = cells.iter().copied().chain(self.flat.then_some(canary)).collect();
        for (number, cell) in cells.iter().enumerate() {
            if number > 0 {
                self.text.push(delimiter);
            }
            if cell.contains(['"', '\n', '\r', delimiter]) || self.dice.one_in(8) {
                self.text.push_str(&format!("\"{}\"", cell.replace('"', "\"\"")));
            } else {
                self.text.push_str(cell);
            }
        }
        self.text.push_str(end);
    }

    fn blank(&mut self) {
        let blanks: &[&str] = if self.line { &["", "", " "] } else { &["", "", "", " ", "\n  ", "\t"] };
        let blank = self.dice.pick(blanks);
        self.text.push_str(blank);
    }

    fn envelope(&mut self, plan: &RewritePlan) {
        match &plan.layout.records {
            Records::One { at, .. } if at.is_root() => self.record(4),
            Records::Many { at, .. } if at.steps().len() == 1 => self.list(|d| d.maybe_record(), 4),
            Records::Many { at, .. } if at.steps().len() > 2 => self.object(|d| {
                d.member("x", |d| d.list(|d| d.object(|d| d.data(false)), 3));
            }),
            Records::One { .. } => self.object(|d| d.data(true)),
            Records::Rows { .. } => self.object(|d| d.member("data", |d| d.list(Self::row, 4))),
            _ => self.object(|d| d.data(false)),
        }
    }

    fn data(&mut self, single: bool) {
        let names = ["page", "total", "next", "x", "zz", "y"];
        for _ in 0..self.dice.below(3) {
            let name = self.dice.pick(&names);
            self.member(name, |d| d.value(2));
        }
        if !self.dice.one_in(12) {
            self.member("data", |d| if single { d.maybe_record() } else { d.list(Self::maybe_record, 4) });
        }
        for _ in 0..self.dice.below(3) {
            let name = self.dice.pick(&names);
            self.member(name, |d| d.value(2));
        }
    }

    fn row(&mut self) {
        let count = if self.dice.one_in(40) { 5 } else { 6 };
        self.text.push('[');
        for number in 0..count {
            if number > 0 {
                self.text.push(',');
            }
            self.blank();
            self.value(2);
        }
        self.text.push(']');
    }

    fn list(&mut self, item: impl Fn(&mut Self), most: usize) {
        self.text.push('[');
        for number in 0..self.dice.below(most + 1) {
            if number > 0 {
                self.blank();
                self.text.push(',');
            }
            self.blank();
            item(self);
        }
        self.blank();
        self.text.push(']');
    }

    fn object(&mut self, members: impl Fn(&mut Self)) {
        self.text.push('{');
        let start = self.text.len();
        members(self);
        if self.text.get(start..).is_some_and(|members| members.starts_with(',')) {
            self.text.remove(start);
        }
        self.blank();
        self.text.push('}');
    }

    fn member(&mut self, name: &str, value: impl Fn(&mut Self)) {
        self.text.push(',');
        self.blank();
        self.text.push('"');
        for c in name.chars() {
            if self.dice.one_in(25) {
                self.text.push_str(&format!("\\u{:04x}", u32::from(c)));
            } else {
                self.text.push(c);
            }
        }
        self.text.push('"');
        self.blank();
        self.text.push(':');
        self.blank();
        value(self);
        self.blank();
    }

    fn maybe_record(&mut self) {
        if self.dice.one_in(12) { self.value(2) } else { self.record(3) }
    }

    fn record(&mut self, depth: usize) {
        self.object(|d| {
            let names = [
                "id", "a", "b", "c", "d", "k", "list", "e", "owner", "kids", "attrs", "meta", "zz", "A",
                "ｂ", "C", "x\\n", "k", "meta",
            ];
            for _ in 0..d.dice.below(9) {
                let name = d.dice.pick(&names);
                d.member(name, |d| d.field(name, depth));
            }
        });
    }

    fn field(&mut self, name: &str, depth: usize) {
        if matches!(name, "id" | "k") && self.flat {
            return self.value(0);
        }
        if depth == 0 || self.dice.one_in(8) {
            return self.value(depth);
        }
        match name {
            "owner" => self.record(depth - 1),
            "kids" => self.list(|d| if d.dice.one_in(8) { d.value(1) } else { d.record(depth - 1) }, 3),
            "meta" => self.object(|d| {
                d.member("type", |d| {
                    d.text.push_str(d.dice.pick(&["\"u\"", "\"v\"", "\"\\u0075\"", "\"w\"", "1"]))
                });
            }),
            "attrs" => self.list(Self::pair, 3),
            "e" => self.embedded(),
            "k" => self.text.push_str(self.dice.pick(&["1", "2", "3", "1.0", "0.5e1"])),
            "list" => self.list(|d| d.value(depth - 1), 4),
            "a" | "b" if self.dice.one_in(2) => self.record(depth - 1),
            _ => self.value(depth - 1),
        }
    }

    fn pair(&mut self) {
        let name = self
            .dice
            .pick(&["\"a\"", "\"b\"", "\"b.c\"", "\"zz\"", "\"A\"", "5", "\"id\"", "\"list\"", "\"c\""]);
        self.object(|d| {
            if d.dice.one_in(2) {
                d.member("value", |d| d.value(2));
            }
            d.member("name", |d| d.text.push_str(name));
            for _ in 0..d.dice.below(2) {
                let extra = d.dice.pick(&["value", "old", "name", "value"]);
                d.member(extra, |d| d.value(1));
            }
        });
    }

    fn embedded(&mut self) {
        let mut inner = Document {
            dice: Dice::new(self.dice.below(1 << 30) as u64),
            text: String::new(),
            line: false,
            flat: self.flat,
        };
        if inner.dice.one_in(8) {
            inner.text.push_str("not json")
        } else {
            inner.record(2)
        }
        let text = reference::compact(&inner.text).unwrap_or(inner.text);
        super::super::json::encode(&text, &mut self.text);
    }

    fn value(&mut self, depth: usize) {
        match self.dice.below(if depth == 0 { 12 } else { 16 }) {
            0 => self.text.push_str("null"),
            1 => self.text.push_str("true"),
            2 => self.text.push_str("false"),
            3 => self.text.push_str(self.dice.pick(&[
                "0",
                "-1.50",
                "12345678901234567890123",
                "1E+2",
                "2",
                "1",
            ])),
            4 => self.text.push_str("\"x\""),
            5 => self.text.push_str(self.dice.pick(&[
                "\"\"",
                "\"t\"",
                "\"\\ud83d\\ude00\"",
                "\"\\ud800\"",
                "\"a\\\"b\\\\\"",
                "\"u1\"",
            ])),
            6 => self.text.push_str("\"王小明13800138000\""),
            7 => self.text.push_str(self.dice.pick(&["{}", "[]", "{ }", "[ ]"])),
            8..12 => {
                let number = self.dice.below(1000);
                self.text.push_str(&format!("\"v{number}x\""));
            }
            12 | 13 => self.list(|d| d.value(depth - 1), 3),
            _ => self.record(depth - 1),
        }
    }
}
