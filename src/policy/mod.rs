//! The policy: files as written become a compiled, immutable [`Plan`]; a principal and an [`Operation`] become a
//! [`Permit`] or a [`Denial`].
//!
//! Comes in: YAML files. Goes out: a plan, or a report of everything wrong with them. It never does I/O besides
//! reading those files, and only this module makes a permit: without one nothing is sent upstream.

pub mod source;
pub mod syntax;

mod assemble;
mod batch;
mod body;
mod cache;
mod check;
mod compile;
mod decide;
mod denial;
mod keys;
mod lints;
mod load;
mod model;
mod operation;
mod permit;
mod plan;
mod router;
mod rows;
mod shadow;
mod survey;
mod target;
mod tree;
mod unmask;
mod uphold;
mod when;
mod xml;

pub use batch::{BatchPermit, InnerPermit, InnerRequest};
pub use body::{BodyFault, BodyForm, BodyForms, RequestBody};
pub use compile::Purpose;
pub use keys::MaskKeys;
pub use load::{Loaded, policy_files};
pub use operation::{Action, Operation};
pub use permit::{
    AskedColumns, BodyPart, Bound, Denial, DenialReason, DenialShape, Dialect, ErrorShape, LimitRule,
    LimitUnit, Meaning, OnExceed, Per, Permit, PreRead, QueryFields, QueryRule, Recall, Remember, RouteFacts,
    UneditableRule, WriteRule,
};
pub use plan::{PUBLIC_REQUESTS, Plan, Seen};
pub use shadow::{
    Asks, Decided, Difference, FieldChange, Foreseen, RecordsChange, ShadowEffect, ShadowOf, Treatment,
};
pub use survey::{
    FieldFacts, GuardFacts, PermissionFacts, ResourceFacts, RoleFacts, RouteRights, Survey, access_at,
};
pub use tree::Tree;
pub use unmask::{Unmask, UnmaskDenial};

#[cfg(test)]
pub(crate) mod tests;
