//! One answer being rewritten.

use std::sync::Arc;

use super::condition::Params;
use super::counts::Counts;
use super::output::Output;
use super::plan::{Cut, RewritePlan};

/// Rewrites one answer. Resumable at every byte: any cut of the input into chunks gives the same output.
pub struct Rewriter {
    plan: Arc<RewritePlan>,
    params: Params,
    counts: Counts,
}

impl Rewriter {
    /// Starts an answer. `params` are the values for the plan's conditions.
    pub fn new(plan: Arc<RewritePlan>, params: Params) -> Self {
        Self { plan, params, counts: Counts::default() }
    }

    /// Takes the next chunk and writes what is decided. After an error nothing more may be pushed; what was
    /// written before is safe to send, provided the message is left unfinished.
    pub fn push(&mut self, chunk: &[u8], out: &mut impl Output) -> Result<(), Cut> {
        let _ = (chunk, out, &self.plan, &self.params);
        todo!("engine")
    }

    /// Ends the answer and writes what is still due.
    pub fn finish(&mut self, out: &mut impl Output) -> Result<(), Cut> {
        let _ = out;
        todo!("engine")
    }

    /// What was released and withheld so far; complete after [`Rewriter::finish`], usable after a cut.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}
