//! Entity tags (RFC 9110 section 8.8.3) as callers know them: tokens in place of the upstream's.
//!
//! A tag of the upstream speaks of the whole record, so it is never shown. Callers get it sealed, bound to who they are,
//! where it was given, the policy and the roles: so it means nothing to anybody else, says nothing itself, and comes back
//! as the tag it stands for, which keeps optimistic locking. A token also holds a hash of everything that shaped the
//! answer: only where that is the same may the upstream say 304, for a caller whose view has changed has not seen what
//! the record looks like now.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use http::{Method, request};
use sha2::{Digest, Sha256};

use crate::identity::Principal;
use crate::policy::Permit;
use crate::store::Seal;

use super::Refused;

/// Whose view of which place, under which rules.
pub struct View {
    seal: Arc<Seal>,
    /// Whom, where and under which policy a token is for.
    place: [u8; 32],
    /// What else shapes an answer.
    look: [u8; LOOK_BYTES],
}

/// The tags a request was made conditional by, and the tokens its caller gave for them.
#[derive(Clone, Debug, Default)]
pub struct Conditions(Vec<(Tag, HeaderValue)>);

/// An entity tag of the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag {
    weak: bool,
    opaque: Vec<u8>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("View")
    }
}

impl View {
    /// The view that a permit gives a principal.
    pub fn of(seal: &Arc<Seal>, principal: &Principal, permit: &Permit) -> Self {
        let (route, operation) = (permit.route(), permit.operation());
        let mut place = Parts::default();
        place.add(principal.issuer());
        place.add(principal.id());
        place.add(&route.api);
        place.add(operation.path());
        place.add(permit.policy_version());
        permit.roles().iter().for_each(|role| place.add(role));
        let mut look = Parts::default();
        look.add(&route.name);
        for (name, value) in operation.query() {
            look.add(name);
            look.add(value);
        }
        permit.rules().iter().for_each(|rule| look.add(rule));
        look.add(&format!("{:?}", permit.params()));
        let look = look.0.finalize();
        let look = look.first_chunk().copied().unwrap_or_default();
        Self { seal: Arc::clone(seal), place: place.0.finalize().into(), look }
    }

    /// The token for the upstream's `ETag`, for an answer in this coding; `None` for what is none.
    pub fn token(&self, tag: &HeaderValue, coding: &str) -> Option<HeaderValue> {
        let tag = Tag::parse(tag.as_bytes())?;
        let mut text = vec![u8::from(tag.weak)];
        text.extend_from_slice(&self.look);
        let coding = coding.as_bytes().first().copied().unwrap_or_default();
        text.push(coding);
        text.extend_from_slice(&tag.opaque);
        // How long the upstream's is, is nobody's business.
        text.push(END);
        text.resize(text.len().next_multiple_of(PADDED_BYTES), 0);
        let sealed = self.seal.seal(&[PURPOSE, &self.place], &text)?;
        let weak = if tag.weak { "W/" } else { "" };
        HeaderValue::try_from(format!("{weak}\"{}\"", URL_SAFE_NO_PAD.encode(sealed))).ok()
    }

    /// The tag a token stands for, and whether it was given for this very view.
    fn opened(&self, token: &Tag) -> Option<(Tag, bool)> {
        let sealed = URL_SAFE_NO_PAD.decode(&token.opaque).ok()?;
        let mut text = self.seal.open(&[PURPOSE, &self.place], &sealed)?;
        text.truncate(text.iter().rposition(|byte| *byte != 0)?);
        let (weak, rest) = text.split_first()?;
        let (look, rest) = rest.split_first_chunk::<LOOK_BYTES>()?;
        let (_coding, opaque) = rest.split_first()?;
        // A strong one may have been weakened on its way; never the other way round.
        let tag = Tag { weak: *weak != 0 || token.weak, opaque: opaque.to_vec() };
        Some((tag, *look == self.look))
    }

    /// Writes the caller's conditions as the upstream understands them.
    pub(super) fn translate(
        &self,
        caller: &request::Parts,
        headers: &mut HeaderMap,
    ) -> Result<Conditions, Refused> {
        let safe = is_safe(&caller.method);
        let mut conditions = Conditions::default();
        if caller.headers.contains_key(IF_MATCH) {
            match self.matching(&caller.headers, safe) {
                Some(value) => drop(headers.insert(IF_MATCH, value)),
                None if safe => {}
                None => return Err(Refused::Precondition("if-match")),
            }
        }
        if caller.headers.contains_key(IF_NONE_MATCH) {
            // Section 13.1.3: beside tags the date does not count, also if they are not understood here.
            headers.remove(http::header::IF_MODIFIED_SINCE);
            match self.none_matching(&caller.headers, safe, &mut conditions) {
                Some(value) => drop(headers.insert(IF_NONE_MATCH, value)),
                None if safe => {}
                None => return Err(Refused::Precondition("if-none-match")),
            }
        }
        Ok(conditions)
    }

