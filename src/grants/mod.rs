//! Temporary rights, approvals and freezes: what a principal may do beyond its roles, for a stated time.
//!
//! Nothing is granted here yet; a right comes only from the policy's roles.
