//! The only place that turns an error into a status and a body.

/// Why a request was not answered; one variant a stage.
#[derive(Debug, thiserror::Error)]
pub enum Reject {}
