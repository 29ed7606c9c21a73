//! `fieldgate demo`: a sample CRM and the gateway in front of it, in one process.
//!
//! The gateway is started from files, exactly as `serve` starts it: those of `policies/demo/`, written to a new
//! directory. Changing them there changes the running demo.

mod banner;
mod crm;
mod stage;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;

use crate::app::App;
use crate::base::{Clock, Secret, SystemClock};

use super::serve;

use self::banner::Banner;
use self::crm::Crm;
use self::stage::{Run, Stage};

/// Arguments of `fieldgate demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where callers come in.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where operators look: metrics and health.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
    /// How many customers the sample CRM has.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=MAX_RECORDS))]
    records: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let secret = secret()?;
    let crm = Crm::start(Secret::new(secret.clone()), args.records).context("cannot start the sample CRM")?;
    let run = Run { listen: args.listen, admin: args.admin, crm: crm.addr(), secret: &secret };
    let stage = Stage::set(&std::env::temp_dir(), &run).context("cannot write the demo's files")?;
    let mut started = false;
    let outcome = serve::run_file(&stage.config(), |app, _| {
        started = true;
        let banner = Banner {
            listen: address(app, "public", args.listen),
            admin: address(app, "admin", args.admin),
            records: args.records,
            dir: stage.dir(),
            now: SystemClock::new().now(),
        };
        writeln!(std::io::stdout(), "{banner}")
    });
    if !started {
        // Nobody was told of the directory. What cannot be removed is left to the system.
        let _ = std::fs::remove_dir_all(stage.dir());
    }
    outcome
}

/// Where a listener really is: the port may have been left to the system.
fn address(app: &App, name: &str, asked: SocketAddr) -> SocketAddr {
    app.addresses().iter().find(|(found, _)| found.as_ref() == name).map_or(asked, |(_, address)| *address)
}

/// What only the gateway of this run knows.
fn secret() -> anyhow::Result<String> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).context("no random numbers")?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Largest CRM.
const MAX_RECORDS: u64 = 1_000_000;
