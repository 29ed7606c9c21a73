//! Separated values: the whole table, cell by cell.
#![expect(clippy::indexing_slicing, reason = "the oracle of tests: a panic is how they fail")]

use super::super::condition::{Slot, Value};
use super::super::mask::{Mask, Masked, Scalar};
use super::super::path::{Path, Step};
use super::super::plan::{Csv, Records, RuleId, RuleRef};
use super::Judge;
use super::access::{Given, Record};
use super::place::{Loc, Place, below, declared, leads};

struct Row {
    cells: Vec<Cell>,
    /// The line end.
    end: &'static str,
}

/// The rule of a row, its applying grants, and what it says of masks.
type Applying = (usize, Vec<usize>, Vec<Option<bool>>);

struct Cell {
    /// As it stands, with quotes.
    raw: String,
    text: String,
}

/// The rows of a table (RFC 4180); `None` where readers would disagree.
fn table(text: &str, delimiter: char) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut cells = Vec::new();
        let end = loop {
            let (cell, behind) = if rest.starts_with('"') { quoted(rest)? } else { plain(rest, delimiter)? };
            cells.push(cell);
            rest = behind;
            if let Some(next) = rest.strip_prefix(delimiter) {
                rest = next;
                continue;
            }
            let end = ["\r\n", "\n", ""].into_iter().find(|end| rest.starts_with(end))?;
            rest = rest.get(end.len()..)?;
            if end.is_empty() && !rest.is_empty() {
                return None;
            }
            break end;
        };
        rows.push(Row { cells, end });
    }
    Some(rows)
}

fn plain(rest: &str, delimiter: char) -> Option<(Cell, &str)> {
    let length = rest.find([delimiter, '\n', '\r', '"']).unwrap_or(rest.len());
    let (raw, behind) = rest.split_at(length);
    let fits = raw.chars().all(|c| c >= ' ' || c == '\t') && !behind.starts_with('"');
    fits.then(|| (Cell { raw: raw.to_owned(), text: raw.to_owned() }, behind))
}

fn quoted(rest: &str) -> Option<(Cell, &str)> {
    let mut text = String::new();
    let mut behind = rest.strip_prefix('"')?;
    loop {
        let (inner, after) = behind.split_once('"')?;
        text += inner;
        match after.strip_prefix('"') {
            Some(after) => (text, behind) = (text + "\"", after),
            None => {
                let raw = rest.strip_suffix(after)?.to_owned();
                let fits = text.chars().all(|c| c >= ' ' || matches!(c, '\t' | '\n' | '\r'));
                return fits.then_some((Cell { raw, text }, after));
            }
        }
    }
}

