//! The steady state of the engine takes no memory: once it knows the records of an answer, chunk after chunk is
//! rewritten without a single allocation. Counted, not timed; a binary of its own, for its allocator counts.

#![expect(clippy::unwrap_used, reason = "the whole binary is a test")]

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use fieldgate::rewrite::condition::{ParamTable, Params, Predicate};
use fieldgate::rewrite::mask::{Keys, MaskSpec, Masks};
use fieldgate::rewrite::{
    Access, Bounds, Format, Grant, Layout, Output, Path, RecordRule, Records, RewritePlan, Rewriter, RuleId,
    RuleRef, Selector,
};

struct Counting;

thread_local! {
    /// How often this thread took memory: the harness has threads of its own.
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        TAKEN.set(TAKEN.get() + 1);
        // SAFETY: the caller keeps the contract of this function, which is that one's.
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, at: *mut u8, memory: Memory) {
        // SAFETY: the same.
        unsafe { System.dealloc(at, memory) }
    }

    unsafe fn realloc(&self, at: *mut u8, memory: Memory, size: usize) -> *mut u8 {
        TAKEN.set(TAKEN.get() + 1);
        // SAFETY: the same.
        unsafe { System.realloc(at, memory, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts what passes.
#[derive(Default)]
struct Sink(u64);

impl Output for Sink {
    fn keep(&mut self, _: &[u8], range: Range<usize>) {
        self.0 += range.len() as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 += bytes.len() as u64;
    }
}

fn plan(format: Format, when: Option<&str>) -> (Arc<RewritePlan>, Params) {
    let keep = MaskSpec::Keep { first: 3, last: 4, fill: '*' };
    let masks = Masks::build([("phone", &keep)], &Keys::default()).unwrap();
    let mut table = ParamTable::default();
    let when = when.map(|when| Arc::new(Predicate::compile(when, &mut table).unwrap()));
    let field = |place: &str, access: Access| {
        let path = Path::parse_field(place).unwrap();
        Selector { rank: path.steps().len() as u32, path, access }
    };
    let fields = ["id", "name", "status", "bank.name", "lines[*].price"];
    let fields = fields.map(|place| field(place, Access::Show)).into_iter();
    let mask = Access::Mask(Arc::clone(masks.get("phone").unwrap()));
    let grant = Grant {
        when,
        fields: fields.chain([field("phone", mask)]).collect(),
        otherwise: Access::Hide,
        name: "g".into(),
    };
    let rule = RecordRule {
        name: "customer".into(),
        key: Some(Path::parse_field("id").unwrap()),
        grants: vec![grant],
        guards: Vec::new(),
        relations: Vec::new(),
        embedded: Vec::new(),
        pairs: Vec::new(),
    };
    let records =
        Records::Many { at: Path::parse_jsonpath("$.data[*]").unwrap(), rule: RuleRef::Fixed(RuleId(0)) };
    let layout = Layout { records, keep: Vec::new(), total: None };
    let plan = RewritePlan::new(format, layout, vec![rule], Bounds::default());
    (Arc::new(plan), table.names().iter().map(|_| None).collect())
}

/// Records with members that nobody declared: plain ones, one too long to be learnt, one written with an escape, lists
/// of lists, text where an object was declared.
fn record(number: usize) -> String {
    let bank = if number.is_multiple_of(3) { "\"none\"" } else { r#"{"name":"B","account":"6222"}"# };
    format!(
        r#"{{"id":{number},"name":"王芳 {number}","phone":"138{number:08}","secret":"x{number}","nested":{{"a":[1,{{"b":2}}],"c":null}},"a_member_whose_name_is_too_long_to_be_learnt_by_heart":{number},"wr\u0069tten":true,"bank":{bank},"lines":[{{"price":1.5,"cost":1}},[{number}],7],"status":"open"}}"#
    )
}

/// How often memory was taken for the last part of an answer. In the first one the chunks end everywhere a chunk can,
/// so that every buffer has been needed once.
fn taken(format: Format, when: Option<&str>, size: usize) -> u64 {
    let (open, between, close) =
        if format == Format::Json { ("{\"data\":[", ",", "]}") } else { ("", "\n", "\n") };
    let records: Vec<String> = (0..4_000).map(record).collect();
    let input = format!("{open}{}{close}", records.join(between));
    let (plan, params) = plan(format, when);
    let (mut rewriter, mut sink) = (Rewriter::new(plan, params), Sink::default());
    let (start, rest) = input.as_bytes().split_at(input.len() / 4);
    let (first, second) = rest.split_at(rest.len() / 3);
    for chunk in start.chunks(61).chain(first.chunks(size)) {
        rewriter.push(chunk, &mut sink).unwrap();
    }
    let before = TAKEN.get();
    for chunk in second.chunks(size) {
        rewriter.push(chunk, &mut sink).unwrap();
    }
    let taken = TAKEN.get() - before;
    rewriter.finish(&mut sink).unwrap();
    assert_eq!(rewriter.counts().released, 4_000);
    assert!(sink.0 > 100_000 && second.len() > 4 * size);
    taken
}

#[test]
fn the_steady_state_takes_no_memory() {
    for size in [64 << 10, 16 << 10, 1_460] {
        for format in [Format::Json, Format::Ndjson] {
            assert_eq!(taken(format.clone(), None, size), 0, "{format:?} in chunks of {size}");
        }
    }
}
