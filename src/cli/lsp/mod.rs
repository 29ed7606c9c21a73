//! `fieldgate lsp`: a language server over standard input and output (LSP 3.17), for editors.
//!
//! It answers with what `check`, `matrix` and `schema` say; nothing here knows the language. One thread reads
//! messages, the other answers them in their order and compiles when nothing waits.

mod answers;
mod server;
mod text;
mod transport;
mod uri;
mod workspace;

use std::io::{self, BufReader, Write as _};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use self::server::{Flow, Server};
use self::transport::FrameError;

/// Arguments of `fieldgate lsp`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Talk over standard input and output, which is the only way; editors say so.
    #[arg(long)]
    stdio: bool,
}

pub(super) fn run(_: &Args) -> anyhow::Result<ExitCode> {
    let (sender, messages) = sync_channel(QUEUE);
    // It ends with the process: nothing interrupts a read from standard input.
    std::thread::spawn(move || {
        let mut from = BufReader::new(io::stdin());
        loop {
            let message = transport::read(&mut from);
            let last = message.is_err();
            if sender.send(message).is_err() || last {
                return;
            }
        }
    });
    serve(&messages)
}

fn serve(messages: &Receiver<Result<Vec<u8>, FrameError>>) -> anyhow::Result<ExitCode> {
    let mut server = Server::default();
    let mut out = io::stdout().lock();
    loop {
        let message = match messages.try_recv() {
            Ok(message) => message,
            Err(TryRecvError::Empty) if server.is_dirty() => {
                for message in server.refresh() {
                    transport::write(&mut out, &message)?;
                }
                continue;
            }
            Err(TryRecvError::Empty) => messages.recv().unwrap_or(Err(FrameError::Closed)),
            Err(TryRecvError::Disconnected) => Err(FrameError::Closed),
        };
        let body = match message {
            Ok(body) => body,
            Err(error) => {
                // Standard error is the editor's log. Without `exit` the session did not end as it should.
                let _ = writeln!(io::stderr(), "fieldgate lsp: {error}");
                return Ok(super::FAILED.into());
            }
        };
        let (answers, flow) = server.take(&body);
        for answer in answers {
            transport::write(&mut out, &answer)?;
        }
        if let Flow::Exit { orderly } = flow {
            return Ok(if orderly { ExitCode::SUCCESS } else { super::FAILED.into() });
        }
    }
}

/// Messages that may wait.
const QUEUE: usize = 16;
