//! Acts of administration by command line, and the audit that has them: with a gateway running, and without.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::gateway::Setup;
use crate::support::process::Process;
use crate::support::upstream::{self, Upstream};

const UNMASKING: &str = r#"
labels: [public]
resources:
  customer: { key: id, fields: { public: [id, account] } }
apis:
  crm:
    routes:
      - { match: GET /customers, action: list, resource: customer, records: "$.data[*]" }
masks:
  account: { fpe: { key: mask-key } }
roles:
  fraud:
    unmask: [account]
    permissions:
      - { resource: customer, actions: [list], fields: { show: [public], mask: { account: account } } }
bindings:
  - { role: fraud, groups: [finance] }
"#;

const CLEAR: &str = "6222 0212-3456";

fn run(config: &Path, line: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fieldgate"))
        .args(line)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a command prints that does what it should.
fn done(config: &Path, line: &[&str]) -> String {
    let output = run(config, line, "");
    let said = text(&output.stderr);
    assert!(output.status.success() && !said.contains("not in the audit"), "{line:?}: {said}");
    text(&output.stdout)
}

fn acts(config: &Path) -> Vec<Value> {
    let found = done(config, &["audit", "search", "--json", "--who", "root"]);
    let lines = found.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["record"].take());
    lines.collect()
}

