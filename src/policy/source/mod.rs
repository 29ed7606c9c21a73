//! YAML files become trees whose every leaf knows where it stands.
//!
//! Comes in: YAML 1.2 text (core schema: `on`, `yes`, `no`, `y` are strings). Goes out: a [`Node`] tree with a
//! [`Mark`] on every value and key, or complaints in the report of [`Documents`]. Nothing here knows what the files
//! mean; [`Fields`] takes a mapping apart and refuses the keys nobody asked for.
//!
//! Bounds: a file's size, its nesting, the number of its nodes (aliases expanded), and the size of its keys
//! ([`SourceBounds`]).

mod fields;
pub(super) mod help;
mod parse;
mod simple;
mod tree;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::base::{Diagnostic, Place, Report};

pub use fields::{Fields, did_you_mean, items, members, number, word, words};

/// A place in one of the [`Documents`]: cheap to copy, resolved to a [`Place`] only for a complaint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mark {
    file: u32,
    start: u32,
    end: u32,
}

impl Mark {
    /// From its beginning to the end of another one.
    pub fn to(self, other: Self) -> Self {
        Self { end: other.end.max(self.end), ..self }
    }

    /// A part of the text that is marked, by byte offsets from its start; the start alone when it cannot be found
    /// (the text is quoted with escapes or folded).
    fn part(self, from: u32, len: u32) -> Self {
        let start = self.start.saturating_add(from).min(self.end);
        Self { file: self.file, start, end: start.saturating_add(len).min(self.end) }
    }
}

/// A text and where it stands.
#[derive(Clone, Debug)]
pub struct Word {
    /// The text, unescaped.
    pub text: Arc<str>,
    /// Where it stands.
    pub mark: Mark,
}

impl Word {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// One value of a file.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it stands.
    pub mark: Mark,
}

/// What a [`Node`] is, by the core schema of YAML 1.2.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`, `~`, or nothing.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(Box<str>),
    /// A text.
    Text(Arc<str>),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order it is written; keys are unique.
    Map(Vec<(Word, Node)>),
}

impl Value {
    /// How the kind is called in a complaint.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a truth value",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl Node {
    /// The value as JSON; numbers keep their digits.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }

    fn write_json(&self, out: &mut String) {
        match &self.value {
            Value::Null => out.push_str("null"),
            Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Value::Number(text) => out.push_str(&parse::json_number(text)),
            Value::Text(text) => push_json_text(text, out),
            Value::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write_json(out);
                }
                out.push(']');
            }
            Value::Map(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    push_json_text(&key.text, out);
                    out.push(':');
                    value.write_json(out);
                }
                out.push('}');
            }
        }
    }
}

fn push_json_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// What a file may cost.
#[derive(Clone, Copy, Debug)]
pub struct SourceBounds {
    /// Largest file.
    pub file_bytes: u64,
    /// Deepest nesting.
    pub depth: usize,
    /// Most nodes, aliases expanded.
    pub nodes: usize,
}

impl Default for SourceBounds {
    fn default() -> Self {
        Self { file_bytes: 256 << 20, depth: 64, nodes: 20_000_000 }
    }
}

/// Nodes that aliases may add to one file.
const ALIAS_NODES: usize = 100_000;

struct Document {
    name: Arc<str>,
    text: Arc<str>,
    root: Option<Arc<Node>>,
    aliased: bool,
    lines: Vec<u32>,
}

/// The files that were read, and everything that is wrong with them.
#[derive(Default)]
pub struct Documents {
    bounds: SourceBounds,
    files: Vec<Document>,
    policy_files: Option<usize>,
    names: HashSet<Arc<str>>,
    report: RefCell<Report>,
    /// A list that [`Fields`] needs for a moment.
    spare: Cell<Vec<&'static str>>,
}

