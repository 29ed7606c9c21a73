//! Masks: how a value is replaced.
//!
//! [`KINDS`] is the table of everything there is: one row for each kind, with its place in the order of strength, what
//! it acts on, its parameters, a sentence for people and worked examples that the tests run. A policy's definition is
//! read into a [`MaskSpec`]; with the [`Keys`] of the deployment it becomes a [`Mask`], which the engine applies.
//!
//! Text masks act on texts and number masks on numbers; every other value becomes `null`, so that no text stands where
//! a client expects a number. (`bucket` is the one exception the policy language states: a number becomes a text.)
//! Nothing here looks at more than the one value; containers are the engine's business.

mod build;
mod choice;
mod detect;
mod digits;
mod fpe;
mod keyed;
mod kinds;
mod number;
mod spec;
mod text;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

use self::detect::Detection;
use self::fpe::Cipher;
use self::keyed::{Hash, Pseudonym};
use self::number::Buckets;
use self::text::{Email, Keep};

pub use build::{Keys, Masks};
pub use choice::MaskChoice;
pub use kinds::{Example, KINDS, Kind};
pub use spec::{Constant, DateUnit, Detector, MaskError, MaskSpec};

/// A JSON scalar as a mask sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'v> {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A number, as its text stands in the answer.
    Number(&'v str),
    /// A text, decoded.
    Text(&'v str),
}

/// What a masked value becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Masked {
    /// `null`.
    Null,
    /// A number, as JSON text.
    Number(String),
    /// A text, decoded; the engine escapes it.
    Text(String),
    /// `true` or `false` (only by a constant).
    Bool(bool),
}

/// What kind of value [`Mask::write`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Nothing: the value becomes `null`.
    Null,
    /// A text, decoded.
    Text,
    /// A text of pieces of the value and characters that JSON need not escape: where the value needed no escapes,
    /// neither does this.
    Pieces,
    /// A number or truth value, as JSON text.
    Bare,
}

/// A mask, ready to apply. Cheap to share; holds its key where it needs one.
pub struct Mask {
    name: Box<str>,
    spec: MaskSpec,
    method: Method,
}

/// What a mask reveals; the lower, the less. Ordered by kind first, by parameters within a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Strength {
    /// The kind's place in [`KINDS`]: blank, stars, constant, hash, pseudonym, fpe, bucket, round, date, detect, email,
    /// keep.
    pub kind: u8,
    /// Within the kind: more is more revealing.
    pub within: u64,
}

/// Why a text is not turned back: the mask cannot have written it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unturned {
    /// The mask keeps nothing of what it hides.
    #[error("nothing turns back what this mask has written")]
    OneWay,
    /// A character that is neither of the alphabet nor a separator.
    #[error("`{}` is not of the mask's alphabet", .0.escape_debug())]
    Character(char),
    /// Fewer characters than the mask encrypts.
    #[error("it has {0} characters of the mask's alphabet, and the mask writes none with fewer than {1}")]
    Short(usize, usize),
    /// More characters than the mask encrypts.
    #[error("it has more than {0} characters of the mask's alphabet")]
    Long(usize),
}

/// How it is done: the specification with keys and tables made ready.
enum Method {
    Blank,
    Stars,
    Constant(Constant),
    Hash(Hash),
    Pseudonym(Pseudonym),
    Fpe(Box<Cipher>),
    Bucket(Buckets),
    Round(u64),
    Date(DateUnit),
    Detect(Detection),
    Email(Email),
    Keep(Keep),
    ByRecord(MaskChoice),
}

impl Mask {
    /// The name the policy gives it (`phone`), or that of the built-in (`blank`, `stars`, `zero`).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it was made from. Two masks of equal [`Strength`] and different specification tie.
    pub fn spec(&self) -> &MaskSpec {
        &self.spec
    }

    /// How much it reveals; where that depends on the record, at most.
    pub fn strength(&self) -> Strength {
        if let Some(choice) = self.choice() {
            return choice.then.strength().max(choice.otherwise.strength());
        }
        let within = match &self.method {
            Method::Detect(detection) => detection.revealed(),
            _ => self.spec.revealed(),
        };
        Strength { kind: self.spec.kind_index(), within }
    }

