//! A rewriter fed in pieces.

use std::sync::Arc;

use super::super::condition::Params;
use super::super::{Counts, Cut, Path, RewritePlan, Rewriter};

pub(crate) fn path(text: &str) -> Path {
    if text.starts_with('$') {
        Path::parse_jsonpath(text).expect(text)
    } else if text.is_empty() {
        Path::default()
    } else {
        Path::parse_place(text).expect(text)
    }
}

/// What a rewriter gave.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Given {
    pub(crate) out: String,
    pub(crate) result: Result<(), Cut>,
    pub(crate) counts: Counts,
}

/// Feeds `input` cut at `cuts`.
pub(crate) fn feed(plan: &Arc<RewritePlan>, params: &Params, input: &[u8], cuts: &[usize]) -> Given {
    let mut rewriter = Rewriter::new(Arc::clone(plan), params.clone());
    let mut out = Vec::new();
    let mut run = || {
        let mut from = 0;
        for to in cuts.iter().copied().chain([input.len()]) {
            rewriter.push(&input[from..to], &mut out)?;
            from = to;
        }
        rewriter.finish(&mut out)
    };
    let result = run();
    let counts = rewriter.settle().clone();
    Given { out: String::from_utf8_lossy(&out).into_owned(), result, counts }
}

/// Cuts give the same output; where the answer is cut, what came before may differ in length only.
pub(crate) fn same(whole: &Given, pieces: &Given, input: &str, cuts: &[usize]) {
    if whole.result.is_ok() {
        let shown: String = input.chars().take(400).collect();
        let few = cuts.get(..cuts.len().min(40));
        let first = whole.out.bytes().zip(pieces.out.bytes()).position(|(a, b)| a != b);
        let around = |text: &str| -> String {
            text.chars().take(first.unwrap_or(0) + 40).skip(first.unwrap_or(0).saturating_sub(40)).collect()
        };
        assert!(
            whole.out == pieces.out,
            "{shown} cut at {few:?}: at {first:?} {} or {}",
            around(&whole.out),
            around(&pieces.out)
        );
        assert_eq!(whole.result, pieces.result, "{shown} cut at {few:?}");
        assert_eq!(whole.counts, pieces.counts, "{shown} cut at {few:?}");
    } else {
        assert_eq!(whole.result, pieces.result, "{input} cut at {cuts:?}");
        let prefix = whole.out.starts_with(&pieces.out) || pieces.out.starts_with(&whole.out);
        assert!(prefix, "{input} cut at {cuts:?}: {} and {}", whole.out, pieces.out);
    }
}
