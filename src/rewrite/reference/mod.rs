//! The engine's rules written a second time, as plainly as possible: the whole answer as a tree (or as a table), every
//! place judged by matching every path against it. Slow; the oracle of the tests and fuzz targets.

mod access;
mod choose;
mod csv;
mod envelope;
mod lines;
mod place;
mod record;
mod tree;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::condition::Params;
use super::path::{Path, Step};
use super::plan::{Format, RewritePlan};
use access::Uniform;
use tree::Reader;

pub(crate) use lines::{events, lines, sequence};

/// Whether a path leads exactly to a place, which is given as names and indexes.
pub(crate) fn leads(path: &Path, place: &[Step]) -> bool {
    let loc = |step: &Step| match step {
        Step::Name(name) => Some(place::Loc::Name(name.to_string())),
        Step::Index(index) => Some(place::Loc::Index(*index)),
        Step::Elements | Step::Any | Step::Slice { .. } | Step::Chosen(_) | Step::Descend => None,
    };
    let place: Option<place::Place> = place.iter().map(loc).collect();
    place.is_some_and(|place| place::leads(path.steps(), &place))
}

/// What the answer becomes. Of JSON without blanks between tokens, see [`canonical`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) text: String,
    /// Records released.
    pub(crate) released: u64,
    /// Records not released.
    pub(crate) withheld: u64,
}

/// Rewrites an answer; `None` where it is cut.
pub(crate) fn rewrite(plan: &RewritePlan, params: &Params, input: &[u8]) -> Option<Answer> {
    let mut judge = Judge { plan, params, released: 0, withheld: 0, uniform: RefCell::default() };
    let text = std::str::from_utf8(input).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = match &plan.format {
        Format::Json => judge.envelope(&tree::parse(text, plan)?)?,
        Format::Ndjson => judge.lines(text)?,
        Format::JsonSeq => judge.sequence(text)?,
        Format::Sse => judge.events(text)?,
        Format::Csv(csv) => judge.rows(text, csv)?,
    };
    Some(Answer { text, released: judge.released, withheld: judge.withheld })
}

/// An answer without what may differ between the engine's and the oracle's: blanks between tokens of JSON.
pub(crate) fn canonical(format: &Format, text: &str) -> Option<String> {
    match format {
        Format::Json => compact(text),
        Format::Ndjson => lines(text).map(|line| Some(compact(line)? + "\n")).collect(),
        Format::JsonSeq => {
            sequence(text)?.into_iter().map(|text| Some(format!("\u{1e}{}", compact(text)?))).collect()
        }
        Format::Sse => events(text)?.iter().map(lines::Event::canonical).collect(),
        Format::Csv(_) => Some(text.to_owned()),
    }
}

/// A JSON text without blanks between tokens; `None` if it is not one.
pub(crate) fn compact(text: &str) -> Option<String> {
    let mut reader = Reader { text, at: 0, depth: 128, key: usize::MAX, number: usize::MAX };
    reader.whole().map(|tree| tree.print())
}

type Uniformity = HashMap<(usize, Vec<usize>, Vec<Option<bool>>), Rc<Uniform>>;

struct Judge<'j> {
    plan: &'j RewritePlan,
    params: &'j Params,
    released: u64,
    withheld: u64,
    /// By rule and applying grants: places known to be uniform or not.
    uniform: RefCell<Uniformity>,
}
