//! Secrets: where they are, never what they are.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::base::{Diagnostic, Place, Secret};

/// Where a secret comes from. It is read when the gateway is built, so that `check` needs none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSource {
    /// Where it is named.
    pub place: Place,
    /// Where it is.
    pub at: SecretAt,
}

/// The two places a secret may be in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretAt {
    /// An environment variable.
    Env(String),
    /// A file; a line break at its end does not belong to the secret.
    File(PathBuf),
}

impl fmt::Display for SecretAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable `{name}`"),
            Self::File(path) => write!(f, "file `{}`", path.display()),
        }
    }
}

impl SecretSource {
    /// Reads it. An empty one is none.
    pub fn read(&self) -> Result<Secret<String>, Box<Diagnostic>> {
        let found = match &self.at {
            SecretAt::Env(name) => std::env::var(name).map_err(|error| match error {
                std::env::VarError::NotPresent => "it is not set".to_owned(),
                std::env::VarError::NotUnicode(_) => "it is not UTF-8".to_owned(),
            }),
            SecretAt::File(path) => read_file(path),
        };
        let complaint = |reason: String| {
            let message = format!("no secret in {}: {reason}", self.at);
            Box::new(Diagnostic::error("no-secret", message).at(self.place.clone()))
        };
        let mut text = found.map_err(complaint)?;
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        if text.is_empty() {
            return Err(complaint("it is empty".to_owned()));
        }
        Ok(Secret::new(text))
    }
}

pub(super) fn read_file(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

/// No secret is longer; whatever is behind it in the file is not one.
const MAX_BYTES: u64 = 64 << 10;
