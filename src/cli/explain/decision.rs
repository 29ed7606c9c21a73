//! A decision of the audit, decided again as far as the audit tells what was asked.

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::Request;
use jiff::Timestamp;
use serde_json::Value;

use crate::analysis::Caller;
use crate::app::config::Config;
use crate::audit::{Evidence, Filter, Search};
use crate::policy::Plan;

use super::super::policy::{Source, Usage};
use super::write::{help, plain};

/// The record of a request by its id or that of its decision.
pub(super) fn find(source: &Source, audit: Option<&Path>, id: &str) -> anyhow::Result<Value> {
    let dir = match audit {
        Some(dir) => dir.to_owned(),
        None => {
            let file = source.config.clone().unwrap_or_else(|| "fieldgate.yaml".into());
            let (config, _) = Config::load(&file);
            let text = "say by `--audit DIR` where the audit log is: there is no configuration that does";
            config.ok_or_else(|| Usage(text.to_owned()))?.audit.dir
        }
    };
    let evidence = Evidence::in_directory(&dir)
        .with_context(|| format!("audit directory `{}` cannot be read", dir.display()))?;
    let filter = Filter { id: Some(id.to_owned()), ..Filter::default() };
    match Search::new(evidence.segments, filter).next() {
        Some(found) => Ok(found?.record),
        None => bail!("the audit log in `{}` has no request or decision `{id}`", dir.display()),
    }
}

/// Says what the audit has kept of it, and how the policy of today compares.
pub(super) fn tell(record: &Value, plan: &Plan, out: &mut impl io::Write) -> io::Result<()> {
    let text = |name: &str| plain(record.get(name).and_then(Value::as_str).unwrap_or("-"));
    writeln!(out, "recorded {}: {} {}", text("time"), text("method"), text("path"))?;
    let who = plain(record.pointer("/principal/id").and_then(Value::as_str).unwrap_or("nobody known"));
    writeln!(out, "  by {who}, roles: {}", names(record, "/roles"))?;
    let status = record.get("status").map_or_else(|| "-".to_owned(), ToString::to_string);
    writeln!(out, "  {} with status {status}{}", text("outcome"), reason(record))?;
    if let Some(help) = record.get("reason").and_then(Value::as_str).and_then(help) {
        writeln!(out, "  {help}")?;
    }
    for (label, pointer) in [
        ("decided by", "/grants"),
        ("shown", "/fields/shown"),
        ("masked", "/fields/masked"),
        ("hidden", "/fields/hidden"),
    ] {
        let names = names(record, pointer);
        if !names.is_empty() {
            writeln!(out, "  {label}: {names}")?;
        }
    }
    match record.get("policy_version").and_then(Value::as_str) {
        Some(then) if then == plan.version().as_ref() => {
            writeln!(out, "the policy is the one that decided then ({then}); decided again:")
        }
        Some(then) => writeln!(
            out,
            "THE POLICY HAS CHANGED SINCE: {then} decided then, this is {}; what follows is what it decides now:",
            plan.version()
        ),
        None => writeln!(out, "no policy decided about it"),
    }?;
    writeln!(
        out,
        "(claims, the query and the body are not in the audit: conditions that read them count as not met)\n"
    )
}

fn reason(record: &Value) -> String {
    record
        .get("reason")
        .and_then(Value::as_str)
        .map_or_else(String::new, |reason| format!(": {}", plain(reason)))
}

fn names(record: &Value, pointer: &str) -> String {
    let names = record.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).map(plain).collect::<Vec<_>>().join(", ")
}

