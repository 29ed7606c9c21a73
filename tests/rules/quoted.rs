//! Every sentence of the rules is quoted by a test.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

#[test]
fn every_sentence_of_the_rules_is_quoted_by_a_test() {
    let quoted = comments();
    let rules = fs::read_to_string(root().join("docs/rules.md")).unwrap();
    let sentences = sentences(&rules);
    assert!(sentences.len() > 70, "{sentences:#?}");
    let missing: Vec<_> = sentences.iter().filter(|sentence| !quoted.contains(sentence.as_str())).collect();
    assert!(missing.is_empty(), "{} sentences are quoted by no test: {missing:#?}", missing.len());
}

/// A check that finds nothing missing could also be one that looks at nothing.
#[test]
fn a_sentence_nobody_quotes_is_found() {
    let page = "# T\n\nIntroduction.\n\n## Terms\n\n| a | b |\n|---|---|\n| **x** | y; z |\n\n1. **N.** One `a. b` is. Two:\n   three. (Four.)\n";
    assert_eq!(sentences(page), ["**x** | y; z", "One `a. b` is.", "Two: three.", "(Four.)"]);
    assert!(!comments().contains("This sentence stands in no comment at all"));
}

/// The sentences of a page behind its introduction: rows of tables, list items and paragraphs, cut at full stops.
fn sentences(page: &str) -> Vec<String> {
    let body = page.split_once("\n## ").unwrap().1;
    let mut blocks: Vec<String> = Vec::new();
    let mut open = false;
    let starts = Regex::new(r"^(\d+\. |- )").unwrap();
    for line in body.lines().skip(1) {
        let text = line.trim();
        if text.is_empty()
            || text.starts_with("## ")
            || text.starts_with("|--")
            || text == "| term | is |"
            || text == "| a | b |"
        {
            open = false;
        } else if let Some(row) = text.strip_prefix('|') {
            blocks.push(row.trim_end_matches('|').trim().to_owned());
        } else if let (true, false, Some(block)) = (open, starts.is_match(text), blocks.last_mut()) {
            block.push(' ');
            block.push_str(text);
        } else {
            blocks.push(starts.replace(text, "").into_owned());
            open = true;
        }
    }
    blocks.iter().flat_map(|block| cut(&plain(block))).collect()
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

/// All comments of these tests in one text.
fn comments() -> String {
    let mut text = String::new();
    for file in fs::read_dir(root().join("tests/rules")).unwrap() {
        let source = fs::read_to_string(file.unwrap().path()).unwrap();
        for line in source.lines() {
            match line.trim().strip_prefix("///") {
                Some(comment) => text.push_str(comment),
                None => text.push('\n'),
            }
            text.push(' ');
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
