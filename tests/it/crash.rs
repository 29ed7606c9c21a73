//! The program killed in the middle of its work: no answer that a caller has seen whole is without its record.

use std::collections::HashSet;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::client::Raw;
use crate::support::gateway::{SALES, Setup, records};
use crate::support::process::Process;
use crate::support::upstream::{Upstream, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t07_every_completed_answer_has_one_record_after_a_kill() {
    let upstream = Upstream::start(|_| json(r#"{"data":{"id":1,"owner_id":"li.na","name":"Ada"}}"#)).await;
    let (dir, config) = Setup::before(&upstream).write();
    let completed: Arc<Mutex<Vec<String>>> = Arc::default();
    for _round in 0..2 {
        let mut process = Process::start(&config);
        let begun = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let (address, completed, begun) =
                    (process.address, Arc::clone(&completed), Arc::clone(&begun));
                tokio::spawn(async move {
                    let mut raw = Raw::connect(address).await;
                    let request = format!("GET /customers/1 HTTP/1.1\r\nHost: a\r\n{SALES}\r\n\r\n");
                    loop {
                        raw.send(&request).await;
                        begun.fetch_add(1, Ordering::Relaxed);
                        match raw.answer(false).await {
                            Some(answer) if answer.complete => {
                                assert_eq!(answer.status, 200, "{}", answer.text());
                                let id = answer.header("x-request-id").expect("its id").to_owned();
                                completed.lock().expect("no caller panicked").push(id);
                            }
                            _ => return,
                        }
                    }
                })
            })
            .collect();
        while begun.load(Ordering::Relaxed) < 300 {
            tokio::task::yield_now().await;
        }
        process.kill();
        for caller in callers {
            caller.await.expect("a caller ends when its connection does");
        }
    }

    // A last start repairs what was torn, and ends in good order.
    Process::start(&config).end();

    let audit = dir.path().join("audit");
    let recorded: Vec<String> =
        records(&audit).iter().map(|record| record["id"].as_str().expect("an id").to_owned()).collect();
    let once: HashSet<&String> = recorded.iter().collect();
    assert_eq!(once.len(), recorded.len(), "no request is recorded twice");
    let completed = completed.lock().expect("no caller panicked");
    assert!(completed.len() > 100, "there was load");
    for id in completed.iter() {
        assert!(once.contains(id), "a completed answer has no record");
    }
    let verify = Command::new(env!("CARGO_BIN_EXE_fieldgate"))
        .args(["audit", "verify", "--dir"])
        .arg(&audit)
        .output()
        .expect("the program runs");
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));
}
