//! One answer being rewritten.

use std::sync::Arc;

use super::batch::BatchEngine;
use super::condition::Params;
use super::counts::Counts;
use super::csv::CsvEngine;
use super::json::{Framing, Machine};
use super::output::Output;
use super::plan::{Cut, CutReason, Format, RewritePlan};
use super::sse::SseEngine;

/// Rewrites one answer. Resumable at every byte: any cut of the input into chunks gives the same output.
#[derive(Debug)]
pub struct Rewriter {
    engine: Engine,
    cut: Option<Cut>,
    /// The named counts are up to date, and nothing is taken any more.
    settled: bool,
}

/// The engine for the plan's format.
#[derive(Debug)]
enum Engine {
    Json(Box<Machine>),
    Csv(Box<CsvEngine>),
    Sse(Box<SseEngine>),
    Batch(Box<BatchEngine>),
    /// The plan cannot be compiled: nothing passes.
    Refused(Counts),
}

impl Rewriter {
    /// Starts an answer. `params` are the values for the plan's conditions.
    pub fn new(plan: Arc<RewritePlan>, params: Params) -> Self {
        if let Some(batch) = &plan.batch {
            let engine = BatchEngine::new(Arc::clone(batch));
            return Self { engine: Engine::Batch(Box::new(engine)), cut: None, settled: false };
        }
        let Ok(compiled) = plan.compiled() else {
            return Self { engine: Engine::Refused(Counts::default()), cut: None, settled: false };
        };
        let framing = match &plan.format {
            Format::Json => Framing::Document,
            Format::Ndjson => Framing::Lines,
            Format::JsonSeq => Framing::Sequence,
            Format::Csv(csv) => {
                let csv = csv.clone();
                return Self {
                    engine: Engine::Csv(Box::new(CsvEngine::new(plan, compiled, params, csv))),
                    cut: None,
                    settled: false,
                };
            }
            Format::Sse => {
                return Self {
                    engine: Engine::Sse(Box::new(SseEngine::new(plan, compiled, params))),
                    cut: None,
                    settled: false,
                };
            }
        };
        Self {
            engine: Engine::Json(Box::new(Machine::new(plan, compiled, params, framing))),
            cut: None,
            settled: false,
        }
    }

    /// Takes the next chunk and writes what is decided. After an error nothing more is taken; what was written
    /// before is safe to send, provided the message is left unfinished.
    pub fn push(&mut self, chunk: &[u8], out: &mut impl Output) -> Result<(), Cut> {
        if let Some(cut) = &self.cut {
            return Err(cut.clone());
        }
        let result = match &mut self.engine {
            Engine::Json(machine) => machine.push(chunk, out),
            Engine::Csv(engine) => engine.push(chunk, out),
            Engine::Sse(engine) => engine.push(chunk, out),
            Engine::Batch(engine) => engine.push(chunk, out),
            Engine::Refused(_) => Err(Cut { reason: CutReason::Plan, offset: 0 }),
        };
        self.remember(result)
    }

    /// Ends the answer and writes what is still due.
    pub fn finish(&mut self, out: &mut impl Output) -> Result<(), Cut> {
        if let Some(cut) = &self.cut {
            return Err(cut.clone());
        }
        let result = match &mut self.engine {
            Engine::Json(machine) => machine.finish(out),
            Engine::Csv(engine) => engine.finish(out),
            Engine::Sse(engine) => engine.finish(out),
            Engine::Batch(engine) => engine.finish(out),
            Engine::Refused(_) => Err(Cut { reason: CutReason::Plan, offset: 0 }),
        };
        let result = self.remember(result);
        self.settle();
        self.settled = true;
        result
    }

    /// What was released and withheld so far, usable after every chunk and after a cut. [`Counts::fields`] and
    /// [`Counts::grants`] are brought up to date by [`Rewriter::finish`], by a cut and by [`Rewriter::settle`].
    pub fn counts(&self) -> &Counts {
        match &self.engine {
            Engine::Json(machine) => &machine.tally.counts,
            Engine::Csv(engine) => &engine.tally.counts,
            Engine::Sse(engine) => &engine.tally.counts,
            Engine::Batch(engine) => &engine.counts,
            Engine::Refused(counts) => counts,
        }
    }

    /// All of them up to date, taken: nothing is counted afterwards.
    pub fn take_counts(&mut self) -> Counts {
        if !self.settled {
            self.settle();
        }
        match &mut self.engine {
            Engine::Json(machine) => std::mem::take(&mut machine.tally.counts),
            Engine::Csv(engine) => std::mem::take(&mut engine.tally.counts),
            Engine::Sse(engine) => std::mem::take(&mut engine.tally.counts),
            Engine::Batch(engine) => std::mem::take(&mut engine.counts),
            Engine::Refused(counts) => std::mem::take(counts),
        }
    }

    /// Brings the named counts up to date and gives all of them: for a stream that is given up before its end.
    pub fn settle(&mut self) -> &Counts {
        match &mut self.engine {
            Engine::Json(machine) => machine.settle(),
            Engine::Csv(engine) => engine.settle(),
            Engine::Sse(engine) => engine.settle(),
            Engine::Batch(engine) => engine.settle(),
            Engine::Refused(_) => {}
        }
        self.counts()
    }

    fn remember(&mut self, result: Result<(), Cut>) -> Result<(), Cut> {
        if let Err(cut) = &result {
            self.cut = Some(cut.clone());
            self.settle();
            self.settled = true;
        }
        result
    }
}
