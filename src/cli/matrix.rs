//! `fieldgate matrix`: role × resource × field, for the terminal, a spreadsheet or the wall.

mod csv;
mod html;
mod text;
mod words;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::analysis::{MatrixScope, matrix};

use super::policy::{Source, Usage};

/// Arguments of `fieldgate matrix`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    /// Only this resource; may be given several times.
    #[arg(long, value_name = "NAME")]
    resource: Vec<String>,
    /// Only this role; may be given several times.
    #[arg(long, value_name = "NAME")]
    role: Vec<String>,
    /// How it is drawn.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Width of the text; roles that do not fit follow below.
    #[arg(long, value_name = "COLUMNS", env = "COLUMNS", default_value_t = 120, hide_env = true)]
    width: usize,
    /// Write to a file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For the terminal.
    Text,
    /// For spreadsheets and scripts: one line for every resource, field and role.
    Csv,
    /// One page that needs nothing else: it prints, can be filtered, and is light or dark as the reader likes.
    Html,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let found = args.source.read()?;
    let Some((policy, plan)) = found.policy.as_ref().and_then(|policy| Some((policy, policy.plan.as_ref()?)))
    else {
        write!(io::stderr(), "{}", found.report.to_text(io::stderr().is_terminal()))?;
        return Ok(super::FAILED.into());
    };
    let set = &policy.set;
    known("resource", &args.resource, set.resources.iter().map(|resource| resource.name.as_str()))?;
    known("role", &args.role, set.roles.iter().map(|role| role.name.as_str()))?;
    let matrix = matrix(plan, set, &MatrixScope { resources: args.resource, roles: args.role });
    let drawn = match args.format {
        Format::Text => text::draw(&matrix, args.width),
        Format::Csv => csv::draw(&matrix),
        Format::Html => html::draw(&matrix),
    };
    match &args.output {
        None => io::stdout().lock().write_all(drawn.as_bytes())?,
        Some(file) => {
            std::fs::write(file, drawn).with_context(|| format!("cannot write `{}`", file.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses names that the policy does not have: an empty picture would look like "nobody may".
fn known<'n>(
    what: &str,
    asked: &[String],
    names: impl Iterator<Item = &'n str> + Clone,
) -> anyhow::Result<()> {
    for name in asked {
        if !names.clone().any(|known| known == name) {
            let help = crate::base::suggest(name, names.clone())
                .map_or_else(String::new, |found| format!("; did you mean `{found}`?"));
            return Err(Usage(format!("the policy has no {what} `{name}`{help}")).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
