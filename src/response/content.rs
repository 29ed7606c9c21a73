//! What an answer is, by its own account: its type and its codings. What is not stated plainly is refused; nothing
//! is guessed from the bytes.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use mime::Mime;

use crate::rewrite::Format;
use crate::rewrite::codec::Coding;

use super::unscreenable::Unscreenable;

/// The type the answer goes on under, if it is one that the format's rewriter reads.
///
/// A type outside a short list goes on as the plain one of its format: its name is the upstream's text, too.
pub fn media_type(headers: &HeaderMap, format: &Format) -> Result<HeaderValue, Unscreenable> {
    let stated = single(headers, &CONTENT_TYPE).map_err(unscreenable)?;
    let text = stated.ok_or_else(|| unscreenable("there is none"))?;
    let stated: Mime = text.parse().map_err(|_| unscreenable("it is malformed"))?;
    if stated.params().filter(|(name, _)| *name == mime::CHARSET).any(|(_, value)| !is_utf8(value.as_str())) {
        return Err(unscreenable("its charset is not utf-8"));
    }
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
    fitting.map(HeaderValue::from_static).ok_or_else(|| unscreenable(&essence))
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
    let refused = |what: &str| Unscreenable::Coding(shown(what));
    let Some(content) = single(headers, &CONTENT_ENCODING).map_err(refused)? else {
        return Ok(Coding::Identity);
    };
    match content.trim().to_ascii_lowercase().as_str() {
        "identity" => Ok(Coding::Identity),
        "gzip" | "x-gzip" => Ok(Coding::Gzip),
        "deflate" => Ok(Coding::Deflate),
        "br" => Ok(Coding::Brotli),
        "zstd" => Ok(Coding::Zstd),
        other => Err(refused(other)),
    }
}

/// The coding an answer goes on in: gzip where the upstream coded it and the caller takes that (RFC 9110 section
/// 12.5.3), none otherwise.
pub(super) fn negotiated(upstream: Coding, accepted: Option<&HeaderValue>) -> Coding {
    let gzip = accepted.and_then(|accepted| accepted.to_str().ok()).is_some_and(accepts_gzip);
    if upstream != Coding::Identity && gzip { Coding::Gzip } else { Coding::Identity }
}

fn accepts_gzip(accepted: &str) -> bool {
    let weight_of = |wanted: &[&str]| {
        accepted.split(',').find_map(|item| {
            let mut parts = item.split(';').map(str::trim);
            let coding = parts.next()?;
            let named = wanted.iter().any(|wanted| coding.eq_ignore_ascii_case(wanted));
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            named.then(|| weight.map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0)))
        })
    };
    weight_of(&["gzip", "x-gzip"]).or_else(|| weight_of(&["*"])).is_some_and(|weight| weight > 0.0)
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

fn is_utf8(charset: &str) -> bool {
    ["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known))
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
