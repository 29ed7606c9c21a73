//! Choices from a number or from bytes.

/// A source of choices. From a number: as many as asked for, so that one number reproduces a case. From bytes: each
/// byte decides something near it, which is what a fuzzer can learn from; behind the last byte everything is 0.
#[derive(Clone, Debug)]
pub(crate) enum Dice<'d> {
    Number(u64),
    Bytes(&'d [u8]),
}

impl<'d> Dice<'d> {
    pub(crate) fn new(seed: u64) -> Self {
        Self::Number(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn from_bytes(bytes: &'d [u8]) -> Self {
        Self::Bytes(bytes)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        let number = match self {
            Self::Number(state) => {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                *state >> 11
            }
            Self::Bytes(bytes) => {
                let width = if n <= 1 << 8 { 1 } else { 4 };
                let (now, rest) = bytes.split_at(width.min(bytes.len()));
                *bytes = rest;
                now.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
            }
        };
        usize::try_from(number % n as u64).expect("small")
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}
