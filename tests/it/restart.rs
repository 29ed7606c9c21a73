//! A restart under callers: the socket stays open, handed over from outside, and nobody is refused.

use std::net::TcpListener;
use std::process::Command;

use crate::support::client::Raw;
use crate::support::gateway::{SALES, Setup, records};
use crate::support::process::Process;
use crate::support::upstream::{Act, Gate, Upstream, json};

const ONE: &str = r#"{"data":{"id":1,"owner_id":"li.na","name":"Ada"}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_who_come_during_a_restart_wait_and_are_served() {
    let gate = Gate::closed();
    let waiting = gate.clone();
    let upstream = Upstream::start(move |_| [vec![Act::Wait(waiting.clone())], json(ONE)].concat()).await;
    let (dir, config) = Setup::before(&upstream).write();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replacen("127.0.0.1:0", &address.to_string(), 1)).unwrap();

    let first = Process::start_on(&socket, &config);
    assert_eq!(first.address, address);
    let request = format!("GET /customers/1 HTTP/1.1\r\nHost: a\r\n{SALES}\r\n\r\n");
    let mut running = Raw::connect(address).await;
    running.send(&request).await;
    upstream.arrival().await;
    let ended = tokio::task::spawn_blocking(move || first.end());
    gate.open();
    assert_eq!(running.answer(false).await.expect("what has begun is finished").status, 200);
    ended.await.unwrap();
    // Nobody takes connections now; whoever comes is not refused.
    let mut late = Raw::connect(address).await;
    late.send(&request).await;

    let second = Process::start_on(&socket, &config);
    gate.open();
    assert_eq!(late.answer(false).await.expect("who waited is served").status, 200);
    second.end();
    assert_eq!(
        records(&dir.path().join("audit")).iter().filter(|record| record["outcome"] == "complete").count(),
        2
    );
}

#[tokio::test]
async fn a_socket_that_no_listener_has_the_address_of_is_a_mistake() {
    let upstream = Upstream::start(|_| json(ONE)).await;
    let (_dir, config) = Setup::before(&upstream).write();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = Command::new("sh");
    command.stdin(std::os::fd::OwnedFd::from(socket.try_clone().unwrap()));
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 exec \"$0\" serve --config \"$1\"";
    let output = command.args(["-c", script, env!("CARGO_BIN_EXE_fieldgate")]).arg(&config).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains(&socket.local_addr().unwrap().to_string()), "{said}");
    assert!(said.contains("no listener has that address"), "{said}");
}
