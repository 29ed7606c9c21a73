//! The machine: follows the text from the root to the elements, and writes what is left of it.

use std::sync::Arc;

use super::super::condition::Params;
use super::super::counts::{Counts, Share};
use super::super::output::Output;
use super::super::plan::{Bounds, Cut, CutReason, Format, Layout, Records, RewritePlan};
use super::super::rewriter::Rewriter;
use super::walk::Span;
use super::{Batch, MAX_SCALAR_BYTES};

/// Rewrites the answer to one batch.
#[derive(Debug)]
pub(crate) struct BatchEngine {
    batch: Arc<Batch>,
    /// Reads the whole text, too, under a plan that releases nothing: what breaks the grammar cuts it.
    grammar: Box<Rewriter>,
    pub(crate) counts: Counts,
    place: Place,
    step: Step,
    /// Whether a member was written at each open level.
    written: Vec<bool>,
    /// How many names on the way were met.
    entered: usize,
    /// Elements begun.
    begun: usize,
    /// By item: whether it was answered.
    answered: Vec<bool>,
    element: Option<Box<Element>>,
}

/// Where the machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    /// In the object that is so many names from the root.
    Way(usize),
    List,
    Element,
    End,
}

/// What it reads there.
#[derive(Debug)]
enum Step {
    /// What stands between members and elements.
    Between,
    /// A member's name, with its quotes.
    Name(Span, Vec<u8>),
    /// The colon and the first byte behind it; what the value is for.
    Value(Role),
    Skip(Span),
    /// A scalar to be looked at.
    Scalar(Span, Vec<u8>, Role),
    /// The inner answer.
    Inner(Span),
}

/// What a member is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    /// The next step on the way.
    Next,
    /// A member of the root that is kept under this name.
    Keep(Box<str>),
    Id,
    Status,
    Answer,
    Other,
}

/// One element of the list.
#[derive(Debug, Default)]
struct Element {
    /// The request it answers, once that is said or its answer begins.
    item: Option<usize>,
    id: Option<Vec<u8>>,
    status: Option<u16>,
    /// Whether the status came as a text.
    quoted: bool,
    answered: bool,
    rewriter: Option<Rewriter>,
    /// Why the answer could not be rewritten, which matters only if it is no error.
    failed: Option<Cut>,
    /// Not yet given out; empty once `open`.
    held: Vec<u8>,
    /// Nothing that is still to come can change what becomes of it.
    open: bool,
    /// Whether a member was written.
    written: bool,
    counted: Counted,
    /// Whether the named counts were taken over.
    named: bool,
}

/// How much of the running rewriter's counts is taken over.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    released: u64,
    withheld: u64,
    keys: usize,
}

impl BatchEngine {
    pub(crate) fn new(batch: Arc<Batch>) -> Self {
        let layout = Layout { records: Records::None, keep: Vec::new(), total: None };
        let nothing = Arc::new(RewritePlan::new(Format::Json, layout, Vec::new(), Bounds::default()));
        let answered = vec![false; batch.items.len()];
        Self {
            batch,
            grammar: Box::new(Rewriter::new(nothing, Params::default())),
            counts: Counts::default(),
            place: Place::Start,
            step: Step::Between,
            written: Vec::new(),
            entered: 0,
            begun: 0,
            answered,
            element: None,
        }
    }

