//! `fieldgate test`: runs the tests of a policy.

mod junit;
mod write;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::analysis::{ExampleResult, coverage, run_examples, update};
use crate::base::{Clock as _, SystemClock};
use crate::policy::Loaded;
use crate::policy::syntax::PolicyTest;

use super::policy::Source;

/// Arguments of `fieldgate test`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    /// Only tests whose name holds this text.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The moment of tests that name none; without it: now.
    #[arg(long, value_name = "TIME")]
    at: Option<jiff::Timestamp>,
    /// How results are written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Also writes the results as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Also says which routes, permissions, guards, masks and fields no test tries, and what in answers has no label.
    #[arg(long)]
    coverage: bool,
    /// Writes what comes out where the expectations of failed tests stand, after showing it.
    #[arg(long)]
    update: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// A JSON object, for programs.
    Json,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let found = args.source.read()?;
    let Some((policy, plan)) = found.policy.as_ref().and_then(|policy| Some((policy, policy.plan.as_ref()?)))
    else {
        write!(std::io::stderr(), "{}", found.report.to_text(std::io::stderr().is_terminal()))?;
        return Ok(super::FAILED.into());
    };
    let now = args.at.unwrap_or_else(|| SystemClock::new().now());
    let wanted: Vec<_> = policy
        .set
        .tests
        .iter()
        .filter(|test| args.only.as_ref().is_none_or(|only| test.name.text.contains(only.as_str())))
        .cloned()
        .collect();
    let results = run_examples(plan, &wanted, now);
    let coverage = args.coverage.then(|| coverage(policy, &results));
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{:#}", write::json(policy, &results, coverage.as_ref()))?,
        Format::Text => {
            let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
            write::text(policy, &results, colour, &mut out)?;
            if let Some(coverage) = &coverage {
                write::coverage(coverage, &mut out)?;
            }
        }
    }
    if let Some(file) = &args.junit {
        std::fs::write(file, junit::xml(policy, &results))
            .with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    let failed = results.iter().any(|result| result.failure.is_some());
    if failed && args.update {
        return rewrite(policy, &wanted, &results, &mut out);
    }
    Ok(if failed { super::FAILED.into() } else { ExitCode::SUCCESS })
}

/// Writes the expectations anew; what was written is said, and what somebody has to look at.
fn rewrite(
    policy: &Loaded,
    tests: &[PolicyTest],
    results: &[ExampleResult],
    out: &mut impl std::io::Write,
) -> anyhow::Result<ExitCode> {
    let update = update(policy, tests, results);
    for (file, bytes) in &update.files {
        unchanged(policy, file)?;
        replace(file, bytes).with_context(|| format!("cannot write `{}`", file.display()))?;
        writeln!(out, "wrote {}", file.display())?;
    }
    for (name, why) in &update.by_hand {
        writeln!(out, "by hand: {}: {why}", write::one_line(name))?;
    }
    writeln!(out, "{} expectations updated: look at the difference before you keep it", update.expectations)?;
    Ok(if update.by_hand.is_empty() { ExitCode::SUCCESS } else { super::FAILED.into() })
}

/// Somebody may be editing the file.
fn unchanged(policy: &Loaded, file: &Path) -> anyhow::Result<()> {
    let name = file.display().to_string();
    let Some(before) = policy.text_of(&name) else { return Ok(()) };
    let now = std::fs::read_to_string(file).with_context(|| format!("cannot read `{name}`"))?;
    anyhow::ensure!(now == before, "`{name}` has been changed meanwhile: nothing is written");
    Ok(())
}

/// A new file takes the place of the old one, whole or not at all.
fn replace(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = file.with_file_name(name);
    std::fs::write(&new, bytes)?;
    if let Ok(metadata) = std::fs::metadata(file) {
        std::fs::set_permissions(&new, metadata.permissions())?;
    }
    std::fs::rename(&new, file)
}
