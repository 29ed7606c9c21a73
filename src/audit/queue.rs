//! What waits to be written, between the requests and whoever holds the [`Pen`].
//!
//! A request takes a [`Slot`] when it begins and gives it back when its record is written, so the queue is bounded
//! by the requests in flight and enqueueing cannot fail: also a record that is dropped in a destructor gets in.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::oneshot;
use tracing::error;

use crate::base::Clock;
use crate::store::Act;
use crate::telemetry::Metrics;

use super::log::{AuditError, Closing, Sealed};
use super::pen::Pen;
use super::record::{Draft, Event};

/// What the requests and the writer share.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    slots: AtomicUsize,
    max_in_flight: usize,
    /// Why records cannot be written now; nothing while they can.
    failure: ArcSwapOption<AuditError>,
    suppressed: AtomicU64,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    /// Nothing new is accepted.
    closed: bool,
    /// There is no writer any more.
    gone: bool,
    /// A new segment is asked for.
    rotate: bool,
    /// An act waits, for which the disk is forced.
    forced: bool,
    /// The thread has something to look after.
    called: bool,
    /// The thread waits to be woken.
    waiting: bool,
    /// Who waits for the end.
    ended: Vec<oneshot::Sender<()>>,
}

/// What the writer takes from the queue.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) content: Content,
    /// Who waits for it.
    pub(super) written: Option<oneshot::Sender<Result<Sealed, AuditError>>>,
    _slot: Slot,
}

/// What is recorded.
#[derive(Debug)]
pub(super) enum Content {
    Request(Box<Draft>),
    Event(Event),
    Act(Box<Act>),
}

/// A place in the queue, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot(Arc<Queue>);

/// What there is to do for the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Called {
    /// To look.
    Work {
        /// A new segment is asked for.
        rotate: bool,
    },
    /// Nothing, and nothing will come.
    End,
}

