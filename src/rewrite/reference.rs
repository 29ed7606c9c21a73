//! The engine's rules written a second time, as plainly as possible: the whole answer as a tree, every place judged by
//! matching every path against it. Slow, and the oracle of the tests, fuzz targets and benches.

use super::automaton::{covers, fold};
use super::condition::{Params, Slot};
use super::json::{slot, text};
use super::mask::Mask;
use super::path::{Path, Step};
use super::plan::{Access, Format, RecordRule, Records, RewritePlan, RuleRef, Selector};

/// What the answer becomes, without blanks between tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// Records released.
    pub released: u64,
    /// Records not released.
    pub withheld: u64,
}

/// Rewrites a JSON answer or lines of JSON; `None` where it is cut.
pub fn rewrite(plan: &RewritePlan, params: &Params, input: &[u8]) -> Option<Answer> {
    let mut judge = Judge { plan, params, released: 0, withheld: 0 };
    let text = std::str::from_utf8(input).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut out = String::new();
    if plan.format == Format::Ndjson {
        for line in text.split('\n').filter(|line| !line.trim_matches([' ', '\t', '\r']).is_empty()) {
            if let Some(record) = judge.line(&parse(line, plan)?)? {
                out.push_str(&record);
                out.push('\n');
            }
        }
    } else {
        out = judge.envelope(&parse(text, plan)?)?;
    }
    Some(Answer { text: out, released: judge.released, withheld: judge.withheld })
}

/// A JSON text without blanks between tokens; `None` if it is not one.
pub fn compact(text: &str) -> Option<String> {
    let mut reader = Reader { text, at: 0, depth: 128, key: usize::MAX, number: usize::MAX };
    reader.whole().map(|tree| tree.print())
}

// === trees ===

#[derive(Clone, Debug)]
struct Tree {
    /// As it stands in the input.
    raw: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Scalar,
    Array(Vec<Tree>),
    /// Names as they stand (with quotes) and decoded.
    Object(Vec<(String, String, Tree)>),
}

impl Tree {
    fn scalar(raw: impl Into<String>) -> Self {
        Self { raw: raw.into(), kind: Kind::Scalar }
    }

