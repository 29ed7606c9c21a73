mod schema;

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
        matches!(&config.apis[0].credential, CredentialConfig::Own { put: Put::Header(_, prefix), .. } if &**prefix == "Bearer ")
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

#[test]
fn upstreams_with_everything_are_read() {
    let (config, report) = parse(
        r#"listeners: { public: { address: 127.0.0.1:8080 } }
apis:
  crm:
    urls: [https://crm-1:8443/base, https://crm-2:8443/base]
    ca: ca.pem
    certificate: { certificate: c.pem, key: k.pem }
    credential:
      login:
        request: POST /api/login
        json: { user: fieldgate, password: "{{password}}", deep: [{ x: "{{otp}}" }] }
        secrets: { password: { file: pw }, otp: { command: [otp, --now] } }
        token: body $.data.token
        lifetime: 20m
      cookie: sid
      expired: { status: [401, 419], body: { at: $.code, is: [40001, "E7"] } }
    retries: { attempts: 2, budget_percent: 10 }
    breaker: { failures: 3, open: 5s }
    health: { path: /healthz?full=1, every: 3s, timeout: 1s, failures: 4 }
  erp:
    url: https://erp
    credential:
      oauth2:
        token_url: https://id.example/token
        client_id: gate
        client_secret: { env: ERP_SECRET }
        refresh_token: { file: refresh }
        scopes: [read, write]
        parameters: { audience: erp }
        ca: system
        client_auth: body
      query: access_token
policies: policies
audit: { dir: audit }
"#,
    );
    assert!(report.diagnostics().is_empty(), "{}", report.to_text(false));
    let config = config.unwrap();
    let crm = &config.apis[0];
    assert_eq!(crm.urls.len(), 2);
    assert_eq!((crm.retries.attempts, crm.breaker.failures), (2, 3));
    assert_eq!(crm.health.as_ref().unwrap().target.to_string(), "/healthz?full=1");
    let CredentialConfig::Own { source, put, expired } = &crm.credential else { panic!() };
    let SourceConfig::Login(login) = source.as_ref() else { panic!() };
    assert_eq!((login.secrets.len(), put), (2, &Put::Cookie("sid".into())));
    assert_eq!(expired.statuses.len(), 2);
    let CredentialConfig::Own { source, put, .. } = &config.apis[1].credential else { panic!() };
    let SourceConfig::OAuth2(oauth2) = source.as_ref() else { panic!() };
    assert!(oauth2.in_body && oauth2.refresh_token.is_some());
    assert_eq!(put, &Put::Query("access_token".into()));
}

#[test]
fn what_an_upstream_cannot_do_is_refused_with_its_place() {
    for (api, code) in [
        ("{ url: http://a, urls: [http://b] }", "wrong-url"),
        ("{ urls: [] }", "wrong-url"),
        ("{ urls: [http://a, http://a] }", "wrong-url"),
        ("{ urls: [http://a, https://b] }", "wrong-url"),
        ("{ urls: [http://a/x, http://b/y] }", "wrong-url"),
        ("{ url: http://a, certificate: { certificate: c, key: k } }", "idle-certificate"),
        ("{ url: http://a, credential: { prefix: 'Negotiate ', secret: { env: X } } }", "connection-bound"),
        ("{ url: http://a, credential: { header: x, cookie: y, secret: { env: X } } }", "two-credentials"),
        ("{ url: http://a, credential: { cookie: 'a b', secret: { env: X } } }", "wrong-cookie"),
        ("{ url: http://a, credential: { secret: hunter2 } }", "secret-in-clear"),
        ("{ url: http://a, credential: { secret: { env: X, command: [y] } } }", "wrong-secret"),
        (
            "{ url: http://a, credential: { oauth2: { token_url: http://id.example, client_id: a, client_secret: { env: X } } } }",
            "plain-login",
        ),
        (
            "{ url: http://a, credential: { oauth2: { token_url: x, client_id: a, client_secret: { env: X } } } }",
            "wrong-url",
        ),
        (
            "{ url: http://a, credential: { login: { request: /l, json: { p: '{{p}}' }, secrets: { p: { env: X } }, token: header t } } }",
            "wrong-request",
        ),
        (
            "{ url: http://a, credential: { login: { request: POST http://b/l, json: { p: '{{p}}' }, secrets: { p: { env: X } }, token: header t } } }",
            "wrong-request",
        ),
        (
            "{ url: http://a, credential: { login: { request: POST /l, json: { p: x }, secrets: { p: { env: X } }, token: header t } } }",
            "unused-secret",
        ),
        (
            "{ url: http://a, credential: { login: { request: POST /l, json: { p: '{{q}}{{p}}' }, secrets: { p: { env: X } }, token: header t } } }",
            "unknown-secret",
        ),
        (
            "{ url: http://a, credential: { login: { request: POST /l, form: { p: '{{p}}' }, secrets: { p: { env: X } }, token: $.t } } }",
            "wrong-token",
        ),
        ("{ url: http://a, credential: { secret: { env: X }, expired: { status: 7 } } }", "wrong-status"),
        ("{ url: http://a, retries: { attempts: 9 } }", "out-of-range"),
        ("{ url: http://a, health: { path: http://b/ } }", "wrong-path"),
    ] {
        let text = format!(
            "listeners: {{ p: {{ address: 127.0.0.1:1 }} }}\npolicies: p\naudit: {{ dir: a }}\napis:\n  crm: {api}\n"
        );
        let (_, report) = parse(&text);
        let found: Vec<_> = report
            .diagnostics()
            .iter()
            .map(|found| (found.code, found.place.as_ref().map(|p| p.line)))
            .collect();
        assert!(found.contains(&(code, Some(5))), "{api}: {found:?}");
    }
}

#[test]
fn a_secret_may_be_what_a_command_prints() {
    let read = |words: &[&str]| {
        let at = SecretAt::Command(words.iter().map(|word| (*word).to_owned()).collect());
        let place = crate::base::Place { file: "f".into(), line: 1, column: 1, length: 0, path: "$".into() };
        SecretSource { place, at }.read().map(|secret| secret.expose().clone()).map_err(|found| found.message)
    };
    assert_eq!(read(&["printf", "s3cret\n"]).unwrap(), "s3cret");
    assert!(
        read(&["sh", "-c", "echo canary-7; exit 3"])
            .is_err_and(|why| why.contains("failed") && !why.contains("canary-7"))
    );
    assert!(
        read(&["/no/such/program", "canary-7"])
            .is_err_and(|why| why.contains("cannot be run") && !why.contains("canary-7"))
    );
    assert!(read(&["true"]).is_err_and(|why| why.contains("empty")));
}
