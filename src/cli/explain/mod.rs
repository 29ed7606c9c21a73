//! `fieldgate explain`: why each record and field is shown, masked or hidden for a caller; or why a decision of the
//! audit was as it was.

mod decision;
mod write;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::analysis::{Caller, Refusal, admit, explain, foresee, verdicts};
use crate::base::{Clock as _, SystemClock};
use crate::policy::syntax::PolicySet;
use crate::policy::{Denial, DenialReason, Plan};

use super::policy::{Source, Usage};
use super::request::Asked;

/// Arguments of `fieldgate explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    asked: Option<Asked>,
    /// What the upstream answers: every record and value of it is explained.
    #[arg(long, value_name = "FILE")]
    answer: Option<PathBuf>,
    /// The moment at which it is decided; without it: now.
    #[arg(long, value_name = "TIME")]
    at: Option<jiff::Timestamp>,
    /// The id of a request or decision in the audit, instead of `--as` and `--request`.
    #[arg(long, value_name = "ID", conflicts_with_all = ["id", "request", "at"])]
    decision: Option<String>,
    /// The directory of the audit log; without it: that of the configuration.
    #[arg(long, value_name = "DIR", requires = "decision")]
    audit: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let found = args.source.read()?;
    let Some((plan, set)) =
        found.policy.as_ref().and_then(|policy| Some((policy.plan.as_ref()?, &policy.set)))
    else {
        write!(io::stderr(), "{}", found.report.to_text(io::stderr().is_terminal()))?;
        return Ok(super::FAILED.into());
    };
    let mut out = io::stdout().lock();
    let (caller, request, now) = match (&args.decision, &args.asked) {
        (Some(id), _) => {
            let record = decision::find(&args.source, args.audit.as_deref(), id)?;
            decision::tell(&record, plan, &mut out)?;
            match decision::again(&record) {
                Some(again) => again,
                None => {
                    writeln!(
                        out,
                        "it was refused before the policy was asked: there is nothing to decide again"
                    )?;
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
        (None, Some(asked)) => {
            let (mut caller, request) = asked.parts()?;
            if stands_for_a_role(&caller, set) {
                writeln!(out, "as somebody who holds the role `{}`: no user is named so", caller.id)?;
                caller.roles.push(caller.id.clone());
            }
            (caller, request, args.at.unwrap_or_else(|| SystemClock::new().now()))
        }
        (None, None) => {
            let text = "say `--as ID --request LINE`, or `--decision ID`";
            return Err(Usage(text.to_owned()).into());
        }
    };
    let principal = caller.principal();
    let foreseen = plan.has_shadow().then(|| foresee(plan, &principal, &request, now));
    let (head, body) = request.clone().into_parts();
    let judged = plan.needs_body(&head).then_some(body);
    let decided = plan.operation(&head, judged).and_then(|operation| plan.decide(&principal, operation, now));
    let permit = match decided {
        Ok(permit) => permit,
        Err(denial) => {
            denied(plan, &denial, &mut out)?;
            write::shadow(foreseen.as_ref(), plan, &mut out)?;
            return Ok(super::DENIED.into());
        }
    };
    // What it asks by and sets is not in the audit.
    let refused = match admit(plan, &principal, request, None, now) {
        Err(Refusal::Refused(refused)) if args.decision.is_none() => Some(refused.to_string()),
        _ => None,
    };
    if let Some(reason) = &refused {
        write::refused(reason, &mut out)?;
    }
    let unmasks = plan.unmasks(&principal, now);
    write::policy(&explain(plan, &permit), &unmasks, &mut out)?;
    write::shadow(foreseen.as_ref(), plan, &mut out)?;
    if let Some(file) = &args.answer {
        let answer = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
        match verdicts(plan, &permit, &answer) {
            Ok(records) => write::records(&records, &mut out)?,
            Err(why) => {
                writeln!(io::stderr(), "{why}")?;
                return Ok(super::FAILED.into());
            }
        }
    }
    Ok(if refused.is_some() { super::DENIED.into() } else { ExitCode::SUCCESS })
}

/// Whether a caller of whom nothing but a name is said is meant to be anybody with the role of that name.
fn stands_for_a_role(caller: &Caller, set: &PolicySet) -> bool {
    let named = |user: &str| *user == *caller.id;
    let bound = set.bindings.iter().any(|binding| binding.users.iter().any(|user| named(user.as_str())));
    let plain = caller.groups.is_empty() && caller.roles.is_empty() && caller.claims.is_empty();
    plain && !bound && set.roles.iter().any(|role| named(role.name.as_str()))
}

/// What refused, with file and line, and who would be let through.
fn denied(plan: &Plan, denial: &Denial, out: &mut impl io::Write) -> io::Result<()> {
    if let Some(route) = &denial.route {
        writeln!(out, "{}", route.name)?;
    }
    if let DenialReason::Item { item, .. } = &denial.reason {
        writeln!(out, "request {item} of the batch refuses it")?;
    }
    match denial.reason.innermost() {
        DenialReason::Guard { name, .. } => {
            let place = plan.place_of(&format!("guards.{name}"));
            let place = place.map_or_else(String::new, |place| format!(" ({place})"));
            writeln!(out, "denied by the guard `{name}`{place}: what it requires is not met")
        }
        DenialReason::NoPermission { action, resource } => {
            writeln!(
                out,
                "denied by default: none of the caller's roles has a permission for `{action}` on `{resource}`"
            )?;
            let others = plan.permissions_on(action, resource);
            if others.is_empty() {
                return writeln!(out, "  nobody has one");
            }
            writeln!(out, "  they are given by")?;
            for (name, place) in others.iter().take(LISTED) {
                writeln!(out, "    {name} ({place})")?;
            }
            Ok(())
        }
        DenialReason::NoRoute => writeln!(out, "denied by default: no route matches"),
        reason @ (DenialReason::Target(_) | DenialReason::Asked { .. } | DenialReason::Item { .. }) => {
            writeln!(out, "denied: {reason}")
        }
    }
}

/// Permissions that are named where none is held.
const LISTED: usize = 20;
