//! A mask as a policy defines it, read and checked.

use serde_json::{Map, Value};

use crate::base::suggest;

use super::kinds::{KINDS, kind_named};
use super::{Masked, Scalar};

/// A mask's kind and parameters. Equal specifications do the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaskSpec {
    /// `null`.
    Blank,
    /// `***`.
    Stars,
    /// Always the same value, for values of its type.
    Constant(Constant),
    /// Keyed hash in hexadecimal digits.
    Hash {
        /// Name of the key.
        key: Box<str>,
        /// How many digits.
        length: usize,
    },
    /// Keyed token, the same for the same text wherever the key is the same.
    Pseudonym {
        /// Name of the key.
        key: Box<str>,
        /// How many characters.
        length: usize,
        /// The characters tokens are made of.
        alphabet: Box<str>,
        /// Written in front, so that tokens of a former key can be told.
        version: Option<Box<str>>,
    },
    /// Format-preserving encryption (FF1).
    Fpe {
        /// Name of the key.
        key: Box<str>,
        /// The characters that are encrypted.
        alphabet: Box<str>,
        /// Makes different fields differ under one key.
        tweak: Box<str>,
    },
    /// The range a number is in; limits as their JSON texts.
    Bucket(Vec<Box<str>>),
    /// A number to the nearest multiple.
    Round(u64),
    /// A date without its finer parts.
    Date(DateUnit),
    /// Pieces of free text.
    Detect {
        /// What is looked for, sorted, no duplicates.
        detectors: Vec<Detector>,
        /// Name of the mask applied to what is found.
        with: Box<str>,
    },
    /// An e-mail address with its domain.
    Email {
        /// How many characters of the local part stay.
        keep_first: usize,
    },
    /// Both ends of a text.
    Keep {
        /// How many characters stay at the start.
        first: usize,
        /// How many characters stay at the end.
        last: usize,
        /// What stands for each of the others.
        fill: char,
    },
    /// One mask or another, by what the record says.
    ByRecord {
        /// The condition.
        when: Box<str>,
        /// Where it is met.
        then: Box<MaskSpec>,
        /// Where it is not.
        otherwise: Box<MaskSpec>,
    },
}

/// A constant of a mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constant {
    /// Stands for texts.
    Text(Box<str>),
    /// Stands for numbers; JSON text.
    Number(Box<str>),
    /// Stands for truth values.
    Bool(bool),
}

/// What stays of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DateUnit {
    /// `2024`.
    Year,
    /// `2024-05`.
    Month,
}

/// What is looked for in free text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detector {
    /// Mobile numbers of China, and numbers in international and common national notation.
    Phone,
    /// E-mail addresses.
    Email,
    /// Identity numbers of China (GB 11643).
    IdCard,
    /// Payment cards (Luhn).
    BankCard,
    /// Bank accounts (ISO 13616, checksum).
    Iban,
}

