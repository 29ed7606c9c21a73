//! Events of the YAML parser become a tree. All duplicate keys are found, not only the first.

use std::collections::HashMap;
use std::sync::Arc;

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, Tag};

use super::{ALIAS_NODES, Mark, Node, SourceBounds, Value, Word};

/// Something wrong with the text itself.
pub(super) struct Complaint {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) mark: Mark,
    pub(super) first: Option<Mark>,
}

/// Parses one document. Complaints that do not stop the parser come beside the tree.
pub(super) fn parse(
    text: &str,
    file: u32,
    bounds: &SourceBounds,
) -> Result<(Node, Vec<Complaint>), Complaint> {
    let mut builder = Builder {
        text,
        file,
        bounds: *bounds,
        stack: Vec::new(),
        root: None,
        anchors: HashMap::new(),
        names: HashMap::new(),
        nodes: 0,
        alias_nodes: 0,
        complaints: Vec::new(),
        documents: 0,
    };
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.disallow_directives = false;
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => builder.take(event, span)?,
            Err(error) => return Err(builder.syntax(&error)),
        }
    }
    let empty = Node { value: Value::Null, mark: Mark { file, start: 0, end: 0 } };
    Ok((builder.root.unwrap_or(empty), builder.complaints))
}

/// A number of the core schema as JSON text.
pub(super) fn json_number(text: &str) -> String {
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(|n| n.to_string());
    if let Some(value) = text.strip_prefix("0x").and_then(|digits| radix(digits, 16)) {
        return value;
    }
    if let Some(value) = text.strip_prefix("0o").and_then(|digits| radix(digits, 8)) {
        return value;
    }
    if serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok() {
        return text.to_owned();
    }
    match text.trim_start_matches('+').parse::<f64>() {
        Ok(value) if value.is_finite() => serde_json::Value::from(value).to_string(),
        _ => "null".to_owned(),
    }
}

enum Open {
    List {
        items: Vec<Node>,
        mark: Mark,
        anchor: usize,
    },
    Map {
        members: Vec<(Word, Node)>,
        seen: HashMap<Arc<str>, Mark>,
        key: Option<Word>,
        mark: Mark,
        anchor: usize,
    },
}

