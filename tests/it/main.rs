//! Integration tests: one binary, one module for each stage.

#[cfg(test)]
mod accounting;
#[cfg(test)]
mod acts;
#[cfg(test)]
mod announced;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod batches;
#[cfg(test)]
mod callers;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod depth;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod explaining;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod freezes;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod operating;
#[cfg(test)]
mod paths;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod restoring;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod shadow;
#[cfg(test)]
mod slowness;
#[cfg(test)]
mod smuggling;
#[cfg(test)]
mod stages;
#[cfg(test)]
mod streaming;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod upstreams;
#[cfg(test)]
mod validators;
#[cfg(test)]
mod watching;
