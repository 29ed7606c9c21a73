//! Listeners: sockets become connections, connections become requests, each handed to a [`Handler`].
//!
//! Everything a caller can hold open is bounded: connections, handshakes, heads, streams, and the time an answer may
//! wait for its reader. The admin listener runs on the same code.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use crate::identity::{Peer, PeerCertificate};

use super::opening::{Opened, Speaks};
use super::patience::Patient;
use super::streams::{Handed, Over, Streams};
use super::strictness::{HeadBounds, Strict, Violation};
use super::tls::ALPN_HTTP2;

/// Answers the requests of a listener.
pub trait Handler: Send + Sync + 'static {
    /// The answers' bodies.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static;

    /// Answers one request. `violation`: the connection broke HTTP's framing where this request should have been;
    /// the request is a stand-in, to be refused for that reason.
    fn answer(
        self: Arc<Self>,
        peer: Arc<Peer>,
        violation: Option<Violation>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Called when a connection is closed for what came over it, or did not come.
    fn refused(&self, why: Refusal) {
        let _ = why;
    }

    /// Called when a connection opens; what it gives is kept until it closes.
    fn connected(&self, listener: &str) -> impl Send + 'static {
        let _ = listener;
    }
}

/// Why the listener closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The TLS handshake failed.
    Handshake,
    /// The TLS handshake took too long.
    HandshakeTime,
    /// A request head took too long, or none came.
    HeadTime,
    /// What came was no HTTP, or could be read in two ways.
    Framing,
    /// HTTP/2 frames broke the protocol or a bound, or most streams were broken off.
    Http2,
    /// An answer found no taker.
    WriteTime,
}

impl Refusal {
    /// The label value in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::HandshakeTime => "handshake_time",
            Self::HeadTime => "head_time",
            Self::Framing => "framing",
            Self::Http2 => "http2",
            Self::WriteTime => "write_time",
        }
    }
}

/// What one listener's connections may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionBounds {
    /// Connections open at the same time; further ones wait in the system's queue.
    pub connections: usize,
    /// A TLS handshake.
    pub handshake: Duration,
    /// From a connection's opening, or the end of its last answer, to the end of the next request head. An HTTP/2
    /// connection may be without a stream for as long.
    pub head: Duration,
    /// An answer's bytes may wait that long for the caller to take some.
    pub write: Duration,
    /// A request head.
    pub heads: HeadBounds,
    /// HTTP/2 streams open at the same time on one connection.
    pub streams: u32,
}

impl Default for ConnectionBounds {
    fn default() -> Self {
        Self {
            connections: 10_000,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            write: Duration::from_secs(60),
            heads: HeadBounds::default(),
            streams: 100,
        }
    }
}

/// How long listeners and their connections live.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// Every task of the program runs in here, so that the end can wait for them.
    pub tasks: TaskTracker,
    /// Stop taking connections and requests; finish what has begun.
    pub drain: CancellationToken,
    /// Drop everything.
    pub stop: CancellationToken,
}

/// A socket that is bound and not yet served.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    manner: Arc<Manner>,
}

/// How connections of a listener are served.
#[derive(Debug)]
struct Manner {
    name: Arc<str>,
    tls: Option<Arc<ServerConfig>>,
    http2: bool,
    bounds: ConnectionBounds,
}

impl Listener {
    /// Binds a socket, or takes one that is bound already and does not block.
    pub async fn bind(
        name: Arc<str>,
        address: SocketAddr,
        bound: Option<std::net::TcpListener>,
        tls: Option<Arc<ServerConfig>>,
        http2: bool,
        bounds: ConnectionBounds,
    ) -> io::Result<Self> {
        let socket = match bound {
            Some(socket) => TcpListener::from_std(socket)?,
            None => TcpListener::bind(address).await?,
        };
        Ok(Self { socket, manner: Arc::new(Manner { name, tls, http2, bounds }) })
    }

