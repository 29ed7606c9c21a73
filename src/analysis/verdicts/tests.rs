use super::super::{Caller, admit, screen};
use super::*;
use crate::policy::{Loaded, MaskKeys, Purpose};

const POLICY: &str = r#"
labels: [public, contact, identity]
masks: { ends: { keep: { first: 3, last: 4 } } }
resources:
  customer:
    key: id
    fields: { public: [id, owner, region], contact: [phone], identity: [id_card] }
    relations: { "notes[*]": note }
  note: { key: id, fields: { public: [id, by] } }
apis:
  crm:
    routes:
      - { match: GET /customers, action: list, resource: customer, records: "$.data[*]" }
      - { match: GET /lines, action: list, resource: customer, format: ndjson }
      - { match: GET /table, action: export, resource: customer, format: csv, columns: { Telephone: phone } }
      - { match: GET /tabs, action: export, resource: customer, format: tsv }
      - { match: GET /events, action: list, resource: customer, format: sse }
      - { match: GET /texts, action: list, resource: customer, format: json-seq }
roles:
  sales:
    permissions:
      - { resource: customer, actions: [list, export], records: record.owner == principal.id, fields: { show: [public, identity, contact] } }
      - { resource: customer, actions: [list, export], records: record.region == "east", fields: { show: [public], mask: { phone: ends } } }
      - { resource: note, actions: [read], records: record.by == principal.id, fields: { show: [public] } }
bindings: [{ role: sales, users: [ann] }]
guards:
  - { name: inside, on: { labels: [identity] }, require: principal.mfa }
"#;

const ANSWER: &str = r#"{"data":[
  {"id":1,"owner":"ann","region":"west","phone":"13800138000","id_card":"x","odd":1,"notes":[{"id":7,"by":"ann"},{"id":8,"by":"bob"}]},
  {"id":2,"owner":"bob","region":"east","phone":"13900139000","id_card":"y"},
  {"id":3,"owner":"bob","region":"west","phone":"13700137000"}]}"#;

fn explained(line: &str, answer: &str) -> (Result<Vec<RecordVerdict>, Unexplained>, Vec<u8>) {
    let policy = Loaded::from_texts(&[("p.yaml", POLICY)], &MaskKeys::Assumed, Purpose::Check);
    let Some(plan) = &policy.plan else { panic!("{}", policy.report.to_text(false)) };
    let caller = Caller {
        id: "ann".into(),
        groups: Vec::new(),
        roles: Vec::new(),
        claims: serde_json::Map::new(),
        name: None,
        ip: [127, 0, 0, 1].into(),
        mfa: false,
    };
    let (method, target) = line.split_once(' ').unwrap();
    let request = http::Request::builder().method(method).uri(target).body(bytes::Bytes::new()).unwrap();
    let now = "2026-11-20T04:00:00Z".parse().unwrap();
    let permit = admit(plan, &caller.principal(), request, None, now).unwrap();
    let served = screen(&permit, http::StatusCode::OK, answer.as_bytes()).body.unwrap_or_default();
    (verdicts(plan, &permit, answer.as_bytes()), served)
}

/// `path outcome by`, a line for each value.
fn lines(record: &RecordVerdict) -> Vec<String> {
    let by = |field: &FieldVerdict| {
        let by: Vec<_> =
            field.by.iter().map(|(name, _)| name.trim_start_matches("roles.sales.").to_owned()).collect();
        by.join("+")
    };
    record.fields.iter().map(|field| format!("{} {:?} {}", field.path, field.outcome, by(field))).collect()
}

