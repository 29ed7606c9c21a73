//! Values in the JSON that goes out which the route remembers: what the caller does not see it cannot come back with.
//!
//! Follows the text as it streams, byte for byte, and keeps only the names on the way and the value being read, both
//! bounded: a longer value is not remembered.

use std::sync::Arc;

use crate::policy::Remember;
use crate::rewrite::{Path, Step};

/// Watches one answer.
#[derive(Debug)]
pub(super) struct Watch {
    wanted: Vec<(Arc<str>, Path)>,
    /// Where it is: a member's name or an element's number for every open container.
    place: Vec<At>,
    token: Vec<u8>,
    lex: Lex,
    found: Vec<(Arc<str>, String)>,
}

#[derive(Debug)]
enum At {
    /// In an object; no name: nobody wants what is here.
    Member {
        name: Option<String>,
        named: bool,
    },
    Element(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lex {
    Between,
    Text,
    Escape,
    Word,
}

impl Watch {
    /// `None`: there is nothing in the body to watch for.
    pub(super) fn of(remember: &[Remember]) -> Option<Self> {
        let wanted: Vec<_> = remember
            .iter()
            .filter_map(|remember| Some((remember.name.clone(), remember.path.clone()?)))
            .collect();
        (!wanted.is_empty()).then(|| Self {
            wanted,
            place: Vec::new(),
            token: Vec::new(),
            lex: Lex::Between,
            found: Vec::new(),
        })
    }

    /// Names and values, in the order in which they went by.
    pub(super) fn found(&self) -> &[(Arc<str>, String)] {
        &self.found
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        for byte in piece {
            self.byte(*byte);
        }
    }

    fn byte(&mut self, byte: u8) {
        match self.lex {
            Lex::Text => {
                self.collect(byte);
                match byte {
                    b'"' => {
                        self.lex = Lex::Between;
                        self.scalar();
                    }
                    b'\\' => self.lex = Lex::Escape,
                    _ => {}
                }
            }
            Lex::Escape => {
                self.collect(byte);
                self.lex = Lex::Text;
            }
            Lex::Word if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+') => {
                self.collect(byte);
            }
            Lex::Word => {
                self.lex = Lex::Between;
                self.scalar();
                self.between(byte);
            }
            Lex::Between => self.between(byte),
        }
    }

    fn between(&mut self, byte: u8) {
        match byte {
            b'{' => self.place.push(At::Member { name: None, named: false }),
            b'[' => self.place.push(At::Element(0)),
            b'}' | b']' => drop(self.place.pop()),
            b',' => match self.place.last_mut() {
                Some(At::Element(index)) => *index += 1,
                Some(At::Member { name, named }) => {
                    *name = None;
                    *named = false;
                }
                None => {}
            },
            b':' | b' ' | b'\t' | b'\r' | b'\n' | 0x1e => {}
            first => {
                self.token.clear();
                self.collect(first);
                self.lex = if first == b'"' { Lex::Text } else { Lex::Word };
            }
        }
    }

    fn collect(&mut self, byte: u8) {
        // One more than may be, so that a longer one is known as such.
        if self.token.len() <= MAX_TOKEN_BYTES {
            self.token.push(byte);
        }
    }

    fn scalar(&mut self) {
        let text = (self.token.len() <= MAX_TOKEN_BYTES)
            .then(|| serde_json::from_slice::<serde_json::Value>(&self.token).ok())
            .flatten();
        if let Some(At::Member { name, named }) = self.place.last_mut().filter(|at| at.is_unnamed()) {
            *name = text.as_ref().and_then(|text| text.as_str()).map(str::to_owned);
            *named = true;
            return;
        }
        let value = match text {
            Some(serde_json::Value::String(text)) => text,
            Some(serde_json::Value::Number(_)) => String::from_utf8_lossy(&self.token).into_owned(),
            _ => return,
        };
        let here = self.wanted.iter().filter(|(_, path)| self.is_here(path)).map(|(name, _)| name.clone());
        let here: Vec<_> = here.collect();
        for name in here {
            if self.found.len() < MAX_FOUND {
                self.found.push((name, value.clone()));
            }
        }
    }

    fn is_here(&self, path: &Path) -> bool {
        path.steps().len() == self.place.len()
            && path.steps().iter().zip(&self.place).all(|(step, at)| match (step, at) {
                (Step::Name(wanted), At::Member { name: Some(name), .. }) => **wanted == **name,
                (Step::Index(wanted), At::Element(index)) => wanted == index,
                (Step::Elements, At::Element(_)) => true,
                _ => false,
            })
    }
}

impl At {
    fn is_unnamed(&self) -> bool {
        matches!(self, Self::Member { named: false, .. })
    }
}

const MAX_TOKEN_BYTES: usize = 4 << 10;
/// Most values of one answer.
const MAX_FOUND: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, piece: usize) -> Vec<String> {
        let path = |text: &str| Some(Path::parse_jsonpath(text).unwrap());
        let remember = [
            Remember { name: "c".into(), path: path("$.info.next"), header: None },
            Remember { name: "j".into(), path: path("$.data[*].id"), header: None },
        ];
        let mut watch = Watch::of(&remember).unwrap();
        text.as_bytes().chunks(piece).for_each(|chunk| watch.push(chunk));
        watch.found().iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn values_are_found_at_their_places_only_at_every_seam() {
        let text = r#"{"next":"no","info":{"x":{"next":"no"},"n\u0065xt" : "a\/b","next":["no"]},"data":[{"id":170604732170423500123},{"id":null,"next":1},{"x":{"id":"no"},"id":"z"}],"id":"no"}"#;
        for piece in 1..text.len() {
            assert_eq!(found(text, piece), ["c=a/b", "j=170604732170423500123", "j=z"], "{piece}");
        }
        assert!(found(&format!(r#"{{"info":{{"next":"{}"}}}}"#, "a".repeat(5_000)), 100).is_empty());
    }
}
