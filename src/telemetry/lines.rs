//! Lines of text on their way to a file or a terminal, written by a thread of their own.
//!
//! Writing a line never waits: a queue that is full (a disk that hangs, a terminal that nobody reads) drops it and
//! counts it in `fieldgate_log_lines_dropped_total`. What must not be lost belongs to `audit`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::metrics::Metrics;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file that is appended to; made if it is not there, readable for owner and group.
    File(PathBuf),
}

/// A log of lines. Clones are the same log; when the last one is gone what is left is written.
#[derive(Clone, Debug)]
pub struct LineLog {
    name: &'static str,
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    _ends: Arc<Ends>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something came, or is asked for.
    came: Condvar,
    /// Everything is written.
    done: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// Whole lines, each with its line feed.
    bytes: Vec<u8>,
    lines: u64,
    /// The writer waits for the first line.
    waiting: bool,
    /// The writer has taken lines and not written them yet.
    writing: bool,
    /// Somebody waits for what is there.
    hurry: bool,
    reopen: bool,
    closed: bool,
}

/// Closes the queue when the last [`LineLog`] is gone.
#[derive(Debug)]
struct Ends(Arc<Shared>);

/// The thread that writes.
struct Writer {
    name: &'static str,
    shared: Arc<Shared>,
    out: Box<dyn Write + Send>,
    path: Option<PathBuf>,
    metrics: Arc<Metrics>,
}

impl LineLog {
    /// Opens a log; `name` is its label in metrics.
    pub fn open(name: &'static str, target: Target, metrics: Arc<Metrics>) -> io::Result<Self> {
        match target {
            Target::Stdout => Self::start(name, Box::new(io::stdout()), None, metrics),
            Target::Stderr => Self::start(name, Box::new(io::stderr()), None, metrics),
            Target::File(path) => Self::start(name, Box::new(append_to(&path)?), Some(path), metrics),
        }
    }

    fn start(
        name: &'static str,
        out: Box<dyn Write + Send>,
        path: Option<PathBuf>,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = Writer { name, shared: shared.clone(), out, path, metrics: metrics.clone() };
        thread::Builder::new().name(format!("log-{name}")).spawn(move || writer.run())?;
        Ok(Self { name, _ends: Arc::new(Ends(shared.clone())), shared, metrics })
    }

    /// Adds a line, without its line feed. Never waits. A line that is too long, or finds the queue full, is
    /// dropped and counted.
    pub fn write(&self, line: &str) {
        if line.len() > MAX_LINE_BYTES {
            return self.metrics.log_lines_dropped(self.name, 1);
        }
        let mut queue = self.shared.lock();
        if queue.bytes.len() + line.len() >= MAX_QUEUED_BYTES {
            drop(queue);
            return self.metrics.log_lines_dropped(self.name, 1);
        }
        queue.bytes.extend_from_slice(line.as_bytes());
        queue.bytes.push(b'\n');
        queue.lines += 1;
        if queue.waiting {
            self.shared.came.notify_one();
        }
    }

    /// Opens the file again by its name: after it was moved away by a rotation.
    pub fn reopen(&self) {
        self.shared.lock().reopen = true;
        self.shared.came.notify_one();
    }

    /// Waits until everything is written, no longer than `limit`.
    pub fn flush(&self, limit: Duration) {
        let mut queue = self.shared.lock();
        queue.hurry = true;
        self.shared.came.notify_one();
        let unwritten = |queue: &mut Queue| queue.writing || !queue.bytes.is_empty() || queue.reopen;
        drop(self.shared.done.wait_timeout_while(queue, limit, unwritten));
    }
}

impl Writer {
    fn run(mut self) {
        while let Some((bytes, lines, reopen)) = self.shared.take() {
            // Lines that came before a rotation belong to the file from before.
            if self.out.write_all(&bytes).and_then(|()| self.out.flush()).is_err() {
                self.metrics.log_lines_dropped(self.name, lines);
            }
            if reopen && let Some(file) = self.path.as_ref().and_then(|path| append_to(path).ok()) {
                self.out = Box::new(file);
            }
            self.shared.lock().writing = false;
            self.shared.done.notify_all();
        }
    }
}

