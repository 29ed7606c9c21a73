//! Lines of a segment, read back one at a time and never longer than a record can be.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::content::MAX_LINE_BYTES;

/// A reader of lines.
#[derive(Debug)]
pub(super) struct Lines {
    file: BufReader<File>,
    line: Vec<u8>,
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'l> {
    /// A whole one, without its line feed.
    Whole(&'l [u8]),
    /// The last one, which has no line feed.
    Torn(&'l [u8]),
    /// One that no record can have; the rest of it is not read.
    TooLong,
}

impl Lines {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufReader::with_capacity(256 << 10, File::open(path)?), line: Vec::new() })
    }

    /// The next line, and how many bytes it takes in the file; `None` after the last.
    pub(super) fn next(&mut self) -> io::Result<Option<(Line<'_>, u64)>> {
        self.line.clear();
        let read = (&mut self.file).take(MAX_LINE_BYTES as u64 + 1).read_until(b'\n', &mut self.line)?;
        let line = match self.line.strip_suffix(b"\n") {
            Some(line) => Line::Whole(line),
            None if read == 0 => return Ok(None),
            None if read > MAX_LINE_BYTES => Line::TooLong,
            None => Line::Torn(&self.line),
        };
        Ok(Some((line, read as u64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_torn_and_endless_lines_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        std::fs::write(&path, b"a\n\nbc").unwrap();
        let mut lines = Lines::open(&path).unwrap();
        assert_eq!(lines.next().unwrap(), Some((Line::Whole(b"a"), 2)));
        assert_eq!(lines.next().unwrap(), Some((Line::Whole(b""), 1)));
        assert_eq!(lines.next().unwrap(), Some((Line::Torn(b"bc"), 2)));
        assert_eq!(lines.next().unwrap(), None);

        std::fs::write(&path, vec![b'x'; MAX_LINE_BYTES * 2]).unwrap();
        let mut lines = Lines::open(&path).unwrap();
        assert_eq!(lines.next().unwrap(), Some((Line::TooLong, MAX_LINE_BYTES as u64 + 1)));
    }
}
