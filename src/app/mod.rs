//! The deployment: `fieldgate.yaml` becomes a running gateway, is watched, reloaded and drained.
//!
//! Comes in: a configuration file and what it names. Goes out: listeners that answer, until they are told to stop.
//! Nothing here looks at a request.

pub mod config;

mod acts;
mod aside;
mod kept;
mod load;
mod reload;
mod sockets;
mod watch;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::{error, info, warn};

use crate::admin::{Admin, Status};
use crate::audit::{AuditLog, OpenError, Opened, Outbox};
use crate::base::{Clock, Diagnostic, Place, Report};
use crate::grants::{Freezes, Memory};
use crate::identity::Authorities;
use crate::limits::{self, Limits, Notice};
use crate::proxy::{Announcers, Certificate, ConnectionBounds, Gateway, Life, Listener};
use crate::store::{self, Location, Store};
use crate::telemetry::{AccessFormat, AccessLog, LineLog, Metrics, Target};

use config::{AccessLogConfig, AuditConfig, Config, ListenerConfig, StoreConfig};

pub use acts::{Recorded, record};
pub use load::{Checked, check, check_text};
pub use reload::{Reloader, Why};
pub use sockets::Sockets;

/// A gateway whose listeners are bound.
pub struct App {
    gateway: Arc<Gateway>,
    callers: Vec<Listener>,
    operators: Option<(Listener, Arc<Admin>)>,
    addresses: Vec<(Arc<str>, SocketAddr)>,
    reloader: Arc<Reloader>,
    status: Arc<Status>,
    store: Store,
    outbox: Outbox,
    drain: Duration,
    warnings: Report,
}

impl App {
    /// Builds everything that a configuration describes and binds its listeners, or says all that is in the way.
    /// `sockets` are those that were opened for it already.
    pub async fn start(
        config: Config,
        sockets: Sockets,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Report> {
        let status = Arc::<Status>::default();
        let load::Prepared { config, plan, shadow, vocabulary, warnings } = load::prepare_policy(config)?;
        let authorities = Authorities::new(load::authorities(&config.identity)?);
        let certificates = certificates(&config.listeners, &authorities)?;
        let store = open_store(&config.store).await?;
        let (audit, opened) = open_audit(&config.audit, &clock, &metrics).await?;
        tell_of_the_audit(&opened);
        let outbox = Outbox::new(store.clone(), audit.clone(), &config.audit.dir);
        let access = open_access(config.logs.access.as_ref(), &metrics)?;
        let bound = Bound::of(&config, &certificates, sockets).await?;
        let (drain, files) = (config.drain, reload::Files::of(&config));
        let limits = open_limits(&store, &clock, &metrics).await?;
        let plans = (plan, reload::shadow_of(&shadow));
        let snapshot = load::snapshot(config, plans, &store, None, &authorities, &metrics, &clock)?;
        let freezes = Freezes::open(store.clone(), Arc::clone(&clock)).await;
        let freezes = freezes.map_err(|error| only(Diagnostic::error("store", error.to_string())))?;
        metrics.frozen(freezes.count());
        let admin = Admin::new(Arc::clone(&metrics), Arc::clone(&status), audit.clone(), freezes.clone());
        let admin = Arc::new(admin);
        let gateway = Arc::new(Gateway {
            snapshot: ArcSwap::from_pointee(snapshot),
            limits,
            freezes,
            memory: Memory::new(store.clone(), Arc::clone(&clock)),
            audit,
            access,
            metrics,
            clock,
        });
        let certificates = certificates.into_iter().flatten().collect();
        let tls = reload::Tls { certificates, authorities };
        let reloader = Reloader::new(Arc::clone(&gateway), Arc::clone(&status), store.clone(), tls, files);
        reloader.in_force(&vocabulary);
        reloader.tell_of_shadow(&shadow);
        Ok(Self {
            gateway,
            callers: bound.callers,
            operators: bound.operators.map(|listener| (listener, admin)),
            addresses: bound.addresses,
            reloader: Arc::new(reloader),
            status,
            store,
            outbox,
            drain,
            warnings,
        })
    }

    /// Where it listens, by the listeners' names; `admin` is the admin listener.
    pub fn addresses(&self) -> &[(Arc<str>, SocketAddr)] {
        &self.addresses
    }

    /// What `check` warns about.
    pub fn warnings(&self) -> &Report {
        &self.warnings
    }

    /// Exchanges the policy and what else can be exchanged while it runs.
    pub fn reloader(&self) -> Arc<Reloader> {
        Arc::clone(&self.reloader)
    }

    /// Serves until `stop`, then finishes what has begun, for as long as the configuration allows.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (callers, operators) = (Life::default(), Life::default());
        for listener in self.callers {
            callers.tasks.spawn(listener.serve(Arc::clone(&self.gateway), callers.clone()));
        }
        if let Some((listener, admin)) = self.operators {
            operators.tasks.spawn(listener.serve(admin, operators.clone()));
        }
        let (keeper, kept) = (Arc::clone(&self.reloader), operators.drain.clone());
        operators.tasks.spawn(async move {
            kept.run_until_cancelled(keeper.keep()).await;
        });
        let (outbox, store, gateway) = (self.outbox, self.store.clone(), Arc::clone(&self.gateway));
        let recording = operators.drain.clone();
        operators.tasks.spawn(async move {
            acts::keep(outbox, &store, &gateway, &recording).await;
        });
        stop.await;

        info!(seconds = self.drain.as_secs(), "draining");
        self.status.draining();
        end(&callers, self.drain).await;
        // Operators may watch until the last caller is gone.
        end(&operators, CLOSING).await;
        // What was dropped above has left its record; it is written before the program ends.
        if tokio::time::timeout(CLOSING, self.gateway.audit.shut()).await.is_err() {
            warn!("audit records could not be written in time");
        }
        self.gateway.snapshot.load_full().identity.close().await;
        self.gateway.limits.close().await;
        self.store.close().await;
        info!("stopped");
    }
}

