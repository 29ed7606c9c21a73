//! What happened: one [`Record`] a request, and one for each act of administration ([`Outbox`]), chained by hashes,
//! written before the answer's last byte goes out.
//!
//! Comes in: what the pipeline learns about a request, through the setters of [`Record`], which is written to and
//! never read. Goes out: JSON Lines in segments ([`AuditLog`]), each line bound to the one before it, and what can
//! be asked of them later ([`verify`](verify()), [`Search`]). Values of fields never enter; every text from outside is
//! escaped and capped. A request whose record cannot be written is not completed.

mod canonical;
mod chain;
mod content;
mod head;
mod lines;
mod log;
mod outbox;
mod pen;
mod query;
mod queue;
mod record;
mod segment;
mod verify;
mod writer;

#[cfg(test)]
mod testing;

pub use log::{AuditError, AuditLog, Closing, OpenError, Opened, Sealed, Settings, Sync};
pub use outbox::{Outbox, OutboxError};
pub use query::{Filter, Gaps, Match, Search};
pub use record::{Duty, Event, KEYS_CAP, Outcome, Record};
pub use verify::{Evidence, Finding, Verdict, verify};
