//! Building the tree of a file from what a reader finds, piece by piece: bounds, keys that repeat, texts that are
//! shared. Both readers build with it, so that they cannot differ in anything but how they read.

use std::collections::HashMap;
use std::sync::Arc;

use super::{ALIAS_NODES, Mark, Node, SourceBounds, Value, Word};

/// Something wrong with the text itself.
pub(super) struct Complaint {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) mark: Mark,
    pub(super) first: Option<Mark>,
}

/// A tree that was built.
pub(super) struct Built {
    pub(super) root: Node,
    /// What does not stop a reader.
    pub(super) complaints: Vec<Complaint>,
    /// Whether some of it stands elsewhere in the text than in the tree.
    pub(super) aliased: bool,
}

/// How a list or mapping is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// By indentation: it ends with the last thing in it.
    Block,
    /// Between brackets.
    Flow,
}

/// A list or mapping that is not finished. What is in it already waits on the stacks of the [`Builder`], so that it gets
/// room for exactly as much as it holds.
struct Open {
    kind: Kind,
    mark: Mark,
    style: Style,
    /// Whether the mark starts with the first thing in it.
    begun: bool,
    anchor: usize,
}

enum Kind {
    List {
        /// Where its items begin on the stack.
        from: usize,
    },
    Map {
        /// Where its members begin on the stack.
        from: usize,
        seen: HashMap<Arc<str>, Mark>,
        key: Option<Word>,
    },
}

/// A tree being built.
pub(super) struct Builder {
    file: u32,
    bounds: SourceBounds,
    stack: Vec<Open>,
    items: Vec<Node>,
    members: Vec<(Word, Node)>,
    root: Option<Node>,
    anchors: HashMap<usize, (Node, usize)>,
    texts: Texts,
    nodes: usize,
    alias_nodes: usize,
    complaints: Vec<Complaint>,
    /// Where the last text or bracket ended.
    end: u32,
}

impl Builder {
    pub(super) fn new(file: u32, bounds: &SourceBounds) -> Self {
        Self {
            file,
            bounds: *bounds,
            stack: Vec::new(),
            items: Vec::new(),
            members: Vec::new(),
            root: None,
            anchors: HashMap::new(),
            texts: Texts::default(),
            nodes: 0,
            alias_nodes: 0,
            complaints: Vec::new(),
            end: 0,
        }
    }

    /// The tree.
    pub(super) fn finish(self) -> Built {
        let empty = Node { value: Value::Null, mark: Mark { file: self.file, start: 0, end: 0 } };
        Built { root: self.root.unwrap_or(empty), complaints: self.complaints, aliased: self.alias_nodes > 0 }
    }

    /// A mark from byte offsets.
    pub(super) fn mark(&self, start: usize, end: usize) -> Mark {
        let fit = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Mark { file: self.file, start: fit(start), end: fit(end.max(start)) }
    }

    /// A text, a number, a truth value; `plain`: without quotes.
    pub(super) fn scalar(
        &mut self,
        text: &str,
        plain: bool,
        mark: Mark,
        anchor: usize,
    ) -> Result<(), Complaint> {
        self.begin(mark.start);
        self.end = mark.end;
        let value = if plain { resolve(text) } else { None };
        let value = value.unwrap_or_else(|| Value::Text(self.texts.share(text)));
        let node = Node { value, mark };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), 1));
        }
        self.place(node)
    }

    /// Nothing where a value could stand; it stands right behind what was before it.
    pub(super) fn nothing(&mut self, anchor: usize) -> Result<(), Complaint> {
        let mark = Mark { file: self.file, start: self.end, end: self.end };
        self.scalar("", true, mark, anchor)
    }

    pub(super) fn open_list(&mut self, style: Style, mark: Mark, anchor: usize) -> Result<(), Complaint> {
        let kind = Kind::List { from: self.items.len() };
        self.open(Open { kind, mark, style, begun: style == Style::Flow, anchor })
    }

    pub(super) fn open_map(&mut self, style: Style, mark: Mark, anchor: usize) -> Result<(), Complaint> {
        let kind = Kind::Map { from: self.members.len(), seen: HashMap::new(), key: None };
        self.open(Open { kind, mark, style, begun: style == Style::Flow, anchor })
    }

    fn open(&mut self, open: Open) -> Result<(), Complaint> {
        let mark = open.mark;
        if self.stack.len() >= self.bounds.depth {
            let message = format!("nested deeper than {} levels", self.bounds.depth);
            return Err(complaint("too-deep", &message, mark));
        }
        if let Some(Open { kind: Kind::Map { key: None, .. }, .. }) = self.stack.last() {
            return Err(complaint("bad-key", "a key must be a text", mark));
        }
        if open.begun {
            self.begin(mark.start);
        }
        self.stack.push(open);
        Ok(())
    }

    /// What is written by indentation starts where the first thing in it does, not at its dash.
    fn begin(&mut self, at: u32) {
        for open in self.stack.iter_mut().rev() {
            if open.begun {
                return;
            }
            (open.mark.start, open.begun) = (at, true);
        }
    }

    /// Closes what was opened last; `end`: where its bracket is.
    pub(super) fn close(&mut self, end: Mark) -> Result<(), Complaint> {
        let Some(open) = self.stack.pop() else { return Ok(()) };
        let value = match open.kind {
            Kind::List { from } => Value::List(self.items.drain(from.min(self.items.len())..).collect()),
            Kind::Map { from, .. } => {
                Value::Map(self.members.drain(from.min(self.members.len())..).collect())
            }
        };
        if open.style == Style::Flow {
            self.end = end.end;
        }
        let node = Node { mark: Mark { end: self.end.max(open.mark.start), ..open.mark }, value };
        if open.anchor != 0 {
            let size = count(&node);
            self.anchors.insert(open.anchor, (node.clone(), size));
        }
        self.place(node)
    }

    pub(super) fn alias(&mut self, id: usize, mark: Mark) -> Result<(), Complaint> {
        self.begin(mark.start);
        self.end = mark.end;
        let Some((node, size)) = self.anchors.get(&id).cloned() else {
            return Err(complaint(
                "unknown-alias",
                "the alias names something that is not finished yet",
                mark,
            ));
        };
        self.alias_nodes = self.alias_nodes.saturating_add(size);
        if self.alias_nodes > ALIAS_NODES {
            let message = format!("aliases add more than {ALIAS_NODES} values");
            return Err(complaint("too-many-aliases", &message, mark));
        }
        self.nodes = self.nodes.saturating_add(size);
        self.place(node)
    }

    fn place(&mut self, node: Node) -> Result<(), Complaint> {
        self.nodes += 1;
        if self.nodes > self.bounds.nodes {
            let message = format!("more than {} values in one file", self.bounds.nodes);
            return Err(complaint("too-large", &message, node.mark));
        }
        match self.stack.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(Kind::List { .. }) => self.items.push(node),
            Some(Kind::Map { from, seen, key }) => match key.take() {
                None => {
                    let text = match &node.value {
                        Value::Text(text) => text.clone(),
                        Value::Number(text) => Arc::from(text.as_ref()),
                        Value::Bool(value) => Arc::from(if *value { "true" } else { "false" }),
                        Value::Null | Value::List(_) | Value::Map(_) => {
                            return Err(complaint("bad-key", "a key must be a text", node.mark));
                        }
                    };
                    if text.as_ref() == "<<" {
                        return Err(complaint("merge-key", "merge keys are not part of YAML 1.2", node.mark));
                    }
                    *key = Some(Word { text, mark: node.mark });
                }
                Some(name) => {
                    let members = self.members.get(*from..).unwrap_or_default();
                    match earlier(members, seen, &name) {
                        None => self.members.push((name, node)),
                        Some(first) => {
                            let message = format!("duplicate key `{}`", name.text);
                            self.complaints.push(Complaint {
                                first: Some(first),
                                ..complaint("duplicate-key", &message, name.mark)
                            });
                        }
                    }
                }
            },
        }
        Ok(())
    }
}

