//! `fieldgate schema`: the JSON Schema of policy files, for editors.

use std::io::Write as _;
use std::process::ExitCode;

use crate::analysis::POLICY_SCHEMA;

/// Arguments of `fieldgate schema`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: Args) -> anyhow::Result<ExitCode> {
    std::io::stdout().lock().write_all(POLICY_SCHEMA.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
