//! Judges a whole HTTP/1 request head (RFC 9112 sections 2 to 6) and says how its body is framed.

use std::net::Ipv6Addr;

use super::{HeadBounds, Violation};

/// How the body behind a head is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// There is none.
    None,
    /// So many bytes, at least one.
    Length(u64),
    /// Chunk by chunk.
    Chunked,
}

/// What the fields say that matters for framing and routing.
#[derive(Default)]
struct Fields<'h> {
    host: Option<&'h [u8]>,
    length: Option<u64>,
    chunked: bool,
}

/// Judges a head: its lines, each ended by CRLF, without the empty one at the end.
pub(super) fn judge(head: &[u8], bounds: &HeadBounds) -> Result<Body, Violation> {
    let mut lines = Lines(head);
    let line = lines.next().ok_or(Violation::Method)?;
    let (target, old) = request_line(line, bounds)?;
    let mut fields = Fields::default();
    for (number, line) in lines.enumerate() {
        if number >= bounds.fields {
            return Err(Violation::HeadLength);
        }
        fields.read(line)?;
    }
    host_agrees(target, fields.host, old)?;
    match (fields.chunked, fields.length) {
        (true, Some(_)) => Err(Violation::TwoLengths),
        // RFC 9112 section 6.1: an HTTP/1.0 message with a transfer coding has faulty framing.
        (true, None) if old => Err(Violation::TransferEncoding),
        (true, None) => Ok(Body::Chunked),
        (false, None | Some(0)) => Ok(Body::None),
        (false, Some(bytes)) => Ok(Body::Length(bytes)),
    }
}

/// What HTTP/2 leaves open: a path that is one, and one host. There the target's authority is the host, and a `Host`
/// field may only repeat it.
pub(super) fn judge_parts(head: &http::request::Parts) -> Result<(), Violation> {
    let asterisk = head.method == http::Method::OPTIONS && head.uri.path() == "*";
    if !head.uri.path().starts_with('/') && !asterisk {
        return Err(Violation::Target);
    }
    if head.method.as_str().len() > METHOD_BYTES {
        return Err(Violation::Method);
    }
    let mut hosts = head.headers.get_all(http::header::HOST).iter().map(http::HeaderValue::as_bytes);
    let named = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    match (named, hosts.next(), hosts.next()) {
        (Some(named), None, None) if authority(named) => {}
        (None, Some(host), None) if authority(host) => {}
        (Some(named), Some(host), None) if authority(named) && host.eq_ignore_ascii_case(named) => {}
        _ => return Err(Violation::Host),
    }
    let expects = head.headers.get_all(http::header::EXPECT).iter();
    if expects.into_iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Violation::Expectation);
    }
    Ok(())
}

/// Whether a request is for a host, whatever port it names. HTTP/1.0 without `Host` is for whomever it reaches.
pub(super) fn is_for(head: &http::request::Parts, name: &str) -> bool {
    let stated = head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = head.uri.authority().map(http::uri::Authority::as_str).or(stated) else { return true };
    let Ok(host) = host.parse::<http::uri::Authority>() else { return false };
    let plain = |host: &str| host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    plain(host.host()) == plain(name)
}

/// The lines of a head without their CRLF. That every LF has a CR before it was checked while it was read.
struct Lines<'h>(&'h [u8]);

impl<'h> Iterator for Lines<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        let feed = memchr::memchr(b'\n', self.0)?;
        let (line, rest) = self.0.split_at_checked(feed + 1)?;
        self.0 = rest;
        line.strip_suffix(b"\r\n")
    }
}

