//! A07: the disk under the audit is really full, by a file system without room or by a limit of the system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::client::Raw;
use crate::support::gateway::{MANAGER, SALES, Setup, records};
use crate::support::process::Process;
use crate::support::upstream::{Act, Gate, Upstream, chunks, json};

/// What makes the room run out.
enum Scarcity {
    /// A small file system of its own under the audit, which only root can mount.
    Mounted(PathBuf),
    /// A limit on the size of the process's files.
    Limited,
}

impl Scarcity {
    fn mounted(audit: &Path) -> Option<Self> {
        fs::create_dir(audit).expect("a directory");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(audit).output();
        mount.is_ok_and(|done| done.status.success()).then(|| Self::Mounted(audit.to_owned()))
    }

    /// What the system says.
    fn error(&self) -> &'static str {
        match self {
            Self::Mounted(_) => "No space left on device",
            Self::Limited => "File too large",
        }
    }

    fn begin(&self, process: &Process, audit: &Path) {
        match self {
            Self::Mounted(_) => {
                fs::write(audit.join("ballast"), vec![0; 1 << 20]).expect_err("there is no room for so much");
            }
            Self::Limited => {
                let size = fs::metadata(audit.join("audit-00000001.jsonl")).expect("a segment").len();
                limit(process, &format!("{}:", size + 10));
            }
        }
    }

    fn end(&self, process: &Process, audit: &Path) {
        match self {
            Self::Mounted(_) => fs::remove_file(audit.join("ballast")).expect("the ballast"),
            Self::Limited => limit(process, "unlimited:"),
        }
    }
}

impl Drop for Scarcity {
    fn drop(&mut self) {
        if let Self::Mounted(audit) = self {
            let _gone = Command::new("umount").arg("--lazy").arg(audit).status();
        }
    }
}

fn limit(process: &Process, size: &str) {
    let status = Command::new("prlimit").args(["--pid", &process.id(), &format!("--fsize={size}")]).status();
    assert!(status.expect("prlimit (util-linux) runs").success());
}

/// Lines of an export, long enough that many of them are not held together.
fn lines(from: usize, count: usize, mark: &str) -> String {
    let name = format!("{mark}{}", "n".repeat(500));
    (from..from + count).map(|id| format!("{{\"id\":{id},\"name\":\"{name}\"}}\n")).collect()
}

async fn upstream(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |request| {
        if request.target != "/export" {
            return json(r#"{"data":{"id":1,"owner_id":"li.na","name":"Ada"}}"#);
        }
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
        let first = [head.as_bytes(), &chunks(lines(0, 400, "early").as_bytes(), 1 << 14)].concat();
        let rest = [chunks(lines(400, 400, "LATE").as_bytes(), 1 << 14), b"0\r\n\r\n".to_vec()].concat();
        vec![Act::Send(first), Act::Wait(gate.clone()), Act::Send(rest)]
    })
    .await
}