/// Who asked for what, when; `None` where there was no caller.
pub(super) fn again(record: &Value) -> Option<(Caller, Request<Bytes>, Timestamp)> {
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
    let roles = record.get("roles").and_then(Value::as_array).into_iter().flatten();
    let caller = Caller {
        id: text("/principal/id")?.into(),
        groups: Vec::new(),
        roles: roles.filter_map(Value::as_str).map(Arc::from).collect(),
        claims: serde_json::Map::new(),
        name: text("/principal/name").map(Arc::from),
        ip: text("/principal/ip")?.parse().ok()?,
        mfa: record.pointer("/principal/mfa").and_then(Value::as_bool).unwrap_or(false),
    };
    let request = Request::builder().method(text("/method")?).uri(text("/path")?).body(Bytes::new()).ok()?;
    Some((caller, request, text("/time")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Loaded, MaskKeys, Purpose};

    const POLICY: &str = r#"
labels: [public]
resources: { note: { fields: { public: [id] } } }
apis: { n: { routes: [{ match: "GET /notes/{id}", action: read, resource: note, records: $ }] } }
roles: { reader: { permissions: [{ resource: note, actions: [read], fields: { show: [public] } }] } }
bindings: [{ role: reader, groups: [readers] }]
"#;

    fn record(version: &str) -> Value {
        serde_json::json!({
            "time": "2026-11-20T04:00:00Z", "method": "GET", "path": "/notes/1", "status": 200, "outcome": "complete",
            "principal": { "id": "ann", "ip": "10.0.0.1", "mfa": true }, "roles": ["reader"],
            "grants": ["roles.reader.permissions[0]"], "policy_version": version,
            "fields": { "shown": ["note.id"], "masked": [], "hidden": [] },
        })
    }

    #[test]
    fn a_decision_is_made_again_with_the_roles_of_then() {
        let policy = Loaded::from_texts(&[("p.yaml", POLICY)], &MaskKeys::Assumed, Purpose::Check);
        let Some(plan) = &policy.plan else { panic!("{}", policy.report.to_text(false)) };
        let record = record(plan.version());
        let (caller, request, at) = again(&record).unwrap();
        assert!(caller.mfa && caller.ip.to_string() == "10.0.0.1");
        let operation = plan.operation(&request.into_parts().0, None).unwrap();
        let permit = plan.decide(&caller.principal(), operation, at).unwrap();
        assert_eq!(permit.rules(), ["roles.reader.permissions[0]".into()]);
    }

    #[test]
    fn a_changed_policy_is_said_plainly() {
        let policy = Loaded::from_texts(&[("p.yaml", POLICY)], &MaskKeys::Assumed, Purpose::Check);
        let plan = policy.plan.unwrap();
        let told = |version: &str| {
            let mut out = Vec::new();
            tell(&record(version), &plan, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let same = told(plan.version());
        assert!(
            same.contains("the policy is the one that decided then") && !same.contains("CHANGED"),
            "{same}"
        );
        assert!(same.contains("decided by: roles.reader.permissions[0]") && same.contains("shown: note.id"));
        assert!(told("0123").contains("THE POLICY HAS CHANGED SINCE: 0123 decided then"));
    }

    #[test]
    fn what_callers_called_things_does_not_reach_the_terminal() {
        let policy = Loaded::from_texts(&[("p.yaml", POLICY)], &MaskKeys::Assumed, Purpose::Check);
        let plan = policy.plan.unwrap();
        let mut record = record(plan.version());
        for at in ["path", "reason", "outcome"] {
            record[at] = "a\u{1b}[2Jb\nc".into();
        }
        record["principal"]["id"] = "x\u{7}y".into();
        record["fields"]["shown"] = serde_json::json!(["n\r\u{9b}m"]);
        let mut out = Vec::new();
        tell(&record, &plan, &mut out).unwrap();
        let told = String::from_utf8(out).unwrap();
        assert!(told.chars().all(|c| c == '\n' || !c.is_control()), "{told:?}");
        assert!(told.lines().count() < 12, "{told}");
    }

    #[test]
    fn a_request_without_a_caller_is_not_decided_again() {
        assert!(
            again(&serde_json::json!({ "time": "2026-11-20T04:00:00Z", "method": "GET", "path": "/" }))
                .is_none()
        );
    }
}
