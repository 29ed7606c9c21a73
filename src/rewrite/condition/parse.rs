//! Text to syntax tree, by the `cel` crate's parser, behind bounds on length and nesting.

use cel::parser::{ParseError, Parser};

pub(super) use cel::common::ast::{
    CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo, operators,
};

use super::ConditionError;

/// Parses a condition; what it gives may still be outside our subset.
pub(super) fn parse(source: &str) -> Result<(IdedExpr, SourceInfo), ConditionError> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(error(
            format!("condition of {} bytes is too long", source.len()),
            Some(format!("at most {MAX_SOURCE_BYTES} bytes; put long lists into claims or groups")),
            MAX_SOURCE_BYTES,
        ));
    }
    Parser::new()
        .max_recursion_depth(MAX_NESTING)
        .error_recovery_limit(1)
        .parse_with_source_info(source)
        .map_err(|errors| match errors.errors.first() {
            Some(first) => explain(source, first),
            None => error("condition cannot be read".into(), None, 0),
        })
}

pub(super) fn error(message: String, help: Option<String>, offset: usize) -> ConditionError {
    ConditionError { message, help, offset }
}

/// Runs `work` where the stack is deep enough for the parser. Chains (`a.b.c`, `1 + 2 + 3`) nest in the tree without
/// nesting in the text, and the parser recurses over them: about 10 KiB for each sign in an unoptimised build. The
/// few signs of ordinary conditions fit anywhere; others get a thread of their own, where a panic would end as well.
pub(super) fn with_room<T: Send>(
    source: &str,
    work: impl FnOnce() -> Result<T, ConditionError> + Send,
) -> Result<T, ConditionError> {
    let signs = source.bytes().filter(|byte| b".[(+-*/%<>=!?".contains(byte)).count();
    if signs <= SIGNS_WITHOUT_ROOM {
        return work();
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(PARSER_STACK_BYTES).spawn_scoped(scope, work);
        thread.ok().and_then(|thread| thread.join().ok())
    })
    .unwrap_or_else(|| Err(error("condition cannot be read".into(), None, 0)))
}

/// The parser's complaint in plain words.
fn explain(source: &str, complaint: &ParseError) -> ConditionError {
    let offset = offset_of(source, complaint.pos);
    let rest = source.get(offset..).unwrap_or_default();
    let found = rest.trim_start();
    let raw = complaint.msg.strip_prefix("Syntax error: ").unwrap_or(&complaint.msg);
    if raw.contains("Recursion limit") {
        let help = format!("at most {MAX_NESTING} levels of brackets");
        return error("condition is nested too deeply".into(), Some(help), offset);
    }
    if found.is_empty() {
        return error("condition ends too early".into(), None, source.trim_end().len());
    }
    if raw.contains("token recognition") && found.starts_with(['"', '\'']) {
        let help = "close it with the same quote; a backslash is written `\\\\`";
        return error("text is not closed or has an invalid escape".into(), Some(help.into()), offset);
    }
    for (wrong, message, help) in CONFUSIONS {
        if found.starts_with(wrong) {
            return error((*message).into(), Some((*help).into()), offset);
        }
    }
    let message = match raw {
        raw if raw.starts_with("invalid int literal") || raw.starts_with("invalid uint literal") => {
            "whole number beyond 64 bits".into()
        }
        raw if raw.starts_with("invalid double literal") => "number out of range".into(),
        raw if raw.starts_with("invalid string literal") => "text with an invalid escape".into(),
        raw if raw.starts_with("reserved identifier") => format!("`{}` is a reserved word", word(found)),
        raw if raw.contains("has() macro") => "has() takes a member, such as `has(record.phone)`".into(),
        raw if raw.contains("simple name") => {
            "the first argument of a macro is the name of its variable".into()
        }
        _ => format!("unexpected `{}`", word(found)),
    };
    let help =
        raw.contains("has() macro").then(|| "for names that are no identifiers: `\"a b\" in record`".into());
    error(message, help, offset)
}

/// The word or sign at the start of a text, for messages.
fn word(text: &str) -> String {
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').take(32).collect();
    if word.is_empty() { text.chars().take(1).collect() } else { word }
}

/// From line (from 1) and column (from 1, in characters) to a byte offset.
fn offset_of(source: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line - 1).unwrap_or(0);
    let column = usize::try_from(column - 1).unwrap_or(0);
    let start: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = source.get(start..).unwrap_or_default();
    start + rest.char_indices().nth(column).map_or(rest.len(), |(offset, _)| offset)
}

/// What people write who know another language.
const CONFUSIONS: &[(&str, &str, &str)] = &[
    ("and", "unexpected `and`", "write `&&`"),
    ("or", "unexpected `or`", "write `||`"),
    ("AND", "unexpected `AND`", "write `&&`"),
    ("OR", "unexpected `OR`", "write `||`"),
    ("not", "unexpected `not`", "write `!`, as in `!(x in list)`"),
    ("is", "unexpected `is`", "write `==`"),
    ("=", "unexpected `=`", "to compare, write `==`"),
    ("&", "unexpected `&`", "write `&&`"),
    ("|", "unexpected `|`", "write `||`"),
    ("“", "unexpected `“`", "use straight quotes: `\"`"),
    ("”", "unexpected `”`", "use straight quotes: `\"`"),
    ("‘", "unexpected `‘`", "use straight quotes: `'`"),
    ("（", "unexpected `（`", "use the ASCII bracket: `(`"),
    ("，", "unexpected `，`", "use the ASCII comma: `,`"),
];

/// Longest condition.
const MAX_SOURCE_BYTES: usize = 4 << 10;

/// Deepest nesting of brackets and `?:`.
const MAX_NESTING: u16 = 32;

/// Most signs that build trees in a condition that is parsed on the caller's stack.
const SIGNS_WITHOUT_ROOM: usize = 64;

/// Enough for the longest condition, were it a single chain.
const PARSER_STACK_BYTES: usize = 64 << 20;
