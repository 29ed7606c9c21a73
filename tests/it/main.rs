//! Integration tests: one binary, one module for each stage.

#[cfg(test)]
mod audit;
#[cfg(test)]
mod stages;
#[cfg(test)]
mod support;
