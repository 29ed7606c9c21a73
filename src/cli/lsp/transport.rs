//! Messages on a pipe: a head with `Content-Length`, a blank line, and so many bytes of JSON (LSP 3.17, base protocol).
//!
//! What is at the other end may be anything. A head or a body beyond its bound, a length that is no number or is given
//! twice with different values ends the session: where the next message begins is no longer known then.

use std::io::{self, BufRead, Read, Write};

use serde_json::Value;

/// Why no message could be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The pipe is closed between two messages.
    #[error("the editor has gone")]
    Closed,
    /// The pipe is closed inside a message, or broken.
    #[error("the connection to the editor broke: {0}")]
    Broken(#[from] io::Error),
    /// The head is no head.
    #[error("a message begins wrongly: {0}")]
    Head(&'static str),
    /// The body is too long.
    #[error("a message of {0} bytes is too long, {MAX_BODY} is the most")]
    TooLong(u64),
}

/// Reads the body of the next message.
pub(super) fn read(from: &mut impl BufRead) -> Result<Vec<u8>, FrameError> {
    let length = read_head(from)?;
    if length > MAX_BODY {
        return Err(FrameError::TooLong(length));
    }
    // Memory grows with what arrives, not with what was announced.
    let mut body = Vec::new();
    from.take(length).read_to_end(&mut body)?;
    if (body.len() as u64) < length {
        return Err(FrameError::Broken(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(body)
}

fn read_head(from: &mut impl BufRead) -> Result<u64, FrameError> {
    let mut left = MAX_HEAD;
    let mut length = None;
    let mut first = true;
    loop {
        let mut line = Vec::new();
        from.take(left).read_until(b'\n', &mut line)?;
        if line.is_empty() && first && left > 0 {
            return Err(FrameError::Closed);
        }
        first = false;
        left -= line.len() as u64;
        let Some(line) = line.strip_suffix(b"\n") else {
            let ended = left > 0;
            return Err(if ended {
                FrameError::Broken(io::ErrorKind::UnexpectedEof.into())
            } else {
                FrameError::Head("its head is too long")
            });
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return length.ok_or(FrameError::Head("no `Content-Length`"));
        }
        let line = std::str::from_utf8(line).map_err(|_| FrameError::Head("its head is no text"))?;
        let (name, value) = line.split_once(':').ok_or(FrameError::Head("a line without a colon"))?;
        if name.eq_ignore_ascii_case("content-length") {
            let value = value.trim();
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let value = value.parse().ok().filter(|_| digits);
            let value: u64 = value.ok_or(FrameError::Head("`Content-Length` is no number"))?;
            if length.is_some_and(|earlier| earlier != value) {
                return Err(FrameError::Head("`Content-Length` twice"));
            }
            length = Some(value);
        }
    }
}

/// Writes a message.
pub(super) fn write(to: &mut impl Write, message: &Value) -> io::Result<()> {
    let body = message.to_string();
    write!(to, "Content-Length: {}\r\n\r\n{body}", body.len())?;
    to.flush()
}

/// Longest head.
const MAX_HEAD: u64 = 4 << 10;
/// Longest body: a file may be part of a message, written with escapes.
const MAX_BODY: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> (Vec<String>, String) {
        let mut from = bytes;
        let mut read_so_far = Vec::new();
        loop {
            match read(&mut from) {
                Ok(body) => read_so_far.push(String::from_utf8(body).unwrap()),
                Err(error) => return (read_so_far, error.to_string()),
            }
        }
    }

    #[test]
    fn messages_follow_each_other_whatever_else_their_heads_say() {
        let bytes = b"Content-Length: 2\r\n\r\n{}content-length:3\nContent-Type: x\r\n\r\n[1]";
        assert_eq!(all(bytes), (vec!["{}".into(), "[1]".into()], "the editor has gone".into()));
    }

    #[test]
    fn heads_that_are_no_heads_end_the_session() {
        for (bytes, says) in [
            ("Content-Length: -1\r\n\r\n", "is no number"),
            ("Content-Length: +1\r\n\r\n{", "is no number"),
            ("Content-Length: \r\n\r\n", "is no number"),
            ("Content-Length: 99999999999999999999999\r\n\r\n", "is no number"),
            ("Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "twice"),
            ("Content-Type: x\r\n\r\n{}", "no `Content-Length`"),
            ("GET / HTTP/1.1\r\n\r\n", "without a colon"),
            ("Content-Length: 5\r\n\r\n{}", "broke"),
            ("Content-Len", "broke"),
        ] {
            let (read, said) = all(bytes.as_bytes());
            assert!(read.is_empty() && said.contains(says), "{bytes}: {said}");
        }
        assert!(all(b"Content-Length: \xff\r\n\r\n").1.contains("no text"));
    }

    #[test]
    fn nothing_is_kept_beyond_the_bounds() {
        let endless = vec![b'x'; 2 * MAX_HEAD as usize];
        assert!(all(&endless).1.contains("too long"));
        let long = format!("Content-Length: {}\r\n\r\n", MAX_BODY + 1);
        assert!(all(long.as_bytes()).1.contains("too long"));
        let announced = format!("Content-Length: {MAX_BODY}\r\n\r\nx");
        assert!(all(announced.as_bytes()).1.contains("broke"));
    }
}
