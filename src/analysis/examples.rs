//! The tests of a policy: examples that must hold.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use jiff::Timestamp;

use crate::policy::source::{Mark, Node, Value};
use crate::policy::syntax::{Body, PolicyTest, TestExpectation, TestPrincipal, TestRequest};
use crate::policy::{DenialReason, Permit, Plan, access_at};
use crate::rewrite::{Access, Path};

use super::difference::difference;
use super::trial::{Caller, Refusal, Screened, admit, foresee, screen};

/// How one example went.
#[derive(Clone, Debug)]
pub struct ExampleResult {
    /// Its name.
    pub name: Arc<str>,
    /// Where it stands.
    pub mark: Mark,
    /// What is wrong, over several lines; `None`: it holds.
    pub failure: Option<String>,
    /// What came out; `None`: nothing could be tried.
    pub actual: Option<Actual>,
    /// What of the policy took part.
    pub seen: Seen,
}

/// What came out of an example.
#[derive(Clone, Debug)]
pub enum Actual {
    /// It was refused, or the record is answered like one that does not exist.
    Denied {
        /// The status.
        status: u16,
    },
    /// It was allowed.
    Allowed {
        /// The status.
        status: u16,
        /// The body, where there is one of the upstream's.
        body: Option<Vec<u8>>,
        /// The records released.
        released: u64,
    },
}

/// What of a policy took part in an example.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The route that matched.
    pub route: Option<Arc<str>>,
    /// The permissions that let the request through or applied to a record.
    pub permissions: BTreeSet<Arc<str>>,
    /// The guards that were not met.
    pub guards: BTreeSet<Arc<str>>,
    /// The masks that replaced a value.
    pub masks: BTreeSet<Arc<str>>,
    /// The labelled fields that a released record held, as `resource.field`.
    pub fields: BTreeSet<Arc<str>>,
    /// The members of released records that nobody labelled, with the route's resource.
    pub unlabelled: BTreeSet<(Arc<str>, Box<str>)>,
}

/// Runs the examples of a policy. Those that name no time run at `now`.
pub fn run_examples(plan: &Plan, examples: &[PolicyTest], now: Timestamp) -> Vec<ExampleResult> {
    examples
        .iter()
        .map(|example| {
            let (mut actual, mut seen) = (None, Seen::default());
            let failure = run(plan, example, now, &mut actual, &mut seen).err();
            ExampleResult { name: example.name.text.clone(), mark: example.name.mark, failure, actual, seen }
        })
        .collect()
}

fn run(
    plan: &Plan,
    example: &PolicyTest,
    now: Timestamp,
    actual: &mut Option<Actual>,
    seen: &mut Seen,
) -> Result<(), String> {
    let request = request_of(&example.request)?;
    let principal = caller_of(&example.principal)?.principal();
    let expect = &example.expect;
    let before = example.before.as_ref().map(body_of).transpose()?;
    let at = example.at.unwrap_or(now);
    if let Some(expected) = expect.shadow {
        let foreseen = foresee(plan, &principal, &request, at);
        if foreseen.effect != expected {
            let (is, expected) = (foreseen.effect.name(), expected.name());
            return Err(format!("the rules in shadow would make it `{is}`, not `{expected}`"));
        }
    }
    let permit = match admit(plan, &principal, request, before.as_deref(), at) {
        Ok(permit) => permit,
        Err(Refusal::NothingBefore) => {
            return Err(
                "the record is read before this write: say under `before` what the upstream answers".into()
            );
        }
        Err(refusal) => {
            seen.refusal(&refusal);
            *actual = Some(Actual::Denied { status: refusal.status().as_u16() });
            return refused(expect, &refusal);
        }
    };
    seen.permit(plan, &permit);
    let status = StatusCode::from_u16(example.answer_status).map_err(|error| error.to_string())?;
    let Some(answer) = &example.answer else {
        *actual = Some(Actual::Allowed { status: status.as_u16(), body: None, released: 0 });
        if expect.denied == Some(true) {
            return Err("it is allowed".into());
        }
        if expect.answer.is_some() || expect.released.is_some() {
            return Err("say under `answer` what the upstream answers".into());
        }
        return same_status(expect, status);
    };
    let screened = screen(&permit, status, &body_of(answer)?);
    seen.answer(&permit, &screened);
    *actual = Some(match (&screened.body, screened.status) {
        (None, StatusCode::NOT_FOUND) => Actual::Denied { status: 404 },
        (body, status) => Actual::Allowed {
            status: status.as_u16(),
            body: body.clone(),
            released: screened.counts.released,
        },
    });
    judge(expect, &screened)
}

