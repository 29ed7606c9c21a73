//! Sockets that systemd, or whoever starts the program, has opened already: across a restart they stay open, and
//! callers who come meanwhile wait instead of being refused.
//!
//! The protocol is that of sd_listen_fds(3): `LISTEN_FDS`, `LISTEN_PID`. A socket goes to the listener that is
//! configured with its address, so that the configuration alone still says where Fieldgate listens.

use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

use crate::base::{Diagnostic, Report};

/// The sockets that were handed over and not yet taken.
#[derive(Debug, Default)]
pub struct Sockets(Vec<(SocketAddr, TcpListener)>);

impl Sockets {
    /// Takes what the environment names. To be called once, before the program starts threads, since it removes the
    /// variables.
    pub fn from_environment() -> Result<Self, Report> {
        let mut handed = ListenFd::from_env();
        let mut sockets = Vec::new();
        let mut report = Report::default();
        for index in 0..handed.len() {
            let taken = handed.take_tcp_listener(index).and_then(|socket| {
                let Some(socket) = socket else { return Ok(()) };
                socket.set_nonblocking(true)?;
                sockets.push((socket.local_addr()?, socket));
                Ok(())
            });
            if let Err(error) = taken {
                let what = format!("a socket was handed over that cannot be listened on: {error}");
                let help = "`ListenStream=` in the socket unit takes an address and a port, nothing else";
                report.push(Diagnostic::error("socket", what).help(help));
            }
        }
        if report.has_errors() { Err(report) } else { Ok(Self(sockets)) }
    }

    /// The socket for an address.
    pub(super) fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let index = self.0.iter().position(|(its, _)| *its == address)?;
        Some(self.0.swap_remove(index).1)
    }

    /// A complaint about each socket that no listener has taken: callers would connect and wait for ever.
    pub(super) fn left_over(&self) -> impl Iterator<Item = Diagnostic> {
        self.0.iter().map(|(address, _)| {
            let what = format!("a socket for `{address}` was handed over, and no listener has that address");
            let help =
                "give `listeners` or `admin` the address of `ListenStream=` in the socket unit, or remove it";
            Diagnostic::error("socket", what).help(help)
        })
    }
}
