//! Who is frozen gets nothing: by a limit or by command, on every gateway, also in the middle and after a crash
//! (threats T05, T07).

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{Answer, Raw};
use crate::support::gateway::{FINANCE, Gateway, MANAGER, SALES, Setup, records};
use crate::support::postgres::Cluster;
use crate::support::process::Process;
use crate::support::upstream::{self, Act, Gate, Upstream, chunks};

const LIST: &str =
    r#"{"data":[{"id":1,"name":"Ada","owner_id":"li.na"},{"id":2,"name":"Bo","owner_id":"li.na"}]}"#;
const FREEZING: &str = r#"
limits:
  - { name: daily reading, roles: [finance], per: principal, records: 3/day, warn_at: 50%, on_exceed: freeze }
"#;

/// An upstream whose list has a long first part, and a second one that comes when the gate opens.
async fn list_in_two_parts(gate: &Gate) -> Upstream {
    let waiting = gate.clone();
    Upstream::start(move |request| {
        if !request.target.starts_with("/customers?limit=150") {
            return upstream::json(LIST);
        }
        let record = |id: usize| format!(r#"{{"id":{id},"owner_id":"li.na","name":"{}"}}"#, "x".repeat(3000));
        let list = (0..200).map(record).collect::<Vec<_>>().join(",");
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let first = [head.as_bytes(), &chunks(format!(r#"{{"data":[{list}"#).as_bytes(), 1 << 14)].concat();
        let second =
            [chunks(format!(",{}]}}", record(200)).as_bytes(), 1 << 14), b"0\r\n\r\n".to_vec()].concat();
        vec![Act::Send(first), Act::Wait(waiting.clone()), Act::Send(second)]
    })
    .await
}

/// Asks for the long list and reads some of it.
async fn begin(address: std::net::SocketAddr, who: &str) -> Raw {
    let mut raw = Raw::connect(address).await;
    raw.send(format!("GET /customers?limit=150 HTTP/1.1\r\nHost: a\r\n{who}\r\nConnection: close\r\n\r\n"))
        .await;
    let begun = raw.some().await;
    assert!(begun.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&begun));
    raw
}

/// Runs a command beside the gateway.
async fn fieldgate(config: &Path, line: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    command.args(line).arg("--config").arg(config);
    tokio::task::spawn_blocking(move || command.output().expect("the program runs")).await.expect("it ends")
}

async fn done(config: &Path, line: &[&str]) -> String {
    let output = fieldgate(config, line).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !said.contains("not in the audit yet"), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asks until the answer has this status.
async fn becomes(address: std::net::SocketAddr, who: &str, status: u16) -> Answer {
    for _ in 0..400 {
        let answer = Raw::connect(address).await.get("/customers", &[who]).await;
        if answer.status == status {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never becomes {status}");
}

fn acts(dir: &Path) -> Vec<Value> {
    let mut acts = Vec::new();
    let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for path in names.iter().filter(|path| path.extension().is_some_and(|kind| kind == "jsonl")) {
        let text = std::fs::read_to_string(path).unwrap();
        let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["record"].take());
        acts.extend(all.filter(|record| record["type"] == "administration"));
    }
    acts
}

fn config(gateway: &Gateway) -> std::path::PathBuf {
    gateway.dir().join("fieldgate.yaml")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t05_a_freeze_ends_running_answers_at_once_and_refuses_everything_without_a_restart() {
    let gate = Gate::closed();
    let upstream = list_in_two_parts(&gate).await;
    let gateway = Setup::before(&upstream).config("store: state.db\n").start().await;
    let config = config(&gateway);
    let mut other = begin(gateway.address, MANAGER).await;
    let mut frozen = begin(gateway.address, FINANCE).await;
    let mut writing = gateway.connect().await;

    done(&config, &["freeze", "wu.min", "--reason", "CRM-7: left the company"]).await;
    // The upstream says nothing more: it is not the next piece that ends the answer.
    let rest = tokio::time::timeout(Duration::from_secs(30), frozen.rest()).await.expect("it ends");
    assert!(!rest.ends_with(b"0\r\n\r\n"), "an answer that is cut is unfinished");
    let seen = upstream.received().len();
    let refused = becomes(gateway.address, FINANCE, 403).await;
    assert_eq!(refused.json()["error"]["message"], "access frozen", "{}", refused.text());
    for (method, target) in
        [("GET", "/customers/1"), ("DELETE", "/customers/1"), ("GET", "/nowhere"), ("GET", "/export")]
    {
        let answer = writing.request(method, target, &[FINANCE], None).await;
        assert_eq!(
            (answer.status, answer.json()["error"]["message"].clone()),
            (403, json!("access frozen")),
            "{target}"
        );
    }
    assert!(upstream.received().len() <= seen + 1, "the upstream hears nothing of it");
    assert_eq!(gateway.get("/customers", &[SALES]).await.status, 200);
    assert_eq!(gateway.metric("fieldgate_frozen_principals", "").await, 1.0);
    assert!(gateway.metric("fieldgate_frozen_refusals_total", "").await >= 5.0);
    assert_eq!(gateway.admin("/ready").await.json()["freezes"], json!({ "principals": 1, "known": true }));
    let page = gateway.admin("/metrics").await;
    assert!(!page.holds("wu.min") && !gateway.admin("/ready").await.holds("wu.min"));
    assert!(done(&config, &["freezes"]).await.contains("wu.min  CRM-7: left the company"));

    gate.open();
    gate.open();
    assert!(other.rest().await.ends_with(b"0\r\n\r\n"), "somebody else's answer goes on");
    done(&config, &["unfreeze", "wu.min", "--reason", "CRM-8"]).await;
    becomes(gateway.address, FINANCE, 200).await;

    let dir = gateway.dir().join("audit");
    let told = acts(&dir);
    let said: Vec<_> = told
        .iter()
        .map(|act| (act["action"].as_str(), act["target"].as_str(), act["reason"].as_str()))
        .collect();
    assert_eq!(
        said,
        [
            (Some("freeze"), Some("wu.min"), Some("CRM-7: left the company")),
            (Some("unfreeze"), Some("wu.min"), Some("CRM-8"))
        ]
    );
    assert!(told[0]["actor"]["user"].is_string() && told[0]["actor"]["host"].is_string());
    let found = done(&config, &["audit", "search", "--target", "wu.min"]).await;
    assert!(found.lines().count() == 2 && found.contains("unfreeze"), "{found}");
    assert!(done(&config, &["audit", "verify"]).await.contains("2 acts of administration"));
    let records = gateway.end().await;
    let cut = records.iter().find(|record| record["outcome"] == "cut").expect("its record");
    assert_eq!(
        (&cut["reason"], &cut["principal"]["id"]),
        (&json!("the principal is frozen"), &json!("wu.min"))
    );
    assert!(
        records.iter().any(|record| record["status"] == 403 && record["reason"] == "the principal is frozen")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t07_no_freeze_is_lost_by_a_crash_right_after_the_refusal() {
    let upstream = Upstream::start(|_| upstream::json(LIST)).await;
    let (dir, config) = Setup::before(&upstream).policy(FREEZING).config("store: state.db\n").write();
    let mut process = Process::start(&config);
    let first = Raw::connect(process.address).await.get("/customers", &[FINANCE]).await;
    assert_eq!((first.status, first.json()["data"].as_array().map(Vec::len)), (200, Some(2)));
    let refused = Raw::connect(process.address).await.get("/customers", &[FINANCE]).await;
    process.kill();
    assert_eq!((refused.status, refused.json()["error"]["message"].clone()), (403, json!("access frozen")));
    assert!(!refused.holds("Ada"), "nothing of what would have been too much");

    let process = Process::start(&config);
    let seen = upstream.received().len();
    assert_eq!(Raw::connect(process.address).await.get("/customers", &[FINANCE]).await.status, 403);
    assert_eq!(Raw::connect(process.address).await.get("/customers", &[SALES]).await.status, 200);
    assert_eq!(upstream.received().len(), seen + 1);
    assert!(done(&config, &["freezes"]).await.contains("wu.min of"), "by the issuer that vouches for it");
    done(&config, &["unfreeze", "wu.min", "--reason", "talked to her"]).await;
    process.end();
    let audit = dir.path().join("audit");
    let told = acts(&audit);
    assert_eq!(told.len(), 2, "each exactly once: {told:?}");
    assert_eq!(
        (&told[0]["actor"]["user"], &told[0]["facts"]["limit"]),
        (&json!("fieldgate serve"), &json!("daily reading"))
    );
    let refused = records(&audit).into_iter().filter(|record| record["status"] == 403);
    let reasons: Vec<_> =
        refused.map(|record| (record["reason"].clone(), record["limits"].clone())).collect();
    assert!(
        reasons.contains(&(
            json!("limit `daily reading` exceeded: the principal is frozen"),
            json!(["daily reading"])
        )),
        "{reasons:?}"
    );
    assert!(done(&config, &["audit", "verify"]).await.contains("\nsound"));
}

#[tokio::test]
async fn a_store_that_forgets_is_no_place_for_freezes() {
    let upstream = Upstream::start(|_| upstream::json(LIST)).await;
    let (_dir, config) = Setup::before(&upstream).policy(FREEZING).write();
    for command in ["check", "serve"] {
        let output = fieldgate(&config, &[command]).await;
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!output.status.success() && said.contains("freeze-forgotten"), "{command}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_to_exceed_is_cut_and_its_principal_frozen() {
    let gate = Gate::closed();
    let upstream = list_in_two_parts(&gate).await;
    let limit = FREEZING.replace("3/day", "200/day");
    let gateway = Setup::before(&upstream).policy(&limit).config("store: state.db\n").start().await;
    let mut running = begin(gateway.address, FINANCE).await;
    let mut beside = begin(gateway.address, MANAGER).await;
    gate.open();
    gate.open();
    let rest = running.rest().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"));
    assert!(!String::from_utf8_lossy(&rest).contains("\"id\":200"));
    assert!(beside.rest().await.ends_with(b"0\r\n\r\n"));
    assert_eq!(gateway.get("/customers", &[FINANCE]).await.status, 403);
    assert_eq!(gateway.metric("fieldgate_limit_freezes_total", "daily reading").await, 1.0);
    assert!(gateway.metric("fieldgate_limit_warnings_total", "daily reading").await >= 1.0);
    let records = gateway.end().await;
    let cut = records.iter().find(|record| record["outcome"] == "cut").expect("its record");
    assert_eq!(cut["reason"], "limit `daily reading` exceeded: the principal is frozen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freeze_on_one_gateway_holds_on_every_gateway_of_the_store() {
    let Some(cluster) = Cluster::start() else { return };
    let gate = Gate::closed();
    let upstream = list_in_two_parts(&gate).await;
    let url = cluster.url();
    let start = async || {
        let setup = Setup::before(&upstream).policy(FREEZING).config("store: { file: url }\n");
        setup.start_with(|dir| std::fs::write(dir.join("url"), &url).unwrap()).await
    };
    let (one, two) = (start().await, start().await);
    let finance = async |gateway: &Gateway| gateway.get("/customers", &[FINANCE]).await.status;
    assert_eq!(finance(&one).await, 200);
    // The budget is shared, so is what comes of exceeding it.
    assert_eq!(finance(&two).await, 403);
    becomes(one.address, FINANCE, 403).await;

    let mut running = begin(two.address, MANAGER).await;
    done(&config(&one), &["freeze", "xu.lan", "--reason", "CRM-7"]).await;
    let rest = tokio::time::timeout(Duration::from_secs(30), running.rest()).await.expect("it ends");
    assert!(!rest.ends_with(b"0\r\n\r\n"));
    becomes(one.address, MANAGER, 403).await;
    becomes(two.address, MANAGER, 403).await;

    let folders = [one.dir().join("audit"), two.dir().join("audit")];
    let told: Vec<Value> = folders.iter().flat_map(|dir| acts(dir)).collect();
    let mut ids: Vec<_> = told.iter().map(|act| act["id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((told.len(), ids.len()), (2, 2), "each act in one of the two logs: {told:?}");
    one.end().await;
    two.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t07_a_freeze_that_cannot_be_written_refuses_all_the_same() {
    let Some(cluster) = Cluster::start() else { return };
    let upstream = Upstream::start(|_| upstream::json(LIST)).await;
    // A window that is counted in memory, so that the freeze is the first thing that needs the store.
    let limit = FREEZING.replace("3/day", "3/min");
    let setup = Setup::before(&upstream).policy(&limit).config("store: { file: url }\n");
    let url = cluster.url();
    let gateway = setup.start_with(|dir| std::fs::write(dir.join("url"), url).unwrap()).await;
    assert_eq!(gateway.get("/customers", &[FINANCE]).await.status, 200);
    drop(cluster);
    let answer = gateway.get("/customers", &[FINANCE]).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(!answer.holds("Ada"));
    assert_eq!(gateway.get("/customers/1", &[FINANCE]).await.status, 403, "it holds here");
    assert_eq!(gateway.get("/customers", &[SALES]).await.status, 200);
}
