//! The rules of the policy language: every sentence of `docs/rules.md` quoted by a test that holds the program to it,
//! and the rules of combination compared with a plain model on random input.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "the whole binary is a test"
)]

mod acts;
mod answers;
mod batches;
mod combination;
mod commands;
mod dice;
mod example;
mod fine_print;
mod invented;
mod language;
mod later;
mod naive;
mod picked;
mod quoted;
mod random;
mod shapes;
mod soap;
mod support;
mod terms;
mod threats;
mod tree;
mod writing;
