//! Whether a log is what was written: every line's hash, every link to the line before, the numbers, the
//! signatures, and that nothing is cut off before the head.
//!
//! What each part catches is said in `docs/audit.md`. Verification needs nothing but the files, and may run beside
//! a gateway that writes them: heads are read first, so the log can only be longer than they say.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::base::{Secret, Severity};

use super::chain::{Chain, Fault, Link, hash_text};
use super::content::{ADMINISTRATION, REQUEST};
use super::head::{Head, Signature, Signer, segment_message};
use super::lines::{Line, Lines};
use super::segment::{HEAD_FILE, segment_files};
use super::writer::{LOSS, REPAIR, RESUME, SEGMENT, START, SUPPRESSED};

/// What is verified, and by what.
#[derive(Clone, Default)]
pub struct Evidence {
    /// The segments, in order.
    pub segments: Vec<PathBuf>,
    /// Heads: the log's own and copies kept elsewhere. Every one of them must fit.
    pub heads: Vec<PathBuf>,
    /// Keys that heads and segments may be signed with. If there are any, every head must be signed with one.
    pub keys: Vec<Secret<Vec<u8>>>,
    /// Whether earlier segments may be missing because they are kept elsewhere.
    pub partial: bool,
}

/// What verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Records that were read.
    pub records: u64,
    /// Requests among them.
    pub requests: u64,
    /// Acts of administration among them.
    pub acts: u64,
    /// Number, hash and time of the last record that is right.
    pub last: Option<(u64, String, String)>,
    /// The highest record that a head which fits names.
    pub anchored: Option<u64>,
    /// Whether every head was checked against a key.
    pub signed: bool,
    /// What was noticed, in the order of the log, up to a cap. The first error is the first bad record.
    pub findings: Vec<Finding>,
}

/// One thing that was noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Errors make the log unsound; warnings and notes explain.
    pub severity: Severity,
    /// The file.
    pub file: String,
    /// The line, from 1; 0 where it is about the whole file.
    pub line: u64,
    /// What it is.
    pub message: String,
}

impl Evidence {
    /// Everything in a log's directory.
    pub fn in_directory(dir: &Path) -> io::Result<Self> {
        let segments = segment_files(dir)?.into_iter().map(|(_, path)| path).collect();
        Ok(Self { segments, heads: vec![dir.join(HEAD_FILE)], ..Self::default() })
    }
}

impl Verdict {
    /// Whether nothing speaks against the log.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Verifies a log. `progress` is told how many bytes were read since the last time.
///
/// An error means that a file could not be read, not that something is wrong with the log.
pub fn verify(evidence: &Evidence, progress: &mut dyn FnMut(u64)) -> io::Result<Verdict> {
    let signers: Vec<Signer> = evidence.keys.iter().cloned().map(Signer::new).collect();
    let mut verification = Verification::new(&signers, evidence.partial);
    verification.read_heads(&evidence.heads)?;
    for (index, path) in evidence.segments.iter().enumerate() {
        let is_last = index + 1 == evidence.segments.len();
        if !verification.segment(path, is_last, progress)? {
            break;
        }
    }
    Ok(verification.finish())
}

/// A verification under way.
struct Verification<'v> {
    signers: &'v [Signer],
    partial: bool,
    heads: Vec<(String, Head)>,
    chain: Option<Chain>,
    segment: Option<u64>,
    /// Numbers that were skipped by the record just read and that a record of type `loss` must explain.
    skipped: Option<(u64, u64)>,
    latest: Option<Timestamp>,
    /// The ids of acts so far.
    acts: HashSet<String>,
    file: String,
    line: u64,
    verdict: Verdict,
}

/// A line does not belong where it stands: nothing after it can be judged.
struct Broken(String);

impl<'v> Verification<'v> {
    fn new(signers: &'v [Signer], partial: bool) -> Self {
        Self {
            signers,
            partial,
            heads: Vec::new(),
            chain: None,
            segment: None,
            skipped: None,
            latest: None,
            acts: HashSet::new(),
            file: String::new(),
            line: 0,
            verdict: Verdict { signed: !signers.is_empty(), ..Verdict::default() },
        }
    }

    fn read_heads(&mut self, paths: &[PathBuf]) -> io::Result<()> {
        for path in paths {
            self.file = path.display().to_string();
            let head = match self.read_head(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                head => head?,
            };
            match head {
                Some(head) => self.heads.push((self.file.clone(), head)),
                None if self.signers.is_empty() => {
                    self.find(Severity::Error, "there is no head here: records may have been cut off the end".into());
                }
                None => self.find(
                    Severity::Error,
                    "there is no head here that is signed with the key: the log may have been cut or made anew".into(),
                ),
            }
        }
        Ok(())
    }

