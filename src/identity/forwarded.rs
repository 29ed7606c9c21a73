//! The caller's address behind trusted proxies.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use super::unauthenticated::Unauthenticated;

/// The address of the caller: the peer's, or, where the peer is a trusted proxy, the right-most entry of
/// `X-Forwarded-For` that is not a trusted proxy itself. What stands left of it was written by the caller.
pub(super) fn client_ip(
    peer: IpAddr,
    trusted: &[IpNet],
    headers: &HeaderMap,
) -> Result<IpAddr, Unauthenticated> {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|net| net.contains(&ip));
    let mut ip = peer.to_canonical();
    if !is_trusted(ip) {
        return Ok(ip);
    }
    let lines: Vec<&http::HeaderValue> = headers.get_all(&FORWARDED_FOR).iter().collect();
    let mut hops = 0;
    for line in lines.into_iter().rev() {
        for entry in line.as_bytes().rsplit(|&b| b == b',') {
            hops += 1;
            ip = if hops > MAX_HOPS { None } else { address(entry) }.ok_or(Unauthenticated::Forwarded)?;
            if !is_trusted(ip) {
                return Ok(ip);
            }
        }
    }
    Ok(ip)
}

/// An address with or without a port, an IPv6 one with or without brackets.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    let ip = match text.parse::<IpAddr>() {
        Ok(ip) => ip,
        Err(_) => match text.parse::<SocketAddr>() {
            Ok(with_port) => with_port.ip(),
            Err(_) => text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?,
        },
    };
    Some(ip.to_canonical())
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Longest chain of trusted proxies.
const MAX_HOPS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, lines: &[&str]) -> Result<String, Unauthenticated> {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].iter().map(|net| net.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        client_ip(peer.parse().unwrap(), &trusted, &headers).map(|ip| ip.to_string())
    }

    #[test]
    fn i14_a_peer_that_is_not_trusted_says_nothing() {
        assert_eq!(seen("192.0.2.7", &["10.1.1.1"]).unwrap(), "192.0.2.7");
        assert_eq!(seen("192.0.2.7", &["garbage"]).unwrap(), "192.0.2.7");
        assert_eq!(seen("::ffff:192.0.2.7", &[]).unwrap(), "192.0.2.7");
    }

    #[test]
    fn i14_the_right_most_untrusted_hop_counts() {
        assert_eq!(seen("10.0.0.1", &["203.0.113.9"]).unwrap(), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["10.9.9.9, 203.0.113.9, 10.0.0.2"]).unwrap(), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["10.9.9.9, 198.51.100.1", "203.0.113.9"]).unwrap(), "203.0.113.9");
        assert_eq!(seen("::ffff:10.0.0.1", &["203.0.113.9:4711"]).unwrap(), "203.0.113.9");
        assert_eq!(seen("fd00::1", &["[2001:db8::1]:443"]).unwrap(), "2001:db8::1");
        assert_eq!(seen("fd00::1", &["[2001:db8::1]"]).unwrap(), "2001:db8::1");
        assert_eq!(seen("10.0.0.1", &["::ffff:10.1.1.1"]).unwrap(), "10.1.1.1", "a mapped hop is trusted");
    }

    #[test]
    fn a_trusted_proxy_alone_is_itself() {
        assert_eq!(seen("10.0.0.1", &[]).unwrap(), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["10.0.0.3, 10.0.0.2"]).unwrap(), "10.0.0.3");
    }

    #[test]
    fn i14_a_hop_that_cannot_be_read_is_refused() {
        for line in
            ["unknown", "", "203.0.113.9,", "203.0.113.9, _hidden", "203.0.113.9 10.0.0.2", "010.1.1.1"]
        {
            assert_eq!(seen("10.0.0.1", &[line]), Err(Unauthenticated::Forwarded), "{line:?}");
        }
        assert_eq!(seen("10.0.0.1", &[&["10.0.0.2"; 40].join(",")]), Err(Unauthenticated::Forwarded));
    }
}
