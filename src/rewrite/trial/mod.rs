//! Random plans, documents and cuts, and what must hold for each: any cut of the input gives the same output, the output
//! is the oracle's ([`reference`](super::reference)), nothing hidden comes out. Compiled for the tests, where a number
//! is a case, and for the fuzz targets in `tests/fuzz`, where bytes are one.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "only tests and fuzz targets: a panic is how they fail"
)]

pub(crate) mod answers;
pub(crate) mod charsets;
pub(crate) mod codecs;
pub(crate) mod conditions;
mod dice;
mod documents;
mod feed;
pub(crate) mod paths;
mod plans;

#[cfg(test)]
mod tests;

pub(crate) use dice::Dice;
pub(crate) use documents::Document;
pub(crate) use feed::{Given, feed, path, same};
pub(crate) use plans::Form;
