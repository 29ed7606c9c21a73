//! The engine's promises: any cut gives the same output, the output is the oracle's, nothing hidden comes out.

mod formats;
mod found;
mod smoke;
mod suite;
mod support;
mod threats;
mod threats_values;
