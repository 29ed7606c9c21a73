//! `fieldgate schema`: the JSON Schemas of policy files and of `fieldgate.yaml`, for editors.

use std::io::Write as _;
use std::process::ExitCode;

use crate::analysis::{CONFIG_SCHEMA, POLICY_SCHEMA};

/// Arguments of `fieldgate schema`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of which files.
    #[arg(value_enum, default_value_t = Files::Policy)]
    files: Files,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Files {
    /// Of a policy.
    Policy,
    /// Of the deployment: `fieldgate.yaml`.
    Config,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let text = match args.files {
        Files::Policy => POLICY_SCHEMA,
        Files::Config => CONFIG_SCHEMA,
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
