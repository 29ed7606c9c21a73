//! Why an answer is not passed on.

use http::StatusCode;

use crate::rewrite::{Counts, Cut};
use crate::upstream::UpstreamError;

use super::body::StreamError;

/// Why nothing of an answer is passed on; nothing has been sent to the caller yet.
#[derive(Debug, thiserror::Error)]
pub enum Unscreenable {
    /// The upstream answered with an error; its text stays inside. Answered with the same status where that means
    /// the same to the caller.
    #[error("upstream answered {0}")]
    Status(StatusCode),
    /// The upstream has no such record, or says that the gateway may not know: some systems answer 403 for a record
    /// that is not there (Directus is one). All of these are answered alike, and like a record that is not released.
    #[error("upstream answered {0} for a single record")]
    Absent(StatusCode),
    /// The one record of the answer is not released: answered as if it did not exist.
    #[error("the record is not released")]
    NotReleased(Box<Counts>),
    /// The record is no longer what it was when the write was judged.
    #[error("the record was changed while the write was judged")]
    Changed,
    /// The api answered in the shape of its own errors.
    #[error("upstream answered with an error of its own")]
    OwnError,
    /// A redirect, which would lead round the gateway.
    #[error("upstream redirects ({0})")]
    Redirect(StatusCode),
    /// A part of an answer (206), a switch of protocol (101), or a status that no rule covers.
    #[error("status {0} cannot be screened")]
    Unexpected(StatusCode),
    /// A content type that the route does not declare.
    #[error("content type cannot be screened: {0}")]
    ContentType(Box<str>),
    /// A content or transfer coding that is unknown or stacked.
    #[error("content coding cannot be screened: {0}")]
    Coding(Box<str>),
    /// URLs in the answer are to point back at the gateway, and the caller did not say plainly how it is called.
    #[error("the gateway's own origin is not known")]
    Origin,
    /// The engine gave up before the first byte went out.
    #[error("answer cut: {cut}")]
    Cut {
        /// Why and where.
        cut: Cut,
        /// What had been decided.
        counts: Box<Counts>,
    },
    /// The upstream gave up before the first byte went out.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

impl Unscreenable {
    /// A stream that broke before anything of it went out.
    pub(super) fn before_the_head(error: StreamError, counts: &Counts) -> Self {
        match error {
            StreamError::Cut(cut) => Self::Cut { cut, counts: Box::new(counts.clone()) },
            StreamError::Upstream(error) => Self::Upstream(error),
        }
    }

    /// Whether an upstream's status on a single record says that there is none.
    pub(super) fn is_absence(status: StatusCode) -> bool {
        matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE)
    }

    /// The status it is answered with. An upstream's 4xx is kept, besides 401 and 407, which are about the
    /// gateway's own credentials, and 408, 421, 425, 426, 431, which are about the gateway's own connection: 502.
    /// A 503 and a 504 are kept, every other 5xx is 502.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Status(status) => kept(*status),
            Self::Absent(_) | Self::NotReleased(_) => StatusCode::NOT_FOUND,
            Self::Changed => StatusCode::CONFLICT,
            Self::OwnError
            | Self::Redirect(_)
            | Self::Unexpected(_)
            | Self::ContentType(_)
            | Self::Coding(_)
            | Self::Origin
            | Self::Cut { .. } => StatusCode::BAD_GATEWAY,
            Self::Upstream(error) => error.status(),
        }
    }

    /// The text for the caller: a constant.
    pub fn public(&self) -> &'static str {
        match self {
            Self::Status(status) if status.is_client_error() => "the request was not accepted",
            Self::Changed => "the record was changed meanwhile: read it again",
            Self::Status(_) | Self::OwnError => "the system behind the gateway reported an error",
            Self::Absent(_) | Self::NotReleased(_) => "not found",
            Self::Redirect(_)
            | Self::Unexpected(_)
            | Self::ContentType(_)
            | Self::Coding(_)
            | Self::Origin
            | Self::Cut { .. } => "the answer could not be screened",
            Self::Upstream(error) => error.public(),
        }
    }

    /// A stable name for metrics and the audit.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Absent(_) => "absent",
            Self::NotReleased(_) => "not_released",
            Self::Changed => "changed",
            Self::OwnError => "own_error",
            Self::Redirect(_) => "redirect",
            Self::Unexpected(_) => "unexpected_status",
            Self::ContentType(_) => "content_type",
            Self::Coding(_) => "coding",
            Self::Origin => "origin",
            Self::Cut { cut, .. } => cut.reason.name(),
            Self::Upstream(error) => error.name(),
        }
    }

    /// What had been decided about the answer's records, for the audit.
    pub fn counts(&self) -> Option<&Counts> {
        match self {
            Self::NotReleased(counts) | Self::Cut { counts, .. } => Some(counts),
            Self::Status(_)
            | Self::Absent(_)
            | Self::Changed
            | Self::OwnError
            | Self::Redirect(_)
            | Self::Unexpected(_)
            | Self::ContentType(_)
            | Self::Coding(_)
            | Self::Origin
            | Self::Upstream(_) => None,
        }
    }
}

fn kept(status: StatusCode) -> StatusCode {
    match status.as_u16() {
        401 | 407 | 408 | 421 | 425 | 426 | 431 => StatusCode::BAD_GATEWAY,
        400..=499 | 503 | 504 => status,
        _ => StatusCode::BAD_GATEWAY,
    }
}