async fn is_survived(scarcity: Scarcity, audit: &Path, config: &Path, upstream: Upstream, gate: Gate) {
    let process = Process::start(config);
    let ready = process.admin("/ready").await;
    assert_eq!((ready.status, &ready.json()["audit"]["writable"]), (200, &Value::Bool(true)));
    let mut export = Raw::connect(process.address).await;
    export.send(format!("GET /export HTTP/1.1\r\nHost: a\r\n{MANAGER}\r\n\r\n")).await;
    let mut exported = export.some().await;
    assert!(exported.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&exported));

    scarcity.begin(&process, audit);
    let mut requests = 1;
    // What the last block has room for is still answered. The one whose record finds no room has its last byte held
    // back: it is refused, or cut if its head was on the way.
    loop {
        let mut raw = Raw::connect(process.address).await;
        raw.send(format!("GET /customers/1 HTTP/1.1\r\nHost: a\r\n{SALES}\r\n\r\n")).await;
        requests += 1;
        assert!(requests < 100, "the disk is full and requests are answered");
        match raw.answer(false).await {
            Some(answer) if answer.complete && answer.status == 200 => {}
            Some(answer) if answer.complete => break assert_eq!(answer.status, 503),
            _ => break,
        }
    }
    let get = async || Raw::connect(process.address).await.get("/customers/1", &[SALES]).await;
    let before = upstream.received().len();
    let read = get().await;
    assert_eq!((read.status, read.header("retry-after")), (503, Some("1")), "{}", read.text());
    let kind = "Content-Type: application/json";
    let write = Raw::connect(process.address)
        .await
        .request("PUT", "/customers/1", &[MANAGER, kind], Some(br#"{"name":"Bo"}"#))
        .await;
    assert_eq!(write.status, 503, "{}", write.text());
    requests += 2;
    assert_eq!(upstream.received().len(), before, "nothing is asked or changed that cannot be recorded");
    let public = Raw::connect(process.address).await.get("/healthz", &[]).await;
    assert_eq!(public.status, 200, "public routes do not wait for their record");
    requests += 1;

    gate.open();
    exported.extend(export.rest().await);
    assert!(!exported.ends_with(b"0\r\n\r\n"), "the running export is cut");
    let exported = String::from_utf8_lossy(&exported);
    assert!(exported.contains("early") && !exported.contains("LATE"), "no more of it goes out");

    let ready = process.admin("/ready").await;
    let reason = ready.json()["audit"]["reason"].clone();
    assert_eq!(ready.status, 503);
    assert!(reason.as_str().is_some_and(|reason| reason.contains(scarcity.error())), "{reason}");
    let metrics = process.admin("/metrics").await;
    assert!(metrics.text().contains("\nfieldgate_audit_writable 0\n"));
    assert!(!metrics.text().contains("\nfieldgate_audit_failures_total 0\n"));

    scarcity.end(&process, audit);
    let recovered = async {
        while process.admin("/ready").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), recovered).await.expect("it is ready again");
    assert_eq!(get().await.status, 200);
    requests += 1;
    process.end();
    is_recorded(audit, requests);
}

/// One record a request, also of those that were refused meanwhile, and a chain that verifies.
fn is_recorded(audit: &Path, requests: usize) {
    let all = records(audit);
    assert_eq!(all.len(), requests);
    let export = all.iter().find(|record| record["action"] == "export").expect("the export's record");
    assert_eq!(export["outcome"], "cut", "{export}");
    assert!(export["reason"].as_str().is_some_and(|reason| reason.contains("audit log cannot be written")));
    let refused = all.iter().filter(|record| record["status"] == 503).count();
    assert!((2..=3).contains(&refused), "the refused ones are recorded when there is room again");
    assert!(all.iter().all(|record| record["status"] != 503 || record["outcome"] == "refused"));
    let text = fs::read_to_string(audit.join("audit-00000001.jsonl")).expect("a segment");
    assert!(text.contains("\"type\":\"resume\""));
    let verify = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    let verify = { verify }.args(["audit", "verify", "--dir"]).arg(audit).output().expect("the program runs");
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));
}

#[tokio::test]
async fn a07_a_file_system_without_room_stops_protected_answers_until_there_is_some() {
    let gate = Gate::closed();
    let upstream = upstream(&gate).await;
    let (dir, config) = Setup::before(&upstream).write();
    let audit = dir.path().join("audit");
    // Mounting needs root; the test below shows the same without.
    let Some(scarcity) = Scarcity::mounted(&audit) else { return };
    is_survived(scarcity, &audit, &config, upstream, gate).await;
}

#[tokio::test]
async fn a07_a_file_that_cannot_grow_stops_protected_answers_until_it_can() {
    let gate = Gate::closed();
    let upstream = upstream(&gate).await;
    let (dir, config) = Setup::before(&upstream).write();
    is_survived(Scarcity::Limited, &dir.path().join("audit"), &config, upstream, gate).await;
}
