//! Acts of administration reach the audit: brought there by a running gateway, or by the command itself.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use crate::audit::{AuditLog, OpenError, Outbox, Settings, Sync};
use crate::base::{Clock, Diagnostic, Secret, SystemClock};
use crate::proxy::Gateway;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

use super::config::{AuditConfig, Config, SecretSource, StoreConfig, SyncConfig};

/// Where an act is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// In the audit, on the disk.
    Yes,
    /// In the store: it will be recorded, but is not yet. Why, for people.
    NotYet(String),
}

/// Waits until acts are in the audit: a running gateway writes them within a second; where none runs, they are written
/// here. Gives up after `patience`.
pub async fn record(config: &Config, store: &Store, acts: &[Uuid], patience: Duration) -> Recorded {
    let clock = SystemClock::new();
    let end = clock.monotonic() + patience;
    // Somebody else's gateway may write to a shared store's audit; a file has but one.
    let others_first = matches!(config.store, StoreConfig::Url(_));
    let mut write_at = clock.monotonic() + if others_first { OTHERS_FIRST } else { Duration::ZERO };
    let mut why = "no gateway has written it yet".to_owned();
    loop {
        match all_recorded(store, acts).await {
            Ok(true) => return Recorded::Yes,
            Ok(false) => {}
            Err(error) => why = error.to_string(),
        }
        let now = clock.monotonic();
        if now >= write_at && now < end {
            match write(&config.audit, store).await {
                Ok(()) => {}
                Err(Unwritten::InUse) => {
                    why = "the gateway that holds the audit has not written it".to_owned()
                }
                Err(Unwritten::Because(reason)) => why = reason,
            }
            write_at = now + AGAIN;
            continue;
        }
        if now >= end {
            return Recorded::NotYet(why);
        }
        tokio::time::sleep(LOOK.min(end - now)).await;
    }
}

async fn all_recorded(store: &Store, acts: &[Uuid]) -> Result<bool, StoreError> {
    for act in acts {
        if store.act_waits(&act.to_string()).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Why a command does not write the audit itself.
enum Unwritten {
    InUse,
    Because(String),
}

/// Takes the audit's lock, writes everything that waits, and lets go.
async fn write(config: &AuditConfig, store: &Store) -> Result<(), Unwritten> {
    // Files of another user's making would keep the gateway from its own audit.
    if !owned(&config.dir) {
        let reason = format!("the audit `{}` belongs to another user", config.dir.display());
        return Err(Unwritten::Because(reason));
    }
    let because = |error: &dyn std::fmt::Display| Unwritten::Because(error.to_string());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let settings = settings(config).map_err(|found| because(&found.message))?;
    let (log, _) = match AuditLog::open(settings, Arc::clone(&clock), Arc::new(Metrics::new())) {
        Err(OpenError::InUse(_)) => return Err(Unwritten::InUse),
        opened => opened.map_err(|error| because(&error))?,
    };
    let drained = Outbox::new(store.clone(), log.clone(), &config.dir).drain(clock.now()).await;
    log.shut().await;
    drained.map(drop).map_err(|error| because(&error))
}

/// Whether a directory, or else the nearest one above it that is there, belongs to who runs this program.
fn owned(dir: &Path) -> bool {
    let Ok(ours) = fs::metadata("/proc/self") else { return true };
    let found = dir.ancestors().find_map(|dir| {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        fs::metadata(dir).ok()
    });
    found.is_some_and(|found| found.uid() == ours.uid())
}

/// How a configuration wants its audit kept.
pub(super) fn settings(config: &AuditConfig) -> Result<Settings, Box<Diagnostic>> {
    let key = config.key.as_ref().map(SecretSource::read).transpose()?;
    Ok(Settings {
        dir: config.dir.clone(),
        segment_bytes: config.segment_bytes,
        sync: match config.sync {
            SyncConfig::Never => Sync::Never,
            SyncConfig::Always => Sync::Always,
            SyncConfig::Every(every) => Sync::Every(every),
        },
        max_in_flight: config.max_in_flight,
        key: key.map(|key| Secret::new(key.expose().as_bytes().to_vec())),
    })
}

/// Keeps bringing acts into a running gateway's audit, and what others do into the gateway, until the end, and once
/// more then.
pub(super) async fn keep(mut outbox: Outbox, store: &Store, gateway: &Gateway, end: &CancellationToken) {
    let mut failing = false;
    loop {
        let last = end.is_cancelled();
        // What is broken off in the middle is gone on with the next time: each act is claimed before it is written.
        let drained = {
            let drain = outbox.drain(gateway.clock.now());
            if last {
                tokio::time::timeout(LAST, drain).await.ok()
            } else {
                end.run_until_cancelled(drain).await
            }
        };
        match drained {
            Some(Ok(_)) => failing = false,
            // Once for every failure, not for every try.
            Some(Err(error)) if !std::mem::replace(&mut failing, true) => {
                warn!(%error, "acts of administration cannot be recorded");
            }
            Some(Err(_)) | None => {}
        }
        if last {
            return;
        }
        gateway.freezes.refresh().await;
        gateway.metrics.frozen(gateway.freezes.count());
        if let Ok(waiting) = store.count_acts().await {
            gateway.metrics.acts_waiting(waiting);
        }
        end.run_until_cancelled(tokio::time::sleep(EVERY)).await;
    }
}

/// How often a running gateway looks for acts.
const EVERY: Duration = Duration::from_millis(500);
/// How long the end waits for acts; those left are recorded at the next start.
const LAST: Duration = Duration::from_secs(3);
/// How long a command waits for the gateways of a shared store before it writes itself.
const OTHERS_FIRST: Duration = Duration::from_secs(3);
/// When it tries again to write.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it looks whether it is done.
const LOOK: Duration = Duration::from_millis(50);
