//! The two that are compared, each a process of its own, so that its processor time can be told apart.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::rival;

/// What the callers bring; the pass-through does not care.
pub(crate) const KEY: &str = "bench-key-of-nobody";
pub(crate) const PASS_THROUGH: &str = "hyper";
pub(crate) const NAGLE: &str = "hyper, no TCP_NODELAY";
pub(crate) const GATEWAY: &str = "fieldgate";

/// Something between the caller and the upstream.
pub(crate) trait Proxy {
    fn name(&self) -> &'static str;
    fn addr(&self) -> SocketAddr;
    /// The processor time of its process so far.
    fn cpu(&self) -> Duration;
}

/// A process that listens; ended when it is dropped.
struct Server {
    child: Child,
    addr: SocketAddr,
}

impl Server {
    fn start(mut command: Command, addr: SocketAddr) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the program starts");
        while TcpStream::connect(addr).is_err() {
            if let Some(status) = child.try_wait().expect("a status") {
                panic!("the proxy ended: {status}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, addr }
    }

    /// Nanoseconds on a processor, of all its threads that are running (proc_pid_schedstat(5)).
    fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("Linux");
        let nanos = tasks.filter_map(|task| {
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The bare pass-through: this program again, told by [`ROLE`].
pub(crate) struct PassThrough {
    server: Server,
    nodelay: bool,
}

impl PassThrough {
    pub(crate) fn start(upstream: SocketAddr, nodelay: bool) -> Self {
        let addr = free_port();
        let mut command = Command::new(std::env::current_exe().expect("a program"));
        command.env(ROLE, format!("{addr} {upstream} {nodelay}"));
        Self { server: Server::start(command, addr), nodelay }
    }
}

/// Plays the pass-through, if that is what this process was started for.
pub(crate) fn is_pass_through() -> bool {
    let Ok(role) = std::env::var(ROLE) else { return false };
    let mut words = role.split(' ');
    let mut word = || words.next().expect("three words");
    let addresses = [word(), word()].map(|addr| addr.parse().expect("an address"));
    rival::run(addresses[0], addresses[1], word() == "true");
    true
}

impl Proxy for PassThrough {
    fn name(&self) -> &'static str {
        if self.nodelay { PASS_THROUGH } else { NAGLE }
    }

    fn addr(&self) -> SocketAddr {
        self.server.addr
    }

    fn cpu(&self) -> Duration {
        self.server.cpu()
    }
}

/// The gateway: the binary, with everything on that a deployment has on.
pub(crate) struct Gateway {
    server: Server,
    _dir: TempDir,
}

impl Gateway {
    pub(crate) fn start(upstream: SocketAddr) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let addr = free_port();
        write(dir.path(), "fieldgate.yaml", &config(addr, upstream));
        write(dir.path(), "key", KEY);
        std::fs::create_dir(dir.path().join("policies")).expect("a directory");
        write(dir.path(), "policies/bench.yaml", POLICY);
        let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
        command.args(["serve", "--config"]).arg(dir.path().join("fieldgate.yaml"));
        Self { server: Server::start(command, addr), _dir: dir }
    }
}

impl Proxy for Gateway {
    fn name(&self) -> &'static str {
        GATEWAY
    }

    fn addr(&self) -> SocketAddr {
        self.server.addr
    }

    fn cpu(&self) -> Duration {
        self.server.cpu()
    }
}

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).expect("a writable directory");
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

fn config(listen: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "
listeners:
  bench: {{ address: '{listen}' }}
apis:
  crm: {{ url: 'http://{upstream}' }}
identity:
  keys:
    - {{ id: bench, key: {{ file: key }}, principal: li.na, groups: [crm-sales] }}
policies: policies
audit: {{ dir: audit }}
logs: {{ level: warn }}
"
    )
}

/// An allow-list of 30 fields with three masks, and no record condition.
const POLICY: &str = r#"
labels: [public, contact, identity]
resources:
  customer:
    key: id
    fields:
      public: [id, uid, name, kind, industry, region, status, level, tags, owner_id, created_at, updated_at,
               owner.id, owner.name, owner.department, "contacts[*].id", "contacts[*].name", "contacts[*].title",
               address.city, address.country, bank.name, credit_limit, "notes[*].at", "notes[*].by"]
      contact: [phone, mobile, email, address.street, address.postcode, "contacts[*].phone"]
      identity: [id_card, bank.account]
apis:
  crm:
    routes:
      - match: GET /api/v1/customers
        action: list
        resource: customer
        records: $.data[*]
        envelope: { keep: [page] }
      - { match: "GET /api/v1/customers/{id}", action: read, resource: customer, records: $.data }
      - { match: GET /api/v1/export, action: export, resource: customer, records: "$.data[*]", envelope: { keep: [page] } }
masks:
  id_card: { keep: { first: 3, last: 4 } }
  account: { keep: { first: 0, last: 4 } }
  email: { email: { keep_first: 1 } }
roles:
  sales:
    permissions:
      - resource: customer
        actions: [list, read, export]
        fields:
          show: [public, contact]
          mask: { id_card: id_card, bank.account: account, email: email }
bindings:
  - { role: sales, groups: [crm-sales] }
"#;

/// The environment variable that makes this program the pass-through: where to listen, the upstream, and whether with
/// `TCP_NODELAY`.
const ROLE: &str = "FIELDGATE_BENCH_PASS_THROUGH";
