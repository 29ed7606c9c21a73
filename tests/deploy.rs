//! What stands under `deploy/` names only what exists: metrics and their labels, files, commands.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fieldgate::telemetry::Decision;
use fieldgate::telemetry::names::{self, Kind};
use regex::Regex;
use serde_json::Value;

#[test]
fn the_dashboard_names_only_metrics_and_labels_that_exist() {
    let dashboard = json("grafana/fieldgate.json");
    let mut checked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let used = Expression::read(target["expr"].as_str().unwrap());
            used.check(title);
            let legend = target["legendFormat"].as_str().unwrap();
            for label in captures(r"\{\{(\w+)\}\}", legend) {
                assert!(used.gives(&label), "{title}: `{label}` in the legend `{legend}` is not given");
            }
            checked += 1;
        }
    }
    assert!(checked > 40, "{checked} expressions");
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        Expression::read(annotation["expr"].as_str().unwrap()).check("annotation");
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        for metric in captures(r"label_values\((\w+)", variable["definition"].as_str().unwrap_or_default()) {
            assert!(labels_of(&metric).is_some(), "`{metric}` in a variable");
        }
    }
}

#[test]
fn the_alert_rules_name_only_metrics_and_labels_that_exist() {
    let rules = yaml("prometheus/alerts.yaml");
    let mut checked = 0;
    for rule in
        rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap())
    {
        let name = rule["alert"].as_str().unwrap();
        let used = Expression::read(rule["expr"].as_str().unwrap());
        used.check(name);
        for text in rule["annotations"].as_object().unwrap().values() {
            let text = text.as_str().unwrap();
            for label in captures(r"\$labels\.(\w+)", text) {
                assert!(used.gives(&label), "{name}: `{label}` in `{text}` is not given");
            }
        }
        assert!(rule["labels"]["severity"].is_string(), "{name} has no severity");
        assert!(rule["annotations"]["summary"].is_string(), "{name} has no summary");
        checked += 1;
    }
    assert!(checked > 15, "{checked} rules");
}

#[test]
fn every_metric_is_shown_or_alerts() {
    let text = read("grafana/fieldgate.json") + &read("prometheus/alerts.yaml");
    let unused: Vec<_> =
        names::ALL.iter().map(|metric| metric.name).filter(|name| !text.contains(name)).collect();
    assert_eq!(unused, Vec::<&str>::new());
}

#[test]
fn panels_say_what_they_show_and_in_which_unit() {
    for panel in json("grafana/fieldgate.json")["panels"].as_array().unwrap() {
        if panel["type"] == "row" {
            continue;
        }
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{}", panel["title"]);
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{}", panel["title"]);
    }
}

#[test]
fn the_compose_file_mounts_files_that_are_there_and_runs_hardened() {
    let compose = yaml("compose.yaml");
    for (name, service) in compose["services"].as_object().unwrap() {
        for volume in service["volumes"].as_array().unwrap() {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            // `config` is the operator's own.
            if source.starts_with("./") && source != "./config" {
                assert!(deploy(source).exists(), "{name}: {source}");
            } else if !source.starts_with('.') {
                assert!(compose["volumes"].as_object().unwrap().contains_key(source), "{name}: {source}");
            }
        }
        assert_eq!(service["cap_drop"][0], "ALL", "{name}");
        for port in service["ports"].as_array().unwrap() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name}: {port}");
        }
    }
    assert_eq!(compose["services"]["fieldgate"]["read_only"], true);
    let prometheus = yaml("prometheus/prometheus.yaml");
    assert!(deploy("prometheus").join(prometheus["rule_files"][0].as_str().unwrap()).exists());
    assert_eq!(prometheus["scrape_configs"][0]["static_configs"][0]["targets"][0], "fieldgate:9090");
}

#[test]
fn the_image_runs_without_privileges_and_checks_its_health() {
    let dockerfile = read("Dockerfile");
    let last = dockerfile.rsplit("\nFROM ").next().unwrap();
    assert!(last.starts_with("gcr.io/distroless/"), "{last}");
    assert!(Regex::new(r"(?m)^USER [1-9]\d*:[1-9]\d*$").unwrap().is_match(last));
    assert!(last.contains("HEALTHCHECK"));
    for copied in captures(r"(?m)^!(\S+)$", &read("Dockerfile.dockerignore")) {
        // Benches are somebody else's to add; what is missing is not copied.
        assert!(root().join(&copied).exists() || copied == "benches", "{copied}");
    }
    let minimum = captures(
        r#"(?m)^rust-version = "([\d.]+)""#,
        &fs::read_to_string(root().join("Cargo.toml")).unwrap(),
    );
    assert!(dockerfile.contains(&format!("FROM rust:{}-", minimum[0])), "the image's Rust is Cargo.toml's");
}

#[test]
fn the_commands_that_are_started_exist() {
    let started = [
        captures(r"(?m)^Exec\w+=/usr/bin/fieldgate (.*)$", &read("systemd/fieldgate.service")),
        captures(r"fieldgate (audit search [^\n\x22]*)", &read("prometheus/alerts.yaml")),
        captures(r#"(?m)^CMD \["(\w+)"\]$"#, &read("Dockerfile")),
        vec!["health --admin 127.0.0.1:9090".to_owned()],
    ];
    for command in started.into_iter().flatten() {
        let words: Vec<_> = command.split_whitespace().take_while(|word| !word.starts_with('-')).collect();
        let mut help = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
        let output = help.args(&words).arg("--help").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "`fieldgate {}` does not exist", words.join(" "));
        for option in captures(r"(--\w+)", &command) {
            assert!(text.contains(&option), "`fieldgate {command}`: no {option}");
        }
    }
}

