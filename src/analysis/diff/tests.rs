use super::*;
use crate::policy::{Loaded, MaskKeys, Purpose};

const TEXT: &str = r#"
labels: [public, secret]
masks: { few: { keep: { first: 2, last: 0 } }, many: { keep: { first: 4, last: 0 } } }
resources:
  item: { key: id, fields: { public: [id, owner], secret: [cost, note] } }
apis:
  shop:
    routes:
      - { match: GET /items, action: list, resource: item, records: "$[*]", query: { sort: sort, page_size: { param: limit, max: 100 } } }
      - { match: "GET /items/{id}", action: read, resource: item, records: $ }
      - { match: "PUT /items/{id}", action: update, resource: item, body: $, records: $ }
      - { match: GET /items/export, action: export, resource: item, records: "$[*]" }
roles:
  reader: { permissions: [{ resource: item, actions: [list, read], fields: { show: [public], mask: { note: few } } }] }
  owner:
    inherits: [reader]
    permissions: [{ resource: item, actions: [read, update], records: record.owner == principal.id, fields: { show: [cost], edit: [cost] } }]
bindings:
  - { role: reader, groups: [all] }
  - { role: owner, users: [ann, bob], expires: 2027-01-31 }
guards:
  - { name: safe, on: { actions: [export] }, require: principal.mfa }
  - { name: office, on: { labels: [secret] }, require: 'ip_in(principal.ip, "10.0.0.0/8")' }
limits:
  - { name: much, per: principal, records: 100/day }
invariants:
  - { name: kept, never: { edit: [note] } }
"#;

fn load(text: &str) -> Loaded {
    let loaded = Loaded::from_texts(&[("p.yaml", text)], &MaskKeys::Assumed, Purpose::Check);
    assert!(loaded.plan.is_some(), "{}", loaded.report.to_text(false));
    loaded
}

/// What changes when parts of the text are replaced, as kind, sentence, and how it was and is.
fn changed(replacements: &[(&str, &str)]) -> Vec<String> {
    let mut text = TEXT.to_owned();
    for (old, new) in replacements {
        assert!(text.contains(old), "{old}");
        text = text.replace(old, new);
    }
    told(TEXT, &text)
}

fn told(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (load(old), load(new));
    let side = |loaded: &'static Loaded| Side { set: &loaded.set, plan: loaded.plan.as_ref().unwrap() };
    let found = diff(side(Box::leak(Box::new(old))), side(Box::leak(Box::new(new))));
    let tell = |change: &Change| {
        let between = if change.from.is_empty() {
            String::new()
        } else {
            format!(": {} → {}", change.from, change.to)
        };
        format!("{} {}{between}", change.kind.name(), change.says)
    };
    found.changes.iter().map(tell).collect()
}

#[test]
fn the_same_rights_in_other_words_are_no_change() {
    assert!(
        changed(&[("show: [public], mask: { note: few }", "show: [id, owner], mask: { note: few }")])
            .is_empty()
    );
    assert!(changed(&[("labels: [public, secret]", "# a remark\nlabels: [public, secret]")]).is_empty());
}

#[test]
fn a_field_that_opens_is_told_with_roles_and_actions() {
    let found =
        changed(&[("show: [public], mask: { note: few }", "show: [public, cost], mask: { note: few }")]);
    for part in [
        "gain opens `cost` of `item` (label `secret`) to role `reader` on list, read: hidden → in clear",
        "gain opens `cost` of `item` (label `secret`) to role `owner` on list: hidden → in clear",
        "to role `owner` on read: in clear where `record.owner == principal.id` → in clear",
        "gain lets roles `owner`, `reader` filter or sort by `cost` of `item` (label `secret`) on list: no → yes",
    ] {
        assert!(found.iter().any(|text| text.contains(part)), "{part}\n{found:#?}");
    }
}

#[test]
fn a_lifted_condition_and_a_rewritten_one_are_gains() {
    let lifted = changed(&[("records: record.owner == principal.id, ", "")]);
    assert!(lifted.contains(
        &"gain lets role `owner` update `item`: yes where `record.owner == principal.id` → yes".to_owned()
    ));
    let rewritten = changed(&[("record.owner == principal.id", "record.owner != principal.id")]);
    assert!(rewritten.iter().any(|text| text.starts_with("gain ")));
    assert!(rewritten.iter().any(|text| text.starts_with("loss ")));
}

#[test]
fn a_mask_that_reveals_more_is_told_also_under_its_old_name() {
    assert_eq!(
        changed(&[("note: few", "note: many")]),
        [
            "mask masks less of `note` of `item` (label `secret`) for roles `owner`, `reader` on list, read: masked as `few` → masked as `many`"
        ]
    );
    assert_eq!(
        changed(&[("few: { keep: { first: 2", "few: { keep: { first: 3")]),
        [
            "mask masks less of `note` of `item` (label `secret`) for roles `owner`, `reader` on list, read: masked as `few` → the same, with a mask that reveals more"
        ]
    );
    assert!(
        changed(&[("few: { keep: { first: 2", "few: { keep: { first: 1")])[0].starts_with("loss masks more")
    );
}

/// Of masks that apply together the least revealing is applied: taking it away opens the other.
#[test]
fn taking_away_the_stricter_of_two_masks_is_told() {
    let two = "{ permissions: [{ resource: item, actions: [list, read], fields: { show: [public], mask: { note: few } } }";
    let both = format!("{two}, {{ resource: item, actions: [read], fields: {{ mask: {{ note: blank }} }} }}");
    let old = TEXT.replace(two, &both);
    assert_eq!(
        told(&old, TEXT),
        [
            "mask masks less of `note` of `item` (label `secret`) for roles `owner`, `reader` on read: masked as `blank` → masked as `few`"
        ]
    );
}

