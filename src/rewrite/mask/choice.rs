//! A mask that depends on another member of the record: one mask where a condition is met, another where it is not.
//!
//! Which of the two is decided for each record, so both their strength and what they write are those of the mask that
//! is taken. Where the condition has no value, the less revealing of the two is.

use std::sync::Arc;

use super::super::condition::Predicate;
use super::{Mask, MaskSpec, Method};

/// Two masks and what decides between them.
#[derive(Debug)]
pub struct MaskChoice {
    /// The condition.
    pub when: Arc<Predicate>,
    /// Where it is met.
    pub then: Arc<Mask>,
    /// Where it is not met.
    pub otherwise: Arc<Mask>,
}

impl Mask {
    /// A mask by record. Neither of the two may be one itself: `None`.
    pub fn by_record(
        name: &str,
        when: Arc<Predicate>,
        then: Arc<Mask>,
        otherwise: Arc<Mask>,
    ) -> Option<Self> {
        if then.choice().is_some() || otherwise.choice().is_some() {
            return None;
        }
        let spec = MaskSpec::ByRecord {
            when: when.source().as_ref().into(),
            then: Box::new(then.spec.clone()),
            otherwise: Box::new(otherwise.spec.clone()),
        };
        Some(Self { name: name.into(), spec, method: Method::ByRecord(MaskChoice { when, then, otherwise }) })
    }

    /// What decides which mask it is, if that depends on the record.
    pub fn choice(&self) -> Option<&MaskChoice> {
        match &self.method {
            Method::ByRecord(choice) => Some(choice),
            _ => None,
        }
    }

    /// The masks it can be: itself, or both of a choice.
    pub(super) fn each(&self) -> impl Iterator<Item = &Mask> {
        let (first, second) = match self.choice() {
            Some(choice) => (&*choice.then, Some(&*choice.otherwise)),
            None => (self, None),
        };
        std::iter::once(first).chain(second)
    }
}

impl MaskChoice {
    /// The mask for a record: the condition was met, not met, or (`None`) had no value.
    pub fn taken(&self, met: Option<bool>) -> &Arc<Mask> {
        match met {
            Some(true) => &self.then,
            Some(false) => &self.otherwise,
            None if self.then.strength() < self.otherwise.strength() => &self.then,
            None => &self.otherwise,
        }
    }

    /// What is taken where nobody can say: the less revealing one.
    pub(super) fn stricter(&self) -> &Mask {
        self.taken(None)
    }
}
