//! The engine's promises: any cut gives the same output, the output is the oracle's, nothing hidden comes out.

mod by_record;
mod chosen;
mod formats;
mod found;
mod smoke;
mod suite;
mod support;
mod threats;
mod threats_values;
mod windows;
