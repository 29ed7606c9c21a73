//! Exchanging the policy, and what else can be exchanged, while requests run. What cannot be loaded changes nothing:
//! the last good state stays in force, and `/ready`, a metric and the log say so.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::{error, info, warn};

use crate::admin::{Loaded, Status};
use crate::audit::Event;
use crate::base::{Diagnostic, Report, Severity};
use crate::identity::Authorities;
use crate::policy::Plan;
use crate::proxy::{Certificate, Gateway, Snapshot};
use crate::store::Store;
use crate::telemetry::Vocabulary;

use super::aside;
use super::config::Config;
use super::load;
use super::watch::Watch;

/// Why it is reloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A file has changed.
    Changed,
    /// Somebody asked for it: everything is read again, secrets too.
    Asked,
}

/// The files that a running gateway came from.
pub(super) struct Files {
    config: PathBuf,
    watched: Vec<PathBuf>,
    /// What the configuration said when it was last read.
    said: Said,
}

/// What a configuration says, to see whether it has changed.
struct Said {
    /// The whole text.
    text: String,
    /// What takes effect only at a start.
    fixed: String,
}

impl Files {
    pub(super) fn of(config: &Config) -> Self {
        Self { config: config.file.clone(), watched: config.watched(), said: Said::by(config) }
    }
}

impl Said {
    fn by(config: &Config) -> Self {
        let listeners: Vec<_> = config
            .listeners
            .iter()
            .map(|listener| (&listener.name, listener.address, &listener.tls, listener.http2))
            .collect();
        let admin = config.admin.as_ref().map(|admin| admin.address);
        let audit =
            (&config.audit.dir, config.audit.segment_bytes, config.audit.sync, config.audit.max_in_flight);
        let fixed =
            format!("{listeners:?} {admin:?} {audit:?} {:?} {:?}", config.bounds.connection, config.drain);
        // One that cannot be read now is taken for changed.
        Self { text: std::fs::read_to_string(&config.file).unwrap_or_default(), fixed }
    }
}

/// What listeners prove themselves with, and check callers with.
pub(super) struct Tls {
    pub(super) certificates: Vec<Arc<Certificate>>,
    pub(super) authorities: Arc<Authorities>,
}

/// Reloads a running gateway.
pub struct Reloader {
    gateway: Arc<Gateway>,
    status: Arc<Status>,
    store: Store,
    tls: Tls,
    config: PathBuf,
    watched: Vec<PathBuf>,
    said: Mutex<Said>,
    /// What was last told of the policy in shadow: its version, or what is wrong with it.
    shadow: Mutex<Option<Result<Arc<str>, String>>>,
    /// Plans that requests may still need.
    retired: Mutex<Vec<Arc<Plan>>>,
    /// Reloads happen one after the other.
    turn: tokio::sync::Mutex<()>,
}

