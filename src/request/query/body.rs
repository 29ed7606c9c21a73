//! Bodies that ask: every value in them is a declared part, judged by what it means; anything else is refused.
//!
//! Lists of fields are trimmed as in a query, the columns of positional rows are those of the permit, page sizes are
//! capped, and filters and orders name only fields that the caller may query by. A place that nobody declared is
//! refused whatever it holds: an upstream might take it for a filter.

use crate::policy::{Meaning, Permit, QueryRule, Tree};
use crate::rewrite::{Path, RewritePlan, Step};

use super::super::Refused;
use super::super::refused::shown;
use super::{dialect, plain};

/// The body that goes on in place of `given`.
pub(in crate::request) fn guard(permit: &Permit, given: &Tree) -> Result<Tree, Refused> {
    let judge = Judge { permit, rule: permit.query(), plan: permit.rewrite() };
    judge.tree(given, &mut Vec::new())
}

struct Judge<'p> {
    permit: &'p Permit,
    rule: &'p QueryRule,
    plan: &'p RewritePlan,
}

impl Judge<'_> {
    fn tree(&self, given: &Tree, place: &mut Vec<Step>) -> Result<Tree, Refused> {
        if let Some(meaning) = self.meaning(place) {
            return self.part(meaning, given).ok_or_else(|| refused(place));
        }
        match given {
            Tree::Object(members) if self.leads(place, false) => {
                let mut kept = Vec::with_capacity(members.len());
                for (name, value) in members {
                    place.push(Step::Name(name.clone()));
                    kept.push((name.clone(), self.tree(value, place)?));
                    place.pop();
                }
                Ok(Tree::Object(kept))
            }
            Tree::List(items) if self.leads(place, true) => {
                let mut kept = Vec::with_capacity(items.len());
                for (index, item) in (0_u64..).zip(items) {
                    place.push(Step::Index(index));
                    kept.push(self.tree(item, place)?);
                    place.pop();
                }
                Ok(Tree::List(kept))
            }
            _ => Err(refused(place)),
        }
    }

    /// What is declared exactly here. A part that passes does so with everything in it, unless something in it is a
    /// part of its own.
    fn meaning(&self, place: &[Step]) -> Option<Meaning> {
        let here = |path: &Path| path.steps().len() == place.len() && leads(path, place);
        let within = |path: &Path| path.steps().len() > place.len() && leads(path, place);
        let part = self.rule.body.iter().find(|part| here(&part.path))?;
        let opaque = !self.rule.body.iter().any(|other| within(&other.path));
        opaque.then_some(part.meaning)
    }

    /// Whether something is declared in the list, or the object, at a place.
    fn leads(&self, place: &[Step], list: bool) -> bool {
        self.rule.body.iter().any(|part| {
            let next = part.path.steps().get(place.len());
            let fits = match next {
                Some(Step::Elements | Step::Index(_)) => list,
                Some(_) => !list,
                None => false,
            };
            fits && leads(&part.path, place)
        })
    }

    fn part(&self, meaning: Meaning, given: &Tree) -> Option<Tree> {
        match (meaning, given) {
            (Meaning::Pass | Meaning::Search, _) => Some(given.clone()),
            (Meaning::Columns, Tree::Text(_)) => {
                let columns = self.permit.columns()?;
                Some(Tree::Text(columns.names.join(&*columns.split).into()))
            }
            (Meaning::Columns, Tree::List(_)) => {
                let columns = self.permit.columns()?;
                Some(Tree::List(columns.names.iter().map(|name| Tree::Text(name.as_ref().into())).collect()))
            }
            (Meaning::Select, Tree::Text(text)) => {
                plain::selection(&self.rule.fields, self.plan, text).map(|text| Tree::Text(text.into()))
            }
            (Meaning::Select, Tree::List(items)) => {
                let names: Option<Vec<&str>> = items.iter().map(Tree::text).collect();
                let names = names.filter(|names| !names.iter().any(|name| name.contains(',')))?;
                let kept = plain::selection(&self.rule.fields, self.plan, &names.join(","))?;
                Some(Tree::List(kept.split(',').map(|name| Tree::Text(name.into())).collect()))
            }
            (Meaning::PageSize(most), Tree::Number(text)) => {
                plain::size(text, most).map(|size| Tree::Number(size.into()))
            }
            (Meaning::PageSize(most), Tree::Text(text)) => {
                plain::size(text, most).map(|size| Tree::Text(size.into()))
            }
            (Meaning::Sort | Meaning::Filter, Tree::Text(text)) => {
                self.question(meaning, text).map(|text| Tree::Text(text.into()))
            }
            (Meaning::Sort | Meaning::Filter, Tree::List(items)) => {
                let judged =
                    |item: &Tree| self.question(meaning, item.text()?).map(|text| Tree::Text(text.into()));
                items.iter().map(judged).collect::<Option<Vec<_>>>().map(Tree::List)
            }
            _ => None,
        }
    }

    fn question(&self, meaning: Meaning, text: &str) -> Option<String> {
        let fields = &self.rule.fields;
        match (self.rule.dialect.map(dialect::of), meaning) {
            (Some(language), Meaning::Filter) => language.filter(fields, text),
            (Some(language), _) => language.order(fields, text),
            // Without a language, a filter part names a field; what it is compared with is another part.
            (None, Meaning::Filter) => fields.queryable.contains(text).then(|| text.to_owned()),
            (None, _) => plain::order(fields, text),
        }
    }
}

/// Whether a declared path goes through a place.
fn leads(path: &Path, place: &[Step]) -> bool {
    path.steps().len() >= place.len()
        && path.steps().iter().zip(place).all(|(declared, step)| match (declared, step) {
            (Step::Elements, Step::Index(_)) => true,
            (declared, step) => declared == step,
        })
}

fn refused(place: &[Step]) -> Refused {
    let names = place.iter().filter_map(|step| match step {
        Step::Name(name) => Some(name.as_ref()),
        Step::Elements
        | Step::Any
        | Step::Index(_)
        | Step::Slice { .. }
        | Step::Chosen(_)
        | Step::Descend => None,
    });
    let names: Vec<_> = names.collect();
    Refused::Asked { part: shown(&if names.is_empty() { "$".to_owned() } else { names.join(".") }) }
}
