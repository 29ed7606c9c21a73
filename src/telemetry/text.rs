//! Text from outside, made safe to keep: escaped so that no line can be forged or hidden, and capped.

/// `text` with backslashes doubled and every character that does not show as itself (controls, line separators,
/// directional overrides, zero-width and private characters) written as `\u{…}`; cut after `cap` characters
/// of the result, which then ends in `…`.
///
/// Short of the cut, different texts stay different.
pub fn clean(text: &str, cap: usize) -> String {
    let mut cleaned = String::with_capacity(text.len().min(cap.saturating_mul(4)));
    let mut length = 0;
    for character in text.chars() {
        let escape = needs_escape(character).then(|| character.escape_unicode());
        let width = match (&escape, character) {
            (Some(escape), _) => escape.len(),
            (None, '\\') => 2,
            (None, _) => 1,
        };
        if length + width > cap {
            cleaned.push('…');
            break;
        }
        length += width;
        match (escape, character) {
            (Some(escape), _) => cleaned.extend(escape),
            (None, '\\') => cleaned.push_str("\\\\"),
            (None, _) => cleaned.push(character),
        }
    }
    cleaned
}

/// `line` with the characters that [`clean`] escapes escaped, and nothing else changed. `\u{1b}` stays if `colours`:
/// then it is the log's own.
pub(super) fn one_line(line: &str, colours: bool) -> String {
    let mut shown = String::with_capacity(line.len());
    for character in line.chars() {
        if needs_escape(character) && !(colours && character == '\u{1b}') {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Whether a character could end a line, move the cursor, change the direction of what follows, or not be seen.
fn needs_escape(character: char) -> bool {
    match character {
        ' '..='~' => false,
        '\u{0}'..='\u{9f}' | '\u{ad}' => true,
        // arabic letter mark, mongolian separator, general punctuation's invisible ranges, annotation, tags, BOM
        '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' => true,
        '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' => true,
        '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_of_any_script_stays_as_it_is() {
        for text in ["", "li.na", "王芳", "Åsa \"B\" <a&b>", "GET /api/v1/customers/{id}", "🙂"] {
            assert_eq!(clean(text, 100), text);
        }
    }

    #[test]
    fn nothing_can_end_the_line_hide_or_turn_what_follows() {
        assert_eq!(clean("a\r\n{\"x\":1}", 100), "a\\u{d}\\u{a}{\"x\":1}");
        assert_eq!(clean("\u{1b}[2J\u{7f}\u{85}", 100), "\\u{1b}[2J\\u{7f}\\u{85}");
        assert_eq!(clean("a\u{202e}b\u{200b}c\u{feff}", 100), "a\\u{202e}b\\u{200b}c\\u{feff}");
        assert_eq!(clean("\u{2028}\u{2029}\0", 100), "\\u{2028}\\u{2029}\\u{0}");
    }

    #[test]
    fn an_escape_cannot_be_confused_with_the_text_that_looks_like_it() {
        assert_ne!(clean("\n", 100), clean("\\u{a}", 100));
        assert_eq!(clean("C:\\x", 100), "C:\\\\x");
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        assert_eq!(clean("abcdef", 6), "abcdef");
        assert_eq!(clean("abcdefg", 6), "abcdef…");
        assert_eq!(clean("王王王王", 2), "王王…");
        assert_eq!(clean("abcde\n", 6), "abcde…");
        assert_eq!(clean(&"\u{0}".repeat(1 << 20), 10).chars().count(), 11);
    }
}