    fn print(&self) -> String {
        match &self.kind {
            Kind::Scalar => self.raw.clone(),
            Kind::Array(items) => {
                format!("[{}]", items.iter().map(Self::print).collect::<Vec<_>>().join(","))
            }
            Kind::Object(members) => {
                let members: Vec<String> =
                    members.iter().map(|(raw, _, v)| format!("{raw}:{}", v.print())).collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }

    fn is_empty(&self) -> bool {
        match &self.kind {
            Kind::Scalar => false,
            Kind::Array(items) => items.is_empty(),
            Kind::Object(members) => members.is_empty(),
        }
    }

    /// The text of a string.
    fn text(&self) -> Option<String> {
        text(self.raw.strip_prefix('"')?.strip_suffix('"')?.as_bytes())
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    key: usize,
    number: usize,
}

fn parse(text: &str, plan: &RewritePlan) -> Option<Tree> {
    let bounds = &plan.bounds;
    Reader { text, at: 0, depth: bounds.depth, key: bounds.key_bytes, number: bounds.number_bytes }.whole()
}

impl Reader<'_> {
    fn whole(&mut self) -> Option<Tree> {
        let tree = self.value(0)?;
        self.blank();
        (self.at == self.text.len()).then_some(tree)
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn blank(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn take(&mut self, token: &str) -> bool {
        self.blank();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn value(&mut self, depth: usize) -> Option<Tree> {
        self.blank();
        let start = self.at;
        let kind = match self.rest().chars().next()? {
            '{' => self.object(depth + 1)?,
            '[' => self.array(depth + 1)?,
            '"' => self.string().map(|_| Kind::Scalar)?,
            't' => self.take("true").then_some(Kind::Scalar)?,
            'f' => self.take("false").then_some(Kind::Scalar)?,
            'n' => self.take("null").then_some(Kind::Scalar)?,
            _ => self.number()?,
        };
        Some(Tree { raw: self.text.get(start..self.at)?.to_owned(), kind })
    }

    fn object(&mut self, depth: usize) -> Option<Kind> {
        self.at += 1;
        let mut members = Vec::new();
        if depth > self.depth {
            return None;
        }
        if self.take("}") {
            return Some(Kind::Object(members));
        }
        loop {
            self.blank();
            let raw = self.string()?;
            let inner = raw.get(1..raw.len() - 1)?;
            let name = text(inner.as_bytes()).filter(|_| inner.len() <= self.key)?;
            if !self.take(":") {
                return None;
            }
            members.push((raw, name, self.value(depth)?));
            if !self.take(",") {
                return self.take("}").then_some(Kind::Object(members));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<Kind> {
        self.at += 1;
        let mut items = Vec::new();
        if depth > self.depth {
            return None;
        }
        if self.take("]") {
            return Some(Kind::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            if !self.take(",") {
                return self.take("]").then_some(Kind::Array(items));
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        let mut chars = self.rest().char_indices();
        chars.next().filter(|(_, c)| *c == '"')?;
        loop {
            match chars.next()? {
                (at, '"') => {
                    self.at += at + 1;
                    return self.text.get(start..self.at).map(str::to_owned);
                }
                (_, '\0'..='\u{1f}') => return None,
                (_, '\\') => match chars.next()?.1 {
                    'u' => {
                        for _ in 0..4 {
                            chars.next()?.1.to_digit(16)?;
                        }
                    }
                    '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't' => {}
                    _ => return None,
                },
                _ => {}
            }
        }
    }

    fn number(&mut self) -> Option<Kind> {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let rest = self.rest();
        let mut at = usize::from(rest.starts_with('-'));
        let whole = digits(rest.get(at..)?);
        if whole == 0 || (whole > 1 && rest.get(at..)?.starts_with('0')) {
            return None;
        }
        at += whole;
        if rest.get(at..)?.starts_with('.') {
            let fraction = digits(rest.get(at + 1..)?);
            at += 1 + if fraction == 0 { return None } else { fraction };
        }
        if rest.get(at..)?.starts_with(['e', 'E']) {
            at += 1 + usize::from(rest.get(at + 1..)?.starts_with(['+', '-']));
            let exponent = digits(rest.get(at..)?);
            at += if exponent == 0 { return None } else { exponent };
        }
        self.at += at;
        (at <= self.number).then_some(Kind::Scalar)
    }
}

// === places ===

/// One step of a concrete place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Loc {
    Name(String),
    Index(u64),
}

type Place = Vec<Loc>;

fn below(place: &[Loc], loc: Loc) -> Place {
    place.iter().cloned().chain([loc]).collect()
}

/// Whether the steps lead exactly to the place.
fn leads(steps: &[Step], place: &[Loc]) -> bool {
    match (steps.split_first(), place.split_first()) {
        (None, None) => true,
        (Some((Step::Descend, rest)), Some((_, deeper))) => leads(rest, place) || leads(steps, deeper),
        (Some((Step::Descend, rest)), None) => leads(rest, place),
        (Some((step, rest)), Some((loc, deeper))) => takes(step, loc) && leads(rest, deeper),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

fn takes(step: &Step, loc: &Loc) -> bool {
    match (step, loc) {
        (Step::Name(name), Loc::Name(member)) => name.as_ref() == member,
        (Step::Any, Loc::Name(_)) => true,
        (step, Loc::Index(index)) => covers(step, *index),
        (_, Loc::Name(_)) => false,
    }
}

/// Whether the path leads to the place or to something above it.
fn is_over(path: &Path, place: &[Loc]) -> bool {
    (0..=place.len()).any(|length| leads(path.steps(), place.get(..length).unwrap_or_default()))
}

/// The steps that can come next at a place, and whether `..` stands before them.
fn next<'p>(path: &'p Path, place: &[Loc]) -> Vec<(&'p Step, bool)> {
    let steps = path.steps();
    let at = |length: &usize| leads(steps.get(..*length).unwrap_or_default(), place);
    let step = |length: usize| {
        let loose = length > 0 && steps.get(length - 1) == Some(&Step::Descend);
        steps.get(length).map(|step| (step, loose))
    };
    (0..steps.len()).filter(at).filter_map(step).filter(|(step, _)| **step != Step::Descend).collect()
}

/// Which kinds of containers the paths declare at a place: object, array.
fn declared<'p>(paths: impl Iterator<Item = &'p Path>, place: &[Loc]) -> (bool, bool) {
    let (mut object, mut array) = (false, false);
    for (step, _) in paths.flat_map(|path| next(path, place)).filter(|(_, loose)| !loose) {
        object |= matches!(step, Step::Name(_) | Step::Any);
        array |= !matches!(step, Step::Name(_));
    }
    (object, array)
}

// === judging ===

struct Judge<'j> {
    plan: &'j RewritePlan,
    params: &'j Params,
    released: u64,
    withheld: u64,
}

/// What a place gives.
#[derive(Clone, Copy)]
enum Given<'m> {
    Hide,
    Mask(&'m Mask),
    Show,
}

impl PartialEq for Given<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Hide, Self::Hide) | (Self::Show, Self::Show) => true,
            (Self::Mask(a), Self::Mask(b)) => std::ptr::eq(*a, *b),
            _ => false,
        }
    }
}

fn given(access: &Access) -> Given<'_> {
    match access {
        Access::Hide => Given::Hide,
        Access::Mask(mask) => Given::Mask(mask),
        Access::Show => Given::Show,
    }
}

fn less_revealing<'m>(a: &'m Mask, b: &'m Mask) -> Given<'m> {
    Given::Mask(if b.strength() < a.strength() { b } else { a })
}

/// The winner of one list of selectors at a place.
fn winner<'r>(selectors: &'r [Selector], place: &[Loc]) -> Option<Given<'r>> {
    let over: Vec<&Selector> = selectors.iter().filter(|selector| is_over(&selector.path, place)).collect();
    let rank = over.iter().map(|selector| selector.rank).max()?;
    let best = over.iter().filter(|selector| selector.rank == rank).map(|selector| given(&selector.access));
    best.reduce(|a, b| match (a, b) {
        (Given::Hide, _) | (_, Given::Hide) => Given::Hide,
        (Given::Mask(a), Given::Mask(b)) => less_revealing(a, b),
        (mask @ Given::Mask(_), Given::Show) | (_, mask) => mask,
    })
}

/// One record being judged: its rule and the grants that apply.
struct Record<'r> {
    rule: &'r RecordRule,
    grants: Vec<usize>,
}

impl<'r> Record<'r> {
    fn guarded(&self, place: &[Loc]) -> bool {
        self.rule.guards.iter().any(|guard| winner(guard, place) == Some(Given::Hide))
    }

