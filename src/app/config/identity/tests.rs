//! What `check` finds wrong with callers: message, help and place.

use std::path::Path;

use crate::app::config::Config;
use crate::base::Diagnostic;

/// Everything there is, rightly written.
const WHOLE: &str = "listeners:
  public: { address: 127.0.0.1:8080, tls: { certificate: c, key: k, client_certificates: optional } }
apis: { crm: { url: 'https://crm.internal/base', credential: pass } }
policies: policies
audit: { dir: audit }
identity:
  issuers:
    - { issuer: 'https://id.example', audiences: [crm] }
  certificates:
    - { name: prod, ca: ca.pem, crl: [a.crl, b.crl], trust_domain: prod.example, groups: [services] }
    - { name: partners, ca: partners.pem, subject: common_name, kind: person, unit_groups: true, mfa: true }
  basic:
    users:
      - { login: li.na, password: { file: li.na.hash }, groups: [sales] }
    throttle: { failures: 3, window: 10m }
    remember: 30s
    parallel: 1
  introspection:
    issuer: https://id.example
    url: https://id.example/introspect
    client_id: gateway
    client_secret: { env: SECRET }
    audiences: [crm]
    remember: 5s
  front_proxies:
    - issuer: https://sso.example
      peers: [10.0.0.5]
      certificates: [{ authority: prod, id: 'spiffe://prod.example/front' }]
      headers: { id: X-Sso-User, name: X-Sso-Name, groups: X-Sso-Groups, separator: '|', mfa: X-Sso-Mfa, mfa_values: ['1'] }
  vendor_tokens:
    - { name: crm, api: crm, token: { header: X-Session }, who_am_i: { path: '/me?full=1', id: $.user.id, name: $.user.name, groups: ['$.user.teams[*].key'] }, nobody: ['0'] }
";

fn found(text: &str) -> Vec<Diagnostic> {
    let (config, report) = Config::parse(Path::new("fieldgate.yaml"), text);
    let mut all: Vec<Diagnostic> = report.diagnostics().to_vec();
    if let Some(config) = config {
        all.extend(config.identity.look(&config.apis));
    }
    all
}

/// The one complaint about the text with a change: line and message. It has help, too.
#[track_caller]
fn complaint(from: &str, to: &str) -> (u32, String) {
    assert!(WHOLE.contains(from), "{from}");
    let all = found(&WHOLE.replacen(from, to, 1));
    let [only] = all.as_slice() else { panic!("{all:?}") };
    assert!(only.help.as_ref().is_some_and(|help| !help.is_empty()), "{only:?}");
    (only.place.as_ref().unwrap().line, only.message.clone())
}

#[test]
fn what_is_written_rightly_is_taken_as_written() {
    assert!(found(WHOLE).is_empty(), "{:?}", found(WHOLE));
    let (config, _) = Config::parse(Path::new("/etc/fieldgate.yaml"), WHOLE);
    let config = config.unwrap();
    let authorities = config.identity.authorities();
    assert_eq!(authorities[0].crl_files.len(), 2);
    assert!(authorities[1].mfa && authorities[1].unit_groups && authorities[1].groups.is_empty());
    let (identity, _, wrong) = config.identity.complete(&config.apis, super::Depth::Form);
    assert!(wrong.is_empty());
    assert_eq!(identity.vendors[0].url, "https://crm.internal/base/me?full=1");
    assert_eq!(identity.front_proxies[0].separator, '|');
    assert!(config.watched().contains(&"/etc".into()));
}

#[test]
fn each_fault_is_told_where_it_stands() {
    for (from, to, line, message) in [
        ("audiences: [crm] }", "audiences: [] }", 8, "`https://id.example` has no audience"),
        ("trust_domain: prod.example", "trust_domain: Prod", 10, "`Prod` is not a trust domain"),
        (
            "trust_domain: prod.example, ",
            "",
            10,
            "SPIFFE ids are of a trust domain: an authority needs `trust_domain`",
        ),
        ("subject: common_name", "subject: comon_name", 11, "unknown value `comon_name` of `subject`"),
        ("subject: common_name", "subject: dns, trust_domain: x", 11, "only SPIFFE ids have a trust domain"),
        ("name: partners", "name: prod", 11, "`prod` stands here twice"),
        ("failures: 3", "failures: 0", 15, "`failures` is between 1 and 10000000"),
        ("{ file: li.na.hash }", "hunter2", 14, "a secret is not written into the configuration"),
        (
            "url: https://id.example/introspect",
            "url: http://id.example/x",
            19,
            "`http://id.example/x` is not an https address",
        ),
        ("peers: [10.0.0.5]", "peers: [0.0.0.0/0]", 26, "every address there is could be this proxy"),
        (
            "authority: prod, id",
            "authority: prd, id",
            26,
            "`spiffe://prod.example/front` is of authority `prd`, which is not in `certificates`",
        ),
        ("id: X-Sso-User", "id: Authorization", 26, "`authorization` has another meaning already"),
        ("separator: '|'", "separator: ', '", 29, "`, ` is not one character"),
        ("api: crm, token", "api: cmr, token", 31, "there is no api `cmr`"),
        (
            "{ header: X-Session }",
            "{ header: X-Session, cookie: sid }",
            31,
            "a token stands in one place: `scheme`, `header`, `cookie` or `query`",
        ),
        ("{ header: X-Session }", "{ header: Cookie }", 31, "`cookie` has another meaning already"),
        (
            "{ header: X-Session }",
            "{ scheme: Bearer }",
            31,
            "bearer tokens that are no JWTs would be shown to the issuer and to the system",
        ),
        (
            "{ header: X-Session }",
            "{ scheme: basic }",
            31,
            "passwords would be judged here and by the system",
        ),
        ("id: $.user.id", "id: '$.users[*].id'", 31, "`$.users[*].id` could be several places"),
        ("id: $.user.id", "id: $..id", 31, "`$..id` is more than names, indexes and `[*]`"),
        ("path: '/me?full=1'", "path: '//evil.example/me'", 31, "`//evil.example/me` is not a path"),
        (
            "name: crm, api",
            "name: 'https://id.example', api",
            31,
            "`https://id.example` is an issuer of tokens",
        ),
    ] {
        let all = found(&WHOLE.replacen(from, to, 1));
        let told: Vec<(u32, &str)> =
            all.iter().map(|one| (one.place.as_ref().unwrap().line, one.message.as_str())).collect();
        assert!(told.contains(&(line, message)), "{from} -> {to}: {told:?}");
        assert!(all.iter().all(|one| !one.message.contains("hunter2")));
    }
}

#[test]
fn unknown_keys_are_refused_with_the_likely_one() {
    assert_eq!(
        complaint("unit_groups", "unit_group"),
        (11, "unknown key `unit_group` in an authority".to_owned())
    );
    assert_eq!(complaint("parallel: 1", "paralel: 1"), (17, "unknown key `paralel` in `basic`".to_owned()));
    assert_eq!(
        complaint("nobody: ['0']", "nobdy: ['0']"),
        (31, "unknown key `nobdy` in a system's tokens".to_owned())
    );
}

#[test]
fn two_systems_never_share_a_place_for_tokens() {
    let more =
        "    - { name: erp, api: crm, token: { header: x-session }, who_am_i: { path: /me, id: $.id } }\n";
    let all = found(&format!("{WHOLE}{more}"));
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].message.contains("stand where those of another system do"));
    assert_eq!(all[0].place.as_ref().unwrap().line, 32);
}
