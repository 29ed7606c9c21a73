use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::fits::{properties, strict, undescribed, wrong};
use super::*;
use crate::policy::source::Documents;
use crate::policy::{Loaded, MaskKeys, Purpose};
use crate::rewrite::mask::KINDS;

fn schema() -> Value {
    serde_json::from_str(POLICY_SCHEMA).unwrap()
}

/// A key that nobody knows, and that is like no other.
const ODD: &str = "zzzzqqqq";

/// Every mapping of the language with an odd key in it, and where the schema describes it.
const MAPPINGS: [(&str, &str); 32] = [
    ("resources: { r: { ODD: 1 } }", "/$defs/resource"),
    ("apis: { a: { ODD: 1 } }", "/$defs/api"),
    ("apis: { a: { denial: { ODD: 1 } } }", "/$defs/api/properties/denial"),
    ("apis: { a: { errors: { ODD: 1 } } }", "/$defs/api/properties/errors"),
    ("apis: { a: { routes: [{ ODD: 1 }] } }", "/$defs/route"),
    ("apis: { a: { routes: [{ envelope: { ODD: 1 } }] } }", "/$defs/route/properties/envelope"),
    ("apis: { a: { routes: [{ query: { ODD: 1 } }] } }", "/$defs/route/properties/query"),
    (
        "apis: { a: { routes: [{ query: { page_size: { ODD: 1 } } }] } }",
        "/$defs/route/properties/query/properties/page_size",
    ),
    ("apis: { a: { routes: [{ resource: { ODD: 1 } }] } }", "/$defs/route/properties/resource/anyOf/1"),
    (
        "resources: { r: { pairs: { x: { ODD: 1 } } } }",
        "/$defs/resource/properties/pairs/additionalProperties",
    ),
    ("apis: { a: { routes: [{ batch: { ODD: 1 } }] } }", "/$defs/route/properties/batch"),
    ("apis: { a: { routes: [{ rows: { ODD: 1 } }] } }", "/$defs/route/properties/rows"),
    (
        "apis: { a: { routes: [{ rows: { columns: { ODD: 1 } } }] } }",
        "/$defs/route/properties/rows/properties/columns/anyOf/2",
    ),
    ("apis: { a: { routes: [{ type_at: { ODD: 1 } }] } }", "/$defs/route/properties/type_at/anyOf/1"),
    ("masks: { m: { when: 'true', ODD: 1 } }", "/$defs/mask/anyOf/11"),
    ("roles: { r: { ODD: 1 } }", "/$defs/role"),
    ("roles: { r: { permissions: [{ ODD: 1 }] } }", "/$defs/permission"),
    ("roles: { r: { permissions: [{ fields: { ODD: 1 } }] } }", "/$defs/permission/properties/fields"),
    ("bindings: [{ ODD: 1 }]", "/$defs/binding"),
    ("guards: [{ ODD: 1 }]", "/$defs/guard"),
    ("guards: [{ on: { ODD: 1 } }]", "/$defs/guard/properties/on"),
    ("limits: [{ ODD: 1 }]", "/$defs/limit"),
    ("approvals: [{ ODD: 1 }]", "/$defs/approval"),
    ("approvals: [{ covers: { ODD: 1 } }]", "/$defs/approval/properties/covers"),
    ("approvals: [{ approvers: { ODD: 1 } }]", "/$defs/approval/properties/approvers"),
    ("invariants: [{ never: { ODD: 1 } }]", "/$defs/invariant/properties/never"),
    ("tests: [{ ODD: 1 }]", "/$defs/test"),
    ("tests: [{ principal: { ODD: 1 } }]", "/$defs/test/properties/principal"),
    ("tests: [{ request: { ODD: 1 } }]", "/$defs/test/properties/request/anyOf/1"),
    ("tests: [{ principals: {}, ODD: 1 }]", "/$defs/matrix"),
    (
        "tests: [{ principals: {}, requests: { r: { ODD: 1 } } }]",
        "/$defs/matrix/properties/requests/additionalProperties/anyOf/1",
    ),
    (
        "tests: [{ name: n, principals: {}, requests: {}, expectations: [{ ODD: 1 }] }]",
        "/$defs/matrix/properties/expectations/items",
    ),
];