impl Judge<'_> {
    /// `None`: cut.
    pub(super) fn rows(&mut self, text: &str, csv: &Csv) -> Option<String> {
        let delimiter = char::from(csv.delimiter);
        let mut rows = table(text, delimiter)?.into_iter();
        let Some(header) = rows.next() else { return Some(String::new()) };
        let column = |cell: &Cell| {
            let named = csv.headers.get(cell.text.as_str()).cloned();
            named.or_else(|| Path::parse_field(&cell.text).ok()).unwrap_or_else(|| Path::name(&cell.text))
        };
        let columns: Vec<Path> = header.cells.iter().map(column).collect();
        let gone: Vec<bool> = columns.iter().map(|column| self.is_gone(column)).collect();
        let write = |row: &Row, given: &dyn Fn(usize) -> Option<String>| {
            let cells = (0..columns.len()).filter(|number| gone.get(*number) == Some(&false));
            let mut cells: Vec<String> = cells
                .map(|number| given(number).unwrap_or_else(|| neutral(csv, &row.cells[number])))
                .collect();
            if columns.len() > 1 && cells == [String::new()] {
                cells = vec!["\"\"".into()];
            }
            if cells.is_empty() { String::new() } else { cells.join(&delimiter.to_string()) + row.end }
        };
        let mut out = write(&header, &|_| None);
        for row in rows {
            if columns.len() != 1 && row.cells.len() == 1 && row.cells.iter().all(|cell| cell.raw.is_empty())
            {
                continue;
            }
            if row.cells.len() != columns.len() {
                return None;
            }
            let Some((rule, grants, met)) = self.row_grants(&columns, &row) else {
                self.withheld += 1;
                continue;
            };
            self.released += 1;
            out += &write(&row, &|number| match self.cell(rule, (&grants, &met), &columns[number]) {
                Given::Show => None,
                Given::Hide => Some(String::new()),
                Given::Mask(mask) => Some(self.masked(csv, mask, &row.cells[number].text)),
            });
        }
        Some(out)
    }

    fn top_rules(&self) -> Vec<usize> {
        let (Records::One { rule, .. } | Records::Many { rule, .. }) = &self.plan.layout.records else {
            return Vec::new();
        };
        match rule {
            RuleRef::Fixed(rule) => vec![rule.0],
            RuleRef::ByType { cases, .. } => cases.values().map(|rule| rule.0).collect(),
        }
    }

    /// Whether a column is hidden under all grants of all rules.
    fn is_gone(&self, column: &Path) -> bool {
        self.top_rules().into_iter().all(|rule| {
            let all: Vec<usize> = (0..self.rule(rule).map_or(0, |rule| rule.grants.len())).collect();
            all.is_empty() || self.cell(rule, (&all, &[]), column) == Given::Hide
        })
    }

    /// The rule and grants that apply to a row; `None`: it is not released.
    fn row_grants(&self, columns: &[Path], row: &Row) -> Option<Applying> {
        let slot = |path: &Path| {
            let mut named = columns.iter().zip(&row.cells).filter(|(column, _)| *column == path);
            match (named.next(), named.next()) {
                (None, _) => Slot::Missing,
                (Some((_, cell)), None) if cell.raw.len() <= self.plan.bounds.value_bytes => {
                    Slot::Found(Value::Text(cell.text.as_str().into()))
                }
                (Some(_), _) => Slot::Ambiguous,
            }
        };
        let (Records::One { rule, .. } | Records::Many { rule, .. }) = &self.plan.layout.records else {
            return None;
        };
        let rule = match rule {
            RuleRef::Fixed(rule) => *rule,
            RuleRef::ByType { at, cases } => match slot(at) {
                Slot::Found(Value::Text(name)) => *cases.get(name.as_ref())?,
                _ => return None,
            },
        };
        let grants = self.applying(self.rule(rule.0)?, slot);
        let met = self.met(self.rule(rule.0)?, slot);
        (!grants.is_empty()).then_some((rule.0, grants, met))
    }

    /// What a text in a column gives.
    fn cell(&self, rule: usize, of: (&[usize], &[Option<bool>]), column: &Path) -> Given<'_> {
        let Some(record) = self.judged(rule, of.0.to_vec(), of.1.to_vec()) else { return Given::Hide };
        let mut place = Place::new();
        for (step, number) in column.steps().iter().zip(1..) {
            let there = match step {
                Step::Name(name) => record.member(&place, name),
                Step::Index(_) if !record.choices_at(&place).is_empty() => None,
                Step::Index(index) => Some(below(&place, Loc::Index(*index))),
                _ => None,
            };
            let Some(there) = there else { return Given::Hide };
            place = there;
            if let Some((_, related)) =
                record.rule.relations.iter().find(|(path, _)| leads(path.steps(), &place))
            {
                let names = column.steps().iter().all(|step| matches!(step, Step::Name(_)));
                let rest = Path(column.steps().get(number..).unwrap_or_default().to_vec());
                return match related {
                    RuleRef::Fixed(rule) if names && !rest.is_root() && !record.guarded(&place) => {
                        self.cell(rule.0, (&self.unconditional(*rule), &[]), &rest)
                    }
                    RuleRef::Fixed(_) | RuleRef::ByType { .. } => Given::Hide,
                };
            }
            if record.rule.pairs.iter().any(|pairs| leads(pairs.at.steps(), &place)) {
                return Given::Hide;
            }
        }
        self.text_at(&record, &place)
    }

    fn unconditional(&self, rule: RuleId) -> Vec<usize> {
        let grants = self.rule(rule.0).into_iter().flat_map(|rule| rule.grants.iter().enumerate());
        grants.filter(|(_, grant)| grant.when.is_none()).map(|(number, _)| number).collect()
    }

    /// What a text at a place of the record itself gives. JSON inside a cell is not read.
    fn text_at<'r>(&self, record: &Record<'r>, place: &Place) -> Given<'r> {
        let (object, array) = declared(record.declaring(), place);
        let access = record.access(place);
        let embedded = record.rule.embedded.iter().any(|path| leads(path.steps(), place));
        let below = object || array || self.declared_below(record, place);
        let list = |path: &Path| path.steps().split_last().is_some_and(|(_, list)| leads(list, place));
        match access {
            _ if record.rule.relations.iter().any(|(path, _)| path.is_list() && list(path)) => Given::Hide,
            access if embedded && record.uniform(place) && !(access == Given::Show && below) => access,
            _ if object || array || embedded => Given::Hide,
            access => access,
        }
    }

    fn masked(&self, csv: &Csv, mask: &Mask, text: &str) -> String {
        if text.len() > self.plan.bounds.value_bytes {
            return String::new();
        }
        let is_number = super::compact(text)
            .is_some_and(|text| text.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']))
            && text.trim() == text;
        let masked = match mask.apply(Scalar::Text(text)) {
            Masked::Null if is_number => mask.apply(Scalar::Number(text)),
            masked => masked,
        };
        let text = match masked {
            Masked::Null => String::new(),
            Masked::Bool(value) => value.to_string(),
            Masked::Number(text) | Masked::Text(text) => text,
        };
        if csv.neutralise_formulas && is_formula(&text) {
            anew(csv, &format!("'{text}"))
        } else {
            anew(csv, &text)
        }
    }
}

/// A cell that is shown: as it stands, but no formula.
fn neutral(csv: &Csv, cell: &Cell) -> String {
    if csv.neutralise_formulas && is_formula(&cell.text) {
        anew(csv, &format!("'{}", cell.text))
    } else {
        cell.raw.clone()
    }
}

fn is_formula(text: &str) -> bool {
    let mut chars = text.chars();
    let signs = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    let Some(sign) = chars.next().filter(|first| signs.contains(first)) else { return false };
    let parts: Vec<&str> = chars.as_str().split('.').collect();
    let digits = parts.iter().all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()));
    !(matches!(sign, '+' | '-') && digits && parts.len() <= 2)
}

fn anew(csv: &Csv, text: &str) -> String {
    if text.contains(['"', '\n', '\r', char::from(csv.delimiter)]) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
