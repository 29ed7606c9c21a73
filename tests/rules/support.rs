//! Policies, requests and answers in one line each. Everything goes the way of `fieldgate apply`.

use bytes::Bytes;
use fieldgate::analysis::{Caller, Refusal, admitted, screen};
use fieldgate::policy::{Loaded, MaskKeys, Plan, Purpose};
use fieldgate::rewrite::Counts;
use http::{Request, StatusCode};
use jiff::Timestamp;

/// A small CRM; what a test says beside it is merged with it.
pub(crate) const BASE: &str = r#"
labels: [public, contact, identity]
resources:
  customer:
    key: id
    fields:
      public:   [id, name, owner, region, status, tags, box.a, "lines[*].no"]
      contact:  [phone, email, box.b, "lines[*].price"]
      identity: [card, bank, amount]
    relations: { boss: person, "people[*]": person }
  person: { key: id, fields: { public: [id, name, team], contact: [phone] } }
  loose: { key: id, fields: { public: [id, box.a], contact: [phone, box.b, lines] }, unknown: show }
apis:
  crm:
    denial: { body: '{"no":{{code}},"why":{{message}}}' }
    routes:
      - match: GET /list
        action: list
        resource: customer
        records: $.data[*]
        envelope: { keep: [page, $.meta.next], total: $.total }
        query: { select: fields, sort: order_by, filter: [name, status, phone, card], search: q, page_size: { param: limit, max: 200 } }
      - { match: "GET /one/{id}", action: read, resource: customer, records: $.data }
      - { match: "PUT /one/{id}", action: update, resource: customer, body: $, records: $.data }
      - { match: "PATCH /one/{id}", action: update, resource: customer, body: $, records: $.data, on_uneditable: strip }
      - { match: POST /one, action: create, resource: customer, body: $, records: $.data }
      - { match: "DELETE /one/{id}", action: delete, resource: customer }
      - { match: GET /export, action: export, resource: customer, records: "$.data[*]", envelope: { total: $.total } }
      - { match: GET /lines, action: export, resource: customer, format: ndjson }
      - { match: GET /table, action: export, resource: customer, format: csv }
      - { match: GET /loose, action: list, resource: loose, records: "$[*]" }
      - { match: GET /people, action: list, resource: person, records: "$[*]" }
      - { match: GET /health, public: true }
masks:
  one:  { keep: { first: 1, last: 1 } }
  two:  { keep: { first: 2, last: 2 } }
  mail: { email: { keep_first: 1 } }
  near: { round: 1000 }
"#;

/// A policy beside [`BASE`], as it was read.
pub(crate) fn read(rest: &str) -> Loaded {
    Loaded::from_texts(&[("base.yaml", BASE), ("p.yaml", rest)], &MaskKeys::Assumed, Purpose::Check)
}

/// A policy beside [`BASE`] that must be right.
pub(crate) fn plan(rest: &str) -> Plan {
    right(read(rest))
}

/// A policy by itself that must be right.
pub(crate) fn alone(text: &str) -> Plan {
    right(Loaded::from_texts(&[("p.yaml", text)], &MaskKeys::Assumed, Purpose::Check))
}

fn right(loaded: Loaded) -> Plan {
    let report = loaded.report.to_text(false);
    loaded.plan.unwrap_or_else(|| panic!("{report}"))
}

/// What is to be said about a policy beside [`BASE`]: codes and messages.
pub(crate) fn said(rest: &str) -> Vec<String> {
    complaints(&read(rest))
}

pub(crate) fn complaints(loaded: &Loaded) -> Vec<String> {
    let all = loaded.report.diagnostics().iter();
    all.map(|found| format!("{} {}", found.code, found.message)).collect()
}

/// Whether something with this code is said.
pub(crate) fn says(rest: &str, code: &str) -> bool {
    said(rest).iter().any(|line| line.starts_with(&format!("{code} ")))
}

/// The members of the group `g` have these permissions.
pub(crate) fn role(permissions: &str) -> String {
    format!("roles: {{ r: {{ permissions: [{permissions}] }} }}\nbindings: [{{ role: r, groups: [g] }}]\n")
}

/// [`plan`] of [`role`].
pub(crate) fn may(permissions: &str) -> Plan {
    plan(&role(permissions))
}

/// A permission for reading customers, in every way, with these fields.
pub(crate) fn fields(fields: &str) -> String {
    format!("{{ resource: customer, actions: [list, read, export], fields: {{ {fields} }} }}")
}

/// The answer to `u1`, who is in the group `g`.
pub(crate) fn get(plan: &Plan, line: &str, answer: &str) -> String {
    ask(plan, line).answer(answer)
}

