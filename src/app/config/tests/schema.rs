//! The JSON Schema of `fieldgate.yaml` knows what the reader knows.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::analysis::CONFIG_SCHEMA;
use crate::analysis::fits::{properties, strict, undescribed, wrong};
use crate::base::Diagnostic;

/// A key that nobody knows, and that is like no other.
const ODD: &str = "zzzzqqqq";

/// Every mapping of the file with an odd key in it, and where the schema describes it.
const MAPPINGS: [(&str, &str); 44] = [
    ("ODD: 1", ""),
    ("listeners: { a: { ODD: 1 } }", "/$defs/listener"),
    ("listeners: { a: { tls: { ODD: 1 } } }", "/$defs/listener/properties/tls"),
    ("policies: { ODD: 1 }", "/properties/policies/anyOf/1"),
    ("admin: { ODD: 1 }", "/properties/admin"),
    ("sealing: { ODD: 1 }", "/properties/sealing"),
    ("listeners: { a: { proxy_protocol: { ODD: 1 } } }", "/$defs/listener/properties/proxy_protocol"),
    ("apis: { a: { ODD: 1 } }", "/$defs/api"),
    ("apis: { a: { certificate: { ODD: 1 } } }", "/$defs/api/properties/certificate"),
    ("apis: { a: { credential: { ODD: 1 } } }", "/$defs/credential/anyOf/1"),
    ("apis: { a: { credential: { oauth2: { ODD: 1 } } } }", "/$defs/credential/anyOf/1/properties/oauth2"),
    ("apis: { a: { credential: { login: { ODD: 1 } } } }", "/$defs/credential/anyOf/1/properties/login"),
    ("apis: { a: { credential: { expired: { ODD: 1 } } } }", "/$defs/credential/anyOf/1/properties/expired"),
    (
        "apis: { a: { credential: { expired: { body: { ODD: 1 } } } } }",
        "/$defs/credential/anyOf/1/properties/expired/properties/body",
    ),
    ("apis: { a: { timeouts: { ODD: 1 } } }", "/$defs/timeouts"),
    ("apis: { a: { retries: { ODD: 1 } } }", "/$defs/api/properties/retries"),
    ("apis: { a: { breaker: { ODD: 1 } } }", "/$defs/api/properties/breaker"),
    ("apis: { a: { health: { ODD: 1 } } }", "/$defs/api/properties/health"),
    ("secrets: { a: { ODD: 1 } }", "/$defs/secret"),
    ("audit: { ODD: 1 }", "/properties/audit"),
    ("logs: { ODD: 1 }", "/properties/logs"),
    ("logs: { access: { ODD: 1 } }", "/properties/logs/properties/access"),
    ("bounds: { ODD: 1 }", "/properties/bounds"),
    ("identity: { ODD: 1 }", "/properties/identity"),
    ("identity: { keys: [{ ODD: 1 }] }", "/$defs/key"),
    ("identity: { issuers: [{ ODD: 1 }] }", "/$defs/issuer"),
    ("identity: { issuers: [{ keys: { ODD: 1 } }] }", "/$defs/issuer/properties/keys/anyOf/1"),
    ("identity: { issuers: [{ claims: { ODD: 1 } }] }", "/$defs/claim_names"),
    ("identity: { introspection: { claims: { ODD: 1 } } }", "/$defs/claim_names"),
    ("identity: { certificates: [{ ODD: 1 }] }", "/$defs/authority"),
    ("identity: { basic: { ODD: 1 } }", "/properties/identity/properties/basic"),
    ("identity: { basic: { users: [{ ODD: 1 }] } }", "/$defs/user"),
    (
        "identity: { basic: { throttle: { ODD: 1 } } }",
        "/properties/identity/properties/basic/properties/throttle",
    ),
    ("identity: { introspection: { ODD: 1 } }", "/properties/identity/properties/introspection"),
    ("identity: { front_proxies: [{ ODD: 1 }] }", "/$defs/front_proxy"),
    (
        "identity: { front_proxies: [{ certificates: [{ ODD: 1 }] }] }",
        "/$defs/front_proxy/properties/certificates/items",
    ),
    ("identity: { front_proxies: [{ headers: { ODD: 1 } }] }", "/$defs/front_proxy/properties/headers"),
    ("identity: { vendor_tokens: [{ ODD: 1 }] }", "/$defs/vendor"),
    ("identity: { vendor_tokens: [{ token: { ODD: 1 } }] }", "/$defs/vendor/properties/token"),
    ("identity: { vendor_tokens: [{ who_am_i: { ODD: 1 } }] }", "/$defs/vendor/properties/who_am_i"),
    ("identity: { stored_keys: { ODD: 1 } }", "/properties/identity/properties/stored_keys"),
    ("store: { ODD: 1 }", "/$defs/secret"),
    ("audit: { key: { ODD: 1 } }", "/$defs/secret"),
    ("identity: { keys: [{ key: { ODD: 1 } }] }", "/$defs/secret"),
];

fn schema() -> Value {
    serde_json::from_str(CONFIG_SCHEMA).unwrap()
}

