//! Who may come in, on real sockets: each way to be somebody, two at a time, and what the upstream sees of it.

mod certificates;
mod combined;
mod forging;
mod tokens;
