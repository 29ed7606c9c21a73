use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::super::names::Kind;
use super::super::vocabulary::{MAX_FIELDS, MAX_RESOURCES, MAX_ROUTES};
use super::*;

fn declared() -> Metrics {
    let metrics = Metrics::new();
    metrics.declare(&Vocabulary {
        routes: BTreeSet::from(["GET /customers".into()]),
        actions: BTreeSet::from(["transfer".into()]),
        resources: BTreeSet::from(["customer".into()]),
        fields: BTreeSet::from([
            ("customer".into(), "bank.account".into()),
            ("customer".into(), "phone".into()),
        ]),
        limits: BTreeSet::from(["daily reading".into()]),
        apis: BTreeSet::from(["crm".into()]),
        listeners: BTreeSet::from(["main".into()]),
    });
    metrics
}

/// Everything that can be counted, once.
fn touch_everything(metrics: &Metrics) {
    let _running = metrics.request_begun();
    let _open = metrics.connection("main");
    metrics.request(seen("GET /customers", 200));
    metrics.stream_cut("malformed");
    metrics.stream_aborted();
    metrics.received(Side::Downstream, 1);
    metrics.sent(Side::Upstream, 2);
    metrics.records("customer", 3, 4);
    metrics.fields([("customer.phone", 1, 2, 3)]);
    metrics.unknown_fields("customer", 5);
    metrics.foreseen("crm", "read", "policy", "refuse");
    metrics.fields_foreseen([("customer", "phone", "hidden")]);
    metrics.shadow_policy(Some("def"));
    metrics.limit_refused("daily reading");
    metrics.limit_warned("daily reading");
    metrics.limit_froze("daily reading");
    metrics.frozen(2);
    metrics.frozen_refused();
    metrics.acts_waiting(3);
    metrics.limit_failed("daily reading");
    metrics.limit_used("daily reading", 0.5);
    metrics.upstream_answered("crm", Duration::from_millis(1));
    metrics.upstream_finished("crm", Duration::from_millis(2));
    metrics.upstream_failed("crm", UpstreamFailure::Timeout);
    metrics.upstream_retried("crm", "connect");
    metrics.upstream_credential("crm", true);
    metrics.upstream_left_alone("crm");
    metrics.upstream_load("crm", 1, 0, 2);
    metrics.policy_loaded("abc", "2026-03-01T08:00:00Z".parse().unwrap());
    metrics.policy_rejected();
    metrics.connection_refused("tls");
    metrics.authentication("jwt", false);
    metrics.key_set_fetched(true);
    metrics.identity_asked("introspection", true);
    metrics.audit_written("complete");
    metrics.audit_write(Duration::from_millis(1));
    metrics.audit_failed();
    metrics.audit_suppressed();
    metrics.audit_state(true, 6);
    metrics.log_lines_dropped("access", 7);
}

fn seen(route: &str, status: u16) -> RequestSeen<'_> {
    RequestSeen {
        route: Some(route),
        action: Some("list"),
        status,
        decision: Decision::Permitted,
        duration: Duration::from_millis(3),
    }
}

/// Series by name and labels.
fn series(metrics: &Metrics) -> BTreeMap<String, f64> {
    let text = metrics.encode();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(k, v)| (k.to_owned(), v.parse().unwrap()))
        .collect()
}

fn value(metrics: &Metrics, name: &str) -> f64 {
    *series(metrics).get(name).unwrap_or_else(|| panic!("no series {name} in {}", metrics.encode()))
}

#[test]
fn everything_counted_stands_in_the_table_and_everything_in_the_table_is_counted() {
    let metrics = declared();
    touch_everything(&metrics);
    let families = metrics.registry.gather();
    let found: BTreeSet<&str> = families.iter().map(|family| family.name()).collect();
    let table: BTreeSet<&str> = names::ALL.iter().map(|metric| metric.name).collect();
    let process: BTreeSet<&str> = names::PROCESS.iter().copied().collect();
    assert_eq!(found, table.union(&process).copied().collect());
    for family in &families {
        let Some(metric) = names::ALL.iter().find(|metric| metric.name == family.name()) else { continue };
        assert_eq!(family.help(), metric.help);
        let kind = match family.get_field_type() {
            prometheus::proto::MetricType::COUNTER => Kind::Counter,
            prometheus::proto::MetricType::GAUGE => Kind::Gauge,
            _ => Kind::Histogram,
        };
        assert_eq!(kind, metric.kind, "{}", metric.name);
        let labels: BTreeSet<&str> = family.get_metric()[0].get_label().iter().map(|l| l.name()).collect();
        assert_eq!(labels, metric.labels.iter().copied().collect(), "{}", metric.name);
    }
}

