//! Separated values with a header row, under the same plan as JSON: a header names a field, every row is a record,
//! every value is a text. Columns that nobody may see are gone from the header and all rows; a value that is hidden in
//! one row only leaves an empty cell, so that rows keep their shape. A row is held until its end (bounded).

mod apart;
mod marks;
mod row;

use std::borrow::Cow;
use std::sync::Arc;

use super::automaton::{Act, Compiled, Counted, Decide, FORBIDDEN, Probe, Program, ROOT, StateId, Which};
use super::condition::{Params, Slot, Value};
use super::json::Tally;
use super::mask::{Form, Scalar};
use super::output::Output;
use super::path::{Path, Step};
use super::plan::{Csv, Cut, CutReason, RewritePlan};
use marks::Marks;
use row::Cell;

pub(crate) use apart::rows;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Separated values being rewritten.
#[derive(Debug)]
pub(crate) struct CsvEngine {
    plan: Arc<RewritePlan>,
    compiled: Arc<Compiled>,
    params: Params,
    csv: Csv,
    pub(crate) tally: Tally,
    header: Option<Header>,
    /// The part of a row that came in earlier chunks.
    carry: Vec<u8>,
    /// Inside quotes at the end of `carry`.
    quoted: bool,
    /// Offset of the next row.
    offset: u64,
    cells: Vec<Cell>,
    marks: Marks,
    bytes_out: u64,
    scratch: Vec<u8>,
    /// Where masked values are made.
    masked: String,
}

/// What the header says.
#[derive(Debug)]
struct Header {
    columns: Vec<Path>,
    /// Columns that no set of grants could release.
    gone: Vec<bool>,
    /// The record's key.
    key: Option<usize>,
    /// Some column may be released.
    shows: bool,
    /// The program of every row, where all are under the same grants.
    always: Option<Arc<Program>>,
    /// The places that are read to decide a row, by number.
    slots: Vec<Option<Path>>,
    /// The columns under the grants of the last row.
    view: Option<View>,
}

/// All columns under one set of grants.
#[derive(Debug)]
struct View {
    program: Arc<Program>,
    columns: Vec<Column>,
    /// `None`: gone.
    acts: Vec<Option<Act>>,
}

/// A column under one set of grants.
#[derive(Clone, Copy, Debug)]
struct Column {
    act: Act,
    field: u32,
    counts: Counted,
}

impl CsvEngine {
    pub(crate) fn new(plan: Arc<RewritePlan>, compiled: Arc<Compiled>, params: Params, csv: Csv) -> Self {
        Self {
            tally: Tally::new(&plan, &compiled),
            plan,
            compiled,
            params,
            csv,
            header: None,
            carry: Vec::new(),
            quoted: false,
            offset: 0,
            cells: Vec::new(),
            marks: Marks::default(),
            bytes_out: 0,
            scratch: Vec::new(),
            masked: String::new(),
        }
    }

    /// Takes the next chunk.
    pub(crate) fn push(&mut self, chunk: &[u8], out: &mut impl Output) -> Result<(), Cut> {
        self.tally.counts.bytes_in += chunk.len() as u64;
        let mut from = 0;
        self.marks.forget();
        loop {
            if let Some(end) = self.whole_row(chunk, from, out)? {
                from = end;
                continue;
            }
            let Some(end) = self.row_end(chunk, from)? else { break };
            if self.carry.is_empty() {
                self.row(chunk, from..end, out)?;
            } else {
                let mut carry = std::mem::take(&mut self.carry);
                carry.extend_from_slice(chunk.get(from..end).unwrap_or_default());
                let result = self.row(&carry, 0..carry.len(), out);
                carry.clear();
                self.carry = carry;
                result?;
            }
            from = end;
        }
        self.carry.extend_from_slice(chunk.get(from..).unwrap_or_default());
        self.tally.counts.bytes_out = self.bytes_out;
        Ok(())
    }

