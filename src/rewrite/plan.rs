//! What the engine is told to do, as data. Built by `policy`, never changed afterwards, shared by all requests
//! with the same roles and route.
//!
//! # How access to one place in a record is decided
//!
//! 1. Every [`Grant`] of the record's [`RecordRule`] whose condition is met (or that has none) *applies*. If none
//!    applies, the record is not released. If the rule has no grants at all, no record of it ever is.
//! 2. Within one grant the access of a place is that of the matching [`Selector`] with the highest rank; a
//!    selector matches the place it names and everything below it. No match: the grant's `otherwise`.
//! 3. The applying grants are united: show beats mask beats hide; of two masks the less revealing one
//!    ([`Mask::strength`](super::mask::Mask::strength)) is applied.
//! 4. Each guard (a list of selectors, same rule of rank) whose winner is [`Access::Hide`] hides the place.
//! 5. A place named by a relation is not decided by the parent's selectors but by the related record's rule.
//! 6. Containers: see [`RecordRule`].

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::automaton::{Compiled, TooLarge};
use super::batch::Batch;
use super::condition::Predicate;
use super::mask::Mask;
use super::path::Path;

/// What happens to the value at one place.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// It goes: the key, the value and the comma.
    Hide,
    /// It is replaced; the type is kept or the value becomes `null`. On an object or array: `null`.
    Mask(Arc<Mask>),
    /// It passes, byte for byte.
    Show,
}

/// A place and everything below it, with the access it gives there.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// The place, relative to the record. The only path of a plan in which elements may be chosen ([`Step::Chosen`]):
    /// anywhere else such a step leads nowhere.
    ///
    /// [`Step::Chosen`]: super::Step::Chosen
    pub path: Path,
    /// Of the selectors matching a place, the highest rank decides. Equal ranks: hide beats mask beats show.
    pub rank: u32,
    /// What it gives.
    pub access: Access,
}

/// One alternative of a rule, made from one permission.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Applies to a record only if this is met; `None` always applies.
    pub when: Option<Arc<Predicate>>,
    /// The fields.
    pub fields: Vec<Selector>,
    /// For places that no selector matches: [`Access::Hide`] (the default of policies) or [`Access::Show`]
    /// (`unknown: show`). Under `Show`, a member whose name equals a named one only after folding (NFKC, case,
    /// invisible characters) is hidden unless that name is wholly shown.
    pub otherwise: Access,
    /// The permission it comes from, for counts and audit (`roles.sales.permissions[0]`).
    pub name: Arc<str>,
}

/// Equal grants release the same; what they are named by does not matter.
impl PartialEq for Grant {
    fn eq(&self, other: &Self) -> bool {
        self.when == other.when && self.fields == other.fields && self.otherwise == other.otherwise
    }
}

/// Names a [`RecordRule`] of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleId(pub usize);

/// Which rule a record at some place is under.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleRef {
    /// Always this one.
    Fixed(RuleId),
    /// The text at `at` inside the record decides (`attributes.type`); it may come last, so the record is held.
    /// Missing, duplicate, not a string, or not in the map: the record is not released.
    ByType {
        /// Where the type stands, relative to the record.
        at: Path,
        /// Type name to rule.
        cases: HashMap<Box<str>, RuleId>,
    },
}

/// How records of one type are rewritten.
///
/// Containers: an object or array is kept if something in it is released, and holds just that; otherwise it goes.
/// An *empty* container in the input counts as a leaf with its own access. A container that is wholly shown (no
/// selector or relation below it says otherwise) passes byte for byte. Where the paths declare an object
/// (`bank.account`) or an array (`contracts[*].amount`) and something of another type stands, it is hidden; so is
/// a relation whose value is not an object (`[*]` relations: an element that is not an object is dropped; a value
/// that is not an array is hidden). A released record is an object even if nothing in it is shown: `{}`.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordRule {
    /// The resource's name, for counts.
    pub name: Arc<str>,
    /// Where the record's key stands; its values are collected in [`Counts`](super::Counts) up to a cap.
    pub key: Option<Path>,
    /// The alternatives.
    pub grants: Vec<Grant>,
    /// What is taken away whatever the grants say.
    pub guards: Vec<Vec<Selector>>,
    /// Related records: place (relative to this record; ending in `[*]` for a list) and their rule. A related
    /// record that is not released is dropped from a list and becomes `null` as a single member; a related rule
    /// without grants hides the member. A list that is emptied stays `[]`.
    pub relations: Vec<(Path, RuleRef)>,
    /// Places whose text holds JSON of its own; the paths of selectors go on inside it.
    pub embedded: Vec<Path>,
    /// Places that are lists of name/value pairs.
    pub pairs: Vec<Pairs>,
}

