//! What operators look at: `/metrics`, `/healthz`, `/ready` on a listener of its own, and nothing else.
//!
//! Comes in: GET requests. Goes out: numbers and states, never a value of a record, a key or a name of a caller.

mod status;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::audit::AuditLog;
use crate::grants::Freezes;
use crate::identity::Peer;
use crate::proxy::{Handler, Violation};
use crate::telemetry::Metrics;

pub use status::{Loaded, Reload, Status};

/// Answers the admin listener.
pub struct Admin {
    metrics: Arc<Metrics>,
    status: Arc<Status>,
    audit: AuditLog,
    freezes: Freezes,
}

impl Admin {
    /// What it shows.
    pub fn new(metrics: Arc<Metrics>, status: Arc<Status>, audit: AuditLog, freezes: Freezes) -> Self {
        Self { metrics, status, audit, freezes }
    }

    fn page(&self, method: &Method, path: &str, violation: Option<Violation>) -> Page {
        if violation.is_some() {
            return Page::text(StatusCode::BAD_REQUEST, "bad request\n");
        }
        if method != Method::GET && method != Method::HEAD {
            return Page::text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        }
        match path {
            "/healthz" => Page::text(StatusCode::OK, "ok\n"),
            "/ready" => {
                let (ready, state) = self.status.describe(self.audit.ensure_writable(), &self.freezes);
                let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                Page { status, kind: "application/json", body: format!("{state:#}\n") }
            }
            "/metrics" => {
                Page { status: StatusCode::OK, kind: Metrics::CONTENT_TYPE, body: self.metrics.encode() }
            }
            _ => Page::text(StatusCode::NOT_FOUND, "not found: /metrics, /healthz and /ready are here\n"),
        }
    }
}

impl Handler for Admin {
    type Body = Full<Bytes>;

    async fn answer(
        self: Arc<Self>,
        _: Arc<Peer>,
        violation: Option<Violation>,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        self.page(request.method(), request.uri().path(), violation).into_response()
    }
}

struct Page {
    status: StatusCode,
    kind: &'static str,
    body: String,
}

impl Page {
    fn text(status: StatusCode, text: &str) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: text.to_owned() }
    }

    /// Nothing on this listener is to be kept, framed, run or guessed at by a browser.
    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body.into()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        headers.insert(CONTENT_SECURITY_POLICY, nothing);
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use crate::audit::{Settings, Sync};
    use crate::base::SystemClock;
    use crate::store::Store;

    use super::*;

    async fn admin(dir: &std::path::Path) -> Admin {
        let settings = Settings {
            dir: dir.to_owned(),
            segment_bytes: 1 << 20,
            sync: Sync::Never,
            max_in_flight: 10,
            key: None,
        };
        let metrics = Arc::new(Metrics::new());
        let (audit, _) =
            AuditLog::open(settings, Arc::new(SystemClock::new()), Arc::clone(&metrics)).unwrap();
        let store = Store::memory().await.unwrap();
        let freezes = Freezes::open(store, Arc::new(SystemClock::new())).await.unwrap();
        Admin::new(metrics, Arc::default(), audit, freezes)
    }

    #[tokio::test]
    async fn there_are_three_pages() {
        let dir = tempfile::tempdir().unwrap();
        let admin = admin(dir.path()).await;
        let status = |method: &Method, path: &str| admin.page(method, path, None).status;
        assert_eq!(status(&Method::GET, "/healthz"), StatusCode::OK);
        assert_eq!(status(&Method::GET, "/metrics"), StatusCode::OK);
        assert_eq!(status(&Method::GET, "/"), StatusCode::NOT_FOUND);
        assert_eq!(status(&Method::GET, "/metrics/"), StatusCode::NOT_FOUND);
        assert_eq!(status(&Method::POST, "/metrics"), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(
            admin.page(&Method::GET, "/metrics", Some(Violation::Host)).status,
            StatusCode::BAD_REQUEST
        );
    }

    #[test]
    fn nothing_is_kept_framed_or_guessed_at() {
        let response = Page::text(StatusCode::OK, "ok").into_response();
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(
            response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("frame-ancestors 'none'")
        );
    }

    #[tokio::test]
    async fn it_is_ready_with_a_policy_until_it_drains_and_tells_of_a_failed_reload() {
        let dir = tempfile::tempdir().unwrap();
        let admin = admin(dir.path()).await;
        assert_eq!(admin.page(&Method::GET, "/ready", None).status, StatusCode::SERVICE_UNAVAILABLE);
        let now = Timestamp::UNIX_EPOCH;
        admin.status.loaded(Loaded { version: "abc".into(), at: now });
        admin.status.reload_failed(now, "policies/roles.yaml:3:5: unknown label `contct`".to_owned());
        let page = admin.page(&Method::GET, "/ready", None);
        assert_eq!(page.status, StatusCode::OK);
        let body: serde_json::Value = serde_json::from_str(&page.body).unwrap();
        assert_eq!(body["policy"]["version"], "abc");
        assert_eq!(body["last_reload"]["result"], "failure");
        assert_eq!(body["last_reload"]["reason"], "policies/roles.yaml:3:5: unknown label `contct`");
        assert_eq!(body["freezes"], serde_json::json!({ "principals": 0, "known": true }));
        assert_eq!(body["audit"], serde_json::json!({ "writable": true }));
        admin.status.draining();
        assert_eq!(admin.page(&Method::GET, "/ready", None).status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