    /// Ends the answer.
    pub(crate) fn finish(&mut self, out: &mut impl Output) -> Result<(), Cut> {
        if self.quoted {
            return Err(self.cut(CutReason::Truncated));
        }
        let carry = std::mem::take(&mut self.carry);
        if !carry.is_empty() {
            self.row(&carry, 0..carry.len(), out)?;
        }
        self.tally.counts.bytes_out = self.bytes_out;
        Ok(())
    }

    /// Brings the named counts up to date.
    pub(crate) fn settle(&mut self) {
        self.tally.counts.bytes_out = self.bytes_out;
        self.tally.settle(&self.plan, &self.compiled);
    }

    fn cut(&self, reason: CutReason) -> Cut {
        Cut { reason, offset: self.offset }
    }

    /// Where the row that goes on at `from` ends, behind its line feed: the first one with as many quotes before it as
    /// after.
    fn row_end(&mut self, chunk: &[u8], from: usize) -> Result<Option<usize>, Cut> {
        let rest = chunk.get(from..).unwrap_or_default();
        let most = self.plan.bounds.line_bytes.saturating_sub(self.carry.len());
        for at in memchr::memchr2_iter(b'"', b'\n', rest) {
            if at >= most {
                break;
            }
            if rest.get(at) == Some(&b'"') {
                self.quoted = !self.quoted;
            } else if !self.quoted {
                return Ok(Some(from + at + 1));
            }
        }
        if rest.len() > most { Err(self.cut(CutReason::Line)) } else { Ok(None) }
    }

    /// A row behind the header that lies in the chunk whole: where it ends.
    fn whole_row(&mut self, chunk: &[u8], from: usize, out: &mut impl Output) -> Result<Option<usize>, Cut> {
        if self.header.is_none() || !self.carry.is_empty() {
            return Ok(None);
        }
        let mut cells = std::mem::take(&mut self.cells);
        let most = self.plan.bounds.line_bytes;
        let end = self.marks.row(chunk, from, self.csv.delimiter, most, &mut cells);
        let result = match end.and_then(|end| Some((end, chunk.get(from..end)?))) {
            Some((_, line)) if simdutf8::basic::from_utf8(line).is_err() => {
                Err(self.cut(CutReason::Encoding))
            }
            Some((end, line)) => {
                let text = cells.last().map_or(0, |cell| cell.to);
                let row = Row { buffer: chunk, start: from, line, end: text, cells: &cells };
                self.data_row(&row, out).map(|()| Some(end))
            }
            None => Ok(None),
        };
        self.cells = cells;
        result
    }

    /// A row behind the header.
    fn data_row(&mut self, row: &Row<'_>, out: &mut impl Output) -> Result<(), Cut> {
        let Some(mut header) = self.header.take() else { return Ok(()) };
        let blank = row.end == 0 && row.cells.len() == 1;
        if blank && header.columns.len() != 1 {
            // A line with nothing on it is no record.
        } else if row.cells.len() == header.columns.len() {
            self.record(&mut header, row, out);
        } else {
            return Err(self.cut(CutReason::Ragged));
        }
        self.header = Some(header);
        self.offset += row.line.len() as u64;
        Ok(())
    }

    /// A complete row, with its line end if it has one.
    fn row(
        &mut self,
        buffer: &[u8],
        range: std::ops::Range<usize>,
        out: &mut impl Output,
    ) -> Result<(), Cut> {
        let length = range.len() as u64;
        let start = range.start;
        let line = buffer.get(range).unwrap_or_default();
        let (mut from, header) = (0, self.header.is_none());
        if header && self.offset == 0 && line.starts_with(BYTE_ORDER_MARK) {
            from = BYTE_ORDER_MARK.len();
        }
        if simdutf8::basic::from_utf8(line).is_err() {
            return Err(self.cut(CutReason::Encoding));
        }
        let end = line.strip_suffix(b"\n").map_or(line.len(), |l| l.strip_suffix(b"\r").unwrap_or(l).len());
        let mut cells = std::mem::take(&mut self.cells);
        let text = line.get(from..end).unwrap_or_default();
        row::split(text, self.csv.delimiter, &mut cells).map_err(|reason| self.cut(reason))?;
        for cell in &mut cells {
            cell.from += from;
            cell.to += from;
        }
        let row = Row { buffer, start, line, end, cells: &cells };
        let result = if header {
            let header = self.read_header(&row);
            self.write_header(&header, &row, out);
            self.header = Some(header);
            self.offset += length;
            Ok(())
        } else {
            self.data_row(&row, out)
        };
        self.cells = cells;
        result
    }

