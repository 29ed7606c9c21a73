//! The JSON Schema of policy files, for editors.

/// JSON Schema, draft 2020-12. The tests keep it in step with what the loader accepts: the same keys everywhere.
pub const POLICY_SCHEMA: &str = include_str!("../../policies/schema.json");

#[cfg(test)]
mod tests;
