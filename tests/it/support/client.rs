//! Callers: one that writes raw bytes and keeps raw bytes, and one that speaks HTTP/2.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection over which a test writes what it likes.
pub(crate) struct Raw {
    socket: Box<dyn Socket>,
    read: Vec<u8>,
}

/// A plain or encrypted socket.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// One HTTP/1.1 answer as it came.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Every byte of head and body.
    pub(crate) raw: Vec<u8>,
    /// The status.
    pub(crate) status: u16,
    /// Header names in lower case, and values, in order.
    pub(crate) headers: Vec<(String, String)>,
    /// The body without its framing, as far as it came.
    pub(crate) body: Vec<u8>,
    /// Whether the message ended as its framing says.
    pub(crate) complete: bool,
}

impl Answer {
    /// The first value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Whether the raw bytes hold a text somewhere.
    pub(crate) fn holds(&self, text: &str) -> bool {
        self.raw.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

impl Raw {
    /// Connects without TLS.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { socket: Box::new(tcp(address).await), read: Vec::new() }
    }

    /// Connects with TLS, by the address's name.
    pub(crate) async fn connect_tls(address: SocketAddr, tls: Arc<rustls::ClientConfig>) -> Self {
        Self { socket: Box::new(encrypted(address, tls).await), read: Vec::new() }
    }

    /// Writes bytes as they are.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The gateway may rightly have closed already: what it answered is what counts.
        let _closed = self.socket.write_all(bytes.as_ref()).await;
        let _closed = self.socket.flush().await;
    }

    /// Writes a `GET` with these header lines.
    pub(crate) async fn get(&mut self, target: &str, headers: &[&str]) -> Answer {
        self.request("GET", target, headers, None).await
    }

    /// Writes a request, with its length if there is a body, and reads the answer.
    pub(crate) async fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[&str],
        body: Option<&[u8]>,
    ) -> Answer {
        let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: gateway\r\n").into_bytes();
        for line in headers {
            bytes.extend_from_slice(format!("{line}\r\n").as_bytes());
        }
        if let Some(body) = body {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body.unwrap_or_default());
        self.send(bytes).await;
        self.answer(method == "HEAD").await.expect("an answer")
    }

    /// Reads the next final answer; `None` if the connection ends before one begins.
    pub(crate) async fn answer(&mut self, to_head: bool) -> Option<Answer> {
        loop {
            let head = self.until(b"\r\n\r\n").await?;
            let mut answer = Answer::of_head(head);
            if (100..200).contains(&answer.status) && answer.status != 101 {
                continue;
            }
            let bodiless = to_head || matches!(answer.status, 204 | 304);
            if !bodiless {
                self.body(&mut answer).await;
            }
            return Some(answer);
        }
    }

    /// Reads some bytes that have come, whatever they are; none when the connection has ended.
    pub(crate) async fn some(&mut self) -> Vec<u8> {
        if self.read.is_empty() {
            self.more().await;
        }
        std::mem::take(&mut self.read)
    }

    /// Reads until the connection ends.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.read)
    }

    async fn body(&mut self, answer: &mut Answer) {
        let chunked = answer.header("transfer-encoding").is_some();
        let length = answer.header("content-length").map(|length| length.parse::<usize>().expect("a length"));
        if chunked {
            answer.complete = self.chunked(answer).await;
        } else if let Some(length) = length {
            while self.read.len() < length && self.more().await {}
            answer.body = self.read.drain(..length.min(self.read.len())).collect();
            answer.raw.extend_from_slice(&answer.body);
            answer.complete = answer.body.len() == length;
        } else {
            answer.body = self.rest().await;
            answer.raw.extend_from_slice(&answer.body);
        }
    }

    async fn chunked(&mut self, answer: &mut Answer) -> bool {
        loop {
            let Some(line) = self.until(b"\r\n").await else { return false };
            answer.raw.extend_from_slice(&line);
            let size = std::str::from_utf8(&line).expect("a chunk size").trim();
            let size = usize::from_str_radix(size, 16).expect("a chunk size");
            while self.read.len() < size + 2 && self.more().await {}
            let whole = self.read.len() >= size + 2;
            let chunk: Vec<u8> = self.read.drain(..(size + 2).min(self.read.len())).collect();
            answer.raw.extend_from_slice(&chunk);
            answer.body.extend_from_slice(&chunk[..size.min(chunk.len())]);
            if size == 0 || !whole {
                return whole;
            }
        }
    }

    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(found) = self.read.windows(end.len()).position(|window| window == end) {
                return Some(self.read.drain(..found + end.len()).collect());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn more(&mut self) -> bool {
        let mut buffer = vec![0; 1 << 16];
        let count = self.socket.read(&mut buffer).await.unwrap_or(0);
        self.read.extend_from_slice(&buffer[..count]);
        count > 0
    }
}

impl Answer {
    fn of_head(head: Vec<u8>) -> Self {
        let text = String::from_utf8(head.clone()).expect("the gateway sends text heads");
        let mut lines = text.lines();
        let status = lines.next().expect("a status line").split(' ').nth(1).expect("a status");
        let headers = lines
            .take_while(|line| !line.is_empty())
            .map(|line| line.split_once(':').expect("a header line"))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let status = status.parse().expect("a status");
        Self { raw: head, status, headers, body: Vec::new(), complete: true }
    }
}

/// A caller that speaks HTTP/2.
#[derive(Clone)]
pub(crate) struct H2 {
    sender: hyper::client::conn::http2::SendRequest<Full<Bytes>>,
}

/// An HTTP/2 answer as far as it came.
#[derive(Debug)]
pub(crate) struct H2Answer {
    /// The head.
    pub(crate) head: http::response::Parts,
    /// The body as far as it came.
    pub(crate) body: Vec<u8>,
    /// Whether the stream ended in good order.
    pub(crate) complete: bool,
}

impl H2 {
    /// Connects without TLS, with prior knowledge.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(tcp(address).await).await
    }

    /// Connects with TLS; `tls` has to offer `h2`.
    pub(crate) async fn connect_tls(address: SocketAddr, tls: Arc<rustls::ClientConfig>) -> Self {
        Self::over(encrypted(address, tls).await).await
    }

    async fn over(socket: impl Socket + 'static) -> Self {
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
                .await
                .expect("an HTTP/2 connection");
        tokio::spawn(connection);
        Self { sender }
    }

    /// Sends a request; its body comes as it likes.
    pub(crate) async fn start(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }

    /// Sends a request and reads the answer as far as it comes.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<H2Answer> {
        let (head, mut incoming) = self.start(request).await?.into_parts();
        let mut body = Vec::new();
        let mut complete = true;
        while let Some(frame) = incoming.frame().await {
            match frame {
                Ok(frame) => body.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                Err(_) => complete = false,
            }
            if !complete {
                break;
            }
        }
        complete &= incoming.is_end_stream();
        Ok(H2Answer { head, body, complete })
    }

    /// Sends a `GET` with these headers.
    pub(crate) async fn get(&mut self, target: &str, headers: &[(&str, &str)]) -> hyper::Result<H2Answer> {
        let mut request = Request::get(format!("http://gateway{target}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::default()).expect("a request")).await
    }
}

impl H2Answer {
    /// The status.
    pub(crate) fn status(&self) -> StatusCode {
        self.head.status
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }
}

async fn tcp(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).await.expect("a listener");
    socket.set_nodelay(true).expect("an open socket");
    socket
}

async fn encrypted(
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let name = ServerName::IpAddress(address.ip().into());
    tokio_rustls::TlsConnector::from(tls).connect(name, tcp(address).await).await.expect("a TLS listener")
}
