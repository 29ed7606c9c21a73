//! `fieldgate check`: finds every mistake in a policy and its deployment.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use crate::base::{Clock as _, Report, Severity, SystemClock};
use crate::policy::Loaded;

use super::policy::Source;

/// Arguments of `fieldgate check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    /// How complaints are written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The moment at which bindings are looked at for having ended; without it: now.
    #[arg(long, value_name = "TIME")]
    at: Option<jiff::Timestamp>,
    /// Fail also on warnings.
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// With the line underlined, for people.
    Text,
    /// A JSON array, for programs.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut found = args.source.read()?;
    if let Some(policy) = &found.policy {
        let expired = policy.expired(args.at.unwrap_or_else(|| SystemClock::new().now()));
        expired.into_iter().for_each(|warning| found.report.push(warning));
        found.report.sort();
    }
    let report = &found.report;
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", report.to_json())?,
        Format::Sarif => writeln!(out, "{}", report.to_sarif())?,
        Format::Text => {
            write!(out, "{}", report.to_text(out.is_terminal()))?;
            writeln!(out, "{}", summary(report, found.policy.as_ref()))?;
        }
    }
    let failed = report.has_errors() || (args.strict && report.count(Severity::Warning) > 0);
    Ok(if failed { super::FAILED.into() } else { ExitCode::SUCCESS })
}

/// One line at the end: what was read, and how it stands.
fn summary(report: &Report, policy: Option<&Loaded>) -> String {
    let counted = |severity: Severity, name: &str| match report.count(severity) {
        0 => None,
        1 => Some(format!("1 {name}")),
        count => Some(format!("{count} {name}s")),
    };
    let said: Vec<_> = [counted(Severity::Error, "error"), counted(Severity::Warning, "warning")]
        .into_iter()
        .flatten()
        .collect();
    let said = if said.is_empty() { "no mistakes".to_owned() } else { said.join(", ") };
    let Some(policy) = policy else { return said };
    let set = &policy.set;
    let routes = set.apis.iter().map(|api| api.routes.len()).sum::<usize>();
    format!(
        "{said}: {} routes, {} resources, {} roles, {} bindings, {} guards, {} tests",
        routes,
        set.resources.len(),
        set.roles.len(),
        set.bindings.len(),
        set.guards.len(),
        set.tests.len()
    )
}
