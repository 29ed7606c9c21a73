//! Whether a request fits what a route requires beside method and path.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::rewrite::{Path, Step};

use super::model::{RouteTable, RouteWhen};
use super::syntax::PartKind;
use super::target::{Target, Unclear};

/// Whether a route fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fits {
    /// It fits.
    Yes,
    /// It does not.
    No,
    /// The body, which was not given, decides.
    BodyDecides,
}

/// A request being compared with routes; its body is parsed once, and only when a route reads it.
pub(super) struct Request<'r> {
    head: &'r http::request::Parts,
    target: &'r Target,
    body: Option<&'r Bytes>,
    parsed: Option<Value>,
}

impl<'r> Request<'r> {
    pub(super) fn new(head: &'r http::request::Parts, target: &'r Target, body: Option<&'r Bytes>) -> Self {
        Self { head, target, body, parsed: None }
    }

    /// Compares. What can be read in two ways is refused: the upstream might read it in the other.
    pub(super) fn fits(&mut self, route: &RouteTable) -> Result<Fits, Unclear> {
        let (of_body, others): (Vec<_>, Vec<_>) =
            route.when.iter().partition(|when| when.kind == PartKind::Body);
        for when in others {
            let value = self.outside_body(when, route)?;
            if !value.is_some_and(|value| is_one_of(when, &value)) {
                return Ok(Fits::No);
            }
        }
        for when in of_body {
            let Some(body) = self.body else { return Ok(Fits::BodyDecides) };
            if self.parsed.is_none() {
                self.parsed = Some(parse(body)?);
            }
            let text =
                self.parsed.as_ref().zip(when.path.as_ref()).and_then(|(body, path)| text_at(body, path));
            if !text.is_some_and(|text| is_one_of(when, text)) {
                return Ok(Fits::No);
            }
        }
        Ok(Fits::Yes)
    }

    fn outside_body(&self, when: &RouteWhen, route: &RouteTable) -> Result<Option<Cow<'r, str>>, Unclear> {
        match when.kind {
            PartKind::Path => Ok(route
                .template
                .iter()
                .zip(&self.target.segments)
                .filter_map(|(segment, text)| segment.value(text))
                .find(|(name, _)| **name == when.name)
                .map(|(_, value)| Cow::Borrowed(value))),
            PartKind::Query => {
                let mut values = self.target.query.iter().filter(|(name, _)| *name == *when.name);
                let first = values.next();
                if values.next().is_some() {
                    return Err("a deciding query parameter is given twice");
                }
                Ok(first.map(|(_, value)| Cow::Borrowed(value.as_str())))
            }
            PartKind::Header => {
                let mut values = self.head.headers.get_all(when.name.as_ref()).iter();
                let first = values.next();
                if values.next().is_some() {
                    return Err("a deciding header is given twice");
                }
                let text = first.map(|value| value.to_str()).transpose();
                text.map(|text| text.map(Cow::Borrowed)).map_err(|_| "a deciding header is not plain text")
            }
            PartKind::Body => Ok(None),
        }
    }
}

fn is_one_of(when: &RouteWhen, value: &str) -> bool {
    when.values.iter().any(|wanted| wanted.as_ref() == value)
}

fn text_at<'b>(body: &'b Value, path: &Path) -> Option<&'b str> {
    let mut value = body;
    for step in path.steps() {
        value = match step {
            Step::Name(name) => value.get(name.as_ref())?,
            Step::Index(index) => value.get(usize::try_from(*index).ok()?)?,
            Step::Elements | Step::Any | Step::Slice { .. } | Step::Descend => return None,
        };
    }
    value.as_str()
}

/// Parses a body that decides. A member given twice is refused anywhere: readers differ in which they take.
fn parse(body: &Bytes) -> Result<Value, Unclear> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = Unique.deserialize(&mut reader).map_err(|error| {
        if error.is_data() { "the body has a member twice" } else { "the body is not JSON" }
    })?;
    reader.end().map_err(|_| "the body is not JSON")?;
    Ok(value)
}

/// A JSON value whose objects have no member twice.
struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Unique)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = serde_json::Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(Unique)?;
            if map.insert(name, value).is_some() {
                return Err(de::Error::custom("twice"));
            }
        }
        Ok(map.into())
    }
}