impl Documents {
    /// No files yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with other bounds.
    #[must_use]
    pub fn with_bounds(mut self, bounds: SourceBounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Reads a file. `None`: it cannot be read or is not YAML, and the report says why. An empty file is `null`.
    pub fn read(&mut self, path: &Path) -> Option<Arc<Node>> {
        let name: Arc<str> = path.display().to_string().into();
        let text = match self.read_text(path) {
            Ok(text) => text,
            Err(message) => {
                self.push(Diagnostic::error("unreadable-file", format!("cannot read `{name}`: {message}")));
                return None;
            }
        };
        self.parse(name, text.into())
    }

    fn read_text(&self, path: &Path) -> Result<String, String> {
        use std::io::Read as _;
        let limit = self.bounds.file_bytes;
        let file = std::fs::File::open(path).map_err(|error| plain_io(&error))?;
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| plain_io(&error))?;
        if bytes.len() as u64 > limit {
            return Err(format!("it is larger than {limit} bytes"));
        }
        String::from_utf8(bytes).map_err(|error| {
            format!("it is not UTF-8 (first wrong byte at offset {})", error.utf8_error().valid_up_to())
        })
    }

    /// Takes a text as if it were read from the file `name`.
    pub fn parse(&mut self, name: Arc<str>, text: Arc<str>) -> Option<Arc<Node>> {
        let file = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        self.report.get_mut().source(name.clone(), text.clone());
        self.names.insert(name.clone());
        let lines = std::iter::once(0)
            .chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| (at + 1) as u32))
            .collect();
        self.files.push(Document { name, text: text.clone(), root: None, aliased: false, lines });
        let read = simple::read(&text, file, &self.bounds);
        match read.map_or_else(|| parse::parse(&text, file, &self.bounds), Ok) {
            Ok(built) => {
                let node = Arc::new(built.root);
                if let Some(document) = self.files.last_mut() {
                    document.root = Some(node.clone());
                    document.aliased = built.aliased;
                }
                let broken = !built.complaints.is_empty();
                for complaint in built.complaints {
                    self.complain(complaint);
                }
                (!broken).then_some(node)
            }
            Err(complaint) => {
                self.complain(complaint);
                None
            }
        }
    }

    fn complain(&self, complaint: tree::Complaint) {
        let mut diagnostic =
            Diagnostic::error(complaint.code, complaint.message).at(self.place(complaint.mark));
        if let Some(help) = complaint.help {
            diagnostic = diagnostic.help(help);
        }
        if let Some(first) = complaint.first {
            diagnostic = diagnostic.related(self.place(first), "first written here");
        }
        self.push(diagnostic);
    }

    /// Adds a complaint.
    pub fn push(&self, mut diagnostic: Diagnostic) {
        if diagnostic.help.is_none() {
            diagnostic.help = help::general(diagnostic.code).map(Into::into);
        }
        self.report.borrow_mut().push(diagnostic);
    }

    /// Adds an error at a mark.
    pub fn error(&self, code: &'static str, message: impl Into<String>, mark: Mark) {
        self.push(Diagnostic::error(code, message).at(self.place(mark)));
    }

    /// Adds an error with help at a mark.
    pub fn error_with_help(
        &self,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
        mark: Mark,
    ) {
        self.push(Diagnostic::error(code, message).help(help).at(self.place(mark)));
    }

    /// Whether anything so far is an error.
    pub fn has_errors(&self) -> bool {
        self.report.borrow().has_errors()
    }

    /// Everything that was said, sorted.
    pub fn into_report(self) -> Report {
        self.take_report()
    }

    /// Everything that was said since the last call, sorted.
    pub fn take_report(&self) -> Report {
        let mut report = self.report.take();
        report.sort();
        report
    }

    /// The file that a word names, relative to the file it stands in; `None` where it would leave that folder.
    pub fn beside(&self, word: &Word) -> Option<PathBuf> {
        let named = Path::new(word.as_str());
        let inside = named.components().all(|part| matches!(part, Component::Normal(_)));
        let file = self.files.get(word.mark.file as usize)?;
        (inside && !word.text.is_empty()).then(|| Path::new(file.name.as_ref()).with_file_name(named))
    }

    /// The names of the files.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.files.iter().map(|file| &file.name)
    }

    /// What is read from here on is no part of the policy itself.
    pub fn policy_ends(&mut self) {
        self.policy_files = Some(self.files.len());
    }

    /// The texts of the files that the policy consists of, in the order they were read.
    pub fn policy_texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts().take(self.policy_files.unwrap_or(self.files.len()))
    }

    /// A part of a file's text: the file, and the bytes from where to where.
    pub fn range(&self, mark: Mark) -> Option<(&Arc<str>, std::ops::Range<usize>)> {
        let file = self.files.get(mark.file as usize)?;
        Some((&file.name, mark.start as usize..mark.end as usize))
    }

    /// The texts of the files, in the order they were read.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|file| (file.name.as_ref(), file.text.as_ref()))
    }

    /// The part of a word's text that starts at a byte offset of the *text*, for complaints inside strings. Where
    /// the text is written with escapes or over several lines, the whole word is meant.
    pub fn part(&self, word: &Word, offset: usize, len: usize) -> Mark {
        let whole = word.mark;
        let Some(written) = self.slice(whole) else { return whole };
        let Some(at) = written.find(word.as_str()) else { return whole };
        match (u32::try_from(at + offset), u32::try_from(len)) {
            (Ok(from), Ok(len)) => whole.part(from, len),
            _ => whole,
        }
    }

    fn slice(&self, mark: Mark) -> Option<&str> {
        self.files.get(mark.file as usize)?.text.get(mark.start as usize..mark.end as usize)
    }

    /// Where a mark is, for people.
    pub fn place(&self, mark: Mark) -> Place {
        let document = self.files.get(mark.file as usize);
        let root = document.and_then(|document| Some((document.root.as_deref()?, document.aliased)));
        let path = root.map_or_else(|| "$".to_owned(), |(root, aliased)| path_to(root, aliased, mark));
        Place { path, ..self.place_without_path(mark) }
    }

    /// Where a mark is, without the path in the document, which costs a walk through it.
    pub fn place_without_path(&self, mark: Mark) -> Place {
        let Some(document) = self.files.get(mark.file as usize) else {
            return Place { file: "".into(), line: 0, column: 0, length: 0, path: String::new() };
        };
        let line = document.lines.partition_point(|start| *start <= mark.start).saturating_sub(1);
        let line_start = document.lines.get(line).copied().unwrap_or(0);
        let before = document.text.get(line_start as usize..mark.start as usize).unwrap_or("");
        let marked = document.text.get(mark.start as usize..mark.end as usize).unwrap_or("");
        let first_line = marked.lines().next().unwrap_or("");
        Place {
            file: document.name.clone(),
            line: line as u32 + 1,
            column: before.chars().count() as u32 + 1,
            length: first_line.trim_end().chars().count() as u32,
            path: String::new(),
        }
    }
}