    /// The address it is bound to; tells the port where 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Takes connections until `life` drains. The socket is closed when this ends, the connections go on.
    pub async fn serve<H: Handler>(self, handler: Arc<H>, life: Life) {
        let Self { socket, manner } = self;
        let slots = Arc::new(Semaphore::new(manner.bounds.connections));
        loop {
            // A place first, a connection second: beyond the bound callers wait in the system's queue.
            let Some(Ok(slot)) = life.drain.run_until_cancelled(Arc::clone(&slots).acquire_owned()).await
            else {
                break;
            };
            let (stream, addr) = match life.drain.run_until_cancelled(socket.accept()).await {
                None => break,
                Some(Ok(accepted)) => accepted,
                Some(Err(error)) => {
                    // Out of file descriptors, mostly: trying again at once would spin.
                    warn!(listener = %manner.name, %error, "connection not accepted");
                    life.drain.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE)).await;
                    continue;
                }
            };
            let (manner, handler, ends) = (Arc::clone(&manner), Arc::clone(&handler), life.clone());
            life.tasks.spawn(async move {
                let _held = (slot, handler.connected(&manner.name));
                let stop = ends.stop.clone();
                stop.run_until_cancelled(manner.connection(stream, addr, handler, ends.drain)).await;
            });
        }
        info!(listener = %manner.name, "listener closed");
    }
}

impl Manner {
    async fn connection<H: Handler>(
        &self,
        stream: TcpStream,
        addr: SocketAddr,
        handler: Arc<H>,
        drain: CancellationToken,
    ) {
        // Small answers go out at once; hyper gathers what belongs together.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "connection closed while it opened");
            return;
        }
        let stream = Patient::new(stream, self.bounds.write);
        let unframed = stream.unframed();
        let peer =
            Peer { addr, listener: Arc::clone(&self.name), tls: self.tls.is_some(), certificate: None };
        if let Some(config) = &self.tls {
            let acceptor = TlsAcceptor::from(Arc::clone(config));
            // Boxed, so that connections without TLS have no room for it.
            return Box::pin(self.handshake(acceptor, stream, peer, handler, drain, unframed)).await;
        }
        if !self.http2 {
            return self.kept(Opened::http1(stream), peer.into(), handler, drain, unframed).await;
        }
        let opening = drain.run_until_cancelled(timeout(self.bounds.head, Opened::detect(stream)));
        match opening.await {
            Some(Ok(Ok(opened))) => self.kept(opened, peer.into(), handler, drain, unframed).await,
            Some(Ok(Err(error))) => debug!(listener = %self.name, %error, "connection ended"),
            Some(Err(_)) => {
                handler.refused(Refusal::HeadTime);
                debug!(listener = %self.name, "connection closed before it said anything");
            }
            None => debug!(listener = %self.name, "connection closed before it said anything"),
        }
    }

    async fn handshake<H: Handler>(
        &self,
        acceptor: TlsAcceptor,
        stream: Patient<TcpStream>,
        mut peer: Peer,
        handler: Arc<H>,
        drain: CancellationToken,
        unframed: Arc<AtomicBool>,
    ) {
        let handshake = acceptor.accept(stream);
        match timeout(self.bounds.handshake, handshake).await {
            Ok(Ok(stream)) => {
                let session = stream.get_ref().1;
                peer.certificate = session.peer_certificates().and_then(PeerCertificate::new);
                let http2 = session.alpn_protocol() == Some(ALPN_HTTP2);
                let opened = if http2 { Opened::http2(stream) } else { Opened::http1(stream) };
                self.kept(opened, peer.into(), handler, drain, unframed).await;
            }
            Ok(Err(error)) => {
                handler.refused(Refusal::Handshake);
                debug!(listener = %self.name, %error, "tls handshake failed");
            }
            Err(_) => {
                handler.refused(Refusal::HandshakeTime);
                debug!(listener = %self.name, "tls handshake timed out");
            }
        }
    }

    /// The requests of a connection, in memory of its own: one that has not said anything yet does not hold it, and none
    /// holds what another kind would need.
    fn kept<'s, I, H>(
        &'s self,
        opened: Opened<I>,
        peer: Arc<Peer>,
        handler: Arc<H>,
        drain: CancellationToken,
        unframed: Arc<AtomicBool>,
    ) -> Pin<Box<impl Future<Output = ()> + Send + use<'s, I, H>>>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Handler,
    {
        Box::pin(self.requests(opened, peer, handler, drain, unframed))
    }

    async fn requests<I, H>(
        &self,
        opened: Opened<I>,
        peer: Arc<Peer>,
        handler: Arc<H>,
        drain: CancellationToken,
        unframed: Arc<AtomicBool>,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Handler,
    {
        let speaks = opened.speaks;
        let streams = Streams::new(self.bounds.write);
        let server = self.server(speaks, streams.clone());
        let io = Strict::new(opened, self.bounds.heads);
        let verdict = io.verdict();
        let answers = Arc::clone(&handler);
        let service = service_fn(move |request: Request<Incoming>| {
            let violation = verdict.next();
            if violation.is_some() {
                answers.refused(Refusal::Framing);
            }
            let unframed = (request.version() == Version::HTTP_10).then(|| Arc::clone(&unframed));
            // Boxed, for the HTTP library keeps room for it as long as the connection lives.
            let answer = Box::pin(Arc::clone(&answers).answer(Arc::clone(&peer), violation, request));
            async move { Ok::<_, Infallible>(handed(answer.await, unframed)) }
        });
        let mut connection = pin!(server.serve_connection(TokioIo::new(io), service));
        let over = async |idle| match speaks {
            Speaks::Http1 => std::future::pending().await,
            Speaks::Http2 => streams.over(idle).await,
        };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = drain.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    // One that does not answer the farewell is not waited for.
                    _ = over(self.bounds.handshake) => Ok(()),
                }
            }
            over = over(self.bounds.head) => match over {
                Over::BrokenOff => return handler.refused(Refusal::Http2),
                Over::Idle => {
                    connection.as_mut().graceful_shutdown();
                    timeout(self.bounds.handshake, connection).await.unwrap_or(Ok(()))
                }
            },
        };
        if let Err(error) = ended {
            if let Some(refusal) = refusal(&*error, speaks) {
                handler.refused(refusal);
            }
            // Not worth more: a caller that goes away ends here too.
            debug!(listener = %self.name, %error, "connection ended");
        }
    }

    fn server(&self, speaks: Speaks, streams: Streams) -> auto::Builder<Streams> {
        let builder = auto::Builder::new(streams);
        let mut builder = match speaks {
            Speaks::Http1 => builder.http1_only(),
            Speaks::Http2 => builder.http2_only(),
        };
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.bounds.head)
            .max_headers(self.bounds.heads.fields)
            .max_buf_size(self.bounds.heads.head_bytes.max(READ_BUFFER_BYTES));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.bounds.streams)
            .max_header_list_size(u32::try_from(self.bounds.heads.head_bytes).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(RESET_STREAMS)
            .max_local_error_reset_streams(RESET_STREAMS)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .initial_stream_window_size(RECEIVE_WINDOW_BYTES)
            .initial_connection_window_size(RECEIVE_WINDOW_BYTES * 4)
            .keep_alive_interval(self.bounds.head)
            .keep_alive_timeout(self.bounds.handshake);
        builder
    }
}