impl Shared {
    /// Waits for lines, lets some more gather, and takes them; `None` when nothing more will come.
    fn take(&self) -> Option<(Vec<u8>, u64, bool)> {
        let mut queue = self.lock();
        while queue.bytes.is_empty() && !queue.reopen && !queue.closed {
            queue.waiting = true;
            queue = self.came.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.waiting = false;
        if queue.bytes.is_empty() && !queue.reopen {
            return None;
        }
        let may_gather = |q: &mut Queue| q.bytes.len() < GATHERED_BYTES && !q.hurry && !q.reopen && !q.closed;
        queue =
            self.came.wait_timeout_while(queue, GATHER, may_gather).unwrap_or_else(PoisonError::into_inner).0;
        queue.writing = true;
        queue.hurry = false;
        Some((
            std::mem::take(&mut queue.bytes),
            std::mem::take(&mut queue.lines),
            std::mem::take(&mut queue.reopen),
        ))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.came.notify_one();
    }
}

fn append_to(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// Longest line.
const MAX_LINE_BYTES: usize = 64 << 10;
/// Most bytes that wait to be written; as many again may be being written.
const MAX_QUEUED_BYTES: usize = 4 << 20;
/// How long lines gather before they are written together, so that a busy log does not wake its writer each time.
const GATHER: Duration = Duration::from_millis(20);
/// How many bytes are enough to be written at once.
const GATHERED_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Gives what it is asked to write away and waits for leave after each write.
    struct Slow {
        written: Sender<Vec<u8>>,
        leave: Receiver<()>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.written.send(bytes.to_vec()).unwrap();
            let _ = self.leave.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn dropped(metrics: &Metrics) -> u64 {
        let text = metrics.encode();
        let line = text.lines().find(|l| l.starts_with("fieldgate_log_lines_dropped_total{log=\"test\"}"));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    #[test]
    fn a_log_that_nobody_reads_drops_lines_and_holds_up_nobody() {
        let metrics = Arc::new(Metrics::new());
        let (written, reader) = channel();
        let (give_leave, leave) = channel();
        let log = LineLog::start("test", Box::new(Slow { written, leave }), None, metrics.clone()).unwrap();
        log.write("first");
        assert_eq!(reader.recv().unwrap(), b"first\n");
        let line = "x".repeat(1023);
        let fitting = MAX_QUEUED_BYTES / 1024;
        for _ in 0..fitting + 100 {
            log.write(&line);
        }
        assert_eq!(dropped(&metrics), 100);
        drop(give_leave);
        let rest = reader.recv().unwrap();
        assert_eq!(rest.len(), fitting * 1024);
    }

    #[test]
    fn a_line_that_is_too_long_is_dropped_and_counted() {
        let metrics = Arc::new(Metrics::new());
        let log = LineLog::start("test", Box::new(io::sink()), None, metrics.clone()).unwrap();
        log.write(&"x".repeat(MAX_LINE_BYTES + 1));
        log.write(&"x".repeat(MAX_LINE_BYTES));
        assert_eq!(dropped(&metrics), 1);
    }

    #[test]
    fn after_a_rotation_lines_go_to_a_new_file_of_the_old_name() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("access.log"), dir.path().join("access.log.1"));
        let log = LineLog::open("test", Target::File(path.clone()), Arc::new(Metrics::new())).unwrap();
        log.write("before");
        log.flush(LONG);
        fs::rename(&path, &moved).unwrap();
        log.write("still the old file");
        log.reopen();
        log.flush(LONG);
        log.write("after");
        log.flush(LONG);
        assert_eq!(fs::read_to_string(&moved).unwrap(), "before\nstill the old file\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "after\n");
    }

    #[test]
    fn what_is_left_is_written_when_the_log_is_no_longer_used() {
        let metrics = Arc::new(Metrics::new());
        let (written, reader) = channel();
        let (_give_leave, leave) = channel();
        let log = LineLog::start("test", Box::new(Slow { written, leave }), None, metrics).unwrap();
        log.write("last words");
        drop(log);
        assert_eq!(reader.recv().unwrap(), b"last words\n");
    }

    #[test]
    fn a_failing_target_counts_its_lines() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let metrics = Arc::new(Metrics::new());
        let log = LineLog::start("test", Box::new(Full), None, metrics.clone()).unwrap();
        log.write("a");
        log.write("b");
        log.flush(LONG);
        assert_eq!(dropped(&metrics), 2);
    }
}
