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
    use crate::app::config::Config;
    use crate::policy::{Loaded, MaskKeys, Purpose};

    let dir = tempfile::tempdir().unwrap();
    write_all(&args(dir.path())).unwrap();
    let (config, report) = Config::load(&dir.path().join("fieldgate.yaml"));
    assert!(report.diagnostics().is_empty(), "{}", report.to_text(false));
    let config = config.unwrap();
    let names = config.secrets.iter().map(|(name, _)| std::sync::Arc::clone(name)).collect();
    let mut policy =
        Loaded::read(std::slice::from_ref(&config.policies), &MaskKeys::Named(names), Purpose::Check);
    let mut report = std::mem::take(&mut policy.report);
    app::fit(&config, policy.plan.as_ref().unwrap(), &mut report);
    assert!(report.diagnostics().is_empty(), "{}", report.to_text(false));
    assert_eq!(policy.set.tests.len(), 1);
    assert!(config.secrets.iter().all(|(_, source)| source.read().is_ok()));
    assert!(config.identity.resolve().is_ok());
}
