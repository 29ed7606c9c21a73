//! What a principal may do beyond its roles: follow cursors and jobs that it was given. Temporary rights and approvals
//! are not here yet; a right comes only from the policy's roles.
//!
//! Comes in: a principal, and a value it was given or comes back with. Goes out: what the value stands for, for it
//! alone. It never decides; `policy` does.

mod memory;

pub use memory::Memory;
