use std::collections::{BTreeMap as Map, BTreeSet};

use serde_json::{Value, json};

use crate::identity::Assumed;
use crate::policy::{
    Action, DenialReason, DenialShape, Difference, FieldChange, RecordsChange, ShadowEffect, ShadowOf,
    Treatment,
};
use crate::rewrite::FieldCount;
use crate::telemetry::clean;

use super::super::canonical::canonical;
use super::super::content::MAX_LINE_BYTES;
use super::super::testing::{Place, begun, complete, lines};
use super::*;

fn route() -> Arc<RouteFacts> {
    let denial = DenialShape { status: None, content_type: "application/json".into(), body: "{}".into() };
    Arc::new(RouteFacts {
        name: "GET /api/v1/customers/{id}".into(),
        api: "crm".into(),
        resource: Some("customer".into()),
        action: Some(Action::Read),
        public: false,
        single: true,
        denial: Arc::new(denial),
        errors: None,
        remember: Arc::default(),
        rewrite_origin: false,
        body_as: Default::default(),
        request_headers: Vec::new(),
        response_headers: Vec::new(),
    })
}

fn principal(id: &str, name: &str) -> Principal {
    Principal::assumed(Assumed {
        id: id.into(),
        name: Some(name.into()),
        groups: vec!["crm-sales".into()],
        roles: Vec::new(),
        claims: serde_json::Map::new(),
        ip: IpAddr::from([10, 0, 0, 7]),
        mfa: true,
    })
}

fn counts() -> Counts {
    let count = |shown, masked, hidden| FieldCount { shown, masked, hidden };
    Counts {
        bytes_in: 500,
        bytes_out: 300,
        released: 2,
        withheld: 1,
        fields: Map::from([
            ("customer.name".into(), count(2, 0, 0)),
            ("customer.phone".into(), count(1, 1, 0)),
            ("customer.id_card".into(), count(0, 0, 2)),
            ("customer.never".into(), count(0, 0, 0)),
        ]),
        unknown: BTreeSet::from(["new_field".into()]),
        keys: vec!["42".into(), r"A\u002f7".into()],
        grants: BTreeSet::from(["roles.sales.permissions[0]".into()]),
        shares: Vec::new(),
    }
}

async fn written(write: impl FnOnce(&mut Record)) -> Value {
    let place = Place::new();
    let (log, _) = place.open();
    let mut record = log.begin(Uuid::from_u128(1), &super::super::testing::peer()).unwrap();
    write(&mut record);
    place.clock.advance(Duration::from_micros(1234));
    record.close().await.unwrap();
    let line = lines(&place.segment()).pop().unwrap();
    let mut line: Value = serde_json::from_str(&line).unwrap();
    line["record"].take()
}

#[tokio::test]
async fn a_record_says_who_did_what_to_which_records_and_what_came_of_it() {
    let record = written(|record| {
        record.request(&http::Method::GET, "/api/v1/customers/42?phone=13800138000#x");
        record.principal(&principal("li.na", "李娜"));
        record.route(&route());
        record.counts(counts());
        record.status(http::StatusCode::OK);
        record.upstream_status(http::StatusCode::PARTIAL_CONTENT);
        record.bytes(0, 300);
        record.outcome(Outcome::Complete);
    })
    .await;
    assert_eq!(
        record,
        json!({
            "action": "read",
            "api": "crm",
            "bytes_received": 0,
            "bytes_sent": 300,
            "closed": "2026-03-01T08:00:00.001234Z",
            "duration_us": 1234,
            "fields": {
                "hidden": ["customer.id_card"],
                "masked": ["customer.phone"],
                "shown": ["customer.name", "customer.phone"],
            },
            "grants": ["roles.sales.permissions[0]"],
            "id": "00000000-0000-0000-0000-000000000001",
            "keys": ["42", "A/7"],
            "listener": "main",
            "method": "GET",
            "outcome": "complete",
            "path": "/api/v1/customers/42",
            "peer": "10.0.0.7:40123",
            "principal": {
                "id": "li.na",
                "ip": "10.0.0.7",
                "issuer": "assumed",
                "kind": "person",
                "method": "assumed",
                "mfa": true,
                "name": "李娜",
            },
            "released": 2,
            "resource": "customer",
            "route": "GET /api/v1/customers/{id}",
            "status": 200,
            "time": "2026-03-01T08:00:00.000000Z",
            "tls": true,
            "type": "request",
            "unknown_fields": ["new_field"],
            "upstream_status": 206,
            "withheld": 1,
        })
    );
}

#[tokio::test]
async fn refusals_and_cuts_keep_their_reasons() {
    let denied = written(|record| {
        let reason = DenialReason::NoPermission { action: Action::Export, resource: "customer".into() };
        let (route, shape) = (Some(route()), None);
        record.denial(&Denial { reason, route, shape, policy_version: "p1".into() });
    })
    .await;
    assert_eq!(denied["outcome"], "denied");
    assert_eq!(denied["reason"], "no permission for `export` on `customer`");
    assert_eq!(denied["policy_version"], "p1");
    assert_eq!(denied["route"], "GET /api/v1/customers/{id}");

    let refused = written(|record| record.outcome(Outcome::Refused("no credential\n".into()))).await;
    assert_eq!((&refused["outcome"], &refused["reason"]), (&json!("refused"), &json!("no credential\\u{a}")));

    let cut = written(|record| {
        record.outcome(Outcome::Cut("limit `daily reading` exceeded".into()));
        record.limit(&Limited {
            limit: "daily reading".into(),
            retry_after: Duration::ZERO,
            unavailable: false,
            freezes: false,
            remaining: Vec::new(),
        });
    })
    .await;
    assert_eq!((&cut["outcome"], &cut["limits"]), (&json!("cut"), &json!(["daily reading"])));
}

