//! What a connection speaks: HTTP/2 when it opens with its preface (RFC 9113 section 3.4), HTTP/1 otherwise.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

/// A connection of which it is known what it speaks.
pub(super) struct Opened<I> {
    pub(super) io: I,
    pub(super) speaks: Speaks,
    /// What was read to find out.
    pub(super) read: BytesMut,
}

/// The version of HTTP on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// HTTP/1.1 or 1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

impl<I> Opened<I> {
    /// One that speaks HTTP/1, as agreed or because nothing else is wanted.
    pub(super) fn http1(io: I) -> Self {
        Self { io, speaks: Speaks::Http1, read: BytesMut::new() }
    }

    /// One that speaks HTTP/2, as agreed.
    pub(super) fn http2(io: I) -> Self {
        Self { io, speaks: Speaks::Http2, read: BytesMut::new() }
    }
}

impl<I: AsyncRead + Unpin> Opened<I> {
    /// Reads until it is clear what the caller speaks. Bound the wait.
    pub(super) async fn detect(mut io: I) -> io::Result<Self> {
        let mut read = BytesMut::new();
        loop {
            if !PREFACE.starts_with(&read) {
                let speaks = if read.starts_with(PREFACE) { Speaks::Http2 } else { Speaks::Http1 };
                return Ok(Self { io, speaks, read });
            }
            if read.len() == PREFACE.len() {
                return Ok(Self { io, speaks: Speaks::Http2, read });
            }
            if io.read_buf(&mut read).await? == 0 {
                // It ends before it has said anything: whatever reads it next sees that.
                return Ok(Self { io, speaks: Speaks::Http1, read });
            }
        }
    }
}

/// How an HTTP/2 connection opens.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn detected(text: &[u8], piece: usize) -> (Speaks, Vec<u8>) {
        let (mut near, far) = tokio::io::duplex(piece);
        let text = text.to_vec();
        let writer = tokio::spawn(async move {
            let _all_or_no_reader = near.write_all(&text).await;
        });
        let mut opened = Opened::detect(far).await.unwrap();
        let mut all = opened.read.to_vec();
        opened.io.read_to_end(&mut all).await.unwrap();
        writer.await.unwrap();
        (opened.speaks, all)
    }

    #[tokio::test]
    async fn only_the_whole_preface_is_http2_and_nothing_is_lost() {
        let cases: [(&[u8], Speaks); 6] = [
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Speaks::Http2),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04", Speaks::Http2),
            (b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n", Speaks::Http1),
            (b"PRI * HT", Speaks::Http1),
            (b"POST / HTTP/1.1\r\n\r\n", Speaks::Http1),
            (b"", Speaks::Http1),
        ];
        for (text, speaks) in cases {
            for piece in [1, 5, 1024] {
                assert_eq!(detected(text, piece).await, (speaks, text.to_vec()), "{text:?}");
            }
        }
    }
}
