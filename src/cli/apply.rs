//! `fieldgate apply`: a saved answer on standard input becomes what a caller would get, on standard output.

use std::io::{self, BufWriter, IsTerminal as _, Read as _, Write};
use std::process::ExitCode;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::analysis::{Refusal, admit};
use crate::base::{Clock as _, SystemClock};
use crate::policy::Permit;
use crate::rewrite::charset::{Charset, Transcoder};
use crate::rewrite::{Counts, Rewriter};

use super::policy::{Source, Usage};
use super::request::Asked;

/// Arguments of `fieldgate apply`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    asked: Asked,
    /// The status the upstream answered with.
    #[arg(long, value_name = "STATUS", default_value_t = 200)]
    status: u16,
    /// The content type the upstream answered with; without it the one the route expects.
    #[arg(long = "type", value_name = "TYPE")]
    content_type: Option<String>,
    /// A file that holds the record as it is before a write under a condition.
    #[arg(long, value_name = "FILE")]
    before: Option<std::path::PathBuf>,
    /// The moment at which it is decided, such as `2026-11-20T09:00:00Z`; without it: now.
    #[arg(long, value_name = "TIME")]
    at: Option<jiff::Timestamp>,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (caller, request) = args.asked.parts()?;
    let status =
        http::StatusCode::from_u16(args.status).map_err(|error| Usage(format!("`--status`: {error}")))?;
    let found = args.source.read_with_keys()?;
    let Some(plan) = found.policy.as_ref().and_then(|policy| policy.plan.as_ref()) else {
        write!(io::stderr(), "{}", found.report.to_text(io::stderr().is_terminal()))?;
        return Ok(super::FAILED.into());
    };
    let before = match &args.before {
        Some(file) => Some(std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?),
        None => None,
    };
    let now = args.at.unwrap_or_else(|| SystemClock::new().now());
    let permit = match admit(plan, &caller.principal(), request, before.as_deref(), now) {
        Ok(permit) => permit,
        Err(refusal @ Refusal::NothingBefore) => {
            return say(&format!("{refusal} (`--before FILE`)"), super::USAGE);
        }
        Err(refusal) => return say(&format!("denied: {refusal}"), super::DENIED),
    };
    if !permit.route().public && !status.is_success() {
        return say(
            &format!("denied: the upstream's answer with status {status} is replaced"),
            super::DENIED,
        );
    }
    let charset = match args.content_type.as_deref().map(|stated| charset(stated, &permit)) {
        Some(Err(reason)) => return say(&reason, super::FAILED),
        Some(Ok(charset)) => charset,
        None => Charset::UTF_8,
    };
    stream(&permit, charset)
}

/// The charset of an answer of this type, or why it would not be read on the route.
fn charset(stated: &str, permit: &Permit) -> Result<Charset, String> {
    if permit.route().public {
        return Ok(Charset::UTF_8);
    }
    let mut headers = http::HeaderMap::new();
    let Ok(value) = stated.parse() else {
        return Err(format!("`{}` is no content type", stated.escape_default()));
    };
    headers.insert(http::header::CONTENT_TYPE, value);
    let stated = crate::response::media_type(&headers, &permit.rewrite().format);
    stated.map(|stated| stated.charset).map_err(|error| error.to_string())
}

/// Rewrites standard input. What was written before an error is safe; a single record is held until it is known to
/// be released.
fn stream(permit: &Permit, charset: Charset) -> anyhow::Result<ExitCode> {
    let mut input = io::stdin().lock();
    let mut output = BufWriter::with_capacity(CHUNK_BYTES, io::stdout().lock());
    if permit.route().public {
        io::copy(&mut input, &mut output)?;
        output.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    let progress = progress();
    let mut rewriter = Rewriter::new(permit.rewrite().clone(), permit.params().clone());
    let mut transcoder = Transcoder::new(charset);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut ready = Vec::with_capacity(CHUNK_BYTES);
    loop {
        let read = match input.read(&mut chunk) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("cannot read standard input"),
        };
        let taken = chunk.get(..read).unwrap_or_default();
        let mut turned = |text: &[u8]| rewriter.push(text, &mut ready);
        let done =
            if read == 0 { transcoder.finish(&mut turned) } else { transcoder.push(taken, &mut turned) };
        let done = if read == 0 { done.and_then(|()| rewriter.finish(&mut ready)) } else { done };
        if let Err(cut) = done {
            progress.finish_and_clear();
            if !permit.route().single {
                output.write_all(&ready)?;
                output.flush()?;
            }
            return say(&format!("the answer cannot be screened: {cut}"), super::FAILED);
        }
        progress.inc(read as u64);
        if !permit.route().single {
            output.write_all(&ready).context("cannot write standard output")?;
            ready.clear();
        } else if ready.len() > SINGLE_BYTES {
            return say("the answer is too large for one record", super::FAILED);
        }
        if read == 0 {
            break;
        }
    }
    progress.finish_and_clear();
    if permit.route().single && rewriter.counts().released == 0 {
        return say(
            "denied: the record is not released: it is answered like one that does not exist",
            super::DENIED,
        );
    }
    output.write_all(&ready).and_then(|()| output.flush()).context("cannot write standard output")?;
    tell(rewriter.counts())?;
    Ok(ExitCode::SUCCESS)
}

/// On a terminal where the answer does not go: how far it is.
fn progress() -> ProgressBar {
    if !io::stderr().is_terminal() || io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = match input_bytes() {
        Some(bytes) => ProgressBar::new(bytes),
        None => ProgressBar::no_length(),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
    match ProgressStyle::with_template("{bytes:>10} {bytes_per_sec:>12} {wide_bar} {percent:>3}% {eta:>4}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The size of standard input where it is a file.
fn input_bytes() -> Option<u64> {
    let metadata = std::fs::metadata("/dev/stdin").ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// On a terminal, what was done.
fn tell(counts: &Counts) -> anyhow::Result<()> {
    if io::stderr().is_terminal() {
        writeln!(io::stderr(), "{} records released, {} withheld", counts.released, counts.withheld)?;
    }
    Ok(())
}

fn say(text: &str, status: u8) -> anyhow::Result<ExitCode> {
    writeln!(io::stderr(), "fieldgate: {text}")?;
    Ok(status.into())
}

/// How much is read at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Largest answer of one record: the engine holds records up to 1 MiB, the envelope is beside it.
const SINGLE_BYTES: usize = 8 << 20;
