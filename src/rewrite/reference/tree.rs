//! An answer as a tree, read the plain way.

use super::super::condition::Slot;
use super::super::json::text;
use super::super::path::Step;
use super::super::plan::RewritePlan;

#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// As it stands in the input.
    pub(super) raw: String,
    pub(super) kind: Kind,
    /// How many levels deeper containers may still be nested here.
    pub(super) room: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Scalar,
    Array(Vec<Tree>),
    /// Names as they stand (with quotes) and decoded.
    Object(Vec<(String, String, Tree)>),
}

impl Tree {
    pub(super) fn scalar(raw: impl Into<String>) -> Self {
        Self { raw: raw.into(), kind: Kind::Scalar, room: 0 }
    }

    /// What remains of a container.
    pub(super) fn made(kind: Kind) -> Self {
        Self { raw: String::new(), kind, room: 0 }
    }

    pub(super) fn print(&self) -> String {
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

    pub(super) fn is_empty(&self) -> bool {
        match &self.kind {
            Kind::Scalar => false,
            Kind::Array(items) => items.is_empty(),
            Kind::Object(members) => members.is_empty(),
        }
    }

    /// The text of a string.
    pub(super) fn text(&self) -> Option<String> {
        text(self.raw.strip_prefix('"')?.strip_suffix('"')?.as_bytes())
    }
}

pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
    pub(super) depth: usize,
    pub(super) key: usize,
    pub(super) number: usize,
}

pub(super) fn parse(text: &str, plan: &RewritePlan) -> Option<Tree> {
    parse_within(text, plan, plan.bounds.depth)
}

/// The same, nested at most this deep.
pub(super) fn parse_within(text: &str, plan: &RewritePlan, depth: usize) -> Option<Tree> {
    let bounds = &plan.bounds;
    Reader { text, at: 0, depth, key: bounds.key_bytes, number: bounds.number_bytes }.whole()
}

impl Reader<'_> {
    pub(super) fn whole(&mut self) -> Option<Tree> {
        let tree = self.value(0)?;
        self.blank();
        (self.at == self.text.len()).then_some(tree)
    }

    pub(super) fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn blank(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    pub(super) fn take(&mut self, token: &str) -> bool {
        self.blank();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    pub(super) fn value(&mut self, depth: usize) -> Option<Tree> {
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
        Some(Tree {
            raw: self.text.get(start..self.at)?.to_owned(),
            kind,
            room: self.depth.saturating_sub(depth),
        })
    }

    pub(super) fn object(&mut self, depth: usize) -> Option<Kind> {
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

    pub(super) fn array(&mut self, depth: usize) -> Option<Kind> {
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

    pub(super) fn string(&mut self) -> Option<String> {
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

    pub(super) fn number(&mut self) -> Option<Kind> {
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

pub(super) fn emptied(kind: &Kind) -> Kind {
    match kind {
        Kind::Array(_) => Kind::Array(Vec::new()),
        Kind::Object(_) | Kind::Scalar => Kind::Object(Vec::new()),
    }
}

/// What stands at a path; ambiguous if any name on the way occurs twice.
pub(super) fn read(tree: &Tree, steps: &[Step], limit: usize) -> Slot {
    let Some((step, rest)) = steps.split_first() else { return Slot::read(tree.raw.as_bytes(), limit) };
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
