//! A seeded CRM export: 32,000 distinct records of 35 members, nested owner, Chinese names, free text. Enough records
//! that no branch predictor learns them by heart.

use std::fmt::Write;

/// Distinct records.
pub(crate) const RECORDS: usize = 32_000;

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    fn pick<'c>(&mut self, choices: &[&'c str]) -> &'c str {
        choices[usize::try_from(self.below(choices.len() as u64)).expect("small")]
    }
}

const FAMILIES: &[&str] =
    &["王", "李", "张", "刘", "陈", "杨", "黄", "赵", "Smith", "Jones", "García", "Müller"];
const NAMES: &[&str] = &["伟", "芳", "秀英", "敏", "静", "丽", "强", "磊", "Anna", "John", "Zoë", "Luis"];
const WORDS: &[&str] = &[
    "renewal",
    "discount",
    "contract",
    "meeting",
    "上海",
    "北京",
    "quarterly",
    "follow-up",
    "delivery",
    "报价",
    "invoice",
    "asked for",
    "will call back",
    "next week",
    "decision maker",
    "budget approved",
];
const REGIONS: &[&str] = &["east", "west", "north", "south"];

/// The scalar fields of a record, each with its value as JSON.
fn fields(dice: &mut Dice, number: usize) -> Vec<(&'static str, String)> {
    let text = |value: String| format!("\"{value}\"");
    let name = format!("{}{}", dice.pick(FAMILIES), dice.pick(NAMES));
    let date = |dice: &mut Dice| {
        format!(
            "\"2026-{:02}-{:02}T{:02}:{:02}:00Z\"",
            1 + dice.below(12),
            1 + dice.below(28),
            dice.below(24),
            dice.below(60)
        )
    };
    let mut notes = String::new();
    for _ in 0..8 + dice.below(20) {
        notes.push_str(dice.pick(WORDS));
        notes.push_str(if dice.below(30) == 0 { "\\n" } else { " " });
    }
    vec![
        ("id", number.to_string()),
        ("name", text(name.clone())),
        ("industry", text(dice.pick(WORDS).into())),
        ("region", text(dice.pick(REGIONS).into())),
        ("owner_id", text(format!("u{}", dice.below(50)))),
        ("status", text(dice.pick(&["active", "lead", "lost", "paused"]).into())),
        ("phone", text(format!("138{:08}", dice.below(100_000_000)))),
        ("mobile", text(format!("+86 139 {:04} {:04}", dice.below(10_000), dice.below(10_000)))),
        ("email", text(format!("user{}@example{}.com", dice.below(1_000_000), dice.below(90)))),
        ("wechat", text(format!("wx_{:x}", dice.below(1 << 40)))),
        ("address", text(format!("{}路{}号, {}", dice.pick(WORDS), dice.below(900), dice.pick(REGIONS)))),
        ("id_card", text(format!("1101011990{:08}", dice.below(100_000_000)))),
        ("credit_limit", format!("{}.{:02}", dice.below(10_000_000), dice.below(100))),
        ("discount", format!("0.{}", dice.below(1000))),
        ("employees", dice.below(10_000).to_string()),
        ("website", text(format!("https://www.example{}.com/path", dice.below(10_000)))),
        ("created_at", date(dice)),
        ("updated_at", date(dice)),
        ("last_contact", date(dice)),
        ("score", dice.below(100).to_string()),
        ("vip", dice.pick(&["true", "false"]).into()),
        ("archived", "false".into()),
        ("parent_id", if dice.below(3) == 0 { "null".into() } else { dice.below(32_000).to_string() }),
        ("source", text(dice.pick(&["web", "fair", "call", "partner"]).into())),
        ("currency", text(dice.pick(&["CNY", "EUR", "USD"]).into())),
        ("revenue", format!("{}", dice.below(1_000_000_000))),
        ("tax_no", text(format!("91{:016}", dice.below(1 << 50)))),
        ("fax", "null".into()),
        ("language", text(dice.pick(&["zh", "en", "de"]).into())),
        ("notes", text(notes)),
        ("stage", dice.below(7).to_string()),
        ("probability", format!("{}", dice.below(100))),
        ("campaign", text(format!("c-{}", dice.below(500)))),
    ]
}

fn record(dice: &mut Dice, number: usize, into: &mut String) {
    into.push('{');
    for (name, value) in fields(dice, number) {
        write!(into, "\"{name}\":{value},").expect("text");
    }
    write!(
        into,
        "\"owner\":{{\"id\":{},\"name\":\"{}\",\"phone\":\"137{:08}\"}},",
        dice.below(50),
        dice.pick(NAMES),
        dice.below(100_000_000)
    )
    .expect("text");
    write!(into, "\"tags\":[\"{}\",\"{}\"]}}", dice.pick(WORDS), dice.pick(WORDS)).expect("text");
}

/// One JSON text: an envelope around an array of records.
pub(crate) fn export() -> String {
    let mut dice = Dice(0x5EED);
    let mut text = String::from("{\"page\":1,\"data\":[");
    for number in 0..RECORDS {
        if number > 0 {
            text.push(',');
        }
        record(&mut dice, number, &mut text);
    }
    text.push_str("],\"total\":32000}");
    text
}

/// The same records, one a line.
pub(crate) fn lines() -> String {
    let mut dice = Dice(0x5EED);
    let mut text = String::new();
    for number in 0..RECORDS {
        record(&mut dice, number, &mut text);
        text.push('\n');
    }
    text
}

/// The scalar fields of the same records as CSV.
pub(crate) fn rows() -> String {
    let mut dice = Dice(0x5EED);
    let mut text = String::new();
    for number in 0..RECORDS {
        let fields = fields(&mut dice, number);
        if number == 0 {
            let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
            text.push_str(&names.join(","));
            text.push('\n');
        }
        let cells: Vec<String> = fields
            .iter()
            .map(|(_, value)| match value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) {
                Some(inner) if inner.contains(',') => value.clone(),
                Some(inner) => inner.to_owned(),
                None => value.clone(),
            })
            .collect();
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text
}
