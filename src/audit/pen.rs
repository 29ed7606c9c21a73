//! Who writes: whoever waits for a record takes the pen and writes it, with all that has gathered meanwhile, so that no
//! other thread has to be woken for it and its answer. It first lets everybody go on who is ready to: the busier the
//! gateway, the more records share a write.
//!
//! A thread of its own writes what nobody waits for, and whatever may take long or has to be tried again: forced disks,
//! new segments, failures, and what follows a write that was slow. Nobody waits for the pen: who finds it taken is served by who has it, who looks again after
//! laying it down.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use super::queue::{Called, Queue};
use super::writer::Writer;

/// The writer, held by one at a time.
pub(super) struct Pen {
    queue: Arc<Queue>,
    /// `None` after the end.
    writer: Mutex<Option<Writer>>,
    /// There is no writer any more, and that was told.
    gone: AtomicBool,
}

impl Pen {
    pub(super) fn new(queue: Arc<Queue>, writer: Writer) -> Self {
        Self { queue, writer: Mutex::new(Some(writer)), gone: AtomicBool::new(false) }
    }

    /// Writes what has gathered, if the pen is free and nothing keeps it from being written at once; else it is seen to
    /// that somebody does.
    pub(super) fn write_here(&self) {
        for _ in 0..ROUNDS {
            let mut held = match self.writer.try_lock() {
                Ok(held) => held,
                Err(TryLockError::WouldBlock) => return,
                Err(TryLockError::Poisoned(held)) => {
                    drop(held);
                    return self.break_off();
                }
            };
            let Some(writer) = held.as_mut().filter(|writer| writer.is_at_ease()) else { break };
            if self.queue.is_for_the_thread() {
                break;
            }
            let _told = Told(&self.queue);
            self.queue.gather(&mut writer.backlog);
            let more = writer.work();
            drop(held);
            if more {
                break;
            }
            // What came while it was written was left to us.
            if self.queue.is_empty() {
                return;
            }
        }
        self.queue.call();
    }

    /// Has the thread write what nobody waits for.
    pub(super) fn call(&self) {
        self.queue.call();
    }

    /// Writes what nobody waits for and what takes long, until the log is closed and nothing is under way.
    pub(super) fn keep(&self) {
        loop {
            let Ok(held) = self.writer.lock() else { return self.break_off() };
            let Some(wait) = held.as_ref().map(Writer::wait) else { return };
            drop(held);
            let rotate = match self.queue.wait(wait) {
                Called::Work { rotate } => rotate,
                Called::End => return self.lay_down(Writer::stop),
            };
            let Ok(mut held) = self.writer.lock() else { return self.break_off() };
            let Some(writer) = held.as_mut() else { return };
            self.queue.gather(&mut writer.backlog);
            writer.rotate(rotate);
            writer.work();
            writer.sync_if_due();
            if writer.has_given_up() {
                drop(held);
                return self.lay_down(Writer::give_up);
            }
        }
    }

    /// The end: the files are closed when this returns.
    fn lay_down(&self, end: impl FnOnce(Writer)) {
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            end(writer);
        }
    }

    /// The end in any case, also if whoever wrote panicked: nothing is chained to what that may have left behind.
    pub(super) fn break_off(&self) {
        if !self.gone.swap(true, Ordering::AcqRel) {
            self.lay_down(drop);
            self.queue.ended();
        }
    }
}

/// Tells the thread of a panic.
struct Told<'q>(&'q Queue);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.call();
        }
    }
}

impl fmt::Debug for Pen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pen").finish_non_exhaustive()
    }
}

/// How often one who waits for a record looks again for what others have left.
const ROUNDS: usize = 4;
