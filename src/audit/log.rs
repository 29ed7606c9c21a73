//! The log that records go to: opening it, beginning records, and the wait until one is written.

use std::future::{Future, IntoFuture};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::base::{Clock, Secret};
use crate::identity::Peer;
use crate::store::Act;
use crate::telemetry::Metrics;

use super::chain::Chain;
use super::head::Signer;
use super::pen::Pen;
use super::queue::{Content, Queue};
use super::record::{Event, Record};
use super::segment::{Found, Medium, Segments};
use super::writer::{HeadState, Start, Writer};

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

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or directory.
    #[error("audit `{path}`: {source}")]
    File {
        /// Its path.
        path: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// Another process writes there.
    #[error("audit directory `{0}` is in use by another process")]
    InUse(String),
    /// The last whole line is not what an audit log ends with, so nothing can be chained to it.
    #[error(
        "audit file `{0}` was changed or damaged at its end: run `fieldgate audit verify`, keep the directory as evidence and start with an empty one"
    )]
    Damaged(String),
}

/// What was found when the log was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Sequence number of the last record found; 0 in a new log.
    pub sequence: u64,
    /// Bytes of a torn last line that were moved aside.
    pub torn_bytes: u64,
    /// Records that the head names and that are gone: cut off, or lost with the machine's power.
    pub lost: u64,
    /// Whether the head belongs to the log: it is there, and with a key it is signed with it.
    pub head_trusted: bool,
}

/// Proof that a record is written, or under [`Duty::Spool`](super::Duty::Spool) that it is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    sequence: Option<u64>,
}

/// The audit log. Clones are the same log; it ends when the last one is gone.
#[derive(Clone, Debug)]
pub struct AuditLog {
    queue: Arc<Queue>,
    pen: Arc<Pen>,
    _ends: Arc<Ends>,
}

/// Sees to it that a record is written, and waits until it is.
#[derive(Debug)]
#[must_use = "an answer may be completed only after its record is written"]
pub struct Closing(Wait);

#[derive(Debug)]
enum Wait {
    Written(oneshot::Receiver<Result<Sealed, AuditError>>, Arc<Pen>),
    Done(Result<Sealed, AuditError>),
}

/// Closes the queue when the last [`AuditLog`] is gone.
#[derive(Debug)]
struct Ends(Arc<Queue>);

/// Says that the writer has ended when it has.
#[derive(Debug)]
struct Ended(Arc<Pen>);

impl AuditLog {
    /// Opens the log in its directory and begins writing: repairs a torn last line, and says what it found.
    pub fn open(
        settings: Settings,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, Opened), OpenError> {
        let (segments, found) =
            Segments::open(&settings.dir, settings.key.clone().map(Signer::new).as_ref())?;
        Self::write_to(Box::new(segments), found, settings, clock, metrics)
    }

    /// Begins writing to a medium that holds what was found.
    fn write_to(
        medium: Box<dyn Medium>,
        found: Found,
        settings: Settings,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, Opened), OpenError> {
        let failed = |source| OpenError::File { path: settings.dir.display().to_string(), source };
        let queue = Arc::new(Queue::new(settings.max_in_flight, clock, metrics));
        let (opened, start) = compare(found);
        let mut writer = Writer::new(queue.clone(), medium, &start, &settings).map_err(failed)?;
        writer.start(&start).map_err(failed)?;
        queue.writable(0);
        let pen = Arc::new(Pen::new(queue.clone(), writer));
        let (kept, ended) = (pen.clone(), Ended(pen.clone()));
        let run = move || {
            // Dropped after the writer and its files, also if it panics.
            let _ended = ended;
            kept.keep();
        };
        thread::Builder::new().name("audit".into()).spawn(run).map_err(failed)?;
        Ok((Self { _ends: Arc::new(Ends(queue.clone())), queue, pen }, opened))
    }

