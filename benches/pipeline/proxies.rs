//! The two that are compared, each a process of its own, so that its processor time can be told apart.

use std::io::{Read, Write};
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
    /// The memory of its process, in bytes.
    fn resident(&self) -> u64;
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

    /// A figure of proc_pid_status(5), in bytes.
    fn memory(&self, name: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("Linux");
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("such a line");
        line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().expect("a number") << 10
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

    fn resident(&self) -> u64 {
        self.server.memory("VmRSS:")
    }
}

/// The gateway: the binary, with everything on that a deployment has on.
pub(crate) struct Gateway {
    server: Server,
    admin: SocketAddr,
    dir: TempDir,
}

impl Gateway {
    pub(crate) fn start(upstream: SocketAddr) -> Self {
        Self::with(upstream, POLICY)
    }

    pub(crate) fn with(upstream: SocketAddr, policy: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (addr, admin) = (free_port(), free_port());
        write(dir.path(), "fieldgate.yaml", &config(addr, admin, upstream));
        write(dir.path(), "key", KEY);
        std::fs::create_dir(dir.path().join("policies")).expect("a directory");
        write(dir.path(), "policies/bench.yaml", policy);
        let built = env!("CARGO_BIN_EXE_fieldgate").into();
        let mut command = Command::new(std::env::var_os(BINARY).unwrap_or(built));
        command.args(["serve", "--config"]).arg(dir.path().join("fieldgate.yaml"));
        Self { server: Server::start(command, addr), admin, dir }
    }

    /// Writes another policy where the running one came from.
    pub(crate) fn replace_policy(&self, policy: &str) {
        let path = self.dir.path().join("policies/bench.yaml");
        let aside = self.dir.path().join("bench.new");
        std::fs::write(&aside, policy).expect("a writable directory");
        std::fs::rename(aside, path).expect("a writable directory");
    }

    /// How many policies came into force so far.
    pub(crate) fn reloads(&self) -> u64 {
        let mut admin = TcpStream::connect(self.admin).expect("the admin listener");
        admin
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")
            .expect("a request");
        let mut text = String::new();
        admin.read_to_string(&mut text).expect("an answer");
        let line = text.lines().find_map(|line| line.strip_prefix(RELOADS)).expect("such a metric");
        line.trim().parse().expect("a number")
    }

    /// The most memory that its process had, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.server.memory("VmHWM:")
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

    fn resident(&self) -> u64 {
        self.server.memory("VmRSS:")
    }
}

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).expect("a writable directory");
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

fn config(listen: SocketAddr, admin: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "
listeners:
  bench: {{ address: '{listen}' }}
admin: {{ address: '{admin}' }}
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
pub(crate) const POLICY: &str = r#"
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

/// The environment variable that names another binary, to compare two builds with one bench.
const BINARY: &str = "FIELDGATE_BENCH_BINARY";
const RELOADS: &str = "fieldgate_policy_reloads_total{result=\"success\"}";

/// The environment variable that makes this program the pass-through: where to listen, the upstream, and whether with
/// `TCP_NODELAY`.
const ROLE: &str = "FIELDGATE_BENCH_PASS_THROUGH";
