//! An upstream that does what a test tells it, on raw sockets: it can stall, cut off, lie about lengths and send
//! garbage, and it keeps every byte it was sent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// One request as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    /// Which connection it came over, from 0 in order of acceptance.
    pub(crate) connection: usize,
    /// Every byte of head and body.
    pub(crate) raw: Vec<u8>,
    /// The method.
    pub(crate) method: String,
    /// The target, as it stands in the request line.
    pub(crate) target: String,
    /// Header names in lower case, and values, in order.
    pub(crate) headers: Vec<(String, String)>,
    /// The body without its framing.
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// The first value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }
}

/// What the upstream does next.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Writes these bytes, and sees them off.
    Send(Vec<u8>),
    /// Waits until the test opens the gate.
    Wait(Gate),
    /// Never goes on, but keeps the connection open.
    Stall,
    /// Ends the connection in good order (FIN).
    Close,
    /// Ends the connection rudely (RST).
    Reset,
}

/// Something a test opens when it is ready; each opening lets one waiter through.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    /// A closed gate.
    pub(crate) fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets one waiter through, now or later.
    pub(crate) fn open(&self) {
        self.0.add_permits(1);
    }

    /// Waits for an opening.
    pub(crate) async fn pass(&self) {
        self.0.acquire().await.expect("the gate is never removed").forget();
    }
}

type Script = dyn Fn(&Received) -> Vec<Act> + Send + Sync;

/// A running upstream; it ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Upstream {
    address: std::net::SocketAddr,
    scheme: &'static str,
    received: Arc<Mutex<Vec<Received>>>,
    connections: Arc<AtomicUsize>,
    arrivals: Gate,
    departures: Gate,
}

impl Upstream {
    /// Starts one that answers every request by the script.
    pub(crate) async fn start(script: impl Fn(&Received) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::listen("http", None, Arc::new(script)).await
    }

    /// The same behind TLS.
    pub(crate) async fn start_tls(
        tls: Arc<rustls::ServerConfig>,
        script: impl Fn(&Received) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        Self::listen("https", Some(tls.into()), Arc::new(script)).await
    }

    /// One that answers every request with these bytes.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |_| vec![Act::Send(answer.clone())]).await
    }

    async fn listen(
        scheme: &'static str,
        tls: Option<tokio_rustls::TlsAcceptor>,
        script: Arc<Script>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let upstream = Self {
            address: listener.local_addr().expect("a bound address"),
            scheme,
            received: Arc::default(),
            connections: Arc::default(),
            arrivals: Gate::closed(),
            departures: Gate::closed(),
        };
        let running = upstream.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let connection = running.connections.fetch_add(1, Ordering::SeqCst);
                let (upstream, tls, script) = (running.clone(), tls.clone(), Arc::clone(&script));
                tokio::spawn(async move {
                    socket.set_nodelay(true).expect("an open socket");
                    match tls {
                        None => upstream.serve(connection, socket, &*script).await,
                        Some(tls) => {
                            if let Ok(socket) = tls.accept(socket).await {
                                upstream.serve(connection, socket, &*script).await;
                            }
                        }
                    }
                    upstream.departures.open();
                });
            }
        });
        upstream
    }

    /// Where it listens, as a base URL.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Every request so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no test panicked with it").clone()
    }

    /// The only request so far.
    pub(crate) fn only_request(&self) -> Received {
        let mut received = self.received();
        assert_eq!(received.len(), 1, "the upstream saw {received:?}");
        received.remove(0)
    }

    /// How many connections were opened to it.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until one more request has arrived.
    pub(crate) async fn arrival(&self) {
        self.arrivals.pass().await;
    }

    /// Waits until one more connection has ended.
    pub(crate) async fn departure(&self) {
        self.departures.pass().await;
    }

    async fn serve(&self, connection: usize, socket: impl Wire, script: &Script) {
        let mut wire = Reading { socket, read: Vec::new() };
        while let Some(request) = wire.request(connection).await {
            let acts = script(&request);
            self.received.lock().expect("no test panicked with it").push(request);
            self.arrivals.open();
            for act in acts {
                match act {
                    Act::Send(bytes) => {
                        // The other side may rightly be gone.
                        if wire.socket.write_all(&bytes).await.is_err() || wire.socket.flush().await.is_err()
                        {
                            return;
                        }
                    }
                    Act::Wait(gate) => gate.pass().await,
                    Act::Stall => {
                        let _gone = wire.socket.read(&mut [0; 1]).await;
                        return;
                    }
                    Act::Close => {
                        let _gone = wire.socket.shutdown().await;
                        return;
                    }
                    Act::Reset => {
                        wire.socket.reset();
                        return;
                    }
                }
            }
        }
    }
}

