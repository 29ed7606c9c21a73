//! Two texts, line by line.

/// What has to change for `is` to become `should`: lines that are in both start with a blank, those only in `should`
/// with `-` (missing), those only in `is` with `+` (too many). Unchanged lines far from a change are left out.
pub fn difference(should: &str, is: &str) -> String {
    let (a, b): (Vec<_>, Vec<_>) = (should.lines().collect(), is.lines().collect());
    if a.len().saturating_mul(b.len()) > MAX_CELLS {
        return format!("- {} lines\n+ {} lines\n", a.len(), b.len());
    }
    let marked = mark(&a, &b);
    let near = |index: usize| {
        let from = index.saturating_sub(CONTEXT);
        marked
            .get(from..marked.len().min(index + CONTEXT + 1))
            .is_some_and(|m| m.iter().any(|(c, _)| *c != ' '))
    };
    let mut out = String::new();
    let mut skipped = false;
    for (index, (sign, line)) in marked.iter().enumerate() {
        if near(index) {
            out.push_str(&format!("{sign} {line}\n"));
            skipped = false;
        } else if !skipped {
            out.push_str("  …\n");
            skipped = true;
        }
    }
    out
}

/// The longest common subsequence by table: the texts are small.
fn mark<'t>(a: &[&'t str], b: &[&'t str]) -> Vec<(char, &'t str)> {
    let width = b.len() + 1;
    let mut table = vec![0_usize; (a.len() + 1) * width];
    let at = |table: &[usize], i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
    for (i, left) in a.iter().enumerate().rev() {
        for (j, right) in b.iter().enumerate().rev() {
            let value = if left == right {
                at(&table, i + 1, j + 1) + 1
            } else {
                at(&table, i + 1, j).max(at(&table, i, j + 1))
            };
            if let Some(cell) = table.get_mut(i * width + j) {
                *cell = value;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut marked = Vec::new();
    loop {
        match (a.get(i), b.get(j)) {
            (Some(left), Some(right)) if left == right => {
                marked.push((' ', *left));
                i += 1;
                j += 1;
            }
            (Some(left), right) if right.is_none() || at(&table, i + 1, j) >= at(&table, i, j + 1) => {
                marked.push(('-', *left));
                i += 1;
            }
            (_, Some(right)) => {
                marked.push(('+', *right));
                j += 1;
            }
            (_, None) => return marked,
        }
    }
}

/// Unchanged lines shown around a change.
const CONTEXT: usize = 3;
/// Largest table of the comparison.
const MAX_CELLS: usize = 4_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_miss_and_lines_too_many_are_marked() {
        assert_eq!(difference("a\nb\nc\n", "a\nx\nc\nd\n"), "  a\n- b\n+ x\n  c\n+ d\n");
        assert_eq!(difference("", "a"), "+ a\n");
        assert_eq!(difference("a", ""), "- a\n");
    }

    #[test]
    fn what_is_far_from_a_change_is_left_out() {
        let same: String = (0..20).map(|n| format!("{n}\n")).collect();
        let out = difference(&format!("{same}old\n"), &format!("{same}new\n"));
        assert_eq!(out, "  …\n  17\n  18\n  19\n- old\n+ new\n");
    }
}
