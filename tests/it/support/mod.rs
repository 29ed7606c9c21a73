//! What integration tests stand on.

pub(crate) mod client;
pub(crate) mod frames;
pub(crate) mod gateway;
pub(crate) mod pki;
pub(crate) mod postgres;
pub(crate) mod process;
#[expect(dead_code, reason = "the unit tests of the upstream stage, which share it, use all of it")]
pub(crate) mod upstream;
