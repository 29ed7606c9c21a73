//! What an answer is, by its own account: its type and its codings. What is not stated plainly is refused; nothing
//! is guessed from the bytes.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use mime::Mime;

use crate::rewrite::Format;
use crate::rewrite::charset::Charset;
use crate::rewrite::codec::Coding;

use super::unscreenable::Unscreenable;

/// What an answer says it is.
#[derive(Clone, Debug)]
pub struct Stated {
    /// The type it goes on under; always UTF-8.
    pub media_type: HeaderValue,
    /// The charset it comes in.
    pub charset: Charset,
}

/// The type of an answer and its charset, if the format's rewriter reads them.
///
/// A type outside a short list goes on as the plain one of its format: its name is the upstream's text, too.
pub fn media_type(headers: &HeaderMap, format: &Format) -> Result<Stated, Unscreenable> {
    let stated = single(headers, &CONTENT_TYPE).map_err(unscreenable)?;
    let text = stated.ok_or_else(|| unscreenable("there is none"))?;
    let stated: Mime = text.parse().map_err(|_| unscreenable("it is malformed"))?;
    let charset = charset(&stated, format)?;
    let essence = stated.essence_str().to_ascii_lowercase();
    let fitting = match format {
        Format::Json => json_type(&stated, &essence),
        Format::Ndjson => NDJSON_TYPES.iter().find(|known| **known == essence).copied(),
        Format::JsonSeq => (essence == JSON_SEQ_TYPE).then_some(JSON_SEQ_TYPE),
        Format::Sse => (essence == SSE_TYPE).then_some(SSE_TYPE),
        Format::Csv(csv) => match essence.as_str() {
            "text/tab-separated-values" if csv.delimiter == b'\t' => {
                Some("text/tab-separated-values; charset=utf-8")
            }
            "text/csv" | "application/csv" => Some("text/csv; charset=utf-8"),
            _ => None,
        },
    };
    let media_type = fitting.map(HeaderValue::from_static).ok_or_else(|| unscreenable(&essence))?;
    Ok(Stated { media_type, charset })
}

/// The one charset that is stated; without one it is UTF-8. Events are UTF-8 whatever a type says (WHATWG HTML, section
/// 9.2), so another one would be read as what it is not.
fn charset(stated: &Mime, format: &Format) -> Result<Charset, Unscreenable> {
    let mut labels = stated.params().filter(|(name, _)| *name == mime::CHARSET).map(|(_, value)| value);
    let first = labels.next().map_or(Ok(Charset::UTF_8), |label| Charset::parse(label.as_str()));
    let charset = first.map_err(|_| unscreenable("its charset is unknown"))?;
    if labels.any(|label| Charset::parse(label.as_str()) != Ok(charset)) {
        return Err(unscreenable("its charset is stated twice"));
    }
    if *format == Format::Sse && !charset.is_utf_8() {
        return Err(unscreenable("its charset is not utf-8"));
    }
    Ok(charset)
}

fn json_type(stated: &Mime, essence: &str) -> Option<&'static str> {
    let known = JSON_TYPES.iter().find(|known| **known == essence).copied();
    let structured = stated.type_() == mime::APPLICATION && stated.suffix() == Some(mime::JSON);
    known.or_else(|| (structured || essence == "text/json").then_some("application/json"))
}

/// Refuses transfer codings that are still in the body (RFC 9112 section 7), and a length beside one (section 6.3):
/// then somebody on the way disagrees about where the answer ends.
pub(super) fn transfer(headers: &HeaderMap) -> Result<(), Unscreenable> {
    let refused = |what: &str| Unscreenable::Coding(shown(what));
    match single(headers, &TRANSFER_ENCODING).map_err(refused)? {
        None => Ok(()),
        Some(transfer) => {
            let chunked = transfer.trim().eq_ignore_ascii_case("chunked");
            if chunked && !headers.contains_key(CONTENT_LENGTH) { Ok(()) } else { Err(refused(transfer)) }
        }
    }
}

/// The one content coding of an answer (RFC 9110 section 8.4).
pub(super) fn coding(headers: &HeaderMap) -> Result<Coding, Unscreenable> {
    transfer(headers)?;
    let mut lines = Vec::new();
    for line in headers.get_all(CONTENT_ENCODING) {
        lines.push(line.to_str().map_err(|_| Unscreenable::Coding("it is no text".into()))?);
    }
    let stated = lines.join(",");
    Coding::parse_content_encoding(&stated).map_err(|_| Unscreenable::Coding(shown(&stated)))
}

/// The coding an answer goes on in: the one that the caller likes best where the upstream coded it, none otherwise.
/// What came plain over a short line is not worth the time.
pub(super) fn negotiated(upstream: Coding, accepted: Option<&HeaderValue>) -> Coding {
    if upstream == Coding::Identity {
        return Coding::Identity;
    }
    let accepted = accepted.and_then(|accepted| accepted.to_str().ok());
    Coding::negotiate(accepted).unwrap_or(Coding::Identity)
}

/// The value of a header that may stand once.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, &'static str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| "it is no text"),
        (Some(_), Some(_)) => Err("it is stated twice"),
    }
}

fn unscreenable(what: &str) -> Unscreenable {
    Unscreenable::ContentType(shown(what))
}

/// The upstream's text, capped, for the operator.
fn shown(text: &str) -> Box<str> {
    text.chars().take(MAX_SHOWN_CHARS).flat_map(char::escape_debug).collect::<String>().into()
}

const MAX_SHOWN_CHARS: usize = 64;
const JSON_SEQ_TYPE: &str = "application/json-seq";
const SSE_TYPE: &str = "text/event-stream";
const NDJSON_TYPES: &[&str] =
    &["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"];
const JSON_TYPES: &[&str] = &[
    "application/json",
    "application/hal+json",
    "application/ld+json",
    "application/vnd.api+json",
    "application/problem+json",
    "application/geo+json",
];

#[cfg(test)]
mod tests;
