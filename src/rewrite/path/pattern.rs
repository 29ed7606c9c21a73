//! I-Regexp (RFC 9485), the patterns of `match` and `search` in filters, as patterns of a linear engine.

/// Compiles a pattern; `whole`: it must match from the first character to the last.
pub(super) fn compile(pattern: &str, whole: bool) -> Result<regex::Regex, String> {
    let translated = translate(pattern)?;
    // Alone first: an unbalanced bracket must not meet the ones put around it.
    let build = |pattern: &str| {
        let built = regex::RegexBuilder::new(pattern).size_limit(MAX_COMPILED_BYTES).nest_limit(32).build();
        built.map_err(|error| {
            let printed = error.to_string();
            let reason = printed.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("bad pattern in a filter: {reason}")
        })
    };
    let plain = build(&translated)?;
    if whole { build(&format!("\\A(?:{translated})\\z")) } else { Ok(plain) }
}

/// `.` is any character but line ends, `^` and `$` anchor as in the dialects that RFC 9485 section 5 maps to (and as
/// the compliance suite of RFC 9535 has it), and what another dialect would read into a pattern is refused.
fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    let (mut in_class, mut class_start) = (false, false);
    while let Some(c) = chars.next() {
        let first = std::mem::take(&mut class_start);
        match c {
            '\\' => {
                let escaped = chars.next().unwrap_or_default();
                match escaped {
                    'p' | 'P' if chars.peek() == Some(&'{') => {}
                    'n' | 'r' | 't' | '(' | ')' | '*' | '+' | '-' | '.' | '?' | '[' | '\\' | ']' | '^'
                    | '{' | '|' | '}' => {}
                    _ => {
                        return Err(format!(
                            "`\\{}` is no escape of RFC 9485 patterns",
                            escaped.escape_default()
                        ));
                    }
                }
                out.extend(['\\', escaped]);
            }
            '.' if !in_class => out.push_str(r"[^\n\r]"),
            '[' if !in_class => {
                in_class = true;
                class_start = true;
                out.push(c);
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
            }
            '[' => return Err("`[` in a class of a pattern is written `\\[`".into()),
            ']' => {
                in_class = false;
                out.push(c);
            }
            // Set operations of the engine's own dialect, which are characters here.
            '&' | '~' if in_class => out.extend(['\\', c]),
            '-' if in_class && (first || chars.peek() == Some(&']')) => out.push_str("\\-"),
            '(' if !in_class && chars.peek() == Some(&'?') => {
                return Err("`(?` is not part of RFC 9485 patterns".into());
            }
            '*' | '+' | '?' | '}' if !in_class && matches!(chars.peek(), Some('?' | '+' | '*')) => {
                return Err("a quantifier behind a quantifier is not part of RFC 9485 patterns".into());
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

/// Memory of a compiled pattern.
const MAX_COMPILED_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_the_standard_says() {
        let is = |pattern: &str, whole, text: &str| compile(pattern, whole).map(|regex| regex.is_match(text));
        for (pattern, whole, text, expected) in [
            ("a.c", true, "abc", true),
            ("a.c", true, "a\rc", false),
            ("a|b", true, "ab", false),
            ("a|b", false, "xb", true),
            ("^a$", true, "a", true),
            ("^a", false, "ba", false),
            ("[a&&b]", true, "&", true),
            (r"[a\-c]", true, "-", true),
            ("[-a]", true, "-", true),
            (r"\p{Lu}", true, "A", true),
            ("1[3-9][0-9]{9}", true, "13800138000", true),
        ] {
            assert_eq!(is(pattern, whole, text), Ok(expected), "{pattern} {text:?}");
        }
        for pattern in ["(?i)a", r"\d", r"\bx", "a**", "(", ")(", "[[a]", "a{9999999}", "\\"] {
            assert!(compile(pattern, true).is_err(), "{pattern}");
        }
    }
}
