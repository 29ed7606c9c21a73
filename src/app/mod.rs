//! The deployment: `fieldgate.yaml` becomes a running gateway, is watched, reloaded and drained.
//!
//! Comes in: a configuration file and what it names. Goes out: listeners that answer, until they are told to stop.
//! Nothing here looks at a request.

pub mod config;
mod watch;
