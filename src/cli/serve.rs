//! `fieldgate serve`: runs the gateway until it is told to stop.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::config::{Config, LogsConfig};
use crate::app::{App, Reloader, Sockets, Why};
use crate::base::{Clock, Report, Severity, SystemClock};
use crate::telemetry::{LogFormat, LogSettings, Logs, Metrics, Target};

/// Arguments of `fieldgate serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The deployment: listeners, APIs, identity, policies, store, audit.
    #[arg(long, value_name = "FILE", default_value = "fieldgate.yaml", env = "FIELDGATE_CONFIG")]
    config: PathBuf,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    run_file(&args.config, tell_addresses)
}

/// Serves what a configuration file describes; `ready` is called when the listeners are bound, with the
/// names of those that speak TLS.
pub(super) fn run_file(
    file: &Path,
    ready: impl FnOnce(&App, &[Arc<str>]) -> std::io::Result<()>,
) -> anyhow::Result<ExitCode> {
    let sockets = match Sockets::from_environment() {
        Ok(sockets) => sockets,
        Err(report) => return refused(&report),
    };
    let (config, report) = Config::load(file);
    let Some(config) = config else { return refused(&report) };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let metrics = Arc::new(Metrics::new());
    let logs = start_logs(&config.logs, &clock, &metrics)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads that serve")?;
    let served = runtime.block_on(serve(config, sockets, clock, metrics, &logs, ready));
    match served? {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(report) => refused(&report),
    }
}

async fn serve(
    config: Config,
    sockets: Sockets,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    logs: &Logs,
    ready: impl FnOnce(&App, &[Arc<str>]) -> std::io::Result<()>,
) -> anyhow::Result<Result<(), Report>> {
    // Before anything listens: a signal that comes early must not end the program.
    let signals = Signals::new().context("cannot take signals")?;
    let tls: Vec<_> =
        config.listeners.iter().filter(|l| l.tls.is_some()).map(|l| Arc::clone(&l.name)).collect();
    let app = match App::start(config, sockets, clock, metrics).await {
        Ok(app) => app,
        Err(report) => return Ok(Err(report)),
    };
    // Notes are for `check`, which is asked for them.
    if app.warnings().diagnostics().iter().any(|found| found.severity != Severity::Note) {
        // Nobody may be reading what is said here; that is no reason not to serve.
        let _unread =
            write!(std::io::stderr(), "{}", app.warnings().to_text(std::io::stderr().is_terminal()));
    }
    ready(&app, &tls)?;
    let reloader = app.reloader();
    app.run(signals.until_stop(&reloader, logs)).await;
    Ok(Ok(()))
}

fn tell_addresses(app: &App, tls: &[Arc<str>]) -> std::io::Result<()> {
    for (name, address) in app.addresses() {
        let scheme = if tls.contains(name) { "https" } else { "http" };
        let _unread = writeln!(std::io::stdout(), "{name}: {scheme}://{address}");
    }
    Ok(())
}

/// The signals that a service gets.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Reloads on SIGHUP; returns on SIGTERM and SIGINT.
    async fn until_stop(mut self, reloader: &Reloader, logs: &Logs) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {
                    logs.reopen();
                    // What went wrong is in the log and in /ready.
                    let _told = reloader.reload(Why::Asked).await;
                }
            }
        }
    }
}

fn start_logs(config: &LogsConfig, clock: &Arc<dyn Clock>, metrics: &Arc<Metrics>) -> anyhow::Result<Logs> {
    let settings = LogSettings {
        level: config.level.to_string(),
        format: if config.json { LogFormat::Json } else { LogFormat::Text },
        target: Target::Stderr,
        colours: std::io::stderr().is_terminal(),
    };
    Logs::start(settings, Arc::clone(clock), Arc::clone(metrics)).map_err(|error| anyhow!(error))
}

/// Shows what is in the way.
fn refused(report: &Report) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stderr();
    let colour = out.is_terminal();
    write!(out, "{}", report.to_text(colour))?;
    Ok(super::FAILED.into())
}
