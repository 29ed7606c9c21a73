//! Absolute URLs of the upstream in what the caller sees point back at the gateway.
//!
//! A scanner behind the rewriter: it looks into the texts of JSON (member names stay) or, in separated values, at
//! everything, and replaces the upstream's origin wherever it stands, also in the middle of a text, written with
//! escapes, or cut in two by the end of a piece. What might become the origin is held back, which is never more than a
//! few hundred bytes. A host that only begins like the upstream's is another one.

use std::sync::Arc;

use bytes::Bytes;
use percent_encoding::percent_decode_str;

/// The origins to look for, and what stands in their place.
#[derive(Clone, Debug)]
pub(super) struct Origins {
    /// Lower case, the longest first.
    known: Vec<String>,
    own: String,
    /// The query parameter that is nobody's business.
    parameter: Option<Arc<str>>,
}

impl Origins {
    /// `own` is the gateway's, such as `https://gate.example:9443`.
    pub(super) fn new(mut known: Vec<String>, own: String) -> Self {
        known.retain(|origin| !origin.is_empty() && origin.len() <= MAX_ORIGIN_BYTES);
        known.sort_by_key(|origin| std::cmp::Reverse(origin.len()));
        known.dedup();
        Self { known, own, parameter: None }
    }

    /// Takes a query parameter out of the URLs, too: the one that carries the gateway's credential.
    pub(super) fn without_parameter(mut self, name: Option<&Arc<str>>) -> Self {
        self.parameter = name.cloned();
        self
    }

    /// The URL on the gateway's origin, if it is one of the upstream's.
    pub(super) fn turned(&self, url: &str) -> Option<String> {
        let lower = url.to_ascii_lowercase();
        let origin = self.known.iter().find(|origin| lower.starts_with(origin.as_str()))?;
        let rest = url.get(origin.len()..)?;
        rest.chars().next().is_none_or(ends_host).then(|| {
            let rest: Vec<Unit> = rest.chars().map(Unit::plain).collect();
            let kept = without(rest, self.parameter.as_deref());
            let kept: String = kept.iter().map(|unit| unit.decoded).collect();
            format!("{}{kept}", self.own)
        })
    }
}

/// The scanner, resumable at every byte.
#[derive(Debug)]
pub(super) struct Turner {
    origins: Origins,
    json: bool,
    /// Whether each open container is an object.
    open: Vec<bool>,
    /// In an object, before the colon.
    naming: bool,
    state: State,
    held: Vec<Unit>,
    /// What follows an origin, to the end of its URL, where a parameter is taken out.
    tail: Option<Vec<Unit>>,
    /// The bytes of an escape that is not whole.
    escape: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between texts.
    Outside,
    /// In a member name.
    Name,
    /// In a text.
    Text,
}

/// One character as it stands.
#[derive(Debug)]
struct Unit {
    decoded: char,
    raw: Vec<u8>,
}

impl Turner {
    /// For JSON, in whatever framing; otherwise all is text.
    pub(super) fn new(origins: Origins, json: bool) -> Self {
        let state = if json { State::Outside } else { State::Text };
        Self {
            origins,
            json,
            open: Vec::new(),
            naming: false,
            state,
            held: Vec::new(),
            tail: None,
            escape: Vec::new(),
        }
    }

    /// The next piece, as far as it is decided.
    pub(super) fn push(&mut self, piece: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(piece.len());
        for byte in piece {
            self.byte(*byte, &mut out);
        }
        out.into()
    }

    /// What was held back.
    pub(super) fn finish(&mut self) -> Bytes {
        let mut out = Vec::new();
        self.settle(None, &mut out);
        out.append(&mut self.escape);
        out.into()
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.state {
            State::Outside => {
                self.outside(byte);
                out.push(byte);
            }
            State::Name => {
                self.name(byte);
                out.push(byte);
            }
            State::Text if !self.json => self.unit(char::from(byte), vec![byte], out),
            State::Text => self.text(byte, out),
        }
    }

    fn outside(&mut self, byte: u8) {
        match byte {
            b'"' => self.state = if self.naming { State::Name } else { State::Text },
            b'{' | b'[' => {
                self.open.push(byte == b'{');
                self.naming = byte == b'{';
            }
            b'}' | b']' => {
                self.open.pop();
                self.naming = false;
            }
            b',' => self.naming = self.open.last() == Some(&true),
            b':' => self.naming = false,
            _ => {}
        }
    }

