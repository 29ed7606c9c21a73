//! The files of an audit log: numbered segments of lines in one directory, a head and a lock.
//!
//! Only the highest segment is written. A line counts as written when `write(2)` has taken all of it: it then
//! survives the end of the process. A line that was cut off by a crash is moved aside when the log is opened.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::chain::{Chain, Link};
use super::content::MAX_LINE_BYTES;
use super::head::{Head, HeadFile, Signer};
use super::log::OpenError;

/// What the writer writes to.
pub(super) trait Medium: Send {
    /// Appends whole lines. What a failed append leaves behind is removed by [`Medium::repair`].
    fn append(&mut self, lines: &[u8]) -> io::Result<()>;
    /// Removes what a failed append left behind: before anything else is appended.
    fn repair(&mut self) -> io::Result<()>;
    /// Ends the segment and begins the next one with its first line, or changes nothing.
    fn begin_segment(&mut self, first: &[u8]) -> io::Result<()>;
    /// The segment's number, from 1.
    fn segment(&self) -> u32;
    /// The segment's size.
    fn bytes(&self) -> u64;
    /// Writes the head.
    fn anchor(&mut self, head: &Head) -> io::Result<()>;
    /// Forces everything written to the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// The files that [`Medium::sync`] would force, for doing so elsewhere.
    fn files(&self) -> io::Result<Vec<File>>;
}

/// The directory of a log that is written.
#[derive(Debug)]
pub(super) struct Segments {
    dir: PathBuf,
    file: File,
    number: u32,
    bytes: u64,
    head: HeadFile,
    /// Held locked, so that no second process writes here.
    _lock: File,
}

/// What an opened directory held.
#[derive(Debug)]
pub(super) struct Found {
    /// The last whole line.
    pub(super) chain: Chain,
    /// What stood after it.
    pub(super) torn: Option<Torn>,
    /// The newest head; with a key, the newest that it signed.
    pub(super) head: Option<Head>,
}

/// A part of a line after the last whole one, moved aside.
#[derive(Clone, Debug)]
pub(super) struct Torn {
    pub(super) bytes: u64,
    /// The file's name in the log's directory.
    pub(super) moved_to: String,
}

impl Segments {
    /// Opens a directory for writing.
    pub(super) fn open(dir: &Path, signer: Option<&Signer>) -> Result<(Self, Found), OpenError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
        let lock = lock(dir)?;
        let found = segment_files(dir).map_err(at(dir))?;
        let (number, path) = match found.last() {
            Some((number, path)) => (*number, path.clone()),
            None => (1, dir.join(segment_name(1))),
        };
        let file = new_file().create(true).truncate(false).open(&path).map_err(at(&path))?;
        let (chain, torn) = recover(&file, &path, number)?;
        let chain = match (chain, found.iter().rev().nth(1)) {
            (Some(chain), _) => chain,
            (None, None) => Chain::GENESIS,
            // A crash between making a segment and writing its first line: the chain goes on from the one before.
            (None, Some((_, before))) => {
                let file = File::open(before).map_err(at(before))?;
                let end = file.metadata().map_err(at(before))?.len();
                last_line(&file, end).map_err(at(before))?.ok_or_else(|| damaged(before))?
            }
        };
        let bytes = file.metadata().map_err(at(&path))?.len();
        let head_path = dir.join(HEAD_FILE);
        let named = match Head::read(&head_path, signer) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            named => named.map_err(at(&head_path))?,
        };
        let head = HeadFile::open(&head_path).map_err(at(&head_path))?;
        sync_dir(dir).map_err(at(dir))?;
        let segments = Self { dir: dir.to_owned(), file, number, bytes, head, _lock: lock };
        Ok((segments, Found { chain, torn, head: named }))
    }
}