impl Queue {
    pub(super) fn new(max_in_flight: usize, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            slots: AtomicUsize::new(0),
            max_in_flight,
            failure: ArcSwapOption::from_pointee(AuditError::Closed),
            suppressed: AtomicU64::new(0),
            clock,
            metrics,
        }
    }

    // === For requests ===

    /// A place, unless all are taken.
    pub(super) fn slot(self: &Arc<Self>) -> Result<Slot, AuditError> {
        // Under the lock, so that the writer does not end between looking and taking.
        let state = self.lock();
        if state.closed {
            return Err(AuditError::Closed);
        }
        if self.slots.load(Ordering::Acquire) >= self.max_in_flight {
            return Err(AuditError::Full);
        }
        self.slots.fetch_add(1, Ordering::AcqRel);
        Ok(Slot(self.clone()))
    }

    /// The last failure, while records cannot be written.
    pub(super) fn ensure_writable(&self) -> Result<(), AuditError> {
        match &*self.failure.load() {
            None => Ok(()),
            Some(error) => Err(AuditError::clone(error)),
        }
    }

    /// A request is refused without a record.
    pub(super) fn suppress(&self) {
        self.suppressed.fetch_add(1, Ordering::AcqRel);
        self.metrics.audit_suppressed();
    }

    /// Asks for a new segment.
    pub(super) fn rotate(&self) {
        let mut state = self.lock();
        state.rotate = true;
        self.wake(state);
    }

    /// Has the thread look after what there is.
    pub(super) fn call(&self) {
        let mut state = self.lock();
        state.called = true;
        self.wake(state);
    }

    /// Accepts nothing new; what comes out is sent something, or dropped, when the writer has ended.
    pub(super) fn close(&self) -> oneshot::Receiver<()> {
        let (ended, end) = oneshot::channel();
        let mut state = self.lock();
        state.closed = true;
        if !state.gone {
            state.ended.push(ended);
        }
        self.wake(state);
        end
    }

    // === For who writes ===

    /// Moves what waits into `backlog`.
    pub(super) fn gather(&self, backlog: &mut VecDeque<Entry>) {
        let mut state = self.lock();
        state.forced = false;
        backlog.append(&mut state.entries);
    }

    /// Whether what waits takes long: a new segment is asked for, in which it belongs, or the disk is forced for it.
    pub(super) fn is_for_the_thread(&self) -> bool {
        let state = self.lock();
        state.rotate || state.forced
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().entries.is_empty()
    }

    /// Waits for something to do, no longer than `wait`.
    pub(super) fn wait(&self, wait: Option<Duration>) -> Called {
        let mut state = self.lock();
        loop {
            // What is still to be written has its slot.
            if state.closed && !state.rotate && self.slots.load(Ordering::Acquire) == 0 {
                return Called::End;
            }
            if state.called || !state.entries.is_empty() || state.rotate || wait == Some(Duration::ZERO) {
                break;
            }
            state.waiting = true;
            if let Some(wait) = wait {
                state = self.wake.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
                break;
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting = false;
        state.called = false;
        Called::Work { rotate: std::mem::take(&mut state.rotate) }
    }

    /// Records can be written, and so many wait.
    pub(super) fn writable(&self, waiting: usize) {
        self.metrics.audit_state(true, waiting);
        if self.failure.load().is_some() {
            self.failure.store(None);
        }
    }

    /// Records cannot be written, and so many wait; gives whether that is news.
    pub(super) fn not_writable(&self, error: AuditError, waiting: usize) -> bool {
        self.metrics.audit_state(false, waiting);
        self.failure.swap(Some(Arc::new(error))).is_none()
    }

    pub(super) fn take_suppressed(&self) -> u64 {
        self.suppressed.swap(0, Ordering::AcqRel)
    }

    pub(super) fn restore_suppressed(&self, requests: u64) {
        self.suppressed.fetch_add(requests, Ordering::AcqRel);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The writer is gone: nothing can be recorded any more. Those who wait for an entry are told by its drop.
    pub(super) fn ended(&self) {
        self.not_writable(AuditError::Closed, 0);
        let (entries, waiting) = {
            let mut state = self.lock();
            state.closed = true;
            state.gone = true;
            (std::mem::take(&mut state.entries), std::mem::take(&mut state.ended))
        };
        drop(entries);
        for ended in waiting {
            // An error means that nobody waits any more.
            let _ = ended.send(());
        }
    }

    fn wake(&self, state: MutexGuard<'_, State>) {
        let waiting = state.waiting;
        drop(state);
        if waiting {
            self.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Whether it is an act of administration.
    pub(super) fn is_act(&self) -> bool {
        matches!(self.content, Content::Act(_))
    }
}

impl Slot {
    /// Puts an entry into the queue. What comes out sees to it that it is written, and is told when it is, if there is
    /// a `pen` to wait for.
    pub(super) fn enqueue(self, content: Content, pen: Option<&Arc<Pen>>) -> Closing {
        let queue = self.0.clone();
        let (written, closing) = match pen {
            Some(pen) => {
                let (written, waits) = oneshot::channel();
                (Some(written), Closing::when(waits, Arc::clone(pen)))
            }
            None => (None, Closing::at_once(Ok(Sealed::UNSEEN))),
        };
        let entry = Entry { content, written, _slot: self };
        let mut state = queue.lock();
        if state.gone {
            drop(state);
            error!("audit record lost: the log has ended");
            return Closing::at_once(Err(AuditError::Closed));
        }
        state.forced |= entry.is_act();
        state.entries.push_back(entry);
        if pen.is_none() {
            queue.wake(state);
        }
        closing
    }

    pub(super) fn ensure_writable(&self) -> Result<(), AuditError> {
        self.0.ensure_writable()
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.0.slots.fetch_sub(1, Ordering::AcqRel) == 1 {
            let state = self.0.lock();
            if state.closed {
                // It was the last one that the thread waited for.
                self.0.wake(state);
            }
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}