    fn access(&self, place: &[Loc]) -> Given<'r> {
        if self.guarded(place) {
            return Given::Hide;
        }
        let grants = self.grants.iter().filter_map(|grant| self.rule.grants.get(*grant));
        let each = grants.map(|grant| winner(&grant.fields, place).unwrap_or(given(&grant.otherwise)));
        each.fold(Given::Hide, |a, b| match (a, b) {
            (Given::Show, _) | (_, Given::Show) => Given::Show,
            (Given::Mask(a), Given::Mask(b)) => less_revealing(a, b),
            (mask @ Given::Mask(_), Given::Hide) | (_, mask) => mask,
        })
    }

    fn selectors(&self) -> impl Iterator<Item = &'r Path> {
        let grants = self.rule.grants.iter().flat_map(|grant| &grant.fields);
        grants.chain(self.rule.guards.iter().flatten()).map(|selector| &selector.path)
    }

    /// All paths that say what must stand somewhere.
    fn declaring(&self) -> impl Iterator<Item = &'r Path> {
        let relations = self.rule.relations.iter().map(|(path, _)| path);
        self.selectors().chain(relations).chain(self.rule.pairs.iter().map(|pairs| &pairs.at))
    }

    fn all_paths(&self) -> impl Iterator<Item = &'r Path> {
        self.declaring().chain(&self.rule.embedded).chain(&self.rule.key)
    }

    /// Whether every place at and below this one has the same access: tried out over all names that occur in paths,
    /// one that does not, and a few indexes, as deep as paths go.
    fn uniform(&self, place: &[Loc]) -> bool {
        let longest = self.all_paths().map(|path| path.steps().len()).max().unwrap_or(0);
        let mut locs: Vec<Loc> = (0..5).map(Loc::Index).chain([Loc::Name("\u{1}".into())]).collect();
        for step in self.all_paths().flat_map(Path::steps) {
            if let Step::Name(name) = step
                && !locs.contains(&Loc::Name(name.to_string()))
            {
                locs.push(Loc::Name(name.to_string()));
            }
        }
        self.uniform_from(place, self.access(place), longest + 1, &locs)
    }

    fn uniform_from(&self, place: &[Loc], access: Given<'_>, deeper: usize, locs: &[Loc]) -> bool {
        let special =
            self.rule.relations.iter().map(|(path, _)| path).chain(self.rule.pairs.iter().map(|p| &p.at));
        let list = |path: &Path| {
            path.is_list() && leads(path.steps().get(..path.steps().len() - 1).unwrap_or_default(), place)
        };
        let marked = special.clone().any(|path| leads(path.steps(), place))
            || self.rule.relations.iter().any(|(path, _)| list(path));
        let open = |path: &Path| !next(path, place).is_empty() || path.steps().contains(&Step::Descend);
        self.access(place) == access
            && !marked
            && (deeper == 0
                || !self.all_paths().any(open)
                || locs
                    .iter()
                    .all(|loc| self.uniform_from(&below(place, loc.clone()), access, deeper - 1, locs)))
    }

    /// Where a member leads: `None` if its name only looks like one that is not wholly shown.
    fn member(&self, place: &[Loc], name: &str) -> Option<Place> {
        let there = below(place, Loc::Name(name.to_owned()));
        let names: Vec<&str> = self
            .all_paths()
            .flat_map(|path| next(path, place))
            .filter_map(|(step, _)| if let Step::Name(name) = step { Some(name.as_ref()) } else { None })
            .collect();
        if names.contains(&name) {
            return Some(there);
        }
        let alike = names.iter().filter(|other| fold(other) == fold(name));
        let shown = |other: &&&str| {
            let meant = below(place, Loc::Name((**other).to_owned()));
            self.access(&meant) == Given::Show && self.uniform(&meant)
        };
        alike.clone().all(|other| shown(&other)).then_some(there)
    }
}

