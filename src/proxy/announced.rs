//! The PROXY protocol, versions 1 and 2: what a balancer in front says about who connected to it.
//!
//! Read from listed peers only, and then it has to be there: whoever could leave it out could choose whom it is taken for.
//! The header is read to its last byte and no further, for what follows is TLS or HTTP. Everything in it is bounded;
//! what version 2 holds behind the addresses is skipped.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The peers that announce whom they speak for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcers(pub Vec<IpNet>);

impl Announcers {
    /// Whether this peer has to announce.
    pub(super) fn include(&self, peer: SocketAddr) -> bool {
        let peer = peer.ip().to_canonical();
        self.0.iter().any(|net| net.contains(&peer))
    }
}

/// What came instead of a header.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unannounced {
    #[error("no header of the proxy protocol: {0}")]
    Malformed(&'static str),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the header. `None`: the peer speaks for itself, or does not know for whom. Bound the wait.
pub(super) async fn read<I: AsyncRead + Unpin>(io: &mut I) -> Result<Option<SocketAddr>, Unannounced> {
    let mut start = [0; SIGNATURE.len()];
    io.read_exact(&mut start).await?;
    if start == *SIGNATURE {
        version2(io).await
    } else if start.starts_with(b"PROXY ") {
        version1(io, &start).await
    } else {
        Err(Unannounced::Malformed("it begins otherwise"))
    }
}

/// A line of text. It cannot be read ahead, so it is read byte by byte, once in a connection.
async fn version1<I: AsyncRead + Unpin>(io: &mut I, start: &[u8]) -> Result<Option<SocketAddr>, Unannounced> {
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() == MAX_LINE_BYTES || line.contains(&b'\n') {
            return Err(Unannounced::Malformed("its line does not end"));
        }
        line.push(io.read_u8().await?);
    }
    line.truncate(line.len() - 2);
    let text = std::str::from_utf8(&line).map_err(|_| Unannounced::Malformed("it is no text"))?;
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        // Whatever follows is to be ignored.
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", family, source, target, source_port, target_port] => {
            let parsed = || {
                let (ip, other) = match family {
                    "TCP4" => (v4(source)?, v4(target)?),
                    "TCP6" => (v6(source)?, v6(target)?),
                    _ => return None,
                };
                let _target = (other, port(target_port)?);
                Some(SocketAddr::new(ip.to_canonical(), port(source_port)?))
            };
            parsed().map(Some).ok_or(Unannounced::Malformed("it names no addresses"))
        }
        _ => Err(Unannounced::Malformed("its words are others")),
    }
}

