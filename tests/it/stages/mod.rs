//! The stages from the decision to the answer, without listener, identity and accounts: what is asked goes through
//! `policy`, `request`, `upstream` and `response` as the pipeline joins them, to a scripted upstream.

mod request;
mod response;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use fieldgate::base::{Clock, SystemClock};
use fieldgate::identity::{Assumed, Principal};
use fieldgate::policy::{Denial, Loaded, MaskKeys, Plan, Purpose};
use fieldgate::request::{self as narrowing, Refused, RequestBounds};
use fieldgate::response::{self as screening, ClientFacts, Outcome, StreamError, Unscreenable};
use fieldgate::rewrite::Counts;
use fieldgate::telemetry::Metrics;
use fieldgate::upstream::{Http2, UpstreamConfig, UpstreamError, Upstreams};
use http::Request;
use http_body::Body as _;
use http_body_util::{BodyExt, Full};

use crate::support::upstream::{Act, Upstream};

/// A policy with a bit of everything, and one scripted upstream.
struct Stages {
    plan: Plan,
    upstreams: Upstreams,
    crm: Upstream,
    clock: SystemClock,
}

/// Why nothing came.
#[derive(Debug)]
enum Refusal {
    Denied(Box<Denial>),
    Refused(Refused),
    NotReleased,
    Upstream(UpstreamError),
    Unscreenable(Unscreenable),
}

/// What came.
#[derive(Debug)]
struct Answered {
    head: http::response::Parts,
    body: Vec<u8>,
    /// Why the stream broke off, if it did.
    cut: Option<StreamError>,
    outcome: Outcome,
    counts: Counts,
    /// What was known of the length before the first byte.
    length: Option<u64>,
}

impl Stages {
    async fn new(
        script: impl Fn(&crate::support::upstream::Received) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        Self::with(Upstream::start(script).await, |_| {})
    }

    fn with(crm: Upstream, change: impl FnOnce(&mut UpstreamConfig)) -> Self {
        let loaded = Loaded::from_texts(&[("policy.yaml", POLICY)], &MaskKeys::Assumed, Purpose::Serve);
        let complaints = loaded.report.diagnostics().to_vec();
        let plan = loaded.plan.unwrap_or_else(|| panic!("{complaints:#?}"));
        let mut config = UpstreamConfig {
            http2: Http2::Never,
            max_connections: 64,
            max_pending: 0,
            compression: true,
            ..UpstreamConfig::new("crm".into(), crm.url().parse().expect("a url"))
        };
        change(&mut config);
        let upstreams = Upstreams::new([config], Arc::new(SystemClock::new()), &Arc::new(Metrics::new()))
            .expect("an upstream");
        Self { plan, upstreams, crm, clock: SystemClock::new() }
    }

    /// The life of one request, as `proxy` has it.
    async fn ask(&self, who: &str, request: Request<Full<Bytes>>) -> Result<Answered, Refusal> {
        let (head, body) = request.into_parts();
        let operation = self.plan.operation(&head, None)?;
        let permit = self.plan.decide(&principal(who), operation, self.clock.now())?;
        let client = ClientFacts::of(&head, false);
        let mut applied = None;
        if let (Some(read), Some(rule)) = (narrowing::pre_read(&permit, &head)?, permit.pre_read()) {
            let current = self.upstreams.send(&permit, read).await?;
            applied = screening::judge(&permit, rule, current).await?;
            if applied.is_none() {
                return Err(Refusal::NotReleased);
            }
        }
        let request = Request::from_parts(head, body);
        let bounds = RequestBounds::default();
        let request = narrowing::apply(&permit, applied.as_ref(), request, &bounds).await?;
        let answer = self.upstreams.send(&permit, request).await?;
        let (head, mut body) = screening::transform(&permit, answer, &client).await?.into_parts();
        let length = body.size_hint().exact();
        let mut bytes = Vec::new();
        let mut cut = None;
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => bytes.extend_from_slice(&frame.into_data().expect("only data")),
                Err(error) => {
                    cut = Some(error);
                    break;
                }
            }
        }
        let (outcome, counts) = (body.outcome(), body.counts().clone());
        Ok(Answered { head, body: bytes, cut, outcome, counts, length })
    }

    async fn get(&self, who: &str, target: &str) -> Result<Answered, Refusal> {
        self.ask(who, get(target)).await
    }
}

impl Answered {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).map(|value| value.to_str().expect("a text"))
    }

    /// The whole text of an answer that came to its end.
    fn whole(&self) -> &str {
        assert_eq!(self.outcome, Outcome::Complete, "{:?}", self.cut);
        self.text()
    }
}

fn principal(who: &str) -> Principal {
    Principal::assumed(Assumed {
        id: who.into(),
        name: None,
        groups: vec![who.into()],
        roles: Vec::new(),
        claims: serde_json::Map::new(),
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        mfa: false,
    })
}

fn get(target: &str) -> Request<Full<Bytes>> {
    Request::get(target).body(Full::default()).expect("a request")
}

fn json(method: &str, target: &str, body: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(target)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .expect("a request")
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Denied(Box::new(denial))
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<UpstreamError> for Refusal {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

impl From<Unscreenable> for Refusal {
    fn from(error: Unscreenable) -> Self {
        Self::Unscreenable(error)
    }
}

/// `reader` sees names of all customers, `seller` the whole of own ones and masked phones of all; nobody sees `pin`.
const POLICY: &str = r#"
labels: [public, contact, secret]

resources:
  customer:
    key: id
    fields:
      public: [id, name, owner_id, tags]
      contact: [phone, bank.account]
      secret: [pin]

apis:
  crm:
    routes:
      - match: GET /customers
        action: list
        resource: customer
        records: $.data[*]
        envelope: { keep: [page], total: $.total }
        query: { select: fields, sort: order, filter: [name, phone], page_size: { param: limit, max: 50 }, pass: [page] }
      - { match: "GET /customers/{id}", action: read, resource: customer, records: $.data }
      - { match: "PUT /customers/{id}", action: update, resource: customer, body: $, records: $.data }
      - { match: POST /customers, action: create, resource: customer, body: $, records: $.data }
      - { match: "DELETE /customers/{id}", action: delete, resource: customer, records: $.data, envelope: { keep: [deleted] } }
      - { match: GET /lines, action: list, resource: customer, format: ndjson }
      - { match: GET /bulk, when: { query kind: json }, action: export, resource: customer, records: "$[*]" }
      - { match: GET /bulk, when: { header X-Kind: lines }, action: export, resource: customer, format: ndjson }
      - { match: GET /table, action: export, resource: customer, format: csv }
      - { match: GET /status, public: true }
      - { match: POST /hook, public: true }

masks:
  phone: { keep: { first: 3, last: 4 } }

roles:
  reader:
    permissions:
      - { resource: customer, actions: [list, read], fields: { show: [public] } }
  seller:
    permissions:
      - { resource: customer, actions: [list, read, export], fields: { show: [public], mask: { phone: phone } } }
      - resource: customer
        actions: [list, read, update, create, delete]
        records: record.owner_id == principal.id
        fields: { show: [contact], edit: [name, phone, tags, bank.account] }
  own:
    permissions:
      - resource: customer
        actions: [list, read, delete]
        records: record.owner_id == principal.id
        fields: { show: [public] }
  manager:
    permissions:
      - resource: customer
        actions: [list, read, update, create, delete, export]
        fields: { show: [public, contact], edit: [name, phone, tags, owner_id] }

bindings:
  - { role: reader, groups: [reader] }
  - { role: seller, groups: [seller] }
  - { role: own, groups: [own] }
  - { role: manager, groups: [manager] }
"#;