/// Short texts that were read lately: a file with a million bindings repeats the same few words, and they share their
/// bytes. A text has one place, where the next one of that place takes over: no file makes it grow or slow.
#[derive(Default)]
struct Texts(Vec<Option<Arc<str>>>);

impl Texts {
    fn share(&mut self, text: &str) -> Arc<str> {
        if text.len() > SHARED_BYTES {
            return text.into();
        }
        if self.0.is_empty() {
            self.0.resize(SHARED_TEXTS, None);
        }
        // FNV-1a.
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
        let Some(place) = self.0.get_mut((hash >> 32) as usize % SHARED_TEXTS) else { return text.into() };
        match place {
            Some(known) if **known == *text => known.clone(),
            _ => place.insert(text.into()).clone(),
        }
    }
}

/// Where a key stands already. Short mappings are searched; longer ones get an index.
fn earlier(members: &[(Word, Node)], seen: &mut HashMap<Arc<str>, Mark>, name: &Word) -> Option<Mark> {
    if members.len() < INDEX_FROM {
        return members.iter().find(|(known, _)| known.text == name.text).map(|(known, _)| known.mark);
    }
    if seen.is_empty() {
        seen.extend(members.iter().map(|(known, _)| (known.text.clone(), known.mark)));
    }
    let first = seen.get(&name.text).copied();
    if first.is_none() {
        seen.insert(name.text.clone(), name.mark);
    }
    first
}

pub(super) fn complaint(code: &'static str, message: &str, mark: Mark) -> Complaint {
    Complaint { code, message: message.to_owned(), help: None, mark, first: None }
}

fn count(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Map(members) => 1 + members.iter().map(|(_, value)| 1 + count(value)).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => 1,
    }
}

/// YAML 1.2.2 section 10.3.2, tag resolution of plain scalars; `None`: a text. Infinities and not-a-number stay texts.
fn resolve(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        "true" | "True" | "TRUE" => Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => Some(Value::Bool(false)),
        _ if is_number(text) => Some(Value::Number(text.into())),
        _ => None,
    }
}

fn is_number(text: &str) -> bool {
    let digits = |text: &str, ok: fn(u8) -> bool| !text.is_empty() && text.bytes().all(ok);
    if let Some(octal) = text.strip_prefix("0o") {
        return digits(octal, |b| matches!(b, b'0'..=b'7'));
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return digits(hex, |b| b.is_ascii_hexdigit());
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let decimal = |b: u8| b.is_ascii_digit();
    let mantissa_ok = match mantissa.split_once('.') {
        Some((whole, part)) => {
            (digits(whole, decimal) && part.bytes().all(decimal))
                || (whole.is_empty() && digits(part, decimal))
        }
        None => digits(mantissa, decimal),
    };
    mantissa_ok && exponent.is_none_or(|exponent| digits(exponent, decimal))
}

/// Mappings with this many members get an index of their keys.
const INDEX_FROM: usize = 16;
/// Short texts of one file that are kept for sharing.
const SHARED_TEXTS: usize = 8_192;
/// Longest text that is shared.
const SHARED_BYTES: usize = 64;
