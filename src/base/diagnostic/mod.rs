//! Complaints about policy and configuration files: what, where, and what to do about it.

mod render;
mod sarif;

use std::fmt;
use std::sync::Arc;

/// How bad it is. Only errors make `check` fail and keep a policy from being served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The policy cannot be served.
    Error,
    /// The policy can be served; something in it is probably not meant.
    Warning,
    /// Something worth knowing.
    Note,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, as the user named it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Length in characters of what is meant; 0 where only the start is known.
    pub length: u32,
    /// The place as a path in the document, such as `$.roles.sales.permissions[1].mask`.
    pub path: String,
}

/// One complaint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name such as `unknown-label`.
    pub code: &'static str,
    /// What is wrong: lower case, no final stop, user input in backticks.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Where it is, when it is in a file.
    pub place: Option<Place>,
    /// Other places that matter, such as the first of two duplicates.
    pub related: Vec<(Place, String)>,
}

impl Diagnostic {
    /// An error with a stable code and a message.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// A warning with a stable code and a message.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        Self { severity, code, message: message.into(), help: None, place: None, related: Vec::new() }
    }

    /// Adds the place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds another place that matters, and why.
    #[must_use]
    pub fn related(mut self, place: Place, why: impl Into<String>) -> Self {
        self.related.push((place, why.into()));
        self
    }
}

/// All complaints about a set of files, and the files' texts for showing the lines.
#[derive(Clone, Debug, Default)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
    kept: [usize; 3],
    left_out: [usize; 3],
    sources: Vec<(Arc<str>, Arc<str>)>,
}

impl Report {
    /// Remembers a file's text, so that complaints about it can show the line.
    pub fn source(&mut self, file: Arc<str>, text: Arc<str>) {
        self.sources.push((file, text));
    }

    /// Adds a complaint. Of each severity the first [`MOST_KEPT`] are kept; the rest is counted.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let (kept, left_out) = self.counters(diagnostic.severity);
        if *kept < MOST_KEPT {
            *kept += 1;
            self.diagnostics.push(diagnostic);
        } else {
            *left_out += 1;
        }
    }

    /// Takes over everything another report holds.
    pub fn extend(&mut self, other: Report) {
        for severity in Severity::ALL {
            *self.counters(severity).1 += other.left_out(severity);
        }
        other.diagnostics.into_iter().for_each(|diagnostic| self.push(diagnostic));
        self.sources.extend(other.sources);
    }

    /// Whether anything in it keeps the policy from being served.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// How many complaints of a severity there are.
    pub fn count(&self, severity: Severity) -> usize {
        let kept = self.kept.get(severity as usize).copied().unwrap_or(0);
        kept + self.left_out(severity)
    }

    /// How many complaints of a severity were only counted.
    pub fn left_out(&self, severity: Severity) -> usize {
        self.left_out.get(severity as usize).copied().unwrap_or(0)
    }

    fn counters(&mut self, severity: Severity) -> (&mut usize, &mut usize) {
        let ([error, warning, note], [more_errors, more_warnings, more_notes]) =
            (&mut self.kept, &mut self.left_out);
        match severity {
            Severity::Error => (error, more_errors),
            Severity::Warning => (warning, more_warnings),
            Severity::Note => (note, more_notes),
        }
    }

    /// Sorts by place (file, line, column) and removes repetitions.
    pub fn sort(&mut self) {
        self.diagnostics
            .sort_by(|a, b| (&a.place, a.severity, &a.message).cmp(&(&b.place, b.severity, &b.message)));
        self.diagnostics.dedup();
        for severity in Severity::ALL {
            let kept = self.diagnostics.iter().filter(|found| found.severity == severity).count();
            *self.counters(severity).0 = kept;
        }
    }

    /// The complaints, in the order they stand.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The text of a file that was given to [`Report::source`].
    pub fn text(&self, file: &str) -> Option<&str> {
        self.sources.iter().find(|(name, _)| name.as_ref() == file).map(|(_, text)| text.as_ref())
    }
}

impl Severity {
    /// All of them, the worst first.
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Note];

    /// The name people and programs read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// The candidate a misspelled `name` probably meant, for "did you mean".
pub fn suggest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let length = name.chars().count();
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let similar = strsim::jaro_winkler(name, candidate);
            let edits = strsim::damerau_levenshtein(name, candidate);
            let slip = length >= 3 && edits <= if length >= 6 { 2 } else { 1 };
            (similar > 0.8 || slip).then_some((similar, candidate))
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Complaints of one severity that a report keeps: more than anybody reads, and a policy with a million mistakes does not
/// fill the memory.
pub(super) const MOST_KEPT: usize = 10_000;
