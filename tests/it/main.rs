//! Integration tests: one binary, one module for each stage.

mod audit;
#[cfg(test)]
mod stages;
#[cfg(test)]
mod support;
