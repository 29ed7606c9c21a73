//! The commands, one file each. A command reads its arguments, calls the modules above and prints; it decides
//! nothing itself, so that `serve`, `check`, `test` and `apply` cannot disagree.
//!
//! # Exit status
//!
//! | status | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | it failed: a mistake in a policy or configuration, a malformed answer, a broken audit chain |
//! | 2 | the command line is wrong |
//! | 3 | `apply`, `unmask`: the policy refuses it |
//! | 4 | `diff`: somebody gains rights, or something protects less |

mod acts;
mod apply;
mod audit;
mod check;
mod demo;
mod diff;
mod explain;
mod freeze;
#[cfg(test)]
mod golden;
mod health;
mod init;
mod keys;
mod lsp;
mod matrix;
mod policy;
mod request;
mod schema;
mod serve;
mod test;
mod unmask;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Decides field by field and record by record what each caller of a CRM or ERP API may read and change.
#[derive(Debug, Parser)]
#[command(name = "fieldgate", version, propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Serve(serve::Args),
    /// Run a sample CRM with the gateway in front of it.
    Demo(demo::Args),
    /// Write a commented configuration and a first policy.
    Init(init::Args),
    /// Find every mistake in a policy and its deployment.
    Check(check::Args),
    /// Run the tests of a policy.
    Test(test::Args),
    /// Rewrite a saved answer as a caller would get it.
    Apply(apply::Args),
    /// Say why each field is shown, masked or hidden for a caller.
    Explain(explain::Args),
    /// Draw who sees, sets and queries what: role by resource by field.
    Matrix(matrix::Args),
    /// Say who gains and who loses what between two policies.
    Diff(diff::Args),
    /// Print the JSON Schema of policy files or of `fieldgate.yaml`, for editors.
    Schema(schema::Args),
    /// Help editors with policies: complaints, completion, who may see a field, definitions.
    Lsp(lsp::Args),
    /// Verify and search the audit log.
    Audit(audit::Args),
    /// Make, list and revoke API keys.
    Keys(keys::Args),
    /// Refuse a principal everything, at once and until it is lifted.
    Freeze(freeze::Freeze),
    /// Lift a freeze, also one that a limit made.
    Unfreeze(freeze::Unfreeze),
    /// List who is frozen, since when and why.
    Freezes(freeze::List),
    /// Turn back what a mask of the kind `fpe` has written, for whoever has the right to it; the audit knows first.
    Unmask(unmask::Args),
    /// Ask a running gateway whether it is ready.
    Health(health::Args),
}

/// Runs the command and reports a failure on standard error.
pub fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Demo(args) => demo::run(&args),
        Command::Init(args) => init::run(args),
        Command::Check(args) => check::run(args),
        Command::Test(args) => test::run(args),
        Command::Apply(args) => apply::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Matrix(args) => matrix::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Schema(args) => schema::run(&args),
        Command::Lsp(args) => lsp::run(&args),
        Command::Audit(args) => audit::run(args),
        Command::Keys(args) => keys::run(args),
        Command::Freeze(args) => freeze::run_freeze(args),
        Command::Unfreeze(args) => freeze::run_unfreeze(args),
        Command::Freezes(args) => freeze::run_list(args),
        Command::Unmask(args) => unmask::run(args),
        Command::Health(args) => health::run(args),
    };
    outcome.unwrap_or_else(|error| {
        // Whoever reads what is printed has seen enough: `fieldgate matrix | head`.
        let closed = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
        if error.downcast_ref().is_some_and(closed) {
            return FAILED.into();
        }
        // `{:#}` gives the causes on one line: what failed, where, and why.
        // Nothing is left to do where standard error is closed.
        let _ = writeln!(std::io::stderr(), "fieldgate: {error:#}");
        if error.is::<policy::Usage>() { USAGE.into() } else { FAILED.into() }
    })
}

/// Something failed; its text is on standard error.
const FAILED: u8 = 1;
/// The command line is wrong.
const USAGE: u8 = 2;
/// The policy refuses the request.
const DENIED: u8 = 3;
/// Somebody gains rights.
const GAINED: u8 = 4;
