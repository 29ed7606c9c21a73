//! Format-preserving encryption: FF1 of NIST SP 800-38G over a chosen alphabet, separators left in place.

use std::collections::HashMap;

use aes::{Aes128, Aes192, Aes256};
use fpe::ff1::{FF1, FlexibleNumeralString, NumeralStringError};

use super::Unturned;

/// FF1 under one key, alphabet and tweak.
pub(super) struct Cipher {
    ff1: Ff1,
    alphabet: Vec<char>,
    numerals: HashMap<char, u16>,
    tweak: Box<str>,
}

enum Ff1 {
    Aes128(FF1<Aes128>),
    Aes192(FF1<Aes192>),
    Aes256(FF1<Aes256>),
}

type Direction = fn(&Ff1, &[u8], &FlexibleNumeralString) -> Result<FlexibleNumeralString, NumeralStringError>;

impl Cipher {
    /// `None` if the key has no length of AES. The alphabet has 2 to 65536 different characters.
    pub(super) fn new(key: &[u8], alphabet: &str, tweak: &str) -> Option<Self> {
        let alphabet: Vec<char> = alphabet.chars().collect();
        let radix = u32::try_from(alphabet.len()).ok()?;
        let ff1 = match key.len() {
            16 => Ff1::Aes128(FF1::new(key, radix).ok()?),
            24 => Ff1::Aes192(FF1::new(key, radix).ok()?),
            32 => Ff1::Aes256(FF1::new(key, radix).ok()?),
            _ => return None,
        };
        let numerals = alphabet.iter().zip(0..).map(|(c, numeral)| (*c, numeral)).collect();
        Some(Self { ff1, alphabet, numerals, tweak: tweak.into() })
    }

    /// `None` for a text that holds something else than alphabet and separators, is too long, or has fewer than a
    /// million possible values (SP 800-38G revision 1).
    pub(super) fn encrypt(&self, text: &str) -> Option<String> {
        self.in_direction(text, Ff1::encrypt)
    }

    pub(super) fn decrypt(&self, text: &str) -> Option<String> {
        self.in_direction(text, Ff1::decrypt)
    }

    /// The same as [`Self::decrypt`], and why not.
    pub(super) fn turn_back(&self, text: &str) -> Result<String, Unturned> {
        let foreign = |c: &char| !self.numerals.contains_key(c) && !is_separator(*c);
        if let Some(c) = text.chars().find(foreign) {
            return Err(Unturned::Character(c));
        }
        let length = text.chars().filter(|c| self.numerals.contains_key(c)).count();
        if length > MAX_NUMERALS {
            return Err(Unturned::Long(MAX_NUMERALS));
        }
        self.decrypt(text).ok_or_else(|| Unturned::Short(length, self.shortest()))
    }

    /// Characters from which on a million values are possible.
    fn shortest(&self) -> usize {
        let mut values = 1_usize;
        let mut length = 0;
        while values < MIN_VALUES {
            values = values.saturating_mul(self.alphabet.len().max(2));
            length += 1;
        }
        length.max(2)
    }

    fn in_direction(&self, text: &str, direction: Direction) -> Option<String> {
        let mut numerals = Vec::new();
        for c in text.chars() {
            match self.numerals.get(&c) {
                // FF1 is quadratic in the length.
                Some(_) if numerals.len() == MAX_NUMERALS => return None,
                Some(numeral) => numerals.push(*numeral),
                None if is_separator(c) => {}
                None => return None,
            }
        }
        let turned = direction(&self.ff1, self.tweak.as_bytes(), &numerals.into()).ok()?;
        let mut turned = Vec::from(turned).into_iter();
        text.chars()
            .map(|c| {
                if is_separator(c) {
                    Some(c)
                } else {
                    self.alphabet.get(usize::from(turned.next()?)).copied()
                }
            })
            .collect()
    }
}

impl Ff1 {
    fn encrypt(
        &self,
        tweak: &[u8],
        x: &FlexibleNumeralString,
    ) -> Result<FlexibleNumeralString, NumeralStringError> {
        match self {
            Self::Aes128(ff1) => ff1.encrypt(tweak, x),
            Self::Aes192(ff1) => ff1.encrypt(tweak, x),
            Self::Aes256(ff1) => ff1.encrypt(tweak, x),
        }
    }

    fn decrypt(
        &self,
        tweak: &[u8],
        x: &FlexibleNumeralString,
    ) -> Result<FlexibleNumeralString, NumeralStringError> {
        match self {
            Self::Aes128(ff1) => ff1.decrypt(tweak, x),
            Self::Aes192(ff1) => ff1.decrypt(tweak, x),
            Self::Aes256(ff1) => ff1.decrypt(tweak, x),
        }
    }
}

/// What may stand between the characters of a number without being part of it.
pub(super) fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '-' | '+' | '(' | ')' | '.' | '/')
}

const MAX_NUMERALS: usize = 128;
/// SP 800-38G revision 1, section 5.1.
const MIN_VALUES: usize = 1_000_000;