/// Ends listeners and their connections: those that are idle now, the others after their answer or after `limit`.
async fn end(life: &Life, limit: Duration) {
    life.drain.cancel();
    life.tasks.close();
    if tokio::time::timeout(limit, life.tasks.wait()).await.is_err() {
        warn!("requests were still running when the time to drain was over: their answers are cut");
        life.stop.cancel();
        life.tasks.wait().await;
    }
}

/// The sockets of a configuration.
struct Bound {
    callers: Vec<Listener>,
    operators: Option<Listener>,
    addresses: Vec<(Arc<str>, SocketAddr)>,
}

impl Bound {
    /// Binds them; `certificates` are those of the listeners, in their order.
    async fn of(
        config: &Config,
        certificates: &[Option<Arc<Certificate>>],
        mut sockets: Sockets,
    ) -> Result<Self, Report> {
        let mut report = Report::default();
        let mut bound = Self { callers: Vec::new(), operators: None, addresses: Vec::new() };
        for (listener, certificate) in config.listeners.iter().zip(certificates) {
            let tls = certificate.as_ref().map(|certificate| certificate.server_config(listener.http2));
            let bounds = config.bounds.connection.clone();
            let (name, at) = (Arc::clone(&listener.name), listener.address);
            let announcers = listener.announcers.clone();
            let handed = sockets.take(at);
            match Listener::bind(name, at, handed, tls, listener.http2, announcers, bounds).await {
                Ok(socket) => {
                    bound.note(&listener.name, &socket);
                    bound.callers.push(socket);
                }
                Err(error) => report.push(unbound(listener.address, &error, &listener.place)),
            }
        }
        if let Some(admin) = &config.admin {
            let (name, bounds) =
                (Arc::<str>::from("admin"), ConnectionBounds { connections: 64, ..Default::default() });
            let handed = sockets.take(admin.address);
            let (at, nobody) = (admin.address, Announcers::default());
            match Listener::bind(Arc::clone(&name), at, handed, None, false, nobody, bounds).await {
                Ok(socket) => {
                    bound.note(&name, &socket);
                    bound.operators = Some(socket);
                }
                Err(error) => report.push(unbound(admin.address, &error, &admin.place)),
            }
        }
        sockets.left_over().for_each(|complaint| report.push(complaint));
        if report.has_errors() { Err(report) } else { Ok(bound) }
    }

    fn note(&mut self, name: &Arc<str>, socket: &Listener) {
        if let Ok(address) = socket.address() {
            self.addresses.push((Arc::clone(name), address));
        }
    }
}

