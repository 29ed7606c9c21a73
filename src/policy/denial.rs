//! How an api says no, filled in.

use http::StatusCode;
use uuid::Uuid;

use super::permit::{DenialReason, DenialShape};

impl DenialShape {
    /// The body, with what it says put in.
    pub fn filled(&self, status: StatusCode, message: &str, id: Uuid) -> String {
        fill(&self.body, status, message, id)
    }

    /// The body where no api says otherwise.
    pub fn plain(status: StatusCode, message: &str, id: Uuid) -> String {
        fill(PLAIN_BODY, status, message, id)
    }
}

impl DenialReason {
    /// What refused: the reason itself, or that of the request of a batch.
    pub fn innermost(&self) -> &Self {
        match self {
            Self::Item { why, .. } => why.innermost(),
            Self::Target(_)
            | Self::NoRoute
            | Self::NoPermission { .. }
            | Self::Asked { .. }
            | Self::Guard { .. } => self,
        }
    }
}

/// Fills the places of a denial's body in one pass, so that no text can bring a place of its own.
fn fill(body: &str, status: StatusCode, message: &str, id: Uuid) -> String {
    let mut out = String::with_capacity(body.len() + message.len());
    let mut rest = body;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let known = [
            ("message}}", quoted(message)),
            ("code}}", quoted(code(status))),
            ("id}}", quoted(&id.to_string())),
        ];
        rest = match known.iter().find_map(|(name, text)| Some((after.strip_prefix(name)?, text))) {
            Some((behind, text)) => {
                out.push_str(text);
                behind
            }
            None => {
                out.push_str("{{");
                after
            }
        };
    }
    out.push_str(rest);
    out
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A stable word for programs.
fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "unauthenticated",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::TOO_MANY_REQUESTS => "limit_exceeded",
        StatusCode::CONFLICT => "conflict",
        StatusCode::PRECONDITION_FAILED => "precondition_failed",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        StatusCode::BAD_GATEWAY => "bad_gateway",
        StatusCode::GATEWAY_TIMEOUT => "gateway_timeout",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        _ => "bad_request",
    }
}

/// How a refusal looks where no api says otherwise.
const PLAIN_BODY: &str = r#"{"error":{"code":{{code}},"message":{{message}},"id":{{id}}}}"#;
