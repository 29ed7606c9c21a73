//! From specifications to masks: keys are looked up, names resolved.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{Secret, suggest};

use super::detect::Detection;
use super::fpe::Cipher;
use super::keyed::{Hash, Pseudonym};
use super::number::Buckets;
use super::spec::{Constant, MaskError, MaskSpec};
use super::text::{Email, Keep};
use super::{Mask, Method};

/// The deployment's keys for masks, by name.
#[derive(Default)]
pub struct Keys(BTreeMap<Box<str>, Secret<Vec<u8>>>);

impl Keys {
    /// Adds a key; a former one of the same name goes.
    pub fn insert(&mut self, name: impl Into<Box<str>>, key: Secret<Vec<u8>>) {
        self.0.insert(name.into(), key);
    }

    fn get(&self, name: &str) -> Result<&[u8], MaskError> {
        let Some(key) = self.0.get(name) else {
            let help = match suggest(name, self.0.keys().map(|known| &**known)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "keys are given in the configuration, never in the policy".to_owned(),
            };
            return Err(refusal("key", format!("there is no key `{name}`"), Some(help)));
        };
        if key.expose().len() < MIN_KEY_BYTES {
            let help = "for instance what `openssl rand -base64 32` prints".to_owned();
            let message = format!("key `{name}` is shorter than {MIN_KEY_BYTES} bytes");
            return Err(refusal("key", message, Some(help)));
        }
        Ok(key.expose())
    }
}

/// All masks of a policy by name, the built-in ones included.
#[derive(Debug, Default)]
pub struct Masks(BTreeMap<Box<str>, Arc<Mask>>);

impl Masks {
    /// Builds the masks of a policy. Every definition that cannot be built is reported, by its name.
    pub fn build<'d>(
        definitions: impl IntoIterator<Item = (&'d str, &'d MaskSpec)>,
        keys: &Keys,
    ) -> Result<Self, Vec<(Box<str>, MaskError)>> {
        let mut masks = BTreeMap::new();
        for name in BUILT_IN {
            masks.extend(MaskSpec::built_in(name).and_then(|spec| {
                let method = method(&spec, keys, &BTreeMap::new()).ok()?;
                Some((name.into(), Arc::new(Mask { name: name.into(), spec, method })))
            }));
        }
        let mut errors = Vec::new();
        // `detect` names other masks and never another `detect`: those come last.
        let (plain, detecting): (Vec<_>, Vec<_>) =
            definitions.into_iter().partition(|(_, spec)| !matches!(spec, MaskSpec::Detect { .. }));
        for (name, spec) in plain.into_iter().chain(detecting) {
            if BUILT_IN.contains(&name) {
                let message = format!("`{name}` is built in and cannot be defined again");
                errors.push((name.into(), MaskError { path: Vec::new(), message, help: None }));
                continue;
            }
            match method(spec, keys, &masks) {
                Ok(method) => {
                    masks.insert(
                        name.into(),
                        Arc::new(Mask { name: name.into(), spec: spec.clone(), method }),
                    );
                }
                Err(error) => errors.push((name.into(), error)),
            }
        }
        if errors.is_empty() { Ok(Self(masks)) } else { Err(errors) }
    }

    /// The mask of a name.
    pub fn get(&self, name: &str) -> Option<&Arc<Mask>> {
        self.0.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }
}

fn method(spec: &MaskSpec, keys: &Keys, masks: &BTreeMap<Box<str>, Arc<Mask>>) -> Result<Method, MaskError> {
    Ok(match spec {
        MaskSpec::Blank => Method::Blank,
        MaskSpec::Stars => Method::Stars,
        MaskSpec::Constant(constant) => Method::Constant(constant.clone()),
        MaskSpec::Hash { key, length } => Method::Hash(Hash::new(keys.get(key)?, *length)),
        MaskSpec::Pseudonym { key, length, alphabet, version } => {
            Method::Pseudonym(Pseudonym::new(keys.get(key)?, *length, alphabet, version.as_deref()))
        }
        MaskSpec::Fpe { key, alphabet, tweak } => match Cipher::new(keys.get(key)?, alphabet, tweak) {
            Some(cipher) => Method::Fpe(Box::new(cipher)),
            None => {
                let message = format!("`fpe` takes a key of 16, 24 or 32 bytes, `{key}` has another length");
                return Err(refusal("key", message, None));
            }
        },
        MaskSpec::Bucket(limits) => Method::Bucket(Buckets::new(limits)),
        MaskSpec::Round(unit) => Method::Round(*unit),
        MaskSpec::Date(unit) => Method::Date(*unit),
        MaskSpec::Detect { detectors, with } => {
            let found = masks.get(with).filter(|mask| fits_inside_text(&mask.spec));
            let Some(found) = found else { return Err(unknown_with(with, masks)) };
            Method::Detect(Detection::new(detectors, Arc::clone(found)))
        }
        MaskSpec::Email { keep_first } => Method::Email(Email::new(*keep_first)),
        MaskSpec::Keep { first, last, fill } => Method::Keep(Keep::new(*first, *last, *fill)),
        MaskSpec::ByRecord { .. } => {
            return Err(refusal("when", "a mask by record is made of two others".into(), None));
        }
    })
}

/// Whether a mask can stand for a piece of a text: it gives a text for every text.
fn fits_inside_text(spec: &MaskSpec) -> bool {
    match spec {
        MaskSpec::Stars
        | MaskSpec::Constant(Constant::Text(_))
        | MaskSpec::Hash { .. }
        | MaskSpec::Pseudonym { .. }
        | MaskSpec::Email { .. }
        | MaskSpec::Keep { .. } => true,
        MaskSpec::Blank
        | MaskSpec::Constant(Constant::Number(_) | Constant::Bool(_))
        | MaskSpec::Fpe { .. }
        | MaskSpec::Bucket(_)
        | MaskSpec::Round(_)
        | MaskSpec::Date(_)
        | MaskSpec::Detect { .. }
        | MaskSpec::ByRecord { .. } => false,
    }
}

fn unknown_with(with: &str, masks: &BTreeMap<Box<str>, Arc<Mask>>) -> MaskError {
    let fitting = masks.iter().filter(|(_, mask)| fits_inside_text(&mask.spec)).map(|(name, _)| &**name);
    let help = match suggest(with, fitting) {
        Some(meant) if !masks.contains_key(with) => format!("did you mean `{meant}`?"),
        _ => "use stars, a constant text, hash, pseudonym, email or keep".to_owned(),
    };
    let message = if masks.contains_key(with) {
        format!("`{with}` cannot stand for a piece of a text")
    } else {
        format!("there is no mask `{with}`")
    };
    MaskError { path: vec!["with".to_owned()], message, help: Some(help) }
}

fn refusal(param: &str, message: String, help: Option<String>) -> MaskError {
    MaskError { path: vec![param.to_owned()], message, help }
}

const BUILT_IN: [&str; 3] = ["blank", "stars", "zero"];

/// Shorter keys could be found by trying.
const MIN_KEY_BYTES: usize = 16;
