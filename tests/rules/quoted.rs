//! Every sentence of the rules is quoted by a test, also the comments in their examples, which promise something too.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

#[test]
fn every_sentence_of_the_rules_is_quoted_by_a_test() {
    let quoted = comments();
    let rules = fs::read_to_string(root().join("docs/rules.md")).unwrap();
    let sentences = sentences(behind_the_introduction(&rules));
    assert!(sentences.len() > 90, "{sentences:#?}");
    let missing: Vec<_> = sentences.iter().filter(|sentence| !quoted.contains(sentence.as_str())).collect();
    assert!(missing.is_empty(), "{} sentences are quoted by no test: {missing:#?}", missing.len());
}

/// The page that fixes the language lies beside a checkout, where it is worked on; the rules are its sentences.
#[test]
fn every_sentence_of_the_design_is_one_of_the_rules() {
    let page = root().join("../shared/design/policy.md");
    let Ok(design) = fs::read_to_string(&page) else {
        // Seen with `--nocapture`: the rules are compared with the tests in any case.
        eprintln!("not compared: there is no {}", page.display());
        return;
    };
    let design = design.replace("of the systems in `upstreams.md`", "of the systems that it was made for");
    let rules = fs::read_to_string(root().join("docs/rules.md")).unwrap();
    let of_the_rules = sentences(behind_the_introduction(&rules));
    let design = sentences(design.split_once("\n").unwrap().1);
    assert!(design.len() > 90, "{design:#?}");
    let missing: Vec<_> = design.iter().filter(|sentence| !of_the_rules.contains(sentence)).collect();
    assert!(missing.is_empty(), "docs/rules.md lacks {} sentences: {missing:#?}", missing.len());
}

/// A check that finds nothing missing could also be one that looks at nothing.
#[test]
fn a_sentence_nobody_quotes_is_found() {
    let page = "# T\n\nIntroduction.\n\n## Terms\n\n| a | b |\n|---|---|\n| **x** | y; z |\n\n1. **N.** One `a. b` is. Two:\n   three. (Four.)\n\n```yaml\na: '#1'  # a promise. Another\n# alone\n```\nFive.\n";
    assert_eq!(
        sentences(behind_the_introduction(page)),
        [
            "**x** | y; z",
            "One `a. b` is.",
            "Two: three.",
            "(Four.)",
            "\"a promise. Another\"",
            "\"alone\"",
            "Five."
        ]
    );
    assert!(!comments().contains("This sentence stands in no comment at all"));
}

fn behind_the_introduction(page: &str) -> &str {
    page.split_once("\n## ").unwrap().1.split_once('\n').unwrap().1
}

/// The sentences of a page: rows of tables, list items and paragraphs, cut at full stops; of examples the comments, each
/// in quotes, as what is short might stand anywhere.
fn sentences(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block = String::new();
    let mut example = false;
    let starts = Regex::new(r"^(\d+\. |- )").unwrap();
    let comment = Regex::new(r"(?:^|\s)# (.+)$").unwrap();
    for line in page.lines().chain([""]) {
        let text = line.trim();
        let fence = text.starts_with("```");
        let apart = fence || text.is_empty() || text.starts_with(['#', '|']) || starts.is_match(text);
        if apart || example {
            found.extend(cut(&plain(&block)));
            block.clear();
        }
        if fence {
            example = !example;
        } else if example {
            found.extend(comment.captures(text).map(|found| format!("\"{}\"", &found[1])));
        } else if let Some(row) = text.strip_prefix('|') {
            let heads = ["|--", "| term | is |", "| a | b |"];
            if !heads.iter().any(|head| text.starts_with(head)) {
                found.extend(cut(&plain(row.trim_end_matches('|'))));
            }
        } else if !text.starts_with('#') {
            block.push_str(&starts.replace(text, ""));
            block.push(' ');
        }
    }
    found
}

/// Cuts at a full stop before a blank, outside of code.
fn cut(block: &str) -> Vec<String> {
    let (mut found, mut sentence, mut code) = (Vec::new(), String::new(), false);
    let mut rest = block.chars().peekable();
    while let Some(c) = rest.next() {
        code ^= c == '`';
        sentence.push(c);
        let ended = sentence.ends_with('.') || sentence.ends_with(".**") || sentence.ends_with(".)");
        if ended && !code && rest.peek().is_none_or(|next| *next == ' ') {
            // A heading such as **Names.** belongs to nobody.
            let text = sentence.trim().to_owned();
            if !(text.starts_with("**") && text.ends_with(".**")) {
                found.push(text);
            }
            sentence.clear();
        }
    }
    found.extend(Some(sentence.trim().to_owned()).filter(|rest| !rest.is_empty()));
    found
}

/// All comments of these tests, and of those that need a whole gateway, in one text.
fn comments() -> String {
    let mut text = String::new();
    for folder in ["tests/rules", "tests/it"] {
        let files = fs::read_dir(root().join(folder)).unwrap().map(|file| file.unwrap().path());
        for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
            for line in fs::read_to_string(file).unwrap().lines() {
                match line.trim().strip_prefix("///") {
                    Some(comment) => text.push_str(comment),
                    None => text.push('\n'),
                }
                text.push(' ');
            }
        }
    }
    plain(&text)
}

/// Blanks of any kind as one.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
