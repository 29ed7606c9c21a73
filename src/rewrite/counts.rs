//! What an answer turned out to hold: for limits, metrics and the audit. Names and numbers, never values
//! (record keys excepted, which the policy names).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What was released and withheld so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes taken in (decoded).
    pub bytes_in: u64,
    /// Bytes given out (before encoding).
    pub bytes_out: u64,
    /// Records released, also as `{}`. Related records do not count.
    pub released: u64,
    /// Records not released.
    pub withheld: u64,
    /// By `resource.field` (a declared path, such as `customer.bank.account`): how often it was shown, masked or
    /// hidden in released records.
    pub fields: BTreeMap<Arc<str>, FieldCount>,
    /// Members that nobody declared, by name, up to a cap of 32 names of at most 64 characters, escaped.
    pub unknown: BTreeSet<Box<str>>,
    /// The keys of released records as JSON text without quotes, up to [`Bounds::keys`](super::Bounds::keys).
    pub keys: Vec<Box<str>>,
    /// Grants that applied to at least one released record.
    pub grants: BTreeSet<Arc<str>>,
    /// Of the answer to a batch: which request got how much of it, in the order of the answers; only the last one
    /// still grows.
    pub shares: Vec<Share>,
}

/// What one request of a batch got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The request.
    pub item: usize,
    /// Records released.
    pub released: u64,
    /// How many of [`Counts::keys`] are its own; they follow those of the shares before.
    pub keys: usize,
    /// Bytes given out.
    pub bytes: u64,
}

/// How often a field was shown, masked or hidden.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldCount {
    /// Passed as it was.
    pub shown: u64,
    /// Passed masked.
    pub masked: u64,
    /// Did not pass.
    pub hidden: u64,
}
