//! The engine, compiled for fuzzing: its source as it stands, and beside it `rewrite::trial`, which turns bytes into
//! plans, documents and cuts and compares what comes out with the oracle. A target is one call.

#[path = "../../../src/base/mod.rs"]
mod base;
#[path = "../../../src/rewrite/mod.rs"]
mod rewrite;

use rewrite::trial::{Form, answers};

/// JSON, NDJSON and JSON text sequences against the oracle.
pub fn json(data: &[u8]) {
    answers::fuzz(Form::Json, data);
}

/// Server-sent events against the oracle.
pub fn sse(data: &[u8]) {
    answers::fuzz(Form::Events, data);
}

/// Separated values against the oracle.
pub fn csv(data: &[u8]) {
    answers::fuzz(Form::Table, data);
}
