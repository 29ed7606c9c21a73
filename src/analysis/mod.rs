//! Questions about a policy, answered as data and printed elsewhere: what a request would get, whether the tests of a
//! policy hold, why a field is shown.
//!
//! Everything here goes through [`Plan::decide`](crate::policy::Plan::decide), [`request::apply`](crate::request::apply)
//! and [`Rewriter`](crate::rewrite::Rewriter), as a request that is served does. There is no second implementation of
//! the rules.

mod coverage;
mod diff;
mod difference;
pub mod editor;
mod examples;
mod explain;
mod holders;
mod matrix;
mod reach;
mod schema;
mod trial;
mod update;
mod verdicts;

pub use coverage::{Coverage, Covered, coverage};
pub use diff::{Change, ChangeKind, PolicyDiff, Side, diff};
pub use difference::difference;
pub use examples::{Actual, ExampleResult, Seen, run_examples};
pub use explain::{Explanation, FieldExplanation, Reason, explain};
pub use holders::Holders;
pub use matrix::{
    About, ActionMark, Cell, Column, Group, Mark, Matrix, MatrixScope, Note, Row, Section, matrix,
};
#[cfg(test)]
pub(crate) use schema::fits;
pub use schema::{CONFIG_SCHEMA, POLICY_SCHEMA};
pub use trial::{Admitted, Caller, Refusal, Screened, admit, admitted, foresee, screen};
pub use update::{Update, update};
pub use verdicts::{Considered, FieldVerdict, Outcome, RecordVerdict, Unexplained, verdicts};
