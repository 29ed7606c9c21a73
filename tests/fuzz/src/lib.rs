//! The engine, compiled for fuzzing: its source as it stands, and beside it `rewrite::trial`, which turns bytes into
//! plans, documents and cuts and compares what comes out with the oracle. A target is one call.

#[path = "../../../src/base/mod.rs"]
mod base;
#[path = "../../../src/rewrite/mod.rs"]
mod rewrite;

use rewrite::trial::{Form, answers, charsets, codecs, conditions, paths};

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

/// Compressed answers against what was compressed, and another reader.
pub fn codecs(data: &[u8]) {
    codecs::fuzz(data);
}

/// Charsets against one-shot decoding.
pub fn charset(data: &[u8]) {
    charsets::fuzz(data);
}

/// Paths against jsonpath-rust's evaluation.
pub fn path(data: &[u8]) {
    paths::fuzz(data);
}

/// Conditions against the interpreter of the `cel` crate.
pub fn conditions(data: &[u8]) {
    conditions::fuzz(data);
}
