//! Where a JSON value ends, byte by byte. The grammar is checked elsewhere; here only strings and brackets count.

/// A value being read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    depth: usize,
    begun: bool,
    string: bool,
    escape: bool,
}

/// What a byte was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Took {
    /// A part of the value.
    More,
    /// Its last one.
    Last,
    /// It is behind the value, which was a number or a word.
    Past,
}

impl Span {
    pub(super) fn take(&mut self, byte: u8) -> Took {
        if self.string {
            match byte {
                _ if self.escape => self.escape = false,
                b'\\' => self.escape = true,
                b'"' => {
                    self.string = false;
                    if self.depth == 0 {
                        return Took::Last;
                    }
                }
                _ => {}
            }
            return Took::More;
        }
        let scalar = self.begun && self.depth == 0;
        self.begun = true;
        match byte {
            b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n' if scalar => Took::Past,
            b'"' => {
                self.string = true;
                Took::More
            }
            b'{' | b'[' => {
                self.depth += 1;
                Took::More
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 { Took::Last } else { Took::More }
            }
            _ => Took::More,
        }
    }

    /// Takes bytes as far as they belong to the value: how many, and whether it is over.
    pub(super) fn run(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (at, byte) in bytes.iter().enumerate() {
            match self.take(*byte) {
                Took::More => {}
                Took::Last => return (at + 1, true),
                Took::Past => return (at, true),
            }
        }
        (bytes.len(), false)
    }
}