/// The names that a PromQL expression uses.
#[derive(Debug)]
struct Expression {
    text: String,
    metrics: BTreeSet<String>,
    /// Labels in braces, with the metric they belong to and what they are compared with.
    matched: Vec<(String, String, String)>,
    /// Labels of `by`, `on` and the like.
    grouped: BTreeSet<String>,
}

impl Expression {
    fn read(expression: &str) -> Self {
        let text = expression.to_owned();
        let mut matched = Vec::new();
        let selector = Regex::new(r"(\w+)\s*\{([^}]*)\}").unwrap();
        let matcher = Regex::new(r#"(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)""#).unwrap();
        for found in selector.captures_iter(expression) {
            for label in matcher.captures_iter(&found[2]) {
                matched.push((found[1].to_owned(), label[1].to_owned(), label[2].to_owned()));
            }
        }
        let rest = Regex::new(r"\{[^}]*\}|\[[^\]]*\]").unwrap().replace_all(expression, " ");
        let grouping =
            Regex::new(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)").unwrap();
        let grouped = grouping.captures_iter(&rest).flat_map(|found| captures(r"(\w+)", &found[1])).collect();
        let rest = grouping.replace_all(&rest, " ");
        let word = Regex::new(r"\b[a-zA-Z_]\w*\b(\s*\()?").unwrap();
        let keywords = ["and", "or", "unless", "offset", "bool"];
        let metrics = word
            .captures_iter(&rest)
            .filter(|found| found.get(1).is_none() && !keywords.contains(&&found[0]))
            .map(|found| found[0].to_owned())
            .filter(|name| !name.starts_with("__"))
            .collect();
        Self { text, metrics, matched, grouped }
    }

    fn check(&self, place: &str) {
        assert!(!self.metrics.is_empty(), "{place}: no metric in {self:?}");
        let mut known = BTreeSet::from(["le", "instance", "job"]);
        for metric in &self.metrics {
            let labels =
                labels_of(metric).unwrap_or_else(|| panic!("{place}: there is no metric `{metric}`"));
            known.extend(labels);
        }
        for (metric, label, value) in &self.matched {
            assert!(self.metrics.contains(metric), "{place}: {metric} in {}", self.text);
            let labels = labels_of(metric).unwrap();
            assert!(
                labels.contains(&label.as_str()) || ["instance", "job"].contains(&label.as_str()),
                "{place}: `{metric}` has no label `{label}`"
            );
            if label == "decision" {
                for decision in value.split('|') {
                    assert!(
                        Decision::ALL.iter().any(|d| d.name() == decision),
                        "{place}: decision `{decision}`"
                    );
                }
            }
        }
        for label in &self.grouped {
            assert!(
                known.contains(label.as_str()),
                "{place}: nothing has the label `{label}` in {}",
                self.text
            );
        }
    }

    /// Whether the result has a label: those grouped by, or all if nothing is aggregated.
    fn gives(&self, label: &str) -> bool {
        if self.grouped.is_empty() {
            label == "instance"
                || self.metrics.iter().any(|metric| labels_of(metric).unwrap().contains(&label))
        } else {
            self.grouped.contains(label)
        }
    }
}

/// The labels of a series' name; `None` if there is no such series.
fn labels_of(series: &str) -> Option<&'static [&'static str]> {
    if series == "up" || names::PROCESS.contains(&series) {
        return Some(&[]);
    }
    names::ALL.iter().find_map(|metric| {
        let is_it = match metric.kind {
            Kind::Counter | Kind::Gauge => series == metric.name,
            Kind::Histogram => series
                .strip_prefix(metric.name)
                .is_some_and(|end| ["_bucket", "_sum", "_count"].contains(&end)),
        };
        is_it.then_some(metric.labels)
    })
}

#[test]
fn a_wrong_name_would_be_found() {
    for wrong in [
        "fieldgate_request_total",
        "rate(fieldgate_requests_total{actoin=\"list\"}[5m])",
        "sum by (rout) (rate(fieldgate_requests_total[5m]))",
        "fieldgate_requests_total{decision=\"allowed\"}",
        "fieldgate_request_duration_seconds",
        "fieldgate_requests_total_bucket",
    ] {
        let checked = std::panic::catch_unwind(|| Expression::read(wrong).check("test"));
        assert!(checked.is_err(), "{wrong}");
    }
    Expression::read("histogram_quantile(0.9, sum by (le, route) (rate(fieldgate_request_duration_seconds_bucket{job=\"$job\"}[$__rate_interval]))) > 5 and up == 1 offset 5m").check("test");
}

fn captures(pattern: &str, text: &str) -> Vec<String> {
    Regex::new(pattern).unwrap().captures_iter(text).map(|found| found[1].to_owned()).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn deploy(path: &str) -> PathBuf {
    root().join("deploy").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(deploy(path)).unwrap()
}

fn json(path: &str) -> Value {
    serde_json::from_str(&read(path)).unwrap()
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap()
}