/// What is left of one customer.
pub(crate) fn one(plan: &Plan, record: &str) -> String {
    unwrap_data(&get(plan, "GET /one/1", &format!(r#"{{"data":{record}}}"#)))
}

/// What is left of a list of customers.
pub(crate) fn list(plan: &Plan, records: &str) -> String {
    unwrap_data(&get(plan, "GET /list", &format!(r#"{{"data":{records}}}"#)))
}

fn unwrap_data(answer: &str) -> String {
    let inside = answer.strip_prefix(r#"{"data":"#).and_then(|rest| rest.strip_suffix('}'));
    inside.unwrap_or(answer).to_owned()
}

/// A request that `u1`, who is in the group `g`, makes on a Friday noon in Shanghai.
pub(crate) fn ask<'p>(plan: &'p Plan, line: &str) -> Ask<'p> {
    let (method, target) = line.split_once(' ').unwrap();
    let caller = Caller {
        id: "u1".into(),
        groups: vec!["g".into()],
        roles: Vec::new(),
        claims: serde_json::Map::new(),
        name: None,
        ip: [127, 0, 0, 1].into(),
        mfa: false,
    };
    let request = Request::builder().method(method).uri(target).body(Bytes::new()).unwrap();
    Ask {
        plan,
        caller,
        request,
        before: None,
        at: "2026-11-20T04:00:00Z".parse().unwrap(),
        status: StatusCode::OK,
    }
}

/// A request being put together.
pub(crate) struct Ask<'p> {
    plan: &'p Plan,
    caller: Caller,
    request: Request<Bytes>,
    before: Option<String>,
    at: Timestamp,
    status: StatusCode,
}

impl Ask<'_> {
    pub(crate) fn by(mut self, id: &str) -> Self {
        self.caller.id = id.into();
        self
    }

    pub(crate) fn named(mut self, name: &str) -> Self {
        self.caller.name = Some(name.into());
        self
    }

    pub(crate) fn groups(mut self, groups: &[&str]) -> Self {
        self.caller.groups = groups.iter().map(|group| (*group).into()).collect();
        self
    }

    pub(crate) fn roles(mut self, roles: &[&str]) -> Self {
        self.caller.roles = roles.iter().map(|role| (*role).into()).collect();
        self
    }

    pub(crate) fn claims(mut self, claims: serde_json::Value) -> Self {
        self.caller.claims = claims.as_object().unwrap().clone();
        self
    }

    pub(crate) fn ip(mut self, ip: &str) -> Self {
        self.caller.ip = ip.parse().unwrap();
        self
    }

    pub(crate) fn mfa(mut self) -> Self {
        self.caller.mfa = true;
        self
    }

    pub(crate) fn at(mut self, at: &str) -> Self {
        self.at = at.parse().unwrap();
        self
    }

    /// A JSON body.
    pub(crate) fn body(self, body: &str) -> Self {
        self.typed("application/json", body)
    }

    pub(crate) fn typed(mut self, kind: &str, body: &str) -> Self {
        self.request.headers_mut().insert("content-type", kind.parse().unwrap());
        *self.request.body_mut() = Bytes::copy_from_slice(body.as_bytes());
        self
    }

    /// A body without a content type.
    pub(crate) fn untyped(mut self, body: &str) -> Self {
        *self.request.body_mut() = Bytes::copy_from_slice(body.as_bytes());
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().append(name, value.parse().unwrap());
        self
    }

    /// The record as it is before a write.
    pub(crate) fn before(mut self, record: &str) -> Self {
        self.before = Some(format!(r#"{{"data":{record}}}"#));
        self
    }

    /// The status the upstream answers with.
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = StatusCode::from_u16(status).unwrap();
        self
    }

    fn admitted(&self) -> Result<fieldgate::analysis::Admitted, Refusal> {
        let before = self.before.as_ref().map(String::as_bytes);
        admitted(self.plan, &self.caller.principal(), self.request.clone(), before, self.at)
    }

    /// What becomes of the upstream's answer: the body, or `STATUS why`.
    pub(crate) fn answer(self, answer: &str) -> String {
        let permit = match self.admitted() {
            Ok(admitted) => admitted.permit,
            Err(refusal) => return format!("{} {refusal}", refusal.status().as_u16()),
        };
        let screened = screen(&permit, self.status, answer.as_bytes());
        match (screened.body, screened.cut) {
            (Some(body), None) => String::from_utf8(body).unwrap(),
            (_, Some(cut)) => format!("{} {}", screened.status.as_u16(), cut.reason),
            (None, None) => format!("{} replaced", screened.status.as_u16()),
        }
    }

    /// The permit.
    pub(crate) fn permit(self) -> fieldgate::policy::Permit {
        self.admitted().unwrap().permit
    }

    /// What is counted of the upstream's answer.
    pub(crate) fn counts(self, answer: &str) -> Counts {
        let admitted = self.admitted().unwrap_or_else(|refusal| panic!("{refusal}"));
        screen(&admitted.permit, self.status, answer.as_bytes()).counts
    }

    /// Whether it is let through: `ok`, or `STATUS why`.
    pub(crate) fn verdict(self) -> String {
        match self.admitted() {
            Ok(_) => "ok".to_owned(),
            Err(refusal) => format!("{} {refusal}", refusal.status().as_u16()),
        }
    }

    /// What reaches the upstream: the body if there is one, else the target; or `STATUS why`.
    pub(crate) fn sent(self) -> String {
        match self.admitted() {
            Ok(admitted) if admitted.body.is_empty() => admitted.target,
            Ok(admitted) => String::from_utf8(admitted.body.to_vec()).unwrap(),
            Err(refusal) => format!("{} {refusal}", refusal.status().as_u16()),
        }
    }

    pub(crate) fn passes(self) -> bool {
        self.admitted().is_ok()
    }
}