impl RecordRule {
    /// Whether a record must be known to its end before any of it is written: for a condition, or for what only the
    /// whole record tells of its fields. A record that nothing releases is not waited for.
    pub(super) fn is_held(&self) -> bool {
        let conditional = self.grants.iter().any(|grant| grant.when.is_some());
        !self.grants.is_empty() && (conditional || self.is_choosing() || !self.masks_by_record().is_empty())
    }

    /// The masks of its grants that depend on the record, each once.
    pub(super) fn masks_by_record(&self) -> Vec<&Arc<Mask>> {
        let mut found: Vec<&Arc<Mask>> = Vec::new();
        for grant in &self.grants {
            let accesses = grant.fields.iter().map(|selector| &selector.access).chain([&grant.otherwise]);
            for access in accesses {
                if let Access::Mask(mask) = access
                    && mask.choice().is_some()
                    && !found.iter().any(|known| Arc::ptr_eq(known, mask))
                {
                    found.push(mask);
                }
            }
        }
        found
    }

    /// Whether filters, or steps that count from the end, say where its fields are.
    pub(super) fn is_choosing(&self) -> bool {
        let selectors =
            self.grants.iter().flat_map(|grant| &grant.fields).chain(self.guards.iter().flatten());
        selectors.into_iter().any(|selector| selector.path.is_chosen())
    }
}

/// A list of name/value pairs (`[{"name":"Phone","value":…}]`): each element is judged as the field named by the
/// text of its `name` member, and dropped whole unless that field is shown (or its value masked).
#[derive(Clone, Debug, PartialEq)]
pub struct Pairs {
    /// The list, relative to the record, ending in `[*]`.
    pub at: Path,
    /// The member that names the field.
    pub name: Box<str>,
    /// The member that holds the value.
    pub value: Box<str>,
}

/// Where the records are in an answer and what of the rest may pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The records.
    pub records: Records,
    /// Places outside the records that pass as they stand. Containers on the way to the records pass too.
    pub keep: Vec<Path>,
    /// The member that counts the records, if there is one.
    pub total: Option<Total>,
}

/// The places of the records.
#[derive(Clone, Debug, PartialEq)]
pub enum Records {
    /// There are none: only the kept envelope passes.
    None,
    /// One record (`$.data`). `null` there counts as not released; anything else that is not an object cuts.
    One {
        /// The place, from the root.
        at: Path,
        /// Its rule.
        rule: RuleRef,
    },
    /// A list (`$.data[*]`). An element that is not an object is dropped; anything but a list there cuts.
    Many {
        /// The place, from the root, ending in `[*]`.
        at: Path,
        /// Its rule.
        rule: RuleRef,
    },
    /// Rows of values, the columns named by the request (`$[*]`). A row with another number of values cuts.
    Rows {
        /// The rows, from the root, ending in `[*]`.
        at: Path,
        /// The rule of the record that each row stands for.
        rule: RuleId,
        /// The field path of every column, in order.
        columns: Columns,
    },
}

/// The columns of positional rows.
pub type Columns = Vec<Path>;

/// The member that says how many records there are.
#[derive(Clone, Debug, PartialEq)]
pub struct Total {
    /// Its place, from the root.
    pub at: Path,
    /// Whether it becomes the number of records released in this answer. `false`: it passes, if it is a scalar.
    pub recount: bool,
    /// What happens where the total stands before the records and the answer is longer than
    /// [`Bounds::hold_for_total_bytes`].
    pub otherwise: TotalOnHold,
}

/// What a total becomes that would have to be written before it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TotalOnHold {
    /// `null`.
    Null,
    /// The member goes.
    Remove,
}

/// The format of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON text (RFC 8259), UTF-8.
    Json,
    /// A JSON text a line.
    Ndjson,
    /// JSON text sequences (RFC 7464).
    JsonSeq,
    /// Server-sent events whose data is a JSON record.
    Sse,
    /// Comma- or tab-separated values with a header row.
    Csv(Csv),
}

/// How separated values are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csv {
    /// `b','`, `b'\t'` or `b';'`.
    pub delimiter: u8,
    /// Whether a value that a spreadsheet would take for a formula gets an apostrophe in front.
    pub neutralise_formulas: bool,
    /// Header text to field path; a header not in it is taken as a dotted field path.
    pub headers: HashMap<Box<str>, Path>,
}