    // === the header ===

    fn read_header(&mut self, row: &Row<'_>) -> Header {
        let columns: Vec<Path> = row.cells.iter().map(|cell| self.csv.column(&cell.text(row.line))).collect();
        let rules = self.rules();
        let gone: Vec<bool> = (0..columns.len())
            .map(|column| {
                let hidden = |rule: &usize| {
                    let all: Vec<usize> = (0..self.grants(*rule)).collect();
                    if all.is_empty() {
                        return true;
                    }
                    let program = self.compiled.program(*rule, &all);
                    let act = program.map(|program| self.column(&program, columns.get(column)).act);
                    !matches!(act, Some(Act::Keep | Act::Mask(_)))
                };
                rules.iter().all(hidden)
            })
            .collect();
        let key = rules.iter().find_map(|rule| self.plan.rules.get(*rule)?.key.clone());
        let key = key.and_then(|key| columns.iter().position(|column| *column == key));
        let shows = gone.iter().any(|gone| !*gone);
        let site = self.compiled.sites.first().map(|site| &site.decide);
        let (always, slots) = match site {
            Some(Decide::Always(rule)) => {
                let all: Vec<usize> = (0..self.grants(*rule)).collect();
                (self.compiled.program(*rule, &all), Vec::new())
            }
            Some(Decide::Probe(probe)) => (None, slots_of(probe)),
            Some(Decide::Never | Decide::Pair(_)) | None => (None, Vec::new()),
        };
        let header = Header { columns, gone, key, shows, always, slots, view: None };
        self.note_unknown(&header, &rules);
        header
    }

    /// The rules that rows can be under.
    fn rules(&self) -> Vec<usize> {
        match self.compiled.sites.first().map(|site| &site.decide) {
            Some(Decide::Always(rule)) => vec![*rule],
            Some(Decide::Probe(Probe { which: Which::Fixed(rule), .. })) => vec![rule.rule],
            Some(Decide::Probe(Probe { which: Which::ByType(cases), .. })) => {
                cases.values().map(|rule| rule.rule).collect()
            }
            Some(Decide::Never | Decide::Pair(_)) | None => Vec::new(),
        }
    }

    fn grants(&self, rule: usize) -> usize {
        self.plan.rules.get(rule).map_or(0, |rule| rule.grants.len())
    }

    fn note_unknown(&mut self, header: &Header, rules: &[usize]) {
        let compiled = Arc::clone(&self.compiled);
        for column in &header.columns {
            let declared = |rule: &usize| {
                let program = compiled.program(*rule, &[]);
                program.is_some_and(|program| {
                    let state = program.follow(column);
                    program.node(state).declared || self.through(&program, column).is_some()
                })
            };
            if !rules.iter().any(declared) {
                self.tally.unknown(column, None);
            }
        }
    }

    fn write_header(&mut self, header: &Header, row: &Row<'_>, out: &mut impl Output) {
        if !header.shows {
            return;
        }
        let acts: Vec<Option<Act>> =
            header.gone.iter().map(|gone| if *gone { None } else { Some(Act::Keep) }).collect();
        self.write_row(row, &acts, out);
    }

    // === rows ===

