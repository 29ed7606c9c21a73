use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::identity::{Assumed, Principal};
use crate::policy::{Action, DenialShape, RouteFacts};
use crate::rewrite::{Counts, FieldCount};

use super::super::testing::{Place, begun, complete};
use super::super::{AuditLog, Event, Outcome};
use super::*;

fn route(resource: &str, action: Action) -> Arc<RouteFacts> {
    let denial = DenialShape { status: None, content_type: "application/json".into(), body: "{}".into() };
    Arc::new(RouteFacts {
        name: format!("GET /api/{resource}").into(),
        api: "crm".into(),
        resource: Some(resource.into()),
        action: Some(action),
        public: false,
        single: false,
        denial: Arc::new(denial),
        errors: None,
        remember: Arc::default(),
        rewrite_origin: false,
        body_as: Default::default(),
        request_headers: Vec::new(),
        response_headers: Vec::new(),
    })
}

async fn read(log: &AuditLog, n: u32, who: &str, resource: &str, released: u64, keys: &[&str]) {
    let mut record = begun(log, n);
    record.principal(&Principal::assumed(Assumed {
        id: who.into(),
        name: Some(format!("Name of {who}").into()),
        groups: Vec::new(),
        roles: Vec::new(),
        claims: serde_json::Map::new(),
        ip: [10, 0, 0, 7].into(),
        mfa: false,
    }));
    record.route(&route(resource, if released > 1 { Action::List } else { Action::Read }));
    let shown = FieldCount { shown: 1, ..FieldCount::default() };
    let hidden = FieldCount { hidden: 1, ..FieldCount::default() };
    record.counts(Counts {
        released,
        keys: keys.iter().map(|key| (*key).into()).collect(),
        fields: [
            (format!("{resource}.bank.account").into(), shown),
            (format!("{resource}.phone").into(), if who == "li.na" { shown } else { hidden }),
        ]
        .into(),
        ..Counts::default()
    });
    record.outcome(Outcome::Complete);
    record.close().await.unwrap();
}

/// Five requests, an hour apart.
async fn log() -> Place {
    let place = Place::new();
    let (log, _) = place.open();
    let hour = Duration::from_secs(3600);
    read(&log, 1, "li.na", "customer", 1, &["42"]).await;
    place.clock.advance(hour);
    read(&log, 2, "wang.wei", "customer", 2, &["42", "43"]).await;
    place.clock.advance(hour);
    read(&log, 3, "wang.wei", "order", 1, &["42"]).await;
    place.clock.advance(hour);
    read(&log, 4, "li.na", "customer", 500, &["1", "2"]).await;
    place.clock.advance(hour);
    log.event(Event::new("policy", "2026-03-01T12:00:00Z".parse().unwrap()).with("version", "p2"))
        .await
        .unwrap();
    let mut denied = complete(&log, 5);
    denied.outcome(Outcome::Denied);
    denied.close().await.unwrap();
    log.shut().await;
    place
}

fn found(place: &Place, filter: Filter) -> (Vec<u64>, Gaps) {
    let mut search = Search::new(place.evidence().segments, filter);
    let ids = search
        .by_ref()
        .map(|found| found.unwrap().record["id"].as_str().and_then(|id| id.parse::<Uuid>().ok()))
        .map(|id| id.map_or(0, |id| u64::try_from(id.as_u128()).unwrap()))
        .collect();
    (ids, search.gaps())
}

fn text(text: &str) -> Option<String> {
    Some(text.into())
}

#[tokio::test]
async fn everything_that_is_given_must_fit() {
    let place = log().await;
    let any = Filter::default;
    for (filter, expected) in [
        (any(), &[1, 2, 3, 4, 5][..]),
        (Filter { who: text("li.na"), ..any() }, &[1, 4]),
        (Filter { who: text("Name of wang.wei"), ..any() }, &[2, 3]),
        (Filter { who: text("li"), ..any() }, &[]),
        (Filter { resource: text("customer"), ..any() }, &[1, 2, 4]),
        (Filter { route: text("/api/ord"), ..any() }, &[3]),
        (Filter { action: text("list"), ..any() }, &[2, 4]),
        (Filter { outcome: text("denied"), ..any() }, &[5]),
        (Filter { id: text("00000000-0000-0000-0000-000000000003"), ..any() }, &[3]),
        (Filter { field: text("phone"), ..any() }, &[1, 4]),
        (Filter { field: text("customer.bank.account"), ..any() }, &[1, 2, 4]),
        (Filter { field: text("bank.account"), resource: text("order"), ..any() }, &[3]),
        (Filter { since: "2026-03-01T09:00:00Z".parse().ok(), ..any() }, &[2, 3, 4, 5]),
        (Filter { until: "2026-03-01T09:00:00Z".parse().ok(), ..any() }, &[1]),
        (Filter { key: text("43"), resource: text("customer"), who: text("wang.wei"), ..any() }, &[2]),
    ] {
        assert_eq!(found(&place, filter.clone()).0, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn who_saw_customer_42_says_also_where_that_is_not_certain() {
    let place = log().await;
    let filter = Filter { key: text("42"), resource: text("customer"), ..Filter::default() };
    assert_eq!(found(&place, filter), (vec![1, 2], Gaps { unreadable: 0, uncertain: 1 }));
}

#[tokio::test]
async fn events_are_found_when_asked_for() {
    let place = log().await;
    let search = Search::new(place.evidence().segments, Filter { events: true, ..Filter::default() });
    let types: Vec<_> =
        search.map(|found| found.unwrap().record["type"].as_str().unwrap().to_owned()).collect();
    let expected =
        ["segment", "start", "request", "request", "request", "request", "event", "request", "stop"];
    assert_eq!(types, expected);
}

#[tokio::test]
async fn lines_that_cannot_be_read_are_counted() {
    let place = log().await;
    let mut file = File::options().append(true).open(place.segment()).unwrap();
    file.write_all(b"garbage\n{\"torn").unwrap();
    let (ids, gaps) = found(&place, Filter::default());
    assert_eq!((ids.len(), gaps.unreadable), (5, 1));
}

#[tokio::test]
async fn hostile_names_are_found_as_they_were_written() {
    let place = Place::new();
    let (log, _) = place.open();
    let name = "a\"\n\\\u{202e}王";
    read(&log, 1, name, "customer", 1, &["x"]).await;
    log.shut().await;
    assert_eq!(found(&place, Filter { who: text(name), ..Filter::default() }).0, [1]);
}
