//! How long a caller waits at 64 connections, and whether anybody waits for an acknowledgement: the system delays those
//! by 40 ms, so whoever sends a small piece without `TCP_NODELAY` while another is on the way waits that long.
#![expect(clippy::disallowed_methods, reason = "a bench measures the machine's own time")]

use std::time::{Duration, Instant};

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;

use crate::ask;
use crate::proxies::Proxy;

const CONNECTIONS: usize = 64;
const REQUESTS: usize = 100;
/// Where waits for a delayed acknowledgement gather.
const DELAYED: std::ops::Range<Duration> = Duration::from_millis(38)..Duration::from_millis(48);

/// One line: middle, tail, and the share of waits near 40 ms.
pub(crate) async fn print(
    client: &Client<HttpConnector, Empty<Bytes>>,
    proxy: &dyn Proxy,
    name: &str,
    target: &str,
) {
    let workers = (0..CONNECTIONS).map(|_| async {
        let mut waits = Vec::with_capacity(REQUESTS);
        for _ in 0..REQUESTS {
            let asked = Instant::now();
            ask(client, proxy, target).await;
            waits.push(asked.elapsed());
        }
        waits
    });
    let mut waits: Vec<Duration> =
        futures_util::future::join_all(workers).await.into_iter().flatten().collect();
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let delayed = waits.iter().filter(|wait| DELAYED.contains(wait)).count();
    println!(
        "{name:>8} at {CONNECTIONS} connections, {:<22} p50 {:6.2} ms, p99 {:6.2} ms, p99.9 {:6.2} ms; \
         38-48 ms: {:.2} %",
        proxy.name(),
        at(0.5),
        at(0.99),
        at(0.999),
        delayed as f64 * 100.0 / waits.len() as f64,
    );
}
