//! Follows a chunked body (RFC 9112 section 7.1) byte by byte, to find its end and refuse what bends its grammar.
//!
//! Extensions are let through, as they must be, but bounded; trailer fields are checked like header fields. Spaces
//! around the size, bare line feeds and sizes of more than 15 digits are what smuggling is made of, and refused.

use super::head::{is_token_byte, is_value_byte};

/// Where in a chunked body we are.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    state: State,
    /// Bytes that are neither data nor sizes: extensions and trailers, which a caller could send without end.
    overhead: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    #[default]
    Start,
    /// In a size.
    Size { value: u64, digits: u8 },
    /// In an extension.
    Extension { size: u64 },
    /// Behind the CR of a size line.
    SizeFeed { size: u64 },
    /// In the data.
    Data { left: u64 },
    /// Behind the data.
    DataReturn,
    /// Behind the CR after the data.
    DataFeed,
    /// At the start of a trailer line.
    Trailer,
    /// In a trailer's name.
    TrailerName,
    /// In a trailer's value.
    TrailerValue,
    /// Behind the CR of a trailer line.
    TrailerFeed,
    /// Behind the last CR.
    EndFeed,
}

/// What came of a piece of the body.
pub(super) enum Step {
    /// All of it belongs to the body, which goes on.
    Inside,
    /// The body ends with so many of its bytes.
    Ends(usize),
    /// It breaks the grammar.
    Broken,
}

impl Chunked {
    /// Follows the next piece.
    pub(super) fn take(&mut self, input: &[u8]) -> Step {
        let mut at = 0;
        while let Some(byte) = input.get(at) {
            if let State::Data { left } = self.state {
                let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - at);
                at += bytes;
                let left = left - bytes as u64;
                self.state = if left == 0 { State::DataReturn } else { State::Data { left } };
                continue;
            }
            at += 1;
            if self.state == State::EndFeed && *byte == b'\n' {
                return Step::Ends(at);
            }
            match self.next(*byte) {
                Some(state) => self.state = state,
                None => return Step::Broken,
            }
        }
        Step::Inside
    }

    /// The state after `byte`; `None` where it may not stand.
    fn next(&mut self, byte: u8) -> Option<State> {
        use State as S;
        Some(match (self.state, byte) {
            (S::Start, _) => S::Size { value: digit(byte)?, digits: 1 },
            (S::Size { value, .. }, b'\r') => S::SizeFeed { size: value },
            (S::Size { value, .. }, b';') => S::Extension { size: value },
            (S::Size { value, digits }, _) if digits < SIZE_DIGITS => {
                S::Size { value: value << 4 | digit(byte)?, digits: digits + 1 }
            }
            (S::Extension { size }, b'\r') => S::SizeFeed { size },
            (S::Extension { .. } | S::TrailerValue, _) if is_value_byte(byte) => self.charged()?,
            (S::SizeFeed { size: 0 }, b'\n') => S::Trailer,
            (S::SizeFeed { size }, b'\n') => S::Data { left: size },
            (S::DataReturn, b'\r') => S::DataFeed,
            (S::DataFeed, b'\n') => S::Start,
            (S::Trailer, b'\r') => S::EndFeed,
            (S::TrailerName, b':') => S::TrailerValue,
            (S::Trailer | S::TrailerName, _) if is_token_byte(byte) => {
                self.charged()?;
                S::TrailerName
            }
            (S::TrailerValue, b'\r') => S::TrailerFeed,
            (S::TrailerFeed, b'\n') => S::Trailer,
            _ => return None,
        })
    }

    /// The same state, after counting a byte that carries nothing.
    fn charged(&mut self) -> Option<State> {
        self.overhead += 1;
        (self.overhead <= OVERHEAD_BYTES).then_some(self.state)
    }
}

fn digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

/// Fifteen hexadecimal digits are more than any body and fit where the library reads them.
const SIZE_DIGITS: u8 = 15;

/// Extensions and trailers of one body together.
const OVERHEAD_BYTES: usize = 8 << 10;