/// An answer on its way into the HTTP library. One to HTTP/1.0 whose length is not known ends with its connection: it
/// is noted in `unframed`, so that an end that is none can be told from it.
fn handed<B: Body>(answer: Response<B>, unframed: Option<Arc<AtomicBool>>) -> Response<Handed<B>> {
    if let Some(unframed) = unframed
        && answer.body().size_hint().exact().is_none()
    {
        unframed.store(true, Ordering::Release);
    }
    answer.map(Handed::new)
}

/// Whether a connection ended for what came over it, or did not come.
fn refusal(error: &(dyn Error + 'static), speaks: Speaks) -> Option<Refusal> {
    let mut cause = Some(error);
    while let Some(one) = cause {
        if let Some(io) = one.downcast_ref::<io::Error>() {
            return (io.kind() == io::ErrorKind::TimedOut).then_some(Refusal::WriteTime);
        }
        cause = one.source();
    }
    let error = error.downcast_ref::<hyper::Error>()?;
    match speaks {
        Speaks::Http1 if error.is_timeout() => Some(Refusal::HeadTime),
        Speaks::Http1 if error.is_parse() => Some(Refusal::Framing),
        Speaks::Http1 => None,
        Speaks::Http2 => Some(Refusal::Http2),
    }
}

/// How long a listener rests after the system refused it a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// hyper's read buffer grows to this and no further; its adaptive default takes 400 KiB a connection.
const READ_BUFFER_BYTES: usize = 64 << 10;

/// Streams a caller may open and reset, or break, before the connection ends (CVE-2023-44487, CVE-2025-8671).
const RESET_STREAMS: usize = 20;

/// Answer bytes kept for one HTTP/2 stream whose window is closed.
const SEND_BUFFER_BYTES: usize = 128 << 10;

/// Request bytes an HTTP/2 caller may send ahead of their reader.
const RECEIVE_WINDOW_BYTES: u32 = 128 << 10;