#[test]
fn actions_edits_and_routes_are_told() {
    let export = changed(&[(
        "reader: { permissions: [{ resource: item, actions: [list, read],",
        "reader: { permissions: [{ resource: item, actions: [list, read, export],",
    )]);
    assert!(export[0].starts_with("gain lets roles `owner`, `reader` export `item`"), "{export:?}");
    let edit = changed(&[
        ("show: [cost], edit: [cost]", "show: [cost, note], edit: [cost, note]"),
        ("  - { name: kept, never: { edit: [note] } }", "  []"),
    ]);
    assert!(
        edit.iter()
            .any(|text| text.contains("lets role `owner` set `note` of `item` (label `secret`) on update"))
    );
    assert!(edit.iter().any(|text| text == "guard drops the invariant `kept`"));
    let public = changed(&[("    routes:\n", "    routes:\n      - { match: GET /debug, public: true }\n")]);
    assert_eq!(
        public,
        ["gain opens the route `GET /debug` of `shop` to everybody, untouched and without a principal"]
    );
    let envelope = changed(&[(
        "resource: item, records: $ }\n      - { match: \"PUT",
        "resource: item, records: $.data, envelope: { keep: [debug] } }\n      - { match: \"PUT",
    )]);
    assert!(envelope.iter().any(|text| {
        text.contains("opens members beside the records on `GET /items/{id}` of `shop`: `debug`")
    }));
    assert!(envelope.iter().any(|text| text.starts_with("unclear changes `records`")));
}

#[test]
fn people_are_told_by_name_and_number() {
    assert_eq!(
        changed(&[("users: [ann, bob]", "users: [ann, bob, cay, dan]")]),
        ["gain gives the role `owner` to 2 users `cay`, `dan`"]
    );
    assert_eq!(
        changed(&[(", expires: 2027-01-31", "")]),
        [
            "gain lifts restrictions (`when`, `expires`, `hours`, `networks`) on the role `owner` for 2 users `ann`, `bob`"
        ]
    );
    assert!(changed(&[("2027-01-31", "2026-12-31")])[0].starts_with("loss restricts"));
    assert!(
        changed(&[("groups: [all]", "groups: [some]")])[1]
            .starts_with("loss takes the role `reader` from group `all`")
    );
}

#[test]
fn guards_and_limits_are_told() {
    let gone = changed(&[("  - { name: safe, on: { actions: [export] }, require: principal.mfa }\n", "")]);
    assert_eq!(gone, ["guard removes the guard `safe` (refuses requests unless `principal.mfa`)"]);
    assert_eq!(
        changed(&[("on: { labels: [secret] }", "on: { resource: item, fields: [cost] }")]),
        ["guard narrows the guard `office`"]
    );
    assert_eq!(
        changed(&[("on: { labels: [secret] }", "on: { labels: [secret], actions: [list] }")]),
        ["guard narrows the guard `office`"]
    );
    assert!(
        changed(&[("principal.mfa", "true")])[0].starts_with("guard changes what the guard `safe` requires")
    );
    assert_eq!(
        changed(&[("records: 100/day", "records: 200/day")]),
        ["limit raises the limit `much` of records: 100 a day → 200 a day"]
    );
    assert_eq!(
        changed(&[("records: 100/day", "records: 100/hour")]),
        ["limit raises the limit `much` of records: 100 a day → 100 a hour"]
    );
    assert!(changed(&[("records: 100/day", "records: 50/day")])[0].starts_with("loss lowers"));
    assert!(
        changed(&[("per: principal,", "per: principal, roles: [owner],")])[0].starts_with("limit loosens")
    );
    assert_eq!(
        changed(&[("max: 100", "max: 500")]),
        ["limit raises the page size of `GET /items` of `shop`: 100 → 500"]
    );
}

#[test]
fn the_most_dangerous_stands_first() {
    let all = changed(&[
        ("show: [public], mask: { note: few }", "show: [cost], mask: { note: many }"),
        ("records: 100/day", "records: 200/day"),
        ("  - { name: safe, on: { actions: [export] }, require: principal.mfa }\n", ""),
    ]);
    let kinds: Vec<_> = all.iter().filter_map(|text| text.split(' ').next()).collect();
    let mut sorted = kinds.clone();
    sorted.sort_by_key(|kind| {
        ["gain", "guard", "mask", "limit", "unclear", "loss"].iter().position(|k| k == kind)
    });
    assert_eq!(kinds, sorted);
    assert!(all[0].contains("`cost`"), "{all:?}");
}

#[test]
fn names_cannot_end_the_code_they_stand_in() {
    assert_eq!(code("a`b\u{1b}"), "`a´b\u{fffd}`");
}

#[test]
fn a_right_to_turn_masks_back_is_a_gain_and_its_loss_a_loss() {
    let with = TEXT
        .replace("masks: {", "masks: { acct: { fpe: { key: k } },")
        .replace("  reader: { permissions", "  reader: { unmask: [acct], permissions");
    let without = with.replace("unmask: [acct], ", "");
    assert_eq!(
        told(&without, &with),
        [
            "gain lets role `owner` have values of `acct` turned back",
            "gain lets role `reader` have values of `acct` turned back"
        ]
    );
    let lost = told(&with, &without);
    assert!(
        lost.iter().all(|said| said.starts_with("loss no longer lets role")) && lost.len() == 2,
        "{lost:?}"
    );
    assert!(told(&with, &with).is_empty());
}
