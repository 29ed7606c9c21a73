//! What others make of the same text.

use std::collections::HashSet;
use std::hint::black_box;

use fieldgate::rewrite::mask::{Masked, Scalar};
use serde_json::Value;

use crate::CHUNK_BYTES;
use crate::plans::{MASKED, SHOWN, masks};

/// serde_json: parse into a `Value`, apply the allow-list with its masks, write. What a gateway plugin in Rust would do.
pub(crate) fn serde_value(input: &[u8]) -> usize {
    let shown: HashSet<&str> = SHOWN.iter().chain(MASKED).map(|name| outer(name)).collect();
    let inner: HashSet<&str> = SHOWN.iter().filter_map(|name| name.strip_prefix("owner.")).collect();
    let masks = masks();
    let mut value: Value = serde_json::from_slice(input).expect("json");
    for record in value["data"].as_array_mut().expect("list") {
        let record = record.as_object_mut().expect("record");
        record.retain(|name, _| shown.contains(name.as_str()));
        if let Some(Value::Object(owner)) = record.get_mut("owner") {
            owner.retain(|name, _| inner.contains(name.as_str()));
        }
        for (name, mask) in MASKED.iter().zip(&masks) {
            if let Some(Value::String(text)) = record.get_mut(*name)
                && let Masked::Text(masked) = mask.apply(Scalar::Text(text))
            {
                *text = masked;
            }
        }
    }
    serde_json::to_vec(&value).expect("text").len()
}

fn outer(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// simd-json: only parses (into a tape, in a copy that it may change), and writes nothing.
pub(crate) fn simd_tape(input: &[u8]) -> usize {
    let mut copy = input.to_vec();
    black_box(simd_json::to_tape(&mut copy).expect("json")).0.len()
}

/// sonic-rs: only parses, and writes nothing.
pub(crate) fn sonic_dom(input: &[u8]) -> usize {
    usize::from(sonic_rs::JsonValueTrait::is_object(&black_box(
        sonic_rs::from_slice::<sonic_rs::Value>(input).expect("json"),
    )))
}

/// A plain copy, piece by piece.
pub(crate) fn memcpy(input: &[u8], into: &mut [u8]) -> usize {
    for chunk in input.chunks(CHUNK_BYTES) {
        into[..chunk.len()].copy_from_slice(black_box(chunk));
        black_box(&into);
    }
    input.len()
}