#[tokio::test]
async fn a01_whatever_the_texts_hold_a_record_is_one_canonical_line() {
    let mut texts: Vec<String> =
        ["a\nb", "\r\n{\"hash\":\"", "\u{2028}", "\u{0}", "\"}", "\\", "\u{202e}", "é\u{301}"]
            .map(str::to_owned)
            .into();
    let naughty = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/suites/blns/blns.json");
    if let Ok(json) = std::fs::read_to_string(naughty) {
        texts.extend(serde_json::from_str::<Vec<String>>(&json).unwrap());
    }
    let place = Place::new();
    let (log, _) = place.open();
    for text in &texts {
        let mut record = begun(&log, 1);
        record.request(&http::Method::GET, text);
        record.principal(&principal(text, text));
        record.outcome(Outcome::Refused(text.clone()));
        let quoted = serde_json::to_string(text).unwrap();
        let key = quoted.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
        record.counts(Counts {
            keys: vec![key.into()],
            unknown: BTreeSet::from([text.as_str().into()]),
            ..counts()
        });
        record.close().await.unwrap();
    }
    let lines = lines(&place.segment());
    assert_eq!(lines.len(), texts.len() + 2);
    for (line, text) in lines[2..].iter().zip(&texts) {
        let value: Value = serde_json::from_str(line).unwrap();
        assert_eq!(canonical(&value).unwrap(), line.as_bytes());
        assert!(!line.bytes().any(|b| b < 0x20), "{line}");
        assert_eq!(value["record"]["principal"]["id"], clean(text, NAME_CAP));
        assert_eq!(value["record"]["keys"][0], clean(text, NAME_CAP));
    }
    assert_eq!(place.verify().findings, []);
}

#[tokio::test]
async fn the_longest_record_stays_below_the_longest_line() {
    let place = Place::new();
    let (log, _) = place.open();
    // Four bytes a character, doubled by JSON where that is possible, beyond every cap.
    for (character, length) in [('\u{1f600}', 5000), ('"', 5000), ('\\', 5000), ('\u{0}', 5000)] {
        let text = character.to_string().repeat(length);
        let many: Vec<Arc<str>> = (0..1000).map(|n| format!("{text}{n}").into()).collect();
        let mut record = complete(&log, 1);
        record.request(&http::Method::GET, &text);
        record.principal(&principal(&text, &text));
        record.counts(Counts {
            fields: many.iter().map(|f| (f.clone(), FieldCount { shown: 1, masked: 1, hidden: 1 })).collect(),
            unknown: many.iter().map(|f| (&**f).into()).collect(),
            keys: many.iter().map(|f| (&**f).into()).collect(),
            grants: many.iter().cloned().collect(),
            ..counts()
        });
        let change = |name: &Arc<str>| FieldChange {
            resource: name.clone(),
            field: name.clone(),
            from: Treatment::Masked(name.clone()),
            to: Treatment::Hidden,
            possible: true,
        };
        let foreseen = |of| Foreseen {
            of,
            effect: ShadowEffect::Change,
            reason: Some(text.as_str().into()),
            rules: many.clone(),
            version: text.as_str().into(),
            about: None,
            difference: Arc::new(Difference {
                fields: many.iter().map(change).collect(),
                records: many.iter().map(|name| (name.clone(), RecordsChange::Fewer)).collect(),
                envelope: true,
            }),
        };
        record.foreseen(vec![foreseen(ShadowOf::Rules), foreseen(ShadowOf::Policy)]);
        if let Some((draft, ..)) = &mut record.0 {
            draft.roles.clone_from(&many);
            draft.rules.clone_from(&many);
            draft.operations = many.iter().map(|text| (&**text).into()).collect();
        }
        for _ in 0..1000 {
            record.limit(&Limited {
                limit: text.as_str().into(),
                retry_after: Duration::ZERO,
                unavailable: false,
                freezes: false,
                remaining: Vec::new(),
            });
        }
        record.outcome(Outcome::Cut(text.clone()));
        record.close().await.unwrap();
        let line = lines(&place.segment()).pop().unwrap();
        assert!(line.len() < MAX_LINE_BYTES, "{} bytes of `{character}`", line.len());
        let record = &serde_json::from_str::<Value>(&line).unwrap()["record"];
        assert_eq!(record["capped"], true);
        assert_eq!(record["keys"].as_array().unwrap().len(), KEYS_CAP);
        assert_eq!(record["released"], 2);
        assert_eq!(record["shadow"]["policy"]["fields"].as_array().unwrap().len(), SHADOW_CAP);
    }
    assert_eq!(place.verify().findings, []);
}
