//! The program: parses the arguments, calls the command, turns its outcome into an exit status.

use std::process::ExitCode;

use clap::Parser;
use fieldgate::cli::{self, Cli};

fn main() -> ExitCode {
    // Only one crypto provider is compiled in; installing it by name keeps a second one, pulled in by some
    // dependency later, from turning every TLS call into a panic. It fails only if one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    cli::run(Cli::parse())
}
