//! Secrets: where they are, never what they are.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::base::{Diagnostic, Place, Secret};
use crate::upstream::SecretReader;

/// Where a secret comes from. It is read when the gateway is built, so that `check` needs none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSource {
    /// Where it is named.
    pub place: Place,
    /// Where it is.
    pub at: SecretAt,
}

/// The places a secret may be in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretAt {
    /// An environment variable.
    Env(String),
    /// A file; a line break at its end does not belong to the secret.
    File(PathBuf),
    /// What a program prints: the program and its arguments, run without a shell.
    Command(Vec<String>),
}

impl fmt::Display for SecretAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable `{name}`"),
            Self::File(path) => write!(f, "file `{}`", path.display()),
            // Arguments may be nobody's business.
            Self::Command(words) => write!(f, "command `{}`", words.first().map_or("", String::as_str)),
        }
    }
}

impl SecretSource {
    /// The same for the upstream stage, which reads it now and again.
    pub fn reader(&self) -> SecretReader {
        let again = match self.at {
            // A program's environment does not change from outside.
            SecretAt::Env(_) => None,
            SecretAt::File(_) => Some(FILE_AGAIN),
            SecretAt::Command(_) => Some(COMMAND_AGAIN),
        };
        let source = self.clone();
        SecretReader::new(move || source.read().map_err(|found| found.message), again)
    }

    /// Reads it. An empty one is none. A command may take [`COMMAND_TIME`].
    pub fn read(&self) -> Result<Secret<String>, Box<Diagnostic>> {
        let found = match &self.at {
            SecretAt::Env(name) => std::env::var(name).map_err(|error| match error {
                std::env::VarError::NotPresent => "it is not set".to_owned(),
                std::env::VarError::NotUnicode(_) => "it is not UTF-8".to_owned(),
            }),
            SecretAt::File(path) => read_file(path),
            SecretAt::Command(words) => run(words),
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

/// What a program prints. It gets no input, and what it says on standard error is not looked at.
fn run(words: &[String]) -> Result<String, String> {
    let (program, arguments) = words.split_first().ok_or("no program is named")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("it cannot be run: {error}"))?;
    let out = child.stdout.take().ok_or("it has no output")?;
    let (sender, printed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let outcome = out.take(MAX_BYTES).read_to_string(&mut text).map(|_| text);
        // Nobody waits any more where this fails.
        let _gone = sender.send(outcome);
    });
    let printed = printed.recv_timeout(COMMAND_TIME);
    if printed.is_err() {
        let _gone = child.kill();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let text = printed.map_err(|_| format!("it takes longer than {COMMAND_TIME:?}"))?;
    let text = text.map_err(|error| error.to_string())?;
    if status.success() { Ok(text) } else { Err(format!("it failed ({status})")) }
}

/// How long a command may take.
const COMMAND_TIME: Duration = Duration::from_secs(10);
/// A file is read again after this time, a command is run again after that.
const FILE_AGAIN: Duration = Duration::from_secs(10);
const COMMAND_AGAIN: Duration = Duration::from_secs(300);
/// No secret is longer; whatever is behind it in the file is not one.
const MAX_BYTES: u64 = 64 << 10;
