//! `fieldgate init`: a commented configuration and a first policy that passes `check`.

use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `fieldgate init`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The directory to write to; it is made if it does not exist.
    dir: PathBuf,
    /// Name of the API that the gateway stands in front of.
    #[arg(long, default_value = "crm")]
    api: String,
    /// Where the API is.
    #[arg(long, default_value = "http://127.0.0.1:3000")]
    url: String,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`init {}` for `{}` at `{}` is not built yet", args.dir.display(), args.api, args.url)
}
