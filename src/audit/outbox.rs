//! Acts of administration come from the store into the chain, each exactly once.
//!
//! An act waits in the store, where it was put with the change that it tells of. It is claimed there, written to the
//! chain, forced to the disk, and then removed. What ends the process in between leaves a claimed act behind: whoever
//! comes next looks for its id in the log before writing it again. A claim of another gateway, which has a log of its
//! own, is left to that one; only when it has not come back for [`TAKE_OVER`] the act is written here, and says so.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use memchr::memmem;
use serde_json::Value;

use crate::store::{Act, Actor, Store, StoreError, WaitingAct};

use super::chain::Link;
use super::content::ADMINISTRATION;
use super::lines::{Line, Lines};
use super::log::{AuditError, AuditLog};
use super::segment::segment_files;

/// Brings acts into a log. One for each log, used by one task.
pub struct Outbox {
    store: Store,
    log: AuditLog,
    dir: PathBuf,
    /// Names the log: what it has claimed nobody else writes meanwhile, since it is locked.
    node: String,
    /// Acts that were handed to the log and are not known to be on the disk: it writes them when it can.
    handed: HashSet<String>,
}

/// Why acts wait on.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The store cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log cannot be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The log cannot be read.
    #[error("audit log cannot be read: {0}")]
    Read(#[from] io::Error),
}

impl Outbox {
    /// For a log in its directory.
    pub fn new(store: Store, log: AuditLog, dir: &Path) -> Self {
        let place = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        let node = format!("{}:{}", Actor::here().host, place.display());
        Self { store, log, dir: dir.to_owned(), node, handed: HashSet::new() }
    }

    /// Writes what waits; gives how many acts were found to be on the disk.
    pub async fn drain(&mut self, now: Timestamp) -> Result<u64, OutboxError> {
        let mut recorded = 0;
        loop {
            let waiting = self.store.acts(BATCH).await?;
            let full = waiting.len() == BATCH;
            let ours: Vec<_> = waiting.into_iter().filter(|act| self.may_take(act, now)).collect();
            if ours.is_empty() {
                return Ok(recorded);
            }
            self.log.ensure_writable()?;
            let done = self.write(ours, now).await?;
            recorded += done;
            if !full || done == 0 {
                return Ok(recorded);
            }
        }
    }

    fn may_take(&self, waiting: &WaitingAct, now: Timestamp) -> bool {
        let age = now.as_microsecond().saturating_sub(waiting.claimed_at);
        waiting.claim.is_empty()
            || waiting.claim == self.node
            || u128::try_from(age).is_ok_and(|age| age >= TAKE_OVER.as_micros())
    }

    async fn write(&mut self, waiting: Vec<WaitingAct>, now: Timestamp) -> Result<u64, OutboxError> {
        let begun = waiting.iter().filter(|act| !act.claim.is_empty()).map(|act| act.id.clone());
        let found = self.in_log(begun.collect()).await?;
        let mut recorded = 0;
        for WaitingAct { id, act, claim, .. } in waiting {
            if !found.contains(&id) {
                // What was handed over and is not there yet comes by itself: twice would be wrong.
                let again = self.handed.contains(&id);
                if again || !self.store.claim_act(&id, &claim, &self.node, now.as_microsecond()).await? {
                    continue;
                }
                let mut act = act.unwrap_or_else(|| unreadable(&id, now));
                if !claim.is_empty() && claim != self.node {
                    act = act.with("claimed_before_by", claim);
                }
                self.handed.insert(id.clone());
                self.log.act(act).await?;
            }
            self.store.act_recorded(&id).await?;
            self.handed.remove(&id);
            recorded += 1;
        }
        Ok(recorded)
    }

    /// Those of these acts that the log holds.
    async fn in_log(&self, ids: HashSet<String>) -> Result<HashSet<String>, OutboxError> {
        if ids.is_empty() {
            return Ok(ids);
        }
        let dir = self.dir.clone();
        let looked = tokio::task::spawn_blocking(move || held(&dir, &ids)).await;
        Ok(looked.unwrap_or_else(|error| Err(io::Error::other(error)))?)
    }
}

/// The acts of a log that have one of these ids: the newest segments are read first, and none after the last is found.
fn held(dir: &Path, ids: &HashSet<String>) -> io::Result<HashSet<String>> {
    let needle = memmem::Finder::new(ADMINISTRATION);
    let mut found = HashSet::new();
    for (_, path) in segment_files(dir)?.iter().rev() {
        let mut lines = Lines::open(path)?;
        while let Some((line, _)) = lines.next()? {
            let Line::Whole(line) = line else { continue };
            if needle.find(line).is_some()
                && let Some(id) = act_of(line)
                && ids.contains(&id)
            {
                found.insert(id);
            }
        }
        if found.len() == ids.len() {
            break;
        }
    }
    Ok(found)
}

fn act_of(line: &[u8]) -> Option<String> {
    let record: Value = serde_json::from_str(Link::parse(line)?.record).ok()?;
    let is_act = record.get("type")?.as_str()? == ADMINISTRATION;
    is_act.then(|| record.get("id")?.as_str().map(str::to_owned))?
}

/// An act that a later version wrote, or somebody who had no business in the store: that it was there is recorded.
fn unreadable(id: &str, now: Timestamp) -> Act {
    let actor = Actor { user: "unknown".to_owned(), login: None, host: "unknown".to_owned() };
    let act = Act::new("unreadable", actor, id, now);
    Act { id: id.parse().unwrap_or(act.id), ..act }
}

/// After this time without an answer an act that another gateway has claimed is written here. If that one has written
/// it and was then lost for good, it stands in both logs, under one id.
const TAKE_OVER: Duration = Duration::from_secs(600);

/// Acts that are looked at together.
const BATCH: usize = 100;

#[cfg(test)]
mod tests;
