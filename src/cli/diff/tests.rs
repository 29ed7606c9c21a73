use super::*;
use crate::policy::{MaskKeys, Purpose};

/// The demo and a change of it as somebody may propose it: some of it harmless, some not.
fn proposed() -> (Loaded, Loaded) {
    let texts: Vec<(String, String)> = ["data", "masks", "roles"]
        .into_iter()
        .map(|name| {
            let file = format!("policies/demo/{name}.yaml");
            let text = std::fs::read_to_string(&file).unwrap();
            (file, text)
        })
        .collect();
    let changed: Vec<(String, String)> = texts
        .iter()
        .map(|(file, text)| {
            let text = text
                .replace("credit_limit: band } }", "credit_limit: band }, edit: [] }")
                .replace("fields: { show: [financial], mask:", "fields: { show: [financial, contact], mask:")
                .replace(
                    "phone:     { keep: { first: 3, last: 4 } }",
                    "phone:     { keep: { first: 5, last: 4 } }",
                )
                .replace("records: 5000/day", "records: 50000/day")
                .replace(
                    "- { role: support, groups: [support] }",
                    "- { role: support, groups: [support, partners] }",
                )
                .replace("show: [id, name, industry, region, status]", "show: [id, name, status]")
                .replace(
                    "envelope: { keep: [page, page_size], total",
                    "envelope: { keep: [page, page_size, debug], total",
                );
            (file.clone(), text)
        })
        .collect();
    let load = |texts: &[(String, String)]| {
        let texts: Vec<_> = texts.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect();
        Loaded::from_texts(&texts, &MaskKeys::Assumed, Purpose::Check)
    };
    (load(&texts), load(&changed))
}

#[test]
fn a_proposed_change_of_the_demo_is_told_as_before() {
    let (old, new) = proposed();
    let mut found = diff(side(&old).unwrap(), side(&new).unwrap());
    (found.old, found.new) = ("0000000000000000".into(), "1111111111111111".into());
    crate::cli::golden::golden("diff-demo.txt", &write::text(&found));
    crate::cli::golden::golden("diff-demo.md", &write::markdown(&found));
    crate::cli::golden::golden("diff-demo.json", &write::json(&found));
}