    pub(crate) fn push(&mut self, chunk: &[u8], out: &mut impl Output) -> Result<(), Cut> {
        self.grammar.push(chunk, &mut Vec::new())?;
        let mut rest = chunk;
        while !rest.is_empty() {
            let taken = self.take(rest, out).map_err(|reason| self.cut(reason))?;
            self.counts.bytes_in = self.counts.bytes_in.saturating_add(taken as u64);
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self, _out: &mut impl Output) -> Result<(), Cut> {
        self.grammar.finish(&mut Vec::new())?;
        if self.place == Place::End { Ok(()) } else { Err(self.cut(CutReason::Truncated)) }
    }

    /// Takes over what was counted of an answer that is given up in its middle.
    pub(crate) fn settle(&mut self) {
        let Some(mut element) = self.element.take_if(|element| element.open) else { return };
        if let Some(mut rewriter) = element.rewriter.take() {
            self.count(&mut element, rewriter.settle(), true);
        }
    }

    fn cut(&self, reason: CutReason) -> Cut {
        Cut { reason, offset: self.counts.bytes_in }
    }

    /// Takes some of the bytes: at least one, unless what is being read ended before the first.
    fn take(&mut self, bytes: &[u8], out: &mut impl Output) -> Result<usize, CutReason> {
        match std::mem::replace(&mut self.step, Step::Between) {
            Step::Between => self.between(bytes.first().copied().unwrap_or_default(), out).map(|()| 1),
            Step::Name(mut span, mut name) => {
                let (taken, over) = span.run(bytes);
                collect(&mut name, bytes.get(..taken));
                self.step = if over { Step::Value(self.role(&name)?) } else { Step::Name(span, name) };
                Ok(taken)
            }
            Step::Value(role) => {
                let first = bytes.first().copied().unwrap_or_default();
                if first == b':' || is_blank(first) {
                    self.step = Step::Value(role);
                    return Ok(1);
                }
                self.value(role, first, out)
            }
            Step::Skip(mut span) => {
                let (taken, over) = span.run(bytes);
                if !over {
                    self.step = Step::Skip(span);
                }
                Ok(taken)
            }
            Step::Scalar(mut span, mut text, role) => {
                let (taken, over) = span.run(bytes);
                collect(&mut text, bytes.get(..taken));
                if over {
                    self.scalar(role, text, out)?;
                } else {
                    self.step = Step::Scalar(span, text, role);
                }
                Ok(taken)
            }
            Step::Inner(mut span) => {
                let (taken, over) = span.run(bytes);
                self.inner(bytes.get(..taken).unwrap_or_default(), over, out)?;
                if !over {
                    self.step = Step::Inner(span);
                }
                Ok(taken)
            }
        }
    }

    fn between(&mut self, byte: u8, out: &mut impl Output) -> Result<(), CutReason> {
        let list_first = self.batch.answers.is_empty();
        match (self.place, byte) {
            (_, byte) if is_blank(byte) => {}
            (Place::Start, 0xEF | 0xBB | 0xBF) => {}
            (Place::Start, b'{') if !list_first => self.open(Place::Way(0), b"{", out),
            (Place::Start, b'[') if list_first => self.open(Place::List, b"[", out),
            (Place::Way(_) | Place::Element, b'"') => {
                let mut span = Span::default();
                let _more = span.take(byte);
                self.step = Step::Name(span, vec![byte]);
            }
            (Place::Way(_) | Place::Element | Place::List, b',') => {}
            (Place::Way(level), b'}') => {
                // Without its list it is not the answer to this batch.
                if self.begun < self.batch.items.len() {
                    return Err(CutReason::Items);
                }
                self.close(level.checked_sub(1).map_or(Place::End, Place::Way), b"}", out);
            }
            (Place::List, b'{') => {
                if self.begun >= self.batch.items.len() {
                    return Err(CutReason::Items);
                }
                self.element = Some(Box::default());
                self.place = Place::Element;
            }
            (Place::List, b']') => {
                if self.begun != self.batch.items.len() {
                    return Err(CutReason::Items);
                }
                let above = self.batch.answers.len().checked_sub(1).map_or(Place::End, Place::Way);
                self.close(above, b"]", out);
            }
            (Place::Element, b'}') => {
                self.end_element(out)?;
                self.begun += 1;
                self.place = Place::List;
            }
            _ => return Err(CutReason::Shape),
        }
        Ok(())
    }

    fn open(&mut self, place: Place, bracket: &[u8], out: &mut impl Output) {
        self.emit(bracket, out);
        self.written.push(false);
        self.place = place;
    }

    fn close(&mut self, place: Place, bracket: &[u8], out: &mut impl Output) {
        self.written.pop();
        self.emit(bracket, out);
        self.place = place;
    }

    /// What the member of a name is for. A member that decides must not stand twice.
    fn role(&mut self, name: &[u8]) -> Result<Role, CutReason> {
        let name: Option<String> = serde_json::from_slice(name).ok();
        let name = name.as_deref();
        let batch = &self.batch;
        match self.place {
            Place::Way(level) if batch.answers.get(level).map(Box::as_ref) == name && name.is_some() => {
                if self.entered > level {
                    return Err(CutReason::Shape);
                }
                self.entered = level + 1;
                Ok(Role::Next)
            }
            Place::Way(0) => {
                let kept = batch.keep.iter().find(|kept| Some(kept.as_ref()) == name);
                Ok(kept.map_or(Role::Other, |kept| Role::Keep(kept.clone())))
            }
            Place::Element => {
                let Some(element) = &self.element else { return Err(CutReason::Shape) };
                let (role, twice) = match name {
                    name if name == Some(&*batch.answer) => (Role::Answer, element.answered),
                    name if name.is_some() && name == batch.id.as_deref() => (Role::Id, element.id.is_some()),
                    name if name.is_some() && name == batch.status.as_deref() => {
                        (Role::Status, element.status.is_some())
                    }
                    _ => (Role::Other, false),
                };
                if twice { Err(CutReason::Shape) } else { Ok(role) }
            }
            Place::Way(_) | Place::Start | Place::List | Place::End => Ok(Role::Other),
        }
    }

    /// A value begins with `first`, which is taken only where a container on the way is entered.
    fn value(&mut self, role: Role, first: u8, out: &mut impl Output) -> Result<usize, CutReason> {
        match (role, first) {
            (Role::Next, first) => {
                let Place::Way(level) = self.place else { return Err(CutReason::Shape) };
                let last = level + 1 == self.batch.answers.len();
                let name = self.batch.answers.get(level).cloned().unwrap_or_default();
                let (place, bracket) = match (first, last) {
                    (b'[', true) => (Place::List, b"["),
                    (b'{', false) => (Place::Way(level + 1), b"{"),
                    _ => return Err(CutReason::Shape),
                };
                self.member(&name, out);
                self.open(place, bracket, out);
                return Ok(1);
            }
            (Role::Id | Role::Status, b'{' | b'[') => return Err(CutReason::Shape),
            (Role::Keep(_) | Role::Other, b'{' | b'[') | (Role::Other, _) => {
                self.step = Step::Skip(Span::default());
            }
            // Nothing was answered: a word that holds no value.
            (Role::Answer, b'n') => {
                self.begin_answer()?;
                self.step = Step::Scalar(Span::default(), Vec::new(), Role::Answer);
            }
            (Role::Answer, _) => {
                self.begin_answer()?;
                let name = self.batch.answer.clone();
                if let Some(mut element) = self.element.take() {
                    let item = element.item.and_then(|item| self.batch.items.get(item));
                    element.rewriter = item.map(|item| Rewriter::new(item.plan.clone(), item.params.clone()));
                    element.write_name(&name);
                    self.element = Some(element);
                }
                self.give(out)?;
                self.step = Step::Inner(Span::default());
            }
            (role @ (Role::Keep(_) | Role::Id | Role::Status), _) => {
                self.step = Step::Scalar(Span::default(), Vec::new(), role);
            }
        }
        Ok(0)
    }

    /// The answer begins: where its id has not come yet, it is taken for that of the request in its place, and held
    /// until the id says so.
    fn begin_answer(&mut self) -> Result<(), CutReason> {
        let position = self.begun;
        let Some(element) = &mut self.element else { return Err(CutReason::Shape) };
        element.answered = true;
        if element.item.is_none() {
            element.item = Some(position);
            return self.answers(position);
        }
        Ok(())
    }

    fn answers(&mut self, item: usize) -> Result<(), CutReason> {
        match self.answered.get_mut(item) {
            Some(answered) if !*answered => {
                *answered = true;
                Ok(())
            }
            _ => Err(CutReason::Items),
        }
    }

    fn scalar(&mut self, role: Role, text: Vec<u8>, out: &mut impl Output) -> Result<(), CutReason> {
        if text.len() > MAX_SCALAR_BYTES {
            return Err(CutReason::Shape);
        }
        match role {
            Role::Keep(name) => {
                self.member(&name, out);
                self.emit(&text, out);
                return Ok(());
            }
            Role::Id => self.said_id(text)?,
            Role::Status => self.said_status(&text)?,
            Role::Answer if text == b"null" => {
                let name = self.batch.answer.clone();
                if let Some(element) = &mut self.element {
                    element.write_name(&name);
                    element.held.extend_from_slice(b"null");
                }
            }
            Role::Answer | Role::Next | Role::Other => return Err(CutReason::Shape),
        }
        self.give(out)
    }

    fn said_id(&mut self, text: Vec<u8>) -> Result<(), CutReason> {
        let said = match serde_json::from_slice::<serde_json::Value>(&text) {
            Ok(serde_json::Value::String(said)) => said,
            Ok(serde_json::Value::Number(_)) => String::from_utf8_lossy(&text).into_owned(),
            _ => return Err(CutReason::Items),
        };
        let found = self.batch.items.iter().position(|item| item.id.as_deref() == Some(&*said));
        let found = found.ok_or(CutReason::Items)?;
        let name = self.batch.id.clone().unwrap_or_default();
        let Some(element) = &mut self.element else { return Err(CutReason::Shape) };
        element.write_name(&name);
        element.held.extend_from_slice(&text);
        element.id = Some(text);
        match element.item {
            Some(item) if item == found => Ok(()),
            Some(_) => Err(CutReason::Items),
            None => {
                element.item = Some(found);
                self.answers(found)
            }
        }
    }

    fn said_status(&mut self, text: &[u8]) -> Result<(), CutReason> {
        let name = self.batch.status.clone().unwrap_or_default();
        let Some(element) = &mut self.element else { return Err(CutReason::Shape) };
        element.quoted = text.starts_with(b"\"");
        let digits = std::str::from_utf8(text).unwrap_or_default().trim_matches('"');
        let plain = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let status = digits.parse().ok().filter(|status| plain && (100..=599).contains(status));
        element.status = Some(status.ok_or(CutReason::Shape)?);
        element.write_name(&name);
        element.held.extend_from_slice(text);
        Ok(())
    }

    fn inner(&mut self, bytes: &[u8], over: bool, out: &mut impl Output) -> Result<(), CutReason> {
        let Some(mut element) = self.element.take() else { return Err(CutReason::Shape) };
        if let Some(mut rewriter) = element.rewriter.take() {
            let mut result = rewriter.push(bytes, &mut element.held);
            if over && result.is_ok() {
                result = rewriter.finish(&mut element.held);
            }
            if element.open {
                self.count(&mut element, rewriter.counts(), over || result.is_err());
            }
            match result {
                Ok(()) => element.rewriter = Some(rewriter),
                Err(cut) if element.open => {
                    self.element = Some(element);
                    return Err(cut.reason);
                }
                Err(cut) => element.failed = Some(cut),
            }
        }
        self.element = Some(element);
        self.give(out)
    }

    /// Gives out what is held of the element, if nothing can take it back any more.
    fn give(&mut self, out: &mut impl Output) -> Result<(), CutReason> {
        let Some(mut element) = self.element.take() else { return Ok(()) };
        let item = element.item.and_then(|item| self.batch.items.get(item));
        let known = (self.batch.id.is_none() || element.id.is_some())
            && (self.batch.status.is_none() || element.status.is_some_and(succeeded));
        if !element.open && known && element.failed.is_none() && item.is_some_and(|item| !item.single) {
            element.open = true;
            self.begin_text(&mut element, out);
            if let Some(rewriter) = element.rewriter.take() {
                self.count(&mut element, rewriter.counts(), false);
                element.rewriter = Some(rewriter);
            }
        }
        if element.open {
            let held = std::mem::take(&mut element.held);
            self.emit_of(element.item, &held, out);
        } else if element.held.len() > self.batch.held_bytes {
            return Err(CutReason::Record);
        }
        self.element = Some(element);
        Ok(())
    }

    fn begin_text(&mut self, element: &mut Element, out: &mut impl Output) {
        let mut text = Vec::new();
        if std::mem::replace(self.written.last_mut().unwrap_or(&mut false), true) {
            text.push(b',');
        }
        text.push(b'{');
        self.emit_of(element.item, &text, out);
    }

    fn end_element(&mut self, out: &mut impl Output) -> Result<(), CutReason> {
        if self.element.as_ref().is_some_and(|element| element.item.is_none()) {
            // There is no answer in it, and nothing says whose it would be.
            let position = self.begun;
            self.answers(position)?;
            if let Some(element) = &mut self.element {
                element.item = Some(position);
            }
        }
        let Some(mut element) = self.element.take() else { return Err(CutReason::Shape) };
        let batch = Arc::clone(&self.batch);
        let item = element.item.and_then(|item| batch.items.get(item)).ok_or(CutReason::Items)?;
        if batch.id.is_some() && element.id.is_none() {
            return Err(CutReason::Items);
        }
        if batch.status.is_some() && element.status.is_none() {
            return Err(CutReason::Shape);
        }
        if element.open {
            if let Some(rewriter) = element.rewriter.take() {
                self.count(&mut element, rewriter.counts(), true);
            }
            self.emit_of(element.item, b"}", out);
            return Ok(());
        }
        self.begin_text(&mut element, out);
        let released = element.rewriter.as_ref().map_or(0, |rewriter| rewriter.counts().released);
        let neutral = match element.status.filter(|status| !succeeded(*status)) {
            Some(status) => Some(item.refusal(status)),
            None if element.failed.is_none() && item.single && released == 0 => Some(item.absent()),
            None => None,
        };
        if let Some((status, text)) = neutral {
            let withheld = element.status.is_none_or(succeeded);
            let text = element.neutral(&batch, status, text);
            self.emit_of(element.item, &text, out);
            self.counts.withheld = self.counts.withheld.saturating_add(u64::from(withheld));
            return Ok(());
        }
        if let Some(cut) = &element.failed {
            return Err(cut.reason);
        }
        if let Some(rewriter) = element.rewriter.take() {
            self.count(&mut element, rewriter.counts(), true);
        }
        let mut held = std::mem::take(&mut element.held);
        held.push(b'}');
        self.emit_of(element.item, &held, out);
        Ok(())
    }

    /// Takes over what the element's rewriter has counted since the last time, and its named counts at the end.
    fn count(&mut self, element: &mut Element, counts: &Counts, over: bool) {
        let before = element.counted;
        let total = &mut self.counts;
        let released = counts.released.saturating_sub(before.released);
        total.released = total.released.saturating_add(released);
        total.withheld = total.withheld.saturating_add(counts.withheld.saturating_sub(before.withheld));
        let keys = counts.keys.get(before.keys..).unwrap_or_default();
        total.keys.extend_from_slice(keys);
        if let Some(share) = share(total, element.item) {
            share.released = share.released.saturating_add(released);
            share.keys += keys.len();
        }
        element.counted =
            Counted { released: counts.released, withheld: counts.withheld, keys: counts.keys.len() };
        if over && !std::mem::replace(&mut element.named, true) {
            for (name, count) in &counts.fields {
                let sum = total.fields.entry(name.clone()).or_default();
                sum.shown = sum.shown.saturating_add(count.shown);
                sum.masked = sum.masked.saturating_add(count.masked);
                sum.hidden = sum.hidden.saturating_add(count.hidden);
            }
            let room = MAX_UNKNOWN.saturating_sub(total.unknown.len());
            total.unknown.extend(counts.unknown.iter().take(room).cloned());
            total.grants.extend(counts.grants.iter().cloned());
        }
    }

    /// A name in the object that is open, with what stands around it.
    fn member(&mut self, name: &str, out: &mut impl Output) {
        let mut text = Vec::new();
        if std::mem::replace(self.written.last_mut().unwrap_or(&mut false), true) {
            text.push(b',');
        }
        text.extend_from_slice(quoted(name).as_bytes());
        text.push(b':');
        self.emit(&text, out);
    }

    fn emit(&mut self, text: &[u8], out: &mut impl Output) {
        out.write(text);
        self.counts.bytes_out = self.counts.bytes_out.saturating_add(text.len() as u64);
    }

    fn emit_of(&mut self, item: Option<usize>, text: &[u8], out: &mut impl Output) {
        self.emit(text, out);
        if let Some(share) = share(&mut self.counts, item) {
            share.bytes = share.bytes.saturating_add(text.len() as u64);
        }
    }
}

impl Element {
    fn write_name(&mut self, name: &str) {
        if std::mem::replace(&mut self.written, true) {
            self.held.push(b',');
        }
        self.held.extend_from_slice(quoted(name).as_bytes());
        self.held.push(b':');
    }

