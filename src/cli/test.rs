//! `fieldgate test`: runs the tests of a policy.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use crate::analysis::run_examples;
use crate::base::{Clock as _, SystemClock};

use super::policy::Source;

/// Arguments of `fieldgate test`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    /// Only tests whose name holds this text.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let found = args.source.read()?;
    let mut out = std::io::stdout().lock();
    let Some((policy, plan)) = found.policy.as_ref().and_then(|policy| Some((policy, policy.plan.as_ref()?)))
    else {
        write!(std::io::stderr(), "{}", found.report.to_text(std::io::stderr().is_terminal()))?;
        return Ok(super::FAILED.into());
    };
    let wanted: Vec<_> = policy
        .set
        .tests
        .iter()
        .filter(|test| args.only.as_ref().is_none_or(|only| test.name.text.contains(only.as_str())))
        .cloned()
        .collect();
    let results = run_examples(plan, &wanted, SystemClock::new().now());
    let mut failed = 0_usize;
    for result in &results {
        let name = one_line(&result.name);
        match &result.failure {
            None => writeln!(out, "ok    {name}")?,
            Some(failure) => {
                failed += 1;
                writeln!(out, "FAIL  {name} ({})", policy.place_of(result.mark))?;
                for line in failure.lines() {
                    writeln!(out, "      {}", one_line(line))?;
                }
            }
        }
    }
    writeln!(out, "{} passed, {failed} failed", results.len() - failed)?;
    Ok(if failed > 0 { super::FAILED.into() } else { ExitCode::SUCCESS })
}

/// Names and answers are whatever the policy's author wrote; the terminal sees text.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
