//! Why a permitted request was not sent as it came.

use http::StatusCode;

use crate::policy::BodyFault;

/// A refusal; the caller is at fault, and the upstream saw nothing.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A query parameter, or a field named in one, that the caller may not use; hidden and unknown ones alike.
    #[error("query parameter `{parameter}` cannot be used as given")]
    Query {
        /// The parameter, escaped and capped.
        parameter: Box<str>,
    },
    /// A part of a body that asks, in a way the caller may not or nobody declared.
    #[error("`{part}` in the body cannot be used as given")]
    Asked {
        /// The part, escaped and capped.
        part: Box<str>,
    },
    /// Fields in the body that the caller may not set.
    #[error("fields are not editable: {}", list(.fields))]
    NotEditable {
        /// Their names, escaped and capped.
        fields: Vec<Box<str>>,
    },
    /// Values in the body that a mask could have written: saving them would overwrite what the mask hides.
    #[error("masked values were sent back in: {}", list(.fields))]
    MaskedValue {
        /// The fields, escaped and capped.
        fields: Vec<Box<str>>,
    },
    /// A body where the operation takes none.
    #[error("the operation takes no body")]
    UnexpectedBody,
    /// The target cannot be written as a URL.
    #[error("the target cannot be sent")]
    Target,
    /// The body is not what its type says: not strict JSON, a member named twice, nested too deeply.
    #[error("the body cannot be judged: {0}")]
    Body(&'static str),
    /// The body is longer than [`RequestBounds::body_bytes`](super::RequestBounds::body_bytes).
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// The body's type or coding is not one that is judged.
    #[error("the body's type cannot be judged: {0}")]
    MediaType(&'static str),
    /// A precondition that would be lost: the gateway withholds the validators it would be compared with.
    #[error("the precondition `{0}` cannot be honoured")]
    Precondition(&'static str),
    /// The change would move the record out of reach of what lets it be made.
    #[error("no permission would apply to the record after the change")]
    Moves,
    /// The record as it is cannot be read in one way, and the write depends on it.
    #[error("the record before the write cannot be judged: {0}")]
    Before(&'static str),
    /// The record to be changed was not read before, although the permit asks for that.
    #[error("the record to be changed was not judged")]
    NotJudged,
    /// The record that a request of a batch is about is not released, or there is none.
    #[error("not found")]
    Absent,
    /// A request of a batch is refused, and with it the batch.
    #[error("request {item} of the batch: {why}")]
    Item {
        /// Which one, from 1.
        item: usize,
        /// Why.
        why: Box<Refused>,
    },
    /// A protocol switch on a governed route.
    #[error("the protocol cannot be switched")]
    Upgrade,
    /// The caller's connection failed while its body was read.
    #[error("the body could not be read")]
    Read(#[source] super::BoxError),
}

impl From<BodyFault> for Refused {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::MediaType(reason) => Self::MediaType(reason),
            BodyFault::Malformed(reason) => Self::Body(reason),
        }
    }
}

impl Refused {
    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Query { .. }
            | Self::Asked { .. }
            | Self::NotEditable { .. }
            | Self::MaskedValue { .. }
            | Self::Moves
            | Self::NotJudged => StatusCode::FORBIDDEN,
            Self::Target | Self::UnexpectedBody | Self::Body(_) | Self::Upgrade | Self::Read(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Precondition(_) => StatusCode::PRECONDITION_FAILED,
            Self::Before(_) => StatusCode::BAD_GATEWAY,
            Self::Absent => StatusCode::NOT_FOUND,
            Self::Item { why, .. } => why.status(),
        }
    }

    /// The text for the caller: constant, besides names that the caller itself sent.
    pub fn public(&self) -> String {
        match self {
            Self::Read(_) => "the body could not be read".to_owned(),
            // It is the upstream's record that is odd, and the caller may not see all of it.
            Self::Before(_) => "the answer could not be screened".to_owned(),
            named => named.to_string(),
        }
    }

    /// A stable name for metrics and the audit.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Query { .. } => "query",
            Self::Asked { .. } => "asked",
            Self::NotEditable { .. } => "not_editable",
            Self::MaskedValue { .. } => "masked_value",
            Self::UnexpectedBody => "unexpected_body",
            Self::Target => "target",
            Self::Body(_) => "body",
            Self::TooLarge { .. } => "too_large",
            Self::MediaType(_) => "media_type",
            Self::Precondition(_) => "precondition",
            Self::Moves => "moves",
            Self::Before(_) => "before",
            Self::NotJudged => "not_judged",
            Self::Absent => "absent",
            Self::Item { why, .. } => why.name(),
            Self::Upgrade => "upgrade",
            Self::Read(_) => "read",
        }
    }
}

fn list(fields: &[Box<str>]) -> String {
    let mut text = String::new();
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        text.push('`');
        text.push_str(field);
        text.push('`');
    }
    text
}

/// A name that came from the caller, fit for a message and the audit: escaped and capped.
pub(super) fn shown(name: &str) -> Box<str> {
    let mut text = String::new();
    for (index, c) in name.chars().enumerate() {
        if index == MAX_NAME_CHARS {
            text.push('…');
            break;
        }
        match c {
            '`' => text.extend(c.escape_unicode()),
            c => text.extend(c.escape_debug()),
        }
    }
    text.into()
}

const MAX_NAME_CHARS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_messages_are_escaped_and_capped() {
        assert_eq!(shown("a\n\"`\u{0}\u{202e}王").as_ref(), "a\\n\\\"\\u{60}\\0\\u{202e}王");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), MAX_NAME_CHARS + 1);
        let refused = Refused::NotEditable { fields: vec!["a".into(), "b.c".into()] };
        assert_eq!(refused.public(), "fields are not editable: `a`, `b.c`");
    }
}
