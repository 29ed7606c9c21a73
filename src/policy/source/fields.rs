//! Taking a mapping apart: every key that is asked for is known, every other one is refused.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::base::suggest;

use super::{Documents, Mark, Node, Value, Word};

/// A mapping being read. [`Fields::finish`] refuses the keys nobody asked for.
pub struct Fields<'a> {
    documents: &'a Documents,
    members: &'a [(Word, Node)],
    mark: Mark,
    asked: RefCell<Vec<&'static str>>,
    /// The first members, as bits, that were asked for.
    found: Cell<u64>,
    what: &'static str,
}

impl<'a> Fields<'a> {
    /// The members of a mapping; anything else is complained about. `what` is how the mapping is called (`a role`).
    pub fn of(documents: &'a Documents, node: &'a Node, what: &'static str) -> Option<Self> {
        match &node.value {
            Value::Map(members) => {
                let (asked, found) = (RefCell::new(documents.spare.take()), Cell::new(0));
                Some(Self { documents, members, mark: node.mark, asked, found, what })
            }
            other => {
                documents.error(
                    "wrong-type",
                    format!("{what} is a mapping, not {}", other.kind()),
                    node.mark,
                );
                None
            }
        }
    }

    /// Where the mapping stands.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// The value of a key, and the key; `null` counts as written.
    pub fn entry(&self, name: &'static str) -> Option<(&'a Word, &'a Node)> {
        self.asked.borrow_mut().push(name);
        let at = self.members.iter().position(|(key, _)| key.as_str() == name)?;
        if at < BITS {
            self.found.set(self.found.get() | 1 << at);
        }
        self.members.get(at).map(|(key, value)| (key, value))
    }

    /// The value of a key.
    pub fn node(&self, name: &'static str) -> Option<&'a Node> {
        self.entry(name).map(|(_, node)| node)
    }

    /// The value of a key that must be there.
    pub fn required(&self, name: &'static str) -> Option<&'a Node> {
        let found = self.node(name);
        if found.is_none() {
            let message = format!("{} needs `{name}`", self.what);
            self.documents.error("missing-key", message, self.start());
        }
        found
    }

    /// A text.
    pub fn text(&self, name: &'static str) -> Option<Word> {
        self.node(name).and_then(|node| word(self.documents, node))
    }

    /// A text that must be there.
    pub fn required_text(&self, name: &'static str) -> Option<Word> {
        self.required(name).and_then(|node| word(self.documents, node))
    }

    /// A truth value.
    pub fn flag(&self, name: &'static str) -> Option<bool> {
        let node = self.node(name)?;
        match &node.value {
            Value::Bool(value) => Some(*value),
            other => {
                let message = format!("`{name}` is `true` or `false`, not {}", other.kind());
                self.documents.error("wrong-type", message, node.mark);
                None
            }
        }
    }

    /// A whole number, not negative.
    pub fn number(&self, name: &'static str) -> Option<u64> {
        self.node(name).and_then(|node| number(self.documents, node))
    }

    /// A list of texts; a single text counts as a list of one. `None`: the key is not there.
    pub fn texts(&self, name: &'static str) -> Option<Vec<Word>> {
        self.node(name).map(|node| words(self.documents, node))
    }

    /// One of the given words.
    pub fn choice<T: Copy>(&self, name: &'static str, choices: &[(&'static str, T)]) -> Option<T> {
        let chosen = self.text(name)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == chosen.as_str()) {
            return Some(*value);
        }
        let all: Vec<_> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
        let message = format!("unknown value `{}` of `{name}`", chosen.text);
        self.documents.error_with_help(
            "unknown-value",
            message,
            did_you_mean(chosen.as_str(), choices.iter().map(|(word, _)| *word))
                .unwrap_or_else(|| format!("it is one of {}", all.join(", "))),
            chosen.mark,
        );
        None
    }

    /// Refuses the keys that were not asked for.
    pub fn finish(self) {
        let mut asked = self.asked.into_inner();
        for (at, (key, _)) in self.members.iter().enumerate() {
            if (at < BITS && self.found.get() & (1 << at) != 0) || asked.contains(&key.as_str()) {
                continue;
            }
            let message = format!("unknown key `{}` in {}", key.text, self.what);
            let help = did_you_mean(key.as_str(), asked.iter().copied()).unwrap_or_else(|| {
                let all: Vec<_> = asked.iter().map(|name| format!("`{name}`")).collect();
                format!("known here: {}", all.join(", "))
            });
            self.documents.error_with_help("unknown-key", message, help, key.mark);
        }
        // A million mappings are read one after the other; the list serves the next one.
        asked.clear();
        self.documents.spare.set(asked);
    }

    /// Where the mapping begins: a complaint about the whole underlines no page of text.
    pub fn start(&self) -> Mark {
        self.members.first().map_or(self.mark, |(key, _)| key.mark)
    }
}

/// A text; a plain number or truth value is refused with the advice to quote it.
pub fn word(documents: &Documents, node: &Node) -> Option<Word> {
    match &node.value {
        Value::Text(text) => Some(Word { text: text.clone(), mark: node.mark }),
        Value::Number(text) => Some(Word { text: Arc::from(text.as_ref()), mark: node.mark }),
        other => {
            documents.error("wrong-type", format!("expected a text, not {}", other.kind()), node.mark);
            None
        }
    }
}

/// A list of texts; a single text counts as a list of one.
pub fn words(documents: &Documents, node: &Node) -> Vec<Word> {
    match &node.value {
        Value::List(items) => items.iter().filter_map(|item| word(documents, item)).collect(),
        _ => word(documents, node).into_iter().collect(),
    }
}

/// The items of a list; anything else is complained about.
pub fn items<'a>(documents: &Documents, node: &'a Node, what: &str) -> &'a [Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Null => &[],
        other => {
            documents.error("wrong-type", format!("{what} is a list, not {}", other.kind()), node.mark);
            &[]
        }
    }
}

/// The members of a mapping with free keys; anything else is complained about.
pub fn members<'a>(documents: &Documents, node: &'a Node, what: &str) -> &'a [(Word, Node)] {
    match &node.value {
        Value::Map(members) => members,
        Value::Null => &[],
        other => {
            documents.error("wrong-type", format!("{what} is a mapping, not {}", other.kind()), node.mark);
            &[]
        }
    }
}

/// A whole number, not negative.
pub fn number(documents: &Documents, node: &Node) -> Option<u64> {
    if let Value::Number(text) = &node.value
        && let Ok(value) = text.parse()
    {
        return Some(value);
    }
    let message = format!("expected a whole number that is not negative, not {}", node.value.kind());
    documents.error("wrong-type", message, node.mark);
    None
}

/// "did you mean `x`", if something is close.
pub fn did_you_mean<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    suggest(name, candidates).map(|found| format!("did you mean `{found}`?"))
}

/// Members that have a bit.
const BITS: usize = 64;
