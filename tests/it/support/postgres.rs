//! A throwaway PostgreSQL cluster for tests: in a temporary folder, on a socket in that folder, gone with the test.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A running cluster. Dropping it, or the end of the process, stops it and removes its files: the script below
/// waits for the end of its standard input.
pub(crate) struct Cluster {
    shell: Child,
    socket: String,
}

impl Cluster {
    /// Starts a cluster. `None` only if the environment says in so many words that it is not wanted; a machine
    /// without PostgreSQL fails the test.
    pub(crate) fn start() -> Option<Self> {
        if std::env::var("FIELDGATE_TEST_POSTGRES").is_ok_and(|v| v == "skip") {
            eprintln!("not run on PostgreSQL: FIELDGATE_TEST_POSTGRES=skip");
            return None;
        }
        let binaries = binaries().expect(
            "PostgreSQL is not installed: `apt-get install postgresql`, or say FIELDGATE_TEST_POSTGRES=skip",
        );
        let mut shell = unprivileged_shell()
            .arg(SCRIPT)
            .arg("sh")
            .arg(binaries)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let mut socket = String::new();
        let stdout = shell.stdout.take().expect("its output is piped");
        BufReader::new(stdout).read_line(&mut socket).expect("its output is text");
        let socket = socket.trim().to_owned();
        assert!(!socket.is_empty(), "PostgreSQL did not start");
        Some(Self { shell, socket })
    }

    /// The address of its one database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://fieldgate@localhost/postgres?host={}", self.socket)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().ok();
    }
}

fn binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<PathBuf> = versions
        .filter_map(|v| Some(v.ok()?.path().join("bin")))
        .filter(|p| p.join("initdb").exists())
        .collect();
    found.sort();
    found.pop()
}

/// PostgreSQL refuses to run as root, so root steps down to the user that the Debian package made.
fn unprivileged_shell() -> Command {
    let id = Command::new("id").arg("-u").output().expect("`id` runs").stdout;
    if id.trim_ascii() == b"0" {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", "sh", "-c"]);
        command.current_dir("/");
        command
    } else {
        let mut command = Command::new("sh");
        command.arg("-c");
        command
    }
}

const SCRIPT: &str = r#"
set -eu
dir=$(mktemp -d)
trap '"$1/pg_ctl" -D "$dir/data" -m immediate stop >"$dir/log" 2>&1 || true; rm -rf "$dir"' EXIT
"$1/initdb" -D "$dir/data" -U fieldgate -A trust --no-sync >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
"$1/pg_ctl" -D "$dir/data" -w -l "$dir/log" -o "-k $dir -c listen_addresses= -c fsync=off" start >"$dir/out" 2>&1 \
    || { cat "$dir/out" "$dir/log" >&2; exit 1; }
echo "$dir"
read -r _ || true
"#;
