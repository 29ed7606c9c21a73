//! What is done with the pen: what has gathered in the queue is chained, written with one `write(2)`, and those who
//! wait are told.
//!
//! A write that fails loses nothing: those who wait are told at once, so that their answers are cut, the records
//! stay, say so, and are written when that works again. Meanwhile the log is not writable and new protected
//! requests are refused, which keeps what waits within the queue's bound.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing::{error, info, warn};

use super::chain::{Chain, hash_text};
use super::content::{ADMINISTRATION, EVENT, Time, write_act};
use super::head::{Head, Signer, segment_message};
use super::log::{AuditError, Sealed, Settings, Sync};
use super::queue::{Content, Entry, Queue};
use super::record::Outcome;
use super::segment::{Medium, Torn};

/// What was found at the start, to be recorded.
#[derive(Debug)]
pub(super) struct Start {
    /// The last record found.
    pub(super) chain: Chain,
    /// How the head compares with the log.
    pub(super) head: HeadState,
    /// What was moved aside.
    pub(super) torn: Option<Torn>,
    /// The head that names records that are gone.
    pub(super) ahead: Option<Head>,
}

/// How the head compares with the log that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadState {
    /// There was no log and no head.
    New,
    /// It names the last record.
    Matches,
    /// It names an earlier record: the process ended between two writes.
    Behind,
    /// It names later records: they are gone.
    Ahead,
    /// It names the last record with another hash.
    Differs,
    /// There is a log and no head that can be read, or with a key none that is signed with it.
    Missing,
}

/// The writer's state.
pub(super) struct Writer {
    queue: Arc<Queue>,
    medium: Box<dyn Medium>,
    chain: Chain,
    signer: Option<Signer>,
    segment_bytes: u64,
    sync: Sync,
    syncer: Syncer,
    pub(super) backlog: VecDeque<Entry>,
    buffer: Vec<u8>,
    /// Failed appends since the last that succeeded.
    failures: u32,
    /// The last failure and when the next try is due, while appends fail.
    failing: Option<(AuditError, Duration)>,
    /// Whether the head could not be written or the disk not be forced since.
    unsafe_end: bool,
    /// Whether a new segment was asked for.
    rotate: bool,
    /// Whether the end of the segment is overdue because the next one could not be begun.
    overdue: bool,
    /// When the oldest write that is not on the disk happened.
    unsynced_since: Option<Duration>,
    /// The last write took long: the next one is not made where others would wait for it.
    slow: bool,
}

impl HeadState {
    fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Matches => "matches",
            Self::Behind => "behind",
            Self::Ahead => "ahead",
            Self::Differs => "differs",
            Self::Missing => "missing",
        }
    }
}

impl Writer {
    pub(super) fn new(
        queue: Arc<Queue>,
        medium: Box<dyn Medium>,
        start: &Start,
        settings: &Settings,
    ) -> io::Result<Self> {
        Ok(Self {
            queue,
            medium,
            chain: start.chain,
            signer: settings.key.clone().map(Signer::new),
            segment_bytes: settings.segment_bytes,
            sync: settings.sync,
            syncer: Syncer::start()?,
            backlog: VecDeque::new(),
            buffer: Vec::new(),
            failures: 0,
            failing: None,
            unsafe_end: false,
            rotate: false,
            overdue: false,
            unsynced_since: None,
            slow: false,
        })
    }

    /// Records that the log was opened and what was found.
    pub(super) fn start(&mut self, start: &Start) -> io::Result<()> {
        let (before, now) = (self.chain, self.queue.clock.now());
        self.buffer.clear();
        if let Some(head) = &start.ahead {
            // The numbers of lost records are not given again.
            self.chain.sequence = head.chain.sequence;
        }
        if self.medium.bytes() == 0 {
            self.seal_segment_record(self.medium.segment());
        }
        if let Some(head) = &start.ahead {
            self.chain.seal(&mut self.buffer, |o| {
                o.text("head_hash", hash_text(&head.chain.hash));
                o.number("lost_from", before.sequence.saturating_add(1));
                o.number("lost_to", head.chain.sequence);
                o.shown("time", Time(now));
                o.text("type", LOSS);
            });
        }
        if let Some(torn) = &start.torn {
            self.chain.seal(&mut self.buffer, |o| {
                o.text("moved_to", &torn.moved_to);
                o.shown("time", Time(now));
                o.number("torn_bytes", torn.bytes);
                o.text("type", REPAIR);
            });
        }
        self.chain.seal(&mut self.buffer, |o| {
            o.text("head", start.head.name());
            o.shown("time", Time(now));
            o.text("type", START);
            o.text("version", env!("CARGO_PKG_VERSION"));
        });
        self.append(before)?;
        self.secure(false)
    }

