//! The engine against what people use: `cargo bench --bench rewrite`.
//!
//! Every figure stands beside serde_json's `Value`, simd-json, sonic-rs and a plain copy of the same run. The cases take
//! turns, and the least processor time of all rounds counts: on a shared machine caches and clocks change from second to
//! second, and what is slower than the least was disturbed. `-- ROUNDS` sets the number of rounds, `-- only NAME` runs one
//! case over and over for a profiler. Each SIMD tier is measured in a process of its own that `FIELDGATE_SIMD` caps.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench stops at the first surprise, and its result is what it prints"
)]

mod clock;
mod data;
mod plans;
mod rivals;

use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use fieldgate::rewrite::condition::Params;
use fieldgate::rewrite::{Format, Output, RewritePlan, Rewriter};

const CHUNK_BYTES: usize = 64 << 10;
/// What fits in one TCP segment.
const SEGMENT_BYTES: usize = 1460;
const ROUNDS: usize = 15;
/// What caps the instruction set, and its tiers from the best.
const TIER_ENV: &str = "FIELDGATE_SIMD";
const TIERS: [&str; 4] = ["avx512", "avx2", "baseline", "scalar"];

const ALLOW: &str = "allow-list of 30 fields, 3 masks";
const SEGMENTS: &str = "the same, 1,460-byte chunks";
const VALUE: &str = "serde_json Value, rewritten";

/// One line of the result.
struct Case<'d> {
    name: &'static str,
    bytes: usize,
    goal: &'static str,
    run: Box<dyn FnMut() -> usize + 'd>,
    least: Duration,
}

impl<'d> Case<'d> {
    fn new(
        name: &'static str,
        input: &'d str,
        goal: &'static str,
        mut run: impl FnMut(&'d [u8]) -> usize + 'd,
    ) -> Self {
        let run = Box::new(move || run(input.as_bytes()));
        Self { name, bytes: input.len(), goal, run, least: Duration::MAX }
    }

    fn measure(&mut self) {
        let run = &mut self.run;
        let spent = clock::spent(|| {
            black_box(run());
        });
        self.least = self.least.min(spent);
    }

    fn speed(&self) -> f64 {
        self.bytes as f64 / self.least.as_secs_f64() / 1e9
    }
}

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

fn rewrite(plan: &Arc<RewritePlan>, params: &Params, input: &[u8], chunk: usize) -> usize {
    let mut rewriter = Rewriter::new(Arc::clone(plan), params.clone());
    let mut out = Counter::default();
    for chunk in input.chunks(chunk) {
        rewriter.push(chunk, &mut out).expect("well-formed");
    }
    rewriter.finish(&mut out).expect("whole");
    out.0
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (json, ndjson, csv) = (data::export(), data::lines(), data::rows());
    let allow = plans::allow_list(Format::Json);
    let allowed = |chunk: usize| {
        let allow = Arc::clone(&allow);
        move |input: &[u8]| rewrite(&allow, &Params::default(), input, chunk)
    };
    let plain =
        |plan: Arc<RewritePlan>| move |input: &[u8]| rewrite(&plan, &Params::default(), input, CHUNK_BYTES);
    let (condition, params) = plans::condition();
    let mut copy = vec![0u8; CHUNK_BYTES];
    let mut cases = vec![
        Case::new(ALLOW, &json, "20 x Value, 12 x at least", allowed(CHUNK_BYTES)),
        Case::new(SEGMENTS, &json, "0.85 of whole chunks", allowed(SEGMENT_BYTES)),
        Case::new("deny-list of 2", &json, "", plain(plans::deny_list())),
        Case::new("record condition", &json, "7.5 x Value (1.2 of its 0.16 GB/s)", |input| {
            rewrite(&condition, &params, input, CHUNK_BYTES)
        }),
        Case::new("NDJSON", &ndjson, "12.5 x Value (2.0 GB/s)", plain(plans::allow_list(Format::Ndjson))),
        Case::new("CSV", &csv, "6.25 x Value (1.0 GB/s)", plain(plans::allow_list(plans::csv()))),
        Case::new(VALUE, &json, "", rivals::serde_value),
        Case::new("simd-json tape, only read", &json, "", rivals::simd_tape),
        Case::new("sonic-rs Value, only read", &json, "", rivals::sonic_dom),
        Case::new("memcpy", &json, "", move |input| rivals::memcpy(input, &mut copy)),
    ];
    match arguments.as_slice() {
        ["tier", rounds] => {
            let [case, ..] = cases.as_mut_slice() else { return };
            (0..rounds.parse().unwrap_or(ROUNDS)).for_each(|_| case.measure());
            println!("{}", case.least.as_nanos());
        }
        ["only", name, times] => {
            for case in cases.iter_mut().filter(|case| case.name.contains(name)) {
                (0..times.parse().unwrap_or(ROUNDS)).for_each(|_| case.measure());
                println!("{}: {:.3} GB/s", case.name, case.speed());
            }
        }
        rounds => {
            let rounds = rounds.first().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
            report(&mut cases, rounds);
        }
    }
}

fn report(cases: &mut [Case<'_>], rounds: usize) {
    let mut tiers = TIERS.map(|tier| (tier, Duration::MAX));
    for round in 0..rounds {
        cases.iter_mut().for_each(Case::measure);
        if round % 5 == 0 {
            for (tier, least) in &mut tiers {
                *least = (*least).min(measured_apart(tier));
            }
        }
    }
    let find = |name: &str| cases.iter().find(|case| case.name == name).expect("a case");
    let (value, whole) = (find(VALUE), find(ALLOW));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "{} records, {} bytes of JSON, {rounds} rounds, least processor time; load {load}",
        data::RECORDS,
        whole.bytes
    );
    println!("{:<34} {:>8} {:>10} {:>12}  goal", "", "GB/s", "x Value", "x simd-json");
    let tape = find("simd-json tape, only read").speed();
    for case in cases.iter() {
        let speed = case.speed();
        println!(
            "{:<34} {speed:>8.3} {:>10.2} {:>12.2}  {}",
            case.name,
            speed / value.speed(),
            speed / tape,
            case.goal
        );
    }
    println!("1,460-byte chunks: {:.3} of 64 KiB ones (goal 0.85)", find(SEGMENTS).speed() / whole.speed());
    let best = tiers.iter().map(|(_, least)| *least).min().unwrap_or_default();
    for (tier, least) in tiers {
        println!(
            "allow-list with {tier:<9} {:>8.3} GB/s {:>6.2} x Value {:>6.2} of the best tier (goals 4 and 0.5)",
            whole.bytes as f64 / least.as_secs_f64() / 1e9,
            value.least.as_secs_f64() / least.as_secs_f64(),
            best.as_secs_f64() / least.as_secs_f64(),
        );
    }
}

/// The allow-list in a process that may use this tier at most.
fn measured_apart(tier: &str) -> Duration {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["tier", "5"])
        .env(TIER_ENV, tier)
        .output()
        .expect("a child");
    let nanos = String::from_utf8_lossy(&output.stdout).trim().parse().expect("nanoseconds");
    Duration::from_nanos(nanos)
}