#[test]
fn every_value_is_explained_by_what_decided_it() {
    let (found, _) = explained("GET /customers", ANSWER);
    let found = found.unwrap();
    assert_eq!(
        lines(&found[0]),
        [
            "id Shown permissions[0]",
            "owner Shown permissions[0]",
            "region Shown permissions[0]",
            "phone Shown permissions[0]",
            "id_card Guarded guards.inside",
            "odd Unlabelled ",
        ]
    );
    assert_eq!(found[0].permissions.iter().map(|p| p.applies).collect::<Vec<_>>(), [true, false]);
    assert_eq!(found[0].fields[0].by[0].1.as_deref(), Some("p.yaml:22"));
    assert_eq!(lines(&found[1])[3], "phone Masked(\"ends\") permissions[1]");
    assert!(found[1].released && !found[2].released);
    assert_eq!(lines(&found[2])[3], "phone NotGiven permissions[0]+permissions[1]");
    let notes: Vec<_> = found[0].related.iter().map(|note| (note.place.as_str(), note.released)).collect();
    assert_eq!(notes, [("$.data[0].notes[0]", true), ("$.data[0].notes[1]", false)]);
}

/// What is said is what is served: every value that is shown or masked is there, and no other.
#[test]
fn what_is_explained_is_what_is_served() {
    let (found, served) = explained("GET /customers", ANSWER);
    let served: Value = serde_json::from_slice(&served).unwrap();
    let released: Vec<_> = found.unwrap().into_iter().filter(|record| record.released).collect();
    assert_eq!(served["data"].as_array().unwrap().len(), released.len());
    for (record, served) in released.iter().zip(served["data"].as_array().unwrap()) {
        for field in &record.fields {
            let passes = matches!(field.outcome, Outcome::Shown | Outcome::Masked(_));
            assert_eq!(served.get(&field.path).is_some(), passes, "{field:?} in {served}");
        }
        let notes = served["notes"].as_array().map_or(0, Vec::len);
        assert_eq!(notes, record.related.iter().filter(|note| note.released).count());
    }
}

#[test]
fn lines_are_records() {
    let (found, _) = explained("GET /lines", "{\"id\":1,\"owner\":\"ann\"}\n\n{\"id\":2}\n");
    let found: Vec<_> = found.unwrap().into_iter().map(|record| (record.place, record.released)).collect();
    assert_eq!(found, [("line 1".to_owned(), true), ("line 2".to_owned(), false)]);
}

/// One of three records is the caller's own, one in the region, one is neither.
const OWN: &str = r#"{"id":1,"owner":"ann","region":"west","phone":"13800138000","odd":1}"#;
const EAST: &str = r#"{"id":2,"owner":"bob","region":"east","phone":"13900139000"}"#;
const OTHER: &str = r#"{"id":3,"owner":"bob","region":"west","phone":"13700137000"}"#;

#[test]
fn events_and_texts_are_records_that_are_explained_as_they_are_served() {
    let events = format!(": ping\n\ndata: {OWN}\n\nid: 7\ndata: {EAST}\n\ndata: {OTHER}\n\n");
    let texts = format!("\u{1e}{OWN}\n\u{1e}{EAST}\n\u{1e}{OTHER}\n");
    for (line, answer, unit) in [("GET /events", events, "event"), ("GET /texts", texts, "text")] {
        let (found, served) = explained(line, &answer);
        let (found, served) = (found.unwrap(), String::from_utf8(served).unwrap());
        let fates: Vec<_> = found.iter().map(|record| (record.place.as_str(), record.released)).collect();
        let places = [1, 2, 3].map(|number| format!("{unit} {number}"));
        assert_eq!(fates, [(&*places[0], true), (&*places[1], true), (&*places[2], false)], "{line}");
        assert!(lines(&found[0]).contains(&"odd Unlabelled ".to_owned()));
        assert_eq!(lines(&found[1])[3], "phone Masked(\"ends\") permissions[1]");
        assert!(served.contains("13800138000") && served.contains("139****9000"), "{served}");
        assert!(!served.contains("137") && !served.contains("odd"), "{served}");
    }
    let cut = "data: {\n\n";
    assert!(matches!(explained("GET /events", cut).0, Err(Unexplained::NotJson(_))));
    assert!(matches!(explained("GET /texts", "\u{1e}{\"id\":").0, Err(Unexplained::NotJson(_))));
}