    /// Whether what comes can be written at once, without anything that takes long.
    pub(super) fn is_at_ease(&self) -> bool {
        let quick = match self.sync {
            Sync::Always => false,
            Sync::Every(_) | Sync::Never => true,
        };
        let due = self.rotate || self.medium.bytes() >= self.segment_bytes;
        quick && !due && !self.slow && self.failing.is_none() && !self.unsafe_end && self.backlog.is_empty()
    }

    /// A new segment is asked for, if `asked`.
    pub(super) fn rotate(&mut self, asked: bool) {
        self.rotate |= asked;
    }

    /// One round: what came is written, or told that it cannot be. Gives whether something is left to be looked after
    /// that was not before.
    pub(super) fn work(&mut self) -> bool {
        let synced = self.unsynced_since.is_none();
        self.round();
        let due = match self.sync {
            Sync::Every(_) => synced && self.unsynced_since.is_some(),
            Sync::Always | Sync::Never => false,
        };
        due || self.failing.is_some() || self.unsafe_end || !self.backlog.is_empty()
    }

    fn round(&mut self) {
        let now = self.queue.clock.monotonic();
        match &self.failing {
            Some((error, next_try)) if now < *next_try => {
                let error = error.clone();
                self.tell(&error);
            }
            Some(_) => self.write(),
            None => {
                if self.rotate || self.medium.bytes() >= self.segment_bytes {
                    self.begin_segment();
                }
                self.write();
            }
        }
    }

    /// How long to wait for records: not at all if some are left, not for ever if something has to be done then.
    pub(super) fn wait(&self) -> Option<Duration> {
        if self.failures > 0 || self.unsafe_end {
            return Some(RETRY);
        }
        if !self.backlog.is_empty() {
            return Some(Duration::ZERO);
        }
        match (self.sync, self.unsynced_since) {
            (Sync::Every(interval), Some(since)) => {
                Some(interval.saturating_sub(self.queue.clock.monotonic().saturating_sub(since)).max(SOON))
            }
            _ => None,
        }
    }

    /// Writes as much of the backlog as goes into one write.
    fn write(&mut self) {
        let suppressed = self.queue.take_suppressed();
        if self.backlog.is_empty() && suppressed == 0 && self.failures == 0 {
            if self.unsafe_end {
                let result = self.secure(false);
                self.secured(&result);
            }
            return;
        }
        let before = self.chain;
        self.buffer.clear();
        self.seal_notes(suppressed);
        let first = self.chain.sequence;
        let count = self.seal_backlog();
        let began = self.queue.clock.monotonic();
        if let Err(error) = self.append(before) {
            self.queue.restore_suppressed(suppressed);
            return self.failed(&error);
        }
        if self.failing.take().is_some() {
            info!("audit log is written again");
            self.failures = 0;
        }
        let acts = self.backlog.iter().take(count).any(Entry::is_act);
        let result = self.secure(acts);
        let took = self.queue.clock.monotonic().saturating_sub(began);
        self.slow = took >= SLOW;
        self.queue.metrics.audit_write(took);
        // The records are written. Under `Sync::Always`, and for acts, that is not enough: nobody is told so unless the
        // disk has them; they stay in the log in any case.
        let error = result.as_ref().err().filter(|_| acts || self.sync == Sync::Always);
        let error = error.map(|error| AuditError::Write(error.to_string().into()));
        self.acknowledge(count, first, error.as_ref());
        self.secured(&result);
    }

    /// What happened to the log itself since the last write.
    fn seal_notes(&mut self, suppressed: u64) {
        let now = self.queue.clock.now();
        if self.failures > 0 {
            let failures = self.failures;
            self.chain.seal(&mut self.buffer, |o| {
                o.number("failures", failures.into());
                o.shown("time", Time(now));
                o.text("type", RESUME);
            });
        }
        if suppressed > 0 {
            self.chain.seal(&mut self.buffer, |o| {
                o.number("requests", suppressed);
                o.shown("time", Time(now));
                o.text("type", SUPPRESSED);
            });
        }
    }

