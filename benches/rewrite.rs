//! The engine against what people use: `cargo bench --bench rewrite`.
//!
//! Data comes from a seeded generator: at least 30,000 distinct CRM records of about 35 fields, nested owner and
//! account, Chinese names, free text. Every figure stands beside serde_json's `Value` (parse, change, write), simd-json,
//! sonic-rs and a plain copy in the same run. `FIELDGATE_SIMD=scalar|baseline|avx2|avx512` caps the instruction set.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a bench stops at the first surprise")]

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fieldgate::rewrite::condition::{ParamTable, Predicate, Value};
use fieldgate::rewrite::mask::{Keys, Mask, MaskSpec, Masks};
use fieldgate::rewrite::{
    Access, Bounds, Csv, Format, Grant, Layout, Output, Path, RecordRule, Records, RewritePlan, Rewriter,
    RuleId, RuleRef, Selector,
};

const RECORDS: usize = 32_000;
const CHUNK_BYTES: usize = 64 << 10;

/// Counts what comes out, so that the engine is measured and not the growth of a vector.
#[derive(Default)]
struct Counter(usize);

impl Output for Counter {
    fn keep(&mut self, chunk: &[u8], range: std::ops::Range<usize>) {
        self.0 += black_box(&chunk[range]).len();
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 += black_box(bytes).len();
    }
}

// === data ===

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