impl Seen {
    fn refusal(&mut self, refusal: &Refusal) {
        if let Refusal::Denied(denial) = refusal {
            self.route = denial.route.as_ref().map(|route| route.name.clone());
            if let DenialReason::Guard { name, .. } = &denial.reason {
                self.guards.insert(name.clone());
            }
        }
    }

    fn permit(&mut self, plan: &Plan, permit: &Permit) {
        self.route = Some(permit.route().name.clone());
        self.guards.extend(plan.guards_of(permit).into_iter().filter(|(_, met)| !met).map(|(name, _)| name));
        let own = permit.rewrite().rules.first().into_iter().flat_map(|rule| &rule.grants);
        self.permissions.extend(own.filter(|grant| grant.when.is_none()).map(|grant| grant.name.clone()));
    }

    fn answer(&mut self, permit: &Permit, screened: &Screened) {
        let applied = &screened.counts.grants;
        self.permissions.extend(applied.iter().cloned());
        let counts = &screened.counts;
        let held = counts.fields.iter().filter(|(_, count)| count.shown + count.masked + count.hidden > 0);
        self.fields.extend(held.map(|(field, _)| field.clone()));
        if let Some(resource) = &permit.route().resource {
            self.unlabelled.extend(counts.unknown.iter().map(|name| (resource.clone(), name.clone())));
        }
        for rule in &permit.rewrite().rules {
            let prefix = format!("{}.", rule.name);
            let masked = screened.counts.fields.iter().filter(|(_, count)| count.masked > 0);
            for path in masked.filter_map(|(field, _)| field.strip_prefix(&prefix)) {
                let Ok(path) = Path::parse_place(path) else { continue };
                let grants = rule.grants.iter().filter(|grant| applied.contains(&grant.name));
                let masks = grants.filter_map(|grant| match access_at(&grant.fields, &path) {
                    Access::Mask(mask) => Some(mask),
                    Access::Show | Access::Hide => None,
                });
                let least = masks.min_by_key(|mask| mask.strength());
                self.masks.extend(least.map(|mask| Arc::from(mask.name())));
            }
        }
    }
}

fn judge(expect: &TestExpectation, screened: &Screened) -> Result<(), String> {
    if let Some(cut) = &screened.cut {
        same_status(expect, screened.status).and_then(|()| match (&expect.answer, expect.status) {
            (None, Some(_)) => Ok(()),
            _ => Err(format!("the upstream's answer cannot be screened: {cut}")),
        })?;
        return Ok(());
    }
    if screened.status == StatusCode::NOT_FOUND && screened.body.is_none() {
        return not_released(
            expect,
            "the record is not released: it is answered like one that does not exist",
        );
    }
    if expect.denied == Some(true) {
        return Err("it is allowed".into());
    }
    same_status(expect, screened.status)?;
    if let Some(released) = expect.released.filter(|expected| *expected != screened.counts.released) {
        return Err(format!("{} records are released, not {released}", screened.counts.released));
    }
    match (&expect.answer, &screened.body) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(format!("the upstream's answer with status {} is replaced", screened.status)),
        (Some(expected), Some(body)) => same_body(expected, body),
    }
}

