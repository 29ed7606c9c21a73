//! Complaints about routes in depth: rows, record types, forms of bodies, questions in bodies.

use super::*;

#[test]
fn mistakes_in_depth_are_told_at_their_place() {
    let complaint = |route: &str| {
        let text = format!(
            "labels: [l]\nresources: {{ c: {{ key: id, fields: {{ l: [id] }} }} }}\napis:\n  a:\n    routes:\n      - {{ match: POST /x, action: list, resource: c, {route} }}\n"
        );
        let found = said(&load(&text).report);
        found.into_iter().find(|line| line.starts_with("6:")).unwrap_or_default()
    };
    for (route, expected) in [
        ("rows: { at: $, columns: [id] }", "`$` names no list of rows | write `$[*]`"),
        ("rows: { at: '$[*]', columns: { at: header x } }", "columns are named in the query or in the body"),
        ("rows: { at: '$[*]', columns: [id] }, records: '$[*]'", "`rows` and `records`"),
        ("rows: { at: '$[*]', columns: [id] }, format: csv", "`rows` belong to `format: json`"),
        ("records: '$[*]', type_at: 'a[*]'", "exactly one place"),
        ("records: '$[*]', type_at: { at: t, map: { X: d } }", "unknown resource `d`"),
        ("records: '$[*]', body_as: jason", "unknown form of a body `jason` | did you mean `json`?"),
        ("records: '$[*]', body_as: [json, json-string]", "two forms that one content type stands for"),
        ("records: '$[*]', query: { dialect: soql }", "unknown query dialect `soql` | known are `kingdee`"),
        ("records: '$[*]', query: { sort: header x }", "cannot ask for records"),
        ("records: '$[*]', query: { pass: body $..x }", "is no place in a body"),
    ] {
        assert!(complaint(route).contains(expected), "{route}: {}", complaint(route));
    }
}