/// Why a definition was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MaskError {
    /// The members that lead to the wrong part, from the definition: `["keep", "first"]`.
    pub path: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl MaskSpec {
    /// Reads a definition: `{ "keep": { "first": 3, "last": 4 } }`, or the name of a kind without parameters.
    pub fn parse(definition: &Value) -> Result<Self, MaskError> {
        match definition {
            Value::String(name) => Self::of_kind(name, &Value::Null),
            Value::Object(members) if members.contains_key("detect") => Self::of_detect(members),
            Value::Object(members) => match members.iter().collect::<Vec<_>>().as_slice() {
                [(name, params)] => Self::of_kind(name, params),
                _ => Err(error(
                    &[],
                    "a mask is of exactly one kind",
                    Some("as in `{ keep: { first: 3, last: 4 } }`"),
                )),
            },
            _ => Err(error(&[], "a mask names its kind", Some("as in `{ keep: { first: 3, last: 4 } }`"))),
        }
    }

    /// The specification of a built-in mask, which policies use without defining it.
    pub fn built_in(name: &str) -> Option<Self> {
        match name {
            "blank" => Some(Self::Blank),
            "stars" => Some(Self::Stars),
            "zero" => Some(Self::Constant(Constant::Number("0".into()))),
            _ => None,
        }
    }

    /// The name of the key it needs.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Hash { key, .. } | Self::Pseudonym { key, .. } | Self::Fpe { key, .. } => Some(key),
            _ => None,
        }
    }

    /// The place of its kind in [`KINDS`]: from the least to the most revealing.
    pub(super) fn kind_index(&self) -> u8 {
        match self {
            Self::Blank => 0,
            Self::Stars => 1,
            Self::Constant(_) => 2,
            Self::Hash { .. } => 3,
            Self::Pseudonym { .. } => 4,
            Self::Fpe { .. } => 5,
            Self::Bucket(_) => 6,
            Self::Round(_) => 7,
            Self::Date(_) => 8,
            Self::Detect { .. } => 9,
            Self::Email { .. } => 10,
            Self::Keep { .. } => 11,
            Self::ByRecord { then, otherwise, .. } => then.kind_index().max(otherwise.kind_index()),
        }
    }

    /// How much the parameters let through; more is more revealing.
    pub(super) fn revealed(&self) -> u64 {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        match self {
            Self::Blank | Self::Stars | Self::Constant(_) | Self::Fpe { .. } => 0,
            Self::Hash { length, .. } | Self::Pseudonym { length, .. } => count(*length),
            Self::Bucket(limits) => count(limits.len()),
            Self::Round(unit) => u64::MAX - unit,
            Self::Date(unit) => match unit {
                DateUnit::Year => 0,
                DateUnit::Month => 1,
            },
            Self::Detect { detectors, .. } => count(Detector::ALL.len().saturating_sub(detectors.len())),
            Self::Email { keep_first } => count(*keep_first),
            Self::Keep { first, last, .. } => count(first + last),
            Self::ByRecord { then, otherwise, .. } => then.revealed().max(otherwise.revealed()),
        }
    }

    /// `detect` is written with `with` beside it rather than below it.
    fn of_detect(members: &Map<String, Value>) -> Result<Self, MaskError> {
        let params = members.iter().map(|(name, value)| {
            let name = if name == "detect" { "find" } else { name.as_str() };
            (name.to_owned(), value.clone())
        });
        Self::of_kind("detect", &Value::Object(params.collect())).map_err(|mut refused| {
            match refused.path.get(1).map(String::as_str) {
                Some("find") => refused.path.truncate(1),
                Some(_) => drop(refused.path.remove(0)),
                None => {}
            }
            refused
        })
    }

    fn of_kind(name: &str, params: &Value) -> Result<Self, MaskError> {
        if let Some(spec) = Self::built_in(name) {
            return match params {
                Value::Null => Ok(spec),
                _ => Err(error(&[name], &format!("`{name}` takes no parameters"), None)),
            };
        }
        let Some(kind) = kind_named(name) else {
            let help = match suggest(name, KINDS.iter().map(|kind| kind.name)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are {}", KINDS.map(|kind| kind.name).join(", ")),
            };
            return Err(error(&[], &format!("unknown mask `{name}`"), Some(&help)));
        };
        let parsed = Params { kind: name, params, allowed: kind.params, usage: kind.usage };
        parsed.check_names()?;
        parsed.read()
    }
}

impl Constant {
    pub(super) fn in_place_of(&self, value: Scalar<'_>) -> Masked {
        match (self, value) {
            (Self::Text(text), Scalar::Text(_)) => Masked::Text(text.to_string()),
            (Self::Number(number), Scalar::Number(_)) => Masked::Number(number.to_string()),
            (Self::Bool(truth), Scalar::Bool(_)) => Masked::Bool(*truth),
            _ => Masked::Null,
        }
    }

    pub(super) fn equals(&self, value: Scalar<'_>) -> bool {
        match (self, value) {
            (Self::Text(constant), Scalar::Text(text)) => **constant == *text,
            (Self::Number(constant), Scalar::Number(number)) => super::number::equal(constant, number),
            (Self::Bool(constant), Scalar::Bool(truth)) => *constant == truth,
            _ => false,
        }
    }
}

impl Detector {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Phone, Self::Email, Self::IdCard, Self::BankCard, Self::Iban];

    /// The name policies use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Email => "email",
            Self::IdCard => "id_card",
            Self::BankCard => "bank_card",
            Self::Iban => "iban",
        }
    }
}

/// The parameters of one definition.
struct Params<'d> {
    kind: &'d str,
    params: &'d Value,
    allowed: &'static [&'static str],
    usage: &'static str,
}