async fn written(policy: Option<&str>) -> (tempfile::TempDir, PathBuf, Upstream) {
    let answer = format!(r#"{{"data":[{{"id":1,"account":"{CLEAR}"}}]}}"#);
    let upstream = Upstream::start(move |_| upstream::json(&answer)).await;
    let setup =
        Setup::before(&upstream).config("store: state.db\nsecrets: { mask-key: { file: mask.key } }\n");
    let (dir, config) = match policy {
        Some(policy) => setup.with_policy(policy).write(),
        None => setup.write(),
    };
    std::fs::write(dir.path().join("mask.key"), "0123456789abcdef").unwrap();
    (dir, config, upstream)
}

fn by_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_to_keys_is_in_the_audit_with_and_without_a_gateway() {
    let (dir, config, _upstream) = written(None).await;
    let create = [
        "keys",
        "create",
        "--name",
        "nightly",
        "--principal",
        "etl",
        "--groups",
        "sales",
        "--reason",
        "CRM-1",
    ];
    let key = done(&config, &create);
    let id = key.split('_').nth(1).unwrap().to_owned();

    // A gateway that runs holds the audit: it writes the act.
    let gateway = Process::start(&config);
    let rotated = done(&config, &["keys", "rotate", &id, "--overlap", "2h"]);
    let second = rotated.split('_').nth(1).unwrap().to_owned();
    done(&config, &["keys", "revoke", &second]);
    gateway.end();

    let output = run(&config, &["audit", "search", "--json", "--since", "2020-01-01"], "");
    let all: Vec<Value> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["record"].take())
        .filter(|record| record["type"] == "administration")
        .collect();
    let told: Vec<_> = all.iter().map(|act| (act["action"].clone(), act["target"].clone())).collect();
    assert_eq!(
        told,
        [
            (json!("keys.create"), json!(id)),
            (json!("keys.rotate"), json!(second)),
            (json!("keys.revoke"), json!(second))
        ]
    );
    assert_eq!((&all[0]["reason"], &all[0]["facts"]["groups"]), (&json!("CRM-1"), &json!("sales")));
    assert_eq!((&all[1]["facts"]["replaces"], &all[2]["reason"]), (&json!(id), &Value::Null));
    let secret = key.trim().rsplit_once('_').unwrap().1;
    let log = std::fs::read_to_string(dir.path().join("audit/audit-00000001.jsonl")).unwrap();
    assert!(!log.contains(secret) && log.contains(&id));
    assert!(done(&config, &["audit", "verify"]).contains("3 acts of administration"));
    let python = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verify_audit.py"))
        .arg(dir.path().join("audit"))
        .output()
        .unwrap();
    assert!(python.status.success() && !text(&python.stdout).contains("warning"), "{}", text(&python.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_turned_back_for_who_has_the_right_and_the_audit_knows_first() {
    let (dir, config, _upstream) = written(Some(UNMASKING)).await;
    let gateway = Process::start(&config);
    let finance = "X-Api-Key: finance-key-0000";
    let answer =
        crate::support::client::Raw::connect(gateway.address).await.get("/customers", &[finance]).await;
    let masked = answer.json()["data"][0]["account"].as_str().unwrap().to_owned();
    assert!(masked != CLEAR && masked.len() == CLEAR.len() && !answer.holds("6222"), "{masked}");

    let unmask = |groups: &str| {
        let line = ["unmask", "--mask", "account", "--as", "wu.min", "--groups", groups, "--reason", "CRM-7"];
        line.map(str::to_owned)
    };
    let ask = |groups: &str, values: &[&str], input: &str| {
        let line = unmask(groups);
        let line: Vec<&str> = line.iter().map(String::as_str).chain(values.iter().copied()).collect();
        run(&config, &line, input)
    };
    let shown = ask("finance", &[&masked], "");
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    assert_eq!(text(&shown.stdout), format!("{CLEAR}\n"));
    let lines = ask("finance", &[], &format!("{masked}\nnothing\n{masked}\n"));
    assert_eq!(text(&lines.stdout), format!("{CLEAR}\n\n{CLEAR}\n"));
    assert_eq!(lines.status.code(), Some(1));
    assert!(
        text(&lines.stderr).contains("value 2: `n` is not of the mask's alphabet"),
        "{}",
        text(&lines.stderr)
    );
    let denied = ask("sales", &[&masked], "");
    assert_eq!((denied.status.code(), denied.stdout.len()), (Some(3), 0));
    assert_eq!(ask("finance", &[], "").status.code(), Some(2));
    gateway.end();

    let found = done(&config, &["audit", "search", "--json", "--target", "account"]);
    let all: Vec<Value> =
        found.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["record"].take()).collect();
    let told: Vec<_> = all.iter().map(|act| act["action"].as_str().unwrap()).collect();
    assert_eq!(told, ["unmask", "unmask", "unmask.denied"]);
    assert_eq!(all[0]["facts"]["principal"], "wu.min");
    assert_eq!(all[1]["values"].as_array().map(Vec::len), Some(3));
    assert_eq!(all[0]["values"][0], all[1]["values"][0]);
    for entry in std::fs::read_dir(dir.path().join("audit")).unwrap() {
        let log = std::fs::read(entry.unwrap().path()).unwrap();
        for piece in [CLEAR, &masked, "6222"] {
            assert!(!log.windows(piece.len()).any(|window| window == piece.as_bytes()), "{piece}");
        }
    }
    if by_root() {
        assert_eq!(acts(&config).len(), 3, "by whoever ran the command");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_audit_cannot_be_written_a_change_is_kept_for_it_and_nothing_is_turned_back() {
    if !by_root() {
        return;
    }
    let (dir, config, _upstream) = written(Some(UNMASKING)).await;
    // As if a service's user owned the audit, and somebody else ran the command.
    let audit = dir.path().join("audit");
    std::fs::create_dir(&audit).unwrap();
    chown(&audit, Some(65_534), None).unwrap();
    let created = run(&config, &["keys", "create", "--name", "a", "--principal", "b"], "");
    assert!(created.status.success() && text(&created.stdout).starts_with("fg_"));
    assert!(text(&created.stderr).contains("not in the audit yet"), "{}", text(&created.stderr));
    assert_eq!(std::fs::read_dir(&audit).unwrap().count(), 0, "no file that the service could not open");
    let unmask =
        ["unmask", "--mask", "account", "--as", "a", "--groups", "finance", "--reason", "CRM-7", "6222 0212"];
    let refused = run(&config, &unmask, "");
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
    assert!(text(&refused.stderr).contains("belongs to another user"), "{}", text(&refused.stderr));

    chown(&audit, Some(0), None).unwrap();
    Process::start(&config).end();
    let found = done(&config, &["audit", "search", "--action", "keys.create"]);
    assert_eq!(found.lines().count(), 1, "what waited is there: {found}");
}
