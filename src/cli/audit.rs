//! `fieldgate audit verify` and `fieldgate audit search`: whether the audit is what was written, and who saw what.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::app::config::{Config, SecretSource};
use crate::audit::{Evidence, Filter, Match, Search, Verdict, verify};
use crate::base::{Secret, Severity};

use super::FAILED;

/// Arguments of `fieldgate audit`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check that no record was changed, removed, added or moved.
    ///
    /// Needs nothing but the files, may run beside the gateway, and names the first record that is wrong. Exit
    /// status 0: sound, 1: not.
    Verify(Verify),
    /// Find out who saw or did what.
    Search(Box<Find>),
}

/// Where the log is.
#[derive(Debug, clap::Args)]
struct Place {
    /// The log's directory, instead of the one that the configuration names.
    #[arg(long, value_name = "DIR", conflicts_with = "segments")]
    dir: Option<PathBuf>,
    /// The configuration, which names the log's directory and key.
    #[arg(long, value_name = "FILE", default_value = "fieldgate.yaml", env = "FIELDGATE_CONFIG")]
    config: PathBuf,
    /// Single segments, in order, instead of a directory.
    #[arg(value_name = "SEGMENT")]
    segments: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Verify {
    #[command(flatten)]
    place: Place,
    /// A file with the key that the log is signed with; repeat it after a change of keys.
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// A copy of the log's head that was kept elsewhere: shows a log that was set back.
    #[arg(long, value_name = "FILE")]
    head: Vec<PathBuf>,
    /// Accept that earlier segments are kept elsewhere.
    #[arg(long)]
    partial: bool,
}

#[derive(Debug, clap::Args)]
struct Find {
    #[command(flatten)]
    place: Place,
    /// A caller: id, name, or the name of its key; or who did an act of administration.
    #[arg(long)]
    who: Option<String>,
    /// The key of a business record that was given out.
    #[arg(long, value_name = "KEY")]
    record: Option<String>,
    /// A resource.
    #[arg(long)]
    resource: Option<String>,
    /// A field that was given out, shown or masked: `customer.phone`, or `phone` of any resource.
    #[arg(long)]
    field: Option<String>,
    /// An action: list, read, create, update, delete, export, or a named one; `keys.create`, `freeze`, `unmask` …
    #[arg(long)]
    action: Option<String>,
    /// A part of a route.
    #[arg(long)]
    route: Option<String>,
    /// How it ended: complete, denied, refused, cut, aborted.
    #[arg(long)]
    outcome: Option<String>,
    /// The id that the caller was told, or the decision's.
    #[arg(long)]
    id: Option<String>,
    /// To what or whom an act of administration was done: a key's id, a principal, a mask.
    #[arg(long)]
    target: Option<String>,
    /// From this time: `2026-03-01`, or `2026-03-01T08:00:00+08:00`. A day is a day in UTC.
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// Until this time; a day is included.
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Option<Timestamp>,
    /// Show starts, repairs, policy changes and the like too.
    #[arg(long)]
    events: bool,
    /// Print whole records as JSON lines.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Verify(args) => run_verify(&args),
        Command::Search(args) => match run_search(*args) {
            // Whoever read the output has seen enough (`| head`).
            Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
            done => done,
        },
    }
}

// === verify ===

fn run_verify(args: &Verify) -> anyhow::Result<ExitCode> {
    let (mut evidence, key) = args.place.evidence()?;
    if !args.key.is_empty() {
        evidence.keys = args.key.iter().map(|path| read_key(path)).collect::<anyhow::Result<_>>()?;
    } else if let Some(key) = key {
        let key =
            key.read().map_err(|complaint| anyhow::anyhow!("{}: name it by --key", complaint.message))?;
        evidence.keys.push(Secret::new(key.expose().as_bytes().to_vec()));
    }
    evidence.heads.extend(args.head.iter().cloned());
    evidence.partial = args.partial;
    let bar = progress(&evidence.segments);
    let verdict = verify(&evidence, &mut |bytes| bar.inc(bytes)).context("audit log cannot be read")?;
    bar.finish_and_clear();
    print_verdict(&evidence, &verdict, &mut io::stdout().lock())?;
    Ok(if verdict.is_sound() { ExitCode::SUCCESS } else { FAILED.into() })
}