impl Medium for Segments {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all_at(lines, self.bytes) {
            // If this fails too, it is done before anything else is written.
            let _ = self.repair();
            return Err(error);
        }
        self.bytes += lines.len() as u64;
        Ok(())
    }

    fn repair(&mut self) -> io::Result<()> {
        if self.file.metadata()?.len() != self.bytes {
            self.file.set_len(self.bytes)?;
        }
        Ok(())
    }

    fn begin_segment(&mut self, first: &[u8]) -> io::Result<()> {
        self.file.sync_data()?;
        let number = self.number + 1;
        let path = self.dir.join(segment_name(number));
        // A file that stays from a failed try has no whole line.
        let file = new_file().create(true).truncate(true).open(&path)?;
        if let Err(error) = (&file).write_all(first) {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        // If only the directory cannot be forced, the segment is there all the same.
        let _ = sync_dir(&self.dir);
        (self.file, self.number, self.bytes) = (file, number, first.len() as u64);
        Ok(())
    }

    fn segment(&self) -> u32 {
        self.number
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn anchor(&mut self, head: &Head) -> io::Result<()> {
        self.head.write(head)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.head.sync()
    }

    fn files(&self) -> io::Result<Vec<File>> {
        Ok(vec![self.file.try_clone()?, self.head.try_clone()?])
    }
}

/// The segments in a directory, by number.
pub(super) fn segment_files(dir: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if let Some(number) = entry.file_name().to_str().and_then(segment_number) {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// The name of a segment's file.
pub(super) fn segment_name(number: u32) -> String {
    format!("{PREFIX}{number:08}{SUFFIX}")
}

fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    if digits.len() < 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|number| *number > 0)
}

/// The last whole line of a segment; what follows it is moved aside.
fn recover(file: &File, path: &Path, number: u32) -> Result<(Option<Chain>, Option<Torn>), OpenError> {
    let length = file.metadata().map_err(at(path))?.len();
    let end = after_last_line_feed(file, length).map_err(at(path))?;
    let chain = if end == 0 {
        None
    } else {
        Some(last_line(file, end).map_err(at(path))?.ok_or_else(|| damaged(path))?)
    };
    if end == length {
        return Ok((chain, None));
    }
    let aside = format!("{PREFIX}{number:08}.torn-{}", chain.map_or(0, |c| c.sequence));
    let aside_path = path.with_file_name(&aside);
    move_aside(file, end, length, &aside_path).map_err(at(&aside_path))?;
    Ok((chain, Some(Torn { bytes: length - end, moved_to: aside })))
}

fn move_aside(mut file: &File, from: u64, to: u64, aside: &Path) -> io::Result<()> {
    file.seek(SeekFrom::Start(from))?;
    let mut target = new_file().create(true).truncate(true).open(aside)?;
    io::copy(&mut file.take(to - from), &mut target)?;
    target.sync_data()?;
    file.set_len(from)?;
    file.sync_data()
}

/// The last line of `file`, which ends with the line feed before `end`; `None` if it is not a line of an audit log.
fn last_line(file: &File, end: u64) -> io::Result<Option<Chain>> {
    let window = end.min(MAX_LINE_BYTES as u64 + 1);
    let mut bytes = vec![0; usize::try_from(window).unwrap_or_default()];
    file.read_exact_at(&mut bytes, end - window)?;
    let Some(bytes) = bytes.strip_suffix(b"\n") else { return Ok(None) };
    let line = bytes.rsplit(|b| *b == b'\n').next().unwrap_or(bytes);
    Ok(Link::read(line).ok().map(|(link, _)| Chain { sequence: link.sequence, hash: link.hash }))
}

/// Where the last line feed ends, looking back through the file block by block.
fn after_last_line_feed(file: &File, length: u64) -> io::Result<u64> {
    let mut block = vec![0; 64 << 10];
    let mut end = length;
    while end > 0 {
        let size = end.min(block.len() as u64);
        let part = block.get_mut(..usize::try_from(size).unwrap_or_default()).unwrap_or_default();
        file.read_exact_at(part, end - size)?;
        if let Some(at) = memchr::memrchr(b'\n', part) {
            return Ok(end - size + at as u64 + 1);
        }
        end -= size;
    }
    Ok(0)
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join(LOCK_FILE);
    let file = new_file().create(true).truncate(false).open(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.display().to_string())),
        Err(TryLockError::Error(error)) => Err(at(&path)(error)),
    }
}

fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::File { path: path.display().to_string(), source }
}

fn damaged(path: &Path) -> OpenError {
    OpenError::Damaged(path.display().to_string())
}

/// The head's file.
pub(super) const HEAD_FILE: &str = "audit.head";
const LOCK_FILE: &str = "audit.lock";
const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";
