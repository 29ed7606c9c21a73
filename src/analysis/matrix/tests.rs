use super::*;
use crate::policy::{Loaded, MaskKeys, Purpose};

const TEXT: &str = r#"
labels: [public, secret]
resources:
  item: { key: id, fields: { public: [id, owner, "lines[*].text"], secret: [cost, note] }, relations: { maker: person } }
  person: { fields: { public: [name], secret: [salary] } }
apis:
  shop:
    routes:
      - { match: GET /items, action: list, resource: item, records: "$[*]", query: { sort: sort, filter: [id, cost] } }
      - { match: "GET /items/{id}", action: read, resource: item, records: $ }
      - { match: "PUT /items/{id}", action: update, resource: item, body: $, records: $ }
      - { match: POST /items, action: create, resource: item, body: $, records: $ }
      - { match: GET /items/export, action: export, resource: item, records: "$[*]" }
roles:
  reader:
    permissions:
      - { resource: item, actions: [list, read], fields: { show: [public] } }
      - { resource: person, actions: [read], fields: { show: [public] } }
  owner:
    inherits: [reader]
    permissions:
      - resource: item
        actions: [read, update]
        records: record.owner == principal.id
        fields: { show: [cost], edit: [cost] }
      - { resource: item, actions: [list, read], fields: { mask: { note: stars } } }
      - { resource: item, actions: [create], fields: { show: [public], edit: [id, owner] } }
  exporter:
    permissions:
      - { resource: item, actions: [list, read, export], fields: { show: ["*"] } }
      - { resource: person, actions: [read], fields: { show: ["*"] } }
  stray:
    permissions:
      - { resource: person, actions: [read], fields: { show: ["*"] } }
bindings:
  - { role: reader, groups: [all] }
  - { role: owner, users: [ann, bob] }
guards:
  - { name: safe, on: { actions: [export] }, require: principal.mfa }
  - { name: cheap, on: { labels: [secret], actions: [list] }, require: 'ip_in(principal.ip, "10.0.0.0/8")' }
"#;

fn drawn(text: &str) -> Matrix {
    let loaded = Loaded::from_texts(&[("p.yaml", text)], &MaskKeys::Assumed, Purpose::Check);
    let plan = loaded.plan.unwrap_or_else(|| panic!("{}", loaded.report.to_text(false)));
    matrix(&plan, &loaded.set, &MatrixScope::default())
}

fn cell<'m>(matrix: &'m Matrix, resource: &str, field: &str, role: &str) -> &'m Cell {
    let column = matrix.columns.iter().position(|column| *column.role == *role).unwrap();
    let section = matrix.sections.iter().find(|section| *section.resource == *resource).unwrap();
    let rows = section.groups.iter().flat_map(|group| &group.rows);
    &rows.into_iter().find(|row| row.field == field).unwrap().cells[column]
}

fn about(matrix: &Matrix, numbers: &[usize]) -> Vec<About> {
    numbers.iter().map(|number| matrix.notes[number - 1].about.clone()).collect()
}

#[test]
fn a_role_has_what_it_inherits_and_conditions_are_noted_with_their_place() {
    let matrix = drawn(TEXT);
    assert_eq!(cell(&matrix, "item", "id", "owner").marks, [Mark { mask: None, notes: vec![] }]);
    let cost = cell(&matrix, "item", "cost", "owner");
    let [Mark { mask: None, notes }] = &cost.marks[..] else { panic!("{cost:?}") };
    assert_eq!(about(&matrix, notes), [About::Condition("record.owner == principal.id".into())]);
    let places: Vec<_> = matrix.notes[notes[0] - 1].places.iter().map(AsRef::as_ref).collect();
    assert_eq!(places, ["p.yaml:22"]);
    assert_eq!(cell(&matrix, "item", "cost", "reader"), &Cell::default());
}

#[test]
fn masks_edits_and_queries_are_marked() {
    let matrix = drawn(TEXT);
    assert_eq!(cell(&matrix, "item", "note", "owner").marks[0].mask.as_deref(), Some("stars"));
    let cost = cell(&matrix, "item", "cost", "owner");
    assert_eq!(
        about(&matrix, cost.edit.as_ref().unwrap()),
        [About::Condition("record.owner == principal.id".into())]
    );
    assert!(!cost.query && cell(&matrix, "item", "id", "reader").query);
    let id = cell(&matrix, "item", "id", "owner");
    assert_eq!(about(&matrix, id.edit.as_ref().unwrap()), [About::CreateOnly]);
}

