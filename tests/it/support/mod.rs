//! What integration tests stand on.

pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod pki;
pub(crate) mod upstream;