impl<'j> Judge<'j> {
    fn line(&mut self, tree: &Tree) -> Option<Option<String>> {
        let rule = match &self.plan.layout.records {
            Records::One { rule, .. } | Records::Many { rule, .. } => rule,
            Records::None | Records::Rows { .. } => return Some(None),
        };
        if !matches!(tree.kind, Kind::Object(_)) {
            return Some(None);
        }
        let record = self.top(rule, tree)?;
        Some(record.map(|record| record.print()))
    }

    // --- the envelope ---

    fn envelope(&mut self, tree: &Tree) -> Option<String> {
        let kept = self.around(tree, &Vec::new())??;
        let released = self.released.to_string();
        Some(kept.print().replace(TOTAL, &released))
    }

    /// Outer `None`: cut. Inner `None`: it goes.
    fn around(&mut self, tree: &Tree, place: &Place) -> Option<Option<Tree>> {
        let layout = &self.plan.layout;
        let (at, single) = match &layout.records {
            Records::None => (None, false),
            Records::One { at, .. } => (Some(at), true),
            Records::Many { at, .. } | Records::Rows { at, .. } => (Some(at), false),
        };
        if at.is_some_and(|at| leads(at.steps(), place)) {
            return self.answer_record(tree, single);
        }
        let on_way = at.is_some_and(|at| {
            (0..at.steps().len()).any(|n| leads(at.steps().get(..n).unwrap_or_default(), place))
        });
        let total = layout.total.as_ref().filter(|total| leads(total.at.steps(), place));
        if on_way {
            let (object, array) = declared(at.into_iter(), place);
            let right =
                matches!((&tree.kind, object, array), (Kind::Object(_), true, _) | (Kind::Array(_), _, true));
            return if right { self.members(tree, place).map(Some) } else { None };
        }
        if let Some(total) = total {
            let passes = matches!(tree.kind, Kind::Scalar).then(|| tree.clone());
            return Some(if total.recount { Some(Tree::scalar(TOTAL)) } else { passes });
        }
        let paths = layout.keep.iter().chain(layout.total.as_ref().map(|total| &total.at)).chain(at);
        let (object, array) = declared(paths, place);
        let shown = layout.keep.iter().any(|keep| is_over(keep, place));
        let fits = match &tree.kind {
            Kind::Scalar => !object && !array,
            Kind::Object(_) => object || !array,
            Kind::Array(_) => array || !object,
        };
        if place.is_empty() && !shown {
            return if matches!(tree.kind, Kind::Scalar) {
                None
            } else if fits {
                self.members(tree, place).map(Some)
            } else {
                Some(Some(Tree { raw: String::new(), kind: emptied(&tree.kind) }))
            };
        }
        if !fits {
            return Some(None);
        }
        if matches!(tree.kind, Kind::Scalar) || tree.is_empty() {
            return Some(shown.then(|| tree.clone()));
        }
        let rest = self.members(tree, place)?;
        Some((!rest.is_empty()).then_some(rest))
    }

