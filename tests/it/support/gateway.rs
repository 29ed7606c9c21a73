//! A whole gateway in the test's process: real files, real sockets on free ports.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fieldgate::app::config::Config;
use fieldgate::app::{App, Reloader, Sockets};
use fieldgate::base::{Clock, SystemClock};
use fieldgate::telemetry::Metrics;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::client::{Answer, Raw};
use super::upstream::Upstream;

/// What a gateway is started with.
pub(crate) struct Setup {
    upstream: String,
    policy: String,
    listener: String,
    api: String,
    identity: String,
    audit: String,
    policies: String,
    more: String,
    clock: Arc<dyn Clock>,
}

/// A running gateway; its files go with it.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) reloader: Arc<Reloader>,
    dir: TempDir,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

/// The keys of [`POLICY`]'s people, as header lines.
pub(crate) const SALES: &str = "Authorization: Bearer sales-key-000000";
pub(crate) const MANAGER: &str = "Authorization: Bearer manager-key-0000";
pub(crate) const FINANCE: &str = "X-Api-Key: finance-key-0000";
pub(crate) const NOBODY: &str = "Authorization: Bearer nobody-key-00000";

/// Sales see their own customers, finance all of them without contacts, managers everything.
pub(crate) const POLICY: &str = r#"
labels: [public, contact, financial]
resources:
  customer:
    key: id
    fields:
      public: [id, name, owner_id, tags]
      contact: [phone, email]
      financial: [credit_limit]
apis:
  crm:
    routes:
      - match: GET /customers
        action: list
        resource: customer
        records: $.data[*]
        envelope: { keep: [page], total: $.total }
        query: { select: fields, sort: order_by, filter: [name, phone], page_size: { param: limit, max: 200 } }
      - { match: "GET /customers/{id}", action: read, resource: customer, records: $.data }
      - { match: "PUT /customers/{id}", action: update, resource: customer, body: $, records: $.data }
      - { match: "POST /customers", action: create, resource: customer, body: $, records: $.data }
      - { match: "DELETE /customers/{id}", action: delete, resource: customer }
      - { match: GET /export, action: export, resource: customer, format: ndjson }
      - { match: GET /healthz, public: true }
masks:
  phone: { keep: { first: 3, last: 4 } }
roles:
  sales:
    permissions:
      - resource: customer
        actions: [list, read, update]
        records: record.owner_id == principal.id
        fields: { show: [public, contact], edit: [phone, tags] }
  finance:
    permissions:
      - { resource: customer, actions: [list, read], fields: { show: [public, financial], mask: { phone: phone } } }
  manager:
    permissions:
      - resource: customer
        actions: [list, read, create, update, delete, export]
        fields: { show: [public, contact, financial], edit: [name, phone] }
bindings:
  - { role: sales, groups: [sales] }
  - { role: finance, groups: [finance] }
  - { role: manager, groups: [managers] }
"#;