    fn record(&mut self, header: &mut Header, row: &Row<'_>, out: &mut impl Output) {
        let Some(program) = self.judge(header, row) else {
            self.tally.counts.withheld += 1;
            return;
        };
        self.tally.counts.released += 1;
        self.tally.applied(program.rule, &program.grants);
        if let Some(cell) = header.key.and_then(|key| row.cells.get(key)) {
            let mut text = std::mem::take(&mut self.scratch);
            text.clear();
            text.extend_from_slice(cell.text(row.line).as_bytes());
            self.tally.key(&text, self.plan.bounds.keys);
            self.scratch = text;
        }
        let known = header.view.take().filter(|view| Arc::ptr_eq(&view.program, &program));
        let view = known.unwrap_or_else(|| {
            let columns: Vec<Column> =
                header.columns.iter().map(|path| self.column(&program, Some(path))).collect();
            let act = |(column, gone): (&Column, &bool)| if *gone { None } else { Some(column.act) };
            let acts = columns.iter().zip(&header.gone).map(act).collect();
            View { program, columns, acts }
        });
        for column in &view.columns {
            self.tally.field(column.field, column.counts);
        }
        if header.shows {
            self.write_row(row, &view.acts, out);
        }
        header.view = Some(view);
    }

    /// The program for a row; `None`: it is not released.
    fn judge(&self, header: &Header, row: &Row<'_>) -> Option<Arc<Program>> {
        match &self.compiled.sites.first()?.decide {
            Decide::Always(_) => header.always.clone(),
            Decide::Probe(probe) => {
                let slot = |number: u32| {
                    self.slot(header, row, header.slots.get(number as usize).and_then(Option::as_ref))
                };
                let rule = match &probe.which {
                    Which::Fixed(rule) => rule,
                    Which::ByType(cases) => match slot(0) {
                        Slot::Found(Value::Text(name)) => cases.get(name.as_ref())?,
                        _ => return None,
                    },
                };
                let grants = rule.applying(slot, &self.params);
                if grants.is_empty() { None } else { self.compiled.program(rule.rule, &grants) }
            }
            Decide::Never | Decide::Pair(_) => None,
        }
    }

    fn slot(&self, header: &Header, row: &Row<'_>, path: Option<&Path>) -> Slot {
        let mut named = header.columns.iter().zip(row.cells).filter(|(column, _)| Some(*column) == path);
        match (named.next(), named.next()) {
            (None, _) => Slot::Missing,
            (Some((_, cell)), None) if cell.to - cell.from <= self.plan.bounds.value_bytes => {
                Slot::Found(Value::Text(cell.text(row.line).into()))
            }
            _ => Slot::Ambiguous,
        }
    }

    /// What a row's program does with a column. Through a single related record, its rule's grants without a condition
    /// decide.
    fn column(&self, program: &Arc<Program>, path: Option<&Path>) -> Column {
        let found = path.and_then(|path| {
            self.through(program, path).or_else(|| Some((Arc::clone(program), program.follow(path))))
        });
        let (program, state) = found.unwrap_or_else(|| (Arc::clone(program), FORBIDDEN));
        let node = program.node(state);
        let counts = if node.text == Act::Drop { Counted::Hidden } else { node.counts };
        Column { act: node.text, field: node.field, counts }
    }

    fn through(&self, program: &Arc<Program>, path: &Path) -> Option<(Arc<Program>, StateId)> {
        let (mut program, mut state, mut crossed) = (Arc::clone(program), ROOT, false);
        // Behind the last step: a text that stands where the record should.
        let mut at_record = false;
        for step in path.steps() {
            let Step::Name(name) = step else { return None };
            state = program.member(state, name.as_bytes());
            at_record = false;
            if let Act::Record(site) = program.node(state).object {
                let rule = match &self.compiled.sites.get(site as usize)?.decide {
                    Decide::Always(rule) => *rule,
                    Decide::Probe(Probe { which: Which::Fixed(rule), .. }) => rule.rule,
                    Decide::Probe(_) | Decide::Never | Decide::Pair(_) => return None,
                };
                let grants = &self.plan.rules.get(rule)?.grants;
                let always: Vec<usize> = grants
                    .iter()
                    .enumerate()
                    .filter(|(_, grant)| grant.when.is_none())
                    .map(|(n, _)| n)
                    .collect();
                (program, state, crossed) = (self.compiled.program(rule, &always)?, ROOT, true);
                at_record = true;
            }
        }
        (crossed && !at_record).then_some((program, state))
    }

    // === writing ===