#[test]
fn numbers_arrive_under_their_labels() {
    let metrics = declared();
    touch_everything(&metrics);
    for (name, expected) in [
        (
            "fieldgate_requests_total{action=\"list\",decision=\"permitted\",route=\"GET /customers\",status=\"200\"}",
            1.0,
        ),
        ("fieldgate_requests_in_flight", 0.0),
        ("fieldgate_connections_open{listener=\"main\"}", 0.0),
        ("fieldgate_received_bytes_total{side=\"downstream\"}", 1.0),
        ("fieldgate_sent_bytes_total{side=\"upstream\"}", 2.0),
        ("fieldgate_records_released_total{resource=\"customer\"}", 3.0),
        ("fieldgate_records_withheld_total{resource=\"customer\"}", 4.0),
        ("fieldgate_fields_total{access=\"hidden\",field=\"phone\",resource=\"customer\"}", 3.0),
        ("fieldgate_policy_info{version=\"abc\"}", 1.0),
        ("fieldgate_policy_last_reload_success", 0.0),
        ("fieldgate_policy_last_reload_success_timestamp_seconds", 1_772_352_000.0),
        ("fieldgate_log_lines_dropped_total{log=\"access\"}", 7.0),
        ("fieldgate_limit_use_ratio_bucket{limit=\"daily reading\",le=\"0.5\"}", 1.0),
    ] {
        assert!((value(&metrics, name) - expected).abs() < f64::EPSILON, "{name}");
    }
    let open = metrics.connection("main");
    assert!((value(&metrics, "fieldgate_connections_open{listener=\"main\"}") - 1.0).abs() < f64::EPSILON);
    drop(open);
}

#[test]
fn only_one_policy_version_is_in_force() {
    let metrics = Metrics::new();
    metrics.policy_loaded("one", Timestamp::UNIX_EPOCH);
    metrics.policy_loaded("two", Timestamp::UNIX_EPOCH);
    let versions: Vec<_> =
        series(&metrics).into_keys().filter(|k| k.starts_with("fieldgate_policy_info")).collect();
    assert_eq!(versions, ["fieldgate_policy_info{version=\"two\"}"]);
}

#[test]
fn what_nobody_declared_makes_no_series_of_its_own() {
    let metrics = declared();
    for n in 0..5000_u32 {
        let name = format!("made up {n}");
        let status = u16::try_from(n % 1000).unwrap();
        metrics.request(RequestSeen { action: Some(&name), ..seen(&name, status) });
        metrics.records(&name, 1, 1);
        metrics.fields([(name.as_str(), 1, 1, 1), (format!("customer.{name}").as_str(), 1, 1, 1)]);
        metrics.unknown_fields(&name, 1);
        metrics.limit_refused(&name);
        metrics.limit_used(&name, 1.0);
        metrics.upstream_failed(&name, UpstreamFailure::Connect);
        metrics.upstream_answered(&name, Duration::ZERO);
        drop(metrics.connection(&name));
    }
    let series = series(&metrics);
    assert!(series.len() < 300, "{} series", series.len());
    assert!(!series.keys().any(|name| name.contains("made up")));
    let other = "fieldgate_fields_total{access=\"shown\",field=\"other\",resource=\"other\"}";
    assert!((series[other] - 5000.0).abs() < f64::EPSILON);
    let field = "fieldgate_fields_total{access=\"shown\",field=\"other\",resource=\"customer\"}";
    assert!((series[field] - 5000.0).abs() < f64::EPSILON);
}

#[test]
fn names_beyond_the_caps_are_counted_as_other_over_any_number_of_reloads() {
    let metrics = Metrics::new();
    for reload in 0..5 {
        metrics.declare(&Vocabulary {
            routes: (0..400).map(|n| format!("GET /{reload}/{n}").into()).collect(),
            resources: (0..100).map(|n| format!("r{reload}x{n}").into()).collect(),
            fields: (0..1000).map(|n| (format!("r{reload}").into(), format!("f{n}").into())).collect(),
            ..Vocabulary::default()
        });
        for n in 0..1000 {
            metrics.request(seen(&format!("GET /{reload}/{n}"), 200));
            metrics.records(&format!("r{reload}x{n}"), 1, 0);
        }
    }
    let series = series(&metrics);
    let count = |name: &str| series.keys().filter(|k| k.starts_with(name)).count();
    assert_eq!(count("fieldgate_requests_total{"), MAX_ROUTES + 1);
    assert_eq!(count("fieldgate_records_released_total{"), MAX_RESOURCES + 1);
    assert_eq!(count("fieldgate_fields_total{"), MAX_FIELDS * 3);
}

#[test]
fn label_values_are_escaped_in_the_text() {
    let metrics = Metrics::new();
    metrics.declare(&Vocabulary { apis: BTreeSet::from(["a\"b\\c\nd".into()]), ..Vocabulary::default() });
    metrics.upstream_failed("a\"b\\c\nd", UpstreamFailure::Tls);
    let text = metrics.encode();
    assert!(text.contains("{api=\"a\\\"b\\\\c\\nd\",kind=\"tls\"} 1"), "{text}");
}
