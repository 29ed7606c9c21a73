//! The log that records go to: places in its queue, the queue, and the wait until a record is written.
//!
//! A request takes a [`Slot`] when it begins and gives it back when its record is written, so the queue is bounded
//! by the requests in flight and enqueueing cannot fail: also a record that is dropped in a destructor gets in.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::base::{Clock, Secret};
use crate::identity::Peer;
use crate::telemetry::Metrics;

use super::record::{Draft, Duty, Event, Facts, Record};

/// Where and how the audit is kept.
#[derive(Clone)]
pub struct Settings {
    /// The directory of its files; made (for the owner only) if it is not there.
    pub dir: PathBuf,
    /// A segment is closed and the next one begun when it has reached this size.
    pub segment_bytes: u64,
    /// When written records are forced to the disk.
    pub sync: Sync,
    /// How many requests may have a record under way or waiting.
    pub max_in_flight: usize,
    /// Signs the head and every segment's first record (HMAC-SHA256). Without it, somebody who can write the files
    /// can also compute the whole chain anew.
    pub key: Option<Secret<Vec<u8>>>,
}

/// When written records are forced to the disk. Written ones always survive the end of the process; this is about
/// the machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// When the system does.
    Never,
    /// At least this often.
    Every(Duration),
    /// Before the record counts as written.
    Always,
}

/// Why a record was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// As many records as allowed are under way.
    #[error("audit queue is full")]
    Full,
    /// The file could not be written; it is tried again.
    #[error("audit log cannot be written: {0}")]
    Write(Arc<str>),
    /// The log is closed.
    #[error("audit log is closed")]
    Closed,
}

/// Proof that a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Its place in the chain; `None` for a record under [`Duty::Spool`], which is not waited for.
    pub sequence: Option<u64>,
}

/// The audit log. Clones are the same log.
#[derive(Clone, Debug)]
pub struct AuditLog {
    shared: Arc<Shared>,
}

/// Waits until a record is written.
#[derive(Debug)]
#[must_use = "an answer may be completed only after its record is written"]
pub struct Closing(Wait);

#[derive(Debug)]
enum Wait {
    Written(oneshot::Receiver<Result<Sealed, AuditError>>),
    Done(Result<Sealed, AuditError>),
}

/// What the writer takes from the queue.
#[derive(Debug)]
pub(super) enum Entry {
    Request { draft: Box<Draft>, written: Option<oneshot::Sender<Result<Sealed, AuditError>>> },
    Event(Event, oneshot::Sender<Result<Sealed, AuditError>>),
}

/// A place in the queue.
#[derive(Debug)]
pub(super) struct Slot(Arc<Shared>);

pub(super) struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    slots: AtomicUsize,
    max_in_flight: usize,
    pub(super) writable: AtomicBool,
    pub(super) suppressed: AtomicU64,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    closed: bool,
}
