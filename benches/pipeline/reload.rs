//! Whether requests wait while a policy of 10,000 roles and 1,000,000 bindings is loaded anew: the longest wait of a
//! steady load with reloads one after the other, against the same without.
#![expect(clippy::disallowed_methods, reason = "a bench measures the machine's own time")]

use std::fmt::Write;
use std::time::{Duration, Instant};

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;

use crate::ask;
use crate::proxies::{self, Gateway, Proxy};
use crate::upstream;

const ROLES: usize = 10_000;
const BINDINGS: usize = 1_000_000;
const RELOADS: usize = 3;
/// A request every so often, from each of a few callers: the machine is not busy with them.
const PAUSE: Duration = Duration::from_millis(2);
const CALLERS: usize = 2;

/// Starts a gateway with the large policy and prints how long that took, and how long requests wait.
pub(crate) async fn print(
    client: &Client<HttpConnector, Empty<Bytes>>,
    rival: &dyn Proxy,
    upstream_at: std::net::SocketAddr,
) {
    let policy = large();
    let started = Instant::now();
    let gateway = Gateway::with(upstream_at, &policy);
    println!(
        "  reload: {ROLES} roles and {BINDINGS} bindings loaded in {:.2} s, {:.2} s of them processor time, {} MiB at most",
        started.elapsed().as_secs_f64(),
        gateway.cpu().as_secs_f64(),
        gateway.peak() >> 20,
    );
    ask(client, &gateway, upstream::ONE).await;
    let quiet = Duration::from_secs(10);
    report("hyper, nothing else", waits(client, rival, tokio::time::sleep(quiet)).await);
    report("no reload", waits(client, &gateway, tokio::time::sleep(quiet)).await);
    let reloads = async {
        for n in 0..RELOADS {
            let before = gateway.reloads();
            gateway.replace_policy(&format!("{policy}# {n}\n"));
            while gateway.reloads() == before {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            // What is no longer needed is given back a little later.
            tokio::time::sleep(Duration::from_secs(6)).await;
        }
    };
    report(&format!("{RELOADS} reloads"), waits(client, &gateway, reloads).await);
    println!("  reload: {} MiB at most", gateway.peak() >> 20);
}

/// How long every request took until `end`.
async fn waits(
    client: &Client<HttpConnector, Empty<Bytes>>,
    proxy: &dyn Proxy,
    end: impl Future<Output = ()>,
) -> Vec<Duration> {
    let over = std::cell::Cell::new(false);
    let callers = (0..CALLERS).map(|_| async {
        let mut waits = Vec::new();
        while !over.get() {
            let asked = Instant::now();
            ask(client, proxy, upstream::ONE).await;
            waits.push(asked.elapsed());
            tokio::time::sleep(PAUSE).await;
        }
        waits
    });
    let ending = async {
        end.await;
        over.set(true);
    };
    let (waits, ()) = tokio::join!(futures_util::future::join_all(callers), ending);
    waits.into_iter().flatten().collect()
}

fn report(when: &str, mut waits: Vec<Duration>) {
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "  reload: {when:<20} {:6} requests, p50 {:5.2} ms, p99 {:5.2} ms, p99.9 {:5.2} ms, longest {:5.2} ms",
        waits.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
    );
}

/// The policy of the other parts, with many roles that the caller does not have and many people who have them.
fn large() -> String {
    let (head, bindings) = proxies::POLICY.split_once("bindings:\n").expect("bindings come last");
    let mut text = head.to_owned();
    for n in 0..ROLES {
        let _ = writeln!(
            text,
            "  role-{n}:\n    permissions:\n      - resource: customer\n        actions: [list, read]\n        \
             records: record.owner_id == principal.claims.owner_{n}\n        fields: {{ show: [public] }}"
        );
    }
    text.push_str("bindings:\n");
    text.push_str(bindings);
    for n in 0..BINDINGS {
        let _ = writeln!(text, "  - {{ role: role-{}, users: [user-{n}] }}", n % ROLES);
    }
    text
}