    fn seal_backlog(&mut self) -> usize {
        let now = self.queue.clock.now();
        let mut count = 0;
        for entry in &self.backlog {
            if self.buffer.len() >= BATCH_BYTES {
                break;
            }
            self.chain.seal(&mut self.buffer, |o| match &entry.content {
                Content::Request(draft) => draft.write(o),
                Content::Event(event) => event.write(o),
                Content::Act(act) => write_act(act, now, o),
            });
            count += 1;
        }
        count
    }

    /// Appends the buffer; on an error the chain is as `before`.
    fn append(&mut self, before: Chain) -> io::Result<()> {
        let repaired = if self.failures > 0 { self.medium.repair() } else { Ok(()) };
        if let Err(error) = repaired.and_then(|()| self.medium.append(&self.buffer)) {
            self.chain = before;
            return Err(error);
        }
        if self.buffer.capacity() > BATCH_BYTES * 4 {
            self.buffer = Vec::new();
        }
        self.unsynced_since.get_or_insert(self.queue.clock.monotonic());
        Ok(())
    }

    /// Moves the head to the chain's end, and forces the disk if every record demands it, or one of these does.
    fn secure(&mut self, force: bool) -> io::Result<()> {
        let head = Head::new(self.chain, self.medium.segment(), self.queue.clock.now(), self.signer.as_ref());
        self.medium.anchor(&head)?;
        if force || self.sync == Sync::Always {
            self.medium.sync()?;
            self.unsynced_since = None;
        }
        Ok(())
    }

    /// After [`Writer::secure`]: nothing new is accepted while the end of the log could be cut off unseen.
    fn secured(&mut self, result: &io::Result<()>) {
        match result {
            Err(error) => {
                self.unsafe_end = true;
                self.not_writable(error);
            }
            Ok(()) if self.syncer.failed() => self.unsafe_end = true,
            Ok(()) => {
                self.unsafe_end = false;
                self.queue.writable(self.backlog.len());
            }
        }
    }

    /// Takes the first `count` off the backlog and tells those who wait. `sequence` is the number before them.
    fn acknowledge(&mut self, count: usize, mut sequence: u64, error: Option<&AuditError>) {
        for entry in self.backlog.drain(..count.min(self.backlog.len())) {
            sequence += 1;
            let outcome = match &entry.content {
                Content::Request(draft) => draft.outcome.name(),
                Content::Event(_) => EVENT,
                Content::Act(_) => ADMINISTRATION,
            };
            let error = error.filter(|_| self.sync == Sync::Always || entry.is_act());
            self.queue.metrics.audit_written(outcome);
            if let Some(written) = entry.written {
                // An error here means that nobody waits any more: the caller went away meanwhile.
                let _ = written.send(error.map_or(Ok(Sealed::at(sequence)), |error| Err(error.clone())));
            }
        }
    }

    /// An append failed: those who wait are told, everything stays.
    fn failed(&mut self, error: &io::Error) {
        self.failures = self.failures.saturating_add(1);
        let told = AuditError::Write(error.to_string().into());
        self.failing = Some((told.clone(), self.queue.clock.monotonic().saturating_add(RETRY)));
        self.not_writable(error);
        self.tell(&told);
    }

    /// Tells those who wait that their records are not written; their answers are cut, and the records say so.
    fn tell(&mut self, error: &AuditError) {
        for entry in &mut self.backlog {
            let Some(written) = entry.written.take() else { continue };
            if let Content::Request(draft) = &mut entry.content
                && draft.outcome == Outcome::Complete
            {
                draft.outcome = Outcome::Cut(error.to_string());
            }
            // An error here means that nobody waits any more: the caller went away meanwhile.
            let _ = written.send(Err(error.clone()));
        }
    }

    fn not_writable(&mut self, error: &io::Error) {
        let told = AuditError::Write(error.to_string().into());
        if self.queue.not_writable(told, self.backlog.len()) {
            error!(%error, "audit log cannot be written: protected requests are refused");
        }
        self.queue.metrics.audit_failed();
    }

    /// Begins the next segment. If that fails the old one goes on.
    fn begin_segment(&mut self) {
        let before = self.chain;
        self.buffer.clear();
        self.seal_segment_record(self.medium.segment().saturating_add(1));
        match self.medium.begin_segment(&self.buffer) {
            Ok(()) => {
                (self.rotate, self.overdue) = (false, false);
                let result = self.secure(false);
                self.secured(&result);
            }
            Err(error) => {
                self.chain = before;
                if !std::mem::replace(&mut self.overdue, true) {
                    warn!(%error, "audit segment cannot be ended: it goes on");
                }
            }
        }
    }