    fn name(&mut self, byte: u8) {
        match (self.escape.is_empty(), byte) {
            (false, _) => self.escape.clear(),
            (true, b'\\') => self.escape.push(byte),
            (true, b'"') => self.state = State::Outside,
            (true, _) => {}
        }
    }

    fn text(&mut self, byte: u8, out: &mut Vec<u8>) {
        if !self.escape.is_empty() {
            self.escape.push(byte);
            let whole = if self.escape.get(1) == Some(&b'u') { 6 } else { 2 };
            if self.escape.len() == whole {
                let raw = std::mem::take(&mut self.escape);
                self.unit(decoded(&raw), raw, out);
            }
        } else if byte == b'\\' {
            self.escape.push(byte);
        } else if byte == b'"' {
            self.settle(Some('"'), out);
            out.push(byte);
            self.state = State::Outside;
        } else {
            // A byte of a longer character is in no origin, whatever it is.
            self.unit(char::from(byte), vec![byte], out);
        }
    }

    /// One more character of a text.
    fn unit(&mut self, decoded: char, raw: Vec<u8>, out: &mut Vec<u8>) {
        if let Some(tail) = &mut self.tail
            && tail.len() < MAX_URL_CHARS
            && !ends_url(decoded, self.json)
        {
            tail.push(Unit { decoded, raw });
            return;
        }
        self.end_url(out);
        self.plain(decoded, raw, out);
    }

    /// A URL has ended: what is left of it goes on as a text does, for there may be another in it.
    fn end_url(&mut self, out: &mut Vec<u8>) {
        while let Some(tail) = self.tail.take() {
            for unit in without(tail, self.origins.parameter.as_deref()) {
                match &mut self.tail {
                    Some(tail) => tail.push(unit),
                    None => self.plain(unit.decoded, unit.raw, out),
                }
            }
        }
    }

    /// A character that stands behind no origin. Nothing is held unless it begins one.
    fn plain(&mut self, decoded: char, raw: Vec<u8>, out: &mut Vec<u8>) {
        if self.held.is_empty() && !self.origins.known.iter().any(|origin| begins(origin, decoded)) {
            out.extend_from_slice(&raw);
            return;
        }
        self.held.push(Unit { decoded, raw });
        self.advance(out);
    }

    /// Lets go of what can be no origin any more, and replaces what is one.
    fn advance(&mut self, out: &mut Vec<u8>) {
        while !self.held.is_empty() {
            if self.origins.known.iter().any(|origin| self.may_become(origin)) {
                return;
            }
            let whole = self.whole(None);
            self.let_go(whole, out);
        }
    }

    /// The text ends, with this character if one is known: decides what is held.
    fn settle(&mut self, next: Option<char>, out: &mut Vec<u8>) {
        self.end_url(out);
        while !self.held.is_empty() {
            let whole = self.whole(Some(next.unwrap_or('"')));
            self.let_go(whole, out);
            self.end_url(out);
        }
    }

    /// Writes the gateway's origin in place of so many characters, or the first one as it stands.
    fn let_go(&mut self, whole: Option<usize>, out: &mut Vec<u8>) {
        match whole {
            Some(length) => {
                self.held.drain(..length);
                out.extend_from_slice(self.origins.own.as_bytes());
                if self.origins.parameter.is_some() {
                    self.tail = Some(Vec::new());
                    for unit in std::mem::take(&mut self.held) {
                        self.unit(unit.decoded, unit.raw, out);
                    }
                }
            }
            None => {
                let first = self.held.remove(0);
                out.extend_from_slice(&first.raw);
            }
        }
    }

    /// Whether what is held could still be the beginning of an origin, or is one whose next character is not known.
    fn may_become(&self, origin: &str) -> bool {
        self.held.len() <= origin.len() && self.held.iter().zip(origin.chars()).all(|(unit, c)| same(unit, c))
    }

    fn starts_with(&self, origin: &str) -> bool {
        self.held.len() >= origin.len() && self.held.iter().zip(origin.chars()).all(|(unit, c)| same(unit, c))
    }

