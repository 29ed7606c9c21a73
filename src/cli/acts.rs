//! What a command tells the audit about itself.

use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::app::config::Config;
use crate::app::{self, Recorded};
use crate::store::{Act, Actor, Store};

/// The acts of one run of a command.
pub(super) struct Acts {
    actor: Actor,
    reason: Option<String>,
    ids: Vec<Uuid>,
}

impl Acts {
    /// Of whoever runs the command, and why.
    pub(super) fn new(reason: Option<String>) -> Self {
        Self { actor: Actor::here(), reason, ids: Vec::new() }
    }

    /// The next one.
    pub(super) fn act(&mut self, action: &str, target: &str, now: Timestamp) -> Act {
        let act = Act { reason: self.reason.clone(), ..Act::new(action, self.actor.clone(), target, now) };
        self.ids.push(act.id);
        act
    }

    /// Waits until all of them are in the audit.
    pub(super) async fn record(&self, config: &Config, store: &Store) -> Recorded {
        if self.ids.is_empty() {
            return Recorded::Yes;
        }
        app::record(config, store, &self.ids, PATIENCE).await
    }

    /// The same for a change that is made already: that it is not in the audit yet is said, and no failure.
    pub(super) async fn record_later(
        &self,
        config: &Config,
        store: &Store,
        notes: &mut impl Write,
    ) -> io::Result<()> {
        match self.record(config, store).await {
            Recorded::Yes => Ok(()),
            Recorded::NotYet(why) => {
                writeln!(notes, "note: it is not in the audit yet, and will be when a gateway runs: {why}")
            }
        }
    }
}

/// A reason as people give it.
pub(super) fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.chars().count() > MAX_REASON || text.chars().any(char::is_control) {
        return Err(format!("it has more than {MAX_REASON} characters, or control characters"));
    }
    Ok(text.to_owned())
}

/// How long a command waits for the audit.
const PATIENCE: Duration = Duration::from_secs(10);
/// As much as the audit keeps of it.
const MAX_REASON: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_that_says_something() {
        assert_eq!(reason(" CRM-7: 离职 ").as_deref(), Ok("CRM-7: 离职"));
        for bad in ["", "  ", "a\nb", "\u{1b}[2J", &"x".repeat(513)] {
            assert!(reason(bad).is_err(), "{bad}");
        }
    }
}