/// The words in backticks of the help that the loader gives for an odd key.
fn known(text: &str, code: &str) -> BTreeSet<String> {
    let loaded = Loaded::from_texts(&[("p.yaml", text)], &MaskKeys::Assumed, Purpose::Check);
    let found = loaded.report.diagnostics().iter().find(|found| found.code == code);
    let found = found.filter(|found| found.message.contains(ODD)).unwrap_or_else(|| panic!("{text}"));
    let help = found.help.clone().unwrap();
    assert!(!help.contains("did you mean"), "{help}");
    help.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_schema_and_the_loader_know_the_same_keys() {
    let schema = schema();
    assert_eq!(known("zzzzqqqq: 1", "unknown-section"), properties(&schema, ""));
    for (text, pointer) in MAPPINGS {
        assert_eq!(known(&text.replace("ODD", ODD), "unknown-key"), properties(&schema, pointer), "{text}");
    }
}

#[test]
fn every_mapping_of_the_schema_is_compared() {
    let schema = schema();
    // Masks of one value are read elsewhere.
    let of_value = |pointer: &String| {
        let by_record = schema.pointer(pointer).is_some_and(|at| !at["properties"]["when"].is_null());
        pointer.starts_with("/$defs/mask") && !by_record
    };
    let found: BTreeSet<_> = strict(&schema).into_iter().filter(|pointer| !of_value(pointer)).collect();
    let mut compared: BTreeSet<_> = MAPPINGS.iter().map(|(_, pointer)| (*pointer).to_owned()).collect();
    compared.extend([String::new(), "/$defs/invariant".to_owned()]);
    assert_eq!(found, compared);
    assert_eq!(
        known("invariants: [{ zzzzqqqq: 1 }]", "unknown-key"),
        properties(&schema, "/$defs/invariant")
    );
}

#[test]
fn every_kind_of_mask_is_in_the_schema_with_its_usage() {
    let schema = schema();
    let masks = &schema["$defs"]["mask"];
    let described = masks["anyOf"].to_string();
    for kind in &KINDS {
        assert!(described.contains(&format!("\"{}\"", kind.name)), "{}", kind.name);
        for example in kind.examples {
            let definition: Value = serde_json::from_str(example.mask).unwrap();
            assert_eq!(wrong(&schema, masks, &definition, "$"), None, "{}", example.mask);
        }
    }
}

#[test]
fn every_scenario_fits_the_schema() {
    let mut files = 0;
    for scenario in std::fs::read_dir("policies").unwrap().map(|entry| entry.unwrap().path()) {
        if !scenario.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(scenario).unwrap().map(|entry| entry.unwrap().path()) {
            let name = file.file_name().unwrap().to_str().unwrap();
            if name.ends_with(".yaml") && name != "fieldgate.yaml" {
                files += 1;
                assert_eq!(judged(&std::fs::read_to_string(&file).unwrap()), None, "{}", file.display());
            }
        }
    }
    assert!(files > 4);
}

#[test]
fn what_the_loader_refuses_does_not_fit_the_schema() {
    for text in [
        "roles: { r: { permissions: [{ resource: x, actions: [list], feilds: {} }] } }",
        "roles: { r: { permissions: [{ resource: x }] } }",
        "limits: [{ name: x, per: everybody, requests: 1/s }]",
        "limits: [{ name: x, per: all, requests: 1 }]",
        "masks: { m: { keep: { frist: 3 } } }",
        "masks: { m: { date: week } }",
        "masks: { m: { when: 'true', then: stars } }",
        "resources: { r: { unknown: pass } }",
        "tests: [{ name: x, principal: {}, request: GET / }]",
        "labels: { a: b }",
        "rules: []",
    ] {
        assert!(judged(text).is_some(), "{text}");
    }
}

#[test]
fn everything_is_described() {
    let found = undescribed(&schema());
    assert!(found.is_empty(), "{found:?}");
}

fn judged(text: &str) -> Option<String> {
    let mut documents = Documents::new();
    let root = documents.parse(Arc::from("p.yaml"), Arc::from(text)).unwrap();
    let schema = schema();
    wrong(&schema, &schema, &serde_json::from_str(&root.to_json()).unwrap(), "$")
}
