//! The documents keep what they say: links lead somewhere, and the examples pass the checks they describe.

#![expect(clippy::unwrap_used, reason = "the whole file is a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fieldgate::app::config::Config;
use regex::Regex;

#[test]
fn links_lead_to_files_that_are_there() {
    let link = Regex::new(r"\]\(([^)#\s]+)(#[^)]*)?\)").unwrap();
    let mut broken = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for found in link.captures_iter(&text) {
            let target = &found[1];
            if !target.contains("://") && !document.parent().unwrap().join(target).exists() {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn the_documented_configuration_has_no_mistakes() {
    let text = fs::read_to_string(root().join("docs/operate.md")).unwrap();
    let whole = blocks(&text, "yaml").into_iter().filter(|block| block.contains("listeners:"));
    let [example] = whole.collect::<Vec<_>>().try_into().expect("one whole configuration");
    let (config, report) = Config::parse(Path::new("docs/operate.md"), &example);
    assert!(report.diagnostics().is_empty(), "{}", report.to_text(false));
    assert!(config.is_some());
}

#[test]
fn the_documented_callers_have_no_mistakes() {
    let text = fs::read_to_string(root().join("docs/callers.md")).unwrap();
    let examples: Vec<String> =
        blocks(&text, "yaml").into_iter().filter(|block| block.contains("identity:")).collect();
    assert!(examples.len() >= 5);
    for mut example in examples {
        let usual = [
            ("listeners:", "{ public: { address: 127.0.0.1:8080 } }"),
            ("apis:", "{ crm: { url: 'http://127.0.0.1:3000' } }"),
            ("policies:", "policies"),
            ("audit:", "{ dir: audit }"),
        ];
        for (section, value) in usual {
            if !example.lines().any(|line| line.starts_with(section)) {
                example.push_str(&format!("{section} {value}\n"));
            }
        }
        let (config, report) = Config::parse(Path::new("docs/callers.md"), &example);
        assert!(report.diagnostics().is_empty(), "{}", report.to_text(false));
        let wrong = config.map(|config| config.identity.look(&config.apis)).unwrap_or_default();
        // A proxy's certificate is of an authority that stands in another example.
        let wrong = wrong.iter().find(|one| !one.message.contains("which is not in `certificates`"));
        assert!(wrong.is_none(), "{wrong:?}");
    }
}

#[test]
fn make_knows_the_commands_that_the_readme_names() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let target = Regex::new(r"`?make ([a-z]+)`?").unwrap();
    for found in target.captures_iter(&readme) {
        assert!(makefile.contains(&format!("\n{}: ", &found[1])), "make {}", &found[1]);
    }
}

/// The contract is complete, and what it points to exists.
#[test]
fn the_fail_closed_page_names_every_threat_and_only_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/fail-closed.md")).unwrap();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| threats"))
        .map(|line| line.trim_matches('|').split(" | ").collect())
        .collect();
    assert!(rows.len() > 50);
    let threats: BTreeSet<&str> = rows.iter().flat_map(|row| row[0].split_whitespace()).collect();
    let expected: BTreeSet<String> =
        (1..=35).map(|n| format!("J{n:02}")).chain((1..=18).map(|n| format!("V{n:02}"))).collect();
    assert_eq!(threats, expected.iter().map(String::as_str).collect::<BTreeSet<_>>());

    let code = sources(&["src", "tests"]);
    let name = Regex::new("`([a-z0-9_]+)`").unwrap();
    for row in &rows {
        let tests: Vec<&str> =
            name.captures_iter(row.last().unwrap()).map(|found| found.get(1).unwrap().as_str()).collect();
        assert!(!tests.is_empty(), "{row:?} names no test");
        for test in tests {
            assert!(code.contains(&format!("fn {test}(")), "`{test}` is no test");
        }
    }
}

/// Every threat of the wire has tests, and what the page points to exists.
#[test]
fn the_threats_page_names_every_threat_of_the_wire_and_only_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/threats.md")).unwrap();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| threats"))
        .map(|line| line.trim_matches('|').split(" | ").collect())
        .collect();
    let threats: BTreeSet<&str> = rows.iter().flat_map(|row| row[0].split_whitespace()).collect();
    for (group, last) in [("S", 17), ("P", 17), ("R", 29), ("I", 24)] {
        for number in 1..=last {
            let threat = format!("{group}{number:02}");
            assert!(threats.contains(threat.as_str()), "{threat} is missing");
        }
    }
    let name = Regex::new("`([a-z][a-z0-9_]{9,})`").unwrap();
    let code = sources(&["tests/it"]);
    for row in &rows {
        let tests: Vec<&str> =
            name.captures_iter(row.last().unwrap()).map(|found| found.get(1).unwrap().as_str()).collect();
        assert!(!tests.is_empty(), "{row:?} names no test");
        for test in tests {
            assert!(code.contains(&format!("async fn {test}(")), "`{test}` is no test of a running gateway");
        }
    }
}

/// All Rust code under some folders.
fn sources(folders: &[&str]) -> String {
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut code = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                true if !entry.ends_with("target") => folders.push(entry),
                false if entry.extension().is_some_and(|extension| extension == "rs") => {
                    code += &fs::read_to_string(&entry).unwrap();
                }
                _ => {}
            }
        }
    }
    code
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Every Markdown file of the project.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.file_name().unwrap().to_str().unwrap();
            match entry.is_dir() {
                true if name != "target" && !name.starts_with('.') => folders.push(entry),
                false if name.ends_with(".md") => found.push(entry),
                _ => {}
            }
        }
    }
    found
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fenced = Regex::new(&format!("(?ms)^```{language}\n(.*?)^```")).unwrap();
    fenced.captures_iter(text).map(|found| found[1].to_owned()).collect()
}
