//! Every scenario under `policies/` passes its own `check` and `test`, and its configuration is right.

#![expect(clippy::unwrap_used, reason = "the whole file is a test")]

use std::fs;
use std::path::{Path, PathBuf};

use fieldgate::analysis::run_examples;
use fieldgate::app::config::Config;
use fieldgate::base::{Diagnostic, Severity};
use fieldgate::policy::{Loaded, MaskKeys, Purpose};
use jiff::Timestamp;

#[test]
fn every_scenario_checks_without_a_warning() {
    for scenario in scenarios() {
        let loaded = Loaded::read(std::slice::from_ref(&scenario), &MaskKeys::Assumed, Purpose::Check);
        // A section that is read and not enforced is warned about; the README of such a scenario says the same.
        let honest = fs::read_to_string(scenario.join("README.md")).unwrap().contains("not enforced");
        let fine =
            |found: &Diagnostic| found.severity == Severity::Note || (honest && found.code == "not-enforced");
        let report = loaded.report.to_text(false);
        let fine = loaded.report.diagnostics().iter().all(fine);
        assert!(loaded.plan.is_some() && fine, "{}:\n{report}", scenario.display());
    }
}

#[test]
fn every_scenario_can_be_served() {
    for scenario in scenarios() {
        let loaded = Loaded::read(std::slice::from_ref(&scenario), &MaskKeys::Assumed, Purpose::Serve);
        assert!(loaded.plan.is_some(), "{}:\n{}", scenario.display(), loaded.report.to_text(false));
    }
}

#[test]
fn every_scenario_keeps_its_promises() {
    let mut failed = Vec::new();
    for scenario in scenarios() {
        let loaded = Loaded::read(std::slice::from_ref(&scenario), &MaskKeys::Assumed, Purpose::Check);
        let plan = loaded.plan.unwrap_or_else(|| panic!("{}", scenario.display()));
        assert!(!loaded.set.tests.is_empty(), "{} has no tests", scenario.display());
        let results =
            run_examples(&plan, &loaded.set.tests, "2026-11-23T02:00:00Z".parse::<Timestamp>().unwrap());
        let failures =
            results.into_iter().filter_map(|result| Some(format!("{}: {}", result.name, result.failure?)));
        failed.extend(failures);
    }
    assert!(failed.is_empty(), "\n{}\n", failed.join("\n"));
}

#[test]
fn every_scenario_has_a_configuration_and_a_readme() {
    for scenario in scenarios() {
        let (config, report) = Config::load(&scenario.join("fieldgate.yaml"));
        assert!(config.is_some(), "{}", report.to_text(false));
        assert!(report.diagnostics().is_empty(), "{}", report.to_text(false));
        assert!(scenario.join("README.md").is_file(), "{}", scenario.display());
    }
}

fn scenarios() -> Vec<PathBuf> {
    let all = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).unwrap();
    let mut found: Vec<_> = all.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    found.sort();
    assert!(found.len() >= 9);
    found
}
