//! `fieldgate explain`: why each field of a record is shown, masked or hidden for a caller.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use crate::analysis::{Explanation, FieldExplanation, explain};
use crate::base::{Clock as _, SystemClock};

use super::policy::Source;
use super::request::Asked;

/// Arguments of `fieldgate explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    asked: Asked,
    /// The moment at which it is decided; without it: now.
    #[arg(long, value_name = "TIME")]
    at: Option<jiff::Timestamp>,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (caller, request) = args.asked.parts()?;
    let found = args.source.read()?;
    let Some(plan) = found.policy.as_ref().and_then(|policy| policy.plan.as_ref()) else {
        write!(io::stderr(), "{}", found.report.to_text(io::stderr().is_terminal()))?;
        return Ok(super::FAILED.into());
    };
    let now = args.at.unwrap_or_else(|| SystemClock::new().now());
    let (head, body) = request.into_parts();
    let judged = plan.needs_body(&head).then_some(body);
    let decided =
        plan.operation(&head, judged).and_then(|operation| plan.decide(&caller.principal(), operation, now));
    let mut out = io::stdout().lock();
    match decided {
        Ok(permit) => write(&explain(plan, &permit), &mut out)?,
        Err(denial) => {
            writeln!(out, "denied: {}", denial.reason)?;
            return Ok(super::DENIED.into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write(explanation: &Explanation, out: &mut impl io::Write) -> io::Result<()> {
    writeln!(out, "{}", explanation.route)?;
    let roles: Vec<_> = explanation.roles.iter().map(AsRef::as_ref).collect();
    writeln!(out, "roles: {}", roles.join(", "))?;
    writeln!(out, "considered:")?;
    for (name, place) in &explanation.considered {
        writeln!(out, "  {name}{}", place.as_ref().map_or_else(String::new, |place| format!(" ({place})")))?;
    }
    let width = explanation.fields.iter().map(|field| field.name.chars().count()).max().unwrap_or(0);
    for field in &explanation.fields {
        for (index, line) in lines(field).iter().enumerate() {
            let name = if index == 0 { field.name.as_str() } else { "" };
            writeln!(out, "  {name:width$}  {line}")?;
        }
    }
    Ok(())
}

fn lines(field: &FieldExplanation) -> Vec<String> {
    if field.guarded {
        return vec!["hidden by a guard".to_owned()];
    }
    if field.reasons.is_empty() {
        return vec!["hidden: no permission releases it".to_owned()];
    }
    field
        .reasons
        .iter()
        .map(|reason| {
            let place = reason.place.as_ref().map_or_else(String::new, |place| format!(" ({place})"));
            let records =
                reason.records.as_ref().map_or_else(String::new, |records| format!(" where {records}"));
            format!("{} by {}{place}{records}", reason.gives, reason.permission)
        })
        .collect()
}