    /// The length of the longest origin at the beginning of what is held; `next` is what follows all of that.
    fn whole(&self, next: Option<char>) -> Option<usize> {
        let behind = |length: usize| self.held.get(length).map(|unit| unit.decoded).or(next);
        let known = self.origins.known.iter().filter(|origin| self.starts_with(origin)).map(String::len);
        known.into_iter().find(|length| behind(*length).is_some_and(ends_host))
    }
}

impl Unit {
    fn plain(c: char) -> Self {
        Self { decoded: c, raw: c.to_string().into_bytes() }
    }
}

/// What follows an origin, without the query parameters of a name, however they are written.
fn without(units: Vec<Unit>, name: Option<&str>) -> Vec<Unit> {
    let is = |unit: &Unit, c: char| unit.decoded == c;
    let (Some(name), Some(mark)) = (name, units.iter().position(|unit| is(unit, '?'))) else { return units };
    let mut kept = Vec::with_capacity(units.len());
    let mut units = units.into_iter();
    kept.extend(units.by_ref().take(mark));
    let mut joint = units.next();
    let rest: Vec<Unit> = units.collect();
    let end = rest.iter().position(|unit| is(unit, '#')).unwrap_or(rest.len());
    let mut pair = Vec::new();
    let mut next = None;
    let mut rest = rest.into_iter();
    let query: Vec<Unit> = rest.by_ref().take(end).collect();
    let mut keep = |pair: Vec<Unit>, next: Option<Unit>| {
        let written: String = pair.iter().map(|unit| unit.decoded).take_while(|c| *c != '=').collect();
        let written = written.strip_prefix("amp;").unwrap_or(&written).replace('+', " ");
        if percent_decode_str(&written).decode_utf8_lossy() != name {
            kept.extend(joint.take());
            kept.extend(pair);
            joint = next;
        }
    };
    for unit in query {
        if is(&unit, '&') {
            keep(std::mem::take(&mut pair), Some(unit));
        } else {
            pair.push(unit);
        }
    }
    keep(pair, next.take());
    kept.extend(rest);
    kept
}

/// Whether a URL in a text has ended before this character.
fn ends_url(next: char, json: bool) -> bool {
    let between =
        next.is_whitespace() || matches!(next, '"' | '\'' | '<' | '>' | '`' | '{' | '}' | '|' | '\\' | '^');
    between || (!json && matches!(next, ',' | ';'))
}

fn begins(origin: &str, c: char) -> bool {
    origin.starts_with(c.to_ascii_lowercase())
}

fn same(unit: &Unit, c: char) -> bool {
    unit.decoded.to_ascii_lowercase() == c
}

/// Whether a host has ended before this character.
fn ends_host(next: char) -> bool {
    !(next.is_alphanumeric() || matches!(next, '.' | '-' | ':' | '@' | '_' | '%') || !next.is_ascii())
}

/// The character an escape stands for; one that no origin holds where it stands for half a character.
fn decoded(raw: &[u8]) -> char {
    match raw.get(1) {
        Some(b'u') => std::str::from_utf8(raw.get(2..).unwrap_or_default())
            .ok()
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .and_then(char::from_u32)
            .unwrap_or('\u{fffd}'),
        Some(b'n' | b'r' | b't' | b'b' | b'f') => ' ',
        Some(other) => char::from(*other),
        None => '\u{fffd}',
    }
}

