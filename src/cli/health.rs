//! `fieldgate health`: asks the admin listener whether the gateway is ready; for containers, which hold no curl.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::app::config::Config;

use super::FAILED;

/// Arguments of `fieldgate health`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The admin listener, instead of the one that the configuration names.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// The configuration, which names the admin listener.
    #[arg(long, value_name = "FILE", default_value = "fieldgate.yaml", env = "FIELDGATE_CONFIG")]
    config: PathBuf,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let address = match args.admin {
        Some(address) => address,
        None => configured(&args.config)?,
    };
    let answer = ask(reachable(address)).with_context(|| format!("{address} does not answer"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    write!(io::stdout(), "{body}")?;
    // RFC 9112, section 4: the version, a blank, the status.
    let ready = head.split(' ').nth(1) == Some("200");
    Ok(if ready { ExitCode::SUCCESS } else { FAILED.into() })
}

fn configured(file: &std::path::Path) -> anyhow::Result<SocketAddr> {
    let (config, report) = Config::load(file);
    let Some(config) = config else { bail!("{}", report.to_text(false).trim_end()) };
    let admin = config.admin.with_context(|| format!("`{}` has no admin listener", file.display()))?;
    Ok(admin.address)
}

/// An address to listen on may stand for all of the machine's; one to connect to may not.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In one piece: a listener that has read enough may close, and what it left unread would reset the answer.
    let request = format!("GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than `/ready` ever says.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn health(answer: &'static str) -> anyhow::Result<ExitCode> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let length = stream.read(&mut asked).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let result = run(Args { admin: Some(address), config: PathBuf::new() });
        assert!(served.join().unwrap().starts_with("GET /ready HTTP/1.1\r\n"));
        result
    }

    #[test]
    fn only_200_is_ready() {
        let ready = health("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
        assert_eq!(ready, ExitCode::SUCCESS);
        for answer in ["HTTP/1.1 503 Service Unavailable\r\n\r\n{}", "", "200", "HTTP/1.1 2000 x\r\n\r\n"] {
            assert_eq!(health(answer).unwrap(), ExitCode::from(FAILED), "{answer}");
        }
    }

    #[test]
    fn nobody_there_is_a_failure() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = run(Args { admin: Some(closed), config: PathBuf::new() }).unwrap_err();
        assert!(error.to_string().ends_with("does not answer"), "{error}");
    }

    #[test]
    fn all_addresses_of_a_machine_are_asked_for_at_its_own() {
        for (listens, asked) in
            [("0.0.0.0:9090", "127.0.0.1:9090"), ("[::]:9090", "[::1]:9090"), ("10.0.0.1:1", "10.0.0.1:1")]
        {
            assert_eq!(reachable(listens.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
