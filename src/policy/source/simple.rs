//! Reading the plain part of YAML quickly.
//!
//! Almost every policy file, and every one that a program wrote with a million bindings in it, keeps to a small part
//! of YAML: mappings and lists by indentation, lists and mappings between brackets, texts on one line, with or
//! without quotes, and comments. This reader knows that part only, and is several times as fast as the full parser.
//! At the first thing it does not know it gives up, and the full parser reads the file from its beginning: anchors,
//! aliases, tags, block scalars, texts over several lines, complex keys, documents, tabs, directives, and whatever
//! is wrong. So it never complains itself.
//!
//! What it does read, it reads as the full parser does, with the same marks: both build with the same [`Builder`], and
//! a property test compares them.

use std::borrow::Cow;

use super::SourceBounds;
use super::tree::{Builder, Built, Style};

/// Reads a text. `None`: the full parser must.
pub(super) fn read(text: &str, file: u32, bounds: &SourceBounds) -> Option<Built> {
    if !text.bytes().all(|byte| byte == b'\n' || (byte >= b' ' && byte != 0x7f)) || !readable(text) {
        return None;
    }
    let tree = Builder::new(file, bounds);
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0, line: 0, tree };
    reader.document().ok()?;
    Some(reader.tree.finish())
}

/// Something outside the part that is read here.
struct Other;

type Step = Result<(), Other>;

struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    /// Where the line begins.
    line: usize,
    tree: Builder,
}

// === by indentation ===

impl<'t> Reader<'t> {
    fn document(&mut self) -> Step {
        match self.next_line() {
            None => Ok(()),
            Some(0) => {
                self.block(0)?;
                if self.at == self.bytes.len() { Ok(()) } else { Err(Other) }
            }
            Some(_) => Err(Other),
        }
    }

    /// A list or mapping whose first character stands here, in this column.
    fn block(&mut self, column: usize) -> Step {
        if self.at_dash() { self.list(column) } else { self.mapping(column) }
    }

    fn list(&mut self, column: usize) -> Step {
        self.open(Style::Block, true)?;
        while self.at_dash() {
            self.at += 1;
            self.skip_blanks();
            if self.at_line_end() {
                self.below(column, false)?;
            } else {
                let inner = self.at - self.line;
                if self.at_dash() || self.at_key() {
                    self.block(inner)?;
                } else {
                    self.value(column)?;
                    self.end_line()?;
                }
            }
            match self.column() {
                Some(next) if next == column => {}
                Some(next) if next > column => return Err(Other),
                _ => break,
            }
        }
        self.close()
    }

    fn mapping(&mut self, column: usize) -> Step {
        self.open(Style::Block, false)?;
        loop {
            self.key()?;
            self.skip_blanks();
            if self.at_line_end() {
                self.below(column, true)?;
            } else {
                self.value(column)?;
                self.end_line()?;
            }
            match self.column() {
                // A list in the column of its key was read above.
                Some(next) if next == column && !self.at_dash() => {}
                Some(next) if next > column => return Err(Other),
                _ => break,
            }
        }
        self.close()
    }

    /// What stands below a key or dash with nothing behind it.
    fn below(&mut self, column: usize, behind_key: bool) -> Step {
        self.end_line()?;
        match self.column() {
            Some(next) if next > column => self.block(next),
            Some(next) if next == column && behind_key && self.at_dash() => self.list(column),
            _ => self.tree.nothing(0).map_err(|_| Other),
        }
    }

    /// The column of what comes next; `None` at the end.
    fn column(&self) -> Option<usize> {
        (self.at < self.bytes.len()).then(|| self.at - self.line)
    }

    /// Goes over a blank rest of the line and all lines without content, to the next thing.
    fn end_line(&mut self) -> Step {
        if !self.at_line_end() {
            return Err(Other);
        }
        self.skip_line();
        self.next_line();
        Ok(())
    }

    /// From the beginning of a line to the first thing; its column.
    fn next_line(&mut self) -> Option<usize> {
        loop {
            self.line = self.at;
            self.skip_blanks();
            match self.peek() {
                None => return None,
                Some(b'\n' | b'#') => self.skip_line(),
                Some(_) => return self.column(),
            }
        }
    }