    /// Whether it and `other` are equally strong without being the same: a policy cannot choose between them.
    pub fn ties_with(&self, other: &Mask) -> bool {
        let tie = |a: &Mask, b: &Mask| a.strength() == b.strength() && a.spec != b.spec;
        self.each().any(|mine| other.each().any(|theirs| tie(mine, theirs)))
    }

    /// What `value` becomes. Keeps the type: text masks act on texts, number masks on numbers, anything else
    /// becomes `null`.
    pub fn apply(&self, value: Scalar<'_>) -> Masked {
        match (&self.method, value) {
            (Method::ByRecord(choice), value) => choice.stricter().apply(value),
            (Method::Email(_) | Method::Keep(_), Scalar::Text(_)) => {
                let mut text = String::new();
                self.write(value, &mut text);
                Masked::Text(text)
            }
            (Method::Stars, Scalar::Text(_)) => Masked::Text(STARS.to_owned()),
            (Method::Constant(constant), value) => constant.in_place_of(value),
            (Method::Hash(hash), Scalar::Text(text)) => Masked::Text(hash.of(text)),
            (Method::Pseudonym(pseudonym), Scalar::Text(text)) => Masked::Text(pseudonym.of(text)),
            (Method::Fpe(cipher), Scalar::Text(text)) => text_or_null(cipher.encrypt(text)),
            (Method::Bucket(buckets), Scalar::Number(number)) => text_or_null(buckets.label(number)),
            (Method::Round(unit), Scalar::Number(number)) => {
                number::round(number, *unit).map_or(Masked::Null, Masked::Number)
            }
            (Method::Date(unit), Scalar::Text(text)) => text_or_null(text::date(text, *unit)),
            (Method::Detect(detection), Scalar::Text(text)) => Masked::Text(detection.mask(text)),
            (_, Scalar::Null | Scalar::Bool(_) | Scalar::Number(_) | Scalar::Text(_)) => Masked::Null,
        }
    }

    /// Like [`Self::apply`], behind what `into` holds; the most common masks allocate nothing.
    pub(crate) fn write(&self, value: Scalar<'_>, into: &mut String) -> Form {
        match (&self.method, value) {
            (Method::Stars, Scalar::Text(_)) => into.push_str(STARS),
            (Method::Email(email), Scalar::Text(text)) => email.write(text, into),
            (Method::Keep(keep), Scalar::Text(text)) => {
                keep.write(text, into);
                return if keep.fills_plainly() { Form::Pieces } else { Form::Text };
            }
            _ => match self.apply(value) {
                Masked::Null => return Form::Null,
                Masked::Text(text) => into.push_str(&text),
                Masked::Number(number) => {
                    into.push_str(&number);
                    return Form::Bare;
                }
                Masked::Bool(value) => {
                    into.push_str(if value { "true" } else { "false" });
                    return Form::Bare;
                }
            },
        }
        if matches!(self.method, Method::Stars | Method::Email(_)) { Form::Pieces } else { Form::Text }
    }

    /// For a text of ASCII without escapes, as it stands between its quotes: what of it is hidden, and what stands there
    /// instead; the rest passes as it is. It says what [`Self::write`] would; `None`: that has to be asked.
    #[inline]
    pub(crate) fn covers(&self, ascii: &[u8]) -> Option<(Range<usize>, &[u8])> {
        match &self.method {
            Method::Stars => Some((0..ascii.len(), STARS.as_bytes())),
            Method::Email(email) => Some((email.covers(ascii), STARS.as_bytes())),
            Method::Keep(keep) => keep.covers(ascii.len()),
            _ => None,
        }
    }

    /// The value that `masked` stands for: only format-preserving encryption can be undone. `None` for everything
    /// else, and for what it cannot have written.
    pub fn unapply(&self, masked: Scalar<'_>) -> Option<String> {
        match (&self.method, masked) {
            (Method::Fpe(cipher), Scalar::Text(text)) => cipher.decrypt(text),
            (Method::ByRecord(_), _) => self.each().find_map(|mask| mask.unapply(masked)),
            _ => None,
        }
    }