/// A plain or encrypted socket.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    fn reset(&self);
}

impl Wire for TcpStream {
    fn reset(&self) {
        self.set_zero_linger().expect("an open socket");
    }
}

impl Wire for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }
}

struct Reading<S> {
    socket: S,
    /// Read and not yet taken.
    read: Vec<u8>,
}

impl<S: Wire> Reading<S> {
    async fn request(&mut self, connection: usize) -> Option<Received> {
        let mut request = Received { connection, ..Received::default() };
        let head = self.until(b"\r\n\r\n").await?;
        request.raw.extend_from_slice(&head);
        let text = String::from_utf8(head).expect("the gateway sends text heads");
        let mut lines = text.lines();
        let mut words = lines.next()?.split(' ');
        request.method = words.next()?.to_owned();
        request.target = words.next()?.to_owned();
        request.headers = lines
            .take_while(|line| !line.is_empty())
            .map(|line| line.split_once(':').expect("a header line"))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length = request.header("content-length").map(|length| length.parse().expect("a length"));
        if let Some(length) = length {
            request.body = self.exactly(length).await?;
            request.raw.extend_from_slice(&request.body);
        } else if request.header("transfer-encoding").is_some() {
            loop {
                let line = self.until(b"\r\n").await?;
                request.raw.extend_from_slice(&line);
                let size = std::str::from_utf8(&line).expect("a chunk size").trim();
                let size = usize::from_str_radix(size, 16).expect("a chunk size");
                let chunk = self.exactly(size + 2).await?;
                request.raw.extend_from_slice(&chunk);
                request.body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    break;
                }
            }
        }
        Some(request)
    }

    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(found) = self.read.windows(end.len()).position(|window| window == end) {
                return Some(self.read.drain(..found + end.len()).collect());
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.read.len() < length {
            self.more().await?;
        }
        Some(self.read.drain(..length).collect())
    }

    async fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 4096];
        let count = self.socket.read(&mut buffer).await.ok()?;
        self.read.extend_from_slice(&buffer[..count]);
        (count > 0).then_some(())
    }
}

// === answers ===

/// How an answer's end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `Content-Length`.
    Length,
    /// `Transfer-Encoding: chunked`, this many bytes a chunk.
    Chunked(usize),
    /// By closing the connection.
    Close,
}

impl Framing {
    /// One of each.
    pub(crate) const ALL: [Self; 4] = [Self::Length, Self::Chunked(1), Self::Chunked(1 << 16), Self::Close];
}

/// An answer with status, header lines and body, in one of the framings, as the acts that send it. The status is
/// a code with its reason (`200 OK`), header lines have no line end.
pub(crate) fn answer(status: &str, headers: &[&str], body: &[u8], framing: Framing) -> Vec<Act> {
    let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for line in headers {
        bytes.extend_from_slice(format!("{line}\r\n").as_bytes());
    }
    match framing {
        Framing::Length => {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(body);
            vec![Act::Send(bytes)]
        }
        Framing::Chunked(size) => {
            bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            bytes.extend_from_slice(&chunks(body, size));
            bytes.extend_from_slice(b"0\r\n\r\n");
            vec![Act::Send(bytes)]
        }
        Framing::Close => {
            bytes.extend_from_slice(b"Connection: close\r\n\r\n");
            bytes.extend_from_slice(body);
            vec![Act::Send(bytes), Act::Close]
        }
    }
}

/// A JSON answer with its length.
pub(crate) fn json(body: &str) -> Vec<Act> {
    answer("200 OK", &["Content-Type: application/json"], body.as_bytes(), Framing::Length)
}

/// A body as chunks, without the last one that ends it.
pub(crate) fn chunks(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(size.max(1)) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