impl Setup {
    /// A gateway in front of an upstream, with [`POLICY`].
    pub(crate) fn before(upstream: &Upstream) -> Self {
        Self {
            upstream: upstream.url(),
            policy: POLICY.to_owned(),
            listener: String::new(),
            api: String::new(),
            identity: String::new(),
            audit: String::new(),
            policies: "policies".to_owned(),
            more: String::new(),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Another policy in place of [`POLICY`]; its groups are `sales`, `managers` and `finance`.
    pub(crate) fn only(mut self, text: &str) -> Self {
        text.clone_into(&mut self.policy);
        self
    }

    /// Adds sections to the policy.
    pub(crate) fn policy(mut self, text: &str) -> Self {
        self.policy.push_str(text);
        self
    }

    /// Puts another policy in its place.
    pub(crate) fn with_policy(mut self, text: &str) -> Self {
        text.clone_into(&mut self.policy);
        self
    }

    /// Adds to the listener, such as `tls: { … }`.
    pub(crate) fn listener(mut self, text: &str) -> Self {
        self.listener = format!(", {text}");
        self
    }

    /// Adds to the api, such as `ca: …`.
    pub(crate) fn api(mut self, text: &str) -> Self {
        self.api = format!(", {text}");
        self
    }

    /// Adds to `identity`, such as `  issuers: …`.
    pub(crate) fn identity(mut self, text: &str) -> Self {
        self.identity.push_str(text);
        self
    }

    /// Adds to the audit, such as `max_in_flight: …`.
    pub(crate) fn audit(mut self, text: &str) -> Self {
        self.audit = format!(", {text}");
        self
    }

    /// Says `policies` otherwise, such as `{ dir: policies, shadow: next }`.
    pub(crate) fn policies(mut self, text: &str) -> Self {
        text.clone_into(&mut self.policies);
        self
    }

    /// Adds sections to the configuration.
    pub(crate) fn config(mut self, text: &str) -> Self {
        self.more.push_str(text);
        self
    }

    /// Puts another clock in.
    pub(crate) fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Writes the files into a new directory; the configuration is the path that is given back.
    pub(crate) fn write(&self) -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("fieldgate.yaml");
        std::fs::create_dir(dir.path().join("policies")).expect("a directory");
        std::fs::write(dir.path().join("policies/crm.yaml"), &self.policy).expect("a file");
        for name in ["sales", "manager", "finance", "nobody"] {
            let key = format!("{name}-key-0000000");
            std::fs::write(dir.path().join(name), key.get(..16).unwrap_or(&key)).expect("a file");
        }
        std::fs::write(&path, self.text()).expect("a file");
        (dir, path)
    }

    fn text(&self) -> String {
        let Self { upstream, listener, api, identity, audit, policies, more, .. } = self;
        format!(
            "
listeners:
  public: {{ address: '127.0.0.1:0'{listener} }}
admin: {{ address: '127.0.0.1:0' }}
apis:
  crm: {{ url: '{upstream}'{api} }}
identity:
  keys:
    - {{ id: sales, key: {{ file: sales }}, principal: li.na, groups: [sales] }}
    - {{ id: manager, key: {{ file: manager }}, principal: xu.lan, groups: [managers] }}
    - {{ id: finance, key: {{ file: finance }}, principal: wu.min, groups: [finance] }}
    - {{ id: nobody, key: {{ file: nobody }}, principal: nemo }}
{identity}
policies: {policies}
audit: {{ dir: audit{audit} }}
{more}"
        )
    }

    /// Starts it.
    pub(crate) async fn start(self) -> Gateway {
        self.start_with(|_| {}).await
    }

    /// Starts it after adding files to its directory.
    pub(crate) async fn start_with(self, add: impl FnOnce(&Path)) -> Gateway {
        let (dir, path) = self.write();
        add(dir.path());
        let (config, report) = Config::load(&path);
        let config = config.unwrap_or_else(|| panic!("{}", report.to_text(false)));
        let app = match App::start(config, Sockets::default(), self.clock, Arc::new(Metrics::new())).await {
            Ok(app) => app,
            Err(report) => panic!("{}", report.to_text(false)),
        };
        let address = |name: &str| {
            let found = app.addresses().iter().find(|(known, _)| known.as_ref() == name);
            found.expect("it listens").1
        };
        let (address, admin) = (address("public"), address("admin"));
        let reloader = app.reloader();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(app.run(async {
            let _told_or_dropped = stopped.await;
        }));
        Gateway { address, admin, reloader, dir, stop: Some(stop), running }
    }
}

impl Gateway {
    /// A new connection.
    pub(crate) async fn connect(&self) -> Raw {
        Raw::connect(self.address).await
    }

    /// A `GET` over a new connection.
    pub(crate) async fn get(&self, target: &str, headers: &[&str]) -> Answer {
        self.connect().await.get(target, headers).await
    }

    /// A request over a new connection.
    pub(crate) async fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[&str],
        body: Option<&str>,
    ) -> Answer {
        self.connect().await.request(method, target, headers, body.map(str::as_bytes)).await
    }

    /// A page of the admin listener.
    pub(crate) async fn admin(&self, target: &str) -> Answer {
        Raw::connect(self.admin).await.get(target, &[]).await
    }

    /// The sum of a metric's samples whose labels hold `labels`.
    pub(crate) async fn metric(&self, name: &str, labels: &str) -> f64 {
        let page = self.admin("/metrics").await;
        let ours = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(labels))
        };
        page.text().lines().filter(ours).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Where its files are.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes the policy anew.
    pub(crate) fn write_policy(&self, text: &str) {
        std::fs::write(self.dir.path().join("policies/crm.yaml"), text).expect("a file");
    }

    /// Tells it to stop, without waiting.
    pub(crate) fn tell_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _gone = stop.send(());
        }
    }

    /// Waits until it has ended and gives what is in its audit: the records of requests.
    pub(crate) async fn end(self) -> Vec<serde_json::Value> {
        records(&self.ended().await.path().join("audit"))
    }

    /// Waits until it has ended and gives its files, which go with what is given.
    pub(crate) async fn ended(mut self) -> TempDir {
        self.tell_to_stop();
        let Self { running, dir, .. } = self;
        running.await.expect("it ends in good order");
        dir
    }
}

/// The records of requests in an audit directory, in their order.
pub(crate) fn records(dir: &Path) -> Vec<serde_json::Value> {
    let mut segments: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("an audit directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    segments.sort();
    let lines = segments.iter().flat_map(|path| {
        let text = std::fs::read_to_string(path).expect("a segment");
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    let all = lines.map(|line| serde_json::from_str::<serde_json::Value>(&line).expect("a JSON line"));
    all.map(|line| line["record"].clone()).filter(|record| record["type"] == "request").collect()
}