/// The path of the innermost node around a mark. What is in a node stands in order, so it is found by halving, except
/// where aliases stand for something from elsewhere in the file.
fn path_to(root: &Node, aliased: bool, mark: Mark) -> String {
    let mut path = String::from("$");
    let mut node = root;
    loop {
        match &node.value {
            Value::Map(members) => {
                let after = members.partition_point(|(key, _)| key.mark.start <= mark.start);
                let inside = |(key, value): &&(Word, Node)| is_key(key, mark) || covers(value, mark);
                let found = after.checked_sub(1).and_then(|at| members.get(at)).filter(inside);
                let found = found.or_else(|| if aliased { members.iter().find(inside) } else { None });
                let Some((key, value)) = found else { return path };
                push_name(&key.text, &mut path);
                if is_key(key, mark) {
                    return path;
                }
                node = value;
            }
            Value::List(items) => {
                let after = items.partition_point(|item| item.mark.start <= mark.start);
                let inside = |at: &usize| items.get(*at).is_some_and(|item| covers(item, mark));
                let found = after.checked_sub(1).filter(inside);
                let found = found.or_else(|| if aliased { (0..items.len()).find(inside) } else { None });
                let Some((at, item)) = found.and_then(|at| Some((at, items.get(at)?))) else { return path };
                path.push_str(&format!("[{at}]"));
                node = item;
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => return path,
        }
    }
}

fn is_key(key: &Word, mark: Mark) -> bool {
    key.mark.start == mark.start && key.mark.end == mark.end
}

fn covers(node: &Node, mark: Mark) -> bool {
    node.mark.file == mark.file && node.mark.start <= mark.start && mark.end <= node.mark.end
}

fn push_name(name: &str, path: &mut String) {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if plain {
        path.push('.');
        path.push_str(name);
    } else {
        path.push_str(&format!("['{}']", name.replace('\'', "\\'")));
    }
}

fn plain_io(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
