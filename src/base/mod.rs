//! What everything else stands on and what does no I/O: secrets that cannot be printed, seals, the clock,
//! and diagnostics with their places.

mod clock;
mod diagnostic;
mod id;
mod seal;
mod secret;

pub use clock::{Clock, ManualClock, SystemClock};
pub use diagnostic::{Diagnostic, Place, Report, Severity, suggest};
pub use id::fresh_id;
pub use seal::{Seal, SealError};
pub use secret::Secret;