    fn keep(&mut self, row: &Row<'_>, range: std::ops::Range<usize>, out: &mut impl Output) {
        if !range.is_empty() {
            self.bytes_out += range.len() as u64;
            out.keep(row.buffer, row.start + range.start..row.start + range.end);
        }
    }

    /// Writes the cells that are not gone; runs of untouched ones pass as they stand. An only cell that is empty gets
    /// quotes: readers skip a line with nothing on it.
    fn write_row(&mut self, row: &Row<'_>, acts: &[Option<Act>], out: &mut impl Output) {
        let mut run: Option<std::ops::Range<usize>> = None;
        let mut first = true;
        let alone = row.cells.len() > 1 && acts.iter().flatten().count() == 1;
        for (cell, act) in row.cells.iter().zip(acts) {
            let Some(act) = act else { continue };
            let mut replaced = self.replaced(row, cell, *act);
            if alone && if replaced { self.scratch.is_empty() } else { cell.from == cell.to } {
                self.scratch.extend_from_slice(b"\"\"");
                replaced = true;
            }
            let from = if first { cell.from } else { cell.from.saturating_sub(1) };
            first = false;
            run = Some(match run.take() {
                Some(run) if run.end == from && !replaced => run.start..cell.to,
                other => {
                    self.keep(row, other.unwrap_or_default(), out);
                    if replaced { from..cell.from } else { from..cell.to }
                }
            });
            if replaced {
                self.keep(row, run.take().unwrap_or_default(), out);
                let scratch = std::mem::take(&mut self.scratch);
                self.bytes_out += scratch.len() as u64;
                out.write(&scratch);
                self.scratch = scratch;
            }
        }
        let line_end = row.end..row.line.len();
        match run {
            Some(run) if run.end == line_end.start => self.keep(row, run.start..line_end.end, out),
            other => {
                self.keep(row, other.unwrap_or_default(), out);
                self.keep(row, line_end, out);
            }
        }
    }

    /// Whether a cell is written anew; what it becomes is in `scratch`.
    fn replaced(&mut self, row: &Row<'_>, cell: &Cell, act: Act) -> bool {
        self.scratch.clear();
        let text = match act {
            Act::Keep => {
                let suspicious =
                    |b: u8| matches!(b, b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | b'\n' | 0xEF);
                if !self.csv.neutralise_formulas || !cell.first(row.line).is_some_and(suspicious) {
                    return false;
                }
                let text = cell.text(row.line);
                if !row::is_formula(&text) {
                    return false;
                }
                text
            }
            Act::Mask(mask) => {
                self.mask(mask, &cell.text(row.line));
                Cow::Borrowed(self.masked.as_str())
            }
            _ => Cow::Borrowed(""),
        };
        let neutral = self.csv.neutralise_formulas && row::is_formula(&text);
        let text = if neutral { Cow::Owned(format!("'{text}")) } else { text };
        row::write(&text, self.csv.delimiter, &mut self.scratch);
        true
    }

    /// What a mask makes of a text goes to `masked`.
    fn mask(&mut self, mask: u32, text: &str) {
        self.masked.clear();
        let Some(mask) = self.compiled.masks.get(mask).filter(|_| text.len() <= self.plan.bounds.value_bytes)
        else {
            return;
        };
        let is_number = || serde_json::from_str::<serde_json::Number>(text).is_ok();
        // A cell has no type: what reads as a number may be masked as one.
        if mask.write(Scalar::Text(text), &mut self.masked) == Form::Null && is_number() {
            mask.write(Scalar::Number(text), &mut self.masked);
        }
    }
}

/// A row in its buffer.
struct Row<'r> {
    buffer: &'r [u8],
    /// Where the line starts in the buffer.
    start: usize,
    line: &'r [u8],
    /// Where the line end starts in the line.
    end: usize,
    cells: &'r [Cell],
}

/// The places that a probe reads, by number.
fn slots_of(probe: &Probe) -> Vec<Option<Path>> {
    let mut slots = vec![None; probe.slots];
    for state in &probe.program.shape.states {
        for slot in state.slots() {
            if let Some(place) = slots.get_mut(slot as usize) {
                *place = Some(state.place.clone());
            }
        }
    }
    slots
}