    fn skip_line(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at = memchr::memchr(b'\n', rest).map_or(self.bytes.len(), |to| self.at + to + 1);
    }

    /// Whether nothing but a comment follows on this line. A comment is set off from what is before it.
    fn at_line_end(&mut self) -> bool {
        let before = self.at;
        self.skip_blanks();
        match self.peek() {
            None | Some(b'\n') => true,
            Some(b'#') => self.at > before || self.bytes.get(before.wrapping_sub(1)) == Some(&b' '),
            Some(_) => false,
        }
    }

    fn at_dash(&self) -> bool {
        self.peek() == Some(b'-') && matches!(self.ahead(1), None | Some(b' ' | b'\n'))
    }

    /// Whether a text with a colon behind it stands here.
    fn at_key(&mut self) -> bool {
        let from = self.at;
        let found = self.text_here(false).is_ok() && self.at_colon();
        self.at = from;
        found
    }

    fn key(&mut self) -> Step {
        let from = self.at;
        let (text, plain) = self.text_here(false)?;
        if !self.at_colon() || self.at - from > LONGEST_KEY {
            return Err(Other);
        }
        self.scalar(&text, plain, from)?;
        self.at += 1;
        Ok(())
    }

    fn at_colon(&self) -> bool {
        self.peek() == Some(b':') && matches!(self.ahead(1), None | Some(b' ' | b'\n'))
    }

    /// What stands behind a key or dash, in a block of this column.
    fn value(&mut self, column: usize) -> Step {
        if matches!(self.peek(), Some(b'[' | b'{')) {
            return self.brackets(column);
        }
        let from = self.at;
        let (text, plain) = self.text_here(false)?;
        self.scalar(&text, plain, from)
    }
}

// === between brackets ===

impl<'t> Reader<'t> {
    fn brackets(&mut self, column: usize) -> Step {
        let list = self.peek() == Some(b'[');
        let end = if list { b']' } else { b'}' };
        self.open(Style::Flow, list)?;
        self.at += 1;
        self.gap(column)?;
        if self.peek() != Some(end) {
            loop {
                if !list {
                    self.bracket_key()?;
                }
                self.bracket_value(column)?;
                self.gap(column)?;
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(byte) if byte == end => break,
                    _ => return Err(Other),
                }
                self.gap(column)?;
            }
        }
        self.at += 1;
        self.close()
    }

    fn bracket_key(&mut self) -> Step {
        let from = self.at;
        let (text, plain) = self.text_here(true)?;
        if !self.at_colon() || self.ahead(1) != Some(b' ') || self.at - from > LONGEST_KEY {
            return Err(Other);
        }
        self.scalar(&text, plain, from)?;
        self.at += 1;
        self.skip_blanks();
        Ok(())
    }

    fn bracket_value(&mut self, column: usize) -> Step {
        if matches!(self.peek(), Some(b'[' | b'{')) {
            return self.brackets(column);
        }
        let from = self.at;
        let (text, plain) = self.text_here(true)?;
        self.scalar(&text, plain, from)
    }

    /// Blanks, comments and line ends; what follows on a new line stands farther in than the block around it.
    fn gap(&mut self, column: usize) -> Step {
        loop {
            if !self.at_line_end() {
                return Ok(());
            }
            self.skip_line();
            match self.next_line() {
                Some(next) if next > column => {}
                _ => return Err(Other),
            }
        }
    }
}

// === texts ===

impl<'t> Reader<'t> {
    /// A text on one line, and whether it is without quotes.
    fn text_here(&mut self, bracketed: bool) -> Result<(Cow<'t, str>, bool), Other> {
        match self.peek() {
            Some(b'"') => Ok((self.double_quoted()?, false)),
            Some(b'\'') => Ok((self.single_quoted()?, false)),
            Some(_) => Ok((Cow::Borrowed(self.plain(bracketed)?), true)),
            None => Err(Other),
        }
    }

