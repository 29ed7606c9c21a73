//! One element of the list of answers.

use super::super::plan::Cut;
use super::super::rewriter::Rewriter;
use super::Batch;

/// One element of the list.
#[derive(Debug, Default)]
pub(super) struct Element {
    /// The request it answers, once that is said or its answer begins.
    pub(super) item: Option<usize>,
    pub(super) id: Option<Vec<u8>>,
    pub(super) status: Option<u16>,
    /// Whether the status came as a text.
    pub(super) quoted: bool,
    pub(super) answered: bool,
    pub(super) rewriter: Option<Rewriter>,
    /// Why the answer could not be rewritten, which matters only if it is no error.
    pub(super) failed: Option<Cut>,
    /// Not yet given out; empty once `open`.
    pub(super) held: Vec<u8>,
    /// Nothing that is still to come can change what becomes of it.
    pub(super) open: bool,
    /// Whether a member was written.
    pub(super) written: bool,
    pub(super) counted: Counted,
    /// Whether the named counts were taken over.
    pub(super) named: bool,
}

/// How much of the running rewriter's counts is taken over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    pub(super) released: u64,
    pub(super) withheld: u64,
    pub(super) keys: usize,
}

impl Element {
    pub(super) fn write_name(&mut self, name: &str) {
        if std::mem::replace(&mut self.written, true) {
            self.held.push(b',');
        }
        self.held.extend_from_slice(quoted(name).as_bytes());
        self.held.push(b':');
    }

    /// The members of an element that says no, and its end.
    pub(super) fn neutral(&self, batch: &Batch, status: u16, text: &str) -> Vec<u8> {
        let mut said = Self::default();
        if let (Some(name), Some(id)) = (&batch.id, &self.id) {
            said.write_name(name);
            said.held.extend_from_slice(id);
        }
        if let Some(name) = &batch.status {
            said.write_name(name);
            let status = if self.quoted { format!("\"{status}\"") } else { status.to_string() };
            said.held.extend_from_slice(status.as_bytes());
        }
        said.write_name(&batch.answer);
        said.held.extend_from_slice(text.as_bytes());
        said.held.push(b'}');
        said.held
    }
}

/// A name as JSON.
pub(super) fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}