/// What an answer may cost. Everything beyond is a [`Cut`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Deepest nesting of containers.
    pub depth: usize,
    /// Longest member name, in raw bytes.
    pub key_bytes: usize,
    /// Longest number, in bytes.
    pub number_bytes: usize,
    /// Longest value that a mask or a condition looks at, in raw bytes. Longer ones: masked to `null`, the
    /// condition not met.
    pub value_bytes: usize,
    /// Longest record held for its conditions.
    pub record_bytes: usize,
    /// Longest answer held so that a total in front of the records can be exact.
    pub hold_for_total_bytes: usize,
    /// Longest line or row of NDJSON, SSE, CSV that is held.
    pub line_bytes: usize,
    /// How many record keys are collected for the audit.
    pub keys: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            depth: 128,
            key_bytes: 1 << 10,
            number_bytes: 1 << 10,
            value_bytes: 64 << 10,
            record_bytes: 1 << 20,
            hold_for_total_bytes: 256 << 10,
            line_bytes: 1 << 20,
            keys: 100,
        }
    }
}

/// Everything the engine needs for one kind of answer. Made by [`RewritePlan::new`].
#[derive(Clone, Debug)]
pub struct RewritePlan {
    /// The answer's format.
    pub format: Format,
    /// Where the records are. Formats made of lines ignore the paths: each line is a record.
    pub layout: Layout,
    /// The rules, named by [`RuleId`].
    pub rules: Vec<RecordRule>,
    /// The bounds.
    pub bounds: Bounds,
    /// Where the answer is one to a batch: how, in place of the layout and the rules.
    pub batch: Option<Arc<Batch>>,
    compiled: OnceLock<Result<Arc<Compiled>, TooLarge>>,
}

/// Equal plans make the same of every answer.
impl PartialEq for RewritePlan {
    fn eq(&self, other: &Self) -> bool {
        self.format == other.format
            && self.layout == other.layout
            && self.rules == other.rules
            && self.bounds == other.bounds
            && self.batch == other.batch
    }
}

impl RewritePlan {
    /// A plan. Its automata are compiled at first use and kept with it.
    pub fn new(format: Format, layout: Layout, rules: Vec<RecordRule>, bounds: Bounds) -> Self {
        Self { format, layout, rules, bounds, batch: None, compiled: OnceLock::new() }
    }

    /// The plan of the answer to a batch.
    pub fn of_batch(batch: Batch) -> Self {
        let layout = Layout { records: Records::None, keep: Vec::new(), total: None };
        let plan = Self::new(Format::Json, layout, Vec::new(), Bounds::default());
        Self { batch: Some(Arc::new(batch)), ..plan }
    }

    /// Compiles the plan now, so that one that is too large is refused when it is loaded; otherwise every answer
    /// under it is cut.
    pub fn check(&self) -> Result<(), TooLarge> {
        self.compiled().map(drop)
    }

    pub(super) fn compiled(&self) -> Result<Arc<Compiled>, TooLarge> {
        self.compiled.get_or_init(|| Compiled::new(self).map(Arc::new)).clone()
    }
}

/// Why and where an answer was cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct Cut {
    /// Why.
    pub reason: CutReason,
    /// The offset in the (decoded) answer.
    pub offset: u64,
}

/// Why an answer was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CutReason {
    /// The text breaks the format's grammar.
    #[error("malformed input")]
    Malformed,
    /// Not UTF-8, or a lone surrogate in a member name.
    #[error("invalid text encoding")]
    Encoding,
    /// The answer ends in the middle.
    #[error("truncated input")]
    Truncated,
    /// Something follows the end of the answer.
    #[error("trailing data")]
    Trailing,
    /// A list or record was declared and something else stands.
    #[error("unexpected shape")]
    Shape,
    /// Nested deeper than [`Bounds::depth`].
    #[error("nested too deeply")]
    Depth,
    /// A member name longer than [`Bounds::key_bytes`].
    #[error("member name too long")]
    Key,
    /// A number longer than [`Bounds::number_bytes`].
    #[error("number too long")]
    Number,
    /// A record longer than [`Bounds::record_bytes`].
    #[error("record too large to decide")]
    Record,
    /// A line longer than [`Bounds::line_bytes`].
    #[error("line too long")]
    Line,
    /// A row with another number of values than the header or the request names.
    #[error("ragged row")]
    Ragged,
    /// Not exactly one answer to each request of a batch.
    #[error("not one answer for each request of the batch")]
    Items,
    /// The rewrite plan is too large to be compiled.
    #[error("rewrite plan too large")]
    Plan,
    /// The compression is broken.
    #[error("broken compression")]
    Compression,
    /// The compressed answer grows beyond the stated ratio or size.
    #[error("decompression bomb")]
    Bomb,
}

impl CutReason {
    /// The name used in metrics and the audit.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Encoding => "encoding",
            Self::Truncated => "truncated",
            Self::Trailing => "trailing",
            Self::Shape => "shape",
            Self::Depth => "depth",
            Self::Key => "key",
            Self::Number => "number",
            Self::Record => "record",
            Self::Line => "line",
            Self::Ragged => "ragged",
            Self::Items => "items",
            Self::Plan => "plan",
            Self::Compression => "compression",
            Self::Bomb => "bomb",
        }
    }
}