#[test]
fn rows_are_records_that_are_explained_as_they_are_served() {
    let table = "id,owner,region,Telephone,odd,id_card\r\n1,ann,west,13800138000,x,y\r\n\r\n2,\"bob\",east,13900139000,,\r\n3,bob,west,\"13700137000\",\"a,\n\"\"b\",z\r\n";
    let tabs = table.replace(',', "\t").replace("\"a\t", "\"a,").replace("Telephone", "phone");
    for (line, answer) in [("GET /table", table.to_owned()), ("GET /tabs", tabs)] {
        let (found, served) = explained(line, &answer);
        let (found, served) = (found.unwrap(), String::from_utf8(served).unwrap());
        let fates: Vec<_> = found.iter().map(|record| (record.place.as_str(), record.released)).collect();
        assert_eq!(fates, [("row 1", true), ("row 2", true), ("row 3", false)], "{line}");
        assert_eq!(
            lines(&found[0])[3..],
            ["phone Shown permissions[0]", "odd Unlabelled ", "id_card Guarded guards.inside"]
        );
        assert_eq!(lines(&found[1])[3], "phone Masked(\"ends\") permissions[1]");
        assert!(served.contains("13800138000") && served.contains("139****9000"), "{served}");
        assert!(!served.contains("137") && !served.contains("odd"), "{served}");
    }
    assert_eq!(explained("GET /table", "").0.unwrap().len(), 0);
    assert_eq!(explained("GET /table", "id,owner\n").0.unwrap().len(), 0);
    for broken in ["id,owner\n1\n", "id,owner\n1,a,b\n", "id,owner\n\"1,a\n", "id\"x,owner\n1,a\n"] {
        assert!(matches!(explained("GET /table", broken).0, Err(Unexplained::NotTable(_))), "{broken}");
    }
    let many = format!("id,owner\n{}", "1,ann\n".repeat(MOST_RECORDS + 1));
    assert_eq!(explained("GET /table", &many).0.unwrap_err(), Unexplained::TooMany);
}

#[test]
fn a_label_that_forgot_a_list_is_named() {
    let policy = POLICY
        .replace("public: [id, owner, region]", "public: [id, owner, region, parts.sku, \"tags[*].name\"]");
    let policy = Loaded::from_texts(&[("p.yaml", &policy)], &MaskKeys::Assumed, Purpose::Check);
    let plan = policy.plan.unwrap();
    let meant = |path: &str| meant(&plan, "customer", &Path::parse_field(path).unwrap());
    assert_eq!(meant("parts[*].sku").as_deref(), Some("parts.sku"));
    assert_eq!(meant("parts[*].sku.code").as_deref(), Some("parts.sku"));
    assert_eq!(meant("tags.name").as_deref(), Some("tags[*].name"));
    assert_eq!(meant("parts[*].price"), None);
    assert_eq!(meant("parts.sku"), None);
}

#[test]
fn hostile_answers_are_refused_not_followed() {
    assert!(matches!(explained("GET /customers", "{\"data\":[").0, Err(Unexplained::NotJson(_))));
    let many = format!("{{\"data\":[{}1]}}", "{},".repeat(MOST_RECORDS));
    assert_eq!(explained("GET /customers", &many).0.unwrap_err(), Unexplained::TooMany);
    let deep = format!("{{\"data\":[{{\"id\":{}1{}}}]}}", "[".repeat(100), "]".repeat(100));
    assert_eq!(explained("GET /customers", &deep).0.unwrap().len(), 1);
    assert_eq!(explained("GET /customers", r#"{"data":[1,null,"x"]}"#).0.unwrap().len(), 0);
    assert_eq!(explained("GET /customers", r#"{"data":5}"#).0.unwrap().len(), 0);
}
