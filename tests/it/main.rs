//! Integration tests: one binary, one module for each stage.

#[cfg(test)]
mod audit;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod operating;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod stages;
#[cfg(test)]
mod streaming;
#[cfg(test)]
mod support;
#[cfg(test)]
mod upstreams;
