//! `fieldgate diff`: who gains and who loses what between two policies.
//!
//! Ends with status 0 if nobody gains anything and nothing protects less (also where somebody loses rights), with 4 if
//! somebody does or may, with 1 if one of the policies has mistakes.

mod write;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::analysis::{Side, diff};
use crate::policy::Loaded;

use super::policy::Source;

/// Arguments of `fieldgate diff`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy as it was: a directory of `*.yaml` files, or the configuration of a deployment.
    old: PathBuf,
    /// The policy as it is to be.
    new: PathBuf,
    /// How the changes are written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For the terminal.
    Text,
    /// For a pull request.
    Markdown,
    /// For programs.
    Json,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (Some(old), Some(new)) = (read(&args.old)?, read(&args.new)?) else {
        return Ok(super::FAILED.into());
    };
    let (Some(old), Some(new)) = (side(&old), side(&new)) else { return Ok(super::FAILED.into()) };
    let found = diff(old, new);
    let written = match args.format {
        Format::Text => write::text(&found),
        Format::Markdown => write::markdown(&found),
        Format::Json => write::json(&found),
    };
    io::stdout().lock().write_all(written.as_bytes())?;
    Ok(if found.opens() { super::GAINED.into() } else { ExitCode::SUCCESS })
}

/// Reads one side; `None`: it has mistakes, which are on standard error.
fn read(path: &Path) -> anyhow::Result<Option<Loaded>> {
    let (mut config, mut policies) = (None, None);
    if path.is_dir() {
        policies = Some(path.to_owned())
    } else {
        config = Some(path.to_owned())
    }
    let found = Source { config, policies }.read()?;
    let policy = found.policy.filter(|policy| policy.plan.is_some());
    if policy.is_none() {
        write!(io::stderr(), "{}", found.report.to_text(io::stderr().is_terminal()))?;
    }
    Ok(policy)
}

fn side(policy: &Loaded) -> Option<Side<'_>> {
    Some(Side { set: &policy.set, plan: policy.plan.as_ref()? })
}

#[cfg(test)]
mod tests;