struct Builder<'t> {
    text: &'t str,
    file: u32,
    bounds: SourceBounds,
    stack: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, (Node, usize)>,
    names: HashMap<Box<str>, Arc<str>>,
    nodes: usize,
    alias_nodes: usize,
    complaints: Vec<Complaint>,
    documents: usize,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Complaint> {
        let mark = self.mark(&span);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Complaint {
                        help: Some("put each document into a file of its own".into()),
                        ..complaint("several-documents", "a second document starts here", mark)
                    });
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref(), mark)?;
                let node = Node { value: self.shared(value), mark };
                self.remember(anchor, &node, 1);
                self.place(node)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), mark)?;
                self.open(Open::List { items: Vec::new(), mark, anchor })?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), mark)?;
                let open = Open::Map { members: Vec::new(), seen: HashMap::new(), key: None, mark, anchor };
                self.open(open)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(mark)?,
            Event::Alias(id) => self.alias(id, mark)?,
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, open: Open) -> Result<(), Complaint> {
        let mark = match &open {
            Open::List { mark, .. } | Open::Map { mark, .. } => *mark,
        };
        if self.stack.len() >= self.bounds.depth {
            let message = format!("nested deeper than {} levels", self.bounds.depth);
            return Err(complaint("too-deep", &message, mark));
        }
        if let Some(Open::Map { key: None, .. }) = self.stack.last() {
            return Err(complaint("bad-key", "a key must be a text", mark));
        }
        self.stack.push(open);
        Ok(())
    }

    fn close(&mut self, end: Mark) -> Result<(), Complaint> {
        let (value, mark, anchor) = match self.stack.pop() {
            Some(Open::List { items, mark, anchor }) => (Value::List(items), mark, anchor),
            Some(Open::Map { members, mark, anchor, .. }) => (Value::Map(members), mark, anchor),
            None => return Ok(()),
        };
        let node = Node { mark: Mark { end: end.end.max(mark.end), ..mark }, value };
        if anchor != 0 {
            let size = count(&node);
            self.remember(anchor, &node, size);
        }
        self.place(node)
    }

    fn alias(&mut self, id: usize, mark: Mark) -> Result<(), Complaint> {
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
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { members, seen, key, .. }) => match key.take() {
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
                Some(name) => match earlier(members, seen, &name) {
                    None => members.push((name, node)),
                    Some(first) => {
                        let message = format!("duplicate key `{}`", name.text);
                        self.complaints.push(Complaint {
                            first: Some(first),
                            ..complaint("duplicate-key", &message, name.mark)
                        });
                    }
                },
            },
        }
        Ok(())
    }

    fn remember(&mut self, anchor: usize, node: &Node, size: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
    }

    /// Equal short texts share their bytes: files with a million bindings repeat the same few words.
    fn shared(&mut self, value: Value) -> Value {
        match value {
            Value::Text(text) if text.len() <= 64 => match self.names.get(text.as_ref()) {
                Some(known) => Value::Text(known.clone()),
                None => {
                    if self.names.len() < SHARED_TEXTS {
                        self.names.insert(text.as_ref().into(), text.clone());
                    }
                    Value::Text(text)
                }
            },
            other => other,
        }
    }

    fn refuse_tag(&self, tag: Option<&Tag>, mark: Mark) -> Result<(), Complaint> {
        match tag {
            None => Ok(()),
            Some(tag) if tag.is_yaml_core_schema_tag("map") || tag.is_yaml_core_schema_tag("seq") => Ok(()),
            Some(tag) => Err(complaint(
                "unknown-tag",
                &format!("the tag `{}` means nothing here", tag.original()),
                mark,
            )),
        }
    }

    fn mark(&self, span: &Span) -> Mark {
        let range = span.byte_range().unwrap_or(0..0);
        let fit = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Mark { file: self.file, start: fit(range.start), end: fit(range.end.max(range.start)) }
    }

    fn syntax(&self, error: &ScanError) -> Complaint {
        let at = error.marker().byte_offset().and_then(|at| u32::try_from(at).ok()).unwrap_or(0);
        let mark = Mark { file: self.file, start: at, end: at };
        let message = error.info();
        let before = self.text.get(..at as usize).unwrap_or("");
        let after = self.text.get(at as usize..).unwrap_or("");
        let help = if message.contains("tab") {
            Some("indent with spaces".to_owned())
        } else if before.ends_with("[*")
            || before.ends_with("[*]")
            || (before.ends_with('[') && after.starts_with('*'))
        {
            Some("inside `{ }` a path with `[*]` stands in quotes: `\"$.data[*]\"`".to_owned())
        } else {
            None
        };
        Complaint { help, ..complaint("bad-yaml", &message, mark) }
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

fn complaint(code: &'static str, message: &str, mark: Mark) -> Complaint {
    Complaint { code, message: message.to_owned(), help: None, mark, first: None }
}

fn count(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Map(members) => 1 + members.iter().map(|(_, value)| 1 + count(value)).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => 1,
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, mark: Mark) -> Result<Value, Complaint> {
    let plain = match tag {
        None => matches!(style, ScalarStyle::Plain),
        Some(tag) if tag.is_yaml_core_schema_tag("str") => false,
        Some(tag) => {
            return Err(complaint(
                "unknown-tag",
                &format!("the tag `{}` means nothing here", tag.original()),
                mark,
            ));
        }
    };
    Ok(if plain { resolve(text) } else { Value::Text(text.into()) })
}

/// YAML 1.2.2 section 10.3.2, tag resolution of plain scalars. Infinities and not-a-number stay texts.
fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if is_number(text) => Value::Number(text.into()),
        _ => Value::Text(text.into()),
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
/// Different short texts of one file that are kept for sharing.
const SHARED_TEXTS: usize = 65_536;