fn print_verdict(evidence: &Evidence, verdict: &Verdict, out: &mut impl Write) -> io::Result<()> {
    for finding in &verdict.findings {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        writeln!(out, "{severity}: {finding}")?;
    }
    let segments = evidence.segments.len();
    let Verdict { records, requests, acts, .. } = verdict;
    let acts = if *acts == 0 { String::new() } else { format!(", {acts} acts of administration") };
    writeln!(out, "{records} records ({requests} requests{acts}) in {segments} segments were checked")?;
    if let Some((sequence, hash, time)) = &verdict.last {
        writeln!(out, "the last one is record {sequence} of {time}, with the hash {hash}")?;
    }
    match verdict.anchored {
        Some(sequence) if verdict.signed => writeln!(out, "a signed head names record {sequence}")?,
        Some(sequence) => writeln!(out, "a head names record {sequence}; it was not checked against a key")?,
        None => writeln!(out, "no head was checked: records cut off the end would not show")?,
    }
    writeln!(out, "{}", if verdict.is_sound() { "sound" } else { "NOT SOUND" })
}

fn progress(segments: &[PathBuf]) -> ProgressBar {
    let bytes = segments.iter().filter_map(|path| fs::metadata(path).ok()).map(|data| data.len()).sum();
    if bytes < WORTH_A_BAR {
        return ProgressBar::hidden();
    }
    // Draws on standard error, and only if that is a terminal.
    let bar = ProgressBar::new(bytes);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}") {
        bar.set_style(style);
    }
    bar
}

// === search ===

