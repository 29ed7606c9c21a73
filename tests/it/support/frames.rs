//! A caller that writes HTTP/2 frames by hand (RFC 9113), right or wrong.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection over which frames go as they are made.
pub(crate) struct Frames {
    socket: TcpStream,
    read: Vec<u8>,
}

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// How a stream or its connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Answered: whether with 200, and the body.
    Answered { ok: bool, body: Vec<u8> },
    /// `RST_STREAM`, with what had come of the body.
    Reset { code: u32, body: Vec<u8> },
    /// `GOAWAY` with an error, and the connection closed.
    GoneAway(u32),
    /// The connection closed without a word.
    Closed,
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// Codes of RFC 9113 section 7.
pub(crate) const PROTOCOL_ERROR: u32 = 1;

impl Frames {
    /// Connects and sends the preface with these settings.
    pub(crate) async fn connect(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let socket = TcpStream::connect(address).await.expect("a listener");
        socket.set_nodelay(true).expect("an open socket");
        let mut frames = Self { socket, read: Vec::new() };
        frames.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        let settings: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        frames.send(SETTINGS, 0, 0, &settings).await;
        frames
    }

    /// Writes bytes; `false` once the other side has closed.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).await.is_ok()
    }

    /// Writes a frame.
    pub(crate) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.raw(&frame(kind, flags, stream, payload)).await
    }

    /// A request without a body.
    pub(crate) async fn request(&mut self, stream: u32, fields: &[(&str, &str)]) -> bool {
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &block(fields)).await
    }

    /// The next frame; `None` when the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        while self.read.len() < 9 || self.read.len() < 9 + length(&self.read) {
            let mut buffer = [0; 1 << 14];
            match self.socket.read(&mut buffer).await {
                Ok(count) if count > 0 => self.read.extend_from_slice(&buffer[..count]),
                _ => return None,
            }
        }
        let rest = self.read.split_off(9 + length(&self.read));
        let whole = std::mem::replace(&mut self.read, rest);
        let stream = u32::from_be_bytes([whole[5], whole[6], whole[7], whole[8]]) & 0x7fff_ffff;
        Some(Frame { kind: whole[3], flags: whole[4], stream, payload: whole[9..].to_vec() })
    }

    /// Reads until a stream, or the connection, has ended. Windows are not opened any further.
    pub(crate) async fn end_of(&mut self, stream: u32) -> End {
        let (mut ok, mut body, mut gone) = (false, Vec::new(), None);
        while let Some(frame) = self.next().await {
            match frame.kind {
                GOAWAY => gone = Some(code(&frame.payload[4..])).filter(|code| *code != 0).or(gone),
                _ if frame.stream != stream => continue,
                HEADERS => ok = frame.payload.first() == Some(&0x88),
                DATA => body.extend_from_slice(&frame.payload),
                RST_STREAM => return End::Reset { code: code(&frame.payload), body },
                _ => continue,
            }
            if frame.stream == stream && frame.flags & END_STREAM != 0 {
                return End::Answered { ok, body };
            }
        }
        gone.map_or(End::Closed, End::GoneAway)
    }
}

/// A frame's bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// A field block: literals without indexing and without Huffman (RFC 7541 section 6.2.2), so that any bytes go in.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// A length with a prefix of seven bits (RFC 7541 section 5.1).
fn integer(block: &mut Vec<u8>, value: usize) {
    if value < 127 {
        block.push(u8::try_from(value).expect("seven bits"));
        return;
    }
    block.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128 + 128).expect("eight bits"));
        rest /= 128;
    }
    block.push(u8::try_from(rest).expect("seven bits"));
}

fn length(read: &[u8]) -> usize {
    usize::from(read[0]) << 16 | usize::from(read[1]) << 8 | usize::from(read[2])
}

fn code(payload: &[u8]) -> u32 {
    u32::from_be_bytes([payload[0], payload[1], payload[2], payload[3]])
}
