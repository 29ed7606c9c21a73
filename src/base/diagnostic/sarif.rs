//! Complaints for the tools that collect findings: SARIF 2.1.0 (OASIS, `sarif-schema-2.1.0`).

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use super::{Diagnostic, Place, Report, Severity};

impl Report {
    /// All complaints as one SARIF log with one run.
    pub fn to_sarif(&self) -> String {
        let mut rules: BTreeMap<&str, Severity> = BTreeMap::new();
        for found in self.diagnostics() {
            let worst = rules.entry(found.code).or_insert(found.severity);
            *worst = found.severity.min(*worst);
        }
        let index = |code: &str| rules.keys().position(|known| *known == code);
        let results: Vec<_> =
            self.diagnostics().iter().map(|found| result(found, index(found.code))).collect();
        let described: Vec<_> = rules.iter().map(|(code, severity)| descriptor(code, *severity)).collect();
        let mut notifications = Vec::new();
        for severity in Severity::ALL {
            let count = self.left_out(severity);
            if count > 0 {
                let text = format!("{count} more of level {} are not listed", severity.name());
                notifications.push(json!({ "level": "warning", "message": { "text": text } }));
            }
        }
        let log = json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": {
                    "name": "fieldgate",
                    "version": env!("CARGO_PKG_VERSION"),
                    "informationUri": env!("CARGO_PKG_REPOSITORY"),
                    "rules": described,
                } },
                "columnKind": "unicodeCodePoints",
                "invocations": [{
                    "executionSuccessful": true,
                    "toolExecutionNotifications": notifications,
                }],
                "results": results,
            }],
        });
        format!("{log:#}")
    }
}

fn descriptor(code: &str, severity: Severity) -> Value {
    json!({
        "id": code,
        "shortDescription": { "text": code.replace('-', " ") },
        "defaultConfiguration": { "level": severity.name() },
    })
}

fn result(found: &Diagnostic, rule: Option<usize>) -> Value {
    let mut text = found.message.clone();
    if let Some(help) = &found.help {
        text.push_str("; ");
        text.push_str(help);
    }
    let mut result = json!({
        "ruleId": found.code,
        "level": found.severity.name(),
        "message": { "text": text },
    });
    let mut put = |name: &str, value: Value| {
        if let Some(members) = result.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
    };
    if let Some(rule) = rule {
        put("ruleIndex", rule.into());
    }
    if let Some(place) = &found.place {
        put("locations", json!([location(place)]));
    }
    if !found.related.is_empty() {
        let related = found.related.iter().map(|(place, why)| {
            let mut location = location(place);
            if let (Some(members), false) = (location.as_object_mut(), why.is_empty()) {
                members.insert("message".to_owned(), json!({ "text": why }));
            }
            location
        });
        put("relatedLocations", related.collect());
    }
    result
}

fn location(place: &Place) -> Value {
    let mut location = json!({
        "physicalLocation": { "artifactLocation": { "uri": uri(&place.file) } },
        "logicalLocations": [{ "fullyQualifiedName": place.path, "kind": "member" }],
    });
    if place.line > 0
        && let Some(physical) = location.get_mut("physicalLocation").and_then(Value::as_object_mut)
    {
        let (line, column) = (place.line, place.column.max(1));
        // The end is behind the last character; of what spans several lines the first one is marked.
        let end = column + place.length;
        physical.insert(
            "region".to_owned(),
            json!({ "startLine": line, "startColumn": column, "endLine": line, "endColumn": end }),
        );
    }
    location
}

/// A file as a URI reference (RFC 3986): relative ones stay relative, to wherever the tool was run.
fn uri(file: &str) -> String {
    let plain = file.strip_prefix("./").unwrap_or(file).replace('\\', "/");
    let escaped = utf8_percent_encode(&plain, UNSAFE).to_string();
    if plain.starts_with('/') { format!("file://{escaped}") } else { escaped }
}

/// Characters that a path in a URI does not hold as they are.
const UNSAFE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b':');

#[cfg(test)]
mod tests {
    use super::*;

