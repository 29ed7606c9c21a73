//! How a key of the store is written: `fg_<id>_<secret>`. The id is public and found in lists and the audit; the
//! secret is 256 random bits and only ever shown once.

use sha2::{Digest, Sha256};

use crate::base::Secret;

/// What a key of the store starts with; secret scanners can look for it.
pub(super) const PREFIX: &str = "fg_";

/// The two parts of a key, as the caller sent them.
#[derive(Clone, Copy)]
pub(super) struct KeyText<'t> {
    pub(super) id: &'t str,
    secret: &'t str,
}

/// A new key.
pub(super) struct NewKeyText {
    pub(super) id: String,
    /// The whole of it, to be shown once.
    pub(super) text: Secret<String>,
    pub(super) hash: [u8; 32],
}

impl<'t> KeyText<'t> {
    /// Takes a key apart; `None` if it is not written like one.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let written_right = id.len() == ID_CHARS
            && secret.len() == SECRET_CHARS
            && id.bytes().chain(secret.bytes()).all(|b| ALPHABET.contains(&b));
        written_right.then_some(Self { id, secret })
    }

    /// What the store keeps. A plain hash: nobody guesses 256 random bits, so nothing slow is needed. The id is part
    /// of it, so a hash moved to another row opens nothing.
    pub(super) fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"fieldgate api key 1\0");
        hash.update(self.id.as_bytes());
        hash.update(b"\0");
        hash.update(self.secret.as_bytes());
        hash.finalize().into()
    }
}

/// Makes a key from the system's random numbers.
pub(super) fn generate() -> Result<NewKeyText, getrandom::Error> {
    let mut random = [0_u8; ID_CHARS + SECRET_CHARS];
    getrandom::fill(&mut random)?;
    let chars: String =
        random.iter().filter_map(|b| ALPHABET.get(usize::from(b & 31))).map(|&b| char::from(b)).collect();
    zeroize::Zeroize::zeroize(&mut random);
    let (id, secret) = chars.split_at(ID_CHARS);
    let hash = KeyText { id, secret }.hash();
    let text = Secret::new(format!("{PREFIX}{id}_{secret}"));
    Ok(NewKeyText { id: id.to_owned(), text, hash })
}

/// A byte of a key: the characters that RFC 6750 allows in a bearer token.
pub(super) fn is_credential_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

/// The same without the dot, which marks a token, and the padding.
pub(super) fn is_static_byte(byte: u8) -> bool {
    is_credential_byte(byte) && byte != b'.' && byte != b'='
}

/// Thirty-two characters that are not mistaken for one another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const ID_CHARS: usize = 12;
const SECRET_CHARS: usize = 52;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_read_back() {
        let key = generate().unwrap();
        let parsed = KeyText::parse(key.text.expose()).unwrap();
        assert_eq!(parsed.id, key.id);
        assert_eq!(parsed.hash(), key.hash);
        assert_ne!(generate().unwrap().text.expose(), key.text.expose());
    }

    #[test]
    fn the_hash_depends_on_the_id() {
        let (a, b) = ("a".repeat(52), "b".repeat(12));
        let one = KeyText { id: "aaaaaaaaaaaa", secret: &a };
        assert_ne!(one.hash(), KeyText { id: &b, secret: &a }.hash());
    }

    #[test]
    fn other_writings_are_not_keys() {
        let good = format!("fg_{}_{}", "a".repeat(12), "b".repeat(52));
        assert!(KeyText::parse(&good).is_some());
        for bad in [
            good.to_uppercase(),
            good.replace("fg_", "fg-"),
            format!("{good}b"),
            good.replacen('a', "", 1),
            good.replacen('a', "0", 1),
            good.replacen('a', "é", 1),
            format!(" {good}"),
            String::new(),
            "fg_".to_owned(),
            "fg__".to_owned(),
        ] {
            assert!(KeyText::parse(&bad).is_none(), "{bad}");
        }
    }
}
