//! Tests of the language as a whole: policy texts in, decisions and rewritten answers out.

mod complaints;
mod decisions;
mod fine_print;
mod invariants;
mod rules;
mod shapes;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::base::Report;
use crate::identity::{Assumed, Principal};

use crate::rewrite::{Counts, CutReason, Rewriter};

use super::source::help::general;
use super::{Denial, DenialReason, Loaded, MaskKeys, Permit, Plan, Purpose};

/// The example of the documentation.
pub(crate) const EXAMPLE: &str = include_str!("example.yaml");

/// Loads a text as a policy for serving.
pub(crate) fn load(text: &str) -> Loaded {
    Loaded::from_texts(&[("p.yaml", text)], &MaskKeys::Assumed, Purpose::Serve)
}

/// A policy that must be right.
pub(crate) fn plan(text: &str) -> Plan {
    let loaded = load(text);
    match loaded.plan {
        Some(plan) => plan,
        None => panic!("{}", loaded.report.to_text(false)),
    }
}

/// Errors and warnings as `line:column code message | help`.
pub(crate) fn said(report: &Report) -> Vec<String> {
    report
        .diagnostics()
        .iter()
        .map(|d| {
            let place = d.place.as_ref().map_or_else(String::new, |p| format!("{}:{} ", p.line, p.column));
            // The general help for a code adds nothing here.
            let own = d.help.as_ref().filter(|help| Some(help.as_str()) != general(d.code));
            let help = own.map_or_else(String::new, |help| format!(" | {help}"));
            format!("{place}{} {}{help}", d.code, d.message)
        })
        .collect()
}

/// A principal being made.
pub(crate) struct Who(Assumed);

pub(crate) fn who(id: &str) -> Who {
    Who(Assumed {
        id: id.into(),
        name: None,
        groups: Vec::new(),
        roles: Vec::new(),
        claims: serde_json::Map::new(),
        ip: IpAddr::from([127, 0, 0, 1]),
        mfa: false,
    })
}

impl Who {
    pub(crate) fn groups(mut self, groups: &[&str]) -> Self {
        self.0.groups = groups.iter().map(|group| Arc::from(*group)).collect();
        self
    }

    pub(crate) fn roles(mut self, roles: &[&str]) -> Self {
        self.0.roles = roles.iter().map(|role| Arc::from(*role)).collect();
        self
    }

    pub(crate) fn claims(mut self, claims: serde_json::Value) -> Self {
        self.0.claims = claims.as_object().unwrap().clone();
        self
    }

    pub(crate) fn mfa(mut self) -> Self {
        self.0.mfa = true;
        self
    }

    pub(crate) fn ip(mut self, ip: &str) -> Self {
        self.0.ip = ip.parse().unwrap();
        self
    }

    pub(crate) fn principal(&self) -> Principal {
        Principal::assumed(self.0.clone())
    }
}

pub(crate) fn noon() -> Timestamp {
    "2026-11-20T04:00:00Z".parse().unwrap()
}

pub(crate) fn head(line: &str) -> http::request::Parts {
    let (method, uri) = line.split_once(' ').unwrap();
    http::Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0
}

/// Decides a request at noon (in Shanghai, a Friday).
pub(crate) fn decide(plan: &Plan, who: &Who, line: &str) -> Result<Permit, DenialReason> {
    decide_at(plan, who, line, None, noon()).map_err(|denial| denial.reason)
}

pub(crate) fn decide_at(
    plan: &Plan,
    who: &Who,
    line: &str,
    body: Option<&str>,
    now: Timestamp,
) -> Result<Permit, Denial> {
    let head = head(line);
    let body = body.map(|text| Bytes::copy_from_slice(text.as_bytes()));
    let operation = plan.operation(&head, body)?;
    plan.decide(&who.principal(), operation, now)
}

/// What a permit lets through of an answer: the text, or why it was cut.
pub(crate) fn pass(permit: &Permit, answer: &str) -> Result<(String, Counts), CutReason> {
    let mut rewriter = Rewriter::new(permit.rewrite().clone(), permit.params().clone());
    let mut out = Vec::new();
    rewriter.push(answer.as_bytes(), &mut out).map_err(|cut| cut.reason)?;
    rewriter.finish(&mut out).map_err(|cut| cut.reason)?;
    Ok((String::from_utf8(out).unwrap(), rewriter.counts().clone()))
}

/// The answer to a request that must be allowed, as JSON.
pub(crate) fn get(plan: &Plan, who: &Who, line: &str, answer: serde_json::Value) -> serde_json::Value {
    let permit = decide(plan, who, line).unwrap();
    let (text, _) = pass(&permit, &answer.to_string()).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
