//! JSON as a tree that keeps duplicate members and their order; written with escapes at random.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::dice::Dice;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    /// As it is written.
    Number(String),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(crate) fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    pub(crate) fn write(&self) -> String {
        self.written(&mut |text| serde_json::to_string(text).unwrap())
    }

    /// The same, some characters escaped.
    pub(crate) fn escaped(&self, dice: &mut Dice) -> String {
        self.written(&mut |text| {
            let mut out = String::from("\"");
            for c in text.chars() {
                let plain = serde_json::to_string(&c.to_string()).unwrap();
                let mut units = [0; 2];
                match dice.chance(6) {
                    true => {
                        out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")))
                    }
                    false => out.push_str(&plain[1..plain.len() - 1]),
                }
            }
            out + "\""
        })
    }

    pub(crate) fn members(&self) -> &[(String, Self)] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    /// Whether it is a container with nothing in it, or no container.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Object(members) => members.is_empty(),
            Self::List(items) => items.is_empty(),
            _ => true,
        }
    }

    /// The value at a place, if every member on the way is there.
    pub(crate) fn at(&self, place: &[&str]) -> Option<&Tree> {
        let Some((name, rest)) = place.split_first() else { return Some(self) };
        let Self::Object(members) = self else { return None };
        members.iter().find(|(other, _)| other == name)?.1.at(rest)
    }

    /// Whether a member on the way to a place, or in what stands there, is there twice.
    pub(crate) fn is_twice(&self, place: &[&str]) -> bool {
        match (place.split_first(), self) {
            (Some((name, rest)), Self::Object(members)) => {
                let mut found = members.iter().filter(|(other, _)| other == name);
                let first = found.next();
                found.next().is_some() || first.is_some_and(|(_, value)| value.is_twice(rest))
            }
            (None, Self::Object(members)) => {
                let twice = |(name, _): &(String, Self)| {
                    members.iter().filter(|(other, _)| other == name).count() > 1
                };
                members.iter().any(|member| twice(member) || member.1.is_twice(&[]))
            }
            (None, Self::List(items)) => items.iter().any(|item| item.is_twice(&[])),
            _ => false,
        }
    }

    fn written(&self, quote: &mut dyn FnMut(&str) -> String) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(text) => text.clone(),
            Self::Text(text) => quote(text),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(|item| item.written(quote)).collect();
                format!("[{}]", items.join(","))
            }
            Self::Object(members) => {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| {
                        let name = quote(name);
                        format!("{name}:{}", value.written(quote))
                    })
                    .collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Number(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
                Ok(Tree::Number(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
                Ok(Tree::Number(value.to_string()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(Tree::text(value))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Tree::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Tree::Object(members))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// "folded (case, width, Unicode normalisation, invisible characters)", as far as the invented names need it.
pub(crate) fn fold(name: &str) -> String {
    let visible = name.chars().filter(|c| !matches!(c, '\u{200b}' | '\u{ad}'));
    let narrow = visible.map(|c| match u32::from(c) {
        wide @ 0xff01..=0xff5e => char::from_u32(wide - 0xfee0).unwrap(),
        _ => c,
    });
    narrow.collect::<String>().to_lowercase()
}
