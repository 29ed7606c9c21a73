//! A gateway in a process of its own, started as an operator starts it.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::client::{Answer, Raw};

/// A running `fieldgate serve`; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
}

impl Process {
    /// Starts it and waits until it listens.
    pub(crate) fn start(config: &Path) -> Self {
        Self::started(Command::new("sh"), config, "")
    }

    /// Starts it with a socket that is open already, as systemd hands it over.
    pub(crate) fn start_on(socket: &TcpListener, config: &Path) -> Self {
        let mut command = Command::new("sh");
        command.stdin(OwnedFd::from(socket.try_clone().expect("another handle")));
        Self::started(command, config, "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; ")
    }

    fn started(mut command: Command, config: &Path, before: &str) -> Self {
        // A limit on the size of files is then an error of a write, not a signal that ends the process.
        let script = format!("{before}trap '' XFSZ; exec \"$0\" \"$@\"");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_fieldgate")]);
        command.args(["serve", "--config"]).arg(config).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        let (mut address, mut admin) = (None, None);
        for line in out.lines().map_while(Result::ok) {
            let of = |name: &str| line.strip_prefix(name)?.strip_prefix(": http://")?.parse().ok();
            address = address.or_else(|| of("public"));
            admin = admin.or_else(|| of("admin"));
            if address.is_some() && admin.is_some() {
                break;
            }
        }
        let says = "it says where it listens";
        Self { child, address: address.expect(says), admin: admin.expect(says) }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> String {
        self.child.id().to_string()
    }

    /// A page of the admin listener.
    pub(crate) async fn admin(&self, target: &str) -> Answer {
        Raw::connect(self.admin).await.get(target, &[]).await
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM, and the end in good order.
    pub(crate) fn end(mut self) {
        let told = Command::new("kill").args(["-TERM", &self.id()]).status().expect("kill runs");
        assert!(told.success());
        assert!(self.child.wait().expect("it ends").success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