fn unbound(address: SocketAddr, error: &io::Error, place: &Place) -> Diagnostic {
    let diagnostic = Diagnostic::error("not-bound", format!("cannot listen on `{address}`: {error}"));
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            diagnostic.help("another program listens there, perhaps another fieldgate")
        }
        io::ErrorKind::PermissionDenied => diagnostic.help("ports below 1024 need a privilege"),
        _ => diagnostic,
    }
    .at(place.clone())
}

/// The certificates of the listeners, in their order.
fn certificates(
    listeners: &[ListenerConfig],
    authorities: &Arc<Authorities>,
) -> Result<Vec<Option<Arc<Certificate>>>, Report> {
    let mut report = Report::default();
    let mut all = Vec::new();
    for listener in listeners {
        match listener.tls.clone().map(|tls| Certificate::load(tls, Arc::clone(authorities))).transpose() {
            Ok(certificate) => all.push(certificate),
            Err(error) => {
                report.push(Diagnostic::error("certificate", error.to_string()).at(listener.place.clone()));
            }
        }
    }
    if report.has_errors() { Err(report) } else { Ok(all) }
}

/// Opens the store that a configuration names.
pub async fn open_store(config: &StoreConfig) -> Result<Store, Report> {
    let location = match config {
        StoreConfig::Memory => Location::Memory,
        StoreConfig::File(path) => Location::Sqlite(path.clone()),
        StoreConfig::Url(source) => Location::Postgres(source.read().map_err(|found| only(*found))?),
    };
    let opened = Store::open(&store::Config::new(location)).await;
    opened.map_err(|error| only(Diagnostic::error("store", error.to_string())))
}

async fn open_limits(
    store: &Store,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> Result<Limits, Report> {
    let watching = Arc::clone(metrics);
    let watcher = move |notice: &Notice| watching.limit_warned(&notice.limit);
    let opened =
        Limits::open(limits::Config::default(), Some(store.clone()), Arc::clone(clock), watcher).await;
    opened.map_err(|error| only(Diagnostic::error("store", error.to_string())))
}

/// Opens the audit. A command that writes an act holds it for a moment: it is waited for.
async fn open_audit(
    config: &AuditConfig,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> Result<(AuditLog, Opened), Report> {
    let settings = acts::settings(config).map_err(|found| only(*found))?;
    let mut tries = 0;
    loop {
        match AuditLog::open(settings.clone(), Arc::clone(clock), Arc::clone(metrics)) {
            Err(OpenError::InUse(_)) if tries < AUDIT_TRIES => {
                tries += 1;
                tokio::time::sleep(AUDIT_AGAIN).await;
            }
            opened => return opened.map_err(|error| only(Diagnostic::error("audit", error.to_string()))),
        }
    }
}

fn open_access(
    config: Option<&AccessLogConfig>,
    metrics: &Arc<Metrics>,
) -> Result<Option<AccessLog>, Report> {
    let Some(AccessLogConfig { file, json }) = config else { return Ok(None) };
    let target = file.clone().map_or(Target::Stdout, Target::File);
    let lines = LineLog::open("access", target, Arc::clone(metrics)).map_err(|error| {
        let name = file.as_deref().unwrap_or(Path::new("standard output"));
        only(Diagnostic::error("access-log", format!("cannot write to `{}`: {error}", name.display())))
    })?;
    let format = if *json { AccessFormat::Json } else { AccessFormat::Combined };
    Ok(Some(AccessLog::new(lines, format)))
}

/// What an operator must know about the log that was found.
fn tell_of_the_audit(opened: &Opened) {
    if opened.torn_bytes > 0 {
        warn!(
            bytes = opened.torn_bytes,
            "audit: a line that was being written at the last end was moved aside"
        );
    }
    if opened.lost > 0 {
        error!(records = opened.lost, "audit: records that had been written are gone");
    }
    if !opened.head_trusted {
        error!("audit: the head does not belong to the log; run `fieldgate audit verify`");
    }
    info!(sequence = opened.sequence, "audit log opened");
}

fn only(diagnostic: Diagnostic) -> Report {
    let mut report = Report::default();
    report.push(diagnostic);
    report
}

/// How long operators' connections and the last records may take at the end.
const CLOSING: Duration = Duration::from_secs(5);
/// How often an audit that is in use is tried again, and after which time.
const AUDIT_TRIES: usize = 20;
const AUDIT_AGAIN: Duration = Duration::from_millis(100);