    /// Whether what this mask writes can be turned back.
    pub fn turns_back(&self) -> bool {
        matches!(self.method, Method::Fpe(_))
    }

    /// The same as [`Self::unapply`] for a text, and why not.
    pub fn turn_back(&self, masked: &str) -> Result<String, Unturned> {
        match &self.method {
            Method::Fpe(cipher) => cipher.turn_back(masked),
            Method::Blank
            | Method::Stars
            | Method::Constant(_)
            | Method::Hash(_)
            | Method::Pseudonym(_)
            | Method::Bucket(_)
            | Method::Round(_)
            | Method::Date(_)
            | Method::Detect(_)
            | Method::Email(_)
            | Method::Keep(_)
            // Which branch wrote it only the record tells: the branch is asked by its own name.
            | Method::ByRecord(_) => Err(Unturned::OneWay),
        }
    }

    /// Whether `value` could have been written by this mask: used to recognise a masked value that is sent back.
    ///
    /// `null` always could: every mask writes it for values of other types. Numbers are compared by value, as clients
    /// write them in their own way. It errs on the side of recognising: a real value that looks masked is taken for
    /// masked, the other way round would overwrite what the caller never saw.
    pub fn could_have_written(&self, value: Scalar<'_>) -> bool {
        match (&self.method, value) {
            (Method::ByRecord(_), value) => self.each().any(|mask| mask.could_have_written(value)),
            (_, Scalar::Null) => true,
            (Method::Constant(constant), value) => constant.equals(value),
            (Method::Round(unit), Scalar::Number(number)) => number::is_multiple(number, *unit),
            (Method::Stars, Scalar::Text(text)) => text == STARS,
            (Method::Hash(hash), Scalar::Text(text)) => hash.could_have_written(text),
            (Method::Pseudonym(pseudonym), Scalar::Text(text)) => pseudonym.could_have_written(text),
            (Method::Fpe(cipher), Scalar::Text(text)) => cipher.decrypt(text).is_some(),
            (Method::Bucket(buckets), Scalar::Text(text)) => buckets.could_have_written(text),
            (Method::Date(unit), Scalar::Text(text)) => text::is_date(text, *unit),
            (Method::Detect(detection), Scalar::Text(text)) => detection.could_have_written(text),
            (Method::Email(email), Scalar::Text(text)) => email.could_have_written(text),
            (Method::Keep(keep), Scalar::Text(text)) => keep.could_have_written(text),
            (_, Scalar::Bool(_) | Scalar::Number(_) | Scalar::Text(_)) => false,
        }
    }

    /// Whether a text holds something that this mask writes, anywhere: for masks inside free text.
    fn leaves_trace_in(&self, text: &str) -> bool {
        match &self.method {
            Method::Stars | Method::Email(_) => text.contains(STARS),
            Method::Constant(Constant::Text(constant)) => !constant.is_empty() && text.contains(&**constant),
            Method::Hash(hash) => hash.leaves_trace_in(text),
            Method::Pseudonym(pseudonym) => pseudonym.leaves_trace_in(text),
            Method::Keep(keep) => keep.leaves_trace_in(text),
            Method::ByRecord(_) => self.each().any(|mask| mask.leaves_trace_in(text)),
            Method::Blank
            | Method::Constant(Constant::Number(_) | Constant::Bool(_))
            | Method::Fpe(_)
            | Method::Bucket(_)
            | Method::Round(_)
            | Method::Date(_)
            | Method::Detect(_) => false,
        }
    }
}

fn text_or_null(text: Option<String>) -> Masked {
    text.map_or(Masked::Null, Masked::Text)
}

/// Equal masks do the same, as far as their specifications say: a key that is exchanged behind its name is not seen.
impl PartialEq for Mask {
    fn eq(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mask").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What hides a text without a trace of it, not even its length.
const STARS: &str = "***";