    fn read_head(&self, path: &Path) -> io::Result<Option<Head>> {
        if self.signers.is_empty() {
            return Head::read(path, None);
        }
        for signer in self.signers {
            if let Some(head) = Head::read(path, Some(signer))? {
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    /// Reads a segment; whether what follows can be judged.
    fn segment(&mut self, path: &Path, is_last: bool, progress: &mut dyn FnMut(u64)) -> io::Result<bool> {
        self.file = path.display().to_string();
        self.line = 0;
        let mut lines = Lines::open(path)?;
        while let Some((line, bytes)) = lines.next()? {
            self.line += 1;
            let judged = match line {
                Line::Whole(line) => self.judge(line),
                Line::Torn(part) if is_last => {
                    let bytes = part.len();
                    let what = format!(
                        "the last line is unfinished ({bytes} bytes): it is being written, or was when the process \
                         ended, and is moved aside at the next start"
                    );
                    self.find(Severity::Note, what);
                    Ok(())
                }
                Line::Torn(_) => Err(Broken("the segment ends in the middle of a line".into())),
                Line::TooLong => Err(Broken("the line is longer than any record".into())),
            };
            progress(bytes);
            if let Err(Broken(what)) = judged {
                self.find(Severity::Error, what);
                return Ok(false);
            }
        }
        if self.line == 0 && !is_last {
            self.find(Severity::Error, "the segment is empty".into());
        }
        Ok(true)
    }

    /// Checks one line against everything before it.
    fn judge(&mut self, line: &[u8]) -> Result<(), Broken> {
        let (link, value) = Link::read(line).map_err(|fault| broken(fault, line))?;
        let record = value.get("record").unwrap_or(&Value::Null);
        let kind = text(record, "type");
        self.follows(&link, kind)?;
        self.skips(&link, record, kind)?;
        self.segments(&link, record, kind)?;
        self.notice(&link, record, kind);
        self.chain = Some(Chain { sequence: link.sequence, hash: link.hash });
        self.check_heads(&link)?;
        self.verdict.records += 1;
        self.verdict.requests += u64::from(kind == REQUEST);
        self.verdict.acts += u64::from(kind == ADMINISTRATION);
        let time = text(record, "time").to_owned();
        self.verdict.last = Some((link.sequence, hash_text(&link.hash).to_owned(), time));
        Ok(())
    }

    /// Whether the line is chained to the one before.
    fn follows(&mut self, link: &Link<'_>, kind: &str) -> Result<(), Broken> {
        let n = link.sequence;
        let before = match self.chain {
            Some(before) => before,
            None if link.previous == Chain::GENESIS.hash => Chain::GENESIS,
            None if kind == SEGMENT && self.partial => {
                let what = format!("the log is judged from record {n}: earlier segments are not here");
                self.find(Severity::Note, what);
                Chain { sequence: n.saturating_sub(1), hash: link.previous }
            }
            None => {
                return Err(Broken(format!("the log begins with record {n}: those before it are not here")));
            }
        };
        if link.previous == before.hash {
            return Ok(());
        }
        let expected = before.sequence.saturating_add(1);
        Err(Broken(match n.cmp(&expected) {
            std::cmp::Ordering::Greater => {
                format!(
                    "record {n} stands where record {expected} should: records between are missing or moved"
                )
            }
            std::cmp::Ordering::Equal => {
                format!("record {n} is not the one that was written after record {}", before.sequence)
            }
            std::cmp::Ordering::Less => {
                format!("record {n} stands after record {}: it was moved or put in", before.sequence)
            }
        }))
    }

    /// Numbers are skipped only where a record says that records were lost.
    fn skips(&mut self, link: &Link<'_>, record: &Value, kind: &str) -> Result<(), Broken> {
        let expected = self.chain.map_or(1, |before| before.sequence.saturating_add(1));
        let first_of_partial = self.chain.is_none() && link.previous != Chain::GENESIS.hash;
        if link.sequence < expected {
            return Err(Broken(format!("record {} stands where record {expected} should", link.sequence)));
        }
        if link.sequence > expected && !first_of_partial {
            self.skipped = Some((expected, link.sequence - 1));
            if kind == SEGMENT {
                return Ok(());
            }
        }
        let Some((from, to)) = self.skipped.take() else { return Ok(()) };
        if kind == LOSS && number(record, "lost_from") == Some(from) && number(record, "lost_to") == Some(to)
        {
            let what = format!(
                "records {from} to {to} were lost before the start at {}: cut off, or not on the disk when the \
                 machine lost its power",
                text(record, "time")
            );
            self.find(Severity::Error, what);
            return Ok(());
        }
        Err(Broken(format!("records {from} to {to} are missing")))
    }

    /// A segment begins with a record of its own, and nothing else does.
    fn segments(&mut self, link: &Link<'_>, record: &Value, kind: &str) -> Result<(), Broken> {
        if (self.line == 1) != (kind == SEGMENT) {
            return Err(Broken("a segment does not begin here".into()));
        }
        if kind != SEGMENT {
            return Ok(());
        }
        let number = number(record, "segment").unwrap_or(0);
        if let Some(before) = self.segment
            && number != before.saturating_add(1)
        {
            return Err(Broken(format!("segment {number} stands after segment {before}")));
        }
        self.segment = Some(number);
        let before = Chain { sequence: link.sequence.saturating_sub(1), hash: link.previous };
        self.check_signature(&segment_message(u32::try_from(number).unwrap_or(0), &before), record)
    }

    fn check_signature(&mut self, message: &str, record: &Value) -> Result<(), Broken> {
        if self.signers.is_empty() {
            return Ok(());
        }
        let signature = Signature { key: text(record, "key").into(), mac: text(record, "mac").into() };
        if signature.mac.is_empty() {
            self.find(Severity::Warning, "the segment is not signed: it was begun without the key".into());
            return Ok(());
        }
        if self.signers.iter().any(|signer| signer.verify(message, &signature)) {
            return Ok(());
        }
        if self.signers.iter().any(|signer| signer.id() == signature.key) {
            return Err(Broken("the segment's signature is wrong: the log was made anew".into()));
        }
        self.find(Severity::Warning, "the segment is signed with a key that was not given".into());
        Ok(())
    }

    /// What a right record says about the log itself.
    fn notice(&mut self, link: &Link<'_>, record: &Value, kind: &str) {
        let when = match kind {
            REQUEST => "closed",
            ADMINISTRATION => "recorded",
            _ => "time",
        };
        let time = text(record, when);
        let n = link.sequence;
        match kind {
            START => match text(record, "head") {
                "missing" => self.find(
                    Severity::Error,
                    format!("at the start at {time} the head was missing: records before {n} may have been cut off"),
                ),
                "differs" => self.find(
                    Severity::Error,
                    format!("at the start at {time} the head named another record {}", n.saturating_sub(1)),
                ),
                _ => {}
            },
            REPAIR => self.find(
                Severity::Note,
                format!(
                    "at the start at {time} an unfinished line of {} bytes was moved aside to {}",
                    number(record, "torn_bytes").unwrap_or(0),
                    text(record, "moved_to")
                ),
            ),
            SUPPRESSED => self.find(
                Severity::Note,
                format!(
                    "{} requests were refused without records of their own by {time}",
                    number(record, "requests").unwrap_or(0)
                ),
            ),
            // Its id is what keeps it from being written twice.
            ADMINISTRATION if !self.acts.insert(text(record, "id").to_owned()) => {
                let what = format!("the act `{}` is recorded for the second time", text(record, "id"));
                self.find(Severity::Warning, what);
            }
            RESUME => {
                self.find(Severity::Note, format!("the log could not be written for a while, until {time}"));
            }
            _ => {}
        }
        self.check_clock(time, n);
    }

    /// Order is by number; a clock that went back is worth knowing and proves nothing.
    fn check_clock(&mut self, time: &str, sequence: u64) {
        let Ok(time) = time.parse::<Timestamp>() else { return };
        let latest = *self.latest.get_or_insert(time);
        self.latest = Some(latest.max(time));
        let Ok(back) = Duration::try_from(latest.duration_since(time)) else { return };
        if back > TOLERATED_DISORDER {
            let what = format!("the clock went back by {} seconds at record {sequence}", back.as_secs());
            self.find(Severity::Warning, what);
            // Once for every jump, not for every record until the old time is reached again.
            self.latest = Some(time);
        }
    }

    fn check_heads(&mut self, link: &Link<'_>) -> Result<(), Broken> {
        for (file, head) in &self.heads {
            if head.chain.sequence != link.sequence {
                continue;
            }
            if head.chain.hash != link.hash {
                return Err(Broken(format!(
                    "record {} is not the one that the head {file} names",
                    link.sequence
                )));
            }
            self.verdict.anchored = self.verdict.anchored.max(Some(link.sequence));
        }
        Ok(())
    }

    fn finish(mut self) -> Verdict {
        let broken = !self.verdict.is_sound();
        let end = self.verdict.last.as_ref().map_or(0, |(sequence, ..)| *sequence);
        if let Some((from, to)) = self.skipped {
            self.find(Severity::Error, format!("records {from} to {to} are missing"));
        }
        for (file, head) in std::mem::take(&mut self.heads) {
            let named = head.chain.sequence;
            (self.file, self.line) = (file, 0);
            if named > end && !broken {
                let what = format!(
                    "the log ends with record {end}, and the head of {} names record {named}: records were cut off",
                    head.time
                );
                self.find(Severity::Error, what);
            }
        }
        self.verdict
    }

    fn find(&mut self, severity: Severity, message: String) {
        if self.verdict.findings.len() < MAX_FINDINGS || severity == Severity::Error {
            let (file, line) = (self.file.clone(), self.line);
            self.verdict.findings.push(Finding { severity, file, line, message });
        }
    }
}

fn broken(fault: Fault, line: &[u8]) -> Broken {
    Broken(match Link::parse(line) {
        Some(link) => format!("record {} was changed: {fault}", link.sequence),
        None => fault.to_string(),
    })
}

fn text<'r>(record: &'r Value, name: &str) -> &'r str {
    record.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(record: &Value, name: &str) -> Option<u64> {
    record.get(name).and_then(Value::as_u64)
}

/// Records of requests that end at the same time are written in another order than their clocks were read.
const TOLERATED_DISORDER: Duration = Duration::from_secs(5);
/// How many warnings and notes are kept.
const MAX_FINDINGS: usize = 1000;

#[cfg(test)]
mod tests;
