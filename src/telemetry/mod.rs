//! What operators watch: metric names and labels (once), the [`Metrics`] themselves, the program's own log and the
//! access log.
//!
//! Comes in: plain names, numbers and durations from every later module. Goes out: the text that `/metrics` serves
//! and lines of text. Labels have few values, whatever callers, upstreams and policies send ([`Vocabulary`]); logs
//! are bounded and never hold up a request: a line that finds its queue full is dropped and counted. What must not
//! be lost belongs to `audit`.

pub mod names;

mod access;
mod lines;
mod logs;
mod metrics;
mod text;
mod vocabulary;

pub use access::{Access, AccessFormat, AccessLog};
pub use lines::{LineLog, Target};
pub use logs::{LogFormat, LogSettings, Logs};
pub use metrics::{Decision, Gauged, Metrics, RequestSeen, Side, UpstreamFailure};
pub use text::clean;
pub use vocabulary::Vocabulary;
