//! The JSON Schemas of policy files and of `fieldgate.yaml`, for editors.

/// JSON Schema, draft 2020-12. The tests keep it in step with what the loader accepts: the same keys everywhere.
pub const POLICY_SCHEMA: &str = include_str!("../../policies/schema.json");
/// The same for `fieldgate.yaml`; the tests of its reader keep it in step.
pub const CONFIG_SCHEMA: &str = include_str!("../../policies/fieldgate.schema.json");

#[cfg(test)]
pub(crate) mod fits;
#[cfg(test)]
mod tests;
