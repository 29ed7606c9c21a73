//! Deciding about a request: the same with 10 roles as with 10,000 and a million bindings, and for a caller with one role
//! or with twenty. Every role has a condition of its own that reads a claim of its own.
//!
//! `cargo bench --bench decide`. The request is matched to its route and decided; nothing is sent. Times are
//! processor times. One more bench is the
//! rival: matching alone, which any gateway does.

#![expect(clippy::expect_used, reason = "a bench that cannot run stops")]

#[path = "rewrite/clock.rs"]
mod clock;

use std::fmt::Write;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, criterion_group, criterion_main};
use fieldgate::identity::{Assumed, Principal};
use fieldgate::policy::{Loaded, MaskKeys, Plan, Purpose};
use http::Request;
use http::request::Parts;
use jiff::Timestamp;

fn decide(criterion: &mut Criterion) {
    let now: Timestamp = "2026-11-23T02:00:00Z".parse().expect("a time");
    let head = head();
    let mut group = criterion.benchmark_group("decide");
    for (roles, bindings) in [(10, 10), (10_000, 10_000), (10_000, 1_000_000)] {
        let plan = plan(roles, bindings);
        let size = format!("{roles} roles, {bindings} bindings");
        group.bench_function(format!("{size}, match only"), |bencher| {
            bencher.iter_custom(|times| {
                clock::spent(|| {
                    for _ in 0..times {
                        black_box(plan.operation(black_box(&head), None).is_ok());
                    }
                })
            });
        });
        for held in [1, 20] {
            let principal = principal(held.min(roles));
            let decided = plan.decide(&principal, plan.operation(&head, None).expect("a route"), now);
            assert!(decided.is_ok(), "{:?}", decided.err());
            group.bench_function(format!("{size}, {held} held"), |bencher| {
                bencher.iter_custom(|times| {
                    clock::spent(|| {
                        for _ in 0..times {
                            let operation = plan.operation(black_box(&head), None).expect("a route");
                            black_box(plan.decide(black_box(&principal), operation, now).is_ok());
                        }
                    })
                });
            });
        }
    }
    group.finish();
}

/// A first request of a set of roles, which has to compile what later ones find.
fn first(criterion: &mut Criterion) {
    let now: Timestamp = "2026-11-23T02:00:00Z".parse().expect("a time");
    let head = head();
    let texts = policy(1_000, 1_000);
    let mut group = criterion.benchmark_group("decide");
    group.sample_size(10);
    group.bench_function("load 1000 roles and decide once", |bencher| {
        bencher.iter(|| {
            let plan = compile(&texts);
            let operation = plan.operation(&head, None).expect("a route");
            plan.decide(&principal(1), operation, now).is_ok()
        });
    });
    group.finish();
}

fn head() -> Parts {
    let target = "http://crm/api/v1/customers?limit=20&order_by=name";
    Request::get(target).body(()).expect("a request").into_parts().0
}

fn principal(held: usize) -> Principal {
    Principal::assumed(Assumed {
        id: "li.na".into(),
        name: None,
        groups: (0..held).map(|n| format!("group-{n}").into()).collect(),
        roles: Vec::new(),
        claims: serde_json::Map::from_iter([("region".to_owned(), "east".into())]),
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        mfa: false,
    })
}

fn plan(roles: usize, bindings: usize) -> Plan {
    compile(&policy(roles, bindings))
}

fn compile(text: &str) -> Plan {
    let loaded = Loaded::from_texts(&[("bench.yaml", text)], &MaskKeys::Assumed, Purpose::Serve);
    let report = loaded.report.to_text(false);
    loaded.plan.unwrap_or_else(|| unreachable!("{report}"))
}

/// As many roles as asked for, each with a condition of its own, each bound to a group of its own; further bindings give
/// one of them to a user each.
fn policy(roles: usize, bindings: usize) -> String {
    let mut text = POLICY.to_owned();
    text.push_str("roles:\n");
    for n in 0..roles {
        let _ = write!(
            text,
            "  role-{n}:\n    permissions:\n      - resource: customer\n        actions: [list, read]\n        \
             records: record.owner_id == principal.id || record.team == principal.claims.team_{n}\n        \
             fields: {{ show: [public], mask: {{ phone: phone }} }}\n"
        );
    }
    text.push_str("bindings:\n");
    for n in 0..roles {
        let _ = writeln!(text, "  - {{ role: role-{n}, groups: [group-{n}] }}");
    }
    for n in roles..bindings {
        let _ = writeln!(text, "  - {{ role: role-{}, users: [user-{n}] }}", n % roles);
    }
    text
}

const POLICY: &str = r#"
labels: [public, contact]
resources:
  customer:
    key: id
    fields:
      public: [id, name, industry, region, owner_id, team, status, tags, created_at]
      contact: [phone, email]
apis:
  crm:
    routes:
      - match: GET /api/v1/customers
        action: list
        resource: customer
        records: $.data[*]
        envelope: { total: $.total }
        query: { sort: order_by, filter: [name], page_size: { param: limit, max: 200 } }
      - { match: "GET /api/v1/customers/{id}", action: read, resource: customer, records: $.data }
masks:
  phone: { keep: { first: 3, last: 4 } }
"#;

criterion_group!(benches, decide, first);
criterion_main!(benches);
