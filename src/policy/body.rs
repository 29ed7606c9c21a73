//! How a request's body holds its JSON, as the route declares it; nothing is guessed.
//!
//! A body is parsed once into a [`Tree`], judged there, and written again in the form it came in: what was judged is
//! what is sent. The declared forms are told apart by the content type only.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::rewrite::Path;

use super::target;
use super::tree::Tree;
use super::xml::Xml;

/// One way in which a body holds JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyForm {
    /// It is JSON; the content type may be missing.
    Json,
    /// It is a JSON string that holds JSON.
    JsonString,
    /// It is JSON; the text at this place may hold JSON of its own, in which paths go on.
    JsonStringAt(Path),
    /// It is a form: an object of texts.
    Form,
    /// It is a form: an object of texts, but the field of this name holds JSON.
    FormJson(Arc<str>),
    /// It is XML: elements are members by their local names.
    Xml,
}

/// The forms that a route declares; none: JSON under a content type that says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodyForms(pub(super) Vec<BodyForm>);

/// A body that was parsed.
#[derive(Clone, Debug)]
pub struct RequestBody {
    tree: Tree,
    form: BodyForm,
    /// Whether the text at [`BodyForm::JsonStringAt`] was one.
    opened: bool,
    /// The document, where it is XML.
    xml: Option<Xml>,
    media_type: HeaderValue,
}

/// Why a body cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// Its type is none of those declared.
    #[error("{0}")]
    MediaType(&'static str),
    /// It is not what its type says.
    #[error("{0}")]
    Malformed(&'static str),
}

impl BodyForm {
    /// Whether it is what a content type that says JSON, or none, stands for.
    pub(super) fn is_json(&self) -> bool {
        match self {
            Self::Json | Self::JsonString | Self::JsonStringAt(_) => true,
            Self::Form | Self::FormJson(_) | Self::Xml => false,
        }
    }
}

impl BodyForms {
    /// JSON, whether or not the content type says so.
    pub(super) fn json() -> Self {
        Self(vec![BodyForm::Json])
    }

    /// Parses a body under the form that its content type names.
    pub fn read(&self, headers: &HeaderMap, body: &[u8], depth: usize) -> Result<RequestBody, BodyFault> {
        let stated = media_type(headers)?;
        if stated.as_ref().is_some_and(is_form) {
            let form = self.0.iter().find(|form| matches!(form, BodyForm::Form | BodyForm::FormJson(_)));
            let form = form.ok_or(BodyFault::MediaType("it is not json"))?;
            let tree = read_form(form, body, depth).map_err(BodyFault::Malformed)?;
            let media_type = HeaderValue::from_static("application/x-www-form-urlencoded");
            return Ok(RequestBody { tree, form: form.clone(), opened: false, xml: None, media_type });
        }
        if let Some(stated) = stated.as_ref().filter(|stated| is_xml(stated)) {
            if !self.0.contains(&BodyForm::Xml) {
                return Err(BodyFault::MediaType("it is not json"));
            }
            let xml = Xml::parse(body, depth).map_err(BodyFault::Malformed)?;
            let media_type = HeaderValue::from_str(&stated.essence_str().to_ascii_lowercase())
                .map_err(|_| BodyFault::MediaType("it is malformed"))?;
            let (tree, form) = (xml.tree(), BodyForm::Xml);
            return Ok(RequestBody { tree, form, opened: false, xml: Some(xml), media_type });
        }
        let declared = self.0.iter().find(|form| form.is_json());
        let form = match (declared, self.0.is_empty()) {
            (Some(form), _) => form.clone(),
            (None, true) => BodyForm::Json,
            (None, false) => return Err(BodyFault::MediaType("it has not the declared form")),
        };
        let media_type = match stated {
            Some(stated) => json_type(&stated)?,
            // Clients that send JSON without saying so are let in where the route knows of them.
            None if declared.is_some() => HeaderValue::from_static("application/json"),
            None => return Err(BodyFault::MediaType("there is no single content type")),
        };
        let mut tree = Tree::parse(body, depth).map_err(BodyFault::Malformed)?;
        let mut opened = false;
        match &form {
            BodyForm::JsonString => {
                tree = held(&tree, depth).map_err(BodyFault::Malformed)?;
            }
            BodyForm::JsonStringAt(path) => {
                if let Some(place) = tree.at_mut(path)
                    && place.text().is_some()
                {
                    let levels = depth.saturating_sub(path.steps().len());
                    *place = held(place, levels).map_err(BodyFault::Malformed)?;
                    opened = true;
                }
            }
            BodyForm::Json | BodyForm::Form | BodyForm::FormJson(_) | BodyForm::Xml => {}
        }
        Ok(RequestBody { tree, form, opened, xml: None, media_type })
    }
}

impl RequestBody {
    /// What it holds.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The content type it goes on under.
    pub fn media_type(&self) -> &HeaderValue {
        &self.media_type
    }

    /// Writes `tree` in the form this body came in.
    pub fn write(&self, tree: &Tree) -> Bytes {
        match &self.form {
            BodyForm::Json => tree.to_json(),
            BodyForm::JsonString => Tree::Text(tree.to_json().into()).to_json(),
            BodyForm::JsonStringAt(path) if self.opened => {
                let mut tree = tree.clone();
                if let Some(place) = tree.at_mut(path) {
                    *place = Tree::Text(place.to_json().into());
                }
                tree.to_json()
            }
            BodyForm::JsonStringAt(_) => tree.to_json(),
            BodyForm::Form => write_form(tree, None),
            BodyForm::FormJson(name) => write_form(tree, Some(name)),
            BodyForm::Xml => self.xml.as_ref().map(|xml| xml.write(tree)).unwrap_or_default(),
        }
        .into()
    }
}

/// The content type, if there is one: stated twice or malformed, nobody knows what the upstream takes.
fn media_type(headers: &HeaderMap) -> Result<Option<mime::Mime>, BodyFault> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let stated = match (types.next(), types.next()) {
        (None, _) => return Ok(None),
        (Some(stated), None) => stated,
        (Some(_), Some(_)) => return Err(BodyFault::MediaType("there is no single content type")),
    };
    let stated: mime::Mime = stated
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(BodyFault::MediaType("it is malformed"))?;
    if stated.get_param(mime::CHARSET).is_some_and(|charset| charset != mime::UTF_8) {
        return Err(BodyFault::MediaType("the charset is not utf-8"));
    }
    Ok(Some(stated))
}