    /// The members of an element that says no, and its end.
    fn neutral(&self, batch: &Batch, status: u16, text: &str) -> Vec<u8> {
        let mut said = Self::default();
        if let (Some(name), Some(id)) = (&batch.id, &self.id) {
            said.write_name(name);
            said.held.extend_from_slice(id);
        }
        if let Some(name) = &batch.status {
            said.write_name(name);
            let status = if self.quoted { format!("\"{status}\"") } else { status.to_string() };
            said.held.extend_from_slice(status.as_bytes());
        }
        said.write_name(&batch.answer);
        said.held.extend_from_slice(text.as_bytes());
        said.held.push(b'}');
        said.held
    }
}

/// The share of an item in what was counted: the last one, or a new one.
fn share(counts: &mut Counts, item: Option<usize>) -> Option<&mut Share> {
    let item = item?;
    if counts.shares.last().is_none_or(|share| share.item != item) {
        counts.shares.push(Share { item, ..Share::default() });
    }
    counts.shares.last_mut()
}

fn collect(text: &mut Vec<u8>, bytes: Option<&[u8]>) {
    // One more than may be, so that a longer one is known as such.
    let room = (MAX_SCALAR_BYTES + 1).saturating_sub(text.len());
    text.extend(bytes.unwrap_or_default().iter().take(room));
}

fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

fn succeeded(status: u16) -> bool {
    (200..=299).contains(&status)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

const MAX_UNKNOWN: usize = 32;