fn run_search(args: Find) -> anyhow::Result<ExitCode> {
    let (Evidence { segments, .. }, _) = args.place.evidence()?;
    let json = args.json;
    let mut search = Search::new(segments, args.filter());
    let mut out = BufWriter::new(io::stdout().lock());
    let mut found = 0_u64;
    for record in search.by_ref() {
        let record = record.context("audit log cannot be read")?;
        found += 1;
        if json {
            writeln!(out, "{}", record.line)?;
        } else {
            print_match(&record, &mut out)?;
        }
    }
    out.flush()?;
    let gaps = search.gaps();
    let mut notes = io::stderr().lock();
    if !json {
        writeln!(notes, "{found} records found")?;
    }
    if gaps.uncertain > 0 {
        writeln!(
            notes,
            "note: {} more gave out more records than they name, perhaps this one too; leave out --record to see them",
            gaps.uncertain
        )?;
    }
    if gaps.unreadable > 0 {
        writeln!(notes, "warning: {} lines cannot be read: run `fieldgate audit verify`", gaps.unreadable)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One line: when, who, what, to what, how many, how it ended.
fn print_match(found: &Match, out: &mut impl Write) -> io::Result<()> {
    let record = &found.record;
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    let number = |name: &str| record.get(name).and_then(Value::as_u64).unwrap_or(0);
    let time = text("time").unwrap_or("-");
    let kind = text("type").unwrap_or("-");
    if kind == "administration" {
        return print_act(record, time, out);
    }
    if kind != "request" {
        let facts = record.get("facts").map(Value::to_string).unwrap_or_default();
        return writeln!(out, "{time}  {:<16} {} {facts}", "-", text("event").unwrap_or(kind));
    }
    let who = record.get("principal").and_then(|who| who.get("id")).and_then(Value::as_str);
    let keys: Vec<&str> = record
        .get("keys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let more = number("released").saturating_sub(keys.len() as u64);
    write!(
        out,
        "{time}  {:<16} {:<8} {:<14} {:<9} {:>3}  released {}",
        who.unwrap_or("-"),
        text("action").unwrap_or("-"),
        text("resource").unwrap_or("-"),
        text("outcome").unwrap_or("-"),
        number("status"),
        number("released"),
    )?;
    if !keys.is_empty() {
        let shown = keys.get(..SHOWN_KEYS).unwrap_or(&keys);
        write!(out, " ({}{})", shown.join(" "), if more > 0 || keys.len() > SHOWN_KEYS { " …" } else { "" })?;
    }
    if let Some(reason) = text("reason") {
        write!(out, "  {reason}")?;
    }
    writeln!(out)
}

/// One line: when, who, what, to whom, why.
fn print_act(record: &Value, time: &str, out: &mut impl Write) -> io::Result<()> {
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    let actor = |name: &str| record.get("actor").and_then(|actor| actor.get(name)).and_then(Value::as_str);
    let (user, host) = (actor("login").or(actor("user")).unwrap_or("-"), actor("host").unwrap_or("-"));
    let who = format!("{user}@{host}");
    write!(out, "{time}  {who:<16} {:<14} {}", text("action").unwrap_or("-"), text("target").unwrap_or("-"))?;
    if let Some(facts) = record.get("facts") {
        write!(out, " {facts}")?;
    }
    if let Some(reason) = text("reason") {
        write!(out, "  {reason}")?;
    }
    writeln!(out)
}

impl Find {
    fn filter(self) -> Filter {
        Filter {
            who: self.who,
            route: self.route,
            action: self.action,
            resource: self.resource,
            key: self.record,
            field: self.field,
            outcome: self.outcome,
            id: self.id,
            target: self.target,
            since: self.since,
            until: self.until,
            events: self.events,
        }
    }
}

// === both ===

impl Place {
    /// The log, and where its key is if the configuration names one.
    fn evidence(&self) -> anyhow::Result<(Evidence, Option<SecretSource>)> {
        if !self.segments.is_empty() {
            return Ok((Evidence { segments: self.segments.clone(), ..Evidence::default() }, None));
        }
        if let Some(dir) = &self.dir {
            return Ok((in_directory(dir)?, None));
        }
        let (config, report) = Config::load(&self.config);
        let Some(config) = config else {
            bail!("{}\nname the log's directory by --dir instead", report.to_text(false).trim_end());
        };
        Ok((in_directory(&config.audit.dir)?, config.audit.key))
    }
}

fn in_directory(dir: &Path) -> anyhow::Result<Evidence> {
    let evidence = Evidence::in_directory(dir)
        .with_context(|| format!("audit directory `{}` cannot be read", dir.display()))?;
    if evidence.segments.is_empty() {
        bail!("there is no audit log in `{}`", dir.display());
    }
    Ok(evidence)
}

/// A key as the configuration reads it: a line break at its end does not belong to it.
fn read_key(path: &Path) -> anyhow::Result<Secret<Vec<u8>>> {
    let mut key = fs::read(path).with_context(|| format!("key `{}` cannot be read", path.display()))?;
    while matches!(key.last(), Some(b'\r' | b'\n')) {
        key.pop();
    }
    if key.is_empty() {
        bail!("key `{}` is empty", path.display());
    }
    Ok(Secret::new(key))
}

fn since(text: &str) -> Result<Timestamp, String> {
    moment(text, false)
}

fn until(text: &str) -> Result<Timestamp, String> {
    moment(text, true)
}

/// A time, or the beginning or end of a day in UTC.
fn moment(text: &str, end: bool) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let day = |day: Date| if end { day.tomorrow() } else { Ok(day) };
    text.parse::<Date>()
        .and_then(day)
        .and_then(|day| day.to_zoned(TimeZone::UTC))
        .map(|start| start.timestamp())
        .map_err(|_| "neither a day (`2026-03-01`) nor a time (`2026-03-01T08:00:00Z`)".into())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Below this, verification is over before a bar would help.
const WORTH_A_BAR: u64 = 16 << 20;
/// How many keys stand on a line.
const SHOWN_KEYS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_understood() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(since("2026-03-01").unwrap(), at("2026-03-01T00:00:00Z"));
        assert_eq!(until("2026-03-31").unwrap(), at("2026-04-01T00:00:00Z"));
        assert_eq!(until("2026-03-31T08:00:00+08:00").unwrap(), at("2026-03-31T00:00:00Z"));
        assert!(since("yesterday").is_err());
    }
}
