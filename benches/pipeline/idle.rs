//! What connections cost that are open and idle: memory of the process, each after one answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::proxies::{self, Proxy};
use crate::upstream;

const CONNECTIONS: u64 = 5_000;

/// One line for a proxy. Needs two file descriptors for each connection: `ulimit -n 12000`.
pub(crate) fn print(proxy: &dyn Proxy) {
    let before = proxy.resident();
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        match answered(proxy.addr()) {
            Ok(connection) => open.push(connection),
            Err(error) => {
                println!("    idle: {error} after {} connections", open.len());
                break;
            }
        }
    }
    let grown = proxy.resident().saturating_sub(before);
    println!(
        "    idle: {:<10} {} connections after one answer each: {:.1} KiB each",
        proxy.name(),
        open.len(),
        grown as f64 / 1024.0 / open.len().max(1) as f64,
    );
}

/// A connection that has had an answer and is kept.
fn answered(addr: SocketAddr) -> std::io::Result<TcpStream> {
    let mut connection = TcpStream::connect(addr)?;
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\n\r\n",
        upstream::ONE,
        proxies::KEY
    );
    connection.write_all(request.as_bytes())?;
    // The answer is short: it comes in one piece.
    let mut answer = [0; 8 << 10];
    let length = connection.read(&mut answer)?;
    assert!(answer[..length].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..length]));
    Ok(connection)
}