impl Reloader {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        status: Arc<Status>,
        store: Store,
        tls: Tls,
        files: Files,
    ) -> Self {
        let Files { config, watched, said } = files;
        let (said, retired, turn) = (Mutex::new(said), Mutex::default(), tokio::sync::Mutex::default());
        let shadow = Mutex::default();
        Self { gateway, status, store, tls, config, watched, said, shadow, retired, turn }
    }

    /// Keeps a running gateway up to date, until it is dropped: files, keys of issuers, counters.
    pub(super) async fn keep(&self) {
        let watch = Watch::over(&self.watched);
        let watching = async {
            loop {
                // Also once at the beginning: what changed before the watch began was not seen.
                let _told = self.reload(Why::Changed).await;
                watch.changed().await;
            }
        };
        let ticking = async {
            loop {
                tokio::time::sleep(TICK).await;
                let identity = Arc::clone(&self.gateway.snapshot.load().identity);
                identity.tick().await;
                self.gateway.limits.tick().await;
                self.dispose();
            }
        };
        let checking = async {
            loop {
                tokio::time::sleep(CHECK).await;
                let upstreams = self.gateway.snapshot.load().upstreams.clone();
                upstreams.tick().await;
            }
        };
        tokio::join!(watching, ticking, checking);
    }

    /// Loads configuration, policy and certificates again and exchanges what can be exchanged. The error is what
    /// has been logged and shown already.
    pub async fn reload(&self, why: Why) -> Result<(), Report> {
        let _turn = self.turn.lock().await;
        if let (Why::Asked, Some(access)) = (why, &self.gateway.access) {
            // It may have been moved away by a rotation.
            access.reopen();
        }
        let certificates = self.reload_certificates();
        let outcome = match self.exchange(why).await {
            Ok(()) => certificates,
            Err(mut report) => {
                if let Err(more) = certificates {
                    report.extend(more);
                }
                Err(report)
            }
        };
        if let Err(report) = &outcome {
            self.failed(report);
        }
        outcome
    }

    async fn exchange(&self, why: Why) -> Result<(), Report> {
        let file = self.config.clone();
        // Requests go on meanwhile: nothing that takes long is done on the threads that serve them.
        let prepared = aside::aside(move || load::prepare(&file)).await;
        let load::Prepared { config, plan, shadow, vocabulary, warnings } =
            prepared.unwrap_or_else(|| {
                let mut report = Report::default();
                report.push(Diagnostic::error("reload", "reading the policy was broken off"));
                Err(report)
            })?;
        let said = Said::by(&config);
        let (same_text, same_fixed) = {
            let before = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            (before.text == said.text && why == Why::Changed, before.fixed == said.fixed)
        };
        if !same_fixed {
            warn!("listeners, admin, audit, bounds of connections and drain change only at the next start");
        }
        let current = self.gateway.snapshot.load_full();
        self.tell_of_shadow(&shadow);
        let shadow = shadow_of(&shadow);
        let version = |shadow: &Option<Arc<Plan>>| shadow.as_ref().map(|plan| Arc::clone(plan.version()));
        let same_shadow = version(&shadow) == version(&current.shadow);
        if same_text && same_shadow && plan.version() == current.plan.version() {
            self.retire(plan);
            shadow.into_iter().for_each(|shadow| self.retire(shadow));
            return Ok(());
        }
        let snapshot = if same_text {
            // Pools, fetched keys and what is known about callers stay.
            Snapshot {
                plan,
                shadow,
                identity: Arc::clone(&current.identity),
                upstreams: current.upstreams.clone(),
                bounds: current.bounds.clone(),
                body_time: current.body_time,
            }
        } else {
            let Gateway { metrics, clock, .. } = &*self.gateway;
            let authorities = load::authorities(&config.identity)?;
            let snapshot =
                load::snapshot(config, (plan, shadow), &self.store, &self.tls.authorities, metrics, clock)?;
            self.tls.authorities.replace(authorities);
            snapshot
        };
        let old: Vec<_> = [&current.plan].into_iter().chain(&current.shadow).cloned().collect();
        drop(current);
        self.gateway.snapshot.store(Arc::new(snapshot));
        old.into_iter().for_each(|plan| self.retire(plan));
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = said;
        log_all(&warnings);
        self.in_force(&vocabulary);
        Ok(())
    }

    /// Keeps a plan until no request needs it any more: whoever drops a large one last waits for that.
    fn retire(&self, plan: Arc<Plan>) {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).push(plan);
        self.dispose();
    }

    /// Drops the plans that no request needs any more, where nobody waits for it.
    fn dispose(&self) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        // What is held only here cannot be held anew.
        let unused: Vec<_> = retired.extract_if(.., |plan| Arc::strong_count(plan) == 1).collect();
        if !unused.is_empty() {
            aside::begin(move || drop(unused));
        }
    }

    fn reload_certificates(&self) -> Result<(), Report> {
        let mut report = Report::default();
        for certificate in &self.tls.certificates {
            if let Err(error) = certificate.reload() {
                report.push(Diagnostic::error("certificate", error.to_string()));
            }
        }
        // A revocation does not wait until the policy is in order.
        for error in self.tls.authorities.reload().err().unwrap_or_default() {
            report.push(Diagnostic::error("client-authority", error.message));
        }
        if report.has_errors() { Err(report) } else { Ok(()) }
    }

    /// Tells everybody of the policy in force.
    pub(super) fn in_force(&self, vocabulary: &Vocabulary) {
        let version = Arc::clone(self.gateway.snapshot.load().plan.version());
        let now = self.gateway.clock.now();
        self.gateway.metrics.declare(vocabulary);
        self.gateway.metrics.policy_loaded(&version, now);
        let event = Event::new("policy", now).with("version", &version);
        // The log keeps it; there is nobody here to wait for it.
        drop(self.gateway.audit.event(event));
        info!(%version, "policy in force");
        self.status.loaded(Loaded { version, at: now });
    }

    /// Tells of the policy in shadow: which one is asked, or why none is. The same twice is told once.
    pub(super) fn tell_of_shadow(&self, shadow: &Option<Result<Arc<Plan>, Report>>) {
        let told = match shadow {
            None => None,
            Some(Ok(plan)) => Some(Ok(Arc::clone(plan.version()))),
            Some(Err(report)) => Some(Err(first(report))),
        };
        let mut last = self.shadow.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == told {
            return;
        }
        let now = self.gateway.clock.now();
        let version = told.as_ref().and_then(|told| told.as_ref().ok());
        self.gateway.metrics.shadow_policy(version.map(AsRef::as_ref));
        let event = match &told {
            None => Event::new("shadow_policy_removed", now),
            Some(Ok(version)) => Event::new("shadow_policy", now).with("version", version),
            Some(Err(reason)) => Event::new("shadow_policy_rejected", now).with("reason", reason),
        };
        drop(self.gateway.audit.event(event));
        match shadow {
            None => info!("no policy in shadow any more"),
            Some(Ok(plan)) => info!(version = %plan.version(), "policy in shadow"),
            Some(Err(report)) => {
                log_all(report);
                error!("the policy in shadow does not pass `check`: it is not asked");
            }
        }
        *last = told;
    }

    fn failed(&self, report: &Report) {
        let now = self.gateway.clock.now();
        let first = first(report);
        self.gateway.metrics.policy_rejected();
        drop(self.gateway.audit.event(Event::new("policy_rejected", now).with("reason", &first)));
        log_all(report);
        error!("reload failed: the last good policy stays in force");
        self.status.reload_failed(now, first);
    }
}

/// The policy in shadow, if it can be asked.
pub(super) fn shadow_of(shadow: &Option<Result<Arc<Plan>, Report>>) -> Option<Arc<Plan>> {
    shadow.as_ref().and_then(|shadow| shadow.as_ref().ok()).map(Arc::clone)
}

fn first(report: &Report) -> String {
    let first = report.diagnostics().iter().find(|found| found.severity == Severity::Error);
    first.map_or_else(String::new, |found| Line(found).to_string())
}

/// One complaint on one line.
struct Line<'d>(&'d Diagnostic);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

/// Logs complaints, as many as somebody would read.
pub(super) fn log_all(report: &Report) {
    for found in report.diagnostics().iter().take(LOGGED) {
        match found.severity {
            Severity::Error => error!(code = found.code, "{}", Line(found)),
            Severity::Warning => warn!(code = found.code, "{}", Line(found)),
            Severity::Note => info!(code = found.code, "{}", Line(found)),
        }
    }
}

/// Complaints of one reload that are logged; `check` shows all.
const LOGGED: usize = 20;

/// How often upstreams are looked after: the shortest time between two health checks.
const CHECK: Duration = Duration::from_secs(1);
/// How often due work is looked for.
const TICK: Duration = Duration::from_secs(5);
