//! What a principal may do beyond its roles, or not in spite of them: follow cursors and jobs that it was given; nothing
//! at all while it is frozen. Temporary rights and approvals are not here yet; a right comes only from the policy's
//! roles.
//!
//! Comes in: a principal, and a value it was given or comes back with. Goes out: what the value stands for, for it
//! alone, or that it is barred. It never decides what a role may; `policy` does.

mod freezes;
mod memory;

pub use freezes::{Barred, Freezes};

pub use memory::Memory;