fn is_form(stated: &mime::Mime) -> bool {
    stated.essence_str().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn is_xml(stated: &mime::Mime) -> bool {
    let xml = stated.subtype() == mime::XML || stated.suffix() == Some(mime::XML);
    xml && matches!(stated.type_(), mime::TEXT | mime::APPLICATION)
}

/// The type a JSON body goes on under: what the caller said, without parameters.
fn json_type(stated: &mime::Mime) -> Result<HeaderValue, BodyFault> {
    let is_json = stated.type_() == mime::APPLICATION
        && (stated.subtype() == mime::JSON || stated.suffix() == Some(mime::JSON));
    // A patch document (RFC 6902) names fields in its values, where nothing judges them.
    if !is_json || stated.essence_str().eq_ignore_ascii_case("application/json-patch+json") {
        return Err(BodyFault::MediaType("it is not json"));
    }
    HeaderValue::from_str(&stated.essence_str().to_ascii_lowercase())
        .map_err(|_| BodyFault::MediaType("it is malformed"))
}

/// The JSON in a text.
fn held(text: &Tree, depth: usize) -> Result<Tree, &'static str> {
    let text = text.text().ok_or("it holds no text with json where one is declared")?;
    Tree::parse(text.as_bytes(), depth)
}

fn read_form(form: &BodyForm, body: &[u8], depth: usize) -> Result<Tree, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "it is not utf-8")?;
    // Some servers split at semicolons, others do not.
    if text.contains(';') {
        return Err("the form has a semicolon");
    }
    let mut members: Vec<(Box<str>, Tree)> = Vec::new();
    for piece in text.split('&').filter(|piece| !piece.is_empty()) {
        if members.len() >= MAX_FORM_FIELDS {
            return Err("the form has too many fields");
        }
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let (name, value) = (target::decode(name, true)?, target::decode(value, true)?);
        if name.is_empty() || name.chars().any(char::is_control) || value.contains('\0') {
            return Err("the form has a field that cannot be judged");
        }
        // Some servers take the first, some the last, some both.
        if members.iter().any(|(known, _)| **known == *name) {
            return Err("the form names a field twice");
        }
        let value = match form {
            BodyForm::FormJson(json) if **json == *name => {
                Tree::parse(value.as_bytes(), depth.saturating_sub(1))?
            }
            _ => Tree::Text(value.into()),
        };
        members.push((name.into(), value));
    }
    Ok(Tree::Object(members))
}

fn write_form(tree: &Tree, json: Option<&Arc<str>>) -> String {
    let Tree::Object(members) = tree else { return String::new() };
    let mut out = String::new();
    for (name, value) in members {
        if !out.is_empty() {
            out.push('&');
        }
        out.extend(utf8_percent_encode(name, ESCAPED));
        out.push('=');
        match value {
            Tree::Text(text) if json.is_none_or(|json| **json != **name) => {
                out.extend(utf8_percent_encode(text, ESCAPED));
            }
            other => out.extend(utf8_percent_encode(&other.to_json(), ESCAPED)),
        }
    }
    out
}