fn export() -> String {
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

fn lines() -> String {
    let mut dice = Dice(0x5EED);
    let mut text = String::new();
    for number in 0..RECORDS {
        record(&mut dice, number, &mut text);
        text.push('\n');
    }
    text
}

fn rows() -> String {
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

// === plans ===

/// Thirty fields of which three are masked.
const SHOWN: &[&str] = &[
    "id",
    "name",
    "industry",
    "region",
    "owner_id",
    "status",
    "mobile",
    "wechat",
    "address",
    "discount",
    "employees",
    "website",
    "created_at",
    "updated_at",
    "last_contact",
    "score",
    "vip",
    "archived",
    "source",
    "currency",
    "revenue",
    "language",
    "notes",
    "stage",
    "owner.id",
    "owner.name",
    "tags",
];
const MASKED: &[&str] = &["phone", "email", "id_card"];

fn masks() -> Vec<Arc<Mask>> {
    let keep = MaskSpec::Keep { first: 3, last: 4, fill: '*' };
    let email = MaskSpec::Email { keep_first: 1 };
    let masks = Masks::build([("keep", &keep), ("email", &email)], &Keys::default()).expect("masks");
    ["keep", "email", "keep"].iter().map(|name| Arc::clone(masks.get(name).expect("mask"))).collect()
}

fn select(place: &str, access: Access) -> Selector {
    let path = Path::parse_field(place).expect(place);
    Selector { rank: u32::try_from(path.steps().len()).expect("rank"), path, access }
}

fn allow() -> Vec<Selector> {
    let shown = SHOWN.iter().map(|place| select(place, Access::Show));
    shown.chain(MASKED.iter().zip(masks()).map(|(place, mask)| select(place, Access::Mask(mask)))).collect()
}

fn plan(format: Format, grants: Vec<Grant>) -> Arc<RewritePlan> {
    let rule = RecordRule {
        name: "customer".into(),
        key: None,
        grants,
        guards: Vec::new(),
        relations: Vec::new(),
        embedded: Vec::new(),
        pairs: Vec::new(),
    };
    let at = Path::parse_jsonpath("$.data[*]").expect("path");
    let keep =
        vec![Path::parse_jsonpath("$.page").expect("path"), Path::parse_jsonpath("$.total").expect("path")];
    let layout = Layout { records: Records::Many { at, rule: RuleRef::Fixed(RuleId(0)) }, keep, total: None };
    Arc::new(RewritePlan::new(format, layout, vec![rule], Bounds::default()))
}

fn grant(when: Option<Arc<Predicate>>, fields: Vec<Selector>, otherwise: Access) -> Grant {
    Grant { when, fields, otherwise, name: "bench".into() }
}

fn run(plan: &Arc<RewritePlan>, params: &[Option<Value>], input: &[u8], chunk: usize) -> usize {
    let mut rewriter = Rewriter::new(Arc::clone(plan), params.into());
    let mut out = Counter::default();
    for chunk in input.chunks(chunk) {
        rewriter.push(chunk, &mut out).expect("well-formed");
    }
    rewriter.finish(&mut out).expect("whole");
    out.0
}

// === rivals ===

fn serde_value(input: &[u8]) -> usize {
    let mut value: serde_json::Value = serde_json::from_slice(input).expect("json");
    for record in value["data"].as_array_mut().expect("list") {
        let record = record.as_object_mut().expect("record");
        record.retain(|name, _| {
            let shown = |place: &str| place.split('.').next() == Some(name.as_str());
            SHOWN.iter().any(|place| shown(place)) || MASKED.contains(&name.as_str())
        });
        for name in MASKED {
            if let Some(serde_json::Value::String(text)) = record.get_mut(*name) {
                text.replace_range(3..text.len().min(7), "****");
            }
        }
    }
    serde_json::to_vec(&value).expect("text").len()
}

fn bench(c: &mut Criterion) {
    let (json, ndjson, csv) = (export(), lines(), rows());
    let mut params = ParamTable::default();
    let mine = Predicate::compile("record.owner_id == principal.id || record.region == 'east'", &mut params)
        .expect("cel");
    let values = [Some(Value::Text("u7".into()))];
    let deny = vec![select("id_card", Access::Hide), select("phone", Access::Hide)];
    let csv_format =
        Format::Csv(Csv { delimiter: b',', neutralise_formulas: false, headers: Default::default() });
    let allow_plan = plan(Format::Json, vec![grant(None, allow(), Access::Hide)]);
    let cases = [
        ("allow-list", &json, CHUNK_BYTES, Arc::clone(&allow_plan)),
        ("allow-list, 1460-byte chunks", &json, 1460, allow_plan),
        ("deny-list", &json, CHUNK_BYTES, plan(Format::Json, vec![grant(None, deny, Access::Show)])),
        (
            "condition",
            &json,
            CHUNK_BYTES,
            plan(Format::Json, vec![grant(Some(Arc::new(mine)), allow(), Access::Hide)]),
        ),
        ("ndjson", &ndjson, CHUNK_BYTES, plan(Format::Ndjson, vec![grant(None, allow(), Access::Hide)])),
        ("csv", &csv, CHUNK_BYTES, plan(csv_format, vec![grant(None, allow(), Access::Hide)])),
    ];
    let mut group = c.benchmark_group("rewrite");
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    for (name, input, chunk, plan) in &cases {
        group.throughput(Throughput::Bytes(input.len() as u64));
        group.bench_function(BenchmarkId::new("fieldgate", name), |b| {
            b.iter(|| run(plan, &values, input.as_bytes(), *chunk));
        });
    }
    group.throughput(Throughput::Bytes(json.len() as u64));
    group.bench_function("rival/serde_json value", |b| b.iter(|| serde_value(json.as_bytes())));
    group.bench_function("rival/simd-json dom", |b| {
        b.iter(|| {
            let mut copy = json.as_bytes().to_vec();
            black_box(simd_json::to_tape(&mut copy).expect("json")).0.len()
        });
    });
    group.bench_function("rival/sonic-rs dom", |b| {
        b.iter(|| black_box(sonic_rs::from_slice::<sonic_rs::Value>(json.as_bytes()).expect("json")));
    });
    let mut copy = vec![0u8; CHUNK_BYTES];
    group.bench_function("rival/memcpy", |b| {
        b.iter(|| {
            for chunk in json.as_bytes().chunks(CHUNK_BYTES) {
                copy[..chunk.len()].copy_from_slice(black_box(chunk));
                black_box(&copy);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
