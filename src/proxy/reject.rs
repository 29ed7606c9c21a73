//! The only place that turns an error into a status and a body.
//!
//! A refusal has two texts. The public one is made here from constants, and from names that the caller itself sent;
//! the same status has the same text, so that a record that is not released and one that does not exist cannot be
//! told apart. The internal one is the error's `Display` and goes to the record.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use uuid::Uuid;

use crate::audit::AuditError;
use crate::grants::Barred;
use crate::identity::{Refusal, Unauthenticated};
use crate::limits::{self, Limited};
use crate::policy::{Denial, DenialReason, DenialShape};
use crate::request::Refused;
use crate::response::Unscreenable;
use crate::store::StoreError;
use crate::telemetry::Decision;
use crate::upstream::UpstreamError;

use super::standing::Lapsed;
use super::strictness::Violation;

/// Why a request was not answered; one variant a stage.
#[derive(Debug, thiserror::Error)]
pub enum Reject {
    /// Its framing, or its head.
    #[error("{0}")]
    Framing(#[from] Violation),
    /// Nobody asks.
    #[error("{0}")]
    Unauthenticated(#[from] Refusal),
    /// The policy says no.
    #[error("{}", .0.reason)]
    Denied(Box<Denial>),
    /// Too much.
    #[error("{0}")]
    Limited(#[from] Limited),
    /// The principal is frozen.
    #[error("{0}")]
    Barred(#[from] Barred),
    /// What it wants to read or write is not the caller's to ask for.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// Its body took too long to come.
    #[error("the body took too long to arrive")]
    Slow,
    /// The record to be changed is not one that the caller may change; as if it did not exist.
    #[error("the record to be changed is not released")]
    NotReleased,
    /// The right to the answer ended before its first byte: asked again, it is decided again.
    #[error("{0}")]
    Lapsed(#[from] Lapsed),
    /// The upstream gave no answer.
    #[error("{0}")]
    Upstream(#[from] UpstreamError),
    /// The upstream's answer is not passed on.
    #[error("{0}")]
    Unscreenable(#[from] Unscreenable),
    /// What it refers to cannot be looked up, or what it gives cannot be remembered.
    #[error("{0}")]
    Memory(#[from] StoreError),
    /// The audit cannot take it, so it is not done.
    #[error("{0}")]
    Audit(#[from] AuditError),
}

impl From<Denial> for Reject {
    fn from(denial: Denial) -> Self {
        Self::Denied(Box::new(denial))
    }
}

impl Reject {
    /// The natural status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Framing(violation) => framing_status(*violation),
            Self::Unauthenticated(error) if error.is_unavailable() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unauthenticated(error) if error.throttled().is_some() => StatusCode::TOO_MANY_REQUESTS,
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::Denied(denial) => denial.reason.status(),
            Self::Barred(Barred::Frozen | Barred::Limit(_)) => StatusCode::FORBIDDEN,
            Self::Limited(limited) if limited.unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Limited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Refused(refused) => refused.status(),
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::NotReleased => StatusCode::NOT_FOUND,
            Self::Upstream(error) => error.status(),
            Self::Unscreenable(error) => error.status(),
            Self::Barred(Barred::Unknown) | Self::Lapsed(_) | Self::Memory(_) | Self::Audit(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// The same, of a request of a batch: a record that is not released, or not there, is named alike.
    pub(super) fn of_item(self, item: usize) -> Self {
        match self {
            Self::NotReleased
            | Self::Unscreenable(Unscreenable::Absent(_) | Unscreenable::NotReleased(_)) => {
                Self::Refused(Refused::Item { item, why: Box::new(Refused::Absent) })
            }
            other => other,
        }
    }

    /// What was decided, for metrics.
    pub fn decision(&self) -> Decision {
        match self {
            Self::Framing(_) | Self::Refused(_) | Self::Slow => Decision::Refused,
            Self::Unauthenticated(_) => Decision::Unauthenticated,
            Self::Denied(denial) => match denial.reason.innermost() {
                DenialReason::Target(_) | DenialReason::Asked { .. } => Decision::Refused,
                DenialReason::NoRoute
                | DenialReason::NoPermission { .. }
                | DenialReason::Guard { .. }
                | DenialReason::Item { .. } => Decision::Denied,
            },
            Self::Limited(_) => Decision::Limited,
            Self::NotReleased | Self::Lapsed(_) | Self::Barred(Barred::Frozen | Barred::Limit(_)) => {
                Decision::Denied
            }
            Self::Barred(Barred::Unknown) => Decision::Failed,
            Self::Upstream(_) | Self::Unscreenable(_) | Self::Memory(_) | Self::Audit(_) => Decision::Failed,
        }
    }

    /// The shape of the api, where the refusal itself knows it: the body was needed to find the route.
    pub(super) fn shape(&self) -> Option<&DenialShape> {
        self.denied()?.shape.as_deref()
    }

    /// The policy's no, if it is one.
    fn denied(&self) -> Option<&Denial> {
        if let Self::Denied(denial) = self { Some(denial) } else { None }
    }

    /// What stronger authentication would help.
    fn step_up(&self) -> Option<&str> {
        match self.denied()?.reason.innermost() {
            DenialReason::Guard { step_up, .. } => step_up.as_deref(),
            DenialReason::Target(_)
            | DenialReason::NoRoute
            | DenialReason::Asked { .. }
            | DenialReason::NoPermission { .. }
            | DenialReason::Item { .. } => None,
        }
    }

    /// The answer, in the shape of the api where that is known. A `HEAD` gets the same; the listener leaves the body
    /// out.
    pub(super) fn answer(&self, shape: Option<&DenialShape>, id: Uuid) -> Response<Full<Bytes>> {
        let natural = self.status();
        let message = self.message(natural);
        let (kind, body) = match shape {
            Some(shape) => (shape.content_type.as_ref(), shape.filled(natural, &message, id)),
            None => ("application/json", DenialShape::plain(natural, &message, id)),
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = shape.and_then(|shape| shape.status).unwrap_or(natural);
        let headers = response.headers_mut();
        if let Ok(kind) = HeaderValue::from_str(kind) {
            headers.insert(CONTENT_TYPE, kind);
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        for challenge in self.challenges() {
            headers.append(WWW_AUTHENTICATE, challenge);
        }
        if let Some(after) = self.retry_after() {
            headers.insert(RETRY_AFTER, limits::retry_after(after));
        }
        if let Self::Limited(limited) = self
            && let Some((policy, limit)) = limits::rate_limit_fields(&limited.remaining)
        {
            headers.insert("ratelimit-policy", policy);
            headers.insert("ratelimit", limit);
        }
        // What is left of the request is not waited for.
        if let Self::Framing(_)
        | Self::Slow
        | Self::Refused(Refused::Read(_) | Refused::TooLarge { .. })
        | Self::Upstream(UpstreamError::Request) = self
        {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The public text. What one status can mean for different reasons has one text.
    fn message(&self, status: StatusCode) -> String {
        let special = match self {
            Self::Barred(Barred::Frozen | Barred::Limit(_)) => Some("access frozen".to_owned()),
            Self::Refused(refused) => Some(refused.public()),
            Self::Upstream(error) => Some(error.public().to_owned()),
            Self::Unscreenable(error) => Some(error.public().to_owned()),
            Self::Denied(denial) => public(&denial.reason),
            Self::Framing(_)
            | Self::Unauthenticated(_)
            | Self::Barred(Barred::Unknown)
            | Self::Limited(_)
            | Self::Slow
            | Self::NotReleased
            | Self::Lapsed(_)
            | Self::Memory(_)
            | Self::Audit(_) => None,
        };
        match (status, special) {
            (_, Some(text)) if self.is_of_batch() => text,
            // One text for all, or the difference would tell whether a record exists.
            (StatusCode::NOT_FOUND, _) => "not found".to_owned(),
            (_, Some(text)) => text,
            (StatusCode::UNAUTHORIZED, None) => Unauthenticated::PUBLIC.to_owned(),
            (StatusCode::FORBIDDEN, None) => "not allowed".to_owned(),
            (StatusCode::TOO_MANY_REQUESTS, None) => "limit exceeded".to_owned(),
            (StatusCode::SERVICE_UNAVAILABLE, None) => "temporarily unavailable".to_owned(),
            (StatusCode::REQUEST_TIMEOUT, None) => "the body took too long".to_owned(),
            (StatusCode::NOT_IMPLEMENTED, None) => "method not supported".to_owned(),
            (_, None) => "bad request".to_owned(),
        }
    }

    /// Whether it names the request of a batch that is refused.
    fn is_of_batch(&self) -> bool {
        match self {
            Self::Denied(denial) => matches!(denial.reason, DenialReason::Item { .. }),
            Self::Refused(refused) => matches!(refused, Refused::Item { .. }),
            Self::Framing(_)
            | Self::Unauthenticated(_)
            | Self::Barred(_)
            | Self::Limited(_)
            | Self::Slow
            | Self::NotReleased
            | Self::Lapsed(_)
            | Self::Upstream(_)
            | Self::Unscreenable(_)
            | Self::Memory(_)
            | Self::Audit(_) => false,
        }
    }

    /// RFC 9110 section 11.6.1; RFC 9470 section 3 for a step-up.
    fn challenges(&self) -> Vec<HeaderValue> {
        if let Some(acr) = self.step_up() {
            let acr: String = acr.chars().filter(|c| !matches!(c, '"' | '\\')).collect();
            let text = format!(
                "Bearer realm=\"fieldgate\", error=\"insufficient_user_authentication\", acr_values=\"{acr}\""
            );
            return HeaderValue::try_from(text).into_iter().collect();
        }
        match self {
            Self::Unauthenticated(error) if self.status() == StatusCode::UNAUTHORIZED => {
                error.challenges().map(HeaderValue::from_static).collect()
            }
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited(limited) => Some(limited.retry_after),
            Self::Lapsed(_)
            | Self::Barred(Barred::Unknown)
            | Self::Memory(_)
            | Self::Audit(_)
            | Self::Upstream(UpstreamError::Busy | UpstreamError::Open) => Some(Duration::from_secs(1)),
            Self::Unauthenticated(error) if error.is_unavailable() => Some(Duration::from_secs(5)),
            Self::Unauthenticated(error) => error.throttled(),
            Self::Upstream(_)
            | Self::Framing(_)
            | Self::Barred(Barred::Frozen | Barred::Limit(_))
            | Self::Denied(_)
            | Self::Refused(_)
            | Self::Slow
            | Self::NotReleased
            | Self::Unscreenable(_) => None,
        }
    }
}

/// What is special to say of a denial. The request of a batch is named, and why it is refused is said as it would be
/// of the request itself.
fn public(reason: &DenialReason) -> Option<String> {
    match reason {
        DenialReason::Guard { step_up: Some(_), .. } => Some("stronger authentication required".to_owned()),
        DenialReason::Asked { .. } => Some(reason.to_string()),
        DenialReason::Item { item, why } => {
            let special = public(why).unwrap_or_else(|| match why.status() {
                StatusCode::BAD_REQUEST => "bad request".to_owned(),
                _ => "not allowed".to_owned(),
            });
            Some(format!("request {item} of the batch: {special}"))
        }
        DenialReason::Guard { step_up: None, .. }
        | DenialReason::Target(_)
        | DenialReason::NoRoute
        | DenialReason::NoPermission { .. } => None,
    }
}

fn framing_status(violation: Violation) -> StatusCode {
    match violation {
        Violation::TargetLength => StatusCode::URI_TOO_LONG,
        Violation::HeadLength => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Violation::Expectation => StatusCode::EXPECTATION_FAILED,
        Violation::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        Violation::Misdirected => StatusCode::MISDIRECTED_REQUEST,
        Violation::Tunnel => StatusCode::NOT_IMPLEMENTED,
        Violation::LineEnding
        | Violation::Method
        | Violation::Target
        | Violation::FieldName
        | Violation::FieldValue
        | Violation::Host
        | Violation::ContentLength
        | Violation::TransferEncoding
        | Violation::TwoLengths => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;

    use super::*;

    async fn answered(reject: &Reject, shape: Option<&DenialShape>) -> (StatusCode, String) {
        let mut response = reject.answer(shape, Uuid::nil());
        let body = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        (response.status(), String::from_utf8(body.to_vec()).unwrap())
    }

    fn denied(reason: DenialReason) -> Reject {
        Denial { reason, route: None, shape: None, policy_version: "v".into() }.into()
    }

    #[tokio::test]
    async fn a_withheld_record_an_absent_one_and_no_route_are_answered_alike() {
        let absent = answered(&Unscreenable::Status(StatusCode::NOT_FOUND).into(), None).await;
        assert_eq!(
            absent.1,
            r#"{"error":{"code":"not_found","message":"not found","id":"00000000-0000-0000-0000-000000000000"}}"#
        );
        assert_eq!(answered(&Unscreenable::NotReleased(Box::default()).into(), None).await, absent);
        assert_eq!(answered(&Reject::NotReleased, None).await, absent);
        assert_eq!(answered(&denied(DenialReason::NoRoute), None).await, absent);
    }

    #[tokio::test]
    async fn the_apis_shape_gives_status_and_body() {
        let shape = DenialShape {
            status: Some(StatusCode::OK),
            content_type: "application/json".into(),
            body: r#"[{"Ok":false,"Code":{{code}},"Text":{{message}},"Id":{{id}},"x":"{{y}}"}]"#.into(),
        };
        let limited = Limited {
            limit: "l".into(),
            retry_after: Duration::from_millis(1500),
            unavailable: false,
            freezes: false,
            remaining: Vec::new(),
        };
        let reject = Reject::Limited(limited);
        let (status, body) = answered(&reject, Some(&shape)).await;
        assert_eq!(status, StatusCode::OK);
        let id = Uuid::nil();
        assert_eq!(
            body,
            format!(
                r#"[{{"Ok":false,"Code":"limit_exceeded","Text":"limit exceeded","Id":"{id}","x":"{{{{y}}}}"}}]"#
            )
        );
        assert_eq!(reject.answer(Some(&shape), id).headers()[RETRY_AFTER], "2");
    }

    #[tokio::test]
    async fn a_callers_text_cannot_bring_a_place_of_its_own() {
        let refused = Refused::Query { parameter: "{{id}}\"".into() };
        let (status, body) = answered(&refused.into(), None).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(body.contains(r#"{{id}}\""#), "{body}");
    }

    #[test]
    fn a_step_up_is_challenged_for_and_a_plain_refusal_is_not() {
        let guard = |step_up: Option<&str>| {
            denied(DenialReason::Guard { name: "g".into(), step_up: step_up.map(Arc::from) })
        };
        let response = guard(Some("mfa")).answer(None, Uuid::nil());
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(
            challenge.contains("insufficient_user_authentication")
                && challenge.contains("acr_values=\"mfa\"")
        );
        let response = guard(None).answer(None, Uuid::nil());
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert!(response.headers().get(WWW_AUTHENTICATE).is_none());
    }

    #[test]
    fn internal_reasons_are_never_public() {
        let reason =
            DenialReason::NoPermission { action: crate::policy::Action::Read, resource: "salary".into() };
        let reject = denied(reason);
        assert!(reject.to_string().contains("salary"));
        assert!(!reject.message(reject.status()).contains("salary"));
    }
}
