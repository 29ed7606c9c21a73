//! What is asked of the rewriter.

use std::sync::Arc;

use fieldgate::rewrite::condition::{ParamTable, Params, Predicate, Value};
use fieldgate::rewrite::mask::{Keys, Mask, MaskSpec, Masks};
use fieldgate::rewrite::{
    Access, Bounds, Csv, Format, Grant, Layout, Path, RecordRule, Records, RewritePlan, RuleId, RuleRef,
    Selector,
};

/// Thirty fields with the masked ones: these are shown.
pub(crate) const SHOWN: &[&str] = &[
    "id",
    "name",
    "industry",
    "region",
    "owner_id",
    "status",
    "mobile",
    "wechat",
    "address",
    "discount",
    "employees",
    "website",
    "created_at",
    "updated_at",
    "last_contact",
    "score",
    "vip",
    "archived",
    "source",
    "currency",
    "revenue",
    "language",
    "notes",
    "stage",
    "owner.id",
    "owner.name",
    "tags",
];
/// Those that are masked.
pub(crate) const MASKED: &[&str] = &["phone", "email", "id_card"];

/// Keep both ends, keep an address's first character and domain.
pub(crate) fn masks() -> Vec<Arc<Mask>> {
    let keep = MaskSpec::Keep { first: 3, last: 4, fill: '*' };
    let email = MaskSpec::Email { keep_first: 1 };
    let masks = Masks::build([("keep", &keep), ("email", &email)], &Keys::default()).expect("masks");
    ["keep", "email", "keep"].iter().map(|name| Arc::clone(masks.get(name).expect("mask"))).collect()
}

fn select(place: &str, access: Access) -> Selector {
    let path = Path::parse_field(place).expect(place);
    Selector { rank: u32::try_from(path.steps().len()).expect("rank"), path, access }
}

fn allow() -> Vec<Selector> {
    let shown = SHOWN.iter().map(|place| select(place, Access::Show));
    shown.chain(MASKED.iter().zip(masks()).map(|(place, mask)| select(place, Access::Mask(mask)))).collect()
}

fn plan(format: Format, grants: Vec<Grant>) -> Arc<RewritePlan> {
    let rule = RecordRule {
        name: "customer".into(),
        key: None,
        grants,
        guards: Vec::new(),
        relations: Vec::new(),
        embedded: Vec::new(),
        pairs: Vec::new(),
    };
    let at = Path::parse_jsonpath("$.data[*]").expect("path");
    let keep =
        vec![Path::parse_jsonpath("$.page").expect("path"), Path::parse_jsonpath("$.total").expect("path")];
    let layout = Layout { records: Records::Many { at, rule: RuleRef::Fixed(RuleId(0)) }, keep, total: None };
    Arc::new(RewritePlan::new(format, layout, vec![rule], Bounds::default()))
}

fn grant(when: Option<Arc<Predicate>>, fields: Vec<Selector>, otherwise: Access) -> Grant {
    Grant { when, fields, otherwise, name: "bench".into() }
}

/// The allow-list: thirty fields, three of them masked.
pub(crate) fn allow_list(format: Format) -> Arc<RewritePlan> {
    plan(format, vec![grant(None, allow(), Access::Hide)])
}

/// The deny-list: everything but two fields.
pub(crate) fn deny_list() -> Arc<RewritePlan> {
    let deny = vec![select("id_card", Access::Hide), select("phone", Access::Hide)];
    plan(Format::Json, vec![grant(None, deny, Access::Show)])
}

/// Own records and those of one region, under the allow-list; and its parameters.
pub(crate) fn condition() -> (Arc<RewritePlan>, Params) {
    let mut params = ParamTable::default();
    let mine = Predicate::compile("record.owner_id == principal.id || record.region == 'east'", &mut params)
        .expect("cel");
    let plan = plan(Format::Json, vec![grant(Some(Arc::new(mine)), allow(), Access::Hide)]);
    (plan, [Some(Value::Text("u7".into()))].into_iter().collect())
}

/// Comma-separated.
pub(crate) fn csv() -> Format {
    Format::Csv(Csv { delimiter: b',', neutralise_formulas: false, headers: Default::default() })
}
