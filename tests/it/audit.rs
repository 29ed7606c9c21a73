//! The audit's files and commands, as an auditor uses them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use fieldgate::audit::{AuditLog, Outcome, Settings, Sync};
use fieldgate::base::{Secret, SystemClock};
use fieldgate::identity::{Assumed, Peer, Principal};
use fieldgate::telemetry::Metrics;
use tempfile::TempDir;
use uuid::Uuid;

/// A signed log of a few segments, with names in several scripts.
struct Log {
    dir: TempDir,
}

impl Log {
    async fn written() -> Self {
        let log = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::write(log.key(), "an audit key\n").unwrap();
        let settings = Settings {
            dir: log.folder(),
            segment_bytes: 4000,
            sync: Sync::Never,
            max_in_flight: 10,
            key: Some(Secret::new(b"an audit key".to_vec())),
        };
        let (audit, _) =
            AuditLog::open(settings, Arc::new(SystemClock::new()), Arc::new(Metrics::new())).unwrap();
        for (n, name) in
            ["li.na", "王芳", "a\"b\\c\n\u{202e}d", "🙂\u{7f}"].iter().cycle().take(20).enumerate()
        {
            let peer = Peer {
                addr: SocketAddr::from(([10, 0, 0, 7], 1)),
                announced: None,
                listener: "main".into(),
                tls: false,
                server_name: None,
                certificate: None,
            };
            let mut record = audit.begin(Uuid::from_u128(n as u128), &peer).unwrap();
            record.request(&http::Method::GET, &format!("/customers/{n}?{name}"));
            record.principal(&Principal::assumed(Assumed {
                id: (*name).into(),
                name: None,
                groups: Vec::new(),
                roles: Vec::new(),
                claims: serde_json::Map::new(),
                ip: peer.addr.ip(),
                mfa: false,
            }));
            record.outcome(Outcome::Complete);
            record.close().await.unwrap();
        }
        audit.shut().await;
        log
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("audit")
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("audit.key")
    }

    fn segment(&self, number: u32) -> PathBuf {
        self.folder().join(format!("audit-{number:08}.jsonl"))
    }

    /// Replaces a text in a segment.
    fn edit(&self, segment: u32, from: &str, to: &str) {
        let path = self.segment(segment);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    fn fieldgate(&self, arguments: &[&str]) -> Output {
        let folder = self.folder();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
        command.arg("audit").arg(arguments[0]).arg("--dir").arg(folder).args(&arguments[1..]);
        command.output().unwrap()
    }

    fn verify(&self) -> Output {
        self.fieldgate(&["verify", "--key", self.key().to_str().unwrap()])
    }

    /// The verifier that shares no code with ours.
    fn verify_independently(&self) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verify_audit.py");
        Command::new("python3").arg(script).arg(self.folder()).arg(self.key()).output().unwrap()
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn a10_both_verifiers_find_an_untouched_log_sound() {
    let log = Log::written().await;
    let output = log.verify();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).ends_with("sound\n"), "{}", text(&output));
    assert!(text(&output).contains("(20 requests)"), "{}", text(&output));
    assert!(text(&output).contains("a signed head names record"), "{}", text(&output));
    let output = log.verify_independently();
    assert!(output.status.success(), "{}", text(&output));
    let hash = text(&output).rsplit(' ').next().unwrap().trim().to_owned();
    assert!(text(&log.verify()).contains(&hash));
}

#[tokio::test]
async fn a10_both_verifiers_name_the_same_bad_line() {
    let log = Log::written().await;
    log.edit(2, "\"outcome\":\"complete\"", "\"outcome\":\"denied\"");
    let ours = log.verify();
    let theirs = log.verify_independently();
    for output in [&ours, &theirs] {
        assert_eq!(output.status.code(), Some(1), "{}", text(output));
        assert!(text(output).contains("audit-00000002.jsonl:2: "), "{}", text(output));
    }
    assert!(text(&ours).contains("was changed: its content does not match its hash"), "{}", text(&ours));
    assert!(text(&ours).ends_with("NOT SOUND\n"), "{}", text(&ours));
}

#[tokio::test]
async fn both_verifiers_miss_records_that_were_cut_off() {
    let log = Log::written().await;
    let last = std::fs::read_dir(log.folder()).unwrap().count();
    let mut number = u32::try_from(last).unwrap();
    while !log.segment(number).exists() {
        number -= 1;
    }
    std::fs::remove_file(log.segment(number)).unwrap();
    for output in [log.verify(), log.verify_independently()] {
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains("names record"), "{}", text(&output));
    }
}

#[tokio::test]
async fn a_wrong_key_is_no_proof() {
    let log = Log::written().await;
    std::fs::write(log.key(), "another key").unwrap();
    for output in [log.verify(), log.verify_independently()] {
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    }
}

#[tokio::test]
async fn single_segments_are_verified_as_a_part() {
    let log = Log::written().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    command.args(["audit", "verify", "--partial"]).arg(log.segment(2)).arg(log.segment(3));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("no head was checked"), "{}", text(&output));
}

#[tokio::test]
async fn search_finds_requests_by_who_made_them() {
    let log = Log::written().await;
    let output = log.fieldgate(&["search", "--who", "王芳"]);
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(lines.lines().count(), 5, "{}", text(&output));
    assert!(lines.lines().all(|line| line.contains("王芳") && line.contains("complete")), "{lines}");

    let output = log.fieldgate(&["search", "--who", "li.na", "--json", "--since", "2026-01-01"]);
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(lines.lines().count(), 5);
    for line in lines.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["record"]["principal"]["id"], "li.na");
    }
}

#[tokio::test]
async fn mistakes_on_the_command_line_are_named() {
    let log = Log::written().await;
    let empty = log.dir.path().join("nothing");
    std::fs::create_dir(&empty).unwrap();
    let run = |arguments: &[&std::ffi::OsStr]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_fieldgate")).arg("audit").args(arguments).output().unwrap();
        (output.status.code(), text(&output))
    };
    let (code, said) = run(&["verify".as_ref(), "--dir".as_ref(), empty.as_os_str()]);
    assert_eq!(code, Some(1));
    assert!(said.contains("there is no audit log in `"), "{said}");
    let (code, said) = run(&["search".as_ref(), "--since".as_ref(), "yesterday".as_ref()]);
    assert_eq!(code, Some(2));
    assert!(said.contains("neither a day (`2026-03-01`) nor a time"), "{said}");
    let (code, said) = run(&["verify".as_ref(), "--config".as_ref(), "/nowhere/fieldgate.yaml".as_ref()]);
    assert_eq!(code, Some(1));
    assert!(said.contains("name the log's directory by --dir instead"), "{said}");
}