fn refused(expect: &TestExpectation, refusal: &Refusal) -> Result<(), String> {
    if expect.answer.is_some() || expect.released.is_some() || expect.denied == Some(false) {
        return Err(format!("it is refused: {refusal}"));
    }
    same_status(expect, refusal.status()).map_err(|wrong| format!("{wrong}: {refusal}"))
}

fn not_released(expect: &TestExpectation, why: &str) -> Result<(), String> {
    let none = expect.released.is_none_or(|released| released == 0);
    if expect.answer.is_some() || !none || expect.denied == Some(false) {
        return Err(why.into());
    }
    same_status(expect, StatusCode::NOT_FOUND)
}

fn same_status(expect: &TestExpectation, status: StatusCode) -> Result<(), String> {
    match expect.status {
        Some(expected) if expected != status.as_u16() => {
            Err(format!("the status is {}, not {expected}", status.as_u16()))
        }
        _ => Ok(()),
    }
}

fn same_body(expected: &Body, body: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(body);
    let written = body_of(expected)?;
    let json = match expected {
        Body::Inline(node) => !matches!(node.value, Value::Text(_)),
        // A file holds JSON, or the very bytes.
        Body::File(_) => written == body || serde_json::from_slice::<serde_json::Value>(&written).is_ok(),
    };
    if !json || written == body {
        let expected = String::from_utf8_lossy(&written);
        return if *written == *body { Ok(()) } else { Err(difference(&expected, &text)) };
    }
    let expected: serde_json::Value = serde_json::from_slice(&written).map_err(|error| error.to_string())?;
    let is: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("{error} in:\n{text}"))?;
    if expected == is {
        return Ok(());
    }
    Err(difference(&format!("{:#}", sorted(&expected)), &format!("{:#}", sorted(&is))))
}

/// Members in the order of their names, so that the order of an example does not show up as a difference.
fn sorted(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(members) => {
            let mut names: Vec<_> = members.iter().collect();
            names.sort_by_key(|(name, _)| *name);
            names.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
        }
        serde_json::Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

fn body_of(body: &Body) -> Result<Vec<u8>, String> {
    match body {
        Body::Inline(node) => Ok(inline(node)),
        Body::File(path) => read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display())),
    }
}

/// A text stands for itself, anything else for its JSON.
fn inline(node: &Node) -> Vec<u8> {
    match &node.value {
        Value::Text(text) => text.as_bytes().to_vec(),
        _ => node.to_json().into_bytes(),
    }
}

fn read(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(std::io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

fn caller_of(written: &TestPrincipal) -> Result<Caller, String> {
    let texts = |words: &[crate::policy::source::Word]| words.iter().map(|word| word.text.clone()).collect();
    let claims = match &written.claims {
        Some(node) => serde_json::from_str(&node.to_json()).map_err(|error| format!("`claims`: {error}"))?,
        None => serde_json::Map::new(),
    };
    Ok(Caller {
        id: written.id.text.clone(),
        name: written.name.as_ref().map(|word| word.text.clone()),
        groups: texts(&written.groups),
        roles: texts(&written.roles),
        claims,
        ip: written.ip,
        mfa: written.mfa,
    })
}

fn request_of(written: &TestRequest) -> Result<Request<Bytes>, String> {
    let line = written.line.as_str();
    let (method, target) =
        line.split_once(' ').ok_or_else(|| format!("`{line}` is no request: write `GET /path`"))?;
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in &written.headers {
        request = request.header(name.as_str(), value.as_str());
    }
    let stated = written.headers.iter().any(|(name, _)| name.text.eq_ignore_ascii_case("content-type"));
    if written.body.is_some() && !stated {
        request = request.header("content-type", "application/json");
    }
    let body = written.body.as_ref().map(inline).unwrap_or_default();
    request.body(body.into()).map_err(|error| format!("`{line}` is no request: {error}"))
}

/// Largest file that holds a body.
const MAX_FILE_BYTES: u64 = 16 << 20;

#[cfg(test)]
mod tests;