    fn members(&mut self, tree: &Tree, place: &Place) -> Option<Tree> {
        let kind = match &tree.kind {
            Kind::Scalar => return None,
            Kind::Array(items) => {
                let mut kept = Vec::new();
                for (item, index) in items.iter().zip(0..) {
                    kept.extend(self.around(item, &below(place, Loc::Index(index)))?);
                }
                Kind::Array(kept)
            }
            Kind::Object(members) => {
                let mut kept = Vec::new();
                for (raw, name, value) in members {
                    let value = self.around(value, &below(place, Loc::Name(name.clone())))?;
                    kept.extend(value.map(|value| (raw.clone(), name.clone(), value)));
                }
                Kind::Object(kept)
            }
        };
        Some(Tree { raw: String::new(), kind })
    }

    fn answer_record(&mut self, tree: &Tree, single: bool) -> Option<Option<Tree>> {
        match (&self.plan.layout.records, &tree.kind) {
            (Records::Rows { rule, columns, .. }, Kind::Array(values)) => {
                if self.rule(rule.0).is_none_or(|rule| rule.grants.is_empty()) {
                    self.withheld += 1;
                    return Some(None);
                }
                if values.len() != columns.len() {
                    return None;
                }
                self.row(rule.0, columns, values, tree.raw.len())
            }
            (Records::One { rule, .. } | Records::Many { rule, .. }, Kind::Object(_)) => {
                let record = self.top(rule, tree)?;
                Some(record.or_else(|| single.then(|| Tree::scalar("null"))))
            }
            (Records::One { .. }, Kind::Scalar) if tree.raw == "null" => {
                self.withheld += 1;
                Some(Some(Tree::scalar("null")))
            }
            (Records::Many { .. }, _) => Some(None),
            _ => None,
        }
    }

    fn top(&mut self, rule: &RuleRef, tree: &Tree) -> Option<Option<Tree>> {
        let record = self.record(rule, tree)?;
        if record.is_some() {
            self.released += 1
        } else {
            self.withheld += 1
        }
        Some(record)
    }

    // --- records ---

    /// Outer `None`: cut. Inner `None`: not released.
    fn record(&mut self, rule: &RuleRef, tree: &Tree) -> Option<Option<Tree>> {
        let conditional =
            |rule: usize| self.rule(rule).is_some_and(|r| r.grants.iter().any(|g| g.when.is_some()));
        let any = |rule: usize| self.rule(rule).is_some_and(|rule| !rule.grants.is_empty());
        let held = match rule {
            RuleRef::Fixed(rule) => conditional(rule.0),
            RuleRef::ByType { cases, .. } => cases.values().any(|rule| any(rule.0)),
        };
        if held && tree.raw.len() > self.plan.bounds.record_bytes {
            return None;
        }
        let rule = match rule {
            RuleRef::Fixed(rule) => Some(rule.0),
            RuleRef::ByType { at, cases } => {
                self.type_of(tree, at).and_then(|name| cases.get(name.as_str())).map(|r| r.0)
            }
        };
        let Some(rule) = rule.and_then(|rule| self.rule(rule)) else { return Some(None) };
        let grants = self.applying(rule, |path| read(tree, path.steps(), self.plan.bounds.value_bytes));
        if grants.is_empty() {
            return Some(None);
        }
        let record = Record { rule, grants };
        let kept = self.children(&record, tree, &Vec::new())?;
        Some(Some(kept.unwrap_or(Tree { raw: String::new(), kind: emptied(&tree.kind) })))
    }

