//! What the tests of this module share: a log in a directory of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use crate::base::{ManualClock, Secret, SystemClock};
use crate::identity::Peer;
use crate::telemetry::Metrics;

use super::{AuditLog, Evidence, Opened, Outcome, Record, Settings, Sync, Verdict, verify};

/// A directory for a log.
pub(super) struct Place {
    dir: tempfile::TempDir,
    pub(super) clock: ManualClock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) settings: Settings,
}

impl Place {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            dir: dir.path().join("audit"),
            segment_bytes: 1 << 20,
            sync: Sync::Never,
            max_in_flight: 1000,
            key: None,
        };
        let clock = ManualClock::at("2026-03-01T08:00:00Z".parse().unwrap());
        Self { dir, clock, metrics: Arc::new(Metrics::new()), settings }
    }

    pub(super) fn signed() -> Self {
        let mut place = Self::new();
        place.settings.key = Some(key());
        place
    }

    pub(super) fn open(&self) -> (AuditLog, Opened) {
        AuditLog::open(self.settings.clone(), Arc::new(self.clock.clone()), self.metrics.clone()).unwrap()
    }

    /// Opens the log, writes `count` complete records and shuts it.
    pub(super) async fn write(&self, count: u32) {
        let (log, _) = self.open();
        for n in 0..count {
            complete(&log, n).close().await.unwrap();
        }
        log.shut().await;
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.settings.dir.join(name)
    }

    /// A path beside the log's directory.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn segment(&self) -> PathBuf {
        self.path("audit-00000001.jsonl")
    }

    pub(super) fn evidence(&self) -> Evidence {
        let mut evidence = Evidence::in_directory(&self.settings.dir).unwrap();
        evidence.keys.extend(self.settings.key.clone());
        evidence
    }

    pub(super) fn verify(&self) -> Verdict {
        verify(&self.evidence(), &mut |_| ()).unwrap()
    }

    /// The records of all segments.
    pub(super) fn records(&self) -> Vec<Value> {
        let evidence = self.evidence();
        let lines = evidence.segments.iter().flat_map(|path| lines(path));
        lines.map(|line| serde_json::from_str::<Value>(&line).unwrap()["record"].take()).collect()
    }

    pub(super) fn requests(&self) -> Vec<Value> {
        self.records().into_iter().filter(|record| record["type"] == "request").collect()
    }

    pub(super) fn types(&self) -> Vec<String> {
        self.records().iter().map(|record| record["type"].as_str().unwrap().to_owned()).collect()
    }
}

pub(super) fn key() -> Secret<Vec<u8>> {
    Secret::new(b"a key for tests".to_vec())
}

pub(super) fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

pub(super) fn write_lines(path: &Path, lines: &[String]) {
    fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

pub(super) fn peer() -> Peer {
    Peer {
        addr: SocketAddr::from(([10, 0, 0, 7], 40123)),
        announced: None,
        listener: "main".into(),
        tls: true,
        server_name: None,
        certificate: None,
    }
}

/// An open record with a number of its own.
pub(super) fn begun(log: &AuditLog, n: u32) -> Record {
    let mut record = log.begin(Uuid::from_u128(n.into()), &peer()).unwrap();
    record.request(&http::Method::GET, &format!("/api/v1/customers/{n}"));
    record.status(http::StatusCode::OK);
    record
}

/// The same, with all of its answer given out.
pub(super) fn complete(log: &AuditLog, n: u32) -> Record {
    let mut record = begun(log, n);
    record.outcome(Outcome::Complete);
    record
}

/// A log with the machine's clock, for processes of their own.
pub(super) fn open_at(dir: &Path) -> (AuditLog, Opened) {
    let settings = Settings { dir: dir.to_owned(), ..Place::new().settings };
    AuditLog::open(settings, Arc::new(SystemClock::new()), Arc::new(Metrics::new())).unwrap()
}