impl<'d> Params<'d> {
    fn read(&self) -> Result<MaskSpec, MaskError> {
        Ok(match self.kind {
            "constant" => MaskSpec::Constant(self.constant()?),
            "hash" => {
                MaskSpec::Hash { key: self.text("key")?, length: self.count("length", 8, 64, Some(32))? }
            }
            "pseudonym" => self.pseudonym()?,
            "fpe" => MaskSpec::Fpe {
                key: self.text("key")?,
                alphabet: self.alphabet("digits")?,
                tweak: self.optional_text("tweak")?.unwrap_or_default(),
            },
            "bucket" => MaskSpec::Bucket(self.limits()?),
            "round" => match self.params.as_u64() {
                Some(unit) if unit >= 1 => MaskSpec::Round(unit),
                _ => return self.refuse(&[], "`round` takes a whole number above 0"),
            },
            "date" => match self.params.as_str() {
                Some("year") => MaskSpec::Date(DateUnit::Year),
                Some("month") => MaskSpec::Date(DateUnit::Month),
                _ => return self.refuse(&[], "`date` takes `year` or `month`"),
            },
            "detect" => self.detect()?,
            "email" => MaskSpec::Email { keep_first: self.count("keep_first", 0, 64, Some(1))? },
            _ => self.keep()?,
        })
    }

    fn constant(&self) -> Result<Constant, MaskError> {
        match self.params {
            Value::String(text) => Ok(Constant::Text(text.as_str().into())),
            Value::Number(number) => Ok(Constant::Number(number.to_string().into())),
            Value::Bool(truth) => Ok(Constant::Bool(*truth)),
            Value::Null => self.refuse(&[], "for `null` there is the mask `blank`"),
            Value::Array(_) | Value::Object(_) => {
                self.refuse(&[], "a constant is a text, a number or a truth value")
            }
        }
    }

    fn keep(&self) -> Result<MaskSpec, MaskError> {
        let fill = match self.optional_text("fill")? {
            None => '*',
            Some(fill) => match fill.chars().collect::<Vec<_>>().as_slice() {
                [fill] if !fill.is_control() => *fill,
                _ => return self.refuse(&["fill"], "`fill` is one character"),
            },
        };
        let (first, last) = (self.count("first", 0, 1024, Some(0))?, self.count("last", 0, 1024, Some(0))?);
        if first + last == 0 && self.member("first").is_none() && self.member("last").is_none() {
            return self.refuse(&[], "`keep` keeps nothing; without `first` and `last` use `stars`");
        }
        Ok(MaskSpec::Keep { first, last, fill })
    }

    fn pseudonym(&self) -> Result<MaskSpec, MaskError> {
        let length = self.count("length", 4, 64, Some(16))?;
        let alphabet = self.alphabet("base32")?;
        #[expect(clippy::cast_precision_loss, reason = "small numbers, and only an estimate is needed")]
        let bits = (alphabet.chars().count() as f64).log2() * length as f64;
        if bits < MIN_TOKEN_BITS {
            return self.refuse(&["length"], "tokens this short would be the same for different values");
        }
        let version = self.optional_text("version")?;
        let is_word = |version: &str| {
            (1..=16).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        if version.as_deref().is_some_and(|version| !is_word(version)) {
            return self.refuse(&["version"], "`version` is 1 to 16 ASCII letters and digits");
        }
        Ok(MaskSpec::Pseudonym { key: self.text("key")?, length, alphabet, version })
    }

    fn limits(&self) -> Result<Vec<Box<str>>, MaskError> {
        let Some(limits) = self.params.as_array().filter(|limits| (1..=64).contains(&limits.len())) else {
            return self.refuse(&[], "`bucket` takes a list of 1 to 64 numbers");
        };
        let texts: Option<Vec<Box<str>>> = limits.iter().map(limit_text).collect();
        let Some(texts) = texts else { return self.refuse(&[], "the limits of `bucket` are numbers") };
        let ascending = texts.windows(2).all(|pair| match pair {
            [a, b] => super::number::is_less(a, b),
            _ => true,
        });
        if ascending { Ok(texts) } else { self.refuse(&[], "the limits of `bucket` go from small to large") }
    }

    fn detect(&self) -> Result<MaskSpec, MaskError> {
        let Some(names) = self.member("find").and_then(Value::as_array).filter(|names| !names.is_empty())
        else {
            return self.refuse(&[], "`detect` takes a list of what to look for");
        };
        let mut detectors = Vec::new();
        for name in names {
            let name = name.as_str().unwrap_or_default();
            match Detector::ALL.into_iter().find(|detector| detector.name() == name) {
                Some(detector) => detectors.push(detector),
                None => {
                    let known = Detector::ALL.map(Detector::name);
                    let help = match suggest(name, known) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => format!("there are {}", known.join(", ")),
                    };
                    return Err(error(&[self.kind], &format!("unknown detector `{name}`"), Some(&help)));
                }
            }
        }
        detectors.sort_unstable();
        detectors.dedup();
        let with = self.optional_text("with")?.unwrap_or_else(|| "stars".into());
        Ok(MaskSpec::Detect { detectors, with })
    }

