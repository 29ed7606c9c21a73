//! Changes as text, Markdown and JSON.

use serde_json::json;

use crate::analysis::{Change, ChangeKind, PolicyDiff};

/// For the terminal.
pub(super) fn text(found: &PolicyDiff) -> String {
    let mut out = String::new();
    for (heading, changes) in sections(found) {
        out.push_str(&format!("{heading}\n"));
        for change in changes {
            out.push_str(&format!("  {}\n", change.says));
            for detail in details(change) {
                out.push_str(&format!("      {detail}\n"));
            }
        }
        out.push('\n');
    }
    out.push_str(&format!("{}\n", summary(found)));
    out
}

/// For a pull request.
pub(super) fn markdown(found: &PolicyDiff) -> String {
    let mut out = format!("## Policy: {}\n", summary(found));
    for (heading, changes) in sections(found) {
        out.push_str(&format!("\n### {heading}\n\n"));
        for change in changes {
            let says = if change.kind == ChangeKind::Loss { change.says.clone() } else { bold(&change.says) };
            out.push_str(&format!("- {says}\n"));
            for detail in details(change) {
                out.push_str(&format!("  <br>{detail}\n"));
            }
        }
    }
    out.push_str(&format!("\n<sub>`{}` → `{}`, by `fieldgate diff`</sub>\n", found.old, found.new));
    out
}

/// For programs.
pub(super) fn json(found: &PolicyDiff) -> String {
    let changes: Vec<_> = found
        .changes
        .iter()
        .map(|change| {
            let holders = change.holders.as_ref();
            json!({
                "kind": change.kind.name(),
                "says": change.says,
                "resource": change.resource,
                "label": change.label,
                "fields": change.fields,
                "roles": change.roles,
                "actions": change.actions.iter().map(|action| action.name()).collect::<Vec<_>>(),
                "from": change.from,
                "to": change.to,
                "users": holders.map(|held| held.users.len()),
                "groups": holders.map(|held| &held.groups),
                "places": change.places,
            })
        })
        .collect();
    let whole = json!({ "old": found.old, "new": found.new, "opens": found.opens(), "changes": changes });
    format!("{whole:#}\n")
}

fn sections(found: &PolicyDiff) -> Vec<(&'static str, Vec<&Change>)> {
    let kinds = [
        ChangeKind::Gain,
        ChangeKind::Guard,
        ChangeKind::Mask,
        ChangeKind::Limit,
        ChangeKind::Unclear,
        ChangeKind::Loss,
    ];
    kinds
        .into_iter()
        .map(|kind| {
            (kind.heading(), found.changes.iter().filter(|change| change.kind == kind).collect::<Vec<_>>())
        })
        .filter(|(_, changes)| !changes.is_empty())
        .collect()
}

fn summary(found: &PolicyDiff) -> String {
    let count = |kind| found.changes.iter().filter(|change| change.kind == kind).count();
    let said = [
        (ChangeKind::Gain, "gain", "gains"),
        (ChangeKind::Guard, "protection removed or changed", "protections removed or changed"),
        (ChangeKind::Mask, "mask that reveals more", "masks that reveal more"),
        (ChangeKind::Limit, "limit raised", "limits raised"),
        (ChangeKind::Unclear, "change to be read", "changes to be read"),
        (ChangeKind::Loss, "loss", "losses"),
    ]
    .into_iter()
    .filter_map(|(kind, one, many)| match count(kind) {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    })
    .collect::<Vec<_>>();
    if said.is_empty() { "nobody gains or loses anything".to_owned() } else { said.join(", ") }
}

/// How it was and is; whom it concerns; where it is written.
fn details(change: &Change) -> Vec<String> {
    let mut lines = Vec::new();
    if !change.from.is_empty() {
        lines.push(format!("{} → {}", change.from, change.to));
    }
    if let Some(held) = &change.holders {
        let roles = change.roles.len();
        lines.push(format!("{roles} {}, {}", if roles == 1 { "role" } else { "roles" }, held.sentence()));
    }
    if !change.places.is_empty() {
        let places: Vec<_> = change.places.iter().take(PLACES).map(|place| format!("`{place}`")).collect();
        lines.push(places.join(", "));
    }
    lines
}

/// Bold text with code in it: most readers of Markdown take `**` around the whole.
fn bold(text: &str) -> String {
    format!("**{text}**")
}

/// Places listed with a change.
const PLACES: usize = 4;