    fn rule(&self, rule: usize) -> Option<&'j RecordRule> {
        self.plan.rules.get(rule)
    }

    fn type_of(&self, tree: &Tree, at: &Path) -> Option<String> {
        match read(tree, at.steps(), self.plan.bounds.value_bytes) {
            Slot::Found(super::condition::Value::Text(name)) => Some(name.to_string()),
            _ => None,
        }
    }

    fn applying(&self, rule: &RecordRule, slot: impl Fn(&Path) -> Slot) -> Vec<usize> {
        let met = |grant: &super::plan::Grant| {
            grant.when.as_ref().is_none_or(|when| {
                let slots: Vec<Slot> = when.slots().iter().map(&slot).collect();
                when.is_met(&slots, self.params)
            })
        };
        rule.grants.iter().enumerate().filter(|(_, grant)| met(grant)).map(|(number, _)| number).collect()
    }

    fn value(&mut self, record: &Record<'_>, tree: &Tree, place: &Place) -> Option<Option<Tree>> {
        for (path, rule) in &record.rule.relations {
            let list =
                path.steps().split_last().filter(|(last, _)| **last == Step::Elements).map(|(_, list)| list);
            if leads(path.steps(), place) {
                return self.related(record, rule, tree, place, list.is_some());
            }
            if list.is_some_and(|list| leads(list, place)) {
                return self.related_list(record, rule, tree, place);
            }
        }
        if let Some(pairs) = record.rule.pairs.iter().find(|pairs| leads(pairs.at.steps(), place)) {
            return if record.guarded(place) { Some(None) } else { self.pair(record, pairs, tree) };
        }
        let access = record.access(place);
        let (object, array) = declared(record.declaring(), place);
        if record.rule.embedded.iter().any(|path| leads(path.steps(), place)) && tree.raw.starts_with('"') {
            return self.embedded(record, tree, place);
        }
        match &tree.kind {
            Kind::Scalar if object || array => Some(None),
            Kind::Object(_) if array && !object => Some(None),
            Kind::Array(_) if object && !array => Some(None),
            Kind::Scalar => Some(self.leaf(access, tree)),
            Kind::Object(_) | Kind::Array(_) => match access {
                Given::Mask(_) if record.uniform(place) => Some(Some(Tree::scalar("null"))),
                access if tree.is_empty() => Some(self.leaf(access, tree)),
                _ => self.children(record, tree, place),
            },
        }
    }

    fn leaf(&self, access: Given<'_>, tree: &Tree) -> Option<Tree> {
        match access {
            Given::Hide => None,
            Given::Show => Some(tree.clone()),
            Given::Mask(_) if !matches!(tree.kind, Kind::Scalar) => Some(Tree::scalar("null")),
            Given::Mask(_) if tree.raw.len() > self.plan.bounds.value_bytes => Some(Tree::scalar("null")),
            Given::Mask(mask) => {
                let mut out = String::new();
                super::json::mask(mask, tree.raw.as_bytes(), &mut out);
                Some(Tree::scalar(out))
            }
        }
    }

    /// What remains of a container; `None` inside if nothing does.
    fn children(&mut self, record: &Record<'_>, tree: &Tree, place: &Place) -> Option<Option<Tree>> {
        let kind = match &tree.kind {
            Kind::Scalar => return Some(None),
            Kind::Array(items) => {
                let mut kept = Vec::new();
                for (item, index) in items.iter().zip(0..) {
                    kept.extend(self.value(record, item, &below(place, Loc::Index(index)))?);
                }
                Kind::Array(kept)
            }
            Kind::Object(members) => {
                let mut kept = Vec::new();
                for (raw, name, value) in members {
                    let Some(there) = record.member(place, name) else { continue };
                    let value = self.value(record, value, &there)?;
                    kept.extend(value.map(|value| (raw.clone(), name.clone(), value)));
                }
                Kind::Object(kept)
            }
        };
        let tree = Tree { raw: String::new(), kind };
        Some((!tree.is_empty()).then_some(tree))
    }

    fn reachable(&self, rule: &RuleRef) -> bool {
        let granted = |rule: usize| self.rule(rule).is_some_and(|rule| !rule.grants.is_empty());
        match rule {
            RuleRef::Fixed(rule) => granted(rule.0),
            RuleRef::ByType { cases, .. } => cases.values().any(|rule| granted(rule.0)),
        }
    }

    fn related(
        &mut self,
        record: &Record<'_>,
        rule: &RuleRef,
        tree: &Tree,
        place: &Place,
        list: bool,
    ) -> Option<Option<Tree>> {
        if !matches!(tree.kind, Kind::Object(_)) || !self.reachable(rule) || record.guarded(place) {
            return Some(None);
        }
        let related = self.record(rule, tree)?;
        Some(related.or_else(|| (!list).then(|| Tree::scalar("null"))))
    }

    fn related_list(
        &mut self,
        record: &Record<'_>,
        rule: &RuleRef,
        tree: &Tree,
        place: &Place,
    ) -> Option<Option<Tree>> {
        let Kind::Array(_) = &tree.kind else { return Some(None) };
        if !self.reachable(rule) || record.guarded(place) {
            return Some(None);
        }
        let kept = self.children(record, tree, place)?;
        Some(Some(kept.unwrap_or(Tree { raw: String::new(), kind: Kind::Array(Vec::new()) })))
    }

    fn pair(&mut self, record: &Record<'_>, pairs: &super::plan::Pairs, tree: &Tree) -> Option<Option<Tree>> {
        let Kind::Object(members) = &tree.kind else { return Some(None) };
        if tree.raw.len() > self.plan.bounds.record_bytes {
            return None;
        }
        let mut names = members.iter().filter(|(_, name, _)| *name == *pairs.name);
        let (Some((_, _, name)), None) = (names.next(), names.next()) else { return Some(None) };
        let limit = self.plan.bounds.value_bytes;
        let Some(name) = name.text().filter(|_| name.raw.len() <= limit + 2) else { return Some(None) };
        let mut field = record.member(&[], &name);
        let is_declared = |place: &Place| {
            record.selectors().any(|path| is_over(path, place))
                || record.all_paths().any(|path| leads(path.steps(), place))
                || record.declaring().any(|path| next(path, place).iter().any(|(_, loose)| !loose))
        };
        if !field.as_ref().is_some_and(is_declared)
            && let Ok(path) = Path::parse_field(&name)
        {
            let loc = |step: &Step| match step {
                Step::Name(name) => Some(Loc::Name(name.to_string())),
                Step::Index(index) => Some(Loc::Index(*index)),
                _ => None,
            };
            let longer: Option<Place> = path.steps().iter().map(loc).collect();
            field = longer.filter(is_declared).or(field);
        }
        let Some(field) = field else { return Some(None) };
        let (object, array) = declared(record.declaring(), &field);
        let flat = !object && !array && record.uniform(&field);
        match record.access(&field) {
            Given::Hide if record.uniform(&field) => return Some(None),
            Given::Show if flat && !self.declared_below(record, &field) => return Some(Some(tree.clone())),
            _ => {}
        }
        let mut kept = Vec::new();
        for (raw, name, value) in members {
            let value = if *name == *pairs.value {
                self.value(record, value, &field)?
            } else {
                (*name == *pairs.name).then(|| value.clone())
            };
            kept.extend(value.map(|value| (raw.clone(), name.clone(), value)));
        }
        Some((!kept.is_empty()).then_some(Tree { raw: String::new(), kind: Kind::Object(kept) }))
    }

    /// Whether any path goes on below a place: then what is below is looked at one by one.
    fn declared_below(&self, record: &Record<'_>, place: &Place) -> bool {
        record.all_paths().any(|path| !next(path, place).is_empty() || path.steps().contains(&Step::Descend))
    }

    fn embedded(&mut self, record: &Record<'_>, tree: &Tree, place: &Place) -> Option<Option<Tree>> {
        let access = record.access(place);
        let (object, array) = declared(record.declaring(), place);
        let below = object || array || self.declared_below(record, place);
        if record.uniform(place) && !(access == Given::Show && below) {
            return Some(self.leaf(access, tree));
        }
        if tree.raw.len() > self.plan.bounds.value_bytes {
            return Some(None);
        }
        let Some(inner) = tree.text().and_then(|inner| parse(&inner, self.plan)) else { return Some(None) };
        let kept = match &inner.kind {
            Kind::Scalar if inner.raw.starts_with('"') => None,
            _ => self.value(record, &inner, place)?,
        };
        Some(kept.map(|kept| {
            if kept.print() == inner.print() {
                return tree.clone();
            }
            let mut out = String::new();
            super::json::encode(&kept.print(), &mut out);
            Tree::scalar(out)
        }))
    }

    // --- rows ---

    fn row(&mut self, rule: usize, columns: &[Path], values: &[Tree], length: usize) -> Option<Option<Tree>> {
        let rule = self.plan.rules.get(rule)?;
        if rule.grants.iter().any(|grant| grant.when.is_some()) && length > self.plan.bounds.record_bytes {
            return None;
        }
        let limit = self.plan.bounds.value_bytes;
        let grants = self.applying(rule, |path| {
            let mut found = Slot::Missing;
            for (column, value) in columns.iter().zip(values) {
                if let Some(rest) = path.steps().strip_prefix(column.steps()) {
                    found = if found == Slot::Missing { read(value, rest, limit) } else { Slot::Ambiguous };
                }
            }
            found
        });
        if grants.is_empty() {
            self.withheld += 1;
            return Some(None);
        }
        self.released += 1;
        let record = Record { rule, grants };
        let all = Record { rule, grants: (0..rule.grants.len()).collect() };
        let mut kept = Vec::new();
        for (column, value) in columns.iter().zip(values) {
            let place: Place = column
                .steps()
                .iter()
                .filter_map(|s| if let Step::Name(n) = s { Some(Loc::Name(n.to_string())) } else { None })
                .collect();
            if all.uniform(&place) && all.access(&place) == Given::Hide {
                continue;
            }
            let cell = self.value(&record, value, &place)?;
            kept.push(cell.unwrap_or_else(|| Tree::scalar("null")));
        }
        Some(Some(Tree { raw: String::new(), kind: Kind::Array(kept) }))
    }
}

/// Stands for the total until it is known; no input can hold it.
const TOTAL: &str = "\u{0}total\u{0}";

fn emptied(kind: &Kind) -> Kind {
    match kind {
        Kind::Array(_) => Kind::Array(Vec::new()),
        Kind::Object(_) | Kind::Scalar => Kind::Object(Vec::new()),
    }
}

/// What stands at a path; ambiguous if any name on the way occurs twice.
fn read(tree: &Tree, steps: &[Step], limit: usize) -> Slot {
    let Some((step, rest)) = steps.split_first() else { return slot(tree.raw.as_bytes(), limit) };
    match (step, &tree.kind) {
        (Step::Name(name), Kind::Object(members)) => {
            let mut named = members.iter().filter(|(_, member, _)| **member == **name);
            match (named.next(), named.next()) {
                (None, _) => Slot::Missing,
                (Some((_, _, value)), None) => read(value, rest, limit),
                (Some(_), Some(_)) => Slot::Ambiguous,
            }
        }
        (Step::Index(index), Kind::Array(items)) => {
            let item = usize::try_from(*index).ok().and_then(|index| items.get(index));
            item.map_or(Slot::Missing, |item| read(item, rest, limit))
        }
        _ => Slot::Missing,
    }
}