#[test]
fn an_action_that_differs_is_an_exception() {
    let matrix = drawn(TEXT);
    // Listing gives no cost to its owner.
    let cost = cell(&matrix, "item", "cost", "owner");
    assert!(
        about(&matrix, &cost.notes)
            .contains(&About::Exception { action: Action::List, outcomes: Vec::new() })
    );
}

#[test]
fn guards_are_noted_where_they_take_something_away() {
    let matrix = drawn(TEXT);
    let guards = |numbers: &[usize]| -> Vec<Arc<str>> {
        about(&matrix, numbers)
            .into_iter()
            .filter_map(|about| if let About::Guard { name, .. } = about { Some(name) } else { None })
            .collect()
    };
    assert_eq!(guards(&cell(&matrix, "item", "cost", "exporter").notes), ["cheap".into()]);
    assert!(guards(&cell(&matrix, "item", "id", "exporter").notes).is_empty());
    let exporter = &matrix.sections[0].actions[2];
    let export = exporter.iter().find(|mark| mark.action == Action::Export).unwrap();
    assert_eq!(guards(&export.notes), ["safe".into()]);
}

/// Rule 5 of combination: a related record is judged by its own resource's permissions for `read`.
#[test]
fn related_records_are_reached_through_a_route_and_not_without_one() {
    let matrix = drawn(TEXT);
    assert_eq!(cell(&matrix, "person", "salary", "exporter").marks.len(), 1);
    assert_eq!(cell(&matrix, "person", "salary", "reader").marks.len(), 0);
    assert_eq!(cell(&matrix, "person", "salary", "stray").marks.len(), 0, "no route leads to a person");
}

/// Rule 3 of combination: show beats mask; of two masks the less revealing one is applied.
#[test]
fn what_makes_no_difference_is_left_out() {
    let text = TEXT.replace(
        "fields: { mask: { note: stars } } }",
        "fields: { mask: { note: stars } } }\n      - { resource: item, actions: [read], records: record.owner == \"x\", fields: { mask: { note: blank } } }\n      - { resource: item, actions: [read], records: record.owner == \"y\", fields: { mask: { note: keepall } } }",
    );
    let matrix = drawn(&format!("masks: {{ keepall: {{ keep: {{ first: 9, last: 9 }} }} }}\n{text}"));
    let marks: Vec<_> = cell(&matrix, "item", "note", "owner").marks.iter().map(|m| m.mask.clone()).collect();
    assert_eq!(marks, [Some("stars".to_owned()), Some("blank".to_owned())], "`keepall` never applies");
}

#[test]
fn holders_are_counted_also_for_what_they_inherit() {
    let matrix = drawn(TEXT);
    assert_eq!(matrix.columns[0].holders.sentence(), "2 bound users, the group `all`");
    assert_eq!(matrix.columns[2].holders.sentence(), "nobody bound");
}

#[test]
fn the_scope_narrows_rows_and_columns() {
    let loaded = Loaded::from_texts(&[("p.yaml", TEXT)], &MaskKeys::Assumed, Purpose::Check);
    let scope = MatrixScope { resources: vec!["person".into()], roles: vec!["owner".into()] };
    let matrix = matrix(&loaded.plan.unwrap(), &loaded.set, &scope);
    assert_eq!((matrix.sections.len(), matrix.columns.len()), (1, 1));
}

#[test]
fn members_nobody_labelled_have_a_row_where_they_pass() {
    let matrix = drawn(&TEXT.replace("  item: {", "  item: { unknown: show,"));
    assert_eq!(cell(&matrix, "item", UNLABELLED, "reader").marks.len(), 1);
    let groups = &matrix.sections[0].groups;
    assert!(groups.iter().any(|group| group.label.is_none()));
}

#[test]
fn who_may_have_masks_turned_back_stands_at_the_role() {
    let text = TEXT.replace(
        "roles:\n  reader:\n",
        "masks: { acct: { fpe: { key: k } } }\nroles:\n  reader:\n    unmask: [acct]\n",
    );
    let matrix = drawn(&text);
    let of = |role: &str| {
        let column = matrix.columns.iter().find(|column| &*column.role == role).unwrap();
        column.unmasks.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!((of("reader"), of("owner"), of("stray")), (vec!["acct".into()], vec!["acct".into()], vec![]));
}