const MAX_ORIGIN_BYTES: usize = 512;
/// What follows an origin is held to here while it may hold the parameter.
const MAX_URL_CHARS: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        let known = ["http://crm:8080", "https://crm.example", "https://crm.example/base"];
        Origins::new(known.map(str::to_owned).to_vec(), "https://gate:9".to_owned())
    }

    fn turned(text: &str, json: bool, piece: usize) -> String {
        let mut turner = Turner::new(origins(), json);
        let mut out = Vec::new();
        for chunk in text.as_bytes().chunks(piece) {
            out.extend_from_slice(&turner.push(chunk));
        }
        out.extend_from_slice(&turner.finish());
        String::from_utf8(out).unwrap()
    }

    fn at_every_seam(text: &str, expected: &str) {
        for piece in 1..=text.len().max(1) {
            assert_eq!(turned(text, true, piece), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn origins_in_texts_are_replaced_at_every_seam() {
        at_every_seam(
            r#"{"a":"http://crm:8080/x?y","b":["https://crm.example","HTTPS:\/\/CRM.example\/base\/z"],"c":"\u0068ttp://crm:8080#f"}"#,
            r#"{"a":"https://gate:9/x?y","b":["https://gate:9","https://gate:9\/z"],"c":"https://gate:9#f"}"#,
        );
        at_every_seam(
            r#"["see http://crm:8080/a, http://crm:8080\n and hhttp://crm:8080", "http://http://crm:8080/"]"#,
            r#"["see https://gate:9/a, https://gate:9\n and hhttps://gate:9", "http://https://gate:9/"]"#,
        );
    }

    #[test]
    fn other_hosts_and_member_names_stay() {
        for text in [
            r#"{"http://crm:8080/a":1,"b":"http://crm:80801/","c":"https://crm.example.evil/","d":"https://crm.exampl"}"#,
            r#"["https://crm.example@evil/","https://crm.example:444/","http://crm","ftp://crm:8080/","https://crm.example-x/"]"#,
            r#"{"a\"http://crm:8080/":{"http://crm:8080":[1]}}"#,
            r#"["王http","\ud83d\ude00h","h"]"#,
        ] {
            at_every_seam(text, text);
        }
        at_every_seam(r#"["https://crm.example/basement"]"#, r#"["https://gate:9/basement"]"#);
    }

    #[test]
    fn without_json_everything_is_text() {
        assert_eq!(turned("id,url\n1,http://crm:8080/a\n", false, 3), "id,url\n1,https://gate:9/a\n");
        assert_eq!(turned("http://crm:8080", false, 4), "https://gate:9");
    }

    #[test]
    fn i18_the_parameter_of_the_credential_is_taken_out_at_every_seam() {
        let turned = |text: &str, piece: usize| {
            let name: Arc<str> = "access_token".into();
            let mut turner = Turner::new(origins().without_parameter(Some(&name)), true);
            let mut out = Vec::new();
            for chunk in text.as_bytes().chunks(piece) {
                out.extend_from_slice(&turner.push(chunk));
            }
            out.extend_from_slice(&turner.finish());
            String::from_utf8(out).unwrap()
        };
        for (text, expected) in [
            (r#"["http://crm:8080/x?access_token=CANARY"]"#, r#"["https://gate:9/x"]"#),
            (
                r#"["http://crm:8080/x?a=1&access_token=CANARY&b=2#f","z"]"#,
                r#"["https://gate:9/x?a=1&b=2#f","z"]"#,
            ),
            (r#"["http://crm:8080?access%5Ftoken=CANARY&a"]"#, r#"["https://gate:9?a"]"#),
            (
                r#"["http:\/\/crm:8080\/x?a=1&access_token=CANARY and more"]"#,
                r#"["https://gate:9\/x?a=1 and more"]"#,
            ),
            (
                r#"["<a href='http://crm:8080/x?a=1&amp;access_token=CANARY'>"]"#,
                r#"["<a href='https://gate:9/x?a=1'>"]"#,
            ),
            (
                r#"["http://crm:8080/?next=http://crm:8080/y?access_token=CANARY"]"#,
                r#"["https://gate:9/?next=https://gate:9/y"]"#,
            ),
            (
                r#"["http://crm:8080/a?access_tokens=1 http://crm:8080/b?access_token"]"#,
                r#"["https://gate:9/a?access_tokens=1 https://gate:9/b"]"#,
            ),
        ] {
            for piece in 1..=text.len() {
                assert_eq!(turned(text, piece), expected, "pieces of {piece}");
            }
        }
        let name: Arc<str> = "t".into();
        let origins = origins().without_parameter(Some(&name));
        assert_eq!(origins.turned("http://crm:8080/x?t=CANARY&u=1").as_deref(), Some("https://gate:9/x?u=1"));
    }

    #[test]
    fn a_single_url_is_turned_or_not() {
        assert_eq!(origins().turned("https://CRM.example/base/x").as_deref(), Some("https://gate:9/x"));
        assert_eq!(origins().turned("https://crm.example.evil/"), None);
        assert_eq!(origins().turned("/relative"), None);
    }
}