fn v4(text: &str) -> Option<IpAddr> {
    text.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

fn v6(text: &str) -> Option<IpAddr> {
    text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// A number in its one spelling.
fn port(text: &str) -> Option<u16> {
    text.parse::<u16>().ok().filter(|port| port.to_string() == text)
}

async fn version2<I: AsyncRead + Unpin>(io: &mut I) -> Result<Option<SocketAddr>, Unannounced> {
    let command = io.read_u8().await?;
    let family = io.read_u8().await?;
    let length = usize::from(io.read_u16().await?);
    if length > MAX_REST_BYTES {
        return Err(Unannounced::Malformed("it is too long"));
    }
    let mut rest = vec![0; length];
    io.read_exact(&mut rest).await?;
    let short = Unannounced::Malformed("it is too short for its addresses");
    match (command, family) {
        // The balancer's own connection: it asks whether somebody is there.
        (LOCAL, _) | (PROXY, UNSPECIFIED) => Ok(None),
        (PROXY, TCP_OVER_IPV4) => {
            let Some((addresses, _)) = rest.split_first_chunk::<12>() else { return Err(short) };
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *addresses;
            let ip = Ipv4Addr::new(a, b, c, d);
            Ok(Some(SocketAddr::new(ip.into(), u16::from_be_bytes([high, low]))))
        }
        (PROXY, TCP_OVER_IPV6) => {
            let (Some((source, _)), Some(ports)) = (rest.split_first_chunk::<16>(), rest.get(32..36)) else {
                return Err(short);
            };
            let &[high, low, _, _] = ports else { return Err(short) };
            let ip = IpAddr::V6(Ipv6Addr::from(*source)).to_canonical();
            Ok(Some(SocketAddr::new(ip, u16::from_be_bytes([high, low]))))
        }
        _ => Err(Unannounced::Malformed("it speaks of no connection over TCP")),
    }
}

/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version and command.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// Family and protocol.
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
/// The longest line of version 1, its end included.
const MAX_LINE_BYTES: usize = 107;
/// Addresses and what stands behind them; balancers use a few hundred bytes.
const MAX_REST_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is read of a text, and how much of it is left.
    async fn seen(text: &[u8]) -> (Option<Option<String>>, usize) {
        let mut rest = text;
        let found = read(&mut rest).await.ok().map(|client| client.map(|client| client.to_string()));
        (found, rest.len())
    }

    fn version2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    const FOUR: [u8; 12] = [203, 0, 113, 9, 10, 0, 0, 1, 0x12, 0x34, 1, 187];

    #[tokio::test]
    async fn both_versions_name_the_client_and_leave_what_follows() {
        let six = [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9][..], &[0; 16], &[0, 80, 1, 187]];
        let mapped = [&[0; 10][..], &[255, 255, 203, 0, 113, 9], &[0; 16], &[0, 80, 1, 187]].concat();
        let tlvs = [&FOUR[..], &[4; MAX_REST_BYTES - 12]].concat();
        let cases = [
            (b"PROXY TCP4 203.0.113.9 10.0.0.1 4660 443\r\n".to_vec(), Some("203.0.113.9:4660")),
            (b"PROXY TCP6 2001:db8::9 ::1 80 443\r\n".to_vec(), Some("[2001:db8::9]:80")),
            (b"PROXY TCP6 ::ffff:203.0.113.9 ::1 80 443\r\n".to_vec(), Some("203.0.113.9:80")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ff:: ff:: 1 2\r\n".to_vec(), None),
            (version2(PROXY, TCP_OVER_IPV4, &FOUR), Some("203.0.113.9:4660")),
            (version2(PROXY, TCP_OVER_IPV4, &tlvs), Some("203.0.113.9:4660")),
            (version2(PROXY, TCP_OVER_IPV6, &six.concat()), Some("[2001:db8::9]:80")),
            (version2(PROXY, TCP_OVER_IPV6, &mapped), Some("203.0.113.9:80")),
            (version2(LOCAL, UNSPECIFIED, &[]), None),
            (version2(LOCAL, TCP_OVER_IPV4, &FOUR), None),
            (version2(PROXY, UNSPECIFIED, &[1, 2, 3]), None),
        ];
        for (mut text, client) in cases {
            text.extend_from_slice(b"GET");
            assert_eq!(seen(&text).await, (Some(client.map(str::to_owned)), 3), "{text:?}");
        }
    }

    #[tokio::test]
    async fn everything_else_is_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "a".repeat(MAX_LINE_BYTES - 15));
        let lines: &[&str] = &[
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "PROXY  TCP4 203.0.113.9 10.0.0.1 1 2\r\n",
            "PROXY TCP4 203.0.113.9 10.0.0.1 1\r\n",
            "PROXY TCP4 203.0.113.9 10.0.0.1 1 2 3\r\n",
            "PROXY TCP4 203.0.113.9 10.0.0.1 01 2\r\n",
            "PROXY TCP4 203.0.113.9 10.0.0.1 +1 2\r\n",
            "PROXY TCP4 203.0.113.9 10.0.0.1 65536 2\r\n",
            "PROXY TCP4 203.0.113.9 10.0.0.1 1 x\r\n",
            "PROXY TCP4 203.0.113.9 ::1 1 2\r\n",
            "PROXY TCP4 203.0.113.009 10.0.0.1 1 2\r\n",
            "PROXY TCP6 203.0.113.9 ::1 1 2\r\n",
            "PROXY UDP4 203.0.113.9 10.0.0.1 1 2\r\n",
            "PROXY TCP4 203.0.113.9 10.0.0.1 1 2\n",
            "PROXY TCP4 203.0.113.9 10.0.0.1 1 2\nGET / HTTP/1.1\r\n",
            "PROXY TCP4 203.0.113.9\t10.0.0.1 1 2\r\n",
            "proxy tcp4 203.0.113.9 10.0.0.1 1 2\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY TCP4 203.0.113.9 10.0.0.1 1 2",
            &long,
        ];
        for line in lines {
            assert_eq!(seen(line.as_bytes()).await.0, None, "{line:?}");
        }
        for text in [
            version2(PROXY, TCP_OVER_IPV4, &FOUR[..11]),
            version2(PROXY, TCP_OVER_IPV6, &[0; 35]),
            version2(PROXY, 0x12, &FOUR),
            version2(PROXY, 0x31, &[0; 216]),
            version2(0x22, TCP_OVER_IPV4, &FOUR),
            version2(0x11, TCP_OVER_IPV4, &FOUR),
            version2(PROXY, TCP_OVER_IPV4, &[4; MAX_REST_BYTES + 1]),
            version2(LOCAL, UNSPECIFIED, &[4; MAX_REST_BYTES + 1]),
        ] {
            assert_eq!(seen(&text).await.0, None, "{text:?}");
        }
        let whole = version2(PROXY, TCP_OVER_IPV4, &FOUR);
        for length in 0..whole.len() {
            assert_eq!(seen(&whole[..length]).await.0, None, "cut at {length}");
        }
    }

    #[test]
    fn peers_are_listed_by_network_however_they_connect() {
        let listed = Announcers(vec!["10.0.0.0/8".parse().unwrap()]);
        assert!(listed.include("10.1.2.3:4".parse().unwrap()));
        assert!(listed.include("[::ffff:10.1.2.3]:4".parse().unwrap()));
        assert!(!listed.include("192.0.2.1:4".parse().unwrap()));
        assert!(!Announcers::default().include("10.1.2.3:4".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn no_text_is_read_beyond_its_bound(
            which in 0_usize..3,
            tail in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let start: &[u8] = [&b""[..], b"PROXY ", SIGNATURE][which];
            let text = [start, &tail].concat();
            let mut rest = &text[..];
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _whatever = runtime.block_on(read(&mut rest));
            let used = text.len() - rest.len();
            let most = if which == 2 { text.len() } else { MAX_LINE_BYTES };
            prop_assert!(used <= most);
        }
    }
}
