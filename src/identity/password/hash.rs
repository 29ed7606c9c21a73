//! Argon2 hashes of passwords in PHC form: made, read, compared.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq;

use crate::base::Secret;

/// A hash to compare with.
#[derive(Clone)]
pub(super) struct Hash {
    params: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

/// Why a text is not a hash that can be used, or none could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Not the form `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    #[error("not an argon2id hash")]
    Form,
    /// It is computed too quickly, so it is guessed quickly.
    #[error("the hash is too cheap to compute")]
    Weak,
    /// It is computed so slowly that a few logins stop everything.
    #[error("the hash takes more than 256 MiB, 16 passes or 8 lanes")]
    Heavy,
    /// A password that is empty or longer than 1024 bytes.
    #[error("the password is empty or longer than 1024 bytes")]
    Password,
    /// No random numbers from the system.
    #[error("the system gives no random numbers")]
    Random,
}

impl Hash {
    pub(super) fn parse(text: &str) -> Result<Self, HashError> {
        let parsed = PasswordHash::new(text.trim()).map_err(|_| HashError::Form)?;
        let is_argon2id = parsed.algorithm.as_str() == "argon2id" && parsed.version == Some(VERSION);
        let params = Params::try_from(&parsed).map_err(|_| HashError::Form)?;
        let (Some(salt), Some(output), true) = (parsed.salt, parsed.hash, is_argon2id) else {
            return Err(HashError::Form);
        };
        let (memory, passes) = (params.m_cost(), params.t_cost());
        if memory > MAX_MEMORY_KIB || passes > 16 || params.p_cost() > 8 {
            return Err(HashError::Heavy);
        }
        // OWASP's weakest: 7 MiB and five passes, or 19 MiB and two.
        if memory < 7 * 1024 || u64::from(memory) * u64::from(passes) < 7 * 1024 * 5 || output.len() < 16 {
            return Err(HashError::Weak);
        }
        Ok(Self { params, salt: salt.as_ref().to_vec(), output: output.as_bytes().to_vec() })
    }

    /// A hash that no password has, as costly as this one.
    pub(super) fn of_nobody(&self) -> Self {
        let mut nobody = self.clone();
        getrandom::fill(&mut nobody.output).ok();
        nobody
    }

    /// How costly it is.
    pub(super) fn cost(&self) -> u64 {
        u64::from(self.params.m_cost()) * u64::from(self.params.t_cost())
    }

    /// Whether this is the password. Takes its time, whatever the answer.
    pub(super) fn is_of(&self, password: &Secret<String>) -> bool {
        let mut output = vec![0; self.output.len()];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        let computed = argon2.hash_password_into(password.expose().as_bytes(), &self.salt, &mut output);
        computed.is_ok() && bool::from(output.ct_eq(&self.output))
    }
}

/// Hashes a password with OWASP's parameters, for the configuration.
pub fn hash_password(password: &Secret<String>) -> Result<String, HashError> {
    let text = password.expose();
    if text.is_empty() || text.len() > MAX_PASSWORD || text.chars().any(char::is_control) {
        return Err(HashError::Password);
    }
    let mut salt = [0_u8; 16];
    getrandom::fill(&mut salt).map_err(|_| HashError::Random)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default());
    let hash = argon2::PasswordHasher::hash_password_with_salt(&argon2, text.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|_| HashError::Form)
}

/// Longest password; RFC 7617 states none.
pub(super) const MAX_PASSWORD: usize = 1024;

/// The only version there is.
const VERSION: u32 = 0x13;
const MAX_MEMORY_KIB: u32 = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_password_is_known_by_its_hash_alone() {
        let text = hash_password(&secret("correct horse 电池")).unwrap();
        assert!(text.starts_with("$argon2id$v=19$") && !text.contains("horse"));
        assert_ne!(text, hash_password(&secret("correct horse 电池")).unwrap(), "salted");
        let hash = Hash::parse(&text).unwrap();
        assert!(hash.is_of(&secret("correct horse 电池")));
        assert!(!hash.is_of(&secret("correct horse")) && !hash.is_of(&secret("")));
        assert!(!hash.of_nobody().is_of(&secret("correct horse 电池")));
    }

    #[test]
    fn hashes_that_are_weak_heavy_or_none_are_refused() {
        let with = |params: &str| {
            format!("$argon2id$v=19${params}$c29tZXNhbHRzb21lc2FsdA$YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh")
        };
        assert!(Hash::parse(&with("m=19456,t=2,p=1")).is_ok());
        for (params, error) in [
            ("m=4096,t=3,p=1", HashError::Weak),
            ("m=19456,t=1,p=1", HashError::Weak),
            ("m=1048576,t=2,p=1", HashError::Heavy),
            ("m=19456,t=100,p=1", HashError::Heavy),
        ] {
            assert_eq!(Hash::parse(&with(params)).err(), Some(error), "{params}");
        }
        for text in [
            "",
            "secret",
            "$2b$12$abcdefghijklmnopqrstuv",
            "$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh",
            "$argon2id$v=16$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh",
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA",
        ] {
            assert_eq!(Hash::parse(text).err(), Some(HashError::Form), "{text}");
        }
        assert_eq!(hash_password(&secret("")).err(), Some(HashError::Password));
        assert_eq!(hash_password(&secret(&"a".repeat(MAX_PASSWORD + 1))).err(), Some(HashError::Password));
    }
}