/// The target, and whether the version is HTTP/1.0.
fn request_line<'h>(line: &'h [u8], bounds: &HeadBounds) -> Result<(&'h [u8], bool), Violation> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Violation::Target);
    };
    if method.is_empty() || method.len() > METHOD_BYTES || !method.iter().all(|byte| is_token_byte(*byte)) {
        return Err(Violation::Method);
    }
    let old = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        _ => return Err(Violation::Version),
    };
    if target.len() > bounds.target_bytes {
        return Err(Violation::TargetLength);
    }
    // A fragment never travels; one that does makes two readers see two targets.
    if target.is_empty() || !target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
        return Err(Violation::Target);
    }
    let form_fits = match (method, target) {
        (b"CONNECT", _) => authority(target),
        (b"OPTIONS", b"*") => true,
        (_, [b'/', ..]) => true,
        _ => absolute_authority(target).is_some_and(authority),
    };
    if form_fits { Ok((target, old)) } else { Err(Violation::Target) }
}

impl<'h> Fields<'h> {
    fn read(&mut self, line: &'h [u8]) -> Result<(), Violation> {
        let colon = memchr::memchr(b':', line).ok_or(Violation::FieldName)?;
        let (name, rest) = line.split_at_checked(colon).ok_or(Violation::FieldName)?;
        // A space before the colon or at the start of the line (folding) is no token byte either.
        if name.is_empty() || !name.iter().all(|byte| is_token_byte(*byte)) {
            return Err(Violation::FieldName);
        }
        let value = rest.strip_prefix(b":").unwrap_or(rest);
        if !value.iter().all(|byte| is_value_byte(*byte)) {
            return Err(Violation::FieldValue);
        }
        let value = trim(value);
        if name.eq_ignore_ascii_case(b"host") {
            once(&mut self.host, value).ok_or(Violation::Host)?;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let length = number(value).ok_or(Violation::ContentLength)?;
            once(&mut self.length, length).ok_or(Violation::ContentLength)?;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Violation::TransferEncoding);
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"expect") && !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Violation::Expectation);
        }
        Ok(())
    }
}

/// Sets what may stand only once.
fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    match slot {
        Some(_) => None,
        None => {
            *slot = Some(value);
            Some(())
        }
    }
}

/// A length: digits without a sign, a space or a leading zero, in 63 bits.
fn number(text: &[u8]) -> Option<u64> {
    let plain = matches!(text, [b'0'] | [b'1'..=b'9', ..]) && text.len() <= 18;
    let digits = plain && text.iter().all(u8::is_ascii_digit);
    if digits { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}

/// RFC 9112 section 3.2: HTTP/1.1 needs one host, and it is the target's, if that names one.
fn host_agrees(target: &[u8], host: Option<&[u8]>, old: bool) -> Result<(), Violation> {
    match (host, absolute_authority(target)) {
        (None, _) if old => Ok(()),
        (None, _) => Err(Violation::Host),
        (Some(host), _) if !authority(host) => Err(Violation::Host),
        (Some(host), Some(named)) if !host.eq_ignore_ascii_case(named) => Err(Violation::Host),
        (Some(_), _) => Ok(()),
    }
}

/// The host and port of a target in absolute form.
fn absolute_authority(target: &[u8]) -> Option<&[u8]> {
    let colon = memchr::memmem::find(target, b"://")?;
    let scheme = target.get(..colon)?;
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return None;
    }
    let rest = target.get(colon + 3..)?;
    rest.get(..rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len()))
}

/// Whether it is a host and perhaps a port, and nothing besides: no user, no path, no list.
pub(super) fn authority(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            if address.parse::<Ipv6Addr>().is_err() || !(rest.is_empty() || rest.starts_with(':')) {
                return false;
            }
            ("v6", rest.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let named = (1..=HOST_BYTES).contains(&host.len())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    let ported = port.is_none_or(|port| {
        port.len() <= 5
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    named && ported
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 9110 section 5.5: visible characters, space, tab, and opaque bytes above ASCII.
pub(super) fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Without the optional white space around a field's value.
fn trim(value: &[u8]) -> &[u8] {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !space(byte)).map_or(start, |last| last + 1);
    value.get(start..end).unwrap_or_default()
}

/// The longest method in use has 17 (`BASELINE-CONTROL` and the like).
const METHOD_BYTES: usize = 32;

/// RFC 1035 section 2.3.4.
const HOST_BYTES: usize = 255;