    fn plain(&mut self, bracketed: bool) -> Result<&'t str, Other> {
        let from = self.at;
        match self.peek() {
            // `-1` begins a text, `- 1` and `---` do not.
            Some(b'-') if self.ahead(1).is_some_and(|next| next.is_ascii_alphanumeric()) => {}
            Some(b'.') if self.ahead(1) == Some(b'.') => return Err(Other),
            Some(first) if INDICATORS.contains(&first) => return Err(Other),
            _ => {}
        }
        let mut end = from;
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => break,
                b'#' if end < self.at => break,
                b':' => match self.ahead(1) {
                    None | Some(b' ' | b'\n') => break,
                    Some(b',' | b'[' | b']' | b'{' | b'}') if bracketed => return Err(Other),
                    Some(_) => end = self.at + 1,
                },
                b',' | b']' | b'}' | b'[' | b'{' if bracketed => break,
                b' ' => {}
                _ => end = self.at + 1,
            }
            self.at += 1;
        }
        // Blanks before the colon of a key.
        if self.peek() == Some(b':') && end < self.at {
            return Err(Other);
        }
        self.at = end;
        self.text.get(from..end).filter(|text| !text.is_empty()).ok_or(Other)
    }

    fn single_quoted(&mut self) -> Result<Cow<'t, str>, Other> {
        self.at += 1;
        let from = self.at;
        let mut doubled = false;
        loop {
            match self.peek() {
                Some(b'\'') if self.ahead(1) == Some(b'\'') => {
                    doubled = true;
                    self.at += 2;
                }
                Some(b'\'') => break,
                None | Some(b'\n') => return Err(Other),
                Some(_) => self.at += 1,
            }
        }
        let text = self.text.get(from..self.at).ok_or(Other)?;
        self.at += 1;
        Ok(if doubled { Cow::Owned(text.replace("''", "'")) } else { Cow::Borrowed(text) })
    }

    fn double_quoted(&mut self) -> Result<Cow<'t, str>, Other> {
        self.at += 1;
        let mut from = self.at;
        let mut before = String::new();
        loop {
            match self.peek() {
                Some(b'"') => break,
                None | Some(b'\n') => return Err(Other),
                Some(b'\\') => {
                    before.push_str(self.text.get(from..self.at).ok_or(Other)?);
                    before.push(match self.ahead(1) {
                        Some(b'"') => '"',
                        Some(b'\\') => '\\',
                        Some(b'n') => '\n',
                        Some(b't') => '\t',
                        _ => return Err(Other),
                    });
                    self.at += 2;
                    from = self.at;
                }
                Some(_) => self.at += 1,
            }
        }
        let text = self.text.get(from..self.at).ok_or(Other)?;
        self.at += 1;
        if before.is_empty() {
            return Ok(Cow::Borrowed(text));
        }
        before.push_str(text);
        Ok(Cow::Owned(before))
    }
}

// === small things ===

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn ahead(&self, by: usize) -> Option<u8> {
        self.bytes.get(self.at + by).copied()
    }

    fn skip_blanks(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    fn open(&mut self, style: Style, list: bool) -> Step {
        let mark = self.tree.mark(self.at, self.at + usize::from(style == Style::Flow));
        let opened =
            if list { self.tree.open_list(style, mark, 0) } else { self.tree.open_map(style, mark, 0) };
        opened.map_err(|_| Other)
    }

    fn close(&mut self) -> Step {
        let mark = self.tree.mark(self.at, self.at);
        self.tree.close(mark).map_err(|_| Other)
    }

    fn scalar(&mut self, text: &str, plain: bool, from: usize) -> Step {
        let mark = self.tree.mark(from, self.at);
        self.tree.scalar(text, plain, mark, 0).map_err(|_| Other)
    }
}

/// Whether there is no character that is a line break to some readers, or invisible.
fn readable(text: &str) -> bool {
    text.is_ascii()
        || text.chars().filter(|c| !c.is_ascii()).all(|c| {
            !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
        })
}

/// Characters that no text without quotes begins with.
const INDICATORS: &[u8] = b"-?:,[]{}#&*!|>'\"%@`";
/// Longest key: YAML 1.2.2 section 7.4.2 allows 1024 characters.
const LONGEST_KEY: usize = 1000;

#[cfg(test)]
mod tests;