    /// A named set of characters, or the characters themselves.
    fn alphabet(&self, default: &str) -> Result<Box<str>, MaskError> {
        let text = self.optional_text("alphabet")?.unwrap_or_else(|| default.into());
        if let Some((_, characters)) = ALPHABETS.iter().find(|(name, _)| **name == *text) {
            return Ok((*characters).into());
        }
        let characters: Vec<char> = text.chars().collect();
        let distinct: std::collections::BTreeSet<char> = characters.iter().copied().collect();
        if characters.len() < 10 || characters.len() > 256 || distinct.len() != characters.len() {
            let help = format!("or one of {}", ALPHABETS.map(|(name, _)| name).join(", "));
            let message = "an alphabet is 10 to 256 different characters";
            return Err(error(&[self.kind, "alphabet"], message, Some(&help)));
        }
        if characters.iter().any(|c| c.is_control() || super::fpe::is_separator(*c)) {
            return self.refuse(&["alphabet"], "an alphabet holds no separators or control characters");
        }
        Ok(text)
    }

    fn check_names(&self) -> Result<(), MaskError> {
        if self.allowed.is_empty() {
            return Ok(());
        }
        let Some(members) = self.members() else { return self.refuse(&[], "parameters are missing") };
        for name in members.keys() {
            if !self.allowed.contains(&name.as_str()) {
                let help = match suggest(name, self.allowed.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("write `{}`", self.usage),
                };
                let message = format!("`{}` has no parameter `{name}`", self.kind);
                return Err(error(&[self.kind, name], &message, Some(&help)));
            }
        }
        Ok(())
    }

    fn members(&self) -> Option<&'d Map<String, Value>> {
        self.params.as_object()
    }

    fn member(&self, name: &str) -> Option<&'d Value> {
        self.members().and_then(|members| members.get(name))
    }

    fn text(&self, name: &str) -> Result<Box<str>, MaskError> {
        match self.optional_text(name)? {
            Some(text) => Ok(text),
            None => self.refuse(&[], &format!("`{name}` is missing")),
        }
    }

    fn optional_text(&self, name: &str) -> Result<Option<Box<str>>, MaskError> {
        match self.member(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.as_str().into())),
            Some(_) => self.refuse(&[name], &format!("`{name}` is a text")),
        }
    }

    fn count(
        &self,
        name: &str,
        least: usize,
        most: usize,
        default: Option<usize>,
    ) -> Result<usize, MaskError> {
        let given = match self.member(name) {
            None => default,
            Some(value) => value.as_u64().and_then(|count| usize::try_from(count).ok()),
        };
        match given {
            Some(count) if (least..=most).contains(&count) => Ok(count),
            _ => self.refuse(&[name], &format!("`{name}` is a whole number from {least} to {most}")),
        }
    }

    fn refuse<T>(&self, at: &[&str], message: &str) -> Result<T, MaskError> {
        let path = [&[self.kind], at].concat();
        Err(error(&path, message, Some(&format!("write `{}`", self.usage))))
    }
}

fn limit_text(limit: &Value) -> Option<Box<str>> {
    let number = limit.as_number()?;
    match number.as_f64() {
        // `1e5` and `100000.0` read better as `100000`.
        Some(double) if number.is_f64() && double.fract() == 0.0 && double.abs() < 1e15 => {
            Some(format!("{double:.0}").into())
        }
        Some(double) if double.is_finite() => Some(number.to_string().into()),
        _ => None,
    }
}

fn error(path: &[&str], message: &str, help: Option<&str>) -> MaskError {
    MaskError {
        path: path.iter().map(|name| (*name).to_owned()).collect(),
        message: message.to_owned(),
        help: help.map(str::to_owned),
    }
}

/// Alphabets by name. `base32` leaves out what people confuse (i, l, o, u).
const ALPHABETS: [(&str, &str); 6] = [
    ("digits", "0123456789"),
    ("hex", "0123456789abcdef"),
    ("base32", "0123456789abcdefghjkmnpqrstvwxyz"),
    ("lower", "abcdefghijklmnopqrstuvwxyz"),
    ("upper", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    ("alphanumeric", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
];

/// Below this, a million values would probably collide.
const MIN_TOKEN_BITS: f64 = 40.0;