    /// Begins the record of a request. `id` is the one that the caller is told.
    ///
    /// An error means that the request cannot be recorded and must be refused; how many were is recorded later.
    pub fn begin(&self, id: Uuid, peer: &Peer) -> Result<Record, AuditError> {
        let slot = self.queue.slot().inspect_err(|_| self.queue.suppress())?;
        Ok(Record::begin(slot, self.pen.clone(), id, peer))
    }

    /// Records something that happened beside requests.
    pub fn event(&self, event: Event) -> Closing {
        match self.queue.slot() {
            Ok(slot) => slot.enqueue(Content::Event(event), Some(&self.pen)),
            Err(error) => Closing::at_once(Err(error)),
        }
    }

    /// Records an act of administration. Its record is on the disk when what comes out is, whatever `sync` says.
    pub(super) fn act(&self, act: Act) -> Closing {
        match self.queue.slot() {
            Ok(slot) => slot.enqueue(Content::Act(Box::new(act)), Some(&self.pen)),
            Err(error) => Closing::at_once(Err(error)),
        }
    }

    /// An error while records cannot be written, which says why: protected requests are refused meanwhile.
    pub fn ensure_writable(&self) -> Result<(), AuditError> {
        self.queue.ensure_writable()
    }

    /// Ends the segment and begins the next one, so that the old one can be taken away.
    pub fn rotate(&self) {
        self.queue.rotate();
    }

    /// Accepts no further records and waits until those under way are written and on the disk. Requests that still
    /// run are waited for: bound the wait.
    pub async fn shut(&self) {
        // An error means that the writer has ended before.
        let _ = self.queue.close().await;
    }
}

impl Sealed {
    /// A record that is not waited for.
    pub(super) const UNSEEN: Self = Self { sequence: None };

    pub(super) fn at(sequence: u64) -> Self {
        Self { sequence: Some(sequence) }
    }

    /// Its place in the chain; `None` for a record that was not waited for.
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }
}

impl Closing {
    pub(super) fn when(written: oneshot::Receiver<Result<Sealed, AuditError>>, pen: Arc<Pen>) -> Self {
        Self(Wait::Written(written, pen))
    }

    pub(super) fn at_once(result: Result<Sealed, AuditError>) -> Self {
        Self(Wait::Done(result))
    }

    async fn written(mut self) -> Result<Sealed, AuditError> {
        let (written, pen) = match &mut self.0 {
            Wait::Written(written, pen) => (written, pen),
            Wait::Done(result) => return result.clone(),
        };
        // Whoever is ready to go on does so first, and may have a record for the same write.
        tokio::task::yield_now().await;
        if written.is_empty() {
            pen.write_here();
        }
        let result = written.await.unwrap_or(Err(AuditError::Closed));
        self.0 = Wait::Done(result.clone());
        result
    }
}

impl IntoFuture for Closing {
    type Output = Result<Sealed, AuditError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.written())
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Wait::Written(_, pen) = &self.0 {
            // Nobody waits here any more: it is written all the same.
            pen.call();
        }
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        drop(self.0.close());
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.break_off();
    }
}

/// Holds the head that was found against the log that was found.
fn compare(found: Found) -> (Opened, Start) {
    let Found { chain, torn, head } = found;
    let state = match &head {
        None if chain == Chain::GENESIS => HeadState::New,
        None => HeadState::Missing,
        Some(head) if head.chain == chain => HeadState::Matches,
        Some(head) => match head.chain.sequence.cmp(&chain.sequence) {
            std::cmp::Ordering::Less => HeadState::Behind,
            std::cmp::Ordering::Equal => HeadState::Differs,
            std::cmp::Ordering::Greater => HeadState::Ahead,
        },
    };
    let ahead = head.filter(|_| state == HeadState::Ahead);
    let opened = Opened {
        sequence: chain.sequence,
        torn_bytes: torn.as_ref().map_or(0, |torn| torn.bytes),
        lost: ahead.as_ref().map_or(0, |head| head.chain.sequence - chain.sequence),
        head_trusted: !matches!(state, HeadState::Missing | HeadState::Differs),
    };
    (opened, Start { chain, head: state, torn, ahead })
}

#[cfg(test)]
mod tests;