/// All but unreserved characters (RFC 3986 section 2.3): read the same by every parser of forms.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const MAX_FORM_FIELDS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(forms: &[BodyForm], kind: Option<&str>, body: &str) -> Result<RequestBody, BodyFault> {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        }
        BodyForms(forms.to_vec()).read(&headers, body.as_bytes(), 8)
    }

    fn round(forms: &[BodyForm], kind: Option<&str>, body: &str) -> (String, String) {
        let read = read(forms, kind, body).unwrap();
        (read.tree().to_json(), String::from_utf8(read.write(read.tree()).to_vec()).unwrap())
    }

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded; charset=utf-8");

    #[test]
    fn each_declared_form_is_read_and_written_again() {
        assert_eq!(round(&[BodyForm::Json], None, r#" {"a" : 1.0}"#).1, r#"{"a":1.0}"#);
        let (tree, sent) = round(&[BodyForm::JsonString], None, r#""{\"a\":\"b\"}""#);
        assert_eq!((tree.as_str(), sent.as_str()), (r#"{"a":"b"}"#, r#""{\"a\":\"b\"}""#));
        let at = BodyForm::JsonStringAt(Path::name("data"));
        let (tree, sent) = round(std::slice::from_ref(&at), None, r#"{"data":"{\"a\" : 1}","x":"{}"}"#);
        assert_eq!(
            (tree.as_str(), sent.as_str()),
            (r#"{"data":{"a":1},"x":"{}"}"#, r#"{"data":"{\"a\":1}","x":"{}"}"#)
        );
        assert_eq!(round(&[at], None, r#"{"data":{"a":1}}"#).1, r#"{"data":{"a":1}}"#);
        let json = BodyForm::FormJson("data".into());
        let (tree, sent) = round(&[json], FORM, "formid=BD+Customer&data=%7B%22a%22%3A+%22%26%22%7D");
        assert_eq!(tree, r#"{"formid":"BD Customer","data":{"a":"&"}}"#);
        assert_eq!(sent, "formid=BD%20Customer&data=%7B%22a%22%3A%22%26%22%7D");
        assert_eq!(round(&[BodyForm::Form], FORM, "q=a%26b%3D").1, "q=a%26b%3D");
    }

    #[test]
    fn the_content_type_alone_tells_the_forms_apart() {
        let both = [BodyForm::Json, BodyForm::FormJson("data".into())];
        assert_eq!(round(&both, Some("application/json"), r#"{"data":{}}"#).0, r#"{"data":{}}"#);
        assert_eq!(round(&both, FORM, "data=%7B%7D").0, r#"{"data":{}}"#);
        let fault = |forms: &[BodyForm], kind, body| read(forms, kind, body).unwrap_err();
        assert!(matches!(fault(&[], None, "{}"), BodyFault::MediaType(_)));
        assert!(matches!(fault(&[], FORM, "a=1"), BodyFault::MediaType(_)));
        assert!(matches!(fault(&[BodyForm::Form], Some("application/json"), "{}"), BodyFault::MediaType(_)));
        assert!(matches!(fault(&[BodyForm::Json], Some("text/xml"), "<a/>"), BodyFault::MediaType(_)));
        assert!(matches!(fault(&[BodyForm::Json], None, "a=1"), BodyFault::Malformed(_)));
        assert!(matches!(fault(&[BodyForm::JsonString], None, "{}"), BodyFault::Malformed(_)));
    }

    #[test]
    fn a_form_that_can_be_read_in_two_ways_is_refused() {
        for body in ["a=1&a=2", "a=1;b=2", "a=%", "=1", "a=%00", "a=%ff", "%0a=1", "a=1&%61=2"] {
            assert!(read(&[BodyForm::Form], FORM, body).is_err(), "{body}");
        }
        let many: Vec<_> = (0..=MAX_FORM_FIELDS).map(|index| format!("f{index}=")).collect();
        assert!(read(&[BodyForm::Form], FORM, &many.join("&")).is_err());
        let json = [BodyForm::FormJson("data".into())];
        assert!(read(&json, FORM, "data=%7B%22a%22%3A1%2C%22a%22%3A2%7D").is_err(), "a member twice within");
    }

    #[test]
    fn xml_is_read_where_it_is_declared_and_only_there() {
        let forms = [BodyForm::Json, BodyForm::Xml];
        for kind in ["text/xml; charset=utf-8", "application/xml", "application/soap+xml; action=x"] {
            assert_eq!(round(&forms, Some(kind), "<a><b>1</b></a>").0, r#"{"a":{"b":"1"}}"#, "{kind}");
            assert!(matches!(read(&[BodyForm::Json], Some(kind), "<a/>"), Err(BodyFault::MediaType(_))));
            assert!(matches!(read(&forms, Some(kind), "{}"), Err(BodyFault::Malformed(_))));
        }
        assert!(matches!(read(&forms, Some("text/xml; charset=gbk"), "<a/>"), Err(BodyFault::MediaType(_))));
        assert!(matches!(read(&forms, Some("image/svg+xml"), "<a/>"), Err(BodyFault::MediaType(_))));
        assert_eq!(round(&forms, None, "{}").0, "{}");
        assert!(matches!(read(&[BodyForm::Xml], None, "<a/>"), Err(BodyFault::MediaType(_))));
        assert!(matches!(read(&[BodyForm::Xml], FORM, "a=1"), Err(BodyFault::MediaType(_))));
    }

    #[test]
    fn json_within_json_keeps_the_bound_of_depth() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let text = |inner: &str| Tree::Text(inner.into()).to_json();
        assert!(read(&[BodyForm::JsonString], None, &text(&deep(8))).is_ok());
        assert!(read(&[BodyForm::JsonString], None, &text(&deep(9))).is_err());
    }
}
