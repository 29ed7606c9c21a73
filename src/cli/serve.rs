//! `fieldgate serve`: runs the gateway until it is told to stop.

use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `fieldgate serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The deployment: listeners, APIs, identity, policies, store, audit.
    #[arg(long, value_name = "FILE", default_value = "fieldgate.yaml", env = "FIELDGATE_CONFIG")]
    config: PathBuf,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`serve --config {}` is not built yet", args.config.display())
}
