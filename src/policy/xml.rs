//! A request body in XML as a tree: `<a><b>x</b></a>` reads as `{"a":{"b":"x"}}`, with the local names of elements.
//!
//! Read strictly, by `quick-xml`: one root, no document type, no comments, no processing instructions, no entities
//! beside the five of XML, no text beside elements, no two elements of one name side by side, every prefix declared,
//! stated bounds. An attribute is a member `@name` of its element, whose own text is then `#text`. The body is written
//! again from what was read, so what was judged is what is sent.

use std::borrow::Cow;
use std::fmt::Write;

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::tree::Tree;

/// A document that was read.
#[derive(Clone, Debug)]
pub(super) struct Xml(Element);

#[derive(Clone, Debug)]
struct Element {
    /// With its prefix.
    name: Box<str>,
    /// Declarations of prefixes, and attributes, by their whole names.
    declared: Vec<(Box<str>, Box<str>)>,
    attributes: Vec<(Box<str>, Box<str>)>,
    text: String,
    children: Vec<Element>,
}

impl Xml {
    /// Reads a whole body.
    pub(super) fn parse(body: &[u8], depth: usize) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(body).map_err(|_| "it is not utf-8")?;
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.check_comments = true;
        config.trim_markup_names_in_closing_tags = false;
        let mut parser = Parser {
            open: Vec::new(),
            root: None,
            left: MAX_ELEMENTS,
            depth: depth.min(MAX_DEPTH),
            begun: false,
        };
        loop {
            let event = reader.read_event().map_err(|_| "it is no well-formed xml")?;
            if !parser.take(event)? {
                break;
            }
        }
        match (parser.root, parser.open.is_empty()) {
            (Some(root), true) => Ok(Self(root)),
            _ => Err("it is no well-formed xml"),
        }
    }

    /// What it holds.
    pub(super) fn tree(&self) -> Tree {
        Tree::Object(vec![(local(&self.0.name).into(), self.0.tree())])
    }

    /// Writes what `tree` leaves of it.
    pub(super) fn write(&self, tree: &Tree) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
        if let Some(root) = member(tree, local(&self.0.name)) {
            self.0.write(root, &mut out);
        }
        out
    }
}

impl Element {
    fn tree(&self) -> Tree {
        if self.attributes.is_empty() && self.children.is_empty() {
            return Tree::Text(self.text.as_str().into());
        }
        let attributes = self
            .attributes
            .iter()
            .map(|(name, value)| (format!("@{}", local(name)).into(), Tree::Text(value.clone())));
        let mut members: Vec<(Box<str>, Tree)> = attributes.collect();
        if self.children.is_empty() {
            members.push(("#text".into(), Tree::Text(self.text.as_str().into())));
        }
        members.extend(self.children.iter().map(|child| (local(&child.name).into(), child.tree())));
        Tree::Object(members)
    }

    fn write(&self, tree: &Tree, out: &mut String) {
        let _infallible = write!(out, "<{}", self.name);
        for (name, value) in &self.declared {
            write_attribute(name, value, out);
        }
        for (name, _) in &self.attributes {
            if let Some(value) = member(tree, &format!("@{}", local(name))).and_then(scalar) {
                write_attribute(name, &value, out);
            }
        }
        out.push('>');
        let own = if self.attributes.is_empty() { Some(tree) } else { member(tree, "#text") };
        if self.children.is_empty()
            && let Some(text) = own.and_then(scalar)
        {
            escape(&text, out);
        }
        for child in &self.children {
            if let Some(below) = member(tree, local(&child.name)) {
                child.write(below, out);
            }
        }
        let _infallible = write!(out, "</{}>", self.name);
    }

    /// Whether something of this name stands in it already.
    fn holds(&self, name: &str) -> bool {
        self.children.iter().any(|child| local(&child.name) == name)
    }
}

struct Parser {
    open: Vec<Element>,
    root: Option<Element>,
    /// Elements and attributes that may still come.
    left: usize,
    depth: usize,
    /// Whether anything was read.
    begun: bool,
}

type Parsed<T> = Result<T, &'static str>;

impl Parser {
    /// Takes an event; `false` at the end.
    fn take(&mut self, event: Event<'_>) -> Parsed<bool> {
        let first = !std::mem::replace(&mut self.begun, true);
        match event {
            Event::Start(start) => self.begin(&start)?,
            Event::Empty(start) => {
                self.begin(&start)?;
                self.end()?;
            }
            Event::End(_) => self.end()?,
            Event::Text(text) => self.text(&text.xml10_content())?,
            Event::CData(text) => {
                if self.open.is_empty() {
                    return Err("text stands beside its root");
                }
                self.text(&text.xml10_content())?;
            }
            Event::GeneralRef(reference) => {
                let c = character(&reference)?;
                if self.open.is_empty() {
                    return Err("text stands beside its root");
                }
                self.text(c.encode_utf8(&mut [0; 4]))?;
            }
            Event::Decl(declaration) => {
                let encoding = declaration.encoding();
                let known = match encoding {
                    None => true,
                    Some(Ok(name)) => name.eq_ignore_ascii_case("utf-8"),
                    Some(Err(_)) => false,
                };
                if !first || !known || !declaration.version().is_ok_and(|version| version == "1.0") {
                    return Err("its declaration is not that of xml 1.0 in utf-8");
                }
            }
            Event::DocType(_) => return Err("it has a document type"),
            Event::Comment(_) => return Err("it has a comment"),
            Event::PI(_) => return Err("it has a processing instruction"),
            Event::Eof => return Ok(false),
        }
        Ok(true)
    }