/// The words in backticks of the help that the reader gives for an odd key.
fn known(text: &str) -> BTreeSet<String> {
    let (_, report) = parse(&text.replace("ODD", ODD));
    let of = |found: &&Diagnostic| found.code == "unknown-key" && found.message.contains(ODD);
    let found = report.diagnostics().iter().find(of);
    let help = found.and_then(|found| found.help.clone()).unwrap_or_else(|| panic!("{text}"));
    assert!(!help.contains("did you mean"), "{help}");
    help.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_schema_and_the_reader_know_the_same_keys() {
    let schema = schema();
    for (text, pointer) in MAPPINGS {
        assert_eq!(known(text), properties(&schema, pointer), "{text}");
    }
    let compared: BTreeSet<_> = MAPPINGS.iter().map(|(_, pointer)| (*pointer).to_owned()).collect();
    assert_eq!(strict(&schema), compared, "every mapping of the schema is compared");
}

#[test]
fn every_key_is_described() {
    let found = undescribed(&schema());
    assert!(found.is_empty(), "{found:?}");
}

/// What a file of people's own says, as the reader takes it apart, as JSON.
fn judged(text: &str) -> Option<String> {
    let mut documents = Documents::new();
    let root = documents.parse(Arc::from("fieldgate.yaml"), Arc::from(text)).unwrap();
    let schema = schema();
    wrong(&schema, &schema, &serde_json::from_str(&root.to_json()).unwrap(), "$")
}

#[test]
fn every_configuration_that_is_shipped_fits_the_schema() {
    let mut texts = vec![SMALL.to_owned(), include_str!("../../../cli/init/fieldgate.yaml").to_owned()];
    for scenario in std::fs::read_dir("policies").unwrap().map(|entry| entry.unwrap().path()) {
        texts.extend(std::fs::read_to_string(scenario.join("fieldgate.yaml")));
    }
    let documented = include_str!("../../../../docs/operate.md");
    let whole = documented.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    texts.extend(whole.filter(|text| text.contains("listeners:")).map(str::to_owned));
    assert!(texts.len() > 8);
    for text in texts {
        let text = text.replace("{{api}}", "crm").replace("{{url}}", "http://127.0.0.1:3000");
        assert_eq!(judged(&text), None, "{text}");
    }
}

#[test]
fn what_the_reader_refuses_does_not_fit_the_schema() {
    for (from, to) in [
        ("audit: { dir: audit }", "audit: { dri: audit }"),
        ("audit: { dir: audit }", ""),
        ("address: 127.0.0.1:8080", "address: 127.0.0.1:8080, http2: maybe"),
        ("url: http://127.0.0.1:3000", "url: 'http://127.0.0.1:3000', timeouts: { idle: 30 }"),
        ("url: http://127.0.0.1:3000", "url: 'http://127.0.0.1:3000', credential: token"),
        ("url: http://127.0.0.1:3000", "url: 'http://127.0.0.1:3000', max_connections: 0"),
        ("policies: policies", "policies: policies\nsecrets: { mask-key: clear }"),
        ("policies: policies", "policies: policies\nroles: {}"),
        ("policies: policies", "policies: policies\nbounds: { body: 1MB }"),
    ] {
        let text = SMALL.replace(from, to);
        assert_ne!(text, SMALL);
        assert!(parse(&text).0.is_none(), "{to}");
        assert!(judged(&text).is_some(), "{to}");
    }
}

/// The default that the schema names is the one that holds where nothing is said.
#[test]
fn the_defaults_are_the_real_ones() {
    let defaults = |pointer: &str| {
        let schema = schema();
        let members = schema.pointer(&format!("{pointer}/properties")).unwrap().as_object().unwrap().clone();
        let usual = members.into_iter().filter_map(|(name, of)| Some((name, of.get("default")?.clone())));
        Value::Object(usual.collect())
    };
    let with = |pointer: &str, more: Value| {
        let mut all = defaults(pointer);
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let api = "/$defs/api";
    let parts = ["retries", "breaker"].map(|part| (part, defaults(&format!("{api}/properties/{part}"))));
    let mut written =
        with(api, json!({ "url": "http://127.0.0.1:3000", "timeouts": defaults("/$defs/timeouts") }));
    parts.into_iter().for_each(|(name, part)| written[name] = part);
    let whole = json!({
        "listeners": { "public": with("/$defs/listener", json!({ "address": "127.0.0.1:8080" })) },
        "apis": { "crm": written },
        "policies": "policies",
        "store": defaults("")["store"],
        "audit": with("/properties/audit", json!({ "dir": "audit" })),
        "logs": defaults("/properties/logs"),
        "bounds": defaults("/properties/bounds"),
        "drain": defaults("")["drain"],
    });
    // Places differ, and nothing else.
    let place = regex::Regex::new(
        r#"Place \{ file: "[^"]*", line: \d+, column: \d+, length: \d+, path: "[^"]*",? \}"#,
    )
    .unwrap();
    let plain = |config: Config| {
        let Config { listeners, apis, store, audit, logs, bounds, drain, .. } = config;
        let said = format!(
            "{listeners:#?}\n{apis:#?}\n{store:?}\n{audit:#?}\n{logs:?}\n{:#?}\n{drain:?}",
            (bounds.connection, bounds.request, bounds.body_time)
        );
        place.replace_all(&said.split_whitespace().collect::<Vec<_>>().join(" "), "").into_owned()
    };
    let (written, report) = parse(&whole.to_string());
    let written = written.unwrap_or_else(|| panic!("{}", report.to_text(false)));
    let text = plain(written);
    assert_eq!(text, plain(parse(SMALL).0.unwrap()));
    assert!(!text.contains("fieldgate.yaml"), "{text}");
}
