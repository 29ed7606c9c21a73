//! Who does an act of administration, and where.
//!
//! The user is asked of the kernel, not of the environment, which anybody can set.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

/// Who does something from a command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The user of the operating system that the command runs as.
    pub user: String,
    /// The user that logged in, where that is another one (`sudo`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// The machine.
    pub host: String,
}

impl Actor {
    /// Whoever runs this program, here.
    pub fn here() -> Self {
        Self { user: user(), login: login(), host: host() }
    }

    /// The gateway in its own right: no user of a system has a name with a space.
    pub fn gateway() -> Self {
        Self { user: "fieldgate serve".to_owned(), login: None, host: host() }
    }
}

/// By name if there is one.
fn user() -> String {
    match fs::metadata("/proc/self") {
        Ok(process) => name_of(process.uid()),
        Err(_) => "unknown".to_owned(),
    }
}

/// Who uses `sudo` stays known, where the system keeps it.
fn login() -> Option<String> {
    let text = fs::read_to_string("/proc/self/loginuid").ok()?;
    let uid: u32 = text.trim().parse().ok()?;
    let name = name_of(uid);
    (uid != u32::MAX && name != user()).then_some(name)
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "unknown".to_owned() } else { name.chars().take(MAX_NAME).collect() }
}

fn name_of(uid: u32) -> String {
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    named_in(&known, uid).unwrap_or_else(|| format!("uid {uid}"))
}

fn named_in(passwd: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    passwd.lines().find_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next().filter(|name| !name.is_empty())?;
        (parts.nth(1) == Some(uid.as_str())).then(|| name.chars().take(MAX_NAME).collect())
    })
}

const MAX_NAME: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_as_the_system_names_it() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n:x:7:\nli.na:x:1000:1000::/home/li.na:/bin/sh\nbad\n";
        assert_eq!(named_in(passwd, 0).as_deref(), Some("root"));
        assert_eq!(named_in(passwd, 1000).as_deref(), Some("li.na"));
        assert_eq!(named_in(passwd, 7), None);
        assert_eq!(name_of(4_294_000_000), "uid 4294000000");
    }

    #[test]
    fn the_environment_does_not_say_who_acts() {
        let written = tempfile::NamedTempFile::new().unwrap();
        let uid = written.as_file().metadata().unwrap().uid();
        assert_eq!(user(), name_of(uid));
        assert!(!host().is_empty());
    }
}