    fn begin(&mut self, start: &BytesStart<'_>) -> Parsed<()> {
        let name = start.name();
        let mut element = Element {
            name: self.name(name.as_ref())?,
            declared: Vec::new(),
            attributes: Vec::new(),
            text: String::new(),
            children: Vec::new(),
        };
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| "an attribute is malformed, or given twice")?;
            let name = self.name(attribute.key.as_ref())?;
            // What other blanks become of depends on the reader.
            if attribute.value.contains(['<', '\t', '\n', '\r']) {
                return Err("an attribute holds a bracket or a line break");
            }
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_err(|_| "an attribute holds an unknown entity")?;
            plain(&value)?;
            if value.contains(['\t', '\n']) {
                return Err("an attribute holds a bracket or a line break");
            }
            if *name == *"xmlns" || name.starts_with("xmlns:") {
                if value.is_empty() || local(&name) == "xml" {
                    return Err("a prefix is declared as nothing");
                }
                element.declared.push((name, value.as_ref().into()));
            } else if element.attributes.iter().any(|(known, _)| local(known) == local(&name)) {
                return Err("an attribute stands twice");
            } else {
                element.attributes.push((name, value.as_ref().into()));
            }
        }
        if self.open.len() >= self.depth {
            return Err("it is nested too deeply");
        }
        let names = std::iter::once(&element.name).chain(element.attributes.iter().map(|(name, _)| name));
        for name in names {
            let Some((prefix, _)) = name.split_once(':') else { continue };
            let declares = |element: &Element| element.declared.iter().any(|(known, _)| is_of(known, prefix));
            if prefix != "xml" && !declares(&element) && !self.open.iter().any(declares) {
                return Err("a prefix is not declared");
            }
        }
        match self.open.last() {
            Some(parent) if parent.holds(local(&element.name)) => return Err("an element stands twice"),
            Some(parent) if !blank(&parent.text) => return Err("text stands beside elements"),
            None if self.root.is_some() => return Err("it has two roots"),
            Some(_) | None => {}
        }
        self.open.push(element);
        Ok(())
    }

    fn end(&mut self) -> Parsed<()> {
        let mut element = self.open.pop().ok_or("it is no well-formed xml")?;
        if !element.children.is_empty() {
            element.text.clear();
        }
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Parsed<()> {
        plain(text)?;
        match self.open.last_mut() {
            None if blank(text.trim_start_matches('\u{feff}')) => Ok(()),
            None => Err("text stands beside its root"),
            Some(element) if !element.children.is_empty() && !blank(text) => {
                Err("text stands beside elements")
            }
            Some(element) => {
                element.text.push_str(text);
                Ok(())
            }
        }
    }

    /// A name: one prefix at most, letters, digits, `_`, `-` and `.`.
    fn name(&mut self, name: &str) -> Parsed<Box<str>> {
        self.left = self.left.checked_sub(1).ok_or("it has too many elements")?;
        let part = |part: &str| {
            part.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
        };
        let known = match name.split_once(':') {
            Some((prefix, rest)) => part(prefix) && part(rest),
            None => part(name),
        };
        if known && name.len() <= MAX_NAME_BYTES { Ok(name.into()) } else { Err("a name is malformed") }
    }
}

/// The five entities of XML, and characters by number.
fn character(reference: &BytesRef<'_>) -> Parsed<char> {
    const UNKNOWN: &str = "it has an entity beside the five of xml";
    let found = match reference.xml10_content().as_ref() {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => reference.resolve_char_ref().map_err(|_| UNKNOWN)?,
    };
    // A line feed that is not one for every reader.
    found.filter(|c| *c != '\r').ok_or(UNKNOWN)
}

/// The name without its prefix.
fn local(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
}

fn is_of(declaration: &str, prefix: &str) -> bool {
    declaration.strip_prefix("xmlns:").is_some_and(|known| known == prefix)
}

fn blank(text: &str) -> bool {
    text.chars().all(|c| matches!(c, ' ' | '\t' | '\n' | '\r'))
}

fn plain(text: &str) -> Parsed<()> {
    let odd = |c: char| (c.is_control() && !matches!(c, '\t' | '\n')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    if text.contains(odd) { Err("it holds a control character") } else { Ok(()) }
}

fn member<'t>(tree: &'t Tree, name: &str) -> Option<&'t Tree> {
    let Tree::Object(members) = tree else { return None };
    members.iter().find(|(known, _)| **known == *name).map(|(_, value)| value)
}

fn scalar(tree: &Tree) -> Option<Cow<'_, str>> {
    match tree {
        Tree::Text(text) | Tree::Number(text) => Some(Cow::Borrowed(text)),
        Tree::Bool(value) => Some(Cow::Owned(value.to_string())),
        Tree::Null | Tree::List(_) | Tree::Object(_) => None,
    }
}

fn write_attribute(name: &str, value: &str, out: &mut String) {
    let _infallible = write!(out, " {name}=\"");
    escape(value, out);
    out.push('"');
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c => out.push(c),
        }
    }
}

/// Deepest nesting of elements.
const MAX_DEPTH: usize = 64;
/// Most elements and attributes.
const MAX_ELEMENTS: usize = 4_096;
const MAX_NAME_BYTES: usize = 128;

#[cfg(test)]
mod tests;
