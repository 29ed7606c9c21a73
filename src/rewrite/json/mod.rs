//! The JSON engine: a strict, resumable parser that drives the automaton of a plan and passes, drops or replaces
//! what it reads. Memory is bounded: a held record, a pending member name, a collected value, a stack of containers.
//!
//! # White space
//!
//! A member's text reaches from the comma or opening bracket before it to the comma after it; blanks before a
//! closing bracket belong to the bracket. So what is dropped takes its own blanks with it, a subtree that is kept
//! is byte-identical, and an answer in which nothing is touched comes out as it went in. One exception bounds the
//! memory: of a run of more than 1024 blanks between tokens of a container that is filtered, the first 1024 stay.

mod ahead;
mod choose;
mod containers;
mod drive;
mod embed;
mod emit;
mod hold;
mod index;
mod lexer;
mod machine;
mod members;
mod plain;
mod routes;
mod skip;
mod tally;
mod text;
mod values;
mod verdicts;

pub(crate) use machine::{Framing, Machine};
pub(crate) use tally::Tally;
#[cfg(any(test, fuzzing))]
pub(crate) use text::{decode_text as text, encode, mask};
