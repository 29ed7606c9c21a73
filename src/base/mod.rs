//! What everything else stands on and what does no I/O: secrets that cannot be printed, the clock, and
//! diagnostics with their places.

mod clock;
mod diagnostic;
mod id;
mod secret;

pub use clock::{Clock, ManualClock, SystemClock};
pub use diagnostic::{Diagnostic, Place, Report, Severity, suggest};
pub use id::fresh_id;
pub use secret::Secret;