    fn seal_segment_record(&mut self, number: u32) {
        let now = self.queue.clock.now();
        let signature = self.signer.as_ref().map(|signer| signer.sign(&segment_message(number, &self.chain)));
        self.chain.seal(&mut self.buffer, |o| {
            o.maybe("key", signature.as_ref().map(|s| s.key.as_str()));
            o.maybe("mac", signature.as_ref().map(|s| s.mac.as_str()));
            o.number("segment", number.into());
            o.shown("time", Time(now));
            o.text("type", SEGMENT);
        });
    }

    pub(super) fn sync_if_due(&mut self) {
        let Sync::Every(interval) = self.sync else { return };
        if self.syncer.failed() {
            self.unsafe_end = true;
            self.not_writable(&io::Error::other("the disk could not be forced"));
        }
        let now = self.queue.clock.monotonic();
        let due = self.unsynced_since.is_some_and(|since| now.saturating_sub(since) >= interval);
        if (due || self.unsafe_end) && self.medium.files().is_ok_and(|files| self.syncer.sync(files)) {
            self.unsynced_since = None;
        }
    }

    /// Whether the log is being closed and has long not been written.
    pub(super) fn has_given_up(&self) -> bool {
        self.failures >= GIVE_UP && self.queue.is_closed()
    }

    /// The end of a log that cannot be written.
    pub(super) fn give_up(self) {
        error!(records = self.backlog.len(), "audit records lost: the log could not be written at the end");
    }

    /// The orderly end: a last record, everything on the disk.
    pub(super) fn stop(mut self) {
        let before = self.chain;
        let now = self.queue.clock.now();
        self.buffer.clear();
        self.chain.seal(&mut self.buffer, |o| {
            o.shown("time", Time(now));
            o.text("type", STOP);
        });
        let stopped = self.append(before).and_then(|()| self.secure(false)).and_then(|()| self.medium.sync());
        if let Err(error) = stopped {
            error!(%error, "audit log could not be ended in order");
        }
    }
}

/// Forces files to the disk on a thread of its own, so that no record waits for it.
#[derive(Debug)]
struct Syncer {
    files: SyncSender<Vec<File>>,
    failed: Arc<AtomicBool>,
}

impl Syncer {
    fn start() -> io::Result<Self> {
        let (files, work): (_, Receiver<Vec<File>>) = sync_channel(1);
        let failed = Arc::new(AtomicBool::new(false));
        let failed_there = failed.clone();
        thread::Builder::new().name("audit-sync".into()).spawn(move || {
            for files in work {
                let result = files.iter().try_for_each(File::sync_data);
                failed_there.store(result.is_err(), Ordering::Release);
            }
        })?;
        Ok(Self { files, failed })
    }

    /// Asks for these files to be forced; `false` if an earlier wish is still waiting.
    fn sync(&self, files: Vec<File>) -> bool {
        self.files.try_send(files).is_ok()
    }

    /// Whether the last try failed.
    fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

/// The type of a segment's first record.
pub(super) const SEGMENT: &str = "segment";
/// The type of the record that tells of an opened log.
pub(super) const START: &str = "start";
/// The type of the record that tells of a log closed in order.
pub(super) const STOP: &str = "stop";
/// The type of the record that tells of a torn line moved aside.
pub(super) const REPAIR: &str = "repair";
/// The type of the record that tells of records that the head names and that are gone.
pub(super) const LOSS: &str = "loss";
/// The type of the record that tells of failed writes before it.
pub(super) const RESUME: &str = "resume";
/// The type of the record that tells how many requests were refused without a record.
pub(super) const SUPPRESSED: &str = "suppressed";

/// About how many bytes go into one write.
const BATCH_BYTES: usize = 1 << 20;
/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// A write that takes so long is a slow one: a disk that stalls must not hold up the threads that serve.
const SLOW: Duration = Duration::from_millis(20);
/// The shortest wait for something that is due.
const SOON: Duration = Duration::from_millis(10);
/// How many failures in a row end the writer of a log that is being closed: 10 seconds.
const GIVE_UP: u32 = 40;
