//! The answer to a batch: a list of answers, each rewritten by the plan of its own request.
//!
//! The text around the inner answers is written anew from what is known of it: the way to the list, and of every
//! element its id, its status and its answer. Every other member goes, besides the scalars of the root that are kept.
//! Inner answers stream through a [`Rewriter`](super::Rewriter) of their own. What an element says behind its answer (Salesforce names
//! the status and the id last) is waited for: until it is known that the answer is the one to this request and no
//! error, what was rewritten is held, within [`Batch::held_bytes`]. An inner error, or a single record that is not
//! released, is replaced by a neutral text. As many answers as requests, each once, or the text is cut.

mod element;
mod engine;
mod walk;

use std::sync::Arc;

use super::condition::Params;
use super::plan::RewritePlan;

pub(super) use engine::BatchEngine;

/// How the answer to a batch is rewritten.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The names that lead from the root to the list of answers; none: the root is the list.
    pub answers: Vec<Box<str>>,
    /// The member of an element that holds the inner answer.
    pub answer: Box<str>,
    /// The member that holds its status.
    pub status: Option<Box<str>>,
    /// The member that says which request it answers.
    pub id: Option<Box<str>>,
    /// Members of the root that pass if they are scalars.
    pub keep: Vec<Box<str>>,
    /// The requests, in order.
    pub items: Vec<BatchItem>,
    /// Most that is held of one rewritten answer.
    pub held_bytes: usize,
}

/// One request of a batch.
#[derive(Clone, Debug)]
pub struct BatchItem {
    /// How its answer is rewritten.
    pub plan: Arc<RewritePlan>,
    /// The values for that plan's conditions.
    pub params: Params,
    /// What it is called, where requests have ids.
    pub id: Option<Box<str>>,
    /// Whether it asks for one record: if none is released, its answer is that of one that does not exist.
    pub single: bool,
    /// Whether an upstream that says 403, 404 or 410 says that there is no such record.
    pub absence: bool,
    /// What stands in the place of answers that are not passed on.
    pub neutral: Arc<Neutral>,
}

/// Answers of the gateway's own, as JSON texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neutral {
    /// The status that all of them have; `None`: the natural one.
    pub status: Option<u16>,
    /// There is no such record.
    pub absent: Box<str>,
    /// The upstream did not take the request.
    pub refused: Box<str>,
    /// The upstream failed.
    pub failed: Box<str>,
}

/// Equal batches make the same of every answer. The values that conditions read are not compared: they are those of
/// one moment.
impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        self.answers == other.answers
            && self.answer == other.answer
            && self.status == other.status
            && self.id == other.id
            && self.keep == other.keep
            && self.items == other.items
            && self.held_bytes == other.held_bytes
    }
}

impl PartialEq for BatchItem {
    fn eq(&self, other: &Self) -> bool {
        self.plan == other.plan
            && self.id == other.id
            && self.single == other.single
            && self.absence == other.absence
            && self.neutral == other.neutral
    }
}

impl BatchItem {
    /// What the caller is told of an upstream's status that is no success. As outside of batches: a 4xx is kept,
    /// besides those that are about the gateway itself, and so are 503 and 504; all else is 502.
    fn refusal(&self, upstream: u16) -> (u16, &str) {
        let neutral = &self.neutral;
        let (natural, text) = match upstream {
            403 | 404 | 410 if self.absence => (404, &neutral.absent),
            401 | 407 | 408 | 421 | 425 | 426 | 431 => (502, &neutral.failed),
            400..=499 => (upstream, &neutral.refused),
            503 | 504 => (upstream, &neutral.failed),
            _ => (502, &neutral.failed),
        };
        (neutral.status.unwrap_or(natural), text)
    }

    fn absent(&self) -> (u16, &str) {
        (self.neutral.status.unwrap_or(404), &self.neutral.absent)
    }
}

/// Longest id, status or kept member.
const MAX_SCALAR_BYTES: usize = 4 << 10;

#[cfg(test)]
mod tests;
