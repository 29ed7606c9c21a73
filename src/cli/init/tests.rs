use super::*;

fn args(dir: &Path) -> Args {
    Args { dir: dir.to_owned(), api: "crm".into(), url: "https://crm.internal/base".into() }
}

#[test]
fn nothing_that_is_there_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("policies")).unwrap();
    fs::write(dir.path().join("policies/crm.yaml"), "mine").unwrap();
    let error = write_all(&args(dir.path())).unwrap_err();
    assert!(error.to_string().contains("is there already"), "{error}");
    assert_eq!(fs::read_to_string(dir.path().join("policies/crm.yaml")).unwrap(), "mine");
    assert!(!dir.path().join("fieldgate.yaml").exists());
}

#[cfg(unix)]
#[test]
fn keys_are_random_and_only_the_owner_reads_them() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    write_all(&args(dir.path())).unwrap();
    let key = |name: &str| fs::read_to_string(dir.path().join("secrets").join(name)).unwrap();
    assert_ne!(key("first.key"), key("mask.key"));
    assert_eq!(key("first.key").trim().len(), 64);
    let mode = fs::metadata(dir.path().join("secrets/first.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn names_and_urls_that_cannot_work_are_refused() {
    assert!(api_name("my-crm2").is_ok());
    for name in ["", "CRM", "2crm", "a b", "../x"] {
        assert!(api_name(name).is_err(), "{name}");
    }
    assert!(api_url("https://crm.internal:8443/base").is_ok());
    for url in ["crm.internal", "ftp://a", "http://a?b", ""] {
        assert!(api_url(url).is_err(), "{url}");
    }
}

#[test]
fn what_it_writes_passes_check() {
    use crate::app;

    let dir = tempfile::tempdir().unwrap();
    write_all(&args(dir.path())).unwrap();
    let checked = app::check(&dir.path().join("fieldgate.yaml"));
    assert!(checked.report.diagnostics().is_empty(), "{}", checked.report.to_text(false));
    let (config, policy) = (checked.config.unwrap(), checked.policy.unwrap());
    let (plan, tests) = (policy.plan.unwrap(), &policy.set.tests);
    let results = crate::analysis::run_examples(&plan, tests, "2026-11-20T04:00:00Z".parse().unwrap());
    assert!(results.len() == 2 && results.iter().all(|result| result.failure.is_none()), "{results:?}");
    assert!(config.secrets.iter().all(|(_, source)| source.read().is_ok()));
    assert!(config.identity.resolve(&config.apis).is_ok());
}
