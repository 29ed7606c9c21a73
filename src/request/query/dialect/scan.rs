//! The words of a filter text: names, numbers, texts in quotes, and signs. Comments, control characters and anything
//! unknown are refused.

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name, also a dotted one, or a keyword.
    Name(String),
    /// As it stands.
    Number(String),
    /// Decoded.
    Text(String),
    /// Brackets, commas and comparison signs.
    Sign(&'static str),
}

impl Token {
    /// Whether it is this keyword, in any case.
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Name(name) if name.eq_ignore_ascii_case(keyword))
    }
}

/// Takes a text apart; `signs` are the known ones, the longer first.
pub(super) fn tokens(text: &str, signs: &[&'static str]) -> Option<Vec<Token>> {
    if text.len() > MAX_TEXT_BYTES {
        return None;
    }
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(first) = rest.chars().next() else { return Some(tokens) };
        if tokens.len() >= MAX_TOKENS || rest.starts_with("--") || rest.starts_with("/*") {
            return None;
        }
        let (token, length) = if first == '\'' {
            quoted(rest)?
        } else if first.is_ascii_digit()
            || (first == '-' && rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit))
        {
            number(rest)?
        } else if first.is_alphabetic() || first == '_' {
            let length = rest
                .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '$')))
                .unwrap_or(rest.len());
            (Token::Name(rest.get(..length)?.to_owned()), length)
        } else {
            let sign = signs.iter().find(|sign| rest.starts_with(**sign))?;
            (Token::Sign(sign), sign.len())
        };
        tokens.push(token);
        rest = rest.get(length..)?;
    }
}

/// A text in single quotes, where two of them stand for one.
fn quoted(rest: &str) -> Option<(Token, usize)> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if chars.next_if(|(_, next)| *next == '\'').is_some() => text.push('\''),
            '\'' => return Some((Token::Text(text), at + 1)),
            c if c.is_control() => return None,
            c => text.push(c),
        }
    }
    None
}

fn number(rest: &str) -> Option<(Token, usize)> {
    let signed = usize::from(rest.starts_with('-'));
    let digits =
        |from: usize| rest.as_bytes().iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let mut length = signed + digits(signed);
    if rest.as_bytes().get(length) == Some(&b'.') {
        let fraction = digits(length + 1);
        if fraction == 0 {
            return None;
        }
        length += 1 + fraction;
    }
    // `1e5`, `12abc`: not a number here.
    let glued =
        rest.get(length..)?.chars().next().is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
    if glued { None } else { Some((Token::Number(rest.get(..length)?.to_owned()), length)) }
}

const MAX_TEXT_BYTES: usize = 16 << 10;
const MAX_TOKENS: usize = 2_048;
