use super::*;
use crate::base::Severity;

const SMALL: &str = "
listeners:
  public: { address: 127.0.0.1:8080 }
apis:
  crm: { url: http://127.0.0.1:3000 }
policies: policies
audit: { dir: audit }
";

fn parse(text: &str) -> (Option<Config>, Report) {
    Config::parse(Path::new("etc/fieldgate.yaml"), text)
}

/// The only complaint: severity, code, place as `line:column path`, message.
fn complaint(text: &str) -> (Severity, &'static str, String, String) {
    let (_, report) = parse(text);
    let [one] = report.diagnostics() else { panic!("{}", report.to_text(false)) };
    let place = one.place.as_ref().expect("it has a place");
    let place = format!("{}:{} {}", place.line, place.column, place.path);
    (one.severity, one.code, place, one.message.clone())
}

#[test]
fn the_smallest_configuration_has_the_usual_values() {
    let (config, report) = parse(SMALL);
    assert!(report.diagnostics().is_empty(), "{}", report.to_text(false));
    let config = config.unwrap();
    assert_eq!(config.policies, Path::new("etc/policies"));
    assert!(config.listeners[0].http2 && config.listeners[0].tls.is_none());
    assert_eq!(config.apis[0].timeouts, Timeouts::default());
    assert!(matches!(config.store, StoreConfig::Memory));
    assert_eq!(config.watched(), [Path::new("etc"), Path::new("etc/policies")]);
}

#[test]
fn everything_can_be_said() {
    let (config, report) = parse(
        "
listeners:
  public: { address: '0.0.0.0:8443', tls: { certificate: tls/cert.pem, key: /run/key.pem }, http2: false }
admin: { address: 127.0.0.1:9090 }
apis:
  crm:
    url: https://crm.internal:8443/base
    host: crm.example
    ca: ca.pem
    http2: false
    credential: { header: X-Token, prefix: 'Bearer ', secret: { env: CRM_TOKEN } }
    timeouts: { pending: 500ms, connect: 1s, first_byte: 10s, idle: 1m, total: 2h }
    max_connections: 10
    max_pending: 20
    sniff_gzip: true
  other: { url: http://127.0.0.1:1, credential: pass }
policies: /srv/policies
secrets: { mask-key: { file: mask.key } }
store: { env: DATABASE_URL }
audit: { dir: audit, segment: 64MiB, sync: always, key: { file: audit.key }, max_in_flight: 5 }
logs: { level: warn, format: json, access: { file: access.log, format: combined } }
bounds: { body: 2MiB, head: 16KiB, target: 4KiB, headers: 50, connections: 7, streams: 9, head_time: 5s, write_time: 6s, handshake_time: 7s }
drain: 5s
",
    );
    assert!(report.diagnostics().is_empty(), "{}", report.to_text(false));
    let config = config.unwrap();
    let tls = config.listeners[0].tls.as_ref().unwrap();
    assert_eq!(tls.certificate, Path::new("etc/tls/cert.pem"));
    assert_eq!(tls.key, Path::new("/run/key.pem"));
    assert_eq!(config.apis[0].timeouts.total, Duration::from_secs(7200));
    assert!(
        matches!(&config.apis[0].credential, CredentialConfig::Header { prefix, .. } if &**prefix == "Bearer ")
    );
    assert!(matches!(config.apis[1].credential, CredentialConfig::Pass));
    assert_eq!(config.audit.sync, SyncConfig::Always);
    assert_eq!(config.bounds.request.body_bytes, 2 << 20);
    assert_eq!(config.bounds.connection.heads.fields, 50);
    assert_eq!(config.drain, Duration::from_secs(5));
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_likely_one() {
    let (_, report) = parse(&SMALL.replace("address", "adress"));
    let unknown = report.diagnostics().iter().find(|d| d.code == "unknown-key").unwrap();
    let place = unknown.place.as_ref().unwrap();
    assert_eq!((place.line, place.column), (3, 13));
    assert_eq!(place.path, "$.listeners.public.adress");
    assert_eq!(unknown.help.as_deref(), Some("did you mean `address`?"));
}

#[test]
fn a_secret_in_the_clear_is_refused_and_not_repeated() {
    let text = format!("{SMALL}secrets: {{ mask-key: hunter2 }}\n");
    let (severity, code, place, message) = complaint(&text);
    assert_eq!((severity, code), (Severity::Error, "secret-in-clear"));
    assert_eq!(place, "8:22 $.secrets.mask-key");
    assert!(!message.contains("hunter2"));
    let (_, code, _, message) = complaint(&format!("{SMALL}store: postgres://user:hunter2@db/x\n"));
    assert_eq!(code, "secret-in-clear");
    assert!(!message.contains("hunter2"));
}

#[test]
fn values_that_cannot_be_meant_are_refused_where_they_stand() {
    let with = |from: &str, to: &str| complaint(&SMALL.replace(from, to)).1;
    assert_eq!(with("127.0.0.1:8080", "localhost"), "wrong-address");
    assert_eq!(with("http://127.0.0.1:3000", "ftp://a"), "wrong-url");
    assert_eq!(with("http://127.0.0.1:3000", "http://user:pw@a"), "wrong-url");
    assert_eq!(with("dir: audit", "dir: audit, sync: often"), "unknown-value");
    assert_eq!(with("dir: audit", "dir: audit, segment: 1MB"), "wrong-unit");
    assert_eq!(with("dir: audit", "dir: audit, max_in_flight: 0"), "out-of-range");
    let (_, code, place, _) = complaint(&format!("{SMALL}drain: 30\n"));
    assert_eq!((code, place.as_str()), ("wrong-unit", "8:8 $.drain"));
}

#[test]
fn two_listeners_on_one_address_are_refused_naming_both() {
    let (_, report) = parse(&format!("{SMALL}admin: {{ address: 127.0.0.1:8080 }}\n"));
    let twice = &report.diagnostics()[0];
    assert_eq!(twice.code, "duplicate-address");
    assert_eq!(twice.related[0].0.line, 3);
}

#[test]
fn an_admin_listener_open_to_everybody_is_warned_about() {
    let (severity, code, ..) = complaint(&format!("{SMALL}admin: {{ address: '0.0.0.0:9090' }}\n"));
    assert_eq!((severity, code), (Severity::Warning, "open-admin"));
}