    /// RFC 9110 section 13.1.1: tags are compared strongly, so that a weak one matches nothing; nor does what is no token.
    fn matching(&self, headers: &HeaderMap, safe: bool) -> Option<HeaderValue> {
        match Listed::read(headers, &IF_MATCH)? {
            Listed::Any => (!safe).then_some(ANY),
            Listed::Tags(tokens) => {
                let known = tokens.iter().filter_map(|(token, _)| self.opened(token));
                written(known.map(|(tag, _)| tag).filter(|tag| !tag.weak))
            }
        }
    }

    /// RFC 9110 section 13.1.2. A caller that must not overwrite what it knows is refused if one of its tags is not
    /// understood; one that merely asks for news gets them.
    fn none_matching(
        &self,
        headers: &HeaderMap,
        safe: bool,
        conditions: &mut Conditions,
    ) -> Option<HeaderValue> {
        match Listed::read(headers, &IF_NONE_MATCH)? {
            // Whether there is a record at all is told by the answer, which is judged.
            Listed::Any => (!safe).then_some(ANY),
            Listed::Tags(tokens) if safe => {
                let same = tokens.into_iter().filter_map(|(token, text)| match self.opened(&token)? {
                    (tag, true) => Some((tag, text)),
                    (_, false) => None,
                });
                conditions.0 = same.collect();
                written(conditions.0.iter().map(|(tag, _)| tag.clone()))
            }
            Listed::Tags(tokens) => {
                let known = tokens.iter().map(|(token, _)| self.opened(token).map(|(tag, _)| tag));
                written(known.collect::<Option<Vec<_>>>()?)
            }
        }
    }
}

impl Conditions {
    /// Whether the upstream may say that nothing has changed.
    pub fn are_there(&self) -> bool {
        !self.0.is_empty()
    }

    /// The caller's token for the tag of an answer 304: the one it gave for it.
    pub fn token(&self, tag: Option<&HeaderValue>) -> Option<HeaderValue> {
        let stated = tag.and_then(|tag| Tag::parse(tag.as_bytes()));
        match (stated, &self.0[..]) {
            // Compared weakly, as the upstream has.
            (Some(stated), all) => {
                all.iter().find(|(tag, _)| tag.opaque == stated.opaque).map(|(_, text)| text.clone())
            }
            (None, [(_, text)]) => Some(text.clone()),
            (None, _) => None,
        }
    }
}

/// What a condition lists.
enum Listed {
    Any,
    /// Each with its text.
    Tags(Vec<(Tag, HeaderValue)>),
}

impl Listed {
    /// `"*"` or a list of tags (RFC 9110 sections 13.1.1 and 5.6.1); `None` for what is neither.
    fn read(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let mut lines = headers.get_all(name).iter();
        if let (Some(only), None) = (lines.next(), lines.next())
            && only.as_bytes().trim_ascii() == b"*"
        {
            return Some(Self::Any);
        }
        let mut tags = Vec::new();
        for line in headers.get_all(name) {
            let mut rest = line.as_bytes().trim_ascii();
            while !rest.is_empty() {
                // Empty elements are no elements.
                if let Some(next) = rest.strip_prefix(b",") {
                    rest = next.trim_ascii_start();
                    continue;
                }
                let quoted = rest.strip_prefix(b"W/").unwrap_or(rest);
                let closing = memchr::memchr(b'"', quoted.strip_prefix(b"\"")?)?;
                let length = rest.len() - quoted.len() + closing + 2;
                let (text, behind) = rest.split_at_checked(length)?;
                tags.push((Tag::parse(text)?, HeaderValue::from_bytes(text).ok()?));
                rest = behind.trim_ascii_start();
                if tags.len() > MAX_TAGS || !(rest.is_empty() || rest.starts_with(b",")) {
                    return None;
                }
            }
        }
        (!tags.is_empty()).then_some(Self::Tags(tags))
    }
}

impl Tag {
    /// RFC 9110 section 8.8.3.
    fn parse(text: &[u8]) -> Option<Self> {
        let (weak, quoted) = match text.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let opaque = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let fits = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..);
        (opaque.len() <= MAX_TAG_BYTES && opaque.iter().all(fits))
            .then(|| Self { weak, opaque: opaque.to_vec() })
    }
}

/// Tags as a list; `None` if there is none.
fn written(tags: impl IntoIterator<Item = Tag>) -> Option<HeaderValue> {
    let mut list = Vec::new();
    for tag in tags {
        if !list.is_empty() {
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(if tag.weak { b"W/\"" } else { b"\"" });
        list.extend_from_slice(&tag.opaque);
        list.push(b'"');
    }
    if list.is_empty() { None } else { HeaderValue::from_bytes(&list).ok() }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Texts hashed so that no others give the same.
#[derive(Default)]
struct Parts(Sha256);

impl Parts {
    fn add(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_be_bytes());
        self.0.update(text);
    }
}

const ANY: HeaderValue = HeaderValue::from_static("*");
const PURPOSE: &[u8] = b"etag 1";
const LOOK_BYTES: usize = 16;
/// Behind the tag, before the padding.
const END: u8 = 0x80;
/// Tokens for tags of usual length are equally long.
const PADDED_BYTES: usize = 96;
/// A longer tag is withheld, and is no token.
const MAX_TAG_BYTES: usize = 1024;
/// So many tags in one condition are read; one with more is not understood.
const MAX_TAGS: usize = 32;

#[cfg(test)]
mod tests;