    fn place(file: &str, line: u32, column: u32, length: u32) -> Place {
        Place { file: file.into(), line, column, length, path: "$.roles.sales".into() }
    }

    /// The members that the schema requires, and the values it allows for those that are written.
    fn validate(log: &Value) {
        assert_eq!(log["version"], "2.1.0");
        let runs = log["runs"].as_array().unwrap();
        for run in runs {
            let driver = &run["tool"]["driver"];
            assert!(!driver["name"].as_str().unwrap().is_empty());
            assert!(["utf16CodeUnits", "unicodeCodePoints"].contains(&run["columnKind"].as_str().unwrap()));
            let rules = driver["rules"].as_array().unwrap();
            let ids: std::collections::BTreeSet<_> =
                rules.iter().map(|r| r["id"].as_str().unwrap()).collect();
            assert_eq!(ids.len(), rules.len(), "ids are unique");
            for invocation in run["invocations"].as_array().unwrap() {
                assert!(invocation["executionSuccessful"].is_boolean());
                for told in invocation["toolExecutionNotifications"].as_array().unwrap() {
                    assert!(told["message"]["text"].is_string());
                }
            }
            for result in run["results"].as_array().unwrap() {
                assert!(!result["message"]["text"].as_str().unwrap().is_empty());
                assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
                let index = result["ruleIndex"].as_u64().unwrap() as usize;
                assert_eq!(rules[index]["id"], result["ruleId"]);
                let own = result["locations"].as_array().into_iter().flatten();
                for location in own.chain(result["relatedLocations"].as_array().into_iter().flatten()) {
                    let physical = &location["physicalLocation"];
                    let uri = physical["artifactLocation"]["uri"].as_str().unwrap();
                    assert!(uri.is_ascii() && !uri.contains([' ', '[', '{']), "{uri}");
                    if let Some(region) = physical.get("region") {
                        for member in ["startLine", "startColumn", "endLine", "endColumn"] {
                            assert!(region[member].as_u64().unwrap() >= 1, "{member}");
                        }
                        assert!(region["endColumn"].as_u64() >= region["startColumn"].as_u64());
                    }
                }
            }
        }
    }

    #[test]
    fn findings_have_all_that_the_schema_requires() {
        let mut report = Report::default();
        report.push(
            Diagnostic::error("unknown-role", "unknown role `x`")
                .help("did you mean `y`?")
                .at(place("./policies/my crm/[1].yaml", 3, 7, 1))
                .related(place("/etc/fieldgate/王.yaml", 1, 1, 0), "first defined here"),
        );
        report.push(Diagnostic::warning("odd", "no place"));
        report.push(Diagnostic::warning("unknown-role", "elsewhere").at(place("gone", 0, 0, 0)));
        report.sort();
        let log: Value = serde_json::from_str(&report.to_sarif()).unwrap();
        validate(&log);
        let results = log["runs"][0]["results"].as_array().unwrap();
        assert_eq!(results.len(), 3);
        let found = results.iter().find(|r| r["level"] == "error").unwrap();
        assert_eq!(found["message"]["text"], "unknown role `x`; did you mean `y`?");
        let physical = &found["locations"][0]["physicalLocation"];
        assert_eq!(physical["artifactLocation"]["uri"], "policies/my%20crm/%5B1%5D.yaml");
        let region = json!({ "startLine": 3, "startColumn": 7, "endLine": 3, "endColumn": 8 });
        assert_eq!(physical["region"], region);
        let related = &found["relatedLocations"][0];
        assert_eq!(related["message"]["text"], "first defined here");
        let uri = &related["physicalLocation"]["artifactLocation"]["uri"];
        assert_eq!(uri, "file:///etc/fieldgate/%E7%8E%8B.yaml");
    }

    #[test]
    fn nothing_found_is_a_run_without_results() {
        let log: Value = serde_json::from_str(&Report::default().to_sarif()).unwrap();
        validate(&log);
        assert_eq!(log["runs"][0]["results"], json!([]));
    }
}
