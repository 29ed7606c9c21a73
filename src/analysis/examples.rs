//! The tests of a policy: examples that must hold.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use jiff::Timestamp;

use crate::policy::Plan;
use crate::policy::source::{Mark, Node, Value};
use crate::policy::syntax::{PolicyTest, TestExpectation, TestPrincipal, TestRequest};

use super::difference::difference;
use super::trial::{Caller, Refusal, Screened, admit, screen};

/// How one example went.
#[derive(Clone, Debug)]
pub struct ExampleResult {
    /// Its name.
    pub name: Arc<str>,
    /// Where it stands.
    pub mark: Mark,
    /// What is wrong, over several lines; `None`: it holds.
    pub failure: Option<String>,
}

/// Runs the examples of a policy. Those that name no time run at `now`.
pub fn run_examples(plan: &Plan, examples: &[PolicyTest], now: Timestamp) -> Vec<ExampleResult> {
    examples
        .iter()
        .map(|example| ExampleResult {
            name: example.name.text.clone(),
            mark: example.name.mark,
            failure: run(plan, example, now).err(),
        })
        .collect()
}

fn run(plan: &Plan, example: &PolicyTest, now: Timestamp) -> Result<(), String> {
    let request = request_of(&example.request)?;
    let principal = caller_of(&example.principal)?.principal();
    let expect = &example.expect;
    let before = example.before.as_ref().map(body_of);
    let at = example.at.unwrap_or(now);
    let permit = match admit(plan, &principal, request, before.as_deref(), at) {
        Ok(permit) => permit,
        Err(Refusal::NothingBefore) => {
            return Err(
                "the record is read before this write: say under `before` what the upstream answers".into()
            );
        }
        Err(refusal) => return refused(expect, &refusal),
    };
    let status = StatusCode::from_u16(example.answer_status).map_err(|error| error.to_string())?;
    let Some(answer) = &example.answer else {
        if expect.denied == Some(true) {
            return Err("it is allowed".into());
        }
        if expect.answer.is_some() || expect.released.is_some() {
            return Err("say under `answer` what the upstream answers".into());
        }
        return same_status(expect, status);
    };
    judge(expect, &screen(&permit, status, &body_of(answer)))
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

fn same_body(expected: &Node, body: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(body);
    if let Value::Text(expected) = &expected.value {
        if *expected.as_ref() == *text {
            return Ok(());
        }
        return Err(difference(expected, &text));
    }
    let expected: serde_json::Value =
        serde_json::from_str(&expected.to_json()).map_err(|error| error.to_string())?;
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

/// A text stands for itself, anything else for its JSON.
fn body_of(node: &Node) -> Vec<u8> {
    match &node.value {
        Value::Text(text) => text.as_bytes().to_vec(),
        _ => node.to_json().into_bytes(),
    }
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
    let body = written.body.as_ref().map(body_of).unwrap_or_default();
    request.body(body.into()).map_err(|error| format!("`{line}` is no request: {error}"))
}

#[cfg(test)]
mod tests;
