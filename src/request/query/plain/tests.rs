use std::collections::BTreeSet;

use super::*;
use crate::rewrite::{Bounds, Format, Layout, Path, RecordRule, Records, RuleId, RuleRef, Step};

fn names(names: &[&str]) -> BTreeSet<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

fn rule() -> QueryRule {
    QueryRule {
        select: Some("fields".into()),
        sort: Some("order_by".into()),
        filter: vec!["name".into(), "phone".into()],
        search: vec!["q".into()],
        page_size: Some(("limit".into(), 200)),
        pass: vec!["page".into()],
        columns: None,
        expand: None,
        related: Vec::new(),
        body: Vec::new(),
        dialect: None,
        fields: Arc::new(QueryFields {
            queryable: names(&["id", "name", "created_at"]),
            selectable: names(&["id", "name", "phone", "bank.account", "address"]),
            ..QueryFields::default()
        }),
    }
}

fn name(name: &str) -> Path {
    Path(name.split('.').map(|part| Step::Name(part.into())).collect())
}

fn plan(key: Option<&str>) -> RewritePlan {
    let layout = Layout {
        records: Records::Many { at: name("data"), rule: RuleRef::Fixed(RuleId(0)) },
        keep: Vec::new(),
        total: None,
    };
    let rule = RecordRule {
        name: "customer".into(),
        key: key.map(name),
        grants: Vec::new(),
        guards: Vec::new(),
        relations: vec![(
            Path(vec![Step::Name("contacts".into()), Step::Elements]),
            RuleRef::ByType { at: name("kind"), cases: [("self".into(), RuleId(0))].into() },
        )],
        embedded: Vec::new(),
        pairs: Vec::new(),
    };
    RewritePlan::new(Format::Json, layout, vec![rule], Bounds::default())
}

fn guarded(query: &[(&str, &str)]) -> Result<String, String> {
    let query: Vec<_> = query.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    guard(&rule(), &plan(None), &query)
        .map(|query| {
            query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
        })
        .map_err(|refused| refused.public())
}

#[test]
fn passes_what_names_only_queryable_fields() {
    let query =
        [("name", "王芳"), ("order_by", "-name,created_at desc"), ("limit", "50"), ("page", "2"), ("q", "x")];
    assert_eq!(guarded(&query).unwrap(), "name=王芳&order_by=-name,created_at desc&limit=50&page=2&q=x");
}

#[test]
fn a_hidden_field_is_refused_in_the_words_of_an_unknown_one() {
    let cases = [[("order_by", "phone")], [("order_by", "no_such")], [("order_by", "-name,phone")]];
    let texts: BTreeSet<_> = cases.iter().map(|query| guarded(query).unwrap_err()).collect();
    assert_eq!(texts.len(), 1);
    let hidden = guarded(&[("phone", "138")]).unwrap_err();
    let unknown = guarded(&[("xhone", "138")]).unwrap_err();
    assert_eq!(hidden.replace("phone", "_"), unknown.replace("xhone", "_"));
}

#[test]
fn refuses_what_nobody_declared() {
    for (parameter, value) in [
        ("_method", "DELETE"),
        ("callback", "f"),
        ("filter[phone][_eq]", "138"),
        ("Name", "x"),
        ("name ", "x"),
        ("", ""),
        ("fields[]", "name"),
    ] {
        assert!(guarded(&[(parameter, value)]).is_err(), "{parameter}");
    }
}

#[test]
fn a_sort_key_of_another_form_is_refused() {
    for key in
        ["", "name,", "--name", "name sideways", "name asc desc", "lower(name)", "name;phone", "name.x", "*"]
    {
        assert!(guarded(&[("order_by", key)]).is_err(), "{key}");
    }
}

#[test]
fn takes_unselectable_fields_out_of_a_selection() {
    assert_eq!(guarded(&[("fields", "id, name,id_card,no_such")]).unwrap(), "fields=id,name");
    assert!(guarded(&[("fields", "id_card")]).is_err());
    assert!(guarded(&[("fields", "")]).is_err());
}

#[test]
fn a_selection_may_name_containers_and_parts_of_declared_fields() {
    let query = [("fields", "bank,address.city,*,bank.*,*.*")];
    assert_eq!(guarded(&query).unwrap(), "fields=bank,address.city,*,bank.*,*.*");
    assert!(guarded(&[("fields", "ban")]).is_err());
    assert!(guarded(&[("fields", "id_card.*")]).is_err());
}

#[test]
fn a_selection_keeps_what_decides_about_the_records() {
    let query = [("fields".to_owned(), "name".to_owned())];
    let guarded = guard(&rule(), &plan(Some("bank.account")), &query).unwrap();
    assert_eq!(guarded[0].1, "name,bank.account", "what decides about records that are not asked for is not");
}

#[test]
fn a_page_size_is_capped() {
    assert_eq!(guarded(&[("limit", "201")]).unwrap(), "limit=200");
    assert_eq!(guarded(&[("limit", "99999999999999999999999")]).unwrap(), "limit=200");
    assert_eq!(guarded(&[("limit", "007")]).unwrap(), "limit=7");
    for value in ["", "0", "-1", "all", "1e3", "0x10", "+5", " 5", "٣"] {
        assert!(guarded(&[("limit", value)]).is_err(), "{value}");
    }
}

#[test]
fn a_parameter_that_steers_may_stand_once_only() {
    assert!(guarded(&[("limit", "1"), ("limit", "2")]).is_err());
    assert!(guarded(&[("fields", "id"), ("fields", "id")]).is_err());
    assert!(guarded(&[("order_by", "id"), ("order_by", "id")]).is_err());
    assert_eq!(guarded(&[("name", "a"), ("name", "b")]).unwrap(), "name=a&name=b");
}

#[test]
fn without_a_rule_every_parameter_is_refused() {
    let query = [("page".to_owned(), "1".to_owned())];
    assert!(guard(&QueryRule::default(), &plan(None), &query).is_err());
    assert!(guard(&QueryRule::default(), &plan(None), &[]).unwrap().is_empty());
}
